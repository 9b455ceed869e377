/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as a fragment of eventual mode, a stored record and the bodies
 * of its operations; and good fragments.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_EVENTUAL_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_EVENTUAL_H

#include "base/bytes.h"

#define FUZZ_EVENTUAL_EXAMPLES 6u

/* Decodes; what is accepted is written again byte for byte, joined twice, and leaves digest and
 * types as the records say. */
void fuzz_eventual(struct bytes input);
void fuzz_eventual_example(struct buf *out, unsigned i);

#endif
