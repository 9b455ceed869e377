/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The index of CSV, with AVX2. There is no plain twin: without the instructions records are found
 * one by one (record.c).
 */
#include "compute/csv_internal.h"

#include "base/num.h"
#include "compute/exact_internal.h"

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

#define FEATURES "avx2,bmi,popcnt"

struct block {
    uint64_t quotes;
    uint64_t commas;
    uint64_t newlines;
};

ATTR_TARGET(FEATURES) static inline uint64_t bits_of(__m256i low, __m256i high, char byte)
{
    const __m256i all = _mm256_set1_epi8(byte);
    const uint32_t first = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, all));
    const uint32_t last = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, all));
    return (uint64_t)last << 32 | first;
}

ATTR_TARGET(FEATURES) static inline struct block block_at(const uint8_t *at)
{
    const __m256i *from = (const __m256i *)(const void *)at;
    const __m256i low = _mm256_loadu_si256(from);
    const __m256i high = _mm256_loadu_si256(from + 1);
    return (struct block){.quotes = bits_of(low, high, '"'),
                          .commas = bits_of(low, high, ','),
                          .newlines = bits_of(low, high, '\n')};
}

/* returns: of each bit whether it and those below have an odd number of ones. */
static inline uint64_t parities(uint64_t bits)
{
    for (unsigned by = 1; by < 64; by *= 2) {
        bits ^= bits << by;
    }
    return bits;
}

ATTR_TARGET(FEATURES) static inline unsigned ones_of(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

/* Writes places behind the last one too, which count for nothing. */
ATTR_TARGET(FEATURES)
static inline void put_commas(uint16_t *into, unsigned base, uint64_t bits, unsigned count)
{
    for (unsigned done = 0; done < count; done += COMPUTE_CSV_STEP) {
        for (unsigned i = 0; i < COMPUTE_CSV_STEP; i++) {
            into[done + i] = (uint16_t)(base + _tzcnt_u64(bits));
            bits &= bits - 1;
        }
    }
}

ATTR_TARGET(FEATURES)
static void index_avx2(struct compute_csv_index *x, const uint8_t *at, size_t blocks)
{
    uint64_t before = 0; /* all ones: the block begins in quotes */
    unsigned commas = 0;
    unsigned quotes = 0;
    unsigned ends = 0;
    for (size_t i = 0; i < blocks; i++) {
        struct block b = block_at(at + i * COMPUTE_TEXT_BLOCK);
        const unsigned base = (unsigned)i * COMPUTE_TEXT_BLOCK;
        const uint64_t inside = b.quotes == 0 ? before : parities(b.quotes) ^ before;
        before = 0 - (inside >> 63);
        b.commas &= ~inside;
        for (uint64_t left = b.newlines & ~inside; left != 0; left &= left - 1) {
            const uint64_t below = (left & (0 - left)) - 1;
            x->end[ends++] =
                (struct compute_csv_mark){.at = (uint16_t)(base + _tzcnt_u64(left)),
                                          .commas = (uint16_t)(commas + ones_of(b.commas & below)),
                                          .quotes = (uint16_t)(quotes + ones_of(b.quotes & below))};
        }
        const unsigned more = ones_of(b.commas);
        put_commas(x->comma + commas, base, b.commas, more);
        commas += more;
        quotes += ones_of(b.quotes);
    }
    x->ends = ends;
}

bool compute_csv_has_index(void)
{
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
           __builtin_cpu_supports("popcnt") != 0;
}

void compute_csv_index(struct compute_csv_index *x, const uint8_t *at, size_t blocks)
{
    ASSERT(blocks <= COMPUTE_CSV_BLOCKS && compute_csv_has_index());
    index_avx2(x, at, blocks);
}

#else

bool compute_csv_has_index(void)
{
    return false;
}

void compute_csv_index(struct compute_csv_index *x, const uint8_t *at, size_t blocks)
{
    (void)at;
    (void)blocks;
    x->ends = 0;
    ASSERT(false);
}

#endif
