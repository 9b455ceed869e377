/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two nodes that have seen the same dots of a region and have other entries: one of them lost some.
 * Their records are summed in 256 buckets by name; of buckets that differ, the sums of the own
 * records go to the peer, which sends the records that are not among them. Nothing counts if a
 * context has moved meanwhile: then other entries are no damage. The peer does the same the other
 * way round when its turn comes, and both end with what either had.
 *
 * EV_SUMS: region u8. Answer: hash of the context u64, then 256 sums u64.
 */
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_SUMS_TRIES 3u
#define NODE_EV_LISTED_MAX 8192u
#define NODE_EV_SUMS_BYTES (8u + NODE_EV_BUCKETS * 8u)

/* A walk over the own records of a region. */
struct node_ev_sums {
    struct node *n;
    uint8_t region;
    unsigned tries;
    uint64_t seen; /* hash of the context of the first page */
    bool begun;
    uint64_t sums[NODE_EV_BUCKETS];
    const uint8_t *listed; /* bitmap of buckets whose records are listed; NULL: none */
    uint64_t *list;
    unsigned list_count;
    struct buf after;
    void *ctx;
    void (*done)(struct node_ev_sums *s, int code);
};

struct node_ev_descent {
    struct node *n;
    struct node_ev_peer *p;
    struct node_ev_sums own;
    uint64_t seen;
    uint64_t sums[NODE_EV_BUCKETS]; /* the peer's */
    uint8_t picked[NODE_EV_BUCKETS / 8];
};

struct node_ev_sums_request {
    struct node_request request;
    struct node_ev_sums sums;
};

static void node_ev_sums_ask(struct node_ev_sums *s);

/* ---- the walk ------------------------------------------------------------------------------- */

static void node_ev_sums_begin(struct node_ev_sums *s)
{
    memset(s->sums, 0, sizeof s->sums);
    s->list_count = 0;
    s->begun = false;
    buf_clear(&s->after);
    node_ev_sums_ask(s);
}

static void node_ev_sums_add(struct node_ev_sums *s, struct node_ev_sums_page *page)
{
    while (page->rows.left > 0) {
        uint8_t bucket = bytes_take_u8(&page->rows);
        uint64_t sum = bytes_take_u64(&page->rows);
        s->sums[bucket] += sum;
        if (s->listed != NULL && (s->listed[bucket / 8] >> bucket % 8 & 1) != 0 &&
            s->list_count < NODE_EV_LISTED_MAX) {
            s->list[s->list_count++] = sum;
        }
    }
}

static void node_ev_sums_read(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_sums *s = ctx;
    struct node_ev_sums_page page;
    code = n->closing ? ERR_UNAVAILABLE : code;
    code = code != 0 ? code : node_ev_sums_page_decode(reply, &page);
    if (code != 0) {
        s->done(s, code);
        return;
    }
    if (s->begun && page.seen != s->seen) { /* something was written in between */
        if (++s->tries >= NODE_EV_SUMS_TRIES) {
            s->done(s, ERR_BUSY);
        } else {
            node_ev_sums_begin(s);
        }
        return;
    }
    s->begun = true;
    s->seen = page.seen;
    node_ev_sums_add(s, &page);
    buf_clear(&s->after);
    if (!page.more) {
        s->done(s, 0);
    } else if (buf_append(&s->after, page.last.data, page.last.size) != 0) {
        s->done(s, ERR_NO_MEMORY);
    } else {
        node_ev_sums_ask(s);
    }
}

static void node_ev_sums_ask(struct node_ev_sums *s)
{
    struct buf body;
    const struct node_ev_page_ask ask = {
        .region = s->region, .mode = NODE_EV_ALL, .after = buf_view(&s->after)};
    buf_init(&body, &s->n->alloc, NODE_EV_FRAGMENT_MAX);
    (void)node_ev_page_query_encode(&ask, bytes_of(NULL, 0), &body);
    node_query(s->n, NODE_GROUP_OWN, NODE_QUERY_EV_SUMS, buf_view(&body), true,
               node_now(s->n) + NODE_EV_CALL_US, s, node_ev_sums_read);
    buf_release(&body);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void node_ev_descent_end(struct node_ev_descent *d)
{
    struct node *n = d->n;
    node_ev_of(n)->descent = NULL;
    buf_release(&d->own.after);
    alloc_put(&n->alloc, d->own.list, NODE_EV_LISTED_MAX * sizeof *d->own.list);
    alloc_put(&n->alloc, d, sizeof *d);
}

void node_ev_descent_release(struct node *n)
{
    if (node_ev_of(n)->descent != NULL) {
        node_ev_descent_end(node_ev_of(n)->descent);
    }
}

static void node_ev_list_sink(uint64_t *list, size_t at, size_t count)
{
    uint64_t moved = list[at];
    while (at * 2 + 1 < count) {
        size_t child = at * 2 + 1;
        child += child + 1 < count && list[child] < list[child + 1];
        if (moved >= list[child]) {
            break;
        }
        list[at] = list[child];
        at = child;
    }
    list[at] = moved;
}

static void node_ev_list_sort(uint64_t *list, size_t count)
{
    for (size_t i = count / 2; i > 0; i--) {
        node_ev_list_sink(list, i - 1, count);
    }
    for (size_t end = count; end > 1; end--) {
        uint64_t top = list[0];
        list[0] = list[end - 1];
        list[end - 1] = top;
        node_ev_list_sink(list, 0, end - 1);
    }
}

static void node_ev_descent_listed(struct node_ev_sums *s, int code)
{
    struct node_ev_descent *d = s->ctx;
    struct node *n = d->n;
    struct buf picked;
    if (n->closing) {
        return;
    }
    buf_init(&picked, &n->alloc, NODE_EV_FRAGMENT_MAX);
    if (code == 0 && s->seen == d->seen) {
        node_ev_list_sort(s->list, s->list_count);
        (void)buf_append(&picked, d->picked, sizeof d->picked);
        for (unsigned i = 0; i < s->list_count; i++) {
            (void)buf_put_u64(&picked, s->list[i]);
        }
        if (picked.err == 0) {
            log_line(node_log(n), LOG_WARN, "eventual_divergence", "node=%u peer=%u region=%u",
                     node_self(n), d->p->id, s->region);
            (void)node_ev_pull_picked(n, d->p, s->region, buf_view(&picked));
        }
    }
    buf_release(&picked);
    node_ev_descent_end(d);
}

static void node_ev_descent_own(struct node_ev_sums *s, int code)
{
    struct node_ev_descent *d = s->ctx;
    bool differs = false;
    if (d->n->closing) {
        return;
    }
    for (unsigned i = 0; i < NODE_EV_BUCKETS && code == 0; i++) {
        bool same = s->sums[i] == d->sums[i];
        d->picked[i / 8] |= (uint8_t)(same ? 0 : 1u << i % 8);
        differs = differs || !same;
    }
    if (code != 0 || s->seen != d->seen || !differs) {
        node_ev_descent_end(d);
        return;
    }
    s->listed = d->picked;
    s->tries = 0;
    s->done = node_ev_descent_listed;
    node_ev_sums_begin(s);
}

static void node_ev_descent_summed(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_descent *d = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    if (n->closing) {
        return;
    }
    if (code != 0 || reply.size != NODE_EV_SUMS_BYTES) {
        node_ev_descent_end(d);
        return;
    }
    d->seen = bytes_take_u64(&r);
    for (unsigned i = 0; i < NODE_EV_BUCKETS; i++) {
        d->sums[i] = bytes_take_u64(&r);
    }
    node_ev_sums_begin(&d->own);
}

/* One at a time: damage is rare. */
void node_ev_descend(struct node *n, struct node_ev_peer *p, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_descent *d =
        ev->descent != NULL ? NULL : alloc_get_zeroed(&n->alloc, 1, sizeof *d);
    if (d == NULL) {
        return;
    }
    d->n = n;
    d->p = p;
    d->own = (struct node_ev_sums){.n = n, .region = region, .ctx = d, .done = node_ev_descent_own};
    buf_init(&d->own.after, &n->alloc, NODE_NAME_BYTES_MAX);
    ev->descent = d;
    ev->counters.descents++;
    d->own.list = alloc_get(&n->alloc, NODE_EV_LISTED_MAX * sizeof *d->own.list);
    if (d->own.list == NULL) {
        node_ev_descent_end(d);
        return;
    }
    node_call(n, p->id, NODE_CALL_EV_SUMS, bytes_of(&region, 1), NULL,
              node_now(n) + NODE_EV_ANSWER_US, d, node_ev_descent_summed);
}

/* ---- for peers ------------------------------------------------------------------------------ */

static void node_ev_sums_served(struct node_ev_sums *s, int code)
{
    struct node_ev_sums_request *request = s->ctx;
    struct node *n = s->n;
    struct buf out;
    buf_init(&out, &n->alloc, NODE_EV_SUMS_BYTES);
    (void)buf_put_u64(&out, s->seen);
    for (unsigned i = 0; i < NODE_EV_BUCKETS; i++) {
        (void)buf_put_u64(&out, s->sums[i]);
    }
    code = code != 0 ? code : out.err;
    node_answer(n, request->request, code, code != 0 ? bytes_of(NULL, 0) : buf_view(&out), NULL);
    buf_release(&out);
    buf_release(&s->after);
    alloc_put(&n->alloc, request, sizeof *request);
}

void node_ev_sums_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_ev_sums_request *kept = NULL;
    int err = node_ev_ready(n) ? 0 : ERR_UNAVAILABLE;
    if (err == 0 && (body.size != 1 || body.data[0] >= NODE_EV_REGIONS)) {
        err = ERR_PROTOCOL;
    }
    if (err == 0) {
        kept = alloc_get_zeroed(&n->alloc, 1, sizeof *kept);
        err = kept == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
        return;
    }
    kept->request = request;
    kept->sums = (struct node_ev_sums){
        .n = n, .region = body.data[0], .ctx = kept, .done = node_ev_sums_served};
    buf_init(&kept->sums.after, &n->alloc, NODE_NAME_BYTES_MAX);
    node_ev_sums_begin(&kept->sums);
}
