/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys, and sorting in memory.
 */
#include "compute/sort_internal.h"

#include "base/num.h"
#include "compute/group_internal.h"

#include <math.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define HEAD_BYTES 8u /* u32 length of the key, u32 of the line */

#define PART_EMPTY 0x00u
#define PART_INFINITE 0x9000u
#define PART_ZERO 0x8000u
#define PART_EXPONENT 1200 /* added to one: it is above 0 then, and below 0xfff */
#define PART_NAN 0xa0u
#define PART_TEXT 0xc0u

struct compute_sort_chunk {
    struct compute_sort_chunk *next;
    size_t room;
    size_t used;
    uint8_t data[];
};

/* --- keys --- */

/* value = *bits * 2^(returned), the highest of *bits set. *bits: not 0. */
static int normalise(uint64_t *bits)
{
    int exponent = 0;
    for (unsigned step = 32; step > 0; step /= 2) {
        if (*bits >> (64 - step) == 0) {
            *bits <<= step;
            exponent -= (int)step;
        }
    }
    return exponent;
}

static void put_number(struct buf *key, const struct compute_number *n)
{
    uint64_t bits = n->size;
    unsigned head = PART_ZERO;
    int exponent = 0;
    bool minus = n->minus;
    if (n->is_real && n->real != n->real) {
        (void)buf_put_u8(key, PART_NAN);
        return;
    }
    if (n->is_real) {
        minus = n->real < 0;
        bits = isinf(n->real) ? 0 : (uint64_t)ldexp(frexp(fabs(n->real), &exponent), 64);
        exponent -= 64;
        head = isinf(n->real) ? PART_INFINITE : PART_ZERO;
    }
    if (bits != 0) {
        exponent += normalise(&bits);
        head = PART_ZERO + (unsigned)(exponent + PART_EXPONENT);
    }
    uint8_t part[2 + sizeof(bits)];
    head = minus ? 0xffffu - head : head;
    part[0] = (uint8_t)(head >> 8);
    part[1] = (uint8_t)head;
    num_put_u64_be(part + 2, minus ? ~bits : bits);
    (void)buf_append(key, part, bits != 0 ? sizeof(part) : 2);
}

void compute_sort_key_put(struct buf *key, struct compute_cell *value, bool down)
{
    const size_t from = key->size;
    compute_cell_read(value);
    if (value->kind == COMPUTE_CELL_ABSENT) {
        (void)buf_put_u8(key, PART_EMPTY);
    } else if (value->kind == COMPUTE_CELL_NUMBER) {
        put_number(key, &value->number);
    } else {
        (void)buf_put_u8(key, PART_TEXT);
        compute_key_put(key, value->text, false);
    }
    for (size_t i = from; i < key->size && down; i++) {
        key->data[i] = (uint8_t)~key->data[i];
    }
}

/* --- keys from outside: all bytes of a part that goes down are turned by the mask --- */

static unsigned head_at(struct bytes key, uint8_t mask)
{
    return (unsigned)(key.data[0] ^ mask) << 8 | (unsigned)(key.data[1] ^ mask);
}

/* returns: the bytes of the number that the key begins with; 0: it is none. */
static size_t number_bytes(struct bytes key, uint8_t mask)
{
    if (key.size < 2) {
        return 0;
    }
    const unsigned head = head_at(key, mask);
    const bool minus = head < PART_ZERO;
    const unsigned size = minus ? 0xffffu - head : head;
    if (head == PART_ZERO || size == PART_INFINITE) {
        return 2;
    }
    if (size == PART_ZERO || size > PART_INFINITE || key.size < 2 + sizeof(uint64_t)) {
        return 0;
    }
    const bool highest = ((key.data[2] ^ mask) & 0x80u) != 0;
    return highest != minus ? 2 + sizeof(uint64_t) : 0;
}

/* The same of a text. */
static size_t text_bytes(struct bytes key, uint8_t mask)
{
    for (size_t at = 1; at + 1 < key.size; at++) {
        if (key.data[at] != mask) {
            continue;
        }
        const unsigned next = key.data[++at] ^ mask;
        if (next == 1) {
            return at + 1;
        }
        if (next != 0xffu) {
            return 0;
        }
    }
    return 0;
}

/* The same of any part. */
static size_t part_bytes(struct bytes key, uint8_t mask)
{
    switch (key.size > 0 ? key.data[0] ^ mask : -1) {
    case PART_EMPTY:
    case PART_NAN: return 1;
    case PART_TEXT: return text_bytes(key, mask);
    default: return number_bytes(key, mask);
    }
}

bool compute_sort_key_is_whole(const struct compute_program *p, struct bytes key)
{
    for (uint32_t i = 0; i < p->sorts; i++) {
        const size_t part = part_bytes(key, p->sort[i].down ? 0xff : 0);
        if (part == 0) {
            return false;
        }
        key = bytes_of(key.data + part, key.size - part);
    }
    return key.size == 0;
}

/* --- entries --- */

void compute_sorter_init(struct compute_sorter *s, const struct alloc *alloc, uint64_t limit_bytes)
{
    *s = (struct compute_sorter){.alloc = *alloc, .limit_bytes = limit_bytes};
}

void compute_sorter_release(struct compute_sorter *s)
{
    while (s->first != NULL) {
        struct compute_sort_chunk *next = s->first->next;
        alloc_put(&s->alloc, s->first, sizeof(*s->first) + s->first->room);
        s->first = next;
    }
    s->last = NULL;
    s->count = 0;
    s->used_bytes = 0;
}

/* returns: room for so many bytes, or NULL. */
static uint8_t *take_room(struct compute_sorter *s, size_t bytes)
{
    struct compute_sort_chunk *last = s->last;
    if (last == NULL || last->room - last->used < bytes) {
        const size_t room = NUM_MAX(bytes, CHUNK_BYTES - sizeof(*last));
        struct compute_sort_chunk *chunk = alloc_get(&s->alloc, sizeof(*chunk) + room);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct compute_sort_chunk){.room = room};
        if (last == NULL) {
            s->first = chunk;
        } else {
            last->next = chunk;
        }
        s->last = chunk;
    }
    s->last->used += bytes;
    return s->last->data + s->last->used - bytes;
}

int compute_sorter_add(struct compute_sorter *s, struct bytes key, struct bytes line)
{
    const uint64_t cost = (uint64_t)key.size + line.size + COMPUTE_SORT_ENTRY_BYTES;
    const bool fits = cost <= s->limit_bytes && s->used_bytes <= s->limit_bytes - cost;
    if (key.size > UINT32_MAX || line.size > UINT32_MAX || (!fits && s->runs == NULL)) {
        return ERR_TOO_LARGE;
    }
    if (!fits && s->count > 0) {
        TRY(compute_sorter_spill(s));
    }
    uint8_t *at = take_room(s, HEAD_BYTES + key.size + line.size);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    num_put_u32(at, (uint32_t)key.size);
    num_put_u32(at + 4, (uint32_t)line.size);
    if (key.size > 0) {
        memcpy(at + HEAD_BYTES, key.data, key.size);
    }
    if (line.size > 0) {
        memcpy(at + HEAD_BYTES + key.size, line.data, line.size);
    }
    s->used_bytes += cost;
    s->count++;
    return 0;
}

struct compute_sort_entry compute_sort_entry_at(const uint8_t *at)
{
    const size_t key = num_get_u32(at);
    return (struct compute_sort_entry){
        .key = bytes_of(at + HEAD_BYTES, key),
        .line = bytes_of(at + HEAD_BYTES + key, num_get_u32(at + 4)),
    };
}

struct compute_sort_cursor compute_sorter_begin(const struct compute_sorter *s)
{
    return (struct compute_sort_cursor){.chunk = s->first};
}

/* returns: the next entry, or NULL. */
static const uint8_t *next_entry(struct compute_sort_cursor *c)
{
    if (c->chunk != NULL && c->at == c->chunk->used) {
        *c = (struct compute_sort_cursor){.chunk = c->chunk->next};
    }
    if (c->chunk == NULL) {
        return NULL;
    }
    const uint8_t *at = c->chunk->data + c->at;
    const struct compute_sort_entry e = compute_sort_entry_at(at);
    c->at += HEAD_BYTES + e.key.size + e.line.size;
    return at;
}

bool compute_sorter_next(struct compute_sort_cursor *c, struct compute_sort_entry *out)
{
    const uint8_t *at = next_entry(c);
    if (at != NULL) {
        *out = compute_sort_entry_at(at);
    }
    return at != NULL;
}

int compute_sorter_merge(struct compute_sorter *into, const struct compute_sorter *from)
{
    struct compute_sort_cursor c = compute_sorter_begin(from);
    struct compute_sort_entry e;
    ASSERT(from->runs == NULL);
    while (compute_sorter_next(&c, &e)) {
        TRY(compute_sorter_add(into, e.key, e.line));
    }
    return 0;
}

/* --- order --- */

static struct bytes key_of(const void *at)
{
    return compute_sort_entry_at(at).key;
}

int compute_sorter_items(const struct compute_sorter *s, struct compute_order_item **out)
{
    struct compute_sort_cursor c = compute_sorter_begin(s);
    struct compute_order_item *list = NULL;
    struct compute_order_item *other = NULL;
    *out = NULL;
    if (s->count == 0) {
        return 0;
    }
    list = alloc_get_zeroed(&s->alloc, s->count, sizeof(list[0]));
    other = alloc_get_zeroed(&s->alloc, s->count, sizeof(other[0]));
    if (list == NULL || other == NULL) {
        compute_sorter_items_free(s, list);
        compute_sorter_items_free(s, other);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < s->count; i++) {
        list[i].at = next_entry(&c);
        list[i].prefix = compute_order_prefix(key_of(list[i].at));
    }
    *out = compute_order(list, other, s->count, key_of, s->whole);
    compute_sorter_items_free(s, *out == list ? other : list);
    return 0;
}

void compute_sorter_items_free(const struct compute_sorter *s, struct compute_order_item *items)
{
    alloc_put(&s->alloc, items, s->count * sizeof(items[0]));
}
