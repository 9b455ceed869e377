/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Protocol-aware recovery (Alagappan et al., FAST'18): what was lost on disk is told apart from
 * what never was, and is fetched, never cut because it cannot be read.
 *
 * Faulty entries. Place and mostly term are known, the payload is damaged. They count in
 * elections, not as durable. Repair, by FETCH to peers and by the leader's appends:
 *   - a copy with the same index and term is the same entry, whoever has it;
 *   - where the term is lost too, a copy is taken if it is committed at the peer, if the current
 *     leader has it, if the peer's next entry is the same as the next one here (log matching: then
 *     so are all before), or if its term is that of the next known entry here (the leader of that
 *     term wrote both, and this log equals that leader's up to there);
 *   - a leader also takes the copy that all have who have one, once all voters have answered in
 *     its term: if its own was another entry, nobody else had that or what followed it, so that
 *     it was never committed.
 * Entries at the end without a term are left out at start, as an ambiguous tail (below) that was
 * durable for sure.
 *
 * A leader sends and applies nothing from its first faulty entry on. If a quorum, asked by the
 * leader in its own term, never had that entry, it was never committed and, nobody obeying older
 * leaders any more, never will be: the leader steps down and cuts it. If it is damaged on all that
 * have it, the group waits: it may have been committed (scenario 82). A leader that cannot get on
 * leaves the lead to others for a while.
 *
 * Ambiguous tail. A bad last batch may have held entries after the end of the log, of terms up to
 * lost_term, and they may have been acknowledged. Until peers have told what there is, the replica
 * neither stands nor votes, unless the candidate's last term is above lost_term. It asks all
 * voters, with a number that is new in each boot, and learns a floor, a log position below which
 * no log may win by its vote:
 *   - from the leader of its term or a later one: the end of the leader's log, which holds all
 *     that is committed;
 *   - from a quorum of voters sure of their own logs: the most up-to-date of these;
 *   - from all voters, sure or not: the most up-to-date of all; no intact copy is anywhere. If the
 *     tail was durable for sure, one of the others must be sure of its log: else the group waits.
 * The last two count only answers in a term above lost_term: who answers in it obeys no leader any
 * more that could still commit with the lost acknowledgements. So without a leader the replica asks
 * in such a term; voters that hear a leader do not follow it there, and that leader answers.
 * Once its own log has reached the floor the tail is cut and the replica is as any other. All
 * nodes down with torn batches: each asks, all answer, the longest log wins.
 *
 * hard_lost: the replica may have voted in, and obeyed leaders of, terms it no longer knows. It
 * never votes or stands again; it takes appends of terms not below any in its log, and what it
 * acknowledges it has.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

#define RECOVER_TAIL 1u     /* hint of a FETCH that asks about the tail */
#define RECOVER_ASKS_MAX 5u /* rounds without an answer: a snapshot may serve instead */
#define RECOVER_RUNS_MAX 8u /* of damaged entries filled by one message */

static bool recover_not_below(uint64_t term, uint64_t index, uint64_t than_term,
                              uint64_t than_index)
{
    return term != than_term ? term > than_term : index >= than_index;
}

static uint64_t recover_last_term(const struct raft_group *g)
{
    ASSERT(g->log.last_index >= g->log.base_index);
    return raft_log_term(&g->log, g->log.last_index);
}

/* returns: whether a candidate whose log ends at (term, index) may have this vote, as far as what
 * is lost here goes. */
bool raft_recover_vote_ok(const struct raft_group *g, uint64_t term, uint64_t index)
{
    const struct raft_recovery *r = &g->recovery;
    ASSERT(!r->floored || !r->ambiguous);
    if (index < g->known_commit) {
        return false;
    }
    if (r->ambiguous && term <= r->lost_term) {
        return false;
    }
    return !r->floored || recover_not_below(term, index, r->floor_term, r->floor_index);
}

bool raft_recover_stand_ok(const struct raft_group *g)
{
    ASSERT(g->commit_index <= g->log.last_index);
    return !g->recovery.ambiguous && !g->recovery.floored && g->log.last_index >= g->known_commit;
}

static bool recover_asking(const struct raft_group *g)
{
    return !g->fenced && g->voters_count > 1 && (g->recovery.ambiguous || g->log.faulty_count > 0);
}

/* Something may be learned now: ask soon. */
void raft_recover_wake(struct raft_group *g)
{
    if (!g->started || !recover_asking(g)) {
        return;
    }
    g->recovery.ask_us = g->host->now_us + 1;
    raft_timer(g, g->recovery.ask_us);
    ASSERT(g->recovery.ctx != 0);
}

/* ---- ambiguous tail -----------------------------------------------------------------------------
 */

/* The log grew, or the floor became known. */
void raft_recover_grown(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    ASSERT(!r->floored || !r->ambiguous);
    if (!r->floored || !recover_not_below(recover_last_term(g), g->log.last_index, r->floor_term,
                                          r->floor_index)) {
        return;
    }
    r->floored = false;
    ASSERT(g->log.last_index + 1 > g->log.base_index);
    raft_persist_cut(g, g->log.last_index + 1);
    raft_dirty(g);
}

static void recover_floor(struct raft_group *g, uint64_t term, uint64_t index)
{
    struct raft_recovery *r = &g->recovery;
    ASSERT(r->ambiguous);
    r->ambiguous = false;
    r->floored = true;
    r->floor_term = term;
    r->floor_index = index;
    raft_recover_grown(g);
    ASSERT(!r->ambiguous);
}

static unsigned recover_bits(uint32_t mask)
{
    unsigned count = 0;
    for (unsigned i = 0; i < RAFT_VOTERS_MAX; i++) {
        count += (mask >> i) & 1u;
    }
    ASSERT(count <= RAFT_VOTERS_MAX);
    return count;
}

static void recover_tail_judge(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    uint32_t all = (1u << g->voters_count) - 1;
    ASSERT(r->ambiguous);
    ASSERT((r->definite & ~r->answered) == 0);
    bool whole = (r->answered | 1u << g->self) == all && (!r->was_durable || r->definite != 0);
    if (recover_bits(r->definite) < raft_quorum(g) && !whole) {
        return;
    }
    uint64_t term = recover_last_term(g);
    uint64_t index = g->log.last_index;
    if (recover_not_below(r->best_term, r->best_index, term, index)) {
        term = r->best_term;
        index = r->best_index;
    }
    recover_floor(g, term, index);
}

static void recover_tail_answer(struct raft_group *g, const struct raft_message *m)
{
    struct raft_recovery *r = &g->recovery;
    int voter = raft_voter_of(g, m->from);
    ASSERT(voter >= 0);
    ASSERT(r->ambiguous);
    if (m->code == 0 && m->term == g->term) {
        recover_floor(g, m->hint_term, m->hint);
        return;
    }
    if (m->term <= r->lost_term || m->code == 0) {
        return;
    }
    r->answered |= 1u << (unsigned)voter;
    if (m->code == ERR_NOT_LEADER) {
        r->definite |= 1u << (unsigned)voter;
    }
    if (recover_not_below(m->hint_term, m->hint, r->best_term, r->best_index)) {
        r->best_term = m->hint_term;
        r->best_index = m->hint;
    }
    recover_tail_judge(g);
}

/* Tells a peer where this log ends and how sure that is. What it says must hold after a crash. */
static void recover_tail_tell(struct raft_group *g, const struct raft_message *m)
{
    const struct raft_recovery *r = &g->recovery;
    struct raft_message reply = raft_message_to(g, RAFT_MSG_FETCH_REPLY, m->from);
    ASSERT(!g->fenced);
    reply.ctx = m->ctx;
    reply.hint = g->log.last_index;
    reply.hint_term = recover_last_term(g);
    if (r->floored &&
        recover_not_below(r->floor_term, r->floor_index, reply.hint_term, reply.hint)) {
        reply.hint = r->floor_index;
        reply.hint_term = r->floor_term;
    }
    reply.code = ERR_NOT_LEADER;
    if (g->role == RAFT_LEADER) {
        reply.code = 0;
    } else if (r->ambiguous) {
        reply.code = ERR_BUSY;
    }
    ASSERT(reply.hint >= g->log.base_index);
    raft_send(g, &reply, g->last_seq);
}

/* returns: whether a follower that needs the damaged entry at index is better sent a snapshot: the
 * state machine here holds it, and nobody gave a copy. */
bool raft_recover_hopeless(const struct raft_group *g, uint64_t index)
{
    const struct raft_recovery *r = &g->recovery;
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(r->asks >= r->asks_filled);
    return index <= g->log.held_index && raft_log_has(&g->log, index) &&
           raft_log_slot(&g->log, index)->entry.state == RAFT_ENTRY_FAULTY &&
           r->asks - r->asks_filled >= RECOVER_ASKS_MAX;
}

/* ---- asking -------------------------------------------------------------------------------------
 */

static void recover_ask(struct raft_group *g, unsigned voter)
{
    struct raft_recovery *r = &g->recovery;
    ASSERT(voter != g->self);
    struct raft_message m = raft_message_to(g, RAFT_MSG_FETCH, g->voters[voter]);
    m.ctx = r->ctx;
    m.hint = RECOVER_TAIL;
    if (r->ambiguous) {
        raft_send(g, &m, g->last_seq);
    }
    if (g->log.faulty_count == 0) {
        return;
    }
    ASSERT(raft_log_slot(&g->log, r->ask_index)->entry.state == RAFT_ENTRY_FAULTY);
    uint64_t first = r->ask_index;
    uint64_t last = first;
    uint64_t most = g->host->options.message_entries_max - 1;
    while (last < g->log.last_index && last - first < most &&
           raft_log_slot(&g->log, last)->entry.state == RAFT_ENTRY_FAULTY) {
        last++;
    }
    m.ctx = r->ctx + 1;
    m.hint = 0;
    m.index = first;
    m.index_term = raft_log_term(&g->log, first);
    m.count = (uint32_t)(last - first + 1);
    raft_send(g, &m, 0);
}

/* The next damaged entry, in turn: one that nobody has must not hide the others. */
static void recover_turn(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    if (g->log.faulty_count == 0) {
        return;
    }
    uint64_t at = NUM_MAX(r->ask_index, g->log.base_index) + 1;
    bool run = raft_log_has(&g->log, at - 1) &&
               raft_log_slot(&g->log, at - 1)->entry.state == RAFT_ENTRY_FAULTY;
    for (; at <= g->log.last_index; at++) {
        bool faulty = raft_log_slot(&g->log, at)->entry.state == RAFT_ENTRY_FAULTY;
        if (faulty && !run) {
            break;
        }
        run = faulty;
    }
    r->ask_index = at <= g->log.last_index ? at : g->log.faulty_first;
    ASSERT(raft_log_has(&g->log, r->ask_index));
}

/* A leader that is held up by what it cannot get lets others try. */
static void recover_stuck(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    uint64_t now_us = g->host->now_us;
    uint64_t election_us = g->host->options.election_us;
    ASSERT(g->role == RAFT_LEADER);
    uint64_t held = NUM_MAX(g->log.held_index, g->log.base_index);
    if (held >= g->log.last_index ||
        raft_log_intact(&g->log, held + 1, g->log.last_index) == g->log.last_index) {
        r->stuck_us = 0;
        return;
    }
    if (r->stuck_us == 0) {
        r->stuck_us = now_us;
    }
    ASSERT(r->stuck_us <= now_us);
    if (now_us - r->stuck_us >= 2 * election_us) {
        g->stand_us = now_us + 4 * election_us;
        raft_follow(g, g->term, RAFT_NODE_NONE);
    }
}

void raft_recover_due(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    struct raft_host *h = g->host;
    ASSERT(r->ask_us <= h->now_us);
    r->ask_us = RAFT_NEVER;
    if (!recover_asking(g)) {
        return;
    }
    r->ask_us = h->now_us + 2 * h->options.heartbeat_us;
    raft_timer(g, r->ask_us);
    if (r->ambiguous && g->leader == RAFT_NODE_NONE && h->now_us >= r->bump_us &&
        g->term == r->lost_term) {
        raft_follow(g, g->term + 1, RAFT_NODE_NONE);
    }
    if (g->role == RAFT_LEADER) {
        recover_stuck(g);
    }
    r->asks++;
    recover_turn(g);
    bool all = g->role == RAFT_LEADER || g->leader == RAFT_NODE_NONE;
    int leader = raft_voter_of(g, g->leader);
    for (unsigned i = 0; i < g->voters_count; i++) {
        bool turn = (int)i == leader || r->asks % g->voters_count == i;
        if (i != g->self && (all || turn)) {
            recover_ask(g, i);
        }
    }
    ASSERT(r->ask_us > h->now_us);
}

void raft_recover_start(struct raft_group *g)
{
    struct raft_recovery *r = &g->recovery;
    struct raft_host *h = g->host;
    ASSERT(g->started);
    r->lost_term = g->term;
    r->ctx = (rng_next(&h->rng) >> 1) | 1u;
    r->bump_us = h->now_us + h->options.election_us / 2;
    if (r->ambiguous && g->voters_count == 1) {
        recover_tail_judge(g);
    }
    if (g->voters_count == 1) {
        uint64_t held = NUM_MAX(g->log.held_index, g->log.base_index);
        uint64_t last = g->log.last_index;
        if (last < g->known_commit || r->ambiguous ||
            (held < last && raft_log_intact(&g->log, held + 1, last) != last)) {
            raft_fence(g); /* nobody else has what is lost */
        }
    }
    raft_recover_wake(g);
}

/* The caller found damaged payloads. */
void raft_recover_faulty(struct raft_group *g, uint64_t index, uint32_t count)
{
    uint64_t from = NUM_MAX(index, g->log.base_index + 1);
    g->recovery.asks_filled = g->recovery.asks;
    uint64_t end = 0;
    if (!num_add_u64(index, count, &end)) {
        end = UINT64_MAX;
    }
    end = NUM_MIN(end, g->log.last_index + 1);
    for (uint64_t i = from; i < end; i++) {
        raft_log_fault(&g->log, i);
    }
    ASSERT(g->log.durable_index <= g->log.last_index);
    raft_recover_wake(g);
}

/* ---- answering ----------------------------------------------------------------------------------
 */

/* Why there is no copy: a refusal counts as "never had it" only if this node is sure. */
static int recover_lack(const struct raft_group *g, const struct raft_message *m)
{
    const struct raft_recovery *r = &g->recovery;
    ASSERT(m->index > 0);
    if (m->index <= g->log.base_index) {
        return ERR_COMPACTED;
    }
    if (r->ambiguous || r->floored || g->hard_lost) {
        return ERR_BUSY;
    }
    if (m->index > g->log.last_index) {
        return ERR_NOT_FOUND;
    }
    uint64_t mine = raft_log_term(&g->log, m->index);
    bool other = mine != 0 && m->index_term != 0 && mine != m->index_term;
    ASSERT(raft_log_has(&g->log, m->index));
    return other ? ERR_NOT_FOUND : ERR_BUSY;
}

void raft_on_fetch(struct raft_group *g, const struct raft_message *m)
{
    const struct raft_options *o = &g->host->options;
    ASSERT(m->kind == RAFT_MSG_FETCH);
    if (m->hint == RECOVER_TAIL) {
        recover_tail_tell(g, m);
        return;
    }
    if (m->index == 0 || m->count == 0) {
        return;
    }
    struct raft_message reply = raft_message_to(g, RAFT_MSG_FETCH_REPLY, m->from);
    reply.ctx = m->ctx;
    reply.index = m->index - 1;
    reply.commit = g->commit_index;
    uint64_t bytes = 0;
    uint64_t most = NUM_MIN(m->count, o->message_entries_max);
    while (reply.count < most && raft_log_has(&g->log, m->index + reply.count)) {
        const struct raft_entry *e = &raft_log_slot(&g->log, m->index + reply.count)->entry;
        if (e->state != RAFT_ENTRY_OK ||
            (reply.count > 0 && bytes + e->bytes > o->message_bytes_max)) {
            break;
        }
        bytes += e->bytes;
        reply.count++;
    }
    bool same = reply.count > 0 &&
                (m->index_term == 0 || raft_log_term(&g->log, m->index) == m->index_term);
    reply.code = same ? 0 : recover_lack(g, m);
    reply.hint = g->recovery.ambiguous || g->recovery.floored || g->hard_lost;
    ASSERT(reply.count <= most);
    raft_send(g, &reply, g->last_seq);
}

/* returns: whether the copy of entry `at` of the message is the entry that is damaged here. */
static bool recover_is_same(const struct raft_group *g, const struct raft_message *m, uint32_t at)
{
    uint64_t index = m->index + 1 + at;
    uint64_t mine = raft_log_term(&g->log, index);
    ASSERT(at < m->count);
    ASSERT(raft_log_has(&g->log, index));
    if (mine != 0) {
        return mine == m->entries[at].term;
    }
    if (index <= m->commit || (m->term == g->term && m->from == g->leader)) {
        return true;
    }
    uint64_t known = index + 1;
    while (known < g->log.last_index && raft_log_term(&g->log, known) == 0) {
        known++;
    }
    if (!raft_log_has(&g->log, known)) {
        return false;
    }
    uint64_t after = raft_log_term(&g->log, known);
    uint64_t at_known = at + (known - index);
    return after == m->entries[at].term ||
           (after != 0 && at_known < m->count && m->entries[at_known].term == after);
}

static void recover_fill(struct raft_group *g, const struct raft_message *m)
{
    unsigned runs = 0;
    uint64_t run_from = 0;
    uint32_t run = 0;
    for (uint32_t i = 0; i <= m->count && runs < RECOVER_RUNS_MAX; i++) {
        uint64_t index = m->index + 1 + i;
        bool fill = i < m->count && raft_log_has(&g->log, index) &&
                    raft_log_slot(&g->log, index)->entry.state == RAFT_ENTRY_FAULTY &&
                    recover_is_same(g, m, i);
        if (fill) {
            raft_log_fill(&g->log, index, &m->entries[i]);
            run_from = run == 0 ? index : run_from;
            run++;
        } else if (run > 0) {
            raft_persist_entries(g, run_from, run, true);
            run = 0;
            runs++;
        }
    }
    ASSERT(run == 0);
    ASSERT(g->log.faulty_count <= g->log.last_index - g->log.base_index);
}

/* A voter never had a damaged entry of the leader. */
static void recover_lacks(struct raft_group *g, const struct raft_message *m, unsigned voter)
{
    struct raft_recovery *r = &g->recovery;
    uint64_t index = m->index + 1;
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(voter != g->self);
    if (m->term != g->term || m->code != ERR_NOT_FOUND || !raft_log_has(&g->log, index) ||
        raft_log_slot(&g->log, index)->entry.state != RAFT_ENTRY_FAULTY) {
        return;
    }
    r->lacking |= 1u << voter;
    if (recover_bits(r->lacking) < raft_quorum(g)) {
        return;
    }
    if (index <= g->commit_index) {
        raft_fence(g);
        return;
    }
    raft_follow(g, g->term, RAFT_NODE_NONE);
    raft_log_cut(&g->log, index);
    raft_persist_cut(g, index);
}

/* All voters have answered in the leader's term about an entry whose term is lost here, and those
 * that have one have the same. */
static void recover_agreed(struct raft_group *g, const struct raft_message *m, unsigned voter)
{
    struct raft_recovery *r = &g->recovery;
    uint64_t index = m->index + 1;
    uint32_t all = (1u << g->voters_count) - 1;
    ASSERT(g->role == RAFT_LEADER);
    if (m->term != g->term || m->count == 0 || m->code != 0 || m->hint != 0 ||
        !raft_log_has(&g->log, index) || raft_log_term(&g->log, index) != 0) {
        return;
    }
    ASSERT(raft_log_slot(&g->log, index)->entry.state == RAFT_ENTRY_FAULTY);
    r->mixed = r->mixed || (r->having != 0 && r->having_term != m->entries[0].term);
    r->having |= 1u << voter;
    r->having_term = m->entries[0].term;
    if (!r->mixed && (r->having | r->lacking | 1u << g->self) == all) {
        raft_log_fill(&g->log, index, &m->entries[0]);
        raft_persist_entries(g, index, 1, true);
    }
}

static void recover_judge(struct raft_group *g, const struct raft_message *m, unsigned voter)
{
    struct raft_recovery *r = &g->recovery;
    ASSERT(voter < g->voters_count);
    if (r->asked_index != m->index + 1 || r->asked_term != g->term) {
        r->asked_index = m->index + 1;
        r->asked_term = g->term;
        r->lacking = 0;
        r->having = 0;
        r->mixed = false;
    }
    ASSERT(r->having != 0 || !r->mixed);
    recover_agreed(g, m, voter);
    recover_lacks(g, m, voter);
}

int raft_on_fetch_reply(struct raft_group *g, const struct raft_message *m)
{
    struct raft_recovery *r = &g->recovery;
    int voter = raft_voter_of(g, m->from);
    ASSERT(voter >= 0);
    if (m->ctx == r->ctx) {
        if (r->ambiguous) {
            recover_tail_answer(g, m);
        }
        return 0;
    }
    uint64_t end = 0;
    if (!num_add_u64(m->index, (uint64_t)m->count + 1, &end)) {
        return ERR_PROTOCOL;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->entries[i].term == 0 || m->entries[i].type == 0) {
            return ERR_PROTOCOL;
        }
    }
    ASSERT(end > m->index);
    uint64_t before = g->log.faulty_count;
    recover_fill(g, m);
    if (g->log.faulty_count > 0 && g->role == RAFT_LEADER && m->ctx == r->ctx + 1) {
        recover_judge(g, m, (unsigned)voter);
    }
    if (g->log.faulty_count < before) {
        r->asks_filled = r->asks;
        raft_recover_wake(g); /* on to the next */
    }
    return 0;
}
