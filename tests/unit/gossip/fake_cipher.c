/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The text is XORed with a byte of the key, so that a test sees that it was sealed at all; the tag
 * is two hashes of everything.
 */
#include "tests/unit/gossip/fake_cipher.h"

#include "base/hash.h"
#include "base/num.h"

#include <string.h>

static int fake_derive(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                       uint8_t out[GOSSIP_KEY_BYTES])
{
    struct fake_cipher *fake = ctx;
    fake->derived++;
    for (unsigned i = 0; i < GOSSIP_KEY_BYTES; i += 8) {
        uint64_t h = hash_of(bytes_of(key, GOSSIP_KEY_BYTES), i);
        num_put_u64(out + i, hash_of(info, h));
    }
    return fake->fail;
}

static void fake_tag(const uint8_t *key, const uint8_t nonce[12], struct bytes aad,
                     struct bytes text, uint8_t out[GOSSIP_SEAL_TAG_BYTES])
{
    for (unsigned i = 0; i < GOSSIP_SEAL_TAG_BYTES; i += 8) {
        uint64_t h = hash_of(bytes_of(key, GOSSIP_KEY_BYTES), i);
        h = hash_of(bytes_of(nonce, 12), h);
        h = hash_of(aad, h ^ aad.size);
        num_put_u64(out + i, hash_of(text, h ^ text.size));
    }
}

static int fake_seal(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                     struct bytes aad, struct bytes text, uint8_t *out)
{
    struct fake_cipher *fake = ctx;
    fake->sealed++;
    for (size_t i = 0; i < text.size; i++) {
        out[i] = text.data[i] ^ key[0] ^ 0x5a;
    }
    fake_tag(key, nonce, aad, bytes_of(out, text.size), out + text.size);
    return fake->fail;
}

static int fake_open(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                     struct bytes aad, struct bytes text, uint8_t *out)
{
    struct fake_cipher *fake = ctx;
    uint8_t tag[GOSSIP_SEAL_TAG_BYTES];
    fake->opened++;
    if (fake->refuses) {
        return ERR_CORRUPT;
    }
    struct bytes hidden = bytes_of(text.data, text.size - GOSSIP_SEAL_TAG_BYTES);
    fake_tag(key, nonce, aad, hidden, tag);
    if (!fake->believes && memcmp(tag, text.data + hidden.size, sizeof(tag)) != 0) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < hidden.size; i++) {
        out[i] = fake->believes ? hidden.data[i] : hidden.data[i] ^ key[0] ^ 0x5a;
    }
    return 0;
}

struct gossip_cipher fake_cipher(struct fake_cipher *fake)
{
    return (struct gossip_cipher){
        .ctx = fake, .derive = fake_derive, .seal = fake_seal, .open = fake_open};
}
