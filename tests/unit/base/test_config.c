/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Configuration text: what is read, what is refused and where, and that printing reads back.
 */
#include "base/config.h"
#include "base/rng.h"
#include "tests/unit/unit.h"

#include <stddef.h>
#include <string.h>

struct sample {
    bool on;
    uint64_t count;
    uint64_t memory;
    uint64_t timeout;
    const char *name;
    struct config_list peers;
    uint64_t any;
    uint64_t top;
};

#define AT(field) offsetof(struct sample, field)
static const struct config_setting settings[] = {
    {"node", "enabled", CONFIG_BOOL, AT(on), 1, 0, 0, NULL, "whether it runs"},
    {"node", "count", CONFIG_U64, AT(count), 5, 1, 100, NULL, "how many"},
    {"store", "memory", CONFIG_BYTES, AT(memory), 64 << 20, 4096, 1 << 30, NULL, "cache"},
    {"store", "timeout", CONFIG_DURATION, AT(timeout), 150000, 1000, 60000000, NULL, "patience"},
    {"node", "name", CONFIG_TEXT, AT(name), 0, 1, 20, "first", "label"},
    {"node", "peers", CONFIG_LIST, AT(peers), 0, 0, 3, "a:1, b:2", "the others"},
    {"store", "any", CONFIG_U64, AT(any), 0, 0, 0, NULL, "no bounds"},
    {"", "top", CONFIG_U64, AT(top), 3, 0, 9, NULL, "before the sections"},
};

static struct sample sample;
static struct config config;
static struct err_info why;

static void begin(void)
{
    struct alloc heap = alloc_heap();
    struct config_table tables[2] = {{settings, 3, &sample}, {settings + 3, 5, &sample}};
    memset(&why, 0, sizeof(why));
    ck_assert_int_eq(config_init(&config, &heap, tables, 2), 0);
}

static int parse(const char *text)
{
    return config_parse(&config, bytes_of_text(text), "t.conf", &why);
}

static void refuse(const char *text, const char *reason)
{
    begin();
    ck_assert_msg(parse(text) == ERR_BAD_CONFIG, "not refused: %s", text);
    ck_assert_int_eq(why.code, ERR_BAD_CONFIG);
    ck_assert_msg(strstr(why.text, reason) != NULL, "'%s' lacks '%s'", why.text, reason);
    config_release(&config);
}

START_TEST(without_a_file_the_defaults_hold)
{
    begin();
    ck_assert(sample.on);
    ck_assert_uint_eq(sample.count, 5);
    ck_assert_uint_eq(sample.memory, 64 << 20);
    ck_assert_uint_eq(sample.timeout, 150000);
    ck_assert_str_eq(sample.name, "first");
    ck_assert_uint_eq(sample.peers.count, 2);
    ck_assert_str_eq(sample.peers.items[1], "b:2");
    ck_assert_uint_eq(config_line(&config, "node", "count"), 0);
    config_release(&config);
}
END_TEST

START_TEST(values_of_every_type_are_read)
{
    begin();
    ck_assert_int_eq(parse("# first\r\n"
                           "top=7\n"
                           "\n"
                           "[node]   # here\n"
                           "  enabled = off\r\n"
                           "count=100\n"
                           "name = \"a # \\\"b\\\" \\x41\\\\\" # comment\n"
                           "peers = one, \"two, and\" , three,\n"
                           "[store]\n"
                           "memory = 8 KiB\n"
                           "timeout = 2s\n"
                           "[node]\n"),
                     0);
    ck_assert(!sample.on);
    ck_assert_uint_eq(sample.top, 7);
    ck_assert_uint_eq(sample.count, 100);
    ck_assert_str_eq(sample.name, "a # \"b\" A\\");
    ck_assert_uint_eq(sample.peers.count, 3);
    ck_assert_str_eq(sample.peers.items[0], "one");
    ck_assert_str_eq(sample.peers.items[1], "two, and");
    ck_assert_str_eq(sample.peers.items[2], "three");
    ck_assert_uint_eq(sample.memory, 8192);
    ck_assert_uint_eq(sample.timeout, 2000000);
    ck_assert_uint_eq(config_line(&config, "node", "count"), 6);
    ck_assert_uint_eq(config_line(&config, "node", "absent"), 0);
    config_release(&config);
}
END_TEST

START_TEST(units_multiply)
{
    static const struct {
        const char *text;
        uint64_t memory;
        uint64_t timeout;
    } rows[] = {
        {"[store]\nmemory=4096\ntimeout=1ms\n", 4096, 1000},
        {"[store]\nmemory=4096 B\ntimeout=1000us\n", 4096, 1000},
        {"[store]\nmemory=1MiB\ntimeout=1min\n", 1 << 20, 60000000},
        {"[store]\nmemory=1GiB\ntimeout=60 s", 1 << 30, 60000000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        ck_assert_int_eq(parse(rows[i].text), 0);
        ck_assert_uint_eq(sample.memory, rows[i].memory);
        ck_assert_uint_eq(sample.timeout, rows[i].timeout);
        config_release(&config);
    }
}
END_TEST

/* attack 49 */
START_TEST(an_unknown_key_is_refused_with_line_and_nearest_name)
{
    refuse("[store]\n\nmemmory = 1MiB\n", "'t.conf' line 3: unknown key 'memmory'");
    refuse("[store]\nmemmory = 1MiB\n", "nearest is 'memory'");
    refuse("[node]\nmemory = 1MiB\n",
           "unknown key 'memory' in [node], nearest is 'memory' in [store]");
    refuse("[nide]\n", "line 1: unknown section [nide], nearest is [node]");
    refuse("[]\n", "unknown section []");
}
END_TEST

/* attack 49 */
START_TEST(a_key_given_twice_is_refused_with_both_lines)
{
    refuse("[node]\ncount = 3\n[store]\n[node]\ncount = 4\n",
           "line 5: key 'count' is on line 2 already");
}
END_TEST

/* attack 49 */
START_TEST(values_outside_their_bounds_are_refused_with_the_bounds)
{
    refuse("[node]\ncount = 0\n", "line 2: 'count' = 0 is outside 1 to 100");
    refuse("[node]\ncount = 101\n", "outside 1 to 100");
    refuse("[store]\nmemory = 1\n", "outside 4KiB to 1GiB");
    refuse("[store]\nmemory = 99999999TiB\n", "outside 4KiB to 1GiB");
    refuse("[store]\ntimeout = 61s\n", "outside 1ms to 1min");
    refuse("[store]\nany = 18446744073709551616\n", "outside 0 to 18446744073709551615");
    refuse("[node]\nname = \n", "outside 1 to 20 bytes");
    refuse("[node]\nname = 123456789012345678901\n", "outside 1 to 20 bytes");
    refuse("[node]\npeers = a,b,c,d\n", "outside 0 to 3 items");
}
END_TEST

/* attack 49 */
START_TEST(values_of_another_type_are_refused)
{
    refuse("[node]\ncount = -1\n", "line 2: 'count' is a number, not '-1'");
    refuse("[node]\ncount = NaN\n", "is a number");
    refuse("[node]\ncount = 0x10\n", "is a number");
    refuse("[node]\ncount = 1e3\n", "is a number");
    refuse("[node]\ncount = 3KiB\n", "is a number");
    refuse("[node]\ncount =\n", "is a number");
    refuse("[node]\nenabled = maybe\n", "'enabled' is true or false");
    refuse("[store]\nmemory = 3KB\n", "a size such as");
    refuse("[store]\nmemory = -3\n", "a size such as");
    refuse("[store]\ntimeout = 5\n", "a duration such as");
    refuse("[store]\ntimeout = 5 h\n", "a duration such as");
    refuse("[node]\nname = \"open\n", "is a text");
    refuse("[node]\nname = \"a\" b\n", "is a text");
    refuse("[node]\nname = a\"b\n", "is a text");
    refuse("[node]\nname = \"\\q\"\n", "is a text");
    refuse("[node]\nname = \"\\x00\"\n", "is a text");
    refuse("[node]\npeers = a,,b\n", "is a list");
}
END_TEST

START_TEST(lines_that_are_no_setting_are_refused)
{
    refuse("hello\n", "line 1: not 'key = value'");
    refuse("= 3\n", "not 'key = value'");
    refuse("[node\n", "section without ']'");
    refuse("[node]\nname = a\x01z\n", "line 2: control byte 0x01");
    refuse("[node]\nthis_is_a_name_that_is_much_longer_than_any_name_of_a_setting_may_be = 1\n",
           "is too long");
}
END_TEST

/* attack 46 */
START_TEST(outside_text_in_a_message_is_escaped)
{
    refuse("[node]\ncount = \xff\xfe\n", "not '\\xff\\xfe'");
}
END_TEST

START_TEST(a_file_that_is_too_long_is_refused)
{
    static char text[CONFIG_FILE_BYTES_MAX + 1];
    memset(text, '\n', sizeof(text));
    begin();
    ck_assert_int_eq(config_parse(&config, bytes_of(text, sizeof(text) - 1), "t", &why), 0);
    ck_assert_int_eq(config_parse(&config, bytes_of(text, sizeof(text)), "t", &why),
                     ERR_BAD_CONFIG);
    config_release(&config);
}
END_TEST

START_TEST(the_command_line_overrides_the_file)
{
    begin();
    ck_assert_int_eq(parse("[node]\ncount = 3\n"), 0);
    ck_assert_int_eq(config_set(&config, "node", "count", bytes_of_text("4"), &why), 0);
    ck_assert_uint_eq(sample.count, 4);
    ck_assert_int_eq(config_set(&config, "node", "cuont", bytes_of_text("4"), &why),
                     ERR_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "nearest is 'count'"));
    config_release(&config);
}
END_TEST

START_TEST(the_printed_configuration_reads_back_the_same)
{
    struct alloc heap = alloc_heap();
    struct buf first;
    struct buf second;
    buf_init(&first, &heap, 65536);
    buf_init(&second, &heap, 65536);
    begin();
    ck_assert_int_eq(parse("top=1\n[node]\nname=\"a\\\"#\\\\ \\n\\xffz\"\npeers=\"x,y\",z\n"
                           "enabled=no\n[store]\nmemory=4097\ntimeout=90s\n"
                           "any=18446744073709551615\n"),
                     ERR_BAD_CONFIG); /* 90 s is too long */
    config_release(&config);
    begin();
    ck_assert_int_eq(parse("top=1\n[node]\nname=\"a\\\"#\\\\ \\n\\xffz\"\npeers=\"x,y\",z\n"
                           "enabled=no\n[store]\nmemory=4097\ntimeout=1500us\n"
                           "any=18446744073709551615\n"),
                     0);
    ck_assert_int_eq(config_print(&config, &first), 0);
    config_release(&config);
    begin();
    ck_assert_int_eq(config_parse(&config, buf_view(&first), "printed", &why), 0);
    ck_assert_str_eq(sample.name, "a\"#\\ \n\xffz");
    ck_assert_uint_eq(sample.any, UINT64_MAX);
    ck_assert_int_eq(config_print(&config, &second), 0);
    ck_assert(bytes_equal(buf_view(&first), buf_view(&second)));
    config_release(&config);
    buf_release(&first);
    buf_release(&second);
}
END_TEST

START_TEST(random_text_never_breaks_the_parser)
{
    static const char *const words[] = {"[node]", "[store]", "count", "memory", "=",   "\"",  "\\",
                                        "#",      "\n",      ",",     "5",      "KiB", " ",   "x",
                                        "peers",  "name",    "\\x4",  "]",      "[",   "\xff"};
    struct rng rng;
    rng_init(&rng, unit_seed("config", 5));
    for (unsigned round = 0; round < 3000; round++) {
        char text[256];
        size_t used = 0;
        unsigned count = (unsigned)rng_below(&rng, 24);
        for (unsigned i = 0; i < count; i++) {
            const char *word = words[rng_below(&rng, sizeof(words) / sizeof(words[0]))];
            memcpy(text + used, word, strlen(word));
            used += strlen(word);
        }
        begin();
        int err = config_parse(&config, bytes_of(text, used), "t", &why);
        ck_assert(err == 0 || err == ERR_BAD_CONFIG);
        config_release(&config);
    }
}
END_TEST

UNIT_MAIN("base_config", without_a_file_the_defaults_hold, values_of_every_type_are_read,
          units_multiply, an_unknown_key_is_refused_with_line_and_nearest_name,
          a_key_given_twice_is_refused_with_both_lines,
          values_outside_their_bounds_are_refused_with_the_bounds,
          values_of_another_type_are_refused, lines_that_are_no_setting_are_refused,
          outside_text_in_a_message_is_escaped, a_file_that_is_too_long_is_refused,
          the_command_line_overrides_the_file, the_printed_configuration_reads_back_the_same,
          random_text_never_breaks_the_parser)
