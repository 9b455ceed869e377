/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Gossip's keys in group 0: install, use, retire, each a compare-and-set on the keyring's
 * revision, so that every node goes through the same keyrings in the same order. Whether the
 * members are ready for a step is asked where the command is proposed: that is a fact about now,
 * not about the state.
 *
 *   KEYRING  one   a keyring, as gossip encodes it
 *
 * Without the record there is one key, number 1, that of the identity bundles, in use.
 */
#include "server/node/control_internal.h"

static const uint8_t node_keyring_name[1] = {NODE_KEY_KEYRING};

void node_keyring_init(struct node *n)
{
    if (gossip_keyring_begin(&n->control->ring, n->options.gossip.first_key) != 0) {
        n->control->ring.count = 0; /* it was given none: it does not gossip */
    }
}

void node_keyring_note(struct node *n, struct bytes value)
{
    struct gossip_keyring ring;
    if (gossip_keyring_decode(value, &ring) != 0 || ring.revision <= n->control->ring.revision) {
        return;
    }
    n->control->ring = ring;
    node_member_keys(n);
}

void node_keyring_change_encode(const struct gossip_keyring_change *c,
                                uint8_t into[NODE_KEY_CHANGE_BYTES])
{
    into[0] = (uint8_t)c->step;
    num_put_u16(into + 1, c->number);
    num_put_u64(into + 3, c->revision);
    memcpy(into + 11, c->bytes, GOSSIP_KEY_BYTES);
}

static int node_keyring_change_decode(struct bytes raw, struct gossip_keyring_change *out)
{
    if (raw.size != NODE_KEY_CHANGE_BYTES || raw.data[0] < GOSSIP_KEYRING_INSTALL ||
        raw.data[0] > GOSSIP_KEYRING_RETIRE) {
        return ERR_INVALID;
    }
    out->step = raw.data[0];
    out->number = num_get_u16(raw.data + 1);
    out->revision = num_get_u64(raw.data + 3);
    memcpy(out->bytes, raw.data + 11, GOSSIP_KEY_BYTES);
    return 0;
}

int node_keyring_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct gossip_keyring_change c;
    TRY(node_keyring_change_decode(cmd->body, &c));
    return node_keys_add(out, bytes_of(node_keyring_name, 1));
}

int node_keyring_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct gossip_keyring_change c;
    struct gossip_keyring ring;
    struct bytes value;
    TRY(node_keyring_change_decode(cmd->body, &c));
    if (node_sm_get(sm, bytes_of(node_keyring_name, 1), &value) == 0) {
        TRY(gossip_keyring_decode(value, &ring));
    } else {
        TRY(gossip_keyring_begin(&ring, sm->n->options.gossip.first_key));
    }
    TRY(gossip_keyring_apply(&ring, &c));
    TRY(buf_put_u64(reply, ring.revision));
    buf_clear(&sm->n->scratch);
    TRY(gossip_keyring_encode(&ring, &sm->n->scratch));
    return node_sm_put(sm, bytes_of(node_keyring_name, 1), buf_view(&sm->n->scratch));
}
