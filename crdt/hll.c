/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal
 * cardinality estimation algorithm", 2007) with 64-bit hashes, so that only small counts need a
 * correction: linear counting. A register is a record; it holds the greatest rank seen, the number
 * of leading zeros + 1 after the bits that choose the register.
 */
#include "base/hash.h"
#include "crdt/crdt_internal.h"

#define CRDT_HLL_RANK_MAX (65u - CRDT_HLL_PRECISION)

static uint8_t crdt_hll_greatest(const struct crdt_record *r)
{
    uint8_t most = 0;
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        most = e->payload[0] > most ? e->payload[0] : most;
    }
    return most;
}

uint8_t crdt_hll_place(struct bytes element, uint8_t name[3])
{
    struct hash_digest d = {0};
    hash_digest_add(&d, element, (struct bytes){0});
    uint64_t at = d.low >> (64 - CRDT_HLL_PRECISION);
    uint64_t rest = d.low << CRDT_HLL_PRECISION;
    uint8_t rank = 1;
    for (; rank < CRDT_HLL_RANK_MAX && (rest >> 63) == 0; rest <<= 1) {
        rank++;
    }
    name[0] = CRDT_HLL_PRECISION;
    name[1] = (uint8_t)(at >> 8);
    name[2] = (uint8_t)at;
    return rank;
}

int crdt_make_hll(struct crdt_making *m)
{
    uint8_t name[3];
    if (m->op->verb != CRDT_ADD) {
        return ERR_INVALID;
    }
    uint8_t rank = crdt_hll_place(m->op->value, name);
    TRY(buf_append(&m->key, name, sizeof(name)));
    const struct crdt_record *r = crdt_making_record(m);
    if (crdt_hll_greatest(r) >= rank) {
        return 0;
    }
    TRY(crdt_making_replace_all(m, r));
    return crdt_making_put(m, bytes_of(&rank, 1));
}

/* The natural logarithm of x, 1 <= x <= CRDT_HLL_REGISTERS, in arithmetic that rounds the same on
 * every machine: 2 artanh((x - 1) / (x + 1)) after halving x to at most 1.5. */
static double crdt_hll_log(double x)
{
    double halves = 0;
    for (; x > 1.5; x /= 2) {
        halves += 1;
    }
    double t = (x - 1) / (x + 1);
    double term = t;
    double sum = 0;
    for (unsigned i = 1; i < 40; i += 2) {
        sum += term / i;
        term *= t * t;
    }
    return 2 * sum + halves * 0.69314718055994530942;
}

uint64_t crdt_hll(const struct crdt_state *s, const struct crdt_path *path)
{
    struct crdt_sought q;
    struct bytes rest;
    uint64_t used = 0;
    double parts = 0; /* sum of 2^-rank, in the order of registers */
    double m = CRDT_HLL_REGISTERS;
    crdt_sought_init(&q, path);
    const struct crdt_record *r = crdt_sought_from(s, &q);
    for (; crdt_sought_begins(&q, r, &rest); r = crdt_record_next(r)) {
        parts += 1.0 / (double)(UINT64_C(1) << crdt_hll_greatest(r));
        used++;
    }
    parts += m - (double)used;
    double estimate = 0.7213 / (1 + 1.079 / m) * m * m / parts;
    if (estimate <= 2.5 * m && used < CRDT_HLL_REGISTERS) {
        estimate = m * crdt_hll_log(m / (m - (double)used));
    }
    return (uint64_t)(estimate + 0.5);
}
