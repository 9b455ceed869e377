/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the command that need no cluster: words, escapes, JSON, exit codes, ranges, and the
 * session's window.
 */
#include "../unit.h"

#include "base/err.h"
#include "client/cmd_cluster_internal.h"
#include "client/object_internal.h"
#include "wire/rpc.h"

#include <string.h>

static char printed[4096];

/* Whatever a function prints onto a FILE. */
static FILE *print_begin(void)
{
    memset(printed, 0, sizeof(printed));
    FILE *out = fmemopen(printed, sizeof(printed) - 1, "w");
    ck_assert_ptr_nonnull(out);
    return out;
}

static const char *json_of(struct hf_bytes v)
{
    FILE *out = print_begin();
    hf_json_string(out, v);
    (void)fclose(out);
    return printed;
}

START_TEST(exit_codes_are_the_contract)
{
    ck_assert_int_eq(hf_cmd_exit_of(0), 0);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_NOT_FOUND), 1);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_CONFLICT), 1);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_TIMEOUT), 4);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_FORGOTTEN), 4);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_CONNECTION), 4);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_CORRUPT), 65);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_LOST), 65);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_UNREACHABLE), 69);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_BUSY), 75);
    ck_assert_int_eq(hf_cmd_exit_of(ERR_DONE), 0);
}
END_TEST

START_TEST(every_byte_survives_its_escape)
{
    struct alloc heap = alloc_heap();
    struct buf back;
    uint8_t all[256];
    for (unsigned i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    FILE *out = print_begin();
    hf_cmd_escape(out, (struct hf_bytes){all, sizeof(all)});
    (void)fclose(out);
    ck_assert_ptr_nonnull(strstr(printed, "\\t\\n"));
    ck_assert_ptr_nonnull(strstr(printed, "\\\\"));
    ck_assert_ptr_nonnull(strstr(printed, "\\xff"));
    buf_init(&back, &heap, 4096);
    ck_assert_int_eq(hf_cmd_unescape(bytes_of_text(printed), &back), 0);
    ck_assert(bytes_equal(buf_view(&back), bytes_of(all, sizeof(all))));
    buf_release(&back);
}
END_TEST

START_TEST(broken_escapes_are_refused)
{
    static const char *const broken[] = {"\\", "a\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x0g"};
    struct alloc heap = alloc_heap();
    struct buf back;
    buf_init(&back, &heap, 4096);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        ck_assert_int_eq(hf_cmd_unescape(bytes_of_text(broken[i]), &back), ERR_INVALID);
    }
    buf_release(&back);
}
END_TEST

START_TEST(json_strings_are_text_or_base64)
{
    ck_assert_str_eq(json_of(hf_text("a\"b\\c\n\t\x01")), "\"a\\\"b\\\\c\\n\\t\\u0001\"");
    ck_assert_str_eq(json_of(hf_text("gr\xc3\xbc\xc3\x9f")), "\"gr\xc3\xbc\xc3\x9f\"");
    ck_assert_str_eq(json_of((struct hf_bytes){"\xff", 1}), "{\"base64\":\"/w==\"}");
    ck_assert_str_eq(json_of((struct hf_bytes){"\xff\x00", 2}), "{\"base64\":\"/wA=\"}");
    ck_assert_str_eq(json_of((struct hf_bytes){"\xff\x00\x01", 3}), "{\"base64\":\"/wAB\"}");
    ck_assert_str_eq(json_of((struct hf_bytes){"", 0}), "\"\"");
}
END_TEST

START_TEST(only_well_formed_utf8_is_text)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xc3"};
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!hf_cmd_is_utf8(bytes_of_text(bad[i])), "bad %zu", i);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(hf_cmd_is_utf8(bytes_of_text(good[i])), "good %zu", i);
    }
}
END_TEST

START_TEST(messagepack_becomes_json)
{
    struct alloc heap = alloc_heap();
    struct buf in;
    buf_init(&in, &heap, 4096);
    (void)wire_pack_map(&in, 3);
    (void)wire_pack_text(&in, "a");
    (void)wire_pack_array(&in, 3);
    (void)wire_pack_u64(&in, 1);
    (void)wire_pack_i64(&in, -2);
    (void)wire_pack_nil(&in);
    (void)wire_pack_text(&in, "b");
    (void)wire_pack_map(&in, 0);
    (void)wire_pack_text(&in, "c");
    (void)wire_pack_bool(&in, true);
    FILE *out = print_begin();
    ck_assert_int_eq(hf_json_msgpack(out, buf_view(&in)), 0);
    (void)fclose(out);
    ck_assert_str_eq(printed, "{\"a\":[1,-2,null],\"b\":{},\"c\":true}");
    buf_release(&in);
}
END_TEST

START_TEST(numbers_schemes_and_ranges_are_read_strictly)
{
    uint64_t a = 0;
    uint64_t b = 0;
    uint32_t k = 0;
    uint32_t m = 0;
    ck_assert(hf_cmd_number(bytes_of_text("18446744073709551615"), &a));
    ck_assert_uint_eq(a, UINT64_MAX);
    ck_assert(!hf_cmd_number(bytes_of_text("18446744073709551616"), &a));
    ck_assert(!hf_cmd_number(bytes_of_text(""), &a));
    ck_assert(!hf_cmd_number(bytes_of_text("-1"), &a));
    ck_assert(hf_cmd_scheme("3+2", &k, &m));
    ck_assert_uint_eq(k, 3);
    ck_assert_uint_eq(m, 2);
    ck_assert(!hf_cmd_scheme("3", &k, &m));
    ck_assert(!hf_cmd_scheme("3+", &k, &m));
    ck_assert(hf_cmd_range("0-9", &a, &b));
    ck_assert_uint_eq(b, 9);
    ck_assert(!hf_cmd_range("-9", &a, &b));
    ck_assert(!hf_cmd_range("5-", &a, &b));
}
END_TEST

START_TEST(words_are_nouns_verbs_and_options)
{
    struct hf_cmd cmd;
    int code = -1;
    char *good[] = {"holdfast", "kv", "incr",   "--timeout", "1.5",
                    "n",        "-7", "--json", "--space=s", NULL};
    const struct hf_cmd_verb *verb = hf_cmd_parse(9, good, &cmd, &code);
    ck_assert_ptr_nonnull(verb);
    ck_assert_uint_eq(cmd.timeout_ms, 1500);
    ck_assert_uint_eq(cmd.args, 2);
    ck_assert_str_eq(cmd.arg[1], "-7");
    ck_assert(cmd.json);
    ck_assert_str_eq(cmd.space, "s");
    char *unknown[] = {"holdfast", "kv", "get", "a", "--bogus", NULL};
    ck_assert_ptr_null(hf_cmd_parse(5, unknown, &cmd, &code));
    ck_assert_int_eq(code, HF_EXIT_USAGE);
    char *after[] = {"holdfast", "kv", "get", "--", "--bogus", NULL};
    ck_assert_ptr_nonnull(hf_cmd_parse(5, after, &cmd, &code));
    ck_assert_str_eq(cmd.arg[0], "--bogus");
}
END_TEST

static int run_words(char **words, int count)
{
    struct hf_cmd cmd;
    int code = -1;
    const struct hf_cmd_verb *verb = hf_cmd_parse(count, words, &cmd, &code);
    return verb == NULL ? code : verb->run(&cmd);
}

/* scenarios C38 and C44: a list type and a schema are refused on the command line */
START_TEST(there_is_no_list_type_and_no_schema)
{
    char *list[] = {"holdfast", "crdt", "list", "insert", "essay", "0", "word"};
    char *schema[] = {"holdfast", "crdt", "table", "add-column", "t", "c"};
    char *type[] = {"holdfast", "crdt", "map", "set", "k", "f", "v", "--type", "list"};
    ck_assert_int_eq(run_words(list, 7), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(schema, 6), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(type, 9), HF_EXIT_USAGE);
}
END_TEST

START_TEST(types_of_data_stand_as_verbs)
{
    char *words[] = {"holdfast", "crdt",    "set",      "add",           "k",        "a",
                     "b",        "--token", "file.tok", "--remove-wins", "--copies", "3"};
    struct hf_cmd cmd;
    int code = 0;
    ck_assert_ptr_nonnull(hf_cmd_parse(12, words, &cmd, &code));
    ck_assert_str_eq(cmd.verb, "set");
    ck_assert_uint_eq(cmd.args, 4);
    ck_assert_str_eq(cmd.token, "file.tok");
    ck_assert_uint_eq(cmd.copies, 3);
    ck_assert_uint_ne(cmd.given & HF_OPT_REMOVE_WINS, 0);
    char *number[] = {"holdfast", "crdt", "counter", "add", "k", "much"};
    char *action[] = {"holdfast", "crdt", "counter", "multiply", "k", "3"};
    char *deep[] = {"holdfast", "crdt", "map", "set", "k", "a.b.c.d.e.f.g.h.i", "v"};
    char *empty[] = {"holdfast", "crdt", "map", "set", "k", "a..b", "v"};
    char *flag[] = {"holdfast", "crdt", "map", "set", "k", "a", "maybe", "--type", "flag"};
    char *copies[] = {"holdfast", "crdt", "counter", "add", "k", "--copies", "9"};
    ck_assert_int_eq(run_words(number, 6), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(action, 6), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(deep, 7), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(empty, 7), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(flag, 9), HF_EXIT_USAGE);
    ck_assert_int_eq(run_words(copies, 7), HF_EXIT_USAGE);
}
END_TEST

START_TEST(ranges_beyond_the_end_are_refused)
{
    uint64_t from = 0;
    uint64_t to = 0;
    ck_assert_int_eq(hf_range_check(10, 0, 9, &from, &to), 0);
    ck_assert_uint_eq(from, 0);
    ck_assert_uint_eq(to, 10);
    ck_assert_int_eq(hf_range_check(10, 9, 9, &from, &to), 0);
    ck_assert_int_eq(hf_range_check(10, 0, 10, &from, &to), ERR_RANGE);
    ck_assert_int_eq(hf_range_check(10, 10, 10, &from, &to), ERR_RANGE);
    ck_assert_int_eq(hf_range_check(10, 5, 4, &from, &to), ERR_RANGE);
    ck_assert_int_eq(hf_range_check(0, 0, 0, &from, &to), ERR_RANGE);
    ck_assert_int_eq(hf_range_check(10, 0, UINT64_MAX, &from, &to), ERR_RANGE);
}
END_TEST

/* Every byte of every range of a small object is in exactly one piece, in order. */
START_TEST(pieces_cover_a_range_exactly)
{
    for (uint64_t size = 1; size <= 20; size++) {
        for (uint64_t from = 0; from < size; from++) {
            for (uint64_t to = from + 1; to <= size; to++) {
                uint64_t at = from;
                while (at < to) {
                    struct hf_piece p = hf_piece_at(size, 4, at, to);
                    ck_assert_uint_eq(p.cell_offset + p.from, at);
                    ck_assert_uint_le(p.from + p.bytes, p.cell_bytes);
                    ck_assert_uint_le(p.cell_offset + p.cell_bytes, size);
                    ck_assert_uint_gt(p.bytes, 0);
                    at += p.bytes;
                }
                ck_assert_uint_eq(at, to);
            }
        }
    }
}
END_TEST

START_TEST(a_stream_in_any_pieces_has_the_same_root)
{
    static uint8_t data[200000];
    static uint8_t hashes[16 * MERKLE_HASH_BYTES];
    static struct hf_hasher h;
    struct alloc heap = alloc_heap();
    struct compute *compute = NULL;
    uint8_t want[MERKLE_HASH_BYTES];
    uint8_t got[MERKLE_HASH_BYTES];
    static const size_t pieces[] = {1, 1000, 16384, 16385, 65536, sizeof(data)};
    ck_assert_int_eq(compute_new(&compute, &heap, NULL), 0);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    compute_leaf_hashes(compute, data, sizeof(data), hashes);
    merkle_root_of(hashes, compute_leaves_of(sizeof(data)), want);
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        hf_hasher_init(&h, compute);
        for (size_t at = 0; at < sizeof(data); at += pieces[p]) {
            hf_hasher_push(&h, data + at, NUM_MIN(pieces[p], sizeof(data) - at));
        }
        hf_hasher_root(&h, got);
        ck_assert_mem_eq(got, want, sizeof(want));
    }
    compute_free(compute);
}
END_TEST

START_TEST(a_window_moves_when_its_oldest_write_ends)
{
    struct hf_session s = {.state = HF_SESSION_OPEN, .id = 1, .next = 1};
    uint64_t seq = 0;
    for (unsigned i = 1; i <= HF_WINDOW; i++) {
        ck_assert(hf_session_take(&s, &seq));
        ck_assert_uint_eq(seq, i);
    }
    ck_assert(!hf_session_take(&s, &seq));
    for (unsigned i = 2; i <= HF_WINDOW; i++) {
        hf_session_end(&s, i);
    }
    ck_assert_uint_eq(s.acked, 0);
    ck_assert(!hf_session_take(&s, &seq));
    hf_session_end(&s, 1);
    ck_assert_uint_eq(s.acked, HF_WINDOW);
    ck_assert(hf_session_take(&s, &seq));
    ck_assert_uint_eq(seq, HF_WINDOW + 1);
}
END_TEST

START_TEST(endpoints_are_hosts_with_ports)
{
    struct bytes host;
    uint16_t port = 0;
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("[::1]:7701"), &host, &port), 0);
    ck_assert(bytes_equal(host, bytes_of_text("::1")));
    ck_assert_uint_eq(port, 7701);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("a.b:1"), &host, &port), 0);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("::1:7701"), &host, &port), ERR_INVALID);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("host"), &host, &port), ERR_INVALID);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text(":1"), &host, &port), ERR_INVALID);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("h:0"), &host, &port), ERR_INVALID);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("h:65536"), &host, &port), ERR_INVALID);
    ck_assert_int_eq(hf_endpoint_parse(bytes_of_text("h:7x"), &host, &port), ERR_INVALID);
}
END_TEST

START_TEST(a_reused_pid_is_not_taken_for_the_process)
{
    struct hf_proc self = {.pid = 1, .started = 1};
    ck_assert_int_eq(hf_proc_state(&self), HF_PROC_GONE);
    self.pid = 0;
    ck_assert_int_eq(hf_proc_state(&self), HF_PROC_GONE);
    ck_assert(!hf_proc_signal(&self, 0));
}
END_TEST

UNIT_MAIN("client_command", exit_codes_are_the_contract, every_byte_survives_its_escape,
          broken_escapes_are_refused, json_strings_are_text_or_base64,
          only_well_formed_utf8_is_text, messagepack_becomes_json,
          numbers_schemes_and_ranges_are_read_strictly, words_are_nouns_verbs_and_options,
          there_is_no_list_type_and_no_schema, types_of_data_stand_as_verbs,
          ranges_beyond_the_end_are_refused, pieces_cover_a_range_exactly,
          a_stream_in_any_pieces_has_the_same_root, a_window_moves_when_its_oldest_write_ends,
          endpoints_are_hosts_with_ports, a_reused_pid_is_not_taken_for_the_process)
