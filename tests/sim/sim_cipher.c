/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cipher of sim_cipher.h.
 */
#include "tests/sim/sim_cipher.h"

#include "base/hash.h"
#include "base/num.h"

#include <string.h>

static int sim_cipher_derive(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                             uint8_t out[GOSSIP_KEY_BYTES])
{
    uint64_t seed = hash_of(info, hash_of(bytes_of(key, GOSSIP_KEY_BYTES), 1));
    (void)ctx;
    for (unsigned i = 0; i < 4; i++) {
        num_put_u64(out + 8 * i, hash_mix(seed + i));
    }
    return 0;
}

static void sim_cipher_tag(const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                           struct bytes aad, struct bytes text, uint8_t out[GOSSIP_SEAL_TAG_BYTES])
{
    uint64_t seed = hash_of(bytes_of(nonce, 12), hash_of(bytes_of(key, GOSSIP_KEY_BYTES), 2));
    seed = hash_of(text, hash_of(aad, seed));
    num_put_u64(out, seed);
    num_put_u64(out + 8, hash_mix(seed));
}

static int sim_cipher_seal(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                           struct bytes aad, struct bytes text, uint8_t *out)
{
    (void)ctx;
    if (text.size > 0) {
        memmove(out, text.data, text.size);
    }
    sim_cipher_tag(key, nonce, aad, bytes_of(out, text.size), out + text.size);
    return 0;
}

static int sim_cipher_open(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                           struct bytes aad, struct bytes text, uint8_t *out)
{
    uint8_t tag[GOSSIP_SEAL_TAG_BYTES];
    (void)ctx;
    if (text.size < sizeof(tag)) {
        return ERR_CORRUPT;
    }
    size_t bytes = text.size - sizeof(tag);
    sim_cipher_tag(key, nonce, aad, bytes_of(text.data, bytes), tag);
    if (memcmp(tag, text.data + bytes, sizeof(tag)) != 0) {
        return ERR_CORRUPT;
    }
    if (bytes > 0) {
        memmove(out, text.data, bytes);
    }
    return 0;
}

struct gossip_cipher sim_cipher(void)
{
    return (struct gossip_cipher){
        .derive = sim_cipher_derive, .seal = sim_cipher_seal, .open = sim_cipher_open};
}
