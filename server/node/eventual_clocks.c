/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Contexts of nodes, compared: 8 bytes a region first, then the contexts of regions that differ.
 * What a peer has and this node has not mostly comes by itself; what has not come after a while,
 * or cannot, is fetched.
 *
 * EV_CLOCKS: regions u8 (64), hash u64 each; then, to the end, for regions that the asker thinks
 * the other wants to know: region u8, now u8, context (length u32). Now: nothing of it is on its
 * way. Answer: for each region whose hash differs: region u8, hash u64, context (length u32).
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"

/* ---- what is known of a peer ---------------------------------------------------------------- */

/* returns: whether the range has dots of this node that it does not know itself. Those of epochs
 * that are over come like any others: no more are made. */
static bool node_ev_unknown_here(const struct node *n, const struct crdt_range *r,
                                 const struct crdt_context *own)
{
    const struct crdt_dot last = {.actor = r->actor, .counter = r->to};
    struct crdt_actor self;
    if (r->actor.node != node_self(n) || crdt_context_has(own, last)) {
        return false;
    }
    return r->actor.epoch != CRDT_FOLDED || (node_ev_actor(n, &self) && self.epoch <= r->to);
}

/* Dots of this node that it does not know itself: they were made by a state that is lost. */
static void node_ev_judge_self(struct node *n, const struct node_ev_peer *p, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    const struct crdt_context *known = &p->known[region];
    const struct crdt_context *own = node_ev_seen(n, region);
    for (size_t i = 0; i < known->count && !ev->doubted; i++) {
        if (node_ev_unknown_here(n, &known->ranges[i], own)) {
            ev->doubted = true;
            ev->whole = UINT64_MAX;
            log_line(node_log(n), LOG_WARN, "eventual_dots_unknown", "node=%u by=%u region=%u",
                     node_self(n), p->id, region);
            node_ev_doubt(n, "peers have seen dots of this node that it has not");
        }
    }
}

void node_ev_judge(struct node *n, struct node_ev_peer *p, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    uint64_t bit = UINT64_C(1) << region;
    struct node_ev_list list;
    node_ev_hold_look(n, p, region);
    if (crdt_context_leq(&p->known[region], node_ev_seen(n, region))) {
        p->lack_us[region] = 0;
        p->pull_now &= ~bit;
        return;
    }
    node_ev_list_get(n, region, &list);
    if (!node_ev_list_has(&list, node_self(n)) && (ev->pulling & bit) == 0) {
        return; /* it is no concern of this node */
    }
    node_ev_fold_follow(n, region, &p->known[region]);
    if (p->lack_us[region] == 0 || crdt_context_leq(&p->lacked[region], node_ev_seen(n, region))) {
        p->lack_us[region] = node_now(n); /* what was missing has come, and more is */
        (void)node_ev_context_set(&p->lacked[region], &p->known[region]);
    }
    node_ev_judge_self(n, p, region);
}

void node_ev_learn(struct node *n, struct node_ev_peer *p, uint8_t region,
                   const struct crdt_context *seen)
{
    if (crdt_context_join(&p->known[region], seen) != 0) {
        return; /* without memory less is known, which is safe */
    }
    node_ev_judge(n, p, region);
}

void node_ev_learn_both(struct node *n, struct node_ev_peer *p, uint8_t region,
                        const struct crdt_context *before, const struct crdt_context *seen)
{
    (void)crdt_context_join(&p->known[region], before); /* as above */
    node_ev_learn(n, p, region, seen);
}

/* The peer has said what it has, so this node knows whether it has all of it. */
static void node_ev_compared(struct node *n, const struct node_ev_peer *p, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    if (node_ev_list_owns(&list, p->id) &&
        crdt_context_leq(&p->known[region], node_ev_seen(n, region))) {
        ev->compared |= UINT64_C(1) << region;
    }
}

bool node_ev_serves(const struct node *n, uint8_t region)
{
    const struct node_eventual *ev = node_ev_of(n);
    struct node_ev_list list;
    ASSERT(region < NODE_EV_REGIONS);
    uint64_t bit = UINT64_C(1) << region;
    if ((ev->compared & bit) != 0 && !node_ev_region_mixed(n, region) &&
        !node_ev_hold_any(n, bit)) {
        return true;
    }
    node_ev_list_get(n, region, &list);
    for (unsigned i = 0; i < list.owners; i++) {
        if (list.nodes[i] != node_self(n) && node_peer_is_up(n, list.nodes[i])) {
            return false;
        }
    }
    return true; /* there is nobody to ask */
}

int node_ev_stable(const struct node *n, uint8_t region, struct crdt_context *out)
{
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    TRY(node_ev_context_set(out, node_ev_seen(n, region)));
    for (unsigned i = 0; i < list.count; i++) {
        const struct node_ev_peer *p = node_ev_peer_of(n, list.nodes[i]);
        struct crdt_context both;
        if (p == NULL) {
            continue; /* this node itself */
        }
        crdt_context_init(&both, node_alloc(n));
        int err = node_ev_meet(out, &p->known[region], &both);
        if (err != 0) {
            crdt_context_release(&both);
            return err;
        }
        crdt_context_release(out);
        *out = both;
    }
    return 0;
}

/* ---- asking --------------------------------------------------------------------------------- */

static void node_ev_clocks_odd(struct node *n, struct node_ev_peer *p, uint8_t region,
                               uint64_t hash)
{
    bool same = crdt_context_equal(&p->known[region], node_ev_seen(n, region));
    bool idle = (node_ev_of(n)->pulling >> region & 1u) == 0;
    uint64_t own = node_ev_hash(n, region);
    if (!same || !idle || hash == own) {
        p->odd_hash[region] = 0;
    } else if (p->odd_hash[region] != (hash ^ own)) {
        p->odd_hash[region] = hash ^ own; /* once may be between two steps: it is looked at again */
    } else {
        p->odd_hash[region] = 0;
        node_ev_descend(n, p, region);
    }
}

static void node_ev_clocks_row(struct node *n, struct node_ev_peer *p, uint8_t region,
                               uint64_t hash, const struct crdt_context *seen)
{
    uint64_t bit = UINT64_C(1) << region;
    struct node_ev_list list;
    node_ev_agree(n, p, region, false);
    (void)node_ev_context_set(&p->known[region], seen);
    node_ev_judge(n, p, region);
    node_ev_compared(n, p, region);
    node_ev_clocks_odd(n, p, region, hash);
    node_ev_list_get(n, region, &list);
    if ((p->telling & bit) == 0 && node_ev_list_has(&list, p->id) &&
        !crdt_context_leq(node_ev_seen(n, region), seen)) {
        p->tell |= bit;
        p->tell_now |= p->unsure ? bit : 0;
    }
}

/* The region was found equal with the peer's: if that is an owner, it is as good as what would be
 * fetched from it. */
static void node_ev_equal(struct node *n, struct node_ev_peer *p, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_list list;
    (void)node_ev_context_set(&p->known[region], node_ev_seen(n, region));
    node_ev_agree(n, p, region, true);
    node_ev_judge(n, p, region);
    node_ev_compared(n, p, region);
    node_ev_list_get(n, region, &list);
    if (node_ev_list_owns(&list, p->id)) {
        ev->whole &= ~(UINT64_C(1) << region);
        node_ev_mend_end(n, region);
    }
}

/* What was equal when the question left, and is the same still. */
static void node_ev_clocks_equal(struct node *n, struct node_ev_peer *p, uint64_t different)
{
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if ((different >> r & 1u) == 0 && p->sent_hash[r] == node_ev_hash(n, (uint8_t)r)) {
            p->odd_hash[r] = 0;
            node_ev_equal(n, p, (uint8_t)r);
        }
    }
}

static void node_ev_clocks_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_peer *p = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t different = 0;
    p->asked = false;
    if (n->closing || n->failed || code != 0) {
        p->telling = 0;
        return; /* the clock asks again */
    }
    while (r.left > 0 && !r.failed) {
        struct crdt_context seen;
        uint8_t region = bytes_take_u8(&r);
        uint64_t hash = bytes_take_u64(&r);
        crdt_context_init(&seen, node_alloc(n));
        if (region < NODE_EV_REGIONS && node_ev_context_take(&r, &seen) == 0) {
            different |= UINT64_C(1) << region;
            node_ev_clocks_row(n, p, region, hash, &seen);
        } else {
            r.failed = true;
        }
        crdt_context_release(&seen);
    }
    if (r.failed) {
        return;
    }
    node_ev_clocks_equal(n, p, different);
    p->told = true;
    p->heard = true;
    p->unsure = false;
    if (p->tell != 0 || p->ask_again) {
        node_ev_clocks_ask(n, p);
    } else {
        p->telling = 0;
    }
    node_ev_run_soon(n);
}

void node_ev_clocks_ask(struct node *n, struct node_ev_peer *p)
{
    struct buf out;
    if (!node_peer_is_up(n, p->id) || !node_ev_ready(n)) {
        return;
    }
    if (p->asked) {
        p->ask_again = true;
        return;
    }
    buf_init(&out, node_alloc(n), n->options.limits.peer_body_bytes);
    (void)buf_put_u8(&out, NODE_EV_REGIONS);
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        p->sent_hash[r] = node_ev_hash(n, (uint8_t)r);
        (void)buf_put_u64(&out, p->sent_hash[r]);
    }
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if ((p->tell >> r & 1u) != 0) {
            (void)buf_put_u8(&out, (uint8_t)r);
            (void)buf_put_u8(&out, (p->tell_now >> r & 1u) != 0);
            (void)node_ev_context_put(&out, node_ev_seen(n, (uint8_t)r));
        }
    }
    if (out.err == 0) {
        p->telling |= p->tell;
        p->tell = 0;
        p->tell_now = 0;
        p->asked = true;
        p->ask_again = false;
        node_call(n, p->id, NODE_CALL_EV_CLOCKS, buf_view(&out), NULL,
                  node_now(n) + NODE_EV_ANSWER_US, p, node_ev_clocks_done);
    }
    buf_release(&out);
}

/* ---- answering ------------------------------------------------------------------------------ */

static int node_ev_clocks_told(struct node *n, struct node_ev_peer *p, struct bytes_reader *r)
{
    while (r->left > 0) {
        struct crdt_context seen;
        uint8_t region = bytes_take_u8(r);
        uint8_t now = bytes_take_u8(r);
        crdt_context_init(&seen, node_alloc(n));
        int err = region < NODE_EV_REGIONS ? node_ev_context_take(r, &seen) : ERR_PROTOCOL;
        if (err == 0) {
            p->pull_now |= now != 0 ? UINT64_C(1) << region : 0;
            node_ev_learn(n, p, region, &seen);
        }
        crdt_context_release(&seen);
        TRY(err);
    }
    return r->failed ? ERR_PROTOCOL : 0;
}

/* A region in which the asker has nothing, or this node has nothing, is a difference like any. */
static int node_ev_clocks_reply(struct node *n, struct node_ev_peer *p, struct bytes_reader *r,
                                struct buf *out)
{
    uint8_t regions = bytes_take_u8(r);
    if (regions != NODE_EV_REGIONS) {
        return ERR_PROTOCOL;
    }
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        uint64_t own = node_ev_hash(n, (uint8_t)i);
        uint64_t theirs = bytes_take_u64(r);
        if (r->failed) {
            return ERR_PROTOCOL;
        }
        if (theirs == own) {
            node_ev_equal(n, p, (uint8_t)i);
            continue;
        }
        node_ev_agree(n, p, (uint8_t)i, false);
        (void)buf_put_u8(out, (uint8_t)i);
        (void)buf_put_u64(out, own);
        (void)node_ev_context_put(out, node_ev_seen(n, (uint8_t)i));
    }
    return node_ev_clocks_told(n, p, r);
}

void node_ev_clocks_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_ev_peer *p = node_ev_peer_of(n, request.peer);
    struct bytes_reader r = bytes_reader_of(body);
    struct buf out;
    if (p == NULL || !node_ev_ready(n)) {
        node_answer(n, request, p == NULL ? ERR_INVALID : ERR_UNAVAILABLE, bytes_of(NULL, 0), NULL);
        return;
    }
    buf_init(&out, node_alloc(n), n->options.limits.peer_body_bytes);
    int err = node_ev_clocks_reply(n, p, &r, &out);
    err = err != 0 ? err : out.err;
    node_answer(n, request, err, err != 0 ? bytes_of(NULL, 0) : buf_view(&out), NULL);
    buf_release(&out);
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}
