/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast run: a program over an object, where it lies, or over the bytes of standard input.
 */
#include "client/cmd_internal.h"

#include "compute/task.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RUN_PIECE_BYTES (256u << 10)
#define RUN_JSON_BYTES_MAX ((size_t)64 << 20) /* of a result that is one line of JSON */

const char hf_cmd_run_grammar[] =
    "\nPROGRAM is SOURCE { | STAGE }:\n"
    "  sources   TYPE{,TYPE}: records of i8 u8 i16 u16 i32 u32 i64 u64 f32 f64 (xN: N other "
    "bytes)\n"
    "            lines    words    csv [header]\n"
    "  stages    where CONDITION    select VALUE{,VALUE}    AGGREGATE{,AGGREGATE}\n"
    "            by VALUE{,VALUE} AGGREGATE{,AGGREGATE} [ | top N ]\n"
    "  aggregates  count, and of a value: sum min max mean var varp distinct; dot VALUE,VALUE\n"
    "            alone, of a field of raw records: argmin argmax histogram BINS FROM TO\n"
    "            log PARTS    quantile Q    top N\n"
    "  values    $0 the record, $1 $2 ... its fields, numbers, \"text\", + - * / % ( )\n"
    "  conditions  = != < <= > >=    and or not\n"
    "\nExamples:\n"
    "  holdfast run logs/2026-11 'csv | where $7 >= 500 | by $5 count | top 10'\n"
    "  holdfast run 'logs/2026-*' 'csv | by $5 count'    all objects whose names begin so\n"
    "  holdfast run --local 'f64 | sum' < file\n"
    "  holdfast run --local 'csv | where $7 >= 500 | by $5 count | top 10' < log.csv\n"
    "  holdfast run --local 'words | by $0 count | top 10' < book.txt\n";

/* Prints what is there. returns: 0 or ERR_IO. */
static int run_print(struct compute_task *t)
{
    const struct bytes out = compute_task_output(t);
    if (out.size > 0 && fwrite(out.data, 1, out.size, stdout) != out.size) {
        return ERR_IO; /* said when stdout is flushed */
    }
    compute_task_output_clear(t);
    return 0;
}

/* returns: 0, ERR_IO, or what the task says. */
static int run_input(struct compute_task *t, uint8_t *piece, struct err_info *why)
{
    while (!compute_task_is_settled(t)) {
        const ssize_t got = read(STDIN_FILENO, piece, RUN_PIECE_BYTES);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_set(why, ERR_IO, "cannot read standard input: %s", strerror(errno));
        }
        const int err = compute_task_update(t, bytes_of(piece, (size_t)got));
        if (err != 0) {
            return err_set(why, err, "cannot go on: %s", err_text(err));
        }
        TRY(run_print(t));
    }
    const int err = compute_task_finish(t, why);
    const int printed = run_print(t);
    return err != 0 ? err : printed;
}

static int run_program(const struct hf_cmd *cmd, const struct compute_program *p)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.memory_bytes = cmd->memory_bytes};
    struct err_info why = {.code = 0};
    struct compute_task *t = NULL;
    uint8_t *piece = alloc_get(&heap, RUN_PIECE_BYTES);
    int err = piece == NULL ? err_set(&why, ERR_NO_MEMORY, "no memory for input")
                            : compute_task_new(&t, &heap, p, &options, &why);
    if (err == 0) {
        err = run_input(t, piece, &why);
    }
    compute_task_free(t);
    alloc_put(&heap, piece, RUN_PIECE_BYTES);
    if (err != 0 && why.code == 0) {
        return hf_cmd_exit_of(err);
    }
    (void)fflush(stdout);
    return err == 0 ? HF_EXIT_DONE : hf_cmd_fail(cmd, err, "%s", why.text);
}

static int run_local(const struct hf_cmd *cmd)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    struct err_info why;
    const int err = compute_program_new(&p, &heap, bytes_of_text(cmd->arg[0]), &why);
    if (err != 0) {
        (void)hf_cmd_fail(cmd, err, "%s", why.text);
        return err == ERR_NO_MEMORY ? hf_cmd_exit_of(err) : HF_EXIT_USAGE;
    }
    const int code = run_program(cmd, p);
    compute_program_free(p);
    return code;
}

/* ---- over an object ------------------------------------------------------------------------- */

/* What the program prints: goes to stdout, or for JSON is kept until it is whole. */
struct run_out {
    bool keeps;
    bool failed; /* stdout */
    struct buf kept;
};

static int run_out_write(void *ctx, const void *data, size_t bytes)
{
    struct run_out *out = ctx;
    if (out->keeps) {
        return buf_append(&out->kept, data, bytes);
    }
    out->failed = fwrite(data, 1, bytes, stdout) != bytes;
    return out->failed ? ERR_IO : 0;
}

static int run_out_rewind(void *ctx)
{
    struct run_out *out = ctx;
    if (!out->keeps) {
        return ERR_VERSION_GONE; /* what was printed stays */
    }
    buf_clear(&out->kept);
    return 0;
}

static void run_say_json(const struct hf_cmd *cmd, const struct hf_result *r,
                         const struct buf *printed)
{
    (void)fputs("{\"object\":", stdout);
    hf_json_text(stdout, cmd->arg[0]);
    (void)fputs(",\"result\":", stdout);
    hf_json_string(stdout, (struct hf_bytes){.data = printed->data, .size = printed->size});
    (void)printf(",\"size\":%llu,\"cells\":%llu,\"cells_decoded\":%llu,\"bytes_read\":%llu,"
                 "\"bytes_moved\":%llu,\"objects\":%llu}\n",
                 (unsigned long long)r->run.size, (unsigned long long)r->run.cells,
                 (unsigned long long)r->run.cells_decoded, (unsigned long long)r->run.bytes_read,
                 (unsigned long long)r->run.bytes_moved, (unsigned long long)r->run.objects);
}

static int run_over(const struct hf_cmd *cmd, struct hf_client *c, struct hf_object *o,
                    struct run_out *out)
{
    const struct hf_program program = {.text = hf_text(cmd->arg[1]),
                                       .memory_bytes = cmd->memory_bytes};
    const struct hf_sink sink = {.ctx = out, .write = run_out_write, .rewind = run_out_rewind};
    struct hf_answer a = {.ended = false};
    struct hf_bar bar;
    hf_bar_begin(&bar, cmd->arg[0]);
    o->progress = hf_bar_progress;
    o->progress_ctx = &bar;
    int err = hf_object_run(c, o, &program, &sink, &a, hf_answer_done);
    if (err == 0) {
        (void)hf_wait(c, &a);
    }
    hf_bar_end(&bar);
    err = out->failed ? ERR_IO : hf_cmd_wait(cmd, c, err, &a); /* stdout's is said at its flush */
    if (err == 0 && out->keeps) {
        run_say_json(cmd, &a.result, &out->kept);
    }
    hf_answer_release(&a);
    return hf_cmd_exit_of(err);
}

/* A name that ends with an asterisk stands for all that begin with what is before it. */
static void run_names(struct hf_object *o)
{
    const char *name = o->name.data;
    if (name[o->name.size - 1] == '*') {
        o->prefix = (struct hf_bytes){.data = name, .size = o->name.size - 1};
        o->name = (struct hf_bytes){.data = NULL, .size = 0};
    }
}

static int run_object(const struct hf_cmd *cmd)
{
    const struct alloc heap = alloc_heap();
    struct hf_object o = {.timeout_ms = cmd->timeout_ms};
    struct run_out out = {.keeps = cmd->json};
    struct hf_client *c = NULL;
    char why[HF_TEXT_BYTES];
    int code = hf_cmd_object_of(cmd, &o);
    if (code != 0) {
        return code;
    }
    run_names(&o);
    const int err = hf_program_check(hf_text(cmd->arg[1]), why, sizeof(why));
    if (err != 0) {
        (void)hf_cmd_fail(cmd, err, "%s", why);
        return err == ERR_NO_MEMORY ? hf_cmd_exit_of(err) : HF_EXIT_USAGE;
    }
    code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    buf_init(&out.kept, &heap, RUN_JSON_BYTES_MAX);
    code = run_over(cmd, c, &o, &out);
    buf_release(&out.kept);
    hf_client_free(c);
    return code;
}

static int run(const struct hf_cmd *cmd)
{
    const bool local = (cmd->given & HF_OPT_LOCAL) != 0;
    if (local && cmd->args == 1) {
        return run_local(cmd);
    }
    if (!local && cmd->args == 2) {
        return run_object(cmd);
    }
    return hf_cmd_usage(local ? "run --local works on standard input and takes a program alone"
                              : "run takes an object and a program, or --local and a program");
}

const struct hf_cmd_verb hf_cmd_run_verbs[] = {
    {"run", NULL, HF_OPT_CLUSTER | HF_OPT_LOCAL | HF_OPT_MEMORY, 1, 2,
     "BUCKET/NAME[*] PROGRAM | --local PROGRAM [--memory BYTES]",
     "computes where objects lie, or over stdin: counts, sums, groups, filters", run},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
