/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replays HOLDFAST_DATA/crdt/TYPE.jsonl: every delta, value and canonical byte must come out. The
 * reader takes the fields in the order in which they are written.
 */
#include "tests/unit/crdt/vectors.h"
#include "tests/unit/unit.h"

#include <string.h>

#define REPLICAS 3u
#define LINE_BYTES (1u << 18)

static char line[LINE_BYTES];
static struct alloc heap;
static struct crdt_state at[REPLICAS];

static bool has(const char **p, const char *literal)
{
    size_t size = strlen(literal);
    bool is = strncmp(*p, literal, size) == 0;
    *p += is ? size : 0;
    return is;
}

static void eat(const char **p, const char *literal)
{
    ck_assert_msg(has(p, literal), "'%s' expected before '%.40s'", literal, *p);
}

static int64_t take_number(const char **p)
{
    char *end;
    int64_t v = strtoll(*p, &end, 10);
    ck_assert(end != *p);
    *p = end;
    return v;
}

static struct bytes take_string(const char **p)
{
    eat(p, "\"");
    size_t size = strcspn(*p, "\"");
    struct bytes v = bytes_of(*p, size);
    *p += size;
    eat(p, "\"");
    return v;
}

static unsigned take_word(const char **p, const char *const *words, unsigned count)
{
    struct bytes v = take_string(p);
    for (unsigned i = 1; i < count; i++) {
        if (bytes_equal(v, bytes_of_text(words[i]))) {
            return i;
        }
    }
    ck_abort_msg("unknown word '%.*s'", (int)v.size, (const char *)v.data);
    return 0;
}

static enum crdt_type take_type(const char **p)
{
    return (enum crdt_type)take_word(p, vectors_types, CRDT_TYPES + 1);
}

static struct crdt_actor take_actor(const char **p)
{
    struct crdt_actor a;
    eat(p, "[");
    a.node = (uint32_t)take_number(p);
    eat(p, ",");
    a.epoch = (uint64_t)take_number(p);
    eat(p, "]");
    return a;
}

static struct crdt_path take_path(const char **p)
{
    struct crdt_path path;
    eat(p, "[");
    crdt_path_init(&path, take_type(p));
    while (has(p, ",")) {
        struct bytes name = take_string(p);
        eat(p, ",");
        ck_assert_int_eq(crdt_path_push(&path, name, take_type(p)), 0);
    }
    eat(p, "]");
    return path;
}

/* The hex that follows is what the state encodes to. */
static void expect_hex(const char **p, const struct crdt_state *s)
{
    struct buf hex;
    buf_init(&hex, &heap, LINE_BYTES);
    vectors_hex(&hex, s);
    ck_assert(bytes_equal(take_string(p), buf_view(&hex)));
    buf_release(&hex);
}

static void replay_op(const char **p)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_state delta;
    struct crdt_op op = {0};
    unsigned replica = (unsigned)take_number(p);
    ck_assert_uint_lt(replica, REPLICAS);
    eat(p, ",\"actor\":");
    op.dot.actor = take_actor(p);
    eat(p, ",\"counter\":");
    op.dot.counter = (uint64_t)take_number(p);
    eat(p, ",\"path\":");
    struct crdt_path path = take_path(p);
    eat(p, ",\"verb\":");
    op.verb = (enum crdt_verb)take_word(p, vectors_verbs, CRDT_FENCE + 1);
    eat(p, ",\"value\":");
    op.value = take_string(p);
    eat(p, ",\"amount\":");
    op.amount = take_number(p);
    eat(p, ",\"time_us\":");
    op.time_us = (uint64_t)take_number(p);
    eat(p, ",\"to\":");
    op.to = take_actor(p);
    eat(p, ",\"number\":");
    op.number = (uint64_t)take_number(p);
    eat(p, "},\"delta\":");
    crdt_state_init(&delta, &heap);
    ck_assert_int_eq(crdt_delta(&at[replica], &path, &op, &limits, &delta), 0);
    expect_hex(p, &delta);
    ck_assert_int_eq(crdt_join(&at[replica], &delta), 0);
    crdt_state_release(&delta);
}

static void replay_merge(const char **p)
{
    unsigned to = (unsigned)take_number(p);
    eat(p, ",");
    unsigned from = (unsigned)take_number(p);
    eat(p, "]");
    ck_assert(to < REPLICAS && from < REPLICAS);
    ck_assert_int_eq(crdt_join(&at[to], &at[from]), 0);
}

static void replay_states(const char **p, uint8_t root)
{
    for (unsigned i = 0; i < REPLICAS; i++) {
        struct buf values;
        buf_init(&values, &heap, LINE_BYTES);
        vectors_values(&values, &at[i], root);
        ck_assert_int_eq(buf_put_u8(&values, 0), 0);
        eat(p, i == 0 ? "{\"values\":" : ",{\"values\":");
        eat(p, (const char *)values.data);
        eat(p, ",\"bytes\":");
        expect_hex(p, &at[i]);
        eat(p, "}");
        buf_release(&values);
    }
}

static void replay_line(const char *p)
{
    for (unsigned i = 0; i < REPLICAS; i++) {
        crdt_state_init(&at[i], &heap);
    }
    eat(&p, "{\"type\":");
    enum crdt_type root = take_type(&p);
    eat(&p, ",\"replicas\":3,\"steps\":[");
    while (!has(&p, "],\"states\":[")) {
        (void)has(&p, ",");
        if (has(&p, "{\"op\":{\"at\":")) {
            replay_op(&p);
        } else {
            eat(&p, "{\"merge\":[");
            replay_merge(&p);
        }
        eat(&p, "}");
    }
    replay_states(&p, (uint8_t)root);
    eat(&p, "]}\n");
    for (unsigned i = 0; i < REPLICAS; i++) {
        crdt_state_release(&at[i]);
    }
}

START_TEST(every_vector_comes_out)
{
    const char *folder = getenv("HOLDFAST_DATA");
    heap = alloc_heap();
    ck_assert_ptr_nonnull(folder);
    for (unsigned type = 1; type <= CRDT_TYPES; type++) {
        char path[1024];
        unsigned count = 0;
        (void)snprintf(path, sizeof(path), "%s/crdt/%s.jsonl", folder, vectors_types[type]);
        FILE *file = fopen(path, "r");
        ck_assert_msg(file != NULL, "%s", path);
        for (; fgets(line, sizeof(line), file) != NULL; count++) {
            replay_line(line);
        }
        (void)fclose(file);
        ck_assert_uint_ge(count, 16);
    }
}
END_TEST

UNIT_MAIN("crdt_vectors", every_vector_comes_out)
