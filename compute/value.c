/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text of results.
 */
#include "compute/value.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MAX 17 /* any double reads back from so many */
#define WHOLE_DIGITS_MAX 39u

static size_t real_text(double real, char text[COMPUTE_VALUE_TEXT])
{
    size_t best = COMPUTE_VALUE_TEXT;
    if (real != real) {
        memcpy(text, "nan", sizeof("nan")); /* whatever its sign is */
        return sizeof("nan") - 1;
    }
    for (int digits = 1; digits <= DIGITS_MAX; digits++) {
        char tried[COMPUTE_VALUE_TEXT];
        const int size = snprintf(tried, sizeof(tried), "%.*g", digits, real);
        const double back = strtod(tried, NULL);
        ASSERT(size > 0 && (size_t)size < sizeof(tried));
        if ((size_t)size < best && memcmp(&back, &real, sizeof(real)) == 0) {
            best = (size_t)size;
            memcpy(text, tried, best + 1);
        }
    }
    ASSERT(best < COMPUTE_VALUE_TEXT);
    return best;
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
