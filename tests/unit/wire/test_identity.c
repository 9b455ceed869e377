/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Identity bundles: the plan of a cluster, its rules, and its bytes.
 */
#include "base/crc.h"
#include "base/num.h"
#include "wire/identity.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void roster(struct wire_identity_node *nodes, unsigned count)
{
    memset(nodes, 0, count * sizeof(nodes[0]));
    for (unsigned i = 0; i < count; i++) {
        nodes[i].id = i + 1;
        nodes[i].client_port = (uint16_t)(7701 + i);
        nodes[i].peer_port = (uint16_t)(7801 + i);
        (void)snprintf(nodes[i].host, sizeof(nodes[i].host), "127.0.0.1");
    }
}

static int make(unsigned nodes_count, unsigned groups, struct wire_identity *out)
{
    static struct wire_identity_node nodes[WIRE_IDENTITY_NODES_MAX];
    struct wire_identity_plan plan = {
        .cluster = {1, 2, 3, 4}, .nodes = nodes, .nodes_count = nodes_count, .data_groups = groups};
    roster(nodes, NUM_MIN(nodes_count, WIRE_IDENTITY_NODES_MAX));
    return wire_identity_make(&plan, out, NULL);
}

static struct wire_identity identity;
static struct wire_identity again;

/* As make, with keys, claimed by node 1. */
static void make_keyed(unsigned nodes_count, unsigned groups)
{
    static struct wire_identity_node nodes[WIRE_IDENTITY_NODES_MAX];
    static const uint8_t key[WIRE_IDENTITY_KEY_BYTES] = {9, 8, 7};
    struct wire_identity_plan plan = {.cluster = {1, 2, 3, 4},
                                      .nodes = nodes,
                                      .nodes_count = nodes_count,
                                      .data_groups = groups,
                                      .gossip_key = key};
    roster(nodes, nodes_count);
    for (unsigned i = 0; i < nodes_count; i++) {
        memset(nodes[i].public_key, (int)(i + 1), sizeof(nodes[i].public_key));
    }
    ck_assert_int_eq(wire_identity_make(&plan, &identity, NULL), 0);
    ck_assert_int_eq(wire_identity_claim(&identity, 1), 0);
    memset(identity.private_key, 0x77, sizeof(identity.private_key));
}

START_TEST(voters_are_five_three_or_one_by_the_number_of_nodes)
{
    static const unsigned nodes[] = {1, 2, 3, 4, 5, 6, 64};
    static const unsigned voters[] = {1, 1, 3, 3, 5, 5, 5};
    for (unsigned i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        ck_assert_int_eq(make(nodes[i], 2, &identity), 0);
        for (uint32_t g = 0; g < identity.groups_count; g++) {
            ck_assert_uint_eq(identity.groups[g].voters_count, voters[i]);
        }
    }
}
END_TEST

START_TEST(voters_rotate_over_the_nodes)
{
    ck_assert_int_eq(make(6, 5, &identity), 0);
    for (uint32_t g = 0; g < 6; g++) {
        ck_assert_uint_eq(identity.groups[g].voters[0], g + 1);
    }
}
END_TEST

START_TEST(every_slot_has_one_data_group_and_shares_are_even)
{
    for (unsigned groups = 1; groups < WIRE_IDENTITY_GROUPS_MAX; groups++) {
        unsigned share[WIRE_IDENTITY_GROUPS_MAX] = {0};
        ck_assert_int_eq(make(3, groups, &identity), 0);
        for (uint32_t slot = 0; slot < WIRE_IDENTITY_SLOTS; slot++) {
            share[wire_identity_slot_group(&identity, slot)]++;
        }
        ck_assert_uint_eq(share[0], 0);
        for (unsigned g = 1; g <= groups; g++) {
            ck_assert_uint_ge(share[g], WIRE_IDENTITY_SLOTS / groups);
            ck_assert_uint_le(share[g], WIRE_IDENTITY_SLOTS / groups + 1);
        }
    }
}
END_TEST

START_TEST(a_claimed_bundle_comes_back_as_it_was)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(make(64, 63, &identity), 0);
    ck_assert_int_eq(wire_identity_claim(&identity, 65), ERR_NOT_FOUND);
    ck_assert_int_eq(wire_identity_claim(&identity, 64), 0);
    for (uint32_t i = 0; i < 64; i++) {
        memset(identity.nodes[i].host, 'a', WIRE_IDENTITY_HOST_BYTES_MAX);
        identity.nodes[i].host[WIRE_IDENTITY_HOST_BYTES_MAX] = '\0';
    }
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    ck_assert_int_eq(wire_identity_decode(buf_view(&out), &again, NULL), 0);
    ck_assert_uint_eq(again.node, 64);
    ck_assert_int_eq(memcmp(&identity, &again, sizeof(again)), 0);
    buf_release(&out);
}
END_TEST

START_TEST(every_flipped_byte_and_every_cut_is_refused)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(make(3, 1, &identity), 0);
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    for (size_t i = 0; i < out.size; i++) {
        out.data[i] ^= 0x40;
        ck_assert_int_eq(wire_identity_decode(buf_view(&out), &again, NULL), ERR_CORRUPT);
        out.data[i] ^= 0x40;
        ck_assert_int_eq(wire_identity_decode(bytes_of(out.data, i), &again, NULL), ERR_CORRUPT);
    }
    buf_release(&out);
}
END_TEST

/* Changes bytes at `at` and makes the checksum fit again. */
static int decode_changed(struct buf *out, size_t at, uint8_t value)
{
    uint8_t before = out->data[at];
    out->data[at] = value;
    num_put_u32(out->data + out->size - 4, crc_of(out->data, out->size - 4));
    int err = wire_identity_decode(buf_view(out), &again, NULL);
    out->data[at] = before;
    num_put_u32(out->data + out->size - 4, crc_of(out->data, out->size - 4));
    return err;
}

START_TEST(a_later_format_or_level_is_named_as_such)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(make(3, 1, &identity), 0);
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    ck_assert_int_eq(decode_changed(&out, 4, 3), ERR_LEVEL);
    ck_assert_int_eq(decode_changed(&out, 4, 0), ERR_LEVEL);
    ck_assert_int_eq(decode_changed(&out, 6, 9), ERR_LEVEL);
    buf_release(&out);
}
END_TEST

START_TEST(no_byte_with_a_good_checksum_breaks_the_decoder)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(make(3, 2, &identity), 0);
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    for (size_t i = 8; i + 4 < out.size; i++) {
        int err = decode_changed(&out, i, 0xff);
        ck_assert(err == 0 || err == ERR_INVALID);
        if (err == 0) {
            ck_assert_int_eq(wire_identity_check(&again, NULL), 0);
        }
    }
    buf_release(&out);
}
END_TEST

/* scenario 49 */
START_TEST(rosters_that_contradict_themselves_are_refused)
{
    ck_assert_int_eq(make(0, 1, &identity), ERR_INVALID);
    ck_assert_int_eq(make(65, 1, &identity), ERR_INVALID);
    ck_assert_int_eq(make(3, 0, &identity), ERR_INVALID);
    ck_assert_int_eq(make(3, 64, &identity), ERR_INVALID);
    ck_assert_int_eq(make(3, 1, &identity), 0);
    again = identity;
    again.nodes[1].id = 1;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.nodes[1].peer_port = again.nodes[0].peer_port;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.groups[1].voters_count = 2;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.groups[1].voters[0] = again.groups[1].voters[1];
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.slots[0].last--;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.nodes[0].host[0] = ' ';
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.node = 9;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
}
END_TEST

START_TEST(keys_come_back_with_the_largest_bundle)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    make_keyed(64, 63);
    for (uint32_t i = 0; i < 64; i++) {
        memset(identity.nodes[i].host, 'a', WIRE_IDENTITY_HOST_BYTES_MAX);
        identity.nodes[i].host[WIRE_IDENTITY_HOST_BYTES_MAX] = '\0';
    }
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    ck_assert_uint_eq(out.data[4], 2);
    ck_assert_int_eq(wire_identity_decode(buf_view(&out), &again, NULL), 0);
    ck_assert_int_eq(memcmp(&identity, &again, sizeof(again)), 0);
    /* of another node: not the private key of this one */
    ck_assert_int_eq(wire_identity_claim(&again, 2), 0);
    ck_assert_uint_eq(again.private_key[0], 0);
    ck_assert_uint_eq(again.gossip_key[0], 9);
    buf_release(&out);
}
END_TEST

START_TEST(every_flipped_byte_and_every_cut_of_a_bundle_with_keys_is_refused)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    make_keyed(3, 1);
    ck_assert_int_eq(wire_identity_encode(&identity, &out), 0);
    for (size_t i = 0; i < out.size; i++) {
        out.data[i] ^= 0x40;
        ck_assert_int_eq(wire_identity_decode(buf_view(&out), &again, NULL), ERR_CORRUPT);
        out.data[i] ^= 0x40;
        ck_assert_int_eq(wire_identity_decode(bytes_of(out.data, i), &again, NULL), ERR_CORRUPT);
    }
    for (size_t i = 8; i + 4 < out.size; i++) {
        int err = decode_changed(&out, i, 0xff);
        ck_assert(err == 0 || err == ERR_INVALID);
    }
    ck_assert_int_eq(decode_changed(&out, 4, 1), ERR_INVALID); /* fields that it has no place for */
    buf_release(&out);
}
END_TEST

/* Node 2 of three, as the first release wrote it. */
static const char format_1[] =
    "48464944010001000102030400000000000000000000000002000000010000000000000040000000030000000100"
    "000001000000000000000000000001000000151e791e090000003132372e302e302e310200000001000000000000"
    "000000000001000000161e7a1e090000003132372e302e302e310300000001000000000000000000000001000000"
    "171e7b1e090000003132372e302e302e310200000000000000030000000100000002000000030000000100000003"
    "000000020000000300000001000000010000000000ff3f01000000b96b9c4d";

START_TEST(a_bundle_of_format_1_is_read_and_written_as_it_was)
{
    struct alloc heap = alloc_heap();
    uint8_t data[sizeof(format_1) / 2];
    struct buf out;
    for (size_t i = 0; i < sizeof(data); i++) {
        char pair[3] = {format_1[2 * i], format_1[2 * i + 1], '\0'};
        data[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    ck_assert_int_eq(wire_identity_decode(bytes_of(data, sizeof(data)), &again, NULL), 0);
    ck_assert_uint_eq(again.format, 1);
    ck_assert_uint_eq(again.node, 2);
    ck_assert_uint_eq(again.nodes_count, 3);
    ck_assert_uint_eq(again.nodes[2].peer_port, 7803);
    for (unsigned i = 0; i < WIRE_IDENTITY_KEY_BYTES; i++) {
        ck_assert_uint_eq(again.gossip_key[i] | again.private_key[i], 0);
    }
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(wire_identity_encode(&again, &out), 0);
    ck_assert(bytes_equal(buf_view(&out), bytes_of(data, sizeof(data))));
    buf_release(&out);
}
END_TEST

START_TEST(keys_that_do_not_belong_there_are_refused)
{
    make_keyed(3, 1);
    again = identity;
    memset(again.gossip_key, 0, sizeof(again.gossip_key));
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.format = 1;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.format = 3;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    again.node = 0;
    ck_assert_int_eq(wire_identity_check(&again, NULL), ERR_INVALID);
    again = identity;
    memset(again.private_key, 0, sizeof(again.private_key));
    memset(again.nodes[1].public_key, 0, sizeof(again.nodes[1].public_key));
    ck_assert_int_eq(wire_identity_check(&again, NULL), 0); /* signatures are optional */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_identity");
    TCase *all = tcase_create("all");
    tcase_add_test(all, voters_are_five_three_or_one_by_the_number_of_nodes);
    tcase_add_test(all, voters_rotate_over_the_nodes);
    tcase_add_test(all, every_slot_has_one_data_group_and_shares_are_even);
    tcase_add_test(all, a_claimed_bundle_comes_back_as_it_was);
    tcase_add_test(all, every_flipped_byte_and_every_cut_is_refused);
    tcase_add_test(all, a_later_format_or_level_is_named_as_such);
    tcase_add_test(all, no_byte_with_a_good_checksum_breaks_the_decoder);
    tcase_add_test(all, rosters_that_contradict_themselves_are_refused);
    tcase_add_test(all, keys_come_back_with_the_largest_bundle);
    tcase_add_test(all, every_flipped_byte_and_every_cut_of_a_bundle_with_keys_is_refused);
    tcase_add_test(all, a_bundle_of_format_1_is_read_and_written_as_it_was);
    tcase_add_test(all, keys_that_do_not_belong_there_are_refused);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
