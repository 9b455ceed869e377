/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What status, init and local share: the map as the command shows it, and making a cluster.
 *
 * threads: one.
 */
#ifndef HOLDFAST_CLIENT_CMD_CLUSTER_INTERNAL_H
#define HOLDFAST_CLIENT_CMD_CLUSTER_INTERNAL_H

#include "client/client_internal.h"
#include "client/cmd_internal.h"
#include "wire/identity.h"

struct hf_map_node {
    uint32_t id;
    bool up;
    char endpoint[HF_NAME_BYTES];
};

struct hf_map {
    uint8_t cluster[WIRE_IDENTITY_CLUSTER_BYTES];
    struct hf_map_node nodes[HF_NODES_MAX];
    uint32_t nodes_count;
    struct hf_group groups[HF_GROUPS_MAX];
    uint32_t groups_count;
};

/* packed: the answer of "topology". */
int hf_map_read(struct bytes packed, struct hf_map *out);

/* A file that must not be there yet; synced. */
int hf_write_new(const char *path, struct bytes data, struct err_info *why);
int hf_make_dir(const char *path, struct err_info *why);
/* What all nodes of a new cluster know, and what each alone knows. */
struct hf_plan {
    struct wire_identity identity;
    uint8_t private_keys[WIRE_IDENTITY_NODES_MAX][WIRE_IDENTITY_KEY_BYTES]; /* as nodes[] */
};

/* A plan with a random cluster id and random keys. nodes: their public keys are set. */
int hf_plan_make(struct wire_identity_node *nodes, unsigned count, unsigned groups,
                 struct hf_plan *out, struct err_info *why);
/* Writes dir/identity of one node, for its owner's eyes only. */
int hf_bundle_write(struct hf_plan *plan, uint32_t node, const char *dir, struct err_info *why);

/* --- processes (cmd_proc.c) ------------------------------------------------------------------- */

struct hf_proc {
    long pid;
    uint64_t started; /* of /proc/PID/stat: tells a reused pid apart */
};
enum hf_proc_state { HF_PROC_GONE = 0, HF_PROC_RUNS, HF_PROC_PAUSED };

/* returns: 0, or ERR_NOT_FOUND (no such file), ERR_CORRUPT. */
int hf_proc_read(const char *pid_file, struct hf_proc *out);
enum hf_proc_state hf_proc_state(const struct hf_proc *p);
/* Only if it is still the same process. returns: whether it was sent. */
bool hf_proc_signal(const struct hf_proc *p, int number);
/* returns: whether it was gone within so many ms. */
bool hf_proc_wait_gone(const struct hf_proc *p, uint64_t ms);
/* Starts words[0] on its own, with its output appended to log_file; writes pid_file.
 * returns: 0, ERR_NOT_FOUND (no such program) or ERR_INVALID, with why. */
int hf_proc_start(char *const words[], const char *log_file, const char *pid_file,
                  struct hf_proc *out, struct err_info *why);
/* The last line of a file, for messages. */
void hf_proc_last_line(const char *path, char *into, size_t bytes);
/* Finds holdfastd: HOLDFASTD, next to this program, or in PATH. returns: false if nowhere. */
bool hf_proc_find_daemon(char *into, size_t bytes);
void hf_sleep_ms(uint64_t ms);

#endif
