/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a scheme promises: where it fits, what it survives, and when a put may be committed.
 */
#include "base/num.h"
#include "erasure/erasure.h"

int erasure_scheme_check(struct erasure_scheme scheme)
{
    if (scheme.k == 0 || scheme.k + scheme.m > (int)ERASURE_SHARDS_MAX) {
        return ERR_SCHEME;
    }
    return 0;
}

bool erasure_scheme_fits(struct erasure_scheme scheme, unsigned nodes)
{
    if (erasure_scheme_check(scheme) != 0 || nodes == 0) {
        return false;
    }
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    return scheme.m == 0 || num_div_up(shards, nodes) <= scheme.m;
}

unsigned erasure_tolerance(struct erasure_scheme scheme, unsigned nodes)
{
    if (nodes == 0) {
        return 0;
    }
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    const unsigned each = shards / nodes;
    const unsigned fuller = shards % nodes; /* nodes with one more than each */
    unsigned lost = 0;
    for (unsigned f = 1; f <= nodes; f++) {
        lost += each + (f <= fuller ? 1 : 0);
        if (lost > scheme.m) {
            return f - 1;
        }
    }
    return nodes;
}

static unsigned count_bits(uint32_t bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

/* returns: how many durable shards the fullest failure domain has. */
static unsigned fullest_domain(const struct erasure_commit *commit, unsigned shards)
{
    unsigned most = 0;
    for (unsigned i = 0; i < shards; i++) {
        unsigned load = 0;
        for (unsigned j = 0; j < shards; j++) {
            const bool counts = (commit->durable >> j & 1u) != 0;
            load += counts && commit->holders[j] == commit->holders[i];
        }
        most = NUM_MAX(most, load);
    }
    return most;
}

bool erasure_commit_ok(const struct erasure_commit *commit)
{
    const unsigned k = commit->scheme.k;
    const unsigned m = commit->scheme.m;
    const unsigned shards = k + m;
    ASSERT(erasure_scheme_check(commit->scheme) == 0);
    const uint32_t all = (uint32_t)((UINT64_C(1) << shards) - 1);
    ASSERT((commit->durable & ~all) == 0);
    const unsigned durable = count_bits(commit->durable);
    if (m == 0) {
        return durable == shards;
    }
    const unsigned spare = NUM_MAX(1u, (m + 1) / 2);
    const bool enough = durable == shards || (commit->deadline_passed && durable >= k + spare);
    return enough && durable - fullest_domain(commit, shards) >= k;
}
