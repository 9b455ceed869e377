/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Hashes of cells, on workers. What the host has for whole jobs is asked where somebody else knows
 * the hashes too: a put's are compared with the client's root before anything is committed, those
 * of cells that are read with what was committed or stored. If they differ there, the processor has
 * the last word. Where nobody knows them, as of derived cells, they are made by the processor.
 */
#include "server/node/objects_internal.h"

void node_leaves_of(struct compute *c, const uint8_t *data, uint32_t bytes, uint8_t *leaves,
                    uint8_t root[MERKLE_HASH_BYTES])
{
    uint64_t count = compute_leaves_of(bytes);
    if (c != NULL) {
        compute_leaf_hashes(c, data, bytes, leaves);
    } else {
        for (uint64_t i = 0; i < count; i++) {
            uint64_t at = i * COMPUTE_LEAF_BYTES;
            compute_leaf_hash(data + at, NUM_MIN((uint64_t)COMPUTE_LEAF_BYTES, bytes - at),
                              leaves + i * COMPUTE_HASH_BYTES);
        }
    }
    merkle_root_of(leaves, count, root);
}

/* returns: whether the host has made the hashes. */
static bool node_leaves_whole(const struct node_env *env, const struct compute_leaves *runs,
                              unsigned count)
{
    const struct compute_whole *w = env->whole;
    return w != NULL && w->leaf_hashes != NULL && w->leaf_hashes(w->ctx, runs, count);
}

static void node_leaves_here(const struct node_env *env, const struct compute_leaves *run)
{
    uint8_t root[MERKLE_HASH_BYTES];
    node_leaves_of(env->compute, run->data, (uint32_t)run->bytes, run->hashes, root);
}

void node_leaves_many(const struct node_env *env, const struct compute_leaves *runs, unsigned count)
{
    if (node_leaves_whole(env, runs, count)) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (runs[i].bytes > 0) {
            node_leaves_here(env, &runs[i]);
        }
    }
}

bool node_leaves_check(const struct node_env *env, const struct compute_leaves *run, void *ctx,
                       node_leaves_fit_fn *fits)
{
    const bool whole = node_leaves_whole(env, run, 1);
    if (whole && fits(ctx)) {
        return true;
    }
    node_leaves_here(env, run);
    const bool right = fits(ctx);
    if (whole && right && env->whole->wrong != NULL) {
        env->whole->wrong(env->whole->ctx);
    }
    return right;
}
