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
 * Or in steps, where one would take too long at once:
 *
 *   compute_table_begin(&t, &heap, data, &options, &why);
 *   until done: compute_table_step(t, bytes, &done, &why);
 *
 * A record ends with LF or CR LF, the last one may do without. Empty lines are none, though they
 * are counted. An index of 12 bytes for each line, at most three quarters full, finds a key by
 * its hash; records stay as they are, and are cut into fields when they are found.
 *
 * threads: a table that is done never changes; any number of threads may look into it. Until then
 * it has one owner at a time.
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

/* An index that is empty and not to be looked into before it is done. data: borrowed while the
 * table lives. returns: 0; ERR_TOO_LARGE (beyond COMPUTE_TABLE_BYTES_MAX); ERR_NO_MEMORY. */
int compute_table_begin(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                        const struct compute_table_options *options, struct err_info *why);
/* Goes on for about so many bytes of data, or as much work as that is. *done: the table is whole.
 * After an error it is only to be freed. why: may be NULL, and is then not worked out.
 * returns: what compute_table_new does. */
int compute_table_step(struct compute_table *t, size_t bytes, bool *done, struct err_info *why);
/* returns: whether all lines are counted, so that the next step takes memory for the index. */
bool compute_table_is_counted(const struct compute_table *t);
/* Sets the limit of the index anew, before that step. */
void compute_table_limit(struct compute_table *t, uint64_t memory_bytes);

/* data: borrowed while the table lives.
 * returns: 0; ERR_TOO_LARGE (beyond COMPUTE_TABLE_BYTES_MAX, a record of more than
 * COMPUTE_TASK_RECORD_MAX bytes, or the index beyond its limit); ERR_PROTOCOL (quotes); ERR_EXISTS
 * (a key twice); ERR_NO_MEMORY. Of records, `why` names the record, from 1, a header too. */
int compute_table_new(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                      const struct compute_table_options *options, struct err_info *why);
void compute_table_free(struct compute_table *t);

/* returns: records with keys. */
uint64_t compute_table_records(const struct compute_table *t);
/* returns: bytes of memory that it takes, or once it is counted is going to take, without the
 * data. Depends on the data alone. */
uint64_t compute_table_memory(const struct compute_table *t);

#endif
