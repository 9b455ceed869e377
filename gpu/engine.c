/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs in pieces. Piece i has lane i mod lanes: before it begins there, the piece before on that
 * lane is waited for and its results are taken. So while this thread fills the memory of one lane,
 * the device copies and computes on the others. A device touches the lanes' memory only, never the
 * caller's: after an error nothing is written to the caller's memory any more.
 */
#include "gpu/engine_array_internal.h"
#include "gpu/engine_finger_internal.h"
#include "gpu/engine_internal.h"
#include "gpu/engine_sum_internal.h"
#include "gpu/engine_work_internal.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/num.h"

#define LANE_BYTES_USUAL (32u << 20)
#define LANES_USUAL 3u
#define CAPABILITY_MIN 8u
#define HASHES_AT(leaves) ((size_t)(leaves)*GPU_LEAF_BYTES)

_Static_assert(GPU_LANE_BYTES_MIN / (2 * GPU_RS_MAX) >= GPU_RS_COLUMN_BYTES, "a column fits");
_Static_assert(GPU_LANE_BYTES_MIN >= GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES, "a tile fits");
_Static_assert(GPU_LANE_BYTES_MIN / (2 * GPU_RS_MAX) >=
                   GPU_RS_COLUMN_BYTES + GPU_FINGER_PART_BYTES + GPU_FINGER_BYTES,
               "a column fits with its fingerprint");
_Static_assert(GPU_LANE_BYTES_MIN >= GPU_LEAF_BYTES + GPU_HASH_BYTES, "a leaf fits");

int gpu_work_fail(struct gpu *gpu, const char *at, int error)
{
    char text[GPU_WHY_BYTES / 2];
    gpu->driver->text(error, text, sizeof(text));
    (void)snprintf(gpu->failure, sizeof(gpu->failure), "%s: %s", at, text);
    return ERR_UNAVAILABLE;
}

int gpu_work_fail_text(struct gpu *gpu, const char *text)
{
    (void)snprintf(gpu->failure, sizeof(gpu->failure), "%s", text);
    return ERR_UNAVAILABLE;
}

bool gpu_work_is_usable(struct gpu *gpu)
{
    if (gpu->failure[0] != '\0') {
        return false;
    }
    const int error = gpu->driver->use(gpu->device);
    if (error != 0) {
        (void)gpu_work_fail(gpu, "choice of the device", error);
    }
    return error == 0;
}

/* --- devices --- */

void gpu_engine_probe(const struct gpu_driver *driver, unsigned *count, char *why, size_t why_bytes)
{
    char text[GPU_WHY_BYTES / 2];
    unsigned found = 0;
    const int error = driver->count(&found);
    if (why_bytes > 0) {
        why[0] = '\0';
    }
    *count = error == 0 ? found : 0;
    if (error != 0) {
        driver->text(error, text, sizeof(text));
        (void)snprintf(why, why_bytes, "%s answers %s", driver->count_call, text);
    } else if (found == 0) {
        (void)snprintf(why, why_bytes, "%s counts none", driver->count_call);
    }
}

int gpu_engine_describe(const struct gpu_driver *driver, unsigned device, struct gpu_device *out,
                        char *why, size_t why_bytes)
{
    char text[GPU_WHY_BYTES / 2];
    struct gpu_device about;
    unsigned count = 0;
    memset(&about, 0, sizeof(about));
    gpu_engine_probe(driver, &count, why, why_bytes);
    if (count == 0) {
        return ERR_NOT_FOUND;
    }
    if (device >= count) {
        (void)snprintf(why, why_bytes, "no device %u: there are %u", device, count);
        return ERR_NOT_FOUND;
    }
    const int error = driver->describe(device, &about);
    if (error != 0) {
        driver->text(error, text, sizeof(text));
        (void)snprintf(why, why_bytes, "device %u does not describe itself: %s", device, text);
        return ERR_UNAVAILABLE;
    }
    *out = about;
    return 0;
}

/* --- open and close --- */

static int settle(struct gpu_settings *s, const struct gpu_settings *asked, char *why,
                  size_t why_bytes)
{
    s->lane_bytes = asked != NULL && asked->lane_bytes != 0 ? asked->lane_bytes : LANE_BYTES_USUAL;
    s->lanes = asked != NULL && asked->lanes != 0 ? asked->lanes : LANES_USUAL;
    if (s->lanes > GPU_LANES_MAX) {
        (void)snprintf(why, why_bytes, "%u lanes, at most %u", s->lanes, GPU_LANES_MAX);
        return ERR_INVALID;
    }
    if (s->lane_bytes < GPU_LANE_BYTES_MIN) {
        (void)snprintf(why, why_bytes, "lanes of %zu bytes, at least %u", s->lane_bytes,
                       GPU_LANE_BYTES_MIN);
        return ERR_INVALID;
    }
    s->lane_bytes &= ~(size_t)(GPU_RS_COLUMN_BYTES - 1);
    return 0;
}

static int open_lanes(struct gpu *gpu, const struct gpu_settings *s)
{
    int error = gpu->driver->use(gpu->device);
    for (unsigned i = 0; i < s->lanes && error == 0; i++) {
        gpu->lanes_count = i + 1;
        gpu->lane[i].bytes = s->lane_bytes;
        error = gpu->driver->lane_open(&gpu->lane[i]);
    }
    if (error == 0) {
        return 0;
    }
    (void)gpu_work_fail(gpu, "memory for the lanes", error);
    return gpu->driver->is_memory(error) ? ERR_NO_MEMORY : ERR_UNAVAILABLE;
}

int gpu_engine_open(const struct gpu_driver *driver, struct gpu **out, unsigned device,
                    const struct gpu_settings *settings, char *why, size_t why_bytes)
{
    const struct alloc heap = alloc_heap();
    struct gpu_settings s;
    struct gpu_device about;
    if (why_bytes > 0) {
        why[0] = '\0';
    }
    TRY(settle(&s, settings, why, why_bytes));
    TRY(gpu_engine_describe(driver, device, &about, why, why_bytes));
    if (about.major < CAPABILITY_MIN) {
        (void)snprintf(why, why_bytes, "device %u, '%s', has compute capability %u.%u: at least %u",
                       device, about.name, about.major, about.minor, CAPABILITY_MIN);
        return ERR_NOT_FOUND;
    }
    struct gpu *gpu = alloc_get_zeroed(&heap, 1, sizeof(*gpu));
    if (gpu == NULL) {
        (void)snprintf(why, why_bytes, "out of memory");
        return ERR_NO_MEMORY;
    }
    gpu->driver = driver;
    gpu->device = device;
    const int err = open_lanes(gpu, &s);
    if (err != 0) {
        (void)snprintf(why, why_bytes, "%s", gpu->failure);
        gpu_engine_close(gpu);
        return err;
    }
    *out = gpu;
    return 0;
}

void gpu_engine_close(struct gpu *gpu)
{
    const struct alloc heap = alloc_heap();
    if (gpu == NULL) {
        return;
    }
    /* the lanes go also if the device cannot be chosen any more: their memory here is memory */
    (void)gpu->driver->use(gpu->device);
    for (unsigned i = 0; i < gpu->lanes_count; i++) {
        gpu->driver->lane_close(&gpu->lane[i]);
    }
    alloc_put(&heap, gpu, sizeof(*gpu));
}

const char *gpu_engine_failure(const struct gpu *gpu)
{
    return gpu->failure;
}

/* --- pieces --- */

/* Waits for the piece of a lane, if there is one, and brings its results to the caller. */
static int finish(struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    if (!gpu->piece[lane].is_busy) {
        return 0;
    }
    int error = gpu->driver->wait(&gpu->lane[lane]);
    gpu->piece[lane].is_busy = false;
    if (error == 0 && w->more != NULL) {
        TRY(w->more(gpu, w, lane));
        error = gpu->driver->wait(&gpu->lane[lane]);
    }
    if (error != 0) {
        return gpu_work_fail(gpu, "wait for the device", error);
    }
    w->take(gpu, w, lane);
    return 0;
}

int gpu_work_through(struct gpu *gpu, const struct gpu_work *w)
{
    unsigned lane = 0;
    if (!gpu_work_is_usable(gpu)) {
        return ERR_UNAVAILABLE;
    }
    for (size_t from = 0; from < w->total;) {
        const char *at = "";
        TRY(finish(gpu, w, lane));
        struct gpu_piece *piece = &gpu->piece[lane];
        piece->from = from;
        piece->bytes = NUM_MIN(w->step, w->total - from);
        const int error = w->put(gpu, w, lane, &at);
        if (error != 0) {
            return gpu_work_fail(gpu, at, error);
        }
        piece->is_busy = true;
        from += piece->bytes;
        lane = (lane + 1) % gpu->lanes_count;
    }
    for (unsigned i = 0; i < gpu->lanes_count; i++) {
        TRY(finish(gpu, w, (lane + i) % gpu->lanes_count));
    }
    return 0;
}

/* --- Reed-Solomon --- */

static bool shape_is_valid(unsigned k, unsigned rows)
{
    return k >= 1 && k <= GPU_RS_MAX && rows <= GPU_RS_MAX;
}

static void make_passes(struct gpu *gpu, unsigned k, unsigned rows, const uint8_t *coefficients)
{
    gpu->is_xor = gpu_xor_has(k, rows, coefficients);
    gpu->xor_pass = (struct gpu_xor_pass){.k = k, .rows = rows};
    gpu->passes_count = 0;
    if (gpu->is_xor) {
        return;
    }
    for (unsigned row = 0; row < rows;) {
        ASSERT(gpu->passes_count < GPU_WORK_PASSES_MAX);
        struct gpu_rs_pass *p = &gpu->pass[gpu->passes_count++];
        p->k = k;
        p->rows = gpu_rs_pass_rows(rows - row);
        gpu_rs_pass_tables(p, coefficients + (size_t)row * k);
        row += p->rows;
    }
}

/* The most bytes of a column in one piece. */
static size_t columns_of(const struct gpu *gpu, unsigned columns, bool has_fingers)
{
    const size_t room = gpu->lane[0].bytes / columns;
    return (has_fingers ? gpu_finger_fit(room) : room) & ~(size_t)(GPU_RS_COLUMN_BYTES - 1);
}

/* Runs all passes over columns of stride_bytes that lie at the lane's start. */
static int run_passes(struct gpu *gpu, struct gpu_lane *lane, size_t stride_bytes)
{
    if (gpu->is_xor) {
        struct gpu_xor_pass *p = &gpu->xor_pass;
        p->data = lane->device;
        p->coded = lane->device + p->k * stride_bytes;
        p->stride_bytes = stride_bytes;
        return gpu->driver->run_xor(lane, p);
    }
    unsigned row = gpu->pass[0].k;
    for (unsigned i = 0; i < gpu->passes_count; i++) {
        struct gpu_rs_pass *p = &gpu->pass[i];
        p->data = lane->device;
        p->coded = lane->device + row * stride_bytes;
        p->stride_bytes = stride_bytes;
        TRY(gpu->driver->run_rs(lane, p));
        row += p->rows;
    }
    return 0;
}

static int put_rs(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct gpu_rs_job *job = w->rs;
    struct gpu_lane *l = &gpu->lane[lane];
    const unsigned columns = job->k + job->rows;
    const size_t stride = (size_t)num_round_up(piece->bytes, GPU_RS_COLUMN_BYTES);
    const struct gpu_finger_pass fingers = gpu_finger_pass_of(l->device, columns, stride);
    size_t results = job->rows * stride;
    ASSERT(columns * stride <= l->bytes && stride % GPU_FINGER_BYTES == 0);
    for (unsigned j = 0; j < job->k; j++) {
        uint8_t *to = l->host + j * stride;
        memcpy(to, job->data[j] + piece->from, piece->bytes);
        memset(to + piece->bytes, 0, stride - piece->bytes);
    }
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, job->k * stride));
    if (job->rows > 0) {
        *at = "Reed-Solomon kernel";
        TRY(run_passes(gpu, l, stride));
    }
    if (job->fingers != NULL) {
        *at = "fingerprint kernel";
        TRY(gpu->driver->run_fingers(l, &fingers));
        results += gpu_finger_sums_bytes(&fingers);
    }
    *at = "copy from the device";
    return gpu->driver->copy_out(l, job->k * stride, results);
}

static void take_rs(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct gpu_rs_job *job = w->rs;
    const size_t stride = (size_t)num_round_up(piece->bytes, GPU_RS_COLUMN_BYTES);
    for (unsigned row = 0; row < job->rows; row++) {
        memcpy(job->coded[row] + piece->from, gpu->lane[lane].host + (job->k + row) * stride,
               piece->bytes);
    }
    if (job->fingers != NULL) {
        const struct gpu_finger_pass fingers =
            gpu_finger_pass_of(gpu->lane[lane].host, job->k + job->rows, stride);
        gpu_finger_take(&fingers, fingers.sums, piece->from, job->fingers);
    }
}

int gpu_engine_rs(struct gpu *gpu, const struct gpu_rs_job *job)
{
    if (!shape_is_valid(job->k, job->rows)) {
        return ERR_INVALID;
    }
    const bool has_fingers = job->fingers != NULL;
    if (has_fingers) {
        memset(job->fingers, 0, (size_t)(job->k + job->rows) * GPU_FINGER_BYTES);
    }
    if (job->bytes == 0 || (job->rows == 0 && !has_fingers)) {
        return 0;
    }
    make_passes(gpu, job->k, job->rows, job->coefficients);
    const struct gpu_work w = {.put = put_rs,
                               .take = take_rs,
                               .total = job->bytes,
                               .step = columns_of(gpu, job->k + job->rows, has_fingers),
                               .rs = job};
    return gpu_work_through(gpu, &w);
}

/* --- leaf hashes --- */

static size_t leaves_of(size_t bytes)
{
    return (size_t)num_div_up(bytes, GPU_LEAF_BYTES);
}

static int put_leaves(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    struct gpu_lane *l = &gpu->lane[lane];
    const size_t leaves = leaves_of(piece->bytes);
    const size_t padded = (size_t)num_round_up(piece->bytes, GPU_UNIT_BYTES);
    const struct gpu_sha_pass pass = {
        .data = l->device, .hashes = l->device + HASHES_AT(leaves), .bytes = piece->bytes};
    ASSERT(HASHES_AT(leaves) + leaves * GPU_HASH_BYTES <= l->bytes);
    memcpy(l->host, w->leaves + piece->from, piece->bytes);
    memset(l->host + piece->bytes, 0, padded - piece->bytes);
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, padded));
    *at = "leaf hash kernel";
    TRY(gpu->driver->run_leaves(l, &pass));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, HASHES_AT(leaves), leaves * GPU_HASH_BYTES);
}

static void take_leaves(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const size_t leaves = leaves_of(piece->bytes);
    memcpy(w->hashes + piece->from / GPU_LEAF_BYTES * GPU_HASH_BYTES,
           gpu->lane[lane].host + HASHES_AT(leaves), leaves * GPU_HASH_BYTES);
}

static size_t leaves_a_lane(const struct gpu *gpu)
{
    return gpu->lane[0].bytes / (GPU_LEAF_BYTES + GPU_HASH_BYTES);
}

int gpu_engine_leaf_hashes(struct gpu *gpu, const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    if (bytes == 0) {
        return 0;
    }
    const struct gpu_work w = {.put = put_leaves,
                               .take = take_leaves,
                               .total = bytes,
                               .step = HASHES_AT(leaves_a_lane(gpu)),
                               .leaves = data,
                               .hashes = hashes};
    return gpu_work_through(gpu, &w);
}

/* --- exact sums --- */

static size_t tiles_a_lane(const struct gpu *gpu)
{
    return (size_t)(gpu->lane[0].bytes / (GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES));
}

static int put_sum(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    struct gpu_piece *piece = &gpu->piece[lane];
    struct gpu_lane *l = &gpu->lane[lane];
    struct gpu_sum_pass *p = &piece->sum;
    p->tiles = num_div_up(piece->bytes, GPU_SUM_TILE_BYTES);
    const size_t padded = (size_t)(p->tiles * GPU_SUM_TILE_BYTES);
    const size_t results = (size_t)(p->tiles * GPU_SUM_RESULT_BYTES);
    ASSERT(padded + results <= l->bytes);
    p->values = l->device;
    p->sums = l->device + padded;
    gpu_sum_window(p, w->values + piece->from, piece->bytes / sizeof(double));
    memcpy(l->host, w->values + piece->from, piece->bytes);
    memset(l->host + piece->bytes, 0, padded - piece->bytes); /* zeros add nothing */
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, padded));
    *at = "exact sum kernel";
    TRY(gpu->driver->run_sum(l, p));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, padded, results);
}

static void take_sum(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    gpu_sum_take(&piece->sum, gpu->lane[lane].host + piece->sum.tiles * GPU_SUM_TILE_BYTES,
                 piece->from / sizeof(double), piece->bytes / sizeof(double), w->sink);
}

int gpu_engine_sum_f64s(struct gpu *gpu, const void *values, size_t count,
                        const struct gpu_sum_sink *sink)
{
    if (count == 0) {
        return 0;
    }
    const struct gpu_work w = {.put = put_sum,
                               .take = take_sum,
                               .total = count * sizeof(double),
                               .step = tiles_a_lane(gpu) * GPU_SUM_TILE_BYTES,
                               .values = values,
                               .sink = sink};
    return gpu_work_through(gpu, &w);
}

/* --- rates --- */

/* Puts one round into the queue of the first lane. bytes: what it reads and writes. */
static int run_once(struct gpu *gpu, const struct gpu_rate_job *job,
                    const struct gpu_array_plan *plan, uint64_t *bytes)
{
    struct gpu_lane *lane = &gpu->lane[0];
    if (job->kernel >= GPU_KERNEL_REDUCE) {
        return gpu_array_run_once(gpu, plan, bytes);
    }
    if (job->kernel == GPU_KERNEL_COPY) {
        const size_t half = lane->bytes / 2;
        *bytes = 2 * (uint64_t)half;
        return gpu->driver->copy_within(lane, half);
    }
    if (job->kernel == GPU_KERNEL_LEAVES) {
        const size_t leaves = leaves_a_lane(gpu);
        const struct gpu_sha_pass pass = {.data = lane->device,
                                          .hashes = lane->device + HASHES_AT(leaves),
                                          .bytes = HASHES_AT(leaves)};
        *bytes = (uint64_t)leaves * (GPU_LEAF_BYTES + GPU_HASH_BYTES);
        return gpu->driver->run_leaves(lane, &pass);
    }
    if (job->kernel == GPU_KERNEL_SUM) {
        struct gpu_sum_pass pass = {.values = lane->device, .tiles = tiles_a_lane(gpu)};
        pass.sums = lane->device + pass.tiles * GPU_SUM_TILE_BYTES;
        gpu_sum_window(&pass, NULL, 0);
        *bytes = pass.tiles * (GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES);
        return gpu->driver->run_sum(lane, &pass);
    }
    if (job->kernel == GPU_KERNEL_FINGERS) {
        const size_t column = columns_of(gpu, 1, true);
        const struct gpu_finger_pass pass = gpu_finger_pass_of(lane->device, 1, column);
        *bytes = column + gpu_finger_sums_bytes(&pass);
        return gpu->driver->run_fingers(lane, &pass);
    }
    const size_t columns = columns_of(gpu, job->k + job->rows, false);
    *bytes = (uint64_t)columns * (job->k + job->rows);
    return run_passes(gpu, lane, columns);
}

static int fill_lane(struct gpu *gpu, const struct gpu_rate_job *job)
{
    struct gpu_lane *lane = &gpu->lane[0];
    for (size_t at = 0; at < lane->bytes; at += job->fill_bytes) {
        memcpy(lane->host + at, job->fill, NUM_MIN(job->fill_bytes, lane->bytes - at));
    }
    int error = gpu->driver->copy_in(lane, lane->bytes);
    if (error == 0) {
        error = gpu->driver->wait(lane);
    }
    return error == 0 ? 0 : gpu_work_fail(gpu, "copy to the device", error);
}

int gpu_engine_rate(struct gpu *gpu, const struct gpu_rate_job *job, struct gpu_rate *out)
{
    const bool is_rs = job->kernel == GPU_KERNEL_RS;
    uint64_t bytes = 0;
    double seconds = 0;
    struct gpu_array_plan plan = {.count = 0};
    if (job->rounds == 0 || (job->fill != NULL && job->fill_bytes == 0) ||
        (unsigned)job->kernel >= GPU_KERNELS ||
        (is_rs && (!shape_is_valid(job->k, job->rows) || job->rows == 0))) {
        return ERR_INVALID;
    }
    if (!gpu_work_is_usable(gpu)) {
        return ERR_UNAVAILABLE;
    }
    if (is_rs) {
        make_passes(gpu, job->k, job->rows, job->coefficients);
    }
    if (job->fill != NULL) {
        TRY(fill_lane(gpu, job));
    }
    if (job->kernel >= GPU_KERNEL_REDUCE) {
        TRY(gpu_array_rate_plan(gpu, job->kernel, &plan));
    }
    int error = run_once(gpu, job, &plan, &bytes); /* the first one loads code: not timed */
    if (error == 0) {
        error = gpu->driver->clock_start(&gpu->lane[0]);
    }
    for (unsigned i = 0; i < job->rounds && error == 0; i++) {
        error = run_once(gpu, job, &plan, &bytes);
    }
    if (error == 0) {
        error = gpu->driver->clock_stop(&gpu->lane[0], &seconds);
    }
    if (error != 0) {
        return gpu_work_fail(gpu, "measurement", error);
    }
    out->bytes = bytes * job->rounds;
    out->seconds = seconds;
    return 0;
}
