/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * gossip_sim: runs a scenario, or seeds of one cell of the comparison of rules.
 */
#include "tests/gossip/gsim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: gossip_sim --scenario NAME [options]    exit 1 if it fails\n"
    "       gossip_sim [options]                    one cell; a line of results a seed\n"
    "       gossip_sim --list\n"
    "  --seed N | --seeds A-B   (default 1)\n"
    "  --nodes N                2 to 10000 (cell: 128)\n"
    "  --rules default|memberlist|plain\n"
    "  --loss P                 per cent of datagrams lost\n"
    "  --starved N              nodes that are blocked and open in turn; without, a crash\n"
    "  --blocked MS --open MS   (16000 and 1000)\n"
    "  --stalled                a starved process stops as a whole, its timers too\n"
    "  --seconds S              of a cell, at least; of a starved one, exactly (default 60)\n"
    "  --delay US --jitter US   one way (100, and even up to 400 more)\n"
    "  --duplicate P --reorder P  per cent of datagrams\n"
    "  --calm                   no crash\n"
    "  --sealed                 packets go through the real envelope\n"
    "  --json                   results as JSON lines\n"
    "  --verbose                every change of a member on stderr\n";

struct gsim_main {
    struct gsim_options options;
    uint64_t first, last;
    const char *scenario, *rules;
    bool json, starved, list;
};

static bool gsim_main_rules(struct gsim_main *m, const char *name)
{
    m->rules = name;
    if (strcmp(name, "default") == 0) {
        m->options.rules = gossip_rules_default();
    } else if (strcmp(name, "memberlist") == 0 || strcmp(name, "plain") == 0) {
        m->options.rules = gossip_rules_memberlist();
        if (name[0] == 'p') {
            gsim_rules_plain(&m->options.rules);
        }
    } else {
        return false;
    }
    return true;
}

static bool gsim_main_value(struct gsim_main *m, const char *name, const char *value)
{
    struct gsim_options *o = &m->options;
    if (strcmp(name, "--scenario") == 0) {
        m->scenario = value;
        return true;
    }
    if (strcmp(name, "--rules") == 0) {
        return gsim_main_rules(m, value);
    }
    char *end = NULL;
    uint64_t number = strtoull(value, &end, 10);
    if (end == value) {
        return false;
    }
    if (strcmp(name, "--seed") == 0) {
        m->first = m->last = number;
    } else if (strcmp(name, "--seeds") == 0 && *end == '-') {
        m->first = number;
        m->last = strtoull(end + 1, &end, 10);
    } else if (strcmp(name, "--nodes") == 0 && number >= 2 && number <= GSIM_NODES_MAX) {
        o->nodes = (uint32_t)number;
    } else if (strcmp(name, "--loss") == 0 && number <= 100) {
        o->loss_ppm = (uint32_t)number * 10000;
    } else if (strcmp(name, "--duplicate") == 0 && number <= 100) {
        o->duplicate_ppm = (uint32_t)number * 10000;
    } else if (strcmp(name, "--reorder") == 0 && number <= 100) {
        o->reorder_ppm = (uint32_t)number * 10000;
    } else if (strcmp(name, "--starved") == 0) {
        o->starved = (uint32_t)number;
        m->starved = true;
    } else if (strcmp(name, "--blocked") == 0 && number > 0) {
        o->blocked_us = number * GSIM_MS;
    } else if (strcmp(name, "--open") == 0 && number > 0) {
        o->open_us = number * GSIM_MS;
    } else if (strcmp(name, "--seconds") == 0) {
        o->seconds = number;
    } else if (strcmp(name, "--delay") == 0) {
        o->delay_us = (uint32_t)number;
    } else if (strcmp(name, "--jitter") == 0) {
        o->jitter_us = (uint32_t)number;
    } else {
        return false;
    }
    return *end == '\0';
}

static bool gsim_main_args(struct gsim_main *m, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            m->json = true;
        } else if (strcmp(argv[i], "--sealed") == 0) {
            m->options.sealed = true;
        } else if (strcmp(argv[i], "--stalled") == 0) {
            m->options.stalled = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            m->options.verbose = true;
        } else if (strcmp(argv[i], "--calm") == 0) {
            m->starved = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            m->list = true;
        } else if (i + 1 < argc && gsim_main_value(m, argv[i], argv[i + 1])) {
            i++;
        } else {
            return false;
        }
    }
    return m->first <= m->last;
}

static double gsim_main_cpu(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const struct gsim_scenario *gsim_main_find(const char *name)
{
    for (unsigned i = 0; i < gsim_scenarios_count; i++) {
        if (strcmp(gsim_scenarios[i].name, name) == 0) {
            return &gsim_scenarios[i];
        }
    }
    for (unsigned i = 0; i < gsim_storms_count; i++) {
        if (strcmp(gsim_storms[i].name, name) == 0) {
            return &gsim_storms[i];
        }
    }
    return NULL;
}

static bool gsim_main_scenario(const struct gsim_main *m, const struct gsim_scenario *scenario,
                               struct gsim_arena *arena, uint64_t seed)
{
    struct gsim s = {0};
    struct gsim_options options = m->options;
    options.seed = seed;
    options.heap = options.nodes <= 1000;
    double from = gsim_main_cpu();
    bool ok = scenario->run(&s, &options, arena);
    (void)printf("%s %s %s seed=%llu trace=%016llx cpu_s=%.2f%s%s\n", ok ? "ok" : "FAILED",
                 scenario->name, scenario->row, (unsigned long long)seed,
                 (unsigned long long)s.trace, gsim_main_cpu() - from, ok ? "" : ": ", s.failure);
    return ok;
}

static void gsim_main_cell(const struct gsim_main *m, struct gsim_arena *arena, uint64_t seed)
{
    struct gsim_options options = m->options;
    struct gsim_outcome r;
    options.seed = seed;
    options.nodes = options.nodes == 0 ? 128 : options.nodes;
    double from = gsim_main_cpu();
    if (m->starved) {
        gsim_study_starved(&options, arena, &r);
    } else {
        gsim_study_crash(&options, arena, &r);
    }
    const char *form =
        m->json ? "{\"rules\":\"%s\",\"kind\":\"%s\",\"nodes\":%u,\"loss\":%u,\"starved\":%u,"
                  "\"seed\":%llu,\"first_us\":%llu,\"half_us\":%llu,\"most_us\":%llu,"
                  "\"false_deaths\":%llu,\"false_subjects\":%llu,\"false_unwell\":%llu,"
                  "\"false_suspects\":%llu,\"calm_bytes\":%llu,\"detect_bytes\":%llu,"
                  "\"calm_packets\":%llu,\"detect_packets\":%llu,\"run_us\":%llu,"
                  "\"memory_bytes\":%llu,\"events\":%llu,\"trace\":\"%016llx\",\"cpu_s\":%.2f}\n"
                : "rules=%s kind=%s nodes=%u loss=%u starved=%u seed=%llu first_us=%llu "
                  "half_us=%llu most_us=%llu false_deaths=%llu false_subjects=%llu "
                  "false_unwell=%llu false_suspects=%llu calm_bytes=%llu detect_bytes=%llu "
                  "calm_packets=%llu detect_packets=%llu run_us=%llu memory_bytes=%llu "
                  "events=%llu trace=%016llx cpu_s=%.2f\n";
    const unsigned long long n[] = {
        seed,           r.first_us,       r.half_us,      r.most_us,
        r.false_deaths, r.false_subjects, r.false_unwell, r.false_suspects,
        r.calm_bytes,   r.detect_bytes,   r.calm_packets, r.detect_packets,
        r.run_us,       r.memory_bytes,   r.events,       r.trace};
    (void)printf(form, m->rules, m->starved ? "starved" : "crash", options.nodes,
                 options.loss_ppm / 10000, options.starved, n[0], n[1], n[2], n[3], n[4], n[5],
                 n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15],
                 gsim_main_cpu() - from);
    (void)fflush(stdout);
}

static void gsim_main_list(void)
{
    for (unsigned i = 0; i < gsim_scenarios_count; i++) {
        (void)printf("%s %s\n", gsim_scenarios[i].name, gsim_scenarios[i].row);
    }
    for (unsigned i = 0; i < gsim_storms_count; i++) {
        (void)printf("%s %s\n", gsim_storms[i].name, gsim_storms[i].row);
    }
}

int main(int argc, char **argv)
{
    struct gsim_main m = {.options = {.delay_us = 100,
                                      .jitter_us = 400,
                                      .late_us = 200,
                                      .blocked_us = 16 * (uint64_t)GSIM_S,
                                      .open_us = GSIM_S,
                                      .seconds = 60,
                                      .origin_us = GSIM_S,
                                      .rules = gossip_rules_default()},
                          .first = 1,
                          .last = 1,
                          .rules = "default"};
    struct gsim_arena arena = {0};
    bool ok = true;
    if (!gsim_main_args(&m, argc, argv)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (m.list) {
        gsim_main_list();
        return 0;
    }
    const struct gsim_scenario *scenario = m.scenario == NULL ? NULL : gsim_main_find(m.scenario);
    if (m.scenario != NULL && scenario == NULL) {
        (void)fprintf(stderr, "gossip_sim: no scenario '%s'\n", m.scenario);
        return 2;
    }
    for (uint64_t seed = m.first; ok && seed <= m.last; seed++) {
        if (scenario != NULL) {
            ok = gsim_main_scenario(&m, scenario, &arena, seed);
        } else {
            gsim_main_cell(&m, &arena, seed);
        }
    }
    return ok ? 0 : 1;
}
