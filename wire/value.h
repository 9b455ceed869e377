/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of MessagePack into nodes that are read, never written. The only way in is through the
 * pre-scan of wire/scan.h. Strings and binaries are views into the message.
 *
 *   TRY(wire_decoder_new(&heap, &limits, &decoder));             once
 *   TRY(wire_decode(decoder, message, &root));                   one value, its whole bytes
 *   wire_node_count(root), wire_node_at(root, 0), wire_node_find(root, "value") ...
 *   the next wire_decode ends every node of this one; so does the end of the message's bytes
 *
 * Reading is safe on any input: a child that is not there is a nil node, a getter of the wrong
 * type returns ERR_INVALID and leaves its result untouched.
 *
 * threads: one owner a decoder; its nodes belong to that owner too.
 */
#ifndef HOLDFAST_WIRE_VALUE_H
#define HOLDFAST_WIRE_VALUE_H

#include "base/bytes.h"
#include "wire/scan.h"

struct wire_decoder;

enum wire_kind {
    WIRE_NIL = 0,
    WIRE_BOOL,
    WIRE_UINT, /* 0 and above */
    WIRE_INT,  /* below 0 */
    WIRE_DOUBLE,
    WIRE_STR,
    WIRE_BIN,
    WIRE_ARRAY,
    WIRE_MAP,
    WIRE_EXT,
};

/* One value of a decoded message. A value itself: copy it freely. */
struct wire_node {
    const void *object; /* NULL: nothing there, reads as nil */
};

/* limits: copied. Memory for common messages is kept between messages.
 * returns: 0 or ERR_NO_MEMORY. */
int wire_decoder_new(const struct alloc *alloc, const struct wire_scan_limits *limits,
                     struct wire_decoder **out);
void wire_decoder_free(struct wire_decoder *d);

/* message: exactly one value, to its last byte; borrowed as long as the nodes are read.
 * returns: 0, ERR_PROTOCOL (bytes left over, 0xc1), ERR_TOO_LARGE (a limit, or it claims more than
 *          its bytes can hold), ERR_NO_MEMORY. */
int wire_decode(struct wire_decoder *d, struct bytes message, struct wire_node *root);

enum wire_kind wire_node_kind(struct wire_node n);
static inline bool wire_node_is_nil(struct wire_node n)
{
    return wire_node_kind(n) == WIRE_NIL;
}

/* Each returns 0, or ERR_INVALID if the node is of another kind or the number does not fit. */
int wire_node_bool(struct wire_node n, bool *out);
int wire_node_u64(struct wire_node n, uint64_t *out);
int wire_node_u32(struct wire_node n, uint32_t *out);
int wire_node_i64(struct wire_node n, int64_t *out);
int wire_node_double(struct wire_node n, double *out);
/* A string or a binary. bytes_max: longer ones are ERR_TOO_LARGE. */
int wire_node_bytes(struct wire_node n, size_t bytes_max, struct bytes *out);

/* returns: items of an array, pairs of a map, 0 of anything else. */
uint32_t wire_node_count(struct wire_node n);
/* returns: item i of an array; nil if there is none. */
struct wire_node wire_node_at(struct wire_node n, uint32_t i);
/* returns: key or value of pair i of a map; nil if there is none. */
struct wire_node wire_node_key(struct wire_node n, uint32_t i);
struct wire_node wire_node_value(struct wire_node n, uint32_t i);
/* returns: the value of the first pair whose key is name; nil if there is none. */
struct wire_node wire_node_find(struct wire_node n, const char *name);
/* The same for count names at once; values: nil where there is none. */
void wire_node_pick(struct wire_node n, const struct bytes *names, unsigned count,
                    struct wire_node *values);
/* returns: 0 if n is a map of at most pairs_max pairs whose keys are strings, each once;
 *          ERR_INVALID (no map, other keys), ERR_TOO_LARGE, ERR_PROTOCOL (a key twice). */
int wire_node_check_map(struct wire_node n, uint32_t pairs_max);

#endif
