/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Values of a scan as a span keeps them, in the order of the records. Of a dense plan they are the
 * bytes of the field, one behind the other. Else each has a mark, then how many records behind the
 * value before have none, if any do, and as many bytes of the number as it needs
 * (docs/formats.md).
 */
#include "base/num.h"
#include "compute/task_internal.h"

#define KIND_NONE 0u
#define KIND_WHOLE 1u
#define KIND_MINUS 2u
#define KIND_REAL 3u
#define KINDS 3u
#define BEGINS 4u
#define SKIPS 8u
#define BYTES_SHIFT 4u
#define WORD sizeof(uint64_t)
#define GROUP 7u /* bits of a byte of what is skipped; the eighth says that more follow */

static unsigned bytes_of_word(uint64_t word)
{
    unsigned bytes = 0;
    for (; word > 0; word >>= 8) {
        bytes++;
    }
    return bytes;
}

/* The bits of a double with its bytes turned round, as those at the end are often zeros. */
static uint64_t turned(uint64_t word)
{
    uint8_t bytes[WORD];
    num_put_u64(bytes, word);
    return num_get_u64_be(bytes);
}

static uint64_t word_of(const struct compute_number *n)
{
    uint64_t bits;
    if (!n->is_real) {
        return n->size;
    }
    memcpy(&bits, &n->real, sizeof(bits));
    return turned(bits);
}

int compute_scan_put(const struct compute_program *p, const struct compute_scan_value *v,
                     struct buf *into)
{
    uint8_t bytes[WORD] = {0};
    const struct compute_number *n = &v->number;
    const uint64_t word = v->has_number ? word_of(n) : 0;
    const unsigned count = bytes_of_word(word);
    const unsigned kind = !v->has_number ? KIND_NONE
                          : n->is_real   ? KIND_REAL
                          : n->minus     ? KIND_MINUS
                                         : KIND_WHOLE;
    (void)buf_put_u8(into, (uint8_t)(kind | (v->begins ? BEGINS : 0) |
                                     (v->skipped > 0 ? SKIPS : 0) | count << BYTES_SHIFT));
    for (uint64_t left = v->skipped; left > 0; left >>= GROUP) {
        const unsigned low = (unsigned)(left & ((1u << GROUP) - 1));
        (void)buf_put_u8(into, (uint8_t)(low | (left >> GROUP > 0 ? 1u << GROUP : 0)));
    }
    num_put_u64(bytes, word);
    (void)buf_append(into, bytes, count);
    return p->selects > 0 ? buf_put_bytes(into, v->text) : into->err;
}

static uint64_t take_skipped(struct bytes_reader *from)
{
    uint64_t skipped = 0;
    for (unsigned shift = 0; shift < 63; shift += GROUP) {
        const uint8_t byte = bytes_take_u8(from);
        skipped |= (uint64_t)(byte & ((1u << GROUP) - 1)) << shift;
        if (byte >> GROUP == 0) {
            from->failed = from->failed || byte == 0;
            return skipped;
        }
    }
    from->failed = true;
    return 0;
}

/* returns: whether the program gives such numbers. */
static bool may_be(const struct compute_program *p, unsigned kind)
{
    const bool whole = p->scan.raw && p->scan.type != COMPUTE_F64 && p->scan.op != COMPUTE_OP_OR;
    return p->scan.op == COMPUTE_OP_COUNT ? kind == KIND_NONE : kind != KIND_REAL || !whole;
}

void compute_scan_take(const struct compute_program *p, struct bytes_reader *from,
                       struct compute_scan_value *out)
{
    uint8_t bytes[WORD] = {0};
    const unsigned mark = bytes_take_u8(from);
    const unsigned kind = mark & KINDS;
    const size_t count = mark >> BYTES_SHIFT;
    *out = (struct compute_scan_value){.begins = (mark & BEGINS) != 0,
                                       .has_number = kind != KIND_NONE};
    out->skipped = (mark & SKIPS) != 0 ? take_skipped(from) : 0;
    const struct bytes digits = bytes_take(from, NUM_MIN(count, WORD));
    if (digits.size > 0) {
        memcpy(bytes, digits.data, digits.size);
    }
    const uint64_t word = num_get_u64(bytes);
    if (p->selects > 0) {
        out->text = bytes_take_bytes(from, from->left);
    }
    if (count > WORD || bytes_of_word(word) != count || (kind == KIND_NONE && count > 0) ||
        (kind == KIND_MINUS && (word == 0 || word > UINT64_C(1) << 63)) ||
        (out->begins && !p->scan.segments) || !may_be(p, kind)) {
        from->failed = true;
        return;
    }
    out->number = kind == KIND_REAL
                      ? compute_number_of_real(0)
                      : (struct compute_number){.minus = kind == KIND_MINUS, .size = word};
    if (kind == KIND_REAL) {
        const uint64_t bits = turned(word);
        memcpy(&out->number.real, &bits, sizeof(bits));
    }
}

bool compute_scan_is_sound(const struct compute_program *p, struct compute_reading *r)
{
    struct bytes_reader from = bytes_reader_of(buf_view(&r->values));
    const uint64_t records = r->fault.kind != COMPUTE_FAULT_NONE ? r->fault.record : r->records;
    const uint32_t bytes = compute_type_bytes(p->scan.column.type);
    struct compute_scan_value v;
    if (p->scan.dense) {
        return r->values.size % bytes == 0 && r->values.size / bytes == records;
    }
    r->values_to = 0;
    while (from.left > 0) {
        compute_scan_take(p, &from, &v);
        if (from.failed || v.skipped >= records - r->values_to) {
            return false;
        }
        r->values_to += v.skipped + 1;
    }
    return true;
}
