/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt: replicated data types. A type stands where other nouns have their verb; what is
 * done with it is its first argument.
 */
#include "client/cmd_crdt_internal.h"

#include <string.h>

#define CRDT_VALUES_MAX 60u

/* ---- types ---------------------------------------------------------------------------------- */

uint8_t hf_cmd_crdt_type(const struct hf_cmd *cmd, const char *word, bool nested)
{
    bool grows = (cmd->given & HF_OPT_GROW_ONLY) != 0;
    if (strcmp(word, "counter") == 0) {
        uint8_t usual = nested ? HF_CRDT_COUNTER : HF_CRDT_PN_COUNTER;
        return grows ? HF_CRDT_G_COUNTER : usual;
    }
    if (strcmp(word, "set") == 0) {
        uint8_t usual = (cmd->given & HF_OPT_REMOVE_WINS) != 0 ? HF_CRDT_RW_SET : HF_CRDT_AW_SET;
        return grows ? HF_CRDT_G_SET : usual;
    }
    if (strcmp(word, "flag") == 0) {
        return (cmd->given & HF_OPT_DISABLE_WINS) != 0 ? HF_CRDT_DW_FLAG : HF_CRDT_EW_FLAG;
    }
    static const struct {
        const char *word;
        uint8_t type;
    } others[] = {{"register", HF_CRDT_LWW},   {"mvreg", HF_CRDT_MV}, {"max", HF_CRDT_MAX},
                  {"min", HF_CRDT_MIN},        {"hll", HF_CRDT_HLL},  {"map", HF_CRDT_MAP},
                  {"bounded", HF_CRDT_BOUNDED}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(word, others[i].word) == 0) {
            return others[i].type;
        }
    }
    return 0;
}

static bool crdt_is(const struct hf_cmd *cmd, const char *action)
{
    return strcmp(cmd->arg[0], action) == 0;
}

/* ---- one request ---------------------------------------------------------------------------- */

int hf_cmd_crdt_sized(const struct hf_cmd *cmd, const struct crdt_size *size, struct hf_bytes v)
{
    const char *from = size->least > 0 ? "1 to" : "at most";
    char number[16] = "";
    if (v.size >= size->least && v.size <= size->most) {
        return 0;
    }
    if (size->number > 0) {
        (void)snprintf(number, sizeof(number), " %u", size->number);
    }
    if (v.size == 0) {
        return hf_cmd_fail(cmd, ERR_INVALID, "crdt %s %s: %s%s is empty: %s %zu bytes", cmd->verb,
                           cmd->arg[0], size->what, number, from, size->most);
    }
    return hf_cmd_fail(cmd, ERR_TOO_LARGE, "crdt %s %s: %s%s has %zu bytes: %s %zu", cmd->verb,
                       cmd->arg[0], size->what, number, v.size, from, size->most);
}

static int crdt_open(const struct hf_cmd *cmd, struct crdt_run *r)
{
    const struct crdt_size key = {.what = "KEY", .least = 1, .most = WIRE_NAME_BYTES_MAX};
    memset(r, 0, sizeof(*r));
    r->cmd = cmd;
    int code = hf_cmd_crdt_sized(cmd, &key, hf_text(cmd->arg[1]));
    code = code != 0 ? code : hf_cmd_client(cmd, &r->client);
    if (code != 0) {
        return code;
    }
    code = hf_cmd_causal(cmd, &r->causal);
    if (code != 0) {
        hf_client_free(r->client);
        return code;
    }
    r->crdt.space = cmd->space != NULL ? hf_text(cmd->space) : (struct hf_bytes){NULL, 0};
    r->crdt.name = hf_text(cmd->arg[1]);
    r->crdt.copies = cmd->copies;
    r->crdt.clock = cmd->json;
    r->crdt.budget_ms = cmd->budget_ms;
    r->crdt.causal = r->causal;
    return 0;
}

int hf_cmd_crdt_open(const struct hf_cmd *cmd, struct crdt_run *r)
{
    return cmd->once != NULL ? hf_cmd_usage("--once is for writes") : crdt_open(cmd, r);
}

int hf_cmd_crdt_close(struct crdt_run *r, int code)
{
    hf_answer_release(&r->answer);
    hf_client_free(r->client);
    return hf_cmd_causal_end(r->cmd, r->causal, code);
}

int hf_cmd_crdt_ask(struct crdt_run *r, crdt_start_fn *start)
{
    hf_answer_release(&r->answer);
    int err = start(r->client, &r->crdt, &r->answer, hf_answer_done);
    return hf_cmd_exit_of(hf_cmd_wait(r->cmd, r->client, err, &r->answer));
}

/* ---- writes --------------------------------------------------------------------------------- */

static int crdt_say_written(struct crdt_run *r, bool one_must_change)
{
    const struct hf_result *a = &r->answer.result;
    bool any = a->code == ERR_DONE; /* done before: what it changed is no longer known */
    for (size_t i = 0; a->changed != NULL && i < a->count; i++) {
        any = any || a->changed[i];
    }
    if (r->cmd->json) {
        hf_cmd_crdt_json_written(r, any);
    }
    return one_must_change && !any ? HF_EXIT_REFUSED : HF_EXIT_DONE;
}

/* Elements of sets, and values of the rest. returns: 0 or an exit code (said). */
static int crdt_check(const struct hf_cmd *cmd, const struct hf_crdt_op *op, uint32_t number)
{
    uint8_t type = op->path.types[op->path.count];
    struct crdt_size size = {
        .what = "ELEMENT", .number = number, .least = 1, .most = WIRE_CRDT_ELEMENT_BYTES_MAX};
    if (op->value.data == NULL || type == HF_CRDT_MAP) {
        return 0;
    }
    if (!hf_cmd_crdt_is_set(type)) {
        size = (struct crdt_size){.what = "VALUE", .most = WIRE_CRDT_VALUE_BYTES_MAX};
        size.number = type == HF_CRDT_HLL ? number : 0;
    }
    return hf_cmd_crdt_sized(cmd, &size, op->value);
}

/* Runs operations of one key as one batch. must_change: exit 1 if nothing did. */
static int crdt_write(const struct hf_cmd *cmd, const struct hf_crdt_op *ops, size_t count,
                      bool must_change)
{
    struct crdt_run r;
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        code = crdt_check(cmd, &ops[i], (uint32_t)i + 1);
    }
    struct wire_once once;
    if (code == 0 && cmd->once != NULL && wire_once_of(bytes_of_text(cmd->once), &once) != 0) {
        code = hf_cmd_usage("'%.200s' is no token of holdfast crdt once new", cmd->once);
    }
    code = code != 0 ? code : crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    r.crdt.once = cmd->once;
    r.crdt.ops = ops;
    r.crdt.ops_count = count;
    code = hf_cmd_crdt_ask(&r, hf_crdt_update);
    if (code == 0) {
        code = crdt_say_written(&r, must_change);
    }
    return hf_cmd_crdt_close(&r, code);
}

static struct hf_crdt_op crdt_op_of(const struct hf_cmd *cmd, uint8_t type, enum hf_crdt_verb verb)
{
    struct hf_crdt_op op = {.name = hf_text(cmd->arg[1]), .verb = verb};
    hf_crdt_path_init(&op.path, type);
    return op;
}

/* One operation with a number. */
static int crdt_write_number(const struct hf_cmd *cmd, uint8_t type, enum hf_crdt_verb verb,
                             const char *text)
{
    struct hf_crdt_op op = crdt_op_of(cmd, type, verb);
    if (!hf_cmd_signed(text, &op.amount)) {
        return hf_cmd_usage("'%s' is no whole number", text);
    }
    return crdt_write(cmd, &op, 1, false);
}

/* One operation a value: the arguments from `first` on. */
static int crdt_write_values(const struct hf_cmd *cmd, uint8_t type, enum hf_crdt_verb verb)
{
    struct hf_crdt_op ops[CRDT_VALUES_MAX + 2];
    uint32_t count = cmd->args - 2;
    ASSERT(count <= sizeof(ops) / sizeof(ops[0]));
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = crdt_op_of(cmd, type, verb);
        ops[i].value = hf_text(cmd->arg[2 + i]);
    }
    return crdt_write(cmd, ops, count, verb == HF_CRDT_REMOVE);
}

/* ---- counters, registers, flags and the like ------------------------------------------------ */

static int crdt_wrong(const struct hf_cmd *cmd);

static int crdt_counter(const struct hf_cmd *cmd)
{
    uint8_t type = hf_cmd_crdt_type(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, "0");
    }
    if (crdt_is(cmd, "add") && cmd->args <= 3) {
        return crdt_write_number(cmd, type, HF_CRDT_ADD, cmd->args > 2 ? cmd->arg[2] : "1");
    }
    return crdt_wrong(cmd);
}

static int crdt_register(const struct hf_cmd *cmd)
{
    uint8_t type = hf_cmd_crdt_type(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, NULL);
    }
    if (crdt_is(cmd, "set") && cmd->args == 3) {
        return crdt_write_values(cmd, type, HF_CRDT_SET);
    }
    return crdt_wrong(cmd);
}

static int crdt_flag(const struct hf_cmd *cmd)
{
    uint8_t type = hf_cmd_crdt_type(cmd, cmd->verb, false);
    bool enable = crdt_is(cmd, "enable");
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, "false");
    }
    if ((enable || crdt_is(cmd, "disable")) && cmd->args == 2) {
        struct hf_crdt_op op = crdt_op_of(cmd, type, enable ? HF_CRDT_ENABLE : HF_CRDT_DISABLE);
        return crdt_write(cmd, &op, 1, false);
    }
    return crdt_wrong(cmd);
}

static int crdt_extreme(const struct hf_cmd *cmd)
{
    uint8_t type = hf_cmd_crdt_type(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, NULL);
    }
    if (crdt_is(cmd, "add") && cmd->args == 3) {
        return crdt_write_number(cmd, type, HF_CRDT_SET, cmd->arg[2]);
    }
    return crdt_wrong(cmd);
}

static int crdt_hll(const struct hf_cmd *cmd)
{
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, "0");
    }
    if (crdt_is(cmd, "add") && cmd->args >= 3) {
        return crdt_write_values(cmd, HF_CRDT_HLL, HF_CRDT_ADD);
    }
    return crdt_wrong(cmd);
}

static int crdt_bounded(const struct hf_cmd *cmd)
{
    struct hf_crdt_op op;
    uint64_t node = 0;
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return hf_cmd_crdt_get(cmd, "0");
    }
    if (crdt_is(cmd, "create") && cmd->args == 3) {
        return crdt_write_number(cmd, HF_CRDT_BOUNDED, HF_CRDT_CREATE, cmd->arg[2]);
    }
    if (crdt_is(cmd, "add") && cmd->args == 3) {
        return crdt_write_number(cmd, HF_CRDT_BOUNDED, HF_CRDT_ADD, cmd->arg[2]);
    }
    if (!crdt_is(cmd, "transfer") || cmd->args != 4) {
        return crdt_wrong(cmd);
    }
    op = crdt_op_of(cmd, HF_CRDT_BOUNDED, HF_CRDT_TRANSFER);
    if (!hf_cmd_signed(cmd->arg[2], &op.amount) || op.amount <= 0 ||
        !hf_cmd_number(bytes_of_text(cmd->arg[3]), &node) || node == 0 || node > UINT32_MAX) {
        return hf_cmd_usage("usage: holdfast crdt bounded transfer KEY AMOUNT NODE");
    }
    op.to = (uint32_t)node;
    return crdt_write(cmd, &op, 1, false);
}

/* ---- sets and maps -------------------------------------------------------------------------- */

static int crdt_set(const struct hf_cmd *cmd)
{
    uint8_t type = hf_cmd_crdt_type(cmd, cmd->verb, false);
    bool add = crdt_is(cmd, "add");
    bool has = crdt_is(cmd, "has") && cmd->args == 3;
    if ((add || crdt_is(cmd, "remove")) && cmd->args >= 3) {
        return crdt_write_values(cmd, type, add ? HF_CRDT_ADD : HF_CRDT_REMOVE);
    }
    if (!has && !(crdt_is(cmd, "members") && cmd->args == 2)) {
        return crdt_wrong(cmd);
    }
    return hf_cmd_crdt_set_read(cmd, has);
}

/* FIELD[.FIELD...], a dot in a name as "\.": from the map down, the last of type `last`. text: the
 * names are taken apart in it. returns: whether it has that form. */
static bool crdt_fields(char *text, struct hf_crdt_path *path, uint8_t last)
{
    char *to = text;
    char *from = text;
    bool more = true;
    while (more) {
        char *name = to;
        while (*from != '\0' && *from != '.') {
            from += from[0] == '\\' && from[1] != '\0';
            *to++ = *from++;
        }
        more = *from == '.';
        from++;
        struct hf_bytes field = {.data = name, .size = (size_t)(to - name)};
        if (field.size == 0 ||
            !hf_crdt_path_push(path, field, more ? HF_CRDT_MAP : (enum hf_crdt_type)last)) {
            return false;
        }
    }
    return true;
}

int hf_cmd_crdt_fields(const struct hf_cmd *cmd, const char *word, char *text,
                       struct hf_crdt_path *path, uint8_t last)
{
    size_t size = strlen(word);
    if (size <= CRDT_FIELDS_TEXT) {
        memcpy(text, word, size + 1);
    }
    if (size > CRDT_FIELDS_TEXT || !crdt_fields(text, path, last)) {
        return hf_cmd_usage("'%.200s' is not FIELD[.FIELD...], at most %u deep", word,
                            HF_CRDT_DEPTH_MAX);
    }
    for (uint32_t i = 0; i < path->count; i++) {
        const struct crdt_size one = {.what = "a field", .most = WIRE_CRDT_ELEMENT_BYTES_MAX};
        int code = hf_cmd_crdt_sized(cmd, &one, path->names[i]);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

/* The operation that gives a field of the type its value. returns: false: no such value. */
static bool crdt_field_op(struct hf_crdt_op *op, uint8_t type, const char *value)
{
    op->value = hf_text(value);
    op->verb = HF_CRDT_SET;
    switch (type) {
    case HF_CRDT_LWW:
    case HF_CRDT_MV: return true;
    case HF_CRDT_AW_SET:
    case HF_CRDT_RW_SET:
    case HF_CRDT_G_SET:
    case HF_CRDT_HLL: op->verb = HF_CRDT_ADD; return true;
    case HF_CRDT_EW_FLAG:
    case HF_CRDT_DW_FLAG:
        op->value = (struct hf_bytes){NULL, 0};
        op->verb = strcmp(value, "true") == 0 ? HF_CRDT_ENABLE : HF_CRDT_DISABLE;
        return op->verb == HF_CRDT_ENABLE || strcmp(value, "false") == 0;
    case HF_CRDT_MAX:
    case HF_CRDT_MIN:
        op->value = (struct hf_bytes){NULL, 0};
        return hf_cmd_signed(value, &op->amount);
    default:
        op->value = (struct hf_bytes){NULL, 0};
        op->verb = HF_CRDT_ADD;
        return hf_cmd_signed(value, &op->amount);
    }
}

static int crdt_map_set(const struct hf_cmd *cmd)
{
    char text[CRDT_FIELD_BYTES];
    const char *word = cmd->type != NULL ? cmd->type : "register";
    uint8_t type = hf_cmd_crdt_type(cmd, word, true);
    struct hf_crdt_op op = crdt_op_of(cmd, HF_CRDT_MAP, HF_CRDT_SET);
    if (type == 0 || type == HF_CRDT_MAP || type == HF_CRDT_BOUNDED) {
        return hf_cmd_usage("'%s' is no type that a field is set to", word);
    }
    int code = hf_cmd_crdt_fields(cmd, cmd->arg[2], text, &op.path, type);
    if (code != 0) {
        return code;
    }
    if (!crdt_field_op(&op, type, cmd->arg[3])) {
        return hf_cmd_usage("'%s' is no value of a %s", cmd->arg[3], word);
    }
    return crdt_write(cmd, &op, 1, false);
}

/* The last field is what is removed; those before lead to its map. */
static int crdt_map_remove(const struct hf_cmd *cmd)
{
    char text[CRDT_FIELD_BYTES];
    struct hf_crdt_op op = crdt_op_of(cmd, HF_CRDT_MAP, HF_CRDT_REMOVE);
    int code = hf_cmd_crdt_fields(cmd, cmd->arg[2], text, &op.path, HF_CRDT_MAP);
    if (code != 0) {
        return code;
    }
    op.value = op.path.names[--op.path.count];
    return crdt_write(cmd, &op, 1, true);
}

static int crdt_map(const struct hf_cmd *cmd)
{
    if (crdt_is(cmd, "set") && cmd->args == 4) {
        return crdt_map_set(cmd);
    }
    if (crdt_is(cmd, "remove") && cmd->args == 3) {
        return crdt_map_remove(cmd);
    }
    if (crdt_is(cmd, "get") && cmd->args <= 3) {
        return hf_cmd_crdt_map_get(cmd);
    }
    return crdt_wrong(cmd);
}

/* ---- tokens --------------------------------------------------------------------------------- */

static int crdt_once(const struct hf_cmd *cmd)
{
    const struct crdt_size key = {.what = "KEY", .least = 1, .most = WIRE_NAME_BYTES_MAX};
    struct crdt_run r = {.cmd = cmd};
    int code = 0;
    if (!crdt_is(cmd, "new")) {
        return crdt_wrong(cmd);
    }
    if (cmd->args > 1) {
        r.crdt.name = hf_text(cmd->arg[1]);
        code = hf_cmd_crdt_sized(cmd, &key, r.crdt.name);
    }
    code = code != 0 ? code : hf_cmd_client(cmd, &r.client);
    if (code != 0) {
        return code;
    }
    code = hf_cmd_crdt_ask(&r, hf_crdt_once);
    const struct hf_result *a = &r.answer.result;
    if (code == 0 && cmd->json) {
        (void)printf("{\"once\":\"%s\",\"node\":%u,\"lifetime_us\":%llu}\n", a->once, a->node,
                     (unsigned long long)a->time_us);
    } else if (code == 0) {
        (void)printf("%s\n", a->once);
    }
    hf_answer_release(&r.answer);
    hf_client_free(r.client);
    return code;
}

/* ---- what there is not ---------------------------------------------------------------------- */

static int crdt_list(const struct hf_cmd *cmd)
{
    (void)cmd;
    return hf_cmd_usage("there is no list or text type: what two people type at one place would be "
                        "mixed; keep a register for each paragraph, or a map of them");
}

#define CRDT_ANY \
    (HF_OPT_CLUSTER | HF_OPT_SPACE | HF_OPT_TOKEN | HF_OPT_COPIES | HF_OPT_BUDGET | HF_OPT_ONCE)

const struct hf_cmd_verb hf_cmd_crdt_verbs[] = {
    {"crdt", "counter", CRDT_ANY | HF_OPT_GROW_ONLY, 2, 3, "add KEY [BY] | get KEY",
     "a number that every node adds to, also while the network is cut", crdt_counter},
    {"crdt", "register", CRDT_ANY, 2, 3, "set KEY VALUE | get KEY",
     "one value, the latest; --json shows what it won over within a day", crdt_register},
    {"crdt", "mvreg", CRDT_ANY, 2, 3, "set KEY VALUE | get KEY",
     "all values that were set at the same time, one a line", crdt_register},
    {"crdt", "set", CRDT_ANY | HF_OPT_GROW_ONLY | HF_OPT_REMOVE_WINS | HF_OPT_LIMIT, 2,
     CRDT_VALUES_MAX + 2, "add|remove KEY ELEMENT... | has KEY ELEMENT | members KEY",
     "a set; has: exit 1 if it is not in it", crdt_set},
    {"crdt", "flag", CRDT_ANY | HF_OPT_DISABLE_WINS, 2, 2, "enable|disable|get KEY",
     "true or false; enabling wins over disabling at the same time", crdt_flag},
    {"crdt", "map",
     CRDT_ANY | HF_OPT_TYPE | HF_OPT_GROW_ONLY | HF_OPT_REMOVE_WINS | HF_OPT_DISABLE_WINS |
         HF_OPT_LIMIT,
     2, 4, "set KEY FIELD[.FIELD...] VALUE | remove KEY FIELD... | get KEY [FIELD...]",
     "fields of any --type (register), in maps up to 8 deep; a dot in a name is \\.", crdt_map},
    {"crdt", "max", CRDT_ANY, 2, 3, "add KEY NUMBER | get KEY",
     "the greatest number that was given", crdt_extreme},
    {"crdt", "min", CRDT_ANY, 2, 3, "add KEY NUMBER | get KEY", "the least number that was given",
     crdt_extreme},
    {"crdt", "hll", CRDT_ANY, 2, CRDT_VALUES_MAX + 2, "add KEY VALUE... | get KEY",
     "about how many different values were given", crdt_hll},
    {"crdt", "bounded", CRDT_ANY, 2, 4,
     "create KEY AMOUNT | add KEY BY | transfer KEY AMOUNT NODE | get KEY",
     "a counter that never falls below 0; a node takes away only what it holds the rights to",
     crdt_bounded},
    {"crdt", "list", CRDT_ANY, 0, CRDT_VALUES_MAX + 2, "", "there is none", crdt_list},
    {"crdt", "once", HF_OPT_CLUSTER, 1, 2, "new [KEY]",
     "a token: a write with --once TOKEN counts once, whoever tries it again within 24 hours",
     crdt_once},
    {"crdt", "watch", HF_OPT_CLUSTER | HF_OPT_SPACE | HF_OPT_PREFIX | HF_OPT_FROM | HF_OPT_LIMIT, 0,
     0, "[--prefix P] [--from REVISION] [--limit N]", "prints each key that changes at one node",
     hf_cmd_crdt_watch},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};

static int crdt_wrong(const struct hf_cmd *cmd)
{
    for (const struct hf_cmd_verb *verb = hf_cmd_crdt_verbs; verb->noun != NULL; verb++) {
        if (strcmp(verb->verb, cmd->verb) == 0) {
            return hf_cmd_usage("usage: holdfast crdt %s %s", verb->verb, verb->usage);
        }
    }
    return HF_EXIT_USAGE;
}
