/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The real envelope around simulated packets, with a cipher that hides nothing: its tag is a hash
 * over key, nonce, additional data and text, which is all that a simulation can tell apart.
 */
#include "tests/gossip/gsim.h"

#include <string.h>

static int gsim_cipher_derive(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                              uint8_t out[GOSSIP_KEY_BYTES])
{
    (void)ctx;
    for (unsigned i = 0; i < GOSSIP_KEY_BYTES / 8; i++) {
        uint64_t h = hash_of(info, hash_of(bytes_of(key, GOSSIP_KEY_BYTES), i));
        memcpy(out + (size_t)8 * i, &h, 8);
    }
    return 0;
}

static void gsim_cipher_tag(const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                            struct bytes aad, struct bytes text, uint8_t out[16])
{
    uint64_t h = hash_of(bytes_of(key, GOSSIP_KEY_BYTES), 1);
    h = hash_of(bytes_of(nonce, 12), h);
    h = hash_of(aad, h);
    h = hash_of(text, h);
    uint64_t more = hash_mix(h);
    memcpy(out, &h, 8);
    memcpy(out + 8, &more, 8);
}

static int gsim_cipher_seal(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                            struct bytes aad, struct bytes text, uint8_t *out)
{
    (void)ctx;
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    gsim_cipher_tag(key, nonce, aad, text, out + text.size);
    return 0;
}

static int gsim_cipher_open(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                            struct bytes aad, struct bytes text, uint8_t *out)
{
    (void)ctx;
    uint8_t tag[16];
    if (text.size < sizeof(tag)) {
        return ERR_CORRUPT;
    }
    struct bytes body = bytes_of(text.data, text.size - sizeof(tag));
    gsim_cipher_tag(key, nonce, aad, body, tag);
    if (memcmp(tag, text.data + body.size, sizeof(tag)) != 0) {
        return ERR_CORRUPT;
    }
    memmove(out, body.data, body.size);
    return 0;
}

void gsim_seal_start(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    struct gossip_seal_options options = {.self = node + 1,
                                          .incarnation = 1,
                                          .epoch = n->epoch,
                                          .cluster = {7, 7, 7},
                                          .senders_max = s->options.nodes,
                                          .cipher = {.derive = gsim_cipher_derive,
                                                     .seal = gsim_cipher_seal,
                                                     .open = gsim_cipher_open}};
    struct gossip_key key = {.number = 1, .state = GOSSIP_KEY_USED, .bytes = {1, 2, 3}};
    int code = gossip_seal_new(&n->seal, &options, &s->alloc);
    ASSERT(code == 0);
    code = gossip_seal_keys(n->seal, &key, 1);
    ASSERT(code == 0);
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        code = gossip_seal_sender(n->seal, i + 1, 1, s->seats[i].epoch_least);
        ASSERT(code == 0);
    }
}

void gsim_close(struct gsim *s, uint32_t from, uint32_t to, const struct gossip_action *action,
                struct bytes *out)
{
    buf_clear(&s->sealed);
    int code =
        gossip_seal_close(s->nodes[from].seal, action->channel, to + 1, action->data, &s->sealed);
    ASSERT(code == 0);
    *out = buf_view(&s->sealed);
}

bool gsim_open(struct gsim *s, const struct gsim_packet *p, struct bytes *data, uint32_t *sender,
               uint64_t *epoch)
{
    struct gossip_opened opened;
    int code = gossip_seal_open(s->nodes[p->to].seal, (enum gossip_channel)p->channel,
                                bytes_of(p->data, p->size), s->unsealed, &opened);
    if (code == ERR_BEHIND) {
        struct gossip_action greeting = {.kind = GOSSIP_SEND,
                                         .peer = opened.sender,
                                         .address = gsim_address(opened.sender - 1),
                                         .channel = GOSSIP_DATAGRAM};
        gsim_net_send(s, p->to, &greeting);
    }
    if (code != 0) {
        return false;
    }
    *data = opened.text;
    *sender = opened.sender;
    *epoch = opened.epoch;
    return true;
}
