/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast crdt: values as text and as JSON.
 */
#include "client/cmd_crdt_internal.h"

#include <string.h>

static const char *const crdt_names[] = {
    "any", "counter", "counter", "counter", "register", "mvreg", "flag", "flag",
    "set", "set",     "set",     "max",     "min",      "hll",   "map",  "bounded"};
/* More exactly. */
static const char *const crdt_kinds[] = {"any",      "grow-only",   "pn",          "exact",
                                         "lww",      "multi-value", "enable-wins", "disable-wins",
                                         "add-wins", "remove-wins", "grow-only",   "max",
                                         "min",      "hll",         "map",         "bounded"};

const char *hf_cmd_crdt_name(uint8_t type)
{
    return type < sizeof(crdt_names) / sizeof(crdt_names[0]) ? crdt_names[type] : "unknown";
}

const char *hf_cmd_crdt_kind(uint8_t type)
{
    return type < sizeof(crdt_kinds) / sizeof(crdt_kinds[0]) ? crdt_kinds[type] : "unknown";
}

bool hf_cmd_crdt_is_set(uint8_t type)
{
    return type == HF_CRDT_AW_SET || type == HF_CRDT_RW_SET || type == HF_CRDT_G_SET;
}

void hf_cmd_crdt_label(uint8_t type, char *into, size_t into_bytes)
{
    const char *name = hf_cmd_crdt_name(type);
    const char *kind = hf_cmd_crdt_kind(type);
    bool one = strcmp(name, kind) == 0;
    (void)snprintf(into, into_bytes, one ? "%s" : "%s (%s)", name, kind);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

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

/* Type, kind, value, and what was written beside it. */
static void crdt_json_typed(const struct hf_crdt_value *v)
{
    (void)printf("\"type\":\"%s\",\"kind\":\"%s\",\"value\":", hf_cmd_crdt_name(v->type),
                 hf_cmd_crdt_kind(v->type));
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

void hf_cmd_crdt_json_item(const struct hf_crdt_value *v)
{
    (void)fputc('{', stdout);
    crdt_json_typed(v);
}

void hf_cmd_crdt_json_member(const struct hf_crdt_value *v)
{
    (void)fputs(v->type != 0 ? "{\"field\":" : "{\"element\":", stdout);
    hf_json_string(stdout, v->name);
    if (v->type != 0) {
        (void)fputc(',', stdout);
        crdt_json_typed(v);
    } else {
        (void)fputc('}', stdout);
    }
    (void)fputc('\n', stdout);
}

void hf_cmd_crdt_json_key(const struct hf_cmd *cmd)
{
    (void)fputs("{\"key\":", stdout);
    hf_json_text(stdout, cmd->arg[1]);
}

static void crdt_json_clock(const struct hf_result *a)
{
    (void)fputs(",\"clock\":[", stdout);
    for (size_t i = 0; i < a->clock_count; i++) {
        const struct hf_crdt_range *c = &a->clock[i];
        (void)printf("%s{\"node\":%u,\"epoch\":%llu,\"from\":%llu,\"to\":%llu}", i > 0 ? "," : "",
                     c->node, (unsigned long long)c->epoch, (unsigned long long)c->from,
                     (unsigned long long)c->to);
    }
    (void)printf("],\"node\":%u", a->node);
}

static void crdt_json_consistency(const struct crdt_run *r)
{
    (void)printf(",\"consistency\":\"%s\"", r->answer.result.consistency);
    if (r->causal != NULL) {
        (void)printf(",\"token\":\"%s\"", hf_causal_text(r->causal));
    }
    (void)fputs("}\n", stdout);
}

void hf_cmd_crdt_json_end(const struct crdt_run *r)
{
    bool first = true;
    for (uint8_t type = 1; type <= HF_CRDT_BOUNDED; type++) {
        if ((r->beside & 1u << type) != 0) {
            (void)printf("%s\"%s\"", first ? ",\"also\":[" : ",", hf_cmd_crdt_name(type));
            first = false;
        }
    }
    (void)fputs(first ? "" : "]", stdout);
    crdt_json_clock(&r->answer.result);
    (void)printf(",\"time_us\":%llu", (unsigned long long)r->answer.result.time_us);
    crdt_json_consistency(r);
}

void hf_cmd_crdt_json_written(const struct crdt_run *r, bool changed)
{
    const struct hf_result *a = &r->answer.result;
    hf_cmd_crdt_json_key(r->cmd);
    if (a->code == ERR_DONE) { /* before: the answer that said more is no longer kept */
        (void)fputs(",\"changed\":null,\"copies\":null", stdout);
    } else {
        (void)printf(",\"changed\":%s,\"copies\":%u", changed ? "true" : "false", a->copies);
        crdt_json_clock(a);
    }
    crdt_json_consistency(r);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void crdt_print_value(const struct hf_crdt_value *v, bool exact)
{
    switch (v->kind) {
    case HF_CRDT_NUMBER: (void)printf("%lld\n", (long long)v->number); break;
    case HF_CRDT_COUNT: (void)printf("%llu\n", (unsigned long long)v->count); break;
    case HF_CRDT_BOOL: (void)printf("%s\n", v->flag ? "true" : "false"); break;
    case HF_CRDT_BYTES:
        if (exact) {
            (void)fwrite(v->bytes.data, 1, v->bytes.size, stdout);
        } else {
            hf_cmd_escape(stdout, v->bytes);
            (void)fputc('\n', stdout);
        }
        break;
    default: (void)fputc('\n', stdout); break;
    }
}

void hf_cmd_crdt_print(const struct hf_crdt_value *v, bool label)
{
    char text[48];
    hf_cmd_crdt_label(v->type, text, sizeof(text));
    if (v->type != HF_CRDT_MV) {
        (void)fputs(label ? text : "", stdout);
        (void)fputs(label ? "\t" : "", stdout);
        crdt_print_value(v, !label);
        return;
    }
    for (size_t i = 0; i < v->siblings_count; i++) {
        (void)fputs(label ? text : "", stdout);
        (void)fputs(label ? "\t" : "", stdout);
        hf_cmd_escape(stdout, v->siblings[i].value);
        (void)fputc('\n', stdout);
    }
}

void hf_cmd_crdt_print_member(const struct hf_crdt_value *v)
{
    hf_cmd_escape(stdout, v->name);
    if (v->type != 0) {
        (void)printf("\t%s\t", hf_cmd_crdt_name(v->type));
        crdt_print_value(v, false);
    } else {
        (void)fputc('\n', stdout);
    }
}
