/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the two files of commands on objects share: object_ops.c (buckets, intents, commits) and
 * object_extents.c (extents, their shards, freeing).
 */
#ifndef HOLDFAST_SERVER_NODE_OBJECT_OPS_INTERNAL_H
#define HOLDFAST_SERVER_NODE_OBJECT_OPS_INTERNAL_H

#include "server/node/object_internal.h"

/* Puts a record and releases its bytes. */
int node_op_keep(struct node_sm *sm, const struct node_name *name, struct buf *record);
int node_op_keys_of_ref(const struct node_extent_ref *ref, struct node_keys *out);
int node_op_keys_of_version(struct node_version v, struct node_keys *out);
int node_op_free_add(struct node_sm *sm, uint64_t due, struct node_version v);

/* Getters view the state until the next call on sm; a keeper encodes before it calls. */
int node_op_bucket_get(struct node_sm *sm, struct bytes bucket, struct node_bucket *out);
int node_op_intent_get(struct node_sm *sm, struct node_version v, struct node_intent *out);
int node_op_intent_keep(struct node_sm *sm, struct node_version v, const struct node_intent *i,
                        const struct alloc *alloc);
int node_op_version_get(struct node_sm *sm, struct node_version v, struct node_version_rec *out);
int node_op_version_keep(struct node_sm *sm, struct node_version v,
                         const struct node_version_rec *rec, const struct alloc *alloc);

int node_extent_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_extent_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
int node_repaired_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
int node_damaged_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
int node_move_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_move_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
int node_free_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_free_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);

#endif
