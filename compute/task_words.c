/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counting words, `words | by $0 count`: words are found eight bytes at a time and looked up in
 * batches, so that the memory of one is fetched while others are worked on (as in S. Chen,
 * A. Ailamaki, P. Gibbons, T. Mowry, "Improving hash join performance through prefetching", 2004,
 * section 4). The result is that of compute_task_record for each word.
 */
#include "base/num.h"
#include "compute/task_internal.h"

#define BATCH 64u
#define ONES UINT64_C(0x0101010101010101)
#define TOPS (UINT64_C(0x80) * ONES)

struct batch {
    struct bytes word[BATCH];
    uint64_t hash[BATCH];
    unsigned count;
};

/* returns: bit i: byte i of the eight is white space, that is 9 to 13 or 32. */
static inline unsigned spaces_of(uint64_t eight)
{
    const uint64_t low = eight & ~TOPS;
    const uint64_t from_tab = low + (0x80 - '\t') * ONES;
    const uint64_t behind_cr = low + (0x80 - '\r' - 1) * ONES;
    const uint64_t no_blank = (low ^ (' ' * ONES)) + 0x7f * ONES;
    const uint64_t found = ((from_tab & ~behind_cr) | ~no_blank) & ~eight & TOPS;
    return (unsigned)((found >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

static inline uint64_t spaces_of_64(const uint8_t *at)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 8; i++) {
        mask |= (uint64_t)spaces_of(num_get_u64(at + 8 * (size_t)i)) << (8 * i);
    }
    return mask;
}

/* Counts the words of a batch. returns: 0 or ERR_NO_MEMORY. */
static int flush(struct compute_reading *r, struct batch *b)
{
    struct compute_groups *g = &r->groups;
    for (unsigned i = 0; i < b->count; i++) {
        b->hash[i] = compute_key_hash(b->word[i], g->p->seed);
        __builtin_prefetch(compute_groups_slot(g, b->hash[i]));
    }
    for (unsigned i = 0; i < b->count; i++) {
        const struct compute_group_slot *slot = compute_groups_slot(g, b->hash[i]);
        __builtin_prefetch(slot != NULL ? slot->group : NULL);
    }
    for (unsigned i = 0; i < b->count && r->fault.kind == COMPUTE_FAULT_NONE; i++) {
        struct compute_group *group = NULL;
        const uint64_t record = r->records++;
        const struct compute_group_slot *slot = compute_groups_slot(g, b->hash[i]);
        if (slot != NULL && slot->group != NULL &&
            compute_group_has(slot, b->word[i], b->hash[i])) {
            compute_group_tally(slot->group, 0)->count++; /* as most are */
            continue;
        }
        int err = b->word[i].size > COMPUTE_RECORD_BYTES_MAX
                      ? ERR_RANGE
                      : compute_groups_find_hashed(g, b->word[i], b->hash[i], &group);
        if (err == ERR_TOO_LARGE || err == ERR_RANGE) {
            r->fault.kind = err == ERR_RANGE ? COMPUTE_FAULT_LONG : COMPUTE_FAULT_LIMIT;
            r->fault.record = record;
            break;
        }
        TRY(err);
        compute_group_tally(group, 0)->count++;
    }
    b->count = 0;
    return g->runs != NULL ? compute_groups_keep(g) : 0;
}

int compute_task_count_words(struct compute_reading *r, struct bytes data, size_t *at)
{
    struct batch b = {.count = 0};
    size_t start = *at; /* of the word that is open */
    bool open = false;
    size_t block = *at;
    for (; data.size - block >= 64 && r->fault.kind == COMPUTE_FAULT_NONE; block += 64) {
        const uint64_t inside = ~spaces_of_64(data.data + block);
        uint64_t edges = inside ^ (inside << 1 | (uint64_t)open);
        for (; edges != 0; edges &= edges - 1) {
            const size_t edge = block + (size_t)__builtin_ctzll(edges);
            if (!open) {
                start = edge;
                open = true;
                continue;
            }
            open = false;
            b.word[b.count++] = bytes_of(data.data + start, edge - start);
            if (b.count == BATCH) {
                TRY(flush(r, &b));
            }
        }
    }
    TRY(flush(r, &b));
    *at = open ? start : block;
    return 0;
}
