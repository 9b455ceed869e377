/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Superblocks: two copies, the files "sb0" and "sb1", of what a data directory is: cluster, node,
 * incarnation, store, level, boot number, and the identity bundle as bytes that mean nothing here.
 *
 *   store_superblock_create   once, into a directory that has none
 *   store_superblock_open     the newest copy that is whole
 *   store_superblock_owned    is it the directory of this node?
 *   store_superblock_boot     the next boot number, durable before anything is sent
 *
 * One copy is written and synced before the other is touched, so a torn write leaves the other
 * whole. Boot writes both, so that the loss of one copy never brings an old boot number back.
 *
 * A copy is STORE_SUPERBLOCK_BYTES: magic "HFSB", format u16, level u16, sequence u64, cluster 16,
 * node u32, zero u32, incarnation u64, store id u64, boot u64, bundle length u32, bundle, zeros up
 * to the last four bytes, CRC32C of everything before. Little-endian.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_STORE_SUPERBLOCK_H
#define HOLDFAST_STORE_SUPERBLOCK_H

#include "base/bytes.h"
#include "base/err.h"
#include "store/disk.h"

#define STORE_SUPERBLOCK_BYTES 36864u
#define STORE_SUPERBLOCK_IDENTITY_BYTES_MAX 32768u
#define STORE_SUPERBLOCK_FORMAT 1u
#define STORE_SUPERBLOCK_LEVEL 1u /* the highest level of a directory that this code reads */
#define STORE_SUPERBLOCK_CLUSTER_BYTES 16u

struct store_superblock {
    uint8_t cluster[STORE_SUPERBLOCK_CLUSTER_BYTES];
    uint32_t node;
    uint16_t level; /* of the formats in the directory */
    uint64_t incarnation;
    uint64_t store_id; /* random, of this directory */
    uint64_t boot;     /* of the last start; 0: never started */
    uint64_t sequence; /* of this copy */
    uint32_t identity_bytes;
    uint8_t identity[STORE_SUPERBLOCK_IDENTITY_BYTES_MAX];
};

/* Writes both copies of a directory's first superblock. sb: sequence is set here.
 * returns: 0; ERR_EXISTS (a copy is there, whole or not: nothing is written), ERR_IO,
 *          ERR_DISK_FULL, with why. */
int store_superblock_create(const struct disk *disk, struct store_superblock *sb,
                            struct err_info *why);

/* returns: 0; ERR_NOT_FOUND (neither copy is there), ERR_CORRUPT (none is whole), ERR_LEVEL (of a
 *          later version), ERR_IO, ERR_NO_MEMORY, with why; *out is untouched then. */
int store_superblock_open(const struct disk *disk, const struct alloc *alloc,
                          struct store_superblock *out, struct err_info *why);

/* cluster: 16 bytes. returns: 0 or ERR_WRONG_CLUSTER with why. */
int store_superblock_owned(const struct store_superblock *sb, const uint8_t *cluster, uint32_t node,
                           struct err_info *why);

/* Counts one more boot; durable in both copies on return.
 * returns: 0; ERR_IN_USE (the copies are not those of sb), ERR_IO, ERR_NO_MEMORY, ERR_OVERFLOW,
 * with why; on failure nothing may be sent. */
int store_superblock_boot(const struct disk *disk, const struct alloc *alloc,
                          struct store_superblock *sb, struct err_info *why);

#endif
