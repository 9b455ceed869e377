/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Kernels: SHA-256 of leaves and tree nodes, Reed-Solomon over GF(2^8). Each fast kernel has a
 * plain C twin that gives the same bits. Functions work on given memory and allocate nothing;
 * CRC32C is in base/crc.h.
 *
 *   compute_new(&c, &heap, &why);                     one a thread, at start
 *   compute_leaf_hashes(c, data, bytes, hashes);      RFC 6962 leaf hashes, 16 KiB leaves
 *   compute_node_hashes(pairs, n, parents);           RFC 6962 inner nodes, n at once
 *   compute_rs_matrix(k, m, matrix);                  once a code
 *   compute_rs_tables(k, m, matrix + k * k, tables);
 *   compute_rs_encode(&job);                          a job: tables, data, coded, bytes
 *   compute_free(c);
 *
 * Hashes are 32 bytes each, arrays of them lie without gaps.
 *
 * Limits: k and rows at most COMPUTE_RS_MAX; nothing else is bounded.
 *
 * threads: a struct compute has one owner at a time; functions without one are pure.
 */
#ifndef HOLDFAST_COMPUTE_COMPUTE_H
#define HOLDFAST_COMPUTE_COMPUTE_H

#include "base/alloc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPUTE_HASH_BYTES 32u
#define COMPUTE_LEAF_BYTES 16384u
#define COMPUTE_RS_MAX 32u
#define COMPUTE_RS_TABLE_BYTES 32u /* a coefficient's share of the tables */

struct compute;

/* The variants of SHA-256. All give the same bits. */
enum compute_sha {
    COMPUTE_SHA_PLAIN,   /* plain C, one message at a time: the twin of the others */
    COMPUTE_SHA_EVP,     /* OpenSSL, one message at a time: the reference */
    COMPUTE_SHA_LANES8,  /* AVX2, eight messages at once */
    COMPUTE_SHA_LANES16, /* AVX-512, sixteen messages at once */
    COMPUTE_SHA_COUNT,
};

/* Makes the hash contexts of one thread, and chooses kernels by the processor's features and
 * built-in costs.
 * returns: 0; ERR_NO_MEMORY; ERR_INVALID if OpenSSL offers no SHA-256. */
int compute_new(struct compute **out, const struct alloc *alloc, struct err_info *why);
void compute_free(struct compute *c);

/* Measures every variant that runs here and chooses by the result: some milliseconds, at start.
 * now_ns: a monotonic clock; called, not kept. */
void compute_tune(struct compute *c, uint64_t (*now_ns)(void *ctx), void *ctx);

/* returns: whether this processor runs the variant. */
bool compute_sha_runs(enum compute_sha variant);
/* returns: "plain", "evp", "lanes8", "lanes16". Static. */
const char *compute_sha_name(enum compute_sha variant);
/* returns: the variant taken for this many whole leaves at once. */
enum compute_sha compute_pick(const struct compute *c, size_t leaves);
/* Writes one sentence on what is taken from how many leaves on, and why. text: cut to size. */
void compute_explain(const struct compute *c, char *text, size_t size);

/* SHA-256 of data, by the faster one of the one-message variants. */
void compute_sha256(struct compute *c, const void *data, size_t bytes,
                    uint8_t out[COMPUTE_HASH_BYTES]);
/* The plain C twin. */
void compute_sha256_plain(const void *data, size_t bytes, uint8_t out[COMPUTE_HASH_BYTES]);

/* returns: how many leaves hold this many bytes. */
static inline uint64_t compute_leaves_of(uint64_t bytes)
{
    return bytes / COMPUTE_LEAF_BYTES + (bytes % COMPUTE_LEAF_BYTES != 0);
}

/* SHA-256(0x00 || leaf) of consecutive 16 KiB leaves, the last one possibly shorter.
 * hashes: room for compute_leaves_of(bytes) hashes. bytes 0 writes nothing. */
void compute_leaf_hashes(struct compute *c, const uint8_t *data, size_t bytes, uint8_t *hashes);
/* The same by one variant, which must run here. */
void compute_leaf_hashes_by(struct compute *c, enum compute_sha variant, const uint8_t *data,
                            size_t bytes, uint8_t *hashes);

/* SHA-256(0x00 || leaf) of one leaf of any length. */
void compute_leaf_hash(const void *leaf, size_t bytes, uint8_t out[COMPUTE_HASH_BYTES]);

/* SHA-256(0x01 || left || right). out may be left or right. */
void compute_node_hash(const uint8_t left[COMPUTE_HASH_BYTES],
                       const uint8_t right[COMPUTE_HASH_BYTES], uint8_t out[COMPUTE_HASH_BYTES]);
/* n parents from 2n children that lie next to one another. parents may be children. */
void compute_node_hashes(const uint8_t *children, size_t n, uint8_t *parents);
void compute_node_hashes_plain(const uint8_t *children, size_t n, uint8_t *parents);

/* --- Reed-Solomon over GF(2^8), polynomial 0x11d, ISA-L's byte layout --- */

/* Fills (k + m) rows of k coefficients: the identity, then Cauchy rows, so that any k rows can be
 * inverted. k + m at most COMPUTE_RS_MAX. k 1: every parity row is a copy. */
void compute_rs_matrix(unsigned k, unsigned m, uint8_t *matrix);
/* Inverts an n x n matrix. in is destroyed. returns: false if there is no inverse. */
bool compute_rs_invert(uint8_t *in, uint8_t *out, unsigned n);
uint8_t compute_gf_mul(uint8_t a, uint8_t b);

/* Prepares rows x k coefficients. tables: rows * k * COMPUTE_RS_TABLE_BYTES. */
void compute_rs_tables(unsigned k, unsigned rows, const uint8_t *coefficients, uint8_t *tables);

struct compute_rs_job {
    unsigned k;
    unsigned rows;
    const uint8_t *tables;      /* of compute_rs_tables(k, rows, ...) */
    const uint8_t *const *data; /* k sources of bytes each, any alignment */
    uint8_t *const *coded;      /* rows results of bytes each, apart from all sources */
    size_t bytes;
};

/* coded[i] = sum over j of coefficient[i][j] * data[j], byte by byte. */
void compute_rs_encode(const struct compute_rs_job *job);
/* The plain C twin. coefficients: what job->tables was made of; job->tables is not read. */
void compute_rs_encode_plain(const struct compute_rs_job *job, const uint8_t *coefficients);

#endif
