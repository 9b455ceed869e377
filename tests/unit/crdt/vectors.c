/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names and values of the vectors, as JSON without spaces. All strings in them are plain letters.
 */
#include "tests/unit/crdt/vectors.h"

#include <stdio.h>
#include <string.h>

const char *const vectors_types[CRDT_TYPES + 1] = {
    "",       "g_counter", "pn_counter", "counter", "lww", "mv",  "ew_flag", "dw_flag",
    "aw_set", "rw_set",    "g_set",      "max",     "min", "hll", "map",     "bounded",
};
const char *const vectors_verbs[CRDT_FENCE + 1] = {
    "", "add", "set", "remove", "enable", "disable", "transfer", "grant", "fence",
};

void vectors_text(struct buf *out, const char *text)
{
    (void)buf_append(out, text, strlen(text));
}

static void vectors_string(struct buf *out, struct bytes v)
{
    vectors_text(out, "\"");
    (void)buf_append(out, v.data, v.size);
    vectors_text(out, "\"");
}

void vectors_number(struct buf *out, int64_t v)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)v);
    vectors_text(out, text);
}

void vectors_hex(struct buf *out, const struct crdt_state *s)
{
    struct buf bytes;
    buf_init(&bytes, &out->alloc, 1u << 20);
    ASSERT(crdt_encode(s, &bytes) == 0);
    for (size_t i = 0; i < bytes.size; i++) {
        char text[3];
        (void)snprintf(text, sizeof(text), "%02x", bytes.data[i]);
        vectors_text(out, text);
    }
    buf_release(&bytes);
}

void vectors_path(struct buf *out, const struct crdt_path *path)
{
    vectors_text(out, "[\"");
    vectors_text(out, vectors_types[path->types[0]]);
    vectors_text(out, "\"");
    for (uint32_t i = 0; i < path->count; i++) {
        vectors_text(out, ",");
        vectors_string(out, path->names[i]);
        vectors_text(out, ",\"");
        vectors_text(out, vectors_types[path->types[i + 1]]);
        vectors_text(out, "\"");
    }
    vectors_text(out, "]");
}

static void vectors_set(struct buf *out, const struct crdt_state *s, const struct crdt_path *path)
{
    struct bytes at = {0};
    const char *between = "[";
    while (crdt_set_next(s, path, &at)) {
        vectors_text(out, between);
        vectors_string(out, at);
        between = ",";
    }
    vectors_text(out, *between == '[' ? "[]" : "]");
}

static void vectors_register(struct buf *out, const struct crdt_state *s,
                             const struct crdt_path *path, bool times)
{
    struct crdt_sibling all[64];
    size_t count = crdt_siblings(s, path, all, 64);
    vectors_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        vectors_text(out, i > 0 ? "," : "");
        if (times) {
            vectors_text(out, "[");
            vectors_number(out, (int64_t)all[i].time_us);
            vectors_text(out, ",");
        }
        vectors_string(out, all[i].value);
        vectors_text(out, times ? "]" : "");
    }
    vectors_text(out, "]");
}

static void vectors_value(struct buf *out, const struct crdt_state *s, const struct crdt_path *path)
{
    int64_t value;
    switch (path->types[path->count]) {
    case CRDT_G_COUNTER:
    case CRDT_PN_COUNTER:
    case CRDT_COUNTER:
    case CRDT_BOUNDED: vectors_number(out, crdt_counter(s, path)); break;
    case CRDT_LWW: vectors_register(out, s, path, true); break;
    case CRDT_MV: vectors_register(out, s, path, false); break;
    case CRDT_EW_FLAG:
    case CRDT_DW_FLAG: vectors_text(out, crdt_flag(s, path) ? "true" : "false"); break;
    case CRDT_MAX:
    case CRDT_MIN:
        if (crdt_extreme(s, path, &value)) {
            vectors_number(out, value);
        } else {
            vectors_text(out, "null");
        }
        break;
    case CRDT_HLL: vectors_number(out, (int64_t)crdt_hll(s, path)); break;
    default: vectors_set(out, s, path); break;
    }
}

static void vectors_leaf(struct buf *out, const struct crdt_state *s, const struct crdt_path *path,
                         bool first)
{
    vectors_text(out, first ? "[" : ",[");
    vectors_path(out, path);
    vectors_text(out, ",");
    vectors_value(out, s, path);
    vectors_text(out, "]");
}

void vectors_values(struct buf *out, const struct crdt_state *s, uint8_t root)
{
    struct crdt_path path;
    struct crdt_field at[CRDT_DEPTH_MAX + 1] = {{.type = 0}}; /* [d]: where the map at depth d is */
    bool first = true;
    crdt_path_init(&path, (enum crdt_type)root);
    vectors_text(out, "[");
    if (root != CRDT_MAP) {
        vectors_leaf(out, s, &path, true);
    }
    while (root == CRDT_MAP) {
        uint32_t depth = path.count;
        if (!crdt_map_next(s, &path, &at[depth])) {
            if (depth == 0) {
                break;
            }
            path.count--;
            continue;
        }
        ASSERT(crdt_path_push(&path, at[depth].name, (enum crdt_type)at[depth].type) == 0);
        if (at[depth].type == CRDT_MAP) {
            at[depth + 1] = (struct crdt_field){0};
            continue;
        }
        vectors_leaf(out, s, &path, first);
        first = false;
        path.count--;
    }
    vectors_text(out, "]");
}
