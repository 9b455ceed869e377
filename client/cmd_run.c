/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast run: a program over an object, where it lies, or over the bytes of standard input.
 */
#include "client/cmd_into_internal.h"
#include "client/cmd_lookup_internal.h"

#include "client/spill_internal.h"
#include "compute/carry.h"
#include "compute/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RUN_PIECE_BYTES (256u << 10)
#define RUN_PLAN_BYTES_MAX ((size_t)1 << 20)
#define RUN_JSON_BYTES_MAX ((size_t)64 << 20) /* of a result that is one line of JSON */

const char hf_cmd_run_grammar[] =
    "\nPROGRAM is SOURCE { | STAGE }:\n"
    "  sources   TYPE{,TYPE}: records of i8 u8 i16 u16 i32 u32 i64 u64 f32 f64 (xN: N other "
    "bytes)\n"
    "            lines    words    csv [header [NAME{,NAME}]], then $NAME is a field\n"
    "  stages    where CONDITION    sample SHARE [VALUE]    select VALUE{,VALUE}    "
    "AGGREGATE{,AGGREGATE}\n"
    "            by VALUE{,VALUE} AGGREGATE{,AGGREGATE} [ | top N ]\n"
    "            sort VALUE [down]{,VALUE [down]} [ | select VALUE{,VALUE} ]\n"
    "            [select VALUE{,VALUE}] scan [exclusive] count|sum|min|max|or [VALUE]\n"
    "            [from CONDITION]: of each record what the aggregate is so far, anew from where\n"
    "            the condition holds\n"
    "            lookup [left] \"TABLE\" [header] VALUE as NAME: the row of a CSV whose first "
    "field\n"
    "            is the value; its fields are $NAME.1 $NAME.2 ... A TABLE is an object, "
    "BUCKET/NAME\n"
    "            or what --lookup says; with --local, a file that --lookup says\n"
    "            behind one sample, estimate AGGREGATE{,AGGREGATE} for count, sum, mean: of the\n"
    "            whole, each with the half-width of its 95 % confidence interval; by ... estimate\n"
    "  aggregates  count, and of a value: sum min max argmin argmax mean var varp distinct\n"
    "            dot VALUE,VALUE\n"
    "            alone, of a field of raw records: histogram BINS FROM TO    log PARTS\n"
    "            quantile Q    top N\n"
    "  values    $0 the record, $1 $2 ... its fields, numbers, \"text\", + - * / % ( )\n"
    "  conditions  = != < <= > >=    and or not\n"
    "\nExamples:\n"
    "  holdfast run logs/2026-11 'csv | where $7 >= 500 | by $5 count | top 10'\n"
    "  holdfast run 'logs/2026-*' 'csv | by $5 count'    all objects whose names begin so\n"
    "  holdfast run logs/2026-11 'csv | sort $7 down | select $1, $7' --into logs/slow\n"
    "  holdfast run logs/2026-11 'csv | sample 0.01 | estimate count, sum $7'\n"
    "  holdfast run sales/2026 'csv | lookup \"dims/countries\" $2 as c | by $c.2 sum $3'\n"
    "  holdfast run --local 'f64 | sum' < file\n"
    "  holdfast run --local 'csv | where $7 >= 500 | by $5 count | top 10' < log.csv\n"
    "  holdfast run --local 'words | by $0 count | top 10' < book.txt\n"
    "  holdfast run --local 'csv | lookup \"t\" $2 as c | by $c.2 sum $3' --lookup t=countries.csv "
    "< sales.csv\n";

/* ---- --explain ------------------------------------------------------------------------------ */

/* What is told of a run beside its result. */
struct run_told {
    struct buf plan; /* a line a stage */
    const char *pass;
    const char *kernel;
    struct hf_run_node nodes[HF_CMD_NODES_MAX];
    size_t nodes_count;
    bool json;
    struct buf tables;    /* what is told of them: lines, or objects of JSON between commas */
    struct buf disagreed; /* likewise, of nodes that were outvoted */
};

static int run_tell_plan(struct run_told *told, const struct compute_program *p)
{
    told->pass = compute_program_pass(p);
    told->kernel = compute_program_kernel(p);
    return compute_program_plan(p, &told->plan);
}

/* hf_run_tables_fn. */
static void run_tell_tables(void *ctx, const struct hf_run_table *tables, size_t count)
{
    struct run_told *told = ctx;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < count && out != NULL; i++) {
        const struct hf_run_table *t = &tables[i];
        if (told->json) {
            (void)fputs(i > 0 ? ",{\"table\":" : "{\"table\":", out);
            hf_json_string(out, t->table);
            (void)fputs(",\"bucket\":", out);
            hf_json_string(out, t->bucket);
            (void)fputs(",\"name\":", out);
            hf_json_string(out, t->name);
            (void)fprintf(out, ",\"version\":%llu,\"bytes\":%llu,\"records\":%llu}",
                          (unsigned long long)t->version, (unsigned long long)t->bytes,
                          (unsigned long long)t->records);
        } else {
            (void)fprintf(out, "table: '%.*s' is %.*s/%.*s, %llu bytes, %llu records\n",
                          (int)t->table.size, (const char *)t->table.data, (int)t->bucket.size,
                          (const char *)t->bucket.data, (int)t->name.size,
                          (const char *)t->name.data, (unsigned long long)t->bytes,
                          (unsigned long long)t->records);
        }
    }
    if (out != NULL && fclose(out) == 0) {
        (void)buf_append(&told->tables, text, size);
    }
    free(text);
}

/* hf_run_disagreed_fn. Lines are told at once: it is an alarm, whatever becomes of the run. */
static void run_tell_disagreed(void *ctx, const struct hf_run_disagreed *d)
{
    struct run_told *told = ctx;
    char *text = NULL;
    size_t size = 0;
    FILE *out = told->json ? open_memstream(&text, &size) : stderr;
    if (out == NULL) {
        return;
    }
    if (!told->json) {
        (void)fprintf(out,
                      "holdfast: disagreed: node %u has computed another state of cell %llu of '",
                      d->node, (unsigned long long)d->cell);
        hf_cmd_escape(out, d->name);
        (void)fputs("' than two others\n", out);
        return;
    }
    (void)fputs(told->disagreed.size > 0 ? ",{\"object\":" : "{\"object\":", out);
    hf_json_string(out, d->name);
    (void)fprintf(out, ",\"cell\":%llu,\"node\":%u}", (unsigned long long)d->cell, d->node);
    if (fclose(out) == 0) {
        (void)buf_append(&told->disagreed, text, size);
    }
    free(text);
}

/* hf_run_nodes_fn. */
static void run_tell_nodes(void *ctx, const struct hf_run_node *nodes, size_t count)
{
    struct run_told *told = ctx;
    told->nodes_count = NUM_MIN(count, (size_t)HF_CMD_NODES_MAX);
    memcpy(told->nodes, nodes, told->nodes_count * sizeof(nodes[0]));
}

/* returns: the next line of the plan, without its end. */
static struct bytes run_plan_line(const struct run_told *told, size_t *at)
{
    const uint8_t *line = told->plan.data + *at;
    const uint8_t *end = memchr(line, '\n', told->plan.size - *at);
    const size_t bytes = end != NULL ? (size_t)(end - line) : told->plan.size - *at;
    *at += bytes + (end != NULL);
    return bytes_of(line, bytes);
}

static bool run_is_job(const struct hf_run_info *cost)
{
    return cost->tasks_committed + cost->tasks_resumed + cost->tasks_replaced > 0;
}

static void run_explain_job_json(FILE *out, const struct hf_run_info *cost)
{
    if (run_is_job(cost)) {
        (void)fprintf(
            out, ",\"tasks_committed\":%llu,\"tasks_resumed\":%llu,\"tasks_replaced\":%llu",
            (unsigned long long)cost->tasks_committed, (unsigned long long)cost->tasks_resumed,
            (unsigned long long)cost->tasks_replaced);
    }
}

/* One object, without cost where there is none to tell. */
static void run_explain_json(FILE *out, const struct run_told *told, const struct hf_run_info *cost)
{
    (void)fputs("{\"plan\":[", out);
    for (size_t at = 0; at < told->plan.size;) {
        (void)fputs(at > 0 ? "," : "", out);
        const struct bytes line = run_plan_line(told, &at);
        hf_json_string(out, (struct hf_bytes){.data = line.data, .size = line.size});
    }
    (void)fputs("],\"pass\":", out);
    hf_json_text(out, told->pass);
    (void)fputs(",\"kernel\":", out);
    hf_json_text(out, told->kernel);
    if (cost != NULL) {
        (void)fputs(",\"nodes\":[", out);
        for (size_t i = 0; i < told->nodes_count; i++) {
            const struct hf_run_node *n = &told->nodes[i];
            (void)fprintf(out, "%s{\"node\":%u,\"cells\":%llu,\"bytes\":%llu", i > 0 ? "," : "",
                          n->node, (unsigned long long)n->cells, (unsigned long long)n->bytes);
            if (told->tables.size > 0) {
                (void)fprintf(out, ",\"tables_bytes\":%llu", (unsigned long long)n->tables_bytes);
            }
            (void)fputc('}', out);
        }
        (void)fprintf(out, "],\"bytes_local\":%llu,\"backups\":%llu",
                      (unsigned long long)cost->bytes_local, (unsigned long long)cost->backups);
        if (cost->cells_written > 0) {
            (void)fprintf(out, ",\"cells_written\":%llu", (unsigned long long)cost->cells_written);
        }
        run_explain_job_json(out, cost);
        if (told->tables.size > 0) {
            (void)fprintf(out, ",\"tables\":[%.*s],\"tables_bytes\":%llu", (int)told->tables.size,
                          (const char *)told->tables.data, (unsigned long long)cost->tables_bytes);
        }
    }
    (void)fputc('}', out);
}

static void run_explain_plan(const struct run_told *told)
{
    for (size_t at = 0; at < told->plan.size;) {
        const struct bytes line = run_plan_line(told, &at);
        (void)fputs("plan: ", stderr);
        (void)fwrite(line.data, 1, line.size, stderr);
        (void)fputc('\n', stderr);
    }
    (void)fprintf(stderr, "pass: %s\nkernel: %s\n", told->pass, told->kernel);
}

static void run_explain_cost(const struct run_told *told, const struct hf_run_info *cost)
{
    for (size_t i = 0; i < told->nodes_count; i++) {
        const struct hf_run_node *n = &told->nodes[i];
        if (n->cells > 0) {
            (void)fprintf(stderr, "placed: node %u holds %llu cells, %llu bytes\n", n->node,
                          (unsigned long long)n->cells, (unsigned long long)n->bytes);
        }
        if (n->tables_bytes > 0) {
            (void)fprintf(stderr, "fetched: node %u read %llu bytes of tables\n", n->node,
                          (unsigned long long)n->tables_bytes);
        }
    }
    (void)fwrite(told->tables.data, 1, told->tables.size, stderr);
    (void)fprintf(stderr,
                  "read: %llu bytes, %llu of them by the nodes that hold them\n"
                  "moved: %llu bytes\n"
                  "cells: %llu computed, %llu of them decoded, %llu backups\n",
                  (unsigned long long)cost->bytes_read, (unsigned long long)cost->bytes_local,
                  (unsigned long long)cost->bytes_moved, (unsigned long long)cost->cells,
                  (unsigned long long)cost->cells_decoded, (unsigned long long)cost->backups);
    if (cost->cells_written > 0) {
        (void)fprintf(stderr, "written: %llu cells, where those of the object lie\n",
                      (unsigned long long)cost->cells_written);
    }
    if (run_is_job(cost)) {
        (void)fprintf(stderr, "tasks: %llu committed, %llu found committed, %llu keys replaced\n",
                      (unsigned long long)cost->tasks_committed,
                      (unsigned long long)cost->tasks_resumed,
                      (unsigned long long)cost->tasks_replaced);
    }
}

/* ---- over standard input -------------------------------------------------------------------- */

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
    int err = compute_task_finish(t, why);
    while (err == 0 && compute_task_has_more(t)) {
        TRY(run_print(t));
        err = compute_task_more(t, why);
    }
    const int printed = run_print(t);
    return err != 0 ? err : printed;
}

static int run_program(const struct hf_cmd *cmd, const struct compute_program *p)
{
    const struct alloc heap = alloc_heap();
    struct hf_spill spill;
    const struct compute_task_options options = {.memory_bytes = cmd->memory_bytes,
                                                 .spill = cmd->spill != NULL ? &spill.spill : NULL};
    struct err_info why = {.code = 0};
    struct compute_task *t = NULL;
    uint8_t *piece = alloc_get(&heap, RUN_PIECE_BYTES);
    hf_spill_init(&spill, cmd->spill);
    int err = piece == NULL ? err_set(&why, ERR_NO_MEMORY, "no memory for input")
                            : compute_task_new(&t, &heap, p, &options, &why);
    if (err == 0) {
        err = run_input(t, piece, &why);
        why = err != 0 && spill.why.code != 0 ? spill.why : why;
    }
    compute_task_free(t);
    alloc_put(&heap, piece, RUN_PIECE_BYTES);
    if (err != 0 && why.code == 0) {
        return hf_cmd_exit_of(err);
    }
    (void)fflush(stdout);
    return err == 0 ? HF_EXIT_DONE : hf_cmd_fail(cmd, err, "%s", why.text);
}

/* returns: 0 or what keeps it from being told. */
static int run_local_explain(const struct hf_cmd *cmd, const struct alloc *heap,
                             const struct compute_program *p)
{
    struct run_told told = {.nodes_count = 0};
    buf_init(&told.plan, heap, RUN_PLAN_BYTES_MAX);
    const int err = run_tell_plan(&told, p);
    if (err == 0 && cmd->json) {
        run_explain_json(stderr, &told, NULL);
        (void)fputc('\n', stderr);
    } else if (err == 0) {
        run_explain_plan(&told);
    }
    buf_release(&told.plan);
    return err;
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
    uint64_t seed = 0; /* a known one only makes chosen keys slow */
    struct hf_cmd_tables tables = {.count = 0};
    (void)getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    compute_program_seed(p, seed);
    const int bound = hf_cmd_lookups(cmd, p, seed, &tables, &why);
    int code = bound == 0 ? HF_EXIT_DONE : hf_cmd_fail(cmd, bound, "%s", why.text);
    code = bound == ERR_INVALID ? HF_EXIT_USAGE : code;
    if (code == HF_EXIT_DONE && (cmd->given & HF_OPT_EXPLAIN) != 0) {
        code = hf_cmd_exit_of(run_local_explain(cmd, &heap, p));
    }
    code = code == HF_EXIT_DONE ? run_program(cmd, p) : code;
    compute_program_free(p);
    hf_cmd_lookups_release(&tables);
    return code;
}

/* ---- over an object ------------------------------------------------------------------------- */

/* What the program prints: goes to stdout, or to a new object, or for JSON is kept until it is
 * whole. */
struct run_out {
    struct hf_cmd_into *into; /* or NULL */
    bool keeps;
    bool full;   /* it would keep more than RUN_JSON_BYTES_MAX */
    bool failed; /* stdout */
    struct buf kept;
    bool lies; /* the results can lie as the records do */
    bool explains;
    struct run_told told;
};

static int run_out_write(void *ctx, const void *data, size_t bytes)
{
    struct run_out *out = ctx;
    if (out->into != NULL) {
        return hf_cmd_into_write(out->into, data, bytes);
    }
    if (out->keeps) {
        const int err = buf_append(&out->kept, data, bytes);
        out->full = err == ERR_TOO_LARGE;
        return err;
    }
    out->failed = fwrite(data, 1, bytes, stdout) != bytes;
    return out->failed ? ERR_IO : 0;
}

static int run_out_rewind(void *ctx)
{
    struct run_out *out = ctx;
    if (out->into != NULL) {
        hf_cmd_into_clear(out->into);
        return 0;
    }
    if (!out->keeps) {
        return ERR_VERSION_GONE; /* what was printed stays */
    }
    buf_clear(&out->kept);
    return 0;
}

/* made: what the result became, or NULL. */
static void run_say_json(const struct hf_cmd *cmd, const struct hf_result *r,
                         const struct run_out *out, const struct hf_object_info *made)
{
    const struct buf *printed = &out->kept;
    (void)fputs("{\"object\":", stdout);
    hf_json_text(stdout, cmd->arg[0]);
    if (made != NULL) {
        (void)fputs(",\"into\":", stdout);
        hf_cmd_into_say(cmd, made);
    } else {
        (void)fputs(",\"result\":", stdout);
        hf_json_string(stdout, (struct hf_bytes){.data = printed->data, .size = printed->size});
    }
    (void)printf(",\"size\":%llu,\"cells\":%llu,\"cells_decoded\":%llu,\"bytes_read\":%llu,"
                 "\"bytes_moved\":%llu,\"objects\":%llu",
                 (unsigned long long)r->run.size, (unsigned long long)r->run.cells,
                 (unsigned long long)r->run.cells_decoded, (unsigned long long)r->run.bytes_read,
                 (unsigned long long)r->run.bytes_moved, (unsigned long long)r->run.objects);
    if (out->told.disagreed.size > 0) {
        (void)fprintf(stdout, ",\"disagreed\":[%.*s]", (int)out->told.disagreed.size,
                      (const char *)out->told.disagreed.data);
    }
    if (out->explains) {
        (void)fputs(",\"explain\":", stdout);
        run_explain_json(stdout, &out->told, &r->run);
    }
    (void)fputs("}\n", stdout);
}

static int run_say_full(const struct hf_cmd *cmd)
{
    const char *name = strchr(cmd->arg[0], '/');
    return hf_cmd_fail(cmd, ERR_TOO_LARGE,
                       "'%.150s': the result has more than the %zu bytes of a line of JSON",
                       name != NULL ? name + 1 : cmd->arg[0], RUN_JSON_BYTES_MAX);
}

/* made: what the result became, or NULL. */
static void run_tell(const struct hf_cmd *cmd, const struct hf_result *ran,
                     const struct run_out *out, const struct hf_object_info *made)
{
    if (cmd->json) {
        run_say_json(cmd, ran, out, made);
    } else if (made != NULL) {
        hf_cmd_into_say(cmd, made);
    }
    if (out->explains && !cmd->json) {
        run_explain_cost(&out->told, &ran->run);
    }
}

/* After a run, with its answer: what is to be said of it. returns: 0, or a code (said). */
static int run_say(const struct hf_cmd *cmd, struct hf_client *c, const struct hf_result *ran,
                   struct run_out *out)
{
    struct hf_answer put = {.ended = false};
    const int err = out->into != NULL ? hf_cmd_into_put(cmd, c, out->into, &put) : 0;
    const struct hf_object_info *made =
        out->into != NULL && put.result.count == 1 ? put.result.objects : NULL;
    if (err == 0) {
        run_tell(cmd, ran, out, made);
    }
    hf_answer_release(&put);
    return err;
}

/* A scan whose results nodes can write where its cells lie. returns: whether this is the end of it
 * (said, with *code to exit with): they have, or may have, or still may. If not, the way of any
 * other program is gone, which also tells what is wrong. */
static bool run_derived(const struct hf_cmd *cmd, struct hf_client *c, const struct hf_object *o,
                        const struct hf_program *program, struct run_out *out, int *code)
{
    struct hf_answer a = {.ended = false};
    struct hf_bar bar;
    hf_bar_begin(&bar, cmd->arg[0]);
    out->into->object.progress = hf_bar_progress;
    out->into->object.progress_ctx = &bar;
    int err = hf_object_derive(c, o, program, &out->into->object, &a, hf_answer_done);
    const bool began = err == 0;
    err = began ? hf_wait(c, &a) : err;
    hf_bar_end(&bar);
    const bool unknown = began && err_outcome_of(err) == ERR_OUTCOME_UNKNOWN;
    if (err == 0) {
        run_tell(cmd, &a.result, out, a.result.objects);
        *code = hf_cmd_exit_of(0);
    } else if (unknown) {
        *code = hf_cmd_fail(cmd, err, "%s", a.text);
    }
    hf_answer_release(&a);
    return err == 0 || unknown;
}

/* Removes what the job has kept. returns: 0 or the code (said). */
static int run_forget(const struct hf_cmd *cmd, struct hf_client *c, bool *found)
{
    const struct hf_kv job = {.key = hf_text(cmd->job), .timeout_ms = cmd->timeout_ms};
    struct hf_answer a = {.ended = false};
    const int err = hf_cmd_wait(cmd, c, hf_job_forget(c, &job, &a, hf_answer_done), &a);
    *found = err == 0 && a.result.found;
    hf_answer_release(&a);
    return err;
}

/* The result is where it belongs once stdout has it: then the job is done. What of stdout fails is
 * said at its last flush. */
static int run_job_done(const struct hf_cmd *cmd, struct hf_client *c)
{
    bool found = false;
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return 0;
    }
    return run_forget(cmd, c, &found);
}

static int run_over(const struct hf_cmd *cmd, struct hf_client *c, struct hf_object *o,
                    const struct hf_cmd_objects *tables, struct run_out *out)
{
    struct hf_answer a = {.ended = false};
    struct hf_bar bar;
    const struct hf_program program = {.text = hf_text(cmd->arg[1]),
                                       .memory_bytes = cmd->memory_bytes,
                                       .spill_dir = cmd->spill,
                                       .nodes_ctx = &out->told,
                                       .nodes = out->explains ? run_tell_nodes : NULL,
                                       .no_backups = (cmd->given & HF_OPT_NO_BACKUPS) != 0,
                                       .tables = tables->table,
                                       .tables_count = tables->count,
                                       .tables_fn = out->explains ? run_tell_tables : NULL,
                                       .job = hf_text(cmd->job != NULL ? cmd->job : ""),
                                       .check = (cmd->given & HF_OPT_CHECK) != 0,
                                       .disagreed = run_tell_disagreed};
    const struct hf_sink sink = {.ctx = out, .write = run_out_write, .rewind = run_out_rewind};
    int code = 0;
    if (out->lies && run_derived(cmd, c, o, &program, out, &code)) {
        return code;
    }
    hf_bar_begin(&bar, cmd->arg[0]);
    o->progress = hf_bar_progress;
    o->progress_ctx = &bar;
    int err = hf_object_run(c, o, &program, &sink, &a, hf_answer_done);
    if (err == 0) {
        (void)hf_wait(c, &a);
    }
    hf_bar_end(&bar);
    if (out->full || (out->into != NULL && out->into->code != 0)) {
        hf_answer_release(&a);
        return out->full ? run_say_full(cmd) : hf_cmd_into_fail(cmd, out->into);
    }
    err = out->failed ? ERR_IO : hf_cmd_wait(cmd, c, err, &a); /* stdout's is said at its flush */
    err = err == 0 ? run_say(cmd, c, &a.result, out) : err;
    err = err == 0 && cmd->job != NULL ? run_job_done(cmd, c) : err;
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

/* With a client, and a program that is one. returns: an exit code. */
static int run_with(const struct hf_cmd *cmd, struct hf_object *o, const struct compute_program *p,
                    const struct hf_cmd_objects *tables, struct hf_cmd_into *into)
{
    const struct alloc heap = alloc_heap();
    struct run_out out = {.into = into,
                          .keeps = cmd->json,
                          .lies = into != NULL && o->name.size > 0 && cmd->job == NULL &&
                                  (cmd->given & HF_OPT_CHECK) == 0 && compute_carry_has(p),
                          .explains = (cmd->given & HF_OPT_EXPLAIN) != 0};
    struct hf_client *c = NULL;
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    out.told.json = cmd->json;
    buf_init(&out.kept, &heap, RUN_JSON_BYTES_MAX);
    buf_init(&out.told.plan, &heap, RUN_PLAN_BYTES_MAX);
    buf_init(&out.told.tables, &heap, RUN_PLAN_BYTES_MAX);
    buf_init(&out.told.disagreed, &heap, RUN_PLAN_BYTES_MAX);
    if (out.explains) {
        code = hf_cmd_exit_of(run_tell_plan(&out.told, p));
    }
    if (out.explains && code == 0 && !cmd->json) {
        run_explain_plan(&out.told);
    }
    if (into != NULL && code == 0) {
        code = hf_cmd_exit_of(hf_cmd_into_check(cmd, c, into));
    }
    code = code == 0 ? run_over(cmd, c, o, tables, &out) : code;
    buf_release(&out.kept);
    buf_release(&out.told.plan);
    buf_release(&out.told.tables);
    buf_release(&out.told.disagreed);
    hf_client_free(c);
    return code;
}

static int run_object(const struct hf_cmd *cmd)
{
    const struct alloc heap = alloc_heap();
    struct hf_object o = {.timeout_ms = cmd->timeout_ms};
    struct hf_cmd_objects tables = {.count = 0};
    struct compute_program *p = NULL;
    struct hf_cmd_into into;
    struct err_info why = {.code = 0};
    int code = hf_cmd_object_of(cmd, &o);
    code = code == 0 && cmd->into != NULL ? hf_cmd_into_init(&into, cmd) : code;
    if (code != 0) {
        return code;
    }
    run_names(&o);
    int err = compute_program_new(&p, &heap, bytes_of_text(cmd->arg[1]), &why);
    err = err == 0 ? hf_cmd_lookup_objects(cmd, p, &tables, &why) : err;
    if (err != 0) {
        (void)hf_cmd_fail(cmd, err, "%s", why.text);
        code = err == ERR_NO_MEMORY ? hf_cmd_exit_of(err) : HF_EXIT_USAGE;
    } else {
        code = run_with(cmd, &o, p, &tables, cmd->into != NULL ? &into : NULL);
    }
    if (cmd->into != NULL) {
        hf_cmd_into_release(&into);
    }
    compute_program_free(p);
    return code;
}

/* --job KEY --forget */
static int run_forget_job(const struct hf_cmd *cmd)
{
    struct hf_client *c = NULL;
    bool found = false;
    if (cmd->job == NULL || cmd->args > 0) {
        return hf_cmd_usage("--forget takes --job KEY, and no object or program");
    }
    int code = hf_cmd_client(cmd, &c);
    if (code != 0) {
        return code;
    }
    code = run_forget(cmd, c, &found);
    hf_client_free(c);
    if (code != 0) {
        return hf_cmd_exit_of(code);
    }
    if (cmd->json) {
        (void)fputs("{\"job\":", stdout);
        hf_json_text(stdout, cmd->job);
        (void)printf(",\"forgotten\":%s}\n", found ? "true" : "false");
    }
    return found ? HF_EXIT_DONE : HF_EXIT_REFUSED;
}

static int run(const struct hf_cmd *cmd)
{
    const bool local = (cmd->given & HF_OPT_LOCAL) != 0;
    if ((cmd->given & HF_OPT_FORGET) != 0) {
        return run_forget_job(cmd);
    }
    if (local && cmd->job != NULL) {
        return hf_cmd_usage("--job is of programs over objects");
    }
    if (local && (cmd->given & HF_OPT_CHECK) != 0) {
        return hf_cmd_usage("--check is of programs over objects");
    }
    if (local && cmd->into != NULL) {
        return hf_cmd_usage("--into is of programs over objects; with --local the result goes to "
                            "standard output");
    }
    if (local && cmd->args == 1) {
        return run_local(cmd);
    }
    if (local && (cmd->given & HF_OPT_NO_BACKUPS) != 0) {
        return hf_cmd_usage("--no-backups is of objects");
    }
    if (!local && cmd->args == 2) {
        return run_object(cmd);
    }
    return hf_cmd_usage(local ? "run --local works on standard input and takes a program alone"
                              : "run takes an object and a program, or --local and a program");
}

const struct hf_cmd_verb hf_cmd_run_verbs[] = {
    {"run", NULL,
     HF_OPT_CLUSTER | HF_OPT_LOCAL | HF_OPT_MEMORY | HF_OPT_EXPLAIN | HF_OPT_LOOKUP |
         HF_OPT_NO_BACKUPS | HF_OPT_SPILL | HF_OPT_INTO | HF_OPT_JOB | HF_OPT_FORGET | HF_OPT_CHECK,
     0, 2,
     "BUCKET/NAME[*] PROGRAM [--into BUCKET/NAME] [--job KEY] [--check] [--no-backups] | --job KEY "
     "--forget "
     "| --local PROGRAM [--lookup "
     "TABLE=BUCKET/NAME|FILE] "
     "[--memory BYTES] [--spill DIR] [--explain]",
     "computes where objects lie, or over stdin: counts, sums, groups, filters, sorts", run},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
