/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs: writing them, and merging them.
 */
#include "compute/runs_internal.h"

#include "base/crc.h"
#include "base/num.h"

#include <stdlib.h>

#define BLOCK_BYTES (64u << 10) /* a block ends with the group that passes this */
#define BLOCK_HEAD 8u

/* --- writing --- */

struct writer {
    const struct compute_spill *spill;
    struct compute_run run;
    struct buf block; /* with room for its head */
};

static int writer_start(struct writer *w, const struct compute_spill *spill,
                        const struct alloc *alloc, unsigned level)
{
    *w = (struct writer){.spill = spill, .run = {.level = level}};
    buf_init(&w->block, alloc, SIZE_MAX);
    return spill->create(spill->ctx, &w->run.run);
}

static int writer_flush(struct writer *w)
{
    const size_t bytes = w->block.size;
    if (bytes <= BLOCK_HEAD) {
        return 0;
    }
    if (bytes - BLOCK_HEAD > UINT32_MAX) {
        return ERR_TOO_LARGE;
    }
    num_put_u32(w->block.data, (uint32_t)(bytes - BLOCK_HEAD));
    num_put_u32(w->block.data + 4, crc_of(w->block.data + BLOCK_HEAD, bytes - BLOCK_HEAD));
    TRY(w->spill->append(w->spill->ctx, w->run.run, buf_view(&w->block)));
    w->run.bytes += bytes;
    buf_clear(&w->block);
    return 0;
}

static int writer_put(struct writer *w, const struct compute_program *p,
                      struct compute_group *group)
{
    if (w->block.size == 0) {
        (void)buf_put_u64(&w->block, 0); /* the head */
    }
    TRY(compute_group_encode(p, group, &w->block));
    return w->block.size >= BLOCK_BYTES ? writer_flush(w) : 0;
}

/* Ends the run. It is removed after an error, and then this returns it. */
static int writer_end(struct writer *w, int err, struct compute_run *out)
{
    err = err == 0 ? writer_flush(w) : err;
    buf_release(&w->block);
    if (err != 0 && w->run.run != NULL) {
        w->spill->remove(w->spill->ctx, w->run.run);
    }
    *out = w->run;
    return err;
}

static int write_groups(struct compute_groups *g, struct writer *w)
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

static int write_stream(const struct compute_program *p, struct compute_stream *s, struct writer *w)
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
    struct writer w;
    memcpy(last.run, r->run + first, sizeof(last.run[0]) * COMPUTE_RUNS_MERGED);
    TRY(writer_start(&w, r->spill, alloc, last.run[0].level + 1));
    int err = compute_stream_new(&s, p, alloc, &last);
    err = err == 0 ? write_stream(p, s, &w) : err;
    compute_stream_free(s);
    TRY(writer_end(&w, err, &merged));
    r->count = first;
    compute_runs_release(&last);
    r->run[r->count++] = merged;
    return 0;
}

/* returns: whether so many runs at the end are of one level. */
static bool is_full(const struct compute_runs *r)
{
    return r->count >= COMPUTE_RUNS_MERGED &&
           r->run[r->count - COMPUTE_RUNS_MERGED].level == r->run[r->count - 1].level;
}

int compute_runs_put(struct compute_runs *r, struct compute_groups *g)
{
    const struct compute_program *p = g->p;
    const struct alloc alloc = g->store.alloc;
    const uint64_t limit_bytes = g->limit_bytes;
    struct compute_run run;
    struct writer w;
    if (r->count == COMPUTE_RUNS_MAX) {
        return ERR_TOO_LARGE; /* 16^8 runs */
    }
    TRY(writer_start(&w, r->spill, &alloc, 0));
    TRY(writer_end(&w, write_groups(g, &w), &run));
    r->run[r->count++] = run;
    compute_groups_release(g);
    compute_groups_init(g, p, &alloc, limit_bytes);
    g->runs = r;
    while (is_full(r)) {
        TRY(merge_last(r, p, &alloc));
    }
    return 0;
}

void compute_runs_release(struct compute_runs *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        r->spill->remove(r->spill->ctx, r->run[i].run);
    }
    r->count = 0;
}

/* --- reading --- */

struct reader {
    const struct compute_spill *spill;
    const struct compute_run *run;
    uint64_t at; /* behind the block */
    struct buf block;
    struct bytes_reader rest; /* of the block, behind the key */
    struct bytes key;         /* of the group that is next */
    bool ended;
};

struct compute_stream {
    const struct compute_program *p;
    struct compute_store store;
    unsigned count;
    struct buf group[2]; /* the one to give, and the one to merge into it */
    bool has[2];
    struct reader reader[];
};

static int reader_block(struct reader *r)
{
    uint8_t head[BLOCK_HEAD];
    const uint64_t left = r->run->bytes - r->at;
    r->ended = left == 0;
    buf_clear(&r->block);
    if (r->ended) {
        return 0;
    }
    if (left < BLOCK_HEAD) {
        return ERR_CORRUPT;
    }
    TRY(r->spill->read(r->spill->ctx, r->run->run, r->at, head, sizeof(head)));
    const size_t bytes = num_get_u32(head);
    if (bytes == 0 || bytes > left - BLOCK_HEAD) {
        return ERR_CORRUPT;
    }
    TRY(buf_reserve(&r->block, bytes));
    TRY(r->spill->read(r->spill->ctx, r->run->run, r->at + BLOCK_HEAD, r->block.data, bytes));
    r->block.size = bytes;
    r->at += BLOCK_HEAD + bytes;
    r->rest = bytes_reader_of(buf_view(&r->block));
    return crc_of(r->block.data, bytes) == num_get_u32(head + 4) ? 0 : ERR_CORRUPT;
}

static int reader_next(struct reader *r)
{
    if (r->rest.left == 0) {
        TRY(reader_block(r));
    }
    if (!r->ended) {
        r->key = bytes_take_bytes(&r->rest, r->rest.left);
    }
    return r->rest.failed ? ERR_CORRUPT : 0;
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
        s->reader[i] = (struct reader){.spill = r->spill, .run = &r->run[i]};
        buf_init(&s->reader[i].block, alloc, SIZE_MAX);
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
        buf_release(&s->reader[i].block);
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
        const int err = compute_tally_decode(compute_group_tally(group, p->aggregate[a].at),
                                             p->aggregate[a].op, &r->rest, UINT64_MAX, &s->store);
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
        if (!s->reader[i].ended && bytes_equal(s->reader[i].key, key)) {
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
        if (!r->ended && (least == NULL || bytes_compare(r->key, least->key) < 0)) {
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
