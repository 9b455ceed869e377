/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The log of one group as raft knows it: a ring of metadata, and how much of it is durable. An
 * entry is durable when the watermark has passed the PERSIST that wrote it, so the completion of
 * an overwritten entry never counts for its successor. A faulty entry is there, with its place
 * and mostly its term, but is not durable until it is filled again. No payloads, no decisions.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

int raft_log_init(struct raft_log *log, const struct alloc *alloc, uint32_t cap)
{
    ASSERT(num_is_pow2(cap));
    *log = (struct raft_log){.cap = cap};
    log->ring = alloc_get(alloc, (size_t)cap * sizeof(*log->ring)); /* written before read */
    return log->ring == NULL ? ERR_NO_MEMORY : 0;
}

void raft_log_release(struct raft_log *log, const struct alloc *alloc)
{
    alloc_put(alloc, log->ring, (size_t)log->cap * sizeof(*log->ring));
    log->ring = NULL;
}

bool raft_log_has(const struct raft_log *log, uint64_t index)
{
    return index > log->base_index && index <= log->last_index;
}

struct raft_slot *raft_log_slot(const struct raft_log *log, uint64_t index)
{
    ASSERT(raft_log_has(log, index));
    return &log->ring[index & (log->cap - 1)];
}

uint64_t raft_log_term(const struct raft_log *log, uint64_t index)
{
    if (index == log->base_index) {
        return log->base_term;
    }
    return raft_log_has(log, index) ? raft_log_slot(log, index)->entry.term : 0;
}

uint64_t raft_log_time(const struct raft_log *log)
{
    uint64_t time_us = log->base_time_us;
    if (log->last_index > log->base_index) {
        time_us = NUM_MAX(time_us, raft_log_slot(log, log->last_index)->entry.time_us);
    }
    return time_us;
}

uint32_t raft_log_room(const struct raft_log *log)
{
    ASSERT(log->last_index - log->base_index <= log->cap);
    return log->cap - (uint32_t)(log->last_index - log->base_index);
}

/* Where the faulty entries start, after some were filled or dropped. */
static void log_find_faulty(struct raft_log *log, uint64_t from)
{
    log->faulty_first = 0;
    if (log->faulty_count == 0) {
        return;
    }
    for (uint64_t i = NUM_MAX(from, log->base_index + 1); i <= log->last_index; i++) {
        if (raft_log_slot(log, i)->entry.state == RAFT_ENTRY_FAULTY) {
            log->faulty_first = i;
            return;
        }
    }
    ASSERT(log->faulty_first != 0);
}

/* Its PERSIST has to follow: until then it is as if written by one that never completes. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry)
{
    ASSERT(raft_log_room(log) > 0);
    log->last_index++;
    struct raft_slot *slot = raft_log_slot(log, log->last_index);
    slot->entry = *entry;
    slot->seq = RAFT_NEVER;
    if (entry->state == RAFT_ENTRY_FAULTY) {
        log->faulty_count++;
        if (log->faulty_first == 0) {
            log->faulty_first = log->last_index;
        }
    }
}

/* An intact copy for a faulty entry. */
void raft_log_fill(struct raft_log *log, uint64_t index, const struct raft_entry *entry)
{
    struct raft_slot *slot = raft_log_slot(log, index);
    ASSERT(slot->entry.state == RAFT_ENTRY_FAULTY);
    ASSERT(log->faulty_count > 0);
    slot->entry = *entry;
    slot->entry.state = RAFT_ENTRY_OK;
    slot->seq = RAFT_NEVER;
    log->faulty_count--;
    log_find_faulty(log, log->faulty_first);
}

void raft_log_fault(struct raft_log *log, uint64_t index)
{
    struct raft_slot *slot = raft_log_slot(log, index);
    if (slot->entry.state == RAFT_ENTRY_FAULTY) {
        return;
    }
    slot->entry.state = RAFT_ENTRY_FAULTY;
    log->faulty_count++;
    if (log->faulty_first == 0 || index < log->faulty_first) {
        log->faulty_first = index;
    }
    if (index > log->held_index) {
        log->durable_index = NUM_MIN(log->durable_index, index - 1);
    }
    ASSERT(log->durable_index >= log->held_index || log->held_index > log->last_index);
}

static uint64_t log_faulty_between(const struct raft_log *log, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (uint64_t i = from; log->faulty_count > 0 && i <= to; i++) {
        count += raft_log_slot(log, i)->entry.state == RAFT_ENTRY_FAULTY;
    }
    return count;
}

void raft_log_cut(struct raft_log *log, uint64_t from)
{
    ASSERT(from > log->base_index);
    if (from > log->last_index) {
        return;
    }
    log->faulty_count -= log_faulty_between(log, from, log->last_index);
    log->last_index = from - 1;
    log->durable_index = NUM_MIN(log->durable_index, from - 1);
    log_find_faulty(log, log->faulty_first);
    ASSERT(log->last_index >= log->base_index);
}

/* Drops the head up to index, which is in the state machine. */
void raft_log_compact(struct raft_log *log, uint64_t index)
{
    ASSERT(index > log->base_index);
    ASSERT(index <= log->last_index);
    struct raft_slot *slot = raft_log_slot(log, index);
    log->faulty_count -= log_faulty_between(log, log->base_index + 1, index);
    log->base_term = slot->entry.term;
    log->base_time_us = NUM_MAX(log->base_time_us, slot->entry.time_us);
    log->base_index = index;
    raft_log_hold(log, index);
    log_find_faulty(log, index + 1);
}

/* The state machine holds index durably: what is damaged below it is of no matter here. */
void raft_log_hold(struct raft_log *log, uint64_t index)
{
    log->held_index = NUM_MAX(log->held_index, index);
    log->durable_index = NUM_MAX(log->durable_index, NUM_MIN(log->held_index, log->last_index));
    ASSERT(log->held_index >= log->base_index);
}

void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term, uint64_t time_us)
{
    ASSERT(index >= log->base_index);
    log->base_index = index;
    log->base_term = term;
    log->base_time_us = NUM_MAX(log->base_time_us, time_us);
    log->last_index = index;
    log->held_index = NUM_MAX(log->held_index, index);
    log->durable_index = index;
    log->faulty_count = 0;
    log->faulty_first = 0;
}

/* The watermark is at seq. returns: whether durable_index rose. */
bool raft_log_durable(struct raft_log *log, uint64_t seq)
{
    uint64_t before = log->durable_index;
    while (log->durable_index < log->last_index) {
        const struct raft_slot *slot = raft_log_slot(log, log->durable_index + 1);
        if (slot->seq > seq || slot->entry.state != RAFT_ENTRY_OK) {
            break;
        }
        log->durable_index++;
    }
    ASSERT(log->durable_index <= log->last_index);
    return log->durable_index > before;
}

/* returns: the highest place <= index whose term is known and at most term; base_index when the
 * log has none. Both sides use it, so that logs that differ meet in as many questions as there
 * are terms between them (scenario 30). */
uint64_t raft_log_not_above(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t at = NUM_MIN(index, log->last_index);
    while (at > log->base_index) {
        uint64_t here = raft_log_slot(log, at)->entry.term;
        if (here != 0 && here <= term) {
            return at;
        }
        at--;
    }
    return log->base_index;
}

/* returns: the end of the run of intact entries from `from` to at most `to`; from - 1: none. */
uint64_t raft_log_intact(const struct raft_log *log, uint64_t from, uint64_t to)
{
    ASSERT(from > log->base_index);
    ASSERT(to <= log->last_index);
    if (log->faulty_count == 0 || log->faulty_first > to) {
        return NUM_MAX(to, from - 1);
    }
    for (uint64_t i = from; i <= to; i++) {
        if (raft_log_slot(log, i)->entry.state != RAFT_ENTRY_OK) {
            return i - 1;
        }
    }
    return NUM_MAX(to, from - 1);
}
