/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as the call that asks a node to run a program; and good calls.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_RUN_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_RUN_H

#include "base/bytes.h"

#define FUZZ_RUN_EXAMPLES 4u

/* Decodes; what is accepted lies within a cell and is written again byte for byte. */
void fuzz_run(struct bytes input);
void fuzz_run_example(struct buf *out, unsigned i);

#endif
