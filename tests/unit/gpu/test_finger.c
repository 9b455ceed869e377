/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints by a device: those of the plain twin, of whatever a job reads and makes.
 */
#include "compute/finger.h"

#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "gpu/engine_finger_internal.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TILE ((size_t)GPU_FINGER_TILE_BYTES)
#define CELL_BYTES_MAX 300000u
#define CELLS_MAX 6u
#define FINGERS_MAX (2u * GPU_RS_MAX)
#define UNTOUCHED 0xa5

_Static_assert(GPU_FINGER_BYTES == COMPUTE_FINGER_BYTES, "one kind of fingerprints");

static uint8_t room[2 * CELLS_MAX][CELL_BYTES_MAX + 64];
static uint8_t fingers[FINGERS_MAX * GPU_FINGER_BYTES + 1];

static struct gpu *open_emulated(unsigned lanes)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = lanes};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    return gpu;
}

static void expect_finger(const uint8_t *finger, const uint8_t *data, size_t bytes)
{
    struct compute_finger f;
    uint8_t twin[COMPUTE_FINGER_BYTES];
    compute_finger_init_by(&f, COMPUTE_FINGER_PLAIN);
    compute_finger_add(&f, data, bytes);
    compute_finger_end(&f, twin);
    ck_assert_mem_eq(finger, twin, sizeof(twin));
}

/* Codes k random cells into rows, at any alignment, and compares the fingerprints of all. */
static void compare(struct gpu *gpu, struct rng *r, unsigned k, unsigned rows, size_t bytes)
{
    const uint8_t *data[CELLS_MAX];
    uint8_t *coded[CELLS_MAX];
    uint8_t coefficients[CELLS_MAX * CELLS_MAX];
    const size_t last = (size_t)(k + rows) * GPU_FINGER_BYTES;
    rng_fill(r, coefficients, sizeof(coefficients));
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        uint8_t *at = room[i] + rng_below(r, 64);
        rng_fill(r, at, bytes);
        data[i] = at;
        coded[i] = room[CELLS_MAX + i] + rng_below(r, 64);
    }
    memset(fingers, UNTOUCHED, sizeof(fingers));
    const struct gpu_rs_job job = {.k = k,
                                   .rows = rows,
                                   .coefficients = coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = bytes,
                                   .fingers = fingers};
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), 0);
    for (unsigned i = 0; i < k; i++) {
        expect_finger(fingers + (size_t)i * GPU_FINGER_BYTES, data[i], bytes);
    }
    for (unsigned i = 0; i < rows; i++) {
        expect_finger(fingers + (size_t)(k + i) * GPU_FINGER_BYTES, coded[i], bytes);
    }
    ck_assert_uint_eq(fingers[last], UNTOUCHED);
}

START_TEST(cells_of_any_size_have_the_fingerprints_of_the_plain_twin)
{
    struct rng r;
    rng_init(&r, unit_seed("cells_of_any_size_have_the_fingerprints_of_the_plain_twin", 1));
    struct gpu *gpu = open_emulated(3);
    for (size_t bytes = 0; bytes < 200; bytes++) {
        compare(gpu, &r, 1 + (unsigned)rng_below(&r, CELLS_MAX),
                (unsigned)rng_below(&r, CELLS_MAX + 1), bytes);
    }
    for (unsigned round = 0; round < 40; round++) {
        compare(gpu, &r, 1 + (unsigned)rng_below(&r, CELLS_MAX),
                (unsigned)rng_below(&r, CELLS_MAX + 1),
                rng_below(&r, round % 2 == 0 ? 3 * TILE : CELL_BYTES_MAX));
    }
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(sizes_around_tiles_and_pieces_have_the_fingerprints_of_the_plain_twin)
{
    const size_t piece1 = gpu_finger_fit(GPU_LANE_BYTES_MIN);
    const size_t piece3 = gpu_finger_fit(GPU_LANE_BYTES_MIN / 3);
    const size_t edges[] = {
        32 * GPU_FINGER_APART, TILE, 2 * TILE, 3 * TILE, piece1, piece3, 2 * piece3,
        255 * GPU_FINGER_BYTES};
    struct rng r;
    rng_init(&r, unit_seed("sizes_around_tiles_and_pieces_have_the_fingerprints", 2));
    for (unsigned lanes = 1; lanes <= 4; lanes++) {
        struct gpu *gpu = open_emulated(lanes);
        for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
            for (size_t off = 0; off < 3; off++) {
                compare(gpu, &r, 1, 0, edges[i] + off - 1);
                compare(gpu, &r, 2, 1, edges[i] + off - 1);
            }
        }
        gpu_engine_close(gpu);
    }
}
END_TEST

/* The fingerprint of one byte at any place is that byte times its weight: every weight, and every
 * summand of the kernel, counts. */
START_TEST(every_row_has_the_weight_of_its_place)
{
    struct gpu *gpu = open_emulated(1);
    memset(room[0], 0, sizeof(room[0]));
    const uint8_t *const data[1] = {room[0]};
    for (size_t at = 0; at < 2 * TILE + 64; at += GPU_FINGER_BYTES + 1) {
        const struct gpu_rs_job job = {
            .k = 1, .data = data, .bytes = 2 * TILE + 64, .fingers = fingers};
        room[0][at] = (uint8_t)(1 + at % 255);
        ck_assert_int_eq(gpu_engine_rs(gpu, &job), 0);
        expect_finger(fingers, room[0], job.bytes);
        room[0][at] = 0;
    }
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(a_column_that_fits_leaves_no_whole_row_of_room)
{
    for (size_t bytes = GPU_LANE_BYTES_MIN / FINGERS_MAX; bytes < 5 * TILE; bytes += 13) {
        const size_t fits = gpu_finger_fit(bytes);
        const struct gpu_finger_pass pass = gpu_finger_pass_of(room[0], 1, fits);
        const size_t taken = (size_t)(pass.parts - room[0]) +
                             (size_t)(gpu_finger_tiles(&pass) * GPU_FINGER_PART_BYTES);
        const struct gpu_finger_pass more = gpu_finger_pass_of(room[0], 1, fits + GPU_FINGER_BYTES);
        const size_t too_much = (size_t)(more.parts - room[0]) +
                                (size_t)(gpu_finger_tiles(&more) * GPU_FINGER_PART_BYTES);
        ck_assert_uint_eq(fits % GPU_FINGER_BYTES, 0);
        ck_assert_uint_le(taken, bytes);
        ck_assert_uint_gt(too_much, bytes);
    }
}
END_TEST

START_TEST(a_code_of_the_most_cells_has_all_fingerprints)
{
    enum { BYTES = 9000 };
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    uint8_t coefficients[GPU_RS_MAX * GPU_RS_MAX];
    struct rng r;
    rng_init(&r, unit_seed("a_code_of_the_most_cells_has_all_fingerprints", 3));
    rng_fill(&r, room, sizeof(room));
    rng_fill(&r, coefficients, sizeof(coefficients));
    for (unsigned i = 0; i < GPU_RS_MAX; i++) {
        data[i] = room[0] + (size_t)i * BYTES;
        coded[i] = room[CELLS_MAX] + (size_t)i * BYTES;
    }
    struct gpu *gpu = open_emulated(2);
    const struct gpu_rs_job job = {.k = GPU_RS_MAX,
                                   .rows = GPU_RS_MAX,
                                   .coefficients = coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = BYTES,
                                   .fingers = fingers};
    ck_assert_int_eq(gpu_engine_rs(gpu, &job), 0);
    for (unsigned i = 0; i < FINGERS_MAX; i++) {
        expect_finger(fingers + (size_t)i * GPU_FINGER_BYTES,
                      i < GPU_RS_MAX ? data[i] : coded[i - GPU_RS_MAX], BYTES);
    }
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(a_job_with_fingerprints_fails_at_any_call)
{
    enum { BYTES = 100000 };
    const uint8_t coefficients[2] = {5, 7};
    const uint8_t *const data[2] = {room[0], room[1]};
    uint8_t *const coded[1] = {room[2]};
    const struct gpu_rs_job job = {.k = 2,
                                   .rows = 1,
                                   .coefficients = coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = BYTES,
                                   .fingers = fingers};
    unsigned at = 1;
    for (; at < 100; at++) {
        struct gpu *gpu = open_emulated(2);
        emulated.calls = 0;
        emulated.fail_at = at;
        emulated.error = 719;
        const int err = gpu_engine_rs(gpu, &job);
        gpu_engine_close(gpu);
        ck_assert_uint_eq(emulated.lanes_open, 0);
        if (err == 0) {
            break;
        }
        ck_assert_int_eq(err, ERR_UNAVAILABLE);
    }
    /* use, and for each of 2 pieces: in, two passes, out, wait */
    ck_assert_uint_eq(at - 1, 1 + 2 * 5);
}
END_TEST

UNIT_MAIN("gpu_finger", cells_of_any_size_have_the_fingerprints_of_the_plain_twin,
          sizes_around_tiles_and_pieces_have_the_fingerprints_of_the_plain_twin,
          every_row_has_the_weight_of_its_place, a_column_that_fits_leaves_no_whole_row_of_room,
          a_code_of_the_most_cells_has_all_fingerprints, a_job_with_fingerprints_fails_at_any_call)
