/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Groups beyond the limit of memory: with a spill, the result of any program by key is that with
 * memory for all, however tight the limit is and however the object was cut; every failure of the
 * spill is an error, and nothing is left behind.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/runs_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#define DATA_BYTES (64u << 10)

/* --- runs in memory, which fail when they are told to --- */

struct memory_run {
    struct buf bytes;
};

struct memory_spill {
    struct compute_spill spill;
    unsigned runs;      /* that are there */
    unsigned most;      /* that were at once */
    unsigned made;      /* in all */
    uint64_t calls;     /* that may fail */
    uint64_t fail_at;   /* this one does; 0: none */
    uint64_t damage_at; /* in this call of read one bit is another; 0: none */
    unsigned damage_byte;
};

static bool fails(struct memory_spill *m)
{
    return ++m->calls == m->fail_at;
}

static int run_create(void *ctx, void **run)
{
    struct memory_spill *m = ctx;
    const struct alloc heap = alloc_heap();
    if (fails(m)) {
        return ERR_IO;
    }
    struct memory_run *r = alloc_get_zeroed(&heap, 1, sizeof(*r));
    ck_assert_ptr_nonnull(r);
    buf_init(&r->bytes, &heap, SIZE_MAX);
    m->made++;
    m->runs++;
    m->most = NUM_MAX(m->most, m->runs);
    *run = r;
    return 0;
}

static int run_append(void *ctx, void *run, struct bytes data)
{
    struct memory_run *r = run;
    return fails(ctx) ? ERR_DISK_FULL : buf_append(&r->bytes, data.data, data.size);
}

static int run_read(void *ctx, void *run, uint64_t at, void *into, size_t bytes)
{
    struct memory_spill *m = ctx;
    struct memory_run *r = run;
    if (fails(m)) {
        return ERR_IO;
    }
    ck_assert_uint_le(at + bytes, r->bytes.size);
    memcpy(into, r->bytes.data + at, bytes);
    if (m->calls == m->damage_at) {
        *((uint8_t *)into + m->damage_byte % bytes) ^= 4;
    }
    return 0;
}

static void run_remove(void *ctx, void *run)
{
    struct memory_spill *m = ctx;
    struct memory_run *r = run;
    const struct alloc heap = alloc_heap();
    buf_release(&r->bytes);
    alloc_put(&heap, r, sizeof(*r));
    m->runs--;
}

static void spill_init(struct memory_spill *m)
{
    *m = (struct memory_spill){
        .spill = {
            .create = run_create, .append = run_append, .read = run_read, .remove = run_remove}};
    m->spill.ctx = m;
}

/* --- results --- */

static struct compute_task *spilling(const struct compute_program *p, struct memory_spill *m,
                                     const struct alloc *alloc, uint64_t memory_bytes)
{
    const struct compute_task_options options = {.memory_bytes = memory_bytes, .spill = &m->spill};
    struct compute_task *t = NULL;
    return compute_task_new(&t, alloc, p, &options, NULL) == 0 ? t : NULL;
}

/* Ends the task and frees it, as tasks_end. Output is taken part by part. */
static int end(struct compute_task *t, int err, struct buf *out)
{
    struct err_info why = {.code = 0};
    err = err == 0 ? compute_task_finish(t, &why) : err;
    for (;;) {
        const struct bytes printed = compute_task_output(t);
        ck_assert_int_eq(buf_append(out, printed.data, printed.size), 0);
        ck_assert_uint_le(printed.size, COMPUTE_RUNS_TEXT_BYTES + COMPUTE_TASK_RECORD_MAX);
        compute_task_output_clear(t);
        if (err != 0 || !compute_task_has_more(t)) {
            break;
        }
        err = compute_task_more(t, &why);
    }
    if (err != 0) {
        (void)buf_append(out, "error: ", 7);
        (void)buf_append(out, why.text, strlen(why.text));
        (void)buf_append(out, err_name(err), strlen(err_name(err)));
    }
    ck_assert_int_eq(buf_put_u8(out, 0), 0);
    compute_task_free(t);
    return err;
}

/* The object in pieces of any size. */
static int take_pieces(struct rng *rng, struct compute_task *t, struct bytes data)
{
    int err = 0;
    for (size_t at = 0; at < data.size && err == 0;) {
        const size_t size = (size_t)rng_between(rng, 1, data.size - at);
        err = compute_task_update(t, bytes_of(data.data + at, size));
        at += size;
    }
    return err;
}

/* The object as states of spans, that nodes would have sent. */
static int take_states(struct rng *rng, const struct compute_program *p, struct compute_task *t,
                       struct bytes data)
{
    int err = 0;
    for (size_t at = 0; at < data.size && err == 0;) {
        const size_t end_at = at + (size_t)rng_between(rng, 1, data.size - at);
        struct compute_task *span = tasks_span(rng, p, 0, data, at, end_at, 0);
        tasks_recode(&span, p, 0);
        err = compute_task_merge(t, span);
        compute_task_free(span);
        at = end_at;
    }
    return err;
}

static const char *const programs[] = {
    "csv | by $1 count",
    "csv | by $1, $2 count, sum $3, mean $3",
    "csv | by $2 var $3, varp $3, dot $3, $1",
    "csv | by $1 min $3, max $3, argmin $3, argmax $3",
    "csv | by $1 distinct $3, count",
    "csv | by $2 count, distinct $3 | top 5",
    "csv | by $1 mean $3, sum $1 | top 3",
    "csv | where $1 > 40 | by $1, $3 count | top 1000",
    "lines | by $0 count",
    "words | by $0 count",
    "words | by $0 count | top 4",
    "csv | by $2 sum $1 / 0",
    "csv | sort $3, $1 down",
    "csv | sort $2 down | select $1, $2",
    "words | sort $0",
    "csv | sort $1 | select $1 / ($1 - 7)",
};

static size_t make_csv(struct rng *rng, uint8_t *data, size_t room)
{
    static const char *const fields[] = {"1",     "-7",     "0.5",        "",
                                         "1e300", "-1e300", "\"a\"\"b\"", "33"};
    const uint64_t keys = rng_between(rng, 1, 400);
    size_t size = 0;
    while (size + 64 < room) {
        const bool number = rng_chance(rng, 9, 10);
        size +=
            (size_t)snprintf((char *)data + size, room - size, "%u,%c%u,%s\n",
                             (unsigned)rng_below(rng, keys), 'a' + (int)rng_below(rng, 3),
                             (unsigned)rng_below(rng, 9), fields[number ? rng_below(rng, 6) : 7]);
        if (rng_chance(rng, 1, 200)) {
            break;
        }
    }
    return size;
}

START_TEST(the_result_is_that_with_memory_for_all)
{
    static uint8_t data[DATA_BYTES];
    const struct alloc heap = alloc_heap();
    struct rng rng;
    unsigned spilled = 0;
    unsigned deep = 0;
    rng_init(&rng, unit_seed("the_result_is_that_with_memory_for_all", 1));
    for (unsigned i = 0; i < 900; i++) {
        const size_t which = i % (sizeof(programs) / sizeof(programs[0]));
        struct compute_program *p = tasks_program(programs[which]);
        const struct bytes all = bytes_of(data, make_csv(&rng, data, sizeof(data)));
        const uint64_t memory_bytes = (uint64_t)1 << rng_between(&rng, 0, 13);
        struct memory_spill m;
        struct buf expected;
        struct buf got;
        buf_init(&expected, &heap, TASKS_TEXT_BYTES);
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        (void)tasks_end(tasks_span(&rng, p, 0, all, 0, all.size, 0), &expected);
        spill_init(&m);
        struct compute_task *t = spilling(p, &m, &heap, memory_bytes);
        const bool states = rng_chance(&rng, 1, 2);
        int err = states ? take_states(&rng, p, t, all) : take_pieces(&rng, t, all);
        ck_assert_int_eq(err, 0);
        err = end(t, 0, &got);
        if (err == ERR_TOO_LARGE) {
            ck_assert_ptr_nonnull(strstr(programs[which], "top"));
            ck_assert_ptr_nonnull(strstr((const char *)got.data, "take more than the limit of"));
        } else {
            ck_assert_str_eq((const char *)expected.data, (const char *)got.data);
        }
        ck_assert_uint_eq(m.runs, 0);
        ck_assert_uint_le(m.most, COMPUTE_RUNS_MAX);
        spilled += m.made > 0;
        deep += m.made > 300;
        buf_release(&expected);
        buf_release(&got);
        compute_program_free(p);
    }
    ck_assert_uint_gt(spilled, 300);
    ck_assert_uint_gt(deep, 50); /* so that runs of two levels became others */
}
END_TEST

START_TEST(few_runs_are_there_at_once)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("words | by $0 count");
    struct memory_spill m;
    struct buf got;
    spill_init(&m);
    struct compute_task *t = spilling(p, &m, &heap, 1);
    for (unsigned i = 0; i < 16 * 16 * 16; i++) {
        char word[16];
        (void)snprintf(word, sizeof(word), "%u ", i % 1000);
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(word)), 0);
    }
    ck_assert_uint_gt(m.made, 16 * 16 * 16);
    ck_assert_uint_le(m.most, 16 * 3 + 1);
    buf_init(&got, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(end(t, 0, &got), 0);
    ck_assert_int_eq(strncmp((const char *)got.data, "0,5\n1,5\n10,5\n100,4\n101,4\n", 25), 0);
    ck_assert_uint_eq(m.runs, 0);
    buf_release(&got);
    compute_program_free(p);
}
END_TEST

START_TEST(a_result_beyond_memory_comes_in_parts)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("lines | by $0 count");
    struct memory_spill m;
    struct alloc_budget budget;
    const struct alloc counted = alloc_budget_init(&budget, heap, 12u << 20);
    uint64_t lines = 0;
    spill_init(&m);
    struct compute_task *t = spilling(p, &m, &counted, 1u << 20);
    for (unsigned i = 0; i < 200000; i++) {
        char line[80];
        (void)snprintf(line, sizeof(line), "%06u%060u\n", i * 7919u % 200000u, 0u);
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(line)), 0);
    }
    ck_assert_int_eq(compute_task_finish(t, NULL), 0);
    for (bool more = true; more; lines++) {
        struct bytes out = compute_task_output(t);
        for (size_t at = 0; at < out.size; at += 69, lines++) {
            char expected[16];
            (void)snprintf(expected, sizeof(expected), "%06u", (unsigned)lines);
            ck_assert_mem_eq(out.data + at, expected, 6);
        }
        lines--;
        compute_task_output_clear(t);
        more = compute_task_has_more(t);
        ck_assert_int_eq(more ? compute_task_more(t, NULL) : 0, 0);
    }
    ck_assert_uint_eq(lines, 200000);
    compute_task_free(t);
    ck_assert_uint_eq(budget.used_bytes, 0);
    ck_assert_uint_eq(m.runs, 0);
    compute_program_free(p);
}
END_TEST

START_TEST(a_top_that_is_too_much_is_an_error)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("words | by $0 count | top 1000");
    struct memory_spill m;
    struct buf got;
    spill_init(&m);
    struct compute_task *t = spilling(p, &m, &heap, 300);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("a b c d e f g h i j k l m n o p ")), 0);
    buf_init(&got, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(end(t, 0, &got), ERR_TOO_LARGE);
    ck_assert_str_eq((const char *)got.data,
                     "error: the top 1000 take more than the limit of 300 bytesTOO_LARGE");
    ck_assert_uint_eq(m.runs, 0);
    buf_release(&got);
    compute_program_free(p);
}
END_TEST

static const char words[] = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h "
                            "q w e r t z u i o p a s d f g h j k l y x c v b n m 1 2 3 4 5 6 7 8 ";

START_TEST(every_failure_of_the_spill_is_an_error)
{
    static const char *const some[] = {"words | by $0 count", "words | by $0 count | top 3",
                                       "words | where $0 != \"q\" | by $0 count, distinct",
                                       "words | sort $0 down"};
    const struct alloc heap = alloc_heap();
    for (unsigned i = 0; i < 4; i++) {
        struct compute_program *p = tasks_program(some[i]);
        uint64_t failures = 0;
        for (uint64_t at = 1;; at++) {
            struct memory_spill m;
            struct buf got;
            spill_init(&m);
            m.fail_at = at;
            struct compute_task *t = spilling(p, &m, &heap, i == 1 ? 400 : 1);
            int err = 0;
            for (size_t byte = 0; byte + 1 < sizeof(words) && err == 0; byte += 2) {
                err = compute_task_update(t, bytes_of((const uint8_t *)words + byte, 2));
            }
            buf_init(&got, &heap, TASKS_TEXT_BYTES);
            err = end(t, err, &got);
            buf_release(&got);
            ck_assert_uint_eq(m.runs, 0);
            if (m.calls < at) {
                ck_assert_int_eq(err, 0);
                break;
            }
            ck_assert(err == ERR_IO || err == ERR_DISK_FULL);
            failures++;
        }
        ck_assert_uint_gt(failures, 20);
        compute_program_free(p);
    }
}
END_TEST

/* One bit of one read. returns: the code; *over: there are fewer calls. */
static int damaged(const struct compute_program *p, uint64_t at, unsigned byte, bool *over)
{
    const struct alloc heap = alloc_heap();
    struct memory_spill m;
    struct buf got;
    spill_init(&m);
    m.damage_at = at;
    m.damage_byte = byte;
    struct compute_task *t = spilling(p, &m, &heap, 1);
    int err = 0;
    for (size_t i = 0; i + 1 < sizeof(words) && err == 0; i += 2) {
        err = compute_task_update(t, bytes_of((const uint8_t *)words + i, 2));
    }
    buf_init(&got, &heap, TASKS_TEXT_BYTES);
    err = end(t, err, &got);
    buf_release(&got);
    ck_assert_uint_eq(m.runs, 0);
    *over = m.calls < at;
    return err;
}

/* returns: how many there were. */
static unsigned damages_of(const char *program)
{
    struct compute_program *p = tasks_program(program);
    unsigned damages = 0;
    bool over = false;
    for (uint64_t at = 1; !over; at++) {
        for (unsigned byte = 0; byte < 8 && !over; byte++) { /* each of a block's head */
            const int err = damaged(p, at, byte, &over);
            ck_assert(err == 0 || err == ERR_CORRUPT);
            damages += err == ERR_CORRUPT;
            if (err == 0) {
                break; /* no call that reads */
            }
        }
    }
    compute_program_free(p);
    return damages;
}

START_TEST(every_damage_of_a_run_is_an_error)
{
    ck_assert_uint_gt(damages_of("words | by $0 count, distinct"), 1000);
    ck_assert_uint_gt(damages_of("words | sort $0"), 1000);
}
END_TEST

/* Every allocation fails once. */
static void check_without_memory(const char *program)
{
    struct compute_program *p = tasks_program(program);
    bool done = false;
    for (uint64_t at = 1; !done; at++) {
        struct alloc_budget budget;
        struct alloc failing = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        struct memory_spill m;
        spill_init(&m);
        budget.fail_at = at;
        struct compute_task *t = spilling(p, &m, &failing, 200);
        int err = t == NULL ? ERR_NO_MEMORY : 0;
        const char *text = "1,1.5,a\n2,1e9,b\n3,2.5,c\n1,2.5,d\n2,8,e\n4,-3.5,f\n5,1e-9,b\n";
        err = err == 0 ? compute_task_update(t, bytes_of_text(text)) : err;
        err = err == 0 ? compute_task_finish(t, NULL) : err;
        ck_assert(err == 0 || err == ERR_NO_MEMORY);
        done = budget.requests < at;
        ck_assert(!done || err == 0);
        compute_task_free(t);
        ck_assert_uint_eq(budget.used_bytes, 0);
        ck_assert_uint_eq(m.runs, 0);
    }
    compute_program_free(p);
}

START_TEST(without_memory_nothing_is_left_behind)
{
    check_without_memory("csv | by $1, $3 sum $2, distinct $3 | top 2");
    check_without_memory("csv | sort $2 down, $3");
}
END_TEST

START_TEST(what_is_sorted_takes_no_more_than_its_memory)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("i64 | sort $1");
    struct memory_spill m;
    struct alloc_budget budget;
    const struct alloc counted = alloc_budget_init(&budget, heap, 5u << 20);
    uint64_t records = 0;
    spill_init(&m);
    struct compute_task *t = spilling(p, &m, &counted, 1u << 20);
    for (uint64_t i = 0; i < 300000; i++) {
        uint8_t record[8];
        num_put_u64(record, i * 7919u % 300000u);
        ck_assert_int_eq(compute_task_update(t, bytes_of(record, sizeof(record))), 0);
    }
    ck_assert_int_eq(compute_task_finish(t, NULL), 0);
    for (bool more = true; more;) {
        const struct bytes out = compute_task_output(t);
        ck_assert_uint_le(out.size, COMPUTE_RUNS_TEXT_BYTES + 8);
        for (size_t at = 0; at < out.size; at += 8, records++) {
            ck_assert_uint_eq(num_get_u64(out.data + at), records);
        }
        compute_task_output_clear(t);
        more = compute_task_has_more(t);
        ck_assert_int_eq(more ? compute_task_more(t, NULL) : 0, 0);
    }
    ck_assert_uint_eq(records, 300000);
    ck_assert_uint_gt(m.made, 16);
    compute_task_free(t);
    ck_assert_uint_eq(budget.used_bytes, 0);
    compute_program_free(p);
}
END_TEST

START_TEST(what_does_not_spill_has_its_limit)
{
    static const char *const some[] = {"words | distinct",
                                       "words | sample 1 | by $0 estimate count"};
    const struct alloc heap = alloc_heap();
    for (unsigned i = 0; i < 2; i++) {
        struct compute_program *p = tasks_program(some[i]);
        struct memory_spill m;
        struct buf got;
        spill_init(&m);
        struct compute_task *t = spilling(p, &m, &heap, 200);
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(words)), 0);
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        ck_assert_int_eq(end(t, 0, &got), ERR_TOO_LARGE);
        ck_assert_uint_eq(m.made, 0);
        buf_release(&got);
        compute_program_free(p);
    }
}
END_TEST

START_TEST(words_that_come_in_one_piece_are_written_away)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("words | by $0 count");
    struct memory_spill m;
    struct alloc_budget budget;
    const struct alloc counted = alloc_budget_init(&budget, heap, 4u << 20);
    struct buf text;
    spill_init(&m);
    buf_init(&text, &heap, SIZE_MAX);
    for (unsigned i = 0; i < 100000; i++) {
        char word[24];
        (void)snprintf(word, sizeof(word), "%020u ", i * 7919u % 100000u);
        (void)buf_append(&text, word, strlen(word));
    }
    struct compute_task *t = spilling(p, &m, &counted, 100000);
    ck_assert_int_eq(compute_task_update(t, buf_view(&text)), 0);
    ck_assert_int_eq(compute_task_finish(t, NULL), 0);
    ck_assert_uint_gt(m.made, 50);
    compute_task_free(t);
    ck_assert_uint_eq(budget.used_bytes, 0);
    buf_release(&text);
    compute_program_free(p);
}
END_TEST

START_TEST(what_was_written_away_is_merged_into_nothing)
{
    struct compute_program *p = tasks_program("words | by $0 count");
    const struct alloc heap = alloc_heap();
    struct memory_spill m;
    spill_init(&m);
    struct compute_task *into = spilling(p, &m, &heap, 1);
    struct compute_task *from = spilling(p, &m, &heap, 1);
    ck_assert_int_eq(compute_task_update(from, bytes_of_text("a b c ")), 0);
    ck_assert_int_eq(compute_task_merge(into, from), ERR_INVALID);
    compute_task_free(from);
    compute_task_free(into);
    const struct compute_task_options options = {
        .from = 1, .memory_bytes = 1, .spill = &m.spill}; /* not of the object's beginning */
    struct compute_task *behind = NULL;
    m.made = 0;
    ck_assert_int_eq(compute_task_new(&behind, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(behind, bytes_of_text("a b c ")), 0);
    ck_assert_uint_eq(m.made, 0);
    compute_task_free(behind);
    compute_program_free(p);
}
END_TEST

START_TEST(several_objects_count_to_one_result)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("words | by $0 count");
    struct memory_spill m;
    struct buf got;
    spill_init(&m);
    struct compute_task *t = spilling(p, &m, &heap, 1);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("b a c a")), 0);
    ck_assert_int_eq(compute_task_next(t, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("c b x")), 0);
    buf_init(&got, &heap, TASKS_TEXT_BYTES);
    struct buf state;
    buf_init(&state, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_encode(t, &state), ERR_INVALID);
    buf_release(&state);
    ck_assert_int_eq(end(t, 0, &got), 0);
    ck_assert_str_eq((const char *)got.data, "a,2\nb,2\nc,2\nx,1\n");
    buf_release(&got);
    compute_program_free(p);
}
END_TEST

UNIT_MAIN("compute_spill", the_result_is_that_with_memory_for_all, few_runs_are_there_at_once,
          a_result_beyond_memory_comes_in_parts, a_top_that_is_too_much_is_an_error,
          every_failure_of_the_spill_is_an_error, every_damage_of_a_run_is_an_error,
          without_memory_nothing_is_left_behind, what_is_sorted_takes_no_more_than_its_memory,
          what_does_not_spill_has_its_limit, words_that_come_in_one_piece_are_written_away,
          what_was_written_away_is_merged_into_nothing, several_objects_count_to_one_result)
