/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text of results.
 */
#include "compute/value.h"

#include "base/num.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MAX 17 /* any double reads back from so many */
#define WHOLE_DIGITS_MAX 39u

/* The shortest text so far. */
struct shortest {
    double real;
    size_t size;
    char *text;
};

static bool reads_back(const char *text, double real)
{
    const double back = strtod(text, NULL);
    return memcmp(&back, &real, sizeof(real)) == 0;
}

static void try_digits(struct shortest *s, int digits)
{
    char tried[COMPUTE_VALUE_TEXT];
    const int size = snprintf(tried, sizeof(tried), "%.*g", digits, s->real);
    ASSERT(size > 0 && (size_t)size < sizeof(tried));
    if ((size_t)size < s->size && reads_back(tried, s->real)) {
        s->size = (size_t)size;
        memcpy(s->text, tried, s->size + 1);
    }
}

/* Of a normal number. A decimal of up to 15 digits comes back out of a double when that is written
 * with 15 digits (C11, 5.2.4.2.2: DBL_DIG). So if one reads back as the number, it is what 15
 * digits write, but for the zeros behind it, and fewer digits than it has do not read back. More
 * only change where %g goes over to an exponent. */
static void try_normal(struct shortest *s)
{
    char tried[COMPUTE_VALUE_TEXT];
    const int size = snprintf(tried, sizeof(tried), "%.*e", DBL_DIG - 1, s->real);
    ASSERT(size > 0 && (size_t)size < sizeof(tried));
    if (reads_back(tried, s->real)) {
        const char *end = strchr(tried, 'e');
        const long exponent = strtol(end + 1, NULL, 10);
        int digits = DBL_DIG;
        for (; digits > 1 && end[-1] == '0'; end--) {
            digits--;
        }
        try_digits(s, digits);
        if (exponent >= digits) {
            try_digits(s, DBL_DIG);
        }
        if (exponent < DBL_DIG) {
            return;
        }
    }
    try_digits(s, DIGITS_MAX - 1);
    try_digits(s, DIGITS_MAX);
}

static size_t real_text(double real, char text[COMPUTE_VALUE_TEXT])
{
    struct shortest s = {.real = real, .size = COMPUTE_VALUE_TEXT, .text = text};
    if (real != real) {
        memcpy(text, "nan", sizeof("nan")); /* whatever its sign is */
        return sizeof("nan") - 1;
    }
    if (isnormal(real)) {
        try_normal(&s);
    } else {
        for (int digits = 1; digits <= DIGITS_MAX; digits++) {
            try_digits(&s, digits);
        }
    }
    ASSERT(s.size < COMPUTE_VALUE_TEXT);
    return s.size;
}

/* (high:low) /= 10. returns: the rest. */
static unsigned divide_by_ten(uint64_t *high, uint64_t *low)
{
    uint32_t digit[4] = {(uint32_t)*low, (uint32_t)(*low >> 32), (uint32_t)*high,
                         (uint32_t)(*high >> 32)};
    uint64_t rest = 0;
    for (unsigned i = 4; i-- > 0;) {
        rest = rest << 32 | digit[i];
        digit[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
    *low = (uint64_t)digit[1] << 32 | digit[0];
    *high = (uint64_t)digit[3] << 32 | digit[2];
    return (unsigned)rest;
}

static size_t whole_text(const struct compute_i128 *whole, char text[COMPUTE_VALUE_TEXT])
{
    char digits[WHOLE_DIGITS_MAX];
    size_t count = 0;
    size_t size = 0;
    uint64_t high = (uint64_t)whole->high;
    uint64_t low = whole->low;
    if (whole->high < 0) {
        high = ~high + (low == 0);
        low = 0 - low;
        text[size++] = '-';
    }
    do {
        ASSERT(count < WHOLE_DIGITS_MAX);
        digits[count++] = (char)('0' + divide_by_ten(&high, &low));
    } while ((high | low) != 0);
    while (count > 0) {
        text[size++] = digits[--count];
    }
    text[size] = '\0';
    return size;
}

size_t compute_value_text(const struct compute_value *v, char text[COMPUTE_VALUE_TEXT])
{
    return v->is_real ? real_text(v->real, text) : whole_text(&v->whole, text);
}
