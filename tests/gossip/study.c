/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One run of a cell of the comparison. crash: everybody is known and calm, then one node dies, and
 * the run ends when 99 % of the others hold it dead (and options.seconds have passed, so that false
 * deaths are counted over equal times). starved: some nodes are blocked and open in turn.
 */
#include "tests/gossip/gsim.h"

#define GSIM_STUDY_WARM_US (5u * GSIM_S)
#define GSIM_STUDY_CALM_US (10u * GSIM_S)
#define GSIM_STUDY_WAIT_US (120u * (uint64_t)GSIM_S)

void gsim_rules_plain(struct gossip_rules *rules)
{
    rules->suspicion_max_mult = 1;
    rules->confirmations = 0;
    rules->health_max = 1;
}

static uint64_t gsim_study_bytes(const struct gsim *s)
{
    return s->totals.bytes + s->totals.stream_bytes;
}

/* returns: what a node did of it in a second. */
static uint64_t gsim_study_rate(uint64_t count, uint32_t nodes, uint64_t us)
{
    return us == 0 ? 0 : count * GSIM_S / nodes / us;
}

static void gsim_study_end(struct gsim *s, struct gsim_arena *arena, struct gsim_outcome *out)
{
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        out->false_subjects += s->nodes[i].said_dead > 0 ? 1u : 0u;
    }
    out->false_deaths = s->totals.false_deaths;
    out->false_unwell = s->totals.false_unwell;
    out->false_suspects = s->totals.false_suspects;
    out->run_us = gsim_time(s);
    out->events = s->totals.events;
    out->trace = s->trace;
    out->memory_bytes = arena->peak_bytes / s->options.nodes;
}

void gsim_study_crash(const struct gsim_options *options, struct gsim_arena *arena,
                      struct gsim_outcome *out)
{
    struct gsim s = {0};
    *out = (struct gsim_outcome){0};
    gsim_init(&s, options, arena);
    gsim_run(&s, GSIM_STUDY_WARM_US);
    uint64_t bytes = gsim_study_bytes(&s), packets = s.totals.packets;
    gsim_run(&s, GSIM_STUDY_WARM_US + GSIM_STUDY_CALM_US);
    out->calm_bytes =
        gsim_study_rate(gsim_study_bytes(&s) - bytes, options->nodes, GSIM_STUDY_CALM_US);
    out->calm_packets =
        gsim_study_rate(s.totals.packets - packets, options->nodes, GSIM_STUDY_CALM_US);
    bytes = gsim_study_bytes(&s);
    packets = s.totals.packets;
    uint32_t node = (uint32_t)rng_below(&s.rng, options->nodes);
    uint64_t from_us = gsim_time(&s);
    gsim_crash(&s, node);
    s.watch_stops = true;
    (void)gsim_watch(&s, node, GSIM_STUDY_WAIT_US);
    uint64_t us = gsim_time(&s) - from_us;
    out->detect_bytes = gsim_study_rate(gsim_study_bytes(&s) - bytes, s.live, us);
    out->detect_packets = gsim_study_rate(s.totals.packets - packets, s.live, us);
    s.watch_stops = false;
    gsim_run(&s, options->seconds * GSIM_S);
    out->first_us = s.watch_first_us;
    out->half_us = s.watch_half_us;
    out->most_us = s.watch_most_us;
    out->all_us = s.watch_all_us;
    gsim_study_end(&s, arena, out);
    gsim_release(&s);
}

void gsim_study_starved(const struct gsim_options *options, struct gsim_arena *arena,
                        struct gsim_outcome *out)
{
    struct gsim s = {0};
    *out = (struct gsim_outcome){0};
    gsim_init(&s, options, arena);
    gsim_run(&s, options->seconds * GSIM_S);
    out->calm_bytes =
        gsim_study_rate(gsim_study_bytes(&s), options->nodes, options->seconds * GSIM_S);
    out->calm_packets =
        gsim_study_rate(s.totals.packets, options->nodes, options->seconds * GSIM_S);
    gsim_study_end(&s, arena, out);
    gsim_release(&s);
}
