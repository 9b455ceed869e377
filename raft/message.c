/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of a message: a fixed head of 85 bytes, then `count` items, then (appended by the caller)
 * the payloads of the entries in order. Little-endian.
 *
 *   u8 kind, u32 group, from, to, u64 term, index, index_term, commit, ctx, hint, hint_term,
 *   u32 code, count, u64 zero
 *   entry      u64 term, time_us, u32 bytes, u8 type                  APPEND, FETCH_REPLY
 *   heartbeat  u32 group, u64 term, commit, read_seq                  HEARTBEAT, HEARTBEAT_REPLY
 *
 * Fields by kind (term is the sender's unless told):
 *   PRE_VOTE         term: the one it would stand in; index, index_term: end of its log
 *   PRE_VOTE_REPLY   code 0: term as asked; else the refuser's term
 *   VOTE             index, index_term: end of its log
 *   VOTE_REPLY       code
 *   APPEND           index, index_term: the entry before; commit; ctx: round; entries
 *   APPEND_REPLY     code 0: index: equal and durable up to it; hint: first damaged entry after
 *                    it, or 0. ERR_CONFLICT: index: as asked; hint, hint_term: where the logs may
 *                    meet. ERR_BUSY: no room. ERR_NOT_LEADER: the term is newer. ctx: as asked
 *   HEARTBEAT, _REPLY  items
 *   READ             ctx: number of the question
 *   READ_REPLY       ctx, code, index: serve when applied
 *   SNAPSHOT         index, index_term: of the snapshot; ctx: its id; commit
 *   FETCH            ctx: number of the question. hint 1: how does the log end? hint 0: count
 *                    entries from index on, the first of them of term index_term (0: not known)
 *   FETCH_REPLY      ctx. To hint 1: hint, hint_term: end of the log; code 0: from the leader,
 *                    ERR_NOT_LEADER: sure, ERR_BUSY: not sure. To hint 0: entries index + 1 on;
 *                    code 0, ERR_NOT_FOUND: never had it, ERR_BUSY: cannot tell, ERR_COMPACTED;
 *                    commit: the sender's; hint 1: its own log is in doubt
 */
#include "base/err.h"
#include "raft/raft_internal.h"

static bool message_has_entries(enum raft_message_kind kind)
{
    return kind == RAFT_MSG_APPEND || kind == RAFT_MSG_FETCH_REPLY;
}

static bool message_has_beats(enum raft_message_kind kind)
{
    return kind == RAFT_MSG_HEARTBEAT || kind == RAFT_MSG_HEARTBEAT_REPLY;
}

static void message_put_entry(struct buf *into, const struct raft_entry *e)
{
    ASSERT(e->type != 0);
    ASSERT(e->term != 0);
    (void)buf_put_u64(into, e->term);
    (void)buf_put_u64(into, e->time_us);
    (void)buf_put_u32(into, e->bytes);
    (void)buf_put_u8(into, e->type);
}

static void message_put_beat(struct buf *into, const struct raft_heartbeat *b)
{
    ASSERT(b->term != 0);
    (void)buf_put_u32(into, b->group);
    (void)buf_put_u64(into, b->term);
    (void)buf_put_u64(into, b->commit);
    (void)buf_put_u64(into, b->read_seq);
}

int raft_message_encode(struct buf *into, const struct raft_message *m,
                        const struct raft_entry *entries)
{
    ASSERT(m->kind >= RAFT_MSG_PRE_VOTE && m->kind <= RAFT_MSG_FETCH_REPLY);
    ASSERT(m->count == 0 || !message_has_entries(m->kind) || entries != NULL);
    const uint64_t numbers[] = {m->term, m->index, m->index_term, m->commit,
                                m->ctx,  m->hint,  m->hint_term};
    (void)buf_put_u8(into, (uint8_t)m->kind);
    (void)buf_put_u32(into, m->group);
    (void)buf_put_u32(into, m->from);
    (void)buf_put_u32(into, m->to);
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)buf_put_u64(into, numbers[i]);
    }
    (void)buf_put_u32(into, (uint32_t)m->code);
    (void)buf_put_u32(into, m->count);
    (void)buf_put_u64(into, 0);
    for (uint32_t i = 0; message_has_entries(m->kind) && i < m->count; i++) {
        message_put_entry(into, &entries[i]);
    }
    for (uint32_t i = 0; message_has_beats(m->kind) && i < m->count; i++) {
        message_put_beat(into, &m->heartbeats[i]);
    }
    return into->err;
}

static void message_take_head(struct bytes_reader *r, struct raft_message *m, unsigned *kind,
                              uint64_t *zero)
{
    ASSERT(r != NULL);
    *kind = bytes_take_u8(r);
    m->group = bytes_take_u32(r);
    m->from = bytes_take_u32(r);
    m->to = bytes_take_u32(r);
    uint64_t *numbers[] = {&m->term, &m->index, &m->index_term, &m->commit,
                           &m->ctx,  &m->hint,  &m->hint_term};
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        *numbers[i] = bytes_take_u64(r);
    }
    m->code = (int32_t)bytes_take_u32(r);
    m->count = bytes_take_u32(r);
    *zero = bytes_take_u64(r);
    ASSERT(!r->failed || r->left == 0 || r->left < 85);
}

/* returns: the sum of the entries' bytes; *ok is false if one cannot be. */
static uint64_t message_take_entries(struct bytes_reader *r, struct raft_entry *entries,
                                     uint32_t count, bool *ok)
{
    uint64_t sum = 0;
    ASSERT(count == 0 || entries != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct raft_entry *e = &entries[i];
        *e = (struct raft_entry){.term = bytes_take_u64(r)};
        e->time_us = bytes_take_u64(r);
        e->bytes = bytes_take_u32(r);
        e->type = bytes_take_u8(r);
        sum += e->bytes;
        *ok = *ok && e->term != 0 && e->type != 0;
    }
    ASSERT(sum <= (uint64_t)count * UINT32_MAX);
    return sum;
}

static void message_take_beats(struct bytes_reader *r, struct raft_heartbeat *beats, uint32_t count)
{
    ASSERT(count == 0 || beats != NULL);
    for (uint32_t i = 0; i < count; i++) {
        beats[i].group = bytes_take_u32(r);
        beats[i].term = bytes_take_u64(r);
        beats[i].commit = bytes_take_u64(r);
        beats[i].read_seq = bytes_take_u64(r);
    }
    ASSERT(!r->failed || r->left == 0 || count > 0);
}

int raft_message_decode(struct bytes raw, struct raft_message *out, struct raft_entry *entries,
                        struct raft_heartbeat *heartbeats, unsigned max, struct bytes *payloads)
{
    struct bytes_reader r = bytes_reader_of(raw);
    struct raft_message m = {0};
    unsigned kind = 0;
    uint64_t zero = 0;
    ASSERT(out != NULL && payloads != NULL);
    message_take_head(&r, &m, &kind, &zero);
    if (r.failed || kind < RAFT_MSG_PRE_VOTE || kind > RAFT_MSG_FETCH_REPLY || zero != 0 ||
        m.from == RAFT_NODE_NONE || m.to == RAFT_NODE_NONE || m.from == m.to) {
        return ERR_PROTOCOL;
    }
    m.kind = (enum raft_message_kind)kind;
    uint64_t bytes = 0;
    bool ok = true;
    if (message_has_entries(m.kind) || message_has_beats(m.kind)) {
        if (m.count > max) {
            return ERR_PROTOCOL;
        }
        if (message_has_entries(m.kind)) {
            bytes = message_take_entries(&r, entries, m.count, &ok);
            m.entries = m.count > 0 ? entries : NULL;
        } else {
            message_take_beats(&r, heartbeats, m.count);
            m.heartbeats = m.count > 0 ? heartbeats : NULL;
        }
    } else if (m.count != 0 && m.kind != RAFT_MSG_FETCH) {
        return ERR_PROTOCOL;
    }
    if (r.failed || !ok || r.left != bytes) {
        return ERR_PROTOCOL;
    }
    ASSERT(m.count <= max || m.kind == RAFT_MSG_FETCH);
    *payloads = bytes_of(r.at, r.left);
    *out = m;
    return 0;
}
