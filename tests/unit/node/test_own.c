/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The own group: one voter, no peers to ask, not seen from outside.
 */
#include "rig.h"
#include "server/node/eventual_self_internal.h"

#include <check.h>
#include <stdio.h>

#define OPEN_OWN "u:64"

static uint64_t session_of(struct wire_node result)
{
    uint64_t session = 0;
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, WIRE_FIELD_SESSION), &session), 0);
    return session;
}

static bool wait_actor(struct rig *r, unsigned i, struct crdt_actor *actor)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        if (node_ev_actor(r->nodes[i - 1].node, actor)) {
            return true;
        }
        rig_run(r, 10000);
    }
    return false;
}

static uint64_t open_own(struct rig *r, unsigned i)
{
    struct wire_node result;
    struct crdt_actor actor;
    ck_assert(wait_actor(r, i, &actor));
    ck_assert_int_eq(rig_call(r, i, "session.open", OPEN_OWN, &result), 0);
    return session_of(result);
}

START_TEST(the_own_group_leads_without_an_election_timeout)
{
    struct rig *r = rig_new(3);
    ck_assert_uint_eq(NODE_GROUP_OWN, 64);
    rig_run(r, 10000);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(node_leads(r->nodes[i].node, NODE_GROUP_OWN));
        ck_assert(!node_leads(r->nodes[i].node, 0));
    }
    rig_free(r);
}
END_TEST

START_TEST(the_own_group_is_in_no_list_of_groups)
{
    struct rig *r = rig_new(3);
    struct wire_node result;
    struct node_group_view v;
    unsigned l = rig_leader(r, 1);
    ck_assert_int_ne(l, 0);
    ck_assert_uint_eq(node_groups(r->nodes[0].node), 2);
    for (unsigned i = 0; i < 2; i++) {
        node_group_view_get(r->nodes[0].node, i, &v);
        ck_assert_uint_eq(v.group, i);
    }
    ck_assert_int_eq(rig_call(r, 1, "status", "", &result), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, WIRE_FIELD_GROUPS)), 2);
    rig_free(r);
}
END_TEST

START_TEST(a_session_of_the_own_group_outlives_a_restart)
{
    struct rig *r = rig_new(3);
    char words[64];
    (void)rig_leader(r, 0);
    uint64_t first = open_own(r, 2);
    rig_stop(r, 2);
    rig_start(r, 2);
    (void)rig_leader(r, 0);
    rig_run(r, 3000000);
    uint64_t second = open_own(r, 2);
    ck_assert_uint_gt(second, first);
    ck_assert_uint_eq(r->nodes[1].node->by_id[NODE_GROUP_OWN]->now.sessions, 2);
    (void)snprintf(words, sizeof words, "u:64|u:%llu", (unsigned long long)first);
    ck_assert_int_eq(rig_call(r, 2, "session.close", words, NULL), 0);
    ck_assert_uint_eq(r->nodes[1].node->by_id[NODE_GROUP_OWN]->now.sessions, 1);
    rig_free(r);
}
END_TEST

struct answered {
    int code;
    unsigned count;
};

static void answered_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct answered *a = ctx;
    (void)n;
    (void)reply;
    a->code = code;
    a->count++;
}

START_TEST(another_node_may_not_ask_the_own_group)
{
    struct rig *r = rig_new(3);
    struct answered a = {0};
    uint8_t propose[12 + 30 + 8] = {NODE_GROUP_OWN};
    uint8_t question[14 + 25] = {NODE_GROUP_OWN};
    uint8_t open[4] = {NODE_GROUP_OWN};
    (void)rig_leader(r, 0);
    struct node *n = r->nodes[0].node;
    num_put_u64(propose + 4, 1000000);
    propose[12] = NODE_LEVEL;
    propose[13] = NODE_OP_SESSION_OPEN;
    num_put_u64(question + 4, 1000000);
    question[12] = NODE_QUERY_SESSIONS;
    question[13] = 1;
    node_call(n, 2, NODE_CALL_PROPOSE, bytes_of(propose, sizeof propose), NULL, r->now + 1000000,
              &a, answered_done);
    rig_run(r, 100000);
    ck_assert_uint_eq(a.count, 1);
    ck_assert_int_eq(a.code, ERR_NOT_LEADER);
    node_call(n, 2, NODE_CALL_QUERY, bytes_of(question, sizeof question), NULL, r->now + 1000000,
              &a, answered_done);
    rig_run(r, 100000);
    ck_assert_uint_eq(a.count, 2);
    ck_assert_int_eq(a.code, ERR_NOT_LEADER);
    node_call(n, 2, NODE_CALL_SNAPSHOT_OPEN, bytes_of(open, sizeof open), NULL, r->now + 1000000,
              &a, answered_done);
    rig_run(r, 100000);
    ck_assert_uint_eq(a.count, 3);
    ck_assert_int_ne(a.code, 0);
    ck_assert_uint_eq(r->nodes[1].node->by_id[NODE_GROUP_OWN]->now.sessions, 0);
    rig_free(r);
}
END_TEST

/* A directory of before the own group has no log and no state of it. */
START_TEST(an_idle_own_group_writes_nothing)
{
    struct rig *r = rig_new(1);
    (void)rig_leader(r, 1);
    rig_run(r, 10000000);
    struct node *n = r->nodes[0].node;
    uint64_t index = n->by_id[NODE_GROUP_OWN]->now.index;
    uint64_t batches = n->counters.wal_batches;
    rig_run(r, 60000000);
    ck_assert_uint_eq(n->by_id[NODE_GROUP_OWN]->now.index, index);
    ck_assert_uint_eq(n->counters.wal_batches, batches);
    ck_assert_uint_eq(n->by_id[NODE_GROUP_OWN]->expire.at_us, 0);
    rig_free(r);
}
END_TEST

static const char *newest_segment(const struct mem_disk *d)
{
    const char *name = NULL;
    const char *next = mem_disk_name(d, "wal/seg", 0);
    for (unsigned i = 1; next != NULL; i++) {
        name = next;
        next = mem_disk_name(d, "wal/seg", i);
    }
    ck_assert_ptr_nonnull(name);
    return name;
}

/* returns: where the last block of the file begins that is not all zeros. */
static uint64_t last_batch(const struct mem_disk *d, const char *name)
{
    const uint8_t *data = mem_disk_data(d, name);
    uint64_t at = mem_disk_bytes(d, name);
    while (at > 0 && data[at - 1] == 0) {
        at--;
    }
    ck_assert_uint_gt(at, 0);
    return (at - 1) / 4096 * 4096;
}

/* Every batch of the log damaged in turn, in its head or its records: the group leads again by
 * itself, whatever is lost. The node's other groups, alone here too, may stop. */
START_TEST(damage_of_the_own_log_is_settled_alone)
{
    uint64_t bytes = UINT64_MAX;
    unsigned cut = 0;
    unsigned kept = 0;
    unsigned turn = 0;
    for (uint64_t block = 4096; block < bytes; block += 4096) { /* of one batch each */
        uint64_t at = block + 20 + turn++ % 4 * 70;
        struct rig *r = rig_new(1);
        struct rig_node *n = &r->nodes[0];
        r->flush_interval_us = 600000000;
        rig_stop(r, 1);
        rig_start(r, 1);
        (void)rig_leader(r, 1);
        uint64_t session = 0;
        for (unsigned i = 0; i < 8; i++) {
            session = open_own(r, 1);
        }
        const char *name = newest_segment(n->mem);
        rig_stop(r, 1);
        bytes = NUM_MIN(mem_disk_bytes(n->mem, name), (uint64_t)28 * 4096);
        mem_disk_flip(n->mem, name, at, 0x40);
        rig_start(r, 1);
        rig_run(r, 10000);
        ck_assert(!n->stopped);
        ck_assert_msg(node_leads(n->node, NODE_GROUP_OWN), "byte %llu", (unsigned long long)at);
        /* a session that may still answer has forgotten nothing */
        bool valid = node_ev_session_valid(n->node, session);
        ck_assert(!valid || n->node->by_id[NODE_GROUP_OWN]->now.sessions == 8);
        cut += !valid;
        kept += valid;
        rig_stop(r, 1);
        rig_start(r, 1);
        rig_run(r, 10000);
        ck_assert(node_leads(n->node, NODE_GROUP_OWN));
        rig_free(r);
    }
    ck_assert_uint_gt(cut, 0);
    ck_assert_uint_gt(kept, 0);
}
END_TEST

/* The last batch of the log is damaged, and the n-th sync or change of names by the start that
 * settles it fails. Power may go then. returns: whether it got that far. */
static bool settled_at_second_try(uint64_t n_fails, unsigned kept_percent, unsigned *void_count)
{
    struct rig *r = rig_new(1);
    struct rig_node *n = &r->nodes[0];
    struct rng rng;
    uint64_t session = 0;
    rng_init(&rng, n_fails * 101 + kept_percent);
    r->flush_interval_us = 600000000;
    rig_stop(r, 1);
    rig_start(r, 1);
    (void)rig_leader(r, 1);
    for (unsigned i = 0; i < 8; i++) {
        session = open_own(r, 1);
    }
    const char *name = newest_segment(n->mem);
    rig_stop(r, 1);
    mem_disk_flip(n->mem, name, last_batch(n->mem, name) + 300, 0x40);
    mem_disk_fail(n->mem, MEM_DISK_SYNC | MEM_DISK_NAMES, n_fails, ERR_IO);
    struct err_info why = {0};
    int err = rig_try_start(r, 1, &why);
    mem_disk_fail(n->mem, MEM_DISK_ANY, 0, 0);
    if (err != 0) {
        ck_assert_int_eq(err, ERR_IO);
        mem_disk_crash(n->mem, &rng, kept_percent);
        rig_start(r, 1);
    }
    rig_run(r, 10000);
    ck_assert(!n->stopped);
    ck_assert(node_leads(n->node, NODE_GROUP_OWN));
    bool valid = node_ev_session_valid(n->node, session);
    ck_assert(!valid || n->node->by_id[NODE_GROUP_OWN]->now.sessions == 8);
    *void_count += !valid;
    rig_free(r);
    return err != 0;
}

START_TEST(a_disk_that_fails_while_damage_is_settled_is_tried_again)
{
    static const unsigned kept[] = {0, 50, 100};
    for (unsigned i = 0; i < 3; i++) {
        unsigned void_count = 0;
        uint64_t fails = 1;
        while (settled_at_second_try(fails, kept[i], &void_count)) {
            fails++;
        }
        ck_assert_uint_gt(fails, 2);
        ck_assert_uint_eq(void_count, fails);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("node_own");
    TCase *t = tcase_create("own");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, the_own_group_leads_without_an_election_timeout);
    tcase_add_test(t, the_own_group_is_in_no_list_of_groups);
    tcase_add_test(t, a_session_of_the_own_group_outlives_a_restart);
    tcase_add_test(t, another_node_may_not_ask_the_own_group);
    tcase_add_test(t, an_idle_own_group_writes_nothing);
    tcase_add_test(t, damage_of_the_own_log_is_settled_alone);
    tcase_add_test(t, a_disk_that_fails_while_damage_is_settled_is_tried_again);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
