/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a program: its source, its expressions as postfix code, its stages. Made by program.c
 * (source and stages), program_expr.c (expressions) and program_lex.c (words); read by tasks.
 *
 * threads: a plan never changes once made; a parser has one owner.
 */
#ifndef HOLDFAST_COMPUTE_PROGRAM_INTERNAL_H
#define HOLDFAST_COMPUTE_PROGRAM_INTERNAL_H

#include "compute/number_internal.h"
#include "compute/program.h"
#include "compute/reduce.h"

enum compute_source {
    COMPUTE_SOURCE_ARRAY,
    COMPUTE_SOURCE_LINES,
    COMPUTE_SOURCE_WORDS,
    COMPUTE_SOURCE_CSV,
};

/* Those from ADD to GREATER take two values. */
enum compute_code_op {
    COMPUTE_CODE_FIELD,
    COMPUTE_CODE_ROW, /* a field of the row that a lookup found */
    COMPUTE_CODE_NUMBER,
    COMPUTE_CODE_TEXT,
    COMPUTE_CODE_ADD,
    COMPUTE_CODE_SUBTRACT,
    COMPUTE_CODE_MULTIPLY,
    COMPUTE_CODE_DIVIDE,
    COMPUTE_CODE_REST,
    COMPUTE_CODE_EQUAL,
    COMPUTE_CODE_UNEQUAL,
    COMPUTE_CODE_LESS,
    COMPUTE_CODE_LESS_EQUAL,
    COMPUTE_CODE_GREATER_EQUAL,
    COMPUTE_CODE_GREATER,
    COMPUTE_CODE_NEGATE,
    COMPUTE_CODE_NOT,
    COMPUTE_CODE_AND, /* false: goes on at `to`; else drops it */
    COMPUTE_CODE_OR,  /* true: goes on at `to`; else drops it */
};

struct compute_code {
    enum compute_code_op op;
    uint32_t field;  /* FIELD, ROW */
    uint32_t lookup; /* ROW */
    uint32_t to;     /* AND, OR */
    struct compute_number number;
    struct bytes text;
};

/* Code from `from` up to `to`. */
struct compute_expr {
    uint32_t from;
    uint32_t to;
};

struct compute_aggregate {
    enum compute_op op;
    uint32_t column; /* in the text */
    struct compute_expr value;
    struct compute_expr other; /* dot */
    uint32_t count;            /* as in compute_reduce_spec */
    double low;
    double high;
    uint32_t at; /* of its tally in a group */
};

/* One value by which records are sorted. */
struct compute_sort {
    struct compute_expr value;
    bool down; /* the greatest first */
};

/* A share of all records, by a hash of a value: a filter like `where`. */
struct compute_sample {
    bool on;
    bool whole;     /* of the record's bytes */
    uint64_t limit; /* the greatest hash that passes */
    double share;
};

/* That are copied, compared or hashed where a field is used. */
#define COMPUTE_ROW_BYTES_A_STEP 4u

/* A table: a filter that lets pass what is in it. */
struct compute_lookup {
    struct bytes name; /* of the table */
    struct bytes as;   /* of the row */
    bool header;
    bool left;       /* what is not in it passes too */
    uint32_t fields; /* the greatest of the row that is used */
    const struct compute_table *table;
};

struct compute_column {
    enum compute_type type;
    uint32_t at;
};

/* Prefixes: of each record what an aggregate is of it and those before, in its segment. */
struct compute_scan_plan {
    bool on;
    bool exclusive; /* of those before alone */
    bool segments;  /* one begins where `from` holds */
    bool raw;       /* results are numbers of 64 bits */
    bool dense;     /* of all numbers of one field of raw records, and raw */
    enum compute_op op;
    enum compute_type type;       /* raw: of results: i64, u64 or f64 */
    bool field;                   /* raw: the value is a field as it is */
    struct compute_column column; /* that one */
    struct compute_expr value;
    struct compute_expr from;
};

struct compute_program {
    struct alloc alloc;
    uint64_t digest; /* of the text as it was given, and of the tables; never changes then */
    uint8_t text[COMPUTE_PROGRAM_BYTES_MAX]; /* texts of codes point into it */
    enum compute_source source;
    bool header;
    uint32_t names;        /* that the header declares, of the first fields */
    uint64_t seed;         /* of hashes of groups */
    uint32_t record_bytes; /* array */
    uint32_t columns;
    uint32_t fields; /* the greatest field that is used */
    uint32_t wheres;
    uint32_t keys;
    uint32_t key_parts;  /* of groups: the keys, and where it estimates the sample's hash */
    uint32_t aggregates; /* 0: records are printed */
    uint32_t selects;
    uint32_t sorts;     /* records are printed in an order, by select if there is one */
    bool sorts_records; /* whose keys follow from what is printed of them alone */
    uint64_t top;       /* 0: all groups */
    uint32_t tally_bytes;
    uint32_t codes;
    bool estimates; /* aggregates are of the whole, with bounds */
    unsigned estimate_column;
    uint32_t sampled;    /* estimates: which of the filters is the sample */
    bool counts_words;   /* words | by $0 count */
    bool counts_records; /* lines | count, words | count */
    uint8_t format;      /* of encodings of its tasks */
    bool reduces;        /* all is done by compute_reduce */
    uint32_t named;      /* fields that are used, in order and each once: named_field */
    uint16_t named_field[COMPUTE_PROGRAM_FIELDS_MAX];
    struct compute_reduce_spec spec;
    struct bytes name[COMPUTE_PROGRAM_FIELDS_MAX]; /* into text */
    struct compute_column column[COMPUTE_PROGRAM_FIELDS_MAX];
    struct compute_expr where[COMPUTE_PROGRAM_LIST_MAX];
    struct compute_sample sample[COMPUTE_PROGRAM_LIST_MAX]; /* on: of where[i], the value */
    uint32_t joins[COMPUTE_PROGRAM_LIST_MAX]; /* where[i] is the key of this lookup, and 1 */
    uint32_t lookups;
    struct compute_lookup lookup[COMPUTE_PROGRAM_LOOKUPS_MAX];
    struct compute_scan_plan scan;
    struct compute_expr key[COMPUTE_PROGRAM_LIST_MAX];
    struct compute_expr select[COMPUTE_PROGRAM_LIST_MAX];
    struct compute_sort sort[COMPUTE_PROGRAM_LIST_MAX];
    struct compute_aggregate aggregate[COMPUTE_PROGRAM_LIST_MAX];
    struct compute_code code[COMPUTE_PROGRAM_CODES_MAX];
};

/* --- words --- */

enum compute_token_kind {
    COMPUTE_TOKEN_END,
    COMPUTE_TOKEN_WORD,
    COMPUTE_TOKEN_FIELD,
    COMPUTE_TOKEN_ROW, /* $name.1 */
    COMPUTE_TOKEN_NUMBER,
    COMPUTE_TOKEN_TEXT,
    COMPUTE_TOKEN_MARK, /* + - * / % = != < <= > >= ( ) , | */
};

struct compute_token {
    enum compute_token_kind kind;
    uint32_t column;    /* from 1, in bytes */
    struct bytes shown; /* as it is written */
    struct bytes text;  /* TEXT: without quotes and escapes */
    uint32_t field;
    uint32_t lookup;
    struct compute_number number;
};

struct compute_parser {
    struct compute_program *p;
    size_t size; /* of p->text */
    size_t at;   /* behind the token */
    struct compute_token token;
    struct err_info *why;
};

/* Takes the next token. returns: 0 or ERR_INVALID. */
int compute_parser_next(struct compute_parser *s);
bool compute_parser_is(const struct compute_parser *s, const char *text);
/* returns: ERR_INVALID, with a sentence on the token: "column 5: 'x' is ...". */
int compute_parser_wrong(struct compute_parser *s, const char *what);
/* The same for a word that is none of `known`, with the nearest of these. */
int compute_parser_unknown(struct compute_parser *s, const char *what, const char *const *known,
                           size_t count);

/* What is behind the word `scan`. */
int compute_parser_scan(struct compute_parser *s);
/* Of which type its results are, and how they are found. */
void compute_plan_scan(struct compute_program *p);

/* What is behind the word `lookup`. key: of where it is looked for. */
int compute_parser_lookup(struct compute_parser *s, struct compute_expr *key);

/* --- expressions --- */

enum compute_expr_type {
    COMPUTE_EXPR_TRUTH,
    COMPUTE_EXPR_NUMBER,
    COMPUTE_EXPR_TEXT,  /* a text of the program */
    COMPUTE_EXPR_FIELD, /* of text: a number or none */
};

/* returns: whether the token can begin an expression. */
bool compute_parser_at_expr(const struct compute_parser *s);
/* One expression, as far as it goes. returns: 0, ERR_INVALID, or ERR_TOO_LARGE. */
int compute_parser_expr(struct compute_parser *s, struct compute_expr *out,
                        enum compute_expr_type *type);
/* Just one field. */
int compute_parser_field(struct compute_parser *s, uint32_t field, struct compute_expr *out);

#endif
