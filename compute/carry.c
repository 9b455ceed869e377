/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Carries of scans. A part is scanned by a task that goes on from its carry as if it had seen all
 * before, so that there is one place that finds results (task_scan.c).
 */
#include "compute/carry.h"

#include "base/num.h"
#include "compute/task_internal.h"

#include <stdio.h>

#define WORD sizeof(uint64_t)
#define NAN_BITS (UINT64_C(0x7ff8) << 48)

bool compute_carry_has(const struct compute_program *p)
{
    const struct compute_scan_plan *s = &p->scan;
    const bool alone = p->wheres == 0 && p->lookups == 0 && p->columns == 1;
    if (!s->raw || !alone || p->record_bytes != WORD ||
        compute_type_bytes(p->column[0].type) != WORD) {
        return false;
    }
    return s->op == COMPUTE_OP_COUNT || s->field;
}

int compute_carry_total(const struct compute_program *p, char text[COMPUTE_CARRY_TEXT])
{
    ASSERT(compute_carry_has(p));
    if (p->scan.op == COMPUTE_OP_OR || p->scan.segments) {
        return ERR_NOT_FOUND;
    }
    (void)snprintf(text, COMPUTE_CARRY_TEXT, "%s | %s", compute_type_name(p->column[0].type),
                   compute_op_name(p->scan.op));
    return 0;
}

/* --- bytes --- */

static bool sums_reals(const struct compute_scan_plan *plan)
{
    return plan->op == COMPUTE_OP_SUM && plan->type == COMPUTE_F64;
}

static bool is_of_range(const struct compute_scan_plan *plan)
{
    return plan->op == COMPUTE_OP_MIN || plan->op == COMPUTE_OP_MAX;
}

static uint64_t bits_of_real(double real)
{
    uint64_t bits = NAN_BITS;
    if (real == real) {
        memcpy(&bits, &real, sizeof(bits));
    }
    return bits;
}

static void put_head(const struct compute_scan_plan *plan, struct buf *into)
{
    (void)buf_put_u8(into, COMPUTE_CARRY_FORMAT);
    (void)buf_put_u8(into, (uint8_t)plan->op);
}

static int put_whole(const struct compute_scan_plan *plan, struct compute_i128 v, struct buf *into)
{
    put_head(plan, into);
    (void)buf_put_u64(into, v.low);
    return buf_put_u64(into, (uint64_t)v.high);
}

/* The least or greatest; has: of any records. */
static int put_best(const struct compute_scan_plan *plan, bool has, uint64_t bits, struct buf *into)
{
    put_head(plan, into);
    (void)buf_put_u8(into, has);
    return buf_put_u64(into, has ? bits : 0);
}

static int of_body(const struct compute_scan_plan *plan, const struct compute_reduce *reduce,
                   struct buf *into)
{
    const struct compute_body *body = compute_reduce_body(reduce);
    struct compute_value v = {.is_real = false};
    if (plan->op == COMPUTE_OP_COUNT) {
        return put_whole(plan, (struct compute_i128){.low = body->records}, into);
    }
    if (sums_reals(plan)) {
        put_head(plan, into);
        return compute_exact_encode(&body->sum, into);
    }
    if (plan->op == COMPUTE_OP_SUM) {
        struct compute_i128 sum;
        TRY(compute_exact_to_i128(&body->sum, &sum));
        return put_whole(plan, sum, into);
    }
    const int err = compute_reduce_finish(reduce, &v);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    return put_best(plan, err == 0, v.is_real ? bits_of_real(v.real) : v.whole.low, into);
}

static int of_nothing(const struct compute_scan_plan *plan, struct buf *into)
{
    if (sums_reals(plan)) {
        struct compute_exact none;
        compute_exact_init(&none);
        put_head(plan, into);
        return compute_exact_encode(&none, into);
    }
    return is_of_range(plan) ? put_best(plan, false, 0, into)
                             : put_whole(plan, (struct compute_i128){.low = 0}, into);
}

int compute_carry_of(const struct compute_program *p, const struct compute_task *total,
                     struct buf *into)
{
    const struct compute_scan_plan *plan = &p->scan;
    ASSERT(compute_carry_has(p));
    if (total == NULL) {
        return of_nothing(plan, into);
    }
    if (total->reduce == NULL || total->p->spec.op != plan->op ||
        total->p->column[0].type != p->column[0].type) {
        return ERR_INVALID;
    }
    if (total->from != 0 || total->to % WORD != 0) {
        return ERR_RANGE;
    }
    return of_body(plan, total->reduce, into);
}

/* --- a part --- */

/* Where a scan is that has seen all before. */
static int seed_best(struct compute_scan *s, const struct compute_scan_plan *plan,
                     struct bytes_reader *from)
{
    const uint8_t has = bytes_take_u8(from);
    const uint64_t bits = bytes_take_u64(from);
    double real = 0;
    if (from->failed || has > 1 || (has == 0 && bits != 0)) {
        return ERR_PROTOCOL;
    }
    memcpy(&real, &bits, sizeof(real));
    s->tally.count = has;
    if (has == 0) {
        return 0;
    }
    if (plan->type == COMPUTE_F64) {
        s->tally.of.best = compute_number_of_real(real);
    } else if (plan->type == COMPUTE_U64) {
        s->tally.of.best = compute_number_of_u64(bits);
    } else {
        const bool minus = bits >> 63 != 0;
        s->tally.of.best = (struct compute_number){.minus = minus, .size = minus ? 0 - bits : bits};
    }
    return 0;
}

/* sum: gets that of doubles. */
static int seed(struct compute_scan *s, const struct compute_scan_plan *plan,
                const struct compute_carry_part *part, struct compute_exact *sum)
{
    struct bytes_reader r = bytes_reader_of(part->carry);
    const uint8_t format = bytes_take_u8(&r);
    const uint8_t op = bytes_take_u8(&r);
    if (r.failed || op != plan->op) {
        return ERR_PROTOCOL;
    }
    if (format != COMPUTE_CARRY_FORMAT) {
        return ERR_LEVEL;
    }
    s->record = part->from / WORD;
    if (is_of_range(plan)) {
        TRY(seed_best(s, plan, &r));
    } else if (sums_reals(plan)) {
        TRY(compute_exact_decode(sum, &r));
        if (part->from > 0) { /* of nothing, it begins as any scan */
            compute_running_from(&s->running, sum);
            s->sum = compute_exact_round(sum);
        }
    } else {
        struct compute_i128 v = {.low = bytes_take_u64(&r)};
        v.high = (int64_t)bytes_take_u64(&r);
        if (plan->op == COMPUTE_OP_COUNT) {
            s->tally.count = v.low;
        } else {
            s->tally.of.sum.whole = v;
        }
    }
    const bool counted = plan->op != COMPUTE_OP_COUNT || s->tally.count == s->record ||
                         (plan->segments && s->tally.count > 0 && s->tally.count < s->record);
    return bytes_reader_ended(&r) && counted ? 0 : ERR_PROTOCOL;
}

static int put_next(const struct compute_scan *s, const struct compute_scan_plan *plan,
                    const struct compute_exact *sum, struct buf *next)
{
    const struct compute_number *best = &s->tally.of.best;
    if (sums_reals(plan)) {
        put_head(plan, next);
        return compute_exact_encode(sum, next);
    }
    if (is_of_range(plan)) {
        const uint64_t whole = best->minus ? 0 - best->size : best->size;
        return put_best(plan, s->tally.count > 0,
                        plan->type == COMPUTE_F64 ? bits_of_real(best->real) : whole, next);
    }
    return put_whole(plan,
                     plan->op == COMPUTE_OP_COUNT ? (struct compute_i128){.low = s->tally.count}
                                                  : s->tally.of.sum.whole,
                     next);
}

static int scan(struct compute_task *t, const struct compute_carry_part *part, struct buf *next)
{
    const struct compute_scan_plan *plan = &t->p->scan;
    struct compute_exact sum;
    compute_exact_init(&sum);
    TRY(seed(t->scan, plan, part, &sum));
    TRY(compute_task_update(t, part->in));
    const struct bytes out = compute_task_output(t);
    TRY(t->scan->err);
    if (out.size != part->in.size) { /* a result was none: what the scan is of is all numbers */
        return ERR_OVERFLOW;
    }
    if (out.size > 0) {
        memcpy(part->out, out.data, out.size);
    }
    if (sums_reals(plan) && plan->segments) {
        compute_exact_init(&sum);
        compute_running_exact(&t->scan->running, &sum); /* of the last segment alone */
    } else if (sums_reals(plan)) {
        compute_exact_add_f64s(&sum, part->in.data, part->in.size / WORD);
    }
    return put_next(t->scan, plan, &sum, next);
}

int compute_carry_scan(const struct compute_program *p, const struct alloc *alloc,
                       const struct compute_carry_part *part, struct buf *next)
{
    const struct compute_task_options options = {.memory_bytes = UINT64_MAX, .whole = part->whole};
    struct compute_task *t = NULL;
    ASSERT(compute_carry_has(p));
    if (part->from % WORD != 0 || part->in.size % WORD != 0) {
        return ERR_RANGE;
    }
    TRY(compute_task_new(&t, alloc, p, &options, NULL));
    const int err = scan(t, part, next);
    compute_task_free(t);
    return err;
}
