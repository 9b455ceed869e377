/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sends what was made here to the other owners: one push a peer at a time, with everything that
 * was noted since the last one. The answer comes when it is durable there, and says what the peer
 * has seen of the regions by then. A push that got no answer is sent again: joining twice does no
 * harm.
 *
 * While no write waits for copies, pushes keep a distance: what gathers meanwhile goes as one
 * fragment a region, and is joined as one. The first after a quiet time leaves at once, the others
 * at times that are the same for all peers. Otherwise, what one peer has been told goes into what
 * it tells a second one, which was not told yet and cannot join it; and if two nodes do so, each
 * holds back its answer, and so the next push, until the other's comes.
 *
 * EV_PUSH: fragments (length u32 each), one a region. Answer: for each region in it: region u8,
 * behind u8, context (length u32). Behind: it lacked what these had seen, and fetches records.
 */
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_PUSH_ITEMS 8192u
#define NODE_EV_PUSH_BYTES                                                 \
    (NODE_EV_FRAGMENT_MAX / 4u) /* before merging; more waits a round trip \
                                 */

/* What goes into one push. */
struct node_ev_batch {
    struct bytes *fragments; /* of one region after the other */
    struct node_ev_noted const **items;
    unsigned count;
    uint64_t regions;
    uint64_t end;
};

static bool node_ev_batch_wants(const struct node *n, const struct node_ev_peer *p, uint8_t region,
                                uint64_t *owned, uint64_t *asked)
{
    uint64_t bit = UINT64_C(1) << region;
    if ((*asked & bit) == 0) {
        struct node_ev_list list;
        *asked |= bit;
        node_ev_list_get(n, region, &list);
        *owned |= node_ev_list_has(&list, p->id) ? bit : 0;
    }
    return (*owned & bit) != 0;
}

/* Gathers what the peer is to have, from its cursor on, up to what one message may hold. */
static void node_ev_batch_gather(struct node *n, const struct node_ev_peer *p,
                                 struct node_ev_batch *b)
{
    const struct node_ev_ring *ring = &node_ev_of(n)->ring;
    uint64_t most = NUM_MIN((uint64_t)NODE_EV_PUSH_BYTES, n->options.limits.proposal_bytes / 2);
    uint64_t bytes = 0;
    uint64_t owned = 0;
    uint64_t asked = 0;
    for (b->end = p->cursor; b->end < ring->next && b->count < NODE_EV_PUSH_ITEMS; b->end++) {
        const struct node_ev_noted *item = node_ev_ring_get(ring, b->end);
        if (item->data == NULL || !node_ev_batch_wants(n, p, item->region, &owned, &asked)) {
            continue;
        }
        if (b->count > 0 && bytes + item->bytes > most) {
            break;
        }
        bytes += item->bytes;
        b->items[b->count++] = item;
        b->regions |= UINT64_C(1) << item->region;
    }
}

static int node_ev_batch_region(struct node *n, const struct node_ev_batch *b, uint8_t region,
                                struct buf *out)
{
    unsigned count = 0;
    size_t at = out->size;
    for (unsigned i = 0; i < b->count; i++) {
        if (b->items[i]->region == region) {
            b->fragments[count++] = bytes_of(b->items[i]->data, b->items[i]->bytes);
        }
    }
    TRY(buf_put_u32(out, 0));
    TRY(node_ev_merge(b->fragments, count, node_alloc(n), out));
    num_put_u32(out->data + at, (uint32_t)(out->size - at - sizeof(uint32_t)));
    node_ev_of(n)->counters.push_fragments++;
    return 0;
}

/* Leaves the body in `built`, unless it is there already. */
static int node_ev_batch_encode(struct node *n, const struct node_ev_peer *p,
                                const struct node_ev_batch *b)
{
    struct node_ev_built *built = &node_ev_of(n)->built;
    int err = 0;
    if (built->from == p->cursor && built->end == b->end && built->regions == b->regions) {
        return 0;
    }
    buf_clear(&built->body);
    for (unsigned r = 0; r < NODE_EV_REGIONS && err == 0; r++) {
        if ((b->regions >> r & 1u) != 0) {
            err = node_ev_batch_region(n, b, (uint8_t)r, &built->body);
        }
    }
    built->from = err == 0 ? p->cursor : 0;
    built->end = b->end;
    built->regions = b->regions;
    return err;
}

/* The body is in `built`. returns: 0, ERR_NOT_FOUND if there is nothing for the peer (*end is
 * set). */
static int node_ev_batch_build(struct node *n, const struct node_ev_peer *p, uint64_t *end)
{
    struct node_ev_batch b = {.count = 0};
    const struct node_ev_ring *ring = &node_ev_of(n)->ring;
    size_t room = (size_t)NUM_MIN((uint64_t)NODE_EV_PUSH_ITEMS, ring->next - p->cursor);
    const size_t each = sizeof *b.items + sizeof *b.fragments;
    uint8_t *memory = alloc_get(&n->alloc, room * each);
    if (memory == NULL) {
        return ERR_NO_MEMORY;
    }
    b.fragments = (struct bytes *)(void *)memory;
    b.items = (const struct node_ev_noted **)(void *)(memory + room * sizeof *b.fragments);
    node_ev_batch_gather(n, p, &b);
    *end = b.end;
    int err = b.count == 0 ? ERR_NOT_FOUND : node_ev_batch_encode(n, p, &b);
    alloc_put(&n->alloc, memory, room * each);
    return err;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void node_ev_push_answer(struct node *n, struct node_ev_peer *p, struct bytes reply)
{
    struct bytes_reader r = bytes_reader_of(reply);
    while (r.left > 0 && !r.failed) {
        struct crdt_context seen;
        uint8_t region = bytes_take_u8(&r);
        uint8_t behind = bytes_take_u8(&r);
        crdt_context_init(&seen, node_alloc(n));
        if (region < NODE_EV_REGIONS && node_ev_context_take(&r, &seen) == 0) {
            node_ev_learn(n, p, region, &seen);
            node_ev_of(n)->counters.behind += behind;
        } else {
            r.failed = true;
        }
        crdt_context_release(&seen);
    }
}

static void node_ev_push_rest(struct node *n, struct node_ev_peer *p)
{
    p->resting = true;
    node_timer_set(n, &p->push, node_now(n) + NODE_EV_RETRY_US);
}

static void node_ev_push_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_peer *p = ctx;
    p->pushing = false;
    if (n->closing || n->failed) {
        return;
    }
    if (code == 0) {
        node_ev_push_answer(n, p, reply);
    } else if (err_outcome_of(code) == ERR_OUTCOME_REFUSED) {
        p->unsure = true; /* it takes no such message, ever: it gets records */
        node_ev_clocks_ask(n, p);
    } else {
        node_ev_push_rest(n, p);
        return;
    }
    p->cursor = NUM_MAX(p->cursor, p->sent_to);
    node_ev_run_soon(n);
    if (p->cursor < node_ev_of(n)->ring.next) {
        node_ev_push_soon(n, p);
    }
}

/* When the next push may leave that nobody waits for. */
static uint64_t node_ev_push_paced(const struct node_ev_peer *p)
{
    return (p->pushed_us / NODE_EV_PACE_US + 1) * NODE_EV_PACE_US;
}

void node_ev_push_soon(struct node *n, struct node_ev_peer *p)
{
    bool waits = p->full || !node_link_empty(&node_ev_of(n)->writes);
    uint64_t at = NUM_MAX(node_now(n), waits ? 0 : node_ev_push_paced(p));
    if (!p->pushing && !p->resting && (p->push.at_us == 0 || p->push.at_us > at)) {
        node_timer_set(n, &p->push, at);
    }
}

void node_ev_push_run(struct node *n, struct node_ev_peer *p)
{
    struct node_eventual *ev = node_ev_of(n);
    uint64_t end = 0;
    if (p->pushing || !node_peer_is_up(n, p->id) || !node_ev_ready(n) || !node_ev_hold_known(n)) {
        return;
    }
    if (p->cursor < ev->ring.first) {
        p->cursor = ev->ring.next;
        p->unsure = true;
        node_ev_clocks_ask(n, p);
    }
    if (p->cursor >= ev->ring.next) {
        return;
    }
    int err = node_ev_batch_build(n, p, &end);
    if (err == 0) {
        p->pushing = true;
        p->full = end < ev->ring.next;
        p->sent_to = end;
        p->pushed_us = node_now(n);
        ev->counters.pushes++;
        ev->counters.pushed_bytes += ev->built.body.size;
        node_call(n, p->id, NODE_CALL_EV_PUSH, buf_view(&ev->built.body), NULL,
                  node_now(n) + NODE_EV_ANSWER_US, p, node_ev_push_done);
    } else if (err == ERR_NO_MEMORY) {
        node_ev_push_rest(n, p);
    } else {
        p->cursor = end; /* nothing in it for this peer, or more than fits: then records go */
        p->unsure |= err != ERR_NOT_FOUND;
    }
}
