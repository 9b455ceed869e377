/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the nodes' own code spends on an operation: three nodes in one thread, without kernel,
 * sockets and disks, so that the number of instructions depends on nothing but the code. Counted
 * by Valgrind, from the moment when the records are there:
 *
 *   valgrind --tool=callgrind --instr-atstart=no bench_crdt_cost OP BATCH REQUESTS ROUNDS KEYS
 *
 * OP: counter (increments of KEYS counters), set (new elements for a set of KEYS), put (100 bytes
 * under KEYS keys, by consensus). Every 8 ms of virtual time each node gets that many requests,
 * each of that many operations, each in the session of another client; puts go to the leader.
 */
#include "tests/unit/node/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COST_COUNTS
#endif
#endif

#define COST_NODES 3u
#define COST_SESSIONS 512u
#define COST_FILL 256u

struct cost {
    struct rig *r;
    const char *op;
    unsigned long batch;
    unsigned long keys;
    unsigned leader; /* of puts; else 0 */
    uint64_t next;   /* number of the next operation */
    uint64_t session[COST_NODES + 1][COST_SESSIONS];
    uint64_t sequence[COST_NODES + 1][COST_SESSIONS];
};

static bool cost_is(const struct cost *c, const char *op)
{
    return strcmp(c->op, op) == 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void cost_pack_op(const struct cost *c, struct buf *out, uint64_t number)
{
    char name[32];
    char element[32];
    bool set = cost_is(c, "set");
    (void)snprintf(name, sizeof name, set ? "set" : "bench/%08llu",
                   (unsigned long long)(number * 7919 % c->keys));
    (void)snprintf(element, sizeof element, "element-%010llu", (unsigned long long)number);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, "name");
    (void)wire_pack_bin(out, bytes_of_text(name));
    (void)wire_pack_text(out, "path");
    (void)wire_pack_array(out, 1);
    (void)wire_pack_u64(out, set ? WIRE_CRDT_AW_SET : WIRE_CRDT_PN_COUNTER);
    (void)wire_pack_text(out, "verb");
    (void)wire_pack_u64(out, WIRE_CRDT_ADD);
    (void)wire_pack_text(out, set ? "value" : "amount");
    if (set) {
        (void)wire_pack_bin(out, bytes_of_text(element));
    } else {
        (void)wire_pack_i64(out, 1);
    }
}

static void cost_pack(struct cost *c, struct buf *out, unsigned long batch)
{
    uint8_t value[100] = {1};
    char name[32];
    if (cost_is(c, "put")) {
        (void)snprintf(name, sizeof name, "bench/%08llu",
                       (unsigned long long)(c->next++ * 7919 % c->keys));
        (void)wire_pack_request(out, ++c->r->next_msgid, "kv.put", 4);
        (void)wire_pack_bin(out, bytes_of_text("default"));
        (void)wire_pack_bin(out, bytes_of_text(name));
        (void)wire_pack_bin(out, bytes_of(value, sizeof value));
        return;
    }
    (void)wire_pack_request(out, ++c->r->next_msgid, "crdt.update", 3);
    (void)wire_pack_bin(out, bytes_of_text("default"));
    (void)wire_pack_array(out, (uint32_t)batch);
    for (unsigned long i = 0; i < batch; i++) {
        cost_pack_op(c, out, c->next++);
    }
}

/* The session's next request, of client k of a node. */
static void cost_send(struct cost *c, unsigned node, unsigned k, unsigned long batch)
{
    struct buf out;
    struct wire_options o = {.has_session = true, .session_id = c->session[node][k], .copies = 1};
    o.session_seq = ++c->sequence[node][k];
    o.session_ack = o.session_seq - 1;
    buf_init(&out, &c->r->heap, 1u << 20);
    cost_pack(c, &out, batch);
    (void)wire_pack_options(&out, &o);
    ASSERT(out.err == 0);
    rig_send(c->r, node, buf_view(&out));
    buf_release(&out);
}

/* returns: how many answers were errors; all are forgotten. */
static unsigned cost_answers(struct rig *r, unsigned *count)
{
    unsigned failed = 0;
    *count += r->replies_count;
    for (unsigned i = 0; i < r->replies_count; i++) {
        struct wire_node root;
        struct wire_rpc m;
        int err = wire_decode(r->decoder, buf_view(&r->replies[i].raw), &root);
        ASSERT(err == 0 && wire_rpc_of(root, &m) == 0);
        failed += !wire_node_is_nil(m.error);
        buf_release(&r->replies[i].raw);
    }
    r->replies_count = 0;
    return failed;
}

/* ---- phases --------------------------------------------------------------------------------- */

/* Opens sessions for so many clients of each node that gets requests. */
static void cost_open(struct cost *c, unsigned long clients)
{
    struct wire_node result;
    char slot[16];
    (void)snprintf(slot, sizeof slot, "u:%u", c->leader != 0 ? 1u : NODE_GROUP_OWN);
    for (unsigned node = 1; node <= COST_NODES; node++) {
        for (unsigned long k = 0; k < clients && (c->leader == 0 || c->leader == node); k++) {
            int err = rig_call(c->r, node, "session.open", slot, &result);
            err = err != 0 ? err
                           : wire_node_u64(wire_node_find(result, "session"), &c->session[node][k]);
            ASSERT(err == 0);
        }
    }
}

/* The same number of requests for puts and for the others. */
static void cost_round(struct cost *c, unsigned long requests, unsigned long batch)
{
    for (unsigned long k = 0; k < requests * COST_NODES; k++) {
        unsigned node = c->leader != 0 ? c->leader : (unsigned)(k / requests) + 1;
        cost_send(c, node, (unsigned)(c->leader != 0 ? k : k % requests), batch);
    }
    rig_run(c->r, 8000);
}

/* Every record is written once at each node. */
static void cost_fill(struct cost *c)
{
    unsigned count = 0;
    uint64_t each = cost_is(c, "counter") ? (uint64_t)c->keys * COST_NODES : c->keys;
    unsigned long batch = cost_is(c, "put") ? 1 : COST_FILL;
    while (c->next < each) {
        cost_round(c, cost_is(c, "put") ? 8 : 1, batch);
        unsigned failed = cost_answers(c->r, &count);
        ASSERT(failed == 0);
    }
    rig_run(c->r, 2000000);
}

static uint64_t cost_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct cost c;
    unsigned failed = 0;
    unsigned count = 0;
    if (argc != 6) {
        (void)fprintf(stderr, "usage: %s counter|set|put BATCH REQUESTS ROUNDS KEYS\n", argv[0]);
        return 2;
    }
    c.op = argv[1];
    c.batch = strtoul(argv[2], NULL, 10);
    unsigned long requests = strtoul(argv[3], NULL, 10);
    unsigned long rounds = strtoul(argv[4], NULL, 10);
    c.keys = strtoul(argv[5], NULL, 10);
    ASSERT(requests > 0 && requests <= COST_SESSIONS / COST_NODES && c.keys > 0);
    c.r = rig_new(COST_NODES);
    ASSERT(rig_leader(c.r, 0) != 0 && rig_leader(c.r, 1) != 0);
    rig_run(c.r, 3000000);
    c.leader = cost_is(&c, "put") ? rig_leader(c.r, 1) : 0;
    cost_open(&c, NUM_MAX(requests, 8ul) * (c.leader != 0 ? COST_NODES : 1));
    (void)cost_answers(c.r, &count);
    cost_fill(&c);
    uint64_t from_ns = cost_now_ns();
    count = 0;
#ifdef COST_COUNTS
    CALLGRIND_START_INSTRUMENTATION;
#endif
    for (unsigned long i = 0; i < rounds; i++) {
        cost_round(&c, requests, c.batch);
#ifdef COST_COUNTS
        CALLGRIND_TOGGLE_COLLECT;
#endif
        failed += cost_answers(c.r, &count);
#ifdef COST_COUNTS
        CALLGRIND_TOGGLE_COLLECT;
#endif
    }
    rig_run(c.r, 200000);
#ifdef COST_COUNTS
    CALLGRIND_STOP_INSTRUMENTATION;
#endif
    uint64_t took_ns = cost_now_ns() - from_ns;
    double ops = (double)count * (double)(cost_is(&c, "put") ? 1 : c.batch);
    (void)printf("operations %.0f failed %u cpu_us_each %.2f\n", ops, failed,
                 (double)took_ns / 1000 / ops);
    rig_free(c.r);
    return failed > 0;
}
