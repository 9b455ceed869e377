/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables: an index over records of CSV by their first field, with open addressing.
 */
#include "compute/table_internal.h"

#include "base/num.h"
#include "compute/task.h"

#define SLOTS_FIRST 64u
#define DIGEST_PIECE (1u << 20) /* bytes that are hashed as one */

#define SLOT_QUOTED (UINT32_C(1) << 31) /* the record has quotes */

struct slot {
    uint32_t hash;
    uint32_t from; /* of the record in the data */
    uint32_t size; /* and 1, without its end, and SLOT_QUOTED; 0: the slot is free */
};

struct compute_table {
    struct alloc alloc;
    struct bytes data;
    struct compute_table_options options;
    struct hash_digest digest;
    size_t slots_count; /* a power of two */
    size_t records;
    struct slot *slots;
};

/* --- records --- */

/* Where a walk through all records is. */
struct walk {
    struct bytes data;
    size_t at;    /* the next record */
    size_t quote; /* the next quote, from there on */
    bool first;   /* the walk has not begun */
};

/* The next record. returns: 0, or ERR_PROTOCOL (it ends within quotes). */
static int walk_next(struct walk *w, struct bytes *out)
{
    bool quoted = false;
    const struct bytes data = w->data;
    const size_t at = w->at;
    if (w->first) {
        const uint8_t *quote = memchr(data.data, '"', data.size);
        w->quote = quote != NULL ? (size_t)(quote - data.data) : data.size;
        w->first = false;
    }
    const size_t end = compute_csv_end(data, at, &quoted, &w->quote);
    w->at = NUM_MIN(end + 1, data.size);
    *out = bytes_of(data.data + at, end - at);
    if (end < data.size && out->size > 0 && out->data[out->size - 1] == '\r') {
        out->size--;
    }
    return quoted ? ERR_PROTOCOL : 0;
}

/* --- the index --- */

static uint32_t hash_key_of_record(const struct compute_table *t, struct bytes key)
{
    return (uint32_t)(hash_of(key, t->options.seed) >> 32);
}

static size_t slot_at(const struct compute_table *t, uint32_t hash, size_t step)
{
    return (hash + step) & (t->slots_count - 1);
}

static void slot_put(struct compute_table *t, struct slot s)
{
    size_t step = 0;
    while (t->slots[slot_at(t, s.hash, step)].size != 0) {
        step++;
    }
    t->slots[slot_at(t, s.hash, step)] = s;
}

/* returns: 0, ERR_TOO_LARGE, ERR_NO_MEMORY; t is as it was. */
static int grow(struct compute_table *t)
{
    struct compute_table old = *t;
    const size_t count = NUM_MAX(t->slots_count * 2, (size_t)SLOTS_FIRST);
    if (t->options.memory_bytes != 0 && count > t->options.memory_bytes / sizeof(struct slot)) {
        return ERR_TOO_LARGE;
    }
    t->slots = alloc_get_zeroed(&t->alloc, count, sizeof(struct slot));
    if (t->slots == NULL) {
        t->slots = old.slots;
        return ERR_NO_MEMORY;
    }
    t->slots_count = count;
    for (size_t i = 0; i < old.slots_count; i++) {
        if (old.slots[i].size != 0) {
            slot_put(t, old.slots[i]);
        }
    }
    alloc_put(&t->alloc, old.slots, old.slots_count * sizeof(struct slot));
    return 0;
}

int compute_table_find(const struct compute_table *t, struct bytes key, uint32_t fields,
                       struct compute_record *row)
{
    const uint32_t hash = hash_key_of_record(t, key);
    for (size_t step = 0; t->slots_count > 0; step++) {
        const struct slot *s = &t->slots[slot_at(t, hash, step)];
        if (s->size == 0) {
            break;
        }
        if (s->hash == hash) {
            const size_t size = (s->size & ~SLOT_QUOTED) - 1;
            TRY(compute_record_cut_csv(row, bytes_of(t->data.data + s->from, size),
                                       NUM_MAX(fields, 1u), (s->size & SLOT_QUOTED) != 0));
            if (bytes_equal(row->field[0], key)) {
                return 0;
            }
        }
    }
    row->whole = bytes_of(NULL, 0);
    row->fields = 0;
    return ERR_NOT_FOUND;
}

/* --- making it --- */

/* returns: the number of the record at `from`. */
static uint64_t number_of(struct bytes data, size_t from)
{
    uint64_t number = 1;
    struct bytes record;
    struct walk w = {.data = data, .first = true};
    for (; w.at < from; number++) {
        (void)walk_next(&w, &record);
    }
    return number;
}

static int key_is_twice(const struct compute_table *t, struct bytes key, size_t first,
                        uint64_t number, struct err_info *why)
{
    char shown[COMPUTE_FAULT_SHOWN + 1];
    compute_fault_text(key, shown);
    return err_set(why, ERR_EXISTS, "record %llu: key '%s' is in record %llu too",
                   (unsigned long long)number, shown,
                   (unsigned long long)number_of(t->data, first));
}

/* Puts in the record that begins at `from`. */
static int put(struct compute_table *t, struct bytes record, size_t from, uint64_t number,
               struct compute_record *cuts, struct err_info *why)
{
    struct compute_fault fault = {.kind = COMPUTE_FAULT_NONE};
    if (record.size > COMPUTE_TASK_RECORD_MAX) {
        return err_set(why, ERR_TOO_LARGE, "record %llu is longer than %u bytes",
                       (unsigned long long)number, COMPUTE_TASK_RECORD_MAX);
    }
    TRY(compute_record_set_csv(&cuts[0], record, 1, &fault));
    if (fault.kind != COMPUTE_FAULT_NONE) {
        return err_set(why, ERR_PROTOCOL, "record %llu: quotes do not enclose $%u",
                       (unsigned long long)number, fault.field);
    }
    const bool has_quotes = memchr(record.data, '"', record.size) != NULL;
    const uint32_t quoted = has_quotes ? SLOT_QUOTED : 0;
    const struct bytes key = cuts[0].field[0];
    const int found = compute_table_find(t, key, 1, &cuts[1]);
    if (found == 0) {
        return key_is_twice(t, key, (size_t)(cuts[1].whole.data - t->data.data), number, why);
    }
    TRY(found == ERR_NOT_FOUND ? 0 : found);
    if ((t->records + 1) * 4 > t->slots_count * 3) {
        TRY(grow(t));
    }
    slot_put(t, (struct slot){.hash = hash_key_of_record(t, key),
                              .from = (uint32_t)from,
                              .size = ((uint32_t)record.size + 1) | quoted});
    t->records++;
    return 0;
}

static int put_all(struct compute_table *t, struct compute_record *cuts, struct err_info *why)
{
    uint64_t number = 1;
    struct bytes record;
    struct walk w = {.data = t->data, .first = true};
    for (; w.at < t->data.size; number++) {
        const size_t from = w.at;
        if (walk_next(&w, &record) != 0) {
            return err_set(why, ERR_PROTOCOL, "record %llu: a quote is not closed",
                           (unsigned long long)number);
        }
        if (record.size > 0 && (number > 1 || !t->options.header)) {
            TRY(put(t, record, from, number, cuts, why));
        }
    }
    return 0;
}

static void sum_up(struct compute_table *t)
{
    for (size_t at = 0; at < t->data.size; at += DIGEST_PIECE) {
        uint8_t place[8];
        num_put_u64(place, at);
        const size_t size = NUM_MIN(t->data.size - at, (size_t)DIGEST_PIECE);
        hash_digest_add(&t->digest, bytes_of(place, sizeof(place)),
                        bytes_of(t->data.data + at, size));
    }
    const uint8_t header = t->options.header;
    hash_digest_add(&t->digest, bytes_of(&header, 1), bytes_of(NULL, 0));
}

/* Two records and what was cut: one of the table, one that is looked up meanwhile. */
static int fill(struct compute_table *t, struct err_info *why)
{
    struct compute_record *cuts = alloc_get_zeroed(&t->alloc, 2, sizeof(struct compute_record));
    if (cuts == NULL) {
        return ERR_NO_MEMORY;
    }
    compute_record_init(&cuts[0], &t->alloc);
    compute_record_init(&cuts[1], &t->alloc);
    const int err = put_all(t, cuts, why);
    compute_record_release(&cuts[0]);
    compute_record_release(&cuts[1]);
    alloc_put(&t->alloc, cuts, 2 * sizeof(struct compute_record));
    return err;
}

int compute_table_new(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                      const struct compute_table_options *options, struct err_info *why)
{
    if (data.size > COMPUTE_TABLE_BYTES_MAX) {
        return err_set(why, ERR_TOO_LARGE, "it has more than %u bytes", COMPUTE_TABLE_BYTES_MAX);
    }
    struct compute_table *t = alloc_get_zeroed(alloc, 1, sizeof(*t));
    if (t == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a table");
    }
    struct err_info found = {.code = 0};
    t->alloc = *alloc;
    t->data = data;
    t->options = *options;
    int err = fill(t, &found);
    if (err != 0) {
        compute_table_free(t);
        if (found.code != 0) {
            return err_set(why, err, "%s", found.text);
        }
        return err == ERR_TOO_LARGE
                   ? err_set(why, err, "its keys take more than the limit of %llu bytes",
                             (unsigned long long)options->memory_bytes)
                   : err_set(why, err, "no memory for a table");
    }
    sum_up(t);
    *out = t;
    return 0;
}

void compute_table_free(struct compute_table *t)
{
    if (t != NULL) {
        alloc_put(&t->alloc, t->slots, t->slots_count * sizeof(struct slot));
        alloc_put(&t->alloc, t, sizeof(*t));
    }
}

uint64_t compute_table_records(const struct compute_table *t)
{
    return t->records;
}

uint64_t compute_table_memory(const struct compute_table *t)
{
    return sizeof(*t) + t->slots_count * sizeof(struct slot);
}

struct hash_digest compute_table_digest(const struct compute_table *t)
{
    return t->digest;
}
