/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Spans: where records begin and end follows from the offset alone. Of a span [from, to), the head
 * is what lies before the first boundary of records, the tail what lies behind the last one; a span
 * without a boundary is all head. In between are whole records, which go to the operator.
 */
#include "compute/reduce.h"

#include "base/num.h"
#include "compute/reduce_internal.h"

/* Numbers that are widened at once; 4 KiB, twice for dot. */
#define BATCH_MAX 512u
#define REAL_MAX 0x1.fffffffffffffp+1023
#define OFFSET_MAX ((uint64_t)INT64_MAX)

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_IS_LITTLE true
#else
#define HOST_IS_LITTLE false
#endif

struct compute_reduce {
    struct alloc alloc;
    struct compute_reduce_spec spec;
    uint64_t from;
    uint64_t to;
    uint64_t first_boundary; /* the least multiple of record_bytes not below from */
    struct compute_body body;
    const struct compute_whole *whole;
    uint8_t *pieces;   /* head, then tail: record_bytes each */
    uint64_t memory[]; /* the operator's words, then the pieces */
};

const char *compute_op_name(enum compute_op op)
{
    static const char *const names[COMPUTE_OPS + 1] = {
        "count",  "sum",    "min",       "max", "mean",     "var",      "varp", "dot",
        "argmin", "argmax", "histogram", "log", "quantile", "distinct", "top",  "or"};
    ASSERT(op <= COMPUTE_OP_OR);
    return names[op];
}

const char *compute_type_name(enum compute_type type)
{
    static const char *const names[COMPUTE_TYPES] = {"i8",  "u8",  "i16", "u16", "i32",
                                                     "u32", "i64", "u64", "f32", "f64"};
    ASSERT(type < COMPUTE_TYPES);
    return names[type];
}

unsigned compute_type_bytes(enum compute_type type)
{
    static const uint8_t bytes[COMPUTE_TYPES] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    ASSERT(type < COMPUTE_TYPES);
    return bytes[type];
}

static bool is_plus_zero(double v)
{
    static const double zero = 0;
    return memcmp(&v, &zero, sizeof(v)) == 0;
}

/* returns: whether count, low and high are what the operator takes. */
static bool parameters_are_valid(const struct compute_reduce_spec *s)
{
    const bool no_high = is_plus_zero(s->high);
    const bool no_low = is_plus_zero(s->low);
    switch (s->op) {
    case COMPUTE_OP_HISTOGRAM:
        return s->count >= 1 && s->count <= COMPUTE_BINS_MAX && s->low < s->high &&
               s->high - s->low <= REAL_MAX && s->low >= -REAL_MAX && s->high <= REAL_MAX;
    case COMPUTE_OP_LOG: return s->count <= COMPUTE_PARTS_MAX && no_low && no_high;
    case COMPUTE_OP_QUANTILE:
        return s->count <= COMPUTE_PARTS_MAX && s->low >= 0 && s->low <= 1 && no_high;
    case COMPUTE_OP_TOP: return s->count >= 1 && s->count <= COMPUTE_TOP_MAX && no_low && no_high;
    default: return s->count == 0 && no_low && no_high;
    }
}

static bool spec_is_valid(const struct compute_reduce_spec *s)
{
    if (s->op >= COMPUTE_OPS || s->type >= COMPUTE_TYPES || s->record_bytes > COMPUTE_RECORD_MAX) {
        return false;
    }
    const unsigned bytes = compute_type_bytes(s->type);
    return num_fits(s->field, bytes, s->record_bytes) &&
           num_fits(s->other, bytes, s->record_bytes) &&
           (s->op == COMPUTE_OP_DOT || s->other == 0) && parameters_are_valid(s);
}

size_t compute_reduce_bytes(const struct compute_reduce_spec *spec)
{
    return sizeof(struct compute_reduce) + compute_extra_words(spec) * sizeof(uint64_t) +
           2 * (size_t)spec->record_bytes;
}

int compute_reduce_new(struct compute_reduce **out, const struct alloc *alloc,
                       const struct compute_reduce_spec *spec, uint64_t from, struct err_info *why)
{
    if (!spec_is_valid(spec)) {
        return err_set(why, ERR_INVALID, "no such operator, or numbers at %u and %u of %u bytes",
                       (unsigned)spec->field, (unsigned)spec->other, (unsigned)spec->record_bytes);
    }
    if (from > OFFSET_MAX - COMPUTE_RECORD_MAX) {
        return err_set(why, ERR_RANGE, "span from byte %llu", (unsigned long long)from);
    }
    struct compute_reduce *r = alloc_get_zeroed(alloc, 1, compute_reduce_bytes(spec));
    if (r == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a state of '%s'",
                       compute_op_name(spec->op));
    }
    r->alloc = *alloc;
    r->spec = *spec;
    r->from = from;
    r->to = from;
    r->first_boundary = num_div_up(from, spec->record_bytes) * spec->record_bytes;
    r->pieces = (uint8_t *)(r->memory + compute_extra_words(spec));
    compute_body_init(&r->body, spec, r->memory);
    *out = r;
    return 0;
}

void compute_reduce_use(struct compute_reduce *r, const struct compute_whole *whole)
{
    r->whole = whole;
}

void compute_reduce_free(struct compute_reduce *r)
{
    if (r != NULL) {
        struct alloc alloc = r->alloc;
        alloc_put(&alloc, r, compute_reduce_bytes(&r->spec));
    }
}

static uint8_t *head_of(struct compute_reduce *r)
{
    return r->pieces;
}

static uint8_t *tail_of(struct compute_reduce *r)
{
    return r->pieces + r->spec.record_bytes;
}

static size_t head_bytes(const struct compute_reduce *r)
{
    return (size_t)(NUM_MIN(r->to, r->first_boundary) - r->from);
}

static size_t tail_bytes(const struct compute_reduce *r)
{
    return r->to <= r->first_boundary ? 0 : (size_t)(r->to % r->spec.record_bytes);
}

static uint64_t bits_of_f64(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static double f64_of_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint64_t bits_of_f32(uint32_t bits32)
{
    float narrow;
    memcpy(&narrow, &bits32, sizeof(narrow));
    return bits_of_f64((double)narrow);
}

static uint64_t sign_extended(uint64_t bits, unsigned width)
{
    const uint64_t sign = UINT64_C(1) << (width - 1);
    return (bits ^ sign) - sign;
}

/* Widens count numbers that lie stride bytes apart. */
static void widen(enum compute_type type, const uint8_t *at, size_t stride, size_t count,
                  uint64_t *into)
{
#define WIDEN(expression)                              \
    for (size_t i = 0; i < count; i++, at += stride) { \
        into[i] = (expression);                        \
    }                                                  \
    break
    switch (type) {
    case COMPUTE_I8: WIDEN(sign_extended(at[0], 8));
    case COMPUTE_U8: WIDEN(at[0]);
    case COMPUTE_I16: WIDEN(sign_extended(num_get_u16(at), 16));
    case COMPUTE_U16: WIDEN(num_get_u16(at));
    case COMPUTE_I32: WIDEN(sign_extended(num_get_u32(at), 32));
    case COMPUTE_U32: WIDEN(num_get_u32(at));
    case COMPUTE_F32: WIDEN(bits_of_f32(num_get_u32(at)));
    case COMPUTE_I64:
    case COMPUTE_U64:
    case COMPUTE_F64: WIDEN(num_get_u64(at));
    case COMPUTE_TYPES: break;
    }
#undef WIDEN
}

/* returns: whether records are numbers of 64 bits as the processor has them. */
static bool is_plain_array(const struct compute_reduce_spec *s)
{
    return HOST_IS_LITTLE && s->record_bytes == sizeof(uint64_t) &&
           compute_type_bytes(s->type) == sizeof(uint64_t);
}

/* Whole records, `first` the number of the first one. */
static void consume(struct compute_reduce *r, const uint8_t *at, size_t count, uint64_t first)
{
    const struct compute_reduce_spec *s = &r->spec;
    uint64_t values[BATCH_MAX];
    uint64_t others[BATCH_MAX];
    struct compute_batch batch = {
        .of = compute_class_of(s->type), .first = first, .whole = r->whole};
    if (s->op == COMPUTE_OP_COUNT || count == 0) {
        r->body.records += count;
        return;
    }
    if (is_plain_array(s)) {
        batch.values = at;
        batch.others = at;
        batch.count = count;
        compute_body_consume(&r->body, s, &batch);
        return;
    }
    while (count > 0) {
        batch.count = NUM_MIN(count, BATCH_MAX);
        batch.values = values;
        widen(s->type, at + s->field, s->record_bytes, batch.count, values);
        if (s->op == COMPUTE_OP_DOT) {
            batch.others = others;
            widen(s->type, at + s->other, s->record_bytes, batch.count, others);
        }
        compute_body_consume(&r->body, s, &batch);
        at += batch.count * s->record_bytes;
        count -= batch.count;
        batch.first += batch.count;
    }
}

/* Fills up the head. returns: bytes taken. */
static size_t take_head(struct compute_reduce *r, struct bytes data)
{
    if (r->to >= r->first_boundary) {
        return 0;
    }
    const size_t part = (size_t)NUM_MIN(r->first_boundary - r->to, data.size);
    memcpy(head_of(r) + head_bytes(r), data.data, part);
    r->to += part;
    return part;
}

/* Fills up a record that has begun. returns: bytes taken. */
static size_t take_tail(struct compute_reduce *r, struct bytes data)
{
    const size_t begun = tail_bytes(r);
    const size_t record = r->spec.record_bytes;
    if (begun == 0) {
        return 0;
    }
    const size_t part = NUM_MIN(record - begun, data.size);
    memcpy(tail_of(r) + begun, data.data, part);
    r->to += part;
    if (begun + part == record) {
        consume(r, tail_of(r), 1, r->to / record - 1);
    }
    return part;
}

int compute_reduce_update(struct compute_reduce *r, struct bytes data)
{
    const size_t record = r->spec.record_bytes;
    if (data.size > OFFSET_MAX - COMPUTE_RECORD_MAX - r->to) {
        return ERR_RANGE;
    }
    if (data.size == 0) {
        return 0;
    }
    size_t at = take_head(r, data);
    at += take_tail(r, bytes_of(data.data + at, data.size - at));
    const size_t count = (data.size - at) / record;
    if (data.size == at) {
        return 0;
    }
    ASSERT(r->to % record == 0);
    consume(r, data.data + at, count, r->to / record);
    at += count * record;
    memcpy(tail_of(r), data.data + at, data.size - at);
    r->to += data.size - at + count * record;
    return 0;
}

static bool specs_equal(const struct compute_reduce_spec *a, const struct compute_reduce_spec *b)
{
    return a->op == b->op && a->type == b->type && a->record_bytes == b->record_bytes &&
           a->field == b->field && a->other == b->other && a->count == b->count &&
           memcmp(&a->low, &b->low, sizeof(a->low)) == 0 &&
           memcmp(&a->high, &b->high, sizeof(a->high)) == 0;
}

bool compute_reduce_is_of(const struct compute_reduce *r, const struct compute_reduce_spec *spec,
                          uint64_t from, uint64_t to)
{
    return r->from == from && r->to == to && specs_equal(&r->spec, spec);
}

const struct compute_body *compute_reduce_body(const struct compute_reduce *r)
{
    return &r->body;
}

int compute_reduce_merge(struct compute_reduce *into, const struct compute_reduce *next)
{
    if (into->to != next->from || into == next || !specs_equal(&into->spec, &next->spec)) {
        return ERR_INVALID;
    }
    /* both fit: next's end was checked when next was made */
    TRY(compute_reduce_update(into, bytes_of(next->pieces, head_bytes(next))));
    if (next->to <= next->first_boundary) {
        return 0;
    }
    ASSERT(into->to == next->first_boundary);
    compute_body_merge(&into->body, &into->spec, &next->body);
    into->to = next->to - tail_bytes(next);
    return compute_reduce_update(
        into, bytes_of(next->pieces + next->spec.record_bytes, tail_bytes(next)));
}

int compute_reduce_next(struct compute_reduce *r)
{
    if (r->from != 0 || tail_bytes(r) != 0) {
        return ERR_RANGE;
    }
    if (r->spec.op == COMPUTE_OP_ARGMIN || r->spec.op == COMPUTE_OP_ARGMAX ||
        r->spec.op == COMPUTE_OP_TOP) {
        return ERR_INVALID;
    }
    r->to = 0;
    return 0;
}

int compute_reduce_finish(const struct compute_reduce *r, struct compute_value *out)
{
    if (r->from != 0 || tail_bytes(r) != 0) {
        return ERR_RANGE;
    }
    return compute_body_finish(&r->body, &r->spec, out);
}

int compute_reduce_text(const struct compute_reduce *r, struct buf *into)
{
    if (r->from != 0 || tail_bytes(r) != 0) {
        return ERR_RANGE;
    }
    return compute_body_text(&r->body, &r->spec, into);
}

int compute_reduce_encode(const struct compute_reduce *r, struct buf *into)
{
    const struct compute_reduce_spec *s = &r->spec;
    (void)buf_put_u8(into, COMPUTE_REDUCE_FORMAT);
    (void)buf_put_u8(into, (uint8_t)s->op);
    (void)buf_put_u8(into, (uint8_t)s->type);
    (void)buf_put_u32(into, s->record_bytes);
    (void)buf_put_u32(into, s->field);
    (void)buf_put_u32(into, s->other);
    (void)buf_put_u32(into, s->count);
    (void)buf_put_u64(into, bits_of_f64(s->low));
    (void)buf_put_u64(into, bits_of_f64(s->high));
    (void)buf_put_u64(into, r->from);
    (void)buf_put_u64(into, r->to);
    (void)buf_append(into, r->pieces, head_bytes(r));
    (void)buf_append(into, r->pieces + s->record_bytes, tail_bytes(r));
    return compute_body_encode(&r->body, s, into);
}

/* Everything behind the fixed fields. */
static int decode_rest(struct compute_reduce *r, uint64_t to, struct bytes_reader *reader)
{
    r->to = to;
    const struct bytes head = bytes_take(reader, head_bytes(r));
    const struct bytes tail = bytes_take(reader, tail_bytes(r));
    if (reader->failed) {
        return ERR_PROTOCOL;
    }
    if (head.size > 0) {
        memcpy(head_of(r), head.data, head.size);
    }
    if (tail.size > 0) {
        memcpy(tail_of(r), tail.data, tail.size);
    }
    if (to > r->first_boundary) {
        r->body.records = (to - r->first_boundary) / r->spec.record_bytes;
    }
    TRY(compute_body_decode(&r->body, &r->spec, r->first_boundary / r->spec.record_bytes, reader));
    return bytes_reader_ended(reader) ? 0 : ERR_PROTOCOL;
}

int compute_reduce_decode(struct compute_reduce **out, const struct alloc *alloc,
                          struct bytes encoded)
{
    struct bytes_reader reader = bytes_reader_of(encoded);
    struct compute_reduce *r = NULL;
    const uint8_t format = bytes_take_u8(&reader);
    struct compute_reduce_spec spec;
    spec.op = (enum compute_op)bytes_take_u8(&reader);
    spec.type = (enum compute_type)bytes_take_u8(&reader);
    spec.record_bytes = bytes_take_u32(&reader);
    spec.field = bytes_take_u32(&reader);
    spec.other = bytes_take_u32(&reader);
    spec.count = bytes_take_u32(&reader);
    spec.low = f64_of_bits(bytes_take_u64(&reader));
    spec.high = f64_of_bits(bytes_take_u64(&reader));
    const uint64_t from = bytes_take_u64(&reader);
    const uint64_t to = bytes_take_u64(&reader);
    if (!reader.failed && format > COMPUTE_REDUCE_FORMAT) {
        return ERR_LEVEL;
    }
    if (reader.failed || format == 0 || !spec_is_valid(&spec) || to < from ||
        to > OFFSET_MAX - COMPUTE_RECORD_MAX) {
        return ERR_PROTOCOL;
    }
    TRY(compute_reduce_new(&r, alloc, &spec, from, NULL));
    const int err = decode_rest(r, to, &reader);
    if (err != 0) {
        compute_reduce_free(r);
        return err;
    }
    *out = r;
    return 0;
}
