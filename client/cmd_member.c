/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast member: what a node holds of the others, and the keys of gossip.
 */
#include "client/client_internal.h"
#include "client/cmd_internal.h"

#include <string.h>

static const struct wire_scan_limits member_limits = {
    .bytes_max = HF_MESSAGE_BYTES_MAX, .items_max = 1u << 18, .depth_max = WIRE_DEPTH_MAX};

typedef int member_print_fn(const struct hf_cmd *cmd, struct wire_node root);

static int member_show(const struct hf_cmd *cmd, const struct hf_answer *a, member_print_fn *print)
{
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct wire_node root;
    int err = wire_decoder_new(&heap, &member_limits, &decoder);
    if (err == 0) {
        err = wire_decode(decoder, bytes_of(a->result.value.data, a->result.value.size), &root);
    }
    int code = err != 0 ? hf_cmd_fail(cmd, err, "cannot read the answer") : print(cmd, root);
    wire_decoder_free(decoder);
    return code;
}

/* Asks a method with at most one number, prints the answer. */
static int member_run(const struct hf_cmd *cmd, const char *method, const uint64_t *number,
                      member_print_fn *print)
{
    struct hf_client *client = NULL;
    struct hf_answer a = {.ended = false};
    int code = hf_cmd_client(cmd, &client);
    if (code != 0) {
        return code;
    }
    int err =
        hf_cmd_wait(cmd, client, hf_ask_number(client, method, number, &a, hf_answer_done), &a);
    code = err != 0 ? hf_cmd_exit_of(err) : member_show(cmd, &a, print);
    hf_answer_release(&a);
    hf_client_free(client);
    return code;
}

static bool member_true(struct wire_node n, const char *name)
{
    bool value = false;
    (void)wire_node_bool(wire_node_find(n, name), &value);
    return value;
}

/* ---- list ----------------------------------------------------------------------------------- */

static void member_json(struct wire_node m)
{
    struct wire_node unwell = wire_node_find(m, "unwell");
    (void)printf("{\"id\":%llu,\"state\":", (unsigned long long)hf_field(m, WIRE_FIELD_ID));
    hf_json_string(stdout, hf_out(hf_field_bytes(m, WIRE_FIELD_STATE)));
    static const char *const numbers[] = {"confidence", "since_us", "rtt_us",     "health",
                                          "zone",       "epoch",    "incarnation"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)printf(",\"%s\":%llu", numbers[i], (unsigned long long)hf_field(m, numbers[i]));
    }
    (void)fputs(",\"address\":", stdout);
    hf_json_string(stdout, hf_out(hf_field_bytes(m, "address")));
    (void)printf(",\"out\":%s,\"connected\":%s,\"unwell\":[",
                 member_true(m, "out") ? "true" : "false",
                 member_true(m, "connected") ? "true" : "false");
    for (uint32_t i = 0; i < wire_node_count(unwell); i++) {
        struct bytes word = {.data = NULL, .size = 0};
        (void)wire_node_bytes(wire_node_at(unwell, i), 64, &word);
        (void)fputs(i > 0 ? "," : "", stdout);
        hf_json_string(stdout, hf_out(word));
    }
    (void)fputs("]}\n", stdout);
}

static void member_since(char *into, size_t bytes, uint64_t us)
{
    uint64_t s = us / 1000000u;
    if (s < 120) {
        (void)snprintf(into, bytes, "%llu s", (unsigned long long)s);
    } else if (s < 7200) {
        (void)snprintf(into, bytes, "%llu min", (unsigned long long)(s / 60));
    } else {
        (void)snprintf(into, bytes, "%llu h", (unsigned long long)(s / 3600));
    }
}

static void member_row(struct wire_node m)
{
    char since[32];
    char rtt[32] = "-";
    struct bytes state = hf_field_bytes(m, WIRE_FIELD_STATE);
    struct bytes address = hf_field_bytes(m, "address");
    uint64_t rtt_us = hf_field(m, "rtt_us");
    uint64_t confidence = hf_field(m, "confidence");
    member_since(since, sizeof(since), hf_field(m, "since_us"));
    if (rtt_us > 0) {
        (void)snprintf(rtt, sizeof(rtt), "%llu.%03llu ms", (unsigned long long)(rtt_us / 1000),
                       (unsigned long long)(rtt_us % 1000));
    }
    (void)printf("%-5llu %-9.*s %-7s %3llu.%02llu %8s %12s %6llu %5llu  %-22.*s %llu\n",
                 (unsigned long long)hf_field(m, WIRE_FIELD_ID), (int)state.size,
                 (const char *)state.data, member_true(m, "out") ? "out" : "member",
                 (unsigned long long)(confidence / 100), (unsigned long long)(confidence % 100),
                 since, rtt, (unsigned long long)hf_field(m, "health"),
                 (unsigned long long)hf_field(m, "zone"), (int)address.size,
                 (const char *)address.data, (unsigned long long)hf_field(m, "epoch"));
}

static int member_print_list(const struct hf_cmd *cmd, struct wire_node root)
{
    struct wire_node members = wire_node_find(root, WIRE_FIELD_MEMBERS);
    if (!cmd->json) {
        (void)printf("%-5s %-9s %-7s %6s %8s %12s %6s %5s  %-22s %s\n", "node", "state", "roster",
                     "doubt", "since", "round trip", "health", "zone", "address", "epoch");
    }
    for (uint32_t i = 0; i < wire_node_count(members); i++) {
        (cmd->json ? member_json : member_row)(wire_node_at(members, i));
    }
    if (!cmd->json) {
        (void)printf("as node %llu sees them\n", (unsigned long long)hf_field(root, "node"));
    }
    return HF_EXIT_DONE;
}

static int member_list(const struct hf_cmd *cmd)
{
    return member_run(cmd, WIRE_METHOD_MEMBER_LIST, NULL, member_print_list);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static int member_print_keys(const struct hf_cmd *cmd, struct wire_node root)
{
    struct wire_node keys = wire_node_find(root, "keys");
    struct wire_node members = wire_node_find(root, WIRE_FIELD_MEMBERS);
    for (uint32_t i = 0; i < wire_node_count(keys); i++) {
        struct wire_node k = wire_node_at(keys, i);
        struct bytes state = hf_field_bytes(k, WIRE_FIELD_STATE);
        uint64_t number = hf_field(k, "number");
        uint32_t users = 0;
        for (uint32_t j = 0; j < wire_node_count(members); j++) {
            users += hf_field(wire_node_at(members, j), "used") == number;
        }
        (void)printf(cmd->json ? "{\"key\":%llu,\"state\":\"%.*s\",\"nodes\":%u}\n"
                               : "key %llu is %.*s, %u nodes seal with it\n",
                     (unsigned long long)number, (int)state.size, (const char *)state.data, users);
    }
    return HF_EXIT_DONE;
}

static int member_print_step(const struct hf_cmd *cmd, struct wire_node root)
{
    (void)printf(cmd->json ? "{\"key\":%llu,\"revision\":%llu}\n"
                           : "key %llu, keyring revision %llu\n",
                 (unsigned long long)hf_field(root, "number"),
                 (unsigned long long)hf_field(root, WIRE_FIELD_REVISION));
    return HF_EXIT_DONE;
}

static int member_key(const struct hf_cmd *cmd)
{
    const char *step = cmd->arg[0];
    bool use = strcmp(step, "use") == 0;
    uint64_t number = 0;
    if (strcmp(step, "ls") == 0 && cmd->args == 1) {
        return member_run(cmd, WIRE_METHOD_MEMBER_KEYS, NULL, member_print_keys);
    }
    if (strcmp(step, "install") == 0 && cmd->args == 1) {
        return member_run(cmd, WIRE_METHOD_MEMBER_KEY_INSTALL, NULL, member_print_step);
    }
    if ((use || strcmp(step, "retire") == 0) && cmd->args == 2 &&
        hf_cmd_number(bytes_of_text(cmd->arg[1]), &number)) {
        return member_run(cmd, use ? WIRE_METHOD_MEMBER_KEY_USE : WIRE_METHOD_MEMBER_KEY_RETIRE,
                          &number, member_print_step);
    }
    return hf_cmd_usage("usage: holdfast member key ls | install | use N | retire N");
}

const struct hf_cmd_verb hf_cmd_member_verbs[] = {
    {"member", "list", HF_OPT_CLUSTER, 0, 0, "",
     "what a node holds of all: state, doubt, since when, round trip, health, zone", member_list},
    {"member", "key", HF_OPT_CLUSTER, 1, 2, "ls | install | use N | retire N",
     "the keys of gossip: a rotation is install, then use, then retire of the old one", member_key},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
