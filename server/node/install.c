/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/node/node_internal.h"
void node_install_begin(struct node *n, struct node_group *g, const struct raft_action *a)
{
    (void)n;
    (void)g;
    (void)a;
}
void node_install_turn(struct node *n)
{
    (void)n;
}
void node_install_release(struct node *n, struct node_group *g)
{
    (void)n;
    (void)g;
}
void node_clean_start(struct node *n, struct node_group *g)
{
    (void)n;
    (void)g;
}
