/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans that nodes write: each cell is asked for with its carry, and the root made of what came;
 * nodes that do not know the calls, lose the upload, or compute something else.
 */
#include "run_fake.h"

#include "compute/carry.h"

#define WHOLE (11u * CELL) /* bytes of eleven whole cells */
#define NOBODY UINT64_MAX

static struct {
    uint8_t out[WHOLE];
    int open_code; /* object.derive is answered with it */
    int commit_code;
    unsigned commit_fails; /* so many are answered with it */
    bool committed;        /* the object is there, whatever was answered */
    unsigned commits;
    unsigned looks;    /* at the new name */
    uint64_t wrong_at; /* cells: answered with another carry, or with another root */
    uint64_t root_wrong_at;
    uint64_t cancel_at; /* a cell: so often CANCELLED */
    unsigned cancels;
    unsigned opens;
    unsigned aborts;
    unsigned asked;
    struct bytes program;
    uint8_t text[64];
    uint8_t roots[11 * MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
} world;

static void cell_root(const uint8_t *cell, uint8_t *into)
{
    uint8_t hashes[CELL / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES];
    for (uint32_t at = 0; at < CELL; at += COMPUTE_LEAF_BYTES) {
        compute_leaf_hash(cell + at, COMPUTE_LEAF_BYTES,
                          hashes + at / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES);
    }
    merkle_root_of(hashes, CELL / COMPUTE_LEAF_BYTES, into);
}

static void say_opened(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes text;
    ck_assert_int_eq(wire_param_bytes(m, 5, sizeof(world.text), &text), 0);
    memcpy(world.text, text.data, text.size);
    world.program = bytes_of(world.text, text.size);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_UPLOAD);
    (void)wire_pack_u64(out, 100 + world.opens);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, CELL);
    fake_end(conn, out);
}

static void say_cell(struct fake_conn *conn, const struct wire_rpc *m, uint64_t cell,
                     struct bytes carry)
{
    struct compute_program *p = NULL;
    struct buf next;
    const struct compute_carry_part part = {.from = cell * CELL,
                                            .carry = carry,
                                            .in = bytes_of(object.data + cell * CELL, CELL),
                                            .out = world.out + cell * CELL};
    buf_init(&next, &heap, COMPUTE_CARRY_BYTES_MAX);
    ck_assert_int_eq(compute_program_new(&p, &heap, world.program, NULL), 0);
    ck_assert_int_eq(compute_carry_scan(p, &heap, &part, &next), 0);
    compute_program_free(p);
    next.data[next.size - 1] ^= cell == world.wrong_at;
    uint8_t *root = world.roots + cell * MERKLE_HASH_BYTES;
    cell_root(part.out, root);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(root, cell == world.root_wrong_at ? 31 : 32));
    (void)wire_pack_text(out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(out, buf_view(&next));
    (void)wire_pack_text(out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(out, false);
    (void)wire_pack_text(out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(out, 10);
    fake_end(conn, out);
    buf_release(&next);
}

static void serve_cell(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t upload = 0;
    uint64_t cell = 0;
    struct bytes carry;
    ck_assert_int_eq(wire_param_u64(m, 0, &upload), 0);
    ck_assert_int_eq(wire_param_u64(m, 1, &cell), 0);
    ck_assert_int_eq(wire_param_bytes(m, 2, COMPUTE_CARRY_BYTES_MAX, &carry), 0);
    ck_assert_uint_lt(cell, 11);
    world.asked++;
    if (upload != 100 + world.opens) {
        fake_say_error(conn, m, ERR_CANCELLED);
    } else if (cell == world.cancel_at && world.cancels > 0) {
        world.cancels--;
        fake_say_error(conn, m, ERR_CANCELLED);
    } else {
        say_cell(conn, m, cell, carry);
    }
}

static void say_committed(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes root;
    ck_assert_int_eq(wire_param_bytes(m, 2, MERKLE_HASH_BYTES, &root), 0);
    merkle_root_of(world.roots, 11, world.root);
    ck_assert_mem_eq(root.data, world.root, MERKLE_HASH_BYTES);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, WHOLE);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, root);
    (void)wire_pack_text(out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(out, 1000);
    fake_end(conn, out);
}

static void say_whole_extent(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_HOLDERS);
    (void)wire_pack_array(out, 3);
    for (unsigned i = 1; i <= 3; i++) {
        (void)wire_pack_u64(out, i);
    }
    (void)wire_pack_text(out, WIRE_FIELD_ROOTS);
    (void)wire_pack_bin(out, bytes_of(object.roots, 11 * MERKLE_HASH_BYTES));
    fake_end(conn, out);
}

/* What is under the new name: the object, if a commit was done. */
static void say_new(struct fake_conn *conn, const struct wire_rpc *m)
{
    world.looks++;
    if (!world.committed) {
        fake_say_nil(conn, m);
        return;
    }
    merkle_root_of(world.roots, 11, world.root);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, WHOLE);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(world.root, sizeof(world.root)));
    fake_end(conn, out);
}

static bool is_of_new(const struct wire_rpc *m)
{
    struct bytes name;
    return wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT) &&
           wire_param_bytes(m, 1, WIRE_NAME_BYTES_MAX, &name) == 0 &&
           bytes_equal(name, bytes_of_text("new"));
}

static void serve_commit(struct fake_conn *conn, const struct wire_rpc *m)
{
    world.commits++;
    if (world.commit_fails > 0) {
        world.commit_fails--;
        fake_say_error(conn, m, world.commit_code);
    } else {
        say_committed(conn, m);
    }
}

static bool serve_derive(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_EXTENTS)) {
        say_whole_extent(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_DERIVE)) {
        world.opens++;
        if (world.open_code != 0) {
            fake_say_error(conn, m, world.open_code);
        } else {
            say_opened(conn, m);
        }
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_DERIVE_CELL)) {
        serve_cell(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_COMMIT)) {
        serve_commit(conn, m);
    } else if (is_of_new(m)) {
        say_new(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_ABORT)) {
        world.aborts++;
        fake_say_nil(conn, m);
    } else {
        return false;
    }
    return true;
}

static void begin_words(void)
{
    begin(SIZE);
    memset(&world, 0, sizeof(world));
    world.wrong_at = world.root_wrong_at = world.cancel_at = NOBODY;
    object.size = WHOLE;
    for (size_t at = 0; at < WHOLE; at += 8) { /* no sum of them leaves its range */
        num_put_u64(object.data + at, at * 2654435761u % 1000003);
    }
    for (unsigned i = 0; i < 11; i++) {
        cell_root(object.data + i * CELL, object.roots + i * MERKLE_HASH_BYTES);
    }
    merkle_root_of(object.roots, 11, object.root);
    object.before = serve_derive;
}

static int derive(const char *text)
{
    const struct hf_object from = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_object into = {.bucket = hf_text("bucket"), .name = hf_text("new")};
    const struct hf_program program = {.text = hf_text(text)};
    struct hf_answer a = {.ended = false};
    const int began = hf_object_derive(fake.client, &from, &program, &into, &a, hf_answer_done);
    if (began != 0) {
        return began;
    }
    const int err = fake_wait(&fake, &a);
    ran.cost = a.result.run;
    ck_assert_uint_eq(a.result.count, err == 0);
    if (err == 0) {
        ck_assert_uint_eq(a.result.objects[0].size, WHOLE);
        ck_assert_mem_eq(a.result.objects[0].root, world.root, MERKLE_HASH_BYTES);
    }
    hf_answer_release(&a);
    return err;
}

static void check_written(const char *text)
{
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(object.data, WHOLE)), 0);
    ck_assert(bytes_equal(compute_task_output(t), bytes_of(world.out, WHOLE)));
    compute_task_free(t);
    compute_program_free(p);
    ck_assert_uint_eq(ran.cost.cells_written, 11);
    ck_assert_uint_gt(ran.cost.bytes_moved, 1000 + 11 * 10);
    ck_assert_uint_lt(ran.cost.bytes_moved, 1000 + 11 * 2000);
}

START_TEST(each_cell_goes_with_its_carry)
{
    static const char *const programs[] = {"u64 | scan sum",
                                           "i64 | scan exclusive sum",
                                           "u64 | scan max",
                                           "i64 | scan or",
                                           "u64 | scan count",
                                           "i64 | scan sum from $1 % 1000 = 7",
                                           "u64 | scan exclusive count from $1 % 5000 = 1"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        begin_words();
        ck_assert_int_eq(derive(programs[i]), 0);
        check_written(programs[i]);
        ck_assert_uint_eq(world.opens, 1);
        ck_assert_uint_eq(world.asked, 11);
        ck_assert_uint_eq(world.aborts, 0);
        end();
    }
}
END_TEST

START_TEST(a_lost_upload_is_begun_again)
{
    begin_words();
    world.cancel_at = 7;
    world.cancels = 2;
    ck_assert_int_eq(derive("u64 | scan sum"), 0);
    check_written("u64 | scan sum");
    ck_assert_uint_eq(world.opens, 3);
    end();
    begin_words();
    world.cancel_at = 3;
    world.cancels = 9;
    ck_assert_int_eq(derive("u64 | scan or"), ERR_CANCELLED);
    ck_assert_uint_eq(world.opens, 3);
    end();
}
END_TEST

START_TEST(nodes_that_cannot_or_lie_end_it)
{
    begin_words();
    world.open_code = ERR_UNKNOWN_METHOD; /* an earlier version */
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_UNKNOWN_METHOD);
    ck_assert_uint_eq(world.opens, 1);
    end();
    begin_words();
    world.wrong_at = 4;
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_CORRUPT);
    end();
    begin_words();
    world.root_wrong_at = 4;
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_PROTOCOL);
    end();
    begin_words();
    world.commit_code = ERR_CORRUPT;
    world.commit_fails = 1;
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_CORRUPT);
    ck_assert_uint_eq(world.looks, 0);
    end();
}
END_TEST

/* A commit whose answer was lost is done, or is done again, or its end is said to be unknown: what
 * it may still write would else replace what was put after it. */
START_TEST(a_commit_is_never_given_up_silently)
{
    begin_words();
    world.commit_code = ERR_TIMEOUT;
    world.commit_fails = 1;
    world.committed = true;
    ck_assert_int_eq(derive("u64 | scan sum"), 0);
    ck_assert_uint_eq(world.commits, 1);
    ck_assert_uint_eq(world.looks, 1);
    end();
    begin_words();
    world.commit_code = ERR_DONE; /* and nothing could be said of it */
    world.commit_fails = 1;
    world.committed = true;
    ck_assert_int_eq(derive("u64 | scan sum"), 0);
    end();
    begin_words();
    world.commit_code = ERR_TIMEOUT;
    world.commit_fails = 1;
    ck_assert_int_eq(derive("u64 | scan sum"), 0);
    ck_assert_uint_eq(world.commits, 2);
    ck_assert_uint_eq(world.opens, 1);
    end();
    begin_words();
    world.commit_code = ERR_TIMEOUT;
    world.commit_fails = 9;
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_CONNECTION);
    ck_assert_uint_eq(world.opens, 1);
    ck_assert_uint_eq(world.aborts, 0);
    end();
}
END_TEST

/* What failed before there was a commit certainly left nothing: no error says otherwise. */
START_TEST(without_a_commit_nothing_is_unknown)
{
    begin_words();
    world.open_code = ERR_TIMEOUT;
    ck_assert_int_eq(derive("u64 | scan sum"), ERR_UNAVAILABLE);
    end();
    begin_words();
    world.commit_code = ERR_CANCELLED; /* a holder was lost before there was parity */
    world.commit_fails = 1;
    ck_assert_int_eq(derive("u64 | scan sum"), 0);
    ck_assert_uint_eq(world.opens, 2);
    check_written("u64 | scan sum");
    end();
}
END_TEST

START_TEST(what_has_other_results_is_refused)
{
    begin_words();
    ck_assert_int_eq(derive("u64 | sum"), ERR_INVALID);
    ck_assert_int_eq(derive("u64 | where $1 > 0 | scan sum"), ERR_INVALID);
    object.size = 1000; /* it has no cells */
    ck_assert_int_ne(derive("u64 | scan or"), 0);
    ck_assert_uint_eq(world.opens, 0);
    end();
}
END_TEST

UNIT_MAIN("client_derive", each_cell_goes_with_its_carry, a_lost_upload_is_begun_again,
          nodes_that_cannot_or_lie_end_it, a_commit_is_never_given_up_silently,
          without_a_commit_nothing_is_unknown, what_has_other_results_is_refused)
