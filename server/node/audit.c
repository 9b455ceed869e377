/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Audit, two walks that never end, a bounded step at a time.
 *
 *   orphans  every node: shards on the own disk whose version has neither intent nor manifest are
 *            deleted. A commit needs its intent and an intent is written before the first shard, so
 *            a version that is asked for after its shard was seen and is gone stays gone.
 *   due      the leader of a group: intents whose log time has passed are cancelled, versions whose
 *            time has come are freed, a few extents in one command.
 */
#include "server/node/objects_internal.h"

#define NODE_AUDIT_SHARDS_MAX 128u
#define NODE_DUE_TICK_US 5000000u /* how often log time is made to pass while something waits */

struct node_audit {
    struct node_objects *o;

    /* orphans */
    struct node_timer timer;
    bool walking;
    bool has_after;
    struct store_shard_info after;
    unsigned shards_count;
    struct store_shard_info shards[NODE_AUDIT_SHARDS_MAX];
    bool asked[NODE_AUDIT_SHARDS_MAX];
    unsigned versions_count;
    unsigned index[NODE_AUDIT_SHARDS_MAX]; /* into shards: the versions of the question */

    /* due */
    struct node_timer due_timer;
    bool due_running;
    bool intents; /* frees first, then intents */
    uint32_t groups[NODE_OBJECTS_GROUPS_MAX];
    unsigned groups_count;
    unsigned at;
    uint64_t ticked_us;
    bool waiting; /* records that are not due yet */
    bool more;
    struct node_version intent_after;
    unsigned rows_count;
    unsigned rows_at;
    struct node_version rows[NODE_AUDIT_SHARDS_MAX];
    uint64_t rows_due[NODE_AUDIT_SHARDS_MAX];
};

static void node_audit_at(struct node_audit *a, struct node_timer *t, uint64_t in_us)
{
    struct node *n = a->o->n;
    if (node_now(n) != UINT64_MAX) {
        node_timer_set(n, t, node_now(n) + in_us);
    }
}

/* ---- orphans: list -------------------------------------------------------------------------- */

struct node_list_task {
    struct node_task task;
    struct node_audit *a;
    bool has_after;
    struct store_shard_info after;
    unsigned count;
    struct store_shard_info shards[NODE_AUDIT_SHARDS_MAX];
};

struct node_delete_task {
    struct node_task task;
    struct node_audit *a;
    unsigned count;
    uint64_t deleted;
    struct node_version versions[NODE_AUDIT_SHARDS_MAX];
};

static void node_audit_ask(struct node_audit *a);

static void node_audit_pause(struct node_audit *a)
{
    a->walking = false;
    node_audit_at(a, &a->timer,
                  NUM_MAX(node_options_get(a->o->n)->audit_interval_us, (uint64_t)1000));
}

static void node_list_run(struct node_task *task, struct node_env *env)
{
    struct node_list_task *l = (struct node_list_task *)(void *)task;
    task->job.code = store_segments_list(env->segments, l->has_after ? &l->after : NULL, l->shards,
                                         NODE_AUDIT_SHARDS_MAX, &l->count);
}

static void node_list_done(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_list_task *l = (struct node_list_task *)(void *)task;
    struct node_audit *a = l->a;
    a->shards_count = task->job.code == 0 ? l->count : 0;
    memcpy(a->shards, l->shards, sizeof a->shards);
    memset(a->asked, 0, sizeof a->asked);
    a->has_after = a->shards_count > 0;
    if (a->has_after) {
        a->after = a->shards[a->shards_count - 1];
    }
    alloc_put(&a->o->alloc, l, sizeof *l);
    node_audit_ask(a);
}

static void node_audit_fire(struct node *n, struct node_timer *t)
{
    struct node_audit *a = t->ctx;
    if (a->walking || node_now(n) == UINT64_MAX) {
        return;
    }
    struct node_list_task *l = alloc_get_zeroed(&a->o->alloc, 1, sizeof *l);
    if (l == NULL) {
        node_audit_pause(a);
        return;
    }
    l->task.run = node_list_run;
    l->task.done = node_list_done;
    l->a = a;
    l->has_after = a->has_after;
    l->after = a->after;
    if (node_task_start(n, &l->task, NODE_LANE_READ) != 0) {
        alloc_put(&a->o->alloc, l, sizeof *l);
        node_audit_pause(a);
        return;
    }
    a->walking = true;
}

/* ---- orphans: ask and delete ---------------------------------------------------------------- */

static void node_delete_run(struct node_task *task, struct node_env *env)
{
    struct node_delete_task *d = (struct node_delete_task *)(void *)task;
    for (unsigned i = 0; i < d->count && task->job.code == 0; i++) {
        uint64_t deleted = 0;
        task->job.code = store_segments_delete(env->segments, d->versions[i].grant,
                                               d->versions[i].counter, UINT8_MAX, &deleted);
        d->deleted += deleted;
    }
}

static void node_delete_done(struct node *n, struct node_task *task)
{
    struct node_delete_task *d = (struct node_delete_task *)(void *)task;
    struct node_audit *a = d->a;
    if (task->job.code == 0 && d->deleted > 0) {
        a->o->counters.orphans_deleted += d->deleted;
        log_line(node_log(n), LOG_INFO, "orphans_deleted", "versions=%u cells=%llu", d->count,
                 (unsigned long long)d->deleted);
    }
    alloc_put(&a->o->alloc, d, sizeof *d);
    node_audit_ask(a);
}

static struct node_version node_audit_version(const struct node_audit *a, unsigned i)
{
    const struct store_shard_info *s = &a->shards[i];
    return (struct node_version){.grant = s->extent_grant, .counter = s->extent_counter};
}

static void node_audit_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_audit *a = ctx;
    struct node_delete_task *d = NULL;
    if (code == 0 && reply.size == a->versions_count) {
        d = alloc_get_zeroed(&a->o->alloc, 1, sizeof *d);
    }
    if (d == NULL) {
        node_audit_ask(a); /* the walk comes by again */
        return;
    }
    for (unsigned i = 0; i < a->versions_count; i++) {
        if (reply.data[i] == NODE_LIVE_GONE) {
            d->versions[d->count++] = node_audit_version(a, a->index[i]);
        }
    }
    d->task.run = node_delete_run;
    d->task.done = node_delete_done;
    d->a = a;
    if (d->count == 0 || node_task_start(n, &d->task, NODE_LANE_SHARD) != 0) {
        alloc_put(&a->o->alloc, d, sizeof *d);
        node_audit_ask(a);
    }
}

/* Gathers the versions of one group that have not been asked for. returns: the group. */
static uint32_t node_audit_choose(struct node_audit *a)
{
    uint32_t group = 0;
    a->versions_count = 0;
    for (unsigned i = 0; i < a->shards_count; i++) {
        if (a->asked[i] || (a->versions_count > 0 && a->shards[i].group != group)) {
            continue;
        }
        group = a->shards[i].group;
        a->asked[i] = true;
        unsigned last = a->versions_count == 0 ? 0 : a->index[a->versions_count - 1];
        if (a->versions_count == 0 ||
            !node_version_equal(node_audit_version(a, last), node_audit_version(a, i))) {
            a->index[a->versions_count++] = i;
        }
    }
    return group;
}

static void node_audit_ask(struct node_audit *a)
{
    struct buf data;
    uint32_t group = node_audit_choose(a);
    if (a->versions_count == 0) {
        node_audit_pause(a);
        return;
    }
    buf_init(&data, &a->o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)buf_put_u32(&data, a->versions_count);
    for (unsigned i = 0; i < a->versions_count; i++) {
        (void)node_put_version(&data, node_audit_version(a, a->index[i]));
    }
    const struct node_object_ask ask = {.data = buf_view(&data)};
    int err = data.err != 0 ? data.err
                            : node_objects_ask(a->o, group, NODE_QUERY_VERSIONS_LIVE, &ask,
                                               node_objects_patience(a->o), a, node_audit_answered);
    buf_release(&data);
    if (err != 0) {
        node_audit_pause(a);
    }
}

/* ---- due ------------------------------------------------------------------------------------ */

static void node_due_step(struct node_audit *a);

static void node_due_pause(struct node_audit *a)
{
    a->due_running = false;
    node_audit_at(a, &a->due_timer,
                  NUM_MAX(node_options_get(a->o->n)->audit_interval_us, (uint64_t)1000));
}

static void node_due_fire(struct node *n, struct node_timer *t)
{
    struct node_audit *a = t->ctx;
    if (a->due_running || node_now(n) == UINT64_MAX) {
        return;
    }
    a->due_running = true;
    a->groups_count = node_objects_groups(a->o, a->groups, NODE_OBJECTS_GROUPS_MAX);
    a->at = 0;
    a->intents = false;
    a->waiting = false;
    a->more = true;
    a->rows_count = a->rows_at = 0;
    a->intent_after = (struct node_version){0};
    node_due_step(a);
}

static void node_due_next(struct node_audit *a)
{
    a->rows_at++;
    node_due_step(a);
}

static void node_due_applied(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_audit *a = ctx;
    a->o->counters.uploads_expired += code == 0;
    node_due_next(a);
}

static void node_due_freed(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_audit *a = ctx;
    if (code == 0) {
        node_due_step(a); /* the same version: its next extents, or it is gone */
    } else {
        node_due_next(a);
    }
}

static int node_due_free_cmd(struct node_audit *a, struct bytes reply, struct node_object_cmd *c)
{
    struct node_extents_answer answer;
    struct bytes name;
    struct bytes value;
    TRY(node_extents_answer_of(reply, &answer));
    if (!answer.has_version) {
        return ERR_DONE;
    }
    c->version = a->rows[a->rows_at];
    c->due = a->rows_due[a->rows_at];
    c->from = answer.version.freed;
    c->to = answer.version.freed;
    while (c->refs_count < NODE_OBJECT_FREE_EXTENTS_MAX &&
           node_answer_row(&answer.rows, &name, &value)) {
        struct node_version v;
        struct node_extent e;
        uint32_t extent = 0;
        if (!node_name_of_extent(name, &v, &extent) || node_extent_decode(value, &e) != 0) {
            return ERR_CORRUPT;
        }
        if (extent < c->from) {
            continue; /* freed already; the question began before it */
        }
        node_extent_ref_of(v, extent, &e, &c->refs[c->refs_count++]);
        c->to = extent + 1;
    }
    c->flag = answer.rows.left == 0 && !answer.rows.more;
    return 0;
}

static void node_due_extents(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_audit *a = ctx;
    struct node_object_cmd *c = NULL;
    if (code == 0) {
        c = alloc_get_zeroed(&a->o->alloc, 1, sizeof *c);
        code = c == NULL ? ERR_NO_MEMORY : node_due_free_cmd(a, reply, c);
    }
    if (code == 0) {
        a->o->counters.versions_freed += c->flag;
        code = node_objects_propose(a->o, a->groups[a->at], NODE_OP_FREE, c, a, node_due_freed);
    }
    alloc_put(&a->o->alloc, c, sizeof *c);
    if (code != 0) {
        node_due_next(a);
    }
}

/* returns: 0 and the row's next step is under way. */
static int node_due_row(struct node_audit *a)
{
    struct node_objects *o = a->o;
    uint32_t group = a->groups[a->at];
    struct node_version v = a->rows[a->rows_at];
    if (a->intents) {
        struct node_object_cmd c = {.version = v, .flag = true};
        return node_objects_propose(o, group, NODE_OP_PUT_CANCEL, &c, a, node_due_applied);
    }
    const struct node_object_ask ask = {.version = v, .limit = NODE_OBJECT_FREE_EXTENTS_MAX};
    return node_objects_ask(o, group, NODE_QUERY_OBJECT_EXTENTS, &ask, node_objects_patience(o), a,
                            node_due_extents);
}

static void node_due_rows(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_audit *a = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    a->rows_count = a->rows_at = 0;
    a->more = false;
    if (code == 0) {
        (void)bytes_take_u64(&r);
        bool any = bytes_take_u8(&r) != 0;
        node_answer_rows_of(r, &rows);
        bool all_due = rows.left > 0 && rows.more;
        a->waiting |= any && !all_due;
        a->more = rows.more && a->intents;
        while (a->rows_count < NODE_AUDIT_SHARDS_MAX && node_answer_row(&rows, &name, &value)) {
            uint64_t due = 0;
            struct node_version v;
            bool known = node_name_of_free(name, &due, &v) ||
                         node_name_of_version(name, NODE_KEY_INTENT, &v);
            a->intent_after = known && a->intents ? v : a->intent_after;
            if (known && value.size > 0) {
                a->rows[a->rows_count] = v;
                a->rows_due[a->rows_count++] = due;
            }
        }
    }
    node_due_step(a);
}

static void node_due_ticked(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)code;
    (void)reply;
    node_due_step(ctx);
}

/* Log time passes with entries only: while something waits for it and nobody writes, a command
 * that changes nothing makes it pass. returns: whether one is under way. */
static bool node_due_tick(struct node_audit *a)
{
    struct node_objects *o = a->o;
    const struct node_object_cmd c = {.flag = true};
    if (!a->waiting || node_now(o->n) < a->ticked_us + NODE_DUE_TICK_US) {
        return false;
    }
    a->waiting = false;
    a->ticked_us = node_now(o->n);
    return node_objects_propose(o, a->groups[a->at], NODE_OP_PUT_CANCEL, &c, a, node_due_ticked) ==
           0;
}

/* The next part: intents after frees, then the next group. */
static void node_due_part(struct node_audit *a)
{
    if (a->intents) {
        a->at++;
        a->waiting = false;
    }
    a->intents = !a->intents;
    a->more = true;
    a->intent_after = (struct node_version){0};
}

static void node_due_step(struct node_audit *a)
{
    struct node_objects *o = a->o;
    int err = 0;
    while (node_now(o->n) != UINT64_MAX) {
        if (a->rows_at < a->rows_count) {
            err = node_due_row(a);
            if (err == 0) {
                return;
            }
            a->rows_at++;
            continue;
        }
        if (a->at >= a->groups_count) {
            node_due_pause(a);
            return;
        }
        if (!node_leads(o->n, a->groups[a->at]) || !a->more) {
            if (a->intents && node_leads(o->n, a->groups[a->at]) && node_due_tick(a)) {
                return;
            }
            node_due_part(a);
            continue;
        }
        const struct node_object_ask ask = {
            .version = a->intent_after, .limit = NODE_AUDIT_SHARDS_MAX, .flag = a->intents};
        a->more = false;
        err = node_objects_ask(o, a->groups[a->at], NODE_QUERY_DUE, &ask, node_objects_patience(o),
                               a, node_due_rows);
        if (err == 0) {
            return;
        }
    }
}

/* ---- around --------------------------------------------------------------------------------- */

int node_audit_new(struct node_objects *o)
{
    struct node_audit *a = alloc_get_zeroed(&o->alloc, 1, sizeof *a);
    if (a == NULL) {
        return ERR_NO_MEMORY;
    }
    a->o = o;
    a->timer.ctx = a;
    a->timer.fire = node_audit_fire;
    a->due_timer.ctx = a;
    a->due_timer.fire = node_due_fire;
    o->audit = a;
    return 0;
}

void node_audit_start(struct node_objects *o)
{
    node_audit_pause(o->audit);
    node_due_pause(o->audit);
}

void node_audit_free(struct node_objects *o)
{
    struct node_audit *a = o->audit;
    if (a == NULL) {
        return;
    }
    node_timer_cancel(o->n, &a->timer);
    node_timer_cancel(o->n, &a->due_timer);
    alloc_put(&o->alloc, a, sizeof *a);
    o->audit = NULL;
}

void node_audit_led(struct node_objects *o, uint32_t group)
{
    (void)group;
    if (o->started && !o->audit->due_running) {
        node_audit_at(o->audit, &o->audit->due_timer, 0);
    }
}
