/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rows a question is answered from: named records by memtable, and a range as the merge of
 * the table's rows with the dirty records over them, all at the revision applied now.
 */
#include "server/node/query_internal.h"

#define NODE_ROWS_BYTES_MAX (16u << 20)
#define NODE_HIDDEN_MAX 4096u

static int node_rows_add(struct node_rows *rows, struct bytes name, bool present,
                         struct bytes value)
{
    if (rows->count == rows->cap) {
        unsigned cap = rows->cap == 0 ? 16 : rows->cap * 2;
        struct node_row *items = alloc_get(&rows->alloc, cap * sizeof *items);
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        if (rows->count > 0) {
            memcpy(items, rows->items, rows->count * sizeof *items);
        }
        alloc_put(&rows->alloc, rows->items, rows->cap * sizeof *items);
        rows->items = items;
        rows->cap = cap;
    }
    struct node_row *row = &rows->items[rows->count];
    *row = (struct node_row){.name_at = rows->data.size, .name_bytes = name.size};
    TRY(buf_append(&rows->data, name.data, name.size));
    row->value_at = rows->data.size;
    row->value_bytes = value.size;
    row->present = present;
    if (value.size > 0) {
        TRY(buf_append(&rows->data, value.data, value.size));
    }
    rows->count++;
    return 0;
}

void node_rows_release(struct node_rows *rows)
{
    buf_release(&rows->data);
    alloc_put(&rows->alloc, rows->items, rows->cap * sizeof *rows->items);
    rows->items = NULL;
}

static struct bytes node_row_name(const struct node_rows *rows, unsigned i)
{
    return bytes_of(rows->data.data + rows->items[i].name_at, rows->items[i].name_bytes);
}

static struct bytes node_row_value(const struct node_rows *rows, unsigned i)
{
    return bytes_of(rows->data.data + rows->items[i].value_at, rows->items[i].value_bytes);
}

int node_rows_get(const struct node_rows *rows, struct bytes name, struct bytes *value)
{
    for (unsigned i = 0; i < rows->points_count; i++) {
        if (bytes_equal(node_row_name(rows, i), name)) {
            if (!rows->items[i].present) {
                return ERR_NOT_FOUND;
            }
            *value = node_row_value(rows, i);
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

unsigned node_rows_count(const struct node_rows *rows)
{
    return rows->count - rows->points_count;
}

void node_rows_at(const struct node_rows *rows, unsigned i, struct bytes *name, struct bytes *value)
{
    ASSERT(i < node_rows_count(rows));
    *name = node_row_name(rows, rows->points_count + i);
    *value = node_row_value(rows, rows->points_count + i);
}

bool node_rows_more(const struct node_rows *rows)
{
    return rows->more;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* returns: how many dirty deletions in the range may hide rows of the table, up to a bound. */
static unsigned node_rows_hidden(struct node *n, struct bytes from, bool after, struct bytes to)
{
    uint8_t at[STORE_KV_KEY_BYTES_MAX];
    unsigned hidden = 0;
    struct bytes key;
    struct bytes value;
    bool present = false;
    for (unsigned i = 0; i < NODE_HIDDEN_MAX; i++) {
        if (store_mem_dirty_seek(n->mem, from, after, &key, &present, &value) != 0 ||
            bytes_compare(key, to) >= 0) {
            break;
        }
        hidden += !present;
        memcpy(at, key.data, key.size);
        from = bytes_of(at, key.size);
        after = true;
    }
    return hidden;
}

int node_rows_range(struct node *n, struct node_ask *a, const struct node_range *range,
                    struct node_fetch *f)
{
    uint8_t raw[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    if (range->from.size == 0 || range->from.size > NODE_NAME_BYTES_MAX ||
        range->to.size > NODE_NAME_BYTES_MAX) {
        return ERR_INVALID;
    }
    struct bytes key = node_key_of(a->g, range->from, raw);
    TRY(buf_append(&f->from, key.data, key.size));
    key = node_key_of(a->g, range->to, raw);
    TRY(buf_append(&f->to, key.data, key.size));
    f->after = range->after;
    unsigned hidden = node_rows_hidden(n, buf_view(&f->from), f->after, buf_view(&f->to));
    uint32_t doubled = NUM_MIN(a->fetch_retry, 8u);
    f->rows_max = (NUM_MAX(range->rows_max, 1u) + hidden + 16) << doubled;
    f->bytes_max = NUM_MIN(NUM_MAX(range->bytes_max, 1u), 4u << 20) << NUM_MIN(doubled, 3u);
    return 0;
}

/* Both sides of a merge, each at its next row. */
struct node_merge {
    struct node *n;
    struct bytes_reader table;
    unsigned table_left;
    struct bytes table_key, table_value;
    bool dirty_ended;
    uint8_t dirty_raw[STORE_KV_KEY_BYTES_MAX];
    struct bytes dirty_key, dirty_value;
    bool dirty_present;
    struct bytes to;
};

static void node_merge_table(struct node_merge *m)
{
    if (m->table_left == 0) {
        m->table_key = bytes_of(NULL, 0);
        return;
    }
    m->table_left--;
    m->table_key = bytes_take(&m->table, bytes_take_u16(&m->table));
    m->table_value = bytes_take_bytes(&m->table, STORE_KV_VALUE_BYTES_MAX);
}

static void node_merge_dirty(struct node_merge *m, struct bytes from, bool after)
{
    struct bytes key;
    if (store_mem_dirty_seek(m->n->mem, from, after, &key, &m->dirty_present, &m->dirty_value) !=
            0 ||
        bytes_compare(key, m->to) >= 0) {
        m->dirty_ended = true;
        return;
    }
    memcpy(m->dirty_raw, key.data, key.size);
    m->dirty_key = bytes_of(m->dirty_raw, key.size);
}

/* returns: whether there was one; *key without prefix. */
static bool node_merge_next(struct node_merge *m, struct bytes *key, bool *present,
                            struct bytes *value, uint8_t *raw)
{
    bool table = m->table_key.size > 0;
    if (!table && m->dirty_ended) {
        return false;
    }
    int order = !table ? 1 : m->dirty_ended ? -1 : bytes_compare(m->table_key, m->dirty_key);
    if (order < 0) {
        *key = m->table_key;
        *present = true;
        *value = m->table_value;
        node_merge_table(m);
        return true;
    }
    memcpy(raw, m->dirty_key.data, m->dirty_key.size);
    *key = bytes_of(raw, m->dirty_key.size);
    *present = m->dirty_present;
    *value = m->dirty_value;
    if (order == 0) {
        node_merge_table(m);
    }
    return true;
}

static int node_rows_merge(struct node *n, const struct node_range *range,
                           const struct node_fetch *f, struct node_rows *rows, bool *again)
{
    struct node_merge m = {.n = n,
                           .table = bytes_reader_of(buf_view(&f->rows)),
                           .table_left = f->rows_count,
                           .to = buf_view(&f->to)};
    uint8_t raw[STORE_KV_KEY_BYTES_MAX];
    struct bytes key = {0};
    struct bytes value = {0};
    bool present = false;
    size_t bytes = 0;
    node_merge_table(&m);
    node_merge_dirty(&m, buf_view(&f->from), f->after);
    while (true) {
        if (f->more && m.table_key.size == 0) {
            /* beyond here the table was not read */
            rows->more = true;
            *again = node_rows_count(rows) == 0;
            return 0;
        }
        if (!node_merge_next(&m, &key, &present, &value, raw)) {
            return 0;
        }
        if (present && (node_rows_count(rows) >= range->rows_max ||
                        (bytes > 0 && bytes + key.size + value.size > range->bytes_max))) {
            rows->more = true;
            return 0;
        }
        if (present) {
            bytes += key.size + value.size;
            TRY(node_rows_add(rows,
                              bytes_of(key.data + NODE_PREFIX_BYTES, key.size - NODE_PREFIX_BYTES),
                              true, value));
        }
        if (!m.dirty_ended && bytes_equal(key, m.dirty_key)) {
            node_merge_dirty(&m, bytes_of(raw, key.size), true);
        }
    }
}

static int node_rows_points(struct node *n, const struct node_ask *a, struct node_keys *keys,
                            struct node_rows *rows, bool *again)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&keys->names));
    uint8_t raw[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    for (unsigned i = 0; i < keys->count; i++) {
        struct bytes name = bytes_take(&r, bytes_take_u16(&r));
        struct bytes value = {0};
        bool present = false;
        if (store_mem_get(n->mem, node_key_of(a->g, name, raw), &present, &value) != 0) {
            *again = true;
            return 0;
        }
        TRY(node_rows_add(rows, name, present, present ? value : bytes_of(NULL, 0)));
    }
    rows->points_count = keys->count;
    return 0;
}

int node_rows_build(struct node *n, struct node_ask *a, const struct node_fetch *f,
                    struct node_rows *rows, bool *again)
{
    struct node_keys keys;
    struct node_range range = {0};
    *rows = (struct node_rows){.alloc = n->alloc};
    buf_init(&rows->data, &n->alloc, NODE_ROWS_BYTES_MAX);
    node_keys_init(&keys, n);
    *again = false;
    int err = a->op->want(buf_view(&a->body), &keys, &range);
    if (err == 0) {
        err = node_rows_points(n, a, &keys, rows, again);
    }
    if (err == 0 && !*again && range.to.size > 0) {
        *again = f == NULL;
        err = f == NULL ? 0 : node_rows_merge(n, &range, f, rows, again);
    }
    buf_release(&keys.names);
    return err;
}
