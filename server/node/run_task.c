/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program over a part of one data cell, where it lies, and the call between nodes that asks for
 * it. The part is worked through in slices, each a job of the lane behind all others, so that a
 * long program holds no worker for long; bytes of a cell are read and their checksums checked
 * before the program sees them. What a program may cost is bounded before it begins (bytes times
 * steps) and while it runs (what rows of tables cost, of those that are found; memory, bytes of its
 * state, time); beyond that it ends. A slice ends early where the rows that it found cost much.
 *
 *   open -> slice (job) -> more left: again -> encode, free groups (job) -> done
 *    |         |
 *    +> tables-+  (it waits for those that it looks into: run_table.c)
 *
 * One that is stopped, or whose time is over, has ended for whoever waits for it; its groups may be
 * many, so a last job frees them, not the loop.
 */
#include "base/hash.h"
#include "compute/task.h"
#include "server/node/objects_internal.h"

#define NODE_RUN_SLICE_STEPS (UINT64_C(1) << 22)
#define NODE_RUN_SLICE_MOST (256u << 10)        /* that is read */
#define NODE_RUN_TIME_MAX_US UINT64_C(60000000) /* for another node */
#define NODE_RUN_COST_BYTES 16u                 /* of tables, before a state */

struct node_run_task {
    struct node_task task;
    struct node_work link;
    struct node_timer timer; /* the lane was full */
    bool out;                /* a job is */
    bool freeing;            /* the job that is out, or is next, only frees */
    struct node_objects *o;
    struct node_run_spec spec;
    void *ctx;
    node_run_fn *done; /* NULL: was called */
    uint64_t seed;
    struct node_table_use use[WIRE_LOOKUPS_MAX];
    unsigned waiting; /* for tables */
    bool bound;       /* it has them */
    uint8_t table;    /* the one that is missing; and 1 */
    /* the worker's, while a job is out */
    uint32_t taken;
    struct alloc heap; /* of workers */
    struct alloc_budget budget;
    struct alloc bounded; /* of heap, within the budget */
    struct compute_program *plan;
    struct compute_task *compute;
    struct buf state;
    uint8_t text[];
};

static size_t node_run_task_bytes(const struct node_run_task *t)
{
    return sizeof *t + t->spec.program.size + t->spec.lookups.size;
}

/* Where groups are freed: on a worker, or when the node ends. */
static void node_run_let_go(struct node_run_task *t)
{
    compute_task_free(t->compute);
    compute_program_free(t->plan);
    t->compute = NULL;
    t->plan = NULL;
}

static void node_run_task_free(struct node_run_task *t)
{
    struct node_objects *o = t->o;
    node_timer_cancel(o->n, &t->timer);
    node_work_remove(&t->link);
    o->run_tasks_count--;
    node_run_let_go(t);
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX; i++) {
        node_table_give(&t->use[i]);
    }
    buf_release(&t->state);
    if (t->spec.data != NULL) {
        node_blob_release(o->n, t->spec.data);
    }
    alloc_put(&o->alloc, t, node_run_task_bytes(t));
}

/* Nobody waits for it. What a job that is out needs stays until that has ended. */
static void node_run_retire(struct node_run_task *t)
{
    if (t->out) {
        return;
    }
    if (t->plan == NULL) {
        node_run_task_free(t);
        return;
    }
    t->freeing = true;
    t->out = node_task_start(t->o->n, &t->task, NODE_LANE_COMPUTE) == 0;
    if (!t->out) {
        node_timer_set(t->o->n, &t->timer, node_now(t->o->n) + NODE_CALL_RETRY_US);
    }
}

static void node_run_end(struct node_run_task *t, int code)
{
    node_run_fn *done = t->done;
    const uint8_t missing = (uint8_t)(t->table - 1);
    const struct bytes said = bytes_of(&missing, t->table > 0);
    t->done = NULL;
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX && t->waiting > 0; i++) {
        if (t->use[i].waits) {
            node_table_give(&t->use[i]);
        }
    }
    t->waiting = 0;
    done(t->o->n, t->ctx, code, code == 0 ? buf_view(&t->state) : said);
    node_run_retire(t);
}

static struct node_run_task *node_run_task_of(struct node_work *link)
{
    return (struct node_run_task *)(void *)((uint8_t *)link - offsetof(struct node_run_task, link));
}

void node_run_tasks_end(struct node_objects *o)
{
    while (!node_work_empty(&o->run_tasks)) {
        struct node_run_task *t = node_run_task_of(o->run_tasks.next);
        node_run_fn *done = t->done;
        if (done != NULL) {
            t->done = NULL;
            done(o->n, t->ctx, ERR_UNAVAILABLE, bytes_of(NULL, 0));
        }
        node_run_task_free(t);
    }
}

/* returns: a task that was begun for this node, of this ticket if it is not 0; or NULL. */
static struct node_run_task *node_run_task_for(struct node_objects *o, uint32_t asker,
                                               uint64_t ticket)
{
    for (struct node_work *w = o->run_tasks.next; w != &o->run_tasks; w = w->next) {
        struct node_run_task *t = node_run_task_of(w);
        if (t->done != NULL && t->spec.asker == asker &&
            (ticket == 0 || t->spec.ticket == ticket)) {
            return t;
        }
    }
    return NULL;
}

void node_run_stop(struct node_objects *o, uint32_t asker, uint64_t ticket)
{
    struct node_run_task *t = NULL;
    while ((t = node_run_task_for(o, asker, ticket)) != NULL) {
        node_run_end(t, ERR_CANCELLED);
    }
}

/* ---- on a worker ---------------------------------------------------------------------------- */

static int node_run_open(struct node_run_task *t, struct node_env *env)
{
    t->heap = env->alloc;
    t->bounded = alloc_budget_init(&t->budget, t->heap, NODE_RUN_MEMORY_BYTES_MAX);
    buf_init(&t->state, &t->bounded, NODE_RUN_STATE_BYTES_MAX + NODE_RUN_COST_BYTES);
    TRY(compute_program_new(&t->plan, &t->heap, t->spec.program, NULL));
    compute_program_seed(t->plan, t->seed);
    return 0;
}

/* With its tables, if it has any. */
static int node_run_begin(struct node_run_task *t, const struct node_env *env)
{
    const struct compute_task_options options = {.from = t->spec.from,
                                                 .quotes = t->spec.quotes,
                                                 .memory_bytes = UINT64_MAX,
                                                 .whole = env->whole};
    if (t->spec.bytes > NODE_RUN_STEPS_MAX / compute_program_steps(t->plan) ||
        compute_program_row_steps(t->plan) > NODE_RUN_STEPS_MAX) {
        return ERR_TOO_LARGE;
    }
    return compute_task_new(&t->compute, &t->bounded, t->plan, &options, NULL);
}

/* returns: bytes of the next slice: less of them where a record takes many steps; more where they
 * are in memory. */
static uint32_t node_run_slice_bytes(const struct node_run_task *t)
{
    uint64_t bytes = NODE_RUN_SLICE_STEPS / compute_program_steps(t->plan);
    bytes = NUM_MAX(bytes, (uint64_t)1);
    bytes = NUM_MIN(bytes, t->spec.data != NULL ? bytes : (uint64_t)NODE_RUN_SLICE_MOST);
    return NUM_MIN((uint32_t)bytes, t->spec.bytes - t->taken);
}

/* What tables cost, before the state. */
static void node_run_cost_put(struct node_run_task *t)
{
    uint64_t fetched = 0;
    uint64_t moved = 0;
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX; i++) {
        fetched += t->use[i].fetched;
        moved += t->use[i].moved;
    }
    (void)buf_put_u64(&t->state, fetched);
    (void)buf_put_u64(&t->state, moved);
}

/* Of these bytes as many as rows of tables leave work for; the next slice begins behind them. */
static int node_run_update(struct node_run_task *t, const uint8_t *data, uint32_t bytes)
{
    size_t taken = 0;
    TRY(compute_task_update_some(t->compute, bytes_of(data, bytes), NODE_RUN_SLICE_STEPS, &taken));
    t->taken += (uint32_t)taken;
    const bool divisible = t->spec.bytes > 1; /* or one record at most has cost all that */
    return divisible && compute_task_row_steps(t->compute) > NODE_RUN_STEPS_MAX ? ERR_TOO_LARGE : 0;
}

/* From the disk, in blocks whose checksums are right. */
static int node_run_read(struct node_run_task *t, struct node_env *env, uint32_t bytes)
{
    const struct store_cell_id id = node_cell_id(&t->spec.ref);
    uint8_t *slice = alloc_get(&t->heap, bytes);
    if (slice == NULL) {
        return ERR_NO_MEMORY;
    }
    int err = store_segments_get(env->segments, &id, t->spec.at + t->taken, bytes, slice, NULL);
    err = err != 0 ? err : node_run_update(t, slice, bytes);
    alloc_put(&t->heap, slice, bytes);
    return err;
}

static int node_run_slice(struct node_run_task *t, struct node_env *env)
{
    const uint32_t bytes = node_run_slice_bytes(t);
    if (t->spec.data != NULL) {
        const uint8_t *data = node_blob_data(t->spec.data) + t->spec.data_at;
        TRY(node_run_update(t, data + t->taken, bytes));
    } else {
        TRY(node_run_read(t, env, bytes));
    }
    if (t->taken < t->spec.bytes) {
        return 0;
    }
    compute_task_leave_open(t->compute, NODE_RUN_OPEN_BYTES_MAX);
    if (t->spec.lookups.size > 0) {
        node_run_cost_put(t);
    }
    return compute_task_encode(t->compute, &t->state);
}

/* returns: whether there is anything about tables that is not done yet. */
static bool node_run_wants(const struct node_run_task *t)
{
    return t->spec.lookups.size > 0 || compute_program_lookups(t->plan) > 0;
}

static void node_run_job(struct node_task *task, struct node_env *env)
{
    struct node_run_task *t = (struct node_run_task *)(void *)task;
    int err = 0;
    if (!t->freeing) {
        err = t->plan == NULL ? node_run_open(t, env) : 0;
        if (err == 0 && !t->bound && node_run_wants(t)) {
            task->job.code = 0;
            return;
        }
        err = err != 0 || t->compute != NULL ? err : node_run_begin(t, env);
        err = err != 0 ? err : node_run_slice(t, env);
    }
    bool spent = err == ERR_NO_MEMORY && t->plan != NULL && t->budget.refused > 0;
    if (t->freeing || err != 0 || t->taken == t->spec.bytes) {
        node_run_let_go(t);
    }
    task->job.code = spent ? ERR_TOO_LARGE : err;
}

/* ---- tables --------------------------------------------------------------------------------- */

static void node_run_next(struct node *n, struct node_timer *timer);

static void node_run_no_table(struct node_run_task *t, unsigned i, int code)
{
    t->table = (uint8_t)(i + 1);
    node_run_end(t, code);
}

/* All are here. */
static void node_run_bind(struct node_run_task *t)
{
    for (uint32_t i = 0; i < compute_program_lookups(t->plan); i++) {
        compute_program_bind(t->plan, i, node_table_of(&t->use[i]));
    }
    t->bound = true;
    node_run_next(t->o->n, &t->timer);
}

static void node_run_table_came(struct node_table_use *use, int code)
{
    struct node_run_task *t = use->ctx;
    ASSERT(t->waiting > 0 && t->done != NULL);
    t->waiting--;
    if (code != 0) {
        node_run_no_table(t, (unsigned)(use - t->use), code);
    } else if (t->waiting == 0) {
        node_timer_cancel(t->o->n, &t->timer);
        node_run_bind(t);
    }
}

/* Holds the tables that the program looks into, and waits for those that are not here yet. */
static void node_run_tables(struct node_run_task *t)
{
    struct bytes_reader r = bytes_reader_of(t->spec.lookups);
    const uint32_t count = compute_program_lookups(t->plan);
    bool header = false;
    for (uint32_t i = 0; i < count; i++) {
        struct node_lookup l;
        node_lookup_take(&r, &l);
        if (r.failed) {
            break; /* they are fewer */
        }
        (void)compute_program_lookup(t->plan, i, &header);
        t->use[i] = (struct node_table_use){.ctx = t, .done = node_run_table_came};
        const int err = node_table_take(t->o, &l, header, &t->use[i]);
        if (err != 0) {
            node_run_no_table(t, i, err);
            return;
        }
        t->waiting += t->use[i].waits;
    }
    if (!bytes_reader_ended(&r)) {
        node_run_end(t, ERR_INVALID);
    } else if (t->waiting == 0) {
        node_run_bind(t);
    } else {
        node_timer_set(t->o->n, &t->timer, t->spec.deadline_us);
    }
}

/* ---- slices --------------------------------------------------------------------------------- */

static void node_run_next(struct node *n, struct node_timer *timer)
{
    struct node_run_task *t = timer->ctx;
    if (t->done == NULL) {
        node_run_retire(t);
        return;
    }
    if (node_now(n) >= t->spec.deadline_us) {
        node_run_end(t, ERR_TIMEOUT);
        return;
    }
    t->out = node_task_start(n, &t->task, NODE_LANE_COMPUTE) == 0;
    if (!t->out) {
        node_timer_set(n, &t->timer, node_now(n) + NODE_CALL_RETRY_US);
    }
}

static void node_run_job_done(struct node *n, struct node_task *task)
{
    struct node_run_task *t = (struct node_run_task *)(void *)task;
    t->out = false;
    t->o->run_slices++;
    if (t->done == NULL) {
        node_run_retire(t);
    } else if (task->job.code == 0 && !t->bound && t->plan != NULL && node_run_wants(t)) {
        node_run_tables(t);
    } else if (task->job.code != 0 || t->taken == t->spec.bytes) {
        node_run_end(t, task->job.code);
    } else {
        node_run_next(n, &t->timer);
    }
}

bool node_run_has_place(const struct node_objects *o)
{
    return o->run_tasks_count + o->run_places < NODE_RUNS_MAX;
}

int node_run_start(struct node_objects *o, const struct node_run_spec *spec, void *ctx,
                   node_run_fn *done)
{
    const size_t bytes = sizeof(struct node_run_task) + spec->program.size + spec->lookups.size;
    ASSERT(spec->bytes > 0);
    if (!spec->placed && !node_run_has_place(o)) {
        return ERR_BUSY;
    }
    if (spec->program.size > WIRE_PROGRAM_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    struct node_run_task *t = alloc_get(&o->alloc, bytes);
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    *t = (struct node_run_task){.task = {.run = node_run_job, .done = node_run_job_done},
                                .o = o,
                                .spec = *spec,
                                .ctx = ctx,
                                .done = done,
                                .seed = hash_mix(node_options_get(o->n)->boot_nonce)};
    if (spec->program.size > 0) {
        memcpy(t->text, spec->program.data, spec->program.size);
    }
    t->spec.program = bytes_of(t->text, spec->program.size);
    if (spec->lookups.size > 0) {
        memcpy(t->text + spec->program.size, spec->lookups.data, spec->lookups.size);
    }
    t->spec.lookups = bytes_of(t->text + spec->program.size, spec->lookups.size);
    t->timer.ctx = t;
    t->timer.fire = node_run_next;
    if (t->spec.data != NULL) {
        node_blob_retain(t->spec.data);
    }
    node_work_add(&o->run_tasks, &t->link);
    o->run_tasks_count++;
    buf_init(&t->state, &o->alloc, 0);
    int err = node_task_start(o->n, &t->task, NODE_LANE_COMPUTE);
    t->out = err == 0;
    if (err == ERR_BUSY && spec->placed) {
        node_timer_set(o->n, &t->timer, node_now(o->n) + NODE_CALL_RETRY_US);
        return 0;
    }
    if (err != 0) {
        node_run_task_free(t);
    }
    return err;
}

/* ---- between nodes -------------------------------------------------------------------------- */

void node_run_put(struct buf *b, const struct node_run_spec *spec, uint64_t left_us)
{
    node_cell_ref_put(b, &spec->ref);
    (void)buf_put_u32(b, spec->at);
    (void)buf_put_u32(b, spec->bytes);
    (void)buf_put_u64(b, spec->from);
    (void)buf_put_u64(b, left_us);
    (void)buf_put_u64(b, spec->ticket);
    (void)buf_put_u8(b, spec->quotes);
    (void)buf_put_bytes(b, spec->program);
    (void)buf_append(b, spec->lookups.data, spec->lookups.size);
}

bool node_run_cost_take(struct bytes *state, uint64_t *fetched, uint64_t *moved)
{
    struct bytes_reader r = bytes_reader_of(*state);
    *fetched = bytes_take_u64(&r);
    *moved = bytes_take_u64(&r);
    *state = bytes_of(r.at, r.failed ? 0 : r.left);
    return !r.failed;
}

bool node_run_take(struct bytes body, struct node_run_spec *spec, uint64_t *left_us)
{
    struct bytes_reader r = bytes_reader_of(body);
    *spec = (struct node_run_spec){.data = NULL};
    node_cell_ref_take(&r, &spec->ref);
    spec->at = bytes_take_u32(&r);
    spec->bytes = bytes_take_u32(&r);
    spec->from = bytes_take_u64(&r);
    *left_us = bytes_take_u64(&r);
    spec->ticket = bytes_take_u64(&r);
    spec->quotes = bytes_take_u8(&r);
    spec->program = bytes_take_bytes(&r, WIRE_PROGRAM_BYTES_MAX);
    spec->lookups = bytes_of(r.at, r.failed ? 0 : r.left);
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX && r.left > 0; i++) {
        struct node_lookup l;
        node_lookup_take(&r, &l);
    }
    return bytes_reader_ended(&r) && spec->bytes > 0 && spec->ticket != 0 &&
           spec->quotes <= COMPUTE_TASK_QUOTES_INSIDE &&
           num_fits(spec->at, spec->bytes, STORE_SEG_CELL_BYTES_MAX);
}

int node_run_ask(struct node_objects *o, uint32_t peer, const struct node_run_spec *spec, void *ctx,
                 node_done_fn *done)
{
    uint64_t now = node_now(o->n);
    struct buf head;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_run_put(&head, spec, spec->deadline_us > now ? spec->deadline_us - now : 0);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_RUN, buf_view(&head), NULL, spec->deadline_us, ctx, done);
    }
    buf_release(&head);
    return err;
}

struct node_run_served {
    struct node_objects *o;
    struct node_request request;
};

static void node_run_serve_done(struct node *n, void *ctx, int code, struct bytes state)
{
    struct node_run_served *s = ctx;
    node_answer(n, s->request, code, state, NULL);
    alloc_put(&s->o->alloc, s, sizeof *s);
}

void node_run_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct node_run_spec spec;
    uint64_t left_us = 0;
    int err = node_run_take(body, &spec, &left_us) ? 0 : ERR_INVALID;
    spec.deadline_us = node_now(n) + NUM_MIN(left_us, NODE_RUN_TIME_MAX_US);
    spec.asker = request.peer;
    struct node_run_served *s = err == 0 ? alloc_get(&o->alloc, sizeof *s) : NULL;
    if (s == NULL) {
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    *s = (struct node_run_served){.o = o, .request = request};
    err = node_run_start(o, &spec, s, node_run_serve_done);
    if (err != 0) {
        alloc_put(&o->alloc, s, sizeof *s);
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
    }
}

int node_run_look(struct node_objects *o, uint32_t peer, const struct node_run_look *look,
                  void *ctx, node_done_fn *done)
{
    struct buf head;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)buf_put_u64(&head, look->ticket);
    (void)buf_put_u8(&head, look->stop);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_RUN_LOOK, buf_view(&head), NULL, look->deadline_us, ctx,
                  done);
    }
    buf_release(&head);
    return err;
}

bool node_run_look_reply(struct bytes reply, uint64_t *slices)
{
    struct bytes_reader r = bytes_reader_of(reply);
    *slices = bytes_take_u64(&r);
    return bytes_reader_ended(&r);
}

void node_run_look_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes_reader r = bytes_reader_of(body);
    struct buf head;
    const uint64_t ticket = bytes_take_u64(&r);
    const uint8_t stop = bytes_take_u8(&r);
    int err = bytes_reader_ended(&r) && ticket != 0 && stop <= 1 ? 0 : ERR_INVALID;
    if (err == 0 && node_run_task_for(o, request.peer, ticket) == NULL) {
        err = ERR_NOT_FOUND;
    }
    if (err == 0 && stop != 0) {
        node_run_stop(o, request.peer, ticket);
    }
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)buf_put_u64(&head, o->run_slices);
    err = err != 0 ? err : head.err;
    node_answer(n, request, err, err == 0 ? buf_view(&head) : bytes_of(NULL, 0), NULL);
    buf_release(&head);
}
