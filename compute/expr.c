/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Expressions over a record, by a stack of values.
 */
#include "base/num.h"
#include "compute/range.h"
#include "compute/record_internal.h"

#define STACK_MAX (COMPUTE_PROGRAM_DEPTH_MAX + 1u)

void compute_fault_at(struct compute_fault *fault, enum compute_fault_kind kind, uint32_t field,
                      struct bytes shown)
{
    fault->kind = kind;
    fault->field = field;
    fault->shown = (uint32_t)NUM_MIN(shown.size, (size_t)COMPUTE_FAULT_SHOWN);
    if (fault->shown > 0) {
        memcpy(fault->show, shown.data, fault->shown);
    }
}

void compute_fault_no_number(struct compute_fault *fault, const struct compute_cell *c)
{
    const bool row = c->field >> 16 != 0;
    compute_fault_at(fault, row ? COMPUTE_FAULT_ROW : COMPUTE_FAULT_NO_NUMBER, c->field, c->text);
}

void compute_fault_text(struct bytes v, char text[COMPUTE_FAULT_SHOWN + 1])
{
    const size_t size = NUM_MIN(v.size, (size_t)COMPUTE_FAULT_SHOWN);
    for (size_t i = 0; i < size; i++) {
        text[i] = v.data[i] >= 0x20 && v.data[i] < 0x7f ? (char)v.data[i] : '?';
    }
    text[size] = '\0';
}

/* --- values --- */

static int64_t signed_at(const uint8_t *at, enum compute_type type)
{
    switch (type) {
    case COMPUTE_I8: return (int8_t)at[0];
    case COMPUTE_I16: return (int16_t)num_get_u16(at);
    case COMPUTE_I32: return (int32_t)num_get_u32(at);
    default: return (int64_t)num_get_u64(at);
    }
}

static uint64_t unsigned_at(const uint8_t *at, enum compute_type type)
{
    switch (type) {
    case COMPUTE_U8: return at[0];
    case COMPUTE_U16: return num_get_u16(at);
    case COMPUTE_U32: return num_get_u32(at);
    default: return num_get_u64(at);
    }
}

static double real_at(const uint8_t *at, enum compute_type type)
{
    if (type == COMPUTE_F32) {
        const uint32_t bits = num_get_u32(at);
        float narrow;
        memcpy(&narrow, &bits, sizeof(narrow));
        return narrow;
    }
    const uint64_t bits = num_get_u64(at);
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

struct compute_number compute_column_number(const uint8_t *record, const struct compute_column *c)
{
    const uint8_t *at = record + c->at;
    switch (c->type) {
    case COMPUTE_I8:
    case COMPUTE_I16:
    case COMPUTE_I32:
    case COMPUTE_I64: return compute_number_of_i64(signed_at(at, c->type));
    case COMPUTE_F32:
    case COMPUTE_F64: return compute_number_of_real(real_at(at, c->type));
    default: return compute_number_of_u64(unsigned_at(at, c->type));
    }
}

static void load_field(const struct compute_program *p, const struct compute_record *r,
                       uint32_t field, struct compute_cell *out)
{
    if (p->source == COMPUTE_SOURCE_ARRAY) {
        out->kind = COMPUTE_CELL_NUMBER;
        out->number = compute_column_number(r->whole.data, &p->column[field - 1]);
        return;
    }
    out->kind = COMPUTE_CELL_FIELD;
    out->field = field;
    if (field == 0) {
        out->text = r->whole;
    } else {
        out->text = field <= r->fields ? r->field[field - 1] : bytes_of(NULL, 0);
    }
}

static void load_row(const struct compute_record *r, const struct compute_code *code,
                     struct compute_cell *out)
{
    const struct compute_record *row = &r->rows[code->lookup];
    out->kind = COMPUTE_CELL_FIELD;
    out->field = compute_row_field(code->lookup, code->field);
    if (code->field == 0) {
        out->text = row->whole;
    } else {
        out->text = code->field <= row->fields ? row->field[code->field - 1] : bytes_of(NULL, 0);
    }
    *r->row_steps += out->text.size / COMPUTE_ROW_BYTES_A_STEP;
}

void compute_cell_read(struct compute_cell *c)
{
    if (c->kind == COMPUTE_CELL_FIELD) {
        c->kind = c->text.size == 0                          ? COMPUTE_CELL_ABSENT
                  : compute_number_read(c->text, &c->number) ? COMPUTE_CELL_NUMBER
                                                             : COMPUTE_CELL_NONE;
    }
}

struct bytes compute_cell_text(const struct compute_cell *c, char digits[COMPUTE_VALUE_TEXT])
{
    switch (c->kind) {
    case COMPUTE_CELL_ABSENT: return bytes_of(NULL, 0);
    case COMPUTE_CELL_NUMBER: return bytes_of(digits, compute_number_text(&c->number, digits));
    default: return c->text;
    }
}

/* --- operators --- */

/* a op b, into a. returns: false for a fault. */
static bool combine(enum compute_code_op op, struct compute_cell *a, struct compute_cell *b,
                    struct compute_fault *fault)
{
    static const char signs[] = "+-*/%";
    compute_cell_read(a);
    compute_cell_read(b);
    if (a->kind != COMPUTE_CELL_NUMBER || b->kind != COMPUTE_CELL_NUMBER) {
        if (a->kind == COMPUTE_CELL_NUMBER || b->kind == COMPUTE_CELL_NONE) {
            *a = a->kind == COMPUTE_CELL_NONE ? *a : *b;
        }
        return true;
    }
    const char sign = signs[op - COMPUTE_CODE_ADD];
    const int err = compute_number_combine(sign, &a->number, &b->number, &a->number);
    if (err != 0) {
        compute_fault_at(fault,
                         err == ERR_INVALID ? COMPUTE_FAULT_DIVISION : COMPUTE_FAULT_OVERFLOW, 0,
                         bytes_of(&sign, 1));
    }
    return err == 0;
}

static bool negate(struct compute_cell *a, struct compute_fault *fault)
{
    static const char sign = '-';
    compute_cell_read(a);
    if (a->kind != COMPUTE_CELL_NUMBER || compute_number_negate(&a->number, &a->number) == 0) {
        return true;
    }
    compute_fault_at(fault, COMPUTE_FAULT_OVERFLOW, 0, bytes_of(&sign, 1));
    return false;
}

static bool is_text(const struct compute_cell *c)
{
    return c->kind == COMPUTE_CELL_FIELD || c->kind == COMPUTE_CELL_LITERAL;
}

/* returns: whether the two can be compared, and how they are. */
static bool order(struct compute_cell *a, struct compute_cell *b, enum compute_order *out)
{
    bool texts = is_text(a) && is_text(b);
    const struct bytes left = texts ? a->text : bytes_of(NULL, 0);
    const struct bytes right = texts ? b->text : bytes_of(NULL, 0);
    if (!texts || (a->kind == COMPUTE_CELL_FIELD && b->kind == COMPUTE_CELL_FIELD)) {
        compute_cell_read(a);
        compute_cell_read(b);
        if (a->kind == COMPUTE_CELL_NUMBER && b->kind == COMPUTE_CELL_NUMBER) {
            *out = compute_number_order(&a->number, &b->number);
            return true;
        }
    }
    if (texts) {
        const int way = bytes_compare(left, right);
        *out = way == 0 ? COMPUTE_ORDER_SAME : way < 0 ? COMPUTE_ORDER_BELOW : COMPUTE_ORDER_ABOVE;
    }
    return texts;
}

static bool holds(enum compute_code_op op, enum compute_order o)
{
    switch (op) {
    case COMPUTE_CODE_EQUAL: return o == COMPUTE_ORDER_SAME;
    case COMPUTE_CODE_UNEQUAL: return o != COMPUTE_ORDER_SAME;
    case COMPUTE_CODE_LESS: return o == COMPUTE_ORDER_BELOW;
    case COMPUTE_CODE_LESS_EQUAL: return o == COMPUTE_ORDER_BELOW || o == COMPUTE_ORDER_SAME;
    case COMPUTE_CODE_GREATER_EQUAL: return o == COMPUTE_ORDER_ABOVE || o == COMPUTE_ORDER_SAME;
    default: return o == COMPUTE_ORDER_ABOVE;
    }
}

static void compare(enum compute_code_op op, struct compute_cell *a, struct compute_cell *b)
{
    enum compute_order o = COMPUTE_ORDER_NONE;
    const bool comparable = order(a, b, &o);
    a->kind = COMPUTE_CELL_TRUTH;
    a->truth = comparable && holds(op, o);
}

/* An operator on the top of the stack. returns: false for a fault. */
static bool operate(const struct compute_code *code, struct compute_cell *stack, unsigned *depth,
                    struct compute_fault *fault)
{
    struct compute_cell *top = &stack[*depth - 1];
    if (code->op == COMPUTE_CODE_NOT) {
        top->truth = !top->truth;
        return true;
    }
    if (code->op == COMPUTE_CODE_NEGATE) {
        return negate(top, fault);
    }
    ASSERT(*depth >= 2);
    (*depth)--;
    if (code->op <= COMPUTE_CODE_REST) {
        return combine(code->op, top - 1, top, fault);
    }
    compare(code->op, top - 1, top);
    return true;
}

bool compute_expr_is_plain(const struct compute_program *p, struct compute_expr e)
{
    const struct compute_code *code = &p->code[e.from];
    if (e.to - e.from != 3 || code[0].op != COMPUTE_CODE_FIELD || code[2].op < COMPUTE_CODE_EQUAL ||
        code[2].op > COMPUTE_CODE_GREATER) {
        return false;
    }
    return code[1].op == COMPUTE_CODE_NUMBER ||
           (code[1].op == COMPUTE_CODE_TEXT && p->source != COMPUTE_SOURCE_ARRAY &&
            code[2].op <= COMPUTE_CODE_UNEQUAL);
}

static bool cell_holds(const struct compute_code *code, struct compute_cell *field)
{
    if (code[1].op == COMPUTE_CODE_TEXT) {
        return bytes_equal(field->text, code[1].text) == (code[2].op == COMPUTE_CODE_EQUAL);
    }
    compute_cell_read(field);
    return field->kind == COMPUTE_CELL_NUMBER &&
           holds(code[2].op, compute_number_order(&field->number, &code[1].number));
}

bool compute_expr_field_holds(const struct compute_code *code, struct bytes field)
{
    struct compute_cell cell = {.kind = COMPUTE_CELL_FIELD, .text = field};
    return cell_holds(code, &cell);
}

bool compute_expr_holds(const struct compute_program *p, struct compute_expr e,
                        const struct compute_record *r, struct compute_fault *fault)
{
    struct compute_cell cell;
    if (compute_expr_is_plain(p, e)) {
        load_field(p, r, p->code[e.from].field, &cell);
        return cell_holds(&p->code[e.from], &cell);
    }
    return compute_expr_eval(p, e, r, &cell, fault) && cell.truth;
}

bool compute_expr_eval(const struct compute_program *p, struct compute_expr e,
                       const struct compute_record *r, struct compute_cell *out,
                       struct compute_fault *fault)
{
    struct compute_cell stack[STACK_MAX];
    unsigned depth = 0;
    if (e.to - e.from == 1 && p->code[e.from].op == COMPUTE_CODE_FIELD) {
        load_field(p, r, p->code[e.from].field, out);
        return true;
    }
    for (uint32_t at = e.from; at < e.to; at++) {
        const struct compute_code *code = &p->code[at];
        struct compute_cell *next = &stack[depth];
        ASSERT(depth <= STACK_MAX);
        switch (code->op) {
        case COMPUTE_CODE_FIELD:
            load_field(p, r, code->field, next);
            depth++;
            break;
        case COMPUTE_CODE_ROW:
            load_row(r, code, next);
            depth++;
            break;
        case COMPUTE_CODE_NUMBER:
            next->kind = COMPUTE_CELL_NUMBER;
            next->number = code->number;
            depth++;
            break;
        case COMPUTE_CODE_TEXT:
            next->kind = COMPUTE_CELL_LITERAL;
            next->text = code->text;
            depth++;
            break;
        case COMPUTE_CODE_AND:
        case COMPUTE_CODE_OR:
            if (stack[depth - 1].truth == (code->op == COMPUTE_CODE_OR)) {
                at = code->to - 1;
            } else {
                depth--;
            }
            break;
        default:
            if (!operate(code, stack, &depth, fault)) {
                return false;
            }
            break;
        }
    }
    ASSERT(depth == 1);
    *out = stack[0];
    return true;
}
