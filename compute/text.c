/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of one kind as bits: the plain kernel, eight bytes at a time, and that for AVX2.
 */
#include "compute/text.h"

#include "base/num.h"
#include "compute/exact_internal.h"

#define ONES UINT64_C(0x0101010101010101)
#define TOPS (UINT64_C(0x80) * ONES)
#define GATHER UINT64_C(0x0102040810204080) /* the highest bits of eight bytes become a byte */

/* --- plain --- */

/* returns: the highest bit of each byte that is white space, and no other. */
static inline uint64_t spaces_of(uint64_t eight)
{
    const uint64_t low = eight & ~TOPS;
    const uint64_t from_tab = low + (0x80 - '\t') * ONES;
    const uint64_t behind_cr = low + (0x80 - '\r' - 1) * ONES;
    const uint64_t no_blank = (low ^ (' ' * ONES)) + 0x7f * ONES;
    return ((from_tab & ~behind_cr) | ~no_blank) & ~eight & TOPS;
}

static inline uint64_t newlines_of(uint64_t eight)
{
    const uint64_t low = eight & ~TOPS;
    const uint64_t other = (low ^ ('\n' * ONES)) + 0x7f * ONES;
    return ~other & ~eight & TOPS;
}

static void masks_plain(enum compute_text_kind kind, const uint8_t *at, size_t blocks,
                        uint64_t *masks)
{
    for (size_t i = 0; i < blocks; i++) {
        uint64_t mask = 0;
        for (unsigned part = 0; part < COMPUTE_TEXT_BLOCK; part += 8) {
            const uint64_t eight = num_get_u64(at + i * COMPUTE_TEXT_BLOCK + part);
            const uint64_t tops =
                kind == COMPUTE_TEXT_SPACE ? spaces_of(eight) : newlines_of(eight);
            mask |= ((tops >> 7) * GATHER >> 56) << part;
        }
        masks[i] = mask;
    }
}

static uint64_t count_plain(const uint8_t *at, size_t bytes)
{
    uint64_t count = 0;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        count += (newlines_of(num_get_u64(at + i)) >> 7) * ONES >> 56;
    }
    for (; i < bytes; i++) {
        count += at[i] == '\n';
    }
    return count;
}

/* --- AVX2 --- */

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

#define FEATURES "avx2"
/* How far ahead text is asked for: the processor's own guess ends with the page. It may be behind
 * the end, as a prefetch of what is not there does nothing. */
#define AHEAD_BYTES 4096u

ATTR_TARGET(FEATURES) static inline uint64_t bits_of(__m256i found)
{
    return (uint32_t)_mm256_movemask_epi8(found);
}

ATTR_TARGET(FEATURES) static inline __m256i newlines_of_32(__m256i v)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n'));
}

/* 9 to 13 less 9 are those that are their own least with 4. */
ATTR_TARGET(FEATURES) static inline __m256i spaces_of_32(__m256i v)
{
    const __m256i from_tab = _mm256_sub_epi8(v, _mm256_set1_epi8('\t'));
    const __m256i least = _mm256_min_epu8(from_tab, _mm256_set1_epi8('\r' - '\t'));
    return _mm256_or_si256(_mm256_cmpeq_epi8(from_tab, least),
                           _mm256_cmpeq_epi8(v, _mm256_set1_epi8(' ')));
}

ATTR_TARGET(FEATURES)
static void masks_avx2(enum compute_text_kind kind, const uint8_t *at, size_t blocks,
                       uint64_t *masks)
{
    for (size_t i = 0; i < blocks; i++) {
        const __m256i *block = (const __m256i *)(const void *)(at + i * COMPUTE_TEXT_BLOCK);
        const __m256i low = _mm256_loadu_si256(block);
        const __m256i high = _mm256_loadu_si256(block + 1);
        masks[i] = kind == COMPUTE_TEXT_SPACE
                       ? bits_of(spaces_of_32(high)) << 32 | bits_of(spaces_of_32(low))
                       : bits_of(newlines_of_32(high)) << 32 | bits_of(newlines_of_32(low));
    }
}

/* Each lane counts to 255 before lanes are summed up. */
ATTR_TARGET(FEATURES) static uint64_t count_avx2(const uint8_t *at, size_t bytes)
{
    const size_t vectors = bytes / sizeof(__m256i);
    __m256i sums = _mm256_setzero_si256();
    for (size_t i = 0; i < vectors;) {
        const size_t end = vectors - i < UINT8_MAX ? vectors : i + UINT8_MAX;
        __m256i lanes = _mm256_setzero_si256();
        for (; i < end; i++) {
            const uint8_t *here = at + i * sizeof(__m256i);
            ATTR_PREFETCH((const void *)((uintptr_t)here + AHEAD_BYTES));
            lanes = _mm256_sub_epi8(
                lanes, newlines_of_32(_mm256_loadu_si256((const __m256i *)(const void *)here)));
        }
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(lanes, _mm256_setzero_si256()));
    }
    const __m128i half =
        _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    const size_t rest = vectors * sizeof(__m256i);
    return (uint64_t)_mm_extract_epi64(half, 0) + (uint64_t)_mm_extract_epi64(half, 1) +
           count_plain(at + rest, bytes - rest);
}

#endif

/* --- either --- */

enum compute_lanes compute_text_lanes(void)
{
    const bool vectors = compute_lanes_runs(COMPUTE_LANES_AVX2);
    return vectors ? COMPUTE_LANES_AVX2 : COMPUTE_LANES_PLAIN;
}

void compute_text_masks_by(enum compute_lanes lanes, enum compute_text_kind kind, const uint8_t *at,
                           size_t blocks, uint64_t *masks)
{
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN && compute_lanes_runs(COMPUTE_LANES_AVX2)) {
        masks_avx2(kind, at, blocks, masks);
        return;
    }
#endif
    masks_plain(kind, at, blocks, masks);
}

void compute_text_masks(enum compute_text_kind kind, const uint8_t *at, size_t blocks,
                        uint64_t *masks)
{
    compute_text_masks_by(compute_text_lanes(), kind, at, blocks, masks);
}

uint64_t compute_text_newlines_by(enum compute_lanes lanes, const uint8_t *at, size_t bytes)
{
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN && compute_lanes_runs(COMPUTE_LANES_AVX2)) {
        return count_avx2(at, bytes);
    }
#endif
    return count_plain(at, bytes);
}

uint64_t compute_text_newlines(const uint8_t *at, size_t bytes)
{
    return compute_text_newlines_by(compute_text_lanes(), at, bytes);
}
