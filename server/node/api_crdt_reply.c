/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.update: what its client is told. What is done before that is in api_crdt_write.c.
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_write_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* returns: bit i: region i is this node's. */
static uint64_t ev_write_regions(struct node *n)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    uint64_t regions = 0;
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        bool self = false;
        (void)node_ev_owners(n, (uint8_t)i, owners, &self);
        regions |= (uint64_t)self << i;
    }
    return regions;
}

/* What it is refused for, who else might take it, and which of its operations that is about. */
void node_ev_write_say(struct node *n, const struct ev_write *w, int code)
{
    char sentence[160];
    char token[WIRE_ONCE_BYTES_MAX];
    struct wire_hint hints[3];
    struct wire_failure f = {.code = code, .hints = hints};
    if (w->why != NULL && code == w->refusal) {
        f.message = w->why;
    }
    if (code == ERR_BUSY) {
        node_reply_error(n, w->client, code, f.message);
        return;
    }
    if (code == ERR_CONFLICT && code != w->refusal && w->once.token.node != 0) {
        wire_once_text(&w->once.token, token);
        (void)snprintf(sentence, sizeof sentence, "token '%s' was used for another write", token);
        f.message = sentence;
    }
    if (code == ERR_NOT_LEADER) {
        hints[f.hints_count++] = (struct wire_hint){.name = WIRE_FIELD_LEADER, .number = w->node};
    }
    if (code == ERR_NOT_LEADER && w->apart) {
        hints[f.hints_count++] =
            (struct wire_hint){.name = WIRE_FIELD_REGIONS, .number = ev_write_regions(n)};
    }
    if (code == ERR_NOT_FOUND && w->named < w->count && w->ops[w->named].op.to.node != 0) {
        uint32_t to = w->ops[w->named].op.to.node;
        hints[f.hints_count++] = (struct wire_hint){.name = WIRE_FIELD_NODE, .number = to};
        (void)snprintf(sentence, sizeof sentence, "node %" PRIu32 " is not of this cluster", to);
        f.message = sentence;
    }
    if (w->count > 1 && w->named < w->count) {
        hints[f.hints_count++] =
            (struct wire_hint){.name = WIRE_FIELD_OPERATION, .number = w->named};
    }
    node_reply_failure(n, w->client, &f);
}

/* What changed nothing has no dot of its own: that it is so follows from what was seen here. */
static int ev_written_nothing(struct node *n, struct ev_write *w, uint32_t operation)
{
    if (operation >= w->count) {
        return ERR_PROTOCOL;
    }
    uint8_t region = w->items[operation].region;
    return node_ev_token_add(&w->causal.token, region, &node_ev_region_get(n, region)->seen);
}

int node_ev_written_pack(struct node *n, struct ev_write *w, struct bytes reply, struct buf *out)
{
    struct bytes_reader r = bytes_reader_of(reply);
    uint8_t copies = bytes_take_u8(&r);
    uint32_t node = bytes_take_u32(&r);
    uint32_t count = bytes_take_u16(&r);
    node_ev_token_fold(n, &w->causal.token);
    (void)wire_pack_map(out, 5);
    (void)wire_pack_text(out, WIRE_FIELD_NODE);
    (void)wire_pack_u64(out, node);
    (void)wire_pack_text(out, WIRE_FIELD_COPIES);
    (void)wire_pack_u64(out, copies);
    (void)wire_pack_text(out, WIRE_FIELD_CHANGED);
    (void)wire_pack_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        bool changed = bytes_take_u8(&r) != 0;
        (void)wire_pack_bool(out, changed);
        TRY(changed || r.failed ? 0 : ev_written_nothing(n, w, i));
    }
    uint32_t regions = bytes_take_u16(&r);
    for (uint32_t i = 0; i < regions && !r.failed; i++) {
        struct wire_token_range range = {.region = bytes_take_u8(&r), .from = 1};
        range.node = bytes_take_u32(&r);
        range.epoch = bytes_take_u64(&r);
        range.to = bytes_take_u64(&r); /* all dots of an actor up to its last are one range */
        if (range.to > 0) {
            TRY(wire_token_add_range(&w->causal.token, &range));
        }
    }
    TRY(r.failed ? ERR_PROTOCOL : 0);
    return node_ev_pack_causal(out, &w->causal.token,
                               w->causal.session ? WIRE_CONSISTENCY_SESSION
                                                 : WIRE_CONSISTENCY_EVENTUAL);
}
