/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The token of a write that is to count once however often it is sent, and by whomever: a text that
 * a node gives out (crdt.once) and that crdt.update takes as its option `once`. It names the node
 * that keeps what became of the write, and from where on in that node's history it has to know:
 *
 *   once.NODE.EPOCH.TIME.RANDOM     three decimal numbers, and 16 hexadecimal digits
 *
 * NODE: its id. EPOCH: of its actor when it gave the token. TIME: log time of its own group then,
 * in microseconds. There is one text of each token, so that two texts are two tokens. Unlike the
 * token of wire/token.h it says nothing of what was seen.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_WIRE_ONCE_H
#define HOLDFAST_WIRE_ONCE_H

#include "base/bytes.h"

#define WIRE_ONCE_BYTES_MAX 96u /* of the text, with its NUL */

struct wire_once {
    uint32_t node; /* 0: no token */
    uint64_t epoch;
    uint64_t time_us;
    uint64_t random;
};

/* Writes the text, ended by NUL. */
void wire_once_text(const struct wire_once *o, char into[WIRE_ONCE_BYTES_MAX]);
/* returns: 0, or ERR_INVALID if it is no such text. */
int wire_once_of(struct bytes text, struct wire_once *out);

#endif
