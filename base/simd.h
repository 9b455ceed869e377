/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a processor remembers of wide registers. ISA-L's code leaves the upper halves of vector
 * registers in use. From then on each instruction of the narrow encoding (SSE, that is most of this
 * program) has to keep them, and waits for what the register held before (Intel, "64 and IA-32
 * Architectures Optimization Reference Manual", on mixing SSE and AVX code): a fifth of what a node
 * does. Whoever calls such code says when it has left.
 *
 * threads: any; it is about the calling thread's registers alone.
 */
#ifndef HOLDFAST_BASE_SIMD_H
#define HOLDFAST_BASE_SIMD_H

/* Wide registers are in use no more: their upper halves are zero. */
void simd_leave(void);

#endif
