/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of messages, whole, cut and absurd; logarithms.
 */
#include "tests/unit/gossip/net.h"

#include <stdio.h>

static int hand(struct net *n, enum gossip_channel channel, const uint8_t *data, size_t size)
{
    /* of its exact size, so that a read behind its end is seen */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    int err = gossip_receive(n->nodes[1], channel, 2, 1, NULL, bytes_of(copy, size), n->now_us);
    free(copy);
    return err;
}

/* count empty messages of an unknown type. */
static size_t unknown_parts(uint8_t *packet, uint32_t count)
{
    packet[0] = GOSSIP_VERSION;
    packet[1] = 0;
    num_put_u16(packet + 2, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++) {
        packet[4 + 3 * i] = 200;
        num_put_u16(packet + 5 + 3 * i, 0);
    }
    return 4 + 3ul * count;
}

/* scenario G22 */
START_TEST(compounds_hold_1_to_255_messages)
{
    struct net *n = net_new(3, gossip_rules_default(), 22);
    uint8_t packet[1024];
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, unknown_parts(packet, 255)), 0);
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, unknown_parts(packet, 256)), ERR_PROTOCOL);
    ck_assert_int_eq(hand(n, GOSSIP_STREAM, packet, unknown_parts(packet, 256)), 0);
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, unknown_parts(packet, 0)), ERR_PROTOCOL);
    ck_assert_uint_eq(n->nodes[1]->counters.malformed, 2);
    net_free(n);
}
END_TEST

/* scenario G22 */
START_TEST(more_than_255_messages_are_split)
{
    struct net *n = net_new(3, gossip_rules_default(), 22);
    uint8_t *memory = malloc(16384);
    ck_assert_ptr_nonnull(memory);
    struct gossip_writer w;
    gossip_write_begin(n->nodes[1], &w, GOSSIP_DATAGRAM);
    w.data = memory;
    w.cap = 16384;
    memcpy(memory, n->nodes[1]->datagram, GOSSIP_HEADER_BYTES);
    uint32_t fitted = 0;
    while (fitted < 300 && gossip_write_part(&w, GOSSIP_TYPE_ACK, 4) != NULL) {
        fitted++;
    }
    ck_assert_uint_eq(fitted, 255);
    free(memory);
    net_free(n);
}
END_TEST

/* scenario G22, G23: a packet cut short, or with a length that is not there, is refused whole. */
START_TEST(every_cut_packet_is_refused_and_nothing_of_it_taken)
{
    struct net *n = net_new(3, gossip_rules_default(), 23);
    uint8_t packet[256];
    struct gossip_writer w = {
        .data = packet, .size = GOSSIP_HEADER_BYTES, .cap = sizeof(packet), .parts_max = 255};
    packet[0] = GOSSIP_VERSION;
    packet[1] = 0;
    struct gossip_record r = net_record(3, GOSSIP_SUSPECT, 1, 0);
    r.accuser_count = 2;
    r.accusers[0] = 2;
    r.accusers[1] = 1;
    ck_assert(gossip_write_record(&w, &r));
    r = net_record(2, GOSSIP_ALIVE, 1, 9);
    ck_assert(gossip_write_record(&w, &r));
    struct bytes whole = gossip_write_end(&w);
    for (size_t size = 0; size < whole.size; size++) {
        ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, whole.data, size), ERR_PROTOCOL);
    }
    packet[whole.size] = 0;
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, whole.size + 1), ERR_PROTOCOL);
    ck_assert_int_eq(net_state(n, 1, 3), GOSSIP_ALIVE);
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, whole.data, whole.size), 0);
    ck_assert_int_eq(net_state(n, 1, 3), GOSSIP_SUSPECT);
    net_free(n);
}
END_TEST

/* scenario G23 */
START_TEST(absurd_lengths_and_counts_are_refused)
{
    struct net *n = net_new(3, gossip_rules_default(), 23);
    uint8_t packet[64] = {GOSSIP_VERSION, 0, 1, 0, GOSSIP_TYPE_MEMBER, 0xff, 0xff};
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, sizeof(packet)), ERR_PROTOCOL);
    num_put_u16(packet + 5, 57);
    packet[7] = 1;
    packet[11] = GOSSIP_ALIVE;
    packet[31] = 255; /* accusers */
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, packet, sizeof(packet)), ERR_PROTOCOL);
    uint8_t buckets[12] = {GOSSIP_VERSION, 0, 1, 0, GOSSIP_TYPE_SYNC_BUCKETS, 5, 0, 1, 0, 0, 0, 60};
    ck_assert_int_eq(hand(n, GOSSIP_STREAM, buckets, sizeof(buckets)), ERR_PROTOCOL);
    buckets[11] = 10;
    ck_assert_int_eq(hand(n, GOSSIP_STREAM, buckets, sizeof(buckets)), ERR_PROTOCOL);
    buckets[0] = 9;
    ck_assert_int_eq(hand(n, GOSSIP_STREAM, buckets, sizeof(buckets)), ERR_PROTOCOL);
    ck_assert_uint_eq(n->nodes[1]->counters.malformed, 5);
    net_free(n);
}
END_TEST

/* scenario G28 */
START_TEST(unknown_messages_are_skipped_and_known_ones_beside_them_taken)
{
    struct net *n = net_new(3, gossip_rules_default(), 28);
    uint8_t packet[256];
    size_t at = unknown_parts(packet, 2);
    struct gossip_writer w = {
        .data = packet, .size = at, .cap = sizeof(packet), .parts = 2, .parts_max = 255};
    struct gossip_record r = net_record(3, GOSSIP_LEFT, 1, 1);
    ck_assert(gossip_write_record(&w, &r));
    struct bytes whole = gossip_write_end(&w);
    ck_assert_int_eq(hand(n, GOSSIP_DATAGRAM, whole.data, whole.size), 0);
    ck_assert_int_eq(net_state(n, 1, 3), GOSSIP_LEFT);
    ck_assert_uint_eq(n->nodes[1]->counters.skipped, 2);
    net_free(n);
}
END_TEST

START_TEST(records_come_back_as_they_were)
{
    uint8_t packet[512];
    for (unsigned form = 0; form < 8; form++) {
        struct gossip_record r = net_record(7, GOSSIP_DEGRADED, 1ull << 40, UINT64_MAX);
        r.unwell = 5;
        r.address.ip[0] = (form & 1) != 0 ? 0xfd : 0;
        r.accuser_count = (form & 2) != 0 ? GOSSIP_ACCUSERS_MAX : 0;
        for (unsigned i = 0; i < r.accuser_count; i++) {
            r.accusers[i] = i + 1;
        }
        r.is_signed = (form & 4) != 0;
        memset(r.signature, r.is_signed ? 7 : 0, sizeof(r.signature));
        struct gossip_writer w = {.data = packet, .cap = sizeof(packet), .parts_max = 1};
        ck_assert(gossip_write_record(&w, &r));
        struct gossip_record back;
        struct bytes body = bytes_of(packet + GOSSIP_PART_BYTES, w.size - GOSSIP_PART_BYTES);
        ck_assert(gossip_read_record(body, &back));
        ck_assert_uint_eq(back.epoch, r.epoch);
        ck_assert_uint_eq(back.incarnation, r.incarnation);
        ck_assert_uint_eq(back.unwell, 5);
        ck_assert_mem_eq(&back.address, &r.address, sizeof(r.address));
        ck_assert_mem_eq(back.accusers, r.accusers, sizeof(r.accusers));
        ck_assert_mem_eq(back.signature, r.signature, r.is_signed ? sizeof(r.signature) : 0);
        if (r.accuser_count == 0 && !r.is_signed) {
            ck_assert_uint_le(body.size, GOSSIP_MEMBER_RECORD_BYTES_MAX);
        }
    }
}
END_TEST

/* Cut anywhere, or with a field that cannot be. */
START_TEST(what_is_no_record_changes_nothing)
{
    uint8_t packet[512];
    struct gossip_record r = net_record(7, GOSSIP_DEGRADED, 1, 2);
    struct gossip_record untouched;
    struct gossip_record back;
    r.accuser_count = GOSSIP_ACCUSERS_MAX;
    r.is_signed = true;
    struct gossip_writer w = {.data = packet, .cap = sizeof(packet), .parts_max = 1};
    ck_assert(gossip_write_record(&w, &r));
    uint8_t *body = packet + GOSSIP_PART_BYTES;
    size_t bytes = w.size - GOSSIP_PART_BYTES;
    memset(&untouched, 0x5a, sizeof(untouched));
    memset(&back, 0x5a, sizeof(back));
    for (size_t cut = 0; cut < bytes; cut++) {
        ck_assert(!gossip_read_record(bytes_of(body, cut), &back));
        ck_assert(!gossip_read_check(GOSSIP_TYPE_MEMBER, bytes_of(body, cut)));
    }
    body[4] = GOSSIP_LEFT + 1;
    ck_assert(!gossip_read_record(bytes_of(body, bytes), &back));
    body[4] = GOSSIP_DEGRADED;
    body[24] = GOSSIP_ACCUSERS_MAX + 1;
    ck_assert(!gossip_read_record(bytes_of(body, sizeof(packet) - GOSSIP_PART_BYTES), &back));
    body[24] = GOSSIP_ACCUSERS_MAX;
    num_put_u32(body, 0);
    ck_assert(!gossip_read_record(bytes_of(body, bytes), &back));
    ck_assert_mem_eq(&back, &untouched, sizeof(back));
    num_put_u32(body, 7);
    ck_assert(gossip_read_record(bytes_of(body, bytes), &back));
}
END_TEST

START_TEST(random_bytes_break_nothing)
{
    struct rng rng;
    uint64_t seed = unit_seed("random_bytes_break_nothing", 5);
    rng_init(&rng, seed);
    struct net *n = net_new(5, gossip_rules_default(), 1);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t packet[200];
        rng_fill(&rng, packet, sizeof(packet));
        packet[0] = GOSSIP_VERSION;
        num_put_u16(packet + 2, 1);
        packet[4] = (uint8_t)rng_below(&rng, 15);
        size_t size = 7 + rng_below(&rng, 190);
        num_put_u16(packet + 5, (uint16_t)(size - 7));
        packet[7] = (uint8_t)rng_below(&rng, 7);
        memset(packet + 8, 0, 3);
        packet[11] = (uint8_t)rng_below(&rng, 6);
        (void)hand(n, rng_chance(&rng, 1, 2) ? GOSSIP_STREAM : GOSSIP_DATAGRAM, packet, size);
        net_run(n, 1000);
    }
    net_free(n);
}
END_TEST

START_TEST(logarithms_are_those_of_the_table)
{
    ck_assert_uint_eq(gossip_log2(0), 0);
    ck_assert_uint_eq(gossip_log2(1), 0);
    ck_assert_uint_eq(gossip_log2(1024), 10u << 16);
    ck_assert_uint_eq(gossip_log2(UINT64_MAX) >> 16, 63);
    ck_assert_uint_eq(gossip_log2(3), 103872); /* 1.58496 */
    ck_assert_uint_le(gossip_log10(1000) - 196600u, 8);
}
END_TEST

UNIT_MAIN("gossip_codec", compounds_hold_1_to_255_messages, more_than_255_messages_are_split,
          every_cut_packet_is_refused_and_nothing_of_it_taken,
          absurd_lengths_and_counts_are_refused,
          unknown_messages_are_skipped_and_known_ones_beside_them_taken,
          records_come_back_as_they_were, what_is_no_record_changes_nothing,
          random_bytes_break_nothing, logarithms_are_those_of_the_table)
