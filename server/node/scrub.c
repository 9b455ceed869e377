/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scrub: what manifests say is here is looked for. The first pass after a start looks whether each
 * cell is there (a disk may have lost segments); later passes read every byte, at a bounded rate,
 * against checksums, committed roots and, of parity, fingerprints. What is not whole is reported
 * and then repaired. Behind the shards of a group, the digest of the group's state is summed anew;
 * that of group 0 between passes.
 *
 *   group by group: a page of extents -> those with shards here -> extent with roots -> its shards,
 *   some cells at a time -> next
 */
#include "server/node/objects_internal.h"

#define NODE_SCRUB_PAGE 64u
#define NODE_SCRUB_FULL_CELLS 8u
#define NODE_SCRUB_PAUSE_US 60000000u /* between passes */
#define NODE_SCRUB_RETRY_US 1000000u

struct node_scrub_row {
    struct node_version version;
    uint32_t extent;
};

struct node_scrub {
    struct node_objects *o;
    struct node_timer timer;
    bool full;
    bool more;
    bool paused; /* between passes */
    uint32_t groups[NODE_OBJECTS_GROUPS_MAX];
    unsigned groups_count;
    unsigned at;
    struct node_scrub_row after;
    struct node_scrub_row rows[NODE_SCRUB_PAGE];
    unsigned rows_count;
    unsigned rows_at;
    struct node_extent_info *info;
    uint8_t shard;
    uint32_t stripe;
    uint64_t next_us; /* by the byte rate */
};

static void node_scrub_step(struct node_scrub *s);

static void node_scrub_at(struct node_scrub *s, uint64_t at_us)
{
    if (node_now(s->o->n) != UINT64_MAX) {
        node_timer_set(s->o->n, &s->timer, at_us);
    }
}

static void node_scrub_fire(struct node *n, struct node_timer *t)
{
    struct node_scrub *s = t->ctx;
    if (node_now(n) == UINT64_MAX) {
        return;
    }
    if (s->groups_count == 0) {
        s->groups_count = node_objects_groups(s->o, s->groups, NODE_OBJECTS_GROUPS_MAX);
    }
    node_scrub_step(s);
}

static void node_scrub_drop(struct node_scrub *s)
{
    if (s->info != NULL) {
        node_info_release(s->info);
        s->info = NULL;
    }
}

/* ---- cells ---------------------------------------------------------------------------------- */

/* returns: false if the shard is to be rebuilt. */
static bool node_scrub_whole(const struct node_scrub *s, uint32_t stripe,
                             const struct node_check_result *result)
{
    uint32_t bytes = node_info_cell_bytes(s->info, stripe, s->shard);
    if (bytes == 0 || (result->code == 0 && !s->full)) {
        return true;
    }
    if (err_outcome_of(result->code) == ERR_OUTCOME_RETRY || result->code == ERR_IO) {
        return true; /* could not be looked at: the next pass does */
    }
    if (result->code != 0 || result->bytes != bytes) {
        return false;
    }
    if (node_info_same(s->info, stripe, s->shard, result)) {
        return true;
    }
    node_info_wrong(s->info, stripe, s->shard);
    return false;
}

static void node_scrub_checked(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_scrub *s = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    struct node_check_result result;
    uint64_t bytes = 0;
    bool whole = true;
    if (code != 0) {
        node_scrub_at(s, node_now(n) + NODE_SCRUB_RETRY_US);
        return;
    }
    while (node_shard_check_next(&r, &result)) {
        whole &= node_scrub_whole(s, s->stripe, &result);
        bytes += result.bytes;
        s->o->counters.cells_scrubbed++;
        s->stripe++;
    }
    s->o->counters.bytes_scrubbed += bytes;
    if (!whole) {
        node_info_damaged(s->info, s->shard);
        s->stripe = s->info->e.stripes; /* all of the shard is rebuilt */
    }
    uint64_t rate = NUM_MAX(node_options_get(n)->scrub_bytes_per_s, 1u);
    s->next_us = NUM_MAX(node_now(n), s->next_us) + (s->full ? bytes * 1000000u / rate : 0);
    node_scrub_at(s, NUM_MAX(node_now(n), s->next_us));
}

/* returns: whether this node holds the shard. */
static bool node_scrub_here(const struct node_scrub *s, const struct node_extent *e, unsigned shard)
{
    return (e->durable >> shard & 1u) != 0 && e->holder[shard] == node_self(s->o->n);
}

/* Goes on within the extent. returns: whether a check is under way. */
static bool node_scrub_cells(struct node_scrub *s)
{
    struct node_objects *o = s->o;
    const struct node_extent *e = &s->info->e;
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    while (s->shard < shards && (s->stripe >= e->stripes || !node_scrub_here(s, e, s->shard))) {
        s->shard++;
        s->stripe = 0;
    }
    if (s->shard >= shards) {
        return false;
    }
    uint32_t most = s->full ? NODE_SCRUB_FULL_CELLS : NODE_CHECK_CELLS_MAX;
    const struct node_cell_check c = {.ref = {.version = s->info->version,
                                              .group = s->info->group,
                                              .cell = node_info_cell(s->info, s->stripe),
                                              .shard = s->shard},
                                      .count = NUM_MIN(e->stripes - s->stripe, most),
                                      .full = s->full,
                                      .deadline_us = node_objects_patience(o)};
    return node_shard_check(o, node_self(o->n), &c, s, node_scrub_checked) == 0;
}

/* ---- extents -------------------------------------------------------------------------------- */

static void node_scrub_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_scrub *s = ctx;
    const struct node_scrub_row *row = &s->rows[s->rows_at];
    if (code == 0) {
        code = node_info_learn(s->o, s->groups[s->at], row->version, row->extent, reply, &s->info);
    }
    if (code != 0 && node_objects_again(code)) {
        node_scrub_at(s, node_now(n) + NODE_SCRUB_RETRY_US);
        return;
    }
    s->rows_at++;
    s->shard = 0;
    s->stripe = 0;
    node_scrub_at(s, node_now(n));
}

static void node_scrub_page(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_scrub *s = ctx;
    struct node_extents_answer a;
    struct bytes name;
    struct bytes value;
    if (code == 0) {
        code = node_extents_answer_of(reply, &a);
    }
    if (code != 0) {
        node_scrub_at(s, node_now(n) + NODE_SCRUB_RETRY_US);
        return;
    }
    s->rows_count = s->rows_at = 0;
    s->more = a.rows.more;
    while (node_answer_row(&a.rows, &name, &value)) {
        struct node_extent e;
        struct node_scrub_row row;
        if (!node_name_of_extent(name, &row.version, &row.extent)) {
            continue;
        }
        s->after = row;
        bool here = false;
        if (node_extent_decode(value, &e) == 0) {
            for (unsigned i = 0; i < (unsigned)e.scheme.k + e.scheme.m; i++) {
                here |= node_scrub_here(s, &e, i);
            }
        }
        if (here && s->rows_count < NODE_SCRUB_PAGE) {
            s->rows[s->rows_count++] = row;
        }
    }
    node_scrub_at(s, node_now(n));
}

static void node_scrub_begin(struct node_scrub *s)
{
    s->after = (struct node_scrub_row){.extent = UINT32_MAX};
    s->more = true;
}

static void node_scrub_group_end(struct node_scrub *s)
{
    uint64_t pause = 0;
    node_digest_start(s->o, s->groups[s->at]);
    s->at++;
    if (s->at >= s->groups_count) {
        s->at = 0;
        s->full = true;
        pause = NODE_SCRUB_PAUSE_US;
        s->paused = true;
        log_line(node_log(s->o->n), LOG_DEBUG, "scrub_pass", "cells=%llu",
                 (unsigned long long)s->o->counters.cells_scrubbed);
    }
    node_scrub_begin(s);
    node_scrub_at(s, node_now(s->o->n) + pause);
}

static void node_scrub_step(struct node_scrub *s)
{
    struct node_objects *o = s->o;
    struct node_object_ask ask = {.limit = 1, .roots = true};
    node_done_fn *done = node_scrub_learnt;
    if (s->info != NULL && node_scrub_cells(s)) {
        return;
    }
    node_scrub_drop(s);
    if (s->paused) {
        s->paused = false;
        node_digest_start(o, 0);
    }
    if (s->groups_count == 0) {
        node_scrub_at(s, node_now(o->n) + NODE_SCRUB_RETRY_US);
        return;
    }
    if (s->rows_at < s->rows_count) {
        ask.version = s->rows[s->rows_at].version;
        ask.from = s->rows[s->rows_at].extent;
    } else if (s->more) {
        ask = (struct node_object_ask){.version = s->after.version,
                                       .from = s->after.extent,
                                       .limit = NODE_SCRUB_PAGE,
                                       .all = true};
        done = node_scrub_page;
    } else {
        node_scrub_group_end(s);
        return;
    }
    if (node_objects_ask(o, s->groups[s->at], NODE_QUERY_OBJECT_EXTENTS, &ask,
                         node_objects_patience(o), s, done) != 0) {
        node_scrub_at(s, node_now(o->n) + NODE_SCRUB_RETRY_US);
    }
}

/* ---- around --------------------------------------------------------------------------------- */

int node_scrub_new(struct node_objects *o)
{
    struct node_scrub *s = alloc_get_zeroed(&o->alloc, 1, sizeof *s);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->o = o;
    s->timer.ctx = s;
    s->timer.fire = node_scrub_fire;
    node_scrub_begin(s);
    o->scrub = s;
    return 0;
}

void node_scrub_start(struct node_objects *o)
{
    node_scrub_at(o->scrub, node_now(o->n) + NODE_SCRUB_RETRY_US);
}

void node_scrub_free(struct node_objects *o)
{
    struct node_scrub *s = o->scrub;
    if (s == NULL) {
        return;
    }
    node_timer_cancel(o->n, &s->timer);
    node_scrub_drop(s);
    alloc_put(&o->alloc, s, sizeof *s);
    o->scrub = NULL;
}
