/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of programs: reading, comparing, arithmetic.
 */
#include "compute/number_internal.h"

#include "base/num.h"

#include <math.h>
#include <stdlib.h>

#define REAL_BITS 53
#define REST_BITS 11                  /* so that the bits of a number, so many higher, are 64 */
#define MINUS_MAX (UINT64_C(1) << 63) /* the size of the least whole number */
#define EXACT_MAX (UINT64_C(1) << 53) /* doubles hold every whole number up to it */
#define EXPONENT_MAX 99999            /* more digits of an exponent change nothing */
#define SHORT_MAX 18u                 /* so many digits are a number of 64 bits */
#define TENS_MAX 22                   /* 10^22 is the last power of ten that is a double */

static const double tens[TENS_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* --- text --- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static struct bytes trimmed(struct bytes t)
{
    while (t.size > 0 && (t.data[0] == ' ' || t.data[0] == '\t')) {
        t = bytes_of(t.data + 1, t.size - 1);
    }
    while (t.size > 0 && (t.data[t.size - 1] == ' ' || t.data[t.size - 1] == '\t')) {
        t.size--;
    }
    return t;
}

/* A text's parts. */
struct scan {
    uint64_t digits; /* all of them as a whole number, unless `many` */
    bool many;       /* they are more than fit */
    size_t count;
    int exponent; /* of ten */
    bool whole;   /* no point and no exponent */
    bool minus;
};

static size_t scan_digits(struct bytes t, size_t at, struct scan *s)
{
    for (; at < t.size && is_digit(t.data[at]); at++) {
        const uint64_t digit = (uint64_t)(t.data[at] - '0');
        s->many = s->many || s->digits > (UINT64_MAX - digit) / 10;
        s->digits = s->digits * 10 + digit;
        s->count++;
    }
    return at;
}

/* What follows an e. returns: where it ends; 0 if there is no digit. */
static size_t scan_exponent(struct bytes t, size_t at, struct scan *s)
{
    int exponent = 0;
    const bool minus = at < t.size && t.data[at] == '-';
    at += at < t.size && (t.data[at] == '-' || t.data[at] == '+');
    const size_t first = at;
    for (; at < t.size && is_digit(t.data[at]); at++) {
        exponent = NUM_MIN(exponent * 10 + (t.data[at] - '0'), EXPONENT_MAX);
    }
    s->exponent += minus ? -exponent : exponent;
    return at > first ? at : 0;
}

/* returns: whether the whole text was a number. */
static bool scan_number(struct bytes t, struct scan *s)
{
    size_t at = 0;
    if (t.size == 0 || t.size > COMPUTE_NUMBER_BYTES_MAX) {
        return false;
    }
    s->minus = t.data[0] == '-';
    at += t.data[0] == '-' || t.data[0] == '+';
    at = scan_digits(t, at, s);
    s->whole = at == t.size;
    if (at < t.size && t.data[at] == '.') {
        const size_t before = s->count;
        at = scan_digits(t, at + 1, s);
        s->exponent -= (int)(s->count - before);
    }
    if (s->count == 0) {
        return false;
    }
    if (at < t.size && (t.data[at] == 'e' || t.data[at] == 'E')) {
        at = scan_exponent(t, at + 1, s);
    }
    return at == t.size;
}

/* W. D. Clinger, "How to read floating point numbers accurately", 1990, section 3: digits and power
 * of ten are both doubles, so that one operation rounds once. */
static bool real_is_easy(const struct scan *s)
{
    return !s->many && s->digits <= EXACT_MAX && s->exponent >= -TENS_MAX &&
           s->exponent <= TENS_MAX;
}

static double real_read(struct bytes t, const struct scan *s)
{
    char text[COMPUTE_NUMBER_BYTES_MAX + 1];
    if (real_is_easy(s)) {
        const double digits = (double)s->digits;
        const double real =
            s->exponent < 0 ? digits / tens[-s->exponent] : digits * tens[s->exponent];
        return s->minus ? -real : real;
    }
    memcpy(text, t.data, t.size);
    text[t.size] = '\0';
    return strtod(text, NULL);
}

/* Some digits and nothing else, as most numbers are. returns: whether it is that. */
static bool read_digits(struct bytes text, uint64_t *out)
{
    uint64_t digits = 0;
    if (text.size == 0 || text.size > SHORT_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        digits = digits * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = digits;
    return true;
}

bool compute_number_read(struct bytes text, struct compute_number *out)
{
    struct scan s = {.digits = 0};
    if (read_digits(text, &s.digits)) {
        *out = (struct compute_number){.size = s.digits};
        return true;
    }
    text = trimmed(text);
    if (!scan_number(text, &s)) {
        return false;
    }
    if (s.whole && !s.many && (!s.minus || s.digits <= MINUS_MAX)) {
        *out = (struct compute_number){.minus = s.minus && s.digits > 0, .size = s.digits};
    } else {
        *out = compute_number_of_real(real_read(text, &s));
    }
    return true;
}

struct compute_value compute_number_value(const struct compute_number *n)
{
    if (n->is_real) {
        return compute_value_of_f64(n->real);
    }
    return n->minus ? compute_value_of_i64((int64_t)(0 - n->size)) : compute_value_of_u64(n->size);
}

size_t compute_number_text(const struct compute_number *n, char text[COMPUTE_VALUE_TEXT])
{
    char digits[20];
    size_t count = 0;
    size_t size = 0;
    uint64_t left = n->size;
    if (n->is_real) {
        const struct compute_value v = compute_number_value(n);
        return compute_value_text(&v, text);
    }
    do {
        digits[count++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n->minus) {
        text[size++] = '-';
    }
    while (count > 0) {
        text[size++] = digits[--count];
    }
    text[size] = '\0';
    return size;
}

/* --- order --- */

double compute_number_real(const struct compute_number *n)
{
    if (n->is_real) {
        return n->real;
    }
    return n->minus ? -(double)n->size : (double)n->size;
}

static enum compute_order order_of(bool below, bool same)
{
    if (same) {
        return COMPUTE_ORDER_SAME;
    }
    return below ? COMPUTE_ORDER_BELOW : COMPUTE_ORDER_ABOVE;
}

static enum compute_order order_turned(enum compute_order o)
{
    switch (o) {
    case COMPUTE_ORDER_BELOW: return COMPUTE_ORDER_ABOVE;
    case COMPUTE_ORDER_ABOVE: return COMPUTE_ORDER_BELOW;
    default: return o;
    }
}

/* A size against a double that is not below 0, without rounding either. */
static enum compute_order order_of_size(uint64_t size, double real)
{
    if (real >= 0x1p64) {
        return COMPUTE_ORDER_BELOW;
    }
    const uint64_t whole = (uint64_t)real;
    if (size != whole) {
        return order_of(size < whole, false);
    }
    return order_of(true, real == (double)whole);
}

static enum compute_order order_of_mixed(const struct compute_number *whole, double real)
{
    if (real != real) {
        return COMPUTE_ORDER_NONE;
    }
    if (whole->minus != (real < 0)) {
        return order_of(whole->minus, false);
    }
    return whole->minus ? order_turned(order_of_size(whole->size, -real))
                        : order_of_size(whole->size, real);
}

enum compute_order compute_number_order(const struct compute_number *a,
                                        const struct compute_number *b)
{
    if (a->is_real && b->is_real) {
        if (a->real != a->real || b->real != b->real) {
            return COMPUTE_ORDER_NONE;
        }
        return order_of(a->real < b->real, a->real == b->real);
    }
    if (a->is_real) {
        return order_turned(order_of_mixed(b, a->real));
    }
    if (b->is_real) {
        return order_of_mixed(a, b->real);
    }
    if (a->minus != b->minus) {
        return order_of(a->minus, false);
    }
    return order_of(a->minus ? a->size > b->size : a->size < b->size, a->size == b->size);
}

/* --- arithmetic --- */

static int whole_set(bool minus, uint64_t size, struct compute_number *out)
{
    if (minus && size > MINUS_MAX) {
        return ERR_OVERFLOW;
    }
    *out = (struct compute_number){.minus = minus && size > 0, .size = size};
    return 0;
}

static int whole_add(const struct compute_number *a, bool b_minus, uint64_t b_size,
                     struct compute_number *out)
{
    uint64_t size = 0;
    if (a->minus == b_minus) {
        return num_add_u64(a->size, b_size, &size) ? whole_set(b_minus, size, out) : ERR_OVERFLOW;
    }
    if (a->size >= b_size) {
        return whole_set(a->minus, a->size - b_size, out);
    }
    return whole_set(b_minus, b_size - a->size, out);
}

static int whole_combine(char op, const struct compute_number *a, const struct compute_number *b,
                         struct compute_number *out)
{
    uint64_t size = 0;
    switch (op) {
    case '+': return whole_add(a, b->minus, b->size, out);
    case '-': return whole_add(a, !b->minus, b->size, out);
    case '*':
        return num_mul_u64(a->size, b->size, &size) ? whole_set(a->minus != b->minus, size, out)
                                                    : ERR_OVERFLOW;
    default:
        ASSERT(op == '%');
        return b->size == 0 ? ERR_INVALID : whole_set(a->minus, a->size % b->size, out);
    }
}

/* The size of a finite number is bits * 2^*scale, with a highest bit at REAL_BITS - 1. */
static uint64_t real_bits(double real, int *scale)
{
    const double part = frexp(fabs(real), scale);
    *scale -= REAL_BITS;
    return (uint64_t)ldexp(part, REAL_BITS);
}

/* fmod, which is exact; where it takes a step for each of up to 2,100 bits by which the numbers
 * differ, this takes one for REST_BITS. */
static double real_rest(double a, double b)
{
    int a_scale = 0;
    int b_scale = 0;
    if (!isfinite(a) || !isfinite(b) || a == 0) {
        return fmod(a, b);
    }
    const uint64_t bits = real_bits(a, &a_scale);
    const uint64_t by = real_bits(b, &b_scale);
    if (a_scale - b_scale <= REST_BITS) {
        return fmod(a, b);
    }
    uint64_t rest = bits % by;
    for (int left = a_scale - b_scale; left > 0 && rest > 0; left -= REST_BITS) {
        rest = (rest << NUM_MIN(left, REST_BITS)) % by;
    }
    return copysign(ldexp((double)rest, b_scale), a);
}

static int real_combine(char op, double a, double b, struct compute_number *out)
{
    double real = 0;
    if ((op == '/' || op == '%') && b == 0) {
        return ERR_INVALID;
    }
    switch (op) {
    case '+': real = a + b; break;
    case '-': real = a - b; break;
    case '*': real = a * b; break;
    case '/': real = a / b; break;
    default:
        ASSERT(op == '%');
        real = real_rest(a, b);
        break;
    }
    *out = compute_number_of_real(real);
    return 0;
}

int compute_number_combine(char op, const struct compute_number *a, const struct compute_number *b,
                           struct compute_number *out)
{
    if (a->is_real || b->is_real || op == '/') {
        return real_combine(op, compute_number_real(a), compute_number_real(b), out);
    }
    return whole_combine(op, a, b, out);
}

int compute_number_negate(const struct compute_number *a, struct compute_number *out)
{
    if (a->is_real) {
        *out = compute_number_of_real(-a->real);
        return 0;
    }
    return whole_set(!a->minus, a->size, out);
}

void compute_number_multiply(uint64_t a, uint64_t b, uint64_t *high, uint64_t *low)
{
    const uint64_t a0 = (uint32_t)a;
    const uint64_t a1 = a >> 32;
    const uint64_t b0 = (uint32_t)b;
    const uint64_t b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    const uint64_t other = a0 * b1 + (uint32_t)middle;
    *low = a * b;
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
}
