/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Expressions of programs into postfix code, by a stack of operators that wait for their right side
 * (E. W. Dijkstra, "Making a translator for Algol 60", 1961).
 */
#include "compute/program_internal.h"

#include "base/num.h"

struct op {
    const char *text;
    enum compute_code_op code;
    unsigned binds; /* more: tighter */
    bool prefix;
};

#define BINDS_NOT 3u
#define BINDS_COMPARISON 4u
#define BINDS_NEGATE 7u

static const struct op ops[] = {
    {"or", COMPUTE_CODE_OR, 1, false},
    {"and", COMPUTE_CODE_AND, 2, false},
    {"not", COMPUTE_CODE_NOT, BINDS_NOT, true},
    {"=", COMPUTE_CODE_EQUAL, BINDS_COMPARISON, false},
    {"!=", COMPUTE_CODE_UNEQUAL, BINDS_COMPARISON, false},
    {"<", COMPUTE_CODE_LESS, BINDS_COMPARISON, false},
    {"<=", COMPUTE_CODE_LESS_EQUAL, BINDS_COMPARISON, false},
    {">=", COMPUTE_CODE_GREATER_EQUAL, BINDS_COMPARISON, false},
    {">", COMPUTE_CODE_GREATER, BINDS_COMPARISON, false},
    {"+", COMPUTE_CODE_ADD, 5, false},
    {"-", COMPUTE_CODE_SUBTRACT, 5, false},
    {"*", COMPUTE_CODE_MULTIPLY, 6, false},
    {"/", COMPUTE_CODE_DIVIDE, 6, false},
    {"%", COMPUTE_CODE_REST, 6, false},
    {"-", COMPUTE_CODE_NEGATE, BINDS_NEGATE, true},
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

/* An operator that waits, or a parenthesis (op NULL). */
struct waiting {
    const struct op *op;
    struct compute_token token;
    uint32_t code; /* and, or: their code, which jumps behind the right side */
};

struct stack {
    struct compute_parser *s;
    struct waiting waiting[COMPUTE_PROGRAM_DEPTH_MAX];
    unsigned waits;
    unsigned open; /* parentheses among them */
    enum compute_expr_type type[COMPUTE_PROGRAM_DEPTH_MAX + 1];
    unsigned types;
};

static const struct op *op_of(const struct compute_parser *s, bool prefix)
{
    for (size_t i = 0; i < OPS; i++) {
        if (ops[i].prefix == prefix && compute_parser_is(s, ops[i].text)) {
            return &ops[i];
        }
    }
    return NULL;
}

bool compute_parser_at_expr(const struct compute_parser *s)
{
    const enum compute_token_kind kind = s->token.kind;
    return kind == COMPUTE_TOKEN_FIELD || kind == COMPUTE_TOKEN_ROW ||
           kind == COMPUTE_TOKEN_NUMBER || kind == COMPUTE_TOKEN_TEXT || op_of(s, true) != NULL ||
           compute_parser_is(s, "(");
}

static int emit(struct compute_parser *s, const struct compute_code *code)
{
    if (s->p->codes == COMPUTE_PROGRAM_CODES_MAX) {
        return err_set(s->why, ERR_TOO_LARGE,
                       "column %u: expressions have more than %u numbers, fields and operators",
                       s->token.column, COMPUTE_PROGRAM_CODES_MAX);
    }
    s->p->code[s->p->codes++] = *code;
    return 0;
}

/* A sentence on an operator that was taken before. */
static int wrong_operand(struct stack *t, const struct waiting *w, const char *what)
{
    t->s->token = w->token;
    return compute_parser_wrong(t->s, what);
}

/* returns: 0 and the type of the operator's result, or ERR_INVALID. */
static int check_types(struct stack *t, const struct waiting *w, enum compute_expr_type a,
                       enum compute_expr_type b)
{
    const enum compute_code_op code = w->op->code;
    if (code == COMPUTE_CODE_AND || code == COMPUTE_CODE_OR || code == COMPUTE_CODE_NOT) {
        const bool good = a == COMPUTE_EXPR_TRUTH && b == COMPUTE_EXPR_TRUTH;
        return good ? 0 : wrong_operand(t, w, "needs conditions, such as $1 > 0");
    }
    if (a == COMPUTE_EXPR_TRUTH || b == COMPUTE_EXPR_TRUTH) {
        return wrong_operand(t, w, "needs values, and one side is a condition");
    }
    if (w->op->binds == BINDS_COMPARISON) {
        const bool never = (a == COMPUTE_EXPR_TEXT && b == COMPUTE_EXPR_NUMBER) ||
                           (a == COMPUTE_EXPR_NUMBER && b == COMPUTE_EXPR_TEXT);
        return never ? wrong_operand(t, w, "compares a number with a text") : 0;
    }
    if (a == COMPUTE_EXPR_TEXT || b == COMPUTE_EXPR_TEXT) {
        return wrong_operand(t, w, "needs numbers, and one side is a text");
    }
    return 0;
}

/* Takes the top operator: its operands' codes are there. */
static int reduce(struct stack *t)
{
    const struct waiting *w = &t->waiting[--t->waits];
    const enum compute_code_op code = w->op->code;
    ASSERT(t->types >= (w->op->prefix ? 1u : 2u));
    const enum compute_expr_type b = t->type[t->types - 1];
    const enum compute_expr_type a = w->op->prefix ? b : t->type[t->types - 2];
    TRY(check_types(t, w, a, b));
    t->types -= w->op->prefix ? 1 : 2;
    t->type[t->types++] =
        w->op->binds <= BINDS_COMPARISON ? COMPUTE_EXPR_TRUTH : COMPUTE_EXPR_NUMBER;
    if (code == COMPUTE_CODE_AND || code == COMPUTE_CODE_OR) {
        t->s->p->code[w->code].to = t->s->p->codes;
        return 0;
    }
    return emit(t->s, &(struct compute_code){.op = code});
}

static int push(struct stack *t, const struct op *op)
{
    if (t->waits == COMPUTE_PROGRAM_DEPTH_MAX) {
        return err_set(t->s->why, ERR_TOO_LARGE, "column %u: the expression nests deeper than %u",
                       t->s->token.column, COMPUTE_PROGRAM_DEPTH_MAX);
    }
    struct waiting *w = &t->waiting[t->waits++];
    *w = (struct waiting){.op = op, .token = t->s->token, .code = t->s->p->codes};
    if (op != NULL && (op->code == COMPUTE_CODE_AND || op->code == COMPUTE_CODE_OR)) {
        TRY(emit(t->s, &(struct compute_code){.op = op->code}));
    }
    return compute_parser_next(t->s);
}

static int check_field(struct compute_parser *s, uint32_t field)
{
    struct compute_program *p = s->p;
    if (p->source == COMPUTE_SOURCE_ARRAY && field == 0) {
        return compute_parser_wrong(s, "is the whole record, which is no number here: use $1");
    }
    if (p->source == COMPUTE_SOURCE_ARRAY && field > p->columns) {
        return compute_parser_wrong(s, "is beyond the last number of the record");
    }
    if (p->source == COMPUTE_SOURCE_WORDS && field > 0) {
        return compute_parser_wrong(s, "is no part of a word, which is $0");
    }
    p->fields = NUM_MAX(p->fields, field);
    return 0;
}

static enum compute_expr_type type_of_field(const struct compute_program *p)
{
    return p->source == COMPUTE_SOURCE_ARRAY ? COMPUTE_EXPR_NUMBER : COMPUTE_EXPR_FIELD;
}

static int operand(struct stack *t)
{
    struct compute_parser *s = t->s;
    struct compute_code code = {.op = COMPUTE_CODE_NUMBER, .number = s->token.number};
    enum compute_expr_type type = COMPUTE_EXPR_NUMBER;
    if (s->token.kind == COMPUTE_TOKEN_FIELD) {
        TRY(check_field(s, s->token.field));
        code = (struct compute_code){.op = COMPUTE_CODE_FIELD, .field = s->token.field};
        type = type_of_field(s->p);
    } else if (s->token.kind == COMPUTE_TOKEN_ROW) {
        struct compute_lookup *l = &s->p->lookup[s->token.lookup];
        l->fields = NUM_MAX(l->fields, s->token.field);
        code = (struct compute_code){
            .op = COMPUTE_CODE_ROW, .field = s->token.field, .lookup = s->token.lookup};
        type = COMPUTE_EXPR_FIELD;
    } else if (s->token.kind == COMPUTE_TOKEN_TEXT) {
        code = (struct compute_code){.op = COMPUTE_CODE_TEXT, .text = s->token.text};
        type = COMPUTE_EXPR_TEXT;
    } else if (s->token.kind != COMPUTE_TOKEN_NUMBER) {
        return compute_parser_wrong(s, "stands where a field, a number or a text should");
    }
    ASSERT(t->types <= COMPUTE_PROGRAM_DEPTH_MAX);
    t->type[t->types++] = type;
    TRY(emit(s, &code));
    return compute_parser_next(s);
}

/* Prefix operators and parentheses, then an operand. */
static int left_side(struct stack *t)
{
    for (;;) {
        const struct op *op = op_of(t->s, true);
        if (op == NULL && !compute_parser_is(t->s, "(")) {
            return operand(t);
        }
        t->open += op == NULL;
        TRY(push(t, op));
    }
}

/* Parentheses that end here. */
static int right_side(struct stack *t)
{
    while (t->open > 0 && compute_parser_is(t->s, ")")) {
        while (t->waiting[t->waits - 1].op != NULL) {
            TRY(reduce(t));
        }
        t->waits--;
        t->open--;
        TRY(compute_parser_next(t->s));
    }
    return 0;
}

/* Takes all operators that bind at least as tightly as the next. */
static int reduce_before(struct stack *t, const struct op *next)
{
    while (t->waits > 0 && t->waiting[t->waits - 1].op != NULL &&
           t->waiting[t->waits - 1].op->binds >= next->binds) {
        const struct op *top = t->waiting[t->waits - 1].op;
        if (top->binds == BINDS_COMPARISON && next->binds == BINDS_COMPARISON) {
            return compute_parser_wrong(t->s, "follows another comparison: join them by 'and'");
        }
        TRY(reduce(t));
    }
    return 0;
}

int compute_parser_expr(struct compute_parser *s, struct compute_expr *out,
                        enum compute_expr_type *type)
{
    struct stack t = {.s = s};
    out->from = s->p->codes;
    for (;;) {
        TRY(left_side(&t));
        TRY(right_side(&t));
        const struct op *op = op_of(s, false);
        if (op == NULL) {
            break;
        }
        TRY(reduce_before(&t, op));
        TRY(push(&t, op));
    }
    if (t.open > 0) {
        return compute_parser_wrong(s, "stands where an operator or ')' should");
    }
    while (t.waits > 0) {
        TRY(reduce(&t));
    }
    ASSERT(t.types == 1);
    out->to = s->p->codes;
    *type = t.type[0];
    return 0;
}

int compute_parser_field(struct compute_parser *s, uint32_t field, struct compute_expr *out)
{
    TRY(check_field(s, field));
    out->from = s->p->codes;
    TRY(emit(s, &(struct compute_code){.op = COMPUTE_CODE_FIELD, .field = field}));
    out->to = s->p->codes;
    return 0;
}
