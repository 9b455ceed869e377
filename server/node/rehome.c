/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * New homes for the shards of nodes that are out. The leader of a group walks its extents, a page
 * at a time, judges each (object_moves.c) and lets the group change those whose shards belong
 * elsewhere. That makes them missing at their new homes, which repair themselves (repair.c), at
 * their own rate. Nothing is remembered between walks: they begin when this node begins to lead,
 * when group 0 decides about a node, and again while a node is out or something is missing.
 *
 *   walk   group by group that this node leads: page of extents -> command for each that changes,
 *          one after another -> hint to the new homes -> next page
 */
#include "server/node/objects_internal.h"

#define NODE_REHOME_PAGE 64u
#define NODE_REHOME_STEP_US 1000u      /* between pages */
#define NODE_REHOME_PAUSE_US 10000000u /* between walks, at least */
#define NODE_REHOME_PAUSE_TIMES 10u    /* and so many times as long as the walk took */
#define NODE_REHOME_SOON_US 100000u

struct node_rehome_row {
    struct node_extent_ref ref;
    uint64_t revision;
    struct node_moves moves;
};

struct node_rehome {
    struct node_objects *o;
    struct node_timer timer;
    bool running;
    bool kicked; /* while running: another walk follows */
    bool again;  /* something is missing, or was refused */
    uint64_t began_us;
    uint32_t groups[NODE_OBJECTS_GROUPS_MAX];
    unsigned groups_count;
    unsigned at;
    bool more;
    struct node_version after;
    uint32_t after_extent;
    struct node_rehome_row rows[NODE_REHOME_PAGE];
    unsigned rows_count;
    unsigned rows_at;
    uint64_t waiting;                         /* in this walk */
    uint64_t waiting_last;                    /* in the one before */
    uint32_t decided[NODE_OBJECTS_PEERS_MAX]; /* nodes that are out since the last walk began */
    unsigned decided_count;
};

static void node_rehome_step(struct node_rehome *h);

static void node_rehome_at(struct node_rehome *h, uint64_t in_us)
{
    struct node *n = h->o->n;
    if (node_now(n) != UINT64_MAX) {
        node_timer_set(n, &h->timer, node_now(n) + in_us);
    }
}

/* returns: whether a node of the roster is out. */
static bool node_rehome_any_out(const struct node_rehome *h)
{
    const struct wire_identity *id = node_identity(h->o->n);
    bool any = false;
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        any |= node_member_out(h->o->n, id->nodes[i].id);
    }
    return any;
}

/* ---- one extent ----------------------------------------------------------------------------- */

static void node_rehome_nodes(const struct node_rehome *h, uint32_t placement_group,
                              struct node_moves_nodes *nodes)
{
    struct node *n = h->o->n;
    nodes->count = node_place(n, placement_group, nodes->id, NODE_OBJECTS_PEERS_MAX);
    for (unsigned i = 0; i < nodes->count; i++) {
        nodes->out[i] = node_member_out(n, nodes->id[i]);
        nodes->fit[i] = node_peer_fit(n, nodes->id[i]);
    }
}

static void node_rehome_judge(struct node_rehome *h, struct node_version v, uint32_t extent,
                              const struct node_extent *e)
{
    struct node_moves_nodes nodes;
    struct node_rehome_row *row = &h->rows[h->rows_count];
    if (e->placement_group >= node_identity(h->o->n)->placement_groups) {
        return;
    }
    node_rehome_nodes(h, e->placement_group, &nodes);
    h->again |= node_extent_missing(e) != 0;
    if (node_moves_plan(e, &nodes, &row->moves)) {
        node_extent_ref_of(v, extent, e, &row->ref);
        row->revision = e->revision;
        h->rows_count++;
        h->again = true;
    }
    for (uint32_t bits = row->moves.waiting; bits != 0; bits &= bits - 1) {
        h->waiting++;
    }
}

static void node_rehome_moved(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_rehome *h = ctx;
    const struct node_rehome_row *row = &h->rows[h->rows_at];
    uint32_t told = 0;
    for (unsigned s = 0; s < row->ref.shards && code == 0; s++) {
        uint32_t to = row->moves.to[s];
        if (to != row->ref.home[s]) {
            h->o->counters.shards_moved++;
            if (to != told) {
                node_repair_hint(h->o, to);
            }
            told = to;
        }
    }
    h->rows_at++;
    node_rehome_step(h);
}

static int node_rehome_propose(struct node_rehome *h)
{
    const struct node_rehome_row *row = &h->rows[h->rows_at];
    struct node_object_cmd *c = alloc_get_zeroed(&h->o->alloc, 1, sizeof *c);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->ref = row->ref;
    c->revision = row->revision;
    c->lost = row->moves.lost;
    memcpy(c->move_to, row->moves.to, sizeof c->move_to);
    int err =
        node_objects_propose(h->o, h->groups[h->at], NODE_OP_SHARDS_MOVE, c, h, node_rehome_moved);
    alloc_put(&h->o->alloc, c, sizeof *c);
    return err;
}

/* ---- a page --------------------------------------------------------------------------------- */

static void node_rehome_page(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_rehome *h = ctx;
    struct node_extents_answer a;
    struct bytes name;
    struct bytes value;
    h->rows_count = h->rows_at = 0;
    h->more = false;
    if (code == 0) {
        code = node_extents_answer_of(reply, &a);
    }
    if (code != 0) {
        h->again = true; /* the next walk comes by again */
        node_rehome_step(h);
        return;
    }
    while (h->rows_count < NODE_REHOME_PAGE && node_answer_row(&a.rows, &name, &value)) {
        struct node_extent e;
        struct node_version v;
        uint32_t extent = 0;
        if (!node_name_of_extent(name, &v, &extent)) {
            continue;
        }
        h->after = v;
        h->after_extent = extent;
        h->more = a.rows.more;
        if (node_extent_decode(value, &e) == 0) {
            node_rehome_judge(h, v, extent, &e);
        }
    }
    node_rehome_at(h, NODE_REHOME_STEP_US);
}

/* ---- a walk --------------------------------------------------------------------------------- */

/* One line for each decision, by the leader of the first group of objects. */
static void node_rehome_tell(struct node_rehome *h)
{
    struct node *n = h->o->n;
    for (unsigned i = 0; i < h->decided_count; i++) {
        if (node_member_out(n, h->decided[i]) && node_leads(n, h->groups[0])) {
            h->o->counters.repair_starts++;
            log_line(node_log(n), LOG_INFO, "repair_started", "node=%u", h->decided[i]);
        }
    }
    h->decided_count = 0;
}

static void node_rehome_group(struct node_rehome *h, unsigned at)
{
    h->at = at;
    h->more = true;
    h->after = (struct node_version){0};
    h->after_extent = UINT32_MAX;
    h->rows_count = h->rows_at = 0;
}

static void node_rehome_begin(struct node_rehome *h)
{
    h->running = true;
    h->kicked = false;
    h->again = false;
    h->waiting = 0;
    h->began_us = node_now(h->o->n);
    h->groups_count = node_objects_groups(h->o, h->groups, NODE_OBJECTS_GROUPS_MAX);
    node_rehome_group(h, 0);
    if (h->groups_count > 0) {
        node_rehome_tell(h);
    }
}

static void node_rehome_end(struct node_rehome *h)
{
    uint64_t took = node_now(h->o->n) - h->began_us;
    h->running = false;
    h->waiting_last = h->waiting;
    if (h->kicked) {
        node_rehome_at(h, NODE_REHOME_SOON_US);
    } else if (h->again || node_rehome_any_out(h)) {
        node_rehome_at(h, NUM_MAX(took * NODE_REHOME_PAUSE_TIMES, (uint64_t)NODE_REHOME_PAUSE_US));
    }
}

static void node_rehome_step(struct node_rehome *h)
{
    struct node_objects *o = h->o;
    while (node_now(o->n) != UINT64_MAX) {
        if (h->at >= h->groups_count) {
            node_rehome_end(h);
            return;
        }
        if (!node_leads(o->n, h->groups[h->at])) {
            node_rehome_group(h, h->at + 1);
            continue;
        }
        if (h->rows_at < h->rows_count) {
            if (node_rehome_propose(h) == 0) {
                return;
            }
            h->rows_at++;
            continue;
        }
        const struct node_object_ask ask = {
            .version = h->after, .from = h->after_extent, .limit = NODE_REHOME_PAGE, .all = true};
        if (h->more && node_objects_ask(o, h->groups[h->at], NODE_QUERY_OBJECT_EXTENTS, &ask,
                                        node_objects_patience(o), h, node_rehome_page) == 0) {
            return;
        }
        h->again |= h->more;
        node_rehome_group(h, h->at + 1);
    }
}

static void node_rehome_fire(struct node *n, struct node_timer *t)
{
    struct node_rehome *h = t->ctx;
    if (node_now(n) == UINT64_MAX) {
        return;
    }
    if (!h->running) {
        node_rehome_begin(h);
    }
    node_rehome_step(h);
}

/* ---- around --------------------------------------------------------------------------------- */

int node_rehome_new(struct node_objects *o)
{
    struct node_rehome *h = alloc_get_zeroed(&o->alloc, 1, sizeof *h);
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    h->o = o;
    h->timer.ctx = h;
    h->timer.fire = node_rehome_fire;
    o->rehome = h;
    return 0;
}

void node_rehome_free(struct node_objects *o)
{
    struct node_rehome *h = o->rehome;
    if (h == NULL) {
        return;
    }
    node_timer_cancel(o->n, &h->timer);
    alloc_put(&o->alloc, h, sizeof *h);
    o->rehome = NULL;
}

void node_rehome_kick(struct node_objects *o)
{
    struct node_rehome *h = o->rehome;
    if (!o->started) {
        return;
    }
    h->kicked = true;
    if (!h->running) {
        node_rehome_at(h, NODE_REHOME_SOON_US);
    }
}

void node_rehome_decided(struct node_objects *o, uint32_t node, bool out)
{
    struct node_rehome *h = o->rehome;
    if (!o->started) {
        return; /* read at start: decided before */
    }
    if (out && h->decided_count < NODE_OBJECTS_PEERS_MAX) {
        h->decided[h->decided_count++] = node;
    }
    node_rehome_kick(o);
}

uint64_t node_rehome_waiting(const struct node_objects *o)
{
    const struct node_rehome *h = o->rehome;
    bool leads = false;
    for (unsigned i = 0; i < h->groups_count; i++) {
        leads |= node_leads(o->n, h->groups[i]);
    }
    return leads ? h->waiting_last : 0; /* others may know better by now */
}
