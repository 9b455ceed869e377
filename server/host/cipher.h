/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL's AES-256-GCM, HKDF-SHA-256 and Ed25519 as the tables that gossip asks for. Algorithms
 * are fetched and contexts made once: with OpenSSL 3 that costs more than sealing a packet.
 *
 *   TRY(host_cipher_new(&cipher, &alloc, &why));
 *   TRY(host_cipher_first_key(cipher, &identity, key, &secret));    key 1 of the cluster
 *   TRY(host_cipher_own(cipher, identity.private_key, &why));   signatures are made from here on
 *   options.cipher = host_cipher_table(cipher);
 *   options.signer = host_cipher_signer(cipher);
 *   host_cipher_free(cipher);
 *
 * threads: one owner; two of them share nothing.
 */
#ifndef HOLDFAST_SERVER_HOST_CIPHER_H
#define HOLDFAST_SERVER_HOST_CIPHER_H

#include "base/err.h"
#include "server/node/node.h"
#include "wire/identity.h"

struct host_cipher;

/* returns: 0, ERR_NO_MEMORY, or ERR_INVALID (this OpenSSL lacks an algorithm), with why. */
int host_cipher_new(struct host_cipher **out, const struct alloc *alloc, struct err_info *why);
/* c: may be NULL. */
void host_cipher_free(struct host_cipher *c);

/* returns: a table that lives as long as c. */
struct gossip_cipher host_cipher_table(struct host_cipher *c);

/* The node's own key. returns: 0 or ERR_INVALID, with why. */
int host_cipher_own(struct host_cipher *c, const uint8_t private_key[GOSSIP_PRIVATE_KEY_BYTES],
                    struct err_info *why);
/* returns: a table that lives as long as c; it signs only after host_cipher_own. */
struct gossip_signer host_cipher_signer(struct host_cipher *c);
/* returns: 0 or ERR_INVALID. */
int host_cipher_public_of(const uint8_t private_key[GOSSIP_PRIVATE_KEY_BYTES],
                          uint8_t out[GOSSIP_PUBLIC_KEY_BYTES]);

/* Key 1 of a cluster: as its bundle says, or, where that is of format 1, derived from the cluster
 * id, which is no secret: everybody who knows it can speak as any node until another key is
 * installed and used. secret: false then, and the operator is to be told.
 * returns: 0 or ERR_NO_MEMORY. */
int host_cipher_first_key(struct host_cipher *c, const struct wire_identity *identity,
                          uint8_t out[GOSSIP_KEY_BYTES], bool *secret);

/* RFC 5869. salt: empty is that of zeros. returns: 0 or ERR_NO_MEMORY. */
int host_cipher_hkdf(struct host_cipher *c, struct bytes key, struct bytes salt, struct bytes info,
                     uint8_t *out, size_t bytes);

#endif
