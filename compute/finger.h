/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints that are linear over the field of the codes, GF(2^8) modulo 0x11d: the fingerprint
 * of a sum of multiples of buffers is the same sum of multiples of their fingerprints. So those of
 * parity follow from those of data without a look at a byte (Hendricks, Ganger, Reiter, "Verifying
 * distributed erasure-coded data", PODC 2007, section 2: evaluation fingerprints).
 *
 * Bytes are rows of 32; the last is filled up with zeros. The fingerprint, also a row, is the sum
 * of g^i * row i with g = 0x51, which has order 255: each column of bytes is a polynomial, and its
 * value at g is one byte of the fingerprint. Zero bytes at the end change nothing.
 *
 * What two buffers of one fingerprint may differ in: not in bits of one row only, nor within any 32
 * bytes in a row (each column then differs in one byte at most, and no power of g is 0); not in one
 * row in two places less than 255 rows apart by the same bytes, nor by rows that were swapped over
 * such a distance. Random bytes in two rows or more, in c columns, are missed with probability
 * 2^(-8 c): 2^-256 over whole rows. It is no hash against an adversary: who knows g can make two
 * buffers of one fingerprint.
 *
 *   struct compute_finger f;
 *   compute_finger_init(&f);
 *   compute_finger_add(&f, data, bytes);              piece by piece, cut anywhere
 *   compute_finger_end(&f, fingerprint);
 *
 * Limits: none.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_FINGER_H
#define HOLDFAST_COMPUTE_FINGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPUTE_FINGER_BYTES 32u

/* All variants give the same bits. */
enum compute_finger_variant {
    COMPUTE_FINGER_PLAIN, /* plain C, a byte at a time: the twin of the others */
    COMPUTE_FINGER_WIDE,  /* vectors of 32 bytes as the compiler makes them of what every machine of
                             the kind has */
    COMPUTE_FINGER_AVX2,
    COMPUTE_FINGER_AVX512,
    COMPUTE_FINGER_COUNT,
};

/* returns: whether this processor runs the variant. */
bool compute_finger_runs(enum compute_finger_variant variant);
/* returns: "plain", "wide", "avx2", "avx512". Static. */
const char *compute_finger_name(enum compute_finger_variant variant);

/* Pieces are added without a break at multiples of this; elsewhere they cost some 200 ns. */
#define COMPUTE_FINGER_BLOCK_BYTES 832u

struct compute_finger {
    uint64_t bytes;
    enum compute_finger_variant variant;
    bool folded;                       /* sum has all, state is zeros */
    uint8_t sum[COMPUTE_FINGER_BYTES]; /* by Horner's rule; of a row begun, what there is of it */
    uint8_t state[COMPUTE_FINGER_BLOCK_BYTES]; /* of the vector kernels */
};

/* By the fastest variant that runs here. */
void compute_finger_init(struct compute_finger *f);
/* By a variant, which must run here. */
void compute_finger_init_by(struct compute_finger *f, enum compute_finger_variant variant);
/* data: any alignment; may be NULL if bytes is 0. */
void compute_finger_add(struct compute_finger *f, const uint8_t *data, size_t bytes);
/* out: that of the bytes so far; more may be added. */
void compute_finger_end(const struct compute_finger *f, uint8_t out[COMPUTE_FINGER_BYTES]);

/* sum += coefficient * finger, byte by byte: what a code does to bytes, done to fingerprints. */
void compute_finger_combine(uint8_t coefficient, const uint8_t finger[COMPUTE_FINGER_BYTES],
                            uint8_t sum[COMPUTE_FINGER_BYTES]);

#endif
