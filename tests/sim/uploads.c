/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Object clients: each owns some names, stores objects of seeded content under them and reads them
 * back, byte for byte. When a put is acknowledged the disks of all nodes are looked at: without any
 * one node at least k shards of every stripe must be left. A put whose end is unknown may show up
 * later: the name then has several possible contents, and never another one. Some of the reads are
 * programs over a cell: their states are those of the content, to the byte. One content of four is
 * a table: programs over it look its records up in itself.
 */
#include "base/crc.h"
#include "base/hash.h"
#include "base/num.h"
#include "compute/compute.h"
#include "compute/table.h"
#include "compute/task.h"
#include "erasure/erasure.h"
#include "merkle/merkle.h"
#include "server/node/objects_internal.h"
#include "tests/sim/sim.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <stdlib.h>
#include <string.h>

#define SIM_UPLOADERS 2u
#define SIM_NAMES 3u
#define SIM_CONTENTS 24u
#define SIM_BUCKET "sim"
#define SIM_UPLOAD_TRY_US (5 * (uint64_t)SIM_S)

enum sim_upload_state {
    SIM_UPLOAD_IDLE = 0,
    SIM_UPLOAD_BUCKET,
    SIM_UPLOAD_BEGIN,
    SIM_UPLOAD_PART,
    SIM_UPLOAD_COMMIT,
    SIM_UPLOAD_STAT,
    SIM_UPLOAD_READ,
    SIM_UPLOAD_RUN,
    SIM_UPLOAD_DONE,
};

struct sim_content { /* what a name may hold */
    uint64_t seed;
    uint64_t bytes;
    uint8_t root[MERKLE_HASH_BYTES];
};

struct sim_object {
    struct sim_content may[SIM_CONTENTS]; /* 0: the last acknowledged one, if any */
    unsigned count;
    bool acked;
};

struct sim_uploader {
    uint32_t id;
    enum sim_upload_state state;
    uint64_t epoch;
    uint32_t node;
    uint32_t msgid;
    uint64_t token;
    uint64_t upload;
    uint64_t part_bytes;
    uint64_t offset;
    uint64_t version;
    uint64_t cell_bytes;
    unsigned name;
    unsigned final_name;
    bool made;    /* the bucket is there */
    bool waiting; /* a pause before the same request */
    struct sim_content content;
    uint8_t *data;
    struct sim_object objects[SIM_NAMES];
};

struct sim_uploads {
    struct sim_uploader list[SIM_UPLOADERS];
    struct wire_decoder *decoder;
    struct buf out;
    uint8_t *scratch; /* content for comparing */
};

#define SIM_OBJECT_BYTES_MAX (3u << 20)

static bool sim_uploads_on(const struct sim *s)
{
    return s->options.k > 0;
}

static void sim_upload_timer(struct sim *s, struct sim_uploader *u, uint64_t in_us)
{
    sim_push(
        s, &(struct sim_event){
               .at_us = s->now_us + in_us, .kind = SIM_EV_CLIENT, .node = u->id, .a = ++u->token});
}

void sim_uploads_init(struct sim *s)
{
    struct wire_scan_limits limits = {.depth_max = 16, .items_max = 65536, .bytes_max = 4u << 20};
    if (!sim_uploads_on(s)) {
        return;
    }
    s->uploads = calloc(1, sizeof(*s->uploads));
    ASSERT(s->uploads != NULL);
    ASSERT(wire_decoder_new(&s->heap_alloc, &limits, &s->uploads->decoder) == 0);
    buf_init(&s->uploads->out, &s->heap_alloc, 4u << 20);
    s->uploads->scratch = malloc(SIM_OBJECT_BYTES_MAX);
    ASSERT(s->uploads->scratch != NULL);
    for (unsigned i = 0; i < SIM_UPLOADERS; i++) {
        struct sim_uploader *u = &s->uploads->list[i];
        u->id = SIM_UPLOAD_CLIENT + i;
        u->epoch = 1;
        u->data = malloc(SIM_OBJECT_BYTES_MAX);
        ASSERT(u->data != NULL);
        sim_upload_timer(s, u, rng_between(&s->rng, 1, 3) * SIM_S);
    }
}

void sim_uploads_release(struct sim *s)
{
    if (s->uploads == NULL) {
        return;
    }
    for (unsigned i = 0; i < SIM_UPLOADERS; i++) {
        free(s->uploads->list[i].data);
    }
    wire_decoder_free(s->uploads->decoder);
    buf_release(&s->uploads->out);
    free(s->uploads->scratch);
    free(s->uploads);
    s->uploads = NULL;
}

static bool sim_content_is_table(const struct sim_content *c)
{
    return c->seed % 4 == 1;
}

/* Records "KEY,GROUP", each key once, then empty lines. */
static void sim_content_table(const struct sim_content *c, uint8_t *into)
{
    char line[32];
    uint64_t at = 0;
    for (uint64_t i = 0;; i++) {
        const int size = snprintf(line, sizeof(line), "%llu,g%llu\n",
                                  (unsigned long long)(i * 3 + c->seed % 1000),
                                  (unsigned long long)(hash_mix(c->seed + i) % 8));
        if (at + (uint64_t)size > c->bytes) {
            break;
        }
        memcpy(into + at, line, (size_t)size);
        at += (uint64_t)size;
    }
    memset(into + at, '\n', c->bytes - at);
}

static void sim_content_fill(const struct sim_content *c, uint8_t *into)
{
    struct rng r;
    if (sim_content_is_table(c)) {
        sim_content_table(c, into);
        return;
    }
    rng_init(&r, c->seed);
    rng_fill(&r, into, c->bytes);
}

static void sim_content_root(struct sim *s, const uint8_t *data, struct sim_content *c)
{
    uint8_t hashes[(SIM_OBJECT_BYTES_MAX / COMPUTE_LEAF_BYTES + 1) * COMPUTE_HASH_BYTES];
    compute_leaf_hashes(s->nodes[1].env.compute, data, c->bytes, hashes);
    merkle_root_of(hashes, compute_leaves_of(c->bytes), c->root);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void sim_upload_name(struct buf *out, const struct sim_uploader *u)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "o%u.%u", u->id, u->name);
    (void)wire_pack_text(out, SIM_BUCKET);
    (void)wire_pack_text(out, text);
}

static void sim_upload_pack_part(struct buf *out, struct sim_uploader *u)
{
    uint64_t bytes = NUM_MIN(u->content.bytes - u->offset, u->part_bytes);
    (void)wire_pack_request(out, u->msgid, WIRE_METHOD_OBJECT_PART, 5);
    (void)wire_pack_u64(out, u->upload);
    (void)wire_pack_u64(out, u->offset);
    (void)wire_pack_bin(out, bytes_of(u->data + u->offset, bytes));
    (void)wire_pack_u64(out, crc_of(u->data + u->offset, bytes));
}

/* returns: bytes from the offset on that are in its cell. */
static uint64_t sim_upload_bytes(const struct sim_uploader *u)
{
    uint64_t in_cell = u->offset % u->cell_bytes;
    return NUM_MIN(u->content.bytes - u->offset, u->cell_bytes - in_cell);
}

static uint64_t sim_upload_turn(const struct sim_uploader *u)
{
    return hash_mix(u->content.seed + u->offset);
}

static const char *sim_upload_program(const struct sim_uploader *u)
{
    static const char *const programs[] = {"lines | count, distinct $1", "u16,x1 | sum",
                                           "csv | where $1 > $2 | by $3 count",
                                           "f64 | quantile 0.5"};
    static const char *const joins[] = {"csv | lookup \"t\" $1 as t | by $t.2 count",
                                        "csv | lookup left \"t\" $1 + 3 as t | argmax $t.1, count"};
    const uint64_t turn = sim_upload_turn(u) / 4;
    return sim_content_is_table(&u->content) ? joins[turn % 2] : programs[turn % 4];
}

/* Mostly as clients ask while all is well; the others also where nothing is lost. */
static enum wire_run_where sim_upload_where(const struct sim_uploader *u)
{
    switch (hash_mix(sim_upload_turn(u)) % 4) {
    case 0: return WIRE_RUN_APART;
    case 1: return WIRE_RUN_STRIPE;
    default: return WIRE_RUN_HOLDER;
    }
}

/* The object itself is the table. */
static void sim_upload_pack_table(struct buf *out, const struct sim_uploader *u)
{
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 6);
    (void)wire_pack_text(out, WIRE_FIELD_BUCKET);
    (void)wire_pack_text(out, SIM_BUCKET);
    (void)wire_pack_text(out, WIRE_FIELD_NAME);
    (void)wire_pack_text(out, "t");
    (void)wire_pack_text(out, WIRE_FIELD_VERSION);
    (void)wire_pack_u64(out, u->version);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(u->content.root, sizeof(u->content.root)));
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, u->content.bytes);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, u->cell_bytes);
}

static void sim_upload_pack_read(struct buf *out, struct sim_uploader *u)
{
    const bool runs = u->state == SIM_UPLOAD_RUN;
    const bool joins = runs && sim_content_is_table(&u->content);
    (void)wire_pack_request(out, u->msgid, runs ? WIRE_METHOD_OBJECT_RUN : WIRE_METHOD_OBJECT_READ,
                            joins  ? 10
                            : runs ? 9
                                   : 6);
    sim_upload_name(out, u);
    (void)wire_pack_u64(out, u->version);
    (void)wire_pack_u64(out, u->offset);
    (void)wire_pack_u64(out, sim_upload_bytes(u));
    if (runs) {
        (void)wire_pack_text(out, sim_upload_program(u));
        (void)wire_pack_u64(out, COMPUTE_TASK_QUOTES_UNKNOWN);
        (void)wire_pack_u64(out, sim_upload_where(u));
    }
    if (joins) {
        sim_upload_pack_table(out, u);
    }
}

static void sim_upload_pack(struct sim *s, struct sim_uploader *u)
{
    struct buf *out = &s->uploads->out;
    struct wire_options o = {.has_deadline = true, .deadline_ms = SIM_UPLOAD_TRY_US / SIM_MS};
    buf_clear(out);
    u->msgid++;
    switch (u->state) {
    case SIM_UPLOAD_BUCKET:
        (void)wire_pack_request(out, u->msgid, WIRE_METHOD_BUCKET_CREATE, 4);
        (void)wire_pack_text(out, SIM_BUCKET);
        (void)wire_pack_u64(out, s->options.k);
        (void)wire_pack_u64(out, s->options.m);
        break;
    case SIM_UPLOAD_BEGIN:
        (void)wire_pack_request(out, u->msgid, WIRE_METHOD_OBJECT_PUT, 4);
        sim_upload_name(out, u);
        (void)wire_pack_u64(out, u->content.bytes);
        break;
    case SIM_UPLOAD_PART: sim_upload_pack_part(out, u); break;
    case SIM_UPLOAD_COMMIT:
        (void)wire_pack_request(out, u->msgid, WIRE_METHOD_OBJECT_COMMIT, 4);
        (void)wire_pack_u64(out, u->upload);
        (void)wire_pack_u64(out, u->content.bytes);
        (void)wire_pack_bin(out, bytes_of(u->content.root, sizeof(u->content.root)));
        break;
    case SIM_UPLOAD_STAT:
        (void)wire_pack_request(out, u->msgid, WIRE_METHOD_OBJECT_STAT, 3);
        sim_upload_name(out, u);
        break;
    case SIM_UPLOAD_READ:
    case SIM_UPLOAD_RUN: sim_upload_pack_read(out, u); break;
    default: ASSERT(false);
    }
    (void)wire_pack_options(out, &o);
}

static void sim_upload_send(struct sim *s, struct sim_uploader *u)
{
    struct buf *out = &s->uploads->out;
    if (u->node == 0) {
        u->node = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
    }
    u->waiting = false;
    sim_upload_pack(s, u);
    ASSERT(out->err == 0);
    uint8_t *data = sim_bytes_get(s, out->size);
    memcpy(data, out->data, out->size);
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 500),
                                    .kind = SIM_EV_REQUEST,
                                    .node = u->node,
                                    .a = u->id | (u->epoch << 16),
                                    .data = data,
                                    .bytes = out->size});
    sim_upload_timer(s, u, SIM_UPLOAD_TRY_US + SIM_S);
}

/* ---- what happens next ----------------------------------------------------------------------- */

static void sim_upload_rest(struct sim *s, struct sim_uploader *u)
{
    u->state = SIM_UPLOAD_IDLE;
    sim_upload_timer(s, u, s->quiet ? 100 * SIM_MS : rng_between(&s->rng, 50, 1500) * SIM_MS);
}

static uint64_t sim_upload_size(struct sim *s)
{
    switch (rng_below(&s->rng, 8)) {
    case 0: return rng_below(&s->rng, 2) * rng_below(&s->rng, 100);
    case 1: return WIRE_INLINE_BYTES_MAX + rng_below(&s->rng, 2);
    case 2: return rng_between(&s->rng, 1, SIM_OBJECT_BYTES_MAX);
    case 3: return (64u << 10) * rng_between(&s->rng, 1, 12);
    default: return rng_between(&s->rng, 1, 600000);
    }
}

static void sim_upload_begin(struct sim *s, struct sim_uploader *u)
{
    if (!u->made) {
        u->state = SIM_UPLOAD_BUCKET;
    } else if (s->quiet) {
        if (u->final_name == SIM_NAMES) {
            u->state = SIM_UPLOAD_DONE;
            return;
        }
        u->name = u->final_name;
        u->state = SIM_UPLOAD_STAT;
    } else {
        u->name = (unsigned)rng_below(&s->rng, SIM_NAMES);
        bool put = u->objects[u->name].count + 1 < SIM_CONTENTS && rng_chance(&s->rng, 3, 5);
        u->state = put ? SIM_UPLOAD_BEGIN : SIM_UPLOAD_STAT;
        if (put) {
            u->content.seed = rng_next(&s->rng);
            u->content.bytes = sim_upload_size(s);
            sim_content_fill(&u->content, u->data);
            sim_content_root(s, u->data, &u->content);
        }
    }
    sim_upload_send(s, u);
}

/* The end of a put is unknown: its content may appear at any later time. */
static void sim_upload_unknown(struct sim_uploader *u)
{
    struct sim_object *o = &u->objects[u->name];
    ASSERT(o->count < SIM_CONTENTS);
    if (o->count == 0) {
        o->count = 1; /* place 0 is for an acknowledged one */
    }
    o->may[o->count++] = u->content;
}

static void sim_upload_lost(struct sim *s, struct sim_uploader *u)
{
    u->node = 0;
    u->epoch++;
    if (u->state == SIM_UPLOAD_COMMIT) {
        sim_upload_unknown(u);
    }
    s->counters.objects_failed += u->state == SIM_UPLOAD_PART || u->state == SIM_UPLOAD_COMMIT;
    sim_upload_rest(s, u);
}

void sim_uploads_fire(struct sim *s, struct sim_event *ev)
{
    struct sim_uploader *u = &s->uploads->list[ev->node - SIM_UPLOAD_CLIENT];
    if (ev->a != u->token) {
        return;
    }
    if (u->state == SIM_UPLOAD_IDLE) {
        sim_upload_begin(s, u);
    } else if (u->waiting) {
        sim_upload_send(s, u);
    } else if (u->state != SIM_UPLOAD_DONE) {
        sim_upload_lost(s, u);
    }
}

void sim_uploads_gone(struct sim *s, uint32_t client, uint32_t node)
{
    struct sim_uploader *u = &s->uploads->list[client - SIM_UPLOAD_CLIENT];
    bool waits = u->state != SIM_UPLOAD_IDLE && u->state != SIM_UPLOAD_DONE;
    if (waits && u->node == node) {
        sim_upload_lost(s, u);
    }
}

/* ---- the disks ------------------------------------------------------------------------------- */

/* Whether a node holds the cell, whole. */
static int sim_cell_read(struct sim *s, uint32_t id, const struct store_cell_id *cell)
{
    struct store_segments *segments = s->nodes[id].segments;
    struct store_cell_info info;
    int code = store_segments_get(segments, cell, 0, 0, NULL, &info);
    if (code == 0) {
        ASSERT(info.bytes <= SIM_OBJECT_BYTES_MAX);
        code = store_segments_get(segments, cell, 0, info.bytes, s->uploads->scratch, NULL);
    }
    return code;
}

/* Reads the disks: have[id] is a bitmap of the shards of a stripe that node id holds.
 * returns: the node that rot has damaged one of them at; 0: none. */
static uint32_t sim_shards_have(struct sim *s, struct sim_uploader *u, uint32_t stripe,
                                uint32_t *have)
{
    uint32_t rotten = 0;
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        have[id] = 0;
        for (uint8_t shard = 0; shard < s->options.k + s->options.m; shard++) {
            struct store_cell_id cell = {.extent_grant = u->version >> 32,
                                         .extent_counter = u->version & UINT32_MAX,
                                         .cell = stripe,
                                         .shard = shard};
            int code = s->nodes[id].segments == NULL ? ERR_NOT_FOUND : sim_cell_read(s, id, &cell);
            if (code == 0) {
                have[id] |= 1u << shard;
            } else if (code != ERR_NOT_FOUND && !s->nodes[id].rotted) {
                sim_fail(s, "object-survives", "node %u cannot read a cell: %s", id,
                         err_name(code));
            } else if (code != ERR_NOT_FOUND) {
                rotten = id;
            }
        }
    }
    return rotten;
}

/* An object is promised to survive the loss of one node. A disk that rot has damaged is that loss;
 * a node that merely died is not: what it had synced counts as there. */
static void sim_stripe_survives(struct sim *s, struct sim_uploader *u, uint32_t stripe,
                                uint32_t empty)
{
    uint32_t have[SIM_NODES_MAX + 1];
    uint32_t rotten = sim_shards_have(s, u, stripe, have);
    for (uint32_t without = 1; without <= s->options.nodes; without++) {
        uint32_t left = empty;
        for (uint32_t id = 1; id <= s->options.nodes; id++) {
            left |= id == without ? 0 : have[id];
        }
        if ((rotten == 0 || rotten == without) &&
            (unsigned)__builtin_popcount(left) < s->options.k) {
            sim_fail(s, "object-survives",
                     "acknowledged object %u of %u, stripe %u: without node %u only %d of %u",
                     u->name, u->id, stripe, without, __builtin_popcount(left), s->options.k);
        }
    }
}

static void sim_upload_survives(struct sim *s, struct sim_uploader *u)
{
    struct erasure_layout layout;
    struct erasure_layout_options o = {
        .scheme = {.k = (uint8_t)s->options.k, .m = (uint8_t)s->options.m},
        .object_bytes = u->content.bytes};
    if (u->content.bytes <= WIRE_INLINE_BYTES_MAX || s->options.m == 0) {
        return;
    }
    ASSERT(erasure_layout_init(&layout, &o) == 0);
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        sim_disk_look(s, &s->nodes[id], true);
    }
    for (uint32_t stripe = 0; stripe < layout.stripes_count; stripe++) {
        sim_stripe_survives(s, u, stripe, erasure_stripe_empty(&layout, 0, stripe));
    }
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        sim_disk_look(s, &s->nodes[id], false);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

/* The next cell is read, or one of four has a program run over it. */
static void sim_upload_look(struct sim *s, struct sim_uploader *u)
{
    u->state = sim_upload_turn(u) % 4 == 0 ? SIM_UPLOAD_RUN : SIM_UPLOAD_READ;
    sim_upload_send(s, u);
}

static void sim_upload_looked(struct sim *s, struct sim_uploader *u, uint64_t bytes)
{
    u->offset += bytes;
    if (u->offset < u->content.bytes) {
        sim_upload_look(s, u);
        return;
    }
    u->final_name += s->quiet;
    s->counters.objects_read++;
    sim_upload_rest(s, u);
}

static void sim_upload_stat(struct sim *s, struct sim_uploader *u, struct wire_node result)
{
    struct sim_object *o = &u->objects[u->name];
    struct bytes root = {0};
    struct bytes whole = {0};
    uint64_t bytes = 0;
    uint64_t missing = 0;
    if (wire_node_is_nil(result)) {
        if (o->acked) {
            sim_fail(s, "object-lost", "acknowledged object %u of %u is not there", u->name, u->id);
        }
        u->final_name += s->quiet;
        sim_upload_rest(s, u);
        return;
    }
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_ROOT), 32, &root) != 0 ||
        root.size != 32 || wire_node_u64(wire_node_find(result, WIRE_FIELD_SIZE), &bytes) != 0 ||
        wire_node_u64(wire_node_find(result, WIRE_FIELD_VERSION), &u->version) != 0) {
        sim_fail(s, "reply", "object.stat lacks a field");
        return;
    }
    (void)wire_node_u64(wire_node_find(result, WIRE_FIELD_SHARDS_MISSING), &missing);
    (void)wire_node_u64(wire_node_find(result, WIRE_FIELD_CELL_BYTES), &u->cell_bytes);
    const struct sim_content *found = NULL;
    for (unsigned i = o->acked ? 0 : 1; i < o->count; i++) {
        if (o->may[i].bytes == bytes && memcmp(o->may[i].root, root.data, 32) == 0) {
            found = &o->may[i];
        }
    }
    if (found == NULL) {
        sim_fail(s, "object-content", "object %u of %u has a content that nobody stored", u->name,
                 u->id);
        return;
    }
    if (s->quiet && missing > 0) {
        sim_upload_rest(s, u); /* repair is still at work */
        return;
    }
    u->content = *found;
    u->offset = 0;
    sim_content_fill(&u->content, s->uploads->scratch);
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_INLINE), WIRE_INLINE_BYTES_MAX, &whole) ==
        0) {
        if (!bytes_equal(whole, bytes_of(s->uploads->scratch, u->content.bytes))) {
            sim_fail(s, "object-content", "inline object %u of %u differs", u->name, u->id);
        }
        u->offset = bytes;
    }
    if (u->offset == bytes) {
        u->final_name += s->quiet;
        s->counters.objects_read++;
        sim_upload_rest(s, u);
        return;
    }
    if (s->quiet) {
        sim_upload_survives(s, u);
    }
    sim_upload_look(s, u);
}

static void sim_upload_ran(struct sim *s, struct sim_uploader *u, struct wire_node result)
{
    const struct compute_task_options options = {.from = u->offset};
    const uint64_t bytes = sim_upload_bytes(u);
    const struct compute_table_options seeded = {.seed = u->content.seed};
    struct compute_program *p = NULL;
    struct compute_table *table = NULL;
    struct compute_task *t = NULL;
    struct bytes state = {0};
    struct buf want;
    (void)wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), WIRE_PART_BYTES_MAX, &state);
    sim_content_fill(&u->content, s->uploads->scratch);
    buf_init(&want, &s->heap_alloc, 4u << 20);
    ASSERT(compute_program_new(&p, &s->heap_alloc, bytes_of_text(sim_upload_program(u)), NULL) ==
           0);
    if (compute_program_lookups(p) > 0) {
        ASSERT(compute_table_new(&table, &s->heap_alloc,
                                 bytes_of(s->uploads->scratch, u->content.bytes), &seeded,
                                 NULL) == 0);
        compute_program_bind(p, 0, table);
    }
    ASSERT(compute_task_new(&t, &s->heap_alloc, p, &options, NULL) == 0);
    ASSERT(compute_task_update(t, bytes_of(s->uploads->scratch + u->offset, bytes)) == 0);
    compute_task_leave_open(t, NODE_RUN_OPEN_BYTES_MAX);
    ASSERT(compute_task_encode(t, &want) == 0);
    if (!bytes_equal(buf_view(&want), state)) {
        sim_fail(s, "object-program", "'%s' over object %u of %u differs at %llu",
                 sim_upload_program(u), u->name, u->id, (unsigned long long)u->offset);
    }
    buf_release(&want);
    compute_task_free(t);
    compute_program_free(p);
    compute_table_free(table);
    sim_upload_looked(s, u, bytes);
}

static void sim_upload_read(struct sim *s, struct sim_uploader *u, struct wire_node result)
{
    struct bytes data = {0};
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), WIRE_PART_BYTES_MAX, &data) != 0 ||
        data.size == 0 || data.size > u->content.bytes - u->offset) {
        sim_fail(s, "reply", "object.read gave no data");
        return;
    }
    sim_content_fill(&u->content, s->uploads->scratch);
    if (memcmp(data.data, s->uploads->scratch + u->offset, data.size) != 0) {
        sim_fail(s, "object-content", "object %u of %u differs at %llu", u->name, u->id,
                 (unsigned long long)u->offset);
    }
    sim_upload_looked(s, u, data.size);
}

static void sim_upload_committed(struct sim *s, struct sim_uploader *u, struct wire_node result)
{
    struct sim_object *o = &u->objects[u->name];
    o->acked = true;
    o->count = NUM_MAX(o->count, 1u);
    o->may[0] = u->content;
    s->counters.objects_ok++;
    if (wire_node_u64(wire_node_find(result, WIRE_FIELD_VERSION), &u->version) != 0) {
        sim_fail(s, "reply", "object.commit gave no version");
        return;
    }
    sim_upload_survives(s, u);
    sim_upload_rest(s, u);
}

static void sim_upload_answered(struct sim *s, struct sim_uploader *u, struct wire_node result)
{
    uint64_t received = 0;
    switch (u->state) {
    case SIM_UPLOAD_BUCKET:
        u->made = true;
        sim_upload_rest(s, u);
        break;
    case SIM_UPLOAD_BEGIN:
        u->offset = 0;
        if (wire_node_u64(wire_node_find(result, WIRE_FIELD_UPLOAD), &u->upload) != 0 ||
            wire_node_u64(wire_node_find(result, WIRE_FIELD_PART_BYTES), &u->part_bytes) != 0) {
            sim_fail(s, "reply", "object.put lacks a field");
            return;
        }
        u->state = u->content.bytes > 0 ? SIM_UPLOAD_PART : SIM_UPLOAD_COMMIT;
        sim_upload_send(s, u);
        break;
    case SIM_UPLOAD_PART:
        if (wire_node_u64(wire_node_find(result, WIRE_FIELD_RECEIVED), &received) != 0 ||
            received <= u->offset) {
            sim_fail(s, "reply", "object.part did not go on");
            return;
        }
        u->offset = received;
        u->state = u->offset < u->content.bytes ? SIM_UPLOAD_PART : SIM_UPLOAD_COMMIT;
        sim_upload_send(s, u);
        break;
    case SIM_UPLOAD_COMMIT: sim_upload_committed(s, u, result); break;
    case SIM_UPLOAD_STAT: sim_upload_stat(s, u, result); break;
    case SIM_UPLOAD_READ: sim_upload_read(s, u, result); break;
    case SIM_UPLOAD_RUN: sim_upload_ran(s, u, result); break;
    default: break;
    }
}

static void sim_upload_refused(struct sim *s, struct sim_uploader *u, int code)
{
    enum err_outcome outcome = err_outcome_of(code);
    if (u->state == SIM_UPLOAD_BUCKET && code == ERR_EXISTS) {
        u->made = true;
        sim_upload_rest(s, u);
    } else if (outcome == ERR_OUTCOME_DAMAGED) {
        sim_fail(s, "object-damaged", "object %u of %u: %s", u->name, u->id, err_name(code));
    } else if (outcome == ERR_OUTCOME_REFUSED && code != ERR_CANCELLED &&
               code != ERR_VERSION_GONE && code != ERR_NOT_FOUND &&
               !(u->state == SIM_UPLOAD_RUN && code == ERR_CONFLICT)) { /* a table that is gone */
        sim_fail(s, "reply", "a well-formed object request was refused with %s in state %d",
                 err_name(code), u->state);
    } else if (outcome == ERR_OUTCOME_RETRY && code == ERR_BUSY) {
        u->waiting = true;
        sim_upload_timer(s, u, 100 * SIM_MS);
    } else if (outcome == ERR_OUTCOME_UNKNOWN) {
        sim_upload_lost(s, u);
    } else {
        u->node = 0;
        u->epoch++;
        s->counters.objects_failed++;
        sim_upload_rest(s, u);
    }
}

void sim_uploads_reply(struct sim *s, struct sim_event *ev)
{
    struct sim_uploader *u = &s->uploads->list[ev->node - SIM_UPLOAD_CLIENT];
    struct wire_node root;
    struct wire_rpc rpc;
    if (u->state == SIM_UPLOAD_IDLE || u->state == SIM_UPLOAD_DONE || u->waiting ||
        ev->a != (u->id | (u->epoch << 16)) || u->node != ev->other) {
        return;
    }
    if (wire_decode(s->uploads->decoder, bytes_of(ev->data, ev->bytes), &root) != 0 ||
        wire_rpc_of(root, &rpc) != 0 || rpc.type != WIRE_RESPONSE) {
        sim_fail(s, "reply", "node %u answered with bytes that are no response", ev->other);
        return;
    }
    if (rpc.msgid != u->msgid) {
        return;
    }
    if (wire_node_is_nil(rpc.error)) {
        sim_upload_answered(s, u, rpc.result);
    } else {
        struct wire_error error;
        wire_error_of(rpc.error, &error);
        sim_upload_refused(s, u, error.code);
    }
}

bool sim_uploads_idle(const struct sim *s)
{
    for (unsigned i = 0; s->uploads != NULL && i < SIM_UPLOADERS; i++) {
        if (s->uploads->list[i].state != SIM_UPLOAD_DONE) {
            return false;
        }
    }
    return true;
}

void sim_uploads_again(struct sim *s)
{
    for (unsigned i = 0; i < SIM_UPLOADERS; i++) {
        struct sim_uploader *u = &s->uploads->list[i];
        u->final_name = 0;
        if (u->state == SIM_UPLOAD_DONE) {
            u->state = SIM_UPLOAD_IDLE;
            sim_upload_timer(s, u, 1);
        }
    }
}

void sim_uploads_finish(struct sim *s)
{
    for (unsigned i = 0; s->uploads != NULL && i < SIM_UPLOADERS; i++) {
        if (s->uploads->list[i].final_name != SIM_NAMES) {
            sim_fail(s, "object-lost", "not every object of %u could be read at the end",
                     s->uploads->list[i].id);
        }
    }
}
