/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records of a source, what expressions make of them, and what can be wrong with one.
 *
 * threads: one owner of a record and its scratch at a time.
 */
#ifndef HOLDFAST_COMPUTE_RECORD_INTERNAL_H
#define HOLDFAST_COMPUTE_RECORD_INTERNAL_H

#include "compute/program_internal.h"

#define COMPUTE_RECORD_BYTES_MAX (UINT32_C(1) << 20)

/* The first error of a span. Which it is depends on the records alone, never on where the object
 * was cut: see task.c. */
enum compute_fault_kind {
    COMPUTE_FAULT_NONE,
    COMPUTE_FAULT_NO_NUMBER,
    COMPUTE_FAULT_DIVISION,
    COMPUTE_FAULT_OVERFLOW,
    COMPUTE_FAULT_QUOTE_INSIDE, /* a quote in a field that does not begin with one */
    COMPUTE_FAULT_QUOTE_AFTER,  /* something between a closing quote and the comma */
    COMPUTE_FAULT_QUOTE_OPEN,   /* the object ends within quotes */
    COMPUTE_FAULT_LONG,
    COMPUTE_FAULT_PARTIAL, /* the object ends within a record of fixed size */
    COMPUTE_FAULT_LIMIT,   /* groups take more than the limit */
    COMPUTE_FAULT_HEADER,  /* the header has another name than was declared */
    COMPUTE_FAULT_ROW,     /* NO_NUMBER in a row of a table; field: compute_row_field */
    COMPUTE_FAULT_SCAN,    /* a result of a scan is no number of its type; in no state */
    COMPUTE_FAULT_BITS,    /* a scan by `or` has a number that is not whole; in no state */
};

#define COMPUTE_FAULT_SHOWN 32u
struct compute_fault {
    enum compute_fault_kind kind;
    uint64_t record; /* of the span, from 0 */
    uint32_t field;
    uint32_t shown; /* bytes */
    uint8_t show[COMPUTE_FAULT_SHOWN];
};

/* What a value is at one moment. */
enum compute_cell_kind {
    COMPUTE_CELL_ABSENT,  /* an empty field, or one that is not there */
    COMPUTE_CELL_NONE,    /* a text that is no number */
    COMPUTE_CELL_FIELD,   /* a field's text, not looked at yet */
    COMPUTE_CELL_LITERAL, /* a text of the program */
    COMPUTE_CELL_NUMBER,
    COMPUTE_CELL_TRUTH,
};

struct compute_cell {
    enum compute_cell_kind kind;
    uint32_t field; /* NONE, FIELD */
    bool truth;
    struct compute_number number;
    struct bytes text; /* NONE, FIELD, LITERAL */
};

struct compute_record {
    struct bytes whole;
    bool no_quotes;                                 /* known of the next record of CSV */
    uint32_t fields;                                /* those that are there, up to p->fields */
    struct bytes field[COMPUTE_PROGRAM_FIELDS_MAX]; /* text: $1 is field[0] */
    struct buf scratch;                             /* CSV: fields without their quotes */
    const struct compute_record *rows;              /* that lookups found */
    uint64_t *row_steps;                            /* grow by what these cost; with rows */
};

/* How a field of a row is numbered in cells and faults. */
static inline uint32_t compute_row_field(uint32_t lookup, uint32_t field)
{
    return (lookup + 1) << 16 | field;
}

void compute_record_init(struct compute_record *r, const struct alloc *alloc);
void compute_record_release(struct compute_record *r);
/* Finds the fields of a record, as far as the program uses them. whole: borrowed while r is used.
 * returns: 0, or ERR_NO_MEMORY; what is wrong with the record is in fault. */
int compute_record_set(struct compute_record *r, const struct compute_program *p,
                       struct bytes whole, struct compute_fault *fault);

/* The same for at least so many fields, whatever the program uses. */
int compute_record_set_fields(struct compute_record *r, const struct compute_program *p,
                              struct bytes whole, uint32_t wanted, struct compute_fault *fault);

/* A record of CSV, whatever the program reads. */
int compute_record_set_csv(struct compute_record *r, struct bytes whole, uint32_t wanted,
                           struct compute_fault *fault);
/* The same of one that was found to be right before: nothing behind the last field that is wanted
 * is looked at. quoted: whether it has quotes. returns: 0 or ERR_NO_MEMORY. */
int compute_record_cut_csv(struct compute_record *r, struct bytes whole, uint32_t wanted,
                           bool quoted);
/* The next line end of CSV that is not in quotes, from `at` on. quote: where the next quote at or
 * behind `at` is. returns: its place, or data.size. */
size_t compute_csv_end(struct bytes data, size_t at, bool *quoted, size_t *quote);

/* returns: false if the record has a fault, which is filled in. */
bool compute_expr_eval(const struct compute_program *p, struct compute_expr e,
                       const struct compute_record *r, struct compute_cell *out,
                       struct compute_fault *fault);
/* Of a condition. returns: whether it is true; false also for a fault. */
bool compute_expr_holds(const struct compute_program *p, struct compute_expr e,
                        const struct compute_record *r, struct compute_fault *fault);
/* returns: whether it is a field against what the program says: most conditions are that, and need
 * no stack. */
bool compute_expr_is_plain(const struct compute_program *p, struct compute_expr e);
/* The same of the field's text alone, of such a condition: field, number or text, comparison. */
bool compute_expr_field_holds(const struct compute_code *code, struct bytes field);
/* returns: a number of a raw record. */
struct compute_number compute_column_number(const uint8_t *record, const struct compute_column *c);
/* Looks whether a field is a number. */
void compute_cell_read(struct compute_cell *c);
/* The text of a value: of a field its own. digits: where that of a number is written. */
struct bytes compute_cell_text(const struct compute_cell *c, char digits[COMPUTE_VALUE_TEXT]);
/* What is no number is a fault, if something is there at all. */
void compute_fault_no_number(struct compute_fault *fault, const struct compute_cell *c);
/* Bytes for a sentence: as many as a fault keeps, others than ASCII's as '?'. */
void compute_fault_text(struct bytes v, char text[COMPUTE_FAULT_SHOWN + 1]);
void compute_fault_at(struct compute_fault *fault, enum compute_fault_kind kind, uint32_t field,
                      struct bytes shown);

/* Appends a field of CSV, in quotes if it needs them (RFC 4180). A failure stays in into->err. */
void compute_csv_put(struct buf *into, struct bytes field);

#endif
