/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counts of types, checked against the records that they follow from, and put right where damage
 * or a mistake has made them others. All records are walked, a page of them a second, in units:
 * whole keys, as many as are in a page, or one key that is in many. The counts of a unit are read
 * at once.
 *
 *   RECORDS  counts of the unit's records are made anew
 *   TYPES    EV_TYPES of the same keys are read; those that differ are told to EV_RECOUNT, at most
 *            NODE_EV_RECOUNT_FIXES of them, and no more than fit: the others in another pass
 *
 * What is counted holds only as long as nothing was written to the region: its hash is in the
 * command, which does nothing where that has changed. Another pass looks again.
 */
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_RECOUNT_STEP_US 1000000u
#define NODE_EV_RECOUNT_PASS_US 600000000u
#define NODE_EV_RECOUNT_FIXES 1024u
/* Of one unit; a key with more, or with more bytes of them than NODE_EV_NAMES_BYTES_MAX, is passed
 * over. */
#define NODE_EV_RECOUNT_PLACES 65536u

/* What a row says of its record. */
enum {
    NODE_EV_COUNTS_GONE = 0,
    NODE_EV_COUNTS_LIVE = 1,
    NODE_EV_COUNTS_UNREAD = 2,
};

struct node_ev_recount {
    struct node *n;
    struct node_timer timer;
    uint8_t region;
    bool started;
    bool begun;   /* `hash` is that of the unit's first page */
    bool spoiled; /* the region changed meanwhile, or the unit is too large */
    bool more;
    struct hash_digest hash;
    struct buf from;  /* where the unit begins: the first part of a record's name */
    struct buf to;    /* where it ends */
    struct buf after; /* the last row looked at */
    struct buf fixes; /* of EV_RECOUNT */
    uint32_t fixes_count;
    struct node_ev_types counted;
};

static void node_ev_recount_ask(struct node_ev_recount *c, bool types);

/* ---- the question: more u8, hash of the region 2 * u64, rows: name u16, value (length u32)
 * ------- Body: after u8, from u16, to u16. Of a record the value is one byte: whether it has
 * entries, or cannot be read. */

static int node_ev_counts_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct bytes_reader r = bytes_reader_of(body);
    uint8_t name[2];
    range->after = bytes_take_u8(&r) != 0;
    range->from = bytes_take(&r, bytes_take_u16(&r));
    range->to = bytes_take(&r, bytes_take_u16(&r));
    if (!bytes_reader_ended(&r) || range->from.size < 2 || range->to.size < 2) {
        return ERR_PROTOCOL;
    }
    node_ev_region_name(range->from.data[1], name);
    range->rows_max = NODE_EV_PAGE_ROWS;
    range->bytes_max = NODE_EV_PAGE_BYTES;
    return node_keys_add(keys, bytes_of(name, sizeof name));
}

static int node_ev_counts_rows(const struct node_rows *rows, struct buf *reply)
{
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct node_ev_cursor entries;
        struct node_ev_cursor removals;
        struct bytes name;
        struct bytes raw;
        uint8_t live = NODE_EV_COUNTS_GONE;
        node_rows_at(rows, i, &name, &raw);
        (void)buf_put_u16(reply, (uint16_t)name.size);
        (void)buf_append(reply, name.data, name.size);
        if (name.data[0] == NODE_KEY_EV_RECORD) {
            bool good = node_ev_record_begin(raw, &entries, &removals) == 0;
            live = good ? entries.left > 0 : NODE_EV_COUNTS_UNREAD;
            raw = bytes_of(&live, 1);
        }
        TRY(buf_put_bytes(reply, raw));
    }
    return reply->err;
}

static int node_ev_counts_answer(const struct node_query_ctx *q, struct bytes body,
                                 const struct node_rows *rows, struct buf *reply)
{
    struct node_ev_region own = {0};
    struct bytes raw = {0};
    uint8_t name[2];
    (void)q;
    node_ev_region_name(body.data[4], name); /* the second byte of `from` */
    crdt_context_init(&own.seen, &reply->alloc);
    (void)node_rows_get(rows, bytes_of(name, sizeof name), &raw);
    int err = node_ev_region_decode(raw, &own);
    struct hash_digest hash = node_ev_region_hash(&own);
    crdt_context_release(&own.seen);
    TRY(err);
    (void)buf_put_u8(reply, node_rows_more(rows));
    (void)buf_put_u64(reply, hash.low);
    (void)buf_put_u64(reply, hash.high);
    return node_ev_counts_rows(rows, reply);
}

const struct node_query_op node_ev_recount_queries[] = {
    {NODE_QUERY_EV_COUNTS, "ev_counts", node_ev_counts_want, node_ev_counts_answer},
    {0, NULL, NULL, NULL},
};

/* ---- the command: region u8, hash 2 * u64, to the end: name u16, EV_TYPES u8 length (0: none) ---
 */

static int node_ev_recount_row(struct bytes_reader *r, uint8_t region, struct bytes *name,
                               struct bytes *raw)
{
    *name = bytes_take(r, bytes_take_u16(r));
    *raw = bytes_take(r, bytes_take_u8(r));
    bool good = !r->failed && name->size >= 4 && name->size <= NODE_NAME_BYTES_MAX &&
                name->data[0] == NODE_KEY_EV_TYPES && name->data[1] == region;
    return good ? 0 : ERR_INVALID;
}

int node_ev_recount_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint8_t region = bytes_take_u8(&r);
    (void)bytes_take(&r, 2 * sizeof(uint64_t));
    while (r.left > 0) {
        struct bytes name;
        struct bytes raw;
        TRY(node_ev_recount_row(&r, region, &name, &raw));
        TRY(node_keys_add(out, name));
    }
    return r.failed || region >= NODE_EV_REGIONS ? ERR_INVALID : 0;
}

int node_ev_recount_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint8_t region = bytes_take_u8(&r);
    struct hash_digest hash = {.low = bytes_take_u64(&r)};
    hash.high = bytes_take_u64(&r);
    (void)reply;
    if (node_sm_group(sm) != NODE_GROUP_OWN) {
        return ERR_INVALID;
    }
    struct hash_digest now = node_ev_region_hash(node_ev_region_get(sm->n, region));
    if (now.low != hash.low || now.high != hash.high) {
        return ERR_BEHIND;
    }
    while (r.left > 0) {
        struct bytes name;
        struct bytes raw;
        TRY(node_ev_recount_row(&r, region, &name, &raw));
        TRY(raw.size == 0 ? node_sm_del(sm, name) : node_sm_put(sm, name, raw));
    }
    return 0;
}

/* ---- units ---------------------------------------------------------------------------------- */

static int node_ev_recount_absent(void *ctx, struct bytes name, struct bytes *value)
{
    (void)ctx;
    (void)name;
    (void)value;
    return ERR_NOT_FOUND;
}

static void node_ev_recount_clear(struct node_ev_recount *c)
{
    const struct alloc *alloc = node_alloc(c->n);
    node_ev_types_release(&c->counted);
    node_ev_types_init(&c->counted, alloc);
    buf_clear(&c->after);
    buf_clear(&c->fixes);
    c->fixes_count = 0;
    c->begun = false;
    c->spoiled = false;
}

/* The unit begins where the region does. */
static void node_ev_recount_region(struct node_ev_recount *c, uint8_t region)
{
    const uint8_t name[2] = {NODE_KEY_EV_RECORD, region};
    node_ev_recount_clear(c);
    c->region = region;
    buf_clear(&c->from);
    (void)buf_append(&c->from, name, sizeof name);
}

static void node_ev_recount_later(struct node_ev_recount *c, uint64_t us)
{
    node_timer_set(c->n, &c->timer, node_now(c->n) + us);
}

/* The region has been walked, or what is left of it cannot be. */
static void node_ev_recount_region_next(struct node_ev_recount *c)
{
    bool last = c->region + 1u == NODE_EV_REGIONS;
    node_ev_recount_region(c, last ? 0 : (uint8_t)(c->region + 1u));
    node_ev_recount_later(c, last ? NODE_EV_RECOUNT_PASS_US : NODE_EV_RECOUNT_STEP_US);
}

/* The unit has been looked at, whatever came of it. */
static void node_ev_recount_next(struct node_ev_recount *c)
{
    if (c->to.size == 2) {
        node_ev_recount_region_next(c);
        return;
    }
    node_ev_recount_clear(c);
    buf_clear(&c->from);
    (void)buf_append(&c->from, c->to.data, c->to.size);
    node_ev_recount_later(c, NODE_EV_RECOUNT_STEP_US);
}

/* returns: the first part of a record's name: kind, region and key. */
static struct bytes node_ev_recount_key(struct bytes name)
{
    size_t key = name.size < 4 ? 0 : (size_t)name.data[2] << 8 | name.data[3];
    return bytes_of(name.data, NUM_MIN(4 + key, name.size));
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void node_ev_recount_fix(struct node_ev_recount *c, struct bytes name,
                                const struct node_ev_counts *counts)
{
    uint8_t raw[NODE_EV_TYPES_BYTES_MAX];
    size_t size = counts == NULL ? 0 : node_ev_counts_encode(counts, raw);
    size_t left = c->fixes.limit_bytes - c->fixes.size;
    if (c->fixes_count == NODE_EV_RECOUNT_FIXES || 3 + name.size + size > left) {
        return;
    }
    c->fixes_count++;
    (void)buf_put_u16(&c->fixes, (uint16_t)name.size);
    (void)buf_append(&c->fixes, name.data, name.size);
    (void)buf_put_u8(&c->fixes, (uint8_t)size);
    (void)buf_append(&c->fixes, raw, size);
}

/* What stands at a place. `changed` says that the place has not been met among the rows. */
static void node_ev_recount_compare(struct node_ev_recount *c, struct bytes name, struct bytes raw)
{
    uint8_t wanted[NODE_EV_TYPES_BYTES_MAX];
    uint32_t i = node_ev_names_find(&c->counted.names, name);
    if (i == NODE_EV_NAME_NONE) {
        node_ev_recount_fix(c, name, NULL);
        return;
    }
    c->counted.items[i].changed = false;
    size_t size = node_ev_counts_encode(&c->counted.items[i], wanted);
    if (!bytes_equal(raw, bytes_of(wanted, size))) {
        node_ev_recount_fix(c, name, &c->counted.items[i]);
    }
}

static void node_ev_recount_fixed(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_recount *c = ctx;
    (void)reply;
    if (n->closing) {
        return;
    }
    if (code == 0) {
        node_ev_of(n)->counters.recounted += c->fixes_count;
        log_line(node_log(n), LOG_WARN, "eventual_types_restored", "node=%u region=%u places=%u",
                 node_self(n), c->region, c->fixes_count);
    }
    node_ev_recount_next(c);
}

static void node_ev_recount_compared(struct node_ev_recount *c)
{
    struct node *n = c->n;
    struct buf body;
    for (uint32_t i = 0; i < c->counted.names.count && !c->spoiled; i++) {
        if (c->counted.items[i].changed) {
            node_ev_recount_fix(c, node_ev_names_at(&c->counted.names, i), &c->counted.items[i]);
        }
    }
    if (c->spoiled || c->fixes_count == 0) {
        node_ev_recount_next(c);
        return;
    }
    buf_init(&body, node_alloc(n), n->options.limits.proposal_bytes);
    (void)buf_put_u8(&body, c->region);
    (void)buf_put_u64(&body, c->hash.low);
    (void)buf_put_u64(&body, c->hash.high);
    (void)buf_append(&body, c->fixes.data, c->fixes.size);
    if (c->fixes.err == 0 && body.err == 0) {
        const struct node_cmd cmd = {.op = NODE_OP_EV_RECOUNT, .body = buf_view(&body)};
        node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, c,
                     node_ev_recount_fixed);
    } else {
        node_ev_recount_next(c);
    }
    buf_release(&body);
}

/* ---- walking -------------------------------------------------------------------------------- */

/* Takes the head of an answer. returns: 0 or an error of it. */
static int node_ev_recount_head(struct node_ev_recount *c, int code, struct bytes_reader *r)
{
    TRY(code);
    c->more = bytes_take_u8(r) != 0;
    struct hash_digest hash = {.low = bytes_take_u64(r)};
    hash.high = bytes_take_u64(r);
    c->spoiled = c->spoiled || (c->begun && (hash.low != c->hash.low || hash.high != c->hash.high));
    c->hash = hash;
    c->begun = true;
    return r->failed ? ERR_CORRUPT : 0;
}

static void node_ev_recount_types(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_recount *c = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    struct bytes name = {0};
    if (n->closing) {
        return;
    }
    code = node_ev_recount_head(c, code, &r);
    while (code == 0 && r.left > 0) {
        name = bytes_take(&r, bytes_take_u16(&r));
        struct bytes raw = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        if (!c->spoiled) {
            node_ev_recount_compare(c, name, raw);
        }
    }
    if (code != 0) {
        node_ev_recount_next(c);
        return;
    }
    buf_clear(&c->after);
    if (c->more && buf_append(&c->after, name.data, name.size) == 0) {
        node_ev_recount_ask(c, true);
    } else {
        node_ev_recount_compared(c);
    }
}

/* The next row of records. returns: false after the last. */
static bool node_ev_recount_row_next(struct bytes_reader *r, struct bytes *name, uint8_t *live)
{
    if (r->left == 0 || r->failed) {
        return false;
    }
    *name = bytes_take(r, bytes_take_u16(r));
    struct bytes value = bytes_take_bytes(r, 1);
    *live = value.size == 1 ? value.data[0] : NODE_EV_COUNTS_UNREAD;
    return true;
}

static bool node_ev_recount_unread(struct bytes name, uint8_t live)
{
    struct crdt_key_parts parts;
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    return live == NODE_EV_COUNTS_UNREAD ||
           node_ev_record_parts(name, &region, &key, &record_key) != 0 ||
           crdt_key_parts_of(record_key, &parts) != 0;
}

/* The first key of the rows that is not this one, or the first with a record that cannot be read.
 * returns: the key; empty if there is none. */
static struct bytes node_ev_recount_seek(struct bytes_reader r, struct bytes beside, bool unread)
{
    struct bytes name;
    uint8_t live;
    while (node_ev_recount_row_next(&r, &name, &live)) {
        struct bytes key = node_ev_recount_key(name);
        if (unread ? node_ev_recount_unread(name, live) : !bytes_equal(key, beside)) {
            return key;
        }
    }
    return bytes_of(NULL, 0);
}

/* The unit ends before the last key of the page, unless it is all there is, or the unit's only. A
 * key in many pages is a unit of its own; so is one of which a record cannot be read, and that is
 * passed over. */
static int node_ev_recount_end(struct node_ev_recount *c, struct bytes_reader rows,
                               struct bytes last)
{
    const uint8_t end[2] = {NODE_KEY_EV_RECORD, (uint8_t)(c->region + 1)};
    struct bytes from = buf_view(&c->from);
    struct bytes to = c->more ? node_ev_recount_key(last) : bytes_of(end, sizeof end);
    struct bytes unread = node_ev_recount_seek(rows, from, true);
    bool passed = unread.size > 0 && bytes_equal(unread, from);
    if (passed) {
        c->spoiled = true;
        log_line(node_log(c->n), LOG_WARN, "eventual_record_unread", "node=%u region=%u",
                 node_self(c->n), c->region);
    }
    if (passed || c->after.size > 0) {
        struct bytes other = node_ev_recount_seek(rows, from, false);
        to = other.size > 0 ? other : to;
    } else if (unread.size > 0) {
        to = unread;
    }
    buf_clear(&c->to);
    return buf_append(&c->to, to.data, to.size);
}

static int node_ev_recount_count(struct node_ev_recount *c, struct bytes_reader r)
{
    const struct node_ev_store none = {.get = node_ev_recount_absent};
    bool single = bytes_equal(buf_view(&c->to), buf_view(&c->from));
    struct bytes name;
    uint8_t live;
    while (!c->spoiled && node_ev_recount_row_next(&r, &name, &live)) {
        bool within = single || bytes_compare(name, buf_view(&c->to)) < 0;
        int err = 0;
        if (within && live == NODE_EV_COUNTS_LIVE) {
            err = node_ev_types_change(&c->counted, &none, name, true);
        }
        c->spoiled = err == ERR_TOO_LARGE || c->counted.names.count > NODE_EV_RECOUNT_PLACES;
        TRY(c->spoiled ? 0 : err);
    }
    return 0;
}

static struct bytes node_ev_recount_last(struct bytes_reader r)
{
    struct bytes name = {0};
    uint8_t live;
    while (node_ev_recount_row_next(&r, &name, &live)) {
    }
    return name;
}

static void node_ev_recount_records(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_recount *c = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    if (n->closing) {
        return;
    }
    code = node_ev_recount_head(c, code, &r);
    struct bytes last = node_ev_recount_last(r);
    code = code != 0 ? code : node_ev_recount_end(c, r, last);
    code = code != 0 ? code : node_ev_recount_count(c, r);
    bool single = bytes_equal(buf_view(&c->to), buf_view(&c->from));
    buf_clear(&c->after);
    if (code != 0 || (single && buf_append(&c->after, last.data, last.size) != 0)) {
        node_ev_recount_region_next(c); /* another pass tries this one again */
    } else if (single) {
        node_ev_recount_later(c, NODE_EV_RECOUNT_STEP_US);
    } else if (c->spoiled) {
        node_ev_recount_next(c);
    } else {
        node_ev_recount_ask(c, true);
    }
}

static void node_ev_recount_put_name(struct buf *out, struct bytes name, bool types)
{
    (void)buf_put_u16(out, (uint16_t)name.size);
    (void)buf_put_u8(out, types ? NODE_KEY_EV_TYPES : NODE_KEY_EV_RECORD);
    (void)buf_append(out, name.data + 1, name.size - 1);
}

static void node_ev_recount_ask(struct node_ev_recount *c, bool types)
{
    struct node *n = c->n;
    const uint8_t end[2] = {NODE_KEY_EV_RECORD, (uint8_t)(c->region + 1)};
    bool after = c->after.size > 0;
    struct buf body;
    buf_init(&body, node_alloc(n), 4 * NODE_NAME_BYTES_MAX);
    (void)buf_put_u8(&body, after);
    node_ev_recount_put_name(&body, after ? buf_view(&c->after) : buf_view(&c->from), types);
    node_ev_recount_put_name(&body, types ? buf_view(&c->to) : bytes_of(end, sizeof end), types);
    if (body.err == 0) {
        node_query(n, NODE_GROUP_OWN, NODE_QUERY_EV_COUNTS, buf_view(&body), true,
                   node_now(n) + NODE_EV_CALL_US, c,
                   types ? node_ev_recount_types : node_ev_recount_records);
    } else {
        node_ev_recount_later(c, NODE_EV_RECOUNT_STEP_US);
    }
    buf_release(&body);
}

/* Regions that nothing was written to are passed over at once. */
static void node_ev_recount_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_recount *c = t->ctx;
    if (n->closing || n->failed) {
        return;
    }
    if (!node_ev_ready(n)) {
        node_ev_recount_later(c, NODE_EV_RECOUNT_STEP_US);
        return;
    }
    while (node_ev_seen(n, c->region)->count == 0) {
        if (c->region + 1u == NODE_EV_REGIONS) {
            node_ev_recount_region(c, 0);
            node_ev_recount_later(c, NODE_EV_RECOUNT_PASS_US);
            return;
        }
        node_ev_recount_region(c, (uint8_t)(c->region + 1u));
    }
    node_ev_recount_ask(c, false);
}

/* ---- begin and end -------------------------------------------------------------------------- */

int node_ev_recount_init(struct node *n)
{
    struct node_ev_recount *c = alloc_get_zeroed(&n->alloc, 1, sizeof *c);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    node_ev_of(n)->recount = c;
    c->n = n;
    c->timer = (struct node_timer){.ctx = c, .fire = node_ev_recount_fire};
    buf_init(&c->from, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&c->to, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&c->after, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&c->fixes, &n->alloc, n->options.limits.proposal_bytes / 2);
    node_ev_types_init(&c->counted, &n->alloc);
    node_ev_recount_region(c, 0);
    return c->from.err;
}

void node_ev_recount_start(struct node *n)
{
    struct node_ev_recount *c = node_ev_of(n)->recount;
    if (!c->started) {
        c->started = true;
        node_ev_recount_later(c, NODE_EV_RECOUNT_STEP_US);
    }
}

void node_ev_recount_release(struct node *n)
{
    struct node_ev_recount *c = node_ev_of(n)->recount;
    if (c != NULL) {
        node_timer_cancel(n, &c->timer);
        node_ev_types_release(&c->counted);
        buf_release(&c->from);
        buf_release(&c->to);
        buf_release(&c->after);
        buf_release(&c->fixes);
        alloc_put(&n->alloc, c, sizeof *c);
        node_ev_of(n)->recount = NULL;
    }
}
