/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Frames between nodes: a fixed header of 64 bytes, then a body. Integers are little-endian.
 *
 *   at bytes field
 *    0     4 magic "HFP1"
 *    4     2 format level
 *    6     2 kind of the body; given a meaning by server/node, not here
 *    8    16 cluster id
 *   24     4 sender node
 *   28     4 destination node
 *   32     8 incarnation of the sender
 *   40     8 boot number of the sender
 *   48     4 length of the body
 *   52     4 CRC32C of the body
 *   56     4 zero
 *   60     4 CRC32C of the 60 bytes before
 *
 * Writing:  start = out->size;
 *           wire_frame_begin(out); append the body to out; wire_frame_end(out, start, &header);
 * Reading:  err = wire_frame_parse(&expect, arrived, &frame);
 *           WIRE_MORE: read on. 0: use frame, then drop frame.total_bytes. Else close.
 *
 * The length is believed only after magic, level, header CRC, cluster and destination are right.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_WIRE_FRAME_H
#define HOLDFAST_WIRE_FRAME_H

#include "base/bytes.h"

#define WIRE_FRAME_HEADER_BYTES 64u
#define WIRE_CLUSTER_BYTES 16u
#define WIRE_FRAME_LEVEL 1u /* the level this code writes, and the highest it reads */

/* Not an error: the bytes so far are right and not the whole. Every ERR_ code is negative. */
#define WIRE_MORE 1

struct wire_frame_header {
    uint16_t level;
    uint16_t kind;
    uint8_t cluster[WIRE_CLUSTER_BYTES];
    uint32_t sender;
    uint32_t destination;
    uint64_t incarnation;
    uint64_t boot;
    uint32_t body_bytes;
    uint32_t body_crc;
};

/* Writes the 64 bytes of h, with their CRC. */
void wire_frame_encode_header(const struct wire_frame_header *h,
                              uint8_t into[WIRE_FRAME_HEADER_BYTES]);

/* Makes room in out for a header. returns: 0 or the error of out. */
int wire_frame_begin(struct buf *out);
/* Fills the header at start, where wire_frame_begin was called, for the body appended since.
 * h: body_bytes and body_crc are set here.
 * returns: 0, or the error of out; then everything from start on is dropped. */
int wire_frame_end(struct buf *out, size_t start, struct wire_frame_header *h);

/* What a frame must carry to be believed. */
struct wire_frame_expect {
    uint8_t cluster[WIRE_CLUSTER_BYTES];
    uint32_t self;           /* destination */
    uint16_t level_max;      /* levels 1 to this are read */
    uint32_t body_bytes_max; /* longer bodies are refused before they are read */
};

struct wire_frame {
    struct wire_frame_header header;
    struct bytes body;  /* view into the bytes given to wire_frame_parse */
    size_t total_bytes; /* header and body */
};

/* Looks at the bytes that have arrived, from a frame's first on.
 *
 * returns: 0 and *out; WIRE_MORE and out->total_bytes, the size wanted so far;
 *          ERR_PROTOCOL (magic, destination, reserved bytes), ERR_LEVEL, ERR_WRONG_CLUSTER,
 *          ERR_TOO_LARGE (body longer than allowed), ERR_CORRUPT (either CRC). */
int wire_frame_parse(const struct wire_frame_expect *expect, struct bytes arrived,
                     struct wire_frame *out);

/* The header of a frame that wire_frame_parse found to be of another cluster (ERR_WRONG_CLUSTER),
 * so that its sender can be told. arrived: as given there. */
void wire_frame_stranger(struct bytes arrived, struct wire_frame_header *out);

#endif
