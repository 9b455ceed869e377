/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The ground under the kernels: headers that CUDA and plain C compile alike. A kernel is a function
 * of its pass and of a thread's number, and no thread reads what another one writes; so a loop over
 * all numbers on the processor is the same computation (tests/unit/gpu/emulated.c).
 *
 * Device memory is little-endian, in units of 16 bytes that lie at multiples of 16.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_KERNEL_INTERNAL_H
#define HOLDFAST_GPU_KERNEL_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define GPU_FN static __host__ __device__ __forceinline__
#define GPU_UNROLL _Pragma("unroll")
#define GPU_UNROLL_TWICE _Pragma("unroll 2")
#define GPU_UNROLL_EIGHT _Pragma("unroll 8")
#define GPU_ALIGN16 __align__(16)
#else
#define GPU_FN static inline
#define GPU_UNROLL
#define GPU_UNROLL_TWICE
#define GPU_UNROLL_EIGHT
#ifdef __cplusplus
#define GPU_ALIGN16 alignas(16)
#else
#define GPU_ALIGN16 _Alignas(16)
#endif
#endif

#define GPU_UNIT_BYTES 16u

/* One unit, as four words. */
struct gpu_words {
    GPU_ALIGN16 uint32_t w[4];
};

GPU_FN struct gpu_words gpu_unit_load(const uint8_t *at)
{
    struct gpu_words out;
#ifdef __CUDA_ARCH__
    const uint4 v = __ldg((const uint4 *)at);
    out.w[0] = v.x;
    out.w[1] = v.y;
    out.w[2] = v.z;
    out.w[3] = v.w;
#else
    for (unsigned i = 0; i < 4; i++) {
        out.w[i] = (uint32_t)at[4 * i] | (uint32_t)at[4 * i + 1] << 8 |
                   (uint32_t)at[4 * i + 2] << 16 | (uint32_t)at[4 * i + 3] << 24;
    }
#endif
    return out;
}

/* The i-th of numbers of 64 bits. */
GPU_FN uint64_t gpu_word_load(const uint8_t *words, uint64_t i)
{
#ifdef __CUDA_ARCH__
    return __ldg((const unsigned long long *)words + i);
#else
    const uint8_t *at = words + 8 * i;
    uint64_t word = 0;
    for (unsigned n = 8; n-- > 0;) {
        word = word << 8 | at[n];
    }
    return word;
#endif
}

GPU_FN void gpu_unit_store(uint8_t *at, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3)
{
#ifdef __CUDA_ARCH__
    *(uint4 *)at = make_uint4(w0, w1, w2, w3);
#else
    const uint32_t w[4] = {w0, w1, w2, w3};
    for (unsigned i = 0; i < GPU_UNIT_BYTES; i++) {
        at[i] = (uint8_t)(w[i / 4] >> 8 * (i % 4));
    }
#endif
}

/* Byte i of the result is the one of a (bytes 0 to 3) and b (4 to 7) that nibble i of selector
 * names by three bits; with the nibble's bit 3 set it is the greatest bit of that byte, eight
 * times. One instruction of a device, PRMT. The selector's upper half does not count. */
GPU_FN uint32_t gpu_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    uint32_t out = 0;
#ifdef __CUDA_ARCH__
    /* __byte_perm has no bit 3, and clears it */
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(selector));
#else
    const uint64_t both = (uint64_t)b << 32 | a;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned nibble = selector >> 4 * i & 15u;
        const uint32_t byte = (uint32_t)(both >> 8 * (nibble & 7u)) & 0xffu;
        out |= (nibble < 8 ? byte : (byte >> 7) * 0xffu) << 8 * i;
    }
#endif
    return out;
}

/* Four bytes times x, over GF(2^8) modulo 0x11d. */
GPU_FN uint32_t gpu_times_x(uint32_t a)
{
    const uint32_t over = gpu_permute(a, 0, 0xba98); /* 0xff where a byte has its greatest bit */
    return (a << 1 & 0xfefefefeu) ^ (over & 0x1d1d1d1du);
}

#endif
