/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Operators over spans: bytes that do not depend on the split, records that straddle spans, what
 * has no result, and encodings that are refused. Results against an independent oracle: oracle.py.
 */
#include "tests/unit/compute/objects.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>

static uint8_t object[OBJECTS_BYTES_MAX];

static void encode(const struct compute_reduce *r, struct buf *into)
{
    const struct alloc heap = alloc_heap();
    buf_init(into, &heap, 1u << 20);
    ck_assert_int_eq(compute_reduce_encode(r, into), 0);
}

static struct compute_reduce *of_object(const struct compute_reduce_spec *s, const void *data,
                                        size_t bytes)
{
    struct compute_reduce *r = objects_new(s, 0);
    ck_assert_int_eq(compute_reduce_update(r, bytes_of(data, bytes)), 0);
    return r;
}

static int finish(const struct compute_reduce_spec *s, const void *data, size_t bytes,
                  struct compute_value *out)
{
    struct compute_reduce *r = of_object(s, data, bytes);
    const int err = compute_reduce_finish(r, out);
    compute_reduce_free(r);
    return err;
}

static const char *text(enum compute_op op, enum compute_type type, const void *data, size_t bytes)
{
    static char said[COMPUTE_VALUE_TEXT];
    const struct compute_reduce_spec s = {
        .op = op, .type = type, .record_bytes = compute_type_bytes(type)};
    struct compute_value v;
    const int err = finish(&s, data, bytes, &v);
    if (err != 0) {
        return err_name(err);
    }
    (void)compute_value_text(&v, said);
    return said;
}

START_TEST(the_state_of_a_span_is_the_same_however_it_was_put_together)
{
    struct rng r;
    rng_init(&r, unit_seed("the_state_of_a_span_is_the_same_however_it_was_put_together", 1));
    for (unsigned round = 0; round < 3000; round++) {
        const struct compute_reduce_spec s = objects_spec(&r);
        const size_t bytes =
            (size_t)rng_below(&r, rng_chance(&r, 1, 20) ? OBJECTS_BYTES_MAX : 4 * s.record_bytes);
        const size_t from = rng_chance(&r, 1, 2) ? 0 : (size_t)rng_between(&r, 0, bytes);
        objects_fill(&r, &s, object, bytes);
        struct compute_reduce *whole = objects_new(&s, from);
        struct compute_reduce *merged = objects_merged(&r, &s, object, from, bytes);
        ck_assert_int_eq(compute_reduce_update(whole, bytes_of(object + from, bytes - from)), 0);
        struct buf x;
        struct buf y;
        encode(whole, &x);
        encode(merged, &y);
        ck_assert_uint_eq(x.size, y.size);
        ck_assert_mem_eq(x.data, y.data, x.size);
        objects_recode(&whole);
        buf_clear(&y);
        ck_assert_int_eq(compute_reduce_encode(whole, &y), 0);
        ck_assert(bytes_equal(buf_view(&x), buf_view(&y)));
        buf_release(&x);
        buf_release(&y);
        compute_reduce_free(whole);
        compute_reduce_free(merged);
    }
}
END_TEST

/* Does a sum, or leaves it. */
struct host {
    struct rng rng;
    unsigned done;
    unsigned reduced;
};

static bool host_sum(void *ctx, struct compute_exact *e, const void *values, size_t count)
{
    struct host *h = ctx;
    if (rng_chance(&h->rng, 1, 2)) {
        return false;
    }
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, e, values, count);
    h->done++;
    return true;
}

static bool host_reduce(void *ctx, const struct compute_fold_job *job, struct compute_folded *out)
{
    struct host *h = ctx;
    struct compute_exact sum;
    const bool most = job->fold == COMPUTE_FOLD_MOST;
    if (rng_chance(&h->rng, 1, 2)) {
        return false;
    }
    h->reduced++;
    if (job->fold == COMPUTE_FOLD_SUM) {
        compute_exact_init(&sum);
        if (job->of == COMPUTE_SIGNED) {
            compute_exact_add_i64s_by(COMPUTE_LANES_PLAIN, &sum, job->values, job->count);
        } else {
            ck_assert_int_eq(job->of, COMPUTE_UNSIGNED);
            compute_exact_add_u64s_by(COMPUTE_LANES_PLAIN, &sum, job->values, job->count);
        }
        ck_assert_int_eq(compute_exact_to_i128(&sum, &out->sum), 0);
        return true;
    }
    for (size_t i = 0; i < job->count; i++) {
        const struct compute_range one =
            compute_range_by(COMPUTE_LANES_PLAIN, (const uint8_t *)job->values + 8 * i, 1, job->of);
        const uint64_t key = most ? one.most : one.least;
        if (i == 0 || (most ? key > out->key : key < out->key)) {
            out->key = key;
            out->place = i;
        }
    }
    return true;
}

START_TEST(what_the_host_does_or_leaves_gives_the_same_state)
{
    struct rng r;
    struct host h = {.done = 0};
    const struct compute_whole whole = {.ctx = &h, .sum_f64s = host_sum, .reduce = host_reduce};
    const struct compute_whole nothing = {.ctx = NULL};
    rng_init(&r, unit_seed("what_the_host_does_or_leaves_gives_the_same_state", 1));
    rng_init(&h.rng, rng_next(&r));
    for (unsigned round = 0; round < 1000; round++) {
        struct compute_reduce_spec s = objects_spec(&r);
        if (rng_chance(&r, 1, 2) && s.record_bytes >= 8) {
            s.type = (enum compute_type)rng_between(&r, COMPUTE_I64, COMPUTE_U64);
            s.type = rng_chance(&r, 1, 2) ? COMPUTE_F64 : s.type;
            s.field = 0;
            s.other = 0;
        }
        const size_t bytes = (size_t)rng_below(&r, OBJECTS_BYTES_MAX);
        objects_fill(&r, &s, object, bytes);
        struct compute_reduce *here = of_object(&s, object, bytes);
        struct compute_reduce *there = objects_new(&s, 0);
        const unsigned before = h.done;
        struct buf x;
        struct buf y;
        compute_reduce_use(there, rng_chance(&r, 1, 10) ? &nothing : &whole);
        ck_assert_int_eq(compute_reduce_update(there, bytes_of(object, bytes)), 0);
        encode(here, &x);
        encode(there, &y);
        ck_assert(bytes_equal(buf_view(&x), buf_view(&y)));
        ck_assert(h.done == before || s.type >= COMPUTE_F32);
        buf_release(&x);
        buf_release(&y);
        compute_reduce_free(here);
        compute_reduce_free(there);
    }
    ck_assert_uint_gt(h.done, 0);
    ck_assert_uint_gt(h.reduced, 0);
}
END_TEST

START_TEST(small_arrays_have_the_results_of_arithmetic)
{
    static const int32_t whole[] = {3, -1, 4, 1, -5};
    static const double real[] = {0.1, 0.2, 0.3};
    static const int8_t narrow[] = {-128, 127, 0};
    ck_assert_str_eq(text(COMPUTE_OP_COUNT, COMPUTE_I32, whole, sizeof(whole)), "5");
    ck_assert_str_eq(text(COMPUTE_OP_SUM, COMPUTE_I32, whole, sizeof(whole)), "2");
    ck_assert_str_eq(text(COMPUTE_OP_MIN, COMPUTE_I32, whole, sizeof(whole)), "-5");
    ck_assert_str_eq(text(COMPUTE_OP_MAX, COMPUTE_I32, whole, sizeof(whole)), "4");
    ck_assert_str_eq(text(COMPUTE_OP_MEAN, COMPUTE_I32, whole, sizeof(whole)), "0.4");
    ck_assert_str_eq(text(COMPUTE_OP_VAR, COMPUTE_I32, whole, sizeof(whole)), "12.8");
    ck_assert_str_eq(text(COMPUTE_OP_VARP, COMPUTE_I32, whole, sizeof(whole)), "10.24");
    ck_assert_str_eq(text(COMPUTE_OP_DOT, COMPUTE_I32, whole, sizeof(whole)), "52");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMIN, COMPUTE_I32, whole, sizeof(whole)), "4");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMAX, COMPUTE_I32, whole, sizeof(whole)), "2");
    ck_assert_str_eq(text(COMPUTE_OP_SUM, COMPUTE_F64, real, sizeof(real)), "0.6");
    ck_assert_str_eq(text(COMPUTE_OP_MEAN, COMPUTE_F64, real, sizeof(real)), "0.2");
    ck_assert_str_eq(text(COMPUTE_OP_MIN, COMPUTE_I8, narrow, sizeof(narrow)), "-128");
    ck_assert_str_eq(text(COMPUTE_OP_MAX, COMPUTE_U8, narrow, sizeof(narrow)), "128");
}
END_TEST

START_TEST(the_first_of_equal_records_has_the_place)
{
    static const uint16_t whole[] = {7, 2, 9, 2, 9};
    static const double real[] = {1, NAN, 0, -NAN, 5};
    static const double zeros[] = {0.0, -0.0, 0.0, -0.0};
    ck_assert_str_eq(text(COMPUTE_OP_ARGMIN, COMPUTE_U16, whole, sizeof(whole)), "1");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMAX, COMPUTE_U16, whole, sizeof(whole)), "2");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMIN, COMPUTE_F64, real, sizeof(real)), "1");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMAX, COMPUTE_F64, real, sizeof(real)), "1");
    ck_assert_str_eq(text(COMPUTE_OP_MIN, COMPUTE_F64, real, sizeof(real)), "nan");
    ck_assert_str_eq(text(COMPUTE_OP_MAX, COMPUTE_F64, real, sizeof(real)), "nan");
    ck_assert_str_eq(text(COMPUTE_OP_ARGMIN, COMPUTE_F64, zeros, sizeof(zeros)), "1");
    ck_assert_str_eq(text(COMPUTE_OP_MIN, COMPUTE_F64, zeros, sizeof(zeros)), "-0");
    ck_assert_str_eq(text(COMPUTE_OP_MAX, COMPUTE_F64, zeros, sizeof(zeros)), "0");
}
END_TEST

START_TEST(what_has_no_result_is_not_found)
{
    static const double one[] = {3};
    for (enum compute_op op = COMPUTE_OP_COUNT; op <= COMPUTE_OP_ARGMAX; op++) {
        const bool has_one = op == COMPUTE_OP_COUNT || op == COMPUTE_OP_SUM || op == COMPUTE_OP_DOT;
        ck_assert_str_eq(text(op, COMPUTE_F64, one, 0), has_one ? "0" : "NOT_FOUND");
    }
    ck_assert_str_eq(text(COMPUTE_OP_VAR, COMPUTE_F64, one, sizeof(one)), "NOT_FOUND");
    ck_assert_str_eq(text(COMPUTE_OP_VARP, COMPUTE_F64, one, sizeof(one)), "0");
}
END_TEST

START_TEST(a_whole_number_beyond_128_bits_is_an_overflow)
{
    static const uint64_t whole[] = {UINT64_MAX, UINT64_MAX};
    ck_assert_str_eq(text(COMPUTE_OP_DOT, COMPUTE_U64, whole, sizeof(whole)), "OVERFLOW");
    ck_assert_str_eq(text(COMPUTE_OP_SUM, COMPUTE_U64, whole, sizeof(whole)),
                     "36893488147419103230");
}
END_TEST

START_TEST(a_span_that_is_not_all_records_of_an_object_has_no_result)
{
    const struct compute_reduce_spec s = {
        .op = COMPUTE_OP_COUNT, .type = COMPUTE_U8, .record_bytes = 4};
    struct compute_value v;
    ck_assert_int_eq(finish(&s, "123456789", 9, &v), ERR_RANGE);
    ck_assert_int_eq(finish(&s, "12345678", 8, &v), 0);
    ck_assert_uint_eq(v.whole.low, 2);
    struct compute_reduce *r = objects_new(&s, 4);
    ck_assert_int_eq(compute_reduce_finish(r, &v), ERR_RANGE);
    compute_reduce_free(r);
}
END_TEST

START_TEST(only_spans_that_touch_and_agree_are_merged)
{
    struct compute_reduce_spec s = {.op = COMPUTE_OP_SUM, .type = COMPUTE_U8, .record_bytes = 2};
    struct compute_reduce *first = of_object(&s, "abc", 3);
    struct compute_reduce *apart = objects_new(&s, 4);
    s.field = 1;
    struct compute_reduce *other = objects_new(&s, 3);
    ck_assert_int_eq(compute_reduce_merge(first, apart), ERR_INVALID);
    ck_assert_int_eq(compute_reduce_merge(first, other), ERR_INVALID);
    compute_reduce_free(first);
    compute_reduce_free(apart);
    compute_reduce_free(other);
}
END_TEST

START_TEST(nonsense_specifications_and_offsets_are_refused)
{
    static const struct compute_reduce_spec cases[] = {
        {COMPUTE_OPS, COMPUTE_U8, 1, 0, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_TYPES, 8, 0, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 0, 0, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_F64, 7, 0, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_F64, 9, 2, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 4, UINT32_MAX, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, COMPUTE_RECORD_MAX + 1, 0, 0, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 4, 0, 1, 0, 0, 0},
        {COMPUTE_OP_DOT, COMPUTE_U8, 4, 0, 4, 0, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 4, 0, 0, 1, 0, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 4, 0, 0, 0, 1, 0},
        {COMPUTE_OP_SUM, COMPUTE_U8, 4, 0, 0, 0, 0, 1},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, 0, 0, 1},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, COMPUTE_BINS_MAX + 1, 0, 1},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, 5, 1, 1},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, 5, 0, INFINITY},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, 5, -1e308, 1e308},
        {COMPUTE_OP_HISTOGRAM, COMPUTE_U8, 4, 0, 0, 5, NAN, 1},
        {COMPUTE_OP_LOG, COMPUTE_U8, 4, 0, 0, COMPUTE_PARTS_MAX + 1, 0, 0},
        {COMPUTE_OP_QUANTILE, COMPUTE_U8, 4, 0, 0, COMPUTE_PARTS_MAX + 1, 0.5, 0},
        {COMPUTE_OP_QUANTILE, COMPUTE_U8, 4, 0, 0, 4, 1.5, 0},
        {COMPUTE_OP_QUANTILE, COMPUTE_U8, 4, 0, 0, 4, NAN, 0},
        {COMPUTE_OP_TOP, COMPUTE_U8, 4, 0, 0, 0, 0, 0},
        {COMPUTE_OP_TOP, COMPUTE_U8, 4, 0, 0, COMPUTE_TOP_MAX + 1, 0, 0},
    };
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = NULL;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(compute_reduce_new(&r, &heap, &cases[i], 0, NULL), ERR_INVALID);
    }
    const struct compute_reduce_spec s = {
        .op = COMPUTE_OP_COUNT, .type = COMPUTE_U8, .record_bytes = 1};
    ck_assert_int_eq(compute_reduce_new(&r, &heap, &s, UINT64_MAX, NULL), ERR_RANGE);
    r = objects_new(&s, (uint64_t)INT64_MAX - COMPUTE_RECORD_MAX);
    ck_assert_int_eq(compute_reduce_update(r, bytes_of("a", 1)), ERR_RANGE);
    compute_reduce_free(r);
}
END_TEST

/* The lines of a result, or the error. */
static const char *lines(const struct compute_reduce_spec *s, const void *data, size_t bytes)
{
    static char said[4096];
    const struct alloc heap = alloc_heap();
    struct buf text_of;
    buf_init(&text_of, &heap, sizeof(said) - 1);
    struct compute_reduce *r = of_object(s, data, bytes);
    const int err = compute_reduce_text(r, &text_of);
    (void)snprintf(said, sizeof(said), "%.*s", err == 0 ? (int)text_of.size : 100,
                   err == 0 ? (const char *)text_of.data : err_name(err));
    buf_release(&text_of);
    compute_reduce_free(r);
    return said;
}

START_TEST(a_number_on_an_edge_is_in_the_bin_that_begins_there)
{
    static const double values[] = {0, 0.1, 0.2, 0.30000000000000004, 0.5, -1, 1, NAN, 7};
    const struct compute_reduce_spec s = {.op = COMPUTE_OP_HISTOGRAM,
                                          .type = COMPUTE_F64,
                                          .record_bytes = 8,
                                          .count = 5,
                                          .low = 0,
                                          .high = 0.5};
    ck_assert_str_eq(lines(&s, values, sizeof(values)), "-inf,0,1\n0,0.1,1\n0.1,0.2,1\n"
                                                        "0.2,0.3,1\n0.3,0.4,1\n0.4,0.5,0\n"
                                                        "0.5,inf,3\nnan,nan,1\n");
}
END_TEST

START_TEST(bins_narrower_than_a_double_can_tell_are_empty)
{
    static const double values[] = {1, 1 + 0x1p-52, 1 + 0x1p-51};
    const struct compute_reduce_spec s = {.op = COMPUTE_OP_HISTOGRAM,
                                          .type = COMPUTE_F64,
                                          .record_bytes = 8,
                                          .count = 4,
                                          .low = 1,
                                          .high = 1 + 0x1p-51};
    /* 1 + 0x1p-53 is 1 again, and 1 + 3 * 0x1p-53 the end */
    ck_assert_str_eq(lines(&s, values, sizeof(values)),
                     "-inf,1,0\n1,1,0\n1,1.0000000000000002,1\n"
                     "1.0000000000000002,1.0000000000000004,1\n"
                     "1.0000000000000004,1.0000000000000004,0\n1.0000000000000004,inf,1\n");
}
END_TEST

START_TEST(the_greatest_numbers_come_with_their_records)
{
    static const double values[] = {1, 5, -0.0, 0.0, 5, NAN, 2};
    struct compute_reduce_spec s = {
        .op = COMPUTE_OP_TOP, .type = COMPUTE_F64, .record_bytes = 8, .count = 3};
    ck_assert_str_eq(lines(&s, values, sizeof(values)), "nan,5\n5,1\n5,4\n");
    s.count = 100;
    ck_assert_str_eq(lines(&s, values, sizeof(values)), "nan,5\n5,1\n5,4\n2,6\n1,0\n0,3\n-0,2\n");
}
END_TEST

START_TEST(a_quantile_is_near_the_number_of_its_rank)
{
    static double values[10001];
    struct compute_reduce_spec s = {
        .op = COMPUTE_OP_QUANTILE, .type = COMPUTE_F64, .record_bytes = 8, .count = 7};
    for (unsigned i = 0; i <= 10000; i++) {
        values[i] = 5000 - (double)i;
    }
    for (unsigned percent = 0; percent <= 100; percent++) {
        const double rank = floor((double)percent / 100 * 10000);
        struct compute_value v;
        s.low = (double)percent / 100;
        ck_assert_int_eq(finish(&s, values, sizeof(values), &v), 0);
        ck_assert_double_le(fabs(v.real - (rank - 5000)), fabs(rank - 5000) / 257 * (1 + 1e-12));
    }
    ck_assert_str_eq(lines(&s, values, 0), "NOT_FOUND");
    static const double greatest[] = {DBL_MAX};
    ck_assert_double_le(DBL_MAX - strtod(lines(&s, greatest, sizeof(greatest)), NULL),
                        DBL_MAX / 257);
}
END_TEST

START_TEST(distinct_numbers_are_estimated_within_four_standard_errors)
{
    static uint64_t values[200000];
    const struct compute_reduce_spec s = {
        .op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64, .record_bytes = 8};
    struct rng r;
    rng_init(&r, unit_seed("distinct_numbers_are_estimated_within_four_standard_errors", 1));
    for (size_t count = 1; count <= 200000; count *= 3) {
        struct compute_value v;
        const uint64_t base = rng_next(&r);
        for (size_t i = 0; i < count; i++) {
            values[i] = base + i / 2; /* each twice */
        }
        ck_assert_int_eq(finish(&s, values, count * sizeof(values[0]), &v), 0);
        const double there = (double)((count + 1) / 2);
        ck_assert_double_le(fabs((double)v.whole.low - there), 1 + there * 0.0325);
    }
    static const double zeros[] = {0.0, -0.0, NAN, -NAN};
    const struct compute_reduce_spec real = {
        .op = COMPUTE_OP_DISTINCT, .type = COMPUTE_F64, .record_bytes = 8};
    ck_assert_str_eq(lines(&real, zeros, sizeof(zeros)), "2\n");
    ck_assert_str_eq(lines(&real, zeros, 0), "0\n");
}
END_TEST

START_TEST(a_table_is_no_single_value_and_needs_all_of_an_object)
{
    struct compute_value v;
    struct compute_reduce_spec s = {
        .op = COMPUTE_OP_TOP, .type = COMPUTE_U16, .record_bytes = 2, .count = 3};
    ck_assert_int_eq(finish(&s, "abcd", 4, &v), ERR_INVALID);
    ck_assert_str_eq(lines(&s, "abcde", 5), "RANGE");
    ck_assert_str_eq(lines(&s, "", 0), "");
}
END_TEST

START_TEST(a_failed_allocation_leaves_nothing_behind)
{
    struct alloc_budget budget;
    const struct alloc limited = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    const struct compute_reduce_spec s = {
        .op = COMPUTE_OP_MAX, .type = COMPUTE_F32, .record_bytes = 12};
    struct compute_reduce *r = NULL;
    struct buf bytes;
    budget.fail_at = 1;
    ck_assert_int_eq(compute_reduce_new(&r, &limited, &s, 0, NULL), ERR_NO_MEMORY);
    r = objects_new(&s, 5);
    encode(r, &bytes);
    compute_reduce_free(r);
    budget.requests = 0;
    ck_assert_int_eq(compute_reduce_decode(&r, &limited, buf_view(&bytes)), ERR_NO_MEMORY);
    ck_assert_uint_eq(budget.used_bytes, 0);
    buf_release(&bytes);
}
END_TEST

/* What is accepted must be the one encoding of what it says. */
static bool accepts(struct bytes encoded)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = NULL;
    struct compute_value v;
    struct buf again;
    const int err = compute_reduce_decode(&r, &heap, encoded);
    if (err != 0) {
        ck_assert(err == ERR_PROTOCOL || err == ERR_LEVEL);
        return false;
    }
    encode(r, &again);
    ck_assert(bytes_equal(buf_view(&again), encoded));
    (void)compute_reduce_finish(r, &v);
    buf_release(&again);
    compute_reduce_free(r);
    return true;
}

START_TEST(damaged_encodings_are_refused_or_canonical)
{
    struct rng r;
    unsigned refused = 0;
    rng_init(&r, unit_seed("damaged_encodings_are_refused_or_canonical", 1));
    for (unsigned round = 0; round < 2000; round++) {
        const struct compute_reduce_spec s = objects_spec(&r);
        const size_t bytes = (size_t)rng_below(&r, 300);
        const size_t from = (size_t)rng_between(&r, 0, bytes);
        struct buf encoded;
        objects_fill(&r, &s, object, bytes);
        struct compute_reduce *state = objects_span(&r, &s, object, from, bytes);
        encode(state, &encoded);
        compute_reduce_free(state);
        ck_assert(accepts(buf_view(&encoded)));
        ck_assert(!accepts(bytes_of(encoded.data, (size_t)rng_below(&r, encoded.size))));
        encoded.data[rng_below(&r, encoded.size)] ^= (uint8_t)(1u << rng_below(&r, 8));
        refused += !accepts(buf_view(&encoded));
        buf_release(&encoded);
    }
    ck_assert_uint_gt(refused, 500);
}
END_TEST

/* The sums of floats, said to be of whole numbers. */
START_TEST(a_fraction_as_the_sum_of_whole_numbers_is_refused)
{
    static const enum compute_op ops[] = {COMPUTE_OP_SUM, COMPUTE_OP_MEAN, COMPUTE_OP_VAR,
                                          COMPUTE_OP_VARP, COMPUTE_OP_DOT};
    static const double sums[] = {0.5, NAN, INFINITY, 3};
    const struct alloc heap = alloc_heap();
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]) * 4; i++) {
        const struct compute_reduce_spec s = {
            .op = ops[i / 4], .type = COMPUTE_F64, .record_bytes = 8};
        struct compute_reduce *r = of_object(&s, &sums[i % 4], sizeof(sums[0]));
        struct buf encoded;
        encode(r, &encoded);
        compute_reduce_free(r);
        encoded.data[2] = COMPUTE_I64;
        const int err = compute_reduce_decode(&r, &heap, buf_view(&encoded));
        ck_assert_int_eq(err, i % 4 == 3 ? 0 : ERR_PROTOCOL);
        if (err == 0) {
            compute_reduce_free(r);
        }
        buf_release(&encoded);
    }
}
END_TEST

START_TEST(a_later_format_is_told_apart_from_nonsense)
{
    const struct compute_reduce_spec s = {
        .op = COMPUTE_OP_SUM, .type = COMPUTE_F32, .record_bytes = 12};
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = objects_new(&s, 5);
    struct buf encoded;
    encode(r, &encoded);
    compute_reduce_free(r);
    encoded.data[0] = COMPUTE_REDUCE_FORMAT + 1;
    ck_assert_int_eq(compute_reduce_decode(&r, &heap, buf_view(&encoded)), ERR_LEVEL);
    encoded.data[0] = 0;
    ck_assert_int_eq(compute_reduce_decode(&r, &heap, buf_view(&encoded)), ERR_PROTOCOL);
    buf_release(&encoded);
}
END_TEST

/* --- many numbers --- */

#define NUMBERS 20000u

static void state_of(const struct compute_reduce_spec *s, const uint8_t *data, size_t piece,
                     struct buf *into)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = objects_new(s, 0);
    const size_t bytes = NUMBERS * sizeof(double);
    buf_init(into, &heap, SIZE_MAX);
    for (size_t at = 0; at < bytes; at += piece) {
        const struct bytes part = bytes_of(data + at, NUM_MIN(piece, bytes - at));
        ck_assert_int_eq(compute_reduce_update(r, part), 0);
    }
    ck_assert_int_eq(compute_reduce_encode(r, into), 0);
    compute_reduce_free(r);
}

static struct compute_reduce_spec any_spec(struct rng *r, enum compute_op op)
{
    struct compute_reduce_spec s = {.op = op, .record_bytes = 8};
    const uint64_t type = rng_below(r, 4);
    s.type = type == 0 ? COMPUTE_I64 : type == 1 ? COMPUTE_U64 : COMPUTE_F64;
    switch (op) {
    case COMPUTE_OP_HISTOGRAM:
        s.count = 1 + (uint32_t)rng_below(r, 3000);
        s.low = -1000;
        s.high = 1000;
        break;
    case COMPUTE_OP_LOG:
    case COMPUTE_OP_QUANTILE: s.count = (uint32_t)rng_below(r, 9); break;
    case COMPUTE_OP_TOP: s.count = 1 + (uint32_t)rng_below(r, 200); break;
    default: break;
    }
    return s;
}

/* About the edges of a histogram, of any size, or not finite. */
static double any_number(struct rng *r)
{
    const uint64_t bits = rng_next(r);
    double any;
    memcpy(&any, &bits, sizeof(any));
    switch (rng_below(r, 5)) {
    case 0: return (double)rng_below(r, 2100) - 1050;
    case 1: return nextafter((double)rng_below(r, 2100) - 1050, 0);
    case 2: return rng_chance(r, 1, 50) ? any : -0.0;
    default: return ((double)rng_below(r, 1u << 30) - 0x1p29) / 0x1p18;
    }
}

START_TEST(many_numbers_at_once_give_the_state_of_one_at_a_time)
{
    static uint8_t data[NUMBERS * sizeof(double) + 8];
    struct rng r;
    rng_init(&r, unit_seed("many_numbers_at_once_give_the_state_of_one_at_a_time", 1));
    for (unsigned round = 0; round < 6 * COMPUTE_OPS; round++) {
        const struct compute_reduce_spec s = any_spec(&r, (enum compute_op)(round % COMPUTE_OPS));
        struct buf whole;
        struct buf single;
        for (size_t i = 0; i < NUMBERS; i++) {
            const double real = any_number(&r);
            const uint64_t number = rng_below(&r, 3000) - 1500;
            memcpy(data + 1 + i * 8, s.type == COMPUTE_F64 ? (const void *)&real : &number, 8);
        }
        state_of(&s, data + 1, NUMBERS * sizeof(double), &whole);
        state_of(&s, data + 1, 8, &single);
        ck_assert_msg(bytes_equal(buf_view(&whole), buf_view(&single)), "%s",
                      compute_op_name(s.op));
        buf_release(&whole);
        buf_release(&single);
    }
}
END_TEST

UNIT_MAIN("compute_reduce", many_numbers_at_once_give_the_state_of_one_at_a_time,
          the_state_of_a_span_is_the_same_however_it_was_put_together,
          what_the_host_does_or_leaves_gives_the_same_state,
          small_arrays_have_the_results_of_arithmetic, the_first_of_equal_records_has_the_place,
          what_has_no_result_is_not_found, a_whole_number_beyond_128_bits_is_an_overflow,
          a_span_that_is_not_all_records_of_an_object_has_no_result,
          only_spans_that_touch_and_agree_are_merged,
          nonsense_specifications_and_offsets_are_refused,
          a_number_on_an_edge_is_in_the_bin_that_begins_there,
          bins_narrower_than_a_double_can_tell_are_empty,
          the_greatest_numbers_come_with_their_records, a_quantile_is_near_the_number_of_its_rank,
          distinct_numbers_are_estimated_within_four_standard_errors,
          a_table_is_no_single_value_and_needs_all_of_an_object,
          a_failed_allocation_leaves_nothing_behind, damaged_encodings_are_refused_or_canonical,
          a_fraction_as_the_sum_of_whole_numbers_is_refused,
          a_later_format_is_told_apart_from_nonsense)
