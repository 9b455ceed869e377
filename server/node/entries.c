/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of log entries. Each group keeps the newest in a ring by index, bounded in bytes; what
 * has been let go is read back from the log by a job, before it is sent or applied. Only what is
 * durable and applied is let go. An entry's metadata is raft's, never kept here.
 */
#include "server/node/node_internal.h"

#define NODE_LOADS_MAX 64u
#define NODE_LOAD_BYTES (4u << 20)

#define NODE_RING_START 64u

int node_ring_init(struct node *n, struct node_group *g)
{
    g->ring = alloc_get_zeroed(&n->alloc, NODE_RING_START, sizeof *g->ring);
    g->ring_mask = NODE_RING_START - 1;
    g->ring_max = NODE_RING_START;
    while (g->ring_max < n->options.limits.log_entries) {
        g->ring_max *= 2;
    }
    return g->ring == NULL ? ERR_NO_MEMORY : 0;
}

/* Makes room for [first, end), as far as the bound and the memory allow: what does not fit is read
 * back from the log. */
static void node_ring_grow(struct node *n, struct node_group *g, uint64_t first, uint64_t end)
{
    uint64_t size = g->ring_mask + 1;
    while (size < g->ring_max && end - first > size) {
        size *= 2;
    }
    if (size == g->ring_mask + 1) {
        return;
    }
    struct node_payload **ring = alloc_get_zeroed(&n->alloc, size, sizeof *ring);
    if (ring == NULL) {
        return;
    }
    for (uint64_t i = g->ring_first; i < g->ring_end; i++) {
        ring[i & (size - 1)] = g->ring[i & g->ring_mask];
    }
    alloc_put(&n->alloc, g->ring, (g->ring_mask + 1) * sizeof *ring);
    g->ring = ring;
    g->ring_mask = size - 1;
}

static void node_ring_clear_at(struct node *n, struct node_group *g, uint64_t index)
{
    struct node_payload **at = &g->ring[index & g->ring_mask];
    if (*at != NULL) {
        g->ring_bytes -= (*at)->bytes;
        node_payload_put(n, *at);
        *at = NULL;
    }
}

void node_ring_free(struct node *n, struct node_group *g)
{
    if (g->ring != NULL) {
        node_ring_cut(n, g, g->ring_first);
        alloc_put(&n->alloc, g->ring, (g->ring_mask + 1) * sizeof *g->ring);
        g->ring = NULL;
    }
}

void node_ring_set(struct node *n, struct node_group *g, uint64_t index, struct node_payload *p)
{
    if (g->ring_first == g->ring_end) {
        g->ring_first = g->ring_end = index;
    }
    node_ring_grow(n, g, NUM_MIN(index, g->ring_first), NUM_MAX(index + 1, g->ring_end));
    if (index < g->ring_first) { /* older than what is kept: only if it can be kept beside it */
        if (g->ring_end - index > g->ring_mask + 1) {
            node_payload_put(n, p);
            return;
        }
        g->ring_first = index;
    }
    if (index >= g->ring_end) {
        g->ring_end = index + 1;
    }
    while (g->ring_end - g->ring_first > g->ring_mask + 1) {
        node_ring_clear_at(n, g, g->ring_first++);
    }
    node_ring_clear_at(n, g, index);
    g->ring[index & g->ring_mask] = p;
    g->ring_bytes += p == NULL ? 0 : p->bytes;
}

void node_ring_cut(struct node *n, struct node_group *g, uint64_t from)
{
    from = NUM_MAX(from, g->ring_first);
    for (uint64_t i = from; i < g->ring_end; i++) {
        node_ring_clear_at(n, g, i);
    }
    g->ring_end = NUM_MIN(g->ring_end, from);
}

void node_ring_drop(struct node *n, struct node_group *g, uint64_t to)
{
    while (g->ring_first <= to && g->ring_first < g->ring_end) {
        node_ring_clear_at(n, g, g->ring_first++);
    }
}

void node_ring_trim(struct node *n, struct node_group *g)
{
    if (g->ring_bytes <= n->options.limits.log_bytes) {
        return;
    }
    struct raft_status s;
    if (raft_status_get(n->raft, g->id, n->now, &s) != 0) {
        return;
    }
    uint64_t to = NUM_MIN(s.durable_index, g->now.index);
    while (g->ring_bytes > n->options.limits.log_bytes && g->ring_first <= to &&
           g->ring_first < g->ring_end) {
        node_ring_clear_at(n, g, g->ring_first++);
    }
}

struct node_payload *node_ring_get(const struct node_group *g, uint64_t index)
{
    if (index < g->ring_first || index >= g->ring_end) {
        return NULL;
    }
    return g->ring[index & g->ring_mask];
}

/* ---- reading back --------------------------------------------------------------------------- */

struct node_load_item {
    uint64_t index;
    uint64_t term;
    struct node_payload *payload; /* room for the bytes */
    int code;
};

struct node_load {
    struct node_task task;
    struct node_group *g;
    uint64_t epoch;
    void *ctx;
    node_loaded_fn *loaded;
    unsigned count;
    struct node_load_item items[];
};

static void node_load_item_run(struct node_load *l, struct node_load_item *item,
                               struct node_env *env, struct buf *into)
{
    struct store_wal_entry entry;
    buf_clear(into);
    item->code = store_wal_read(env->wal, l->g->id, item->index, into, &entry);
    if (item->code != 0) {
        return;
    }
    if (entry.term != item->term || into->size != item->payload->bytes) {
        item->code = ERR_NOT_FOUND; /* overwritten since it was asked for */
        return;
    }
    if (into->size > 0) {
        memcpy(item->payload->data, into->data, into->size);
    }
}

static void node_load_run(struct node_task *task, struct node_env *env)
{
    struct node_load *l = (struct node_load *)(void *)task;
    struct buf into;
    buf_init(&into, &env->alloc, 64u << 20);
    for (unsigned i = 0; i < l->count; i++) {
        node_load_item_run(l, &l->items[i], env, &into);
    }
    buf_release(&into);
}

static void node_load_item_done(struct node *n, struct node_load *l, struct node_load_item *item)
{
    struct node_group *g = l->g;
    struct raft_entry now;
    bool same = raft_entry_get(n->raft, g->id, item->index, &now) == 0 && now.term == item->term;
    if (item->code == ERR_CORRUPT && same && node_group_own(g)) {
        node_fail(n, ERR_CORRUPT, "own_log_damaged"); /* settled by recovery: nobody has a copy */
    } else if (item->code == ERR_CORRUPT && same) {
        struct raft_event ev = {
            .kind = RAFT_FAULTY, .group = g->id, .index = item->index, .count = 1};
        (void)node_raft(n, &ev);
    }
    if (item->code == 0 && same && node_ring_get(g, item->index) == NULL) {
        node_ring_set(n, g, item->index, item->payload);
        item->payload = NULL;
    }
}

static void node_load_done(struct node *n, struct node_task *task)
{
    struct node_load *l = (struct node_load *)(void *)task;
    n->loads_out--;
    int code = task->job.code;
    for (unsigned i = 0; i < l->count; i++) {
        if (task->job.code == 0 && l->items[i].code != 0 && code == 0) {
            code = l->items[i].code;
        }
        if (!n->closing && task->job.code == 0 && l->epoch == l->g->epoch) {
            node_load_item_done(n, l, &l->items[i]);
        }
        node_payload_put(n, l->items[i].payload);
    }
    if (code == ERR_IO) {
        node_fail(n, code, "log_read");
    }
    l->loaded(n, l->g, l->ctx, code);
    alloc_put(&n->alloc, l, sizeof *l + l->count * sizeof l->items[0]);
}

/* Fills in the entries of the range that are not in memory. returns: 0 or ERR_NO_MEMORY. */
static int node_load_fill(struct node *n, struct node_load *l, uint64_t first, unsigned count)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count && bytes < NODE_LOAD_BYTES; i++) {
        struct raft_entry e;
        if (raft_entry_get(n->raft, l->g->id, first + i, &e) != 0) {
            break;
        }
        if (e.bytes == 0 || e.state != RAFT_ENTRY_OK || node_ring_get(l->g, first + i) != NULL) {
            continue;
        }
        struct node_load_item *item = &l->items[l->count];
        *item = (struct node_load_item){.index = first + i, .term = e.term};
        item->payload = node_payload_new(n, e.bytes);
        if (item->payload == NULL) {
            return ERR_NO_MEMORY;
        }
        l->count++;
        bytes += e.bytes;
    }
    return 0;
}

static void node_load_free(struct node *n, struct node_load *l, unsigned room)
{
    for (unsigned i = 0; i < l->count; i++) {
        node_payload_put(n, l->items[i].payload);
    }
    alloc_put(&n->alloc, l, sizeof *l + room * sizeof l->items[0]);
}

/* The block is as long as its count says, so that it can be released by it. */
static struct node_load *node_load_shrink(struct node *n, struct node_load *l, unsigned room)
{
    struct node_load *exact = alloc_get(&n->alloc, sizeof *l + l->count * sizeof l->items[0]);
    if (exact == NULL) {
        node_load_free(n, l, room);
        return NULL;
    }
    memcpy(exact, l, sizeof *l + l->count * sizeof l->items[0]);
    alloc_put(&n->alloc, l, sizeof *l + room * sizeof l->items[0]);
    return exact;
}

int node_load_start(struct node *n, struct node_group *g, uint64_t first, unsigned count, void *ctx,
                    node_loaded_fn *loaded)
{
    if (n->loads_out >= NODE_LOADS_MAX) {
        return ERR_BUSY;
    }
    struct node_load *l =
        alloc_get_zeroed(&n->alloc, 1, sizeof *l + count * sizeof(struct node_load_item));
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    l->g = g;
    l->epoch = g->epoch;
    l->ctx = ctx;
    l->loaded = loaded;
    l->task.run = node_load_run;
    l->task.done = node_load_done;
    if (node_load_fill(n, l, first, count) != 0) {
        node_load_free(n, l, count);
        return ERR_NO_MEMORY;
    }
    if (l->count == 0) { /* damaged here, and not yet brought by a peer */
        node_load_free(n, l, count);
        return ERR_BUSY;
    }
    l = node_load_shrink(n, l, count);
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    int err = node_task_start(n, &l->task, NODE_LANE_READ);
    if (err != 0) {
        node_load_free(n, l, l->count);
        return err;
    }
    n->loads_out++;
    return 0;
}

/* ---- messages that wait for payloads -------------------------------------------------------- */

struct node_late {
    struct buf head;
    uint32_t peer;
    unsigned count;
    uint64_t first;
    uint64_t terms[];
};

static void node_late_done(struct node *n, struct node_group *g, void *ctx, int code)
{
    struct node_late *late = ctx;
    for (unsigned i = 0; i < late->count && code == 0; i++) {
        struct raft_entry e;
        const struct node_payload *p = node_ring_get(g, late->first + i);
        code = raft_entry_get(n->raft, g->id, late->first + i, &e);
        if (code != 0 || e.term != late->terms[i] || (p == NULL && e.bytes > 0)) {
            code = ERR_NOT_FOUND;
        } else if (p != NULL) {
            (void)buf_append(&late->head, p->data, p->bytes);
        }
    }
    if (code == 0 && !n->closing) {
        node_send(n, late->peer, NODE_FRAME_RAFT, &late->head, NULL);
    } else {
        n->counters.dropped_messages++;
        buf_release(&late->head);
    }
    alloc_put(&n->alloc, late, sizeof *late + late->count * sizeof late->terms[0]);
    node_ring_trim(n, g);
}

void node_send_late(struct node *n, struct node_group *g, const struct raft_message *m,
                    struct buf *head)
{
    struct node_late *late =
        alloc_get_zeroed(&n->alloc, 1, sizeof *late + m->count * sizeof late->terms[0]);
    int err = late == NULL ? ERR_NO_MEMORY : 0;
    for (unsigned i = 0; i < m->count && err == 0; i++) {
        late->terms[i] = n->entries[i].term;
    }
    if (err == 0) {
        late->head = *head;
        late->peer = m->to;
        late->count = m->count;
        late->first = m->index + 1;
        err = node_load_start(n, g, late->first, late->count, late, node_late_done);
    }
    if (err != 0) { /* raft sends again */
        n->counters.dropped_messages++;
        buf_release(head);
        alloc_put(&n->alloc, late, sizeof *late + m->count * sizeof late->terms[0]);
    }
    *head = (struct buf){0};
}
