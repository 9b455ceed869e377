/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs: source and stages.
 */
#include "compute/program.h"

#include "base/hash.h"
#include "base/num.h"
#include "compute/program_internal.h"
#include "compute/table_internal.h"
#include "compute/tally_internal.h"

#include <math.h>

static const char *const sources[] = {"i8",  "u8",  "i16", "u16",   "i32",   "u32", "i64",
                                      "u64", "f32", "f64", "lines", "words", "csv"};
static const char *const stages[] = {
    "where", "sample", "lookup", "select",    "by",  "top",      "estimate", "sort",
    "scan",  "count",  "sum",    "min",       "max", "mean",     "var",      "varp",
    "dot",   "argmin", "argmax", "histogram", "log", "quantile", "distinct"};
#define FIELD_STEPS 16u /* what it takes to read a number from a field of text */
#define LOOKUP_STEPS 64u
#define REST_STEPS 256u /* of numbers of very different size, see compute/number.c */

#define SOURCES (sizeof(sources) / sizeof(sources[0]))
#define STAGES (sizeof(stages) / sizeof(stages[0]))
#define AGGREGATES_FROM 8u /* in stages */
#define QUANTILE_PARTS COMPUTE_PARTS_MAX

/* --- sources --- */

static bool word_equals(const struct compute_parser *s, const char *text)
{
    return s->token.kind == COMPUTE_TOKEN_WORD && compute_parser_is(s, text);
}

/* xN: so many bytes are no number. returns: 0 if the word is something else. */
static uint32_t skip_of(const struct compute_parser *s)
{
    const struct bytes word = s->token.shown;
    uint32_t bytes = 0;
    if (s->token.kind != COMPUTE_TOKEN_WORD || word.size < 2 || word.data[0] != 'x') {
        return 0;
    }
    for (size_t i = 1; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return 0;
        }
        bytes = NUM_MIN(bytes * 10 + (uint32_t)(word.data[i] - '0'), COMPUTE_RECORD_MAX + 1);
    }
    return bytes;
}

static int parse_column(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    uint32_t bytes = skip_of(s);
    for (unsigned t = 0; t < COMPUTE_TYPES && bytes == 0; t++) {
        if (word_equals(s, compute_type_name((enum compute_type)t))) {
            if (p->columns == COMPUTE_PROGRAM_FIELDS_MAX) {
                return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u numbers",
                               s->token.column, COMPUTE_PROGRAM_FIELDS_MAX);
            }
            p->column[p->columns++] =
                (struct compute_column){.type = (enum compute_type)t, .at = p->record_bytes};
            bytes = compute_type_bytes((enum compute_type)t);
        }
    }
    if (bytes == 0) {
        return compute_parser_unknown(s, "is no source of records", sources, SOURCES);
    }
    if (bytes > COMPUTE_RECORD_MAX - p->record_bytes) {
        return err_set(s->why, ERR_TOO_LARGE, "column %u: a record is longer than %u bytes",
                       s->token.column, COMPUTE_RECORD_MAX);
    }
    p->record_bytes += bytes;
    return compute_parser_next(s);
}

static int parse_array(struct compute_parser *s)
{
    s->p->source = COMPUTE_SOURCE_ARRAY;
    TRY(parse_column(s));
    while (compute_parser_is(s, ",")) {
        TRY(compute_parser_next(s));
        TRY(parse_column(s));
    }
    return s->p->columns > 0 ? 0 : compute_parser_wrong(s, "follows a record without numbers");
}

/* Names of the first fields, up to the stages. */
static int parse_names(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    while (s->token.kind == COMPUTE_TOKEN_WORD || s->token.kind == COMPUTE_TOKEN_TEXT) {
        const struct bytes name =
            s->token.kind == COMPUTE_TOKEN_TEXT ? s->token.text : s->token.shown;
        if (p->names == COMPUTE_PROGRAM_FIELDS_MAX) {
            return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u names", s->token.column,
                           COMPUTE_PROGRAM_FIELDS_MAX);
        }
        for (uint32_t i = 0; i < p->names; i++) {
            if (name.size > 0 && bytes_equal(p->name[i], name)) {
                return compute_parser_wrong(s, "is declared twice");
            }
        }
        p->name[p->names++] = name;
        TRY(compute_parser_next(s));
        if (!compute_parser_is(s, ",")) {
            return 0;
        }
        TRY(compute_parser_next(s));
    }
    return p->names == 0 ? 0 : compute_parser_wrong(s, "stands where a name of a field should");
}

static int parse_source(struct compute_parser *s)
{
    if (word_equals(s, "lines")) {
        s->p->source = COMPUTE_SOURCE_LINES;
        return compute_parser_next(s);
    }
    if (word_equals(s, "words")) {
        s->p->source = COMPUTE_SOURCE_WORDS;
        return compute_parser_next(s);
    }
    if (!word_equals(s, "csv")) {
        return parse_array(s);
    }
    s->p->source = COMPUTE_SOURCE_CSV;
    TRY(compute_parser_next(s));
    if (word_equals(s, "header")) {
        s->p->header = true;
        TRY(compute_parser_next(s));
        return parse_names(s);
    }
    return 0;
}

/* --- aggregates --- */

static bool find_aggregate(const struct compute_parser *s, enum compute_op *out)
{
    for (unsigned op = 0; op < COMPUTE_OPS; op++) {
        if (word_equals(s, compute_op_name((enum compute_op)op))) {
            *out = (enum compute_op)op;
            return true;
        }
    }
    return false;
}

/* A number, perhaps with a sign. */
static int parse_real(struct compute_parser *s, double *out)
{
    const bool minus = compute_parser_is(s, "-");
    if (minus) {
        TRY(compute_parser_next(s));
    }
    if (s->token.kind != COMPUTE_TOKEN_NUMBER) {
        return compute_parser_wrong(s, "stands where a number should");
    }
    const double real = compute_number_real(&s->token.number);
    *out = minus ? -real : real;
    return compute_parser_next(s);
}

static int parse_whole(struct compute_parser *s, uint64_t least, uint64_t most, uint64_t *out)
{
    const struct compute_number *n = &s->token.number;
    if (s->token.kind != COMPUTE_TOKEN_NUMBER || n->is_real || n->size < least || n->size > most) {
        char what[96];
        (void)snprintf(what, sizeof(what), "stands where a whole number from %llu to %llu should",
                       (unsigned long long)least, (unsigned long long)most);
        return compute_parser_wrong(s, what);
    }
    *out = n->size;
    return compute_parser_next(s);
}

/* What stands before an aggregate's expression. */
static int parse_parameters(struct compute_parser *s, struct compute_aggregate *a)
{
    uint64_t count = 0;
    switch (a->op) {
    case COMPUTE_OP_HISTOGRAM:
        TRY(parse_whole(s, 1, COMPUTE_BINS_MAX, &count));
        TRY(parse_real(s, &a->low));
        TRY(parse_real(s, &a->high));
        if (!(a->low < a->high) || !isfinite(a->high - a->low)) {
            return err_set(s->why, ERR_INVALID,
                           "column %u: the bins of 'histogram' go from a number to a greater one",
                           a->column);
        }
        break;
    case COMPUTE_OP_LOG: TRY(parse_whole(s, 0, COMPUTE_PARTS_MAX, &count)); break;
    case COMPUTE_OP_TOP: TRY(parse_whole(s, 1, COMPUTE_TOP_MAX, &count)); break;
    case COMPUTE_OP_QUANTILE:
        count = QUANTILE_PARTS;
        TRY(parse_real(s, &a->low));
        if (!(a->low >= 0 && a->low <= 1)) {
            return err_set(s->why, ERR_INVALID, "column %u: a quantile is from 0 to 1", a->column);
        }
        break;
    default: break;
    }
    a->count = (uint32_t)count;
    return 0;
}

/* An expression that has a number or, if texts is true, a text. */
static int parse_value(struct compute_parser *s, bool texts, struct compute_expr *out)
{
    enum compute_expr_type type = COMPUTE_EXPR_NUMBER;
    const struct compute_token first = s->token;
    TRY(compute_parser_expr(s, out, &type));
    if (type == COMPUTE_EXPR_TRUTH || (type == COMPUTE_EXPR_TEXT && !texts)) {
        s->token = first;
        return compute_parser_wrong(s, type == COMPUTE_EXPR_TRUTH
                                           ? "begins a condition, where a value should be"
                                           : "is a text, where a number should be");
    }
    return 0;
}

static int parse_aggregate(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    struct compute_aggregate a = {.column = s->token.column};
    if (p->aggregates == COMPUTE_PROGRAM_LIST_MAX) {
        return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u aggregates", s->token.column,
                       COMPUTE_PROGRAM_LIST_MAX);
    }
    if (!find_aggregate(s, &a.op)) {
        return compute_parser_unknown(s, "is no aggregate", stages + AGGREGATES_FROM,
                                      STAGES - AGGREGATES_FROM);
    }
    TRY(compute_parser_next(s));
    TRY(parse_parameters(s, &a));
    if (a.op == COMPUTE_OP_DOT) {
        TRY(parse_value(s, false, &a.value));
        if (!compute_parser_is(s, ",")) {
            return compute_parser_wrong(s, "stands where ',' and the second factor should");
        }
        TRY(compute_parser_next(s));
        TRY(parse_value(s, false, &a.other));
    } else if (a.op == COMPUTE_OP_COUNT) {
        a.value = (struct compute_expr){.from = 0, .to = 0};
    } else if (compute_parser_at_expr(s)) {
        TRY(parse_value(s, a.op == COMPUTE_OP_DISTINCT, &a.value));
    } else {
        TRY(compute_parser_field(s, p->source == COMPUTE_SOURCE_ARRAY, &a.value));
    }
    p->aggregate[p->aggregates++] = a;
    return 0;
}

static int parse_aggregates(struct compute_parser *s)
{
    TRY(parse_aggregate(s));
    while (compute_parser_is(s, ",")) {
        TRY(compute_parser_next(s));
        TRY(parse_aggregate(s));
    }
    return 0;
}

/* --- stages --- */

static int check_filters(struct compute_parser *s)
{
    if (s->p->wheres == COMPUTE_PROGRAM_LIST_MAX) {
        return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u conditions", s->token.column,
                       COMPUTE_PROGRAM_LIST_MAX);
    }
    return 0;
}

static int parse_where(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    enum compute_expr_type type = COMPUTE_EXPR_TRUTH;
    const struct compute_token first = s->token;
    TRY(check_filters(s));
    TRY(compute_parser_expr(s, &p->where[p->wheres], &type));
    if (type != COMPUTE_EXPR_TRUTH) {
        s->token = first;
        return compute_parser_wrong(s, "begins a value, where a condition should be: $1 > 0");
    }
    p->wheres++;
    return 0;
}

/* Values of any type. */
static int parse_values(struct compute_parser *s, struct compute_expr *list, uint32_t *count)
{
    for (;;) {
        if (*count == COMPUTE_PROGRAM_LIST_MAX) {
            return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u expressions",
                           s->token.column, COMPUTE_PROGRAM_LIST_MAX);
        }
        TRY(parse_value(s, true, &list[*count]));
        (*count)++;
        if (!compute_parser_is(s, ",")) {
            return 0;
        }
        TRY(compute_parser_next(s));
    }
}

static int parse_sample(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    struct compute_sample *sample = &p->sample[p->wheres];
    const unsigned column = s->token.column;
    TRY(check_filters(s));
    TRY(parse_real(s, &sample->share));
    if (!(sample->share >= 0x1p-64 && sample->share <= 1)) {
        return err_set(s->why, ERR_INVALID,
                       "column %u: a share of the records is above 0 and at most 1", column);
    }
    sample->on = true;
    sample->limit = sample->share < 1 ? (uint64_t)(sample->share * 0x1p64) - 1 : UINT64_MAX;
    sample->whole = !compute_parser_at_expr(s);
    if (!sample->whole) {
        TRY(parse_value(s, true, &p->where[p->wheres]));
    }
    p->wheres++;
    return 0;
}

static int parse_sorts(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    for (;;) {
        struct compute_sort *sort = &p->sort[p->sorts];
        if (p->sorts == COMPUTE_PROGRAM_LIST_MAX) {
            return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u values to sort by",
                           s->token.column, COMPUTE_PROGRAM_LIST_MAX);
        }
        TRY(parse_value(s, true, &sort->value));
        p->sorts++;
        sort->down = word_equals(s, "down");
        TRY(sort->down ? compute_parser_next(s) : 0);
        if (!compute_parser_is(s, ",")) {
            return 0;
        }
        TRY(compute_parser_next(s));
    }
}

static int parse_estimate(struct compute_parser *s)
{
    s->p->estimates = true;
    s->p->estimate_column = s->token.column;
    TRY(compute_parser_next(s));
    return parse_aggregates(s);
}

/* Of a stage behind the last one. */
static int wrong_stage(struct compute_parser *s)
{
    const struct compute_program *p = s->p;
    if (p->keys > 0 && p->top == 0) {
        return compute_parser_wrong(s, "cannot follow 'by': only 'top N' can");
    }
    return compute_parser_wrong(s, p->sorts > 0 && p->selects == 0
                                       ? "cannot follow 'sort': only 'select' can"
                                       : "follows the last stage");
}

static int parse_stage(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    const bool last = p->aggregates > 0 || p->selects > 0 || p->sorts > 0 || p->scan.on;
    const bool selects =
        word_equals(s, "select") && p->aggregates == 0 && p->selects == 0 && !p->scan.on;
    if (p->keys > 0 && p->top == 0 && word_equals(s, "top")) {
        TRY(compute_parser_next(s));
        return parse_whole(s, 1, UINT64_MAX, &p->top);
    }
    if (selects) {
        TRY(compute_parser_next(s));
        TRY(parse_values(s, p->select, &p->selects));
        return p->sorts == 0 && word_equals(s, "scan") ? compute_parser_scan(s) : 0;
    }
    if (last) {
        return wrong_stage(s);
    }
    if (word_equals(s, "where")) {
        TRY(compute_parser_next(s));
        return parse_where(s);
    }
    if (word_equals(s, "sample")) {
        TRY(compute_parser_next(s));
        return parse_sample(s);
    }
    if (word_equals(s, "lookup")) {
        TRY(check_filters(s));
        TRY(compute_parser_next(s));
        TRY(compute_parser_lookup(s, &p->where[p->wheres]));
        p->joins[p->wheres++] = p->lookups;
        return 0;
    }
    if (word_equals(s, "sort")) {
        TRY(compute_parser_next(s));
        return parse_sorts(s);
    }
    if (word_equals(s, "scan")) {
        return compute_parser_scan(s);
    }
    if (word_equals(s, "by")) {
        TRY(compute_parser_next(s));
        TRY(parse_values(s, p->key, &p->keys));
        return word_equals(s, "estimate") ? parse_estimate(s) : parse_aggregates(s);
    }
    if (word_equals(s, "estimate")) {
        return parse_estimate(s);
    }
    enum compute_op op = COMPUTE_OP_COUNT;
    if (!find_aggregate(s, &op)) {
        return compute_parser_unknown(s, "is no stage", stages, STAGES);
    }
    return parse_aggregates(s);
}

static int parse_program(struct compute_parser *s)
{
    TRY(compute_parser_next(s));
    TRY(parse_source(s));
    while (compute_parser_is(s, "|")) {
        TRY(compute_parser_next(s));
        TRY(parse_stage(s));
    }
    return s->token.kind == COMPUTE_TOKEN_END
               ? 0
               : compute_parser_wrong(s, "stands where '|' or the end should");
}

/* --- the plan --- */

/* returns: whether it is one field, and which. */
static bool is_field(const struct compute_program *p, struct compute_expr e, uint32_t *field)
{
    const struct compute_code *code = &p->code[e.from];
    if (e.to != e.from + 1 || code->op != COMPUTE_CODE_FIELD) {
        return false;
    }
    *field = code->field;
    return true;
}

/* One aggregate of fields of raw records is what compute_reduce does. */
static bool plan_reduces(struct compute_program *p)
{
    uint32_t field = 1;
    uint32_t other = 1;
    const struct compute_aggregate *a = &p->aggregate[0];
    if (p->source != COMPUTE_SOURCE_ARRAY || p->wheres + p->keys > 0 || p->aggregates != 1 ||
        (a->op != COMPUTE_OP_COUNT && !is_field(p, a->value, &field)) ||
        (a->op == COMPUTE_OP_DOT && !is_field(p, a->other, &other))) {
        return false;
    }
    const struct compute_column *first = &p->column[field - 1];
    const struct compute_column *second = &p->column[other - 1];
    if (a->op == COMPUTE_OP_DOT && first->type != second->type) {
        return false;
    }
    p->spec = (struct compute_reduce_spec){.op = a->op,
                                           .type = first->type,
                                           .record_bytes = p->record_bytes,
                                           .field = first->at,
                                           .other = a->op == COMPUTE_OP_DOT ? second->at : 0,
                                           .count = a->count,
                                           .low = a->low,
                                           .high = a->high};
    return true;
}

static bool plan_counts_words(const struct compute_program *p)
{
    uint32_t field = 0;
    return p->source == COMPUTE_SOURCE_WORDS && p->wheres == 0 && p->keys == 1 &&
           is_field(p, p->key[0], &field) && p->aggregates == 1 &&
           p->aggregate[0].op == COMPUTE_OP_COUNT;
}

/* Of lines and words all are records, whatever they say. */
static bool plan_counts_records(const struct compute_program *p)
{
    bool counts = p->source == COMPUTE_SOURCE_LINES || p->source == COMPUTE_SOURCE_WORDS;
    for (uint32_t i = 0; i < p->aggregates; i++) {
        counts = counts && p->aggregate[i].op == COMPUTE_OP_COUNT;
    }
    return counts && p->aggregates > 0 && p->wheres == 0 && p->key_parts == 0 && !p->reduces;
}

/* Estimates are of one sample, by sums over what has one hash. */
static int plan_estimates(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    uint32_t samples = 0;
    for (uint32_t i = 0; i < p->wheres; i++) {
        samples += p->sample[i].on;
        p->sampled = p->sample[i].on ? i : p->sampled;
    }
    if (samples != 1) {
        return err_set(s->why, ERR_INVALID,
                       "column %u: 'estimate' needs one 'sample' before it, and there %s",
                       p->estimate_column, samples == 0 ? "is none" : "are several");
    }
    for (uint32_t i = 0; i < p->aggregates; i++) {
        const enum compute_op op = p->aggregate[i].op;
        if (op != COMPUTE_OP_COUNT && op != COMPUTE_OP_SUM && op != COMPUTE_OP_MEAN) {
            return err_set(s->why, ERR_INVALID,
                           "column %u: '%s' has no bounds: 'estimate' takes count, sum and mean",
                           p->aggregate[i].column, compute_op_name(op));
        }
    }
    return 0;
}

/* returns: whether a record's key follows from its bytes, which are what is printed. */
static bool plan_sorts_records(const struct compute_program *p)
{
    bool rows = false;
    for (uint32_t i = 0; i < p->sorts; i++) {
        for (uint32_t at = p->sort[i].value.from; at < p->sort[i].value.to; at++) {
            rows = rows || p->code[at].op == COMPUTE_CODE_ROW;
        }
    }
    return p->sorts > 0 && p->selects == 0 && !rows;
}

/* The fields that expressions use, but for the whole record. */
static void plan_named(struct compute_program *p)
{
    bool used[COMPUTE_PROGRAM_FIELDS_MAX + 1] = {false};
    for (uint32_t i = 0; i < p->codes; i++) {
        if (p->code[i].op == COMPUTE_CODE_FIELD) {
            ASSERT(p->code[i].field <= p->fields && p->fields <= COMPUTE_PROGRAM_FIELDS_MAX);
            used[p->code[i].field] = true;
        }
    }
    for (uint32_t field = 1; field <= p->fields; field++) {
        if (used[field]) {
            p->named_field[p->named++] = (uint16_t)field;
        }
    }
}

static int plan(struct compute_parser *s)
{
    struct compute_program *p = s->p;
    plan_named(p);
    TRY(p->estimates ? plan_estimates(s) : 0);
    p->format = p->sorts > 0 || p->scan.on ? 5 : p->lookups > 0 ? 3 : p->estimates ? 2 : 1;
    p->sorts_records = plan_sorts_records(p);
    p->key_parts = p->keys + p->estimates;
    p->reduces = plan_reduces(p);
    p->counts_words = plan_counts_words(p);
    p->counts_records = plan_counts_records(p);
    compute_plan_scan(p);
    for (uint32_t i = 0; i < p->aggregates; i++) {
        struct compute_aggregate *a = &p->aggregate[i];
        if (!p->reduces && !compute_tally_has(a->op)) {
            return err_set(s->why, ERR_INVALID,
                           "column %u: '%s' works on one field of raw records only, alone and "
                           "without 'where' or 'by'",
                           a->column, compute_op_name(a->op));
        }
        const uint8_t format = p->reduces ? 1 : compute_tally_format(a->op);
        p->format = NUM_MAX(p->format, format);
        a->at = p->tally_bytes;
        p->tally_bytes += compute_tally_bytes(a->op);
    }
    return 0;
}

int compute_program_new(struct compute_program **out, const struct alloc *alloc, struct bytes text,
                        struct err_info *why)
{
    if (text.size > COMPUTE_PROGRAM_BYTES_MAX) {
        return err_set(why, ERR_TOO_LARGE, "the program is longer than %u bytes",
                       COMPUTE_PROGRAM_BYTES_MAX);
    }
    struct hash_digest d = {.low = 0, .high = 0};
    struct compute_program *p = alloc_get_zeroed(alloc, 1, sizeof(*p));
    if (p == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a program");
    }
    p->alloc = *alloc;
    hash_digest_add(&d, text, bytes_of(NULL, 0));
    p->digest = d.low;
    if (text.size > 0) {
        memcpy(p->text, text.data, text.size);
    }
    struct compute_parser s = {.p = p, .size = text.size, .why = why};
    int err = parse_program(&s);
    err = err == 0 ? plan(&s) : err;
    if (err != 0) {
        compute_program_free(p);
        return err;
    }
    *out = p;
    return 0;
}

void compute_program_free(struct compute_program *p)
{
    if (p != NULL) {
        alloc_put(&p->alloc, p, sizeof(*p));
    }
}

void compute_program_seed(struct compute_program *p, uint64_t seed)
{
    p->seed = seed;
}

uint32_t compute_program_steps(const struct compute_program *p)
{
    uint32_t steps = 1 + p->key_parts + p->aggregates + p->sorts + p->scan.on;
    for (uint32_t i = 0; i < p->wheres; i++) {
        steps += p->sample[i].on ? FIELD_STEPS : 0;
        steps += p->joins[i] > 0 ? LOOKUP_STEPS : 0;
    }
    for (uint32_t i = 0; i < p->codes; i++) {
        switch (p->code[i].op) {
        case COMPUTE_CODE_FIELD: steps += p->columns > 0 ? 1 : FIELD_STEPS; break;
        case COMPUTE_CODE_ROW: steps += FIELD_STEPS; break;
        case COMPUTE_CODE_REST: steps += REST_STEPS; break;
        default: steps++; break;
        }
    }
    return steps;
}

uint32_t compute_program_row_steps(const struct compute_program *p)
{
    uint32_t steps = 0; /* no overflow: eight tables and all codes together stay below 2^31 */
    for (uint32_t i = 0; i < p->lookups; i++) {
        const struct compute_lookup *l = &p->lookup[i];
        steps += l->fields > 1 && l->table != NULL ? compute_table_longest(l->table) : 0;
    }
    for (uint32_t i = 0; i < p->codes; i++) {
        const bool row = p->code[i].op == COMPUTE_CODE_ROW;
        const struct compute_table *t = row ? p->lookup[p->code[i].lookup].table : NULL;
        steps += t != NULL ? compute_table_longest(t) / COMPUTE_ROW_BYTES_A_STEP : 0;
    }
    return steps;
}
