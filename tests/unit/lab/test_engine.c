/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The lab's switch without devices: where frames go, when, and what the rules do to them.
 */
#include "base/crc.h"
#include "base/rng.h"
#include "tests/lab/engine.h"
#include "tests/unit/unit.h"

#define PORTS 4u
#define ETHER 14u
#define IP 20u
#define UDP 8u
#define PAYLOAD 40u
#define FRAME (ETHER + IP + UDP + PAYLOAD)
#define LATER (LAB_NEVER - 1)

static struct lab_engine *e;
static uint8_t frame[LAB_FRAME_BYTES];

static void begin(uint64_t seed)
{
    e = lab_engine_new(PORTS, seed);
    ck_assert_ptr_nonnull(e);
}

static void rule(unsigned from, unsigned to, const char *words, uint64_t now_us)
{
    struct lab_rule r;
    char bad[32];
    ck_assert(lab_rule_parse(words, &r, bad));
    lab_engine_rule(e, from, to, &r, now_us);
}

/* A frame of UDP over IPv4 for the host at a port; its payload counts up from number. */
static void make(unsigned to, uint8_t number)
{
    memset(frame, 0, sizeof(frame));
    lab_engine_address(to, frame);
    frame[12] = 0x08;
    frame[ETHER] = 0x45;
    frame[ETHER + 9] = 17;
    for (unsigned i = 0; i < PAYLOAD; i++) {
        frame[ETHER + IP + UDP + i] = (uint8_t)(number + i);
    }
}

static void push(unsigned from, unsigned to, uint8_t number, uint64_t now_us)
{
    make(to, number);
    lab_engine_push(e, from, frame, FRAME, now_us);
}

static uint8_t number_of(const struct lab_out *out)
{
    return out->frame[ETHER + IP + UDP];
}

static unsigned popped(uint64_t now_us)
{
    struct lab_out out;
    unsigned count = 0;
    while (lab_engine_pop(e, now_us, &out)) {
        count++;
    }
    return count;
}

START_TEST(a_frame_goes_to_its_host_unchanged_and_to_nobody_else)
{
    struct lab_out out;
    begin(1);
    push(0, 2, 9, 100);
    ck_assert_uint_eq(lab_engine_due(e), 100);
    ck_assert(lab_engine_pop(e, 100, &out));
    ck_assert_uint_eq(out.port, 2);
    ck_assert_uint_eq(out.bytes, FRAME);
    ck_assert_mem_eq(out.frame, frame, FRAME);
    ck_assert(!lab_engine_pop(e, LATER, &out));
    ck_assert_uint_eq(lab_engine_due(e), LAB_NEVER);
    lab_engine_free(e);
}
END_TEST

START_TEST(a_frame_for_many_goes_to_all_but_its_sender)
{
    struct lab_out out;
    unsigned seen = 0;
    begin(1);
    make(0, 1);
    memset(frame, 0xff, 6);
    lab_engine_push(e, 1, frame, FRAME, 0);
    while (lab_engine_pop(e, 0, &out)) {
        seen |= 1u << out.port;
    }
    ck_assert_uint_eq(seen, 1u << 0 | 1u << 2 | 1u << 3);
    lab_engine_free(e);
}
END_TEST

START_TEST(frames_for_nobody_or_of_a_wrong_size_are_forgotten)
{
    begin(1);
    push(0, 0, 1, 0); /* oneself */
    push(0, PORTS, 1, 0);
    make(1, 1);
    frame[1] ^= 1; /* another maker's address */
    lab_engine_push(e, 0, frame, FRAME, 0);
    make(1, 1);
    lab_engine_push(e, 0, frame, ETHER, 0);
    lab_engine_push(e, 0, frame, LAB_FRAME_BYTES + 1, 0);
    ck_assert_uint_eq(lab_engine_due(e), LAB_NEVER);
    lab_engine_free(e);
}
END_TEST

START_TEST(delay_holds_a_frame_just_so_long)
{
    begin(1);
    rule(0, 1, "delay=5ms", 0);
    push(0, 1, 1, 1000);
    ck_assert_uint_eq(popped(5999), 0);
    ck_assert_uint_eq(lab_engine_due(e), 6000);
    ck_assert_uint_eq(popped(6000), 1);
    lab_engine_free(e);
}
END_TEST

START_TEST(without_jitter_frames_keep_their_order)
{
    struct lab_out out;
    begin(1);
    rule(0, 1, "delay=5ms", 0);
    for (unsigned i = 0; i < 200; i++) {
        push(0, 1, (uint8_t)i, i / 10);
    }
    for (unsigned i = 0; i < 200; i++) {
        ck_assert(lab_engine_pop(e, LATER, &out));
        ck_assert_uint_eq(number_of(&out), i);
    }
    lab_engine_free(e);
}
END_TEST

START_TEST(jitter_stays_in_its_bounds_and_lets_frames_overtake)
{
    struct lab_out out;
    unsigned overtaken = 0;
    uint8_t last = 0;
    begin(unit_seed("jitter", 7));
    rule(0, 1, "delay=5ms jitter=2ms", 0);
    for (unsigned i = 0; i < 200; i++) {
        push(0, 1, (uint8_t)i, 0);
    }
    ck_assert_uint_ge(lab_engine_due(e), 3000);
    for (unsigned i = 0; i < 200; i++) {
        ck_assert_uint_le(lab_engine_due(e), 7000);
        ck_assert(lab_engine_pop(e, LATER, &out));
        overtaken += i > 0 && number_of(&out) < last;
        last = number_of(&out);
    }
    ck_assert_uint_gt(overtaken, 20);
    lab_engine_free(e);
}
END_TEST

START_TEST(loss_takes_its_share_one_way_only)
{
    unsigned there = 0;
    begin(unit_seed("loss", 11));
    rule(0, 1, "loss=20%", 0);
    for (unsigned i = 0; i < 10000; i++) {
        push(0, 1, 1, i);
        there += popped(i);
        push(1, 0, 1, i);
        ck_assert_uint_eq(popped(i), 1);
    }
    const struct lab_counts *counts = lab_engine_counts(e, 0, 1);
    ck_assert_uint_gt(counts->lost, 1800); /* 5 standard deviations are 200 */
    ck_assert_uint_lt(counts->lost, 2200);
    ck_assert_uint_eq(there, counts->passed);
    ck_assert_uint_eq(counts->frames, 10000);
    ck_assert_uint_eq(counts->passed + counts->lost, 10000);
    ck_assert_uint_eq(counts->bytes, 10000 * FRAME);
    lab_engine_free(e);
}
END_TEST

START_TEST(copies_are_made_and_counted)
{
    begin(1);
    rule(0, 1, "dup=100%", 0);
    push(0, 1, 1, 0);
    ck_assert_uint_eq(popped(0), 2);
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->copied, 1);
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->passed, 2);
    lab_engine_free(e);
}
END_TEST

START_TEST(corruption_flips_one_bit_behind_the_addresses)
{
    struct lab_out out;
    begin(unit_seed("corruption", 3));
    rule(0, 1, "corrupt=100%", 0);
    for (unsigned i = 0; i < 500; i++) {
        unsigned bits = 0;
        push(0, 1, 1, 0);
        ck_assert(lab_engine_pop(e, 0, &out));
        ck_assert_mem_eq(out.frame, frame, ETHER);
        for (unsigned at = 0; at < FRAME; at++) {
            bits += (unsigned)__builtin_popcount((unsigned)(out.frame[at] ^ frame[at]));
        }
        ck_assert_uint_eq(bits, 1);
    }
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->corrupted, 500);
    lab_engine_free(e);
}
END_TEST

static uint32_t sum_of(const uint8_t *data)
{
    uint32_t sum = 0;
    for (unsigned at = ETHER; at < FRAME; at += 2) {
        sum += (uint32_t)data[at] << 8 | data[at + 1];
    }
    return sum;
}

START_TEST(garbling_changes_the_payload_and_not_the_internet_checksum)
{
    struct lab_out out;
    begin(unit_seed("garbling", 5));
    rule(0, 1, "garble=100%", 0);
    for (unsigned i = 0; i < 500; i++) {
        push(0, 1, (uint8_t)i, 0);
        ck_assert(lab_engine_pop(e, 0, &out));
        ck_assert_mem_eq(out.frame, frame, FRAME - PAYLOAD);
        ck_assert_mem_ne(out.frame, frame, FRAME);
        ck_assert_uint_eq(sum_of(out.frame), sum_of(frame));
    }
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->garbled, 500);
    lab_engine_free(e);
}
END_TEST

START_TEST(what_has_no_payload_is_not_garbled)
{
    struct lab_out out;
    begin(1);
    rule(0, 1, "garble=100%", 0);
    make(1, 1);
    frame[12] = 0x08;
    frame[13] = 0x06; /* ARP */
    lab_engine_push(e, 0, frame, FRAME, 0);
    ck_assert(lab_engine_pop(e, 0, &out));
    ck_assert_mem_eq(out.frame, frame, FRAME);
    make(1, 1);
    lab_engine_push(e, 0, frame, FRAME - PAYLOAD, 0);
    ck_assert(lab_engine_pop(e, 0, &out));
    ck_assert_mem_eq(out.frame, frame, FRAME - PAYLOAD);
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->garbled, 0);
    lab_engine_free(e);
}
END_TEST

START_TEST(any_bytes_can_be_damaged)
{
    struct rng r;
    struct lab_out out;
    begin(1);
    rng_init(&r, unit_seed("any", 17));
    rule(0, 1, "garble=100% corrupt=100% dup=50%", 0);
    for (unsigned i = 0; i < 20000; i++) {
        rng_fill(&r, frame, sizeof(frame));
        lab_engine_address(1, frame);
        frame[12] = 0x08;
        frame[13] = 0;
        frame[ETHER + 9] = rng_chance(&r, 1, 2) ? 6 : 17;
        lab_engine_push(e, 0, frame, ETHER + 1 + rng_below(&r, LAB_FRAME_BYTES - ETHER), 0);
        while (lab_engine_pop(e, 0, &out)) {
            ck_assert_uint_eq(out.port, 1);
        }
    }
    ck_assert_uint_gt(lab_engine_counts(e, 0, 1)->garbled, 1000);
    lab_engine_free(e);
}
END_TEST

START_TEST(block_stops_one_direction_until_the_rule_goes)
{
    begin(1);
    rule(0, 1, "block", 0);
    push(0, 1, 1, 0);
    push(1, 0, 1, 0);
    ck_assert_uint_eq(popped(LATER), 1);
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->blocked, 1);
    rule(0, 1, "", 0);
    push(0, 1, 1, 0);
    ck_assert_uint_eq(popped(LATER), 1);
    lab_engine_free(e);
}
END_TEST

START_TEST(a_clog_holds_all_and_lets_it_go_in_order)
{
    struct lab_out out;
    begin(1);
    rule(0, 1, "clog=2s", 1000000);
    for (uint8_t i = 0; i < 10; i++) {
        push(0, 1, i, 1000000 + i * 100000u);
    }
    ck_assert_uint_eq(lab_engine_due(e), 3000000);
    for (uint8_t i = 0; i < 10; i++) {
        ck_assert(lab_engine_pop(e, 3000000, &out));
        ck_assert_uint_eq(number_of(&out), i);
    }
    push(0, 1, 1, 3000001);
    ck_assert_uint_eq(lab_engine_due(e), 3000001);
    lab_engine_free(e);
}
END_TEST

START_TEST(a_rate_lets_frames_queue)
{
    begin(1);
    rule(0, 1, "rate=8kbit", 0); /* 1,000 bytes a second */
    push(0, 1, 1, 0);
    push(0, 1, 2, 0);
    ck_assert_uint_eq(lab_engine_due(e), FRAME * 1000);
    ck_assert_uint_eq(popped(FRAME * 2000 - 1), 1);
    ck_assert_uint_eq(popped(FRAME * 2000), 1);
    lab_engine_free(e);
}
END_TEST

START_TEST(what_finds_no_room_is_dropped_and_counted)
{
    begin(1);
    rule(0, 1, "delay=1s", 0);
    for (unsigned i = 0; i < LAB_FRAMES_MAX + 5; i++) {
        push(0, 1, 1, 0);
    }
    ck_assert_uint_eq(lab_engine_counts(e, 0, 1)->full, 5);
    ck_assert_uint_eq(popped(LATER), LAB_FRAMES_MAX);
    push(0, 1, 1, 0);
    ck_assert_uint_eq(popped(LATER), 1);
    lab_engine_free(e);
}
END_TEST

/* returns: a sum over all that comes out of port 1 for 2,000 frames into 0; others: as many frames
 * into 2 as well. */
static uint32_t fate(uint64_t seed, bool others)
{
    struct lab_out out;
    uint32_t sum = 0;
    begin(seed);
    rule(0, 1, "loss=10% dup=10% corrupt=10% garble=10% delay=3ms jitter=3ms", 0);
    rule(2, 3, "loss=50% jitter=1ms", 0);
    for (unsigned i = 0; i < 2000; i++) {
        push(0, 1, (uint8_t)i, i * 50);
        if (others) {
            push(2, 3, (uint8_t)i, i * 50);
        }
        while (lab_engine_pop(e, i * 50, &out)) {
            sum = out.port == 1 ? crc_more(sum, out.frame, out.bytes) : sum;
        }
    }
    lab_engine_free(e);
    return sum;
}

START_TEST(the_same_seed_gives_the_same_fate_whatever_passes_elsewhere)
{
    ck_assert_uint_eq(fate(42, false), fate(42, false));
    ck_assert_uint_eq(fate(42, false), fate(42, true));
    ck_assert_uint_ne(fate(42, false), fate(43, false));
}
END_TEST

UNIT_MAIN("lab_engine", a_frame_goes_to_its_host_unchanged_and_to_nobody_else,
          a_frame_for_many_goes_to_all_but_its_sender,
          frames_for_nobody_or_of_a_wrong_size_are_forgotten, delay_holds_a_frame_just_so_long,
          without_jitter_frames_keep_their_order,
          jitter_stays_in_its_bounds_and_lets_frames_overtake, loss_takes_its_share_one_way_only,
          copies_are_made_and_counted, corruption_flips_one_bit_behind_the_addresses,
          garbling_changes_the_payload_and_not_the_internet_checksum,
          what_has_no_payload_is_not_garbled, any_bytes_can_be_damaged,
          block_stops_one_direction_until_the_rule_goes, a_clog_holds_all_and_lets_it_go_in_order,
          a_rate_lets_frames_queue, what_finds_no_room_is_dropped_and_counted,
          the_same_seed_gives_the_same_fate_whatever_passes_elsewhere)
