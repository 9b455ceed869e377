/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The result of groups that were written away: lines in the order of keys, or the top of them.
 */
#include "base/num.h"
#include "compute/runs_internal.h"

#include <stdlib.h>

/* A line that may be one of the top. */
struct line {
    struct compute_value value;
    uint64_t number; /* in the order of keys */
    uint8_t *text;
    size_t bytes;
    bool has; /* a value */
};

struct compute_runs_text {
    const struct compute_program *p;
    struct alloc alloc;
    uint64_t limit_bytes;
    uint64_t used_bytes; /* of lines */
    struct compute_stream *stream;
    struct buf part;
    struct line *line; /* top: a heap whose first is the last of them, then sorted */
    size_t count;
    size_t room;
    size_t shown;
};

/* returns: as bytes_compare, the one that is shown first being less. */
static int line_compare(const void *left, const void *right)
{
    const struct line *a = left;
    const struct line *b = right;
    if (a->has != b->has) {
        return a->has ? -1 : 1;
    }
    const int order = a->has ? compute_value_compare(&a->value, &b->value) : 0;
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static void swap(struct line *a, struct line *b)
{
    const struct line kept = *a;
    *a = *b;
    *b = kept;
}

static void heap_up(struct line *heap, size_t at)
{
    while (at > 0 && line_compare(&heap[at], &heap[(at - 1) / 2]) > 0) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void heap_down(struct line *heap, size_t count)
{
    size_t at = 0;
    for (;;) {
        size_t last = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
            last = line_compare(&heap[child], &heap[last]) > 0 ? child : last;
        }
        if (last == at) {
            return;
        }
        swap(&heap[at], &heap[last]);
        at = last;
    }
}

static void line_drop(struct compute_runs_text *x, struct line *l)
{
    alloc_put(&x->alloc, l->text, l->bytes);
    x->used_bytes -= sizeof(*l) + l->bytes;
    l->text = NULL;
}

/* Room for one line more. */
static int line_room(struct compute_runs_text *x)
{
    if (x->count < x->room) {
        return 0;
    }
    const size_t room = NUM_MAX(x->room * 2, (size_t)64);
    struct line *wider = alloc_get_zeroed(&x->alloc, room, sizeof(wider[0]));
    if (wider == NULL) {
        return ERR_NO_MEMORY;
    }
    if (x->count > 0) {
        memcpy(wider, x->line, x->count * sizeof(wider[0]));
    }
    alloc_put(&x->alloc, x->line, x->room * sizeof(wider[0]));
    x->line = wider;
    x->room = room;
    return 0;
}

static int line_add(struct compute_runs_text *x, struct line l, struct compute_group *group)
{
    struct buf text;
    buf_init(&text, &x->alloc, SIZE_MAX);
    int err = line_room(x);
    err = err == 0 ? compute_group_text(x->p, group, &x->part, &text) : err;
    l.bytes = text.size;
    l.text = err == 0 ? alloc_get(&x->alloc, l.bytes) : NULL;
    if (err != 0 || l.text == NULL) {
        buf_release(&text);
        return err != 0 ? err : ERR_NO_MEMORY;
    }
    memcpy(l.text, text.data, l.bytes);
    buf_release(&text);
    x->line[x->count] = l;
    heap_up(x->line, x->count++);
    x->used_bytes += sizeof(l) + l.bytes;
    return x->used_bytes <= x->limit_bytes ? 0 : ERR_TOO_LARGE;
}

/* Takes in a group if it is one of the top so far. */
static int top_take(struct compute_runs_text *x, struct compute_group *group, uint64_t number)
{
    struct line l = {.number = number};
    const int err = compute_group_rank(x->p, group, &l.value);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    l.has = err == 0;
    if (x->count == x->p->top) {
        if (line_compare(&l, &x->line[0]) > 0) {
            return 0;
        }
        line_drop(x, &x->line[0]);
        x->count--;
        x->line[0] = x->line[x->count];
        heap_down(x->line, x->count);
    }
    return line_add(x, l, group);
}

static int top_find(struct compute_runs_text *x)
{
    for (uint64_t number = 0;; number++) {
        struct compute_group *group = NULL;
        TRY(compute_stream_next(x->stream, &group));
        if (group == NULL) {
            break;
        }
        TRY(top_take(x, group, number));
    }
    if (x->count > 0) {
        qsort(x->line, x->count, sizeof(x->line[0]), line_compare);
    }
    return 0;
}

int compute_runs_text_new(struct compute_runs_text **out, struct compute_runs *r,
                          struct compute_groups *g)
{
    const struct alloc alloc = g->store.alloc;
    if (g->count > 0) {
        TRY(compute_runs_put(r, g));
    }
    struct compute_runs_text *x = alloc_get_zeroed(&alloc, 1, sizeof(*x));
    if (x == NULL) {
        return ERR_NO_MEMORY;
    }
    x->p = g->p;
    x->alloc = alloc;
    x->limit_bytes = g->limit_bytes;
    buf_init(&x->part, &alloc, SIZE_MAX);
    int err = compute_stream_new(&x->stream, g->p, &alloc, r);
    err = err == 0 && x->p->top > 0 ? top_find(x) : err;
    if (err != 0) {
        compute_runs_text_free(x);
        return err;
    }
    *out = x;
    return 0;
}

void compute_runs_text_free(struct compute_runs_text *x)
{
    if (x == NULL) {
        return;
    }
    const struct alloc alloc = x->alloc;
    for (size_t i = 0; i < x->count; i++) {
        line_drop(x, &x->line[i]);
    }
    alloc_put(&alloc, x->line, x->room * sizeof(x->line[0]));
    compute_stream_free(x->stream);
    buf_release(&x->part);
    alloc_put(&alloc, x, sizeof(*x));
}

static int next_line(struct compute_runs_text *x, struct buf *into, bool *more)
{
    if (x->p->top > 0) {
        *more = x->shown < x->count;
        if (*more) {
            const struct line *l = &x->line[x->shown++];
            return buf_append(into, l->text, l->bytes);
        }
        return 0;
    }
    struct compute_group *group = NULL;
    TRY(compute_stream_next(x->stream, &group));
    *more = group != NULL;
    return *more ? compute_group_text(x->p, group, &x->part, into) : 0;
}

int compute_runs_text_next(struct compute_runs_text *x, struct buf *into, bool *more)
{
    const size_t until = into->size + COMPUTE_RUNS_TEXT_BYTES;
    *more = true;
    while (*more && into->size < until) {
        TRY(next_line(x, into, more));
    }
    return 0;
}
