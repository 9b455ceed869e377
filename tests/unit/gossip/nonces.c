/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * No nonce meets a key twice: eight nodes seal through the real envelope, with a cipher that only
 * notes which counters it was given, while they are killed, their disks are set back to pictures,
 * copied into a second process, or wiped, and the cluster's keys are rotated.
 *   nonces [BITS]      seals 2^BITS packets; 28 by default. HOLDFAST_SEED=N replays a run.
 * An epoch is the boot number that group 0 recorded for the start, and group 0 refuses one that it
 * recorded for another start. Without that rule the same check must find an overlap, and does so
 * first, on a small run.
 */
#include "base/hash.h"
#include "base/num.h"
#include "base/rng.h"
#include "gossip/gossip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 8u
#define PROCESSES (2u * NODES) /* each node, and a copy of it */
#define CHANNELS 2u
#define INFO_BYTES_MAX 64u
#define TABLE_SLOTS (1u << 18)

/* ---- which key met which counters ----------------------------------------------------------- */

struct interval {
    uint64_t key; /* number of the derived key */
    uint64_t channel;
    uint64_t first, last;
};

struct derived {
    bool taken;
    size_t info_bytes;
    uint8_t key[GOSSIP_KEY_BYTES];
    uint8_t info[INFO_BYTES_MAX];
};

static struct derived *table; /* by hash; a derived key's number is its slot */
static uint64_t table_count;
static struct interval *intervals;
static size_t intervals_count, intervals_cap;

/* What a process seals at present. */
struct counting {
    struct interval open[CHANNELS]; /* last < first: nothing */
};

static void interval_close(struct interval *open)
{
    if (open->last < open->first || open->last == UINT64_MAX) {
        return;
    }
    if (intervals_count == intervals_cap) {
        intervals_cap = NUM_MAX(1024, 2 * intervals_cap);
        intervals = realloc(intervals, intervals_cap * sizeof(*intervals));
        ASSERT(intervals != NULL);
    }
    intervals[intervals_count++] = *open;
}

/* The same key and info always give the same number, others another. */
static int counting_derive(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                           uint8_t out[GOSSIP_KEY_BYTES])
{
    (void)ctx;
    ASSERT(info.size <= INFO_BYTES_MAX && table_count < TABLE_SLOTS / 2);
    uint64_t at = hash_of(info, hash_of(bytes_of(key, GOSSIP_KEY_BYTES), 1)) % TABLE_SLOTS;
    while (table[at].taken && (table[at].info_bytes != info.size ||
                               memcmp(table[at].info, info.data, info.size) != 0 ||
                               memcmp(table[at].key, key, GOSSIP_KEY_BYTES) != 0)) {
        at = (at + 1) % TABLE_SLOTS;
    }
    if (!table[at].taken) {
        table[at].taken = true;
        table[at].info_bytes = info.size;
        memcpy(table[at].info, info.data, info.size);
        memcpy(table[at].key, key, GOSSIP_KEY_BYTES);
        table_count++;
    }
    memset(out, 0, GOSSIP_KEY_BYTES);
    num_put_u64(out, at);
    return 0;
}

static int counting_seal(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                         struct bytes aad, struct bytes text, uint8_t *out)
{
    struct counting *c = ctx;
    uint64_t number = num_get_u64(key);
    uint64_t channel = num_get_u32(nonce);
    uint64_t counter = num_get_u64(nonce + 4);
    (void)aad;
    (void)text;
    (void)out;
    ASSERT(channel >= 1 && channel <= CHANNELS);
    struct interval *open = &c->open[channel - 1];
    if (open->key == number && open->last + 1 == counter && open->first <= open->last) {
        open->last = counter;
        return 0;
    }
    interval_close(open);
    *open = (struct interval){.key = number, .channel = channel, .first = counter, .last = counter};
    return 0;
}

static int counting_open(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                         struct bytes aad, struct bytes text, uint8_t *out)
{
    (void)ctx;
    (void)key;
    (void)nonce;
    (void)aad;
    (void)text;
    (void)out;
    return ERR_CORRUPT;
}

static int interval_order(const void *a, const void *b)
{
    const struct interval *x = a;
    const struct interval *y = b;
    const uint64_t fields[3][2] = {
        {x->key, y->key}, {x->channel, y->channel}, {x->first, y->first}};
    for (unsigned i = 0; i < 3; i++) {
        if (fields[i][0] != fields[i][1]) {
            return fields[i][0] < fields[i][1] ? -1 : 1;
        }
    }
    return 0;
}

/* returns: how many intervals begin within the one before. */
static unsigned overlaps_count(uint64_t *nonces)
{
    unsigned overlaps = 0;
    *nonces = 0;
    qsort(intervals, intervals_count, sizeof(*intervals), interval_order);
    for (size_t i = 0; i < intervals_count; i++) {
        *nonces += intervals[i].last - intervals[i].first + 1;
        overlaps += i > 0 && intervals[i].key == intervals[i - 1].key &&
                    intervals[i].channel == intervals[i - 1].channel &&
                    intervals[i].first <= intervals[i - 1].last;
    }
    return overlaps;
}

/* ---- nodes, disks, group 0 ------------------------------------------------------------------ */

struct disk {
    uint64_t incarnation;
    uint64_t boot;
};

struct process {
    struct gossip_seal *seal; /* NULL: does not run */
    struct counting counting;
};

/* What group 0 recorded of a node. */
struct seat {
    uint64_t incarnation;
    uint64_t boot;
    uint64_t nonce;
};

struct world {
    struct rng rng;
    bool rule;           /* group 0 refuses boot numbers that it knows */
    uint64_t burst_bits; /* a burst has up to 2^burst_bits packets */
    struct gossip_keyring ring;
    struct disk disks[PROCESSES];
    struct disk pictures[NODES];
    struct process processes[PROCESSES];
    struct seat seats[NODES];
    uint64_t starts, refused, restores, copies, wipes, rotations;
};

static void stop(struct world *w, unsigned p)
{
    struct process *process = &w->processes[p];
    if (process->seal == NULL) {
        return;
    }
    gossip_seal_free(process->seal);
    process->seal = NULL;
    for (unsigned c = 0; c < CHANNELS; c++) {
        interval_close(&process->counting.open[c]);
    }
}

/* The rule of group 0: a number that rises, or the same start telling it again. */
static bool recorded(struct world *w, unsigned node, const struct disk *disk, uint64_t nonce)
{
    struct seat *seat = &w->seats[node];
    if (!w->rule) {
        return true;
    }
    if (disk->incarnation != seat->incarnation || disk->boot < seat->boot ||
        (disk->boot == seat->boot && nonce != seat->nonce)) {
        return false;
    }
    seat->boot = disk->boot;
    seat->nonce = nonce;
    return true;
}

static void take_ring(struct world *w, unsigned p)
{
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    unsigned count = gossip_keyring_keys(&w->ring, keys);
    ASSERT(gossip_seal_keys(w->processes[p].seal, keys, count) == 0);
}

/* The boot number is counted on the disk, then told to group 0; no packet before it agreed. */
static void start(struct world *w, unsigned p)
{
    struct alloc heap = alloc_heap();
    struct process *process = &w->processes[p];
    unsigned node = p % NODES;
    stop(w, p);
    w->disks[p].boot++;
    w->starts++;
    if (!recorded(w, node, &w->disks[p], rng_next(&w->rng))) {
        w->refused++;
        return;
    }
    struct gossip_seal_options o = {
        .self = node + 1,
        .incarnation = w->disks[p].incarnation,
        .epoch = w->disks[p].boot,
        .senders_max = NODES,
        .cipher = {.ctx = &process->counting,
                   .derive = counting_derive,
                   .seal = counting_seal,
                   .open = counting_open},
    };
    for (unsigned c = 0; c < CHANNELS; c++) {
        process->counting.open[c] = (struct interval){.first = 1, .last = 0};
    }
    ASSERT(gossip_seal_new(&process->seal, &o, &heap) == 0);
    for (uint32_t id = 1; id <= NODES; id++) {
        ASSERT(gossip_seal_sender(process->seal, id, 1, 1) == 0);
    }
    take_ring(w, p);
}

/* A new incarnation, granted by group 0: the numbers of its starts begin again. */
static void wipe(struct world *w, unsigned node)
{
    w->wipes++;
    stop(w, node);
    w->seats[node] = (struct seat){.incarnation = w->seats[node].incarnation + 1};
    w->disks[node] = (struct disk){.incarnation = w->seats[node].incarnation};
    w->pictures[node] = w->disks[node];
    start(w, node);
}

static void rotate(struct world *w)
{
    struct gossip_keyring *r = &w->ring;
    struct gossip_keyring_change c = {.step = GOSSIP_KEYRING_INSTALL};
    uint16_t was = gossip_keyring_used(r);
    if (r->last == UINT16_MAX) {
        return;
    }
    w->rotations++;
    rng_fill(&w->rng, c.bytes, sizeof(c.bytes));
    c.revision = r->revision;
    c.number = (uint16_t)(r->last + 1);
    ASSERT(gossip_keyring_apply(r, &c) == 0);
    c.step = GOSSIP_KEYRING_USE;
    c.revision = r->revision;
    ASSERT(gossip_keyring_apply(r, &c) == 0);
    for (unsigned p = 0; p < PROCESSES; p++) {
        if (w->processes[p].seal != NULL && rng_chance(&w->rng, 7, 8)) {
            take_ring(w, p); /* some hear of it later */
        }
    }
    if (rng_chance(&w->rng, 1, 4)) { /* back to the one before: its nonces must go on */
        c.number = was;
        c.revision = r->revision;
        ASSERT(gossip_keyring_apply(r, &c) == 0);
        c.number = r->last;
        was = c.number;
    }
    c.step = GOSSIP_KEYRING_RETIRE;
    c.revision = r->revision;
    c.number = was;
    ASSERT(gossip_keyring_apply(r, &c) == 0);
    for (unsigned p = 0; p < PROCESSES; p++) {
        if (w->processes[p].seal != NULL) {
            take_ring(w, p);
        }
    }
}

static void disturb(struct world *w)
{
    unsigned node = (unsigned)rng_below(&w->rng, NODES);
    switch (rng_below(&w->rng, 16)) {
    case 0: w->pictures[node] = w->disks[node]; break;
    case 1: /* the disk as it was once */
        w->restores++;
        stop(w, node);
        w->disks[node] = w->pictures[node];
        start(w, node);
        break;
    case 2: /* a second process on a copy of the disk, while the first one runs */
        w->copies++;
        w->disks[node + NODES] = rng_chance(&w->rng, 1, 2) ? w->disks[node] : w->pictures[node];
        start(w, node + NODES);
        break;
    case 3: wipe(w, node); break;
    case 4: rotate(w); break;
    case 5: stop(w, node + NODES); break;
    default: start(w, node); break;
    }
}

/* returns: how many were sealed. */
static uint64_t burst(struct world *w, struct buf *out, uint64_t left)
{
    unsigned p = (unsigned)rng_below(&w->rng, PROCESSES);
    struct gossip_seal *s = w->processes[p].seal;
    uint64_t bits = rng_below(&w->rng, w->burst_bits + 1);
    uint64_t count = rng_between(&w->rng, 1, UINT64_C(1) << bits);
    count = NUM_MIN(count, left);
    enum gossip_channel channel = rng_chance(&w->rng, 1, 4) ? GOSSIP_STREAM : GOSSIP_DATAGRAM;
    if (s == NULL) {
        return 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        buf_clear(out);
        ASSERT(gossip_seal_close(s, channel, 1 + (uint32_t)(i % NODES), bytes_of(NULL, 0), out) ==
               0);
    }
    return count;
}

/* returns: how many intervals overlap. */
static unsigned run(uint64_t seed, bool rule, uint64_t wanted)
{
    static struct world w;
    struct alloc heap = alloc_heap();
    struct buf out;
    uint8_t key[GOSSIP_KEY_BYTES];
    uint64_t nonces = 0;
    memset(&w, 0, sizeof(w));
    memset(table, 0, TABLE_SLOTS * sizeof(*table));
    table_count = 0;
    intervals_count = 0;
    rng_init(&w.rng, seed);
    w.rule = rule;
    w.burst_bits = wanted <= UINT64_C(1) << 28 ? 20 : 22;
    rng_fill(&w.rng, key, sizeof(key));
    ASSERT(gossip_keyring_begin(&w.ring, key) == 0);
    buf_init(&out, &heap, 256);
    for (unsigned node = 0; node < NODES; node++) {
        wipe(&w, node);
    }
    for (uint64_t done = 0; done < wanted;) {
        done += burst(&w, &out, wanted - done);
        disturb(&w);
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        stop(&w, p);
    }
    buf_release(&out);
    unsigned overlaps = overlaps_count(&nonces);
    printf("nonces: seed=%llu group_0=%d sealed=%llu keys=%llu intervals=%zu starts=%llu "
           "refused=%llu restores=%llu copies=%llu wipes=%llu rotations=%llu overlaps=%u\n",
           (unsigned long long)seed, rule, (unsigned long long)nonces,
           (unsigned long long)table_count, intervals_count, (unsigned long long)w.starts,
           (unsigned long long)w.refused, (unsigned long long)w.restores,
           (unsigned long long)w.copies, (unsigned long long)w.wipes,
           (unsigned long long)w.rotations, overlaps);
    (void)fflush(stdout);
    ASSERT(nonces == wanted);
    ASSERT(!rule || w.refused > 0);
    return overlaps;
}

/* scenario G26 */
int main(int argc, char **argv)
{
    unsigned long bits = argc > 1 ? strtoul(argv[1], NULL, 10) : 28;
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 1;
    if (bits < 20 || bits > 40) {
        (void)fprintf(stderr, "usage: nonces [BITS]     20 to 40\n");
        return 2;
    }
    table = calloc(TABLE_SLOTS, sizeof(*table));
    ASSERT(table != NULL);
    bool ok = run(seed, false, UINT64_C(1) << 22) > 0;
    ok = run(seed, true, UINT64_C(1) << bits) == 0 && ok;
    free(table);
    free(intervals);
    printf("nonces: %s\n", ok ? "ok" : "FAILED");
    return ok ? 0 : 1;
}
