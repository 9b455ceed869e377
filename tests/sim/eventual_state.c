/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The regions of the nodes, looked at after every event: what a node has seen never becomes less,
 * nodes that have seen the same hold the same, and no node makes a dot that another has already.
 * Soon after faults are over all owners of a region are equal, and every update that was answered
 * is in it.
 */
#include "base/num.h"
#include "server/node/eventual_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "tests/sim/eventual.h"

#include <stdlib.h>
#include <string.h>

#define SIM_CRDT_CONVERGE_US (5 * (uint64_t)SIM_S)

void sim_crdt_state_init(struct sim *s)
{
    struct sim_eventual *e = s->eventual;
    for (unsigned key = 0; key < SIM_CRDT_KEYS; key++) {
        uint8_t region = node_ev_region(bytes_of_text(sim_crdt_keys[key].name));
        unsigned at = 0;
        while (at < e->regions_count && e->regions[at] != region) {
            at++;
        }
        ASSERT(at < SIM_CRDT_REGIONS);
        e->regions[at] = region;
        e->regions_count = NUM_MAX(e->regions_count, at + 1);
        e->region[key] = region;
    }
    for (unsigned id = 0; id <= SIM_NODES_MAX; id++) {
        for (unsigned i = 0; i < SIM_CRDT_REGIONS; i++) {
            crdt_context_init(&e->had[id][i], &s->heap_alloc);
        }
    }
    for (unsigned i = 0; i < SIM_CRDT_REGIONS; i++) {
        crdt_context_init(&e->folded[i], &s->heap_alloc);
    }
    e->marks = calloc(SIM_CRDT_MARKS, sizeof(*e->marks));
    ASSERT(e->marks != NULL);
}

void sim_crdt_state_release(struct sim *s)
{
    for (unsigned id = 0; id <= SIM_NODES_MAX; id++) {
        for (unsigned i = 0; i < SIM_CRDT_REGIONS; i++) {
            crdt_context_release(&s->eventual->had[id][i]);
        }
    }
    for (unsigned i = 0; i < SIM_CRDT_REGIONS; i++) {
        crdt_context_release(&s->eventual->folded[i]);
    }
    free(s->eventual->marks);
}

static bool sim_crdt_rotted(const struct sim_node *n)
{
    return n->log_rot_life != 0;
}

/* Its log was damaged: it may have lost what only it had. */
void sim_eventual_restarted(struct sim *s, const struct sim_node *n)
{
    struct alloc alloc = s->heap_alloc;
    for (unsigned i = 0; s->eventual != NULL && sim_crdt_rotted(n) && i < SIM_CRDT_REGIONS; i++) {
        crdt_context_release(&s->eventual->had[n->id][i]);
        crdt_context_init(&s->eventual->had[n->id][i], &alloc);
    }
}

/* One context, one state. Older ones make room. loose: it may have more than that.
 * returns: whether it has just that. */
static bool sim_crdt_same_state(struct sim *s, const struct sim_node *n, uint8_t region,
                                const struct node_ev_region *r, bool loose)
{
    uint64_t key = hash_mix(s->options.seed + region);
    for (size_t i = 0; i < r->seen.count; i++) {
        const struct crdt_range *range = &r->seen.ranges[i];
        key = hash_mix(key ^ range->actor.node ^ range->actor.epoch << 32);
        key = hash_mix(key ^ range->from ^ range->to << 32);
    }
    uint64_t value = hash_mix(r->digest.low) ^ r->digest.high;
    struct sim_crdt_mark *mark = &s->eventual->marks[key % SIM_CRDT_MARKS];
    if (loose && (mark->key != key || mark->value != value)) {
        return false;
    }
    if (mark->node != 0 && mark->key == key && mark->value != value) {
        sim_fail(s, "ev-state",
                 "region %u: node %u and node %u have seen the same and hold different entries",
                 region, mark->node, n->id);
    }
    *mark = (struct sim_crdt_mark){key, value, n->id};
    return true;
}

/* No other node has a dot of this one that it does not have itself, unless it makes no more. */
static void sim_crdt_own_dots(struct sim *s, const struct sim_node *owner,
                              const struct sim_node *other, unsigned at)
{
    const struct sim_eventual *e = s->eventual;
    struct crdt_actor actor;
    if (!owner->up || owner == other || !node_ev_actor(owner->node, &actor)) {
        return;
    }
    uint64_t own = crdt_context_last(&e->had[owner->id][at], actor);
    uint64_t known = crdt_context_last(&e->had[other->id][at], actor);
    if (known > own) {
        sim_fail(s, "ev-own",
                 "region %u: node %u goes on from dot %llu of epoch %llu, node %u knows %llu",
                 e->regions[at], owner->id, (unsigned long long)own,
                 (unsigned long long)actor.epoch, other->id, (unsigned long long)known);
    }
}

/* returns: whether a has epochs, dot by dot, that b has folded, and b has all else that a has; of
 * what was folded the very dots. */
static bool sim_crdt_spare(struct sim *s, unsigned at, const struct crdt_context *a,
                           const struct crdt_context *b)
{
    struct crdt_context dots[2];
    bool folded = false;
    for (size_t i = 0; i < a->count; i++) {
        struct crdt_actor actor = a->ranges[i].actor;
        folded = folded || (actor.epoch != CRDT_FOLDED && crdt_context_folds(b, actor));
    }
    for (unsigned i = 0; i < 2; i++) {
        crdt_context_init(&dots[i], &s->heap_alloc);
        ASSERT(crdt_context_join(&dots[i], i == 0 ? a : b) == 0);
        sim_crdt_unfold(s->eventual, s->eventual->regions[at], &dots[i]);
    }
    bool all = crdt_context_leq(&dots[0], &dots[1]);
    crdt_context_release(&dots[0]);
    crdt_context_release(&dots[1]);
    return folded && all;
}

/* A disk with dots of epochs that others folded long ago: whether they were recorded nobody knows
 * any more, so its node forgets the region, once another has folded these epochs and has all else
 * (docs/adr/0013). As no disk goes back in time here they were recorded: all must be there.
 * returns: whether that is why it has not seen any more what it had seen. */
static bool sim_crdt_forgot(struct sim *s, const struct sim_node *n, unsigned at)
{
    struct sim_eventual *e = s->eventual;
    struct crdt_context *had = &e->had[n->id][at];
    bool forgot = false;
    if ((e->forgets[n->id] >> e->regions[at] & 1u) == 0 ||
        node_ev_region_get(n->node, e->regions[at])->seen.count > 0) {
        return false;
    }
    for (unsigned id = 1; !forgot && id <= s->options.nodes; id++) {
        forgot = id != n->id && sim_crdt_spare(s, at, had, &e->had[id][at]);
    }
    if (forgot) {
        crdt_context_release(had);
        crdt_context_init(had, &s->heap_alloc);
    }
    return forgot;
}

static void sim_crdt_region_look(struct sim *s, const struct sim_node *n, unsigned at)
{
    struct sim_eventual *e = s->eventual;
    const struct node_ev_region *r = node_ev_region_get(n->node, e->regions[at]);
    struct crdt_context *had = &e->had[n->id][at];
    uint64_t digest = hash_mix(r->digest.low) ^ r->digest.high;
    if (digest == e->digest[n->id][at] && crdt_context_equal(had, &r->seen)) {
        return;
    }
    struct crdt_actor actor;
    bool whole = crdt_context_leq(had, &r->seen);
    if (!whole && !node_ev_actor(n->node, &actor)) {
        return; /* it has started and applies its log again */
    }
    bool forgot = !whole && sim_crdt_forgot(s, n, at);
    if (!whole && !forgot) {
        sim_fail(s, "ev-shrunk", "region %u: node %u has not seen any more what it had seen",
                 e->regions[at], n->id);
    }
    /* pages of records come before the context that says they were seen, also where a start finds
     * them whose log was damaged */
    bool *loose = &e->loose[n->id][at];
    bool half = node_ev_region_mixed(n->node, e->regions[at]);
    *loose = !forgot && (*loose || half || crdt_context_equal(had, &r->seen));
    for (size_t i = 0; i < had->count; i++) {
        bool folded = crdt_context_folds(&r->seen, had->ranges[i].actor);
        ASSERT(!folded || crdt_context_add(&e->folded[at], &had->ranges[i]) == 0);
    }
    ASSERT(crdt_context_join(had, &r->seen) == 0);
    e->digest[n->id][at] = digest;
    *loose = !sim_crdt_same_state(s, n, e->regions[at], r, *loose);
    for (unsigned id = 1; id <= s->options.nodes; id++) {
        sim_crdt_own_dots(s, n, &s->nodes[id], at);
        sim_crdt_own_dots(s, &s->nodes[id], n, at);
    }
}

void sim_eventual_node(struct sim *s, const struct sim_node *n)
{
    struct crdt_actor actor;
    if (s->eventual == NULL) {
        return;
    }
    const struct node_ev_hold *held = &node_ev_of(n->node)->held;
    uint64_t *forgets = &s->eventual->forgets[n->id];
    *forgets |= held->forgetting ? held->regions : 0;
    for (unsigned i = 0; i < s->eventual->regions_count; i++) {
        sim_crdt_region_look(s, n, i);
    }
    if (!held->forgetting && node_ev_actor(n->node, &actor)) {
        *forgets = 0; /* it is done, or was given up */
    }
}

static unsigned sim_crdt_region_at(const struct sim_eventual *e, uint8_t region)
{
    unsigned at = 0;
    while (e->regions[at] != region) {
        at++;
    }
    return at;
}

void sim_crdt_unfold(const struct sim_eventual *e, uint8_t region, struct crdt_context *c)
{
    const struct crdt_context *folded = &e->folded[sim_crdt_region_at(e, region)];
    struct crdt_context single;
    crdt_context_init(&single, &c->alloc);
    for (size_t i = 0; i < c->count; i++) {
        bool whole = c->ranges[i].actor.epoch == CRDT_FOLDED;
        ASSERT(whole || crdt_context_add(&single, &c->ranges[i]) == 0);
    }
    for (size_t i = 0; i < folded->count; i++) {
        bool in = crdt_context_folds(c, folded->ranges[i].actor);
        ASSERT(!in || crdt_context_add(&single, &folded->ranges[i]) == 0);
    }
    crdt_context_release(c);
    *c = single;
}

/* returns: whether the dot's epoch was folded in the region, and the dot was not recorded: it may
 * have been the only one of its epoch there. */
static bool sim_crdt_unrecorded(const struct sim_eventual *e, unsigned at, struct crdt_dot dot)
{
    bool over = false;
    for (unsigned id = 1; !over && id <= SIM_NODES_MAX; id++) {
        over = crdt_context_folds(&e->had[id][at], dot.actor);
    }
    return over && !crdt_context_has(&e->folded[at], dot);
}

/* What may be gone: what only a node whose log was damaged had. */
static bool sim_crdt_may_be_lost(const struct sim *s, const struct sim_crdt_op *op)
{
    return op->copies < 2 && sim_crdt_rotted(&s->nodes[op->node]);
}

/* returns: whether the dot was lost with a disk, which only one that its own node alone had may be:
 * the log of that node was damaged, and no answer spoke of another copy. */
static bool sim_crdt_lost_dot(const struct sim *s, unsigned at, struct crdt_dot dot)
{
    const struct sim_eventual *e = s->eventual;
    if (!sim_crdt_rotted(&s->nodes[dot.actor.node]) || !sim_crdt_unrecorded(e, at, dot)) {
        return false;
    }
    for (uint32_t i = 0; i < e->ops_count; i++) {
        const struct sim_crdt_op *op = &e->ops[i];
        if (op->end == SIM_CRDT_DONE && op->changed && e->region[op->key] == e->regions[at] &&
            crdt_dot_compare(op->dot, dot) == 0) {
            return sim_crdt_may_be_lost(s, op);
        }
    }
    return true;
}

void sim_crdt_unname(const struct sim *s, uint8_t region, struct crdt_context *c)
{
    unsigned at = sim_crdt_region_at(s->eventual, region);
    struct crdt_context left;
    crdt_context_init(&left, &c->alloc);
    for (size_t i = 0; i < c->count; i++) {
        struct crdt_range r = c->ranges[i];
        for (uint64_t n = r.from; n <= r.to; n++) {
            struct crdt_range one = {.actor = r.actor, .from = n, .to = n};
            bool lost = sim_crdt_lost_dot(s, at, (struct crdt_dot){r.actor, n});
            ASSERT(lost || crdt_context_add(&left, &one) == 0);
        }
    }
    crdt_context_release(c);
    *c = left;
}

void sim_crdt_state_copies(struct sim *s, const struct sim_crdt_op *op)
{
    const struct sim_eventual *e = s->eventual;
    unsigned at = sim_crdt_region_at(e, e->region[op->key]);
    unsigned have = 0;
    for (unsigned id = 1; id <= s->options.nodes; id++) {
        have += sim_crdt_rotted(&s->nodes[id]) || crdt_context_has(&e->had[id][at], op->dot);
    }
    if (op->copies == 0 || have < op->copies) {
        sim_fail(s, "ev-copies",
                 "node %u answered that dot %llu of region %u is on %u nodes, not %u", op->node,
                 (unsigned long long)op->dot.counter, e->region[op->key], op->copies, have);
    }
}

static bool sim_crdt_region_equal(const struct sim *s, uint8_t region)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    struct hash_digest first = {0};
    bool self = false;
    unsigned count = node_ev_owners(s->nodes[1].node, region, owners, &self);
    for (unsigned i = 0; i < count; i++) {
        const struct sim_node *n = &s->nodes[owners[i]];
        struct hash_digest d = node_ev_region_hash(node_ev_region_get(n->node, region));
        first = i == 0 ? d : first;
        if (d.low != first.low || d.high != first.high) {
            return false;
        }
    }
    return count > 0;
}

static void sim_crdt_dump(const struct sim *s, uint8_t region)
{
    for (unsigned id = 1; s->options.verbose && id <= s->options.nodes; id++) {
        const struct sim_node *n = &s->nodes[id];
        const struct node_ev_region *r = n->up ? node_ev_region_get(n->node, region) : NULL;
        (void)fprintf(stderr, "node %u region %u digest %016llx:", id, region,
                      r == NULL ? 0 : (unsigned long long)r->digest.low);
        for (size_t i = 0; r != NULL && i < r->seen.count; i++) {
            const struct crdt_range *range = &r->seen.ranges[i];
            (void)fprintf(stderr, " %u.%llu:%llu-%llu", range->actor.node,
                          (unsigned long long)range->actor.epoch, (unsigned long long)range->from,
                          (unsigned long long)range->to);
        }
        (void)fprintf(stderr, "\n");
    }
}

bool sim_eventual_converged(struct sim *s)
{
    struct sim_eventual *e = s->eventual;
    bool equal = true;
    bool writes = false;
    if (e == NULL) {
        return true;
    }
    for (unsigned i = 0; i < SIM_CRDT_CLIENTS; i++) {
        writes = writes || e->clients[i].state == SIM_CRDT_UPDATING;
    }
    for (unsigned i = 0; equal && i < e->regions_count; i++) {
        equal = sim_nodes_up(s) == s->options.nodes && sim_crdt_region_equal(s, e->regions[i]);
    }
    if (equal || writes) {
        e->differ_us = 0;
    } else if (e->differ_us == 0) {
        e->differ_us = s->now_us;
    } else if (s->now_us - e->differ_us > SIM_CRDT_CONVERGE_US) {
        sim_fail(s, "ev-convergence", "owners of a region differ %llu s after the last fault",
                 (unsigned long long)(SIM_CRDT_CONVERGE_US / SIM_S));
        for (unsigned i = 0; i < e->regions_count; i++) {
            sim_crdt_dump(s, e->regions[i]);
        }
    }
    return equal;
}

bool sim_crdt_state_gone(const struct sim *s, const struct sim_crdt_op *op)
{
    const struct sim_eventual *e = s->eventual;
    unsigned at = sim_crdt_region_at(e, e->region[op->key]);
    return op->end == SIM_CRDT_DONE && op->changed && sim_crdt_may_be_lost(s, op) &&
           sim_crdt_unrecorded(e, at, op->dot);
}

bool sim_crdt_state_lost(const struct sim *s)
{
    const struct sim_eventual *e = s->eventual;
    for (uint32_t i = 0; i < e->ops_count; i++) {
        const struct sim_crdt_op *op = &e->ops[i];
        if (op->end == SIM_CRDT_DONE && op->changed && sim_crdt_may_be_lost(s, op)) {
            return true;
        }
    }
    return false;
}

/* returns: an owner that has not seen an update that was answered and cannot be lost; 0: none. */
static uint32_t sim_crdt_without(const struct sim *s, const struct sim_crdt_op *op)
{
    const struct sim_eventual *e = s->eventual;
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = false;
    unsigned count = node_ev_owners(s->nodes[1].node, e->region[op->key], owners, &self);
    unsigned at = sim_crdt_region_at(e, e->region[op->key]);
    bool must = op->end == SIM_CRDT_DONE && op->changed && !sim_crdt_may_be_lost(s, op);
    for (unsigned j = 0; must && j < count; j++) {
        const struct crdt_context *had = &e->had[owners[j]][at];
        bool folded = crdt_context_folds(had, op->dot.actor);
        if (!crdt_context_has(folded ? &e->folded[at] : had, op->dot)) {
            return owners[j];
        }
    }
    return 0;
}

bool sim_eventual_handed_over(const struct sim *s)
{
    const struct sim_eventual *e = s->eventual;
    for (uint32_t i = 0; e != NULL && i < e->ops_count; i++) {
        if (sim_crdt_without(s, &e->ops[i]) != 0) {
            return false;
        }
    }
    return true;
}

void sim_eventual_all_seen(struct sim *s)
{
    const struct sim_eventual *e = s->eventual;
    for (uint32_t i = 0; e != NULL && i < e->ops_count && !s->failed; i++) {
        const struct sim_crdt_op *op = &e->ops[i];
        uint32_t without = sim_crdt_without(s, op);
        if (without != 0) {
            sim_fail(s, "ev-lost",
                     "%s: dot %llu of node %u was acknowledged, node %u has not seen it",
                     sim_crdt_keys[op->key].name, (unsigned long long)op->dot.counter, op->node,
                     without);
        }
    }
}
