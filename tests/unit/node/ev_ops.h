/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Three replicas and the operations on their key "k", for the tests of single operations.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_EV_OPS_H
#define HOLDFAST_TESTS_UNIT_NODE_EV_OPS_H

#include "base/num.h"
#include "tests/unit/node/ev_rig.h"
#include "tests/unit/unit.h"

#include <string.h>

#define NOW UINT64_C(1700000000000000)
#define SECOND UINT64_C(1000000)

static struct ev_replica *a;
static struct ev_replica *b;
static struct ev_replica *c;
static struct crdt_state s;
static struct crdt_path path;

static inline void set_up(void)
{
    struct alloc heap = alloc_heap();
    a = ev_new(1, 10);
    b = ev_new(2, 20);
    c = ev_new(3, 30);
    a->store.log_time_us = NOW;
    b->store.log_time_us = NOW;
    c->store.log_time_us = NOW;
    crdt_state_init(&s, &heap);
}

static inline void tear_down(void)
{
    uint8_t region = node_ev_region(bytes_of_text("k"));
    ev_check(a, region);
    ev_check(b, region);
    ev_check(c, region);
    ev_free(a);
    ev_free(b);
    ev_free(c);
    crdt_state_release(&s);
}

/* An operation on the key "k", whose type is root. */
static inline struct node_ev_op op_of(enum crdt_type root, enum crdt_verb verb)
{
    struct node_ev_op op = {.space = bytes_of_text("default"), .name = bytes_of_text("k")};
    crdt_path_init(&op.path, root);
    op.op.verb = verb;
    return op;
}

/* The same on the field f of that type of the map "k". */
static inline struct node_ev_op field_of(const char *f, enum crdt_type type, enum crdt_verb verb)
{
    struct node_ev_op op = op_of(CRDT_MAP, verb);
    ck_assert_int_eq(crdt_path_push(&op.path, bytes_of_text(f), type), 0);
    return op;
}

static inline int add(struct ev_replica *r, enum crdt_type type, const char *value, int64_t amount)
{
    struct node_ev_op op = op_of(type, CRDT_ADD);
    op.op.value = bytes_of_text(value);
    op.op.amount = amount;
    return ev_update(r, &op, 1, NOW);
}

static inline int take(struct ev_replica *r, enum crdt_type type, const char *value)
{
    struct node_ev_op op = op_of(type, CRDT_REMOVE);
    op.op.value = bytes_of_text(value);
    return ev_update(r, &op, 1, NOW);
}

static inline int set_at(struct ev_replica *r, enum crdt_type type, const char *value,
                         uint64_t wall_us)
{
    struct node_ev_op op = op_of(type, CRDT_SET);
    op.op.value = bytes_of_text(value);
    return ev_update(r, &op, 1, wall_us);
}

static inline int send(struct ev_replica *to, struct bytes fragment)
{
    return ev_join(to, &fragment, 1);
}

static inline const struct crdt_state *read_of(const struct ev_replica *r, enum crdt_type root)
{
    crdt_state_clear(&s);
    ev_read(r, "k", &s);
    crdt_path_init(&path, root);
    return &s;
}

static inline int64_t counter_of(const struct ev_replica *r, enum crdt_type type)
{
    return crdt_counter(read_of(r, type), &path);
}

static inline bool has(const struct ev_replica *r, enum crdt_type type, const char *element)
{
    return crdt_set_has(read_of(r, type), &path, bytes_of_text(element));
}

static inline bool reads(const struct ev_replica *r, const char *value)
{
    struct crdt_sibling top[1];
    size_t count = crdt_siblings(read_of(r, CRDT_LWW), &path, top, 1);
    return count > 0 && bytes_equal(top[0].value, bytes_of_text(value));
}

static inline uint8_t region(void)
{
    return node_ev_region(bytes_of_text("k"));
}

static inline const struct crdt_context *seen(const struct ev_replica *r)
{
    return &r->regions[region()].seen;
}

static inline int run_tests(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, set_up, tear_down);
    for (; *tests != NULL; tests++) {
        tcase_add_test(all, *tests);
    }
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
