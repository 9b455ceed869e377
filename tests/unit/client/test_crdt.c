/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replicated data types at the client: where a write stays, what a token carries, what is read.
 */
#include "../unit.h"
#include "fake.h"

#include "base/err.h"
#include "wire/once.h"
#include "wire/token.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    unsigned count;
    unsigned node[64];
    uint64_t session[64];
    uint64_t sequence[64];
    bool had_token[64];
    uint64_t index[64]; /* of group 1, in the token */
    uint64_t budget_ms;
    uint32_t copies;
    int code; /* what refuses() answers */
};

static struct fake fake;
static struct seen seen;

static void note(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_options o;
    struct wire_token t;
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(wire_options_of(m, &o), 0);
    ck_assert_uint_lt(seen.count, 64);
    wire_token_init(&t, &heap);
    ck_assert_int_eq(wire_token_decode(&t, o.token), 0);
    seen.node[seen.count] = conn->node;
    seen.session[seen.count] = o.session_id;
    seen.sequence[seen.count] = o.session_seq;
    seen.had_token[seen.count] = o.has_token;
    seen.index[seen.count] = wire_token_index(&t, 1);
    seen.budget_ms = o.has_budget ? o.budget_ms : 0;
    seen.copies = o.copies;
    seen.count++;
    wire_token_release(&t);
}

/* The two pairs that every answer ends with. */
static void pack_causal(struct buf *out, uint64_t index)
{
    struct alloc heap = alloc_heap();
    struct wire_token t;
    struct buf raw;
    wire_token_init(&t, &heap);
    buf_init(&raw, &heap, 4096);
    ck_assert_int_eq(wire_token_add_group(&t, 1, index), 0);
    ck_assert_int_eq(wire_token_encode(&t, &raw), 0);
    (void)wire_pack_text(out, WIRE_FIELD_CONSISTENCY);
    (void)wire_pack_text(out, WIRE_CONSISTENCY_SESSION);
    (void)wire_pack_text(out, WIRE_FIELD_TOKEN);
    (void)wire_pack_bin(out, buf_view(&raw));
    buf_release(&raw);
    wire_token_release(&t);
}

static void say_written(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_COPIES);
    (void)wire_pack_u64(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_CHANGED);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_bool(out, true);
    pack_causal(out, 10 * seen.count);
    fake_end(conn, out);
}

static void begin(unsigned nodes, fake_fn *serve)
{
    memset(&seen, 0, sizeof(seen));
    fake_open(&fake, nodes, serve);
}

static int add_with(struct hf_answer *a, const struct hf_crdt *with)
{
    struct hf_crdt_op op = {.name = hf_text("visits"), .verb = HF_CRDT_ADD, .amount = 1};
    struct hf_crdt crdt = *with;
    hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
    crdt.ops = &op;
    crdt.ops_count = 1;
    memset(a, 0, sizeof(*a));
    ck_assert_int_eq(hf_crdt_update(fake.client, &crdt, a, hf_answer_done), 0);
    return fake_wait(&fake, a);
}

static int add(struct hf_answer *a)
{
    return add_with(a, &(struct hf_crdt){.copies = 3, .budget_ms = 70});
}

static void drops_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    if (seen.count == 1) {
        fake_drop(conn); /* it may have been applied */
    } else {
        say_written(conn, m);
    }
}

/* scenario C28 */
START_TEST(a_lost_increment_is_repeated_at_its_node_under_its_sequence)
{
    struct hf_answer a;
    begin(3, drops_first);
    ck_assert_int_eq(add(&a), 0);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.node[0], seen.node[1]);
    ck_assert_uint_ne(seen.session[0], 0);
    ck_assert_uint_eq(seen.session[0], seen.session[1]);
    ck_assert_uint_eq(seen.sequence[0], seen.sequence[1]);
    ck_assert_uint_eq(seen.copies, 3);
    ck_assert_uint_eq(seen.budget_ms, 70);
    ck_assert_uint_eq(a.result.copies, 2);
    ck_assert_uint_eq(a.result.count, 1);
    ck_assert(a.result.changed[0]);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void dies_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    note(conn, m);
    fake_stop_node(f, conn->node);
}

START_TEST(an_increment_whose_node_is_gone_is_unknown_and_counted_nowhere_else)
{
    struct hf_answer a;
    begin(3, dies_first);
    int code = add_with(&a, &(struct hf_crdt){.timeout_ms = 300});
    ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
    ck_assert_uint_eq(seen.count, 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void writes(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    say_written(conn, m);
}

static void leaves_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    if (seen.node[seen.count - 1] != seen.node[0]) {
        say_written(conn, m);
    }
}

START_TEST(a_node_that_was_silent_is_asked_no_more_while_others_answer)
{
    struct hf_answer a;
    begin(3, leaves_first);
    int code = add_with(&a, &(struct hf_crdt){.timeout_ms = 100});
    ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
    hf_answer_release(&a);
    for (unsigned i = 1; i < 20; i++) {
        ck_assert_int_eq(add(&a), 0);
        hf_answer_release(&a);
        ck_assert_uint_ne(seen.node[i], seen.node[0]);
    }
    fake_close(&fake);
}
END_TEST

START_TEST(an_increment_that_was_not_sent_goes_to_another_node)
{
    for (unsigned left = 0; left < 3; left++) {
        struct hf_answer a;
        begin(3, writes);
        fake_stop_node(&fake, (left + 1) % 3);
        fake_stop_node(&fake, (left + 2) % 3);
        ck_assert_int_eq(add(&a), 0);
        ck_assert_uint_eq(seen.count, 1);
        ck_assert_uint_eq(seen.node[0], left);
        hf_answer_release(&a);
        fake_close(&fake);
    }
}
END_TEST

/* Nothing has been sent to them that may have been done: they are not waited for. */
START_TEST(a_write_finds_the_one_node_that_answers_within_a_second)
{
    for (unsigned left = 0; left < 3; left++) {
        struct hf_answer a;
        begin(3, writes);
        fake.paused[(left + 1) % 3] = true;
        fake.paused[(left + 2) % 3] = true;
        int code = add_with(&a, &(struct hf_crdt){.timeout_ms = 1900});
        ck_assert_int_eq(code, 0);
        ck_assert_uint_eq(seen.count, 1);
        ck_assert_uint_eq(seen.node[0], left);
        hf_answer_release(&a);
        fake_close(&fake);
    }
}
END_TEST

static int read_with(struct hf_answer *a, uint64_t timeout_ms, struct hf_causal *causal)
{
    struct hf_crdt crdt = {.name = hf_text("visits"), .timeout_ms = timeout_ms, .causal = causal};
    hf_crdt_path_init(&crdt.path, HF_CRDT_PN_COUNTER);
    memset(a, 0, sizeof(*a));
    ck_assert_int_eq(hf_crdt_read(fake.client, &crdt, a, hf_answer_done), 0);
    return fake_wait(&fake, a);
}

static void second_refuses(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    if (seen.count > 1) { /* the first falls silent */
        fake_say_error(conn, m, ERR_BAD_NAME);
    }
}

START_TEST(a_read_goes_on_at_another_node_within_a_second)
{
    struct hf_answer a;
    begin(3, second_refuses);
    ck_assert_int_eq(read_with(&a, 1900, NULL), ERR_BAD_NAME);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_ne(seen.node[0], seen.node[1]);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

/* A port at which connections are neither made nor refused: its queue is full.
 * queued: sockets that fill it. */
static uint16_t deaf_port(int *listener, int queued[4])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t bytes = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(*listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(*listener, 0), 0);
    ck_assert_int_eq(getsockname(*listener, (struct sockaddr *)&at, &bytes), 0);
    for (unsigned i = 0; i < 4; i++) {
        queued[i] = socket(AF_INET, SOCK_STREAM, 0);
        int flags = fcntl(queued[i], F_GETFL);
        ck_assert_int_eq(fcntl(queued[i], F_SETFL, flags | O_NONBLOCK), 0);
        (void)connect(queued[i], (const struct sockaddr *)&at, sizeof(at));
    }
    return ntohs(at.sin_port);
}

START_TEST(nodes_to_which_no_connection_is_made_are_not_waited_for_in_turn)
{
    struct hf_answer a;
    int listener[3];
    int queued[3][4];
    char endpoints[sizeof(fake.endpoints)];
    size_t used = 0;
    begin(1, writes);
    for (unsigned i = 0; i < 3; i++) {
        uint16_t port = deaf_port(&listener[i], queued[i]);
        used += (size_t)snprintf(endpoints + used, sizeof(endpoints) - used, "127.0.0.1:%u,",
                                 (unsigned)port);
    }
    (void)snprintf(endpoints + used, sizeof(endpoints) - used, "%.60s", fake.endpoints);
    memcpy(fake.endpoints, endpoints, sizeof(endpoints));
    for (uint64_t seed = 1; seed <= 6; seed++) { /* whichever is tried first */
        fake_client(&fake, (struct hf_client_options){.timeout_ms = 1300, .seed = seed});
        ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.copies = 1}), 0);
        hf_answer_release(&a);
    }
    ck_assert_uint_eq(seen.count, 6);
    for (unsigned i = 0; i < 12; i++) {
        (void)close(queued[i / 4][i % 4]);
        (void)close(listener[i / 4]);
        listener[i / 4] = -1;
    }
    fake_close(&fake);
}
END_TEST

/* Nodes from first on are deaf from now on, and the client learns of all but the first one from
 * that one, so that no connection to them is begun before it is needed. */
struct deafness {
    unsigned first;
    int listener[FAKE_NODES_MAX];
    int queued[FAKE_NODES_MAX][4];
};

static void deafen(struct deafness *d, unsigned first)
{
    d->first = first;
    for (unsigned i = first; i < fake.nodes; i++) {
        fake.ports[i] = deaf_port(&d->listener[i], d->queued[i]);
    }
    fake.endpoints[strcspn(fake.endpoints, ",")] = '\0';
}

static void deafness_end(struct deafness *d)
{
    for (unsigned i = d->first; i < fake.nodes; i++) {
        (void)close(d->listener[i]);
        for (unsigned j = 0; j < 4; j++) {
            (void)close(d->queued[i][j]);
        }
    }
    fake_close(&fake);
}

static void first_stops(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    note(conn, m);
    if (conn->node == 0) {
        f->paused[0] = true;
    } else {
        say_written(conn, m);
    }
}

/* A partition of five nodes leaves two, and one of them stops. */
START_TEST(the_only_node_left_is_found_before_the_others_have_had_their_time_in_turn)
{
    struct hf_answer a;
    struct deafness d;
    begin(5, first_stops);
    deafen(&d, 2);
    for (uint64_t seed = 14; seed <= 21; seed++) { /* some try two deaf ones first, one three */
        fake.paused[0] = false;
        fake_client(&fake, (struct hf_client_options){.timeout_ms = 1000, .seed = seed});
        int code = add_with(&a, &(struct hf_crdt){.copies = 1, .timeout_ms = 200});
        ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
        hf_answer_release(&a);
        ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.copies = 1}), 0);
        hf_answer_release(&a);
    }
    deafness_end(&d);
}
END_TEST

static void is_behind(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    fake_say_error(conn, m, ERR_BEHIND);
}

/* Reads and writes of a session: told after the time of one answer, not when all time is over. */
START_TEST(the_only_node_left_is_behind_and_that_is_said)
{
    struct hf_answer a;
    struct deafness d;
    struct hf_causal *s = NULL;
    begin(5, is_behind);
    deafen(&d, 1);
    ck_assert_int_eq(hf_causal_new(&s), 0);
    for (unsigned i = 0; i < 4; i++) {
        fake_client(&fake, (struct hf_client_options){.timeout_ms = 20000, .seed = 7 + i});
        seen.count = 0;
        ck_assert_int_eq(i % 2 == 0 ? add_with(&a, &(struct hf_crdt){.causal = s})
                                    : read_with(&a, 20000, s),
                         ERR_BEHIND);
        ck_assert_ptr_null(strstr(a.result.text, "no answer in time")); /* not at its deadline */
        ck_assert_uint_eq(seen.count, 1);
        hf_answer_release(&a);
    }
    hf_causal_free(s);
    deafness_end(&d);
}
END_TEST

/* The other node takes connections and answers nothing: no session is opened there. */
START_TEST(a_node_is_behind_and_that_is_said_when_the_other_one_is_silent)
{
    struct hf_answer a;
    struct hf_causal *s = NULL;
    ck_assert_int_eq(hf_causal_new(&s), 0);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        begin(2, is_behind);
        fake.paused[1] = true;
        fake_client(&fake, (struct hf_client_options){.timeout_ms = 20000, .seed = seed});
        ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.causal = s}), ERR_BEHIND);
        ck_assert_ptr_null(strstr(a.result.text, "no answer in time"));
        ck_assert_uint_le(seen.count, 2);
        hf_answer_release(&a);
        fake_close(&fake);
    }
    hf_causal_free(s);
}
END_TEST

static void refuses(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    fake_say_error(conn, m, seen.code);
}

/* A network that is cut leaves connections open. The read of a session, for which a node may wait
 * itself, is with each of four silent ones in turn and yet with the fifth before its time is over.
 */
START_TEST(the_only_node_left_is_found_behind_open_connections)
{
    struct hf_answer a;
    struct hf_causal *s = NULL;
    ck_assert_int_eq(hf_causal_new(&s), 0);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        begin(5, refuses);
        seen.code = ERR_BAD_NAME;
        fake_client(&fake, (struct hf_client_options){.timeout_ms = 20000, .seed = seed});
        for (unsigned i = 0; i < 5; i++) {
            char endpoint[32];
            (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", fake.ports[i]);
            memset(&a, 0, sizeof(a));
            ck_assert_int_eq(hf_ask(fake.client, "status", endpoint, &a, hf_answer_done), 0);
            (void)fake_wait(&fake, &a);
            hf_answer_release(&a);
            fake.paused[i] = i != seed % 5;
        }
        ck_assert_int_eq(read_with(&a, 2950, s), ERR_BAD_NAME);
        hf_answer_release(&a);
        fake_close(&fake);
    }
    hf_causal_free(s);
}
END_TEST

START_TEST(what_one_node_has_no_rights_to_is_asked_of_each_other_once)
{
    static const int codes[] = {ERR_NO_RIGHTS, ERR_BEHIND};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct hf_answer a;
        begin(3, refuses);
        seen.code = codes[i];
        ck_assert_int_eq(add(&a), codes[i]);
        ck_assert_int_eq(hf_outcome_of(codes[i]), HF_RETRY);
        ck_assert_uint_eq(seen.count, 3);
        ck_assert_uint_ne(seen.node[0], seen.node[1]);
        ck_assert_uint_ne(seen.node[0], seen.node[2]);
        ck_assert_uint_ne(seen.node[1], seen.node[2]);
        hf_answer_release(&a);
        fake_close(&fake);
    }
}
END_TEST

static void only_third_owns(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_hint hint = {.name = WIRE_FIELD_LEADER, .number = 3};
    (void)f;
    note(conn, m);
    if (conn->node == 2) {
        say_written(conn, m);
    } else {
        fake_say_failure(conn, m, &(struct wire_failure){ERR_NOT_LEADER, NULL, &hint, 1});
    }
}

START_TEST(a_write_goes_to_the_owner_that_a_node_names)
{
    struct hf_answer a;
    begin(3, only_third_owns);
    ck_assert_int_eq(add(&a), 0);
    ck_assert_uint_le(seen.count, 2);
    ck_assert_uint_eq(seen.node[seen.count - 1], 2);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

/* scenario C39, at the client */
START_TEST(a_token_goes_from_an_answer_to_the_next_request_and_to_the_next_program)
{
    struct hf_causal *s = NULL;
    struct hf_causal *later = NULL;
    struct hf_answer a;
    begin(1, writes);
    ck_assert_int_eq(hf_causal_new(&s), 0);
    ck_assert_str_eq(hf_causal_text(s), "");
    const struct hf_crdt with = {.causal = s};
    ck_assert_int_eq(add_with(&a, &with), 0);
    ck_assert_str_eq(a.result.consistency, "session");
    hf_answer_release(&a);
    ck_assert_int_eq(add_with(&a, &with), 0);
    hf_answer_release(&a);
    ck_assert(seen.had_token[0] && seen.had_token[1]);
    ck_assert_uint_eq(seen.index[0], 0);
    ck_assert_uint_eq(seen.index[1], 10);
    ck_assert_int_eq(hf_causal_new(&later), 0);
    ck_assert_int_eq(hf_causal_join(later, hf_causal_text(s)), 0);
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.causal = later}), 0);
    ck_assert_uint_eq(seen.index[2], 20);
    hf_answer_release(&a);
    ck_assert_int_eq(hf_causal_join(later, "no token"), ERR_PROTOCOL);
    ck_assert_int_eq(hf_causal_join(later, "AAAAAAAAAAAAAAAA"), ERR_CORRUPT);
    hf_causal_free(s);
    hf_causal_free(later);
    fake_close(&fake);
}
END_TEST

static void pack_sibling(struct buf *out, const char *value, uint64_t counter)
{
    (void)wire_pack_array(out, 5);
    (void)wire_pack_bin(out, bytes_of_text(value));
    (void)wire_pack_u64(out, 2);
    (void)wire_pack_u64(out, 7);
    (void)wire_pack_u64(out, counter);
    (void)wire_pack_u64(out, 1000 + counter);
}

static void reads(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note(conn, m);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 6);
    (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, 2);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_TYPE);
    (void)wire_pack_u64(out, WIRE_CRDT_PN_COUNTER);
    (void)wire_pack_text(out, WIRE_FIELD_FOUND);
    (void)wire_pack_bool(out, true);
    (void)wire_pack_text(out, WIRE_FIELD_VALUE);
    (void)wire_pack_i64(out, -5);
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_TYPE);
    (void)wire_pack_u64(out, WIRE_CRDT_LWW);
    (void)wire_pack_text(out, WIRE_FIELD_FOUND);
    (void)wire_pack_bool(out, true);
    (void)wire_pack_text(out, WIRE_FIELD_VALUE);
    (void)wire_pack_bin(out, bytes_of_text("won"));
    (void)wire_pack_text(out, WIRE_FIELD_SIBLINGS);
    (void)wire_pack_array(out, 2);
    pack_sibling(out, "won", 9);
    pack_sibling(out, "lost", 8);
    (void)wire_pack_text(out, WIRE_FIELD_CLOCK);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_array(out, 4);
    for (unsigned i = 1; i <= 4; i++) {
        (void)wire_pack_u64(out, i);
    }
    (void)wire_pack_text(out, WIRE_FIELD_NODE);
    (void)wire_pack_u64(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_TIME_US);
    (void)wire_pack_u64(out, 77);
    pack_causal(out, 4);
    fake_end(conn, out);
}

/* scenario C33, at the client: both types of a name are shown */
START_TEST(values_siblings_and_clock_outlive_the_answer_in_which_they_came)
{
    struct hf_crdt crdt = {.name = hf_text("k")};
    struct hf_answer a = {.ended = false};
    begin(1, reads);
    hf_crdt_path_init(&crdt.path, HF_CRDT_ANY);
    ck_assert_int_eq(hf_crdt_read(fake.client, &crdt, &a, hf_answer_done), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), 0);
    fake_close(&fake); /* the message is gone */
    const struct hf_crdt_value *v = a.result.values;
    ck_assert_uint_eq(a.result.count, 2);
    ck_assert(a.result.found);
    ck_assert_uint_eq(v[0].type, HF_CRDT_PN_COUNTER);
    ck_assert_int_eq(v[0].kind, HF_CRDT_NUMBER);
    ck_assert_int_eq(v[0].number, -5);
    ck_assert_uint_eq(v[0].siblings_count, 0);
    ck_assert_uint_eq(v[1].type, HF_CRDT_LWW);
    ck_assert_int_eq(v[1].kind, HF_CRDT_BYTES);
    ck_assert_mem_eq(v[1].bytes.data, "won", 3);
    ck_assert_uint_eq(v[1].siblings_count, 2);
    ck_assert_uint_eq(v[1].siblings[1].value.size, 4);
    ck_assert_mem_eq(v[1].siblings[1].value.data, "lost", 4);
    ck_assert_uint_eq(v[1].siblings[1].node, 2);
    ck_assert_uint_eq(v[1].siblings[1].epoch, 7);
    ck_assert_uint_eq(v[1].siblings[1].counter, 8);
    ck_assert_uint_eq(v[1].siblings[1].time_us, 1008);
    ck_assert_uint_eq(a.result.clock_count, 1);
    ck_assert_uint_eq(a.result.clock[0].to, 4);
    ck_assert_uint_eq(a.result.node, 3);
    ck_assert_uint_eq(a.result.time_us, 77);
    ck_assert_str_eq(a.result.consistency, "session");
    hf_answer_release(&a);
}
END_TEST

/* A write with dots of two regions in its token, and a page of a map. */
static void writes_and_lists(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    uint8_t region = (uint8_t)(wire_slot_of(bytes_of_text("visits")) % WIRE_CRDT_REGIONS);
    struct alloc heap = alloc_heap();
    struct wire_token t;
    struct buf raw;
    struct buf *out = fake_begin(conn, m);
    bool update = bytes_equal(m->method, bytes_of_text(WIRE_METHOD_CRDT_UPDATE));
    (void)f;
    (void)wire_pack_map(out, update ? 5 : 3);
    (void)wire_pack_text(out, WIRE_FIELD_NODE);
    (void)wire_pack_u64(out, 3);
    (void)wire_pack_text(out, update ? WIRE_FIELD_CHANGED : WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, 1);
    if (!update) {
        (void)wire_pack_array(out, 4);
        (void)wire_pack_bin(out, bytes_of_text("field"));
        (void)wire_pack_u64(out, WIRE_CRDT_LWW);
        (void)wire_pack_bin(out, bytes_of_text("won"));
        (void)wire_pack_array(out, 2);
        pack_sibling(out, "won", 9);
        pack_sibling(out, "lost", 8);
        (void)wire_pack_text(out, WIRE_FIELD_TIME_US);
        (void)wire_pack_u64(out, 77);
        fake_end(conn, out);
        return;
    }
    (void)wire_pack_bool(out, true);
    (void)wire_pack_text(out, WIRE_FIELD_COPIES);
    (void)wire_pack_u64(out, 2);
    wire_token_init(&t, &heap);
    buf_init(&raw, &heap, 4096);
    for (uint8_t i = 0; i < 2; i++) {
        const struct wire_token_range range = {
            .region = (uint8_t)((region + i) % 64), .node = 3u + i, .epoch = 7, .from = 1, .to = 5};
        ck_assert_int_eq(wire_token_add_range(&t, &range), 0);
    }
    ck_assert_int_eq(wire_token_encode(&t, &raw), 0);
    (void)wire_pack_text(out, WIRE_FIELD_CONSISTENCY);
    (void)wire_pack_text(out, WIRE_CONSISTENCY_EVENTUAL);
    (void)wire_pack_text(out, WIRE_FIELD_TOKEN);
    (void)wire_pack_bin(out, buf_view(&raw));
    fake_end(conn, out);
    buf_release(&raw);
    wire_token_release(&t);
}

START_TEST(a_write_has_a_clock_of_its_key_if_that_is_wanted)
{
    struct hf_answer a;
    begin(1, writes_and_lists);
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.clock = true}), 0);
    ck_assert_uint_eq(a.result.node, 3);
    ck_assert_uint_eq(a.result.clock_count, 1);
    ck_assert_uint_eq(a.result.clock[0].node, 3);
    ck_assert_uint_eq(a.result.clock[0].epoch, 7);
    ck_assert_uint_eq(a.result.clock[0].to, 5);
    ck_assert_str_eq(a.result.consistency, "eventual");
    hf_answer_release(&a);
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.clock = false}), 0);
    ck_assert_uint_eq(a.result.clock_count, 0);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(fields_have_siblings_and_an_answer_that_names_no_consistency_has_the_least)
{
    struct hf_crdt crdt = {.name = hf_text("k")};
    struct hf_answer a = {.ended = false};
    begin(1, writes_and_lists);
    hf_crdt_path_init(&crdt.path, HF_CRDT_MAP);
    ck_assert_int_eq(hf_crdt_members(fake.client, &crdt, &a, hf_answer_done), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), 0);
    fake_close(&fake);
    ck_assert_uint_eq(a.result.count, 1);
    ck_assert_uint_eq(a.result.values[0].siblings_count, 2);
    ck_assert_mem_eq(a.result.values[0].siblings[1].value.data, "lost", 4);
    ck_assert_str_eq(a.result.consistency, "eventual");
    hf_answer_release(&a);
}
END_TEST

#define TOKEN_OF_2 "once.2.7.1000000.00000000000000ab"

static char token_seen[4][WIRE_ONCE_BYTES_MAX];

static void note_once(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_options o;
    ck_assert_int_eq(wire_options_of(m, &o), 0);
    ck_assert_uint_lt(seen.count, 4);
    (void)snprintf(token_seen[seen.count], WIRE_ONCE_BYTES_MAX, "%.*s", (int)o.once.size,
                   o.once.size == 0 ? "" : (const char *)o.once.data);
    note(conn, m);
}

static void drops_first_once(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note_once(conn, m);
    if (seen.count == 1) {
        fake_drop(conn);
    } else {
        say_written(conn, m);
    }
}

/* scenario C28 */
START_TEST(a_write_under_a_token_goes_to_the_node_it_names)
{
    struct hf_answer a;
    begin(3, drops_first_once);
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.once = TOKEN_OF_2}), 0);
    ck_assert_uint_eq(seen.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(seen.node[i], 1); /* from 0 */
        ck_assert_uint_eq(seen.session[i], 0);
        ck_assert_str_eq(token_seen[i], TOKEN_OF_2);
    }
    ck_assert(a.result.changed[0]);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void forgets(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    note_once(conn, m);
    fake_say_error(conn, m, ERR_FORGOTTEN);
}

START_TEST(a_write_whose_token_names_a_node_that_is_gone_or_has_forgotten_is_unknown)
{
    struct hf_answer a;
    begin(3, forgets);
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.once = TOKEN_OF_2}), ERR_FORGOTTEN);
    ck_assert_uint_eq(seen.count, 1);
    hf_answer_release(&a);
    fake_stop_node(&fake, seen.node[0]);
    int code = add_with(&a, &(struct hf_crdt){.once = TOKEN_OF_2, .timeout_ms = 300});
    ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
    ck_assert_uint_eq(seen.count, 1); /* nobody else was asked */
    hf_answer_release(&a);
    fake_close(&fake);
    begin(3, forgets);
    const char *stranger = "once.9.7.1000000.00000000000000ab";
    ck_assert_int_eq(add_with(&a, &(struct hf_crdt){.once = stranger}), ERR_FORGOTTEN);
    ck_assert_uint_eq(seen.count, 0);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

UNIT_MAIN("client_crdt", a_lost_increment_is_repeated_at_its_node_under_its_sequence,
          an_increment_whose_node_is_gone_is_unknown_and_counted_nowhere_else,
          a_node_that_was_silent_is_asked_no_more_while_others_answer,
          the_only_node_left_is_found_before_the_others_have_had_their_time_in_turn,
          the_only_node_left_is_behind_and_that_is_said,
          the_only_node_left_is_found_behind_open_connections,
          a_node_is_behind_and_that_is_said_when_the_other_one_is_silent,
          an_increment_that_was_not_sent_goes_to_another_node,
          a_write_finds_the_one_node_that_answers_within_a_second,
          a_read_goes_on_at_another_node_within_a_second,
          nodes_to_which_no_connection_is_made_are_not_waited_for_in_turn,
          what_one_node_has_no_rights_to_is_asked_of_each_other_once,
          a_write_goes_to_the_owner_that_a_node_names,
          a_token_goes_from_an_answer_to_the_next_request_and_to_the_next_program,
          values_siblings_and_clock_outlive_the_answer_in_which_they_came,
          a_write_has_a_clock_of_its_key_if_that_is_wanted,
          fields_have_siblings_and_an_answer_that_names_no_consistency_has_the_least,
          a_write_under_a_token_goes_to_the_node_it_names,
          a_write_whose_token_names_a_node_that_is_gone_or_has_forgotten_is_unknown)
