/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast run: a program over the bytes of standard input.
 */
#include "client/cmd_internal.h"

#include "compute/task.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RUN_PIECE_BYTES (256u << 10)

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

static int run(const struct hf_cmd *cmd)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    struct err_info why;
    if ((cmd->given & HF_OPT_LOCAL) == 0) {
        return hf_cmd_usage("run works on standard input and needs --local");
    }
    const int err = compute_program_new(&p, &heap, bytes_of_text(cmd->arg[0]), &why);
    if (err != 0) {
        (void)hf_cmd_fail(cmd, err, "%s", why.text);
        return err == ERR_NO_MEMORY ? hf_cmd_exit_of(err) : HF_EXIT_USAGE;
    }
    const int code = run_program(cmd, p);
    compute_program_free(p);
    return code;
}

const struct hf_cmd_verb hf_cmd_run_verbs[] = {
    {"run", NULL, HF_OPT_LOCAL | HF_OPT_MEMORY | HF_OPT_JSON, 1, 1,
     "--local PROGRAM [--memory BYTES]",
     "computes over standard input: counts, sums, groups, filters", run},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
