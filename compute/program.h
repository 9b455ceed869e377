/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs: what is to be computed from the records of an object, as text such as
 * `csv | where $7 >= 500 | by $5 count | top 10`. The text is checked once and becomes a plan;
 * tasks (task.h) run the plan over spans of the object. docs/program.md is the language.
 *
 *   compute_program_new(&p, &heap, text, &why);     why: column, word, and what was meant
 *   ... tasks of p ...
 *   compute_program_free(p);
 *
 * A program with `lookup` needs its tables before there is a task: compute_program_bind.
 *
 * Limits: COMPUTE_PROGRAM_* below.
 *
 * threads: a plan never changes; tasks of any number of threads may read it.
 */
#ifndef HOLDFAST_COMPUTE_PROGRAM_H
#define HOLDFAST_COMPUTE_PROGRAM_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>

#define COMPUTE_PROGRAM_BYTES_MAX 16384u
#define COMPUTE_PROGRAM_CODES_MAX 1024u /* numbers, fields and operators of all expressions */
#define COMPUTE_PROGRAM_DEPTH_MAX 64u   /* how deep an expression nests */
#define COMPUTE_PROGRAM_LIST_MAX 64u    /* keys, aggregates, selected expressions, conditions */
#define COMPUTE_PROGRAM_FIELDS_MAX 1024u

#define COMPUTE_PROGRAM_LOOKUPS_MAX 8u
#define COMPUTE_PROGRAM_TABLE_NAME_MAX 80u /* bytes: fits a sentence whole */

struct compute_program;
struct compute_table;

/* text: copied.
 * returns: 0; ERR_INVALID (wrong; why says where); ERR_TOO_LARGE (one of the limits);
 * ERR_NO_MEMORY.
 */
int compute_program_new(struct compute_program **out, const struct alloc *alloc, struct bytes text,
                        struct err_info *why);
void compute_program_free(struct compute_program *p);

/* Before there is a task: a number that whoever wrote the bytes does not know, so that they cannot
 * choose keys of groups that take long. No result or state depends on it. */
void compute_program_seed(struct compute_program *p, uint64_t seed);

/* returns: how many tables it looks into. */
uint32_t compute_program_lookups(const struct compute_program *p);
/* returns: the name of table i as the program has it, a view; header: whether its first record is
 * none. */
struct bytes compute_program_lookup(const struct compute_program *p, uint32_t i, bool *header);
/* Gives the program its table i, once, before there is a task. t: made with the header that the
 * program says; borrowed while the program lives. States of tasks are of the program and its
 * tables: others do not merge. */
void compute_program_bind(struct compute_program *p, uint32_t i, const struct compute_table *t);

/* returns: how many steps a record takes at most, 1 or more: numbers, fields, operators, keys and
 * aggregates; more of them where one takes long. With the bytes of a span, a bound of its work, but
 * for rows of tables, which may be far longer than the records that find them: tasks count those
 * that are found (compute_task_row_steps). */
uint32_t compute_program_steps(const struct compute_program *p);
/* returns: how many steps rows take at most for one record, once tables are bound. */
uint32_t compute_program_row_steps(const struct compute_program *p);

/* How it was understood and is carried out, for people. Appends the stages, a line each, in the
 * language itself, with all parentheses and defaults: joined by '|' they are the same program.
 * returns: 0 or what buf_append returns. */
int compute_program_plan(const struct compute_program *p, struct buf *out);
/* returns: what is done together, in one pass over the records. Static. */
const char *compute_program_pass(const struct compute_program *p);
/* returns: the kernel for its numbers on this processor: "plain", "avx2", "avx512". Static. */
const char *compute_program_kernel(const struct compute_program *p);

#endif
