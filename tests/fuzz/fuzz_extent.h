/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as the record of an extent, and as what a check of cells
 * answers; and good ones.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_EXTENT_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_EXTENT_H

#include "base/bytes.h"

#define FUZZ_EXTENT_EXAMPLES 6u

/* Decodes; a record that is accepted is written again byte for byte. */
void fuzz_extent(struct bytes input);
void fuzz_extent_example(struct buf *out, unsigned i);

#endif
