/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over an object, against nodes of the test that compute, refuse, or lie: what is printed
 * is what the program prints over the bytes, or nothing is.
 */
#include "../unit.h"
#include "fake.h"

#include "base/crc.h"
#include "base/num.h"
#include "compute/compute.h"
#include "compute/task.h"
#include "merkle/merkle.h"

#include <string.h>

#define CELL 65536u
#define CELLS 12u
#define SIZE ((CELLS - 1) * CELL + 777u)
#define VERSION 5u

enum lie { LIE_NONE, LIE_CRC, LIE_NOISE, LIE_SPAN, LIE_QUOTES };

struct object {
    uint8_t data[SIZE];
    uint64_t size;
    uint8_t roots[CELLS * MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
    enum lie lies[FAKE_NODES_MAX];
    uint64_t most;       /* bytes that a node computes over at once */
    uint64_t most_after; /* the same, once so many parts were computed: */
    unsigned most_parts;
    unsigned gone; /* parts that are answered VERSION_GONE, after so many others: */
    unsigned gone_after;
    unsigned parts[FAKE_NODES_MAX];
    unsigned parts_all;
    unsigned refused;
    bool refuses; /* every part is too much */
    bool silent;  /* parts get no answer */
};

static struct fake fake;
static struct object object;
static struct alloc heap;

/* ---- the nodes ------------------------------------------------------------------------------ */

static void say_stat(struct fake_conn *conn, const struct wire_rpc *m)
{
    const bool small = object.size <= WIRE_INLINE_BYTES_MAX;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{WIRE_FIELD_SIZE, object.size},
                {WIRE_FIELD_K, 3},
                {WIRE_FIELD_M, 0},
                {WIRE_FIELD_CELL_BYTES, CELL},
                {WIRE_FIELD_EXTENTS, small ? 0 : 1},
                {WIRE_FIELD_VERSION, VERSION}};
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 7 + small);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)wire_pack_text(out, rows[i].name);
        (void)wire_pack_u64(out, rows[i].value);
    }
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(object.root, sizeof(object.root)));
    if (small) {
        (void)wire_pack_text(out, WIRE_FIELD_INLINE);
        (void)wire_pack_bin(out, bytes_of(object.data, object.size));
    }
    fake_end(conn, out);
}

static void say_extents(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_HOLDERS);
    (void)wire_pack_array(out, 3);
    (void)wire_pack_u64(out, 3);
    (void)wire_pack_u64(out, 1);
    (void)wire_pack_u64(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_ROOTS);
    (void)wire_pack_bin(out, bytes_of(object.roots, sizeof(object.roots)));
    fake_end(conn, out);
}

struct part {
    struct bytes text;
    uint64_t from;
    uint64_t bytes;
    uint64_t quotes;
    enum lie lie;
};

/* The state of a part, as a node that is honest, or is not, has it. */
static void compute_part(const struct part *part, struct buf *state)
{
    struct compute_task_options options = {.from = part->from, .quotes = (uint32_t)part->quotes};
    const enum lie lie = part->lie;
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    if (lie == LIE_QUOTES && options.quotes != COMPUTE_TASK_QUOTES_UNKNOWN) {
        options.quotes ^= COMPUTE_TASK_QUOTES_OUTSIDE ^ COMPUTE_TASK_QUOTES_INSIDE;
    }
    ck_assert_int_eq(compute_program_new(&p, &heap, part->text, NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(
        compute_task_update(t, bytes_of(object.data + part->from, part->bytes - (lie == LIE_SPAN))),
        0);
    compute_task_leave_open(t, 4096);
    ck_assert_int_eq(compute_task_encode(t, state), 0);
    if (lie == LIE_NOISE) {
        state->data[9] ^= 0x55;
    }
    compute_task_free(t);
    compute_program_free(p);
}

static void say_part(struct fake_conn *conn, const struct wire_rpc *m, struct bytes text)
{
    const enum lie lie = object.lies[conn->node];
    struct part part = {.text = text, .lie = lie};
    uint64_t from = 0;
    uint64_t bytes = 0;
    struct buf state;
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    ck_assert_int_eq(wire_param_u64(m, 4, &bytes), 0);
    ck_assert_int_eq(wire_param_u64(m, 6, &part.quotes), 0);
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_le(from + bytes, object.size);
    ck_assert_uint_eq(from / CELL, (from + bytes - 1) / CELL);
    if (object.most_parts > 0 && object.parts_all >= object.most_parts) {
        object.most = object.most_after;
    }
    if (object.refuses || (object.most > 0 && bytes > object.most)) {
        object.refused++;
        fake_say_error(conn, m, ERR_TOO_LARGE);
        return;
    }
    object.parts[conn->node]++;
    object.parts_all++;
    buf_init(&state, &heap, 64u << 20);
    part.from = from;
    part.bytes = bytes;
    compute_part(&part, &state);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(out, buf_view(&state));
    (void)wire_pack_text(out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(out, crc_of(state.data, state.size) ^ (lie == LIE_CRC));
    (void)wire_pack_text(out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(out, from / CELL == 2);
    (void)wire_pack_text(out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(out, from / CELL == 2 ? 1000 : 0);
    fake_end(conn, out);
    buf_release(&state);
}

static void serve(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes text;
    (void)f;
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT)) {
        say_stat(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_EXTENTS)) {
        say_extents(conn, m);
    } else if (object.gone > 0 && object.parts_all >= object.gone_after) {
        object.gone--;
        fake_say_error(conn, m, ERR_VERSION_GONE);
    } else if (!object.silent) {
        ck_assert(wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN));
        ck_assert_int_eq(wire_param_bytes(m, 5, WIRE_PROGRAM_BYTES_MAX, &text), 0);
        say_part(conn, m, text);
    }
}

static void begin(uint64_t size)
{
    static uint8_t hashes[(SIZE / COMPUTE_LEAF_BYTES + 1) * MERKLE_HASH_BYTES];
    const unsigned leaves = CELL / COMPUTE_LEAF_BYTES;
    memset(&object, 0, sizeof(object));
    heap = alloc_heap();
    object.size = size;
    for (size_t at = 0, i = 0; at < SIZE; i++) { /* lines "NUMBER name NUMBER" of any length */
        char line[64];
        const int bytes =
            snprintf(line, sizeof(line), "%zu name%zu %zu\n", i, i % 37, i * i % 1009);
        memcpy(object.data + at, line, NUM_MIN((size_t)bytes, SIZE - at));
        at += NUM_MIN((size_t)bytes, SIZE - at);
    }
    for (uint64_t at = 0; at < size; at += COMPUTE_LEAF_BYTES) {
        compute_leaf_hash(object.data + at, NUM_MIN(size - at, (uint64_t)COMPUTE_LEAF_BYTES),
                          hashes + at / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES);
    }
    for (unsigned i = 0; i < CELLS && size == SIZE; i++) {
        merkle_root_of(hashes + i * leaves * MERKLE_HASH_BYTES, i + 1 < CELLS ? leaves : 1,
                       object.roots + i * MERKLE_HASH_BYTES);
    }
    merkle_root_of(hashes, compute_leaves_of(size), object.root);
    fake_open(&fake, 3, serve);
}

/* ---- runs ----------------------------------------------------------------------------------- */

struct ran {
    struct buf printed;
    unsigned rewinds;
    bool cannot_rewind;
    struct hf_run_info cost;
    char text[HF_TEXT_BYTES];
};
static struct ran ran;

static int ran_write(void *ctx, const void *data, size_t bytes)
{
    struct ran *r = ctx;
    return buf_append(&r->printed, data, bytes);
}

static int ran_rewind(void *ctx)
{
    struct ran *r = ctx;
    r->rewinds++;
    buf_clear(&r->printed);
    return 0;
}

static int run(const char *text)
{
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {.text = hf_text(text)};
    struct hf_answer a = {.ended = false};
    struct hf_sink sink = {.ctx = &ran, .write = ran_write};
    sink.rewind = ran.cannot_rewind ? NULL : ran_rewind;
    buf_init(&ran.printed, &heap, 64u << 20);
    ck_assert_int_eq(hf_object_run(fake.client, &o, &program, &sink, &a, hf_answer_done), 0);
    const int err = fake_wait(&fake, &a);
    ran.cost = a.result.run;
    (void)snprintf(ran.text, sizeof(ran.text), "%s", a.result.text);
    hf_answer_release(&a);
    return err;
}

static void end(void)
{
    buf_release(&ran.printed);
    memset(&ran, 0, sizeof(ran));
    fake_close(&fake);
}

/* What was printed is what the program prints over the bytes. */
static void check_printed(const char *text)
{
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(object.data, object.size)), 0);
    (void)compute_task_finish(t, NULL);
    const struct bytes want = compute_task_output(t);
    ck_assert_uint_eq(want.size, ran.printed.size);
    ck_assert(bytes_equal(want, buf_view(&ran.printed)));
    compute_task_free(t);
    compute_program_free(p);
}

START_TEST(states_of_cells_are_joined_to_what_the_bytes_give)
{
    begin(SIZE);
    ck_assert_int_eq(run("words | by $0 count | top 100"), 0);
    check_printed("words | by $0 count | top 100");
    ck_assert_uint_eq(object.parts_all, CELLS);
    ck_assert_uint_eq(ran.cost.cells, CELLS);
    ck_assert_uint_eq(ran.cost.cells_decoded, 1);
    ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
    ck_assert_uint_gt(ran.cost.bytes_moved, 1000);
    end();
}
END_TEST

START_TEST(each_cell_is_asked_of_its_holder)
{
    begin(SIZE);
    ck_assert_int_eq(run("lines | count"), 0);
    check_printed("lines | count");
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(object.parts[i], CELLS / 3);
    }
    end();
}
END_TEST

START_TEST(records_come_in_the_order_of_the_object)
{
    begin(SIZE);
    ck_assert_int_eq(run("lines | where $3 < 100 | select $1, $2"), 0);
    check_printed("lines | where $3 < 100 | select $1, $2");
    end();
}
END_TEST

START_TEST(small_and_empty_objects_are_computed_here)
{
    begin(16384);
    ck_assert_int_eq(run("lines | count"), 0);
    check_printed("lines | count");
    ck_assert_uint_eq(object.parts_all, 0);
    ck_assert_uint_eq(ran.cost.bytes_moved, 16384);
    end();
    begin(0);
    ck_assert_int_eq(run("lines | count"), 0);
    check_printed("lines | count");
    end();
    begin(16384);
    object.root[0] ^= 1;
    ck_assert_int_eq(run("lines | count"), ERR_CORRUPT);
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(what_is_too_much_is_asked_for_in_halves)
{
    begin(SIZE);
    object.most = 5000;
    ck_assert_int_eq(run("words | by $0 count | top 100"), 0);
    check_printed("words | by $0 count | top 100");
    ck_assert_uint_ge(object.parts_all, SIZE / 5000);
    ck_assert_uint_lt(object.refused, object.parts_all / 2);
    ck_assert_uint_eq(ran.cost.cells, CELLS);
    end();
}
END_TEST

START_TEST(parts_grow_again_where_more_fits)
{
    begin(SIZE);
    object.most = 2000;
    object.most_parts = 40;
    object.most_after = CELL;
    ck_assert_int_eq(run("lines | count"), 0);
    check_printed("lines | count");
    ck_assert_uint_lt(object.parts_all, SIZE / 2000 / 2);
    end();
}
END_TEST

/* Fills the object with this line, again and again, then with empty ones. */
static void fill(const char *line)
{
    const size_t bytes = strlen(line);
    for (size_t at = 0; at < SIZE; at++) {
        object.data[at] = (uint8_t)(at < SIZE / bytes * bytes ? line[at % bytes] : '\n');
    }
}

START_TEST(csv_moves_little_whether_it_is_quoted_or_not)
{
    static const char *const lines[] = {"12,name,345\n", "\"12\",\"na,me\",\"345\"\r\n",
                                        "12,\"na\n\nme\",345\n", "12,\"\n\",\"\n\n\"\n"};
    static const char *const programs[] = {"csv | where $1 > 3 | by $2 count, sum $1",
                                           "csv | count"};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        for (unsigned p = 0; p < 2; p++) {
            begin(SIZE);
            fill(lines[i]);
            ck_assert_int_eq(run(programs[p]), 0);
            check_printed(programs[p]);
            ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
            ck_assert_uint_lt(ran.cost.bytes_moved, CELLS * 1024);
            end();
        }
    }
}
END_TEST

START_TEST(csv_with_records_longer_than_cells_is_right)
{
    begin(SIZE);
    fill("1,\"a\nb\",3\n");
    memset(object.data + CELL / 2, 'x', 2 * CELL);
    object.data[CELL / 2 - 1] = '\n';
    object.data[CELL / 2] = '"';
    object.data[2 * CELL + CELL / 2 - 2] = '"';
    object.data[2 * CELL + CELL / 2 - 1] = '\n';
    memset(object.data, 'y', CELL / 2 - 1);
    ck_assert_int_eq(run("csv | by $1 count"), 0);
    check_printed("csv | by $1 count");
    ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
    ck_assert_uint_lt(ran.cost.bytes_moved, 4 * CELL);
    end();
}
END_TEST

START_TEST(csv_of_nodes_that_can_do_little_at_once_is_right)
{
    begin(SIZE);
    fill("12,\"na\n\nme\",345\n");
    object.most = CELL / 5;
    ck_assert_int_eq(run("csv | by $2 count, sum $1"), 0);
    check_printed("csv | by $2 count, sum $1");
    end();
}
END_TEST

START_TEST(csv_read_in_another_way_than_asked_for_is_passed_by)
{
    begin(SIZE);
    fill("12,\"na\n\nme\",345\n");
    object.most = CELL / 5;
    object.lies[1] = LIE_QUOTES;
    ck_assert_int_eq(run("csv | by $2 count, sum $1"), 0);
    check_printed("csv | by $2 count, sum $1");
    end();
}
END_TEST

START_TEST(one_byte_that_is_too_much_ends_it)
{
    begin(SIZE);
    object.refuses = true;
    ck_assert_int_eq(run("lines | count"), ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(ran.text, "one byte"));
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(a_node_that_lies_is_passed_by)
{
    for (enum lie lie = LIE_CRC; lie <= LIE_SPAN; lie++) {
        begin(SIZE);
        object.lies[1] = lie;
        ck_assert_int_eq(run("lines | count"), 0);
        check_printed("lines | count");
        ck_assert_uint_gt(object.parts[1], 0);
        end();
    }
}
END_TEST

START_TEST(when_all_nodes_lie_nothing_is_printed)
{
    begin(SIZE);
    for (unsigned i = 0; i < 3; i++) {
        object.lies[i] = LIE_NOISE;
    }
    ck_assert_int_eq(run("lines | where 1 = 1"), ERR_CORRUPT);
    ck_assert_uint_eq(ran.printed.size, 0);
    ck_assert_ptr_nonnull(strstr(ran.text, "is no state of the program"));
    end();
}
END_TEST

START_TEST(a_version_that_is_gone_is_begun_again_once)
{
    begin(SIZE);
    object.gone = 1;
    object.gone_after = 3;
    ck_assert_int_eq(run("lines | where $3 < 100"), 0);
    check_printed("lines | where $3 < 100");
    ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
    end();
    begin(SIZE);
    object.gone = 1000;
    ck_assert_int_eq(run("lines | count"), ERR_VERSION_GONE);
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(what_was_printed_is_not_printed_again)
{
    begin(SIZE);
    object.gone = 1;
    object.gone_after = CELLS - 1;
    ran.cannot_rewind = true;
    ck_assert_int_eq(run("lines | where $3 < 100"), ERR_VERSION_GONE);
    ck_assert_uint_gt(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(the_first_wrong_record_is_named_and_those_before_it_are_printed)
{
    begin(SIZE);
    memcpy(object.data + 5 * CELL + 100, "\nx\n", 3);
    ck_assert_int_eq(run("lines | sum $1"), ERR_WRONG_TYPE);
    ck_assert_ptr_nonnull(strstr(ran.text, "'name': record "));
    ck_assert_ptr_nonnull(strstr(ran.text, "is no number: 'x'"));
    buf_release(&ran.printed);
    ck_assert_int_eq(run("lines | where 1 / ($1 - 9000) < 2"), ERR_INVALID);
    ck_assert_uint_gt(ran.printed.size, 2 * CELL);
    check_printed("lines | where 1 / ($1 - 9000) < 2");
    end();
}
END_TEST

START_TEST(a_program_that_is_none_is_refused_with_its_place)
{
    char why[HF_TEXT_BYTES];
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {.text = hf_text("lines | cuont")};
    const struct hf_sink sink = {.ctx = &ran, .write = ran_write};
    begin(SIZE);
    ck_assert_int_eq(hf_object_run(fake.client, &o, &program, &sink, NULL, hf_answer_done),
                     ERR_INVALID);
    ck_assert_int_eq(hf_program_check(program.text, why, sizeof(why)), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(why, "column 9: 'cuont'"));
    ck_assert_int_eq(hf_program_check(hf_text("lines | count"), why, sizeof(why)), 0);
    ck_assert_str_eq(why, "");
    ck_assert_int_eq(hf_program_check(hf_text(""), NULL, 0), ERR_INVALID);
    end();
}
END_TEST

START_TEST(a_closed_client_ends_its_runs)
{
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {.text = hf_text("lines | count")};
    const struct hf_sink sink = {.ctx = &ran, .write = ran_write};
    struct hf_answer a = {.ended = false};
    begin(SIZE);
    object.silent = true;
    ck_assert_int_eq(hf_object_run(fake.client, &o, &program, &sink, &a, hf_answer_done), 0);
    while (fake.requests < 4) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    end();
    ck_assert(a.ended);
    ck_assert_int_eq(a.result.code, ERR_UNAVAILABLE);
    hf_answer_release(&a);
}
END_TEST

UNIT_MAIN("client_run", states_of_cells_are_joined_to_what_the_bytes_give,
          each_cell_is_asked_of_its_holder, records_come_in_the_order_of_the_object,
          small_and_empty_objects_are_computed_here, what_is_too_much_is_asked_for_in_halves,
          parts_grow_again_where_more_fits, csv_moves_little_whether_it_is_quoted_or_not,
          csv_with_records_longer_than_cells_is_right,
          csv_of_nodes_that_can_do_little_at_once_is_right,
          csv_read_in_another_way_than_asked_for_is_passed_by, one_byte_that_is_too_much_ends_it,
          a_node_that_lies_is_passed_by, when_all_nodes_lie_nothing_is_printed,
          a_version_that_is_gone_is_begun_again_once, what_was_printed_is_not_printed_again,
          the_first_wrong_record_is_named_and_those_before_it_are_printed,
          a_program_that_is_none_is_refused_with_its_place, a_closed_client_ends_its_runs)
