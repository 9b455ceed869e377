/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Groups: the tallies of each key, in a table with open addressing. A key is bytes; several values
 * make one whose byte order is theirs, one after the other. What groups are charged for depends on
 * keys and values alone, so that the limit is passed, or not, wherever the object was cut.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_GROUP_INTERNAL_H
#define HOLDFAST_COMPUTE_GROUP_INTERNAL_H

#include "base/num.h"
#include "compute/tally_internal.h"

#define COMPUTE_GROUP_SLOT_BYTES 32u /* a group's part of the table, at its sparsest */

#define COMPUTE_KEY_SHORT 8u

/* A bijection, hash_mix of base/hash.h: here for being part of a loop. */
static inline uint64_t compute_key_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
    return v ^ (v >> 31);
}

/* returns: a well-mixed hash, which is kept in no encoding. Keys of one size up to
 * COMPUTE_KEY_SHORT have the same only if they are the same: all their bytes are in `last`. */
static inline uint64_t compute_key_hash(struct bytes key, uint64_t seed)
{
    const uint8_t *at = key.data;
    const size_t size = key.size;
    uint64_t last = 0;
    uint64_t state = seed + size * UINT64_C(0x9e3779b97f4a7c15);
    if (size >= 8) {
        for (size_t i = 0; i + 8 < size; i += 8) {
            state = compute_key_mix(state ^ num_get_u64(at + i));
        }
        last = num_get_u64(at + size - 8);
    } else if (size >= 4) {
        last = (uint64_t)num_get_u32(at + size - 4) << 32 | num_get_u32(at);
    } else if (size > 0) {
        last = at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
    }
    return compute_key_mix(state ^ last);
}

/* Tallies follow, then the key. */
struct compute_group {
    uint64_t hash;
    uint32_t key_bytes;
    uint32_t key_at; /* from the start of the group */
};

struct compute_group_slot {
    uint64_t hash;
    struct compute_group *group; /* NULL: free */
};

struct compute_group_chunk {
    struct compute_group_chunk *next;
    size_t bytes; /* of all of it */
    size_t used;
};

struct compute_runs;

struct compute_groups {
    const struct compute_program *p;
    struct compute_store store; /* memory, and what groups are charged for */
    uint64_t limit_bytes;
    struct compute_runs *runs; /* where groups go beyond the limit; NULL: nowhere */
    struct compute_group_slot *slots;
    size_t slot_count; /* a power of two, or 0: none is looked for since they were appended */
    size_t count;
    struct compute_group_chunk *chunks; /* of all groups, the last one first */
};

/* Goes through all groups, as they lie in memory. */
struct compute_groups_cursor {
    const struct compute_group_chunk *chunk;
    size_t at;
};

void compute_groups_init(struct compute_groups *g, const struct compute_program *p,
                         const struct alloc *alloc, uint64_t limit_bytes);
void compute_groups_release(struct compute_groups *g);
/* The group with this key, which is made if it is not there.
 * returns: 0; ERR_TOO_LARGE (the limit, if there are no runs); ERR_NO_MEMORY. */
int compute_groups_find(struct compute_groups *g, struct bytes key, struct compute_group **out);
/* The same with compute_key_hash(key, p->seed). */
int compute_groups_find_hashed(struct compute_groups *g, struct bytes key, uint64_t hash,
                               struct compute_group **out);
/* A group with a key that none has, without looking: keys come in their order.
 * returns: as compute_groups_find. */
int compute_groups_append(struct compute_groups *g, struct bytes key, struct compute_group **out);
/* returns: the first slot to look at; NULL while there are none. */
static inline const struct compute_group_slot *compute_groups_slot(const struct compute_groups *g,
                                                                   uint64_t hash)
{
    return g->slot_count > 0 ? &g->slots[hash & (g->slot_count - 1)] : NULL;
}
/* returns: whether all groups together are within the limit. */
bool compute_groups_fit(const struct compute_groups *g);
/* Where no group is in use: writes all of them away if they are beyond the limit.
 * returns: 0; ERR_TOO_LARGE: they are, and there is nowhere to; or what compute_runs_put does. */
int compute_groups_keep(struct compute_groups *g);
/* *list: all groups in the order of their keys, to be given back. returns: 0 or ERR_NO_MEMORY. */
int compute_groups_sorted(const struct compute_groups *g, struct compute_group ***list);
void compute_groups_sorted_free(const struct compute_groups *g, struct compute_group **list);
/* Appends u32 length, key and tallies. returns: 0, what buf_append returns, or ERR_OVERFLOW. */
int compute_group_encode(const struct compute_program *p, struct compute_group *group,
                         struct buf *into);
/* from: of the records behind the first `before`, which are those of into.
 * returns: 0; ERR_TOO_LARGE, and into is of no more use but for that; ERR_NO_MEMORY. */
int compute_groups_merge(struct compute_groups *into, const struct compute_groups *from,
                         uint64_t before);
/* Appends the line of a group. part: scratch. returns: 0; ERR_OVERFLOW; ERR_NO_MEMORY. */
int compute_group_text(const struct compute_program *p, const struct compute_group *group,
                       struct buf *part, struct buf *into);
/* The value by which `top` ranks. returns: 0; ERR_NOT_FOUND (it has none); ERR_OVERFLOW. */
int compute_group_rank(const struct compute_program *p, struct compute_group *group,
                       struct compute_value *out);
/* Appends the result. returns: 0; ERR_NOT_FOUND or ERR_OVERFLOW, of an aggregate (failed: which)
 * and without keys only; ERR_NO_MEMORY. */
int compute_groups_text(const struct compute_groups *g, struct buf *into, uint32_t *failed);

/* hash: of key. returns: whether the slot's group has this key. */
static inline bool compute_group_has(const struct compute_group_slot *slot, struct bytes key,
                                     uint64_t hash)
{
    const struct compute_group *group = slot->group;
    return slot->hash == hash && group->key_bytes == key.size &&
           (key.size <= COMPUTE_KEY_SHORT ||
            memcmp((const uint8_t *)group + group->key_at, key.data, key.size) == 0);
}
static inline struct compute_tally *compute_group_tally(struct compute_group *group, uint32_t at)
{
    return (struct compute_tally *)(void *)((uint8_t *)group + sizeof(*group) + at);
}
static inline struct bytes compute_group_key(const struct compute_group *group)
{
    return bytes_of((const uint8_t *)group + group->key_at, group->key_bytes);
}
static inline struct compute_groups_cursor compute_groups_begin(const struct compute_groups *g)
{
    return (struct compute_groups_cursor){.chunk = g->chunks, .at = sizeof(*g->chunks)};
}
/* No group may come meanwhile. returns: NULL behind the last. */
static inline struct compute_group *compute_groups_next(struct compute_groups_cursor *c)
{
    if (c->chunk != NULL && c->at == c->chunk->used) {
        *c = (struct compute_groups_cursor){.chunk = c->chunk->next, .at = sizeof(*c->chunk)};
    }
    if (c->chunk == NULL) {
        return NULL;
    }
    struct compute_group *group =
        (struct compute_group *)(uintptr_t)((const uint8_t *)c->chunk + c->at);
    c->at += num_round_up((size_t)group->key_at + group->key_bytes, sizeof(uint64_t));
    return group;
}

/* The same of a program that estimates: of each key all clusters. returns: likewise; ERR_CORRUPT.
 */
int compute_estimates_text(const struct compute_groups *g, struct buf *into, uint32_t *failed);
/* The keys that a group is of, as CSV. part: scratch. A failure stays in into or part. */
void compute_keys_text(const struct compute_program *p, struct bytes key, struct buf *part,
                       struct buf *into);
/* returns: as bytes_compare, the greater first, NaN before all. */
int compute_value_compare(const struct compute_value *a, const struct compute_value *b);
/* Of a program that estimates, the last part of a key is the hash by which the record is in the
 * sample, 8 bytes. returns: the key without it. */
struct bytes compute_key_of_cluster(struct bytes key);
/* returns: whether it has one. */
bool compute_key_has_cluster(struct bytes key);

/* One part of a key of several: appended so that the whole keeps the order of its parts. */
void compute_key_put(struct buf *key, struct bytes part, bool last);
/* returns: whether it is a key of so many parts. */
bool compute_key_is_whole(struct bytes key, uint32_t parts);

#endif
