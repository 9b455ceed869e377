/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of server/node/node.h, without a node.
 */
#include "tests/unit/host/fake_node.h"

#include "base/crc.h"
#include "server/node/node.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_NODES 8
#define FAKE_FX 65536
#define FAKE_KEPT 6

/* In a row, so that one comes with the end of another. */
static const size_t fake_kept_bytes[FAKE_KEPT] = {300000, 1, 200000, 70000, 500, 1000000};

struct node_wal_batch {
    uint64_t conn;
    struct node *node;
};

struct fake_job {
    struct node_job job; /* first */
    struct node *node;
};

struct node {
    uint32_t id;
    struct alloc heap;
    struct node_fx *fx;
    unsigned head;
    unsigned count;
    unsigned open_work; /* jobs and batches of the FAKE_WORK request in work */
    uint64_t work_conn;
    struct buf work_reply;
    struct node_blob *kept[FAKE_KEPT]; /* large frames, as they came */
    struct bytes kept_data[FAKE_KEPT];
    unsigned kept_count;
};

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_counts fake_counts[FAKE_NODES];
static int fake_codes[FAKE_NODES];

#define FAKE_COUNT(node, field)                   \
    do {                                          \
        (void)pthread_mutex_lock(&fake_lock);     \
        fake_counts[(node) % FAKE_NODES].field++; \
        (void)pthread_mutex_unlock(&fake_lock);   \
    } while (0)

void fake_counts_get(uint32_t node, struct fake_counts *out)
{
    (void)pthread_mutex_lock(&fake_lock);
    *out = fake_counts[node % FAKE_NODES];
    (void)pthread_mutex_unlock(&fake_lock);
}

void fake_counts_reset(void)
{
    (void)pthread_mutex_lock(&fake_lock);
    memset(fake_counts, 0, sizeof(fake_counts));
    memset(fake_codes, 0, sizeof(fake_codes));
    (void)pthread_mutex_unlock(&fake_lock);
}

void fake_peer_code(uint32_t peer, int code)
{
    (void)pthread_mutex_lock(&fake_lock);
    fake_codes[peer % FAKE_NODES] = code;
    (void)pthread_mutex_unlock(&fake_lock);
}

int node_peer_check(struct node *n, uint32_t peer, uint64_t incarnation, uint64_t boot,
                    uint64_t nonce)
{
    (void)n;
    ASSERT(incarnation == 1 && boot > 0 && nonce != 0);
    (void)pthread_mutex_lock(&fake_lock);
    int code = fake_codes[peer % FAKE_NODES];
    (void)pthread_mutex_unlock(&fake_lock);
    return code;
}

static struct node_fx *fake_fx(struct node *n, enum node_fx_kind kind)
{
    ASSERT(n->count < FAKE_FX);
    struct node_fx *fx = &n->fx[(n->head + n->count++) % FAKE_FX];
    memset(fx, 0, sizeof(*fx));
    fx->kind = kind;
    return fx;
}

static void fake_reply(struct node *n, uint64_t conn, struct bytes data)
{
    struct node_fx *fx = fake_fx(n, NODE_FX_REPLY);
    fx->conn = conn;
    buf_init(&fx->head, &n->heap, 1u << 24);
    ASSERT(buf_append(&fx->head, data.data, data.size) == 0);
}

static void fake_big(struct node *n, uint64_t conn)
{
    struct node_fx *fx = fake_fx(n, NODE_FX_REPLY);
    fx->conn = conn;
    const struct alloc blobs = node_blob_alloc(&n->heap);
    uint8_t *big = alloc_get(&blobs, FAKE_BIG_BYTES);
    ASSERT(big != NULL);
    memset(big, 'b', FAKE_BIG_BYTES);
    fx->body = node_blob_of(big);
}

static void fake_work(struct node *n, const struct node_event *ev)
{
    buf_clear(&n->work_reply);
    ASSERT(buf_append(&n->work_reply, ev->data.data, ev->data.size) == 0);
    n->work_conn = ev->conn;
    n->open_work = NODE_LANES * 3 + 1;
    for (unsigned i = 0; i < NODE_LANES * 3; i++) {
        struct fake_job *job = calloc(1, sizeof(*job));
        ASSERT(job != NULL);
        job->node = n;
        job->job.lane = (enum node_lane)(i % NODE_LANES);
        fake_fx(n, NODE_FX_JOB)->job = &job->job;
    }
    struct node_wal_batch *batch = calloc(1, sizeof(*batch));
    ASSERT(batch != NULL);
    batch->node = n;
    fake_fx(n, NODE_FX_WAL)->batch = batch;
}

static void fake_work_done(struct node *n)
{
    ASSERT(n->open_work > 0);
    if (--n->open_work == 0) {
        fake_reply(n, n->work_conn, buf_view(&n->work_reply));
    }
}

static void fake_rpc(struct node *n, const struct node_event *ev)
{
    uint8_t what = ev->data.size > 2 ? ev->data.data[2] : 0;
    FAKE_COUNT(n->id, requests);
    switch (what) {
    case FAKE_BIG: fake_big(n, ev->conn); break;
    case FAKE_WORK: fake_work(n, ev); break;
    case FAKE_STOP: fake_fx(n, NODE_FX_STOP)->code = ERR_IO; break;
    case FAKE_CLOSE:
        fake_reply(n, ev->conn, ev->data);
        fake_fx(n, NODE_FX_CLOSE)->conn = ev->conn;
        break;
    default: fake_reply(n, ev->conn, ev->data);
    }
}

static void fake_greet(struct node *n, uint32_t peer)
{
    struct node_fx *fx = fake_fx(n, NODE_FX_SEND);
    fx->peer = peer;
    fx->frame_kind = 7;
    buf_init(&fx->head, &n->heap, 1u << 20);
    ASSERT(buf_append(&fx->head, "hello", 5) == 0);
    for (unsigned i = 0; i < FAKE_KEPT; i++) {
        fx = fake_fx(n, NODE_FX_SEND);
        fx->peer = peer;
        fx->frame_kind = (uint16_t)(8 + i);
        buf_init(&fx->head, &n->heap, 1u << 20);
        const size_t tail = i % 3 == 0 ? fake_kept_bytes[i] / 4 * 3 : 0;
        uint8_t *at = buf_extend(&fx->head, fake_kept_bytes[i] - tail);
        ASSERT(at != NULL);
        memset(at, (int)(n->id * FAKE_KEPT + i), fake_kept_bytes[i] - tail);
        if (tail > 0) {
            const struct alloc blobs = node_blob_alloc(&n->heap);
            uint8_t *body = alloc_get(&blobs, tail);
            ASSERT(body != NULL);
            memset(body, (int)(n->id * FAKE_KEPT + i), tail);
            fx->body = node_blob_of(body);
            node_blob_crc_set(fx->body, crc_of(body, tail));
        }
    }
}

/* What was kept is as it came, though others came after it. */
static void fake_look(const struct node *n)
{
    for (unsigned i = 0; i < n->kept_count; i++) {
        const struct bytes data = n->kept_data[i];
        for (size_t k = 1; k < data.size; k++) {
            ASSERT(data.data[k] == data.data[0]);
        }
    }
}

static void fake_keep(struct node *n, const struct node_event *ev)
{
    const unsigned i = ev->frame_kind - 8u;
    ASSERT(i < FAKE_KEPT && ev->data.size == fake_kept_bytes[i]);
    ASSERT(ev->data.data[0] == (uint8_t)(ev->peer * FAKE_KEPT + i));
    if (n->kept_count == FAKE_KEPT) {
        fake_look(n);
        n->kept_count--;
        node_blob_release(n, n->kept[0]);
        memmove(n->kept, n->kept + 1, n->kept_count * sizeof(n->kept[0]));
        memmove(n->kept_data, n->kept_data + 1, n->kept_count * sizeof(n->kept_data[0]));
    }
    if (ev->frame != NULL) {
        node_blob_retain(ev->frame);
        n->kept_data[n->kept_count] = ev->data;
        n->kept[n->kept_count++] = ev->frame;
        FAKE_COUNT(n->id, kept);
    }
    if (i + 1 == FAKE_KEPT) {
        FAKE_COUNT(n->id, large);
    }
}

void node_step(struct node *n, const struct node_event *ev)
{
    switch (ev->kind) {
    case NODE_EV_RPC: fake_rpc(n, ev); break;
    case NODE_EV_CONN_OPEN: FAKE_COUNT(n->id, opened); break;
    case NODE_EV_CONN_GONE: FAKE_COUNT(n->id, gone); break;
    case NODE_EV_PEER_UP:
        FAKE_COUNT(n->id, peers_up);
        fake_greet(n, ev->peer);
        break;
    case NODE_EV_REFUSED: fake_fx(n, NODE_FX_STOP)->code = ERR_FENCED; break;
    case NODE_EV_GOSSIP: break;
    case NODE_EV_LEAVE: (void)fake_fx(n, NODE_FX_LEFT); break;
    case NODE_EV_PEER_DOWN: FAKE_COUNT(n->id, peers_down); break;
    case NODE_EV_PEER:
        if (ev->frame_kind != 7) {
            fake_keep(n, ev);
            break;
        }
        ASSERT(bytes_equal(ev->data, bytes_of_text("hello")));
        FAKE_COUNT(n->id, frames);
        break;
    case NODE_EV_JOB:
        ASSERT(ev->job->code == 0);
        free(ev->job);
        fake_work_done(n);
        break;
    case NODE_EV_WAL:
        ASSERT(ev->code == 0);
        free(ev->batch);
        fake_work_done(n);
        break;
    default: break;
    }
}

unsigned node_poll(struct node *n, struct node_fx *out, unsigned max)
{
    unsigned moved = 0;
    while (moved < max && n->count > 0) {
        out[moved++] = n->fx[n->head];
        n->head = (n->head + 1) % FAKE_FX;
        n->count--;
    }
    return moved;
}

uint64_t node_deadline(const struct node *n)
{
    (void)n;
    return UINT64_MAX;
}

void node_job_run(struct node_job *job, struct node_env *env)
{
    struct fake_job *fake = (struct fake_job *)job;
    ASSERT(env->wal != NULL && env->compute != NULL);
    FAKE_COUNT(fake->node->id, jobs);
}

int node_jobs_sync(struct node_env *env)
{
    (void)env;
    FAKE_COUNT(0, syncs);
    return 0;
}

int node_wal_run(struct node_wal_batch *batch, struct node_env *env)
{
    (void)env;
    FAKE_COUNT(batch->node->id, batches);
    return 0;
}

int node_new(struct node **out, const struct node_options *options, struct node_env *env,
             const struct alloc *alloc, uint64_t now_us, struct err_info *why)
{
    struct node *n = calloc(1, sizeof(*n));
    (void)why;
    (void)now_us;
    ASSERT(n != NULL && env->kv != NULL);
    n->id = options->identity->node;
    n->heap = *alloc;
    n->fx = calloc(FAKE_FX, sizeof(*n->fx));
    ASSERT(n->fx != NULL);
    buf_init(&n->work_reply, alloc, 1u << 20);
    *out = n;
    return 0;
}

void node_free(struct node *n)
{
    struct node_fx fx;
    while (node_poll(n, &fx, 1) == 1) {
        buf_release(&fx.head);
        free(fx.job);
        free(fx.batch);
        node_blob_release(n, fx.body);
    }
    fake_look(n);
    for (unsigned i = 0; i < n->kept_count; i++) {
        node_blob_release(n, n->kept[i]);
    }
    buf_release(&n->work_reply);
    free(n->fx);
    free(n);
}

void node_job_drop(struct node *n, struct node_job *job)
{
    (void)n;
    free(job);
}

void node_wal_drop(struct node *n, struct node_wal_batch *batch)
{
    (void)n;
    free(batch);
}
