/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writes tests/vectors/crdt/TYPE.jsonl: random histories whose values the specification confirms
 * as they are made.
 *   crdt_vectors_write FOLDER
 */
#include "tests/unit/crdt/vectors.h"
#include "tests/unit/crdt/world.h"

#include "base/num.h"

#include <stdio.h>

static void write_actor(struct buf *out, struct crdt_actor a)
{
    vectors_text(out, "[");
    vectors_number(out, a.node);
    vectors_text(out, ",");
    vectors_number(out, (int64_t)a.epoch);
    vectors_text(out, "]");
}

static void write_op(struct buf *out, unsigned replica, const struct crdt_path *path,
                     const struct crdt_op *given, const struct crdt_state *delta)
{
    struct crdt_op op = *given;
    vectors_text(out, "{\"op\":{\"at\":");
    vectors_number(out, replica);
    vectors_text(out, ",\"actor\":");
    write_actor(out, op.dot.actor);
    vectors_text(out, ",\"counter\":");
    vectors_number(out, (int64_t)op.dot.counter);
    vectors_text(out, ",\"path\":");
    vectors_path(out, path);
    vectors_text(out, ",\"verb\":\"");
    vectors_text(out, vectors_verbs[op.verb]);
    vectors_text(out, "\",\"value\":\"");
    (void)buf_append(out, op.value.data, op.value.size);
    vectors_text(out, "\",\"amount\":");
    vectors_number(out, op.amount);
    vectors_text(out, ",\"time_us\":");
    vectors_number(out, (int64_t)op.time_us);
    vectors_text(out, ",\"to\":");
    write_actor(out, op.to);
    vectors_text(out, ",\"number\":");
    vectors_number(out, (int64_t)op.number);
    vectors_text(out, "},\"delta\":\"");
    vectors_hex(out, delta);
    vectors_text(out, "\"}");
}

static void write_world_op(struct buf *out, const struct world *w, const struct world_op *o)
{
    struct crdt_path path;
    struct crdt_op op;
    world_op_of(w, o, &path, &op);
    write_op(out, o->replica, &path, &op, &o->delta);
}

static void write_merge(struct buf *out, unsigned to, unsigned from)
{
    vectors_text(out, "{\"merge\":[");
    vectors_number(out, to);
    vectors_text(out, ",");
    vectors_number(out, from);
    vectors_text(out, "]}");
}

static void write_states(struct buf *out, const struct crdt_state *state, uint8_t root)
{
    vectors_text(out, "],\"states\":[");
    for (unsigned r = 0; r < 3; r++) {
        vectors_text(out, r == 0 ? "" : ",");
        vectors_text(out, "{\"values\":");
        vectors_values(out, &state[r], root);
        vectors_text(out, ",\"bytes\":\"");
        vectors_hex(out, &state[r]);
        vectors_text(out, "\"}");
    }
    vectors_text(out, "]}\n");
}

static void write_history(struct buf *out, struct world_shape shape, uint64_t seed)
{
    struct world w;
    struct rng rng;
    uint8_t root = shape.nested ? CRDT_MAP : shape.type;
    const char *between = "";
    world_seed(seed);
    rng_init(&rng, seed);
    world_init(&w, shape, 3);
    vectors_text(out, "{\"type\":\"");
    vectors_text(out, vectors_types[root]);
    vectors_text(out, "\",\"replicas\":3,\"steps\":[");
    for (unsigned i = 0; i < 18; i++) {
        unsigned r = (unsigned)rng_below(&rng, 3);
        unsigned from = (unsigned)rng_below(&rng, 3);
        if (rng_chance(&rng, 2, 3)) {
            if (!world_act(&w, r, (unsigned)rng_below(&rng, world_choices(&shape)))) {
                continue;
            }
            vectors_text(out, between);
            write_world_op(out, &w, &w.ops[w.count - 1]);
        } else if (r != from) {
            world_merge(&w, r, from);
            vectors_text(out, between);
            write_merge(out, r, from);
        } else {
            continue;
        }
        between = ",";
    }
    for (unsigned r = 0; r < 3; r++) {
        world_check(&w, r);
    }
    write_states(out, w.state, root);
    world_release(&w);
}

/* A holder of rights is lost and its rights are taken over; a late transfer to it is, too. */
static void write_fence(struct buf *out)
{
    static const struct {
        unsigned at;
        unsigned merge_from; /* 9: an operation */
        enum crdt_verb verb;
        int64_t amount;
        unsigned to;
        uint64_t number;
    } steps[] = {{0, 9, CRDT_GRANT, 10, 0, 1},   {0, 9, CRDT_ADD, -4, 9, 0},
                 {2, 9, CRDT_ADD, 5, 9, 0},      {1, 0, 0, 0, 9, 0},
                 {1, 9, CRDT_FENCE, 0, 0, 2},    {1, 9, CRDT_ADD, -2, 9, 0},
                 {2, 9, CRDT_TRANSFER, 3, 0, 0}, {1, 2, 0, 0, 9, 0},
                 {1, 9, CRDT_FENCE, 0, 0, 2},    {2, 1, 0, 0, 9, 0}};
    struct alloc heap = alloc_heap();
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_state state[3];
    struct crdt_path path;
    crdt_path_init(&path, CRDT_BOUNDED);
    for (unsigned r = 0; r < 3; r++) {
        crdt_state_init(&state[r], &heap);
    }
    vectors_text(out, "{\"type\":\"bounded\",\"replicas\":3,\"steps\":[");
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct crdt_state *s = &state[steps[i].at];
        struct crdt_state delta;
        vectors_text(out, i > 0 ? "," : "");
        if (steps[i].merge_from != 9) {
            ASSERT(crdt_join(s, &state[steps[i].merge_from]) == 0);
            write_merge(out, steps[i].at, steps[i].merge_from);
            continue;
        }
        struct crdt_op op = {.verb = steps[i].verb, .amount = steps[i].amount};
        op.dot.actor = world_actor(steps[i].at);
        op.dot.counter = crdt_context_last(&s->seen, op.dot.actor) + 1;
        op.to = steps[i].to == 9 ? (struct crdt_actor){0} : world_actor(steps[i].to);
        op.number = steps[i].number;
        crdt_state_init(&delta, &heap);
        ASSERT(crdt_delta(s, &path, &op, &limits, &delta) == 0 && crdt_join(s, &delta) == 0);
        write_op(out, steps[i].at, &path, &op, &delta);
        crdt_state_release(&delta);
    }
    ASSERT(crdt_counter(&state[2], &path) == 9);
    ASSERT(crdt_rights(&state[2], &path, world_actor(1)) == 7);
    write_states(out, state, CRDT_BOUNDED);
    for (unsigned r = 0; r < 3; r++) {
        crdt_state_release(&state[r]);
    }
}

static void write_type(struct buf *out, uint8_t type)
{
    for (uint64_t i = 0; i < 16; i++) {
        struct world_shape shape = {.type = type, .other = CRDT_AW_SET, .nested = i >= 8};
        if (type == CRDT_MAP) {
            shape.type = (uint8_t)(i < 13 ? i + 1 : i % 13 + 1);
            shape.nested = true;
        }
        shape.other = shape.type == CRDT_AW_SET ? CRDT_LWW : CRDT_AW_SET;
        write_history(out, shape, 1000u * type + i);
    }
}

int main(int argc, char **argv)
{
    struct alloc heap = alloc_heap();
    for (uint8_t type = 1; argc == 2 && type <= CRDT_TYPES; type++) {
        struct buf out;
        char path[1024];
        buf_init(&out, &heap, 1u << 24);
        write_type(&out, type);
        if (type == CRDT_BOUNDED) {
            write_fence(&out);
        }
        (void)snprintf(path, sizeof(path), "%s/%s.jsonl", argv[1], vectors_types[type]);
        FILE *file = fopen(path, "w");
        if (file == NULL || out.err != 0 || fwrite(out.data, 1, out.size, file) != out.size ||
            fclose(file) != 0) {
            (void)fprintf(stderr, "cannot write '%s'\n", path);
            return 1;
        }
        buf_release(&out);
    }
    return argc == 2 ? 0 : 2;
}
