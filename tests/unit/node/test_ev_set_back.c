/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cluster whose disks all go back to an older copy, and what clients hold of the time since that
 * was undone with it (scenario C40).
 */
#include "ev_client.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODES 3u
#define SECOND_US UINT64_C(1000000)
#define WALL_US (UINT64_C(1800000000) * SECOND_US)

static struct rig_dir dirs[NODES];

static void wait_actors(void)
{
    struct crdt_actor actor;
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned k = 0; k < 2000 && !node_ev_actor(r->nodes[i].node, &actor); k++) {
            rig_run(r, 10000);
        }
        ck_assert_msg(node_ev_actor(r->nodes[i].node, &actor), "node %u is no actor", i + 1);
    }
}

/* Time passes by the clocks that nodes write down. */
static void clocks_on(uint64_t us)
{
    for (unsigned i = 0; i < NODES; i++) {
        r->nodes[i].ahead_us += us;
    }
}

static void start_all(void)
{
    r->salt++;
    for (unsigned i = 1; i <= NODES; i++) {
        clocks_on(SECOND_US);
        rig_start(r, i);
    }
    wait_actors();
}

static void stop_all(void)
{
    for (unsigned i = 1; i <= NODES; i++) {
        rig_stop(r, i);
    }
}

static void crash_all(void)
{
    stop_all();
    start_all();
}

static void begin_at(uint64_t wall_us)
{
    r = rig_make(NODES);
    clocks_on(wall_us);
    start_all();
    rig_run(r, 3 * SECOND_US);
}

static void copy_all(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        rig_dir_take(r, i + 1, &dirs[i]);
    }
}

static void set_back(void)
{
    stop_all();
    for (unsigned i = 0; i < NODES; i++) {
        rig_dir_swap(r, i + 1, &dirs[i]);
        rig_dir_free(&dirs[i]);
    }
    start_all();
}

static void leave_all(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct node_event ev = {
            .kind = NODE_EV_LEAVE, .now_us = r->now, .wall_us = r->now + r->nodes[i].ahead_us};
        r->nodes[i].left = false;
        node_step(r->nodes[i].node, &ev);
    }
    for (unsigned k = 0; k < 500; k++) {
        rig_run(r, 10000);
    }
    for (unsigned i = 0; i < NODES; i++) {
        ck_assert(r->nodes[i].left);
    }
    stop_all();
}

static uint64_t epoch_of(unsigned i)
{
    struct crdt_actor actor = {0};
    ck_assert(node_ev_actor(r->nodes[i - 1].node, &actor));
    return actor.epoch;
}

static struct top one_more(void)
{
    return ADD("c", WIRE_CRDT_PN_COUNTER, 1);
}

static void converge_to(int64_t value)
{
    for (unsigned k = 0; k < 1000; k++) {
        bool all = true;
        for (unsigned i = 1; i <= NODES; i++) {
            all = all && counter(i, "c", WIRE_CRDT_PN_COUNTER) == value;
        }
        if (all) {
            return;
        }
        rig_run(r, 20000);
    }
    ck_abort_msg("not all nodes come to %lld", (long long)value);
}

/* Each node adds one under a token. times: at how many starts. */
static void write_with(struct topts *t, unsigned times)
{
    for (unsigned k = 0; k < times; k++) {
        for (unsigned i = 1; i <= NODES; i++) {
            const struct top op = one_more();
            ck_assert_int_eq(update(i, t, &op, 1), 0);
        }
        if (k + 1 < times) {
            crash_all();
        }
    }
}

START_TEST(a_token_from_before_a_cluster_was_set_back_is_refused_at_once)
{
    struct buf token;
    struct topts t = {.token = &token};
    uint64_t undone[NODES + 1];
    begin_at(WALL_US);
    ck_assert_int_eq(update_one(1, one_more()), 0);
    converge_to(1);
    copy_all();
    crash_all();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    write_with(&t, 2);
    for (unsigned i = 1; i <= NODES; i++) {
        undone[i] = epoch_of(i);
    }
    clocks_on(SECOND_US);
    set_back();
    converge_to(1);
    crash_all(); /* as often as before: now such epochs would be granted again */
    crash_all();
    for (unsigned i = 1; i <= NODES; i++) {
        struct wire_node result;
        struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
        const struct top op = one_more();
        uint64_t before = r->now;
        ck_assert_uint_gt(epoch_of(i), undone[i]);
        ck_assert_int_eq(update_one(i, one_more()),
                         0); /* the dots of then have no second meaning */
        ck_assert_int_eq(read_with(i, &t, what, NULL, &result), ERR_INVALID);
        ck_assert_int_eq(update(i, &t, &op, 1), ERR_INVALID);
        ck_assert_uint_le(r->now - before, 500000);
    }
    converge_to(4);
    buf_release(&token);
    rig_free(r);
}
END_TEST

/* value: to put, or NULL to get. */
static int kv(unsigned node, struct buf *token, const char *value)
{
    struct topts t = {.token = token};
    struct wire_node result;
    struct buf out;
    request(&out, value != NULL ? "kv.put" : "kv.get", value != NULL ? 3 : 2);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_text(&out, "strong");
    if (value != NULL) {
        (void)wire_pack_text(&out, value);
    }
    pack_options(&out, &t);
    return answer(send(node, &out), &t, &result);
}

/* The index that a token has of a group is a number like any other. Until the log has come so far
 * nothing is answered, for it would be older. */
START_TEST(what_it_has_of_strong_keys_is_behind_until_the_log_has_come_so_far)
{
    struct buf token;
    begin_at(WALL_US);
    copy_all();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(kv(1, &token, "undone"), 0);
    }
    set_back();
    uint64_t before = r->now;
    ck_assert_int_eq(kv(2, &token, NULL), ERR_BEHIND);
    ck_assert_uint_le(r->now - before, 100000);
    struct buf fresh;
    buf_init(&fresh, &r->heap, WIRE_TOKEN_BYTES_MAX);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(kv(2, &fresh, "new"), 0);
    }
    ck_assert_int_eq(kv(2, &token, NULL), 0); /* nothing tells it from one of this history */
    buf_release(&fresh);
    buf_release(&token);
    rig_free(r);
}
END_TEST

/* What a token has of epochs that were retired is a range of them, which ends where an actor began
 * that group 0 knows nothing of. */
START_TEST(so_is_a_token_of_epochs_that_were_retired_before_the_cluster_was_set_back)
{
    struct buf token;
    struct topts t = {.token = &token};
    struct wire_token told;
    struct wire_node result;
    struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    unsigned folds = 0;
    begin_at(WALL_US);
    ck_assert_int_eq(update_one(1, one_more()), 0);
    converge_to(1);
    copy_all();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    crash_all();
    rig_run(r, 20000000);
    ck_assert_int_eq(read_with(2, &t, what, NULL, &result), 0);
    wire_token_init(&told, &r->heap);
    ck_assert_int_eq(wire_token_decode(&told, buf_view(&token)), 0);
    for (uint32_t i = 0; i < told.ranges_count; i++) {
        folds += told.ranges[i].epoch == WIRE_TOKEN_FOLDED;
    }
    ck_assert_uint_gt(folds, 0);
    set_back();
    ck_assert_int_eq(read_with(2, &t, what, NULL, &result), ERR_INVALID);
    wire_token_release(&told);
    buf_release(&token);
    rig_free(r);
}
END_TEST

/* All were stopped in order and copied then. The copy is started twice: the first start may go on
 * with the epoch, the second may not. */
START_TEST(the_copy_of_a_cluster_stopped_in_order_goes_on_once)
{
    uint64_t before[NODES + 1];
    begin_at(WALL_US);
    for (unsigned i = 1; i <= NODES; i++) {
        before[i] = epoch_of(i);
        ck_assert_int_eq(update_one(i, one_more()), 0);
    }
    converge_to(3);
    leave_all();
    copy_all();
    clocks_on(60 * SECOND_US);
    start_all();
    for (unsigned i = 1; i <= NODES; i++) {
        ck_assert_uint_eq(epoch_of(i), before[i]);
        ck_assert_int_eq(update_one(i, one_more()), 0);
    }
    clocks_on(NODE_EV_GOES_ON_US);
    set_back();
    for (unsigned i = 1; i <= NODES; i++) {
        ck_assert_uint_gt(epoch_of(i), before[i]);
        ck_assert_int_eq(update_one(i, one_more()), 0);
    }
    converge_to(6);
    rig_free(r);
}
END_TEST

/* A clock that is far wrong takes no numbers from those who come later. */
START_TEST(no_clock_uses_epochs_up)
{
    static const uint64_t wild_s[] = {0, 1, 1767225600, UINT64_C(1767225600) + (1u << 31),
                                      UINT64_MAX / SECOND_US - 100};
    for (size_t k = 0; k < sizeof wild_s / sizeof wild_s[0]; k++) {
        begin_at(wild_s[k] * SECOND_US);
        for (unsigned i = 1; i <= NODES; i++) {
            ck_assert_uint_lt(epoch_of(i), 16 * NODE_EV_BLOCK);
        }
        rig_free(r);
    }
    begin_at(WALL_US);
    uint64_t epoch = epoch_of(2);
    clocks_on(-(3600 * SECOND_US)); /* it was an hour ahead */
    crash_all();
    ck_assert_uint_eq(epoch_of(2), epoch + NODE_EV_BLOCK);
    rig_free(r);
}
END_TEST

struct granted {
    int code;
    bool ended;
};

static void grant_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct granted *g = ctx;
    (void)n;
    (void)reply;
    g->code = code;
    g->ended = true;
}

/* Node 1 asks in the name of the node's start. timed false: as the former format does. */
static int grant(unsigned node, uint64_t boot, uint64_t nonce, uint64_t wall_s, bool timed)
{
    uint8_t body[NODE_EV_EPOCHS_BYTES] = {0};
    struct granted g = {0};
    num_put_u32(body, node);
    num_put_u64(body + 4, boot);
    num_put_u64(body + 12, nonce);
    num_put_u64(body + 36, wall_s);
    const struct node_cmd cmd = {.op = NODE_OP_EPOCHS,
                                 .body = bytes_of(body, timed ? sizeof body : sizeof body - 16)};
    node_propose(r->nodes[0].node, 0, &cmd, r->now + 10 * SECOND_US, &g, grant_done);
    for (unsigned k = 0; k < 1000 && !g.ended; k++) {
        rig_run(r, 10000);
    }
    rig_run(r, 200000);
    return g.ended ? g.code : 1;
}

static bool granted(uint64_t epoch)
{
    const struct crdt_actor actor = {.node = 2, .epoch = epoch};
    return node_ev_granted(r->nodes[0].node, actor);
}

static const struct node_control_peer *peer_2(void)
{
    return node_control_peer_of(r->nodes[0].node, 2);
}

START_TEST(blocks_are_known_one_by_one_and_older_ones_as_a_whole)
{
    const uint64_t zero_s = 1767225600;
    begin_at(WALL_US);
    uint64_t boot = r->nodes[1].boot;
    uint64_t nonce = peer_2()->nonce;
    uint64_t first = epoch_of(2);
    uint64_t wall_s = (first - 1) / NODE_EV_BLOCK + zero_s;
    ck_assert(!granted(first - 1) && granted(first) && granted(first + NODE_EV_BLOCK - 1));
    ck_assert(!granted(first + NODE_EV_BLOCK));
    for (unsigned k = 1; k <= NODE_EV_BLOCKS_KEPT; k++) {
        ck_assert_int_eq(grant(2, boot, nonce, wall_s + 2 * k, true), 0);
        ck_assert(granted(first + 2u * NODE_EV_BLOCK * k));
        ck_assert(granted(first + 2u * NODE_EV_BLOCK * k + NODE_EV_BLOCK - 1));
        ck_assert(!granted(first + 2u * NODE_EV_BLOCK * k - 1));
        ck_assert(!granted(first + 2u * NODE_EV_BLOCK * k + NODE_EV_BLOCK));
    }
    ck_assert_uint_eq(peer_2()->blocks_count, NODE_EV_BLOCKS_KEPT);
    ck_assert(granted(first - 1) && granted(first + NODE_EV_BLOCK)); /* before the oldest */
    ck_assert(!granted(first + 3 * NODE_EV_BLOCK));
    ck_assert_int_eq(grant(2, boot, nonce, wall_s, true), 0); /* a clock that went back */
    ck_assert(granted(first + (2u * NODE_EV_BLOCKS_KEPT + 1) * NODE_EV_BLOCK));
    ck_assert_int_eq(grant(2, boot + 1, nonce, wall_s, true), ERR_FENCED);
    rig_free(r);
}
END_TEST

/* Scenario of an upgrade: the log of the version before says what it said then, and its record is
 * read. */
START_TEST(grants_of_the_former_format_are_what_they_were)
{
    begin_at(0);
    uint64_t boot = r->nodes[1].boot;
    uint64_t nonce = peer_2()->nonce;
    uint8_t old[24];
    num_put_u64(old, 1 + 3 * NODE_EV_BLOCK);
    num_put_u64(old + 8, 1);
    num_put_u64(old + 16, 2);
    node_ev_epochs_note(r->nodes[0].node, 2, bytes_of(old, sizeof old));
    ck_assert_uint_eq(peer_2()->epochs_next, 1 + 3 * NODE_EV_BLOCK);
    ck_assert_uint_eq(peer_2()->blocks_count, 0);
    ck_assert(granted(1) && granted(3 * NODE_EV_BLOCK) && !granted(3 * NODE_EV_BLOCK + 1));
    uint64_t next = epoch_of(2) + NODE_EV_BLOCK;
    ck_assert_int_eq(grant(2, boot, nonce, 0, false), 0);
    ck_assert_int_eq(grant(2, boot, nonce, 0, false), 0);
    ck_assert_int_eq(grant(2, boot, nonce, 0, false), 0);
    ck_assert_uint_eq(peer_2()->epochs_next, next + 3 * NODE_EV_BLOCK);
    rig_free(r);
}
END_TEST

static bool session_lives(unsigned i, uint64_t session, uint64_t sequence)
{
    struct topts t = {.session = session, .sequence = sequence};
    const struct top op = one_more();
    int code = update(i, &t, &op, 1);
    ck_assert_msg(code == 0 || code == ERR_SESSION_EXPIRED, "code %d seq %d", code, (int)sequence);
    return code == 0;
}

/* Its number has room for an epoch that follows the clock, and none is given twice. */
START_TEST(a_session_is_of_its_epoch)
{
    uint64_t ids[8];
    begin_at(WALL_US);
    for (unsigned i = 0; i < 8; i++) {
        ids[i] = open_own(1);
        ck_assert((ids[i] & NODE_EV_SESSION_FLAG) != 0);
        ck_assert_uint_eq((ids[i] & ~NODE_EV_SESSION_FLAG) >> NODE_EV_SESSION_NTH_BITS,
                          epoch_of(1));
        for (unsigned k = 0; k < i; k++) {
            ck_assert_uint_ne(ids[i], ids[k]);
        }
    }
    ck_assert(session_lives(1, ids[7], 1));
    rig_stop(r, 1);
    clocks_on(SECOND_US);
    rig_start(r, 1);
    wait_actors();
    ck_assert_uint_ne(open_own(1), ids[0]);
    ck_assert(session_lives(1, ids[7], 2));
    node_ev_doubt(r->nodes[0].node, "test");
    rig_run(r, 1000000);
    ck_assert(!session_lives(1, ids[7], 3));
    ck_assert(session_lives(1, open_own(1), 1));
    rig_free(r);
}
END_TEST

/* A session that goes on after an orderly end has its number to itself. */
START_TEST(an_orderly_end_gives_no_number_of_a_session_twice)
{
    begin_at(WALL_US);
    uint64_t session = open_own(1);
    ck_assert(session_lives(1, session, 1));
    leave_all();
    start_all();
    wait_actors();
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_uint_ne(open_own(1), session);
    }
    ck_assert(session_lives(1, session, 2));
    rig_free(r);
}
END_TEST

/* Asked of all nodes, the token of an undone time is refused: also when what it names lies below
 * what they have folded since. */
START_TEST(a_token_of_what_was_undone_is_refused_also_after_epochs_were_retired)
{
    struct buf token;
    struct topts t = {.token = &token};
    struct wire_node result;
    const struct top op = one_more();
    const struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    begin_at(WALL_US);
    ck_assert_int_eq(update_one(1, op), 0);
    converge_to(1);
    copy_all();
    crash_all();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    write_with(&t, 2);
    clocks_on(3600 * SECOND_US);
    set_back();
    converge_to(1);
    for (unsigned i = 1; i <= NODES; i++) {
        ck_assert_int_eq(update_one(i, op), 0);
    }
    crash_all();
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 1; i <= NODES; i++) {
            ck_assert_int_eq(read_with(i, &t, what, NULL, &result), ERR_INVALID);
            ck_assert_int_eq(update(i, &t, &op, 1), ERR_INVALID);
        }
        rig_run(r, 30 * SECOND_US);
    }
    ck_assert_uint_gt(peer_2()->retired.size, 0);
    buf_release(&token);
    rig_free(r);
}
END_TEST

/* A copy of a running cluster: what was written after it has the epochs that it has, and is behind
 * until they are retired. */
START_TEST(a_token_of_the_epochs_of_the_copy_is_behind)
{
    struct buf token;
    struct topts t = {.token = &token};
    struct wire_node result;
    const struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    begin_at(WALL_US);
    ck_assert_int_eq(update_one(1, one_more()), 0);
    converge_to(1);
    copy_all();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    write_with(&t, 1);
    clocks_on(3600 * SECOND_US);
    set_back();
    converge_to(1);
    for (unsigned i = 1; i <= NODES; i++) {
        ck_assert_int_eq(read_with(i, &t, what, NULL, &result), ERR_BEHIND);
    }
    buf_release(&token);
    rig_free(r);
}
END_TEST

/* Group 0 is on node 1 alone, and goes back to before a start of node 2 whose clock was a day
 * ahead: node 2's epochs go on from there. */
START_TEST(a_node_goes_on_from_what_group_0_forgot)
{
    struct crdt_actor before;
    struct crdt_actor actor;
    const uint64_t day_us = 86400 * SECOND_US;
    r = rig_make(2);
    for (unsigned i = 0; i < 2; i++) {
        struct wire_identity *id = &r->nodes[i].identity;
        for (unsigned g = 0; g < id->groups_count; g++) {
            id->groups[g].voters_count = 1;
            id->groups[g].voters[0] = 1;
        }
    }
    clocks_on(WALL_US);
    rig_start(r, 1);
    rig_start(r, 2);
    rig_run(r, 5 * SECOND_US);
    ck_assert(node_ev_actor(r->nodes[1].node, &before));
    rig_dir_take(r, 1, &dirs[0]);
    rig_stop(r, 2);
    r->nodes[1].ahead_us += day_us;
    rig_start(r, 2);
    rig_run(r, 5 * SECOND_US);
    ck_assert(node_ev_actor(r->nodes[1].node, &before));
    rig_stop(r, 2);
    r->nodes[1].ahead_us -= day_us;
    rig_stop(r, 1);
    rig_dir_swap(r, 1, &dirs[0]);
    rig_dir_free(&dirs[0]);
    r->salt++;
    rig_start(r, 1);
    rig_run(r, 5 * SECOND_US);
    rig_start(r, 2);
    rig_run(r, 10 * SECOND_US);
    ck_assert(node_ev_actor(r->nodes[1].node, &actor));
    ck_assert_uint_gt(actor.epoch, before.epoch);
    rig_free(r);
}
END_TEST

/* Each dot, and each session of the own group, has one name for ever: what a client remembers of a
 * time that was undone is nobody else's. */
START_TEST(a_session_from_before_a_cluster_was_set_back_has_ended)
{
    begin_at(WALL_US);
    copy_all();
    crash_all();
    uint64_t session = open_own(1);
    ck_assert(session_lives(1, session, 1));
    set_back();
    wait_actors();
    for (unsigned i = 0; i < 40; i++) { /* in the start that stands for the undone one */
        ck_assert_uint_ne(open_own(1), session);
    }
    ck_assert(!session_lives(1, session, 2));
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_set_back", a_token_from_before_a_cluster_was_set_back_is_refused_at_once,
          what_it_has_of_strong_keys_is_behind_until_the_log_has_come_so_far,
          so_is_a_token_of_epochs_that_were_retired_before_the_cluster_was_set_back,
          the_copy_of_a_cluster_stopped_in_order_goes_on_once, no_clock_uses_epochs_up,
          blocks_are_known_one_by_one_and_older_ones_as_a_whole,
          grants_of_the_former_format_are_what_they_were, a_session_is_of_its_epoch,
          a_session_from_before_a_cluster_was_set_back_has_ended,
          an_orderly_end_gives_no_number_of_a_session_twice,
          a_token_of_what_was_undone_is_refused_also_after_epochs_were_retired,
          a_token_of_the_epochs_of_the_copy_is_behind, a_node_goes_on_from_what_group_0_forgot)
