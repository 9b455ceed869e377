/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Registers. A last-writer-wins register keeps what lost, as long as it is in sight, so the state
 * alone says what a reader is shown.
 */
#include "base/hash.h"
#include "base/num.h"
#include "crdt/crdt_internal.h"

#define CRDT_LWW_ENTRY_BYTES 34u /* that an entry takes beside its value, at most */

static struct crdt_sibling crdt_lww_read(const struct crdt_entry *e)
{
    struct bytes_reader r = bytes_reader_of(crdt_entry_payload(e));
    struct crdt_sibling out = {.dot = e->dot, .time_us = crdt_take_varint(&r)};
    out.value = bytes_of(r.at, r.left);
    return out;
}

static uint64_t crdt_value_hash(struct bytes value)
{
    struct hash_digest d = {0};
    hash_digest_add(&d, value, (struct bytes){0});
    return d.low;
}

/* returns: above 0 if a wins over b: by time, actor, hash of value, value, dot. scenario C11 */
static int crdt_lww_compare(const struct crdt_sibling *a, const struct crdt_sibling *b)
{
    if (a->time_us != b->time_us) {
        return a->time_us < b->time_us ? -1 : 1;
    }
    int order = crdt_actor_compare(a->dot.actor, b->dot.actor);
    if (order != 0) {
        return order;
    }
    uint64_t x = crdt_value_hash(a->value);
    uint64_t y = crdt_value_hash(b->value);
    if (x != y) {
        return x < y ? -1 : 1;
    }
    order = bytes_compare(a->value, b->value);
    return order != 0 ? order : crdt_dot_compare(a->dot, b->dot);
}

/* The newest CRDT_LOSERS_MAX + 1 in falling order. returns: their number. */
static size_t crdt_lww_newest(const struct crdt_record *r,
                              struct crdt_sibling top[CRDT_LOSERS_MAX + 1])
{
    size_t count = 0;
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        struct crdt_sibling one = crdt_lww_read(e);
        size_t at = NUM_MIN(count, CRDT_LOSERS_MAX + 1);
        while (at > 0 && crdt_lww_compare(&one, &top[at - 1]) > 0) {
            if (at <= CRDT_LOSERS_MAX) {
                top[at] = top[at - 1];
            }
            at--;
        }
        if (at <= CRDT_LOSERS_MAX) {
            top[at] = one;
            count = NUM_MIN(count + 1, CRDT_LOSERS_MAX + 1);
        }
    }
    return count;
}

/* returns: whether a loser of that time is in sight of a winner's time. */
static bool crdt_lww_in_sight(uint64_t winner_us, uint64_t loser_us)
{
    return winner_us - loser_us < CRDT_LOSERS_US;
}

size_t crdt_lww_siblings(const struct crdt_record *r, struct crdt_sibling *out, size_t max)
{
    struct crdt_sibling top[CRDT_LOSERS_MAX + 1];
    size_t count = crdt_lww_newest(r, top);
    while (count > 1 && !crdt_lww_in_sight(top[0].time_us, top[count - 1].time_us)) {
        count--;
    }
    for (size_t i = 0; i < NUM_MIN(count, max); i++) {
        out[i] = top[i];
    }
    return count;
}

/* top: in falling order. returns: the first of the losers by this node that have no room beside the
 * value that is set, nor have those after it; count: all have. */
static size_t crdt_lww_room(const struct crdt_making *m, const struct crdt_sibling *top,
                            size_t count)
{
    uint64_t bytes = CRDT_LWW_ENTRY_BYTES + m->op->value.size;
    for (size_t i = 1; i < count; i++) {
        if (top[i].dot.actor.node == m->op->dot.actor.node) {
            bytes += CRDT_LWW_ENTRY_BYTES + top[i].value.size;
            if (bytes > m->limits->node_bytes_max) {
                return i;
            }
        }
    }
    return count;
}

/* Replaces the winner and what will be out of sight of a value of that time: older than a day, or
 * not among the newest losers, or more of this node than it may keep. */
static int crdt_lww_replace(struct crdt_making *m, const struct crdt_record *r, uint64_t time_us,
                            const struct crdt_sibling *top, size_t count)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    size_t room = crdt_lww_room(m, top, count);
    for (; e != NULL; e = crdt_entry_next(e)) {
        struct crdt_sibling one = crdt_lww_read(e);
        bool newest =
            count <= CRDT_LOSERS_MAX || crdt_lww_compare(&one, &top[CRDT_LOSERS_MAX]) >= 0;
        bool fits = room == count || one.dot.actor.node != m->op->dot.actor.node ||
                    crdt_lww_compare(&one, &top[room]) > 0;
        bool kept = newest && fits && crdt_lww_compare(&one, &top[0]) != 0 &&
                    crdt_lww_in_sight(time_us, one.time_us);
        if (!kept) {
            TRY(crdt_making_replace(m, e));
        }
    }
    return 0;
}

static int crdt_register_put(struct crdt_making *m, const uint8_t *head, size_t head_bytes)
{
    struct buf payload;
    buf_init(&payload, &m->out->alloc, SIZE_MAX / 2);
    (void)buf_append(&payload, head, head_bytes);
    (void)buf_append(&payload, m->op->value.data, m->op->value.size);
    int err = payload.err != 0 ? payload.err : crdt_making_put(m, buf_view(&payload));
    buf_release(&payload);
    return err;
}

int crdt_make_lww(struct crdt_making *m)
{
    struct crdt_sibling top[CRDT_LOSERS_MAX + 1];
    const struct crdt_record *r = crdt_making_record(m);
    uint64_t time_us = m->op->time_us;
    uint8_t head[10];
    if (m->op->verb != CRDT_SET) {
        return ERR_INVALID;
    }
    if (m->op->value.size > m->limits->value_bytes_max) {
        return ERR_TOO_LARGE;
    }
    size_t count = crdt_lww_newest(r, top);
    if (count > 0) {
        if (top[0].time_us == UINT64_MAX) {
            return ERR_OVERFLOW;
        }
        time_us = NUM_MAX(time_us, top[0].time_us + 1);
    }
    TRY(crdt_lww_replace(m, r, time_us, top, count));
    return crdt_register_put(m, head, crdt_varint_write(head, time_us));
}

int crdt_make_mv(struct crdt_making *m)
{
    if (m->op->verb != CRDT_SET) {
        return ERR_INVALID;
    }
    if (m->op->value.size > m->limits->value_bytes_max) {
        return ERR_TOO_LARGE;
    }
    TRY(crdt_making_replace_all(m, crdt_making_record(m)));
    return crdt_register_put(m, NULL, 0);
}
