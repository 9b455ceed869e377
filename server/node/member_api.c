/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * member.* of the client interface: what this node holds of the others, and the steps of a key
 * rotation. A step is proposed only if every live member can follow: asked here, of what members
 * said of themselves; the revision in the command makes sure that nothing has changed meanwhile.
 */
#include "server/node/member_internal.h"

#include <stdio.h>

struct node_member_call {
    struct node_client client;
    enum gossip_keyring_step step; /* 0: none, the keys are listed */
    uint16_t number;
    uint64_t deadline_us;
};
_Static_assert(sizeof(struct node_member_call) <= NODE_API_BYTES, "fits its pool");

static void node_member_pack(struct buf *out, const char *name, uint64_t v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_u64(out, v);
}

static void node_member_pack_text(struct buf *out, const char *name, const char *v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_text(out, v);
}

static void node_member_answer(struct node *n, struct node_client client)
{
    if (n->scratch.err != 0) {
        node_reply_error(n, client, ERR_NO_MEMORY, NULL);
    } else {
        node_reply_ok(n, client, buf_view(&n->scratch));
    }
}

/* ---- member.list ---------------------------------------------------------------------------- */

static void node_member_pack_unwell(struct buf *out, uint32_t unwell)
{
    static const char *const names[] = {"disk slow", "disk full", "disk bad",
                                        "starved",   "memory",    "operator"};
    const uint32_t count = (uint32_t)(sizeof names / sizeof names[0]);
    uint32_t set = 0;
    for (uint32_t i = 0; i < count; i++) {
        set += unwell >> i & 1u;
    }
    (void)wire_pack_text(out, "unwell");
    (void)wire_pack_array(out, set);
    for (uint32_t i = 0; i < count; i++) {
        if ((unwell >> i & 1u) != 0) {
            (void)wire_pack_text(out, names[i]);
        }
    }
}

/* Without gossip, a member is what its connection is. */
static void node_member_see(const struct node *n, uint32_t id, struct gossip_member *out,
                            const char **state)
{
    *out = (struct gossip_member){.id = id};
    if (n->member->gossip != NULL && gossip_member_of(n->member->gossip, id, out) == 0) {
        *state = node_member_state_name(out->state);
    } else {
        *state = node_peer_is_up(n, id) ? "connected" : "unknown";
        out->since_us = n->now;
    }
}

static void node_member_pack_row(struct node *n, const struct wire_identity_node *node,
                                 struct buf *out)
{
    char address[WIRE_IDENTITY_HOST_BYTES_MAX + 16];
    struct gossip_member m;
    const char *state = NULL;
    node_member_see(n, node->id, &m, &state);
    (void)snprintf(address, sizeof address, strchr(node->host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                   node->host, (unsigned)node->peer_port);
    const struct node_control_peer *peer = node_control_peer_of(n, node->id);
    (void)wire_pack_map(out, 14);
    node_member_pack(out, WIRE_FIELD_ID, node->id);
    node_member_pack(out, "capacity_bytes", peer == NULL ? 0 : peer->capacity_bytes);
    node_member_pack_text(out, WIRE_FIELD_STATE, state);
    node_member_pack(out, "confidence", m.confidence);
    node_member_pack(out, "since_us", n->now - NUM_MIN(n->now, m.since_us));
    node_member_pack(out, "rtt_us", m.rtt_us);
    node_member_pack(out, "health", m.health);
    node_member_pack(out, "zone", node->zone);
    node_member_pack_text(out, "address", address);
    node_member_pack(out, "epoch", m.epoch);
    node_member_pack(out, "incarnation", m.incarnation);
    (void)wire_pack_text(out, "out");
    (void)wire_pack_bool(out, node_member_out(n, node->id));
    (void)wire_pack_text(out, "connected");
    (void)wire_pack_bool(out, node_peer_is_up(n, node->id));
    node_member_pack_unwell(out, m.unwell);
}

static void node_member_list_serve(struct node *n, struct node_client client,
                                   const struct wire_rpc *req)
{
    const struct wire_identity *id = &n->identity;
    struct buf *out = &n->scratch;
    int err = wire_params_check(req, 0, 0);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    buf_clear(out);
    (void)wire_pack_map(out, 2);
    node_member_pack(out, WIRE_FIELD_NODE, n->self);
    (void)wire_pack_text(out, WIRE_FIELD_MEMBERS);
    (void)wire_pack_array(out, id->nodes_count);
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        node_member_pack_row(n, &id->nodes[i], out);
    }
    node_member_answer(n, client);
}

/* ---- counters of status --------------------------------------------------------------------- */

int node_member_status(struct node *n, struct buf *out)
{
    struct gossip_counters c = {0};
    struct gossip_seal_counters s = {0};
    if (n->member->gossip != NULL) {
        gossip_counters_get(n->member->gossip, &c);
        gossip_seal_counters_get(n->member->seal, &s);
    }
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"health", n->member->gossip != NULL ? gossip_health(n->member->gossip) : 0},
                {"unwell", n->member->health.unwell},
                {"packets_in", c.packets_in},
                {"packets_out", c.packets_out},
                {"bytes_in", c.bytes_in},
                {"bytes_out", c.bytes_out},
                {"streams_in", c.streams_in},
                {"streams_out", c.streams_out},
                {"streams_failed", c.streams_failed},
                {"probes", c.probes},
                {"probes_spared", c.probes_spared},
                {"probes_failed", c.probes_failed},
                {"suspected", c.suspected},
                {"declared_dead", c.declared_dead},
                {"refuted", c.refuted},
                {"conflicts", c.conflicts},
                {"cuts", c.cuts},
                {"syncs", c.syncs},
                {"late_ticks", c.late_ticks},
                {"malformed", c.malformed + s.malformed},
                {"udp_blocked", c.udp_blocked},
                {"forged", s.forged},
                {"replayed", s.replayed},
                {"unknown_sender", s.unknown_sender + c.unknown_sender},
                {"unknown_key", s.unknown_key},
                {"old_epoch", s.old_epoch}};
    (void)wire_pack_map(out, (uint32_t)(sizeof rows / sizeof rows[0]));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        node_member_pack(out, rows[i].name, rows[i].value);
    }
    return out->err;
}

/* ---- member.keys ---------------------------------------------------------------------------- */

static const char *node_member_key_state(uint8_t state)
{
    return state == GOSSIP_KEY_USED ? "used" : state == GOSSIP_KEY_OLD ? "old" : "installed";
}

static void node_member_keys_answer(struct node *n, struct node_client client)
{
    const struct gossip_keyring *ring = &n->control->ring;
    struct buf *out = &n->scratch;
    buf_clear(out);
    (void)wire_pack_map(out, 3);
    node_member_pack(out, WIRE_FIELD_REVISION, ring->revision);
    (void)wire_pack_text(out, "keys");
    (void)wire_pack_array(out, ring->count);
    for (uint32_t i = 0; i < ring->count; i++) {
        (void)wire_pack_map(out, 2);
        node_member_pack(out, "number", ring->rows[i].key.number);
        node_member_pack_text(out, WIRE_FIELD_STATE,
                              node_member_key_state(ring->rows[i].key.state));
    }
    (void)wire_pack_text(out, WIRE_FIELD_MEMBERS);
    (void)wire_pack_array(out, n->control->nodes_count);
    for (uint32_t i = 0; i < n->control->nodes_count; i++) {
        uint64_t revision = 0;
        uint16_t used = 0;
        (void)node_member_keys_of(n, n->control->peers[i].id, &revision, &used);
        (void)wire_pack_map(out, 3);
        node_member_pack(out, WIRE_FIELD_ID, n->control->peers[i].id);
        node_member_pack(out, WIRE_FIELD_REVISION, revision);
        node_member_pack(out, "used", used);
    }
    node_member_answer(n, client);
}

/* ---- the steps of a rotation ---------------------------------------------------------------- */

static void node_member_key_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_member_call call = *(struct node_member_call *)ctx;
    node_pool_give(n, &n->pools[NODE_POOL_API], ctx);
    if (code != 0) {
        node_reply_group_error(n, call.client, code, 0);
        return;
    }
    buf_clear(&n->scratch);
    (void)wire_pack_map(&n->scratch, 2);
    node_member_pack(&n->scratch, "number", call.number);
    node_member_pack(&n->scratch, WIRE_FIELD_REVISION,
                     reply.size == 8 ? num_get_u64(reply.data) : 0);
    node_member_answer(n, call.client);
}

static uint32_t node_member_live(const struct node *n, struct gossip_keyring_member *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->control->nodes_count; i++) {
        struct gossip_member m;
        uint32_t id = n->control->peers[i].id;
        if (gossip_member_of(n->member->gossip, id, &m) != 0 || m.state >= GOSSIP_DEAD) {
            continue;
        }
        struct gossip_keyring_member *row = &out[count++];
        *row = (struct gossip_keyring_member){.id = id};
        (void)node_member_keys_of(n, id, &row->revision, &row->key);
    }
    return count;
}

/* returns: 0, or why not, with a sentence. */
static int node_member_key_ready(const struct node *n, const struct gossip_keyring_change *c,
                                 char *text, size_t text_bytes)
{
    struct gossip_keyring_member live[WIRE_IDENTITY_NODES_MAX];
    uint32_t blocker = 0;
    if (n->member->gossip == NULL) {
        (void)snprintf(text, text_bytes, "node %u does not gossip yet", n->self);
        return ERR_STARTING;
    }
    uint32_t count = node_member_live(n, live);
    int err = gossip_keyring_ready(&n->control->ring, c, live, count, &blocker);
    if (err == ERR_BEHIND) {
        (void)snprintf(text, text_bytes, "node %u has not followed the last step yet", blocker);
    } else if (err != 0) {
        (void)snprintf(text, text_bytes, "key %u: %s", (unsigned)c->number, err_text(err));
    }
    return err;
}

static void node_member_key_propose(struct node *n, struct node_member_call *call,
                                    const struct gossip_keyring_change *c)
{
    uint8_t body[NODE_KEY_CHANGE_BYTES];
    char text[96] = "";
    int err = node_member_key_ready(n, c, text, sizeof text);
    if (err != 0) {
        node_reply_error(n, call->client, err, text);
        node_pool_give(n, &n->pools[NODE_POOL_API], call);
        return;
    }
    struct node_cmd cmd = {.op = NODE_OP_KEY, .body = bytes_of(body, sizeof body)};
    call->number = c->number;
    node_keyring_change_encode(c, body);
    node_propose(n, 0, &cmd, call->deadline_us, call, node_member_key_done);
    memset(body, 0, sizeof body);
}

/* What this node knows of group 0 is current by now. */
static void node_member_key_known(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_member_call *call = ctx;
    const struct node_gossip_options *o = &n->options.gossip;
    struct gossip_keyring_change c = {.step = call->step, .number = call->number};
    if (code == 0) {
        node_control_take(n, reply);
        c.revision = n->control->ring.revision;
    }
    if (code == 0 && call->step == GOSSIP_KEYRING_INSTALL) {
        c.number = (uint16_t)(n->control->ring.last + 1);
        code =
            o->random == NULL ? ERR_UNAVAILABLE : o->random(o->random_ctx, c.bytes, sizeof c.bytes);
    }
    if (code == 0 && call->step != 0) {
        node_member_key_propose(n, call, &c);
        memset(c.bytes, 0, sizeof c.bytes);
        return;
    }
    struct node_client client = call->client;
    node_pool_give(n, &n->pools[NODE_POOL_API], call);
    if (code != 0) {
        node_reply_group_error(n, client, code, 0);
    } else {
        node_member_keys_answer(n, client);
    }
}

static void node_member_key_ask(struct node *n, struct node_client client,
                                const struct wire_rpc *req, unsigned step)
{
    bool numbered = step == GOSSIP_KEYRING_USE || step == GOSSIP_KEYRING_RETIRE;
    uint32_t number = 0;
    int err = wire_params_check(req, numbered, numbered);
    if (err == 0 && numbered) {
        err = wire_node_u32(wire_node_at(req->params, 0), &number);
    }
    struct node_member_call *call = err == 0 ? node_pool_take(n, &n->pools[NODE_POOL_API]) : NULL;
    if (call == NULL || number > UINT16_MAX) {
        err = err != 0 ? err : call == NULL ? ERR_NO_MEMORY : ERR_NOT_FOUND;
        if (call != NULL) {
            node_pool_give(n, &n->pools[NODE_POOL_API], call);
        }
        node_reply_error(n, client, err, NULL);
        return;
    }
    *call = (struct node_member_call){.client = client,
                                      .step = step,
                                      .number = (uint16_t)number,
                                      .deadline_us = node_request_deadline(n, req)};
    node_query(n, 0, NODE_QUERY_CONTROL, bytes_of(NULL, 0), false, call->deadline_us, call,
               node_member_key_known);
}

static void node_member_keys_serve(struct node *n, struct node_client client,
                                   const struct wire_rpc *req)
{
    node_member_key_ask(n, client, req, 0);
}

static void node_member_install_serve(struct node *n, struct node_client client,
                                      const struct wire_rpc *req)
{
    node_member_key_ask(n, client, req, GOSSIP_KEYRING_INSTALL);
}

static void node_member_use_serve(struct node *n, struct node_client client,
                                  const struct wire_rpc *req)
{
    node_member_key_ask(n, client, req, GOSSIP_KEYRING_USE);
}

static void node_member_retire_serve(struct node *n, struct node_client client,
                                     const struct wire_rpc *req)
{
    node_member_key_ask(n, client, req, GOSSIP_KEYRING_RETIRE);
}

const struct node_api node_member_api[] = {
    {WIRE_METHOD_MEMBER_LIST, node_member_list_serve},
    {WIRE_METHOD_MEMBER_KEYS, node_member_keys_serve},
    {WIRE_METHOD_MEMBER_KEY_INSTALL, node_member_install_serve},
    {WIRE_METHOD_MEMBER_KEY_USE, node_member_use_serve},
    {WIRE_METHOD_MEMBER_KEY_RETIRE, node_member_retire_serve},
    {NULL, NULL},
};
