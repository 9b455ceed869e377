/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Identity bundles: plan, rules, encoding. What a rule refuses is never written nor believed.
 */
#include "wire/identity.h"

#include "base/crc.h"
#include "base/num.h"

#include <string.h>

#define IDENTITY_MAGIC 0x44494648u /* "HFID" */

const struct wire_identity_node *wire_identity_node_of(const struct wire_identity *identity,
                                                       uint32_t id)
{
    ASSERT(identity->nodes_count <= WIRE_IDENTITY_NODES_MAX);
    for (uint32_t i = 0; i < identity->nodes_count; i++) {
        if (identity->nodes[i].id == id) {
            return &identity->nodes[i];
        }
    }
    return NULL;
}

const struct wire_identity_group *wire_identity_group_of(const struct wire_identity *identity,
                                                         uint32_t id)
{
    ASSERT(identity->groups_count <= WIRE_IDENTITY_GROUPS_MAX);
    for (uint32_t i = 0; i < identity->groups_count; i++) {
        if (identity->groups[i].id == id) {
            return &identity->groups[i];
        }
    }
    return NULL;
}

uint32_t wire_identity_slot_group(const struct wire_identity *identity, uint32_t slot)
{
    ASSERT(slot < WIRE_IDENTITY_SLOTS);
    ASSERT(identity->slots_count > 0 && identity->slots_count <= WIRE_IDENTITY_SLOTS_MAX);
    uint32_t at = 0;
    while (at + 1 < identity->slots_count && identity->slots[at].last < slot) {
        at++;
    }
    return identity->slots[at].group;
}

static unsigned identity_voters_wanted(unsigned nodes_count)
{
    if (nodes_count >= 5) {
        return 5;
    }
    return nodes_count >= 3 ? 3 : 1;
}

static void identity_spread(const struct wire_identity_plan *plan, struct wire_identity *out)
{
    unsigned voters = identity_voters_wanted(plan->nodes_count);
    out->groups_count = plan->data_groups + 1;
    for (uint32_t g = 0; g < out->groups_count; g++) {
        struct wire_identity_group *group = &out->groups[g];
        group->id = g;
        group->voters_count = voters;
        for (unsigned v = 0; v < voters; v++) {
            group->voters[v] = out->nodes[(g + v) % plan->nodes_count].id;
        }
    }
    out->slots_count = plan->data_groups;
    for (uint32_t s = 0; s < out->slots_count; s++) {
        out->slots[s].first = (uint16_t)(WIRE_IDENTITY_SLOTS * s / plan->data_groups);
        out->slots[s].last = (uint16_t)(WIRE_IDENTITY_SLOTS * (s + 1) / plan->data_groups - 1);
        out->slots[s].group = s + 1;
    }
}

int wire_identity_make(const struct wire_identity_plan *plan, struct wire_identity *out,
                       struct err_info *why)
{
    if (plan->nodes_count == 0 || plan->nodes_count > WIRE_IDENTITY_NODES_MAX) {
        return err_set(why, ERR_INVALID, "a cluster begins with 1 to %u nodes, not %u",
                       WIRE_IDENTITY_NODES_MAX, plan->nodes_count);
    }
    if (plan->data_groups == 0 || plan->data_groups >= WIRE_IDENTITY_GROUPS_MAX) {
        return err_set(why, ERR_INVALID, "a cluster begins with 1 to %u data groups, not %u",
                       WIRE_IDENTITY_GROUPS_MAX - 1, plan->data_groups);
    }
    memset(out, 0, sizeof(*out));
    memcpy(out->cluster, plan->cluster, sizeof(out->cluster));
    out->format = 1;
    if (plan->gossip_key != NULL) {
        out->format = WIRE_IDENTITY_FORMAT;
        memcpy(out->gossip_key, plan->gossip_key, sizeof(out->gossip_key));
    }
    out->level = WIRE_IDENTITY_LEVEL;
    out->placement_groups = WIRE_IDENTITY_PLACEMENT_GROUPS;
    out->nodes_count = plan->nodes_count;
    for (unsigned i = 0; i < plan->nodes_count; i++) {
        out->nodes[i] = plan->nodes[i];
        if (out->nodes[i].incarnation == 0) {
            out->nodes[i].incarnation = 1;
        }
        if (out->nodes[i].weight == 0) {
            out->nodes[i].weight = 1;
        }
    }
    identity_spread(plan, out);
    return wire_identity_check(out, why);
}

int wire_identity_claim(struct wire_identity *identity, uint32_t node)
{
    const struct wire_identity_node *row = wire_identity_node_of(identity, node);
    if (row == NULL) {
        return ERR_NOT_FOUND;
    }
    identity->node = node;
    identity->incarnation = row->incarnation;
    memset(identity->private_key, 0, sizeof(identity->private_key));
    return 0;
}

/* Host names and addresses: what may stand in an endpoint or a log line as it is. */
static bool identity_host_ok(const char *host)
{
    size_t i = 0;
    for (; i <= WIRE_IDENTITY_HOST_BYTES_MAX && host[i] != '\0'; i++) {
        char c = host[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool mark = c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
        if (!letter && !mark && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return i > 0 && i <= WIRE_IDENTITY_HOST_BYTES_MAX;
}

static int identity_check_nodes(const struct wire_identity *id, struct err_info *why)
{
    if (id->nodes_count == 0 || id->nodes_count > WIRE_IDENTITY_NODES_MAX) {
        return err_set(why, ERR_INVALID, "roster has %u nodes", id->nodes_count);
    }
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        const struct wire_identity_node *node = &id->nodes[i];
        if (node->id == 0 || (i > 0 && node->id <= id->nodes[i - 1].id)) {
            return err_set(why, ERR_INVALID, "node ids must ascend from 1: %u", node->id);
        }
        if (!identity_host_ok(node->host)) {
            return err_set(why, ERR_INVALID, "host of node %u is not a name or address", node->id);
        }
        if (node->incarnation == 0 || node->weight == 0) {
            return err_set(why, ERR_INVALID, "node %u has no incarnation or weight", node->id);
        }
        if (node->client_port == 0 || node->peer_port == 0) {
            return err_set(why, ERR_INVALID, "node %u has no port", node->id);
        }
        for (uint32_t j = 0; j < i; j++) {
            const struct wire_identity_node *other = &id->nodes[j];
            bool same = strcmp(other->host, node->host) == 0;
            if (same &&
                (other->peer_port == node->peer_port || other->client_port == node->client_port)) {
                return err_set(why, ERR_INVALID, "nodes %u and %u have the same address", other->id,
                               node->id);
            }
        }
    }
    return 0;
}

static int identity_check_group(const struct wire_identity *id, uint32_t at, struct err_info *why)
{
    const struct wire_identity_group *group = &id->groups[at];
    if ((at == 0 && group->id != 0) || (at > 0 && group->id <= id->groups[at - 1].id)) {
        return err_set(why, ERR_INVALID, "group ids must ascend from 0: %u", group->id);
    }
    if (group->voters_count == 0 || group->voters_count > WIRE_IDENTITY_VOTERS_MAX ||
        group->voters_count % 2 == 0) {
        return err_set(why, ERR_INVALID, "group %u has %u voters, not 1, 3 or 5", group->id,
                       group->voters_count);
    }
    for (uint32_t v = 0; v < group->voters_count; v++) {
        if (wire_identity_node_of(id, group->voters[v]) == NULL) {
            return err_set(why, ERR_INVALID, "voter %u of group %u is not in the roster",
                           group->voters[v], group->id);
        }
        for (uint32_t w = 0; w < v; w++) {
            if (group->voters[w] == group->voters[v]) {
                return err_set(why, ERR_INVALID, "voter %u of group %u is named twice",
                               group->voters[v], group->id);
            }
        }
    }
    return 0;
}

static int identity_check_slots(const struct wire_identity *id, struct err_info *why)
{
    uint32_t next = 0;
    if (id->slots_count == 0 || id->slots_count > WIRE_IDENTITY_SLOTS_MAX) {
        return err_set(why, ERR_INVALID, "there are %u slot ranges", id->slots_count);
    }
    for (uint32_t s = 0; s < id->slots_count; s++) {
        const struct wire_identity_slots *range = &id->slots[s];
        if (range->first != next || range->last < range->first ||
            range->last >= WIRE_IDENTITY_SLOTS) {
            return err_set(why, ERR_INVALID, "slots %u to %u do not follow on %u", range->first,
                           range->last, next);
        }
        if (range->group == 0 || wire_identity_group_of(id, range->group) == NULL) {
            return err_set(why, ERR_INVALID, "slots %u to %u belong to group %u", range->first,
                           range->last, range->group);
        }
        next = (uint32_t)range->last + 1;
    }
    if (next != WIRE_IDENTITY_SLOTS) {
        return err_set(why, ERR_INVALID, "slots from %u on belong to no group", next);
    }
    return 0;
}

static bool identity_key_given(const uint8_t key[WIRE_IDENTITY_KEY_BYTES])
{
    uint8_t any = 0;
    for (unsigned i = 0; i < WIRE_IDENTITY_KEY_BYTES; i++) {
        any |= key[i];
    }
    return any != 0;
}

/* Format 1 has no place for keys; the later one is written for the sake of the cluster's. */
static int identity_check_keys(const struct wire_identity *id, struct err_info *why)
{
    if (id->format == 0 || id->format > WIRE_IDENTITY_FORMAT) {
        return err_set(why, ERR_INVALID, "bundles have no format %u", id->format);
    }
    if (id->format > 1 && !identity_key_given(id->gossip_key)) {
        return err_set(why, ERR_INVALID, "the cluster's gossip key is missing");
    }
    if (id->node == 0 && identity_key_given(id->private_key)) {
        return err_set(why, ERR_INVALID, "a bundle that nobody has claimed has a private key");
    }
    bool any = identity_key_given(id->gossip_key) || identity_key_given(id->private_key);
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        any = any || identity_key_given(id->nodes[i].public_key);
    }
    if (id->format == 1 && any) {
        return err_set(why, ERR_INVALID, "a bundle of format 1 has no keys");
    }
    return 0;
}

int wire_identity_check(const struct wire_identity *identity, struct err_info *why)
{
    TRY(identity_check_nodes(identity, why));
    TRY(identity_check_keys(identity, why));
    if (identity->groups_count < 2 || identity->groups_count > WIRE_IDENTITY_GROUPS_MAX) {
        return err_set(why, ERR_INVALID, "there are %u groups", identity->groups_count);
    }
    for (uint32_t g = 0; g < identity->groups_count; g++) {
        TRY(identity_check_group(identity, g, why));
    }
    TRY(identity_check_slots(identity, why));
    if (!num_is_pow2(identity->placement_groups) ||
        identity->placement_groups > WIRE_IDENTITY_PLACEMENT_GROUPS_MAX) {
        return err_set(why, ERR_INVALID, "%u placement groups", identity->placement_groups);
    }
    if (identity->node != 0) {
        const struct wire_identity_node *own = wire_identity_node_of(identity, identity->node);
        if (own == NULL || identity->incarnation == 0) {
            return err_set(why, ERR_INVALID, "node %u is not in its own roster", identity->node);
        }
    }
    return 0;
}

static void identity_put_node(struct buf *out, const struct wire_identity_node *node,
                              uint16_t format)
{
    (void)buf_put_u32(out, node->id);
    (void)buf_put_u64(out, node->incarnation);
    (void)buf_put_u32(out, node->zone);
    (void)buf_put_u32(out, node->weight);
    (void)buf_put_u16(out, node->client_port);
    (void)buf_put_u16(out, node->peer_port);
    (void)buf_put_bytes(out, bytes_of_text(node->host));
    if (format > 1) {
        (void)buf_append(out, node->public_key, sizeof(node->public_key));
    }
}

int wire_identity_encode(const struct wire_identity *identity, struct buf *out)
{
    size_t start = out->size;
    ASSERT(wire_identity_check(identity, NULL) == 0);
    (void)buf_put_u32(out, IDENTITY_MAGIC);
    (void)buf_put_u16(out, identity->format);
    (void)buf_put_u16(out, identity->level);
    (void)buf_append(out, identity->cluster, sizeof(identity->cluster));
    (void)buf_put_u32(out, identity->node);
    (void)buf_put_u64(out, identity->incarnation);
    (void)buf_put_u32(out, identity->placement_groups);
    if (identity->format > 1) {
        (void)buf_append(out, identity->gossip_key, sizeof(identity->gossip_key));
        (void)buf_append(out, identity->private_key, sizeof(identity->private_key));
    }
    (void)buf_put_u32(out, identity->nodes_count);
    for (uint32_t i = 0; i < identity->nodes_count; i++) {
        identity_put_node(out, &identity->nodes[i], identity->format);
    }
    (void)buf_put_u32(out, identity->groups_count);
    for (uint32_t g = 0; g < identity->groups_count; g++) {
        const struct wire_identity_group *group = &identity->groups[g];
        (void)buf_put_u32(out, group->id);
        (void)buf_put_u32(out, group->voters_count);
        for (uint32_t v = 0; v < group->voters_count; v++) {
            (void)buf_put_u32(out, group->voters[v]);
        }
    }
    (void)buf_put_u32(out, identity->slots_count);
    for (uint32_t s = 0; s < identity->slots_count; s++) {
        (void)buf_put_u16(out, identity->slots[s].first);
        (void)buf_put_u16(out, identity->slots[s].last);
        (void)buf_put_u32(out, identity->slots[s].group);
    }
    TRY(out->err);
    ASSERT(out->size - start + 4 <= WIRE_IDENTITY_BYTES_MAX);
    return buf_put_u32(out, crc_of(out->data + start, out->size - start));
}

static void identity_take_key(struct bytes_reader *r, uint8_t key[WIRE_IDENTITY_KEY_BYTES])
{
    struct bytes taken = bytes_take(r, WIRE_IDENTITY_KEY_BYTES);
    if (taken.size == WIRE_IDENTITY_KEY_BYTES) {
        memcpy(key, taken.data, taken.size);
    }
}

static void identity_take_node(struct bytes_reader *r, struct wire_identity_node *node,
                               uint16_t format)
{
    node->id = bytes_take_u32(r);
    node->incarnation = bytes_take_u64(r);
    node->zone = bytes_take_u32(r);
    node->weight = bytes_take_u32(r);
    node->client_port = bytes_take_u16(r);
    node->peer_port = bytes_take_u16(r);
    struct bytes host = bytes_take_bytes(r, WIRE_IDENTITY_HOST_BYTES_MAX);
    if (host.size > 0) {
        memcpy(node->host, host.data, host.size);
    }
    node->host[host.size] = '\0';
    if (format > 1) {
        identity_take_key(r, node->public_key);
    }
}

/* A count above its bound fails the reader, so that no loop runs on it. */
static uint32_t identity_take_count(struct bytes_reader *r, uint32_t max)
{
    uint32_t count = bytes_take_u32(r);
    if (count > max) {
        r->failed = true;
        return 0;
    }
    return count;
}

static void identity_take(struct bytes_reader *r, struct wire_identity *id)
{
    struct bytes cluster = bytes_take(r, sizeof(id->cluster));
    if (cluster.size == sizeof(id->cluster)) {
        memcpy(id->cluster, cluster.data, sizeof(id->cluster));
    }
    id->node = bytes_take_u32(r);
    id->incarnation = bytes_take_u64(r);
    id->placement_groups = bytes_take_u32(r);
    if (id->format > 1) {
        identity_take_key(r, id->gossip_key);
        identity_take_key(r, id->private_key);
    }
    id->nodes_count = identity_take_count(r, WIRE_IDENTITY_NODES_MAX);
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        identity_take_node(r, &id->nodes[i], id->format);
    }
    id->groups_count = identity_take_count(r, WIRE_IDENTITY_GROUPS_MAX);
    for (uint32_t g = 0; g < id->groups_count; g++) {
        id->groups[g].id = bytes_take_u32(r);
        id->groups[g].voters_count = identity_take_count(r, WIRE_IDENTITY_VOTERS_MAX);
        for (uint32_t v = 0; v < id->groups[g].voters_count; v++) {
            id->groups[g].voters[v] = bytes_take_u32(r);
        }
    }
    id->slots_count = identity_take_count(r, WIRE_IDENTITY_SLOTS_MAX);
    for (uint32_t s = 0; s < id->slots_count; s++) {
        id->slots[s].first = bytes_take_u16(r);
        id->slots[s].last = bytes_take_u16(r);
        id->slots[s].group = bytes_take_u32(r);
    }
}

int wire_identity_decode(struct bytes data, struct wire_identity *out, struct err_info *why)
{
    if (data.size < 12 || data.size > WIRE_IDENTITY_BYTES_MAX ||
        num_get_u32(data.data) != IDENTITY_MAGIC) {
        return err_set(why, ERR_CORRUPT, "these are no bytes of an identity bundle");
    }
    if (num_get_u32(data.data + data.size - 4) != crc_of(data.data, data.size - 4)) {
        return err_set(why, ERR_CORRUPT, "identity bundle does not match its checksum");
    }
    struct bytes_reader r = bytes_reader_of(bytes_of(data.data + 4, data.size - 8));
    uint16_t format = bytes_take_u16(&r);
    if (format == 0 || format > WIRE_IDENTITY_FORMAT) {
        return err_set(why, ERR_LEVEL, "identity bundle has format %u, this program reads 1 to %u",
                       format, WIRE_IDENTITY_FORMAT);
    }
    struct wire_identity read;
    memset(&read, 0, sizeof(read));
    read.format = format;
    read.level = bytes_take_u16(&r);
    identity_take(&r, &read);
    if (!bytes_reader_ended(&r)) {
        return err_set(why, ERR_INVALID, "fields of the identity bundle do not fit");
    }
    if (read.level == 0 || read.level > WIRE_IDENTITY_LEVEL) {
        return err_set(why, ERR_LEVEL, "cluster has level %u, this program knows %u", read.level,
                       WIRE_IDENTITY_LEVEL);
    }
    TRY(wire_identity_check(&read, why));
    *out = read;
    return 0;
}
