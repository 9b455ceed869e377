/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * --token: a session that goes from one command to the next, as a text or in a file.
 */
#include "client/client_internal.h"
#include "client/cmd_internal.h"

#include "wire/token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAUSAL_TEXT_BYTES (2u * WIRE_TOKEN_BYTES_MAX)
#define CAUSAL_PATH_BYTES 4096u

/* returns: 0, also if there is no such file yet; or why it is no token. */
static int causal_read(const char *path, struct hf_causal *s)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        return errno == ENOENT ? 0 : ERR_IO;
    }
    char *text = malloc(CAUSAL_TEXT_BYTES + 1);
    size_t got = text != NULL ? fread(text, 1, CAUSAL_TEXT_BYTES, in) : 0;
    int err = text == NULL ? ERR_NO_MEMORY : ferror(in) != 0 ? ERR_IO : 0;
    if (err == 0) {
        text[got] = '\0';
        err = hf_causal_join(s, text);
    }
    free(text);
    (void)fclose(in);
    return err;
}

/* Whether the argument is the text of a token, not the name of a file. */
static bool causal_is_text(const char *text)
{
    struct hf_causal *s = NULL;
    bool is = hf_causal_new(&s) == 0 && hf_causal_join(s, text) == 0;
    hf_causal_free(s);
    return is;
}

int hf_cmd_causal(const struct hf_cmd *cmd, struct hf_causal **out)
{
    struct hf_causal *s = NULL;
    *out = NULL;
    if (cmd->token == NULL) {
        return 0;
    }
    if (hf_causal_new(&s) != 0) {
        return hf_cmd_fail(cmd, ERR_NO_MEMORY, "no memory for the token");
    }
    int err = hf_causal_join(s, cmd->token);
    if (err != 0) {
        err = causal_read(cmd->token, s);
    }
    if (err != 0) {
        hf_causal_free(s);
        return hf_cmd_fail(cmd, err == ERR_IO ? ERR_INVALID : err,
                           err == ERR_IO ? "cannot read '%s'" : "'%s' holds no token", cmd->token);
    }
    *out = s;
    return 0;
}

/* Over a file beside it, so that the one before is there until the new one is. */
static int causal_write(const char *path, const char *text)
{
    char beside[CAUSAL_PATH_BYTES];
    int size = snprintf(beside, sizeof(beside), "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof(beside)) {
        return ERR_TOO_LARGE;
    }
    FILE *out = fopen(beside, "wb");
    if (out == NULL) {
        return ERR_IO;
    }
    bool good = fprintf(out, "%s\n", text) > 0;
    good = fclose(out) == 0 && good;
    return good && rename(beside, path) == 0 ? 0 : ERR_IO;
}

int hf_cmd_causal_end(const struct hf_cmd *cmd, struct hf_causal *s, int code)
{
    if (s == NULL) {
        return code;
    }
    if (!causal_is_text(cmd->token) && (code == HF_EXIT_DONE || code == HF_EXIT_REFUSED)) {
        const char *text = hf_causal_text(s);
        if (text == NULL || causal_write(cmd->token, text) != 0) {
            (void)hf_cmd_fail(cmd, ERR_INVALID, "cannot write '%s'", cmd->token);
            code = code == HF_EXIT_DONE ? HF_EXIT_REFUSED : code;
        }
    }
    hf_causal_free(s);
    return code;
}
