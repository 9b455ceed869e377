/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values of jobs.
 */
#include "client/job_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_MAGIC_BYTES 4u
#define JOB_DIGITS 8u
#define JOB_FLAG_DECODED 1u
#define JOB_FLAG_WHOLE 2u
#define JOB_FLAG_CHECKED 4u

static const char job_magic_head[] = "HFJH";
static const char job_magic_object[] = "HFJO";
static const char job_magic_task[] = "HFJT";

/* ---- keys ----------------------------------------------------------------------------------- */

int hf_job_key_put(struct buf *out, struct bytes key, uint64_t object, const uint64_t *cell)
{
    char suffix[JOB_SUFFIX_BYTES + 1];
    if (object > JOB_NUMBER_MAX || (cell != NULL && *cell > JOB_NUMBER_MAX)) {
        return ERR_TOO_LARGE;
    }
    int bytes = snprintf(suffix, sizeof(suffix), "/%08u", (unsigned)object);
    if (cell != NULL) {
        bytes = snprintf(suffix, sizeof(suffix), "/%08u/%08u", (unsigned)object, (unsigned)*cell);
    }
    TRY(buf_append(out, key.data, key.size));
    return buf_append(out, suffix, (size_t)bytes);
}

bool hf_job_key_is(struct bytes key, size_t prefix_bytes)
{
    const size_t rest = key.size - NUM_MIN(key.size, prefix_bytes);
    bool is = rest == JOB_SUFFIX_BYTES || rest == JOB_SUFFIX_BYTES / 2;
    for (size_t i = 0; i < rest && is; i++) {
        const uint8_t c = key.data[prefix_bytes + i];
        is = i % (JOB_DIGITS + 1) == 0 ? c == '/' : c >= '0' && c <= '9';
    }
    return is;
}

/* ---- values --------------------------------------------------------------------------------- */

enum job_value hf_job_value_of(struct bytes value)
{
    static const struct {
        const char *magic;
        enum job_value kind;
    } rows[] = {{job_magic_head, JOB_VALUE_HEAD},
                {job_magic_object, JOB_VALUE_OBJECT},
                {job_magic_task, JOB_VALUE_TASK}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (value.size > JOB_MAGIC_BYTES &&
            memcmp(value.data, rows[i].magic, JOB_MAGIC_BYTES) == 0) {
            return rows[i].kind;
        }
    }
    return JOB_VALUE_OTHER;
}

static void value_begin(struct buf *out, const char *magic)
{
    (void)buf_append(out, magic, JOB_MAGIC_BYTES);
    (void)buf_put_u8(out, JOB_FORMAT);
}

/* returns: 0 and the reader is behind the format; ERR_LEVEL, ERR_PROTOCOL. */
static int value_open(struct bytes value, enum job_value kind, struct bytes_reader *out)
{
    *out = bytes_reader_of(value);
    if (hf_job_value_of(value) != kind) {
        return ERR_PROTOCOL;
    }
    (void)bytes_take(out, JOB_MAGIC_BYTES);
    return bytes_take_u8(out) <= JOB_FORMAT ? 0 : ERR_LEVEL;
}

static int value_closed(const struct bytes_reader *r)
{
    return r->failed || r->left > 0 ? ERR_PROTOCOL : 0;
}

int hf_job_digest(struct bytes data, uint8_t out[MERKLE_HASH_BYTES])
{
    const struct alloc heap = alloc_heap();
    struct hf_hasher *h = malloc(sizeof(*h));
    struct compute *c = NULL;
    const int err = h == NULL ? ERR_NO_MEMORY : compute_new(&c, &heap, NULL);
    if (err == 0) {
        hf_hasher_init(h, c);
        hf_hasher_push(h, data.data, data.size);
        hf_hasher_root(h, out);
    }
    compute_free(c);
    free(h);
    return err;
}

/* ---- the head ------------------------------------------------------------------------------- */

int hf_job_head_put(struct buf *out, const struct job_head *head)
{
    value_begin(out, job_magic_head);
    (void)buf_put_u8(out, head->done);
    (void)buf_put_bytes(out, head->text);
    (void)buf_put_bytes(out, head->bucket);
    (void)buf_put_u8(out, head->many);
    (void)buf_put_bytes(out, head->name);
    (void)buf_put_u8(out, (uint8_t)head->tables_count);
    for (uint32_t i = 0; i < head->tables_count; i++) {
        const struct job_table *t = &head->tables[i];
        (void)buf_put_bytes(out, t->table);
        (void)buf_put_bytes(out, t->bucket);
        (void)buf_put_bytes(out, t->name);
        (void)buf_put_u64(out, t->version);
        (void)buf_append(out, t->root.data, MERKLE_HASH_BYTES);
    }
    return out->err;
}

int hf_job_head_take(struct bytes value, struct job_head *out)
{
    struct bytes_reader r;
    TRY(value_open(value, JOB_VALUE_HEAD, &r));
    *out = (struct job_head){.done = bytes_take_u8(&r) != 0};
    out->text = bytes_take_bytes(&r, WIRE_PROGRAM_BYTES_MAX);
    out->bucket = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX);
    out->many = bytes_take_u8(&r) != 0;
    out->name = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX);
    out->tables_count = bytes_take_u8(&r);
    if (out->tables_count > WIRE_LOOKUPS_MAX) {
        return ERR_PROTOCOL;
    }
    for (uint32_t i = 0; i < out->tables_count; i++) {
        struct job_table *t = &out->tables[i];
        t->table = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX);
        t->bucket = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX);
        t->name = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX);
        t->version = bytes_take_u64(&r);
        t->root = bytes_take(&r, MERKLE_HASH_BYTES);
    }
    return value_closed(&r);
}

static bool tables_equal(const struct job_table *a, const struct job_table *b)
{
    return bytes_equal(a->table, b->table) && bytes_equal(a->bucket, b->bucket) &&
           bytes_equal(a->name, b->name) && a->version == b->version &&
           bytes_equal(a->root, b->root);
}

int hf_job_head_compare(const struct job_head *mine, const struct job_head *there,
                        struct err_info *why)
{
    if (!bytes_equal(mine->text, there->text)) {
        return err_set(why, ERR_CONFLICT, "the job is of another program, '%.*s'",
                       (int)NUM_MIN(there->text.size, (size_t)80), (const char *)there->text.data);
    }
    if (!bytes_equal(mine->bucket, there->bucket) || !bytes_equal(mine->name, there->name) ||
        mine->many != there->many) {
        return err_set(why, ERR_CONFLICT, "the job is over '%.*s/%.*s%s'",
                       (int)NUM_MIN(there->bucket.size, (size_t)60),
                       (const char *)there->bucket.data, (int)NUM_MIN(there->name.size, (size_t)60),
                       (const char *)there->name.data, there->many ? "*" : "");
    }
    for (uint32_t i = 0; i < NUM_MIN(mine->tables_count, there->tables_count); i++) {
        const struct job_table *t = &there->tables[i];
        if (!tables_equal(&mine->tables[i], t)) {
            return err_set(why, ERR_CONFLICT,
                           "the job has version %llu of '%.*s/%.*s' as its table '%.*s'",
                           (unsigned long long)t->version, (int)NUM_MIN(t->bucket.size, (size_t)40),
                           (const char *)t->bucket.data, (int)NUM_MIN(t->name.size, (size_t)40),
                           (const char *)t->name.data, (int)NUM_MIN(t->table.size, (size_t)40),
                           (const char *)t->table.data);
        }
    }
    return mine->tables_count == there->tables_count
               ? 0
               : err_set(why, ERR_CONFLICT, "the job has other tables");
}

/* ---- objects -------------------------------------------------------------------------------- */

int hf_job_object_put(struct buf *out, const struct job_object *object)
{
    value_begin(out, job_magic_object);
    (void)buf_put_bytes(out, object->name);
    (void)buf_put_u64(out, object->version);
    (void)buf_append(out, object->root.data, MERKLE_HASH_BYTES);
    (void)buf_put_u64(out, object->size);
    return buf_put_u64(out, object->cell_bytes);
}

int hf_job_object_take(struct bytes value, struct job_object *out)
{
    struct bytes_reader r;
    TRY(value_open(value, JOB_VALUE_OBJECT, &r));
    *out = (struct job_object){.name = bytes_take_bytes(&r, WIRE_NAME_BYTES_MAX)};
    out->version = bytes_take_u64(&r);
    out->root = bytes_take(&r, MERKLE_HASH_BYTES);
    out->size = bytes_take_u64(&r);
    out->cell_bytes = bytes_take_u64(&r);
    return value_closed(&r);
}

int hf_job_object_compare(const struct job_object *mine, const struct job_object *there,
                          struct err_info *why)
{
    if (!bytes_equal(mine->name, there->name)) {
        return err_set(why, ERR_CONFLICT, "in the job it is the turn of '%.*s'",
                       (int)NUM_MIN(there->name.size, (size_t)100), (const char *)there->name.data);
    }
    if (mine->version != there->version || !bytes_equal(mine->root, there->root) ||
        mine->size != there->size || mine->cell_bytes != there->cell_bytes) {
        return err_set(why, ERR_CONFLICT, "the job is over version %llu, the object has %llu now",
                       (unsigned long long)there->version, (unsigned long long)mine->version);
    }
    return 0;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

int hf_job_task_put(struct buf *out, const struct job_task *task)
{
    const unsigned flags = (task->decoded ? JOB_FLAG_DECODED : 0u) |
                           (task->whole ? JOB_FLAG_WHOLE : 0u) |
                           (task->checked ? JOB_FLAG_CHECKED : 0u);
    value_begin(out, job_magic_task);
    (void)buf_put_u8(out, (uint8_t)flags);
    (void)buf_put_u32(out, task->node);
    (void)buf_put_u64(out, task->from);
    (void)buf_put_u64(out, task->to);
    (void)buf_append(out, task->origin.data, MERKLE_HASH_BYTES);
    (void)buf_append(out, task->digest.data, MERKLE_HASH_BYTES);
    return task->whole ? buf_append(out, task->state.data, task->state.size) : out->err;
}

int hf_job_task_take(struct bytes value, struct job_task *out)
{
    struct bytes_reader r;
    TRY(value_open(value, JOB_VALUE_TASK, &r));
    const unsigned flags = bytes_take_u8(&r);
    *out = (struct job_task){.decoded = (flags & JOB_FLAG_DECODED) != 0,
                             .whole = (flags & JOB_FLAG_WHOLE) != 0,
                             .checked = (flags & JOB_FLAG_CHECKED) != 0};
    out->node = bytes_take_u32(&r);
    out->from = bytes_take_u64(&r);
    out->to = bytes_take_u64(&r);
    out->origin = bytes_take(&r, MERKLE_HASH_BYTES);
    out->digest = bytes_take(&r, MERKLE_HASH_BYTES);
    out->state = bytes_take(&r, r.left);
    const bool sound = flags <= (JOB_FLAG_DECODED | JOB_FLAG_WHOLE | JOB_FLAG_CHECKED) &&
                       out->from < out->to && (out->whole || out->state.size == 0);
    return sound ? value_closed(&r) : ERR_PROTOCOL;
}
