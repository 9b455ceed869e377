/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Epochs of actors, as group 0 grants them: each once, in blocks, to the start of a node that it
 * has recorded, and to no other.
 *
 *   EPOCHS   node u32be    next u64, and the start that was granted the last block: boot u64,
 *                          nonce u64; then the first epoch u64 of each of the last blocks, rising
 *
 * A state of group 0 that is set back as a whole has forgotten what it granted since. So a block
 * lies where the wall clock of who asks says, unless blocks do already that come later: what is
 * granted then lies behind all that was granted before, as long as clocks went on
 * (docs/adr/0023-epochs-follow-the-clock.md). Apply reads no clock: the command names the time.
 */
#include "base/num.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_GRANT_BYTES 24u
/* Unix time of 2026-01-01. No block lies where a time before it says, or one so many seconds later
 * or more (until 2093): such a clock is wrong, and epochs are to last. */
#define NODE_EV_LABEL_FROM_S UINT64_C(1767225600)
#define NODE_EV_EPOCHS_MAX (UINT64_C(1) << 40) /* what is beyond was never granted */
#define NODE_EV_LABEL_SPAN_S ((UINT64_C(1) << 31) - (UINT64_C(1) << 20))

/* The record, taken apart. */
struct node_ev_grants {
    uint64_t next;
    struct bytes last; /* boot, nonce */
    struct bytes firsts;
};

/* returns: whether it is one. */
static bool node_ev_grants_of(struct bytes value, struct node_ev_grants *out)
{
    size_t more = value.size < NODE_EV_GRANT_BYTES ? 1 : value.size - NODE_EV_GRANT_BYTES;
    if (more % sizeof(uint64_t) != 0 || more / sizeof(uint64_t) > NODE_EV_BLOCKS_KEPT) {
        return false;
    }
    out->next = NUM_MAX(num_get_u64(value.data), 1);
    out->last = bytes_of(value.data + 8, 16);
    out->firsts = bytes_of(value.data + NODE_EV_GRANT_BYTES, more);
    return true;
}

bool node_ev_epoch_may_go_on(const struct node *n, const struct node_ev_self_record *before)
{
    bool recent = n->wall >= before->ended_us && n->wall - before->ended_us <= NODE_EV_GOES_ON_US;
    return before->clean && before->epoch != 0 && before->ended_us != 0 && recent;
}

void node_ev_epochs_encode(const struct node *n, const struct node_ev_self_record *before,
                           uint8_t into[NODE_EV_EPOCHS_BYTES])
{
    num_put_u32(into, n->self);
    num_put_u64(into + 4, n->options.boot);
    num_put_u64(into + 12, n->options.boot_nonce);
    num_put_u64(into + 20, before->boot);
    num_put_u64(into + 28, before->nonce);
    num_put_u64(into + 36, n->wall / 1000000);
    num_put_u64(into + 44, before->end);
}

/* returns: whether the body is one; of the former format it names no time, and no epoch. */
static bool node_ev_epochs_sound(struct bytes body)
{
    return body.size == NODE_EV_EPOCHS_BYTES || body.size == NODE_EV_EPOCHS_BYTES - 16;
}

int node_ev_epochs_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    uint8_t name[5];
    if (!node_ev_epochs_sound(cmd->body)) {
        return ERR_INVALID;
    }
    uint32_t node = num_get_u32(cmd->body.data);
    TRY(node_keys_add(out, node_numbered_name(NODE_KEY_NODE, node, name)));
    return node_keys_add(out, node_numbered_name(NODE_KEY_EPOCHS, node, name));
}

/* returns: the first epoch of the block that begins at that second; 0: none does. */
static uint64_t node_ev_label_first(uint64_t wall_s)
{
    uint64_t s = wall_s > NODE_EV_LABEL_FROM_S ? wall_s - NODE_EV_LABEL_FROM_S : 0;
    return s >= NODE_EV_LABEL_SPAN_S ? 0 : s * NODE_EV_BLOCK;
}

/* into: of NODE_EV_BLOCKS_KEPT numbers. The blocks that are kept beside a new one; of a record that
 * names none they lie one behind the other from 1 to its next. returns: bytes. */
static size_t node_ev_grants_kept(const struct node_ev_grants *old, uint8_t *into)
{
    const size_t most = (NODE_EV_BLOCKS_KEPT - 1) * sizeof(uint64_t);
    size_t size = NUM_MIN(old->firsts.size, most);
    if (size > 0) {
        memcpy(into, old->firsts.data + (old->firsts.size - size), size);
        return size;
    }
    uint64_t count = NUM_MIN((old->next - 1) / NODE_EV_BLOCK, (uint64_t)NODE_EV_BLOCKS_KEPT - 1);
    for (uint64_t i = 0; i < count; i++) {
        num_put_u64(into + size, old->next - (count - i) * NODE_EV_BLOCK);
        size += sizeof(uint64_t);
    }
    return size;
}

/* timed: the command named a time. One of the former format leaves a record of the former format as
 * one: an older log gives the state that it gave. */
static int node_ev_grants_put(struct node_sm *sm, struct bytes name,
                              const struct node_ev_grants *old, const struct node_ev_grants *now,
                              bool timed)
{
    uint8_t raw[NODE_EV_GRANT_BYTES + NODE_EV_BLOCKS_KEPT * sizeof(uint64_t)];
    size_t size = NODE_EV_GRANT_BYTES;
    num_put_u64(raw, now->next);
    memcpy(raw + 8, now->last.data, now->last.size);
    if (timed || old->firsts.size > 0) {
        size += node_ev_grants_kept(old, raw + size);
        num_put_u64(raw + size, now->next - NODE_EV_BLOCK);
        size += sizeof(uint64_t);
    }
    return node_sm_put(sm, name, bytes_of(raw, size));
}

int node_ev_epochs_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    uint8_t name_raw[5];
    struct bytes value;
    struct node_ev_grants old = {.next = 1};
    bool alone = false;
    if (!node_ev_epochs_sound(cmd->body) || node_sm_group(sm) != 0) {
        return ERR_INVALID;
    }
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint32_t node = bytes_take_u32(&r);
    struct bytes start = bytes_take(&r, 16);  /* boot, nonce */
    struct bytes before = bytes_take(&r, 16); /* of the start that the disk is of */
    bool timed = r.left > 0;
    uint64_t first = timed ? node_ev_label_first(bytes_take_u64(&r)) : 0;
    uint64_t had = timed ? bytes_take_u64(&r) : 0; /* the end of its last block, as it knows */
    TRY(node_sm_get(sm, node_numbered_name(NODE_KEY_NODE, node, name_raw), &value));
    if (value.size < NODE_BOOT_HEAD ||
        !bytes_equal(bytes_of(value.data + NODE_BOOT_AT, 16), start)) {
        return ERR_FENCED; /* another start of the node is recorded */
    }
    struct bytes name = node_numbered_name(NODE_KEY_EPOCHS, node, name_raw);
    if (node_sm_get(sm, name, &value) == 0 && node_ev_grants_of(value, &old)) {
        alone = num_get_u64(before.data) != 0 && bytes_equal(old.last, before);
    }
    first = NUM_MAX(first + 1, old.next);
    first = had < NODE_EV_EPOCHS_MAX ? NUM_MAX(first, had) : first;
    const struct node_ev_grants now = {.next = first + NODE_EV_BLOCK, .last = start};
    TRY(node_ev_grants_put(sm, name, &old, &now, timed));
    (void)buf_put_u64(reply, first);
    (void)buf_put_u64(reply, first + NODE_EV_BLOCK);
    return buf_put_u8(reply, alone);
}

void node_ev_epochs_note(struct node *n, uint32_t node, struct bytes value)
{
    struct node_control_peer *p = node_control_peer_of(n, node);
    struct node_ev_grants now;
    if (p == NULL || !node_ev_grants_of(value, &now) || now.next < p->epochs_next) {
        return;
    }
    p->epochs_next = now.next;
    p->blocks_count = (uint32_t)(now.firsts.size / sizeof(uint64_t));
    for (uint32_t i = 0; i < p->blocks_count; i++) {
        p->blocks[i] = num_get_u64(now.firsts.data + i * sizeof(uint64_t));
    }
}

/* What lies before the oldest block that is known counts as granted, if there may have been more.
 */
bool node_ev_granted(const struct node *n, struct crdt_actor actor)
{
    const struct node_control_peer *p = node_control_peer_of(n, actor.node);
    if (p == NULL || actor.epoch == 0 || actor.epoch >= p->epochs_next) {
        return false;
    }
    for (uint32_t i = p->blocks_count; i-- > 0;) {
        if (p->blocks[i] <= actor.epoch) {
            return actor.epoch - p->blocks[i] < NODE_EV_BLOCK;
        }
    }
    return p->blocks_count == 0 || p->blocks_count == NODE_EV_BLOCKS_KEPT;
}
