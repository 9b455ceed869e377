/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * From raft's PERSIST to the disk and back. Records of all groups wait here in raft's order; one
 * batch is out at a time, so all that arrived meanwhile shares the next sync. Messages that promise
 * durability wait for the watermark. Nothing here looks into a record.
 *
 * A full disk keeps the batch: it is tried again until it fits, because raft has counted on its
 * order. Any other failure is final.
 */
#include "server/node/node_internal.h"

#define NODE_DISK_RETRY_US 100000u
#define NODE_DISK_PATIENCE_US 2000000u
#define NODE_HELD_MAX 65536u

static bool node_persist_grow(struct node *n)
{
    unsigned cap = n->persists_cap == 0 ? 64 : n->persists_cap * 2;
    struct node_persist *items = alloc_get(&n->alloc, (size_t)cap * sizeof *items);
    if (items == NULL) {
        return false;
    }
    if (n->persists_count > 0) {
        memcpy(items, n->persists, n->persists_count * sizeof *items);
    }
    alloc_put(&n->alloc, n->persists, n->persists_cap * sizeof *items);
    n->persists = items;
    n->persists_cap = cap;
    return true;
}

void node_persist_add(struct node *n, const struct node_persist *item)
{
    if (n->persists_count == n->persists_cap && !node_persist_grow(n)) {
        node_payload_put(n, item->payload);
        node_fail(n, ERR_NO_MEMORY, "log_queue");
        return;
    }
    n->persists[n->persists_count++] = *item;
}

void node_persist_end(struct node *n, uint64_t seq)
{
    if (n->persists_count > 0) {
        struct node_persist *item = &n->persists[n->persists_count - 1];
        item->seq = seq;
        item->last = true;
    }
}

static int node_batch_room(struct node *n, unsigned count)
{
    struct node_wal_batch *b = &n->batch;
    if (count <= b->cap) {
        return 0;
    }
    struct store_wal_record *records = alloc_get(&n->alloc, (size_t)count * sizeof *records);
    struct node_payload **payloads = alloc_get(&n->alloc, (size_t)count * sizeof *payloads);
    if (records == NULL || payloads == NULL) {
        alloc_put(&n->alloc, records, (size_t)count * sizeof *records);
        alloc_put(&n->alloc, payloads, (size_t)count * sizeof(struct node_payload *));
        return ERR_NO_MEMORY;
    }
    alloc_put(&n->alloc, b->records, b->cap * sizeof *records);
    alloc_put(&n->alloc, b->payloads, b->cap * sizeof *payloads);
    b->records = records;
    b->payloads = payloads;
    b->cap = count;
    return 0;
}

/* returns: how many records the next batch takes: at least one, whole sequences where it can. */
static unsigned node_batch_cut(const struct node *n)
{
    const uint64_t limit = n->options.limits.wal_batch_bytes;
    const uint64_t each = 128; /* at most what a record's frame costs */
    uint64_t bytes = 4096;
    unsigned count = 0;
    while (count < n->persists_count) {
        bytes += each + n->persists[count].record.body.size;
        if (count > 0 && bytes > limit) {
            break;
        }
        count++;
    }
    return count;
}

static void node_batch_form(struct node *n)
{
    struct node_wal_batch *b = &n->batch;
    unsigned count = node_batch_cut(n);
    if (node_batch_room(n, count) != 0) {
        node_fail(n, ERR_NO_MEMORY, "log_batch");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        b->records[i] = n->persists[i].record;
        b->payloads[i] = n->persists[i].payload;
        if (n->persists[i].last) {
            b->seq = n->persists[i].seq;
        }
    }
    b->count = count;
    n->persists_count -= count;
    if (n->persists_count > 0) {
        memmove(n->persists, n->persists + count, n->persists_count * sizeof *n->persists);
    }
}

void node_wal_turn(struct node *n)
{
    if (n->batch_out || n->failed) {
        return;
    }
    if (n->batch_kept) {
        if (n->now < n->batch_retry_us) {
            return;
        }
        n->batch_kept = false;
    } else if (n->persists_count > 0) {
        node_batch_form(n);
    } else {
        return;
    }
    if (n->failed) {
        return;
    }
    if (!node_fx_push(n, &(struct node_fx){.kind = NODE_FX_WAL, .batch = &n->batch})) {
        node_fail(n, ERR_NO_MEMORY, "log_batch");
        return;
    }
    n->batch_out = true;
    node_member_wal_begun(n);
    n->counters.wal_batches++;
}

/* A log set up for smaller batches than the node's limits say gets them in parts: what is durable
 * of a batch that fails later is only written again. */
int node_wal_run(struct node_wal_batch *batch, struct node_env *env)
{
    unsigned at = 0;
    unsigned part = batch->count;
    while (at < batch->count) {
        uint64_t lsn = 0;
        unsigned count = NUM_MIN(part, batch->count - at);
        int err = store_wal_append(env->wal, batch->records + at, count, &lsn);
        if (err == ERR_TOO_LARGE && count > 1) {
            part = count / 2;
        } else if (err != 0) {
            return err;
        } else {
            at += count;
        }
    }
    return 0;
}

static void node_batch_clear(struct node *n)
{
    for (unsigned i = 0; i < n->batch.count; i++) {
        node_payload_put(n, n->batch.payloads[i]);
    }
    n->batch.count = 0;
}

/* The disk has been full for long: somebody else should lead. */
static void node_disk_full_long(struct node *n)
{
    for (unsigned i = 0; i < n->groups_count; i++) {
        if (n->groups[i].role == RAFT_LEADER && n->groups[i].voters_count > 1) {
            struct raft_event ev = {
                .kind = RAFT_STEP_DOWN, .group = n->groups[i].id, .code = ERR_DISK_FULL};
            (void)node_raft(n, &ev);
        }
    }
}

static void node_wal_refused(struct node *n, int code)
{
    n->batch_kept = true;
    n->batch_retry_us = n->now + NODE_DISK_RETRY_US;
    n->flush_now = true; /* what has been flushed lets the log be compacted */
    if (!n->disk_full) {
        n->disk_full = true;
        n->disk_full_since = n->now;
        log_line(n->options.log, LOG_ERROR, "log_refused", "node=%u error=%s", n->self,
                 err_name(code));
    } else if (n->now - n->disk_full_since >= NODE_DISK_PATIENCE_US) {
        node_disk_full_long(n);
    }
}

void node_wal_done(struct node *n, struct node_wal_batch *batch, int code)
{
    ASSERT(batch == &n->batch && n->batch_out);
    n->batch_out = false;
    node_member_wal_ended(n);
    if (code == ERR_DISK_FULL || code == ERR_BUSY) {
        node_wal_refused(n, code);
        return;
    }
    node_batch_clear(n);
    if (code != 0) {
        node_fail(n, code, "log_write");
        return;
    }
    if (n->disk_full) {
        n->disk_full = false;
        log_line(n->options.log, LOG_INFO, "log_accepts", "node=%u", n->self);
    }
    if (n->batch.seq > n->durable_seq && !n->failed) {
        n->durable_seq = n->batch.seq;
        struct raft_event ev = {.kind = RAFT_DURABLE, .seq = n->durable_seq};
        (void)node_raft(n, &ev);
        node_held_release(n);
    }
}

void node_batch_free(struct node *n)
{
    node_batch_clear(n);
    for (unsigned i = 0; i < n->persists_count; i++) {
        node_payload_put(n, n->persists[i].payload);
    }
    alloc_put(&n->alloc, n->persists, n->persists_cap * sizeof *n->persists);
    alloc_put(&n->alloc, n->batch.records, n->batch.cap * sizeof *n->batch.records);
    alloc_put(&n->alloc, n->batch.payloads, n->batch.cap * sizeof *n->batch.payloads);
    for (unsigned i = 0; i < n->held_count; i++) {
        buf_release(&n->held[(n->held_first + i) % n->held_cap].frame);
    }
    alloc_put(&n->alloc, n->held, n->held_cap * sizeof *n->held);
}

/* ---- messages behind the disk --------------------------------------------------------------- */

static bool node_held_grow(struct node *n)
{
    unsigned cap = n->held_cap == 0 ? 64 : n->held_cap * 2;
    struct node_held *items =
        cap <= NODE_HELD_MAX ? alloc_get(&n->alloc, cap * sizeof *items) : NULL;
    if (items == NULL) {
        return false;
    }
    for (unsigned i = 0; i < n->held_count; i++) {
        items[i] = n->held[(n->held_first + i) % n->held_cap];
    }
    alloc_put(&n->alloc, n->held, n->held_cap * sizeof *items);
    n->held = items;
    n->held_cap = cap;
    n->held_first = 0;
    return true;
}

/* Without room the message is lost: raft sends again. */
void node_hold(struct node *n, uint64_t after_seq, uint32_t peer, struct buf *frame)
{
    if (after_seq <= n->durable_seq) {
        node_send(n, peer, NODE_FRAME_RAFT, frame, NULL);
        return;
    }
    if (n->held_count == n->held_cap && !node_held_grow(n)) {
        n->counters.dropped_messages++;
        buf_release(frame);
        return;
    }
    n->held[(n->held_first + n->held_count) % n->held_cap] =
        (struct node_held){.after_seq = after_seq, .peer = peer, .frame = *frame};
    n->held_count++;
}

void node_held_release(struct node *n)
{
    while (n->held_count > 0 && n->held[n->held_first].after_seq <= n->durable_seq) {
        struct node_held *h = &n->held[n->held_first];
        node_send(n, h->peer, NODE_FRAME_RAFT, &h->frame, NULL);
        n->held_first = (n->held_first + 1) % n->held_cap;
        n->held_count--;
    }
}
