/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A question under way, and the rows it is answered from.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_QUERY_INTERNAL_H
#define HOLDFAST_SERVER_NODE_QUERY_INTERNAL_H

#include "server/node/node_internal.h"

enum node_ask_state {
    NODE_ASK_NEW = 0,
    NODE_ASK_SENT,
    NODE_ASK_READY,
    NODE_ASK_FETCHING,
    NODE_ASK_IDLE,
    NODE_ASK_CALLED,
    NODE_ASK_REFUSED,
};

struct node_ask {
    struct node_link link;
    struct node_timer timer;
    struct node_group *g; /* NULL: no replica here */
    const struct node_query_op *op;
    struct buf body;
    uint32_t group;
    enum node_ask_state state;
    bool stale;
    bool local_only; /* came from another node */
    bool away;       /* the replica here cannot answer it */
    bool expired;
    int code;
    unsigned fetch_retry;
    uint64_t index;
    uint64_t deadline_us;
    void *ctx;
    node_done_fn *done;
};

/* Sets the range of f, with room for rows that the memtable hides. returns: 0 or an error. */
int node_rows_range(struct node *n, struct node_ask *a, const struct node_range *range,
                    struct node_fetch *f);
/* f: what was read, or NULL. *again: the read was too short, or a record is not in memory any
 * more: it must be repeated. rows: to be released in any case. */
int node_rows_build(struct node *n, struct node_ask *a, const struct node_fetch *f,
                    struct node_rows *rows, bool *again);
void node_rows_release(struct node_rows *rows);
size_t node_round_bytes(void);

#endif
