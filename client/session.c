/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: one a group, opened when the first write needs it. Sequences count from 1; the window
 * is a bitmap of those that have ended above the highest one below which all have.
 */
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(HF_WINDOW == 64, "the window is the bits of ended");

bool hf_session_take(struct hf_session *s, uint64_t *seq)
{
    if (s->next - s->acked > HF_WINDOW) {
        return false;
    }
    *seq = s->next++;
    return true;
}

void hf_session_end(struct hf_session *s, uint64_t seq)
{
    if (seq <= s->acked || seq - s->acked > HF_WINDOW) {
        return;
    }
    s->ended |= (uint64_t)1 << (seq - s->acked - 1);
    while ((s->ended & 1) != 0) {
        s->ended >>= 1;
        s->acked++;
    }
}

struct session_open {
    struct hf_client *client;
    uint32_t group;
};

/* Calls that wait for the session share its fate; none of them has been sent. */
static void session_refuse(struct hf_client *c, uint32_t group, const struct hf_reply *reply)
{
    int code = err_outcome_of(reply->code) == ERR_OUTCOME_UNKNOWN ? ERR_UNAVAILABLE : reply->code;
    for (struct hf_call *call = c->calls; call != NULL; call = call->next) {
        if (call->state == HF_CALL_WAITING && call->parked && call->group == group &&
            call->spec.class == HF_WRITE && call->session == 0) {
            call->state = HF_CALL_ENDED;
            call->last = call->maybe_done ? ERR_TIMEOUT : code;
            (void)snprintf(call->text, sizeof(call->text), "%s", reply->text);
        }
    }
    hf_timer_by(c, hf_now_ms(c));
}

static void session_opened(void *ctx, const struct hf_reply *reply)
{
    struct session_open *open = ctx;
    struct hf_client *c = open->client;
    uint32_t group = open->group;
    free(open);
    struct hf_session *s = &c->sessions[hf_group_of(c, group) - c->groups];
    uint64_t id = reply->code == 0 ? hf_field(reply->result, WIRE_FIELD_SESSION) : 0;
    if (id == 0) {
        struct hf_reply bad = *reply;
        if (reply->code == 0) {
            bad.code = ERR_PROTOCOL;
            bad.text = err_text(ERR_PROTOCOL);
        }
        s->state = HF_SESSION_NONE;
        session_refuse(c, group, &bad);
        return;
    }
    *s = (struct hf_session){.state = HF_SESSION_OPEN, .id = id, .next = 1};
    hf_calls_wake(c);
}

/* The node that leads the session's group, if it is connected; else any that is: it passes on. */
static struct hf_conn *session_conn(struct hf_client *c, const struct hf_group *g)
{
    struct hf_conn *any = NULL;
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        struct hf_conn *conn = c->nodes[i].conn;
        if (conn == NULL || !conn->open) {
            continue;
        }
        if (c->nodes[i].id == g->leader) {
            return conn;
        }
        any = conn;
    }
    return any;
}

/* Nobody waits for the answers: a session that is not closed ends with its time. */
void hf_sessions_close(struct hf_client *c)
{
    struct buf message;
    buf_init(&message, &c->heap, 256);
    for (uint32_t i = 0; i < c->groups_count; i++) {
        struct hf_session *s = &c->sessions[i];
        struct hf_conn *conn = s->state == HF_SESSION_OPEN ? session_conn(c, &c->groups[i]) : NULL;
        if (conn != NULL) {
            buf_clear(&message);
            (void)wire_pack_request(&message, c->next_msgid++, WIRE_METHOD_SESSION_CLOSE, 3);
            (void)wire_pack_u64(&message, c->groups[i].id);
            (void)wire_pack_u64(&message, s->id);
            (void)wire_pack_options(
                &message, &(struct wire_options){.has_deadline = true, .deadline_ms = 5000});
            if (message.err == 0) {
                hf_conn_note(conn, buf_view(&message));
            }
        }
        s->state = HF_SESSION_NONE;
    }
    buf_release(&message);
}

int hf_session_open(struct hf_call *waiting)
{
    struct hf_client *c = waiting->client;
    uint64_t now = hf_now_ms(c);
    struct hf_call_spec spec = {
        .method = WIRE_METHOD_SESSION_OPEN,
        .class = HF_READ,
        .params = 1,
        .route = HF_BY_GROUP,
        .where = waiting->group,
        .pin = HF_NOWHERE,
        .timeout_ms = waiting->deadline_ms > now ? waiting->deadline_ms - now : 1,
    };
    struct hf_call *call = NULL;
    struct session_open *open = malloc(sizeof(*open));
    if (open == NULL) {
        return ERR_NO_MEMORY;
    }
    *open = (struct session_open){.client = c, .group = waiting->group};
    int err = hf_call_new(c, &spec, &call);
    if (err == 0) {
        (void)wire_pack_u64(&call->head, waiting->group);
        c->sessions[hf_group_of(c, waiting->group) - c->groups].state = HF_SESSION_OPENING;
        err = hf_call_start(call, open, session_opened);
    }
    if (err != 0) {
        c->sessions[hf_group_of(c, waiting->group) - c->groups].state = HF_SESSION_NONE;
        free(open);
    }
    return err;
}
