/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as a state of an operator; and good states.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_COMPUTE_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_COMPUTE_H

#include "base/bytes.h"

#define FUZZ_COMPUTE_EXAMPLES 30u

/* Decodes; what is accepted is written again byte for byte, goes on, and has a result or none. */
void fuzz_compute(struct bytes input);
void fuzz_compute_example(struct buf *out, unsigned i);

#endif
