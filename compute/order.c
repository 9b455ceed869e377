/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sorting by keys: by the first eight bytes of the keys one byte after the other from the lowest on
 * (D. Knuth, "The Art of Computer Programming", volume 3, section 5.2.5: radix list sorting, here
 * by counting), then those with the same eight by merging. Both keep equal ones as they came.
 */
#include "compute/order_internal.h"

#include "base/num.h"

#define PREFIX_BYTES 8u
#define DIGITS 256u
#define RADIX_LEAST 128u /* fewer are merged at once */

uint64_t compute_order_prefix(struct bytes key)
{
    uint8_t first[PREFIX_BYTES] = {0};
    if (key.size >= PREFIX_BYTES) {
        return num_get_u64_be(key.data);
    }
    if (key.size > 0) {
        memcpy(first, key.data, key.size);
    }
    return num_get_u64_be(first);
}

/* returns: whether b comes before a. */
static bool is_after(const struct compute_order_item *a, const struct compute_order_item *b,
                     compute_order_key_fn *key)
{
    if (a->prefix != b->prefix) {
        return a->prefix > b->prefix;
    }
    return bytes_compare(key(a->at), key(b->at)) > 0;
}

static bool is_sorted(const struct compute_order_item *list, size_t count,
                      compute_order_key_fn *key)
{
    for (size_t i = 1; i < count; i++) {
        if (is_after(&list[i - 1], &list[i], key)) {
            return false;
        }
    }
    return true;
}

/* Two sorted parts of `from` into one. */
static void merge_parts(const struct compute_order_item *from, size_t first, size_t count,
                        struct compute_order_item *into, compute_order_key_fn *key)
{
    size_t left = 0;
    size_t right = first;
    for (size_t i = 0; i < count; i++) {
        const bool takes_right =
            left == first || (right < count && is_after(&from[left], &from[right], key));
        into[i] = takes_right ? from[right++] : from[left++];
    }
}

/* other: room for as many. */
static void merge_sort(struct compute_order_item *list, struct compute_order_item *other,
                       size_t count, compute_order_key_fn *key)
{
    struct compute_order_item *from = list;
    struct compute_order_item *into = other;
    if (is_sorted(list, count, key)) {
        return;
    }
    for (size_t part = 1; part < count; part *= 2) {
        for (size_t at = 0; at < count; at += 2 * part) {
            const size_t size = NUM_MIN(2 * part, count - at);
            merge_parts(from + at, NUM_MIN(part, size), size, into + at, key);
        }
        struct compute_order_item *kept = from;
        from = into;
        into = kept;
    }
    if (from != list) {
        memcpy(list, from, count * sizeof(list[0]));
    }
}

/* By one byte of the prefix. counts: of its values; is used up. */
static void radix_pass(const struct compute_order_item *from, struct compute_order_item *into,
                       size_t count, unsigned shift, size_t counts[DIGITS])
{
    size_t at = 0;
    for (unsigned d = 0; d < DIGITS; d++) {
        const size_t here = counts[d];
        counts[d] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++) {
        into[counts[from[i].prefix >> shift & (DIGITS - 1)]++] = from[i];
    }
}

/* returns: the one of the two that is sorted by prefix then. */
static struct compute_order_item *radix_sort(struct compute_order_item *list,
                                             struct compute_order_item *other, size_t count)
{
    size_t counts[PREFIX_BYTES][DIGITS] = {{0}};
    for (size_t i = 0; i < count; i++) {
        for (unsigned d = 0; d < PREFIX_BYTES; d++) {
            counts[d][list[i].prefix >> (8 * d) & (DIGITS - 1)]++;
        }
    }
    for (unsigned d = 0; d < PREFIX_BYTES; d++) {
        if (counts[d][list[0].prefix >> (8 * d) & (DIGITS - 1)] == count) {
            continue; /* all have the same */
        }
        radix_pass(list, other, count, 8 * d, counts[d]);
        struct compute_order_item *kept = list;
        list = other;
        other = kept;
    }
    return list;
}

int compute_order_numbers(const struct alloc *alloc, const void *keys, size_t count,
                          uint32_t *order)
{
    struct compute_order_item *list = NULL;
    struct compute_order_item *other = NULL;
    if (count == 0) {
        return 0;
    }
    list = alloc_get_zeroed(alloc, count, sizeof(list[0]));
    other = alloc_get_zeroed(alloc, count, sizeof(other[0]));
    const bool has_room = list != NULL && other != NULL;
    for (size_t i = 0; i < count && has_room; i++) {
        memcpy(&list[i].prefix, (const uint8_t *)keys + i * sizeof(uint64_t), sizeof(uint64_t));
        list[i].at = order + i;
    }
    const struct compute_order_item *sorted = has_room ? radix_sort(list, other, count) : NULL;
    for (size_t i = 0; i < count && has_room; i++) {
        order[i] = (uint32_t)((const uint32_t *)sorted[i].at - order);
    }
    alloc_put(alloc, list, count * sizeof(list[0]));
    alloc_put(alloc, other, count * sizeof(other[0]));
    return has_room ? 0 : ERR_NO_MEMORY;
}

/* Puts the items in this order, which is used up: along its cycles (Knuth, "The Art of Computer
 * Programming", volume 1, section 1.3.3). */
static void put_in_order(struct compute_order_item *list, uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct compute_order_item first = list[i];
        size_t at = i;
        while (order[at] != i) {
            const size_t next = order[at];
            list[at] = list[next];
            order[at] = (uint32_t)at;
            at = next;
        }
        list[at] = first;
        order[at] = (uint32_t)at;
    }
}

/* By prefix, by what the host gave. returns: whether that has done it. */
static bool sort_whole(struct compute_order_item *list, struct compute_order_item *other,
                       size_t count, const struct compute_whole *whole)
{
    uint64_t *keys = (uint64_t *)(void *)other;
    uint32_t *order = (uint32_t *)(void *)(keys + count);
    if (whole == NULL || whole->sort == NULL || count > UINT32_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = list[i].prefix;
    }
    if (!whole->sort(whole->ctx, keys, count, order)) {
        return false;
    }
    put_in_order(list, order, count);
    return true;
}

_Static_assert(sizeof(struct compute_order_item) >= sizeof(uint64_t) + sizeof(uint32_t),
               "keys and their order have room where as many items have");

struct compute_order_item *compute_order(struct compute_order_item *list,
                                         struct compute_order_item *other, size_t count,
                                         compute_order_key_fn *key,
                                         const struct compute_whole *whole)
{
    if (count < RADIX_LEAST) {
        merge_sort(list, other, count, key);
        return list;
    }
    struct compute_order_item *sorted =
        sort_whole(list, other, count, whole) ? list : radix_sort(list, other, count);
    struct compute_order_item *room = sorted == list ? other : list;
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && sorted[to].prefix == sorted[from].prefix) {
            to++;
        }
        merge_sort(sorted + from, room, to - from, key);
        from = to;
    }
    return sorted;
}
