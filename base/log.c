/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Formats one line and gives it to the sink.
 */
#include "base/log.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(const struct log *log, enum log_level level, const char *event, const char *format,
              ...)
{
    if (log == NULL || log->sink == NULL || level < log->least) {
        return;
    }
    char line[LOG_LINE_BYTES_MAX];
    int used = snprintf(line, sizeof(line), "event=%s", event);
    ASSERT(used > 0 && (size_t)used + 2 < sizeof(line));
    if (format[0] != '\0') {
        va_list args;
        line[used++] = ' ';
        va_start(args, format);
        (void)vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
        va_end(args);
    }
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    log->sink(log->ctx, level, line);
}

const char *log_escape(char *into, size_t into_bytes, struct bytes v)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    ASSERT(into_bytes >= 8);
    for (size_t i = 0; i < v.size; i++) {
        uint8_t byte = v.data[i];
        bool plain = byte > 0x20 && byte < 0x7f && byte != '\\' && byte != '"' && byte != '=';
        if (used + (plain ? 1u : 4u) + 4 > into_bytes) {
            into[used++] = '.';
            into[used++] = '.';
            into[used++] = '.';
            break;
        }
        if (plain) {
            into[used++] = (char)byte;
        } else {
            into[used++] = '\\';
            into[used++] = 'x';
            into[used++] = hex[byte >> 4];
            into[used++] = hex[byte & 15];
        }
    }
    into[used] = '\0';
    return into;
}
