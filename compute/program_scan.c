/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs: the stage `scan`, and of which type its results are.
 */
#include "compute/program_internal.h"

static int parse_op(struct compute_parser *s, enum compute_op *out)
{
    static const enum compute_op ops[] = {COMPUTE_OP_COUNT, COMPUTE_OP_SUM, COMPUTE_OP_MIN,
                                          COMPUTE_OP_MAX, COMPUTE_OP_OR};
    static const char *const names[] = {"count", "sum", "min", "max", "or", "exclusive"};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (compute_parser_is(s, names[i])) {
            *out = ops[i];
            return compute_parser_next(s);
        }
    }
    return compute_parser_unknown(s, "is nothing that 'scan' does", names,
                                  sizeof(names) / sizeof(names[0]));
}

/* The number that is scanned. */
static int parse_number(struct compute_parser *s, struct compute_expr *out)
{
    enum compute_expr_type type = COMPUTE_EXPR_NUMBER;
    const struct compute_token first = s->token;
    if (!compute_parser_at_expr(s)) {
        return compute_parser_field(s, s->p->source == COMPUTE_SOURCE_ARRAY, out);
    }
    TRY(compute_parser_expr(s, out, &type));
    if (type == COMPUTE_EXPR_TRUTH || type == COMPUTE_EXPR_TEXT) {
        s->token = first;
        return compute_parser_wrong(s, type == COMPUTE_EXPR_TRUTH
                                           ? "begins a condition, where a value should be"
                                           : "is a text, where a number should be");
    }
    return 0;
}

static bool is_real(enum compute_type type)
{
    return type == COMPUTE_F32 || type == COMPUTE_F64;
}

static bool is_unsigned(enum compute_type type)
{
    return type == COMPUTE_U8 || type == COMPUTE_U16 || type == COMPUTE_U32 || type == COMPUTE_U64;
}

/* returns: whether a double may take part; of a row's field nobody knows, and `or` waits for it. */
static bool value_is_real(const struct compute_program *p, struct compute_expr e)
{
    bool real = false;
    for (uint32_t i = e.from; i < e.to; i++) {
        const struct compute_code *code = &p->code[i];
        switch (code->op) {
        case COMPUTE_CODE_ROW: real = real || p->scan.op != COMPUTE_OP_OR; break;
        case COMPUTE_CODE_DIVIDE: real = true; break;
        case COMPUTE_CODE_NUMBER: real = real || code->number.is_real; break;
        case COMPUTE_CODE_FIELD: real = real || is_real(p->column[code->field - 1].type); break;
        default: break;
        }
    }
    return real;
}

/* Of raw records, whose types are known. op: where it says so. */
static int check_bits(struct compute_parser *s, const struct compute_token *op)
{
    const struct compute_program *p = s->p;
    if (p->scan.op != COMPUTE_OP_OR || p->source != COMPUTE_SOURCE_ARRAY ||
        !value_is_real(p, p->scan.value)) {
        return 0;
    }
    s->token = *op;
    return compute_parser_wrong(s, "is of whole numbers, and the value may be none");
}

/* Where segments begin. */
static int parse_from(struct compute_parser *s, struct compute_expr *out)
{
    enum compute_expr_type type = COMPUTE_EXPR_TRUTH;
    TRY(compute_parser_next(s));
    const struct compute_token first = s->token;
    TRY(compute_parser_expr(s, out, &type));
    if (type != COMPUTE_EXPR_TRUTH) {
        s->token = first;
        return compute_parser_wrong(s, "begins a value, where a condition should be: $1 > 0");
    }
    return 0;
}

int compute_parser_scan(struct compute_parser *s)
{
    struct compute_scan_plan *scan = &s->p->scan;
    TRY(compute_parser_next(s));
    scan->on = true;
    scan->exclusive = compute_parser_is(s, "exclusive");
    TRY(scan->exclusive ? compute_parser_next(s) : 0);
    const struct compute_token op = s->token;
    TRY(parse_op(s, &scan->op));
    TRY(scan->op != COMPUTE_OP_COUNT ? parse_number(s, &scan->value) : 0);
    TRY(check_bits(s, &op));
    scan->segments = compute_parser_is(s, "from");
    return scan->segments ? parse_from(s, &scan->from) : 0;
}

/* --- the plan --- */

void compute_plan_scan(struct compute_program *p)
{
    struct compute_scan_plan *scan = &p->scan;
    scan->raw = scan->on && p->source == COMPUTE_SOURCE_ARRAY && p->selects == 0;
    scan->type = COMPUTE_U64;
    if (!scan->raw || scan->op == COMPUTE_OP_COUNT) {
        return;
    }
    const struct compute_code *code = &p->code[scan->value.from];
    scan->field = scan->value.to == scan->value.from + 1 && code->op == COMPUTE_CODE_FIELD;
    if (scan->field) {
        scan->column = p->column[code->field - 1];
    }
    scan->dense = scan->field && p->wheres == 0 && !scan->segments;
    scan->type = value_is_real(p, scan->value)                   ? COMPUTE_F64
                 : scan->field && is_unsigned(scan->column.type) ? COMPUTE_U64
                                                                 : COMPUTE_I64;
}
