/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How rules of the lab's links are written.
 */
#include "tests/lab/rule.h"
#include "tests/unit/unit.h"

static struct lab_rule parsed(const char *text)
{
    struct lab_rule rule;
    char bad[32] = "";
    ck_assert_msg(lab_rule_parse(text, &rule, bad), "'%s' of '%s'", bad, text);
    return rule;
}

START_TEST(every_word_sets_its_field)
{
    struct lab_rule r = parsed("loss=20% delay=5ms jitter=2ms dup=1% corrupt=0.5% garble=0.01% "
                               "rate=1mbit clog=2s block");
    ck_assert_uint_eq(r.loss_ppm, 200000);
    ck_assert_uint_eq(r.delay_us, 5000);
    ck_assert_uint_eq(r.jitter_us, 2000);
    ck_assert_uint_eq(r.dup_ppm, 10000);
    ck_assert_uint_eq(r.corrupt_ppm, 5000);
    ck_assert_uint_eq(r.garble_ppm, 100);
    ck_assert_uint_eq(r.rate_bytes_s, 125000);
    ck_assert_uint_eq(r.clog_us, 2000000);
    ck_assert(r.block);
}
END_TEST

START_TEST(numbers_have_units_and_places)
{
    ck_assert_uint_eq(parsed("delay=1.5ms").delay_us, 1500);
    ck_assert_uint_eq(parsed("delay=0.25s").delay_us, 250000);
    ck_assert_uint_eq(parsed("delay=70us").delay_us, 70);
    ck_assert_uint_eq(parsed("loss=100%").loss_ppm, 1000000);
    ck_assert_uint_eq(parsed("rate=8kbit").rate_bytes_s, 1000);
}
END_TEST

START_TEST(no_word_is_a_perfect_link)
{
    const struct lab_rule perfect = {.block = false};
    struct lab_rule r = parsed("  ");
    ck_assert_uint_eq(r.loss_ppm, perfect.loss_ppm);
    ck_assert_uint_eq(r.delay_us, perfect.delay_us);
    ck_assert(!r.block);
}
END_TEST

START_TEST(what_is_not_understood_is_named_and_changes_nothing)
{
    const char *words[] = {"los=1%",   "loss=",     "loss=1",     "loss=101%",
                           "delay=5",  "delay=ms",  "delay=-5ms", "block=1",
                           "rate=1mb", "clog=1min", "loss=1%%",   "delay=99999999999s",
                           "loss"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct lab_rule rule = {.delay_us = 77};
        char text[64];
        char bad[32] = "";
        snprintf(text, sizeof(text), "dup=1%% %s block", words[i]);
        ck_assert_msg(!lab_rule_parse(text, &rule, bad), "'%s' was taken", words[i]);
        ck_assert_str_eq(bad, words[i]);
        ck_assert_uint_eq(rule.delay_us, 77);
    }
}
END_TEST

START_TEST(a_word_that_is_too_long_is_refused)
{
    struct lab_rule rule;
    char bad[32] = "";
    ck_assert(!lab_rule_parse("loss=0000000000000000000000000000000001%", &rule, bad));
    ck_assert_uint_eq(strlen(bad), 31);
}
END_TEST

START_TEST(ports_are_one_several_or_all)
{
    uint64_t set = 0;
    ck_assert(lab_ports_parse("3", 4, &set));
    ck_assert_uint_eq(set, 8);
    ck_assert(lab_ports_parse("0,2,3", 4, &set));
    ck_assert_uint_eq(set, 13);
    ck_assert(lab_ports_parse("all", 4, &set));
    ck_assert_uint_eq(set, 15);
    ck_assert(lab_ports_parse("all", 64, &set));
    ck_assert_uint_eq(set, UINT64_MAX);
}
END_TEST

START_TEST(ports_that_are_not_there_are_refused)
{
    const char *texts[] = {"4", "", "1,", ",1", "1;2", "a", "1,4", "99999999999999999999", "-1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t set = 77;
        ck_assert_msg(!lab_ports_parse(texts[i], 4, &set), "'%s' was taken", texts[i]);
        ck_assert_uint_eq(set, 77);
    }
}
END_TEST

UNIT_MAIN("lab_rule", every_word_sets_its_field, numbers_have_units_and_places,
          no_word_is_a_perfect_link, what_is_not_understood_is_named_and_changes_nothing,
          a_word_that_is_too_long_is_refused, ports_are_one_several_or_all,
          ports_that_are_not_there_are_refused)
