/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program that looks into tables, over an object on nodes of the test: each table is read once
 * and pinned, nodes are told which it is, and what is wrong with one names it.
 */
#include "run_fake.h"

#include "compute/table.h"

#define NAMES 3u

/* Object dims/tI. */
static struct {
    const char *data; /* NULL: there is none */
    uint8_t root[MERKLE_HASH_BYTES];
    unsigned stats;
} dims[NAMES];
static unsigned asked;     /* parts with tables */
static unsigned told_of;   /* tables, in the last of them */
static unsigned old_parts; /* that were asked for without any */
static int refuses;        /* the code of all parts, */
static const char *says;   /* and what is said */
static struct hf_run_table tables[WIRE_LOOKUPS_MAX];
static size_t tables_count;

static void set(unsigned i, const char *data)
{
    const size_t size = strlen(data);
    uint8_t hash[MERKLE_HASH_BYTES];
    dims[i].data = data;
    if (size > 0) {
        compute_leaf_hash(data, size, hash);
    }
    merkle_root_of(hash, compute_leaves_of(size), dims[i].root);
}

static void say_table(struct fake_conn *conn, const struct wire_rpc *m, unsigned i)
{
    struct buf *out = fake_begin(conn, m);
    dims[i].stats++;
    if (dims[i].data == NULL) {
        (void)wire_pack_nil(out);
        fake_end(conn, out);
        return;
    }
    (void)wire_pack_map(out, 7);
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, strlen(dims[i].data));
    (void)wire_pack_text(out, WIRE_FIELD_VERSION);
    (void)wire_pack_u64(out, 40 + i);
    (void)wire_pack_text(out, WIRE_FIELD_K);
    (void)wire_pack_u64(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, CELL);
    (void)wire_pack_text(out, WIRE_FIELD_EXTENTS);
    (void)wire_pack_u64(out, 0);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(dims[i].root, MERKLE_HASH_BYTES));
    (void)wire_pack_text(out, WIRE_FIELD_INLINE);
    (void)wire_pack_bin(out, bytes_of_text(dims[i].data));
    fake_end(conn, out);
}

/* Stats of tables. */
static bool serve_dims(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes bucket;
    struct bytes name;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT) || wire_param_bytes(m, 0, 100, &bucket) != 0 ||
        !bytes_equal(bucket, bytes_of_text("dims")) || wire_param_bytes(m, 1, 100, &name) != 0) {
        return false;
    }
    ck_assert_uint_eq(name.size, 2);
    say_table(conn, m, (unsigned)(name.data[1] - '0'));
    return true;
}

/* Binds what the message lists. made: freed by the caller. */
static void bind_told(struct compute_program *p, struct wire_node list,
                      struct compute_table *made[WIRE_LOOKUPS_MAX])
{
    ck_assert_uint_eq(wire_node_count(list), compute_program_lookups(p));
    told_of = wire_node_count(list);
    for (uint32_t i = 0; i < told_of; i++) {
        const struct wire_node item = wire_node_at(list, i);
        struct compute_table_options o = {.seed = 3};
        struct bytes name;
        struct bytes data;
        uint64_t version = 0;
        ck_assert_int_eq(wire_node_bytes(wire_node_find(item, WIRE_FIELD_NAME), 100, &name), 0);
        ck_assert_int_eq(wire_node_bytes(wire_node_find(item, WIRE_FIELD_DATA), 16384, &data), 0);
        ck_assert_int_eq(wire_node_u64(wire_node_find(item, WIRE_FIELD_VERSION), &version), 0);
        ck_assert_uint_eq(version, 40u + name.data[1] - '0');
        (void)compute_program_lookup(p, i, &o.header);
        ck_assert_int_eq(compute_table_new(&made[i], &heap, data, &o, NULL), 0);
        compute_program_bind(p, i, made[i]);
    }
}

static void say_joined(struct fake_conn *conn, const struct wire_rpc *m, struct bytes state)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 6);
    (void)wire_pack_text(out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(out, state);
    (void)wire_pack_text(out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(out, crc_of(state.data, state.size));
    (void)wire_pack_text(out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(out, false);
    (void)wire_pack_text(out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(out, 5);
    (void)wire_pack_text(out, WIRE_FIELD_NODE);
    (void)wire_pack_u64(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_FETCHED);
    (void)wire_pack_u64(out, asked == 1 ? 1000 : 0);
    fake_end(conn, out);
}

/* Parts, with their tables. */
static bool serve_joined(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct compute_task_options options = {.from = 0};
    struct compute_table *made[WIRE_LOOKUPS_MAX] = {NULL};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    struct bytes text;
    struct buf state;
    uint64_t bytes = 0;
    uint64_t quotes = 0;
    if (refuses != 0) {
        fake_say_failure(conn, m, &(struct wire_failure){.code = refuses, .message = says});
        return true;
    }
    if (m->params_count < 9) {
        old_parts++;
        return false;
    }
    asked++;
    ck_assert_int_eq(wire_param_u64(m, 3, &options.from), 0);
    ck_assert_int_eq(wire_param_u64(m, 4, &bytes), 0);
    ck_assert_int_eq(wire_param_bytes(m, 5, WIRE_PROGRAM_BYTES_MAX, &text), 0);
    ck_assert_int_eq(wire_param_u64(m, 6, &quotes), 0);
    options.quotes = (uint32_t)quotes;
    ck_assert_int_eq(compute_program_new(&p, &heap, text, NULL), 0);
    bind_told(p, wire_node_at(m->params, 8), made);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(object.data + options.from, bytes)), 0);
    compute_task_leave_open(t, 4096);
    buf_init(&state, &heap, 64u << 20);
    ck_assert_int_eq(compute_task_encode(t, &state), 0);
    say_joined(conn, m, buf_view(&state));
    buf_release(&state);
    compute_task_free(t);
    compute_program_free(p);
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX; i++) {
        compute_table_free(made[i]);
    }
    return true;
}

static void start(uint64_t size)
{
    begin(size);
    memset(dims, 0, sizeof(dims));
    asked = 0;
    told_of = 0;
    old_parts = 0;
    refuses = 0;
    tables_count = 0;
    object.before = serve_dims;
    object.first = serve_joined;
    set(0, "name1,one,10\nname2,two,20\n\"name3\",\"th\"\"ree\",30\n");
    set(1, "key,more\none,ONE\ntwo,TWO\n");
}

static void ran_tables(void *ctx, const struct hf_run_table *told, size_t count)
{
    (void)ctx;
    memcpy(tables, told, count * sizeof(told[0]));
    tables_count = count;
}

/* As run(), with objects for tables. */
static int run_tables(const char *text, const struct hf_table *given, size_t count)
{
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {.text = hf_text(text),
                                       .nodes_ctx = &ran,
                                       .nodes = ran_nodes,
                                       .tables = given,
                                       .tables_count = count,
                                       .tables_fn = ran_tables};
    const struct hf_sink sink = {.ctx = &ran, .write = ran_write, .rewind = ran_rewind};
    struct hf_answer a = {.ended = false};
    buf_release(&ran.printed);
    buf_init(&ran.printed, &heap, 64u << 20);
    const int began = hf_object_run(fake.client, &o, &program, &sink, &a, hf_answer_done);
    if (began != 0) {
        return began;
    }
    const int err = fake_wait(&fake, &a);
    ran.cost = a.result.run;
    (void)snprintf(ran.text, sizeof(ran.text), "%s", a.result.text);
    hf_answer_release(&a);
    return err;
}

/* What was printed is what the program prints over the bytes with these tables. */
static void check_joined(const char *text, const char *used)
{
    const struct compute_task_options options = {.from = 0};
    struct compute_table *made[WIRE_LOOKUPS_MAX] = {NULL};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    for (uint32_t i = 0; used[i] != '\0'; i++) {
        struct compute_table_options o = {.seed = 9};
        (void)compute_program_lookup(p, i, &o.header);
        ck_assert_int_eq(
            compute_table_new(&made[i], &heap, bytes_of_text(dims[used[i] - '0'].data), &o, NULL),
            0);
        compute_program_bind(p, i, made[i]);
    }
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(object.data, object.size)), 0);
    ck_assert_int_eq(compute_task_finish(t, NULL), 0);
    ck_assert(bytes_equal(compute_task_output(t), buf_view(&ran.printed)));
    ck_assert_uint_gt(ran.printed.size, 0);
    compute_task_free(t);
    compute_program_free(p);
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX; i++) {
        compute_table_free(made[i]);
    }
}

START_TEST(tables_are_read_once_and_told_to_nodes)
{
    static const char *const text = "lines | lookup \"dims/t0\" $2 as a | lookup left \"dims/t1\" "
                                    "header $a.2 as b | lookup left \"dims/t0\" $1 as c | by $a.2, "
                                    "$b.2 count, sum $a.3, argmax $3";
    start(SIZE);
    ck_assert_int_eq(run_tables(text, NULL, 0), 0);
    check_joined(text, "010");
    ck_assert_uint_eq(dims[0].stats, 1);
    ck_assert_uint_eq(dims[1].stats, 1);
    ck_assert_uint_eq(told_of, 3);
    ck_assert_uint_ge(asked, CELLS);
    ck_assert_uint_eq(old_parts, 0);
    ck_assert_uint_eq(tables_count, 3);
    ck_assert_uint_eq(tables[1].version, 41);
    ck_assert_uint_eq(tables[1].records, 2);
    const uint64_t read = strlen(dims[0].data) + strlen(dims[1].data);
    ck_assert_uint_eq(ran.cost.tables_bytes, read + 1000); /* here, and by the node that said so */
    ck_assert_uint_gt(ran.cost.bytes_moved, read + CELLS * 5);
    uint64_t fetched = 0;
    for (size_t i = 0; i < ran.nodes_count; i++) {
        fetched += ran.nodes[i].node == 2 ? ran.nodes[i].tables_bytes : 0;
    }
    ck_assert_uint_eq(fetched, 1000);
    end();
}
END_TEST

START_TEST(a_small_object_is_joined_here)
{
    static const char *const text = "lines | lookup \"dims/t0\" $2 as a | by $a.2 count";
    start(9000);
    ck_assert_int_eq(run_tables(text, NULL, 0), 0);
    check_joined(text, "0");
    ck_assert_uint_eq(asked, 0);
    end();
}
END_TEST

START_TEST(a_table_may_be_another_object_than_its_name)
{
    static const char *const text = "lines | lookup \"x\" $2 as a | lookup \"x\" $2 as b | by $b.2 "
                                    "count";
    const struct hf_table given[] = {
        {.table = hf_text("x"), .bucket = hf_text("dims"), .name = hf_text("t0")},
        {.table = hf_text("y"), .bucket = hf_text("dims"), .name = hf_text("t0")}};
    const struct hf_table twice[] = {given[0], given[0]};
    start(SIZE);
    ck_assert_int_eq(run_tables(text, given, 1), 0);
    check_joined(text, "00");
    ck_assert_uint_eq(dims[0].stats, 1);
    ck_assert_int_ne(run_tables(text, NULL, 0), 0); /* x is no object's name */
    ck_assert_int_eq(run_tables(text, given, 2), ERR_INVALID);
    ck_assert_int_eq(run_tables(text, twice, 2), ERR_INVALID);
    ck_assert_int_eq(run_tables("lines | count", given, 1), ERR_INVALID);
    end();
}
END_TEST

/* The first record is a row of the one and no row of the other, which are read once. */
START_TEST(a_table_with_a_header_and_without_are_two)
{
    static const char *const texts[] = {
        "lines | lookup left \"dims/t0\" header $2 as a | lookup left \"dims/t0\" $2 as b | by "
        "$a.2, "
        "$b.2 count",
        "lines | lookup left \"dims/t0\" $2 as a | lookup left \"dims/t0\" header $2 as b | by "
        "$a.2, "
        "$b.2 count",
    };
    start(SIZE);
    for (unsigned i = 0; i < 2; i++) {
        dims[0].stats = 0;
        ck_assert_int_eq(run_tables(texts[i], NULL, 0), 0);
        check_joined(texts[i], "00");
        ck_assert_ptr_nonnull(strstr((const char *)ran.printed.data, i == 0 ? ",one," : "one,,"));
        ck_assert_uint_eq(dims[0].stats, 1);
    }
    end();
}
END_TEST

START_TEST(what_is_wrong_with_a_table_names_it)
{
    static const char *const text = "lines | lookup \"dims/t2\" $2 as a | count";
    start(SIZE);
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_NOT_FOUND);
    ck_assert_str_eq(ran.text, "'name': table 'dims/t2': object 't2': there is no such object");
    set(2, "a,1\nb,2\na,3\n");
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_EXISTS);
    ck_assert_str_eq(ran.text, "'name': table 'dims/t2': record 3: key 'a' is in record 1 too");
    set(2, "a,\"1\n");
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_PROTOCOL);
    ck_assert_str_eq(ran.text, "'name': table 'dims/t2': record 1: a quote is not closed");
    set(2, "a,1\n");
    dims[2].root[3] ^= 1;
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_CORRUPT);
    ck_assert_uint_eq(asked, 0); /* no node was */
    end();
}
END_TEST

/* The step that finds it is a timer's, before a poll that nothing else would end. */
START_TEST(a_run_that_ends_in_a_timer_has_ended)
{
    static const char *const text = "lines | lookup \"dims/t2\" $2 as a | count";
    start(SIZE);
    fake.late = true;
    for (unsigned i = 0; i < 60; i++) { /* nothing else may be there to end the poll */
        set(2, i % 2 == 0 ? "a,1\nb,2\na,3\n" : "a,\"1\n");
        ck_assert_int_eq(run_tables(text, NULL, 0), i % 2 == 0 ? ERR_EXISTS : ERR_PROTOCOL);
    }
    fake.late = false;
    end();
}
END_TEST

START_TEST(what_a_node_says_of_a_table_ends_the_run)
{
    static const char *const text = "lines | lookup \"dims/t0\" $2 as a | count";
    start(SIZE);
    refuses = ERR_CONFLICT;
    says = "table 'dims/t0': was replaced or removed, and is gone";
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_CONFLICT);
    ck_assert_str_eq(ran.text, "'name': table 'dims/t0': was replaced or removed, and is gone");
    refuses = ERR_INVALID; /* a node of an earlier version */
    says = "argument is not valid";
    ck_assert_int_eq(run_tables(text, NULL, 0), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ran.text, "does not know all of the program"));
    end();
}
END_TEST

static void never(void *ctx, const struct hf_result *result)
{
    unsigned *calls = ctx;
    ck_assert_int_ne(result->code, 0);
    (*calls)++;
}

START_TEST(a_client_may_end_while_a_table_is_read)
{
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {.text =
                                           hf_text("lines | lookup \"dims/t0\" $2 as a | count")};
    const struct hf_sink sink = {.ctx = &ran, .write = ran_write};
    unsigned calls = 0;
    start(SIZE);
    ck_assert_int_eq(hf_object_run(fake.client, &o, &program, &sink, &calls, never), 0);
    end();
    ck_assert_uint_eq(calls, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_run_tables");
    TCase *tc = tcase_create("client_run_tables");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, tables_are_read_once_and_told_to_nodes);
    tcase_add_test(tc, a_small_object_is_joined_here);
    tcase_add_test(tc, a_table_may_be_another_object_than_its_name);
    tcase_add_test(tc, a_table_with_a_header_and_without_are_two);
    tcase_add_test(tc, what_is_wrong_with_a_table_names_it);
    tcase_add_test(tc, a_run_that_ends_in_a_timer_has_ended);
    tcase_add_test(tc, what_a_node_says_of_a_table_ends_the_run);
    tcase_add_test(tc, a_client_may_end_while_a_table_is_read);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
