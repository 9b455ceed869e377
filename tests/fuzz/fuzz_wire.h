/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes, by libFuzzer and by the replay program alike. Each aborts if a
 * decoder breaks a promise; sanitizers see the rest. Also a good example of every kind of message,
 * to mutate.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_WIRE_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_WIRE_H

#include "base/bytes.h"
#include "wire/frame.h"
#include "wire/value.h"

#define FUZZ_MESSAGE_BYTES_MAX 65536
#define FUZZ_EXAMPLES 39u

/* Scans whole and in pieces, decodes, walks every node, reads it as a message, writes it again. */
void fuzz_message(struct bytes input);
/* Parses whole and at every length, for an expected cluster and destination. */
void fuzz_frame(struct bytes input);

/* The cluster and node that fuzz_frame expects. */
struct wire_frame_expect fuzz_expect(void);

/* Appends message i of FUZZ_EXAMPLES: a request of each method, responses, notifications. */
void fuzz_example(struct buf *out, unsigned i);

/* Writes the value at n again, in the shortest form. Does not recurse. */
void fuzz_write_again(struct buf *out, struct wire_node n);

#endif
