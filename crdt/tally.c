/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Additions to counters of one entry an actor, from the payloads of their one record: what
 * crdt_make_counter does on a state. Anything else than an addition that is made is refused here
 * and left to it.
 */
#include "crdt/crdt_internal.h"

bool crdt_tally_init(struct crdt_tally *t, uint8_t type, struct crdt_actor actor)
{
    *t = (struct crdt_tally){.type = type, .actor = actor};
    return type == CRDT_G_COUNTER || type == CRDT_PN_COUNTER;
}

int crdt_tally_take(struct crdt_tally *t, struct crdt_dot dot, struct bytes payload)
{
    struct crdt_wide sum = {t->low, t->high};
    struct bytes_reader r = bytes_reader_of(payload);
    uint64_t up = crdt_take_varint(&r);
    uint64_t down = t->type == CRDT_PN_COUNTER ? crdt_take_varint(&r) : 0;
    if (!bytes_reader_ended(&r) || up > INT64_MAX || down > INT64_MAX || (up | down) == 0) {
        return ERR_PROTOCOL;
    }
    crdt_wide_add(&sum, (int64_t)up);
    crdt_wide_sub(&sum, (int64_t)down);
    t->low = sum.low;
    t->high = sum.high;
    if (crdt_actor_compare(dot.actor, t->actor) != 0) {
        return 0;
    }
    if (t->replaced != 0) {
        return ERR_CONFLICT;
    }
    t->replaced = dot.counter;
    t->total[0] = up;
    t->total[1] = down;
    return 0;
}

int crdt_tally_add(struct crdt_tally *t, enum crdt_verb verb, int64_t amount)
{
    struct crdt_wide sum = {t->low, t->high};
    uint64_t size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    uint64_t *side = &t->total[amount < 0];
    int64_t value;
    if (verb != CRDT_ADD || amount == 0 || (t->type == CRDT_G_COUNTER && amount < 0)) {
        return ERR_INVALID;
    }
    crdt_wide_add(&sum, amount);
    if (!crdt_wide_get(&sum, &value) || size > INT64_MAX - *side) {
        return ERR_OVERFLOW;
    }
    *side += size;
    t->low = sum.low;
    t->high = sum.high;
    return 0;
}

unsigned crdt_tally_payload(const struct crdt_tally *t, uint8_t into[CRDT_TALLY_BYTES_MAX])
{
    unsigned bytes = crdt_varint_write(into, t->total[0]);
    if (t->type == CRDT_PN_COUNTER) {
        bytes += crdt_varint_write(into + bytes, t->total[1]);
    }
    return bytes;
}
