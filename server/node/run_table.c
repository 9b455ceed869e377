/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables that programs on this node look into. A table is known by its Merkle root and size, so
 * who has asked for it, and under what name, does not matter: it is read once, compared with the
 * root, indexed, and kept for whoever needs it next. Tables take no more than a budget of their
 * own: those that nobody uses go, least recently used first; what is in use stays, and what does
 * not fit beside it is refused.
 *
 *   ROOM -> MAKE -> FETCH -> CHECK -> INDEX_ROOM -> INDEX -> READY -> END
 *     |       |       |        |          |           |       (not used, and its room is needed)
 *     +-------+-------+--------+----------+-----------+----> END  (it failed)
 *
 * MAKE, CHECK, INDEX and END are jobs of the compute lane, of some milliseconds each: taking
 * memory, hashes, the index, and giving all of it back. FETCH reads cells as any read does, with
 * decoding where holders are lost. A table of up to WIRE_INLINE_BYTES_MAX came with the request.
 */
#include "compute/program.h"
#include "server/node/objects_internal.h"

#define NODE_TABLE_GETS 4u                 /* cells that are read at once */
#define NODE_TABLE_STEP_BYTES (128u << 10) /* of data, indexed or hashed by one job */
#define NODE_TABLE_READ_US UINT64_C(10000000)
#define NODE_TABLE_LEAVES (NODE_TABLE_STEP_BYTES / COMPUTE_LEAF_BYTES)
_Static_assert(NODE_TABLE_STEP_BYTES % COMPUTE_LEAF_BYTES == 0, "whole leaves");
_Static_assert(WIRE_LOOKUPS_MAX == COMPUTE_PROGRAM_LOOKUPS_MAX, "one limit");
_Static_assert(WIRE_LOOKUP_BYTES_MAX == COMPUTE_TABLE_BYTES_MAX, "one limit");

enum node_table_state {
    NODE_TABLE_ROOM, /* for the data; others may have to go first */
    NODE_TABLE_MAKE,
    NODE_TABLE_FETCH,
    NODE_TABLE_CHECK,
    NODE_TABLE_INDEX_ROOM,
    NODE_TABLE_INDEX,
    NODE_TABLE_READY,
    NODE_TABLE_END,
};

struct node_table {
    struct node_task task;
    struct node_work link; /* of o->tables, least recently used first */
    struct node_timer timer;
    struct node_objects *o;
    enum node_table_state state;
    bool out; /* a job is */
    unsigned refs;
    struct node_work waits;
    uint64_t charged; /* of o->tables_bytes */
    /* what it is */
    uint32_t group;
    struct node_version version;
    uint8_t root[MERKLE_HASH_BYTES];
    uint64_t size;
    uint64_t cell_bytes;
    bool header;
    /* FETCH */
    uint64_t next; /* byte that is asked for next */
    unsigned gets;
    bool pumping;
    int failed;
    uint64_t fetched; /* bytes that were read, of which nobody was told yet */
    uint64_t moved;   /* the same of those that came from other nodes */
    /* the worker's, while a job is out */
    struct alloc heap;
    uint8_t *data;
    uint64_t hashed;
    struct merkle_builder tree;
    struct compute_table *table;
    uint64_t seed;
    bool whole;
    size_t small_bytes;
    uint8_t small[];
};

/* ---- as messages have them ------------------------------------------------------------------ */

void node_lookup_put(struct buf *b, const struct node_lookup *l)
{
    (void)buf_put_bytes(b, l->bucket);
    (void)buf_put_bytes(b, l->name);
    (void)node_put_version(b, l->version);
    (void)buf_append(b, l->root, MERKLE_HASH_BYTES);
    (void)buf_put_u64(b, l->size);
    (void)buf_put_u32(b, l->cell_bytes);
    (void)buf_put_bytes(b, l->data);
}

/* returns: whether it can be a table. */
static bool node_lookup_fits(const struct node_lookup *l)
{
    const bool small = l->size <= WIRE_INLINE_BYTES_MAX;
    const bool cells = l->cell_bytes >= COMPUTE_LEAF_BYTES && l->cell_bytes <= WIRE_PART_BYTES_MAX;
    return wire_bucket_check(l->bucket) == 0 && wire_name_check(l->name) == 0 &&
           l->size <= WIRE_LOOKUP_BYTES_MAX && l->data.size == (small ? l->size : 0) &&
           (small || cells);
}

void node_lookup_take(struct bytes_reader *r, struct node_lookup *l)
{
    *l = (struct node_lookup){.bucket = bytes_take_bytes(r, WIRE_NAME_BYTES_MAX)};
    l->name = bytes_take_bytes(r, WIRE_NAME_BYTES_MAX);
    l->version = node_take_version(r);
    const struct bytes root = bytes_take(r, MERKLE_HASH_BYTES);
    l->size = bytes_take_u64(r);
    l->cell_bytes = bytes_take_u32(r);
    l->data = bytes_take_bytes(r, WIRE_INLINE_BYTES_MAX);
    if (!r->failed) {
        memcpy(l->root, root.data, MERKLE_HASH_BYTES);
        r->failed |= !node_lookup_fits(l);
    }
}

static int node_lookup_of(struct wire_node item, struct node_lookup *l)
{
    struct bytes root;
    uint64_t version = 0;
    const struct wire_node data = wire_node_find(item, WIRE_FIELD_DATA);
    *l = (struct node_lookup){.size = 0};
    TRY(wire_node_bytes(wire_node_find(item, WIRE_FIELD_BUCKET), WIRE_NAME_BYTES_MAX, &l->bucket));
    TRY(wire_node_bytes(wire_node_find(item, WIRE_FIELD_NAME), WIRE_NAME_BYTES_MAX, &l->name));
    TRY(wire_node_u64(wire_node_find(item, WIRE_FIELD_VERSION), &version));
    TRY(wire_node_bytes(wire_node_find(item, WIRE_FIELD_ROOT), MERKLE_HASH_BYTES, &root));
    TRY(wire_node_u64(wire_node_find(item, WIRE_FIELD_SIZE), &l->size));
    TRY(wire_node_u32(wire_node_find(item, WIRE_FIELD_CELL_BYTES), &l->cell_bytes));
    if (!wire_node_is_nil(data)) {
        TRY(wire_node_bytes(data, WIRE_INLINE_BYTES_MAX, &l->data));
    }
    if (root.size != MERKLE_HASH_BYTES) {
        return ERR_INVALID;
    }
    l->version = node_version_of_wire(version);
    memcpy(l->root, root.data, MERKLE_HASH_BYTES);
    return node_lookup_fits(l) ? 0 : ERR_INVALID;
}

int node_lookups_of(struct wire_node list, struct buf *out)
{
    const uint32_t count = wire_node_count(list);
    if (wire_node_kind(list) != WIRE_ARRAY || count > WIRE_LOOKUPS_MAX) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct node_lookup l;
        TRY(node_lookup_of(wire_node_at(list, i), &l));
        node_lookup_put(out, &l);
    }
    return out->err;
}

/* ---- room ----------------------------------------------------------------------------------- */

static struct node_table *node_table_at(struct node_work *w)
{
    return (struct node_table *)(void *)((uint8_t *)w - offsetof(struct node_table, link));
}

static void node_table_fire(struct node *n, struct node_timer *timer);

/* Starts the job of its state; if the lane is full, a little later. */
static void node_table_job_start(struct node_table *t)
{
    struct node *n = t->o->n;
    ASSERT(!t->out);
    t->out = node_task_start(n, &t->task, NODE_LANE_COMPUTE) == 0;
    if (!t->out) {
        node_timer_set(n, &t->timer, node_now(n) + NODE_CALL_RETRY_US);
    }
}

/* Nobody finds it any more, and its memory is given back. */
static void node_table_end(struct node_table *t)
{
    ASSERT(t->refs == 0 && !t->out && t->state != NODE_TABLE_END);
    t->state = NODE_TABLE_END;
    t->o->tables_count--;
    t->o->tables_ending += t->charged;
    node_table_job_start(t);
}

/* returns: the one that nobody has used for longest; NULL: all are in use. */
static struct node_table *node_table_unused(const struct node_objects *o)
{
    for (struct node_work *w = o->tables.next; w != &o->tables; w = w->next) {
        struct node_table *t = node_table_at(w);
        if (t->state == NODE_TABLE_READY && t->refs == 0) {
            return t;
        }
    }
    return NULL;
}

/* returns: the bytes of all that nobody uses. */
static uint64_t node_tables_unused_bytes(const struct node_objects *o)
{
    uint64_t bytes = 0;
    for (struct node_work *w = o->tables.next; w != &o->tables; w = w->next) {
        const struct node_table *t = node_table_at(w);
        bytes += t->state == NODE_TABLE_READY && t->refs == 0 ? t->charged : 0;
    }
    return bytes;
}

/* Charges it with more bytes. returns: 0; WIRE_MORE: not yet, others are going; ERR_BUSY: what
 * others use leaves no room, and nobody goes. */
static int node_table_room(struct node_table *t, uint64_t more)
{
    struct node_objects *o = t->o;
    const uint64_t used = o->tables_bytes - o->tables_ending - node_tables_unused_bytes(o);
    if (more > o->tables_max || used > o->tables_max - more) {
        return ERR_BUSY;
    }
    while (o->tables_bytes - o->tables_ending + more > o->tables_max) {
        struct node_table *other = node_table_unused(o);
        ASSERT(other != NULL);
        node_table_end(other);
    }
    if (o->tables_bytes + more > o->tables_max) {
        return WIRE_MORE;
    }
    o->tables_bytes += more;
    t->charged += more;
    return 0;
}

static void node_table_free(struct node_table *t)
{
    struct node_objects *o = t->o;
    if (t->state == NODE_TABLE_END) {
        o->tables_ending -= t->charged;
    } else {
        o->tables_count--;
    }
    o->tables_bytes -= t->charged;
    node_timer_cancel(o->n, &t->timer);
    node_work_remove(&t->link);
    alloc_put(&o->alloc, t, sizeof *t + t->small_bytes);
}

/* ---- on a worker ---------------------------------------------------------------------------- */

static void node_table_let_go(struct node_table *t)
{
    compute_table_free(t->table);
    t->table = NULL;
    if (t->data != NULL) {
        alloc_put(&t->heap, t->data, t->size);
        t->data = NULL;
    }
}

static int node_table_make(struct node_table *t, const struct alloc *heap)
{
    t->heap = *heap;
    if (t->size == 0) {
        return 0;
    }
    t->data = alloc_get(&t->heap, t->size);
    if (t->data == NULL) {
        return ERR_NO_MEMORY;
    }
    if (t->small_bytes > 0) {
        memcpy(t->data, t->small, t->small_bytes);
    }
    return 0;
}

/* All bytes against the root, then the lines are counted. */
static int node_table_check(struct node_table *t, struct compute *c)
{
    uint8_t hashes[NODE_TABLE_LEAVES * COMPUTE_HASH_BYTES];
    if (t->hashed < t->size) {
        const size_t bytes = NUM_MIN(t->size - t->hashed, (uint64_t)NODE_TABLE_STEP_BYTES);
        compute_leaf_hashes(c, t->data + t->hashed, bytes, hashes);
        merkle_builder_push(&t->tree, hashes, compute_leaves_of(bytes));
        t->hashed += bytes;
        return 0;
    }
    if (t->table == NULL) {
        const struct compute_table_options options = {.header = t->header, .seed = t->seed};
        merkle_builder_root(&t->tree, hashes);
        if (memcmp(hashes, t->root, MERKLE_HASH_BYTES) != 0) {
            return ERR_CONFLICT;
        }
        TRY(compute_table_begin(&t->table, &t->heap, bytes_of(t->data, t->size), &options, NULL));
    }
    return compute_table_step(t->table, NODE_TABLE_STEP_BYTES, &t->whole, NULL);
}

static void node_table_job(struct node_task *task, struct node_env *env)
{
    struct node_table *t = (struct node_table *)(void *)task;
    int err = 0;
    switch (t->state) {
    case NODE_TABLE_MAKE: err = node_table_make(t, &env->alloc); break;
    case NODE_TABLE_CHECK: err = node_table_check(t, env->compute); break;
    case NODE_TABLE_INDEX:
        err = compute_table_step(t->table, NODE_TABLE_STEP_BYTES, &t->whole, NULL);
        break;
    default: node_table_let_go(t); break;
    }
    task->job.code = err;
}

/* ---- one state after the other -------------------------------------------------------------- */

/* What a table failed with, as it is told to whoever needs it. */
static int node_table_code(int code)
{
    switch (code) {
    case ERR_VERSION_GONE:
    case ERR_NOT_FOUND:
    case ERR_RANGE: return ERR_CONFLICT; /* it is not, or no longer, what was asked for */
    case ERR_CORRUPT: return ERR_LOST;
    case ERR_TOO_LARGE:
    case ERR_EXISTS: return ERR_PROTOCOL; /* no table */
    default: return code;
    }
}

/* Tells all who wait. */
static void node_table_tell(struct node_table *t, int code)
{
    t->refs++; /* stays until all are told */
    while (!node_work_empty(&t->waits)) {
        struct node_table_use *use = (struct node_table_use *)(void *)t->waits.next;
        node_work_remove(&use->link);
        use->waits = false;
        if (code == 0) {
            use->fetched = t->fetched; /* it counts once */
            use->moved = t->moved;
            t->fetched = 0;
            t->moved = 0;
        } else {
            use->table = NULL;
            t->refs--;
        }
        use->done(use, code);
    }
    t->refs--;
}

static void node_table_fail(struct node_table *t, int code)
{
    if (t->gets > 0) {
        t->failed = code; /* once they have ended */
        return;
    }
    t->state = NODE_TABLE_END; /* nobody new finds it */
    t->o->tables_count--;
    t->o->tables_ending += t->charged;
    node_table_tell(t, node_table_code(code));
    ASSERT(t->refs == 0);
    node_table_job_start(t);
}

static void node_table_pump(struct node_table *t);

static void node_table_got(struct node *n, void *ctx, int code, const struct node_got *got)
{
    (void)n;
    struct node_table *t = ctx;
    t->gets--;
    t->moved += got->moved;
    t->o->run_slices++;
    if (code == 0 && t->failed == 0) {
        t->fetched += got->data.size;
        memcpy(t->data + got->offset, got->data.data, got->data.size);
    } else if (t->failed == 0) {
        t->failed = code;
    }
    if (!t->pumping) {
        node_table_pump(t);
    }
}

static void node_table_pump(struct node_table *t)
{
    t->pumping = true; /* an answer may come before its question returns */
    while (t->failed == 0 && t->gets < NODE_TABLE_GETS && t->next < t->size) {
        const struct node_get_spec spec = {.group = t->group,
                                           .version = t->version,
                                           .offset = t->next,
                                           .length = NUM_MIN(t->cell_bytes, t->size - t->next),
                                           .lane = NODE_LANE_COMPUTE,
                                           .deadline_us = node_now(t->o->n) + NODE_TABLE_READ_US};
        t->next += spec.length;
        t->gets++;
        const int err = node_get_start(t->o, &spec, t, node_table_got);
        if (err != 0) {
            t->gets--;
            t->failed = err;
        }
    }
    t->pumping = false;
    if (t->gets > 0) {
        return;
    }
    if (t->failed != 0) {
        node_table_fail(t, t->failed);
        return;
    }
    t->state = NODE_TABLE_CHECK;
    node_table_job_start(t);
}

/* Takes room for what comes next. */
static int node_table_enter(struct node_table *t)
{
    const bool first = t->state == NODE_TABLE_ROOM;
    const int err = node_table_room(t, first ? t->size : compute_table_memory(t->table));
    if (err == 0) {
        t->state = first ? NODE_TABLE_MAKE : NODE_TABLE_INDEX;
        node_table_job_start(t);
    } else if (err == WIRE_MORE) {
        node_timer_set(t->o->n, &t->timer, node_now(t->o->n) + NODE_CALL_RETRY_US);
    }
    return err;
}

static void node_table_go(struct node_table *t)
{
    const int err = node_table_enter(t);
    if (err != 0 && err != WIRE_MORE) {
        node_table_fail(t, err);
    }
}

static void node_table_fire(struct node *n, struct node_timer *timer)
{
    (void)n;
    struct node_table *t = timer->ctx;
    if (t->state == NODE_TABLE_ROOM || t->state == NODE_TABLE_INDEX_ROOM) {
        node_table_go(t);
    } else if (!t->out) {
        node_table_job_start(t);
    }
}

static void node_table_job_done(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_table *t = (struct node_table *)(void *)task;
    t->out = false;
    t->o->run_slices++;
    if (t->state == NODE_TABLE_END) {
        node_table_free(t);
        return;
    }
    if (task->job.code != 0) {
        node_table_fail(t, task->job.code);
        return;
    }
    if (t->state == NODE_TABLE_MAKE) {
        t->state = NODE_TABLE_FETCH;
        t->next = t->small_bytes; /* all of a small one is there */
        node_table_pump(t);
    } else if (t->state == NODE_TABLE_CHECK && t->table != NULL &&
               compute_table_is_counted(t->table)) {
        t->state = NODE_TABLE_INDEX_ROOM;
        node_table_go(t);
    } else if (t->whole) {
        t->state = NODE_TABLE_READY;
        node_table_tell(t, 0);
    } else {
        node_table_job_start(t);
    }
}

/* ---- use ------------------------------------------------------------------------------------ */

/* One that is on its way may fail by what it was described with, which is then no fault of who
 * describes it otherwise. returns: whether both mean the same bytes from the same place. */
static bool node_table_comes_so(const struct node_table *t, const struct node_lookup *l)
{
    return node_version_equal(t->version, l->version) && t->cell_bytes == l->cell_bytes &&
           t->group == node_group_of(t->o->n, l->bucket) &&
           bytes_equal(bytes_of(t->small, t->small_bytes), l->data);
}

static struct node_table *node_table_find(const struct node_objects *o, const struct node_lookup *l,
                                          bool header)
{
    for (struct node_work *w = o->tables.next; w != &o->tables; w = w->next) {
        struct node_table *t = node_table_at(w);
        if (t->state != NODE_TABLE_END && t->failed == 0 && t->size == l->size &&
            t->header == header && memcmp(t->root, l->root, MERKLE_HASH_BYTES) == 0 &&
            (t->state == NODE_TABLE_READY || node_table_comes_so(t, l))) {
            return t;
        }
    }
    return NULL;
}

/* returns: 0 and one that is on its way. */
static int node_table_new(struct node_objects *o, const struct node_lookup *l, bool header,
                          struct node_table **out)
{
    struct node_table *unused = o->tables_count < NODE_TABLES_MAX ? NULL : node_table_unused(o);
    if (o->tables_count >= NODE_TABLES_MAX && unused == NULL) {
        return ERR_BUSY;
    }
    if (unused != NULL) {
        node_table_end(unused);
    }
    struct node_table *t = alloc_get_zeroed(&o->alloc, 1, sizeof *t + l->data.size);
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    t->task = (struct node_task){.run = node_table_job, .done = node_table_job_done};
    t->timer = (struct node_timer){.ctx = t, .fire = node_table_fire};
    t->o = o;
    t->group = node_group_of(o->n, l->bucket);
    t->version = l->version;
    t->size = l->size;
    t->cell_bytes = l->cell_bytes;
    t->header = header;
    t->seed = o->tables_seed;
    t->small_bytes = l->data.size;
    memcpy(t->root, l->root, MERKLE_HASH_BYTES);
    if (l->data.size > 0) {
        memcpy(t->small, l->data.data, l->data.size);
    }
    merkle_builder_init(&t->tree);
    node_work_init(&t->waits);
    node_work_add(&o->tables, &t->link);
    o->tables_count++;
    const int err = node_table_enter(t);
    if (err != 0 && err != WIRE_MORE) {
        node_table_free(t);
        return err;
    }
    o->counters.tables += l->data.size == 0;
    *out = t;
    return 0;
}

int node_table_take(struct node_objects *o, const struct node_lookup *l, bool header,
                    struct node_table_use *use)
{
    struct node_table *t = node_table_find(o, l, header);
    ASSERT(use->table == NULL);
    if (t == NULL) {
        TRY(node_table_new(o, l, header, &t));
    }
    t->refs++;
    use->table = t;
    use->waits = t->state != NODE_TABLE_READY;
    if (use->waits) {
        node_work_add(&t->waits, &use->link);
    }
    return 0;
}

void node_table_give(struct node_table_use *use)
{
    struct node_table *t = use->table;
    if (t == NULL) {
        return;
    }
    if (use->waits) {
        node_work_remove(&use->link);
        use->waits = false;
    }
    use->table = NULL;
    ASSERT(t->refs > 0);
    t->refs--;
    node_work_remove(&t->link); /* the most recently used one */
    node_work_add(&t->o->tables, &t->link);
}

const struct compute_table *node_table_of(const struct node_table_use *use)
{
    ASSERT(use->table != NULL && use->table->state == NODE_TABLE_READY);
    return use->table->table;
}

void node_tables_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->tables)) {
        struct node_table *t = node_table_at(o->tables.next);
        node_table_let_go(t);
        node_table_free(t);
    }
}
