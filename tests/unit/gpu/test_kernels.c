/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels against compute's plain twins, bit for bit, and the engine around them: jobs of any
 * size over lanes of few bytes, in the order that the emulated machine leaves open.
 */
#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/gpu/twins.h"
#include "tests/unit/unit.h"

#include <string.h>

#define CELL_BYTES_MAX 70000u
#define ROOM_BYTES (CELL_BYTES_MAX + 64u)
#define LEAVES_MAX 40u

static struct gpu *open_emulated(unsigned lanes)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = lanes};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    return gpu;
}

static void close_emulated(struct gpu *gpu)
{
    gpu_engine_close(gpu);
    ck_assert_uint_eq(emulated.lanes_open, 0);
}

/* Cells at any alignment: the device's in one area, the twin's in another. */
struct cells {
    uint8_t *room;
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    uint8_t *plain[GPU_RS_MAX];
};

static void cells_init(struct cells *c, struct rng *r)
{
    c->room = malloc((size_t)ROOM_BYTES * 3 * GPU_RS_MAX);
    ck_assert_ptr_nonnull(c->room);
    rng_fill(r, c->room, (size_t)ROOM_BYTES * GPU_RS_MAX);
    for (unsigned i = 0; i < GPU_RS_MAX; i++) {
        c->data[i] = c->room + (size_t)ROOM_BYTES * i + rng_below(r, 63);
        c->coded[i] = c->room + (size_t)ROOM_BYTES * (GPU_RS_MAX + i) + rng_below(r, 63);
        c->plain[i] = c->room + (size_t)ROOM_BYTES * (2 * GPU_RS_MAX + i);
    }
}

static void compare(struct gpu *gpu, struct cells *c, unsigned k, unsigned rows,
                    const uint8_t *coefficients, size_t bytes)
{
    const struct gpu_rs_job job = {.k = k,
                                   .rows = rows,
                                   .coefficients = coefficients,
                                   .data = c->data,
                                   .coded = c->coded,
                                   .bytes = bytes};
    const struct compute_rs_job twin = {
        .k = k, .rows = rows, .data = c->data, .coded = c->plain, .bytes = bytes};
    for (unsigned i = 0; i < rows; i++) {
        memset(c->coded[i], 0xa5, bytes + 1);
    }
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), 0);
    compute_rs_encode_plain(&twin, coefficients);
    for (unsigned i = 0; i < rows; i++) {
        ck_assert_msg(memcmp(c->coded[i], c->plain[i], bytes) == 0, "%u x %u, row %u, %zu bytes",
                      rows, k, i, bytes);
        ck_assert_uint_eq(c->coded[i][bytes], 0xa5);
    }
}

/* All 65,536 products, at each of a thread's 32 places. */
START_TEST(every_product_is_that_of_the_field)
{
    static GPU_ALIGN16 uint8_t data[256 * GPU_RS_COLUMN_BYTES];
    static GPU_ALIGN16 uint8_t coded[sizeof(data)];
    static struct gpu_rs_pass pass;
    uint8_t product[256];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i / 16 + i % 16);
    }
    pass = (struct gpu_rs_pass){
        .data = data, .coded = coded, .stride_bytes = sizeof(data), .k = 1, .rows = 1};
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t coefficient = (uint8_t)c;
        gpu_rs_pass_tables(&pass, &coefficient);
        for (uint64_t t = 0; t < gpu_rs_threads(&pass); t++) {
            gpu_rs_thread(&pass, 1, t);
        }
        for (unsigned v = 0; v < 256; v++) {
            product[v] = compute_gf_mul(coefficient, (uint8_t)v);
        }
        for (size_t i = 0; i < sizeof(data); i++) {
            if (coded[i] != product[data[i]]) {
                ck_abort_msg("%u * %u is not %u", c, data[i], coded[i]);
            }
        }
    }
}
END_TEST

START_TEST(passes_cover_any_number_of_rows)
{
    for (unsigned rows = 1; rows <= GPU_RS_MAX; rows++) {
        unsigned covered = 0;
        unsigned passes = 0;
        for (; covered < rows; passes++) {
            covered += gpu_rs_pass_rows(rows - covered);
        }
        ck_assert_uint_eq(covered, rows);
        ck_assert_uint_le(passes, 5);
    }
}
END_TEST

START_TEST(any_matrix_codes_as_the_plain_twin)
{
    uint8_t coefficients[GPU_RS_MAX * GPU_RS_MAX];
    struct rng r;
    struct cells c;
    rng_init(&r, unit_seed("any_matrix_codes_as_the_plain_twin", 1));
    cells_init(&c, &r);
    for (unsigned round = 0; round < 150; round++) {
        struct gpu *gpu = open_emulated((unsigned)rng_between(&r, 1, 4));
        const unsigned k = (unsigned)rng_between(&r, 1, GPU_RS_MAX);
        const unsigned rows = (unsigned)rng_between(&r, 0, GPU_RS_MAX);
        rng_fill(&r, coefficients, sizeof(coefficients));
        compare(gpu, &c, k, rows, coefficients, rng_below(&r, 500));
        close_emulated(gpu);
    }
    /* several pieces, and pieces on the same lane again */
    for (unsigned round = 0; round < 4; round++) {
        struct gpu *gpu = open_emulated((unsigned)rng_between(&r, 1, 4));
        rng_fill(&r, coefficients, sizeof(coefficients));
        compare(gpu, &c, (unsigned)rng_between(&r, 4, GPU_RS_MAX),
                (unsigned)rng_between(&r, 1, GPU_RS_MAX), coefficients,
                rng_between(&r, CELL_BYTES_MAX / 2, CELL_BYTES_MAX));
        close_emulated(gpu);
    }
    free(c.room);
}
END_TEST

START_TEST(sizes_around_columns_and_pieces_code_as_the_plain_twin)
{
    /* 4 + 2 columns of a lane */
    const size_t piece = GPU_LANE_BYTES_MIN / 6 / GPU_RS_COLUMN_BYTES * GPU_RS_COLUMN_BYTES;
    const size_t sizes[] = {0,  1,  15,        16,    17,        31,        32,
                            33, 63, piece - 1, piece, piece + 1, piece + 31};
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    struct rng r;
    struct cells c;
    rng_init(&r, unit_seed("sizes_around_columns_and_pieces_code_as_the_plain_twin", 2));
    cells_init(&c, &r);
    struct gpu *gpu = open_emulated(0);
    compute_rs_matrix(4, 2, matrix);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        compare(gpu, &c, 4, 2, matrix + 16, sizes[i]);
    }
    close_emulated(gpu);
    free(c.room);
}
END_TEST

/* Encodes by the device, loses cells, and decodes by the device: the data again. */
static void lose_and_decode(struct gpu *gpu, struct cells *c, struct rng *r, unsigned k, unsigned m)
{
    enum { BYTES = 97 };
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    uint8_t kept[GPU_RS_MAX * GPU_RS_MAX];
    uint8_t inverse[sizeof(kept)];
    const uint8_t *sources[GPU_RS_MAX];
    uint32_t left = 0;
    compute_rs_matrix(k, m, matrix);
    compare(gpu, c, k, m, matrix + (size_t)k * k, BYTES);
    for (unsigned found = 0; found < k;) {
        const unsigned shard = (unsigned)rng_below(r, k + m);
        if ((left >> shard & 1u) != 0) {
            continue;
        }
        left |= 1u << shard;
        memcpy(kept + (size_t)found * k, matrix + (size_t)shard * k, k);
        sources[found++] = shard < k ? c->data[shard] : c->coded[shard - k];
    }
    ck_assert(compute_rs_invert(kept, inverse, k));
    const struct gpu_rs_job job = {.k = k,
                                   .rows = k,
                                   .coefficients = inverse,
                                   .data = sources,
                                   .coded = c->plain,
                                   .bytes = BYTES};
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), 0);
    for (unsigned i = 0; i < k; i++) {
        ck_assert_mem_eq(c->plain[i], c->data[i], BYTES);
    }
}

START_TEST(every_code_up_to_32_decodes_what_it_encoded)
{
    struct rng r;
    struct cells c;
    rng_init(&r, unit_seed("every_code_up_to_32_decodes_what_it_encoded", 3));
    cells_init(&c, &r);
    struct gpu *gpu = open_emulated(2);
    for (unsigned k = 1; k < GPU_RS_MAX; k++) {
        for (unsigned m = 1; k + m <= GPU_RS_MAX; m++) {
            lose_and_decode(gpu, &c, &r, k, m);
        }
    }
    close_emulated(gpu);
    free(c.room);
}
END_TEST

/* A code with a kernel of its own takes it, with its own matrix only; the bits are the same. */
static void compare_known(struct cells *c, struct rng *r, unsigned k, unsigned m)
{
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    uint8_t *parity = matrix + (size_t)k * k;
    struct gpu *gpu = open_emulated(2);
    compute_rs_matrix(k, m, matrix);
    for (size_t bytes = 1; bytes < 80; bytes++) {
        compare(gpu, c, k, m, parity, bytes);
    }
    compare(gpu, c, k, m, parity, rng_between(r, CELL_BYTES_MAX / 2, CELL_BYTES_MAX));
    ck_assert_uint_ge(emulated.by_xor, 80);
    const unsigned known = emulated.by_xor;
    for (unsigned i = 0; i < m * k; i++) {
        parity[i] ^= 0x10;
        compare(gpu, c, k, m, parity, 50);
        parity[i] ^= 0x10;
    }
    compare(gpu, c, k, m - 1, parity, 50);
    ck_assert_uint_eq(emulated.by_xor, known);
    close_emulated(gpu);
}

START_TEST(codes_with_kernels_of_their_own_code_as_the_plain_twin)
{
    struct rng r;
    struct cells c;
    rng_init(&r, unit_seed("codes_with_kernels_of_their_own_code_as_the_plain_twin", 5));
    cells_init(&c, &r);
#define COMPARE(k, m) compare_known(&c, &r, k, m);
    GPU_XOR_CODES(COMPARE)
#undef COMPARE
    free(c.room);
}
END_TEST

static void probe(unsigned *count, char *why, size_t why_bytes)
{
    gpu_engine_probe(&emulated_driver, count, why, why_bytes);
}

static int open_device(struct gpu **out, unsigned device, const struct gpu_settings *settings,
                       char *why, size_t why_bytes)
{
    return gpu_engine_open(&emulated_driver, out, device, settings, why, why_bytes);
}

static const struct gpu_table table = {
    .probe = probe,
    .open = open_device,
    .close = gpu_engine_close,
    .failure = gpu_engine_failure,
    .rs = gpu_engine_rs,
    .leaf_hashes = gpu_engine_leaf_hashes,
    .sum_f64s = gpu_engine_sum_f64s,
    .reduce = gpu_engine_reduce,
    .scan = gpu_engine_scan,
    .sort = gpu_engine_sort,
    .groups = gpu_engine_groups,
};

/* What holds a device to the twins launches every kernel that there is. */
START_TEST(every_kernel_gives_the_bits_of_the_plain_twin)
{
    char said[TWINS_SAID_BYTES];
    const unsigned rows[] = {1, 2, 3, 4, GPU_RS_PASS_ROWS};
    emulated_reset();
    ck_assert_msg(
        twins_agree(&table, 0, unit_seed("every_kernel_gives_the_bits_of_the_plain_twin", 6), said),
        "%s", said);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert_msg(emulated.by_rows[rows[i]] > 0, "no pass of %u rows", rows[i]);
    }
#define LAUNCHED(k, m) ck_assert_msg(emulated.by_code[k][m] > 0, "no kernel of %u+%u", k, m);
    GPU_XOR_CODES(LAUNCHED)
#undef LAUNCHED
    ck_assert_uint_gt(emulated.by_fingers, 0);
    for (unsigned i = 0; i < EMULATED_ARRAYS; i++) {
        ck_assert_uint_gt(emulated.by_array[i], 0);
    }
    ck_assert_uint_eq(emulated.lanes_open, 0);
}
END_TEST

static struct gpu *open_one_of_two(unsigned device)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = 2 + device};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, device, &s, why, sizeof(why)), 0);
    ck_assert_uint_eq(emulated.lanes_of[device], 2 + device);
    return gpu;
}

static void take_part(void *ctx, const struct gpu_sum_part *part)
{
    (void)part;
    ++*(unsigned *)ctx;
}

static void take_rest(void *ctx, size_t from, size_t count)
{
    (void)from;
    (void)count;
    ++*(unsigned *)ctx;
}

/* Every kind of job, and some of more than one piece. The emulated machine checks at each call that
 * the current device is that of the lane. */
static void use_one_of_two(struct gpu *gpu, struct cells *c, struct rng *r)
{
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    uint8_t hashes[GPU_HASH_BYTES * (CELL_BYTES_MAX / GPU_LEAF_BYTES + 1)];
    unsigned taken = 0;
    const struct gpu_sum_sink sink = {.ctx = &taken, .part = take_part, .rest = take_rest};
    const struct gpu_rate_job job = {.kernel = GPU_KERNEL_COPY, .rounds = 2};
    struct gpu_rate rate;
    compute_rs_matrix(10, 4, matrix);
    switch (rng_below(r, 5)) {
    case 0: compare(gpu, c, 10, 4, matrix + 100, CELL_BYTES_MAX - 5); break;
    case 1: compare(gpu, c, 10, 3, matrix + 100, CELL_BYTES_MAX - 5); break;
    case 2:
        ck_assert_int_eq(gpu_engine_leaf_hashes(gpu, c->room, CELL_BYTES_MAX, hashes), 0);
        break;
    case 3:
        ck_assert_int_eq(gpu_engine_sum_f64s(gpu, c->room, CELL_BYTES_MAX, &sink), 0);
        ck_assert_uint_gt(taken, 0);
        break;
    default: ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0); break;
    }
}

START_TEST(two_devices_take_turns_in_one_thread)
{
    struct rng r;
    struct cells c;
    struct gpu *gpu[2];
    rng_init(&r, unit_seed("two_devices_take_turns_in_one_thread", 7));
    cells_init(&c, &r);
    for (unsigned first = 0; first < 2; first++) {
        emulated_reset();
        emulated.devices = 2;
        gpu[first] = open_one_of_two(first);
        gpu[1 - first] = open_one_of_two(1 - first);
        for (unsigned i = 0; i < 40; i++) {
            use_one_of_two(gpu[rng_below(&r, 2)], &c, &r);
        }
        /* the one that is not the current device */
        use_one_of_two(gpu[first], &c, &r);
        gpu_engine_close(gpu[1 - first]);
        ck_assert_uint_eq(emulated.lanes_of[1 - first], 0);
        ck_assert_uint_eq(emulated.lanes_of[first], 2 + first);
        use_one_of_two(gpu[first], &c, &r);
        close_emulated(gpu[first]);
    }
    free(c.room);
}
END_TEST

START_TEST(shapes_beyond_the_limits_are_refused)
{
    struct gpu *gpu = open_emulated(0);
    struct gpu_rs_job job = {.k = 0, .rows = 1, .bytes = 1};
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), ERR_INVALID);
    job.k = GPU_RS_MAX + 1;
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), ERR_INVALID);
    job.k = 1;
    job.rows = GPU_RS_MAX + 1;
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), ERR_INVALID);
    ck_assert_str_eq(gpu_engine_failure(gpu), "");
    close_emulated(gpu);
}
END_TEST

static void compare_hashes(struct gpu *gpu, const uint8_t *data, size_t bytes)
{
    uint8_t hashes[(LEAVES_MAX + 2) * GPU_HASH_BYTES];
    uint8_t twin[GPU_HASH_BYTES];
    const size_t leaves = (size_t)compute_leaves_of(bytes);
    ck_assert_uint_le(leaves, LEAVES_MAX);
    memset(hashes, 0xa5, sizeof(hashes));
    ck_assert_int_eq(gpu_engine_leaf_hashes(gpu, data, bytes, hashes), 0);
    for (size_t i = 0; i < leaves; i++) {
        const size_t from = i * GPU_LEAF_BYTES;
        compute_leaf_hash(data + from, NUM_MIN(bytes - from, (size_t)GPU_LEAF_BYTES), twin);
        ck_assert_msg(memcmp(hashes + i * GPU_HASH_BYTES, twin, sizeof(twin)) == 0,
                      "leaf %zu of %zu bytes", i, bytes);
    }
    ck_assert_uint_eq(hashes[leaves * GPU_HASH_BYTES], 0xa5);
}

START_TEST(leaf_hashes_are_those_of_the_plain_twin)
{
    struct rng r;
    uint8_t *data = malloc(LEAVES_MAX * GPU_LEAF_BYTES + 64);
    ck_assert_ptr_nonnull(data);
    rng_init(&r, unit_seed("leaf_hashes_are_those_of_the_plain_twin", 4));
    rng_fill(&r, data, LEAVES_MAX * GPU_LEAF_BYTES + 64);
    struct gpu *gpu = open_emulated(3);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        compare_hashes(gpu, data + bytes % 17, bytes);
    }
    for (size_t bytes = GPU_LEAF_BYTES - 70; bytes < GPU_LEAF_BYTES + 70; bytes++) {
        compare_hashes(gpu, data + bytes % 17, bytes);
    }
    for (unsigned round = 0; round < 15; round++) {
        compare_hashes(gpu, data + rng_below(&r, 64),
                       rng_between(&r, 1, LEAVES_MAX * GPU_LEAF_BYTES));
    }
    close_emulated(gpu);
    free(data);
}
END_TEST

UNIT_MAIN("gpu_kernels", every_product_is_that_of_the_field, passes_cover_any_number_of_rows,
          any_matrix_codes_as_the_plain_twin,
          sizes_around_columns_and_pieces_code_as_the_plain_twin,
          every_code_up_to_32_decodes_what_it_encoded,
          codes_with_kernels_of_their_own_code_as_the_plain_twin,
          every_kernel_gives_the_bits_of_the_plain_twin, two_devices_take_turns_in_one_thread,
          shapes_beyond_the_limits_are_refused, leaf_hashes_are_those_of_the_plain_twin)
