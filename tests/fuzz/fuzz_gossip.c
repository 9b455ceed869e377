/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of the fuzz programs for gossip/.
 */
#include "tests/fuzz/fuzz_gossip.h"

#include "base/num.h"
#include "gossip/gossip.h"
#include "tests/unit/gossip/fake_cipher.h"

#include <string.h>

#define FUZZ_SELF 2u
#define FUZZ_NODES 8u
#define FUZZ_EPOCH 5u
#define FUZZ_PACKET_BYTES_MAX 2048u

/* What a byte of the input asks for. */
enum fuzz_op {
    FUZZ_PACKET = 0, /* and 1 to 4: u16 length, packet; bit 3 of the byte is the channel */
    FUZZ_SENDER = 5, /* id u8, incarnation u8, epoch u16 */
    FUZZ_KEYS = 6,   /* states u8: of keys 1 to 4, two bits each */
    FUZZ_FORGET = 7, /* id u8 */
};

/* ---- envelope ------------------------------------------------------------------------------- */

static struct gossip_seal *seal_make(struct fake_cipher *fake)
{
    struct alloc heap = alloc_heap();
    struct gossip_seal *s = NULL;
    struct gossip_seal_options o = {.self = FUZZ_SELF,
                                    .incarnation = 1,
                                    .epoch = FUZZ_EPOCH,
                                    .senders_max = FUZZ_NODES,
                                    .cipher = fake_cipher(fake)};
    struct gossip_key keys[2] = {{.number = 1, .state = GOSSIP_KEY_USED},
                                 {.number = 2, .state = GOSSIP_KEY_OLD}};
    ASSERT(gossip_seal_new(&s, &o, &heap) == 0);
    ASSERT(gossip_seal_keys(s, keys, 2) == 0);
    for (uint32_t id = 1; id < FUZZ_NODES; id++) {
        ASSERT(gossip_seal_sender(s, id, 1, id) == 0);
    }
    return s;
}

/* returns: what opening said; checks what every answer promises. */
static int seal_packet(struct gossip_seal *s, enum gossip_channel channel, struct bytes packet)
{
    struct alloc heap = alloc_heap();
    struct gossip_opened o = {0};
    struct gossip_seal_counters was, now;
    uint8_t *into = alloc_get(&heap, NUM_MAX(packet.size, 1));
    ASSERT(into != NULL);
    gossip_seal_counters_get(s, &was);
    int err = gossip_seal_open(s, channel, packet, into, &o);
    gossip_seal_counters_get(s, &now);
    uint64_t refused = now.malformed + now.unknown_sender + now.unknown_key + now.old_epoch +
                       now.replayed + now.forged + now.stale;
    refused -= was.malformed + was.unknown_sender + was.unknown_key + was.old_epoch + was.replayed +
               was.forged + was.stale;
    ASSERT(refused + (now.opened - was.opened) == 1);
    if (err == 0) {
        ASSERT(now.opened == was.opened + 1);
        ASSERT(o.text.data == into && o.text.size + GOSSIP_SEAL_BYTES == packet.size);
        ASSERT(o.sender != FUZZ_SELF && gossip_seal_key_of(s, o.sender) == o.key);
        ASSERT(num_get_u64(packet.data + 24) == FUZZ_EPOCH);
    }
    if (err == 0 || err == ERR_BEHIND) {
        ASSERT(gossip_seal_open(s, channel, packet, into, &o) == ERR_REPLAYED);
    }
    alloc_put(&heap, into, NUM_MAX(packet.size, 1));
    return err;
}

static void seal_change_keys(struct gossip_seal *s, uint8_t states)
{
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    unsigned count = 0;
    memset(keys, 0, sizeof(keys));
    for (unsigned i = 0; i < GOSSIP_KEYS_MAX; i++) {
        uint8_t state = (states >> (2 * i)) & 3;
        if (state != 0) {
            keys[count].number = (uint16_t)(i + 1);
            keys[count++].state = state;
        }
    }
    int err = gossip_seal_keys(s, keys, count);
    ASSERT(err == 0 || err == ERR_INVALID);
}

static void seal_run(struct gossip_seal *s, struct bytes input, bool believes)
{
    struct bytes_reader r = bytes_reader_of(input);
    while (r.left > 0 && !r.failed) {
        uint8_t op = bytes_take_u8(&r);
        if (op % 8 < FUZZ_SENDER) {
            size_t size = bytes_take_u16(&r) % FUZZ_PACKET_BYTES_MAX;
            struct bytes packet = bytes_take(&r, NUM_MIN(size, r.left));
            enum gossip_channel channel = (op & 8) != 0 ? GOSSIP_STREAM : GOSSIP_DATAGRAM;
            int err = seal_packet(s, channel, packet);
            ASSERT(believes || (err != 0 && err != ERR_BEHIND));
        } else if (op % 8 == FUZZ_SENDER) {
            uint32_t id = bytes_take_u8(&r) % 16u;
            uint64_t incarnation = bytes_take_u8(&r);
            int err = gossip_seal_sender(s, id, incarnation, bytes_take_u16(&r));
            ASSERT(err == 0 || err == ERR_BUSY || (id == 0 && err == ERR_INVALID));
        } else if (op % 8 == FUZZ_KEYS) {
            seal_change_keys(s, bytes_take_u8(&r));
        } else {
            gossip_seal_forget(s, bytes_take_u8(&r) % 16u);
        }
    }
}

/* scenarios G22 G23 */
void fuzz_gossip_seal(struct bytes input)
{
    for (unsigned believes = 0; believes < 2; believes++) {
        struct fake_cipher fake = {.believes = believes == 1, .refuses = believes == 0};
        struct gossip_seal *s = seal_make(&fake);
        seal_run(s, input, fake.believes);
        gossip_seal_free(s);
    }
}

void fuzz_gossip_seal_example(struct buf *out, unsigned i)
{
    for (unsigned n = 0; n <= i; n++) {
        size_t text = n * n;
        (void)buf_put_u8(out, n % 3 == 2 ? 8 : 0);
        (void)buf_put_u16(out, (uint16_t)(GOSSIP_SEAL_BYTES + text));
        (void)buf_put_u8(out, 1);
        (void)buf_put_u8(out, n % 3 == 2 ? GOSSIP_STREAM : GOSSIP_DATAGRAM);
        (void)buf_put_u16(out, (uint16_t)(1 + n % 2));
        (void)buf_put_u32(out, 3 + i % 4);
        (void)buf_put_u64(out, 6 + n / 4);
        (void)buf_put_u64(out, 100 - 3 * n);
        (void)buf_put_u64(out, n % 5 == 4 ? 0 : FUZZ_EPOCH);
        for (size_t b = 0; b < text + GOSSIP_SEAL_TAG_BYTES; b++) {
            (void)buf_put_u8(out, (uint8_t)b);
        }
    }
    static const uint8_t changes[] = {FUZZ_SENDER, 3, 1, 9, 0, FUZZ_KEYS, 0x2d, FUZZ_FORGET, 4};
    (void)buf_append(out, changes, sizeof(changes));
}

/* ---- keyring -------------------------------------------------------------------------------- */

static void keyring_step(const struct gossip_keyring *ring, enum gossip_keyring_step step,
                         uint16_t number)
{
    struct alloc heap = alloc_heap();
    struct gossip_keyring changed = *ring;
    struct gossip_keyring read;
    struct gossip_keyring_change c = {.step = step, .revision = ring->revision, .number = number};
    struct gossip_keyring_member m = {.id = 7, .revision = ring->revision, .key = number};
    uint32_t blocker = 0;
    memset(c.bytes, number & 0xff, sizeof(c.bytes));
    int ready = gossip_keyring_ready(ring, &c, &m, 1, &blocker);
    int err = gossip_keyring_apply(&changed, &c);
    ASSERT(ready == err || (ready == ERR_BEHIND && err == 0 && blocker == 7));
    if (err == 0) {
        struct buf out;
        buf_init(&out, &heap, GOSSIP_KEYRING_BYTES_MAX);
        ASSERT(changed.revision == ring->revision + 1);
        ASSERT(gossip_keyring_encode(&changed, &out) == 0);
        ASSERT(gossip_keyring_decode(buf_view(&out), &read) == 0);
        buf_release(&out);
    }
}

/* scenario G23 */
void fuzz_gossip_keyring(struct bytes input)
{
    struct alloc heap = alloc_heap();
    struct gossip_keyring ring;
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    struct fake_cipher fake = {0};
    struct buf out;
    if (gossip_keyring_decode(input, &ring) != 0) {
        return;
    }
    buf_init(&out, &heap, GOSSIP_KEYRING_BYTES_MAX);
    ASSERT(gossip_keyring_encode(&ring, &out) == 0);
    ASSERT(bytes_equal(buf_view(&out), input));
    buf_release(&out);
    struct gossip_seal *s = seal_make(&fake);
    ASSERT(gossip_seal_keys(s, keys, gossip_keyring_keys(&ring, keys)) == 0);
    gossip_seal_free(s);
    for (unsigned step = 0; step < 5; step++) {
        keyring_step(&ring, (enum gossip_keyring_step)step, (uint16_t)(ring.last + 1));
        for (uint32_t i = 0; i < ring.count; i++) {
            keyring_step(&ring, (enum gossip_keyring_step)step, ring.rows[i].key.number);
        }
    }
}

void fuzz_gossip_keyring_example(struct buf *out, unsigned i)
{
    struct gossip_keyring ring;
    struct gossip_keyring_change c = {.step = GOSSIP_KEYRING_INSTALL};
    memset(c.bytes, 1, sizeof(c.bytes));
    ASSERT(gossip_keyring_begin(&ring, c.bytes) == 0);
    for (unsigned n = 0; n < i; n++) {
        static const enum gossip_keyring_step steps[] = {GOSSIP_KEYRING_INSTALL, GOSSIP_KEYRING_USE,
                                                         GOSSIP_KEYRING_RETIRE};
        c.step = steps[n % 3];
        c.number = (uint16_t)(n / 3 + (c.step == GOSSIP_KEYRING_RETIRE ? 1 : 2));
        c.revision = ring.revision;
        memset(c.bytes, c.number, sizeof(c.bytes));
        ASSERT(gossip_keyring_apply(&ring, &c) == 0);
    }
    ASSERT(gossip_keyring_encode(&ring, out) == 0);
}
