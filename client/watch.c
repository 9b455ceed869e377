/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Watches. A watch lives on one connection; when that is lost, or the node ends the watch because
 * the client was too slow, it is begun again from the revision after the last one that was handed
 * out, so that nothing is missed and nothing comes twice.
 */
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf_watch {
    struct hf_watch *next;
    struct hf_watch *prev;
    struct hf_client *client;
    struct buf space;
    struct buf prefix;
    uint64_t next_revision; /* 0: from now */
    uint64_t timeout_ms;
    bool eventual;
    bool begun;    /* once before */
    uint32_t node; /* where it lives, or HF_NOWHERE while it is begun */
    uint64_t id;
    bool freed; /* by the caller, inside a callback */
    bool busy;  /* inside a callback */
    struct hf_call *call;
    void *ctx;
    hf_watch_fn *changed;
};

static void watch_unlink(struct hf_watch *w)
{
    if (w->prev != NULL) {
        w->prev->next = w->next;
    } else {
        w->client->watches = w->next;
    }
    if (w->next != NULL) {
        w->next->prev = w->prev;
    }
}

static void watch_release(struct hf_watch *w)
{
    watch_unlink(w);
    buf_release(&w->space);
    buf_release(&w->prefix);
    free(w);
}

/* returns: false if the caller freed it meanwhile. */
static bool watch_tell(struct hf_watch *w, const struct hf_event *event)
{
    w->busy = true;
    w->changed(w->ctx, event);
    w->busy = false;
    return !w->freed;
}

static void watch_end(struct hf_watch *w, int code, const char *text)
{
    struct hf_event event = {.code = code, .text = text};
    w->node = HF_NOWHERE;
    if (!watch_tell(w, &event)) {
        watch_release(w);
    }
}

static int watch_begin(struct hf_watch *w);

/* Revisions are those of one node: after a break nobody knows what was missed. */
static bool watch_tell_break(struct hf_watch *w)
{
    const struct hf_event event = {.text = ""};
    return watch_tell(w, &event);
}

static void watch_begun(void *ctx, const struct hf_reply *reply)
{
    struct hf_watch *w = ctx;
    w->call = NULL;
    if (reply->code != 0) {
        watch_end(w, reply->code, reply->text);
        return;
    }
    bool again = w->eventual && w->begun;
    w->begun = true;
    w->node = reply->node;
    w->id = hf_field(reply->result, WIRE_FIELD_WATCH);
    if (w->next_revision == 0) {
        w->next_revision = hf_field(reply->result, WIRE_FIELD_REVISION) + 1;
    }
    if (again && !watch_tell_break(w)) {
        watch_release(w);
    }
}

static int watch_begin(struct hf_watch *w)
{
    struct hf_call_spec spec = {
        .method = w->eventual ? WIRE_METHOD_CRDT_WATCH : WIRE_METHOD_KV_WATCH,
        .class = HF_READ,
        .params = 3,
        .route = w->eventual ? HF_BY_NODE : HF_BY_SLOT,
        .where = wire_slot_of(buf_view(&w->space)),
        .pin = HF_NOWHERE,
        .timeout_ms = w->timeout_ms,
    };
    w->node = HF_NOWHERE;
    TRY(hf_call_new(w->client, &spec, &w->call));
    (void)wire_pack_bin(&w->call->head, buf_view(&w->space));
    (void)wire_pack_bin(&w->call->head, buf_view(&w->prefix));
    (void)wire_pack_u64(&w->call->head, w->next_revision);
    int err = hf_call_start(w->call, w, watch_begun);
    if (err != 0) {
        w->call = NULL;
    }
    return err;
}

/* What both kinds of watches begin with. */
struct watch_want {
    struct bytes space;
    struct bytes prefix;
    uint64_t from_revision;
    uint64_t timeout_ms;
    bool eventual;
    void *ctx;
    hf_watch_fn *changed;
};

static int watch_new(struct hf_client *c, const struct watch_want *want, struct hf_watch **out)
{
    TRY(wire_name_check(want->space));
    if (want->prefix.size > WIRE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    struct hf_watch *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return ERR_NO_MEMORY;
    }
    w->client = c;
    w->ctx = want->ctx;
    w->changed = want->changed;
    w->eventual = want->eventual;
    w->next_revision = want->from_revision;
    w->timeout_ms = want->timeout_ms;
    buf_init(&w->space, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&w->prefix, &c->heap, WIRE_NAME_BYTES_MAX);
    (void)buf_append(&w->space, want->space.data, want->space.size);
    (void)buf_append(&w->prefix, want->prefix.data, want->prefix.size);
    w->next = c->watches;
    if (c->watches != NULL) {
        c->watches->prev = w;
    }
    c->watches = w;
    int err = w->space.err != 0 ? w->space.err : w->prefix.err;
    if (err == 0) {
        err = watch_begin(w);
    }
    if (err != 0) {
        watch_release(w);
        return err;
    }
    *out = w;
    return 0;
}

int hf_watch_new(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_watch_fn *changed,
                 struct hf_watch **out)
{
    const struct watch_want want = {.space = kv->space.size > 0 ? hf_in(kv->space)
                                                                : bytes_of_text(WIRE_SPACE_DEFAULT),
                                    .prefix = hf_in(kv->prefix),
                                    .from_revision = kv->from_revision,
                                    .timeout_ms = kv->timeout_ms,
                                    .ctx = ctx,
                                    .changed = changed};
    return watch_new(c, &want, out);
}

int hf_crdt_watch_new(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                      hf_watch_fn *changed, struct hf_watch **out)
{
    const struct watch_want want = {
        .space = crdt->space.size > 0 ? hf_in(crdt->space) : bytes_of_text(WIRE_SPACE_DEFAULT),
        .prefix = hf_in(crdt->prefix),
        .from_revision = crdt->from_revision,
        .timeout_ms = crdt->timeout_ms,
        .eventual = true,
        .ctx = ctx,
        .changed = changed};
    return watch_new(c, &want, out);
}

/* Tells the node; nobody waits for the answer. */
static void watch_say_end(struct hf_watch *w)
{
    struct hf_client *c = w->client;
    struct hf_conn *conn = w->node != HF_NOWHERE ? c->nodes[w->node].conn : NULL;
    struct buf message;
    if (conn == NULL || !conn->open) {
        return;
    }
    buf_init(&message, &c->heap, 256);
    (void)wire_pack_request(&message, c->next_msgid++, WIRE_METHOD_KV_UNWATCH, 1);
    (void)wire_pack_u64(&message, w->id);
    if (message.err == 0) {
        hf_conn_note(conn, buf_view(&message));
    }
    buf_release(&message);
}

void hf_watch_free(struct hf_watch *w)
{
    if (w == NULL || w->freed) {
        return;
    }
    w->freed = true;
    if (w->call != NULL) {
        hf_call_drop(w->call);
        w->call = NULL;
    }
    watch_say_end(w);
    w->node = HF_NOWHERE;
    if (!w->busy) {
        watch_release(w);
    }
}

/* ---- what arrives --------------------------------------------------------------------------- */

static void watch_again(struct hf_watch *w)
{
    if (w->eventual) {
        w->next_revision = 0; /* another node counts otherwise */
    }
    int err = watch_begin(w);
    if (err != 0) {
        watch_end(w, err, err_text(err));
    }
}

static void watch_changes(struct hf_watch *w, uint64_t revision, struct wire_node list)
{
    uint32_t count = wire_node_count(list);
    if (count == 0 && revision == 0) {
        watch_again(w);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct wire_node change = wire_node_at(list, i);
        struct bytes key = {.data = NULL, .size = 0};
        struct bytes value = {.data = NULL, .size = 0};
        uint64_t type = 0;
        (void)wire_node_u64(wire_node_at(change, 0), &type);
        (void)wire_node_bytes(wire_node_at(change, 1), HF_MESSAGE_BYTES_MAX, &key);
        (void)wire_node_bytes(wire_node_at(change, 2), HF_MESSAGE_BYTES_MAX, &value);
        struct hf_event event = {
            .text = "",
            .change = type == WIRE_CHANGE_DELETE ? HF_CHANGE_DELETE : HF_CHANGE_PUT,
            .revision = revision,
            .key = hf_out(key),
            .value = hf_out(value),
        };
        if (!watch_tell(w, &event)) {
            watch_release(w);
            return;
        }
    }
    w->next_revision = NUM_MAX(w->next_revision, revision + 1);
}

void hf_watch_message(struct hf_conn *conn, const struct wire_rpc *m)
{
    uint64_t id = 0;
    uint64_t revision = 0;
    if (!(wire_rpc_is(m, WIRE_EVENT_KV) || wire_rpc_is(m, WIRE_EVENT_CRDT)) ||
        wire_node_u64(wire_node_at(m->params, 0), &id) != 0 ||
        wire_node_u64(wire_node_at(m->params, 1), &revision) != 0) {
        return; /* of a later version */
    }
    struct hf_watch *w = conn->client->watches;
    while (w != NULL && (w->node != conn->node || w->id != id)) {
        w = w->next;
    }
    if (w != NULL && (revision == 0 || revision >= w->next_revision)) {
        watch_changes(w, revision, wire_node_at(m->params, 2));
    }
}

/* The connection to a node is gone. */
void hf_watches_lost(struct hf_client *c, uint32_t node)
{
    struct hf_watch *w = c->watches;
    while (w != NULL) {
        struct hf_watch *next = w->next;
        if (w->node == node) {
            watch_again(w);
        }
        w = next;
    }
}

void hf_watches_end(struct hf_client *c)
{
    while (c->watches != NULL) {
        struct hf_watch *w = c->watches;
        if (w->call != NULL) {
            hf_call_drop(w->call);
        }
        if (w->busy) {
            w->freed = true; /* released when its callback returns */
            watch_unlink(w);
            w->next = NULL;
            w->prev = NULL;
        } else {
            watch_release(w);
        }
    }
}
