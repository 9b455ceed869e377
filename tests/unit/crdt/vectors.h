/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the writer and the reader of tests/vectors/crdt share: names, and a state's values as JSON.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CRDT_VECTORS_H
#define HOLDFAST_TESTS_UNIT_CRDT_VECTORS_H

#include "crdt/crdt.h"

extern const char *const vectors_types[CRDT_TYPES + 1];
extern const char *const vectors_verbs[CRDT_FENCE + 1];

void vectors_text(struct buf *out, const char *text);
void vectors_number(struct buf *out, int64_t v);
void vectors_hex(struct buf *out, const struct crdt_state *s);
void vectors_path(struct buf *out, const struct crdt_path *path);
/* Appends [[path, value], ...] of all that lies under a key of that type. */
void vectors_values(struct buf *out, const struct crdt_state *s, uint8_t root);

#endif
