/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Named runs of small clusters, each with a verdict.
 */
#include "tests/gossip/gsim.h"

#include <stdio.h>
#include <string.h>

static void gsim_begin(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena,
                       uint32_t nodes)
{
    o->nodes = o->nodes == 0 ? nodes : o->nodes;
    gsim_init(s, o, arena);
}

static bool gsim_end(struct gsim *s)
{
    gsim_release(s);
    return s->failure[0] == '\0';
}

/* Until the healthy nodes have one view in which all that run are alive. */
static uint64_t gsim_converge(struct gsim *s, uint64_t us)
{
    uint64_t from_us = gsim_time(s);
    while (gsim_time(s) - from_us < us) {
        gsim_run(s, gsim_time(s) + GSIM_S);
        if (gsim_agree(s) && gsim_not_alive(s) == 0) {
            return gsim_time(s) - from_us;
        }
    }
    (void)gsim_fail(s, "no common view after %llu s: agree=%d not_alive=%llu",
                    (unsigned long long)(us / GSIM_S), gsim_agree(s),
                    (unsigned long long)gsim_not_alive(s));
    return us;
}

/* scenario G1: a starved minority does not bring its healthy peers down */
static bool gsim_lifeguard(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->starved = 8;
    gsim_begin(s, o, arena, 128);
    gsim_run(s, 300 * (uint64_t)GSIM_S);
    uint64_t ours = s->totals.false_deaths;
    gsim_release(s);
    o->rules = gossip_rules_memberlist();
    gsim_rules_plain(&o->rules);
    gsim_init(s, o, arena);
    gsim_run(s, 300 * (uint64_t)GSIM_S);
    uint64_t plain = s->totals.false_deaths;
    (void)printf("lifeguard: false deaths %llu, plain SWIM %llu\n", (unsigned long long)ours,
                 (unsigned long long)plain);
    if (plain == 0 || ours * 100 > plain) {
        (void)gsim_fail(s, "%llu false deaths, plain SWIM has %llu", (unsigned long long)ours,
                        (unsigned long long)plain);
    }
    return gsim_end(s);
}

/* scenario G2: a node that runs late blames itself, probes slowly and declares nobody dead */
static bool gsim_prober(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->starved = 1;
    o->stalled = true;
    o->blocked_us = 1900 * GSIM_MS;
    o->open_us = 100 * GSIM_MS;
    gsim_begin(s, o, arena, 32);
    gsim_run(s, 60 * (uint64_t)GSIM_S);
    struct gossip_counters before, after;
    gossip_counters_get(s->nodes[0].core, &before);
    uint32_t health = o->rules.health_max;
    for (unsigned part = 0; part < 4; part++) { /* an answer lowers it, so it is not still */
        uint32_t most = 0;
        for (unsigned i = 0; i < 30; i++) {
            gsim_run(s, gsim_time(s) + GSIM_S);
            uint32_t now = gossip_health(s->nodes[0].core);
            most = now > most ? now : most;
        }
        health = most < health ? most : health;
    }
    gossip_counters_get(s->nodes[0].core, &after);
    uint64_t probes = after.probes + after.probes_spared - before.probes - before.probes_spared;
    (void)printf("prober: health %u, %llu probes in 120 s\n", health, (unsigned long long)probes);
    if (health != o->rules.health_max - 1) {
        (void)gsim_fail(s, "health %u of a starved prober", health);
    }
    /* the neighbour each period, and another member every second one */
    if (probes > 120 / o->rules.health_max * 3 / 2 + 2) {
        (void)gsim_fail(s, "%llu probes in 120 s", (unsigned long long)probes);
    }
    if (s->totals.false_unwell + s->totals.false_deaths > 0) {
        (void)gsim_fail(s, "%llu deaths at the starved prober, %llu elsewhere",
                        (unsigned long long)s->totals.false_unwell,
                        (unsigned long long)s->totals.false_deaths);
    }
    return gsim_end(s);
}

/* returns: whether all of each half are dead for all of the other, and nobody else is. */
static bool gsim_parted(const struct gsim *s)
{
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        uint32_t others = s->options.nodes / 2 + (i % 2 == 0 ? 0 : s->options.nodes % 2);
        if (s->nodes[i].dead_at != others) {
            return false;
        }
    }
    return true;
}

/* scenario G11: halves that were apart for an hour have one view within two sync periods */
static bool gsim_partition(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 32);
    gsim_run(s, 10 * (uint64_t)GSIM_S);
    for (uint32_t i = 0; i < o->nodes; i++) {
        s->nodes[i].side = i % 2;
        s->nodes[i].sick = GSIM_LOSSY;
    }
    uint64_t parted_us = gsim_time(s);
    uint64_t known_us = 0;
    while (known_us == 0 && gsim_time(s) < parted_us + 60 * (uint64_t)GSIM_S) {
        gsim_run(s, gsim_time(s) + 100 * GSIM_MS);
        known_us = gsim_parted(s) ? gsim_time(s) - parted_us : 0;
    }
    (void)printf("partition: known to all after %.1f s\n", (double)known_us / GSIM_S);
    if (known_us == 0) {
        (void)gsim_fail(s, "a partition is not known after a minute");
    }
    gsim_run(s, parted_us + 3600 * (uint64_t)GSIM_S);
    if (!gsim_parted(s)) {
        (void)gsim_fail(s, "a side does not hold the other dead");
    }
    for (uint32_t i = 0; i < o->nodes; i++) {
        s->nodes[i].side = 0;
        s->nodes[i].sick = 0;
    }
    uint64_t us = gsim_converge(s, 2 * o->rules.sync_interval_us);
    (void)printf("partition: one view after %llu s\n", (unsigned long long)(us / GSIM_S));
    return gsim_end(s);
}

/* scenario G17: with no datagram getting through, streams keep everybody alive, and it is told */
static bool gsim_udp_blocked(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 32);
    s->udp_blocked = true;
    gsim_run(s, 120 * (uint64_t)GSIM_S);
    struct gossip_counters c = gsim_counters(s);
    if (s->totals.false_deaths > 0 || c.udp_blocked == 0) {
        (void)gsim_fail(s, "%llu false deaths, %llu members told as blocked",
                        (unsigned long long)s->totals.false_deaths,
                        (unsigned long long)c.udp_blocked);
    }
    s->udp_blocked = false;
    (void)gsim_converge(s, 2 * o->rules.sync_interval_us);
    return gsim_end(s);
}

/* scenario G18: membership works on datagrams alone; failed streams are counted */
static bool gsim_tcp_blocked(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 32);
    s->tcp_blocked = true;
    gsim_run(s, 60 * (uint64_t)GSIM_S);
    gsim_crash(s, 3);
    bool known = gsim_watch(s, 3, 60 * (uint64_t)GSIM_S);
    struct gossip_counters c = gsim_counters(s);
    if (!known || s->totals.false_deaths > 0 || c.streams_failed == 0) {
        (void)gsim_fail(s, "crash known: %d, %llu false deaths, %llu failed streams", known,
                        (unsigned long long)s->totals.false_deaths,
                        (unsigned long long)c.streams_failed);
    }
    gsim_restart(s, 3);
    (void)gsim_converge(s, 60 * (uint64_t)GSIM_S);
    return gsim_end(s);
}

/* scenario G20: who was stopped for 30 s holds nobody dead for it, though suspicions were under way
 */
static bool gsim_frozen(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 32);
    gsim_run(s, 10 * (uint64_t)GSIM_S);
    for (uint32_t i = 1; i < 4; i++) {
        gsim_freeze(s, i, 4 * (uint64_t)GSIM_S); /* node 1 suspects some of them */
    }
    gsim_run(s, 13 * (uint64_t)GSIM_S);
    s->nodes[0].sick = GSIM_LOSSY;
    gsim_freeze(s, 0, 30 * (uint64_t)GSIM_S);
    gsim_run(s, 42 * (uint64_t)GSIM_S);
    if (s->nodes[0].dead_at == 0) {
        (void)gsim_fail(s, "a node that is stopped for 30 s is not missed");
    }
    gsim_run(s, 60 * (uint64_t)GSIM_S);
    if (s->totals.false_unwell + s->totals.false_deaths > 0) {
        (void)gsim_fail(s, "%llu deaths at the stopped node, %llu elsewhere",
                        (unsigned long long)s->totals.false_unwell,
                        (unsigned long long)s->totals.false_deaths);
    }
    s->nodes[0].sick = 0;
    (void)gsim_converge(s, 30 * (uint64_t)GSIM_S);
    return gsim_end(s);
}

static uint64_t gsim_origin_run(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena,
                                uint64_t origin_us)
{
    o->origin_us = origin_us;
    gsim_begin(s, o, arena, 64);
    gsim_run(s, 10 * (uint64_t)GSIM_S);
    gsim_crash(s, 5);
    (void)gsim_watch(s, 5, 60 * (uint64_t)GSIM_S);
    gsim_restart(s, 5);
    gsim_run(s, 90 * (uint64_t)GSIM_S);
    uint64_t trace = s->trace;
    gsim_release(s);
    return trace;
}

/* scenario G21: nothing but monotonic time comes in, and where it starts does not matter */
static bool gsim_origin(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->loss_ppm = 50000;
    uint64_t one = gsim_origin_run(s, o, arena, GSIM_S);
    uint64_t year = gsim_origin_run(s, o, arena, 366ull * 86400 * GSIM_S);
    uint64_t far = gsim_origin_run(s, o, arena, 1ull << 60);
    if (one != year || one != far) {
        return gsim_fail(s, "traces %llx, %llx, %llx", (unsigned long long)one,
                         (unsigned long long)year, (unsigned long long)far);
    }
    return true;
}

/* scenario G25: packets captured before a crash and sent again an hour later change nothing */
static bool gsim_replayed(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->sealed = true;
    o->capture = true;
    gsim_begin(s, o, arena, 12);
    gsim_run(s, 60 * (uint64_t)GSIM_S);
    gsim_crash(s, 0);
    if (!gsim_watch(s, 0, 60 * (uint64_t)GSIM_S)) {
        (void)gsim_fail(s, "the crash is not known");
    }
    gsim_run(s, 3700 * (uint64_t)GSIM_S);
    for (int again = 0; again < 2; again++) {
        uint64_t digest = gossip_digest(s->nodes[1].core);
        uint64_t refused = s->totals.refused, replayed = s->totals.replayed;
        gsim_net_replay(s);
        gsim_run(s, gsim_time(s) + 20 * (uint64_t)GSIM_S);
        if (s->totals.replayed - replayed < 50 ||
            s->totals.refused - refused != s->totals.replayed - replayed) {
            (void)gsim_fail(s, "%llu of %llu captured packets were refused",
                            (unsigned long long)(s->totals.refused - refused),
                            (unsigned long long)(s->totals.replayed - replayed));
        }
        if (!gsim_agree(s) || gossip_digest(s->nodes[1].core) != digest) {
            (void)gsim_fail(s, "captured packets changed a view");
        }
        if (again == 0 && s->nodes[0].dead_at != s->live) {
            (void)gsim_fail(s, "a dead node came back to life");
        }
        if (again == 0) {
            gsim_restart(s, 0);
            (void)gsim_converge(s, 60 * (uint64_t)GSIM_S);
        }
    }
    return gsim_end(s);
}

/* scenario G28: half of the nodes also send messages of a later version: skipped, nobody suffers */
static bool gsim_unknown(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 64);
    s->unknown_messages = true;
    gsim_run(s, 20 * (uint64_t)GSIM_S);
    gsim_crash(s, 3);
    bool known = gsim_watch(s, 3, 30 * (uint64_t)GSIM_S);
    struct gossip_counters c = gsim_counters(s);
    if (!known || s->totals.false_deaths + s->totals.false_suspects > 0 || c.malformed > 0 ||
        c.skipped < 1000) {
        (void)gsim_fail(s, "crash known: %d, %llu false deaths, %llu skipped, %llu malformed",
                        known, (unsigned long long)s->totals.false_deaths,
                        (unsigned long long)c.skipped, (unsigned long long)c.malformed);
    }
    gsim_restart(s, 3);
    (void)gsim_converge(s, 60 * (uint64_t)GSIM_S);
    return gsim_end(s);
}

/* scenario G29: of a storm of updates the newest reaches everybody, in bounded bytes */
static bool gsim_facts(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    uint8_t value[64] = {0};
    gsim_begin(s, o, arena, 128);
    gsim_run(s, 5 * (uint64_t)GSIM_S);
    uint64_t calm = s->totals.bytes;
    gsim_run(s, 15 * (uint64_t)GSIM_S);
    calm = s->totals.bytes - calm;
    uint64_t storm = s->totals.bytes;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        newest = i + 1;
        memcpy(value, &newest, sizeof(newest));
        int code = gossip_fact_set(s->nodes[0].core, GOSSIP_FACT_PROMPT,
                                   bytes_of(value, sizeof(value)), s->now_us);
        ASSERT(code == 0);
        gsim_drain(s, 0);
        gsim_run(s, gsim_time(s) + 10 * GSIM_MS);
    }
    storm = s->totals.bytes - storm;
    gsim_run(s, gsim_time(s) + 20 * (uint64_t)GSIM_S);
    uint32_t behind = 0;
    for (uint32_t i = 1; i < o->nodes; i++) {
        behind += s->nodes[i].fact_value != newest ? 1u : 0u;
    }
    struct gossip_counters c = gsim_counters(s);
    (void)printf("facts: %llu bytes a node and second calm, %llu in the storm, %llu facts sent\n",
                 (unsigned long long)(calm / 10 / o->nodes),
                 (unsigned long long)(storm / 10 / o->nodes), (unsigned long long)c.facts_out);
    if (behind > 0) {
        (void)gsim_fail(s, "%u nodes do not have the newest value", behind);
    }
    if (storm > calm + 10ull * o->nodes * 2048) {
        (void)gsim_fail(s, "%llu bytes in the storm", (unsigned long long)storm);
    }
    return gsim_end(s);
}

/* scenario G34: two nodes have no accusers, so the least timer holds; three and up also work */
static bool gsim_few(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    for (uint32_t nodes = 2; nodes <= 9; nodes++) {
        o->nodes = nodes;
        gsim_init(s, o, arena);
        gsim_run(s, 10 * (uint64_t)GSIM_S);
        gsim_crash(s, nodes - 1);
        uint64_t most_us = nodes == 2 ? 8 * (uint64_t)GSIM_S : 40 * (uint64_t)GSIM_S;
        if (!gsim_watch(s, nodes - 1, most_us) || s->totals.false_deaths > 0) {
            (void)gsim_fail(s, "%u nodes: crash known after %llu us, %llu false deaths", nodes,
                            (unsigned long long)s->watch_most_us,
                            (unsigned long long)s->totals.false_deaths);
        }
        gsim_restart(s, nodes - 1);
        (void)gsim_converge(s, 70 * (uint64_t)GSIM_S);
        gsim_release(s);
    }
    return s->failure[0] == '\0';
}

/* returns: live nodes but itself that hold node otherwise than wanted. */
static uint32_t gsim_other(struct gsim *s, uint32_t node, enum gossip_state wanted)
{
    uint32_t count = 0;
    struct gossip_member m;
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        if (i != node && s->nodes[i].up) {
            int code = gossip_member_of(s->nodes[i].core, node + 1, &m);
            count += code != 0 || m.state != wanted ? 1u : 0u;
        }
    }
    return count;
}

static uint64_t gsim_packets(struct gsim *s, uint64_t us)
{
    uint64_t packets = s->totals.packets;
    gsim_run(s, gsim_time(s) + us);
    return s->totals.packets - packets;
}

/* scenario G9: leave, forced leave, back and away again: all know it, and then there is silence */
static bool gsim_leave(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_begin(s, o, arena, 32);
    (void)gsim_packets(s, 5 * (uint64_t)GSIM_S);
    uint64_t calm = gsim_packets(s, 20 * (uint64_t)GSIM_S);
    for (int round = 0; round < 2; round++) {
        gossip_leave(s->nodes[4].core, s->now_us);
        gsim_drain(s, 4);
        gsim_run(s, gsim_time(s) + GSIM_S);
        int code = gossip_force_leave(s->nodes[9].core, 5, s->now_us);
        ASSERT(code == 0);
        gsim_drain(s, 9);
        gsim_run(s, gsim_time(s) + 4 * (uint64_t)GSIM_S);
        if (!s->nodes[4].left || gsim_other(s, 4, GOSSIP_LEFT) > 0) {
            (void)gsim_fail(s, "leave done: %d, %u do not know it", s->nodes[4].left,
                            gsim_other(s, 4, GOSSIP_LEFT));
        }
        gsim_crash(s, 4);
        s->nodes[4].left = false;
        if (round == 0) {
            gsim_restart(s, 4);
            gsim_run(s, gsim_time(s) + GSIM_S);
        }
    }
    uint64_t after = gsim_packets(s, 20 * (uint64_t)GSIM_S);
    (void)printf("leave: %llu packets in 20 s before, %llu after\n", (unsigned long long)calm,
                 (unsigned long long)after);
    if (after > calm + calm / 10 || gsim_other(s, 4, GOSSIP_LEFT) > 0) {
        (void)gsim_fail(s, "%llu packets in 20 s, %llu before; %u do not hold it left",
                        (unsigned long long)after, (unsigned long long)calm,
                        gsim_other(s, 4, GOSSIP_LEFT));
    }
    return gsim_end(s);
}

const struct gsim_scenario gsim_scenarios[] = {
    {"leave", "G9", gsim_leave},
    {"lifeguard", "G1", gsim_lifeguard},
    {"prober", "G2", gsim_prober},
    {"partition", "G11", gsim_partition},
    {"udp-blocked", "G17", gsim_udp_blocked},
    {"tcp-blocked", "G18", gsim_tcp_blocked},
    {"frozen", "G20", gsim_frozen},
    {"origin", "G21", gsim_origin},
    {"replayed", "G25", gsim_replayed},
    {"unknown", "G28", gsim_unknown},
    {"facts", "G29", gsim_facts},
    {"few", "G34", gsim_few},
};
const unsigned gsim_scenarios_count = sizeof(gsim_scenarios) / sizeof(gsim_scenarios[0]);
