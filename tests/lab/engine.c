/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The fate of each frame is drawn when it comes; then it waits in a heap, ordered by due time and
 * arrival. Frames lie in a fixed pool.
 */
#include "tests/lab/engine.h"

#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"

#include <stdlib.h>

#define ENGINE_ETHER_BYTES 14u
#define ENGINE_IPV4 0x0800u
#define ENGINE_TCP 6u
#define ENGINE_UDP 17u

struct engine_link {
    struct lab_rule rule;
    struct lab_counts counts;
    struct rng rng;
    uint64_t clogged_until_us;
    uint64_t sending_until_us; /* at a bounded rate */
};

struct engine_wait {
    uint64_t due_us;
    uint64_t order; /* of arrival */
    uint32_t slot;
    uint16_t from;
    uint16_t to;
};

struct lab_engine {
    unsigned ports;
    uint64_t arrivals;
    uint32_t waiting;
    uint32_t unused_count;
    struct engine_link links[LAB_PORTS_MAX][LAB_PORTS_MAX];
    struct engine_wait heap[LAB_FRAMES_MAX];
    uint32_t unused[LAB_FRAMES_MAX]; /* slots */
    uint16_t slot_bytes[LAB_FRAMES_MAX];
    uint8_t slots[LAB_FRAMES_MAX][LAB_FRAME_BYTES];
};

struct lab_engine *lab_engine_new(unsigned ports, uint64_t seed)
{
    ASSERT(ports >= 1 && ports <= LAB_PORTS_MAX);
    struct lab_engine *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    e->ports = ports;
    for (unsigned from = 0; from < ports; from++) {
        for (unsigned to = 0; to < ports; to++) {
            rng_init(&e->links[from][to].rng, seed * 4096 + from * LAB_PORTS_MAX + to);
        }
    }
    for (uint32_t i = 0; i < LAB_FRAMES_MAX; i++) {
        e->unused[e->unused_count++] = LAB_FRAMES_MAX - 1 - i;
    }
    return e;
}

void lab_engine_free(struct lab_engine *e)
{
    free(e);
}

void lab_engine_address(unsigned port, uint8_t into[6])
{
    const uint8_t address[6] = {0x02, 'H', 'F', 0, 0, (uint8_t)port};
    memcpy(into, address, sizeof(address));
}

void lab_engine_rule(struct lab_engine *e, unsigned from, unsigned to, const struct lab_rule *rule,
                     uint64_t now_us)
{
    ASSERT(from < e->ports && to < e->ports);
    struct engine_link *link = &e->links[from][to];
    link->rule = *rule;
    link->clogged_until_us = now_us + rule->clog_us;
    link->sending_until_us = now_us;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool engine_before(const struct engine_wait *a, const struct engine_wait *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void engine_swap(struct engine_wait *a, struct engine_wait *b)
{
    struct engine_wait kept = *a;
    *a = *b;
    *b = kept;
}

static void engine_heap_add(struct lab_engine *e, const struct engine_wait *wait)
{
    ASSERT(e->waiting < LAB_FRAMES_MAX);
    uint32_t at = e->waiting++;
    e->heap[at] = *wait;
    while (at > 0 && engine_before(&e->heap[at], &e->heap[(at - 1) / 2])) {
        engine_swap(&e->heap[at], &e->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct engine_wait engine_heap_take(struct lab_engine *e)
{
    ASSERT(e->waiting > 0);
    struct engine_wait first = e->heap[0];
    e->heap[0] = e->heap[--e->waiting];
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < e->waiting; child++) {
            least = engine_before(&e->heap[child], &e->heap[least]) ? child : least;
        }
        if (least == at) {
            return first;
        }
        engine_swap(&e->heap[at], &e->heap[least]);
        at = least;
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void engine_corrupt(uint8_t *frame, size_t bytes, uint64_t draw)
{
    size_t bits = (bytes - ENGINE_ETHER_BYTES) * 8;
    size_t bit = ENGINE_ETHER_BYTES * 8 + (size_t)(draw % bits);
    frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* returns: where the payload of UDP or TCP begins; bytes if there is none. */
static size_t engine_payload(const uint8_t *frame, size_t bytes)
{
    if (bytes < ENGINE_ETHER_BYTES + 20 || (frame[12] << 8 | frame[13]) != ENGINE_IPV4) {
        return bytes;
    }
    const uint8_t *ip = frame + ENGINE_ETHER_BYTES;
    size_t at = ENGINE_ETHER_BYTES + (ip[0] & 15u) * 4u;
    if (ip[9] == ENGINE_UDP) {
        return NUM_MIN(at + 8, bytes);
    }
    if (ip[9] == ENGINE_TCP && at + 13 <= bytes) {
        return NUM_MIN(at + (frame[at + 12] >> 4) * 4u, bytes);
    }
    return bytes;
}

/* The Internet checksum is a sum of 16-bit words (RFC 1071): it does not see their order. returns:
 * whether two words of the payload that differ changed places. */
static bool engine_garble(uint8_t *frame, size_t bytes, uint64_t draw)
{
    size_t from = engine_payload(frame, bytes);
    size_t words = (bytes - from) / 2;
    if (words < 2) {
        return false;
    }
    uint8_t *one = frame + from + 2 * (size_t)(draw % words);
    for (size_t i = 1; i < words; i++) {
        uint8_t *other = frame + from + 2 * (((size_t)(draw % words) + i) % words);
        if (memcmp(one, other, 2) != 0) {
            uint8_t kept[2];
            memcpy(kept, one, 2);
            memcpy(one, other, 2);
            memcpy(other, kept, 2);
            return true;
        }
    }
    return false;
}

/* ---- frames in ------------------------------------------------------------------------------- */

struct engine_fate {
    bool lost;
    bool copied;
    bool corrupted;
    bool garbled;
    uint64_t where; /* of the damage */
    uint64_t jitter_us[2];
};

/* Always the same number of draws. */
static struct engine_fate engine_draw(struct engine_link *link)
{
    const struct lab_rule *rule = &link->rule;
    struct engine_fate fate;
    fate.lost = rng_next(&link->rng) % LAB_PPM < rule->loss_ppm;
    fate.copied = rng_next(&link->rng) % LAB_PPM < rule->dup_ppm;
    fate.corrupted = rng_next(&link->rng) % LAB_PPM < rule->corrupt_ppm;
    fate.garbled = rng_next(&link->rng) % LAB_PPM < rule->garble_ppm;
    fate.where = rng_next(&link->rng) >> 1;
    fate.jitter_us[0] = rng_next(&link->rng) % (2 * rule->jitter_us + 1);
    fate.jitter_us[1] = rng_next(&link->rng) % (2 * rule->jitter_us + 1);
    return fate;
}

/* returns: when the link's sender is through with a frame that comes now. */
static uint64_t engine_sent(struct engine_link *link, size_t bytes, uint64_t now_us)
{
    uint64_t sent = NUM_MAX(now_us, link->clogged_until_us);
    if (link->rule.rate_bytes_s > 0) {
        sent = NUM_MAX(sent, link->sending_until_us) +
               num_div_up((uint64_t)bytes * 1000000, link->rule.rate_bytes_s);
        link->sending_until_us = sent;
    }
    return sent;
}

static void engine_put(struct lab_engine *e, const struct engine_wait *wait, const uint8_t *frame,
                       size_t bytes, const struct engine_fate *fate)
{
    struct lab_counts *counts = &e->links[wait->from][wait->to].counts;
    if (e->unused_count == 0) {
        counts->full++;
        return;
    }
    struct engine_wait placed = *wait;
    placed.order = e->arrivals++;
    placed.slot = e->unused[--e->unused_count];
    uint8_t *slot = e->slots[placed.slot];
    memcpy(slot, frame, bytes);
    e->slot_bytes[placed.slot] = (uint16_t)bytes;
    if (fate->garbled && engine_garble(slot, bytes, fate->where)) {
        counts->garbled++;
    }
    if (fate->corrupted) {
        engine_corrupt(slot, bytes, fate->where);
        counts->corrupted++;
    }
    engine_heap_add(e, &placed);
}

static void engine_pass(struct lab_engine *e, struct engine_wait *wait, const uint8_t *frame,
                        size_t bytes, uint64_t now_us)
{
    struct engine_link *link = &e->links[wait->from][wait->to];
    struct engine_fate fate = engine_draw(link);
    link->counts.frames++;
    link->counts.bytes += bytes;
    if (link->rule.block) {
        link->counts.blocked++;
        return;
    }
    if (fate.lost) {
        link->counts.lost++;
        return;
    }
    uint64_t middle = engine_sent(link, bytes, now_us) + link->rule.delay_us;
    for (unsigned i = 0; i < (fate.copied ? 2u : 1u); i++) {
        uint64_t due = middle + fate.jitter_us[i];
        due -= NUM_MIN(due, link->rule.jitter_us);
        wait->due_us = NUM_MAX(due, NUM_MAX(now_us, link->clogged_until_us));
        engine_put(e, wait, frame, bytes, &fate);
    }
    link->counts.copied += fate.copied;
}

void lab_engine_push(struct lab_engine *e, unsigned from, const uint8_t *frame, size_t bytes,
                     uint64_t now_us)
{
    ASSERT(from < e->ports);
    uint8_t host[6];
    lab_engine_address(0, host);
    if (bytes <= ENGINE_ETHER_BYTES || bytes > LAB_FRAME_BYTES) {
        return;
    }
    bool many = (frame[0] & 1) != 0;
    if (!many && memcmp(frame, host, 5) != 0) {
        return;
    }
    for (unsigned to = 0; to < e->ports; to++) {
        if (to != from && (many || frame[5] == to)) {
            struct engine_wait wait = {.from = (uint16_t)from, .to = (uint16_t)to};
            engine_pass(e, &wait, frame, bytes, now_us);
        }
    }
}

/* ---- frames out ------------------------------------------------------------------------------ */

uint64_t lab_engine_due(const struct lab_engine *e)
{
    return e->waiting > 0 ? e->heap[0].due_us : LAB_NEVER;
}

bool lab_engine_pop(struct lab_engine *e, uint64_t now_us, struct lab_out *out)
{
    if (lab_engine_due(e) > now_us) {
        return false;
    }
    struct engine_wait wait = engine_heap_take(e);
    ASSERT(e->unused_count < LAB_FRAMES_MAX);
    e->unused[e->unused_count++] = wait.slot; /* taken again at the next push, not before */
    e->links[wait.from][wait.to].counts.passed++;
    *out = (struct lab_out){
        .port = wait.to, .frame = e->slots[wait.slot], .bytes = e->slot_bytes[wait.slot]};
    return true;
}

const struct lab_counts *lab_engine_counts(const struct lab_engine *e, unsigned from, unsigned to)
{
    ASSERT(from < e->ports && to < e->ports);
    return &e->links[from][to].counts;
}
