/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Flush: what has been applied goes from the memtable to the table, in one synced transaction with
 * the META record of every group, so a crash anywhere applies nothing twice (state and applied
 * index are one). Then the logs may be compacted up to what was flushed, less what slow followers
 * may still want.
 */
#include "server/node/node_internal.h"

#define NODE_FLUSH_RETRY_US 200000u

struct node_flush {
    struct node_task task;
    struct node *n;
};

static int node_flush_records(struct node_flush *f, const struct store_kv *kv)
{
    struct store_mem_cursor c;
    bool more = store_mem_frozen_first(f->n->mem, &c);
    while (more) {
        struct bytes key;
        struct bytes value;
        bool present = false;
        store_mem_frozen_record(&c, &key, &present, &value);
        TRY(present ? kv->put(kv->ctx, key, value) : kv->del(kv->ctx, key));
        more = store_mem_frozen_next(f->n->mem, &c);
    }
    return 0;
}

static int node_flush_metas(struct node_flush *f, const struct store_kv *kv)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&f->n->flush_meta));
    while (r.left > 0) {
        uint8_t key[9];
        node_meta_key(bytes_take_u32(&r), key);
        TRY(kv->put(kv->ctx, bytes_of(key, sizeof key), bytes_take_bytes(&r, 1u << 16)));
    }
    return 0;
}

static void node_flush_run(struct node_task *task, struct node_env *env)
{
    struct node_flush *f = (struct node_flush *)(void *)task;
    const struct store_kv *kv = env->kv;
    task->job.code = kv->begin(kv->ctx);
    if (task->job.code != 0) {
        return;
    }
    int err = node_flush_records(f, kv);
    err = err != 0 ? err : node_flush_metas(f, kv);
    if (err != 0) {
        kv->abort(kv->ctx);
    } else {
        err = kv->commit(kv->ctx);
    }
    task->job.code = err;
}

/* The memtable stays frozen after a refusal, so the same records are tried again. */
static void node_flush_failed(struct node *n, int code)
{
    if (code == ERR_DISK_FULL) {
        n->flush_retry_us = n->now + NODE_FLUSH_RETRY_US;
        log_line(n->options.log, LOG_WARN, "flush_refused", "node=%u error=%s", n->self,
                 err_name(code));
    } else if (!n->closing) {
        node_fail(n, code, "state_write");
    }
}

void node_compact(struct node *n, struct node_group *g)
{
    struct raft_status s;
    if (g->flushed.index <= n->options.log_keep_entries ||
        raft_status_get(n->raft, g->id, n->now, &s) != 0) {
        return;
    }
    uint64_t to = g->flushed.index - n->options.log_keep_entries;
    uint64_t size = s.last_index - s.base_index;
    if (size >= n->options.limits.log_entries / 2) {
        to = g->flushed.index; /* room comes before slow followers */
    }
    if (to > s.base_index) {
        struct raft_event ev = {.kind = RAFT_COMPACT, .group = g->id, .index = to};
        (void)node_raft(n, &ev);
    }
}

static void node_flush_done(struct node *n, struct node_task *task)
{
    int code = task->job.code;
    alloc_put(&n->alloc, task, sizeof(struct node_flush));
    n->flush_out = false;
    if (code != 0) {
        node_flush_failed(n, code);
        return;
    }
    store_mem_thaw(n->mem);
    n->thaws++;
    n->counters.flushes++;
    n->flush_frozen = false;
    if (n->closing || n->failed) {
        return;
    }
    for (unsigned i = 0; i < n->groups_count; i++) {
        n->groups[i].flushed = n->groups[i].frozen;
        node_compact(n, &n->groups[i]);
    }
}

static bool node_flush_wanted(const struct node *n)
{
    uint64_t dirty = store_mem_dirty_bytes(n->mem);
    bool due = n->now - n->flushed_us >= n->options.flush_interval_us;
    bool moved = false;
    bool long_log = false; /* its entries can only go once they are flushed */
    for (unsigned i = 0; i < n->groups_count; i++) {
        uint64_t behind = n->groups[i].now.index - n->groups[i].flushed.index;
        moved |= behind > 0;
        long_log |= behind > n->options.limits.log_entries / 4;
    }
    return n->flush_frozen ||
           (moved &&
            (n->flush_now || due || long_log || dirty > n->options.limits.memtable_bytes / 2)) ||
           (due && dirty > 0);
}

static int node_flush_freeze(struct node *n)
{
    uint64_t epoch = 0;
    struct buf meta;
    if (n->flush_frozen) {
        return 0;
    }
    buf_init(&meta, &n->alloc, 4096);
    buf_clear(&n->flush_meta);
    for (unsigned i = 0; i < n->groups_count; i++) {
        struct node_group *g = &n->groups[i];
        buf_clear(&meta);
        (void)node_meta_encode(&g->now, g, &meta);
        (void)buf_put_u32(&n->flush_meta, g->id);
        (void)buf_put_bytes(&n->flush_meta, buf_view(&meta));
        g->frozen = g->now;
    }
    buf_release(&meta);
    if (n->flush_meta.err != 0) {
        return n->flush_meta.err;
    }
    TRY(store_mem_freeze(n->mem, &epoch));
    n->flush_frozen = true;
    return 0;
}

void node_flush_turn(struct node *n)
{
    if (n->flush_out || n->quarantine != NULL || (n->flip_wanted && !n->flush_frozen) ||
        n->failed || n->now < n->flush_retry_us || !node_flush_wanted(n)) {
        return;
    }
    struct node_flush *f = alloc_get_zeroed(&n->alloc, 1, sizeof *f);
    int err = f == NULL ? ERR_NO_MEMORY : node_flush_freeze(n);
    if (err == 0) {
        f->n = n;
        f->task.run = node_flush_run;
        f->task.done = node_flush_done;
        err = node_task_start(n, &f->task, NODE_LANE_FLUSH);
    }
    if (err != 0) {
        n->flush_retry_us = n->now + NODE_FLUSH_RETRY_US;
        alloc_put(&n->alloc, f, sizeof *f);
        return;
    }
    n->flush_out = true;
    n->flush_now = false;
    n->flushed_us = n->now;
}
