/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Removals go once every owner, old and new, is known to have seen them: never by time. A region
 * is walked when more of it has become stable and some removal was noted in it; the records found
 * are named to NODE_OP_EV_DROP, a bounded number a command.
 */
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_SWEEP_US 5000000u /* between two of one region */

struct node_ev_sweep {
    struct node *n;
    uint8_t region;
    bool left; /* removals that must stay were met */
    bool more;
    struct crdt_context stable;
    struct buf seen; /* the same, encoded */
    struct buf after;
};

static void node_ev_sweep_ask(struct node_ev_sweep *s);

/* ---- what may be gone ----------------------------------------------------------------------- */

/* What is kept and told here is a part of what regions have seen, as is a region's context. */
static struct crdt_limits node_ev_own_limits(void)
{
    struct crdt_limits limits = crdt_limits_default();
    limits.context_ranges_max = NODE_EV_RANGES_MAX;
    return limits;
}

static struct bytes node_ev_pruned_name(uint8_t region, uint8_t into[2])
{
    into[0] = NODE_KEY_EV_PRUNED;
    into[1] = region;
    return bytes_of(into, 2);
}

int node_ev_pruned_load(struct node *n, uint8_t region, struct bytes raw)
{
    const struct crdt_limits limits = node_ev_own_limits();
    struct crdt_context c;
    if (region >= NODE_EV_REGIONS) {
        return ERR_CORRUPT;
    }
    crdt_context_init(&c, &n->alloc);
    int err = crdt_context_decode(&c, raw, &limits);
    err = err != 0 ? err : crdt_context_join(&node_ev_of(n)->pruned[region], &c);
    crdt_context_release(&c);
    return err;
}

int node_ev_pruned_keys(struct bytes body, struct node_keys *out)
{
    uint8_t name[2];
    return body.size == 0 ? ERR_INVALID
                          : node_keys_add(out, node_ev_pruned_name(body.data[0], name));
}

/* body: of a DROP that was applied, so it is whole. */
int node_ev_pruned_apply(struct node_sm *sm, struct bytes body)
{
    const struct crdt_limits limits = node_ev_own_limits();
    struct bytes_reader r = bytes_reader_of(body);
    struct crdt_context all;
    struct crdt_context c;
    struct buf raw;
    struct bytes old = {0};
    uint8_t name[2];
    uint8_t region = bytes_take_u8(&r);
    struct bytes stable = bytes_take(&r, bytes_take_u32(&r));
    struct bytes at = node_ev_pruned_name(region, name);
    crdt_context_init(&all, &sm->n->alloc);
    crdt_context_init(&c, &sm->n->alloc);
    buf_init(&raw, &sm->n->alloc, STORE_KV_VALUE_BYTES_MAX);
    int err = node_sm_get(sm, at, &old);
    err = err == ERR_NOT_FOUND ? 0 : crdt_context_decode(&all, old, &limits);
    err = err != 0 ? err : crdt_context_decode(&c, stable, &limits);
    err = err != 0 ? err : crdt_context_join(&all, &c);
    err = err != 0 ? err : crdt_context_encode(&all, &raw);
    err = err != 0 ? err : node_sm_put(sm, at, buf_view(&raw));
    err = err != 0 ? err : node_ev_pruned_load(sm->n, region, buf_view(&raw));
    crdt_context_release(&all);
    crdt_context_release(&c);
    buf_release(&raw);
    return err;
}

/* ---- the walk ------------------------------------------------------------------------------- */

static void node_ev_sweep_end(struct node_ev_sweep *s, int code)
{
    struct node *n = s->n;
    struct node_eventual *ev = node_ev_of(n);
    ev->sweeping = false;
    ev->sweep_us[s->region] = node_now(n) + NODE_EV_SWEEP_US;
    if (s->left || code != 0) {
        ev->removals |= UINT64_C(1) << s->region;
    }
    if (code == 0) {
        (void)node_ev_context_set(&ev->swept[s->region], &s->stable);
    }
    crdt_context_release(&s->stable);
    buf_release(&s->seen);
    buf_release(&s->after);
    alloc_put(&n->alloc, s, sizeof *s);
    if (!n->closing && code == 0) {
        node_ev_sweep_run(n);
    }
}

static void node_ev_sweep_next(struct node_ev_sweep *s)
{
    if (s->more) {
        node_ev_sweep_ask(s);
    } else {
        node_ev_sweep_end(s, 0);
    }
}

static void node_ev_sweep_dropped(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_sweep *s = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    if (code != 0 || n->closing) {
        node_ev_sweep_end(s, code != 0 ? code : ERR_UNAVAILABLE);
        return;
    }
    node_ev_of(n)->counters.dropped += bytes_take_u32(&r);
    node_ev_sweep_next(s);
}

/* Body of EV_DROP: region u8, context (length u32), records u16, each: key u16, record key u16.
 * returns: how many records it names. */
static int node_ev_sweep_body(const struct node_ev_sweep *s, struct bytes_reader names,
                              struct buf *out, uint16_t *count)
{
    (void)buf_put_u8(out, s->region);
    (void)buf_put_bytes(out, buf_view(&s->seen));
    (void)buf_put_u16(out, 0);
    size_t at = out->size - sizeof(uint16_t);
    *count = 0;
    while (names.left > 0) {
        struct bytes key;
        struct bytes record_key;
        uint8_t region = 0;
        struct bytes name = bytes_take(&names, bytes_take_u16(&names));
        if (names.failed || node_ev_record_parts(name, &region, &key, &record_key) != 0) {
            return ERR_CORRUPT;
        }
        (void)buf_put_u16(out, (uint16_t)key.size);
        (void)buf_append(out, key.data, key.size);
        (void)buf_put_u16(out, (uint16_t)record_key.size);
        (void)buf_append(out, record_key.data, record_key.size);
        (*count)++;
    }
    TRY(out->err);
    num_put_u16(out->data + at, *count);
    return 0;
}

static int node_ev_sweep_drop(struct node_ev_sweep *s, struct bytes_reader names)
{
    struct node *n = s->n;
    struct buf body;
    uint16_t count = 0;
    buf_init(&body, &n->alloc, n->options.limits.proposal_bytes);
    int err = node_ev_sweep_body(s, names, &body, &count);
    /* noted before any goes: from here on who lacks one of them must be told all there is */
    err = err != 0 ? err : crdt_context_join(&node_ev_of(n)->pruned[s->region], &s->stable);
    if (err == 0) {
        const struct node_cmd cmd = {.op = NODE_OP_EV_DROP, .body = buf_view(&body)};
        node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, s,
                     node_ev_sweep_dropped);
    }
    buf_release(&body);
    return err;
}

static void node_ev_sweep_found(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_sweep *s = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    s->more = bytes_take_u8(&r) != 0;
    s->left = bytes_take_u8(&r) != 0 || s->left;
    struct bytes last = bytes_take(&r, bytes_take_u16(&r));
    code = n->closing ? ERR_UNAVAILABLE : code;
    if (code == 0 && r.failed) {
        code = ERR_CORRUPT;
    }
    buf_clear(&s->after);
    code = code != 0 ? code : buf_append(&s->after, last.data, last.size);
    if (code == 0 && r.left > 0) {
        code = node_ev_sweep_drop(s, r);
    } else if (code == 0) {
        node_ev_sweep_next(s);
        return;
    }
    if (code != 0) {
        node_ev_sweep_end(s, code);
    }
}

static void node_ev_sweep_ask(struct node_ev_sweep *s)
{
    struct node *n = s->n;
    struct buf body;
    const struct node_ev_page_ask ask = {.region = s->region,
                                         .mode = NODE_EV_ALL,
                                         .after = buf_view(&s->after),
                                         .seen = buf_view(&s->seen)};
    buf_init(&body, &n->alloc, NODE_EV_FRAGMENT_MAX);
    (void)node_ev_page_query_encode(&ask, bytes_of(NULL, 0), &body);
    node_query(n, NODE_GROUP_OWN, NODE_QUERY_EV_DROPS, buf_view(&body), true,
               node_now(n) + NODE_EV_CALL_US, s, node_ev_sweep_found);
    buf_release(&body);
}

/* stable: initialised; becomes what is stable of the region. returns: whether there is more to drop
 * than at the last sweep. */
static bool node_ev_sweep_more(const struct node *n, uint8_t region, struct crdt_context *stable)
{
    const struct node_eventual *ev = node_ev_of(n);
    if ((ev->removals >> region & 1u) == 0) {
        return false;
    }
    crdt_context_release(stable);
    crdt_context_init(stable, &n->alloc);
    return node_ev_stable(n, region, stable) == 0 && !crdt_context_leq(stable, &ev->swept[region]);
}

bool node_ev_sweep_owes(const struct node *n)
{
    struct crdt_context stable;
    bool owes = node_ev_of(n)->sweeping;
    crdt_context_init(&stable, &n->alloc);
    for (unsigned r = 0; r < NODE_EV_REGIONS && !owes; r++) {
        owes = node_ev_sweep_more(n, (uint8_t)r, &stable);
    }
    crdt_context_release(&stable);
    return owes;
}

/* s: its region is set. */
static bool node_ev_sweep_due(struct node_ev_sweep *s)
{
    const struct node_eventual *ev = node_ev_of(s->n);
    buf_clear(&s->seen);
    return node_now(s->n) >= ev->sweep_us[s->region] && (ev->pulling >> s->region & 1u) == 0 &&
           node_ev_sweep_more(s->n, s->region, &s->stable) &&
           crdt_context_encode(&s->stable, &s->seen) == 0;
}

void node_ev_sweep_run(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    if (ev->sweeping || ev->removals == 0 || !node_ev_ready(n)) {
        return;
    }
    struct node_ev_sweep *s = alloc_get_zeroed(&n->alloc, 1, sizeof *s);
    if (s == NULL) {
        return;
    }
    s->n = n;
    crdt_context_init(&s->stable, &n->alloc);
    buf_init(&s->seen, &n->alloc, NODE_EV_FRAGMENT_MAX);
    buf_init(&s->after, &n->alloc, NODE_NAME_BYTES_MAX);
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        s->region = (uint8_t)((ev->sweep_region + i) % NODE_EV_REGIONS);
        if (node_ev_sweep_due(s)) {
            ev->sweep_region = (uint8_t)((s->region + 1) % NODE_EV_REGIONS);
            ev->sweeping = true;
            ev->removals &= ~(UINT64_C(1) << s->region); /* what comes from here on sets it */
            node_ev_sweep_ask(s);
            return;
        }
    }
    crdt_context_release(&s->stable);
    buf_release(&s->seen);
    buf_release(&s->after);
    alloc_put(&n->alloc, s, sizeof *s);
}
