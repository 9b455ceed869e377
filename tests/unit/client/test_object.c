/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Objects against nodes of the test, some of which lie: what is handed out is what the root says,
 * and a put ends with the truth about what is stored.
 */
#include "../unit.h"
#include "fake.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/num.h"
#include "compute/compute.h"
#include "merkle/merkle.h"

#include <string.h>

#define CELL 65536u
#define SIZE (5u * CELL + 30000u)
#define CELLS 6u
#define VERSION 77u

struct store {
    uint8_t data[SIZE];
    uint8_t roots[CELLS * MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
    struct compute *compute;
    bool lies[FAKE_NODES_MAX]; /* a byte of every read is another */
    bool bad_roots;
    unsigned gone; /* reads that are answered VERSION_GONE */
    unsigned reads[FAKE_NODES_MAX];
    unsigned read_bytes;

    /* put */
    uint8_t put[SIZE];
    uint64_t received;
    bool stored;
    unsigned opened;
    unsigned parts;
    unsigned busy_every; /* the n-th part is refused once */
    unsigned drop_part;  /* the connection ends at this part; the node is gone then */
    bool lose_commit;    /* the commit is done, its answer lost */
    bool refuse_commit;  /* the commit is not done, its answer lost */
    bool small_size_known;
};

static struct fake fake;
static struct store store;

/* ---- the nodes ------------------------------------------------------------------------------ */

static void cell_leaves(unsigned cell, uint8_t *hashes, uint64_t *count)
{
    uint32_t bytes = NUM_MIN(CELL, SIZE - cell * CELL);
    compute_leaf_hashes(store.compute, store.data + cell * CELL, bytes, hashes);
    *count = compute_leaves_of(bytes);
}

static void pack_info(struct buf *out)
{
    (void)wire_pack_map(out, 7);
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, SIZE);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(store.root, sizeof(store.root)));
    (void)wire_pack_text(out, WIRE_FIELD_K);
    (void)wire_pack_u64(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_M);
    (void)wire_pack_u64(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, CELL);
    (void)wire_pack_text(out, WIRE_FIELD_EXTENTS);
    (void)wire_pack_u64(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_VERSION);
    (void)wire_pack_u64(out, VERSION);
}

static void say_info(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    pack_info(out);
    fake_end(conn, out);
}

static void say_extents(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint8_t roots[sizeof(store.roots)];
    struct buf *out = fake_begin(conn, m);
    memcpy(roots, store.roots, sizeof(roots));
    roots[0] ^= store.bad_roots;
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_CELLS);
    (void)wire_pack_u64(out, CELLS);
    (void)wire_pack_text(out, WIRE_FIELD_ROOTS);
    (void)wire_pack_bin(out, bytes_of(roots, sizeof(roots)));
    (void)wire_pack_text(out, WIRE_FIELD_HOLDERS);
    (void)wire_pack_array(out, 3);
    for (unsigned i = 1; i <= 3; i++) {
        (void)wire_pack_u64(out, i);
    }
    fake_end(conn, out);
}

static void say_read(struct fake_conn *conn, const struct wire_rpc *m)
{
    static uint8_t data[CELL];
    uint8_t hashes[CELL / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES];
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t leaves = 0;
    struct merkle_proof proof;
    ck_assert_int_eq(wire_param_u64(m, 3, &offset), 0);
    ck_assert_int_eq(wire_param_u64(m, 4, &length), 0);
    unsigned cell = (unsigned)(offset / CELL);
    uint64_t cell_bytes = NUM_MIN(CELL, SIZE - cell * CELL);
    uint64_t from = offset % CELL / COMPUTE_LEAF_BYTES * COMPUTE_LEAF_BYTES;
    uint64_t to = NUM_MIN(num_round_up(offset % CELL + length, COMPUTE_LEAF_BYTES), cell_bytes);
    ck_assert_uint_le(offset % CELL + length, cell_bytes);
    cell_leaves(cell, hashes, &leaves);
    struct merkle_tree tree = merkle_tree_of(hashes, leaves);
    ck_assert_int_eq(
        merkle_range_make(&tree, from / COMPUTE_LEAF_BYTES, compute_leaves_of(to - from), &proof),
        0);
    memcpy(data, store.data + cell * CELL + from, to - from);
    data[(to - from) / 2] ^= store.lies[conn->node];
    store.reads[conn->node]++;
    store.read_bytes += (unsigned)(to - from);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_OFFSET);
    (void)wire_pack_u64(out, cell * CELL + from);
    (void)wire_pack_text(out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(out, crc_of(data, to - from));
    (void)wire_pack_text(out, WIRE_FIELD_PROOF);
    (void)wire_pack_bin(out, merkle_proof_view(&proof));
    (void)wire_pack_text(out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(out, bytes_of(data, to - from));
    fake_end(conn, out);
}

static void serve_put(struct fake_conn *conn, const struct wire_rpc *m)
{
    bool known = false;
    uint64_t size = 0;
    ck_assert_int_eq(wire_param_u64_or_nil(m, 2, &known, &size), 0);
    store.small_size_known = known && size == SIZE;
    store.opened++;
    store.received = 0;
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_UPLOAD);
    (void)wire_pack_u64(out, 500 + store.opened);
    (void)wire_pack_text(out, WIRE_FIELD_PART_BYTES);
    (void)wire_pack_u64(out, 20000);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, CELL);
    fake_end(conn, out);
}

static void serve_part(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t offset = 0;
    uint64_t crc = 0;
    struct bytes data;
    ck_assert_int_eq(wire_param_u64(m, 1, &offset), 0);
    ck_assert_int_eq(wire_param_bytes(m, 2, 20000, &data), 0);
    ck_assert_int_eq(wire_param_u64(m, 3, &crc), 0);
    ck_assert_uint_eq(crc, crc_of(data.data, data.size));
    store.parts++;
    if (store.parts == store.drop_part) {
        fake_stop_node(conn->fake, conn->node);
        return;
    }
    if (store.busy_every != 0 && store.parts % store.busy_every == 0) {
        fake_say_error(conn, m, ERR_BUSY);
        return;
    }
    if (offset > store.received) {
        struct wire_hint hint = {.name = WIRE_FIELD_RECEIVED, .number = store.received};
        fake_say_failure(conn, m, &(struct wire_failure){ERR_RANGE, NULL, &hint, 1});
        return;
    }
    ck_assert_uint_le(offset + data.size, SIZE);
    memcpy(store.put + offset, data.data, data.size);
    store.received = NUM_MAX(store.received, offset + data.size);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_RECEIVED);
    (void)wire_pack_u64(out, store.received);
    fake_end(conn, out);
}

static void serve_commit(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes root;
    uint64_t size = 0;
    ck_assert_int_eq(wire_param_u64(m, 1, &size), 0);
    ck_assert_int_eq(wire_param_bytes(m, 2, MERKLE_HASH_BYTES, &root), 0);
    if (size != SIZE || store.received != SIZE ||
        !bytes_equal(root, bytes_of(store.root, sizeof(store.root)))) {
        fake_say_error(conn, m, ERR_CORRUPT);
        return;
    }
    store.stored = !store.refuse_commit;
    if (store.lose_commit || store.refuse_commit) {
        fake_stop_node(conn->fake, conn->node);
        return;
    }
    say_info(conn, m);
}

static void serve(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT) && store.stored) {
        say_info(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT)) {
        fake_say_nil(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_EXTENTS)) {
        say_extents(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_READ) && store.gone > 0) {
        store.gone--;
        fake_say_error(conn, m, ERR_VERSION_GONE);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_READ)) {
        say_read(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_PUT)) {
        serve_put(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_PART)) {
        serve_part(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_COMMIT)) {
        serve_commit(conn, m);
    } else {
        fake_say_nil(conn, m); /* abort */
    }
}

static void begin(bool stored)
{
    struct alloc heap = alloc_heap();
    memset(&store, 0, sizeof(store));
    store.stored = stored;
    ck_assert_int_eq(compute_new(&store.compute, &heap, NULL), 0);
    for (unsigned i = 0; i < SIZE; i++) {
        store.data[i] = (uint8_t)(i * 31 + i / 997);
    }
    for (unsigned i = 0; i < CELLS; i++) {
        uint8_t hashes[CELL / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES];
        uint64_t leaves = 0;
        cell_leaves(i, hashes, &leaves);
        merkle_root_of(hashes, leaves, store.roots + i * MERKLE_HASH_BYTES);
    }
    merkle_root_of(store.roots, CELLS, store.root);
    fake_open(&fake, 3, serve);
}

static void end(void)
{
    fake_close(&fake);
    compute_free(store.compute);
}

/* ---- get ------------------------------------------------------------------------------------ */

struct sunk {
    uint8_t data[SIZE];
    size_t bytes;
    bool rewound;
};
static struct sunk sunk;

static int sink_write(void *ctx, const void *data, size_t bytes)
{
    struct sunk *s = ctx;
    ck_assert_uint_le(s->bytes + bytes, SIZE);
    memcpy(s->data + s->bytes, data, bytes);
    s->bytes += bytes;
    return 0;
}

static int sink_rewind(void *ctx)
{
    struct sunk *s = ctx;
    s->bytes = 0;
    s->rewound = true;
    return 0;
}

static int get(struct hf_object *o)
{
    struct hf_answer a = {.ended = false};
    struct hf_sink sink = {.ctx = &sunk, .write = sink_write, .rewind = sink_rewind};
    memset(&sunk, 0, sizeof(sunk));
    o->bucket = hf_text("bucket");
    o->name = hf_text("name");
    int err = hf_object_get(fake.client, o, &sink, &a, hf_answer_done);
    ck_assert_int_eq(err, 0);
    err = fake_wait(&fake, &a);
    hf_answer_release(&a);
    return err;
}

START_TEST(an_object_comes_whole_and_in_order)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    ck_assert_int_eq(get(&o), 0);
    ck_assert_uint_eq(sunk.bytes, SIZE);
    ck_assert_mem_eq(sunk.data, store.data, SIZE);
    ck_assert_uint_gt(store.reads[0], 0); /* the holders of the two data shards */
    ck_assert_uint_gt(store.reads[1], 0);
    ck_assert_uint_eq(store.reads[2], 0);
    end();
}
END_TEST

START_TEST(a_range_costs_only_its_leaves)
{
    static const struct {
        uint64_t first;
        uint64_t last;
        unsigned bytes;
    } ranges[] = {{0, 0, 16384},
                  {16383, 16384, 32768},
                  {65535, 65536, 32768},
                  {SIZE - 1, SIZE - 1, 30000 - 16384},
                  {70000, 200000, 0}};
    begin(true);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        struct hf_object o = {.ranged = true, .first = ranges[i].first, .last = ranges[i].last};
        store.read_bytes = 0;
        ck_assert_int_eq(get(&o), 0);
        ck_assert_uint_eq(sunk.bytes, o.last - o.first + 1);
        ck_assert_mem_eq(sunk.data, store.data + o.first, sunk.bytes);
        if (ranges[i].bytes != 0) {
            ck_assert_uint_eq(store.read_bytes, ranges[i].bytes);
        }
    }
    struct hf_object beyond = {.ranged = true, .first = 0, .last = SIZE};
    ck_assert_int_eq(get(&beyond), ERR_RANGE);
    ck_assert_uint_eq(sunk.bytes, 0);
    end();
}
END_TEST

START_TEST(a_node_that_lies_is_passed_by)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    store.lies[0] = true;
    ck_assert_int_eq(get(&o), 0);
    ck_assert_mem_eq(sunk.data, store.data, SIZE);
    end();
}
END_TEST

START_TEST(when_all_nodes_lie_nothing_is_handed_out)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    store.lies[0] = store.lies[1] = store.lies[2] = true;
    ck_assert_int_eq(get(&o), ERR_CORRUPT);
    ck_assert_uint_eq(sunk.bytes, 0);
    end();
}
END_TEST

START_TEST(a_list_of_cells_that_does_not_match_the_root_is_refused)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    store.bad_roots = true;
    ck_assert_int_eq(get(&o), ERR_CORRUPT);
    ck_assert_uint_eq(sunk.bytes, 0);
    ck_assert_uint_eq(store.reads[0] + store.reads[1] + store.reads[2], 0);
    end();
}
END_TEST

START_TEST(a_version_that_is_gone_is_begun_again_once)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    store.gone = 1;
    ck_assert_int_eq(get(&o), 0);
    ck_assert_mem_eq(sunk.data, store.data, SIZE);
    store.gone = 1000;
    ck_assert_int_eq(get(&o), ERR_VERSION_GONE);
    end();
}
END_TEST

START_TEST(an_object_that_is_not_there_is_not_found)
{
    struct hf_object o = {.ranged = false};
    begin(false);
    ck_assert_int_eq(get(&o), ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(a_holder_that_is_down_is_passed_by)
{
    struct hf_object o = {.ranged = false};
    begin(true);
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(get(&o), 0);
    ck_assert_mem_eq(sunk.data, store.data, SIZE);
    end();
}
END_TEST

/* ---- put ------------------------------------------------------------------------------------ */

struct poured {
    size_t at;
    size_t size;
    unsigned rewinds;
};

static int source_read(void *ctx, void *into, size_t bytes, size_t *got)
{
    struct poured *p = ctx;
    *got = NUM_MIN(bytes, p->size - p->at);
    *got = NUM_MIN(*got, (size_t)7777); /* short reads */
    memcpy(into, store.data + p->at, *got);
    p->at += *got;
    return 0;
}

static int source_rewind(void *ctx)
{
    struct poured *p = ctx;
    p->at = 0;
    p->rewinds++;
    return 0;
}

static int put(struct hf_source source)
{
    struct poured poured = {.size = SIZE};
    struct hf_answer a = {.ended = false};
    struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    source.ctx = &poured;
    source.read = source_read;
    ck_assert_int_eq(hf_object_put(fake.client, &o, &source, &a, hf_answer_done), 0);
    int err = fake_wait(&fake, &a);
    if (err == 0) {
        ck_assert_uint_eq(a.result.count, 1);
        ck_assert_uint_eq(a.result.objects[0].size, SIZE);
        ck_assert_mem_eq(store.put, store.data, SIZE);
    }
    hf_answer_release(&a);
    return err;
}

START_TEST(a_put_sends_every_byte_and_the_root)
{
    begin(false);
    ck_assert_int_eq(put((struct hf_source){.size_known = true, .size = SIZE}), 0);
    ck_assert(store.stored);
    ck_assert_uint_eq(store.parts, num_div_up(SIZE, 20000));
    end();
}
END_TEST

START_TEST(the_size_of_a_small_stream_is_learned_before_the_upload)
{
    begin(false);
    ck_assert_int_eq(put((struct hf_source){.size_known = false}), 0);
    ck_assert(store.small_size_known);
    end();
}
END_TEST

START_TEST(a_source_that_is_shorter_than_it_said_is_not_stored)
{
    begin(false);
    ck_assert_int_eq(put((struct hf_source){.size_known = true, .size = SIZE + 1}), ERR_INVALID);
    ck_assert(!store.stored);
    end();
}
END_TEST

START_TEST(parts_that_were_refused_come_again_in_order)
{
    begin(false);
    store.busy_every = 3;
    ck_assert_int_eq(put((struct hf_source){.size_known = true, .size = SIZE}), 0);
    ck_assert(store.stored);
    end();
}
END_TEST

START_TEST(a_put_whose_node_is_lost_begins_again_elsewhere)
{
    struct hf_source source = {.size_known = true, .size = SIZE, .rewind = source_rewind};
    begin(false);
    store.drop_part = 5;
    ck_assert_int_eq(put(source), 0);
    ck_assert_uint_eq(store.opened, 2);
    ck_assert(store.stored);
    end();
}
END_TEST

START_TEST(a_stream_whose_node_is_lost_was_not_stored_and_may_be_tried_again)
{
    begin(false);
    store.drop_part = 5;
    int code = put((struct hf_source){.size_known = true, .size = SIZE});
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    ck_assert_int_eq(hf_outcome_of(code), HF_RETRY);
    ck_assert(!store.stored);
    end();
}
END_TEST

START_TEST(a_commit_whose_answer_is_lost_is_asked_after)
{
    begin(false);
    store.lose_commit = true;
    ck_assert_int_eq(put((struct hf_source){.size_known = true, .size = SIZE}), 0);
    ck_assert(store.stored);
    end();
}
END_TEST

START_TEST(a_commit_that_nobody_knows_of_is_unknown)
{
    begin(false);
    store.refuse_commit = true;
    int code = put((struct hf_source){.size_known = true, .size = SIZE});
    ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
    end();
}
END_TEST

START_TEST(a_closed_client_ends_its_transfers)
{
    struct poured poured = {.size = SIZE};
    struct hf_answer a = {.ended = false};
    struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    struct hf_source source = {.ctx = &poured, .read = source_read};
    begin(false);
    ck_assert_int_eq(hf_object_put(fake.client, &o, &source, &a, hf_answer_done), 0);
    while (store.parts < 2) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    end();
    ck_assert(a.ended);
    ck_assert_int_eq(a.result.code, ERR_UNAVAILABLE);
    hf_answer_release(&a);
}
END_TEST

UNIT_MAIN("client_object", an_object_comes_whole_and_in_order, a_range_costs_only_its_leaves,
          a_node_that_lies_is_passed_by, when_all_nodes_lie_nothing_is_handed_out,
          a_list_of_cells_that_does_not_match_the_root_is_refused,
          a_version_that_is_gone_is_begun_again_once, an_object_that_is_not_there_is_not_found,
          a_holder_that_is_down_is_passed_by, a_put_sends_every_byte_and_the_root,
          the_size_of_a_small_stream_is_learned_before_the_upload,
          a_source_that_is_shorter_than_it_said_is_not_stored,
          parts_that_were_refused_come_again_in_order,
          a_put_whose_node_is_lost_begins_again_elsewhere,
          a_stream_whose_node_is_lost_was_not_stored_and_may_be_tried_again,
          a_commit_whose_answer_is_lost_is_asked_after, a_commit_that_nobody_knows_of_is_unknown,
          a_closed_client_ends_its_transfers)
