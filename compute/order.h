/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The order of numbers: what a host's sort (compute/whole.h) has to give, by the processor.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_ORDER_H
#define HOLDFAST_COMPUTE_ORDER_H

#include "base/alloc.h"
#include "base/err.h"

/* keys: count unsigned numbers of 64 bits without gaps, any alignment, the processor's byte order;
 * fewer than 2^32. order: gets the place of each, from 0, from the least key to the greatest, equal
 * ones as they came. returns: 0, or ERR_NO_MEMORY. */
int compute_order_numbers(const struct alloc *alloc, const void *keys, size_t count,
                          uint32_t *order);

#endif
