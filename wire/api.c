/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names and slots.
 */
#include "wire/api.h"

#include "base/crc.h"
#include "base/err.h"

#include <string.h>

int wire_name_check(struct bytes name)
{
    if (name.size == 0) {
        return ERR_BAD_NAME;
    }
    return name.size <= WIRE_NAME_BYTES_MAX ? 0 : ERR_TOO_LARGE;
}

int wire_bucket_check(struct bytes name)
{
    TRY(wire_name_check(name));
    return memchr(name.data, '/', name.size) == NULL ? 0 : ERR_BAD_NAME;
}

uint32_t wire_slot_of(struct bytes name)
{
    const uint8_t *open = name.size > 0 ? memchr(name.data, '{', name.size) : NULL;
    if (open != NULL) {
        size_t left = name.size - (size_t)(open + 1 - name.data);
        const uint8_t *close = left > 0 ? memchr(open + 1, '}', left) : NULL;
        if (close != NULL && close > open + 1) {
            name = bytes_of(open + 1, (size_t)(close - open - 1));
        }
    }
    return crc16_of(name.data, name.size) % WIRE_SLOTS;
}
