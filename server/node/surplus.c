/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Surplus copies: shards on the own disk that belong to another node, which has them durably by
 * now. They were kept here while their home was down, or moved away while this node was out. Only
 * the extent's record decides, asked anew for each: a shard whose home has it, and whose home and
 * holder are others, goes. What may be needed once more stays: also while a node could be lost that
 * leaves fewer than k of what the record counts on.
 *
 *   hints  a home that has repaired a shard tells the node that kept it
 *   walk   all shards on the disk, now and then, after a start, and when this node belongs to the
 *          cluster again
 *
 * Nothing written or counted on meanwhile is deleted: a question whose version is written to before
 * its answer, or is in repair, is void, and repair leaves versions alone of which cells are being
 * deleted. Writes of cells queue behind the deletion.
 */
#include "server/node/objects_internal.h"

#define NODE_SURPLUS_SHARDS 128u
#define NODE_SURPLUS_HINTS 64u
#define NODE_SURPLUS_PAGE 32u
#define NODE_SURPLUS_STEP_US 2000u
#define NODE_SURPLUS_RETRY_US 1000000u
#define NODE_SURPLUS_PAUSE_US UINT64_C(3600000000) /* between walks */

struct node_surplus_item {
    struct node_version version;
    uint32_t group;
    uint32_t shards; /* bitmap */
    uint32_t extent; /* the next to be asked for */
    bool one;        /* only that */
};

struct node_surplus_task {
    struct node_task task;
    struct node_surplus *u;
    unsigned count;
    uint64_t deleted;
    struct store_cell_range ranges[NODE_SURPLUS_PAGE * 4u];
};

struct node_surplus_list {
    struct node_task task;
    struct node_surplus *u;
    bool has_after;
    struct store_shard_info after;
    unsigned count;
    struct store_shard_info shards[NODE_SURPLUS_SHARDS];
};

struct node_surplus {
    struct node_objects *o;
    struct node_timer timer;
    bool busy;     /* listing, asking or deleting */
    bool deleting; /* cells of item.version */
    bool touched;  /* item.version, since the question */
    bool walking;
    bool has_after;
    uint64_t walk_us; /* when the next walk begins */
    struct store_shard_info after;
    struct node_surplus_item item;
    bool item_open;
    struct node_surplus_item items[NODE_SURPLUS_SHARDS]; /* of the walk */
    unsigned items_count;
    unsigned items_at;
    struct node_surplus_item hints[NODE_SURPLUS_HINTS];
    unsigned hints_count;
};

static void node_surplus_at(struct node_surplus *u, uint64_t in_us)
{
    struct node *n = u->o->n;
    if (node_now(n) != UINT64_MAX) {
        node_timer_set(n, &u->timer, node_now(n) + in_us);
    }
}

static void node_surplus_next(struct node_surplus *u, uint64_t in_us)
{
    u->busy = false;
    u->deleting = false;
    node_surplus_at(u, in_us);
}

/* ---- delete --------------------------------------------------------------------------------- */

static void node_surplus_run(struct node_task *task, struct node_env *env)
{
    struct node_surplus_task *d = (struct node_surplus_task *)(void *)task;
    for (unsigned i = 0; i < d->count && task->job.code == 0; i++) {
        uint64_t deleted = 0;
        task->job.code = store_segments_delete_range(env->segments, &d->ranges[i], &deleted);
        d->deleted += deleted;
    }
}

static void node_surplus_done(struct node *n, struct node_task *task)
{
    struct node_surplus_task *d = (struct node_surplus_task *)(void *)task;
    struct node_surplus *u = d->u;
    if (task->job.code == 0 && d->deleted > 0) {
        u->o->counters.surplus_deleted += d->deleted;
        log_line(node_log(n), LOG_INFO, "surplus_deleted", "version=%llu cells=%llu",
                 (unsigned long long)node_version_wire(u->item.version),
                 (unsigned long long)d->deleted);
    }
    alloc_put(&u->o->alloc, d, sizeof *d);
    node_surplus_next(u, NODE_SURPLUS_STEP_US);
}

/* ---- ask ------------------------------------------------------------------------------------ */

/* returns: whether any node may be lost with k shards left of those that the record counts on. Who
 * is out by now may be among them: the leader goes through its extents one after the other. */
static bool node_surplus_safe(const struct node_surplus *u, const struct node_extent *e)
{
    struct node_extent left = *e;
    for (unsigned i = 0; i < (unsigned)e->scheme.k + e->scheme.m; i++) {
        left.durable &= node_member_out(u->o->n, e->holder[i]) ? ~(1u << i) : UINT32_MAX;
    }
    return e->scheme.m == 0 || node_extent_survives(&left) > 0;
}

/* returns: whether a shard that this node may have is safe where it belongs, and that is not here.
 */
static bool node_surplus_is(const struct node_surplus *u, const struct node_extent *e, unsigned s)
{
    uint32_t self = node_self(u->o->n);
    bool there = (node_extent_missing(e) >> s & 1u) == 0 && !node_member_out(u->o->n, e->home[s]);
    return there && node_surplus_safe(u, e) && e->home[s] != self && e->holder[s] != self;
}

static void node_surplus_extent(const struct node_surplus *u, uint32_t extent,
                                const struct node_extent *e, uint32_t extent_stripes,
                                struct node_surplus_task *d)
{
    uint64_t first = (uint64_t)extent * extent_stripes;
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    if (e->stripes == 0 || first + e->stripes - 1 > UINT32_MAX) {
        return;
    }
    for (unsigned s = 0; s < shards && d->count < NODE_SURPLUS_PAGE * 4u; s++) {
        if ((u->item.shards >> s & 1u) != 0 && node_surplus_is(u, e, s)) {
            d->ranges[d->count++] =
                (struct store_cell_range){.extent_grant = u->item.version.grant,
                                          .extent_counter = u->item.version.counter,
                                          .first = (uint32_t)first,
                                          .last = (uint32_t)(first + e->stripes - 1),
                                          .shard = (uint8_t)s};
        }
    }
}

/* Goes through the rows and leaves the item at the extent after them. A row whose shards might not
 * fit comes again. returns: 0 or why nothing is to be deleted. */
static int node_surplus_judge(struct node_surplus *u, struct bytes reply,
                              struct node_surplus_task *d)
{
    struct node_extents_answer a;
    struct erasure_layout layout;
    struct bytes name;
    struct bytes value;
    u->item_open = false;
    TRY(node_extents_answer_of(reply, &a));
    if (!a.has_version || a.has_intent || a.version.state != NODE_VERSION_LIVE) {
        return ERR_DONE;
    }
    TRY(node_shape_layout(&a.version.shape, 1, &layout));
    while (node_answer_row(&a.rows, &name, &value)) {
        struct node_extent e;
        struct node_version v;
        uint32_t extent = 0;
        if (!node_name_of_extent(name, &v, &extent) || !node_version_equal(v, u->item.version)) {
            return ERR_CORRUPT;
        }
        if (u->item.one && extent != u->item.extent) {
            return 0;
        }
        if (d->count + NODE_OBJECT_SHARDS_MAX > NODE_SURPLUS_PAGE * 4u) {
            u->item_open = true;
            return 0;
        }
        if (node_extent_decode(value, &e) == 0) {
            node_surplus_extent(u, extent, &e, layout.extent_stripes, d);
        }
        u->item.extent = extent + 1;
        u->item_open = a.rows.more && !u->item.one;
    }
    return 0;
}

static void node_surplus_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_surplus *u = ctx;
    struct node_surplus_task *d = NULL;
    uint32_t began = u->item.extent;
    if (code != 0) {
        u->item_open = false; /* the walk comes by again */
        node_surplus_next(u, NODE_SURPLUS_STEP_US);
        return;
    }
    d = alloc_get_zeroed(&u->o->alloc, 1, sizeof *d);
    if (d == NULL || node_surplus_judge(u, reply, d) != 0 || d->count == 0) {
        alloc_put(&u->o->alloc, d, sizeof *d);
        node_surplus_next(u, NODE_SURPLUS_STEP_US);
        return;
    }
    d->task.run = node_surplus_run;
    d->task.done = node_surplus_done;
    d->u = u;
    bool counted_on = u->touched || node_repair_works_on(u->o, u->item.version);
    if (counted_on || node_task_start(n, &d->task, NODE_LANE_SHARD) != 0) {
        alloc_put(&u->o->alloc, d, sizeof *d);
        u->item.extent = began; /* again, by a new answer */
        u->item_open = true;
        node_surplus_next(u, NODE_SURPLUS_RETRY_US);
        return;
    }
    u->deleting = true;
}

static void node_surplus_ask(struct node_surplus *u)
{
    const struct node_object_ask ask = {.version = u->item.version,
                                        .from = u->item.extent,
                                        .limit = u->item.one ? 1u : NODE_SURPLUS_PAGE};
    u->touched = false;
    u->busy = true;
    if (node_objects_ask(u->o, u->item.group, NODE_QUERY_OBJECT_EXTENTS, &ask,
                         node_objects_patience(u->o), u, node_surplus_answered) != 0) {
        node_surplus_next(u, NODE_SURPLUS_RETRY_US);
    }
}

/* ---- walk ----------------------------------------------------------------------------------- */

static void node_surplus_list_run(struct node_task *task, struct node_env *env)
{
    struct node_surplus_list *l = (struct node_surplus_list *)(void *)task;
    task->job.code = store_segments_list(env->segments, l->has_after ? &l->after : NULL, l->shards,
                                         NODE_SURPLUS_SHARDS, &l->count);
}

/* One item for each version of the list. */
static void node_surplus_listed(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_surplus_list *l = (struct node_surplus_list *)(void *)task;
    struct node_surplus *u = l->u;
    unsigned count = task->job.code == 0 ? l->count : 0;
    u->items_count = u->items_at = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct store_shard_info *info = &l->shards[i];
        const struct node_version v = {.grant = info->extent_grant,
                                       .counter = info->extent_counter};
        struct node_surplus_item *last = &u->items[u->items_count == 0 ? 0 : u->items_count - 1];
        if (u->items_count == 0 || !node_version_equal(last->version, v)) {
            last = &u->items[u->items_count++];
            *last = (struct node_surplus_item){.version = v, .group = info->group};
        }
        last->shards |= info->shard < NODE_OBJECT_SHARDS_MAX ? 1u << info->shard : 0;
    }
    u->has_after = count > 0;
    if (count > 0) {
        u->after = l->shards[count - 1];
    } else {
        u->walking = false;
        u->walk_us = u->walk_us != 0 ? u->walk_us : node_now(u->o->n) + NODE_SURPLUS_PAUSE_US;
    }
    alloc_put(&u->o->alloc, l, sizeof *l);
    node_surplus_next(u, NODE_SURPLUS_STEP_US);
}

static void node_surplus_list(struct node_surplus *u)
{
    struct node_surplus_list *l = alloc_get_zeroed(&u->o->alloc, 1, sizeof *l);
    if (l == NULL) {
        node_surplus_next(u, NODE_SURPLUS_RETRY_US);
        return;
    }
    l->task.run = node_surplus_list_run;
    l->task.done = node_surplus_listed;
    l->u = u;
    l->has_after = u->has_after;
    l->after = u->after;
    u->busy = true;
    if (node_task_start(u->o->n, &l->task, NODE_LANE_READ) != 0) {
        alloc_put(&u->o->alloc, l, sizeof *l);
        node_surplus_next(u, NODE_SURPLUS_RETRY_US);
    }
}

/* Hints first, then the walk. */
static void node_surplus_fire(struct node *n, struct node_timer *t)
{
    struct node_surplus *u = t->ctx;
    if (u->busy || node_now(n) == UINT64_MAX) {
        return;
    }
    if (u->item_open) {
        node_surplus_ask(u);
        return;
    }
    if (u->hints_count > 0) {
        u->item = u->hints[--u->hints_count];
        node_surplus_ask(u);
        return;
    }
    if (!u->walking && node_now(n) < u->walk_us) {
        node_surplus_at(u, u->walk_us - node_now(n));
        return;
    }
    if (!u->walking) {
        u->walking = true;
        u->walk_us = 0;
        u->has_after = false;
        u->items_count = u->items_at = 0;
    }
    if (u->items_at < u->items_count) {
        u->item = u->items[u->items_at++];
        node_surplus_ask(u);
        return;
    }
    node_surplus_list(u);
}

/* ---- around --------------------------------------------------------------------------------- */

int node_surplus_new(struct node_objects *o)
{
    struct node_surplus *u = alloc_get_zeroed(&o->alloc, 1, sizeof *u);
    if (u == NULL) {
        return ERR_NO_MEMORY;
    }
    u->o = o;
    u->timer.ctx = u;
    u->timer.fire = node_surplus_fire;
    o->surplus = u;
    return 0;
}

void node_surplus_free(struct node_objects *o)
{
    struct node_surplus *u = o->surplus;
    if (u == NULL) {
        return;
    }
    node_timer_cancel(o->n, &u->timer);
    alloc_put(&o->alloc, u, sizeof *u);
    o->surplus = NULL;
}

void node_surplus_walk(struct node_objects *o)
{
    struct node_surplus *u = o->surplus;
    if (node_now(o->n) == UINT64_MAX) {
        return;
    }
    u->walk_us = node_now(o->n) + node_options_get(o->n)->audit_interval_us;
    if (!u->busy) {
        node_surplus_at(u, NODE_SURPLUS_STEP_US);
    }
}

void node_surplus_add(struct node_objects *o, const struct node_cell_ref *shard, uint32_t extent)
{
    struct node_surplus *u = o->surplus;
    if (u->hints_count >= NODE_SURPLUS_HINTS || node_now(o->n) == UINT64_MAX) {
        return;
    }
    u->hints[u->hints_count++] = (struct node_surplus_item){.version = shard->version,
                                                            .group = shard->group,
                                                            .shards = 1u << shard->shard,
                                                            .extent = extent,
                                                            .one = true};
    if (!u->busy) {
        node_surplus_at(u, NODE_SURPLUS_STEP_US);
    }
}

void node_surplus_touch(struct node_objects *o, struct node_version version)
{
    struct node_surplus *u = o->surplus;
    u->touched |= u->busy && node_version_equal(u->item.version, version);
}

bool node_surplus_deleting(const struct node_objects *o, struct node_version version)
{
    const struct node_surplus *u = o->surplus;
    return u->deleting && node_version_equal(u->item.version, version);
}
