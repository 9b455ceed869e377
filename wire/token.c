/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of a session. Ranges are kept sorted and apart, so that joining is a union and equal
 * tokens have equal bytes.
 */
#include "wire/token.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/num.h"

#include <string.h>

#define TOKEN_GROUP_BYTES 12u
#define TOKEN_RANGE_BYTES 29u
_Static_assert(9 + WIRE_TOKEN_GROUPS_MAX * TOKEN_GROUP_BYTES +
                       WIRE_TOKEN_RANGES_MAX * TOKEN_RANGE_BYTES <=
                   WIRE_TOKEN_BYTES_MAX,
               "a full token fits");

void wire_token_init(struct wire_token *t, const struct alloc *alloc)
{
    *t = (struct wire_token){.alloc = *alloc};
}

void wire_token_release(struct wire_token *t)
{
    alloc_put(&t->alloc, t->ranges, t->ranges_cap * sizeof(*t->ranges));
    *t = (struct wire_token){.alloc = t->alloc};
}

bool wire_token_empty(const struct wire_token *t)
{
    return t->groups_count == 0 && t->ranges_count == 0;
}

/* ---- groups --------------------------------------------------------------------------------- */

static uint32_t token_group_at(const struct wire_token *t, uint32_t group)
{
    uint32_t i = 0;
    while (i < t->groups_count && t->groups[i].group < group) {
        i++;
    }
    return i;
}

int wire_token_add_group(struct wire_token *t, uint32_t group, uint64_t index)
{
    uint32_t i = token_group_at(t, group);
    if (i < t->groups_count && t->groups[i].group == group) {
        t->groups[i].index = NUM_MAX(t->groups[i].index, index);
        return 0;
    }
    if (t->groups_count == WIRE_TOKEN_GROUPS_MAX) {
        return ERR_TOO_LARGE;
    }
    memmove(&t->groups[i + 1], &t->groups[i], (t->groups_count - i) * sizeof(t->groups[0]));
    t->groups[i] = (struct wire_token_group){.group = group, .index = index};
    t->groups_count++;
    return 0;
}

uint64_t wire_token_index(const struct wire_token *t, uint32_t group)
{
    uint32_t i = token_group_at(t, group);
    return i < t->groups_count && t->groups[i].group == group ? t->groups[i].index : 0;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* By region and actor. */
static int token_order(const struct wire_token_range *a, const struct wire_token_range *b)
{
    if (a->region != b->region) {
        return a->region < b->region ? -1 : 1;
    }
    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    return a->epoch == b->epoch ? 0 : a->epoch < b->epoch ? -1 : 1;
}

/* Whether a lies wholly before b, with at least one counter between them. */
static bool token_before(const struct wire_token_range *a, const struct wire_token_range *b)
{
    int order = token_order(a, b);
    return order != 0 ? order < 0 : b->from > 1 && a->to < b->from - 1;
}

static int token_reserve(struct wire_token *t)
{
    if (t->ranges_count < t->ranges_cap) {
        return 0;
    }
    uint32_t cap = NUM_MIN(NUM_MAX(t->ranges_cap * 2, 8u), WIRE_TOKEN_RANGES_MAX);
    if (cap == t->ranges_cap) {
        return ERR_TOO_LARGE;
    }
    struct wire_token_range *ranges = alloc_get(&t->alloc, cap * sizeof(*ranges));
    if (ranges == NULL) {
        return ERR_NO_MEMORY;
    }
    if (t->ranges_count > 0) {
        memcpy(ranges, t->ranges, t->ranges_count * sizeof(*ranges));
    }
    alloc_put(&t->alloc, t->ranges, t->ranges_cap * sizeof(*ranges));
    t->ranges = ranges;
    t->ranges_cap = cap;
    return 0;
}

/* returns: the place of the first that does not lie wholly before. */
static uint32_t token_range_at(const struct wire_token *t, const struct wire_token_range *range)
{
    uint32_t low = 0;
    uint32_t high = t->ranges_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (token_before(&t->ranges[mid], range)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* returns: whether the range's epoch is folded in t. */
static bool token_folds(const struct wire_token *t, const struct wire_token_range *range)
{
    const struct wire_token_range epoch = {
        .region = range->region, .node = range->node, .from = range->epoch, .to = range->epoch};
    if (range->epoch == WIRE_TOKEN_FOLDED) {
        return false;
    }
    for (uint32_t i = token_range_at(t, &epoch); i < t->ranges_count; i++) {
        if (token_order(&t->ranges[i], &epoch) != 0 || t->ranges[i].from > range->epoch) {
            return false;
        }
        if (t->ranges[i].to >= range->epoch) {
            return true;
        }
    }
    return false;
}

/* Takes away the ranges of epochs that the fold covers. */
static void token_settle(struct wire_token *t, const struct wire_token_range *fold)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->ranges_count; i++) {
        const struct wire_token_range *r = &t->ranges[i];
        bool covered = r->region == fold->region && r->node == fold->node &&
                       r->epoch != WIRE_TOKEN_FOLDED && r->epoch >= fold->from &&
                       r->epoch <= fold->to;
        if (!covered) {
            t->ranges[kept++] = *r;
        }
    }
    t->ranges_count = kept;
}

int wire_token_add_range(struct wire_token *t, const struct wire_token_range *range)
{
    struct wire_token_range all = *range;
    if (all.from == 0 || all.from > all.to || all.node == 0) {
        return ERR_INVALID;
    }
    if (token_folds(t, &all)) {
        return 0;
    }
    if (all.epoch == WIRE_TOKEN_FOLDED) {
        token_settle(t, &all); /* first, so that there is room where there was none */
    }
    uint32_t low = token_range_at(t, &all);
    uint32_t end = low;
    while (end < t->ranges_count && !token_before(&all, &t->ranges[end])) {
        all.from = NUM_MIN(all.from, t->ranges[end].from);
        all.to = NUM_MAX(all.to, t->ranges[end].to);
        end++;
    }
    if (end == low) {
        TRY(token_reserve(t));
    }
    struct wire_token_range *at = &t->ranges[low];
    memmove(at + 1, &t->ranges[end], (t->ranges_count - end) * sizeof(*at));
    *at = all;
    t->ranges_count = t->ranges_count - (end - low) + 1;
    ASSERT(t->ranges_count <= t->ranges_cap);
    return 0;
}

int wire_token_join(struct wire_token *into, const struct wire_token *from)
{
    for (uint32_t i = 0; i < from->groups_count; i++) {
        TRY(wire_token_add_group(into, from->groups[i].group, from->groups[i].index));
    }
    for (uint32_t i = 0; i < from->ranges_count; i++) {
        TRY(wire_token_add_range(into, &from->ranges[i]));
    }
    return 0;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static bool token_folded(const struct wire_token *t)
{
    for (uint32_t i = 0; i < t->ranges_count; i++) {
        if (t->ranges[i].epoch == WIRE_TOKEN_FOLDED) {
            return true;
        }
    }
    return false;
}

int wire_token_encode(const struct wire_token *t, struct buf *out)
{
    size_t at = out->size;
    if (wire_token_empty(t)) {
        return out->err;
    }
    (void)buf_put_u8(out, token_folded(t) ? WIRE_TOKEN_LEVEL : 1);
    (void)buf_put_u16(out, (uint16_t)t->groups_count);
    for (uint32_t i = 0; i < t->groups_count; i++) {
        (void)buf_put_u32(out, t->groups[i].group);
        (void)buf_put_u64(out, t->groups[i].index);
    }
    (void)buf_put_u16(out, (uint16_t)t->ranges_count);
    for (uint32_t i = 0; i < t->ranges_count; i++) {
        const struct wire_token_range *r = &t->ranges[i];
        (void)buf_put_u8(out, r->region);
        (void)buf_put_u32(out, r->node);
        (void)buf_put_u64(out, r->epoch);
        (void)buf_put_u64(out, r->from);
        (void)buf_put_u64(out, r->to);
    }
    TRY(out->err);
    return buf_put_u32(out, crc_of(out->data + at, out->size - at));
}

static int token_decode_ranges(struct wire_token *t, struct bytes_reader *r, uint8_t level)
{
    uint32_t ranges = bytes_take_u16(r);
    for (uint32_t i = 0; i < ranges && !r->failed; i++) {
        struct wire_token_range range = {.region = bytes_take_u8(r)};
        range.node = bytes_take_u32(r);
        range.epoch = bytes_take_u64(r);
        range.from = bytes_take_u64(r);
        range.to = bytes_take_u64(r);
        bool bad = r->failed || (level == 1 && range.epoch == WIRE_TOKEN_FOLDED);
        int err = bad ? ERR_PROTOCOL : wire_token_add_range(t, &range);
        if (err != 0) {
            return err == ERR_INVALID ? ERR_PROTOCOL : err;
        }
    }
    return 0;
}

int wire_token_decode(struct wire_token *t, struct bytes v)
{
    if (v.size == 0) {
        return 0;
    }
    if (v.size > WIRE_TOKEN_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    if (v.size < 9) {
        return ERR_PROTOCOL;
    }
    struct bytes_reader end = bytes_reader_of(bytes_of(v.data + v.size - 4, 4));
    if (crc_of(v.data, v.size - 4) != bytes_take_u32(&end)) {
        return ERR_CORRUPT;
    }
    struct bytes_reader r = bytes_reader_of(bytes_of(v.data, v.size - 4));
    uint8_t level = bytes_take_u8(&r);
    if (level == 0 || level > WIRE_TOKEN_LEVEL) {
        return ERR_LEVEL;
    }
    uint32_t groups = bytes_take_u16(&r);
    for (uint32_t i = 0; i < groups && !r.failed; i++) {
        uint32_t group = bytes_take_u32(&r);
        uint64_t index = bytes_take_u64(&r);
        TRY(r.failed ? ERR_PROTOCOL : wire_token_add_group(t, group, index));
    }
    TRY(token_decode_ranges(t, &r, level));
    return bytes_reader_ended(&r) ? 0 : ERR_PROTOCOL;
}

/* ---- text ----------------------------------------------------------------------------------- */

static const char token_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int wire_token_to_text(struct bytes v, struct buf *out)
{
    for (size_t i = 0; i < v.size; i += 3) {
        size_t left = NUM_MIN(v.size - i, (size_t)3);
        uint32_t bits = (uint32_t)v.data[i] << 16;
        bits |= left > 1 ? (uint32_t)v.data[i + 1] << 8 : 0;
        bits |= left > 2 ? v.data[i + 2] : 0;
        for (size_t j = 0; j <= left; j++) {
            (void)buf_put_u8(out, (uint8_t)token_digits[bits >> (18 - 6 * j) & 63]);
        }
    }
    return out->err;
}

static bool token_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int wire_token_of_text(struct bytes text, struct buf *out)
{
    uint32_t bits = 0;
    unsigned held = 0;
    while (text.size > 0 && token_space(text.data[0])) {
        text = bytes_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && token_space(text.data[text.size - 1])) {
        text.size--;
    }
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(token_digits, text.data[i], 64);
        if (digit == NULL) {
            return ERR_PROTOCOL;
        }
        bits = bits << 6 | (uint32_t)(digit - token_digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            (void)buf_put_u8(out, (uint8_t)(bits >> held));
        }
        bits &= (1u << held) - 1;
    }
    if (held >= 6 || bits != 0) {
        return ERR_PROTOCOL; /* a digit too many, or bits that no byte takes */
    }
    return out->err;
}
