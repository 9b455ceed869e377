/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether the calling thread's vector registers have upper halves in use (base/simd.h), as the
 * processor says itself: XGETBV with ECX 1 gives the parts of its state that are not as they were
 * at first (Intel, "Software Developer's Manual", volume 1, section 13.2).
 */
#ifndef HOLDFAST_TESTS_UNIT_SIMD_H
#define HOLDFAST_TESTS_UNIT_SIMD_H

#include "base/simd.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

#define SIMD_OSXSAVE (1u << 27)      /* CPUID 1, ECX */
#define SIMD_XGETBV_IN_USE (1u << 2) /* CPUID 13.1, EAX */
#define SIMD_UPPER (1u << 2)

static inline bool simd_upper_in_use(void)
{
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
    uint32_t d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & SIMD_OSXSAVE) == 0 ||
        __get_cpuid_count(13, 1, &a, &b, &c, &d) == 0 || (a & SIMD_XGETBV_IN_USE) == 0) {
        return false; /* a processor that does not say */
    }
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
    return (a & SIMD_UPPER) != 0;
}
#else
static inline bool simd_upper_in_use(void)
{
    return false;
}
#endif

#endif
