/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Groups: the table, and its result as lines.
 */
#include "compute/group_internal.h"

#include "base/num.h"
#include "compute/order_internal.h"
#include "compute/runs_internal.h"

#include <stdlib.h>

#define SLOTS_FIRST 64u
#define CHUNK_BYTES (256u << 10)
#define AHEAD 8u /* slots */

void compute_groups_init(struct compute_groups *g, const struct compute_program *p,
                         const struct alloc *alloc, uint64_t limit_bytes)
{
    *g = (struct compute_groups){
        .p = p, .store = {.alloc = *alloc, .used_bytes = 0}, .limit_bytes = limit_bytes};
}

static void release_tallies(struct compute_groups *g, const struct compute_aggregate *a)
{
    struct compute_groups_cursor c = compute_groups_begin(g);
    for (struct compute_group *group; (group = compute_groups_next(&c)) != NULL;) {
        compute_tally_release(compute_group_tally(group, a->at), a->op, &g->store);
    }
}

void compute_groups_release(struct compute_groups *g)
{
    for (uint32_t a = 0; a < g->p->aggregates; a++) {
        if (compute_tally_has_more(g->p->aggregate[a].op)) {
            release_tallies(g, &g->p->aggregate[a]);
        }
    }
    while (g->chunks != NULL) {
        struct compute_group_chunk *chunk = g->chunks;
        g->chunks = chunk->next;
        alloc_put(&g->store.alloc, chunk, chunk->bytes);
    }
    alloc_put(&g->store.alloc, g->slots, g->slot_count * sizeof(g->slots[0]));
    g->slots = NULL;
    g->slot_count = 0;
    g->count = 0;
}

bool compute_groups_fit(const struct compute_groups *g)
{
    return g->store.used_bytes <= g->limit_bytes;
}

int compute_groups_keep(struct compute_groups *g)
{
    if (compute_groups_fit(g)) {
        return 0;
    }
    return g->runs != NULL ? compute_runs_put(g->runs, g) : ERR_TOO_LARGE;
}

/* --- the table --- */

/* returns: the free slot that a group with this hash comes to. */
static struct compute_group_slot *slot_for(const struct compute_groups *g, uint64_t hash)
{
    size_t at = hash & (g->slot_count - 1);
    while (g->slots[at].group != NULL) {
        at = (at + 1) & (g->slot_count - 1);
    }
    return &g->slots[at];
}

/* Slots for one more group than there are. */
static int grow(struct compute_groups *g)
{
    size_t count = NUM_MAX(g->slot_count, (size_t)SLOTS_FIRST / 2) * 2;
    while (g->count >= count / 2) {
        count *= 2;
    }
    struct compute_group_slot *slots = alloc_get_zeroed(&g->store.alloc, count, sizeof(slots[0]));
    if (slots == NULL) {
        return ERR_NO_MEMORY;
    }
    alloc_put(&g->store.alloc, g->slots, g->slot_count * sizeof(slots[0]));
    g->slots = slots;
    g->slot_count = count;
    struct compute_groups_cursor c = compute_groups_begin(g);
    for (struct compute_group *group; (group = compute_groups_next(&c)) != NULL;) {
        *slot_for(g, group->hash) =
            (struct compute_group_slot){.hash = group->hash, .group = group};
    }
    return 0;
}

static struct compute_group *chunk_get(struct compute_groups *g, size_t bytes)
{
    struct compute_group_chunk *chunk = g->chunks;
    if (chunk == NULL || chunk->bytes - chunk->used < bytes) {
        const size_t head = sizeof(*chunk);
        const size_t all = NUM_MAX((size_t)CHUNK_BYTES, head + bytes);
        chunk = alloc_get(&g->store.alloc, all);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct compute_group_chunk){.next = g->chunks, .bytes = all, .used = head};
        g->chunks = chunk;
    }
    struct compute_group *group = (struct compute_group *)(void *)((uint8_t *)chunk + chunk->used);
    chunk->used += bytes;
    return group;
}

static int make(struct compute_groups *g, struct bytes key, uint64_t hash,
                struct compute_group **out)
{
    const size_t key_at = sizeof(struct compute_group) + g->p->tally_bytes;
    const size_t bytes = num_round_up(key_at + key.size, sizeof(uint64_t));
    const uint64_t charge = bytes + COMPUTE_GROUP_SLOT_BYTES;
    if (g->runs == NULL &&
        (!compute_groups_fit(g) || charge > g->limit_bytes - g->store.used_bytes)) {
        return ERR_TOO_LARGE;
    }
    struct compute_group *group = chunk_get(g, bytes);
    if (group == NULL) {
        return ERR_NO_MEMORY;
    }
    *group = (struct compute_group){
        .hash = hash, .key_bytes = (uint32_t)key.size, .key_at = (uint32_t)key_at};
    memset((uint8_t *)group + sizeof(*group), 0, g->p->tally_bytes);
    if (key.size > 0) {
        memcpy((uint8_t *)group + key_at, key.data, key.size);
    }
    g->store.used_bytes += charge;
    *out = group;
    return 0;
}

int compute_groups_find_hashed(struct compute_groups *g, struct bytes key, uint64_t hash,
                               struct compute_group **out)
{
    if (g->count >= g->slot_count / 2) {
        TRY(grow(g));
    }
    size_t at = hash & (g->slot_count - 1);
    for (; g->slots[at].group != NULL; at = (at + 1) & (g->slot_count - 1)) {
        if (compute_group_has(&g->slots[at], key, hash)) {
            *out = g->slots[at].group;
            return 0;
        }
    }
    TRY(make(g, key, hash, out));
    g->slots[at] = (struct compute_group_slot){.hash = hash, .group = *out};
    g->count++;
    return 0;
}

int compute_groups_append(struct compute_groups *g, struct bytes key, struct compute_group **out)
{
    ASSERT(g->slot_count == 0);
    TRY(make(g, key, compute_key_hash(key, g->p->seed), out));
    g->count++;
    return 0;
}

int compute_groups_find(struct compute_groups *g, struct bytes key, struct compute_group **out)
{
    return compute_groups_find_hashed(g, key, compute_key_hash(key, g->p->seed), out);
}

/* Has what will be looked at in `into` fetched: slots of far groups, and what is in those of near
 * ones. Either may be NULL. */
static void fetch_ahead(const struct compute_groups *into, const struct compute_group *far,
                        const struct compute_group *near)
{
    if (far != NULL) {
        __builtin_prefetch(compute_groups_slot(into, far->hash));
    }
    if (near != NULL && into->slot_count > 0) {
        __builtin_prefetch(compute_groups_slot(into, near->hash)->group);
    }
}

static int merge_group(struct compute_groups *into, struct compute_group *other, uint64_t before)
{
    const struct compute_program *p = into->p;
    struct compute_group *group = NULL;
    TRY(compute_groups_find_hashed(into, compute_group_key(other), other->hash, &group));
    for (uint32_t a = 0; a < p->aggregates; a++) {
        const struct compute_aggregate *agg = &p->aggregate[a];
        TRY(compute_tally_merge(compute_group_tally(group, agg->at), agg->op,
                                compute_group_tally(other, agg->at), before, &into->store));
    }
    return compute_groups_keep(into);
}

int compute_groups_merge(struct compute_groups *into, const struct compute_groups *from,
                         uint64_t before)
{
    struct compute_groups_cursor c = compute_groups_begin(from);
    struct compute_groups_cursor near = c;
    struct compute_groups_cursor far = c;
    for (unsigned i = 0; i < AHEAD; i++) {
        fetch_ahead(into, compute_groups_next(&far), NULL);
    }
    for (unsigned i = 0; i < AHEAD; i++) {
        fetch_ahead(into, compute_groups_next(&far), compute_groups_next(&near));
    }
    for (struct compute_group *other; (other = compute_groups_next(&c)) != NULL;) {
        fetch_ahead(into, compute_groups_next(&far), compute_groups_next(&near));
        TRY(merge_group(into, other, before));
    }
    return 0;
}

static struct bytes key_at(const void *at)
{
    return compute_group_key(at);
}

static size_t sorted_bytes(const struct compute_groups *g)
{
    return NUM_MAX(g->count, (size_t)1) * sizeof(struct compute_group *);
}

/* items: room for twice as many. */
static void sort_groups(const struct compute_groups *g, struct compute_order_item *items,
                        struct compute_group **out)
{
    struct compute_groups_cursor c = compute_groups_begin(g);
    size_t count = 0;
    for (struct compute_group *group; (group = compute_groups_next(&c)) != NULL;) {
        out[count] = group;
        items[count++] = (struct compute_order_item){
            .prefix = compute_order_prefix(compute_group_key(group)), .at = group};
    }
    ASSERT(count == g->count);
    const struct compute_order_item *sorted =
        compute_order(items, items + count, count, key_at, NULL);
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct compute_group *)sorted[i].at;
    }
}

int compute_groups_sorted(const struct compute_groups *g, struct compute_group ***list)
{
    const struct alloc *alloc = &g->store.alloc;
    const size_t bytes = 2 * NUM_MAX(g->count, (size_t)1) * sizeof(struct compute_order_item);
    struct compute_order_item *items = alloc_get(alloc, bytes);
    struct compute_group **out = alloc_get(alloc, sorted_bytes(g));
    if (items != NULL && out != NULL) {
        sort_groups(g, items, out);
    } else {
        alloc_put(alloc, out, sorted_bytes(g));
        out = NULL;
    }
    alloc_put(alloc, items, bytes);
    *list = out;
    return out != NULL ? 0 : ERR_NO_MEMORY;
}

void compute_groups_sorted_free(const struct compute_groups *g, struct compute_group **list)
{
    alloc_put(&g->store.alloc, list, sorted_bytes(g));
}

/* --- keys --- */

/* A zero byte becomes 00 ff, and 00 01 ends a part, so that a part sorts before what it begins. */
void compute_key_put(struct buf *key, struct bytes part, bool last)
{
    for (size_t at = 0; at < part.size;) {
        const uint8_t *zero = memchr(part.data + at, 0, part.size - at);
        const size_t end = zero != NULL ? (size_t)(zero - part.data) + 1 : part.size;
        (void)buf_append(key, part.data + at, end - at);
        if (zero != NULL) {
            (void)buf_put_u8(key, 0xff);
        }
        at = end;
    }
    if (!last) {
        (void)buf_put_u8(key, 0);
        (void)buf_put_u8(key, 1);
    }
}

bool compute_key_is_whole(struct bytes key, uint32_t parts)
{
    uint32_t ends = 1;
    for (size_t at = 0; at < key.size; at++) {
        if (key.data[at] != 0) {
            continue;
        }
        at++;
        if (at == key.size || (key.data[at] != 1 && key.data[at] != 0xff)) {
            return false;
        }
        ends += key.data[at] == 1;
    }
    return ends == parts;
}

struct bytes compute_key_of_cluster(struct bytes key)
{
    size_t end = 0;
    for (size_t at = 0; at + 1 < key.size; at++) {
        if (key.data[at] == 0) {
            at++;
            end = key.data[at] == 1 ? at + 1 : end;
        }
    }
    return bytes_of(key.data, end);
}

bool compute_key_has_cluster(struct bytes key)
{
    const size_t from = compute_key_of_cluster(key).size;
    size_t bytes = key.size - from;
    for (size_t at = from; at < key.size && from > 0; at++) {
        if (key.data[at] == 0) {
            bytes--; /* 00 ff stands for 00 */
            at++;
        }
    }
    return bytes == sizeof(uint64_t);
}

/* Takes one part into `part`. returns: what is left of the key. */
static struct bytes key_take(struct bytes key, struct buf *part)
{
    buf_clear(part);
    size_t at = 0;
    while (at < key.size) {
        const uint8_t *zero = memchr(key.data + at, 0, key.size - at);
        const size_t end = zero != NULL ? (size_t)(zero - key.data) : key.size;
        (void)buf_append(part, key.data + at, end - at);
        at = NUM_MIN(end + 2, key.size);
        if (zero != NULL && key.data[end + 1] == 1) {
            break;
        }
        if (zero != NULL) {
            (void)buf_put_u8(part, 0);
        }
    }
    return bytes_of(key.data + at, key.size - at);
}

/* --- the result --- */

static int put_value(const struct compute_group *group, const struct compute_aggregate *a,
                     struct buf *into)
{
    char text[COMPUTE_VALUE_TEXT];
    struct compute_value v;
    const struct compute_tally *t =
        compute_group_tally((struct compute_group *)(uintptr_t)group, a->at);
    TRY(compute_tally_finish(t, a->op, &v));
    return buf_append(into, text, compute_value_text(&v, text));
}

void compute_keys_text(const struct compute_program *p, struct bytes key, struct buf *part,
                       struct buf *into)
{
    for (uint32_t k = 0; k < p->keys; k++) {
        if (k > 0) {
            (void)buf_put_u8(into, ',');
        }
        if (p->key_parts == 1) {
            compute_csv_put(into, key);
        } else {
            key = key_take(key, part);
            compute_csv_put(into, buf_view(part));
        }
    }
}

int compute_group_text(const struct compute_program *p, const struct compute_group *group,
                       struct buf *part, struct buf *into)
{
    compute_keys_text(p, compute_group_key(group), part, into);
    for (uint32_t a = 0; a < p->aggregates; a++) {
        (void)buf_put_u8(into, ',');
        const int err = put_value(group, &p->aggregate[a], into);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err; /* of too few numbers: nothing between the commas */
        }
    }
    (void)buf_put_u8(into, '\n');
    return into->err != 0 ? into->err : part->err;
}

int compute_group_rank(const struct compute_program *p, struct compute_group *group,
                       struct compute_value *out)
{
    const struct compute_aggregate *first = &p->aggregate[0];
    return compute_tally_finish(compute_group_tally(group, first->at), first->op, out);
}

static int order_of(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* A whole number against a double that is no NaN, without rounding. returns: as bytes_compare. */
static int whole_order(struct compute_i128 whole, double real)
{
    const bool minus = whole.high < 0;
    uint64_t high = (uint64_t)whole.high;
    uint64_t low = whole.low;
    if (minus != (real < 0)) {
        return minus ? -1 : 1;
    }
    if (minus) {
        high = ~high + (low == 0);
        low = 0 - low;
        real = -real;
    }
    int order = -1;
    if (real < 0x1p128) {
        const uint64_t real_high = (uint64_t)(real * 0x1p-64);
        const double rest = real - (double)real_high * 0x1p64;
        const uint64_t real_low = (uint64_t)rest;
        order = order_of(high, real_high);
        order = order != 0 ? order : order_of(low, real_low);
        order = order != 0 ? order : -(rest > (double)real_low);
    }
    return minus ? -order : order;
}

static int value_order(const struct compute_value *a, const struct compute_value *b)
{
    if (a->is_real && b->is_real) {
        return (a->real > b->real) - (a->real < b->real);
    }
    return a->is_real ? -whole_order(b->whole, a->real) : whole_order(a->whole, b->real);
}

struct ranked {
    struct compute_value value;
    const struct compute_group *group;
    bool has;
};

int compute_value_compare(const struct compute_value *a, const struct compute_value *b)
{
    if (!a->is_real && !b->is_real) {
        if (a->whole.high != b->whole.high) {
            return a->whole.high > b->whole.high ? -1 : 1;
        }
        return (a->whole.low < b->whole.low) - (a->whole.low > b->whole.low);
    }
    const bool a_nan = a->is_real && a->real != a->real;
    const bool b_nan = b->is_real && b->real != b->real;
    if (a_nan || b_nan) {
        return (int)b_nan - (int)a_nan;
    }
    return value_order(b, a);
}

static int ranked_compare(const void *left, const void *right)
{
    const struct ranked *a = left;
    const struct ranked *b = right;
    if (a->has != b->has) {
        return a->has ? -1 : 1;
    }
    const int order = a->has ? compute_value_compare(&a->value, &b->value) : 0;
    return order != 0 ? order
                      : bytes_compare(compute_group_key(a->group), compute_group_key(b->group));
}

static int rank(const struct compute_groups *g, struct ranked *list)
{
    struct compute_groups_cursor c = compute_groups_begin(g);
    size_t count = 0;
    for (struct compute_group *group; (group = compute_groups_next(&c)) != NULL;) {
        list[count] = (struct ranked){.group = group};
        if (g->p->top > 0) {
            const int err = compute_group_rank(g->p, group, &list[count].value);
            if (err != 0 && err != ERR_NOT_FOUND) {
                return err;
            }
            list[count].has = err == 0;
        }
        count++;
    }
    ASSERT(count == g->count);
    qsort(list, count, sizeof(list[0]), ranked_compare);
    return 0;
}

static int groups_text(const struct compute_groups *g, struct buf *into)
{
    struct buf part;
    struct ranked *list =
        alloc_get_zeroed(&g->store.alloc, NUM_MAX(g->count, (size_t)1), sizeof(list[0]));
    if (list == NULL) {
        return ERR_NO_MEMORY;
    }
    buf_init(&part, &g->store.alloc, SIZE_MAX);
    int err = rank(g, list);
    const size_t shown = g->p->top > 0 && g->p->top < g->count ? (size_t)g->p->top : g->count;
    for (size_t i = 0; i < shown && err == 0; i++) {
        err = compute_group_text(g->p, list[i].group, &part, into);
    }
    buf_release(&part);
    alloc_put(&g->store.alloc, list, NUM_MAX(g->count, (size_t)1) * sizeof(list[0]));
    return err;
}

int compute_groups_text(const struct compute_groups *g, struct buf *into, uint32_t *failed)
{
    const struct compute_program *p = g->p;
    if (p->estimates) {
        return compute_estimates_text(g, into, failed);
    }
    if (p->keys > 0) {
        *failed = 0;
        return groups_text(g, into);
    }
    struct compute_groups_cursor c = compute_groups_begin(g);
    const struct compute_group *group =
        compute_groups_next(&c); /* the only one: its key is empty */
    for (uint32_t a = 0; a < p->aggregates; a++) {
        *failed = a;
        if (a > 0) {
            (void)buf_put_u8(into, ',');
        }
        TRY(put_value(group, &p->aggregate[a], into));
    }
    return buf_put_u8(into, '\n');
}
