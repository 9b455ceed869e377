/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The node as a whole: what comes in, the pump that runs until nothing moves, what goes out. Each
 * part decides for itself; the order between them is here.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_api_internal.h"
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"
#include "server/node/query_internal.h"

#include <stdio.h>

/* ---- facts ---------------------------------------------------------------------------------- */

uint64_t node_now(const struct node *n)
{
    return n->now;
}

uint64_t node_wall(const struct node *n)
{
    return n->wall;
}

uint32_t node_self(const struct node *n)
{
    return n->self;
}

const struct alloc *node_alloc(const struct node *n)
{
    return &n->alloc;
}

struct rng *node_rng(struct node *n)
{
    return &n->rng;
}

const struct log *node_log(const struct node *n)
{
    return n->options.log;
}

const struct node_options *node_options_get(const struct node *n)
{
    return &n->options;
}

const struct wire_identity *node_identity(const struct node *n)
{
    return &n->identity;
}

struct node_objects *node_objects_get(struct node *n)
{
    return n->objects;
}

static struct node_peer *node_peer_of(struct node *n, uint32_t id)
{
    for (unsigned i = 0; i < n->peers_count; i++) {
        if (n->peers[i].id == id) {
            return &n->peers[i];
        }
    }
    return NULL;
}

bool node_peer_is_up(const struct node *n, uint32_t peer)
{
    for (unsigned i = 0; i < n->peers_count; i++) {
        if (n->peers[i].id == peer) {
            return n->peers[i].up;
        }
    }
    return peer == n->self;
}

unsigned node_peers_up(const struct node *n)
{
    unsigned up = 1;
    for (unsigned i = 0; i < n->peers_count; i++) {
        up += n->peers[i].up;
    }
    return up;
}

bool node_leads(const struct node *n, uint32_t group)
{
    const struct node_group *g = node_group_find(n, group);
    return g != NULL && g->role == RAFT_LEADER && g->led && !g->fenced;
}

/* ---- the pump ------------------------------------------------------------------------------- */

/* A leader is told once its no-op is applied: from then on its state is the group's. */
static bool node_lead_check(struct node *n, struct node_group *g)
{
    struct raft_status s;
    if (g->role != RAFT_LEADER || g->led || g->fenced ||
        raft_status_get(n->raft, g->id, n->now, &s) != 0 || !s.leading || g->now.term != s.term) {
        return false;
    }
    g->led = true;
    node_session_led(n, g);
    if (node_group_own(g)) {
        node_ev_self_wake(n);
        (void)node_ev_hold_known(n); /* contexts mean something from here on */
    } else {
        node_objects_led(n->objects, g->id);
    }
    return true;
}

static void node_retry_fire(struct node *n, struct node_timer *t)
{
    struct node_group *g = t->ctx;
    node_propose_role(n, g);
    node_query_role(n, g);
}

static void node_pump(struct node *n)
{
    bool busy = true;
    for (unsigned round = 0; busy && round < NODE_PUMP_ROUNDS_MAX && !n->failed; round++) {
        busy = node_timers_run(n);
        for (unsigned i = 0; i < n->groups_count; i++) {
            struct node_group *g = &n->groups[i];
            busy |= node_apply_run(n, g);
            busy |= node_lead_check(n, g);
            busy |= node_query_run(n, g);
        }
    }
}

/* Gathers what the turn's events asked of raft. */
static void node_turn_end(struct node *n)
{
    if (n->failed || n->closing) {
        return;
    }
    node_member_turn(n);
    for (unsigned i = 0; i < n->groups_count; i++) {
        node_propose_flush(n, &n->groups[i]);
        node_query_flush(n, &n->groups[i]);
    }
    node_pump(n);
    node_flush_turn(n);
    node_install_turn(n);
    node_wal_turn(n);
}

unsigned node_poll(struct node *n, struct node_fx *out, unsigned max)
{
    unsigned count = 0;
    node_turn_end(n);
    while (count < max && n->fx.count > 0) {
        out[count++] = n->fx.items[n->fx.first];
        n->fx.first = (n->fx.first + 1) & n->fx.mask;
        n->fx.count--;
    }
    return count;
}

uint64_t node_deadline(const struct node *n)
{
    if (n->failed) {
        return UINT64_MAX;
    }
    uint64_t at = NUM_MIN(raft_deadline(n->raft), node_timers_next(n));
    at = NUM_MIN(at, node_member_deadline(n));
    if (n->batch_kept) {
        at = NUM_MIN(at, n->batch_retry_us);
    }
    if (!n->flush_out && !n->flip_wanted && store_mem_dirty_bytes(n->mem) > 0) {
        uint64_t due = NUM_MAX(n->flushed_us + n->options.flush_interval_us, n->flush_retry_us);
        at = NUM_MIN(at, NUM_MAX(due, n->now + 1));
    }
    return at;
}

/* ---- events --------------------------------------------------------------------------------- */

struct node_blob *node_frame(const struct node *n)
{
    return n->frame;
}

static void node_on_peer(struct node *n, const struct node_event *ev)
{
    if (node_peer_of(n, ev->peer) == NULL) {
        n->counters.bad_frames++;
        return;
    }
    switch (ev->frame_kind) {
    case NODE_FRAME_RAFT: node_raft_message(n, ev->peer, ev->data); break;
    case NODE_FRAME_CALL: node_call_arrived(n, ev->peer, ev->data); break;
    case NODE_FRAME_ANSWER:
        node_member_answered(n, ev->peer);
        node_call_answered(n, ev->peer, ev->data);
        break;
    case NODE_FRAME_GOSSIP: node_member_stream(n, ev->peer, ev->data); break;
    default: n->counters.bad_frames++; break;
    }
}

static void node_on_peer_change(struct node *n, uint32_t id, bool up)
{
    struct node_peer *peer = node_peer_of(n, id);
    if (peer == NULL || (peer->up == up && !up)) {
        return;
    }
    bool again = peer->up && up; /* a new connection in place of one that nobody saw end */
    if (again) {
        peer->up = false;
        node_call_peer_down(n, id);
        node_objects_peer_down(n->objects, id);
    }
    peer->up = up;
    if (!up) {
        node_call_peer_down(n, id);
    }
    struct raft_event ev = {.kind = up ? RAFT_PEER_UP : RAFT_PEER_DOWN, .peer = id};
    (void)node_raft(n, &ev);
    for (unsigned i = 0; i <= n->groups_count; i++) {
        node_retry_soon(n, &n->groups[i]);
    }
    log_line(n->options.log, LOG_INFO, up ? "peer_up" : "peer_down", "node=%u peer=%u", n->self,
             id);
    node_member_connection(n, id, up);
    node_ev_peer(n, id, up);
    if (up) {
        node_control_peer_up(n, id);
        node_objects_peer_up(n->objects, id);
    } else {
        node_objects_peer_down(n->objects, id);
    }
}

static void node_on_job(struct node *n, struct node_job *job)
{
    struct node_task *task = (struct node_task *)(void *)job;
    ASSERT(n->lane_out[job->lane] > 0);
    n->lane_out[job->lane]--;
    int code = job->lane == NODE_LANE_SHARD ? job->code : 0;
    task->done(n, task);
    if (code == ERR_IO && !n->closing) {
        node_fail(n, code, "shard_write"); /* what was not synced must be read anew */
    }
}

void node_step(struct node *n, const struct node_event *ev)
{
    n->now = NUM_MAX(n->now, ev->now_us);
    n->wall = ev->wall_us;
    if (n->failed) { /* what is out comes home; nothing else matters */
        if (ev->kind == NODE_EV_JOB) {
            node_on_job(n, ev->job);
        } else if (ev->kind == NODE_EV_WAL) {
            node_wal_done(n, ev->batch, ev->code != 0 ? ev->code : ERR_IO);
        }
        return;
    }
    switch (ev->kind) {
    case NODE_EV_TICK: break;
    case NODE_EV_RPC: node_api_rpc(n, ev->conn, ev->data); break;
    case NODE_EV_CONN_OPEN: node_api_open(n, ev->conn); break;
    case NODE_EV_CONN_GONE: node_api_gone(n, ev->conn); break;
    case NODE_EV_PEER:
        n->frame = ev->frame;
        node_on_peer(n, ev);
        n->frame = NULL;
        break;
    case NODE_EV_PEER_UP: node_on_peer_change(n, ev->peer, true); break;
    case NODE_EV_PEER_DOWN: node_on_peer_change(n, ev->peer, false); break;
    case NODE_EV_WAL: node_wal_done(n, ev->batch, ev->code); break;
    case NODE_EV_JOB: node_on_job(n, ev->job); break;
    case NODE_EV_GOSSIP: node_member_packet(n, ev); break;
    case NODE_EV_REFUSED: node_control_refused(n, ev->peer); break;
    case NODE_EV_LEAVE: node_ev_leave(n); break;
    }
    if (!n->failed && n->now >= raft_deadline(n->raft)) {
        struct raft_event tick = {.kind = RAFT_TICK};
        (void)node_raft(n, &tick);
    }
    node_pump(n);
}

/* ---- begin and end -------------------------------------------------------------------------- */

static void node_table_ops(struct node *n, const struct node_op *rows)
{
    for (const struct node_op *row = rows; row->op != 0; row++) {
        ASSERT(n->ops[row->op] == NULL);
        n->ops[row->op] = row;
    }
}

static void node_table_queries(struct node *n, const struct node_query_op *rows)
{
    for (const struct node_query_op *row = rows; row->op != 0; row++) {
        ASSERT(n->queries[row->op] == NULL);
        n->queries[row->op] = row;
    }
}

static void node_table_methods(struct node *n, const struct node_method *rows)
{
    for (const struct node_method *row = rows; row->method != 0; row++) {
        ASSERT(n->methods[row->method] == NULL);
        n->methods[row->method] = row->serve;
    }
}

const struct node_method node_core_methods[] = {
    {NODE_CALL_PROPOSE, node_propose_serve},
    {NODE_CALL_QUERY, node_query_serve},
    {NODE_CALL_SNAPSHOT_CHUNK, node_snapshot_serve},
    {NODE_CALL_SNAPSHOT_OPEN, node_snapshot_serve_open},
    {0, NULL},
};

static void node_tables(struct node *n)
{
    node_table_ops(n, node_session_ops);
    node_table_ops(n, node_kv_ops);
    node_table_ops(n, node_object_ops);
    node_table_ops(n, node_control_ops);
    node_table_ops(n, node_ev_self_ops);
    node_table_ops(n, node_ev_ops);
    node_table_ops(n, node_ev_once_ops);
    node_table_queries(n, node_session_queries);
    node_table_queries(n, node_kv_queries);
    node_table_queries(n, node_object_queries);
    node_table_queries(n, node_control_queries);
    node_table_queries(n, node_ev_page_queries);
    node_table_queries(n, node_ev_recount_queries);
    node_table_queries(n, node_ev_read_queries);
    node_table_queries(n, node_ev_once_queries);
    node_table_methods(n, node_core_methods);
    node_table_methods(n, node_object_methods);
    node_table_methods(n, node_ev_methods);
    node_table_methods(n, node_ev_ask_methods);
    n->pools[NODE_POOL_PENDING].bytes = node_pending_bytes();
    n->pools[NODE_POOL_ASK].bytes = sizeof(struct node_ask);
    n->pools[NODE_POOL_ROUND].bytes = node_round_bytes();
    n->pools[NODE_POOL_API].bytes = NODE_API_BYTES;
    n->pools[NODE_POOL_CONN].bytes = sizeof(struct node_conn);
}

static int node_group_init(struct node *n, struct node_group *g,
                           const struct wire_identity_group *from)
{
    node_link_init(&g->staged);
    node_link_init(&g->waiting);
    node_link_init(&g->reads);
    node_link_init(&g->reads_idle);
    node_link_init(&g->reads_sent);
    node_link_init(&g->reads_ready);
    g->retry.ctx = g;
    g->retry.fire = node_retry_fire;
    if (from == NULL) {
        g->id = UINT32_MAX;
        return 0;
    }
    g->id = from->id;
    g->voters_count = from->voters_count;
    memcpy(g->voters, from->voters, from->voters_count * sizeof g->voters[0]);
    g->logged_mask = 255;
    g->logged = alloc_get(&n->alloc, (g->logged_mask + 1) * sizeof *g->logged);
    if (g->logged == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t i = 0; i <= g->logged_mask; i++) {
        node_link_init(&g->logged[i]);
    }
    n->by_id[g->id] = g;
    return node_ring_init(n, g);
}

#define NODE_GROUPS_MORE 2u /* the own group, and elsewhere */

static int node_groups_init(struct node *n)
{
    const struct wire_identity *id = &n->identity;
    const struct wire_identity_group own = {
        .id = NODE_GROUP_OWN, .voters_count = 1, .voters = {n->self}};
    n->groups = alloc_get_zeroed(&n->alloc, id->groups_count + NODE_GROUPS_MORE, sizeof *n->groups);
    if (n->groups == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < id->groups_count; i++) {
        for (uint32_t v = 0; v < id->groups[i].voters_count; v++) {
            if (id->groups[i].voters[v] == n->self) {
                TRY(node_group_init(n, &n->groups[n->groups_count++], &id->groups[i]));
            }
        }
    }
    TRY(node_group_init(n, &n->groups[n->groups_count++], &own));
    n->elsewhere = &n->groups[n->groups_count];
    TRY(node_group_init(n, n->elsewhere, NULL));
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        if (id->nodes[i].id != n->self) {
            n->peers[n->peers_count++].id = id->nodes[i].id;
        }
    }
    return 0;
}

static int node_memory_init(struct node *n)
{
    const struct limits *l = &n->options.limits;
    n->staged_max = (unsigned)NUM_MAX(l->append_entries, (uint64_t)512);
    n->staged = alloc_get_zeroed(&n->alloc, n->staged_max, sizeof(struct node_payload *));
    n->entries = alloc_get_zeroed(&n->alloc, n->staged_max, sizeof *n->entries);
    n->heartbeats = alloc_get_zeroed(&n->alloc, n->staged_max, sizeof *n->heartbeats);
    n->actions = alloc_get_zeroed(&n->alloc, 64, sizeof *n->actions);
    if (n->staged == NULL || n->entries == NULL || n->heartbeats == NULL || n->actions == NULL) {
        return ERR_NO_MEMORY;
    }
    n->staged_base = 1;
    buf_init(&n->scratch, &n->alloc, 64u << 20);
    buf_init(&n->reply, &n->alloc, 64u << 20);
    buf_init(&n->flush_meta, &n->alloc, 1u << 20);
    struct store_mem_options mem = {.dirty_bytes_max = l->memtable_bytes,
                                    .clean_bytes_max = l->memtable_bytes / 2,
                                    .hash_seed = n->options.seed};
    TRY(store_mem_new(&n->mem, &mem, &n->alloc));
    TRY(node_fx_init(n));
    TRY(node_call_init(n));
    TRY(node_member_init(n));
    TRY(node_control_init(n));
    TRY(node_snapshots_init(n));
    TRY(node_watch_init(n));
    TRY(node_ev_self_init(n));
    TRY(node_ev_once_init(n));
    TRY(node_ev_regions_init(n));
    TRY(node_ev_init(n));
    TRY(node_ev_writes_init(n));
    return node_api_init(n);
}

static uint64_t node_or(uint64_t v, uint64_t fallback)
{
    return v != 0 ? v : fallback;
}

static void node_defaults(struct node_options *o)
{
    const uint64_t second = 1000000;
    o->heartbeat_us = node_or(o->heartbeat_us, second / 10);
    o->election_us = node_or(o->election_us, second);
    o->flush_interval_us = node_or(o->flush_interval_us, second);
    o->intent_ttl_us = node_or(o->intent_ttl_us, 60 * second);
    o->free_delay_us = node_or(o->free_delay_us, 900 * second);
    o->session_ttl_us = node_or(o->session_ttl_us, 3600 * second);
    o->once_ttl_us = node_or(o->once_ttl_us, 86400 * second);
    o->audit_interval_us = node_or(o->audit_interval_us, second);
    o->scrub_bytes_per_s = node_or(o->scrub_bytes_per_s, 8u << 20);
    o->repair_bytes_per_s = node_or(o->repair_bytes_per_s, 64u << 20);
    o->put_deadline_us = node_or(o->put_deadline_us, 5 * second);
    o->repair_delay_us = node_or(o->repair_delay_us, 600 * second);
    o->disk_slow_us = node_or(o->disk_slow_us, second);
    o->log_keep_entries = (uint32_t)node_or(o->log_keep_entries, 4096);
}

static int node_begin(struct node *n, struct node_env *env, struct err_info *why)
{
    node_tables(n);
    int err = node_groups_init(n);
    err = err != 0 ? err : node_memory_init(n);
    err = err != 0 ? err : node_objects_new(&n->objects, n);
    if (err != 0) {
        return err_set(why, err, "cannot set up node %u", n->self);
    }
    TRY(node_recover(n, env, why));
    node_control_start(n);
    node_objects_start(n->objects);
    return 0;
}

int node_new(struct node **out, const struct node_options *options, struct node_env *env,
             const struct alloc *alloc, uint64_t now_us, struct err_info *why)
{
    if (wire_identity_node_of(options->identity, options->identity->node) == NULL) {
        return err_set(why, ERR_INVALID, "identity is of no node of its roster");
    }
    struct node *n = alloc_get_zeroed(alloc, 1, sizeof *n);
    if (n == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the node");
    }
    n->alloc = *alloc;
    n->job_alloc = env->alloc;
    n->options = *options;
    n->identity = *options->identity;
    n->options.identity = &n->identity;
    node_defaults(&n->options);
    n->self = n->identity.node;
    n->now = n->started = n->flushed_us = now_us;
    rng_init(&n->rng, options->seed);
    int err = node_begin(n, env, why);
    if (err != 0) {
        node_free(n);
        return err;
    }
    *out = n;
    return 0;
}

static void node_free_arrays(struct node *n)
{
    alloc_put(&n->alloc, n->staged, n->staged_max * sizeof(struct node_payload *));
    alloc_put(&n->alloc, n->entries, n->staged_max * sizeof *n->entries);
    alloc_put(&n->alloc, n->heartbeats, n->staged_max * sizeof *n->heartbeats);
    alloc_put(&n->alloc, n->actions, 64 * sizeof *n->actions);
    buf_release(&n->scratch);
    buf_release(&n->reply);
    buf_release(&n->flush_meta);
    for (unsigned i = 0; i < NODE_POOLS; i++) {
        while (n->pools[i].free != NULL) {
            void *item = n->pools[i].free;
            memcpy(&n->pools[i].free, item, sizeof(void *));
            alloc_put(&n->alloc, item, n->pools[i].bytes);
        }
    }
}

void node_free(struct node *n)
{
    n->closing = true;
    node_fx_return(n);
    ASSERT(!n->batch_out);
    for (unsigned i = 0; n->groups != NULL && i <= n->groups_count; i++) {
        node_propose_free(n, &n->groups[i]);
        node_query_free(n, &n->groups[i]);
        node_install_release(n, &n->groups[i]);
    }
    node_call_release(n);
    node_timers_end(n);
    if (n->objects != NULL) {
        node_objects_free(n->objects);
    }
    node_api_release(n);
    node_watch_release(n);
    node_ev_release(n);
    node_ev_regions_release(n);
    node_ev_self_release(n);
    node_ev_once_release(n);
    node_ev_writes_release(n);
    node_snapshots_release(n);
    node_control_release(n);
    node_member_release(n);
    for (unsigned i = 0; i < n->groups_count; i++) {
        node_ring_free(n, &n->groups[i]);
        alloc_put(&n->alloc, n->groups[i].logged,
                  (n->groups[i].logged_mask + 1) * sizeof(struct node_link));
    }
    node_batch_free(n);
    node_fx_release(n);
    raft_host_free(n->raft);
    store_mem_free(n->mem);
    node_free_arrays(n);
    struct alloc alloc = n->alloc;
    if (n->groups != NULL) {
        alloc_put(&alloc, n->groups,
                  (n->identity.groups_count + NODE_GROUPS_MORE) * sizeof *n->groups);
    }
    alloc_put(&alloc, n, sizeof *n);
}

void node_job_drop(struct node *n, struct node_job *job)
{
    n->closing = true;
    if (job->code == 0) {
        job->code = ERR_UNAVAILABLE;
    }
    node_on_job(n, job);
}

void node_wal_drop(struct node *n, struct node_wal_batch *batch)
{
    n->closing = true;
    ASSERT(batch == &n->batch);
    n->batch_out = false;
}

/* ---- for checkers --------------------------------------------------------------------------- */

unsigned node_groups(const struct node *n)
{
    return n->groups_count - 1;
}

void node_group_view_get(const struct node *n, unsigned i, struct node_group_view *out)
{
    const struct node_group *g = &n->groups[i];
    struct raft_status s = {0};
    ASSERT(i < n->groups_count);
    (void)raft_status_get(n->raft, g->id, n->now, &s);
    *out = (struct node_group_view){.group = g->id,
                                    .leader = g->leader,
                                    .is_leader = g->role == RAFT_LEADER,
                                    .fenced = g->fenced || s.fenced,
                                    .term = s.term,
                                    .commit_index = s.commit_index,
                                    .durable_index = s.durable_index,
                                    .last_index = s.last_index,
                                    .base_index = s.base_index,
                                    .applied_index = g->now.index,
                                    .digest = g->now.digest};
}

int node_entry_view(const struct node *n, uint32_t group, uint64_t index, uint64_t *term)
{
    struct raft_entry e;
    TRY(raft_entry_get(n->raft, group, index, &e));
    *term = e.term;
    return 0;
}
