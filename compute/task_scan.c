/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans. A span keeps the values of its records; only one that begins with the object has their
 * results, which it finds in the order of the records, and then drops the values. So a result
 * depends on the values alone and not on where the object was cut (docs/adr/0032).
 */
#include "base/num.h"
#include "compute/scan.h"
#include "compute/sketch_internal.h"
#include "compute/task_internal.h"

#include <math.h>

#define BLOCK 4096u /* numbers that a kernel takes at once */
#define WORD sizeof(uint64_t)

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_IS_LITTLE true
#else
#define HOST_IS_LITTLE false
#endif

/* --- life --- */

/* returns: whether results are sums of doubles. */
static bool runs(const struct compute_scan_plan *plan)
{
    return plan->raw && plan->op == COMPUTE_OP_SUM && plan->type == COMPUTE_F64;
}

/* A segment begins. */
static void begin(struct compute_scan *s, const struct compute_scan_plan *plan)
{
    compute_tally_release(&s->tally, plan->op, &s->store);
    s->tally = (struct compute_tally){.count = 0};
    compute_running_init(&s->running);
    s->sum = 0;
}

int compute_scan_new(struct compute_task *t)
{
    if (!t->p->scan.on || t->from != 0) {
        return 0;
    }
    t->scan = alloc_get_zeroed(&t->alloc, 1, sizeof(*t->scan));
    if (t->scan == NULL) {
        return ERR_NO_MEMORY;
    }
    t->scan->store = (struct compute_store){.alloc = t->alloc};
    begin(t->scan, &t->p->scan);
    return 0;
}

void compute_scan_free(struct compute_task *t)
{
    if (t->scan != NULL) {
        compute_tally_release(&t->scan->tally, t->p->scan.op, &t->scan->store);
        alloc_put(&t->alloc, t->scan, sizeof(*t->scan));
    }
}

void compute_scan_next(struct compute_task *t)
{
    if (t->scan != NULL) {
        t->scan->record = 0;
        t->reading[0].values_to = 0;
    }
}

/* --- values --- */

/* Keeps a value of the record `at`. */
static int keep(const struct compute_program *p, struct compute_reading *r, uint64_t at,
                struct compute_scan_value *v)
{
    ASSERT(at >= r->values_to);
    v->skipped = at - r->values_to;
    r->values_to = at + 1;
    return compute_scan_put(p, v, &r->values);
}

int compute_scan_record(struct compute_task *t, struct compute_reading *r,
                        struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    const struct compute_scan_plan *plan = &p->scan;
    struct compute_scan_value v = {.begins = false};
    struct compute_cell cell;
    if (plan->dense) {
        return compute_scan_array(p, r, t->record.whole);
    }
    buf_clear(&t->key);
    if (p->selects > 0 && !compute_task_select(t, &t->key, fault)) {
        return 0;
    }
    TRY(t->key.err);
    v.text = buf_view(&t->key);
    if (plan->op != COMPUTE_OP_COUNT) {
        v.has_number = compute_task_number(t, plan->value, &cell, fault);
        v.number = v.has_number ? cell.number : compute_number_of_u64(0);
    }
    if (fault->kind == COMPUTE_FAULT_NONE && plan->segments) {
        v.begins = compute_expr_eval(p, plan->from, &t->record, &cell, fault) && cell.truth;
    }
    return fault->kind == COMPUTE_FAULT_NONE ? keep(p, r, fault->record, &v) : 0;
}

int compute_scan_array(const struct compute_program *p, struct compute_reading *r,
                       struct bytes records)
{
    const struct compute_column *c = &p->scan.column;
    const uint32_t bytes = compute_type_bytes(c->type);
    const size_t count = records.size / p->record_bytes;
    if (bytes == p->record_bytes) {
        return buf_append(&r->values, records.data, records.size);
    }
    uint8_t *to = buf_extend(&r->values, count * bytes);
    for (size_t i = 0; i < count && to != NULL; i++) {
        memcpy(to + i * bytes, records.data + i * p->record_bytes + c->at, bytes);
    }
    return r->values.err;
}

int compute_scan_merge(const struct compute_program *p, struct compute_reading *into,
                       const struct compute_reading *from)
{
    struct bytes_reader reader = bytes_reader_of(buf_view(&from->values));
    struct compute_scan_value v;
    if (from->values.size == 0) {
        return 0;
    }
    if (!p->scan.dense) { /* the first one follows another one now */
        compute_scan_take(p, &reader, &v);
        ASSERT(!reader.failed);
        TRY(keep(p, into, into->records + v.skipped, &v));
        into->values_to = into->records + from->values_to;
    }
    return buf_append(&into->values, reader.at, reader.left);
}

/* --- results --- */

static bool fits(const struct compute_i128 *v, enum compute_type type)
{
    return type == COMPUTE_U64 ? v->high == 0 : v->high == (v->low >> 63 != 0 ? -1 : 0);
}

static uint64_t bits_of_real(double real)
{
    uint64_t bits = COMPUTE_SCAN_NAN;
    if (real == real) {
        memcpy(&bits, &real, sizeof(bits));
    }
    return bits;
}

static void put_real(struct buf *into, double real)
{
    (void)buf_put_u64(into, bits_of_real(real));
}

/* What the least or the greatest of nothing is: what changes no other. */
static struct compute_value nothing(const struct compute_scan_plan *plan)
{
    const bool least = plan->op == COMPUTE_OP_MIN;
    switch (plan->type) {
    case COMPUTE_F64: return compute_value_of_f64(least ? INFINITY : -INFINITY);
    case COMPUTE_U64: return compute_value_of_u64(least ? UINT64_MAX : 0);
    default: return compute_value_of_i64(least ? INT64_MAX : INT64_MIN);
    }
}

/* returns: whether there is a result now. */
static bool result_of(const struct compute_scan *s, const struct compute_scan_plan *plan,
                      struct compute_value *out)
{
    switch (plan->op) {
    case COMPUTE_OP_COUNT: *out = compute_value_of_u64(s->tally.count); return true;
    case COMPUTE_OP_OR: *out = (struct compute_value){.whole = s->tally.of.sum.whole}; return true;
    default: return compute_tally_finish(&s->tally, plan->op, out) == 0;
    }
}

/* The result now, as a number. */
static void put_raw(struct compute_scan *s, const struct compute_scan_plan *plan,
                    struct compute_reading *r)
{
    struct compute_value v;
    char text[COMPUTE_VALUE_TEXT];
    if (runs(plan)) {
        put_real(&r->output, s->sum);
        return;
    }
    if (!result_of(s, plan, &v)) {
        v = nothing(plan);
    }
    if (v.is_real) {
        put_real(&r->output, v.real);
    } else if (fits(&v.whole, plan->type)) {
        (void)buf_put_u64(&r->output, v.whole.low);
    } else {
        const size_t size = compute_value_text(&v, text);
        r->fault.record = s->record;
        compute_fault_at(&r->fault, COMPUTE_FAULT_SCAN, 0, bytes_of(text, size));
    }
}

/* The result now, as a line; of too few numbers it is empty. */
static void put_line(struct compute_scan *s, const struct compute_scan_plan *plan,
                     const struct compute_scan_value *of, struct compute_reading *r)
{
    struct compute_value v;
    (void)buf_append(&r->output, of->text.data, of->text.size);
    if (r->groups.p->selects > 0) {
        (void)buf_put_u8(&r->output, ',');
    }
    if (result_of(s, plan, &v)) {
        compute_put_value(&r->output, &v);
    }
    (void)buf_put_u8(&r->output, '\n');
}

static void put_result(struct compute_scan *s, const struct compute_scan_plan *plan,
                       const struct compute_scan_value *of, struct compute_reading *r)
{
    if (plan->raw) {
        put_raw(s, plan, r);
    } else {
        put_line(s, plan, of, r);
    }
}

/* A whole number may be no double, but is two. */
static void add_running(struct compute_scan *s, const struct compute_number *n)
{
    const double sign = n->minus ? -1 : 1;
    double last = n->real;
    if (!n->is_real) {
        (void)compute_running_add(&s->running, sign * (double)(n->size >> 32) * 0x1p32);
        last = sign * (double)(uint32_t)n->size;
    }
    s->sum = compute_running_add(&s->running, last);
}

/* In two's complement of 128 bits, so that any two whole numbers have a result. */
static void add_bits(struct compute_i128 *bits, const struct compute_number *n)
{
    bits->low |= n->minus ? 0 - n->size : n->size;
    bits->high |= n->minus ? -1 : 0;
}

static int add(struct compute_scan *s, const struct compute_scan_plan *plan,
               const struct compute_scan_value *v)
{
    struct compute_cell cell = {.kind = COMPUTE_CELL_NUMBER, .number = v->number};
    if (plan->op == COMPUTE_OP_COUNT) {
        s->tally.count++;
        return 0;
    }
    if (!v->has_number) {
        return 0;
    }
    if (plan->op == COMPUTE_OP_OR) {
        add_bits(&s->tally.of.sum.whole, &v->number);
        return 0;
    }
    if (runs(plan)) {
        add_running(s, &v->number);
        return 0;
    }
    if (plan->raw && plan->type == COMPUTE_F64 && !v->number.is_real) {
        cell.number = compute_number_of_real(compute_number_real(&v->number));
    }
    return compute_tally_add(&s->tally, plan->op, &cell, &s->store);
}

/* The first fault of the object: what nodes find is behind it, as the record has a value. */
static void no_bits(const struct compute_scan *s, const struct compute_number *n,
                    struct compute_reading *r)
{
    char text[COMPUTE_VALUE_TEXT];
    const size_t size = compute_number_text(n, text);
    r->fault.record = s->record;
    compute_fault_at(&r->fault, COMPUTE_FAULT_BITS, 0, bytes_of(text, size));
}

/* returns: 0, or ERR_NO_MEMORY; a value or a result that is none is a fault. */
static int one(struct compute_scan *s, const struct compute_scan_plan *plan,
               const struct compute_scan_value *v, struct compute_reading *r)
{
    const size_t before = r->output.size;
    s->record += v->skipped;
    if (plan->op == COMPUTE_OP_OR && v->number.is_real) {
        no_bits(s, &v->number, r);
        return 0;
    }
    if (v->begins) {
        begin(s, plan);
    }
    if (plan->exclusive) {
        put_result(s, plan, v, r);
    }
    TRY(add(s, plan, v));
    if (!plan->exclusive) {
        put_result(s, plan, v, r);
    }
    if (r->output.err != 0) {
        r->output.size = before; /* a line in part is none */
        return r->output.err;
    }
    s->record++;
    return 0;
}

/* returns: whether the host has something for arrays as they lie. */
static bool may_go(const struct compute_scan *s, const struct compute_scan_plan *plan)
{
    const enum compute_type type = plan->column.type;
    return s->whole != NULL && s->whole->scan != NULL && !plan->exclusive &&
           (type == COMPUTE_I64 || type == COMPUTE_U64);
}

/* returns: whether what the host gave has found the results. */
static bool scan_whole(const struct compute_scan *s, const struct compute_scan_plan *plan,
                       const struct compute_scan_span *span, uint64_t *carry)
{
    static const enum compute_fold folds[COMPUTE_OP_OR + 1] = {
        [COMPUTE_OP_SUM] = COMPUTE_FOLD_SUM,
        [COMPUTE_OP_MIN] = COMPUTE_FOLD_LEAST,
        [COMPUTE_OP_MAX] = COMPUTE_FOLD_MOST,
        [COMPUTE_OP_OR] = COMPUTE_FOLD_OR,
    };
    const struct compute_fold_job job = {.fold = folds[plan->op],
                                         .of = compute_class_of(plan->type),
                                         .values = span->from,
                                         .count = span->count};
    return may_go(s, plan) && s->whole->scan(s->whole->ctx, &job, span->to, carry);
}

/* Sums of whole numbers of 64 bits by a kernel. returns: whether all have a result; if not, the sum
 * is as before. */
static bool block_of_sums(struct compute_scan *s, const struct compute_scan_plan *plan,
                          const struct compute_scan_span *span)
{
    const struct compute_scan_sums how = {.is_signed = plan->type == COMPUTE_I64,
                                          .exclusive = plan->exclusive};
    const size_t count = span->count;
    struct compute_i128 *sum = &s->tally.of.sum.whole;
    uint64_t carry = sum->low;
    if (!fits(sum, plan->type) ||
        (!scan_whole(s, plan, span, &carry) && compute_scan_sums(&how, span, &carry) < count)) {
        return false;
    }
    sum->low = carry;
    sum->high = how.is_signed && carry >> 63 != 0 ? -1 : 0;
    s->tally.count += count;
    s->record += count;
    return true;
}

/* Bits of whole numbers of 64 bits: all have a result. */
static void block_of_bits(struct compute_scan *s, const struct compute_scan_plan *plan,
                          const struct compute_scan_span *span)
{
    struct compute_i128 *all = &s->tally.of.sum.whole;
    const size_t done = scan_whole(s, plan, span, &all->low) ? span->count : 0;
    for (size_t i = done; i < span->count; i++) {
        const uint64_t before = all->low;
        all->low |= num_get_u64((const uint8_t *)span->from + i * WORD);
        num_put_u64((uint8_t *)span->to + i * WORD, plan->exclusive ? before : all->low);
    }
    all->high = plan->type == COMPUTE_I64 && all->low >> 63 != 0 ? -1 : 0;
    s->record += span->count;
}

static uint64_t key_of_number(const struct compute_number *n, const struct compute_scan_ends *how)
{
    if (!n->is_real) {
        return compute_key_of(n->minus ? 0 - n->size : n->size, how->of);
    }
    return n->real != n->real ? 0 - (uint64_t)how->greatest
                              : compute_key_of(bits_of_real(n->real), how->of);
}

static struct compute_number number_of_key(uint64_t key, const struct compute_scan_ends *how)
{
    const struct compute_value v = compute_value_of_key(key, how->of);
    if (v.is_real) {
        return compute_number_of_real(v.real);
    }
    return how->of == COMPUTE_UNSIGNED ? compute_number_of_u64(v.whole.low)
                                       : compute_number_of_i64((int64_t)v.whole.low);
}

/* The least and the greatest: likewise. */
static void block_of_ends(struct compute_scan *s, const struct compute_scan_plan *plan,
                          const struct compute_scan_span *span)
{
    const struct compute_scan_ends how = {.of = compute_class_of(plan->type),
                                          .greatest = plan->op == COMPUTE_OP_MAX,
                                          .exclusive = plan->exclusive};
    struct compute_tally *t = &s->tally;
    uint64_t key =
        t->count > 0 ? key_of_number(&t->of.best, &how) : compute_scan_ends_of_nothing(&how);
    uint64_t bits = compute_key_bits(key, how.of);
    if (scan_whole(s, plan, span, &bits)) {
        key = compute_key_of(bits, how.of);
    } else {
        compute_scan_ends(&how, span, &key);
    }
    t->of.best = number_of_key(key, &how);
    t->count += span->count;
    t->reals += how.of == COMPUTE_REAL ? span->count : 0;
    s->record += span->count;
}

/* Numbers of the column as whole numbers or doubles of 64 bits. */
static void widen(const struct compute_column *at_start, struct bytes block, uint8_t *to)
{
    const uint32_t bytes = compute_type_bytes(at_start->type);
    for (size_t i = 0; i < block.size / bytes; i++) {
        const struct compute_number n = compute_column_number(block.data + i * bytes, at_start);
        uint64_t bits = n.minus ? 0 - n.size : n.size;
        if (n.is_real) {
            memcpy(&bits, &n.real, sizeof(bits));
        }
        num_put_u64(to + i * WORD, bits);
    }
}

/* returns: whether all have a result; if not, nothing is changed. */
static bool block_at_once(struct compute_scan *s, const struct compute_scan_plan *plan,
                          struct bytes block, struct compute_reading *r)
{
    const struct compute_column at_start = {.type = plan->column.type};
    const uint32_t bytes = compute_type_bytes(at_start.type);
    const size_t count = block.size / bytes;
    uint8_t *to = HOST_IS_LITTLE ? buf_extend(&r->output, count * WORD) : NULL;
    struct compute_scan_span span = {.from = block.data, .to = to, .count = count};
    if (to == NULL) {
        return false;
    }
    if (bytes < WORD) {
        widen(&at_start, block, to);
        span.from = to;
    }
    if (plan->op == COMPUTE_OP_OR) {
        block_of_bits(s, plan, &span);
    } else if (plan->op != COMPUTE_OP_SUM) {
        block_of_ends(s, plan, &span);
    } else if (runs(plan)) {
        s->sum = compute_running_scan(&s->running, s->sum, plan->exclusive, &span);
        s->record += count;
    } else if (!block_of_sums(s, plan, &span)) {
        r->output.size -= count * WORD;
        return false;
    }
    return true;
}

/* returns: whether a value or a result was none. */
static bool has_ended(const struct compute_reading *r)
{
    return r->fault.kind == COMPUTE_FAULT_SCAN || r->fault.kind == COMPUTE_FAULT_BITS;
}

/* values: those of the column, without gaps. */
static int dense(struct compute_scan *s, const struct compute_scan_plan *plan, struct bytes values,
                 struct compute_reading *r)
{
    const uint32_t bytes = compute_type_bytes(plan->column.type);
    const struct compute_column at_start = {.type = plan->column.type};
    const size_t most = may_go(s, plan) ? values.size : BLOCK * (size_t)bytes;
    size_t at = 0;
    while (at < values.size && !has_ended(r)) {
        const size_t part = NUM_MIN(values.size - at, most);
        const struct bytes block = bytes_of(values.data + at, part);
        const bool all = block_at_once(s, plan, block, r);
        for (size_t i = 0; i < part && !all && !has_ended(r); i += bytes) {
            const struct compute_scan_value v = {
                .has_number = true, .number = compute_column_number(block.data + i, &at_start)};
            TRY(one(s, plan, &v, r));
        }
        at += part;
    }
    return 0;
}

bool compute_scan_at_once(struct compute_task *t, struct compute_reading *r, struct bytes records)
{
    const struct compute_scan_plan *plan = &t->p->scan;
    struct compute_scan *s = t->scan;
    if (s == NULL || !s->begun || s->err != 0 || r->values.size > 0 ||
        r->fault.kind != COMPUTE_FAULT_NONE ||
        compute_type_bytes(plan->column.type) != t->p->record_bytes) {
        return false;
    }
    s->err = dense(s, plan, records, r);
    return true;
}

int compute_scan_results(struct compute_task *t)
{
    struct compute_reading *r = &t->reading[0];
    struct compute_scan *s = t->scan;
    struct compute_scan_value v;
    if (s == NULL || r->values.size == 0 || s->err != 0) {
        return s != NULL ? s->err : 0;
    }
    s->begun = true;
    struct bytes_reader from = bytes_reader_of(buf_view(&r->values));
    const bool is_dense = t->p->scan.dense;
    s->err = is_dense ? dense(s, &t->p->scan, buf_view(&r->values), r) : 0;
    while (!is_dense && s->err == 0 && from.left > 0 && !has_ended(r)) {
        compute_scan_take(t->p, &from, &v);
        ASSERT(!from.failed);
        s->err = one(s, &t->p->scan, &v, r);
    }
    buf_clear(&r->values);
    return s->err;
}
