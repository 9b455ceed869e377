/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One-core rates of the kernels under operators, next to memcpy in the same run: over an array far
 * larger than the caches, and over one that fits the second level. Rounds go over all rows in turn,
 * so that a busy machine slows them alike; a row's ratio is the median over rounds of its rate to
 * memcpy's over the same bytes in the same round. Rates count bytes read, for memcpy bytes copied,
 * by the time that the processor spent here.
 *
 *   bench_compute [rounds [MiB [PART]]]    PART: of the names of the rows beside memcpy
 */
#include "base/num.h"
#include "base/rng.h"
#include "bench/words.h"
#include "compute/exact.h"
#include "compute/range.h"
#include "compute/reduce.h"
#include "compute/scan.h"
#include "compute/task.h"
#include "compute/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 30u
#define ROUNDS_MAX 10000u
#define ROWS_MAX 64u
#define BY_WORD "words | by $0 count"
#define MIB_DEFAULT 64u
#define MIB_MAX 4096u
#define CACHED_BYTES (256u << 10)
#define CACHED_TIMES 64u
#define PIECE_BYTES ((size_t)256 << 10) /* as `holdfast run --local` reads */

struct row {
    const char *name;
    void (*run)(const struct row *row, const uint8_t *data, size_t bytes);
    enum compute_lanes lanes;
    bool of_doubles;
    uint8_t *const *data; /* NULL: doubles or whole numbers */
    const char *of;       /* what is printed of it; or NULL */
    enum compute_op op;   /* run_reduce */
};

/* What a kernel is to reach in memory, of memcpy; of words, in millions a second. */
static const struct {
    const char *name;
    double of_memcpy;
} goals[] = {
    {"exact sum of f64", 1.2},
    {"sum of i64", 1.6},
    {"min and max of f64", 1.6},
    {"min and max of i64", 1.6},
    {"operator sum of f64", 1.2},
    {"operator sum of i64", 1.6},
    {"operator min of f64", 1.6},
    {"operator max of i64", 1.6},
    {"scan of i64", 1.2},
    {"scan of i64 in place", 1.2},
    {"i64 | scan sum", 1.2},
    {"newlines", 1.5},
    {"histogram of f64, 1,024 bins", 0.5},
    {"csv | where $3 >= 900 | select $1, $4", 0.1},
};
#define GOALS (sizeof(goals) / sizeof(goals[0]))
#define WORDS_GOAL 25.0

struct bench {
    uint8_t *reals;
    uint8_t *wholes;
    uint8_t *steps;  /* whole numbers whose sums leave no range */
    uint8_t *table;  /* CSV */
    uint8_t *quoted; /* likewise, a field of each line in quotes */
    uint8_t *text;   /* words */
    struct words words;
    uint8_t *copy;
    uint8_t *scanned; /* in place, again and again */
    size_t bytes;
    struct row rows[ROWS_MAX];
    unsigned rows_count;
    unsigned rounds;
    double sink; /* keeps results from being optimised away */
    double *rates;
};

static struct bench bench;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run_memcpy(const struct row *row, const uint8_t *data, size_t bytes)
{
    (void)row;
    memcpy(bench.copy, data, bytes);
}

static void run_exact_f64(const struct row *row, const uint8_t *data, size_t bytes)
{
    struct compute_exact e;
    compute_exact_init(&e);
    compute_exact_add_f64s_by(row->lanes, &e, data, bytes / sizeof(double));
    bench.sink += compute_exact_round(&e);
}

static void run_sum_i64(const struct row *row, const uint8_t *data, size_t bytes)
{
    struct compute_exact e;
    compute_exact_init(&e);
    compute_exact_add_i64s_by(row->lanes, &e, data, bytes / sizeof(int64_t));
    bench.sink += compute_exact_round(&e);
}

/* The least and the greatest at once: what min and max cost, either one or both. */
static void run_range(const struct row *row, const uint8_t *data, size_t bytes)
{
    const struct compute_range range = compute_range_by(
        row->lanes, data, bytes / 8, row->of_doubles ? COMPUTE_REAL : COMPUTE_SIGNED);
    bench.sink += (double)(range.most - range.least);
}

static void scan(const struct row *row, const uint8_t *data, uint8_t *to, size_t bytes)
{
    const struct compute_scan_sums how = {.is_signed = true};
    const struct compute_scan_span span = {.from = data, .to = to, .count = bytes / 8};
    uint64_t carry = 0;
    bench.sink += (double)compute_scan_sums_by(row->lanes, &how, &span, &carry);
}

/* From one array to another, as memcpy. */
static void run_scan(const struct row *row, const uint8_t *data, size_t bytes)
{
    scan(row, data, bench.copy, bytes);
}

static void run_scan_in_place(const struct row *row, const uint8_t *data, size_t bytes)
{
    (void)data;
    scan(row, bench.scanned, bench.scanned, bytes);
}

/* Sums of doubles, each rounded once. */
static void run_running(const struct row *row, const uint8_t *data, size_t bytes)
{
    const struct compute_scan_span span = {.from = data, .to = bench.copy, .count = bytes / 8};
    struct compute_running running;
    (void)row;
    compute_running_init(&running);
    bench.sink += compute_running_scan(&running, 0, false, &span);
}

static void run_newlines(const struct row *row, const uint8_t *data, size_t bytes)
{
    bench.sink += (double)compute_text_newlines_by(row->lanes, data, bytes);
}

/* returns: where the last line ends: a table may be cut within quotes. */
static size_t whole_lines(const uint8_t *data, size_t bytes)
{
    while (bytes > 0 && data[bytes - 1] != '\n') {
        bytes--;
    }
    return bytes;
}

/* A whole program, whose text is the row's name, with all that it prints but for the printing. */
static void run_program(const struct row *row, const uint8_t *data, size_t bytes)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    if (row->data == &bench.table || row->data == &bench.quoted) {
        bytes = whole_lines(data, bytes);
    }
    ASSERT(compute_program_new(&p, &heap, bytes_of_text(row->name), NULL) == 0);
    ASSERT(compute_task_new(&t, &heap, p, &options, NULL) == 0);
    for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
        const struct bytes piece = bytes_of(data + at, NUM_MIN(bytes - at, PIECE_BYTES));
        ASSERT(compute_task_update(t, piece) == 0);
        bench.sink += (double)compute_task_output(t).size;
        compute_task_output_clear(t);
    }
    ASSERT(compute_task_finish(t, NULL) == 0);
    compute_task_free(t);
    compute_program_free(p);
}

/* A whole operator: span, choice of kernel, encoded state. */
static void run_reduce(const struct row *row, const uint8_t *data, size_t bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce_spec spec = {
        .op = row->op, .type = row->of_doubles ? COMPUTE_F64 : COMPUTE_I64, .record_bytes = 8};
    struct compute_reduce *r = NULL;
    struct buf state;
    if (row->op == COMPUTE_OP_HISTOGRAM) {
        spec.count = 1024;
        spec.low = -0x1p62;
        spec.high = 0x1p62;
    }
    spec.count = row->op == COMPUTE_OP_QUANTILE || row->op == COMPUTE_OP_LOG ? 7 : spec.count;
    spec.count = row->op == COMPUTE_OP_TOP ? 10 : spec.count;
    buf_init(&state, &heap, 16u << 20);
    ASSERT(compute_reduce_new(&r, &heap, &spec, 0, NULL) == 0);
    ASSERT(compute_reduce_update(r, bytes_of(data, bytes)) == 0);
    ASSERT(compute_reduce_encode(r, &state) == 0);
    bench.sink += (double)state.size;
    buf_release(&state);
    compute_reduce_free(r);
}

/* Leaves out rows that were not asked for. */
static void keep_rows(const char *part)
{
    unsigned kept = 1;
    for (unsigned i = 1; i < bench.rows_count; i++) {
        if (strstr(bench.rows[i].name, part) != NULL) {
            bench.rows[kept++] = bench.rows[i];
        }
    }
    bench.rows_count = kept;
}

static void add_reduce(const char *name, enum compute_op op, bool of_doubles)
{
    ASSERT(bench.rows_count < ROWS_MAX);
    bench.rows[bench.rows_count++] = (struct row){.name = name,
                                                  .run = run_reduce,
                                                  .lanes = compute_lanes_pick(),
                                                  .of_doubles = of_doubles,
                                                  .op = op};
}

static void add(const char *name, enum compute_lanes lanes, bool of_doubles,
                void (*run)(const struct row *row, const uint8_t *data, size_t bytes))
{
    ASSERT(bench.rows_count < ROWS_MAX);
    if (compute_lanes_runs(lanes)) {
        bench.rows[bench.rows_count++] =
            (struct row){.name = name, .run = run, .lanes = lanes, .of_doubles = of_doubles};
    }
}

static void add_program(const char *text, enum compute_lanes lanes, uint8_t *const *data)
{
    add(text, lanes, false, run_program);
    bench.rows[bench.rows_count - 1].data = data;
}

static void add_rows(void)
{
    add("memcpy", COMPUTE_LANES_PLAIN, true, run_memcpy);
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("exact sum of f64", v, true, run_exact_f64);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("sum of i64", v, false, run_sum_i64);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("min and max of f64", v, true, run_range);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("min and max of i64", v, false, run_range);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("scan of i64", v, false, run_scan);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        add("scan of i64 in place", v, false, run_scan_in_place);
    }
    add("newlines", COMPUTE_LANES_PLAIN, false, run_newlines);
    if (compute_text_lanes() != COMPUTE_LANES_PLAIN) {
        add("newlines", compute_text_lanes(), false, run_newlines);
    }
    add("exact scan of f64", COMPUTE_LANES_PLAIN, true, run_running);
    add_program("lines | count", compute_text_lanes(), &bench.wholes);
    add_program("words | count", compute_text_lanes(), &bench.text);
    add_program(BY_WORD, compute_text_lanes(), &bench.text);
    add_program("csv | where $3 >= 900 | select $1, $4", compute_text_lanes(), &bench.table);
    add_program("csv | where $3 >= 900 | select $1, $4", compute_text_lanes(), &bench.quoted);
    bench.rows[bench.rows_count - 1].of = ", quotes";
    add_program("csv | by $2 sum $3", compute_text_lanes(), &bench.table);
    add_program("i64 | scan sum", compute_lanes_pick(), &bench.steps);
    add_program("i64 | scan or", compute_lanes_pick(), &bench.wholes);
    add_program("i64 | scan min", compute_lanes_pick(), &bench.wholes);
    add_program("f64 | scan max", compute_lanes_pick(), &bench.reals);
    add_program("f64 | scan sum", compute_lanes_pick(), &bench.reals);
    add_reduce("operator sum of f64", COMPUTE_OP_SUM, true);
    add_reduce("operator sum of i64", COMPUTE_OP_SUM, false);
    add_reduce("operator min of f64", COMPUTE_OP_MIN, true);
    add_reduce("operator max of i64", COMPUTE_OP_MAX, false);
    add_reduce("operator var of f64", COMPUTE_OP_VAR, true);
    add_reduce("operator dot of f64", COMPUTE_OP_DOT, true);
    add_reduce("histogram of f64, 1,024 bins", COMPUTE_OP_HISTOGRAM, true);
    add_reduce("log of f64, 128 parts", COMPUTE_OP_LOG, true);
    add_reduce("quantile of f64", COMPUTE_OP_QUANTILE, true);
    add_reduce("distinct of f64", COMPUTE_OP_DISTINCT, true);
    add_reduce("top 10 of f64", COMPUTE_OP_TOP, true);
}

/* returns: bytes a nanosecond. */
static double rate_of(const struct row *row, size_t bytes, unsigned times)
{
    const uint8_t *usual = row->of_doubles ? bench.reals : bench.wholes;
    const uint8_t *data = row->data != NULL ? *row->data : usual;
    row->run(row, data, bytes); /* caches as this row leaves them, not as the one before did */
    const uint64_t start = now_ns();
    for (unsigned i = 0; i < times; i++) {
        row->run(row, data, bytes);
    }
    const uint64_t took = NUM_MAX(now_ns() - start, 1);
    return (double)bytes * times / (double)took;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* returns: a text, empty for a row without a goal. */
static const char *goal_of(const char *name, size_t bytes)
{
    static char text[16];
    text[0] = '\0';
    for (size_t i = 0; i < GOALS && bytes > CACHED_BYTES; i++) {
        if (strcmp(goals[i].name, name) == 0) {
            (void)snprintf(text, sizeof(text), "%.1f", goals[i].of_memcpy);
        }
    }
    return text;
}

/* rate: bytes a nanosecond. */
static void report_words(double rate, size_t bytes)
{
    size_t words = 0;
    for (size_t i = 0; i < bytes; i++) {
        words += bench.text[i] == ' ' || bench.text[i] == '\n';
    }
    printf("words by themselves: %.1f million a second, to be %.0f\n",
           rate * 1e3 * (double)words / (double)bytes, WORDS_GOAL);
}

static void report(const double *rates, size_t bytes)
{
    static double sorted[ROUNDS_MAX];
    static double ratios[ROUNDS_MAX];
    double words = 0;
    printf("%-54s %10s %10s %12s %6s\n", "", "p50 GB/s", "worst", "of memcpy", "goal");
    for (unsigned i = 0; i < bench.rows_count; i++) {
        char name[64];
        for (unsigned round = 0; round < bench.rounds; round++) {
            sorted[round] = rates[(size_t)i * bench.rounds + round];
            ratios[round] = sorted[round] / rates[round];
        }
        qsort(sorted, bench.rounds, sizeof(*sorted), by_size);
        qsort(ratios, bench.rounds, sizeof(*ratios), by_size);
        const struct row *row = &bench.rows[i];
        (void)snprintf(name, sizeof(name), "%s%s%s%s", row->name, i == 0 ? "" : ", ",
                       i == 0 ? "" : compute_lanes_name(row->lanes),
                       row->of != NULL ? row->of : "");
        printf("%-54s %10.2f %10.2f %12.3f %6s\n", name, sorted[bench.rounds / 2], sorted[0],
               ratios[bench.rounds / 2], goal_of(bench.rows[i].name, bytes));
        words = strcmp(bench.rows[i].name, BY_WORD) == 0 ? sorted[bench.rounds / 2] : words;
    }
    if (words > 0 && bytes > CACHED_BYTES) {
        report_words(words, bytes);
    }
}

static void measure(size_t bytes, unsigned times)
{
    for (unsigned round = 0; round < bench.rounds; round++) {
        for (unsigned i = 0; i < bench.rows_count; i++) {
            bench.rates[(size_t)i * bench.rounds + round] = rate_of(&bench.rows[i], bytes, times);
        }
    }
    printf("%u rounds over %zu KiB, %u times each\n", bench.rounds, bytes >> 10, times);
    report(bench.rates, bytes);
}

/* Lines of CSV of five fields, some 30 bytes; the last one may be cut. quotes: around names. */
static void fill_table(struct rng *r, uint8_t *table, const char *quotes)
{
    size_t left = bench.bytes;
    for (unsigned line = 0; left > 0; line++) {
        char text[64];
        const unsigned number = (unsigned)rng_below(r, 1000);
        const unsigned part = (unsigned)rng_below(r, 10000);
        const int size = snprintf(text, sizeof(text), "%u,%sname%u%s,%u,0.%04u,EUR\n", line, quotes,
                                  line % 977, quotes, number, part);
        const size_t bytes = NUM_MIN((size_t)size, left);
        memcpy(table, text, bytes);
        table += bytes;
        left -= bytes;
    }
}

static void fill_text(struct rng *r)
{
    uint8_t word[WORDS_BYTES_MAX];
    words_init(&bench.words);
    for (size_t at = 0; at < bench.bytes;) {
        const size_t bytes = words_put(&bench.words, r, word);
        const size_t part = NUM_MIN(bytes, bench.bytes - at);
        memcpy(bench.text + at, word, part);
        at += part;
    }
}

/* Doubles with 20 binary orders of magnitude, of both signs; whole numbers of all 64 bits; and of
 * 21. */
static void fill(void)
{
    struct rng r;
    rng_init(&r, 1);
    rng_fill(&r, bench.wholes, bench.bytes);
    rng_fill(&r, bench.scanned, bench.bytes);
    for (size_t at = 0; at < bench.bytes; at += sizeof(double)) {
        const double value = (double)(int64_t)rng_next(&r) / (double)(1u << rng_below(&r, 21));
        memcpy(bench.reals + at, &value, sizeof(value));
        num_put_u64(bench.steps + at, (uint64_t)rng_below(&r, 1u << 21) - (1u << 20));
    }
    fill_table(&r, bench.table, "");
    fill_table(&r, bench.quoted, "\"");
    fill_text(&r);
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : (long)ROUNDS_DEFAULT;
    const long mib = argc > 2 ? strtol(argv[2], NULL, 10) : (long)MIB_DEFAULT;
    if (rounds < 1 || rounds > (long)ROUNDS_MAX || mib < 1 || mib > (long)MIB_MAX) {
        (void)fprintf(stderr, "usage: bench_compute [rounds, 1 to %u [MiB, 1 to %u [PART]]]\n",
                      ROUNDS_MAX, MIB_MAX);
        return 2;
    }
    bench.rounds = (unsigned)rounds;
    bench.bytes = (size_t)mib << 20;
    bench.reals = aligned_alloc(4096, bench.bytes);
    bench.wholes = aligned_alloc(4096, bench.bytes);
    bench.steps = aligned_alloc(4096, bench.bytes);
    bench.table = aligned_alloc(4096, bench.bytes);
    bench.quoted = aligned_alloc(4096, bench.bytes);
    bench.text = aligned_alloc(4096, bench.bytes);
    bench.copy = aligned_alloc(4096, bench.bytes);
    bench.scanned = aligned_alloc(4096, bench.bytes);
    bench.rates = calloc((size_t)bench.rounds * ROWS_MAX, sizeof(*bench.rates));
    if (bench.reals == NULL || bench.wholes == NULL || bench.steps == NULL || bench.table == NULL ||
        bench.quoted == NULL || bench.text == NULL || bench.copy == NULL || bench.scanned == NULL ||
        bench.rates == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        return 1;
    }
    fill();
    add_rows();
    keep_rows(argc > 3 ? argv[3] : "");
    measure(bench.bytes, 1);
    measure(CACHED_BYTES, CACHED_TIMES);
    free(bench.reals);
    free(bench.wholes);
    free(bench.steps);
    free(bench.table);
    free(bench.quoted);
    free(bench.text);
    free(bench.copy);
    free(bench.scanned);
    free(bench.rates);
    return bench.sink == 0;
}
