/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Configuration text: `key = value` lines in [sections], read into plain struct fields that a
 * table of settings describes. Opens no file: bytes come in.
 *
 *   # a comment
 *   [node]
 *   name = "first node"            quotes are optional; \" \\ \n \t \xHH work inside them
 *   memory = 64MiB                 bytes: plain, or with B, KiB, MiB, GiB, TiB
 *   timeout = 150 ms               durations: us, ms, s, min; a bare 0 needs no unit
 *   peers = 10.0.0.1:7400, 10.0.0.2:7400
 *
 *   static const struct config_setting settings[] = {
 *       {"node", "memory", CONFIG_BYTES, offsetof(struct my, memory_bytes), 64 << 20,
 *        1 << 20, 1 << 30, NULL, "memory for caches"}, ...
 *   };
 *   struct config_table table = {settings, 5, &my};
 *   TRY(config_init(&config, &heap, &table, 1));           my holds the defaults
 *   TRY(config_parse(&config, text, "node.conf", &why));   my holds the file's values
 *   ...
 *   config_release(&config);                               ends text and lists in my
 *
 * An unknown name, a name given twice, a value of the wrong type or out of its bounds is
 * ERR_BAD_CONFIG, and why->text names the line: "'node.conf' line 3: unknown key 'memry' ...".
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_BASE_CONFIG_H
#define HOLDFAST_BASE_CONFIG_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#define CONFIG_FILE_BYTES_MAX 65536
#define CONFIG_LIST_MAX 256
#define CONFIG_NAME_BYTES_MAX 63
#define CONFIG_TABLES_MAX 8

enum config_type {
    CONFIG_BOOL = 0, /* field: bool; true, false, yes, no, on, off */
    CONFIG_U64,      /* field: uint64_t; a plain decimal number */
    CONFIG_BYTES,    /* field: uint64_t */
    CONFIG_DURATION, /* field: uint64_t, in microseconds */
    CONFIG_TEXT,     /* field: const char *, never NULL */
    CONFIG_LIST,     /* field: struct config_list; items parted by commas */
};

struct config_list {
    const char *const *items;
    unsigned count;
};

/* One setting. min and max, both included, bound the value of a number, the length of a text in
 * bytes, the count of a list; both 0: any. */
struct config_setting {
    const char *section; /* "" is before the first [section] */
    const char *name;    /* section and name: static, at most CONFIG_NAME_BYTES_MAX */
    enum config_type type;
    size_t offset;     /* of the field in the table's struct */
    uint64_t fallback; /* default of a bool or number */
    uint64_t min;
    uint64_t max;
    const char *fallback_text; /* default of a text or list, as written in a file; NULL: empty */
    const char *help;          /* one line */
};

struct config_table {
    const struct config_setting *settings;
    unsigned count;
    void *into; /* the struct of the fields; outlives the config */
};

struct config {
    struct arena arena;
    struct config_table tables[CONFIG_TABLES_MAX];
    unsigned tables_count;
    unsigned *lines; /* of each setting in table order; 0: the default holds */
};

/* Sets every field to its default. tables: copied; their settings are borrowed until release.
 * returns: 0 or ERR_NO_MEMORY. */
int config_init(struct config *c, const struct alloc *alloc, const struct config_table *tables,
                unsigned tables_count);
void config_release(struct config *c);

/* Reads text into the fields. name: of the file, for messages. On failure fields may hold some of
 * the values; the config is only good for config_release then.
 * returns: 0, or ERR_BAD_CONFIG with the line in why. */
int config_parse(struct config *c, struct bytes text, const char *name, struct err_info *why);

/* Sets one setting from outside a file, such as a command line; overrides and is not a duplicate.
 * value: as written in a file. */
int config_set(struct config *c, const char *section, const char *name, struct bytes value,
               struct err_info *why);

/* Appends the effective configuration with help lines; config_parse reads it back to the same
 * values. returns: 0, or the error of out. */
int config_print(const struct config *c, struct buf *out);

/* returns: the line that set the setting; 0 if the default holds or there is no such setting. For
 * messages of checks that span settings. */
unsigned config_line(const struct config *c, const char *section, const char *name);

#endif
