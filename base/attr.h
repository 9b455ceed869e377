/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Compiler attributes under one name each, and the hint that an address is soon read. Nothing else
 * uses __attribute__.
 * threads: macros only.
 */
#ifndef HOLDFAST_BASE_ATTR_H
#define HOLDFAST_BASE_ATTR_H

#if defined(__GNUC__) || defined(__clang__)
#define ATTR_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_MUST_USE __attribute__((warn_unused_result))
#define ATTR_EXPORT __attribute__((visibility("default")))
#define ATTR_TARGET(features) __attribute__((target(features)))
#define ATTR_VECTOR(bytes) __attribute__((vector_size(bytes)))
#define ATTR_NO_SANITIZE_ADDRESS __attribute__((no_sanitize_address))
#define ATTR_PREFETCH(address) __builtin_prefetch(address)
#else
#define ATTR_PRINTF(format_at, args_at)
#define ATTR_NORETURN
#define ATTR_MUST_USE
#define ATTR_EXPORT
#define ATTR_PREFETCH(address) ((void)(address))
#endif

#endif
