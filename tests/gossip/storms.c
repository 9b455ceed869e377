/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Named runs of large clusters, each with a verdict.
 */
#include "tests/gossip/gsim.h"

#include <stdio.h>

static void gsim_storm_begin(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena,
                             uint32_t nodes)
{
    o->nodes = o->nodes == 0 ? nodes : o->nodes;
    gsim_init(s, o, arena);
}

static bool gsim_storm_end(struct gsim *s)
{
    gsim_release(s);
    return s->failure[0] == '\0';
}

/* returns: how many healthy nodes did not name exactly the sick ones. */
static uint32_t gsim_cut_missing(const struct gsim *s, uint64_t sick)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        const struct gsim_node *n = &s->nodes[i];
        missing += n->sick == 0 && (n->cut_right != sick || n->cut_wrong > 0) ? 1u : 0u;
    }
    return missing;
}

/* The first hundredth of the nodes gets bad links; all others shall name exactly these, in 30 s. */
static bool gsim_cuts(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena,
                      uint32_t egress_ppm, uint32_t ingress_ppm)
{
    gsim_storm_begin(s, o, arena, 128);
    uint32_t sick = (o->nodes + 99) / 100;
    gsim_run(s, 30 * (uint64_t)GSIM_S);
    for (uint32_t i = 0; i < sick; i++) {
        s->nodes[i].sick = GSIM_LOSSY;
        s->nodes[i].egress_ppm = egress_ppm;
        s->nodes[i].ingress_ppm = ingress_ppm;
    }
    uint64_t mask = sick == 64 ? UINT64_MAX : (1ull << sick) - 1;
    uint64_t end_us = gsim_time(s) + 30 * (uint64_t)GSIM_S;
    bool lone = egress_ppm % 1000000u == 0; /* else what is said of them goes to and fro */
    while (gsim_time(s) < end_us && (gsim_cut_missing(s, mask) > 0 || (lone && !gsim_agree(s)))) {
        gsim_run(s, gsim_time(s) + 250 * GSIM_MS);
    }
    uint64_t us = gsim_time(s) + 30 * (uint64_t)GSIM_S - end_us;
    (void)printf("cuts: %u of %u nodes, found after %llu ms, %llu false deaths\n", sick, o->nodes,
                 (unsigned long long)(us / 1000), (unsigned long long)s->totals.false_deaths);
    gsim_run(s, end_us);
    if (gsim_cut_missing(s, mask) > 0 || s->totals.false_deaths > 0) {
        (void)gsim_fail(s, "%u nodes did not find exactly the faulty ones, %llu false deaths",
                        gsim_cut_missing(s, mask), (unsigned long long)s->totals.false_deaths);
    }
    if (us >= 30 * (uint64_t)GSIM_S) {
        (void)gsim_fail(s, "views never were equal in 30 s");
    }
    return gsim_storm_end(s);
}

/* scenario G14: nodes that hear nothing and send everything are found, and only they */
static bool gsim_deaf(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    return gsim_cuts(s, o, arena, 0, 1000000);
}

/* scenario G14: the other direction */
static bool gsim_mute(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    return gsim_cuts(s, o, arena, 1000000, 0);
}

/* scenario G16: 80 % of what 1 % of the nodes send is lost */
static bool gsim_lossy(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->nodes = o->nodes == 0 ? 1000 : o->nodes;
    return gsim_cuts(s, o, arena, 800000, 0);
}

/* 99 % know a crash in 6 s at 1,000 nodes and 5 % loss */
static bool gsim_crashed(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    o->loss_ppm = 50000;
    gsim_storm_begin(s, o, arena, 1000);
    gsim_run(s, 5 * (uint64_t)GSIM_S);
    gsim_crash(s, 77);
    bool known = gsim_watch(s, 77, (o->nodes > 1000 ? 8 : 6) * (uint64_t)GSIM_S);
    (void)printf("crash: first %llu ms, 99 %% %llu ms\n",
                 (unsigned long long)(s->watch_first_us / 1000),
                 (unsigned long long)(s->watch_most_us / 1000));
    if (!known || s->totals.false_deaths > 0) {
        (void)gsim_fail(s, "%u of %u know it, %llu false deaths", s->nodes[77].dead_at, s->live,
                        (unsigned long long)s->totals.false_deaths);
    }
    return gsim_storm_end(s);
}

/* scenario G19: loss kills no healthy member, and 30 and 40 % cost at most twice the bytes of 20 %
 */
static bool gsim_loss(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    static const uint32_t per_cent[] = {5, 10, 20, 30, 40};
    static const uint64_t deaths_most[] = {0, 0, 1, 5, 50};
    static const uint64_t bytes_most[] = {1, 1, 1, 2, 2}; /* times those of 20 % */
    uint64_t base = 0;
    o->nodes = o->nodes == 0 ? 1000 : o->nodes;
    for (unsigned i = 0; i < 5; i++) {
        o->loss_ppm = per_cent[i] * 10000;
        gsim_init(s, o, arena);
        gsim_run(s, 60 * (uint64_t)GSIM_S);
        uint64_t bytes = (s->totals.bytes + s->totals.stream_bytes) / 60 / o->nodes;
        base = per_cent[i] == 20 ? bytes : base;
        uint64_t subjects = 0;
        for (uint32_t k = 0; k < o->nodes; k++) {
            subjects += s->nodes[k].said_dead;
        }
        subjects = (subjects + o->nodes / 2) / o->nodes; /* declarations that all heard */
        (void)printf("loss: %u %%: %llu false deaths, %llu suspicions, %llu bytes a node second\n",
                     per_cent[i], (unsigned long long)s->totals.false_deaths,
                     (unsigned long long)s->totals.false_suspects, (unsigned long long)bytes);
        if (subjects > deaths_most[i] || (deaths_most[i] == 0 && s->totals.false_deaths > 0)) {
            (void)gsim_fail(s, "%u %% loss: %llu false deaths", per_cent[i],
                            (unsigned long long)s->totals.false_deaths);
        }
        if (base > 0 && bytes > bytes_most[i] * base) {
            (void)gsim_fail(s, "%u %% loss: %llu bytes a second, %llu at 20 %%", per_cent[i],
                            (unsigned long long)bytes, (unsigned long long)base);
        }
        gsim_release(s);
    }
    return s->failure[0] == '\0';
}

/* scenario G27: all nodes restart within 10 s; one view 30 s later, few syncs at once */
static bool gsim_mass(struct gsim *s, struct gsim_options *o, struct gsim_arena *arena)
{
    gsim_storm_begin(s, o, arena, 1000);
    gsim_run(s, 10 * (uint64_t)GSIM_S);
    s->totals.syncs_most = 0;
    for (uint32_t slice = 0; slice < 1100; slice++) {
        for (uint32_t i = 0; i < o->nodes; i++) {
            uint32_t at = (uint32_t)(hash_mix(o->seed + i) % 1000);
            if (at == slice) {
                gsim_crash(s, i);
            } else if (at + 100 == slice) {
                gsim_restart(s, i);
            }
        }
        gsim_run(s, gsim_time(s) + 10 * GSIM_MS);
    }
    uint64_t us = 0;
    while (us < 30 && (!gsim_agree(s) || gsim_not_alive(s) > 0)) {
        gsim_run(s, gsim_time(s) + GSIM_S);
        us++;
    }
    (void)printf("mass: one view after %llu s, at most %u messages of syncs at once\n",
                 (unsigned long long)us, s->totals.syncs_most);
    if (us == 30) {
        (void)gsim_fail(s, "no common view: %llu pairs not alive",
                        (unsigned long long)gsim_not_alive(s));
    }
    if (s->totals.syncs_most > 128) {
        (void)gsim_fail(s, "%u messages of syncs at once", s->totals.syncs_most);
    }
    return gsim_storm_end(s);
}

const struct gsim_scenario gsim_storms[] = {
    {"deaf", "G14", gsim_deaf},    {"mute", "G14", gsim_mute}, {"lossy", "G16", gsim_lossy},
    {"crashed", "", gsim_crashed}, {"loss", "G19", gsim_loss}, {"mass", "G27", gsim_mass},
};
const unsigned gsim_storms_count = sizeof(gsim_storms) / sizeof(gsim_storms[0]);
