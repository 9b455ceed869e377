/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a program does with one record.
 */
#include "base/hash.h"
#include "base/num.h"
#include "compute/table_internal.h"
#include "compute/task_internal.h"

bool compute_task_select(struct compute_task *t, struct buf *into, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    char digits[COMPUTE_VALUE_TEXT];
    struct compute_cell cell;
    const size_t before = into->size;
    for (uint32_t i = 0; i < p->selects; i++) {
        if (compute_expr_eval(p, p->select[i], &t->record, &cell, fault) &&
            cell.kind == COMPUTE_CELL_NONE) {
            compute_fault_no_number(fault, &cell);
        }
        if (fault->kind != COMPUTE_FAULT_NONE) {
            into->size = before;
            return false;
        }
        if (i > 0) {
            (void)buf_put_u8(into, ',');
        }
        compute_csv_put(into, compute_cell_text(&cell, digits));
    }
    return true;
}

static int print_selected(struct compute_task *t, struct compute_reading *r,
                          struct compute_fault *fault)
{
    return compute_task_select(t, &r->output, fault) ? buf_put_u8(&r->output, '\n') : 0;
}

static int print_record(struct compute_task *t, struct compute_reading *r)
{
    (void)buf_append(&r->output, t->record.whole.data, t->record.whole.size);
    if (t->p->source != COMPUTE_SOURCE_ARRAY) {
        (void)buf_put_u8(&r->output, '\n');
    }
    return r->output.err;
}

/* The record's key, in t->key. returns: false for a fault. */
static bool sort_key_of(struct compute_task *t, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    struct compute_cell cell;
    buf_clear(&t->key);
    for (uint32_t i = 0; i < p->sorts; i++) {
        if (!compute_expr_eval(p, p->sort[i].value, &t->record, &cell, fault)) {
            return false;
        }
        if (cell.kind == COMPUTE_CELL_NONE) {
            compute_fault_no_number(fault, &cell);
            return false;
        }
        compute_sort_key_put(&t->key, &cell, p->sort[i].down);
    }
    return true;
}

int compute_task_sort(struct compute_task *t, struct compute_reading *r,
                      struct compute_fault *fault)
{
    if (!sort_key_of(t, fault)) {
        return 0;
    }
    TRY(t->key.err);
    TRY(t->p->selects > 0 ? print_selected(t, r, fault) : print_record(t, r));
    if (fault->kind != COMPUTE_FAULT_NONE) {
        return 0;
    }
    const int err = compute_sorter_add(&r->sorter, buf_view(&t->key), buf_view(&r->output));
    buf_clear(&r->output);
    if (err == ERR_TOO_LARGE) {
        fault->kind = COMPUTE_FAULT_LIMIT;
        return 0;
    }
    return err;
}

bool compute_task_number(struct compute_task *t, struct compute_expr e, struct compute_cell *out,
                         struct compute_fault *fault)
{
    if (!compute_expr_eval(t->p, e, &t->record, out, fault)) {
        return false;
    }
    compute_cell_read(out);
    if (out->kind == COMPUTE_CELL_NONE) {
        compute_fault_no_number(fault, out);
    }
    return out->kind == COMPUTE_CELL_NUMBER;
}

static int tally_dot(struct compute_task *t, struct compute_reading *r, struct compute_tally *tally,
                     const struct compute_aggregate *a, struct compute_fault *fault)
{
    struct compute_cell x;
    struct compute_cell y;
    const bool left = compute_task_number(t, a->value, &x, fault);
    if (fault->kind != COMPUTE_FAULT_NONE) {
        return 0;
    }
    const bool right = compute_task_number(t, a->other, &y, fault);
    return left && right ? compute_tally_add_product(tally, &x.number, &y.number, &r->groups.store)
                         : 0;
}

static int tally_one(struct compute_task *t, struct compute_reading *r, struct compute_group *group,
                     const struct compute_aggregate *a, struct compute_fault *fault)
{
    struct compute_tally *tally = compute_group_tally(group, a->at);
    struct compute_cell cell;
    switch (a->op) {
    case COMPUTE_OP_COUNT: tally->count++; return 0;
    case COMPUTE_OP_DOT: return tally_dot(t, r, tally, a, fault);
    case COMPUTE_OP_DISTINCT:
        if (!compute_expr_eval(t->p, a->value, &t->record, &cell, fault)) {
            return 0;
        }
        if (cell.kind == COMPUTE_CELL_ABSENT ||
            (cell.kind == COMPUTE_CELL_FIELD && cell.text.size == 0)) {
            return 0;
        }
        if (cell.kind == COMPUTE_CELL_NONE) {
            compute_fault_no_number(fault, &cell);
            return 0;
        }
        return compute_tally_add(tally, a->op, &cell, &r->groups.store);
    case COMPUTE_OP_ARGMIN:
    case COMPUTE_OP_ARGMAX:
        if (compute_task_number(t, a->value, &cell, fault)) {
            compute_tally_add_place(tally, a->op, &cell.number, fault->record);
        }
        return 0;
    default:
        return compute_task_number(t, a->value, &cell, fault)
                   ? compute_tally_add(tally, a->op, &cell, &r->groups.store)
                   : 0;
    }
}

/* The record's key. returns: false for a fault. */
static bool key_of(struct compute_task *t, struct bytes *key, char digits[COMPUTE_VALUE_TEXT],
                   struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    struct compute_cell cell;
    buf_clear(&t->key);
    for (uint32_t i = 0; i < p->keys; i++) {
        if (!compute_expr_eval(p, p->key[i], &t->record, &cell, fault)) {
            return false;
        }
        if (cell.kind == COMPUTE_CELL_NONE) {
            compute_fault_no_number(fault, &cell);
            return false;
        }
        *key = compute_cell_text(&cell, digits);
        if (p->key_parts > 1) {
            compute_key_put(&t->key, *key, i + 1 == p->key_parts);
        }
    }
    if (p->estimates && p->keys == 0) {
        (void)buf_put_u64(&t->key, t->chosen);
    } else if (p->estimates) {
        uint8_t hash[sizeof(uint64_t)];
        num_put_u64(hash, t->chosen);
        compute_key_put(&t->key, bytes_of(hash, sizeof(hash)), true);
    }
    if (p->key_parts > 1 || p->estimates) {
        *key = buf_view(&t->key);
    }
    return true;
}

static int tally_record(struct compute_task *t, struct compute_reading *r,
                        struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    char digits[COMPUTE_VALUE_TEXT];
    struct bytes key = bytes_of(NULL, 0);
    struct compute_group *group = r->only;
    if (p->key_parts > 0) {
        if (!key_of(t, &key, digits, fault)) {
            return 0;
        }
        TRY(t->key.err);
        const int err = compute_groups_find(&r->groups, key, &group);
        if (err == ERR_TOO_LARGE) {
            fault->kind = COMPUTE_FAULT_LIMIT;
            return 0;
        }
        TRY(err);
    }
    for (uint32_t i = 0; i < p->aggregates && fault->kind == COMPUTE_FAULT_NONE; i++) {
        TRY(tally_one(t, r, group, &p->aggregate[i], fault));
    }
    const int err = compute_groups_keep(&r->groups);
    if (err == ERR_TOO_LARGE) {
        fault->kind = COMPUTE_FAULT_LIMIT;
        return 0;
    }
    return err;
}

/* returns: whether the record is of the sample; false also for a fault. */
static bool is_sampled(struct compute_task *t, uint32_t i, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    struct bytes text = t->record.whole;
    char digits[COMPUTE_VALUE_TEXT];
    struct compute_cell cell;
    if (!p->sample[i].whole) {
        if (!compute_expr_eval(p, p->where[i], &t->record, &cell, fault)) {
            return false;
        }
        if (cell.kind == COMPUTE_CELL_NONE) {
            compute_fault_no_number(fault, &cell);
            return false;
        }
        text = compute_cell_text(&cell, digits);
    }
    t->chosen = hash_of(text, 0);
    return t->chosen <= p->sample[i].limit;
}

/* What it took to find the fields of a row, about: doubled quotes count once. Without any, only the
 * key is looked at, which is as long as the record's. */
static uint64_t cut_steps(const struct compute_lookup *l, const struct compute_record *row)
{
    uint64_t steps = 0;
    for (uint32_t i = 0; i < row->fields && l->fields > 1; i++) {
        steps += row->field[i].size + 1;
    }
    return steps;
}

/* Finds the row. found: whether the record passes; false also for a fault.
 * returns: 0 or ERR_NO_MEMORY. */
static int look_up(struct compute_task *t, uint32_t i, bool *found, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    const struct compute_lookup *l = &p->lookup[p->joins[i] - 1];
    char digits[COMPUTE_VALUE_TEXT];
    struct compute_cell cell;
    *found = false;
    if (!compute_expr_eval(p, p->where[i], &t->record, &cell, fault)) {
        return 0;
    }
    if (cell.kind == COMPUTE_CELL_NONE) {
        compute_fault_no_number(fault, &cell);
        return 0;
    }
    struct compute_record *row = &t->rows[p->joins[i] - 1];
    const int err = compute_table_find(l->table, compute_cell_text(&cell, digits), l->fields, row);
    t->row_steps += cut_steps(l, row);
    *found = err == 0 || l->left;
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* out: whether all conditions hold; false also for a fault. returns: 0 or ERR_NO_MEMORY. */
static int passes(struct compute_task *t, bool *out, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    *out = true;
    for (uint32_t i = 0; i < p->wheres && *out; i++) {
        if (p->joins[i] > 0) {
            TRY(look_up(t, i, out, fault));
        } else if (p->sample[i].on) {
            *out = is_sampled(t, i, fault);
        } else {
            *out = compute_expr_holds(p, p->where[i], &t->record, fault);
        }
    }
    return 0;
}

/* The first record of CSV has the names that the program gave it, and may have others behind them.
 */
static int check_header(struct compute_task *t, struct bytes record, struct compute_fault *fault)
{
    const struct compute_program *p = t->p;
    struct compute_record *r = &t->record;
    if (p->names == 0) {
        return 0;
    }
    TRY(compute_record_set_fields(r, p, record, p->names, fault));
    for (uint32_t i = 0; i < p->names && fault->kind == COMPUTE_FAULT_NONE; i++) {
        const struct bytes field = i < r->fields ? r->field[i] : bytes_of(NULL, 0);
        if (!bytes_equal(field, p->name[i])) {
            compute_fault_at(fault, COMPUTE_FAULT_HEADER, i + 1, field);
        }
    }
    return 0;
}

int compute_task_take(struct compute_task *t, struct compute_reading *r)
{
    const struct compute_program *p = t->p;
    struct compute_fault *fault = &r->fault;
    bool pass = false;
    TRY(passes(t, &pass, fault));
    if (!pass) {
        return 0;
    }
    if (p->aggregates > 0) {
        return tally_record(t, r, fault);
    }
    if (p->sorts > 0) {
        return compute_task_sort(t, r, fault);
    }
    if (p->scan.on) {
        return compute_scan_record(t, r, fault);
    }
    return p->selects > 0 ? print_selected(t, r, fault) : print_record(t, r);
}

int compute_task_record(struct compute_task *t, struct compute_reading *r, struct bytes record)
{
    const struct compute_program *p = t->p;
    struct compute_fault *fault = &r->fault;
    if (fault->kind != COMPUTE_FAULT_NONE) {
        return 0;
    }
    fault->record = r->records++;
    if (record.size > COMPUTE_RECORD_BYTES_MAX) {
        fault->kind = COMPUTE_FAULT_LONG;
        return 0;
    }
    if (p->source == COMPUTE_SOURCE_CSV && record.size > 0 &&
        record.data[record.size - 1] == '\r' && !t->ended) {
        record.size--; /* the line ends with CR LF */
    }
    if (p->header && t->from == 0 && fault->record == 0) {
        return check_header(t, record, fault);
    }
    TRY(compute_record_set(&t->record, p, record, fault));
    return fault->kind == COMPUTE_FAULT_NONE ? compute_task_take(t, r) : 0;
}
