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

/* What is done to the data, one after the other; each goes through all of it, or all slots. */
enum phase {
    PHASE_COUNT, /* lines: as many slots are needed, so that the index never grows */
    PHASE_CLEAR, /* the slots */
    PHASE_PUT,   /* records into them */
    PHASE_SUM,
    PHASE_DONE,
};

/* Where a walk through all records is. A record is looked for within WINDOW bytes: one that does
 * not end there is too long. */
struct walk {
    struct bytes data;
    size_t at;     /* the next record */
    size_t quote;  /* the next quote from there on, if it is before `quotes` */
    size_t quotes; /* so far quotes were looked for */
};

struct compute_table {
    struct alloc alloc;
    struct bytes data;
    struct compute_table_options options;
    struct hash_digest digest;
    enum phase phase;
    size_t at;          /* of the phase, in data or slots */
    size_t lines;       /* counted */
    size_t slots_count; /* a power of two */
    size_t records;
    uint32_t longest;
    struct walk walk;
    uint64_t number;             /* of its next record */
    struct compute_record *cuts; /* two, while records are put in: one of the table, one found */
    struct slot *slots;
};

/* --- records --- */

#define WINDOW ((size_t)COMPUTE_TASK_RECORD_MAX + 2)

/* The next record. returns: 0; ERR_PROTOCOL: the data ends within quotes; ERR_TOO_LARGE: it is
 * longer than any may be. */
static int walk_next(struct walk *w, struct bytes *out)
{
    bool quoted = false;
    const size_t at = w->at;
    const size_t most = NUM_MIN(w->data.size - at, WINDOW);
    const struct bytes window = bytes_of(w->data.data, at + most);
    if (w->quote >= w->quotes && w->quotes < window.size) {
        const size_t from = NUM_MAX(w->quotes, at);
        const uint8_t *quote = memchr(window.data + from, '"', window.size - from);
        w->quote = quote != NULL ? (size_t)(quote - window.data) : window.size;
    }
    w->quotes = NUM_MAX(w->quotes, window.size);
    const size_t end = compute_csv_end(window, at, &quoted, &w->quote);
    w->at = NUM_MIN(end + 1, w->data.size);
    *out = bytes_of(window.data + at, end - at);
    if (end == window.size && end < w->data.size) {
        return ERR_TOO_LARGE;
    }
    if (end < window.size && out->size > 0 && out->data[out->size - 1] == '\r') {
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

/* returns: slots for so many records: a power of two, at most three quarters full. */
static size_t slots_for(size_t records)
{
    size_t count = SLOTS_FIRST;
    while (count / 4 * 3 < records) {
        count *= 2;
    }
    return count;
}

/* returns: 0, ERR_TOO_LARGE, ERR_NO_MEMORY. */
static int make_slots(struct compute_table *t)
{
    const size_t count = slots_for(t->lines);
    const uint64_t limit = t->options.memory_bytes;
    if (limit != 0 && count > limit / sizeof(struct slot)) {
        return ERR_TOO_LARGE;
    }
    t->slots = alloc_get(&t->alloc, count * sizeof(struct slot));
    if (t->slots == NULL) {
        return ERR_NO_MEMORY;
    }
    t->slots_count = count;
    t->cuts = alloc_get_zeroed(&t->alloc, 2, sizeof(struct compute_record));
    if (t->cuts == NULL) {
        return ERR_NO_MEMORY;
    }
    compute_record_init(&t->cuts[0], &t->alloc);
    compute_record_init(&t->cuts[1], &t->alloc);
    return 0;
}

static void free_cuts(struct compute_table *t)
{
    if (t->cuts != NULL) {
        compute_record_release(&t->cuts[0]);
        compute_record_release(&t->cuts[1]);
        alloc_put(&t->alloc, t->cuts, 2 * sizeof(struct compute_record));
        t->cuts = NULL;
    }
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

/* --- putting records in --- */

/* returns: the number of the record at `from`. */
static uint64_t number_of(struct bytes data, size_t from)
{
    uint64_t number = 1;
    struct bytes record;
    struct walk w = {.data = data};
    for (; w.at < from; number++) {
        (void)walk_next(&w, &record);
    }
    return number;
}

static int key_is_twice(const struct compute_table *t, struct bytes key, size_t first,
                        uint64_t number, struct err_info *why)
{
    char shown[COMPUTE_FAULT_SHOWN + 1];
    if (why == NULL) {
        return ERR_EXISTS;
    }
    compute_fault_text(key, shown);
    return err_set(why, ERR_EXISTS, "record %llu: key '%s' is in record %llu too",
                   (unsigned long long)number, shown,
                   (unsigned long long)number_of(t->data, first));
}

/* Puts in the record that begins at `from`. */
static int put(struct compute_table *t, struct bytes record, size_t from, struct err_info *why)
{
    struct compute_fault fault = {.kind = COMPUTE_FAULT_NONE};
    struct compute_record *cuts = t->cuts;
    if (record.size > COMPUTE_TASK_RECORD_MAX) {
        return err_set(why, ERR_TOO_LARGE, "record %llu is longer than %u bytes",
                       (unsigned long long)t->number, COMPUTE_TASK_RECORD_MAX);
    }
    TRY(compute_record_set_csv(&cuts[0], record, 1, &fault));
    if (fault.kind != COMPUTE_FAULT_NONE) {
        return err_set(why, ERR_PROTOCOL, "record %llu: quotes do not enclose $%u",
                       (unsigned long long)t->number, fault.field);
    }
    const bool has_quotes = memchr(record.data, '"', record.size) != NULL;
    const uint32_t quoted = has_quotes ? SLOT_QUOTED : 0;
    const struct bytes key = cuts[0].field[0];
    const int found = compute_table_find(t, key, 1, &cuts[1]);
    if (found == 0) {
        return key_is_twice(t, key, (size_t)(cuts[1].whole.data - t->data.data), t->number, why);
    }
    TRY(found == ERR_NOT_FOUND ? 0 : found);
    ASSERT(t->records < t->lines);
    slot_put(t, (struct slot){.hash = hash_key_of_record(t, key),
                              .from = (uint32_t)from,
                              .size = ((uint32_t)record.size + 1) | quoted});
    t->records++;
    t->longest = NUM_MAX(t->longest, (uint32_t)record.size);
    return 0;
}

/* --- phases: each works through about so many bytes --- */

static void begin_phase(struct compute_table *t, enum phase phase)
{
    t->phase = phase;
    t->at = 0;
}

static void count_lines(struct compute_table *t, size_t bytes)
{
    const size_t end = t->at + NUM_MIN(bytes, t->data.size - t->at);
    while (t->at < end) {
        const uint8_t *line = memchr(t->data.data + t->at, '\n', end - t->at);
        t->lines += line != NULL;
        t->at = line != NULL ? (size_t)(line - t->data.data) + 1 : end;
    }
    if (t->at == t->data.size) {
        t->lines++; /* the last one may have no end */
        begin_phase(t, PHASE_CLEAR);
    }
}

static int clear_slots(struct compute_table *t, size_t bytes)
{
    TRY(t->slots == NULL ? make_slots(t) : 0);
    const size_t most = bytes / 2 + 1; /* clearing is cheap: six bytes for one */
    const size_t count = NUM_MIN(most, t->slots_count - t->at);
    memset(t->slots + t->at, 0, count * sizeof(struct slot));
    t->at += count;
    if (t->at == t->slots_count) {
        begin_phase(t, PHASE_PUT);
    }
    return 0;
}

static int put_records(struct compute_table *t, size_t bytes, struct err_info *why)
{
    struct bytes record;
    const size_t end = t->at + NUM_MIN(bytes, t->data.size - t->at);
    for (; t->walk.at < end; t->number++) {
        const size_t from = t->walk.at;
        const int err = walk_next(&t->walk, &record);
        if (err == ERR_PROTOCOL) {
            return err_set(why, ERR_PROTOCOL, "record %llu: a quote is not closed",
                           (unsigned long long)t->number);
        }
        if (err != 0 || (record.size > 0 && (t->number > 1 || !t->options.header))) {
            TRY(put(t, record, from, why)); /* says so if it is too long */
        }
    }
    t->at = t->walk.at;
    if (t->at == t->data.size) {
        free_cuts(t);
        begin_phase(t, PHASE_SUM);
    }
    return 0;
}

static void sum_up(struct compute_table *t, size_t bytes)
{
    const size_t end = t->at + NUM_MIN(bytes, t->data.size - t->at);
    while (t->at < end) {
        uint8_t place[8];
        num_put_u64(place, t->at);
        const size_t size = NUM_MIN(t->data.size - t->at, (size_t)DIGEST_PIECE);
        hash_digest_add(&t->digest, bytes_of(place, sizeof(place)),
                        bytes_of(t->data.data + t->at, size));
        t->at += size;
    }
    if (t->at == t->data.size) {
        const uint8_t header = t->options.header;
        hash_digest_add(&t->digest, bytes_of(&header, 1), bytes_of(NULL, 0));
        t->phase = PHASE_DONE;
    }
}

/* --- making it --- */

int compute_table_begin(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                        const struct compute_table_options *options, struct err_info *why)
{
    if (data.size > COMPUTE_TABLE_BYTES_MAX) {
        return err_set(why, ERR_TOO_LARGE, "it has more than %u bytes", COMPUTE_TABLE_BYTES_MAX);
    }
    struct compute_table *t = alloc_get_zeroed(alloc, 1, sizeof(*t));
    if (t == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a table");
    }
    t->alloc = *alloc;
    t->data = data;
    t->options = *options;
    t->walk.data = data;
    t->number = 1;
    *out = t;
    return 0;
}

static int step(struct compute_table *t, size_t bytes, struct err_info *why)
{
    switch (t->phase) {
    case PHASE_COUNT: count_lines(t, NUM_MIN(bytes, SIZE_MAX / 8) * 8); return 0; /* cheap too */
    case PHASE_CLEAR: return clear_slots(t, bytes);
    case PHASE_PUT: return put_records(t, bytes, why);
    case PHASE_SUM: sum_up(t, bytes); return 0;
    case PHASE_DONE: break;
    }
    return 0;
}

int compute_table_step(struct compute_table *t, size_t bytes, bool *done, struct err_info *why)
{
    struct err_info found = {.code = 0};
    const int err = step(t, bytes, why != NULL ? &found : NULL);
    *done = t->phase == PHASE_DONE;
    if (err == 0 || why == NULL || found.code != 0) {
        return err == 0 || why == NULL ? err : err_set(why, err, "%s", found.text);
    }
    return err == ERR_TOO_LARGE
               ? err_set(why, err, "its keys take more than the limit of %llu bytes",
                         (unsigned long long)t->options.memory_bytes)
               : err_set(why, err, "no memory for a table");
}

int compute_table_new(struct compute_table **out, const struct alloc *alloc, struct bytes data,
                      const struct compute_table_options *options, struct err_info *why)
{
    struct compute_table *t = NULL;
    bool done = false;
    TRY(compute_table_begin(&t, alloc, data, options, why));
    while (!done) {
        const int err = compute_table_step(t, SIZE_MAX, &done, why);
        if (err != 0) {
            compute_table_free(t);
            return err;
        }
    }
    *out = t;
    return 0;
}

void compute_table_free(struct compute_table *t)
{
    if (t != NULL) {
        free_cuts(t);
        alloc_put(&t->alloc, t->slots, t->slots_count * sizeof(struct slot));
        alloc_put(&t->alloc, t, sizeof(*t));
    }
}

bool compute_table_is_counted(const struct compute_table *t)
{
    return t->phase != PHASE_COUNT;
}

void compute_table_limit(struct compute_table *t, uint64_t memory_bytes)
{
    ASSERT(t->slots == NULL);
    t->options.memory_bytes = memory_bytes;
}

uint64_t compute_table_records(const struct compute_table *t)
{
    return t->records;
}

uint64_t compute_table_memory(const struct compute_table *t)
{
    return sizeof(*t) +
           (compute_table_is_counted(t) ? slots_for(t->lines) * sizeof(struct slot) : 0);
}

uint32_t compute_table_longest(const struct compute_table *t)
{
    return t->longest;
}

struct hash_digest compute_table_digest(const struct compute_table *t)
{
    return t->digest;
}
