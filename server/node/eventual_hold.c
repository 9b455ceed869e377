/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Dots that group 0 has not recorded (docs/adr/0013): of epochs whose dots it has recorded, on a
 * disk that was out of use when every node was asked. All other nodes count them as seen, by the
 * fold, and never got them; what they had replaced on this disk they have. So nothing that is
 * judged by this disk's context may reach them: to them it would say that recorded entries were
 * removed.
 *
 *   start -> group 0's word as of this start is known -> every region is looked at
 *                                                          | has such dots
 *   held: no pages from it, none into it, no fold,         v
 *         no write here
 *         a peer that has folded has all else  -> the region is forgotten, and fetched as new
 *         no owner has folded                  -> they are dots like any; group 0 will hear of them
 *
 * Until group 0's word is known nobody judges by this node's contexts, and it makes no dot. A
 * region that is held is read and written at other owners: what is made here would be one more
 * thing that no peer has, and what is read here may go. A region that is forgotten leaves nothing
 * behind that could be wrong: it is that of an empty disk.
 *
 * Of epochs that were folded when their node had others recorded, group 0 does not know any more
 * which dots there were. If this disk has dots of them, they may be recorded ones or not; the
 * region is held too, but not for ever.
 */
#include "base/num.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

/* What a region has of epochs that are over beyond what is recorded. */
struct node_ev_beyond {
    struct crdt_context ranges; /* whole, with the recorded dots in them */
    uint64_t dots;
    bool proven; /* some are not recorded for certain */
};

/* ---- what is not recorded ------------------------------------------------------------------- */

bool node_ev_retired_all(const struct crdt_context *seen, uint32_t node,
                         const struct node_ev_retired *row)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct crdt_context one = {.ranges = &seen->ranges[i], .count = 1};
        struct crdt_actor actor = seen->ranges[i].actor;
        if (actor.node == node && actor.epoch != CRDT_FOLDED && actor.epoch < row->below &&
            (crdt_context_folds(&row->seen, actor) || !crdt_context_leq(&one, &row->seen))) {
            return false;
        }
    }
    return true;
}

/* returns: how many dots of the range are not in the context, epochs folded there left out. */
static uint64_t node_ev_beyond_count(struct crdt_range r, const struct crdt_context *recorded)
{
    uint64_t dots = r.to - r.from + 1;
    for (size_t i = 0; i < recorded->count; i++) {
        const struct crdt_range *known = &recorded->ranges[i];
        if (crdt_actor_compare(known->actor, r.actor) == 0 && known->from <= r.to &&
            known->to >= r.from) {
            dots -= NUM_MIN(known->to, r.to) - NUM_MAX(known->from, r.from) + 1;
        }
    }
    return dots;
}

static int node_ev_beyond_row(const struct crdt_context *seen, uint32_t node,
                              const struct node_ev_retired *row, struct node_ev_beyond *out)
{
    for (size_t i = 0; i < seen->count; i++) {
        struct crdt_range r = seen->ranges[i];
        if (r.actor.node != node || r.actor.epoch == CRDT_FOLDED || r.actor.epoch >= row->below) {
            continue;
        }
        uint64_t dots = node_ev_beyond_count(r, &row->seen);
        if (dots > 0) {
            out->dots += dots;
            out->proven = out->proven || !crdt_context_folds(&row->seen, r.actor);
            TRY(crdt_context_add(&out->ranges, &r));
        }
    }
    return 0;
}

/* out: initialised. returns: 0 or ERR_NO_MEMORY. */
static int node_ev_beyond_get(const struct node *n, uint8_t region, struct node_ev_beyond *out)
{
    const struct node_control *c = n->control;
    struct node_ev_retired row;
    int err = 0;
    crdt_context_init(&row.seen, &n->alloc);
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        struct bytes_reader r = bytes_reader_of(buf_view(&c->peers[i].retired));
        while (err == 0 && r.left > 0) {
            err = node_ev_retired_take(&r, c->peers[i].id, &row);
            if (err == 0 && row.region == region) {
                err = node_ev_beyond_row(node_ev_seen(n, region), c->peers[i].id, &row, out);
            }
        }
    }
    crdt_context_release(&row.seen);
    return err;
}

static void node_ev_beyond_init(const struct node *n, struct node_ev_beyond *b)
{
    *b = (struct node_ev_beyond){0};
    crdt_context_init(&b->ranges, &n->alloc);
}

/* ---- peers ---------------------------------------------------------------------------------- */

static bool node_ev_beyond_has(const struct node_ev_beyond *b, struct crdt_actor actor)
{
    for (size_t i = 0; i < b->ranges.count; i++) {
        if (crdt_actor_compare(b->ranges.ranges[i].actor, actor) == 0) {
            return true;
        }
    }
    return false;
}

/* returns: whether the context has folded all these epochs. */
static bool node_ev_beyond_folded(const struct node_ev_beyond *b, const struct crdt_context *known)
{
    for (size_t i = 0; i < b->ranges.count; i++) {
        if (!crdt_context_folds(known, b->ranges.ranges[i].actor)) {
            return false;
        }
    }
    return true;
}

/* returns: whether the context has everything else that is seen here. */
static bool node_ev_beyond_rest(const struct node_ev_beyond *b, const struct crdt_context *own,
                                const struct crdt_context *known)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct crdt_context one = {.ranges = &own->ranges[i], .count = 1};
        if (!node_ev_beyond_has(b, own->ranges[i].actor) && !crdt_context_leq(&one, known)) {
            return false;
        }
    }
    return true;
}

/* returns: whether a peer that is up has folded them and has all else. */
static bool node_ev_beyond_spare(const struct node *n, uint8_t region,
                                 const struct node_ev_beyond *b)
{
    const struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        const struct node_ev_peer *p = &ev->peers[i];
        if (node_peer_is_up(n, p->id) && node_ev_beyond_folded(b, &p->known[region]) &&
            node_ev_beyond_rest(b, node_ev_seen(n, region), &p->known[region])) {
            return true;
        }
    }
    return false;
}

/* returns: whether all other nodes that the region concerns have told what they have, and none of
 * them has folded any of these epochs. */
static bool node_ev_beyond_alone(const struct node *n, uint8_t region,
                                 const struct node_ev_beyond *b)
{
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    for (unsigned i = 0; i < list.count; i++) {
        const struct node_ev_peer *p = node_ev_peer_of(n, list.nodes[i]);
        if (p == NULL) {
            continue; /* this node itself */
        }
        if (!node_peer_is_up(n, p->id) || !p->told) {
            return false;
        }
        for (size_t k = 0; k < b->ranges.count; k++) {
            if (crdt_context_folds(&p->known[region], b->ranges.ranges[k].actor)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- holding -------------------------------------------------------------------------------- */

/* returns: whether what group 0 had recorded when it recorded this start is known here: its record
 * of this start came with all of that, or after it. */
static bool node_ev_hold_heard(const struct node *n)
{
    const struct node_control_peer *self = node_control_peer_of(n, node_self(n));
    return node_ev_of(n)->started && !n->control->unread && self != NULL &&
           self->boot == n->options.boot && self->nonce == n->options.boot_nonce;
}

/* What the log told anew since the start is not sent of these regions; of the others it is now. */
static void node_ev_hold_back(struct node *n, uint64_t regions)
{
    struct node_eventual *ev = node_ev_of(n);
    node_ev_ring_forget(&ev->ring, regions);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        ev->peers[i].unsure = ev->peers[i].unsure || regions != 0;
        node_ev_push_soon(n, &ev->peers[i]);
    }
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}

static void node_ev_hold_begin(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    uint64_t held = 0;
    /* without peers there is nobody who may have folded anything, or would end it */
    for (unsigned r = 0; r < NODE_EV_REGIONS && ev->peers_count > 0; r++) {
        struct node_ev_beyond b;
        node_ev_beyond_init(n, &b);
        int err = node_ev_beyond_get(n, (uint8_t)r, &b);
        if (err == 0 && b.dots > 0) {
            held |= UINT64_C(1) << r;
            log_line(node_log(n), LOG_WARN, "unrecorded_dots",
                     "node=%u region=%u actor_node=%u epoch=%llu actors=%zu dots=%llu certain=%s",
                     node_self(n), r, b.ranges.ranges[0].actor.node,
                     (unsigned long long)b.ranges.ranges[0].actor.epoch, b.ranges.count,
                     (unsigned long long)b.dots, b.proven ? "yes" : "no");
        }
        crdt_context_release(&b.ranges);
        if (err != 0) {
            return; /* without memory: looked at again before anything is exchanged */
        }
    }
    ev->held.looked = true;
    ev->held.since_us = node_now(n);
    ev->held.regions = held;
    node_ev_hold_back(n, held);
    node_ev_self_wake(n);
}

bool node_ev_hold_known(struct node *n)
{
    struct node_ev_hold *h = &node_ev_of(n)->held;
    if (!h->looked && node_ev_ready(n) && node_ev_hold_heard(n)) {
        node_ev_hold_begin(n);
    }
    return h->looked;
}

bool node_ev_hold_gives(struct node *n, uint8_t region)
{
    return node_ev_hold_known(n) && (node_ev_of(n)->held.regions >> region & 1u) == 0;
}

bool node_ev_hold_any(const struct node *n, uint64_t regions)
{
    return (node_ev_of(n)->held.regions & regions) != 0;
}

/* While nothing is known, what brings no fold over dots that are here does no harm. */
bool node_ev_hold_takes(struct node *n, uint8_t region, const struct crdt_context *theirs)
{
    const struct crdt_context *own = node_ev_seen(n, region);
    bool harmless = true;
    if (node_ev_hold_known(n)) {
        return node_ev_hold_gives(n, region);
    }
    for (size_t i = 0; i < own->count && harmless; i++) {
        harmless = own->ranges[i].actor.epoch == CRDT_FOLDED ||
                   !crdt_context_folds(theirs, own->ranges[i].actor);
    }
    return harmless;
}

/* What the region has is to be exchanged as that of any other. */
static void node_ev_hold_end(struct node *n, uint8_t region, const char *why)
{
    node_ev_of(n)->held.regions &= ~(UINT64_C(1) << region);
    log_line(node_log(n), LOG_WARN, "unrecorded_dots_kept", "node=%u region=%u reason=%s",
             node_self(n), region, why);
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}

static void node_ev_hold_forget(struct node *n)
{
    struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    struct node_ev_hold *h = &node_ev_of(n)->held;
    if (g->broken) {
        return; /* one cure at a time; this is looked at again */
    }
    h->forgetting = true;
    node_ev_quarantine(n, g);
}

/* Regions that are held. Not while the end of one that began to be fetched before may be on its way
 * to the log: it says that all of it is here. */
static uint64_t node_ev_hold_decidable(const struct node *n)
{
    const struct node_eventual *ev = node_ev_of(n);
    return ev->held.looked ? ev->held.regions & ~ev->pulling : 0;
}

void node_ev_hold_look(struct node *n, const struct node_ev_peer *p, uint8_t region)
{
    struct node_ev_hold *h = &node_ev_of(n)->held;
    struct node_ev_beyond b;
    if ((node_ev_hold_decidable(n) >> region & 1u) == 0) {
        return;
    }
    node_ev_beyond_init(n, &b);
    if (node_ev_beyond_get(n, region, &b) != 0) {
        /* without memory: another time */
    } else if (b.dots == 0) {
        node_ev_hold_end(n, region, "recorded");
    } else if (node_ev_beyond_spare(n, region, &b)) {
        node_ev_hold_forget(n);
    } else if (node_ev_beyond_alone(n, region, &b)) {
        node_ev_hold_end(n, region, "nobody_has_folded");
    } else if (!b.proven && node_ev_beyond_folded(&b, &p->known[region]) &&
               node_now(n) - h->since_us >= NODE_EV_HOLD_KNOWN_US) {
        node_ev_hold_end(n, region, "others_depend_on_this_node");
    }
    crdt_context_release(&b.ranges);
}

/* ---- forgetting: nothing is applied any more, so what is true now is what is forgotten --------
 */

uint64_t node_ev_hold_spare(const struct node *n, uint64_t *dots)
{
    uint64_t regions = node_ev_hold_decidable(n);
    uint64_t spare = 0;
    *dots = 0;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        struct node_ev_beyond b;
        if ((regions >> r & 1u) == 0) {
            continue;
        }
        node_ev_beyond_init(n, &b);
        if (node_ev_beyond_get(n, (uint8_t)r, &b) == 0 && b.dots > 0 &&
            node_ev_beyond_spare(n, (uint8_t)r, &b)) {
            spare |= UINT64_C(1) << r;
            *dots += b.dots;
        }
        crdt_context_release(&b.ranges);
    }
    return spare;
}

bool node_ev_forgetting(const struct node *n)
{
    return n->eventual != NULL && n->eventual->held.forgetting;
}

void node_ev_hold_forgot(struct node *n, uint64_t regions, uint64_t dots)
{
    struct node_eventual *ev = node_ev_of(n);
    ev->held.regions &= ~regions;
    ev->held.forgetting = false;
    ev->counters.set_aside += dots;
    if (regions != 0) {
        log_line(node_log(n), LOG_WARN, "unrecorded_dots_dropped",
                 "node=%u regions=%016llx dots=%llu", node_self(n), (unsigned long long)regions,
                 (unsigned long long)dots);
    }
}
