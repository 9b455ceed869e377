/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * States of tasks as bytes (docs/formats.md). What no result depends on is left out, so that a span
 * has the same bytes however it was put together: what is behind a fault, and the groups when they
 * passed the limit.
 */
#include "base/num.h"
#include "compute/task_internal.h"

#define FLAG_OPEN 1u
#define FLAG_QUOTED 2u
#define FLAG_FAULT 4u
#define FLAGS 7u
#define FLAG_LEFT_OUT 8u /* alone */
#define OFFSET_MAX ((uint64_t)INT64_MAX)

/* --- groups --- */

int compute_group_encode(const struct compute_program *p, struct compute_group *group,
                         struct buf *into)
{
    TRY(buf_put_bytes(into, compute_group_key(group)));
    for (uint32_t a = 0; a < p->aggregates; a++) {
        TRY(compute_tally_encode(compute_group_tally(group, p->aggregate[a].at), p->aggregate[a].op,
                                 into));
    }
    return into->err;
}

static int encode_groups(const struct compute_groups *g, struct buf *into)
{
    struct compute_group **list = NULL;
    TRY(compute_groups_sorted(g, &list));
    int err = buf_put_u64(into, g->count);
    for (size_t i = 0; i < g->count && err == 0; i++) {
        err = compute_group_encode(g->p, list[i], into);
    }
    compute_groups_sorted_free(g, list);
    return err;
}

static int decode_group(struct compute_groups *g, struct bytes key, uint64_t records,
                        struct bytes_reader *from)
{
    const struct compute_program *p = g->p;
    struct compute_group *group = NULL;
    TRY(g->slot_count > 0 ? compute_groups_find(g, key, &group) /* it has the only one */
                          : compute_groups_append(g, key, &group));
    for (uint32_t a = 0; a < p->aggregates; a++) {
        TRY(compute_tally_decode(compute_group_tally(group, p->aggregate[a].at), p->aggregate[a].op,
                                 from, records, &g->store));
    }
    return compute_groups_fit(g) ? 0 : ERR_TOO_LARGE;
}

static int decode_groups(struct compute_reading *r, struct bytes_reader *from)
{
    const struct compute_program *p = r->groups.p;
    const uint64_t count = bytes_take_u64(from);
    /* the aggregates before the one at fault have the record */
    const uint64_t records = r->fault.kind != COMPUTE_FAULT_NONE ? r->fault.record + 1 : r->records;
    struct bytes before = bytes_of(NULL, 0);
    if (from->failed || (p->key_parts == 0 && count != 1)) {
        return ERR_PROTOCOL;
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct bytes key = bytes_take_bytes(from, from->left);
        if (from->failed || (i > 0 && bytes_compare(before, key) >= 0) ||
            (p->key_parts == 0 && key.size > 0) ||
            (p->key_parts > 1 && !compute_key_is_whole(key, p->key_parts)) ||
            (p->estimates && p->keys == 0 && key.size != sizeof(uint64_t)) ||
            (p->estimates && p->keys > 0 && !compute_key_has_cluster(key))) {
            return ERR_PROTOCOL;
        }
        TRY(decode_group(&r->groups, key, records, from));
        before = key;
    }
    return 0;
}

/* --- what is to be sorted, in the order of the records --- */

static int encode_sorter(const struct compute_program *p, const struct compute_sorter *s,
                         struct buf *into)
{
    const size_t end = p->source == COMPUTE_SOURCE_ARRAY ? 0 : 1; /* of a line */
    struct compute_sort_cursor c = compute_sorter_begin(s);
    struct compute_sort_entry e;
    (void)buf_put_u64(into, s->count);
    while (compute_sorter_next(&c, &e) && into->err == 0) {
        if (!p->sorts_records) {
            (void)buf_put_bytes(into, e.key);
            (void)buf_put_bytes(into, e.line);
        } else if (p->source == COMPUTE_SOURCE_ARRAY) {
            (void)buf_append(into, e.line.data, e.line.size);
        } else {
            (void)buf_put_bytes(into, bytes_of(e.line.data, e.line.size - end));
        }
    }
    return into->err;
}

/* A record, whose key is made once more. */
static int decode_record(struct compute_task *t, struct compute_reading *r,
                         struct bytes_reader *from)
{
    const struct compute_program *p = t->p;
    struct compute_fault fault = {.kind = COMPUTE_FAULT_NONE};
    const struct bytes record = p->source == COMPUTE_SOURCE_ARRAY
                                    ? bytes_take(from, p->record_bytes)
                                    : bytes_take_bytes(from, COMPUTE_RECORD_BYTES_MAX);
    if (from->failed) {
        return ERR_PROTOCOL;
    }
    TRY(compute_record_set(&t->record, p, record, &fault));
    if (fault.kind == COMPUTE_FAULT_NONE) {
        TRY(compute_task_sort(t, r, &fault));
    }
    if (fault.kind == COMPUTE_FAULT_LIMIT) {
        return ERR_TOO_LARGE;
    }
    return fault.kind == COMPUTE_FAULT_NONE ? 0 : ERR_PROTOCOL;
}

/* returns: whether it is what a record is printed as. */
static bool line_is_sound(const struct compute_program *p, struct bytes line)
{
    if (p->source == COMPUTE_SOURCE_ARRAY && p->selects == 0) {
        return line.size == p->record_bytes;
    }
    return line.size > 0 && line.data[line.size - 1] == '\n';
}

static int decode_sorter(struct compute_task *t, struct compute_reading *r,
                         struct bytes_reader *from)
{
    const uint64_t count = bytes_take_u64(from);
    const uint64_t records = r->fault.kind != COMPUTE_FAULT_NONE ? r->fault.record : r->records;
    if (from->failed || count > records) {
        return ERR_PROTOCOL;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (t->p->sorts_records) {
            TRY(decode_record(t, r, from));
            continue;
        }
        const struct bytes key = bytes_take_bytes(from, from->left);
        const struct bytes line = bytes_take_bytes(from, from->left);
        if (from->failed || !compute_sort_key_is_whole(t->p, key) || !line_is_sound(t->p, line)) {
            return ERR_PROTOCOL;
        }
        TRY(compute_sorter_add(&r->sorter, key, line));
    }
    return 0;
}

/* --- readings --- */

static bool keeps_body(const struct compute_reading *r)
{
    return r->fault.kind != COMPUTE_FAULT_LIMIT;
}

static int encode_reading(const struct compute_reading *r, struct buf *into)
{
    const bool fault = r->fault.kind != COMPUTE_FAULT_NONE;
    if (r->left_out) {
        return buf_put_u8(into, FLAG_LEFT_OUT);
    }
    const unsigned flags = (r->open ? FLAG_OPEN : 0) | (r->quoted && !fault ? FLAG_QUOTED : 0) |
                           (fault ? FLAG_FAULT : 0);
    (void)buf_put_u8(into, (uint8_t)flags);
    (void)buf_put_bytes(into, buf_view(&r->head));
    if (!fault) {
        (void)buf_put_u64(into, r->records);
        (void)buf_put_bytes(into, buf_view(&r->tail));
    } else if (keeps_body(r)) {
        (void)buf_put_u64(into, r->fault.record);
        (void)buf_put_u8(into, (uint8_t)r->fault.kind);
        (void)buf_put_u32(into, r->fault.field);
        (void)buf_put_bytes(into, bytes_of(r->fault.show, r->fault.shown));
    } else {
        (void)buf_put_u64(into, 0);
        return buf_put_u8(into, COMPUTE_FAULT_LIMIT);
    }
    if (r->groups.p->aggregates > 0) {
        return encode_groups(&r->groups, into);
    }
    if (r->groups.p->sorts > 0) {
        return encode_sorter(r->groups.p, &r->sorter, into);
    }
    const struct buf *kept = r->groups.p->scan.on ? &r->values : &r->output;
    (void)buf_put_u64(into, kept->size);
    return buf_append(into, kept->data, kept->size);
}

int compute_task_encode(const struct compute_task *t, struct buf *into)
{
    ASSERT(!t->ended);
    if (t->runs != NULL || (t->scan != NULL && t->scan->begun)) {
        return ERR_INVALID;
    }
    (void)buf_put_u8(into, t->p->format);
    (void)buf_put_u64(into, t->p->digest);
    (void)buf_put_u64(into, t->from);
    (void)buf_put_u64(into, t->to);
    if (t->reduce != NULL) {
        return compute_reduce_encode(t->reduce, into);
    }
    for (unsigned i = 0; i < t->readings; i++) {
        TRY(encode_reading(&t->reading[i], into));
    }
    return into->err;
}

/* returns: whether head, records and tail are what a span of records of one size has. */
static bool array_is_sound(const struct compute_task *t, const struct compute_reading *r)
{
    const uint64_t bytes = t->p->record_bytes;
    const uint64_t first = (bytes - t->from % bytes) % bytes;
    const uint64_t span = t->to - t->from;
    if (r->open) {
        return first > 0 && span < first && r->head.size == span;
    }
    if (span < first || r->head.size != first) {
        return false;
    }
    const uint64_t whole = (span - first) / bytes;
    if (r->fault.kind != COMPUTE_FAULT_NONE) {
        return r->fault.record < whole;
    }
    return r->records == whole && r->tail.size == (span - first) % bytes;
}

/* returns: whether the fixed parts are those of some span. */
static bool reading_is_sound(const struct compute_task *t, const struct compute_reading *r)
{
    const bool fault = r->fault.kind != COMPUTE_FAULT_NONE;
    const uint64_t span = t->to - t->from;
    const bool csv = t->p->source == COMPUTE_SOURCE_CSV;
    const bool in_quotes = csv && !fault && (r->open || r->tail.size > 0); /* which began there */
    if ((r->quoted && !in_quotes) || r->head.size > COMPUTE_RECORD_BYTES_MAX + 1 ||
        r->tail.size > COMPUTE_RECORD_BYTES_MAX || r->records > span || r->fault.record > span) {
        return false;
    }
    if (r->fault.kind == COMPUTE_FAULT_HEADER && (t->from > 0 || t->p->names < r->fault.field)) {
        return false;
    }
    if (r->fault.kind == COMPUTE_FAULT_ROW &&
        (r->fault.field >> 16 == 0 || r->fault.field >> 16 > t->p->lookups)) {
        return false;
    }
    if (r->open && (fault || r->records > 0 || r->tail.size > 0 || t->from == 0 ||
                    r->head.size != NUM_MIN(span, (uint64_t)COMPUTE_RECORD_BYTES_MAX + 1))) {
        return false;
    }
    if (t->p->source == COMPUTE_SOURCE_ARRAY) {
        return r->fault.kind == COMPUTE_FAULT_LIMIT || array_is_sound(t, r);
    }
    return t->from > 0 ? (r->open || span > 0 || fault) && r->head.size + r->tail.size <= span
                       : r->head.size == 0 && r->tail.size <= span;
}

static int decode_fault(struct compute_fault *f, struct bytes_reader *from)
{
    f->record = bytes_take_u64(from);
    const uint8_t kind = bytes_take_u8(from);
    if (from->failed || kind == COMPUTE_FAULT_NONE || kind == COMPUTE_FAULT_PARTIAL ||
        kind > COMPUTE_FAULT_ROW ||
        ((kind == COMPUTE_FAULT_LIMIT || kind == COMPUTE_FAULT_HEADER) && f->record != 0)) {
        return ERR_PROTOCOL;
    }
    f->kind = (enum compute_fault_kind)kind;
    if (kind == COMPUTE_FAULT_LIMIT) {
        return 0;
    }
    f->field = bytes_take_u32(from);
    const struct bytes shown = bytes_take_bytes(from, COMPUTE_FAULT_SHOWN);
    compute_fault_at(f, f->kind, f->field, shown);
    return from->failed ? ERR_PROTOCOL : 0;
}

static int decode_output(struct compute_reading *r, struct bytes_reader *from)
{
    const uint64_t size = bytes_take_u64(from);
    if (from->failed || size > from->left) {
        return ERR_PROTOCOL;
    }
    const struct bytes output = bytes_take(from, (size_t)size);
    if (!r->groups.p->scan.on) {
        return buf_append(&r->output, output.data, output.size);
    }
    TRY(buf_append(&r->values, output.data, output.size));
    return compute_scan_is_sound(r->groups.p, r) ? 0 : ERR_PROTOCOL;
}

static int decode_reading(struct compute_task *t, struct compute_reading *r,
                          struct bytes_reader *from)
{
    const uint8_t flags = bytes_take_u8(from);
    if (!from->failed && flags == FLAG_LEFT_OUT && t->readings == 2) {
        r->left_out = true;
        return 0;
    }
    const struct bytes head = bytes_take_bytes(from, COMPUTE_RECORD_BYTES_MAX + 1);
    if (from->failed || flags > FLAGS) {
        return ERR_PROTOCOL;
    }
    r->open = (flags & FLAG_OPEN) != 0;
    r->quoted = (flags & FLAG_QUOTED) != 0;
    r->fault.kind = COMPUTE_FAULT_NONE;
    TRY(buf_append(&r->head, head.data, head.size));
    if ((flags & FLAG_FAULT) != 0) {
        TRY(decode_fault(&r->fault, from));
    } else {
        r->records = bytes_take_u64(from);
        const struct bytes tail = bytes_take_bytes(from, COMPUTE_RECORD_BYTES_MAX);
        TRY(buf_append(&r->tail, tail.data, tail.size));
    }
    if (from->failed || !reading_is_sound(t, r)) {
        return ERR_PROTOCOL;
    }
    if (!keeps_body(r)) {
        return 0;
    }
    if (t->p->sorts > 0) {
        return decode_sorter(t, r, from);
    }
    return t->p->aggregates > 0 ? decode_groups(r, from) : decode_output(r, from);
}

static int decode_rest(struct compute_task *t, struct bytes_reader *from)
{
    if (t->reduce != NULL) {
        compute_reduce_free(t->reduce);
        t->reduce = NULL;
        TRY(compute_reduce_decode(&t->reduce, &t->alloc, bytes_of(from->at, from->left)));
        return compute_reduce_is_of(t->reduce, &t->p->spec, t->from, t->to) ? 0 : ERR_PROTOCOL;
    }
    for (unsigned i = 0; i < t->readings; i++) {
        TRY(decode_reading(t, &t->reading[i], from));
    }
    return bytes_reader_ended(from) ? 0 : ERR_PROTOCOL;
}

int compute_task_decode(struct compute_task **out, const struct alloc *alloc,
                        const struct compute_program *p, uint64_t memory_bytes,
                        struct bytes encoded)
{
    struct bytes_reader reader = bytes_reader_of(encoded);
    struct compute_task *t = NULL;
    const uint8_t format = bytes_take_u8(&reader);
    const uint64_t digest = bytes_take_u64(&reader);
    const struct compute_task_options options = {.from = bytes_take_u64(&reader),
                                                 .memory_bytes = memory_bytes};
    const uint64_t to = bytes_take_u64(&reader);
    if (!reader.failed && format > COMPUTE_TASK_FORMAT) {
        return ERR_LEVEL;
    }
    if (reader.failed || to < options.from || to > OFFSET_MAX) {
        return ERR_PROTOCOL;
    }
    if (digest != p->digest) {
        return ERR_INVALID;
    }
    if (format != p->format) {
        return ERR_PROTOCOL;
    }
    TRY(compute_task_new(&t, alloc, p, &options, NULL));
    t->to = to;
    const int err = decode_rest(t, &reader);
    if (err != 0) {
        compute_task_free(t);
        return err;
    }
    *out = t;
    return 0;
}
