/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * sim: runs seeds and prints a line for each that fails, then a summary.
 */
#include "tests/sim/sim.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: sim [--seed N | --seeds A-B] [options]\n"
    "  --seed N         one run; prints its trace hash\n"
    "  --seeds A-B      runs A to B, stops at the first that fails\n"
    "  --seconds S      simulated seconds with faults (default 60)\n"
    "  --nodes N        1 to 7 (default 3, or by the seed: --mix)\n"
    "  --groups G       data groups (default 1)\n"
    "  --clients C      key-value clients (default 5)\n"
    "  --ops R          their operations a second, together (default 20)\n"
    "  --ec K+M         object clients with this code too\n"
    "  --eventual       clients of eventual mode too\n"
    "  --mix            nodes, groups and objects chosen by the seed, as the tests do\n"
    "  --down N         N nodes die soon and stay dead until the end\n"
    "  --out S          nodes that are dead for S seconds are out of the cluster\n"
    "  --no-faults      a calm run\n"
    "  --no-rot         no bit rot\n"
    "  --history FILE   writes the history of the (last) run as JSON lines\n"
    "  --verbose        log lines of the nodes on stderr\n";

struct sim_main {
    struct sim_options options;
    uint64_t first, last;
    const char *history;
    bool mix;
    uint64_t events;
    uint64_t trace;
    uint64_t crashes, partitions, duels, rots, ok, info, objects, updates, reads;
};

static uint64_t sim_main_number(const char *text, char **end)
{
    return strtoull(text, end, 10);
}

static bool sim_main_value(struct sim_main *m, const char *name, const char *value)
{
    char *end = NULL;
    uint64_t number = sim_main_number(value, &end);
    if (strcmp(name, "--history") == 0) {
        m->history = value;
        return true;
    }
    if (end == value) {
        return false;
    }
    if (strcmp(name, "--seed") == 0) {
        m->first = m->last = number;
    } else if (strcmp(name, "--seeds") == 0 && *end == '-') {
        m->first = number;
        m->last = sim_main_number(end + 1, &end);
    } else if (strcmp(name, "--seconds") == 0) {
        m->options.seconds = number;
    } else if (strcmp(name, "--nodes") == 0 && number >= 1 && number <= SIM_NODES_MAX) {
        m->options.nodes = (unsigned)number;
    } else if (strcmp(name, "--groups") == 0 && number >= 1 && number <= SIM_GROUPS_MAX) {
        m->options.groups = (unsigned)number;
    } else if (strcmp(name, "--clients") == 0 && number < SIM_BURST_CLIENT) {
        m->options.clients = (unsigned)number;
    } else if (strcmp(name, "--down") == 0 && number < m->options.nodes) {
        m->options.down = (unsigned)number;
    } else if (strcmp(name, "--out") == 0) {
        m->options.out_us = number * SIM_S;
    } else if (strcmp(name, "--ops") == 0) {
        m->options.ops_per_second = (unsigned)number;
    } else if (strcmp(name, "--ec") == 0 && *end == '+') {
        m->options.k = (unsigned)number;
        m->options.m = (unsigned)sim_main_number(end + 1, &end);
    } else {
        return false;
    }
    return *end == '\0';
}

static bool sim_main_args(struct sim_main *m, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mix") == 0) {
            m->mix = true;
        } else if (strcmp(argv[i], "--eventual") == 0) {
            m->options.eventual = true;
        } else if (strcmp(argv[i], "--no-faults") == 0) {
            m->options.faults = false;
        } else if (strcmp(argv[i], "--no-rot") == 0) {
            m->options.rot = false;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            m->options.verbose = true;
        } else if (i + 1 < argc && sim_main_value(m, argv[i], argv[i + 1])) {
            i++;
        } else {
            return false;
        }
    }
    return true;
}

/* The stream of the tests: mostly three nodes and keys; some runs have five nodes, two data
 * groups, or objects. A third of all has clients of eventual mode. */
static void sim_main_mix(struct sim_options *o)
{
    static const uint8_t codes[][3] = {{2, 1, 3}, {3, 2, 5}, {4, 2, 6}, {2, 1, 4}, {8, 3, 5}};
    if (o->seed % 10 == 3) {
        o->nodes = 5;
    } else if (o->seed % 10 == 5) {
        o->groups = 2;
    } else if (o->seed % 10 == 7) {
        const uint8_t *code = codes[o->seed / 10 % 5];
        o->k = code[0];
        o->m = code[1];
        o->nodes = code[2];
        o->out_us = o->seed / 50 % 2 * 2 * SIM_S;
    }
    o->eventual = o->eventual || o->seed % 3 == 2;
}

/* An assertion of the product ends the process: say which seed it was. */
static uint64_t sim_main_seed;

static void sim_main_aborted(int number)
{
    (void)number;
    (void)printf("seed %llu failed: assert: a condition of the product broke, see above\n",
                 (unsigned long long)sim_main_seed);
    (void)fflush(stdout);
    _Exit(1);
}

static bool sim_main_run(struct sim_main *m, uint64_t seed)
{
    sim_main_seed = seed;
    struct sim *s = malloc(sizeof(*s));
    ASSERT(s != NULL);
    struct sim_options options = m->options;
    options.seed = seed;
    if (m->mix) {
        sim_main_mix(&options);
    }
    sim_init(s, &options);
    bool ok = sim_run(s);
    m->events += s->counters.events;
    m->trace = s->trace;
    m->crashes += s->counters.crashes;
    m->partitions += s->counters.partitions;
    m->duels += s->counters.duels;
    m->rots += s->counters.rots;
    m->ok += s->counters.ops_ok;
    m->info += s->counters.ops_info;
    m->objects += s->counters.objects_ok;
    m->updates += s->counters.updates_ok;
    m->reads += s->counters.reads_ok;
    if (!ok) {
        (void)printf("seed %llu failed: %s\n", (unsigned long long)seed, s->failure);
    }
    if (m->history != NULL) {
        FILE *to = fopen(m->history, "w");
        ok = to != NULL && sim_clients_write(s, to) && ok;
        if (to != NULL) {
            (void)fclose(to);
        }
    }
    sim_release(s);
    free(s);
    return ok;
}

int main(int argc, char **argv)
{
    struct sim_main m = {.options = {.nodes = 3,
                                     .groups = 1,
                                     .seconds = 60,
                                     .clients = 5,
                                     .ops_per_second = 20,
                                     .faults = true,
                                     .rot = true,
                                     .wal_segment_bytes = 256u << 10},
                         .first = 1,
                         .last = 1};
    struct timespec from, to;
    if (!sim_main_args(&m, argc, argv) || m.last < m.first) {
        (void)fputs(usage, stderr);
        return 2;
    }
    bool ok = true;
    uint64_t runs = 0;
    (void)signal(SIGABRT, sim_main_aborted);
    /* nodes come and go many times a run: their memory is kept, not given back and faulted in */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (uint64_t seed = m.first; ok && seed <= m.last; seed++, runs++) {
        ok = sim_main_run(&m, seed);
        if (m.first != m.last && runs % 50 == 49) {
            (void)fflush(stdout);
        }
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double cpu = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    (void)printf("runs=%llu seconds=%llu events=%llu events_per_cpu_second=%.0f times_real=%.0f "
                 "crashes=%llu partitions=%llu duels=%llu rots=%llu ok=%llu info=%llu objects=%llu "
                 "updates=%llu reads=%llu trace=%016llx\n",
                 (unsigned long long)runs, (unsigned long long)(runs * m.options.seconds),
                 (unsigned long long)m.events, (double)m.events / cpu,
                 (double)(runs * m.options.seconds) / cpu, (unsigned long long)m.crashes,
                 (unsigned long long)m.partitions, (unsigned long long)m.duels,
                 (unsigned long long)m.rots, (unsigned long long)m.ok, (unsigned long long)m.info,
                 (unsigned long long)m.objects, (unsigned long long)m.updates,
                 (unsigned long long)m.reads, (unsigned long long)m.trace);
    return ok ? 0 : 1;
}
