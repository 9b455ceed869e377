/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The heap of events: by time, then in the order in which they were pushed.
 */
#include "base/num.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

static bool sim_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void sim_push(struct sim *s, const struct sim_event *ev)
{
    if (s->heap_count == s->heap_cap) {
        s->heap_cap = NUM_MAX(1024, s->heap_cap * 2);
        s->heap = realloc(s->heap, s->heap_cap * sizeof(*s->heap));
        ASSERT(s->heap != NULL);
    }
    size_t at = s->heap_count++;
    struct sim_event item = *ev;
    item.number = s->number++;
    while (at > 0 && sim_before(&item, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = item;
}

struct sim_event sim_pop(struct sim *s)
{
    struct sim_event top = s->heap[0];
    struct sim_event item = s->heap[--s->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= s->heap_count) {
            break;
        }
        if (child + 1 < s->heap_count && sim_before(&s->heap[child + 1], &s->heap[child])) {
            child++;
        }
        if (!sim_before(&s->heap[child], &item)) {
            break;
        }
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = item;
    return top;
}
