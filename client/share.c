/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Updates of eventual mode that are outstanding together share requests. Each is a call of its own,
 * with its deadline, answer and callback; a lane holds those that might share one: of one space and
 * session, to one owner of their keys, with the same copies and budget.
 *
 *   called --- nothing on its way ---------> goes by itself
 *      \------ HELD, until the request before has ended, or for SHARE_HOLD_MS
 *                 \-- one waits ----------> goes by itself
 *                  \- more: RIDING, in the request of a call that is made for them
 *                        \-- answered, or unknown: so is each of them
 *                         \- refused: not done; HELD again, in the order they had
 *
 * A node applies all of a request or nothing, and those who ride in it have nothing to do with each
 * other. So nobody is told a refusal that was not given to it alone: the one that the refusal names
 * goes by itself next, the others share again; if none is named, all go by themselves. What has
 * been refused with others a few times does too, so that this ends.
 *
 * No timer delays anything (Nagle's rule, RFC 896, without its wait): what is called while nothing
 * is on its way is sent at once.
 */
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_HOLD_MS 200u /* no longer than this does one request keep others waiting */
#define SHARE_BYTES_MAX ((size_t)32 << 10)
#define SHARE_REFUSED_MAX 3u
/* What a node keeps of an answer, to repeat it to who has lost it: 1,024 bytes. */
#define SHARE_ANSWER_BYTES_MAX 1000u
#define SHARE_ANSWER_HEAD_BYTES 4u
#define SHARE_ANSWER_REGION_BYTES 21u
_Static_assert(WIRE_CRDT_REGIONS == 64, "regions are the bits of a number");

struct hf_lane {
    struct hf_lane *next;
    struct hf_client *client;
    struct hf_call *first; /* HELD, in the order they were called */
    struct hf_call *last;
    struct hf_call *latest; /* the request that they wait for */
    uint64_t flown_ms;      /* when it went */
    unsigned requests;      /* on their way, with latest */
    unsigned landing;       /* requests whose callbacks are running */
    uint32_t node;          /* that answered last, or HF_NOWHERE */
    uint32_t owner;         /* node index of the keys' owner; HF_NOWHERE: not known */
    struct hf_causal *causal;
    uint64_t budget_ms;
    uint32_t copies;
    struct buf space; /* packed */
};

struct hf_flight {
    struct hf_lane *lane;
    struct hf_call *carrier; /* NULL: it has ended */
    struct hf_call *riders;  /* in order; those whose time was up have left */
    uint32_t count;          /* of its operations */
};

/* ---- lanes ---------------------------------------------------------------------------------- */

static uint32_t share_if_well(const struct hf_client *c, uint32_t node)
{
    const struct hf_node *n = node == HF_NOWHERE ? NULL : &c->nodes[node];
    bool well = n != NULL && !n->down && !n->silent && n->failures == 0;
    return well ? node : HF_NOWHERE;
}

static struct hf_lane *share_find(const struct hf_call *call)
{
    const struct hf_client *c = call->client;
    const struct hf_call_spec *spec = &call->spec;
    struct bytes space = bytes_of(call->head.data, call->space_bytes);
    uint32_t owner = share_if_well(c, c->owners[call->region]);
    struct hf_lane *lane = c->lanes;
    while (lane != NULL &&
           (lane->owner != owner || lane->causal != spec->causal || lane->copies != spec->copies ||
            lane->budget_ms != spec->budget_ms || !bytes_equal(buf_view(&lane->space), space))) {
        lane = lane->next;
    }
    return lane;
}

static struct hf_lane *share_lane(const struct hf_call *call)
{
    struct hf_client *c = call->client;
    struct hf_lane *lane = share_find(call);
    if (lane != NULL) {
        return lane;
    }
    lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        return NULL;
    }
    lane->client = c;
    lane->node = HF_NOWHERE;
    lane->owner = share_if_well(c, c->owners[call->region]);
    lane->causal = call->spec.causal;
    lane->budget_ms = call->spec.budget_ms;
    lane->copies = call->spec.copies;
    buf_init(&lane->space, &c->heap, 2 * WIRE_NAME_BYTES_MAX);
    if (buf_append(&lane->space, call->head.data, call->space_bytes) != 0) {
        free(lane);
        return NULL;
    }
    lane->next = c->lanes;
    c->lanes = lane;
    return lane;
}

/* Frees the lane if nobody knows it any more. */
static void share_retire(struct hf_lane *lane)
{
    struct hf_lane **at = &lane->client->lanes;
    if (lane->first != NULL || lane->requests > 0 || lane->landing > 0) {
        return;
    }
    while (*at != lane) {
        at = &(*at)->next;
    }
    *at = lane->next;
    buf_release(&lane->space);
    free(lane);
}

static void share_hold(struct hf_lane *lane, struct hf_call *call)
{
    call->state = HF_CALL_HELD;
    call->lane = lane;
    call->behind = NULL;
    if (lane->first == NULL) {
        lane->first = call;
    } else {
        lane->last->behind = call;
    }
    lane->last = call;
}

static struct hf_call *share_take(struct hf_lane *lane)
{
    struct hf_call *call = lane->first;
    lane->first = call->behind;
    call->state = HF_CALL_WAITING;
    call->lane = NULL;
    call->behind = NULL;
    return call;
}

static void share_unhold(struct hf_call *call)
{
    struct hf_lane *lane = call->lane;
    struct hf_call *before = NULL;
    for (struct hf_call *at = lane->first; at != call; at = at->behind) {
        before = at;
    }
    if (before != NULL) {
        before->behind = call->behind;
    } else {
        lane->first = call->behind;
    }
    lane->last = lane->last == call ? before : lane->last;
    call->state = HF_CALL_WAITING;
    call->lane = NULL;
    share_retire(lane);
}

static void share_unride(struct hf_call *call)
{
    struct hf_call **at = &call->flight->riders;
    while (*at != call) {
        at = &(*at)->behind;
    }
    *at = call->behind;
    call->state = HF_CALL_WAITING;
    call->flight = NULL;
    call->behind = NULL;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* How many of those that wait may share one request. *deadline_ms: the latest of theirs. */
static uint32_t share_fit(const struct hf_lane *lane, uint64_t *deadline_ms)
{
    uint64_t regions = 0;
    size_t bytes = 0;
    size_t answer = SHARE_ANSWER_HEAD_BYTES;
    uint32_t count = 0;
    for (const struct hf_call *call = lane->first; call != NULL; call = call->behind) {
        uint64_t region = UINT64_C(1) << call->region;
        bytes += call->head.size - call->space_bytes;
        answer += 1 + ((regions & region) != 0 ? 0 : SHARE_ANSWER_REGION_BYTES);
        regions |= region;
        bool fits = count < HF_CRDT_OPS_MAX && bytes <= SHARE_BYTES_MAX &&
                    answer <= SHARE_ANSWER_BYTES_MAX && !call->alone && !lane->first->alone;
        if (count > 0 && !fits) {
            break;
        }
        *deadline_ms = count == 0 ? call->deadline_ms : NUM_MAX(*deadline_ms, call->deadline_ms);
        count++;
    }
    return count;
}

/* The operations of all that ride. */
static void share_pack(struct hf_flight *f)
{
    struct buf *out = &f->carrier->head;
    const struct hf_call *first = f->riders;
    f->count = 0;
    for (struct hf_call *call = f->riders; call != NULL; call = call->behind) {
        call->place = ++f->count;
    }
    buf_clear(out);
    (void)buf_append(out, first->head.data, first->space_bytes);
    (void)wire_pack_array(out, f->count);
    for (const struct hf_call *call = f->riders; call != NULL; call = call->behind) {
        size_t from = call->space_bytes + 1; /* an array of one has a head of one byte */
        (void)buf_append(out, call->head.data + from, call->head.size - from);
    }
}

static void share_done(void *ctx, const struct hf_reply *reply);

static struct hf_flight *share_flight_new(struct hf_lane *lane, uint64_t deadline_ms)
{
    struct hf_client *c = lane->client;
    struct hf_call_spec spec = lane->first->spec;
    struct hf_flight *f = calloc(1, sizeof(*f));
    uint64_t now = hf_now_ms(c);
    spec.apart = true;
    spec.timeout_ms = deadline_ms > now ? deadline_ms - now : 1;
    if (f != NULL && hf_call_new(c, &spec, &f->carrier) != 0) {
        free(f);
        f = NULL;
    }
    if (f != NULL) {
        f->lane = lane;
        f->carrier->ctx = f;
        f->carrier->done = share_done;
    }
    return f;
}

/* All go by themselves, in their order. */
static void share_part_all(struct hf_flight *f)
{
    while (f->riders != NULL) {
        struct hf_call *call = f->riders;
        share_unride(call);
        hf_call_go(call);
    }
}

/* returns: the request of so many that wait, or NULL without memory. */
static struct hf_call *share_board(struct hf_lane *lane, uint32_t count, uint64_t deadline_ms)
{
    struct hf_flight *f = share_flight_new(lane, deadline_ms);
    if (f == NULL) {
        return NULL;
    }
    struct hf_call **last = &f->riders;
    for (uint32_t i = 0; i < count; i++) {
        struct hf_call *call = share_take(lane);
        call->state = HF_CALL_RIDING;
        call->flight = f;
        *last = call;
        last = &call->behind;
    }
    share_pack(f);
    if (f->carrier->head.err != 0) {
        hf_call_drop(f->carrier);
        share_part_all(f);
        free(f);
        return NULL;
    }
    return f->carrier;
}

static void share_fly(struct hf_lane *lane)
{
    struct hf_client *c = lane->client;
    uint64_t deadline_ms = 0;
    uint32_t count = share_fit(lane, &deadline_ms);
    struct hf_call *call = count > 1 ? share_board(lane, count, deadline_ms) : NULL;
    if (call == NULL && lane->first == NULL) {
        return;
    }
    call = call != NULL ? call : share_take(lane);
    call->lane = lane;
    lane->latest = call;
    lane->flown_ms = hf_now_ms(c);
    lane->requests++;
    call->home = share_if_well(c, lane->owner != HF_NOWHERE ? lane->owner : lane->node);
    hf_call_go(call);
    if (lane->first != NULL) {
        hf_timer_by(c, lane->flown_ms + SHARE_HOLD_MS);
    }
}

void hf_share_add(struct hf_call *call)
{
    struct hf_lane *lane = call->share == HF_SHARE_BY ? share_find(call) : share_lane(call);
    while (call->share == HF_SHARE_BY && lane != NULL && lane->first != NULL) {
        share_fly(lane);
    }
    if (call->share == HF_SHARE_BY || lane == NULL) {
        hf_call_go(call);
        return;
    }
    share_hold(lane, call);
    hf_timer_by(call->client, call->deadline_ms);
    if (lane->latest != NULL) {
        hf_timer_by(call->client, lane->flown_ms + SHARE_HOLD_MS);
    } else if (lane->landing == 0) {
        share_fly(lane);
    }
}

void hf_share_run(struct hf_client *c)
{
    uint64_t now = hf_now_ms(c);
    for (struct hf_lane *lane = c->lanes; lane != NULL && !c->closing; lane = lane->next) {
        bool due = lane->latest == NULL || now >= lane->flown_ms + SHARE_HOLD_MS;
        if (lane->first != NULL && lane->landing == 0 && due) {
            share_fly(lane);
        } else if (lane->first != NULL) {
            hf_timer_by(c, lane->flown_ms + SHARE_HOLD_MS);
        }
    }
}

/* A lane whose calls went by themselves for want of memory stays for others. */
void hf_share_free(struct hf_client *c)
{
    while (c->lanes != NULL) {
        struct hf_lane *lane = c->lanes;
        share_retire(lane);
        ASSERT(c->lanes != lane); /* nobody is in it */
    }
}

/* ---- the end of a call ---------------------------------------------------------------------- */

struct hf_lane *hf_share_landing(struct hf_call *call, const struct hf_reply *reply)
{
    struct hf_lane *lane = call->lane;
    if (lane == NULL || call->state == HF_CALL_HELD) {
        return NULL;
    }
    call->lane = NULL;
    lane->requests--;
    lane->node = reply->code == 0 ? reply->node : lane->node;
    lane->landing++;
    lane->latest = lane->latest == call ? NULL : lane->latest;
    return lane;
}

void hf_share_landed(struct hf_lane *lane)
{
    if (lane == NULL) {
        return;
    }
    bool closing = lane->client->closing;
    lane->landing--;
    if (lane->first != NULL && lane->latest == NULL && lane->landing == 0 && !closing) {
        share_fly(lane);
    }
    share_retire(lane);
}

void hf_share_forget(struct hf_call *call)
{
    if (call->state == HF_CALL_HELD) {
        share_unhold(call);
    } else if (call->flight != NULL) {
        share_unride(call);
    }
    ASSERT(call->lane == NULL);
}

/* Nobody waits for the request any more. */
static void share_abandon(struct hf_flight *f)
{
    const struct hf_reply reply = {.code = ERR_TIMEOUT, .node = HF_NOWHERE};
    struct hf_lane *lane = hf_share_landing(f->carrier, &reply);
    hf_call_drop(f->carrier);
    free(f);
    hf_share_landed(lane);
}

void hf_share_part(struct hf_call *call)
{
    struct hf_flight *f = call->flight;
    if (call->state == HF_CALL_HELD) {
        share_unhold(call);
    }
    if (f == NULL) {
        return;
    }
    share_unride(call);
    if (f->carrier == NULL) { /* the answer is there, but the client is being freed */
        call->maybe_done = true;
        return;
    }
    call->node = f->carrier->node;
    call->last = f->carrier->last;
    call->maybe_done = f->carrier->maybe_done;
    memcpy(call->text, f->carrier->text, sizeof(call->text));
    if (f->carrier->state == HF_CALL_SENT) {
        call->state = HF_CALL_SENT;
    }
    if (f->riders == NULL) {
        share_abandon(f);
    } else if (f->carrier->state != HF_CALL_SENT && !f->carrier->maybe_done) {
        share_pack(f); /* it is told that it was not done, so it must not be */
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool share_is_refusal(const struct hf_reply *reply)
{
    enum err_outcome outcome = err_outcome_of(reply->code);
    return reply->answered && (outcome == ERR_OUTCOME_RETRY || outcome == ERR_OUTCOME_REFUSED ||
                               outcome == ERR_OUTCOME_DAMAGED);
}

static void share_deliver(struct hf_flight *f, const struct hf_reply *reply)
{
    struct hf_reply each = *reply;
    while (f->riders != NULL) {
        struct hf_call *call = f->riders;
        each.place = call->place;
        share_unride(call);
        hf_call_finish(call, &each);
    }
}

/* What the refusal says of owners. The one it names is asked for other regions too that the node
 * does not own, unless somebody else is known. */
static void share_learn(struct hf_client *c, const struct hf_reply *reply, uint32_t region)
{
    uint64_t leader = hf_field(reply->hint, WIRE_FIELD_LEADER);
    uint64_t regions = hf_field(reply->hint, WIRE_FIELD_REGIONS);
    uint32_t node = HF_NOWHERE;
    if (leader <= UINT32_MAX) {
        node = hf_node_by_id(c, (uint32_t)leader);
    }
    for (uint32_t i = 0; i < WIRE_CRDT_REGIONS; i++) {
        if ((regions >> i & 1) != 0) {
            c->owners[i] = reply->node;
        } else if (i == region || c->owners[i] == HF_NOWHERE || c->owners[i] == reply->node) {
            c->owners[i] = node;
        }
    }
}

/* All of the lane take the lane that their keys have now. */
static void share_sort(struct hf_lane *from)
{
    struct hf_client *c = from->client;
    struct hf_call *call = from->first;
    from->first = NULL;
    while (call != NULL) {
        struct hf_call *next = call->behind;
        struct hf_lane *lane = share_lane(call);
        call->lane = NULL;
        if (lane == NULL) {
            hf_call_go(call);
        } else {
            share_hold(lane, call);
        }
        call = next;
    }
    for (struct hf_lane *lane = c->lanes; lane != NULL; lane = lane->next) {
        if (lane->first != NULL && lane->latest == NULL && lane->landing == 0) {
            share_fly(lane);
        }
    }
}

/* All that rode wait again, before those that waited meanwhile. */
static void share_back(struct hf_flight *f, uint32_t blamed)
{
    struct hf_lane *lane = f->lane;
    struct hf_call *waited = lane->first;
    struct hf_call *last = lane->last;
    lane->first = NULL;
    while (f->riders != NULL) {
        struct hf_call *call = f->riders;
        share_unride(call);
        call->shared++;
        call->alone = call->place == blamed || call->shared >= SHARE_REFUSED_MAX;
        share_hold(lane, call);
    }
    if (waited != NULL && lane->first != NULL) {
        lane->last->behind = waited;
        lane->last = last;
    } else if (waited != NULL) {
        lane->first = waited;
        lane->last = last;
    }
}

/* None of it was done. */
static void share_again(struct hf_flight *f, const struct hf_reply *reply)
{
    struct hf_lane *lane = f->lane;
    uint64_t operation = 0;
    bool named =
        wire_node_u64(wire_node_find(reply->hint, WIRE_FIELD_OPERATION), &operation) == 0 &&
        operation < f->count;
    const struct hf_call *call = f->riders;
    while (call != NULL && named && call->place != operation + 1) {
        call = call->behind;
    }
    if (!named || lane == NULL) {
        share_part_all(f);
        return;
    }
    if (reply->code != ERR_NOT_LEADER) {
        share_back(f, (uint32_t)operation + 1);
        return;
    }
    if (call != NULL) { /* else its time was up meanwhile */
        share_learn(lane->client, reply, call->region);
    }
    share_back(f, 0);
    share_sort(lane);
}

static void share_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_flight *f = ctx;
    struct hf_reply unknown = {
        .code = ERR_CONNECTION, .text = "it was lost, and refused after that", .node = reply->node};
    f->carrier = NULL;
    if (share_is_refusal(reply) && reply->doubtful) {
        share_deliver(f, &unknown); /* sent anew, what was lost could count twice */
    } else if (share_is_refusal(reply)) {
        share_again(f, reply);
    } else {
        share_deliver(f, reply);
    }
    free(f);
}
