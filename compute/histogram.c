/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counts by bins. Of a histogram, bins are told by their edges, which are computed once (bins.c
 * finds a number's bin). Of log and quantile, a bin is the exponent and the first bits of the
 * fraction: parts of equal width of each power of two, the widest [1, 1 + 2^-count) beside its
 * value, without a logarithm.
 */
#include "base/num.h"
#include "compute/bins_internal.h"
#include "compute/sketch_internal.h"

#define FRACTION_BITS 52u
#define MINUS_ZERO (UINT64_C(1) << 63)
#define INFINITY_FIELD UINT64_C(0x7ff)

/* Words of a histogram: below, above, NaN; the bins; the edges, one more than bins; how numbers are
 * held against these. */
enum { BELOW, ABOVE, OF_NAN, BINS };
#define GRID_WORDS ((sizeof(struct compute_bins) + 7) / 8)
#define PART 512u            /* numbers whose places are found at once */
#define TABLES 4u            /* of counts, */
#define TABLE_BINS_MAX 1024u /* of up to so many bins, */
#define TABLE_VALUES_MIN 4u  /* for so many numbers a bin at least */
/* Words of log and quantile: NaN; the bins of negative numbers, the greatest magnitude first; the
 * others. */
enum { LOG_NAN, LOG_BINS };

/* returns: bins for magnitudes, the last of infinity. */
static size_t magnitudes(const struct compute_reduce_spec *spec)
{
    return ((size_t)(INFINITY_FIELD << spec->count)) + 1;
}

static size_t bins_of(const struct compute_reduce_spec *spec)
{
    return spec->op == COMPUTE_OP_HISTOGRAM ? BINS + spec->count : LOG_BINS + 2 * magnitudes(spec);
}

size_t compute_histogram_words(const struct compute_reduce_spec *spec)
{
    const size_t edges =
        spec->op == COMPUTE_OP_HISTOGRAM ? (size_t)spec->count + 1 + GRID_WORDS : 0;
    return bins_of(spec) + edges;
}

static void put_count(struct buf *into, double from, double to, uint64_t records)
{
    const struct compute_value values[] = {compute_value_of_f64(from), compute_value_of_f64(to),
                                           compute_value_of_u64(records)};
    for (unsigned i = 0; i < 3; i++) {
        compute_put_value(into, &values[i]);
        (void)buf_put_u8(into, i < 2 ? ',' : '\n');
    }
}

static double real_of_bits(uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

static double infinity(bool negative)
{
    return real_of_bits((uint64_t)negative << 63 | INFINITY_FIELD << FRACTION_BITS);
}

static double nan_of_text(void)
{
    return real_of_bits(INFINITY_FIELD << FRACTION_BITS | UINT64_C(1) << 51);
}

static void counts_merge(struct compute_body *into, const struct compute_reduce_spec *spec,
                         const struct compute_body *from)
{
    const size_t words = bins_of(spec);
    for (size_t i = 0; i < words; i++) {
        into->extra[i] += from->extra[i];
    }
}

/* --- histogram --- */

static double edge_at(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      size_t i)
{
    return real_of_bits(b->extra[BINS + spec->count + i]);
}

static uint64_t *grid_of(const struct compute_body *b, const struct compute_reduce_spec *spec)
{
    return b->extra + BINS + 2 * (size_t)spec->count + 1;
}

static void histogram_init(struct compute_body *b, const struct compute_reduce_spec *spec)
{
    struct compute_bins bins;
    const double width = spec->high - spec->low;
    for (uint32_t i = 0; i <= spec->count; i++) {
        /* a fraction of the width first: no product overflows */
        double edge = spec->low + width * ((double)i / (double)spec->count);
        edge = i == spec->count ? spec->high : NUM_MIN(edge, spec->high);
        memcpy(&b->extra[BINS + spec->count + i], &edge, sizeof(edge));
    }
    compute_bins_init(&bins, (const double *)(const void *)(b->extra + BINS + spec->count),
                      spec->count);
    memcpy(grid_of(b, spec), &bins, sizeof(bins));
}

/* Where a place of compute_bins_of is counted. */
static inline size_t word_of(const struct compute_bins *b, uint32_t place)
{
    if (place == compute_bins_nan(b)) {
        return OF_NAN;
    }
    return place == 0 ? BELOW : place == compute_bins_above(b) ? ABOVE : BINS + place - 1;
}

static size_t part_of(const struct compute_batch *batch, size_t done)
{
    return NUM_MIN(batch->count - done, (size_t)PART);
}

/* The places of a part of the batch. */
static void find_places(const struct compute_bins *b, const struct compute_batch *batch,
                        size_t first, uint32_t places[PART])
{
    const size_t count = part_of(batch, first);
    const uint8_t *values = (const uint8_t *)batch->values + first * sizeof(double);
    double reals[PART];
    if (batch->of != COMPUTE_REAL) {
        for (size_t i = 0; i < count; i++) {
            reals[i] = compute_real_at(batch, first + i);
        }
        values = (const uint8_t *)reals;
    }
    compute_bins_of(b, values, count, places);
}

/* In several tables, as counting twice in one place waits for the first time. batch: of fewer than
 * 2^32 numbers. */
static void count_in_tables(struct compute_body *body, const struct compute_bins *b,
                            const struct compute_batch *batch)
{
    uint32_t places[PART];
    uint32_t tables[TABLES][TABLE_BINS_MAX + 3];
    memset(tables, 0, sizeof(tables));
    for (size_t done = 0; done < batch->count; done += PART) {
        const size_t count = part_of(batch, done);
        find_places(b, batch, done, places);
        size_t i = 0;
        for (; i + TABLES <= count; i += TABLES) {
            tables[0][places[i]]++;
            tables[1][places[i + 1]]++;
            tables[2][places[i + 2]]++;
            tables[3][places[i + 3]]++;
        }
        for (; i < count; i++) {
            tables[0][places[i]]++;
        }
    }
    for (uint32_t place = 0; place <= compute_bins_nan(b); place++) {
        uint64_t sum = 0;
        for (unsigned table = 0; table < TABLES; table++) {
            sum += tables[table][place];
        }
        body->extra[word_of(b, place)] += sum;
    }
}

static void histogram_consume(struct compute_body *body, const struct compute_reduce_spec *spec,
                              const struct compute_batch *batch)
{
    struct compute_bins b;
    uint32_t places[PART];
    memcpy(&b, grid_of(body, spec), sizeof(b));
    b.edges = (const double *)(const void *)(body->extra + BINS + spec->count);
    if (spec->count <= TABLE_BINS_MAX && batch->count / TABLE_VALUES_MIN >= spec->count &&
        batch->count <= UINT32_MAX) {
        count_in_tables(body, &b, batch);
        return;
    }
    for (size_t done = 0; done < batch->count; done += PART) {
        const size_t count = part_of(batch, done);
        find_places(&b, batch, done, places);
        for (size_t i = 0; i < count; i++) {
            body->extra[word_of(&b, places[i])]++;
        }
    }
}

static int histogram_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                            struct buf *into)
{
    const size_t words = bins_of(spec);
    for (size_t i = 0; i < words; i++) {
        (void)buf_put_u64(into, b->extra[i]);
    }
    return into->err;
}

static int histogram_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                            uint64_t first, struct bytes_reader *from)
{
    const size_t words = bins_of(spec);
    uint64_t sum = 0;
    (void)first;
    for (size_t i = 0; i < words; i++) {
        b->extra[i] = bytes_take_u64(from);
        if (!num_add_u64(sum, b->extra[i], &sum)) {
            return ERR_PROTOCOL;
        }
    }
    return from->failed || sum != b->records ? ERR_PROTOCOL : 0;
}

static int histogram_text(const struct compute_body *b, const struct compute_reduce_spec *spec,
                          struct buf *into)
{
    put_count(into, infinity(true), spec->low, b->extra[BELOW]);
    for (uint32_t i = 0; i < spec->count; i++) {
        put_count(into, edge_at(b, spec, i), edge_at(b, spec, i + 1), b->extra[BINS + i]);
    }
    put_count(into, spec->high, infinity(false), b->extra[ABOVE]);
    if (b->extra[OF_NAN] > 0) {
        put_count(into, nan_of_text(), nan_of_text(), b->extra[OF_NAN]);
    }
    return into->err;
}

const struct compute_sketch compute_sketch_histogram = {
    .init = histogram_init,
    .consume = histogram_consume,
    .merge = counts_merge,
    .encode = histogram_encode,
    .decode = histogram_decode,
    .text = histogram_text,
};

/* --- log and quantile --- */

static void log_init(struct compute_body *b, const struct compute_reduce_spec *spec)
{
    (void)b;
    (void)spec;
}

/* half: the bins of one sign. */
static inline void log_count(uint64_t *words, size_t half, unsigned shift, uint64_t bits)
{
    const uint64_t size = bits << 1;
    const uint64_t minus = size == 0 ? 0 : 0 - (bits >> 63); /* all ones below 0 */
    if (size > INFINITY_FIELD << (FRACTION_BITS + 1)) {
        words[LOG_NAN]++;
    } else {
        words[LOG_BINS + half + ((size >> shift) ^ minus)]++;
    }
}

static void log_consume(struct compute_body *b, const struct compute_reduce_spec *spec,
                        const struct compute_batch *batch)
{
    const size_t half = magnitudes(spec);
    const unsigned shift = FRACTION_BITS + 1 - spec->count;
    uint64_t *words = b->extra;
    if (batch->of == COMPUTE_REAL) {
        for (size_t i = 0; i < batch->count; i++) {
            log_count(words, half, shift, compute_bits_at(batch->values, i));
        }
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        const double v = compute_real_at(batch, i);
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        log_count(words, half, shift, bits);
    }
}

static int log_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      struct buf *into)
{
    const size_t words = bins_of(spec);
    uint32_t used = 0;
    for (size_t i = LOG_BINS; i < words; i++) {
        used += b->extra[i] != 0;
    }
    (void)buf_put_u64(into, b->extra[LOG_NAN]);
    (void)buf_put_u32(into, used);
    for (size_t i = LOG_BINS; i < words; i++) {
        if (b->extra[i] != 0) {
            (void)buf_put_u32(into, (uint32_t)(i - LOG_BINS));
            (void)buf_put_u64(into, b->extra[i]);
        }
    }
    return into->err;
}

static int log_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                      uint64_t first, struct bytes_reader *from)
{
    const size_t bins = bins_of(spec) - LOG_BINS;
    uint64_t sum = bytes_take_u64(from);
    const uint32_t used = bytes_take_u32(from);
    size_t next = 0;
    (void)first;
    if (from->failed || used > bins) {
        return ERR_PROTOCOL;
    }
    b->extra[LOG_NAN] = sum;
    for (uint32_t i = 0; i < used; i++) {
        const uint32_t bin = bytes_take_u32(from);
        const uint64_t records = bytes_take_u64(from);
        if (from->failed || bin < next || bin >= bins || records == 0 ||
            !num_add_u64(sum, records, &sum)) {
            return ERR_PROTOCOL;
        }
        b->extra[LOG_BINS + bin] = records;
        next = (size_t)bin + 1;
    }
    return sum == b->records ? 0 : ERR_PROTOCOL;
}

/* The ends of a bin, the one of less magnitude first. */
struct ends {
    double near;
    double far;
};

static struct ends ends_of(const struct compute_reduce_spec *spec, size_t bin)
{
    const size_t half = magnitudes(spec);
    const bool negative = bin < half;
    const uint64_t magnitude = negative ? half - 1 - bin : bin - half;
    const unsigned shift = FRACTION_BITS - spec->count;
    struct ends e = {.near = real_of_bits(magnitude << shift), .far = infinity(false)};
    if (magnitude + 1 < half) {
        e.far = real_of_bits((magnitude + 1) << shift);
    }
    if (negative) {
        e = (struct ends){.near = -e.near, .far = -e.far};
    }
    return e;
}

static int log_text(const struct compute_body *b, const struct compute_reduce_spec *spec,
                    struct buf *into)
{
    const size_t bins = bins_of(spec) - LOG_BINS;
    for (size_t i = 0; i < bins; i++) {
        const struct ends e = ends_of(spec, i);
        if (b->extra[LOG_BINS + i] != 0) {
            put_count(into, NUM_MIN(e.near, e.far), NUM_MAX(e.near, e.far), b->extra[LOG_BINS + i]);
        }
    }
    if (b->extra[LOG_NAN] > 0) {
        put_count(into, nan_of_text(), nan_of_text(), b->extra[LOG_NAN]);
    }
    return into->err;
}

const struct compute_sketch compute_sketch_log = {
    .init = log_init,
    .consume = log_consume,
    .merge = counts_merge,
    .encode = log_encode,
    .decode = log_decode,
    .text = log_text,
};

const struct compute_sketch compute_sketch_quantile = {
    .init = log_init,
    .consume = log_consume,
    .merge = counts_merge,
    .encode = log_encode,
    .decode = log_decode,
};

/* returns: the number that is off by the least part of itself from all of the bin:
 * 2 / (1 / near + 1 / far) (Masson, Rim, Lee, 2019, lemma 2). */
static double middle_of(struct ends e)
{
    const double most = 0x1.fffffffffffffp+1023;
    if (e.near == 0 || e.near > most || e.near < -most) {
        return e.near;
    }
    e.far = NUM_MAX(NUM_MIN(e.far, most), -most);
    return e.near + (e.far - e.near) / (1 + e.far / e.near);
}

int compute_quantile(const struct compute_body *b, const struct compute_reduce_spec *spec,
                     struct compute_value *out)
{
    const size_t bins = bins_of(spec) - LOG_BINS;
    if (b->records == 0) {
        return ERR_NOT_FOUND;
    }
    if (b->extra[LOG_NAN] > 0) {
        *out = compute_value_of_f64(nan_of_text());
        return 0;
    }
    uint64_t rank = (uint64_t)(spec->low * (double)(b->records - 1));
    rank = NUM_MIN(rank, b->records - 1); /* beyond 2^53 records the product is rounded */
    uint64_t seen = 0;
    for (size_t i = 0; i < bins; i++) {
        seen += b->extra[LOG_BINS + i];
        if (seen > rank) {
            *out = compute_value_of_f64(middle_of(ends_of(spec, i)));
            return 0;
        }
    }
    return ERR_CORRUPT; /* counts and records were held against one another */
}
