/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt: what its verbs, its reads and what they print share.
 *
 * threads: one.
 */
#ifndef HOLDFAST_CLIENT_CMD_CRDT_INTERNAL_H
#define HOLDFAST_CLIENT_CMD_CRDT_INTERNAL_H

#include "client/client_internal.h"
#include "client/cmd_internal.h"

/* A client, a session, and what every request of the command has. */
struct crdt_run {
    const struct hf_cmd *cmd;
    struct hf_client *client;
    struct hf_causal *causal;
    struct hf_crdt crdt;
    struct hf_answer answer;
    uint32_t beside; /* types that are there too, and were not asked for: bit of each */
};

/* returns: 0, or an exit code (said); then there is nothing to close. */
int hf_cmd_crdt_open(const struct hf_cmd *cmd, struct crdt_run *r);
/* returns: code, or what kept the token from being written. */
int hf_cmd_crdt_close(struct crdt_run *r, int code);

typedef int crdt_start_fn(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                          hf_done_fn *done);
/* returns: 0 or an exit code (said). */
int hf_cmd_crdt_ask(struct crdt_run *r, crdt_start_fn *start);

/* ---- types (cmd_crdt.c) --------------------------------------------------------------------- */

/* The type that a word and the options mean. nested: in a map, where a counter is the kind whose
 * removal is exact. returns: 0: no such type. */
uint8_t hf_cmd_crdt_type(const struct hf_cmd *cmd, const char *word, bool nested);
/* FIELD[.FIELD...] of a word into path, which is a map so far; says what is wrong with it. text:
 * what the names lie in. returns: 0 or an exit code. */
int hf_cmd_crdt_fields(const struct hf_cmd *cmd, const char *word, char *text,
                       struct hf_crdt_path *path, uint8_t last);
#define CRDT_FIELDS_TEXT 8192u
#define CRDT_FIELD_BYTES (CRDT_FIELDS_TEXT + 1)

/* Whether an argument that is called `what` has so many bytes; of `number`, from 1, if there are
 * several: else 0. returns: 0 or an exit code (said). */
struct crdt_size {
    const char *what;
    uint32_t number;
    size_t least;
    size_t most;
};
int hf_cmd_crdt_sized(const struct hf_cmd *cmd, const struct crdt_size *size, struct hf_bytes v);

/* ---- reads (cmd_crdt_read.c) ---------------------------------------------------------------- */

/* neutral: printed if nothing is there; NULL: then exit 1. */
int hf_cmd_crdt_get(const struct hf_cmd *cmd, const char *neutral);
int hf_cmd_crdt_set_read(const struct hf_cmd *cmd, bool has);
int hf_cmd_crdt_map_get(const struct hf_cmd *cmd);

/* ---- output (cmd_crdt_out.c) ---------------------------------------------------------------- */

/* What the command calls a type, and, as several may be called so, which of them it is. */
const char *hf_cmd_crdt_name(uint8_t type);
const char *hf_cmd_crdt_kind(uint8_t type);
bool hf_cmd_crdt_is_set(uint8_t type);
/* "set (add-wins)". */
void hf_cmd_crdt_label(uint8_t type, char *into, size_t into_bytes);

void hf_cmd_crdt_json_key(const struct hf_cmd *cmd);
void hf_cmd_crdt_json_item(const struct hf_crdt_value *v);
/* What stands behind the values, and the end of the line. */
void hf_cmd_crdt_json_end(const struct crdt_run *r);
void hf_cmd_crdt_json_written(const struct crdt_run *r, bool changed);
void hf_cmd_crdt_json_member(const struct hf_crdt_value *v);
/* The value of one type. label: before it, for there are several. */
void hf_cmd_crdt_print(const struct hf_crdt_value *v, bool label);
void hf_cmd_crdt_print_member(const struct hf_crdt_value *v);

#endif
