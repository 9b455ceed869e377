/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * States from outside: a decoder that accepts what nobody would write, or a state that breaks the
 * algebra, aborts here.
 */
#include "tests/fuzz/fuzz_crdt.h"

#include "crdt/crdt.h"

static struct crdt_limits fuzz_limits(void)
{
    struct crdt_limits limits = crdt_limits_default();
    limits.encoded_bytes_max = 1u << 17;
    return limits;
}

static void fuzz_path(unsigned i, struct crdt_path *p)
{
    uint8_t type = (uint8_t)(1 + i % CRDT_TYPES);
    crdt_path_init(p, i % 2 == 0 ? CRDT_MAP : (enum crdt_type)type);
    if (i % 2 == 0) {
        ASSERT(crdt_path_push(p, bytes_of_text("f"), (enum crdt_type)type) == 0);
    }
}

/* Any operation that may be made, and its place. */
static int fuzz_act(struct crdt_state *s, unsigned i, struct crdt_actor actor)
{
    static const enum crdt_verb verbs[] = {CRDT_ADD, CRDT_SET, CRDT_ENABLE, CRDT_REMOVE};
    struct crdt_limits limits = fuzz_limits();
    struct crdt_state delta;
    struct crdt_path p;
    int err = ERR_INVALID;
    fuzz_path(i, &p);
    crdt_state_init(&delta, &s->alloc);
    for (unsigned v = 0; v < 4 && err == ERR_INVALID; v++) {
        struct crdt_op op = {.verb = verbs[v], .value = bytes_of_text("f"), .amount = 2};
        uint64_t last = crdt_context_last(&s->seen, actor);
        op.dot = (struct crdt_dot){.actor = actor, .counter = last + 1};
        op.time_us = 77;
        err = last == UINT64_MAX ? ERR_OVERFLOW : crdt_delta(s, &p, &op, &limits, &delta);
    }
    if (err == 0) {
        ASSERT(crdt_join(s, &delta) == 0);
    }
    crdt_state_release(&delta);
    return err;
}

void fuzz_crdt_example(struct buf *out, unsigned i)
{
    struct alloc heap = alloc_heap();
    struct crdt_state s;
    crdt_state_init(&s, &heap);
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned j = 0; j < 6; j++) {
            (void)fuzz_act(&s, 2 * (i + j * 7 * n), (struct crdt_actor){.node = j % 2 + 1});
        }
    }
    ASSERT(crdt_encode(&s, out) == 0);
    crdt_state_release(&s);
}

static void fuzz_read(const struct crdt_state *s)
{
    for (unsigned i = 0; i < 2 * CRDT_TYPES; i++) {
        struct crdt_path p;
        struct crdt_sibling all[4];
        struct crdt_field field = {0};
        struct bytes at = {0};
        int64_t value;
        fuzz_path(i, &p);
        switch (p.types[p.count]) {
        case CRDT_BOUNDED: (void)crdt_rights(s, &p, (struct crdt_actor){.node = 1}); break;
        case CRDT_G_COUNTER:
        case CRDT_PN_COUNTER:
        case CRDT_COUNTER: (void)crdt_counter(s, &p); break;
        case CRDT_LWW:
        case CRDT_MV: (void)crdt_siblings(s, &p, all, 4); break;
        case CRDT_EW_FLAG:
        case CRDT_DW_FLAG: (void)crdt_flag(s, &p); break;
        case CRDT_MAX:
        case CRDT_MIN: (void)crdt_extreme(s, &p, &value); break;
        case CRDT_HLL: (void)crdt_hll(s, &p); break;
        case CRDT_MAP:
            while (crdt_map_next(s, &p, &field)) {
                ASSERT(field.type >= 1 && field.type <= CRDT_TYPES);
            }
            break;
        default:
            while (crdt_set_next(s, &p, &at)) {
                ASSERT(crdt_set_has(s, &p, at));
            }
            break;
        }
    }
}

/* A few pieces: a context of few bytes may have seen 2^64 dots. */
static void fuzz_pieces(const struct crdt_state *s)
{
    struct crdt_pieces pieces;
    struct crdt_state one;
    crdt_state_init(&one, &s->alloc);
    crdt_pieces_begin(&pieces, s);
    for (unsigned i = 0; i < 20 && crdt_pieces_next(&pieces, &one) == 0; i++) {
        ASSERT(crdt_leq(&one, s));
        crdt_state_clear(&one);
    }
    crdt_state_release(&one);
}

/* Joins with what another replica may have, both ways round. */
static void fuzz_join(const struct crdt_state *s, unsigned i)
{
    struct crdt_state ours;
    struct crdt_state left;
    struct crdt_state right;
    crdt_state_init(&ours, &s->alloc);
    crdt_state_init(&left, &s->alloc);
    crdt_state_init(&right, &s->alloc);
    for (unsigned j = 0; j < 8; j++) {
        (void)fuzz_act(&ours, 2 * (i + j), (struct crdt_actor){.node = j % 2 + 1});
    }
    ASSERT(crdt_state_copy(&left, s) == 0 && crdt_state_copy(&right, &ours) == 0);
    int a = crdt_join(&left, &ours);
    int b = crdt_join(&right, s);
    ASSERT(a == b && (a == 0 || a == ERR_CONFLICT || a == ERR_LEVEL));
    ASSERT(a != 0 || (crdt_state_equal(&left, &right) && crdt_leq(s, &left)));
    ASSERT(a == 0 || (crdt_state_equal(&left, s) && crdt_state_equal(&right, &ours)));
    crdt_state_clear(&ours);
    if (a == 0) {
        ASSERT(crdt_difference(&left, s, &ours) == 0 && crdt_join(&ours, s) == 0);
        ASSERT(crdt_state_equal(&ours, &left));
    }
    crdt_state_release(&ours);
    crdt_state_release(&left);
    crdt_state_release(&right);
}

void fuzz_crdt(struct bytes input)
{
    struct crdt_limits limits = fuzz_limits();
    struct alloc heap = alloc_heap();
    struct crdt_state s;
    struct buf again;
    crdt_state_init(&s, &heap);
    buf_init(&again, &heap, 1u << 18);
    if (crdt_decode(&s, input, &limits) == 0) {
        ASSERT(crdt_encode(&s, &again) == 0);
        ASSERT(bytes_equal(buf_view(&again), input));
        fuzz_read(&s);
        fuzz_pieces(&s);
        fuzz_join(&s, (unsigned)(input.size % CRDT_TYPES));
        for (unsigned i = 0; s.opaque.size == 0 && i < 2 * CRDT_TYPES; i++) {
            (void)fuzz_act(&s, i, (struct crdt_actor){.node = 1});
        }
    } else {
        ASSERT(crdt_state_empty(&s));
    }
    buf_release(&again);
    crdt_state_release(&s);
}
