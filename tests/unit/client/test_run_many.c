/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program over all objects whose names begin alike, while some of them are removed or replaced:
 * every object that is there when its turn comes counts once, and nothing is printed twice. The
 * objects of the list have the same bytes.
 */
#include "run_fake.h"

#include "kv_fake.h"

#include "client/job_internal.h"

#define NAMES 5u

static struct {
    unsigned lists;
    unsigned stats[NAMES]; /* asked for, by object */
    unsigned removed;      /* bitmap: those that are gone when their turn comes */
    bool page_of_one;      /* a list has one name */
    unsigned turn;         /* object whose turn it is */
    unsigned gone_turn;    /* of which that is parts are VERSION_GONE, */
    unsigned gone_left;    /* so often, */
    unsigned gone_after;   /* after so many of its parts */
    unsigned parts;        /* of it so far */
} world;

static void name_of(unsigned i, char name[8])
{
    (void)snprintf(name, 8, "n%u", i);
}

static void say_list(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes after = bytes_of(NULL, 0);
    unsigned from = 0;
    char name[8];
    if (wire_param_bytes(m, 2, 16, &after) == 0 && after.size > 0) {
        from = (unsigned)(after.data[1] - '0') + 1;
    }
    unsigned to = world.page_of_one ? NUM_MIN(from + 1, NAMES) : NAMES;
    world.lists++;
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_MORE);
    (void)wire_pack_bool(out, to < NAMES);
    (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, to - from);
    for (unsigned i = from; i < to; i++) {
        name_of(i, name);
        (void)wire_pack_map(out, 2);
        (void)wire_pack_text(out, WIRE_FIELD_NAME);
        (void)wire_pack_bin(out, bytes_of(name, strlen(name)));
        (void)wire_pack_text(out, WIRE_FIELD_SIZE);
        (void)wire_pack_u64(out, object.size);
    }
    fake_end(conn, out);
}

static bool serve_many(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes name;
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_LIST)) {
        say_list(conn, m);
        return true;
    }
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT)) {
        ck_assert_int_eq(wire_param_bytes(m, 1, 16, &name), 0);
        world.turn = (unsigned)(name.data[1] - '0');
        world.stats[world.turn]++;
        world.parts = 0;
        if ((world.removed >> world.turn & 1u) != 0) {
            fake_say_nil(conn, m);
            return true;
        }
        return false;
    }
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) && world.turn == world.gone_turn &&
        world.gone_left > 0 && ++world.parts > world.gone_after) {
        world.gone_left--;
        fake_say_error(conn, m, ERR_VERSION_GONE);
        return true;
    }
    return false;
}

static void begin_many(uint64_t size)
{
    begin(size);
    memset(&world, 0, sizeof(world));
    object.before = serve_many;
    ran.many = true;
}

/* What was printed is what the program prints over the bytes of so many objects, one after the
 * other. */
static void check_many(const char *text, unsigned objects)
{
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    for (unsigned i = 0; i < objects; i++) {
        ck_assert_int_eq(i > 0 ? compute_task_next(t, NULL) : 0, 0);
        ck_assert_int_eq(compute_task_update(t, bytes_of(object.data, object.size)), 0);
    }
    ck_assert_int_eq(compute_task_finish(t, NULL), 0);
    const struct bytes want = compute_task_output(t);
    ck_assert_uint_eq(want.size, ran.printed.size);
    ck_assert(bytes_equal(want, buf_view(&ran.printed)));
    compute_task_free(t);
    compute_program_free(p);
    ck_assert_uint_eq(ran.nodes_count, object.size == SIZE ? 3 : 0);
    for (unsigned i = 0; i < ran.nodes_count; i++) {
        ck_assert_uint_eq(ran.nodes[i].cells, objects * CELLS / 3);
    }
    ck_assert_uint_eq(ran.cost.objects, objects);
    ck_assert_uint_eq(ran.cost.size, objects * object.size);
    ck_assert_uint_eq(ran.cost.bytes_read, objects * object.size);
}

static const char groups[] = "words | by $0 count | top 100";
static const char records[] = "lines | where $3 < 100";

START_TEST(objects_are_taken_in_the_order_of_their_names)
{
    for (unsigned one = 0; one < 2; one++) {
        begin_many(SIZE);
        world.page_of_one = one == 1;
        ck_assert_int_eq(run(records), 0);
        check_many(records, NAMES);
        ck_assert_uint_eq(world.lists, one == 1 ? NAMES : 1);
        end();
    }
}
END_TEST

START_TEST(an_object_removed_after_it_was_listed_does_not_count)
{
    static const unsigned cases[] = {1u << 0, 1u << 2, 1u << 4, 0x15};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned one = 0; one < 2; one++) {
            begin_many(SIZE);
            world.page_of_one = one == 1;
            world.removed = cases[i];
            ck_assert_int_eq(run(groups), 0);
            check_many(groups, NAMES - (unsigned)__builtin_popcount(cases[i]));
            end();
        }
    }
}
END_TEST

START_TEST(when_all_were_removed_after_they_were_listed_there_is_none)
{
    begin_many(SIZE);
    world.removed = 0x1f;
    ck_assert_int_eq(run(groups), ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(ran.text, "'n*': there is no such object"));
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(of_an_object_replaced_before_any_of_it_counted_only_it_is_begun_again)
{
    begin_many(SIZE);
    world.gone_turn = 2;
    world.gone_left = 1;
    ck_assert_int_eq(run(groups), 0);
    check_many(groups, NAMES);
    ck_assert_uint_eq(world.stats[1], 1);
    ck_assert_uint_eq(world.stats[2], 2);
    ck_assert_uint_eq(world.stats[3], 1);
    ck_assert_uint_eq(world.lists, 1);
    end();
}
END_TEST

START_TEST(of_an_object_replaced_when_some_of_it_counted_all_are_begun_again)
{
    begin_many(SIZE);
    world.gone_turn = 2;
    world.gone_left = 1;
    world.gone_after = CELLS - 1;
    ck_assert_int_eq(run(groups), 0);
    check_many(groups, NAMES);
    ck_assert_uint_eq(world.stats[0], 2);
    ck_assert_uint_eq(world.stats[1], 2);
    ck_assert_uint_eq(world.stats[2], 2);
    ck_assert_uint_eq(world.stats[3], 1);
    end();
}
END_TEST

START_TEST(records_that_were_printed_are_taken_back_or_it_ends)
{
    for (unsigned cannot = 0; cannot < 2; cannot++) {
        begin_many(SIZE);
        world.gone_turn = 2;
        world.gone_left = 1;
        world.gone_after = CELLS - 1;
        ran.cannot_rewind = cannot == 1;
        ck_assert_int_eq(run(records), cannot == 1 ? ERR_VERSION_GONE : 0);
        ck_assert_uint_eq(ran.rewinds, 1 - cannot);
        if (cannot == 0) {
            check_many(records, NAMES);
        } else {
            ck_assert_ptr_nonnull(strstr(ran.text, "'n2': "));
            ck_assert_uint_gt(ran.printed.size, 0);
        }
        end();
    }
}
END_TEST

START_TEST(an_object_that_is_replaced_again_and_again_ends_it)
{
    begin_many(SIZE);
    world.gone_turn = 3;
    world.gone_left = 1000;
    ck_assert_int_eq(run(groups), ERR_VERSION_GONE);
    ck_assert_ptr_nonnull(strstr(ran.text, "'n3': "));
    ck_assert_uint_eq(world.stats[3], 2);
    ck_assert_uint_eq(world.stats[4], 0);
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(objects_that_are_replaced_whenever_some_counted_end_it)
{
    begin_many(SIZE);
    world.gone_turn = 1;
    world.gone_left = 1000;
    world.gone_after = CELLS - 1;
    ck_assert_int_eq(run(groups), ERR_VERSION_GONE);
    ck_assert_ptr_nonnull(strstr(ran.text, "'n1': "));
    ck_assert_uint_ge(world.stats[0], 2);
    ck_assert_uint_le(world.stats[0], 4);
    ck_assert_uint_eq(world.stats[2], 0);
    ck_assert_uint_eq(ran.printed.size, 0);
    end();
}
END_TEST

START_TEST(one_replaced_and_another_removed_do_not_disturb_the_others)
{
    begin_many(16384); /* whose bytes come with the stat: they are never gone in the middle */
    world.removed = 0x0a;
    ck_assert_int_eq(run(records), 0);
    check_many(records, 3);
    end();
    begin_many(SIZE);
    world.removed = 0x02;
    world.gone_turn = 4;
    world.gone_left = 1;
    ck_assert_int_eq(run(records), 0);
    check_many(records, 4);
    ck_assert_uint_eq(ran.rewinds, 0);
    end();
}
END_TEST

/* ---- jobs ----------------------------------------------------------------------------------- */

static bool serve_job(struct fake_conn *conn, const struct wire_rpc *m)
{
    return kv_serve(conn, m) || serve_many(conn, m);
}

static void begin_job(uint64_t size)
{
    begin_many(size);
    kv_clear();
    object.before = serve_job;
    object.m = 2;
    ran.job = "job";
}

static void end_job(void)
{
    end();
    kv_clear();
}

START_TEST(another_run_of_a_job_over_objects_finds_all_of_them)
{
    begin_job(SIZE);
    ck_assert_int_eq(run(records), 0);
    check_many(records, NAMES);
    ck_assert_uint_eq(ran.cost.tasks_committed, NAMES * CELLS);
    ck_assert_uint_eq(kv.count, 1 + NAMES * (1 + CELLS));
    buf_release(&ran.printed);
    object.parts_all = 0;
    ck_assert_int_eq(run(records), 0);
    ck_assert_uint_eq(ran.cost.tasks_resumed, NAMES * CELLS);
    ck_assert_uint_eq(object.parts_all, 0);
    end_job();
}
END_TEST

/* Another run has committed a wrong state of the last cell of the first object. */
static void another_is_wrong(const char *name, struct bytes value)
{
    struct job_task t;
    struct buf state;
    struct buf out;
    uint8_t digest[MERKLE_HASH_BYTES];
    if (strcmp(name, "job/00000000/00000011") != 0) {
        return;
    }
    kv.first = NULL;
    ck_assert_int_eq(hf_job_task_take(value, &t), 0);
    const struct part part = {.text = bytes_of_text(groups),
                              .from = t.from,
                              .bytes = t.to - t.from,
                              .lie = LIE_WRONG,
                              .salt = 9};
    buf_init(&state, &heap, 1u << 20);
    buf_init(&out, &heap, 1u << 20);
    compute_part(&part, &state);
    ck_assert_int_eq(hf_job_digest(buf_view(&state), digest), 0);
    t.state = buf_view(&state);
    t.digest = bytes_of(digest, sizeof(digest));
    t.node = 2;
    ck_assert_int_eq(hf_job_task_put(&out, &t), 0);
    kv_set(name, out.data, out.size);
    buf_release(&out);
    buf_release(&state);
}

START_TEST(a_wrong_state_is_outvoted_when_it_is_the_turn_of_another_object)
{
    begin_job(SIZE);
    kv.first = another_is_wrong;
    ck_assert_int_eq(run(groups), 0);
    ck_assert_uint_eq(ran.outvoted[2], 1);
    const struct kv_key *k = kv_find("job/00000000/00000011");
    struct job_task t;
    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq(hf_job_task_take(bytes_of(k->value, k->bytes), &t), 0);
    ck_assert(t.checked);
    ck_assert_uint_eq(ran.cost.objects, NAMES);
    end_job();
}
END_TEST

/* Of an error of a record in one of them: what was found before it. */
START_TEST(what_is_before_an_error_is_printed_with_a_job_too)
{
    static const char text[] = "lines | select $1, 1 / ($1 - 20)";
    for (unsigned small = 0; small < 2; small++) {
        size_t before = 0;
        for (unsigned job = 0; job < 2; job++) {
            begin_job(small == 1 ? 16384 : SIZE);
            ran.job = job == 1 ? "job" : NULL;
            ck_assert_int_eq(run(text), ERR_INVALID);
            ck_assert_msg(ran.printed.size > 0, "%u %u %s", small, job, ran.text);
            ck_assert(job == 0 || ran.printed.size == before);
            before = ran.printed.size;
            end_job();
        }
    }
}
END_TEST

UNIT_MAIN("client_run_many", objects_are_taken_in_the_order_of_their_names,
          an_object_removed_after_it_was_listed_does_not_count,
          when_all_were_removed_after_they_were_listed_there_is_none,
          of_an_object_replaced_before_any_of_it_counted_only_it_is_begun_again,
          of_an_object_replaced_when_some_of_it_counted_all_are_begun_again,
          records_that_were_printed_are_taken_back_or_it_ends,
          an_object_that_is_replaced_again_and_again_ends_it,
          objects_that_are_replaced_whenever_some_counted_end_it,
          one_replaced_and_another_removed_do_not_disturb_the_others,
          another_run_of_a_job_over_objects_finds_all_of_them,
          a_wrong_state_is_outvoted_when_it_is_the_turn_of_another_object,
          what_is_before_an_error_is_printed_with_a_job_too)
