/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tables of programs from files: --lookup NAME=FILE for each NAME that the program looks into.
 */
#include "client/cmd_lookup_internal.h"

#include "base/num.h"

#include <errno.h>
#include <string.h>

#define LOOKUP_PIECE_BYTES ((size_t)256 << 10)

/* NAME=FILE: a name may have '=' too. returns: FILE; NULL: it is of another name. */
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

int hf_cmd_lookups(const struct hf_cmd *cmd, struct compute_program *p, uint64_t seed,
                   struct hf_cmd_tables *out, struct err_info *why)
{
    const struct alloc heap = alloc_heap();
    bool header = false;
    for (uint32_t i = 0; i < cmd->lookup_count; i++) {
        if (!lookup_is_used(p, cmd->lookup[i])) {
            return err_set(why, ERR_INVALID, "--lookup %s: the program has no such table",
                           cmd->lookup[i]);
        }
    }
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
