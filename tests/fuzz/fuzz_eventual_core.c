/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fragments from outside: a decoder that accepts what nobody would write, or a join after which a
 * record cannot be read, aborts here.
 */
#include "tests/fuzz/fuzz_eventual.h"

#include "tests/unit/node/ev_rig.h"

#define FUZZ_KEY "k"

static void fuzz_update(struct ev_replica *r, unsigned i)
{
    struct node_ev_op op = {.space = bytes_of_text("default"), .name = bytes_of_text(FUZZ_KEY)};
    crdt_path_init(&op.path, CRDT_MAP);
    ASSERT(crdt_path_push(&op.path, bytes_of_text("f"),
                          i % 3 == 0 ? CRDT_AW_SET : CRDT_PN_COUNTER) == 0);
    op.op.verb = i % 6 == 3 ? CRDT_REMOVE : CRDT_ADD;
    op.op.value = bytes_of_text(i % 2 == 0 ? "x" : "y");
    op.op.amount = 3;
    (void)ev_update(r, &op, 1, 1000 + i);
}

void fuzz_eventual_example(struct buf *out, unsigned i)
{
    struct ev_replica *r = ev_new(2, 5);
    for (unsigned n = 0; n <= i; n++) {
        fuzz_update(r, n % 2 == 0 ? 3 * n : 3 * n + 2);
    }
    struct bytes last = ev_last(r);
    ASSERT(buf_append(out, last.data, last.size) == 0);
    ev_free(r);
}

/* What was decoded is what was there. */
static void fuzz_again(const struct node_ev_fragment *f, struct bytes input)
{
    struct alloc heap = alloc_heap();
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    struct buf again;
    buf_init(&again, &heap, NODE_EV_FRAGMENT_MAX);
    ASSERT(node_ev_fragment_head(f, &again) == 0);
    node_ev_fragment_begin(f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        ASSERT(node_ev_fragment_record(key, record_key, value, &again) == 0);
    }
    ASSERT(bytes_equal(buf_view(&again), input));
    buf_release(&again);
}

/* Arbitrary bytes as a stored record: what is accepted loads. */
static void fuzz_record(struct bytes input)
{
    static const uint8_t keys[][2] = {{CRDT_PN_COUNTER}, {CRDT_AW_SET, 'x'}, {CRDT_LWW}};
    struct alloc heap = alloc_heap();
    for (unsigned i = 0; i < 3; i++) {
        struct crdt_state s;
        crdt_state_init(&s, &heap);
        int err = node_ev_record_load(&s, bytes_of(keys[i], i == 1 ? 2 : 1), input);
        ASSERT(err == 0 || err == ERR_CORRUPT);
        crdt_state_release(&s);
    }
}

/* Into a node that has something, twice; then that node works on. */
static void fuzz_join(struct bytes input)
{
    struct ev_replica *r = ev_new(1, 5);
    for (unsigned i = 0; i < 4; i++) {
        fuzz_update(r, i);
    }
    int err = ev_join(r, &input, 1);
    ASSERT(ev_join(r, &input, 1) == err);
    for (unsigned i = 0; i < 4; i++) {
        fuzz_update(r, i);
    }
    ev_check(r, node_ev_region(bytes_of_text(FUZZ_KEY)));
    ev_free(r);
}

void fuzz_eventual(struct bytes input)
{
    struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    node_ev_fragment_init(&f, &heap);
    if (node_ev_fragment_decode(&f, input) == 0) {
        fuzz_again(&f, input);
        fuzz_join(input);
    }
    node_ev_fragment_release(&f);
    fuzz_record(input);
}
