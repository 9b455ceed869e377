/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The encoding: exact bytes, refusal of everything that crdt_encode would not write, limits, and
 * every allocation failing in turn.
 */
#include "crdt/crdt.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct alloc heap;
static struct crdt_limits limits;

static void set_up(void)
{
    heap = alloc_heap();
    limits = crdt_limits_default();
}

static int decode(const void *data, size_t size)
{
    struct crdt_state s;
    crdt_state_init(&s, &heap);
    int err = crdt_decode(&s, bytes_of(data, size), &limits);
    ck_assert(err == 0 || crdt_state_empty(&s));
    if (err == 0) {
        struct buf again;
        buf_init(&again, &heap, 1u << 20);
        ck_assert_int_eq(crdt_encode(&s, &again), 0);
        ck_assert(bytes_equal(buf_view(&again), bytes_of(data, size)));
        buf_release(&again);
    }
    crdt_state_release(&s);
    return err;
}

#define DECODE(...) decode((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Level, 1 actor: node 1, epoch 7, 1 range: 1 to 3; then the records. */
#define HEAD 1, 1, 1, 7, 1, 0, 2

START_TEST(the_bytes_of_small_states_are_these)
{
    set_up();
    ck_assert_int_eq(DECODE(1, 0, 0), 0);                           /* nothing */
    ck_assert_int_eq(DECODE(HEAD, 0), 0);                           /* seen, and gone */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 1, 0, 1, 0), 0); /* AW_SET {x}, dot 2 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 1, 1, 0, 2, 1, 5), 0);   /* G_COUNTER 5, dot 3 */
    ck_assert_int_eq(DECODE(HEAD, 2, 0, 3, 8, 'x', 'a', 1, 0, 0, 0, /* shares 2 bytes */
                            2, 1, 'b', 1, 0, 1, 0),
                     0);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 6, 14, 0, 1, 'f', 3, 0, 1, 0, 0, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 5, 14, 0, 1, 'f', 3, 1, 0, 0, 1, 2), 0); /* map f: 1 */
}
END_TEST

START_TEST(what_the_encoder_would_not_write_is_refused)
{
    set_up();
    ck_assert_int_eq(decode(NULL, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(0, 0, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(1, 0, 0, 0), ERR_PROTOCOL);                            /* more bytes */
    ck_assert_int_eq(DECODE(1, 0x80, 0, 0), ERR_PROTOCOL);                         /* a long zero */
    ck_assert_int_eq(DECODE(1, 1, 0, 7, 1, 0, 2, 0), ERR_PROTOCOL);                /* node 0 */
    ck_assert_int_eq(DECODE(1, 1, 1, 7, 0, 0), ERR_PROTOCOL);                      /* no range */
    ck_assert_int_eq(DECODE(1, 2, 1, 7, 1, 0, 2, 1, 7, 1, 0, 2, 0), ERR_PROTOCOL); /* twice */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 0), ERR_PROTOCOL);              /* no entry */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 1, 0, 3, 0), ERR_PROTOCOL); /* dot not seen */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 1, 1, 0, 0), ERR_PROTOCOL); /* nor its range */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 2, 0, 1, 0, 0, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 2, 0, 1, 0, 0, 0, 0), ERR_PROTOCOL); /* order */
    ck_assert_int_eq(DECODE(HEAD, 2, 0, 2, 8, 'x', 1, 0, 1, 0, 1, 1, 'y', 1, 0, 1, 0),
                     ERR_PROTOCOL); /* one dot twice. scenario C17 */
    ck_assert_int_eq(DECODE(HEAD, 2, 0, 2, 8, 'x', 1, 0, 0, 0, 0, 2, 8, 'y', 1, 0, 1, 0),
                     ERR_PROTOCOL); /* shares less than it could */
    ck_assert_int_eq(DECODE(HEAD, 2, 0, 2, 8, 'y', 1, 0, 0, 0, 1, 1, 'x', 1, 0, 1, 0),
                     ERR_PROTOCOL); /* order of keys */
    ck_assert_int_eq(DECODE(HEAD, 2, 0, 2, 8, 'y', 1, 0, 0, 0, 2, 0, 1, 0, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 8, 'x', 1, 0, 1, 1, 'p'), ERR_PROTOCOL); /* payload */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 0, 1, 0, 1, 0), ERR_PROTOCOL);           /* types */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 16, 1, 0, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 14, 1, 0, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 6, 'x', 1, 0, 1, 0), ERR_PROTOCOL); /* flag with rest */
}
END_TEST

START_TEST(payloads_that_no_operation_makes_are_refused)
{
    set_up();
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 1, 1, 0, 2, 1, 0), ERR_PROTOCOL);    /* G_COUNTER 0 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 2, 1, 0, 2, 2, 0, 0), ERR_PROTOCOL); /* PN 0 0 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 2, 1, 0, 2, 1, 1), ERR_PROTOCOL);    /* PN half */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 3, 1, 0, 2, 1, 0), ERR_PROTOCOL);    /* COUNTER 0 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 3, 1, 0, 2, 2, 0x81, 0), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 7, 1, 0, 2, 1, 2), ERR_PROTOCOL); /* DW_FLAG 2 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 4, 1, 0, 2, 0), ERR_PROTOCOL);    /* LWW no time */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 1, 1, 0, 2, 10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                            0x80, 0x80, 1),
                     ERR_PROTOCOL); /* G_COUNTER 2^63 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 4, 13, 12, 0, 9, 1, 0, 2, 1, 54), ERR_PROTOCOL); /* rank */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 4, 13, 12, 16, 0, 1, 0, 2, 1, 1), ERR_PROTOCOL);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 4, 13, 12, 0, 9, 1, 0, 2, 1, 1), 0);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 2, 15, 2, 1, 0, 2, 1, 1), ERR_PROTOCOL); /* BOUNDED */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 10, 15, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 3, 0, 7, 5),
                     ERR_PROTOCOL); /* a grant to node 0 */
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 10, 15, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 3, 1, 7, 5), 0);
}
END_TEST

/* scenario C42 */
START_TEST(a_hyperloglog_of_another_precision_is_refused)
{
    set_up();
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 4, 13, 14, 0, 9, 1, 0, 2, 1, 1), ERR_LEVEL);
}
END_TEST

START_TEST(states_beyond_the_limits_are_refused)
{
    static const uint8_t set[] = {HEAD, 1, 0, 4, 8, 'x', 'y', 'z', 1, 0, 1, 0};
    uint8_t deep[64] = {HEAD, 1, 0, 1 + 9 * 3};
    set_up();
    size_t size = 10;
    for (unsigned i = 0; i < 9; i++, size += 3) {
        deep[size] = 14;
    }
    deep[size++] = 6;
    memcpy(deep + size, (const uint8_t[]){1, 0, 1, 0}, 4);
    ck_assert_int_eq(decode(deep, size + 4), ERR_TOO_LARGE);
    limits.element_bytes_max = 2;
    ck_assert_int_eq(decode(set, sizeof(set)), ERR_TOO_LARGE);
    set_up();
    limits.encoded_bytes_max = sizeof(set) - 1;
    ck_assert_int_eq(decode(set, sizeof(set)), ERR_TOO_LARGE);
    set_up();
    limits.context_ranges_max = 1; /* the decoder takes four times what an operation may make */
    ck_assert_int_eq(DECODE(1, 1, 1, 7, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    ck_assert_int_eq(DECODE(1, 1, 1, 7, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), ERR_TOO_LARGE);
    limits.name_bytes_max = 0;
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 5, 14, 0, 1, 'f', 3, 1, 0, 0, 1, 2), ERR_TOO_LARGE);
    set_up();
    limits.value_bytes_max = 0;
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 5, 1, 0, 0, 1, 2), ERR_TOO_LARGE);
    ck_assert_int_eq(DECODE(HEAD, 1, 0, 1, 4, 1, 0, 0, 2, 2, 2), ERR_TOO_LARGE);
}
END_TEST

/* Counts in front of few bytes do not make the decoder ask for much. */
START_TEST(a_false_count_costs_nothing)
{
    struct alloc_budget budget;
    struct crdt_state s;
    static const uint8_t many[] = {1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f};
    static const uint8_t actors[] = {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1, 0, 0};
    set_up();
    struct alloc counted = alloc_budget_init(&budget, heap, 4096);
    crdt_state_init(&s, &counted);
    ck_assert_int_eq(crdt_decode(&s, bytes_of(many, sizeof(many)), &limits), ERR_PROTOCOL);
    ck_assert_int_eq(crdt_decode(&s, bytes_of(actors, sizeof(actors)), &limits), ERR_PROTOCOL);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

/* One of everything, made apart by two actors, so that a join has all its work to do. */
static int build(struct crdt_state *s, unsigned actor, const struct alloc *alloc)
{
    static const struct {
        uint8_t type;
        enum crdt_verb verb;
    } ops[] = {{CRDT_G_COUNTER, CRDT_ADD}, {CRDT_PN_COUNTER, CRDT_ADD}, {CRDT_COUNTER, CRDT_ADD},
               {CRDT_LWW, CRDT_SET},       {CRDT_MV, CRDT_SET},         {CRDT_EW_FLAG, CRDT_ENABLE},
               {CRDT_AW_SET, CRDT_ADD},    {CRDT_RW_SET, CRDT_REMOVE},  {CRDT_HLL, CRDT_ADD},
               {CRDT_MAX, CRDT_SET},       {CRDT_BOUNDED, CRDT_ADD},    {CRDT_MAP, CRDT_REMOVE}};
    struct crdt_state delta;
    int err = 0;
    crdt_state_init(&delta, alloc);
    for (unsigned i = 0; err == 0 && i < sizeof(ops) / sizeof(ops[0]); i++) {
        char name[2] = {(char)('a' + i), 0};
        struct crdt_path p;
        struct crdt_op op = {.verb = ops[i].verb, .value = bytes_of_text("c"), .amount = 3};
        op.dot = (struct crdt_dot){.actor = {actor, 1}, .counter = 2 * i + 1}; /* with gaps */
        crdt_path_init(&p, CRDT_MAP);
        if (op.verb != CRDT_REMOVE || ops[i].type != CRDT_MAP) {
            ck_assert_int_eq(crdt_path_push(&p, bytes_of_text(name), ops[i].type), 0);
        }
        err = crdt_delta(s, &p, &op, &limits, &delta);
        ck_assert(err == 0 || crdt_state_empty(&delta));
        err = err != 0 ? err : crdt_join(s, &delta);
        crdt_state_clear(&delta);
    }
    crdt_state_release(&delta);
    return err;
}

/* Everything that asks for memory. returns: the first error. */
static int work(const struct alloc *alloc, const struct crdt_state *other)
{
    struct crdt_state s;
    struct crdt_state out;
    struct crdt_pieces pieces;
    struct buf bytes;
    crdt_state_init(&s, alloc);
    crdt_state_init(&out, alloc);
    buf_init(&bytes, alloc, 1u << 20);
    int err = build(&s, 1, alloc);
    if (err == 0) {
        struct crdt_state kept;
        crdt_state_init(&kept, &heap);
        ck_assert_int_eq(crdt_state_copy(&kept, &s), 0);
        err = crdt_join(&s, other);
        ck_assert(err == 0 || crdt_state_equal(&s, &kept)); /* all or nothing */
        crdt_state_release(&kept);
    }
    err = err != 0 ? err : crdt_encode(&s, &bytes);
    err = err != 0 ? err : crdt_decode(&out, buf_view(&bytes), &limits);
    err = err != 0 ? err : crdt_state_copy(&out, other);
    crdt_state_clear(&out);
    err = err != 0 ? err : crdt_difference(&s, other, &out);
    crdt_state_clear(&out);
    crdt_pieces_begin(&pieces, &s);
    err = err != 0 ? err : crdt_pieces_next(&pieces, &out);
    buf_release(&bytes);
    crdt_state_release(&s);
    crdt_state_release(&out);
    return err;
}

START_TEST(every_allocation_may_fail_and_nothing_is_half_done_or_kept)
{
    struct alloc_budget budget;
    struct crdt_state other;
    set_up();
    crdt_state_init(&other, &heap);
    ck_assert_int_eq(build(&other, 2, &heap), 0);
    for (uint64_t n = 1;; n++) {
        struct alloc failing = alloc_budget_init(&budget, heap, UINT64_MAX);
        budget.fail_at = n;
        int err = work(&failing, &other);
        ck_assert_uint_eq(budget.used_bytes, 0);
        if (err == 0) {
            ck_assert_uint_gt(n, 100);
            break;
        }
        ck_assert_int_eq(err, ERR_NO_MEMORY);
    }
    crdt_state_release(&other);
}
END_TEST

UNIT_MAIN("crdt_codec", the_bytes_of_small_states_are_these,
          what_the_encoder_would_not_write_is_refused, payloads_that_no_operation_makes_are_refused,
          a_hyperloglog_of_another_precision_is_refused, states_beyond_the_limits_are_refused,
          a_false_count_costs_nothing, every_allocation_may_fail_and_nothing_is_half_done_or_kept)
