/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A run whose cells' states are committed as they are joined, under keys of a job, so that another
 * one finds them and computes the rest (docs/adr/0038). Each is created by compare-and-set; where
 * there is one already its digest must be that of this one's, since both are of the same bytes and
 * the same program.
 *
 *   head -> an object's record -> (look -> its cells) -> states that are joined -> commits
 *
 * Joining goes on while commits are under way, up to a bound, but not to the next object. Nothing
 * is printed before all that was joined is committed.
 *
 *   commit  CAS, absent -> done
 *            | another is there, or the answer was lost
 *            +-> get -> the same digest: done; a leftover, or damaged: CAS over it; gone: CAS again
 */
#include "client/job_internal.h"
#include "client/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_COMMITS_MAX 64u                       /* under way */
#define JOB_COMMITS_BYTES_MAX ((uint64_t)4 << 20) /* likewise */
#define JOB_HELD_BYTES_MAX ((size_t)4 << 20)      /* to print, that wait for commits */
#define JOB_WHOLE_BYTES_MAX ((uint64_t)8 << 20)   /* a cell's states that have a digest */
#define JOB_ROUNDS_MAX 8u                         /* of a key that others change */
#define JOB_DOUBTS_MAX 16u                        /* cells with two states, of a run */
#define JOB_ORIGIN_BYTES_MAX ((size_t)64 << 10)

enum job_kind { JOB_HEAD, JOB_OBJECT, JOB_COMMIT, JOB_LOOK };

/* A cell of which two states are known. */
struct job_doubt {
    uint64_t object;
    uint64_t cell;
    bool told; /* who was wrong */
    uint32_t node[2];
    uint8_t digest[2][MERKLE_HASH_BYTES];
};

struct hf_job {
    struct hf_run *run;
    struct buf key;
    struct job_op *ops; /* under way */
    bool begun;         /* the head is there */
    bool looks;         /* others may have committed something */
    bool recording;     /* the object is not known to be the job's */
    bool joined;        /* some of a cell that is not yet committed */
    bool pumps;         /* joining waits for commits */
    bool ends;          /* so does the end of the object, that the next one comes after */
    bool finishes;      /* so does the result */
    unsigned commits;   /* under way, with the object's record */
    uint64_t commit_bytes;
    uint64_t object; /* its number */
    uint8_t origin[MERKLE_HASH_BYTES];
    unsigned doubts_count;
    struct job_doubt doubts[JOB_DOUBTS_MAX];
};

/* A key that is read or written: outlives the run if that ends before. */
struct job_op {
    struct hf_job *job; /* NULL: nobody waits for it */
    struct job_op *next;
    struct job_op *prev;
    enum job_kind kind;
    struct run_slot *slot; /* JOB_LOOK */
    uint64_t cell;         /* JOB_COMMIT */
    unsigned rounds;
    struct buf key;
    struct buf value;
};

/* ---- operations ----------------------------------------------------------------------------- */

static int job_op_new(struct hf_job *job, enum job_kind kind, struct job_op **out)
{
    const struct alloc *heap = &job->run->transfer.client->heap;
    struct job_op *op = calloc(1, sizeof(*op));
    if (op == NULL) {
        return ERR_NO_MEMORY;
    }
    op->job = job;
    op->kind = kind;
    buf_init(&op->key, heap, WIRE_NAME_BYTES_MAX);
    buf_init(&op->value, heap, JOB_VALUE_BYTES_MAX);
    op->next = job->ops;
    if (op->next != NULL) {
        op->next->prev = op;
    }
    job->ops = op;
    *out = op;
    return 0;
}

static void job_op_detach(struct job_op *op)
{
    struct hf_job *job = op->job;
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        job->ops = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    }
    if (op->slot != NULL) {
        op->slot->look_up = NULL;
    }
    op->job = NULL;
    op->slot = NULL;
}

static void job_op_free(struct job_op *op)
{
    if (op->job != NULL) {
        job_op_detach(op);
    }
    buf_release(&op->key);
    buf_release(&op->value);
    free(op);
}

/* Ends the run, and the operation, with a sentence that names the key. */
static void job_fail(struct job_op *op, int code, const char *text)
{
    struct hf_run *r = op->job->run;
    char key[96];
    char sentence[HF_TEXT_BYTES];
    hf_op_subject(key, sizeof(key), buf_view(&op->key));
    (void)snprintf(sentence, sizeof(sentence), "job key '%s': %.120s", key, text);
    job_op_free(op);
    hf_run_end(r, code, sentence);
}

static void job_cased(void *ctx, const struct hf_result *result);
static void job_got(void *ctx, const struct hf_result *result);

static struct hf_kv job_kv(const struct job_op *op)
{
    return (struct hf_kv){.key = hf_out(buf_view(&op->key)),
                          .timeout_ms = op->job->run->timeout_ms};
}

/* there: the value that is to be replaced; without bytes: the key is to be absent. */
static int job_cas(struct job_op *op, struct bytes there)
{
    struct hf_kv kv = job_kv(op);
    kv.value = hf_out(buf_view(&op->value));
    kv.expect_absent = there.size == 0;
    kv.expected = hf_out(there);
    op->rounds++;
    if (op->rounds > JOB_ROUNDS_MAX) {
        return ERR_CONFLICT;
    }
    return hf_kv_cas(op->job->run->transfer.client, &kv, op, job_cased);
}

static int job_get(struct job_op *op)
{
    const struct hf_kv kv = job_kv(op);
    return hf_kv_get(op->job->run->transfer.client, &kv, op, job_got);
}

/* Ends the run if the next step could not begin. */
static void job_step(struct job_op *op, int err)
{
    if (err != 0) {
        job_fail(op, err, err == ERR_CONFLICT ? "others change it again and again" : err_text(err));
    }
}

/* ---- what is committed ---------------------------------------------------------------------- */

bool hf_job_is_settled(const struct hf_run *r)
{
    return r->job == NULL || (r->job->commits == 0 && !r->job->joined);
}

/* returns: whether no more may be joined for now. */
static bool job_is_full(const struct hf_run *r)
{
    const struct hf_job *job = r->job;
    return job->recording || job->commits >= JOB_COMMITS_MAX ||
           job->commit_bytes >= JOB_COMMITS_BYTES_MAX ||
           (job->commits > 0 && compute_task_output(r->task).size >= JOB_HELD_BYTES_MAX);
}

bool hf_job_waits(struct hf_run *r)
{
    if (r->job == NULL || !job_is_full(r)) {
        return false;
    }
    r->job->pumps = true;
    return true;
}

/* returns: whether something is not committed; then *waits says so. */
static bool job_drains(struct hf_job *job, bool *waits)
{
    *waits = job->commits > 0;
    if (!*waits) {
        job->joined = false; /* an error in the midst of a cell: what is before it counts */
    }
    return *waits;
}

bool hf_job_object_waits(struct hf_run *r)
{
    return r->job != NULL && job_drains(r->job, &r->job->ends);
}

bool hf_job_finish_waits(struct hf_run *r)
{
    return r->job != NULL && job_drains(r->job, &r->job->finishes);
}

/* The operation is done. What waited for it goes on, and may end the run. */
static void job_settled(struct job_op *op)
{
    struct hf_job *job = op->job;
    struct hf_run *r = job->run;
    job->commits--;
    job->commit_bytes -= op->value.size;
    job->recording = job->recording && op->kind != JOB_OBJECT;
    r->cost.tasks_committed += op->kind == JOB_COMMIT;
    job_op_free(op);
    const int err = job->commits == 0 ? hf_run_print(r) : 0;
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
    } else if (job->commits == 0 && job->ends) {
        job->ends = false;
        hf_run_object_ended(r);
    } else if (job->commits == 0 && job->finishes) {
        job->finishes = false;
        hf_run_finish(r);
    } else if (job->pumps && !job_is_full(r)) {
        job->pumps = false;
        hf_run_pump(r);
    }
}

/* Begins a commit whose key and value are made. op is gone on an error. */
static int job_commit(struct job_op *op)
{
    struct hf_job *job = op->job;
    const int err = op->key.err != 0     ? op->key.err
                    : op->value.err != 0 ? op->value.err
                                         : job_cas(op, bytes_of(NULL, 0));
    if (err != 0) {
        job_op_free(op);
        return err;
    }
    job->commits++;
    job->commit_bytes += op->value.size;
    return 0;
}

/* ---- what is there already ------------------------------------------------------------------ */

static void job_begins(struct hf_job *job)
{
    struct hf_run *r = job->run;
    job->begun = true;
    hf_run_settle(r, hf_run_objects(r));
}

static void job_forgotten(void *ctx, const struct hf_result *result)
{
    struct job_op *op = ctx;
    if (op->job == NULL) {
        job_op_free(op);
    } else if (result->code != 0) {
        job_fail(op, result->code, result->text);
    } else {
        job_step(op, job_cas(op, bytes_of(NULL, 0)));
    }
}

/* A head: of this job, of one that is done, or of another one. */
static void job_meet_head(struct job_op *op, struct bytes there)
{
    struct hf_run *r = op->job->run;
    struct hf_job *job = op->job;
    struct err_info why = {.code = 0};
    struct job_head mine;
    struct job_head other;
    int err = hf_job_head_take(there, &other);
    ASSERT(hf_job_head_take(buf_view(&op->value), &mine) == 0);
    if (err != 0) {
        job_fail(op, err == ERR_LEVEL ? err : ERR_CONFLICT,
                 err == ERR_LEVEL ? err_text(err) : "its value is no job's");
        return;
    }
    if (other.done) {
        const struct hf_kv kv = {.key = hf_out(buf_view(&job->key)), .timeout_ms = r->timeout_ms};
        job_step(op, hf_job_forget(r->transfer.client, &kv, op, job_forgotten));
        return;
    }
    err = hf_job_head_compare(&mine, &other, &why);
    if (err != 0) {
        job_fail(op, err, why.text);
        return;
    }
    job->looks = true;
    job_op_free(op);
    job_begins(job);
}

static void job_meet_object(struct job_op *op, struct bytes there)
{
    struct err_info why = {.code = 0};
    struct job_object mine;
    struct job_object other;
    int err = hf_job_object_take(there, &other);
    ASSERT(hf_job_object_take(buf_view(&op->value), &mine) == 0);
    if (err == ERR_PROTOCOL) {
        err = err_set(&why, ERR_CONFLICT, "its value is no job's");
    }
    err = err == 0 ? hf_job_object_compare(&mine, &other, &why) : err;
    if (err != 0) {
        job_fail(op, err, why.code != 0 ? why.text : err_text(err));
    } else {
        job_settled(op);
    }
}

static struct job_doubt *job_doubt_of(struct hf_job *job, uint64_t cell)
{
    for (unsigned i = 0; i < job->doubts_count; i++) {
        if (job->doubts[i].object == job->object && job->doubts[i].cell == cell) {
            return &job->doubts[i];
        }
    }
    return NULL;
}

/* Two states of a cell were known, and nodes have voted: tells who was wrong, once. */
static void job_decided(struct hf_job *job, struct job_doubt *d, const uint8_t *digest)
{
    for (unsigned i = 0; i < 2 && !d->told; i++) {
        if (memcmp(d->digest[i], digest, MERKLE_HASH_BYTES) != 0) {
            hf_vote_tell(job->run, d->cell, d->node[i]);
        }
    }
    d->told = true;
}

/* Two computations of the same bytes that differ. What this run has joined may be wrong: it begins
 * again, with what is committed, and nodes vote on this cell. */
static void job_disagreed(struct job_op *op, const struct job_task *mine,
                          const struct job_task *other)
{
    struct hf_job *job = op->job;
    struct hf_run *r = job->run;
    char text[HF_TEXT_BYTES];
    if (r->info.m > 0 && job->doubts_count < JOB_DOUBTS_MAX &&
        job_doubt_of(job, op->cell) == NULL) {
        struct job_doubt *d = &job->doubts[job->doubts_count++];
        *d = (struct job_doubt){.object = job->object, .cell = op->cell};
        d->node[0] = mine->node;
        d->node[1] = other->node;
        memcpy(d->digest[0], mine->digest.data, MERKLE_HASH_BYTES);
        memcpy(d->digest[1], other->digest.data, MERKLE_HASH_BYTES);
        job_op_free(op);
        hf_run_once_more(r);
        return;
    }
    (void)snprintf(text, sizeof(text), "node %u and node %u have computed different states",
                   mine->node, other->node);
    job_fail(op, ERR_CORRUPT, text);
}

/* returns: whether the digest is that of the state, as far as there is one. */
static bool job_is_sound(const struct job_task *t)
{
    uint8_t digest[MERKLE_HASH_BYTES];
    return !t->whole || (hf_job_digest(t->state, digest) == 0 &&
                         memcmp(digest, t->digest.data, sizeof(digest)) == 0);
}

static void job_meet_task(struct job_op *op, struct bytes there)
{
    struct job_task mine;
    struct job_task other;
    const int err = hf_job_task_take(there, &other);
    ASSERT(hf_job_task_take(buf_view(&op->value), &mine) == 0);
    op->job->looks = true; /* somebody else is at work */
    if (err == ERR_LEVEL) {
        job_fail(op, err, err_text(err));
    } else if (err != 0 && hf_job_value_of(there) != JOB_VALUE_TASK) {
        job_fail(op, ERR_CONFLICT, "its value is no job's");
    } else if (err != 0 || !bytes_equal(mine.origin, other.origin) || !job_is_sound(&other)) {
        op->job->run->cost.tasks_replaced++;
        job_step(op, job_cas(op, there));
    } else if (bytes_equal(mine.digest, other.digest) && mine.from == other.from &&
               mine.to == other.to) {
        job_settled(op);
    } else if (mine.checked && !other.checked) {
        if (job_doubt_of(op->job, op->cell) == NULL) {
            hf_vote_tell(op->job->run, op->cell, other.node);
        }
        op->job->run->cost.tasks_replaced++;
        job_step(op, job_cas(op, there)); /* two nodes against one */
    } else {
        job_disagreed(op, &mine, &other);
    }
}

/* ---- what was found ------------------------------------------------------------------------- */

/* returns: 0 and the slot has its state; ERR_CORRUPT: it is of no use; ERR_NO_MEMORY. */
static int job_use(struct job_op *op, struct bytes there)
{
    struct run_slot *slot = op->slot;
    struct hf_run *r = slot->run;
    struct job_task t;
    const bool mine = hf_job_task_take(there, &t) == 0 && t.whole && t.from == slot->at &&
                      t.to == slot->end &&
                      bytes_equal(t.origin, bytes_of(r->job->origin, MERKLE_HASH_BYTES)) &&
                      (t.checked || !r->check);
    if (!mine || !job_is_sound(&t)) {
        return ERR_CORRUPT;
    }
    const int err = compute_task_decode(&slot->kept, &r->transfer.client->heap, r->program,
                                        UINT64_MAX, t.state);
    if (err == ERR_NO_MEMORY) {
        return err;
    }
    if (err != 0 || compute_task_from(slot->kept) != t.from ||
        compute_task_to(slot->kept) != t.to) {
        compute_task_free(slot->kept);
        slot->kept = NULL;
        return ERR_CORRUPT;
    }
    slot->kept_bytes = t.state.size;
    slot->at = slot->end;
    slot->resumed = true;
    slot->decoded = t.decoded;
    r->cost.tasks_resumed++;
    r->cost.bytes_moved += t.state.size;
    r->resumed_bytes += t.to - t.from;
    if (r->progress != NULL) {
        r->progress(r->progress_ctx, r->cost.bytes_read + r->resumed_bytes,
                    r->cost.size + r->info.size);
    }
    return 0;
}

/* A cell was looked for. What cannot be used is computed, and replaced as it is committed. */
static void job_found(struct job_op *op, struct bytes there)
{
    struct run_slot *slot = op->slot;
    struct hf_run *r = slot->run;
    int err = there.size > 0 ? job_use(op, there) : ERR_CORRUPT;
    job_op_free(op);
    if (err == ERR_CORRUPT) {
        err = hf_run_next(slot);
    }
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
    } else if (slot == &r->slots[r->first]) {
        hf_run_pump(r);
    }
}

static void job_got(void *ctx, const struct hf_result *result)
{
    struct job_op *op = ctx;
    const struct bytes there = result->found ? hf_in(result->value) : bytes_of(NULL, 0);
    if (op->job == NULL) {
        job_op_free(op);
        return;
    }
    if (result->code != 0) {
        job_fail(op, result->code, result->text);
        return;
    }
    if (op->kind == JOB_LOOK) {
        job_found(op, there);
    } else if (!result->found) {
        job_step(op, job_cas(op, there)); /* the answer was lost, or another one ended the job */
    } else if (there.size == 0) {
        job_fail(op, ERR_CONFLICT, "its value is no job's");
    } else if (op->kind == JOB_HEAD) {
        job_meet_head(op, there);
    } else if (op->kind == JOB_OBJECT) {
        job_meet_object(op, there);
    } else {
        job_meet_task(op, there);
    }
}

static void job_cased(void *ctx, const struct hf_result *result)
{
    struct job_op *op = ctx;
    const enum err_outcome outcome = err_outcome_of(result->code);
    if (op->job == NULL) {
        job_op_free(op);
    } else if (result->code == 0 && op->kind == JOB_HEAD) {
        struct hf_job *job = op->job;
        job_op_free(op);
        job_begins(job);
    } else if (result->code == 0) {
        job_settled(op);
    } else if (result->code == ERR_CONFLICT || outcome == ERR_OUTCOME_UNKNOWN ||
               outcome == ERR_OUTCOME_DONE) {
        job_step(op, job_get(op));
    } else {
        job_fail(op, result->code, result->text);
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

static struct job_head job_head_of(const struct hf_run *r)
{
    struct job_head head = {.text = buf_view(&r->text),
                            .bucket = buf_view(&r->bucket),
                            .name = buf_view(&r->name),
                            .many = r->many,
                            .tables_count = r->tables_count};
    if (r->many) {
        head.name = bytes_of(r->prefix.data, r->prefix.size - 1);
    }
    for (uint32_t i = 0; i < r->tables_count; i++) {
        const struct run_table *t = &r->tables[i];
        bool header = false;
        head.tables[i] = (struct job_table){.table = compute_program_lookup(r->program, i, &header),
                                            .bucket = buf_view(&t->bucket),
                                            .name = buf_view(&t->name),
                                            .version = t->info.version,
                                            .root = bytes_of(t->info.root, sizeof(t->info.root))};
    }
    return head;
}

int hf_job_init(struct hf_run *r, struct bytes key)
{
    TRY(key.size > WIRE_NAME_BYTES_MAX - JOB_SUFFIX_BYTES ? ERR_TOO_LARGE : 0);
    struct hf_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return ERR_NO_MEMORY;
    }
    job->run = r;
    r->job = job;
    buf_init(&job->key, &r->transfer.client->heap, WIRE_NAME_BYTES_MAX);
    return buf_append(&job->key, key.data, key.size);
}

void hf_job_restart(struct hf_run *r)
{
    struct hf_job *job = r->job;
    while (job != NULL && job->ops != NULL) {
        job_op_detach(job->ops);
    }
    if (job != NULL) {
        job->commits = 0;
        job->commit_bytes = 0;
        job->recording = false;
        job->joined = false;
        job->pumps = false;
        job->ends = false;
        job->finishes = false;
    }
}

void hf_job_release(struct hf_run *r)
{
    struct hf_job *job = r->job;
    hf_job_restart(r);
    if (job != NULL) {
        buf_release(&job->key);
    }
    free(job);
    r->job = NULL;
}

bool hf_job_begins(const struct hf_run *r)
{
    return r->job != NULL && !r->job->begun;
}

int hf_job_begin(struct hf_run *r)
{
    const struct job_head head = job_head_of(r);
    struct job_op *op = NULL;
    TRY(job_op_new(r->job, JOB_HEAD, &op));
    int err = buf_append(&op->key, r->job->key.data, r->job->key.size);
    err = err == 0 ? hf_job_head_put(&op->value, &head) : err;
    err = err == 0 ? job_cas(op, bytes_of(NULL, 0)) : err;
    if (err != 0) {
        job_op_free(op);
    }
    return err;
}

/* Of what a state is: the program with its tables, and the object. */
static int job_origin(struct hf_run *r, struct bytes record)
{
    const struct job_head head = job_head_of(r);
    struct buf all;
    buf_init(&all, &r->transfer.client->heap, JOB_ORIGIN_BYTES_MAX);
    int err = hf_job_head_put(&all, &head);
    err = err == 0 ? buf_append(&all, record.data, record.size) : err;
    err = err == 0 ? hf_job_digest(buf_view(&all), r->job->origin) : err;
    buf_release(&all);
    return err;
}

int hf_job_object(struct hf_run *r)
{
    struct hf_job *job = r->job;
    struct job_op *op = NULL;
    if (job == NULL) {
        return 0;
    }
    const struct job_object object = {.name = buf_view(&r->name),
                                      .version = r->info.version,
                                      .root = bytes_of(r->info.root, sizeof(r->info.root)),
                                      .size = r->info.size,
                                      .cell_bytes = r->info.extents > 0 ? r->info.cell_bytes : 0};
    job->object = r->cost.objects;
    TRY(job_op_new(job, JOB_OBJECT, &op));
    (void)hf_job_key_put(&op->key, buf_view(&job->key), job->object, NULL);
    (void)hf_job_object_put(&op->value, &object);
    const int err = job_origin(r, buf_view(&op->value));
    if (err != 0) {
        job_op_free(op);
        return err;
    }
    TRY(job_commit(op));
    job->recording = true;
    return 0;
}

int hf_job_look(struct run_slot *slot)
{
    struct hf_job *job = slot->run->job;
    struct job_op *op = NULL;
    const bool doubted = job != NULL && job_doubt_of(job, slot->cell) != NULL;
    slot->voted = slot->run->info.m > 0 && (slot->run->check || doubted);
    if (job == NULL || !job->looks || doubted) {
        return hf_run_next(slot);
    }
    TRY(job_op_new(job, JOB_LOOK, &op));
    (void)hf_job_key_put(&op->key, buf_view(&job->key), job->object, &slot->cell);
    const int err = op->key.err != 0 ? op->key.err : job_get(op);
    if (err != 0) {
        job_op_free(op);
        return err;
    }
    op->slot = slot;
    slot->look_up = op;
    return 0;
}

void hf_job_drop(struct run_slot *slot)
{
    if (slot->look_up != NULL) {
        job_op_detach(slot->look_up);
    }
    compute_task_free(slot->whole);
    slot->whole = NULL;
    if (slot->run->job != NULL) {
        slot->run->job->pumps = false;
    }
}

/* ---- states --------------------------------------------------------------------------------- */

int hf_job_joined(struct run_slot *slot, enum compute_task_quotes quotes)
{
    const uint64_t begins = slot->cell * slot->run->info.cell_bytes;
    if (slot->run->job == NULL || slot->resumed) {
        return 0;
    }
    slot->run->job->joined = true;
    slot->whole_bytes += slot->kept_bytes;
    if (slot->whole_bytes > JOB_WHOLE_BYTES_MAX) {
        compute_task_free(slot->whole);
        slot->whole = NULL;
        return 0;
    }
    TRY(compute_task_leave_other(slot->kept, quotes));
    if (compute_task_from(slot->kept) == begins) {
        compute_task_free(slot->whole);
        slot->whole = slot->kept;
        slot->kept = NULL;
        return 0;
    }
    return compute_task_merge(slot->whole, slot->kept);
}

int hf_job_cell(struct run_slot *slot)
{
    struct hf_run *r = slot->run;
    struct buf state;
    struct job_op *op = NULL;
    uint8_t digest[MERKLE_HASH_BYTES];
    if (r->job != NULL) {
        r->job->joined = false;
    }
    if (slot->whole == NULL) {
        return r->job != NULL ? hf_run_print(r) : 0;
    }
    struct job_task task = {.decoded = slot->decoded,
                            .checked = slot->voted,
                            .node = slot->node,
                            .from = compute_task_from(slot->whole),
                            .to = compute_task_to(slot->whole),
                            .origin = bytes_of(r->job->origin, MERKLE_HASH_BYTES),
                            .digest = bytes_of(digest, sizeof(digest))};
    ASSERT(task.to == slot->end);
    buf_init(&state, &r->transfer.client->heap, 2 * (size_t)JOB_WHOLE_BYTES_MAX);
    int err = compute_task_encode(slot->whole, &state);
    err = err == 0 ? hf_job_digest(buf_view(&state), digest) : err;
    struct job_doubt *doubt = job_doubt_of(r->job, slot->cell);
    if (err == 0 && doubt != NULL) {
        job_decided(r->job, doubt, digest);
    }
    task.whole = state.size <= JOB_STATE_BYTES_MAX;
    task.state = buf_view(&state);
    err = err == 0 ? job_op_new(r->job, JOB_COMMIT, &op) : err;
    if (err == 0) {
        (void)hf_job_key_put(&op->key, buf_view(&r->job->key), r->job->object, &slot->cell);
        (void)hf_job_task_put(&op->value, &task);
        op->cell = slot->cell;
        err = job_commit(op);
    }
    buf_release(&state);
    compute_task_free(slot->whole);
    slot->whole = NULL;
    return err;
}
