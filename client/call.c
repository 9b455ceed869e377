/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Calls: a request and everything that is done until its outcome is known or its time is over.
 * What is repeated, and where, is decided here and in call_outcome.c, and nowhere else:
 *
 *   a read            anywhere, after any failure that may pass
 *   a write           with its session and sequence, so that it is applied once
 *   a write outside   only after answers that say it was not done
 *   one with a token  at the node that the token names, and nowhere else; somebody else may have
 *                     sent it before, so that it may be done from the start
 *
 * `maybe_done` is set by the first attempt that may have been applied and is never cleared: from
 * then on only an answer to the same sequence says what became of the write.
 */
#include "client/call_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_ATTEMPT_MS 2000u /* without an answer, another node is tried */
#define CALL_ATTEMPT_MAX_MS 10000u
#define CALL_BUDGET_MAX_MS 60000u /* no node waits longer */
#define CALL_DOUBT_MS 250u        /* without an answer, other nodes are asked who leads */
#define CALL_PAUSE_MS 10u
#define CALL_ROUND_MS 100u /* for what a node sends when it has waited as long as it may */

/* ---- life ----------------------------------------------------------------------------------- */

int hf_call_new(struct hf_client *c, const struct hf_call_spec *spec, struct hf_call **out)
{
    if ((c->calls_count >= HF_CALLS_MAX && !spec->apart) || c->closing) {
        return ERR_BUSY;
    }
    struct hf_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return ERR_NO_MEMORY;
    }
    call->client = c;
    call->spec = *spec;
    call->node = HF_NOWHERE;
    call->avoid = HF_NOWHERE;
    call->home = HF_NOWHERE;
    call->turn = (uint32_t)rng_below(&c->rng, HF_NODES_MAX);
    uint64_t timeout_ms = spec->timeout_ms != 0 ? spec->timeout_ms : c->timeout_ms;
    call->deadline_ms = hf_now_ms(c) + timeout_ms;
    buf_init(&call->head, &c->heap, HF_MESSAGE_BYTES_MAX);
    buf_init(&call->tail, &c->heap, HF_MESSAGE_BYTES_MAX);
    call->prev =
        c->calls_last; /* in the order in which they were made, so that none is passed by */
    if (c->calls_last != NULL) {
        c->calls_last->next = call;
    } else {
        c->calls = call;
    }
    c->calls_last = call;
    c->calls_count += !spec->apart; /* those it is made for are counted */
    *out = call;
    return 0;
}

struct hf_session *hf_call_session(struct hf_call *call)
{
    struct hf_client *c = call->client;
    if (call->spec.route == HF_BY_NODE) {
        ASSERT(call->home != HF_NOWHERE);
        return &c->homes[call->home];
    }
    return &c->sessions[hf_group_of(c, call->group) - c->groups];
}

void hf_call_leave_session(struct hf_call *call)
{
    if (call->session == 0) {
        return;
    }
    struct hf_session *s = hf_call_session(call);
    if (s->state == HF_SESSION_OPEN && s->id == call->session) {
        hf_session_end(s, call->seq);
        hf_calls_wake(call->client);
    }
    call->session = 0;
}

static void call_unlink(struct hf_call *call)
{
    struct hf_client *c = call->client;
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        c->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    } else {
        c->calls_last = call->prev;
    }
    c->calls_count -= !call->spec.apart;
}

void hf_call_put_off(struct hf_call *call, uint64_t ms)
{
    call->deadline_ms += ms;
    call->began_ms += ms;
    call->attempt_end_ms += ms;
    call->doubt_ms += ms;
    call->wake_ms += ms;
}

void hf_call_drop(struct hf_call *call)
{
    struct hf_client *c = call->client;
    hf_share_forget(call);
    hf_call_leave_session(call);
    call_unlink(call);
    if (call->writing && c->nodes[call->node].conn != NULL) {
        /* the loop still reads the body, which is the caller's again after this */
        hf_conn_fail(c->nodes[call->node].conn, ERR_CONNECTION, "gave up while sending");
    }
    buf_release(&call->head);
    buf_release(&call->tail);
    free(call);
}

void hf_call_finish(struct hf_call *call, const struct hf_reply *reply)
{
    void *ctx = call->ctx;
    hf_reply_fn *done = call->done;
    char text[HF_TEXT_BYTES];
    struct hf_reply copy = *reply;
    (void)snprintf(text, sizeof(text), "%s", reply->text);
    copy.text = text;
    copy.doubtful = call->maybe_done;
    struct hf_lane *lane = hf_share_landing(call, reply);
    if (call->client->waits) {
        uv_stop(call->client->loop); /* hf_wait looks: a timer that is due runs before the poll */
    }
    hf_call_drop(call);
    if (done != NULL) {
        done(ctx, &copy);
    }
    hf_share_landed(lane);
}

/* ---- what next ------------------------------------------------------------------------------ */

void hf_call_note(struct hf_call *call, int code, const char *text)
{
    call->last = code;
    (void)snprintf(call->text, sizeof(call->text), "%s", text);
}

void hf_call_end_soon(struct hf_call *call, int code, const char *text)
{
    hf_call_note(call, code, text);
    call->state = HF_CALL_ENDED;
    hf_timer_by(call->client, hf_now_ms(call->client));
}

void hf_call_wait(struct hf_call *call, uint64_t pause_ms)
{
    call->state = HF_CALL_WAITING;
    call->parked = false;
    call->wake_ms = hf_now_ms(call->client) + pause_ms;
    hf_timer_by(call->client, call->wake_ms);
}

static void call_park(struct hf_call *call)
{
    call->state = HF_CALL_WAITING;
    call->parked = true;
    call->wake_ms = call->deadline_ms;
    hf_timer_by(call->client, call->wake_ms);
}

uint64_t hf_call_pause(struct hf_call *call)
{
    uint64_t most = (uint64_t)CALL_PAUSE_MS << NUM_MIN(call->attempts, 7u);
    most = NUM_MIN(most, (uint64_t)HF_CALL_PAUSE_MAX_MS);
    return rng_between(&call->client->rng, most / 2, most);
}

bool hf_call_may_repeat(const struct hf_call *call)
{
    bool same = call->session != 0 || call->spec.once.node != 0;
    return !call->spec.no_retry && (call->spec.class == HF_READ || same);
}

/* Whether it may leave a leader that does not answer as soon as there is another one: a machine
 * that is gone resets no connection. */
static bool call_may_doubt(const struct hf_call *call)
{
    const struct hf_call_spec *spec = &call->spec;
    return spec->route != HF_ANY && spec->route != HF_BY_NODE && spec->pin == HF_NOWHERE &&
           spec->prefer == 0 && !spec->stale && !call->writing && hf_call_may_repeat(call);
}

/* Whether it may leave the node it is at for any other, and nothing is lost by it: it has not been
 * sent there, or is a read. What lives in one node's session stays there once it was sent. */
static bool call_may_leave(const struct hf_call *call)
{
    const struct hf_call_spec *spec = &call->spec;
    bool anywhere = spec->route == HF_ANY || spec->route == HF_BY_NODE;
    bool sent = call->state == HF_CALL_SENT;
    bool safe = sent ? spec->class == HF_READ && !spec->large : !call->maybe_done;
    return anywhere && safe && spec->pin == HF_NOWHERE && !spec->no_retry && !call->writing &&
           call->client->nodes_count > 1;
}

/* How long a node that is well may let a call wait before anything comes from it: it may wait for
 * the entries that a session has seen, and then for copies. */
static uint64_t call_silence(const struct hf_call *call)
{
    const struct hf_call_spec *spec = &call->spec;
    uint64_t budget = spec->budget_ms != 0 ? spec->budget_ms : WIRE_CRDT_BUDGET_MS;
    uint64_t waits = (spec->causal != NULL ? 1u : 0u) + (spec->copies > 1 ? 1u : 0u);
    if (call->state != HF_CALL_SENT) {
        return HF_NODE_MS;
    }
    if (spec->class == HF_READ && !spec->large) { /* can be asked elsewhere: all have their turn */
        return NUM_MAX((uint64_t)HF_NODE_MS,
                       waits * NUM_MIN(budget, (uint64_t)CALL_BUDGET_MAX_MS) + CALL_ROUND_MS);
    }
    return (spec->large ? CALL_ATTEMPT_MS : HF_NODE_MS) +
           waits * NUM_MIN(budget, (uint64_t)CALL_BUDGET_MAX_MS);
}

/* How long an attempt lasts after so many others: all nodes are tried before one gets more time. */
static uint64_t call_patience(const struct hf_call *call, unsigned others)
{
    uint64_t patience = (uint64_t)CALL_ATTEMPT_MS << NUM_MIN(others, 3u);
    if (call_may_leave(call)) {
        patience = call_silence(call);
        patience <<= NUM_MIN(others / call->client->nodes_count, 3u);
    }
    return NUM_MIN(patience, (uint64_t)CALL_ATTEMPT_MAX_MS);
}

/* ---- an attempt ----------------------------------------------------------------------------- */

/* returns: whether the call waits, or has ended. */
static bool call_find_group(struct hf_call *call)
{
    struct hf_client *c = call->client;
    if (call->spec.route == HF_ANY) {
        return false;
    }
    if (!c->map_known) { /* BY_NODE: so that all nodes are known */
        hf_map_ask(c);
        if (c->map_asked) {
            call_park(call);
            return true;
        }
    }
    if (call->session == 0 && call->spec.route != HF_BY_NODE) {
        call->group =
            call->spec.route == HF_BY_GROUP ? call->spec.where : hf_group_for(c, call->spec.where);
        if (hf_group_of(c, call->group) == NULL) {
            hf_call_end_soon(call, ERR_PROTOCOL,
                             "the cluster has more groups than this client knows");
            return true;
        }
    }
    return false;
}

static void call_nowhere(struct hf_call *call, uint64_t wait_ms);

/* It waits for the connection to the node, or goes over it. */
static void call_place(struct hf_call *call, uint32_t node)
{
    struct hf_client *c = call->client;
    uint64_t now = hf_now_ms(c);
    call->node = node;
    call->state = HF_CALL_PLACED;
    call->began_ms = now;
    uint64_t patience = call_patience(call, call->attempts);
    call->attempts++;
    call->attempt_end_ms = NUM_MIN(call->deadline_ms, now + patience);
    call->doubt_ms = now + CALL_DOUBT_MS;
    call->doubted = false;
    struct hf_conn *conn = hf_conn_of(c, node);
    if (conn == NULL) {
        if (call->state == HF_CALL_PLACED) {
            hf_call_lost(call, ERR_UNREACHABLE, "no connection");
        }
        return;
    }
    if (conn->open) {
        hf_conn_send(conn, call);
    }
    hf_timer_by(c, call->attempt_end_ms);
    if (call_may_doubt(call)) {
        hf_timer_by(c, call->doubt_ms);
    }
}

static bool call_lacks_session(const struct hf_call *call)
{
    return call->spec.class == HF_WRITE && call->session == 0;
}

/* returns: whether it has the node in whose session it will be, and a connection to it. */
static bool call_find_home(struct hf_call *call)
{
    struct hf_client *c = call->client;
    uint64_t wait_ms = CALL_PAUSE_MS;
    if (call->home == HF_NOWHERE) {
        call->home = hf_node_pick(c, call, &wait_ms);
    }
    if (call->home == HF_NOWHERE) {
        call_nowhere(call, wait_ms);
        return false;
    }
    const struct hf_conn *conn = c->nodes[call->home].conn;
    if (conn == NULL || !conn->open) {
        call_place(call, call->home);
        return false;
    }
    return true;
}

static bool call_find_session(struct hf_call *call)
{
    if (!call_lacks_session(call)) {
        return false;
    }
    if (call->spec.route == HF_BY_NODE && !call_find_home(call)) {
        return true;
    }
    struct hf_session *s = hf_call_session(call);
    if (s->state == HF_SESSION_NONE) {
        int err = hf_session_open(call);
        if (err != 0) {
            hf_call_end_soon(call, err, err_text(err));
            return true;
        }
    }
    if (s->state != HF_SESSION_OPEN || !hf_session_take(s, &call->seq)) {
        call_park(call);
        return true;
    }
    call->session = s->id;
    return false;
}

static void call_nowhere(struct hf_call *call, uint64_t wait_ms)
{
    struct hf_client *c = call->client;
    uint64_t now = hf_now_ms(c);
    if (c->unreachable_since_ms != 0 && now - c->unreachable_since_ms >= c->unreachable_ms) {
        const char *why = call->text[0] != '\0' ? call->text : "no node can be reached";
        char text[HF_TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "%s", why);
        hf_call_end_soon(call, call->maybe_done ? ERR_CONNECTION : ERR_UNREACHABLE, text);
        return;
    }
    hf_call_wait(call, wait_ms);
}

/* A write with a token has one place. returns: whether the call has ended. */
static bool call_find_once(struct hf_call *call)
{
    struct hf_call_spec *spec = &call->spec;
    char text[HF_TEXT_BYTES];
    if (spec->once.node == 0 || spec->pin != HF_NOWHERE) {
        return false;
    }
    spec->pin = hf_node_by_id(call->client, spec->once.node);
    if (spec->pin != HF_NOWHERE) {
        return false;
    }
    (void)snprintf(text, sizeof(text),
                   "node %u, which the token names, is not of this cluster: whether it was done is "
                   "unknown",
                   spec->once.node);
    hf_call_end_soon(call, ERR_FORGOTTEN, text);
    return true;
}

static void call_try(struct hf_call *call)
{
    struct hf_client *c = call->client;
    uint64_t wait_ms = CALL_PAUSE_MS;
    if (call_find_group(call) || call_find_once(call) || call_find_session(call)) {
        return;
    }
    uint32_t node = hf_node_pick(c, call, &wait_ms);
    if (node == HF_NOWHERE) {
        call_nowhere(call, wait_ms);
        return;
    }
    call_place(call, node);
}

void hf_call_connected(struct hf_call *call, struct hf_conn *conn)
{
    if (call_lacks_session(call)) {
        call->attempts--; /* it goes on */
        call->state = HF_CALL_WAITING;
        call_try(call);
    } else {
        hf_conn_send(conn, call);
    }
}

void hf_call_sent(struct hf_call *call)
{
    bool stays = !hf_call_may_repeat(call) || call->spec.pin != HF_NOWHERE || call->spec.patient;
    call->state = HF_CALL_SENT;
    call->writing = call->spec.body.size > 0;
    call->began_ms = hf_now_ms(call->client);
    call->attempt_end_ms = call->began_ms + call_patience(call, call->attempts - 1);
    if (stays || call->attempt_end_ms > call->deadline_ms) {
        call->attempt_end_ms = call->deadline_ms;
    }
    hf_timer_by(call->client, call->attempt_end_ms);
}

int hf_call_start(struct hf_call *call, void *ctx, hf_reply_fn *done)
{
    int err = call->head.err != 0 ? call->head.err : call->tail.err;
    if (err != 0) {
        hf_call_drop(call);
        return err;
    }
    if (call->client->plain && call->spec.class == HF_WRITE) {
        call->spec.class = HF_ONCE;
    }
    call->ctx = ctx;
    call->done = done;
    if (call->share != HF_SHARE_NONE && call->spec.class == HF_WRITE) {
        hf_share_add(call);
    } else {
        call_try(call);
    }
    return 0;
}

void hf_call_go(struct hf_call *call)
{
    call->state = HF_CALL_WAITING;
    call_try(call);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void call_out_of_time(struct hf_call *call)
{
    hf_share_part(call);
    struct hf_reply reply = {.code = ERR_TIMEOUT, .node = call->node};
    bool unknown = call->maybe_done || (call->spec.class != HF_READ && call->state == HF_CALL_SENT);
    char text[HF_TEXT_BYTES];
    bool reason = call->text[0] != '\0' && strncmp(call->text, "no answer", 9) != 0;
    if (call->state == HF_CALL_SENT) {
        call->client->nodes[call->node].silent = true;
    }
    (void)snprintf(text, sizeof(text), "no answer in time%s%.200s", reason ? ", at last: " : "",
                   reason ? call->text : "");
    if (!unknown) {
        bool told = err_outcome_of(call->last) == ERR_OUTCOME_RETRY;
        bool alone = call->client->unreachable_since_ms != 0;
        reply.code = told ? call->last : alone ? ERR_UNREACHABLE : ERR_UNAVAILABLE;
    }
    reply.text = text;
    hf_call_finish(call, &reply);
}

static void call_pass_by(struct hf_call *call)
{
    char name[HF_NAME_BYTES];
    char text[HF_TEXT_BYTES];
    hf_node_name(call->client, call->node, name);
    (void)snprintf(text, sizeof(text), "no answer from '%.200s'", name);
    call->client->nodes[call->node].silent = true;
    call->maybe_done = call->maybe_done || call->spec.class != HF_READ;
    hf_call_note_silence(call, ERR_CONNECTION, text);
    hf_call_go_elsewhere(call, 0);
    if (call->spec.route == HF_ANY || call->spec.route == HF_BY_NODE) {
        hf_nodes_reach(call->client);
    }
}

/* The connection is made in the background, or fails there. */
static void call_pass_unsent(struct hf_call *call)
{
    char name[HF_NAME_BYTES];
    char text[HF_TEXT_BYTES];
    hf_node_name(call->client, call->node, name);
    (void)snprintf(text, sizeof(text), "cannot reach '%.200s' yet", name);
    call->client->nodes[call->node].silent = true;
    hf_call_note_silence(call, ERR_UNREACHABLE, text);
    hf_call_go_elsewhere(call, 0);
    hf_nodes_reach(call->client);
}

void hf_calls_leave_unmade(struct hf_client *c)
{
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        if (call->state == HF_CALL_PLACED && call->attempts > 1 && call_may_leave(call)) {
            hf_call_leave_home(call);
            hf_call_wait(call, 0);
        }
    }
}

static void call_attempt_over(struct hf_call *call)
{
    struct hf_conn *conn = call->client->nodes[call->node].conn;
    if (call->state == HF_CALL_PLACED && call_may_leave(call)) {
        call_pass_unsent(call);
        return;
    }
    if (call->state == HF_CALL_PLACED && conn != NULL && !conn->open) {
        hf_conn_fail(conn, ERR_UNREACHABLE, "no answer to a connection");
        return;
    }
    hf_call_forget_leader(call);
    call_pass_by(call);
}

static void call_doubt(struct hf_call *call, uint64_t now)
{
    call->doubt_ms = now + CALL_DOUBT_MS;
    call->doubted = true;
    hf_map_ask_but(call->client, call->node);
}

void hf_calls_leave_old(struct hf_client *c)
{
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        bool placed = call->state == HF_CALL_PLACED || call->state == HF_CALL_SENT;
        if (!placed || !call->doubted || !call_may_doubt(call)) {
            continue;
        }
        const struct hf_group *g = hf_group_of(c, call->group);
        uint32_t leader = g != NULL ? hf_node_by_id(c, g->leader) : HF_NOWHERE;
        if (leader != HF_NOWHERE && leader != call->node) {
            call_pass_by(call);
        }
    }
}

/* A node from which nothing has come since is not chosen while there are others. */
static void call_hark(const struct hf_call *call, uint64_t now)
{
    struct hf_node *n = &call->client->nodes[call->node];
    if (now >= call->began_ms + call_silence(call) && n->heard_ms <= call->began_ms) {
        n->silent = true;
    }
}

/* returns: whether done ran, so that the list may have changed. */
static bool call_run(struct hf_call *call, uint64_t now)
{
    if (call->state == HF_CALL_ENDED) {
        struct hf_reply reply = {.code = call->last, .text = call->text, .node = call->node};
        hf_call_finish(call, &reply);
        return true;
    }
    if (now >= call->deadline_ms) {
        call_out_of_time(call);
        return true;
    }
    if (call->state == HF_CALL_SENT) {
        call_hark(call, now);
    }
    if (call->state == HF_CALL_HELD || call->state == HF_CALL_RIDING) {
        return false;
    }
    if (call->state == HF_CALL_WAITING && now >= call->wake_ms) {
        call->parked = false;
        call_try(call);
    } else if (call->state != HF_CALL_WAITING && now >= call->attempt_end_ms) {
        call_attempt_over(call);
    } else if (call->state != HF_CALL_WAITING && call_may_doubt(call) && now >= call->doubt_ms) {
        call_doubt(call, now);
    }
    return false;
}

static uint64_t call_due(const struct hf_call *call, uint64_t now)
{
    if (call->state == HF_CALL_ENDED) {
        return now;
    }
    if (call->state == HF_CALL_HELD || call->state == HF_CALL_RIDING) {
        return call->deadline_ms;
    }
    uint64_t at = call->state == HF_CALL_WAITING ? call->wake_ms : call->attempt_end_ms;
    if (call->state != HF_CALL_WAITING && call_may_doubt(call)) {
        at = NUM_MIN(at, call->doubt_ms);
    }
    uint64_t silence_ms = call->began_ms + call_silence(call);
    if (call->state == HF_CALL_SENT && now < silence_ms) {
        at = NUM_MIN(at, silence_ms);
    }
    return NUM_MIN(at, call->deadline_ms);
}

void hf_calls_run(struct hf_client *c)
{
    uint64_t now = hf_now_ms(c);
    hf_conns_run(c);
    struct hf_call *call = c->calls;
    while (call != NULL && !c->closing) {
        bool due = call_due(call, now) <= now;
        call = due && call_run(call, now) ? c->calls : call->next;
    }
    hf_share_run(c); /* what is out of time does not go any more */
    for (call = c->calls; call != NULL && !c->closing; call = call->next) {
        hf_timer_by(c, call_due(call, now));
    }
}

void hf_calls_leave_home(struct hf_client *c, uint32_t node, int code, const char *text)
{
    bool left = false;
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        if (call->state == HF_CALL_WAITING && call->parked && call->home == node &&
            call->session == 0) {
            left = true;
            call->node = node;
            call->parked = false;
            call->attempts++;
            hf_call_note_silence(call, code, text);
            hf_call_go_elsewhere(call, hf_call_pause(call));
        }
    }
    if (left && !c->closing) {
        hf_nodes_reach(c);
    }
}

void hf_calls_tell(struct hf_client *c, const char *why)
{
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        if (call->parked && call->text[0] == '\0') {
            (void)snprintf(call->text, sizeof(call->text), "%s", why);
        }
    }
}

void hf_calls_wake(struct hf_client *c)
{
    uint64_t now = hf_now_ms(c);
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        if (call->state == HF_CALL_WAITING && call->parked) {
            call->parked = false;
            call->wake_ms = now;
            hf_timer_by(c, now);
        }
    }
}

void hf_calls_end(struct hf_client *c)
{
    while (c->calls != NULL) {
        struct hf_call *call = c->calls;
        hf_share_part(call);
        bool sent = call->state == HF_CALL_SENT && call->spec.class != HF_READ;
        struct hf_reply reply = {.code =
                                     call->maybe_done || sent ? ERR_CONNECTION : ERR_UNAVAILABLE,
                                 .text = "the client was closed",
                                 .node = HF_NOWHERE};
        hf_call_finish(call, &reply);
    }
}
