/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Epochs of actors, as group 0 grants them: each once, in blocks, to the start of a node that it
 * has recorded, and to no other.
 *
 *   EPOCHS   node u32be    next u64, and the start that was granted the last block: boot u64,
 *                          nonce u64
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_GRANT_BYTES 24u

void node_ev_epochs_encode(const struct node *n, const struct node_ev_self_record *before,
                           uint8_t into[NODE_EV_EPOCHS_BYTES])
{
    bool clean = before->clean && before->epoch != 0;
    num_put_u32(into, n->self);
    num_put_u64(into + 4, n->options.boot);
    num_put_u64(into + 12, n->options.boot_nonce);
    num_put_u64(into + 20, clean ? before->boot : 0);
    num_put_u64(into + 28, clean ? before->nonce : 0);
}

int node_ev_epochs_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    uint8_t name[5];
    if (cmd->body.size != NODE_EV_EPOCHS_BYTES) {
        return ERR_INVALID;
    }
    uint32_t node = num_get_u32(cmd->body.data);
    TRY(node_keys_add(out, node_numbered_name(NODE_KEY_NODE, node, name)));
    return node_keys_add(out, node_numbered_name(NODE_KEY_EPOCHS, node, name));
}

int node_ev_epochs_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    uint8_t name[5];
    struct bytes value;
    uint8_t raw[NODE_EV_GRANT_BYTES];
    uint64_t first = 1;
    bool goes_on = false;
    if (cmd->body.size != NODE_EV_EPOCHS_BYTES || node_sm_group(sm) != 0) {
        return ERR_INVALID;
    }
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint32_t node = bytes_take_u32(&r);
    struct bytes start = bytes_take(&r, 16);  /* boot, nonce */
    struct bytes before = bytes_take(&r, 16); /* of the start whose epoch would go on */
    TRY(node_sm_get(sm, node_numbered_name(NODE_KEY_NODE, node, name), &value));
    if (value.size < NODE_BOOT_HEAD ||
        !bytes_equal(bytes_of(value.data + NODE_BOOT_AT, 16), start)) {
        return ERR_FENCED; /* another start of the node is recorded */
    }
    if (node_sm_get(sm, node_numbered_name(NODE_KEY_EPOCHS, node, name), &value) == 0 &&
        value.size == NODE_EV_GRANT_BYTES) {
        first = num_get_u64(value.data);
        goes_on =
            num_get_u64(before.data) != 0 && bytes_equal(bytes_of(value.data + 8, 16), before);
    }
    num_put_u64(raw, first + NODE_EV_BLOCK);
    memcpy(raw + 8, start.data, start.size);
    TRY(node_sm_put(sm, node_numbered_name(NODE_KEY_EPOCHS, node, name),
                    bytes_of(raw, sizeof raw)));
    (void)buf_put_u64(reply, first);
    (void)buf_put_u64(reply, first + NODE_EV_BLOCK);
    return buf_put_u8(reply, goes_on);
}

void node_ev_epochs_note(struct node *n, uint32_t node, struct bytes value)
{
    struct node_control_peer *p = node_control_peer_of(n, node);
    if (p != NULL && value.size == NODE_EV_GRANT_BYTES) {
        p->epochs_next = NUM_MAX(p->epochs_next, num_get_u64(value.data));
    }
}

bool node_ev_granted(const struct node *n, struct crdt_actor actor)
{
    const struct node_control_peer *p = node_control_peer_of(n, actor.node);
    return p != NULL && actor.epoch > 0 && actor.epoch < p->epochs_next;
}
