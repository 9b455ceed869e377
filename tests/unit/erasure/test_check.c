/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Coding with a kernel that makes errors: each is found, the job is done again, and what comes out
 * has the right bits. Prints its seed.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "erasure/erasure.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ERRORS 10000u
#define CELL_BYTES_MAX 2500u

enum harm {
    HARM_BIT,
    HARM_BURST, /* within 32 bytes */
    HARM_ROW,   /* 32 bytes that begin at a multiple of 32 */
    HARM_ZEROS, /* a whole result */
    HARM_SWAP,  /* two results */
    HARM_STALE, /* a result that was not written */
    HARM_COUNT,
};

/* A kernel that does it right, but for one error. */
struct faulty {
    struct rng r;
    unsigned left; /* calls until the error */
    bool always;   /* each call has one */
    enum harm harm;
    unsigned done; /* errors made: those that changed something */
    unsigned calls;
};

static void harm_bytes(struct faulty *f, uint8_t *cell, size_t bytes)
{
    size_t at = rng_below(&f->r, bytes);
    size_t count = rng_between(&f->r, 1, 32);
    switch (f->harm) {
    case HARM_BIT: cell[at] = (uint8_t)(cell[at] ^ 1u << rng_below(&f->r, 8)); return;
    case HARM_ROW:
        at = at / 32 * 32;
        count = 32;
        break;
    case HARM_ZEROS: memset(cell, 0, bytes); return;
    default: break;
    }
    count = NUM_MIN(count, bytes - at);
    for (size_t i = 0; i < count; i++) {
        cell[at + i] = (uint8_t)(cell[at + i] ^ rng_between(&f->r, i == 0 ? 1 : 0, 255));
    }
}

static void harm_job(struct faulty *f, const struct compute_rs_job *job, uint8_t *before)
{
    const unsigned row = (unsigned)rng_below(&f->r, job->rows);
    const unsigned other = (row + 1) % job->rows;
    uint8_t *cell = job->coded[row];
    uint8_t was[CELL_BYTES_MAX];
    ck_assert_uint_le(job->bytes, sizeof was);
    memcpy(was, cell, job->bytes);
    if (f->harm == HARM_SWAP && job->rows > 1) {
        memcpy(cell, job->coded[other], job->bytes);
        memcpy(job->coded[other], was, job->bytes);
    } else if (f->harm == HARM_STALE) {
        memcpy(cell, before + row * CELL_BYTES_MAX, job->bytes);
    } else {
        harm_bytes(f, cell, job->bytes);
    }
    f->done += memcmp(was, cell, job->bytes) != 0;
}

static void faulty_run(void *ctx, const struct compute_rs_job *job)
{
    struct faulty *f = ctx;
    uint8_t *before = malloc((size_t)ERASURE_SHARDS_MAX * CELL_BYTES_MAX);
    ck_assert_ptr_nonnull(before);
    for (unsigned i = 0; i < job->rows; i++) {
        memcpy(before + i * CELL_BYTES_MAX, job->coded[i], job->bytes);
    }
    compute_rs_encode(job);
    f->calls++;
    if (f->always || (f->left > 0 && --f->left == 0)) {
        harm_job(f, job, before);
    }
    free(before);
}

/* A stripe, its parity as it has to be, and room for what a job makes. */
struct stripe {
    unsigned k;
    unsigned m;
    size_t coded_bytes;
    struct bytes cell[ERASURE_SHARDS_MAX];
    uint8_t *room; /* data and right parity, then what is made */
};

static uint8_t *at(const struct stripe *s, unsigned i)
{
    return s->room + (size_t)i * CELL_BYTES_MAX;
}

static void stripe_init(struct stripe *s, struct rng *r)
{
    uint8_t matrix[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX];
    const uint8_t *data[ERASURE_SHARDS_MAX];
    uint8_t *parity[ERASURE_SHARDS_MAX];
    const size_t room = (size_t)2 * ERASURE_SHARDS_MAX * CELL_BYTES_MAX;
    s->k = (unsigned)rng_between(r, 1, 8);
    s->m = (unsigned)rng_between(r, 1, 4);
    s->coded_bytes = rng_between(r, 1, CELL_BYTES_MAX);
    s->room = calloc(1, room);
    ck_assert_ptr_nonnull(s->room);
    memset(s->room + room / 2, (int)rng_below(r, 256), room / 2);
    for (unsigned i = 0; i < s->k + s->m; i++) {
        const bool last = i == s->k - 1 && s->k > 1; /* may be short, or empty */
        const size_t bytes = last ? rng_below(r, s->coded_bytes + 1) : s->coded_bytes;
        if (i < s->k) {
            rng_fill(r, at(s, i), bytes);
            data[i] = at(s, i);
        } else {
            parity[i - s->k] = at(s, i);
        }
        s->cell[i] = bytes_of(at(s, i), bytes);
    }
    compute_rs_matrix(s->k, s->m, matrix);
    const struct compute_rs_job job = {
        .k = s->k, .rows = s->m, .data = data, .coded = parity, .bytes = s->coded_bytes};
    compute_rs_encode_plain(&job, matrix + (size_t)s->k * s->k);
}

static uint32_t some_shards(struct rng *r, const struct stripe *s)
{
    uint32_t set = 0;
    const unsigned count = (unsigned)rng_between(r, 1, s->m);
    while ((unsigned)__builtin_popcount(set) < count) {
        set |= 1u << rng_below(r, s->k + s->m);
    }
    return set;
}

/* One encoding or decoding with one error. returns: shards that were found wrong. */
static uint32_t job_with_error(struct faulty *f, struct rng *r, bool decode)
{
    const struct alloc heap = alloc_heap();
    const struct erasure_kernel kernel = {.ctx = f, .run = faulty_run};
    struct erasure_code *code = NULL;
    struct erasure_plan plan;
    struct erasure_check check;
    struct stripe s;
    uint8_t *out[ERASURE_SHARDS_MAX];
    stripe_init(&s, r);
    const struct erasure_scheme scheme = {(uint8_t)s.k, (uint8_t)s.m};
    const uint32_t all = (1u << (s.k + s.m)) - 1;
    const uint32_t lost = decode ? some_shards(r, &s) : all & ~((1u << s.k) - 1);
    ck_assert_int_eq(erasure_code_new_with(&code, &heap, scheme, kernel), 0);
    for (unsigned i = 0; i < s.k + s.m; i++) {
        out[i] = at(&s, ERASURE_SHARDS_MAX + i);
    }
    /* a short cell splits a job into two calls */
    f->left = (unsigned)rng_between(r, 1, s.cell[s.k - 1].size % s.coded_bytes == 0 ? 1 : 2);
    if (decode) {
        ck_assert_int_eq(erasure_plan_make(code, all & ~lost, lost, &plan), 0);
        f->left = (lost >> (s.k - 1) & 1u) != 0 ? 1 : f->left;
        ck_assert_int_eq(erasure_decode(&plan, s.cell, out, s.coded_bytes, &check), 0);
    } else {
        ck_assert_int_eq(erasure_encode(code, s.cell, out + s.k, s.coded_bytes, &check), 0);
    }
    for (unsigned i = 0; i < s.k + s.m; i++) {
        struct erasure_finger finger;
        erasure_finger_of(s.cell[i], &finger);
        if ((lost >> i & 1u) != 0) {
            ck_assert_mem_eq(out[i], at(&s, i), s.coded_bytes);
        }
        const bool known = (lost >> i & 1u) != 0 || (decode ? plan.sources >> i & 1u : i < s.k);
        ck_assert(!known || memcmp(&finger, &check.finger[i], sizeof finger) == 0);
    }
    ck_assert_uint_eq(check.wrong & ~lost, 0);
    free(s.room);
    erasure_code_free(code);
    return check.wrong;
}

static void errors_of(bool decode, uint64_t seed)
{
    struct rng r;
    struct faulty f = {.harm = HARM_BIT};
    unsigned found = 0;
    unsigned bits = 0;
    (void)printf("%s, seed %llu\n", decode ? "decode" : "encode", (unsigned long long)seed);
    rng_init(&r, seed);
    rng_init(&f.r, seed + 1);
    while (bits < ERRORS || f.done < 2 * ERRORS) {
        const unsigned before = f.done;
        f.harm = bits < ERRORS ? HARM_BIT : (enum harm)rng_below(&r, HARM_COUNT);
        const uint32_t wrong = job_with_error(&f, &r, decode);
        ck_assert_uint_eq(wrong != 0, f.done != before);
        found += wrong != 0;
        bits += f.harm == HARM_BIT && wrong != 0;
    }
    ck_assert_uint_ge(bits, ERRORS);
    ck_assert_uint_eq(found, f.done);
    (void)printf("%u of %u errors found, %u of them single bits\n", found, f.done, bits);
}

START_TEST(ten_thousand_flipped_bits_of_encoding_are_found_and_as_many_other_errors)
{
    errors_of(false, 281);
}
END_TEST

START_TEST(ten_thousand_flipped_bits_of_decoding_are_found_and_as_many_other_errors)
{
    errors_of(true, 282);
}
END_TEST

/* What is made again is not made by the kernel. */
START_TEST(a_kernel_that_errs_in_each_call_changes_no_result)
{
    struct rng r;
    struct faulty f = {.harm = HARM_BIT, .always = true};
    rng_init(&r, 286);
    rng_init(&f.r, 287);
    for (unsigned round = 0; round < 400; round++) {
        const unsigned calls = f.calls;
        ck_assert_uint_ne(job_with_error(&f, &r, round % 2 == 0), 0);
        ck_assert_uint_le(f.calls, calls + 2);
    }
}
END_TEST

#define LONG_BYTES 70000u /* several columns of any code */

static void flipping_run(void *ctx, const struct compute_rs_job *job)
{
    struct faulty *f = ctx;
    compute_rs_encode(job);
    f->calls++;
    if (f->left > 0 && --f->left == 0) {
        harm_bytes(f, job->coded[rng_below(&f->r, job->rows)], job->bytes);
    }
}

/* Cells of several columns, the last one short or empty: a bit in any call for any of them. */
START_TEST(a_flipped_bit_in_any_column_of_long_cells_is_found)
{
    struct rng r;
    struct faulty f = {.harm = HARM_BIT};
    const struct alloc heap = alloc_heap();
    const struct erasure_kernel kernel = {.ctx = &f, .run = flipping_run};
    uint8_t *data = malloc((size_t)6 * LONG_BYTES);
    ck_assert_ptr_nonnull(data);
    rng_init(&r, 288);
    rng_init(&f.r, 289);
    rng_fill(&r, data, (size_t)3 * LONG_BYTES);
    for (unsigned round = 0; round < 300; round++) {
        struct erasure_code *code = NULL;
        struct erasure_check check;
        struct bytes cells[3];
        uint8_t *parity[3];
        const size_t bytes = rng_between(&r, LONG_BYTES / 2, LONG_BYTES);
        for (unsigned i = 0; i < 3; i++) {
            const size_t most = i < 2 ? bytes : rng_below(&r, bytes + 1);
            cells[i] = bytes_of(data + (size_t)i * LONG_BYTES, round % 3 == 0 && i == 2 ? 0 : most);
            parity[i] = data + (size_t)(3 + i) * LONG_BYTES;
        }
        ck_assert_int_eq(erasure_code_new_with(&code, &heap, (struct erasure_scheme){3, 3}, kernel),
                         0);
        const unsigned calls = f.calls;
        ck_assert_int_eq(erasure_encode(code, cells, parity, bytes, &check), 0);
        ck_assert_uint_eq(check.wrong, 0);
        ck_assert_uint_gt(f.calls, calls + 1);
        f.left = (unsigned)rng_between(&r, 1, f.calls - calls);
        ck_assert_int_eq(erasure_encode(code, cells, parity, bytes, &check), 0);
        ck_assert_uint_ne(check.wrong, 0);
        erasure_code_free(code);
    }
    free(data);
}
END_TEST

static void wrong_always(void *ctx, const struct compute_rs_job *job)
{
    (void)ctx;
    compute_rs_encode(job);
    job->coded[0][0] ^= 1;
}

START_TEST(a_job_that_is_wrong_twice_is_an_error)
{
    static uint8_t cell[3][4096];
    const struct alloc heap = alloc_heap();
    const struct erasure_kernel kernel = {.run = wrong_always, .again = wrong_always};
    struct erasure_code *code = NULL;
    struct erasure_plan plan;
    struct erasure_check check;
    struct bytes cells[3];
    uint8_t *out[3] = {cell[0], cell[1], cell[2]};
    for (unsigned i = 0; i < 3; i++) {
        cells[i] = bytes_of(cell[i], sizeof cell[i]);
    }
    ck_assert_int_eq(erasure_code_new_with(&code, &heap, (struct erasure_scheme){2, 1}, kernel), 0);
    ck_assert_int_eq(erasure_encode(code, cells, out + 2, sizeof cell[2], &check), ERR_CORRUPT);
    ck_assert_uint_eq(check.wrong, 1u << 2);
    ck_assert_int_eq(erasure_plan_make(code, 6, 1, &plan), 0);
    ck_assert_int_eq(erasure_decode(&plan, cells, out, sizeof cell[0], &check), ERR_CORRUPT);
    ck_assert_uint_eq(check.wrong, 1u);
    erasure_code_free(code);
}
END_TEST

START_TEST(a_kernel_without_errors_is_asked_once)
{
    struct rng r;
    struct faulty f = {0};
    rng_init(&r, 283);
    for (unsigned round = 0; round < 200; round++) {
        const unsigned calls = f.calls;
        struct stripe s;
        struct erasure_check check;
        struct erasure_code *code = NULL;
        const struct alloc heap = alloc_heap();
        const struct erasure_kernel kernel = {.ctx = &f, .run = faulty_run};
        uint8_t *out[ERASURE_SHARDS_MAX];
        stripe_init(&s, &r);
        const struct erasure_scheme scheme = {(uint8_t)s.k, (uint8_t)s.m};
        ck_assert_int_eq(erasure_code_new_with(&code, &heap, scheme, kernel), 0);
        for (unsigned i = 0; i < s.m; i++) {
            out[i] = at(&s, ERASURE_SHARDS_MAX + i);
        }
        ck_assert_int_eq(erasure_encode(code, s.cell, out, s.coded_bytes, &check), 0);
        ck_assert_uint_eq(check.wrong, 0);
        ck_assert_uint_le(f.calls, calls + 2);
        free(s.room);
        erasure_code_free(code);
    }
}
END_TEST

/* Two results in one place: whatever is made first is gone. */
START_TEST(what_is_wrong_after_the_plain_twin_is_refused)
{
    struct rng r;
    const struct alloc heap = alloc_heap();
    struct erasure_code *code = NULL;
    struct erasure_check check;
    uint8_t data[2][1000];
    uint8_t same[1000];
    uint8_t *const parity[2] = {same, same};
    const struct bytes cells[2] = {bytes_of(data[0], 1000), bytes_of(data[1], 1000)};
    rng_init(&r, 285);
    rng_fill(&r, data, sizeof data);
    ck_assert_int_eq(erasure_code_new(&code, &heap, (struct erasure_scheme){2, 2}), 0);
    ck_assert_int_eq(erasure_encode(code, cells, parity, 1000, &check), ERR_CORRUPT);
    ck_assert_uint_ne(check.wrong, 0);
    erasure_code_free(code);
}
END_TEST

START_TEST(without_parity_there_are_fingerprints_alone)
{
    struct rng r;
    const struct alloc heap = alloc_heap();
    struct erasure_code *code = NULL;
    struct erasure_check check;
    struct erasure_finger finger;
    uint8_t data[3][2000];
    struct bytes cells[3];
    rng_init(&r, 284);
    rng_fill(&r, data, sizeof data);
    ck_assert_int_eq(erasure_code_new(&code, &heap, (struct erasure_scheme){3, 0}), 0);
    for (unsigned i = 0; i < 3; i++) {
        cells[i] = bytes_of(data[i], i == 2 ? 5 : 2000);
    }
    ck_assert_int_eq(erasure_encode(code, cells, NULL, 2000, &check), 0);
    for (unsigned i = 0; i < 3; i++) {
        erasure_finger_of(cells[i], &finger);
        ck_assert_mem_eq(&finger, &check.finger[i], sizeof finger);
    }
    erasure_code_free(code);
}
END_TEST

/* What a record of fingerprints tells of parity that was stored with a bit flipped. */
START_TEST(ten_thousand_flipped_bits_of_parity_do_not_follow_from_its_data)
{
    struct rng r;
    const struct alloc heap = alloc_heap();
    unsigned flipped = 0;
    (void)printf("parity, seed 290\n");
    rng_init(&r, 290);
    while (flipped < ERRORS) {
        struct stripe s;
        struct erasure_code *code = NULL;
        struct erasure_finger data[ERASURE_SHARDS_MAX];
        struct erasure_finger due;
        struct erasure_finger is;
        stripe_init(&s, &r);
        const struct erasure_scheme scheme = {(uint8_t)s.k, (uint8_t)s.m};
        ck_assert_int_eq(erasure_code_new(&code, &heap, scheme), 0);
        for (unsigned i = 0; i < s.k; i++) {
            erasure_finger_of(s.cell[i], &data[i]);
        }
        for (unsigned i = 0; i < s.k + s.m; i++) {
            erasure_finger_follow(code, data, i, &due);
            erasure_finger_of(s.cell[i], &is);
            ck_assert_mem_eq(&due, &is, sizeof is);
        }
        for (unsigned i = 0; i < 20; i++, flipped++) {
            const unsigned shard = (unsigned)rng_between(&r, s.k, s.k + s.m - 1);
            uint8_t *byte = at(&s, shard) + rng_below(&r, s.coded_bytes);
            const uint8_t was = *byte;
            *byte = (uint8_t)(was ^ 1u << rng_below(&r, 8));
            erasure_finger_follow(code, data, shard, &due);
            erasure_finger_of(s.cell[shard], &is);
            ck_assert_mem_ne(&due, &is, sizeof is);
            *byte = was;
        }
        free(s.room);
        erasure_code_free(code);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("erasure_check");
    TCase *tests = tcase_create("check");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, ten_thousand_flipped_bits_of_encoding_are_found_and_as_many_other_errors);
    tcase_add_test(tests, ten_thousand_flipped_bits_of_decoding_are_found_and_as_many_other_errors);
    tcase_add_test(tests, a_kernel_that_errs_in_each_call_changes_no_result);
    tcase_add_test(tests, a_flipped_bit_in_any_column_of_long_cells_is_found);
    tcase_add_test(tests, a_kernel_without_errors_is_asked_once);
    tcase_add_test(tests, a_job_that_is_wrong_twice_is_an_error);
    tcase_add_test(tests, what_is_wrong_after_the_plain_twin_is_refused);
    tcase_add_test(tests, without_parity_there_are_fingerprints_alone);
    tcase_add_test(tests, ten_thousand_flipped_bits_of_parity_do_not_follow_from_its_data);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
