/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Golden traces: golden/NAME.txt holds commands (lines that start with "> ") and after each the
 * actions that follow from it, all of them but heartbeats. `test_raft --update` rewrites the
 * files; a reviewer reads the difference.
 *
 *   > cluster NODES SEED | start | boot N | log N TERM... | rot N INDEX | elect | run MS
 *   > propose N COUNT | read N | crash N | restart N | isolate N | join N | compact N INDEX
 *
 * N is a node, L the leader, F the one after it.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_TEXT_MAX (1u << 20)

bool golden_update;

static const char *const golden_names[] = {"election", "conflict", "snapshot", "faulty", "read"};

static unsigned golden_node(const struct fx *f, const char *word)
{
    if (word[0] == 'L') {
        return fx_leader(f, 1);
    }
    if (word[0] == 'F') {
        return fx_leader(f, 1) % f->nodes + 1;
    }
    return (unsigned)strtoul(word, NULL, 10);
}

static unsigned golden_words(char *line, char **words, unsigned max)
{
    unsigned count = 0;
    char *save = NULL;
    for (char *w = strtok_r(line, " \n", &save); w != NULL && count < max;
         w = strtok_r(NULL, " \n", &save)) {
        words[count++] = w;
    }
    return count;
}

static void golden_log(struct fx *f, char **words, unsigned count)
{
    uint64_t terms[32];
    for (unsigned i = 2; i < count; i++) {
        terms[i - 2] = strtoull(words[i], NULL, 10);
    }
    fx_disk_log(f, golden_node(f, words[1]), 1, terms, count - 2);
}

static void golden_disk(struct fx *f, char **words, unsigned count)
{
    unsigned node = golden_node(f, words[1]);
    ck_assert_uint_ge(count, 2);
    if (strcmp(words[0], "log") == 0) {
        golden_log(f, words, count);
    } else if (strcmp(words[0], "rot") == 0) {
        f->node[node].disk[0].log[strtoull(words[2], NULL, 10)].state = RAFT_ENTRY_FAULTY;
    } else if (strcmp(words[0], "crash") == 0) {
        fx_crash(f, node, 0);
    } else if (strcmp(words[0], "restart") == 0) {
        fx_restart(f, node);
    } else if (strcmp(words[0], "boot") == 0) {
        fx_boot(f, node);
    } else {
        ck_abort_msg("unknown command %s", words[0]);
    }
}

static void golden_command(struct fx *f, char **words, unsigned count)
{
    uint64_t number = count > 1 ? strtoull(words[count - 1], NULL, 10) : 0;
    if (strcmp(words[0], "start") == 0) {
        fx_start(f);
    } else if (strcmp(words[0], "elect") == 0) {
        (void)fx_elect(f, 1, 9000000);
    } else if (strcmp(words[0], "run") == 0) {
        fx_run(f, number * 1000);
    } else if (strcmp(words[0], "propose") == 0) {
        ck_assert_int_eq(fx_propose(f, golden_node(f, words[1]), 1, (unsigned)number), 0);
        fx_settle(f);
    } else if (strcmp(words[0], "read") == 0) {
        ck_assert_uint_ne(fx_read(f, golden_node(f, words[1]), 1), 0);
        fx_settle(f);
    } else if (strcmp(words[0], "isolate") == 0 || strcmp(words[0], "join") == 0) {
        fx_isolate(f, golden_node(f, words[1]), words[0][0] == 'i');
    } else if (strcmp(words[0], "compact") == 0) {
        fx_compact(f, golden_node(f, words[1]), 1, number);
        fx_settle(f);
    } else {
        golden_disk(f, words, count);
    }
}

static char *golden_load(const char *path)
{
    char *text = calloc(1, GOLDEN_TEXT_MAX);
    FILE *in = fopen(path, "r");
    ck_assert_msg(in != NULL, "cannot open '%s'", path);
    size_t size = fread(text, 1, GOLDEN_TEXT_MAX - 1, in);
    (void)fclose(in);
    text[size] = '\0';
    return text;
}

/* returns: the trace of the commands in text. */
static char *golden_play(const char *text)
{
    struct fx *f = NULL;
    char *copy = strdup(text);
    char *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "> ", 2) != 0) {
            continue;
        }
        char words_of[256];
        char *words[40];
        (void)snprintf(words_of, sizeof(words_of), "%s", line + 2);
        unsigned count = golden_words(words_of, words, 40);
        if (f == NULL) {
            ck_assert_str_eq(words[0], "cluster");
            f = fx_new((unsigned)strtoul(words[1], NULL, 10), strtoull(words[2], NULL, 10));
            f->text = calloc(1, GOLDEN_TEXT_MAX);
            f->text_cap = GOLDEN_TEXT_MAX;
            fx_note(f, "%s\n", line);
            continue;
        }
        fx_note(f, "%s\n", line);
        golden_command(f, words, count);
    }
    ck_assert_ptr_nonnull(f);
    char *out = f->text;
    f->text = NULL;
    fx_free(f);
    free(copy);
    return out;
}

START_TEST(the_trace_of_each_script_is_as_recorded)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s.txt", HOLDFAST_GOLDEN, golden_names[_i]);
    char *want = golden_load(path);
    char *got = golden_play(want);
    if (golden_update) {
        FILE *out = fopen(path, "w");
        ck_assert_ptr_nonnull(out);
        ck_assert_uint_eq(fwrite(got, 1, strlen(got), out), strlen(got));
        ck_assert_int_eq(fclose(out), 0);
    } else {
        ck_assert_msg(strcmp(want, got) == 0, "'%s' differs; see --update", path);
    }
    free(want);
    free(got);
}
END_TEST

TCase *case_golden(void)
{
    TCase *c = tcase_create("golden");
    tcase_add_loop_test(c, the_trace_of_each_script_is_as_recorded, 0,
                        (int)(sizeof(golden_names) / sizeof(golden_names[0])));
    return c;
}
