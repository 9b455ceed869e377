/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decisions of group 0 about nodes: out, because they have been dead for long, or members again.
 * A decision is a compare-and-set on the node's boot number: what was seen of one start of a node
 * is never held against the next one.
 *
 *   ROSTER  one   format u8; each: node u32, state u8, changed u64, out u64 (log times),
 *                 capacity u64 (bytes, as the node's last start told), public key 32
 *
 * A majority of the roster is never out, and a node goes out at most once in the pause that the
 * command names: that holds for whoever leads, so the rules are here and not with the proposer.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_internal.h"

#define NODE_ROSTER_FORMAT 1u
#define NODE_ROSTER_ROW 61u

static const uint8_t node_roster_name[1] = {NODE_KEY_ROSTER};

struct node_roster_row {
    uint32_t node;
    uint8_t state;
    uint64_t changed_us;
    uint64_t out_us;
    uint64_t capacity_bytes;
    uint8_t public_key[WIRE_IDENTITY_KEY_BYTES];
};

struct node_roster {
    uint32_t count;
    struct node_roster_row rows[WIRE_IDENTITY_NODES_MAX];
};

static int node_roster_decode(struct bytes raw, struct node_roster *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    out->count = 0;
    if (raw.size == 0 || bytes_take_u8(&r) != NODE_ROSTER_FORMAT || r.left % NODE_ROSTER_ROW != 0 ||
        r.left / NODE_ROSTER_ROW > WIRE_IDENTITY_NODES_MAX) {
        return ERR_INVALID;
    }
    while (r.left > 0) {
        struct node_roster_row *row = &out->rows[out->count++];
        row->node = bytes_take_u32(&r);
        row->state = bytes_take_u8(&r);
        row->changed_us = bytes_take_u64(&r);
        row->out_us = bytes_take_u64(&r);
        row->capacity_bytes = bytes_take_u64(&r);
        memcpy(row->public_key, bytes_take(&r, WIRE_IDENTITY_KEY_BYTES).data,
               WIRE_IDENTITY_KEY_BYTES);
    }
    return 0;
}

static int node_roster_encode(const struct node_roster *roster, struct buf *out)
{
    buf_clear(out);
    (void)buf_put_u8(out, NODE_ROSTER_FORMAT);
    for (uint32_t i = 0; i < roster->count; i++) {
        (void)buf_put_u32(out, roster->rows[i].node);
        (void)buf_put_u8(out, roster->rows[i].state);
        (void)buf_put_u64(out, roster->rows[i].changed_us);
        (void)buf_put_u64(out, roster->rows[i].out_us);
        (void)buf_put_u64(out, roster->rows[i].capacity_bytes);
        (void)buf_append(out, roster->rows[i].public_key, WIRE_IDENTITY_KEY_BYTES);
    }
    return out->err;
}

/* The record as it is, or as the roster begins: every node a member. */
static int node_roster_load(struct node_sm *sm, struct node_roster *out)
{
    const struct wire_identity *id = &sm->n->identity;
    struct bytes value;
    if (node_sm_get(sm, bytes_of(node_roster_name, 1), &value) == 0) {
        return node_roster_decode(value, out);
    }
    out->count = id->nodes_count;
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        out->rows[i] = (struct node_roster_row){.node = id->nodes[i].id, .state = NODE_MEMBER_IN};
        memcpy(out->rows[i].public_key, id->nodes[i].public_key, WIRE_IDENTITY_KEY_BYTES);
    }
    return 0;
}

/* ---- the tables in memory ------------------------------------------------------------------- */

void node_roster_note(struct node *n, struct bytes value)
{
    struct node_roster roster;
    if (node_roster_decode(value, &roster) != 0) {
        return;
    }
    for (uint32_t i = 0; i < roster.count; i++) {
        const struct node_roster_row *row = &roster.rows[i];
        struct node_control_peer *p = node_control_peer_of(n, row->node);
        if (p != NULL && row->changed_us >= p->changed_us) {
            p->capacity_bytes = row->capacity_bytes;
            memcpy(p->public_key, row->public_key, sizeof p->public_key);
        }
        bool same = p != NULL && p->state == row->state && p->changed_us == row->changed_us;
        if (p == NULL || same || row->changed_us < p->changed_us) {
            continue;
        }
        p->state = row->state;
        p->changed_us = row->changed_us;
        p->out_us = row->out_us;
        log_line(n->options.log, LOG_WARN, "member_decided", "node=%u member=%u state=%s", n->self,
                 row->node, row->state == NODE_MEMBER_OUT ? "out" : "in");
        node_ev_owners_changed(n);
        node_objects_member(n->objects, row->node, row->state == NODE_MEMBER_OUT);
    }
}

bool node_member_out(const struct node *n, uint32_t id)
{
    const struct node_control_peer *p = node_control_peer_of(n, id);
    return p != NULL && p->state == NODE_MEMBER_OUT;
}

/* ---- the op --------------------------------------------------------------------------------- */

void node_roster_change_encode(const struct node_roster_change *c,
                               uint8_t into[NODE_ROSTER_CHANGE_BYTES])
{
    num_put_u32(into, c->node);
    num_put_u64(into + 4, c->incarnation);
    num_put_u64(into + 12, c->boot);
    into[20] = (uint8_t)c->state;
    num_put_u64(into + 21, c->pause_us);
}

static int node_roster_change_decode(struct bytes raw, struct node_roster_change *out)
{
    if (raw.size != NODE_ROSTER_CHANGE_BYTES ||
        (raw.data[20] != NODE_MEMBER_IN && raw.data[20] != NODE_MEMBER_OUT)) {
        return ERR_INVALID;
    }
    *out = (struct node_roster_change){.node = num_get_u32(raw.data),
                                       .incarnation = num_get_u64(raw.data + 4),
                                       .boot = num_get_u64(raw.data + 12),
                                       .state = raw.data[20],
                                       .pause_us = num_get_u64(raw.data + 21)};
    return 0;
}

int node_roster_state_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_roster_change c;
    uint8_t name[5];
    TRY(node_roster_change_decode(cmd->body, &c));
    TRY(node_roster_name_add(out));
    return node_keys_add(out, node_numbered_name(NODE_KEY_NODE, c.node, name));
}

/* A majority of the roster stays, always. */
static bool node_roster_may_go(const struct node_roster *roster)
{
    uint32_t out = 1;
    for (uint32_t i = 0; i < roster->count; i++) {
        out += roster->rows[i].state == NODE_MEMBER_OUT;
    }
    return out <= (roster->count - 1) / 2;
}

static int node_roster_row_change(struct node_roster *roster, struct node_roster_row *row,
                                  const struct node_roster_change *c, uint64_t now_us)
{
    if (c->state == NODE_MEMBER_OUT) {
        if (row->out_us != 0 && now_us - NUM_MIN(now_us, row->out_us) < c->pause_us) {
            return ERR_BUSY;
        }
        if (!node_roster_may_go(roster)) {
            return ERR_UNAVAILABLE;
        }
        row->out_us = NUM_MAX(now_us, (uint64_t)1);
    }
    row->state = (uint8_t)c->state;
    row->changed_us = NUM_MAX(now_us, (uint64_t)1);
    return 0;
}

static struct node_roster_row *node_roster_row_of(struct node_roster *roster, uint32_t id)
{
    for (uint32_t i = 0; i < roster->count; i++) {
        if (roster->rows[i].node == id) {
            return &roster->rows[i];
        }
    }
    return NULL;
}

static int node_roster_store(struct node_sm *sm, const struct node_roster *roster)
{
    TRY(node_roster_encode(roster, &sm->n->scratch));
    return node_sm_put(sm, bytes_of(node_roster_name, 1), buf_view(&sm->n->scratch));
}

int node_roster_name_add(struct node_keys *out)
{
    return node_keys_add(out, bytes_of(node_roster_name, 1));
}

int node_roster_capacity(struct node_sm *sm, uint32_t id, uint64_t bytes)
{
    struct node_roster roster;
    TRY(node_roster_load(sm, &roster));
    struct node_roster_row *row = node_roster_row_of(&roster, id);
    if (row == NULL || row->capacity_bytes == bytes) {
        return 0;
    }
    row->capacity_bytes = bytes;
    return node_roster_store(sm, &roster);
}

int node_roster_state_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_roster_change c;
    struct node_roster roster;
    struct bytes node;
    uint8_t raw[5];
    (void)reply;
    TRY(node_roster_change_decode(cmd->body, &c));
    TRY(node_sm_get(sm, node_numbered_name(NODE_KEY_NODE, c.node, raw), &node));
    if (node.size < NODE_BOOT_HEAD || num_get_u64(node.data) != c.incarnation ||
        num_get_u64(node.data + NODE_BOOT_AT) != c.boot) {
        return ERR_CONFLICT;
    }
    TRY(node_roster_load(sm, &roster));
    struct node_roster_row *row = node_roster_row_of(&roster, c.node);
    if (row == NULL) {
        return ERR_NOT_FOUND;
    }
    if (row->state == c.state) {
        return 0;
    }
    TRY(node_roster_row_change(&roster, row, &c, node_sm_log_time(sm)));
    return node_roster_store(sm, &roster);
}
