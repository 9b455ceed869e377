/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast: the command. Parses, runs the verb, ends with its exit code.
 */
#include "base/fds.h"
#include "client/cmd_internal.h"

#include <signal.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct hf_cmd cmd;
    int exit_code = HF_EXIT_USAGE;
    if (fds_keep_standard() != 0) {
        return HF_EXIT_REFUSED;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on sizes of files is an error like a full disk */
    const struct hf_cmd_verb *verb = hf_cmd_parse(argc, argv, &cmd, &exit_code);
    if (verb == NULL) {
        (void)fflush(stdout);
        return exit_code;
    }
    return hf_cmd_flushed(&cmd, verb->run(&cmd));
}
