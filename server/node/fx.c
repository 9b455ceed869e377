/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What leaves a node: the queue of effects, and the small memory it is made of (lists, pools,
 * payloads). Nothing here decides anything.
 */
#include "server/node/node_internal.h"
#include "server/node/service_internal.h"

#define NODE_FX_START 256u
#define NODE_FX_MAX (1u << 20)
#define NODE_POOL_KEPT_MAX 4096u

int node_fx_init(struct node *n)
{
    n->fx.items = alloc_get_zeroed(&n->alloc, NODE_FX_START, sizeof(struct node_fx));
    if (n->fx.items == NULL) {
        return ERR_NO_MEMORY;
    }
    n->fx.mask = NODE_FX_START - 1;
    return 0;
}

static bool node_fx_grow(struct node *n)
{
    unsigned cap = n->fx.mask + 1;
    struct node_fx *items =
        cap < NODE_FX_MAX ? alloc_get(&n->alloc, (size_t)cap * 2 * sizeof(struct node_fx)) : NULL;
    if (items == NULL) {
        return false;
    }
    for (unsigned i = 0; i < n->fx.count; i++) {
        items[i] = n->fx.items[(n->fx.first + i) & n->fx.mask];
    }
    alloc_put(&n->alloc, n->fx.items, cap * sizeof(struct node_fx));
    n->fx.items = items;
    n->fx.mask = cap * 2 - 1;
    n->fx.first = 0;
    return true;
}

bool node_fx_push(struct node *n, const struct node_fx *fx)
{
    if (n->fx.count > n->fx.mask && !node_fx_grow(n)) {
        return false;
    }
    n->fx.items[(n->fx.first + n->fx.count) & n->fx.mask] = *fx;
    n->fx.count++;
    return true;
}

static void node_fx_drop(struct node *n, struct node_fx *fx)
{
    buf_release(&fx->head);
    if (fx->body != NULL) {
        node_blob_release(n, fx->body);
    }
}

/* What nobody has polled comes back as if the executor had returned it. */
void node_fx_return(struct node *n)
{
    for (unsigned i = 0; n->fx.items != NULL && i < n->fx.count; i++) {
        struct node_fx *fx = &n->fx.items[(n->fx.first + i) & n->fx.mask];
        if (fx->kind == NODE_FX_JOB) {
            node_job_drop(n, fx->job);
        } else if (fx->kind == NODE_FX_WAL) {
            node_wal_drop(n, fx->batch);
        }
    }
}

void node_fx_release(struct node *n)
{
    if (n->fx.items == NULL) {
        return;
    }
    for (unsigned i = 0; i < n->fx.count; i++) {
        struct node_fx *fx = &n->fx.items[(n->fx.first + i) & n->fx.mask];
        if (fx->kind == NODE_FX_SEND || fx->kind == NODE_FX_REPLY || fx->kind == NODE_FX_GOSSIP) {
            node_fx_drop(n, fx);
        }
    }
    alloc_put(&n->alloc, n->fx.items, (n->fx.mask + 1) * sizeof(struct node_fx));
    n->fx.items = NULL;
}

void node_send(struct node *n, uint32_t peer, enum node_frame kind, struct buf *head,
               struct node_blob *body)
{
    struct node_fx fx = {.kind = NODE_FX_SEND,
                         .peer = peer,
                         .frame_kind = (uint16_t)kind,
                         .head = *head,
                         .body = body};
    bool fits = head->err == 0 && head->size + (body == NULL ? 0 : node_blob_bytes(body).size) <=
                                      n->options.limits.peer_body_bytes;
    if (!fits || n->failed || !node_peer_is_up(n, peer) || !node_fx_push(n, &fx)) {
        n->counters.dropped_messages++;
        node_fx_drop(n, &fx);
    }
    *head = (struct buf){0};
}

void node_fail(struct node *n, int code, const char *what)
{
    if (n->failed) {
        return;
    }
    n->failed = true;
    log_line(n->options.log, LOG_ERROR, "node_stops", "node=%u reason=%s error=%s", n->self, what,
             err_name(code));
    (void)node_fx_push(n, &(struct node_fx){.kind = NODE_FX_STOP, .code = code});
}

/* ---- lists and pools ------------------------------------------------------------------------ */

void node_link_init(struct node_link *l)
{
    l->next = l;
    l->prev = l;
}

void node_link_append(struct node_link *list, struct node_link *item)
{
    DASSERT(node_link_empty(item));
    item->prev = list->prev;
    item->next = list;
    list->prev->next = item;
    list->prev = item;
}

void node_link_remove(struct node_link *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    node_link_init(item);
}

void *node_pool_take(struct node *n, struct node_pool *p)
{
    void *item = p->free;
    if (item == NULL) {
        return alloc_get_zeroed(&n->alloc, 1, p->bytes);
    }
    memcpy(&p->free, item, sizeof(void *));
    p->kept--;
    memset(item, 0, p->bytes);
    return item;
}

void node_pool_give(struct node *n, struct node_pool *p, void *item)
{
    if (p->kept >= NODE_POOL_KEPT_MAX || n->closing) {
        alloc_put(&n->alloc, item, p->bytes);
        return;
    }
    memcpy(item, &p->free, sizeof(void *));
    p->free = item;
    p->kept++;
}

/* ---- payloads and blobs --------------------------------------------------------------------- */

struct node_payload *node_payload_new(struct node *n, uint32_t bytes)
{
    struct node_payload *p = alloc_get(&n->alloc, sizeof *p + bytes);
    if (p != NULL) {
        p->refs = 1;
        p->bytes = bytes;
    }
    return p;
}

void node_payload_put(struct node *n, struct node_payload *p)
{
    if (p == NULL) {
        return;
    }
    ASSERT(p->refs > 0);
    p->refs--;
    if (p->refs == 0) {
        alloc_put(&n->alloc, p, sizeof *p + p->bytes);
    }
}

struct node_blob *node_blob_new(struct node *n, size_t bytes)
{
    const struct alloc blobs = node_blob_alloc(&n->alloc);
    uint8_t *memory = alloc_get(&blobs, bytes);
    return memory != NULL ? node_blob_of(memory) : NULL;
}
