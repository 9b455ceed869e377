/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt: reads. A key has the type that it was first written with, and is not read as if it
 * were an empty one of another: what is there is asked for first, whatever its type. A key that was
 * made with two types at the same time answers the one asked for, and the other is named.
 */
#include "client/cmd_crdt_internal.h"

#include <string.h>

/* A type as it is asked for. */
struct crdt_asked {
    const char *word; /* NULL: whatever is there */
    uint8_t type;     /* this kind of it only; 0: every one */
};

/* Where what is read lies, in the words of an error: 'KEY', or field 'NAME' of 'KEY'. */
#define CRDT_PLACE_BYTES 192u
#define CRDT_LABEL_BYTES 48u

static struct crdt_asked crdt_asked_of(const struct hf_cmd *cmd, const char *word, bool nested)
{
    const uint32_t kinds = HF_OPT_GROW_ONLY | HF_OPT_REMOVE_WINS | HF_OPT_DISABLE_WINS;
    struct crdt_asked asked = {.word = word};
    if (word != NULL && (cmd->given & kinds) != 0) {
        asked.type = hf_cmd_crdt_type(cmd, word, nested);
    }
    return asked;
}

static bool crdt_is_asked(const struct crdt_asked *asked, const struct hf_crdt_value *v)
{
    return asked->word == NULL || (strcmp(asked->word, hf_cmd_crdt_name(v->type)) == 0 &&
                                   (asked->type == 0 || asked->type == v->type));
}

/* ---- another type --------------------------------------------------------------------------- */

static void crdt_place(const struct crdt_run *r, uint32_t fields, char into[CRDT_PLACE_BYTES])
{
    char key[80];
    char field[80];
    hf_op_subject(key, sizeof(key), bytes_of_text(r->cmd->arg[1]));
    if (fields == 0) {
        (void)snprintf(into, CRDT_PLACE_BYTES, "'%s'", key);
        return;
    }
    hf_op_subject(field, sizeof(field), hf_in(r->crdt.path.names[fields - 1]));
    (void)snprintf(into, CRDT_PLACE_BYTES, "field '%s' of '%s'", field, key);
}

static int crdt_wrong_type(const struct crdt_run *r, const struct crdt_asked *asked,
                           uint32_t fields)
{
    const struct hf_result *a = &r->answer.result;
    char place[CRDT_PLACE_BYTES];
    char types[160] = "";
    char label[CRDT_LABEL_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < a->count && used < sizeof(types); i++) {
        const char *between = i == 0 ? "" : i + 1 == a->count ? " and " : ", ";
        hf_cmd_crdt_label(a->values[i].type, label, sizeof(label));
        int size = snprintf(types + used, sizeof(types) - used, "%s%s", between, label);
        used += size > 0 ? (size_t)size : 0;
    }
    crdt_place(r, fields, place);
    (void)snprintf(label, sizeof(label), "%s", asked->word);
    if (asked->type != 0) {
        hf_cmd_crdt_label(asked->type, label, sizeof(label));
    }
    return hf_cmd_fail(r->cmd, ERR_WRONG_TYPE, "%s has type%s %s, not %s", place,
                       a->count > 1 ? "s" : "", types, label);
}

/* Sorts what was found by what was asked for: notes what else is there, and says so. fields: of the
 * path. returns: 0, also if nothing is there at all; or, as everything there has another type, an
 * exit code (said). */
static int crdt_judge(struct crdt_run *r, const struct crdt_asked *asked, uint32_t fields)
{
    const struct hf_result *a = &r->answer.result;
    char place[CRDT_PLACE_BYTES];
    char label[CRDT_LABEL_BYTES];
    size_t good = 0;
    r->beside = 0;
    for (size_t i = 0; i < a->count; i++) {
        bool is = crdt_is_asked(asked, &a->values[i]);
        good += is;
        r->beside |= is ? 0 : 1u << (a->values[i].type & 31);
    }
    if (good == 0 && a->count > 0) {
        return crdt_wrong_type(r, asked, fields);
    }
    crdt_place(r, fields, place);
    for (size_t i = 0; i < a->count && !r->cmd->json; i++) {
        if (!crdt_is_asked(asked, &a->values[i])) {
            hf_cmd_crdt_label(a->values[i].type, label, sizeof(label));
            (void)fprintf(stderr, "holdfast: %s also has type %s\n", place, label);
        }
    }
    return 0;
}

/* ---- values --------------------------------------------------------------------------------- */

static void crdt_print_json(const struct crdt_run *r, const struct crdt_asked *asked)
{
    const struct hf_result *a = &r->answer.result;
    unsigned shown = 0;
    hf_cmd_crdt_json_key(r->cmd);
    (void)fputs(",\"values\":[", stdout);
    for (unsigned others = 0; others < 2; others++) { /* what was asked for comes first */
        for (size_t i = 0; i < a->count; i++) {
            if (crdt_is_asked(asked, &a->values[i]) == (others == 0)) {
                (void)fputs(shown++ > 0 ? "," : "", stdout);
                hf_cmd_crdt_json_item(&a->values[i]);
            }
        }
    }
    (void)fputc(']', stdout);
    hf_cmd_crdt_json_end(r);
}

/* Prints what was found of the type asked for. returns: whether it is anything. */
static bool crdt_print_found(struct crdt_run *r, const struct crdt_asked *asked)
{
    const struct hf_result *a = &r->answer.result;
    size_t count = 0;
    bool found = false;
    for (size_t i = 0; i < a->count; i++) {
        bool is = crdt_is_asked(asked, &a->values[i]);
        count += is;
        found = found || (is && a->values[i].found);
    }
    if (r->cmd->json) {
        crdt_print_json(r, asked);
    }
    for (size_t i = 0; i < a->count && !r->cmd->json; i++) {
        if (crdt_is_asked(asked, &a->values[i])) {
            hf_cmd_crdt_print(&a->values[i], count > 1);
        }
    }
    return found;
}

int hf_cmd_crdt_get(const struct hf_cmd *cmd, const char *neutral)
{
    struct crdt_asked asked = crdt_asked_of(cmd, cmd->verb, false);
    struct crdt_run r;
    int code = hf_cmd_crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    code = hf_cmd_crdt_ask(&r, hf_crdt_read);
    code = code != 0 ? code : crdt_judge(&r, &asked, 0);
    if (code == 0) {
        bool none = r.answer.result.count == 0;
        bool found = crdt_print_found(&r, &asked);
        if (none && neutral != NULL && !cmd->json) { /* counters and the like have a value then */
            (void)printf("%s\n", neutral);
        }
        code = found || (none && neutral != NULL) ? HF_EXIT_DONE : HF_EXIT_REFUSED;
    }
    return hf_cmd_crdt_close(&r, code);
}

/* ---- members -------------------------------------------------------------------------------- */

/* Each page may be of another moment, so each says what stands behind it. */
static void crdt_print_page(const struct crdt_run *r)
{
    const struct hf_result *a = &r->answer.result;
    for (size_t i = 0; i < a->count; i++) {
        if (r->cmd->json) {
            hf_cmd_crdt_json_member(&a->values[i]);
        } else {
            hf_cmd_crdt_print_member(&a->values[i]);
        }
    }
    if (r->cmd->json) {
        hf_cmd_crdt_json_key(r->cmd);
        (void)printf(",\"count\":%zu", a->count);
        hf_cmd_crdt_json_end(r);
    }
}

/* All members of the set or map at the path. */
static int crdt_print_members(struct crdt_run *r)
{
    uint8_t after[WIRE_NAME_BYTES_MAX];
    uint64_t left = r->cmd->limit > 0 ? r->cmd->limit : UINT64_MAX;
    bool more = true;
    while (more && left > 0) {
        r->crdt.limit = NUM_MIN(left, (uint64_t)WIRE_SCAN_ITEMS_MAX);
        int code = hf_cmd_crdt_ask(r, hf_crdt_members);
        if (code != 0) {
            return code;
        }
        struct hf_result *a = &r->answer.result;
        a->count = NUM_MIN((uint64_t)a->count, left);
        crdt_print_page(r);
        left -= a->count;
        more = a->more && a->next.size <= sizeof(after);
        if (more) {
            memcpy(after, a->next.data, a->next.size);
            r->crdt.after = (struct hf_bytes){.data = after, .size = a->next.size};
        }
    }
    return HF_EXIT_DONE;
}

/* ---- sets ----------------------------------------------------------------------------------- */

static int crdt_set_has(struct crdt_run *r)
{
    r->crdt.has_element = true;
    r->crdt.element = hf_text(r->cmd->arg[2]);
    int code = hf_cmd_crdt_ask(r, hf_crdt_read);
    if (code != 0) {
        return code;
    }
    const struct hf_result *a = &r->answer.result;
    bool has = a->count > 0 && a->values[0].flag;
    if (r->cmd->json) {
        hf_cmd_crdt_json_key(r->cmd);
        (void)printf(",\"has\":%s", has ? "true" : "false");
        hf_cmd_crdt_json_end(r);
    }
    return has ? HF_EXIT_DONE : HF_EXIT_REFUSED;
}

/* Asks for one kind of set: that which the options mean, if it is there or none is; else the first
 * that is. */
static void crdt_set_narrow(const struct crdt_run *r, struct crdt_asked *asked)
{
    const struct hf_result *a = &r->answer.result;
    uint8_t usual = hf_cmd_crdt_type(r->cmd, asked->word, false);
    uint8_t type = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (crdt_is_asked(asked, &a->values[i]) && (type == 0 || a->values[i].type == usual)) {
            type = a->values[i].type;
        }
    }
    asked->type = type != 0 ? type : asked->type;
}

int hf_cmd_crdt_set_read(const struct hf_cmd *cmd, bool has)
{
    const struct crdt_size element = {
        .what = "ELEMENT", .least = 1, .most = WIRE_CRDT_ELEMENT_BYTES_MAX};
    struct crdt_asked asked = crdt_asked_of(cmd, cmd->verb, false);
    struct crdt_run r;
    int code = has ? hf_cmd_crdt_sized(cmd, &element, hf_text(cmd->arg[2])) : 0;
    code = code != 0 ? code : hf_cmd_crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    code = hf_cmd_crdt_ask(&r, hf_crdt_read);
    crdt_set_narrow(&r, &asked);
    code = code != 0 ? code : crdt_judge(&r, &asked, 0);
    if (code == 0) {
        uint8_t usual = hf_cmd_crdt_type(cmd, asked.word, false);
        hf_crdt_path_init(&r.crdt.path, asked.type != 0 ? asked.type : usual);
        code = has ? crdt_set_has(&r) : crdt_print_members(&r);
    }
    return hf_cmd_crdt_close(&r, code);
}

/* ---- maps ----------------------------------------------------------------------------------- */

/* Nothing lies at the path: perhaps because something on the way to it is no map. returns: 0, or an
 * exit code (said). The answer of r stays. */
static int crdt_map_way(struct crdt_run *r)
{
    const struct crdt_asked map = {.word = "map"};
    const struct hf_crdt_path path = r->crdt.path;
    struct hf_answer kept = r->answer;
    int code = 0;
    r->answer = (struct hf_answer){.ended = false};
    for (uint32_t fields = 0; fields < path.count && code == 0; fields++) {
        r->crdt.path.count = fields;
        r->crdt.path.types[fields] = HF_CRDT_ANY;
        code = hf_cmd_crdt_ask(r, hf_crdt_read);
        if (code != 0 || r->answer.result.count == 0) {
            break;
        }
        bool through = false;
        for (size_t i = 0; i < r->answer.result.count; i++) {
            through = through || crdt_is_asked(&map, &r->answer.result.values[i]);
        }
        code = through ? 0 : crdt_wrong_type(r, &map, fields);
        r->crdt.path.types[fields] = HF_CRDT_MAP;
    }
    hf_answer_release(&r->answer);
    r->answer = kept;
    r->crdt.path = path;
    return code;
}

/* returns: the type of the only thing asked for, if that has members; else 0. */
static uint8_t crdt_lists(const struct crdt_run *r, const struct crdt_asked *asked)
{
    const struct hf_result *a = &r->answer.result;
    uint8_t type = 0;
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (crdt_is_asked(asked, &a->values[i])) {
            type = a->values[i].type;
            count++;
        }
    }
    return count == 1 && (type == HF_CRDT_MAP || hf_cmd_crdt_is_set(type)) ? type : 0;
}

static int crdt_map_found(struct crdt_run *r, const struct crdt_asked *asked)
{
    struct hf_crdt_path *path = &r->crdt.path;
    int code = crdt_judge(r, asked, path->count);
    if (code == 0 && r->answer.result.count == 0) {
        code = crdt_map_way(r);
    }
    if (code != 0) {
        return code;
    }
    uint8_t type = crdt_lists(r, asked);
    if (type != 0) {
        path->types[path->count] = type;
        return crdt_print_members(r);
    }
    return crdt_print_found(r, asked) ? HF_EXIT_DONE : HF_EXIT_REFUSED;
}

int hf_cmd_crdt_map_get(const struct hf_cmd *cmd)
{
    char text[CRDT_FIELD_BYTES];
    bool field = cmd->args > 2;
    uint8_t type = cmd->type != NULL ? hf_cmd_crdt_type(cmd, cmd->type, true) : HF_CRDT_ANY;
    if (cmd->type != NULL && !field) {
        return hf_cmd_usage("--type is for a FIELD");
    }
    if (cmd->type != NULL && (type == 0 || type == HF_CRDT_BOUNDED)) {
        return hf_cmd_usage("'%.200s' is no type of a field", cmd->type);
    }
    struct crdt_asked asked = crdt_asked_of(cmd, field ? cmd->type : cmd->verb, field);
    struct crdt_run r;
    int code = hf_cmd_crdt_open(cmd, &r);
    if (code != 0) {
        return code;
    }
    hf_crdt_path_init(&r.crdt.path, field ? HF_CRDT_MAP : HF_CRDT_ANY);
    if (field) {
        code = hf_cmd_crdt_fields(cmd, cmd->arg[2], text, &r.crdt.path, HF_CRDT_ANY);
    }
    code = code != 0 ? code : hf_cmd_crdt_ask(&r, hf_crdt_read);
    code = code != 0 ? code : crdt_map_found(&r, &asked);
    return hf_cmd_crdt_close(&r, code);
}
