/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast kv: keys and values.
 */
#include "client/client_internal.h"
#include "client/cmd_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one key -------------------------------------------------------------------------------- */

static struct hf_kv kv_of(const struct hf_cmd *cmd)
{
    struct hf_kv kv = {.stale = cmd->stale};
    if (cmd->space != NULL) {
        kv.space = hf_text(cmd->space);
    }
    if (cmd->args > 0) {
        kv.key = hf_text(cmd->arg[0]);
    }
    return kv;
}

typedef int kv_start_fn(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);

/* Runs one operation to its end. returns: 0, or an exit code (said); then there is no answer. */
static int kv_run(const struct hf_cmd *cmd, const struct hf_kv *kv, kv_start_fn *start,
                  struct hf_answer *a)
{
    struct hf_client *c = NULL;
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    struct hf_kv with = *kv;
    code = hf_cmd_causal(cmd, &with.causal);
    if (code != 0) {
        hf_client_free(c);
        return code;
    }
    int err = hf_cmd_wait(cmd, c, start(c, &with, a, hf_answer_done), a);
    hf_client_free(c);
    code = hf_cmd_causal_end(cmd, with.causal, hf_cmd_exit_of(err));
    if (code != 0) {
        hf_answer_release(a);
    }
    return code;
}

static void kv_print_key(const char *key)
{
    (void)fputs("{\"key\":", stdout);
    hf_json_text(stdout, key);
}

/* Which consistency was given, and the end of the line. */
static void kv_print_end(const struct hf_answer *a)
{
    (void)printf(",\"consistency\":\"%s\"}\n", a->result.consistency);
}

static int kv_finish(struct hf_answer *a, int code)
{
    hf_answer_release(a);
    return code;
}

static int kv_say_revision(const struct hf_cmd *cmd, struct hf_answer *a)
{
    if (cmd->json) {
        kv_print_key(cmd->arg[0]);
        (void)printf(",\"revision\":%llu", (unsigned long long)a->result.revision);
        kv_print_end(a);
    }
    return kv_finish(a, HF_EXIT_DONE);
}

/* All of stdin, as one value. */
static int kv_read_stdin(const struct hf_cmd *cmd, struct buf *into)
{
    struct alloc heap = alloc_heap();
    buf_init(into, &heap, WIRE_VALUE_BYTES_MAX + 1);
    while (into->err == 0) {
        size_t room = NUM_MIN((size_t)65536, into->limit_bytes - into->size);
        if (room == 0) {
            return hf_cmd_fail(cmd, ERR_TOO_LARGE, "the value is longer than %u bytes",
                               WIRE_VALUE_BYTES_MAX);
        }
        if (buf_reserve(into, room) != 0) {
            return hf_cmd_fail(cmd, ERR_NO_MEMORY, "no memory for the value");
        }
        ssize_t got = read(STDIN_FILENO, into->data + into->size, room);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            (void)hf_cmd_fail(cmd, ERR_INVALID, "cannot read stdin: %s", strerror(errno));
            return HF_EXIT_REFUSED;
        }
        if (got == 0) {
            break;
        }
        into->size += (size_t)got;
    }
    return 0;
}

static int kv_put(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_answer a = {.ended = false};
    struct buf value = {.data = NULL};
    int code = 0;
    if (cmd->args < 2 || strcmp(cmd->arg[1], "-") == 0) {
        code = kv_read_stdin(cmd, &value);
        kv.value = (struct hf_bytes){.data = value.data, .size = value.size};
    } else {
        kv.value = hf_text(cmd->arg[1]);
    }
    if (code == 0) {
        code = kv_run(cmd, &kv, hf_kv_put, &a);
    }
    if (value.limit_bytes > 0) {
        buf_release(&value);
    }
    return code != 0 ? code : kv_say_revision(cmd, &a);
}

static int kv_get(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_answer a = {.ended = false};
    int code = kv_run(cmd, &kv, hf_kv_get, &a);
    if (code != 0) {
        return code;
    }
    const struct hf_result *r = &a.result;
    if (!r->found) {
        if (cmd->json) {
            kv_print_key(cmd->arg[0]);
            (void)fputs(",\"value\":null", stdout);
            kv_print_end(&a);
        }
        return kv_finish(&a, HF_EXIT_REFUSED);
    }
    if (cmd->json) {
        kv_print_key(cmd->arg[0]);
        (void)fputs(",\"value\":", stdout);
        hf_json_string(stdout, r->value);
        (void)printf(",\"revision\":%llu,\"create_revision\":%llu,\"version\":%llu",
                     (unsigned long long)r->revision, (unsigned long long)r->create_revision,
                     (unsigned long long)r->version);
        kv_print_end(&a);
    } else {
        (void)fwrite(r->value.data, 1, r->value.size, stdout);
    }
    return kv_finish(&a, HF_EXIT_DONE);
}

static int kv_del(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_answer a = {.ended = false};
    int code = kv_run(cmd, &kv, hf_kv_delete, &a);
    if (code != 0) {
        return code;
    }
    bool done = a.result.code == ERR_DONE || a.result.found;
    if (cmd->json) {
        kv_print_key(cmd->arg[0]);
        (void)printf(",\"deleted\":%s,\"revision\":%llu", done ? "true" : "false",
                     (unsigned long long)a.result.revision);
        kv_print_end(&a);
    }
    return kv_finish(&a, done ? HF_EXIT_DONE : HF_EXIT_REFUSED);
}

static int kv_cas(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_answer a = {.ended = false};
    if (cmd->args != (cmd->absent ? 2u : 3u)) {
        return hf_cmd_usage("usage: holdfast kv cas KEY OLD NEW, or KEY --absent NEW");
    }
    kv.expect_absent = cmd->absent;
    if (!cmd->absent) {
        kv.expected = hf_text(cmd->arg[1]);
    }
    kv.value = hf_text(cmd->arg[cmd->args - 1]);
    int code = kv_run(cmd, &kv, hf_kv_cas, &a);
    return code != 0 ? code : kv_say_revision(cmd, &a);
}

static int kv_incr(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_answer a = {.ended = false};
    kv.by = 1;
    if (cmd->args > 1 && !hf_cmd_signed(cmd->arg[1], &kv.by)) {
        return hf_cmd_usage("'%s' is no whole number", cmd->arg[1]);
    }
    int code = kv_run(cmd, &kv, hf_kv_incr, &a);
    if (code != 0) {
        return code;
    }
    if (cmd->json) {
        kv_print_key(cmd->arg[0]);
        (void)printf(",\"value\":%lld,\"revision\":%llu", (long long)a.result.number,
                     (unsigned long long)a.result.revision);
        kv_print_end(&a);
    } else if (a.result.code == 0) {
        (void)printf("%lld\n", (long long)a.result.number);
    }
    return kv_finish(&a, HF_EXIT_DONE);
}

/* ---- scan ----------------------------------------------------------------------------------- */

static void kv_print_item(const struct hf_cmd *cmd, const struct hf_item *item)
{
    if (cmd->json) {
        (void)fputs("{\"key\":", stdout);
        hf_json_string(stdout, item->key);
        (void)fputs(",\"value\":", stdout);
        hf_json_string(stdout, item->value);
        (void)printf(",\"revision\":%llu}\n", (unsigned long long)item->revision);
        return;
    }
    hf_cmd_escape(stdout, item->key);
    (void)fputc('\t', stdout);
    hf_cmd_escape(stdout, item->value);
    (void)fputc('\n', stdout);
}

static int kv_scan_all(const struct hf_cmd *cmd, struct hf_client *c, struct hf_kv *kv)
{
    uint8_t after[WIRE_NAME_BYTES_MAX];
    uint64_t left = cmd->limit > 0 ? cmd->limit : UINT64_MAX;
    bool more = true;
    while (more && left > 0) {
        struct hf_answer a = {.ended = false};
        unsigned shown = 0;
        kv->limit = NUM_MIN(left, (uint64_t)WIRE_SCAN_ITEMS_MAX);
        int err = hf_cmd_wait(cmd, c, hf_kv_scan(c, kv, &a, hf_answer_done), &a);
        if (err != 0) {
            hf_answer_release(&a);
            return hf_cmd_exit_of(err);
        }
        for (size_t i = 0; i < a.result.count && left > 0; i++, left--) {
            kv_print_item(cmd, &a.result.items[i]);
            shown++;
        }
        if (cmd->json) { /* each page may be of another moment */
            (void)printf("{\"count\":%u,\"revision\":%llu", shown,
                         (unsigned long long)a.result.revision);
            kv_print_end(&a);
        }
        more = a.result.more && a.result.count > 0;
        if (more) {
            struct hf_bytes last = a.result.items[a.result.count - 1].key;
            ASSERT(last.size <= sizeof(after));
            memcpy(after, last.data, last.size);
            kv->after = (struct hf_bytes){.data = after, .size = last.size};
        }
        hf_answer_release(&a);
    }
    return HF_EXIT_DONE;
}

static int kv_scan(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct hf_client *c = NULL;
    if (cmd->prefix != NULL) {
        kv.prefix = hf_text(cmd->prefix);
    }
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    code = kv_scan_all(cmd, c, &kv);
    hf_client_free(c);
    return code;
}

/* ---- watch ---------------------------------------------------------------------------------- */

struct kv_watching {
    const struct hf_cmd *cmd;
    uint64_t left;
    bool ended;
    int exit_code;
};

static void kv_changed(void *ctx, const struct hf_event *e)
{
    struct kv_watching *w = ctx;
    bool put = e->change == HF_CHANGE_PUT;
    if (w->ended) {
        return;
    }
    if (e->code != 0) {
        w->exit_code = hf_cmd_fail(w->cmd, e->code, "watch: %s", e->text);
        w->ended = true;
        return;
    }
    if (w->cmd->json) {
        (void)printf("{\"type\":\"%s\",\"key\":", put ? "put" : "delete");
        hf_json_string(stdout, e->key);
        if (put) {
            (void)fputs(",\"value\":", stdout);
            hf_json_string(stdout, e->value);
        }
        (void)printf(",\"revision\":%llu}\n", (unsigned long long)e->revision);
    } else {
        (void)fputs(put ? "put\t" : "delete\t", stdout);
        hf_cmd_escape(stdout, e->key);
        if (put) {
            (void)fputc('\t', stdout);
            hf_cmd_escape(stdout, e->value);
        }
        (void)fputc('\n', stdout);
    }
    w->left--;
    w->ended = fflush(stdout) != 0 || w->left == 0;
}

static int kv_watch(const struct hf_cmd *cmd)
{
    struct hf_kv kv = kv_of(cmd);
    struct kv_watching w = {.cmd = cmd, .left = cmd->limit > 0 ? cmd->limit : UINT64_MAX};
    struct hf_client *c = NULL;
    struct hf_watch *watch = NULL;
    if (cmd->prefix != NULL) {
        kv.prefix = hf_text(cmd->prefix);
    }
    kv.from_revision = cmd->from;
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    int err = hf_watch_new(c, &kv, &w, kv_changed, &watch);
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

/* ---- load ----------------------------------------------------------------------------------- */

/* Each byte of key and value may be written as four. */
#define KV_LINE_BYTES_MAX (4u * (WIRE_NAME_BYTES_MAX + WIRE_VALUE_BYTES_MAX) + 1u)

struct kv_loading {
    const struct hf_cmd *cmd;
    struct hf_client *client;
    struct buf line; /* unescaped key and value of the line */
    unsigned open;
    uint64_t loaded;
    uint64_t bytes;
    uint64_t total;
    int code; /* of the first put that failed */
    struct hf_bar bar;
};

static void kv_load_done(void *ctx, const struct hf_result *r)
{
    struct kv_loading *l = ctx;
    l->open--;
    if (r->code != 0 && err_outcome_of(r->code) != ERR_OUTCOME_DONE) {
        if (l->code == 0) {
            (void)hf_cmd_fail(l->cmd, r->code, "%s", r->text);
            l->code = r->code;
        }
        return;
    }
    l->loaded++;
    hf_bar_progress(&l->bar, l->bytes, l->total);
}

/* returns: 0 or why the line was not taken. */
static int kv_load_line(struct kv_loading *l, struct bytes text)
{
    const uint8_t *tab = memchr(text.data, '\t', text.size);
    struct hf_kv kv = {.space = {NULL, 0}};
    if (tab == NULL) {
        return ERR_INVALID;
    }
    size_t key_text = (size_t)(tab - text.data);
    buf_clear(&l->line);
    TRY(hf_cmd_unescape(bytes_of(text.data, key_text), &l->line));
    size_t key_bytes = l->line.size;
    TRY(hf_cmd_unescape(bytes_of(tab + 1, text.size - key_text - 1), &l->line));
    if (l->cmd->space != NULL) {
        kv.space = hf_text(l->cmd->space);
    }
    kv.key = (struct hf_bytes){.data = l->line.data, .size = key_bytes};
    kv.value =
        (struct hf_bytes){.data = l->line.data + key_bytes, .size = l->line.size - key_bytes};
    TRY(hf_kv_put(l->client, &kv, l, kv_load_done));
    l->open++;
    return 0;
}

static void kv_load_settle(struct kv_loading *l, unsigned open_max)
{
    while (l->open > open_max) {
        (void)uv_run(l->client->loop, UV_RUN_ONCE);
    }
}

/* Reads up to the end of a line, which is left out. returns: 0, ERR_NOT_FOUND at the end of the
 * input, ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_INVALID if it cannot be read. */
static int kv_load_take(struct kv_loading *l, FILE *in, struct buf *text)
{
    int c = getc_unlocked(in);
    bool none = c == EOF;
    buf_clear(text);
    while (c != EOF && c != '\n') {
        TRY(buf_put_u8(text, (uint8_t)c));
        c = getc_unlocked(in);
    }
    l->bytes += text->size + (c != EOF);
    if (ferror(in) != 0) {
        return ERR_INVALID;
    }
    return none ? ERR_NOT_FOUND : 0;
}

static int kv_load_lines(struct kv_loading *l, FILE *in)
{
    struct alloc heap = alloc_heap();
    struct buf text;
    uint64_t number = 0;
    int err = 0;
    buf_init(&text, &heap, KV_LINE_BYTES_MAX);
    while (err == 0 && l->code == 0) {
        number++;
        err = kv_load_take(l, in, &text);
        kv_load_settle(l, HF_WINDOW - 1);
        if (err == 0 && text.size > 0) {
            err = kv_load_line(l, buf_view(&text));
        }
    }
    if (err != 0 && err != ERR_NOT_FOUND && l->code == 0) {
        (void)hf_cmd_fail(l->cmd, err, "line %llu: %s", (unsigned long long)number,
                          err == ERR_INVALID ? "not KEY<TAB>VALUE" : err_text(err));
        l->code = err;
    }
    buf_release(&text);
    kv_load_settle(l, 0);
    return l->code;
}

static int kv_load(const struct hf_cmd *cmd)
{
    struct alloc heap = alloc_heap();
    struct kv_loading l = {.cmd = cmd};
    bool piped = strcmp(cmd->arg[0], "-") == 0;
    FILE *in = piped ? stdin : fopen(cmd->arg[0], "rb");
    if (in == NULL) {
        return hf_cmd_fail(cmd, ERR_NOT_FOUND, "cannot open '%s': %s", cmd->arg[0],
                           strerror(errno));
    }
    if (!piped && fseeko(in, 0, SEEK_END) == 0) {
        off_t end = ftello(in);
        l.total = end > 0 ? (uint64_t)end : 0;
        (void)fseeko(in, 0, SEEK_SET);
    }
    int code = hf_cmd_client(cmd, &l.client);
    if (code == 0) {
        buf_init(&l.line, &heap, WIRE_NAME_BYTES_MAX + WIRE_VALUE_BYTES_MAX);
        hf_bar_begin(&l.bar, cmd->arg[0]);
        code = hf_cmd_exit_of(kv_load_lines(&l, in));
        hf_bar_end(&l.bar);
        hf_client_free(l.client);
        buf_release(&l.line);
        (void)(cmd->json ? printf("{\"loaded\":%llu}\n", (unsigned long long)l.loaded)
                         : printf("%llu keys\n", (unsigned long long)l.loaded));
    }
    if (!piped) {
        (void)fclose(in);
    }
    return code;
}

#define KV_ALL (HF_OPT_CLUSTER | HF_OPT_SPACE)
#define KV_WRITE (KV_ALL | HF_OPT_TOKEN)
#define KV_READ (KV_WRITE | HF_OPT_STALE)

const struct hf_cmd_verb hf_cmd_kv_verbs[] = {
    {"kv", "put", KV_WRITE, 1, 2, "KEY [VALUE|-]", "sets a key; without VALUE, or -: from stdin",
     kv_put},
    {"kv", "get", KV_READ, 1, 1, "KEY", "writes the exact bytes; exit 1 if the key is absent",
     kv_get},
    {"kv", "del", KV_WRITE, 1, 1, "KEY", "removes a key; exit 1 if it was absent", kv_del},
    {"kv", "cas", KV_WRITE | HF_OPT_ABSENT, 2, 3, "KEY OLD NEW | KEY --absent NEW",
     "sets a key only if it has the value OLD, or is absent; else exit 1", kv_cas},
    {"kv", "incr", KV_WRITE, 1, 2, "KEY [BY]", "adds to a decimal number and prints it", kv_incr},
    {"kv", "scan", KV_ALL | HF_OPT_STALE | HF_OPT_PREFIX | HF_OPT_LIMIT, 0, 0,
     "[--prefix P] [--limit N]",
     "KEY<TAB>VALUE lines in byte order, with \\t \\n \\\\ \\xHH escapes", kv_scan},
    {"kv", "watch", KV_ALL | HF_OPT_PREFIX | HF_OPT_FROM | HF_OPT_LIMIT, 0, 0,
     "[--prefix P] [--from REVISION] [--limit N]", "prints each change as it is made", kv_watch},
    {"kv", "load", KV_ALL, 1, 1, "FILE|-", "sets the keys of KEY<TAB>VALUE lines, as scan prints",
     kv_load},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
