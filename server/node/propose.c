/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commands on their way into a log. Where this node leads, those of one turn go to raft as one
 * append; else each goes to the leader, once; without a leader they wait for one.
 *
 *   STAGED    for the append at the end of the turn
 *   LOGGED    has an index and a term; ends when that index is applied: with its result if the
 *             term is the same, else certainly not done; or unknown at the deadline
 *   WAITING   no leader is known or it refused: certainly not done so far
 *   CALLED    sent to the leader: its answer, or unknown
 *   REFUSED   the answer is certain and given later in the turn
 *
 * threads: the loop thread.
 */
#include "server/node/node_internal.h"

enum node_pending_state {
    NODE_PENDING_STAGED = 0,
    NODE_PENDING_LOGGED,
    NODE_PENDING_WAITING,
    NODE_PENDING_CALLED,
    NODE_PENDING_REFUSED,
};

struct node_pending {
    struct node_link link; /* in the list of its state */
    struct node_timer timer;
    struct node_group *g; /* NULL: this node has no replica */
    struct node_payload *payload;
    uint32_t group;
    uint32_t called; /* CALLED: whom */
    enum node_pending_state state;
    bool local_only; /* came from another node: not sent on once more */
    int code;        /* REFUSED; WAITING: why */
    uint64_t index;
    uint64_t term;
    uint64_t deadline_us;
    void *ctx;
    node_done_fn *done;
};

#define NODE_STAGED_MAX 512u
#define NODE_PROPOSE_HEAD 12u /* group u32, time left u64; then the encoded command */

static void node_pending_end(struct node *n, struct node_pending *p, int code, struct bytes reply)
{
    void *ctx = p->ctx;
    node_done_fn *done = p->done;
    node_timer_cancel(n, &p->timer);
    node_link_remove(&p->link);
    node_payload_put(n, p->payload);
    node_pool_give(n, &n->pools[NODE_POOL_PENDING], p);
    done(n, ctx, code, reply);
}

static void node_pending_fire(struct node *n, struct node_timer *t)
{
    struct node_pending *p = t->ctx;
    int code = ERR_TIMEOUT;
    ASSERT(p->state != NODE_PENDING_CALLED);
    if (p->state == NODE_PENDING_LOGGED) {
        p->g->logged_count--;
    } else if (p->state == NODE_PENDING_STAGED) {
        p->g->staged_count--;
        code = ERR_BUSY; /* raft has never seen it */
    } else {
        code = p->code;
    }
    node_pending_end(n, p, code, bytes_of(NULL, 0));
}

static void node_pending_refuse(struct node *n, struct node_pending *p, int code)
{
    node_link_remove(&p->link);
    p->state = NODE_PENDING_REFUSED;
    p->code = code;
    node_timer_set(n, &p->timer, n->now);
}

static void node_pending_called(struct node *n, void *ctx, int code, struct bytes reply);

/* Without a leader it waits in its group's list; a group that is not here has none, so it looks
 * again by itself. */
static void node_pending_wait(struct node *n, struct node_pending *p, int code)
{
    p->state = NODE_PENDING_WAITING;
    p->code = code;
    if (p->local_only || n->now >= p->deadline_us) {
        node_pending_refuse(n, p, code);
        return;
    }
    struct node_group *g = p->g != NULL ? p->g : n->elsewhere;
    node_link_append(&g->waiting, &p->link);
    node_timer_set(n, &p->timer, p->deadline_us);
    node_retry_at(n, g, n->now + n->options.heartbeat_us / 4 + 1);
}

static void node_pending_call(struct node *n, struct node_pending *p, uint32_t leader)
{
    struct buf *head = &n->scratch;
    buf_clear(head);
    (void)buf_put_u32(head, p->group);
    (void)buf_put_u64(head, p->deadline_us - NUM_MIN(n->now, p->deadline_us));
    (void)buf_append(head, p->payload->data, p->payload->bytes);
    node_timer_cancel(n, &p->timer);
    p->state = NODE_PENDING_CALLED;
    p->called = leader;
    n->counters.forwards++;
    node_call(n, leader, NODE_CALL_PROPOSE, buf_view(head), NULL, p->deadline_us, p,
              node_pending_called);
}

/* What the leader has certainly not done is tried again until the deadline. */
static void node_pending_called(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_pending *p = ctx;
    if (!n->closing &&
        (code == ERR_UNREACHABLE || code == ERR_NOT_LEADER || code == ERR_NO_LEADER)) {
        node_route_learn(n, p->group, RAFT_NODE_NONE);
        node_pending_wait(n, p, ERR_NO_LEADER);
        return;
    }
    if (!n->closing && code == 0 && p->g == NULL) {
        node_route_learn(n, p->group, p->called);
    }
    node_pending_end(n, p, code, reply);
}

static void node_pending_route(struct node *n, struct node_pending *p)
{
    struct node_group *g = p->g;
    if (g != NULL && g->role == RAFT_LEADER && !g->fenced) {
        if (store_mem_full(n->mem) || g->staged_count >= NODE_STAGED_MAX ||
            g->logged_count >= n->options.limits.uncommitted_entries) {
            n->flush_now = true;
            node_pending_refuse(n, p, ERR_BUSY);
        } else if (n->disk_full) {
            node_pending_refuse(n, p, ERR_DISK_FULL);
        } else {
            p->state = NODE_PENDING_STAGED;
            node_link_append(&g->staged, &p->link);
            g->staged_count++;
            node_timer_set(n, &p->timer, p->deadline_us);
        }
        return;
    }
    uint32_t leader = node_route(n, p->group, true);
    if (p->local_only) {
        node_pending_refuse(n, p, ERR_NOT_LEADER);
    } else if (leader == RAFT_NODE_NONE || leader == n->self || !node_peer_is_up(n, leader)) {
        node_pending_wait(n, p, ERR_NO_LEADER);
    } else {
        node_pending_call(n, p, leader);
    }
}

/* payload: taken. */
static void node_propose_raw(struct node *n, uint32_t group, struct node_payload *payload,
                             const struct node_pending *want)
{
    struct node_pending *p = node_pool_take(n, &n->pools[NODE_POOL_PENDING]);
    ASSERT(p != NULL); /* a record of a hundred bytes, bounded by requests */
    *p = *want;
    node_link_init(&p->link);
    p->timer = (struct node_timer){.ctx = p, .fire = node_pending_fire, .owes = true};
    p->group = group;
    p->g = node_group_find(n, group);
    p->payload = payload;
    n->counters.proposals++;
    if (payload == NULL || n->closing) {
        node_pending_refuse(n, p, payload == NULL ? want->code : ERR_UNAVAILABLE);
    } else {
        node_pending_route(n, p);
    }
}

void node_propose(struct node *n, uint32_t group, const struct node_cmd *cmd, uint64_t deadline_us,
                  void *ctx, node_done_fn *done)
{
    struct node_payload *payload = NULL;
    struct node_pending want = {.ctx = ctx, .done = done, .deadline_us = deadline_us};
    want.code = node_cmd_encode(n, cmd, &payload);
    node_propose_raw(n, group, payload, &want);
}

/* ---- the append of a turn ------------------------------------------------------------------- */

static void node_propose_logged(struct node *n, struct node_group *g, struct node_pending *p,
                                uint64_t index)
{
    (void)n;
    node_link_remove(&p->link);
    p->state = NODE_PENDING_LOGGED;
    p->index = index;
    p->term = g->term;
    node_link_append(&g->logged[index & g->logged_mask], &p->link);
    g->logged_count++;
}

/* Gives raft the first `count` staged commands as one append. returns: what raft says. */
static int node_propose_some(struct node *n, struct node_group *g, unsigned count)
{
    struct raft_status s;
    struct node_link *at = g->staged.next;
    int err = raft_status_get(n->raft, g->id, n->now, &s);
    ASSERT(err == 0);
    for (unsigned i = 0; i < count; i++, at = at->next) {
        struct node_pending *p = (struct node_pending *)(void *)at;
        p->payload->refs++;
        n->entries[i] = (struct raft_entry){.type = RAFT_ENTRY_COMMAND,
                                            .bytes = p->payload->bytes,
                                            .ref = node_stage(n, p->payload)};
    }
    struct raft_event ev = {
        .kind = RAFT_PROPOSE, .group = g->id, .entries = n->entries, .count = count};
    /* a group of one commits without waiting for anything but the disk, so none is applied inside
     */
    err = node_raft(n, &ev);
    for (unsigned i = 0; i < count && err == 0; i++) {
        g->staged_count--;
        node_propose_logged(n, g, (struct node_pending *)(void *)g->staged.next,
                            s.last_index + 1 + i);
    }
    return err;
}

static void node_propose_refused(struct node *n, struct node_group *g, unsigned count, int err)
{
    for (unsigned i = 0; i < count; i++) {
        struct node_pending *p = (struct node_pending *)(void *)g->staged.next;
        g->staged_count--;
        if (err == ERR_NOT_LEADER || err == ERR_NO_LEADER) {
            node_link_remove(&p->link);
            node_pending_wait(n, p, p->local_only ? ERR_NOT_LEADER : ERR_NO_LEADER);
        } else {
            node_pending_refuse(n, p, err == ERR_BUSY ? ERR_BUSY : ERR_NO_LEADER);
        }
    }
}

void node_propose_flush(struct node *n, struct node_group *g)
{
    unsigned size = NUM_MIN(NODE_STAGED_MAX, n->staged_max);
    while (g->staged_count > 0) {
        unsigned count = NUM_MIN(size, g->staged_count);
        int err = node_propose_some(n, g, count);
        if (err == ERR_BUSY && count > 1) {
            size = count / 2; /* as many as still fit */
        } else if (err != 0) {
            node_propose_refused(n, g, count, err);
        }
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

void node_propose_applied(struct node *n, struct node_group *g, const struct raft_entry *entry,
                          uint64_t index, int code)
{
    struct node_link *list = &g->logged[index & g->logged_mask];
    struct node_link *at = list->next;
    while (at != list) {
        struct node_pending *p = (struct node_pending *)(void *)at;
        at = at->next;
        if (p->index != index) {
            continue;
        }
        g->logged_count--;
        if (p->term == entry->term) {
            node_pending_end(n, p, code, buf_view(&n->reply));
        } else { /* another entry took its place for good */
            node_pending_end(n, p, ERR_NOT_LEADER, bytes_of(NULL, 0));
        }
    }
}

/* A leader is known again, or it may be: each waiting command looks for its way once. */
void node_propose_role(struct node *n, struct node_group *g)
{
    struct node_link all;
    if (node_link_empty(&g->waiting)) {
        return;
    }
    all = g->waiting;
    all.next->prev = &all;
    all.prev->next = &all;
    node_link_init(&g->waiting);
    while (!node_link_empty(&all)) {
        struct node_pending *p = (struct node_pending *)(void *)all.next;
        node_link_remove(&p->link);
        node_timer_cancel(n, &p->timer);
        node_pending_route(n, p);
    }
}

static void node_propose_free_list(struct node *n, struct node_link *list, int code)
{
    while (!node_link_empty(list)) {
        node_pending_end(n, (struct node_pending *)(void *)list->next, code, bytes_of(NULL, 0));
    }
}

size_t node_pending_bytes(void)
{
    return sizeof(struct node_pending);
}

void node_propose_free(struct node *n, struct node_group *g)
{
    node_propose_free_list(n, &g->staged, ERR_UNAVAILABLE);
    node_propose_free_list(n, &g->waiting, ERR_UNAVAILABLE);
    for (uint64_t i = 0; g->logged != NULL && i <= g->logged_mask; i++) {
        node_propose_free_list(n, &g->logged[i], ERR_TIMEOUT); /* the next start may apply it */
    }
}

/* ---- for other nodes ------------------------------------------------------------------------ */

struct node_served {
    struct node_request request;
};

static void node_served_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_served *s = ctx;
    node_answer(n, s->request, code, reply, NULL);
    alloc_put(&n->alloc, s, sizeof *s);
}

void node_propose_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    uint32_t group = bytes_take_u32(&r);
    uint64_t left_us = bytes_take_u64(&r);
    struct node_cmd cmd;
    struct node_pending want = {.local_only = true, .done = node_served_done};
    int err = r.failed ? ERR_PROTOCOL : node_cmd_decode(bytes_of(r.at, r.left), &cmd);
    if (err == 0 && n->ops[cmd.op] == NULL) {
        err = ERR_LEVEL;
    }
    if (err == 0 && group == NODE_GROUP_OWN) {
        err = ERR_NOT_LEADER; /* nobody else's */
    }
    if (err == 0 && r.left > n->options.limits.proposal_bytes) {
        err = ERR_TOO_LARGE;
    }
    const struct node_group *g = node_group_find(n, group);
    if (err == 0 && cmd.op == NODE_OP_SESSION_OPEN && g != NULL &&
        g->now.sessions >= n->options.limits.sessions) {
        err = ERR_BUSY; /* the node it came from may have no replica to count them in */
    }
    struct node_served *s = err == 0 ? alloc_get(&n->alloc, sizeof *s) : NULL;
    struct node_payload *payload = s == NULL ? NULL : node_payload_new(n, (uint32_t)r.left);
    if (payload == NULL) {
        alloc_put(&n->alloc, s, sizeof *s);
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    memcpy(payload->data, r.at, r.left);
    s->request = request;
    want.ctx = s;
    want.deadline_us = n->now + NUM_MIN(left_us, (uint64_t)600 * 1000000);
    node_propose_raw(n, group, payload, &want);
}
