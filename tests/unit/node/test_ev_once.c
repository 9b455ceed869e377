/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writes under a token of the caller's count once, however often they are sent and by whomever, or
 * it is said that nobody knows (scenario C28).
 */
#include "ev_client.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"
#include "tests/sim/model_kv.h"

static const struct top one = ADD("hits", WIRE_CRDT_PN_COUNTER, 1);

struct given {
    char text[WIRE_ONCE_BYTES_MAX];
};

/* A token of the node. */
static struct given token_of(unsigned node)
{
    struct wire_node result;
    struct bytes text = {0};
    struct given g = {0};
    ck_assert_int_eq(rig_call(r, node, WIRE_METHOD_CRDT_ONCE, "", &result), 0);
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, "once"), WIRE_ONCE_BYTES_MAX, &text),
                     0);
    ck_assert_uint_eq(field(result, "node"), node);
    memcpy(g.text, text.data, text.size);
    return g;
}

static int add(unsigned node, const struct given *g, int64_t amount)
{
    const struct topts t = {.once = g->text};
    const struct top op = ADD("hits", WIRE_CRDT_PN_COUNTER, amount);
    return update(node, &t, &op, 1);
}

static int64_t hits(unsigned node)
{
    return counter(node, "hits", WIRE_CRDT_PN_COUNTER);
}

/* Runs until what the code is is final. */
static int add_patiently(unsigned node, const struct given *g)
{
    int code = ERR_UNAVAILABLE;
    for (unsigned i = 0; i < 200 && err_outcome_of(code) == ERR_OUTCOME_RETRY; i++) {
        code = add(node, g, 1);
        rig_run(r, 50000);
    }
    return code;
}

static void crash(unsigned node)
{
    rig_stop(r, node);
    r->salt++;
    rig_start(r, node);
}

START_TEST(a_repetition_by_whomever_gets_the_first_answer)
{
    struct wire_node result;
    struct buf first;
    struct buf second;
    begin(3);
    buf_init(&first, &r->heap, 4096);
    buf_init(&second, &r->heap, 4096);
    struct given g = token_of(2);
    struct topts t = {.once = g.text, .token = &first};
    ck_assert_int_eq(update(2, &t, &one, 1), 0);
    ck_assert_int_eq(update_one(2, one), 0); /* something else has happened since */
    rig_hang_up(r, 2);
    t.token = &second;
    ck_assert_int_eq(answer(ask_update(2, &t, &one, 1), &t, &result), 0);
    ck_assert(bytes_equal(buf_view(&first), buf_view(&second)));
    ck_assert_uint_eq(field(result, "node"), 2);
    ck_assert_int_eq(hits(2), 2);
    struct given other = token_of(2);
    ck_assert_str_ne(g.text, other.text);
    ck_assert_int_eq(add(2, &other, 1), 0);
    ck_assert_int_eq(hits(2), 3);
    buf_release(&first);
    buf_release(&second);
    end();
}
END_TEST

START_TEST(attempts_at_once_count_once)
{
    struct wire_node result;
    begin(3);
    struct given g = token_of(1);
    const struct topts t = {.once = g.text};
    uint32_t ids[4];
    for (unsigned i = 0; i < 4; i++) {
        ids[i] = ask_update(1, &t, &one, 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(answer(ids[i], &plain, &result), 0);
    }
    ck_assert_int_eq(hits(1), 1);
    end();
}
END_TEST

START_TEST(another_write_under_the_token_is_refused)
{
    begin(3);
    struct given g = token_of(1);
    const struct topts t = {.once = g.text};
    struct topts within = t;
    const struct top other = ADD("other", WIRE_CRDT_PN_COUNTER, 1);
    ck_assert_int_eq(add(1, &g, 1), 0);
    ck_assert_int_eq(add(1, &g, 2), ERR_CONFLICT);
    ck_assert_int_eq(update(1, &t, &other, 1), ERR_CONFLICT);
    ck_assert_int_eq(add(1, &g, 1), 0);
    ck_assert_int_eq(hits(1), 1);
    within.session = open_own(1);
    within.sequence = 1;
    ck_assert_int_eq(update(1, &within, &one, 1), ERR_INVALID);
    (void)snprintf(g.text, sizeof g.text, "once.1.1.01.0000000000000001");
    ck_assert_int_eq(add(1, &g, 1), ERR_INVALID);
    end();
}
END_TEST

/* What was done changes what can be done: the answer stays. */
START_TEST(a_repetition_that_would_now_be_refused_or_change_nothing_gets_its_first_answer)
{
    struct wire_node result;
    bool changed = false;
    begin(3);
    struct given g = token_of(1);
    struct given again = token_of(1);
    struct topts t = {.once = g.text};
    const struct top in = IN("set", WIRE_CRDT_AW_SET, "a");
    ck_assert_int_eq(update(1, &t, &in, 1), 0);
    ck_assert_int_eq(update_one(1, (struct top)OUT("set", WIRE_CRDT_AW_SET, "a")), 0);
    ck_assert_int_eq(answer(ask_update(1, &t, &in, 1), &plain, &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_at(wire_node_find(result, "changed"), 0), &changed),
                     0);
    ck_assert(changed && !has(1, "set", WIRE_CRDT_AW_SET, "a"));
    const struct top create = {
        .name = "stock", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_CREATE, .amount = 5};
    const struct top take = ADD("stock", WIRE_CRDT_BOUNDED, -5);
    ck_assert_int_eq(update_one(1, create), 0);
    t.once = again.text;
    ck_assert_int_eq(update(1, &t, &take, 1), 0);
    ck_assert_int_eq(update(1, &t, &take, 1), 0);
    ck_assert_int_eq(counter(1, "stock", WIRE_CRDT_BOUNDED), 0);
    end();
}
END_TEST

START_TEST(a_start_after_a_crash_knows_what_was_done_and_what_was_not)
{
    begin(3);
    struct given done = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    crash(2);
    ck_assert_int_eq(add_patiently(2, &done), 0);
    ck_assert_int_eq(hits(2), 1);
    ck_assert_int_eq(add_patiently(2, &open), 0);
    ck_assert_int_eq(add(2, &open, 1), 0);
    ck_assert_int_eq(hits(2), 2);
    end();
}
END_TEST

/* us: from the end to the start. returns: whether the epoch went on. */
static bool done_and_open_over_an_orderly_end(uint64_t us)
{
    struct crdt_actor before;
    struct crdt_actor after = {0};
    begin(3);
    for (unsigned i = 0; i < 3; i++) { /* an end at time 0 is of the former format */
        r->nodes[i].ahead_us += 1000000;
    }
    struct given done = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    ck_assert(node_ev_actor(r->nodes[1].node, &before));
    struct node_event ev = {
        .kind = NODE_EV_LEAVE, .now_us = r->now, .wall_us = r->now + r->nodes[1].ahead_us};
    r->nodes[1].left = false;
    node_step(r->nodes[1].node, &ev);
    for (unsigned k = 0; k < 500 && !r->nodes[1].left; k++) {
        rig_run(r, 10000);
    }
    ck_assert(r->nodes[1].left);
    r->nodes[1].ahead_us += us;
    crash(2);
    ck_assert_int_eq(add_patiently(2, &done), 0);
    ck_assert_int_eq(hits(2), 1);
    ck_assert_int_eq(add_patiently(2, &open), 0);
    ck_assert_int_eq(add(2, &open, 1), 0);
    ck_assert_int_eq(hits(2), 2);
    ck_assert(node_ev_actor(r->nodes[1].node, &after));
    end();
    return after.epoch == before.epoch;
}

START_TEST(so_does_one_after_an_orderly_end_be_it_long_ago)
{
    ck_assert(done_and_open_over_an_orderly_end(0));
    ck_assert(!done_and_open_over_an_orderly_end(NODE_EV_GOES_ON_US));
}
END_TEST

/* Nobody is there to say that nothing was lost; what is known is said all the same. */
START_TEST(a_start_alone_repeats_answers_and_does_nothing_that_may_have_been_done)
{
    begin(3);
    struct given done = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    rig_stop(r, 3);
    crash(2);
    rig_run(r, 3000000);
    ck_assert_int_eq(add(2, &done, 1), 0);
    ck_assert_int_eq(add(2, &open, 1), ERR_UNAVAILABLE);
    struct given now = token_of(2); /* of this start */
    ck_assert_int_eq(add(2, &now, 1), 0);
    rig_start(r, 3);
    ck_assert_int_eq(add_patiently(2, &open), 0);
    ck_assert_int_eq(hits(2), 3);
    end();
}
END_TEST

START_TEST(the_token_names_the_node_that_is_asked)
{
    struct wire_node hint;
    begin(3);
    struct given g = token_of(2);
    const struct topts t = {.once = g.text};
    ck_assert_int_eq(answer(ask_update(1, &t, &one, 1), &plain, &hint), ERR_NOT_LEADER);
    ck_assert_uint_eq(field(hint, "leader"), 2);
    ck_assert_int_eq(add(2, &g, 1), 0);
    end();
}
END_TEST

static bool owned(unsigned node, const char *name)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = false;
    (void)node_ev_owners(r->nodes[node - 1].node, node_ev_region(bytes_of_text(name)), owners,
                         &self);
    return self;
}

/* It is not handed over: another node would not know of it when it is sent again. */
START_TEST(a_node_that_does_not_keep_the_key_refuses_it)
{
    struct wire_node hint;
    struct buf out;
    char name[16];
    unsigned at = 0;
    begin(6);
    do {
        (void)snprintf(name, sizeof name, "x%u", at++);
    } while (owned(1, name));
    struct given g = token_of(1);
    const struct topts t = {.once = g.text};
    const struct top op = ADD(name, WIRE_CRDT_PN_COUNTER, 1);
    ck_assert_int_eq(update(1, &t, &op, 1), ERR_INVALID);
    request(&out, WIRE_METHOD_CRDT_ONCE, 1);
    (void)wire_pack_array(&out, 1);
    (void)wire_pack_text(&out, name);
    pack_options(&out, &plain);
    ck_assert_int_eq(answer(send(1, &out), &plain, &hint), ERR_NOT_LEADER);
    ck_assert(owned((unsigned)field(hint, "leader"), name));
    end();
}
END_TEST

/* Another node would do it under dots of its own. */
START_TEST(it_is_done_nowhere_while_its_region_is_held)
{
    begin(3);
    struct given done = token_of(1);
    struct given open = token_of(1);
    uint64_t region = UINT64_C(1) << node_ev_region(bytes_of_text("hits"));
    ck_assert_int_eq(add(1, &done, 1), 0);
    rig_run(r, 5000000); /* nobody tells anything that would end it */
    node_ev_of(r->nodes[0].node)->held.regions |= region;
    ck_assert_int_eq(add(1, &done, 1), 0);
    ck_assert_int_eq(add(1, &open, 1), ERR_UNAVAILABLE);
    ck_assert_int_eq(update_one(1, one), 0); /* this one is handed over */
    rig_run(r, 1000000);
    ck_assert(!node_ev_hold_any(r->nodes[0].node, region));
    ck_assert_int_eq(hits(2), 2);
    ck_assert_int_eq(add(1, &open, 1), 0);
    ck_assert_int_eq(hits(1), 3);
    end();
}
END_TEST

static void decided(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* Who is out tells nothing, and is not waited for. */
START_TEST(nobody_waits_for_a_node_that_is_out)
{
    int code = 1;
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    begin(3);
    struct given open = token_of(2);
    rig_stop(r, 3);
    crash(2);
    rig_run(r, 3000000);
    ck_assert_int_eq(add(2, &open, 1), ERR_UNAVAILABLE);
    const struct node_roster_change c = {
        .node = 3, .incarnation = 1, .boot = r->nodes[2].boot, .state = NODE_MEMBER_OUT};
    node_roster_change_encode(&c, body);
    const struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    node_propose(r->nodes[rig_leader(r, 0) - 1].node, 0, &cmd, r->now + 5000000, &code, decided);
    rig_run(r, 1000000);
    ck_assert_int_eq(code, 0);
    ck_assert_int_eq(add(2, &open, 1), 0);
    ck_assert_int_eq(hits(2), 1);
    end();
}
END_TEST

/* ---- what is not known ----------------------------------------------------------------------- */

START_TEST(an_old_token_is_refused_whether_its_write_was_done_or_not)
{
    begin(1);
    r->once_ttl_us = 20000000;
    crash(1);
    rig_run(r, 3000000);
    struct given done = token_of(1);
    struct given open = token_of(1);
    ck_assert_int_eq(add(1, &done, 1), 0);
    ck_assert_uint_gt(node_ev_once_bytes(r->nodes[0].node), 0);
    for (unsigned i = 0; i < 60; i++) {
        rig_run(r, 500000);
    }
    ck_assert_uint_eq(node_ev_once_bytes(r->nodes[0].node), 0); /* it went */
    ck_assert_int_eq(add(1, &done, 1), ERR_FORGOTTEN);
    ck_assert_int_eq(add(1, &open, 1), ERR_FORGOTTEN);
    r->once_ttl_us = 0; /* whatever is the limit by now: it may have been done */
    crash(1);
    rig_run(r, 3000000);
    ck_assert_int_eq(add(1, &done, 1), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(1), 1);
    end();
}
END_TEST

/* It was let in before, and comes behind what forgets its token. */
START_TEST(what_is_forgotten_on_the_way_is_not_done)
{
    uint8_t body[8];
    int code = 1;
    struct wire_node result;
    begin(1);
    struct given g = token_of(1);
    const struct topts t = {.once = g.text};
    rig_run(r, 1000000);
    struct wire_once later;
    struct given next = token_of(1);
    ck_assert_int_eq(wire_once_of(bytes_of_text(next.text), &later), 0);
    r->nodes[0].wal_held = true;
    num_put_u64(body, later.time_us);
    const struct node_cmd cmd = {.op = NODE_OP_EV_ONCE_END, .body = bytes_of(body, sizeof body)};
    node_propose(r->nodes[0].node, NODE_GROUP_OWN, &cmd, r->now + 5000000, &code, decided);
    uint32_t id = ask_update(1, &t, &one, 1);
    rig_run(r, 100000);
    r->nodes[0].wal_held = false;
    ck_assert_int_eq(answer(id, &plain, &result), ERR_FORGOTTEN);
    ck_assert_int_eq(code, 0);
    ck_assert_int_eq(hits(1), 0);
    ck_assert_int_eq(add(1, &next, 1), 0);
    end();
}
END_TEST

START_TEST(no_more_is_remembered_than_the_limit)
{
    unsigned count = 0;
    int code = 0;
    begin(1);
    r->limits.once_bytes = 2000;
    r->once_ttl_us = 60000000;
    crash(1);
    rig_run(r, 3000000);
    struct given first = token_of(1);
    ck_assert_int_eq(add(1, &first, 1), 0);
    for (; code == 0 && count < 1000; count++) {
        struct given g = token_of(1);
        code = add(1, &g, 1);
    }
    ck_assert_int_eq(code, ERR_BUSY);
    ck_assert_uint_gt(count, 5);
    ck_assert_int_eq(add(1, &first, 1), 0); /* what is known is said */
    ck_assert_int_eq(hits(1), count);
    ck_assert_int_eq(update_one(1, one), 0);
    for (unsigned i = 0; i < 150; i++) {
        rig_run(r, 500000);
    }
    struct given later = token_of(1);
    ck_assert_int_eq(add(1, &later, 1), 0);
    end();
}
END_TEST

/* The disk is another one, and so is what it knows. */
START_TEST(an_empty_disk_does_nothing_that_may_have_been_done)
{
    struct rig_dir d = {.there = true};
    begin(3);
    struct given done = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    rig_run(r, 2000000);
    rig_stop(r, 2);
    d.mem = mem_disk_new(&d.disk);
    ck_assert_int_eq(sim_kv_new(&d.kv, 1u << 30, &r->heap), 0);
    ck_assert_int_eq(sim_kv_new(&d.seg_kv, 1u << 30, &r->heap), 0);
    d.boot = r->nodes[1].boot;
    rig_dir_swap(r, 2, &d);
    r->salt++;
    rig_start(r, 2);
    ck_assert_int_eq(add_patiently(2, &done), ERR_FORGOTTEN);
    ck_assert_int_eq(add_patiently(2, &open), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(2), 1);
    struct given now = token_of(2);
    ck_assert_int_eq(add(2, &now, 1), 0);
    rig_dir_free(&d);
    end();
}
END_TEST

/* start: there was another start since the copy was taken. */
static void set_back(bool start)
{
    struct rig_dir copy = {.there = false};
    begin(3);
    struct given done = token_of(2);
    rig_dir_take(r, 2, &copy);
    if (start) {
        crash(2);
        rig_run(r, 3000000);
    }
    ck_assert_int_eq(add_patiently(2, &done), 0);
    rig_run(r, 2000000);
    rig_stop(r, 2);
    copy.boot = r->nodes[1].boot;
    rig_dir_swap(r, 2, &copy);
    r->salt++;
    rig_start(r, 2);
    ck_assert_int_eq(add_patiently(2, &done), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(2), 1);
    crash(2); /* by now all is here again, and still nobody knows */
    ck_assert_int_eq(add_patiently(2, &done), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(2), 1);
    rig_dir_free(&copy);
    end();
}

/* Group 0 knows of a later start. */
START_TEST(a_disk_of_an_older_start_does_nothing_that_may_have_been_done)
{
    set_back(true);
}
END_TEST

/* Only those who were told know that anything is missing. */
START_TEST(an_older_disk_of_the_last_start_does_nothing_that_may_have_been_done)
{
    set_back(false);
}
END_TEST

/* The node lost something, it does not matter what. */
START_TEST(an_epoch_that_was_given_up_takes_its_tokens_with_it)
{
    begin(3);
    struct given done = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    node_ev_doubt(r->nodes[1].node, "test");
    rig_run(r, 1000000);
    ck_assert_int_eq(add_patiently(2, &done), 0); /* of this there is a record */
    ck_assert_int_eq(add_patiently(2, &open), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(2), 1);
    end();
}
END_TEST

/* What there may be in the log beyond the table. */
enum way { WAY_PLAIN = 0, WAY_SESSION, WAY_TOKEN };

static void begin_slow_flush(unsigned nodes)
{
    r = rig_make(nodes);
    r->flush_interval_us = 600000000;
    for (unsigned i = 1; i <= nodes; i++) {
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, 3000000);
}

/* A cluster of one does what its log has once more, after damage that has nothing to do with it. */
static void answered(enum way way)
{
    const struct top ten = ADD("hits", WIRE_CRDT_PN_COUNTER, 10);
    begin_slow_flush(1);
    struct given g = token_of(1);
    struct topts t = {.sequence = way == WAY_SESSION};
    t.once = way == WAY_TOKEN ? g.text : NULL;
    t.session = way == WAY_SESSION ? open_own(1) : 0;
    ck_assert_int_eq(update_one(1, one), 0);
    r->nodes[0].node->flush_now = true;
    rig_run(r, 1000000);
    ck_assert_int_eq(update(1, &t, &ten, 1), 0);
    ck_assert_int_eq(hits(1), 11);
    rig_stop(r, 1);
    ck_assert_uint_eq(rig_rot(r, 1, NODE_KEY_EV_TYPES, 0, 1), 1);
    r->salt++;
    rig_start(r, 1);
    rig_run(r, 5000000);
    ck_assert_int_eq(hits(1), 11);
    if (way != WAY_PLAIN) { /* it is known to have been done */
        ck_assert_int_eq(update(1, &t, &ten, 1), 0);
        ck_assert_int_eq(hits(1), 11);
    }
    end();
}

START_TEST(what_was_answered_outlives_damage_of_another_record)
{
    answered(WAY_PLAIN);
    answered(WAY_SESSION);
    answered(WAY_TOKEN);
}
END_TEST

static void flush(void)
{
    r->nodes[0].node->flush_now = true;
    rig_run(r, 1000000);
}

static void start_again(void)
{
    r->salt++;
    rig_start(r, 1);
    rig_run(r, 5000000);
}

/* What a flipped bit of a key leaves (as store/kv_lmdb.c does): the record under another name, not
 * to be read. */
static void rename_rotten(uint8_t kind, size_t at, uint8_t flip)
{
    struct store_kv *kv = &r->nodes[0].kv;
    struct store_kv_reader *reader;
    struct bytes key;
    struct bytes value;
    uint8_t from[NODE_PREFIX_BYTES + 1];
    uint8_t k[64];
    uint8_t v[512];
    node_prefix_put(from, NODE_GROUP_OWN, 1);
    from[NODE_PREFIX_BYTES] = kind;
    ck_assert_int_eq(kv->reader_open(kv->ctx, &reader), 0);
    ck_assert_int_eq(kv->seek(reader, bytes_of(from, sizeof from), true, &key, &value), 0);
    ck_assert(bytes_has_prefix(key, bytes_of(from, sizeof from)));
    size_t ks = key.size;
    size_t vs = value.size;
    memcpy(k, key.data, ks);
    memcpy(v, value.data, vs);
    kv->reader_close(reader);
    ck_assert_int_eq(kv->begin(kv->ctx), 0);
    ck_assert_int_eq(kv->del(kv->ctx, bytes_of(k, ks)), 0);
    k[at] ^= flip;
    ck_assert_int_eq(kv->put(kv->ctx, bytes_of(k, ks), bytes_of(v, vs)), 0);
    ck_assert_int_eq(kv->commit(kv->ctx), 0);
    ck_assert_int_eq(sim_kv_rot(kv, bytes_of(k, ks)), 0);
}

static void renamed(uint8_t flip)
{
    const struct top ten = ADD("hits", WIRE_CRDT_PN_COUNTER, 10);
    begin_slow_flush(1);
    ck_assert_int_eq(update_one(1, one), 0);
    struct given g = token_of(1);
    const struct topts t = {.once = g.text};
    ck_assert_int_eq(update(1, &t, &ten, 1), 0);
    flush();
    rig_stop(r, 1);
    rename_rotten(NODE_KEY_EV_ONCE, NODE_PREFIX_BYTES, flip);
    start_again();
    node_rebuild(r->nodes[0].node, node_group_find(r->nodes[0].node, NODE_GROUP_OWN));
    rig_run(r, 5000000);
    ck_assert_int_eq(update(1, &t, &ten, 1), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(1), 11);
    end();
}

/* It looks like one of another kind, so only that it is missing says what it was. */
START_TEST(a_damaged_name_is_taken_for_what_is_missing)
{
    renamed(NODE_KEY_EV_ONCE ^ NODE_KEY_EV_RECORD);
    renamed(NODE_KEY_EV_ONCE ^ NODE_KEY_EV_PRUNED);
}
END_TEST

static void damaged_alone(uint8_t kind)
{
    const struct top ten = ADD("hits", WIRE_CRDT_PN_COUNTER, 10);
    begin_slow_flush(1);
    ck_assert_int_eq(update_one(1, one), 0);
    struct given g = token_of(1);
    const struct topts once = {.once = g.text};
    const struct topts within = {.session = open_own(1), .sequence = 1};
    ck_assert_int_eq(update(1, &once, &ten, 1), 0);
    ck_assert_int_eq(update(1, &within, &ten, 1), 0);
    flush();
    rig_stop(r, 1);
    ck_assert_uint_gt(rig_rot(r, 1, kind, 0, 64), 0);
    start_again();
    (void)update(1, &within, &ten, 1); /* meets it, if the start did not */
    rig_run(r, 5000000);
    ck_assert_int_eq(update(1, &within, &ten, 1), ERR_SESSION_EXPIRED);
    ck_assert_int_eq(update(1, &once, &ten, 1), kind == NODE_KEY_EV_ONCE ? ERR_FORGOTTEN : 0);
    ck_assert_int_eq(hits(1), 21);
    end();
}

START_TEST(damage_of_what_remembers_ends_what_it_may_have_remembered)
{
    damaged_alone(NODE_KEY_EV_ONCE);
    damaged_alone(NODE_KEY_SESSION);
    damaged_alone(NODE_KEY_EV_SELF);
}
END_TEST

/* Its epochs were retired before the table had all of them; nobody is there who would end it. */
START_TEST(nothing_is_held_where_there_are_no_peers)
{
    const struct top ten = ADD("hits", WIRE_CRDT_PN_COUNTER, 10);
    begin_slow_flush(1);
    ck_assert_int_eq(update_one(1, one), 0);
    flush();
    ck_assert_int_eq(update_one(1, ten), 0);
    rig_stop(r, 1);
    start_again();
    rig_run(r, 200000000);
    rig_stop(r, 1);
    ck_assert_uint_eq(rig_rot(r, 1, NODE_KEY_EV_TYPES, 0, 1), 1);
    start_again();
    rig_run(r, 200000000);
    ck_assert_int_eq(update_one(1, one), 0);
    ck_assert_int_eq(hits(1), 12);
    end();
}
END_TEST

/* What cannot be read goes; what it may have said, nobody says. What is left is counted anew. */
static void damaged(unsigned sound, unsigned count, int said)
{
    begin(3);
    struct given done = token_of(2);
    rig_run(r, 1000000);
    struct given other = token_of(2);
    struct given open = token_of(2);
    ck_assert_int_eq(add(2, &done, 1), 0);
    ck_assert_int_eq(add(2, &other, 1), 0);
    uint64_t bytes = node_ev_once_bytes(r->nodes[1].node);
    rig_run(r, 3000000); /* flushed */
    rig_stop(r, 2);
    ck_assert_uint_eq(rig_rot(r, 2, NODE_KEY_EV_ONCE, sound, count), count);
    r->salt++;
    rig_start(r, 2);
    ck_assert_int_eq(add_patiently(2, &done), said);
    ck_assert_int_eq(add_patiently(2, &other), sound + count == 3 ? ERR_FORGOTTEN : 0);
    ck_assert_int_eq(add_patiently(2, &open), ERR_FORGOTTEN);
    ck_assert(!r->nodes[1].stopped);
    ck_assert_int_eq(hits(2), 2);
    uint64_t left = node_ev_once_bytes(r->nodes[1].node);
    ck_assert_uint_eq(left, bytes / 2 * (2 - (count - (sound == 0))));
    struct given now = token_of(2);
    ck_assert_int_eq(add(2, &now, 1), 0);
    ck_assert_uint_eq(node_ev_once_bytes(r->nodes[1].node), left + bytes / 2);
    crash(2);
    ck_assert_int_eq(add_patiently(2, &now), 0);
    ck_assert_int_eq(add_patiently(2, &open), ERR_FORGOTTEN);
    ck_assert_int_eq(hits(2), 3);
    end();
}

START_TEST(damaged_records_take_what_they_may_have_said_with_them)
{
    damaged(1, 1, ERR_FORGOTTEN); /* the first write's */
    damaged(1, 2, ERR_FORGOTTEN);
    damaged(0, 1, 0); /* the one of all */
    damaged(0, 3, ERR_FORGOTTEN);
}
END_TEST

UNIT_MAIN("ev_once", a_repetition_by_whomever_gets_the_first_answer, attempts_at_once_count_once,
          another_write_under_the_token_is_refused,
          a_repetition_that_would_now_be_refused_or_change_nothing_gets_its_first_answer,
          a_start_after_a_crash_knows_what_was_done_and_what_was_not,
          so_does_one_after_an_orderly_end_be_it_long_ago,
          a_start_alone_repeats_answers_and_does_nothing_that_may_have_been_done,
          the_token_names_the_node_that_is_asked, a_node_that_does_not_keep_the_key_refuses_it,
          it_is_done_nowhere_while_its_region_is_held, nobody_waits_for_a_node_that_is_out,
          an_old_token_is_refused_whether_its_write_was_done_or_not,
          what_is_forgotten_on_the_way_is_not_done, no_more_is_remembered_than_the_limit,
          an_empty_disk_does_nothing_that_may_have_been_done,
          a_disk_of_an_older_start_does_nothing_that_may_have_been_done,
          an_older_disk_of_the_last_start_does_nothing_that_may_have_been_done,
          an_epoch_that_was_given_up_takes_its_tokens_with_it,
          what_was_answered_outlives_damage_of_another_record,
          a_damaged_name_is_taken_for_what_is_missing,
          damage_of_what_remembers_ends_what_it_may_have_remembered,
          nothing_is_held_where_there_are_no_peers,
          damaged_records_take_what_they_may_have_said_with_them)
