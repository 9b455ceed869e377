/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * sim_out [--seeds A-B]: objects on five nodes, one of which dies for good. Until it is out of the
 * cluster, ten minutes later, nothing moves; then all of its shards are made again on the other
 * four, and every object survives one more. The node comes back and dies every half a minute after
 * that, and no second repair begins for ten minutes.
 */
#include "server/node/objects_internal.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define OUT_DELAY_US (600 * (uint64_t)SIM_S)

static bool out_read_all(struct sim *s, uint64_t within_us)
{
    uint64_t bound = s->now_us + within_us;
    s->quiet = true;
    sim_uploads_again(s);
    while (!s->failed && !sim_uploads_idle(s) && s->now_us < bound) {
        sim_pass(s, s->now_us + 100 * SIM_MS);
    }
    return !s->failed && sim_uploads_idle(s);
}

static void out_dead(struct sim *s, struct sim_node *dead)
{
    uint64_t died_us = s->now_us;
    sim_crash(s, dead);
    if (!out_read_all(s, 60 * (uint64_t)SIM_S)) {
        sim_fail(s, "object-lost", "not every object can be read without node %u", dead->id);
        return;
    }
    sim_pass(s, died_us + OUT_DELAY_US - SIM_S);
    if (sim_members_moved(s) + sim_members_starts(s) > 0) {
        sim_fail(s, "too-early", "shards move before the node is out");
        return;
    }
    sim_pass(s, died_us + OUT_DELAY_US + 20 * (uint64_t)SIM_S);
    if (sim_members_starts(s) != 1 || sim_members_moved(s) == 0) {
        sim_fail(s, "no-repair", "%llu starts, %llu shards moved",
                 (unsigned long long)sim_members_starts(s),
                 (unsigned long long)sim_members_moved(s));
    } else if (!out_read_all(s, 120 * (uint64_t)SIM_S)) { /* whole, and survives one more */
        sim_fail(s, "no-repair", "shards of node %u are not made again", dead->id);
    }
}

static void out_flap(struct sim *s, struct sim_node *n)
{
    uint64_t before = sim_members_starts(s);
    uint64_t until = s->now_us + OUT_DELAY_US - 40 * (uint64_t)SIM_S;
    while (!s->failed && s->now_us < until) {
        sim_start(s, n);
        sim_pass(s, s->now_us + 15 * (uint64_t)SIM_S);
        sim_crash(s, n);
        sim_pass(s, s->now_us + 15 * (uint64_t)SIM_S);
    }
    if (!s->failed && sim_members_starts(s) > before) {
        sim_fail(s, "flapping", "another repair began within ten minutes");
    }
}

static bool out_run(uint64_t seed)
{
    struct sim_options options = {.seed = seed,
                                  .nodes = 5,
                                  .groups = 1,
                                  .seconds = 20,
                                  .clients = 1,
                                  .ops_per_second = 1,
                                  .k = 2,
                                  .m = seed % 2 == 0 ? 1 : 2,
                                  .out_us = OUT_DELAY_US,
                                  .wal_segment_bytes = 256u << 10};
    struct sim *s = malloc(sizeof(*s));
    ASSERT(s != NULL);
    sim_init(s, &options);
    sim_pass(s, s->now_us + options.seconds * SIM_S);
    if (!out_read_all(s, 60 * (uint64_t)SIM_S)) {
        sim_fail(s, "liveness", "the uploads do not end");
    }
    struct sim_node *n = &s->nodes[1 + seed % 5];
    if (!s->failed) {
        out_dead(s, n);
    }
    if (!s->failed) {
        out_flap(s, n);
    }
    (void)printf("seed %llu: %s, objects=%llu moved=%llu starts=%llu\n", (unsigned long long)seed,
                 s->failed ? s->failure : "ok", (unsigned long long)s->counters.objects_ok,
                 (unsigned long long)sim_members_moved(s),
                 (unsigned long long)sim_members_starts(s));
    bool ok = !s->failed && s->counters.objects_ok > 0;
    sim_release(s);
    free(s);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t last = 3;
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        char *end = NULL;
        first = last = strtoull(argv[2], &end, 10);
        last = *end == '-' ? strtoull(end + 1, &end, 10) : last;
    }
    bool ok = true;
    for (uint64_t seed = first; seed <= last; seed++) {
        ok = out_run(seed) && ok;
    }
    return ok ? 0 : 1;
}
