/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Values of configuration: from text to fields and back.
 */
#include "base/config_internal.h"

#include "base/log.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

struct config_unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides the value. */
static const struct config_unit config_bytes_units[] = {
    {"TiB", (uint64_t)1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
static const struct config_unit config_duration_units[] = {
    {"min", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1}};

#define CONFIG_UNITS(table) (sizeof(table) / sizeof((table)[0]))

static bool config_is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

struct bytes config_trim(struct bytes v)
{
    while (v.size > 0 && config_is_blank(v.data[0])) {
        v.data++;
        v.size--;
    }
    while (v.size > 0 && config_is_blank(v.data[v.size - 1])) {
        v.size--;
    }
    return v;
}

struct bytes config_cut_comment(struct bytes line)
{
    bool quoted = false;
    for (size_t i = 0; i < line.size; i++) {
        if (quoted && line.data[i] == '\\') {
            i++;
        } else if (line.data[i] == '"') {
            quoted = !quoted;
        } else if (line.data[i] == '#' && !quoted) {
            return bytes_of(line.data, i);
        }
    }
    return line;
}

int config_append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

static bool config_read_bool(struct bytes v, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (unsigned i = 0; i < 6; i++) {
        if (bytes_equal(v, bytes_of_text(words[i]))) {
            *out = (i & 1) != 0;
            return true;
        }
    }
    return false;
}

enum config_number { CONFIG_NUMBER_OK = 0, CONFIG_NUMBER_BAD, CONFIG_NUMBER_HUGE };

/* Digits, blanks, a unit. Without a unit the factor is 1; durations need one unless they are 0. */
static enum config_number config_read_number(enum config_type type, struct bytes v, uint64_t *out)
{
    bool duration = type == CONFIG_DURATION;
    const struct config_unit *units = duration ? config_duration_units : config_bytes_units;
    size_t units_count =
        duration ? CONFIG_UNITS(config_duration_units) : CONFIG_UNITS(config_bytes_units);
    uint64_t number = 0;
    bool huge = false;
    size_t digits = 0;
    for (; digits < v.size && v.data[digits] >= '0' && v.data[digits] <= '9'; digits++) {
        huge = huge || !num_mul_u64(number, 10, &number) ||
               !num_add_u64(number, (uint64_t)(v.data[digits] - '0'), &number);
    }
    struct bytes unit = config_trim(bytes_of(v.data + digits, v.size - digits));
    if (digits == 0) {
        return CONFIG_NUMBER_BAD;
    }
    if (unit.size > 0 || (duration && number != 0)) {
        size_t i = 0;
        while (i < units_count && !bytes_equal(unit, bytes_of_text(units[i].name))) {
            i++;
        }
        if (type == CONFIG_U64 || i == units_count) {
            return CONFIG_NUMBER_BAD;
        }
        huge = huge || !num_mul_u64(number, units[i].factor, &number);
    }
    if (huge) {
        return CONFIG_NUMBER_HUGE;
    }
    *out = number;
    return CONFIG_NUMBER_OK;
}

static int config_hex(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The byte after a backslash in quotes. returns: false if there is no such escape, or it is NUL. */
static bool config_read_escape(struct bytes *rest, char *out)
{
    static const char from[] = "\"\\nt";
    static const char into[] = "\"\\\n\t";
    if (rest->size == 0) {
        return false;
    }
    uint8_t kind = rest->data[0];
    *rest = bytes_of(rest->data + 1, rest->size - 1);
    if (kind == 'x' && rest->size >= 2) {
        int high = config_hex(rest->data[0]);
        int low = config_hex(rest->data[1]);
        if (high < 0 || low < 0 || high + low == 0) {
            return false;
        }
        *out = (char)(uint8_t)(high * 16 + low);
        *rest = bytes_of(rest->data + 2, rest->size - 2);
        return true;
    }
    const char *at = kind != '\0' ? strchr(from, kind) : NULL;
    if (at == NULL) {
        return false;
    }
    *out = into[at - from];
    return true;
}

/* Takes "..." off the front of rest. returns: the end of what was written at into, NULL if the
 * quotes do not end or an escape is unknown. */
static char *config_read_quoted(struct bytes *rest, char *into)
{
    *rest = bytes_of(rest->data + 1, rest->size - 1);
    while (rest->size > 0) {
        uint8_t byte = rest->data[0];
        *rest = bytes_of(rest->data + 1, rest->size - 1);
        if (byte == '"') {
            return into;
        }
        *into = (char)byte;
        if (byte == '\\' && !config_read_escape(rest, into)) {
            return NULL;
        }
        into++;
    }
    return NULL;
}

/* Takes one text off the front of rest: quoted, or bare up to stop. Leaves rest at stop or empty.
 * into: room for rest->size + 1. returns: past the NUL of what was written, or NULL. */
static char *config_read_text(struct bytes *rest, char stop, char *into)
{
    *rest = config_trim(*rest);
    if (rest->size > 0 && rest->data[0] == '"') {
        into = config_read_quoted(rest, into);
        *rest = config_trim(*rest);
        if (into == NULL || (rest->size > 0 && rest->data[0] != (uint8_t)stop)) {
            return NULL;
        }
        *into = '\0';
        return into + 1;
    }
    const uint8_t *end =
        stop != '\0' && rest->size > 0 ? memchr(rest->data, (uint8_t)stop, rest->size) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - rest->data) : rest->size;
    struct bytes bare = config_trim(bytes_of(rest->data, bytes));
    *rest = bytes_of(rest->data + bytes, rest->size - bytes);
    if (bare.size > 0 && memchr(bare.data, '"', bare.size) != NULL) {
        return NULL;
    }
    if (bare.size > 0) {
        memcpy(into, bare.data, bare.size);
    }
    into[bare.size] = '\0';
    return into + bare.size + 1;
}

static int config_read_one(struct arena *arena, struct bytes v, const char **out)
{
    char *text = arena_get(arena, v.size + 1);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    if (config_read_text(&v, '\0', text) == NULL) {
        return ERR_INVALID;
    }
    *out = text;
    return 0;
}

/* Items parted by commas; a comma at the end adds nothing; an empty bare item is refused. */
static int config_read_list(struct arena *arena, struct bytes v, struct config_list *out)
{
    const char *items[CONFIG_LIST_MAX];
    unsigned count = 0;
    char *text = arena_get(arena, v.size + 1);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    while (v.size > 0) {
        bool quoted = v.data[0] == '"';
        char *end = config_read_text(&v, ',', text);
        if (end == NULL || (!quoted && text[0] == '\0')) {
            return ERR_INVALID;
        }
        if (count == CONFIG_LIST_MAX) {
            return ERR_TOO_LARGE;
        }
        items[count++] = text;
        text = end;
        if (v.size > 0) {
            v = config_trim(bytes_of(v.data + 1, v.size - 1));
        }
    }
    const char **kept = arena_get(arena, NUM_MAX(count, 1) * sizeof(items[0]));
    if (kept == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(kept, items, count * sizeof(items[0]));
    *out = (struct config_list){.items = kept, .count = count};
    return 0;
}

/* A value of any type before it is stored. */
struct config_value {
    bool truth;
    uint64_t number; /* also the length of a text and the count of a list */
    const char *text;
    struct config_list list;
};

static void config_store(const struct config_setting *setting, void *into,
                         const struct config_value *v)
{
    uint8_t *field = (uint8_t *)into + setting->offset;
    switch (setting->type) {
    case CONFIG_BOOL: memcpy(field, &v->truth, sizeof(v->truth)); break;
    case CONFIG_TEXT: memcpy(field, &v->text, sizeof(v->text)); break;
    case CONFIG_LIST: memcpy(field, &v->list, sizeof(v->list)); break;
    default: memcpy(field, &v->number, sizeof(v->number)); break;
    }
}

static void config_load(const struct config_setting *setting, const void *into,
                        struct config_value *v)
{
    const uint8_t *field = (const uint8_t *)into + setting->offset;
    *v = (struct config_value){0};
    switch (setting->type) {
    case CONFIG_BOOL: memcpy(&v->truth, field, sizeof(v->truth)); break;
    case CONFIG_TEXT: memcpy(&v->text, field, sizeof(v->text)); break;
    case CONFIG_LIST: memcpy(&v->list, field, sizeof(v->list)); break;
    default: memcpy(&v->number, field, sizeof(v->number)); break;
    }
}

int config_value_default(struct arena *arena, const struct config_setting *setting, void *into)
{
    struct config_value v = {.truth = setting->fallback != 0, .number = setting->fallback};
    const char *text = setting->fallback_text != NULL ? setting->fallback_text : "";
    int err = 0;
    if (setting->type == CONFIG_TEXT) {
        err = config_read_one(arena, bytes_of_text(text), &v.text);
    } else if (setting->type == CONFIG_LIST) {
        err = config_read_list(arena, config_trim(bytes_of_text(text)), &v.list);
    }
    ASSERT(err == 0 || err == ERR_NO_MEMORY);
    if (err == 0) {
        config_store(setting, into, &v);
    }
    return err;
}

static const char *config_type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL: return "true or false";
    case CONFIG_U64: return "a number";
    case CONFIG_BYTES: return "a size such as 64MiB";
    case CONFIG_DURATION: return "a duration such as 150ms";
    case CONFIG_TEXT: return "a text";
    default: return "a list";
    }
}

/* returns: 0, ERR_INVALID, ERR_RANGE (no such number can be held), ERR_TOO_LARGE, ERR_NO_MEMORY. */
static int config_read(struct arena *arena, enum config_type type, struct bytes raw,
                       struct config_value *v)
{
    int err = 0;
    switch (type) {
    case CONFIG_BOOL: return config_read_bool(raw, &v->truth) ? 0 : ERR_INVALID;
    case CONFIG_TEXT:
        err = config_read_one(arena, raw, &v->text);
        v->number = err == 0 ? strlen(v->text) : 0;
        return err;
    case CONFIG_LIST:
        err = config_read_list(arena, raw, &v->list);
        v->number = v->list.count;
        return err;
    default:
        switch (config_read_number(type, raw, &v->number)) {
        case CONFIG_NUMBER_OK: return 0;
        case CONFIG_NUMBER_HUGE: return ERR_RANGE;
        default: return ERR_INVALID;
        }
    }
}

/* Writes number with the largest unit that divides it. into: at least 32 bytes. */
static void config_show_number(enum config_type type, uint64_t number, char *into)
{
    const struct config_unit *units =
        type == CONFIG_DURATION ? config_duration_units : config_bytes_units;
    size_t last = type == CONFIG_DURATION ? CONFIG_UNITS(config_duration_units) - 1
                                          : CONFIG_UNITS(config_bytes_units) - 1;
    size_t i = 0;
    if ((type != CONFIG_BYTES && type != CONFIG_DURATION) || number == 0) {
        (void)snprintf(into, 32, "%llu", (unsigned long long)number);
        return;
    }
    while (i < last && number % units[i].factor != 0) {
        i++;
    }
    (void)snprintf(into, 32, "%llu%s", (unsigned long long)(number / units[i].factor),
                   units[i].name);
}

int config_value_read(struct arena *arena, const struct config_setting *setting, void *into,
                      struct bytes value, const struct config_at *at, struct err_info *why)
{
    char shown[CONFIG_SHOWN_BYTES];
    char low[32];
    char high[32];
    struct config_value v = {0};
    int err = config_read(arena, setting->type, value, &v);
    if (err == ERR_INVALID) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: '%s' is %s, not '%s'", at->name,
                       at->line, setting->name, config_type_name(setting->type),
                       log_escape(shown, sizeof(shown), value));
    }
    if (err == ERR_TOO_LARGE || err == ERR_NO_MEMORY) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: '%s' is too long", at->name, at->line,
                       setting->name);
    }
    bool bounded = setting->type != CONFIG_BOOL && (setting->min != 0 || setting->max != 0);
    if (err == ERR_RANGE || (bounded && (v.number < setting->min || v.number > setting->max))) {
        config_show_number(setting->type, setting->min, low);
        config_show_number(setting->type, bounded ? setting->max : UINT64_MAX, high);
        return err_set(why, ERR_BAD_CONFIG, "'%s' line %u: '%s' = %s is outside %s to %s%s",
                       at->name, at->line, setting->name, log_escape(shown, sizeof(shown), value),
                       low, high,
                       setting->type == CONFIG_TEXT   ? " bytes"
                       : setting->type == CONFIG_LIST ? " items"
                                                      : "");
    }
    ASSERT(err == 0);
    config_store(setting, into, &v);
    return 0;
}

static int config_print_quoted(const char *text, struct buf *out)
{
    TRY(buf_put_u8(out, '"'));
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        char raw[8];
        if (byte == '"' || byte == '\\') {
            (void)snprintf(raw, sizeof(raw), "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            (void)snprintf(raw, sizeof(raw), "\\x%02x", byte);
        } else {
            (void)snprintf(raw, sizeof(raw), "%c", byte);
        }
        TRY(config_append_text(out, raw));
    }
    return buf_put_u8(out, '"');
}

int config_value_print(const struct config_setting *setting, const void *into, struct buf *out)
{
    char shown[32];
    struct config_value v;
    config_load(setting, into, &v);
    switch (setting->type) {
    case CONFIG_BOOL: return config_append_text(out, v.truth ? "true" : "false");
    case CONFIG_TEXT: return config_print_quoted(v.text, out);
    case CONFIG_LIST:
        for (unsigned i = 0; i < v.list.count; i++) {
            TRY(config_append_text(out, i > 0 ? ", " : ""));
            TRY(config_print_quoted(v.list.items[i], out));
        }
        return 0;
    default:
        config_show_number(setting->type, v.number, shown);
        return config_append_text(out, shown);
    }
}

int config_value_print_bounds(const struct config_setting *setting, struct buf *out)
{
    char low[32];
    char high[32];
    char line[80];
    if (setting->type == CONFIG_BOOL || (setting->min == 0 && setting->max == 0)) {
        return 0;
    }
    config_show_number(setting->type, setting->min, low);
    config_show_number(setting->type, setting->max, high);
    (void)snprintf(line, sizeof(line), " (%s to %s)", low, high);
    return config_append_text(out, line);
}
