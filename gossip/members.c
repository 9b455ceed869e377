/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The table of members: ascending by id, so that an id that is its place needs no search; sums of
 * hashes in buckets, so that two tables are compared by few bytes; even choice of random members.
 */
#include "gossip/gossip_internal.h"

static void members_sort(struct gossip_entry *entries, uint32_t count);

struct gossip_entry *gossip_entry_of(const struct gossip *g, uint32_t id)
{
    /* Ids are dense as a rule: the place is the distance to the first. */
    uint32_t guess = id - g->entries[0].id;
    if (guess < g->count && g->entries[guess].id == id) {
        return &g->entries[guess];
    }
    uint32_t low = 0;
    uint32_t high = g->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (g->entries[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < g->count && g->entries[low].id == id ? &g->entries[low] : NULL;
}

void gossip_entry_prefetch(const struct gossip *g, uint32_t id)
{
    uint32_t guess = id - g->entries[0].id;
    if (guess < g->count) {
        const uint8_t *at = (const uint8_t *)&g->entries[guess];
        __builtin_prefetch(at);
        __builtin_prefetch(at + sizeof(struct gossip_entry) -
                           1); /* the same line if it is aligned */
    }
}

void gossip_entry_prefetch_more(const struct gossip *g, uint32_t id)
{
    uint32_t guess = id - g->entries[0].id;
    if (guess < g->count) {
        const struct gossip_entry *e = &g->entries[guess];
        __builtin_prefetch(&g->contacts[e->slot]);
        if (e->rumor != 0) {
            __builtin_prefetch(&g->rumors.items[e->rumor - 1]);
        }
        if (e->suspicion != 0) {
            __builtin_prefetch(&g->suspicions[e->suspicion - 1]);
            __builtin_prefetch((const uint8_t *)&g->suspicions[e->suspicion] - 1);
        }
    }
}

uint32_t gossip_bucket_of(uint32_t id, uint32_t bits)
{
    return bits == 0 ? 0 : (uint32_t)(hash_mix(id) >> (64 - bits));
}

static uint64_t members_hash_of(const struct gossip_entry *e)
{
    uint64_t h = hash_mix(((uint64_t)e->id << 8) | e->state);
    h = hash_mix(h ^ e->epoch);
    /* nodes learn of a cut at different incarnations; it holds for all of them */
    return hash_mix(h ^ ((e->flags & GOSSIP_FLAG_CUT) != 0 ? 0 : e->incarnation));
}

void gossip_members_unhash(struct gossip *g, const struct gossip_entry *e)
{
    g->buckets[gossip_bucket_of(e->id, g->bucket_bits)] -= members_hash_of(e);
    g->dead_count -= e->state == GOSSIP_DEAD;
}

void gossip_members_hash(struct gossip *g, const struct gossip_entry *e)
{
    g->buckets[gossip_bucket_of(e->id, g->bucket_bits)] += members_hash_of(e);
    g->dead_count += e->state == GOSSIP_DEAD;
    g->changes++;
}

static void members_rehash(struct gossip *g)
{
    memset(g->buckets, 0, sizeof(uint64_t) << g->bucket_bits);
    g->dead_count = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        gossip_members_hash(g, &g->entries[i]);
    }
}

static void members_order(struct gossip *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        g->order[i] = i;
    }
    g->order_at = 0;
}

static void members_locate(struct gossip *g)
{
    struct gossip_entry *self = gossip_entry_of(g, g->options.self);
    ASSERT(self != NULL);
    g->self = (uint32_t)(self - g->entries);
}

static void members_of_seat(struct gossip *g, const struct gossip_seat *seat,
                            struct gossip_entry *out)
{
    g->contacts[out->slot] = (struct gossip_contact){.zone = seat->zone};
    *out = (struct gossip_entry){.epoch = seat->epoch_least,
                                 .since_us = g->now_us,
                                 .id = seat->id,
                                 .slot = out->slot,
                                 .address = seat->address,
                                 .state = GOSSIP_ALIVE,
                                 .flags = GOSSIP_FLAG_ROSTER_AHEAD};
}

/* Heap sort (Williams 1964): in place and without recursion. */
static void members_sift(struct gossip_entry *entries, uint32_t root, uint32_t count)
{
    struct gossip_entry moving = entries[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && entries[child + 1].id > entries[child].id) {
            child++;
        }
        if (entries[child].id <= moving.id) {
            break;
        }
        entries[root] = entries[child];
        root = child;
    }
    entries[root] = moving;
}

static void members_sort(struct gossip_entry *entries, uint32_t count)
{
    uint32_t sorted = 1;
    while (sorted < count && entries[sorted - 1].id < entries[sorted].id) {
        sorted++;
    }
    if (sorted >= count) {
        return;
    }
    for (uint32_t i = count / 2; i > 0; i--) {
        members_sift(entries, i - 1, count);
    }
    for (uint32_t i = count; i > 1; i--) {
        struct gossip_entry largest = entries[0];
        entries[0] = entries[i - 1];
        entries[i - 1] = largest;
        members_sift(entries, 0, i - 1);
    }
}

static void members_keys(struct gossip *g, const struct gossip_seat *seats, uint32_t count)
{
    static const uint8_t none[GOSSIP_PUBLIC_KEY_BYTES];
    for (uint32_t i = 0; g->proofs != NULL && i < count; i++) {
        const struct gossip_entry *e = gossip_entry_of(g, seats[i].id);
        struct gossip_proof *proof = &g->proofs[e - g->entries];
        memcpy(proof->key, seats[i].public_key, sizeof(proof->key));
        proof->has_key = memcmp(proof->key, none, sizeof(none)) != 0;
    }
}

static bool members_distinct(const struct gossip *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->entries[i].id == 0 || (i > 0 && g->entries[i - 1].id == g->entries[i].id)) {
            return false;
        }
    }
    return true;
}

int gossip_members_init(struct gossip *g, const struct gossip_seat *seats, uint32_t count)
{
    for (uint32_t i = 0; i < g->options.members_max; i++) {
        g->entries[i].slot = i; /* and moves with the entry, also of a place that is not taken */
    }
    for (uint32_t i = 0; i < count; i++) {
        members_of_seat(g, &seats[i], &g->entries[i]);
    }
    g->count = count;
    g->roster_count = count;
    members_sort(g->entries, count);
    if (!members_distinct(g) || gossip_entry_of(g, g->options.self) == NULL) {
        return ERR_INVALID;
    }
    members_keys(g, seats, count);
    members_order(g);
    members_locate(g);
    members_rehash(g);
    gossip_suspicion_scale(g);
    return 0;
}

/* ---- roster changes ------------------------------------------------------------------------ */

/* returns: whether seats hold self, no id twice, and the table has room for what is new. */
static bool members_may_set(struct gossip *g, const struct gossip_seat *seats, uint32_t count)
{
    bool self = false;
    uint32_t fresh = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        self = self || seats[i].id == g->options.self;
        if (seats[i].id == 0 || (i > 0 && seats[i].id <= seats[i - 1].id)) {
            return false;
        }
        const struct gossip_entry *e = gossip_entry_of(g, seats[i].id);
        fresh += e == NULL;
        kept += e != NULL;
    }
    ASSERT(kept <= g->count);
    return self && fresh <= g->options.members_max - g->count;
}

static void members_update(struct gossip *g, struct gossip_entry *e, const struct gossip_seat *seat)
{
    gossip_contact_of(g, e)->zone = seat->zone;
    bool back = e->state == GOSSIP_REMOVED;
    if (!back && seat->epoch_least <= e->epoch) {
        return;
    }
    enum gossip_state was = e->state;
    gossip_cut_release(g, e);
    gossip_suspicion_end(g, e);
    gossip_members_unhash(g, e);
    if (seat->epoch_least > e->epoch) {
        e->epoch = seat->epoch_least;
        e->incarnation = 0;
        e->flags |= GOSSIP_FLAG_ROSTER_AHEAD;
    }
    if (g->proofs != NULL) {
        g->proofs[e - g->entries].is_signed = false;
    }
    e->state = GOSSIP_ALIVE;
    e->since_us = g->now_us;
    e->fails = 0;
    gossip_members_hash(g, e);
    if (was != GOSSIP_ALIVE) {
        gossip_record_changed(g, e, was);
    }
}

static void members_remove(struct gossip *g, struct gossip_entry *e)
{
    if (e->state == GOSSIP_REMOVED) {
        return;
    }
    enum gossip_state was = e->state;
    gossip_cut_release(g, e);
    gossip_suspicion_end(g, e);
    gossip_members_unhash(g, e);
    e->state = GOSSIP_REMOVED;
    e->since_us = g->now_us;
    gossip_members_hash(g, e);
    if (e->rumor != 0) {
        gossip_rumors_drop(g, e->rumor);
    }
    gossip_record_changed(g, e, was);
}

/* Entries leave or come: what points at places is made anew. */
static void members_renew(struct gossip *g)
{
    g->sweep = 0;
    members_locate(g);
    members_order(g);
    members_rehash(g);
    gossip_suspicion_scale(g);
}

static const struct gossip_seat *members_seat(const struct gossip_seat *seats, uint32_t count,
                                              uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (seats[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && seats[low].id == id ? &seats[low] : NULL;
}

int gossip_members_set(struct gossip *g, const struct gossip_seat *seats, uint32_t count)
{
    gossip_members_reap(g);
    if (!members_may_set(g, seats, count)) {
        return ERR_INVALID;
    }
    uint32_t before = g->count;
    for (uint32_t i = 0; i < before; i++) {
        struct gossip_entry *e = &g->entries[i];
        const struct gossip_seat *seat = members_seat(seats, count, e->id);
        if (seat == NULL) {
            members_remove(g, e);
        } else if (i != g->self) {
            members_update(g, e, seat);
        }
    }
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = before + fresh;
        g->count = before;
        if (gossip_entry_of(g, seats[i].id) == NULL) {
            members_of_seat(g, &seats[i], &g->entries[place]);
            fresh++;
        }
    }
    g->count = before + fresh;
    g->roster_count = count;
    if (fresh > 0) {
        /* Places move, and with them what lies beside the entries. */
        if (g->proofs != NULL) {
            memset(g->proofs, 0, sizeof(*g->proofs) * g->count);
        }
        members_sort(g->entries, g->count);
    }
    members_renew(g);
    members_keys(g, seats, count);
    return 0;
}

void gossip_members_reap(struct gossip *g)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct gossip_entry *e = &g->entries[i];
        bool over = e->state == GOSSIP_REMOVED && e->was == 0 &&
                    g->now_us - e->since_us >= g->rules.reap_us;
        if (over) {
            gossip_facts_forget(g, e->id);
            continue;
        }
        if (kept != i && g->proofs != NULL) {
            g->proofs[kept] = g->proofs[i];
        }
        uint32_t slot = g->entries[kept].slot; /* each place keeps one */
        g->entries[kept] = g->entries[i];
        g->entries[i].slot = kept == i ? g->entries[i].slot : slot;
        kept++;
    }
    if (kept != g->count) {
        g->count = kept;
        members_renew(g);
    }
}

/* ---- choice --------------------------------------------------------------------------------- */

static bool members_fit(const struct gossip *g, const struct gossip_entry *e,
                        enum gossip_choice choice)
{
    switch (choice) {
    case GOSSIP_CHOOSE_ALIVE: return gossip_entry_lives(e);
    case GOSSIP_CHOOSE_GOSSIP:
        return gossip_entry_lives(e) || e->state == GOSSIP_SUSPECT ||
               (e->state == GOSSIP_DEAD && g->now_us - e->since_us < g->rules.reap_us);
    case GOSSIP_CHOOSE_DEAD: return e->state == GOSSIP_DEAD;
    }
    return false;
}

static bool members_among(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

uint32_t gossip_members_random(struct gossip *g, enum gossip_choice choice, uint32_t not_id,
                               uint32_t want, uint32_t *out)
{
    uint32_t found = 0;
    for (uint32_t tries = 8 * want; tries > 0 && found < want; tries--) {
        uint32_t place = (uint32_t)rng_below(&g->rng, g->count);
        const struct gossip_entry *e = &g->entries[place];
        if (place != g->self && e->id != not_id && members_fit(g, e, choice) &&
            !members_among(out, found, e->id)) {
            out[found++] = e->id;
        }
    }
    if (found == want) {
        return found;
    }
    /* Few fit: all are looked at, from a random place on, so that none is missed. */
    uint32_t start = (uint32_t)rng_below(&g->rng, g->count);
    for (uint32_t i = 0; i < g->count && found < want; i++) {
        uint32_t place = (start + i) % g->count;
        const struct gossip_entry *e = &g->entries[place];
        if (place != g->self && e->id != not_id && members_fit(g, e, choice) &&
            !members_among(out, found, e->id)) {
            out[found++] = e->id;
        }
    }
    return found;
}
