/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A switch without devices: Ethernet frames go in with the time, and come out when they are due,
 * at the ports where they belong, after what the rules do to them.
 *
 *   e = lab_engine_new(ports, seed);
 *   lab_engine_rule(e, from, to, &rule, now);      one direction of one pair
 *   lab_engine_push(e, from, frame, bytes, now);
 *   while (lab_engine_pop(e, now, &out)) ...       then again at lab_engine_due(e)
 *   lab_engine_free(e);
 *
 * A frame for one host goes to the port that is the last byte of its address (lab_engine_address);
 * a frame for many goes to every other port. Each direction draws from a stream of its own, a fixed
 * number of draws a frame: the same seed and frames give the same fate in each direction, whatever
 * passes elsewhere.
 *
 * Limits: LAB_FRAMES_MAX frames wait at once; what comes when there is no room is dropped, and
 * counted as full.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_TESTS_LAB_ENGINE_H
#define HOLDFAST_TESTS_LAB_ENGINE_H

#include "tests/lab/rule.h"

#define LAB_FRAME_BYTES 1536u
#define LAB_FRAMES_MAX 8192u
#define LAB_NEVER UINT64_MAX

struct lab_counts {
    uint64_t frames; /* that came for this direction */
    uint64_t bytes;
    uint64_t passed; /* that went out, copies too */
    uint64_t blocked;
    uint64_t lost;
    uint64_t copied;
    uint64_t corrupted;
    uint64_t garbled;
    uint64_t full;
};

struct lab_out {
    unsigned port;
    const uint8_t *frame; /* ends with the next call of the engine */
    size_t bytes;
};

struct lab_engine;

/* returns: NULL without memory. ports: 1 to LAB_PORTS_MAX. */
struct lab_engine *lab_engine_new(unsigned ports, uint64_t seed);
void lab_engine_free(struct lab_engine *e);

/* The address of the host at a port: 02:48:46:00:00:PORT. */
void lab_engine_address(unsigned port, uint8_t into[6]);

/* Replaces the rule of the direction. What waits already keeps its time. */
void lab_engine_rule(struct lab_engine *e, unsigned from, unsigned to, const struct lab_rule *rule,
                     uint64_t now_us);
/* What is no whole frame, or addressed to nobody, is forgotten. */
void lab_engine_push(struct lab_engine *e, unsigned from, const uint8_t *frame, size_t bytes,
                     uint64_t now_us);
/* returns: false if nothing is due. Frames of one direction that are due at one time come as they
 * went in. */
bool lab_engine_pop(struct lab_engine *e, uint64_t now_us, struct lab_out *out);
/* returns: when the next frame is due; LAB_NEVER: none waits. */
uint64_t lab_engine_due(const struct lab_engine *e);
const struct lab_counts *lab_engine_counts(const struct lab_engine *e, unsigned from, unsigned to);

#endif
