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
    uint32_t home; /* or HF_NOWHERE */
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

static struct hf_session *session_at(struct hf_client *c, uint32_t group, uint32_t home)
{
    return home != HF_NOWHERE ? &c->homes[home] : &c->sessions[hf_group_of(c, group) - c->groups];
}

static void session_opened(void *ctx, const struct hf_reply *reply)
{
    struct session_open *open = ctx;
    struct hf_client *c = open->client;
    uint32_t group = open->group;
    uint32_t home = open->home;
    free(open);
    struct hf_session *s = session_at(c, group, home);
    uint64_t id = reply->code == 0 ? hf_field(reply->result, WIRE_FIELD_SESSION) : 0;
    if (id == 0) {
        struct hf_reply bad = *reply;
        if (reply->code == 0) {
            bad.code = ERR_PROTOCOL;
            bad.text = err_text(ERR_PROTOCOL);
        }
        s->state = HF_SESSION_NONE;
        if (home != HF_NOWHERE) {
            hf_calls_leave_home(c, home, bad.code, bad.text);
        } else {
            session_refuse(c, group, &bad);
        }
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

/* Nobody waits for the answer: a session that is not closed ends with its time. */
static void session_close(struct hf_client *c, struct hf_session *s, struct hf_conn *conn,
                          uint32_t group)
{
    struct buf message;
    if (s->state == HF_SESSION_OPEN && conn != NULL && conn->open) {
        buf_init(&message, &c->heap, 256);
        (void)wire_pack_request(&message, c->next_msgid++, WIRE_METHOD_SESSION_CLOSE, 3);
        (void)wire_pack_u64(&message, group);
        (void)wire_pack_u64(&message, s->id);
        (void)wire_pack_options(&message,
                                &(struct wire_options){.has_deadline = true, .deadline_ms = 5000});
        if (message.err == 0) {
            hf_conn_note(conn, buf_view(&message));
        }
        buf_release(&message);
    }
    s->state = HF_SESSION_NONE;
}

void hf_sessions_close(struct hf_client *c)
{
    for (uint32_t i = 0; i < c->groups_count; i++) {
        session_close(c, &c->sessions[i], session_conn(c, &c->groups[i]), c->groups[i].id);
    }
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        session_close(c, &c->homes[i], c->nodes[i].conn, WIRE_GROUP_OWN);
    }
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
    struct hf_session *s = hf_call_session(waiting);
    struct session_open *open = malloc(sizeof(*open));
    if (open == NULL) {
        return ERR_NO_MEMORY;
    }
    *open = (struct session_open){.client = c, .group = waiting->group, .home = HF_NOWHERE};
    if (waiting->spec.route == HF_BY_NODE) {
        open->group = WIRE_GROUP_OWN;
        open->home = waiting->home;
        spec.route = HF_ANY;
        spec.pin = waiting->home;
        spec.no_retry = true; /* another node may do */
        /* once all have had their turn, each gets more time */
        uint64_t home_ms = (uint64_t)HF_NODE_MS << NUM_MIN(waiting->attempts / c->nodes_count, 3u);
        spec.timeout_ms = NUM_MIN(spec.timeout_ms, home_ms);
    }
    int err = hf_call_new(c, &spec, &call);
    if (err == 0) {
        (void)wire_pack_u64(&call->head, open->group);
        s->state = HF_SESSION_OPENING;
        err = hf_call_start(call, open, session_opened);
    }
    if (err != 0) {
        s->state = HF_SESSION_NONE;
        free(open);
    }
    return err;
}
