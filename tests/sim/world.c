/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The nodes with their stores, and the executor of their effects.
 */
#include "base/num.h"
#include "tests/sim/model_kv.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_cipher.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_SMALL 512u
#define SIM_FX_MAX 64u

/* ---- small things ---------------------------------------------------------------------------- */

uint8_t *sim_bytes_get(struct sim *s, size_t bytes)
{
    uint8_t *data = s->free_small;
    if (bytes <= SIM_SMALL && data != NULL) {
        memcpy(&s->free_small, data, sizeof(s->free_small));
        return data;
    }
    data = malloc(NUM_MAX(bytes, SIM_SMALL));
    ASSERT(data != NULL);
    return data;
}

void sim_bytes_put(struct sim *s, uint8_t *data, size_t bytes)
{
    if (data == NULL) {
        return;
    }
    if (bytes > SIM_SMALL) {
        free(data);
        return;
    }
    memcpy(data, &s->free_small, sizeof(s->free_small));
    s->free_small = data;
}

void sim_fail(struct sim *s, const char *check, const char *format, ...)
{
    if (s->failed) {
        return;
    }
    s->failed = true;
    int used = snprintf(s->failure, sizeof(s->failure), "%s: at %llu us: ", check,
                        (unsigned long long)s->now_us);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(s->failure + used, sizeof(s->failure) - (size_t)used, format, args);
    va_end(args);
}

unsigned sim_nodes_up(const struct sim *s)
{
    unsigned up = 0;
    for (unsigned i = 1; i <= s->options.nodes; i++) {
        up += s->nodes[i].up;
    }
    return up;
}

/* A node's clock: offset, and some hundred parts in a million fast or slow. */
uint64_t sim_node_now(const struct sim *s, const struct sim_node *n)
{
    int64_t drift = (int64_t)(s->now_us / 1000u) * n->clock_ppm / 1000;
    return (uint64_t)((int64_t)s->now_us + drift + n->clock_offset_us);
}

static uint64_t sim_world_time(const struct sim *s, const struct sim_node *n, uint64_t node_us)
{
    uint64_t now = sim_node_now(s, n);
    uint64_t left = node_us > now ? node_us - now : 0;
    return s->now_us + left + left * 1000u / 1000000u + 1;
}

/* ---- effects --------------------------------------------------------------------------------- */

static uint64_t sim_lane_time(struct sim *s, enum node_lane lane)
{
    switch (lane) {
    case NODE_LANE_READ: return rng_between(&s->rng, 20, 300);
    case NODE_LANE_FLUSH: return rng_between(&s->rng, 1000, 20000);
    case NODE_LANE_SHARD: return rng_between(&s->rng, 300, 5000);
    default: return rng_between(&s->rng, 50, 1000);
    }
}

static void sim_lane_kick(struct sim *s, struct sim_node *n, enum node_lane lane)
{
    struct sim_lane *l = &n->lanes[lane];
    if (l->busy || l->count == 0) {
        return;
    }
    l->busy = true;
    sim_push(s, &(struct sim_event){.at_us = s->now_us + sim_lane_time(s, lane),
                                    .kind = SIM_EV_JOB,
                                    .node = n->id,
                                    .life = n->life,
                                    .a = lane});
}

static void sim_fx_job(struct sim *s, struct sim_node *n, struct node_job *job)
{
    struct sim_lane *l = &n->lanes[job->lane];
    ASSERT(l->count < sizeof(l->jobs) / sizeof(l->jobs[0]));
    l->jobs[(l->head + l->count++) % (sizeof(l->jobs) / sizeof(l->jobs[0]))] = job;
    sim_lane_kick(s, n, job->lane);
}

static void sim_fx_wal(struct sim *s, struct sim_node *n, struct node_wal_batch *batch)
{
    ASSERT(n->batch == NULL);
    n->batch = batch;
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 100, 2000) +
                                             n->wal_slow_us,
                                    .kind = SIM_EV_WAL,
                                    .node = n->id,
                                    .life = n->life});
}

static void sim_fx_reply(struct sim *s, struct sim_node *n, struct node_fx *fx)
{
    struct bytes body = fx->body != NULL ? node_blob_bytes(fx->body) : (struct bytes){0};
    size_t bytes = fx->head.size + body.size;
    uint32_t client = (uint32_t)(fx->conn & 0xffff);
    uint8_t *data = sim_bytes_get(s, bytes);
    if (fx->head.size > 0) {
        memcpy(data, fx->head.data, fx->head.size);
    }
    if (body.size > 0) {
        memcpy(data + fx->head.size, body.data, body.size);
    }
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 500),
                                    .kind = SIM_EV_REPLY,
                                    .node = client,
                                    .other = n->id,
                                    .a = fx->conn,
                                    .data = data,
                                    .bytes = bytes});
}

static void sim_fx(struct sim *s, struct sim_node *n, struct node_fx *fx)
{
    switch (fx->kind) {
    case NODE_FX_WAL: sim_fx_wal(s, n, fx->batch); break;
    case NODE_FX_JOB: sim_fx_job(s, n, fx->job); break;
    case NODE_FX_SEND: sim_net_send(s, n, fx); break;
    case NODE_FX_GOSSIP: sim_net_datagram(s, n, fx); break;
    case NODE_FX_REPLY: sim_fx_reply(s, n, fx); break;
    case NODE_FX_LEFT: break;
    case NODE_FX_CLOSE: sim_clients_gone(s, (uint32_t)(fx->conn & 0xffff), n->id); break;
    case NODE_FX_STOP:
        n->wal_slow_us = 0;
        sim_push(s, &(struct sim_event){.at_us = s->now_us,
                                        .kind = SIM_EV_FAULT,
                                        .node = n->id,
                                        .life = n->life,
                                        .a = (uint64_t)(int64_t)fx->code});
        break;
    default: ASSERT(false);
    }
    if (fx->kind == NODE_FX_SEND || fx->kind == NODE_FX_REPLY || fx->kind == NODE_FX_GOSSIP) {
        buf_release(&fx->head);
        if (fx->body != NULL) {
            node_blob_release(n->node, fx->body);
        }
    }
}

static void sim_tick_at(struct sim *s, struct sim_node *n)
{
    uint64_t at = sim_world_time(s, n, node_deadline(n->node));
    if (n->tick_us != 0 && n->tick_us <= at) {
        return;
    }
    n->tick_us = at;
    sim_push(s,
             &(struct sim_event){.at_us = at, .kind = SIM_EV_TICK, .node = n->id, .life = n->life});
}

void sim_step_node(struct sim *s, struct sim_node *n, struct node_event *ev)
{
    struct node_fx fx[SIM_FX_MAX];
    unsigned count = 0;
    ASSERT(n->up);
    ev->now_us = sim_node_now(s, n);
    ev->wall_us = ev->now_us + 1800000000u * (uint64_t)SIM_S + (uint64_t)n->wall_offset_us;
    node_step(n->node, ev);
    do {
        count = node_poll(n->node, fx, SIM_FX_MAX);
        for (unsigned i = 0; i < count; i++) {
            sim_fx(s, n, &fx[i]);
        }
    } while (count > 0);
    sim_tick_at(s, n);
    sim_check_node(s, n);
}

/* ---- completions ----------------------------------------------------------------------------- */

static void sim_wal_done(struct sim *s, struct sim_node *n)
{
    struct node_wal_batch *batch = n->batch;
    struct node_event ev = {.kind = NODE_EV_WAL, .batch = batch};
    ASSERT(batch != NULL);
    n->batch = NULL;
    ev.code = node_wal_run(batch, &n->env);
    if (ev.code == 0) {
        sim_check_synced(s, n);
    }
    n->idle_us = s->now_us;
    sim_push(s, &(struct sim_event){.at_us = s->now_us + 20 * SIM_MS,
                                    .kind = SIM_EV_WAL_IDLE,
                                    .node = n->id,
                                    .life = n->life,
                                    .a = s->now_us});
    sim_step_node(s, n, &ev);
}

static void sim_wal_idle(struct sim *s, struct sim_node *n, const struct sim_event *ev)
{
    bool more = false;
    if (n->batch != NULL || n->idle_us != ev->a) {
        return;
    }
    int code = store_wal_idle(n->wal);
    if (code == 0) {
        code = store_wal_maintain(n->wal, 1u << 20, &more);
    }
    if (code == ERR_IO) {
        /* latched: the next batch fails and the node stops */
        return;
    }
    (void)s;
}

static void sim_jobs_done(struct sim *s, struct sim_node *n, enum node_lane lane)
{
    struct sim_lane *l = &n->lanes[lane];
    struct node_job *done[sizeof(l->jobs) / sizeof(l->jobs[0])];
    unsigned count = lane == NODE_LANE_SHARD ? l->count : 1;
    unsigned room = sizeof(l->jobs) / sizeof(l->jobs[0]);
    uint64_t life = n->life;
    for (unsigned i = 0; i < count; i++) {
        done[i] = l->jobs[l->head];
        l->head = (l->head + 1) % room;
        l->count--;
        node_job_run(done[i], &n->env);
    }
    if (lane == NODE_LANE_SHARD) {
        int code = node_jobs_sync(&n->env);
        for (unsigned i = 0; code != 0 && i < count; i++) {
            done[i]->code = code;
        }
    }
    l->busy = false;
    for (unsigned i = 0; i < count; i++) {
        ASSERT(n->life == life);
        struct node_event ev = {.kind = NODE_EV_JOB, .job = done[i], .code = done[i]->code};
        sim_step_node(s, n, &ev);
    }
    sim_lane_kick(s, n, lane);
}

/* ---- life and death -------------------------------------------------------------------------- */

static void sim_log(void *ctx, enum log_level level, const char *line)
{
    struct sim *s = ctx;
    (void)level;
    if (s->options.verbose) {
        (void)fprintf(stderr, "%llu.%06llu %s\n", (unsigned long long)(s->now_us / SIM_S),
                      (unsigned long long)(s->now_us % SIM_S), line);
    }
}

static struct log sim_node_log;

static int sim_open_segments(struct sim *s, struct sim_node *n, struct err_info *why)
{
    struct store_segments_options seg = {.segment_bytes = 4u << 20,
                                         .reserve_bytes = 1u << 20,
                                         .segments_max = 1024,
                                         .store_id = n->id};
    memcpy(seg.cluster, s->identity.cluster, sizeof(seg.cluster));
    return store_segments_open(&n->segments, &n->table, &n->segidx, &seg, &s->heap_alloc,
                               &sim_node_log, why);
}

/* A planted failure of the disk while it starts: the process ends and is started again. What it
 * wrote stays in the cache of the system. */
static void sim_start_again(struct sim *s, struct sim_node *n, const struct err_info *why)
{
    if (sim_disk_failed_syncs(n->disk) == n->failed_syncs) {
        sim_fail(s, "restart", "node %u: the disk fails and nobody planted that: %s", n->id,
                 why->text);
    }
    if (n->wal != NULL) {
        store_wal_close(n->wal);
        n->wal = NULL;
    }
    if (n->segments != NULL) {
        store_segments_close(n->segments);
        n->segments = NULL;
    }
    sim_push(s, &(struct sim_event){
                    .at_us = s->now_us + 100 * SIM_MS, .kind = SIM_EV_RESTART, .node = n->id});
}

static bool sim_open_stores(struct sim *s, struct sim_node *n, struct err_info *why)
{
    struct store_wal_options wal = {
        .segment_bytes = s->options.wal_segment_bytes,
        .pool_segments = 2,
        .live_segments_max = 8,
        .batch_bytes_max = (uint32_t)NUM_MIN(100u << 10, s->options.wal_segment_bytes / 4),
        .store_id = n->id,
        .incarnation = 1,
        .groups_max = SIM_GROUPS_MAX + 2, /* group 0 and the own one */
        .entries_max = 1u << 16};
    memcpy(wal.cluster, s->identity.cluster, sizeof(wal.cluster));
    n->wal = NULL;
    int code = store_wal_open(&n->wal, &n->table, &wal, &s->heap_alloc, &sim_node_log, why);
    if (code == 0) {
        code = sim_open_segments(s, n, why);
    }
    if (code == ERR_IO) {
        sim_start_again(s, n, why);
    } else if (code != 0) {
        sim_fail(s, "restart", "node %u cannot open its stores: %s: %s", n->id, err_name(code),
                 why->text);
    }
    return code == 0;
}

void sim_disk_look(struct sim *s, struct sim_node *n, bool open)
{
    struct err_info why = {0};
    if (n->up) {
        return;
    }
    if (open) {
        /* a sync that is planted to fail does so now, and not again */
        uint64_t failed = sim_disk_failed_syncs(n->disk);
        int code = sim_open_segments(s, n, &why);
        bool planted = code == ERR_IO && sim_disk_failed_syncs(n->disk) > failed;
        code = planted ? sim_open_segments(s, n, &why) : code;
        if (code != 0) {
            sim_fail(s, "restart", "node %u cannot open its segments: %s: %s", n->id,
                     err_name(code), why.text);
        }
    } else if (n->segments != NULL) {
        store_segments_close(n->segments);
        n->segments = NULL;
        sim_disk_crash(n->disk, &s->rng);
        sim_kv_crash(&n->segidx);
    }
}

/* Some seeds have short logs, so that followers get snapshots, and some send few entries at a time,
 * so that logs are equal in part for longer. */
static void sim_node_small(const struct sim *s, struct node_options *o)
{
    uint64_t dice = hash_mix(s->options.seed ^ 0x5ca1ab1e);
    if (dice % 3 == 0) {
        o->limits.log_entries = 128;
        o->limits.uncommitted_entries = 128;
        o->log_keep_entries = 8;
    }
    if (dice / 3 % 4 == 0) {
        o->limits.append_entries = 2;
    }
}

static void sim_node_options(struct sim *s, struct sim_node *n, struct node_options *o,
                             struct wire_identity *identity)
{
    *identity = s->identity;
    ASSERT(wire_identity_claim(identity, n->id) == 0);
    *o = (struct node_options){.identity = identity,
                               .boot = n->boot,
                               .boot_nonce = hash_mix(s->options.seed + n->boot * 64 + n->id),
                               .seed = hash_mix(s->options.seed ^ (n->boot << 8) ^ n->id),
                               .log = &sim_node_log,
                               .heartbeat_us = 100 * SIM_MS,
                               .election_us = 1000 * SIM_MS,
                               .flush_interval_us = 2 * SIM_S,
                               .intent_ttl_us = 20 * (uint64_t)SIM_S,
                               .free_delay_us = 20 * (uint64_t)SIM_S,
                               .session_ttl_us = 600 * (uint64_t)SIM_S,
                               .audit_interval_us = 1 * SIM_S,
                               .scrub_bytes_per_s = 1u << 20,
                               .repair_bytes_per_s = 64u << 20,
                               .put_deadline_us = 2 * SIM_S,
                               .log_keep_entries = 64,
                               .gossip = {.cipher = sim_cipher(), .first_key = {7}}};
    limits_init(&o->limits);
    o->limits.log_entries = 4096;
    o->limits.memtable_bytes = 8u << 20;
    sim_node_small(s, o);
}

void sim_start(struct sim *s, struct sim_node *n)
{
    struct err_info why = {0};
    struct node_options options;
    struct wire_identity identity;
    ASSERT(!n->up);
    n->boot++;
    n->life++;
    n->paused = false;
    n->wal_slow_us = 0;
    n->failed_syncs = sim_disk_failed_syncs(n->disk);
    if (!sim_open_stores(s, n, &why)) {
        return;
    }
    n->env = (struct node_env){.wal = n->wal,
                               .kv = &n->kv,
                               .segments = n->segments,
                               .compute = n->env.compute,
                               .alloc = s->heap_alloc};
    sim_node_options(s, n, &options, &identity);
    int code = node_new(&n->node, &options, &n->env, &s->heap_alloc, sim_node_now(s, n), &why);
    if (code == ERR_DISK_FULL) { /* it says so, and somebody makes room */
        sim_disk_set_full(n->disk, false);
        code = node_new(&n->node, &options, &n->env, &s->heap_alloc, sim_node_now(s, n), &why);
    }
    if (code == ERR_IO) {
        sim_start_again(s, n, &why);
        return;
    }
    if (code != 0) {
        sim_fail(s, "restart", "node %u does not start: %s: %s", n->id, err_name(code), why.text);
        return;
    }
    n->up = true;
    n->tick_us = 0;
    memset(n->peer_up, 0, sizeof(n->peer_up));
    s->counters.restarts++;
    sim_check_restarted(s, n);
    struct node_event tick = {.kind = NODE_EV_TICK};
    sim_step_node(s, n, &tick);
    sim_net_refresh(s);
}

/* What was under way when power went: part of it reached the disk. */
static void sim_crash_work(struct sim *s, struct sim_node *n)
{
    struct sim_lane *shard = &n->lanes[NODE_LANE_SHARD];
    struct sim_lane *flush = &n->lanes[NODE_LANE_FLUSH];
    unsigned room = sizeof(shard->jobs) / sizeof(shard->jobs[0]);
    if (flush->busy && rng_chance(&s->rng, 1, 2)) {
        node_job_run(flush->jobs[flush->head], &n->env);
    }
    if (n->batch != NULL && rng_chance(&s->rng, 3, 4)) {
        sim_disk_power_off_after(n->disk, rng_between(&s->rng, 1, 4));
        (void)node_wal_run(n->batch, &n->env);
    } else if (shard->busy) {
        sim_disk_power_off_after(n->disk, rng_between(&s->rng, 1, 6));
        for (unsigned i = 0; i < shard->count; i++) {
            node_job_run(shard->jobs[(shard->head + i) % room], &n->env);
        }
        (void)node_jobs_sync(&n->env);
    }
}

void sim_crash(struct sim *s, struct sim_node *n)
{
    if (!n->up) {
        return;
    }
    s->counters.crashes++;
    sim_crash_work(s, n);
    for (unsigned lane = 0; lane < NODE_LANES; lane++) {
        struct sim_lane *l = &n->lanes[lane];
        unsigned room = sizeof(l->jobs) / sizeof(l->jobs[0]);
        for (unsigned i = 0; i < l->count; i++) {
            node_job_drop(n->node, l->jobs[(l->head + i) % room]);
        }
        l->head = 0;
        l->count = 0;
        l->busy = false;
    }
    if (n->batch != NULL) {
        node_wal_drop(n->node, n->batch);
        n->batch = NULL;
    }
    node_free(n->node);
    n->node = NULL;
    store_wal_close(n->wal);
    store_segments_close(n->segments);
    n->segments = NULL;
    sim_disk_crash(n->disk, &s->rng);
    sim_kv_crash(&n->kv);
    sim_kv_crash(&n->segidx);
    n->up = false;
    n->life++;
    for (uint32_t c = 0; c < sizeof(n->conns) / sizeof(n->conns[0]); c++) {
        if (n->conns[c] != 0) {
            n->conns[c] = 0;
            sim_clients_gone(s, c, n->id);
        }
    }
    sim_net_refresh(s);
}

/* ---- the run --------------------------------------------------------------------------------- */

static void sim_identity(struct sim *s)
{
    struct wire_identity_node nodes[SIM_NODES_MAX];
    struct err_info why = {0};
    memset(nodes, 0, sizeof(nodes));
    for (unsigned i = 0; i < s->options.nodes; i++) {
        nodes[i].id = i + 1;
        nodes[i].zone = i + 1;
        nodes[i].client_port = (uint16_t)(7001 + i);
        nodes[i].peer_port = (uint16_t)(7101 + i);
        (void)snprintf(nodes[i].host, sizeof(nodes[i].host), "node%u", i + 1);
    }
    struct wire_identity_plan plan = {
        .nodes = nodes, .nodes_count = s->options.nodes, .data_groups = s->options.groups};
    rng_fill(&s->rng, plan.cluster, sizeof(plan.cluster));
    ASSERT(wire_identity_make(&plan, &s->identity, &why) == 0);
}

void sim_init(struct sim *s, const struct sim_options *options)
{
    struct err_info why = {0};
    memset(s, 0, sizeof(*s));
    ASSERT(options->nodes >= 1 && options->nodes <= SIM_NODES_MAX);
    ASSERT(options->groups >= 1 && options->groups <= SIM_GROUPS_MAX);
    s->options = *options;
    s->heap_alloc = alloc_heap();
    s->now_us = 10 * (uint64_t)SIM_S;
    s->trace = hash_mix(options->seed);
    rng_init(&s->rng, options->seed);
    sim_node_log = (struct log){.sink = sim_log, .ctx = s, .least = LOG_INFO};
    if (!options->verbose) {
        sim_node_log.least = (enum log_level)(LOG_ERROR + 1);
    }
    sim_identity(s);
    sim_check_init(s);
    for (unsigned i = 1; i <= options->nodes; i++) {
        struct sim_node *n = &s->nodes[i];
        n->id = i;
        n->disk = sim_disk_new(1ull << 30);
        n->table = sim_disk_table(n->disk);
        n->clock_offset_us = (int64_t)rng_below(&s->rng, 3600 * (uint64_t)SIM_S);
        n->clock_ppm = (int64_t)rng_below(&s->rng, 600) - 300;
        ASSERT(sim_kv_new(&n->kv, 1ull << 30, &s->heap_alloc) == 0);
        ASSERT(sim_kv_new(&n->segidx, 1ull << 30, &s->heap_alloc) == 0);
        ASSERT(compute_new(&n->env.compute, &s->heap_alloc, &why) == 0);
    }
    sim_clients_init(s);
    sim_uploads_init(s);
    sim_eventual_init(s);
    for (unsigned i = 1; i <= options->nodes && !s->failed; i++) {
        sim_start(s, &s->nodes[i]);
    }
    sim_faults_init(s);
    sim_members_init(s);
}

void sim_release(struct sim *s)
{
    s->options.verbose = false;
    for (unsigned i = 1; i <= s->options.nodes; i++) {
        struct sim_node *n = &s->nodes[i];
        sim_crash(s, n);
        sim_disk_free(n->disk);
        n->kv.close(n->kv.ctx);
        n->segidx.close(n->segidx.ctx);
        compute_free(n->env.compute);
    }
    for (size_t i = 0; i < s->heap_count; i++) {
        sim_bytes_put(s, s->heap[i].data, s->heap[i].bytes);
    }
    free(s->heap);
    sim_clients_release(s);
    sim_uploads_release(s);
    sim_eventual_release(s);
    sim_check_release(s);
    while (s->free_small != NULL) {
        uint8_t *next;
        memcpy(&next, s->free_small, sizeof(next));
        free(s->free_small);
        s->free_small = next;
    }
}

static void sim_trace(struct sim *s, const struct sim_event *ev)
{
    uint64_t h = hash_mix(s->trace ^ ev->at_us);
    h = hash_mix(h ^ ((uint64_t)ev->kind << 56) ^ ((uint64_t)ev->node << 40) ^
                 ((uint64_t)ev->other << 24) ^ ev->frame_kind);
    if (ev->bytes > 0) {
        h ^= hash_of(bytes_of(ev->data, ev->bytes), h);
    }
    s->trace = h;
}

static void sim_client_request(struct sim *s, struct sim_node *n, struct sim_event *ev)
{
    uint32_t client = (uint32_t)(ev->a & 0xffff);
    if (!n->up) {
        sim_clients_gone(s, client, n->id);
        return;
    }
    if (n->conns[client] != ev->a) {
        struct node_event open = {.kind = NODE_EV_CONN_OPEN, .conn = ev->a};
        if (n->conns[client] != 0) {
            struct node_event gone = {.kind = NODE_EV_CONN_GONE, .conn = n->conns[client]};
            sim_step_node(s, n, &gone);
        }
        n->conns[client] = ev->a;
        sim_step_node(s, n, &open);
    }
    struct node_event rpc = {
        .kind = NODE_EV_RPC, .conn = ev->a, .data = bytes_of(ev->data, ev->bytes)};
    sim_step_node(s, n, &rpc);
}

static void sim_dispatch_node(struct sim *s, struct sim_node *n, struct sim_event *ev)
{
    struct node_event tick = {.kind = NODE_EV_TICK};
    switch (ev->kind) {
    case SIM_EV_TICK:
        if (ev->at_us >= n->tick_us) {
            n->tick_us = 0;
        }
        sim_step_node(s, n, &tick);
        break;
    case SIM_EV_FRAME: sim_net_deliver(s, ev); break;
    case SIM_EV_DATAGRAM: sim_net_receive(s, ev); break;
    case SIM_EV_WAL: sim_wal_done(s, n); break;
    case SIM_EV_JOB: sim_jobs_done(s, n, (enum node_lane)ev->a); break;
    case SIM_EV_WAL_IDLE: sim_wal_idle(s, n, ev); break;
    case SIM_EV_PEER: sim_net_peer(s, ev); break;
    default: ASSERT(false);
    }
}

static void sim_dispatch(struct sim *s, struct sim_event *ev)
{
    struct sim_node *n = ev->node <= SIM_NODES_MAX ? &s->nodes[ev->node] : NULL;
    switch (ev->kind) {
    case SIM_EV_REQUEST:
        if (n->paused) {
            break;
        }
        sim_client_request(s, n, ev);
        return;
    case SIM_EV_REPLY: sim_clients_reply(s, ev); return;
    case SIM_EV_CLIENT: sim_clients_fire(s, ev); return;
    case SIM_EV_FAULT:
    case SIM_EV_RESTART:
    case SIM_EV_RESUME: sim_faults_fire(s, ev); return;
    case SIM_EV_DUEL: sim_duel_fire(s, ev); return;
    case SIM_EV_MEMBERS: sim_members_fire(s); return;
    default:
        if (!n->up || ev->life != n->life) {
            return;
        }
        if (!n->paused) {
            sim_dispatch_node(s, n, ev);
            return;
        }
    }
    /* the node is stopped: everything waits for it */
    struct sim_event later = *ev;
    later.at_us = s->now_us + 50 * SIM_MS;
    sim_push(s, &later);
    ev->data = NULL;
}

static void sim_one(struct sim *s)
{
    struct sim_event ev = sim_pop(s);
    ASSERT(ev.at_us >= s->now_us);
    s->now_us = ev.at_us;
    s->counters.events++;
    sim_trace(s, &ev);
    sim_dispatch(s, &ev);
    sim_bytes_put(s, ev.data, ev.bytes);
}

void sim_pass(struct sim *s, uint64_t until_us)
{
    while (s->heap_count > 0 && !s->failed && s->heap[0].at_us < until_us) {
        sim_one(s);
    }
    s->now_us = NUM_MAX(s->now_us, until_us);
}

static void sim_dump(const struct sim *s)
{
    for (unsigned id = 1; s->options.verbose && id <= s->options.nodes; id++) {
        const struct sim_node *n = &s->nodes[id];
        (void)fprintf(stderr, "node %u up=%d wal=%d lanes=%u/%u/%u/%u\n", id, n->up,
                      n->batch != NULL, n->lanes[0].count, n->lanes[1].count, n->lanes[2].count,
                      n->lanes[3].count);
        for (unsigned i = 0; n->up && i < node_groups(n->node); i++) {
            struct node_group_view v;
            node_group_view_get(n->node, i, &v);
            (void)fprintf(stderr,
                          "  group %u leader=%u me=%d term=%llu base=%llu applied=%llu "
                          "commit=%llu durable=%llu last=%llu\n",
                          v.group, v.leader, v.is_leader, (unsigned long long)v.term,
                          (unsigned long long)v.base_index, (unsigned long long)v.applied_index,
                          (unsigned long long)v.commit_index, (unsigned long long)v.durable_index,
                          (unsigned long long)v.last_index);
        }
    }
}

void sim_settle(struct sim *s, uint64_t within_us)
{
    uint64_t bound = s->now_us + within_us;
    s->quiet = true;
    sim_faults_end(s);
    while (!s->failed) {
        sim_pass(s, s->now_us + 200 * SIM_MS);
        bool equal = sim_eventual_converged(s) && sim_check_converged(s);
        bool idle = sim_clients_idle(s) && sim_uploads_idle(s) && sim_eventual_idle(s);
        if (equal && idle && sim_eventual_handed_over(s)) {
            return;
        }
        if (s->now_us > bound && equal && idle) {
            sim_eventual_all_seen(s);
        }
        if (s->now_us > bound) {
            sim_fail(s, "liveness", "not settled %llu s after the last fault: %s",
                     (unsigned long long)(within_us / SIM_S),
                     !sim_clients_idle(s)    ? "a client waits"
                     : !sim_uploads_idle(s)  ? "an upload waits"
                     : !sim_eventual_idle(s) ? "a client of eventual mode waits"
                                             : "replicas differ");
            sim_dump(s);
        }
    }
}

/* Some nodes die soon and stay dead until the end. */
static void sim_take_down(struct sim *s)
{
    sim_pass(s, s->now_us + 3 * (uint64_t)SIM_S);
    uint32_t first = (uint32_t)rng_below(&s->rng, s->options.nodes);
    for (unsigned i = 0; i < s->options.down && !s->failed; i++) {
        sim_crash(s, &s->nodes[(first + i) % s->options.nodes + 1]);
    }
}

bool sim_run(struct sim *s)
{
    if (s->options.down > 0) {
        sim_take_down(s);
    }
    sim_pass(s, s->now_us + s->options.seconds * SIM_S);
    if (!s->failed) {
        sim_settle(s, 60 * (uint64_t)SIM_S);
    }
    if (!s->failed) {
        sim_check_finish(s);
        sim_clients_finish(s);
        sim_uploads_finish(s);
        sim_eventual_finish(s);
    }
    return !s->failed;
}
