/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Frames between nodes: layout, every check and its error, and partial arrival.
 */
#include "base/crc.h"
#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "wire/frame.h"

#include <string.h>

static struct wire_frame_header header;
static struct wire_frame_expect expect;
static struct buf out;

/* A frame with body_bytes of body in out. */
static void make(size_t body_bytes)
{
    struct alloc heap = alloc_heap();
    header = (struct wire_frame_header){.level = 1,
                                        .kind = 0x0102,
                                        .sender = 7,
                                        .destination = 9,
                                        .incarnation = 0x1112131415161718u,
                                        .boot = 0x2122232425262728u};
    expect = (struct wire_frame_expect){.self = 9, .level_max = 1, .body_bytes_max = 4096};
    for (unsigned i = 0; i < WIRE_CLUSTER_BYTES; i++) {
        header.cluster[i] = expect.cluster[i] = (uint8_t)(0xa0 + i);
    }
    buf_init(&out, &heap, 1 << 20);
    ck_assert_int_eq(wire_frame_begin(&out), 0);
    for (size_t i = 0; i < body_bytes; i++) {
        ck_assert_int_eq(buf_put_u8(&out, (uint8_t)(i * 7)), 0);
    }
    ck_assert_int_eq(wire_frame_end(&out, 0, &header), 0);
}

static int parse(void)
{
    struct wire_frame frame;
    return wire_frame_parse(&expect, buf_view(&out), &frame);
}

/* Puts a right header CRC over a changed header. */
static void sign(void)
{
    num_put_u32(out.data + 60, crc_of(out.data, 60));
}

START_TEST(a_frame_comes_back_as_it_was_sent)
{
    static const size_t sizes[] = {0, 1, 5, 4095, 4096};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct wire_frame frame;
        make(sizes[i]);
        ck_assert_int_eq(buf_put_u8(&out, 'n'), 0); /* the next frame's first byte */
        ck_assert_int_eq(wire_frame_parse(&expect, buf_view(&out), &frame), 0);
        ck_assert_uint_eq(frame.total_bytes, WIRE_FRAME_HEADER_BYTES + sizes[i]);
        ck_assert_uint_eq(frame.body.size, sizes[i]);
        ck_assert_uint_eq(frame.header.kind, header.kind);
        ck_assert_uint_eq(frame.header.sender, 7);
        ck_assert_uint_eq(frame.header.destination, 9);
        ck_assert_uint_eq(frame.header.incarnation, header.incarnation);
        ck_assert_uint_eq(frame.header.boot, header.boot);
        ck_assert_mem_eq(frame.header.cluster, header.cluster, WIRE_CLUSTER_BYTES);
        buf_release(&out);
    }
}
END_TEST

START_TEST(the_layout_never_changes)
{
    static const uint8_t first[] = {
        'H',  'F',  'P',  '1',  1,    0,    0x02, 0x01, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
        0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 7,    0,
        0,    0,    9,    0,    0,    0,    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12,
        0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 3,    0,    0,    0};
    make(3);
    ck_assert_mem_eq(out.data, first, sizeof(first));
    ck_assert_uint_eq(num_get_u32(out.data + 52), crc_of(out.data + 64, 3));
    ck_assert_uint_eq(num_get_u32(out.data + 56), 0);
    ck_assert_uint_eq(num_get_u32(out.data + 60), crc_of(out.data, 60));
    buf_release(&out);
}
END_TEST

/* attack 5 */
START_TEST(a_frame_cut_anywhere_wants_more_and_says_how_much)
{
    make(100);
    for (size_t have = 0; have < out.size; have++) {
        struct wire_frame frame;
        ck_assert_int_eq(wire_frame_parse(&expect, bytes_of(out.data, have), &frame), WIRE_MORE);
        ck_assert_uint_eq(frame.total_bytes, have < WIRE_FRAME_HEADER_BYTES ? 64 : 164);
    }
    buf_release(&out);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
    make(20);
    for (size_t i = 0; i < out.size * 8; i++) {
        out.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        int err = parse();
        ck_assert_msg(err < 0, "bit %zu: %d", i, err);
        out.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    ck_assert_int_eq(parse(), 0);
    buf_release(&out);
}
END_TEST

/* attack 14 */
START_TEST(another_protocol_is_told_from_its_first_byte)
{
    struct wire_frame frame;
    make(0);
    ck_assert_int_eq(wire_frame_parse(&expect, bytes_of_text("G"), &frame), ERR_PROTOCOL);
    ck_assert_int_eq(wire_frame_parse(&expect, bytes_of_text("HFP2"), &frame), ERR_PROTOCOL);
    ck_assert_int_eq(wire_frame_parse(&expect, bytes_of_text("HFP"), &frame), WIRE_MORE);
    buf_release(&out);
}
END_TEST

START_TEST(a_level_that_is_not_known_is_named_as_such)
{
    make(0);
    num_put_u16(out.data + 4, 2);
    sign();
    ck_assert_int_eq(parse(), ERR_LEVEL);
    num_put_u16(out.data + 4, 0);
    sign();
    ck_assert_int_eq(parse(), ERR_LEVEL);
    buf_release(&out);
}
END_TEST

/* attack 22 */
START_TEST(a_frame_of_another_cluster_or_for_another_node_is_refused)
{
    make(0);
    expect.cluster[15] ^= 1;
    ck_assert_int_eq(parse(), ERR_WRONG_CLUSTER);
    expect.cluster[15] ^= 1;
    expect.self = 8;
    ck_assert_int_eq(parse(), ERR_PROTOCOL);
    buf_release(&out);
}
END_TEST

START_TEST(reserved_bytes_must_be_zero)
{
    make(0);
    out.data[57] = 1;
    sign();
    ck_assert_int_eq(parse(), ERR_PROTOCOL);
    buf_release(&out);
}
END_TEST

/* attack 8 */
START_TEST(a_body_beyond_the_limit_is_refused_before_it_is_read)
{
    static const uint32_t lengths[] = {4097, 0x80000000u, UINT32_MAX};
    make(0);
    for (unsigned i = 0; i < 3; i++) {
        num_put_u32(out.data + 48, lengths[i]);
        sign();
        ck_assert_int_eq(parse(), ERR_TOO_LARGE);
    }
    num_put_u32(out.data + 48, 4096);
    sign();
    ck_assert_int_eq(parse(), WIRE_MORE);
    buf_release(&out);
}
END_TEST

START_TEST(a_length_is_not_believed_before_the_rest_of_the_header)
{
    make(0);
    num_put_u32(out.data + 48, UINT32_MAX);
    ck_assert_int_eq(parse(), ERR_CORRUPT); /* the CRC is wrong: not ERR_TOO_LARGE */
    expect.cluster[0] ^= 1;
    sign();
    ck_assert_int_eq(parse(), ERR_WRONG_CLUSTER);
    buf_release(&out);
}
END_TEST

START_TEST(a_damaged_body_is_found)
{
    make(40);
    out.data[80] ^= 4;
    ck_assert_int_eq(parse(), ERR_CORRUPT);
    buf_release(&out);
}
END_TEST

START_TEST(a_frame_that_does_not_fit_its_buffer_leaves_nothing_behind)
{
    struct alloc heap = alloc_heap();
    uint8_t block[100] = {0};
    buf_init(&out, &heap, 150);
    ck_assert_int_eq(buf_put_u8(&out, 1), 0);
    (void)wire_frame_begin(&out);
    (void)buf_append(&out, block, sizeof(block));
    header.level = 1;
    ck_assert_int_eq(wire_frame_end(&out, 1, &header), ERR_TOO_LARGE);
    ck_assert_uint_eq(out.size, 1);
    buf_release(&out);
}
END_TEST

UNIT_MAIN("wire_frame", a_frame_comes_back_as_it_was_sent, the_layout_never_changes,
          a_frame_cut_anywhere_wants_more_and_says_how_much, every_flipped_bit_is_refused,
          another_protocol_is_told_from_its_first_byte, a_level_that_is_not_known_is_named_as_such,
          a_frame_of_another_cluster_or_for_another_node_is_refused, reserved_bytes_must_be_zero,
          a_body_beyond_the_limit_is_refused_before_it_is_read,
          a_length_is_not_believed_before_the_rest_of_the_header, a_damaged_body_is_found,
          a_frame_that_does_not_fit_its_buffer_leaves_nothing_behind)
