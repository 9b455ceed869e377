/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of groups against sums with all limbs: the same value, however it was put together,
 * and the same window, bytes and memory for the same values.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/narrow.h"
#include "compute/program_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>

#define VALUES_MAX 400u

static struct compute_store store_new(void)
{
    return (struct compute_store){.alloc = alloc_heap()};
}

static void add_f64(struct compute_narrow **n, double value, struct compute_store *store)
{
    const struct compute_term t = compute_term_of_f64(value);
    ck_assert_int_eq(compute_narrow_add(n, &t, store), 0);
}

static void encode_narrow(const struct compute_narrow *n, struct buf *into)
{
    const struct alloc heap = alloc_heap();
    buf_init(into, &heap, 4096);
    ck_assert_int_eq(compute_narrow_encode(n, into), 0);
}

static void encode_exact(const struct compute_exact *e, struct buf *into)
{
    const struct alloc heap = alloc_heap();
    buf_init(into, &heap, COMPUTE_EXACT_ENCODED_MAX);
    ck_assert_int_eq(compute_exact_encode(e, into), 0);
}

static void expect_same(const struct buf *a, const struct buf *b)
{
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_mem_eq(a->data, b->data, a->size);
}

/* Writes and reads it. */
static void recode(struct compute_narrow **n, uint64_t values, struct compute_store *store)
{
    struct compute_narrow *read = NULL;
    struct buf bytes;
    encode_narrow(*n, &bytes);
    struct bytes_reader from = bytes_reader_of(buf_view(&bytes));
    ck_assert_int_eq(compute_narrow_decode(&read, values, &from, store), 0);
    ck_assert_uint_eq(from.left, 0);
    compute_narrow_release(n, store);
    *n = read;
    buf_release(&bytes);
}

/* One value of a sum: of a double, of a product of two, or of a whole number. */
struct drawn {
    unsigned kind;
    double x;
    double y;
    uint64_t whole;
};

static struct compute_term term_of(const struct drawn *d)
{
    return d->kind == 0   ? compute_term_of_f64(d->x)
           : d->kind == 1 ? compute_term_of_product_f64(d->x, d->y)
                          : compute_term_of_whole(d->whole % 2 == 0, d->whole >> 3, d->whole);
}

/* The sum of values in parts, which are added up, written and read, and merged at random. */
static struct compute_narrow *in_parts(struct rng *rng, const struct drawn *values, size_t count,
                                       struct compute_store *store)
{
    struct compute_narrow *all = NULL;
    size_t at = 0;
    size_t added = 0;
    while (at < count) {
        struct compute_narrow *part = NULL;
        const size_t end = at + (size_t)rng_between(rng, 1, count - at);
        const size_t size = end - at;
        for (; at < end; at++) {
            const struct compute_term t = term_of(&values[at]);
            ck_assert_int_eq(compute_narrow_add(&part, &t, store), 0);
        }
        if (rng_chance(rng, 1, 2)) {
            recode(&part, size, store);
        }
        if (rng_chance(rng, 1, 2)) { /* merging is done in either direction */
            ck_assert_int_eq(compute_narrow_merge(&part, all, store), 0);
            compute_narrow_release(&all, store);
            all = part;
        } else {
            ck_assert_int_eq(compute_narrow_merge(&all, part, store), 0);
            compute_narrow_release(&part, store);
        }
        added += size;
        if (rng_chance(rng, 1, 3)) {
            recode(&all, added, store);
        }
    }
    return all;
}

static void shuffle(struct rng *rng, struct drawn *values, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t j = (size_t)rng_below(rng, i);
        const struct drawn kept = values[i - 1];
        values[i - 1] = values[j];
        values[j] = kept;
    }
}

START_TEST(it_is_the_sum_with_all_limbs_and_its_window_is_of_its_values)
{
    struct rng rng;
    struct compute_store store = store_new();
    double x[VALUES_MAX];
    double y[VALUES_MAX];
    struct drawn values[VALUES_MAX];
    rng_init(&rng, unit_seed("it_is_the_sum_with_all_limbs", 1));
    for (unsigned i = 0; i < 3000; i++) {
        const size_t count = (size_t)rng_between(&rng, 1, VALUES_MAX);
        const unsigned most = (unsigned)rng_between(&rng, 1, 3); /* kinds of values */
        struct compute_exact expected;
        struct compute_exact expanded;
        struct compute_narrow *sum = NULL;
        struct buf a;
        struct buf b;
        values_make(&rng, (enum values_kind)(i % VALUES_KINDS), x, count);
        values_make(&rng, (enum values_kind)(i / VALUES_KINDS % VALUES_KINDS), y, count);
        compute_exact_init(&expected);
        for (size_t j = 0; j < count; j++) {
            values[j] = (struct drawn){.kind = (unsigned)rng_below(&rng, most),
                                       .x = x[j],
                                       .y = y[j],
                                       .whole = rng_next(&rng) >> rng_below(&rng, 64)};
            const struct compute_term t = term_of(&values[j]);
            compute_exact_see(&expected, t.seen);
            compute_exact_add_bits(&expected, t.negative, t.low, t.high, t.at_bit);
            ck_assert_int_eq(compute_narrow_add(&sum, &t, &store), 0);
        }
        compute_narrow_expand(sum, &expanded);
        encode_exact(&expected, &a);
        encode_exact(&expanded, &b);
        expect_same(&a, &b);
        buf_release(&b);
        buf_release(&a);
        encode_narrow(sum, &a);
        const uint64_t used_bytes = store.used_bytes;
        compute_narrow_release(&sum, &store);
        shuffle(&rng, values, count);
        sum = in_parts(&rng, values, count, &store);
        encode_narrow(sum, &b);
        expect_same(&a, &b);
        ck_assert_uint_eq(store.used_bytes, used_bytes);
        compute_narrow_release(&sum, &store);
        ck_assert_uint_eq(store.used_bytes, 0);
        buf_release(&a);
        buf_release(&b);
    }
}
END_TEST

static uint64_t bytes_of_sum(double x, double y)
{
    struct compute_store store = store_new();
    struct compute_narrow *sum = NULL;
    add_f64(&sum, x, &store);
    add_f64(&sum, y, &store);
    const uint64_t bytes = store.used_bytes;
    compute_narrow_release(&sum, &store);
    return bytes;
}

START_TEST(memory_is_for_what_the_values_reach)
{
    ck_assert_uint_eq(bytes_of_sum(0.0, (double)NAN), 8);
    ck_assert_uint_eq(bytes_of_sum(1.5, 1.25), 40);
    ck_assert_uint_eq(bytes_of_sum(1.5, -1.5), 40);
    ck_assert_uint_eq(bytes_of_sum(1e-9, 1e9), 56);
    ck_assert_uint_eq(bytes_of_sum(DBL_MAX, 0x1p-1074), 552);
}
END_TEST

/* Carries out of a window go into the limb above, and from there into those of a wider one. */
START_TEST(what_leaves_a_window_is_kept)
{
    struct compute_store store = store_new();
    struct compute_narrow *sum = NULL;
    struct compute_exact e;
    const double most = ldexp(1, 52 + 31) - ldexp(1, 30); /* nearly fills its limbs */
    add_f64(&sum, most, &store);
    for (unsigned i = 0; i < 62; i++) { /* 2^62 of them */
        struct compute_narrow *twice = NULL;
        ck_assert_int_eq(compute_narrow_merge(&twice, sum, &store), 0);
        ck_assert_int_eq(compute_narrow_merge(&sum, twice, &store), 0);
        compute_narrow_release(&twice, &store);
        recode(&sum, UINT64_C(1) << (i + 1), &store);
    }
    compute_narrow_expand(sum, &e);
    ck_assert(compute_exact_round(&e) == ldexp(most, 62));
    add_f64(&sum, ldexp(1, 900), &store);
    add_f64(&sum, -ldexp(1, 900), &store);
    add_f64(&sum, ldexp(1, -900), &store);
    compute_narrow_expand(sum, &e);
    ck_assert(compute_exact_round(&e) == ldexp(most, 62));
    add_f64(&sum, -ldexp(most, 62), &store);
    compute_narrow_expand(sum, &e);
    ck_assert(compute_exact_round(&e) == ldexp(1, -900));
    compute_narrow_release(&sum, &store);
}
END_TEST

/* As after 2^29 - 1 additions, each of which left nearly 2^32. */
START_TEST(carries_are_brought_up_before_a_limb_is_full)
{
    struct compute_store store = store_new();
    struct compute_narrow *sum = NULL;
    struct compute_narrow *other = NULL;
    add_f64(&sum, 1.0, &store);
    add_f64(&other, 1.0, &store);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned limb = 0; limb + 1 < sum->count; limb++) {
            sum->limb[limb] = (INT64_C(1) << 61) - 1;
        }
        sum->load = COMPUTE_EXACT_LOAD_MAX - 1;
        if (i == 0) {
            add_f64(&sum, 1.0, &store);
        } else {
            ck_assert_int_eq(compute_narrow_merge(&sum, other, &store), 0);
        }
        ck_assert_uint_eq(sum->load, 1);
        for (unsigned limb = 0; limb + 1 < sum->count; limb++) {
            ck_assert_int_ge(sum->limb[limb], 0);
            ck_assert_int_lt(sum->limb[limb], INT64_C(1) << 32);
        }
    }
    compute_narrow_release(&sum, &store);
    compute_narrow_release(&other, &store);
}
END_TEST

static int decode_text(const uint8_t *bytes, size_t size, uint64_t values)
{
    struct compute_store store = store_new();
    struct compute_narrow *n = NULL;
    struct bytes_reader from = bytes_reader_of(bytes_of(bytes, size));
    const int err = compute_narrow_decode(&n, values, &from, &store);
    ck_assert(err == 0 || n == NULL);
    compute_narrow_release(&n, &store);
    ck_assert_uint_eq(store.used_bytes, 0);
    return err;
}

START_TEST(bytes_that_no_values_give_are_refused)
{
    uint8_t bytes[64] = {COMPUTE_EXACT_USUAL, 60, 4}; /* three digits and the last */
    const size_t size = 3 + 3 * 4 + 8;
    ck_assert_int_eq(decode_text(bytes, size, 1), 0);
    ck_assert_int_eq(decode_text(bytes, size - 1, 1), ERR_PROTOCOL);
    bytes[15] = 1; /* the last is 1: more than one value can leave */
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    ck_assert_int_eq(decode_text(bytes, size, 2), 0);
    memset(bytes + 15, 0xff, 8); /* -1 */
    ck_assert_int_eq(decode_text(bytes, size, 1), 0);
    bytes[15] = 0xfe;
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    memset(bytes + 15, 0, 8);
    bytes[22] = 0x80; /* -2^63 */
    ck_assert_int_eq(decode_text(bytes, size, INT64_MAX), ERR_PROTOCOL);
    bytes[22] = 0;
    bytes[0] = COMPUTE_EXACT_MINUS_ZERO; /* a window of nothing but -0 */
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    bytes[0] = COMPUTE_EXACT_USUAL | COMPUTE_EXACT_MINUS_ZERO;
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    bytes[0] = COMPUTE_EXACT_USUAL;
    bytes[1] = COMPUTE_EXACT_LIMBS - 4;
    ck_assert_int_eq(decode_text(bytes, size, 1), 0);
    bytes[1] = COMPUTE_EXACT_LIMBS - 3;
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    bytes[1] = 60;
    bytes[2] = 3; /* narrower than one value */
    ck_assert_int_eq(decode_text(bytes, size, 1), ERR_PROTOCOL);
    bytes[2] = 0;
    ck_assert_int_eq(decode_text(bytes, 3, 1), ERR_PROTOCOL); /* a place of nothing */
    bytes[1] = 0;
    ck_assert_int_eq(decode_text(bytes, 3, 1), 0);
    ck_assert_int_eq(decode_text(bytes, 2, 1), ERR_PROTOCOL);
}
END_TEST

START_TEST(bytes_of_any_kind_do_no_harm)
{
    struct rng rng;
    struct compute_store store = store_new();
    struct compute_exact e;
    rng_init(&rng, unit_seed("bytes_of_any_kind_do_no_harm", 1));
    for (unsigned i = 0; i < 20000; i++) {
        struct compute_narrow *sum = NULL;
        for (unsigned part = 0; part < 4; part++) {
            struct compute_narrow *n = NULL;
            uint8_t bytes[600];
            rng_fill(&rng, bytes, sizeof(bytes));
            bytes[0] = (uint8_t)(bytes[0] % 32);
            bytes[1] = (uint8_t)(bytes[1] % COMPUTE_EXACT_LIMBS);
            bytes[2] = (uint8_t)(bytes[2] % 12);
            struct bytes_reader from = bytes_reader_of(bytes_of(bytes, sizeof(bytes)));
            if (compute_narrow_decode(&n, INT64_MAX, &from, &store) == 0) {
                ck_assert_int_eq(compute_narrow_merge(&sum, n, &store), 0);
                ck_assert_int_eq(compute_narrow_merge(&n, sum, &store), 0);
                add_f64(&n, (double)part, &store);
                compute_narrow_expand(n, &e);
                compute_narrow_release(&sum, &store);
                sum = n;
            }
        }
        compute_narrow_release(&sum, &store);
    }
    ck_assert_uint_eq(store.used_bytes, 0);
}
END_TEST

START_TEST(without_memory_a_sum_is_as_before)
{
    struct alloc_budget budget;
    struct compute_store store = store_new();
    struct compute_narrow *sum = NULL;
    struct compute_narrow *other = NULL;
    struct buf a;
    struct buf b;
    add_f64(&other, 1e-300, &store);
    store.alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    add_f64(&sum, 3.5, &store);
    encode_narrow(sum, &a);
    budget.fail_at = budget.requests + 1;
    const struct compute_term far = compute_term_of_f64(1e300);
    ck_assert_int_eq(compute_narrow_add(&sum, &far, &store), ERR_NO_MEMORY);
    budget.fail_at = budget.requests + 1;
    ck_assert_int_eq(compute_narrow_merge(&sum, other, &store), ERR_NO_MEMORY);
    encode_narrow(sum, &b);
    expect_same(&a, &b);
    compute_narrow_release(&sum, &store);
    ck_assert_uint_eq(budget.used_bytes, 0);
    store.alloc = alloc_heap();
    compute_narrow_release(&other, &store);
    ck_assert_uint_eq(store.used_bytes, 0);
    buf_release(&a);
    buf_release(&b);
}
END_TEST

static size_t make_csv(struct rng *rng, char *out, size_t size)
{
    double x[60];
    const size_t count = (size_t)rng_between(rng, 1, 60);
    const uint64_t kind = rng_below(rng, VALUES_SPECIAL); /* finite ones */
    size_t used = 0;
    values_make(rng, (enum values_kind)kind, x, count);
    for (size_t i = 0; i < count; i++) {
        const unsigned key = (unsigned)rng_below(rng, 5);
        const char *bad = rng_chance(rng, 1, 100) ? "x" : ""; /* no number */
        const int wrote = snprintf(out + used, size - used, "%u,%s%.17g,%u\n", key, bad, x[i],
                                   (unsigned)rng_below(rng, 1000));
        used += (size_t)wrote;
    }
    return used;
}

/* A state of one group with such a sum of doubles. */
static struct compute_task *made_up(const struct compute_program *p, uint64_t from, uint64_t count,
                                    int64_t last)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *read = NULL;
    struct buf b;
    buf_init(&b, &heap, 4096);
    (void)buf_put_u8(&b, p->format);
    (void)buf_put_u64(&b, p->digest);
    (void)buf_put_u64(&b, from);
    (void)buf_put_u64(&b, from + 1);
    (void)buf_put_u8(&b, 0);
    (void)buf_put_u32(&b, 0); /* head */
    (void)buf_put_u64(&b, 0); /* records */
    (void)buf_put_u32(&b, 0); /* tail */
    (void)buf_put_u64(&b, 1); /* groups */
    (void)buf_put_u32(&b, 0); /* key */
    (void)buf_put_u64(&b, count);
    (void)buf_put_u64(&b, count); /* doubles */
    (void)buf_put_u64(&b, 0);
    (void)buf_put_u64(&b, 0);
    (void)buf_put_u8(&b, COMPUTE_EXACT_USUAL);
    (void)buf_put_u8(&b, COMPUTE_EXACT_LIMBS - 4);
    (void)buf_put_u8(&b, 4);
    for (unsigned i = 0; i < 3; i++) {
        (void)buf_put_u32(&b, 0);
    }
    (void)buf_put_u64(&b, (uint64_t)last);
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, buf_view(&b)), 0);
    buf_release(&b);
    return read;
}

/* Each could be; all together have more than 2^63 values, which is nobody's object. */
START_TEST(counts_that_wrap_around_are_found_out)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("lines | sum $1");
    struct compute_task *a = made_up(p, 0, INT64_MAX, -INT64_MAX);
    struct compute_task *b = made_up(p, 1, INT64_MAX, 0);
    struct compute_task *c = made_up(p, 2, 3, -1);
    struct buf out;
    buf_init(&out, &heap, 4096);
    ck_assert_int_eq(compute_task_merge(a, b), 0);
    ck_assert_int_eq(compute_task_merge(a, c), 0);
    ck_assert_int_eq(tasks_end(a, &out), ERR_CORRUPT);
    compute_task_free(b);
    compute_task_free(c);
    buf_release(&out);
    compute_program_free(p);
}
END_TEST

/* The limit is on what the values take, so it is met or not, however they are cut and joined. */
START_TEST(a_limit_of_memory_does_not_depend_on_cuts)
{
    static const char *const programs[] = {
        "csv | by $1 sum $2",
        "csv | by $1 mean $2, var $2",
        "csv | by $1 dot $2, $3, sum $3",
        "csv | sum $2, varp $2",
        "csv | sample 0.7 $3 | by $1 estimate sum $2, mean $2",
    };
    struct rng rng;
    const struct alloc heap = alloc_heap();
    unsigned refused = 0;
    rng_init(&rng, unit_seed("a_limit_of_memory_does_not_depend_on_cuts", 1));
    for (unsigned i = 0; i < 3000; i++) {
        char data[60 * 48];
        struct compute_program *p =
            tasks_program(programs[i % (sizeof(programs) / sizeof(programs[0]))]);
        const size_t size = make_csv(&rng, data, sizeof(data));
        const struct bytes all = bytes_of((const uint8_t *)data, size);
        const uint64_t memory_bytes = rng_between(&rng, 100, 6000);
        struct buf a;
        struct buf b;
        buf_init(&a, &heap, TASKS_TEXT_BYTES);
        buf_init(&b, &heap, TASKS_TEXT_BYTES);
        refused += tasks_end(tasks_span(&rng, p, memory_bytes, all, 0, size, 0), &a) != 0;
        (void)tasks_end(tasks_merged(&rng, p, memory_bytes, all, 0, size), &b);
        ck_assert_str_eq((const char *)a.data, (const char *)b.data);
        buf_release(&a);
        buf_release(&b);
        compute_program_free(p);
    }
    ck_assert_uint_gt(refused, 100);
    ck_assert_uint_lt(refused, 2900);
}
END_TEST

UNIT_MAIN("compute_narrow", it_is_the_sum_with_all_limbs_and_its_window_is_of_its_values,
          memory_is_for_what_the_values_reach, what_leaves_a_window_is_kept,
          carries_are_brought_up_before_a_limb_is_full, bytes_that_no_values_give_are_refused,
          bytes_of_any_kind_do_no_harm, without_memory_a_sum_is_as_before,
          counts_that_wrap_around_are_found_out, a_limit_of_memory_does_not_depend_on_cuts)
