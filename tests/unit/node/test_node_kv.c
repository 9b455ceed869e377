/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values on a cluster of whole nodes.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>

static bool value_is(struct wire_node result, const char *text)
{
    struct bytes v;
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_VALUE), 1u << 20, &v) != 0) {
        return false;
    }
    return bytes_equal(v, bytes_of_text(text));
}

START_TEST(three_nodes_elect_a_leader_and_keep_a_key)
{
    struct rig *r = rig_new(3);
    unsigned leader = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_uint_ne(leader, 0);
    ck_assert_int_eq(rig_call(r, leader, "kv.put", "s:default|s:a|s:1", &result), 0);
    ck_assert_int_eq(rig_call(r, leader, "kv.get", "s:default|s:a", &result), 0);
    ck_assert(value_is(result, "1"));
    ck_assert_int_eq(rig_call(r, leader, "kv.get", "s:default|s:b", &result), 0);
    ck_assert(wire_node_is_nil(result));
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    ck_assert(rig_digests_equal(r, 0));
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_kv");
    TCase *t = tcase_create("kv");
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    tcase_add_test(t, three_nodes_elect_a_leader_and_keep_a_key);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
