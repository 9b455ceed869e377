/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables of programs: --lookup NAME=FILE with --local, for each NAME that the program looks into,
 * or --lookup NAME=BUCKET/NAME over objects, for each that is not the object of its own name.
 */
#include "client/cmd_lookup_internal.h"

#include "base/num.h"

#include <errno.h>
#include <string.h>

#define LOOKUP_PIECE_BYTES ((size_t)256 << 10)

/* NAME=FILE: a name may have '=' too. returns: FILE, or what else is there; NULL: it is of another
 * name. */
static const char *lookup_file_of(const char *given, struct bytes name)
{
    const struct bytes text = bytes_of_text(given);
    const bool same =
        bytes_has_prefix(text, name) && text.size > name.size && text.data[name.size] == '=';
    return same ? given + name.size + 1 : NULL;
}

/* returns: how often a file is given for the table; the last is in *path. */
static unsigned lookup_files(const struct hf_cmd *cmd, struct bytes name, const char **path)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < cmd->lookup_count; i++) {
        const char *file = lookup_file_of(cmd->lookup[i], name);
        *path = file != NULL ? file : *path;
        count += file != NULL;
    }
    return count;
}

/* All of a file, as far as a table may be large, and one byte. */
static int lookup_read(const char *path, struct buf *into, struct err_info *why)
{
    FILE *file = fopen(path, "rb");
    int err = 0;
    if (file == NULL) {
        return err_set(why, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    }
    while (err == 0 && feof(file) == 0 && into->size <= COMPUTE_TABLE_BYTES_MAX) {
        err = buf_reserve(into, LOOKUP_PIECE_BYTES);
        if (err == 0) {
            into->size += fread(into->data + into->size, 1, LOOKUP_PIECE_BYTES, file);
        }
        if (err == 0 && ferror(file) != 0) {
            err = err_set(why, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
        }
    }
    (void)fclose(file);
    return err == ERR_NO_MEMORY ? err_set(why, err, "no memory for '%s'", path) : err;
}

static int lookup_bind(struct compute_program *p, uint32_t i, const char *path, uint64_t seed,
                       struct hf_cmd_table *t, struct err_info *why)
{
    const struct alloc heap = alloc_heap();
    struct err_info wrong = {.code = 0};
    struct compute_table_options o = {.seed = seed};
    (void)compute_program_lookup(p, i, &o.header);
    TRY(lookup_read(path, &t->data, why));
    const int err = compute_table_new(&t->table, &heap, buf_view(&t->data), &o, &wrong);
    if (err != 0) {
        return err_set(why, err, "'%s': %s", path, wrong.text);
    }
    compute_program_bind(p, i, t->table);
    return 0;
}

/* returns: whether the program looks into it. */
static bool lookup_is_used(const struct compute_program *p, const char *given)
{
    bool header = false;
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        if (lookup_file_of(given, compute_program_lookup(p, i, &header)) != NULL) {
            return true;
        }
    }
    return false;
}

/* returns: 0, or ERR_INVALID: a table is given that the program does not have. */
static int lookup_all_used(const struct hf_cmd *cmd, const struct compute_program *p,
                           struct err_info *why)
{
    for (uint32_t i = 0; i < cmd->lookup_count; i++) {
        if (!lookup_is_used(p, cmd->lookup[i])) {
            return err_set(why, ERR_INVALID, "--lookup %s: the program has no such table",
                           cmd->lookup[i]);
        }
    }
    return 0;
}

/* BUCKET/NAME. returns: false if it is no such name. */
static bool lookup_object_of(struct bytes path, struct hf_table *t)
{
    const uint8_t *slash = path.size > 0 ? memchr(path.data, '/', path.size) : NULL;
    const size_t at = slash != NULL ? (size_t)(slash - path.data) : 0;
    if (at == 0 || at + 1 == path.size) {
        return false;
    }
    t->bucket = (struct hf_bytes){.data = path.data, .size = at};
    t->name = (struct hf_bytes){.data = slash + 1, .size = path.size - at - 1};
    return true;
}

/* Whether tables before this one have its name. */
static bool lookup_is_again(const struct compute_program *p, uint32_t i, struct bytes name)
{
    bool header = false;
    bool again = false;
    for (uint32_t k = 0; k < i; k++) {
        again = again || bytes_equal(compute_program_lookup(p, k, &header), name);
    }
    return again;
}

static int lookup_object(const struct hf_cmd *cmd, struct bytes name, struct hf_cmd_objects *out,
                         struct err_info *why)
{
    const char *path = NULL;
    const unsigned times = lookup_files(cmd, name, &path);
    struct hf_table *t = &out->table[out->count];
    t->table = (struct hf_bytes){.data = name.data, .size = name.size};
    if (times > 1) {
        return err_set(why, ERR_INVALID, "table '%.*s' has more than one --lookup", (int)name.size,
                       (const char *)name.data);
    }
    if (times == 1 && !lookup_object_of(bytes_of_text(path), t)) {
        return err_set(why, ERR_INVALID,
                       "--lookup %.*s=%.80s: over objects a table is an object, BUCKET/NAME; files "
                       "are for --local",
                       (int)name.size, (const char *)name.data, path);
    }
    if (times == 0 && !lookup_object_of(name, t)) {
        return err_set(why, ERR_INVALID,
                       "table '%.*s' is no object's name: it needs --lookup %.*s=BUCKET/NAME",
                       (int)name.size, (const char *)name.data, (int)name.size,
                       (const char *)name.data);
    }
    out->count++;
    return 0;
}

int hf_cmd_lookup_objects(const struct hf_cmd *cmd, const struct compute_program *p,
                          struct hf_cmd_objects *out, struct err_info *why)
{
    bool header = false;
    out->count = 0;
    TRY(lookup_all_used(cmd, p, why));
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        const struct bytes name = compute_program_lookup(p, i, &header);
        if (!lookup_is_again(p, i, name)) {
            TRY(lookup_object(cmd, name, out, why));
        }
    }
    return 0;
}

int hf_cmd_lookups(const struct hf_cmd *cmd, struct compute_program *p, uint64_t seed,
                   struct hf_cmd_tables *out, struct err_info *why)
{
    const struct alloc heap = alloc_heap();
    bool header = false;
    TRY(lookup_all_used(cmd, p, why));
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        const struct bytes name = compute_program_lookup(p, i, &header);
        const char *path = NULL;
        const unsigned files = lookup_files(cmd, name, &path);
        if (files != 1) {
            return err_set(why, ERR_INVALID, "table %u of the program, '%.*s', %s", i + 1,
                           (int)name.size, (const char *)name.data,
                           files == 0 ? "needs --lookup with its name and file"
                                      : "has more than one --lookup");
        }
        struct hf_cmd_table *t = &out->table[out->count++];
        buf_init(&t->data, &heap, COMPUTE_TABLE_BYTES_MAX + 2 * LOOKUP_PIECE_BYTES);
        TRY(lookup_bind(p, i, path, seed, t, why));
    }
    return 0;
}

void hf_cmd_lookups_release(struct hf_cmd_tables *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        compute_table_free(t->table[i].table);
        buf_release(&t->table[i].data);
    }
}
