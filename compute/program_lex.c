/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Words of programs, and sentences on wrong ones.
 */
#include "compute/program_internal.h"

#include "base/num.h"

#define SHOWN_MAX 40u
#define WORD_MAX 16u /* longer words are near to none */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* --- sentences --- */

static void shown_text(struct bytes v, char out[SHOWN_MAX + 1])
{
    const size_t size = NUM_MIN(v.size, (size_t)SHOWN_MAX);
    for (size_t i = 0; i < size; i++) {
        out[i] = v.data[i] >= 0x20 && v.data[i] < 0x7f ? (char)v.data[i] : '?';
    }
    out[size] = '\0';
}

int compute_parser_wrong(struct compute_parser *s, const char *what)
{
    char shown[SHOWN_MAX + 1];
    if (s->token.kind == COMPUTE_TOKEN_END) {
        return err_set(s->why, ERR_INVALID, "column %u: the end %s", s->token.column, what);
    }
    shown_text(s->token.shown, shown);
    return err_set(s->why, ERR_INVALID, "column %u: '%s' %s", s->token.column, shown, what);
}

/* returns: letters to change, add or leave out (V. I. Levenshtein, 1966). */
static unsigned distance(struct bytes a, struct bytes b)
{
    unsigned row[WORD_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned before = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            const unsigned changed = before + (a.data[i - 1] != b.data[j - 1]);
            before = row[j];
            row[j] = NUM_MIN(changed, NUM_MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.size];
}

int compute_parser_unknown(struct compute_parser *s, const char *what, const char *const *known,
                           size_t count)
{
    const struct bytes word = s->token.shown;
    const char *nearest = NULL;
    unsigned least = WORD_MAX;
    char shown[SHOWN_MAX + 1];
    if (s->token.kind != COMPUTE_TOKEN_WORD || word.size > WORD_MAX) {
        return compute_parser_wrong(s, what);
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned far = distance(word, bytes_of_text(known[i]));
        if (far < least) {
            least = far;
            nearest = known[i];
        }
    }
    if (nearest == NULL || least * 2 > word.size + 1) {
        return compute_parser_wrong(s, what);
    }
    shown_text(word, shown);
    return err_set(s->why, ERR_INVALID, "column %u: '%s' %s; is '%s' meant?", s->token.column,
                   shown, what, nearest);
}

/* --- words --- */

bool compute_parser_is(const struct compute_parser *s, const char *text)
{
    return (s->token.kind == COMPUTE_TOKEN_WORD || s->token.kind == COMPUTE_TOKEN_MARK) &&
           bytes_equal(s->token.shown, bytes_of_text(text));
}

static size_t lex_while(const struct compute_parser *s, size_t at, bool (*is)(uint8_t c))
{
    while (at < s->size && is(s->p->text[at])) {
        at++;
    }
    return at;
}

static bool is_of_word(uint8_t c)
{
    return is_letter(c) || is_digit(c);
}

static bool is_of_number(uint8_t c)
{
    return is_of_word(c) || c == '.';
}

/* A field by the name that the header declares. */
static int lex_name(struct compute_parser *s, size_t end)
{
    const struct compute_program *p = s->p;
    const struct bytes name = bytes_of(p->text + s->at + 1, end - s->at - 1);
    for (uint32_t i = 0; i < p->names; i++) {
        if (bytes_equal(p->name[i], name)) {
            s->token.field = i + 1;
            return 0;
        }
    }
    return compute_parser_wrong(s, "is no name that the header declares");
}

/* The digits of a field's number. */
static int lex_field_number(struct compute_parser *s, size_t from, size_t end)
{
    uint32_t field = 0;
    if (end == from) {
        return compute_parser_wrong(s, "is no field: fields are $0, $1 and so on");
    }
    for (size_t i = from; i < end; i++) {
        if (!is_digit(s->p->text[i])) {
            return compute_parser_wrong(s, "is no field: fields are $0, $1 and so on");
        }
        field = field * 10 + (uint32_t)(s->p->text[i] - '0');
        if (field > COMPUTE_PROGRAM_FIELDS_MAX) {
            return compute_parser_wrong(s, "is beyond the last field, $1024");
        }
    }
    s->token.field = field;
    return 0;
}

static int lex_field(struct compute_parser *s, size_t end)
{
    s->token.kind = COMPUTE_TOKEN_FIELD;
    if (s->p->names > 0 && end > s->at + 1 && is_letter(s->p->text[s->at + 1])) {
        return lex_name(s, end);
    }
    return lex_field_number(s, s->at + 1, end);
}

/* $name.1: a field of the row that a lookup before this found. dot: where that is. */
static int lex_row(struct compute_parser *s, size_t dot, size_t end)
{
    const struct compute_program *p = s->p;
    const struct bytes name = bytes_of(p->text + s->at + 1, dot - s->at - 1);
    s->token.kind = COMPUTE_TOKEN_ROW;
    for (uint32_t i = 0; i < p->lookups; i++) {
        if (bytes_equal(p->lookup[i].as, name)) {
            s->token.lookup = i;
            return lex_field_number(s, dot + 1, end);
        }
    }
    return compute_parser_wrong(s, "is of no row that a 'lookup' before it names");
}

/* A sign of an exponent is part of a number. returns: its end. */
static size_t number_end(const struct compute_parser *s)
{
    const uint8_t *text = s->p->text;
    size_t end = lex_while(s, s->at, is_of_number);
    const bool exponent = text[end - 1] == 'e' || text[end - 1] == 'E';
    if (exponent && end + 1 < s->size && (text[end] == '-' || text[end] == '+') &&
        is_digit(text[end + 1])) {
        end = lex_while(s, end + 1, is_digit);
    }
    return end;
}

/* "..." with \" \\ \n \t, written over itself. returns: 0 or ERR_INVALID. */
static int lex_text(struct compute_parser *s, size_t *end)
{
    static const char escapes[] = "\"\\nt";
    static const char escaped[] = "\"\\\n\t";
    uint8_t *text = s->p->text;
    size_t to = s->at + 1;
    size_t at = s->at + 1;
    s->token.kind = COMPUTE_TOKEN_TEXT;
    while (at < s->size && text[at] != '"') {
        uint8_t c = text[at++];
        if (c == '\\' && at < s->size) {
            const char *found = text[at] != 0 ? strchr(escapes, text[at]) : NULL;
            if (found == NULL) {
                return compute_parser_wrong(s, "begins a text with an escape other than \\\" \\\\ "
                                               "\\n \\t");
            }
            c = (uint8_t)escaped[found - escapes];
            at++;
        }
        text[to++] = c;
    }
    if (at == s->size) {
        return compute_parser_wrong(s, "begins a text that does not end");
    }
    s->token.text = bytes_of(text + s->token.column, to - s->token.column);
    *end = at + 1;
    return 0;
}

static size_t lex_mark(const struct compute_parser *s)
{
    const uint8_t c = s->p->text[s->at];
    const bool equal = s->at + 1 < s->size && s->p->text[s->at + 1] == '=';
    if ((c == '!' || c == '<' || c == '>') && equal) {
        return 2;
    }
    return c != 0 && strchr("+-*/%=<>(),|", c) != NULL ? 1 : 0;
}

/* Digits, with what belongs to them. */
static int lex_number(struct compute_parser *s, size_t end)
{
    s->token.kind = COMPUTE_TOKEN_NUMBER;
    s->token.shown = bytes_of(s->p->text + s->at, end - s->at);
    if (!compute_number_read(s->token.shown, &s->token.number)) {
        return compute_parser_wrong(s, "is no number");
    }
    return 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int compute_parser_next(struct compute_parser *s)
{
    s->at = lex_while(s, s->at, is_blank);
    s->token = (struct compute_token){.kind = COMPUTE_TOKEN_END, .column = (uint32_t)s->at + 1};
    if (s->at == s->size) {
        return 0;
    }
    const uint8_t c = s->p->text[s->at];
    size_t end = s->at + 1;
    s->token.shown = bytes_of(s->p->text + s->at, 1);
    if (is_letter(c)) {
        end = lex_while(s, s->at, is_of_word);
        s->token.kind = COMPUTE_TOKEN_WORD;
    } else if (is_digit(c) || (c == '.' && end < s->size && is_digit(s->p->text[end]))) {
        end = number_end(s);
        TRY(lex_number(s, end));
    } else if (c == '$') {
        end = lex_while(s, s->at + 1, is_of_word);
        const size_t dot = end;
        const bool row = end > s->at + 1 && is_letter(s->p->text[s->at + 1]) && end < s->size &&
                         s->p->text[end] == '.';
        end = row ? lex_while(s, end + 1, is_of_word) : end;
        s->token.shown.size = end - s->at;
        TRY(row ? lex_row(s, dot, end) : lex_field(s, end));
    } else if (c == '"') {
        TRY(lex_text(s, &end));
    } else {
        s->token.kind = COMPUTE_TOKEN_MARK;
        if (lex_mark(s) == 0) {
            return compute_parser_wrong(s, "means nothing here");
        }
        end = s->at + lex_mark(s);
    }
    s->token.shown = bytes_of(s->p->text + s->at, end - s->at);
    s->at = end;
    return 0;
}
