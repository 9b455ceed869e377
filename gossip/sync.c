/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Push-pull over streams: two nodes make their tables equal. By default one hash is compared first,
 * then those of the buckets, and only records and facts of buckets that differ are sent, in pages;
 * what does not fit in one round is sent in the next, from another place on. Whole syncs send all.
 *
 *   asker                         answerer
 *   ASK hash            ------->
 *                       <-------  ANSWER equal or busy, or BUCKETS
 *   WANT, pages, END    ------->
 *                       <-------  pages, END
 *
 * The dead are asked too, now and then: a partition heals by itself.
 */
#include "gossip/gossip_internal.h"

#define SYNC_CHANGES_LEAST 32u
#define SYNC_HURRY_US 5000000u
#define SYNC_RETRY_US 1000000u
#define SYNC_START_US_EACH 10000u /* the first ones of a cluster spread over so much a member */
#define SYNC_END_BYTES 5u

static uint64_t sync_digest(const struct gossip *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 1u << g->bucket_bits; i++) {
        sum += g->buckets[i] + g->fact_buckets[i];
    }
    return sum;
}

static struct gossip_out *sync_out(struct gossip *g, struct gossip_sync *s, enum gossip_type type)
{
    struct gossip_out *o = gossip_out_add(g, s->peer, type, GOSSIP_STREAM);
    if (o == NULL) {
        s->peer = 0;
        return NULL;
    }
    o->arg = (uint8_t)(s - g->syncs);
    o->seq = s->id;
    return o;
}

static void sync_pages(struct gossip *g, struct gossip_sync *s)
{
    s->sending = true;
    s->start = (uint32_t)rng_below(&g->rng, g->count);
    s->end_us = g->now_us + GOSSIP_SYNC_WAIT_US;
    (void)sync_out(g, s, GOSSIP_TYPE_SYNC_END);
}

static void sync_ask(struct gossip *g, uint32_t place, uint32_t peer)
{
    struct gossip_sync *s = &g->syncs[place];
    if (s->peer != 0 && s->end_us > g->now_us) {
        return;
    }
    *s = (struct gossip_sync){.peer = peer,
                              .id = ++g->sync_id,
                              .end_us = g->now_us + GOSSIP_SYNC_WAIT_US,
                              .whole = g->rules.sync_whole,
                              .token_least = g->token};
    g->counters.syncs++;
    if (sync_out(g, s, GOSSIP_TYPE_SYNC_ASK) != NULL && s->whole) {
        sync_pages(g, s);
    }
}

void gossip_sync_tick(struct gossip *g)
{
    uint32_t peer = 0;
    g->sync_us = g->now_us + g->sync_period_us;
    g->changes = 0;
    if (gossip_members_random(g, GOSSIP_CHOOSE_ALIVE, 0, 1, &peer) == 1) {
        sync_ask(g, 0, peer);
    }
    if (!g->rules.sync_whole && g->dead_count > 0 &&
        gossip_members_random(g, GOSSIP_CHOOSE_DEAD, 0, 1, &peer) == 1) {
        sync_ask(g, 1, peer);
    }
    gossip_members_reap(g);
}

/* So much changes at once that rumors, bounded as they are, may not bring all of it everywhere in
 * time: tables are compared soon, and once more after it. */
void gossip_sync_hurry(struct gossip *g)
{
    bool many = g->changes > NUM_MAX(SYNC_CHANGES_LEAST, g->count / 8u);
    if (!many || g->rules.sync_whole || g->sync_us - g->now_us <= SYNC_HURRY_US) {
        return;
    }
    g->sync_us = g->now_us + rng_between(&g->rng, SYNC_HURRY_US / 2u, SYNC_HURRY_US);
}

static struct gossip_sync *sync_free(struct gossip *g)
{
    for (uint32_t i = GOSSIP_SYNCS_OWN; i < GOSSIP_SYNCS_MAX; i++) {
        if (g->syncs[i].peer == 0 || g->syncs[i].end_us <= g->now_us) {
            return &g->syncs[i];
        }
    }
    return NULL;
}

static void sync_refuse(struct gossip *g, uint32_t peer, uint32_t id, enum gossip_answer code)
{
    struct gossip_out *o = gossip_out_add(g, peer, GOSSIP_TYPE_SYNC_ANSWER, GOSSIP_STREAM);
    if (o != NULL) {
        o->seq = id;
        o->arg = (uint8_t)code;
    }
}

void gossip_sync_asked(struct gossip *g, uint32_t sender, struct bytes body)
{
    uint32_t id = num_get_u32(body.data);
    bool whole = body.data[4] != 0;
    if (!whole && num_get_u64(body.data + 5) == sync_digest(g)) {
        sync_refuse(g, sender, id, GOSSIP_ANSWER_EQUAL);
        return;
    }
    struct gossip_sync *s = sync_free(g);
    if (s == NULL) {
        sync_refuse(g, sender, id, GOSSIP_ANSWER_BUSY);
        return;
    }
    *s = (struct gossip_sync){.peer = sender,
                              .id = id,
                              .end_us = g->now_us + GOSSIP_SYNC_WAIT_US,
                              .whole = whole,
                              .token_least = g->token};
    if (whole) {
        sync_pages(g, s);
    } else {
        (void)sync_out(g, s, GOSSIP_TYPE_SYNC_BUCKETS);
    }
}

static struct gossip_sync *sync_of(struct gossip *g, uint32_t peer, uint32_t id, bool own)
{
    uint32_t from = own ? 0 : GOSSIP_SYNCS_OWN;
    uint32_t to = own ? GOSSIP_SYNCS_OWN : GOSSIP_SYNCS_MAX;
    for (uint32_t i = from; i < to; i++) {
        if (g->syncs[i].peer == peer && g->syncs[i].id == id) {
            return &g->syncs[i];
        }
    }
    return NULL;
}

void gossip_sync_soon(struct gossip *g)
{
    uint64_t wait = rng_between(&g->rng, SYNC_RETRY_US, 3 * SYNC_RETRY_US);
    g->sync_us = NUM_MIN(g->sync_us, g->now_us + wait);
}

void gossip_sync_answered(struct gossip *g, uint32_t sender, struct bytes body)
{
    struct gossip_sync *s = sync_of(g, sender, num_get_u32(body.data), true);
    if (s == NULL) {
        return;
    }
    s->peer = 0;
    if (body.data[4] == GOSSIP_ANSWER_BUSY) {
        gossip_sync_soon(g);
    }
}

/* A table of 2^bits sums folds to fewer bits by adding neighbours: buckets are an id's top bits. */
static uint64_t sync_bucket(const struct gossip *g, uint32_t bits, uint32_t bucket)
{
    uint32_t shift = g->bucket_bits - bits;
    uint64_t sum = 0;
    for (uint32_t i = bucket << shift; i < (bucket + 1) << shift; i++) {
        sum += g->buckets[i] + g->fact_buckets[i];
    }
    return sum;
}

static uint64_t sync_bucket_heard(const uint8_t *at, uint32_t shift, uint32_t bucket)
{
    uint64_t sum = 0;
    for (uint32_t i = bucket << shift; i < (bucket + 1) << shift; i++) {
        sum += num_get_u64(at + 8ul * i);
    }
    return sum;
}

void gossip_sync_buckets(struct gossip *g, uint32_t sender, struct bytes body)
{
    struct gossip_sync *s = sync_of(g, sender, num_get_u32(body.data), true);
    if (s == NULL || s->sending) {
        return;
    }
    uint32_t heard_bits = body.data[4];
    s->bits = (uint8_t)NUM_MIN(heard_bits, g->bucket_bits);
    memset(s->wanted, 0, sizeof(s->wanted));
    for (uint32_t i = 0; i < 1u << s->bits; i++) {
        if (sync_bucket_heard(body.data + 5, heard_bits - s->bits, i) !=
            sync_bucket(g, s->bits, i)) {
            s->wanted[i / 64] |= 1ull << (i % 64);
        }
    }
    s->want_pending = true;
    sync_pages(g, s);
}

void gossip_sync_wanted(struct gossip *g, uint32_t sender, struct bytes body)
{
    struct gossip_sync *s = sync_of(g, sender, num_get_u32(body.data), false);
    if (s == NULL || s->sending) {
        return;
    }
    s->bits = body.data[4];
    memset(s->wanted, 0, sizeof(s->wanted));
    for (uint32_t i = 0; i < 1u << s->bits; i++) {
        if ((body.data[5 + i / 8] & (1u << (i % 8))) != 0) {
            s->wanted[i / 64] |= 1ull << (i % 64);
        }
    }
    sync_pages(g, s);
}

void gossip_sync_ended(struct gossip *g, uint32_t sender, struct bytes body)
{
    struct gossip_sync *s = sync_of(g, sender, num_get_u32(body.data), true);
    if (s == NULL) {
        return;
    }
    s->answered = true;
    if (body.data[4] != 0) {
        gossip_sync_soon(g); /* there is more */
    }
    if (!s->sending) {
        s->peer = 0;
    }
}

void gossip_sync_failed(struct gossip *g, uint64_t token)
{
    uint32_t place = (uint32_t)(token & 255u);
    if (place == 0 || place > GOSSIP_SYNCS_MAX) {
        return;
    }
    struct gossip_sync *s = &g->syncs[place - 1];
    if (s->peer != 0 && token >= s->token_least) {
        s->peer = 0;
        g->counters.streams_failed++;
        if (place == 1 && !g->rules.sync_whole) {
            gossip_sync_soon(g); /* with another: the first of a start must not fail for minutes */
        }
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static bool sync_wants(const struct gossip_sync *s, uint32_t id)
{
    uint32_t bucket = gossip_bucket_of(id, s->bits);
    return s->whole || (s->wanted[bucket / 64] & (1ull << (bucket % 64))) != 0;
}

/* returns: whether all were written. */
static bool sync_write_members(struct gossip *g, struct gossip_sync *s, struct gossip_writer *w)
{
    for (; s->walked < g->count; s->walked++) {
        const struct gossip_entry *e = &g->entries[(s->start + s->walked) % g->count];
        if (e->state == GOSSIP_REMOVED || !sync_wants(s, e->id)) {
            continue;
        }
        struct gossip_record record;
        gossip_record_of(g, e, 0, &record);
        if (!gossip_write_record(w, &record)) {
            return false;
        }
    }
    return true;
}

static bool sync_write_facts(struct gossip *g, struct gossip_sync *s, struct gossip_writer *w)
{
    for (; s->fact_walked < g->facts.count; s->fact_walked++) {
        uint64_t place = ((uint64_t)s->start + s->fact_walked) % g->facts.count;
        const struct gossip_fact *fact = &g->facts.items[place];
        if (fact->version != 0 && sync_wants(s, fact->member) && !gossip_facts_write(g, w, fact)) {
            return false;
        }
    }
    return true;
}

static void sync_write_want(const struct gossip_sync *s, struct gossip_writer *w)
{
    size_t bytes = ((1ul << s->bits) + 7) / 8;
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_SYNC_WANT, 5 + bytes);
    ASSERT(at != NULL); /* bucket_bits are chosen so that it fits */
    num_put_u32(at, s->id);
    at[4] = s->bits;
    for (size_t i = 0; i < bytes; i++) {
        at[5 + i] = (uint8_t)(s->wanted[i / 8] >> (8 * (i % 8)));
    }
}

static bool sync_write_page(struct gossip *g, struct gossip_sync *s, struct gossip_writer *w)
{
    size_t room = GOSSIP_PART_BYTES + SYNC_END_BYTES;
    if (s->want_pending) {
        sync_write_want(s, w);
        s->want_pending = false;
    }
    w->cap -= room;
    w->parts_max--;
    bool all = sync_write_members(g, s, w) && sync_write_facts(g, s, w);
    w->cap += room;
    w->parts_max++;
    s->pages = (uint8_t)NUM_MIN(s->pages + 1u, UINT8_MAX);
    if (!all && (s->whole || s->pages < GOSSIP_SYNC_PAGES_MAX)) {
        return true;
    }
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_SYNC_END, SYNC_END_BYTES);
    ASSERT(at != NULL);
    num_put_u32(at, s->id);
    at[4] = !all;
    s->sending = false;
    if (s - g->syncs >= GOSSIP_SYNCS_OWN || s->answered) {
        s->peer = 0;
    }
    return false;
}

static void sync_write_buckets(const struct gossip *g, uint32_t id, struct gossip_writer *w)
{
    uint32_t buckets = 1u << g->bucket_bits;
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_SYNC_BUCKETS, 5 + 8ul * buckets);
    ASSERT(at != NULL); /* bucket_bits are chosen so that it fits */
    num_put_u32(at, id);
    at[4] = (uint8_t)g->bucket_bits;
    for (uint32_t i = 0; i < buckets; i++) {
        num_put_u64(at + 5 + 8ul * i, g->buckets[i] + g->fact_buckets[i]);
    }
}

bool gossip_sync_write(struct gossip *g, const struct gossip_out *o, struct gossip_writer *w)
{
    uint8_t *at = NULL;
    switch (o->type) {
    case GOSSIP_TYPE_SYNC_ASK:
        at = gossip_write_part(w, GOSSIP_TYPE_SYNC_ASK, 13);
        ASSERT(at != NULL);
        num_put_u32(at, o->seq);
        at[4] = g->rules.sync_whole;
        num_put_u64(at + 5, sync_digest(g));
        return false;
    case GOSSIP_TYPE_SYNC_ANSWER:
        at = gossip_write_part(w, GOSSIP_TYPE_SYNC_ANSWER, 5);
        ASSERT(at != NULL);
        num_put_u32(at, o->seq);
        at[4] = o->arg;
        return false;
    case GOSSIP_TYPE_SYNC_BUCKETS: sync_write_buckets(g, o->seq, w); return false;
    default: break;
    }
    struct gossip_sync *s = &g->syncs[o->arg];
    if (s->peer != o->peer || s->id != o->seq || !s->sending) {
        return false; /* given up since */
    }
    return sync_write_page(g, s, w);
}
