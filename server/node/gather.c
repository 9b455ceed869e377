/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Gathering: k cells of one stripe are read, the wanted ones decoded from them. A data cell that
 * is decoded, or was read in place of decoding, is compared with its committed root; then what it
 * was made of is not: any k cells of a stripe are independent, so each byte of the decoded cell is
 * its sources' bytes at that place, each times something that is not 0, and one of them that is
 * wrong makes it wrong. Wrong bytes of several sources may make up for one another, and those
 * behind the end of a shorter cell show nowhere: what is given out is right all the same, and
 * nobody is blamed. Who asks for cells by their fingerprints gets those that have the record's,
 * which the decoding makes anyway, and roots are compared only where one differs. Only where a
 * decoded cell is wrong are the sources compared, to find out which. Parity has no root: where it
 * is made, data cells that are read are compared first, and those that are missing are decoded too,
 * only to be compared. So a shard with right checksums and wrong bytes is found out, and another
 * takes its place.
 *
 * If a decoded cell is wrong and no source is by its root, the record's fingerprints tell which
 * parity is to blame; without them parity is left out one after another, and so is parity that fits
 * them, which nobody blames: then a root is wrong. Parity that was made is compared with them as
 * well, and what it was made of is read again if it differs. A root outweighs them: data cells that
 * are right by their roots are right.
 *
 *   choose -> read -> (one bad: choose again) -> decode and compare -> (wrong: choose again) ->
 * done
 */
#include "server/node/objects_internal.h"

struct node_gather_read {
    struct node_gather *g;
    uint8_t shard;
};

struct node_gather {
    struct node_task task;
    struct node_task local; /* reads the shards that lie here */
    struct node_work link;
    struct node_timer timer;
    struct node_objects *o;
    struct node_gather_spec spec;
    node_gather_fn *done;
    void *ctx;
    const struct erasure_code *code;
    uint32_t coded;
    uint32_t empty;
    uint32_t have;     /* read */
    uint32_t bad;      /* could not be read, or were wrong */
    uint32_t chosen;   /* k shards of have, empty and those to be read, or only what is wanted */
    uint32_t wanted;   /* of the plan: the caller's and those decoded to be compared */
    uint32_t suspects; /* found by the job: shards read whose hash or fingerprint is wrong */
    bool wrong;        /* found by the job: a decoded cell is wrong */
    uint32_t unlike;   /* found by the job: shards read that made other parity than the record's */
    bool again;        /* these were read once more */
    uint32_t damaged;  /* of the bad ones: not only out of reach */
    bool busy;
    unsigned reading;
    uint32_t held;  /* read, and their bytes are in frames they came in */
    uint32_t here;  /* of those that are read: lie here */
    bool here_out;  /* and are being read */
    bool here_late; /* but not waited for any more */
    bool over;      /* nobody waits for anything */
    int here_code[NODE_OBJECT_SHARDS_MAX];
    uint64_t moved; /* from other nodes */
    struct node_gather_read reads[NODE_OBJECT_SHARDS_MAX];
    struct node_blob *blob[NODE_OBJECT_SHARDS_MAX];
    uint8_t *cell[NODE_OBJECT_SHARDS_MAX]; /* its bytes */
    uint8_t *leaves[NODE_OBJECT_SHARDS_MAX];
    struct erasure_plan plan;
    struct erasure_check check; /* of the last decoding */
};

static uint32_t node_gather_data(const struct node_gather *g)
{
    return (1u << (g->spec.info->shape.scheme.k - 1) << 1) - 1;
}

static size_t node_gather_leaves(const struct node_gather *g)
{
    return (size_t)compute_leaves_of(g->coded) * COMPUTE_HASH_BYTES;
}

uint64_t node_gather_bytes(const struct node_extent_info *info)
{
    return (uint64_t)info->shape.cell_bytes * (info->shape.scheme.k + 2u);
}

static void node_gather_free(struct node_gather *g)
{
    struct node_objects *o = g->o;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        node_blob_release(o->n, g->blob[s]);
        alloc_put(&o->alloc, g->leaves[s], node_gather_leaves(g));
    }
    node_timer_cancel(o->n, &g->timer);
    node_work_remove(&g->link);
    node_info_release(g->spec.info);
    alloc_put(&o->alloc, g, sizeof *g);
}

static void node_gather_end(struct node_gather *g, int code)
{
    struct node_gathered out = {.bad = g->bad, .moved = g->moved, .finger = g->check.finger};
    out.coded = g->wanted == 0 ? 0 : (g->plan.sources | g->wanted) & node_gather_data(g);
    out.read = g->have & g->chosen & ~g->spec.wanted;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX && code == 0; s++) {
        if (((g->spec.wanted | out.read) >> s & 1u) != 0) {
            out.cell[s] = g->cell[s];
            out.blob[s] = g->blob[s];
            out.leaves[s] = g->leaves[s];
            out.bytes[s] = node_info_cell_bytes(g->spec.info, g->spec.stripe, (uint8_t)s);
        }
    }
    g->done(g->o->n, g->ctx, code, &out);
    g->over = true;
    if (!g->here_out) { /* or its job has the cells yet */
        node_gather_free(g);
    }
}

static void node_gather_step(struct node_gather *g);

static void node_gather_again(struct node *n, struct node_timer *t)
{
    struct node_gather *g = t->ctx;
    if (node_now(n) >= g->spec.deadline_us) {
        node_gather_end(g, ERR_BUSY);
        return;
    }
    g->busy = false;
    node_gather_step(g);
}

/* Nobody promised a shard that is not durable. */
static void node_gather_report(const struct node_gather *g, uint8_t shard)
{
    if ((g->spec.info->e.durable >> shard & 1u) != 0) {
        node_info_damaged(g->spec.info, shard);
    }
}

/* ---- decode and compare --------------------------------------------------------------------- */

struct node_gather_cell {
    const uint8_t *committed;
    const uint8_t *leaves;
    uint64_t count;
};

static bool node_gather_fits(void *ctx)
{
    const struct node_gather_cell *c = ctx;
    uint8_t root[MERKLE_HASH_BYTES];
    merkle_root_of(c->leaves, c->count, root);
    return memcmp(root, c->committed, sizeof root) == 0;
}

/* returns: whether a data cell's bytes have the committed root, or none is known. */
static bool node_gather_true(struct node_gather *g, const struct node_env *env, unsigned s,
                             uint8_t *leaves)
{
    uint8_t root[MERKLE_HASH_BYTES];
    const struct node_extent_info *info = g->spec.info;
    const uint32_t bytes = node_info_cell_bytes(info, g->spec.stripe, (uint8_t)s);
    const struct compute_leaves run = {g->cell[s], bytes, leaves};
    struct node_gather_cell cell = {.committed = node_info_root(info, g->spec.stripe, (uint8_t)s),
                                    .leaves = leaves,
                                    .count = compute_leaves_of(bytes)};
    if (cell.committed == NULL) {
        node_leaves_of(env->compute, run.data, bytes, leaves, root);
        return true;
    }
    return node_leaves_check(env, &run, &cell, node_gather_fits);
}

/* returns: those of some data cells, read or decoded, whose bytes have not their committed roots.
 */
static uint32_t node_gather_compare(struct node_gather *g, const struct node_env *env,
                                    uint32_t cells)
{
    uint8_t spare[STORE_SEG_LEAVES_MAX * COMPUTE_HASH_BYTES];
    uint32_t wrong = 0;
    for (unsigned s = 0; s < g->spec.info->shape.scheme.k; s++) {
        if ((cells >> s & 1u) != 0) {
            uint8_t *leaves = g->leaves[s] != NULL ? g->leaves[s] : spare;
            wrong |= !node_gather_true(g, env, s, leaves) ? 1u << s : 0;
        }
    }
    return wrong;
}

/* returns: whether a decoded data cell is zeros behind its end, as all were that parity is made of.
 */
static bool node_gather_ends(const struct node_gather *g, unsigned s)
{
    const uint32_t bytes = node_info_cell_bytes(g->spec.info, g->spec.stripe, (uint8_t)s);
    uint8_t any = 0;
    for (uint32_t i = bytes; i < g->coded; i++) {
        any |= g->cell[s][i];
    }
    return any == 0;
}

/* returns: those of the shards, coded by the job, whose fingerprints are others than the record's.
 */
static uint32_t node_gather_unlike(const struct node_gather *g, uint32_t shards)
{
    struct erasure_finger due;
    uint32_t unlike = 0;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((shards >> s & 1u) != 0 &&
            node_info_finger(g->spec.info, g->spec.stripe, (uint8_t)s, &due) &&
            memcmp(&due, &g->check.finger[s], sizeof due) != 0) {
            unlike |= 1u << s;
        }
    }
    return unlike;
}

/* returns: whether shards, coded by the job, are known to have the record's fingerprints. */
static bool node_gather_like(const struct node_gather *g, uint32_t shards)
{
    struct erasure_finger any;
    const bool known = node_info_finger(g->spec.info, g->spec.stripe, 0, &any);
    return known && node_gather_unlike(g, shards) == 0;
}

/* What the roots leave open of what was decoded: the ends of cells, and parity. */
static void node_gather_judge(struct node_gather *g)
{
    const uint32_t data = node_gather_data(g);
    const uint32_t made = g->wanted & ~data;
    const uint32_t read = g->plan.sources & g->have;
    for (unsigned s = 0; s < g->spec.info->shape.scheme.k && made != 0; s++) {
        g->wrong |= (g->wanted >> s & 1u) != 0 && !node_gather_ends(g, s);
    }
    if (g->wrong && g->suspects == 0) {
        g->suspects = node_gather_unlike(g, read & ~data);
    } else if (!g->wrong && node_gather_unlike(g, made) != 0) {
        g->unlike = node_gather_unlike(g, read);
    }
}

static void node_gather_run(struct node_task *task, struct node_env *env)
{
    struct node_gather *g = (struct node_gather *)(void *)task;
    struct bytes cells[NODE_OBJECT_SHARDS_MAX] = {{0}};
    const uint32_t data = node_gather_data(g);
    const uint32_t read = g->have & g->chosen;
    const bool rootless = (g->spec.wanted & ~data) != 0;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((read >> s & 1u) != 0) {
            cells[s] = bytes_of(g->cell[s],
                                node_info_cell_bytes(g->spec.info, g->spec.stripe, (uint8_t)s));
        }
    }
    g->check.wrong = 0;
    g->suspects = node_gather_compare(g, env, read & data & (rootless ? data : g->spec.wanted));
    if (g->suspects != 0) {
        return;
    }
    if (g->wanted != 0) {
        task->job.code = erasure_decode(&g->plan, cells, g->cell, g->coded, &g->check);
    }
    const uint32_t decoded = g->wanted & data;
    const bool like = g->spec.by_finger && task->job.code == 0 && node_gather_like(g, decoded);
    g->wrong = !like && node_gather_compare(g, env, decoded) != 0;
    if (g->wrong && !rootless) {
        g->suspects = node_gather_compare(g, env, read & data & ~g->spec.wanted);
    }
    if (g->wanted != 0 && task->job.code == 0) {
        node_gather_judge(g);
    }
}

/* What the job found wrong is not read again. */
static void node_gather_blame(struct node_gather *g)
{
    uint32_t blamed = g->suspects;
    const uint32_t parity = g->chosen & g->have & ~node_gather_data(g);
    if (blamed == 0) {
        blamed = parity & (0u - parity); /* one of them is wrong: leave out one after another */
    }
    struct erasure_finger due;
    const bool fits = node_info_finger(g->spec.info, g->spec.stripe, 0, &due);
    const bool sure = g->suspects != 0 || (blamed == parity && !fits);
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX && sure; s++) {
        if ((blamed >> s & 1u) != 0) {
            node_info_wrong(g->spec.info, g->spec.stripe, (uint8_t)s);
            node_gather_report(g, (uint8_t)s);
        }
    }
    g->damaged |= blamed;
    g->bad |= blamed;
    g->have &= ~blamed;
    g->suspects = 0;
    g->wrong = false;
}

static void node_gather_done(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_gather *g = (struct node_gather *)(void *)task;
    node_objects_coded(g->o, "decode", g->spec.info->version,
                       node_info_cell(g->spec.info, g->spec.stripe), &g->check, task->job.code);
    if (task->job.code != 0) {
        node_gather_end(g, task->job.code);
    } else if (g->suspects != 0 || g->wrong) {
        node_gather_blame(g);
        node_gather_step(g);
    } else if (g->unlike != 0 && !g->again) {
        g->again = true;
        g->have &= ~g->unlike;
        g->unlike = 0;
        node_gather_step(g);
    } else {
        if (g->unlike != 0) {
            node_info_doubted(g->spec.info, g->spec.stripe);
        }
        node_gather_end(g, 0);
    }
}

/* Memory of this gather's own, which can be written to, for each of some shards. */
static bool node_gather_room(struct node_gather *g, uint32_t shards, bool leaves)
{
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((shards >> s & 1u) == 0) {
            continue;
        }
        if ((g->held >> s & 1u) != 0) {
            node_blob_release(g->o->n, g->blob[s]);
            g->blob[s] = NULL;
            g->held &= ~(1u << s);
        }
        if (g->blob[s] == NULL) {
            g->blob[s] = node_blob_new(g->o->n, g->coded);
            g->cell[s] = g->blob[s] != NULL ? node_blob_data(g->blob[s]) : NULL;
        }
        if (leaves && g->leaves[s] == NULL) {
            g->leaves[s] = alloc_get(&g->o->alloc, node_gather_leaves(g));
        }
        if (g->cell[s] == NULL || (leaves && g->leaves[s] == NULL)) {
            return false;
        }
    }
    return true;
}

static int node_gather_decode(struct node_gather *g)
{
    uint32_t data = node_gather_data(g);
    uint32_t copies = g->spec.wanted & g->chosen & ~g->empty; /* read, so only to be compared */
    g->wanted = g->spec.wanted & ~g->empty & ~copies;
    if ((g->wanted & ~data) != 0 && (g->chosen & ~data) != 0) {
        g->wanted |= data & ~g->chosen & ~g->empty;
    }
    TRY(g->wanted == 0 ? 0 : erasure_plan_make(g->code, g->chosen, g->wanted, &g->plan));
    if (!node_gather_room(g, g->wanted | copies, !g->spec.by_finger)) {
        return ERR_NO_MEMORY;
    }
    return node_task_start(g->o->n, &g->task, g->spec.lane);
}

/* ---- read ----------------------------------------------------------------------------------- */

/* A shard was read into its place, or why not. */
static void node_gather_came(struct node_gather *g, uint8_t shard, int code)
{
    const uint32_t bit = 1u << shard;
    g->reading--;
    if (code == 0) {
        g->have |= bit;
    } else if (code == ERR_BUSY) {
        g->busy = true;
    } else {
        g->bad |= bit;
        if (code == ERR_NOT_FOUND || code == ERR_CORRUPT || code == ERR_RANGE) {
            g->damaged |= bit;
            node_gather_report(g, shard);
        }
    }
}

/* Bytes that are only read may stay in the frame they came in. returns: 0, or that there is no
 * memory for a copy at the moment. */
static int node_gather_keep(struct node_gather *g, uint8_t shard, struct bytes data)
{
    const uint32_t bit = 1u << shard;
    struct node_blob *held =
        (g->spec.wanted & bit) == 0 ? node_blob_held(node_frame(g->o->n), data) : NULL;
    if (held != NULL) {
        node_blob_release(g->o->n, g->blob[shard]);
        g->blob[shard] = held;
        g->cell[shard] = node_blob_data(held) + (data.data - node_blob_bytes(held).data);
        g->held |= bit;
        return 0;
    }
    if (!node_gather_room(g, bit, false)) {
        return ERR_BUSY;
    }
    memcpy(g->cell[shard], data.data, data.size);
    return 0;
}

static void node_gather_read_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_gather_read *read = ctx;
    struct node_gather *g = read->g;
    struct node_cell_data data;
    uint32_t bytes = node_info_cell_bytes(g->spec.info, g->spec.stripe, read->shard);
    if (code == 0 && (node_shard_read_reply(reply, &data) != 0 || data.data.size != bytes ||
                      data.cell_bytes != bytes)) {
        code = ERR_CORRUPT;
    }
    if (code == 0) {
        code = node_gather_keep(g, read->shard, data.data);
    }
    if (code == 0) {
        g->moved += g->spec.info->e.holder[read->shard] == node_self(n) ? 0 : bytes;
    }
    node_gather_came(g, read->shard, code);
    if (g->reading == 0) {
        node_gather_step(g);
    }
}

static struct node_cell_ref node_gather_ref(const struct node_gather *g, unsigned s)
{
    const struct node_extent_info *info = g->spec.info;
    return (struct node_cell_ref){.version = info->version,
                                  .group = info->group,
                                  .cell = node_info_cell(info, g->spec.stripe),
                                  .shard = (uint8_t)s};
}

/* From the disk to its place, with no copy in between. */
static void node_gather_local_run(struct node_task *task, struct node_env *env)
{
    struct node_gather *g =
        (struct node_gather *)(void *)((uint8_t *)task - offsetof(struct node_gather, local));
    struct store_cell_info info;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((g->here >> s & 1u) != 0) {
            const struct node_cell_ref ref = node_gather_ref(g, s);
            const struct store_cell_id id = node_cell_id(&ref);
            const uint32_t bytes = node_info_cell_bytes(g->spec.info, g->spec.stripe, (uint8_t)s);
            int err = store_segments_get(env->segments, &id, 0, bytes, g->cell[s], &info);
            g->here_code[s] = err == 0 && info.bytes != bytes ? ERR_CORRUPT : err;
        }
    }
}

/* late: ERR_TIMEOUT, and the job is still out; else 0. */
static void node_gather_local_came(struct node_gather *g, int late)
{
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((g->here >> s & 1u) != 0) {
            const int err = late != 0 ? late : g->local.job.code;
            node_gather_came(g, (uint8_t)s, err != 0 ? err : g->here_code[s]);
        }
    }
    if (g->reading == 0) {
        node_gather_step(g);
    }
}

static void node_gather_local_done(struct node *n, struct node_task *task)
{
    struct node_gather *g =
        (struct node_gather *)(void *)((uint8_t *)task - offsetof(struct node_gather, local));
    g->here_out = false;
    if (g->over) {
        node_gather_free(g);
    } else if (!g->here_late) {
        node_timer_cancel(n, &g->timer);
        node_gather_local_came(g, 0);
    }
}

/* As a call to another node would end. */
static void node_gather_local_late(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_gather *g = t->ctx;
    g->here_late = true;
    node_gather_local_came(g, ERR_TIMEOUT);
}

static int node_gather_read_here(struct node_gather *g, uint32_t shards)
{
    TRY(node_task_start(g->o->n, &g->local, NODE_LANE_READ));
    g->here = shards;
    g->here_out = true;
    g->reading += (unsigned)__builtin_popcount(shards);
    g->timer.ctx = g;
    g->timer.fire = node_gather_local_late;
    node_timer_set(g->o->n, &g->timer, g->spec.deadline_us);
    return 0;
}

static int node_gather_read(struct node_gather *g, unsigned s)
{
    const struct node_extent_info *info = g->spec.info;
    const struct node_cell_read r = {.ref = node_gather_ref(g, s),
                                     .bytes =
                                         node_info_cell_bytes(info, g->spec.stripe, (uint8_t)s),
                                     .deadline_us = g->spec.deadline_us};
    g->reads[s] = (struct node_gather_read){.g = g, .shard = (uint8_t)s};
    TRY(node_shard_read(g->o, info->e.holder[s], &r, &g->reads[s], node_gather_read_done));
    g->reading++;
    return 0;
}

/* returns: those of some shards that lie here. */
static uint32_t node_gather_own(const struct node_gather *g, uint32_t shards)
{
    uint32_t own = 0;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        const bool here = g->spec.info->e.holder[s] == node_self(g->o->n);
        own |= (shards >> s & 1u) != 0 && here ? 1u << s : 0;
    }
    return own;
}

/* returns: 0, or why some of them are not being read. */
static int node_gather_read_all(struct node_gather *g, uint32_t shards)
{
    const uint32_t own = g->here_out ? 0 : node_gather_own(g, shards);
    TRY(own != 0 ? node_gather_read_here(g, own) : 0);
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((shards & ~own) >> s & 1u) {
            TRY(node_gather_read(g, s));
        }
    }
    return 0;
}

/* The wanted shards that may be read themselves where nothing else is left: of a data cell with a
 * committed root it shows whether it is the right one. */
static uint32_t node_gather_copies(const struct node_gather *g)
{
    const struct node_extent_info *info = g->spec.info;
    uint32_t copies = g->spec.wanted & node_gather_data(g) & ~g->empty & ~g->spec.avoid;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((copies >> s & 1u) != 0 && node_info_root(info, g->spec.stripe, (uint8_t)s) == NULL) {
            copies &= ~(1u << s);
        }
    }
    return copies;
}

/* Takes what has been read, then what lies here and need not be moved, then data before parity,
 * then what is not known to be durable: a shard that was given up with its node may be there still,
 * and is compared like any other. Where parity is made, data goes first: each cell of it that is
 * not read is decoded too. returns: whether k are found, or all that is wanted. */
static bool node_gather_choose(struct node_gather *g)
{
    const struct node_extent_info *info = g->spec.info;
    uint32_t able = node_extent_all(info->shape.scheme) & ~g->bad & ~g->spec.avoid &
                    ~g->spec.wanted & ~g->empty;
    unsigned k = info->shape.scheme.k;
    unsigned count = 0;
    g->chosen = 0;
    const bool rootless = (g->spec.wanted & ~node_gather_data(g)) != 0;
    const uint32_t here = able & info->e.durable & (rootless ? node_gather_data(g) : able);
    /* what is read already, or lies here, then holders without doubt, then all that can be reached,
     * last those that may have lost it, and copies of what is wanted */
    const uint32_t pools[6] = {g->have | (g->empty & ~g->spec.wanted),
                               node_gather_own(g, here),
                               able & info->e.durable,
                               able & info->e.durable,
                               able & ~info->e.durable,
                               node_gather_copies(g) & ~g->bad};
    for (unsigned p = 0; p < 6; p++) {
        for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX && count < k; s++) {
            bool up = p <= 1 || (p == 2 ? node_peer_sure(g->o->n, info->e.holder[s])
                                        : node_peer_is_up(g->o->n, info->e.holder[s]));
            if ((pools[p] & ~g->chosen) >> s & 1u && up) {
                g->chosen |= 1u << s;
                count++;
            }
        }
    }
    uint32_t wanted = g->spec.wanted & ~g->empty;
    if (count < k && (wanted & ~g->chosen) == 0) {
        g->chosen = wanted; /* nothing to decode: the copies are the answer */
        return true;
    }
    return count == k;
}

/* returns: whether k shards, or all that is wanted, may still be had once nodes that are out of
 * reach come back. */
static bool node_gather_hope(const struct node_gather *g)
{
    const struct node_extent_info *info = g->spec.info;
    uint32_t able = (node_extent_all(info->shape.scheme) | g->empty) & ~g->damaged;
    uint32_t there = 0;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        uint32_t doubtful = g->spec.wanted | ~info->e.durable;
        bool unanswered = (g->bad & ~g->damaged) >> s & 1u;
        bool may =
            (doubtful >> s & 1u) == 0 || unanswered || !node_peer_is_up(g->o->n, info->e.holder[s]);
        there |= (able >> s & 1u) != 0 && may ? 1u << s : 0;
    }
    bool itself = (g->spec.wanted & ~g->empty & ~(there & node_gather_copies(g))) == 0;
    return itself || (unsigned)__builtin_popcount(there) >= info->shape.scheme.k;
}

static void node_gather_later(struct node_gather *g)
{
    g->timer.ctx = g;
    g->timer.fire = node_gather_again;
    node_timer_set(g->o->n, &g->timer, node_now(g->o->n) + NODE_CALL_RETRY_US);
}

static void node_gather_step(struct node_gather *g)
{
    int err = 0;
    if (g->busy) {
        node_gather_later(g);
        return;
    }
    if (!node_gather_choose(g)) {
        node_gather_end(g, node_gather_hope(g) ? ERR_UNAVAILABLE : ERR_LOST);
        return;
    }
    uint32_t read = g->chosen & ~g->have & ~g->empty;
    err = node_gather_room(g, node_gather_own(g, read), false) ? node_gather_read_all(g, read)
                                                               : ERR_NO_MEMORY;
    if (err == 0 && read == 0) {
        err = node_gather_decode(g);
    }
    if (err == ERR_BUSY) {
        g->busy = true;
        node_gather_later(g);
    } else if (err != 0 && g->reading == 0) {
        node_gather_end(g, err);
    }
}

/* Begins outside the caller's call, so that done never comes before it has returned. */
static void node_gather_begin(struct node *n, struct node_timer *t)
{
    (void)n;
    node_gather_step(t->ctx);
}

int node_gather_start(struct node_objects *o, const struct node_gather_spec *spec, void *ctx,
                      node_gather_fn *done)
{
    struct node_extent_info *info = spec->info;
    struct node_gather *g = alloc_get_zeroed(&o->alloc, 1, sizeof *g);
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->o = o;
    g->spec = *spec;
    g->done = done;
    g->ctx = ctx;
    g->task.run = node_gather_run;
    g->task.done = node_gather_done;
    g->local.run = node_gather_local_run;
    g->local.done = node_gather_local_done;
    g->code = node_objects_code(o, info->shape.scheme);
    g->coded = erasure_stripe_bytes(&info->layout, info->extent, spec->stripe);
    g->empty = erasure_stripe_empty(&info->layout, info->extent, spec->stripe);
    ASSERT(g->coded > 0);
    ASSERT((spec->wanted & ~g->empty) != 0);
    node_info_retain(info);
    node_work_add(&o->gathers, &g->link);
    if (g->code == NULL) {
        node_gather_free(g);
        return ERR_NO_MEMORY;
    }
    g->timer.ctx = g;
    g->timer.fire = node_gather_begin;
    node_timer_set(o->n, &g->timer, node_now(o->n));
    return 0;
}

void node_gather_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->gathers)) {
        uint8_t *link = (uint8_t *)o->gathers.next;
        node_gather_free((struct node_gather *)(void *)(link - offsetof(struct node_gather, link)));
    }
}
