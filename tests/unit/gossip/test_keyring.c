/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rotation of the cluster's keys: the steps, who holds them up, and nodes that miss some of them.
 */
#include "base/rng.h"
#include "gossip/gossip.h"
#include "tests/unit/gossip/fake_cipher.h"
#include "tests/unit/unit.h"

#include <string.h>

#define NODES 4u
#define BYTES_MAX 256u

static struct fake_cipher fake;
static struct gossip_keyring ring;

static struct gossip_keyring_change change_of(enum gossip_keyring_step step, uint16_t number)
{
    struct gossip_keyring_change c = {.step = step, .revision = ring.revision, .number = number};
    memset(c.bytes, 0x20 + number, sizeof(c.bytes));
    return c;
}

static int step(enum gossip_keyring_step kind, uint16_t number)
{
    struct gossip_keyring_change c = change_of(kind, number);
    return gossip_keyring_apply(&ring, &c);
}

static void begin(void)
{
    uint8_t bytes[GOSSIP_KEY_BYTES];
    memset(bytes, 0x21, sizeof(bytes));
    ck_assert_int_eq(gossip_keyring_begin(&ring, bytes), 0);
}

static int ready(enum gossip_keyring_step kind, uint16_t number,
                 const struct gossip_keyring_member *members, uint32_t count, uint32_t *blocker)
{
    struct gossip_keyring_change c = change_of(kind, number);
    return gossip_keyring_ready(&ring, &c, members, count, blocker);
}

START_TEST(a_rotation_is_install_use_retire)
{
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    begin();
    ck_assert_uint_eq(gossip_keyring_used(&ring), 1);
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_uint_eq(gossip_keyring_used(&ring), 1);
    ck_assert_uint_eq(gossip_keyring_keys(&ring, keys), 2);
    ck_assert_uint_eq(keys[1].state, GOSSIP_KEY_INSTALLED);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    ck_assert_uint_eq(gossip_keyring_used(&ring), 2);
    ck_assert_uint_eq(gossip_keyring_keys(&ring, keys), 2);
    ck_assert_uint_eq(keys[0].state, GOSSIP_KEY_OLD);
    ck_assert_int_eq(step(GOSSIP_KEYRING_RETIRE, 1), 0);
    ck_assert_uint_eq(gossip_keyring_keys(&ring, keys), 1);
    ck_assert_uint_eq(keys[0].number, 2);
    ck_assert_uint_eq(ring.revision, 4);
}
END_TEST

START_TEST(each_step_has_its_refusals)
{
    begin();
    struct gossip_keyring_change zeros = {
        .step = GOSSIP_KEYRING_INSTALL, .revision = ring.revision, .number = 2};
    ck_assert_int_eq(gossip_keyring_apply(&ring, &zeros), ERR_INVALID);
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 0), ERR_INVALID);
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 1), ERR_EXISTS);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), ERR_NOT_FOUND);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 1), ERR_DONE);
    ck_assert_int_eq(step(GOSSIP_KEYRING_RETIRE, 1), ERR_IN_USE);
    ck_assert_int_eq(step(GOSSIP_KEYRING_RETIRE, 2), ERR_NOT_FOUND);
    ck_assert_int_eq(step((enum gossip_keyring_step)9, 1), ERR_INVALID);
    for (uint16_t n = 2; n <= GOSSIP_KEYS_MAX; n++) {
        ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, n), 0);
    }
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 9), ERR_TOO_LARGE);
    ck_assert_int_eq(step(GOSSIP_KEYRING_RETIRE, 4), 0);           /* never used: nobody needs it */
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 4), ERR_EXISTS); /* numbers do not come back */
    struct gossip_keyring_change twin = change_of(GOSSIP_KEYRING_INSTALL, 9);
    memset(twin.bytes, 0x22, sizeof(twin.bytes)); /* the bytes of key 2 */
    ck_assert_int_eq(gossip_keyring_apply(&ring, &twin), ERR_EXISTS);
    ck_assert_uint_eq(ring.revision, 5);
    uint8_t none[GOSSIP_KEY_BYTES] = {0};
    ck_assert_int_eq(gossip_keyring_begin(&ring, none), ERR_INVALID);
}
END_TEST

START_TEST(of_two_steps_at_the_same_time_the_later_is_refused) /* scenario G24 */
{
    begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    struct gossip_keyring_change install = change_of(GOSSIP_KEYRING_INSTALL, 3);
    struct gossip_keyring_change other = change_of(GOSSIP_KEYRING_INSTALL, 3);
    struct gossip_keyring_change retire = change_of(GOSSIP_KEYRING_RETIRE, 1);
    struct gossip_keyring_change back = change_of(GOSSIP_KEYRING_USE, 1);
    memset(other.bytes, 0x77, sizeof(other.bytes));
    ck_assert_int_eq(gossip_keyring_apply(&ring, &retire), 0);
    ck_assert_int_eq(gossip_keyring_apply(&ring, &back), ERR_CONFLICT);
    ck_assert_int_eq(gossip_keyring_apply(&ring, &install), ERR_CONFLICT);
    install.revision = ring.revision;
    ck_assert_int_eq(gossip_keyring_apply(&ring, &install), 0);
    ck_assert_int_eq(gossip_keyring_apply(&ring, &other), ERR_CONFLICT);
    other.revision = ring.revision;
    ck_assert_int_eq(gossip_keyring_apply(&ring, &other), ERR_EXISTS);
}
END_TEST

START_TEST(use_waits_until_all_live_members_have_the_key) /* scenario G24 */
{
    struct gossip_keyring_member m[] = {{1, 2, 1}, {2, 1, 1}, {3, 2, 1}};
    uint32_t blocker = 0;
    begin();
    ck_assert_int_eq(ready(GOSSIP_KEYRING_INSTALL, 2, m, 3, &blocker), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 2, m, 3, &blocker), ERR_BEHIND);
    ck_assert_uint_eq(blocker, 2);
    m[1].revision = 2;
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 2, m, 3, &blocker), 0);
    m[2].revision = 0; /* has not said */
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 2, m, 3, &blocker), ERR_BEHIND);
    ck_assert_uint_eq(blocker, 3);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 2, m, 2, &blocker), 0); /* it is dead */
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 7, m, 2, &blocker), ERR_NOT_FOUND);
}
END_TEST

START_TEST(retire_waits_until_all_live_members_seal_with_another) /* scenario G24 */
{
    struct gossip_keyring_member m[] = {{1, 3, 2}, {2, 2, 1}, {3, 3, 2}};
    uint32_t blocker = 0;
    begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 1, m, 3, &blocker), ERR_BEHIND);
    ck_assert_uint_eq(blocker, 2);
    m[1].revision = 3; /* has the ring, and still seals with key 1 */
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 1, m, 3, &blocker), ERR_BEHIND);
    m[1].key = 0;
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 1, m, 3, &blocker), ERR_BEHIND);
    m[1].key = 2;
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 1, m, 3, &blocker), 0);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 2, m, 3, &blocker), ERR_IN_USE);
    /* a key that was never used holds nobody up */
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 3), 0);
    m[0].revision = 0;
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 3, m, 3, &blocker), 0);
}
END_TEST

START_TEST(a_step_back_to_the_old_key_is_a_use_like_any_other)
{
    struct gossip_keyring_member m[] = {{1, 3, 2}};
    uint32_t blocker = 0;
    begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_USE, 1, m, 1, &blocker), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 1), 0);
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 2, m, 1, &blocker), ERR_BEHIND);
    m[0] = (struct gossip_keyring_member){1, 4, 1};
    ck_assert_int_eq(ready(GOSSIP_KEYRING_RETIRE, 2, m, 1, &blocker), 0);
}
END_TEST

/* ---- bytes ---------------------------------------------------------------------------------- */

START_TEST(random_rings_come_back_and_every_changed_byte_is_looked_at)
{
    struct alloc heap = alloc_heap();
    struct rng rng;
    struct buf out;
    struct buf again;
    struct gossip_keyring read;
    uint16_t next = 2;
    rng_init(&rng, unit_seed("random_rings", 11));
    buf_init(&out, &heap, GOSSIP_KEYRING_BYTES_MAX);
    buf_init(&again, &heap, GOSSIP_KEYRING_BYTES_MAX);
    begin();
    for (unsigned i = 0; i < 2000; i++) {
        uint16_t number = (uint16_t)rng_between(&rng, 1, next);
        int err = step((enum gossip_keyring_step)rng_between(&rng, 1, 3), number);
        next = (uint16_t)(next + (err == 0 && number == next));
        buf_clear(&out);
        buf_clear(&again);
        ck_assert_int_eq(gossip_keyring_encode(&ring, &out), 0);
        ck_assert_int_eq(gossip_keyring_decode(buf_view(&out), &read), 0);
        ck_assert_int_eq(gossip_keyring_encode(&read, &again), 0);
        ck_assert(bytes_equal(buf_view(&out), buf_view(&again)));
        size_t at = rng_below(&rng, out.size);
        out.data[at] ^= (uint8_t)rng_between(&rng, 1, 255);
        err = gossip_keyring_decode(buf_view(&out), &read);
        ck_assert(err == 0 || err == ERR_CORRUPT || err == ERR_LEVEL);
        ck_assert_int_eq(gossip_keyring_decode(bytes_of(out.data, at), &read),
                         at > 0 && out.data[0] > 1 ? ERR_LEVEL : ERR_CORRUPT);
    }
    ck_assert_uint_gt(next, 20);
    buf_release(&out);
    buf_release(&again);
}
END_TEST

START_TEST(rings_that_no_steps_lead_to_are_damaged)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 0},       /* format */
        {1, 0},       /* no key */
        {1, 5},       /* more than there can be */
        {2, 1},       /* number above the last */
        {4, 1},       /* older than its rows */
        {12, 2},      /* the same number twice */
        {14, 2},      /* two in use */
        {14, 1},      /* in use once, and only installed */
        {14, 4},      /* no state */
        {15, 1},      /* reserved */
        {16, 0},      /* never installed */
        {64 + 2, 3},  /* none in use */
        {64 + 12, 0}, /* in use, and never came into use */
        {24, 9},      /* later than the ring */
    };
    struct alloc heap = alloc_heap();
    struct gossip_keyring read;
    struct buf out;
    buf_init(&out, &heap, GOSSIP_KEYRING_BYTES_MAX);
    begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    ck_assert_int_eq(gossip_keyring_encode(&ring, &out), 0);
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint8_t was = out.data[changes[i].at];
        out.data[changes[i].at] = changes[i].value;
        ck_assert_int_eq(gossip_keyring_decode(buf_view(&out), &read), ERR_CORRUPT);
        out.data[changes[i].at] = was;
    }
    memset(out.data + 64 + 20, 0, GOSSIP_KEY_BYTES);
    ck_assert_int_eq(gossip_keyring_decode(buf_view(&out), &read), ERR_CORRUPT);
    out.data[0] = 2;
    ck_assert_int_eq(gossip_keyring_decode(buf_view(&out), &read), ERR_LEVEL);
    buf_release(&out);
}
END_TEST

/* ---- a rotation among nodes ----------------------------------------------------------------- */

static struct gossip_seal *nodes[NODES];

static void take_ring(unsigned i)
{
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    unsigned count = gossip_keyring_keys(&ring, keys);
    ck_assert_int_eq(gossip_seal_keys(nodes[i], keys, count), 0);
}

static void nodes_begin(void)
{
    struct alloc heap = alloc_heap();
    begin();
    for (uint32_t i = 0; i < NODES; i++) {
        struct gossip_seal_options o = {.self = i + 1,
                                        .incarnation = 1,
                                        .epoch = 3,
                                        .senders_max = NODES,
                                        .cipher = fake_cipher(&fake)};
        ck_assert_int_eq(gossip_seal_new(&nodes[i], &o, &heap), 0);
        for (uint32_t id = 1; id <= NODES; id++) {
            ck_assert_int_eq(gossip_seal_sender(nodes[i], id, 1, 3), 0);
        }
        take_ring(i);
    }
}

static void nodes_end(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        gossip_seal_free(nodes[i]);
    }
}

/* returns: what opening says at to of what from seals. */
static int talk(unsigned from, unsigned to)
{
    struct alloc heap = alloc_heap();
    uint8_t into[BYTES_MAX];
    struct gossip_opened o;
    struct buf out;
    buf_init(&out, &heap, BYTES_MAX);
    ck_assert_int_eq(
        gossip_seal_close(nodes[from], GOSSIP_DATAGRAM, to + 1, bytes_of_text("hello"), &out), 0);
    int err = gossip_seal_open(nodes[to], GOSSIP_DATAGRAM, buf_view(&out), into, &o);
    buf_release(&out);
    return err;
}

static void all_talk(unsigned first, unsigned count, int wanted)
{
    for (unsigned from = first; from < count; from++) {
        for (unsigned to = first; to < count; to++) {
            if (from != to) {
                ck_assert_int_eq(talk(from, to), wanted);
            }
        }
    }
}

START_TEST(no_packet_is_lost_while_a_rotation_reaches_one_node_after_another) /* scenario G24 */
{
    nodes_begin();
    static const enum gossip_keyring_step steps[] = {GOSSIP_KEYRING_INSTALL, GOSSIP_KEYRING_USE,
                                                     GOSSIP_KEYRING_RETIRE};
    static const uint16_t numbers[] = {2, 2, 1};
    for (unsigned s = 0; s < 3; s++) {
        ck_assert_int_eq(step(steps[s], numbers[s]), 0);
        for (unsigned i = 0; i < NODES; i++) {
            all_talk(0, NODES, 0);
            take_ring(i);
        }
        all_talk(0, NODES, 0);
    }
    for (uint32_t id = 2; id <= NODES; id++) {
        ck_assert_uint_eq(gossip_seal_key_of(nodes[0], id), 2);
    }
    nodes_end();
}
END_TEST

START_TEST(a_node_cut_off_comes_back_while_its_key_is_old) /* scenario G24 */
{
    nodes_begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    for (unsigned i = 0; i + 1 < NODES; i++) {
        take_ring(i); /* the last node hears nothing of it */
    }
    all_talk(0, NODES - 1, 0);
    ck_assert_int_eq(talk(NODES - 1, 0), 0); /* it is heard, so group 0 tells it the ring */
    ck_assert_uint_eq(gossip_seal_key_of(nodes[0], NODES), 1);
    ck_assert_int_eq(talk(0, NODES - 1), ERR_PERMISSION);
    take_ring(NODES - 1);
    all_talk(0, NODES, 0);
    nodes_end();
}
END_TEST

START_TEST(a_node_cut_off_is_refused_with_a_reason_when_its_key_is_retired) /* scenario G24 */
{
    struct gossip_seal_counters counts;
    nodes_begin();
    ck_assert_int_eq(step(GOSSIP_KEYRING_INSTALL, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_USE, 2), 0);
    ck_assert_int_eq(step(GOSSIP_KEYRING_RETIRE, 1), 0);
    for (unsigned i = 0; i + 1 < NODES; i++) {
        take_ring(i);
    }
    ck_assert_int_eq(talk(NODES - 1, 0), ERR_PERMISSION);
    ck_assert_int_eq(talk(0, NODES - 1), ERR_PERMISSION);
    gossip_seal_counters_get(nodes[0], &counts);
    ck_assert_uint_eq(counts.unknown_key, 1);
    ck_assert_uint_eq(counts.forged, 0);
    take_ring(NODES - 1); /* group 0 is heard without gossip */
    all_talk(0, NODES, 0);
    nodes_end();
}
END_TEST

UNIT_MAIN("gossip_keyring", a_rotation_is_install_use_retire, each_step_has_its_refusals,
          of_two_steps_at_the_same_time_the_later_is_refused,
          use_waits_until_all_live_members_have_the_key,
          retire_waits_until_all_live_members_seal_with_another,
          a_step_back_to_the_old_key_is_a_use_like_any_other,
          random_rings_come_back_and_every_changed_byte_is_looked_at,
          rings_that_no_steps_lead_to_are_damaged,
          no_packet_is_lost_while_a_rotation_reaches_one_node_after_another,
          a_node_cut_off_comes_back_while_its_key_is_old,
          a_node_cut_off_is_refused_with_a_reason_when_its_key_is_retired)
