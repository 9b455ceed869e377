/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fields of records: between blanks in lines, between commas in CSV (RFC 4180).
 */
#include "compute/record_internal.h"

#include "base/num.h"

void compute_record_init(struct compute_record *r, const struct alloc *alloc)
{
    r->whole = bytes_of(NULL, 0);
    r->fields = 0;
    r->no_quotes = false;
    r->rows = NULL;
    buf_init(&r->scratch, alloc, COMPUTE_RECORD_BYTES_MAX);
}

void compute_record_release(struct compute_record *r)
{
    buf_release(&r->scratch);
}

/* --- lines --- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static void split_blanks(struct compute_record *r, uint32_t wanted)
{
    const uint8_t *data = r->whole.data;
    const size_t size = r->whole.size;
    size_t at = 0;
    while (r->fields < wanted) {
        while (at < size && is_blank(data[at])) {
            at++;
        }
        if (at == size) {
            return;
        }
        const size_t first = at;
        while (at < size && !is_blank(data[at])) {
            at++;
        }
        r->field[r->fields++] = bytes_of(data + first, at - first);
    }
}

/* --- CSV --- */

static void split_plain(struct compute_record *r, uint32_t wanted)
{
    const uint8_t *at = r->whole.data;
    const uint8_t *end = at + r->whole.size;
    while (r->fields < wanted) {
        const uint8_t *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const uint8_t *stop = comma != NULL ? comma : end;
        r->field[r->fields++] = bytes_of(at, (size_t)(stop - at));
        if (comma == NULL) {
            return;
        }
        at = comma + 1;
    }
}

/* A field in quotes from its opening one on, into scratch, which has room.
 * returns: where it ends, behind the closing quote; 0 if that is missing. */
static size_t unquote(struct compute_record *r, size_t at)
{
    const struct bytes w = r->whole;
    struct buf *into = &r->scratch;
    at++;
    while (at < w.size) {
        const uint8_t *quote = memchr(w.data + at, '"', w.size - at);
        if (quote == NULL) {
            return 0;
        }
        const size_t part = (size_t)(quote - w.data) - at;
        memcpy(into->data + into->size, w.data + at, part);
        into->size += part;
        at += part + 1;
        if (at == w.size || w.data[at] != '"') {
            return at;
        }
        into->data[into->size++] = '"';
        at++;
    }
    return 0;
}

/* One field of a record that has quotes. returns: where it ends; SIZE_MAX for a fault. */
static size_t split_quoted_field(struct compute_record *r, size_t at, struct bytes *field,
                                 uint32_t number, struct compute_fault *fault)
{
    const struct bytes w = r->whole;
    if (at == w.size || w.data[at] != '"') {
        const uint8_t *comma = at < w.size ? memchr(w.data + at, ',', w.size - at) : NULL;
        const size_t end = comma != NULL ? (size_t)(comma - w.data) : w.size;
        *field = bytes_of(w.data + at, end - at);
        if (end > at && memchr(w.data + at, '"', end - at) != NULL) {
            compute_fault_at(fault, COMPUTE_FAULT_QUOTE_INSIDE, number, *field);
            return SIZE_MAX;
        }
        return end;
    }
    const size_t first = r->scratch.size;
    const size_t end = unquote(r, at);
    const bool open = end == 0;
    if (open || (end < w.size && w.data[end] != ',')) {
        compute_fault_at(fault, open ? COMPUTE_FAULT_QUOTE_OPEN : COMPUTE_FAULT_QUOTE_AFTER, number,
                         bytes_of(w.data + at, w.size - at));
        return SIZE_MAX;
    }
    *field = bytes_of(r->scratch.data + first, r->scratch.size - first);
    return end;
}

/* All fields are looked at, so that a wrong quote is found whatever the program uses; known: there
 * is none. */
static int split_quoted(struct compute_record *r, uint32_t wanted, bool known,
                        struct compute_fault *fault)
{
    size_t at = 0;
    buf_clear(&r->scratch);
    TRY(buf_reserve(&r->scratch, r->whole.size));
    for (uint32_t number = 1;; number = NUM_MIN(number + 1, UINT32_MAX - 1)) {
        struct bytes field = bytes_of(NULL, 0);
        at = split_quoted_field(r, at, &field, number, fault);
        if (at == SIZE_MAX) {
            return 0;
        }
        if (r->fields < wanted) {
            r->field[r->fields++] = field;
        }
        if (at == r->whole.size || (known && r->fields == wanted)) {
            return 0;
        }
        at++;
    }
}

size_t compute_csv_end(struct bytes data, size_t at, bool *quoted, size_t *quote)
{
    for (;;) {
        const uint8_t *line = at < data.size ? memchr(data.data + at, '\n', data.size - at) : NULL;
        const size_t end = line != NULL ? (size_t)(line - data.data) : data.size;
        while (*quote < end) {
            *quoted = !*quoted;
            const size_t next = *quote + 1;
            const uint8_t *found =
                next < data.size ? memchr(data.data + next, '"', data.size - next) : NULL;
            *quote = found != NULL ? (size_t)(found - data.data) : data.size;
        }
        if (end == data.size || !*quoted) {
            return end;
        }
        at = end + 1;
    }
}

int compute_record_set_csv(struct compute_record *r, struct bytes whole, uint32_t wanted,
                           struct compute_fault *fault)
{
    r->whole = whole;
    r->fields = 0;
    if (!r->no_quotes && whole.size > 0 && memchr(whole.data, '"', whole.size) != NULL) {
        return split_quoted(r, wanted, false, fault);
    }
    split_plain(r, wanted);
    return 0;
}

int compute_record_cut_csv(struct compute_record *r, struct bytes whole, uint32_t wanted,
                           bool quoted)
{
    struct compute_fault fault = {.kind = COMPUTE_FAULT_NONE};
    r->whole = whole;
    r->fields = 0;
    if (quoted) {
        TRY(split_quoted(r, wanted, true, &fault));
    } else {
        split_plain(r, wanted);
    }
    ASSERT(fault.kind == COMPUTE_FAULT_NONE);
    return 0;
}

int compute_record_set_fields(struct compute_record *r, const struct compute_program *p,
                              struct bytes whole, uint32_t wanted, struct compute_fault *fault)
{
    wanted = NUM_MAX(wanted, p->fields);
    if (p->source == COMPUTE_SOURCE_CSV) {
        return compute_record_set_csv(r, whole, wanted, fault);
    }
    r->whole = whole;
    r->fields = 0;
    if (p->source == COMPUTE_SOURCE_LINES) {
        split_blanks(r, wanted);
    }
    return 0;
}

int compute_record_set(struct compute_record *r, const struct compute_program *p,
                       struct bytes whole, struct compute_fault *fault)
{
    return compute_record_set_fields(r, p, whole, 0, fault);
}

static bool needs_quotes(struct bytes field)
{
    for (size_t i = 0; i < field.size; i++) {
        const uint8_t c = field.data[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return false;
}

void compute_csv_put(struct buf *into, struct bytes field)
{
    if (!needs_quotes(field)) {
        (void)buf_append(into, field.data, field.size);
        return;
    }
    (void)buf_put_u8(into, '"');
    for (size_t at = 0; at < field.size;) {
        const uint8_t *quote = memchr(field.data + at, '"', field.size - at);
        const size_t end = quote != NULL ? (size_t)(quote - field.data) + 1 : field.size;
        (void)buf_append(into, field.data + at, end - at);
        if (quote != NULL) {
            (void)buf_put_u8(into, '"');
        }
        at = end;
    }
    (void)buf_put_u8(into, '"');
}
