/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The hash contexts of one thread, and the choice of a variant for a number of leaves. A variant
 * is a price for one pass over as many leaves as it has lanes; the cheapest sequence of passes for
 * up to sixteen leaves is worked out once, larger numbers begin with what sixteen begin with.
 */
#include "base/bytes.h"
#include "base/num.h"
#include "compute/compute_internal.h"

#include <openssl/evp.h>
#include <stdio.h>

#define TUNE_ROUNDS 3u
#define PLAN_LEAVES COMPUTE_SHA_LANES_MAX

struct compute {
    struct alloc alloc;
    EVP_MD *md;
    EVP_MD_CTX *context;
    bool measured;
    uint64_t pass_ns[COMPUTE_SHA_COUNT]; /* price of a pass */
    uint64_t best_ns[PLAN_LEAVES + 1];   /* of hashing so many leaves */
    enum compute_sha first[PLAN_LEAVES + 1];
};

/* Prices of a pass on a 2.5 GHz server core of 2023 without SHA instructions. Only their ratios
 * matter; compute_tune replaces them. */
static const uint64_t built_in_ns[COMPUTE_SHA_COUNT] = {
    [COMPUTE_SHA_PLAIN] = 66000,
    [COMPUTE_SHA_EVP] = 36000,
    [COMPUTE_SHA_LANES8] = 110000,
    [COMPUTE_SHA_LANES16] = 96000,
};

const char *compute_sha_name(enum compute_sha variant)
{
    static const char *const names[COMPUTE_SHA_COUNT] = {"plain", "evp", "lanes8", "lanes16"};
    ASSERT(variant < COMPUTE_SHA_COUNT);
    return names[variant];
}

/* The cheapest first pass for each number of leaves, from the smaller numbers up. */
static void plan(struct compute *c)
{
    c->best_ns[0] = 0;
    c->first[0] = COMPUTE_SHA_PLAIN;
    for (size_t leaves = 1; leaves <= PLAN_LEAVES; leaves++) {
        uint64_t best = UINT64_MAX;
        for (enum compute_sha v = COMPUTE_SHA_PLAIN; v < COMPUTE_SHA_COUNT; v++) {
            size_t part = NUM_MIN(leaves, (size_t)compute_sha_lanes_of(v));
            uint64_t price = c->pass_ns[v] + c->best_ns[leaves - part];
            if (compute_sha_runs(v) && price < best) {
                best = price;
                c->first[leaves] = v;
            }
        }
        c->best_ns[leaves] = best;
    }
}

int compute_new(struct compute **out, const struct alloc *alloc, struct err_info *why)
{
    struct compute *c = alloc_get_zeroed(alloc, 1, sizeof(*c));
    if (c == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for hash contexts");
    }
    c->alloc = *alloc;
    /* fetching is slow in OpenSSL 3: once here, never per message */
    c->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->context = EVP_MD_CTX_new();
    if (c->md == NULL || c->context == NULL || EVP_DigestInit_ex2(c->context, c->md, NULL) != 1) {
        compute_free(c);
        return err_set(why, ERR_INVALID, "openssl offers no 'SHA256'");
    }
    memcpy(c->pass_ns, built_in_ns, sizeof(c->pass_ns));
    plan(c);
    *out = c;
    return 0;
}

void compute_free(struct compute *c)
{
    if (c == NULL) {
        return;
    }
    EVP_MD_CTX_free(c->context);
    EVP_MD_free(c->md);
    struct alloc alloc = c->alloc;
    alloc_put(&alloc, c, sizeof(*c));
}

void compute_tune(struct compute *c, uint64_t (*now_ns)(void *ctx), void *ctx)
{
    const size_t bytes = (size_t)COMPUTE_LEAF_BYTES * COMPUTE_SHA_LANES_MAX;
    uint8_t hashes[COMPUTE_SHA_LANES_MAX * COMPUTE_HASH_BYTES];
    uint8_t *data = alloc_get_zeroed(&c->alloc, 1, bytes);
    if (data == NULL) {
        return; /* the built-in prices stay */
    }
    for (enum compute_sha v = COMPUTE_SHA_PLAIN; v < COMPUTE_SHA_COUNT; v++) {
        if (!compute_sha_runs(v)) {
            continue;
        }
        uint64_t best = UINT64_MAX;
        for (unsigned round = 0; round < TUNE_ROUNDS; round++) {
            uint64_t start = now_ns(ctx);
            compute_leaf_hashes_by(c, v, data, compute_sha_lanes_of(v) * COMPUTE_LEAF_BYTES,
                                   hashes);
            uint64_t took = now_ns(ctx) - start;
            best = NUM_MIN(best, took);
        }
        c->pass_ns[v] = NUM_MAX(best, 1);
    }
    alloc_put(&c->alloc, data, bytes);
    c->measured = true;
    plan(c);
}

enum compute_sha compute_pick(const struct compute *c, size_t leaves)
{
    return c->first[NUM_MIN(leaves, PLAN_LEAVES)];
}

void compute_explain(const struct compute *c, char *text, size_t size)
{
    if (size == 0) {
        return;
    }
    size_t used = 0;
    text[0] = '\0';
    for (size_t leaves = 1; leaves <= PLAN_LEAVES && used < size; leaves++) {
        enum compute_sha v = c->first[leaves];
        if (leaves > 1 && v == c->first[leaves - 1]) {
            continue;
        }
        int n = snprintf(text + used, size - used, "%s%s from %zu leaves (%llu us a pass of %u)",
                         leaves > 1 ? ", " : "", compute_sha_name(v), leaves,
                         (unsigned long long)(c->pass_ns[v] / 1000), compute_sha_lanes_of(v));
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < size) {
        (void)snprintf(text + used, size - used, ", prices %s",
                       c->measured ? "measured" : "built in");
    }
}

/* One message in two pieces. returns: false if OpenSSL failed. */
static bool evp_hash(struct compute *c, struct bytes head, struct bytes body, uint8_t *out)
{
    /* without a digest named, the context starts again with the one it has */
    return EVP_DigestInit_ex2(c->context, NULL, NULL) == 1 &&
           EVP_DigestUpdate(c->context, head.data, head.size) == 1 &&
           EVP_DigestUpdate(c->context, body.data, body.size) == 1 &&
           EVP_DigestFinal_ex(c->context, out, NULL) == 1;
}

void compute_sha256(struct compute *c, const void *data, size_t bytes,
                    uint8_t out[COMPUTE_HASH_BYTES])
{
    if (!evp_hash(c, bytes_of(NULL, 0), bytes_of(data, bytes), out)) {
        compute_sha256_plain(data, bytes, out);
    }
}

/* One leaf of any length by a one-message variant. */
static void leaf_single(struct compute *c, enum compute_sha variant, struct bytes leaf,
                        uint8_t *out)
{
    static const uint8_t prefix = 0x00;
    if (variant == COMPUTE_SHA_EVP && evp_hash(c, bytes_of(&prefix, 1), leaf, out)) {
        return;
    }
    compute_leaf_hash(leaf.data, leaf.size, out);
}

/* count leaves, at most the variant's lanes. */
static void leaf_pass(struct compute *c, enum compute_sha variant, const uint8_t *data,
                      size_t count, uint8_t *hashes)
{
    if (compute_sha_lanes_of(variant) == 1) {
        leaf_single(c, variant, bytes_of(data, COMPUTE_LEAF_BYTES), hashes);
        return;
    }
    compute_sha_leaves_in_lanes(variant, data, count, hashes);
}

void compute_leaf_hashes(struct compute *c, const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    for (size_t left = bytes / COMPUTE_LEAF_BYTES; left > 0;) {
        enum compute_sha variant = compute_pick(c, left);
        size_t part = NUM_MIN(left, (size_t)compute_sha_lanes_of(variant));
        leaf_pass(c, variant, data, part, hashes);
        data += part * COMPUTE_LEAF_BYTES;
        hashes += part * COMPUTE_HASH_BYTES;
        left -= part;
    }
    if (bytes % COMPUTE_LEAF_BYTES != 0) {
        leaf_single(c, compute_pick(c, 1), bytes_of(data, bytes % COMPUTE_LEAF_BYTES), hashes);
    }
}

void compute_leaf_hashes_by(struct compute *c, enum compute_sha variant, const uint8_t *data,
                            size_t bytes, uint8_t *hashes)
{
    ASSERT(compute_sha_runs(variant));
    for (size_t left = bytes / COMPUTE_LEAF_BYTES; left > 0;) {
        size_t part = NUM_MIN(left, (size_t)compute_sha_lanes_of(variant));
        leaf_pass(c, variant, data, part, hashes);
        data += part * COMPUTE_LEAF_BYTES;
        hashes += part * COMPUTE_HASH_BYTES;
        left -= part;
    }
    if (bytes % COMPUTE_LEAF_BYTES != 0) {
        leaf_single(c, variant, bytes_of(data, bytes % COMPUTE_LEAF_BYTES), hashes);
    }
}
