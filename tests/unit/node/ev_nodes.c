/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * See ev_nodes.h.
 */
#include "ev_nodes.h"

#include <stdio.h>

#define EV_PATIENCE 4000u

struct node *ev_node(struct rig *r, unsigned i)
{
    return r->nodes[i - 1].node;
}

uint8_t ev_region(const char *name)
{
    return node_ev_region(bytes_of_text(name));
}

bool ev_ready(struct rig *r)
{
    for (unsigned tries = 0; tries < EV_PATIENCE; tries++) {
        bool ready = true;
        for (unsigned i = 0; i < r->nodes_count; i++) {
            struct crdt_actor actor;
            ready = ready && (!r->nodes[i].up || node_ev_actor(r->nodes[i].node, &actor));
        }
        if (ready) {
            return true;
        }
        rig_run(r, 10000);
    }
    return false;
}

/* ---- reading -------------------------------------------------------------------------------- */

struct ev_read {
    bool ended;
    int code;
    struct buf reply;
};

static void ev_read_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_read *read = ctx;
    (void)n;
    read->ended = true;
    read->code = code;
    (void)buf_append(&read->reply, reply.data, reply.size);
}

static void ev_run_until(struct rig *r, const bool *ended)
{
    for (unsigned tries = 0; tries < EV_PATIENCE && !*ended; tries++) {
        rig_run(r, tries == 0 ? 0 : 2000);
    }
    ASSERT(*ended);
}

/* Calls each for the records of a key. */
typedef void ev_each_fn(void *ctx, struct bytes record_key, struct bytes raw);

static void ev_page(const struct node_ev_page *page, struct bytes key, void *ctx, ev_each_fn *each)
{
    struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    struct node_ev_fragment_cursor c;
    struct bytes at;
    struct bytes record_key;
    struct bytes raw;
    node_ev_fragment_init(&f, &heap);
    int err = node_ev_fragment_decode(&f, page->fragment);
    ASSERT(err == 0);
    node_ev_fragment_begin(&f, &c);
    while (node_ev_fragment_next(&c, &at, &record_key, &raw)) {
        if (bytes_equal(at, key)) {
            each(ctx, record_key, raw);
        }
    }
    node_ev_fragment_release(&f);
}

static void ev_walk(struct rig *r, unsigned i, const char *name, void *ctx, ev_each_fn *each)
{
    struct ev_read read = {0};
    struct buf key;
    struct buf body;
    struct buf after;
    struct node_ev_page page = {.more = true};
    buf_init(&key, &r->heap, 4096);
    buf_init(&body, &r->heap, 1u << 20);
    buf_init(&after, &r->heap, 4096);
    buf_init(&read.reply, &r->heap, 16u << 20);
    int err = node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key);
    while (err == 0 && page.more) {
        const struct node_ev_page_ask ask = {
            .region = ev_region(name), .mode = NODE_EV_ALL, .after = buf_view(&after)};
        buf_clear(&body);
        buf_clear(&read.reply);
        read.ended = false;
        err = node_ev_page_query_encode(&ask, bytes_of(NULL, 0), &body);
        ASSERT(err == 0);
        node_query(ev_node(r, i), NODE_GROUP_OWN, NODE_QUERY_EV_PAGE, buf_view(&body), true,
                   r->now + 10000000, &read, ev_read_done);
        ev_run_until(r, &read.ended);
        err = read.code != 0 ? read.code : node_ev_page_decode(buf_view(&read.reply), &page);
        ASSERT(err == 0);
        ev_page(&page, buf_view(&key), ctx, each);
        buf_clear(&after);
        (void)buf_append(&after, page.last.data, page.last.size);
    }
    buf_release(&key);
    buf_release(&body);
    buf_release(&after);
    buf_release(&read.reply);
}

static void ev_load(void *ctx, struct bytes record_key, struct bytes raw)
{
    int err = node_ev_record_load(ctx, record_key, raw);
    ASSERT(err == 0);
}

void ev_state(struct rig *r, unsigned i, const char *name, struct crdt_state *s)
{
    ev_walk(r, i, name, s, ev_load);
}

int64_t ev_count(struct rig *r, unsigned i, const char *name)
{
    struct crdt_state s;
    struct crdt_path path;
    crdt_state_init(&s, &r->heap);
    ev_state(r, i, name, &s);
    bool several = false;
    uint8_t type = crdt_root_type(&s, &several);
    crdt_path_init(&path, type == 0 ? CRDT_PN_COUNTER : (enum crdt_type)type);
    int64_t value = crdt_counter(&s, &path);
    crdt_state_release(&s);
    return value;
}

bool ev_has(struct rig *r, unsigned i, const char *name, const char *element)
{
    struct crdt_state s;
    struct crdt_path path;
    crdt_state_init(&s, &r->heap);
    ev_state(r, i, name, &s);
    crdt_path_init(&path, CRDT_AW_SET);
    bool has = crdt_set_has(&s, &path, bytes_of_text(element));
    crdt_state_release(&s);
    return has;
}

int64_t ev_field_count(struct rig *r, unsigned i, const char *name, const char *field)
{
    struct crdt_state s;
    struct crdt_path path;
    crdt_state_init(&s, &r->heap);
    ev_state(r, i, name, &s);
    crdt_path_init(&path, CRDT_MAP);
    int err = crdt_path_push(&path, bytes_of_text(field), CRDT_PN_COUNTER);
    ASSERT(err == 0);
    int64_t value = crdt_counter(&s, &path);
    crdt_state_release(&s);
    return value;
}

bool ev_is(struct rig *r, unsigned i, const char *name, enum crdt_type type, const char *value)
{
    struct crdt_state s;
    struct crdt_path path;
    struct crdt_sibling found[2];
    crdt_state_init(&s, &r->heap);
    ev_state(r, i, name, &s);
    crdt_path_init(&path, type);
    size_t count = crdt_siblings(&s, &path, found, 2);
    bool is = count == 1 && bytes_equal(found[0].value, bytes_of_text(value));
    crdt_state_release(&s);
    return is;
}

static void ev_count_removals(void *ctx, struct bytes record_key, struct bytes raw)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    (void)record_key;
    int err = node_ev_record_begin(raw, &entries, &removals);
    ASSERT(err == 0);
    *(unsigned *)ctx += removals.left;
}

unsigned ev_removals(struct rig *r, unsigned i, const char *name)
{
    unsigned count = 0;
    ev_walk(r, i, name, &count, ev_count_removals);
    return count;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void ev_write_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_done *done = ctx;
    (void)n;
    done->ended = true;
    done->code = code;
    done->copies = code == 0 ? reply.data[0] : 0;
}

static void ev_hint(void *ctx, struct bytes record_key, struct bytes raw)
{
    (void)raw;
    (void)buf_put_u16(ctx, (uint16_t)record_key.size);
    (void)buf_append(ctx, record_key.data, record_key.size);
}

void ev_begin_at(struct rig *r, unsigned i, const char *name, const struct crdt_path *path,
                 const struct crdt_op *op, unsigned copies, struct ev_done *done)
{
    struct node_ev_op one = {
        .space = bytes_of_text("s"), .name = bytes_of_text(name), .path = *path, .op = *op};
    struct node *n = ev_node(r, i);
    struct crdt_actor self;
    struct buf hints;
    struct buf body;
    *done = (struct ev_done){0};
    buf_init(&hints, &r->heap, 1u << 20);
    buf_init(&body, &r->heap, 1u << 20);
    one.hints = &hints;
    if (node_ev_op_needs_hints(&one)) {
        ev_walk(r, i, name, &hints, ev_hint);
        bool has = node_ev_actor(n, &self);
        ASSERT(has);
        int err = node_ev_op_accounts(&one, self, &hints);
        ASSERT(err == 0);
    }
    int err = node_ev_update_encode(&one, 1, r->now, &body);
    ASSERT(err == 0);
    const struct node_cmd cmd = {.principal = bytes_of_text("root"), .body = buf_view(&body)};
    node_ev_write(n, &cmd, copies, 300000, r->now + 5000000, done, ev_write_done);
    buf_release(&hints);
    buf_release(&body);
}

void ev_begin(struct rig *r, unsigned i, const char *name, enum crdt_type type,
              const struct crdt_op *op, unsigned copies, struct ev_done *done)
{
    struct crdt_path path;
    crdt_path_init(&path, type);
    ev_begin_at(r, i, name, &path, op, copies, done);
}

int ev_do(struct rig *r, unsigned i, const char *name, enum crdt_type type,
          const struct crdt_op *op)
{
    struct ev_done done;
    ev_begin(r, i, name, type, op, 2, &done);
    ev_run_until(r, &done.ended);
    return done.code;
}

int ev_field_add(struct rig *r, unsigned i, const char *name, const char *field, int64_t amount)
{
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = amount};
    struct crdt_path path;
    struct ev_done done;
    crdt_path_init(&path, CRDT_MAP);
    int err = crdt_path_push(&path, bytes_of_text(field), CRDT_PN_COUNTER);
    ASSERT(err == 0);
    ev_begin_at(r, i, name, &path, &op, 2, &done);
    ev_run_until(r, &done.ended);
    return done.code;
}

int ev_add(struct rig *r, unsigned i, const char *name, int64_t amount)
{
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = amount};
    return ev_do(r, i, name, CRDT_PN_COUNTER, &op);
}

int ev_set(struct rig *r, unsigned i, const char *name, enum crdt_verb verb, const char *element)
{
    const struct crdt_op op = {.verb = verb, .value = bytes_of_text(element)};
    return ev_do(r, i, name, CRDT_AW_SET, &op);
}

static void ev_fill_some(struct rig *r, unsigned i, const char *prefix, unsigned from,
                         unsigned count)
{
    static struct node_ev_op ops[NODE_EV_OPS_MAX];
    static char names[NODE_EV_OPS_MAX][64];
    struct ev_done done = {0};
    struct buf body;
    buf_init(&body, &r->heap, 1u << 20);
    for (unsigned k = 0; k < count; k++) {
        snprintf(names[k], sizeof names[k], "%s%u", prefix, from + k);
        ops[k] = (struct node_ev_op){.space = bytes_of_text("s"),
                                     .name = bytes_of_text(names[k]),
                                     .op = {.verb = CRDT_ADD, .amount = 1}};
        crdt_path_init(&ops[k].path, CRDT_PN_COUNTER);
    }
    int err = node_ev_update_encode(ops, count, r->now, &body);
    ASSERT(err == 0);
    const struct node_cmd cmd = {.principal = bytes_of_text("root"), .body = buf_view(&body)};
    node_ev_write(ev_node(r, i), &cmd, 1, 300000, r->now + 5000000, &done, ev_write_done);
    ev_run_until(r, &done.ended);
    ASSERT(done.code == 0);
    buf_release(&body);
}

void ev_fill(struct rig *r, unsigned i, const char *prefix, unsigned from, unsigned to)
{
    while (from < to) {
        unsigned count = NUM_MIN(to - from, 250u);
        ev_fill_some(r, i, prefix, from, count);
        from += count;
    }
}

int ev_join(struct rig *r, unsigned i, struct bytes fragment)
{
    struct ev_done done = {0};
    struct buf body;
    buf_init(&body, &r->heap, 4u << 20);
    (void)buf_put_bytes(&body, fragment);
    const struct node_cmd cmd = {.op = NODE_OP_EV_JOIN, .body = buf_view(&body)};
    struct ev_read read = {0};
    buf_init(&read.reply, &r->heap, 1u << 20);
    node_propose(ev_node(r, i), NODE_GROUP_OWN, &cmd, r->now + 5000000, &read, ev_read_done);
    ev_run_until(r, &read.ended);
    buf_release(&read.reply);
    buf_release(&body);
    (void)done;
    return read.code;
}

/* ---- comparing ------------------------------------------------------------------------------ */

bool ev_same(struct rig *r)
{
    for (unsigned region = 0; region < NODE_EV_REGIONS; region++) {
        struct hash_digest first = {0};
        bool have = false;
        for (unsigned i = 0; i < r->nodes_count; i++) {
            if (!r->nodes[i].up) {
                continue;
            }
            struct hash_digest at =
                node_ev_region_hash(node_ev_region_get(r->nodes[i].node, (uint8_t)region));
            if (have && (at.low != first.low || at.high != first.high)) {
                return false;
            }
            first = at;
            have = true;
        }
    }
    return true;
}

bool ev_converge(struct rig *r, uint64_t us)
{
    for (uint64_t end = r->now + us; r->now < end;) {
        if (ev_same(r)) {
            return true;
        }
        rig_run(r, 20000);
    }
    return ev_same(r);
}
