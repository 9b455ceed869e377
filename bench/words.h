/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lines of 12 words, of 10,000 that are as often as in natural text: the word of rank r with a
 * probability of 1 / r (Zipf, "Human Behavior and the Principle of Least Effort", 1949).
 *
 * threads: one owner of the words at a time.
 */
#ifndef HOLDFAST_BENCH_WORDS_H
#define HOLDFAST_BENCH_WORDS_H

#include "base/rng.h"

#include <stddef.h>
#include <stdint.h>

#define WORDS_COUNT 10000u
#define WORDS_LINE 12u
#define WORDS_BYTES_MAX 16u      /* of a word with what follows it */
#define WORDS_CHOICES (1u << 20) /* a word has as many of these as it is often */

struct words {
    unsigned given;
    uint8_t bytes[WORDS_COUNT];
    char word[WORDS_COUNT][WORDS_BYTES_MAX];
    uint16_t choice[WORDS_CHOICES];
};

void words_init(struct words *w);
/* Puts the next word, and a blank or the end of a line. text: room for WORDS_BYTES_MAX.
 * returns: bytes. */
size_t words_put(struct words *w, struct rng *r, uint8_t *text);

#endif
