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

#include "compute/tally_internal.h"

#define COMPUTE_GROUP_SLOT_BYTES 32u /* a group's part of the table, at its sparsest */

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

struct compute_groups {
    const struct compute_program *p;
    struct compute_store store; /* memory, and what groups are charged for */
    uint64_t limit_bytes;
    struct compute_group_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
    struct compute_group_chunk *chunks;
};

void compute_groups_init(struct compute_groups *g, const struct compute_program *p,
                         const struct alloc *alloc, uint64_t limit_bytes);
void compute_groups_release(struct compute_groups *g);
/* The group with this key, which is made if it is not there.
 * returns: 0; ERR_TOO_LARGE (the limit); ERR_NO_MEMORY. */
int compute_groups_find(struct compute_groups *g, struct bytes key, struct compute_group **out);
/* returns: whether all groups together are within the limit. */
bool compute_groups_fit(const struct compute_groups *g);
/* returns: 0; ERR_TOO_LARGE, and into is of no more use but for that; ERR_NO_MEMORY. */
int compute_groups_merge(struct compute_groups *into, const struct compute_groups *from);
/* Appends the result. returns: 0; ERR_NOT_FOUND or ERR_OVERFLOW, of an aggregate (failed: which)
 * and without keys only; ERR_NO_MEMORY. */
int compute_groups_text(const struct compute_groups *g, struct buf *into, uint32_t *failed);

static inline struct compute_tally *compute_group_tally(struct compute_group *group, uint32_t at)
{
    return (struct compute_tally *)(void *)((uint8_t *)group + sizeof(*group) + at);
}
static inline struct bytes compute_group_key(const struct compute_group *group)
{
    return bytes_of((const uint8_t *)group + group->key_at, group->key_bytes);
}

/* One part of a key of several: appended so that the whole keeps the order of its parts. */
void compute_key_put(struct buf *key, struct bytes part, bool last);
/* returns: whether it is a key of so many parts. */
bool compute_key_is_whole(struct bytes key, uint32_t parts);

#endif
