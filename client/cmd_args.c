/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The command line: nouns, verbs and options, and the help that is made of their tables.
 */
#include "client/cmd_internal.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_TIMEOUT_S 30u
#define ARGS_TIMEOUT_MAX_S 31536000u
#define ARGS_UNREACHABLE_MS 3000u

static const struct hf_cmd_verb *const args_tables[] = {
    hf_cmd_kv_verbs,     hf_cmd_crdt_verbs,  hf_cmd_object_verbs, hf_cmd_cluster_verbs,
    hf_cmd_member_verbs, hf_cmd_local_verbs, hf_cmd_run_verbs};
#define ARGS_TABLES (sizeof(args_tables) / sizeof(args_tables[0]))

struct args_option {
    const char *name;
    uint64_t bit;
    const char *value; /* NULL: a flag */
    const char *help;
};

static const struct args_option args_options[] = {
    {"--endpoints", HF_OPT_ENDPOINTS, "H:P,...",
     "nodes to ask; else HOLDFAST_ENDPOINTS, else " HF_ENDPOINTS_DEFAULT},
    {"--timeout", HF_OPT_TIMEOUT, "SECONDS",
     "give up after this (30); of a transfer: without any "
     "progress"},
    {"--json", HF_OPT_JSON, NULL, "print JSON; lists are one object a line"},
    {"--space", HF_OPT_SPACE, "NAME", "the space of the keys (default)"},
    {"--stale", HF_OPT_STALE, NULL, "any replica may answer, perhaps with the past"},
    {"--prefix", HF_OPT_PREFIX, "P", "only names that begin with P"},
    {"--limit", HF_OPT_LIMIT, "N", "end after N"},
    {"--from", HF_OPT_FROM, "REVISION", "begin with the changes of this revision"},
    {"--absent", HF_OPT_ABSENT, NULL, "the key must not be there"},
    {"--ec", HF_OPT_EC, "K+M", "K data and M parity shards"},
    {"--range", HF_OPT_RANGE, "A-B", "bytes A to B, from 0, both included"},
    {"--dir", HF_OPT_DIR, "DIR", "directory of the cluster"},
    {"--nodes", HF_OPT_NODES, "N", "how many nodes"},
    {"--base-port", HF_OPT_BASE_PORT, "P", "first of their ports; else a free range is taken"},
    {"--groups", HF_OPT_GROUPS, "G", "data groups (1)"},
    {"--node", HF_OPT_NODE, "H:C:P", "a node: host, port for clients, port for nodes; repeated"},
    {"--set", HF_OPT_SET, "S.NAME=V", "a setting of every node's configuration; repeated"},
    {"--token", HF_OPT_TOKEN, "FILE|TEXT",
     "nothing older than what the session saw; a FILE is kept up to date"},
    {"--budget", HF_OPT_BUDGET, "SECONDS", "how long a node may take to get there (0.5)"},
    {"--copies", HF_OPT_COPIES, "N", "wait for N nodes to have it on disk (2)"},
    {"--once", HF_OPT_ONCE, "TOKEN",
     "count once, however often it is tried; of `crdt once new`, good for 24 hours"},
    {"--type", HF_OPT_TYPE, "TYPE",
     "what the field holds: register, mvreg, counter, flag, set, max, min, hll"},
    {"--grow-only", HF_OPT_GROW_ONLY, NULL, "nothing can be taken away again"},
    {"--remove-wins", HF_OPT_REMOVE_WINS, NULL, "over an addition at the same time"},
    {"--disable-wins", HF_OPT_DISABLE_WINS, NULL, "over an enabling at the same time"},
    {"--local", HF_OPT_LOCAL, NULL, "read standard input"},
    {"--memory", HF_OPT_MEMORY, "BYTES",
     "most that groups, or what is sorted, may take (268435456)"},
    {"--spill", HF_OPT_SPILL, "DIR", "keep there what is more than --memory"},
    {"--into", HF_OPT_INTO, "BUCKET/NAME", "what the program prints becomes this object"},
    {"--job", HF_OPT_JOB, "KEY",
     "keep under this key what was found so far, so that the same run can go on from there"},
    {"--check", HF_OPT_CHECK, NULL,
     "compute each cell on two nodes, and on a third where they differ"},
    {"--forget", HF_OPT_FORGET, NULL, "remove what is kept under --job"},
    {"--lookup", HF_OPT_LOOKUP, "TABLE=WHERE",
     "where a table of the program is: an object, or with --local a file; repeated"},
    {"--explain", HF_OPT_EXPLAIN, NULL, "say on stderr how it is carried out, and what it cost"},
    {"--no-backups", HF_OPT_NO_BACKUPS, NULL, "wait for parts that are late, ask nobody else"},
};
#define ARGS_OPTIONS (sizeof(args_options) / sizeof(args_options[0]))

/* ---- values --------------------------------------------------------------------------------- */

bool hf_cmd_number(struct bytes text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || !num_mul_u64(value, 10, &value) ||
            !num_add_u64(value, (uint64_t)(text.data[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return text.size > 0;
}

bool hf_cmd_signed(const char *text, int64_t *out)
{
    bool minus = text[0] == '-';
    uint64_t size = 0;
    if (!hf_cmd_number(bytes_of_text(text + (minus || text[0] == '+')), &size) ||
        size > (uint64_t)INT64_MAX + minus) {
        return false;
    }
    *out = minus && size > 0 ? -(int64_t)(size - 1) - 1 : (int64_t)size;
    return true;
}

static bool args_pair(const char *text, char between, uint64_t *first, uint64_t *second)
{
    const char *mark = strchr(text, between);
    return mark != NULL && hf_cmd_number(bytes_of(text, (size_t)(mark - text)), first) &&
           hf_cmd_number(bytes_of_text(mark + 1), second);
}

bool hf_cmd_scheme(const char *text, uint32_t *k, uint32_t *m)
{
    uint64_t data = 0;
    uint64_t parity = 0;
    if (!args_pair(text, '+', &data, &parity) || data > UINT32_MAX || parity > UINT32_MAX) {
        return false;
    }
    *k = (uint32_t)data;
    *m = (uint32_t)parity;
    return true;
}

bool hf_cmd_range(const char *text, uint64_t *first, uint64_t *last)
{
    return args_pair(text, '-', first, last);
}

static bool args_u32(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    if (!hf_cmd_number(bytes_of_text(text), &value) || value > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* Whole or decimal seconds. */
static bool args_seconds(const char *text, uint64_t *ms)
{
    const char *dot = strchr(text, '.');
    size_t whole_bytes = dot != NULL ? (size_t)(dot - text) : strlen(text);
    uint64_t whole = 0;
    uint64_t part = 0;
    if (!hf_cmd_number(bytes_of(text, whole_bytes), &whole) || whole > ARGS_TIMEOUT_MAX_S) {
        return false;
    }
    size_t digits = dot != NULL ? strlen(dot + 1) : 0;
    if (dot != NULL && (digits > 3 || !hf_cmd_number(bytes_of_text(dot + 1), &part))) {
        return false;
    }
    for (; digits > 0 && digits < 3; digits++) {
        part *= 10;
    }
    *ms = whole * 1000 + part;
    return *ms > 0;
}

static bool args_keep(const char **list, uint32_t *count, const char *value)
{
    if (*count == HF_CMD_NODES_MAX) {
        return false;
    }
    list[(*count)++] = value;
    return true;
}

/* returns: whether the value is one of the option's. */
static bool args_take(struct hf_cmd *cmd, uint64_t bit, const char *value)
{
    switch (bit) {
    case HF_OPT_ENDPOINTS: cmd->endpoints = value; return value[0] != '\0';
    case HF_OPT_TIMEOUT: return args_seconds(value, &cmd->timeout_ms);
    case HF_OPT_JSON: cmd->json = true; return true;
    case HF_OPT_SPACE: cmd->space = value; return value[0] != '\0';
    case HF_OPT_STALE: cmd->stale = true; return true;
    case HF_OPT_PREFIX: cmd->prefix = value; return true;
    case HF_OPT_LIMIT: return hf_cmd_number(bytes_of_text(value), &cmd->limit) && cmd->limit > 0;
    case HF_OPT_FROM: return hf_cmd_number(bytes_of_text(value), &cmd->from);
    case HF_OPT_ABSENT: cmd->absent = true; return true;
    case HF_OPT_EC: return hf_cmd_scheme(value, &cmd->k, &cmd->m);
    case HF_OPT_RANGE: return hf_cmd_range(value, &cmd->range_first, &cmd->range_last);
    case HF_OPT_DIR: cmd->dir = value; return value[0] != '\0';
    case HF_OPT_NODES: return args_u32(value, &cmd->nodes) && cmd->nodes > 0;
    case HF_OPT_BASE_PORT: return args_u32(value, &cmd->base_port) && cmd->base_port > 0;
    case HF_OPT_GROUPS: return args_u32(value, &cmd->groups) && cmd->groups > 0;
    case HF_OPT_NODE: return args_keep(cmd->node, &cmd->node_count, value);
    case HF_OPT_TOKEN: cmd->token = value; return value[0] != '\0';
    case HF_OPT_BUDGET: return args_seconds(value, &cmd->budget_ms);
    case HF_OPT_COPIES: return args_u32(value, &cmd->copies) && cmd->copies > 0 && cmd->copies <= 5;
    case HF_OPT_ONCE: cmd->once = value; return value[0] != '\0';
    case HF_OPT_TYPE: cmd->type = value; return value[0] != '\0';
    case HF_OPT_GROW_ONLY:
    case HF_OPT_REMOVE_WINS:
    case HF_OPT_DISABLE_WINS:
    case HF_OPT_LOCAL:
    case HF_OPT_NO_BACKUPS:
    case HF_OPT_FORGET:
    case HF_OPT_CHECK:
    case HF_OPT_EXPLAIN: return true;
    case HF_OPT_MEMORY:
        return hf_cmd_number(bytes_of_text(value), &cmd->memory_bytes) && cmd->memory_bytes > 0;
    case HF_OPT_INTO: cmd->into = value; return value[0] != '\0';
    case HF_OPT_JOB: cmd->job = value; return value[0] != '\0';
    case HF_OPT_SPILL: cmd->spill = value; return value[0] != '\0';
    case HF_OPT_LOOKUP:
        return strchr(value, '=') != NULL && args_keep(cmd->lookup, &cmd->lookup_count, value);
    case HF_OPT_SET: return args_keep(cmd->set, &cmd->set_count, value);
    default: return false;
    }
}

/* ---- help ----------------------------------------------------------------------------------- */

static const char args_intro[] =
    "holdfast: keeps data through failure\n"
    "\n"
    "  holdfast NOUN VERB ... [--endpoints H:P,...] [--timeout SECONDS] [--json]\n"
    "  holdfast help [NOUN]     holdfast --version\n"
    "\n";

static const char args_exits[] =
    "\nExit: 0 done, 1 refused or absent, 2 usage, 4 outcome unknown, 65 damaged data,\n"
    "69 no reachable node, 75 not done, try again.\n";

static void help_verb(const struct hf_cmd_verb *v)
{
    char line[320];
    (void)snprintf(line, sizeof(line), "holdfast %s%s%s%s%s", v->noun, v->verb != NULL ? " " : "",
                   v->verb != NULL ? v->verb : "", v->usage[0] != '\0' ? " " : "", v->usage);
    (void)printf("  %s\n        %s\n", line, v->help);
}

int hf_cmd_help(const char *noun)
{
    uint64_t options = 0;
    if (noun == NULL) {
        (void)fputs(args_intro, stdout);
    }
    for (size_t t = 0; t < ARGS_TABLES; t++) {
        for (const struct hf_cmd_verb *v = args_tables[t]; v->noun != NULL; v++) {
            if (noun == NULL || strcmp(noun, v->noun) == 0) {
                help_verb(v);
                options |= v->options;
            }
        }
    }
    if (options == 0) {
        return hf_cmd_usage("there is no noun '%s'", noun);
    }
    (void)fputs("\nOptions:\n", stdout);
    for (size_t i = 0; i < ARGS_OPTIONS; i++) {
        const struct args_option *o = &args_options[i];
        if ((options & o->bit) != 0) {
            (void)printf("  %-14s %-9s %s\n", o->name, o->value != NULL ? o->value : "", o->help);
        }
    }
    if (noun != NULL && (options & HF_OPT_LOCAL) != 0) {
        (void)fputs(hf_cmd_run_grammar, stdout);
    }
    (void)fputs(args_exits, stdout);
    return HF_EXIT_DONE;
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool args_is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

/* `--name VALUE` or `--name=VALUE`. returns: words used, or 0 and it is said what is wrong. */
static int args_option(struct hf_cmd *cmd, const struct hf_cmd_verb *verb, int left, char **words)
{
    const char *equals = strchr(words[0], '=');
    size_t bytes = equals != NULL ? (size_t)(equals - words[0]) : strlen(words[0]);
    const struct args_option *o = NULL;
    for (size_t i = 0; i < ARGS_OPTIONS && o == NULL; i++) {
        bool same = strlen(args_options[i].name) == bytes &&
                    memcmp(args_options[i].name, words[0], bytes) == 0;
        o = same ? &args_options[i] : NULL;
    }
    if (o == NULL || (verb->options & o->bit) == 0) {
        (void)hf_cmd_usage("option '%s' is not known here", words[0]);
        return 0;
    }
    bool separate = o->value != NULL && equals == NULL;
    if ((separate && left < 2) || (o->value == NULL && equals != NULL)) {
        (void)hf_cmd_usage("option '%s' takes %s value", o->name, separate ? "a" : "no");
        return 0;
    }
    const char *value = separate ? words[1] : equals != NULL ? equals + 1 : "";
    if (!args_take(cmd, o->bit, value)) {
        (void)hf_cmd_usage("'%s' is no %s of option '%s'", value, o->value, o->name);
        return 0;
    }
    cmd->given |= o->bit;
    return separate ? 2 : 1;
}

static const struct hf_cmd_verb *args_find(const char *noun, const char *verb, bool *noun_known)
{
    *noun_known = false;
    for (size_t t = 0; t < ARGS_TABLES; t++) {
        for (const struct hf_cmd_verb *v = args_tables[t]; v->noun != NULL; v++) {
            if (strcmp(v->noun, noun) != 0) {
                continue;
            }
            *noun_known = true;
            if (v->verb == NULL || (verb != NULL && strcmp(v->verb, verb) == 0)) {
                return v;
            }
        }
    }
    return NULL;
}

static bool args_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* help, --help, --version, or nothing at all. returns: whether that was it. */
static bool args_said(int argc, char **argv, int *exit_code)
{
    if (argc < 2) {
        (void)hf_cmd_usage("a noun is missing");
        *exit_code = HF_EXIT_USAGE;
        return true;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        (void)printf("holdfast %s\n", hf_version());
        *exit_code = HF_EXIT_DONE;
        return true;
    }
    if (strcmp(argv[1], "help") == 0 || args_is_help(argv[1])) {
        *exit_code = hf_cmd_help(argc > 2 ? argv[2] : NULL);
        return true;
    }
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (args_is_help(argv[i])) {
            *exit_code = hf_cmd_help(argv[1]);
            return true;
        }
    }
    return false;
}

/* returns: whether every word was understood. */
static bool args_words(struct hf_cmd *cmd, const struct hf_cmd_verb *verb, int argc, char **argv)
{
    bool options = true;
    int i = 0;
    while (i < argc) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            i++;
        } else if (options && args_is_option(argv[i])) {
            int used = args_option(cmd, verb, argc - i, argv + i);
            if (used == 0) {
                return false;
            }
            i += used;
        } else if (cmd->args < HF_CMD_ARGS_MAX && cmd->args < verb->args_max) {
            cmd->arg[cmd->args++] = argv[i++];
        } else {
            (void)hf_cmd_usage("'%s' is one argument too many", argv[i]);
            return false;
        }
    }
    if (cmd->args < verb->args_min) {
        (void)hf_cmd_usage("usage: holdfast %s%s%s %s", verb->noun, verb->verb != NULL ? " " : "",
                           verb->verb != NULL ? verb->verb : "", verb->usage);
        return false;
    }
    return true;
}

/* returns: how many words before the noun are options with their values. */
static int args_leading(int argc, char **argv)
{
    int at = 1;
    while (at < argc && args_is_option(argv[at]) && !args_is_help(argv[at]) &&
           strcmp(argv[at], "--version") != 0 && strcmp(argv[at], "--") != 0) {
        bool takes = false;
        for (size_t i = 0; i < ARGS_OPTIONS; i++) {
            takes = takes ||
                    (args_options[i].value != NULL && strcmp(args_options[i].name, argv[at]) == 0);
        }
        at += takes ? 2 : 1;
    }
    return (at < argc ? at : argc) - 1;
}

static const struct hf_cmd_verb *args_parse(int argc, char **argv, struct hf_cmd *out,
                                            int *exit_code)
{
    bool noun_known = false;
    int lead = args_leading(argc, argv);
    char **before = argv + 1;
    argc -= lead;
    argv += lead;
    if (args_said(argc, argv, exit_code)) {
        return NULL;
    }
    *exit_code = HF_EXIT_USAGE;
    const struct hf_cmd_verb *verb = args_find(argv[1], argc > 2 ? argv[2] : NULL, &noun_known);
    if (verb == NULL) {
        if (!noun_known) {
            (void)hf_cmd_usage("there is no noun '%s'", argv[1]);
        } else if (argc > 2) {
            (void)hf_cmd_usage("'%s' has no verb '%s'", argv[1], argv[2]);
        } else {
            (void)hf_cmd_usage("'%s' needs a verb", argv[1]);
        }
        return NULL;
    }
    out->noun = verb->noun;
    out->verb = verb->verb;
    for (int i = 0; i < lead;) {
        int used = args_option(out, verb, lead - i, before + i);
        if (used == 0) {
            return NULL;
        }
        i += used;
    }
    int skip = verb->verb != NULL ? 3 : 2;
    return args_words(out, verb, argc - skip, argv + skip) ? verb : NULL;
}

const struct hf_cmd_verb *hf_cmd_parse(int argc, char **argv, struct hf_cmd *out, int *exit_code)
{
    memset(out, 0, sizeof(*out));
    out->timeout_ms = ARGS_TIMEOUT_S * 1000u;
    out->endpoints = getenv("HOLDFAST_ENDPOINTS");
    if (out->endpoints == NULL || out->endpoints[0] == '\0') {
        out->endpoints = HF_ENDPOINTS_DEFAULT;
    }
    return args_parse(argc, argv, out, exit_code);
}

/* ---- the client ----------------------------------------------------------------------------- */

int hf_cmd_client(const struct hf_cmd *cmd, struct hf_client **out)
{
    struct hf_client_options options = {.endpoints = cmd->endpoints,
                                        .timeout_ms = cmd->timeout_ms,
                                        .unreachable_ms = ARGS_UNREACHABLE_MS};
    int err = hf_client_new(NULL, &options, out);
    if (err == ERR_INVALID) {
        return hf_cmd_usage("endpoints are HOST:PORT,..., not '%s'", cmd->endpoints);
    }
    return err == 0 ? 0 : hf_cmd_fail(cmd, err, "cannot start: %s", err_text(err));
}

int hf_cmd_wait(const struct hf_cmd *cmd, struct hf_client *c, int started, struct hf_answer *a)
{
    if (started != 0) {
        bool crdt = strcmp(cmd->noun, "crdt") == 0;
        const char *large = crdt ? "a name is longer than 1,024 bytes, a field or an element than "
                                   "512, or a value than 32,768"
                                 : "a name is longer than 1,024 bytes, or a value than 1 MiB";
        (void)hf_cmd_fail(cmd, started, "%s%s%s: %s", cmd->noun, cmd->verb != NULL ? " " : "",
                          cmd->verb != NULL ? cmd->verb : "",
                          started == ERR_TOO_LARGE ? large : err_text(started));
        return started;
    }
    int err = hf_wait(c, a);
    if (err != 0 && err_outcome_of(err) != ERR_OUTCOME_DONE) {
        (void)hf_cmd_fail(cmd, err, "%s", a->text);
        return err;
    }
    return 0;
}
