/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Applies committed entries, a bounded batch at a time: first every payload and every record the
 * batch names is in memory (jobs read what is not), then the entries run one after another without
 * I/O. What is not understood stops the replica; it is never skipped. In the own group, what finds
 * all of its records in memory runs before, without their being named.
 *
 *   IDLE -> LOADING   payloads are read back from the log     -> IDLE
 *   IDLE -> FETCHING  records are read from the table         -> the batch runs -> IDLE
 */
#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#define NODE_APPLY_BYTES (8u << 20)
#define NODE_APPLY_RETRY_US 10000u
#define NODE_CMD_BYTES 30u /* fixed part of an encoded command */

int node_cmd_encode(struct node *n, const struct node_cmd *cmd, struct node_payload **out)
{
    uint64_t size = NODE_CMD_BYTES + cmd->principal.size + (uint64_t)cmd->body.size;
    if (cmd->principal.size > WIRE_NAME_BYTES_MAX || size > n->options.limits.proposal_bytes) {
        return ERR_TOO_LARGE;
    }
    struct node_payload *p = node_payload_new(n, (uint32_t)size);
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    uint8_t *at = p->data;
    at[0] = NODE_LEVEL;
    at[1] = cmd->op;
    num_put_u16(at + 2, 0);
    num_put_u64(at + 4, cmd->session);
    num_put_u64(at + 12, cmd->sequence);
    num_put_u64(at + 20, cmd->acked);
    num_put_u16(at + 28, (uint16_t)cmd->principal.size);
    at += NODE_CMD_BYTES;
    if (cmd->principal.size > 0) {
        memcpy(at, cmd->principal.data, cmd->principal.size);
    }
    if (cmd->body.size > 0) {
        memcpy(at + cmd->principal.size, cmd->body.data, cmd->body.size);
    }
    *out = p;
    return 0;
}

/* returns: 0, ERR_LEVEL (of a later version), ERR_CORRUPT. */
int node_cmd_decode(struct bytes raw, struct node_cmd *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t level = bytes_take_u8(&r);
    if (r.failed || level == 0) {
        return ERR_CORRUPT;
    }
    if (level > NODE_LEVEL) {
        return ERR_LEVEL;
    }
    struct node_cmd c = {.op = bytes_take_u8(&r)};
    (void)bytes_take_u16(&r);
    c.session = bytes_take_u64(&r);
    c.sequence = bytes_take_u64(&r);
    c.acked = bytes_take_u64(&r);
    c.principal = bytes_take(&r, bytes_take_u16(&r));
    c.body = bytes_of(r.at, r.left);
    if (r.failed) {
        return ERR_CORRUPT;
    }
    *out = c;
    return 0;
}

void node_fence(struct node *n, struct node_group *g, uint64_t index, const char *why)
{
    if (g->fenced) {
        return;
    }
    g->fenced = true;
    log_line(n->options.log, LOG_ERROR, "replica_stopped", "node=%u group=%u index=%llu reason=%s",
             n->self, g->id, (unsigned long long)index, why);
    if (g->id == 0) {
        node_control_fenced(n);
    }
}

/* ---- one entry ------------------------------------------------------------------------------ */

/* *code: what the command came to. */
static void node_apply_cmd_end(struct node_sm *sm, const struct node_cmd *cmd, int *code)
{
    struct node *n = sm->n;
    *code = n->reply.err != 0 ? ERR_NO_MEMORY : *code;
    if (*code == ERR_NO_MEMORY ||
        (cmd->session != 0 &&
         node_session_end(sm, cmd, *code, buf_view(&n->reply)) == ERR_NO_MEMORY)) {
        node_fail(n, ERR_NO_MEMORY, "apply");
    }
}

static int node_apply_cmd(struct node_sm *sm, const struct node_cmd *cmd)
{
    struct node *n = sm->n;
    const struct node_op *op = n->ops[cmd->op];
    bool answered = false;
    int code = 0;
    buf_clear(&n->reply);
    if (cmd->session != 0) {
        code = node_session_begin(sm, cmd, &n->reply, &answered);
        if (answered) {
            return code;
        }
    }
    code = op->apply(sm, cmd, &n->reply);
    node_apply_cmd_end(sm, cmd, &code);
    return code;
}

static void node_apply_ended(struct node *n, struct node_group *g, const struct node_sm *sm,
                             const struct raft_entry *e, int code)
{
    g->now.index = sm->index;
    g->now.term = e->term;
    g->now.log_time_us = NUM_MAX(g->now.log_time_us, e->time_us);
    n->counters.applied++;
    node_propose_applied(n, g, e, sm->index, code);
}

/* returns: false if the replica must stop at this entry. */
static bool node_apply_entry(struct node *n, struct node_group *g, uint64_t index,
                             const struct raft_entry *e)
{
    struct node_sm sm;
    const struct node_payload *p = node_ring_get(g, index);
    struct node_cmd cmd;
    int code = 0;
    sm.n = n;
    sm.g = g;
    sm.index = index;
    sm.time_us = e->time_us;
    buf_clear(&n->reply);
    switch (e->type) {
    case RAFT_ENTRY_NOOP: break;
    case RAFT_ENTRY_LEVEL:
        if (p == NULL || p->bytes < 1 || p->data[0] > NODE_LEVEL) {
            return false;
        }
        g->now.level = p->data[0];
        break;
    case RAFT_ENTRY_COMMAND:
        if (p == NULL || node_cmd_decode(bytes_of(p->data, p->bytes), &cmd) != 0 ||
            n->ops[cmd.op] == NULL) {
            return false;
        }
        code = node_apply_cmd(&sm, &cmd);
        break;
    default: return false;
    }
    if (!n->failed) {
        node_apply_ended(n, g, &sm, e, code);
    }
    return true;
}

static void node_apply_told(struct node *n, struct node_group *g)
{
    if (n->failed) {
        return;
    }
    struct raft_event ev = {.kind = RAFT_APPLIED, .group = g->id, .index = g->now.index};
    (void)node_raft(n, &ev);
    node_watch_turn(n, g);
    node_ring_trim(n, g);
}

static void node_apply_execute(struct node *n, struct node_group *g)
{
    while (g->now.index < g->apply_end && !n->failed) {
        uint64_t index = g->now.index + 1;
        struct raft_entry e;
        int err = raft_entry_get(n->raft, g->id, index, &e);
        ASSERT(err == 0);
        if (!node_apply_entry(n, g, index, &e)) {
            node_fence(n, g, index, "unknown_entry");
            break;
        }
    }
    node_apply_told(n, g);
}

/* ---- without naming ------------------------------------------------------------------------- */

/* Applies a command of the own group whose records turn out to be in memory when they are looked
 * up. returns: false: nothing was done. */
static bool node_apply_known(struct node_sm *sm, const struct node_cmd *cmd, int *code)
{
    bool answered = false;
    if (cmd->op != NODE_OP_EV_UPDATE && cmd->op != NODE_OP_EV_JOIN) {
        return false;
    }
    buf_clear(&sm->n->reply);
    if (cmd->session != 0) {
        if (!node_session_known(sm, cmd)) {
            return false;
        }
        *code = node_session_begin(sm, cmd, &sm->n->reply, &answered);
        if (answered) {
            return true;
        }
    }
    if (!node_ev_try(sm, cmd, &sm->n->reply, code)) {
        return false;
    }
    node_apply_cmd_end(sm, cmd, code);
    return true;
}

/* Most commands of the own group are such. Goes as far as it can. */
static void node_apply_direct(struct node *n, struct node_group *g)
{
    uint64_t from = g->now.index;
    while (g->now.index < g->apply_end && !n->failed) {
        uint64_t index = g->now.index + 1;
        const struct node_payload *p = node_ring_get(g, index);
        struct node_sm sm;
        struct raft_entry e;
        struct node_cmd cmd;
        int code = 0;
        sm.n = n;
        sm.g = g;
        sm.index = index;
        if (p == NULL || raft_entry_get(n->raft, g->id, index, &e) != 0 ||
            e.type != RAFT_ENTRY_COMMAND ||
            node_cmd_decode(bytes_of(p->data, p->bytes), &cmd) != 0) {
            break;
        }
        sm.time_us = e.time_us;
        if (!node_apply_known(&sm, &cmd, &code)) {
            break;
        }
        if (!n->failed) {
            node_apply_ended(n, g, &sm, &e, code);
        }
    }
    if (g->now.index > from) {
        node_apply_told(n, g);
    }
}

/* ---- the batch ------------------------------------------------------------------------------ */

static void node_apply_loaded(struct node *n, struct node_group *g, void *ctx, int code)
{
    (void)ctx;
    g->apply_state = NODE_APPLY_IDLE;
    if (code != 0 && !n->closing) {
        g->apply_retry_us = n->now + NODE_APPLY_RETRY_US;
        node_retry_at(n, g, g->apply_retry_us);
    }
}

static void node_apply_later(struct node *n, struct node_group *g)
{
    g->apply_retry_us = n->now + NODE_APPLY_RETRY_US;
    node_retry_at(n, g, g->apply_retry_us);
}

/* Sets apply_end to what one batch may hold. returns: false if payloads must be read first. */
static bool node_apply_bound(struct node *n, struct node_group *g)
{
    uint64_t bytes = 0;
    uint64_t index = g->now.index;
    uint64_t entries = n->options.limits.apply_entries;
    if (g->apply_most != 0) {
        entries = NUM_MIN(entries, g->apply_most);
    }
    uint64_t most = NUM_MIN(g->apply_target, index + entries);
    while (index < most && bytes < NODE_APPLY_BYTES) {
        struct raft_entry e;
        int err = raft_entry_get(n->raft, g->id, index + 1, &e);
        ASSERT(err == 0);
        if (e.bytes > 0 && node_ring_get(g, index + 1) == NULL) {
            break;
        }
        bytes += e.bytes;
        index++;
    }
    g->apply_end = index;
    if (index > g->now.index) {
        return true;
    }
    if (node_load_start(n, g, index + 1, (unsigned)(most - index), NULL, node_apply_loaded) == 0) {
        g->apply_state = NODE_APPLY_LOADING;
    } else {
        node_apply_later(n, g);
    }
    return false;
}

static int node_apply_names(struct node_fetch *f, struct node_keys *keys)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&keys->names));
    for (unsigned i = 0; i < keys->count; i++) {
        TRY(node_fetch_want(f, bytes_take(&r, bytes_take_u16(&r))));
    }
    return keys->names.err;
}

/* Names every record the batch touches. A body that cannot be read names none: apply refuses it
 * the same way. */
static int node_apply_collect(struct node *n, struct node_group *g, struct node_fetch *f)
{
    struct node_keys keys;
    int err = 0;
    node_keys_init(&keys, n);
    for (uint64_t i = g->now.index + 1; i <= g->apply_end && err == 0; i++) {
        const struct node_payload *p = node_ring_get(g, i);
        struct raft_entry e;
        struct node_cmd cmd;
        if (p == NULL || raft_entry_get(n->raft, g->id, i, &e) != 0 ||
            e.type != RAFT_ENTRY_COMMAND ||
            node_cmd_decode(bytes_of(p->data, p->bytes), &cmd) != 0 || n->ops[cmd.op] == NULL) {
            continue;
        }
        buf_clear(&keys.names);
        keys.count = 0;
        if (cmd.session != 0) {
            (void)node_session_keys(&cmd, &keys);
        }
        (void)n->ops[cmd.op]->keys(&cmd, &keys);
        err = node_apply_names(f, &keys);
    }
    buf_release(&keys.names);
    return err;
}

static void node_apply_fetched(struct node *n, struct node_fetch *f)
{
    struct node_group *g = f->g;
    int code = f->task.job.code;
    bool stale = f->epoch != g->epoch;
    if (!stale) {
        g->apply_state = NODE_APPLY_IDLE;
    }
    if (code == 0 && !stale && !n->closing && !n->failed) {
        /* apply is the only writer of the group's records, so no flush can have made these old */
        code = node_fetch_fill(f);
    }
    if (n->closing || n->failed || stale) {
        node_mem_unpin(n);
        node_fetch_free(f);
        return;
    }
    if (code == 0) {
        g->apply_most *= 2; /* up to the limit again */
        if (g->apply_most > n->options.limits.apply_entries) {
            g->apply_most = 0;
        }
        node_apply_execute(n, g);
    } else if (code == ERR_TOO_LARGE && g->apply_end > g->now.index + 1) {
        g->apply_most = (g->apply_end - g->now.index) / 2; /* the records of fewer entries */
    } else if (code == ERR_CORRUPT) {
        node_rebuild(n, g);
    } else if (err_outcome_of(code) == ERR_OUTCOME_RETRY) {
        node_apply_later(n, g); /* no memory or no reader for now: it passes */
    } else {
        node_fail(n, code, "state_read");
    }
    node_mem_unpin(n);
    node_fetch_free(f);
}

bool node_apply_run(struct node *n, struct node_group *g)
{
    if (g->apply_state != NODE_APPLY_IDLE || g->fenced || g->broken || n->failed || n->closing ||
        g->now.index >= g->apply_target || n->now < g->apply_retry_us || g->install_flips) {
        return false;
    }
    if (!node_apply_bound(n, g)) {
        return false;
    }
    node_mem_pin(n);
    if (node_group_own(g)) {
        node_apply_direct(n, g);
    }
    if (g->now.index == g->apply_end || n->failed) {
        node_mem_unpin(n);
        return true;
    }
    struct node_fetch *f = node_fetch_new(n, g);
    int err = f == NULL ? ERR_NO_MEMORY : node_apply_collect(n, g, f);
    if (err == 0 && f->keys_count > 0) {
        f->ended = node_apply_fetched;
        err = node_fetch_start(f);
        if (err == 0) {
            g->apply_state = NODE_APPLY_FETCHING;
            return true; /* pinned until then */
        }
    } else if (err == 0) {
        node_apply_execute(n, g);
    }
    if (err != 0) {
        node_apply_later(n, g);
    }
    node_mem_unpin(n);
    if (f != NULL) {
        node_fetch_free(f);
    }
    return err == 0;
}
