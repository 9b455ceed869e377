/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A state of the own group that cannot be read: no leader has a snapshot of it. What is damaged
 * goes, and with it everything that depends on it; peers bring it back. One transaction:
 *
 *   a record        it is deleted. What its entries were is not known, so the region's context
 *                   becomes the dots of what is still there: to have seen a dot and not to have its
 *                   entry would mean that it was removed, here and soon everywhere. Of what was
 *                   replaced or removed nothing is known then: see eventual_mend.c.
 *   a region        written again as it is in memory; if it is not, because this start could not
 *                   read it, made again from its records in the same way
 *   EV_PRUNED       all that the region has seen: more is told than need be
 *   EV_AHEAD        what of a half fetched region has come counts as seen: its context is made
 *                   again from its records, as above
 *   EV_TYPES        counted again from the records of the region
 *   EV_SELF         the next epoch; if it is EV_SELF itself that is damaged, group 0 grants one.
 *                   Dots may be made again that peers have seen already, so never under the old
 *                   one
 *   a session       it has expired, and so have all others
 *   EV_ONCE         what is left is counted anew; tokens of which nothing is left are forgotten
 *
 * Where there are no peers, sessions and tokens go on if all that remembers commands is there.
 *
 * EV_SELF says which regions' contexts were made again: they are mended, also after a crash. If it
 * cannot be read, which were mended before is not known, so all are that have seen something.
 *
 * It waits until all that was applied is in the table, so that nothing is replayed over it.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_QUARANTINE_RETRY_US 10000u
#define NODE_EV_QUARANTINE_RANGES_MAX 4096u /* of a context made again; beyond: all of it goes */

struct node_ev_quarantine {
    struct node_task task;
    struct node *n;
    struct node_group *g;
    struct node_ev_self_record self;
    struct node_meta meta;
    uint64_t wall_us;
    const struct store_kv *kv;
    struct store_kv_reader *reader;
    uint64_t regions;                       /* whose contexts are made again */
    uint64_t headless;                      /* whose EV_REGION cannot be read */
    uint64_t counts;                        /* of which an EV_TYPES cannot be */
    uint64_t pruned;                        /* whose EV_PRUNED cannot be */
    uint64_t memory;                        /* that are in memory */
    uint64_t forget;                        /* of which all goes: eventual_hold.c */
    bool alone;                             /* there are no peers, and nothing is mended */
    bool unread;                            /* this start could not read EV_SELF */
    uint64_t behind;                        /* whose EV_AHEAD goes */
    uint64_t dots;                          /* that go with them */
    uint32_t deleted;                       /* records that could not be read */
    bool forgets;                           /* one said what became of commands */
    bool onces;                             /* one of them was a write's under a token */
    uint64_t sessions;                      /* records of sessions that can be read */
    uint64_t once_bytes;                    /* of those of tokens that can be read */
    uint64_t once_counted;                  /* what they were counted to be */
    uint8_t once[NODE_EV_ONCE_STATE_BYTES]; /* what is left of these; [0] 0: as it was */
    struct buf gone;                        /* their whole keys: u16 length, key */
    struct buf kept;   /* of `memory`, one after another: number u8, u32 length, EV_REGION */
    struct buf region; /* what was written: kind and number u8, u32 length, value */
    struct node_ev_region now;
    struct node_ev_types types;
    struct node_ev_store store;
};

static struct bytes node_ev_q_name(struct bytes key)
{
    return bytes_of(key.data + NODE_PREFIX_BYTES, key.size - NODE_PREFIX_BYTES);
}

/* ---- the table as a store, for the counts of types ------------------------------------------ */

static int node_ev_q_get(void *ctx, struct bytes name, struct bytes *value)
{
    (void)ctx;
    (void)name;
    (void)value;
    return ERR_NOT_FOUND; /* counted from nothing */
}

static int node_ev_q_put(void *ctx, struct bytes name, struct bytes value)
{
    struct node_ev_quarantine *q = ctx;
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    node_prefix_put(key, q->g->id, q->meta.generation);
    memcpy(key + NODE_PREFIX_BYTES, name.data, name.size);
    return q->kv->put(q->kv->ctx, bytes_of(key, NODE_PREFIX_BYTES + name.size), value);
}

static int node_ev_q_del(void *ctx, struct bytes name)
{
    (void)ctx;
    (void)name;
    return 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

static void node_ev_q_lost(struct node_ev_quarantine *q, struct bytes key)
{
    struct bytes name = node_ev_q_name(key);
    bool has_region = name.size >= 2 && name.data[1] < NODE_EV_REGIONS;
    uint64_t bit = has_region ? UINT64_C(1) << name.data[1] : 0;
    switch (name.data[0]) {
    case NODE_KEY_EV_RECORD: q->regions |= bit; break;
    case NODE_KEY_EV_AHEAD:
        q->regions |= bit;
        q->behind |= bit;
        break;
    case NODE_KEY_EV_REGION: q->headless |= bit; break;
    case NODE_KEY_EV_TYPES: q->counts |= bit; break;
    case NODE_KEY_EV_PRUNED: q->pruned |= bit; break;
    case NODE_KEY_EV_ONCE:
        q->onces = true;
        q->forgets = true;
        break;
    case NODE_KEY_EV_SELF:
        q->self.mending |= q->unread ? q->memory : 0;
        q->forgets = true;
        break;
    default: q->forgets = true; break;
    }
    (void)buf_put_u16(&q->gone, (uint16_t)key.size);
    (void)buf_append(&q->gone, key.data, key.size);
    q->deleted++;
}

static void node_ev_q_count(struct node_ev_quarantine *q, struct bytes name, struct bytes value)
{
    q->sessions += name.data[0] == NODE_KEY_SESSION;
    if (name.data[0] == NODE_KEY_EV_ONCE && name.size > 1) {
        q->once_bytes += name.size + value.size;
    }
}

/* A damaged name may be of another kind than it was: what remembers commands must all be there. */
static void node_ev_q_remembers(struct node_ev_quarantine *q)
{
    q->onces = q->onces || q->once_bytes != q->once_counted;
    q->forgets = q->forgets || q->onces || q->sessions != q->meta.sessions;
}

/* Goes over every record of the group. */
static int node_ev_q_look(struct node_ev_quarantine *q)
{
    uint8_t prefix[NODE_PREFIX_BYTES];
    struct bytes key;
    struct bytes value;
    node_prefix_put(prefix, q->g->id, q->meta.generation);
    struct bytes all = bytes_of(prefix, sizeof prefix);
    int err = q->kv->seek(q->reader, all, false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) && bytes_has_prefix(key, all) &&
           key.size > NODE_PREFIX_BYTES) {
        if (err == ERR_CORRUPT) {
            node_ev_q_lost(q, key);
        } else {
            node_ev_q_count(q, node_ev_q_name(key), value);
        }
        err = q->kv->next(q->reader, &key, &value);
    }
    q->regions |= q->headless & ~q->memory;
    node_ev_q_remembers(q);
    return err == ERR_CORRUPT || err == ERR_NOT_FOUND ? q->gone.err : err;
}

/* ---- making again --------------------------------------------------------------------------- */

static int node_ev_q_dot(struct node_ev_quarantine *q, struct crdt_dot dot)
{
    const struct crdt_range range = {.actor = dot.actor, .from = dot.counter, .to = dot.counter};
    return crdt_context_add(&q->now.seen, &range);
}

static int node_ev_q_record(struct node_ev_quarantine *q, struct bytes name, struct bytes value)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    struct crdt_dot dot;
    struct bytes raw;
    TRY(node_ev_record_begin(value, &entries, &removals));
    bool live = entries.left > 0;
    while (node_ev_record_raw(&entries, &e, &raw)) {
        hash_digest_add(&q->now.digest, name, raw);
        TRY(node_ev_q_dot(q, e.dot));
    }
    while (node_ev_record_removal(&removals, &dot)) {
        TRY(node_ev_q_dot(q, dot));
    }
    return live ? node_ev_types_change(&q->types, &q->store, name, true) : 0;
}

/* Deletes the counts of types, or with all every record, of a region. */
static int node_ev_q_clear(struct node_ev_quarantine *q, uint8_t region, uint8_t kind)
{
    uint8_t from[NODE_PREFIX_BYTES + 2];
    uint8_t to[NODE_PREFIX_BYTES + 2];
    uint64_t deleted = 0;
    node_prefix_put(from, q->g->id, q->meta.generation);
    from[NODE_PREFIX_BYTES] = kind;
    from[NODE_PREFIX_BYTES + 1] = region;
    memcpy(to, from, sizeof to);
    to[NODE_PREFIX_BYTES + 1]++;
    return q->kv->del_range(q->kv->ctx, bytes_of(from, sizeof from), bytes_of(to, sizeof to),
                            UINT64_MAX, &deleted);
}

static int node_ev_q_walk(struct node_ev_quarantine *q, uint8_t region)
{
    uint8_t prefix[NODE_PREFIX_BYTES + 2];
    struct bytes key;
    struct bytes value;
    node_prefix_put(prefix, q->g->id, q->meta.generation);
    prefix[NODE_PREFIX_BYTES] = NODE_KEY_EV_RECORD;
    prefix[NODE_PREFIX_BYTES + 1] = region;
    struct bytes all = bytes_of(prefix, sizeof prefix);
    int err = q->kv->seek(q->reader, all, false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) && bytes_has_prefix(key, all)) {
        if (err == 0) {
            TRY(node_ev_q_record(q, node_ev_q_name(key), value));
        }
        if (q->now.seen.count > NODE_EV_QUARANTINE_RANGES_MAX && (q->regions >> region & 1u) != 0) {
            return ERR_TOO_LARGE;
        }
        err = q->kv->next(q->reader, &key, &value);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err;
}

static void node_ev_q_fresh(struct node_ev_quarantine *q)
{
    crdt_context_release(&q->now.seen);
    crdt_context_init(&q->now.seen, q->store.alloc);
    q->now.digest = (struct hash_digest){0};
    q->now.time_us = q->wall_us; /* later than what was lost, as far as can be told */
    node_ev_types_release(&q->types);
    node_ev_types_init(&q->types, q->store.alloc);
}

/* Writes one of a region's own records. */
static int node_ev_q_write(struct node_ev_quarantine *q, uint8_t kind, uint8_t region,
                           struct bytes value)
{
    const uint8_t name[2] = {kind, region};
    TRY(node_ev_q_put(q, bytes_of(name, sizeof name), value));
    (void)buf_put_u8(&q->region, kind);
    (void)buf_put_u8(&q->region, region);
    return buf_put_bytes(&q->region, value);
}

/* The region's context, and the counts of its types, from its records. */
static int node_ev_q_again(struct node_ev_quarantine *q, uint8_t region)
{
    uint64_t bit = UINT64_C(1) << region;
    int err = (q->forget & bit) != 0 ? ERR_TOO_LARGE : node_ev_q_walk(q, region);
    if (err == ERR_CORRUPT && (q->regions & bit) == 0) {
        node_ev_q_fresh(q); /* nothing is counted: eventual_recount.c makes up for it */
        err = 0;
    } else if (err == ERR_TOO_LARGE || err == ERR_CORRUPT) { /* more than a context holds, or all */
        node_ev_q_fresh(q);
        err = node_ev_q_clear(q, region, NODE_KEY_EV_RECORD);
        err = err != 0 ? err : node_ev_q_clear(q, region, NODE_KEY_EV_AHEAD);
        q->behind |= bit;
    }
    err = err != 0 ? err : node_ev_q_clear(q, region, NODE_KEY_EV_TYPES);
    return err != 0 ? err : node_ev_types_write(&q->types, &q->store);
}

/* Makes q->now the region as it is in memory. */
static int node_ev_q_keep(struct node_ev_quarantine *q, uint8_t region)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&q->kept));
    node_ev_q_fresh(q);
    while (r.left > 0) {
        uint8_t at = bytes_take_u8(&r);
        struct bytes raw = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        if (at == region) {
            return node_ev_region_decode(raw, &q->now);
        }
    }
    return 0; /* nothing was ever written to it */
}

static int node_ev_q_region(struct node_ev_quarantine *q, uint8_t region)
{
    uint64_t bit = UINT64_C(1) << region;
    struct buf raw;
    struct buf seen;
    node_ev_q_fresh(q);
    int err = ((q->regions | q->counts) & bit) != 0 ? node_ev_q_again(q, region) : 0;
    err = err == 0 && (q->regions & bit) == 0 ? node_ev_q_keep(q, region) : err;
    buf_init(&raw, q->store.alloc, STORE_KV_VALUE_BYTES_MAX);
    buf_init(&seen, q->store.alloc, STORE_KV_VALUE_BYTES_MAX);
    if (err == 0 && ((q->regions | q->headless) & bit) != 0) {
        err = node_ev_region_encode(&q->now, &raw);
        err = err != 0 ? err : node_ev_q_write(q, NODE_KEY_EV_REGION, region, buf_view(&raw));
    }
    if (err == 0 && (q->pruned & bit) != 0) {
        err = crdt_context_encode(&q->now.seen, &seen);
        err = err != 0 ? err : node_ev_q_write(q, NODE_KEY_EV_PRUNED, region, buf_view(&seen));
    }
    buf_release(&raw);
    buf_release(&seen);
    return err != 0 ? err : q->region.err;
}

static int node_ev_q_delete(struct node_ev_quarantine *q)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&q->gone));
    while (r.left > 0) {
        TRY(q->kv->del(q->kv->ctx, bytes_take(&r, bytes_take_u16(&r))));
    }
    return 0;
}

/* A node without peers does what its log has beyond the table once more, and what sessions and
 * tokens remember is as of the table: then these go on, for a command of theirs that was answered
 * must not be refused there. With peers nothing is done that they may have been told of, so nothing
 * says what became of it. */
static int node_ev_q_self(struct node_ev_quarantine *q)
{
    struct node_ev_self_record *s = &q->self;
    uint8_t raw[NODE_EV_SELF_BYTES];
    s->epoch = s->next < s->end ? s->next++ : 0;
    if (!q->alone || q->forgets || q->unread) {
        s->since = s->epoch != 0 ? s->epoch : UINT64_MAX;
    }
    s->clean = false;
    s->mending = q->alone ? 0 : s->mending | q->regions;
    return node_ev_q_put(q, node_ev_self_name(), node_ev_self_encode(s, raw));
}

/* Counts writes under tokens that are left. Of the others nothing is known any more, which `since`
 * of EV_SELF says. */
static int node_ev_q_onces(struct node_ev_quarantine *q)
{
    uint8_t prefix[NODE_PREFIX_BYTES + 1];
    struct bytes key;
    struct bytes value;
    uint64_t bytes = 0;
    node_prefix_put(prefix, q->g->id, q->meta.generation);
    prefix[NODE_PREFIX_BYTES] = NODE_KEY_EV_ONCE;
    struct bytes all = bytes_of(prefix, sizeof prefix);
    int err = q->kv->seek(q->reader, all, true, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) && bytes_has_prefix(key, all)) {
        bytes += err == 0 ? key.size - NODE_PREFIX_BYTES + value.size : 0;
        err = q->kv->next(q->reader, &key, &value);
    }
    q->once[0] = NODE_EV_ONCE_FORMAT;
    num_put_u64(q->once + 1, bytes);
    TRY(err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err);
    return node_ev_q_put(q, bytes_of(prefix + NODE_PREFIX_BYTES, 1),
                         bytes_of(q->once, sizeof q->once));
}

static int node_ev_q_change(struct node_ev_quarantine *q)
{
    TRY(node_ev_q_delete(q));
    TRY(q->onces ? node_ev_q_onces(q) : 0);
    for (uint8_t i = 0; i < NODE_EV_REGIONS; i++) {
        if (((q->regions | q->headless | q->counts | q->pruned) >> i & 1u) != 0) {
            TRY(node_ev_q_region(q, i));
        }
    }
    return node_ev_q_self(q);
}

/* ---- sessions and META ----------------------------------------------------------------------- */

static int node_ev_q_meta(struct node_ev_quarantine *q)
{
    uint8_t key[9];
    struct buf raw;
    node_meta_key(q->g->id, key);
    buf_init(&raw, q->store.alloc, 4096);
    int err = node_meta_encode(&q->meta, q->g, &raw);
    err = err != 0 ? err : q->kv->put(q->kv->ctx, bytes_of(key, sizeof key), buf_view(&raw));
    buf_release(&raw);
    return err;
}

/* Counts the sessions that are left. */
static int node_ev_q_sessions(struct node_ev_quarantine *q)
{
    uint8_t prefix[NODE_PREFIX_BYTES + 1];
    struct bytes key;
    struct bytes value;
    node_prefix_put(prefix, q->g->id, q->meta.generation);
    prefix[NODE_PREFIX_BYTES] = NODE_KEY_SESSION;
    struct bytes all = bytes_of(prefix, sizeof prefix);
    q->meta.sessions = 0;
    int err = q->kv->seek(q->reader, all, false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) && bytes_has_prefix(key, all)) {
        q->meta.sessions += err == 0;
        err = q->kv->next(q->reader, &key, &value);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err;
}

static void node_ev_q_run(struct node_task *task, struct node_env *env)
{
    struct node_ev_quarantine *q = (struct node_ev_quarantine *)(void *)task;
    q->kv = env->kv;
    int err = q->kv->reader_open(q->kv->ctx, &q->reader);
    if (err != 0) {
        task->job.code = err;
        return;
    }
    err = node_ev_q_look(q);
    err = err != 0 ? err : node_ev_q_sessions(q);
    bool begun = err == 0 && (err = q->kv->begin(q->kv->ctx)) == 0;
    err = err != 0 ? err : node_ev_q_change(q);
    err = err != 0 ? err : node_ev_q_meta(q);
    if (begun && err == 0) {
        err = q->kv->commit(q->kv->ctx);
    } else if (begun) {
        q->kv->abort(q->kv->ctx);
    }
    q->kv->reader_close(q->reader);
    task->job.code = err;
}

/* ---- in the loop ---------------------------------------------------------------------------- */

static void node_ev_q_free(struct node_ev_quarantine *q)
{
    struct node *n = q->n;
    buf_release(&q->gone);
    buf_release(&q->kept);
    buf_release(&q->region);
    crdt_context_release(&q->now.seen);
    node_ev_types_release(&q->types);
    n->quarantine = NULL;
    alloc_put(&n->alloc, q, sizeof *q);
}

/* What is in memory follows what was written. */
static void node_ev_q_follow(struct node *n, const struct node_ev_quarantine *q)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&q->region));
    while (r.left > 0) {
        uint8_t kind = bytes_take_u8(&r);
        uint8_t region = bytes_take_u8(&r);
        struct bytes raw = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        if (kind == NODE_KEY_EV_PRUNED && node_ev_pruned_load(n, region, raw) != 0) {
            node_fail(n, ERR_NO_MEMORY, "quarantine"); /* it was written here */
        } else if (kind == NODE_KEY_EV_REGION && (q->regions >> region & 1u) != 0) {
            const struct crdt_context nothing = {0};
            node_ev_region_changed(n, region, raw);
            if ((q->behind >> region & 1u) != 0) {
                node_ev_region_ahead(n, region, &nothing);
            }
            node_ev_quarantined(n, region);
        }
    }
}

/* Regions of which it is not known whether they were mended. */
static void node_ev_q_mend(struct node *n, const struct node_ev_quarantine *q)
{
    for (uint8_t i = 0; i < NODE_EV_REGIONS; i++) {
        bool mends = ((q->self.mending & ~node_ev_of(n)->mend.regions) >> i & 1u) != 0;
        if (q->unread && mends) {
            node_ev_quarantined(n, i);
        }
    }
}

static void node_ev_q_take(struct node *n, const struct node_ev_quarantine *q)
{
    struct node_group *g = q->g;
    uint8_t prefix[NODE_PREFIX_BYTES];
    uint8_t raw[NODE_EV_SELF_BYTES];
    node_prefix_put(prefix, g->id, g->now.generation);
    store_mem_drop(n->mem, bytes_of(prefix, sizeof prefix));
    g->now = q->meta;
    g->flushed = q->meta;
    g->epoch++;
    n->thaws++;
    g->broken = false;
    node_ev_self_changed(n, true, node_ev_self_encode(&q->self, raw));
    if (q->once[0] != 0) {
        ASSERT(node_ev_once_changed(n, bytes_of(q->once, sizeof q->once)) == 0);
    }
    node_ev_q_follow(n, q);
    node_ev_q_mend(n, q);
    log_line(n->options.log, LOG_WARN, "quarantined",
             "node=%u records=%u regions=%016llx epoch=%llu", n->self, q->deleted,
             (unsigned long long)q->regions, (unsigned long long)q->self.epoch);
    node_ev_hold_forgot(n, q->forget, q->dots);
    node_retry_soon(n, g);
}

static void node_ev_q_done(struct node *n, struct node_task *task)
{
    struct node_ev_quarantine *q = (struct node_ev_quarantine *)(void *)task;
    int code = task->job.code;
    if (!n->closing && code == 0) {
        node_ev_q_take(n, q);
    } else if (!n->closing &&
               (code == ERR_DISK_FULL || err_outcome_of(code) == ERR_OUTCOME_RETRY)) {
        node_timer_set(n, &q->g->rebuild, n->now + 10 * NODE_EV_QUARANTINE_RETRY_US);
    } else if (!n->closing) {
        node_fail(n, code, "quarantine");
    }
    node_ev_q_free(q);
}

/* returns: the last index of which peers may have been told before: of the log that a start found,
 * if it has not applied all of it. */
static uint64_t node_ev_q_told(struct node *n, const struct node_group *g)
{
    struct raft_status s = {.last_index = 0};
    if (g->led || node_ev_of(n)->peers_count == 0) {
        return 0; /* what is not applied yet was told to nobody */
    }
    (void)raft_status_get(n->raft, g->id, n->now, &s);
    return s.last_index;
}

/* Of the regions in memory all is right: nothing was applied that is not in the table. */
static int node_ev_q_remember(struct node *n, struct node_ev_quarantine *q)
{
    struct buf raw;
    int err = 0;
    buf_init(&raw, &n->job_alloc, STORE_KV_VALUE_BYTES_MAX);
    for (uint8_t i = 0; err == 0 && i < NODE_EV_REGIONS; i++) {
        if (node_ev_seen(n, i)->count > 0) {
            buf_clear(&raw);
            q->memory |= UINT64_C(1) << i;
            (void)node_ev_region_encode(node_ev_region_get(n, i), &raw);
            (void)buf_put_u8(&q->kept, i);
            (void)buf_put_bytes(&q->kept, buf_view(&raw));
            err = raw.err != 0 ? raw.err : q->kept.err;
        }
    }
    buf_release(&raw);
    return err;
}

static int node_ev_q_start(struct node *n, struct node_group *g, uint64_t forget, uint64_t dots)
{
    struct node_ev_quarantine *q = alloc_get_zeroed(&n->alloc, 1, sizeof *q);
    if (q == NULL) {
        return ERR_NO_MEMORY;
    }
    q->n = n;
    q->g = g;
    q->self = *node_ev_self_now(n);
    q->alone = node_ev_of(n)->peers_count == 0;
    q->once_counted = node_ev_once_bytes(n);
    q->unread = q->self.end == 0 && q->self.mark == 0;
    q->self.mark = rng_next(node_rng(n)) | 1u; /* a count might repeat: EV_SELF may be lost too */
    q->self.told = NUM_MAX(q->self.told, node_ev_q_told(n, g));
    q->meta = g->now;
    q->wall_us = n->wall;
    q->forget = forget;
    q->dots = dots;
    q->regions = forget;
    buf_init(&q->gone, &n->job_alloc, 64u << 20);
    buf_init(&q->kept, &n->job_alloc, 64u << 20);
    buf_init(&q->region, &n->job_alloc, 64u << 20);
    crdt_context_init(&q->now.seen, &n->job_alloc);
    node_ev_types_init(&q->types, &n->job_alloc);
    q->store = (struct node_ev_store){.ctx = q,
                                      .alloc = &n->job_alloc,
                                      .self = n->self,
                                      .get = node_ev_q_get,
                                      .put = node_ev_q_put,
                                      .del = node_ev_q_del};
    q->task.run = node_ev_q_run;
    q->task.done = node_ev_q_done;
    n->quarantine = q;
    int err = node_ev_q_remember(n, q);
    err = err != 0 ? err : node_task_start(n, &q->task, NODE_LANE_FLUSH);
    if (err != 0) {
        node_ev_q_free(q);
    }
    return err;
}

/* Nothing of the group may be on its way to the table, or from it. */
static void node_ev_q_fire(struct node *n, struct node_timer *t)
{
    struct node_group *g = t->ctx;
    if (!g->broken || n->quarantine != NULL) {
        return;
    }
    bool quiet = !n->flush_out && !n->flush_frozen && g->apply_state == NODE_APPLY_IDLE &&
                 g->flushed.index == g->now.index;
    n->flush_now = !quiet;
    uint64_t dots = 0;
    uint64_t forget = quiet ? node_ev_hold_spare(n, &dots) : 0;
    if (quiet && forget == 0 && node_ev_of(n)->held.forgetting) {
        node_ev_hold_forgot(n, 0, 0); /* there is something new in it that nobody else has yet */
        g->broken = false;
        node_retry_soon(n, g);
    } else if (!quiet || node_ev_q_start(n, g, forget, dots) != 0) {
        node_timer_set(n, t, n->now + NODE_EV_QUARANTINE_RETRY_US);
    }
}

void node_ev_quarantine(struct node *n, struct node_group *g)
{
    g->broken = true;
    g->rebuild.ctx = g;
    g->rebuild.fire = node_ev_q_fire;
    node_timer_set(n, &g->rebuild, n->now);
}
