/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A coding as code.c hands it to coding.c: rows of coefficients, sources and results.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_ERASURE_ERASURE_INTERNAL_H
#define HOLDFAST_ERASURE_ERASURE_INTERNAL_H

#include "erasure/erasure.h"

struct erasure_coding {
    unsigned k;
    unsigned rows;
    struct erasure_kernel kernel;
    const uint8_t *tables;       /* of the coefficients */
    const uint8_t *coefficients; /* rows of k */
    struct bytes source[ERASURE_SHARDS_MAX];
    uint8_t *target[ERASURE_SHARDS_MAX];
    uint8_t source_shard[ERASURE_SHARDS_MAX];
    uint8_t target_shard[ERASURE_SHARDS_MAX];
};

/* Codes and checks; whatever is coded goes through here.
 * returns: 0, or ERR_CORRUPT: the results of the plain twin are wrong, too. */
int erasure_coding_run(const struct erasure_coding *c, size_t coded_bytes,
                       struct erasure_check *check);

#endif
