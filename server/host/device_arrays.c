/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs over arrays of numbers as they lie in a slot, and how each is judged (docs/adr/0041). No
 * result is used that may be the error of a device.
 *
 *   sums       of all values; and of the values with all bits inverted, from the last to the first,
 *              in two parts. Together they are the sum of as many words of ones.
 *   the least, the value at its place is read. In what orders the other way, the first third being
 *   greatest   behind the rest, it has the same place: in all of that, and in that third alone.
 *              Before the third is a number that no other comes after, so that each number is at
 *              another place in each call.
 *   scans      each result is compared when it is taken out, which reads it anyway.
 *   sorts      keys rise from place to place, and equal ones come in the order of their places; so
 *              no place is there twice, and as there are as many as keys in a run, all are.
 */
#include "server/host/device_internal.h"

#include "base/num.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define SIGN (UINT64_C(1) << 63)
#define INFINITE (UINT64_C(0x7ff) << 52)

_Static_assert((int)GPU_SIGNED == (int)COMPUTE_SIGNED &&
                   (int)GPU_UNSIGNED == (int)COMPUTE_UNSIGNED && (int)GPU_REAL == (int)COMPUTE_REAL,
               "the same classes");

static enum gpu_fold fold_of(enum compute_fold fold)
{
    static const enum gpu_fold folds[] = {
        [COMPUTE_FOLD_SUM] = GPU_FOLD_SUM,
        [COMPUTE_FOLD_LEAST] = GPU_FOLD_LEAST,
        [COMPUTE_FOLD_MOST] = GPU_FOLD_MOST,
        [COMPUTE_FOLD_OR] = GPU_FOLD_OR,
    };
    return folds[fold];
}

/* ---- reductions ----------------------------------------------------------------------------- */

/* The first values of `count` that are a part of their own the second time. */
static size_t third_of(size_t count)
{
    return count / 3;
}

/* returns: the number that comes last, or with others, if such an end is asked for. */
static uint64_t last_of(const struct host_device_piece *p)
{
    const uint64_t least[] = {
        [COMPUTE_SIGNED] = SIGN, [COMPUTE_UNSIGNED] = 0, [COMPUTE_REAL] = SIGN | INFINITE};
    const uint64_t most[] = {
        [COMPUTE_SIGNED] = ~SIGN, [COMPUTE_UNSIGNED] = UINT64_MAX, [COMPUTE_REAL] = INFINITE};
    return p->fold == COMPUTE_FOLD_LEAST ? most[p->of] : least[p->of];
}

static void fill_reduce(struct host_device_slot *slot, const struct host_device_piece *p)
{
    const size_t count = p->bytes / WORD;
    const size_t third = third_of(count);
    const uint64_t turned = p->of == COMPUTE_REAL ? SIGN : UINT64_MAX; /* orders the other way */
    uint8_t *again = slot->memory + p->bytes;
    memcpy(slot->memory, p->values, p->bytes);
    for (size_t i = 0; i < count; i++) {
        const size_t rolled = i < third ? count - third + 1 + i : i - third;
        const size_t to = p->fold == COMPUTE_FOLD_SUM ? count - 1 - i : rolled;
        num_put_u64(again + to * WORD, num_get_u64(p->values + i * WORD) ^ turned);
    }
    if (p->fold != COMPUTE_FOLD_SUM) {
        num_put_u64(again + (count - third) * WORD, last_of(p) ^ turned);
    }
}

static int call_reduce(const struct gpu_table *table, struct gpu *gpu,
                       struct host_device_slot *slot)
{
    static const enum compute_fold turned[] = {
        [COMPUTE_FOLD_SUM] = COMPUTE_FOLD_SUM,
        [COMPUTE_FOLD_LEAST] = COMPUTE_FOLD_MOST,
        [COMPUTE_FOLD_MOST] = COMPUTE_FOLD_LEAST,
        [COMPUTE_FOLD_OR] = COMPUTE_FOLD_OR,
    };
    const bool is_sum = slot->fold == COMPUTE_FOLD_SUM;
    const size_t all = slot->columns + !is_sum;
    const size_t first = slot->columns - third_of(slot->columns);
    struct gpu_reduce_job job = {.fold = fold_of(slot->fold),
                                 .of = (enum gpu_class)slot->of,
                                 .values = slot->memory,
                                 .count = slot->columns};
    TRY(table->reduce(gpu, &job, &slot->reduced[0]));
    job.fold = fold_of(turned[slot->fold]);
    job.values = slot->memory + slot->columns * WORD;
    job.count = is_sum ? first : all;
    TRY(table->reduce(gpu, &job, &slot->reduced[1]));
    job.values = slot->memory + (slot->columns + first) * WORD;
    job.count = all - first;
    return table->reduce(gpu, &job, &slot->reduced[2]);
}

static struct compute_i128 sum_with(struct compute_i128 a, struct gpu_whole b)
{
    const uint64_t low = a.low + b.low;
    const uint64_t high = (uint64_t)a.high + (uint64_t)b.high + (low < b.low);
    return (struct compute_i128){.low = low, .high = (int64_t)high};
}

/* Of a value v that is inverted v + ~v is a word of ones: -1, or 2^64 - 1. A sum of so few is far
 * from the ends of 128 bits. */
static enum host_device_verdict take_sum(const struct host_device_slot *slot,
                                         const struct host_device_piece *p)
{
    const int64_t count = (int64_t)slot->columns;
    const struct gpu_whole sum = slot->reduced[0].sum;
    struct compute_i128 all = {.low = sum.low, .high = sum.high};
    all = sum_with(all, slot->reduced[1].sum);
    all = sum_with(all, slot->reduced[2].sum);
    if (all.low != 0 - (uint64_t)count || all.high != (p->of == COMPUTE_SIGNED ? -1 : count - 1) ||
        sum.high < -count || sum.high > count) {
        return HOST_DEVICE_WRONG;
    }
    p->folded->sum = sum_with(p->folded->sum, sum);
    return HOST_DEVICE_RIGHT;
}

static bool is_before(enum compute_fold fold, uint64_t key, uint64_t other)
{
    return fold == COMPUTE_FOLD_MOST ? key > other : key < other;
}

/* returns: the key that a value has among others of which such an end is asked for. */
static uint64_t key_of(const struct host_device_piece *p, uint64_t bits)
{
    const bool is_nan = p->of == COMPUTE_REAL && compute_bits_are_nan(bits);
    if (is_nan) {
        return p->fold == COMPUTE_FOLD_MOST ? UINT64_MAX : 0;
    }
    return compute_key_of(bits, p->of);
}

static enum host_device_verdict take_end(const struct host_device_slot *slot,
                                         const struct host_device_piece *p)
{
    const struct gpu_reduced *end = &slot->reduced[0];
    const struct gpu_reduced *all = &slot->reduced[1];
    const struct gpu_reduced *third = &slot->reduced[2];
    const size_t first = slot->columns - third_of(slot->columns);
    const bool is_in_third = third->key == all->key;
    const uint64_t in_third = third->place - (third->place > 0); /* 0: all are as the last one */
    const uint64_t place = is_in_third ? in_third : all->place + third_of(slot->columns);
    const bool agree = all->place < first ? !is_before(p->fold, ~third->key, ~all->key)
                                          : is_in_third && all->place == first + third->place;
    if (!agree || end->place >= slot->columns || end->place != place || end->key != ~all->key ||
        end->key != key_of(p, num_get_u64(p->values + end->place * WORD))) {
        return HOST_DEVICE_WRONG;
    }
    if (p->done_bytes == 0 || is_before(p->fold, end->key, p->folded->key)) {
        p->folded->key = end->key;
        p->folded->place = p->done_bytes / WORD + end->place;
    }
    return HOST_DEVICE_RIGHT;
}

/* ---- scans ---------------------------------------------------------------------------------- */

static int call_scan(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot)
{
    const struct gpu_scan_job job = {.fold = fold_of(slot->fold),
                                     .of = (enum gpu_class)slot->of,
                                     .values = slot->memory,
                                     .results = slot->memory + slot->columns * WORD,
                                     .count = slot->columns,
                                     .carry = slot->carry};
    return table->scan(gpu, &job, &slot->scanned);
}

/* What results are compared with. */
struct check {
    uint64_t all;    /* what the values so far come to */
    uint64_t wrong;  /* not 0: a result is another one */
    uint64_t leaves; /* the greatest bit: a sum has left its range */
};

static void check_sums(struct check *c, const uint8_t *values, const uint8_t *results, size_t count,
                       bool is_signed)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t value = num_get_u64(values + i * WORD);
        const uint64_t sum = c->all + value;
        c->leaves |= is_signed ? (sum ^ c->all) & (sum ^ value) : 0 - (uint64_t)(sum < value);
        c->all = sum;
        c->wrong |= sum ^ num_get_u64(results + i * WORD);
    }
}

/* Of signed numbers those of the other sign are the greater bits. */
static void check_ends(struct check *c, const struct host_device_piece *p, const uint8_t *results,
                       size_t count)
{
    const uint64_t flip = p->of == COMPUTE_SIGNED ? SIGN : 0;
    const bool most = p->fold == COMPUTE_FOLD_MOST;
    uint64_t all = c->all ^ flip;
    for (size_t i = 0; i < count; i++) {
        const uint64_t key = num_get_u64(p->values + i * WORD) ^ flip;
        all = most ? NUM_MAX(all, key) : NUM_MIN(all, key);
        c->wrong |= all ^ flip ^ num_get_u64(results + i * WORD);
    }
    c->all = all ^ flip;
}

static void check_bits(struct check *c, const uint8_t *values, const uint8_t *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        c->all |= num_get_u64(values + i * WORD);
        c->wrong |= c->all ^ num_get_u64(results + i * WORD);
    }
}

static enum host_device_verdict take_scan(const struct host_device_slot *slot,
                                          const struct host_device_piece *p)
{
    const size_t count = slot->columns;
    const uint8_t *results = slot->memory + p->bytes;
    struct check c = {.all = *p->carry};
    switch (p->fold) {
    case COMPUTE_FOLD_SUM:
        check_sums(&c, p->values, results, count, p->of == COMPUTE_SIGNED);
        break;
    case COMPUTE_FOLD_LEAST:
    case COMPUTE_FOLD_MOST: check_ends(&c, p, results, count); break;
    case COMPUTE_FOLD_OR: check_bits(&c, p->values, results, count); break;
    }
    const bool leaves = c.leaves >> 63 != 0;
    if (c.wrong != 0 || c.all != slot->scanned.carry || leaves != (slot->scanned.done < count) ||
        slot->scanned.done > count) {
        return HOST_DEVICE_WRONG;
    }
    if (leaves) {
        return HOST_DEVICE_UNJUDGED; /* which one is the first, the processor says */
    }
    memcpy(p->results + p->done_bytes, results, p->bytes);
    *p->carry = c.all;
    return HOST_DEVICE_RIGHT;
}

/* ---- sorts: keys, their order, and as much room ------------------------------------------------
 */

static uint32_t *order_of(const struct host_device_slot *slot)
{
    return (uint32_t *)(void *)(slot->memory + slot->columns * WORD);
}

static int call_sort(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot)
{
    const struct gpu_sort_job job = {
        .keys = slot->memory, .order = order_of(slot), .count = slot->columns};
    return table->sort(gpu, &job, &slot->run);
}

static uint64_t key_at(const uint8_t *keys, uint32_t place)
{
    return num_get_u64(keys + place * WORD);
}

/* returns: whether these are the places from `from` to before `to` in the order of their keys. */
static bool run_is_sorted(const uint8_t *keys, const uint32_t *order, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (order[i] < from || order[i] >= to) {
            return false;
        }
        const uint64_t key = key_at(keys, order[i]);
        const uint64_t before = i > from ? key_at(keys, order[i - 1]) : 0;
        if (i > from && (before > key || (before == key && order[i - 1] >= order[i]))) {
            return false;
        }
    }
    return true;
}

/* Two runs into one. */
static void merge_two(const uint8_t *keys, const uint32_t *from, size_t first, size_t count,
                      uint32_t *into)
{
    size_t left = 0;
    size_t right = first;
    for (size_t i = 0; i < count; i++) {
        const bool takes_right = left == first || (right < count && key_at(keys, from[right]) <
                                                                        key_at(keys, from[left]));
        into[i] = takes_right ? from[right++] : from[left++];
    }
}

void host_device_merge(const uint8_t *keys, uint32_t *order, uint32_t *scratch, size_t count,
                       size_t run)
{
    uint32_t *from = order;
    uint32_t *into = scratch;
    for (size_t part = run; part < count; part *= 2) {
        for (size_t at = 0; at < count; at += 2 * part) {
            const size_t size = NUM_MIN(2 * part, count - at);
            merge_two(keys, from + at, NUM_MIN(part, size), size, into + at);
        }
        uint32_t *kept = from;
        from = into;
        into = kept;
    }
    if (from != order) {
        memcpy(order, from, count * sizeof(order[0]));
    }
}

static enum host_device_verdict take_sort(const struct host_device_slot *slot,
                                          const struct host_device_piece *p)
{
    const size_t count = slot->columns;
    const uint32_t first = (uint32_t)(p->done_bytes / WORD);
    uint32_t *order = order_of(slot);
    for (size_t at = 0; at < count; at += NUM_MIN(slot->run, count - at)) {
        if (slot->run == 0 ||
            !run_is_sorted(p->values, order, at, at + NUM_MIN(slot->run, count - at))) {
            return HOST_DEVICE_WRONG;
        }
    }
    host_device_merge(p->values, order, order + count, count, slot->run);
    for (size_t i = 0; i < count; i++) {
        p->order[first + i] = first + order[i];
    }
    return HOST_DEVICE_RIGHT;
}

/* ---- any ------------------------------------------------------------------------------------ */

void host_device_fill_array(struct host_device_slot *slot, const struct host_device_piece *p)
{
    ASSERT(p->bytes <= HOST_DEVICE_ARRAY_BYTES);
    slot->columns = p->bytes / WORD;
    slot->fold = p->fold;
    slot->of = p->of;
    if (p->kind == NODE_DEVICE_REDUCES) {
        fill_reduce(slot, p);
    } else {
        slot->carry = p->kind == NODE_DEVICE_SCANS ? *p->carry : 0;
        memcpy(slot->memory, p->values, p->bytes);
    }
}

int host_device_call_array(const struct gpu_table *table, struct gpu *gpu,
                           struct host_device_slot *slot)
{
    switch (slot->kind) {
    case NODE_DEVICE_SCANS: return call_scan(table, gpu, slot);
    case NODE_DEVICE_SORTS: return call_sort(table, gpu, slot);
    default: return call_reduce(table, gpu, slot);
    }
}

enum host_device_verdict host_device_take_array(const struct host_device_slot *slot,
                                                const struct host_device_piece *p)
{
    switch (p->kind) {
    case NODE_DEVICE_SCANS: return take_scan(slot, p);
    case NODE_DEVICE_SORTS: return take_sort(slot, p);
    default: return p->fold == COMPUTE_FOLD_SUM ? take_sum(slot, p) : take_end(slot, p);
    }
}
