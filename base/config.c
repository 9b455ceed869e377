/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads configuration text line by line: a line is empty, a [section], or key = value. What a value
 * means is in config_value.c; this file finds the setting and says what is wrong where.
 */
#include "base/config.h"

#include "base/config_internal.h"
#include "base/log.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define CONFIG_ARENA_BYTES ((size_t)4 * CONFIG_FILE_BYTES_MAX)

static unsigned config_settings_count(const struct config *c)
{
    unsigned total = 0;
    for (unsigned i = 0; i < c->tables_count; i++) {
        total += c->tables[i].count;
    }
    return total;
}

/* returns: setting number at, counted through all tables. */
static const struct config_setting *config_setting_at(const struct config *c, unsigned at,
                                                      void **into)
{
    unsigned table = 0;
    while (at >= c->tables[table].count) {
        at -= c->tables[table].count;
        table++;
        ASSERT(table < c->tables_count);
    }
    *into = c->tables[table].into;
    return &c->tables[table].settings[at];
}

int config_init(struct config *c, const struct alloc *alloc, const struct config_table *tables,
                unsigned tables_count)
{
    ASSERT(tables_count <= CONFIG_TABLES_MAX);
    *c = (struct config){.tables_count = tables_count};
    memcpy(c->tables, tables, tables_count * sizeof(tables[0]));
    unsigned total = config_settings_count(c);
    size_t lines_bytes = NUM_MAX(total, 1) * sizeof(c->lines[0]);
    TRY(arena_init(&c->arena, alloc, CONFIG_ARENA_BYTES + lines_bytes));
    c->lines = arena_get(&c->arena, lines_bytes);
    ASSERT(c->lines != NULL);
    memset(c->lines, 0, lines_bytes);
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const struct config_setting *setting = config_setting_at(c, i, &into);
        ASSERT(strlen(setting->section) <= CONFIG_NAME_BYTES_MAX);
        ASSERT(strlen(setting->name) <= CONFIG_NAME_BYTES_MAX);
        int err = config_value_default(&c->arena, setting, into);
        if (err != 0) {
            arena_release(&c->arena);
            return err;
        }
    }
    return 0;
}

void config_release(struct config *c)
{
    arena_release(&c->arena);
    c->lines = NULL;
    c->tables_count = 0;
}

static bool config_is(struct bytes v, const char *text)
{
    return bytes_equal(v, bytes_of_text(text));
}

/* returns: the number of the setting, or the count of all if there is none. */
static unsigned config_find(const struct config *c, struct bytes section, struct bytes name)
{
    unsigned total = config_settings_count(c);
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const struct config_setting *setting = config_setting_at(c, i, &into);
        if (config_is(name, setting->name) && config_is(section, setting->section)) {
            return i;
        }
    }
    return total;
}

unsigned config_line(const struct config *c, const char *section, const char *name)
{
    unsigned at = config_find(c, bytes_of_text(section), bytes_of_text(name));
    return at < config_settings_count(c) ? c->lines[at] : 0;
}

/* Edit distance of Levenshtein: fewest insertions, deletions and changes of one byte. One row of
 * the usual table is kept. */
static unsigned config_distance(struct bytes a, const char *text)
{
    unsigned row[CONFIG_NAME_BYTES_MAX + 1];
    struct bytes b = bytes_of_text(text);
    ASSERT(b.size <= CONFIG_NAME_BYTES_MAX);
    for (unsigned j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (unsigned i = 0; i < a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned j = 0; j < b.size; j++) {
            unsigned change = diagonal + (a.data[i] != b.data[j]);
            diagonal = row[j + 1];
            row[j + 1] = NUM_MIN(change, NUM_MIN(diagonal, row[j]) + 1);
        }
    }
    return row[b.size];
}

/* The nearest of the known names; one in another section is a little further away. */
static int config_refuse_key(const struct config *c, const struct config_at *at, struct bytes name,
                             struct err_info *why)
{
    char shown[CONFIG_SHOWN_BYTES];
    unsigned best_distance = UINT32_MAX;
    const struct config_setting *best = NULL;
    unsigned total = config_settings_count(c);
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const struct config_setting *setting = config_setting_at(c, i, &into);
        unsigned distance = 2 * config_distance(name, setting->name);
        distance += config_is(at->section, setting->section) ? 0 : 1;
        if (distance < best_distance) {
            best_distance = distance;
            best = setting;
        }
    }
    log_escape(shown, sizeof(shown), name);
    if (best == NULL) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: unknown key '%s'", at->name, at->line,
                       shown);
    }
    if (config_is(at->section, best->section)) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: unknown key '%s', nearest is '%s'",
                       at->name, at->line, shown, best->name);
    }
    return err_set(why, ERR_BAD_CONFIG,
                   "'%s' line %u: unknown key '%s' in [%.*s], nearest is '%s' in [%s]", at->name,
                   at->line, shown, (int)at->section.size, (const char *)at->section.data,
                   best->name, best->section);
}

/* text: what lies between the brackets. Sections are those of known settings. */
static int config_enter(const struct config *c, struct config_at *at, struct bytes text,
                        struct err_info *why)
{
    char shown[CONFIG_SHOWN_BYTES];
    unsigned best_distance = UINT32_MAX;
    const char *best = "";
    unsigned total = config_settings_count(c);
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const struct config_setting *setting = config_setting_at(c, i, &into);
        if (text.size > 0 && config_is(text, setting->section)) {
            at->section = bytes_of_text(setting->section);
            return 0;
        }
        unsigned distance = text.size <= CONFIG_NAME_BYTES_MAX
                                ? config_distance(text, setting->section)
                                : UINT32_MAX - 1;
        if (distance < best_distance && setting->section[0] != '\0') {
            best_distance = distance;
            best = setting->section;
        }
    }
    return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: unknown section [%s], nearest is [%s]",
                   at->name, at->line, log_escape(shown, sizeof(shown), text), best);
}

static int config_assign(struct config *c, const struct config_at *at, struct bytes name,
                         struct bytes value, struct err_info *why)
{
    char shown[CONFIG_SHOWN_BYTES];
    void *into;
    if (name.size > CONFIG_NAME_BYTES_MAX) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: key '%s' is too long", at->name,
                       at->line, log_escape(shown, sizeof(shown), name));
    }
    unsigned found = config_find(c, at->section, name);
    if (found == config_settings_count(c)) {
        return config_refuse_key(c, at, name, why);
    }
    const struct config_setting *setting = config_setting_at(c, found, &into);
    if (c->lines[found] != 0 && at->line != 0) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: key '%s' is on line %u already",
                       at->name, at->line, setting->name, c->lines[found]);
    }
    TRY(config_value_read(&c->arena, setting, into, value, at, why));
    if (at->line != 0) {
        c->lines[found] = at->line;
    }
    return 0;
}

static int config_parse_line(struct config *c, struct config_at *at, struct bytes line,
                             struct err_info *why)
{
    struct bytes text = config_trim(config_cut_comment(line));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 && text.data[i] != '\t') {
            return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: control byte 0x%02x", at->name,
                           at->line, text.data[i]);
        }
    }
    if (text.size == 0) {
        return 0;
    }
    if (text.data[0] == '[') {
        if (text.data[text.size - 1] != ']') {
            return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: section without ']'", at->name,
                           at->line);
        }
        return config_enter(c, at, config_trim(bytes_of(text.data + 1, text.size - 2)), why);
    }
    const uint8_t *equals = memchr(text.data, '=', text.size);
    if (equals == NULL || equals == text.data) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: not 'key = value'", at->name, at->line);
    }
    size_t name_bytes = (size_t)(equals - text.data);
    struct bytes name = config_trim(bytes_of(text.data, name_bytes));
    struct bytes value = config_trim(bytes_of(equals + 1, text.size - name_bytes - 1));
    return config_assign(c, at, name, value, why);
}

int config_parse(struct config *c, struct bytes text, const char *name, struct err_info *why)
{
    struct config_at at = {.name = name, .section = bytes_of_text("")};
    size_t start = 0;
    if (text.size > CONFIG_FILE_BYTES_MAX) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' is longer than %u bytes", name,
                       (unsigned)CONFIG_FILE_BYTES_MAX);
    }
    while (start < text.size) {
        const uint8_t *end = memchr(text.data + start, '\n', text.size - start);
        size_t bytes = end != NULL ? (size_t)(end - text.data) - start : text.size - start;
        at.line++;
        TRY(config_parse_line(c, &at, bytes_of(text.data + start, bytes), why));
        start += bytes + 1;
    }
    return 0;
}

int config_set(struct config *c, const char *section, const char *name, struct bytes value,
               struct err_info *why)
{
    struct config_at at = {.name = "command line", .section = bytes_of_text(section)};
    return config_assign(c, &at, bytes_of_text(name), config_trim(value), why);
}

static int config_print_setting(const struct config_setting *setting, const void *into,
                                struct buf *out)
{
    TRY(config_append_text(out, "# "));
    TRY(config_append_text(out, setting->help));
    TRY(config_value_print_bounds(setting, out));
    TRY(config_append_text(out, "\n"));
    TRY(config_append_text(out, setting->name));
    TRY(config_append_text(out, " = "));
    TRY(config_value_print(setting, into, out));
    return config_append_text(out, "\n");
}

/* returns: whether a setting before number at has the same section. */
static bool config_section_seen(const struct config *c, unsigned at, const char *section)
{
    for (unsigned i = 0; i < at; i++) {
        void *into;
        if (strcmp(config_setting_at(c, i, &into)->section, section) == 0) {
            return true;
        }
    }
    return false;
}

static int config_print_section(const struct config *c, const char *section, struct buf *out)
{
    unsigned total = config_settings_count(c);
    if (section[0] != '\0') {
        TRY(config_append_text(out, out->size > 0 ? "\n[" : "["));
        TRY(config_append_text(out, section));
        TRY(config_append_text(out, "]\n"));
    }
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const struct config_setting *setting = config_setting_at(c, i, &into);
        if (strcmp(setting->section, section) == 0) {
            TRY(config_print_setting(setting, into, out));
        }
    }
    return 0;
}

int config_print(const struct config *c, struct buf *out)
{
    unsigned total = config_settings_count(c);
    TRY(config_print_section(c, "", out)); /* before the first [section], or it could not be read */
    for (unsigned i = 0; i < total; i++) {
        void *into;
        const char *section = config_setting_at(c, i, &into)->section;
        if (section[0] != '\0' && !config_section_seen(c, i, section)) {
            TRY(config_print_section(c, section, out));
        }
    }
    return 0;
}
