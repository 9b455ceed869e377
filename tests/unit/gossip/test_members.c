/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The table of members and what records change in it.
 */
#include "tests/unit/gossip/net.h"

static const uint8_t *const sign_key = (const uint8_t *)"0123456789abcdef0123456789abcdef";

/* A signature that tests can make: the key and a hash of the text. */
static void fake_sign(const uint8_t *key, struct bytes text, uint8_t *out)
{
    memset(out, 0, GOSSIP_SIGNATURE_BYTES);
    memcpy(out, key, GOSSIP_PUBLIC_KEY_BYTES);
    num_put_u64(out + 32, hash_of(text, 1));
}

static bool fake_verify(void *ctx, const uint8_t key[GOSSIP_PUBLIC_KEY_BYTES], struct bytes text,
                        const uint8_t signature[GOSSIP_SIGNATURE_BYTES])
{
    (void)ctx;
    uint8_t good[GOSSIP_SIGNATURE_BYTES];
    fake_sign(key, text, good);
    return memcmp(good, signature, sizeof(good)) == 0;
}

static uint64_t incarnation_of(const struct net *n, uint32_t at, uint32_t of)
{
    struct gossip_member m;
    ck_assert_int_eq(gossip_member_of(n->nodes[at], of, &m), 0);
    return m.incarnation;
}

static bool address_is(const struct net *n, uint32_t at, uint32_t of, uint32_t address)
{
    struct gossip_member m;
    struct gossip_address want = net_address(address);
    ck_assert_int_eq(gossip_member_of(n->nodes[at], of, &m), 0);
    return memcmp(&m.address.ip, &want.ip, 16) == 0 && m.address.port == want.port;
}

/* scenario G3 */
START_TEST(only_relay_that_fits_is_always_found)
{
    struct net *n = net_new(3, gossip_rules_default(), 3);
    struct gossip *g = n->nodes[1];
    gossip_record_state(g, gossip_entry_of(g, 2), GOSSIP_DEAD);
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t out[3] = {0};
        ck_assert_uint_eq(gossip_members_random(g, GOSSIP_CHOOSE_ALIVE, 2, 3, out), 1);
        ck_assert_uint_eq(out[0], 3);
    }
    net_free(n);
}
END_TEST

/* scenario G4 */
START_TEST(another_address_of_a_living_member_is_a_conflict)
{
    struct net *n = net_new(3, gossip_rules_default(), 4);
    net_run(n, 3000000);
    struct gossip_record r = net_record(2, GOSSIP_ALIVE, 2, 0);
    r.address = net_address(9);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
        net_drain(n, 1);
    }
    ck_assert_uint_eq(n->conflicts, 1);
    ck_assert(address_is(n, 1, 2, 2));
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
    net_run(n, 10000000);
    ck_assert_uint_eq(n->deaths, 0);
    net_free(n);
}
END_TEST

/* scenario G5 */
START_TEST(new_address_is_taken_when_the_old_is_dead)
{
    struct net *n = net_new(3, gossip_rules_default(), 5);
    net_crash(n, 2);
    net_run(n, 40000000);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_DEAD);
    struct gossip_record r = net_record(2, GOSSIP_ALIVE, 2, 0);
    r.address = net_address(9);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert(address_is(n, 1, 2, 9));
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

/* scenario G5 */
START_TEST(new_address_is_taken_at_once_when_the_member_signed_it)
{
    struct net *n = net_new(3, gossip_rules_default(), 5);
    n->options.signer.verify = fake_verify;
    memcpy(n->seats[1].public_key, sign_key, GOSSIP_PUBLIC_KEY_BYTES);
    net_crash(n, 1);
    net_start(n, 1, 2);
    struct gossip_record r = net_record(2, GOSSIP_ALIVE, 1ull << 40, 0);
    r.address = net_address(9);
    uint8_t text[GOSSIP_MEMBER_RECORD_BYTES_MAX];
    fake_sign(sign_key, gossip_record_text(&r, text), r.signature);
    r.is_signed = true;
    r.signature[40] ^= 1;
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert(address_is(n, 1, 2, 2));
    r.signature[40] ^= 1;
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert(address_is(n, 1, 2, 9)); /* the leap of its epoch too counts, signed */
    net_free(n);
}
END_TEST

/* scenario G5, G6 */
START_TEST(members_that_swap_addresses_both_come_back)
{
    struct net *n = net_new(3, gossip_rules_default(), 6);
    net_run(n, 3000000);
    struct gossip_seat seats[3];
    memcpy(seats, n->seats, sizeof(seats));
    seats[1].epoch_least = 2;
    seats[2].epoch_least = 2;
    ck_assert_int_eq(gossip_roster_set(n->nodes[1], seats, 3, n->now_us), 0);
    struct gossip_record a = net_record(2, GOSSIP_ALIVE, 2, 0);
    struct gossip_record b = net_record(3, GOSSIP_ALIVE, 2, 0);
    a.address = net_address(3);
    b.address = net_address(2);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &a), 0);
    ck_assert_int_eq(net_inject_record(n, 1, 2, &b), 0);
    ck_assert(address_is(n, 1, 2, 3));
    ck_assert(address_is(n, 1, 3, 2));
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
    ck_assert_int_eq(net_state(n, 1, 3), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

/* scenario G7 */
START_TEST(claims_of_absurd_incarnations_change_nothing)
{
    static const uint64_t claims[] = {UINT32_MAX, UINT32_MAX - 1, 1ull << 31, UINT64_MAX,
                                      UINT64_MAX - 1};
    struct net *n = net_new(3, gossip_rules_default(), 7);
    net_run(n, 2000000);
    for (unsigned i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        struct gossip_record r = net_record(2, GOSSIP_SUSPECT, 1, claims[i]);
        ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
        ck_assert_int_eq(net_inject_record(n, 2, 3, &r), 0);
        net_run(n, 2000000);
        ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
        ck_assert_uint_le(incarnation_of(n, 2, 2), i + 1);
    }
    struct gossip_counters c;
    gossip_counters_get(n->nodes[1], &c);
    ck_assert_uint_eq(c.jumps_refused, 5);
    net_run(n, 60000000);
    ck_assert_uint_eq(n->deaths, 0);
    ck_assert(net_agrees(n));
    net_free(n);
}
END_TEST

/* scenario G7 */
START_TEST(suspicion_within_bounds_is_refuted_above_it)
{
    struct net *n = net_new(3, gossip_rules_default(), 7);
    struct gossip_record r = net_record(2, GOSSIP_SUSPECT, 1, 1000);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    net_run(n, 3000000);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
    ck_assert_uint_eq(incarnation_of(n, 1, 2), 1001);
    net_free(n);
}
END_TEST

/* scenario G8 */
START_TEST(new_epoch_replaces_all_of_the_old)
{
    struct net *n = net_new(3, gossip_rules_default(), 8);
    struct gossip_record r = net_record(2, GOSSIP_SUSPECT, 1, 50);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    net_run(n, 5000000);
    ck_assert_uint_eq(incarnation_of(n, 3, 2), 51);
    net_crash(n, 2);
    net_start(n, 2, 2);
    net_run(n, 5000000);
    struct gossip_record stale = net_record(2, GOSSIP_ALIVE, 1, 60);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &stale), 0);
    for (uint32_t id = 1; id <= 3; id += 2) {
        struct gossip_member m;
        ck_assert_int_eq(gossip_member_of(n->nodes[id], 2, &m), 0);
        ck_assert_uint_eq(m.epoch, 2);
        ck_assert_int_eq(m.state, GOSSIP_ALIVE);
    }
    ck_assert(net_agrees(n));
    net_free(n);
}
END_TEST

/* scenario G9 */
START_TEST(leaves_and_rejoins_cost_bounded_messages)
{
    struct net *n = net_new(8, gossip_rules_default(), 9);
    net_run(n, 5000000);
    gossip_leave(n->nodes[2], n->now_us);
    net_run(n, 5000000);
    ck_assert_uint_eq(n->left_done, 1);
    ck_assert_int_eq(gossip_force_leave(n->nodes[5], 2, n->now_us), 0);
    net_crash(n, 2);
    net_run(n, 500000);
    net_start(n, 2, 2);
    net_run(n, 500000);
    gossip_leave(n->nodes[2], n->now_us);
    net_run(n, 10000000);
    ck_assert(net_agrees(n));
    for (uint32_t id = 1; id <= 8; id++) {
        ck_assert_int_eq(net_state(n, id, 2), GOSSIP_LEFT);
        ck_assert_uint_eq(gossip_rumors_count(n->nodes[id]), 0);
    }
    net_free(n);
}
END_TEST

START_TEST(running_member_refutes_a_forced_leave)
{
    struct net *n = net_new(5, gossip_rules_default(), 9);
    net_run(n, 2000000);
    ck_assert_int_eq(gossip_force_leave(n->nodes[1], 2, n->now_us), 0);
    ck_assert_int_eq(gossip_force_leave(n->nodes[1], 99, n->now_us), ERR_NOT_FOUND);
    net_run(n, 3000000);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

START_TEST(roster_changes_bring_and_remove_members)
{
    struct net *n = net_new(4, gossip_rules_default(), 10);
    struct gossip_seat seats[4];
    memcpy(seats, n->seats, sizeof(seats));
    ck_assert_int_eq(gossip_roster_set(n->nodes[1], seats + 1, 3, n->now_us), ERR_INVALID);
    ck_assert_int_eq(gossip_roster_set(n->nodes[1], seats, 3, n->now_us), 0);
    ck_assert_int_eq(net_state(n, 1, 4), GOSSIP_REMOVED);
    struct gossip_record r = net_record(4, GOSSIP_ALIVE, 3, 0);
    ck_assert_int_eq(net_inject_record(n, 1, 4, &r), ERR_NOT_FOUND);
    net_drain(n, 1);
    n->now_us += 60000000;
    ck_assert_int_eq(gossip_roster_set(n->nodes[1], seats, 3, n->now_us), 0);
    ck_assert_uint_eq(gossip_count(n->nodes[1]), 3);
    ck_assert_int_eq(gossip_roster_set(n->nodes[1], seats, 4, n->now_us), 0);
    ck_assert_uint_eq(gossip_count(n->nodes[1]), 4);
    ck_assert_int_eq(net_state(n, 1, 4), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

/* Places in the table move when members go and come; what is measured stays with its member. */
START_TEST(round_trips_stay_with_their_members)
{
    struct net *n = net_new(6, gossip_rules_default(), 10);
    struct gossip *g = n->nodes[1];
    for (uint32_t id = 2; id <= 6; id++) {
        gossip_contact_of(g, gossip_entry_of(g, id))->rtt_us = 100 * id;
    }
    struct gossip_seat seats[4] = {n->seats[0], n->seats[2], n->seats[4], n->seats[5]};
    ck_assert_int_eq(gossip_roster_set(g, seats, 4, n->now_us), 0);
    net_drain(n, 1);
    n->now_us += 60000000;
    ck_assert_int_eq(gossip_roster_set(g, seats, 4, n->now_us), 0);
    ck_assert_uint_eq(gossip_count(g), 4);
    ck_assert_int_eq(gossip_roster_set(g, n->seats, 6, n->now_us), 0);
    for (uint32_t id = 2; id <= 6; id++) {
        struct gossip_member m;
        ck_assert_int_eq(gossip_member_of(g, id, &m), 0);
        ck_assert_uint_eq(m.rtt_us, id == 2 || id == 4 ? 0 : 100 * id);
        ck_assert_uint_eq(m.zone, n->seats[id - 1].zone);
    }
    net_free(n);
}
END_TEST

START_TEST(core_starts_whole_or_not_at_all)
{
    struct gossip_seat seats[3];
    for (uint32_t i = 0; i < 3; i++) {
        seats[i] = (struct gossip_seat){.id = 3 - i, .address = net_address(3 - i)};
    }
    struct gossip_options options = {
        .self = 2, .epoch = 1, .rules = gossip_rules_default(), .members_max = 3};
    options.signer.verify = fake_verify;
    int err = ERR_NO_MEMORY;
    uint64_t at = 1;
    for (; err == ERR_NO_MEMORY; at++) {
        struct alloc_budget budget;
        struct alloc a = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        budget.fail_at = at;
        struct gossip *g = NULL;
        err = gossip_new(&g, &options, seats, 3, &a, 1000);
        if (err == 0) {
            struct gossip_member m;
            gossip_member_at(g, 0, &m);
            ck_assert_uint_eq(m.id, 1);
            gossip_free(g);
        }
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
    ck_assert_int_eq(err, 0);
    ck_assert_uint_gt(at, 10);
    struct alloc heap = alloc_heap();
    struct gossip *none = NULL;
    options.self = 9;
    ck_assert_int_eq(gossip_new(&none, &options, seats, 3, &heap, 1000), ERR_INVALID);
    options.self = 2;
    seats[0].id = 1;
    ck_assert_int_eq(gossip_new(&none, &options, seats, 3, &heap, 1000), ERR_INVALID);
}
END_TEST

UNIT_MAIN("gossip_members", only_relay_that_fits_is_always_found,
          another_address_of_a_living_member_is_a_conflict,
          new_address_is_taken_when_the_old_is_dead,
          new_address_is_taken_at_once_when_the_member_signed_it,
          members_that_swap_addresses_both_come_back, claims_of_absurd_incarnations_change_nothing,
          suspicion_within_bounds_is_refuted_above_it, new_epoch_replaces_all_of_the_old,
          leaves_and_rejoins_cost_bounded_messages, running_member_refutes_a_forced_leave,
          roster_changes_bring_and_remove_members, round_trips_stay_with_their_members,
          core_starts_whole_or_not_at_all)
