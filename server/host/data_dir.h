/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The data directory: who may use it, and what it says about the node.
 *
 *   LOCK      held while a process uses the directory
 *   identity  the bundle that `holdfast init` made
 *   sb0 sb1   superblocks
 *   wal/ seg/ state/ segidx/
 *
 *   TRY(host_data_dir_open(&dir, "data", HOST_DATA_DIR_CREATE, &why));
 *   if (dir.content == HOST_DATA_DIR_EMPTY) TRY(host_data_dir_found(&dir, &identity, &why));
 *   TRY(host_data_dir_start(&dir, store_id, &identity, &superblock, &why));   one boot later
 *   host_data_dir_close(&dir);
 *
 * Nothing is written into a directory that holds anything else, nothing is ever deleted.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_SERVER_HOST_DATA_DIR_H
#define HOLDFAST_SERVER_HOST_DATA_DIR_H

#include "base/err.h"
#include "store/disk.h"
#include "store/superblock.h"
#include "wire/identity.h"

enum host_data_dir_content {
    HOST_DATA_DIR_EMPTY = 0, /* nothing that belongs to a node */
    HOST_DATA_DIR_NEW,       /* an identity bundle, never started */
    HOST_DATA_DIR_USED,      /* superblocks */
};

enum host_data_dir_mode {
    HOST_DATA_DIR_EXISTING = 0, /* it must be there */
    HOST_DATA_DIR_CREATE,       /* made if it is missing; its parent must be there */
};

struct host_data_dir {
    int fd;
    int lock_fd;
    enum host_data_dir_content content;
    struct alloc alloc;
    struct disk disk; /* rooted at the directory */
    char path[4096];
};

/* Checks the directory and takes its lock.
 * returns: 0; ERR_NOT_FOUND; ERR_PERMISSION (symbolic link, another owner, writable by others);
 *          ERR_NOT_EMPTY (holds what no node put there); ERR_IN_USE; ERR_CORRUPT (node data without
 *          superblocks); ERR_IO, with why. */
int host_data_dir_open(struct host_data_dir *out, const char *path, enum host_data_dir_mode mode,
                       const struct alloc *alloc, struct err_info *why);
void host_data_dir_close(struct host_data_dir *d);

/* Writes the identity bundle of a new node into an empty directory. returns: 0 or ERR_IO. */
int host_data_dir_found(struct host_data_dir *d, const struct wire_identity *identity,
                        struct err_info *why);

/* Reads who the node is, makes what is missing of a new node's directory, and counts one boot,
 * durable on return. store_id: random; used at the first start only.
 * returns: 0; ERR_NOT_FOUND (no identity), ERR_WRONG_CLUSTER (bundle and superblocks differ),
 *          ERR_CORRUPT, ERR_LEVEL, ERR_IO, with why. */
int host_data_dir_start(struct host_data_dir *d, uint64_t store_id, struct wire_identity *identity,
                        struct store_superblock *sb, struct err_info *why);

#endif
