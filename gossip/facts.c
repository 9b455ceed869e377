/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Facts: values that members tell of themselves; the newest version wins. One place for each
 * (member, kind), so that a storm of updates is one item to tell. Values lie in an arena that is
 * packed when it is full. They ride on probes and their answers, after everything else, as many
 * bytes a second as the options allow, each in its turn. Those of prompt kinds go first, a lower
 * kind before a higher one, are told by rounds of gossip too, and have a budget of their own: a
 * busy cluster hardly probes, and what is waited for must not stand behind what is only looked at.
 */
#include "gossip/gossip_internal.h"

#define FACT_FIXED_BYTES 13u /* member 4, kind 1, version 8 */
#define FACT_BURST_BYTES 2048u
/* The budget of prompt kinds next to that of the others: it grows with the members, all of which
 * may have something to tell at once. */
#define FACT_PROMPT_SHARES_LEAST 4u
#define FACT_PROMPT_SHARES_MOST 64u
#define FACT_PROMPT_MORE 4u /* times that they are told, so that hardly any waits for a sync */
#define FACT_BYTES_EACH 64u /* of the arena, for one place in the table */
#define FACT_MEMORY_USUAL 65536u

/* prompt: 1 of the budget of those kinds, 0 of the others'. */
static uint64_t fact_shares(const struct gossip *g, unsigned prompt)
{
    uint64_t shares = NUM_MAX(g->roster_count, FACT_PROMPT_SHARES_LEAST);
    return prompt == 0 ? 1 : NUM_MIN(shares, FACT_PROMPT_SHARES_MOST);
}

/* returns: bytes times 10^6. */
static uint64_t fact_burst(const struct gossip *g, unsigned prompt)
{
    uint64_t bytes = NUM_MAX(FACT_BURST_BYTES, g->options.facts_bytes_second);
    return 1000000ull * bytes * fact_shares(g, prompt);
}

int gossip_facts_init(struct gossip *g)
{
    struct gossip_facts *f = &g->facts;
    uint32_t bytes = g->options.facts_memory_bytes;
    f->arena_cap = (uint32_t)num_round_up(NUM_MAX(bytes, 4u * GOSSIP_FACT_BYTES_MAX), 8);
    f->cap = 16;
    while (f->cap * FACT_BYTES_EACH < f->arena_cap) {
        f->cap *= 2;
    }
    f->arena = alloc_get(&g->alloc, f->arena_cap);
    f->items = alloc_get(&g->alloc, sizeof(*f->items) * f->cap);
    f->index = alloc_get_zeroed(&g->alloc, f->cap, sizeof(*f->index));
    f->tokens_us = g->now_us;
    f->tokens[0] = fact_burst(g, 0);
    f->tokens[1] = fact_burst(g, 1);
    f->counter = 0;
    return f->arena == NULL || f->items == NULL || f->index == NULL ? ERR_NO_MEMORY : 0;
}

void gossip_facts_release(struct gossip *g)
{
    struct gossip_facts *f = &g->facts;
    alloc_put(&g->alloc, f->arena, f->arena_cap);
    alloc_put(&g->alloc, f->items, sizeof(*f->items) * f->cap);
    alloc_put(&g->alloc, f->index, sizeof(*f->index) * f->cap);
}

static uint32_t *fact_chain(const struct gossip *g, uint32_t member, uint32_t kind)
{
    uint64_t h = hash_mix(((uint64_t)member << 8) | kind);
    return &g->facts.index[h & (g->facts.cap - 1)];
}

static struct gossip_fact *fact_of(const struct gossip *g, uint32_t member, uint32_t kind)
{
    uint32_t place = *fact_chain(g, member, kind);
    while (place != 0) {
        struct gossip_fact *fact = &g->facts.items[place - 1];
        if (fact->member == member && fact->kind == kind) {
            return fact;
        }
        place = fact->next_hash;
    }
    return NULL;
}

static uint64_t fact_hash(const struct gossip_fact *fact)
{
    return hash_mix(hash_mix(((uint64_t)fact->member << 8) | fact->kind | 1ull << 40) ^
                    fact->version);
}

static void fact_add_hash(struct gossip *g, const struct gossip_fact *fact, bool add)
{
    uint64_t *bucket = &g->fact_buckets[gossip_bucket_of(fact->member, g->bucket_bits)];
    *bucket += add ? fact_hash(fact) : 0 - fact_hash(fact);
}

/* Values move down over the room of those that were replaced, in the order in which they lie. */
static void facts_pack(struct gossip *g)
{
    struct gossip_facts *f = &g->facts;
    uint32_t used = 0;
    uint32_t at = 0;
    while (at < f->arena_used) {
        uint32_t place = num_get_u32(f->arena + at);
        uint32_t room = num_get_u32(f->arena + at + 4);
        struct gossip_fact *fact = &f->items[place];
        bool lives = place < f->count && fact->offset == at + 8;
        if (lives) {
            memmove(f->arena + used, f->arena + at, 8u + room);
            fact->offset = used + 8;
            used += 8 + room;
        }
        at += 8 + room;
    }
    f->arena_used = used;
}

static bool fact_room(struct gossip *g, struct gossip_fact *fact, size_t bytes)
{
    struct gossip_facts *f = &g->facts;
    if (fact->room >= bytes && fact->offset != 0) {
        return true;
    }
    uint32_t room = (uint32_t)num_round_up(NUM_MAX(bytes, 8), 8);
    if (f->arena_cap - f->arena_used < 8 + room) {
        facts_pack(g);
    }
    if (f->arena_cap - f->arena_used < 8 + room) {
        return false;
    }
    num_put_u32(f->arena + f->arena_used, (uint32_t)(fact - f->items));
    num_put_u32(f->arena + f->arena_used + 4, room);
    fact->offset = f->arena_used + 8;
    fact->room = (uint16_t)room;
    f->arena_used += 8 + room;
    return true;
}

/* Those of prompt kinds have one each, all others have one together. */
static uint32_t fact_queue_of(const struct gossip_fact *fact)
{
    return NUM_MIN(fact->kind, GOSSIP_FACT_PROMPT);
}

static void fact_unqueue(struct gossip *g, struct gossip_fact *fact)
{
    struct gossip_facts *f = &g->facts;
    if (!fact->queued) {
        return;
    }
    *(fact->prev != 0 ? &f->items[fact->prev - 1].next : &f->head[fact_queue_of(fact)]) =
        fact->next;
    *(fact->next != 0 ? &f->items[fact->next - 1].prev : &f->tail[fact_queue_of(fact)]) =
        fact->prev;
    fact->queued = false;
}

static void fact_queue(struct gossip *g, struct gossip_fact *fact)
{
    struct gossip_facts *f = &g->facts;
    uint32_t place = (uint32_t)(fact - f->items) + 1;
    uint32_t *tail = &f->tail[fact_queue_of(fact)];
    fact->next = 0;
    fact->prev = *tail;
    *(*tail != 0 ? &f->items[*tail - 1].next : &f->head[fact_queue_of(fact)]) = place;
    *tail = place;
    fact->queued = true;
    if (fact->kind < GOSSIP_FACT_PROMPT) {
        gossip_round_wake(g);
    }
}

static struct gossip_fact *fact_new(struct gossip *g, uint32_t member, uint32_t kind)
{
    struct gossip_facts *f = &g->facts;
    if (f->count == f->cap) {
        return NULL;
    }
    struct gossip_fact *fact = &f->items[f->count++];
    uint32_t *chain = fact_chain(g, member, kind);
    *fact = (struct gossip_fact){.member = member, .kind = (uint8_t)kind, .next_hash = *chain};
    *chain = f->count;
    return fact;
}

/* returns: the fact, or NULL if it is no newer or does not fit. */
static struct gossip_fact *fact_put(struct gossip *g, uint32_t member, uint32_t kind,
                                    uint64_t version, struct bytes value)
{
    struct gossip_fact *fact = fact_of(g, member, kind);
    if (fact != NULL && fact->version >= version) {
        return NULL;
    }
    if (fact == NULL) {
        fact = fact_new(g, member, kind);
    }
    if (fact == NULL || !fact_room(g, fact, value.size)) {
        g->counters.queue_dropped++;
        return NULL;
    }
    if (fact->version != 0) {
        fact_add_hash(g, fact, false);
    }
    fact->version = version;
    fact->size = (uint16_t)value.size;
    if (value.size > 0) {
        memcpy(g->facts.arena + fact->offset, value.data, value.size);
    }
    fact_add_hash(g, fact, true);
    fact->sent = 0;
    if (!fact->queued) {
        fact_queue(g, fact);
    }
    return fact;
}

int gossip_fact_set(struct gossip *g, uint32_t kind, struct bytes value, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    if (kind >= GOSSIP_FACT_KINDS) {
        return ERR_INVALID;
    }
    if (value.size > GOSSIP_FACT_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    /* The epoch above the counter: a new start's first version is newer than all before. */
    uint64_t epoch = NUM_MIN(g->options.epoch, UINT32_MAX);
    uint64_t version = (epoch << 32) | ++g->facts.counter;
    const struct gossip_fact *old = fact_of(g, g->options.self, kind);
    if (old != NULL && old->version >= version) {
        version = old->version + 1; /* its counter ran over, or another claimed more */
    }
    return fact_put(g, g->options.self, kind, version, value) != NULL ? 0 : ERR_TOO_LARGE;
}

int gossip_fact_get(const struct gossip *g, uint32_t member, uint32_t kind, uint64_t *version,
                    struct bytes *value)
{
    const struct gossip_fact *fact = fact_of(g, member, kind);
    if (fact == NULL || fact->version == 0) {
        return ERR_NOT_FOUND;
    }
    *version = fact->version;
    *value = bytes_of(g->facts.arena + fact->offset, fact->size);
    return 0;
}

void gossip_facts_take(struct gossip *g, uint32_t member, struct bytes body)
{
    (void)member;
    uint32_t owner = num_get_u32(body.data);
    uint32_t kind = body.data[4];
    struct bytes value = bytes_of(body.data + FACT_FIXED_BYTES, body.size - FACT_FIXED_BYTES);
    g->counters.facts_in++;
    if (owner == g->options.self || kind >= GOSSIP_FACT_KINDS ||
        gossip_entry_of(g, owner) == NULL) {
        return;
    }
    struct gossip_fact *fact = fact_put(g, owner, kind, num_get_u64(body.data + 5), value);
    if (fact != NULL && !fact->untold) {
        fact->untold = true;
        g->facts.untold++;
        g->facts.swept = 0;
    }
}

bool gossip_facts_write(struct gossip *g, struct gossip_writer *w, const struct gossip_fact *fact)
{
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_FACT, FACT_FIXED_BYTES + fact->size);
    if (at == NULL) {
        return false;
    }
    num_put_u32(at, fact->member);
    at[4] = fact->kind;
    num_put_u64(at + 5, fact->version);
    if (fact->size > 0) {
        memcpy(at + FACT_FIXED_BYTES, g->facts.arena + fact->offset, fact->size);
    }
    return true;
}

bool gossip_facts_prompt(const struct gossip *g)
{
    uint32_t any = 0;
    for (uint32_t kind = 0; kind < GOSSIP_FACT_PROMPT; kind++) {
        any |= g->facts.head[kind];
    }
    return any != 0;
}

/* returns: whether all of this queue is in the packet, each once. */
static bool facts_fill_from(struct gossip *g, struct gossip_writer *w, uint32_t queue)
{
    struct gossip_facts *f = &g->facts;
    const bool prompt = queue < GOSSIP_FACT_PROMPT;
    uint32_t limit = g->retransmit_limit + (prompt ? FACT_PROMPT_MORE : 0);
    uint64_t *tokens = &f->tokens[prompt];
    uint32_t last = f->tail[queue];
    uint32_t place = 0;
    while (place != last) {
        place = f->head[queue];
        struct gossip_fact *fact = &f->items[place - 1];
        uint64_t cost = 1000000ull * (GOSSIP_PART_BYTES + FACT_FIXED_BYTES + fact->size);
        if (*tokens < cost || !gossip_facts_write(g, w, fact)) {
            return false;
        }
        *tokens -= cost;
        g->counters.facts_out++;
        fact->sent++;
        fact_unqueue(g, fact);
        if (fact->sent < limit) {
            fact_queue(g, fact);
        }
    }
    return true;
}

static void facts_earn(struct gossip *g)
{
    struct gossip_facts *f = &g->facts;
    uint64_t passed = NUM_MIN(g->now_us - f->tokens_us, 100000000u);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t earned = passed * g->options.facts_bytes_second * fact_shares(g, i);
        f->tokens[i] = NUM_MIN(f->tokens[i] + earned, fact_burst(g, i));
    }
    f->tokens_us = g->now_us;
}

void gossip_facts_fill(struct gossip *g, struct gossip_writer *w, bool all)
{
    facts_earn(g);
    uint32_t queue = 0;
    while (queue < GOSSIP_FACT_PROMPT && facts_fill_from(g, w, queue)) {
        queue++;
    }
    if (all) {
        (void)facts_fill_from(g, w, GOSSIP_FACT_PROMPT);
    }
}

bool gossip_facts_poll(struct gossip *g, struct gossip_action *out)
{
    struct gossip_facts *f = &g->facts;
    while (f->untold > 0 && f->swept < f->count) {
        struct gossip_fact *fact = &f->items[f->swept++];
        if (fact->untold) {
            fact->untold = false;
            f->untold--;
            *out = (struct gossip_action){
                .kind = GOSSIP_FACT, .peer = fact->member, .fact = fact->kind};
            return true;
        }
    }
    return false;
}

/* Of a member that is gone for good: its values are emptied; their places stay, as they are few. */
void gossip_facts_forget(struct gossip *g, uint32_t member)
{
    for (uint32_t kind = 0; kind < GOSSIP_FACT_KINDS; kind++) {
        struct gossip_fact *fact = fact_of(g, member, kind);
        if (fact == NULL || fact->version == 0) {
            continue;
        }
        fact_add_hash(g, fact, false);
        fact_unqueue(g, fact);
        g->facts.untold -= fact->untold;
        fact->untold = false;
        fact->version = 0;
        fact->size = 0;
        fact->room = 0;
        fact->offset = 0;
    }
}
