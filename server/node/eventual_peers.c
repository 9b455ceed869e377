/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The part as a whole: what it keeps of each peer, its beginning and end, its clock, and what it
 * tells people. The clock runs while something is left to do (eventual_rest.c).
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"

/* ---- facts ---------------------------------------------------------------------------------- */

struct node_ev_peer *node_ev_peer_of(const struct node *n, uint32_t id)
{
    struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        if (ev->peers[i].id == id) {
            return &ev->peers[i];
        }
    }
    return NULL;
}

bool node_ev_ready(const struct node *n)
{
    return node_leads(n, NODE_GROUP_OWN) && !n->failed && !n->closing;
}

const struct crdt_context *node_ev_seen(const struct node *n, uint8_t region)
{
    return &node_ev_region_get(n, region)->seen;
}

uint64_t node_ev_hash(const struct node *n, uint8_t region)
{
    return node_ev_region_hash(node_ev_region_get(n, region)).low;
}

void node_ev_list_get(const struct node *n, uint8_t region, struct node_ev_list *list)
{
    uint32_t placed[WIRE_IDENTITY_NODES_MAX];
    bool out[WIRE_IDENTITY_NODES_MAX];
    const struct node_eventual *ev = node_ev_of(n);
    if (ev->lists != NULL) {
        *list = ev->lists[region];
        return;
    }
    unsigned count =
        node_place(n, region % n->identity.placement_groups, placed, WIRE_IDENTITY_NODES_MAX);
    for (unsigned i = 0; i < count; i++) {
        out[i] = node_member_out(n, placed[i]);
    }
    node_ev_list_of(placed, out, count, list);
}

unsigned node_ev_owners(const struct node *n, uint8_t region, uint32_t *owners, bool *self)
{
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    memcpy(owners, list.nodes, list.owners * sizeof *owners);
    *self = node_ev_list_owns(&list, node_self(n));
    return list.owners;
}

int node_ev_context_put(struct buf *out, const struct crdt_context *c)
{
    size_t at = out->size;
    TRY(buf_put_u32(out, 0));
    TRY(crdt_context_encode(c, out));
    num_put_u32(out->data + at, (uint32_t)(out->size - at - sizeof(uint32_t)));
    return 0;
}

int node_ev_context_take(struct bytes_reader *r, struct crdt_context *c)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct bytes raw = bytes_take_bytes(r, NODE_EV_FRAGMENT_MAX);
    return r->failed ? ERR_PROTOCOL : crdt_context_decode(c, raw, &limits);
}

/* ---- the clock ------------------------------------------------------------------------------ */

void node_ev_run_soon(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    if (ev->run.at_us == 0) {
        node_timer_set(n, &ev->run, node_now(n));
    }
}

void node_ev_tick_soon(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    uint64_t wait = NODE_EV_TICK_US * 3 / 4 + rng_below(node_rng(n), NODE_EV_TICK_US / 2);
    if (ev->tick.at_us == 0) {
        node_timer_set(n, &ev->tick, node_now(n) + wait);
    }
}

static void node_ev_run_fire(struct node *n, struct node_timer *t)
{
    (void)t;
    if (!node_ev_ready(n)) {
        node_ev_tick_soon(n);
        return;
    }
    node_ev_inbox_run(n);
    node_ev_pull_run(n);
    node_ev_copies_run(n);
}

/* returns: whether some connection has not been compared over yet. */
static bool node_ev_tick_untold(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    bool untold = false;
    for (unsigned i = 0; i < ev->peers_count; i++) {
        struct node_ev_peer *p = &ev->peers[i];
        if (!node_peer_is_up(n, p->id)) {
            continue;
        }
        if (!p->told && !p->asked) {
            node_ev_clocks_ask(n, p);
        }
        untold |= !p->told;
        node_ev_push_run(n, p);
    }
    return untold;
}

/* One peer a period: over time each pair compares, and the cost does not grow with the cluster. */
static void node_ev_tick_compare(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    uint64_t open = node_ev_open_peers(n);
    unsigned first = (unsigned)rng_below(node_rng(n), ev->peers_count);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        unsigned at = (first + i) % ev->peers_count;
        struct node_ev_peer *p = &ev->peers[at];
        if ((open >> at & 1u) != 0 && p->told) {
            node_ev_clocks_ask(n, p);
            return;
        }
    }
}

static void node_ev_tick_fire(struct node *n, struct node_timer *t)
{
    struct node_eventual *ev = t->ctx;
    if (n->failed || n->closing || ev->peers_count == 0) {
        return;
    }
    bool again = true;
    if (node_ev_ready(n)) {
        again = node_ev_tick_untold(n);
        if (!node_ev_at_rest(n)) {
            node_ev_tick_compare(n);
            node_ev_sweep_run(n);
            node_ev_run_soon(n);
            again = true;
        }
    }
    if (again) {
        node_ev_tick_soon(n);
    }
}

/* ---- what is not known here ----------------------------------------------------------------- */

void node_ev_later(struct node *n, struct node_ev_peer *p, const char *what)
{
    if (!p->later) {
        log_line(node_log(n), LOG_WARN, "eventual_later_format", "node=%u peer=%u what=%s",
                 node_self(n), p->id, what);
    }
    p->later = true;
}

/* ---- what apply tells ----------------------------------------------------------------------- */

/* A removal is in some record: a sweep has something to find once everybody has it. */
static bool node_ev_note_removes(struct bytes fragment)
{
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes raw;
    bool removes = false;
    node_ev_fragment_walk(fragment, &c);
    while (!removes && node_ev_fragment_next(&c, &key, &record_key, &raw)) {
        removes = node_ev_record_removes(raw);
    }
    return removes;
}

void node_ev_note(struct node *n, uint8_t region, bool local, struct bytes fragment)
{
    struct node_eventual *ev = node_ev_of(n);
    ASSERT(region < NODE_EV_REGIONS);
    uint64_t bit = UINT64_C(1) << region;
    if ((ev->removals & bit) == 0 && node_ev_note_removes(fragment)) {
        ev->removals |= bit;
    }
    if (ev->peers_count == 0) {
        return;
    }
    if (local) {
        node_ev_ring_add(&ev->ring, region, fragment);
        for (unsigned i = 0; i < ev->peers_count; i++) {
            node_ev_push_soon(n, &ev->peers[i]);
        }
    }
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}

void node_ev_quarantined(struct node *n, uint8_t region)
{
    struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        ev->peers[i].pull_now |= UINT64_C(1) << region;
        ev->peers[i].told = false; /* what they know of this node's context is too much */
        node_ev_agree(n, &ev->peers[i], region, false);
    }
    ev->compared &= ~(UINT64_C(1) << region);
    node_ev_mend_begin(n, region);
    node_ev_run_soon(n);
    node_ev_tick_soon(n);
}

/* ---- begin and end -------------------------------------------------------------------------- */

static void node_ev_push_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_peer *p = t->ctx;
    p->resting = false;
    node_ev_push_run(n, p);
}

int node_ev_init(struct node *n)
{
    struct node_eventual *ev = alloc_get_zeroed(&n->alloc, 1, sizeof *ev);
    if (ev == NULL) {
        return ERR_NO_MEMORY;
    }
    n->eventual = ev;
    ev->n = n;
    ev->tick = (struct node_timer){.ctx = ev, .fire = node_ev_tick_fire};
    ev->run = (struct node_timer){.ctx = ev, .fire = node_ev_run_fire};
    ev->hold = (struct node_timer){.ctx = ev, .fire = node_ev_run_fire};
    ev->fold = (struct node_timer){.ctx = ev, .fire = node_ev_fold_fire};
    ev->retire.run = (struct node_timer){.ctx = &ev->retire, .fire = node_ev_retire_fire};
    buf_init(&ev->retire.rows, &n->alloc, 1u << 20);
    buf_init(&ev->retire.starts, &n->alloc, 1u << 16);
    node_link_init(&ev->writes);
    node_ev_ring_init(&ev->ring, NODE_EV_RING_ITEMS, NODE_EV_RING_BYTES, &n->alloc);
    buf_init(&ev->built.body, &n->alloc, n->options.limits.peer_body_bytes);
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_init(&ev->swept[r], &n->alloc);
        crdt_context_init(&ev->pruned[r], &n->alloc);
    }
    node_ev_mend_init(n);
    ev->peers =
        n->peers_count == 0 ? NULL : alloc_get_zeroed(&n->alloc, n->peers_count, sizeof *ev->peers);
    if (n->peers_count > 0 && ev->peers == NULL) {
        return ERR_NO_MEMORY;
    }
    ev->peers_count = n->peers_count;
    for (unsigned i = 0; i < n->peers_count; i++) {
        struct node_ev_peer *p = &ev->peers[i];
        p->n = n;
        p->id = n->peers[i].id;
        p->cursor = ev->ring.next;
        p->unsure = true;
        p->push = (struct node_timer){.ctx = p, .fire = node_ev_push_fire};
        buf_init(&p->in.body, &n->alloc, n->options.limits.peer_body_bytes);
        for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
            crdt_context_init(&p->known[r], &n->alloc);
            crdt_context_init(&p->lacked[r], &n->alloc);
        }
    }
    return node_ev_recount_init(n);
}

static void node_ev_peer_release(struct node_ev_peer *p)
{
    node_ev_inbox_clear(p);
    buf_release(&p->in.body);
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_release(&p->known[r]);
        crdt_context_release(&p->lacked[r]);
    }
}

void node_ev_release(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    if (ev == NULL) {
        return;
    }
    node_ev_pulls_release(n);
    node_ev_descent_release(n);
    node_ev_recount_release(n);
    node_ev_copies_release(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        node_ev_peer_release(&ev->peers[i]);
    }
    alloc_put(&n->alloc, ev->peers, ev->peers_count * sizeof *ev->peers);
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_release(&ev->swept[r]);
        crdt_context_release(&ev->pruned[r]);
    }
    node_ev_mend_release(n);
    node_ev_ring_release(&ev->ring);
    buf_release(&ev->retire.rows);
    buf_release(&ev->retire.starts);
    buf_release(&ev->built.body);
    alloc_put(&n->alloc, ev, sizeof *ev);
    n->eventual = NULL;
}

void node_ev_start(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    ev->started = true;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if (node_ev_seen(n, (uint8_t)r)->count > 0) {
            ev->removals |= UINT64_C(1) << r;
        }
    }
    (void)node_ev_hold_known(n);
    node_ev_tick_soon(n);
    node_ev_run_soon(n);
    node_ev_recount_start(n);
    node_ev_fold_soon(n, NODE_EV_FOLD_US);
    node_ev_retire_soon(n, NODE_EV_RETIRE_US);
}

void node_ev_owners_changed(struct node *n)
{
    if (n->eventual != NULL) { /* else it begins later, with what is decided by then */
        node_ev_tick_soon(n);
    }
}

void node_ev_peer(struct node *n, uint32_t peer, bool up)
{
    struct node_ev_peer *p = node_ev_peer_of(n, peer);
    if (p == NULL) {
        return;
    }
    p->told = false;
    node_ev_mend_peer(n);
    if (!up) {
        node_ev_copies_run(n);
        return;
    }
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_release(&p->known[r]);
        crdt_context_init(&p->known[r], &n->alloc);
        p->lack_us[r] = 0;
        p->odd_hash[r] = 0;
    }
    p->pull_now = 0;
    p->put_off = 0;
    p->later = false;
    p->agreed = 0;
    if (node_ev_ready(n)) {
        node_ev_clocks_ask(n, p);
    }
    node_ev_retire_soon(n, NODE_EV_RETIRE_US);
    if (!p->pushing) {
        node_timer_set(n, &p->push, node_now(n));
    }
    node_ev_tick_soon(n);
}

/* ---- for checkers --------------------------------------------------------------------------- */

_Static_assert(NODE_EVENTUAL_REGIONS == NODE_EV_REGIONS, "one number of regions");

int node_eventual_view(const struct node *n, uint8_t region, struct hash_digest *hash,
                       struct buf *context)
{
    *hash = node_ev_region_hash(node_ev_region_get(n, region));
    return crdt_context_encode(node_ev_seen(n, region), context);
}

void node_eventual_owner(const struct node *n, uint8_t region, bool *owns, bool *serves)
{
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    *owns = node_ev_list_owns(&list, node_self(n));
    *serves = node_ev_serves(n, region);
}

/* ---- for people ----------------------------------------------------------------------------- */

static unsigned node_ev_behind(const struct node_ev_peer *p)
{
    unsigned behind = 0;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        behind += p->lack_us[r] != 0;
    }
    return behind;
}

static void node_ev_status_peer(struct node *n, const struct node_ev_peer *p, struct buf *out)
{
    const struct node_ev_ring *ring = &node_ev_of(n)->ring;
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, "node");
    (void)wire_pack_u64(out, p->id);
    (void)wire_pack_text(out, "waiting");
    (void)wire_pack_u64(out, ring->next - NUM_MAX(NUM_MIN(p->cursor, ring->next), ring->first));
    (void)wire_pack_text(out, "regions_behind");
    (void)wire_pack_u64(out, node_ev_behind(p));
    (void)wire_pack_text(out, "compared");
    (void)wire_pack_bool(out, p->told);
}

/* One number over the hashes of all regions: equal on nodes that hold the same of each.
 * *regions: those that something was ever written to. */
static uint64_t node_ev_hash_all(const struct node *n, uint64_t *regions)
{
    uint64_t hash = 0;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        bool written = node_ev_seen(n, (uint8_t)r)->count > 0;
        *regions += written;
        hash = (hash ^ (written ? node_ev_hash(n, (uint8_t)r) : 0)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

int node_ev_status(struct node *n, struct buf *out)
{
    const struct node_eventual *ev = node_ev_of(n);
    const struct node_ev_counters *c = &ev->counters;
    struct crdt_actor actor = {0};
    bool has = node_ev_actor(n, &actor);
    uint64_t regions = 0;
    uint64_t hash = node_ev_hash_all(n, &regions);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"epoch", has ? actor.epoch : 0},
                {"regions", regions},
                {"hash", hash},
                {"fragments", ev->ring.next - ev->ring.first},
                {"pushes", c->pushes},
                {"pushed_bytes", c->pushed_bytes},
                {"joined", c->joined},
                {"behind", c->behind},
                {"pages", c->pages},
                {"page_bytes", c->page_bytes},
                {"restored", c->restored_records},
                {"dropped", c->dropped},
                {"regions_held", (uint64_t)__builtin_popcountll(ev->held.regions)},
                {"dots_set_aside", c->set_aside},
                {"dots_twice", n->counters.ev_conflicts}};
    const uint32_t count = sizeof rows / sizeof rows[0];
    (void)wire_pack_map(out, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        (void)wire_pack_text(out, rows[i].name);
        (void)wire_pack_u64(out, rows[i].value);
    }
    (void)wire_pack_text(out, "peers");
    (void)wire_pack_array(out, ev->peers_count);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        node_ev_status_peer(n, &ev->peers[i], out);
    }
    return out->err;
}

const struct node_method node_ev_methods[] = {
    {NODE_CALL_EV_PUSH, node_ev_push_serve},
    {NODE_CALL_EV_CLOCKS, node_ev_clocks_serve},
    {NODE_CALL_EV_PAGE, node_ev_page_serve},
    {NODE_CALL_EV_WRITE, node_ev_write_serve},
    {NODE_CALL_EV_SUMS, node_ev_sums_serve},
    {NODE_CALL_EV_OVER, node_ev_over_serve},
    {0, NULL},
};
