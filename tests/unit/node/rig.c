/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The executor of rig.h: carries effects out at once, in order.
 */
#include "rig.h"

#include "tests/sim/model_kv.h"
#include "tests/sim/sim_cipher.h"

#include <stdio.h>

#define RIG_CONN 77u
#define RIG_FX 64u
#define RIG_DATAGRAM 0xfffeu

static void rig_drain(struct rig *r, unsigned i);

static void rig_step(struct rig *r, unsigned i, struct node_event *ev)
{
    struct rig_node *n = &r->nodes[i];
    if (!n->up) {
        return;
    }
    ev->now_us = r->now;
    ev->wall_us = r->now + n->ahead_us;
    node_step(n->node, ev);
}

static void rig_post(struct rig *r, unsigned from, struct node_fx *fx)
{
    unsigned to = fx->peer - 1;
    if (to >= r->nodes_count || !r->nodes[to].up || r->cut[from][to]) {
        buf_release(&fx->head);
        node_blob_release(r->nodes[from].node, fx->body);
        return;
    }
    if (r->wire_count == r->wire_cap) {
        unsigned cap = r->wire_cap == 0 ? 256 : r->wire_cap * 2;
        struct rig_message *grown = alloc_get(&r->heap, cap * sizeof *grown);
        ASSERT(grown != NULL);
        if (r->wire_count > 0) {
            memcpy(grown, r->wire, r->wire_count * sizeof *grown);
        }
        alloc_put(&r->heap, r->wire, r->wire_cap * sizeof *grown);
        r->wire = grown;
        r->wire_cap = cap;
    }
    struct rig_message *m = &r->wire[r->wire_count++];
    *m = (struct rig_message){.from = from, .to = to, .kind = fx->frame_kind, .body = fx->head};
    if (fx->body != NULL) {
        struct bytes more = node_blob_bytes(fx->body);
        (void)buf_append(&m->body, more.data, more.size);
        node_blob_release(r->nodes[from].node, fx->body);
    }
}

/* A datagram travels as a frame of a kind that no node sends. */
static void rig_datagram(struct rig *r, unsigned from, struct node_fx *fx)
{
    fx->frame_kind = RIG_DATAGRAM;
    rig_post(r, from, fx);
}

static void rig_reply(struct rig *r, unsigned i, struct node_fx *fx)
{
    ASSERT(r->replies_count < RIG_REPLIES_MAX);
    struct rig_reply *reply = &r->replies[r->replies_count++];
    *reply = (struct rig_reply){.node = i, .conn = fx->conn, .raw = fx->head};
    if (fx->body != NULL) {
        struct bytes more = node_blob_bytes(fx->body);
        (void)buf_append(&reply->raw, more.data, more.size);
        node_blob_release(r->nodes[i].node, fx->body);
    }
}

static void rig_effect(struct rig *r, unsigned i, struct node_fx *fx)
{
    struct rig_node *n = &r->nodes[i];
    switch (fx->kind) {
    case NODE_FX_WAL: n->batch = fx->batch; break;
    case NODE_FX_JOB:
        ASSERT(n->jobs_count < 256);
        n->jobs[n->jobs_count++] = fx->job;
        break;
    case NODE_FX_SEND: rig_post(r, i, fx); break;
    case NODE_FX_REPLY: rig_reply(r, i, fx); break;
    case NODE_FX_GOSSIP: rig_datagram(r, i, fx); break;
    case NODE_FX_CLOSE: r->closes++; break;
    case NODE_FX_LEFT: n->left = true; break;
    case NODE_FX_STOP:
        n->stopped = true;
        n->stop_code = fx->code;
        break;
    }
}

static bool rig_complete(struct rig *r, unsigned i)
{
    struct rig_node *n = &r->nodes[i];
    bool any = false;
    if (n->batch != NULL && !n->wal_held) {
        struct node_event ev = {.kind = NODE_EV_WAL, .batch = n->batch};
        n->batch = NULL;
        ev.code = node_wal_run(ev.batch, &n->env);
        rig_step(r, i, &ev);
        any = true;
    }
    while (n->jobs_count > 0 && !n->jobs_held && (!n->jobs_counted || n->jobs_left > 0)) {
        struct node_event ev = {.kind = NODE_EV_JOB, .job = n->jobs[0]};
        n->jobs_count--;
        memmove(n->jobs, n->jobs + 1, n->jobs_count * sizeof n->jobs[0]);
        n->jobs_left -= n->jobs_left > 0;
        n->in_job = true;
        node_job_run(ev.job, &n->env);
        n->in_job = false;
        if (ev.job->lane == NODE_LANE_SHARD) {
            int code = node_jobs_sync(&n->env);
            ev.job->code = code != 0 ? code : ev.job->code;
        }
        rig_step(r, i, &ev);
        any = true;
    }
    return any;
}

static void rig_drain(struct rig *r, unsigned i)
{
    struct node_fx fx[RIG_FX];
    unsigned count = 0;
    bool any = true;
    while (r->nodes[i].up && any) {
        any = false;
        while ((count = node_poll(r->nodes[i].node, fx, RIG_FX)) > 0) {
            for (unsigned k = 0; k < count; k++) {
                rig_effect(r, i, &fx[k]);
            }
        }
        any = rig_complete(r, i);
    }
}

static void rig_deliver(struct rig *r)
{
    while (r->wire_count > 0) {
        struct rig_message m = r->wire[0];
        r->wire_count--;
        memmove(r->wire, r->wire + 1, r->wire_count * sizeof m);
        if (r->on_message != NULL) {
            r->on_message(r->on_message_ctx, &m);
        }
        struct node_event ev = {.kind = NODE_EV_PEER,
                                .peer = m.from + 1,
                                .frame_kind = m.kind,
                                .data = buf_view(&m.body)};
        if (m.kind == RIG_DATAGRAM) {
            const struct wire_identity_node *node = &r->nodes[m.from].identity.nodes[m.from];
            ev.kind = NODE_EV_GOSSIP;
            ev.from = (struct gossip_address){.ip = {[10] = 0xff, 0xff, 127, 0, 0, 1},
                                              .port = node->peer_port};
        }
        const struct alloc blobs = node_blob_alloc(&r->heap);
        uint8_t *held = NULL;
        if (m.kind != RIG_DATAGRAM && m.body.size > 0 && (m.from + m.to) % 2 == 1) {
            held = alloc_get(&blobs, m.body.size); /* half of all may be kept as they come */
            ASSERT(held != NULL);
            memcpy(held, m.body.data, m.body.size);
            ev.data = bytes_of(held, m.body.size);
            ev.frame = node_blob_of(held);
        }
        if (r->nodes[m.to].up && !r->cut[m.from][m.to]) {
            rig_step(r, m.to, &ev);
            rig_drain(r, m.to);
        }
        alloc_put(&blobs, held, m.body.size);
        buf_release(&m.body);
    }
}

void rig_run(struct rig *r, uint64_t us)
{
    uint64_t end = r->now + us;
    while (true) {
        for (unsigned i = 0; i < r->nodes_count; i++) {
            rig_drain(r, i);
        }
        rig_deliver(r);
        if (r->now >= end) {
            return;
        }
        r->now += NUM_MIN((uint64_t)2000, end - r->now);
        for (unsigned i = 0; i < r->nodes_count; i++) {
            if (r->nodes[i].up && node_deadline(r->nodes[i].node) <= r->now) {
                struct node_event ev = {.kind = NODE_EV_TICK};
                rig_step(r, i, &ev);
            }
        }
    }
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void rig_identities(struct rig *r)
{
    struct wire_identity_node nodes[RIG_NODES_MAX] = {0};
    for (unsigned i = 0; i < r->nodes_count; i++) {
        nodes[i].id = i + 1;
        nodes[i].client_port = (uint16_t)(7000 + i);
        nodes[i].peer_port = (uint16_t)(8000 + i);
        snprintf(nodes[i].host, sizeof nodes[i].host, "127.0.0.1");
    }
    struct wire_identity_plan plan = {
        .cluster = {1, 2, 3}, .nodes = nodes, .nodes_count = r->nodes_count, .data_groups = 1};
    struct err_info why;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        int err = wire_identity_make(&plan, &r->nodes[i].identity, &why);
        ASSERT(err == 0);
        err = wire_identity_claim(&r->nodes[i].identity, i + 1);
        ASSERT(err == 0);
    }
}

struct rig *rig_make(unsigned nodes)
{
    struct alloc heap = alloc_heap();
    struct rig *r = alloc_get_zeroed(&heap, 1, sizeof *r);
    ASSERT(r != NULL);
    r->heap = heap;
    r->nodes_count = nodes;
    r->now = 1000000;
    r->log_keep = 1000;
    r->wal_segment_bytes = 4u << 20;
    r->flush_interval_us = 1000000;
    limits_init(&r->limits);
    r->limits.log_entries = 4096;
    rig_identities(r);
    struct err_info why;
    int made = compute_new(&r->compute, &r->heap, &why);
    ASSERT(made == 0);
    struct wire_scan_limits limits = {
        .bytes_max = 16u << 20, .items_max = 1u << 16, .depth_max = WIRE_DEPTH_MAX};
    int err = wire_decoder_new(&r->heap, &limits, &r->decoder);
    ASSERT(err == 0);
    for (unsigned i = 0; i < nodes; i++) {
        r->nodes[i].mem = mem_disk_new(&r->nodes[i].disk);
        err = sim_kv_new(&r->nodes[i].kv, 1u << 30, &r->heap);
        ASSERT(err == 0);
        err = sim_kv_new(&r->nodes[i].seg_kv, 1u << 30, &r->heap);
        ASSERT(err == 0);
    }
    return r;
}

struct rig *rig_new(unsigned nodes)
{
    struct rig *r = rig_make(nodes);
    for (unsigned i = 1; i <= nodes; i++) {
        rig_start(r, i);
    }
    return r;
}

static int rig_random(void *ctx, void *into, size_t bytes)
{
    static uint8_t next = 1;
    (void)ctx;
    memset(into, next++, bytes);
    return 0;
}

static int rig_open_stores(struct rig *r, struct rig_node *n, unsigned i, struct err_info *why)
{
    struct store_wal_options wal = {.segment_bytes = r->wal_segment_bytes,
                                    .pool_segments = 2,
                                    .live_segments_max = 8,
                                    .batch_bytes_max =
                                        NUM_MIN(3u << 19, r->wal_segment_bytes / 8 * 3),
                                    .cluster = {1, 2, 3},
                                    .store_id = i,
                                    .incarnation = 1,
                                    .groups_max = 8,
                                    .entries_max = 1u << 20};
    r->limits.wal_batch_bytes = 5u << 18;
    n->wal = NULL;
    n->segments = NULL;
    TRY(store_wal_open(&n->wal, &n->disk, &wal, &r->heap, NULL, why));
    struct store_segments_options seg = {
        .segment_bytes = 4u << 20, .segments_max = 256, .cluster = {1, 2, 3}, .store_id = i};
    return store_segments_open(&n->segments, &n->disk, &n->seg_kv, &seg, &r->heap, NULL, why);
}

static void rig_close_stores(struct rig_node *n)
{
    if (n->wal != NULL) {
        store_wal_close(n->wal);
    }
    if (n->segments != NULL) {
        store_segments_close(n->segments);
    }
    sim_kv_crash(&n->kv);
    sim_kv_crash(&n->seg_kv);
}

static int rig_open(struct rig *r, struct rig_node *n, unsigned i, struct err_info *why)
{
    TRY(rig_open_stores(r, n, i, why));
    n->env = (struct node_env){.wal = n->wal,
                               .kv = &n->kv,
                               .segments = n->segments,
                               .compute = r->compute,
                               .alloc = r->heap,
                               .whole = &r->whole};
    struct node_options o = {.identity = &n->identity,
                             .log = r->log,
                             .boot = ++n->boot,
                             .boot_nonce = n->boot * 1000 + i + (r->salt << 32),
                             .seed = i * 7919 + n->boot,
                             .limits = r->limits,
                             .flush_interval_us = r->flush_interval_us,
                             .session_ttl_us = r->session_ttl_us,
                             .once_ttl_us = r->once_ttl_us,
                             .intent_ttl_us = r->intent_ttl_us,
                             .free_delay_us = r->free_delay_us,
                             .put_deadline_us = r->put_deadline_us,
                             .audit_interval_us = r->audit_interval_us,
                             .log_keep_entries = r->log_keep,
                             .repair_delay_us = r->repair_delay_us,
                             .capacity_bytes = 1ull << 40,
                             .kernel = r->kernel,
                             .gossip = {.first_key = {1, 2, 3}, .random = rig_random}};
    if (!r->mute) {
        o.gossip.cipher = sim_cipher();
    }
    return node_new(&n->node, &o, &n->env, &r->heap, r->now, why);
}

static void rig_peer(struct rig *r, unsigned i, unsigned peer, bool up)
{
    struct node_event ev = {.kind = up ? NODE_EV_PEER_UP : NODE_EV_PEER_DOWN, .peer = peer + 1};
    rig_step(r, i, &ev);
    rig_drain(r, i);
}

int rig_try_start(struct rig *r, unsigned i, struct err_info *why)
{
    struct rig_node *n = &r->nodes[i - 1];
    int err = rig_open(r, n, i, why);
    if (err != 0) {
        rig_close_stores(n);
        return err;
    }
    n->up = true;
    n->stopped = false;
    struct node_event ev = {.kind = NODE_EV_CONN_OPEN, .conn = RIG_CONN};
    rig_step(r, i - 1, &ev);
    for (unsigned k = 0; k < r->nodes_count; k++) {
        if (k != i - 1 && r->nodes[k].up && !r->cut[k][i - 1]) {
            rig_peer(r, i - 1, k, true);
            rig_peer(r, k, i - 1, true);
        }
    }
    return 0;
}

void rig_start(struct rig *r, unsigned i)
{
    struct err_info why = {0};
    int err = rig_try_start(r, i, &why);
    if (err != 0) {
        (void)fprintf(stderr, "node %u: %s\n", i, why.text);
    }
    ASSERT(err == 0);
}

void rig_stop(struct rig *r, unsigned i)
{
    struct rig_node *n = &r->nodes[i - 1];
    for (unsigned k = 0; k < n->jobs_count; k++) {
        node_job_drop(n->node, n->jobs[k]);
    }
    n->jobs_count = 0;
    if (n->batch != NULL) {
        node_wal_drop(n->node, n->batch);
        n->batch = NULL;
    }
    node_free(n->node);
    n->up = false;
    rig_close_stores(n);
    for (unsigned k = 0; k < r->nodes_count; k++) {
        if (k != i - 1 && r->nodes[k].up) {
            rig_peer(r, k, i - 1, false);
        }
    }
}

void rig_free(struct rig *r)
{
    for (unsigned i = 0; i < r->nodes_count; i++) {
        if (r->nodes[i].up) {
            rig_stop(r, i + 1);
        }
        r->nodes[i].kv.close(r->nodes[i].kv.ctx);
        r->nodes[i].seg_kv.close(r->nodes[i].seg_kv.ctx);
        mem_disk_free(r->nodes[i].mem);
    }
    for (unsigned i = 0; i < r->wire_count; i++) {
        buf_release(&r->wire[i].body);
    }
    alloc_put(&r->heap, r->wire, r->wire_cap * sizeof *r->wire);
    for (unsigned i = 0; i < r->replies_count; i++) {
        buf_release(&r->replies[i].raw);
    }
    wire_decoder_free(r->decoder);
    compute_free(r->compute);
    struct alloc heap = r->heap;
    alloc_put(&heap, r, sizeof *r);
}

/* ---- directories ---------------------------------------------------------------------------- */

static void rig_kv_copy(struct rig *r, struct store_kv *from, struct store_kv *to)
{
    struct store_kv_reader *reader;
    struct bytes key;
    struct bytes value;
    const uint8_t first[1] = {0};
    int err = sim_kv_new(to, 1u << 30, &r->heap);
    ASSERT(err == 0);
    err = from->reader_open(from->ctx, &reader);
    ASSERT(err == 0);
    err = to->begin(to->ctx);
    ASSERT(err == 0);
    err = from->seek(reader, bytes_of(first, 1), false, &key, &value);
    while (err == 0) {
        err = to->put(to->ctx, key, value);
        ASSERT(err == 0);
        err = from->next(reader, &key, &value);
    }
    ASSERT(err == ERR_NOT_FOUND);
    err = to->commit(to->ctx);
    ASSERT(err == 0);
    from->reader_close(reader);
}

void rig_dir_free(struct rig_dir *d)
{
    if (d->there) {
        d->kv.close(d->kv.ctx);
        d->seg_kv.close(d->seg_kv.ctx);
        mem_disk_free(d->mem);
        d->there = false;
    }
}

unsigned rig_rot(struct rig *r, unsigned i, uint8_t kind, unsigned sound, unsigned count)
{
    struct store_kv *kv = &r->nodes[i - 1].kv;
    struct store_kv_reader *reader;
    struct bytes key;
    struct bytes value;
    uint8_t from[NODE_PREFIX_BYTES + 1];
    uint8_t keys[64][64];
    size_t sizes[64];
    unsigned seen = 0;
    node_prefix_put(from, NODE_GROUP_OWN, 1);
    from[NODE_PREFIX_BYTES] = kind;
    struct bytes all = bytes_of(from, sizeof from);
    ASSERT(kv->reader_open(kv->ctx, &reader) == 0);
    int err = kv->seek(reader, all, false, &key, &value);
    while (err == 0 && bytes_has_prefix(key, all)) {
        ASSERT(seen < 64 && key.size <= 64);
        sizes[seen] = key.size;
        memcpy(keys[seen++], key.data, key.size);
        err = kv->next(reader, &key, &value);
    }
    kv->reader_close(reader);
    unsigned done = 0;
    for (unsigned k = sound; k < seen && done < count; k++) {
        done += sim_kv_rot(kv, bytes_of(keys[k], sizes[k])) == 0;
    }
    return done;
}

void rig_dir_take(struct rig *r, unsigned i, struct rig_dir *d)
{
    struct rig_node *n = &r->nodes[i - 1];
    rig_dir_free(d);
    d->mem = mem_disk_copy(n->mem, &d->disk);
    rig_kv_copy(r, &n->kv, &d->kv);
    rig_kv_copy(r, &n->seg_kv, &d->seg_kv);
    d->boot = n->boot;
    d->there = true;
}

void rig_dir_swap(struct rig *r, unsigned i, struct rig_dir *d)
{
    struct rig_node *n = &r->nodes[i - 1];
    struct rig_dir now = {true, n->disk, n->mem, n->kv, n->seg_kv, n->boot};
    ASSERT(!n->up && d->there);
    n->disk = d->disk;
    n->mem = d->mem;
    n->kv = d->kv;
    n->seg_kv = d->seg_kv;
    n->boot = d->boot;
    *d = now;
}

/* ---- links ---------------------------------------------------------------------------------- */

void rig_link(struct rig *r, unsigned a, unsigned b, bool on)
{
    bool was = !r->cut[a - 1][b - 1];
    r->cut[a - 1][b - 1] = r->cut[b - 1][a - 1] = !on;
    if (was != on) {
        rig_peer(r, a - 1, b - 1, on);
        rig_peer(r, b - 1, a - 1, on);
    }
}

void rig_isolate(struct rig *r, unsigned i, bool on)
{
    for (unsigned k = 1; k <= r->nodes_count; k++) {
        if (k != i) {
            rig_link(r, i, k, !on);
        }
    }
}

unsigned rig_leader(struct rig *r, uint32_t group)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        unsigned found = 0;
        uint64_t term = 0;
        for (unsigned i = 0; i < r->nodes_count; i++) {
            struct node *n = r->nodes[i].node;
            if (r->nodes[i].up && node_leads(n, group) && n->by_id[group]->term > term) {
                found = i + 1;
                term = n->by_id[group]->term;
            }
        }
        if (found != 0) {
            return found;
        }
        rig_run(r, 10000);
    }
    return 0;
}

bool rig_settle(struct rig *r, uint32_t group)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        bool same = true;
        uint64_t index = 0;
        for (unsigned i = 0; i < r->nodes_count; i++) {
            const struct node_group *g = r->nodes[i].up ? r->nodes[i].node->by_id[group] : NULL;
            if (g == NULL) {
                continue;
            }
            same = same && (index == 0 || g->now.index == index);
            index = g->now.index;
        }
        if (same && index != 0) {
            return true;
        }
        rig_run(r, 10000);
    }
    return false;
}

bool rig_digests_equal(struct rig *r, uint32_t group)
{
    struct hash_digest first = {0};
    bool have = false;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        struct hash_digest sum;
        struct rig_node *n = &r->nodes[i];
        if (!n->up || n->node->by_id[group] == NULL) {
            continue;
        }
        const struct hash_digest *kept = &n->node->by_id[group]->now.digest;
        if (node_state_digest(n->node, group, &n->env, &sum) != 0 || sum.low != kept->low ||
            sum.high != kept->high) {
            return false;
        }
        if (have && (sum.low != first.low || sum.high != first.high)) {
            return false;
        }
        first = sum;
        have = true;
    }
    return have;
}

/* ---- clients -------------------------------------------------------------------------------- */

void rig_send(struct rig *r, unsigned i, struct bytes raw)
{
    struct node_event ev = {.kind = NODE_EV_RPC, .conn = RIG_CONN, .data = raw};
    rig_step(r, i - 1, &ev);
    rig_drain(r, i - 1);
}

void rig_hang_up(struct rig *r, unsigned i)
{
    struct node_event ev = {.kind = NODE_EV_CONN_GONE, .conn = RIG_CONN};
    rig_step(r, i - 1, &ev);
    ev.kind = NODE_EV_CONN_OPEN;
    rig_step(r, i - 1, &ev);
    rig_drain(r, i - 1);
}

static void rig_pack_options(struct buf *out, const char *word)
{
    struct wire_options o = {0};
    unsigned long long a = 0;
    unsigned long long b = 0;
    unsigned long long c = 0;
    if (sscanf(word, "session=%llu,%llu,%llu", &a, &b, &c) == 3) {
        o.has_session = true;
        o.session_id = a;
        o.session_seq = b;
        o.session_ack = c;
    } else if (sscanf(word, "deadline=%llu", &a) == 1) {
        o.has_deadline = true;
        o.deadline_ms = a;
    } else {
        o.stale = true;
    }
    (void)wire_pack_options(out, &o);
}

static void rig_pack_word(struct buf *out, const char *word, size_t size)
{
    char text[4096];
    ASSERT(size >= 2 && size < sizeof text);
    memcpy(text, word, size);
    text[size] = 0;
    switch (text[0]) {
    case 's': (void)wire_pack_bin(out, bytes_of(word + 2, size - 2)); break;
    case 'u': (void)wire_pack_u64(out, strtoull(text + 2, NULL, 10)); break;
    case 'i': (void)wire_pack_i64(out, strtoll(text + 2, NULL, 10)); break;
    case 'n': (void)wire_pack_nil(out); break;
    case 'o': rig_pack_options(out, text + 2); break;
    default: ASSERT(false);
    }
}

uint32_t rig_ask(struct rig *r, unsigned i, const char *method, const char *words)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    uint32_t count = words[0] != 0;
    for (const char *at = words; *at != 0; at++) {
        count += *at == '|';
    }
    buf_init(&out, &r->heap, 16u << 20);
    (void)wire_pack_request(&out, msgid, method, count);
    while (*words != 0) {
        const char *end = strchr(words, '|');
        size_t size = end == NULL ? strlen(words) : (size_t)(end - words);
        rig_pack_word(&out, words, size);
        words += size + (end != NULL);
    }
    rig_send(r, i, buf_view(&out));
    buf_release(&out);
    return msgid;
}

int rig_answer(struct rig *r, uint32_t msgid, struct wire_node *result)
{
    for (unsigned i = r->replies_count; i > 0; i--) {
        struct wire_node root;
        struct wire_rpc m;
        struct wire_error error = {0};
        int err = wire_decode(r->decoder, buf_view(&r->replies[i - 1].raw), &root);
        ASSERT(err == 0 && wire_rpc_of(root, &m) == 0);
        if (m.type != WIRE_RESPONSE || m.msgid != msgid) {
            continue;
        }
        if (!wire_node_is_nil(m.error)) {
            wire_error_of(m.error, &error);
        }
        bool good = wire_node_is_nil(m.error);
        if (result != NULL) {
            *result = good ? m.result : error.hint;
        }
        return good ? 0 : error.code;
    }
    return 1;
}

int rig_call(struct rig *r, unsigned i, const char *method, const char *words,
             struct wire_node *result)
{
    uint32_t msgid = rig_ask(r, i, method, words);
    for (unsigned tries = 0; tries < 8000; tries++) {
        int code = rig_answer(r, msgid, result);
        if (code != 1) {
            return code;
        }
        rig_run(r, 2000);
    }
    return 1;
}
