/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * sim_rot [--stride N] [--offset N] [--seed N]: writes through a three-node cluster with a small
 * log, then flips bytes of one node's log, one at a time, each in a copy of the process, restarts
 * that node, and demands that all settles, that every key is served, and that it is still served
 * when another node is gone. Then rots a different committed entry on each of the three nodes at
 * once. (Raft scenarios 78, 79, 80, 82; attacks 48.)
 */
#include "server/node/node_internal.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct rot_options {
    uint64_t seed;
    uint64_t stride;
    uint64_t offset;
    bool verbose;
};

/* busy: more writes, so more segments. */
static struct sim *rot_cluster(const struct rot_options *o, bool busy)
{
    struct sim_options options = {.seed = o->seed,
                                  .nodes = 3,
                                  .groups = 1,
                                  .seconds = busy ? 6 : 1,
                                  .clients = busy ? 5 : 2,
                                  .ops_per_second = busy ? 20 : 6,
                                  .wal_segment_bytes = 16u << 10,
                                  .verbose = o->verbose};
    struct sim *s = malloc(sizeof(*s));
    ASSERT(s != NULL);
    sim_init(s, &options);
    sim_pass(s, s->now_us + options.seconds * SIM_S);
    sim_settle(s, 60 * (uint64_t)SIM_S);
    return s;
}

/* returns: whether each replica knows again what it once had: until then it may not vote for
 * everybody, and a group lives by the others. */
static bool rot_is_sure(const struct sim *s)
{
    for (unsigned id = 1; id <= s->options.nodes; id++) {
        const struct node *n = s->nodes[id].node;
        for (unsigned group = 0; group <= s->options.groups; group++) {
            struct raft_status status;
            if (raft_status_get(n->raft, group, s->now_us, &status) != 0 || status.ambiguous ||
                status.faulty_count > 0) {
                return false;
            }
        }
    }
    return true;
}

/* What a log was flipped must still give: everything, and with any two nodes. */
static void rot_demand(struct sim *s, uint32_t node)
{
    sim_settle(s, 60 * (uint64_t)SIM_S);
    uint64_t sure_by = s->now_us + SIM_S;
    while (!s->failed && !rot_is_sure(s)) {
        sim_pass(s, s->now_us + 10 * SIM_MS);
        if (s->now_us > sure_by) {
            sim_fail(s, "liveness", "node %u is not sure of its log in a second", node);
        }
    }
    uint32_t other = node % 3 + 1;
    if (s->failed) {
        return;
    }
    sim_crash(s, &s->nodes[other]);
    sim_clients_again(s);
    uint64_t bound = s->now_us + 30 * (uint64_t)SIM_S;
    while (!s->failed && !sim_clients_idle(s)) {
        sim_pass(s, s->now_us + 100 * SIM_MS);
        if (s->now_us > bound) {
            sim_fail(s, "liveness", "keys are not served without node %u", other);
        }
    }
    if (!s->failed) {
        sim_settle(s, 60 * (uint64_t)SIM_S);
    }
    if (!s->failed) {
        sim_check_finish(s);
        sim_clients_finish(s);
    }
}

/* One flip in a copy of the process. returns: whether all went well. */
static bool rot_try(struct sim *s, uint32_t node, const char *name, uint64_t offset, uint8_t mask)
{
    (void)fflush(stdout);
    pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        ASSERT(sim_disk_flip(s->nodes[node].disk, name, offset, mask));
        rot_demand(s, node);
        if (s->failed) {
            (void)printf("flip node=%u file=%s offset=%llu mask=%u: %s\n", node, name,
                         (unsigned long long)offset, mask, s->failure);
            (void)fflush(stdout);
        }
        _exit(s->failed ? 1 : 0);
    }
    int status = 0;
    ASSERT(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        (void)printf("flip node=%u file=%s offset=%llu mask=%u: signal %d\n", node, name,
                     (unsigned long long)offset, mask, WTERMSIG(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static uint64_t rot_flips(const struct rot_options *o, uint64_t *failed)
{
    struct sim *s = rot_cluster(o, false);
    uint64_t tried = 0;
    uint64_t place = 0;
    if (s->failed) {
        (void)printf("set-up failed: %s\n", s->failure);
        *failed = 1;
        return 0;
    }
    sim_crash(s, &s->nodes[1]);
    for (unsigned i = 0; i < sim_disk_files(s->nodes[1].disk) && *failed < 10; i++) {
        char name[96];
        (void)snprintf(name, sizeof(name), "%s", sim_disk_file_name(s->nodes[1].disk, i));
        if (strncmp(name, "wal/seg-", 8) != 0) {
            continue;
        }
        uint64_t bytes = sim_disk_file_bytes(s->nodes[1].disk, name);
        for (uint64_t at = 0; at < bytes && *failed < 10; at++, place++) {
            if (place % o->stride == o->offset % o->stride) {
                *failed += !rot_try(s, 1, name, at, (uint8_t)(1u << (at % 8)));
                tried++;
            }
        }
    }
    sim_release(s);
    free(s);
    return tried;
}

/* Flips a byte of the first place where `text` stands in the node's log. */
static bool rot_text(struct sim *s, uint32_t node, const char *text)
{
    for (unsigned i = 0; i < sim_disk_files(s->nodes[node].disk); i++) {
        const char *name = sim_disk_file_name(s->nodes[node].disk, i);
        uint64_t offset = 0;
        if (strncmp(name, "wal/", 4) == 0 &&
            sim_disk_find_text(s->nodes[node].disk, name, text, &offset)) {
            return sim_disk_flip(s->nodes[node].disk, name, offset, 0x10);
        }
    }
    return false;
}

static bool rot_three(const struct rot_options *o)
{
    struct sim *s = rot_cluster(o, true);
    bool ok = !s->failed;
    for (unsigned i = 1; ok && i <= 3; i++) {
        sim_crash(s, &s->nodes[i]);
    }
    unsigned rotted = 0;
    for (unsigned i = 1; ok && i <= 3; i++) {
        for (unsigned value = 1; value < 60 && rotted < i; value++) {
            char text[16];
            (void)snprintf(text, sizeof(text), "v%u", value * 3 + i);
            rotted += rot_text(s, i, text);
        }
    }
    if (ok && rotted == 3) {
        sim_clients_again(s);
        sim_settle(s, 60 * (uint64_t)SIM_S);
    }
    if (ok && rotted == 3 && !s->failed) {
        sim_check_finish(s);
        sim_clients_finish(s);
    }
    (void)printf("three replicas, a different entry rotted on each: %s\n",
                 rotted != 3 ? "no entry found to rot"
                 : s->failed ? s->failure
                             : "repaired");
    ok = ok && rotted == 3 && !s->failed;
    sim_release(s);
    free(s);
    return ok;
}

int main(int argc, char **argv)
{
    struct rot_options o = {.seed = 1, .stride = 1};
    uint64_t failed = 0;
    for (int i = 1; i < argc; i++) {
        uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--verbose") == 0) {
            o.verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            o.seed = value;
            i++;
        } else if (strcmp(argv[i], "--stride") == 0 && value > 0) {
            o.stride = value;
            i++;
        } else if (strcmp(argv[i], "--offset") == 0) {
            o.offset = value;
            i++;
        } else {
            (void)fprintf(stderr, "usage: sim_rot [--seed N] [--stride N] [--offset N]\n");
            return 2;
        }
    }
    uint64_t tried = rot_flips(&o, &failed);
    (void)printf("flipped %llu bytes, one at a time: %llu went wrong\n", (unsigned long long)tried,
                 (unsigned long long)failed);
    bool three = rot_three(&o);
    return failed == 0 && tried > 0 && three ? 0 : 1;
}
