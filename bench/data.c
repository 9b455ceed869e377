/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Data to compute over: the same bytes for the same seed, on every machine.
 *
 *   bench_data text BYTES SEED    lines of 12 words, of 10,000 that are as often as in natural
 *                                 text: the word of rank r with a probability of 1 / r (Zipf,
 *                                 "Human Behavior and the Principle of Least Effort", 1949)
 *   bench_data f64 BYTES SEED     doubles between -2^32 and 2^32, evenly, in steps of 2^-20
 */
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_WORDS 10000u
#define DATA_LINE_WORDS 12u
#define DATA_WORD_BYTES_MAX 16u
#define DATA_CHOICES (1u << 20) /* a word has as many of these as it is often */
#define DATA_PIECE_BYTES (1u << 20)

struct data {
    struct rng rng;
    uint8_t bytes[DATA_WORDS];
    char word[DATA_WORDS][DATA_WORD_BYTES_MAX];
    uint16_t choice[DATA_CHOICES];
};

static struct data data;
static uint8_t piece[DATA_PIECE_BYTES + DATA_WORD_BYTES_MAX + 8];

/* Two syllables that are no other word's, and an ending. */
static void data_word(unsigned rank)
{
    static const char first[] = "bcdfghjklmnprstvwyzq";
    static const char second[] = "aeiou";
    static const char *const endings[] = {"", "s", "ed", "ing", "er", "ly", "ness"};
    char *word = data.word[rank];
    const int bytes = snprintf(word, DATA_WORD_BYTES_MAX, "%c%c%c%c%s", first[rank / 5 % 20],
                               second[rank % 5], first[rank / 500 % 20], second[rank / 100 % 5],
                               endings[rank % (sizeof(endings) / sizeof(endings[0]))]);
    data.bytes[rank] = (uint8_t)bytes;
}

static void data_words(void)
{
    double all = 0;
    double sum = 0;
    unsigned at = 0;
    for (unsigned i = 0; i < DATA_WORDS; i++) {
        data_word(i);
        all += 1.0 / (i + 1);
    }
    for (unsigned i = 0; i < DATA_WORDS; i++) {
        sum += 1.0 / (i + 1);
        for (; at < DATA_CHOICES && at < sum / all * DATA_CHOICES; at++) {
            data.choice[at] = (uint16_t)i;
        }
    }
    for (; at < DATA_CHOICES; at++) {
        data.choice[at] = DATA_WORDS - 1;
    }
}

/* returns: bytes of a piece, at least DATA_PIECE_BYTES. */
static size_t data_text(void)
{
    static unsigned words;
    size_t at = 0;
    while (at < DATA_PIECE_BYTES) {
        const unsigned rank = data.choice[rng_next(&data.rng) >> 44];
        memcpy(piece + at, data.word[rank], data.bytes[rank]);
        at += data.bytes[rank];
        piece[at++] = ++words % DATA_LINE_WORDS == 0 ? '\n' : ' ';
    }
    return at;
}

static size_t data_f64(void)
{
    for (size_t at = 0; at < DATA_PIECE_BYTES; at += sizeof(double)) {
        const int64_t steps = (int64_t)(rng_next(&data.rng) >> 11) - ((int64_t)1 << 52);
        const double value = (double)steps / (1 << 20);
        memcpy(piece + at, &value, sizeof(value));
    }
    return DATA_PIECE_BYTES;
}

int main(int argc, char **argv)
{
    const bool text = argc == 4 && strcmp(argv[1], "text") == 0;
    unsigned long long left = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    if (argc != 4 || (!text && strcmp(argv[1], "f64") != 0) || left == 0) {
        (void)fprintf(stderr, "usage: bench_data text|f64 BYTES SEED\n");
        return 2;
    }
    rng_init(&data.rng, strtoull(argv[3], NULL, 10));
    data_words();
    while (left > 0) {
        size_t bytes = text ? data_text() : data_f64();
        bytes = bytes < left ? bytes : (size_t)left;
        if (text && bytes == left) {
            piece[bytes - 1] = '\n';
        }
        if (fwrite(piece, 1, bytes, stdout) != bytes) {
            perror("bench_data");
            return 1;
        }
        left -= bytes;
    }
    if (fflush(stdout) != 0) {
        perror("bench_data");
        return 1;
    }
    return 0;
}
