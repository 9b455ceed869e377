/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a link of the lab does to its frames, and how that is written:
 *
 *   loss=20% delay=5ms jitter=2ms dup=1% corrupt=0.5% garble=1% rate=1mbit clog=2s block
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_TESTS_LAB_RULE_H
#define HOLDFAST_TESTS_LAB_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_PORTS_MAX 64u
#define LAB_PPM 1000000u

/* All zero: a perfect link. Shares are in millionths of the frames. */
struct lab_rule {
    uint32_t loss_ppm;
    uint32_t dup_ppm;     /* goes out twice, each with a jitter of its own */
    uint32_t corrupt_ppm; /* one bit is flipped: checksums of the network find it */
    uint32_t garble_ppm;  /* two words of the payload change places: they do not */
    uint64_t delay_us;
    uint64_t jitter_us;    /* delay - jitter to delay + jitter, evenly: frames overtake */
    uint64_t rate_bytes_s; /* 0: no bound */
    uint64_t clog_us;      /* from when the rule is set: all that comes waits that long */
    bool block;            /* nothing passes */
};

/* Reads words parted by blanks; none: a perfect link.
 * bad: gets the first word that is not understood, cut to its room.
 * returns: false, and *out untouched, if there is one. */
bool lab_rule_parse(const char *text, struct lab_rule *out, char bad[32]);

/* Reads "3", "1,2,5" or "all" as a set of ports. returns: false if it is none, or one is not below
 * ports. */
bool lab_ports_parse(const char *text, unsigned ports, uint64_t *set);

#endif
