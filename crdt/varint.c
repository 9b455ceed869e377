/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of the encoding: LEB128 in its shortest form, so that a number has one encoding; and sums
 * of 128 bits.
 */
#include "crdt/crdt_internal.h"

unsigned crdt_varint_bytes(uint64_t v)
{
    unsigned n = 1;
    for (; v >= 0x80; v >>= 7) {
        n++;
    }
    return n;
}

int crdt_put_varint(struct buf *b, uint64_t v)
{
    uint8_t raw[CRDT_VARINT_BYTES_MAX];
    return buf_append(b, raw, crdt_varint_write(raw, v));
}

uint64_t crdt_take_varint_long(struct bytes_reader *r)
{
    const uint8_t *at = r->at;
    size_t left = r->failed ? 0 : r->left;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && left > 0; shift += 7) {
        uint8_t one = *at++;
        bool last = one < 0x80;
        left--;
        if ((shift == 63 && one > 1) || (last && one == 0 && shift > 0)) {
            break;
        }
        v |= (uint64_t)(one & 0x7f) << shift;
        if (last) {
            r->at = at;
            r->left = left;
            return v;
        }
    }
    r->failed = true;
    return 0;
}

void crdt_wide_add(struct crdt_wide *w, int64_t v)
{
    w->low += (uint64_t)v;
    w->high += (v < 0 ? UINT64_MAX : 0) + (w->low < (uint64_t)v);
}

void crdt_wide_sub(struct crdt_wide *w, int64_t v)
{
    uint64_t borrow = w->low < (uint64_t)v;
    w->low -= (uint64_t)v;
    w->high -= (v < 0 ? UINT64_MAX : 0) + borrow;
}

bool crdt_wide_get(const struct crdt_wide *w, int64_t *v)
{
    bool negative = w->high > INT64_MAX;
    if (!negative && w->high == 0 && w->low <= INT64_MAX) {
        *v = (int64_t)w->low;
        return true;
    }
    if (negative && w->high == UINT64_MAX && w->low > INT64_MAX) {
        *v = -(int64_t)(~w->low) - 1;
        return true;
    }
    *v = negative ? INT64_MIN : INT64_MAX;
    return false;
}
