/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cipher against published vectors, and packets sealed with it from one node to another.
 */
#include "base/num.h"
#include "base/rng.h"
#include "server/host/cipher.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES_MAX 2048u

static struct host_cipher *cipher_new(void)
{
    struct alloc heap = alloc_heap();
    struct host_cipher *c = NULL;
    ck_assert_int_eq(host_cipher_new(&c, &heap, NULL), 0);
    return c;
}

/* returns: how many bytes the hexadecimal text has. */
static size_t hex(const char *text, uint8_t *out)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, the test cases with a key
 * of 256 bits and a nonce of 96. */
static const struct {
    const char *key, *nonce, *aad, *text, *sealed;
} gcm_cases[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

START_TEST(aes_256_gcm_seals_and_opens_the_published_cases)
{
    struct host_cipher *c = cipher_new();
    struct gossip_cipher table = host_cipher_table(c);
    for (unsigned round = 0; round < 2; round++) { /* again, with contexts that were used */
        for (unsigned i = 0; i < sizeof(gcm_cases) / sizeof(gcm_cases[0]); i++) {
            uint8_t key[32], nonce[12], aad[64], text[128], sealed[128], out[128];
            ck_assert_uint_eq(hex(gcm_cases[i].key, key), 32);
            ck_assert_uint_eq(hex(gcm_cases[i].nonce, nonce), 12);
            size_t aad_bytes = hex(gcm_cases[i].aad, aad);
            size_t text_bytes = hex(gcm_cases[i].text, text);
            ck_assert_uint_eq(hex(gcm_cases[i].sealed, sealed), text_bytes + 16);
            ck_assert_int_eq(table.seal(table.ctx, key, nonce, bytes_of(aad, aad_bytes),
                                        bytes_of(text, text_bytes), out),
                             0);
            ck_assert_int_eq(memcmp(out, sealed, text_bytes + 16), 0);
            ck_assert_int_eq(table.open(table.ctx, key, nonce, bytes_of(aad, aad_bytes),
                                        bytes_of(sealed, text_bytes + 16), out),
                             0);
            ck_assert_int_eq(memcmp(out, text, text_bytes), 0);
            sealed[text_bytes] ^= 1;
            ck_assert_int_eq(table.open(table.ctx, key, nonce, bytes_of(aad, aad_bytes),
                                        bytes_of(sealed, text_bytes + 16), out),
                             ERR_CORRUPT);
            for (size_t j = 0; j < text_bytes; j++) {
                ck_assert_uint_eq(out[j], 0);
            }
        }
    }
    host_cipher_free(c);
}
END_TEST

/* RFC 5869, appendix A.1 to A.3. */
START_TEST(hkdf_sha_256_gives_the_published_keys)
{
    static const char *const wanted[] = {
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e"
        "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    };
    struct host_cipher *c = cipher_new();
    uint8_t run[256], same[22], out[96], okm[96];
    for (unsigned i = 0; i < 256; i++) {
        run[i] = (uint8_t)i;
    }
    memset(same, 0x0b, sizeof(same));
    const struct {
        struct bytes key, salt, info;
    } cases[] = {
        {bytes_of(same, 22), bytes_of(run, 13), bytes_of(run + 0xf0, 10)},
        {bytes_of(run, 80), bytes_of(run + 0x60, 80), bytes_of(run + 0xb0, 80)},
        {bytes_of(same, 22), bytes_of(NULL, 0), bytes_of(run, 0)},
    };
    for (unsigned round = 0; round < 6; round++) {
        unsigned i = round % 3;
        size_t bytes = hex(wanted[i], okm);
        ck_assert_int_eq(
            host_cipher_hkdf(c, cases[i].key, cases[i].salt, cases[i].info, out, bytes), 0);
        ck_assert_int_eq(memcmp(out, okm, bytes), 0);
    }
    host_cipher_free(c);
}
END_TEST

/* RFC 8032, section 7.1, tests 1 to 3. */
static const struct {
    const char *secret, *public, *text, *signature;
} ed25519_cases[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

START_TEST(ed25519_signs_and_verifies_the_published_cases)
{
    struct host_cipher *c = cipher_new();
    struct gossip_signer s = host_cipher_signer(c);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t secret[32], public[32], text[8], signature[64], out[64];
        (void)hex(ed25519_cases[i].secret, secret);
        (void)hex(ed25519_cases[i].public, public);
        ck_assert_uint_eq(hex(ed25519_cases[i].signature, signature), 64);
        struct bytes said = bytes_of(text, hex(ed25519_cases[i].text, text));
        ck_assert_int_eq(host_cipher_public_of(secret, out), 0);
        ck_assert_int_eq(memcmp(out, public, 32), 0);
        ck_assert_int_eq(host_cipher_own(c, secret, NULL), 0);
        s.sign(s.ctx, said, out);
        ck_assert_int_eq(memcmp(out, signature, 64), 0);
        ck_assert(s.verify(s.ctx, public, said, signature));
        ck_assert(!s.verify(s.ctx, public, bytes_of("x", 1), signature));
        out[5] ^= 1;
        ck_assert(!s.verify(s.ctx, public, said, out));
        public[5] ^= 1;
        ck_assert(!s.verify(s.ctx, public, said, signature));
    }
    host_cipher_free(c);
}
END_TEST

START_TEST(without_an_own_key_a_signature_convinces_nobody)
{
    struct host_cipher *c = cipher_new();
    struct gossip_signer s = host_cipher_signer(c);
    uint8_t out[64], public[32], zeros[64] = {0};
    memset(out, 1, sizeof(out));
    s.sign(s.ctx, bytes_of_text("text"), out);
    ck_assert_int_eq(memcmp(out, zeros, sizeof(out)), 0);
    (void)hex(ed25519_cases[0].public, public);
    ck_assert(!s.verify(s.ctx, public, bytes_of_text("text"), out));
    ck_assert(!s.verify(s.ctx, zeros, bytes_of_text("text"), out));
    host_cipher_free(c);
}
END_TEST

START_TEST(the_first_key_is_the_bundle_s_or_follows_from_the_cluster_id)
{
    struct host_cipher *c = cipher_new();
    static struct wire_identity id;
    uint8_t a[32], b[32];
    bool secret = false;
    id = (struct wire_identity){.format = 2, .cluster = {1}, .gossip_key = {4, 5}};
    ck_assert_int_eq(host_cipher_first_key(c, &id, a, &secret), 0);
    ck_assert(secret);
    ck_assert_int_eq(memcmp(a, id.gossip_key, 32), 0);
    id = (struct wire_identity){.format = 1, .cluster = {1}};
    ck_assert_int_eq(host_cipher_first_key(c, &id, a, &secret), 0);
    ck_assert(!secret);
    ck_assert_int_eq(host_cipher_first_key(c, &id, b, &secret), 0);
    ck_assert_int_eq(memcmp(a, b, 32), 0); /* on every node */
    id.cluster[0] = 2;
    ck_assert_int_eq(host_cipher_first_key(c, &id, b, &secret), 0);
    ck_assert_int_ne(memcmp(a, b, 32), 0);
    host_cipher_free(c);
}
END_TEST

/* ---- packets -------------------------------------------------------------------------------- */

static struct gossip_seal *seal_new(struct host_cipher *c, uint32_t self, uint8_t cluster)
{
    struct alloc heap = alloc_heap();
    struct gossip_seal *s = NULL;
    struct gossip_seal_options o = {.self = self,
                                    .incarnation = 1,
                                    .epoch = 7,
                                    .cluster = {cluster},
                                    .senders_max = 3,
                                    .cipher = host_cipher_table(c)};
    struct gossip_key key = {.number = 1, .state = GOSSIP_KEY_USED, .bytes = {1, 2, 3}};
    ck_assert_int_eq(gossip_seal_new(&s, &o, &heap), 0);
    ck_assert_int_eq(gossip_seal_keys(s, &key, 1), 0);
    for (uint32_t id = 1; id <= 3; id++) {
        ck_assert_int_eq(gossip_seal_sender(s, id, 1, 7), 0);
    }
    return s;
}

START_TEST(packets_of_every_size_open_at_their_destination_only) /* scenarios G12 G13 */
{
    struct host_cipher *c = cipher_new();
    struct alloc heap = alloc_heap();
    struct gossip_seal *from = seal_new(c, 1, 'a');
    struct gossip_seal *to = seal_new(c, 2, 'a');
    struct gossip_seal *third = seal_new(c, 3, 'a');
    struct gossip_seal *other = seal_new(c, 2, 'b');
    uint8_t text[1400], into[BYTES_MAX];
    struct gossip_opened o;
    struct rng rng;
    struct buf out;
    rng_init(&rng, 1);
    rng_fill(&rng, text, sizeof(text));
    buf_init(&out, &heap, BYTES_MAX);
    for (size_t size = 0; size <= sizeof(text); size += 1 + size / 8) {
        buf_clear(&out);
        ck_assert_int_eq(gossip_seal_close(from, GOSSIP_DATAGRAM, 2, bytes_of(text, size), &out),
                         0);
        ck_assert_int_eq(gossip_seal_open(third, GOSSIP_DATAGRAM, buf_view(&out), into, &o),
                         ERR_CORRUPT);
        ck_assert_int_eq(gossip_seal_open(other, GOSSIP_DATAGRAM, buf_view(&out), into, &o),
                         ERR_CORRUPT);
        ck_assert_int_eq(gossip_seal_open(to, GOSSIP_DATAGRAM, buf_view(&out), into, &o), 0);
        ck_assert(bytes_equal(o.text, bytes_of(text, size)));
    }
    struct gossip_seal_counters counts;
    gossip_seal_counters_get(other, &counts);
    ck_assert_uint_gt(counts.forged, 10);
    ck_assert_uint_eq(counts.opened, 0);
    buf_release(&out);
    gossip_seal_free(from);
    gossip_seal_free(to);
    gossip_seal_free(third);
    gossip_seal_free(other);
    host_cipher_free(c);
}
END_TEST

START_TEST(no_flipped_byte_and_no_cut_opens) /* scenario G22 */
{
    struct host_cipher *c = cipher_new();
    struct alloc heap = alloc_heap();
    struct gossip_seal *from = seal_new(c, 1, 'a');
    struct gossip_seal *to = seal_new(c, 2, 'a');
    uint8_t into[BYTES_MAX];
    struct gossip_opened o;
    struct buf out;
    buf_init(&out, &heap, BYTES_MAX);
    ck_assert_int_eq(gossip_seal_close(from, GOSSIP_STREAM, 2, bytes_of_text("who is there"), &out),
                     0);
    for (size_t i = 0; i < out.size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            out.data[i] ^= (uint8_t)change;
            ck_assert_int_ne(gossip_seal_open(to, GOSSIP_STREAM, buf_view(&out), into, &o), 0);
            out.data[i] ^= (uint8_t)change;
        }
        ck_assert_int_ne(gossip_seal_open(to, GOSSIP_STREAM, bytes_of(out.data, i), into, &o), 0);
    }
    ck_assert_int_eq(gossip_seal_open(to, GOSSIP_STREAM, buf_view(&out), into, &o), 0);
    ck_assert(bytes_equal(o.text, bytes_of_text("who is there")));
    buf_release(&out);
    gossip_seal_free(from);
    gossip_seal_free(to);
    host_cipher_free(c);
}
END_TEST

UNIT_MAIN("host_cipher", aes_256_gcm_seals_and_opens_the_published_cases,
          hkdf_sha_256_gives_the_published_keys, ed25519_signs_and_verifies_the_published_cases,
          without_an_own_key_a_signature_convinces_nobody,
          the_first_key_is_the_bundle_s_or_follows_from_the_cluster_id,
          packets_of_every_size_open_at_their_destination_only, no_flipped_byte_and_no_cut_opens)
