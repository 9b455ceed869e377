/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Start: what the table and the log hold becomes groups again. The state of a group is its META
 * record's; the log goes on from there. A snapshot that was installed when the log had not yet
 * heard of it is told to the log now.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"

#include <stdio.h>

/* ---- state ---------------------------------------------------------------------------------- */

static int node_recover_control(struct node *n, struct node_group *g, const struct store_kv *kv,
                                struct store_kv_reader *reader)
{
    uint8_t from[NODE_PREFIX_BYTES + 1];
    struct bytes key;
    struct bytes value;
    node_prefix_put(from, g->id, g->now.generation);
    from[NODE_PREFIX_BYTES] = NODE_KEY_NODE;
    int err = kv->seek(reader, bytes_of(from, sizeof from), false, &key, &value);
    while (err == 0 && bytes_has_prefix(key, bytes_of(from, NODE_PREFIX_BYTES))) {
        node_control_note(n, bytes_of(key.data + NODE_PREFIX_BYTES, key.size - NODE_PREFIX_BYTES),
                          true, value);
        err = kv->next(reader, &key, &value);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* Loads what EV_PRUNED and EV_AHEAD, which lie behind each other, say of regions. */
static int node_recover_regions(struct node *n, struct node_group *g, const struct store_kv *kv,
                                struct store_kv_reader *reader)
{
    uint8_t from[NODE_PREFIX_BYTES + 1];
    struct bytes key;
    struct bytes value;
    node_prefix_put(from, g->id, g->now.generation);
    from[NODE_PREFIX_BYTES] = NODE_KEY_EV_PRUNED;
    int err = kv->seek(reader, bytes_of(from, sizeof from), false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) &&
           bytes_has_prefix(key, bytes_of(from, NODE_PREFIX_BYTES)) &&
           key.size == NODE_PREFIX_BYTES + 2) {
        uint8_t kind = key.data[NODE_PREFIX_BYTES];
        uint8_t region = key.data[NODE_PREFIX_BYTES + 1];
        if (err == ERR_CORRUPT) {
            node_rebuild(n, g);
        } else if (kind == NODE_KEY_EV_PRUNED) {
            TRY(node_ev_pruned_load(n, region, value));
        } else if (kind == NODE_KEY_EV_AHEAD) {
            TRY(node_ev_ahead_load(n, region, value));
        }
        err = kv->next(reader, &key, &value);
    }
    return err;
}

/* Loads what is known of all writes under tokens. */
static int node_recover_once(struct node *n, struct node_group *g, const struct store_kv *kv,
                             struct store_kv_reader *reader)
{
    uint8_t key[NODE_PREFIX_BYTES + 1];
    struct bytes value;
    node_prefix_put(key, g->id, g->now.generation);
    key[NODE_PREFIX_BYTES] = NODE_KEY_EV_ONCE;
    int err = kv->get(reader, bytes_of(key, sizeof key), &value);
    err = err == 0 ? node_ev_once_changed(n, value) : err;
    if (err == ERR_CORRUPT) {
        node_rebuild(n, g);
    }
    return err == ERR_CORRUPT || err == ERR_NOT_FOUND ? 0 : err;
}

/* The actor and the regions, as the own group's state has them. */
static int node_recover_own(struct node *n, struct node_group *g, const struct store_kv *kv,
                            struct store_kv_reader *reader)
{
    uint8_t from[NODE_PREFIX_BYTES + 1];
    struct bytes key;
    struct bytes value;
    struct node_ev_self_record self;
    node_prefix_put(from, g->id, g->now.generation);
    from[NODE_PREFIX_BYTES] = NODE_KEY_EV_SELF;
    int err = kv->seek(reader, bytes_of(from, sizeof from), false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) &&
           bytes_has_prefix(key, bytes_of(from, NODE_PREFIX_BYTES))) {
        uint8_t kind = key.data[NODE_PREFIX_BYTES];
        if (err == ERR_CORRUPT) {
            node_rebuild(n, g); /* soon: until then nothing is applied */
        } else if (kind == NODE_KEY_EV_SELF) {
            TRY(node_ev_self_decode(value, &self));
            node_ev_self_changed(n, true, value);
        } else if (kind == NODE_KEY_EV_REGION && key.size == NODE_PREFIX_BYTES + 2) {
            TRY(node_ev_region_load(n, key.data[NODE_PREFIX_BYTES + 1], value));
        } else {
            break; /* they come first */
        }
        err = kv->next(reader, &key, &value);
    }
    if (err == 0 || err == ERR_CORRUPT || err == ERR_NOT_FOUND) {
        err = node_recover_regions(n, g, kv, reader);
    }
    node_ev_mend_recover(n);
    TRY(node_recover_once(n, g, kv, reader));
    return err == ERR_CORRUPT || err == ERR_NOT_FOUND ? 0 : err; /* of what comes after */
}

static int node_recover_meta(struct node *n, struct node_group *g, const struct store_kv *kv)
{
    struct store_kv_reader *reader = NULL;
    uint8_t key[9];
    struct bytes value;
    node_meta_key(g->id, key);
    TRY(kv->reader_open(kv->ctx, &reader));
    int err = kv->get(reader, bytes_of(key, sizeof key), &value);
    if (err == 0) {
        err = node_meta_decode(value, &g->now);
        g->flushed = g->now;
        if (err == 0 && g->id == 0) {
            err = node_recover_control(n, g, kv, reader);
        } else if (err == 0 && node_group_own(g)) {
            g->now.digest = (struct hash_digest){0}; /* earlier versions kept one */
            g->flushed = g->now;
            err = node_recover_own(n, g, kv, reader);
        }
    } else if (err == ERR_NOT_FOUND) {
        g->now = (struct node_meta){.generation = 1, .level = NODE_LEVEL};
        g->flushed = g->now;
        err = node_genesis(n, g);
    }
    kv->reader_close(reader);
    g->apply_target = g->now.index;
    return err;
}

/* ---- log ------------------------------------------------------------------------------------ */

static uint8_t node_recover_state(enum store_wal_state state)
{
    return state == STORE_WAL_OK          ? RAFT_ENTRY_OK
           : state == STORE_WAL_AMBIGUOUS ? RAFT_ENTRY_AMBIGUOUS
                                          : RAFT_ENTRY_FAULTY;
}

/* The state was installed beyond what the log knows: the log now begins there. */
static int node_recover_rebase(struct node *n, struct node_group *g, struct node_env *env,
                               struct store_wal_group *w)
{
    struct store_wal_record records[2] = {
        {.kind = STORE_WAL_CUT, .group = g->id, .index = w->base_index + 1},
        {.kind = STORE_WAL_BASE, .group = g->id, .index = g->now.index, .term = g->now.term}};
    uint64_t lsn = 0;
    log_line(n->options.log, LOG_INFO, "log_rebased", "node=%u group=%u index=%llu", n->self, g->id,
             (unsigned long long)g->now.index);
    w->base_index = g->now.index;
    w->base_term = g->now.term;
    w->last_index = g->now.index;
    return store_wal_append(env->wal, records, 2, &lsn);
}

static int node_recover_entries(struct node *n, struct node_group *g, struct node_env *env,
                                const struct store_wal_group *w)
{
    for (uint64_t i = w->base_index + 1; i <= w->last_index; i++) {
        struct store_wal_entry e = {.index = i, .state = STORE_WAL_FAULTY};
        int err = store_wal_entry_get(env->wal, g->id, i, &e);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err;
        }
        struct raft_entry entry = {.term = e.term,
                                   .time_us = e.time_us,
                                   .bytes = e.bytes,
                                   .type = e.type,
                                   .state = (enum raft_entry_state)node_recover_state(e.state)};
        TRY(raft_group_recover(n->raft, g->id, &entry));
    }
    return 0;
}

/* returns: whether the log and the state belong together at the applied index. */
static bool node_recover_agrees(struct node_group *g, struct node_env *env,
                                const struct store_wal_group *w)
{
    struct store_wal_entry e;
    if (g->now.index <= w->base_index) {
        return true;
    }
    if (store_wal_entry_get(env->wal, g->id, g->now.index, &e) != 0) {
        return false;
    }
    return e.term == 0 || e.term == g->now.term;
}

/* ---- the own group's log -------------------------------------------------------------------- */

/* returns: the first entry after `from` that is not whole; last_index + 1: none. */
static int node_recover_damaged(struct node_env *env, const struct store_wal_group *w,
                                uint64_t from, uint64_t *at)
{
    uint64_t i = NUM_MAX(from, w->base_index) + 1;
    for (; i <= w->last_index; i++) {
        struct store_wal_entry e;
        int err = store_wal_entry_get(env->wal, w->group, i, &e);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err;
        }
        if (err != 0 || e.state != STORE_WAL_OK) {
            break;
        }
    }
    *at = i;
    return 0;
}

static uint64_t node_recover_term(struct node_group *g, struct node_env *env,
                                  const struct store_wal_group *w)
{
    uint64_t term = NUM_MAX(NUM_MAX(w->term, w->base_term), g->now.term);
    struct store_wal_entry e;
    for (uint64_t i = w->base_index + 1; i <= w->last_index; i++) {
        if (store_wal_entry_get(env->wal, w->group, i, &e) == 0) {
            term = NUM_MAX(term, e.term);
        }
    }
    return term;
}

/* returns: the log time of the entry before index. */
static uint64_t node_recover_time(const struct node_group *g, struct node_env *env,
                                  const struct store_wal_group *w, uint64_t index)
{
    struct store_wal_entry e;
    if (index - 1 <= w->base_index || store_wal_entry_get(env->wal, w->group, index - 1, &e) != 0) {
        return g->now.log_time_us;
    }
    return NUM_MAX(e.time_us, g->now.log_time_us);
}

/* Nobody else has this log, so what is damaged in it is settled here. From the first entry on that
 * is not whole and not yet in the state it is cut: what an ambiguous tail held was never
 * acknowledged, or its disk broke its word; and what comes after a lost entry must not be applied
 * without it, or its dots would be others than those that peers have seen. Damage before that does
 * not matter, the log then begins after the state. A lost vote does not matter either: there is
 * nobody else to vote for.
 *
 * EV_LOST stands where the log was cut: an ambiguous tail may have been acknowledged after all, and
 * peers may have what is lost here, but the sessions have forgotten it. */
static int node_recover_alone(struct node *n, struct node_group *g, struct node_env *env,
                              struct store_wal_group *w)
{
    uint64_t first = 0;
    uint64_t cut = 0;
    uint64_t lsn = 0;
    unsigned count = 0;
    struct store_wal_record records[2];
    uint8_t mark[NODE_EV_LOST_BYTES];
    struct node_payload *lost = NULL;
    num_put_u64(mark, node_ev_self_now(n)->mark);
    w->term = node_recover_term(g, env, w);
    TRY(node_recover_damaged(env, w, 0, &first));
    TRY(node_recover_damaged(env, w, g->now.index, &cut));
    if (cut <= w->last_index || w->tail_ambiguous) {
        const struct node_cmd cmd = {.op = NODE_OP_EV_LOST, .body = bytes_of(mark, sizeof mark)};
        log_line(n->options.log, LOG_WARN, "own_log_cut", "node=%u from=%llu to=%llu", n->self,
                 (unsigned long long)cut, (unsigned long long)w->last_index);
        TRY(node_cmd_encode(n, &cmd, &lost));
        records[count++] = (struct store_wal_record){.kind = STORE_WAL_ENTRY,
                                                     .group = g->id,
                                                     .index = cut,
                                                     .term = w->term,
                                                     .type = RAFT_ENTRY_COMMAND,
                                                     .time_us = node_recover_time(g, env, w, cut),
                                                     .body = bytes_of(lost->data, lost->bytes)};
        w->last_index = cut;
    }
    if (first <= g->now.index && first <= w->last_index) {
        records[count++] = (struct store_wal_record){
            .kind = STORE_WAL_BASE, .group = g->id, .index = g->now.index, .term = g->now.term};
        w->base_index = g->now.index;
        w->base_term = g->now.term;
    }
    w->hard_lost = false;
    w->tail_ambiguous = false;
    w->commit = NUM_MIN(w->commit, w->last_index);
    int err = count == 0 ? 0 : store_wal_append(env->wal, records, count, &lsn);
    node_payload_put(n, lost);
    return err;
}

static int node_recover_group(struct node *n, struct node_group *g, struct node_env *env,
                              struct err_info *why)
{
    struct store_wal_group w = {.group = g->id};
    int err = node_recover_meta(n, g, env->kv);
    if (err != 0) {
        return err_set(why, err, "cannot read the state of group %u", g->id);
    }
    err = store_wal_group_get(env->wal, g->id, &w);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err_set(why, err, "cannot read the log of group %u", g->id);
    }
    if (w.base_index > g->now.index) {
        return err_set(why, ERR_CORRUPT,
                       "log of group %u begins after %llu, but its state ends at %llu", g->id,
                       (unsigned long long)w.base_index, (unsigned long long)g->now.index);
    }
    err = node_recover_agrees(g, env, &w) ? 0 : node_recover_rebase(n, g, env, &w);
    if (err == 0 && node_group_own(g)) {
        err = node_recover_alone(n, g, env, &w);
    }
    if (err != 0) {
        return err_set(why, err, "cannot write the log of group %u", g->id);
    }
    struct raft_group_options o = {.group = g->id,
                                   .voters_count = g->voters_count,
                                   .term = w.term,
                                   .vote = w.vote,
                                   .commit = NUM_MAX(w.commit, g->now.index),
                                   .base_index = w.base_index,
                                   .base_term = w.base_term,
                                   .base_time_us = g->now.log_time_us,
                                   .applied_index = g->now.index,
                                   .applied_term = g->now.term,
                                   .applied_time_us = g->now.log_time_us,
                                   .hard_lost = w.hard_lost,
                                   .tail_ambiguous = w.tail_ambiguous};
    memcpy(o.voters, g->voters, g->voters_count * sizeof o.voters[0]);
    err = raft_group_add(n->raft, &o);
    err = err != 0 ? err : node_recover_entries(n, g, env, &w);
    err = err != 0 ? err : raft_group_start(n->raft, g->id, n->now);
    if (err != 0) {
        return err_set(why, err, "cannot recover the log of group %u", g->id);
    }
    log_line(n->options.log, LOG_INFO, "group_recovered",
             "node=%u group=%u term=%llu base=%llu last=%llu applied=%llu", n->self, g->id,
             (unsigned long long)w.term, (unsigned long long)w.base_index,
             (unsigned long long)w.last_index, (unsigned long long)g->now.index);
    return 0;
}

int node_recover(struct node *n, struct node_env *env, struct err_info *why)
{
    const struct limits *l = &n->options.limits;
    struct raft_options o = raft_options_default(n->self, rng_next(&n->rng));
    uint64_t entries = 16;
    while (entries < l->log_entries) {
        entries *= 2;
    }
    o.heartbeat_us = n->options.heartbeat_us;
    o.election_us = n->options.election_us;
    o.groups_max = n->identity.groups_count + 1;
    o.peers_max = n->identity.nodes_count;
    o.entries_max = (uint32_t)entries;
    o.inflight_messages_max = (uint32_t)l->append_inflight;
    o.message_bytes_max = (uint32_t)l->append_bytes;
    o.message_entries_max = (uint32_t)NUM_MIN(l->append_entries, (uint64_t)n->staged_max);
    o.uncommitted_bytes_max = l->uncommitted_bytes;
    o.reads_max = (uint32_t)l->reads;
    if (raft_host_new(&n->raft, &o, &n->alloc) != 0) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the logs of node %u", n->self);
    }
    for (unsigned i = 0; i < n->groups_count; i++) {
        TRY(node_recover_group(n, &n->groups[i], env, why));
        node_clean_start(n, &n->groups[i]);
        node_watch_reset(n, &n->groups[i]); /* history begins here */
    }
    return 0;
}
