/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Repair: each node pulls what is missing at itself. It asks every group for its MISSING records,
 * takes those with the least redundancy first, reads the extent's record again, looks whether its
 * own disk has the shard after all, else rebuilds it cell by cell, and reports it. Rounds begin at
 * start, when a peer comes up, on hints, and now and then; nothing is remembered between them.
 *
 *   round   group by group: ask -> sort -> jobs until the list is empty -> ask again if any went
 *           well and there is more -> next group
 *   job     extents question -> check own cells -> rebuild -> SHARD_REPAIRED
 */
#include "server/node/objects_internal.h"

#define NODE_REPAIR_ROWS_MAX 256u
#define NODE_REPAIR_JOBS_MAX 8u
#define NODE_REPAIR_PAUSE_US 10000000u /* between rounds without a reason */
#define NODE_REPAIR_SOON_US 500000u    /* after a round in which something failed */

struct node_repair_row {
    struct node_missing_id id;
    uint8_t left;
};

struct node_repair_job {
    struct node_repair *r;
    bool used;
    struct node_missing_id id;
    struct node_extent_info *info;
    uint32_t stripe; /* of the look at the own disk */
    bool gone;       /* a cell is not there: rebuild */
};

struct node_repair {
    struct node_objects *o;
    struct node_timer timer;
    bool running;
    bool kicked; /* while running: another round follows */
    bool asking;
    bool failed; /* something of this round */
    unsigned repaired;
    uint32_t groups[NODE_OBJECTS_GROUPS_MAX];
    unsigned groups_count;
    unsigned at;
    bool more;
    struct node_missing_id after; /* the last row of the last answer */
    struct node_repair_row rows[NODE_REPAIR_ROWS_MAX];
    unsigned rows_count;
    unsigned rows_at;
    unsigned jobs_out;
    struct node_repair_job jobs[NODE_REPAIR_JOBS_MAX];
};

static void node_repair_step(struct node_repair *r);

static void node_repair_at(struct node_repair *r, uint64_t in_us)
{
    struct node *n = r->o->n;
    if (node_now(n) != UINT64_MAX) {
        node_timer_set(n, &r->timer, node_now(n) + in_us);
    }
}

static void node_repair_round(struct node *n, struct node_timer *t)
{
    struct node_repair *r = t->ctx;
    if (r->running || node_now(n) == UINT64_MAX) {
        return;
    }
    r->running = true;
    r->kicked = false;
    r->failed = false;
    r->groups_count = node_objects_groups(r->o, r->groups, NODE_OBJECTS_GROUPS_MAX);
    r->at = 0;
    r->rows_count = r->rows_at = 0;
    r->more = true;
    r->after = (struct node_missing_id){.node = node_self(n)};
    node_repair_step(r);
}

/* ---- one shard ------------------------------------------------------------------------------ */

static void node_job_end(struct node_repair_job *j, bool well)
{
    struct node_repair *r = j->r;
    if (j->info != NULL) {
        node_info_release(j->info);
    }
    *j = (struct node_repair_job){.r = r};
    r->jobs_out--;
    r->failed |= !well;
    node_repair_step(r);
}

/* What another node kept for this one is not needed there any more. What was written here for
 * nothing may not belong here. */
static void node_job_surplus(const struct node_repair_job *j, bool done)
{
    const struct node_extent_info *info = j->info;
    uint32_t holder = info->e.holder[j->id.shard];
    const struct node_cell_ref ref = {
        .version = j->id.version, .group = info->group, .shard = j->id.shard};
    uint32_t peer = done ? holder : node_self(j->r->o->n);
    if (peer != j->id.node || !done) {
        node_surplus_hint(j->r->o, peer, &ref, j->id.extent);
    }
}

static void node_job_reported(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_repair_job *j = ctx;
    struct node_objects *o = j->r->o;
    bool over = code == 0 || code == ERR_VERSION_GONE || code == ERR_NOT_FOUND;
    if (code == 0) {
        j->r->repaired++;
        o->counters.shards_repaired++;
        o->counters.bytes_repaired +=
            erasure_shard_bytes(&j->info->layout, j->id.extent, j->id.shard);
        node_info_forget(j->info);
    }
    node_job_surplus(j, code == 0);
    node_job_end(j, over);
}

static void node_job_report(struct node_repair_job *j)
{
    struct node_object_cmd c = {.shard = j->id.shard, .revision = j->info->e.revision};
    node_extent_ref_of(j->id.version, j->id.extent, &j->info->e, &c.ref);
    if (node_objects_propose(j->r->o, j->info->group, NODE_OP_SHARD_REPAIRED, &c, j,
                             node_job_reported) != 0) {
        node_job_end(j, false);
    }
}

static void node_job_rebuilt(struct node *n, void *ctx, int code, uint32_t failed)
{
    struct node_repair_job *j = ctx;
    (void)failed;
    if (code != 0) {
        log_line(node_log(n), LOG_WARN, "repair_failed", "version=%llu extent=%u shard=%u code=%s",
                 (unsigned long long)node_version_wire(j->id.version), j->id.extent, j->id.shard,
                 err_name(code));
        node_job_end(j, false);
        return;
    }
    node_job_report(j);
}

static void node_job_rebuild(struct node_repair_job *j)
{
    struct node_objects *o = j->r->o;
    const struct node_options *options = node_options_get(o->n);
    struct node_rebuild_spec spec = {
        .info = j->info,
        .wanted = 1u << j->id.shard,
        .lane = NODE_LANE_REPAIR,
        .bytes_per_s = options->repair_bytes_per_s == 0
                           ? 0
                           : NUM_MAX(options->repair_bytes_per_s / NODE_REPAIR_JOBS_MAX, 1u)};
    spec.target[j->id.shard] = node_self(o->n);
    if (j->r->jobs_out == 1) { /* alone: it has all of the budget */
        spec.bytes_per_s = options->repair_bytes_per_s;
    }
    if (node_rebuild_start(o, &spec, j, node_job_rebuilt) == NULL) {
        node_job_end(j, false);
    }
}

/* ---- the own disk --------------------------------------------------------------------------- */

static void node_job_look(struct node_repair_job *j);

/* A cell that is there is compared with its root; parity with its fingerprint, if that is known. */
static bool node_job_whole(const struct node_repair_job *j, uint32_t stripe,
                           const struct node_check_result *result)
{
    return result->code == 0 &&
           result->bytes == node_info_cell_bytes(j->info, stripe, j->id.shard) &&
           node_info_same(j->info, stripe, j->id.shard, result);
}

static void node_job_looked(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_repair_job *j = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    struct node_check_result result;
    if (code != 0) {
        node_job_end(j, false);
        return;
    }
    while (node_shard_check_next(&r, &result)) {
        bool exists = node_info_cell_bytes(j->info, j->stripe, j->id.shard) > 0;
        j->gone |= exists && !node_job_whole(j, j->stripe, &result);
        j->stripe++;
    }
    if (r.failed || j->gone) {
        node_job_rebuild(j);
    } else if (j->stripe < j->info->e.stripes) {
        node_job_look(j);
    } else {
        node_job_report(j);
    }
}

static void node_job_look(struct node_repair_job *j)
{
    struct node_objects *o = j->r->o;
    if (node_surplus_deleting(o, j->id.version)) {
        node_job_end(j, false);
        return;
    }
    node_surplus_touch(o, j->id.version);
    const struct node_cell_check c = {
        .ref = {.version = j->id.version,
                .group = j->info->group,
                .cell = node_info_cell(j->info, j->stripe),
                .shard = j->id.shard},
        .count = NUM_MIN(j->info->e.stripes - j->stripe, j->stripe == 0 ? 1u : 16u),
        .full = true,
        .deadline_us = node_objects_patience(o)};
    if (node_shard_check(o, node_self(o->n), &c, j, node_job_looked) != 0) {
        node_job_end(j, false);
    }
}

/* ---- the extent ----------------------------------------------------------------------------- */

/* returns: 0 with j->info; ERR_DONE if nothing is to be done any more. */
static int node_job_learn(struct node_repair_job *j, uint32_t group, struct bytes reply)
{
    struct node_extent_info *info = NULL;
    TRY(node_info_learn(j->r->o, group, j->id.version, j->id.extent, reply, &info));
    const struct node_extent *e = &info->e;
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    if (j->id.shard >= shards || e->home[j->id.shard] != j->id.node ||
        (node_extent_missing(e) >> j->id.shard & 1u) == 0) {
        node_info_release(info);
        return ERR_DONE;
    }
    j->info = info;
    return 0;
}

static void node_job_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_repair_job *j = ctx;
    if (code == 0) {
        code = node_job_learn(j, j->r->groups[j->r->at], reply);
    }
    if (code != 0) {
        node_job_end(j, code == ERR_DONE);
    } else {
        node_job_look(j);
    }
}

static void node_job_start(struct node_repair_job *j, const struct node_missing_id *id)
{
    struct node_repair *r = j->r;
    const struct node_object_ask ask = {
        .version = id->version, .from = id->extent, .limit = 1, .roots = true};
    j->used = true;
    j->id = *id;
    r->jobs_out++;
    if (node_objects_ask(r->o, r->groups[r->at], NODE_QUERY_OBJECT_EXTENTS, &ask,
                         node_objects_patience(r->o), j, node_job_learnt) != 0) {
        j->used = false;
        r->jobs_out--;
        r->failed = true;
    }
}

/* ---- a round -------------------------------------------------------------------------------- */

/* Least redundancy first; within one, in the order of the records. */
static void node_repair_sort(struct node_repair *r)
{
    for (unsigned i = 1; i < r->rows_count; i++) {
        struct node_repair_row row = r->rows[i];
        unsigned at = i;
        for (; at > 0 && r->rows[at - 1].left > row.left; at--) {
            r->rows[at] = r->rows[at - 1];
        }
        r->rows[at] = row;
    }
}

static void node_repair_rows(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_repair *r = ctx;
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    r->asking = false;
    r->rows_count = r->rows_at = 0;
    r->more = false;
    if (code != 0) {
        r->failed = true;
        node_repair_step(r);
        return;
    }
    node_answer_rows_of(bytes_reader_of(reply), &rows);
    while (r->rows_count < NODE_REPAIR_ROWS_MAX && node_answer_row(&rows, &name, &value)) {
        struct node_repair_row *row = &r->rows[r->rows_count];
        if (node_name_of_missing(name, &row->id) && value.size == 2) {
            row->left = value.data[1];
            r->after = row->id;
            r->rows_count++;
        }
    }
    r->more = rows.more && r->rows_count > 0;
    node_repair_sort(r);
    node_repair_step(r);
}

static void node_repair_ask(struct node_repair *r)
{
    const struct node_object_ask ask = {
        .missing = r->after, .limit = NODE_REPAIR_ROWS_MAX, .flag = r->after.version.grant != 0};
    r->asking = true;
    if (node_objects_ask(r->o, r->groups[r->at], NODE_QUERY_MISSING, &ask,
                         node_objects_patience(r->o), r, node_repair_rows) != 0) {
        r->asking = false;
        r->more = false;
        r->failed = true;
    }
}

static void node_repair_end(struct node_repair *r)
{
    r->running = false;
    if (r->kicked) {
        node_repair_at(r, 0);
    } else {
        node_repair_at(r, r->failed ? NODE_REPAIR_SOON_US : NODE_REPAIR_PAUSE_US);
    }
}

static void node_repair_fill(struct node_repair *r)
{
    uint64_t most = NUM_MIN(node_options_get(r->o->n)->limits.repairs, NODE_REPAIR_JOBS_MAX);
    for (unsigned i = 0; i < NODE_REPAIR_JOBS_MAX; i++) {
        if (r->rows_at < r->rows_count && r->jobs_out < most && !r->jobs[i].used) {
            node_job_start(&r->jobs[i], &r->rows[r->rows_at++].id);
        }
    }
}

static void node_repair_step(struct node_repair *r)
{
    if (!r->running || r->asking) {
        return;
    }
    if (node_now(r->o->n) == UINT64_MAX) {
        return;
    }
    node_repair_fill(r);
    if (r->jobs_out > 0 || r->rows_at < r->rows_count) {
        return;
    }
    if (!r->more) {
        r->at++;
        r->after = (struct node_missing_id){.node = node_self(r->o->n)};
        r->more = true;
    }
    if (r->at >= r->groups_count) {
        node_repair_end(r);
        return;
    }
    node_repair_ask(r);
    if (!r->asking) {
        node_repair_end(r);
    }
}

/* ---- around --------------------------------------------------------------------------------- */

int node_repair_new(struct node_objects *o)
{
    struct node_repair *r = alloc_get_zeroed(&o->alloc, 1, sizeof *r);
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->o = o;
    r->timer.ctx = r;
    r->timer.fire = node_repair_round;
    for (unsigned i = 0; i < NODE_REPAIR_JOBS_MAX; i++) {
        r->jobs[i].r = r;
    }
    o->repair = r;
    return 0;
}

void node_repair_start(struct node_objects *o)
{
    node_repair_at(o->repair, NODE_REPAIR_SOON_US);
}

void node_repair_free(struct node_objects *o)
{
    struct node_repair *r = o->repair;
    if (r == NULL) {
        return;
    }
    node_timer_cancel(o->n, &r->timer);
    for (unsigned i = 0; i < NODE_REPAIR_JOBS_MAX; i++) {
        if (r->jobs[i].info != NULL) {
            node_info_release(r->jobs[i].info);
        }
    }
    alloc_put(&o->alloc, r, sizeof *r);
    o->repair = NULL;
}

void node_repair_kick(struct node_objects *o)
{
    struct node_repair *r = o->repair;
    if (!o->started) {
        return;
    }
    r->kicked = true;
    if (!r->running) {
        node_repair_at(r, 0);
    }
}

static void node_hint_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)ctx;
    (void)code;
    (void)reply;
}

void node_repair_hint(struct node_objects *o, uint32_t home)
{
    struct node *n = o->n;
    if (home == node_self(n)) {
        node_repair_kick(o);
    } else if (node_peer_is_up(n, home)) {
        node_call(n, home, NODE_CALL_REPAIR_HINT, bytes_of(NULL, 0), NULL, node_objects_patience(o),
                  NULL, node_hint_done);
    }
}

bool node_repair_works_on(const struct node_objects *o, struct node_version version)
{
    bool works = false;
    for (unsigned i = 0; i < NODE_REPAIR_JOBS_MAX; i++) {
        const struct node_repair_job *j = &o->repair->jobs[i];
        works |= j->used && node_version_equal(j->id.version, version);
    }
    return works;
}

void node_repair_status(const struct node_objects *o, uint64_t *out, uint64_t *waiting)
{
    const struct node_repair *r = o->repair;
    *out = r->jobs_out;
    *waiting = r->rows_count - r->rows_at + (r->running && r->more);
}
