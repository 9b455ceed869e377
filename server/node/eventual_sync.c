/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Catching up by records: a region is fetched from a peer page by page, and nothing else of a
 * peer is joined into it meanwhile, so that no page is judged against dots of another one.
 *
 *   ASK    the peer reads a page: the records with a dot that this node has not seen, with its own
 *          context of that moment
 *   JOIN   they go into the own group; the page's context judges them, and is not added
 *   CLEAN  only if all records were listed: what lies here between two names and is not among them
 *          is gone, if the peer had seen its dots. This is for an asker that lacks removals which
 *          the peer has dropped, because its disk went back in time.
 *   LAST   the peer's context at the first page is added: all of it has come, unless the mark of
 *          EV_SELF is another one than when the first page was asked for: records may have gone
 *          then that had come, or were here. A new epoch alone takes nothing away
 *
 * EV_PAGE: region u8, mode u8 (0 what is missing, 1 all, 2 picked), last name (length u16; empty:
 * from the first), context of the asker (length u32), picked (length u32): bitmap of 256 buckets,
 * then sums u64, rising, of records that need not be sent. Answer: more u8, whole u8, name of the
 * last record looked at (length u16), fragment.
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

struct node_ev_pull {
    struct node *n;
    struct node_ev_peer *p;
    unsigned slot;
    uint8_t region;
    enum node_ev_mode mode;
    uint64_t mark; /* of EV_SELF when it began */
    bool begun;    /* `first` is set */
    bool more;
    bool noted; /* what is not told any more by the records is known as such */
    bool ended; /* the last proposal is out */
    struct crdt_context first;
    struct buf picked;
    struct buf after;
    struct buf body; /* of the page's answer: the fragment below views it */
    struct bytes last;
    struct node_ev_fragment page;
    bool whole;
    struct buf clean_after;
    bool clean_more;
    struct node_ev_fragment_cursor listed; /* of the page, where cleaning is at */
    struct buf listed_name;
};

static void node_ev_pull_ask(struct node_ev_pull *pull);
static void node_ev_pull_clean(struct node_ev_pull *pull);
static void node_ev_pull_finish(struct node_ev_pull *pull);

/* ---- begin and end -------------------------------------------------------------------------- */

static void node_ev_pull_free(struct node_ev_pull *pull)
{
    struct node *n = pull->n;
    struct node_eventual *ev = node_ev_of(n);
    ev->pulls[pull->slot] = NULL;
    if (pull->mode != NODE_EV_PICKED) {
        ev->pulling &= ~(UINT64_C(1) << pull->region);
    }
    crdt_context_release(&pull->first);
    node_ev_fragment_release(&pull->page);
    buf_release(&pull->picked);
    buf_release(&pull->after);
    buf_release(&pull->body);
    buf_release(&pull->clean_after);
    buf_release(&pull->listed_name);
    alloc_put(&n->alloc, pull, sizeof *pull);
}

/* What is under way has ended by now: calls, questions and proposals end before. */
void node_ev_pulls_release(struct node *n)
{
    for (unsigned i = 0; i < NODE_EV_PULLS_MAX; i++) {
        if (node_ev_of(n)->pulls[i] != NULL) {
            node_ev_pull_free(node_ev_of(n)->pulls[i]);
        }
    }
}

static void node_ev_pull_end(struct node_ev_pull *pull, int code)
{
    struct node *n = pull->n;
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_peer *p = pull->p;
    uint8_t region = pull->region;
    uint64_t bit = UINT64_C(1) << region;
    bool picked = pull->mode == NODE_EV_PICKED;
    struct node_ev_list list;
    if (n->closing) {
        return; /* released with the part */
    }
    if (code == ERR_LEVEL) { /* other regions go on meanwhile */
        node_ev_later(n, p, "page");
        p->put_off_us = node_now(n) + NODE_EV_PUT_OFF_US; /* each is tried once before any again */
        p->put_off |= bit;
    }
    if (code == 0 && !picked) {
        node_ev_list_get(n, region, &list);
        ev->compared |= node_ev_list_owns(&list, p->id) ? bit : 0;
        ev->whole &= pull->whole ? ~bit : UINT64_MAX;
        if (pull->whole) {
            node_ev_mend_end(n, region);
        }
        p->tell |= node_ev_list_has(&list, p->id) ? bit : 0;
        node_ev_retire_soon(n, NODE_EV_RETIRE_US);
    }
    node_ev_pull_free(pull);
    if (!picked) {
        bool now = code == 0 || code == ERR_LEVEL;
        p->pull_us = now ? 0 : node_now(n) + NODE_EV_LACK_US / 2;
        p->pull_now &= ~bit;
        p->lack_us[region] = 0; /* counts anew */
        node_ev_judge(n, p, region);
        if (p->tell != 0) {
            node_ev_clocks_ask(n, p);
        }
    }
    node_ev_run_soon(n);
}

static struct node_ev_pull *node_ev_pull_new(struct node *n, struct node_ev_peer *p, uint8_t region,
                                             enum node_ev_mode mode)
{
    struct node_eventual *ev = node_ev_of(n);
    unsigned slot = 0;
    while (slot < NODE_EV_PULLS_MAX && ev->pulls[slot] != NULL) {
        slot++;
    }
    struct node_ev_pull *pull =
        slot == NODE_EV_PULLS_MAX ? NULL : alloc_get_zeroed(&n->alloc, 1, sizeof *pull);
    if (pull == NULL) {
        return NULL;
    }
    const uint64_t limit = n->options.limits.peer_body_bytes;
    pull->n = n;
    pull->p = p;
    pull->slot = slot;
    pull->region = region;
    pull->mode = mode;
    pull->mark = node_ev_self_now(n)->mark;
    crdt_context_init(&pull->first, &n->alloc);
    node_ev_fragment_init(&pull->page, &n->alloc);
    buf_init(&pull->picked, &n->alloc, NODE_EV_FRAGMENT_MAX);
    buf_init(&pull->after, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&pull->body, &n->alloc, limit);
    buf_init(&pull->clean_after, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&pull->listed_name, &n->alloc, NODE_NAME_BYTES_MAX);
    ev->pulls[slot] = pull;
    if (mode != NODE_EV_PICKED) {
        ev->pulling |= UINT64_C(1) << region;
    }
    return pull;
}

static int node_ev_buf_set(struct buf *b, struct bytes v)
{
    buf_clear(b);
    return buf_append(b, v.data, v.size);
}

/* ---- joining -------------------------------------------------------------------------------- */

/* What comes after the page's records are in. */
static void node_ev_pull_next(struct node_ev_pull *pull)
{
    if (pull->ended) {
        node_ev_pull_end(pull, 0);
    } else if (pull->clean_more) {
        node_ev_pull_clean(pull);
    } else if (pull->more && node_ev_buf_set(&pull->after, pull->last) == 0) {
        node_ev_pull_ask(pull);
    } else if (!pull->more && pull->whole) {
        node_ev_pull_finish(pull);
    } else {
        node_ev_pull_end(pull, pull->more ? ERR_NO_MEMORY : 0);
    }
}

static void node_ev_pull_joined(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_pull *pull = ctx;
    (void)reply;
    if (n->closing) {
        return;
    }
    if (code != 0) {
        log_line(node_log(n), LOG_WARN, "eventual_page_refused", "node=%u region=%u code=%s",
                 node_self(n), pull->region, err_name(code));
        node_ev_pull_end(pull, code);
        return;
    }
    node_ev_pull_next(pull);
}

/* Appends one fragment with its length before it. */
static int node_ev_put_fragment(const struct node_ev_fragment *f, struct buf *out)
{
    size_t at = out->size;
    TRY(buf_put_u32(out, 0));
    TRY(node_ev_fragment_head(f, out));
    TRY(buf_append(out, f->records.data, f->records.size));
    num_put_u32(out->data + at, (uint32_t)(out->size - at - sizeof(uint32_t)));
    return 0;
}

static int node_ev_put_last(const struct node_ev_pull *pull, struct buf *out)
{
    struct node_ev_fragment last = {.region = pull->region,
                                    .flags = NODE_EV_PAGE | NODE_EV_LAST,
                                    .time_us = pull->page.time_us,
                                    .mark = pull->mark,
                                    .seen = pull->first};
    crdt_context_init(&last.before, &pull->n->alloc);
    return node_ev_put_fragment(&last, out);
}

/* body: released. */
static void node_ev_pull_propose(struct node_ev_pull *pull, uint8_t op, struct buf *body)
{
    struct node *n = pull->n;
    const struct node_cmd cmd = {.op = op, .body = buf_view(body)};
    if (body->err != 0) {
        int err = body->err;
        buf_release(body);
        node_ev_pull_end(pull, err);
        return;
    }
    if (body->size == 0) {
        buf_release(body);
        node_ev_pull_next(pull);
        return;
    }
    node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, pull, node_ev_pull_joined);
    buf_release(body);
}

/* A page, and what ends the pages: a context of 4096 ranges, each four numbers of at most ten
 * bytes, and heads. They go in one entry, so limit proposal_bytes may be no less. */
_Static_assert(NODE_EV_FRAGMENT_MAX + 4096 * 40 + NODE_NAME_BYTES_MAX * 4 <= 1280u << 10,
               "the least entry there may be takes the last page");

/* All is here, but for the removals that the peer has dropped, and this node never got: it must
 * tell whoever lacks them all there is, as the peer did. Then the peer's context is added. */
static void node_ev_pull_finish(struct node_ev_pull *pull)
{
    struct node *n = pull->n;
    struct buf body;
    struct buf seen;
    buf_init(&body, &n->alloc, n->options.limits.proposal_bytes);
    if (pull->noted) {
        pull->ended = true;
        (void)node_ev_put_last(pull, &body);
        node_ev_pull_propose(pull, NODE_OP_EV_JOIN, &body);
        return;
    }
    pull->noted = true;
    buf_init(&seen, &n->alloc, NODE_EV_FRAGMENT_MAX);
    (void)crdt_context_encode(&pull->first, &seen);
    (void)buf_put_u8(&body, pull->region);
    (void)buf_put_bytes(&body, buf_view(&seen));
    (void)buf_put_u16(&body, 0);
    body.err = body.err != 0 ? body.err : seen.err;
    buf_release(&seen);
    node_ev_pull_propose(pull, NODE_OP_EV_DROP, &body);
}

/* ---- what is not listed --------------------------------------------------------------------- */

/* returns: whether the page lists this name; names must be asked for in their order. */
static bool node_ev_pull_lists(struct node_ev_pull *pull, struct bytes name)
{
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    while (pull->listed_name.size == 0 || bytes_compare(buf_view(&pull->listed_name), name) < 0) {
        if (!node_ev_fragment_next(&pull->listed, &key, &record_key, &value)) {
            return false;
        }
        buf_clear(&pull->listed_name);
        (void)node_ev_record_name(pull->region, key, record_key, &pull->listed_name);
    }
    return bytes_equal(buf_view(&pull->listed_name), name);
}

/* The record's entries that the peer had seen, as removals: none of them is live there. */
static int node_ev_pull_gone(const struct node_ev_pull *pull, struct bytes raw, struct buf *value)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    uint32_t gone = 0;
    TRY(node_ev_record_begin(raw, &entries, &removals));
    buf_clear(value);
    (void)buf_put_u8(value, raw.data[0]);
    (void)buf_put_u32(value, 0);
    (void)buf_put_u32(value, 0);
    size_t at = value->size - sizeof(uint32_t);
    while (node_ev_record_entry(&entries, &e)) {
        if (crdt_context_has(&pull->page.seen, e.dot)) {
            (void)buf_put_u32(value, e.dot.actor.node);
            (void)buf_put_u64(value, e.dot.actor.epoch);
            (void)buf_put_u64(value, e.dot.counter);
            gone++;
        }
    }
    TRY(value->err);
    num_put_u32(value->data + at, gone);
    return gone == 0 ? ERR_NOT_FOUND : 0;
}

/* own: a page of what lies here. out: the fragment that takes away what is not listed. */
static int node_ev_pull_sieve(struct node_ev_pull *pull, const struct node_ev_fragment *own,
                              struct buf *records, uint32_t *count)
{
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes raw;
    struct buf name;
    struct buf value;
    int err = 0;
    buf_init(&name, &pull->n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&value, &pull->n->alloc, STORE_KV_VALUE_BYTES_MAX);
    node_ev_fragment_begin(own, &c);
    while (err == 0 && node_ev_fragment_next(&c, &key, &record_key, &raw)) {
        buf_clear(&name);
        err = node_ev_record_name(pull->region, key, record_key, &name);
        if (err != 0 || node_ev_pull_lists(pull, buf_view(&name))) {
            continue;
        }
        err = node_ev_pull_gone(pull, raw, &value);
        if (err == 0) {
            err = node_ev_fragment_record(key, record_key, buf_view(&value), records);
            (*count)++;
        }
        err = err == ERR_NOT_FOUND ? 0 : err;
    }
    buf_release(&name);
    buf_release(&value);
    return err;
}

static int node_ev_pull_cleaning(struct node_ev_pull *pull, struct bytes reply, struct buf *body)
{
    struct node_ev_page page;
    struct node_ev_fragment own;
    struct buf records;
    uint32_t count = 0;
    TRY(node_ev_page_decode(reply, &page));
    node_ev_fragment_init(&own, &pull->n->alloc);
    buf_init(&records, &pull->n->alloc, pull->n->options.limits.proposal_bytes);
    int err = node_ev_fragment_decode(&own, page.fragment);
    err = err != 0 ? err : node_ev_pull_sieve(pull, &own, &records, &count);
    struct node_ev_fragment out = {.region = pull->region,
                                   .flags = NODE_EV_PAGE,
                                   .time_us = pull->page.time_us,
                                   .seen = pull->page.seen,
                                   .records = buf_view(&records),
                                   .records_count = count};
    crdt_context_init(&out.before, &pull->n->alloc);
    pull->clean_more = page.more;
    if (err == 0 && page.more) {
        err = node_ev_buf_set(&pull->clean_after, page.last);
    }
    if (err == 0 && count > 0) {
        err = node_ev_put_fragment(&out, body);
    }
    buf_release(&records);
    node_ev_fragment_release(&own);
    return err;
}

static void node_ev_pull_own(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_pull *pull = ctx;
    struct buf body;
    if (n->closing) {
        return;
    }
    buf_init(&body, &n->alloc, n->options.limits.proposal_bytes);
    code = code != 0 ? code : node_ev_pull_cleaning(pull, reply, &body);
    if (code != 0) {
        buf_release(&body);
        node_ev_pull_end(pull, code);
        return;
    }
    node_ev_pull_propose(pull, NODE_OP_EV_JOIN, &body);
}

static void node_ev_pull_clean(struct node_ev_pull *pull)
{
    struct node *n = pull->n;
    struct buf body;
    const struct node_ev_page_ask ask = {
        .region = pull->region, .mode = NODE_EV_ALL, .after = buf_view(&pull->clean_after)};
    buf_init(&body, &n->alloc, NODE_EV_FRAGMENT_MAX);
    int err = node_ev_page_query_encode(&ask, pull->more ? pull->last : bytes_of(NULL, 0), &body);
    if (err == 0) {
        node_query(n, NODE_GROUP_OWN, NODE_QUERY_EV_PAGE, buf_view(&body), true,
                   node_now(n) + NODE_EV_CALL_US, pull, node_ev_pull_own);
    }
    buf_release(&body);
    if (err != 0) {
        node_ev_pull_end(pull, err);
    }
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* returns: 0, or an error of what came. */
static int node_ev_pull_take(struct node_ev_pull *pull, struct bytes reply)
{
    struct node *n = pull->n;
    struct node_ev_page page;
    bool restore = pull->mode == NODE_EV_PICKED;
    uint8_t flags = (uint8_t)(NODE_EV_PAGE | (restore ? NODE_EV_RESTORE : 0));
    TRY(node_ev_buf_set(&pull->body, reply));
    TRY(node_ev_page_decode(buf_view(&pull->body), &page));
    node_ev_fragment_release(&pull->page);
    node_ev_fragment_init(&pull->page, &n->alloc);
    TRY(node_ev_fragment_decode(&pull->page, page.fragment));
    if (pull->page.region != pull->region || pull->page.flags != flags) {
        return ERR_PROTOCOL;
    }
    if (!restore && (!node_ev_hold_takes(n, pull->region, &pull->page.seen) ||
                     !node_ev_mend_takes(n, pull->region, &pull->page.seen))) {
        return ERR_BEHIND;
    }
    if (!pull->begun) {
        pull->begun = true;
        pull->whole = page.whole;
        TRY(node_ev_context_set(&pull->first, &pull->page.seen));
    }
    if (pull->whole != page.whole) {
        return ERR_CONFLICT; /* it began to drop removals in between: from the start */
    }
    pull->more = page.more;
    pull->last = page.last;
    struct node_eventual *ev = node_ev_of(n);
    ev->counters.pages++;
    ev->counters.pages_whole += page.whole;
    ev->counters.page_bytes += reply.size;
    ev->counters.page_records += pull->page.records_count;
    ev->counters.restored_records += restore ? pull->page.records_count : 0;
    return 0;
}

/* out: what of the page goes into the own group at once. */
static int node_ev_pull_join(struct node_ev_pull *pull, struct buf *out)
{
    bool picked = pull->mode == NODE_EV_PICKED;
    if (picked && !crdt_context_equal(&pull->page.seen, node_ev_seen(pull->n, pull->region))) {
        return ERR_BEHIND; /* other entries are no damage any more */
    }
    if (pull->page.records_count > 0) {
        TRY(node_ev_put_fragment(&pull->page, out));
    }
    pull->clean_more = pull->whole;
    if (pull->whole) {
        node_ev_fragment_begin(&pull->page, &pull->listed);
        buf_clear(&pull->listed_name);
        return node_ev_buf_set(&pull->clean_after, buf_view(&pull->after));
    }
    pull->ended = !pull->more;
    return pull->ended && !picked ? node_ev_put_last(pull, out) : 0;
}

static void node_ev_pull_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_pull *pull = ctx;
    struct buf out;
    if (n->closing) {
        return;
    }
    buf_init(&out, &n->alloc, n->options.limits.proposal_bytes);
    code = code != 0 ? code : node_ev_pull_take(pull, reply);
    code = code != 0 ? code : node_ev_pull_join(pull, &out);
    if (code != 0) {
        buf_release(&out);
        node_ev_pull_end(pull, code);
        return;
    }
    node_ev_pull_propose(pull, NODE_OP_EV_JOIN, &out);
}

static void node_ev_pull_ask(struct node_ev_pull *pull)
{
    struct node *n = pull->n;
    struct buf seen;
    struct buf body;
    buf_init(&seen, &n->alloc, NODE_EV_FRAGMENT_MAX);
    buf_init(&body, &n->alloc, n->options.limits.peer_body_bytes);
    int err = crdt_context_encode(node_ev_seen(n, pull->region), &seen);
    const struct node_ev_page_ask ask = {.region = pull->region,
                                         .mode = pull->mode,
                                         .after = buf_view(&pull->after),
                                         .seen = buf_view(&seen),
                                         .picked = buf_view(&pull->picked)};
    err = err != 0 ? err : node_ev_page_ask_encode(&ask, &body);
    if (err == 0) {
        node_call(n, pull->p->id, NODE_CALL_EV_PAGE, buf_view(&body), NULL,
                  node_now(n) + NODE_EV_ANSWER_US, pull, node_ev_pull_answered);
    }
    buf_release(&seen);
    buf_release(&body);
    if (err != 0) {
        node_ev_pull_end(pull, err);
    }
}

/* ---- when ----------------------------------------------------------------------------------- */

static bool node_ev_pull_busy(const struct node_eventual *ev, const struct node_ev_peer *p)
{
    for (unsigned i = 0; i < NODE_EV_PULLS_MAX; i++) {
        if (ev->pulls[i] != NULL && ev->pulls[i]->p == p) {
            return true;
        }
    }
    return false;
}

/* returns: whether the region, of which something lacks here, is to be fetched from the peer now.
 */
static bool node_ev_pull_due(struct node *n, struct node_ev_peer *p, uint8_t region)
{
    const struct node_eventual *ev = node_ev_of(n);
    uint64_t bit = UINT64_C(1) << region;
    bool may_come = (p->pull_now & bit) == 0 && (ev->compared & bit) != 0;
    if ((ev->pulling & bit) != 0 || !node_ev_hold_takes(n, region, &p->known[region]) ||
        !node_ev_mend_takes(n, region, &p->known[region]) ||
        (may_come && node_now(n) - p->lack_us[region] < NODE_EV_LACK_US)) {
        return false;
    }
    node_ev_judge(n, p, region); /* it may have come since */
    return p->lack_us[region] != 0 && ((p->pull_now & bit) != 0 || (ev->compared & bit) == 0 ||
                                       node_now(n) - p->lack_us[region] >= NODE_EV_LACK_US);
}

static void node_ev_pull_start(struct node *n, struct node_ev_peer *p)
{
    struct node_eventual *ev = node_ev_of(n);
    p->put_off = node_now(n) < p->put_off_us ? p->put_off : 0;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if (p->lack_us[r] == 0 || (p->put_off >> r & 1u) != 0 ||
            !node_ev_pull_due(n, p, (uint8_t)r)) {
            continue;
        }
        bool whole = ((ev->whole | ev->mend.regions) >> r & 1u) != 0;
        struct node_ev_pull *pull =
            node_ev_pull_new(n, p, (uint8_t)r, whole ? NODE_EV_ALL : NODE_EV_MISSING);
        if (pull != NULL) {
            node_ev_pull_ask(pull);
        }
        return;
    }
}

void node_ev_pull_run(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        struct node_ev_peer *p = &ev->peers[i];
        if (node_peer_is_up(n, p->id) && node_now(n) >= p->pull_us && !node_ev_pull_busy(ev, p)) {
            node_ev_pull_start(n, p);
        }
    }
}

int node_ev_pull_picked(struct node *n, struct node_ev_peer *p, uint8_t region, struct bytes picked)
{
    struct node_ev_pull *pull = node_ev_pull_new(n, p, region, NODE_EV_PICKED);
    if (pull == NULL) {
        return ERR_BUSY;
    }
    if (buf_append(&pull->picked, picked.data, picked.size) != 0) {
        node_ev_pull_free(pull);
        return ERR_NO_MEMORY;
    }
    node_ev_pull_ask(pull);
    return 0;
}

/* ---- for peers ------------------------------------------------------------------------------ */

static void node_ev_page_served(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_request *request = ctx;
    node_answer(n, *request, code, reply, NULL);
    alloc_put(&n->alloc, request, sizeof *request);
}

/* An asker that lacks a dot whose removal may have been dropped here must be told all there is.
 * What group 0 has recorded is only looked at if it may spare that: it is much, and a page is
 * small. */
static int node_ev_page_mode(struct node *n, struct node_ev_page_ask *ask)
{
    const struct crdt_limits limits = crdt_limits_default();
    const struct crdt_context *pruned = &node_ev_of(n)->pruned[ask->region];
    struct crdt_context theirs;
    crdt_context_init(&theirs, &n->alloc);
    int err = crdt_context_decode(&theirs, ask->seen, &limits);
    if (err == 0 && ask->mode == NODE_EV_MISSING && !crdt_context_leq(pruned, &theirs)) {
        err = node_ev_fold_context(n, ask->region, &theirs);
        if (err == 0 && !crdt_context_leq(pruned, &theirs)) {
            ask->mode = NODE_EV_ALL;
        }
    }
    crdt_context_release(&theirs);
    return err;
}

void node_ev_page_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_ev_page_ask ask;
    struct buf query;
    int err = node_ev_ready(n) ? node_ev_page_ask_decode(body, &ask) : ERR_UNAVAILABLE;
    if (err == 0 && (!node_ev_hold_gives(n, ask.region) || !node_ev_mend_gives(n, ask.region))) {
        err = ERR_BEHIND;
    }
    err = err != 0 ? err : node_ev_page_mode(n, &ask);
    struct node_request *kept = err == 0 ? alloc_get(&n->alloc, sizeof *kept) : NULL;
    if (kept == NULL) {
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    *kept = request;
    buf_init(&query, &n->alloc, n->options.limits.peer_body_bytes);
    err = node_ev_page_query_encode(&ask, bytes_of(NULL, 0), &query);
    if (err == 0) {
        node_query(n, NODE_GROUP_OWN, NODE_QUERY_EV_PAGE, buf_view(&query), true,
                   node_now(n) + NODE_EV_CALL_US, kept, node_ev_page_served);
    } else {
        node_ev_page_served(n, kept, err, bytes_of(NULL, 0));
    }
    buf_release(&query);
}
