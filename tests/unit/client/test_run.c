/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over an object, against nodes of the test that compute, refuse, or lie: what is printed
 * is what the program prints over the bytes, or nothing is.
 */
#include "run_fake.h"

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
    ck_assert_uint_eq(ran.nodes_count, 3);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(ran.nodes[i].node, i + 1);
        ck_assert_uint_eq(ran.nodes[i].cells, CELLS / 3);
        bytes += ran.nodes[i].bytes;
    }
    ck_assert_uint_eq(bytes, SIZE);
    ck_assert_uint_eq(ran.cost.bytes_local, SIZE - CELL); /* one is decoded */
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

/* As a node of a version does that has no such stage or aggregate. */
static bool knows_no_such_program(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        fake_say_error(conn, m, ERR_INVALID);
        return true;
    }
    return false;
}

START_TEST(a_node_that_does_not_know_a_program_is_named)
{
    begin(SIZE);
    object.first = knows_no_such_program;
    ck_assert_int_eq(run("lines | count, argmin $1"), ERR_INVALID);
    ck_assert_uint_eq(ran.printed.size, 0);
    ck_assert_ptr_nonnull(strstr(ran.text, "' does not know all of the program"));
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
          parts_grow_again_where_more_fits, a_node_that_does_not_know_a_program_is_named,
          csv_moves_little_whether_it_is_quoted_or_not, csv_with_records_longer_than_cells_is_right,
          csv_of_nodes_that_can_do_little_at_once_is_right,
          csv_read_in_another_way_than_asked_for_is_passed_by, one_byte_that_is_too_much_ends_it,
          a_node_that_lies_is_passed_by, when_all_nodes_lie_nothing_is_printed,
          a_version_that_is_gone_is_begun_again_once, what_was_printed_is_not_printed_again,
          the_first_wrong_record_is_named_and_those_before_it_are_printed,
          a_program_that_is_none_is_refused_with_its_place, a_closed_client_ends_its_runs)
