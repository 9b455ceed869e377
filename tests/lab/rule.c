/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Words of a rule. A number is digits with at most three places after a point, kept in
 * thousandths, then its unit.
 */
#include "tests/lab/rule.h"

#include <string.h>

#define RULE_NUMBER_MAX 1000000000u /* before the point */
#define RULE_WORD_BYTES 32u

struct rule_unit {
    const char *name;
    uint64_t times; /* of a thousandth, in thousandths of what is stored */
};

static const struct rule_unit rule_shares[] = {{"%", 10000}, {NULL, 0}};
static const struct rule_unit rule_times[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {NULL, 0}};
static const struct rule_unit rule_rates[] = {
    {"kbit", 125}, {"mbit", 125000}, {"gbit", 125000000}, {NULL, 0}};

/* returns: false unless text is a number with one of the units. */
static bool rule_number(const char *text, const struct rule_unit *units, uint64_t *out)
{
    uint64_t thousandths = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        thousandths = thousandths * 10 + (uint64_t)(*at - '0') * 1000;
        if (thousandths > (uint64_t)RULE_NUMBER_MAX * 1000) {
            return false;
        }
    }
    if (at == text) {
        return false;
    }
    if (*at == '.') {
        uint64_t place = 100;
        for (at++; *at >= '0' && *at <= '9'; at++) {
            thousandths += (uint64_t)(*at - '0') * place;
            place /= 10;
        }
    }
    for (; units->name != NULL; units++) {
        if (strcmp(at, units->name) == 0) {
            *out = thousandths * units->times / 1000;
            return true;
        }
    }
    return false;
}

static bool rule_share(const char *text, uint32_t *ppm)
{
    uint64_t value = 0;
    if (!rule_number(text, rule_shares, &value) || value > LAB_PPM) {
        return false;
    }
    *ppm = (uint32_t)value;
    return true;
}

/* returns: what follows "name=", or NULL. */
static const char *rule_value(const char *word, const char *name)
{
    size_t bytes = strlen(name);
    return strncmp(word, name, bytes) == 0 && word[bytes] == '=' ? word + bytes + 1 : NULL;
}

static bool rule_word(const char *word, struct lab_rule *rule)
{
    const struct {
        const char *name;
        uint32_t *into;
    } shares[] = {{"loss", &rule->loss_ppm},
                  {"dup", &rule->dup_ppm},
                  {"corrupt", &rule->corrupt_ppm},
                  {"garble", &rule->garble_ppm}};
    const struct {
        const char *name;
        const struct rule_unit *units;
        uint64_t *into;
    } numbers[] = {{"delay", rule_times, &rule->delay_us},
                   {"jitter", rule_times, &rule->jitter_us},
                   {"clog", rule_times, &rule->clog_us},
                   {"rate", rule_rates, &rule->rate_bytes_s}};
    if (strcmp(word, "block") == 0) {
        rule->block = true;
        return true;
    }
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const char *value = rule_value(word, shares[i].name);
        if (value != NULL) {
            return rule_share(value, shares[i].into);
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const char *value = rule_value(word, numbers[i].name);
        if (value != NULL) {
            return rule_number(value, numbers[i].units, numbers[i].into);
        }
    }
    return false;
}

bool lab_rule_parse(const char *text, struct lab_rule *out, char bad[32])
{
    struct lab_rule rule = {.block = false};
    for (;;) {
        char word[RULE_WORD_BYTES] = "";
        text += strspn(text, " ");
        size_t bytes = strcspn(text, " ");
        if (bytes == 0) {
            *out = rule;
            return true;
        }
        bool fits = bytes < sizeof(word);
        memcpy(word, text, fits ? bytes : sizeof(word) - 1);
        if (!fits || !rule_word(word, &rule)) {
            memcpy(bad, word, sizeof(word));
            return false;
        }
        text += bytes;
    }
}

bool lab_ports_parse(const char *text, unsigned ports, uint64_t *set)
{
    uint64_t found = 0;
    if (strcmp(text, "all") == 0) {
        *set = ports >= 64 ? UINT64_MAX : (1ull << ports) - 1;
        return true;
    }
    for (;;) {
        unsigned port = 0;
        size_t digits = strspn(text, "0123456789");
        for (size_t i = 0; i < digits && port < LAB_PORTS_MAX; i++) {
            port = port * 10 + (unsigned)(text[i] - '0');
        }
        if (digits == 0 || port >= ports) {
            return false;
        }
        found |= 1ull << port;
        text += digits;
        if (*text == '\0') {
            *set = found;
            return true;
        }
        if (*text++ != ',') {
            return false;
        }
    }
}
