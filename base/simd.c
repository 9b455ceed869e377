/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/simd.h"

#include "base/attr.h"

#if defined(__x86_64__) && defined(ATTR_TARGET)

ATTR_TARGET("avx") static void simd_zero_upper(void)
{
    __builtin_ia32_vzeroupper();
}

void simd_leave(void)
{
    if (__builtin_cpu_supports("avx")) {
        simd_zero_upper();
    }
}

#else

void simd_leave(void)
{
}

#endif
