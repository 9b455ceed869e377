/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What replicated data types hold: questions to the own group. The rows of a path's records become
 * a state of the kernel, which is then read with the kernel's own functions, together with the
 * context of the region at the same moment. The answer is packed as the client gets it, so that a
 * node that passes a question on need not look inside.
 */
#include "server/node/eventual_api_internal.h"

#define EV_SIBLINGS_MAX 64u
#define EV_REPLY_BYTES (768u << 10)
#define EV_FIELD_SIBLINGS_BYTES (48u << 10) /* of a field in a page; of one value: half a reply */

static bool ev_is_set(uint8_t type)
{
    return type == CRDT_AW_SET || type == CRDT_RW_SET || type == CRDT_G_SET;
}

/* One value in many records: of some of them alone it would be another. */
static bool ev_is_one_of_many(uint8_t type)
{
    return type == CRDT_HLL || type == CRDT_BOUNDED;
}

/* ---- bodies --------------------------------------------------------------------------------- */

/* to: the first name that does not begin with from's bytes. */
static int ev_body_range(struct buf *out, struct bytes from, struct bytes prefix, bool exact)
{
    (void)buf_put_u16(out, (uint16_t)from.size);
    (void)buf_append(out, from.data, from.size);
    if (exact) {
        return buf_put_u16(out, 0);
    }
    while (prefix.size > 1 && prefix.data[prefix.size - 1] == 0xff) {
        prefix.size--;
    }
    (void)buf_put_u16(out, (uint16_t)prefix.size);
    TRY(buf_append(out, prefix.data, prefix.size));
    out->data[out->size - 1]++; /* a name begins with its kind, which is not 0xff */
    return 0;
}

struct ev_span {
    struct bytes prefix; /* of the kernel's keys */
    struct bytes from;   /* a name to begin with; empty: the prefix */
    bool after;          /* strictly after from */
    bool exact;
    uint32_t rows;
};

static int ev_body_begin(const struct node_ev_target *t, const struct ev_span *span,
                         struct buf *out)
{
    struct buf name;
    buf_init(&name, &out->alloc, NODE_NAME_BYTES_MAX);
    int err = node_ev_record_name(t->region, t->key, span->prefix, &name);
    struct bytes from = span->from.size > 0 ? span->from : buf_view(&name);
    err = err != 0 ? err : ev_body_range(out, from, buf_view(&name), span->exact);
    buf_release(&name);
    TRY(err);
    (void)buf_put_u8(out, span->after);
    (void)buf_put_u32(out, span->rows);
    (void)buf_put_u32(out, NODE_EV_ROW_BYTES);
    (void)buf_put_u8(out, t->region);
    return buf_put_u16(out, (uint16_t)(4 + t->key.size)); /* kind, region, length, key */
}

static int ev_path_key(const struct crdt_path *path, uint32_t names, bool typed, struct buf *out)
{
    for (uint32_t i = 0; i < names; i++) {
        uint8_t size[2] = {(uint8_t)(path->names[i].size >> 8), (uint8_t)path->names[i].size};
        (void)buf_put_u8(out, path->types[i]);
        (void)buf_append(out, size, 2);
        (void)buf_append(out, path->names[i].data, path->names[i].size);
    }
    return typed ? buf_put_u8(out, path->types[names]) : out->err;
}

int node_ev_prefix_body(const struct node_ev_target *t, struct bytes prefix, bool exact,
                        struct bytes resume, struct buf *out)
{
    struct ev_span span = {.prefix = prefix,
                           .from = resume,
                           .after = resume.size > 0,
                           .exact = exact,
                           .rows = NODE_EV_ROWS_MAX};
    buf_clear(out);
    return ev_body_begin(t, &span, out);
}

/* How many rows what is asked may need. */
static uint32_t ev_rows_for(const struct node_ev_question *q, uint8_t type)
{
    if (q->mode == NODE_EV_MEMBERS) {
        return type == CRDT_MAP ? CRDT_HLL_REGISTERS + 512 : q->limit;
    }
    if (q->mode == NODE_EV_VALUE && (type == CRDT_MAP || ev_is_set(type))) {
        return 512; /* whether there is anything */
    }
    return NODE_EV_ROWS_MAX;
}

/* The name that a page begins with. */
static int ev_body_after(const struct node_ev_target *t, const struct node_ev_question *q,
                         struct buf *prefix, struct buf *from)
{
    size_t size = prefix->size;
    TRY(buf_append(prefix, q->after.data, q->after.size));
    int err = node_ev_record_name(t->region, t->key, buf_view(prefix), from);
    prefix->size = size;
    if (err == 0 && t->path.types[t->path.count] == CRDT_MAP) {
        from->data[from->size - 1]++; /* a type: on beyond all of this field */
    }
    return err;
}

int node_ev_read_body(const struct node_ev_target *t, const struct node_ev_question *q,
                      struct buf *out)
{
    struct buf prefix;
    struct buf from;
    uint8_t type = t->path.types[t->path.count];
    struct ev_span span = {.rows = ev_rows_for(q, type)};
    buf_init(&prefix, &out->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&from, &out->alloc, NODE_NAME_BYTES_MAX);
    buf_clear(out);
    int err = ev_path_key(&t->path, t->path.count, type != 0, &prefix);
    if (err == 0 && q->mode == NODE_EV_HAS) {
        err = buf_append(&prefix, t->element.data, t->element.size);
        span.exact = true;
    } else if (err == 0 && q->mode == NODE_EV_MEMBERS && q->after.size > 0) {
        err = ev_body_after(t, q, &prefix, &from);
        span.after = type != CRDT_MAP;
    } else if (err == 0 && type == 0 && q->from_type > 0) {
        err = buf_put_u8(&prefix, q->from_type);
        err = err != 0 ? err : node_ev_record_name(t->region, t->key, buf_view(&prefix), &from);
        prefix.size--;
    }
    span.prefix = buf_view(&prefix);
    span.from = buf_view(&from);
    err = err != 0 ? err : ev_body_begin(t, &span, out);
    buf_release(&prefix);
    buf_release(&from);
    TRY(err);
    (void)buf_put_u8(out, (uint8_t)q->mode);
    (void)buf_put_u8(out, (uint8_t)t->path.count);
    (void)buf_append(out, t->path.types, t->path.count + 1);
    for (uint32_t i = 0; i < t->path.count; i++) {
        (void)buf_put_u16(out, (uint16_t)t->path.names[i].size);
        (void)buf_append(out, t->path.names[i].data, t->path.names[i].size);
    }
    struct bytes element = q->mode == NODE_EV_HAS ? t->element : bytes_of(NULL, 0);
    (void)buf_put_u16(out, (uint16_t)element.size);
    (void)buf_append(out, element.data, element.size);
    return buf_put_u32(out, q->limit);
}

/* ---- taking them apart ---------------------------------------------------------------------- */

struct ev_body {
    struct bytes from;
    struct bytes to;
    bool after;
    uint32_t rows;
    uint32_t bytes;
    uint8_t region;
    uint16_t skip;
    uint8_t mode;
    struct crdt_path path;
    struct bytes element;
    uint32_t limit;
};

static bool ev_body_name(struct bytes name)
{
    return name.size >= 2 && name.data[0] == NODE_KEY_EV_RECORD;
}

static int ev_body_head(struct bytes_reader *r, struct ev_body *b)
{
    b->from = bytes_take(r, bytes_take_u16(r));
    b->to = bytes_take(r, bytes_take_u16(r));
    b->after = bytes_take_u8(r) != 0;
    b->rows = bytes_take_u32(r);
    b->bytes = bytes_take_u32(r);
    b->region = bytes_take_u8(r);
    b->skip = bytes_take_u16(r);
    bool range = b->to.size > 0;
    if (r->failed || !ev_body_name(b->from) || (range && b->to.data[0] > NODE_KEY_EV_RECORD + 1) ||
        b->region >= NODE_EV_REGIONS || b->rows == 0 || b->rows > NODE_EV_ROWS_MAX) {
        return ERR_INVALID;
    }
    return 0;
}

static bool ev_path_sound(const struct ev_body *b)
{
    uint8_t type = b->path.types[b->path.count];
    for (uint32_t i = 0; i < b->path.count; i++) {
        if (b->path.types[i] != CRDT_MAP) {
            return false;
        }
    }
    switch (b->mode) {
    case NODE_EV_VALUE: return type <= CRDT_TYPES && b->to.size > 0;
    case NODE_EV_HAS: return ev_is_set(type) && b->to.size == 0;
    case NODE_EV_MEMBERS:
        return (ev_is_set(type) || type == CRDT_MAP) && b->to.size > 0 && b->limit > 0;
    default: return false;
    }
}

static int ev_body_path(struct bytes_reader *r, struct ev_body *b)
{
    b->mode = bytes_take_u8(r);
    uint8_t count = bytes_take_u8(r);
    if (r->failed || count > CRDT_DEPTH_MAX) {
        return ERR_INVALID;
    }
    b->path = (struct crdt_path){.count = count};
    for (uint32_t i = 0; i <= count; i++) {
        b->path.types[i] = bytes_take_u8(r);
    }
    for (uint32_t i = 0; i < count; i++) {
        b->path.names[i] = bytes_take(r, bytes_take_u16(r));
    }
    b->element = bytes_take(r, bytes_take_u16(r));
    b->limit = bytes_take_u32(r);
    return bytes_reader_ended(r) && ev_path_sound(b) ? 0 : ERR_INVALID;
}

static int ev_read_of(struct bytes body, struct ev_body *b)
{
    struct bytes_reader r = bytes_reader_of(body);
    TRY(ev_body_head(&r, b));
    return ev_body_path(&r, b);
}

static int ev_want(const struct ev_body *b, struct node_keys *keys, struct node_range *range)
{
    uint8_t region[2];
    node_ev_region_name(b->region, region);
    TRY(node_keys_add(keys, bytes_of(region, sizeof region)));
    region[0] = NODE_KEY_EV_AHEAD;
    TRY(node_keys_add(keys, bytes_of(region, sizeof region)));
    if (b->to.size == 0) {
        return node_keys_add(keys, b->from);
    }
    *range = (struct node_range){.from = b->from,
                                 .to = b->to,
                                 .after = b->after,
                                 .rows_max = b->rows,
                                 .bytes_max = b->bytes};
    return 0;
}

/* Rows of either kind of question. */
static unsigned ev_rows(const struct ev_body *b, const struct node_rows *rows)
{
    return b->to.size == 0 ? 1 : node_rows_count(rows);
}

/* returns: false if the record has no live entry. record_key: after the key's part of the name. */
static bool ev_row(const struct ev_body *b, const struct node_rows *rows, unsigned i,
                   struct bytes *name, struct bytes *value)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    if (b->to.size == 0) {
        *name = b->from;
        if (node_rows_get(rows, b->from, value) != 0) {
            return false;
        }
    } else {
        node_rows_at(rows, i, name, value);
    }
    return name->size > b->skip && node_ev_record_begin(*value, &entries, &removals) == 0 &&
           entries.left > 0;
}

static struct bytes ev_record_key(const struct ev_body *b, struct bytes name)
{
    return bytes_of(name.data + b->skip, name.size - b->skip);
}

/* ---- NAMES ---------------------------------------------------------------------------------- */

static int ev_names_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct ev_body b;
    TRY(ev_body_head(&r, &b));
    return bytes_reader_ended(&r) ? ev_want(&b, keys, range) : ERR_INVALID;
}

static int ev_names_answer(const struct node_query_ctx *q, struct bytes body,
                           const struct node_rows *rows, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct ev_body b;
    struct bytes name = {0};
    struct bytes value;
    (void)q;
    TRY(ev_body_head(&r, &b));
    bool more = b.to.size > 0 && node_rows_more(rows);
    unsigned count = ev_rows(&b, rows);
    if (more && count > 0) {
        node_rows_at(rows, count - 1, &name, &value);
    }
    (void)buf_put_u8(reply, more);
    (void)buf_put_u16(reply, (uint16_t)name.size);
    (void)buf_append(reply, name.data, name.size);
    for (unsigned i = 0; i < count; i++) {
        if (ev_row(&b, rows, i, &name, &value)) {
            struct bytes key = ev_record_key(&b, name);
            (void)buf_put_u16(reply, (uint16_t)key.size);
            (void)buf_append(reply, key.data, key.size);
        }
    }
    return reply->err;
}

/* ---- READ: values --------------------------------------------------------------------------- */

static void ev_pack_dot(struct buf *out, const struct crdt_sibling *s)
{
    (void)wire_pack_array(out, 5);
    (void)wire_pack_bin(out, s->value);
    (void)wire_pack_u64(out, s->dot.actor.node);
    (void)wire_pack_u64(out, s->dot.actor.epoch);
    (void)wire_pack_u64(out, s->dot.counter);
    (void)wire_pack_u64(out, s->time_us);
}

/* returns: how many of the siblings there is room for; one at least. */
static uint32_t ev_siblings_fit(const struct crdt_sibling *s, size_t count, size_t room)
{
    size_t bytes = 0;
    uint32_t fit = 0;
    while (fit < count && (fit == 0 || bytes + s[fit].value.size < room)) {
        bytes += s[fit++].value.size;
    }
    return fit;
}

static void ev_pack_siblings(struct buf *out, const struct crdt_sibling *s, uint32_t count)
{
    (void)wire_pack_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        ev_pack_dot(out, &s[i]);
    }
}

static void ev_pack_register(struct buf *out, const struct crdt_state *s,
                             const struct crdt_path *path, bool siblings)
{
    struct crdt_sibling all[EV_SIBLINGS_MAX];
    size_t count = crdt_siblings(s, path, all, EV_SIBLINGS_MAX);
    count = NUM_MIN(count, (size_t)EV_SIBLINGS_MAX);
    uint32_t fit = ev_siblings_fit(all, count, EV_REPLY_BYTES / 2);
    if (path->types[path->count] == CRDT_MV) {
        (void)wire_pack_array(out, fit);
        for (uint32_t i = 0; i < fit; i++) {
            (void)wire_pack_bin(out, all[i].value);
        }
    } else if (count > 0) {
        (void)wire_pack_bin(out, all[0].value);
    } else {
        (void)wire_pack_nil(out);
    }
    if (siblings) {
        (void)wire_pack_text(out, WIRE_FIELD_SIBLINGS);
        ev_pack_siblings(out, all, fit);
    }
}

/* The value at the end of path; of registers followed by the pair siblings, if wanted. */
static void ev_pack_value(struct buf *out, const struct crdt_state *s, const struct crdt_path *path,
                          bool siblings)
{
    int64_t number = 0;
    switch (path->types[path->count]) {
    case CRDT_G_COUNTER:
    case CRDT_PN_COUNTER:
    case CRDT_COUNTER:
    case CRDT_BOUNDED: (void)wire_pack_i64(out, crdt_counter(s, path)); break;
    case CRDT_LWW:
    case CRDT_MV: ev_pack_register(out, s, path, siblings); break;
    case CRDT_EW_FLAG:
    case CRDT_DW_FLAG: (void)wire_pack_bool(out, crdt_flag(s, path)); break;
    case CRDT_MAX:
    case CRDT_MIN:
        if (crdt_extreme(s, path, &number)) {
            (void)wire_pack_i64(out, number);
        } else {
            (void)wire_pack_nil(out);
        }
        break;
    case CRDT_HLL: (void)wire_pack_u64(out, crdt_hll(s, path)); break;
    default: (void)wire_pack_nil(out); break;
    }
}

static int ev_pack_rights(struct buf *out, const struct crdt_state *s, const struct crdt_path *path)
{
    struct crdt_holders all;
    struct crdt_holder one;
    TRY(crdt_holders_get(s, path, &all));
    (void)wire_pack_text(out, WIRE_FIELD_RIGHTS);
    (void)wire_pack_array(out, all.count);
    while (crdt_holders_take(&all, &one)) {
        (void)wire_pack_array(out, 3);
        (void)wire_pack_u64(out, one.actor.node);
        (void)wire_pack_u64(out, one.actor.epoch);
        (void)wire_pack_i64(out, one.rights);
    }
    crdt_holders_release(&all);
    return out->err;
}

static int ev_pack_item(struct buf *out, const struct ev_body *b, const struct crdt_state *s)
{
    uint8_t type = b->path.types[b->path.count];
    bool dots = type == CRDT_LWW || type == CRDT_MV;
    (void)wire_pack_map(out, dots || type == CRDT_BOUNDED ? 4 : 3);
    (void)wire_pack_text(out, WIRE_FIELD_TYPE);
    (void)wire_pack_u64(out, type);
    (void)wire_pack_text(out, WIRE_FIELD_FOUND);
    (void)wire_pack_bool(out, s->records > 0);
    (void)wire_pack_text(out, WIRE_FIELD_VALUE);
    if (b->mode == NODE_EV_HAS) {
        return wire_pack_bool(out, crdt_set_has(s, &b->path, b->element));
    }
    ev_pack_value(out, s, &b->path, true);
    return type == CRDT_BOUNDED ? ev_pack_rights(out, s, &b->path) : out->err;
}

/* The type of a record under the path: the byte where the path's last type stands. */
static uint8_t ev_type_at(const struct ev_body *b, struct bytes name)
{
    size_t at = b->skip;
    for (uint32_t i = 0; i < b->path.count; i++) {
        at += 3 + b->path.names[i].size;
    }
    return at < name.size ? name.data[at] : 0;
}

/* Loads the rows of one type; the path's last one, or the first there is. next: whether types
 * above it may be there. returns: 0 with *whole: whether all of its rows are here. */
static int ev_load(struct ev_body *b, const struct node_rows *rows, struct crdt_state *s,
                   uint8_t *next, bool *whole)
{
    uint8_t *type = &b->path.types[b->path.count];
    bool any = *type == 0;
    *next = 0;
    *whole = true;
    for (unsigned i = 0; i < ev_rows(b, rows); i++) {
        struct bytes name;
        struct bytes value;
        if (!ev_row(b, rows, i, &name, &value)) {
            continue;
        }
        uint8_t found = ev_type_at(b, name);
        *type = *type == 0 ? found : *type;
        if (found != *type) {
            *next = found;
            return 0;
        }
        TRY(node_ev_record_load(s, ev_record_key(b, name), value));
    }
    *whole = b->to.size == 0 || !node_rows_more(rows);
    if (any && !*whole) {
        *next = *type == 0 ? 0 : (uint8_t)(*type + 1);
    }
    return 0;
}

static int ev_answer_value(struct ev_body *b, const struct node_rows *rows, struct buf *reply)
{
    struct crdt_state s;
    uint8_t next = 0;
    bool whole = true;
    crdt_state_init(&s, &rows->alloc);
    int err = ev_load(b, rows, &s, &next, &whole);
    uint8_t type = b->path.types[b->path.count];
    if (err == 0 && !whole && ev_is_one_of_many(type)) {
        err = ERR_TOO_LARGE; /* names so long that its records fill more than an answer reads */
    }
    if (err == 0) {
        (void)buf_put_u8(reply, type);
        (void)buf_put_u8(reply, next);
        if (type != 0) {
            err = ev_pack_item(reply, b, &s);
        }
    }
    crdt_state_release(&s);
    return err != 0 ? err : reply->err;
}

/* ---- READ: members -------------------------------------------------------------------------- */

/* A page under construction: items are packed apart, as their number comes first. */
struct ev_page {
    struct buf items;
    uint32_t count;
    struct bytes next; /* view; empty: the end */
};

static int ev_page_end(struct ev_page *p, struct buf *reply)
{
    (void)wire_pack_text(reply, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(reply, p->count);
    (void)buf_append(reply, p->items.data, p->items.size);
    (void)wire_pack_text(reply, WIRE_FIELD_NEXT);
    if (p->next.size > 0) {
        (void)wire_pack_bin(reply, p->next);
    } else {
        (void)wire_pack_nil(reply);
    }
    return p->items.err != 0 ? p->items.err : reply->err;
}

/* What a record's name has after the path. */
static struct bytes ev_rest(const struct ev_body *b, struct bytes name)
{
    size_t at = (size_t)b->skip + 1;
    for (uint32_t i = 0; i < b->path.count; i++) {
        at += 3 + b->path.names[i].size;
    }
    return name.size > at ? bytes_of(name.data + at, name.size - at) : bytes_of(NULL, 0);
}

static struct bytes ev_last_rest(const struct ev_body *b, const struct node_rows *rows)
{
    struct bytes name;
    struct bytes value;
    unsigned count = node_rows_count(rows);
    if (count == 0) {
        return bytes_of(NULL, 0);
    }
    node_rows_at(rows, count - 1, &name, &value);
    return ev_rest(b, name);
}

static void ev_page_set(struct ev_page *p, const struct ev_body *b, const struct node_rows *rows,
                        const struct crdt_state *s)
{
    struct bytes at = {0};
    while (crdt_set_next(s, &b->path, &at)) {
        if (p->count > 0 && p->items.size + at.size > EV_REPLY_BYTES) {
            return; /* it begins the next page */
        }
        (void)wire_pack_bin(&p->items, at);
        p->count++;
        p->next = at;
    }
    p->next = bytes_of(NULL, 0);
    if (node_rows_more(rows)) {
        p->next = ev_last_rest(b, rows);
    }
}

/* A field's part of what a record's name has after the path: u16be length, name, type. */
static struct bytes ev_field_part(struct bytes rest)
{
    size_t size = rest.size >= 3 ? (size_t)rest.data[0] << 8 | rest.data[1] : 0;
    return rest.size >= 3 + size ? bytes_of(rest.data, 3 + size) : bytes_of(NULL, 0);
}

static struct bytes ev_field_cursor(const struct ev_body *b, const struct node_rows *rows,
                                    const struct crdt_field *f)
{
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        struct bytes part = ev_field_part(ev_rest(b, name));
        if (part.size == 3 + f->name.size && part.data[part.size - 1] == f->type &&
            memcmp(part.data + 2, f->name.data, f->name.size) == 0) {
            return part;
        }
    }
    return bytes_of(NULL, 0);
}

/* cut: not all of its records are here. */
static int ev_pack_field(struct buf *out, const struct ev_body *b, const struct crdt_state *s,
                         const struct crdt_field *f, bool cut)
{
    struct crdt_path path = b->path;
    struct crdt_sibling all[EV_SIBLINGS_MAX];
    bool dots = f->type == CRDT_LWW || f->type == CRDT_MV;
    (void)wire_pack_array(out, dots ? 4 : 3);
    (void)wire_pack_bin(out, f->name);
    (void)wire_pack_u64(out, f->type);
    if (crdt_path_push(&path, f->name, f->type) != 0 || (cut && ev_is_one_of_many(f->type))) {
        (void)wire_pack_nil(out);
        return dots ? wire_pack_array(out, 0) : out->err;
    }
    ev_pack_value(out, s, &path, false);
    if (dots) {
        size_t count = crdt_siblings(s, &path, all, EV_SIBLINGS_MAX);
        count = NUM_MIN(count, (size_t)EV_SIBLINGS_MAX);
        ev_pack_siblings(out, all, ev_siblings_fit(all, count, EV_FIELD_SIBLINGS_BYTES));
    }
    return out->err;
}

/* The last field of a page that was cut may have more records: it begins the next page, unless it
 * is the first of this one; then it is a set, a map, or given without its value. So does a field
 * that would make the page too large: the first one alone never does. */
static void ev_page_map(struct ev_page *p, const struct ev_body *b, const struct node_rows *rows,
                        const struct crdt_state *s)
{
    struct crdt_field at = {0};
    struct crdt_field given = {0};
    bool more = node_rows_more(rows);
    struct bytes cut = more ? ev_field_part(ev_last_rest(b, rows)) : bytes_of(NULL, 0);
    while (crdt_map_next(s, &b->path, &at)) {
        bool last = cut.size == 3 + at.name.size && cut.data[cut.size - 1] == at.type &&
                    memcmp(cut.data + 2, at.name.data, at.name.size) == 0;
        size_t before = p->items.size;
        bool full = p->count == b->limit || (last && p->count > 0);
        if (!full) {
            (void)ev_pack_field(&p->items, b, s, &at, last);
        }
        if (full || (p->count > 0 && p->items.size > EV_REPLY_BYTES)) {
            p->items.size = before;
            p->next = ev_field_cursor(b, rows, &given);
            return;
        }
        p->count++;
        given = at;
    }
    p->next = cut;
}

static int ev_answer_members(struct ev_body *b, const struct node_rows *rows, struct buf *reply)
{
    struct crdt_state s;
    uint8_t next;
    bool whole;
    uint8_t type = b->path.types[b->path.count];
    struct ev_page page = {0};
    buf_init(&page.items, &rows->alloc, 2 * (size_t)EV_REPLY_BYTES);
    crdt_state_init(&s, &rows->alloc);
    int err = ev_load(b, rows, &s, &next, &whole);
    if (err == 0 && type == CRDT_MAP) {
        ev_page_map(&page, b, rows, &s);
    } else if (err == 0) {
        ev_page_set(&page, b, rows, &s);
    }
    err = err != 0 ? err : ev_page_end(&page, reply);
    buf_release(&page.items);
    crdt_state_release(&s);
    return err;
}

/* ---- READ ----------------------------------------------------------------------------------- */

static int ev_read_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct ev_body b;
    TRY(ev_read_of(body, &b));
    return ev_want(&b, keys, range);
}

static int ev_read_answer(const struct node_query_ctx *q, struct bytes body,
                          const struct node_rows *rows, struct buf *reply)
{
    struct ev_body b;
    struct node_ev_region region = {0};
    struct bytes raw = {0};
    struct bytes ahead = {0};
    struct buf clock;
    uint8_t name[2];
    (void)q;
    TRY(ev_read_of(body, &b));
    node_ev_region_name(b.region, name);
    (void)node_rows_get(rows, bytes_of(name, sizeof name), &raw);
    name[0] = NODE_KEY_EV_AHEAD;
    (void)node_rows_get(rows, bytes_of(name, sizeof name), &ahead);
    crdt_context_init(&region.seen, &rows->alloc);
    buf_init(&clock, &rows->alloc, NODE_REPLY_BYTES_MAX);
    int err = node_ev_region_decode(raw, &region);
    err = err != 0 ? err : crdt_context_encode(&region.seen, &clock);
    if (err == 0) {
        (void)buf_put_u64(reply, region.time_us);
        (void)buf_put_bytes(reply, buf_view(&clock));
        (void)buf_put_bytes(reply, ahead);
        err = b.mode == NODE_EV_MEMBERS ? ev_answer_members(&b, rows, reply)
                                        : ev_answer_value(&b, rows, reply);
    }
    buf_release(&clock);
    crdt_context_release(&region.seen);
    return err;
}

/* ---- WHO ------------------------------------------------------------------------------------ */

/* Body: any byte. Reply: epoch u64, or nothing. */
static int ev_who_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    static const uint8_t name[1] = {NODE_KEY_EV_SELF};
    (void)body;
    (void)range;
    return node_keys_add(keys, bytes_of(name, sizeof name));
}

static int ev_who_answer(const struct node_query_ctx *q, struct bytes body,
                         const struct node_rows *rows, struct buf *reply)
{
    static const uint8_t name[1] = {NODE_KEY_EV_SELF};
    struct bytes raw;
    (void)q;
    (void)body;
    if (node_rows_get(rows, bytes_of(name, sizeof name), &raw) != 0) {
        return 0;
    }
    struct bytes_reader r = bytes_reader_of(raw);
    (void)bytes_take(&r, 1 + 8 + 8); /* format, boot, nonce */
    uint64_t epoch = bytes_take_u64(&r);
    return r.failed ? ERR_CORRUPT : buf_put_u64(reply, epoch);
}

/* ---- HOLDERS -------------------------------------------------------------------------------- */

static int ev_holders_put(const struct crdt_state *s, const struct crdt_path *path,
                          struct buf *reply)
{
    struct crdt_holders all;
    struct crdt_holder one;
    TRY(crdt_holders_get(s, path, &all));
    (void)buf_put_u32(reply, all.count);
    while (crdt_holders_take(&all, &one)) {
        (void)buf_put_u32(reply, one.actor.node);
        (void)buf_put_u64(reply, one.actor.epoch);
        (void)buf_put_u64(reply, (uint64_t)one.rights);
    }
    crdt_holders_release(&all);
    return reply->err;
}

/* Body of READ. Reply: count u32, each: node u32, epoch u64, rights u64; to the end the names of
 * the records that say so: length u16, record key. */
static int ev_holders_answer(const struct node_query_ctx *q, struct bytes body,
                             const struct node_rows *rows, struct buf *reply)
{
    struct ev_body b;
    struct crdt_state s;
    struct bytes name;
    struct bytes value;
    uint8_t next = 0;
    bool whole = true;
    (void)q;
    TRY(ev_read_of(body, &b));
    crdt_state_init(&s, &rows->alloc);
    int err = ev_load(&b, rows, &s, &next, &whole);
    err = err == 0 && !whole ? ERR_TOO_LARGE : err;
    err = err != 0 ? err : ev_holders_put(&s, &b.path, reply);
    for (unsigned i = 0; err == 0 && i < ev_rows(&b, rows); i++) {
        if (ev_row(&b, rows, i, &name, &value)) {
            struct bytes key = ev_record_key(&b, name);
            (void)buf_put_u16(reply, (uint16_t)key.size);
            err = buf_append(reply, key.data, key.size);
        }
    }
    crdt_state_release(&s);
    return err != 0 ? err : reply->err;
}

const struct node_query_op node_ev_read_queries[] = {
    {NODE_QUERY_EV_READ, "ev_read", ev_read_want, ev_read_answer},
    {NODE_QUERY_EV_NAMES, "ev_names", ev_names_want, ev_names_answer},
    {NODE_QUERY_EV_WHO, "ev_who", ev_who_want, ev_who_answer},
    {NODE_QUERY_EV_HOLDERS, "ev_holders", ev_read_want, ev_holders_answer},
    {0, NULL, NULL, NULL},
};
