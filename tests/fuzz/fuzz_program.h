/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes as a program, a zero byte, and the object it runs over; and
 * good ones; and states of tasks.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_PROGRAM_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_PROGRAM_H

#include "base/bytes.h"

#define FUZZ_PROGRAM_EXAMPLES 25u

/* Parses; what is a program gives the same result over the object in one piece and in three spans.
 */
void fuzz_program(struct bytes input);
void fuzz_program_example(struct buf *out, unsigned i);

/* The same of arbitrary bytes as the number of a program and a state of one of its tasks: what is
 * accepted is written again byte for byte, goes on, and has a result or none. */
void fuzz_task(struct bytes input);
void fuzz_task_example(struct buf *out, unsigned i);

#endif
