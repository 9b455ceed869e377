/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The error table and log lines.
 */
#include "base/err.h"
#include "base/log.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(every_code_has_a_name_a_sentence_and_lies_in_its_thousand)
{
#define CHECK_ROW(name, number, text)                         \
    ck_assert_int_eq(ERR_##name, number);                     \
    ck_assert_str_eq(err_name(number), #name);                \
    ck_assert_str_eq(err_text(number), text);                 \
    ck_assert_int_ne(err_outcome_of(number), ERR_OUTCOME_OK); \
    ck_assert_int_le(number, -1001);                          \
    ck_assert_int_gt(number, -6000);
    ERR_MAP(CHECK_ROW)
#undef CHECK_ROW
}
END_TEST

START_TEST(the_thousand_says_what_became_of_the_request)
{
    ck_assert_int_eq(err_outcome_of(0), ERR_OUTCOME_OK);
    ck_assert_int_eq(err_outcome_of(ERR_BUSY), ERR_OUTCOME_RETRY);
    ck_assert_int_eq(err_outcome_of(ERR_CONFLICT), ERR_OUTCOME_REFUSED);
    ck_assert_int_eq(err_outcome_of(ERR_TIMEOUT), ERR_OUTCOME_UNKNOWN);
    ck_assert_int_eq(err_outcome_of(ERR_DONE), ERR_OUTCOME_DONE);
    ck_assert_int_eq(err_outcome_of(ERR_CORRUPT), ERR_OUTCOME_DAMAGED);
    /* a code of a later version is read by its thousand, nonsense is unknown */
    ck_assert_int_eq(err_outcome_of(-1999), ERR_OUTCOME_RETRY);
    ck_assert_int_eq(err_outcome_of(-9000), ERR_OUTCOME_UNKNOWN);
    ck_assert_int_eq(err_outcome_of(17), ERR_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(unknown_numbers_have_a_name_too)
{
    ck_assert_str_eq(err_name(0), "OK");
    ck_assert_str_eq(err_text(0), "ok");
    ck_assert_str_eq(err_name(-1998), "UNKNOWN");
    ck_assert_str_eq(err_text(-1998), "unknown error");
}
END_TEST

START_TEST(a_reason_keeps_code_place_and_sentence)
{
    struct err_info why = {0};
    ck_assert_int_eq(err_set(&why, ERR_IN_USE, "'%s' is in use", "data"), ERR_IN_USE);
    ck_assert_int_eq(why.code, ERR_IN_USE);
    ck_assert_str_eq(why.text, "'data' is in use");
    ck_assert_ptr_nonnull(strstr(why.file, "test_err.c"));
    ck_assert_int_gt(why.line, 0);
    ck_assert_int_eq(err_set(NULL, ERR_IN_USE, "nobody asks"), ERR_IN_USE);
}
END_TEST

START_TEST(a_reason_that_is_too_long_is_cut)
{
    struct err_info why;
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)err_set(&why, ERR_IO, "%s", text);
    ck_assert_uint_eq(strlen(why.text), sizeof(why.text) - 1);
}
END_TEST

struct seen {
    unsigned count;
    enum log_level level;
    char line[LOG_LINE_BYTES_MAX];
};

static void keep(void *ctx, enum log_level level, const char *line)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->level = level;
    (void)snprintf(seen->line, sizeof(seen->line), "%s", line);
}

START_TEST(a_line_begins_with_its_event)
{
    struct seen seen = {0};
    struct log log = {.sink = keep, .ctx = &seen, .least = LOG_INFO};
    log_line(&log, LOG_WARN, "leader_elected", "term=%d", 7);
    ck_assert_str_eq(seen.line, "event=leader_elected term=7");
    ck_assert_int_eq(seen.level, LOG_WARN);
    log_line(&log, LOG_INFO, "started", "%s", "");
    log_line(&log, LOG_DEBUG, "dropped", "a=%d", 1);
    log_line(NULL, LOG_ERROR, "nowhere", "a=%d", 1);
    ck_assert_uint_eq(seen.count, 2);
}
END_TEST

/* attack 46 */
START_TEST(values_cannot_break_a_line_or_pass_its_length)
{
    struct seen seen = {0};
    struct log log = {.sink = keep, .ctx = &seen};
    char text[5000];
    log_line(&log, LOG_INFO, "bad", "from=%s", "a\r\nevent=forged\x1b[31m");
    ck_assert_str_eq(seen.line, "event=bad from=a??event=forged?[31m");
    memset(text, 'k', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_line(&log, LOG_INFO, "long", "key=%s", text);
    ck_assert_uint_eq(strlen(seen.line), LOG_LINE_BYTES_MAX - 1);
}
END_TEST

START_TEST(escaped_bytes_are_printable_and_cut_with_dots)
{
    char into[32];
    char narrow[8];
    ck_assert_str_eq(log_escape(into, sizeof(into), bytes_of("a\n\"=\\\xff", 6)),
                     "a\\x0a\\x22\\x3d\\x5c\\xff");
    ck_assert_str_eq(log_escape(into, sizeof(into), bytes_of(NULL, 0)), "");
    ck_assert_str_eq(log_escape(narrow, sizeof(narrow), bytes_of_text("abcdefghij")), "abcd...");
    ck_assert_str_eq(log_escape(narrow, sizeof(narrow), bytes_of("\0\0\0", 3)), "\\x00...");
}
END_TEST

UNIT_MAIN("base_err", every_code_has_a_name_a_sentence_and_lies_in_its_thousand,
          the_thousand_says_what_became_of_the_request, unknown_numbers_have_a_name_too,
          a_reason_keeps_code_place_and_sentence, a_reason_that_is_too_long_is_cut,
          a_line_begins_with_its_event, values_cannot_break_a_line_or_pass_its_length,
          escaped_bytes_are_printable_and_cut_with_dots)
