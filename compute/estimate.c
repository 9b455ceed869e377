/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Estimates of the whole from a sample by hash, with 95 % bounds. What has one hash is in the
 * sample or not as one, with probability p, apart from all else: a Poisson sample of clusters with
 * one p. With the totals t of a cluster's numbers and n of their count, over the sample's clusters:
 *
 *   count, sum   t' = sum(t) / p, and its variance (1 - p) / p^2 sum(t^2): the estimators of
 *                D. G. Horvitz and D. J. Thompson, "A generalization of sampling without
 *                replacement from a finite universe", 1952; for this design C.-E. Sarndal,
 *                B. Swensson, J. Wretman, "Model Assisted Survey Sampling", 1992, section 3.2
 *   mean         r = sum(t) / sum(n), and its variance (1 - p) sum((t - r n)^2) / sum(n)^2: the
 *                ratio of two such estimates, linearised (there, section 5.6)
 *
 * A bound is the normal distribution's 0.975 quantile, the double nearest to it, times the root of
 * the variance. All is computed in whole numbers of any size and rounded once.
 */
#include "base/num.h"
#include "compute/exact_internal.h"
#include "compute/group_internal.h"

#include <stdlib.h>

#define NORMAL_QUANTILE 1.9599639845400543
#define NORMAL_SCALE 0x1p52
#define NORMAL_BITS 104 /* of the scale's square */
#define DIGIT_BITS 32u
#define ROOT_BITS 130u /* that a number must have, for a root of 64 bits */

/* What is known of the clusters of one key. */
struct estimate {
    struct compute_exact total; /* of their numbers; count: of their records */
    struct compute_big squares; /* of each cluster's total */
    struct compute_big above;   /* mean: totals times counts, of totals above 0 */
    struct compute_big below;   /* likewise below 0 */
    struct compute_big counts;  /* squares of counts */
    uint64_t count;
    uint64_t clusters;
    bool finite;
};

struct result {
    double value;
    double bound;
    bool has_bound;
};

/* --- whole numbers --- */

static struct compute_big big_of(uint64_t v)
{
    struct compute_big big = {.count = 0};
    for (; v != 0; v >>= DIGIT_BITS) {
        big.digit[big.count++] = (uint32_t)v;
    }
    return big;
}

static void big_add(struct compute_big *into, const struct compute_big *v)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < v->count || carry != 0; i++) {
        ASSERT(i < COMPUTE_BIG_DIGITS);
        carry +=
            (i < into->count ? into->digit[i] : 0) + (uint64_t)(i < v->count ? v->digit[i] : 0);
        into->digit[i] = (uint32_t)carry;
        into->count = NUM_MAX(into->count, i + 1);
        carry >>= DIGIT_BITS;
    }
}

static void big_times(struct compute_big *a, const struct compute_big *b)
{
    const struct compute_big copy = *a;
    compute_big_multiply(a, &copy, b);
}

static void big_times_u64(struct compute_big *a, uint64_t v)
{
    const struct compute_big b = big_of(v);
    big_times(a, &b);
}

static size_t big_bits(const struct compute_big *a)
{
    return a->count == 0 ? 0
                         : a->count * DIGIT_BITS - (size_t)__builtin_clz(a->digit[a->count - 1]);
}

static void big_shift(struct compute_big *a, size_t bits)
{
    const size_t digits = bits / DIGIT_BITS;
    if (a->count == 0) {
        return;
    }
    big_times_u64(a, UINT64_C(1) << bits % DIGIT_BITS);
    ASSERT(a->count + digits <= COMPUTE_BIG_DIGITS);
    memmove(a->digit + digits, a->digit, a->count * sizeof(a->digit[0]));
    memset(a->digit, 0, digits * sizeof(a->digit[0]));
    a->count += digits;
}

/* The 64 bits from `bit` on. */
static uint64_t bits_at(const struct compute_big *a, size_t bit)
{
    uint64_t v = 0;
    for (unsigned i = 64; i-- > 0;) {
        const size_t at = (bit + i) / DIGIT_BITS;
        v = v << 1 | (at < a->count ? a->digit[at] >> (bit + i) % DIGIT_BITS & 1u : 0);
    }
    return v;
}

/* The greatest number whose square is not above (high:low). */
static uint64_t root_of(uint64_t high, uint64_t low, bool *rest)
{
    uint64_t root = 0;
    uint64_t square_high = 0;
    uint64_t square_low = 0;
    for (unsigned bit = 64; bit-- > 0;) {
        const uint64_t tried = root | UINT64_C(1) << bit;
        compute_number_multiply(tried, tried, &square_high, &square_low);
        if (square_high < high || (square_high == high && square_low <= low)) {
            root = tried;
        }
    }
    compute_number_multiply(root, root, &square_high, &square_low);
    *rest = square_high != high || square_low != low;
    return root;
}

/* returns: sqrt(a * 2^exponent) / (high:low), rounded once. exponent: even. a: destroyed. */
static double root_over(struct compute_big *a, int exponent, uint64_t high, uint64_t low)
{
    bool rest = false;
    if (a->count == 0) {
        return 0;
    }
    /* a / divisor^2 with as many bits as its root needs */
    const size_t wanted = ROOT_BITS + 2 * (size_t)128;
    const size_t bits = big_bits(a);
    const size_t shift = bits < wanted ? num_round_up(wanted - bits, DIGIT_BITS) : 0;
    big_shift(a, shift);
    rest = compute_big_divide(a, high, low);
    rest = compute_big_divide(a, high, low) || rest;
    const size_t top = big_bits(a);
    ASSERT(top >= 128);
    const size_t at = (top - 128) + (top - 128) % 2;
    bool more = false;
    struct compute_big root = big_of(root_of(bits_at(a, at + 64), bits_at(a, at), &more));
    for (size_t i = 0; i < at && !rest; i++) {
        rest = (a->digit[i / DIGIT_BITS] >> i % DIGIT_BITS & 1u) != 0;
    }
    const int place = ((int)at - (int)shift + exponent) / 2 + (int)COMPUTE_EXACT_ONE_BIT;
    ASSERT(place >= 0);
    big_shift(&root, (size_t)place);
    return compute_big_round(&root, rest || more, false);
}

/* --- clusters --- */

static int take_cluster(struct estimate *e, enum compute_op op, const struct compute_tally *t)
{
    struct compute_exact total;
    struct compute_big size;
    struct compute_big square;
    if (t->count == 0) {
        return 0;
    }
    e->count += t->count;
    e->clusters++;
    if (t->count > INT64_MAX || e->count > INT64_MAX) {
        return ERR_CORRUPT;
    }
    compute_exact_init(&total);
    if (op == COMPUTE_OP_COUNT) {
        compute_exact_add_u64(&total, t->count);
    } else {
        compute_tally_total(t, &total);
    }
    compute_exact_merge(&e->total, &total);
    e->finite = e->finite && (total.seen & COMPUTE_EXACT_NOT_FINITE) == 0;
    const bool below = compute_big_of_exact(&size, &total, COMPUTE_EXACT_SUM_LIMB);
    compute_big_multiply(&square, &size, &size);
    big_add(&e->squares, &square);
    if (op == COMPUTE_OP_MEAN) {
        big_times_u64(&size, t->count);
        big_add(below ? &e->below : &e->above, &size);
        struct compute_big counts = big_of(t->count);
        big_times_u64(&counts, t->count);
        big_add(&e->counts, &counts);
    }
    return 0;
}

/* sum((t - r n)^2) * count^2, in units of 2^-2176, into e->squares, from the sums of the squares
 * and products: count^2 sum(t^2) - 2 count total sum(t n) + total^2 sum(n^2).
 * returns: 0 or ERR_CORRUPT. */
static int deviations(struct estimate *e)
{
    struct compute_big total;
    struct compute_big square;
    struct compute_big *mixed = &e->above;
    const struct compute_big above = e->above;
    bool negative = compute_big_of_exact(&total, &e->total, COMPUTE_EXACT_SUM_LIMB);
    if (!compute_big_subtract(mixed, &e->below)) {
        *mixed = e->below;
        (void)compute_big_subtract(mixed, &above);
        negative = !negative;
    }
    big_times(mixed, &total);
    big_times_u64(mixed, e->count);
    big_times_u64(mixed, 2);
    compute_big_multiply(&square, &total, &total);
    big_times(&square, &e->counts);
    big_times_u64(&e->squares, e->count);
    big_times_u64(&e->squares, e->count);
    big_add(&e->squares, &square);
    if (negative) {
        big_add(&e->squares, mixed);
        return 0;
    }
    return compute_big_subtract(&e->squares, mixed) ? 0 : ERR_CORRUPT;
}

/* limit: of the sample's hashes: p is (limit + 1) / 2^64. ranks: only the value is wanted. */
static int finish(struct estimate *e, enum compute_op op, uint64_t limit, bool ranks,
                  struct result *out)
{
    const uint64_t high = limit == UINT64_MAX;
    const uint64_t low = limit + 1;
    const bool of_mean = op == COMPUTE_OP_MEAN;
    int exponent = 64 - (int)COMPUTE_EXACT_ONE_BIT - NORMAL_BITS;
    uint64_t divisor_high = high;
    uint64_t divisor_low = low;
    if (of_mean && e->count == 0) {
        return ERR_NOT_FOUND;
    }
    out->value = of_mean ? compute_exact_mean(&e->total, e->count)
                         : compute_exact_share(&e->total, high, low);
    out->has_bound = !ranks && (e->clusters > 1 || limit == UINT64_MAX);
    if (ranks) {
        return 0;
    }
    if (!e->finite) {
        out->bound = compute_exact_share(&e->total, high, low);
        out->bound = out->bound - out->bound; /* no number */
        return 0;
    }
    if (of_mean) {
        TRY(deviations(e));
        exponent -= 128;
        compute_number_multiply(e->count, e->count, &divisor_high, &divisor_low);
    }
    const uint64_t quantile = (uint64_t)(NORMAL_QUANTILE * NORMAL_SCALE);
    big_times_u64(&e->squares, UINT64_MAX - limit); /* (1 - p) 2^64 */
    big_times_u64(&e->squares, quantile);
    big_times_u64(&e->squares, quantile);
    out->bound = root_over(&e->squares, exponent, divisor_high, divisor_low);
    return 0;
}

/* list: the clusters of one key. ranks: only the value is wanted. */
static int estimate(const struct compute_groups *g, const struct compute_aggregate *a,
                    struct compute_group *const *list, size_t count, bool ranks, struct result *out)
{
    struct estimate e;
    e.squares.count = 0;
    e.above.count = 0;
    e.below.count = 0;
    e.counts.count = 0;
    e.count = 0;
    e.clusters = 0;
    e.finite = true;
    compute_exact_init(&e.total);
    for (size_t i = 0; i < count; i++) {
        TRY(take_cluster(&e, a->op, compute_group_tally(list[i], a->at)));
    }
    return finish(&e, a->op, g->p->sample[g->p->sampled].limit, ranks, out);
}

/* --- the result --- */

struct domain {
    struct compute_value value; /* of the first aggregate, by which they are ranked */
    struct bytes key;
    size_t first; /* of the clusters */
    size_t count;
    bool has;
};

static int domain_compare(const void *left, const void *right)
{
    const struct domain *a = left;
    const struct domain *b = right;
    if (a->has != b->has) {
        return a->has ? -1 : 1;
    }
    const int order = a->has ? compute_value_compare(&a->value, &b->value) : 0;
    return order != 0 ? order : bytes_compare(a->key, b->key);
}

static void put_real(double real, struct buf *into)
{
    char text[COMPUTE_VALUE_TEXT];
    const struct compute_value v = compute_value_of_f64(real);
    (void)buf_append(into, text, compute_value_text(&v, text));
}

/* value,bound of each aggregate. keyed: what there is too little for is empty. */
static int put_domain(const struct compute_groups *g, struct compute_group *const *list,
                      const struct domain *d, uint32_t *failed, struct buf *into)
{
    const bool keyed = g->p->keys > 0;
    for (uint32_t i = 0; i < g->p->aggregates; i++) {
        struct result r = {.has_bound = false};
        const int err = estimate(g, &g->p->aggregate[i], list + d->first, d->count, false, &r);
        *failed = i;
        if (err != 0 && (err != ERR_NOT_FOUND || !keyed)) {
            return err;
        }
        if (!r.has_bound && !keyed) {
            return ERR_NOT_FOUND;
        }
        if (i > 0 || keyed) {
            (void)buf_put_u8(into, ',');
        }
        if (err == 0) {
            put_real(r.value, into);
        }
        (void)buf_put_u8(into, ',');
        if (r.has_bound) {
            put_real(r.bound, into);
        }
    }
    return buf_put_u8(into, '\n');
}

/* Clusters of one key lie next to one another. returns: how many keys there are. */
static size_t find_domains(const struct compute_groups *g, struct compute_group *const *list,
                           struct domain *domains)
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct bytes key = compute_key_of_cluster(compute_group_key(list[i]));
        if (count == 0 || !bytes_equal(domains[count - 1].key, key)) {
            domains[count++] = (struct domain){.key = key, .first = i};
        }
        domains[count - 1].count++;
    }
    return count;
}

static int rank(const struct compute_groups *g, struct compute_group *const *list,
                struct domain *domains, size_t count)
{
    for (size_t i = 0; i < count && g->p->top > 0; i++) {
        struct result r = {.has_bound = false};
        const int err =
            estimate(g, &g->p->aggregate[0], list + domains[i].first, domains[i].count, true, &r);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err;
        }
        domains[i].has = err == 0;
        domains[i].value = compute_value_of_f64(r.value);
    }
    qsort(domains, count, sizeof(domains[0]), domain_compare);
    return 0;
}

static int text_of(const struct compute_groups *g, struct compute_group **list,
                   struct domain *domains, uint32_t *failed, struct buf *into)
{
    struct buf part;
    size_t count = g->p->keys > 0 ? find_domains(g, list, domains) : 1;
    if (g->p->keys == 0) {
        domains[0].count = g->count;
    }
    TRY(rank(g, list, domains, count));
    count = g->p->top > 0 ? (size_t)NUM_MIN(g->p->top, (uint64_t)count) : count;
    buf_init(&part, &g->store.alloc, SIZE_MAX);
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++) {
        if (g->p->keys > 0) {
            compute_keys_text(g->p, compute_group_key(list[domains[i].first]), &part, into);
        }
        err = part.err != 0 ? part.err : put_domain(g, list, &domains[i], failed, into);
    }
    buf_release(&part);
    return err;
}

int compute_estimates_text(const struct compute_groups *g, struct buf *into, uint32_t *failed)
{
    const struct alloc *alloc = &g->store.alloc;
    const size_t room = NUM_MAX(g->count, (size_t)1);
    const size_t before = into->size;
    struct compute_group **list = NULL;
    *failed = 0;
    TRY(compute_groups_sorted(g, &list));
    struct domain *domains = alloc_get_zeroed(alloc, room, sizeof(domains[0]));
    const int err = domains != NULL ? text_of(g, list, domains, failed, into) : ERR_NO_MEMORY;
    alloc_put(alloc, domains, domains != NULL ? room * sizeof(domains[0]) : 0);
    compute_groups_sorted_free(g, list);
    into->size = err != 0 ? before : into->size;
    return err;
}
