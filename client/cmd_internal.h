/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The holdfast command: what its verbs share. A verb gets its arguments parsed and checked, does
 * its work, prints, and returns an exit code.
 *
 * threads: one.
 */
#ifndef HOLDFAST_CLIENT_CMD_INTERNAL_H
#define HOLDFAST_CLIENT_CMD_INTERNAL_H

#include "base/bytes.h"
#include "base/err.h"
#include "client/holdfast.h"

#include <stdio.h>

/* The contract of exit codes. */
enum hf_cmd_exit {
    HF_EXIT_DONE = 0,
    HF_EXIT_REFUSED = 1, /* refused or absent */
    HF_EXIT_USAGE = 2,
    HF_EXIT_UNKNOWN = 4,      /* outcome unknown */
    HF_EXIT_DAMAGED = 65,     /* damaged data */
    HF_EXIT_UNREACHABLE = 69, /* no reachable node */
    HF_EXIT_AGAIN = 75,       /* not done, try again */
};
int hf_cmd_exit_of(int code);

#define HF_CMD_ARGS_MAX 64u
#define HF_CMD_NODES_MAX 64u

/* Options, as a set: of 64 bits, of which an enumeration can name 31. */
#define HF_OPT_INTO (UINT64_C(1) << 31)
#define HF_OPT_JOB (UINT64_C(1) << 32)
#define HF_OPT_FORGET (UINT64_C(1) << 33)
#define HF_OPT_CHECK (UINT64_C(1) << 34)
enum {
    HF_OPT_ENDPOINTS = 1 << 0,
    HF_OPT_TIMEOUT = 1 << 1,
    HF_OPT_JSON = 1 << 2,
    HF_OPT_SPACE = 1 << 3,
    HF_OPT_STALE = 1 << 4,
    HF_OPT_PREFIX = 1 << 5,
    HF_OPT_LIMIT = 1 << 6,
    HF_OPT_FROM = 1 << 7,
    HF_OPT_ABSENT = 1 << 8,
    HF_OPT_EC = 1 << 9,
    HF_OPT_RANGE = 1 << 10,
    HF_OPT_DIR = 1 << 11,
    HF_OPT_NODES = 1 << 12,
    HF_OPT_BASE_PORT = 1 << 13,
    HF_OPT_GROUPS = 1 << 14,
    HF_OPT_NODE = 1 << 15,
    HF_OPT_SET = 1 << 16,
    HF_OPT_TOKEN = 1 << 17,
    HF_OPT_COPIES = 1 << 18,
    HF_OPT_TYPE = 1 << 19,
    HF_OPT_REMOVE_WINS = 1 << 20,
    HF_OPT_DISABLE_WINS = 1 << 21,
    HF_OPT_GROW_ONLY = 1 << 22,
    HF_OPT_BUDGET = 1 << 23,
    HF_OPT_LOCAL = 1 << 24,
    HF_OPT_MEMORY = 1 << 25,
    HF_OPT_EXPLAIN = 1 << 26,
    HF_OPT_LOOKUP = 1 << 27,
    HF_OPT_ONCE = 1 << 28,
    HF_OPT_NO_BACKUPS = 1 << 29,
    HF_OPT_SPILL = 1 << 30,
    HF_OPT_CLUSTER = HF_OPT_ENDPOINTS | HF_OPT_TIMEOUT | HF_OPT_JSON,
};

struct hf_cmd {
    const char *noun;
    const char *verb;
    uint64_t given; /* options that were given */
    const char *endpoints;
    uint64_t timeout_ms;
    bool json;
    const char *space;
    bool stale;
    const char *prefix;
    uint64_t limit;
    uint64_t from;
    bool absent;
    uint32_t k;
    uint32_t m;
    uint64_t range_first;
    uint64_t range_last;
    const char *dir;
    uint32_t nodes;
    uint32_t base_port;
    uint32_t groups;
    const char *node[HF_CMD_NODES_MAX];
    uint32_t node_count;
    const char *set[HF_CMD_NODES_MAX];
    uint32_t set_count;
    const char *token;
    const char *once;
    uint32_t copies;
    const char *type;
    uint64_t budget_ms;
    uint64_t memory_bytes;
    const char *spill;
    const char *into;
    const char *job;
    const char *lookup[HF_CMD_NODES_MAX]; /* NAME=FILE */
    uint32_t lookup_count;
    const char *arg[HF_CMD_ARGS_MAX];
    uint32_t args;
};

typedef int hf_cmd_fn(const struct hf_cmd *cmd);
struct hf_cmd_verb {
    const char *noun;
    const char *verb; /* NULL: the noun has none */
    uint64_t options;
    uint32_t args_min;
    uint32_t args_max;
    const char *usage; /* what follows the verb */
    const char *help;
    hf_cmd_fn *run;
};
/* Each ended by a row without a noun. */
extern const struct hf_cmd_verb hf_cmd_kv_verbs[];
extern const struct hf_cmd_verb hf_cmd_crdt_verbs[];
extern const struct hf_cmd_verb hf_cmd_object_verbs[];
extern const struct hf_cmd_verb hf_cmd_cluster_verbs[];
extern const struct hf_cmd_verb hf_cmd_member_verbs[];
extern const struct hf_cmd_verb hf_cmd_local_verbs[];
extern const struct hf_cmd_verb hf_cmd_run_verbs[];

/* What help says of programs. */
extern const char hf_cmd_run_grammar[];

/* Reads the words after the program's name. returns: the verb; NULL and *exit_code when all is
 * said (help, version, or a sentence on stderr). */
const struct hf_cmd_verb *hf_cmd_parse(int argc, char **argv, struct hf_cmd *out, int *exit_code);
int hf_cmd_help(const char *noun);
/* Decimal digits only. returns: false if text is anything else or too large. */
bool hf_cmd_number(struct bytes text, uint64_t *out);
/* Decimal digits after a sign, or none. */
bool hf_cmd_signed(const char *text, int64_t *out);
/* "3+2". returns: false if it has another form. */
bool hf_cmd_scheme(const char *text, uint32_t *k, uint32_t *m);
/* "A-B". */
bool hf_cmd_range(const char *text, uint64_t *first, uint64_t *last);

/* --- the client ------------------------------------------------------------------------------- */

/* returns: 0 and a blocking client of the command's endpoints, or an exit code (said). */
int hf_cmd_client(const struct hf_cmd *cmd, struct hf_client **out);
/* Waits for what was started with code `started`. returns: 0 or the code; said on stderr. */
int hf_cmd_wait(const struct hf_cmd *cmd, struct hf_client *c, int started, struct hf_answer *a);

/* --token: a session that goes on from a text, or from a file that is written anew when the command
 * has ended; *out NULL: none is wanted. returns: 0 or an exit code (said). */
int hf_cmd_causal(const struct hf_cmd *cmd, struct hf_causal **out);
/* Ends it. returns: code, or what kept its file from being written. */
int hf_cmd_causal_end(const struct hf_cmd *cmd, struct hf_causal *s, int code);

/* The object BUCKET/NAME of the first argument; the name may hold further slashes. returns: 0, or a
 * usage code (said). */
int hf_cmd_object_of(const struct hf_cmd *cmd, struct hf_object *o);

/* The same of any path. */
int hf_cmd_object_path(const char *path, struct hf_object *o);

/* The verb of its own file. */
int hf_cmd_crdt_watch(const struct hf_cmd *cmd);

/* --- output ----------------------------------------------------------------------------------- */

/* One error on stderr: "holdfast: text", or a line of JSON. returns: its exit code. */
int hf_cmd_fail(const struct hf_cmd *cmd, int code, const char *format, ...) ATTR_PRINTF(3, 4);
/* A wrong command line: a sentence and where help is. returns: HF_EXIT_USAGE. */
int hf_cmd_usage(const char *format, ...) ATTR_PRINTF(1, 2);
/* Flushes stdout. returns: code, or HF_EXIT_UNKNOWN's sentence if what was printed got lost. */
int hf_cmd_flushed(const struct hf_cmd *cmd, int code);

/* \t \n \\ and \xHH for other bytes below 0x20, 0x7f and above. */
void hf_cmd_escape(FILE *out, struct hf_bytes v);
/* The other way, appended to out. returns: 0, ERR_INVALID, or the error of out. */
int hf_cmd_unescape(struct bytes text, struct buf *out);

bool hf_cmd_is_utf8(struct bytes v);
/* A string, or {"base64":"..."} if it is not UTF-8. */
void hf_json_string(FILE *out, struct hf_bytes v);
void hf_json_text(FILE *out, const char *v);
/* One MessagePack value. returns: 0 or ERR_PROTOCOL. */
int hf_json_msgpack(FILE *out, struct bytes v);
void hf_json_hex(FILE *out, const uint8_t *data, size_t bytes);

/* A bar on stderr, if that is a terminal. */
struct hf_bar {
    const char *what;
    bool on;
    bool shown;
    uint64_t started_ms;
    uint64_t shown_ms;
};
void hf_bar_begin(struct hf_bar *bar, const char *what);
/* ctx: the bar. */
void hf_bar_progress(void *ctx, uint64_t bytes, uint64_t total);
void hf_bar_end(struct hf_bar *bar);
/* "1.5 GiB" and so on. */
const char *hf_cmd_bytes(char *into, size_t into_bytes, double bytes);

#endif
