/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Words as often as in natural text.
 */
#include "bench/words.h"

#include <stdio.h>
#include <string.h>

/* Two syllables that are no other word's, and an ending. */
static void words_one(struct words *w, unsigned rank)
{
    static const char first[] = "bcdfghjklmnprstvwyzq";
    static const char second[] = "aeiou";
    static const char *const endings[] = {"", "s", "ed", "ing", "er", "ly", "ness"};
    char *word = w->word[rank];
    const int bytes = snprintf(word, WORDS_BYTES_MAX, "%c%c%c%c%s", first[rank / 5 % 20],
                               second[rank % 5], first[rank / 500 % 20], second[rank / 100 % 5],
                               endings[rank % (sizeof(endings) / sizeof(endings[0]))]);
    w->bytes[rank] = (uint8_t)bytes;
}

void words_init(struct words *w)
{
    double all = 0;
    double sum = 0;
    unsigned at = 0;
    w->given = 0;
    for (unsigned i = 0; i < WORDS_COUNT; i++) {
        words_one(w, i);
        all += 1.0 / (i + 1);
    }
    for (unsigned i = 0; i < WORDS_COUNT; i++) {
        sum += 1.0 / (i + 1);
        for (; at < WORDS_CHOICES && at < sum / all * WORDS_CHOICES; at++) {
            w->choice[at] = (uint16_t)i;
        }
    }
    for (; at < WORDS_CHOICES; at++) {
        w->choice[at] = WORDS_COUNT - 1;
    }
}

size_t words_put(struct words *w, struct rng *r, uint8_t *text)
{
    const unsigned rank = w->choice[rng_next(r) >> 44];
    const size_t bytes = w->bytes[rank];
    memcpy(text, w->word[rank], bytes);
    text[bytes] = ++w->given % WORDS_LINE == 0 ? '\n' : ' ';
    return bytes + 1;
}
