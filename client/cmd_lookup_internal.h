/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables of programs: files, or which objects they are.
 *
 * threads: one.
 */
#ifndef HOLDFAST_CLIENT_CMD_LOOKUP_INTERNAL_H
#define HOLDFAST_CLIENT_CMD_LOOKUP_INTERNAL_H

#include "client/cmd_internal.h"
#include "compute/program.h"
#include "compute/table.h"

struct hf_cmd_table {
    struct compute_table *table;
    struct buf data;
};

struct hf_cmd_tables {
    uint32_t count;
    struct hf_cmd_table table[COMPUTE_PROGRAM_LOOKUPS_MAX];
};

/* Reads the tables that the program looks into from the files of --lookup, and gives it them.
 * out: zeroed; released by the caller after the program, also after a failure.
 * returns: 0; ERR_INVALID (a table without a file, a file without a table), ERR_IO, ERR_NO_MEMORY,
 * and what compute_table_new returns. `why` names the table or the file. */
int hf_cmd_lookups(const struct hf_cmd *cmd, struct compute_program *p, uint64_t seed,
                   struct hf_cmd_tables *out, struct err_info *why);
void hf_cmd_lookups_release(struct hf_cmd_tables *t);

struct hf_cmd_objects {
    uint32_t count;
    struct hf_table table[COMPUTE_PROGRAM_LOOKUPS_MAX];
};

/* Which objects the tables are that the program looks into, each once. Views into p and cmd.
 * returns: 0, or ERR_INVALID: a table is no object, has more than one --lookup, or is not the
 * program's; `why` names it. */
int hf_cmd_lookup_objects(const struct hf_cmd *cmd, const struct compute_program *p,
                          struct hf_cmd_objects *out, struct err_info *why);

#endif
