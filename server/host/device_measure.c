/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether a device that was opened gives the processor's bits, and for jobs of which size it is
 * worth the way: the same jobs of each kind, the whole way there and back against the processor's
 * best kernel. On the device's thread; nobody has a slot meanwhile, so their memory serves: slot 0
 * as what it is, slot 1 as that of a caller.
 */
#include "server/host/device_internal.h"

#include "base/num.h"
#include "base/rng.h"
#include "compute/order.h"
#include "compute/scan.h"

#include <stdio.h>
#include <string.h>

/* What is measured: encoding of 4+2, and the other kinds, in jobs of 64 KiB to 4 MiB. */
#define MEASURE_K 4u
#define MEASURE_ROWS 2u
#define MEASURE_SIZES 4u
#define MEASURE_BYTES(i) ((size_t)(64u << 10) << 2 * (i))
#define MEASURE_MOST MEASURE_BYTES(MEASURE_SIZES - 1)
#define MEASURE_ROUNDS 3u
/* The next size takes four times as long as this one, and a little more. */
#define MEASURE_GROWTH 6u
#define COLUMN_BYTES (32u << 10) /* as the processor codes: all columns fit into its cache */

_Static_assert(4 * MEASURE_MOST <= HOST_DEVICE_JOB_BYTES, "sources and both results fit");

struct measure {
    struct host_device *d;
    uint64_t begin_us;
    size_t bytes;       /* of sources */
    uint8_t *source;    /* four places of MEASURE_MOST */
    uint8_t *processor; /* its results */
    uint8_t *device;
    uint8_t *small; /* numbers whose sum is one too */
    struct compute_exact processor_sum;
    struct compute_exact device_sum;
    struct compute_folded folded; /* on the device; the processor's is in its sum */
    uint64_t carry;               /* behind a scan on the device, on the processor */
    uint64_t processor_carry;
    bool is_sorted;      /* by the processor, which there was memory for */
    struct err_info why; /* what the processor could not, "": nothing */
    uint8_t matrix[(MEASURE_K + MEASURE_ROWS) * MEASURE_K];
    uint8_t tables[COMPUTE_RS_TABLE_BYTES * MEASURE_K * MEASURE_ROWS];
};

static uint64_t measure_now(const struct measure *m)
{
    return m->d->options.now_us();
}

/* Numbers from 1 to 2, of either sign: any will do, and each run has the same.
 * bytes: how many are needed */
static void measure_init(struct measure *m, struct host_device *d, size_t bytes)
{
    struct rng r;
    m->d = d;
    m->why.text[0] = '\0';
    m->source = d->slot[1].memory;
    m->processor = m->source + MEASURE_MOST;
    m->device = m->processor + MEASURE_MOST;
    m->small = m->device + MEASURE_MOST;
    compute_rs_matrix(MEASURE_K, MEASURE_ROWS, m->matrix);
    compute_rs_tables(MEASURE_K, MEASURE_ROWS, m->matrix + (size_t)MEASURE_K * MEASURE_K,
                      m->tables);
    rng_init(&r, 1);
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        const uint64_t exponent = UINT64_C(0x7ff) << 52;
        const uint64_t bits = rng_next(&r);
        num_put_u64(m->source + at, (bits & ~exponent) | UINT64_C(0x3ff) << 52);
        num_put_u64(m->small + at, bits >> 32);
    }
}

/* ---- both ways ------------------------------------------------------------------------------ */

struct measure_cells {
    const uint8_t *data[MEASURE_K];
    uint8_t *coded[MEASURE_ROWS];
};

static void measure_cells_at(const struct measure *m, uint8_t *results, size_t from,
                             struct measure_cells *c)
{
    const size_t cell = m->bytes / MEASURE_K;
    for (unsigned i = 0; i < MEASURE_K; i++) {
        c->data[i] = m->source + i * cell + from;
    }
    for (unsigned i = 0; i < MEASURE_ROWS; i++) {
        c->coded[i] = results + i * cell + from;
    }
}

/* The whole way of a job: in, there, and out. */
static int measure_device(struct measure *m, enum node_device_kind kind,
                          enum host_device_verdict *verdict)
{
    struct measure_cells cells;
    struct host_device_slot *slot = &m->d->slot[0];
    measure_cells_at(m, m->device, 0, &cells);
    const struct compute_rs_job job = {.k = MEASURE_K,
                                       .rows = MEASURE_ROWS,
                                       .data = cells.data,
                                       .coded = cells.coded,
                                       .bytes = m->bytes / MEASURE_K};
    const struct compute_leaves run = {m->source, m->bytes, m->device};
    struct host_device_piece p = {.kind = kind,
                                  .job_bytes = m->bytes,
                                  .job = &job,
                                  .coefficients = m->matrix + (size_t)MEASURE_K * MEASURE_K,
                                  .values = kind == NODE_DEVICE_SCANS ? m->small : m->source,
                                  .sum = &m->device_sum,
                                  .fold = COMPUTE_FOLD_SUM,
                                  .of =
                                      kind == NODE_DEVICE_SCANS ? COMPUTE_UNSIGNED : COMPUTE_SIGNED,
                                  .folded = &m->folded,
                                  .results = m->device,
                                  .carry = &m->carry,
                                  .order = (uint32_t *)(void *)m->device,
                                  .leaves = {&run, 1, 0}};
    compute_exact_init(&m->device_sum);
    m->folded = (struct compute_folded){.key = 0};
    m->carry = 0;
    (void)host_device_next(&p);
    ASSERT(p.bytes == m->bytes);
    host_device_fill(slot, &p);
    TRY(host_device_call(m->d->table, m->d->gpu, slot));
    *verdict = host_device_take(slot, &p);
    return 0;
}

static void measure_codes(const struct measure *m)
{
    struct measure_cells cells;
    const size_t cell = m->bytes / MEASURE_K;
    for (size_t from = 0; from < cell; from += COLUMN_BYTES) {
        measure_cells_at(m, m->processor, from, &cells);
        const struct compute_rs_job job = {.k = MEASURE_K,
                                           .rows = MEASURE_ROWS,
                                           .tables = m->tables,
                                           .data = cells.data,
                                           .coded = cells.coded,
                                           .bytes = NUM_MIN(COLUMN_BYTES, cell - from)};
        compute_rs_encode(&job);
    }
}

static void measure_scans(struct measure *m)
{
    const struct compute_scan_sums how = {.is_signed = false};
    const struct compute_scan_span span = {
        .from = m->small, .to = m->processor, .count = m->bytes / sizeof(uint64_t)};
    m->processor_carry = 0;
    (void)compute_scan_sums(&how, &span, &m->processor_carry);
}

/* took_us: how long. The hasher is there for as long as it hashes: a thread that is left behind in
 * a call to the device has nothing of a library's any more when it comes back, as the process may
 * have come to its end. returns: 0, or why it cannot. */
static int measure_processor(struct measure *m, enum node_device_kind kind, uint64_t *took_us)
{
    struct compute *hasher = NULL;
    if (kind == NODE_DEVICE_LEAVES) {
        TRY(compute_new(&hasher, &m->d->options.heap, &m->why));
    }
    const uint64_t begin_us = measure_now(m);
    switch (kind) {
    case NODE_DEVICE_CODES: measure_codes(m); break;
    case NODE_DEVICE_SUMS:
        compute_exact_init(&m->processor_sum);
        compute_exact_add_f64s(&m->processor_sum, m->source, m->bytes / sizeof(double));
        break;
    case NODE_DEVICE_LEAVES: compute_leaf_hashes(hasher, m->source, m->bytes, m->processor); break;
    case NODE_DEVICE_REDUCES:
        compute_exact_init(&m->processor_sum);
        compute_exact_add_i64s(&m->processor_sum, m->source, m->bytes / sizeof(int64_t));
        break;
    case NODE_DEVICE_SCANS: measure_scans(m); break;
    case NODE_DEVICE_SORTS:
        m->is_sorted =
            compute_order_numbers(&m->d->options.heap, m->source, m->bytes / sizeof(uint64_t),
                                  (uint32_t *)(void *)m->processor) == 0;
        break;
    case NODE_DEVICE_KINDS: break;
    }
    *took_us = measure_now(m) - begin_us;
    compute_free(hasher);
    return 0;
}

/* ---- the same bits -------------------------------------------------------------------------- */

static bool measure_same_sums(const struct measure *m)
{
    struct buf here;
    struct buf there;
    buf_init(&here, &m->d->options.heap, COMPUTE_EXACT_ENCODED_MAX);
    buf_init(&there, &m->d->options.heap, COMPUTE_EXACT_ENCODED_MAX);
    const bool same = compute_exact_encode(&m->processor_sum, &here) == 0 &&
                      compute_exact_encode(&m->device_sum, &there) == 0 &&
                      bytes_equal(buf_view(&here), buf_view(&there));
    buf_release(&here);
    buf_release(&there);
    return same;
}

static bool measure_same_reduces(const struct measure *m)
{
    struct compute_i128 sum;
    return compute_exact_to_i128(&m->processor_sum, &sum) == 0 && sum.low == m->folded.sum.low &&
           sum.high == m->folded.sum.high;
}

static bool measure_same(const struct measure *m, enum node_device_kind kind)
{
    switch (kind) {
    case NODE_DEVICE_CODES:
        return memcmp(m->processor, m->device, m->bytes / MEASURE_K * MEASURE_ROWS) == 0;
    case NODE_DEVICE_SUMS: return measure_same_sums(m);
    case NODE_DEVICE_LEAVES:
        return memcmp(m->processor, m->device,
                      m->bytes / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES) == 0;
    case NODE_DEVICE_REDUCES: return measure_same_reduces(m);
    case NODE_DEVICE_SCANS:
        return m->carry == m->processor_carry && memcmp(m->processor, m->device, m->bytes) == 0;
    case NODE_DEVICE_SORTS:
        return !m->is_sorted || memcmp(m->processor, m->device, m->bytes / 2) == 0;
    case NODE_DEVICE_KINDS: break;
    }
    return false;
}

/* returns: err, which the processor has said something of, or else the device has. */
static int measure_failed(const struct measure *m, struct host_device_opening *o, int err)
{
    const char *why = m->why.text[0] != '\0' ? m->why.text : m->d->table->failure(m->d->gpu);
    (void)snprintf(o->why, sizeof(o->why), "%s", why);
    return err;
}

static int measure_check(struct measure *m, struct host_device_opening *o)
{
    enum host_device_verdict verdict = HOST_DEVICE_WRONG;
    uint64_t took_us = 0;
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        int err = measure_processor(m, kind, &took_us);
        err = err != 0 ? err : measure_device(m, kind, &verdict);
        if (err != 0) {
            return measure_failed(m, o, err);
        }
        if (verdict != HOST_DEVICE_RIGHT || !measure_same(m, kind)) {
            (void)snprintf(o->why, sizeof(o->why), "wrong bits of a job that was made to look");
            return ERR_UNAVAILABLE;
        }
    }
    return 0;
}

int host_device_check(struct host_device *d, struct host_device_opening *o)
{
    struct measure m = {.bytes = MEASURE_BYTES(0)};
    measure_init(&m, d, m.bytes);
    return measure_check(&m, o);
}

/* ---- what is worth the way ------------------------------------------------------------------ */

/* returns: since the measurement began. */
static uint64_t measure_took(const struct measure *m)
{
    return measure_now(m) - m->begin_us;
}

/* The best of some rounds, each, in microseconds; of one, if a quarter of the time is over. */
static int measure_both(struct measure *m, enum node_device_kind kind, struct gpu_pick_measure *out)
{
    enum host_device_verdict verdict;
    out->bytes = m->bytes;
    out->device_time = UINT64_MAX;
    out->processor_time = UINT64_MAX;
    for (unsigned round = 0; round < MEASURE_ROUNDS; round++) {
        if (round > 0 && measure_took(m) > HOST_DEVICE_MEASURE_US / 4) {
            break;
        }
        const uint64_t begin_us = measure_now(m);
        TRY(measure_device(m, kind, &verdict));
        const uint64_t between_us = measure_now(m);
        uint64_t took_us = 0;
        TRY(measure_processor(m, kind, &took_us));
        out->device_time = NUM_MIN(out->device_time, between_us - begin_us);
        out->processor_time = NUM_MIN(out->processor_time, took_us);
    }
    return 0;
}

struct measured {
    struct gpu_pick_measure of[NODE_DEVICE_KINDS][MEASURE_SIZES];
    unsigned count[NODE_DEVICE_KINDS]; /* of them; 0: there was no time for it */
    unsigned sizes;
    uint64_t took_us;
};

/* Each kind at its largest size: there and here. */
static void measure_explain(const struct measured *all, struct host_device_opening *o)
{
    static const char *const names[NODE_DEVICE_KINDS] = {"codes 4+2", "sums",  "leaves",
                                                         "reduces",   "scans", "sorts"};
    const size_t room = sizeof(o->cause);
    int at = snprintf(o->cause, room, "measured in %llu us: %zu bytes take, there and here:",
                      (unsigned long long)all->took_us, MEASURE_BYTES(all->sizes - 1));
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        const unsigned count = all->count[kind];
        o->least[kind] = gpu_pick_least(all->of[kind], count);
        if (count == 0 || (size_t)at >= room) {
            continue;
        }
        const struct gpu_pick_measure *last = &all->of[kind][count - 1];
        at += snprintf(o->cause + at, room - (size_t)at, "%s %s %llu and %llu us",
                       kind > 0 ? "," : "", names[kind], (unsigned long long)last->device_time,
                       (unsigned long long)last->processor_time);
    }
}

/* A kind for which the time would not do is left out, and does not go there. */
static int measure_size(struct measure *m, struct measured *all, struct host_device_opening *o)
{
    m->bytes = MEASURE_BYTES(all->sizes);
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        if (measure_took(m) > HOST_DEVICE_MEASURE_US / 2 && all->sizes == 0) {
            break;
        }
        const int err = measure_both(m, kind, &all->of[kind][all->sizes]);
        if (err != 0) {
            return measure_failed(m, o, err);
        }
        all->count[kind] = all->sizes + 1;
    }
    return 0;
}

/* Sizes for which the time would not do are left out. */
static int measure_sizes(struct measure *m, struct measured *all, struct host_device_opening *o)
{
    uint64_t last_us = 0;
    m->begin_us = measure_now(m);
    do {
        const uint64_t size_us = measure_now(m);
        TRY(measure_size(m, all, o));
        last_us = measure_now(m) - size_us;
        all->sizes++;
    } while (all->sizes < MEASURE_SIZES &&
             measure_took(m) + MEASURE_GROWTH * last_us <= HOST_DEVICE_MEASURE_US);
    all->took_us = measure_took(m);
    return 0;
}

int host_device_measure(struct host_device *d, struct host_device_opening *o)
{
    struct measure m = {.bytes = 0};
    struct measured all = {.sizes = 0};
    measure_init(&m, d, MEASURE_MOST);
    const int err = measure_sizes(&m, &all, o);
    if (err == 0) {
        measure_explain(&all, o);
    }
    return err;
}
