/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt: replicated data types. A type stands where other nouns have their verb; what is
 * done with it is its first argument.
 */
#include "client/client_internal.h"
#include "client/cmd_internal.h"

#include <string.h>

#define CRDT_FIELD_BYTES (CRDT_FIELDS_TEXT + 1)
#define CRDT_FIELDS_TEXT 8192u
#define CRDT_VALUES_MAX 60u

static const char *const crdt_names[] = {
    "any", "counter", "counter", "counter", "register", "mvreg", "flag", "flag",
    "set", "set",     "set",     "max",     "min",      "hll",   "map",  "bounded"};
/* More exactly, for JSON. */
static const char *const crdt_kinds[] = {"any",      "grow-only",   "pn",          "exact",
                                         "lww",      "multi-value", "enable-wins", "disable-wins",
                                         "add-wins", "remove-wins", "grow-only",   "max",
                                         "min",      "hll",         "map",         "bounded"};

static const char *crdt_name(uint8_t type)
{
    return type < sizeof(crdt_names) / sizeof(crdt_names[0]) ? crdt_names[type] : "unknown";
}

static const char *crdt_kind(uint8_t type)
{
    return type < sizeof(crdt_kinds) / sizeof(crdt_kinds[0]) ? crdt_kinds[type] : "unknown";
}

/* ---- types ---------------------------------------------------------------------------------- */

/* The type that a word and the options mean. nested: in a map, where a counter is the kind whose
 * removal is exact. returns: 0: no such type. */
static uint8_t crdt_type_of(const struct hf_cmd *cmd, const char *word, bool nested)
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

static bool crdt_is_set(uint8_t type)
{
    return type == HF_CRDT_AW_SET || type == HF_CRDT_RW_SET || type == HF_CRDT_G_SET;
}

static bool crdt_is(const struct hf_cmd *cmd, const char *action)
{
    return strcmp(cmd->arg[0], action) == 0;
}

/* ---- one request ---------------------------------------------------------------------------- */

/* A client, a session, and what every request of the command has. */
struct crdt_run {
    const struct hf_cmd *cmd;
    struct hf_client *client;
    struct hf_causal *causal;
    struct hf_crdt crdt;
    struct hf_answer answer;
};

static int crdt_open(const struct hf_cmd *cmd, struct crdt_run *r)
{
    memset(r, 0, sizeof(*r));
    r->cmd = cmd;
    int code = hf_cmd_client(cmd, &r->client);
    if (code != 0) {
        return code;
    }
    code = hf_cmd_causal(cmd, &r->causal);
    if (code != 0) {
        hf_client_free(r->client);
        return code;
    }
    r->crdt.space = cmd->space != NULL ? hf_text(cmd->space) : (struct hf_bytes){NULL, 0};
    r->crdt.name = cmd->args > 1 ? hf_text(cmd->arg[1]) : (struct hf_bytes){NULL, 0};
    r->crdt.copies = cmd->copies;
    r->crdt.budget_ms = cmd->budget_ms;
    r->crdt.causal = r->causal;
    return 0;
}

static int crdt_close(struct crdt_run *r, int code)
{
    hf_answer_release(&r->answer);
    hf_client_free(r->client);
    return hf_cmd_causal_end(r->cmd, r->causal, code);
}

typedef int crdt_start_fn(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                          hf_done_fn *done);

/* returns: 0 or an exit code (said). */
static int crdt_ask(struct crdt_run *r, crdt_start_fn *start)
{
    hf_answer_release(&r->answer);
    int err = start(r->client, &r->crdt, &r->answer, hf_answer_done);
    return hf_cmd_exit_of(hf_cmd_wait(r->cmd, r->client, err, &r->answer));
}

/* ---- printing ------------------------------------------------------------------------------- */

static void crdt_json_value(const struct hf_crdt_value *v)
{
    switch (v->kind) {
    case HF_CRDT_NUMBER: (void)printf("%lld", (long long)v->number); break;
    case HF_CRDT_COUNT: (void)printf("%llu", (unsigned long long)v->count); break;
    case HF_CRDT_BOOL: (void)fputs(v->flag ? "true" : "false", stdout); break;
    case HF_CRDT_BYTES: hf_json_string(stdout, v->bytes); break;
    default: (void)fputs("null", stdout); break;
    }
}

static void crdt_json_item(const struct hf_crdt_value *v)
{
    (void)printf("{\"type\":\"%s\",\"kind\":\"%s\",\"value\":", crdt_name(v->type),
                 crdt_kind(v->type));
    crdt_json_value(v);
    for (size_t i = 0; i < v->siblings_count; i++) {
        const struct hf_crdt_sibling *s = &v->siblings[i];
        (void)fputs(i == 0 ? ",\"siblings\":[{\"value\":" : ",{\"value\":", stdout);
        hf_json_string(stdout, s->value);
        (void)printf(",\"node\":%u,\"epoch\":%llu,\"counter\":%llu", s->node,
                     (unsigned long long)s->epoch, (unsigned long long)s->counter);
        if (s->time_us > 0) {
            (void)printf(",\"time_us\":%llu", (unsigned long long)s->time_us);
        }
        (void)fputs(i + 1 == v->siblings_count ? "}]" : "}", stdout);
    }
    for (size_t i = 0; i < v->rights_count; i++) {
        const struct hf_crdt_rights *a = &v->rights[i];
        (void)printf("%s{\"node\":%u,\"epoch\":%llu,\"rights\":%lld}%s",
                     i == 0 ? ",\"rights\":[" : ",", a->node, (unsigned long long)a->epoch,
                     (long long)a->rights, i + 1 == v->rights_count ? "]" : "");
    }
    (void)fputc('}', stdout);
}

/* What stands behind the values: clock, node, consistency, token. */
static void crdt_json_end(struct crdt_run *r)
{
    const struct hf_result *a = &r->answer.result;
    (void)fputs(",\"clock\":[", stdout);
    for (size_t i = 0; i < a->clock_count; i++) {
        const struct hf_crdt_range *c = &a->clock[i];
        (void)printf("%s{\"node\":%u,\"epoch\":%llu,\"from\":%llu,\"to\":%llu}", i > 0 ? "," : "",
                     c->node, (unsigned long long)c->epoch, (unsigned long long)c->from,
                     (unsigned long long)c->to);
    }
    (void)printf("],\"node\":%u,\"time_us\":%llu", a->node, (unsigned long long)a->time_us);
    (void)printf(",\"consistency\":\"%s\"", a->consistency);
    if (r->causal != NULL) {
        (void)printf(",\"token\":\"%s\"", hf_causal_text(r->causal));
    }
    (void)fputs("}\n", stdout);
}

static void crdt_json_key(const struct hf_cmd *cmd)
{
    (void)fputs("{\"key\":", stdout);
    hf_json_text(stdout, cmd->arg[1]);
}

static void crdt_print_value(const struct hf_crdt_value *v)
{
    switch (v->kind) {
    case HF_CRDT_NUMBER: (void)printf("%lld\n", (long long)v->number); break;
    case HF_CRDT_COUNT: (void)printf("%llu\n", (unsigned long long)v->count); break;
    case HF_CRDT_BOOL: (void)printf("%s\n", v->flag ? "true" : "false"); break;
    case HF_CRDT_BYTES: (void)fwrite(v->bytes.data, 1, v->bytes.size, stdout); break;
    default: (void)fputc('\n', stdout); break;
    }
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
        crdt_json_key(r->cmd);
        (void)printf(",\"changed\":%s,\"copies\":%u,\"consistency\":\"%s\"", any ? "true" : "false",
                     a->copies, a->consistency);
        if (r->causal != NULL) {
            (void)printf(",\"token\":\"%s\"", hf_causal_text(r->causal));
        }
        (void)fputs("}\n", stdout);
    }
    return one_must_change && !any ? HF_EXIT_REFUSED : HF_EXIT_DONE;
}

/* Runs operations of one key as one batch. must_change: exit 1 if nothing did. */
static int crdt_write(const struct hf_cmd *cmd, const struct hf_crdt_op *ops, size_t count,
                      bool must_change)
{
    struct crdt_run r;
    int code = crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    r.crdt.ops = ops;
    r.crdt.ops_count = count;
    code = crdt_ask(&r, hf_crdt_update);
    if (code == 0) {
        code = crdt_say_written(&r, must_change);
    }
    return crdt_close(&r, code);
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

/* ---- reads ---------------------------------------------------------------------------------- */

/* Prints what lies at the path of r, of the types that answer to `word`; NULL: of all. */
static int crdt_print_found(struct crdt_run *r, const char *word)
{
    const struct hf_result *a = &r->answer.result;
    const struct hf_crdt_value *only = NULL;
    unsigned shown = 0;
    if (r->cmd->json) {
        crdt_json_key(r->cmd);
        (void)fputs(",\"values\":[", stdout);
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct hf_crdt_value *v = &a->values[i];
        if (word != NULL && strcmp(word, crdt_name(v->type)) != 0) {
            if (!r->cmd->json) {
                (void)fprintf(stderr, "holdfast: '%s' also holds a %s\n", r->cmd->arg[1],
                              crdt_name(v->type));
            }
            if (!r->cmd->json) {
                continue;
            }
        }
        if (r->cmd->json) {
            (void)fputs(shown > 0 ? "," : "", stdout);
            crdt_json_item(v);
        } else if (v->type == HF_CRDT_MV) {
            for (size_t j = 0; j < v->siblings_count; j++) {
                hf_cmd_escape(stdout, v->siblings[j].value);
                (void)fputc('\n', stdout);
            }
        } else {
            crdt_print_value(v);
        }
        only = v;
        shown += v->found;
    }
    if (r->cmd->json) {
        (void)fputc(']', stdout);
        crdt_json_end(r);
    }
    bool nothing = only == NULL || !only->found || only->kind == HF_CRDT_NOTHING;
    bool listed = only != NULL && only->siblings_count > 0;
    return shown == 0 || (nothing && !listed) ? HF_EXIT_REFUSED : HF_EXIT_DONE;
}

/* What a name without anything under it reads as: counters and the like have a value then too. */
static int crdt_print_neutral(const struct hf_cmd *cmd, const char *neutral)
{
    if (neutral != NULL && !cmd->json) {
        (void)printf("%s\n", neutral);
    }
    return neutral != NULL ? HF_EXIT_DONE : HF_EXIT_REFUSED;
}

static bool crdt_has_type(const struct hf_result *a, const char *word)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(word, crdt_name(a->values[i].type)) == 0) {
            return true;
        }
    }
    return false;
}

/* neutral: printed if nothing is there; NULL: then exit 1. */
static int crdt_get(const struct hf_cmd *cmd, const char *neutral)
{
    struct crdt_run r;
    int code = crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    code = crdt_ask(&r, hf_crdt_read);
    if (code == 0) {
        bool there = crdt_has_type(&r.answer.result, cmd->verb);
        code = crdt_print_found(&r, cmd->verb);
        code = there ? code : crdt_print_neutral(cmd, neutral);
    }
    return crdt_close(&r, code);
}

/* ---- counters, registers, flags and the like ------------------------------------------------ */

static int crdt_wrong(const struct hf_cmd *cmd);

static int crdt_counter(const struct hf_cmd *cmd)
{
    uint8_t type = crdt_type_of(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return crdt_get(cmd, "0");
    }
    if (crdt_is(cmd, "add") && cmd->args <= 3) {
        return crdt_write_number(cmd, type, HF_CRDT_ADD, cmd->args > 2 ? cmd->arg[2] : "1");
    }
    return crdt_wrong(cmd);
}

static int crdt_register(const struct hf_cmd *cmd)
{
    uint8_t type = crdt_type_of(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return crdt_get(cmd, NULL);
    }
    if (crdt_is(cmd, "set") && cmd->args == 3) {
        return crdt_write_values(cmd, type, HF_CRDT_SET);
    }
    return crdt_wrong(cmd);
}

static int crdt_flag(const struct hf_cmd *cmd)
{
    uint8_t type = crdt_type_of(cmd, cmd->verb, false);
    bool enable = crdt_is(cmd, "enable");
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return crdt_get(cmd, "false");
    }
    if ((enable || crdt_is(cmd, "disable")) && cmd->args == 2) {
        struct hf_crdt_op op = crdt_op_of(cmd, type, enable ? HF_CRDT_ENABLE : HF_CRDT_DISABLE);
        return crdt_write(cmd, &op, 1, false);
    }
    return crdt_wrong(cmd);
}

static int crdt_extreme(const struct hf_cmd *cmd)
{
    uint8_t type = crdt_type_of(cmd, cmd->verb, false);
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return crdt_get(cmd, NULL);
    }
    if (crdt_is(cmd, "add") && cmd->args == 3) {
        return crdt_write_number(cmd, type, HF_CRDT_SET, cmd->arg[2]);
    }
    return crdt_wrong(cmd);
}

static int crdt_hll(const struct hf_cmd *cmd)
{
    if (crdt_is(cmd, "get") && cmd->args == 2) {
        return crdt_get(cmd, "0");
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
        return crdt_get(cmd, "0");
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

/* ---- sets ----------------------------------------------------------------------------------- */

/* The kind of set that is under the path: as the options say, or as it was made. */
static int crdt_find_set(struct crdt_run *r, uint8_t *type)
{
    struct hf_crdt_path *path = &r->crdt.path;
    *type = crdt_type_of(r->cmd, "set", false);
    if ((r->cmd->given & (HF_OPT_REMOVE_WINS | HF_OPT_GROW_ONLY)) != 0) {
        return 0;
    }
    path->types[path->count] = HF_CRDT_ANY;
    int code = crdt_ask(r, hf_crdt_read);
    for (size_t i = 0; code == 0 && i < r->answer.result.count; i++) {
        if (crdt_is_set(r->answer.result.values[i].type)) {
            *type = r->answer.result.values[i].type;
            return 0;
        }
    }
    return code;
}

static void crdt_print_member(const struct hf_cmd *cmd, const struct hf_crdt_value *v)
{
    if (!cmd->json) {
        hf_cmd_escape(stdout, v->name);
        if (v->type != 0) {
            (void)printf("\t%s\t", crdt_name(v->type));
            if (v->kind == HF_CRDT_BYTES) {
                hf_cmd_escape(stdout, v->bytes);
                (void)fputc('\n', stdout);
            } else {
                crdt_print_value(v);
            }
        } else {
            (void)fputc('\n', stdout);
        }
        return;
    }
    (void)fputs(v->type != 0 ? "{\"field\":" : "{\"element\":", stdout);
    hf_json_string(stdout, v->name);
    if (v->type != 0) {
        (void)printf(",\"type\":\"%s\",\"kind\":\"%s\",\"value\":", crdt_name(v->type),
                     crdt_kind(v->type));
        crdt_json_value(v);
    }
    (void)fputs("}\n", stdout);
}

/* All members of the set or map at the path. */
static int crdt_print_members(struct crdt_run *r)
{
    uint8_t after[WIRE_NAME_BYTES_MAX];
    uint64_t left = r->cmd->limit > 0 ? r->cmd->limit : UINT64_MAX;
    bool more = true;
    while (more && left > 0) {
        r->crdt.limit = NUM_MIN(left, (uint64_t)WIRE_SCAN_ITEMS_MAX);
        int code = crdt_ask(r, hf_crdt_members);
        if (code != 0) {
            return code;
        }
        const struct hf_result *a = &r->answer.result;
        for (size_t i = 0; i < a->count && left > 0; i++, left--) {
            crdt_print_member(r->cmd, &a->values[i]);
        }
        more = a->more && a->next.size <= sizeof(after);
        if (more) {
            memcpy(after, a->next.data, a->next.size);
            r->crdt.after = (struct hf_bytes){.data = after, .size = a->next.size};
        }
    }
    return HF_EXIT_DONE;
}

static int crdt_set_has(struct crdt_run *r)
{
    r->crdt.has_element = true;
    r->crdt.element = hf_text(r->cmd->arg[2]);
    int code = crdt_ask(r, hf_crdt_read);
    if (code != 0) {
        return code;
    }
    const struct hf_result *a = &r->answer.result;
    bool has = a->count > 0 && a->values[0].flag;
    if (r->cmd->json) {
        crdt_json_key(r->cmd);
        (void)printf(",\"has\":%s", has ? "true" : "false");
        crdt_json_end(r);
    }
    return has ? HF_EXIT_DONE : HF_EXIT_REFUSED;
}

static int crdt_set(const struct hf_cmd *cmd)
{
    uint8_t type = crdt_type_of(cmd, cmd->verb, false);
    struct crdt_run r;
    bool add = crdt_is(cmd, "add");
    bool has = crdt_is(cmd, "has") && cmd->args == 3;
    if ((add || crdt_is(cmd, "remove")) && cmd->args >= 3) {
        return crdt_write_values(cmd, type, add ? HF_CRDT_ADD : HF_CRDT_REMOVE);
    }
    if (!has && !(crdt_is(cmd, "members") && cmd->args == 2)) {
        return crdt_wrong(cmd);
    }
    int code = crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    code = crdt_find_set(&r, &type);
    if (code == 0) {
        hf_crdt_path_init(&r.crdt.path, type);
        code = has ? crdt_set_has(&r) : crdt_print_members(&r);
    }
    return crdt_close(&r, code);
}

/* ---- maps ----------------------------------------------------------------------------------- */

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

static bool crdt_fields_of(const char *word, char text[CRDT_FIELD_BYTES], struct hf_crdt_path *path,
                           uint8_t last)
{
    size_t size = strlen(word);
    if (size > CRDT_FIELDS_TEXT) {
        return false;
    }
    memcpy(text, word, size + 1);
    return crdt_fields(text, path, last);
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
    uint8_t type = crdt_type_of(cmd, word, true);
    struct hf_crdt_op op = crdt_op_of(cmd, HF_CRDT_MAP, HF_CRDT_SET);
    if (type == 0 || type == HF_CRDT_MAP || type == HF_CRDT_BOUNDED) {
        return hf_cmd_usage("'%s' is no type that a field is set to", word);
    }
    if (!crdt_fields_of(cmd->arg[2], text, &op.path, type)) {
        return hf_cmd_usage("'%s' is not FIELD[.FIELD...], at most %u deep", cmd->arg[2],
                            HF_CRDT_DEPTH_MAX);
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
    if (!crdt_fields_of(cmd->arg[2], text, &op.path, HF_CRDT_MAP)) {
        return hf_cmd_usage("'%s' is not FIELD[.FIELD...], at most %u deep", cmd->arg[2],
                            HF_CRDT_DEPTH_MAX);
    }
    op.value = op.path.names[--op.path.count];
    return crdt_write(cmd, &op, 1, true);
}

/* Lists what is a map or set at the path. returns: whether it was one. */
static bool crdt_list_found(struct crdt_run *r, int *code)
{
    struct hf_crdt_path *path = &r->crdt.path;
    const struct hf_result *a = &r->answer.result;
    uint8_t type = 0;
    for (size_t i = 0; i < a->count && type == 0; i++) {
        bool lists = a->values[i].type == HF_CRDT_MAP || crdt_is_set(a->values[i].type);
        type = lists ? a->values[i].type : 0;
    }
    if (type == 0 || a->count > 1) { /* with others beside it, all are named */
        return false;
    }
    path->types[path->count] = type;
    *code = crdt_print_members(r);
    return true;
}

static int crdt_map_get(const struct hf_cmd *cmd)
{
    char text[CRDT_FIELD_BYTES];
    struct crdt_run r;
    int code = crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    hf_crdt_path_init(&r.crdt.path, cmd->args > 2 ? HF_CRDT_MAP : HF_CRDT_ANY);
    if (cmd->args > 2 && !crdt_fields_of(cmd->arg[2], text, &r.crdt.path, HF_CRDT_ANY)) {
        code = hf_cmd_usage("'%s' is not FIELD[.FIELD...], at most %u deep", cmd->arg[2],
                            HF_CRDT_DEPTH_MAX);
        return crdt_close(&r, code);
    }
    code = crdt_ask(&r, hf_crdt_read);
    if (code == 0 && !crdt_list_found(&r, &code)) {
        code = crdt_print_found(&r, NULL);
    }
    return crdt_close(&r, code);
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
        return crdt_map_get(cmd);
    }
    return crdt_wrong(cmd);
}

/* ---- what there is not ---------------------------------------------------------------------- */

static int crdt_list(const struct hf_cmd *cmd)
{
    (void)cmd;
    return hf_cmd_usage("there is no list or text type: what two people type at one place would be "
                        "mixed; keep a register for each paragraph, or a map of them");
}

#define CRDT_ANY (HF_OPT_CLUSTER | HF_OPT_SPACE | HF_OPT_TOKEN | HF_OPT_COPIES | HF_OPT_BUDGET)

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
