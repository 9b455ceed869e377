/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every failure of OpenSSL that does not come from the bytes of a packet is one of memory: the
 * algorithms were tried when the cipher was made.
 */
#include "server/host/cipher.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#define CIPHER_NONCE_BYTES 12
#define CIPHER_HASH_BYTES 32
#define CIPHER_FIRST_KEY_LABEL "holdfast gossip key of a cluster without one"

/* A context and the key it holds: setting the same key again would expand it again. */
struct cipher_side {
    EVP_CIPHER_CTX *context;
    bool keyed;
    uint8_t key[GOSSIP_KEY_BYTES];
};

struct host_cipher {
    struct alloc alloc;
    EVP_CIPHER *gcm;
    EVP_KDF *hkdf;
    EVP_KDF_CTX *derive;
    EVP_MD_CTX *sign;
    EVP_PKEY *own; /* NULL: nothing is signed */
    struct cipher_side out;
    struct cipher_side in;
};

/* ---- packets -------------------------------------------------------------------------------- */

static bool cipher_digest_set(struct host_cipher *c)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_CTX_set_params(c->derive, params) == 1;
}

int host_cipher_hkdf(struct host_cipher *c, struct bytes key, struct bytes salt, struct bytes info,
                     uint8_t *out, size_t bytes)
{
    static const uint8_t zeros[CIPHER_HASH_BYTES];
    /* The context keeps a field that is not given: all are given, but the digest, which it has. No
     * salt is as many zeros as the hash has bytes (RFC 5869, section 2.2). */
    struct bytes begun = salt.size > 0 ? salt : bytes_of(zeros, sizeof(zeros));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key.data,
                                          key.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)begun.data,
                                          begun.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.data,
                                          info.size),
        OSSL_PARAM_construct_end(),
    };
    if (info.size == 0) {
        /* OpenSSL 3.0 keeps the length of the info before when it is given none */
        EVP_KDF_CTX_reset(c->derive);
        if (!cipher_digest_set(c)) {
            return ERR_NO_MEMORY;
        }
    }
    return EVP_KDF_derive(c->derive, out, bytes, params) == 1 ? 0 : ERR_NO_MEMORY;
}

int host_cipher_first_key(struct host_cipher *c, const struct wire_identity *identity,
                          uint8_t out[GOSSIP_KEY_BYTES], bool *secret)
{
    _Static_assert(WIRE_IDENTITY_KEY_BYTES == GOSSIP_KEY_BYTES, "a bundle holds a gossip key");
    if (identity->format > 1) {
        memcpy(out, identity->gossip_key, GOSSIP_KEY_BYTES);
        *secret = true;
        return 0;
    }
    TRY(host_cipher_hkdf(c, bytes_of(identity->cluster, sizeof(identity->cluster)),
                         bytes_of(NULL, 0), bytes_of_text(CIPHER_FIRST_KEY_LABEL), out,
                         GOSSIP_KEY_BYTES));
    *secret = false;
    return 0;
}

static int cipher_derive(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                         uint8_t out[GOSSIP_KEY_BYTES])
{
    return host_cipher_hkdf(ctx, bytes_of(key, GOSSIP_KEY_BYTES), bytes_of(NULL, 0), info, out,
                            GOSSIP_KEY_BYTES);
}

static bool cipher_begin(struct cipher_side *side, bool seal, const uint8_t *key,
                         const uint8_t *nonce)
{
    bool same = side->keyed && CRYPTO_memcmp(side->key, key, sizeof(side->key)) == 0;
    side->keyed =
        EVP_CipherInit_ex2(side->context, NULL, same ? NULL : key, nonce, seal ? 1 : 0, NULL) == 1;
    if (!same) {
        memcpy(side->key, key, sizeof(side->key));
    }
    return side->keyed;
}

/* out: NULL for what is authenticated only. */
static bool cipher_more(struct cipher_side *side, uint8_t *out, struct bytes data)
{
    int done = 0;
    ASSERT(data.size <= INT_MAX);
    return data.size == 0 ||
           EVP_CipherUpdate(side->context, out, &done, data.data, (int)data.size) == 1;
}

static int cipher_seal(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES],
                       const uint8_t nonce[CIPHER_NONCE_BYTES], struct bytes aad, struct bytes text,
                       uint8_t *out)
{
    struct host_cipher *c = ctx;
    struct cipher_side *side = &c->out;
    uint8_t rest[GOSSIP_SEAL_TAG_BYTES];
    int done = 0;
    bool ok = cipher_begin(side, true, key, nonce) && cipher_more(side, NULL, aad) &&
              cipher_more(side, out, text) && EVP_CipherFinal_ex(side->context, rest, &done) == 1 &&
              EVP_CIPHER_CTX_ctrl(side->context, EVP_CTRL_AEAD_GET_TAG, GOSSIP_SEAL_TAG_BYTES,
                                  out + text.size) == 1;
    side->keyed = side->keyed && ok;
    return ok ? 0 : ERR_NO_MEMORY;
}

static int cipher_open(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES],
                       const uint8_t nonce[CIPHER_NONCE_BYTES], struct bytes aad, struct bytes text,
                       uint8_t *out)
{
    struct host_cipher *c = ctx;
    struct cipher_side *side = &c->in;
    uint8_t tag[GOSSIP_SEAL_TAG_BYTES];
    uint8_t rest[GOSSIP_SEAL_TAG_BYTES];
    int done = 0;
    ASSERT(text.size >= sizeof(tag));
    struct bytes hidden = bytes_of(text.data, text.size - sizeof(tag));
    memcpy(tag, text.data + hidden.size, sizeof(tag));
    if (!cipher_begin(side, false, key, nonce)) {
        return ERR_NO_MEMORY;
    }
    bool ok = cipher_more(side, NULL, aad) && cipher_more(side, out, hidden) &&
              EVP_CIPHER_CTX_ctrl(side->context, EVP_CTRL_AEAD_SET_TAG, GOSSIP_SEAL_TAG_BYTES,
                                  tag) == 1 &&
              EVP_CipherFinal_ex(side->context, rest, &done) == 1;
    if (!ok) {
        memset(out, 0, hidden.size); /* what nobody vouches for is not left for anyone to read */
        return ERR_CORRUPT;
    }
    return 0;
}

struct gossip_cipher host_cipher_table(struct host_cipher *c)
{
    return (struct gossip_cipher){
        .ctx = c, .derive = cipher_derive, .seal = cipher_seal, .open = cipher_open};
}

/* ---- signatures ----------------------------------------------------------------------------- */

static EVP_PKEY *cipher_private(const uint8_t *key)
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, GOSSIP_PRIVATE_KEY_BYTES);
}

static void cipher_sign(void *ctx, struct bytes text, uint8_t out[GOSSIP_SIGNATURE_BYTES])
{
    struct host_cipher *c = ctx;
    size_t bytes = GOSSIP_SIGNATURE_BYTES;
    (void)EVP_MD_CTX_reset(c->sign);
    if (c->own == NULL || EVP_DigestSignInit(c->sign, NULL, NULL, NULL, c->own) != 1 ||
        EVP_DigestSign(c->sign, out, &bytes, text.data, text.size) != 1) {
        memset(out, 0, GOSSIP_SIGNATURE_BYTES); /* nobody believes it */
    }
}

static bool cipher_verify(void *ctx, const uint8_t key[GOSSIP_PUBLIC_KEY_BYTES], struct bytes text,
                          const uint8_t signature[GOSSIP_SIGNATURE_BYTES])
{
    static const uint8_t none[GOSSIP_PUBLIC_KEY_BYTES];
    struct host_cipher *c = ctx;
    if (memcmp(key, none, sizeof(none)) == 0) {
        return false; /* no key; as a point it is one of small order, which zeros satisfy */
    }
    EVP_PKEY *of =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, GOSSIP_PUBLIC_KEY_BYTES);
    (void)EVP_MD_CTX_reset(c->sign);
    bool ok =
        of != NULL && EVP_DigestVerifyInit(c->sign, NULL, NULL, NULL, of) == 1 &&
        EVP_DigestVerify(c->sign, signature, GOSSIP_SIGNATURE_BYTES, text.data, text.size) == 1;
    EVP_PKEY_free(of);
    return ok;
}

int host_cipher_own(struct host_cipher *c, const uint8_t private_key[GOSSIP_PRIVATE_KEY_BYTES],
                    struct err_info *why)
{
    EVP_PKEY *own = cipher_private(private_key);
    if (own == NULL) {
        return err_set(why, ERR_INVALID, "the node's private key is none of Ed25519");
    }
    EVP_PKEY_free(c->own);
    c->own = own;
    return 0;
}

struct gossip_signer host_cipher_signer(struct host_cipher *c)
{
    return (struct gossip_signer){.ctx = c, .sign = cipher_sign, .verify = cipher_verify};
}

int host_cipher_public_of(const uint8_t private_key[GOSSIP_PRIVATE_KEY_BYTES],
                          uint8_t out[GOSSIP_PUBLIC_KEY_BYTES])
{
    EVP_PKEY *own = cipher_private(private_key);
    size_t bytes = GOSSIP_PUBLIC_KEY_BYTES;
    bool ok = own != NULL && EVP_PKEY_get_raw_public_key(own, out, &bytes) == 1 &&
              bytes == GOSSIP_PUBLIC_KEY_BYTES;
    EVP_PKEY_free(own);
    return ok ? 0 : ERR_INVALID;
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool cipher_side_open(struct cipher_side *side, const EVP_CIPHER *gcm, bool seal)
{
    side->context = EVP_CIPHER_CTX_new();
    return side->context != NULL &&
           EVP_CipherInit_ex2(side->context, gcm, NULL, NULL, seal ? 1 : 0, NULL) == 1;
}

static bool cipher_derive_open(struct host_cipher *c)
{
    c->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    c->derive = c->hkdf == NULL ? NULL : EVP_KDF_CTX_new(c->hkdf);
    return c->derive != NULL && cipher_digest_set(c);
}

int host_cipher_new(struct host_cipher **out, const struct alloc *alloc, struct err_info *why)
{
    struct host_cipher *c = alloc_get_zeroed(alloc, 1, sizeof(*c));
    if (c == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the cipher");
    }
    c->alloc = *alloc;
    c->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    c->sign = EVP_MD_CTX_new();
    if (c->gcm == NULL || c->sign == NULL || !cipher_side_open(&c->out, c->gcm, true) ||
        !cipher_side_open(&c->in, c->gcm, false) || !cipher_derive_open(c)) {
        host_cipher_free(c);
        return err_set(why, ERR_INVALID, "openssl offers no 'AES-256-GCM' or 'HKDF'");
    }
    *out = c;
    return 0;
}

void host_cipher_free(struct host_cipher *c)
{
    if (c == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(c->out.context);
    EVP_CIPHER_CTX_free(c->in.context);
    EVP_CIPHER_free(c->gcm);
    EVP_KDF_CTX_free(c->derive);
    EVP_KDF_free(c->hkdf);
    EVP_MD_CTX_free(c->sign);
    EVP_PKEY_free(c->own);
    struct alloc alloc = c->alloc;
    OPENSSL_cleanse(c, sizeof(*c));
    alloc_put(&alloc, c, sizeof(*c));
}
