/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Data to compute over: the same bytes for the same seed, on every machine.
 *
 *   bench_data text BYTES SEED    lines of words (words.h)
 *   bench_data f64 BYTES SEED     doubles between -2^32 and 2^32, evenly, in steps of 2^-20
 */
#include "base/rng.h"
#include "bench/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_PIECE_BYTES (1u << 20)

struct data {
    struct rng rng;
    struct words words;
};

static struct data data;
static uint8_t piece[DATA_PIECE_BYTES + WORDS_BYTES_MAX + 8];

/* returns: bytes of a piece, at least DATA_PIECE_BYTES. */
static size_t data_text(void)
{
    size_t at = 0;
    while (at < DATA_PIECE_BYTES) {
        at += words_put(&data.words, &data.rng, piece + at);
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
    words_init(&data.words);
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
