/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Group 0: roster with boot numbers, slots, placement, grants. Its state begins with the genesis
 * records, which every node computes alike from its identity and so never has to be told.
 *
 *   NODE    id u32be                   incarnation u64, zone u32, weight u32, client port u16,
 *                                      peer port u16, boot u64, nonce u64, host
 *   SLOTS   one                        each: first u16, last u16, group u32
 *   PLACE   placement group u32be      node ids u32
 *   GRANT   one                        next grant u64
 *   ROSTER  one                        what was decided about each node: roster.c
 *   KEYRING one                        gossip's keys: keyring.c
 *   EPOCHS  id u32be                   epochs of its actors: eventual_epochs.c
 *   RETIRED id u32be                   those of them that are over: eventual_retire.c
 */
#include "base/hash.h"
#include "erasure/erasure.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_REFRESH_LEAST_US 500000u /* whatever there seems to be new; twice that in vain */
#define NODE_REFRESH_US 5000000u      /* between questions to group 0 from where it is not */
#define NODE_REREAD_US 100000u

struct bytes node_numbered_name(uint8_t kind, uint32_t number, uint8_t into[5])
{
    into[0] = kind;
    num_put_u32_be(into + 1, number);
    return bytes_of(into, 5);
}

/* ---- the tables in memory ------------------------------------------------------------------- */

struct node_control_peer *node_control_peer_of(const struct node *n, uint32_t id)
{
    for (uint32_t i = 0; i < n->control->nodes_count; i++) {
        if (n->control->peers[i].id == id) {
            return &n->control->peers[i];
        }
    }
    return NULL;
}

static int node_control_places(struct node *n, struct node_control *c)
{
    struct erasure_node nodes[WIRE_IDENTITY_NODES_MAX];
    uint32_t count = n->identity.nodes_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_identity_node *from = &n->identity.nodes[i];
        nodes[i] = (struct erasure_node){
            .id = from->id, .weight = from->weight, .zone = from->zone, .disks = 1};
    }
    for (uint32_t pg = 0; pg < n->identity.placement_groups; pg++) {
        TRY(erasure_place_compute(nodes, count, pg, &c->places[(size_t)pg * count]));
    }
    return 0;
}

static void node_control_read_fire(struct node *n, struct node_timer *t)
{
    struct node_group *g = node_group_find(n, 0);
    (void)t;
    if (g != NULL && !g->fenced && !n->closing && !n->failed) {
        node_control_read(n, g);
    }
}

int node_control_init(struct node *n)
{
    struct node_control *c = alloc_get_zeroed(&n->alloc, 1, sizeof *c);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    n->control = c;
    c->read.fire = node_control_read_fire;
    c->nodes_count = n->identity.nodes_count;
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        c->peers[i].id = n->identity.nodes[i].id;
        c->peers[i].incarnation = n->identity.nodes[i].incarnation;
        c->peers[i].state = NODE_MEMBER_IN;
        memcpy(c->peers[i].public_key, n->identity.nodes[i].public_key,
               sizeof c->peers[i].public_key);
        buf_init(&c->peers[i].retired, &n->alloc, 2u * NODE_EV_RETIRED_BYTES_MAX);
    }
    for (uint32_t i = 0; i < n->identity.slots_count; i++) {
        const struct wire_identity_slots *range = &n->identity.slots[i];
        for (uint32_t slot = range->first; slot <= range->last; slot++) {
            c->slots[slot % WIRE_IDENTITY_SLOTS] = (uint16_t)range->group;
        }
    }
    node_keyring_init(n);
    size_t cells = (size_t)n->identity.placement_groups * c->nodes_count;
    c->places = alloc_get_zeroed(&n->alloc, cells, sizeof *c->places);
    return c->places == NULL ? ERR_NO_MEMORY : node_control_places(n, c);
}

void node_control_release(struct node *n)
{
    struct node_control *c = n->control;
    for (uint32_t i = 0; c != NULL && i < c->nodes_count; i++) {
        buf_release(&c->peers[i].retired);
    }
    if (c != NULL) {
        size_t cells = (size_t)n->identity.placement_groups * c->nodes_count;
        alloc_put(&n->alloc, c->places, cells * sizeof *c->places);
        alloc_put(&n->alloc, c, sizeof *c);
        n->control = NULL;
    }
}

static void node_control_note_slots(struct node_control *c, struct bytes value)
{
    struct bytes_reader r = bytes_reader_of(value);
    while (r.left >= 8) {
        uint16_t first = bytes_take_u16(&r);
        uint16_t last = bytes_take_u16(&r);
        uint32_t group = bytes_take_u32(&r);
        for (uint32_t i = first; i <= last && i < WIRE_IDENTITY_SLOTS; i++) {
            c->slots[i] = (uint16_t)group;
        }
    }
}

/* Follows a record of group 0 that has been applied or read at start. */
void node_control_note(struct node *n, struct bytes name, bool present, struct bytes value)
{
    struct node_control *c = n->control;
    uint32_t number = name.size == 5 ? num_get_u32_be(name.data + 1) : 0;
    if (!present) {
        return;
    }
    if (name.data[0] == NODE_KEY_SLOTS) {
        node_control_note_slots(c, value);
    } else if (name.data[0] == NODE_KEY_ROSTER) {
        node_roster_note(n, value);
    } else if (name.data[0] == NODE_KEY_KEYRING) {
        node_keyring_note(n, value);
    } else if (name.data[0] == NODE_KEY_EPOCHS) {
        node_ev_epochs_note(n, number, value);
    } else if (name.data[0] == NODE_KEY_RETIRED) {
        node_ev_retired_note(n, number, value);
    } else if (name.data[0] == NODE_KEY_PLACE && number < n->identity.placement_groups &&
               value.size == c->nodes_count * sizeof(uint32_t)) {
        bool changed = false;
        for (uint32_t i = 0; i < c->nodes_count; i++) {
            uint32_t *place = &c->places[(size_t)number * c->nodes_count + i];
            changed = changed || *place != num_get_u32(value.data + 4 * i);
            *place = num_get_u32(value.data + 4 * i);
        }
        if (changed) {
            node_ev_owners_changed(n);
        }
    } else if (name.data[0] == NODE_KEY_NODE && value.size >= NODE_BOOT_HEAD) {
        struct node_control_peer *p = node_control_peer_of(n, number);
        if (p != NULL && num_get_u64(value.data + NODE_BOOT_AT) >= p->boot) {
            p->incarnation = num_get_u64(value.data);
            p->boot = num_get_u64(value.data + NODE_BOOT_AT);
            p->nonce = num_get_u64(value.data + NODE_BOOT_AT + 8);
            node_member_roster(n);
        }
        if (n->eventual != NULL && number == n->self) {
            (void)node_ev_hold_known(n);
        }
    }
}

uint32_t node_group_of(const struct node *n, struct bytes name)
{
    return n->control->slots[wire_slot_of(name) % WIRE_IDENTITY_SLOTS];
}

unsigned node_place(const struct node *n, uint32_t placement_group, uint32_t *nodes, unsigned max)
{
    const struct node_control *c = n->control;
    unsigned count = NUM_MIN(max, c->nodes_count);
    ASSERT(placement_group < n->identity.placement_groups);
    memcpy(nodes, &c->places[(size_t)placement_group * c->nodes_count], count * sizeof *nodes);
    return count;
}

int node_peer_check(struct node *n, uint32_t peer, uint64_t incarnation, uint64_t boot,
                    uint64_t nonce)
{
    struct node_control_peer *known = node_control_peer_of(n, peer);
    if (known == NULL) {
        return ERR_NOT_FOUND;
    }
    if (incarnation != known->incarnation || boot < known->boot ||
        (boot == known->boot && known->nonce != 0 && nonce != known->nonce)) {
        return ERR_FENCED;
    }
    if (boot == known->told_boot && nonce != known->told_nonce && node_peer_is_up(n, peer)) {
        return ERR_FENCED; /* two processes at once, and group 0 has not heard of either */
    }
    known->told_boot = boot;
    known->told_nonce = nonce;
    return 0;
}

void node_control_peer_up(struct node *n, uint32_t peer)
{
    struct node_control_peer *p = node_control_peer_of(n, peer);
    if (p != NULL) {
        p->refuses = false;
    }
}

/* One peer's word ends nobody: it may have been told lies. Each voter of group 0 that has the
 * record says the same, so a majority of them is group 0's word. */
void node_control_refused(struct node *n, uint32_t peer)
{
    const struct wire_identity_group *g = wire_identity_group_of(&n->identity, 0);
    struct node_control_peer *p = node_control_peer_of(n, peer);
    unsigned refusing = 0;
    if (p == NULL || g == NULL) {
        return;
    }
    if (!p->refuses) {
        p->refuses = true;
        log_line(n->options.log, LOG_WARN, "fenced_by_peer", "node=%u peer=%u boot=%llu", n->self,
                 peer, (unsigned long long)n->options.boot);
    }
    for (uint32_t i = 0; i < g->voters_count; i++) {
        const struct node_control_peer *v = node_control_peer_of(n, g->voters[i]);
        refusing += v != NULL && v->refuses;
    }
    if (refusing >= g->voters_count / 2 + 1) {
        node_fail(n, ERR_FENCED, "group_0_knows_a_later_start_of_this_node");
    }
}

/* ---- genesis -------------------------------------------------------------------------------- */

static int node_genesis_put(struct node_sm *sm, struct bytes name, const struct buf *value)
{
    TRY(value->err);
    return node_sm_add(sm, name, buf_view(value));
}

static int node_genesis_nodes(struct node_sm *sm, struct buf *value)
{
    const struct wire_identity *id = &sm->n->identity;
    uint8_t name[5];
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        const struct wire_identity_node *node = &id->nodes[i];
        buf_clear(value);
        (void)buf_put_u64(value, node->incarnation);
        (void)buf_put_u32(value, node->zone);
        (void)buf_put_u32(value, node->weight);
        (void)buf_put_u16(value, node->client_port);
        (void)buf_put_u16(value, node->peer_port);
        (void)buf_put_u64(value, 0);
        (void)buf_put_u64(value, 0);
        (void)buf_append(value, node->host, strlen(node->host));
        TRY(node_genesis_put(sm, node_numbered_name(NODE_KEY_NODE, node->id, name), value));
    }
    return 0;
}

static int node_genesis_tables(struct node_sm *sm, struct buf *value)
{
    const struct wire_identity *id = &sm->n->identity;
    const struct node_control *c = sm->n->control;
    const uint8_t slots[1] = {NODE_KEY_SLOTS};
    uint8_t name[5];
    buf_clear(value);
    for (uint32_t i = 0; i < id->slots_count; i++) {
        (void)buf_put_u16(value, id->slots[i].first);
        (void)buf_put_u16(value, id->slots[i].last);
        (void)buf_put_u32(value, id->slots[i].group);
    }
    TRY(node_genesis_put(sm, bytes_of(slots, 1), value));
    for (uint32_t pg = 0; pg < id->placement_groups; pg++) {
        buf_clear(value);
        for (uint32_t i = 0; i < c->nodes_count; i++) {
            (void)buf_put_u32(value, c->places[(size_t)pg * c->nodes_count + i]);
        }
        TRY(node_genesis_put(sm, node_numbered_name(NODE_KEY_PLACE, pg, name), value));
    }
    return 0;
}

int node_genesis(struct node *n, struct node_group *g)
{
    struct node_sm sm = {.n = n, .g = g};
    struct buf value;
    if (g->id != 0) {
        return 0;
    }
    buf_init(&value, &n->alloc, 1u << 16);
    int err = node_genesis_nodes(&sm, &value);
    err = err != 0 ? err : node_genesis_tables(&sm, &value);
    buf_release(&value);
    return err;
}

/* ---- ops ------------------------------------------------------------------------------------ */

/* Body: node u32, incarnation u64, boot u64, nonce u64; then perhaps capacity u64. */
#define NODE_BOOT_BYTES 28u
#define NODE_BOOT_BYTES_MAX 36u

static bool node_boot_whole(struct bytes body)
{
    return body.size == NODE_BOOT_BYTES || body.size == NODE_BOOT_BYTES_MAX;
}

static int node_boot_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    uint8_t name[5];
    if (!node_boot_whole(cmd->body)) {
        return ERR_INVALID;
    }
    TRY(node_roster_name_add(out));
    return node_keys_add(out, node_numbered_name(NODE_KEY_NODE, num_get_u32(cmd->body.data), name));
}

static int node_boot_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    uint8_t name_raw[5];
    struct bytes value;
    (void)reply;
    if (!node_boot_whole(cmd->body)) {
        return ERR_INVALID;
    }
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint32_t node = bytes_take_u32(&r);
    struct bytes name = node_numbered_name(NODE_KEY_NODE, node, name_raw);
    uint64_t incarnation = bytes_take_u64(&r);
    uint64_t boot = bytes_take_u64(&r);
    uint64_t nonce = bytes_take_u64(&r);
    TRY(node_sm_get(sm, name, &value));
    if (value.size < NODE_BOOT_HEAD) {
        return ERR_INVALID;
    }
    uint64_t known = num_get_u64(value.data + NODE_BOOT_AT);
    uint64_t known_nonce = num_get_u64(value.data + NODE_BOOT_AT + 8);
    if (incarnation != num_get_u64(value.data) || boot < known ||
        (boot == known && nonce != known_nonce)) {
        return ERR_FENCED;
    }
    struct buf *out = &sm->n->scratch;
    buf_clear(out);
    if (buf_append(out, value.data, value.size) != 0) {
        return ERR_NO_MEMORY;
    }
    num_put_u64(out->data + NODE_BOOT_AT, boot);
    num_put_u64(out->data + NODE_BOOT_AT + 8, nonce);
    TRY(node_sm_put(sm, name, buf_view(out)));
    return r.left > 0 ? node_roster_capacity(sm, node, bytes_take_u64(&r)) : 0;
}

static int node_grant_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    const uint8_t name[1] = {NODE_KEY_GRANT};
    (void)cmd;
    return node_keys_add(out, bytes_of(name, 1));
}

/* Reply: grant u64, from 1, never given before. */
static int node_grant_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    const uint8_t name[1] = {NODE_KEY_GRANT};
    struct bytes value;
    uint8_t raw[8];
    uint64_t next = 1;
    (void)cmd;
    if (node_sm_get(sm, bytes_of(name, 1), &value) == 0 && value.size == 8) {
        next = num_get_u64(value.data);
    }
    num_put_u64(raw, next + 1);
    TRY(node_sm_put(sm, bytes_of(name, 1), bytes_of(raw, sizeof raw)));
    return buf_put_u64(reply, next);
}

const struct node_op node_control_ops[] = {
    {NODE_OP_NODE_BOOT, "node_boot", node_boot_keys, node_boot_apply},
    {NODE_OP_GRANT, "grant", node_grant_keys, node_grant_apply},
    {NODE_OP_KEY, "key", node_keyring_keys, node_keyring_apply},
    {NODE_OP_NODE_STATE, "node_state", node_roster_state_keys, node_roster_state_apply},
    {NODE_OP_EPOCHS, "epochs", node_ev_epochs_keys, node_ev_epochs_apply},
    {NODE_OP_RETIRE, "retire", node_ev_retire_keys, node_ev_retire_apply},
    {0, NULL, NULL, NULL},
};

/* CONTROL body: empty. Reply: rows u32, each: name u16, value u32: roster, slots, placement. */
static int node_control_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    static const uint8_t from[1] = {NODE_KEY_NODE};
    static const uint8_t to[1] = {NODE_KEY_CONTROL_END};
    (void)body;
    (void)keys;
    range->from = bytes_of(from, 1);
    range->to = bytes_of(to, 1);
    range->rows_max = 3 * WIRE_IDENTITY_NODES_MAX + WIRE_IDENTITY_PLACEMENT_GROUPS_MAX + 16;
    range->bytes_max = 4u << 20;
    return 0;
}

static int node_control_answer(const struct node_query_ctx *q, struct bytes body,
                               const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    (void)body;
    (void)buf_put_u32(reply, node_rows_count(rows));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        (void)buf_put_u16(reply, (uint16_t)name.size);
        (void)buf_append(reply, name.data, name.size);
        (void)buf_put_bytes(reply, value);
    }
    return reply->err;
}

const struct node_query_op node_control_queries[] = {
    {NODE_QUERY_CONTROL, "control", node_control_want, node_control_answer},
    {0, NULL, NULL, NULL},
};

/* ---- this node's boot ----------------------------------------------------------------------- */

void node_control_hear(struct node *n)
{
    struct node_control *c = n->control;
    struct node_timer *t = &c->refresh;
    if (t->fire == NULL) {
        return; /* it has no need to */
    }
    if (t->at_us == 0) {
        c->again = true;
        return;
    }
    uint64_t at_us = NUM_MAX(n->now, c->answered_us + c->hear_us);
    c->urged = true;
    if (at_us < t->at_us) {
        node_timer_set(n, t, at_us);
    }
}

/* What some node tells of may never be for this one, or not for long: a region that it holds. */
static void node_control_heard(struct node_control *c, int code, struct bytes reply)
{
    uint64_t heard = code == 0 ? hash_of(reply, 0) : c->heard;
    bool vain = c->urged && heard == c->heard;
    c->hear_us = vain ? NUM_MIN(2 * c->hear_us, (uint64_t)NODE_REFRESH_US) : NODE_REFRESH_LEAST_US;
    c->heard = heard;
    c->urged = c->again;
    c->again = false;
}

static void node_boot_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)ctx;
    (void)reply;
    if (n->closing) {
        return;
    }
    if (code == ERR_FENCED) {
        node_fail(n, code, "another_process_has_started_with_this_identity");
    } else if (code != 0) {
        node_timer_set(n, &n->control->boot, n->now + n->options.election_us);
    } else {
        n->control->booted = true;
        if (n->control->refresh.fire != NULL) {
            node_timer_set(n, &n->control->refresh, n->now); /* what it says of this start */
        }
        node_member_start(n);
        node_ev_self_wake(n);
        node_ev_start(n);
    }
}

static void node_boot_fire(struct node *n, struct node_timer *t)
{
    uint8_t body[NODE_BOOT_BYTES_MAX];
    bool whole = n->options.capacity_bytes != 0;
    (void)t;
    num_put_u32(body, n->self);
    num_put_u64(body + 4, n->identity.incarnation);
    num_put_u64(body + 12, n->options.boot);
    num_put_u64(body + 20, n->options.boot_nonce);
    num_put_u64(body + NODE_BOOT_BYTES, n->options.capacity_bytes);
    struct node_cmd cmd = {.op = NODE_OP_NODE_BOOT,
                           .body = bytes_of(body, whole ? NODE_BOOT_BYTES_MAX : NODE_BOOT_BYTES)};
    node_propose(n, 0, &cmd, n->now + 3 * n->options.election_us, NULL, node_boot_done);
}

/* ---- all of it at once ---------------------------------------------------------------------- */

void node_control_again(struct node *n)
{
    n->control->unread = true;
    n->control->missed = true;
    if (node_group_find(n, 0) != NULL) { /* else it is asked for again anyway */
        node_timer_set(n, &n->control->read, n->now + NODE_REREAD_US);
    }
}

void node_control_begin(struct node *n)
{
    n->control->unread = true;
    n->control->missed = false;
}

void node_control_end(struct node *n, bool whole)
{
    if (!whole) {
        node_control_again(n);
    }
    n->control->unread = n->control->missed;
    if (n->eventual != NULL) {
        (void)node_ev_hold_known(n);
    }
}

/* ---- group 0 from afar ---------------------------------------------------------------------- */

/* Answers may overtake each other.
 * returns: whether group 0 had recorded less of this node's starts then than is known here. */
static bool node_control_older(const struct node *n, struct bytes name, struct bytes value)
{
    const struct node_control_peer *self = node_control_peer_of(n, n->self);
    return name.data[0] == NODE_KEY_NODE && name.size == 5 && value.size >= NODE_BOOT_HEAD &&
           num_get_u32_be(name.data + 1) == n->self && self != NULL &&
           num_get_u64(value.data + NODE_BOOT_AT) < self->boot;
}

/* returns: 0, ERR_BEHIND of an answer that others have overtaken or ERR_PROTOCOL. */
static int node_control_follow(struct node *n, struct bytes reply, bool replica)
{
    struct bytes_reader r = bytes_reader_of(reply);
    uint32_t rows = bytes_take_u32(&r);
    for (uint32_t i = 0; i < rows && !r.failed; i++) {
        struct bytes name = bytes_take(&r, bytes_take_u16(&r));
        struct bytes value = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        if (r.failed || name.size == 0) {
            continue;
        }
        if (node_control_older(n, name, value)) {
            return ERR_BEHIND; /* rows of nodes come first */
        }
        if (!replica || (name.data[0] != NODE_KEY_NODE && name.data[0] != NODE_KEY_RETIRED)) {
            node_control_note(n, name, true, value);
        }
    }
    return r.failed ? ERR_PROTOCOL : 0;
}

/* Where there is a replica, starts and what is over come by its log alone, in their order. */
void node_control_take(struct node *n, struct bytes reply)
{
    const struct node_group *g = node_group_find(n, 0);
    if (g != NULL && !g->fenced) {
        (void)node_control_follow(n, reply, true);
        return;
    }
    bool was = n->control->unread;
    node_control_begin(n);
    int err = node_control_follow(n, reply, false);
    node_control_end(n, err == 0 || (err == ERR_BEHIND && !was));
}

static void node_refresh_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)ctx;
    if (n->closing) {
        return;
    }
    struct node_control *c = n->control;
    node_control_heard(c, code, reply);
    if (code == 0) {
        node_control_take(n, reply);
    }
    c->answered_us = n->now;
    node_timer_set(n, &c->refresh, n->now + (c->urged ? c->hear_us : NODE_REFRESH_US));
}

static void node_refresh_fire(struct node *n, struct node_timer *t)
{
    (void)t;
    node_query(n, 0, NODE_QUERY_CONTROL, bytes_of(NULL, 0), false,
               n->now + 2 * n->options.election_us, NULL, node_refresh_done);
}

/* What group 0 says comes from other nodes from now on. */
static void node_control_afar(struct node *n, uint64_t at_us)
{
    n->control->refresh.fire = node_refresh_fire;
    n->control->hear_us = NODE_REFRESH_LEAST_US;
    node_timer_set(n, &n->control->refresh, at_us);
}

void node_control_fenced(struct node *n)
{
    if (n->control != NULL && n->control->boot.fire != NULL && n->control->refresh.fire == NULL) {
        node_control_afar(n, n->now);
    }
}

void node_control_start(struct node *n)
{
    const struct node_group *g = node_group_find(n, 0);
    n->control->boot.fire = node_boot_fire;
    node_timer_set(n, &n->control->boot, n->now);
    if (g == NULL || g->fenced) {
        node_control_afar(n, n->now + NODE_REFRESH_US);
    }
}
