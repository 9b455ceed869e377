/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Key-value clients: each has one operation open, sends it to some node, and waits. Half of them
 * work in a session and repeat a write under its number until it is answered; the others never
 * repeat what may have been done. Everything goes into a history that must be linearizable; a
 * counter that all of them increment must end between what was acknowledged and what was tried.
 */
#include "base/num.h"
#include "tests/sim/sim.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIM_KEYS 8u
#define SIM_OP_US (6 * (uint64_t)SIM_S)
#define SIM_TRY_US (1 * (uint64_t)SIM_S)
#define SIM_COUNTER_KEY "counter"

enum sim_client_state { SIM_CLIENT_IDLE = 0, SIM_CLIENT_OPENING, SIM_CLIENT_BUSY, SIM_CLIENT_DONE };

struct sim_client {
    uint32_t id;
    enum sim_client_state state;
    bool sessions;
    bool incr;   /* the open operation is an increment */
    bool unsure; /* some try of it may have been done */
    uint32_t process;
    uint64_t epoch; /* of its connection; changes when it breaks */
    uint32_t node;
    uint64_t session;
    uint64_t sequence;
    uint32_t msgid;
    uint32_t op; /* in the history */
    uint64_t until_us;
    uint64_t token; /* timers of earlier states are stale */
    struct history_op what;
    uint32_t known[SIM_KEYS];
    uint32_t final_key; /* at the end: reads of every key */
};

struct sim_clients {
    struct sim_client *list;
    unsigned count;
    uint32_t processes;
    uint32_t values;
    struct history history;
    struct wire_decoder *decoder;
    struct buf out;
    uint64_t incr_acked;
    uint64_t incr_unknown;
    int64_t counter;
    bool counter_read;
};

static void sim_client_timer(struct sim *s, struct sim_client *c, uint64_t in_us)
{
    sim_push(
        s, &(struct sim_event){
               .at_us = s->now_us + in_us, .kind = SIM_EV_CLIENT, .node = c->id, .a = ++c->token});
}

static uint64_t sim_client_pause(struct sim *s)
{
    uint64_t mean = (uint64_t)SIM_S * s->clients->count / NUM_MAX(s->options.ops_per_second, 1u);
    return rng_between(&s->rng, mean / 2, mean + mean / 2);
}

void sim_clients_init(struct sim *s)
{
    struct sim_clients *cs = calloc(1, sizeof(*cs));
    struct wire_scan_limits limits = {.depth_max = 16, .items_max = 65536, .bytes_max = 4u << 20};
    ASSERT(cs != NULL);
    s->clients = cs;
    cs->count = s->options.clients;
    cs->list = calloc(cs->count + 1, sizeof(*cs->list));
    ASSERT(cs->list != NULL);
    ASSERT(wire_decoder_new(&s->heap_alloc, &limits, &cs->decoder) == 0);
    buf_init(&cs->out, &s->heap_alloc, 4u << 20);
    history_init(&cs->history);
    for (unsigned i = 0; i < cs->count; i++) {
        struct sim_client *c = &cs->list[i];
        c->id = i;
        c->sessions = i % 2 == 0;
        c->process = cs->processes++;
        c->epoch = 1;
        sim_client_timer(s, c, rng_between(&s->rng, 0, 2 * (uint64_t)SIM_S));
    }
}

void sim_clients_release(struct sim *s)
{
    struct sim_clients *cs = s->clients;
    history_release(&cs->history);
    wire_decoder_free(cs->decoder);
    buf_release(&cs->out);
    free(cs->list);
    free(cs);
    s->clients = NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void sim_pack_value(struct buf *out, uint32_t value)
{
    char text[16];
    if (value == HISTORY_ABSENT) {
        (void)wire_pack_nil(out);
        return;
    }
    (void)snprintf(text, sizeof(text), "v%" PRIu32, value);
    (void)wire_pack_bin(out, bytes_of_text(text));
}

static void sim_pack_key(struct buf *out, const struct sim_client *c)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "k%" PRIu32, c->what.key);
    (void)wire_pack_text(out, WIRE_SPACE_DEFAULT);
    (void)wire_pack_text(out, c->incr ? SIM_COUNTER_KEY : text);
}

/* The group that holds the default space. */
static uint32_t sim_group(const struct sim *s)
{
    return wire_identity_slot_group(&s->identity, wire_slot_of(bytes_of_text(WIRE_SPACE_DEFAULT)));
}

static void sim_client_pack(struct sim *s, struct sim_client *c)
{
    struct buf *out = &s->clients->out;
    struct wire_options o = {.has_deadline = true, .deadline_ms = SIM_TRY_US / SIM_MS};
    buf_clear(out);
    c->msgid++;
    if (c->state == SIM_CLIENT_OPENING) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_SESSION_OPEN, 2);
        (void)wire_pack_u64(out, sim_group(s));
        (void)wire_pack_options(out, &o);
        return;
    }
    if (c->sessions && (c->incr || c->what.f != HISTORY_GET)) {
        o.has_session = true;
        o.session_id = c->session;
        o.session_seq = c->sequence;
        o.session_ack = c->sequence - 1;
    }
    if (c->incr) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_KV_INCR, 4);
        sim_pack_key(out, c);
        (void)wire_pack_i64(out, 1);
    } else if (c->what.f == HISTORY_GET) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_KV_GET, 3);
        sim_pack_key(out, c);
    } else if (c->what.f == HISTORY_PUT) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_KV_PUT, 4);
        sim_pack_key(out, c);
        sim_pack_value(out, c->what.value);
    } else if (c->what.f == HISTORY_DELETE) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_KV_DELETE, 3);
        sim_pack_key(out, c);
    } else {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_KV_CAS, 5);
        sim_pack_key(out, c);
        sim_pack_value(out, c->what.old);
        sim_pack_value(out, c->what.value);
    }
    (void)wire_pack_options(out, &o);
}

static void sim_client_send(struct sim *s, struct sim_client *c)
{
    struct buf *out = &s->clients->out;
    if (c->node == 0 || rng_chance(&s->rng, 1, 20)) {
        c->node = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
    }
    sim_client_pack(s, c);
    ASSERT(out->err == 0);
    uint8_t *data = sim_bytes_get(s, out->size);
    memcpy(data, out->data, out->size);
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 500),
                                    .kind = SIM_EV_REQUEST,
                                    .node = c->node,
                                    .a = c->id | (c->epoch << 16),
                                    .data = data,
                                    .bytes = out->size});
    sim_client_timer(s, c, SIM_TRY_US + 200 * SIM_MS);
}

/* Sends what is packed for the client that hears no answers. */
static void sim_clients_send_bytes(struct sim *s, uint32_t node)
{
    struct buf *out = &s->clients->out;
    ASSERT(out->err == 0);
    uint8_t *data = sim_bytes_get(s, out->size);
    memcpy(data, out->data, out->size);
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 1000),
                                    .kind = SIM_EV_REQUEST,
                                    .node = node,
                                    .a = SIM_BURST_CLIENT | (1u << 16),
                                    .data = data,
                                    .bytes = out->size});
}

void sim_clients_burst(struct sim *s, uint32_t node, unsigned count)
{
    struct buf *out = &s->clients->out;
    struct wire_options o = {.has_deadline = true, .deadline_ms = SIM_TRY_US / SIM_MS};
    char text[16];
    for (unsigned i = 0; i < count; i++) {
        buf_clear(out);
        (void)snprintf(text, sizeof(text), "burst%u", i % 10);
        (void)wire_pack_request(out, i + 1, WIRE_METHOD_KV_PUT, 4);
        (void)wire_pack_text(out, WIRE_SPACE_DEFAULT);
        (void)wire_pack_text(out, text);
        (void)wire_pack_bin(out, bytes_of_text(text));
        (void)wire_pack_options(out, &o);
        sim_clients_send_bytes(s, node);
    }
}

void sim_clients_turn(struct sim *s, uint32_t node)
{
    for (unsigned i = 0; i < s->clients->count; i++) {
        struct sim_client *c = &s->clients->list[i];
        if (c->state == SIM_CLIENT_IDLE && rng_chance(&s->rng, 1, 2)) {
            c->node = node;
        }
    }
}

/* ---- an operation ---------------------------------------------------------------------------- */

static void sim_client_draw(struct sim *s, struct sim_client *c)
{
    struct sim_clients *cs = s->clients;
    uint64_t dice = rng_below(&s->rng, 100);
    c->incr = dice < 7;
    c->unsure = false;
    c->what = (struct history_op){.process = c->process,
                                  .key = (uint32_t)rng_below(&s->rng, SIM_KEYS),
                                  .invoke_ns = s->now_us * 1000u};
    if (dice < 50) {
        c->what.f = HISTORY_GET;
    } else if (dice < 80) {
        c->what.f = HISTORY_PUT;
        c->what.value = ++cs->values;
    } else if (dice < 96) {
        c->what.f = HISTORY_CAS;
        c->what.old = c->known[c->what.key];
        c->what.value = ++cs->values;
    } else {
        c->what.f = HISTORY_DELETE;
    }
    if (s->quiet) {
        c->incr = c->final_key == SIM_KEYS;
        c->what.f = HISTORY_GET;
        c->what.key = c->final_key % SIM_KEYS;
    }
    c->until_us = s->now_us + SIM_OP_US;
    c->sequence++;
}

static bool sim_clients_others_done(const struct sim *s)
{
    bool done = true;
    for (unsigned i = 1; i < s->clients->count; i++) {
        done &= s->clients->list[i].state == SIM_CLIENT_DONE;
    }
    return done;
}

/* Closes the session at some node, and waits for no answer. */
static void sim_client_close(struct sim *s, struct sim_client *c)
{
    struct buf *out = &s->clients->out;
    struct wire_options o = {.has_deadline = true, .deadline_ms = SIM_TRY_US / SIM_MS};
    buf_clear(out);
    (void)wire_pack_request(out, ++c->msgid, WIRE_METHOD_SESSION_CLOSE, 3);
    (void)wire_pack_u64(out, sim_group(s));
    (void)wire_pack_u64(out, c->session);
    (void)wire_pack_options(out, &o);
    sim_clients_send_bytes(s, (uint32_t)rng_between(&s->rng, 1, s->options.nodes));
    c->session = 0;
}

static void sim_client_begin(struct sim *s, struct sim_client *c)
{
    if (c->sessions && c->session != 0 && rng_chance(&s->rng, 1, 50)) {
        sim_client_close(s, c);
    }
    if (c->sessions && c->session == 0) {
        c->state = SIM_CLIENT_OPENING;
        sim_client_send(s, c);
        return;
    }
    if (s->quiet && (c->id != 0 || c->final_key > SIM_KEYS)) {
        c->state = SIM_CLIENT_DONE;
        return;
    }
    if (s->quiet && c->final_key == SIM_KEYS && !sim_clients_others_done(s)) {
        sim_client_timer(s, c, 10 * SIM_MS); /* the counter is read when nobody counts any more */
        return;
    }
    sim_client_draw(s, c);
    c->state = SIM_CLIENT_BUSY;
    if (!c->incr) {
        c->op = history_invoke(&s->clients->history, &c->what);
    }
    sim_client_send(s, c);
}

static void sim_client_end(struct sim *s, struct sim_client *c, enum history_end end,
                           uint32_t value)
{
    struct sim_clients *cs = s->clients;
    s->counters.ops_ok += end == HISTORY_OK;
    s->counters.ops_fail += end == HISTORY_FAIL;
    s->counters.ops_info += end == HISTORY_INFO;
    if (c->incr) {
        cs->incr_acked += end == HISTORY_OK;
        cs->incr_unknown += end == HISTORY_INFO;
    } else {
        history_end(&cs->history, c->op, end, value, s->now_us * 1000u);
        if (end == HISTORY_OK) {
            c->known[c->what.key] = c->what.f == HISTORY_GET      ? value
                                    : c->what.f == HISTORY_DELETE ? HISTORY_ABSENT
                                                                  : c->what.value;
        }
    }
    if (end == HISTORY_INFO) {
        c->process = cs->processes++;
    }
    if (s->quiet && end == HISTORY_OK) {
        c->final_key++;
    }
    c->state = SIM_CLIENT_IDLE;
    sim_client_timer(s, c, s->quiet ? 10 * SIM_MS : sim_client_pause(s));
}

/* The try is over without an answer. */
static void sim_client_lost(struct sim *s, struct sim_client *c)
{
    bool read = c->state == SIM_CLIENT_BUSY && !c->incr && c->what.f == HISTORY_GET;
    c->node = 0;
    c->epoch++;
    c->unsure = true;
    if (c->state == SIM_CLIENT_OPENING) {
        c->state = SIM_CLIENT_IDLE;
        sim_client_timer(s, c, 100 * SIM_MS);
    } else if ((c->sessions || read) && s->now_us < c->until_us) {
        sim_client_send(s, c);
    } else {
        sim_client_end(s, c, read ? HISTORY_FAIL : HISTORY_INFO, 0);
    }
}

void sim_clients_fire(struct sim *s, struct sim_event *ev)
{
    if (ev->node >= SIM_UPLOAD_CLIENT) {
        (ev->node >= SIM_EVENTUAL_CLIENT ? sim_eventual_fire : sim_uploads_fire)(s, ev);
        return;
    }
    struct sim_client *c = &s->clients->list[ev->node];
    if (ev->a != c->token) {
        return;
    }
    if (c->state == SIM_CLIENT_IDLE || c->state == SIM_CLIENT_DONE) {
        sim_client_begin(s, c);
    } else if (c->node == UINT32_MAX) {
        c->node = 0; /* a pause after a refusal is over */
        sim_client_send(s, c);
    } else {
        sim_client_lost(s, c);
    }
}

void sim_clients_gone(struct sim *s, uint32_t client, uint32_t node)
{
    if (client >= SIM_EVENTUAL_CLIENT) {
        sim_eventual_gone(s, client, node);
    } else if (client >= SIM_UPLOAD_CLIENT) {
        sim_uploads_gone(s, client, node);
    }
    if (client >= s->clients->count) {
        return;
    }
    struct sim_client *c = &s->clients->list[client];
    bool waits = c->state == SIM_CLIENT_OPENING || c->state == SIM_CLIENT_BUSY;
    if (waits && c->node == node) {
        sim_client_lost(s, c);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

static uint32_t sim_value_of(struct wire_node result)
{
    struct bytes value = {0};
    uint64_t number = 0;
    if (wire_node_is_nil(result)) {
        return HISTORY_ABSENT;
    }
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_VALUE), WIRE_VALUE_BYTES_MAX, &value) !=
            0 ||
        value.size < 2 || value.size > 12 || value.data[0] != 'v') {
        return HISTORY_FOREIGN;
    }
    for (size_t i = 1; i < value.size; i++) {
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    return (uint32_t)number;
}

static void sim_client_refused(struct sim *s, struct sim_client *c, int code)
{
    enum err_outcome outcome = err_outcome_of(code);
    bool read = !c->incr && c->what.f == HISTORY_GET;
    if (c->state == SIM_CLIENT_OPENING) {
        c->node = 0;
        c->state = SIM_CLIENT_IDLE;
        sim_client_timer(s, c, 100 * SIM_MS);
    } else if (outcome == ERR_OUTCOME_RETRY && s->now_us < c->until_us) {
        c->node = UINT32_MAX;
        sim_client_timer(s, c, rng_between(&s->rng, 20, 200) * SIM_MS);
    } else if (outcome == ERR_OUTCOME_UNKNOWN || (outcome == ERR_OUTCOME_DAMAGED && read)) {
        sim_client_lost(s, c);
    } else if (outcome == ERR_OUTCOME_DAMAGED || outcome == ERR_OUTCOME_DONE) {
        sim_fail(s, "reply", "an operation on a key ended with %s", err_name(code));
    } else {
        if (code == ERR_SESSION_EXPIRED) {
            c->session = 0;
            c->sequence = 0;
        } else if (code != ERR_CONFLICT && outcome == ERR_OUTCOME_REFUSED) {
            sim_fail(s, "reply", "a well-formed operation was refused with %s", err_name(code));
        }
        sim_client_end(s, c, c->unsure && code != ERR_CONFLICT ? HISTORY_INFO : HISTORY_FAIL, 0);
    }
}

static void sim_client_answered(struct sim *s, struct sim_client *c, struct wire_node result)
{
    int64_t counter = 0;
    if (c->state == SIM_CLIENT_OPENING) {
        c->session = 0;
        (void)wire_node_u64(wire_node_find(result, WIRE_FIELD_SESSION), &c->session);
        if (c->session == 0) {
            sim_fail(s, "reply", "session.open gave no session");
        }
        c->sequence = 0;
        c->state = SIM_CLIENT_IDLE;
        sim_client_timer(s, c, 1);
        return;
    }
    if (c->incr) {
        if (wire_node_i64(wire_node_find(result, WIRE_FIELD_VALUE), &counter) != 0) {
            sim_fail(s, "reply", "kv.incr gave no value");
        }
        if (s->quiet && c->id == 0 && c->final_key == SIM_KEYS) {
            s->clients->counter = counter;
            s->clients->counter_read = true;
        }
        sim_client_end(s, c, HISTORY_OK, 0);
        return;
    }
    sim_client_end(s, c, HISTORY_OK, c->what.f == HISTORY_GET ? sim_value_of(result) : 0);
}

void sim_clients_reply(struct sim *s, struct sim_event *ev)
{
    if (ev->node >= SIM_UPLOAD_CLIENT) {
        (ev->node >= SIM_EVENTUAL_CLIENT ? sim_eventual_reply : sim_uploads_reply)(s, ev);
        return;
    }
    if (ev->node >= s->clients->count) {
        return;
    }
    struct sim_client *c = &s->clients->list[ev->node];
    struct wire_node root;
    struct wire_rpc rpc;
    bool waits = c->state == SIM_CLIENT_OPENING || c->state == SIM_CLIENT_BUSY;
    if (!waits || ev->a != (c->id | (c->epoch << 16)) || c->node != ev->other) {
        return;
    }
    if (wire_decode(s->clients->decoder, bytes_of(ev->data, ev->bytes), &root) != 0 ||
        wire_rpc_of(root, &rpc) != 0 || rpc.type != WIRE_RESPONSE) {
        sim_fail(s, "reply", "node %u answered with bytes that are no response", ev->other);
        return;
    }
    if (rpc.msgid != c->msgid) {
        return;
    }
    if (wire_node_is_nil(rpc.error)) {
        sim_client_answered(s, c, rpc.result);
    } else {
        struct wire_error error;
        wire_error_of(rpc.error, &error);
        sim_client_refused(s, c, error.code);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

bool sim_clients_idle(const struct sim *s)
{
    for (unsigned i = 0; i < s->clients->count; i++) {
        if (s->clients->list[i].state != SIM_CLIENT_DONE) {
            return false;
        }
    }
    return true;
}

void sim_clients_again(struct sim *s)
{
    struct sim_client *c = &s->clients->list[0];
    ASSERT(s->quiet && c->state == SIM_CLIENT_DONE);
    c->final_key = 0;
    c->node = 0;
    c->state = SIM_CLIENT_IDLE;
    sim_client_timer(s, c, 1);
}

void sim_clients_finish(struct sim *s)
{
    struct sim_clients *cs = s->clients;
    uint32_t key = 0;
    bool gave_up = false;
    /* the last increment is the reading itself */
    int64_t least = (int64_t)cs->incr_acked;
    int64_t most = (int64_t)(cs->incr_acked + cs->incr_unknown);
    if (cs->count > 0 && (!cs->counter_read || cs->counter < least || cs->counter > most)) {
        sim_fail(s, "counter", "counter is %lld, acknowledged %lld, at most %lld",
                 (long long)cs->counter, (long long)least, (long long)most);
    }
    if (!history_check(&cs->history, 20000000u, &key, &gave_up)) {
        sim_fail(s, "linearizability", "the history of k%u %s", key,
                 gave_up ? "is too tangled to decide" : "is not linearizable");
    }
}

bool sim_clients_write(const struct sim *s, FILE *to)
{
    return history_write(&s->clients->history, to);
}
