/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Log lines: `event=NAME key=value ...`, values escaped, handed to a sink that the program gives
 * (the host adds time and writes stderr; the simulator keeps them in its trace). Never payloads
 * or keys of users.
 *
 *   log_line(log, LOG_INFO, "leader_elected", "group=%u term=%llu", group, term);
 *
 * threads: log_line may be called from any thread if the sink may.
 */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include "base/attr.h"
#include "base/bytes.h"

enum log_level { LOG_DEBUG = 0, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    void (*sink)(void *ctx, enum log_level level, const char *line);
    void *ctx;
    enum log_level least; /* lines below are dropped */
};

#define LOG_LINE_BYTES_MAX 1024 /* longer lines are cut */

/* log: NULL drops the line. event: a fixed name of [a-z_]. format: the `key=value` pairs, or "".
 * Control bytes that values bring in are replaced by '?', so a line stays one line. */
void log_line(const struct log *log, enum log_level level, const char *event, const char *format,
              ...) ATTR_PRINTF(4, 5);

/* Writes v in printable form ("\xHH" for other bytes, cut with "..."), NUL-terminated.
 * into_bytes: at least 8. returns: into. */
const char *log_escape(char *into, size_t into_bytes, struct bytes v);

#endif
