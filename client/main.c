/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast: the command. Parses, runs the verb, ends with its exit code.
 */
#include "client/cmd_internal.h"

#include <signal.h>
#include <string.h>

#define MAIN_UNREACHABLE_MS 3000u

int hf_cmd_client(const struct hf_cmd *cmd, struct hf_client **out)
{
    struct hf_client_options options = {.endpoints = cmd->endpoints,
                                        .timeout_ms = cmd->timeout_ms,
                                        .unreachable_ms = MAIN_UNREACHABLE_MS};
    int err = hf_client_new(NULL, &options, out);
    if (err == ERR_INVALID) {
        return hf_cmd_usage("endpoints are HOST:PORT,..., not '%s'", cmd->endpoints);
    }
    return err == 0 ? 0 : hf_cmd_fail(cmd, err, "cannot start: %s", err_text(err));
}

int hf_cmd_wait(const struct hf_cmd *cmd, struct hf_client *c, int started, struct hf_answer *a)
{
    if (started != 0) {
        const char *text = started == ERR_TOO_LARGE
                               ? "a name is longer than 1,024 bytes, or a value than 1 MiB"
                               : err_text(started);
        (void)hf_cmd_fail(cmd, started, "%s %s: %s", cmd->noun, cmd->verb != NULL ? cmd->verb : "",
                          text);
        return started;
    }
    int err = hf_wait(c, a);
    if (err != 0 && err_outcome_of(err) != ERR_OUTCOME_DONE) {
        (void)hf_cmd_fail(cmd, err, "%s", a->text);
        return err;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct hf_cmd cmd;
    int exit_code = HF_EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN);
    const struct hf_cmd_verb *verb = hf_cmd_parse(argc, argv, &cmd, &exit_code);
    if (verb == NULL) {
        (void)fflush(stdout);
        return exit_code;
    }
    return hf_cmd_flushed(&cmd, verb->run(&cmd));
}
