/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables: CSV (RFC 4180) whose first fields are keys, each there once, for the `lookup` of
 * programs.
 *
 *   compute_table_new(&t, &heap, data, &options, &why);
 *   compute_program_bind(p, i, t);
 *   ... tasks of p ...
 *   compute_table_free(t);
 *
 * A record ends with LF or CR LF, the last one may do without. Empty lines are none, though they
 * are counted. An index of 12 bytes for each record, at most three quarters full, finds a key by
 * its hash; records stay as they are, and are cut into fields when they are found.
 *
 * threads: a table never changes; any number of threads may look into it.
 */
#ifndef HOLDFAST_COMPUTE_TABLE_H
#define HOLDFAST_COMPUTE_TABLE_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>

#define COMPUTE_TABLE_BYTES_MAX (UINT32_C(64) << 20)

struct compute_table;

struct compute_table_options {
    bool header;           /* the first record is none */
    uint64_t seed;         /* that who wrote the data does not know: no result depends on it */
    uint64_t memory_bytes; /* limit of the index; 0: none */
};

/* data: borrowed while the table lives.
 * returns: 0; ERR_TOO_LARGE (beyond COMPUTE_TABLE_BYTES_MAX, a record of more than
 * COMPUTE_TASK_RECORD_MAX bytes, or the index beyond its limit); ERR_PROTOCOL (quotes); ERR_EXISTS
 * (a key twice); ERR_NO_MEMORY. Of records, `why` names the record, from 1, a header too. */
int compute_table_new(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                      const struct compute_table_options *options, struct err_info *why);
void compute_table_free(struct compute_table *t);

/* returns: records with keys. */
uint64_t compute_table_records(const struct compute_table *t);
/* returns: bytes of memory that it takes, without the data. */
uint64_t compute_table_memory(const struct compute_table *t);

#endif
