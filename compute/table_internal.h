/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What programs need of tables.
 *
 * threads: as in table.h; a record has one owner.
 */
#ifndef HOLDFAST_COMPUTE_TABLE_INTERNAL_H
#define HOLDFAST_COMPUTE_TABLE_INTERNAL_H

#include "base/hash.h"
#include "compute/record_internal.h"
#include "compute/table.h"

/* The record whose first field is `key`, into row: cut into `fields` fields, views into the table
 * or row's scratch. Without one, row is empty. row: initialised.
 * returns: 0, ERR_NOT_FOUND, ERR_NO_MEMORY. */
int compute_table_find(const struct compute_table *t, struct bytes key, uint32_t fields,
                       struct compute_record *row);
/* returns: bytes of the longest record. */
uint32_t compute_table_longest(const struct compute_table *t);
/* returns: of the data, and whether it has a header; the same for the same table everywhere. */
struct hash_digest compute_table_digest(const struct compute_table *t);

#endif
