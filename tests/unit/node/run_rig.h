/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over cells of object a of bucket b, short to write.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_RUN_RIG_H
#define HOLDFAST_TESTS_UNIT_NODE_RUN_RIG_H

#include "compute/task.h"
#include "object_rig.h"
#include "server/node/objects_internal.h"

#define CELL 65536u
#define PROGRAM_MAX 16384u

/* Lines "NUMBER odd|even,"text, quoted",NUMBER,"multi\nline"" with record ends at no cell's end. */
static inline void text_content(void)
{
    size_t at = 0;
    char line[128];
    for (unsigned i = 0; at + sizeof line < sizeof content; i++) {
        int size = snprintf(line, sizeof line, "%u,\"a %s, %u\",%u,\"k\n%u\"\n", i,
                            i % 2 == 0 ? "even" : "odd", i * 7, i * 31 % 1000, i % 50);
        memcpy(content + at, line, (size_t)size);
        at += (size_t)size;
    }
    memset(content + at, '\n', sizeof content - at);
}

struct span {
    unsigned node;
    uint64_t version;
    uint64_t from;
    uint64_t bytes;
    enum wire_run_where where;
};

static inline uint32_t run_ask(const struct span *s, const char *program)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 1u << 20);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_RUN,
                            s->where != WIRE_RUN_HOLDER ? 8 : 6);
    (void)wire_pack_bin(&out, bytes_of("b", 1));
    (void)wire_pack_bin(&out, bytes_of("a", 1));
    (void)wire_pack_u64(&out, s->version);
    (void)wire_pack_u64(&out, s->from);
    (void)wire_pack_u64(&out, s->bytes);
    (void)wire_pack_bin(&out, bytes_of(program, strlen(program)));
    if (s->where != WIRE_RUN_HOLDER) {
        (void)wire_pack_u64(&out, COMPUTE_TASK_QUOTES_UNKNOWN);
        (void)wire_pack_u64(&out, s->where);
    }
    rig_send(r, s->node, buf_view(&out));
    buf_release(&out);
    return msgid;
}

static inline int run_span(const struct span *s, const char *program, struct wire_node *result)
{
    return wait_for(run_ask(s, program), result);
}

static inline uint64_t version_of(const char *name)
{
    struct wire_node result;
    ck_assert_int_eq(stat_of(1, name, &result), 0);
    return number(result, WIRE_FIELD_VERSION);
}

/* A program that is `head`, then `part` so many times. */
static inline void program_of(char *into, const char *head, const char *part, unsigned times)
{
    size_t at = (size_t)snprintf(into, PROGRAM_MAX, "%s", head);
    for (unsigned i = 0; i < times && at < PROGRAM_MAX; i++) {
        at += (size_t)snprintf(into + at, PROGRAM_MAX - at, "%s", part);
    }
}

#endif
