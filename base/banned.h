/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Functions that nobody calls: they cannot be told a bound, hide state, or hide an error. The build
 * includes this file before every C source; a use is an error of the compiler. The system headers
 * that declare them come first, because a poisoned name may not even be declared afterwards.
 *
 *   instead of             use
 *   strcpy strcat strncpy  memcpy with a checked length, struct buf
 *   sprintf vsprintf       snprintf
 *   strtok                 struct bytes_reader
 *   atoi atol atoll atof   base/config.h, or digits with num_mul_u64 and num_add_u64
 *   srand drand48          base/rng.h; rand itself names parameters in OpenSSL's headers
 *
 * Macros such as _GNU_SOURCE therefore come from a target's definitions in CMake: in a source they
 * would come after the system headers, too late.
 *
 * threads: macros only.
 */
#ifndef HOLDFAST_BASE_BANNED_H
#define HOLDFAST_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#undef alloca /* a macro where _GNU_SOURCE is defined */

#if defined(__GNUC__) || defined(__clang__)
#pragma GCC poison strcpy strcat strncpy strncat stpcpy strtok
#pragma GCC poison sprintf vsprintf
#pragma GCC poison atoi atol atoll atof
#pragma GCC poison srand drand48 lrand48 mrand48
#pragma GCC poison tmpnam mktemp alloca
#endif

#endif
