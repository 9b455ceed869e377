/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Callers whose updates are outstanding together, and a node that notes what is in which request.
 * An operation is known by its amount, which is that of its caller too.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CLIENT_CALLERS_H
#define HOLDFAST_TESTS_UNIT_CLIENT_CALLERS_H

#include "../unit.h"
#include "fake.h"

#include "base/err.h"

#define REQUESTS_MAX 2048u
#define CALLS_MAX 1100u

/* A request. */
struct sent {
    unsigned count;
    int64_t amount[HF_CRDT_OPS_MAX];
    uint64_t regions;
    size_t bytes;
    unsigned node;
    uint64_t session;
    uint64_t sequence;
    uint64_t index; /* of group 1, in the token */
    uint32_t copies;
    uint64_t budget_ms;
    bool apart;
    char space;
    struct fake_conn *conn;
    uint32_t msgid;
};

struct caller {
    int64_t amount;
    unsigned answers;
    int code;
    bool changed;
    size_t count;
    uint32_t copies;
    unsigned at; /* when, among all */
    bool again;  /* calls once more from its callback */
    bool frees;
};

extern struct fake fake;
extern struct sent sent[REQUESTS_MAX];
extern unsigned sents;
extern struct caller callers[CALLS_MAX];
extern unsigned answers;
extern unsigned applied[CALLS_MAX]; /* how often, by amount */
static const struct hf_crdt usual = {.copies = 1};

/* Notes a request. */
struct sent *note(struct fake_conn *conn, const struct wire_rpc *m);
/* Answers it; an odd amount has changed something. */
void say_done(const struct sent *s);
/* What the node does: answers, or does not, or not the first. */
void writes(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m);
void holds(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m);
void holds_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m);

void begin(unsigned nodes, fake_fn *serve);
/* Calls hf_crdt_update for callers[amount]. Keys differ by amount, unless the name is given. */
int call_op(struct hf_crdt_op op, struct hf_crdt with);
int call(int64_t amount, struct hf_crdt with); /* adds to a counter */
void call_all(int64_t from, int64_t to, struct hf_crdt with);
void until_sent(unsigned requests);
void until_answered(unsigned calls);
/* A request has these operations. */
void check_sent(unsigned request, int64_t from, int64_t to);
/* These callers had one good answer each, and it was done once. */
void check_done(int64_t from, int64_t to);

#endif
