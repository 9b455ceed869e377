/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: what other nodes send is joined into the records here, and removals that every
 * owner has seen are dropped. All fragments of a command are judged before the first is joined, so
 * that a command is applied as a whole or not at all.
 *
 * A record (theirs: the fragment's context, mine: the region's):
 *     an entry here stays unless its dot is in theirs and not in the record that came;
 *     an entry that came is taken unless its dot is in mine and not live here;
 *     a removal that came is taken unless its dot is in mine: then it is here or was dropped.
 * Where the fragment restores what was lost, both keep what either has; it is passed over unless
 * both have seen the same, for else other entries are no damage. What came but is not in theirs is
 * passed over too: the sender is itself in the middle of catching up.
 *
 * A dot that is live with two payloads was made twice: two nodes were one actor. Everywhere the
 * greater payload stays, and it is told; it never stops a node. Dots of this node's own actor that
 * are not known here were made by somebody else: the fragment is refused until this node is
 * another actor, so that none of them is ever made a second time here.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "store/kv.h"

/* What the fragments of a command bring to each record; made where their size alone says that it
 * may be too much. */
struct node_ev_sums {
    struct node_ev_names names;
    uint64_t *bytes; /* by name */
    uint32_t cap;
    uint32_t fragments; /* taken so far */
};

struct node_ev_joining {
    const struct node_ev_store *store;
    struct node_ev_types types;
    struct node_ev_fragment f;
    struct node_ev_fragment *judged; /* all of a command, if it has several */
    uint32_t count;
    struct node_ev_sums sums;
    struct node_ev_region now;
    bool news; /* of records or context */
    struct buf name;
    struct buf value;
    struct crdt_actor actor; /* as EV_SELF says, also if it does not act */
    bool acts;
    uint64_t mark; /* of EV_SELF */
    bool twice;    /* own dots have two meanings */
    bool lost;     /* dots of former actors of this node come back */
};

static int node_ev_joining_init(struct node_ev_joining *j, const struct node_ev_store *store,
                                uint32_t count)
{
    *j = (struct node_ev_joining){.store = store};
    node_ev_types_init(&j->types, store->alloc);
    node_ev_names_init(&j->sums.names, store->alloc);
    node_ev_fragment_init(&j->f, store->alloc);
    crdt_context_init(&j->now.seen, store->alloc);
    buf_init(&j->name, store->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&j->value, store->alloc, SIZE_MAX / 2);
    j->acts = node_ev_self_actor(store, &j->actor);
    j->mark = node_ev_self_mark(store);
    if (count <= 1) {
        return 0; /* judged when it is joined */
    }
    j->judged = alloc_get_zeroed(store->alloc, count, sizeof *j->judged);
    j->count = j->judged == NULL ? 0 : count;
    for (uint32_t i = 0; i < j->count; i++) {
        node_ev_fragment_init(&j->judged[i], store->alloc);
    }
    return j->judged == NULL ? ERR_NO_MEMORY : 0;
}

/* Makes `now` the region as it is. */
static int node_ev_joining_region(struct node_ev_joining *j, uint8_t region)
{
    const struct node_ev_region *old = j->store->region(j->store->ctx, region);
    j->now.seen.count = 0; /* its room stays */
    j->now.time_us = old->time_us;
    j->now.digest = old->digest;
    return crdt_context_join(&j->now.seen, &old->seen);
}

/* ---- whether a fragment may be joined ------------------------------------------------------- */

/* returns: whether the fragment tells of dots of this node's actor that are not known here. */
static bool node_ev_joining_strange(const struct node_ev_joining *j,
                                    const struct crdt_context *seen)
{
    if (j->acts && crdt_context_folds(&j->f.seen, j->actor)) {
        return true; /* as if no more of them were made */
    }
    for (size_t i = 0; j->acts && i < j->f.seen.count; i++) {
        struct crdt_context one = {.ranges = &j->f.seen.ranges[i], .count = 1};
        if (crdt_actor_compare(one.ranges->actor, j->actor) == 0 && !crdt_context_leq(&one, seen)) {
            return true;
        }
    }
    return false;
}

bool node_ev_join_lost(const struct crdt_context *seen, const struct crdt_context *own,
                       uint32_t self)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct crdt_range *r = &seen->ranges[i];
        const struct crdt_dot last = {.actor = r->actor, .counter = r->to};
        if (r->actor.node == self && r->actor.epoch != CRDT_FOLDED &&
            !crdt_context_has(own, last)) {
            return true;
        }
    }
    return false;
}

static bool node_ev_joining_adds(const struct node_ev_joining *j)
{
    return (j->f.flags & NODE_EV_PAGE) == 0 || (j->f.flags & NODE_EV_LAST) != 0;
}

/* seen: what the region will have seen when the fragment is joined. */
static int node_ev_joining_judge(struct node_ev_joining *j, const struct crdt_context *seen)
{
    if ((j->f.flags & NODE_EV_LAST) != 0 && j->f.mark != j->mark) {
        return ERR_CONFLICT; /* records may have gone since: not all that it tells of is here */
    }
    j->lost = j->lost || node_ev_join_lost(&j->f.seen, seen, j->store->self);
    if (node_ev_joining_strange(j, seen)) {
        j->store->doubt(j->store->ctx, "a peer has dots that were not made here");
        return ERR_UNAVAILABLE;
    }
    bool page = (j->f.flags & NODE_EV_PAGE) != 0;
    return page || crdt_may_join(seen, &j->f.before) ? 0 : ERR_BEHIND; /* scenario C22 */
}

/* The fragment that comes next, to j->f. judged: by its number, it was taken before. */
static int node_ev_joining_next(struct node_ev_joining *j, struct bytes_reader *r,
                                struct node_ev_fragment *judged)
{
    struct bytes raw = bytes_take(r, bytes_take_u32(r));
    if (r->failed) {
        return ERR_INVALID;
    }
    node_ev_fragment_release(&j->f);
    if (judged == NULL) {
        return node_ev_fragment_decode(&j->f, raw);
    }
    j->f = *judged;
    node_ev_fragment_init(judged, j->store->alloc);
    return 0;
}

/* Adds a fragment's values to what the command brings to each record. */
static int node_ev_joining_add(struct node_ev_joining *j, const struct node_ev_fragment *f)
{
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    uint32_t number;
    node_ev_fragment_begin(f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        buf_clear(&j->value);
        TRY(node_ev_record_name(f->region, key, record_key, &j->value));
        TRY(node_ev_names_add(&j->sums.names, buf_view(&j->value), &number));
        ASSERT(number < j->sums.cap);
        j->sums.bytes[number] += value.size;
    }
    return 0;
}

/* What the fragments up to j->f, the one at this place, bring to the record of j->name. bound: more
 * than all bring. */
static int node_ev_joining_sum(struct node_ev_joining *j, uint32_t at, size_t bound, uint64_t *sum)
{
    struct node_ev_sums *s = &j->sums;
    if (s->bytes == NULL) {
        s->cap = (uint32_t)(bound / NODE_EV_RECORD_BYTES_MIN + 1);
        s->bytes = alloc_get_zeroed(j->store->alloc, s->cap, sizeof *s->bytes);
        TRY(s->bytes == NULL ? ERR_NO_MEMORY : 0);
    }
    for (; s->fragments <= at; s->fragments++) {
        TRY(node_ev_joining_add(j, s->fragments < at ? &j->judged[s->fragments] : &j->f));
    }
    uint32_t number = node_ev_names_find(&s->names, buf_view(&j->name));
    ASSERT(number != NODE_EV_NAME_NONE);
    *sum = s->bytes[number];
    return 0;
}

/* A record that outgrew what the table takes would end the node when it is flushed; so it is
 * refused before anything is written. Nodes that hold to the limits of operations do not come near
 * this. at: the place of j->f in the command; bound: more bytes than come to any record. */
static int node_ev_joining_sizes(struct node_ev_joining *j, uint32_t at, size_t bound)
{
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    node_ev_fragment_begin(&j->f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        struct bytes own = {0};
        uint64_t sum = bound;
        buf_clear(&j->name);
        TRY(node_ev_record_name(j->f.region, key, record_key, &j->name));
        (void)j->store->get(j->store->ctx, buf_view(&j->name), &own);
        uint64_t size = own.size; /* the view ends with what is asked for next */
        if (size + sum > STORE_KV_VALUE_BYTES_MAX) {
            TRY(node_ev_joining_sum(j, at, bound, &sum));
        }
        if (size + sum > STORE_KV_VALUE_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    return 0;
}

/* Several fragments: each is judged by what those before it will have added. */
static int node_ev_joining_judge_all(struct node_ev_joining *j, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct crdt_context seen[NODE_EV_REGIONS];
    uint64_t used = 0;
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < j->count; i++) {
        err = node_ev_joining_next(j, &r, NULL);
        if (err != 0) {
            break;
        }
        uint8_t region = j->f.region;
        if ((used >> region & 1) == 0) {
            used |= UINT64_C(1) << region;
            crdt_context_init(&seen[region], j->store->alloc);
            err = crdt_context_join(&seen[region], &j->store->region(j->store->ctx, region)->seen);
        }
        err = err == 0 ? node_ev_joining_judge(j, &seen[region]) : err;
        err = err == 0 ? node_ev_joining_sizes(j, i, body.size) : err;
        if (err == 0 && node_ev_joining_adds(j)) {
            err = crdt_context_join(&seen[region], &j->f.seen);
        }
        j->judged[i] = j->f;
        node_ev_fragment_init(&j->f, j->store->alloc);
    }
    return err;
}

/* ---- records -------------------------------------------------------------------------------- */

/* Own and coming entries or removals of a record, side by side. */
struct node_ev_pair {
    struct node_ev_cursor own;
    struct node_ev_cursor other;
    bool has_own;
    bool has_other;
    struct node_ev_entry a;
    struct node_ev_entry b;
    struct bytes own_raw;
    struct bytes other_raw;
};

static void node_ev_pair_own(struct node_ev_pair *p)
{
    p->has_own = node_ev_record_raw(&p->own, &p->a, &p->own_raw);
}

static void node_ev_pair_other(struct node_ev_pair *p)
{
    p->has_other = node_ev_record_raw(&p->other, &p->b, &p->other_raw);
}

static bool node_ev_joining_takes(const struct node_ev_joining *j, struct crdt_dot dot)
{
    return crdt_context_has(&j->f.seen, dot) &&
           ((j->f.flags & NODE_EV_RESTORE) != 0 || !crdt_context_has(&j->now.seen, dot));
}

/* One dot, live on both sides. returns: the entry that stays. */
static struct bytes node_ev_joining_both(struct node_ev_joining *j, struct node_ev_pair *p)
{
    if (bytes_equal(p->a.payload, p->b.payload)) {
        return p->own_raw;
    }
    j->store->conflict(j->store->ctx, p->a.dot); /* scenario C17 */
    j->twice = j->twice || (j->acts && crdt_actor_compare(p->a.dot.actor, j->actor) == 0);
    if (bytes_compare(p->a.payload, p->b.payload) > 0) {
        return p->own_raw;
    }
    hash_digest_sub(&j->now.digest, buf_view(&j->name), p->own_raw);
    hash_digest_add(&j->now.digest, buf_view(&j->name), p->other_raw);
    j->news = true;
    return p->other_raw;
}

/* Appends the joined entries, their number first. */
static int node_ev_joining_entries(struct node_ev_joining *j, struct node_ev_pair *p,
                                   uint32_t *count)
{
    size_t at = j->value.size;
    bool restores = (j->f.flags & NODE_EV_RESTORE) != 0;
    *count = 0;
    TRY(buf_put_u32(&j->value, 0));
    node_ev_pair_own(p);
    node_ev_pair_other(p);
    while (p->has_own || p->has_other) {
        struct bytes kept = {0};
        int order = !p->has_own ? 1 : !p->has_other ? -1 : crdt_dot_compare(p->a.dot, p->b.dot);
        if (order == 0) {
            kept = node_ev_joining_both(j, p);
        } else if (order < 0 && (restores || !crdt_context_has(&j->f.seen, p->a.dot))) {
            kept = p->own_raw;
        } else if (order < 0) {
            hash_digest_sub(&j->now.digest, buf_view(&j->name), p->own_raw);
            j->news = true;
        } else if (node_ev_joining_takes(j, p->b.dot)) {
            kept = p->other_raw;
            hash_digest_add(&j->now.digest, buf_view(&j->name), p->other_raw);
            j->news = true;
        }
        TRY(buf_append(&j->value, kept.data, kept.size));
        *count += kept.size > 0;
        if (order <= 0) {
            node_ev_pair_own(p);
        }
        if (order >= 0) {
            node_ev_pair_other(p);
        }
    }
    num_put_u32(j->value.data + at, *count);
    return 0;
}

/* Of removals by one actor the newest is enough: who has not seen an older one has not seen it
 * either. Not before the newer has been seen here, for until then it is not told to anybody.
 * returns: whether the newer one stands for both. */
static bool node_ev_joining_covers(const struct node_ev_joining *j, struct crdt_dot older,
                                   struct crdt_dot newer)
{
    return crdt_actor_compare(older.actor, newer.actor) == 0 &&
           (crdt_context_has(&j->now.seen, newer) ||
            (node_ev_joining_adds(j) && crdt_context_has(&j->f.seen, newer)));
}

/* Appends the joined removals, their number first. */
static int node_ev_joining_removals(struct node_ev_joining *j, struct node_ev_cursor own,
                                    struct node_ev_cursor other, uint32_t *count)
{
    size_t at = j->value.size;
    struct crdt_dot last = {0};
    struct crdt_dot a;
    struct crdt_dot b;
    *count = 0;
    TRY(buf_put_u32(&j->value, 0));
    bool has_own = node_ev_record_removal(&own, &a);
    bool has_other = node_ev_record_removal(&other, &b);
    while (has_own || has_other) {
        int order = !has_own ? 1 : !has_other ? -1 : crdt_dot_compare(a, b);
        if (order <= 0 || node_ev_joining_takes(j, b)) {
            struct crdt_dot dot = order <= 0 ? a : b;
            if (*count > 0 && node_ev_joining_covers(j, last, dot)) {
                j->value.size -= NODE_EV_DOT_BYTES;
                --*count;
            }
            TRY(node_ev_dot_put(&j->value, dot));
            j->news = j->news || order > 0;
            last = dot;
            ++*count;
        }
        has_own = order <= 0 ? node_ev_record_removal(&own, &a) : has_own;
        has_other = order >= 0 ? node_ev_record_removal(&other, &b) : has_other;
    }
    num_put_u32(j->value.data + at, *count);
    return 0;
}

/* Writes the record of j->name, as it is in j->value. */
static int node_ev_joining_put(struct node_ev_joining *j, bool empty)
{
    const struct node_ev_store *store = j->store;
    struct bytes name = buf_view(&j->name);
    return empty ? store->del(store->ctx, name) : store->put(store->ctx, name, buf_view(&j->value));
}

static int node_ev_joining_record(struct node_ev_joining *j, struct bytes key,
                                  struct bytes record_key, struct bytes value)
{
    struct node_ev_pair p = {0};
    struct node_ev_cursor own_gone;
    struct node_ev_cursor other_gone;
    struct bytes own = {0};
    bool before = j->news;
    uint32_t live;
    uint32_t gone;
    buf_clear(&j->name);
    buf_clear(&j->value);
    TRY(node_ev_record_name(j->f.region, key, record_key, &j->name));
    (void)j->store->get(j->store->ctx, buf_view(&j->name), &own);
    TRY(node_ev_record_begin(own, &p.own, &own_gone));
    TRY(node_ev_record_begin(value, &p.other, &other_gone));
    bool was = p.own.left > 0;
    j->news = false;
    TRY(buf_put_u8(&j->value, 1));
    TRY(node_ev_joining_entries(j, &p, &live));
    TRY(node_ev_joining_removals(j, own_gone, other_gone, &gone));
    if (j->news) {
        TRY(node_ev_joining_put(j, live + gone == 0));
        if (was != (live > 0)) {
            TRY(node_ev_types_change(&j->types, j->store, buf_view(&j->name), live > 0));
        }
    }
    j->news = j->news || before;
    return 0;
}

/* ---- fragments ------------------------------------------------------------------------------ */

static int node_ev_joining_write(struct node_ev_joining *j, uint8_t region)
{
    uint8_t name[2];
    node_ev_region_name(region, name);
    buf_clear(&j->value);
    TRY(node_ev_region_encode(&j->now, &j->value));
    TRY(j->store->put(j->store->ctx, bytes_of(name, 2), buf_view(&j->value)));
    j->store->changed(j->store->ctx, region, &j->now);
    return 0;
}

/* EV_AHEAD after a page: what those had seen whose pages have come, until the region has seen it
 * too. Records are joined one by one, so that who reads them may see any of it. */
static int node_ev_joining_ahead(struct node_ev_joining *j)
{
    const uint8_t name[2] = {NODE_KEY_EV_AHEAD, j->f.region};
    const struct bytes key = bytes_of(name, sizeof name);
    const struct node_ev_store *store = j->store;
    struct crdt_context ahead;
    bool had = false;
    crdt_context_init(&ahead, store->alloc);
    TRY(node_ev_ahead_get(store, j->f.region, &ahead, &had));
    if (crdt_context_leq(&ahead, &j->now.seen)) {
        ahead.count = 0; /* its room stays */
    }
    if (!node_ev_joining_adds(j) && !crdt_context_leq(&j->f.seen, &j->now.seen)) {
        TRY(crdt_context_join(&ahead, &j->f.seen));
    }
    int err = 0;
    buf_clear(&j->value);
    if (ahead.count > 0) {
        err = crdt_context_encode(&ahead, &j->value);
        err = err != 0 ? err : store->put(store->ctx, key, buf_view(&j->value));
    } else if (had) {
        err = store->del(store->ctx, key);
    }
    if (err == 0 && (had || ahead.count > 0)) {
        store->ahead(store->ctx, j->f.region, &ahead);
    }
    crdt_context_release(&ahead);
    return err;
}

/* The fragment in j->f, whose bytes are raw. checked: it was judged before, with all others. */
static int node_ev_joining_fragment(struct node_ev_joining *j, struct bytes raw, bool checked)
{
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    uint64_t most;
    TRY(node_ev_joining_region(j, j->f.region));
    TRY(node_ev_joining_judge(j, &j->now.seen));
    TRY(checked ? 0 : node_ev_joining_sizes(j, 0, j->f.records.size));
    j->news = false;
    if ((j->f.flags & NODE_EV_RESTORE) != 0 && !crdt_context_equal(&j->f.seen, &j->now.seen)) {
        return 0;
    }
    node_ev_fragment_begin(&j->f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        TRY(node_ev_joining_record(j, key, record_key, value));
    }
    if (node_ev_joining_adds(j) && !crdt_context_leq(&j->f.seen, &j->now.seen)) {
        TRY(crdt_context_join(&j->now.seen, &j->f.seen));
        j->news = true;
    }
    bool far = num_add_u64(j->store->log_time_us, NODE_EV_DRIFT_US, &most) && j->f.time_us > most;
    bool later = !far && j->f.time_us > j->now.time_us; /* scenario C13 */
    if (later) {
        j->now.time_us = j->f.time_us;
    }
    if (j->news || later) {
        TRY(node_ev_joining_write(j, j->f.region));
    }
    if ((j->f.flags & (NODE_EV_PAGE | NODE_EV_RESTORE)) == NODE_EV_PAGE) {
        TRY(node_ev_joining_ahead(j));
    }
    if (j->news) {
        j->store->note(j->store->ctx, j->f.region, false, raw);
    }
    return 0;
}

static int node_ev_joining_run(struct node_ev_joining *j, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    bool judged = j->judged != NULL;
    for (uint32_t i = 0; r.left > 0; i++) {
        struct bytes_reader at = r;
        TRY(node_ev_joining_next(j, &r, judged ? &j->judged[i] : NULL));
        TRY(node_ev_joining_fragment(j, bytes_of(at.at + 4, at.left - r.left - 4), judged));
    }
    return node_ev_types_write(&j->types, j->store);
}

/* What keys() refused is refused here. */
static int node_ev_join_check(const struct node_ev_store *store, struct bytes body)
{
    struct node_ev_scope scope;
    if (body.size == 0) {
        return ERR_INVALID;
    }
    if (body.size <= NODE_EV_JOIN_SMALL_BYTES) {
        return 0;
    }
    node_ev_scope_init(&scope, store->alloc);
    int err = node_ev_join_scope(body, &scope);
    node_ev_scope_release(&scope);
    return err;
}

/* returns: how many fragments the body has; the last may be cut. */
static uint32_t node_ev_join_count(struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    uint32_t count = 0;
    while (r.left > 0 && !r.failed) {
        (void)bytes_take(&r, bytes_take_u32(&r));
        count++;
    }
    return count;
}

int node_ev_join(const struct node_ev_store *store, struct bytes body, struct buf *reply)
{
    struct node_ev_joining j = {0};
    struct node_ev_scratch scratch;
    struct alloc alloc = node_ev_scratch_init(&scratch, store->alloc);
    struct node_ev_store own = *store;
    int code;
    (void)reply;
    if (node_ev_join_known(store, body, &code)) {
        return code;
    }
    own.alloc = &alloc;
    int err = node_ev_join_check(&own, body);
    err = err == 0 ? node_ev_joining_init(&j, &own, node_ev_join_count(body)) : err;
    err = err == 0 ? node_ev_joining_judge_all(&j, body) : err;
    err = err == 0 ? node_ev_joining_run(&j, body) : err;
    if (j.twice) {
        store->doubt(store->ctx, "an own dot has two meanings");
    }
    if (err == 0 && j.lost) {
        err = store->lost(store->ctx);
    }
    node_ev_scratch_release(&scratch); /* all that was made */
    return err;
}
