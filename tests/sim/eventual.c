/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clients of eventual mode: each has one update or read open at a time. Most work in a session of
 * the node that they write to and repeat an update there until it is answered; one never repeats
 * one, and one has a token for each and repeats it over connections that have nothing in common
 * (scenario C28). Reads go anywhere. A token of all that a client has seen goes with most requests.
 */
#include "tests/sim/eventual.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>

#define SIM_CRDT_OP_US (12 * (uint64_t)SIM_S)
#define SIM_CRDT_TRY_US (1 * (uint64_t)SIM_S)
#define SIM_CRDT_CHECK_RPC "ev-reply"

static void sim_crdt_timer(struct sim *s, struct sim_crdt_client *c, uint64_t in_us)
{
    sim_push(
        s, &(struct sim_event){
               .at_us = s->now_us + in_us, .kind = SIM_EV_CLIENT, .node = c->id, .a = ++c->timer});
}

void sim_eventual_init(struct sim *s)
{
    struct wire_scan_limits limits = {.depth_max = 16, .items_max = 65536, .bytes_max = 4u << 20};
    if (!s->options.eventual) {
        return;
    }
    struct sim_eventual *e = calloc(1, sizeof(*e));
    ASSERT(e != NULL);
    s->eventual = e;
    e->items = 1; /* the name of the field that all share */
    ASSERT(wire_decoder_new(&s->heap_alloc, &limits, &e->decoder) == 0);
    buf_init(&e->out, &s->heap_alloc, 4u << 20);
    sim_crdt_state_init(s);
    for (unsigned i = 0; i < SIM_CRDT_CLIENTS; i++) {
        struct sim_crdt_client *c = &e->clients[i];
        c->id = SIM_EVENTUAL_CLIENT + i;
        c->number = i;
        c->epoch = 1;
        c->sessions = i % 3 != 2;
        c->once = i == SIM_CRDT_CLIENTS - 1;
        wire_token_init(&c->token, &s->heap_alloc);
        sim_crdt_timer(s, c, rng_between(&s->rng, 1, 2 * (uint64_t)SIM_S));
    }
}

void sim_eventual_release(struct sim *s)
{
    struct sim_eventual *e = s->eventual;
    if (e == NULL) {
        return;
    }
    sim_crdt_state_release(s);
    for (unsigned i = 0; i < SIM_CRDT_CLIENTS; i++) {
        wire_token_release(&e->clients[i].token);
    }
    for (uint32_t i = 0; i < e->ops_count; i++) {
        crdt_context_release(&e->ops[i].dep);
    }
    for (uint32_t i = 0; i < e->reads_count; i++) {
        crdt_context_release(&e->reads[i].seen);
        crdt_context_release(&e->reads[i].told);
        free(e->reads[i].got);
    }
    wire_decoder_free(e->decoder);
    buf_release(&e->out);
    free(e->ops);
    free(e->reads);
    free(e);
    s->eventual = NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void sim_crdt_pack(struct sim *s, struct sim_crdt_client *c)
{
    struct buf *out = &s->eventual->out;
    struct buf token;
    struct wire_options o = {.has_deadline = true, .deadline_ms = SIM_CRDT_TRY_US / SIM_MS};
    struct sim_crdt_session *session = &c->session[c->node];
    buf_clear(out);
    buf_init(&token, &s->heap_alloc, WIRE_TOKEN_BYTES_MAX);
    c->msgid++;
    if (c->state == SIM_CRDT_OPENING && c->once) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_CRDT_ONCE, 1);
        (void)wire_pack_options(out, &o);
        return;
    }
    if (c->state == SIM_CRDT_OPENING) {
        (void)wire_pack_request(out, c->msgid, WIRE_METHOD_SESSION_OPEN, 2);
        (void)wire_pack_u64(out, WIRE_GROUP_OWN);
        (void)wire_pack_options(out, &o);
        return;
    }
    if (c->with_token) {
        ASSERT(wire_token_encode(&c->token, &token) == 0);
        o.has_token = true;
        o.token = buf_view(&token);
        o.has_budget = true;
        o.budget_ms = 300;
    }
    if (c->state == SIM_CRDT_UPDATING && c->sessions) {
        o.has_session = true;
        o.session_id = session->id;
        o.session_seq = session->sequence;
        o.session_ack = session->sequence - 1;
    }
    if (c->state == SIM_CRDT_UPDATING) {
        o.once = bytes_of_text(c->once_text);
        o.copies = c->copies;
        sim_crdt_pack_update(s, c, &o);
    } else {
        sim_crdt_pack_read(s, c, &o);
    }
    buf_release(&token);
}

static void sim_crdt_send(struct sim *s, struct sim_crdt_client *c)
{
    struct buf *out = &s->eventual->out;
    c->waiting = false;
    sim_crdt_pack(s, c);
    ASSERT(out->err == 0);
    uint8_t *data = sim_bytes_get(s, out->size);
    memcpy(data, out->data, out->size);
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 500),
                                    .kind = SIM_EV_REQUEST,
                                    .node = c->node,
                                    .a = c->id | (c->epoch << 16),
                                    .data = data,
                                    .bytes = out->size});
    sim_crdt_timer(s, c, SIM_CRDT_TRY_US + 200 * SIM_MS);
}

/* ---- what happens next ----------------------------------------------------------------------- */

static void sim_crdt_rest(struct sim *s, struct sim_crdt_client *c)
{
    c->state = SIM_CRDT_IDLE;
    c->waiting = false;
    sim_crdt_timer(s, c, s->quiet ? 5 * SIM_MS : rng_between(&s->rng, 100, 1000) * SIM_MS);
}

/* What it had seen is nowhere any more, or out of reach for long: it goes on as a new client. */
static void sim_crdt_forget(struct sim *s, struct sim_crdt_client *c)
{
    c->life++;
    wire_token_release(&c->token);
    wire_token_init(&c->token, &s->heap_alloc);
    memset(c->chain, 0, sizeof(c->chain));
    memset(c->seen, 0, sizeof(c->seen));
}

static bool sim_crdt_others_stopped(const struct sim *s)
{
    for (unsigned i = 1; i < SIM_CRDT_CLIENTS; i++) {
        if (s->eventual->clients[i].state != SIM_CRDT_STOPPED) {
            return false;
        }
    }
    return true;
}

/* When faults are over the first client waits for the others, then reads everything everywhere with
 * a token of all that anybody has seen. */
static void sim_crdt_begin_final(struct sim *s, struct sim_crdt_client *c)
{
    if (c->number == 0 && !c->final && !sim_crdt_others_stopped(s)) {
        sim_crdt_timer(s, c, 10 * SIM_MS);
        return;
    }
    for (unsigned i = 1; c->number == 0 && !c->final && i < SIM_CRDT_CLIENTS; i++) {
        ASSERT(wire_token_join(&c->token, &s->eventual->clients[i].token) == 0);
    }
    if (!c->final && sim_crdt_state_lost(s)) {
        sim_crdt_forget(s, c);
    }
    c->final = true;
    if (c->number != 0 || !sim_crdt_draw_final(s, c)) {
        c->state = SIM_CRDT_STOPPED;
        return;
    }
    c->state = SIM_CRDT_READING;
    c->until_us = s->now_us + SIM_CRDT_OP_US;
    sim_crdt_send(s, c);
}

static void sim_crdt_begin(struct sim *s, struct sim_crdt_client *c)
{
    if (s->quiet) {
        sim_crdt_begin_final(s, c);
        return;
    }
    if (c->node == 0 || rng_chance(&s->rng, 1, 3)) {
        c->node = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
    }
    bool moved = c->once_node != c->node;
    if (c->once ? c->once_text[0] == '\0' || moved : c->sessions && c->session[c->node].id == 0) {
        c->state = SIM_CRDT_OPENING;
        sim_crdt_send(s, c);
        return;
    }
    bool read = sim_crdt_draw(s, c);
    c->state = read ? SIM_CRDT_READING : SIM_CRDT_UPDATING;
    c->session[c->node].sequence += !read && c->sessions;
    c->copies = (uint32_t)rng_between(&s->rng, 1, 3);
    c->unsure = false;
    c->until_us = s->now_us + SIM_CRDT_OP_US;
    sim_crdt_send(s, c);
}

static void sim_crdt_update_end(struct sim *s, struct sim_crdt_client *c, enum sim_crdt_end end)
{
    struct sim_eventual *e = s->eventual;
    s->counters.updates_ok += end == SIM_CRDT_DONE;
    s->counters.updates_info += end == SIM_CRDT_UNKNOWN;
    for (uint32_t i = c->first; i < c->first + c->count; i++) {
        struct sim_crdt_op *op = &e->ops[i];
        op->end = end;
        op->ended_us = end == SIM_CRDT_UNKNOWN ? UINT64_MAX : s->now_us;
        e->created = e->created || (op->verb == WIRE_CRDT_CREATE && end == SIM_CRDT_DONE);
        sim_crdt_ended(c, op);
    }
    if (end == SIM_CRDT_UNKNOWN && c->sessions) {
        c->session[c->node].id = 0;
    }
    if (end != SIM_CRDT_DONE) {
        c->node = 0;
    }
    c->once_text[0] = '\0';
    sim_crdt_rest(s, c);
}

static void sim_crdt_pause(struct sim *s, struct sim_crdt_client *c)
{
    c->waiting = true;
    sim_crdt_timer(s, c, rng_between(&s->rng, 20, 300) * SIM_MS);
}

/* The try is over without an answer, or with one that says nothing. */
static void sim_crdt_lost(struct sim *s, struct sim_crdt_client *c)
{
    c->epoch++;
    c->unsure = true;
    if (c->state == SIM_CRDT_OPENING) {
        c->node = 0;
        sim_crdt_rest(s, c);
    } else if (c->state == SIM_CRDT_READING && (c->final || s->now_us < c->until_us)) {
        if (!s->quiet) {
            c->node = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
        }
        sim_crdt_pause(s, c);
    } else if (c->state == SIM_CRDT_READING) {
        sim_crdt_forget(s, c);
        sim_crdt_rest(s, c);
    } else if ((c->sessions || c->once) && s->now_us < c->until_us) {
        sim_crdt_pause(s, c);
    } else {
        sim_crdt_update_end(s, c, SIM_CRDT_UNKNOWN);
    }
}

void sim_eventual_fire(struct sim *s, struct sim_event *ev)
{
    struct sim_crdt_client *c = &s->eventual->clients[ev->node - SIM_EVENTUAL_CLIENT];
    if (ev->a != c->timer) {
        return;
    }
    if (c->state == SIM_CRDT_IDLE) {
        sim_crdt_begin(s, c);
    } else if (c->waiting) {
        sim_crdt_send(s, c);
    } else if (c->state != SIM_CRDT_STOPPED) {
        sim_crdt_lost(s, c);
    }
}

void sim_eventual_gone(struct sim *s, uint32_t client, uint32_t node)
{
    ASSERT(client - SIM_EVENTUAL_CLIENT < SIM_CRDT_CLIENTS);
    struct sim_crdt_client *c = &s->eventual->clients[client - SIM_EVENTUAL_CLIENT];
    bool waits = c->state != SIM_CRDT_IDLE && c->state != SIM_CRDT_STOPPED && !c->waiting;
    if (waits && c->node == node) {
        sim_crdt_lost(s, c);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool sim_crdt_final(enum err_outcome outcome, int code)
{
    return outcome == ERR_OUTCOME_REFUSED || code == ERR_NO_RIGHTS;
}

static void sim_crdt_refused(struct sim *s, struct sim_crdt_client *c, int code)
{
    enum err_outcome outcome = err_outcome_of(code);
    const struct sim_crdt_op *op = &s->eventual->ops[c->first];
    bool to_itself = c->state == SIM_CRDT_UPDATING && op->verb == WIRE_CRDT_TRANSFER;
    bool expected = code == ERR_NO_RIGHTS || code == ERR_SESSION_EXPIRED ||
                    (code == ERR_INVALID && (to_itself || c->once)); /* or to who did it for the
                                                                        node; or it keeps no key */
    if (outcome == ERR_OUTCOME_REFUSED && !expected) {
        sim_fail(s, SIM_CRDT_CHECK_RPC,
                 "client %u at node %u: a well-formed request (%d) was refused: %s", c->number,
                 c->node, (int)c->state, err_name(code));
    } else if (outcome == ERR_OUTCOME_DAMAGED || outcome == ERR_OUTCOME_DONE) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "client %u at node %u: a request ended with %s", c->number,
                 c->node, err_name(code));
    } else if (c->state != SIM_CRDT_UPDATING || outcome == ERR_OUTCOME_UNKNOWN) {
        sim_crdt_lost(s, c);
    } else if (!sim_crdt_final(outcome, code) && s->now_us < c->until_us) {
        sim_crdt_pause(s, c);
    } else {
        if (code == ERR_SESSION_EXPIRED) {
            c->session[c->node] = (struct sim_crdt_session){0};
        }
        sim_crdt_update_end(s, c, c->unsure ? SIM_CRDT_UNKNOWN : SIM_CRDT_FAILED);
        if (code == ERR_BEHIND) {
            sim_crdt_forget(s, c);
        }
    }
}

/* Joins the answer's token to the client's. */
static void sim_crdt_take_token(struct sim *s, struct sim_crdt_client *c, struct wire_node result,
                                struct wire_token *answer)
{
    struct bytes raw = {0};
    wire_token_init(answer, &s->heap_alloc);
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_TOKEN), WIRE_TOKEN_BYTES_MAX, &raw) !=
            0 ||
        wire_token_decode(answer, raw) != 0 || wire_token_join(&c->token, answer) != 0) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u answered without a sound token", c->node);
    }
}

/* The last dot that was made for an update: what its answer names beyond what the client named. */
static struct crdt_dot sim_crdt_last_dot(const struct wire_token *t, const struct sim_crdt_op *op,
                                         uint8_t region)
{
    for (uint32_t i = 0; i < t->ranges_count; i++) {
        const struct wire_token_range *r = &t->ranges[i];
        struct crdt_dot dot = {.actor = {r->node, r->epoch}, .counter = r->to};
        bool folded = r->epoch == CRDT_FOLDED;
        if (r->region == region && !folded && !crdt_context_has(&op->dep, dot)) {
            return dot;
        }
    }
    return (struct crdt_dot){0};
}

/* A node gives one dot after another: those of a batch are the last ones of their regions. */
static void sim_crdt_take_dots(struct sim *s, const struct sim_crdt_client *c,
                               const struct wire_token *answer)
{
    struct sim_eventual *e = s->eventual;
    for (uint32_t i = c->first; i < c->first + c->count; i++) {
        struct sim_crdt_op *op = &e->ops[i];
        uint64_t later = 0;
        for (uint32_t j = i + 1; j < c->first + c->count; j++) {
            later += e->ops[j].changed && e->region[e->ops[j].key] == e->region[op->key];
        }
        op->dot = sim_crdt_last_dot(answer, op, e->region[op->key]);
        op->node = op->changed ? op->dot.actor.node : c->node;
        if (!op->changed) {
            continue;
        }
        if (op->dot.counter <= later) {
            sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u answered a write without its dot", c->node);
            return;
        }
        op->dot.counter -= later;
        sim_crdt_state_copies(s, op);
    }
}

static void sim_crdt_updated(struct sim *s, struct sim_crdt_client *c, struct wire_node result)
{
    struct sim_eventual *e = s->eventual;
    struct wire_node changed = wire_node_find(result, WIRE_FIELD_CHANGED);
    struct wire_token answer;
    uint32_t copies = 0;
    bool sound = wire_node_u32(wire_node_find(result, WIRE_FIELD_COPIES), &copies) == 0;
    if (!sound || wire_node_count(changed) != c->count) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u answered a write in another shape", c->node);
        return;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        struct sim_crdt_op *op = &e->ops[c->first + i];
        (void)wire_node_bool(wire_node_at(changed, i), &op->changed);
        op->copies = copies;
        op->node = c->node;
    }
    sim_crdt_take_token(s, c, result, &answer);
    if (!s->failed) {
        sim_crdt_take_dots(s, c, &answer);
    }
    wire_token_release(&answer);
    sim_crdt_update_end(s, c, SIM_CRDT_DONE);
}

/* ---- what a read gave ------------------------------------------------------------------------ */

static uint64_t sim_crdt_number(struct wire_node n)
{
    struct bytes text;
    int64_t number = 0;
    bool flag = false;
    if (wire_node_bool(n, &flag) == 0) {
        return flag;
    }
    if (wire_node_i64(n, &number) == 0) {
        return (uint64_t)number;
    }
    if (wire_node_bytes(n, 11, &text) == 0 && text.size == 11) {
        text = bytes_of(text.data + 2, 8); /* where a page of fields ends */
    } else if (wire_node_bytes(n, 8, &text) != 0 || text.size != 8) {
        return SIM_CRDT_NOTHING;
    }
    for (size_t i = 0; i < text.size; i++) {
        number = number * 10 + (text.data[i] - '0');
    }
    return (uint64_t)number;
}

static void sim_crdt_take_items(struct sim_crdt_read *r, struct wire_node items)
{
    struct wire_node value = wire_node_find(wire_node_at(items, 0), WIRE_FIELD_VALUE);
    bool page = r->mode == SIM_CRDT_MEMBERS;
    bool many = sim_crdt_keys[r->key].what == SIM_CRDT_MANY;
    struct wire_node list = page ? items : value;
    r->count = page || many ? wire_node_count(list) : 1;
    r->got = calloc(r->count + 1u, sizeof(*r->got));
    ASSERT(r->got != NULL);
    for (uint32_t i = 0; i < r->count; i++) {
        struct wire_node item = page || many ? wire_node_at(list, i) : value;
        r->got[i] = sim_crdt_number(item);
        if (page && sim_crdt_keys[r->key].field) {
            r->got[i] = sim_crdt_number(wire_node_at(item, 0)) << 32 |
                        (uint32_t)sim_crdt_number(wire_node_at(item, 2));
        }
    }
}

static bool sim_crdt_take_clock(struct sim_crdt_read *r, struct wire_node clock)
{
    for (uint32_t i = 0; i < wire_node_count(clock); i++) {
        struct wire_node n = wire_node_at(clock, i);
        struct crdt_range range = {0};
        if (wire_node_u32(wire_node_at(n, 0), &range.actor.node) != 0 ||
            wire_node_u64(wire_node_at(n, 1), &range.actor.epoch) != 0 ||
            wire_node_u64(wire_node_at(n, 2), &range.from) != 0 ||
            wire_node_u64(wire_node_at(n, 3), &range.to) != 0 || range.from == 0 ||
            range.to < range.from || crdt_context_add(&r->seen, &range) != 0) {
            return false;
        }
    }
    return true;
}

/* Records of a region that is being fetched are ahead of its clock; the token says how far. */
static bool sim_crdt_take_told(const struct sim *s, struct sim_crdt_read *r,
                               const struct wire_token *answer)
{
    uint8_t region = s->eventual->region[r->key];
    for (uint32_t i = 0; i < answer->ranges_count; i++) {
        const struct wire_token_range *t = &answer->ranges[i];
        struct crdt_range range = {
            .actor = {.node = t->node, .epoch = t->epoch}, .from = t->from, .to = t->to};
        if (t->region == region && crdt_context_add(&r->told, &range) != 0) {
            return false;
        }
    }
    return crdt_context_leq(&r->seen, &r->told); /* the token has all of the clock */
}

/* Nothing older than the token (scenario C39), and a counter with a bound and its rights. */
static void sim_crdt_read_checks(struct sim *s, const struct sim_crdt_client *c,
                                 const struct sim_crdt_read *r, struct wire_node result)
{
    struct wire_node rights = wire_node_find(
        wire_node_at(wire_node_find(result, WIRE_FIELD_ITEMS), 0), WIRE_FIELD_RIGHTS);
    uint8_t region = s->eventual->region[r->key];
    int64_t sum = 0;
    for (uint32_t i = 0; r->token && i < c->token.ranges_count; i++) {
        const struct wire_token_range *t = &c->token.ranges[i];
        struct crdt_dot last = {{t->node, t->epoch}, t->to};
        if (t->region == region && !crdt_context_has(&r->seen, last)) {
            sim_fail(s, "ev-token", "node %u answered for %s older than the token: without %u.%llu",
                     r->node, sim_crdt_keys[r->key].name, t->node, (unsigned long long)t->to);
        }
    }
    if (sim_crdt_keys[r->key].what != SIM_CRDT_BOUND) {
        return;
    }
    for (uint32_t i = 0; i < wire_node_count(rights); i++) {
        int64_t own = -1;
        (void)wire_node_i64(wire_node_at(wire_node_at(rights, i), 2), &own);
        sum += own;
        if (own < 0) {
            sim_fail(s, "ev-bound", "node %u: an actor's rights are negative", r->node);
        }
    }
    if ((int64_t)r->got[0] < sum) { /* those of actors that never wrote are not listed */
        sim_fail(s, "ev-bound", "node %u: the counter is %lld, its rights %lld (scenario C30)",
                 r->node, (long long)(int64_t)r->got[0], (long long)sum);
    }
}

/* Remembers elements, to remove them or to add them again. */
static void sim_crdt_remember(struct sim_crdt_client *c, const struct sim_crdt_read *r)
{
    bool set = sim_crdt_keys[r->key].what == SIM_CRDT_SET && r->mode == SIM_CRDT_MEMBERS;
    for (uint32_t i = 0; set && i < r->count && i < SIM_CRDT_SEEN; i++) {
        c->seen[r->key][r->got[i] % SIM_CRDT_SEEN] = (uint32_t)r->got[i];
    }
}

static void sim_crdt_was_read(struct sim *s, struct sim_crdt_client *c, struct wire_node result)
{
    struct sim_crdt_read *r = &s->eventual->reads[c->read];
    struct wire_node next = wire_node_find(result, WIRE_FIELD_NEXT);
    struct wire_token answer;
    r->node = c->node;
    (void)wire_node_u32(wire_node_find(result, WIRE_FIELD_NODE), &r->node);
    if (!sim_crdt_take_clock(r, wire_node_find(result, WIRE_FIELD_CLOCK))) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u answered a read with a bad clock", r->node);
        return;
    }
    sim_crdt_take_items(r, wire_node_find(result, WIRE_FIELD_ITEMS));
    r->next = wire_node_is_nil(next) ? 0 : (uint32_t)sim_crdt_number(next);
    r->ended_us = s->now_us;
    r->done = true;
    s->counters.reads_ok++;
    sim_crdt_read_checks(s, c, r, result);
    sim_crdt_take_token(s, c, result, &answer);
    if (!sim_crdt_take_told(s, r, &answer)) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u: a token without what was seen", r->node);
    }
    wire_token_release(&answer);
    sim_crdt_remember(c, r);
    c->final_at += c->final;
    sim_crdt_rest(s, c);
}

static void sim_crdt_given(struct sim *s, struct sim_crdt_client *c, struct wire_node result)
{
    struct bytes text = {0};
    struct wire_once once;
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_ONCE), WIRE_ONCE_BYTES_MAX, &text) != 0 ||
        wire_once_of(text, &once) != 0 || once.node != c->node) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u gave no token", c->node);
        return;
    }
    c->once_node = c->node;
    wire_once_text(&once, c->once_text);
    sim_crdt_rest(s, c);
}

static void sim_crdt_opened(struct sim *s, struct sim_crdt_client *c, struct wire_node result)
{
    struct sim_crdt_session *session = &c->session[c->node];
    *session = (struct sim_crdt_session){0};
    (void)wire_node_u64(wire_node_find(result, WIRE_FIELD_SESSION), &session->id);
    if (session->id == 0) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u opened no session", c->node);
    }
    sim_crdt_rest(s, c);
}

void sim_eventual_reply(struct sim *s, struct sim_event *ev)
{
    struct sim_crdt_client *c = &s->eventual->clients[ev->node - SIM_EVENTUAL_CLIENT];
    struct wire_node root;
    struct wire_rpc rpc;
    bool waits = c->state != SIM_CRDT_IDLE && c->state != SIM_CRDT_STOPPED && !c->waiting;
    if (!waits || ev->a != (c->id | (c->epoch << 16)) || c->node != ev->other) {
        return;
    }
    if (wire_decode(s->eventual->decoder, bytes_of(ev->data, ev->bytes), &root) != 0 ||
        wire_rpc_of(root, &rpc) != 0 || rpc.type != WIRE_RESPONSE) {
        sim_fail(s, SIM_CRDT_CHECK_RPC, "node %u answered with bytes that are no response",
                 ev->other);
        return;
    }
    if (rpc.msgid != c->msgid) {
        return;
    }
    if (!wire_node_is_nil(rpc.error)) {
        struct wire_error error;
        wire_error_of(rpc.error, &error);
        sim_crdt_refused(s, c, error.code);
    } else if (c->state == SIM_CRDT_OPENING && c->once) {
        sim_crdt_given(s, c, rpc.result);
    } else if (c->state == SIM_CRDT_OPENING) {
        sim_crdt_opened(s, c, rpc.result);
    } else if (c->state == SIM_CRDT_UPDATING) {
        sim_crdt_updated(s, c, rpc.result);
    } else {
        sim_crdt_was_read(s, c, rpc.result);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

bool sim_eventual_idle(const struct sim *s)
{
    for (unsigned i = 0; s->eventual != NULL && i < SIM_CRDT_CLIENTS; i++) {
        if (s->eventual->clients[i].state != SIM_CRDT_STOPPED) {
            return false;
        }
    }
    return true;
}

void sim_eventual_finish(struct sim *s)
{
    if (s->eventual == NULL) {
        return;
    }
    sim_eventual_all_seen(s);
    if (!s->failed) {
        sim_crdt_model_check(s);
    }
}
