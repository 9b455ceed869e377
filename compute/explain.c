/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a program was understood as, and how it is carried out, as text for people. The plan is
 * written in the language itself, with all parentheses: joined by '|', it is the same program.
 */
#include "compute/program.h"

#include "base/num.h"
#include "compute/program_internal.h"
#include "compute/text.h"

#define PLACES_MAX (COMPUTE_PROGRAM_DEPTH_MAX + 2u)

/* A condition whose right side is being written. */
struct joint {
    const char *word;
    uint32_t to; /* code behind the right side */
};

struct writer {
    const struct compute_program *p;
    struct buf *out;
    size_t start[PLACES_MAX]; /* of each operand that waits for its operator */
    unsigned operands;
    struct joint joint[PLACES_MAX];
    unsigned joints;
    bool joined; /* the last thing written is in parentheses */
};

static void put(struct buf *out, const char *text)
{
    (void)buf_append(out, text, strlen(text));
}

static void put_u64(struct buf *out, uint64_t v)
{
    const struct compute_number n = compute_number_of_u64(v);
    char digits[COMPUTE_VALUE_TEXT];
    (void)compute_number_text(&n, digits);
    put(out, digits);
}

static void put_real(struct buf *out, double v)
{
    const struct compute_number n = compute_number_of_real(v);
    char digits[COMPUTE_VALUE_TEXT];
    (void)compute_number_text(&n, digits);
    put(out, digits);
}

static void insert(struct buf *out, size_t at, const char *text)
{
    const size_t bytes = strlen(text);
    if (buf_append(out, text, bytes) == 0) {
        memmove(out->data + at + bytes, out->data + at, out->size - bytes - at);
        memcpy(out->data + at, text, bytes);
    }
}

static void put_text(struct buf *out, struct bytes text)
{
    put(out, "\"");
    for (size_t i = 0; i < text.size; i++) {
        const char c = (char)text.data[i];
        switch (c) {
        case '"': put(out, "\\\""); break;
        case '\\': put(out, "\\\\"); break;
        case '\n': put(out, "\\n"); break;
        case '\t': put(out, "\\t"); break;
        default: (void)buf_append(out, &c, 1); break;
        }
    }
    put(out, "\"");
}

/* --- expressions --- */

static const char *word_of(enum compute_code_op op)
{
    switch (op) {
    case COMPUTE_CODE_ADD: return "+";
    case COMPUTE_CODE_SUBTRACT: return "-";
    case COMPUTE_CODE_MULTIPLY: return "*";
    case COMPUTE_CODE_DIVIDE: return "/";
    case COMPUTE_CODE_REST: return "%";
    case COMPUTE_CODE_EQUAL: return "=";
    case COMPUTE_CODE_UNEQUAL: return "!=";
    case COMPUTE_CODE_LESS: return "<";
    case COMPUTE_CODE_LESS_EQUAL: return "<=";
    case COMPUTE_CODE_GREATER_EQUAL: return ">=";
    case COMPUTE_CODE_GREATER: return ">";
    case COMPUTE_CODE_AND: return "and";
    case COMPUTE_CODE_OR: return "or";
    case COMPUTE_CODE_FIELD:
    case COMPUTE_CODE_ROW:
    case COMPUTE_CODE_NUMBER:
    case COMPUTE_CODE_TEXT:
    case COMPUTE_CODE_NEGATE:
    case COMPUTE_CODE_NOT: break;
    }
    return "";
}

static void write_pair(struct writer *w, const char *word)
{
    ASSERT(w->operands >= 2);
    const size_t right = w->start[w->operands - 1];
    insert(w->out, right, " ");
    insert(w->out, right, word);
    insert(w->out, right, " ");
    insert(w->out, w->start[w->operands - 2], "(");
    put(w->out, ")");
    w->operands--;
    w->joined = true;
}

static void write_operand(struct writer *w, const struct compute_code *code)
{
    char digits[COMPUTE_VALUE_TEXT];
    ASSERT(w->operands < PLACES_MAX);
    w->start[w->operands++] = w->out->size;
    w->joined = false;
    if (code->op == COMPUTE_CODE_FIELD) {
        put(w->out, "$");
        put_u64(w->out, code->field);
    } else if (code->op == COMPUTE_CODE_ROW) {
        put(w->out, "$");
        (void)buf_append(w->out, w->p->lookup[code->lookup].as.data,
                         w->p->lookup[code->lookup].as.size);
        put(w->out, ".");
        put_u64(w->out, code->field);
    } else if (code->op == COMPUTE_CODE_TEXT) {
        put_text(w->out, code->text);
    } else {
        (void)compute_number_text(&code->number, digits);
        put(w->out, digits);
    }
}

static void write_code(struct writer *w, const struct compute_code *code)
{
    switch (code->op) {
    case COMPUTE_CODE_FIELD:
    case COMPUTE_CODE_ROW:
    case COMPUTE_CODE_NUMBER:
    case COMPUTE_CODE_TEXT: write_operand(w, code); break;
    case COMPUTE_CODE_NEGATE:
    case COMPUTE_CODE_NOT:
        ASSERT(w->operands >= 1);
        insert(w->out, w->start[w->operands - 1], code->op == COMPUTE_CODE_NOT ? "not " : "-");
        w->joined = false;
        break;
    case COMPUTE_CODE_AND:
    case COMPUTE_CODE_OR:
        ASSERT(w->joints < PLACES_MAX);
        w->joint[w->joints++] = (struct joint){.word = word_of(code->op), .to = code->to};
        break;
    default: write_pair(w, word_of(code->op)); break;
    }
}

static void write_expr(const struct compute_program *p, struct compute_expr e, struct buf *out)
{
    struct writer w = {.p = p, .out = out};
    const size_t start = out->size;
    for (uint32_t i = e.from; i < e.to; i++) {
        write_code(&w, &p->code[i]);
        while (w.joints > 0 && w.joint[w.joints - 1].to == i + 1) {
            write_pair(&w, w.joint[--w.joints].word);
        }
    }
    if (w.joined && out->err == 0) { /* none are needed around all of it */
        out->size--;
        memmove(out->data + start, out->data + start + 1, out->size - start - 1);
        out->size--;
    }
}

static void write_list(const struct compute_program *p, const struct compute_expr *list,
                       uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        put(out, i > 0 ? ", " : " ");
        write_expr(p, list[i], out);
    }
}

/* --- stages --- */

/* As a word, if it is one. */
static void write_name(struct bytes name, struct buf *out)
{
    bool word = name.size > 0;
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        word = word && (letter || (i > 0 && c >= '0' && c <= '9'));
    }
    if (word) {
        (void)buf_append(out, name.data, name.size);
    } else {
        put_text(out, name);
    }
}

static void write_source(const struct compute_program *p, struct buf *out)
{
    static const char *const names[] = {"", "lines", "words", "csv"};
    uint32_t at = 0;
    put(out, names[p->source]);
    put(out, p->header ? " header" : "");
    for (uint32_t i = 0; i < p->names; i++) {
        put(out, i > 0 ? ", " : " ");
        write_name(p->name[i], out);
    }
    for (uint32_t i = 0; i < p->columns; i++) {
        const struct compute_column *c = &p->column[i];
        put(out, i > 0 ? "," : "");
        if (c->at > at) {
            put(out, "x");
            put_u64(out, c->at - at);
            put(out, ",");
        }
        put(out, compute_type_name(c->type));
        at = c->at + compute_type_bytes(c->type);
    }
    if (p->record_bytes > at) {
        put(out, ",x");
        put_u64(out, p->record_bytes - at);
    }
    put(out, "\n");
}

static void write_aggregate(const struct compute_program *p, const struct compute_aggregate *a,
                            struct buf *out)
{
    put(out, compute_op_name(a->op));
    switch (a->op) {
    case COMPUTE_OP_COUNT: return;
    case COMPUTE_OP_HISTOGRAM:
        put(out, " ");
        put_u64(out, a->count);
        put(out, " ");
        put_real(out, a->low);
        put(out, " ");
        put_real(out, a->high);
        break;
    case COMPUTE_OP_QUANTILE:
        put(out, " ");
        put_real(out, a->low);
        break;
    case COMPUTE_OP_LOG:
    case COMPUTE_OP_TOP:
        put(out, " ");
        put_u64(out, a->count);
        break;
    default: break;
    }
    put(out, " ");
    write_expr(p, a->value, out);
    if (a->op == COMPUTE_OP_DOT) {
        put(out, ", ");
        write_expr(p, a->other, out);
    }
}

static void write_filter(const struct compute_program *p, uint32_t i, struct buf *out)
{
    const struct compute_sample *sample = &p->sample[i];
    const struct compute_lookup *l = p->joins[i] > 0 ? &p->lookup[p->joins[i] - 1] : NULL;
    if (l != NULL) {
        put(out, l->left ? "lookup left " : "lookup ");
        put_text(out, l->name);
        put(out, l->header ? " header " : " ");
    } else if (sample->on) {
        put(out, "sample ");
        put_real(out, sample->share);
        put(out, sample->whole ? "" : " ");
    } else {
        put(out, "where ");
    }
    if (!sample->on || !sample->whole) {
        write_expr(p, p->where[i], out);
    }
    if (l != NULL) {
        put(out, " as ");
        (void)buf_append(out, l->as.data, l->as.size);
    }
    put(out, "\n");
}

static void write_scan(const struct compute_program *p, struct buf *out)
{
    const struct compute_scan_plan *scan = &p->scan;
    put(out, scan->exclusive ? "scan exclusive " : "scan ");
    put(out, compute_op_name(scan->op));
    if (scan->op != COMPUTE_OP_COUNT) {
        put(out, " ");
        write_expr(p, scan->value, out);
    }
    if (scan->segments) {
        put(out, " from ");
        write_expr(p, scan->from, out);
    }
    put(out, "\n");
}

int compute_program_plan(const struct compute_program *p, struct buf *out)
{
    write_source(p, out);
    for (uint32_t i = 0; i < p->wheres; i++) {
        write_filter(p, i, out);
    }
    if (p->keys > 0) {
        put(out, "by");
        write_list(p, p->key, p->keys, out);
        put(out, " ");
    }
    for (uint32_t i = 0; i < p->sorts; i++) {
        put(out, i > 0 ? ", " : "sort ");
        write_expr(p, p->sort[i].value, out);
        put(out, p->sort[i].down ? " down" : "");
    }
    put(out, p->sorts > 0 ? "\n" : "");
    if (p->selects > 0) {
        put(out, "select");
        write_list(p, p->select, p->selects, out);
        put(out, p->scan.on ? " " : "\n");
    }
    if (p->scan.on) {
        write_scan(p, out);
    }
    put(out, p->estimates ? "estimate " : "");
    for (uint32_t i = 0; i < p->aggregates; i++) {
        put(out, i > 0 ? ", " : "");
        write_aggregate(p, &p->aggregate[i], out);
    }
    put(out, p->aggregates > 0 ? "\n" : "");
    if (p->top > 0) {
        put(out, "top ");
        put_u64(out, p->top);
        put(out, "\n");
    }
    return out->err;
}

const char *compute_program_pass(const struct compute_program *p)
{
    if (p->reduces) {
        return "the field's numbers, a block at a time, through one kernel";
    }
    if (p->counts_words) {
        return "words into groups, several at a time";
    }
    if (p->counts_records) {
        return "ends of records, 64 bytes at a time";
    }
    if (p->keys > 0) {
        return p->wheres > 0 ? "each record through conditions, keys and aggregates in one go"
                             : "each record through keys and aggregates in one go";
    }
    if (p->aggregates > 0) {
        return p->wheres > 0 ? "each record through conditions and aggregates in one go"
                             : "each record through all aggregates in one go";
    }
    if (p->sorts > 0) {
        return p->wheres > 0 ? "each record through conditions, then kept with its key; then sorted"
                             : "each record kept with its key; then sorted";
    }
    if (p->scan.dense) {
        return "the field's numbers, a block at a time; results in the order of the object";
    }
    if (p->scan.on) {
        return p->wheres > 0 ? "each record through conditions; results in the order of the object"
                             : "each record; results in the order of the object";
    }
    return p->wheres > 0 ? "each record through conditions, then printed in one go"
                         : "each record printed";
}

const char *compute_program_kernel(const struct compute_program *p)
{
    const enum compute_op op = p->spec.op;
    const bool sums = op == COMPUTE_OP_SUM || op == COMPUTE_OP_MEAN;
    const bool compares = op == COMPUTE_OP_MIN || op == COMPUTE_OP_MAX || op == COMPUTE_OP_ARGMIN ||
                          op == COMPUTE_OP_ARGMAX;
    const struct compute_scan_plan *scan = &p->scan;
    const bool scans = scan->dense && scan->op == COMPUTE_OP_SUM && scan->type != COMPUTE_F64;
    if (p->counts_words || p->counts_records) {
        return compute_lanes_name(compute_text_lanes());
    }
    const bool vector = (p->reduces && (sums || compares)) || scans;
    return compute_lanes_name(vector ? compute_lanes_pick() : COMPUTE_LANES_PLAIN);
}
