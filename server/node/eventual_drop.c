/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: removals that every owner has seen are dropped from their records. Contexts keep
 * the dots, so what was removed does not come back.
 *
 * Entries are not touched, also not those of a set in which removing wins that say "removed":
 * owners drop at different times, and an addition made where such an entry is gone could not
 * replace it where it still is.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"

struct node_ev_dropping {
    const struct node_ev_store *store;
    struct crdt_context stable;
    uint32_t count; /* of records that lost something */
    struct buf name;
    struct buf value;
};

/* Makes d->value what stays of the record. old: its bytes up to the removals, then those. */
static int node_ev_drop_encode(struct node_ev_dropping *d, struct bytes old,
                               struct node_ev_cursor removals)
{
    size_t head = old.size - removals.r.left - 4; /* before the number of removals */
    struct crdt_dot dot;
    uint32_t count = 0;
    buf_clear(&d->value);
    TRY(buf_append(&d->value, old.data, head));
    TRY(buf_put_u32(&d->value, 0));
    while (node_ev_record_removal(&removals, &dot)) {
        if (!crdt_context_has(&d->stable, dot)) {
            TRY(node_ev_dot_put(&d->value, dot));
            count++;
        }
    }
    num_put_u32(d->value.data + head, count);
    return 0;
}

static int node_ev_drop_record(struct node_ev_dropping *d, uint8_t region, struct bytes key,
                               struct bytes record_key)
{
    const struct node_ev_store *store = d->store;
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct bytes old;
    buf_clear(&d->name);
    TRY(node_ev_record_name(region, key, record_key, &d->name));
    if (store->get(store->ctx, buf_view(&d->name), &old) != 0 ||
        node_ev_record_begin(old, &entries, &removals) != 0) {
        return 0;
    }
    uint32_t before = removals.left;
    bool live = entries.left > 0;
    TRY(node_ev_drop_encode(d, old, removals));
    if (before == 0 || d->value.size == old.size) {
        return 0;
    }
    d->count++;
    bool empty = !live && d->value.size == NODE_EV_RECORD_BYTES_MIN;
    return empty ? store->del(store->ctx, buf_view(&d->name))
                 : store->put(store->ctx, buf_view(&d->name), buf_view(&d->value));
}

static int node_ev_drop_all(struct node_ev_dropping *d, uint8_t region, struct bytes_reader *r)
{
    uint32_t count = bytes_take_u16(r);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes key = bytes_take(r, bytes_take_u16(r));
        struct bytes record_key = bytes_take(r, bytes_take_u16(r));
        TRY(node_ev_drop_record(d, region, key, record_key));
    }
    return 0;
}

int node_ev_drop(const struct node_ev_store *store, struct bytes body, struct buf *reply)
{
    struct crdt_limits limits = crdt_limits_default();
    struct node_ev_dropping d = {.store = store};
    struct node_ev_scope scope;
    struct bytes_reader r = bytes_reader_of(body);
    node_ev_scope_init(&scope, store->alloc);
    int err = node_ev_drop_scope(body, &scope);
    node_ev_scope_release(&scope);
    TRY(err);
    uint8_t region = bytes_take_u8(&r);
    struct bytes stable = bytes_take(&r, bytes_take_u32(&r));
    crdt_context_init(&d.stable, store->alloc);
    buf_init(&d.name, store->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&d.value, store->alloc, SIZE_MAX / 2);
    limits.context_ranges_max = NODE_EV_RANGES_MAX; /* as of a region */
    err = crdt_context_decode(&d.stable, stable, &limits);
    err = err == 0 ? node_ev_drop_all(&d, region, &r) : err;
    err = err == 0 ? buf_put_u32(reply, d.count) : err;
    crdt_context_release(&d.stable);
    buf_release(&d.name);
    buf_release(&d.value);
    return err;
}
