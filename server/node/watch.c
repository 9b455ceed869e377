/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Watches: what apply changes in a space, told to clients in order. Each group keeps its newest
 * changes, bounded in bytes; a watch is a place in that history, so one that resumes from a
 * revision misses nothing or hears ERR_COMPACTED. What the host has not written yet bounds how far
 * a watch is ahead of its client: it waits, and ends when the history has moved on past it.
 *
 * A watch of the own group goes on at the same node or not at all, so its changes are kept only
 * while somebody watches, and for a while after.
 */
#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#include <stddef.h>

#define NODE_WATCH_FLIGHTS 16u
#define NODE_WATCH_BATCH_BYTES (256u << 10)
#define NODE_WATCH_RETRY_US 20000u
#define NODE_WATCH_LEFT_US 60000000u /* who was too slow comes back within this */

struct node_change {
    struct node_change *next, *prev;
    uint64_t revision;
    uint32_t name_bytes;
    uint32_t value_bytes;
    bool present;
    uint8_t data[]; /* name, value */
};

struct node_history {
    struct node_change *first, *last;
    uint64_t bytes;
    uint64_t floor;   /* every change above this revision is here */
    uint64_t left_us; /* when a watch was last given up; 0: there was none yet */
    struct node_link watches;
    struct node_timer timer;
};

struct node_watch {
    struct node_link link; /* of its connection; first, so that it can be found from there */
    struct node_link peer; /* of its group */
    uint64_t id;
    uint64_t conn;
    struct node_group *g;
    uint64_t sent; /* changes up to this revision have been told */
    uint32_t skip; /* bytes of a name before the key */
    bool eventual; /* of replicated data types: names alone */
    struct buf prefix;
    struct node_blob *flights[NODE_WATCH_FLIGHTS]; /* with the host */
    unsigned flights_count;
};

struct node_watches {
    uint64_t next;
    unsigned count;
};

static size_t node_change_bytes(const struct node_change *c)
{
    return sizeof *c + c->name_bytes + c->value_bytes;
}

static void node_watch_fire(struct node *n, struct node_timer *t)
{
    node_watch_turn(n, t->ctx);
}

int node_watch_init(struct node *n)
{
    n->watches = alloc_get_zeroed(&n->alloc, 1, sizeof *n->watches);
    if (n->watches == NULL) {
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < n->groups_count; i++) {
        struct node_history *h = alloc_get_zeroed(&n->alloc, 1, sizeof *h);
        if (h == NULL) {
            return ERR_NO_MEMORY;
        }
        node_link_init(&h->watches);
        h->timer.ctx = &n->groups[i];
        h->timer.fire = node_watch_fire;
        n->groups[i].history = h;
    }
    return 0;
}

static void node_history_drop_first(struct node *n, struct node_history *h)
{
    struct node_change *c = h->first;
    h->floor = c->revision;
    h->bytes -= node_change_bytes(c);
    h->first = c->next;
    if (h->first == NULL) {
        h->last = NULL;
    } else {
        h->first->prev = NULL;
    }
    alloc_put(&n->alloc, c, node_change_bytes(c));
}

static void node_history_forget(struct node *n, struct node_history *h, uint64_t revision)
{
    while (h->first != NULL) {
        node_history_drop_first(n, h);
    }
    h->floor = NUM_MAX(h->floor, revision);
}

void node_watch_release(struct node *n)
{
    for (unsigned i = 0; n->groups != NULL && i < n->groups_count; i++) {
        struct node_history *h = n->groups[i].history;
        while (h != NULL && h->first != NULL) {
            node_history_drop_first(n, h);
        }
        n->groups[i].history = NULL;
        alloc_put(&n->alloc, h, sizeof *h);
    }
    alloc_put(&n->alloc, n->watches, sizeof *n->watches);
    n->watches = NULL;
}

/* A change that finds no memory ends the history before it: watches hear of it. */
static void node_history_add(struct node *n, struct node_group *g, struct bytes name, bool present,
                             struct bytes data, uint64_t revision)
{
    struct node_history *h = g->history;
    size_t size = sizeof(struct node_change) + name.size + data.size;
    struct node_change *c = alloc_get(&n->alloc, size);
    if (c == NULL) {
        node_watch_reset(n, g);
        h->floor = revision;
        return;
    }
    *c = (struct node_change){.prev = h->last,
                              .revision = revision,
                              .name_bytes = (uint32_t)name.size,
                              .value_bytes = (uint32_t)data.size,
                              .present = present};
    memcpy(c->data, name.data, name.size);
    if (data.size > 0) {
        memcpy(c->data + name.size, data.data, data.size);
    }
    if (h->last == NULL) {
        h->first = c;
    } else {
        h->last->next = c;
    }
    h->last = c;
    h->bytes += size;
    while (h->bytes > n->options.limits.watch_bytes && h->first != h->last) {
        node_history_drop_first(n, h);
    }
}

void node_watch_note(struct node *n, struct node_group *g, struct bytes name, bool present,
                     struct bytes value, uint64_t revision)
{
    struct node_kv_value v = {0};
    if (present && node_kv_decode(value, &v) != 0) {
        return;
    }
    node_history_add(n, g, name, present, v.data, revision);
}

/* returns: whether a watch may ask for changes of the own group. */
static bool node_history_wanted(const struct node *n, const struct node_history *h)
{
    return !node_link_empty(&h->watches) ||
           (h->left_us != 0 && n->now - h->left_us < NODE_WATCH_LEFT_US);
}

/* Names as watches know them: the kind, then the key without its region. */
void node_watch_note_record(struct node *n, struct node_group *g, struct bytes name,
                            uint64_t revision)
{
    if (!node_history_wanted(n, g->history)) {
        node_history_forget(n, g->history, revision);
        return;
    }
    uint8_t raw[NODE_NAME_BYTES_MAX];
    const struct node_change *last = g->history->last;
    struct bytes_reader r = bytes_reader_of(name);
    (void)bytes_take(&r, 2); /* kind, region */
    size_t size = (size_t)bytes_take_u8(&r) << 8;
    size |= bytes_take_u8(&r);
    struct bytes key = bytes_take(&r, size);
    if (r.failed || key.size == 0 || key.size >= sizeof raw) {
        return;
    }
    raw[0] = NODE_KEY_EV_RECORD;
    memcpy(raw + 1, key.data, key.size);
    struct bytes told = bytes_of(raw, 1 + key.size);
    /* one that changes many records of a key is told once */
    if (last == NULL || last->revision != revision ||
        !bytes_equal(bytes_of(last->data, last->name_bytes), told)) {
        node_history_add(n, g, told, true, bytes_of(NULL, 0), revision);
    }
}

void node_watch_reset(struct node *n, struct node_group *g)
{
    node_history_forget(n, g->history, g->now.index);
    node_watch_turn(n, g);
}

/* ---- telling -------------------------------------------------------------------------------- */

static void node_watch_push(struct node *n, struct node_watch *w, struct buf *head,
                            struct node_blob *body)
{
    struct node_fx fx = {.kind = NODE_FX_REPLY, .conn = w->conn, .head = *head, .body = body};
    if (head->err != 0 || n->failed || n->closing || !node_fx_push(n, &fx)) {
        buf_release(head);
        node_blob_release(n, body);
    }
}

static void node_watch_free(struct node *n, struct node_watch *w)
{
    for (unsigned i = 0; i < w->flights_count; i++) {
        node_blob_release(n, w->flights[i]);
    }
    node_link_remove(&w->link);
    node_link_remove(&w->peer);
    w->g->history->left_us = n->now;
    n->watches->count--;
    buf_release(&w->prefix);
    alloc_put(&n->alloc, w, sizeof *w);
}

static void node_watch_end(struct node *n, struct node_watch *w)
{
    struct node_conn *c = node_conn_find(n, w->conn);
    struct buf out;
    buf_init(&out, &n->alloc, 4096);
    (void)wire_pack_notification(&out, w->eventual ? WIRE_EVENT_CRDT : WIRE_EVENT_KV, 3);
    (void)wire_pack_u64(&out, w->id);
    (void)wire_pack_u64(&out, 0);
    (void)wire_pack_array(&out, 0);
    node_watch_push(n, w, &out, NULL);
    if (c != NULL) {
        c->watches_count--;
    }
    node_watch_free(n, w);
}

/* returns: whether another notification may go out. */
static bool node_watch_reap(struct node *n, struct node_watch *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->flights_count; i++) {
        if (node_blob_alone(w->flights[i])) {
            node_blob_release(n, w->flights[i]);
        } else {
            w->flights[kept++] = w->flights[i];
        }
    }
    w->flights_count = kept;
    return kept < NODE_WATCH_FLIGHTS;
}

static bool node_watch_matches(const struct node_watch *w, const struct node_change *c)
{
    return bytes_has_prefix(bytes_of(c->data, c->name_bytes), buf_view(&w->prefix));
}

static void node_watch_pack(struct buf *out, const struct node_watch *w,
                            const struct node_change *c)
{
    (void)wire_pack_array(out, 3);
    (void)wire_pack_u64(out, c->present ? WIRE_CHANGE_PUT : WIRE_CHANGE_DELETE);
    (void)wire_pack_bin(out, bytes_of(c->data + w->skip, c->name_bytes - w->skip));
    if (c->present && !w->eventual) {
        (void)wire_pack_bin(out, bytes_of(c->data + c->name_bytes, c->value_bytes));
    } else {
        (void)wire_pack_nil(out);
    }
}

/* One notification: changes from `from` on, whole revisions. returns: the change after them. */
static const struct node_change *node_watch_tell(struct node *n, struct node_watch *w,
                                                 const struct node_change *from)
{
    struct buf *items = &n->scratch;
    const struct node_change *c = from;
    uint32_t count = 0;
    buf_clear(items);
    while (c != NULL && (items->size < NODE_WATCH_BATCH_BYTES || c->revision == w->sent)) {
        if (node_watch_matches(w, c)) {
            node_watch_pack(items, w, c);
            count++;
        }
        w->sent = c->revision;
        c = c->next;
    }
    if (count == 0) {
        return c;
    }
    struct buf head;
    struct node_blob *body = items->err == 0 ? node_blob_new(n, items->size) : NULL;
    buf_init(&head, &n->alloc, 4096);
    (void)wire_pack_notification(&head, w->eventual ? WIRE_EVENT_CRDT : WIRE_EVENT_KV, 3);
    (void)wire_pack_u64(&head, w->id);
    (void)wire_pack_u64(&head, w->sent);
    (void)wire_pack_array(&head, count);
    if (body == NULL) {
        buf_release(&head);
        w->sent = 0; /* below every floor: it ends */
        return NULL;
    }
    memcpy(node_blob_data(body), items->data, items->size);
    node_blob_retain(body);
    w->flights[w->flights_count++] = body;
    node_watch_push(n, w, &head, body);
    return c;
}

/* returns: false if the watch cannot go on. */
static bool node_watch_advance(struct node *n, struct node_watch *w)
{
    struct node_history *h = w->g->history;
    const struct node_change *c = h->last;
    if (w->sent < h->floor) {
        return false;
    }
    if (c == NULL || c->revision <= w->sent) {
        return true;
    }
    while (c->prev != NULL && c->prev->revision > w->sent) {
        c = c->prev;
    }
    while (c != NULL && node_watch_reap(n, w)) {
        c = node_watch_tell(n, w, c);
    }
    if (c != NULL && h->timer.at_us == 0) {
        node_timer_set(n, &h->timer, n->now + NODE_WATCH_RETRY_US);
    }
    return w->sent >= h->floor;
}

void node_watch_turn(struct node *n, struct node_group *g)
{
    struct node_history *h = g->history;
    struct node_link *at = h->watches.next;
    while (at != &h->watches) {
        struct node_watch *w =
            (struct node_watch *)(void *)((uint8_t *)at - offsetof(struct node_watch, peer));
        at = at->next;
        if (!node_watch_advance(n, w)) {
            node_watch_end(n, w);
        }
    }
}

void node_watch_conn_gone(struct node *n, struct node_conn *c)
{
    while (!node_link_empty(&c->watches)) {
        node_watch_free(n, (struct node_watch *)(void *)c->watches.next);
    }
    c->watches_count = 0;
}

/* ---- kv.watch, kv.unwatch ------------------------------------------------------------------- */

struct node_watch_request {
    struct bytes space;
    struct bytes prefix;
    uint64_t from;
};

static int node_watch_request_of(const struct wire_rpc *req, struct node_watch_request *out)
{
    TRY(wire_params_check(req, 3, 3));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &out->space));
    TRY(wire_name_check(out->space));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &out->prefix));
    return wire_param_u64(req, 2, &out->from);
}

/* returns: whether a watch of the own group asks for what follows an entry that its log has not
 * come to: what was told then is of a log that was lost. */
static bool node_watch_strange(const struct node *n, const struct node_group *g, uint64_t sent)
{
    struct raft_status s = {.last_index = 0};
    return node_group_own(g) && raft_status_get(n->raft, g->id, n->now, &s) == 0 &&
           sent > s.last_index;
}

static int node_watch_new(struct node *n, struct node_conn *c, struct node_group *g,
                          const struct node_watch_request *want, struct node_watch **out)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct bytes name;
    const struct limits *l = &n->options.limits;
    uint64_t sent = want->from == 0 ? g->now.index : want->from - 1;
    TRY(node_kv_name(want->space, want->prefix, raw, &name));
    raw[0] = g->id == NODE_GROUP_OWN ? NODE_KEY_EV_RECORD : NODE_KEY_KV;
    if (n->watches->count >= l->watches || c->watches_count >= l->connection_watches) {
        return ERR_BUSY;
    }
    if (sent < g->history->floor || node_watch_strange(n, g, sent)) {
        return ERR_COMPACTED;
    }
    struct node_watch *w = alloc_get_zeroed(&n->alloc, 1, sizeof *w);
    if (w == NULL) {
        return ERR_NO_MEMORY;
    }
    buf_init(&w->prefix, &n->alloc, NODE_NAME_BYTES_MAX);
    if (buf_append(&w->prefix, name.data, name.size) != 0) {
        alloc_put(&n->alloc, w, sizeof *w);
        return ERR_NO_MEMORY;
    }
    w->id = ++n->watches->next;
    w->conn = c->id;
    w->g = g;
    w->sent = sent;
    w->skip = (uint32_t)(3 + want->space.size);
    w->eventual = g->id == NODE_GROUP_OWN;
    node_link_init(&w->link);
    node_link_init(&w->peer);
    node_link_append(&c->watches, &w->link);
    node_link_append(&g->history->watches, &w->peer);
    c->watches_count++;
    n->watches->count++;
    *out = w;
    return 0;
}

static void node_watch_begin(struct node *n, struct node_client client, const struct wire_rpc *req,
                             bool eventual)
{
    struct node_watch_request want;
    struct node_watch *w = NULL;
    struct node_conn *c = node_conn_find(n, client.conn);
    int err = node_watch_request_of(req, &want);
    uint32_t group = eventual ? NODE_GROUP_OWN : err == 0 ? node_group_of(n, want.space) : 0;
    struct node_group *g = node_group_find(n, group);
    if (err == 0) {
        err = g == NULL || g->fenced || g->broken ? ERR_NOT_LEADER
                                                  : node_watch_new(n, c, g, &want, &w);
    }
    if (err != 0) {
        node_reply_group_error(n, client, err, group);
        return;
    }
    struct buf *out = &n->scratch;
    buf_clear(out);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_WATCH);
    (void)wire_pack_u64(out, w->id);
    (void)wire_pack_text(out, WIRE_FIELD_REVISION);
    (void)wire_pack_u64(out, g->now.index);
    node_reply_ok(n, client, buf_view(out));
    node_timer_set(n, &g->history->timer, n->now); /* what it resumes from comes after the answer */
}

static void node_watch_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    node_watch_begin(n, client, req, false);
}

static void node_watch_crdt_serve(struct node *n, struct node_client client,
                                  const struct wire_rpc *req)
{
    node_watch_begin(n, client, req, true);
}

static void node_unwatch_serve(struct node *n, struct node_client client,
                               const struct wire_rpc *req)
{
    uint64_t id = 0;
    const uint8_t empty[1] = {0x80};
    struct node_conn *c = node_conn_find(n, client.conn);
    int err = wire_params_check(req, 1, 1);
    err = err != 0 ? err : wire_param_u64(req, 0, &id);
    struct node_link *at = c->watches.next;
    while (err == 0 && at != &c->watches && ((struct node_watch *)(void *)at)->id != id) {
        at = at->next;
    }
    if (err == 0 && at == &c->watches) {
        err = ERR_NOT_FOUND;
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    node_watch_free(n, (struct node_watch *)(void *)at);
    c->watches_count--;
    node_reply_ok(n, client, bytes_of(empty, 1));
}

const struct node_api node_watch_api[] = {
    {WIRE_METHOD_KV_WATCH, node_watch_serve},
    {WIRE_METHOD_KV_UNWATCH, node_unwatch_serve},
    {WIRE_METHOD_CRDT_WATCH, node_watch_crdt_serve},
    {NULL, NULL},
};
