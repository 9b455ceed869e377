/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The error table's lookups, and the end of a broken process.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct err_row {
    int code;
    const char *name;
    const char *text;
};

static const struct err_row err_rows[] = {
#define ERR_ROW(name, number, text) {(number), #name, (text)},
    ERR_MAP(ERR_ROW)
#undef ERR_ROW
};

static const struct err_row *err_find(int code)
{
    for (size_t i = 0; i < sizeof(err_rows) / sizeof(err_rows[0]); i++) {
        if (err_rows[i].code == code) {
            return &err_rows[i];
        }
    }
    return NULL;
}

const char *err_name(int code)
{
    const struct err_row *row = err_find(code);
    if (code == 0) {
        return "OK";
    }
    return row != NULL ? row->name : "UNKNOWN";
}

const char *err_text(int code)
{
    const struct err_row *row = err_find(code);
    if (code == 0) {
        return "ok";
    }
    return row != NULL ? row->text : "unknown error";
}

enum err_outcome err_outcome_of(int code)
{
    if (code == 0) {
        return ERR_OUTCOME_OK;
    }
    switch (-code / 1000) {
    case 1: return ERR_OUTCOME_RETRY;
    case 2: return ERR_OUTCOME_REFUSED;
    case 4: return ERR_OUTCOME_DONE;
    case 5: return ERR_OUTCOME_DAMAGED;
    default: return ERR_OUTCOME_UNKNOWN;
    }
}

int err_set_at(struct err_info *why, int code, const char *file, int line, const char *format, ...)
{
    if (why != NULL) {
        va_list args;
        why->code = code;
        why->file = file;
        why->line = line;
        va_start(args, format);
        (void)vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
    }
    return code;
}

void err_assert_fail(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "event=assert file=%s line=%d condition=\"%s\"\n", file, line, condition);
    abort();
}
