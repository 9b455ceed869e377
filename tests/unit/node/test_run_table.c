/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs that look into tables, on a cluster of whole nodes: the joined states give what the
 * program gives over the bytes in one place, whatever is lost; a table is read once by a node, kept
 * within a budget, and named where it is missing.
 */
#include "run_rig.h"

#define TABLES 4u
#define SIZE 300003u

static struct {
    char name[8];
    uint8_t data[600000];
    size_t size;
    uint64_t version;
    uint8_t root[MERKLE_HASH_BYTES];
} tables[TABLES];

static struct node_objects *objects_of(unsigned node)
{
    return node_objects_get(r->nodes[node - 1].node);
}

/* ---- objects -------------------------------------------------------------------------------- */

/* Stores table i, of so many rows "KEY,group,NUMBER", as object "tI". */
static void put_table(unsigned i, unsigned rows, const char *head)
{
    size_t at = (size_t)snprintf((char *)tables[i].data, sizeof tables[i].data, "%s", head);
    for (unsigned k = 0; k < rows; k++) {
        at += (size_t)snprintf((char *)tables[i].data + at, sizeof tables[i].data - at,
                               k % 3 == 0 ? "%u,\"g\"\"%u\",%u\r\n" : "%u,g%u,%u\n", k * (i + 1),
                               k % (5 + i), k * 7 % 1000);
    }
    ck_assert_uint_lt(at + 1, sizeof tables[i].data);
    tables[i].size = at;
    memcpy(content, tables[i].data, at);
    (void)snprintf(tables[i].name, sizeof tables[i].name, "t%u", i);
    ck_assert_int_eq(put(1, tables[i].name, at), 0);
    memcpy(tables[i].root, root, sizeof root);
    tables[i].version = version_of(tables[i].name);
}

/* The object, and tables: large, small, empty, with a header. */
static void put_all(unsigned nodes, unsigned k, unsigned m)
{
    cluster(nodes, k, m);
    put_table(0, 9000, "");
    put_table(1, 300, "");
    put_table(2, 0, "");
    put_table(3, 3000, "key,group,number\n");
    text_content();
    size_t end = SIZE - 2;
    while (content[end] != '"' || content[end + 1] != '\n') {
        end--;
    }
    memset(content + end + 1, '\n', SIZE - end - 1); /* it ends with a record */
    ck_assert_int_eq(put(1, "a", SIZE), 0);
}

/* ---- asking --------------------------------------------------------------------------------- */

static uint32_t said_cell_bytes = CELL; /* what the asker says of its tables */
static const char *said_bucket = "b";

static void pack_table(struct buf *out, unsigned i)
{
    const bool small = tables[i].size <= WIRE_INLINE_BYTES_MAX;
    (void)wire_pack_map(out, 6 + small);
    (void)wire_pack_text(out, WIRE_FIELD_BUCKET);
    (void)wire_pack_text(out, said_bucket);
    (void)wire_pack_text(out, WIRE_FIELD_NAME);
    (void)wire_pack_text(out, tables[i].name);
    (void)wire_pack_text(out, WIRE_FIELD_VERSION);
    (void)wire_pack_u64(out, tables[i].version);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(tables[i].root, MERKLE_HASH_BYTES));
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, tables[i].size);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, said_cell_bytes);
    if (small) {
        (void)wire_pack_text(out, WIRE_FIELD_DATA);
        (void)wire_pack_bin(out, bytes_of(tables[i].data, tables[i].size));
    }
}

/* used: numbers of tables, a digit each, in the order of the program. */
static uint32_t ask(const struct span *s, const char *program, const char *used)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 1u << 20);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_RUN, 9);
    (void)wire_pack_bin(&out, bytes_of("b", 1));
    (void)wire_pack_bin(&out, bytes_of("a", 1));
    (void)wire_pack_u64(&out, s->version);
    (void)wire_pack_u64(&out, s->from);
    (void)wire_pack_u64(&out, s->bytes);
    (void)wire_pack_bin(&out, bytes_of(program, strlen(program)));
    (void)wire_pack_u64(&out, COMPUTE_TASK_QUOTES_UNKNOWN);
    (void)wire_pack_u64(&out, s->where);
    (void)wire_pack_array(&out, (uint32_t)strlen(used));
    for (const char *u = used; *u != '\0'; u++) {
        pack_table(&out, (unsigned)(*u - '0'));
    }
    ck_assert_int_eq(out.err, 0);
    rig_send(r, s->node, buf_view(&out));
    buf_release(&out);
    return msgid;
}

/* returns: whether the last replies have the text. */
static bool was_told(const char *text)
{
    const size_t size = strlen(text);
    for (unsigned i = 0; i < r->replies_count; i++) {
        const struct bytes raw = buf_view(&r->replies[i].raw);
        for (size_t at = 0; at + size <= raw.size; at++) {
            if (memcmp(raw.data + at, text, size) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the same bits -------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *used;
} programs[] = {
    {"csv | lookup \"t0\" $1 as t | by $t.2 count, sum $t.3", "0"},
    {"csv | lookup left \"t1\" $1 as t | by $t.2 sum $3, argmin $3, argmax $t.3", "1"},
    {"csv | lookup \"t3\" header $3 as t | where $t.3 > 500 | select $1, $t.2, $t.0", "3"},
    {"csv | lookup left \"t2\" $1 as t | count, distinct $t.2", "2"},
    {"csv | lookup \"t0\" $1 as a | lookup left \"t0\" $3 as b | by $a.2, $b.2 count", "00"},
    {"csv | lookup \"t0\" $1 as a | lookup \"t3\" $a.3 as b | sample 0.5 $b.2 | by $b.2 count, "
     "mean $a.3",
     "03"},
    {"csv | lookup left \"t0\" $1 as a | lookup left \"t1\" $1 as b | lookup left \"t3\" header "
     "$1 as c | lookup left \"t2\" $1 as d | lookup left \"t0\" $a.3 as e | lookup left \"t1\" "
     "$e.3 as f | lookup left \"t3\" header $f.3 as g | lookup left \"t1\" $g.3 as h | by $h.2 "
     "count, sum $a.3, max $e.3",
     "01320131"},
    {"csv | sample 0.3 $3 | lookup \"t0\" $1 as t | by $t.2 estimate count, mean $t.3", "0"},
};
#define PROGRAMS (sizeof programs / sizeof programs[0])

/* The program with its tables bound. made: those tables, freed by the caller. */
static struct compute_program *program_with(const char *text, const char *used,
                                            struct compute_table *made[WIRE_LOOKUPS_MAX])
{
    struct compute_program *p = NULL;
    ck_assert_int_eq(compute_program_new(&p, &r->heap, bytes_of(text, strlen(text)), NULL), 0);
    ck_assert_uint_eq(compute_program_lookups(p), strlen(used));
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        const unsigned u = (unsigned)(used[i] - '0');
        struct compute_table_options o = {.seed = i};
        (void)compute_program_lookup(p, i, &o.header);
        ck_assert_int_eq(compute_table_new(&made[i], &r->heap,
                                           bytes_of(tables[u].data, tables[u].size), &o, NULL),
                         0);
        compute_program_bind(p, i, made[i]);
    }
    return p;
}

struct joined {
    unsigned decoded;
    uint64_t fetched;
};

static void join(struct compute_task *t, const struct compute_program *p, struct wire_node result,
                 struct joined *j)
{
    struct compute_task *part = NULL;
    struct bytes state;
    bool decoded = false;
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), 1u << 20, &state), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_CRC32C), crc_of(state.data, state.size));
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
    ck_assert_uint_ge(number(result, WIRE_FIELD_NODE), 1);
    j->decoded += decoded;
    j->fetched += number(result, WIRE_FIELD_FETCHED);
    ck_assert_int_eq(compute_task_decode(&part, &r->heap, p, 0, state), 0);
    ck_assert_int_eq(compute_task_merge(t, part), 0);
    compute_task_free(part);
}

static void expect_same(struct compute_task *a, struct compute_task *b)
{
    struct err_info why;
    ck_assert_int_eq(compute_task_finish(a, &why), 0);
    ck_assert_int_eq(compute_task_finish(b, &why), 0);
    const struct bytes got = compute_task_output(a);
    const struct bytes want = compute_task_output(b);
    ck_assert_uint_gt(want.size, 0);
    ck_assert_uint_eq(got.size, want.size);
    ck_assert_mem_eq(got.data, want.data, want.size);
}

/* Over all of the object in ranges of at most `step`, of several at once. */
static struct joined run_whole(unsigned node, unsigned program, uint32_t step)
{
    const char *text = programs[program].text;
    const struct compute_task_options options = {.from = 0};
    struct compute_table *made[WIRE_LOOKUPS_MAX] = {NULL};
    struct compute_program *p = program_with(text, programs[program].used, made);
    struct compute_task *got = NULL;
    struct compute_task *want = NULL;
    struct joined j = {0};
    struct span s = {.node = node, .version = version_of("a")};
    uint32_t asked[SIZE / 4099 + 8];
    unsigned count = 0;
    ck_assert_int_eq(compute_task_new(&got, &r->heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_new(&want, &r->heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(want, bytes_of(content, SIZE)), 0);
    for (; s.from < SIZE; s.from += s.bytes) {
        s.bytes = NUM_MIN(CELL - s.from % CELL, SIZE - s.from);
        s.bytes = NUM_MIN(s.bytes, (uint64_t)step);
        asked[count++] = ask(&s, text, programs[program].used);
    }
    for (unsigned i = 0; i < count; i++) {
        struct wire_node result;
        ck_assert_int_eq(wait_for(asked[i], &result), 0);
        join(got, p, result, &j);
    }
    expect_same(got, want);
    compute_task_free(got);
    compute_task_free(want);
    compute_program_free(p);
    for (unsigned i = 0; i < WIRE_LOOKUPS_MAX; i++) {
        compute_table_free(made[i]);
    }
    return j;
}

START_TEST(programs_with_tables_give_what_they_give_in_one_place)
{
    uint64_t fetched = 0;
    uint64_t reads = 0;
    put_all(5, 3, 2);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct joined j = run_whole(i % 5 + 1, i, i % 2 == 0 ? CELL : 20011);
        ck_assert_uint_eq(j.decoded, 0);
        fetched += j.fetched;
    }
    for (unsigned i = 1; i <= 5; i++) {
        reads += objects_of(i)->counters.tables;
        ck_assert_uint_eq(objects_of(i)->run_tasks_count, 0);
    }
    /* each node has read each large table once: t0, and t3 with and without a header */
    ck_assert_uint_gt(reads, 0);
    ck_assert_uint_le(reads, 5 * 3);
    ck_assert_uint_le(fetched, 5 * (tables[0].size + 2 * tables[3].size));
    ck_assert_uint_ge(fetched, tables[0].size);
}
END_TEST

START_TEST(two_lost_nodes_do_not_change_a_bit)
{
    unsigned decoded = 0;
    put_all(5, 3, 2);
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        decoded += run_whole(i % 3 + 1, i, CELL).decoded;
    }
    ck_assert_uint_gt(decoded, 0);
}
END_TEST

START_TEST(a_node_that_comes_back_reads_its_tables_anew)
{
    put_all(3, 2, 1);
    (void)run_whole(1, 0, CELL);
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
        rig_run(r, SECOND);
        rig_start(r, i);
        rig_run(r, 4 * SECOND);
        ck_assert_uint_eq(objects_of(i)->tables_bytes, 0);
        (void)run_whole(i, 0, CELL);
    }
}
END_TEST

/* ---- work ----------------------------------------------------------------------------------- */

#define LONG_ROW 150000u
#define LONGEST_ROW 560000u

/* An object of lines "KEY\n", and table 0 with a row of so many bytes, whose key is "long". */
static void put_long_row(const char *key, unsigned bytes)
{
    static char head[LONGEST_ROW + 16];
    const size_t size = strlen(key);
    cluster(1, 1, 0);
    memset(head, 'x', sizeof head);
    memcpy(head, "long,", 5);
    (void)snprintf(head + bytes, 16, "\n");
    put_table(0, 300, head);
    for (size_t at = 0; at < SIZE; at += size) {
        memcpy(content + at, key, size);
    }
    ck_assert_int_eq(put(1, "a", SIZE), 0);
}

/* returns: slices that the span took; *code: how it ended. */
static uint64_t slices_of(struct span s, const char *program, int *code)
{
    struct wire_node result;
    const uint64_t before = objects_of(1)->run_slices;
    s.version = version_of("a");
    *code = wait_for(ask(&s, program, "0"), &result);
    return objects_of(1)->run_slices - before;
}

static const char *const by_row = "lines | lookup left \"t0\" $1 as t | by $t.2 count";

START_TEST(a_long_row_that_is_not_found_makes_no_work)
{
    const struct span s = {.node = 1, .bytes = CELL};
    int code = 0;
    put_long_row("5\n", LONG_ROW);
    (void)slices_of(s, by_row, &code); /* reads the table */
    ck_assert_int_eq(code, 0);
    /* what the program has to do for each byte, as with any other table; and the first job opens */
    const uint64_t slices = slices_of(s, by_row, &code);
    ck_assert_int_eq(code, 0);
    ck_assert_uint_le(slices, CELL * 200u / (1u << 22) + 2);
}
END_TEST

START_TEST(slices_end_where_long_rows_were_found)
{
    const uint64_t record_steps = LONG_ROW + LONG_ROW / 4; /* cut, and used once */
    const uint64_t slice_steps = 1u << 22;
    struct span s = {.node = 1, .bytes = 5 * 200};
    int code = 0;
    put_long_row("long\n", LONG_ROW);
    (void)slices_of(s, by_row, &code); /* reads the table */
    ck_assert_int_eq(code, 0);
    const uint64_t slices = slices_of(s, by_row, &code);
    ck_assert_int_eq(code, 0);
    ck_assert_uint_ge(slices, 200 * record_steps / (slice_steps + record_steps));
    ck_assert_uint_le(slices, 200 * record_steps / slice_steps + 3);
    s.bytes = NODE_RUN_STEPS_MAX / record_steps * 5 + 10; /* two records more than are allowed */
    ck_assert_uint_le(slices_of(s, by_row, &code), NODE_RUN_STEPS_MAX / slice_steps + 3);
    ck_assert_int_eq(code, ERR_TOO_LARGE);
    s.bytes -= 20; /* two less, the first of them in the range before */
    (void)slices_of(s, by_row, &code);
    ck_assert_int_eq(code, 0);
}
END_TEST

START_TEST(a_program_that_may_use_a_long_row_too_often_for_a_record_is_refused)
{
    static char program[PROGRAM_MAX];
    const struct span s = {.node = 1, .bytes = 1};
    int code = 0;
    put_long_row("5\n", LONGEST_ROW);
    for (unsigned uses = 400; uses <= 500; uses += 100) {
        const bool fits = (uint64_t)uses * LONGEST_ROW / 4 < NODE_RUN_STEPS_MAX;
        program_of(program, "lines | lookup left \"t0\" $1 as t | where 1 = 1", " and $t.0 = $t.0",
                   uses / 2);
        program_of(program + strlen(program), " | count", "", 0);
        (void)slices_of(s, program, &code);
        ck_assert_int_eq(code, fits ? 0 : ERR_TOO_LARGE);
        ck_assert(fits == (uses == 400));
    }
}
END_TEST

/* ---- the budget ----------------------------------------------------------------------------- */

START_TEST(tables_that_nobody_uses_make_room)
{
    put_all(1, 1, 0);
    (void)run_whole(1, 0, CELL);
    const uint64_t one = objects_of(1)->tables_bytes; /* t0 */
    ck_assert_uint_ge(one, tables[0].size);
    objects_of(1)->tables_max = one;
    for (unsigned i = 0; i < 3; i++) {
        (void)run_whole(1, 2,
                        CELL); /* t3 with its header: t0 has to go, for its index at the latest */
        ck_assert_uint_le(objects_of(1)->tables_bytes, one);
        (void)run_whole(1, 0, CELL);
        ck_assert_uint_le(objects_of(1)->tables_bytes, one);
    }
    ck_assert_uint_ge(objects_of(1)->counters.tables, 4);
    ck_assert_uint_eq(objects_of(1)->tables_ending, 0);
}
END_TEST

START_TEST(tables_in_use_are_not_displaced)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(1, 1, 0);
    s.version = version_of("a");
    (void)run_whole(1, 0, CELL);
    objects_of(1)->tables_max = objects_of(1)->tables_bytes;
    r->nodes[0].jobs_counted = true; /* one that is begun, and holds its table */
    r->nodes[0].jobs_left = 1;
    const uint32_t first = ask(&s, programs[0].text, programs[0].used);
    rig_run(r, SECOND / 10);
    r->nodes[0].jobs_left = 1;
    const uint32_t other = ask(&s, programs[2].text, programs[2].used);
    rig_run(r, SECOND / 10);
    r->nodes[0].jobs_counted = false;
    ck_assert_int_eq(wait_for(other, &result), ERR_BUSY);
    ck_assert(was_told("table 'b/t3': queue is full"));
    ck_assert_int_eq(wait_for(first, &result), 0);
    ck_assert_int_eq(wait_for(ask(&s, programs[2].text, programs[2].used), &result), 0);
    objects_of(1)->tables_max = 1000; /* it fits nowhere */
    ck_assert_int_eq(wait_for(ask(&s, programs[0].text, programs[0].used), &result), ERR_BUSY);
    ck_assert_uint_eq(objects_of(1)->run_tasks_count, 0);
}
END_TEST

START_TEST(many_small_tables_displace_each_other)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = 1000};
    put_all(1, 1, 0);
    s.version = version_of("a");
    for (unsigned i = 0; i < 3 * NODE_TABLES_MAX; i++) { /* of which no object is stored */
        tables[1].size = (size_t)snprintf((char *)tables[1].data, 16, "%u,x\n", i);
        compute_leaf_hash(tables[1].data, tables[1].size, tables[1].root);
        ck_assert_int_eq(wait_for(ask(&s, programs[1].text, "1"), &result), 0);
        ck_assert_uint_eq(number(result, WIRE_FIELD_FETCHED), 0);
        ck_assert_uint_le(objects_of(1)->tables_count, NODE_TABLES_MAX);
    }
    ck_assert_uint_eq(objects_of(1)->tables_count, NODE_TABLES_MAX);
    ck_assert_uint_eq(objects_of(1)->counters.tables, 0);
}
END_TEST

START_TEST(tasks_that_wait_for_one_table_share_its_reading)
{
    uint32_t asked[16];
    struct wire_node result;
    struct span s = {.node = 1, .bytes = 4000};
    uint64_t fetched = 0;
    put_all(1, 1, 0);
    s.version = version_of("a");
    r->nodes[0].jobs_held = true;
    for (unsigned i = 0; i < 16; i++) {
        s.from = i * 4000;
        asked[i] = ask(&s, programs[0].text, programs[0].used);
    }
    rig_run(r, SECOND / 10);
    r->nodes[0].jobs_held = false;
    for (unsigned i = 0; i < 16; i++) {
        ck_assert_int_eq(wait_for(asked[i], &result), 0);
        fetched += number(result, WIRE_FIELD_FETCHED);
    }
    ck_assert_uint_eq(objects_of(1)->counters.tables, 1);
    ck_assert_uint_eq(fetched, tables[0].size); /* told once */
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------------------ */

START_TEST(a_table_that_was_replaced_is_read_as_it_was_until_it_is_freed)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(3, 2, 1);
    s.version = version_of("a");
    ck_assert_int_eq(put(1, "t0", 50000), 0);
    (void)run_whole(1, 0, CELL);
    ck_assert_int_eq(put(1, "t3", 50000), 0);
    rig_run(r, 60 * SECOND);     /* it is freed */
    (void)run_whole(2, 0, CELL); /* the nodes have it */
    ck_assert_int_eq(wait_for(ask(&s, programs[2].text, programs[2].used), &result), ERR_CONFLICT);
    ck_assert(was_told("table 'b/t3': was replaced or removed, and is gone"));
}
END_TEST

START_TEST(what_is_no_table_is_named)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(3, 2, 1);
    s.version = version_of("a");
    tables[0].root[5] ^= 1; /* it is another one */
    ck_assert_int_eq(wait_for(ask(&s, programs[0].text, "0"), &result), ERR_CONFLICT);
    ck_assert(was_told("table 'b/t0': was replaced or removed, and is gone"));
    tables[1].data[3] ^= 1; /* and so is what came along */
    ck_assert_int_eq(wait_for(ask(&s, programs[1].text, "1"), &result), ERR_CONFLICT);
    put_table(1, 3, "7,x\n7,y\n");
    ck_assert_int_eq(wait_for(ask(&s, programs[1].text, "1"), &result), ERR_PROTOCOL);
    ck_assert(was_told("table 'b/t1': "));
    put_table(1, 3, "\"7,x\n");
    ck_assert_int_eq(wait_for(ask(&s, programs[1].text, "1"), &result), ERR_PROTOCOL);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(objects_of(i)->run_tasks_count, 0);
    }
}
END_TEST

START_TEST(tables_that_are_not_the_programs_are_refused)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(3, 2, 1);
    s.version = version_of("a");
    for (unsigned node = 1; node <= 3; node++) {
        s.node = node;
        ck_assert_int_eq(wait_for(ask(&s, programs[0].text, ""), &result), ERR_INVALID);
        ck_assert_int_eq(wait_for(ask(&s, programs[0].text, "00"), &result), ERR_INVALID);
        ck_assert_int_eq(wait_for(ask(&s, "csv | count", "1"), &result), ERR_INVALID);
        ck_assert_int_eq(wait_for(ask(&s, "csv | count", "111111111"), &result), ERR_INVALID);
        ck_assert_int_eq(wait_for(ask(&s, "csv | count", ""), &result), 0);
    }
    tables[2].size = WIRE_LOOKUP_BYTES_MAX + 1u; /* and 1: data is not there to be sent */
    ck_assert_int_eq(wait_for(ask(&s, programs[3].text, "2"), &result), ERR_INVALID);
    tables[1].name[0] = '\0';
    ck_assert_int_eq(wait_for(ask(&s, programs[1].text, "1"), &result), ERR_INVALID);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(objects_of(i)->run_tasks_count, 0);
    }
}
END_TEST

START_TEST(a_table_that_too_few_nodes_have_is_told)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(5, 3, 2);
    s.version = version_of("a");
    for (; s.from + CELL <= SIZE; s.from += CELL) { /* whose extents are known everywhere */
        ck_assert_int_eq(run_span(&s, "csv | count", &result), 0);
    }
    for (unsigned i = 2; i <= 4; i++) {
        rig_isolate(r, i, true);
    }
    rig_run(r, 4 * SECOND);
    unsigned failed = 0;
    for (s.from = 0; s.from + CELL <= SIZE; s.from += CELL) {
        const int code = wait_for(ask(&s, programs[0].text, "0"), &result);
        ck_assert_int_ne(code, 1);
        ck_assert(code == 0 || err_outcome_of(code) == ERR_OUTCOME_RETRY || code == ERR_TIMEOUT);
        failed += code != 0;
    }
    ck_assert_uint_gt(failed, 0);
    for (unsigned i = 2; i <= 4; i++) {
        rig_isolate(r, i, false);
    }
    rig_run(r, 4 * SECOND);
    (void)run_whole(1, 0, CELL);
}
END_TEST

/* ---- waiting -------------------------------------------------------------------------------- */

/* Tasks that wait for a table, which waits for jobs after so many of them. */
static void ask_and_hold(unsigned jobs, uint32_t asked[4])
{
    struct span s = {.node = 1, .bytes = 4000};
    put_all(3, 2, 1);
    s.version = version_of("a");
    for (unsigned i = 0; i < 3; i++) {
        r->nodes[i].jobs_counted = true;
        r->nodes[i].jobs_left = jobs;
    }
    for (unsigned i = 0; i < 4; i++) {
        s.from = i * 4000;
        asked[i] = ask(&s, programs[0].text, programs[0].used);
    }
    rig_run(r, SECOND / 5);
}

static void go_on(void)
{
    for (unsigned i = 0; i < 3; i++) {
        r->nodes[i].jobs_counted = false;
    }
}

START_TEST(a_node_may_end_at_any_step_of_a_table)
{
    for (unsigned jobs = 0; jobs < 40; jobs += 3) {
        uint32_t asked[4];
        ask_and_hold(jobs, asked);
        for (unsigned i = 1; i <= 3; i++) {
            rig_stop(r, i);
        }
        tear_down();
    }
}
END_TEST

START_TEST(tasks_whose_asker_has_gone_wait_for_no_table)
{
    for (unsigned jobs = 0; jobs < 40; jobs += 3) {
        uint32_t asked[4];
        ask_and_hold(jobs, asked);
        rig_hang_up(r, 1);
        rig_run(r, SECOND / 10);
        go_on();
        rig_run(r, 2 * SECOND);
        for (unsigned i = 1; i <= 3; i++) {
            ck_assert_uint_eq(objects_of(i)->run_tasks_count, 0);
            ck_assert_uint_eq(objects_of(i)->runs_count, 0);
        }
        (void)run_whole(1, 0, CELL);
        tear_down();
    }
}
END_TEST

START_TEST(a_table_that_is_not_there_in_time_ends_its_tasks)
{
    uint32_t asked[4];
    struct wire_node result;
    ask_and_hold(6, asked);
    rig_run(r, 12 * SECOND);
    for (unsigned i = 0; i < 4; i++) {
        const int code = rig_answer(r, asked[i], &result);
        ck_assert(code == 0 || code == ERR_TIMEOUT || err_outcome_of(code) == ERR_OUTCOME_RETRY);
    }
    go_on();
    rig_run(r, 2 * SECOND);
    (void)run_whole(1, 0, CELL);
}
END_TEST

START_TEST(memory_that_is_refused_ends_no_node)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(1, 1, 0);
    s.version = version_of("a");
    objects_of(1)->tables_max = tables[0].size + 100; /* no room for the index */
    ck_assert_int_eq(wait_for(ask(&s, programs[0].text, "0"), &result), ERR_BUSY);
    rig_run(r, SECOND / 10);
    ck_assert_uint_eq(objects_of(1)->tables_bytes, 0);
    ck_assert_uint_eq(objects_of(1)->tables_count, 0);
    objects_of(1)->tables_max = WIRE_LOOKUPS_BYTES_MAX;
    ck_assert_int_eq(wait_for(ask(&s, programs[0].text, "0"), &result), 0);
}
END_TEST

/* Two ask for a table at the same time, and what the first says of it is false. */
START_TEST(who_describes_a_table_wrongly_fails_alone)
{
    for (unsigned small = 0; small < 2; small++) {
        struct wire_node result;
        struct span s = {.node = 1, .bytes = 4000};
        const char *used = small == 0 ? "0" : "1";
        const char *program = programs[small].text;
        put_all(1, 1, 0);
        s.version = version_of("a");
        r->nodes[0].jobs_held = true;
        said_cell_bytes = small == 0 ? CELL + 16384 : CELL;
        said_bucket = small == 0 ? "b" : "another";
        tables[1].data[3] ^= (uint8_t)small;
        const uint32_t wrong = ask(&s, program, used);
        rig_run(r, SECOND / 100);
        said_cell_bytes = CELL;
        said_bucket = "b";
        tables[1].data[3] ^= (uint8_t)small;
        const uint32_t right = ask(&s, program, used);
        rig_run(r, SECOND / 10);
        r->nodes[0].jobs_held = false;
        ck_assert_int_eq(wait_for(wrong, &result), ERR_CONFLICT);
        ck_assert_int_eq(wait_for(right, &result), 0);
        tear_down();
    }
}
END_TEST

START_TEST(a_table_that_does_not_fit_displaces_nobody)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    put_all(1, 1, 0);
    s.version = version_of("a");
    (void)run_whole(1, 2, CELL); /* t3 is kept */
    (void)run_whole(1, 0, CELL); /* t0 is kept, and in use: */
    objects_of(1)->tables_max = objects_of(1)->tables_bytes + 1000;
    r->nodes[0].jobs_counted = true;
    r->nodes[0].jobs_left = 1;
    const uint32_t first = ask(&s, programs[0].text, "0");
    rig_run(r, SECOND / 10);
    const unsigned before = objects_of(1)->tables_count;
    const size_t size = tables[3].size;
    tables[3].size = 30u << 20; /* is too much, whoever goes */
    tables[3].root[0] ^= 1;
    r->nodes[0].jobs_left = 1;
    const uint32_t other = ask(&s, programs[2].text, "3");
    rig_run(r, SECOND / 10);
    r->nodes[0].jobs_counted = false;
    ck_assert_int_eq(wait_for(other, &result), ERR_BUSY);
    ck_assert_uint_eq(objects_of(1)->tables_count, before);
    ck_assert_int_eq(wait_for(first, &result), 0);
    tables[3].size = size;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_table");
    TCase *tc = tcase_create("run_table");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, programs_with_tables_give_what_they_give_in_one_place);
    tcase_add_test(tc, two_lost_nodes_do_not_change_a_bit);
    tcase_add_test(tc, a_node_that_comes_back_reads_its_tables_anew);
    tcase_add_test(tc, a_long_row_that_is_not_found_makes_no_work);
    tcase_add_test(tc, slices_end_where_long_rows_were_found);
    tcase_add_test(tc, a_program_that_may_use_a_long_row_too_often_for_a_record_is_refused);
    tcase_add_test(tc, tables_that_nobody_uses_make_room);
    tcase_add_test(tc, tables_in_use_are_not_displaced);
    tcase_add_test(tc, many_small_tables_displace_each_other);
    tcase_add_test(tc, tasks_that_wait_for_one_table_share_its_reading);
    tcase_add_test(tc, a_table_that_was_replaced_is_read_as_it_was_until_it_is_freed);
    tcase_add_test(tc, what_is_no_table_is_named);
    tcase_add_test(tc, tables_that_are_not_the_programs_are_refused);
    tcase_add_test(tc, a_table_that_too_few_nodes_have_is_told);
    tcase_add_test(tc, a_node_may_end_at_any_step_of_a_table);
    tcase_add_test(tc, tasks_whose_asker_has_gone_wait_for_no_table);
    tcase_add_test(tc, a_table_that_is_not_there_in_time_ends_its_tasks);
    tcase_add_test(tc, memory_that_is_refused_ends_no_node);
    tcase_add_test(tc, who_describes_a_table_wrongly_fails_alone);
    tcase_add_test(tc, a_table_that_does_not_fit_displaces_nobody);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
