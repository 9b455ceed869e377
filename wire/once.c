/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The text of a token is read by what it is written with: what is not written again in the same way
 * is no token.
 */
#include "wire/once.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIRE_ONCE_HEAD "once."

void wire_once_text(const struct wire_once *o, char into[WIRE_ONCE_BYTES_MAX])
{
    int size = snprintf(into, WIRE_ONCE_BYTES_MAX,
                        WIRE_ONCE_HEAD "%" PRIu32 ".%" PRIu64 ".%" PRIu64 ".%016" PRIx64, o->node,
                        o->epoch, o->time_us, o->random);
    ASSERT(size > 0 && size < (int)WIRE_ONCE_BYTES_MAX);
}

/* Takes a number up to the next dot, or the end. What is too large comes out as something else, and
 * is found out when it is written again. */
static uint64_t wire_once_number(struct bytes_reader *r, uint64_t base)
{
    uint64_t v = 0;
    while (r->left > 0) {
        uint8_t c = bytes_take_u8(r);
        if (c == '.') {
            break;
        }
        v = v * base + (c <= '9' ? (uint64_t)(c - '0') : (uint64_t)(c - 'a') + 10);
    }
    return v;
}

int wire_once_of(struct bytes text, struct wire_once *out)
{
    char again[WIRE_ONCE_BYTES_MAX];
    struct wire_once o;
    if (text.size >= WIRE_ONCE_BYTES_MAX ||
        !bytes_has_prefix(text, bytes_of_text(WIRE_ONCE_HEAD))) {
        return ERR_INVALID;
    }
    struct bytes_reader r = bytes_reader_of(text);
    (void)bytes_take(&r, sizeof WIRE_ONCE_HEAD - 1);
    o.node = (uint32_t)wire_once_number(&r, 10);
    o.epoch = wire_once_number(&r, 10);
    o.time_us = wire_once_number(&r, 10);
    o.random = wire_once_number(&r, 16);
    wire_once_text(&o, again);
    if (o.node == 0 || o.epoch == 0 || !bytes_equal(text, bytes_of_text(again))) {
        return ERR_INVALID;
    }
    *out = o;
    return 0;
}
