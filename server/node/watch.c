/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/node/node_internal.h"
int node_watch_init(struct node *n)
{
    (void)n;
    return 0;
}
void node_watch_release(struct node *n)
{
    (void)n;
}
void node_watch_note(struct node *n, struct node_group *g, struct bytes name, bool present,
                     struct bytes value, uint64_t revision)
{
    (void)n;
    (void)g;
    (void)name;
    (void)present;
    (void)value;
    (void)revision;
}
void node_watch_turn(struct node *n, struct node_group *g)
{
    (void)n;
    (void)g;
}
void node_watch_reset(struct node *n, struct node_group *g)
{
    (void)n;
    (void)g;
}
void node_watch_conn_gone(struct node *n, struct node_conn *c)
{
    (void)n;
    (void)c;
}
const struct node_api node_watch_api[] = {{NULL, NULL}};
