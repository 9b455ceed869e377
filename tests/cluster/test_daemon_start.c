/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How the daemon starts, and when it refuses to: command line, settings, data directories, ports.
 */
#include "tests/cluster/daemon.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct daemons d;
static char output[8192];

static int run(const char *a, const char *b, const char *c)
{
    const char *const args[4] = {a, b, c, NULL};
    return daemon_run(d.base, args, output, sizeof(output));
}

/* The run ends with this code, one line, and these words. */
static void ends(int code, int expected, const char *words)
{
    ck_assert_msg(code == expected, "exit %d, not %d: %s", code, expected, output);
    ck_assert_msg(strstr(output, words) != NULL, "'%s' does not say '%s'", output, words);
    const char *line = strstr(output, "holdfastd: ");
    ck_assert_msg(line != NULL && strchr(line, '\n') == line + strlen(line) - 1,
                  "not one line: '%s'", output);
}

static const char *config_file(const char *text)
{
    static char path[160];
    (void)snprintf(path, sizeof(path), "%s/bad.conf", d.base);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

START_TEST(a_command_line_that_is_not_understood_is_exit_2)
{
    daemons_begin(&d, 0, "");
    ends(run("--frobnicate", NULL, NULL), 2, "--frobnicate");
    ends(run("--config", NULL, NULL), 2, "--config");
    ends(run("stray", NULL, NULL), 2, "stray");
    daemons_end(&d);
}
END_TEST

START_TEST(version_and_help_go_to_stdout)
{
    daemons_begin(&d, 0, "");
    ck_assert_int_eq(run("--version", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output, "holdfastd 0."));
    ck_assert_int_eq(run("--help", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output, "--data-dir"));
    daemons_end(&d);
}
END_TEST

/* scenario 49 */
START_TEST(bad_settings_are_refused_with_their_line)
{
    daemons_begin(&d, 0, "");
    ends(run("--config", config_file("[node]\nport = 1\n"), NULL), 1, "line 2");
    ends(run("--config", config_file("[limits]\nworkers = -1\n"), NULL), 1, "line 2");
    ends(run("--config", config_file("[limits]\nworkers = 1e9\n"), NULL), 1, "line 2");
    ends(run("--config", config_file("[raft]\n\nelection = nan\n"), NULL), 1, "line 3");
    ends(run("--check-config", "--config", config_file("[nod]\na = 1\n")), 1, "line");
    ends(run("--config", "no-such-file", NULL), 1, "no-such-file");
    daemons_end(&d);
}
END_TEST

START_TEST(printed_settings_are_good_settings)
{
    char path[160];
    daemons_begin(&d, 0, "");
    static char printed[8192];
    ck_assert_int_eq(run("--print-config", NULL, NULL), 0);
    (void)snprintf(printed, sizeof(printed), "%s", output);
    (void)snprintf(path, sizeof(path), "%s", config_file(printed));
    ck_assert_int_eq(run("--check-config", "--config", path), 0);
    ck_assert_int_eq(run("--print-config", "--config", path), 0);
    ck_assert_str_eq(output, printed);
    daemons_end(&d);
}
END_TEST

/* scenario 47 */
START_TEST(directories_that_are_not_its_own_are_left_alone)
{
    char path[160];
    char file[200];
    daemons_begin(&d, 0, "");
    (void)snprintf(path, sizeof(path), "%s/other", d.base);
    ends(run("--data-dir", path, NULL), 1, "other");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ends(run("--data-dir", path, NULL), 1, "holdfast init");
    (void)snprintf(file, sizeof(file), "%s/diary", path);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    ends(run("--data-dir", path, NULL), 1, "not empty");
    ck_assert_int_eq(chmod(path, 0777), 0);
    ends(run("--data-dir", path, NULL), 1, "writable by everyone");
    ck_assert_int_eq(access(file, F_OK), 0);
    daemons_end(&d);
}
END_TEST

/* scenario 47 */
START_TEST(a_directory_of_another_node_is_refused)
{
    char command[700];
    daemons_begin(&d, 2, "");
    daemon_start(&d, 0);
    ck_assert_int_eq(daemon_stop(&d, 0), 0);
    (void)snprintf(command, sizeof(command), "cp '%s/identity' '%s/identity'", d.nodes[1].dir,
                   d.nodes[0].dir);
    ck_assert_int_eq(system(command), 0);
    ends(run("--data-dir", d.nodes[0].dir, NULL), 1, "belongs to node 1, not to node 2");
    daemons_end(&d);
}
END_TEST

START_TEST(a_directory_in_use_and_a_busy_port_are_named)
{
    char command[700];
    char copy[160];
    daemons_begin(&d, 1, "");
    daemon_start(&d, 0);
    ends(run("--config", d.nodes[0].config, NULL), 1, "in use by another process");
    (void)snprintf(copy, sizeof(copy), "%s/copy", d.base);
    (void)snprintf(command, sizeof(command), "mkdir -m 700 '%s' && cp '%s/identity' '%s/'", copy,
                   d.nodes[0].dir, copy);
    ck_assert_int_eq(system(command), 0);
    ends(run("--data-dir", copy, NULL), 1, "address already in use");
    ck_assert_int_eq(daemon_stop(&d, 0), 0);
    daemons_end(&d);
}
END_TEST

START_TEST(it_ends_when_asked_and_starts_again)
{
    daemons_begin(&d, 1, "");
    for (unsigned i = 0; i < 3; i++) {
        daemon_start(&d, 0);
        ck_assert_int_eq(daemon_stop(&d, 0), 0);
    }
    ck_assert_uint_eq(daemon_lines(&d, 0, "boot=3"), 1);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=gossip_key_not_secret"), 3); /* of format 1 */
    daemons_end(&d);
}
END_TEST

START_TEST(alone_it_makes_a_cluster_of_one_and_finds_it_again)
{
    char got[256];
    struct stat st;
    int used = daemon_connect(7701);
    int used_too = daemon_connect(7801);
    if (used >= 0 || used_too >= 0) {
        printf("skipped: the default ports are in use here\n");
        return;
    }
    daemons_begin(&d, 0, "");
    daemon_start_alone(&d, 7701);
    ck_assert_int_eq(daemon_put(&d, "a", "b"), 0);
    daemon_kill(&d, 0);
    daemon_start_alone(&d, 7701);
    ck_assert_int_eq(daemon_get(&d, "a", got, sizeof(got)), 0);
    ck_assert_str_eq(got, "b");
    ck_assert_int_eq(daemon_stop(&d, 0), 0);
    (void)snprintf(got, sizeof(got), "%s/holdfast-data/sb0", d.base);
    ck_assert_int_eq(stat(got, &st), 0);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=cluster_founded"), 1);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=gossip_key_not_secret"), 0);
    daemons_end(&d);
}
END_TEST

UNIT_MAIN("daemon_start", alone_it_makes_a_cluster_of_one_and_finds_it_again,
          a_command_line_that_is_not_understood_is_exit_2, version_and_help_go_to_stdout,
          bad_settings_are_refused_with_their_line, printed_settings_are_good_settings,
          directories_that_are_not_its_own_are_left_alone, a_directory_of_another_node_is_refused,
          a_directory_in_use_and_a_busy_port_are_named, it_ends_when_asked_and_starts_again)
