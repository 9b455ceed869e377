/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast bucket and holdfast object. A get into a file writes a temporary one beside it, which
 * takes the name only when every byte is there and verified, and goes with the process otherwise.
 */
#include "client/cmd_internal.h"
#include "wire/api.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECT_PATH_BYTES_MAX 4096u

/* ---- buckets -------------------------------------------------------------------------------- */

typedef int object_start_fn(struct hf_client *c, const struct hf_object *o, void *ctx,
                            hf_done_fn *done);

/* returns: 0 and an answer, or an exit code (said). */
static int object_run(const struct hf_cmd *cmd, const struct hf_object *o, object_start_fn *start,
                      struct hf_answer *a)
{
    struct hf_client *c = NULL;
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    int err = hf_cmd_wait(cmd, c, start(c, o, a, hf_answer_done), a);
    hf_client_free(c);
    if (err != 0) {
        hf_answer_release(a);
    }
    return hf_cmd_exit_of(err);
}

static int bucket_say(const struct hf_cmd *cmd, struct hf_answer *a)
{
    if (cmd->json) {
        (void)fputs("{\"bucket\":", stdout);
        hf_json_text(stdout, cmd->arg[0]);
        (void)fputs("}\n", stdout);
    }
    hf_answer_release(a);
    return HF_EXIT_DONE;
}

static int bucket_create(const struct hf_cmd *cmd)
{
    struct hf_answer a = {.ended = false};
    struct hf_object o = {.bucket = hf_text(cmd->arg[0]), .k = cmd->k, .m = cmd->m};
    if ((cmd->given & HF_OPT_EC) == 0) {
        return hf_cmd_usage("usage: holdfast bucket create NAME --ec K+M");
    }
    if (o.k == 0 || o.k > WIRE_SHARDS_MAX || o.m > WIRE_SHARDS_MAX - o.k) {
        return hf_cmd_fail(cmd, ERR_SCHEME,
                           "'%s': %u+%u is no erasure code: K is at least 1 and "
                           "K+M at most %u",
                           cmd->arg[0], o.k, o.m, WIRE_SHARDS_MAX);
    }
    int code = object_run(cmd, &o, hf_bucket_create, &a);
    return code != 0 ? code : bucket_say(cmd, &a);
}

static int bucket_remove(const struct hf_cmd *cmd)
{
    struct hf_answer a = {.ended = false};
    struct hf_object o = {.bucket = hf_text(cmd->arg[0])};
    int code = object_run(cmd, &o, hf_bucket_remove, &a);
    return code != 0 ? code : bucket_say(cmd, &a);
}

static void bucket_print(const struct hf_cmd *cmd, const struct hf_bucket_info *b)
{
    if (cmd->json) {
        (void)fputs("{\"name\":", stdout);
        hf_json_string(stdout, b->name);
        (void)printf(",\"k\":%u,\"m\":%u,\"survives\":%u}\n", b->k, b->m, b->survives);
        return;
    }
    hf_cmd_escape(stdout, b->name);
    (void)printf("\t%u+%u\tsurvives the loss of %u node%s\n", b->k, b->m, b->survives,
                 b->survives == 1 ? "" : "s");
}

static int bucket_list(const struct hf_cmd *cmd)
{
    struct hf_answer a = {.ended = false};
    const struct hf_object o = {.bucket = {NULL, 0}};
    int code = object_run(cmd, &o, hf_bucket_list, &a);
    if (code != 0) {
        return code;
    }
    for (size_t i = 0; i < a.result.count; i++) {
        bucket_print(cmd, &a.result.buckets[i]);
    }
    hf_answer_release(&a);
    return HF_EXIT_DONE;
}

/* ---- objects: names and lines --------------------------------------------------------------- */

int hf_cmd_object_path(const char *path, struct hf_object *o)
{
    const char *slash = strchr(path, '/');
    if (slash == NULL || slash == path || slash[1] == '\0') {
        return hf_cmd_usage("an object is BUCKET/NAME, not '%s'", path);
    }
    o->bucket = (struct hf_bytes){.data = path, .size = (size_t)(slash - path)};
    o->name = hf_text(slash + 1);
    return 0;
}

int hf_cmd_object_of(const struct hf_cmd *cmd, struct hf_object *o)
{
    return hf_cmd_object_path(cmd->arg[0], o);
}

static void object_print_json(const struct hf_object_info *i, const char *path)
{
    (void)fputs("{", stdout);
    if (path != NULL) {
        (void)fputs("\"object\":", stdout);
        hf_json_text(stdout, path);
    } else {
        (void)fputs("\"name\":", stdout);
        hf_json_string(stdout, i->name);
    }
    (void)printf(",\"size\":%llu,\"version\":%llu", (unsigned long long)i->size,
                 (unsigned long long)i->version);
    if (path != NULL) {
        (void)fputs(",\"root\":\"", stdout);
        hf_json_hex(stdout, i->root, sizeof(i->root));
        (void)printf("\",\"k\":%u,\"m\":%u,\"cell_bytes\":%llu,\"extents\":%llu", i->k, i->m,
                     (unsigned long long)i->cell_bytes, (unsigned long long)i->extents);
        (void)printf(",\"created_us\":%llu,\"shards_missing\":%llu,\"survives\":%u",
                     (unsigned long long)i->created_us, (unsigned long long)i->shards_missing,
                     i->survives);
    }
    (void)fputs("}\n", stdout);
}

static void object_print_plain(const struct hf_object_info *i, const char *path)
{
    hf_cmd_escape(stdout, hf_text(path));
    (void)printf("\n  size      %llu bytes\n  root      ", (unsigned long long)i->size);
    hf_json_hex(stdout, i->root, sizeof(i->root));
    (void)printf("\n  code      %u+%u, survives the loss of %u node%s\n  shards    %llu missing\n",
                 i->k, i->m, i->survives, i->survives == 1 ? "" : "s",
                 (unsigned long long)i->shards_missing);
    (void)printf("  version   %llu\n", (unsigned long long)i->version);
}

static int object_stat(const struct hf_cmd *cmd)
{
    struct hf_object o = {.bucket = {NULL, 0}};
    struct hf_answer a = {.ended = false};
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 ? object_run(cmd, &o, hf_object_stat, &a) : code;
    if (code != 0) {
        return code;
    }
    if (!a.result.found) {
        hf_answer_release(&a);
        return hf_cmd_fail(cmd, ERR_NOT_FOUND, "'%s': there is no such object", cmd->arg[0]);
    }
    if (cmd->json) {
        object_print_json(a.result.objects, cmd->arg[0]);
    } else {
        object_print_plain(a.result.objects, cmd->arg[0]);
    }
    hf_answer_release(&a);
    return HF_EXIT_DONE;
}

static int object_remove(const struct hf_cmd *cmd)
{
    struct hf_object o = {.bucket = {NULL, 0}};
    struct hf_answer a = {.ended = false};
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 ? object_run(cmd, &o, hf_object_remove, &a) : code;
    if (code != 0) {
        return code;
    }
    hf_answer_release(&a);
    if (cmd->json) {
        (void)fputs("{\"object\":", stdout);
        hf_json_text(stdout, cmd->arg[0]);
        (void)fputs("}\n", stdout);
    }
    return HF_EXIT_DONE;
}

static void object_print_row(const struct hf_cmd *cmd, const struct hf_object_info *i)
{
    if (cmd->json) {
        object_print_json(i, NULL);
        return;
    }
    hf_cmd_escape(stdout, i->name);
    (void)printf("\t%llu\n", (unsigned long long)i->size);
}

static int object_list_all(const struct hf_cmd *cmd, struct hf_client *c, struct hf_object *o)
{
    uint8_t after[WIRE_NAME_BYTES_MAX];
    uint64_t left = cmd->limit > 0 ? cmd->limit : UINT64_MAX;
    bool more = true;
    while (more && left > 0) {
        struct hf_answer a = {.ended = false};
        o->limit = left < WIRE_SCAN_ITEMS_MAX ? left : WIRE_SCAN_ITEMS_MAX;
        int err = hf_cmd_wait(cmd, c, hf_object_list(c, o, &a, hf_answer_done), &a);
        if (err != 0) {
            hf_answer_release(&a);
            return hf_cmd_exit_of(err);
        }
        for (size_t i = 0; i < a.result.count && left > 0; i++, left--) {
            object_print_row(cmd, &a.result.objects[i]);
        }
        more = a.result.more && a.result.count > 0;
        if (more) {
            struct hf_bytes last = a.result.objects[a.result.count - 1].name;
            more = last.size <= sizeof(after);
            memcpy(after, last.data, more ? last.size : 0);
            o->after = (struct hf_bytes){.data = after, .size = last.size};
        }
        hf_answer_release(&a);
    }
    return HF_EXIT_DONE;
}

static int object_list(const struct hf_cmd *cmd)
{
    struct hf_client *c = NULL;
    const char *path = cmd->arg[0];
    const char *slash = strchr(path, '/');
    struct hf_object o = {.bucket = hf_text(path)};
    if (slash != NULL) {
        o.bucket.size = (size_t)(slash - path);
        o.prefix = hf_text(slash + 1);
    }
    if (cmd->prefix != NULL) {
        o.prefix = hf_text(cmd->prefix);
    }
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    code = object_list_all(cmd, c, &o);
    hf_client_free(c);
    return code;
}

static int object_verify(const struct hf_cmd *cmd)
{
    struct hf_object o = {.timeout_ms = cmd->timeout_ms};
    struct hf_answer a = {.ended = false};
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 ? object_run(cmd, &o, hf_object_verify, &a) : code;
    if (code != 0) {
        return code;
    }
    struct hf_check check = a.result.check;
    hf_answer_release(&a);
    if (cmd->json) {
        (void)fputs("{\"object\":", stdout);
        hf_json_text(stdout, cmd->arg[0]);
        (void)printf(",\"checked\":%llu,\"missing\":%llu,\"damaged\":%llu}\n",
                     (unsigned long long)check.checked, (unsigned long long)check.missing,
                     (unsigned long long)check.damaged);
    } else {
        (void)printf("%s: %llu cells read again, %llu missing, %llu damaged\n", cmd->arg[0],
                     (unsigned long long)check.checked, (unsigned long long)check.missing,
                     (unsigned long long)check.damaged);
    }
    if (check.damaged > 0) {
        return HF_EXIT_DAMAGED;
    }
    return check.missing > 0 ? HF_EXIT_AGAIN : HF_EXIT_DONE;
}

/* ---- put ------------------------------------------------------------------------------------ */

struct object_file {
    int fd;
    int error; /* errno of a failed read or write */
};

static int object_source_read(void *ctx, void *into, size_t bytes, size_t *got)
{
    struct object_file *f = ctx;
    ssize_t n = read(f->fd, into, bytes);
    while (n < 0 && errno == EINTR) {
        n = read(f->fd, into, bytes);
    }
    if (n < 0) {
        f->error = errno;
        return ERR_INVALID;
    }
    *got = (size_t)n;
    return 0;
}

static int object_source_rewind(void *ctx)
{
    struct object_file *f = ctx;
    return lseek(f->fd, 0, SEEK_SET) == 0 ? 0 : ERR_INVALID;
}

static int object_source_open(const struct hf_cmd *cmd, struct object_file *f,
                              struct hf_source *source)
{
    struct stat st;
    const char *path = cmd->args > 1 ? cmd->arg[1] : "-";
    *source = (struct hf_source){.ctx = f, .read = object_source_read};
    f->error = 0;
    f->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0) {
        return hf_cmd_fail(cmd, ERR_NOT_FOUND, "cannot open '%s': %s", path, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        (void)close(f->fd);
        return hf_cmd_fail(cmd, ERR_INVALID, "'%s' is a directory", path);
    }
    if (S_ISREG(st.st_mode) && lseek(f->fd, 0, SEEK_CUR) == 0) {
        source->rewind = object_source_rewind;
        source->size_known = true;
        source->size = (uint64_t)st.st_size;
    }
    return 0;
}

/* Bytes between a client and a file, with a bar. */
struct object_job {
    struct hf_client *client;
    struct hf_answer answer;
    struct hf_bar bar;
    const char *does; /* with the file, and its name */
    const char *name;
};

static int object_begin(const struct hf_cmd *cmd, struct hf_object *o, struct object_job *job)
{
    int code = hf_cmd_client(cmd, &job->client);
    if (code == 0) {
        hf_bar_begin(&job->bar, cmd->arg[0]);
        o->progress = hf_bar_progress;
        o->progress_ctx = &job->bar;
    }
    return code;
}

/* err: of the call.
 * returns: as hf_cmd_wait, and has told the user; the file's error counts for more. */
static int object_await(const struct hf_cmd *cmd, struct object_job *job, int err, int file_error)
{
    if (err == 0) {
        (void)hf_wait(job->client, &job->answer);
    }
    hf_bar_end(&job->bar);
    if (file_error == 0) {
        return hf_cmd_wait(cmd, job->client, err, &job->answer);
    }
    (void)hf_cmd_fail(cmd, ERR_INVALID, "cannot %s '%s': %s", job->does, job->name,
                      strerror(file_error));
    return ERR_INVALID;
}

static int object_end(struct object_job *job, int err)
{
    hf_client_free(job->client);
    hf_answer_release(&job->answer);
    return hf_cmd_exit_of(err);
}

static int object_put_run(const struct hf_cmd *cmd, struct hf_object *o, struct object_file *f,
                          const struct hf_source *source)
{
    struct object_job job = {.does = "read the source of", .name = cmd->arg[0]};
    int code = object_begin(cmd, o, &job);
    if (code != 0) {
        return code;
    }
    int err = hf_object_put(job.client, o, source, &job.answer, hf_answer_done);
    err = object_await(cmd, &job, err, f->error);
    const struct hf_result *r = &job.answer.result;
    if (err == 0 && cmd->json && r->count == 1) {
        object_print_json(r->objects, cmd->arg[0]);
    } else if (err == 0 && r->count == 1) {
        (void)printf("%s: %llu bytes, root ", cmd->arg[0], (unsigned long long)r->objects->size);
        hf_json_hex(stdout, r->objects->root, sizeof(r->objects->root));
        (void)fputc('\n', stdout);
    }
    return object_end(&job, err);
}

static int object_put(const struct hf_cmd *cmd)
{
    struct hf_object o = {.timeout_ms = cmd->timeout_ms};
    struct object_file f = {.fd = -1};
    struct hf_source source;
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 ? object_source_open(cmd, &f, &source) : code;
    if (code != 0) {
        return code;
    }
    code = object_put_run(cmd, &o, &f, &source);
    if (f.fd != STDIN_FILENO) {
        (void)close(f.fd);
    }
    return code;
}

/* ---- get ------------------------------------------------------------------------------------ */

/* Removed by a signal's handler too, so it is a plain array of this file. */
static char object_temporary[OBJECT_PATH_BYTES_MAX + 32];

static void object_interrupted(int number)
{
    if (object_temporary[0] != '\0') {
        (void)unlink(object_temporary);
    }
    _exit(128 + number);
}

static int object_sink_write(void *ctx, const void *data, size_t bytes)
{
    struct object_file *f = ctx;
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t n = write(f->fd, at, bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            f->error = errno;
            return ERR_INVALID;
        }
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int object_sink_rewind(void *ctx)
{
    struct object_file *f = ctx;
    return ftruncate(f->fd, 0) == 0 && lseek(f->fd, 0, SEEK_SET) == 0 ? 0 : ERR_INVALID;
}

/* Devices and pipes are written to; a file is replaced by a temporary one at the end. */
static int object_sink_open(const struct hf_cmd *cmd, struct object_file *f, struct hf_sink *sink)
{
    struct stat st;
    const char *path = cmd->args > 1 ? cmd->arg[1] : "-";
    *sink = (struct hf_sink){.ctx = f, .write = object_sink_write};
    f->error = 0;
    if (strcmp(path, "-") == 0) {
        f->fd = STDOUT_FILENO;
        return 0;
    }
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        return hf_cmd_fail(cmd, ERR_INVALID, "'%s' is a directory", path);
    }
    if (there && !S_ISREG(st.st_mode)) {
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else if (strlen(path) <= OBJECT_PATH_BYTES_MAX) {
        (void)snprintf(object_temporary, sizeof(object_temporary), "%s.holdfast-XXXXXX", path);
        (void)signal(SIGINT, object_interrupted);
        (void)signal(SIGTERM, object_interrupted);
        (void)signal(SIGHUP, object_interrupted);
        f->fd = mkstemp(object_temporary);
        sink->rewind = object_sink_rewind;
    } else {
        f->fd = -1;
        errno = ENAMETOOLONG;
    }
    if (f->fd < 0) {
        object_temporary[0] = '\0';
        return hf_cmd_fail(cmd, ERR_INVALID, "cannot write '%s': %s", path, strerror(errno));
    }
    return 0;
}

/* The temporary file takes its name, or goes. returns: code, or why the name was not given. */
static int object_sink_close(const struct hf_cmd *cmd, struct object_file *f, int code)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    if (f->fd == STDOUT_FILENO) {
        return code;
    }
    bool whole = code == 0;
    if (whole && object_temporary[0] != '\0') {
        whole = fchmod(f->fd, 0666 & ~mask) == 0;
    }
    whole = close(f->fd) == 0 && whole;
    if (object_temporary[0] == '\0') {
        return code;
    }
    if (whole && rename(object_temporary, cmd->arg[1]) == 0) {
        object_temporary[0] = '\0';
        return 0;
    }
    int error = errno;
    (void)unlink(object_temporary);
    object_temporary[0] = '\0';
    if (code == 0) {
        code = hf_cmd_fail(cmd, ERR_INVALID, "cannot write '%s': %s", cmd->arg[1], strerror(error));
    }
    return code;
}

static int object_get_run(const struct hf_cmd *cmd, struct hf_object *o, struct object_file *f,
                          const struct hf_sink *sink)
{
    struct object_job job = {.does = "write", .name = cmd->args > 1 ? cmd->arg[1] : "stdout"};
    int code = object_begin(cmd, o, &job);
    if (code != 0) {
        return code;
    }
    int err = hf_object_get(job.client, o, sink, &job.answer, hf_answer_done);
    err = object_await(cmd, &job, err, f->error);
    if (err == 0 && cmd->json && f->fd != STDOUT_FILENO) {
        object_print_json(job.answer.result.objects, cmd->arg[0]);
    }
    return object_end(&job, err);
}

static int object_get(const struct hf_cmd *cmd)
{
    struct hf_object o = {.timeout_ms = cmd->timeout_ms};
    struct object_file f = {.fd = -1};
    struct hf_sink sink;
    o.ranged = (cmd->given & HF_OPT_RANGE) != 0;
    o.first = cmd->range_first;
    o.last = cmd->range_last;
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 ? object_sink_open(cmd, &f, &sink) : code;
    if (code != 0) {
        return code;
    }
    code = object_get_run(cmd, &o, &f, &sink);
    return object_sink_close(cmd, &f, code);
}

const struct hf_cmd_verb hf_cmd_object_verbs[] = {
    {"bucket", "create", HF_OPT_CLUSTER | HF_OPT_EC, 1, 1, "NAME --ec K+M",
     "makes a bucket whose objects are K data and M parity shards", bucket_create},
    {"bucket", "ls", HF_OPT_CLUSTER, 0, 0, "", "lists buckets, and what each survives",
     bucket_list},
    {"bucket", "rm", HF_OPT_CLUSTER, 1, 1, "NAME", "removes an empty bucket", bucket_remove},
    {"object", "put", HF_OPT_CLUSTER, 1, 2, "BUCKET/NAME [FILE|-]",
     "stores a file, or stdin, as an object", object_put},
    {"object", "get", HF_OPT_CLUSTER | HF_OPT_RANGE, 1, 2, "BUCKET/NAME [FILE|-] [--range A-B]",
     "writes an object, verified, to a file or stdout", object_get},
    {"object", "stat", HF_OPT_CLUSTER, 1, 1, "BUCKET/NAME", "says what an object is", object_stat},
    {"object", "ls", HF_OPT_CLUSTER | HF_OPT_PREFIX | HF_OPT_LIMIT, 1, 1,
     "BUCKET [--prefix P] [--limit N]", "lists objects: NAME<TAB>SIZE lines", object_list},
    {"object", "rm", HF_OPT_CLUSTER, 1, 1, "BUCKET/NAME", "removes an object", object_remove},
    {"object", "verify", HF_OPT_CLUSTER, 1, 1, "BUCKET/NAME",
     "reads every shard again; exit 75 if one is missing, 65 if one is damaged", object_verify},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
