/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast run --into: what a program prints is kept, and becomes an object once the program has
 * ended without an error. It is kept in memory as far as it is small, then in a file without a
 * name, so that the put can begin again where a node is lost.
 *
 * threads: one.
 */
#ifndef HOLDFAST_CLIENT_CMD_INTO_INTERNAL_H
#define HOLDFAST_CLIENT_CMD_INTO_INTERNAL_H

#include "client/cmd_internal.h"
#include "client/spill_internal.h"

struct hf_cmd_into {
    struct hf_object object;
    struct buf head;       /* the first bytes */
    struct hf_spill spill; /* where those behind them are */
    void *run;             /* NULL: there are none */
    uint64_t behind;       /* bytes there */
    uint64_t at;           /* that the put has read, of all */
    int code;              /* why it could not be kept, or 0 */
};

/* Its address is fixed from then on. returns: 0, or a usage code (said). */
int hf_cmd_into_init(struct hf_cmd_into *into, const struct hf_cmd *cmd);
void hf_cmd_into_release(struct hf_cmd_into *into);
/* Whether there is a bucket for it. returns: 0, or the code (said). */
int hf_cmd_into_check(const struct hf_cmd *cmd, struct hf_client *c, struct hf_cmd_into *into);
/* returns: 0, or why it cannot be kept; then hf_cmd_into_fail says it. */
int hf_cmd_into_write(struct hf_cmd_into *into, const void *data, size_t bytes);
/* Forgets what was written. */
void hf_cmd_into_clear(struct hf_cmd_into *into);
/* returns: an exit code. */
int hf_cmd_into_fail(const struct hf_cmd *cmd, const struct hf_cmd_into *into);
/* Puts the object. a: holds it then, to be released. returns: 0, or the code (said). */
int hf_cmd_into_put(const struct hf_cmd *cmd, struct hf_client *c, struct hf_cmd_into *into,
                    struct hf_answer *a);
/* "BUCKET/NAME: 12 bytes, root ..." or the fields of an object of JSON. */
void hf_cmd_into_say(const struct hf_cmd *cmd, const struct hf_object_info *made);

#endif
