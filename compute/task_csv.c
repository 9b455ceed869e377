/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records of CSV: by an index of what is there, or one by one where there is none, a record is
 * longer than an index, or its quotes have to be looked at. Results are those of
 * compute_task_record for each.
 */
#include "base/num.h"
#include "compute/csv_internal.h"
#include "compute/task_internal.h"

/* --- one by one --- */

/* Where the next quote is, if that is known. */
struct quote {
    bool known;
    size_t at;
};

static void look_for_quote(struct quote *q, struct bytes data, size_t at)
{
    if (q->known && q->at >= at) {
        return;
    }
    const uint8_t *found = at < data.size ? memchr(data.data + at, '"', data.size - at) : NULL;
    q->at = found != NULL ? (size_t)(found - data.data) : data.size;
    q->known = true;
}

/* *found: whether one ends within the data. */
static int next_record(struct compute_task *t, struct compute_reading *r, struct bytes data,
                       size_t *at, struct quote *q, bool *found)
{
    look_for_quote(q, data, *at);
    const size_t first = q->at;
    const size_t end = compute_csv_end(data, *at, &r->quoted, &q->at);
    *found = end < data.size;
    if (!*found) {
        return 0;
    }
    t->record.no_quotes = first > end;
    const int err = compute_task_record(t, r, bytes_of(data.data + *at, end - *at));
    t->record.no_quotes = false;
    *at = end + 1;
    return err;
}

/* --- by an index --- */

/* A record: places as in the index. */
struct cut {
    const uint8_t *data; /* of the index */
    size_t from;
    size_t to;
    const uint16_t *comma;
    uint32_t fields;
    uint32_t quotes;
};

/* The field from 1 on, with its quotes. */
static inline struct bytes field_of(const struct cut *c, uint32_t field)
{
    const size_t first = field == 1 ? c->from : (size_t)c->comma[field - 2] + 1;
    const size_t end = field == c->fields ? c->to : c->comma[field - 1];
    return bytes_of(c->data + first, end - first);
}

static inline bool is_in_quotes(struct bytes field)
{
    return field.size >= 2 && field.data[0] == '"' && field.data[field.size - 1] == '"';
}

/* returns: whether quotes are around whole fields alone: then none is wrong, or doubled. */
static bool quotes_are_plain(const struct cut *c)
{
    uint32_t known = 0;
    for (uint32_t field = 1; field <= c->fields && known < c->quotes; field++) {
        known += is_in_quotes(field_of(c, field)) ? 2 : 0;
    }
    return known == c->quotes;
}

/* The field from 1 on, of a record whose quotes are plain; empty if there is none. */
static inline struct bytes text_of(const struct cut *c, uint32_t field)
{
    if (field > c->fields) {
        return bytes_of(NULL, 0);
    }
    const struct bytes text = field_of(c, field);
    const bool strips = c->quotes > 0 && is_in_quotes(text);
    return strips ? bytes_of(text.data + 1, text.size - 2) : text;
}

/* --- the first condition --- */

#define WORD_BYTES 8u
#define ONES UINT64_C(0x0101010101010101)

/* That of a program whose first filter compares a field with a number or a text. */
struct first {
    const struct compute_code *code; /* NULL: there is none */
    uint32_t field;
    bool exact; /* it is this number, as a double */
    double number;
};

static struct first first_of(const struct compute_program *p)
{
    struct first f = {.code = NULL};
    if (p->wheres == 0 || p->joins[0] > 0 || p->sample[0].on ||
        !compute_expr_is_plain(p, p->where[0]) || p->code[p->where[0].from].field == 0) {
        return f;
    }
    f.code = &p->code[p->where[0].from];
    f.field = f.code[0].field;
    f.exact = f.code[1].op == COMPUTE_CODE_NUMBER &&
              (f.code[1].number.is_real || f.code[1].number.size <= UINT64_C(1) << 53);
    f.number = f.exact ? compute_number_real(&f.code[1].number) : 0;
    return f;
}

/* 1 to 8 digits, with as many bytes to read, at once: neighbours are joined to numbers of two
 * digits, then of four, then of eight (D. Lemire, "Quickly parsing eight digits", 2018).
 * returns: whether these are digits. */
static inline bool digits_of(struct bytes text, uint32_t *out)
{
    const unsigned rest = 8 * (WORD_BYTES - (unsigned)text.size);
    uint64_t word = num_get_u64(text.data) << rest;
    word |= rest == 0 ? 0 : '0' * ONES >> (64 - rest); /* zeros before it */
    if ((((word + 0x46 * ONES) | (word - '0' * ONES)) & 0x80 * ONES) != 0) {
        return false;
    }
    word -= '0' * ONES;
    word = word * 10 + (word >> 8);
    const uint64_t low = UINT64_C(0x000000ff000000ff);
    const uint64_t left = (word & low) * (100 + (UINT64_C(1000000) << 32));
    const uint64_t right = (word >> 16 & low) * (1 + (UINT64_C(10000) << 32));
    *out = (uint32_t)((left + right) >> 32);
    return true;
}

static inline bool compares(enum compute_code_op op, double a, double b)
{
    switch (op) {
    case COMPUTE_CODE_EQUAL: return a == b;
    case COMPUTE_CODE_UNEQUAL: return a != b;
    case COMPUTE_CODE_LESS: return a < b;
    case COMPUTE_CODE_LESS_EQUAL: return a <= b;
    case COMPUTE_CODE_GREATER_EQUAL: return a >= b;
    default: return a > b;
    }
}

/* end: of the bytes that may be read. */
static inline bool first_holds(const struct first *f, const struct cut *c, const uint8_t *end)
{
    uint32_t digits = 0;
    const struct bytes text = text_of(c, f->field);
    if (f->exact && text.size - 1 < WORD_BYTES && (size_t)(end - text.data) >= WORD_BYTES &&
        digits_of(text, &digits)) {
        return compares(f->code[2].op, digits, f->number);
    }
    return compute_expr_field_holds(f->code, text);
}

/* --- records --- */

/* Set of all records of the index. */
struct taking {
    struct first first;
    const uint8_t *end; /* of the index's bytes */
};

/* Finds the fields that the program names. */
static void set_fields(struct compute_record *r, const struct compute_program *p,
                       const struct cut *c)
{
    r->whole = bytes_of(c->data + c->from, c->to - c->from);
    r->fields = NUM_MIN(c->fields, p->fields);
    for (uint32_t i = 0; i < p->named && p->named_field[i] <= c->fields; i++) {
        r->field[p->named_field[i] - 1] = text_of(c, p->named_field[i]);
    }
}

static int take_cut(struct compute_task *t, struct compute_reading *r, const struct taking *how,
                    struct cut *c)
{
    const bool header = t->p->header && t->from == 0 && r->records == 0;
    const struct bytes whole = bytes_of(c->data + c->from, c->to - c->from);
    if (whole.size > 0 && whole.data[whole.size - 1] == '\r') {
        c->to--; /* the line ends with CR LF */
    }
    if (header || (c->quotes > 0 && !quotes_are_plain(c))) {
        return compute_task_record(t, r, whole);
    }
    r->fault.record = r->records++;
    if (how->first.code != NULL && !first_holds(&how->first, c, how->end)) {
        return 0;
    }
    set_fields(&t->record, t->p, c);
    return compute_task_take(t, r);
}

/* *taken: bytes of the records. */
static int take_index(struct compute_task *t, struct compute_reading *r, const uint8_t *data,
                      const struct compute_csv_index *x, const struct taking *how, size_t *taken)
{
    struct compute_csv_mark before = {.at = 0};
    size_t from = 0;
    for (uint32_t i = 0; i < x->ends && !compute_task_pauses(t); i++) {
        const struct compute_csv_mark *end = &x->end[i];
        struct cut c = {.data = data,
                        .from = from,
                        .to = end->at,
                        .comma = x->comma + before.commas,
                        .fields = (uint32_t)(end->commas - before.commas) + 1,
                        .quotes = (uint32_t)(end->quotes - before.quotes)};
        TRY(take_cut(t, r, how, &c));
        if (r->fault.kind != COMPUTE_FAULT_NONE) {
            return 0;
        }
        before = *end;
        from = (size_t)end->at + 1;
    }
    *taken = from;
    return 0;
}

int compute_task_csv(struct compute_task *t, struct compute_reading *r, struct bytes data,
                     size_t *at)
{
    const bool has_index = compute_csv_has_index();
    const struct taking how = {.first = first_of(t->p), .end = data.data + data.size};
    struct compute_csv_index x;
    struct quote q = {.known = false};
    bool found = true;
    ASSERT(!r->quoted);
    while (found && !compute_task_pauses(t) && r->fault.kind == COMPUTE_FAULT_NONE) {
        const size_t blocks = (data.size - *at) / COMPUTE_TEXT_BLOCK;
        size_t taken = 0;
        if (has_index && blocks > 0) {
            compute_csv_index(&x, data.data + *at, NUM_MIN(blocks, (size_t)COMPUTE_CSV_BLOCKS));
            TRY(take_index(t, r, data.data + *at, &x, &how, &taken));
        }
        *at += taken;
        if (taken == 0 && r->fault.kind == COMPUTE_FAULT_NONE) {
            TRY(next_record(t, r, data, at, &q, &found));
        }
    }
    if (r->fault.kind != COMPUTE_FAULT_NONE) {
        *at = data.size; /* nothing behind it counts */
    }
    return 0;
}
