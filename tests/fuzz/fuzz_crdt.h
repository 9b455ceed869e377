/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as a state of a replicated data type; and good states.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_CRDT_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_CRDT_H

#include "base/bytes.h"

#define FUZZ_CRDT_EXAMPLES 15u

/* Decodes; what is accepted is written again byte for byte, joined, taken apart, and read. */
void fuzz_crdt(struct bytes input);
void fuzz_crdt_example(struct buf *out, unsigned i);

#endif
