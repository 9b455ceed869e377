/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the coordinators of objects share: grants, codes, extents known, commands and questions in
 * their own encoding, and the parts' beginning and end.
 */
#include "base/hash.h"
#include "server/node/objects_internal.h"

#define NODE_INFOS_MAX 128u
#define NODE_REPORTS_MAX 64u
#define NODE_COUNTER_MAX (UINT32_MAX - 1u)
#define NODE_GRANT_RETRY_US 100000u
#define NODE_PATIENCE_US 5000000u

/* ---- lists ---------------------------------------------------------------------------------- */

void node_work_init(struct node_work *list)
{
    list->next = list->prev = list;
}

void node_work_add(struct node_work *list, struct node_work *w)
{
    w->next = list;
    w->prev = list->prev;
    list->prev->next = w;
    list->prev = w;
}

void node_work_remove(struct node_work *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = w;
}

/* ---- grants --------------------------------------------------------------------------------- */

static void node_grant_ask(struct node_objects *o);

static void node_grant_fire(struct node *n, struct node_timer *t)
{
    (void)n;
    node_grant_ask(t->ctx);
}

static void node_grant_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_objects *o = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t grant = bytes_take_u64(&r);
    o->granting = false;
    if (code == 0 && !r.failed && grant > 0 && grant <= UINT32_MAX) {
        o->grant = grant;
        o->counter = 0;
        log_line(node_log(n), LOG_INFO, "grant", "node=%u grant=%llu", node_self(n),
                 (unsigned long long)grant);
        return;
    }
    if (node_now(n) != UINT64_MAX) {
        node_timer_set(n, &o->grant_timer, node_now(n) + NODE_GRANT_RETRY_US);
    }
}

/* A grant whose answer is lost is never used: the next one is another. */
static void node_grant_ask(struct node_objects *o)
{
    const struct node_cmd cmd = {.op = NODE_OP_GRANT};
    if (o->granting) {
        return;
    }
    o->granting = true;
    node_propose(o->n, 0, &cmd, node_objects_patience(o), o, node_grant_done);
}

int node_objects_version_new(struct node_objects *o, struct node_version *out)
{
    if (o->grant == 0 || o->counter >= NODE_COUNTER_MAX) {
        o->grant = 0;
        node_grant_ask(o);
        return ERR_STARTING;
    }
    o->counter++;
    *out = (struct node_version){.grant = o->grant, .counter = o->counter};
    return 0;
}

/* ---- commands and questions ----------------------------------------------------------------- */

int node_objects_propose_for(struct node_objects *o, uint32_t group, uint8_t op,
                             const struct node_object_cmd *c, const struct node_session_ref *s,
                             void *ctx, node_done_fn *done)
{
    struct buf body;
    buf_init(&body, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    int err = node_object_cmd_encode(op, c, &body);
    if (err == 0) {
        const struct node_cmd cmd = {.op = op,
                                     .session = s->session,
                                     .sequence = s->sequence,
                                     .acked = s->acked,
                                     .body = buf_view(&body)};
        node_propose(o->n, group, &cmd, s->deadline_us, ctx, done);
    }
    buf_release(&body);
    return err;
}

int node_objects_propose(struct node_objects *o, uint32_t group, uint8_t op,
                         const struct node_object_cmd *c, void *ctx, node_done_fn *done)
{
    const struct node_session_ref none = {.deadline_us = node_objects_patience(o)};
    return node_objects_propose_for(o, group, op, c, &none, ctx, done);
}

int node_objects_ask(struct node_objects *o, uint32_t group, uint8_t op,
                     const struct node_object_ask *a, uint64_t deadline_us, void *ctx,
                     node_done_fn *done)
{
    struct buf body;
    buf_init(&body, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    int err = node_object_ask_encode(op, a, &body);
    if (err == 0) {
        node_query(o->n, group, op, buf_view(&body), false, deadline_us, ctx, done);
    }
    buf_release(&body);
    return err;
}

uint64_t node_objects_patience(const struct node_objects *o)
{
    uint64_t at = UINT64_MAX;
    const struct node_options *options = node_options_get(o->n);
    (void)num_add_u64(node_now(o->n), NUM_MAX(options->put_deadline_us, NODE_PATIENCE_US), &at);
    return at;
}

bool node_objects_again(int code)
{
    enum err_outcome outcome = err_outcome_of(code);
    return outcome == ERR_OUTCOME_RETRY || outcome == ERR_OUTCOME_UNKNOWN;
}

unsigned node_objects_groups(const struct node_objects *o, uint32_t *groups, unsigned max)
{
    const struct wire_identity *id = node_identity(o->n);
    unsigned count = 0;
    for (unsigned i = 0; i < id->groups_count && count < max; i++) {
        if (id->groups[i].id != 0) {
            groups[count++] = id->groups[i].id;
        }
    }
    return count;
}

unsigned node_objects_members(const struct node_objects *o)
{
    const struct wire_identity *id = node_identity(o->n);
    unsigned count = 0;
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        count += !node_member_out(o->n, id->nodes[i].id);
    }
    return NUM_MAX(count, 1u);
}

unsigned node_objects_group_tolerance(const struct node_objects *o, uint32_t group)
{
    const struct wire_identity_group *g = wire_identity_group_of(node_identity(o->n), group);
    return g == NULL || g->voters_count == 0 ? 0 : (g->voters_count - 1) / 2;
}

unsigned node_objects_place(const struct node_objects *o, struct node_version v, uint32_t extent,
                            uint32_t *group, uint32_t *nodes)
{
    const struct wire_identity *id = node_identity(o->n);
    /* consecutive extents lie in different placement groups; the choice is stored with each */
    const struct erasure_extent_id eid = {.grant = v.grant, .counter = v.counter + extent};
    *group = erasure_pg_of(eid, NUM_MAX(id->placement_groups, 1u));
    return node_objects_place_of(o, *group, nodes);
}

unsigned node_objects_place_of(const struct node_objects *o, uint32_t group, uint32_t *nodes)
{
    const struct wire_identity *id = node_identity(o->n);
    unsigned count = node_place(o->n, group, nodes, NODE_OBJECTS_PEERS_MAX);
    if (count == 0) { /* not stored yet: the roster in its order */
        for (; count < id->nodes_count && count < NODE_OBJECTS_PEERS_MAX; count++) {
            nodes[count] = id->nodes[count].id;
        }
    }
    return count;
}

const struct erasure_code *node_objects_code(struct node_objects *o, struct erasure_scheme scheme)
{
    ASSERT(erasure_scheme_check(scheme) == 0);
    struct erasure_code **slot = &o->codes[scheme.k][scheme.m];
    if (*slot == NULL &&
        erasure_code_new_with(slot, &o->alloc, scheme, node_options_get(o->n)->kernel) != 0) {
        *slot = NULL;
    }
    return *slot;
}

void node_objects_coded(struct node_objects *o, const char *what, struct node_version version,
                        uint32_t cell, const struct erasure_check *check, int code)
{
    if (check->wrong == 0) {
        return;
    }
    o->counters.codings_wrong++;
    o->counters.codings_lost += code != 0;
    log_line(node_log(o->n), LOG_ERROR, "coding_wrong",
             "job=%s version=%llu stripe=%u shards=%x again=%s", what,
             (unsigned long long)node_version_wire(version), cell, check->wrong,
             code == 0 ? "right" : err_name(code));
}

/* ---- extents known -------------------------------------------------------------------------- */

struct node_extent_info *node_info_new(struct node_objects *o, uint32_t group,
                                       struct node_version v, uint32_t extent,
                                       const struct node_shape *shape, uint64_t size,
                                       const struct node_extent *e)
{
    struct erasure_layout layout;
    bool same = e->scheme.k == shape->scheme.k && e->scheme.m == shape->scheme.m;
    if (!same || node_shape_layout(shape, size, &layout) != 0 || extent >= layout.extents_count ||
        e->bytes != erasure_extent_bytes(&layout, extent) ||
        e->stripes != erasure_extent_stripes(&layout, extent)) {
        return NULL;
    }
    size_t bytes = sizeof(struct node_extent_info) + e->roots.size + e->fingers.size;
    struct node_extent_info *info = alloc_get(&o->alloc, bytes);
    if (info == NULL) {
        return NULL;
    }
    *info = (struct node_extent_info){.refs = 1,
                                      .o = o,
                                      .group = group,
                                      .extent = extent,
                                      .version = v,
                                      .shape = *shape,
                                      .layout = layout,
                                      .e = *e,
                                      .bytes = bytes};
    if (e->roots.size > 0) {
        memcpy(info->hashes, e->roots.data, e->roots.size);
    }
    if (e->fingers.size > 0) {
        memcpy(info->hashes + e->roots.size, e->fingers.data, e->fingers.size);
        info->code = node_objects_code(o, shape->scheme);
    }
    info->e.roots = bytes_of(info->hashes, e->roots.size);
    info->e.fingers = bytes_of(info->hashes + e->roots.size, e->fingers.size);
    return info;
}

int node_info_learn(struct node_objects *o, uint32_t group, struct node_version v, uint32_t extent,
                    struct bytes reply, struct node_extent_info **out)
{
    struct node_extents_answer a;
    struct bytes name;
    struct bytes value;
    struct node_extent e;
    struct node_version found;
    struct erasure_layout l;
    uint32_t number = 0;
    TRY(node_extents_answer_of(reply, &a));
    bool live = a.has_intent || (a.has_version && a.version.state == NODE_VERSION_LIVE);
    if (!live || !node_answer_row(&a.rows, &name, &value) ||
        !node_name_of_extent(name, &found, &number) || number != extent ||
        !node_version_equal(found, v)) {
        return ERR_DONE;
    }
    TRY(node_extent_decode(value, &e));
    const struct node_shape *shape = a.has_intent ? &a.intent.shape : &a.version.shape;
    TRY(node_shape_layout(shape, 1, &l));
    uint64_t size = (uint64_t)extent * l.extent_bytes + e.bytes; /* up to its end, at least */
    *out = node_info_new(o, group, v, extent, shape, size, &e);
    return *out == NULL ? ERR_NO_MEMORY : 0;
}

void node_info_retain(struct node_extent_info *info)
{
    info->refs++;
}

void node_info_release(struct node_extent_info *info)
{
    ASSERT(info->refs > 0);
    if (--info->refs == 0) {
        alloc_put(&info->o->alloc, info, info->bytes);
    }
}

void node_info_forget(struct node_extent_info *info)
{
    if (info->cached) {
        info->cached = false;
        node_work_remove(&info->link);
        info->o->infos_count--;
        node_info_release(info);
    }
}

/* The list's first has gone unused for longest. */
void node_info_cache(struct node_extent_info *info)
{
    struct node_objects *o = info->o;
    struct node_extent_info *old = node_info_find(o, info->version, info->extent);
    if (old != NULL) {
        node_info_forget(old);
    }
    while (o->infos_count >= NODE_INFOS_MAX) {
        node_info_forget((struct node_extent_info *)(void *)o->infos.next);
    }
    node_info_retain(info);
    info->cached = true;
    node_work_add(&o->infos, &info->link);
    o->infos_count++;
}

struct node_extent_info *node_info_find(struct node_objects *o, struct node_version v,
                                        uint32_t extent)
{
    for (struct node_work *w = o->infos.prev; w != &o->infos; w = w->prev) {
        struct node_extent_info *info = (struct node_extent_info *)(void *)w;
        if (node_version_equal(info->version, v) && info->extent == extent) {
            node_work_remove(w);
            node_work_add(&o->infos, w);
            return info;
        }
    }
    return NULL;
}

const uint8_t *node_info_root(const struct node_extent_info *info, uint32_t stripe, uint8_t shard)
{
    uint64_t cell = (uint64_t)stripe * info->shape.scheme.k + shard;
    if (shard >= info->shape.scheme.k || info->e.roots.size == 0 || cell >= info->e.cells) {
        return NULL;
    }
    return info->e.roots.data + cell * MERKLE_HASH_BYTES;
}

bool node_info_finger(const struct node_extent_info *info, uint32_t stripe, uint8_t shard,
                      struct erasure_finger *out)
{
    struct erasure_finger data[NODE_OBJECT_SHARDS_MAX] = {{{0}}};
    const uint64_t first = (uint64_t)stripe * info->shape.scheme.k;
    if (info->code == NULL || first >= info->e.cells) {
        return false;
    }
    const uint64_t there = NUM_MIN(info->e.cells - first, (uint64_t)info->shape.scheme.k);
    memcpy(data, info->e.fingers.data + first * ERASURE_FINGER_BYTES,
           (size_t)there * ERASURE_FINGER_BYTES);
    erasure_finger_follow(info->code, data, shard, out);
    return true;
}

bool node_info_same(const struct node_extent_info *info, uint32_t stripe, uint8_t shard,
                    const struct node_check_result *result)
{
    const uint8_t *root = node_info_root(info, stripe, shard);
    struct erasure_finger finger;
    if (root != NULL) {
        return result->has_root && memcmp(root, result->root, MERKLE_HASH_BYTES) == 0;
    }
    if (shard < info->shape.scheme.k || !node_info_finger(info, stripe, shard, &finger)) {
        return true; /* nothing is known */
    }
    return result->has_finger && memcmp(&finger, &result->finger, sizeof finger) == 0;
}

uint32_t node_info_cell_bytes(const struct node_extent_info *info, uint32_t stripe, uint8_t shard)
{
    const struct erasure_place place = {.extent = info->extent, .stripe = stripe, .shard = shard};
    return erasure_cell_bytes(&info->layout, &place);
}

uint32_t node_info_cell(const struct node_extent_info *info, uint32_t stripe)
{
    return (uint32_t)((uint64_t)info->extent * info->layout.extent_stripes + stripe);
}

/* ---- damage --------------------------------------------------------------------------------- */

void node_info_wrong(const struct node_extent_info *info, uint32_t stripe, uint8_t shard)
{
    info->o->counters.cells_wrong++;
    log_line(node_log(info->o->n), LOG_ERROR, "cell_wrong",
             "version=%llu extent=%u stripe=%u shard=%u kind=%s holder=%u",
             (unsigned long long)node_version_wire(info->version), info->extent, stripe, shard,
             shard < info->shape.scheme.k ? "data" : "parity", info->e.holder[shard]);
}

void node_info_doubted(const struct node_extent_info *info, uint32_t stripe)
{
    info->o->counters.fingers_wrong++;
    log_line(node_log(info->o->n), LOG_ERROR, "fingers_wrong", "version=%llu extent=%u stripe=%u",
             (unsigned long long)node_version_wire(info->version), info->extent, stripe);
}

struct node_report {
    struct node_objects *o;
    uint32_t home;
    uint8_t shard;
};

static void node_report_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_report *report = ctx;
    struct node_objects *o = report->o;
    o->reports_out--;
    if (code == 0) {
        node_repair_hint(o, report->home);
    }
    alloc_put(&o->alloc, report, sizeof *report);
}

void node_info_damaged(struct node_extent_info *info, uint8_t shard)
{
    struct node_objects *o = info->o;
    struct node_report *report = NULL;
    if (o->reports_out < NODE_REPORTS_MAX && info->e.revision != 0) {
        report = alloc_get(&o->alloc, sizeof *report);
    }
    if (report == NULL) {
        return; /* scrub finds it again */
    }
    *report = (struct node_report){.o = o, .home = info->e.home[shard], .shard = shard};
    struct node_object_cmd c = {.shard = shard, .revision = info->e.revision};
    node_extent_ref_of(info->version, info->extent, &info->e, &c.ref);
    o->reports_out++;
    o->counters.damage_reports++;
    log_line(node_log(o->n), LOG_WARN, "shard_damaged", "version=%llu extent=%u shard=%u holder=%u",
             (unsigned long long)node_version_wire(info->version), info->extent, shard,
             info->e.holder[shard]);
    if (node_objects_propose(o, info->group, NODE_OP_SHARD_DAMAGED, &c, report, node_report_done) !=
        0) {
        o->reports_out--;
        alloc_put(&o->alloc, report, sizeof *report);
    }
    node_info_forget(info);
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static int node_objects_parts(struct node_objects *o)
{
    TRY(node_repair_new(o));
    TRY(node_audit_new(o));
    TRY(node_rehome_new(o));
    TRY(node_surplus_new(o));
    TRY(node_digest_new(o));
    return node_scrub_new(o);
}

int node_objects_new(struct node_objects **out, struct node *n)
{
    const struct alloc *alloc = node_alloc(n);
    struct node_objects *o = alloc_get_zeroed(alloc, 1, sizeof *o);
    if (o == NULL) {
        return ERR_NO_MEMORY;
    }
    o->n = n;
    o->alloc = *alloc;
    node_work_init(&o->puts);
    node_work_init(&o->put_ends);
    node_work_init(&o->infos);
    node_work_init(&o->gets);
    node_work_init(&o->gets_waiting);
    node_work_init(&o->gathers);
    node_work_init(&o->rebuilds);
    node_work_init(&o->runs);
    node_work_init(&o->decoded);
    node_work_init(&o->run_tasks);
    node_work_init(&o->derive_cells);
    node_work_init(&o->parities);
    node_work_init(&o->tables);
    o->tables_max = WIRE_LOOKUPS_BYTES_MAX;
    o->tables_seed = hash_mix(node_options_get(n)->boot_nonce + 1);
    o->run_tickets = hash_mix(node_options_get(n)->boot_nonce) >> 1; /* never 0 */
    o->grant_timer.ctx = o;
    o->grant_timer.fire = node_grant_fire;
    int err = node_objects_parts(o);
    if (err != 0) {
        node_objects_free(o);
        return err;
    }
    *out = o;
    return 0;
}

void node_objects_start(struct node_objects *o)
{
    o->started = true;
    node_timer_set(o->n, &o->grant_timer, node_now(o->n));
    node_repair_start(o);
    node_audit_start(o);
    node_scrub_start(o);
    node_surplus_walk(o);
}

void node_objects_free(struct node_objects *o)
{
    node_timer_cancel(o->n, &o->grant_timer);
    node_gather_free_all(o);
    node_decoded_free_all(o);
    node_rebuild_free_all(o);
    node_parities_free_all(o);
    node_derive_cells_free_all(o);
    node_put_free_all(o);
    node_get_free_all(o);
    node_run_tasks_end(o);
    node_run_free_all(o);
    node_tables_free_all(o);
    node_repair_free(o);
    node_audit_free(o);
    node_rehome_free(o);
    node_surplus_free(o);
    node_digest_free(o);
    node_scrub_free(o);
    while (!node_work_empty(&o->infos)) {
        node_info_forget((struct node_extent_info *)(void *)o->infos.next);
    }
    for (unsigned k = 0; k <= ERASURE_SHARDS_MAX; k++) {
        for (unsigned m = 0; m < ERASURE_SHARDS_MAX; m++) {
            if (o->codes[k][m] != NULL) {
                erasure_code_free(o->codes[k][m]);
            }
        }
    }
    alloc_put(&o->alloc, o, sizeof *o);
}

void node_objects_peer_up(struct node_objects *o, uint32_t peer)
{
    (void)peer;
    node_repair_kick(o);
}

void node_objects_peer_down(struct node_objects *o, uint32_t peer)
{
    node_run_stop(o, peer, 0); /* calls to it have ended; whoever waited for them goes on */
}

void node_objects_member(struct node_objects *o, uint32_t node, bool out)
{
    node_rehome_decided(o, node, out);
    if (!out) {
        node_repair_kick(o);
    }
    if (!out && node == node_self(o->n)) {
        node_surplus_walk(o);
    }
}

void node_objects_conn_gone(struct node_objects *o, uint64_t conn)
{
    node_put_conn_gone(o, conn);
    node_run_conn_gone(o, conn);
}

void node_objects_led(struct node_objects *o, uint32_t group)
{
    node_audit_led(o, group);
    node_rehome_kick(o);
}

/* ---- status --------------------------------------------------------------------------------- */

int node_objects_status(struct node_objects *o, struct buf *out)
{
    const struct node_objects_counters *c = &o->counters;
    uint64_t repairing = 0;
    uint64_t waiting = 0;
    node_repair_status(o, &repairing, &waiting);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"uploads", o->puts_count},
        {"upload_bytes", o->put_bytes},
        {"puts", c->puts},
        {"puts_failed", c->puts_failed},
        {"gets", c->gets},
        {"gets_degraded", c->gets_degraded},
        {"hedges", c->hedges},
        {"runs", c->runs},
        {"runs_decoded", c->runs_decoded},
        {"run_tables", c->tables},
        {"repairing", repairing},
        {"repair_waiting", waiting},
        {"shards_repaired", c->shards_repaired},
        {"bytes_repaired", c->bytes_repaired},
        {"damage_reports", c->damage_reports},
        {"repair_starts", c->repair_starts},
        {"shards_moved", c->shards_moved},
        {"shards_waiting", node_rehome_waiting(o)},
        {"surplus_deleted", c->surplus_deleted},
        {"cells_scrubbed", c->cells_scrubbed},
        {"bytes_scrubbed", c->bytes_scrubbed},
        {"digests_checked", c->digests_checked},
        {"digests_wrong", c->digests_wrong},
        {"codings_wrong", c->codings_wrong},
        {"codings_lost", c->codings_lost},
        {"cells_wrong", c->cells_wrong},
        {"fingers_wrong", c->fingers_wrong},
        {"orphans_deleted", c->orphans_deleted},
        {"versions_freed", c->versions_freed},
        {"uploads_expired", c->uploads_expired},
    };
    const uint32_t count = (uint32_t)(sizeof rows / sizeof rows[0]);
    (void)wire_pack_map(out, count);
    for (uint32_t i = 0; i < count; i++) {
        (void)wire_pack_text(out, rows[i].name);
        (void)wire_pack_u64(out, rows[i].value);
    }
    return out->err;
}

int node_object_pack(struct node_objects *o, uint32_t group, const struct node_object *obj,
                     const struct node_object_state *state, struct buf *out)
{
    unsigned survives = node_objects_group_tolerance(o, group);
    if (obj->extents > 0) {
        survives = NUM_MIN(survives, state->survives);
    }
    bool small = obj->extents == 0;
    (void)wire_pack_map(out,
                        10u + (small && (obj->data.size > 0 || obj->size == 0)) + state->derived);
    if (state->derived) {
        (void)wire_pack_text(out, WIRE_FIELD_MOVED);
        (void)wire_pack_u64(out, state->moved);
    }
    (void)wire_pack_text(out, WIRE_FIELD_SIZE);
    (void)wire_pack_u64(out, obj->size);
    (void)wire_pack_text(out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(out, bytes_of(obj->root, sizeof obj->root));
    (void)wire_pack_text(out, WIRE_FIELD_K);
    (void)wire_pack_u64(out, obj->shape.scheme.k);
    (void)wire_pack_text(out, WIRE_FIELD_M);
    (void)wire_pack_u64(out, obj->shape.scheme.m);
    (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(out, obj->shape.cell_bytes);
    (void)wire_pack_text(out, WIRE_FIELD_EXTENTS);
    (void)wire_pack_u64(out, obj->extents);
    (void)wire_pack_text(out, WIRE_FIELD_VERSION);
    (void)wire_pack_u64(out, node_version_wire(obj->version));
    (void)wire_pack_text(out, WIRE_FIELD_CREATED_US);
    (void)wire_pack_u64(out, obj->created_us);
    (void)wire_pack_text(out, WIRE_FIELD_SHARDS_MISSING);
    (void)wire_pack_u64(out, state->missing);
    (void)wire_pack_text(out, WIRE_FIELD_SURVIVES);
    (void)wire_pack_u64(out, survives);
    if (small && (obj->data.size > 0 || obj->size == 0)) {
        (void)wire_pack_text(out, WIRE_FIELD_INLINE);
        (void)wire_pack_bin(out, obj->data);
    }
    return out->err;
}
