/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * gossip_report: results of gossip_sim --json, files of one cell each, as the tables of
 * docs/gossip-study.md. Intervals are 95 %: of medians and means by the bootstrap (2,000 samples of
 * the runs, a fixed seed), of the share of runs with a false death by Wilson.
 */
#include "base/err.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_RUNS_MAX 1000u
#define REPORT_NEVER_US 1e18
#define REPORT_CELLS_MAX 256u
#define REPORT_SAMPLES 2000u
#define REPORT_LINE_BYTES 1024u

enum report_field {
    REPORT_FIRST,
    REPORT_MOST,
    REPORT_DEATHS,
    REPORT_UNWELL,
    REPORT_CALM,
    REPORT_DETECT,
    REPORT_MEMORY,
    REPORT_FIELDS
};

static const char *const report_names[REPORT_FIELDS] = {
    "\"first_us\":",   "\"most_us\":",      "\"false_deaths\":", "\"false_unwell\":",
    "\"calm_bytes\":", "\"detect_bytes\":", "\"memory_bytes\":"};

struct report_cell {
    char rules[16];
    bool crash;
    unsigned long nodes, loss, starved;
    unsigned count;
    double values[REPORT_FIELDS][REPORT_RUNS_MAX];
};

static double report_number(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at == NULL ? 0 : strtod(at + strlen(name), NULL);
}

static void report_rules(const char *line, char out[16])
{
    const char *at = strstr(line, "\"rules\":\"");
    size_t i = 0;
    for (at = at == NULL ? "" : at + 9; i < 15 && at[i] != '\0' && at[i] != '"'; i++) {
        out[i] = at[i];
    }
    out[i] = '\0';
}

static bool report_read(struct report_cell *c, const char *path)
{
    char line[REPORT_LINE_BYTES];
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        return false;
    }
    memset(c, 0, sizeof(*c));
    while (c->count < REPORT_RUNS_MAX && fgets(line, sizeof(line), from) != NULL) {
        if (strstr(line, "}\n") == NULL) {
            continue;
        }
        report_rules(line, c->rules);
        c->crash = strstr(line, "\"kind\":\"crash\"") != NULL;
        c->nodes = (unsigned long)report_number(line, "\"nodes\":");
        c->loss = (unsigned long)report_number(line, "\"loss\":");
        c->starved = (unsigned long)report_number(line, "\"starved\":");
        for (unsigned f = 0; f < REPORT_FIELDS; f++) {
            c->values[f][c->count] = report_number(line, report_names[f]);
        }
        if (c->values[REPORT_MOST][c->count] <= 0) {
            c->values[REPORT_MOST][c->count] = REPORT_NEVER_US; /* not within the run */
        }
        c->count++;
    }
    (void)fclose(from);
    return c->count > 0;
}

static int report_compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y ? 1 : 0;
}

/* values: sorted. returns: the value that per_cent of them do not pass. */
static double report_quantile(const double *values, unsigned count, double per_cent)
{
    double place = (double)count * per_cent / 100;
    unsigned at = (unsigned)place;
    if ((double)at >= place && at > 0 && per_cent == 50 && count % 2 == 0) {
        return (values[at - 1] + values[at]) / 2;
    }
    return values[at < count ? at : count - 1];
}

static double report_mean(const double *values, unsigned count)
{
    double sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / count;
}

struct report_interval {
    double value, low, high;
};

static struct report_interval report_bootstrap(const double *values, unsigned count, bool median)
{
    static double sample[REPORT_RUNS_MAX], found[REPORT_SAMPLES];
    struct rng rng;
    rng_init(&rng, 1);
    for (unsigned k = 0; k <= REPORT_SAMPLES; k++) {
        for (unsigned i = 0; i < count; i++) {
            sample[i] = k == REPORT_SAMPLES ? values[i] : values[rng_below(&rng, count)];
        }
        double one;
        if (median) {
            qsort(sample, count, sizeof(sample[0]), report_compare);
            one = report_quantile(sample, count, 50);
        } else {
            one = report_mean(sample, count);
        }
        if (k < REPORT_SAMPLES) {
            found[k] = one;
        } else {
            qsort(found, REPORT_SAMPLES, sizeof(found[0]), report_compare);
            return (struct report_interval){one, found[REPORT_SAMPLES / 40],
                                            found[REPORT_SAMPLES - 1 - REPORT_SAMPLES / 40]};
        }
    }
    return (struct report_interval){0};
}

static double report_root(double v)
{
    double x = v > 1 ? v : 1;
    for (int i = 0; i < 60; i++) {
        x = (x + v / x) / 2;
    }
    return x;
}

/* Share of runs with at least one. */
static struct report_interval report_wilson(const double *values, unsigned count)
{
    double n = count, hits = 0, z = 1.96;
    for (unsigned i = 0; i < count; i++) {
        hits += values[i] > 0 ? 1 : 0;
    }
    double p = hits / n, scale = 1 + z * z / n, centre = (p + z * z / (2 * n)) / scale;
    double half = z * report_root(p * (1 - p) / n + z * z / (4 * n * n)) / scale;
    double low = centre - half;
    return (struct report_interval){p, low > 0 && hits > 0 ? low : 0, centre + half};
}

struct report_text {
    char text[24];
};

static struct report_text report_seconds(double us)
{
    struct report_text t;
    (void)snprintf(t.text, sizeof(t.text), us < REPORT_NEVER_US / 2 ? "%.2f" : "never", us / 1e6);
    return t;
}

static void report_crash(struct report_cell *c)
{
    static double sorted[REPORT_RUNS_MAX];
    struct report_interval most = report_bootstrap(c->values[REPORT_MOST], c->count, true);
    struct report_interval first = report_bootstrap(c->values[REPORT_FIRST], c->count, true);
    struct report_interval deaths = report_bootstrap(c->values[REPORT_DEATHS], c->count, false);
    struct report_interval share = report_wilson(c->values[REPORT_DEATHS], c->count);
    memcpy(sorted, c->values[REPORT_MOST], c->count * sizeof(sorted[0]));
    qsort(sorted, c->count, sizeof(sorted[0]), report_compare);
    struct report_text p99 = report_seconds(report_quantile(sorted, c->count, 99));
    struct report_text median = report_seconds(most.value);
    struct report_text low = report_seconds(most.low), high = report_seconds(most.high);
    (void)printf("| %lu | %lu %% | %s | %u | %.2f | %s (%s to %s) | %s | "
                 "%.2f (%.2f to %.2f) | %.0f %% (to %.0f %%) | %.0f | %.0f |\n",
                 c->nodes, c->loss, c->rules, c->count, first.value / 1e6, median.text, low.text,
                 high.text, p99.text, deaths.value, deaths.low, deaths.high, share.value * 100,
                 share.high * 100, report_mean(c->values[REPORT_CALM], c->count),
                 report_mean(c->values[REPORT_DETECT], c->count));
}

static void report_starved(struct report_cell *c)
{
    struct report_interval deaths = report_bootstrap(c->values[REPORT_DEATHS], c->count, false);
    struct report_interval unwell = report_bootstrap(c->values[REPORT_UNWELL], c->count, false);
    struct report_interval share = report_wilson(c->values[REPORT_DEATHS], c->count);
    (void)printf("| %lu %% | %lu | %s | %u | %.2f (%.2f to %.2f) | %.0f %% (%.0f to %.0f) | "
                 "%.2f (%.2f to %.2f) | %.0f |\n",
                 c->loss, c->starved, c->rules, c->count, deaths.value, deaths.low, deaths.high,
                 share.value * 100, share.low * 100, share.high * 100, unwell.value, unwell.low,
                 unwell.high, report_mean(c->values[REPORT_CALM], c->count));
}

static int report_order(const void *a, const void *b)
{
    const struct report_cell *const *x = a, *const *y = b;
    const unsigned long p[] = {(*y)->crash, (*x)->nodes, (*x)->loss, (*x)->starved};
    const unsigned long q[] = {(*x)->crash, (*y)->nodes, (*y)->loss, (*y)->starved};
    for (unsigned i = 0; i < 4; i++) {
        if (p[i] != q[i]) {
            return p[i] < q[i] ? -1 : 1;
        }
    }
    return strcmp((*x)->rules, (*y)->rules);
}

int main(int argc, char **argv)
{
    static struct report_cell *cells[REPORT_CELLS_MAX];
    unsigned count = 0;
    for (int i = 1; i < argc && count < REPORT_CELLS_MAX; i++) {
        cells[count] = malloc(sizeof(**cells));
        ASSERT(cells[count] != NULL);
        if (report_read(cells[count], argv[i])) {
            count++;
        } else {
            free(cells[count]);
        }
    }
    qsort(cells, count, sizeof(cells[0]), report_order);
    bool crash = false, starved = false;
    for (unsigned i = 0; i < count; i++) {
        if (cells[i]->crash && !crash) {
            (void)puts("| nodes | loss | rules | runs | first s, median | 99 % know s, median | "
                       "p99 s | false deaths a run | runs with any | bytes calm | bytes after |\n"
                       "|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        } else if (!cells[i]->crash && !starved) {
            (void)puts("\n| loss | starved | rules | runs | false deaths a run | runs with any | "
                       "at starved nodes, a run | bytes |\n|--:|--:|---|--:|--:|--:|--:|--:|");
        }
        crash = crash || cells[i]->crash;
        starved = starved || !cells[i]->crash;
        if (cells[i]->crash) {
            report_crash(cells[i]);
        } else {
            report_starved(cells[i]);
        }
        free(cells[i]);
    }
    return count > 0 ? 0 : 1;
}
