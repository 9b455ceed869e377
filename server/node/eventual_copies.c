/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A write: applied in the own group, then waited for until as many owners have it durably as were
 * asked for, or time is up, or there is nobody else to have it. The reply says how many have it.
 * A node that does not own the key, does not know yet which actor it is, or holds a region of the
 * write (docs/adr/0014), passes the write on.
 *
 *   OWN     UPDATE in the own group    -> applied: COPIES
 *   PASSED  EV_WRITE to an owner       -> its answer is the answer; the next owner if it is sure
 *                                         that this one has not done it
 *   COPIES  contexts of owners come in -> done
 *
 * Who asked here hears which node it was done at, between `copies` and the rest.
 *
 * EV_WRITE: copies u8, time for them u64, time left u64, session u64, sequence u64, acked u64,
 * principal (length u16), body of EV_UPDATE. Answer: copies u8, reply of EV_UPDATE.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"

#include <limits.h>

#define NODE_EV_COPY_WAITS_MAX 8192u

struct node_ev_written {
    uint8_t region;
    struct crdt_dot last;
};

struct node_ev_write_job {
    struct node_link link; /* of those that wait for copies */
    struct node *n;
    struct node_timer timer;
    bool passed_on; /* came from another node: it is done here or not at all */
    unsigned copies;
    uint64_t copies_us;
    uint64_t deadline_us;
    uint8_t region;      /* of its first operation */
    uint64_t tried;      /* bitmap of the owners' list */
    uint32_t owner;      /* the one asked last */
    struct node_cmd cmd; /* views kept */
    int code;            /* of a refusal */
    struct buf kept;
    struct buf reply;
    struct node_ev_written *written;
    unsigned written_count;
    void *ctx;
    node_done_fn *done;
};

static void node_ev_write_route(struct node_ev_write_job *w);

/* ---- end ------------------------------------------------------------------------------------ */

static void node_ev_write_free(struct node_ev_write_job *w)
{
    struct node *n = w->n;
    node_timer_cancel(n, &w->timer);
    node_link_remove(&w->link);
    buf_release(&w->kept);
    buf_release(&w->reply);
    alloc_put(&n->alloc, w->written, w->written_count * sizeof *w->written);
    alloc_put(&n->alloc, w, sizeof *w);
}

static void node_ev_write_end(struct node_ev_write_job *w, int code, struct bytes reply)
{
    struct node *n = w->n;
    node_done_fn *done = w->done;
    void *ctx = w->ctx;
    done(n, ctx, code, reply);
    node_ev_write_free(w);
}

/* ---- copies --------------------------------------------------------------------------------- */

/* returns: on how many owners of its region it is durable; *may: how many more may yet say so. */
static unsigned node_ev_written_copies(struct node *n, const struct node_ev_written *written,
                                       unsigned *may)
{
    struct node_ev_list list;
    unsigned copies = 1;
    *may = 0;
    node_ev_list_get(n, written->region, &list);
    for (unsigned i = 0; i < list.owners; i++) {
        const struct node_ev_peer *p = node_ev_peer_of(n, list.nodes[i]);
        if (p == NULL) {
            continue;
        }
        if (crdt_context_has(&p->known[written->region], written->last)) {
            copies++;
        } else {
            *may += node_peer_is_up(n, p->id);
        }
    }
    return copies;
}

/* returns: on how many nodes each of its regions is durable, at least; 0: one of them is on too few
 * and may yet be on more. */
static unsigned node_ev_write_copies(const struct node_ev_write_job *w, bool at_once)
{
    unsigned fewest = UINT_MAX;
    for (unsigned i = 0; i < w->written_count; i++) {
        unsigned may = 0;
        unsigned copies = node_ev_written_copies(w->n, &w->written[i], &may);
        if (copies < w->copies && may > 0 && !at_once) {
            return 0;
        }
        fewest = NUM_MIN(fewest, copies);
    }
    return w->written_count == 0 ? 1 : fewest;
}

static void node_ev_write_finish(struct node_ev_write_job *w, unsigned copies)
{
    w->reply.data[0] = (uint8_t)NUM_MIN(copies, 255u);
    node_ev_write_end(w, 0, buf_view(&w->reply));
}

/* returns: whether it was ended. */
static bool node_ev_write_check(struct node_ev_write_job *w, bool at_once)
{
    unsigned copies = node_ev_write_copies(w, at_once);
    if (copies == 0) {
        return false;
    }
    node_ev_write_finish(w, copies);
    return true;
}

static void node_ev_write_fire(struct node *n, struct node_timer *t)
{
    node_ev_of(n)->writes_count--;
    (void)node_ev_write_check(t->ctx, true);
}

void node_ev_copies_run(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_link waiting;
    if (node_link_empty(&ev->writes)) {
        return;
    }
    waiting = ev->writes; /* what done starts is not looked at now */
    waiting.next->prev = &waiting;
    waiting.prev->next = &waiting;
    node_link_init(&ev->writes);
    while (!node_link_empty(&waiting)) {
        struct node_ev_write_job *w = (struct node_ev_write_job *)(void *)waiting.next;
        node_link_remove(&w->link);
        ev->writes_count--;
        if (!node_ev_write_check(w, false)) {
            node_link_append(&ev->writes, &w->link);
            ev->writes_count++;
        }
    }
}

/* The timers of those that wait have ended them already. */
void node_ev_copies_release(struct node *n)
{
    ASSERT(node_link_empty(&node_ev_of(n)->writes));
}

static int node_ev_write_dots(struct node_ev_write_job *w, struct bytes reply)
{
    struct bytes_reader r = bytes_reader_of(reply);
    (void)bytes_take(&r, bytes_take_u16(&r));
    uint16_t count = bytes_take_u16(&r);
    if (r.failed || count > NODE_EV_REGIONS) {
        return ERR_PROTOCOL;
    }
    w->written = count == 0 ? NULL : alloc_get_zeroed(&w->n->alloc, count, sizeof *w->written);
    if (count > 0 && w->written == NULL) {
        return ERR_NO_MEMORY;
    }
    w->written_count = count;
    for (unsigned i = 0; i < count; i++) {
        w->written[i].region = bytes_take_u8(&r) % NODE_EV_REGIONS;
        w->written[i].last.actor.node = bytes_take_u32(&r);
        w->written[i].last.actor.epoch = bytes_take_u64(&r);
        w->written[i].last.counter = bytes_take_u64(&r);
    }
    return r.failed ? ERR_PROTOCOL : 0;
}

static void node_ev_write_applied(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_write_job *w = ctx;
    struct node_eventual *ev = node_ev_of(n);
    if (code != 0) {
        node_ev_write_end(w, code, reply);
        return;
    }
    (void)buf_put_u8(&w->reply, 1);
    (void)buf_put_u32(&w->reply, n->self);
    if (buf_append(&w->reply, reply.data, reply.size) != 0) {
        node_ev_write_end(w, ERR_DONE, bytes_of(NULL, 0));
        return;
    }
    /* Nobody else has yet what was just made, so who asks for one copy is not looked at further. */
    bool more = w->copies > 1 && node_ev_write_dots(w, reply) == 0 && !n->closing &&
                ev->writes_count < NODE_EV_COPY_WAITS_MAX;
    if (node_ev_write_check(w, !more)) {
        return;
    }
    node_link_append(&ev->writes, &w->link);
    ev->writes_count++;
    node_timer_set(n, &w->timer, node_now(n) + w->copies_us);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        node_ev_push_soon(n, &ev->peers[i]);
    }
}

/* ---- passing on ----------------------------------------------------------------------------- */

static void node_ev_write_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_write_job *w = ctx;
    if (code != 0 && err_outcome_of(code) == ERR_OUTCOME_RETRY && !n->closing &&
        node_now(n) < w->deadline_us) {
        node_ev_write_route(w); /* certainly not done there */
        return;
    }
    if (code == 0) {
        struct bytes_reader r = bytes_reader_of(reply);
        (void)buf_put_u8(&w->reply, bytes_take_u8(&r));
        (void)buf_put_u32(&w->reply, w->owner);
        (void)buf_append(&w->reply, r.at, r.left);
        code = r.failed ? ERR_TIMEOUT : w->reply.err != 0 ? ERR_DONE : 0;
        reply = code == 0 ? buf_view(&w->reply) : bytes_of(NULL, 0);
    }
    node_ev_write_end(w, code, reply);
}

static void node_ev_write_pass(struct node_ev_write_job *w, uint32_t owner)
{
    struct node *n = w->n;
    struct buf head;
    uint64_t left = w->deadline_us - NUM_MIN(node_now(n), w->deadline_us);
    buf_init(&head, &n->alloc, n->options.limits.peer_body_bytes);
    (void)buf_put_u8(&head, (uint8_t)NUM_MIN(w->copies, 255u));
    (void)buf_put_u64(&head, w->copies_us);
    (void)buf_put_u64(&head, left);
    (void)buf_put_u64(&head, w->cmd.session);
    (void)buf_put_u64(&head, w->cmd.sequence);
    (void)buf_put_u64(&head, w->cmd.acked);
    (void)buf_put_u16(&head, (uint16_t)w->cmd.principal.size);
    (void)buf_append(&head, w->cmd.principal.data, w->cmd.principal.size);
    (void)buf_append(&head, w->cmd.body.data, w->cmd.body.size);
    if (head.err != 0) {
        node_ev_write_end(w, head.err, bytes_of(NULL, 0));
    } else {
        node_call(n, owner, NODE_CALL_EV_WRITE, buf_view(&head), NULL, w->deadline_us, w,
                  node_ev_write_answered);
    }
    buf_release(&head);
}

/* can: it may be done here.
 * returns: an owner to pass the write on to; 0: it is to be done here. A write in a session always
 * is: another node knows nothing of the session, or another one by the same number. And one that
 * names what it follows: that was seen here, and maybe not there. */
static uint32_t node_ev_write_owner(struct node_ev_write_job *w, bool can)
{
    struct node *n = w->n;
    struct node_ev_list list;
    node_ev_list_get(n, w->region, &list);
    if (w->passed_on || w->cmd.session != 0 || w->cmd.here ||
        (can && node_ev_list_owns(&list, node_self(n)))) {
        return 0;
    }
    for (unsigned i = 0; i < list.owners; i++) {
        uint32_t owner = list.nodes[i];
        if (owner != node_self(n) && (w->tried >> i & 1u) == 0 && node_peer_is_up(n, owner)) {
            w->tried |= UINT64_C(1) << i;
            w->owner = owner;
            return owner;
        }
    }
    return 0;
}

static void node_ev_write_unable(struct node *n, struct node_timer *t)
{
    struct node_ev_write_job *w = t->ctx;
    (void)n;
    node_ev_write_end(w, w->code, bytes_of(NULL, 0));
}

/* Later, as any other end. */
static void node_ev_write_refuse(struct node_ev_write_job *w, int code)
{
    w->code = code;
    w->timer.fire = node_ev_write_unable;
    node_timer_set(w->n, &w->timer, node_now(w->n));
}

/* Regions of the operations of an UPDATE body, as bits; those of a body that apply will refuse up
 * to where it is wrong. */
static uint64_t node_ev_write_regions(struct bytes body)
{
    struct node_ev_body b;
    struct node_ev_parsed op;
    uint64_t regions = 0;
    int err = node_ev_body_begin(body, &b);
    while (err == 0 && (err = node_ev_body_next(&b, &op)) == 0) {
        regions |= UINT64_C(1) << op.region;
    }
    return regions;
}

/* returns: whether this node may make the write's dots, or need not make any. */
static bool node_ev_write_may(const struct node_ev_write_job *w)
{
    struct crdt_actor actor;
    return w->cmd.settled ||
           (node_ev_actor(w->n, &actor) &&
            (!node_ev_hold_any(w->n, UINT64_MAX) ||
             !node_ev_hold_any(w->n, node_ev_write_regions(node_ev_once_update(&w->cmd)))));
}

static void node_ev_write_route(struct node_ev_write_job *w)
{
    struct node *n = w->n;
    bool can = node_ev_write_may(w);
    uint32_t owner = node_ev_write_owner(w, can);
    if (owner != 0) {
        node_ev_write_pass(w, owner);
    } else if (can) {
        node_propose(n, NODE_GROUP_OWN, &w->cmd, w->deadline_us, w, node_ev_write_applied);
    } else {
        node_ev_write_refuse(w, ERR_UNAVAILABLE);
    }
}

/* ---- begin ---------------------------------------------------------------------------------- */

/* Region of the first operation of an UPDATE body; 0 of a body that apply will refuse. */
static uint8_t node_ev_write_region(struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    (void)bytes_take_u64(&r);
    (void)bytes_take_u16(&r);
    (void)bytes_take(&r, bytes_take_u16(&r));
    return node_ev_region(bytes_take(&r, bytes_take_u16(&r)));
}

static int node_ev_write_keep(struct node_ev_write_job *w, const struct node_cmd *cmd)
{
    buf_init(&w->kept, &w->n->alloc, w->n->options.limits.proposal_bytes + NODE_NAME_BYTES_MAX);
    TRY(buf_append(&w->kept, cmd->principal.data, cmd->principal.size));
    TRY(buf_append(&w->kept, cmd->body.data, cmd->body.size));
    w->cmd = *cmd;
    w->cmd.op = cmd->op == NODE_OP_EV_ONCE ? NODE_OP_EV_ONCE : NODE_OP_EV_UPDATE;
    w->cmd.principal = bytes_of(w->kept.data, cmd->principal.size);
    w->cmd.body = bytes_of(w->kept.data + cmd->principal.size, cmd->body.size);
    return 0;
}

struct node_ev_write_terms {
    unsigned copies;
    uint64_t copies_us;
    uint64_t deadline_us;
    bool passed_on;
};

static void node_ev_write_begin(struct node *n, const struct node_cmd *cmd,
                                const struct node_ev_write_terms *terms, void *ctx,
                                node_done_fn *done)
{
    struct node_ev_write_job *w = alloc_get_zeroed(&n->alloc, 1, sizeof *w);
    if (w == NULL) {
        node_fail(n, ERR_NO_MEMORY, "eventual_write");
        return;
    }
    w->n = n;
    w->ctx = ctx;
    w->done = done;
    w->copies = terms->copies;
    w->copies_us = terms->copies_us;
    w->deadline_us = terms->deadline_us;
    w->passed_on = terms->passed_on;
    w->region = node_ev_write_region(node_ev_once_update(cmd));
    w->timer = (struct node_timer){.ctx = w, .fire = node_ev_write_fire, .owes = true};
    node_link_init(&w->link);
    buf_init(&w->reply, &n->alloc, NODE_REPLY_BYTES_MAX);
    int err = n->closing ? ERR_UNAVAILABLE : node_ev_write_keep(w, cmd);
    if (err != 0) {
        node_ev_write_refuse(w, err);
    } else {
        node_ev_write_route(w);
    }
}

void node_ev_write(struct node *n, const struct node_cmd *cmd, unsigned copies, uint64_t copies_us,
                   uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    const struct node_ev_write_terms terms = {
        .copies = copies, .copies_us = copies_us, .deadline_us = deadline_us};
    node_ev_write_begin(n, cmd, &terms, ctx, done);
}

/* ---- for peers ------------------------------------------------------------------------------ */

static void node_ev_write_served(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_request *request = ctx;
    struct buf head;
    struct bytes_reader r = bytes_reader_of(reply);
    buf_init(&head, &n->alloc, NODE_REPLY_BYTES_MAX);
    if (code == 0) {
        (void)buf_put_u8(&head, bytes_take_u8(&r));
        (void)bytes_take_u32(&r); /* who asks knows whom */
        (void)buf_append(&head, r.at, r.left);
        code = r.failed || head.err != 0 ? ERR_DONE : 0;
        reply = buf_view(&head);
    }
    node_answer(n, *request, code, reply, NULL); /* of a refusal: the operation it is about */
    buf_release(&head);
    alloc_put(&n->alloc, request, sizeof *request);
}

void node_ev_write_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_cmd cmd = {.op = NODE_OP_EV_UPDATE};
    struct node_ev_write_terms terms = {.passed_on = true, .copies = bytes_take_u8(&r)};
    uint64_t copies_us = bytes_take_u64(&r); /* taken once: NUM_MIN looks twice */
    uint64_t left_us = bytes_take_u64(&r);
    terms.copies_us = NUM_MIN(copies_us, (uint64_t)NODE_EV_CALL_US);
    terms.deadline_us = node_now(n) + NUM_MIN(left_us, UINT64_C(600000000));
    cmd.session = bytes_take_u64(&r);
    cmd.sequence = bytes_take_u64(&r);
    cmd.acked = bytes_take_u64(&r);
    cmd.principal = bytes_take(&r, bytes_take_u16(&r));
    cmd.body = bytes_of(r.at, r.left);
    struct node_request *kept = r.failed ? NULL : alloc_get(&n->alloc, sizeof *kept);
    if (kept == NULL) {
        node_answer(n, request, r.failed ? ERR_PROTOCOL : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    *kept = request;
    node_ev_write_begin(n, &cmd, &terms, kept, node_ev_write_served);
}
