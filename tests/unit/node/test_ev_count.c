/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The short way of commands and the long one: random histories of replicas in pairs, of which one
 * may look up what was not named and the other may not. After every command both of a pair have
 * answered the same, hold the same bytes and have noted the same fragments. In every second history
 * epochs rise, and those that are over are folded, here and there at different times.
 * HOLDFAST_SEED=N begins at that seed.
 */
#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/node/ev_ops.h"

#define REPLICAS 3u
#define NAMES 9u
#define WIDE 24u /* names of one region, for contexts of many ranges */
#define STEPS 120u
#define OPS 12u
#define MANY 8u /* ranges that contexts are joined with one by one, at most */

struct pair {
    struct ev_replica *brief;
    struct ev_replica *plain;
};
/* How many of the commands that went the short way met what. */
struct met {
    unsigned updates; /* all of them */
    unsigned joins;
    unsigned folded_updates; /* the region's context has folded epochs */
    unsigned folded_joins;   /* what the sender had seen has */
    unsigned many_updates;   /* the region's context has many ranges */
    unsigned many_joins;     /* what the sender had seen has */
    unsigned many_told;      /* what the fragment tells has */
};
struct history {
    struct rng rng;
    bool rising; /* epochs; else a replica may act as an earlier actor again */
    bool piling; /* they are never folded */
    bool wide;   /* operations on many counters of one region */
    struct pair pairs[REPLICAS];
    unsigned next[REPLICAS][REPLICAS]; /* [from][to]: of from's notes */
    uint64_t wall_us;
    uint64_t epochs[REPLICAS];
    struct met met;
    unsigned refused;
    unsigned folds;
};

/* Three in each of three regions. */
static const char *const names[NAMES] = {"{a}0", "{a}1", "{a}2", "{b}0", "{b}1",
                                         "{b}2", "{c}0", "{c}1", "{c}2"};

/* All in the region of a. */
static const char *const wide[WIDE] = {"{a}0",  "{a}1",  "{a}2",  "{a}3",  "{a}4",  "{a}5",
                                       "{a}6",  "{a}7",  "{a}8",  "{a}9",  "{a}10", "{a}11",
                                       "{a}12", "{a}13", "{a}14", "{a}15", "{a}16", "{a}17",
                                       "{a}18", "{a}19", "{a}20", "{a}21", "{a}22", "{a}23"};

static unsigned below(struct history *h, unsigned n)
{
    return (unsigned)rng_below(&h->rng, n);
}

static void history_begin(struct history *h, uint64_t seed)
{
    *h = (struct history){.wall_us = NOW,
                          .rising = seed % 2 == 0,
                          .piling = seed % 6 == 0,
                          .wide = seed / 6 % 3 == 0};
    rng_init(&h->rng, seed);
    for (unsigned i = 0; i < REPLICAS; i++) {
        h->epochs[i] = 7;
        h->pairs[i] = (struct pair){ev_new(i + 1, 7), ev_new(i + 1, 7)};
        h->pairs[i].brief->unknown = seed % 3 == 0 ? 20 : 0;
        h->pairs[i].plain->store.seek = NULL;
    }
}

static void history_end(struct history *h)
{
    for (unsigned i = 0; i < REPLICAS; i++) {
        ev_free(h->pairs[i].brief);
        ev_free(h->pairs[i].plain);
    }
}

static void check_rows(const struct ev_replica *one, const struct ev_replica *other)
{
    for (uint32_t i = 0; i < one->names.count; i++) {
        struct bytes name = node_ev_names_at(&one->names, i);
        ck_assert(bytes_equal(ev_row(one, name), ev_row(other, name)));
    }
}

static void check_pair(const struct pair *p, unsigned notes)
{
    ck_assert(bytes_equal(buf_view(&p->brief->reply), buf_view(&p->plain->reply)));
    check_rows(p->brief, p->plain);
    check_rows(p->plain, p->brief);
    ck_assert_uint_eq(p->brief->notes_count, p->plain->notes_count);
    ck_assert_uint_eq(p->brief->doubts, p->plain->doubts);
    ck_assert_uint_eq(p->brief->conflicts, p->plain->conflicts);
    for (unsigned i = notes; i < p->brief->notes_count; i++) {
        const struct ev_note *a_note = &p->brief->notes[i];
        const struct ev_note *b_note = &p->plain->notes[i];
        ck_assert(a_note->local == b_note->local && a_note->region == b_note->region);
        ck_assert(bytes_equal(buf_view(&a_note->fragment), buf_view(&b_note->fragment)));
    }
}

/* ---- what is met ---------------------------------------------------------------------------- */

static bool folds(const struct crdt_context *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->ranges[i].actor.epoch == CRDT_FOLDED) {
            return true;
        }
    }
    return false;
}

/* An update of a region of which that was seen. */
static void meet_update(struct met *m, const struct crdt_context *seen)
{
    m->updates++;
    m->folded_updates += folds(seen);
    m->many_updates += seen->count > MANY;
}

static void meet_join(struct met *m, const struct bytes *fragments, unsigned count)
{
    const struct alloc heap = alloc_heap();
    struct met now = {.joins = 1};
    for (unsigned i = 0; i < count; i++) {
        struct node_ev_fragment f;
        node_ev_fragment_init(&f, &heap);
        ck_assert_int_eq(node_ev_fragment_decode(&f, fragments[i]), 0);
        now.folded_joins |= folds(&f.before);
        now.many_joins |= f.before.count > MANY;
        now.many_told |= f.seen.count > MANY;
        node_ev_fragment_release(&f);
    }
    m->joins += now.joins;
    m->folded_joins += now.folded_joins;
    m->many_joins += now.many_joins;
    m->many_told += now.many_told;
}

static void met_add(struct met *all, const struct met *m)
{
    all->updates += m->updates;
    all->joins += m->joins;
    all->folded_updates += m->folded_updates;
    all->folded_joins += m->folded_joins;
    all->many_updates += m->many_updates;
    all->many_joins += m->many_joins;
    all->many_told += m->many_told;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static struct node_ev_op choose_op(struct history *h)
{
    unsigned name = below(h, h->wide ? WIDE : NAMES);
    bool other = below(h, h->wide ? 400 : 40) == 0;
    struct node_ev_op op = op_of(name % 3 == 2 ? CRDT_G_COUNTER : CRDT_PN_COUNTER, CRDT_ADD);
    op.name = bytes_of_text(h->wide ? wide[name] : names[name]);
    op.op.amount = op.path.types[0] == CRDT_G_COUNTER ? 1 + below(h, 9) : (int64_t)below(h, 9) - 4;
    if (below(h, h->wide ? 600 : 60) == 0) {
        op.op.amount = below(h, 2) == 0 ? INT64_MAX - below(h, 9) : INT64_MIN + below(h, 2);
    }
    if (other) {
        crdt_path_init(&op.path, (enum crdt_type)(1 + below(h, 4)));
        op.op.verb = below(h, 2) == 0 ? CRDT_ADD : CRDT_SET;
        op.op.value = bytes_of_text("v");
    }
    return op;
}

static void step_update(struct history *h)
{
    struct pair *p = &h->pairs[below(h, REPLICAS)];
    struct node_ev_op ops[WIDE];
    unsigned count = 1 + below(h, below(h, 3) == 0 ? (h->wide ? WIDE : OPS) : 2);
    unsigned notes = p->brief->notes_count;
    unsigned before = p->brief->puts_at;
    for (unsigned i = 0; i < count; i++) {
        ops[i] = choose_op(h);
    }
    h->wall_us = below(h, 5) == 0 ? NOW - below(h, 1000) : h->wall_us + below(h, 3);
    int err = ev_update(p->brief, ops, count, h->wall_us);
    ck_assert_int_eq(err, ev_update(p->plain, ops, count, h->wall_us));
    h->refused += err != 0;
    if (p->brief->puts_at > before) { /* what it met is still there */
        meet_update(&h->met, &p->brief->regions[node_ev_region(ops[0].name)].seen);
    }
    check_pair(p, notes);
}

/* Some notes of one replica at another, in one command; sometimes merged, again or out of turn. */
static void step_join(struct history *h)
{
    unsigned from = below(h, REPLICAS);
    unsigned to = (from + 1 + below(h, REPLICAS - 1)) % REPLICAS;
    struct pair *p = &h->pairs[to];
    const struct ev_replica *sender = h->pairs[from].brief;
    struct bytes all[6];
    unsigned count = 0;
    unsigned at = below(h, 8) == 0 ? below(h, h->next[from][to] + 2) : h->next[from][to];
    unsigned most = 1 + below(h, 6);
    for (; at < sender->notes_count && count < most; at++) {
        if (sender->notes[at].local) {
            all[count++] = buf_view(&sender->notes[at].fragment);
        }
    }
    if (count == 0) {
        return;
    }
    unsigned notes = p->brief->notes_count;
    unsigned before = p->brief->puts_at;
    int err = ev_join(p->brief, all, count);
    ck_assert_int_eq(err, ev_join(p->plain, all, count));
    h->next[from][to] = err == 0 ? NUM_MAX(h->next[from][to], at) : h->next[from][to];
    if (p->brief->puts_at > before) {
        meet_join(&h->met, all, count);
    }
    check_pair(p, notes);
}

static void step_pages(struct history *h)
{
    unsigned from = below(h, REPLICAS);
    unsigned to = (from + 1) % REPLICAS;
    struct ev_pages how = {.all_parts = 1 + below(h, 3)};
    how.parts = 1 + below(h, how.all_parts); /* perhaps not all: entries that were not seen */
    how.region = node_ev_region(bytes_of_text(names[below(h, NAMES)]));
    struct pair *p = &h->pairs[to];
    unsigned notes = p->brief->notes_count;
    if (h->pairs[from].brief->regions[how.region].seen.count > 0) {
        int err = ev_pages(p->brief, h->pairs[from].brief, &how);
        ck_assert_int_eq(err, ev_pages(p->plain, h->pairs[from].plain, &how));
        check_pair(p, notes);
    }
}

static void step_epoch(struct history *h)
{
    unsigned i = below(h, REPLICAS);
    h->epochs[i] = h->rising ? h->epochs[i] + 1 : 7 + below(h, 3);
    ev_epoch(h->pairs[i].brief, h->epochs[i]);
    ev_epoch(h->pairs[i].plain, h->epochs[i]);
}

/* What group 0 would record of a node's epochs that are over: all that it wrote in them. */
static void retired_of(struct history *h, unsigned node, struct node_ev_retired *row)
{
    const struct crdt_context *own = &h->pairs[node].brief->regions[row->region].seen;
    for (size_t i = 0; i < own->count; i++) {
        const struct crdt_range *r = &own->ranges[i];
        uint64_t last = r->actor.epoch == CRDT_FOLDED ? r->to : r->actor.epoch;
        if (r->actor.node == node + 1 && last < row->below) {
            ck_assert_int_eq(crdt_context_add(&row->seen, r), 0);
        }
    }
}

/* Some of the replicas hear of it now. */
static void step_fold(struct history *h)
{
    const struct alloc heap = alloc_heap();
    unsigned node = below(h, REPLICAS);
    struct node_ev_retired row = {.below = h->epochs[node] - below(h, 2)};
    row.region = node_ev_region(bytes_of_text(h->wide ? wide[0] : names[below(h, NAMES)]));
    crdt_context_init(&row.seen, &heap);
    retired_of(h, node, &row);
    for (unsigned i = 0; i < REPLICAS && row.seen.count > 0; i++) {
        const struct pair *p = &h->pairs[i];
        bool was = folds(&p->brief->regions[row.region].seen);
        if (below(h, 3) > 0) {
            ck_assert_int_eq(ev_fold(p->brief, node + 1, &row), 0);
            ck_assert_int_eq(ev_fold(p->plain, node + 1, &row), 0);
            h->folds += !was && folds(&p->brief->regions[row.region].seen);
            check_pair(p, p->brief->notes_count);
        }
    }
    crdt_context_release(&row.seen);
}

static void step(struct history *h)
{
    unsigned what = below(h, h->rising ? 40 : 44);
    if (what < 2) {
        step_pages(h);
    } else if (what == 2 || (h->rising && what < 6)) {
        step_epoch(h);
    } else if (h->rising && !h->piling && what < 9) {
        step_fold(h);
    } else if (below(h, 2) == 0) {
        step_update(h);
    } else {
        step_join(h);
    }
}

static void run(uint64_t seed, struct history *h)
{
    history_begin(h, seed);
    for (unsigned i = 0; i < (h->piling ? 3 * STEPS : STEPS); i++) {
        step(h);
    }
    for (unsigned i = 0; i < NAMES; i++) {
        uint8_t region_of = node_ev_region(bytes_of_text(names[i]));
        for (unsigned k = 0; k < REPLICAS; k++) {
            ev_check(h->pairs[k].brief, region_of);
        }
    }
    history_end(h);
}

START_TEST(the_short_way_of_a_command_does_what_the_long_one_does)
{
    uint64_t from = unit_seed("ev_count", 1);
    struct met met = {0};
    unsigned refused = 0;
    unsigned folded = 0;
    for (uint64_t seed = from; seed < from + 300; seed++) {
        struct history h;
        run(seed, &h);
        met_add(&met, &h.met);
        refused += h.refused;
        folded += h.folds;
    }
    printf("updates=%u joins=%u refused=%u folds=%u; folded: updates=%u joins=%u; many ranges: "
           "updates=%u joins=%u told=%u\n",
           met.updates, met.joins, refused, folded, met.folded_updates, met.folded_joins,
           met.many_updates, met.many_joins, met.many_told);
    ck_assert_uint_gt(met.updates, 1000); /* else this shows little */
    ck_assert_uint_gt(refused, 100);
    ck_assert_uint_gt(met.joins, 1000);
    ck_assert_uint_gt(folded, 100);
    ck_assert_uint_gt(met.folded_updates, 100);
    ck_assert_uint_gt(met.folded_joins, 100);
    ck_assert_uint_gt(met.many_updates, 100);
    ck_assert_uint_gt(met.many_joins, 100);
    ck_assert_uint_gt(met.many_told, 10);
}
END_TEST

/* ---- what a command may ask ------------------------------------------------------------------ */

START_TEST(increments_of_counters_that_are_there_go_the_short_way)
{
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 5), 0);
    ck_assert_uint_eq(a->puts_at, 0);
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", -2), 0);
    ck_assert_uint_eq(a->puts_at, 2); /* the record and its region's */
    ck_assert_int_eq(counter_of(a, CRDT_PN_COUNTER), 3);
}
END_TEST

START_TEST(several_increments_of_one_counter_in_a_command_are_written_once)
{
    struct node_ev_op ops[5];
    ck_assert_int_eq(add(a, CRDT_G_COUNTER, "", 1), 0);
    for (unsigned i = 0; i < 5; i++) {
        ops[i] = op_of(CRDT_G_COUNTER, CRDT_ADD);
        ops[i].op.amount = 10;
    }
    ck_assert_int_eq(ev_update(a, ops, 5, NOW), 0);
    ck_assert_uint_eq(a->puts_at, 2);
    ck_assert_int_eq(counter_of(a, CRDT_G_COUNTER), 51);
    ck_assert_uint_eq(crdt_context_last(seen(a), (struct crdt_actor){1, 10}), 6);
}
END_TEST

START_TEST(a_record_that_is_not_in_memory_goes_the_long_way)
{
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 5), 0);
    a->unknown = 1; /* all */
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 5), 0);
    ck_assert_uint_eq(a->puts_at, 0);
    ck_assert_int_eq(counter_of(a, CRDT_PN_COUNTER), 10);
}
END_TEST

/* Commands of as many records as are looked up together, one fewer, one more and several times as
 * many; each command tells of every record twice. */
START_TEST(records_that_are_there_are_joined_the_short_way_however_many)
{
    static const unsigned counts[] = {NODE_EV_SEEK_MAX - 1,     NODE_EV_SEEK_MAX / 2,
                                      NODE_EV_SEEK_MAX / 2 + 1, NODE_EV_SEEK_MAX,
                                      NODE_EV_SEEK_MAX + 1,     3 * NODE_EV_SEEK_MAX + 7};
    struct node_ev_op ops[3 * NODE_EV_SEEK_MAX + 7];
    char text[3 * NODE_EV_SEEK_MAX + 7][8];
    const unsigned all = sizeof ops / sizeof ops[0];
    for (unsigned i = 0; i < all; i++) {
        (void)snprintf(text[i], sizeof text[i], "{a}%u", i);
        ops[i] = op_of(CRDT_PN_COUNTER, CRDT_ADD);
        ops[i].name = bytes_of_text(text[i]);
        ops[i].op.amount = 1;
    }
    ck_assert_int_eq(ev_update(a, ops, all, NOW), 0);
    struct bytes told[2] = {ev_last(a)};
    ck_assert_int_eq(ev_join(b, told, 1), 0);
    ck_assert_uint_eq(b->puts_at, 0);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const unsigned before = b->puts_at;
        ck_assert_int_eq(ev_update(a, ops, counts[i], NOW), 0);
        told[0] = ev_last(a);
        ck_assert_int_eq(ev_update(a, ops, counts[i], NOW), 0);
        told[1] = ev_last(a);
        ck_assert_int_eq(ev_join(b, told, 2), 0);
        ck_assert_uint_eq(b->puts_at - before, counts[i] + 1); /* the region's too */
        ck_assert(ev_same(a, b, true));
    }
}
END_TEST

START_TEST(a_body_with_bytes_after_its_operations_is_refused)
{
    struct node_ev_op op = op_of(CRDT_PN_COUNTER, CRDT_ADD);
    op.op.amount = 1;
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), 0);
    ck_assert_int_eq(buf_put_u8(&a->body, 0), 0);
    ck_assert_int_eq(node_ev_update(&a->store, buf_view(&a->body), &a->reply), ERR_INVALID);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_short_way_of_a_command_does_what_the_long_one_does,
        increments_of_counters_that_are_there_go_the_short_way,
        several_increments_of_one_counter_in_a_command_are_written_once,
        a_record_that_is_not_in_memory_goes_the_long_way,
        records_that_are_there_are_joined_the_short_way_however_many,
        a_body_with_bytes_after_its_operations_is_refused,
        NULL,
    };
    return run_tests("ev_count", tests);
}
