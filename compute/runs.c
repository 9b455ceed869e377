/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs: writing them, and merging them.
 */
#include "compute/runs_internal.h"

#include "base/num.h"

#include <stdlib.h>

/* --- writing --- */

static int writer_put(struct compute_run_writer *w, const struct compute_program *p,
                      struct compute_group *group)
{
    TRY(compute_group_encode(p, group, compute_run_writer_block(w)));
    return compute_run_writer_keep(w);
}

static int write_groups(struct compute_groups *g, struct compute_run_writer *w)
{
    struct compute_group **list = NULL;
    TRY(compute_groups_sorted(g, &list));
    int err = 0;
    for (size_t i = 0; i < g->count && err == 0; i++) {
        err = writer_put(w, g->p, list[i]);
    }
    compute_groups_sorted_free(g, list);
    return err;
}

static int write_stream(const struct compute_program *p, struct compute_stream *s,
                        struct compute_run_writer *w)
{
    for (;;) {
        struct compute_group *group = NULL;
        TRY(compute_stream_next(s, &group));
        if (group == NULL) {
            return 0;
        }
        TRY(writer_put(w, p, group));
    }
}

/* The last runs become one of the next level. */
static int merge_last(struct compute_runs *r, const struct compute_program *p,
                      const struct alloc *alloc)
{
    const unsigned first = r->count - COMPUTE_RUNS_MERGED;
    struct compute_runs last = {.spill = r->spill, .count = COMPUTE_RUNS_MERGED};
    struct compute_stream *s = NULL;
    struct compute_run merged;
    struct compute_run_writer w;
    memcpy(last.run, r->run + first, sizeof(last.run[0]) * COMPUTE_RUNS_MERGED);
    TRY(compute_run_writer_start(&w, r->spill, alloc, last.run[0].level + 1));
    int err = compute_stream_new(&s, p, alloc, &last);
    err = err == 0 ? write_stream(p, s, &w) : err;
    compute_stream_free(s);
    TRY(compute_run_writer_end(&w, err, &merged));
    r->count = first;
    compute_runs_release(&last);
    r->run[r->count++] = merged;
    return 0;
}

int compute_runs_put(struct compute_runs *r, struct compute_groups *g)
{
    const struct compute_program *p = g->p;
    const struct alloc alloc = g->store.alloc;
    const uint64_t limit_bytes = g->limit_bytes;
    struct compute_run run;
    struct compute_run_writer w;
    if (r->count == COMPUTE_RUNS_MAX) {
        return ERR_TOO_LARGE; /* 16^8 runs */
    }
    TRY(compute_run_writer_start(&w, r->spill, &alloc, 0));
    TRY(compute_run_writer_end(&w, write_groups(g, &w), &run));
    r->run[r->count++] = run;
    compute_groups_release(g);
    compute_groups_init(g, p, &alloc, limit_bytes);
    g->runs = r;
    while (compute_runs_is_full(r)) {
        TRY(merge_last(r, p, &alloc));
    }
    return 0;
}

/* --- reading --- */

struct reader {
    struct compute_run_reader run; /* rest: behind the key */
    struct bytes key;              /* of the group that is next */
};

struct compute_stream {
    const struct compute_program *p;
    struct compute_store store;
    unsigned count;
    struct buf group[2]; /* the one to give, and the one to merge into it */
    bool has[2];
    struct reader reader[];
};

static int reader_next(struct reader *r)
{
    TRY(compute_run_reader_next(&r->run));
    if (!r->run.ended) {
        r->key = bytes_take_bytes(&r->run.rest, r->run.rest.left);
    }
    return r->run.rest.failed ? ERR_CORRUPT : 0;
}

int compute_stream_new(struct compute_stream **out, const struct compute_program *p,
                       const struct alloc *alloc, const struct compute_runs *r)
{
    const size_t bytes = sizeof(struct compute_stream) + r->count * sizeof(struct reader);
    struct compute_stream *s = alloc_get_zeroed(alloc, 1, bytes);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->p = p;
    s->store.alloc = *alloc;
    s->count = r->count;
    buf_init(&s->group[0], alloc, SIZE_MAX);
    buf_init(&s->group[1], alloc, SIZE_MAX);
    for (unsigned i = 0; i < s->count; i++) {
        compute_run_reader_init(&s->reader[i].run, r->spill, &r->run[i], alloc);
    }
    int err = 0;
    for (unsigned i = 0; i < s->count && err == 0; i++) {
        err = reader_next(&s->reader[i]);
    }
    if (err != 0) {
        compute_stream_free(s);
        return err;
    }
    *out = s;
    return 0;
}

static void group_release(struct compute_stream *s, unsigned which)
{
    const struct compute_program *p = s->p;
    struct compute_group *group = (struct compute_group *)(void *)s->group[which].data;
    for (uint32_t a = 0; a < p->aggregates && s->has[which]; a++) {
        compute_tally_release(compute_group_tally(group, p->aggregate[a].at), p->aggregate[a].op,
                              &s->store);
    }
    s->has[which] = false;
}

void compute_stream_free(struct compute_stream *s)
{
    if (s == NULL) {
        return;
    }
    const struct alloc alloc = s->store.alloc;
    group_release(s, 0);
    group_release(s, 1);
    buf_release(&s->group[0]);
    buf_release(&s->group[1]);
    for (unsigned i = 0; i < s->count; i++) {
        compute_run_reader_release(&s->reader[i].run);
    }
    alloc_put(&alloc, s, sizeof(*s) + s->count * sizeof(s->reader[0]));
}

/* Takes the reader's group, and goes on to the next. */
static int group_take(struct compute_stream *s, unsigned which, struct reader *r)
{
    const struct compute_program *p = s->p;
    struct buf *into = &s->group[which];
    const size_t key_at = sizeof(struct compute_group) + p->tally_bytes;
    group_release(s, which);
    buf_clear(into);
    TRY(buf_reserve(into, key_at + r->key.size));
    memset(into->data, 0, key_at);
    if (r->key.size > 0) {
        memcpy(into->data + key_at, r->key.data, r->key.size);
    }
    struct compute_group *group = (struct compute_group *)(void *)into->data;
    group->key_bytes = (uint32_t)r->key.size;
    group->key_at = (uint32_t)key_at;
    s->has[which] = true;
    for (uint32_t a = 0; a < p->aggregates; a++) {
        const int err =
            compute_tally_decode(compute_group_tally(group, p->aggregate[a].at), p->aggregate[a].op,
                                 &r->run.rest, UINT64_MAX, &s->store);
        if (err != 0) {
            return err == ERR_PROTOCOL ? ERR_CORRUPT : err;
        }
    }
    return reader_next(r);
}

/* The first reader, from `from` on, that is at this key. returns: NULL if there is none. */
static struct reader *reader_at(struct compute_stream *s, unsigned from, struct bytes key)
{
    for (unsigned i = from; i < s->count; i++) {
        if (!s->reader[i].run.ended && bytes_equal(s->reader[i].key, key)) {
            return &s->reader[i];
        }
    }
    return NULL;
}

static struct reader *reader_least(struct compute_stream *s)
{
    struct reader *least = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        struct reader *r = &s->reader[i];
        if (!r->run.ended && (least == NULL || bytes_compare(r->key, least->key) < 0)) {
            least = r;
        }
    }
    return least;
}

int compute_stream_next(struct compute_stream *s, struct compute_group **group)
{
    const struct compute_program *p = s->p;
    struct reader *r = reader_least(s);
    *group = NULL;
    if (r == NULL) {
        return 0;
    }
    unsigned behind = (unsigned)(r - s->reader) + 1;
    TRY(group_take(s, 0, r));
    struct compute_group *all = (struct compute_group *)(void *)s->group[0].data;
    while ((r = reader_at(s, behind, compute_group_key(all))) != NULL) {
        behind = (unsigned)(r - s->reader) + 1;
        TRY(group_take(s, 1, r));
        struct compute_group *more = (struct compute_group *)(void *)s->group[1].data;
        for (uint32_t a = 0; a < p->aggregates; a++) { /* places are those of the whole span */
            TRY(compute_tally_merge(compute_group_tally(all, p->aggregate[a].at),
                                    p->aggregate[a].op,
                                    compute_group_tally(more, p->aggregate[a].at), 0, &s->store));
        }
    }
    *group = all;
    return 0;
}
