/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tasks: cutting a span into records, and joining spans.
 *
 * Why errors do not depend on the cut: a record's fault depends on the record alone, and its number
 * is counted from the start of the span, so that the first of two spans that has a fault has the
 * first fault of both. The limit of groups is passed or not by the groups of all records before the
 * first fault, however they were put together; therefore a span keeps its groups when it has a
 * fault, and merging holds them against the limit before the fault counts.
 */
#include "compute/task.h"

#include "base/num.h"
#include "compute/task_internal.h"

#define NONE SIZE_MAX

/* --- life --- */

/* Rows for what lookups find. */
static int rows_init(struct compute_task *t, struct err_info *why)
{
    if (t->p->lookups == 0) {
        return 0;
    }
    t->rows = alloc_get_zeroed(&t->alloc, t->p->lookups, sizeof(struct compute_record));
    if (t->rows == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < t->p->lookups; i++) {
        compute_record_init(&t->rows[i], &t->alloc);
    }
    for (uint32_t i = 0; i < t->p->lookups; i++) {
        const struct compute_lookup *l = &t->p->lookup[i];
        if (l->table == NULL) {
            return err_set(why, ERR_INVALID, "table '%.*s' of 'lookup' was not given",
                           (int)l->name.size, (const char *)l->name.data);
        }
    }
    t->record.rows = t->rows;
    t->record.row_steps = &t->row_steps;
    return 0;
}

static void rows_release(struct compute_task *t)
{
    for (uint32_t i = 0; i < t->p->lookups && t->rows != NULL; i++) {
        compute_record_release(&t->rows[i]);
    }
    alloc_put(&t->alloc, t->rows, t->p->lookups * sizeof(struct compute_record));
}

static int reading_init(struct compute_task *t, struct compute_reading *r, bool quoted)
{
    const struct compute_program *p = t->p;
    const bool array = p->source == COMPUTE_SOURCE_ARRAY;
    r->open = array ? t->from % p->record_bytes != 0 : t->from != 0;
    r->quoted = quoted;
    buf_init(&r->head, &t->alloc, SIZE_MAX);
    buf_init(&r->tail, &t->alloc, SIZE_MAX);
    buf_init(&r->output, &t->alloc, SIZE_MAX);
    buf_init(&r->values, &t->alloc, SIZE_MAX);
    compute_groups_init(&r->groups, p, &t->alloc, t->limit_bytes);
    compute_sorter_init(&r->sorter, &t->alloc, t->limit_bytes);
    if (p->key_parts > 0 || p->aggregates == 0) {
        return 0;
    }
    const int err = compute_groups_find(&r->groups, bytes_of(NULL, 0), &r->only);
    if (err == ERR_TOO_LARGE) {
        r->fault.kind = COMPUTE_FAULT_LIMIT;
        r->open = false; /* nothing is looked at */
        return 0;
    }
    return err;
}

/* Groups are found by key, and each of its own; or there are none, and lines are sorted. */
static bool spills(const struct compute_program *p, const struct compute_task_options *options)
{
    return options->spill != NULL && options->from == 0 &&
           (p->sorts > 0 || (p->keys > 0 && !p->estimates && !p->reduces));
}

static int runs_init(struct compute_task *t, const struct compute_task_options *options)
{
    if (!spills(t->p, options)) {
        return 0;
    }
    t->runs = alloc_get_zeroed(&t->alloc, 1, sizeof(*t->runs));
    if (t->runs == NULL) {
        return ERR_NO_MEMORY;
    }
    t->runs->spill = options->spill;
    t->reading[0].groups.runs = t->runs;
    t->reading[0].sorter.runs = t->runs;
    return 0;
}

static void runs_release(struct compute_task *t)
{
    compute_runs_text_free(t->result);
    compute_sorted_free(t->sorted);
    if (t->runs != NULL) {
        compute_runs_release(t->runs);
        alloc_put(&t->alloc, t->runs, sizeof(*t->runs));
    }
}

static void reading_release(struct compute_reading *r)
{
    if (r->groups.p != NULL) {
        compute_groups_release(&r->groups);
        compute_sorter_release(&r->sorter);
        buf_release(&r->head);
        buf_release(&r->tail);
        buf_release(&r->output);
        buf_release(&r->values);
    }
}

/* returns: whether a span of which so much is known may be read in this way. */
static bool begins_so(const struct compute_task *t, uint32_t quotes, bool inside)
{
    return t->readings == 1 || quotes == COMPUTE_TASK_QUOTES_UNKNOWN ||
           (quotes == COMPUTE_TASK_QUOTES_INSIDE) == inside;
}

int compute_task_new(struct compute_task **out, const struct alloc *alloc,
                     const struct compute_program *p, const struct compute_task_options *options,
                     struct err_info *why)
{
    int err = 0;
    if (options->from > INT64_MAX) {
        return err_set(why, ERR_RANGE, "a span begins beyond 2^63 bytes");
    }
    struct compute_task *t = alloc_get_zeroed(alloc, 1, sizeof(*t));
    if (t == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a task");
    }
    t->alloc = *alloc;
    t->p = p;
    t->from = options->from;
    t->to = options->from;
    t->limit_bytes = options->memory_bytes > 0 ? options->memory_bytes : COMPUTE_TASK_MEMORY_USUAL;
    t->readings = p->source == COMPUTE_SOURCE_CSV && t->from > 0 ? 2 : 1;
    compute_record_init(&t->record, alloc);
    buf_init(&t->key, alloc, SIZE_MAX);
    err = rows_init(t, why);
    for (unsigned i = 0; i < t->readings && err == 0; i++) {
        const bool inside = i == 1;
        err = reading_init(t, &t->reading[i], inside);
        t->reading[i].left_out = !begins_so(t, options->quotes, inside);
        t->reading[i].sorter.whole = options->whole;
    }
    err = err == 0 ? runs_init(t, options) : err;
    err = err == 0 ? compute_scan_new(t) : err;
    if (err == 0 && p->reduces) {
        err = compute_reduce_new(&t->reduce, alloc, &p->spec, t->from, why);
    }
    if (err == 0 && t->reduce != NULL) {
        compute_reduce_use(t->reduce, options->whole);
    }
    if (err == 0 && t->scan != NULL) {
        t->scan->whole = options->whole;
    }
    if (err != 0) {
        compute_task_free(t);
        return err == ERR_NO_MEMORY ? err_set(why, err, "no memory for a task") : err;
    }
    *out = t;
    return 0;
}

void compute_task_free(struct compute_task *t)
{
    if (t == NULL) {
        return;
    }
    runs_release(t);
    compute_scan_free(t);
    reading_release(&t->reading[0]);
    reading_release(&t->reading[1]);
    compute_reduce_free(t->reduce);
    rows_release(t);
    compute_record_release(&t->record);
    buf_release(&t->key);
    alloc_put(&t->alloc, t, sizeof(*t));
}

bool compute_task_is_settled(const struct compute_task *t)
{
    const bool failed = t->scan != NULL && t->scan->err != 0;
    return t->from == 0 && (failed || t->reading[0].fault.kind != COMPUTE_FAULT_NONE);
}

uint64_t compute_task_from(const struct compute_task *t)
{
    return t->from;
}

uint64_t compute_task_to(const struct compute_task *t)
{
    return t->to;
}

uint64_t compute_task_row_steps(const struct compute_task *t)
{
    return t->row_steps;
}

/* --- where records end --- */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t find_byte(struct bytes data, size_t at, uint8_t byte)
{
    const uint8_t *found = at < data.size ? memchr(data.data + at, byte, data.size - at) : NULL;
    return found != NULL ? (size_t)(found - data.data) : data.size;
}

/* The end of the record that the data begins within. skip: bytes of what ends it.
 * returns: how many bytes belong to the record; NONE if it does not end here. */
static size_t first_end(const struct compute_task *t, struct compute_reading *r, struct bytes data,
                        size_t *skip)
{
    const struct compute_program *p = t->p;
    size_t at = 0;
    size_t quote = 0;
    *skip = 1;
    switch (p->source) {
    case COMPUTE_SOURCE_LINES: at = find_byte(data, 0, '\n'); break;
    case COMPUTE_SOURCE_WORDS:
        while (at < data.size && !is_space(data.data[at])) {
            at++;
        }
        break;
    case COMPUTE_SOURCE_CSV:
        quote = find_byte(data, 0, '"');
        at = compute_csv_end(data, 0, &r->quoted, &quote);
        break;
    case COMPUTE_SOURCE_ARRAY:
        *skip = 0;
        at = r->open ? p->record_bytes - t->from % p->record_bytes - r->head.size
                     : p->record_bytes - r->tail.size;
        return at <= data.size ? at : NONE;
    }
    return at < data.size ? at : NONE;
}

/* Appends to a fragment, of which no more is kept than shows that the record is too long. */
static int fragment_put(struct buf *fragment, struct bytes data)
{
    const size_t room = COMPUTE_RECORD_BYTES_MAX + 1 - fragment->size;
    return buf_append(fragment, data.data, NUM_MIN(room, data.size));
}

/* A record in the tail is whole. */
static int end_tail(struct compute_task *t, struct compute_reading *r)
{
    if (t->p->source != COMPUTE_SOURCE_WORDS || r->tail.size > 0) {
        TRY(compute_task_record(t, r, buf_view(&r->tail)));
    }
    buf_clear(&r->tail);
    return 0;
}

/* A record goes on beyond this piece. */
static int keep_tail(struct compute_reading *r, struct bytes data)
{
    TRY(fragment_put(&r->tail, data));
    if (r->tail.size > COMPUTE_RECORD_BYTES_MAX && r->fault.kind == COMPUTE_FAULT_NONE) {
        r->fault.kind = COMPUTE_FAULT_LONG;
        r->fault.record = r->records;
    }
    return 0;
}

static int whole_lines(struct compute_task *t, struct compute_reading *r, struct bytes data,
                       size_t *at)
{
    if (t->p->counts_records) {
        compute_task_count_records(t->p, r, data, at);
    }
    while (!compute_task_pauses(t)) {
        const size_t end = find_byte(data, *at, '\n');
        if (end == data.size) {
            return 0;
        }
        TRY(compute_task_record(t, r, bytes_of(data.data + *at, end - *at)));
        *at = end + 1;
    }
    return 0;
}

static int whole_words(struct compute_task *t, struct compute_reading *r, struct bytes data,
                       size_t *at)
{
    if (t->p->counts_records) {
        compute_task_count_records(t->p, r, data, at);
    }
    if (t->p->counts_words) {
        TRY(compute_task_count_words(r, data, at));
    }
    while (!compute_task_pauses(t)) {
        size_t end = *at;
        while (end < data.size && is_space(data.data[end])) {
            end++;
        }
        *at = end;
        while (end < data.size && !is_space(data.data[end])) {
            end++;
        }
        if (end == data.size) {
            return 0;
        }
        TRY(compute_task_record(t, r, bytes_of(data.data + *at, end - *at)));
        *at = end + 1;
    }
    return 0;
}

static int whole_array(struct compute_task *t, struct compute_reading *r, struct bytes data,
                       size_t *at)
{
    const size_t bytes = t->p->record_bytes;
    if (t->p->scan.dense) {
        const size_t whole = (data.size - *at) / bytes * bytes;
        const struct bytes records = bytes_of(data.data + *at, whole);
        TRY(compute_scan_at_once(t, r, records) ? 0 : compute_scan_array(t->p, r, records));
        r->records += whole / bytes;
        *at += whole;
        return 0;
    }
    for (; data.size - *at >= bytes && !compute_task_pauses(t); *at += bytes) {
        TRY(compute_task_record(t, r, bytes_of(data.data + *at, bytes)));
    }
    return 0;
}

/* Records that begin and end within the data, from *at on. */
static int whole_records(struct compute_task *t, struct compute_reading *r, struct bytes data,
                         size_t *at)
{
    switch (t->p->source) {
    case COMPUTE_SOURCE_LINES: return whole_lines(t, r, data, at);
    case COMPUTE_SOURCE_WORDS: return whole_words(t, r, data, at);
    case COMPUTE_SOURCE_CSV: return compute_task_csv(t, r, data, at);
    case COMPUTE_SOURCE_ARRAY: break;
    }
    return whole_array(t, r, data, at);
}

/* returns: whether what follows is of no account. */
static bool needs_nothing(const struct compute_reading *r)
{
    return r->left_out || r->fault.kind != COMPUTE_FAULT_NONE;
}

/* *taken: all, unless it pauses. */
static int reading_update(struct compute_task *t, struct compute_reading *r, struct bytes data,
                          size_t *taken)
{
    size_t at = 0;
    *taken = data.size;
    if (needs_nothing(r) || data.size == 0) {
        return 0;
    }
    if (r->open || r->tail.size > 0) {
        size_t skip = 0;
        const size_t end = first_end(t, r, data, &skip);
        const struct bytes part = end == NONE ? data : bytes_of(data.data, end);
        if (r->open) {
            TRY(fragment_put(&r->head, part));
        } else {
            TRY(keep_tail(r, part));
        }
        if (end == NONE) {
            return 0;
        }
        if (!r->open) {
            TRY(end_tail(t, r));
        }
        r->open = false;
        at = end + skip;
    }
    TRY(whole_records(t, r, data, &at));
    if (compute_task_pauses(t)) {
        *taken = at;
        return 0;
    }
    return keep_tail(r, bytes_of(data.data + at, data.size - at));
}

/* Each reading goes on from where it has come to; the task has taken in what all have. */
static int readings_update(struct compute_task *t, struct bytes data, size_t *taken)
{
    *taken = data.size;
    for (unsigned i = 0; i < t->readings; i++) {
        struct compute_reading *r = &t->reading[i];
        ASSERT(r->ahead <= data.size);
        if (!compute_task_pauses(t) || needs_nothing(r)) {
            size_t more = 0;
            TRY(reading_update(t, r, bytes_of(data.data + r->ahead, data.size - r->ahead), &more));
            r->ahead += more;
        }
        *taken = NUM_MIN(*taken, r->ahead);
    }
    for (unsigned i = 0; i < t->readings; i++) {
        t->reading[i].ahead -= *taken;
    }
    return 0;
}

int compute_task_update_some(struct compute_task *t, struct bytes data, uint64_t steps,
                             size_t *taken)
{
    ASSERT(!t->ended && steps > 0);
    if (data.size > (uint64_t)INT64_MAX - t->to) {
        return ERR_RANGE;
    }
    t->row_steps_pause = t->row_steps + NUM_MIN(steps, UINT64_MAX - t->row_steps);
    if (t->reduce != NULL) {
        TRY(compute_reduce_update(t->reduce, data));
        *taken = data.size;
    } else {
        TRY(readings_update(t, data, taken));
    }
    t->row_steps_pause = UINT64_MAX;
    t->to += *taken;
    return 0;
}

int compute_task_update(struct compute_task *t, struct bytes data)
{
    size_t taken = 0;
    TRY(compute_task_update_some(t, data, UINT64_MAX, &taken));
    ASSERT(taken == data.size);
    return 0;
}

/* --- ways to read --- */

enum compute_task_quotes compute_task_quotes(const struct compute_task *t)
{
    if (t->from != 0 || t->p->source != COMPUTE_SOURCE_CSV) {
        return COMPUTE_TASK_QUOTES_UNKNOWN;
    }
    return t->reading[0].quoted ? COMPUTE_TASK_QUOTES_INSIDE : COMPUTE_TASK_QUOTES_OUTSIDE;
}

void compute_task_leave_open(struct compute_task *t, size_t bytes)
{
    if (t->readings != 2 || t->reading[0].left_out || t->reading[1].left_out) {
        return;
    }
    for (unsigned i = 0; i < t->readings; i++) {
        struct compute_reading *r = &t->reading[i];
        r->left_out = r->open && r->head.size > bytes;
    }
}

bool compute_task_was_read(const struct compute_task *t, enum compute_task_quotes quotes)
{
    bool read = false;
    for (unsigned i = 0; i < t->readings; i++) {
        read = read || (!t->reading[i].left_out && begins_so(t, quotes, i == 1));
    }
    return read;
}

int compute_task_leave_other(struct compute_task *t, enum compute_task_quotes quotes)
{
    if (!compute_task_was_read(t, quotes)) {
        return ERR_NOT_FOUND;
    }
    for (unsigned i = 0; i < t->readings; i++) {
        t->reading[i].left_out = t->reading[i].left_out || !begins_so(t, quotes, i == 1);
    }
    return 0;
}

/* --- merging --- */

/* What is behind the first record that ends in the span of `from`: into has none of its own, or is
 * at the same place. */
static int take_body(struct compute_reading *into, const struct compute_reading *from)
{
    if (into->fault.kind != COMPUTE_FAULT_NONE) {
        return 0;
    }
    const int err = into->groups.p->sorts > 0
                        ? compute_sorter_merge(&into->sorter, &from->sorter)
                        : compute_groups_merge(&into->groups, &from->groups, into->records);
    if (err == ERR_TOO_LARGE) {
        into->fault.kind = COMPUTE_FAULT_LIMIT;
        return 0;
    }
    TRY(err);
    TRY(buf_append(&into->output, from->output.data, from->output.size));
    TRY(into->groups.p->scan.on ? compute_scan_merge(into->groups.p, into, from) : 0);
    if (from->fault.kind != COMPUTE_FAULT_NONE) {
        into->fault = from->fault;
        into->fault.record += into->records;
        return 0;
    }
    into->records += from->records;
    into->quoted = from->quoted;
    return keep_tail(into, buf_view(&from->tail));
}

/* begins: from begins with the object, as into does, which is empty. */
static int reading_merge(struct compute_task *t, struct compute_reading *into,
                         const struct compute_reading *from, bool begins)
{
    const struct bytes head = buf_view(&from->head);
    if (into->fault.kind != COMPUTE_FAULT_NONE) {
        return 0;
    }
    if (begins) {
        return take_body(into, from);
    }
    if (into->open) {
        TRY(fragment_put(&into->head, head));
        into->open = from->open;
    } else if (from->open || head.size > 0 || into->tail.size > 0) {
        TRY(keep_tail(into, head));
        into->quoted = from->quoted;
        if (!from->open) {
            TRY(end_tail(t, into));
        }
    } else if (t->p->source != COMPUTE_SOURCE_ARRAY) {
        TRY(end_tail(t, into)); /* the span begins with what ends a record: it was empty */
    }
    into->quoted = from->open ? from->quoted : into->quoted;
    return from->open ? 0 : take_body(into, from);
}

/* What follows a reading of the span before. */
static const struct compute_reading *reading_behind(const struct compute_reading *r,
                                                    const struct compute_task *next)
{
    return &next->reading[next->readings == 2 && r->quoted];
}

/* returns: whether all that is to be merged was read. */
static bool follows(const struct compute_task *into, const struct compute_task *next)
{
    for (unsigned i = 0; i < into->readings; i++) {
        const struct compute_reading *r = &into->reading[i];
        if (!r->left_out && r->fault.kind == COMPUTE_FAULT_NONE &&
            reading_behind(r, next)->left_out) {
            return false;
        }
    }
    return true;
}

int compute_task_merge(struct compute_task *into, const struct compute_task *next)
{
    if (into->p != next->p || into->to != next->from || into->ended || next->ended ||
        next->runs != NULL || (next->scan != NULL && next->scan->begun)) {
        return ERR_INVALID;
    }
    if (into->reduce != NULL) {
        TRY(compute_reduce_merge(into->reduce, next->reduce));
        into->to = next->to;
        return 0;
    }
    if (next->to > next->from && !follows(into, next)) {
        return ERR_NOT_FOUND;
    }
    for (unsigned i = 0; i < into->readings && next->to > next->from; i++) {
        struct compute_reading *r = &into->reading[i];
        if (!r->left_out) {
            TRY(reading_merge(into, r, reading_behind(r, next), next->from == 0));
        }
    }
    into->to = next->to;
    return 0;
}

/* --- the result --- */

struct bytes compute_task_output(struct compute_task *t)
{
    (void)compute_scan_results(t); /* its error stays */
    return t->from == 0 ? buf_view(&t->reading[0].output) : bytes_of(NULL, 0);
}

void compute_task_output_clear(struct compute_task *t)
{
    if (t->from == 0) {
        buf_clear(&t->reading[0].output);
    }
}

/* What is left behind the last end of a record is a record. */
static int end_object(struct compute_task *t, struct compute_reading *r)
{
    if (r->fault.kind != COMPUTE_FAULT_NONE || (r->tail.size == 0 && !r->quoted)) {
        return 0;
    }
    if (t->p->source == COMPUTE_SOURCE_ARRAY || r->quoted) {
        r->fault.kind = r->quoted ? COMPUTE_FAULT_QUOTE_OPEN : COMPUTE_FAULT_PARTIAL;
        r->fault.record = r->records;
        r->fault.field = (uint32_t)r->tail.size;
        return 0;
    }
    return end_tail(t, r);
}

/* returns: 0, or the first fault of the object. */
static int end_records(struct compute_task *t, struct compute_reading *r, struct err_info *why)
{
    if (t->from != 0) {
        return err_set(why, ERR_RANGE, "the span does not begin with the object");
    }
    t->ended = true;
    if (t->reduce != NULL) {
        return 0;
    }
    const int err = end_object(t, r);
    if (err != 0) {
        return err_set(why, err, "no memory for the last record");
    }
    if (compute_scan_results(t) != 0) {
        return err_set(why, t->scan->err, "no memory for the result of record %llu",
                       (unsigned long long)t->scan->record + 1);
    }
    return r->fault.kind != COMPUTE_FAULT_NONE ? compute_task_why_fault(t, &r->fault, why) : 0;
}

int compute_task_next(struct compute_task *t, struct err_info *why)
{
    struct compute_reading *r = &t->reading[0];
    ASSERT(!t->ended);
    TRY(end_records(t, r, why));
    const int err = t->reduce != NULL ? compute_reduce_next(t->reduce) : 0;
    if (err == ERR_INVALID) {
        return compute_task_why_place(t, 0, why);
    }
    for (uint32_t i = 0; i < t->p->aggregates && t->reduce == NULL; i++) {
        if (compute_tally_is_of_place(t->p->aggregate[i].op)) {
            return compute_task_why_place(t, i, why);
        }
    }
    TRY(compute_task_why_result(t, 0, err, why));
    buf_clear(&r->tail);
    r->records = 0;
    compute_scan_next(t);
    t->to = 0;
    t->ended = false;
    return 0;
}

bool compute_task_has_more(const struct compute_task *t)
{
    return t->result != NULL || t->sorted != NULL;
}

int compute_task_more(struct compute_task *t, struct err_info *why)
{
    bool more = false;
    struct buf *out = &t->reading[0].output;
    const int err = t->sorted != NULL ? compute_sorted_next(t->sorted, out, &more)
                                      : compute_runs_text_next(t->result, out, &more);
    if (err != 0 || !more) {
        compute_runs_text_free(t->result);
        compute_sorted_free(t->sorted);
        t->result = NULL;
        t->sorted = NULL;
    }
    return err != 0 ? compute_task_why_runs(t, err, why) : 0;
}

int compute_task_finish(struct compute_task *t, struct err_info *why)
{
    struct compute_reading *r = &t->reading[0];
    uint32_t failed = 0;
    ASSERT(!t->ended);
    TRY(end_records(t, r, why));
    if (t->reduce != NULL) {
        return compute_task_why_result(t, 0, compute_reduce_text(t->reduce, &r->output), why);
    }
    if (t->p->sorts > 0) {
        const int err = compute_sorted_new(&t->sorted, &r->sorter);
        return err == 0 ? compute_task_more(t, why) : compute_task_why_runs(t, err, why);
    }
    if (t->p->aggregates == 0) {
        return 0;
    }
    if (t->runs != NULL && t->runs->count > 0) {
        const int err = compute_runs_text_new(&t->result, t->runs, &r->groups);
        return err == 0 ? compute_task_more(t, why) : compute_task_why_runs(t, err, why);
    }
    return compute_task_why_result(t, failed, compute_groups_text(&r->groups, &r->output, &failed),
                                   why);
}
