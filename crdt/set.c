/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Flags and sets. Where adding wins, an entry is an addition, and a removal leaves none. Where
 * removing wins, entries say which they are, and one "no" among those that are left is enough.
 */
#include "crdt/crdt_internal.h"

bool crdt_all_true(const struct crdt_record *r)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    bool all = e != NULL;
    for (; e != NULL; e = crdt_entry_next(e)) {
        all = all && e->payload_bytes == 1 && e->payload[0] == 1;
    }
    return all;
}

/* Replaces what the record of m->key has by a yes or a no. */
static int crdt_make_said(struct crdt_making *m, bool yes, bool removal_wins)
{
    uint8_t payload = yes;
    TRY(crdt_making_replace_all(m, crdt_making_record(m)));
    if (!yes && !removal_wins) {
        return 0;
    }
    return crdt_making_put(m, bytes_of(&payload, removal_wins ? 1 : 0));
}

int crdt_make_flag(struct crdt_making *m, uint8_t type)
{
    if (m->op->verb != CRDT_ENABLE && m->op->verb != CRDT_DISABLE) {
        return ERR_INVALID;
    }
    return crdt_make_said(m, m->op->verb == CRDT_ENABLE, type == CRDT_DW_FLAG);
}

int crdt_make_set(struct crdt_making *m, uint8_t type)
{
    bool add = m->op->verb == CRDT_ADD;
    if (!add && (m->op->verb != CRDT_REMOVE || type == CRDT_G_SET)) {
        return ERR_INVALID;
    }
    if (m->op->value.size > m->limits->element_bytes_max) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_append(&m->key, m->op->value.data, m->op->value.size));
    if (type == CRDT_G_SET && crdt_making_record(m) != NULL) {
        return 0;
    }
    return crdt_make_said(m, add, type == CRDT_RW_SET);
}
