/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: names and values of the records that hold replicated data types and what was seen
 * of their regions. Bytes only: what is done with them is in eventual_write.c and eventual_join.c.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "wire/api.h"

#define NODE_EV_REGION_FORMAT 2u /* 1 where nothing is folded */
#define NODE_EV_ENTRY_BYTES 24u  /* before the payload */

/* ---- names ---------------------------------------------------------------------------------- */

uint8_t node_ev_region(struct bytes name)
{
    return (uint8_t)(wire_slot_of(name) % NODE_EV_REGIONS);
}

int node_ev_key(struct bytes space, struct bytes name, struct buf *key)
{
    TRY(wire_name_check(space));
    TRY(wire_name_check(name));
    if (4 + 2 + space.size + name.size >= NODE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    uint8_t size[2] = {(uint8_t)(space.size >> 8), (uint8_t)space.size};
    TRY(buf_append(key, size, sizeof size));
    TRY(buf_append(key, space.data, space.size));
    return buf_append(key, name.data, name.size);
}

int node_ev_record_name(uint8_t region, struct bytes key, struct bytes record_key, struct buf *name)
{
    uint8_t head[4] = {NODE_KEY_EV_RECORD, region, (uint8_t)(key.size >> 8), (uint8_t)key.size};
    if (sizeof head + key.size + record_key.size > NODE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_append(name, head, sizeof head));
    TRY(buf_append(name, key.data, key.size));
    return buf_append(name, record_key.data, record_key.size);
}

int node_ev_record_parts(struct bytes name, uint8_t *region, struct bytes *key,
                         struct bytes *record_key)
{
    struct bytes_reader r = bytes_reader_of(name);
    bool ours = bytes_take_u8(&r) == NODE_KEY_EV_RECORD;
    uint8_t of = bytes_take_u8(&r);
    size_t high = bytes_take_u8(&r);
    struct bytes k = bytes_take(&r, high << 8 | bytes_take_u8(&r));
    if (r.failed || !ours || of >= NODE_EV_REGIONS) {
        return ERR_CORRUPT;
    }
    *region = of;
    *key = k;
    *record_key = bytes_of(r.at, r.left);
    return 0;
}

void node_ev_region_name(uint8_t region, uint8_t into[2])
{
    into[0] = NODE_KEY_EV_REGION;
    into[1] = region;
}

/* ---- regions -------------------------------------------------------------------------------- */

int node_ev_region_decode(struct bytes raw, struct node_ev_region *out)
{
    struct crdt_limits limits = crdt_limits_default();
    struct bytes_reader r = bytes_reader_of(raw);
    limits.context_ranges_max = NODE_EV_RANGES_MAX;
    out->time_us = 0;
    out->digest = (struct hash_digest){0};
    if (raw.size == 0) {
        return 0;
    }
    uint8_t format = bytes_take_u8(&r);
    if (format > NODE_EV_REGION_FORMAT) {
        return ERR_LEVEL;
    }
    uint64_t time_us = bytes_take_u64(&r);
    struct hash_digest digest = {.low = bytes_take_u64(&r)};
    digest.high = bytes_take_u64(&r);
    if (r.failed || format == 0) {
        return ERR_CORRUPT;
    }
    int err = crdt_context_decode(&out->seen, bytes_of(r.at, r.left), &limits);
    if (err == 0 && (format > NODE_EV_FORMAT) != crdt_context_folded(&out->seen)) {
        crdt_context_release(&out->seen);
        return ERR_CORRUPT;
    }
    if (err != 0) {
        return err == ERR_NO_MEMORY ? err : ERR_CORRUPT;
    }
    out->time_us = time_us;
    out->digest = digest;
    return 0;
}

int node_ev_region_encode(const struct node_ev_region *r, struct buf *out)
{
    TRY(buf_put_u8(out, crdt_context_folded(&r->seen) ? NODE_EV_REGION_FORMAT : NODE_EV_FORMAT));
    TRY(buf_put_u64(out, r->time_us));
    TRY(buf_put_u64(out, r->digest.low));
    TRY(buf_put_u64(out, r->digest.high));
    return crdt_context_encode(&r->seen, out);
}

/* Ranges count as if they were records of another kind: their order is theirs, so a sum will do. */
struct hash_digest node_ev_region_hash(const struct node_ev_region *r)
{
    struct hash_digest sum = r->digest;
    const uint8_t kind = NODE_KEY_EV_REGION;
    for (size_t i = 0; i < r->seen.count; i++) {
        const struct crdt_range *range = &r->seen.ranges[i];
        uint8_t raw[28];
        num_put_u32(raw, range->actor.node);
        num_put_u64(raw + 4, range->actor.epoch);
        num_put_u64(raw + 12, range->from);
        num_put_u64(raw + 20, range->to);
        hash_digest_add(&sum, bytes_of(&kind, 1), bytes_of(raw, sizeof raw));
    }
    return sum;
}

/* ---- records -------------------------------------------------------------------------------- */

static struct crdt_dot node_ev_take_dot(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, NODE_EV_DOT_BYTES);
    if (r->failed) {
        return (struct crdt_dot){0};
    }
    return (struct crdt_dot){
        .actor = {.node = num_get_u32(raw.data), .epoch = num_get_u64(raw.data + 4)},
        .counter = num_get_u64(raw.data + 12)};
}

bool node_ev_record_entry(struct node_ev_cursor *entries, struct node_ev_entry *out)
{
    if (entries->left == 0) {
        return false;
    }
    entries->left--;
    out->dot = node_ev_take_dot(&entries->r);
    out->payload = bytes_take(&entries->r, bytes_take_u32(&entries->r));
    ASSERT(!entries->r.failed);
    return true;
}

bool node_ev_record_removal(struct node_ev_cursor *removals, struct crdt_dot *out)
{
    if (removals->left == 0) {
        return false;
    }
    removals->left--;
    *out = node_ev_take_dot(&removals->r);
    ASSERT(!removals->r.failed);
    return true;
}

/* returns: whether a dot may be one and comes after the last. */
static bool node_ev_rises(struct crdt_dot *last, struct crdt_dot dot)
{
    bool good = dot.actor.node != 0 && dot.counter != 0 && crdt_dot_compare(*last, dot) < 0;
    *last = dot;
    return good;
}

/* Steps over entries. returns: whether they are good. */
static bool node_ev_entries_check(struct bytes_reader *r, uint32_t count)
{
    struct crdt_dot last = {0};
    bool good = count <= r->left / NODE_EV_ENTRY_BYTES;
    for (uint32_t i = 0; good && i < count; i++) {
        struct crdt_dot dot = node_ev_take_dot(r);
        (void)bytes_take(r, bytes_take_u32(r));
        good = node_ev_rises(&last, dot) && !r->failed;
    }
    return good;
}

static bool node_ev_removals_check(struct bytes_reader *r, uint32_t count)
{
    struct crdt_dot last = {0};
    bool good = count <= r->left / NODE_EV_DOT_BYTES;
    for (uint32_t i = 0; good && i < count; i++) {
        good = node_ev_rises(&last, node_ev_take_dot(r));
    }
    return good;
}

int node_ev_record_begin(struct bytes raw, struct node_ev_cursor *entries,
                         struct node_ev_cursor *removals)
{
    struct bytes_reader r = bytes_reader_of(raw);
    *entries = (struct node_ev_cursor){0};
    *removals = (struct node_ev_cursor){0};
    if (raw.size == 0) {
        return 0;
    }
    uint8_t format = bytes_take_u8(&r);
    uint32_t live = bytes_take_u32(&r);
    struct bytes_reader entries_at = r;
    if (format != NODE_EV_FORMAT || !node_ev_entries_check(&r, live)) {
        return ERR_CORRUPT;
    }
    uint32_t gone = bytes_take_u32(&r);
    struct bytes_reader removals_at = r;
    if (!node_ev_removals_check(&r, gone) || !bytes_reader_ended(&r) || live + gone == 0) {
        return ERR_CORRUPT;
    }
    *entries = (struct node_ev_cursor){.r = entries_at, .left = live};
    *removals = (struct node_ev_cursor){.r = removals_at, .left = gone};
    return 0;
}

bool node_ev_record_walk(struct bytes raw, struct node_ev_cursor *entries)
{
    entries->r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&entries->r);
    entries->left = bytes_take_u32(&entries->r);
    return format == NODE_EV_FORMAT && entries->left > 0;
}

bool node_ev_record_removes(struct bytes raw)
{
    struct bytes_reader r = bytes_reader_of(raw);
    (void)bytes_take_u8(&r); /* format */
    uint32_t live = bytes_take_u32(&r);
    for (uint32_t i = 0; i < live && !r.failed; i++) {
        (void)bytes_take(&r, NODE_EV_DOT_BYTES);
        (void)bytes_take(&r, bytes_take_u32(&r));
    }
    return bytes_take_u32(&r) > 0;
}

bool node_ev_record_raw(struct node_ev_cursor *entries, struct node_ev_entry *out,
                        struct bytes *raw)
{
    const uint8_t *from = entries->r.at;
    bool more = node_ev_record_entry(entries, out);
    *raw = bytes_of(from, (size_t)(entries->r.at - from));
    return more;
}

int node_ev_dot_put(struct buf *out, struct crdt_dot dot)
{
    (void)buf_put_u32(out, dot.actor.node);
    (void)buf_put_u64(out, dot.actor.epoch);
    return buf_put_u64(out, dot.counter);
}

int node_ev_entry_put(struct buf *out, struct crdt_dot dot, struct bytes payload)
{
    TRY(node_ev_dot_put(out, dot));
    return buf_put_bytes(out, payload);
}

int node_ev_record_load(struct crdt_state *s, struct bytes record_key, struct bytes raw)
{
    struct crdt_limits limits = crdt_limits_default();
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    TRY(node_ev_record_begin(raw, &entries, &removals));
    while (node_ev_record_entry(&entries, &e)) {
        if (crdt_entry_check(record_key, e.payload, &limits) != 0) {
            return ERR_CORRUPT;
        }
        int err = crdt_load(s, record_key, e.dot, e.payload);
        if (err != 0 && err != ERR_CONFLICT) { /* a dot with two meanings: the first one counts */
            return err;
        }
    }
    return 0;
}
