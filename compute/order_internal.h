/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Things in the order of their keys, which are compared as bytes.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_ORDER_INTERNAL_H
#define HOLDFAST_COMPUTE_ORDER_INTERNAL_H

#include "base/bytes.h"
#include "compute/order.h"
#include "compute/whole.h"

struct compute_order_item {
    uint64_t prefix; /* of its key */
    const void *at;
};

/* returns: the key of what an item is at. */
typedef struct bytes compute_order_key_fn(const void *at);

/* returns: the first eight bytes of a key, zeros behind its end, as a number. */
uint64_t compute_order_prefix(struct bytes key);
/* Sorts the list; equal keys stay as they were. other: room for as many, which is used.
 * whole: is offered the order of the prefixes; may be NULL. returns: the one of the two that is
 * sorted then. */
struct compute_order_item *compute_order(struct compute_order_item *list,
                                         struct compute_order_item *other, size_t count,
                                         compute_order_key_fn *key,
                                         const struct compute_whole *whole);

#endif
