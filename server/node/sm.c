/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The state of a group as records: their keys in the table, the additive digest over name and
 * value of each, and the META record, which lies outside the digest and outside any generation
 * (generation 0) and says which generation counts. Names, not keys, are summed, so replicas with
 * different generations agree. The own group has no other replica to agree with, and no digest.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"

void node_prefix_put(uint8_t *at, uint32_t group, uint32_t generation)
{
    num_put_u32_be(at, group);
    num_put_u32_be(at + 4, generation);
}

void node_meta_key(uint32_t group, uint8_t key[9])
{
    node_prefix_put(key, group, 0);
    key[NODE_PREFIX_BYTES] = NODE_KEY_META;
}

int node_meta_encode(const struct node_meta *m, const struct node_group *g, struct buf *out)
{
    (void)buf_put_u8(out, NODE_LEVEL);
    (void)buf_put_u8(out, m->level);
    (void)buf_put_u32(out, m->generation);
    (void)buf_put_u64(out, m->index);
    (void)buf_put_u64(out, m->term);
    (void)buf_put_u64(out, m->log_time_us);
    (void)buf_put_u64(out, m->sessions);
    (void)buf_put_u64(out, m->digest.low);
    (void)buf_put_u64(out, m->digest.high);
    (void)buf_put_u32(out, g->voters_count);
    for (unsigned i = 0; i < g->voters_count; i++) {
        (void)buf_put_u32(out, g->voters[i]);
    }
    return out->err;
}

int node_meta_decode(struct bytes raw, struct node_meta *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    struct node_meta m = {0};
    uint8_t format = bytes_take_u8(&r);
    if (!r.failed && format > NODE_LEVEL) {
        return ERR_LEVEL;
    }
    m.level = bytes_take_u8(&r);
    m.generation = bytes_take_u32(&r);
    m.index = bytes_take_u64(&r);
    m.term = bytes_take_u64(&r);
    m.log_time_us = bytes_take_u64(&r);
    m.sessions = bytes_take_u64(&r);
    m.digest.low = bytes_take_u64(&r);
    m.digest.high = bytes_take_u64(&r);
    uint32_t voters = bytes_take_u32(&r);
    if (r.failed || format == 0 || m.generation == 0 || voters > RAFT_VOTERS_MAX) {
        return ERR_CORRUPT;
    }
    (void)bytes_take(&r, voters * sizeof(uint32_t));
    if (!bytes_reader_ended(&r)) {
        return ERR_CORRUPT;
    }
    *out = m;
    return 0;
}

struct bytes node_key_of(const struct node_group *g, struct bytes name, uint8_t *into)
{
    ASSERT(name.size > 0 && name.size <= NODE_NAME_BYTES_MAX);
    node_prefix_put(into, g->id, g->now.generation);
    memcpy(into + NODE_PREFIX_BYTES, name.data, name.size);
    return bytes_of(into, NODE_PREFIX_BYTES + name.size);
}

void node_keys_init(struct node_keys *k, const struct node *n)
{
    buf_init(&k->names, &n->alloc, 4u << 20);
    k->count = 0;
}

int node_keys_add(struct node_keys *k, struct bytes name)
{
    if (name.size == 0 || name.size > NODE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_put_u16(&k->names, (uint16_t)name.size));
    TRY(buf_append(&k->names, name.data, name.size));
    k->count++;
    return 0;
}

void node_mem_pin(struct node *n)
{
    if (n->pins++ == 0) {
        store_mem_pin(n->mem, true);
    }
}

void node_mem_unpin(struct node *n)
{
    ASSERT(n->pins > 0);
    if (--n->pins == 0) {
        store_mem_pin(n->mem, false);
    }
}

int node_sm_get(struct node_sm *sm, struct bytes name, struct bytes *value)
{
    bool present = false;
    struct bytes found = {0};
    int err = store_mem_get(sm->n->mem, node_key_of(sm->g, name, sm->key), &present, &found);
    ASSERT(err == 0); /* else an op did not name what it touches */
    if (!present) {
        return ERR_NOT_FOUND;
    }
    *value = found;
    return 0;
}

/* What the node keeps in memory of a group follows its state. */
static void node_sm_tell(struct node_sm *sm, struct bytes name, bool present, struct bytes value)
{
    struct node_group *g = sm->g;
    if (name.data[0] == NODE_KEY_KV) {
        node_watch_note(sm->n, g, name, present, value, sm->index);
    } else if (g->id == 0 && name.data[0] >= NODE_KEY_NODE) {
        node_control_note(sm->n, name, present, value);
    } else if (node_group_own(g) && name.data[0] == NODE_KEY_EV_SELF) {
        node_ev_self_changed(sm->n, present, value);
    } else if (node_group_own(g) && name.data[0] == NODE_KEY_EV_ONCE && name.size == 1) {
        ASSERT(node_ev_once_changed(sm->n, value) == 0); /* it was made here */
    } else if (node_group_own(g) && name.data[0] == NODE_KEY_EV_RECORD) {
        node_watch_note_record(sm->n, g, name, sm->index);
    }
}

/* was, now: what the record holds; NULL: there is none. */
static void node_sm_sum(struct node_group *g, struct bytes name, const struct bytes *was,
                        const struct bytes *now)
{
    const struct hash_key hashed = hash_key_of(name);
    if (was != NULL) {
        hash_digest_drop(&g->now.digest, &hashed, *was);
    }
    if (now != NULL) {
        hash_digest_put(&g->now.digest, &hashed, *now);
    }
}

static int node_sm_change(struct node_sm *sm, struct bytes name, bool present, struct bytes value)
{
    struct node_group *g = sm->g;
    bool was = false;
    struct bytes old = {0};
    struct bytes key = node_key_of(g, name, sm->key);
    struct store_mem_spot spot;
    int err = store_mem_seek(sm->n->mem, key, &spot, &was, &old);
    ASSERT(err == 0);
    if (!was && !present) {
        return 0;
    }
    if (!node_group_own(g)) {
        node_sm_sum(g, name, was ? &old : NULL, present ? &value : NULL);
    }
    node_sm_tell(sm, name, present, value);
    return store_mem_put_at(sm->n->mem, &spot, key, present, value);
}

int node_sm_put(struct node_sm *sm, struct bytes name, struct bytes value)
{
    return node_sm_change(sm, name, true, value);
}

bool node_sm_seek(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot, bool *present,
                  struct bytes *value)
{
    struct bytes key = node_key_of(sm->g, name, sm->key);
    ASSERT(sm->n->pins > 0); /* nothing that was found goes */
    return store_mem_seek(sm->n->mem, key, spot, present, value) == 0;
}

void node_sm_expect(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot)
{
    ASSERT(sm->n->pins > 0);
    store_mem_expect(sm->n->mem, node_key_of(sm->g, name, sm->key), spot);
}

void node_sm_bring(const struct node_sm *sm, const struct store_mem_spot *spot)
{
    store_mem_bring(sm->n->mem, spot);
}

bool node_sm_find(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot, bool *present,
                  struct bytes *value)
{
    struct bytes key = node_key_of(sm->g, name, sm->key);
    return store_mem_find(sm->n->mem, key, spot, present, value) == 0;
}

int node_sm_put_at(struct node_sm *sm, const struct store_mem_spot *spot, struct bytes name,
                   struct bytes value)
{
    ASSERT(node_group_own(sm->g));
    struct bytes key = node_key_of(sm->g, name, sm->key);
    node_sm_tell(sm, name, true, value);
    return store_mem_put_at(sm->n->mem, spot, key, true, value);
}

int node_sm_add(struct node_sm *sm, struct bytes name, struct bytes value)
{
    if (!node_group_own(sm->g)) {
        hash_digest_add(&sm->g->now.digest, name, value);
    }
    return store_mem_put(sm->n->mem, node_key_of(sm->g, name, sm->key), true, value);
}

int node_sm_del(struct node_sm *sm, struct bytes name)
{
    return node_sm_change(sm, name, false, bytes_of(NULL, 0));
}

uint32_t node_sm_group(const struct node_sm *sm)
{
    return sm->g->id;
}

uint64_t node_sm_revision(const struct node_sm *sm)
{
    return sm->index;
}

uint64_t node_sm_log_time(const struct node_sm *sm)
{
    return sm->time_us;
}

/* ---- the digest, summed anew ---------------------------------------------------------------- */

/* Walks the table and the dirty records over it, both in key order. */
struct node_walk {
    struct store_kv_reader *reader;
    struct bytes prefix;
    struct hash_digest sum;
};

static void node_walk_add(struct node_walk *w, struct bytes key, struct bytes value)
{
    hash_digest_add(&w->sum, bytes_of(key.data + w->prefix.size, key.size - w->prefix.size), value);
}

int node_state_digest(struct node *n, uint32_t group, struct node_env *env, struct hash_digest *out)
{
    struct node_group *g = node_group_find(n, group);
    if (g == NULL) {
        return ERR_NOT_FOUND;
    }
    uint8_t prefix[NODE_PREFIX_BYTES];
    node_prefix_put(prefix, g->id, g->now.generation);
    struct node_walk w = {.prefix = bytes_of(prefix, sizeof prefix)};
    TRY(env->kv->reader_open(env->kv->ctx, &w.reader));
    struct bytes key;
    struct bytes value;
    bool present = false;
    struct bytes dirty;
    int err = env->kv->seek(w.reader, w.prefix, false, &key, &value);
    while (err == 0 && bytes_has_prefix(key, w.prefix)) {
        struct bytes newer;
        bool dirty_known =
            store_mem_dirty_seek(n->mem, key, false, &dirty, &present, &newer) == 0 &&
            bytes_equal(dirty, key);
        if (!dirty_known) {
            node_walk_add(&w, key, value);
        }
        err = env->kv->next(w.reader, &key, &value);
    }
    env->kv->reader_close(w.reader);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    struct bytes from = w.prefix;
    bool after = false;
    uint8_t at[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    while (store_mem_dirty_seek(n->mem, from, after, &dirty, &present, &value) == 0 &&
           bytes_has_prefix(dirty, w.prefix)) {
        if (present) {
            node_walk_add(&w, dirty, value);
        }
        memcpy(at, dirty.data, dirty.size);
        from = bytes_of(at, dirty.size);
        after = true;
    }
    *out = w.sum;
    return 0;
}
