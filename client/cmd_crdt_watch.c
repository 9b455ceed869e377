/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt watch: keys that change at one node.
 */
#include "client/client_internal.h"
#include "client/cmd_internal.h"

#include <uv.h>

struct crdt_watching {
    const struct hf_cmd *cmd;
    uint64_t left;
    bool ended;
    int exit_code;
};

static void crdt_changed(void *ctx, const struct hf_event *e)
{
    struct crdt_watching *w = ctx;
    if (w->ended) {
        return;
    }
    if (e->code != 0) {
        w->exit_code = hf_cmd_fail(w->cmd, e->code, "watch: %s", e->text);
        w->ended = true;
        return;
    }
    bool gap = e->key.size == 0;
    if (w->cmd->json) {
        (void)printf("{\"type\":\"%s\",\"key\":", gap ? "gap" : "change");
        hf_json_string(stdout, e->key);
        (void)printf(",\"revision\":%llu}\n", (unsigned long long)e->revision);
    } else {
        (void)fputs(gap ? "gap" : "change\t", stdout);
        hf_cmd_escape(stdout, e->key);
        (void)fputc('\n', stdout);
    }
    w->left -= !gap;
    w->ended = fflush(stdout) != 0 || w->left == 0;
}

int hf_cmd_crdt_watch(const struct hf_cmd *cmd)
{
    struct crdt_watching w = {.cmd = cmd, .left = cmd->limit > 0 ? cmd->limit : UINT64_MAX};
    struct hf_crdt crdt = {.from_revision = cmd->from};
    struct hf_client *c = NULL;
    struct hf_watch *watch = NULL;
    if (cmd->space != NULL) {
        crdt.space = hf_text(cmd->space);
    }
    if (cmd->prefix != NULL) {
        crdt.prefix = hf_text(cmd->prefix);
    }
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    int err = hf_crdt_watch_new(c, &crdt, &w, crdt_changed, &watch);
    if (err != 0) {
        hf_client_free(c);
        return hf_cmd_fail(cmd, err, "watch: %s", err_text(err));
    }
    while (!w.ended) {
        (void)uv_run(c->loop, UV_RUN_ONCE);
    }
    hf_watch_free(watch);
    hf_client_free(c);
    return w.exit_code;
}
