/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memtable: one hash table over all records, one skip list over the active and one over the frozen
 * ones, one list of the clean ones in order of their last use.
 *
 * The hash table grows by linear hashing (Litwin, "Linear hashing: a new tool for file and table
 * addressing", 1980), a bucket with each record that is added: it lies as close together as the
 * records allow, and no put waits for a table to be made anew.
 *
 * A node says in which epoch it was changed, so that freeze and thaw touch no node: freezing swaps
 * the skip lists and counts the epoch on; thawing hands the frozen list to the sweep, which moves
 * a few nodes to the clean list with each put and fill. A put over a frozen (or thawed, not yet
 * swept) node adds a new node and marks the old one superseded: lookups pass over it, the flush
 * thread still reads it, the sweep frees it. While frozen, a node's key, value and links in the
 * skip list do not change; the loop only writes its fields for the hash table, which the flush
 * thread does not read.
 */
#include "store/memtable.h"

#include "base/attr.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/rng.h"

#include <string.h>

#define MEM_HEIGHT_MAX 16u
#define MEM_INLINE_BYTES_MAX 1024u /* larger values have a block of their own */
#define MEM_BUCKET_BYTES 256u      /* of the limits, for each bucket of the hash table */
#define MEM_BUCKETS_MIN 64u
#define MEM_BUCKETS_MAX (1u << 22)
#define MEM_SWEEP_STEPS 8u  /* thawed nodes swept by one put or fill */
#define MEM_EVICT_STEPS 64u /* clean nodes looked at by one put or fill */
#define MEM_LINE_BYTES 64u  /* of the processor's cache */
#define MEM_BRING_LINES 6u  /* of a node: its head, a key and a small value */

enum mem_state { MEM_ACTIVE, MEM_FROZEN, MEM_THAWED, MEM_CLEAN };

struct mem_node {
    struct mem_node *chain; /* next in the bucket */
    struct mem_node *newer; /* clean list */
    struct mem_node *older;
    uint8_t *value; /* behind the key, or a block of its own if block_bytes > 0 */
    uint64_t epoch; /* 0: clean and swept */
    uint64_t hash;
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint32_t inline_bytes; /* room behind the key */
    uint32_t block_bytes;
    uint8_t height;
    bool present;
    bool superseded;
    bool used; /* since the evicting hand last passed */
    struct mem_node *next[];
};

struct store_mem {
    struct alloc alloc;
    struct store_mem_options options;
    struct rng rng;
    struct mem_node **buckets;
    uint64_t buckets_max;   /* there is room for; a power of two */
    uint64_t buckets_count; /* in use */
    uint64_t buckets_mask;  /* the least 2^n - 1 that is no less than the last one's number */
    uint64_t nodes_count;   /* in buckets */
    uint64_t epoch;         /* of active nodes; from 1 */
    uint64_t frozen_epoch;  /* 0: nothing is frozen */
    struct mem_node *active[MEM_HEIGHT_MAX];
    struct mem_node *frozen[MEM_HEIGHT_MAX];
    struct mem_node *thawed; /* along next[0], yet to be swept */
    struct mem_node *newest; /* clean list */
    struct mem_node *oldest;
    uint64_t active_bytes;
    uint64_t frozen_bytes;
    uint64_t clean_bytes; /* thawed ones too */
    bool pinned;
};

/* ---- nodes ---- */

static size_t mem_node_head_bytes(uint8_t height)
{
    return sizeof(struct mem_node) + height * sizeof(struct mem_node *);
}

static size_t mem_node_own_bytes(const struct mem_node *n)
{
    return mem_node_head_bytes(n->height) + n->key_bytes + n->inline_bytes;
}

static uint64_t mem_node_bytes(const struct mem_node *n)
{
    return mem_node_own_bytes(n) + n->block_bytes;
}

static struct bytes mem_node_key(const struct mem_node *n)
{
    return bytes_of((const uint8_t *)n + mem_node_head_bytes(n->height), n->key_bytes);
}

static struct bytes mem_node_value(const struct mem_node *n)
{
    return bytes_of(n->value, n->value_bytes);
}

static uint8_t mem_height_draw(struct store_mem *m)
{
    uint64_t bits = rng_next(&m->rng);
    uint8_t height = 1;
    while (height < MEM_HEIGHT_MAX && (bits & 3) == 0) {
        bits >>= 2;
        height++;
    }
    return height;
}

static void mem_node_free(struct store_mem *m, struct mem_node *n)
{
    if (n->block_bytes > 0) {
        alloc_put(&m->alloc, n->value, n->block_bytes);
    }
    alloc_put(&m->alloc, n, mem_node_own_bytes(n));
}

/* returns: 0, or ERR_NO_MEMORY and the node is as before. value may view the node's own. */
static int mem_node_set(struct store_mem *m, struct mem_node *n, bool present, struct bytes value)
{
    uint8_t *inside = (uint8_t *)n + mem_node_head_bytes(n->height) + n->key_bytes;
    uint8_t *into = inside;
    size_t block_bytes = 0;
    if (value.size > n->inline_bytes) {
        bool fits = value.size <= n->block_bytes && n->block_bytes / 4 <= value.size;
        block_bytes = fits ? n->block_bytes : value.size + value.size / 8;
        into = fits ? n->value : alloc_get(&m->alloc, block_bytes);
        if (into == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    if (value.size > 0) {
        memmove(into, value.data, value.size);
    }
    if (n->block_bytes > 0 && n->value != into) {
        alloc_put(&m->alloc, n->value, n->block_bytes);
    }
    n->value = into;
    n->value_bytes = (uint32_t)value.size;
    n->block_bytes = (uint32_t)block_bytes;
    n->present = present;
    return 0;
}

static struct mem_node *mem_node_new(struct store_mem *m, struct bytes key, uint64_t hash,
                                     bool present, struct bytes value)
{
    uint8_t height = mem_height_draw(m);
    size_t inline_bytes =
        value.size <= MEM_INLINE_BYTES_MAX ? (size_t)num_round_up(value.size, 16) : 0;
    size_t head_bytes = mem_node_head_bytes(height);
    struct mem_node *n = alloc_get(&m->alloc, head_bytes + key.size + inline_bytes);
    if (n == NULL) {
        return NULL;
    }
    *n = (struct mem_node){.hash = hash,
                           .key_bytes = (uint32_t)key.size,
                           .inline_bytes = (uint32_t)inline_bytes,
                           .height = height};
    memcpy((uint8_t *)n + head_bytes, key.data, key.size);
    if (mem_node_set(m, n, present, value) != 0) {
        mem_node_free(m, n);
        return NULL;
    }
    ASSERT(n->value_bytes == value.size);
    return n;
}

static enum mem_state mem_state_of(const struct store_mem *m, const struct mem_node *n)
{
    if (n->epoch == 0) {
        return MEM_CLEAN;
    }
    if (n->epoch == m->epoch) {
        return MEM_ACTIVE;
    }
    ASSERT(n->epoch < m->epoch);
    return n->epoch == m->frozen_epoch ? MEM_FROZEN : MEM_THAWED;
}

/* ---- hash table ---- */

/* A bucket that is not there yet is still one with that of half its number of bits. */
static struct mem_node **mem_bucket(const struct store_mem *m, uint64_t hash)
{
    uint64_t at = hash & m->buckets_mask;
    return &m->buckets[at < m->buckets_count ? at : hash & m->buckets_mask >> 1];
}

static struct mem_node *mem_find(struct store_mem *m, struct bytes key, uint64_t hash)
{
    struct mem_node *n = *mem_bucket(m, hash);
    while (n != NULL) {
        if (n->hash == hash && !n->superseded && bytes_equal(mem_node_key(n), key)) {
            return n;
        }
        n = n->chain;
    }
    return NULL;
}

/* Adds a bucket, and moves there what it was one with. */
static void mem_split(struct store_mem *m)
{
    uint64_t added = m->buckets_count++;
    m->buckets_mask = added > m->buckets_mask ? 2 * m->buckets_mask + 1 : m->buckets_mask;
    struct mem_node **from = &m->buckets[added & m->buckets_mask >> 1];
    struct mem_node **to = &m->buckets[added];
    while (*from != NULL) {
        struct mem_node *n = *from;
        if ((n->hash & m->buckets_mask) == added) {
            *from = n->chain;
            *to = n;
            to = &n->chain;
        } else {
            from = &n->chain;
        }
    }
    *to = NULL;
}

static void mem_chain(struct store_mem *m, struct mem_node *n)
{
    if (m->nodes_count++ >= m->buckets_count && m->buckets_count < m->buckets_max) {
        mem_split(m);
    }
    struct mem_node **bucket = mem_bucket(m, n->hash);
    n->chain = *bucket;
    *bucket = n;
}

static void mem_unchain(struct store_mem *m, struct mem_node *n)
{
    struct mem_node **at = mem_bucket(m, n->hash);
    while (*at != n) {
        ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = n->chain;
    m->nodes_count--;
}

/* ---- skip lists ---- */

/* Fills links with, for each level, the place that points at the first node >= key (> key if
 * after). returns: that node of level 0, or NULL. */
static struct mem_node *mem_order_find(struct mem_node **head, struct bytes key, bool after,
                                       struct mem_node ***links)
{
    struct mem_node **level_links = head;
    for (unsigned level = MEM_HEIGHT_MAX; level-- > 0;) {
        struct mem_node *n = level_links[level];
        while (n != NULL) {
            int order = bytes_compare(mem_node_key(n), key);
            if (order > 0 || (order == 0 && !after)) {
                break;
            }
            level_links = n->next;
            n = level_links[level];
        }
        if (links != NULL) {
            links[level] = &level_links[level];
        }
    }
    return level_links[0];
}

static void mem_order_add(struct store_mem *m, struct mem_node *n)
{
    struct mem_node **links[MEM_HEIGHT_MAX];
    struct mem_node *at = mem_order_find(m->active, mem_node_key(n), false, links);
    ASSERT(at == NULL || !bytes_equal(mem_node_key(at), mem_node_key(n)));
    for (unsigned level = 0; level < n->height; level++) {
        n->next[level] = *links[level];
        *links[level] = n;
    }
}

/* ---- clean list ---- */

static void mem_clean_add(struct store_mem *m, struct mem_node *n)
{
    n->newer = NULL;
    n->older = m->newest;
    if (m->newest != NULL) {
        m->newest->newer = n;
    } else {
        m->oldest = n;
    }
    m->newest = n;
}

static void mem_clean_remove(struct store_mem *m, struct mem_node *n)
{
    ASSERT(n->epoch == 0);
    if (n->newer != NULL) {
        n->newer->older = n->older;
    } else {
        m->newest = n->older;
    }
    if (n->older != NULL) {
        n->older->newer = n->newer;
    } else {
        m->oldest = n->newer;
    }
}

static void mem_clean_drop(struct store_mem *m, struct mem_node *n)
{
    ASSERT(m->clean_bytes >= mem_node_bytes(n));
    mem_clean_remove(m, n);
    mem_unchain(m, n);
    m->clean_bytes -= mem_node_bytes(n);
    mem_node_free(m, n);
}

/* Moves thawed nodes to the clean list, at most steps of them. */
static void mem_sweep(struct store_mem *m, uint64_t steps)
{
    while (m->thawed != NULL && steps-- > 0) {
        struct mem_node *n = m->thawed;
        m->thawed = n->next[0];
        if (n->superseded) {
            ASSERT(m->clean_bytes >= mem_node_bytes(n));
            mem_unchain(m, n);
            m->clean_bytes -= mem_node_bytes(n);
            mem_node_free(m, n);
        } else {
            n->epoch = 0;
            mem_clean_add(m, n);
        }
    }
}

/* Second chance: a node used since the hand last passed goes round once more. */
static void mem_evict(struct store_mem *m)
{
    if (m->pinned) {
        return;
    }
    for (unsigned step = 0; step < MEM_EVICT_STEPS; step++) {
        struct mem_node *n = m->oldest;
        if (m->clean_bytes <= m->options.clean_bytes_max || n == NULL) {
            return;
        }
        if (n->used && step < MEM_EVICT_STEPS - 1) {
            n->used = false;
            mem_clean_remove(m, n);
            mem_clean_add(m, n);
        } else {
            mem_clean_drop(m, n);
        }
    }
}

/* ---- the table ---- */

int store_mem_new(struct store_mem **out, const struct store_mem_options *options,
                  const struct alloc *alloc)
{
    struct store_mem *m = alloc_get_zeroed(alloc, 1, sizeof(*m));
    if (m == NULL) {
        return ERR_NO_MEMORY;
    }
    uint64_t wanted =
        options->dirty_bytes_max / MEM_BUCKET_BYTES + options->clean_bytes_max / MEM_BUCKET_BYTES;
    m->buckets_max = MEM_BUCKETS_MIN;
    while (m->buckets_max < wanted && m->buckets_max < MEM_BUCKETS_MAX) {
        m->buckets_max *= 2;
    }
    m->buckets_count = MEM_BUCKETS_MIN;
    m->buckets_mask = MEM_BUCKETS_MIN - 1;
    m->alloc = *alloc;
    m->options = *options;
    m->epoch = 1;
    rng_init(&m->rng, options->hash_seed);
    m->buckets = alloc_get_zeroed(alloc, m->buckets_max, sizeof(struct mem_node *));
    if (m->buckets == NULL) {
        alloc_put(alloc, m, sizeof(*m));
        return ERR_NO_MEMORY;
    }
    *out = m;
    return 0;
}

void store_mem_free(struct store_mem *m)
{
    if (m == NULL) {
        return;
    }
    for (uint64_t i = 0; i < m->buckets_count; i++) {
        struct mem_node *n = m->buckets[i];
        while (n != NULL) {
            struct mem_node *chain = n->chain;
            mem_node_free(m, n);
            n = chain;
        }
    }
    struct alloc alloc = m->alloc;
    alloc_put(&alloc, m->buckets, m->buckets_max * sizeof(struct mem_node *));
    alloc_put(&alloc, m, sizeof(*m));
}

int store_mem_get(struct store_mem *m, struct bytes key, bool *present, struct bytes *value)
{
    struct store_mem_spot spot;
    return store_mem_seek(m, key, &spot, present, value);
}

int store_mem_seek(struct store_mem *m, struct bytes key, struct store_mem_spot *spot,
                   bool *present, struct bytes *value)
{
    spot->hash = hash_of(key, m->options.hash_seed);
    return store_mem_find(m, key, spot, present, value);
}

void store_mem_expect(const struct store_mem *m, struct bytes key, struct store_mem_spot *spot)
{
    spot->hash = hash_of(key, m->options.hash_seed);
    ATTR_PREFETCH(mem_bucket(m, spot->hash));
}

void store_mem_bring(const struct store_mem *m, const struct store_mem_spot *spot)
{
    const uint8_t *n = (const uint8_t *)*mem_bucket(m, spot->hash);
    for (unsigned i = 0; i < MEM_BRING_LINES && n != NULL; i++) {
        ATTR_PREFETCH(n + (size_t)i * MEM_LINE_BYTES);
    }
}

/* A value in a block of its own lies elsewhere again. */
static void mem_bring_block(const struct mem_node *n)
{
    size_t bytes = n->block_bytes > 0 ? n->value_bytes : 0;
    for (size_t at = 0; at < NUM_MIN(bytes, MEM_BRING_LINES * MEM_LINE_BYTES);
         at += MEM_LINE_BYTES) {
        ATTR_PREFETCH(n->value + at);
    }
}

int store_mem_find(struct store_mem *m, struct bytes key, struct store_mem_spot *spot,
                   bool *present, struct bytes *value)
{
    ASSERT(key.size > 0);
    DASSERT(spot->hash == hash_of(key, m->options.hash_seed));
    struct mem_node *n = mem_find(m, key, spot->hash);
    spot->node = n;
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    mem_bring_block(n);
    n->used = true;
    *present = n->present;
    *value = mem_node_value(n);
    return 0;
}

/* Changes an active or clean node in place; the clean one becomes active. */
static int mem_put_over(struct store_mem *m, struct mem_node *n, bool present, struct bytes value)
{
    uint64_t before_bytes = mem_node_bytes(n);
    TRY(mem_node_set(m, n, present, value));
    if (n->epoch == m->epoch) {
        ASSERT(m->active_bytes >= before_bytes);
        m->active_bytes -= before_bytes;
    } else {
        ASSERT(m->clean_bytes >= before_bytes);
        mem_clean_remove(m, n);
        m->clean_bytes -= before_bytes;
        n->epoch = m->epoch;
        mem_order_add(m, n);
    }
    m->active_bytes += mem_node_bytes(n);
    return 0;
}

static int mem_put_new(struct store_mem *m, struct mem_node *n, struct mem_node *old)
{
    if (n == NULL) {
        return ERR_NO_MEMORY;
    }
    if (old != NULL) {
        old->superseded = true;
    }
    n->epoch = m->epoch;
    mem_chain(m, n);
    mem_order_add(m, n);
    m->active_bytes += mem_node_bytes(n);
    return 0;
}

int store_mem_put(struct store_mem *m, struct bytes key, bool present, struct bytes value)
{
    struct store_mem_spot spot = {.hash = hash_of(key, m->options.hash_seed)};
    spot.node = mem_find(m, key, spot.hash);
    return store_mem_put_at(m, &spot, key, present, value);
}

int store_mem_put_at(struct store_mem *m, const struct store_mem_spot *spot, struct bytes key,
                     bool present, struct bytes value)
{
    ASSERT(key.size > 0 && key.size <= UINT16_MAX);
    ASSERT(value.size <= UINT32_MAX / 2);
    struct mem_node *old = spot->node;
    DASSERT(old == mem_find(m, key, spot->hash));
    if (!present) {
        value = (struct bytes){0};
    }
    enum mem_state state = old == NULL ? MEM_FROZEN : mem_state_of(m, old);
    if (state == MEM_ACTIVE || state == MEM_CLEAN) {
        TRY(mem_put_over(m, old, present, value));
    } else {
        TRY(mem_put_new(m, mem_node_new(m, key, spot->hash, present, value), old));
    }
    mem_sweep(m, MEM_SWEEP_STEPS);
    mem_evict(m);
    return 0;
}

int store_mem_fill(struct store_mem *m, struct bytes key, bool present, struct bytes value)
{
    ASSERT(key.size > 0 && key.size <= UINT16_MAX);
    ASSERT(value.size <= UINT32_MAX / 2);
    uint64_t hash = hash_of(key, m->options.hash_seed);
    if (mem_find(m, key, hash) == NULL) {
        struct mem_node *n =
            mem_node_new(m, key, hash, present, present ? value : (struct bytes){0});
        if (n == NULL) {
            return ERR_NO_MEMORY;
        }
        mem_chain(m, n);
        mem_clean_add(m, n);
        m->clean_bytes += mem_node_bytes(n);
    }
    mem_sweep(m, MEM_SWEEP_STEPS);
    mem_evict(m);
    return 0;
}

void store_mem_pin(struct store_mem *m, bool pinned)
{
    m->pinned = pinned;
}

bool store_mem_full(const struct store_mem *m)
{
    return store_mem_dirty_bytes(m) >= m->options.dirty_bytes_max;
}

uint64_t store_mem_dirty_bytes(const struct store_mem *m)
{
    return m->active_bytes + m->frozen_bytes;
}

uint64_t store_mem_active_bytes(const struct store_mem *m)
{
    return m->active_bytes;
}

uint64_t store_mem_clean_bytes(const struct store_mem *m)
{
    return m->clean_bytes;
}

int store_mem_dirty_seek(struct store_mem *m, struct bytes from, bool after, struct bytes *key,
                         bool *present, struct bytes *value)
{
    struct mem_node *n = mem_order_find(m->active, from, after, NULL);
    struct mem_node *frozen = mem_order_find(m->frozen, from, after, NULL);
    if (n == NULL || (frozen != NULL && bytes_compare(mem_node_key(frozen), mem_node_key(n)) < 0)) {
        n = frozen;
    }
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    ASSERT(!n->superseded);
    *key = mem_node_key(n);
    *present = n->present;
    *value = mem_node_value(n);
    return 0;
}

int store_mem_freeze(struct store_mem *m, uint64_t *epoch)
{
    if (m->frozen_epoch != 0) {
        return ERR_BUSY;
    }
    ASSERT(m->frozen[0] == NULL && m->frozen_bytes == 0);
    memcpy(m->frozen, m->active, sizeof(m->frozen));
    memset(m->active, 0, sizeof(m->active));
    m->frozen_bytes = m->active_bytes;
    m->active_bytes = 0;
    m->frozen_epoch = m->epoch++;
    *epoch = m->frozen_epoch;
    return 0;
}

void store_mem_thaw(struct store_mem *m)
{
    ASSERT(m->frozen_epoch != 0);
    mem_sweep(m, UINT64_MAX);
    ASSERT(m->thawed == NULL);
    m->thawed = m->frozen[0];
    m->clean_bytes += m->frozen_bytes;
    m->frozen_bytes = 0;
    m->frozen_epoch = 0;
    memset(m->frozen, 0, sizeof(m->frozen));
}

bool store_mem_frozen_first(struct store_mem *m, struct store_mem_cursor *c)
{
    c->at = m->frozen[0];
    return c->at != NULL;
}

bool store_mem_frozen_next(struct store_mem *m, struct store_mem_cursor *c)
{
    const struct mem_node *n = c->at;
    (void)m;
    ASSERT(n != NULL);
    c->at = n->next[0];
    return c->at != NULL;
}

void store_mem_frozen_record(const struct store_mem_cursor *c, struct bytes *key, bool *present,
                             struct bytes *value)
{
    const struct mem_node *n = c->at;
    ASSERT(n != NULL);
    *key = mem_node_key(n);
    *present = n->present;
    *value = mem_node_value(n);
}

void store_mem_drop(struct store_mem *m, struct bytes prefix)
{
    struct mem_node **links[MEM_HEIGHT_MAX];
    ASSERT(m->frozen_epoch == 0);
    mem_sweep(m, UINT64_MAX);
    struct mem_node *run = mem_order_find(m->active, prefix, false, links);
    for (unsigned level = 0; level < MEM_HEIGHT_MAX; level++) {
        struct mem_node *n = *links[level];
        while (n != NULL && bytes_has_prefix(mem_node_key(n), prefix)) {
            n = n->next[level];
        }
        *links[level] = n;
    }
    while (run != NULL && bytes_has_prefix(mem_node_key(run), prefix)) {
        struct mem_node *next = run->next[0];
        ASSERT(m->active_bytes >= mem_node_bytes(run));
        mem_unchain(m, run);
        m->active_bytes -= mem_node_bytes(run);
        mem_node_free(m, run);
        run = next;
    }
    struct mem_node *clean = m->newest;
    while (clean != NULL) {
        struct mem_node *older = clean->older;
        if (bytes_has_prefix(mem_node_key(clean), prefix)) {
            mem_clean_drop(m, clean);
        }
        clean = older;
    }
}
