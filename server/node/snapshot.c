/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
/* stub */
#include "server/node/node_internal.h"
int node_snapshots_init(struct node *n)
{
    (void)n;
    return 0;
}
void node_snapshots_release(struct node *n)
{
    (void)n;
}
void node_snapshot_wanted(struct node *n, struct node_group *g, uint32_t peer)
{
    (void)n;
    (void)g;
    (void)peer;
}
void node_snapshot_serve(struct node *n, struct node_request request, struct bytes body)
{
    (void)body;
    node_answer(n, request, ERR_NOT_FOUND, bytes_of(NULL, 0), NULL);
}
