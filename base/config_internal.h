/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What config.c (lines and names) and config_value.c (values) share.
 *
 * threads: as config.h.
 */
#ifndef HOLDFAST_BASE_CONFIG_INTERNAL_H
#define HOLDFAST_BASE_CONFIG_INTERNAL_H

#include "base/config.h"

#define CONFIG_SHOWN_BYTES 72 /* of a piece of outside text in a message */

/* Where reading is; line 0 is not a file. */
struct config_at {
    const char *name;
    unsigned line;
    struct bytes section;
};

/* returns: v without blanks at both ends. */
struct bytes config_trim(struct bytes v);
/* returns: line up to a '#' that is not inside quotes. */
struct bytes config_cut_comment(struct bytes line);

int config_append_text(struct buf *out, const char *text);

/* Writes the default into the field. returns: 0 or ERR_NO_MEMORY. */
int config_value_default(struct arena *arena, const struct config_setting *setting, void *into);
/* Reads value, checks its bounds, writes the field; the field is untouched on failure. */
int config_value_read(struct arena *arena, const struct config_setting *setting, void *into,
                      struct bytes value, const struct config_at *at, struct err_info *why);
/* Appends the field as config_value_read takes it. */
int config_value_print(const struct config_setting *setting, const void *into, struct buf *out);
/* Appends " (1KiB to 2MiB)", or nothing if there are no bounds. */
int config_value_print_bounds(const struct config_setting *setting, struct buf *out);

#endif
