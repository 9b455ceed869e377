/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pre-scan of MessagePack: finds where one value ends and refuses what would cost memory or depth
 * before any of it is decoded. Every claimed count is compared with the bytes that may still come,
 * so five bytes never reserve four gigabytes. Does not recurse, allocates nothing.
 *
 * On a stream, keep one struct wire_scan a connection and give it everything that has arrived of
 * the message; it goes on where it stopped, so a message in many pieces costs one pass:
 *
 *   wire_scan_init(&scan, &limits);
 *   err = wire_scan_more(&scan, arrived);
 *   WIRE_MORE: read on. 0: decode the first scan.at bytes, drop them, init again. Else close.
 *
 * threads: pure functions; one owner a scan.
 */
#ifndef HOLDFAST_WIRE_SCAN_H
#define HOLDFAST_WIRE_SCAN_H

#include "base/bytes.h"
#include "wire/frame.h"

#define WIRE_DEPTH_MAX 16u /* msgpack-c keeps a stack of 32 */

struct wire_scan_limits {
    size_t bytes_max;   /* of one message */
    uint32_t items_max; /* values inside one message, containers included */
    uint32_t depth_max; /* containers inside one another, at most WIRE_DEPTH_MAX */
};

struct wire_scan {
    struct wire_scan_limits limits;
    size_t at;     /* bytes of the message passed; may lie beyond what has arrived */
    uint64_t open; /* values still owed by all open containers together */
    uint32_t items;
    uint32_t depth;
    bool ended;
    uint64_t left[WIRE_DEPTH_MAX]; /* values still owed by each open container */
};

void wire_scan_init(struct wire_scan *s, const struct wire_scan_limits *limits);

/* arrived: everything of the message so far, from its first byte; it may go past its end.
 * returns: 0 (the message is the first s->at bytes), WIRE_MORE, ERR_PROTOCOL (0xc1) or
 *          ERR_TOO_LARGE (bytes, items or depth). After an error the scan is over. */
int wire_scan_more(struct wire_scan *s, struct bytes arrived);

/* The same at once. *message_bytes is set only with 0. */
int wire_scan(struct bytes arrived, const struct wire_scan_limits *limits, size_t *message_bytes);

#endif
