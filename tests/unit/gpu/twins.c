/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/gpu/twins.h"

#include "base/num.h"
#include "compute/compute.h"
#include "compute/finger.h"
#include "compute/range.h"
#include "compute/scan.h"
#include "gpu/finger_internal.h"
#include "gpu/reduce_internal.h"
#include "gpu/rs_internal.h"
#include "gpu/scan_internal.h"
#include "gpu/sum.h"
#include "gpu/sum_internal.h"
#include "gpu/xor_internal.h"
#include "tests/unit/compute/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 3u
/* The smallest lanes have fewer leaves and tiles than a block has threads for: these have some
 * blocks of them. */
#define LANE_BYTES_MORE ((2u << 20) + 96u)
#define ROWS_MAX 8u
#define OFFSET_MAX 64u /* how far from a multiple of 64 bytes memory begins */
#define UNTOUCHED 0xa5
#define SIZES_MAX 8u
#define ARRAY_ROUNDS 7u
#define TILE_VALUES ((size_t)(GPU_SUM_TILE_BYTES / sizeof(double)))

struct twins {
    const struct gpu_table *table;
    struct gpu *gpu;
    size_t lane_bytes;
    struct rng rng;
    char *said; /* TWINS_SAID_BYTES */
};

static bool out_of_memory(struct twins *t)
{
    (void)snprintf(t->said, TWINS_SAID_BYTES, "out of memory");
    return false;
}

/* returns: whether a call went well. */
static bool is_done(struct twins *t, int err, const char *call)
{
    if (err != 0) {
        (void)snprintf(t->said, TWINS_SAID_BYTES, "%s: error %d: %s", call, err,
                       t->table->failure(t->gpu));
    }
    return err == 0;
}

/* --- codes --- */

struct cells {
    uint8_t *room;
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    uint8_t *plain[GPU_RS_MAX];
};

/* Cells at any alignment. A byte that nobody may touch follows each. */
static bool cells_init(struct cells *c, struct rng *r, unsigned k, unsigned rows, size_t bytes)
{
    const size_t apart = bytes + OFFSET_MAX + 1;
    c->room = malloc((k + 2 * (size_t)rows) * apart);
    if (c->room == NULL) {
        return false;
    }
    rng_fill(r, c->room, k * apart);
    memset(c->room + k * apart, UNTOUCHED, 2 * rows * apart);
    for (unsigned j = 0; j < k; j++) {
        c->data[j] = c->room + j * apart + rng_below(r, OFFSET_MAX);
    }
    for (unsigned i = 0; i < rows; i++) {
        c->coded[i] = c->room + (k + i) * apart + rng_below(r, OFFSET_MAX);
        c->plain[i] = c->room + (k + rows + i) * apart;
    }
    return true;
}

static bool compare_fingers(struct twins *t, const struct gpu_rs_job *job)
{
    struct compute_finger f;
    uint8_t twin[GPU_FINGER_BYTES];
    for (unsigned i = 0; job->fingers != NULL && i < job->k + job->rows; i++) {
        compute_finger_init_by(&f, COMPUTE_FINGER_PLAIN);
        compute_finger_add(&f, i < job->k ? job->data[i] : job->coded[i - job->k], job->bytes);
        compute_finger_end(&f, twin);
        if (memcmp(twin, job->fingers + (size_t)i * GPU_FINGER_BYTES, sizeof(twin)) != 0) {
            (void)snprintf(t->said, TWINS_SAID_BYTES,
                           "%u rows of %u, cell %u, %zu bytes: another fingerprint", job->rows,
                           job->k, i, job->bytes);
            return false;
        }
    }
    return true;
}

static bool compare_cells(struct twins *t, const struct cells *c, const struct gpu_rs_job *job)
{
    const struct compute_rs_job twin = {job->k, job->rows, NULL, c->data, c->plain, job->bytes};
    if (!is_done(t, t->table->rs(t->gpu, job), "rs")) {
        return false;
    }
    compute_rs_encode_plain(&twin, job->coefficients);
    for (unsigned i = 0; i < job->rows; i++) {
        if (memcmp(c->coded[i], c->plain[i], job->bytes) != 0 ||
            c->coded[i][job->bytes] != UNTOUCHED) {
            (void)snprintf(t->said, TWINS_SAID_BYTES,
                           "%u rows of %u, row %u, %zu bytes: other bits", job->rows, job->k, i,
                           job->bytes);
            return false;
        }
    }
    return compare_fingers(t, job);
}

static bool compare_code(struct twins *t, unsigned k, unsigned rows, const uint8_t *coefficients,
                         size_t bytes)
{
    struct cells c;
    uint8_t fingers[2 * GPU_RS_MAX * GPU_FINGER_BYTES];
    if (!cells_init(&c, &t->rng, k, rows, bytes)) {
        return out_of_memory(t);
    }
    const struct gpu_rs_job job = {.k = k,
                                   .rows = rows,
                                   .coefficients = coefficients,
                                   .data = c.data,
                                   .coded = c.coded,
                                   .bytes = bytes,
                                   .fingers = rng_below(&t->rng, 2) == 0 ? fingers : NULL};
    const bool same = compare_cells(t, &c, &job);
    free(c.room);
    return same;
}

/* Sizes of a column, or of what else is cut into pieces. returns: how many. */
static unsigned choose_sizes(struct rng *r, size_t piece, size_t sizes[SIZES_MAX])
{
    const size_t chosen[] = {1,
                             GPU_UNIT_BYTES - 1,
                             GPU_UNIT_BYTES + 1,
                             2 * GPU_UNIT_BYTES + 1,
                             piece - 1,
                             piece + 1,
                             rng_between(r, 1, piece) | 1,
                             (2 * piece + rng_below(r, 2 * piece)) | 1};
    _Static_assert(sizeof(chosen) / sizeof(*chosen) <= SIZES_MAX, "sizes fit");
    memcpy(sizes, chosen, sizeof(chosen));
    return sizeof(chosen) / sizeof(*chosen);
}

static bool compare_sizes(struct twins *t, unsigned k, unsigned rows, const uint8_t *coefficients)
{
    size_t sizes[SIZES_MAX];
    const size_t piece = t->lane_bytes / (k + rows) / GPU_RS_COLUMN_BYTES * GPU_RS_COLUMN_BYTES;
    const unsigned count = choose_sizes(&t->rng, piece, sizes);
    for (unsigned i = 0; i < count; i++) {
        if (!compare_code(t, k, rows, coefficients, sizes[i])) {
            return false;
        }
    }
    return true;
}

/* least: of columns that a matrix takes; most: likewise. */
static bool compare_matrices(struct twins *t, unsigned least, unsigned most)
{
    uint8_t coefficients[ROWS_MAX * GPU_RS_MAX];
    for (unsigned rows = 1; rows <= ROWS_MAX; rows++) {
        const unsigned k = (unsigned)rng_between(&t->rng, least, most);
        rng_fill(&t->rng, coefficients, sizeof(coefficients));
        if (!compare_sizes(t, k, rows, coefficients)) {
            return false;
        }
    }
    return true;
}

static bool compare_codes(struct twins *t)
{
    static const unsigned codes[][2] = {
#define CODE(k, m) {(k), (m)},
        GPU_XOR_CODES(CODE)
#undef CODE
    };
    uint8_t matrix[(GPU_XOR_K_MAX + GPU_XOR_ROWS_MAX) * GPU_XOR_K_MAX];
    for (unsigned i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        const unsigned k = codes[i][0];
        compute_rs_matrix(k, codes[i][1], matrix);
        if (!compare_sizes(t, k, codes[i][1], matrix + (size_t)k * k)) {
            return false;
        }
    }
    return true;
}

/* Fingerprints of sources alone, around tiles and pieces. */
static bool compare_fingers_alone(struct twins *t)
{
    const size_t tile = (size_t)GPU_FINGER_TILE_BYTES;
    const size_t sizes[] = {1,        GPU_FINGER_BYTES + 1, tile - 1,          tile + 1,
                            3 * tile, t->lane_bytes - 1,    2 * t->lane_bytes, 5 * tile + 77};
    bool same = true;
    for (unsigned i = 0; same && i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint8_t fingers[2 * GPU_FINGER_BYTES];
        struct cells c;
        if (!cells_init(&c, &t->rng, 2, 0, sizes[i])) {
            return out_of_memory(t);
        }
        const struct gpu_rs_job job = {
            .k = 2, .data = c.data, .bytes = sizes[i], .fingers = fingers};
        same = is_done(t, t->table->rs(t->gpu, &job), "rs") && compare_fingers(t, &job);
        free(c.room);
    }
    return same;
}

/* --- leaf hashes --- */

static bool compare_hashes(struct twins *t, const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    uint8_t twin[GPU_HASH_BYTES];
    const size_t leaves = (size_t)compute_leaves_of(bytes);
    hashes[leaves * GPU_HASH_BYTES] = UNTOUCHED;
    if (!is_done(t, t->table->leaf_hashes(t->gpu, data, bytes, hashes), "leaf_hashes")) {
        return false;
    }
    for (size_t i = 0; i < leaves; i++) {
        const size_t left = bytes - i * GPU_LEAF_BYTES;
        compute_leaf_hash(data + i * GPU_LEAF_BYTES, NUM_MIN(left, (size_t)GPU_LEAF_BYTES), twin);
        if (memcmp(hashes + i * GPU_HASH_BYTES, twin, sizeof(twin)) != 0) {
            (void)snprintf(t->said, TWINS_SAID_BYTES, "leaf %zu of %zu bytes: other bits", i,
                           bytes);
            return false;
        }
    }
    return hashes[leaves * GPU_HASH_BYTES] == UNTOUCHED;
}

static bool compare_leaves(struct twins *t)
{
    size_t sizes[SIZES_MAX];
    const size_t leaves = t->lane_bytes / (GPU_LEAF_BYTES + GPU_HASH_BYTES);
    const size_t most = 4 * leaves * GPU_LEAF_BYTES;
    const unsigned count = choose_sizes(&t->rng, leaves * GPU_LEAF_BYTES, sizes);
    uint8_t *data = malloc(most + OFFSET_MAX);
    uint8_t *hashes = malloc((4 * leaves + 1) * GPU_HASH_BYTES + 1);
    bool same = (data != NULL && hashes != NULL) || out_of_memory(t);
    if (same) {
        rng_fill(&t->rng, data, most + OFFSET_MAX);
    }
    for (unsigned i = 0; same && i < count; i++) {
        same = compare_hashes(t, data + rng_below(&t->rng, OFFSET_MAX), sizes[i], hashes);
    }
    /* both places where padding begins a block of its own, and around a leaf */
    for (size_t bytes = 40; same && bytes < 140; bytes++) {
        same = compare_hashes(t, data + bytes % 17, bytes, hashes) &&
               compare_hashes(t, data, GPU_LEAF_BYTES + bytes - 90, hashes);
    }
    free(data);
    free(hashes);
    return same;
}

/* --- sums --- */

/* Rounded, a sum could hide a difference: encodings are compared. */
static bool same_encodings(const struct compute_exact *a, const struct compute_exact *b)
{
    const struct alloc heap = alloc_heap();
    struct buf x;
    struct buf y;
    buf_init(&x, &heap, COMPUTE_EXACT_ENCODED_MAX);
    buf_init(&y, &heap, COMPUTE_EXACT_ENCODED_MAX);
    const bool same = compute_exact_encode(a, &x) == 0 && compute_exact_encode(b, &y) == 0 &&
                      bytes_equal(buf_view(&x), buf_view(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

static bool compare_sum(struct twins *t, const uint8_t *values, size_t count, unsigned kind)
{
    struct compute_exact sum;
    struct compute_exact twin;
    compute_exact_init(&sum);
    compute_exact_init(&twin);
    if (!is_done(t, gpu_sum_add_f64s(t->table, t->gpu, &sum, values, count), "sum_f64s")) {
        return false;
    }
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, &twin, values, count);
    if (!same_encodings(&sum, &twin)) {
        (void)snprintf(t->said, TWINS_SAID_BYTES, "sum of %zu values of kind %u: other bits", count,
                       kind);
        return false;
    }
    return true;
}

static bool compare_sums(struct twins *t)
{
    const size_t tiles = (size_t)(t->lane_bytes / (GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES));
    const size_t counts[] = {1, TILE_VALUES - 1, TILE_VALUES + 1, tiles * TILE_VALUES + 1,
                             rng_between(&t->rng, 1, 5 * tiles * TILE_VALUES)};
    const size_t most = 5 * tiles * TILE_VALUES;
    double *values = malloc(most * sizeof(*values));
    uint8_t *at = malloc((most + 1) * sizeof(*values));
    bool same = (values != NULL && at != NULL) || out_of_memory(t);
    for (unsigned kind = 0; same && kind < VALUES_KINDS; kind++) {
        values_make(&t->rng, (enum values_kind)kind, values, most);
        for (unsigned i = 0; same && i < sizeof(counts) / sizeof(*counts); i++) {
            uint8_t *from = at + rng_below(&t->rng, sizeof(double));
            memcpy(from, values, counts[i] * sizeof(double));
            same = compare_sum(t, from, counts[i], kind);
        }
    }
    free(values);
    free(at);
    return same;
}

/* --- arrays --- */

/* returns: how many records: few, about a piece, or more. */
static size_t array_count(struct twins *t, unsigned round)
{
    const size_t lane = t->lane_bytes / sizeof(uint64_t);
    const size_t counts[ARRAY_ROUNDS] = {
        1, 31, 33, lane / 2, lane - 1, lane + 1, rng_between(&t->rng, 1, 2 * lane)};
    return counts[round];
}

static bool other_array(struct twins *t, const char *what, unsigned of, size_t count)
{
    (void)snprintf(t->said, TWINS_SAID_BYTES, "%s of %zu numbers of class %u: other bits", what,
                   count, of);
    return false;
}

static bool compare_reduced_sum(struct twins *t, const struct gpu_reduce_job *job)
{
    struct gpu_reduced reduced;
    struct compute_exact sum;
    struct compute_i128 whole = {.high = 0};
    if (!is_done(t, t->table->reduce(t->gpu, job, &reduced), "reduce")) {
        return false;
    }
    compute_exact_init(&sum);
    if (job->of == GPU_SIGNED) {
        compute_exact_add_i64s_by(COMPUTE_LANES_PLAIN, &sum, job->values, job->count);
    } else {
        compute_exact_add_u64s_by(COMPUTE_LANES_PLAIN, &sum, job->values, job->count);
    }
    return (compute_exact_to_i128(&sum, &whole) == 0 && whole.low == reduced.sum.low &&
            whole.high == reduced.sum.high) ||
           other_array(t, "sum", job->of, job->count);
}

static bool compare_reduced_key(struct twins *t, const struct gpu_reduce_job *job)
{
    struct gpu_reduced reduced;
    const bool is_most = job->fold == GPU_FOLD_MOST;
    const struct compute_range range =
        compute_range_by(COMPUTE_LANES_PLAIN, job->values, job->count, (enum compute_class)job->of);
    const uint64_t key = is_most ? range.most : range.least;
    uint64_t place = 0;
    if (!is_done(t, t->table->reduce(t->gpu, job, &reduced), "reduce")) {
        return false;
    }
    while (gpu_key_of(job->of, is_most, gpu_word_load(job->values, place)) != key) {
        place++;
    }
    return (reduced.key == key && reduced.place == place) ||
           other_array(t, is_most ? "greatest" : "least", job->of, job->count);
}

/* Numbers of any bits, and then of few: many are the least. */
static bool compare_reduced(struct twins *t, const uint8_t *values, size_t count)
{
    bool same = true;
    for (unsigned of = GPU_SIGNED; same && of <= GPU_REAL; of++) {
        const enum gpu_class class = (enum gpu_class)of;
        const struct gpu_reduce_job sum = {GPU_FOLD_SUM, class, values, count};
        const struct gpu_reduce_job least = {GPU_FOLD_LEAST, class, values, count};
        const struct gpu_reduce_job most = {GPU_FOLD_MOST, class, values, count};
        same = (class == GPU_REAL || compare_reduced_sum(t, &sum)) &&
               compare_reduced_key(t, &least) && compare_reduced_key(t, &most);
    }
    return same;
}

/* A sum by compute's kernel, the others one by one. returns: whether results are the same. */
static bool scanned_as_plain(const struct gpu_scan_job *job, const struct gpu_scanned *scanned)
{
    const struct compute_scan_sums how = {.is_signed = job->of == GPU_SIGNED};
    const size_t bytes = job->count * sizeof(uint64_t);
    uint64_t carry = job->carry;
    uint8_t *plain = malloc(bytes);
    size_t done = job->count;
    if (plain == NULL) {
        return false;
    }
    if (job->fold == GPU_FOLD_SUM) {
        const struct compute_scan_span span = {job->values, plain, job->count};
        done = compute_scan_sums_by(COMPUTE_LANES_PLAIN, &how, &span, &carry);
    }
    for (size_t i = 0; job->fold != GPU_FOLD_SUM && i < job->count; i++) {
        carry = gpu_scan_join(job->fold, job->of, carry, gpu_word_load(job->values, i));
        memcpy(plain + i * sizeof(carry), &carry, sizeof(carry));
    }
    const bool same =
        scanned->carry == carry && scanned->done == done && memcmp(job->results, plain, bytes) == 0;
    free(plain);
    return same;
}

static bool compare_scans(struct twins *t, const uint8_t *values, size_t count)
{
    uint8_t *results = malloc(count * sizeof(uint64_t));
    bool same = results != NULL || out_of_memory(t);
    for (unsigned i = 0; same && i < 8; i++) {
        const struct gpu_scan_job job = {
            (enum gpu_fold)(i / 2), (enum gpu_class)(i % 2), values, results, count, i};
        struct gpu_scanned scanned;
        same = is_done(t, t->table->scan(t->gpu, &job, &scanned), "scan") &&
               (scanned_as_plain(&job, &scanned) || other_array(t, "scan", job.of, count));
    }
    free(results);
    return same;
}

/* returns: whether a run has the keys of its piece in order, and equal ones as they came. */
static bool is_sorted_run(const struct gpu_sort_job *job, size_t from, size_t to)
{
    uint64_t sum = 0;
    bool same = true;
    uint32_t before = 0;
    for (size_t i = from; same && i < to; i++) {
        const uint32_t place = num_get_u32((const uint8_t *)job->order + i * sizeof(place));
        same = place >= from && place < to &&
               gpu_word_load(job->sorted, i) == gpu_word_load(job->keys, place);
        if (same && i > from) {
            const uint64_t x = gpu_word_load(job->sorted, i - 1);
            const uint64_t y = gpu_word_load(job->sorted, i);
            same = x < y || (x == y && before < place);
        }
        before = place;
        sum += place;
    }
    return same && sum == (uint64_t)(to - from) * (from + to - 1) / 2;
}

static bool compare_sorted(struct twins *t, const uint8_t *keys, size_t count)
{
    uint8_t *sorted = malloc(count * (sizeof(uint64_t) + sizeof(uint32_t)));
    bool same = sorted != NULL || out_of_memory(t);
    const struct gpu_sort_job job = {keys, sorted, sorted + count * sizeof(uint64_t), count};
    size_t run = 0;
    same = same && is_done(t, t->table->sort(t->gpu, &job, &run), "sort");
    for (size_t from = 0; same && from < count; from += run) {
        same = is_sorted_run(&job, from, NUM_MIN(from + run, count)) ||
               other_array(t, "sort", GPU_UNSIGNED, count);
    }
    free(sorted);
    return same;
}

struct groups_taken {
    const struct gpu_groups_job *job;
    size_t at; /* the record behind the last group */
    bool same;
};

/* A group is of the records that come next, all with its key, and the one behind has another. */
static void take_group(void *ctx, const struct gpu_group *group)
{
    struct groups_taken *g = ctx;
    struct compute_exact sum;
    struct compute_i128 whole = {.high = 0};
    const size_t to = g->at + (size_t)group->count;
    compute_exact_init(&sum);
    g->same = g->same && group->count > 0 && group->count <= g->job->count - g->at;
    for (size_t i = g->at; g->same && i < to; i++) {
        g->same = gpu_word_load(g->job->keys, i) == group->key;
        compute_exact_add_i64(&sum, (int64_t)gpu_word_load(g->job->values, i));
    }
    g->same = g->same && (to == g->job->count || gpu_word_load(g->job->keys, to) != group->key) &&
              compute_exact_to_i128(&sum, &whole) == 0 && whole.low == group->sum.low &&
              whole.high == group->sum.high;
    g->at = to;
}

/* Groups of a power of two records. */
static bool compare_groups(struct twins *t, const uint8_t *values, size_t count)
{
    const unsigned shift = (unsigned)rng_below(&t->rng, 20);
    uint8_t *keys = malloc(count * sizeof(uint64_t));
    bool same = keys != NULL || out_of_memory(t);
    for (size_t i = 0; same && i < count; i++) {
        const uint64_t key = (uint64_t)i >> shift;
        memcpy(keys + i * sizeof(key), &key, sizeof(key));
    }
    struct gpu_groups_job job = {.of = GPU_SIGNED, .keys = keys, .values = values, .count = count};
    struct groups_taken taken = {&job, 0, true};
    job.ctx = &taken;
    job.group = take_group;
    same = same && is_done(t, t->table->groups(t->gpu, &job), "groups") &&
           ((taken.same && taken.at == count) || other_array(t, "groups", job.of, count));
    free(keys);
    return same;
}

static bool compare_arrays(struct twins *t)
{
    const size_t most = 2 * t->lane_bytes / sizeof(uint64_t);
    uint8_t *room = malloc((most + 1) * sizeof(uint64_t));
    bool same = room != NULL || out_of_memory(t);
    for (unsigned round = 0; same && round < ARRAY_ROUNDS; round++) {
        const size_t count = array_count(t, round);
        uint8_t *values = room + rng_below(&t->rng, sizeof(uint64_t));
        rng_fill(&t->rng, values, count * sizeof(uint64_t));
        for (size_t i = 0; round % 2 != 0 && i < count; i++) {
            memset(values + i * sizeof(uint64_t), values[i * sizeof(uint64_t)] % 3 - 1,
                   sizeof(uint64_t));
        }
        same = compare_reduced(t, values, count) && compare_scans(t, values, count) &&
               compare_sorted(t, values, count) && compare_groups(t, values, count);
    }
    free(room);
    return same;
}

/* --- all --- */

static bool open_lanes(struct twins *t, unsigned device, size_t lane_bytes, unsigned lanes)
{
    const struct gpu_settings s = {.lane_bytes = lane_bytes, .lanes = lanes};
    t->lane_bytes = lane_bytes;
    return t->table->open(&t->gpu, device, &s, t->said, TWINS_SAID_BYTES) == 0;
}

bool twins_agree(const struct gpu_table *table, unsigned device, unsigned long long seed,
                 char said[TWINS_SAID_BYTES])
{
    struct twins t = {.table = table, .said = said};
    bool same = true;
    rng_init(&t.rng, seed);
    said[0] = '\0';
    for (unsigned lanes = 1; same && lanes <= LANES_MAX; lanes++) {
        same = open_lanes(&t, device, GPU_LANE_BYTES_MIN, lanes);
        if (same) {
            /* one column, the most, and any */
            same = compare_matrices(&t, lanes == 2 ? GPU_RS_MAX : 1, lanes == 1 ? 1 : GPU_RS_MAX) &&
                   compare_codes(&t) && compare_fingers_alone(&t) && compare_leaves(&t) &&
                   compare_sums(&t) && compare_arrays(&t);
            table->close(t.gpu);
        }
    }
    if (same) {
        same = open_lanes(&t, device, LANE_BYTES_MORE, 2);
        if (same) {
            same = compare_fingers_alone(&t) && compare_leaves(&t) && compare_sums(&t) &&
                   compare_arrays(&t);
            table->close(t.gpu);
        }
    }
    return same;
}
