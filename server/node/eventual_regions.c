/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The regions in memory: what the EV_REGION records of the own group say at the applied index, and
 * those who wait until one has seen enough.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

struct node_ev_waiter {
    struct node_link link;
    struct node_timer timer; /* the deadline; or now, once its end is known */
    uint8_t region;
    bool asked;   /* the question to group 0 that is out left after this began to wait */
    bool checked; /* that question has ended */
    int code;
    struct crdt_context wanted;
    void *ctx;
    node_done_fn *done;
};

struct node_ev_regions {
    struct node_ev_region at[NODE_EV_REGIONS];
    struct crdt_context ahead[NODE_EV_REGIONS]; /* EV_AHEAD */
    uint64_t changed; /* regions that have seen more since those who wait were looked at */
    bool asking;
    struct node_link waits;
    struct node_timer run;
};

const struct node_ev_region *node_ev_region_get(const struct node *n, uint8_t region)
{
    ASSERT(region < NODE_EV_REGIONS);
    return &n->ev_regions->at[region];
}

int node_ev_region_load(struct node *n, uint8_t region, struct bytes raw)
{
    struct node_ev_region *at = &n->ev_regions->at[region % NODE_EV_REGIONS];
    struct node_ev_region next = {0};
    crdt_context_init(&next.seen, &n->alloc);
    int err = node_ev_region_decode(raw, &next);
    if (err != 0) {
        crdt_context_release(&next.seen);
        return err;
    }
    crdt_context_release(&at->seen);
    *at = next;
    return 0;
}

/* err: what was written here is whole, so memory has run out. */
static void node_ev_region_told(struct node *n, uint8_t region, int err)
{
    struct node_ev_regions *r = n->ev_regions;
    if (err != 0) {
        node_fail(n, err, "region");
        return;
    }
    if (!node_link_empty(&r->waits)) {
        r->changed |= UINT64_C(1) << region;
        node_timer_set(n, &r->run, n->now);
    }
}

void node_ev_region_changed(struct node *n, uint8_t region, struct bytes raw)
{
    node_ev_region_told(n, region, node_ev_region_load(n, region, raw));
}

void node_ev_region_follow(struct node *n, uint8_t region, const struct node_ev_region *now)
{
    struct node_ev_region *at = &n->ev_regions->at[region % NODE_EV_REGIONS];
    at->time_us = now->time_us;
    at->digest = now->digest;
    at->seen.count = 0; /* its room stays */
    node_ev_region_told(n, region, crdt_context_join(&at->seen, &now->seen));
}

void node_ev_region_ahead(struct node *n, uint8_t region, const struct crdt_context *now)
{
    struct crdt_context *ahead = &n->ev_regions->ahead[region % NODE_EV_REGIONS];
    ahead->count = 0; /* its room stays */
    if (crdt_context_join(ahead, now) != 0) {
        node_fail(n, ERR_NO_MEMORY, "region");
    }
}

int node_ev_ahead_load(struct node *n, uint8_t region, struct bytes raw)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_context ahead;
    limits.context_ranges_max = NODE_EV_RANGES_MAX;
    if (region >= NODE_EV_REGIONS) {
        return ERR_CORRUPT;
    }
    crdt_context_init(&ahead, &n->alloc);
    int err = crdt_context_decode(&ahead, raw, &limits);
    if (err == 0) {
        node_ev_region_ahead(n, region, &ahead);
    }
    crdt_context_release(&ahead);
    return err;
}

bool node_ev_region_mixed(const struct node *n, uint8_t region)
{
    const struct node_ev_regions *r = n->ev_regions;
    return r->ahead[region].count > 0 && !crdt_context_leq(&r->ahead[region], &r->at[region].seen);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* returns: whether what is folded of the node ends below this epoch. */
static bool node_ev_fold_ends(const struct crdt_context *seen, struct crdt_actor actor)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct crdt_range *s = &seen->ranges[i];
        if (s->actor.node == actor.node && s->actor.epoch == CRDT_FOLDED) {
            return s->to + 1 == actor.epoch;
        }
    }
    return false;
}

/* returns: the actor that group 0 must have granted its epoch if the range is to be of this
 * history. What is folded ends below the epoch of the actor that had it recorded. */
static struct crdt_actor node_ev_wait_actor(const struct crdt_range *range)
{
    struct crdt_actor actor = range->actor;
    bool folded = actor.epoch == CRDT_FOLDED;
    actor.epoch = folded && range->to < UINT64_MAX ? range->to + 1 : actor.epoch;
    return actor;
}

/* A fold takes in every epoch below it, also one of a history that was set back: only dots, or the
 * very same fold, show that what is wanted was seen here. */
bool node_ev_region_met(const struct node *n, uint8_t region, const struct crdt_context *wanted)
{
    const struct crdt_context *seen = &n->ev_regions->at[region].seen;
    if (!crdt_context_leq(wanted, seen)) {
        return false;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        const struct crdt_range *w = &wanted->ranges[i];
        struct crdt_actor actor = node_ev_wait_actor(w);
        if ((w->actor.epoch == CRDT_FOLDED || crdt_context_folds(seen, w->actor)) &&
            !node_ev_fold_ends(seen, actor) && !node_ev_granted(n, actor)) {
            return false;
        }
    }
    return true;
}

static bool node_ev_wait_over(const struct node *n, const struct node_ev_waiter *w)
{
    return node_ev_region_met(n, w->region, &w->wanted);
}

static void node_ev_wait_end(struct node *n, struct node_ev_waiter *w, int code)
{
    void *ctx = w->ctx;
    node_done_fn *done = w->done;
    node_timer_cancel(n, &w->timer);
    node_link_remove(&w->link);
    crdt_context_release(&w->wanted);
    alloc_put(&n->alloc, w, sizeof *w);
    done(n, ctx, code, bytes_of(NULL, 0));
}

static void node_ev_wait_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_waiter *w = t->ctx;
    node_ev_wait_end(n, w, n->closing ? ERR_UNAVAILABLE : w->code);
}

/* returns: whether every actor of the context has been granted its epoch, as far as this node has
 * heard from group 0. */
static bool node_ev_wait_granted(const struct node *n, const struct crdt_context *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (!node_ev_granted(n, node_ev_wait_actor(&c->ranges[i]))) {
            return false;
        }
    }
    return true;
}

static void node_ev_regions_ask(struct node *n, uint64_t deadline_us);

/* Only those are judged who waited when the question left: what others want may have been granted
 * since. For them it is asked once more. */
static void node_ev_regions_asked(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_regions *r = n->ev_regions;
    uint64_t again_us = 0;
    (void)ctx;
    if (n->closing) {
        return;
    }
    r->asking = false;
    if (code == 0) {
        node_control_take(n, reply);
    }
    struct node_link *at = r->waits.next;
    while (at != &r->waits) {
        struct node_ev_waiter *w = (struct node_ev_waiter *)(void *)at;
        bool granted = node_ev_wait_granted(n, &w->wanted);
        at = at->next;
        if (node_ev_wait_over(n, w)) {
            w->code = 0;
            node_timer_set(n, &w->timer, n->now);
        } else if (!w->asked && !granted) {
            again_us = NUM_MAX(again_us, w->timer.at_us);
        } else if (code == 0 && !w->checked && !granted) {
            w->code = ERR_INVALID; /* nobody was ever given that epoch: waiting is in vain */
            node_timer_set(n, &w->timer, n->now);
        }
        w->checked = w->asked;
    }
    if (again_us > n->now) {
        node_ev_regions_ask(n, again_us);
    }
}

/* What names an epoch that this node has not heard of is either new or of another history: group 0
 * knows. */
static void node_ev_regions_ask(struct node *n, uint64_t deadline_us)
{
    struct node_ev_regions *r = n->ev_regions;
    if (r->asking) {
        return;
    }
    r->asking = true;
    for (struct node_link *at = r->waits.next; at != &r->waits; at = at->next) {
        ((struct node_ev_waiter *)(void *)at)->asked = true;
    }
    node_query(n, 0, NODE_QUERY_CONTROL, bytes_of(NULL, 0), false, deadline_us, NULL,
               node_ev_regions_asked);
}

static void node_ev_regions_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_regions *r = n->ev_regions;
    (void)t;
    struct node_link *at = r->waits.next;
    while (at != &r->waits) {
        struct node_ev_waiter *w = (struct node_ev_waiter *)(void *)at;
        at = at->next;
        if ((r->changed >> w->region & 1u) != 0 && node_ev_wait_over(n, w)) {
            w->code = 0;
            node_timer_set(n, &w->timer, n->now);
        }
    }
    r->changed = 0;
}

void node_ev_wait(struct node *n, uint8_t region, const struct crdt_context *wanted,
                  uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    struct node_ev_waiter *w = alloc_get_zeroed(&n->alloc, 1, sizeof *w);
    ASSERT(w != NULL); /* a record of two hundred bytes, bounded by requests */
    ASSERT(region < NODE_EV_REGIONS);
    node_link_init(&w->link);
    w->timer = (struct node_timer){.ctx = w, .fire = node_ev_wait_fire, .owes = true};
    w->region = region;
    w->ctx = ctx;
    w->done = done;
    w->code = ERR_BEHIND;
    crdt_context_init(&w->wanted, &n->alloc);
    node_link_append(&n->ev_regions->waits, &w->link);
    int err = crdt_context_join(&w->wanted, wanted);
    if (err != 0 || n->closing || node_ev_wait_over(n, w)) {
        w->code = n->closing ? ERR_UNAVAILABLE : err;
        node_timer_set(n, &w->timer, n->now);
        return;
    }
    node_timer_set(n, &w->timer, NUM_MAX(deadline_us, n->now));
    node_ev_fold_follow(n, region, wanted);
    if (!node_ev_wait_granted(n, &w->wanted)) {
        node_ev_regions_ask(n, deadline_us);
    }
}

/* ---- begin and end -------------------------------------------------------------------------- */

int node_ev_regions_init(struct node *n)
{
    struct node_ev_regions *r = alloc_get_zeroed(&n->alloc, 1, sizeof *r);
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    n->ev_regions = r;
    node_link_init(&r->waits);
    r->run.fire = node_ev_regions_fire;
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        crdt_context_init(&r->at[i].seen, &n->alloc);
        crdt_context_init(&r->ahead[i], &n->alloc);
    }
    return 0;
}

/* Those who wait were ended by their timers. */
void node_ev_regions_release(struct node *n)
{
    struct node_ev_regions *r = n->ev_regions;
    if (r == NULL) {
        return;
    }
    ASSERT(node_link_empty(&r->waits));
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        crdt_context_release(&r->at[i].seen);
        crdt_context_release(&r->ahead[i]);
    }
    alloc_put(&n->alloc, r, sizeof *r);
    n->ev_regions = NULL;
}
