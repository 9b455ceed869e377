/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The index in memory: for each group its hard state, its bounds, and where each entry lies. It
 * does no I/O and takes no lock; its callers do.
 */
#include "base/num.h"
#include "store/wal_internal.h"

#include <string.h>

/* returns: the place of id, or where it belongs. */
static unsigned group_place(const struct store_wal *w, uint32_t id)
{
    unsigned low = 0;
    unsigned high = w->groups_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (w->groups[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct wal_group *store_wal_group_find(const struct store_wal *w, uint32_t id)
{
    unsigned at = group_place(w, id);
    return at < w->groups_count && w->groups[at].id == id ? &w->groups[at] : NULL;
}

struct wal_group *store_wal_group_make(struct store_wal *w, uint32_t id)
{
    unsigned at = group_place(w, id);
    if (at < w->groups_count && w->groups[at].id == id) {
        return &w->groups[at];
    }
    if (w->groups_count == w->options.groups_max) {
        return NULL;
    }
    memmove(&w->groups[at + 1], &w->groups[at], (w->groups_count - at) * sizeof(w->groups[0]));
    w->groups[at] = (struct wal_group){.id = id};
    w->groups_count++;
    ASSERT(w->groups_count <= w->options.groups_max);
    return &w->groups[at];
}

int store_wal_chunks_reserve(struct store_wal *w, uint64_t chunks)
{
    while (w->free_chunks_count < chunks) {
        struct wal_chunk *chunk = alloc_get(&w->alloc, sizeof(*chunk));
        if (chunk == NULL) {
            return ERR_NO_MEMORY;
        }
        chunk->next_free = w->free_chunks;
        w->free_chunks = chunk;
        w->free_chunks_count++;
    }
    return 0;
}

static void chunk_give(struct store_wal *w, struct wal_chunk *chunk)
{
    chunk->next_free = w->free_chunks;
    w->free_chunks = chunk;
    w->free_chunks_count++;
}

int store_wal_group_reserve(struct store_wal *w, struct wal_group *g, uint64_t entries)
{
    uint64_t need = g->chunks_count + num_div_up(entries, WAL_CHUNK_ENTRIES) + 1;
    if (need <= g->chunks_cap) {
        return 0;
    }
    uint64_t cap = NUM_MAX(need, (uint64_t)g->chunks_cap * 2);
    cap = NUM_MAX(cap, 8);
    if (cap > UINT32_MAX) {
        return ERR_NO_MEMORY;
    }
    struct wal_chunk **grown = alloc_get(&w->alloc, (size_t)cap * sizeof(struct wal_chunk *));
    if (grown == NULL) {
        return ERR_NO_MEMORY;
    }
    if (g->chunks_count > 0) {
        memcpy(grown, g->chunks, g->chunks_count * sizeof(struct wal_chunk *));
    }
    alloc_put(&w->alloc, g->chunks, g->chunks_cap * sizeof(struct wal_chunk *));
    g->chunks = grown;
    g->chunks_cap = (uint32_t)cap;
    return 0;
}

struct wal_entry *store_wal_entry_at(const struct wal_group *g, uint64_t index)
{
    if (index <= g->base_index || index > g->last_index) {
        return NULL;
    }
    uint64_t slot = index / WAL_CHUNK_ENTRIES - g->chunk_first;
    ASSERT(slot < g->chunks_count);
    return &g->chunks[slot]->entries[index % WAL_CHUNK_ENTRIES];
}

/* Counts an entry in or out of its segment. */
static void entry_count(struct store_wal *w, const struct wal_entry *e, bool in)
{
    struct wal_segment *s = e->epoch == 0 ? NULL : store_wal_segment_of(w, e->epoch);
    uint64_t bytes = (uint64_t)e->bytes + WAL_RECORD_HEAD_BYTES;
    if (s == NULL) {
        return;
    }
    if (in) {
        s->live++;
        s->live_bytes += bytes;
        w->live_bytes += bytes;
        return;
    }
    ASSERT(s->live > 0);
    ASSERT(s->live_bytes >= bytes);
    s->live--;
    s->live_bytes -= bytes;
    w->live_bytes -= bytes;
}

/* Gives back the chunks that hold no entry any more. */
static void chunks_trim(struct store_wal *w, struct wal_group *g)
{
    uint64_t keep_from = (g->base_index + 1) / WAL_CHUNK_ENTRIES;
    uint32_t drop = 0;
    if (g->base_index == g->last_index) {
        drop = g->chunks_count;
    } else if (keep_from > g->chunk_first) {
        drop = (uint32_t)(keep_from - g->chunk_first);
    }
    for (uint32_t i = 0; i < drop; i++) {
        chunk_give(w, g->chunks[i]);
    }
    if (drop > 0) {
        g->chunks_count -= drop;
        g->chunk_first += drop;
        memmove(g->chunks, g->chunks + drop, g->chunks_count * sizeof(struct wal_chunk *));
    }
    while (g->chunks_count > 0 &&
           g->last_index / WAL_CHUNK_ENTRIES < g->chunk_first + g->chunks_count - 1) {
        chunk_give(w, g->chunks[--g->chunks_count]);
    }
}

void store_wal_index_cut(struct store_wal *w, struct wal_group *g, uint64_t index)
{
    uint64_t from = NUM_MAX(index, g->base_index + 1);
    if (from > g->last_index) {
        return;
    }
    for (uint64_t i = from; i <= g->last_index; i++) {
        entry_count(w, store_wal_entry_at(g, i), false);
    }
    w->entries_count -= g->last_index - from + 1;
    g->last_index = from - 1;
    chunks_trim(w, g);
}

void store_wal_index_put(struct store_wal *w, struct wal_group *g, uint64_t index,
                         const struct wal_entry *e)
{
    ASSERT(index > g->base_index);
    store_wal_index_cut(w, g, index);
    ASSERT(index == g->last_index + 1);
    uint64_t number = index / WAL_CHUNK_ENTRIES;
    if (g->chunks_count == 0) {
        g->chunk_first = number;
    }
    if (number == g->chunk_first + g->chunks_count) {
        ASSERT(w->free_chunks != NULL);
        ASSERT(g->chunks_count < g->chunks_cap);
        struct wal_chunk *chunk = w->free_chunks;
        w->free_chunks = chunk->next_free;
        w->free_chunks_count--;
        g->chunks[g->chunks_count++] = chunk;
    }
    g->last_index = index;
    *store_wal_entry_at(g, index) = *e;
    entry_count(w, e, true);
    w->entries_count++;
}

void store_wal_index_replace(struct store_wal *w, struct wal_group *g, uint64_t index,
                             const struct wal_entry *e)
{
    struct wal_entry *at = store_wal_entry_at(g, index);
    ASSERT(at != NULL);
    entry_count(w, at, false);
    *at = *e;
    entry_count(w, at, true);
}

void store_wal_index_base(struct store_wal *w, struct wal_group *g, uint64_t index, uint64_t term)
{
    if (index < g->base_index) {
        return;
    }
    const struct wal_entry *at = store_wal_entry_at(g, index);
    if (index > g->base_index && (at == NULL || (at->term != 0 && at->term != term))) {
        store_wal_index_cut(w, g, g->base_index + 1);
    }
    for (uint64_t i = g->base_index + 1; i <= NUM_MIN(index, g->last_index); i++) {
        entry_count(w, store_wal_entry_at(g, i), false);
        w->entries_count--;
    }
    g->base_index = index;
    g->base_term = term;
    g->last_index = NUM_MAX(g->last_index, index);
    chunks_trim(w, g);
}

void store_wal_index_set_state(struct store_wal *w, struct wal_entry *e, uint8_t state)
{
    if (state == STORE_WAL_FAULTY && e->state != STORE_WAL_FAULTY) {
        w->stats.faulty++;
    }
    e->state = state;
}

void store_wal_index_release(struct store_wal *w)
{
    for (unsigned i = 0; i < w->groups_count; i++) {
        struct wal_group *g = &w->groups[i];
        while (g->chunks_count > 0) {
            chunk_give(w, g->chunks[--g->chunks_count]);
        }
        alloc_put(&w->alloc, g->chunks, g->chunks_cap * sizeof(struct wal_chunk *));
    }
    while (w->free_chunks != NULL) {
        struct wal_chunk *chunk = w->free_chunks;
        w->free_chunks = chunk->next_free;
        alloc_put(&w->alloc, chunk, sizeof(*chunk));
    }
    alloc_put(&w->alloc, w->groups, w->options.groups_max * sizeof(w->groups[0]));
    w->groups = NULL;
    w->groups_count = 0;
}
