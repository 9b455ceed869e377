/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * All kernels of a device through a table, each against its plain twin in compute, bit for bit:
 * one to eight rows of random matrices, which launches the kernel of every number of rows, all
 * codes with kernels of their own, fingerprints, leaf hashes, sums of every kind of doubles, and
 * whatever is done with arrays.
 * Lanes are the smallest that may be, sizes lie around units and pieces and at no multiple of
 * anything. For tests, with a device or an emulated one, and for the program that measures.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_TWINS_H
#define HOLDFAST_TESTS_UNIT_GPU_TWINS_H

#include "gpu/gpu.h"

#include <stdbool.h>
#include <stddef.h>

#define TWINS_SAID_BYTES 400u /* room for what differed */

/* Opens the device with some numbers and sizes of lanes in turn, compares, and closes it.
 * said: what differed or failed, on false.
 * returns: whether the device gave the twins' bits. */
bool twins_agree(const struct gpu_table *table, unsigned device, unsigned long long seed,
                 char said[TWINS_SAID_BYTES]);

#endif
