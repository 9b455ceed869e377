/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes there are, which group owns a slot, who leads it: learned from "topology" and from
 * the hints of refusals, and only ever a guess. A wrong guess costs a hop, never a wrong answer.
 */
#include "client/client_internal.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAP_PAUSE_MS 100u
#define NODES_MAP_TIMEOUT_MS 3000u
#define NODES_REACH 4u /* connections begun at once */

/* ---- endpoints ------------------------------------------------------------------------------ */

static int nodes_port(struct bytes text, uint16_t *port)
{
    uint32_t value = 0;
    if (text.size == 0 || text.size > 5) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return ERR_INVALID;
        }
        value = value * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX) {
        return ERR_INVALID;
    }
    *port = (uint16_t)value;
    return 0;
}

int hf_endpoint_parse(struct bytes text, struct bytes *host, uint16_t *port)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2) {
        return ERR_INVALID;
    }
    struct bytes name = bytes_of(text.data, colon - 1);
    TRY(nodes_port(bytes_of(text.data + colon, text.size - colon), port));
    if (name.data[0] == '[' && name.data[name.size - 1] == ']' && name.size > 2) {
        name = bytes_of(name.data + 1, name.size - 2);
    } else if (memchr(name.data, ':', name.size) != NULL) {
        return ERR_INVALID; /* an IPv6 address without its brackets */
    }
    if (name.size >= HF_HOST_BYTES || memchr(name.data, '\0', name.size) != NULL) {
        return ERR_INVALID;
    }
    *host = name;
    return 0;
}

uint32_t hf_node_add(struct hf_client *c, struct bytes host, uint16_t port)
{
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        if (c->nodes[i].port == port && bytes_equal(bytes_of_text(c->nodes[i].host), host)) {
            return i;
        }
    }
    if (c->nodes_count == HF_NODES_MAX || host.size == 0 || host.size >= HF_HOST_BYTES) {
        return HF_NOWHERE;
    }
    struct hf_node *n = &c->nodes[c->nodes_count];
    memset(n, 0, sizeof(*n));
    memcpy(n->host, host.data, host.size);
    n->port = port;
    return c->nodes_count++;
}

int hf_nodes_parse(struct hf_client *c, const char *endpoints)
{
    const char *at = endpoints;
    while (*at != '\0') {
        size_t bytes = strcspn(at, ",");
        struct bytes item = bytes_of(at, bytes);
        struct bytes host;
        uint16_t port = 0;
        while (item.size > 0 && item.data[0] == ' ') {
            item = bytes_of(item.data + 1, item.size - 1);
        }
        while (item.size > 0 && strchr(" \r\n", item.data[item.size - 1]) != NULL) {
            item.size--;
        }
        TRY(hf_endpoint_parse(item, &host, &port));
        if (hf_node_add(c, host, port) == HF_NOWHERE) {
            return ERR_INVALID;
        }
        at += bytes + (at[bytes] == ',');
    }
    return c->nodes_count > 0 ? 0 : ERR_INVALID;
}

uint32_t hf_node_by_id(const struct hf_client *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        if (id != 0 && c->nodes[i].id == id) {
            return i;
        }
    }
    return HF_NOWHERE;
}

void hf_node_name(const struct hf_client *c, uint32_t node, char name[HF_NAME_BYTES])
{
    if (node >= c->nodes_count) {
        (void)snprintf(name, HF_NAME_BYTES, "no node");
        return;
    }
    const struct hf_node *n = &c->nodes[node];
    (void)snprintf(name, HF_NAME_BYTES, strchr(n->host, ':') != NULL ? "[%s]:%u" : "%s:%u", n->host,
                   (unsigned)n->port);
}

/* ---- groups --------------------------------------------------------------------------------- */

struct hf_group *hf_group_of(struct hf_client *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->groups_count; i++) {
        if (c->groups[i].id == id) {
            return &c->groups[i];
        }
    }
    if (c->groups_count == HF_GROUPS_MAX) {
        return NULL;
    }
    struct hf_group *g = &c->groups[c->groups_count++];
    *g = (struct hf_group){.id = id};
    return g;
}

uint32_t hf_group_for(const struct hf_client *c, uint32_t slot)
{
    for (uint32_t i = 0; i < c->slots_count; i++) {
        if (slot >= c->slots[i].first && slot <= c->slots[i].last) {
            return c->slots[i].group;
        }
    }
    return 1;
}

void hf_leader_set(struct hf_client *c, uint32_t group, uint32_t leader)
{
    struct hf_group *g = hf_group_of(c, group);
    if (g != NULL) {
        g->leader = leader;
    }
}

bool hf_leader_hint(struct hf_client *c, uint32_t group, struct wire_node hint, uint32_t node)
{
    uint32_t leader = 0;
    struct bytes endpoint;
    struct bytes host;
    uint16_t port = 0;
    (void)wire_node_u32(wire_node_find(hint, WIRE_FIELD_LEADER), &leader);
    if (leader == 0 || leader == c->nodes[node].id) {
        hf_leader_set(c, group, 0);
        hf_map_ask(c);
        return false;
    }
    hf_leader_set(c, group, leader);
    if (hf_node_by_id(c, leader) == HF_NOWHERE &&
        wire_node_bytes(wire_node_find(hint, WIRE_FIELD_ENDPOINT), HF_NAME_BYTES, &endpoint) == 0 &&
        hf_endpoint_parse(endpoint, &host, &port) == 0) {
        uint32_t at = hf_node_add(c, host, port);
        if (at != HF_NOWHERE) {
            c->nodes[at].id = leader;
        }
    }
    uint32_t at = hf_node_by_id(c, leader);
    return at != HF_NOWHERE && at != node;
}

/* ---- the map -------------------------------------------------------------------------------- */

static void nodes_read_nodes(struct hf_client *c, struct wire_node list)
{
    for (uint32_t i = 0; i < wire_node_count(list) && i < HF_NODES_MAX; i++) {
        struct wire_node n = wire_node_at(list, i);
        struct bytes host;
        struct bytes state = {NULL, 0};
        uint32_t id = 0;
        uint64_t port = 0;
        if (wire_node_u32(wire_node_find(n, WIRE_FIELD_ID), &id) != 0 || id == 0 ||
            wire_node_bytes(wire_node_find(n, WIRE_FIELD_HOST), HF_HOST_BYTES - 1, &host) != 0 ||
            wire_node_u64(wire_node_find(n, WIRE_FIELD_CLIENT_PORT), &port) != 0 || port == 0 ||
            port > UINT16_MAX) {
            continue;
        }
        uint32_t at = hf_node_add(c, host, (uint16_t)port);
        if (at != HF_NOWHERE) {
            (void)wire_node_bytes(wire_node_find(n, WIRE_FIELD_STATE), 16, &state);
            c->nodes[at].id = id;
            c->nodes[at].down = bytes_equal(state, bytes_of_text("down"));
        }
    }
}

static void nodes_read_groups(struct hf_client *c, struct wire_node list)
{
    for (uint32_t i = 0; i < wire_node_count(list); i++) {
        struct wire_node n = wire_node_at(list, i);
        struct wire_node members = wire_node_find(n, WIRE_FIELD_MEMBERS);
        uint32_t id = 0;
        uint32_t leader = 0;
        if (wire_node_u32(wire_node_find(n, WIRE_FIELD_GROUP), &id) != 0) {
            continue;
        }
        struct hf_group *g = hf_group_of(c, id);
        if (g == NULL) {
            return;
        }
        (void)wire_node_u32(wire_node_find(n, WIRE_FIELD_LEADER), &leader);
        if (leader != 0) {
            g->leader = leader;
        }
        g->members_count = 0;
        for (uint32_t j = 0; j < wire_node_count(members) && j < HF_MEMBERS_MAX; j++) {
            if (wire_node_u32(wire_node_at(members, j), &g->members[g->members_count]) == 0) {
                g->members_count++;
            }
        }
    }
}

static void nodes_read_slots(struct hf_client *c, struct wire_node list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < wire_node_count(list) && count < HF_SLOT_RANGES_MAX; i++) {
        struct wire_node n = wire_node_at(list, i);
        struct hf_slots *s = &c->slots[count];
        if (wire_node_u32(wire_node_at(n, 0), &s->first) == 0 &&
            wire_node_u32(wire_node_at(n, 1), &s->last) == 0 &&
            wire_node_u32(wire_node_at(n, 2), &s->group) == 0) {
            count++;
        }
    }
    c->slots_count = count;
}

static void nodes_map_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_client *c = ctx;
    c->map_asked = false;
    c->map_at_ms = hf_now_ms(c);
    if (reply->code == 0) {
        nodes_read_nodes(c, wire_node_find(reply->result, WIRE_FIELD_NODES));
        nodes_read_groups(c, wire_node_find(reply->result, WIRE_FIELD_GROUPS));
        nodes_read_slots(c, wire_node_find(reply->result, WIRE_FIELD_SLOTS));
        c->map_known = true;
        hf_calls_leave_old(c);
    } else {
        hf_calls_tell(c, reply->text);
    }
    hf_calls_wake(c);
}

void hf_map_ask_but(struct hf_client *c, uint32_t node)
{
    uint64_t now = hf_now_ms(c);
    if (c->map_asked || c->closing ||
        (c->map_at_ms != 0 && now < c->map_at_ms + NODES_MAP_PAUSE_MS)) {
        return;
    }
    struct hf_call_spec spec = {.method = WIRE_METHOD_TOPOLOGY,
                                .class = HF_READ,
                                .pin = HF_NOWHERE,
                                .timeout_ms = NUM_MIN(NODES_MAP_TIMEOUT_MS, c->timeout_ms)};
    struct hf_call *call = NULL;
    if (hf_call_new(c, &spec, &call) != 0) {
        return;
    }
    c->map_asked = true;
    call->avoid = node;
    if (hf_call_start(call, c, nodes_map_done) != 0) {
        c->map_asked = false;
    }
}

void hf_map_ask(struct hf_client *c)
{
    hf_map_ask_but(c, HF_NOWHERE);
}

/* ---- choice --------------------------------------------------------------------------------- */

static bool nodes_usable(const struct hf_client *c, uint32_t node, uint64_t now)
{
    const struct hf_node *n = &c->nodes[node];
    return n->conn != NULL || now >= n->retry_at_ms;
}

static bool nodes_is_member(const struct hf_client *c, const struct hf_group *g, uint32_t node)
{
    if (g == NULL || g->members_count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < g->members_count; i++) {
        if (g->members[i] == c->nodes[node].id) {
            return true;
        }
    }
    return false;
}

/* Best first: members that are up, then anyone but the last one, then anyone. Those to which a
 * connection is open come before those that must be connected to, but not if they are silent: a
 * network that is cut, and a process that is stopped, leave connections open. */
static unsigned nodes_rank(const struct hf_client *c, const struct hf_call *call,
                           const struct hf_group *g, uint32_t node)
{
    const struct hf_node *n = &c->nodes[node];
    unsigned rank = 0;
    rank += call->refused[node] ? 32 : 0;
    rank += node == call->avoid ? 16 : 0;
    rank += n->down ? 8 : 0;
    rank += nodes_is_member(c, g, node) ? 0 : 4;
    rank += n->failures > 0 || n->silent ? 2 : 0;
    rank += n->conn != NULL && n->conn->open ? 0 : 1;
    return rank;
}

/* A node that could not be connected to is not waited for again: it is tried in the background,
 * and taken once it is there. So is one that is down, as others say, if there is another to ask. */
static uint32_t nodes_there(struct hf_client *c, const struct hf_call *call, uint32_t node)
{
    const bool down = node != HF_NOWHERE && c->nodes[node].down && call->spec.instead != 0;
    if (node == HF_NOWHERE || (c->nodes[node].failures == 0 && !down)) {
        return node;
    }
    if (c->nodes[node].conn == NULL && hf_now_ms(c) >= c->nodes[node].retry_at_ms) {
        (void)hf_conn_of(c, node);
    }
    const struct hf_conn *conn = c->nodes[node].conn;
    return conn != NULL && conn->open ? node : HF_NOWHERE;
}

/* The one that is meant, if it can be had. */
static uint32_t nodes_meant(struct hf_client *c, const struct hf_call *call,
                            const struct hf_group *g)
{
    uint32_t meant = HF_NOWHERE;
    if (call->attempts == 0 && call->spec.prefer != 0) {
        meant = hf_node_by_id(c, call->spec.prefer);
    } else if (g != NULL && g->leader != 0 && !call->spec.stale) {
        meant = hf_node_by_id(c, g->leader);
        meant = meant == call->avoid ? HF_NOWHERE : meant;
    }
    meant = nodes_there(c, call, meant);
    if (meant == HF_NOWHERE && call->attempts <= 1 && call->spec.instead != 0) {
        meant = hf_node_by_id(c, call->spec.instead);
        meant = meant == call->avoid ? HF_NOWHERE : nodes_there(c, call, meant);
    }
    return meant;
}

bool hf_node_is_gone(const struct hf_client *c, uint32_t node)
{
    const struct hf_node *n = &c->nodes[node];
    const bool open = n->conn != NULL && n->conn->open;
    return n->down || (n->failures > 0 && !open);
}

bool hf_node_is_well(const struct hf_client *c, uint32_t node)
{
    return !hf_node_is_gone(c, node) && !c->nodes[node].silent;
}

uint32_t hf_node_pick(struct hf_client *c, struct hf_call *call, uint64_t *wait_ms)
{
    uint64_t now = hf_now_ms(c);
    uint64_t soonest = UINT64_MAX;
    uint32_t best = HF_NOWHERE;
    unsigned best_rank = UINT32_MAX;
    if (call->spec.pin != HF_NOWHERE) {
        uint64_t at = c->nodes[call->spec.pin].retry_at_ms;
        *wait_ms = at > now ? at - now : 1;
        return nodes_usable(c, call->spec.pin, now) ? call->spec.pin : HF_NOWHERE;
    }
    if (call->home != HF_NOWHERE) { /* as if pinned */
        uint64_t at = c->nodes[call->home].retry_at_ms;
        *wait_ms = at > now ? at - now : 1;
        return nodes_usable(c, call->home, now) ? call->home : HF_NOWHERE;
    }
    bool grouped = call->spec.route == HF_BY_GROUP || call->spec.route == HF_BY_SLOT;
    const struct hf_group *g = grouped ? hf_group_of(c, call->group) : NULL;
    uint32_t meant = nodes_meant(c, call, g);
    if (meant != HF_NOWHERE && nodes_usable(c, meant, now)) {
        return meant;
    }
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        uint32_t node = (call->turn + i) % c->nodes_count;
        if (!nodes_usable(c, node, now)) {
            soonest = NUM_MIN(soonest, c->nodes[node].retry_at_ms);
            continue;
        }
        unsigned rank = nodes_rank(c, call, g, node);
        if (rank < best_rank) {
            best_rank = rank;
            best = node;
        }
    }
    call->turn++;
    *wait_ms = soonest == UINT64_MAX ? 10 : soonest - now;
    return best;
}

void hf_nodes_reach(struct hf_client *c)
{
    uint64_t now = hf_now_ms(c);
    uint32_t from = (uint32_t)rng_below(&c->rng, c->nodes_count);
    unsigned begun = 0;
    for (uint32_t i = 0; i < c->nodes_count && begun < NODES_REACH; i++) {
        uint32_t node = (from + i) % c->nodes_count;
        if (c->nodes[node].conn == NULL && !c->nodes[node].down && nodes_usable(c, node, now)) {
            (void)hf_conn_of(c, node);
            begun++;
        }
    }
}
