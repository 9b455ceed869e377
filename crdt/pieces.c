/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Join decomposition (Enes, Almeida, Baquero, Leitao, "Efficient synchronization of state-based
 * CRDTs", ICDE 2019): a state of this algebra is join-irreducible exactly if it has seen one dot.
 * An epoch that is folded is one piece: no part of it can be told.
 */
#include "crdt/crdt_internal.h"

void crdt_pieces_begin(struct crdt_pieces *p, const struct crdt_state *s)
{
    *p = (struct crdt_pieces){.of = s};
}

static int crdt_pieces_epoch(const struct crdt_state *s, struct crdt_range epoch,
                             struct crdt_state *out)
{
    const struct crdt_entry *e = crdt_in_range_first(s, epoch);
    for (; crdt_in_range(e, epoch); e = crdt_entry_next_dot(e)) {
        TRY(crdt_state_put(out, crdt_record_key(e->record), e->dot, crdt_entry_payload(e)));
    }
    return 0;
}

int crdt_pieces_next(struct crdt_pieces *p, struct crdt_state *out)
{
    const struct crdt_context *c = &p->of->seen;
    ASSERT(crdt_state_empty(out));
    if (p->range >= c->count) {
        return ERR_NOT_FOUND;
    }
    struct crdt_range range = c->ranges[p->range];
    struct crdt_dot dot = {.actor = range.actor, .counter = range.from + p->counter};
    const struct crdt_entry *e = crdt_entry_find(p->of, dot);
    TRY(crdt_context_reserve(&out->seen, 1));
    if (range.actor.epoch == CRDT_FOLDED) {
        int err = crdt_pieces_epoch(p->of, crdt_range_of(dot), out);
        if (err != 0) {
            crdt_state_clear(out);
            return err;
        }
    } else if (e != NULL) {
        TRY(crdt_state_put(out, crdt_record_key(e->record), dot, crdt_entry_payload(e)));
    }
    const struct crdt_range one = crdt_range_of(dot);
    crdt_context_put(&out->seen, &one);
    p->counter++;
    if (dot.counter == range.to) {
        p->range++;
        p->counter = 0;
    }
    return 0;
}
