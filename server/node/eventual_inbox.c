/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Joins what peers push. A fragment is joined where everything is that its sender had seen before
 * (crdt_may_join), together with others that wait if they need each other. What is missing mostly
 * is on its way from a third node, so a fragment waits a little; after that the region is fetched
 * as records from the sender, and the sender is told so.
 *
 *   WAITS -> PROPOSED -> JOINED     -> the push is answered once all of its fragments are
 *   WAITS -> BEHIND                    one or the other
 */
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_WAITING_MAX (NODE_EV_OWNERS_MAX * 4u) /* of one region */
/* Of what is joined by one command: more, and what it works on does not stay in the caches. */
#define NODE_EV_INBOX_CUT_BYTES (24u << 10)

struct node_ev_join {
    struct node *n;
    uint64_t from[WIRE_IDENTITY_NODES_MAX]; /* by peer: request whose fragments are in it */
    uint64_t regions[WIRE_IDENTITY_NODES_MAX];
    struct buf body;
};

static void node_ev_inbox_reset(struct node_ev_inbox *in)
{
    if (in->items != NULL) {
        node_ev_scratch_release(&in->memory);
    }
    in->items = NULL;
    in->count = 0;
    in->busy = false;
    buf_clear(&in->body);
}

void node_ev_inbox_clear(struct node_ev_peer *p)
{
    node_ev_inbox_reset(&p->in);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void node_ev_inbox_answer(struct node *n, struct node_ev_peer *p)
{
    struct buf out;
    buf_init(&out, node_alloc(n), n->options.limits.peer_body_bytes);
    for (unsigned i = 0; i < p->in.count; i++) {
        const struct node_ev_item *item = &p->in.items[i];
        (void)buf_put_u8(&out, item->f.region);
        (void)buf_put_u8(&out, item->state == NODE_EV_ITEM_BEHIND);
        (void)node_ev_context_put(&out, node_ev_seen(n, item->f.region));
    }
    node_answer(n, p->in.request, out.err, out.err != 0 ? bytes_of(NULL, 0) : buf_view(&out), NULL);
    buf_release(&out);
    node_ev_inbox_reset(&p->in);
}

static void node_ev_inbox_check(struct node *n, struct node_ev_peer *p)
{
    for (unsigned i = 0; i < p->in.count; i++) {
        if (p->in.items[i].state < NODE_EV_ITEM_JOINED) {
            return;
        }
    }
    if (p->in.busy) {
        node_ev_inbox_answer(n, p);
    }
}

/* It is fetched from the sender. */
static void node_ev_item_behind(struct node *n, struct node_ev_peer *p, struct node_ev_item *item)
{
    uint8_t region = item->f.region;
    item->state = NODE_EV_ITEM_BEHIND;
    p->pull_now |= UINT64_C(1) << region;
    node_ev_judge(n, p, region);
}

/* ---- proposing ------------------------------------------------------------------------------ */

static void node_ev_join_free(struct node *n, struct node_ev_join *j)
{
    buf_release(&j->body);
    alloc_put(node_alloc(n), j, sizeof *j);
}

static void node_ev_joined(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_join *j = ctx;
    struct node_eventual *ev = node_ev_of(n);
    (void)reply;
    for (unsigned i = 0; i < ev->peers_count && !n->closing; i++) {
        struct node_ev_inbox *in = &ev->peers[i].in;
        if (j->regions[i] == 0 || !in->busy || in->request.id != j->from[i]) {
            continue;
        }
        for (unsigned k = 0; k < in->count; k++) {
            struct node_ev_item *item = &in->items[k];
            if (item->state != NODE_EV_ITEM_PROPOSED ||
                (j->regions[i] >> item->f.region & 1u) == 0) {
                continue;
            }
            if (code == 0) {
                item->state = NODE_EV_ITEM_JOINED;
                ev->counters.joined++;
            } else {
                node_ev_item_behind(n, &ev->peers[i], item);
            }
        }
        node_ev_inbox_check(n, &ev->peers[i]);
    }
    if (code != 0 && !n->closing) {
        log_line(node_log(n), LOG_WARN, "eventual_join_refused", "node=%u code=%s", node_self(n),
                 err_name(code));
    }
    node_ev_join_free(n, j);
    if (!n->closing) {
        node_ev_run_soon(n);
    }
}

static struct node_ev_join *node_ev_join_new(struct node *n)
{
    struct node_ev_join *j = alloc_get_zeroed(node_alloc(n), 1, sizeof *j);
    if (j != NULL) {
        j->n = n;
        buf_init(&j->body, node_alloc(n), n->options.limits.proposal_bytes);
    }
    return j;
}

/* j is taken. */
static void node_ev_join_go(struct node *n, struct node_ev_join *j)
{
    if (j->body.size == 0) { /* what there was room for could not be added */
        node_ev_join_free(n, j);
        return;
    }
    const struct node_cmd cmd = {.op = NODE_OP_EV_JOIN, .body = buf_view(&j->body)};
    node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, j, node_ev_joined);
}

/* The order of joining was judged here, for all that go in together, so the fragment asks for
 * nothing more. returns: 0, or ERR_TOO_LARGE or ERR_NO_MEMORY and nothing was added. */
static int node_ev_join_add(struct node *n, struct node_ev_join *j, unsigned peer,
                            struct node_ev_item *item)
{
    struct node_ev_fragment bare = item->f;
    size_t at = j->body.size;
    crdt_context_init(&bare.before, node_alloc(n));
    (void)buf_put_u32(&j->body, 0);
    (void)node_ev_fragment_head(&bare, &j->body);
    (void)buf_append(&j->body, item->f.records.data, item->f.records.size);
    if (j->body.err != 0) {
        int err = j->body.err;
        j->body.err = 0;
        j->body.size = at;
        return err;
    }
    num_put_u32(j->body.data + at, (uint32_t)(j->body.size - at - sizeof(uint32_t)));
    j->from[peer] = node_ev_of(n)->peers[peer].in.request.id;
    j->regions[peer] |= UINT64_C(1) << item->f.region;
    item->state = NODE_EV_ITEM_PROPOSED;
    return 0;
}

/* Makes room for so many bytes in *j, or in another command after it. returns: whether there is. */
static bool node_ev_inbox_room(struct node *n, struct node_ev_join **j, size_t bytes)
{
    if (*j != NULL && (*j)->body.size + bytes > n->options.limits.proposal_bytes) {
        node_ev_join_go(n, *j);
        *j = NULL;
    }
    if (*j == NULL) {
        *j = node_ev_join_new(n);
    }
    if (*j == NULL || buf_reserve(&(*j)->body, bytes) == 0) {
        return *j != NULL;
    }
    (*j)->body.err = 0;
    if ((*j)->body.size == 0) {
        node_ev_join_free(n, *j);
        *j = NULL;
    }
    return false;
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* The fragments of one region, of all peers. */
struct node_ev_waiting {
    struct node_ev_wanting held[NODE_EV_WAITING_MAX];
    struct node_ev_item *items[NODE_EV_WAITING_MAX];
    unsigned peers[NODE_EV_WAITING_MAX];
    unsigned count;
};

static void node_ev_waiting_gather(struct node *n, uint8_t region, struct node_ev_waiting *w)
{
    struct node_eventual *ev = node_ev_of(n);
    w->count = 0;
    for (unsigned i = 0; i < ev->peers_count; i++) {
        struct node_ev_inbox *in = &ev->peers[i].in;
        for (unsigned k = 0; k < in->count && w->count < NODE_EV_WAITING_MAX; k++) {
            struct node_ev_item *item = &in->items[k];
            if (item->f.region == region && item->state == NODE_EV_ITEM_WAITS) {
                w->held[w->count] =
                    (struct node_ev_wanting){.before = &item->f.before, .seen = &item->f.seen};
                w->items[w->count] = item;
                w->peers[w->count++] = i;
            }
        }
    }
}

/* returns: how much those that are taken make of a command. */
static size_t node_ev_waiting_bytes(const struct node_ev_waiting *w)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < w->count; i++) {
        bytes += w->held[i].take ? w->items[i]->bytes : 0;
    }
    return bytes;
}

/* Those that are taken go in one command, for one may need another: it is never joined without it,
 * also if the next command is refused or lost. If they do not fit, those go that need none, and the
 * others go after them. take: becomes false of what could not be proposed. */
static void node_ev_waiting_propose(struct node *n, uint8_t region, struct node_ev_waiting *w,
                                    struct node_ev_join **j)
{
    size_t bytes = node_ev_waiting_bytes(w);
    bool apart = bytes > n->options.limits.proposal_bytes;
    bool room = !apart && bytes > 0 && node_ev_inbox_room(n, j, bytes);
    for (unsigned i = 0; i < w->count; i++) {
        bool takes = w->held[i].take &&
                     (!apart || crdt_may_join(node_ev_seen(n, region), w->held[i].before));
        takes = takes && (apart ? node_ev_inbox_room(n, j, w->items[i]->bytes) : room);
        w->held[i].take = takes && node_ev_join_add(n, *j, w->peers[i], w->items[i]) == 0;
    }
}

static void node_ev_inbox_region(struct node *n, uint8_t region, struct node_ev_join **j)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_waiting w;
    bool pulling = (ev->pulling >> region & 1u) != 0;
    node_ev_waiting_gather(n, region, &w);
    if (w.count == 0 || (!pulling && node_ev_joinable(node_ev_seen(n, region), w.held, w.count,
                                                      node_alloc(n)) != 0)) {
        return;
    }
    if (!pulling) {
        node_ev_waiting_propose(n, region, &w, j);
    }
    for (unsigned i = 0; i < w.count; i++) {
        struct node_ev_peer *p = &ev->peers[w.peers[i]];
        if (!w.held[i].take && node_now(n) >= p->in.until_us) {
            node_ev_item_behind(n, p, w.items[i]);
        }
    }
}

/* Proposes what has gathered if it is enough: a command larger than NODE_EV_JOIN_SMALL_BYTES would
 * be joined the long way. */
static void node_ev_inbox_cut(struct node *n, struct node_ev_join **j)
{
    if (*j != NULL && (*j)->body.size > NODE_EV_INBOX_CUT_BYTES) {
        node_ev_join_go(n, *j);
        *j = NULL;
    }
}

/* returns: bitmap of regions that something waits in. */
static uint64_t node_ev_inbox_regions(const struct node_eventual *ev, uint64_t *until_us)
{
    uint64_t regions = 0;
    *until_us = UINT64_MAX;
    for (unsigned i = 0; i < ev->peers_count; i++) {
        const struct node_ev_inbox *in = &ev->peers[i].in;
        for (unsigned k = 0; k < in->count; k++) {
            if (in->items[k].state == NODE_EV_ITEM_WAITS) {
                regions |= UINT64_C(1) << in->items[k].f.region;
                *until_us = NUM_MIN(*until_us, in->until_us);
            }
        }
    }
    return regions;
}

void node_ev_inbox_run(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_join *j = NULL;
    uint64_t until = 0;
    uint64_t regions = node_ev_inbox_regions(ev, &until);
    for (unsigned r = 0; r < NODE_EV_REGIONS && regions != 0; r++) {
        if ((regions >> r & 1u) != 0) {
            node_ev_inbox_region(n, (uint8_t)r, &j);
            node_ev_inbox_cut(n, &j);
        }
    }
    if (j != NULL) {
        node_ev_join_go(n, j);
    }
    for (unsigned i = 0; i < ev->peers_count && regions != 0; i++) {
        node_ev_inbox_check(n, &ev->peers[i]);
    }
    if (node_ev_inbox_regions(ev, &until) != 0) {
        node_timer_set(n, &ev->hold, NUM_MAX(until, node_now(n) + 1));
    }
}

/* ---- arrival -------------------------------------------------------------------------------- */

/* returns: 0, or an error of what came, and nothing of it counts. */
static int node_ev_inbox_read(struct node *n, struct node_ev_inbox *in, struct bytes body)
{
    struct bytes_reader count = bytes_reader_of(body);
    unsigned items = 0;
    while (count.left > 0 && !count.failed && items <= NODE_EV_REGIONS) {
        (void)bytes_take_bytes(&count, n->options.limits.proposal_bytes);
        items++;
    }
    if (count.failed || items == 0 || items > NODE_EV_REGIONS) {
        return ERR_PROTOCOL;
    }
    TRY(buf_append(&in->body, body.data, body.size));
    const struct alloc alloc = node_ev_scratch_init(&in->memory, node_alloc(n));
    in->items = alloc_get_zeroed(&alloc, items, sizeof *in->items);
    if (in->items == NULL) {
        return ERR_NO_MEMORY;
    }
    in->count = items;
    struct bytes_reader r = bytes_reader_of(buf_view(&in->body));
    int err = 0;
    for (unsigned i = 0; i < items && err == 0; i++) {
        struct node_ev_item *item = &in->items[i];
        struct bytes raw = bytes_take_bytes(&r, n->options.limits.proposal_bytes);
        node_ev_fragment_init(&item->f, &alloc);
        item->bytes = sizeof(uint32_t) + raw.size;
        err = node_ev_fragment_decode(&item->f, raw);
        if (err == 0 && (item->f.flags != 0 || item->f.region >= NODE_EV_REGIONS)) {
            err = ERR_PROTOCOL;
        }
    }
    return err;
}

/* The sender has seen all this, and now it is not behind for what this node has of it. */
static void node_ev_inbox_learn(struct node *n, struct node_ev_peer *p)
{
    for (unsigned i = 0; i < p->in.count; i++) {
        const struct node_ev_fragment *f = &p->in.items[i].f;
        node_ev_learn_both(n, p, f->region, &f->before, &f->seen);
    }
}

void node_ev_push_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_ev_peer *p = node_ev_peer_of(n, request.peer);
    if (p == NULL || !node_ev_ready(n)) {
        node_answer(n, request, p == NULL ? ERR_INVALID : ERR_UNAVAILABLE, bytes_of(NULL, 0), NULL);
        return;
    }
    if (p->in.busy) { /* of an earlier connection, and still being joined */
        node_answer(n, request, ERR_BUSY, bytes_of(NULL, 0), NULL);
        return;
    }
    int err = node_ev_inbox_read(n, &p->in, body);
    if (err == ERR_LEVEL) {
        node_ev_later(n, p, "push");
    }
    if (err != 0) {
        node_ev_inbox_reset(&p->in);
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
        return;
    }
    p->in.busy = true;
    p->in.request = request;
    p->in.until_us = node_now(n) + NODE_EV_HOLD_US;
    node_ev_inbox_learn(n, p);
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}
