/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What came of an attempt: an answer, a refusal, a lost connection; and where the call goes then.
 */
#include "client/call_internal.h"

#include <stdio.h>

#define CALL_HOPS_MAX 3u
#define CALL_MAKE_MS 1500u   /* of a connection, whose first packet may have been lost */
#define CALL_PIN_FAILURES 4u /* connections in a row; then what lives on the node is given up */

void hf_call_forget_leader(struct hf_call *call)
{
    struct hf_client *c = call->client;
    if (call->spec.route == HF_ANY || call->spec.route == HF_BY_NODE || call->node == HF_NOWHERE) {
        return;
    }
    struct hf_group *g = hf_group_of(c, call->group);
    if (g != NULL && g->leader != 0 && g->leader == c->nodes[call->node].id) {
        g->leader = 0;
    }
    hf_map_ask(c);
}

void hf_call_leave_home(struct hf_call *call)
{
    if (call->spec.route == HF_BY_NODE && !call->maybe_done && call->home != HF_NOWHERE) {
        hf_call_leave_session(call);
        call->home = HF_NOWHERE;
    }
}

/* returns: whether nothing is to be hoped for from this node. Who chooses takes one for silent that
 * may be but slow: that was asked by an impatient call, or is still being connected to. */
static bool call_node_is_out(const struct hf_call *call, uint32_t node)
{
    const struct hf_node *n = &call->client->nodes[node];
    const struct hf_conn *conn = n->conn;
    uint64_t now = hf_now_ms(call->client);
    bool making = conn != NULL && !conn->open && now < conn->began_ms + CALL_MAKE_MS;
    bool heard = now < n->heard_ms + HF_NODE_MS;
    return call->refused[node] || n->down || n->failures > 0 || (n->silent && !making && !heard);
}

/* returns: whether a node has refused it for what another one may have, and there is no other. */
static bool call_refused_by_all(const struct hf_call *call)
{
    bool all = call->refusal != 0;
    for (uint32_t i = 0; i < call->client->nodes_count; i++) {
        all = all && call_node_is_out(call, i);
    }
    return all;
}

/* returns: whether this refusal is the call's answer. */
static bool call_refused_for_good(struct hf_call *call, int code)
{
    bool elsewhere = code == ERR_BEHIND || code == ERR_NO_RIGHTS;
    if (!elsewhere || (call->spec.route != HF_BY_NODE && call->spec.causal == NULL)) {
        return false;
    }
    call->refused[call->node] = true;
    call->refusal = code;
    return call_refused_by_all(call) || call->maybe_done;
}

void hf_call_note_silence(struct hf_call *call, int code, const char *text)
{
    if (call->refusal == 0) {
        hf_call_note(call, code, text);
    }
}

void hf_call_go_elsewhere(struct hf_call *call, uint64_t pause_ms)
{
    call->avoid = call->node;
    hf_call_leave_home(call);
    if (!call->maybe_done && call_refused_by_all(call)) {
        if (call->last != call->refusal) {
            hf_call_note(call, call->refusal, err_text(call->refusal));
        }
        call->state = HF_CALL_ENDED;
        hf_timer_by(call->client, hf_now_ms(call->client));
        return;
    }
    hf_call_wait(call, pause_ms);
}

/* returns: whether a request that several share is refused for what may be about one of them, and
 * no attempt before this one can have been done. */
static bool call_blames_one(const struct hf_call *call, int code)
{
    return call->spec.apart && !call->maybe_done &&
           (code == ERR_NOT_LEADER || code == ERR_BEHIND || code == ERR_NO_RIGHTS);
}

void hf_call_lost(struct hf_call *call, int code, const char *text)
{
    struct hf_client *c = call->client;
    char name[HF_NAME_BYTES];
    char sentence[HF_TEXT_BYTES];
    bool sent = call->state == HF_CALL_SENT;
    if (code == ERR_TOO_LARGE || code == ERR_NO_MEMORY) {
        /* an attempt before this one may have been applied */
        hf_call_end_soon(call, call->maybe_done ? ERR_CONNECTION : code, text);
        return;
    }
    hf_node_name(c, call->node, name);
    (void)snprintf(sentence, sizeof(sentence), "%s '%.120s': %.80s",
                   sent ? "lost the connection to" : "cannot reach", name, text);
    call->maybe_done = call->maybe_done || (sent && call->spec.class != HF_READ);
    hf_call_forget_leader(call);
    if (call->spec.no_retry || (sent && !hf_call_may_repeat(call))) {
        hf_call_end_soon(call, sent ? ERR_CONNECTION : ERR_UNREACHABLE, sentence);
        return;
    }
    if (call->spec.pin != HF_NOWHERE && c->nodes[call->node].failures >= CALL_PIN_FAILURES) {
        hf_call_end_soon(call, call->maybe_done ? ERR_CONNECTION : ERR_UNREACHABLE, sentence);
        return;
    }
    hf_call_note_silence(call, sent ? ERR_CONNECTION : ERR_UNREACHABLE, sentence);
    hf_call_go_elsewhere(call, sent ? hf_call_pause(call) : 0);
}

/* A node that does not own the key names one that does. If the owners cannot be reached, the write
 * goes without a session to a node that hands it over. */
static void call_go_to_owner(struct hf_call *call, const struct wire_error *e)
{
    struct hf_client *c = call->client;
    uint64_t owner = hf_field(e->hint, WIRE_FIELD_LEADER);
    uint32_t node = owner != 0 ? hf_node_by_id(c, (uint32_t)owner) : HF_NOWHERE;
    if (e->code != ERR_NOT_LEADER) {
        return;
    }
    call->refused[call->node] = true;
    if (node != HF_NOWHERE && !call->refused[node] && !c->nodes[node].silent &&
        c->nodes[node].failures == 0) {
        call->home = node;
    }
    if (++call->passed > CALL_HOPS_MAX && call->spec.class == HF_WRITE) {
        call->spec.class = HF_ONCE;
        call->home = HF_NOWHERE;
    }
}

/* The answer says that it was not done, and that this may pass. */
static void call_refused(struct hf_call *call, const struct wire_error *e)
{
    struct hf_client *c = call->client;
    uint64_t pause = hf_call_pause(call);
    bool elsewhere = false;
    call->avoid = call->node;
    switch (e->code) {
    case ERR_NOT_LEADER:
        if (call->spec.route != HF_BY_NODE) {
            elsewhere = hf_leader_hint(c, call->group, e->hint, call->node);
        }
        break;
    case ERR_MOVED:
        if (!call->maybe_done) {
            hf_call_leave_session(call);
        }
        hf_map_ask(c);
        break;
    case ERR_BUSY: {
        uint64_t hint = hf_field(e->hint, WIRE_FIELD_RETRY_MS);
        pause = NUM_MAX(pause, NUM_MIN(hint, (uint64_t)HF_CALL_PAUSE_MAX_MS));
        call->avoid = HF_NOWHERE;
        break;
    }
    default: hf_call_forget_leader(call); break;
    }
    if (call->spec.route == HF_BY_NODE && e->code != ERR_BUSY && !call->maybe_done) {
        hf_call_leave_home(call);
        call_go_to_owner(call, e);
    }
    if (elsewhere && call->hops < CALL_HOPS_MAX) {
        call->hops++;
        call->avoid = HF_NOWHERE;
        hf_call_wait(call, 0);
        return;
    }
    call->hops = 0;
    hf_call_wait(call, pause);
}

/* returns: whether the call goes on. */
static bool call_expired(struct hf_call *call)
{
    struct hf_session *s = hf_call_session(call);
    if (s->state == HF_SESSION_OPEN && s->id == call->session) {
        s->state = HF_SESSION_NONE;
    }
    call->session = 0;
    if (call->maybe_done) {
        return false;
    }
    hf_call_wait(call, 0);
    return true;
}

/* returns: whether the call goes on after this error. */
static bool call_goes_on(struct hf_call *call, const struct wire_error *e)
{
    enum err_outcome outcome = err_outcome_of(e->code);
    if (call->spec.no_retry) {
        return false;
    }
    if (outcome == ERR_OUTCOME_RETRY) {
        if (call_refused_for_good(call, e->code) || call_blames_one(call, e->code)) {
            return false;
        }
        call_refused(call, e);
        return true;
    }
    if (outcome == ERR_OUTCOME_UNKNOWN && e->code != ERR_FORGOTTEN && hf_call_may_repeat(call)) {
        call->maybe_done = call->maybe_done || call->spec.class != HF_READ;
        call->avoid = call->node;
        hf_call_wait(call, hf_call_pause(call));
        return true;
    }
    return e->code == ERR_SESSION_EXPIRED && call->session != 0 && call_expired(call);
}

void hf_call_answered(struct hf_call *call, const struct wire_rpc *m, struct bytes message)
{
    struct hf_reply reply = {
        .text = "", .result = m->result, .message = message, .node = call->node, .answered = true};
    if (wire_node_is_nil(m->error)) {
        hf_call_finish(call, &reply);
        return;
    }
    struct wire_error e;
    char text[HF_TEXT_BYTES];
    wire_error_of(m->error, &e);
    (void)snprintf(text, sizeof(text), "%.*s", (int)NUM_MIN(e.message.size, sizeof(text) - 1),
                   e.message.size > 0 ? (const char *)e.message.data : "");
    hf_call_note(call, e.code, text[0] != '\0' ? text : err_text(e.code));
    if (call_goes_on(call, &e)) {
        return;
    }
    reply.code = e.code;
    reply.hint = e.hint;
    reply.text = call->text;
    if (e.code == ERR_SESSION_EXPIRED && call->maybe_done) {
        reply.code = ERR_TIMEOUT;
        reply.text = "the session ended before the outcome was known";
    }
    bool told = call->spec.once.node != 0; /* the node has looked whether it was done */
    if (call->maybe_done && !told && (e.code == ERR_BEHIND || e.code == ERR_NO_RIGHTS)) {
        reply.code = ERR_CONNECTION; /* what was lost may be in the node's log and not done yet */
    }
    hf_call_finish(call, &reply);
}
