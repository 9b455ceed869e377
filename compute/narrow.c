/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of a group.
 */
#include "compute/narrow.h"

#include "base/num.h"

#define COUNT_MIN (COMPUTE_TERM_LIMBS + 1u)

static size_t bytes_of_limbs(unsigned count)
{
    return sizeof(struct compute_narrow) + count * sizeof(int64_t);
}

static void settle(struct compute_narrow *n)
{
    if (n->count > 0) {
        compute_limbs_settle(n->limb, n->count);
    }
    n->load = 1;
}

static void count_addition(struct compute_narrow *n)
{
    if (++n->load >= COMPUTE_EXACT_LOAD_MAX) {
        settle(n);
    }
}

/* The limbs of n in the window [first, first + count), which has n's, settled. */
static void limbs_in(const struct compute_narrow *n, unsigned first, unsigned count, int64_t *out)
{
    memset(out, 0, count * sizeof(out[0]));
    if (n->count > 0) {
        memcpy(out + (n->first - first), n->limb, n->count * sizeof(out[0]));
        compute_limbs_settle(out, count);
    }
}

/* Makes the window reach from `first` to before `end`; not at all if they are equal. */
static int reach(struct compute_narrow **n, unsigned first, unsigned end,
                 struct compute_store *store)
{
    struct compute_narrow *old = *n;
    DASSERT(end <= COMPUTE_EXACT_LIMBS);
    if (old != NULL && old->count > 0) {
        const unsigned old_end = (unsigned)old->first + old->count;
        first = first == end ? old->first : NUM_MIN(first, (unsigned)old->first);
        end = NUM_MAX(end, old_end);
    }
    if (old != NULL && end - first == old->count) {
        return 0;
    }
    struct compute_narrow *wide = compute_store_get(store, bytes_of_limbs(end - first));
    if (wide == NULL) {
        return ERR_NO_MEMORY;
    }
    wide->load = 1;
    wide->first = (uint8_t)first;
    wide->count = (uint8_t)(end - first);
    if (old != NULL) {
        wide->seen = old->seen;
        if (wide->count > 0) {
            limbs_in(old, first, wide->count, wide->limb);
        }
        compute_narrow_release(n, store);
    }
    *n = wide;
    return 0;
}

int compute_narrow_add(struct compute_narrow **n, const struct compute_term *t,
                       struct compute_store *store)
{
    const bool is_zero = (t->low | t->high) == 0;
    const unsigned first = is_zero ? 0 : t->at_bit / 32u;
    const unsigned limbs = t->wide ? COMPUTE_TERM_LIMBS_WIDE : COMPUTE_TERM_LIMBS;
    TRY(reach(n, first, is_zero ? 0 : first + limbs + 1, store));
    struct compute_narrow *own = *n;
    own->seen = compute_exact_seen_both(own->seen, t->seen);
    if (!is_zero) {
        compute_term_add(t, own->limb + (first - own->first));
        count_addition(own);
    }
    return 0;
}

int compute_narrow_merge(struct compute_narrow **into, const struct compute_narrow *from,
                         struct compute_store *store)
{
    int64_t limbs[COMPUTE_EXACT_LIMBS];
    if (from == NULL) {
        return 0;
    }
    TRY(reach(into, from->first, (unsigned)from->first + from->count, store));
    struct compute_narrow *own = *into;
    own->seen = compute_exact_seen_both(own->seen, from->seen);
    if (from->count == 0) {
        return 0;
    }
    limbs_in(from, own->first, own->count, limbs);
    for (unsigned i = 0; i < own->count; i++) { /* the last wraps around if no values leave it */
        own->limb[i] = (int64_t)((uint64_t)own->limb[i] + (uint64_t)limbs[i]);
    }
    count_addition(own);
    return 0;
}

void compute_narrow_release(struct compute_narrow **n, struct compute_store *store)
{
    if (*n != NULL) {
        compute_store_put(store, *n, bytes_of_limbs((*n)->count));
        *n = NULL;
    }
}

void compute_narrow_expand(const struct compute_narrow *n, struct compute_exact *out)
{
    compute_exact_init(out);
    out->seen = n->seen;
    limbs_in(n, 0, COMPUTE_EXACT_LIMBS, out->limb);
}

int compute_narrow_encode(const struct compute_narrow *n, struct buf *into)
{
    int64_t limbs[COMPUTE_EXACT_LIMBS];
    (void)buf_put_u8(into, n->seen);
    (void)buf_put_u8(into, n->first);
    (void)buf_put_u8(into, n->count);
    if (n->count == 0) {
        return into->err;
    }
    limbs_in(n, n->first, n->count, limbs);
    for (unsigned i = 0; i + 1 < n->count; i++) {
        (void)buf_put_u32(into, (uint32_t)limbs[i]);
    }
    return buf_put_u64(into, (uint64_t)limbs[n->count - 1]);
}

/* returns: whether so many values, each below the weight of the last limb, can have left it. */
static bool last_is_possible(int64_t last, uint64_t values)
{
    return last < 0 ? 0 - (uint64_t)last <= values : (uint64_t)last < values;
}

int compute_narrow_decode(struct compute_narrow **n, uint64_t values, struct bytes_reader *from,
                          struct compute_store *store)
{
    const uint8_t seen = bytes_take_u8(from);
    const unsigned first = bytes_take_u8(from);
    const unsigned count = bytes_take_u8(from);
    uint64_t any = 0;
    if (from->failed || first + count > COMPUTE_EXACT_LIMBS ||
        (count == 0 ? first != 0 : count < COUNT_MIN || (seen & COMPUTE_EXACT_USUAL) == 0)) {
        return ERR_PROTOCOL;
    }
    TRY(reach(n, first, first + count, store));
    struct compute_narrow *own = *n;
    own->seen = seen;
    for (unsigned i = 0; i < count; i++) {
        const uint64_t digit = i + 1 < count ? bytes_take_u32(from) : bytes_take_u64(from);
        memcpy(&own->limb[i], &digit, sizeof(digit));
        any |= digit;
    }
    if (from->failed || !compute_exact_seen_is_possible(seen, any == 0) ||
        (count > 0 && !last_is_possible(own->limb[count - 1], values))) {
        compute_narrow_release(n, store);
        return ERR_PROTOCOL;
    }
    return 0;
}
