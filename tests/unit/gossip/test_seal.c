/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The envelope: what opens, what does not and why, and that nothing moves before a packet was found
 * authentic and meant for this start of the node.
 */
#include "base/num.h"
#include "base/rng.h"
#include "gossip/seal_internal.h"
#include "tests/unit/gossip/fake_cipher.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES_MAX 2048u
#define TEXT "one, two, three"

static const uint8_t cluster_a[GOSSIP_CLUSTER_BYTES] = {0xa, 1, 2, 3};
static const uint8_t cluster_b[GOSSIP_CLUSTER_BYTES] = {0xb, 1, 2, 3};
static struct fake_cipher fake;
static uint8_t into[BYTES_MAX];

struct packet {
    size_t size;
    uint8_t data[BYTES_MAX];
};

static struct gossip_key key_of(uint16_t number, enum gossip_key_state state)
{
    struct gossip_key key = {.number = number, .state = (uint8_t)state};
    memset(key.bytes, 0x10 + number, sizeof(key.bytes));
    return key;
}

/* A node of cluster: knows nodes 1 to 4 (incarnation 1, least epoch 1) and key 1. */
static struct gossip_seal *node_at(const uint8_t *cluster, uint32_t self, uint64_t epoch)
{
    struct alloc heap = alloc_heap();
    struct gossip_seal *s = NULL;
    struct gossip_seal_options options = {.self = self,
                                          .incarnation = 1,
                                          .epoch = epoch,
                                          .senders_max = 8,
                                          .cipher = fake_cipher(&fake)};
    struct gossip_key key = key_of(1, GOSSIP_KEY_USED);
    memcpy(options.cluster, cluster, sizeof(options.cluster));
    ck_assert_int_eq(gossip_seal_new(&s, &options, &heap), 0);
    ck_assert_int_eq(gossip_seal_keys(s, &key, 1), 0);
    for (uint32_t id = 4; id > 0; id--) {
        ck_assert_int_eq(gossip_seal_sender(s, id, 1, 1), 0);
    }
    return s;
}

static struct gossip_seal *node_new(uint32_t self)
{
    return node_at(cluster_a, self, 1);
}

static struct packet sealed_on(struct gossip_seal *s, enum gossip_channel channel, uint32_t to,
                               const char *text)
{
    struct alloc heap = alloc_heap();
    struct packet p;
    struct buf out;
    buf_init(&out, &heap, BYTES_MAX);
    ck_assert_int_eq(gossip_seal_close(s, channel, to, bytes_of_text(text), &out), 0);
    memcpy(p.data, out.data, out.size);
    p.size = out.size;
    buf_release(&out);
    return p;
}

static struct packet sealed(struct gossip_seal *s, uint32_t to, const char *text)
{
    return sealed_on(s, GOSSIP_DATAGRAM, to, text);
}

static int open_on(struct gossip_seal *s, enum gossip_channel channel, const struct packet *p,
                   struct gossip_opened *out)
{
    struct gossip_opened any;
    return gossip_seal_open(s, channel, bytes_of(p->data, p->size), into, out == NULL ? &any : out);
}

static int opened(struct gossip_seal *s, const struct packet *p)
{
    return open_on(s, GOSSIP_DATAGRAM, p, NULL);
}

static struct gossip_seal_counters counts(const struct gossip_seal *s)
{
    struct gossip_seal_counters c;
    gossip_seal_counters_get(s, &c);
    return c;
}

/* What is believed of a sender: must be the same before and after whatever was refused. */
static struct seal_sender belief(const struct gossip_seal *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->senders_count; i++) {
        if (s->senders[i].id == id) {
            return s->senders[i];
        }
    }
    ck_abort_msg("no such sender");
    return s->senders[0];
}

static void same_belief(const struct gossip_seal *s, uint32_t id, const struct seal_sender *was)
{
    struct seal_sender now = belief(s, id);
    ck_assert_uint_eq(now.epoch, was->epoch);
    ck_assert_int_eq(memcmp(now.window, was->window, sizeof(now.window)), 0);
}

START_TEST(what_was_sealed_opens_at_its_destination)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct gossip_opened o;
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_uint_eq(p.size, GOSSIP_SEAL_BYTES + strlen(TEXT));
    ck_assert_int_eq(open_on(b, GOSSIP_DATAGRAM, &p, &o), 0);
    ck_assert_uint_eq(o.sender, 1);
    ck_assert_uint_eq(o.epoch, 1);
    ck_assert_uint_eq(o.key, 1);
    ck_assert(bytes_equal(o.text, bytes_of_text(TEXT)));
    ck_assert_uint_eq(counts(a).sealed, 1);
    ck_assert_uint_eq(counts(b).opened, 1);
    ck_assert_uint_eq(gossip_seal_key_of(b, 1), 1);
    ck_assert_uint_eq(gossip_seal_key_of(b, 3), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(the_header_is_what_the_contract_says)
{
    static const uint8_t wanted[GOSSIP_SEAL_HEADER_BYTES] = {
        1, 2, 1, 0, 3, 0, 0, 0, /* version, channel, key, sender */
        7, 0, 0, 0, 0, 0, 0, 0, /* epoch */
        1, 0, 0, 0, 0, 0, 0, 0, /* counter */
        9, 0, 0, 0, 0, 0, 0, 0, /* epoch of the destination */
    };
    struct gossip_seal *a = node_at(cluster_a, 3, 7);
    ck_assert_int_eq(gossip_seal_sender(a, 2, 1, 9), 0);
    (void)sealed_on(a, GOSSIP_STREAM, 2, TEXT);
    (void)sealed_on(a, GOSSIP_DATAGRAM, 2, TEXT);
    struct packet p = sealed_on(a, GOSSIP_STREAM, 2, TEXT);
    ck_assert_int_eq(memcmp(p.data, wanted, sizeof(wanted)), 0);
    gossip_seal_free(a);
}
END_TEST

START_TEST(another_cluster_destination_or_channel_does_not_open) /* scenarios G12 G13 */
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct gossip_seal *other = node_at(cluster_b, 2, 1);
    struct gossip_seal *c = node_new(3);
    struct packet p = sealed(a, 2, TEXT);
    struct seal_sender was = belief(other, 1);
    /* the same key, the same label, the same ids, but another cluster id */
    ck_assert_int_eq(opened(other, &p), ERR_CORRUPT);
    ck_assert_uint_eq(counts(other).forged, 1);
    same_belief(other, 1, &was);
    ck_assert_int_eq(opened(c, &p), ERR_CORRUPT);
    ck_assert_uint_eq(counts(c).forged, 1);
    ck_assert_int_eq(open_on(b, GOSSIP_STREAM, &p, NULL), ERR_PROTOCOL);
    ck_assert_uint_eq(counts(b).malformed, 1);
    p.data[1] = GOSSIP_STREAM;
    ck_assert_int_eq(open_on(b, GOSSIP_STREAM, &p, NULL), ERR_CORRUPT);
    p.data[1] = GOSSIP_DATAGRAM;
    ck_assert_int_eq(opened(b, &p), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
    gossip_seal_free(c);
    gossip_seal_free(other);
}
END_TEST

START_TEST(no_flipped_bit_and_no_cut_opens_or_moves_anything) /* scenario G22 */
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct packet p = sealed(a, 2, TEXT);
    struct seal_sender was = belief(b, 1);
    for (size_t bit = 0; bit < 8 * p.size; bit++) {
        p.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        int err = opened(b, &p);
        ck_assert(err == ERR_CORRUPT || err == ERR_PROTOCOL || err == ERR_NOT_FOUND ||
                  err == ERR_PERMISSION || err == ERR_FENCED);
        p.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        same_belief(b, 1, &was);
    }
    for (size_t size = 0; size < p.size; size++) {
        struct packet cut = p;
        cut.size = size;
        ck_assert_int_eq(opened(b, &cut), size < GOSSIP_SEAL_BYTES ? ERR_PROTOCOL : ERR_CORRUPT);
        same_belief(b, 1, &was);
    }
    p.data[p.size++] = 0;
    ck_assert_int_eq(opened(b, &p), ERR_CORRUPT);
    p.size--;
    ck_assert_int_eq(opened(b, &p), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(a_packet_opens_once) /* scenario G25 */
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), 0);
    uint64_t decrypted = fake.opened;
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(opened(b, &p), ERR_REPLAYED);
    }
    ck_assert_uint_eq(counts(b).replayed, 10);
    ck_assert_uint_eq(fake.opened, decrypted); /* the window is asked before the cipher */
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(packets_may_overtake_each_other_by_63)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct packet p[130];
    for (unsigned i = 0; i < 130; i++) {
        p[i] = sealed(a, 2, TEXT);
    }
    ck_assert_int_eq(opened(b, &p[100]), 0);
    ck_assert_int_eq(opened(b, &p[36]), ERR_REPLAYED); /* too old to tell */
    ck_assert_int_eq(opened(b, &p[37]), 0);
    ck_assert_int_eq(opened(b, &p[37]), ERR_REPLAYED);
    ck_assert_int_eq(opened(b, &p[99]), 0);
    ck_assert_int_eq(opened(b, &p[129]), 0);
    ck_assert_int_eq(opened(b, &p[100]), ERR_REPLAYED); /* moved along, still remembered */
    ck_assert_int_eq(opened(b, &p[99]), ERR_REPLAYED);
    ck_assert_int_eq(opened(b, &p[98]), 0);
    ck_assert_int_eq(opened(b, &p[65]), ERR_REPLAYED);
    ck_assert_int_eq(opened(b, &p[66]), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

/* The window against a plain set, for random orders. */
START_TEST(a_window_remembers_like_a_set)
{
    struct rng rng;
    bool seen[600] = {false};
    struct seal_window w = {0};
    uint64_t top = 0;
    bool any = false;
    rng_init(&rng, unit_seed("a_window_remembers_like_a_set", 5));
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t counter = rng_below(&rng, NUM_MIN(600, i / 30 + 70));
        bool old = any && counter <= top && top - counter >= GOSSIP_REPLAY_PACKETS;
        ck_assert(gossip_seal_window_seen(&w, counter) == (seen[counter] || old));
        if (!seen[counter] && !old) {
            gossip_seal_window_add(&w, counter);
            seen[counter] = true;
            top = any ? NUM_MAX(top, counter) : counter;
            any = true;
        }
    }
    /* far ahead, and at the end of the numbers */
    gossip_seal_window_add(&w, UINT64_MAX - 1);
    ck_assert(gossip_seal_window_seen(&w, UINT64_MAX - 65));
    ck_assert(!gossip_seal_window_seen(&w, UINT64_MAX - 64));
    ck_assert(!gossip_seal_window_seen(&w, UINT64_MAX));
}
END_TEST

START_TEST(a_stream_is_not_overtaken_by_datagrams)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct packet late = sealed_on(a, GOSSIP_STREAM, 2, TEXT);
    for (unsigned i = 0; i < 200; i++) {
        struct packet p = sealed(a, 2, TEXT);
        ck_assert_int_eq(opened(b, &p), 0);
    }
    ck_assert_int_eq(open_on(b, GOSSIP_STREAM, &late, NULL), 0);
    ck_assert_int_eq(open_on(b, GOSSIP_STREAM, &late, NULL), ERR_REPLAYED);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(a_newer_epoch_is_believed_only_when_the_packet_opened)
{
    struct gossip_seal *b = node_new(2);
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *again = node_at(cluster_a, 1, 5);
    struct packet first = sealed(a, 2, TEXT);
    struct packet p = sealed(again, 2, TEXT);
    ck_assert_int_eq(opened(b, &first), 0);
    struct seal_sender was = belief(b, 1);
    p.data[40] ^= 1;
    ck_assert_int_eq(opened(b, &p), ERR_CORRUPT);
    same_belief(b, 1, &was);
    ck_assert_int_eq(memcmp(belief(b, 1).derived, was.derived, sizeof(was.derived)), 0);
    p.data[40] ^= 1;
    ck_assert_int_eq(opened(b, &p), 0);
    struct packet second = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &second), ERR_FENCED);
    ck_assert_int_eq(opened(b, &first), ERR_FENCED);
    ck_assert_uint_eq(counts(b).old_epoch, 2);
    ck_assert_int_eq(opened(b, &p), ERR_REPLAYED);
    gossip_seal_free(a);
    gossip_seal_free(again);
    gossip_seal_free(b);
}
END_TEST

START_TEST(a_packet_for_an_earlier_start_is_authentic_and_not_believed) /* scenario G25 */
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *before = node_new(2);
    struct packet captured = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(before, &captured), 0);
    struct gossip_seal *b = node_at(cluster_a, 2, 2); /* has forgotten its windows */
    struct seal_sender was = belief(b, 1);
    struct gossip_opened o;
    ck_assert_int_eq(open_on(b, GOSSIP_DATAGRAM, &captured, &o), ERR_BEHIND);
    ck_assert_uint_eq(o.sender, 1);
    ck_assert_uint_eq(o.text.size, 0);
    ck_assert_uint_eq(counts(b).stale, 1);
    same_belief(b, 1, &was);
    ck_assert_uint_eq(gossip_seal_key_of(b, 1), 0);
    for (unsigned i = 0; i < 5; i++) { /* one greeting at most */
        ck_assert_int_eq(opened(b, &captured), ERR_REPLAYED);
    }
    /* the header is authenticated: it cannot be turned to the new start */
    num_put_u64(captured.data + 24, 2);
    ck_assert_int_eq(opened(b, &captured), ERR_CORRUPT);
    gossip_seal_free(a);
    gossip_seal_free(b);
    gossip_seal_free(before);
}
END_TEST

START_TEST(a_greeting_tells_the_sender_of_the_new_start)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_at(cluster_a, 2, 2);
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), ERR_BEHIND);
    struct packet greeting = sealed(b, 1, "");
    ck_assert_uint_le(greeting.size, p.size);
    struct gossip_opened o;
    ck_assert_int_eq(open_on(a, GOSSIP_DATAGRAM, &greeting, &o), 0);
    ck_assert_uint_eq(o.text.size, 0);
    ck_assert_uint_eq(o.epoch, 2);
    p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(two_nodes_that_both_restarted_find_each_other)
{
    struct gossip_seal *a = node_at(cluster_a, 1, 8);
    struct gossip_seal *b = node_at(cluster_a, 2, 6);
    struct packet p = sealed(a, 2, TEXT); /* both know epoch 1 of each other */
    ck_assert_int_eq(opened(b, &p), ERR_BEHIND);
    p = sealed(b, 1, "");
    ck_assert_int_eq(opened(a, &p), 0); /* b answers the start that greeted it */
    p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), 0);
    p = sealed(b, 1, TEXT);
    ck_assert_int_eq(opened(a, &p), 0);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(a_captured_greeting_of_a_dead_start_ends_in_two_packets)
{
    struct gossip_seal *before = node_at(cluster_a, 1, 3);
    struct packet captured = sealed(before, 2, TEXT);
    struct gossip_seal *a = node_at(cluster_a, 1, 4);
    struct gossip_seal *b = node_at(cluster_a, 2, 2);
    ck_assert_int_eq(opened(b, &captured), ERR_BEHIND);
    struct packet p = sealed(b, 1, "");
    ck_assert_int_eq(opened(a, &p), ERR_BEHIND); /* for its start 3, it has start 4 */
    p = sealed(a, 2, "");
    ck_assert_int_eq(opened(b, &p), 0);
    ck_assert_uint_eq(belief(b, 1).epoch, 4);
    gossip_seal_free(a);
    gossip_seal_free(b);
    gossip_seal_free(before);
}
END_TEST

START_TEST(the_roster_raises_epochs_and_never_lowers_them)
{
    struct gossip_seal *a = node_at(cluster_a, 1, 5);
    struct gossip_seal *b = node_new(2);
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_int_eq(gossip_seal_sender(b, 1, 1, 6), 0);
    ck_assert_int_eq(opened(b, &p), ERR_FENCED);
    ck_assert_int_eq(gossip_seal_sender(b, 1, 1, 2), 0);
    ck_assert_int_eq(opened(b, &p), ERR_FENCED);
    ck_assert_int_eq(gossip_seal_sender(b, 1, 0, 2), 0); /* an earlier incarnation */
    ck_assert_int_eq(opened(b, &p), ERR_FENCED);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(a_new_incarnation_begins_anew_and_the_old_one_is_not_taken_for_it)
{
    struct gossip_seal *a = node_at(cluster_a, 1, 5);
    struct gossip_seal *b = node_new(2);
    struct packet first = sealed(a, 2, TEXT);
    struct packet second = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &first), 0);
    ck_assert_int_eq(gossip_seal_sender(b, 1, 2, 1), 0);
    ck_assert_uint_eq(belief(b, 1).epoch, 1);
    ck_assert_int_eq(opened(b, &second), ERR_CORRUPT); /* its key was of incarnation 1 */
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(who_is_not_in_the_roster_is_not_heard)
{
    struct gossip_seal *a = node_at(cluster_a, 5, 1);
    struct gossip_seal *b = node_new(2);
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), ERR_NOT_FOUND);
    ck_assert_int_eq(gossip_seal_sender(b, 5, 1, 1), 0);
    ck_assert_int_eq(opened(b, &p), 0);
    gossip_seal_forget(b, 5);
    gossip_seal_forget(b, 5);
    p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), ERR_NOT_FOUND);
    p = sealed(b, 2, TEXT); /* its own, sent back to it */
    ck_assert_int_eq(opened(b, &p), ERR_NOT_FOUND);
    ck_assert_uint_eq(counts(b).unknown_sender, 3);
    p = sealed(b, 4, TEXT);
    ck_assert_uint_eq(b->senders_count, 4);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

START_TEST(the_roster_has_its_bound)
{
    struct gossip_seal *a = node_new(1);
    for (uint32_t id = 5; id <= 8; id++) {
        ck_assert_int_eq(gossip_seal_sender(a, id, 1, 1), 0);
    }
    ck_assert_int_eq(gossip_seal_sender(a, 9, 1, 1), ERR_BUSY);
    ck_assert_int_eq(gossip_seal_sender(a, 0, 1, 1), ERR_INVALID);
    ck_assert_int_eq(gossip_seal_sender(a, 8, 2, 1), 0);
    gossip_seal_free(a);
}
END_TEST

START_TEST(a_keyring_that_contradicts_itself_changes_nothing)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_key ring[GOSSIP_KEYS_MAX + 1];
    for (uint16_t i = 0; i <= GOSSIP_KEYS_MAX; i++) {
        ring[i] = key_of((uint16_t)(i + 1), GOSSIP_KEY_INSTALLED);
    }
    ck_assert_int_eq(gossip_seal_keys(a, ring, 2), ERR_INVALID); /* none is used */
    ring[0].state = GOSSIP_KEY_USED;
    ring[1].state = GOSSIP_KEY_USED;
    ck_assert_int_eq(gossip_seal_keys(a, ring, 2), ERR_INVALID);
    ring[1].state = GOSSIP_KEY_OLD;
    ck_assert_int_eq(gossip_seal_keys(a, ring, GOSSIP_KEYS_MAX + 1), ERR_INVALID);
    ring[1].number = 1;
    ck_assert_int_eq(gossip_seal_keys(a, ring, 2), ERR_INVALID);
    ring[1].number = 0;
    ck_assert_int_eq(gossip_seal_keys(a, ring, 2), ERR_INVALID);
    ring[1].number = 2;
    ring[1].state = 9;
    ck_assert_int_eq(gossip_seal_keys(a, ring, 2), ERR_INVALID);
    ck_assert_int_eq(gossip_seal_keys(a, ring, 0), ERR_INVALID);
    ck_assert_uint_eq(a->keys_count, 1);
    ck_assert_uint_eq(a->used->number, 1);
    gossip_seal_free(a);
}
END_TEST

START_TEST(nothing_is_sealed_without_a_key_or_a_counter)
{
    struct alloc heap = alloc_heap();
    struct gossip_seal *a = NULL;
    struct gossip_seal_options options = {
        .self = 1, .incarnation = 1, .epoch = 1, .senders_max = 1, .cipher = fake_cipher(&fake)};
    struct gossip_key key = key_of(1, GOSSIP_KEY_USED);
    struct buf out;
    buf_init(&out, &heap, 100);
    ck_assert_int_eq(gossip_seal_new(&a, &options, &heap), 0);
    ck_assert_int_eq(gossip_seal_close(a, GOSSIP_DATAGRAM, 2, bytes_of_text(""), &out),
                     ERR_STARTING);
    ck_assert_int_eq(gossip_seal_keys(a, &key, 1), 0);
    a->counter[0] = UINT64_MAX - 1;
    ck_assert_int_eq(gossip_seal_close(a, GOSSIP_DATAGRAM, 2, bytes_of_text(""), &out), 0);
    ck_assert_int_eq(gossip_seal_close(a, GOSSIP_DATAGRAM, 2, bytes_of_text(""), &out),
                     ERR_OVERFLOW);
    ck_assert_int_eq(gossip_seal_close(a, GOSSIP_STREAM, 2, bytes_of_text("12345"), &out),
                     ERR_TOO_LARGE);
    ck_assert_uint_eq(out.size, GOSSIP_SEAL_BYTES);
    buf_clear(&out);
    fake.fail = ERR_NO_MEMORY;
    ck_assert_int_eq(gossip_seal_close(a, GOSSIP_STREAM, 2, bytes_of_text("12345"), &out),
                     ERR_NO_MEMORY);
    fake.fail = 0;
    ck_assert_uint_eq(out.size, 0);
    ck_assert_uint_eq(a->counter[1], 1); /* the counter of the failed one is not used again */
    buf_release(&out);
    gossip_seal_free(a);
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused)
{
    struct alloc heap = alloc_heap();
    struct gossip_seal *a = NULL;
    const struct gossip_seal_options good = {
        .self = 1, .incarnation = 1, .epoch = 1, .senders_max = 1, .cipher = fake_cipher(&fake)};
    struct gossip_seal_options o = good;
    o.self = 0;
    ck_assert_int_eq(gossip_seal_new(&a, &o, &heap), ERR_INVALID);
    o = good;
    o.epoch = 0;
    ck_assert_int_eq(gossip_seal_new(&a, &o, &heap), ERR_INVALID);
    o = good;
    o.cipher.open = NULL;
    ck_assert_int_eq(gossip_seal_new(&a, &o, &heap), ERR_INVALID);
    gossip_seal_free(NULL);
}
END_TEST

START_TEST(every_allocation_that_fails_is_told)
{
    struct gossip_seal *a = NULL;
    const struct gossip_seal_options good = {
        .self = 1, .incarnation = 1, .epoch = 1, .senders_max = 3, .cipher = fake_cipher(&fake)};
    for (uint64_t at = 1; at <= 3; at++) {
        struct alloc_budget budget;
        struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        budget.fail_at = at;
        int err = gossip_seal_new(&a, &good, &alloc);
        ck_assert_int_eq(err, at <= 2 ? ERR_NO_MEMORY : 0);
        if (err == 0) {
            gossip_seal_free(a);
        }
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
}
END_TEST

START_TEST(keys_are_derived_once_a_sender_epoch_and_key)
{
    struct gossip_seal *a = node_new(1);
    struct gossip_seal *b = node_new(2);
    struct packet p = sealed(a, 2, TEXT);
    ck_assert_int_eq(opened(b, &p), 0);
    uint64_t derived = fake.derived;
    for (unsigned i = 0; i < 100; i++) {
        p = sealed(a, 2, TEXT);
        ck_assert_int_eq(opened(b, &p), 0);
    }
    ck_assert_uint_eq(fake.derived, derived);
    gossip_seal_free(a);
    gossip_seal_free(b);
}
END_TEST

UNIT_MAIN("gossip_seal", what_was_sealed_opens_at_its_destination,
          the_header_is_what_the_contract_says,
          another_cluster_destination_or_channel_does_not_open,
          no_flipped_bit_and_no_cut_opens_or_moves_anything, a_packet_opens_once,
          packets_may_overtake_each_other_by_63, a_window_remembers_like_a_set,
          a_stream_is_not_overtaken_by_datagrams,
          a_newer_epoch_is_believed_only_when_the_packet_opened,
          a_packet_for_an_earlier_start_is_authentic_and_not_believed,
          a_greeting_tells_the_sender_of_the_new_start,
          two_nodes_that_both_restarted_find_each_other,
          a_captured_greeting_of_a_dead_start_ends_in_two_packets,
          the_roster_raises_epochs_and_never_lowers_them,
          a_new_incarnation_begins_anew_and_the_old_one_is_not_taken_for_it,
          who_is_not_in_the_roster_is_not_heard, the_roster_has_its_bound,
          a_keyring_that_contradicts_itself_changes_nothing,
          nothing_is_sealed_without_a_key_or_a_counter, options_that_make_no_sense_are_refused,
          every_allocation_that_fails_is_told, keys_are_derived_once_a_sender_epoch_and_key)
