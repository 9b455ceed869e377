/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An object on nodes of the test that compute, refuse, or lie, and programs over it.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CLIENT_RUN_FAKE_H
#define HOLDFAST_TESTS_UNIT_CLIENT_RUN_FAKE_H

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

/* LIE_WRONG: as if the first byte were another one, each node its own. */
enum lie { LIE_NONE, LIE_CRC, LIE_NOISE, LIE_SPAN, LIE_QUOTES, LIE_WRONG };

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
    bool refuses;  /* every part is too much */
    bool silent;   /* parts get no answer */
    bool holds;    /* nothing can be decoded: the holder is asked at last */
    unsigned m;    /* cells of parity: nodes 4 and so on hold them, if there are any */
    unsigned lost; /* data cells of each stripe that have to be decoded: the last ones */
    unsigned looks;
    unsigned stops;
    bool late;       /* a part was held back, or failed */
    unsigned aparts; /* parts that were asked for apart from the cell's holder */
    /* returns: whether a part, or a question about one, has been taken care of; may be NULL */
    bool (*before)(struct fake_conn *conn, const struct wire_rpc *m); /* of any other request */
    bool (*first)(struct fake_conn *conn, const struct wire_rpc *m);
};

static struct fake fake;
static struct object object;
static struct alloc heap;

/* ---- the nodes ------------------------------------------------------------------------------ */

static inline void say_stat(struct fake_conn *conn, const struct wire_rpc *m)
{
    const bool small = object.size <= WIRE_INLINE_BYTES_MAX;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{WIRE_FIELD_SIZE, object.size},
                {WIRE_FIELD_K, 3},
                {WIRE_FIELD_M, object.m},
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

static inline void say_extents(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_HOLDERS);
    (void)wire_pack_array(out, fake.nodes);
    for (unsigned shard = 0; shard < fake.nodes; shard++) {
        (void)wire_pack_u64(out, shard < 3 ? (shard + 2) % 3 + 1 : shard + 1);
    }
    (void)wire_pack_text(out, WIRE_FIELD_ROOTS);
    (void)wire_pack_bin(out,
                        bytes_of(object.roots, num_div_up(object.size, CELL) * MERKLE_HASH_BYTES));
    fake_end(conn, out);
}

struct part {
    struct bytes text;
    uint64_t from;
    uint64_t bytes;
    uint64_t quotes;
    enum lie lie;
    uint64_t where; /* enum wire_run_where */
    uint8_t salt;   /* of LIE_WRONG */
};

/* The state of a part, as a node that is honest, or is not, has it. */
static inline void compute_part(const struct part *part, struct buf *state)
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
    const uint8_t first = object.data[part->from];
    object.data[part->from] = lie == LIE_WRONG ? (uint8_t)('a' + part->salt) : first;
    ck_assert_int_eq(
        compute_task_update(t, bytes_of(object.data + part->from, part->bytes - (lie == LIE_SPAN))),
        0);
    object.data[part->from] = first;
    compute_task_leave_open(t, 4096);
    ck_assert_int_eq(compute_task_encode(t, state), 0);
    if (lie == LIE_NOISE) {
        state->data[9] ^= 0x55;
    }
    compute_task_free(t);
    compute_program_free(p);
}

static inline void say_part_of(struct fake_conn *conn, const struct wire_rpc *m,
                               const struct part *part)
{
    const uint64_t cell = part->from / CELL;
    struct buf state;
    object.parts[conn->node]++;
    object.parts_all++;
    buf_init(&state, &heap, 64u << 20);
    compute_part(part, &state);
    const bool stripe = part->where == WIRE_RUN_STRIPE;
    const bool decoded = cell == 2 || cell % 3 + object.lost >= 3 ||
                         (part->where == WIRE_RUN_APART && !object.holds);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 4 + stripe);
    if (stripe) {
        (void)wire_pack_text(out, WIRE_FIELD_NODE);
        (void)wire_pack_u64(out, conn->node + 1);
    }
    (void)wire_pack_text(out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(out, buf_view(&state));
    (void)wire_pack_text(out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(out, crc_of(state.data, state.size) ^ (part->lie == LIE_CRC));
    (void)wire_pack_text(out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(out, decoded);
    (void)wire_pack_text(out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(out, cell == 2 || (stripe && decoded) ? 1000 : 0);
    fake_end(conn, out);
    buf_release(&state);
}

static inline void say_part(struct fake_conn *conn, const struct wire_rpc *m, struct bytes text)
{
    const enum lie lie = object.lies[conn->node];
    struct part part = {.text = text, .lie = lie, .salt = (uint8_t)conn->node};
    uint64_t from = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    ck_assert_int_eq(wire_param_u64(m, 4, &bytes), 0);
    ck_assert_int_eq(wire_param_u64(m, 6, &part.quotes), 0);
    ck_assert_int_eq(wire_param_u64(m, 7, &part.where), 0);
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
    part.from = from;
    part.bytes = bytes;
    say_part_of(conn, m, &part);
}

static inline bool serve_look(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t stop = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN_LOOK)) {
        return false;
    }
    ck_assert_int_eq(wire_param_u64(m, 1, &stop), 0);
    object.looks += stop == 0;
    object.stops += stop != 0;
    if (object.first == NULL || !object.first(conn, m)) {
        fake_say_error(conn, m, ERR_NOT_FOUND);
    }
    return true;
}

static inline enum wire_run_where where_of(const struct wire_rpc *m)
{
    uint64_t where = 0;
    ck_assert_int_eq(wire_param_u64(m, 7, &where), 0);
    ck_assert_uint_le(where, WIRE_RUN_STRIPE);
    return (enum wire_run_where)where;
}

static inline bool serve_apart(struct fake_conn *conn, const struct wire_rpc *m)
{
    ck_assert(wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN));
    object.aparts += where_of(m) == WIRE_RUN_APART;
    return object.first != NULL && object.first(conn, m);
}

static inline void serve(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes text;
    (void)f;
    if (serve_look(conn, m) || (object.before != NULL && object.before(conn, m))) {
        return;
    }
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_STAT)) {
        say_stat(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_OBJECT_EXTENTS)) {
        say_extents(conn, m);
    } else if (object.gone > 0 && object.parts_all >= object.gone_after) {
        object.gone--;
        fake_say_error(conn, m, ERR_VERSION_GONE);
    } else if (!serve_apart(conn, m) && !object.silent) {
        ck_assert_int_eq(wire_param_bytes(m, 5, WIRE_PROGRAM_BYTES_MAX, &text), 0);
        say_part(conn, m, text);
    }
}

static inline void begin_on(unsigned nodes, uint64_t size)
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
    for (unsigned i = 0; (uint64_t)i * CELL < size; i++) {
        merkle_root_of(hashes + i * leaves * MERKLE_HASH_BYTES,
                       compute_leaves_of(NUM_MIN(size - (uint64_t)i * CELL, (uint64_t)CELL)),
                       object.roots + i * MERKLE_HASH_BYTES);
    }
    merkle_root_of(hashes, compute_leaves_of(size), object.root);
    fake_open(&fake, nodes, serve);
}

static inline void begin(uint64_t size)
{
    begin_on(3, size);
}

/* ---- runs ----------------------------------------------------------------------------------- */

struct ran {
    struct buf printed;
    unsigned rewinds;
    bool cannot_rewind;
    bool many; /* all objects whose names begin with "n" */
    bool no_backups;
    const char *job;
    bool check;
    unsigned outvoted[FAKE_NODES_MAX + 1]; /* by id of the node */
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    struct hf_run_info cost;
    struct hf_run_node nodes[FAKE_NODES_MAX];
    size_t nodes_count;
    char text[HF_TEXT_BYTES];
};
static struct ran ran;

static inline int ran_write(void *ctx, const void *data, size_t bytes)
{
    struct ran *r = ctx;
    return buf_append(&r->printed, data, bytes);
}

static inline int ran_rewind(void *ctx)
{
    struct ran *r = ctx;
    r->rewinds++;
    buf_clear(&r->printed);
    return 0;
}

static inline void ran_nodes(void *ctx, const struct hf_run_node *nodes, size_t count)
{
    struct ran *r = ctx;
    ck_assert_uint_le(count, FAKE_NODES_MAX);
    memcpy(r->nodes, nodes, count * sizeof(nodes[0]));
    r->nodes_count = count;
}

static inline void ran_disagreed(void *ctx, const struct hf_run_disagreed *d)
{
    struct ran *r = ctx;
    ck_assert_uint_ge(d->node, 1);
    ck_assert_uint_le(d->node, FAKE_NODES_MAX);
    ck_assert(r->many || (d->name.size == 4 && memcmp(d->name.data, "name", 4) == 0));
    r->outvoted[d->node]++;
}

static inline int run(const char *text)
{
    struct hf_object o = {
        .bucket = hf_text("bucket"), .name = hf_text("name"), .progress = ran.progress};
    struct hf_program program = {
        .text = hf_text(text), .nodes_ctx = &ran, .nodes = ran_nodes, .no_backups = ran.no_backups};
    struct hf_answer a = {.ended = false};
    program.job = hf_text(ran.job != NULL ? ran.job : "");
    program.check = ran.check;
    program.disagreed = ran_disagreed;
    if (ran.many) {
        o.prefix = hf_text("n");
        o.name = hf_text("");
    }
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

static inline void end(void)
{
    buf_release(&ran.printed);
    memset(&ran, 0, sizeof(ran));
    fake_close(&fake);
}

/* What was printed is what the program prints over the bytes. */
static inline void check_printed(const char *text)
{
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(object.data, object.size)), 0);
    (void)compute_task_finish(t, NULL);
    size_t at = 0;
    for (bool more = true; more;) {
        const struct bytes want = compute_task_output(t);
        ck_assert_uint_le(want.size, ran.printed.size - at);
        ck_assert(bytes_equal(want, bytes_of(ran.printed.data + at, want.size)));
        at += want.size;
        compute_task_output_clear(t);
        more = compute_task_has_more(t) && compute_task_more(t, NULL) == 0;
    }
    ck_assert_uint_eq(at, ran.printed.size);
    compute_task_free(t);
    compute_program_free(p);
}

#endif
