/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast status and holdfast init.
 */
#include "client/client_internal.h"
#include "client/cmd_cluster_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the map -------------------------------------------------------------------------------- */

static const struct wire_scan_limits cluster_limits = {
    .bytes_max = HF_MESSAGE_BYTES_MAX, .items_max = 1u << 18, .depth_max = WIRE_DEPTH_MAX};

/* Fills the names and leaders that a map tells. */
static void cluster_read_map(struct wire_node root, struct hf_map *out)
{
    struct wire_node nodes = wire_node_find(root, WIRE_FIELD_NODES);
    struct wire_node groups = wire_node_find(root, WIRE_FIELD_GROUPS);
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < wire_node_count(nodes) && i < HF_NODES_MAX; i++) {
        struct wire_node n = wire_node_at(nodes, i);
        struct hf_map_node *at = &out->nodes[out->nodes_count++];
        struct bytes host = hf_field_bytes(n, WIRE_FIELD_HOST);
        const char *format = memchr(host.data, ':', host.size) != NULL ? "[%.*s]:%u" : "%.*s:%u";
        at->id = (uint32_t)hf_field(n, WIRE_FIELD_ID);
        at->up = !bytes_equal(hf_field_bytes(n, WIRE_FIELD_STATE), bytes_of_text("down"));
        if (format[0] == '[') {
            (void)snprintf(at->endpoint, sizeof(at->endpoint), "[%.*s]:%u", (int)host.size,
                           (const char *)host.data, (unsigned)hf_field(n, WIRE_FIELD_CLIENT_PORT));
        } else {
            (void)snprintf(at->endpoint, sizeof(at->endpoint), "%.*s:%u", (int)host.size,
                           (const char *)host.data, (unsigned)hf_field(n, WIRE_FIELD_CLIENT_PORT));
        }
    }
    for (uint32_t i = 0; i < wire_node_count(groups) && i < HF_GROUPS_MAX; i++) {
        struct wire_node n = wire_node_at(groups, i);
        struct wire_node members = wire_node_find(n, WIRE_FIELD_MEMBERS);
        struct hf_group *g = &out->groups[out->groups_count++];
        g->id = (uint32_t)hf_field(n, WIRE_FIELD_GROUP);
        g->leader = (uint32_t)hf_field(n, WIRE_FIELD_LEADER);
        for (uint32_t j = 0; j < wire_node_count(members) && j < HF_MEMBERS_MAX; j++) {
            (void)wire_node_u32(wire_node_at(members, j), &g->members[j]);
            g->members_count = j + 1;
        }
    }
    struct bytes cluster = hf_field_bytes(root, WIRE_FIELD_CLUSTER);
    memcpy(out->cluster, cluster.data, NUM_MIN(cluster.size, sizeof(out->cluster)));
}

int hf_map_read(struct bytes packed, struct hf_map *out)
{
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct wire_node root;
    TRY(wire_decoder_new(&heap, &cluster_limits, &decoder));
    int err = wire_decode(decoder, packed, &root);
    if (err == 0) {
        cluster_read_map(root, out);
    }
    wire_decoder_free(decoder);
    return err;
}

/* ---- status --------------------------------------------------------------------------------- */

struct cluster_status {
    const struct hf_cmd *cmd;
    struct hf_client *client;
    struct hf_map map;
    struct hf_answer node[HF_NODES_MAX]; /* "status" of each node of the map */
    struct hf_answer buckets;
    uint64_t commit[HF_GROUPS_MAX]; /* in the order of the map */
};

/* Leaders are what most recently asked nodes say; a node that answers is up. */
static void status_ask_nodes(struct cluster_status *s)
{
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        int err = hf_ask(s->client, WIRE_METHOD_STATUS, s->map.nodes[i].endpoint, &s->node[i],
                         hf_answer_done);
        if (err != 0) {
            s->node[i].ended = true;
            s->node[i].result.code = err;
        }
    }
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        (void)hf_wait(s->client, &s->node[i]);
        s->map.nodes[i].up = s->node[i].result.code == 0;
    }
}

static void status_json(const struct cluster_status *s)
{
    (void)fputs("{\"cluster\":\"", stdout);
    hf_json_hex(stdout, s->map.cluster, sizeof(s->map.cluster));
    (void)fputs("\",\"nodes\":[", stdout);
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        const struct hf_map_node *n = &s->map.nodes[i];
        (void)printf("%s{\"node\":%u,\"endpoint\":\"%s\",\"state\":\"%s\",\"detail\":",
                     i > 0 ? "," : "", n->id, n->endpoint, n->up ? "up" : "down");
        struct bytes detail = bytes_of(s->node[i].result.value.data, s->node[i].result.value.size);
        if (!n->up || hf_json_msgpack(stdout, detail) != 0) {
            (void)fputs("null", stdout);
        }
        (void)fputc('}', stdout);
    }
    (void)fputs("],\"groups\":[", stdout);
    for (uint32_t i = 0; i < s->map.groups_count; i++) {
        const struct hf_group *g = &s->map.groups[i];
        (void)printf("%s{\"group\":%u,\"leader\":%u,\"members\":[", i > 0 ? "," : "", g->id,
                     g->leader);
        for (uint32_t j = 0; j < g->members_count; j++) {
            (void)printf("%s%u", j > 0 ? "," : "", g->members[j]);
        }
        (void)fputs("]}", stdout);
    }
    (void)fputs("],\"buckets\":[", stdout);
    for (size_t i = 0; i < s->buckets.result.count; i++) {
        const struct hf_bucket_info *b = &s->buckets.result.buckets[i];
        (void)fputs(i > 0 ? ",{\"name\":" : "{\"name\":", stdout);
        hf_json_string(stdout, b->name);
        (void)printf(",\"k\":%u,\"m\":%u,\"survives\":%u}", b->k, b->m, b->survives);
    }
    (void)fputs("]}\n", stdout);
}

static bool status_member_up(const struct cluster_status *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        if (s->map.nodes[i].id == id) {
            return s->map.nodes[i].up;
        }
    }
    return false;
}

/* Of all nodes that answered: how far the group is. */
static uint64_t status_commit(const struct cluster_status *s, uint32_t group)
{
    for (uint32_t i = 0; i < HF_GROUPS_MAX && i < s->map.groups_count; i++) {
        if (s->map.groups[i].id == group) {
            return s->commit[i];
        }
    }
    return 0;
}

/* "group 1 leads, group 2 follows, 3 entries behind" */
static void status_groups(const struct cluster_status *s, const struct hf_map_node *node,
                          struct wire_node groups)
{
    for (uint32_t i = 0; i < wire_node_count(groups); i++) {
        struct wire_node g = wire_node_at(groups, i);
        uint32_t id = (uint32_t)hf_field(g, WIRE_FIELD_GROUP);
        uint64_t applied = hf_field(g, "applied");
        uint64_t commit = NUM_MAX(status_commit(s, id), hf_field(g, "commit"));
        uint64_t lag = commit > applied ? commit - applied : 0;
        bool leads = hf_field(g, WIRE_FIELD_LEADER) == node->id;
        struct bytes state = hf_field_bytes(g, WIRE_FIELD_STATE);
        (void)printf("%s%s group %u", i == 0 ? "           " : ", ", leads ? "leads" : "follows",
                     id);
        if (state.size > 0 && !bytes_equal(state, bytes_of_text("ok"))) {
            (void)printf(" (%.*s)", (int)state.size, (const char *)state.data);
        }
        if (lag > 0) {
            (void)printf(" %llu entr%s behind", (unsigned long long)lag, lag == 1 ? "y" : "ies");
        }
        if (hf_field(g, "faulty") > 0) {
            (void)printf(" with %llu damaged entries to be fetched",
                         (unsigned long long)hf_field(g, "faulty"));
        }
    }
    (void)fputs(wire_node_count(groups) > 0 ? "\n" : "", stdout);
}

static void status_disk(struct wire_node disk)
{
    char state[32];
    char shard[32];
    struct bytes health = hf_field_bytes(disk, WIRE_FIELD_STATE);
    (void)hf_cmd_bytes(state, sizeof(state), (double)hf_field(disk, "state_bytes"));
    (void)hf_cmd_bytes(shard, sizeof(shard), (double)hf_field(disk, "shard_bytes"));
    (void)printf("           disk: %s of shards, %s of keys", shard, state);
    if (health.size > 0 && !bytes_equal(health, bytes_of_text("ok"))) {
        (void)printf("; it is %.*s", (int)health.size, (const char *)health.data);
    }
    if (hf_field(disk, "corrupt_reads") > 0) {
        (void)printf("; %llu reads were damaged",
                     (unsigned long long)hf_field(disk, "corrupt_reads"));
    }
    (void)fputc('\n', stdout);
}

/* Only what is not as it should be. */
static void status_repair(struct wire_node repair)
{
    uint64_t works = hf_field(repair, "repairing") + hf_field(repair, "repair_waiting");
    uint64_t waits = hf_field(repair, "shards_waiting");
    if (works > 0) {
        (void)fputs("           repair: shards are made again here\n", stdout);
    }
    if (waits > 0) {
        (void)printf(
            "           repair: %llu shards wait for nodes that are out; the others have no "
            "room to spread them\n",
            (unsigned long long)waits);
    }
}

/* "from 1.0 MiB on", or "never". */
static void status_from(struct wire_node gpu, const char *field, char *text, size_t size)
{
    char least[32];
    if (wire_node_is_nil(wire_node_find(gpu, field))) {
        (void)snprintf(text, size, "never");
        return;
    }
    (void)hf_cmd_bytes(least, sizeof(least), (double)hf_field(gpu, field));
    (void)snprintf(text, size, "from %s on", least);
}

/* Only of a node that uses a device, or would if it worked. */
static void status_device(struct wire_node gpu)
{
    struct bytes state = hf_field_bytes(gpu, WIRE_FIELD_STATE);
    struct bytes name = hf_field_bytes(gpu, "device");
    struct bytes cause = hf_field_bytes(gpu, "cause");
    char codes[48];
    char sums[48];
    char leaves[48];
    char reduces[48];
    char scans[48];
    char sorts[48];
    if (bytes_equal(state, bytes_of_text("healthy"))) {
        status_from(gpu, "least_bytes", codes, sizeof(codes));
        status_from(gpu, "sum_least_bytes", sums, sizeof(sums));
        status_from(gpu, "leaf_least_bytes", leaves, sizeof(leaves));
        status_from(gpu, "reduce_least_bytes", reduces, sizeof(reduces));
        status_from(gpu, "scan_least_bytes", scans, sizeof(scans));
        status_from(gpu, "sort_least_bytes", sorts, sizeof(sorts));
        (void)printf("           gpu: %.*s codes jobs %s, adds doubles %s, hashes leaves %s, "
                     "reduces numbers %s, scans them %s, sorts keys %s\n",
                     (int)name.size, (const char *)name.data, codes, sums, leaves, reduces, scans,
                     sorts);
    } else if (bytes_equal(state, bytes_of_text("suspect")) ||
               bytes_equal(state, bytes_of_text("trial"))) {
        (void)printf("           gpu: %.*s is left alone for a while: %.*s\n", (int)name.size,
                     (const char *)name.data, (int)cause.size, (const char *)cause.data);
    }
}

/* What a node says of itself, decoded. returns: NULL if it said nothing that can be read. */
static struct wire_decoder *status_decode(const struct hf_answer *a, struct wire_node *root)
{
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct bytes packed = bytes_of(a->result.value.data, a->result.value.size);
    if (a->result.code != 0 || wire_decoder_new(&heap, &cluster_limits, &decoder) != 0) {
        return NULL;
    }
    if (wire_decode(decoder, packed, root) != 0) {
        wire_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

/* The furthest commit of each group that any node knows. */
static void status_commits(struct cluster_status *s)
{
    for (uint32_t n = 0; n < s->map.nodes_count; n++) {
        struct wire_node root;
        struct wire_decoder *decoder = status_decode(&s->node[n], &root);
        struct wire_node groups =
            decoder != NULL ? wire_node_find(root, WIRE_FIELD_GROUPS) : (struct wire_node){NULL};
        for (uint32_t i = 0; decoder != NULL && i < wire_node_count(groups); i++) {
            struct wire_node g = wire_node_at(groups, i);
            for (uint32_t m = 0; m < s->map.groups_count; m++) {
                if (s->map.groups[m].id == hf_field(g, WIRE_FIELD_GROUP)) {
                    s->commit[m] = NUM_MAX(s->commit[m], hf_field(g, "commit"));
                }
            }
        }
        wire_decoder_free(decoder);
    }
}

static void status_node_detail(const struct cluster_status *s, uint32_t node)
{
    struct wire_node root;
    struct wire_decoder *decoder = status_decode(&s->node[node], &root);
    if (decoder == NULL) {
        (void)fputc('\n', stdout);
        return;
    }
    uint64_t seconds = hf_field(root, WIRE_FIELD_UPTIME_US) / 1000000u;
    (void)printf(", for %llu s\n", (unsigned long long)seconds);
    status_groups(s, &s->map.nodes[node], wire_node_find(root, WIRE_FIELD_GROUPS));
    status_disk(wire_node_find(root, WIRE_FIELD_DISK));
    status_repair(wire_node_find(root, "repair"));
    status_device(wire_node_find(root, WIRE_FIELD_GPU));
    wire_decoder_free(decoder);
}

static void status_plain(const struct cluster_status *s)
{
    uint32_t up = 0;
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        up += s->map.nodes[i].up;
    }
    (void)printf("%u of %u nodes are up.\n", up, s->map.nodes_count);
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        const struct hf_map_node *n = &s->map.nodes[i];
        (void)printf("  node %-3u %s is %s", n->id, n->endpoint, n->up ? "up" : "down\n");
        if (n->up) {
            status_node_detail(s, i);
        }
    }
    for (uint32_t i = 0; i < s->map.groups_count; i++) {
        const struct hf_group *g = &s->map.groups[i];
        uint32_t have = 0;
        for (uint32_t j = 0; j < g->members_count; j++) {
            have += status_member_up(s, g->members[j]);
        }
        bool led = g->leader != 0 && status_member_up(s, g->leader);
        (void)printf("Group %u%s: ", g->id, g->id == 0 ? " (control)" : "");
        if (led) {
            (void)printf("led by node %u", g->leader);
        } else {
            (void)fputs("has no leader", stdout);
        }
        uint32_t needed = g->members_count / 2 + 1;
        (void)printf("; %u of %u replicas are up", have, g->members_count);
        if (have > needed) {
            (void)printf(", it survives the loss of %u more.\n", have - needed);
        } else if (have == needed) {
            (void)fputs(", all of which it needs.\n", stdout);
        } else {
            (void)printf(", it needs %u to take writes.\n", needed);
        }
    }
    for (size_t i = 0; i < s->buckets.result.count; i++) {
        const struct hf_bucket_info *b = &s->buckets.result.buckets[i];
        (void)fputs("Bucket '", stdout);
        hf_cmd_escape(stdout, b->name);
        (void)printf("' (%u+%u) ", b->k, b->m);
        if (b->survives == 0) {
            (void)fputs("survives no loss of a node.\n", stdout);
        } else {
            (void)printf("survives the loss of any %u node%s.\n", b->survives,
                         b->survives == 1 ? "" : "s");
        }
    }
}

static int status_run(struct cluster_status *s)
{
    struct hf_answer map = {.ended = false};
    const struct hf_object none = {.timeout_ms = NUM_MIN(s->cmd->timeout_ms, (uint64_t)5000)};
    int err =
        hf_cmd_wait(s->cmd, s->client,
                    hf_ask(s->client, WIRE_METHOD_TOPOLOGY, NULL, &map, hf_answer_done), &map);
    if (err == 0) {
        err = hf_map_read(bytes_of(map.result.value.data, map.result.value.size), &s->map);
    }
    hf_answer_release(&map);
    if (err != 0) {
        return hf_cmd_exit_of(err);
    }
    status_ask_nodes(s);
    if (hf_bucket_list(s->client, &none, &s->buckets, hf_answer_done) == 0) {
        (void)hf_wait(s->client, &s->buckets); /* without an answer, none are shown */
    }
    if (s->cmd->json) {
        status_json(s);
    } else {
        status_commits(s);
        status_plain(s);
    }
    for (uint32_t i = 0; i < s->map.nodes_count; i++) {
        hf_answer_release(&s->node[i]);
    }
    hf_answer_release(&s->buckets);
    return HF_EXIT_DONE;
}

static int cluster_status(const struct hf_cmd *cmd)
{
    struct cluster_status *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return hf_cmd_fail(cmd, ERR_NO_MEMORY, "no memory");
    }
    s->cmd = cmd;
    int code = hf_cmd_client(cmd, &s->client);
    if (code == 0) {
        code = status_run(s);
        hf_client_free(s->client);
    }
    free(s);
    return code;
}

/* ---- init ----------------------------------------------------------------------------------- */

int hf_write_new(const char *path, struct bytes data, struct err_info *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int err = errno == EEXIST ? ERR_EXISTS : ERR_INVALID;
        return err_set(why, err, "cannot make '%s': %s", path, strerror(errno));
    }
    size_t done = 0;
    while (done < data.size) {
        ssize_t n = write(fd, data.data + done, data.size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int err = err_set(why, ERR_INVALID, "cannot write '%s': %s", path, strerror(errno));
            (void)close(fd);
            return err;
        }
        done += (size_t)n;
    }
    bool kept = fsync(fd) == 0;
    kept = close(fd) == 0 && kept;
    return kept ? 0 : err_set(why, ERR_INVALID, "cannot write '%s': %s", path, strerror(errno));
}

int hf_make_dir(const char *path, struct err_info *why)
{
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    int err = errno == EEXIST ? ERR_EXISTS : ERR_INVALID;
    return err_set(why, err, "cannot make '%s': %s", path, strerror(errno));
}

static int plan_random(void *into, size_t bytes, struct err_info *why)
{
    return uv_random(NULL, NULL, into, bytes, 0, NULL) == 0
               ? 0
               : err_set(why, ERR_UNAVAILABLE, "the system has no random bytes");
}

/* A key pair of Ed25519: the private key is any 32 bytes. */
static int plan_key_pair(uint8_t *private_key, uint8_t *public_key, struct err_info *why)
{
    size_t bytes = WIRE_IDENTITY_KEY_BYTES;
    TRY(plan_random(private_key, WIRE_IDENTITY_KEY_BYTES, why));
    EVP_PKEY *pair =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, WIRE_IDENTITY_KEY_BYTES);
    bool made = pair != NULL && EVP_PKEY_get_raw_public_key(pair, public_key, &bytes) == 1 &&
                bytes == WIRE_IDENTITY_KEY_BYTES;
    EVP_PKEY_free(pair);
    return made ? 0 : err_set(why, ERR_UNAVAILABLE, "openssl makes no key of 'ED25519'");
}

int hf_plan_make(struct wire_identity_node *nodes, unsigned count, unsigned groups,
                 struct hf_plan *out, struct err_info *why)
{
    uint8_t gossip_key[WIRE_IDENTITY_KEY_BYTES];
    struct wire_identity_plan plan = {
        .nodes = nodes, .nodes_count = count, .data_groups = groups, .gossip_key = gossip_key};
    ASSERT(count <= WIRE_IDENTITY_NODES_MAX);
    TRY(plan_random(plan.cluster, sizeof(plan.cluster), why));
    TRY(plan_random(gossip_key, sizeof(gossip_key), why));
    for (unsigned i = 0; i < count; i++) {
        TRY(plan_key_pair(out->private_keys[i], nodes[i].public_key, why));
    }
    return wire_identity_make(&plan, &out->identity, why);
}

int hf_bundle_write(struct hf_plan *plan, uint32_t node, const char *dir, struct err_info *why)
{
    struct alloc heap = alloc_heap();
    struct wire_identity *own = &plan->identity;
    struct buf out;
    char path[4096 + 16];
    TRY(wire_identity_claim(own, node));
    size_t at = (size_t)(wire_identity_node_of(own, node) - own->nodes);
    memcpy(own->private_key, plan->private_keys[at], sizeof(own->private_key));
    buf_init(&out, &heap, WIRE_IDENTITY_BYTES_MAX);
    int err = wire_identity_encode(own, &out);
    if (err == 0) {
        (void)snprintf(path, sizeof(path), "%s/identity", dir);
        err = hf_write_new(path, buf_view(&out), why);
    } else {
        err = err_set(why, err, "cannot encode the identity of node %u", node);
    }
    buf_release(&out);
    return err;
}

/* HOST:CLIENT_PORT:PEER_PORT */
static int init_node(const char *text, uint32_t id, struct wire_identity_node *out)
{
    struct bytes all = bytes_of_text(text);
    struct bytes front;
    struct bytes host;
    memset(out, 0, sizeof(*out));
    const char *last = strrchr(text, ':');
    uint64_t port = 0;
    if (last == NULL || !hf_cmd_number(bytes_of_text(last + 1), &port) || port == 0 ||
        port > UINT16_MAX) {
        return ERR_INVALID;
    }
    front = bytes_of(all.data, (size_t)(last - text));
    TRY(hf_endpoint_parse(front, &host, &out->client_port));
    if (host.size >= sizeof(out->host)) {
        return ERR_INVALID;
    }
    memcpy(out->host, host.data, host.size);
    out->peer_port = (uint16_t)port;
    out->id = id;
    return 0;
}

static int init_write(const struct hf_cmd *cmd, struct hf_plan *made)
{
    const struct wire_identity *plan = &made->identity;
    struct err_info why = {.code = 0};
    char path[4096];
    for (uint32_t id = 1; id <= plan->nodes_count; id++) {
        (void)snprintf(path, sizeof(path), "%.4000s/node%u", cmd->dir, id);
        int err = hf_make_dir(path, &why);
        if (err == 0) {
            err = hf_bundle_write(made, id, path, &why);
        }
        if (err != 0) {
            return hf_cmd_fail(cmd, err, "%s", why.text);
        }
    }
    if (cmd->json) {
        (void)fputs("{\"cluster\":\"", stdout);
        hf_json_hex(stdout, plan->cluster, sizeof(plan->cluster));
        (void)printf("\",\"nodes\":%u,\"groups\":%u}\n", plan->nodes_count, plan->groups_count);
        return HF_EXIT_DONE;
    }
    (void)fputs("cluster ", stdout);
    hf_json_hex(stdout, plan->cluster, sizeof(plan->cluster));
    (void)fputc('\n', stdout);
    for (uint32_t i = 0; i < plan->nodes_count; i++) {
        const struct wire_identity_node *n = &plan->nodes[i];
        (void)printf("node %u on %s: holdfastd --data-dir %s/node%u\n", n->id, n->host, cmd->dir,
                     n->id);
    }
    return HF_EXIT_DONE;
}

static int cluster_init(const struct hf_cmd *cmd)
{
    static struct hf_plan plan;
    struct wire_identity_node nodes[HF_CMD_NODES_MAX];
    struct err_info why = {.code = 0};
    struct stat st;
    if (cmd->dir == NULL || cmd->node_count == 0) {
        return hf_cmd_usage("usage: holdfast init --dir DIR --node HOST:PORT:PEER-PORT ...");
    }
    for (uint32_t i = 0; i < cmd->node_count; i++) {
        if (init_node(cmd->node[i], i + 1, &nodes[i]) != 0) {
            return hf_cmd_usage("a node is HOST:PORT:PEER-PORT, not '%s'", cmd->node[i]);
        }
    }
    int err = hf_plan_make(nodes, cmd->node_count, cmd->groups > 0 ? cmd->groups : 1, &plan, &why);
    if (err == 0 && stat(cmd->dir, &st) != 0) {
        err = hf_make_dir(cmd->dir, &why);
    }
    if (err != 0) {
        return hf_cmd_fail(cmd, err, "%s", why.text);
    }
    return init_write(cmd, &plan);
}

const struct hf_cmd_verb hf_cmd_cluster_verbs[] = {
    {"status", NULL, HF_OPT_CLUSTER, 0, 0, "",
     "asks all nodes: who is up, who leads, what each bucket survives", cluster_status},
    {"init", NULL, HF_OPT_JSON | HF_OPT_DIR | HF_OPT_NODE | HF_OPT_GROUPS, 0, 0,
     "--dir DIR --node HOST:PORT:PEER-PORT ... [--groups G]",
     "makes a cluster's identity: DIR/node1 and so on, one data directory for each node",
     cluster_init},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
