/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * hello, topology, status and crdt.status of the client interface: what one node knows.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#include <stdio.h>

#define NODE_VERSION "0.1.0"
#define NODE_STATUS_BYTES_MAX (1u << 20)

static void node_pack_u64(struct buf *out, const char *name, uint64_t v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_u64(out, v);
}

static void node_pack_text(struct buf *out, const char *name, const char *v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_text(out, v);
}

static void node_pack_cluster(struct node *n, struct buf *out)
{
    (void)wire_pack_text(out, WIRE_FIELD_CLUSTER);
    (void)wire_pack_bin(out, bytes_of(n->identity.cluster, sizeof n->identity.cluster));
}

static void node_hello_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct buf *out = &n->scratch;
    int err = wire_params_check(req, 0, 0);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    buf_clear(out);
    (void)wire_pack_map(out, 5);
    node_pack_text(out, WIRE_FIELD_PRODUCT, "holdfast");
    node_pack_text(out, WIRE_FIELD_VERSION, NODE_VERSION);
    node_pack_u64(out, WIRE_FIELD_LEVEL, WIRE_API_LEVEL);
    node_pack_u64(out, WIRE_FIELD_NODE, n->self);
    node_pack_cluster(n, out);
    node_reply_ok(n, client, buf_view(out));
}

static void node_pack_nodes(struct node *n, struct buf *out)
{
    const struct wire_identity *id = &n->identity;
    (void)wire_pack_text(out, WIRE_FIELD_NODES);
    (void)wire_pack_array(out, id->nodes_count);
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        (void)wire_pack_map(out, 4);
        node_pack_u64(out, WIRE_FIELD_ID, id->nodes[i].id);
        node_pack_text(out, WIRE_FIELD_HOST, id->nodes[i].host);
        node_pack_u64(out, WIRE_FIELD_CLIENT_PORT, id->nodes[i].client_port);
        node_pack_text(out, WIRE_FIELD_STATE, node_peer_is_up(n, id->nodes[i].id) ? "up" : "down");
    }
}

/* The leader that this node knows of; with no replica here, the one that answered last. */
static uint32_t node_known_leader(const struct node *n, uint32_t group)
{
    const struct node_group *g = node_group_find(n, group);
    return g != NULL ? g->leader : n->control->leader[group % NODE_GROUPS_MAX];
}

static void node_pack_topology_groups(struct node *n, struct buf *out)
{
    const struct wire_identity *id = &n->identity;
    (void)wire_pack_text(out, WIRE_FIELD_GROUPS);
    (void)wire_pack_array(out, id->groups_count);
    for (uint32_t i = 0; i < id->groups_count; i++) {
        const struct wire_identity_group *g = &id->groups[i];
        (void)wire_pack_map(out, 3);
        node_pack_u64(out, WIRE_FIELD_GROUP, g->id);
        node_pack_u64(out, WIRE_FIELD_LEADER, node_known_leader(n, g->id));
        (void)wire_pack_text(out, WIRE_FIELD_MEMBERS);
        (void)wire_pack_array(out, g->voters_count);
        for (uint32_t v = 0; v < g->voters_count; v++) {
            (void)wire_pack_u64(out, g->voters[v]);
        }
    }
}

static void node_topology_serve(struct node *n, struct node_client client,
                                const struct wire_rpc *req)
{
    struct buf *out = &n->scratch;
    const struct wire_identity *id = &n->identity;
    int err = wire_params_check(req, 0, 0);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    buf_clear(out);
    (void)wire_pack_map(out, 4);
    node_pack_cluster(n, out);
    node_pack_nodes(n, out);
    node_pack_topology_groups(n, out);
    (void)wire_pack_text(out, WIRE_FIELD_SLOTS);
    (void)wire_pack_array(out, id->slots_count);
    for (uint32_t i = 0; i < id->slots_count; i++) {
        (void)wire_pack_array(out, 3);
        (void)wire_pack_u64(out, id->slots[i].first);
        (void)wire_pack_u64(out, id->slots[i].last);
        (void)wire_pack_u64(out, id->slots[i].group);
    }
    node_reply_ok(n, client, buf_view(out));
}

/* ---- status --------------------------------------------------------------------------------- */

static void node_pack_peers(struct buf *out, const struct raft_status *s)
{
    (void)wire_pack_text(out, "followers");
    (void)wire_pack_array(out, s->role == RAFT_LEADER ? s->peers_count : 0);
    for (unsigned i = 0; s->role == RAFT_LEADER && i < s->peers_count; i++) {
        (void)wire_pack_map(out, 3);
        node_pack_u64(out, WIRE_FIELD_NODE, s->peers[i].node);
        node_pack_u64(out, "match", s->peers[i].match_index);
        node_pack_u64(out, "lag", s->last_index - NUM_MIN(s->last_index, s->peers[i].match_index));
    }
}

static const char *node_group_state(const struct node_group *g, const struct raft_status *s)
{
    if (g->fenced || s->fenced) {
        return "stopped";
    }
    if (g->install != NULL) {
        return "installing a snapshot";
    }
    return g->leader == RAFT_NODE_NONE ? "no leader" : "ok";
}

static void node_pack_status_group(struct node *n, struct node_group *g, struct buf *out)
{
    struct raft_status s = {0};
    (void)raft_status_get(n->raft, g->id, n->now, &s);
    (void)wire_pack_map(out, 13);
    node_pack_u64(out, WIRE_FIELD_GROUP, g->id);
    node_pack_text(out, WIRE_FIELD_STATE, node_group_state(g, &s));
    node_pack_u64(out, WIRE_FIELD_LEADER, g->leader);
    node_pack_text(out, "role",
                   g->role == RAFT_LEADER     ? "leader"
                   : g->role == RAFT_FOLLOWER ? "follower"
                                              : "candidate");
    node_pack_u64(out, "term", s.term);
    node_pack_u64(out, "commit", s.commit_index);
    node_pack_u64(out, "applied", g->now.index);
    node_pack_u64(out, "flushed", g->flushed.index);
    node_pack_u64(out, "last", s.last_index);
    node_pack_u64(out, "base", s.base_index);
    node_pack_u64(out, "sessions", g->now.sessions);
    node_pack_u64(out, "faulty", s.faulty_count);
    node_pack_peers(out, &s);
}

static void node_pack_counters(struct node *n, struct buf *out)
{
    const struct node_counters *c = &n->counters;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"requests", c->requests},
                {"refused_busy", c->refused_busy},
                {"bad_requests", c->bad_requests},
                {"bad_frames", c->bad_frames},
                {"proposals", c->proposals},
                {"queries", c->queries},
                {"applied", c->applied},
                {"wal_batches", c->wal_batches},
                {"flushes", c->flushes},
                {"snapshots_sent", c->snapshots_sent},
                {"snapshots_installed", c->snapshots_installed},
                {"forwards", c->forwards},
                {"dropped_messages", c->dropped_messages}};
    const size_t count = sizeof rows / sizeof rows[0];
    (void)wire_pack_text(out, WIRE_FIELD_COUNTERS);
    (void)wire_pack_map(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        node_pack_u64(out, rows[i].name, rows[i].value);
    }
}

/* What only a job may ask: how full the disk's tables are. */
struct node_status {
    struct node_task task;
    struct node_client client;
    uint64_t used_bytes, limit_bytes;
    struct store_segments_stats segments;
    struct store_wal_stats wal;
    struct buf buckets;
    int buckets_code;
    struct node_device_source source;
    struct node_device device;
};

static void node_pack_disk(const struct node *n, const struct node_status *s, struct buf *out)
{
    (void)wire_pack_text(out, WIRE_FIELD_DISK);
    (void)wire_pack_map(out, 9);
    node_pack_text(out, WIRE_FIELD_STATE, n->disk_full ? "full: new writes are refused" : "ok");
    node_pack_u64(out, "state_bytes", s->used_bytes);
    node_pack_u64(out, "state_limit_bytes", s->limit_bytes);
    node_pack_u64(out, "memtable_bytes", store_mem_dirty_bytes(n->mem));
    node_pack_u64(out, "log_segments", s->wal.segments_live);
    node_pack_u64(out, "shard_bytes", s->segments.live_bytes);
    node_pack_u64(out, "shard_file_bytes", s->segments.file_bytes);
    node_pack_u64(out, "shard_cells", s->segments.cells);
    node_pack_u64(out, "corrupt_reads", s->segments.corrupt_reads);
}

/* The least size is nil where no job goes there. */
static void node_pack_device_jobs(const struct node_device_jobs *j, const char *const names[3],
                                  struct buf *out)
{
    if (j->least_bytes == UINT64_MAX) {
        (void)wire_pack_text(out, names[0]);
        (void)wire_pack_nil(out);
    } else {
        node_pack_u64(out, names[0], j->least_bytes);
    }
    node_pack_u64(out, names[1], j->jobs);
    node_pack_u64(out, names[2], j->bytes);
}

static void node_pack_device(const struct node_device *d, struct buf *out)
{
    static const char *const names[NODE_DEVICE_KINDS][3] = {
        [NODE_DEVICE_CODES] = {"least_bytes", "jobs", "bytes"},
        [NODE_DEVICE_SUMS] = {"sum_least_bytes", "sum_jobs", "sum_bytes"},
        [NODE_DEVICE_LEAVES] = {"leaf_least_bytes", "leaf_jobs", "leaf_bytes"},
        [NODE_DEVICE_REDUCES] = {"reduce_least_bytes", "reduce_jobs", "reduce_bytes"},
        [NODE_DEVICE_SCANS] = {"scan_least_bytes", "scan_jobs", "scan_bytes"},
        [NODE_DEVICE_SORTS] = {"sort_least_bytes", "sort_jobs", "sort_bytes"},
    };
    (void)wire_pack_text(out, WIRE_FIELD_GPU);
    (void)wire_pack_map(out, 7 + 3 * NODE_DEVICE_KINDS);
    node_pack_text(out, WIRE_FIELD_STATE, d->state);
    node_pack_text(out, "device", d->name);
    node_pack_text(out, "cause", d->cause);
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        node_pack_device_jobs(&d->of[kind], names[kind], out);
    }
    node_pack_u64(out, "failed", d->failed);
    node_pack_u64(out, "late", d->late);
    node_pack_u64(out, "wrong", d->wrong);
    node_pack_u64(out, "errors", d->errors);
}

static void node_status_reply(struct node *n, struct node_status *s)
{
    struct buf out;
    buf_init(&out, &n->alloc, NODE_STATUS_BYTES_MAX);
    (void)wire_pack_map(&out, s->source.get != NULL ? 13 : 12);
    node_pack_u64(&out, WIRE_FIELD_NODE, n->self);
    node_pack_cluster(n, &out);
    node_pack_text(&out, WIRE_FIELD_VERSION, NODE_VERSION);
    node_pack_u64(&out, WIRE_FIELD_UPTIME_US, n->now - n->started);
    node_pack_nodes(n, &out);
    (void)wire_pack_text(&out, WIRE_FIELD_GROUPS);
    (void)wire_pack_array(&out, node_groups(n));
    for (unsigned i = 0; i < node_groups(n); i++) {
        node_pack_status_group(n, &n->groups[i], &out);
    }
    (void)wire_pack_text(&out, WIRE_FIELD_BUCKETS);
    if (s->buckets.size > 0) {
        (void)buf_append(&out, s->buckets.data, s->buckets.size);
    } else {
        (void)wire_pack_nil(&out); /* the group that knows did not answer */
    }
    node_pack_disk(n, s, &out);
    (void)wire_pack_text(&out, "repair");
    (void)node_objects_status(n->objects, &out);
    (void)wire_pack_text(&out, "gossip");
    (void)node_member_status(n, &out);
    (void)wire_pack_text(&out, "eventual");
    (void)node_ev_status(n, &out);
    if (s->source.get != NULL) {
        node_pack_device(&s->device, &out);
    }
    node_pack_counters(n, &out);
    if (out.err != 0) {
        node_reply_error(n, s->client, ERR_NO_MEMORY, NULL);
    } else {
        node_reply_ok(n, s->client, buf_view(&out));
    }
    buf_release(&out);
}

static void node_status_free(struct node *n, struct node_status *s)
{
    buf_release(&s->buckets);
    alloc_put(&n->alloc, s, sizeof *s);
}

static void node_status_run(struct node_task *task, struct node_env *env)
{
    struct node_status *s = (struct node_status *)(void *)task;
    env->kv->usage(env->kv->ctx, &s->used_bytes, &s->limit_bytes);
    store_wal_stats_get(env->wal, &s->wal);
    if (s->source.get != NULL) {
        s->source.get(s->source.ctx, &s->device);
    }
    if (env->segments != NULL) {
        store_segments_stats_get(env->segments, &s->segments);
    }
}

static void node_status_done(struct node *n, struct node_task *task)
{
    struct node_status *s = (struct node_status *)(void *)task;
    node_status_reply(n, s);
    node_status_free(n, s);
}

static void node_status_buckets(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_status *s = ctx;
    if (code == 0) {
        (void)buf_append(&s->buckets, reply.data, reply.size);
    }
    if (node_task_start(n, &s->task, NODE_LANE_READ) != 0) {
        node_reply_error(n, s->client, ERR_BUSY, NULL);
        node_status_free(n, s);
    }
}

static void node_status_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    int err = wire_params_check(req, 0, 0);
    struct node_status *s = err == 0 ? alloc_get_zeroed(&n->alloc, 1, sizeof *s) : NULL;
    if (s == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    s->client = client;
    s->source = n->options.device;
    s->task.run = node_status_run;
    s->task.done = node_status_done;
    buf_init(&s->buckets, &n->alloc, NODE_STATUS_BYTES_MAX);
    uint64_t deadline = NUM_MIN(node_request_deadline(n, req), n->now + n->options.election_us);
    node_objects_buckets(n, deadline, s, node_status_buckets);
}

/* Of what is in memory, so that it may be asked for often. */
static void node_crdt_status_serve(struct node *n, struct node_client client,
                                   const struct wire_rpc *req)
{
    struct buf *out = &n->scratch;
    int err = wire_params_check(req, 0, 0);
    if (err == 0) {
        buf_clear(out);
        err = node_ev_status(n, out);
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    node_reply_ok(n, client, buf_view(out));
}

const struct node_api node_status_api[] = {
    {WIRE_METHOD_HELLO, node_hello_serve},
    {WIRE_METHOD_TOPOLOGY, node_topology_serve},
    {WIRE_METHOD_STATUS, node_status_serve},
    {WIRE_METHOD_CRDT_STATUS, node_crdt_status_serve},
    {NULL, NULL},
};
