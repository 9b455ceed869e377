/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Results of programs for tests: what is printed, then the error, if there is one.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_COMPUTE_TASKS_H
#define HOLDFAST_TESTS_UNIT_COMPUTE_TASKS_H

#include "base/num.h"
#include "base/rng.h"
#include "compute/task.h"

#include <stdio.h>

#define TASKS_SPANS_MAX 12u
#define TASKS_TEXT_BYTES (64u << 20)

static inline struct compute_program *tasks_program(const char *text)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    struct err_info why = {.code = 0};
    if (compute_program_new(&p, &heap, bytes_of_text(text), &why) != 0) {
        (void)fprintf(stderr, "%s: %s\n", text, why.text);
    }
    ASSERT(p != NULL);
    return p;
}

static inline struct compute_task *tasks_new(const struct compute_program *p, uint64_t from,
                                             uint64_t memory_bytes)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.from = from, .memory_bytes = memory_bytes};
    struct compute_task *t = NULL;
    ASSERT(compute_task_new(&t, &heap, p, &options, NULL) == 0);
    return t;
}

/* Ends the task and frees it. returns: the code. out: result and error, with a NUL. */
static inline int tasks_end(struct compute_task *t, struct buf *out)
{
    struct err_info why = {.code = 0};
    int err = compute_task_finish(t, &why);
    while (err == 0 && compute_task_has_more(t)) {
        err = compute_task_more(t, &why);
    }
    const struct bytes printed = compute_task_output(t);
    (void)buf_append(out, printed.data, printed.size);
    if (err != 0) {
        (void)buf_append(out, "error: ", 7);
        (void)buf_append(out, why.text, strlen(why.text));
        (void)buf_append(out, err_name(err), strlen(err_name(err)));
    }
    ASSERT(buf_put_u8(out, 0) == 0);
    compute_task_free(t);
    return err;
}

/* Puts the encoding of the text's state, which comes in pieces of so many bytes. */
static inline void tasks_state(const struct compute_program *p, uint64_t from, struct bytes text,
                               size_t piece, struct buf *out)
{
    struct compute_task *t = tasks_new(p, from, 0);
    for (size_t at = 0; at < text.size; at += piece) {
        const size_t size = NUM_MIN(piece, text.size - at);
        ASSERT(compute_task_update(t, bytes_of(text.data + at, size)) == 0);
    }
    ASSERT(compute_task_encode(t, out) == 0);
    compute_task_free(t);
}

/* returns: whether pieces of both sizes give the same state. */
static inline bool tasks_pieces_are_same(const struct compute_program *p, uint64_t from,
                                         struct bytes text, size_t piece, size_t other)
{
    const struct alloc heap = alloc_heap();
    struct buf left;
    struct buf right;
    buf_init(&left, &heap, SIZE_MAX);
    buf_init(&right, &heap, SIZE_MAX);
    tasks_state(p, from, text, piece, &left);
    tasks_state(p, from, text, other, &right);
    const bool same = bytes_equal(buf_view(&left), buf_view(&right));
    buf_release(&right);
    buf_release(&left);
    return same;
}

/* The state of [from, to), from pieces of any size. most: of a piece; 0: any. */
static inline struct compute_task *tasks_span(struct rng *rng, const struct compute_program *p,
                                              uint64_t memory_bytes, struct bytes data, size_t from,
                                              size_t to, size_t most)
{
    struct compute_task *t = tasks_new(p, from, memory_bytes);
    while (from < to) {
        const size_t part =
            (size_t)rng_between(rng, 1, most > 0 ? NUM_MIN(to - from, most) : to - from);
        ASSERT(compute_task_update(t, bytes_of(data.data + from, part)) == 0);
        from += part;
    }
    return t;
}

/* Encodes and decodes. */
static inline void tasks_recode(struct compute_task **t, const struct compute_program *p,
                                uint64_t memory_bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *read = NULL;
    struct buf bytes;
    buf_init(&bytes, &heap, TASKS_TEXT_BYTES);
    ASSERT(compute_task_encode(*t, &bytes) == 0);
    ASSERT(compute_task_decode(&read, &heap, p, memory_bytes, buf_view(&bytes)) == 0);
    compute_task_free(*t);
    *t = read;
    buf_release(&bytes);
}

/* From spans that are merged in any grouping, some of them encoded on the way. */
static inline struct compute_task *tasks_merged(struct rng *rng, const struct compute_program *p,
                                                uint64_t memory_bytes, struct bytes data,
                                                size_t from, size_t end)
{
    struct compute_task *spans[TASKS_SPANS_MAX];
    unsigned count = (unsigned)rng_between(rng, 1, TASKS_SPANS_MAX);
    for (unsigned i = 0; i < count; i++) {
        const size_t near = NUM_MIN(end - from, (size_t)8);
        const size_t to = i + 1 == count          ? end
                          : rng_chance(rng, 1, 3) ? from + (size_t)rng_below(rng, near + 1)
                                                  : (size_t)rng_between(rng, from, end);
        spans[i] = tasks_span(rng, p, memory_bytes, data, from, to,
                              rng_chance(rng, 1, 2) ? 0 : (size_t)rng_between(rng, 1, 9));
        from = to;
    }
    while (count > 1) {
        const unsigned at = (unsigned)rng_below(rng, count - 1);
        if (rng_chance(rng, 1, 3)) {
            tasks_recode(&spans[at + rng_below(rng, 2)], p, memory_bytes);
        }
        ASSERT(compute_task_merge(spans[at], spans[at + 1]) == 0);
        compute_task_free(spans[at + 1]);
        count--;
        memmove(&spans[at + 1], &spans[at + 2], (count - at - 1) * sizeof(spans[0]));
    }
    return spans[0];
}

#endif
