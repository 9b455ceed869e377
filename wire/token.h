/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of a session: what a client has written and read so far, over strong and eventual keys
 * alike. It hands the token of one answer to the next request, of whatever method and node, and
 * gets nothing older back: read your writes, monotonic reads, monotonic writes, writes follow
 * reads (Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994).
 *
 *   wire_token_init(&t, &alloc);
 *   wire_token_decode(&t, from_an_answer);        joins it to what t holds
 *   wire_token_encode(&t, &buf);                  for the next request
 *   wire_token_to_text(bytes, &buf);              base64url, for people and files
 *
 * Of a group of the strong side a token holds the index that was applied; of a region of the
 * eventual side the dots that were seen, as ranges of an actor's counters. Holding more is never
 * wrong: a node then waits for it. A range of epoch 0 is one of epochs of that node, all of whose
 * dots have been seen (crdt/crdt.h, CRDT_FOLDED). Bytes are in docs/formats.md.
 *
 * threads: values; one owner at a time.
 */
#ifndef HOLDFAST_WIRE_TOKEN_H
#define HOLDFAST_WIRE_TOKEN_H

#include "base/bytes.h"

#define WIRE_TOKEN_LEVEL 2u  /* what is written: 1 where nothing is folded */
#define WIRE_TOKEN_FOLDED 0u /* an epoch that no actor has */
#define WIRE_TOKEN_GROUPS_MAX 64u
#define WIRE_TOKEN_RANGES_MAX 2048u
#define WIRE_TOKEN_BYTES_MAX 65536u

struct wire_token_group {
    uint32_t group;
    uint64_t index;
};
struct wire_token_range {
    uint8_t region;
    uint32_t node;
    uint64_t epoch;
    uint64_t from; /* both included, > 0 */
    uint64_t to;
};

/* Both sorted; ranges of one actor in one region neither meet nor overlap, and of an epoch that is
 * folded there are none. */
struct wire_token {
    struct wire_token_group groups[WIRE_TOKEN_GROUPS_MAX];
    uint32_t groups_count;
    struct wire_token_range *ranges;
    uint32_t ranges_count;
    uint32_t ranges_cap;
    struct alloc alloc;
};

void wire_token_init(struct wire_token *t, const struct alloc *alloc);
void wire_token_release(struct wire_token *t);
bool wire_token_empty(const struct wire_token *t);

/* Adds what was seen. returns: 0, ERR_INVALID (counters), ERR_TOO_LARGE (of a later layout, or more
 * than the limits), ERR_NO_MEMORY; then t is as it was. */
int wire_token_add_group(struct wire_token *t, uint32_t group, uint64_t index);
int wire_token_add_range(struct wire_token *t, const struct wire_token_range *range);
int wire_token_join(struct wire_token *into, const struct wire_token *from);
/* returns: the index of group; 0 if the token knows nothing of it. */
uint64_t wire_token_index(const struct wire_token *t, uint32_t group);

/* Appends the bytes; nothing for an empty token. */
int wire_token_encode(const struct wire_token *t, struct buf *out);
/* Joins bytes from outside to t; none are an empty token. returns: 0, ERR_CORRUPT (checksum),
 * ERR_LEVEL, ERR_PROTOCOL, ERR_TOO_LARGE, ERR_NO_MEMORY; then t may hold a part of them. */
int wire_token_decode(struct wire_token *t, struct bytes v);

/* base64url (RFC 4648, section 5) without padding. */
int wire_token_to_text(struct bytes v, struct buf *out);
/* White space at the ends is passed over. returns: 0, ERR_PROTOCOL, or the error of out. */
int wire_token_of_text(struct bytes text, struct buf *out);

#endif
