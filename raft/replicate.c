/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Leader to follower. Each voter has a progress:
 *
 *             acknowledged                       entries are compacted
 *   PROBE -----------------> REPLICATE      any ------------------------> SNAPSHOT
 *     ^                          |                                            |
 *     +--- refused, lost --------+          PROBE <--- it reports, or ended --+
 *
 * PROBE sends one message and waits; an answered heartbeat lets it send again, so a peer that is
 * down costs heartbeats only. REPLICATE sends ahead, bounded in messages and bytes. Entries that
 * are damaged here are not sent: recover.c fetches them first.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

void raft_progress_probe(struct raft_group *g, unsigned voter, uint64_t next_index)
{
    struct raft_progress *p = &g->progress[voter];
    ASSERT(voter < g->voters_count);
    ASSERT(next_index > 0);
    p->state = RAFT_PROBE;
    p->paused = false;
    p->next_index = next_index;
    p->inflight_first = 0;
    p->inflight_count = 0;
    p->inflight_bytes = 0;
}

void raft_progress_reset(struct raft_group *g, unsigned voter)
{
    struct raft_progress *p = &g->progress[voter];
    struct raft_inflight *window = p->inflight;
    ASSERT(window != NULL);
    *p = (struct raft_progress){.inflight = window, .match_round = g->host->round};
    raft_progress_probe(g, voter, g->log.last_index + 1);
}

/* ---- sending ------------------------------------------------------------------------------------
 */

/* returns: how many entries from next_index on go into one message. */
static uint32_t replicate_fit(const struct raft_group *g, uint64_t from, uint64_t *bytes)
{
    const struct raft_options *o = &g->host->options;
    *bytes = 0;
    if (from > g->log.last_index) {
        return 0;
    }
    uint64_t end = NUM_MIN(g->log.last_index, from + o->message_entries_max - 1);
    end = raft_log_intact(&g->log, from, end);
    uint32_t count = 0;
    for (uint64_t i = from; i <= end; i++) {
        uint32_t more = raft_log_slot(&g->log, i)->entry.bytes;
        if (count > 0 && *bytes + more > o->message_bytes_max) {
            break;
        }
        *bytes += more;
        count++;
    }
    ASSERT(count <= o->message_entries_max);
    return count;
}

static void replicate_window_push(struct raft_group *g, struct raft_progress *p, uint64_t last,
                                  uint64_t bytes)
{
    uint32_t cap = g->host->options.inflight_messages_max;
    ASSERT(p->inflight_count < cap);
    uint32_t at = (p->inflight_first + p->inflight_count) % cap;
    p->inflight[at] = (struct raft_inflight){
        .last_index = last,
        .sent_us = g->host->now_us,
        .bytes = bytes,
    };
    p->inflight_count++;
    p->inflight_bytes += bytes;
    ASSERT(p->inflight_bytes >= bytes);
}

static void replicate_window_ack(struct raft_group *g, struct raft_progress *p, uint64_t match)
{
    uint32_t cap = g->host->options.inflight_messages_max;
    while (p->inflight_count > 0 && p->inflight[p->inflight_first].last_index <= match) {
        ASSERT(p->inflight_bytes >= p->inflight[p->inflight_first].bytes);
        p->inflight_bytes -= p->inflight[p->inflight_first].bytes;
        p->inflight_first = (p->inflight_first + 1) % cap;
        p->inflight_count--;
    }
    ASSERT(p->inflight_count > 0 || p->inflight_bytes == 0);
}

/* Sends one message from next_index on. returns: whether more may follow. */
static bool replicate_one(struct raft_group *g, unsigned voter)
{
    struct raft_progress *p = &g->progress[voter];
    uint64_t prev = p->next_index - 1;
    ASSERT(prev <= g->log.last_index);
    if (prev < g->log.base_index || raft_recover_hopeless(g, prev) ||
        raft_recover_hopeless(g, p->next_index)) {
        raft_snapshot_want(g, voter);
        return false;
    }
    if (prev > 0 && raft_log_term(&g->log, prev) == 0) {
        return false; /* damaged beyond its header: fetched first */
    }
    uint64_t bytes = 0;
    uint32_t count = replicate_fit(g, p->next_index, &bytes);
    if (count == 0 && p->state == RAFT_REPLICATE) {
        return false;
    }
    struct raft_message m = raft_message_to(g, RAFT_MSG_APPEND, g->voters[voter]);
    m.index = prev;
    m.index_term = raft_log_term(&g->log, prev);
    m.commit = g->commit_index;
    m.ctx = g->host->round;
    m.count = count;
    ASSERT(g->hard_seq <= g->host->durable_seq);
    raft_send(g, &m, 0);
    if (p->state == RAFT_PROBE) {
        p->paused = true;
        return false;
    }
    p->next_index += count;
    replicate_window_push(g, p, p->next_index - 1, bytes);
    return true;
}

static bool replicate_ready(const struct raft_group *g, const struct raft_progress *p)
{
    const struct raft_options *o = &g->host->options;
    ASSERT(p->inflight_count <= o->inflight_messages_max);
    switch (p->state) {
    case RAFT_PROBE: return !p->paused;
    case RAFT_REPLICATE:
        return p->next_index <= g->log.last_index && p->inflight_count < o->inflight_messages_max &&
               p->inflight_bytes < o->inflight_bytes_max;
    default: return false;
    }
}

/* Sends each follower what it may be sent now. */
void raft_replicate(struct raft_group *g)
{
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(!g->hard_dirty);
    for (unsigned i = 0; i < g->voters_count; i++) {
        if (i == g->self) {
            continue;
        }
        bool more = true;
        while (more && replicate_ready(g, &g->progress[i]) && !raft_host_full(g->host)) {
            more = replicate_one(g, i);
        }
    }
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* faulty: the follower's first damaged entry, to be sent again; 0: none. */
static void replicate_matched(struct raft_group *g, unsigned voter, uint64_t match, uint64_t faulty)
{
    struct raft_progress *p = &g->progress[voter];
    ASSERT(match <= g->log.last_index);
    if (match > p->match_index) {
        p->match_index = match;
        p->match_round = g->host->round;
    }
    replicate_window_ack(g, p, match);
    if (faulty != 0 && (p->state != RAFT_SNAPSHOT || match >= g->log.base_index)) {
        bool again = p->state == RAFT_PROBE && p->next_index == match + 1;
        raft_progress_probe(g, voter, match + 1);
        p->paused = again;
    } else if (p->state == RAFT_PROBE && match + 1 >= p->next_index) {
        raft_progress_probe(g, voter, match + 1);
        p->state = RAFT_REPLICATE;
    } else if (p->state == RAFT_SNAPSHOT && match >= g->log.base_index) {
        raft_progress_probe(g, voter, match + 1);
    }
    p->next_index = NUM_MAX(p->next_index, match + 1);
    ASSERT(p->next_index <= g->log.last_index + 1);
    raft_commit_leader(g);
}

static int replicate_refused(struct raft_group *g, unsigned voter, const struct raft_message *m)
{
    struct raft_progress *p = &g->progress[voter];
    ASSERT(voter != g->self);
    if (m->code == ERR_BUSY) {
        if (p->state != RAFT_SNAPSHOT) {
            raft_progress_probe(g, voter, p->match_index + 1);
            p->paused = true; /* until it answers a heartbeat */
        }
        return 0;
    }
    if (m->index == 0 || m->hint >= m->index + RAFT_TERM_JUMP_MAX) {
        return ERR_PROTOCOL;
    }
    if (p->state == RAFT_REPLICATE) {
        if (m->index > p->match_index) {
            raft_progress_probe(g, voter, p->match_index + 1);
        }
        return 0;
    }
    if (p->state != RAFT_PROBE || p->next_index != m->index + 1) {
        return 0; /* an old one */
    }
    uint64_t meet = raft_log_not_above(&g->log, m->hint, m->hint_term);
    uint64_t next = NUM_MIN(meet + 1, m->index);
    ASSERT(next < p->next_index);
    raft_progress_probe(g, voter, NUM_MAX(next, 1));
    return 0;
}

int raft_on_append_reply(struct raft_group *g, const struct raft_message *m)
{
    if (g->role != RAFT_LEADER) {
        return 0;
    }
    int voter = raft_voter_of(g, m->from);
    ASSERT(voter >= 0);
    ASSERT(m->term == g->term);
    if (m->code == ERR_NOT_LEADER || (m->code == 0 && m->index > g->log.last_index)) {
        return ERR_PROTOCOL;
    }
    raft_round_acked(g, (unsigned)voter, m->ctx);
    if (m->code != 0) {
        return replicate_refused(g, (unsigned)voter, m);
    }
    replicate_matched(g, (unsigned)voter, m->index, m->hint);
    return 0;
}

/* The follower answered the heartbeat of `round`: so far its log is equal and durable. */
void raft_progress_beat(struct raft_group *g, unsigned voter, uint64_t match, uint64_t round)
{
    struct raft_progress *p = &g->progress[voter];
    uint64_t now_us = g->host->now_us;
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(voter != g->self);
    raft_dirty(g);
    if (match > p->match_index && match <= g->log.last_index) {
        replicate_matched(g, voter, match, 0);
    } else if (match < p->match_index && round > p->match_round) {
        /* it restarted, or lost what it acknowledged: look again (scenario 29) */
        uint64_t next = p->match_index + 1;
        p->match_index = match;
        p->match_round = round;
        if (p->state != RAFT_SNAPSHOT) {
            raft_progress_probe(g, voter, next);
        }
    }
    if (p->state == RAFT_PROBE) {
        p->paused = false;
    } else if (p->state == RAFT_SNAPSHOT) {
        raft_snapshot_again(g, voter);
    } else if (p->inflight_count > 0 && now_us - p->inflight[p->inflight_first].sent_us >=
                                            2 * g->host->options.heartbeat_us) {
        raft_progress_probe(g, voter, p->match_index + 1);
    }
}

/* ---- proposals ----------------------------------------------------------------------------------
 */

/* Log time: the last entry's at the election, and the leader's monotonic time since. */
uint64_t raft_time_now(const struct raft_group *g)
{
    uint64_t last_us = raft_log_time(&g->log);
    if (g->role != RAFT_LEADER) {
        return last_us;
    }
    ASSERT(g->host->now_us >= g->time_from_us);
    uint64_t now_us = g->time_base_us + (g->host->now_us - g->time_from_us);
    return NUM_MAX(now_us, last_us);
}

void raft_append_own(struct raft_group *g, const struct raft_entry *entries, uint32_t count)
{
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(count <= raft_log_room(&g->log));
    uint64_t first = g->log.last_index + 1;
    uint64_t time_us = raft_time_now(g);
    for (uint32_t i = 0; i < count; i++) {
        struct raft_entry e = entries[i];
        e.term = g->term;
        e.time_us = time_us;
        e.state = RAFT_ENTRY_OK;
        raft_log_append(&g->log, &e);
        g->uncommitted_bytes += e.bytes;
    }
    raft_persist_entries(g, first, count, false);
}

int raft_propose(struct raft_group *g, const struct raft_entry *entries, uint32_t count)
{
    uint64_t bytes = 0;
    if (g->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (count == 0 || entries == NULL) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].type != RAFT_ENTRY_COMMAND && entries[i].type != RAFT_ENTRY_LEVEL) {
            return ERR_INVALID;
        }
        bytes += entries[i].bytes;
    }
    if ((uint64_t)count + RAFT_ROOM_KEPT > raft_log_room(&g->log)) {
        return ERR_BUSY;
    }
    if (g->uncommitted_bytes > 0 &&
        g->uncommitted_bytes + bytes > g->host->options.uncommitted_bytes_max) {
        return ERR_BUSY;
    }
    ASSERT(g->noop_index != 0);
    raft_append_own(g, entries, count);
    ASSERT(g->log.last_index > g->noop_index);
    return 0;
}
