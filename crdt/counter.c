/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counters, and the largest and smallest of numbers.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

/* Adds the record's entries to sum. */
void crdt_counter_sum(const struct crdt_record *r, uint8_t type, struct crdt_wide *sum)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        struct bytes_reader reader = bytes_reader_of(crdt_entry_payload(e));
        uint64_t first = crdt_take_varint(&reader);
        if (type == CRDT_COUNTER) {
            crdt_wide_add(sum, crdt_unzigzag(first));
            continue;
        }
        crdt_wide_add(sum, (int64_t)first);
        if (type == CRDT_PN_COUNTER) {
            crdt_wide_sub(sum, (int64_t)crdt_take_varint(&reader));
        }
    }
}

/* The actor's totals so far; its entry is replaced. */
static int crdt_counter_own(struct crdt_making *m, const struct crdt_record *r, uint64_t total[2],
                            uint8_t type)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        if (crdt_actor_compare(e->dot.actor, m->op->dot.actor) != 0) {
            continue;
        }
        struct bytes_reader reader = bytes_reader_of(crdt_entry_payload(e));
        total[0] = crdt_take_varint(&reader);
        total[1] = type == CRDT_PN_COUNTER ? crdt_take_varint(&reader) : 0;
        TRY(crdt_making_replace(m, e));
    }
    return 0;
}

int crdt_make_counter(struct crdt_making *m, uint8_t type)
{
    int64_t amount = m->op->amount;
    const struct crdt_record *r = crdt_making_record(m);
    struct crdt_wide sum = {0};
    uint64_t total[2] = {0, 0};
    uint8_t payload[20];
    int64_t value;
    if (m->op->verb != CRDT_ADD || (type == CRDT_G_COUNTER && amount < 0)) {
        return ERR_INVALID;
    }
    if (amount == 0) {
        return 0;
    }
    crdt_counter_sum(r, type, &sum);
    crdt_wide_add(&sum, amount);
    if (!crdt_wide_get(&sum, &value)) {
        return ERR_OVERFLOW;
    }
    if (type == CRDT_COUNTER) {
        unsigned bytes = crdt_varint_write(payload, crdt_zigzag(amount));
        return crdt_making_put(m, bytes_of(payload, bytes));
    }
    TRY(crdt_counter_own(m, r, total, type));
    uint64_t size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    uint64_t *side = &total[amount < 0];
    if (size > INT64_MAX - *side) {
        return ERR_OVERFLOW;
    }
    *side += size;
    unsigned bytes = crdt_varint_write(payload, total[0]);
    if (type == CRDT_PN_COUNTER) {
        bytes += crdt_varint_write(payload + bytes, total[1]);
    }
    return crdt_making_put(m, bytes_of(payload, bytes));
}

bool crdt_extreme_of(const struct crdt_record *r, uint8_t type, int64_t *value)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    bool any = false;
    for (; e != NULL; e = crdt_entry_next(e)) {
        struct bytes_reader reader = bytes_reader_of(crdt_entry_payload(e));
        int64_t one = crdt_unzigzag(crdt_take_varint(&reader));
        if (!any || (type == CRDT_MAX ? one > *value : one < *value)) {
            *value = one;
        }
        any = true;
    }
    return any;
}

int crdt_make_extreme(struct crdt_making *m, uint8_t type)
{
    const struct crdt_record *r = crdt_making_record(m);
    int64_t value = 0;
    uint8_t payload[10];
    if (m->op->verb != CRDT_SET) {
        return ERR_INVALID;
    }
    bool any = crdt_extreme_of(r, type, &value);
    if (any && (type == CRDT_MAX ? m->op->amount <= value : m->op->amount >= value)) {
        return 0;
    }
    TRY(crdt_making_replace_all(m, r));
    unsigned bytes = crdt_varint_write(payload, crdt_zigzag(m->op->amount));
    return crdt_making_put(m, bytes_of(payload, bytes));
}
