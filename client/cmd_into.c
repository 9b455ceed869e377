/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The result of a program as an object.
 */
#include "client/cmd_into_internal.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>

#define INTO_HEAD_BYTES ((size_t)8 << 20)

int hf_cmd_into_init(struct hf_cmd_into *into, const struct hf_cmd *cmd)
{
    const struct alloc heap = alloc_heap();
    const char *dir = cmd->spill != NULL ? cmd->spill : getenv("TMPDIR");
    *into = (struct hf_cmd_into){.object = {.timeout_ms = cmd->timeout_ms}};
    buf_init(&into->head, &heap, INTO_HEAD_BYTES);
    hf_spill_init(&into->spill, dir != NULL && dir[0] != '\0' ? dir : "/tmp");
    return hf_cmd_object_path(cmd->into, &into->object);
}

void hf_cmd_into_clear(struct hf_cmd_into *into)
{
    const struct compute_spill *spill = &into->spill.spill;
    if (into->run != NULL) {
        spill->remove(spill->ctx, into->run);
    }
    into->run = NULL;
    into->behind = 0;
    into->at = 0;
    buf_clear(&into->head);
}

void hf_cmd_into_release(struct hf_cmd_into *into)
{
    hf_cmd_into_clear(into);
    buf_release(&into->head);
}

int hf_cmd_into_check(const struct hf_cmd *cmd, struct hf_client *c, struct hf_cmd_into *into)
{
    struct hf_answer a = {.ended = false};
    const struct hf_bytes bucket = into->object.bucket;
    int err = hf_object_stat(c, &into->object, &a, hf_answer_done);
    if (err != 0) {
        (void)hf_cmd_fail(cmd, err, "--into: %s",
                          err == ERR_TOO_LARGE ? "a name is longer than 1,024 bytes"
                                               : err_text(err));
    } else if (hf_wait(c, &a) == ERR_NOT_FOUND) {
        err = ERR_NOT_FOUND;
        (void)hf_cmd_fail(cmd, err, "--into: there is no bucket '%.*s'",
                          (int)NUM_MIN(bucket.size, (size_t)100), (const char *)bucket.data);
    } else {
        err = hf_cmd_wait(cmd, c, err, &a);
    }
    hf_answer_release(&a);
    return err;
}

static int into_keep(struct hf_cmd_into *into, struct bytes data)
{
    const struct compute_spill *spill = &into->spill.spill;
    const size_t room = INTO_HEAD_BYTES - into->head.size;
    const size_t first = NUM_MIN(room, data.size);
    TRY(buf_append(&into->head, data.data, first));
    if (first == data.size) {
        return 0;
    }
    if (into->run == NULL) {
        TRY(spill->create(spill->ctx, &into->run));
    }
    const struct bytes rest = bytes_of(data.data + first, data.size - first);
    TRY(spill->append(spill->ctx, into->run, rest));
    into->behind += rest.size;
    return 0;
}

int hf_cmd_into_write(struct hf_cmd_into *into, const void *data, size_t bytes)
{
    into->code = into_keep(into, bytes_of(data, bytes));
    return into->code;
}

int hf_cmd_into_fail(const struct hf_cmd *cmd, const struct hf_cmd_into *into)
{
    const bool said = into->spill.why.code == into->code;
    return hf_cmd_fail(cmd, into->code, "the result of the program: %s",
                       said ? into->spill.why.text : err_text(into->code));
}

/* ---- the source ----------------------------------------------------------------------------- */

static int into_read(void *ctx, void *to, size_t bytes, size_t *got)
{
    struct hf_cmd_into *into = ctx;
    const struct compute_spill *spill = &into->spill.spill;
    const uint64_t head = into->head.size;
    const uint64_t left = head + into->behind - into->at;
    *got = (size_t)NUM_MIN(left, (uint64_t)bytes);
    if (*got > 0 && into->at < head) {
        *got = (size_t)NUM_MIN((uint64_t)*got, head - into->at);
        memcpy(to, into->head.data + into->at, *got);
    } else if (*got > 0) {
        into->code = spill->read(spill->ctx, into->run, into->at - head, to, *got);
    }
    into->at += *got;
    return into->code;
}

static int into_rewind(void *ctx)
{
    struct hf_cmd_into *into = ctx;
    into->at = 0;
    return 0;
}

int hf_cmd_into_put(const struct hf_cmd *cmd, struct hf_client *c, struct hf_cmd_into *into,
                    struct hf_answer *a)
{
    const struct hf_source source = {.ctx = into,
                                     .read = into_read,
                                     .rewind = into_rewind,
                                     .size_known = true,
                                     .size = into->head.size + into->behind};
    struct hf_bar bar;
    hf_bar_begin(&bar, cmd->into);
    into->object.progress = hf_bar_progress;
    into->object.progress_ctx = &bar;
    const int err = hf_object_put(c, &into->object, &source, a, hf_answer_done);
    if (err == 0) {
        (void)hf_wait(c, a);
    }
    hf_bar_end(&bar);
    if (into->code != 0) {
        (void)hf_cmd_into_fail(cmd, into);
        return into->code;
    }
    return hf_cmd_wait(cmd, c, err, a);
}

void hf_cmd_into_say(const struct hf_cmd *cmd, const struct hf_object_info *made)
{
    if (!cmd->json) {
        (void)printf("%s: %llu bytes, root ", cmd->into, (unsigned long long)made->size);
        hf_json_hex(stdout, made->root, sizeof(made->root));
        (void)fputc('\n', stdout);
        return;
    }
    (void)fputs("{\"object\":", stdout);
    hf_json_text(stdout, cmd->into);
    (void)printf(",\"size\":%llu,\"version\":%llu,\"root\":\"", (unsigned long long)made->size,
                 (unsigned long long)made->version);
    hf_json_hex(stdout, made->root, sizeof(made->root));
    (void)fputs("\"}", stdout);
}
