/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Why a task has no result, in a sentence.
 */
#include "base/num.h"
#include "compute/task_internal.h"

static int fault_code(enum compute_fault_kind kind)
{
    switch (kind) {
    case COMPUTE_FAULT_NONE: return 0;
    case COMPUTE_FAULT_NO_NUMBER:
    case COMPUTE_FAULT_ROW:
    case COMPUTE_FAULT_BITS:
    case COMPUTE_FAULT_HEADER: return ERR_WRONG_TYPE;
    case COMPUTE_FAULT_DIVISION: return ERR_INVALID;
    case COMPUTE_FAULT_SCAN:
    case COMPUTE_FAULT_OVERFLOW: return ERR_OVERFLOW;
    case COMPUTE_FAULT_QUOTE_INSIDE:
    case COMPUTE_FAULT_QUOTE_AFTER:
    case COMPUTE_FAULT_QUOTE_OPEN: return ERR_PROTOCOL;
    case COMPUTE_FAULT_PARTIAL: return ERR_RANGE;
    default: return ERR_TOO_LARGE;
    }
}

/* The name that was declared for a field. */
static struct bytes fault_name(const struct compute_task *t, const struct compute_fault *f)
{
    const bool known = f->field > 0 && f->field <= t->p->names;
    return known ? t->p->name[f->field - 1] : bytes_of(NULL, 0);
}

int compute_task_why_fault(const struct compute_task *t, const struct compute_fault *f,
                           struct err_info *why)
{
    const int code = fault_code(f->kind);
    const unsigned long long record = f->record + 1;
    const unsigned field = f->field;
    char text[COMPUTE_FAULT_SHOWN + 1];
    compute_fault_text(bytes_of(f->show, f->shown), text);
    switch (f->kind) {
    case COMPUTE_FAULT_NONE: return 0;
    case COMPUTE_FAULT_NO_NUMBER:
        return err_set(why, code, "record %llu: $%u is no number: '%s'", record, field, text);
    case COMPUTE_FAULT_ROW: {
        const struct compute_lookup *l = &t->p->lookup[(field >> 16) - 1];
        return err_set(why, code, "record %llu: $%.*s.%u is no number: '%s'", record,
                       (int)NUM_MIN(l->as.size, (size_t)COMPUTE_FAULT_SHOWN),
                       (const char *)l->as.data, field & UINT16_MAX, text);
    }
    case COMPUTE_FAULT_DIVISION:
        return err_set(why, code, "record %llu: division by zero by '%s'", record, text);
    case COMPUTE_FAULT_OVERFLOW:
        return err_set(why, code, "record %llu: '%s' leaves the whole numbers of 64 bits", record,
                       text);
    case COMPUTE_FAULT_QUOTE_INSIDE:
        return err_set(why, code, "record %llu: $%u has a quote but does not begin with one: '%s'",
                       record, field, text);
    case COMPUTE_FAULT_QUOTE_AFTER:
        return err_set(why, code, "record %llu: $%u goes on behind its closing quote: '%s'", record,
                       field, text);
    case COMPUTE_FAULT_QUOTE_OPEN:
        return err_set(why, code, "record %llu: a quote is not closed", record);
    case COMPUTE_FAULT_LONG:
        return err_set(why, code, "record %llu is longer than %u bytes", record,
                       COMPUTE_RECORD_BYTES_MAX);
    case COMPUTE_FAULT_PARTIAL:
        return err_set(why, code, "record %llu is cut: it has %u of %u bytes", record, field,
                       t->p->record_bytes);
    case COMPUTE_FAULT_HEADER: {
        const struct bytes name = fault_name(t, f);
        return err_set(why, code, "record %llu: $%u is '%s', and '%.*s' was declared", record,
                       field, text, (int)NUM_MIN(name.size, (size_t)COMPUTE_FAULT_SHOWN),
                       name.size > 0 ? (const char *)name.data : "");
    }
    case COMPUTE_FAULT_SCAN:
        return err_set(why, code, "record %llu: %s is %s, which is no %s", record,
                       compute_op_name(t->p->scan.op), text, compute_type_name(t->p->scan.type));
    case COMPUTE_FAULT_BITS:
        return err_set(why, code, "record %llu: 'or' is of whole numbers, and this is %s", record,
                       text);
    case COMPUTE_FAULT_LIMIT: break;
    }
    return err_set(why, code, "%s more than the limit of %llu bytes",
                   t->p->sorts > 0 ? "what is to be sorted takes" : "groups take",
                   (unsigned long long)t->limit_bytes);
}

int compute_task_why_result(const struct compute_task *t, uint32_t failed, int err,
                            struct err_info *why)
{
    const char *name = compute_op_name(t->p->aggregate[failed].op);
    switch (err) {
    case 0: return 0;
    case ERR_NOT_FOUND:
        if (t->p->estimates) {
            return err_set(why, err, "the sample has too few different values for bounds of %s",
                           name);
        }
        return err_set(why, err, "%s of too few numbers", name);
    case ERR_OVERFLOW: return err_set(why, err, "%s is beyond 128 bits", name);
    case ERR_RANGE: return err_set(why, err, "the last record is cut");
    default: return err_set(why, err, "%s: %s", name, err_text(err));
    }
}

int compute_task_why_place(const struct compute_task *t, uint32_t of, struct err_info *why)
{
    return err_set(why, ERR_INVALID, "%s says where in one object a record is",
                   compute_op_name(t->p->aggregate[of].op));
}

int compute_task_why_runs(const struct compute_task *t, int err, struct err_info *why)
{
    if (t->p->sorts > 0) {
        return err_set(why, err, "cannot sort: %s", err_text(err));
    }
    if (err == ERR_TOO_LARGE) {
        return err_set(why, err, "the top %llu take more than the limit of %llu bytes",
                       (unsigned long long)t->p->top, (unsigned long long)t->limit_bytes);
    }
    if (err == ERR_CORRUPT) {
        return err_set(why, err, "groups that were written away are damaged");
    }
    return err == ERR_OVERFLOW ? compute_task_why_result(t, 0, err, why)
                               : err_set(why, err, "groups beyond memory: %s", err_text(err));
}
