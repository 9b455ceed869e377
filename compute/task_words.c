/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counting records without a look at each: `lines | count`, `words | count`, and words by
 * themselves, `words | by $0 count`, which are looked up in batches, so that the memory of one is
 * fetched while others are worked on (as in S. Chen, A. Ailamaki, P. Gibbons, T. Mowry, "Improving
 * hash join performance through prefetching", 2004, section 4). Results are those of
 * compute_task_record for each.
 */
#include "base/num.h"
#include "compute/task_internal.h"
#include "compute/text.h"

#define BATCH 64u
#define BLOCKS 64u                    /* of text at once */
#define LINES_BYTES ((size_t)8 << 10) /* likewise */

struct batch {
    struct bytes word[BATCH];
    uint64_t hash[BATCH];
    unsigned count;
};

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

/* The words of a block that end there. inside: bytes of words. */
static inline int take_words(struct compute_reading *r, struct batch *b, struct bytes data,
                             size_t block, uint64_t inside, size_t *start, bool *open)
{
    uint64_t edges = inside ^ (inside << 1 | (uint64_t)*open);
    for (; edges != 0; edges &= edges - 1) {
        const size_t edge = block + (size_t)__builtin_ctzll(edges);
        if (!*open) {
            *start = edge;
            *open = true;
            continue;
        }
        *open = false;
        b->word[b->count++] = bytes_of(data.data + *start, edge - *start);
        if (b->count == BATCH) {
            TRY(flush(r, b));
        }
    }
    return 0;
}

int compute_task_count_words(struct compute_reading *r, struct bytes data, size_t *at)
{
    struct batch b = {.count = 0};
    uint64_t masks[BLOCKS];
    size_t start = *at; /* of the word that is open */
    bool open = false;
    size_t block = *at;
    while (data.size - block >= COMPUTE_TEXT_BLOCK && r->fault.kind == COMPUTE_FAULT_NONE) {
        const size_t blocks = NUM_MIN((data.size - block) / COMPUTE_TEXT_BLOCK, (size_t)BLOCKS);
        compute_text_masks(COMPUTE_TEXT_SPACE, data.data + block, blocks, masks);
        for (size_t i = 0; i < blocks && r->fault.kind == COMPUTE_FAULT_NONE; i++) {
            TRY(take_words(r, &b, data, block, ~masks[i], &start, &open));
            block += COMPUTE_TEXT_BLOCK;
        }
    }
    TRY(flush(r, &b));
    *at = open ? start : block;
    return 0;
}

/* --- records alone --- */

struct counting {
    bool open;    /* a record began before the block, */
    size_t start; /* here */
};

/* Those of a block that end there, bits of ends; only the first of them can have begun before it.
 * returns: false: it is too long. */
static inline bool count_ends(struct compute_reading *r, struct counting *c, size_t block,
                              uint64_t ends)
{
    if (ends == 0) {
        return true;
    }
    if (c->open && block + (size_t)__builtin_ctzll(ends) - c->start > COMPUTE_RECORD_BYTES_MAX) {
        r->fault.kind = COMPUTE_FAULT_LONG;
        r->fault.record = r->records++;
        return false;
    }
    r->records += (unsigned)__builtin_popcountll(ends);
    return true;
}

static inline bool count_words(struct compute_reading *r, struct counting *c, size_t block,
                               uint64_t spaces)
{
    const uint64_t before = ~spaces << 1 | (uint64_t)c->open; /* bytes behind one of a word */
    const bool fits = count_ends(r, c, block, spaces & before);
    const uint64_t begins = ~spaces & ~before;
    if (begins != 0) {
        c->start = block + COMPUTE_TEXT_BLOCK - 1 - (size_t)__builtin_clzll(begins);
    }
    c->open = ~spaces >> (COMPUTE_TEXT_BLOCK - 1) != 0;
    return fits;
}

/* returns: where the word that is open behind all whole blocks begins, or the last of them ends. */
static size_t count_all_words(struct compute_reading *r, struct bytes data, size_t from)
{
    struct counting c = {.open = false};
    uint64_t masks[BLOCKS];
    bool fits = true;
    size_t block = from;
    while (data.size - block >= COMPUTE_TEXT_BLOCK && fits) {
        const size_t blocks = NUM_MIN((data.size - block) / COMPUTE_TEXT_BLOCK, (size_t)BLOCKS);
        compute_text_masks(COMPUTE_TEXT_SPACE, data.data + block, blocks, masks);
        for (size_t i = 0; i < blocks && fits; i++) {
            fits = count_words(r, &c, block, masks[i]);
            block += COMPUTE_TEXT_BLOCK;
        }
    }
    return c.open ? c.start : block;
}

/* Stretches that are shorter than a line may be: only the first that ends there can be too long.
 * returns: where the line that is open at their end begins. */
static size_t count_all_lines(struct compute_reading *r, struct bytes data, size_t from)
{
    size_t start = from;
    for (size_t at = from; at < data.size; at += LINES_BYTES) {
        const struct bytes here = bytes_of(data.data + at, NUM_MIN(data.size - at, LINES_BYTES));
        const uint8_t *first = memchr(here.data, '\n', here.size);
        if (first == NULL) {
            continue;
        }
        if ((size_t)(first - data.data) - start > COMPUTE_RECORD_BYTES_MAX) {
            r->fault.kind = COMPUTE_FAULT_LONG;
            r->fault.record = r->records++;
            break;
        }
        r->records += compute_text_newlines(here.data, here.size);
        start = at + here.size;
        while (data.data[start - 1] != '\n') {
            start--;
        }
    }
    return start;
}

void compute_task_count_records(const struct compute_program *p, struct compute_reading *r,
                                struct bytes data, size_t *at)
{
    const uint64_t before = r->records;
    if (r->fault.kind != COMPUTE_FAULT_NONE) {
        return;
    }
    *at = p->source == COMPUTE_SOURCE_WORDS ? count_all_words(r, data, *at)
                                            : count_all_lines(r, data, *at);
    const uint64_t counted = r->records - before - (r->fault.kind != COMPUTE_FAULT_NONE);
    for (uint32_t i = 0; i < p->aggregates; i++) {
        compute_group_tally(r->only, p->aggregate[i].at)->count += counted;
    }
}
