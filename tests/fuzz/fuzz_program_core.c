/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs from outside: a result that depends on where the object was cut aborts here.
 */
#include "tests/fuzz/fuzz_program.h"

#include "base/num.h"
#include "compute/table.h"
#include "compute/task.h"

#define GROUPS_BYTES_MAX (1u << 20)

static const char *const examples[FUZZ_PROGRAM_EXAMPLES] = {
    "csv | where $2 >= 5 | by $1 count, sum $2 | top 10",
    "csv header | select $2 * 2, $1",
    "words | by $0 count",
    "lines | where $0 = \"x\" or not $1 < 3 | count",
    "lines | by $1, $2 mean $3, distinct $2",
    "csv | where $1 != $2",
    "i16,x1,u8 | where $1 % 5 > 1 | sum $1 / $2, var $2",
    "f64 | sum",
    "f32,i8 | histogram 3 -1 1 $2",
    "csv | dot $1 + 1, -$2",
    "i16,x1,u8 | where $1 % 5 > 1 | by $2 % 3 argmin $1, argmax $1",
    "csv | sample 0.9 | estimate count, mean 2.5",
    "i16,x1,u8 | sample 0.7 $2 | by $2 % 5 estimate sum $1, mean $1 / 3 | top 2",
    "csv | lookup \"t\" $1 as t | by $t.2 count, max $2 + $t.3",
    "words | lookup left \"t\" header $0 as t | lookup \"u\" $t.1 as u | select $0, $u.0, $t.9",
    "csv | sort $2 down, $1",
    "i16,x1,u8 | where $2 > 3 | sort $1 % 7 down, -$2",
    "words | lookup left \"t\" $0 as t | sort $t.2, $0 down | select $0, $t.0",
    "csv | where $1 != \"x\" | select $2, $1 scan exclusive sum $2 from $1 = \"a\"",
    "i16,x1,u8 | scan min $2",
    "u8 | scan exclusive sum",
    "i16,x1,u8 | where $1 > 0 | scan sum $1 / 3 from $2 = 44",
    "i16,x1,u8 | scan or $1",
    "lines | select $1 scan exclusive or from $0 < 5",
    "csv | where $3 != \"\" | sort $1 down, $2 * 2 | select $2, $1",
};
static const char table[] = "a,1\n\"b \"\"q\"\"\",22,x\r\n\"c\nd\",4\n,0\nx";
static const char object[] = "a,1,3\n\"b \"\"q\"\"\",22\r\nx\n\"c\nd\",-7.5e3\n,,\n4 0x 5,9";

void fuzz_program_example(struct buf *out, unsigned i)
{
    (void)buf_append(out, examples[i], strlen(examples[i]) + 1);
    (void)buf_append(out, object, sizeof(object) - 1);
}

struct tables {
    struct compute_table *table[COMPUTE_PROGRAM_LOOKUPS_MAX];
};

/* The program's tables: what comes from outside, as far as it is one. */
static void bind(struct compute_program *p, struct bytes data, struct tables *out)
{
    const struct alloc heap = alloc_heap();
    *out = (struct tables){{NULL}};
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        struct compute_table_options o = {.seed = 3, .memory_bytes = GROUPS_BYTES_MAX};
        (void)compute_program_lookup(p, i, &o.header);
        const int err = compute_table_new(&out->table[i], &heap, data, &o, NULL);
        ASSERT(err == 0 || err == ERR_TOO_LARGE || err == ERR_PROTOCOL || err == ERR_EXISTS);
        if (err != 0) {
            const struct bytes usual = bytes_of(table, sizeof(table) - 1);
            ASSERT(compute_table_new(&out->table[i], &heap, usual, &o, NULL) == 0);
        }
        compute_program_bind(p, i, out->table[i]);
    }
}

static void unbind(struct tables *t)
{
    for (uint32_t i = 0; i < COMPUTE_PROGRAM_LOOKUPS_MAX; i++) {
        compute_table_free(t->table[i]);
    }
}

static struct compute_task *span(const struct compute_program *p, struct bytes object_bytes,
                                 size_t from, size_t to)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.from = from, .memory_bytes = GROUPS_BYTES_MAX};
    struct compute_task *t = NULL;
    ASSERT(compute_task_new(&t, &heap, p, &options, NULL) == 0);
    ASSERT(compute_task_update(t, bytes_of(object_bytes.data + from, to - from)) == 0);
    return t;
}

/* The result and the error, if there is one; ends the task. */
static void end(struct compute_task *t, struct buf *out)
{
    struct err_info why = {.code = 0};
    int err = compute_task_finish(t, &why);
    while (err == 0 && compute_task_has_more(t)) {
        err = compute_task_more(t, &why);
    }
    const struct bytes printed = compute_task_output(t);
    ASSERT(err != ERR_NO_MEMORY);
    (void)buf_append(out, printed.data, printed.size);
    (void)buf_append(out, why.text, err != 0 ? strlen(why.text) : 0);
    ASSERT(buf_put_u32(out, (uint32_t)err) == 0);
    compute_task_free(t);
}

/* The two cuts come from the input's size: a mutation moves them. */
static void run(const struct compute_program *p, struct bytes data)
{
    const struct alloc heap = alloc_heap();
    struct buf whole;
    struct buf merged;
    const size_t second = data.size * 7 % 11 * data.size / 11;
    const size_t first = second * (data.size % 5) / 5;
    buf_init(&whole, &heap, SIZE_MAX);
    buf_init(&merged, &heap, SIZE_MAX);
    end(span(p, data, 0, data.size), &whole);
    struct compute_task *a = span(p, data, 0, first);
    struct compute_task *b = span(p, data, first, second);
    struct compute_task *c = span(p, data, second, data.size);
    ASSERT(compute_task_merge(b, c) == 0);
    ASSERT(compute_task_merge(a, b) == 0);
    compute_task_free(b);
    compute_task_free(c);
    end(a, &merged);
    ASSERT(bytes_equal(buf_view(&whole), buf_view(&merged)));
    buf_release(&whole);
    buf_release(&merged);
}

static struct compute_program *example(unsigned i, struct tables *tables)
{
    const struct alloc heap = alloc_heap();
    const struct bytes text = bytes_of_text(examples[i % FUZZ_PROGRAM_EXAMPLES]);
    struct compute_program *p = NULL;
    ASSERT(compute_program_new(&p, &heap, text, NULL) == 0);
    bind(p, bytes_of(table, sizeof(table) - 1), tables);
    return p;
}

void fuzz_task_example(struct buf *out, unsigned i)
{
    struct tables tables;
    struct compute_program *p = example(i, &tables);
    const size_t from = i < FUZZ_PROGRAM_EXAMPLES ? 0 : i - FUZZ_PROGRAM_EXAMPLES + 1;
    struct compute_task *t = span(p, bytes_of(object, sizeof(object)), from, sizeof(object));
    ASSERT(buf_put_u8(out, (uint8_t)(i % FUZZ_PROGRAM_EXAMPLES)) == 0);
    ASSERT(compute_task_encode(t, out) == 0);
    compute_task_free(t);
    compute_program_free(p);
    unbind(&tables);
}

/* What was accepted, before a span and behind one. */
static void go_on(const struct compute_program *p, struct compute_task *t, uint64_t to)
{
    struct buf out;
    const struct alloc heap = alloc_heap();
    struct compute_task *next = NULL;
    const struct compute_task_options options = {.from = to, .memory_bytes = GROUPS_BYTES_MAX};
    buf_init(&out, &heap, SIZE_MAX);
    ASSERT(compute_task_new(&next, &heap, p, &options, NULL) == 0);
    if (compute_task_update(next, bytes_of(object, sizeof(object) - 1)) == 0) {
        ASSERT(compute_task_merge(t, next) == 0);
    }
    if (compute_task_update(t, bytes_of(object, sizeof(object) - 1)) == 0) {
        const int again = compute_task_encode(t, &out);
        ASSERT(again == 0 || again == ERR_OVERFLOW);
    }
    compute_task_free(next);
    end(t, &out);
    buf_release(&out);
}

void fuzz_task(struct bytes input)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *t = NULL;
    struct buf out;
    if (input.size < 26) {
        return;
    }
    struct tables tables;
    struct compute_program *p = example(input.data[0], &tables);
    const struct bytes state = bytes_of(input.data + 1, input.size - 1);
    const int err = compute_task_decode(&t, &heap, p, GROUPS_BYTES_MAX, state);
    if (err == 0) {
        buf_init(&out, &heap, SIZE_MAX);
        ASSERT(compute_task_encode(t, &out) == 0);
        ASSERT(bytes_equal(buf_view(&out), state));
        buf_release(&out);
        go_on(p, t, num_get_u64(state.data + 17));
    } else {
        ASSERT(err == ERR_PROTOCOL || err == ERR_LEVEL || err == ERR_INVALID ||
               err == ERR_TOO_LARGE);
    }
    compute_program_free(p);
    unbind(&tables);
}

void fuzz_program(struct bytes input)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    const uint8_t *zero = input.size > 0 ? memchr(input.data, 0, input.size) : NULL;
    const size_t size = zero != NULL ? (size_t)(zero - input.data) : input.size;
    const size_t rest = zero != NULL ? size + 1 : size;
    const int err = compute_program_new(&p, &heap, bytes_of(input.data, size), NULL);
    if (err != 0) {
        ASSERT(err == ERR_INVALID || err == ERR_TOO_LARGE);
        return;
    }
    struct tables tables;
    const struct bytes data = bytes_of(input.data + rest, input.size - rest);
    bind(p, data, &tables);
    run(p, data);
    compute_program_free(p);
    unbind(&tables);
}
