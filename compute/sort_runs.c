/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sorted entries: written away as runs, which are merged, or given as they lie in memory. A run is
 * of entries that came one behind the other, and runs are in that order, so that of equal keys the
 * one of the earlier run is first.
 */
#include "base/num.h"
#include "compute/sort_internal.h"

/* --- merging --- */

struct reader {
    struct compute_run_reader run;
    struct compute_sort_entry entry; /* that is next */
};

/* A heap of readers that have not ended, the one that is next first. */
struct stream {
    struct alloc alloc;
    unsigned count;
    unsigned waits; /* in the heap */
    bool given;     /* the first one's entry was */
    unsigned heap[COMPUTE_RUNS_MAX];
    struct reader reader[];
};

static int reader_next(struct reader *r)
{
    TRY(compute_run_reader_next(&r->run));
    if (!r->run.ended) {
        r->entry.key = bytes_take_bytes(&r->run.rest, r->run.rest.left);
        r->entry.line = bytes_take_bytes(&r->run.rest, r->run.rest.left);
    }
    return r->run.rest.failed ? ERR_CORRUPT : 0;
}

/* returns: whether reader a is before b. */
static bool is_before(const struct stream *s, unsigned a, unsigned b)
{
    const int order = bytes_compare(s->reader[a].entry.key, s->reader[b].entry.key);
    return order < 0 || (order == 0 && a < b);
}

static void heap_down(struct stream *s, unsigned at)
{
    for (;;) {
        unsigned least = at;
        for (unsigned child = 2 * at + 1; child <= 2 * at + 2 && child < s->waits; child++) {
            least = is_before(s, s->heap[child], s->heap[least]) ? child : least;
        }
        if (least == at) {
            return;
        }
        const unsigned kept = s->heap[at];
        s->heap[at] = s->heap[least];
        s->heap[least] = kept;
        at = least;
    }
}

static void stream_free(struct stream *s)
{
    if (s == NULL) {
        return;
    }
    const struct alloc alloc = s->alloc;
    for (unsigned i = 0; i < s->count; i++) {
        compute_run_reader_release(&s->reader[i].run);
    }
    alloc_put(&alloc, s, sizeof(*s) + s->count * sizeof(s->reader[0]));
}

/* r: borrowed. */
static int stream_new(struct stream **out, const struct alloc *alloc, const struct compute_runs *r)
{
    struct stream *s = alloc_get_zeroed(alloc, 1, sizeof(*s) + r->count * sizeof(struct reader));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->alloc = *alloc;
    s->count = r->count;
    for (unsigned i = 0; i < s->count; i++) {
        compute_run_reader_init(&s->reader[i].run, r->spill, &r->run[i], alloc);
    }
    int err = 0;
    for (unsigned i = 0; i < s->count && err == 0; i++) {
        err = reader_next(&s->reader[i]);
        if (!s->reader[i].run.ended) {
            s->heap[s->waits++] = i;
        }
    }
    if (err != 0) {
        stream_free(s);
        return err;
    }
    for (unsigned i = s->waits / 2; i-- > 0;) {
        heap_down(s, i);
    }
    *out = s;
    return 0;
}

/* The next entry, a view until the next call; NULL behind the last. */
static int stream_next(struct stream *s, const struct compute_sort_entry **out)
{
    *out = NULL;
    if (s->given) {
        struct reader *r = &s->reader[s->heap[0]];
        s->given = false;
        TRY(reader_next(r));
        if (r->run.ended) {
            s->heap[0] = s->heap[--s->waits];
        }
        heap_down(s, 0);
    }
    if (s->waits > 0) {
        s->given = true;
        *out = &s->reader[s->heap[0]].entry;
    }
    return 0;
}

/* --- writing --- */

static int writer_put(struct compute_run_writer *w, const struct compute_sort_entry *e)
{
    struct buf *block = compute_run_writer_block(w);
    (void)buf_put_bytes(block, e->key);
    (void)buf_put_bytes(block, e->line);
    return compute_run_writer_keep(w);
}

static int write_entries(const struct compute_sorter *s, struct compute_run_writer *w)
{
    struct compute_order_item *items = NULL;
    TRY(compute_sorter_items(s, &items));
    int err = 0;
    for (size_t i = 0; i < s->count && err == 0; i++) {
        const struct compute_sort_entry e = compute_sort_entry_at(items[i].at);
        err = writer_put(w, &e);
    }
    compute_sorter_items_free(s, items);
    return err;
}

static int write_stream(struct stream *s, struct compute_run_writer *w)
{
    for (;;) {
        const struct compute_sort_entry *e = NULL;
        TRY(stream_next(s, &e));
        if (e == NULL) {
            return 0;
        }
        TRY(writer_put(w, e));
    }
}

/* The last runs become one of the next level. */
static int merge_last(struct compute_runs *r, const struct alloc *alloc)
{
    const unsigned first = r->count - COMPUTE_RUNS_MERGED;
    struct compute_runs last = {.spill = r->spill, .count = COMPUTE_RUNS_MERGED};
    struct compute_run_writer w;
    struct stream *s = NULL;
    struct compute_run merged;
    memcpy(last.run, r->run + first, sizeof(last.run[0]) * COMPUTE_RUNS_MERGED);
    TRY(compute_run_writer_start(&w, r->spill, alloc, last.run[0].level + 1));
    int err = stream_new(&s, alloc, &last);
    err = err == 0 ? write_stream(s, &w) : err;
    stream_free(s);
    TRY(compute_run_writer_end(&w, err, &merged));
    r->count = first;
    compute_runs_release(&last);
    r->run[r->count++] = merged;
    return 0;
}

int compute_sorter_spill(struct compute_sorter *s)
{
    struct compute_runs *r = s->runs;
    struct compute_run_writer w;
    struct compute_run run;
    if (r->count == COMPUTE_RUNS_MAX) {
        return ERR_TOO_LARGE; /* 16^8 runs */
    }
    TRY(compute_run_writer_start(&w, r->spill, &s->alloc, 0));
    TRY(compute_run_writer_end(&w, write_entries(s, &w), &run));
    r->run[r->count++] = run;
    compute_sorter_release(s);
    while (compute_runs_is_full(r)) {
        TRY(merge_last(r, &s->alloc));
    }
    return 0;
}

/* --- the result --- */

struct compute_sorted {
    const struct compute_sorter *sorter;
    struct compute_order_item *items; /* in memory */
    size_t at;
    struct stream *stream; /* or from runs */
};

int compute_sorted_new(struct compute_sorted **out, struct compute_sorter *s)
{
    const bool runs = s->runs != NULL && s->runs->count > 0;
    if (runs && s->count > 0) {
        TRY(compute_sorter_spill(s));
    }
    struct compute_sorted *x = alloc_get_zeroed(&s->alloc, 1, sizeof(*x));
    if (x == NULL) {
        return ERR_NO_MEMORY;
    }
    x->sorter = s;
    const int err =
        runs ? stream_new(&x->stream, &s->alloc, s->runs) : compute_sorter_items(s, &x->items);
    if (err != 0) {
        compute_sorted_free(x);
        return err;
    }
    *out = x;
    return 0;
}

void compute_sorted_free(struct compute_sorted *x)
{
    if (x == NULL) {
        return;
    }
    stream_free(x->stream);
    compute_sorter_items_free(x->sorter, x->items);
    alloc_put(&x->sorter->alloc, x, sizeof(*x));
}

/* *more: whether there was one. */
static int next_line(struct compute_sorted *x, struct buf *into, bool *more)
{
    const struct compute_sort_entry *e = NULL;
    struct compute_sort_entry here;
    if (x->stream != NULL) {
        TRY(stream_next(x->stream, &e));
    } else if (x->at < x->sorter->count) {
        here = compute_sort_entry_at(x->items[x->at++].at);
        e = &here;
    }
    *more = e != NULL;
    return e != NULL ? buf_append(into, e->line.data, e->line.size) : 0;
}

int compute_sorted_next(struct compute_sorted *x, struct buf *into, bool *more)
{
    const size_t until = into->size + COMPUTE_RUNS_TEXT_BYTES;
    *more = true;
    while (*more && into->size < until) {
        TRY(next_line(x, into, more));
    }
    return 0;
}
