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

/* returns: the file of a table; NULL: it was not given. */
static const char *lookup_file(const struct hf_cmd *cmd, struct bytes name)
{
    for (uint32_t i = 0; i < cmd->lookup_count; i++) {
        const char *given = cmd->lookup[i];
        const char *equals = strchr(given, '=');
        if (bytes_equal(bytes_of(given, (size_t)(equals - given)), name)) {
            return equals + 1;
        }
    }
    return NULL;
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
    const struct bytes name = bytes_of(given, (size_t)(strchr(given, '=') - given));
    bool header = false;
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        if (bytes_equal(compute_program_lookup(p, i, &header), name)) {
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
        const char *path = lookup_file(cmd, name);
        if (path == NULL) {
            return err_set(why, ERR_INVALID, "table '%.*s' needs --lookup '%.*s'=FILE",
                           (int)NUM_MIN(name.size, (size_t)64), (const char *)name.data,
                           (int)NUM_MIN(name.size, (size_t)64), (const char *)name.data);
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
