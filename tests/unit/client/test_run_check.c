/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that compute wrong states under right checksums: found by a second computation, and
 * outvoted by a third.
 */
#include "run_fake.h"

#include "kv_fake.h"

#include "client/job_internal.h"

static const char words[] = "words | by $0 count";
static const char chosen[] = "lines | where $3 < 300 | select $1, $2";

static void check_begin(void)
{
    begin(SIZE);
    kv_clear();
    object.before = kv_serve;
    object.m = 2;
    ran.check = true;
}

static void check_end(void)
{
    end();
    kv_clear();
}

/* ---- two nodes ------------------------------------------------------------------------------ */

START_TEST(each_cell_is_computed_by_its_holder_and_apart_from_it)
{
    static const char *const programs[] = {words, chosen, "csv | count", "u8 | sum"};
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        check_begin();
        ck_assert_int_eq(run(programs[i]), 0);
        check_printed(programs[i]);
        ck_assert_uint_ge(object.aparts, CELLS);
        ck_assert_uint_ge(object.parts_all, 2 * CELLS);
        ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
        ck_assert_uint_eq(ran.cost.disagreed, 0);
        check_end();
    }
}
END_TEST

START_TEST(a_node_that_lies_is_outvoted_and_named)
{
    for (unsigned liar = 0; liar < 3; liar++) {
        check_begin();
        object.lies[liar] = LIE_WRONG;
        ck_assert_int_eq(run(words), 0);
        check_printed(words);
        ck_assert_uint_ge(ran.outvoted[liar + 1], CELLS / 3);
        ck_assert_uint_eq(ran.outvoted[liar + 1], ran.cost.disagreed);
        check_end();
    }
}
END_TEST

START_TEST(without_a_check_it_is_not_found)
{
    check_begin();
    ran.check = false;
    object.lies[1] = LIE_WRONG;
    ck_assert_int_eq(run(words), 0);
    ck_assert_uint_eq(ran.cost.disagreed, 0);
    ck_assert_uint_eq(object.aparts, 0);
    check_end();
}
END_TEST

START_TEST(three_states_of_three_nodes_are_none)
{
    check_begin();
    for (unsigned node = 0; node < 3; node++) {
        object.lies[node] = LIE_WRONG;
    }
    ck_assert_int_eq(run(words), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ran.text, "have computed three different states"));
    ck_assert_uint_eq(ran.printed.size, 0);
    check_end();
}
END_TEST

START_TEST(parts_are_checked_where_cells_are_too_much)
{
    check_begin();
    object.most = 20000;
    object.lies[2] = LIE_WRONG;
    ck_assert_int_eq(run(chosen), 0);
    check_printed(chosen);
    ck_assert_uint_gt(ran.outvoted[3], CELLS / 3);
    check_end();
}
END_TEST

static unsigned stripes_asked;

static bool stripes_are_counted(struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)conn;
    stripes_asked += wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) && where_of(m) == WIRE_RUN_STRIPE;
    return false;
}

/* What is read of a holder to decode others is the holder's: no vote of another node. */
START_TEST(votes_are_asked_for_cell_by_cell_where_nodes_are_lost)
{
    check_begin();
    object.lost = 1;
    object.first = stripes_are_counted;
    stripes_asked = 0;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(words), 0);
    check_printed(words);
    ck_assert_uint_eq(stripes_asked, 0);
    check_end();
}
END_TEST

START_TEST(what_is_no_state_is_no_vote)
{
    check_begin();
    object.lies[0] = LIE_NOISE;
    ck_assert_int_eq(run(words), 0);
    check_printed(words);
    ck_assert_uint_eq(ran.cost.disagreed, 0);
    check_end();
}
END_TEST

START_TEST(a_bucket_without_parity_cannot_be_checked)
{
    check_begin();
    object.m = 0;
    ck_assert_int_eq(run(words), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ran.text, "its bucket has no parity"));
    ck_assert_uint_eq(object.parts_all, 0);
    check_end();
}
END_TEST

/* The holder has answered twice: that is one node. */
START_TEST(a_cell_that_nobody_else_can_decode_cannot_be_checked)
{
    check_begin();
    object.holds = true;
    ck_assert_int_eq(run(words), ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(ran.text, "cannot be checked: no other node can have it"));
    check_end();
}
END_TEST

/* ---- jobs ----------------------------------------------------------------------------------- */

static unsigned meets; /* how many cells the other run commits first */

/* Another run has committed another state of the cell, computed by node 2. */
static void another_state(const char *name, struct bytes value, enum lie lie)
{
    struct job_task t;
    struct buf state;
    struct buf out;
    uint8_t digest[MERKLE_HASH_BYTES];
    ck_assert_int_eq(hf_job_task_take(value, &t), 0);
    const struct part part = {.text = bytes_of_text(chosen),
                              .from = t.from,
                              .bytes = t.to - t.from,
                              .lie = lie,
                              .salt = 9};
    buf_init(&state, &heap, 1u << 20);
    buf_init(&out, &heap, 1u << 20);
    compute_part(&part, &state);
    ck_assert_int_eq(hf_job_digest(buf_view(&state), digest), 0);
    t.state = buf_view(&state);
    t.digest = bytes_of(digest, sizeof(digest));
    t.node = 2;
    t.checked = false;
    ck_assert_int_eq(hf_job_task_put(&out, &t), 0);
    kv_set(name, out.data, out.size);
    buf_release(&out);
    buf_release(&state);
}

static bool meets_at(const char *name)
{
    const bool at = meets > 0 && strcmp(name, "job/00000000/00000004") == 0;
    meets -= at;
    return at;
}

static void another_is_wrong(const char *name, struct bytes value)
{
    if (meets_at(name)) {
        another_state(name, value, LIE_WRONG);
    }
}

static void another_is_right(const char *name, struct bytes value)
{
    if (meets_at(name)) {
        another_state(name, value, LIE_NONE);
    }
}

/* So it is with a cell once something is printed; then the job's other cells are forgotten, and it
 * is so with one of those whose results were printed. */
static void others_are_wrong(const char *name, struct bytes value)
{
    const unsigned cell = hf_job_value_of(value) == JOB_VALUE_TASK ? (unsigned)(name[20] - '0') : 0;
    if (meets == 2 && cell > 2 && ran.printed.size > 0) {
        meets--;
        for (unsigned i = 0; i < CELLS; i++) {
            char other[64];
            (void)snprintf(other, sizeof(other), "job/00000000/%08u", i);
            kv_drop(other);
        }
        another_state(name, value, LIE_WRONG);
    } else if (meets == 1 && cell == 1) {
        meets--;
        another_state(name, value, LIE_WRONG);
    }
}

static void job_begin(void)
{
    check_begin();
    ran.check = false;
    ran.job = "job";
    meets = 1;
}

/* returns: the node that the committed state of cell 4 is of. */
static uint32_t committed_by(bool *checked)
{
    struct job_task t;
    const struct kv_key *k = kv_find("job/00000000/00000004");
    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq(hf_job_task_take(bytes_of(k->value, k->bytes), &t), 0);
    *checked = t.checked;
    return t.node;
}

START_TEST(a_wrong_state_that_is_committed_is_outvoted_and_replaced)
{
    bool checked = false;
    job_begin();
    kv.first = another_is_wrong;
    ck_assert_int_eq(run(chosen), 0);
    check_printed(chosen); /* nothing twice, though the run began again */
    ck_assert_uint_eq(ran.outvoted[2], 1);
    ck_assert_uint_eq(ran.cost.disagreed, 1);
    ck_assert_uint_ge(ran.cost.tasks_resumed, 4);
    (void)committed_by(&checked);
    ck_assert(checked);
    check_end();
}
END_TEST

/* Holders are silent about cells behind the sixth until something is printed. */
static bool holds_back(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    uint64_t apart = 0;
    (void)conn;
    return wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) && wire_param_u64(m, 3, &from) == 0 &&
           wire_param_u64(m, 7, &apart) == 0 && apart == 0 && from >= 6 * (uint64_t)CELL &&
           ran.printed.size == 0;
}

START_TEST(a_run_that_begins_again_twice_prints_nothing_twice)
{
    job_begin();
    meets = 2;
    object.first = holds_back;
    kv.first = others_are_wrong;
    ck_assert_int_eq(run(chosen), 0);
    ck_assert_uint_eq(meets, 0);
    check_printed(chosen);
    ck_assert_uint_eq(ran.outvoted[2], 2);
    check_end();
}
END_TEST

/* Of cell 4 node 1 is the holder: what it computes is joined before it is known to be wrong. */
START_TEST(a_right_state_that_is_committed_outvotes_that_of_this_run)
{
    bool checked = false;
    job_begin();
    object.lies[0] = LIE_WRONG;
    kv.first = another_is_right;
    for (unsigned cell = 1; cell < CELLS; cell += 3) { /* all others of that node are right */
        if (cell == 4) {
            continue;
        }
        object.data[cell * CELL] = 'a';
    }
    ck_assert_int_eq(run(chosen), 0);
    check_printed(chosen);
    ck_assert_uint_ge(ran.outvoted[1], 1);
    ck_assert_uint_eq(ran.outvoted[2] + ran.outvoted[3], 0);
    ck_assert_uint_eq(committed_by(&checked), 2);
    check_end();
}
END_TEST

START_TEST(without_parity_two_states_of_a_cell_end_the_run)
{
    job_begin();
    object.m = 0;
    kv.first = another_is_wrong;
    ck_assert_int_eq(run(chosen), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ran.text, "job key 'job/00000000/00000004': node "));
    ck_assert_ptr_nonnull(strstr(ran.text, " and node 2 have computed different states"));
    check_end();
}
END_TEST

START_TEST(of_a_job_only_what_was_checked_is_used_by_a_check)
{
    job_begin();
    ck_assert_int_eq(run(chosen), 0);
    buf_release(&ran.printed);
    memset(&ran, 0, sizeof(ran));
    ran.job = "job";
    ran.check = true;
    object.parts_all = 0;
    ck_assert_int_eq(run(chosen), 0);
    check_printed(chosen);
    ck_assert_uint_eq(ran.cost.tasks_resumed, 0);
    ck_assert_uint_ge(object.parts_all, 2 * CELLS);
    check_end();
    job_begin();
    ran.check = true;
    ck_assert_int_eq(run(chosen), 0);
    buf_release(&ran.printed);
    memset(&ran, 0, sizeof(ran));
    ran.job = "job";
    ran.check = true;
    ck_assert_int_eq(run(chosen), 0);
    check_printed(chosen);
    ck_assert_uint_eq(ran.cost.tasks_resumed, CELLS);
    check_end();
}
END_TEST

UNIT_MAIN("client_run_check", each_cell_is_computed_by_its_holder_and_apart_from_it,
          a_node_that_lies_is_outvoted_and_named, without_a_check_it_is_not_found,
          three_states_of_three_nodes_are_none, parts_are_checked_where_cells_are_too_much,
          what_is_no_state_is_no_vote, votes_are_asked_for_cell_by_cell_where_nodes_are_lost,
          a_bucket_without_parity_cannot_be_checked,
          a_cell_that_nobody_else_can_decode_cannot_be_checked,
          a_wrong_state_that_is_committed_is_outvoted_and_replaced,
          a_run_that_begins_again_twice_prints_nothing_twice,
          a_right_state_that_is_committed_outvotes_that_of_this_run,
          without_parity_two_states_of_a_cell_end_the_run,
          of_a_job_only_what_was_checked_is_used_by_a_check)
