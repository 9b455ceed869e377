/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Peers write a format that a node does not know yet (scenario C43): it takes nothing of it, says
 * so once, forgets nothing, and goes on with all else; once it can read what they have, it has it.
 *
 * The peers are those of this version. What they send to node 1 of one region is changed on its way
 * into a later format, and node 1 is brought to that version by an end of this.
 */
#include "ev_client.h"
#include "server/node/eventual_peers_internal.h"

#include <string.h>

#define LATER 9u /* a format */
#define OLD 1u   /* the node */
#define CALLS 64u

/* How the later version differs. */
enum way { WAY_FRAGMENT, WAY_RECORD };

struct network {
    bool later; /* now */
    enum way way;
    uint8_t region;
    uint64_t calls[CALLS]; /* pages that the node has asked for, by number */
    uint32_t peers[CALLS];
    unsigned next;
    unsigned pushes; /* in which something was changed */
    unsigned pages;
    unsigned messages; /* to the node and from it, of eventual mode */
    struct log log;
    unsigned said;
};

static struct network net;
static unsigned wide; /* not 0: every region below it is of a later format */
static char key[16];  /* in the first region: what cannot be read comes before all else */

static void sink(void *ctx, enum log_level level, const char *line)
{
    struct network *w = ctx;
    (void)level;
    w->said += strstr(line, "eventual_later_format") != NULL;
}

/* returns: whether there was something to change. */
static bool raise_fragment(uint8_t *data, size_t size)
{
    struct bytes_reader in = bytes_reader_of(bytes_of(data, size));
    uint8_t region = 0;
    uint8_t flags = 0;
    uint32_t count = node_ev_fragment_skip(&in, &region, &flags);
    if (in.failed || (wide != 0 ? region >= wide : region != net.region)) {
        return false;
    }
    if (net.way == WAY_FRAGMENT) {
        data[0] = LATER;
        return true;
    }
    for (uint32_t i = 0; i < count && !in.failed; i++) {
        (void)bytes_take(&in, bytes_take_u16(&in));
        (void)bytes_take(&in, bytes_take_u16(&in));
        struct bytes value = bytes_take(&in, bytes_take_u32(&in));
        if (!in.failed && value.size > 0) {
            data[value.data - data] = LATER;
        }
    }
    return count > 0;
}

static void raise_push(uint8_t *data, size_t size)
{
    struct bytes_reader in = bytes_reader_of(bytes_of(data, size));
    bool any = false;
    while (in.left > 0 && !in.failed) {
        struct bytes one = bytes_take(&in, bytes_take_u32(&in));
        any = (!in.failed && raise_fragment(data + (one.data - data), one.size)) || any;
    }
    net.pushes += any;
}

static void raise_page(uint8_t *data, size_t size)
{
    struct bytes_reader in = bytes_reader_of(bytes_of(data, size));
    (void)bytes_take(&in, 2); /* more, whole */
    (void)bytes_take(&in, bytes_take_u16(&in));
    net.pages += !in.failed && raise_fragment(data + (in.at - data), in.left);
}

static void call_seen(const struct rig_message *m, uint64_t id, uint8_t method)
{
    bool push = method == NODE_CALL_EV_PUSH && m->to + 1 == OLD;
    net.messages += method >= NODE_CALL_EV_PUSH && method <= NODE_CALL_EV_OVER;
    if (push && net.later) {
        raise_push(m->body.data + 9, m->body.size - 9);
    }
    if (method == NODE_CALL_EV_PAGE && m->from + 1 == OLD) {
        net.calls[net.next % CALLS] = id;
        net.peers[net.next++ % CALLS] = m->to;
    }
}

static void seen(void *ctx, struct rig_message *m)
{
    (void)ctx;
    if (m->from + 1 != OLD && m->to + 1 != OLD) {
        return;
    }
    if (m->kind == NODE_FRAME_CALL && m->body.size > 9) {
        call_seen(m, num_get_u64(m->body.data), m->body.data[8]);
    }
    if (m->kind != NODE_FRAME_ANSWER || m->to + 1 != OLD || m->body.size <= 12 ||
        num_get_u32(m->body.data + 8) != 0) {
        return;
    }
    for (unsigned i = 0; i < CALLS && net.later; i++) {
        if (net.calls[i] == num_get_u64(m->body.data) && net.peers[i] == m->from) {
            raise_page(m->body.data + 12, m->body.size - 12);
            return;
        }
    }
}

static void begin_between(enum way way, unsigned nodes)
{
    r = rig_make(nodes);
    for (unsigned i = 0; i == 0 || node_ev_region(bytes_of_text(key)) != 0; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
    }
    net = (struct network){.way = way, .region = 0};
    net.log = (struct log){.sink = sink, .ctx = &net, .least = LOG_DEBUG};
    r->on_message = seen;
    for (unsigned i = 1; i <= nodes; i++) {
        r->log = i == OLD ? &net.log : NULL;
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, 3000000);
}

/* All that node 1 has of a region: dots, and a hash over the records. */
static void region_bytes(uint8_t region, struct buf *out)
{
    buf_clear(out);
    ck_assert_int_eq(node_ev_region_encode(node_ev_region_get(r->nodes[OLD - 1].node, region), out),
                     0);
}

static int64_t hits(unsigned i)
{
    return counter(i, key, WIRE_CRDT_PN_COUNTER);
}

static void add(unsigned i, const char *name, int64_t by)
{
    ck_assert_int_eq(update_one(i, ADD(name, WIRE_CRDT_PN_COUNTER, by)), 0);
}

static void everybody_has(const char *name, int64_t value)
{
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        ck_assert_int_eq(counter(i, name, WIRE_CRDT_PN_COUNTER), value);
    }
}

static void lives_between(enum way way)
{
    struct buf before;
    struct buf now;
    begin_between(way, 3);
    buf_init(&before, &r->heap, 1u << 20);
    buf_init(&now, &r->heap, 1u << 20);
    ck_assert_uint_ne(node_ev_region(bytes_of_text("other")), net.region);
    add(1, key, 1);
    add(2, key, 2);
    rig_run(r, 3000000);
    everybody_has(key, 3);
    region_bytes(net.region, &before);

    net.later = true;
    add(2, key, 4);
    add(3, key, 8);
    add(2, "other", 5); /* this and that go in one push, or in two */
    rig_run(r, 5000000);
    unsigned messages = net.messages;
    rig_run(r, 60000000);
    ck_assert_uint_gt(net.pushes, 0);
    ck_assert_uint_gt(net.pages, 0);
    ck_assert_uint_le(net.said, 2); /* of each peer once */
    ck_assert_uint_ge(net.said, 1);
    printf("ev_later: messages in a minute=%u\n", net.messages - messages);
    ck_assert_uint_le(net.messages - messages, 600); /* of two peers: five a second */
    region_bytes(net.region, &now);
    ck_assert(bytes_equal(buf_view(&before), buf_view(&now)));
    ck_assert_int_eq(hits(1), 3);
    ck_assert_int_eq(hits(2), 15);
    ck_assert_int_eq(hits(3), 15);
    everybody_has("other", 5);

    add(1, key, 16); /* its own is known to all, and of all others */
    add(3, "other", 6);
    for (unsigned i = 0; i < 20; i++) { /* and so is what comes meanwhile */
        add(2, key, 100);
        rig_run(r, 200000);
    }
    rig_run(r, 5000000);
    ck_assert_int_eq(hits(1), 19);
    ck_assert_int_eq(hits(2), 2031);
    everybody_has("other", 11);
    ck_assert_uint_le(net.said, 2);
    ck_assert(!r->nodes[OLD - 1].stopped);

    net.later = false; /* it knows that format from now on */
    rig_run(r, 2 * NODE_EV_PUT_OFF_US);
    everybody_has(key, 2031);
    buf_release(&before);
    buf_release(&now);
    end();
}

START_TEST(what_comes_in_a_later_format_changes_nothing_and_comes_once_it_is_known)
{
    lives_between(WAY_FRAGMENT);
}
END_TEST

START_TEST(so_does_what_has_a_record_of_a_later_format_in_it)
{
    lives_between(WAY_RECORD);
}
END_TEST

/* The node was away, and comes back as the last of its version: nothing is compared yet, there is
 * one peer to ask, and the region that it cannot read comes first. */
START_TEST(a_start_between_later_versions_gets_all_other_regions)
{
    char name[16];
    begin_between(WAY_FRAGMENT, 2);
    add(1, key, 1);
    rig_run(r, 2000000);
    const struct hash_digest before =
        node_ev_region_get(r->nodes[OLD - 1].node, net.region)->digest;
    rig_stop(r, OLD);
    add(2, key, 2);
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        add(2, name, 1);
    }
    net.later = true;
    r->log = &net.log;
    rig_start(r, OLD);
    rig_run(r, 30000000);
    const struct node_ev_region *kept = node_ev_region_get(r->nodes[OLD - 1].node, net.region);
    ck_assert(kept->digest.low == before.low && kept->digest.high == before.high);
    for (uint8_t i = 0; i < NODE_EV_REGIONS; i++) {
        const struct crdt_context *own = &node_ev_region_get(r->nodes[OLD - 1].node, i)->seen;
        const struct crdt_context *peer = &node_ev_region_get(r->nodes[1].node, i)->seen;
        bool whole = crdt_context_leq(peer, own);
        ck_assert_msg(whole == (i != net.region), "region %u of %u", i, net.region);
    }
    rig_stop(r, OLD); /* the next version is installed */
    net.later = false;
    rig_start(r, OLD);
    rig_run(r, 10000000);
    everybody_has(key, 3);
    end();
}
END_TEST

/* Most regions cannot be read: those that can come all the same, though they are the last. */
START_TEST(many_regions_that_are_put_off_hold_up_no_others)
{
    char name[16];
    wide = 50;
    begin_between(WAY_FRAGMENT, 2);
    rig_stop(r, OLD);
    for (unsigned i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        add(2, name, 1);
    }
    net.later = true;
    rig_start(r, OLD);
    rig_run(r, 60000000);
    for (unsigned i = wide; i < NODE_EV_REGIONS; i++) {
        const struct node_ev_region *other = node_ev_region_get(r->nodes[1].node, (uint8_t)i);
        const struct node_ev_region *old = node_ev_region_get(r->nodes[OLD - 1].node, (uint8_t)i);
        ck_assert(crdt_context_leq(&other->seen, &old->seen));
    }
    ck_assert_uint_gt(net.pages, 0);
    end();
    wide = 0;
}
END_TEST

UNIT_MAIN("ev_later", what_comes_in_a_later_format_changes_nothing_and_comes_once_it_is_known,
          so_does_what_has_a_record_of_a_later_format_in_it,
          a_start_between_later_versions_gets_all_other_regions,
          many_regions_that_are_put_off_hold_up_no_others)
