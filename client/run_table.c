/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tables that a program over objects looks into. Each is read once, as it is when the run
 * begins, and indexed here: records that lie over the ends of cells are computed here, and what is
 * wrong with a table is found before any node is asked. Nodes are told its version and root, and
 * read it themselves; a small one goes along with each question (docs/adr/0026).
 *
 *   (read -> index) for each object -> bind -> the objects of the run
 */
#include "client/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_STEP_BYTES ((size_t)1 << 20) /* of a table that are indexed at once */
#define TABLE_TEXT_BYTES 200u

/* The reading of a table: outlives the run if that ends before. */
struct run_fetch {
    struct hf_run *run; /* NULL: it has ended */
    struct run_table *table;
    bool too_large;
};

/* ---- end ------------------------------------------------------------------------------------ */

void hf_run_tables_release(struct hf_run *r)
{
    if (r->fetch != NULL) {
        r->fetch->run = NULL;
    }
    for (uint32_t i = 0; i < r->tables_count; i++) {
        struct run_table *t = &r->tables[i];
        if (t->index == i) {
            compute_table_free(t->table);
        }
        buf_release(&t->bucket);
        buf_release(&t->name);
        buf_release(&t->data);
    }
    r->tables_count = 0;
}

static struct bytes table_name(const struct hf_run *r, const struct run_table *t)
{
    bool header = false;
    return compute_program_lookup(r->program, (uint32_t)(t - r->tables), &header);
}

/* Ends the run with a sentence that names the table. */
static void table_fail(struct hf_run *r, const struct run_table *t, int code, const char *text)
{
    char sentence[HF_TEXT_BYTES];
    const struct bytes name = table_name(r, t);
    (void)snprintf(sentence, sizeof(sentence), "table '%.*s': %.150s", (int)name.size,
                   (const char *)name.data, text);
    hf_run_end(r, code, sentence);
}

/* ---- index ---------------------------------------------------------------------------------- */

static void tables_next(struct hf_run *r);

/* What a node that has nothing else would need for them. */
static uint64_t tables_memory(const struct hf_run *r)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->tables_count; i++) {
        const struct run_table *t = &r->tables[i];
        bytes += t->index == i ? t->info.size + compute_table_memory(t->table) : 0;
    }
    return bytes;
}

static void tables_tell(const struct hf_run *r)
{
    struct hf_run_table told[COMPUTE_PROGRAM_LOOKUPS_MAX];
    for (uint32_t i = 0; i < r->tables_count; i++) {
        const struct run_table *t = &r->tables[i];
        told[i] = (struct hf_run_table){.table = hf_out(table_name(r, t)),
                                        .bucket = hf_out(buf_view(&t->bucket)),
                                        .name = hf_out(buf_view(&t->name)),
                                        .version = t->info.version,
                                        .bytes = t->info.size,
                                        .records = compute_table_records(t->table)};
    }
    if (r->tables_fn != NULL) {
        r->tables_fn(r->nodes_ctx, told, r->tables_count);
    }
}

/* All are here. */
static void tables_ready(struct hf_run *r)
{
    char text[TABLE_TEXT_BYTES];
    const uint64_t memory = tables_memory(r);
    if (memory > WIRE_LOOKUPS_BYTES_MAX) {
        (void)snprintf(text, sizeof(text),
                       "tables and their indexes take %llu bytes, more than the %llu of a node",
                       (unsigned long long)memory, (unsigned long long)WIRE_LOOKUPS_BYTES_MAX);
        hf_run_end(r, ERR_TOO_LARGE, text);
        return;
    }
    for (uint32_t i = 0; i < r->tables_count; i++) {
        const struct run_table *t = &r->tables[i];
        compute_program_bind(r->program, i, t->table);
        r->tables_bytes += t->read == i ? t->info.size : 0;
        r->small_bytes += t->info.size <= WIRE_INLINE_BYTES_MAX ? t->info.size : 0;
    }
    tables_tell(r);
    r->transfer.tick = hf_run_tick;
    hf_run_settle(r, hf_run_first(r));
}

static void table_index(struct hf_transfer *transfer)
{
    struct hf_run *r = (struct hf_run *)transfer;
    struct run_table *t = &r->tables[r->tables_at];
    struct compute_table_options options = {.seed = r->seed};
    struct err_info why = {.code = 0};
    bool done = false;
    int err = 0;
    (void)compute_program_lookup(r->program, r->tables_at, &options.header);
    if (t->table == NULL) {
        const struct run_table *read = &r->tables[t->read];
        err = compute_table_begin(&t->table, &transfer->client->heap, buf_view(&read->data),
                                  &options, &why);
    }
    err = err == 0 ? compute_table_step(t->table, TABLE_STEP_BYTES, &done, &why) : err;
    if (err != 0) {
        table_fail(r, t, err, why.text);
    } else if (done) {
        r->tables_at++;
        tables_next(r);
    } else { /* the loop has its turn between two steps */
        transfer->tick_ms = hf_now_ms(transfer->client) + 1;
        hf_timer_by(transfer->client, transfer->tick_ms);
    }
}

/* ---- read ----------------------------------------------------------------------------------- */

static int fetch_write(void *ctx, const void *data, size_t bytes)
{
    const struct run_fetch *f = ctx;
    if (f->run == NULL) {
        return ERR_CANCELLED;
    }
    return f->too_large ? ERR_TOO_LARGE : buf_append(&f->table->data, data, bytes);
}

static int fetch_rewind(void *ctx)
{
    const struct run_fetch *f = ctx;
    if (f->run == NULL) {
        return ERR_CANCELLED;
    }
    buf_clear(&f->table->data);
    return 0;
}

/* Ends early what is going to be too large. */
static void fetch_progress(void *ctx, uint64_t bytes, uint64_t total)
{
    struct run_fetch *f = ctx;
    (void)bytes;
    f->too_large = total > WIRE_LOOKUP_BYTES_MAX;
}

static void fetch_done(void *ctx, const struct hf_result *result)
{
    struct run_fetch *f = ctx;
    struct hf_run *r = f->run;
    struct run_table *t = f->table;
    char text[HF_TEXT_BYTES];
    const bool too_large = f->too_large || result->code == ERR_TOO_LARGE;
    free(f);
    if (r == NULL) {
        return;
    }
    r->fetch = NULL;
    if (result->code == 0) {
        t->info = *result->objects;
        t->info.name = hf_out(buf_view(&t->name));
        table_index(&r->transfer);
        return;
    }
    if (too_large) {
        (void)snprintf(text, sizeof(text), "it has more than %u bytes", WIRE_LOOKUP_BYTES_MAX);
    } else {
        (void)snprintf(text, sizeof(text), "object %.150s", result->text);
    }
    table_fail(r, t, result->code, text);
}

static int table_read(struct hf_run *r, struct run_table *t)
{
    struct run_fetch *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return ERR_NO_MEMORY;
    }
    *f = (struct run_fetch){.run = r, .table = t};
    const struct hf_object o = {.bucket = hf_out(buf_view(&t->bucket)),
                                .name = hf_out(buf_view(&t->name)),
                                .timeout_ms = r->timeout_ms,
                                .progress_ctx = f,
                                .progress = fetch_progress};
    const struct hf_sink sink = {.ctx = f, .write = fetch_write, .rewind = fetch_rewind};
    r->fetch = f;
    const int err = hf_object_get(r->transfer.client, &o, &sink, f, fetch_done);
    if (err != 0) {
        r->fetch = NULL;
        free(f);
    }
    return err;
}

/* The table whose turn it is, or the objects of the run. */
static int tables_step(struct hf_run *r)
{
    while (r->tables_at < r->tables_count) {
        struct run_table *t = &r->tables[r->tables_at];
        if (t->read == r->tables_at) {
            return table_read(r, t);
        }
        t->info = r->tables[t->read].info;
        if (t->index == r->tables_at) {
            r->transfer.tick_ms = hf_now_ms(r->transfer.client) + 1;
            hf_timer_by(r->transfer.client, r->transfer.tick_ms);
            return 0;
        }
        t->table = r->tables[t->index].table;
        r->tables_at++;
    }
    return WIRE_MORE;
}

static void tables_next(struct hf_run *r)
{
    const int err = tables_step(r);
    if (err == WIRE_MORE) {
        tables_ready(r);
    } else {
        hf_run_settle(r, err);
    }
}

int hf_run_tables_begin(struct hf_run *r)
{
    r->listing = r->many; /* what goes wrong is so of all objects */
    r->transfer.tick = table_index;
    return tables_step(r);
}

/* ---- which ---------------------------------------------------------------------------------- */

/* Keeps which object the table is. Without one it is that of its name, BUCKET/NAME. */
static int table_name_object(struct run_table *t, struct bytes name, const struct hf_table *given)
{
    struct bytes bucket;
    struct bytes object;
    if (given != NULL) {
        bucket = hf_in(given->bucket);
        object = hf_in(given->name);
    } else {
        const uint8_t *slash = memchr(name.data, '/', name.size);
        const size_t at = slash != NULL ? (size_t)(slash - name.data) : name.size;
        bucket = bytes_of(name.data, at);
        object = slash != NULL ? bytes_of(slash + 1, name.size - at - 1) : bytes_of(NULL, 0);
    }
    TRY(wire_bucket_check(bucket));
    TRY(wire_name_check(object));
    TRY(buf_append(&t->bucket, bucket.data, bucket.size));
    return buf_append(&t->name, object.data, object.size);
}

static bool tables_are_one(const struct run_table *a, const struct run_table *b)
{
    return bytes_equal(buf_view(&a->bucket), buf_view(&b->bucket)) &&
           bytes_equal(buf_view(&a->name), buf_view(&b->name));
}

/* Finds an earlier table of the same object: its bytes, and with the same header its index, are
 * those of this one too. */
static void table_share(struct hf_run *r, uint32_t i, bool header)
{
    struct run_table *t = &r->tables[i];
    t->read = i;
    t->index = i;
    for (uint32_t k = i; k-- > 0;) {
        bool other = false;
        (void)compute_program_lookup(r->program, k, &other);
        if (tables_are_one(t, &r->tables[k])) {
            t->read = r->tables[k].read;
            t->index = other == header ? r->tables[k].index : t->index;
        }
    }
}

/* returns: what is given for the table, or NULL; *times: how often. */
static const struct hf_table *table_given(const struct hf_program *program, struct bytes name,
                                          unsigned *times)
{
    const struct hf_table *found = NULL;
    *times = 0;
    for (size_t i = 0; i < program->tables_count; i++) {
        if (bytes_equal(hf_in(program->tables[i].table), name)) {
            found = &program->tables[i];
            (*times)++;
        }
    }
    return found;
}

int hf_run_tables_init(struct hf_run *r, const struct hf_program *program)
{
    size_t used = 0;
    const struct alloc *heap = &r->transfer.client->heap;
    const uint32_t count = compute_program_lookups(r->program);
    for (uint32_t i = 0; i < count; i++) {
        struct run_table *t = &r->tables[r->tables_count++];
        bool header = false;
        unsigned times = 0;
        const struct bytes name = compute_program_lookup(r->program, i, &header);
        const struct hf_table *given = table_given(program, name, &times);
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++) {
            again = bytes_equal(compute_program_lookup(r->program, k, &header), name);
        }
        used += !again && times > 0;
        (void)compute_program_lookup(r->program, i, &header);
        buf_init(&t->bucket, heap, WIRE_NAME_BYTES_MAX);
        buf_init(&t->name, heap, WIRE_NAME_BYTES_MAX);
        buf_init(&t->data, heap, 2 * (size_t)WIRE_LOOKUP_BYTES_MAX);
        TRY(times > 1 ? ERR_INVALID : 0);
        TRY(table_name_object(t, name, given));
        table_share(r, i, header);
    }
    return used == program->tables_count ? 0 : ERR_INVALID;
}

/* ---- as nodes are told ---------------------------------------------------------------------- */

void hf_run_tables_pack(const struct hf_run *r, struct buf *out)
{
    (void)wire_pack_array(out, r->tables_count);
    for (uint32_t i = 0; i < r->tables_count; i++) {
        const struct run_table *t = &r->tables[i];
        const bool small = t->info.size <= WIRE_INLINE_BYTES_MAX;
        (void)wire_pack_map(out, 6 + small);
        (void)wire_pack_text(out, WIRE_FIELD_BUCKET);
        (void)wire_pack_bin(out, buf_view(&t->bucket));
        (void)wire_pack_text(out, WIRE_FIELD_NAME);
        (void)wire_pack_bin(out, buf_view(&t->name));
        (void)wire_pack_text(out, WIRE_FIELD_VERSION);
        (void)wire_pack_u64(out, t->info.version);
        (void)wire_pack_text(out, WIRE_FIELD_ROOT);
        (void)wire_pack_bin(out, bytes_of(t->info.root, sizeof(t->info.root)));
        (void)wire_pack_text(out, WIRE_FIELD_SIZE);
        (void)wire_pack_u64(out, t->info.size);
        (void)wire_pack_text(out, WIRE_FIELD_CELL_BYTES);
        (void)wire_pack_u64(out, t->info.cell_bytes);
        if (small) {
            (void)wire_pack_text(out, WIRE_FIELD_DATA);
            (void)wire_pack_bin(out, buf_view(&r->tables[t->read].data));
        }
    }
}
