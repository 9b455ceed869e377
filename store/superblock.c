/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes the two superblocks. The copy that is newest is never the one written first.
 */
#include "store/superblock.h"

#include "base/crc.h"
#include "base/num.h"

#include <string.h>

#define SB_MAGIC 0x42534648u /* "HFSB" */
#define SB_HEAD_BYTES 68u
#define SB_CRC_AT (STORE_SUPERBLOCK_BYTES - 4u)

_Static_assert(SB_HEAD_BYTES + STORE_SUPERBLOCK_IDENTITY_BYTES_MAX <= SB_CRC_AT,
               "the largest bundle fits");

static const char *const sb_names[2] = {"sb0", "sb1"};
static const char *const sb_new_names[2] = {"sb0.new", "sb1.new"};

static void sb_encode(const struct store_superblock *sb, uint8_t *into)
{
    ASSERT(sb->identity_bytes <= STORE_SUPERBLOCK_IDENTITY_BYTES_MAX);
    ASSERT(sb->sequence > 0);
    memset(into, 0, STORE_SUPERBLOCK_BYTES);
    num_put_u32(into, SB_MAGIC);
    num_put_u16(into + 4, STORE_SUPERBLOCK_FORMAT);
    num_put_u16(into + 6, sb->level);
    num_put_u64(into + 8, sb->sequence);
    memcpy(into + 16, sb->cluster, STORE_SUPERBLOCK_CLUSTER_BYTES);
    num_put_u32(into + 32, sb->node);
    num_put_u64(into + 40, sb->incarnation);
    num_put_u64(into + 48, sb->store_id);
    num_put_u64(into + 56, sb->boot);
    num_put_u32(into + 64, sb->identity_bytes);
    memcpy(into + SB_HEAD_BYTES, sb->identity, sb->identity_bytes);
    num_put_u32(into + SB_CRC_AT, crc_of(into, SB_CRC_AT));
}

static int sb_decode(const uint8_t *from, struct store_superblock *out)
{
    if (num_get_u32(from) != SB_MAGIC || num_get_u32(from + SB_CRC_AT) != crc_of(from, SB_CRC_AT)) {
        return ERR_CORRUPT;
    }
    out->level = num_get_u16(from + 6);
    if (num_get_u16(from + 4) != STORE_SUPERBLOCK_FORMAT || out->level > STORE_SUPERBLOCK_LEVEL) {
        return ERR_LEVEL;
    }
    out->sequence = num_get_u64(from + 8);
    memcpy(out->cluster, from + 16, STORE_SUPERBLOCK_CLUSTER_BYTES);
    out->node = num_get_u32(from + 32);
    out->incarnation = num_get_u64(from + 40);
    out->store_id = num_get_u64(from + 48);
    out->boot = num_get_u64(from + 56);
    out->identity_bytes = num_get_u32(from + 64);
    if (out->identity_bytes > STORE_SUPERBLOCK_IDENTITY_BYTES_MAX || out->sequence == 0) {
        return ERR_CORRUPT;
    }
    memcpy(out->identity, from + SB_HEAD_BYTES, out->identity_bytes);
    return 0;
}

/* Reads one copy through `page`. returns: 0, ERR_NOT_FOUND, ERR_CORRUPT, ERR_LEVEL, ERR_IO. */
static int sb_read(const struct disk *disk, unsigned slot, uint8_t *page,
                   struct store_superblock *out)
{
    struct disk_file *file = NULL;
    size_t got = 0;
    TRY(disk->open(disk->ctx, sb_names[slot], DISK_OPEN_READ, &file));
    int err = disk->read(disk->ctx, file, 0, page, STORE_SUPERBLOCK_BYTES, &got);
    disk->close(disk->ctx, file);
    TRY(err);
    return got == STORE_SUPERBLOCK_BYTES ? sb_decode(page, out) : ERR_CORRUPT;
}

static int sb_write_file(const struct disk *disk, const char *name, enum disk_open mode,
                         const uint8_t *page)
{
    struct disk_file *file = NULL;
    struct disk_io part = {.data = page, .bytes = STORE_SUPERBLOCK_BYTES};
    TRY(disk->open(disk->ctx, name, mode, &file));
    int err = disk->write(disk->ctx, file, 0, &part, 1);
    if (err == 0) {
        err = disk->sync(disk->ctx, file);
    }
    disk->close(disk->ctx, file);
    return err;
}

/* A copy that was not there comes under its name only when it is whole. */
static int sb_write_new(const struct disk *disk, unsigned slot, const uint8_t *page)
{
    int err = disk->unlink(disk->ctx, sb_new_names[slot]);
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    TRY(sb_write_file(disk, sb_new_names[slot], DISK_OPEN_CREATE, page));
    TRY(disk->rename(disk->ctx, sb_new_names[slot], sb_names[slot]));
    return disk->sync_dir(disk->ctx, ".");
}

static int sb_write(const struct disk *disk, unsigned slot, const uint8_t *page)
{
    int err = sb_write_file(disk, sb_names[slot], DISK_OPEN_WRITE, page);
    return err == ERR_NOT_FOUND ? sb_write_new(disk, slot, page) : err;
}

/* Both copies through `page` and `other`: *newest is the slot of the better one, or 2.
 * errs: what each slot said. */
static int sb_pick(const struct disk *disk, const struct alloc *alloc, int errs[2],
                   struct store_superblock *out, unsigned *newest)
{
    size_t bytes = STORE_SUPERBLOCK_BYTES + 2 * sizeof(struct store_superblock);
    uint8_t *memory = alloc_get(alloc, bytes);
    if (memory == NULL) {
        return ERR_NO_MEMORY;
    }
    struct store_superblock *both = (struct store_superblock *)memory;
    uint8_t *page = memory + 2 * sizeof(struct store_superblock);
    *newest = 2;
    for (unsigned slot = 0; slot < 2; slot++) {
        errs[slot] = sb_read(disk, slot, page, &both[slot]);
        if (errs[slot] == 0 && (*newest == 2 || both[slot].sequence > both[*newest].sequence)) {
            *newest = slot;
        }
    }
    if (*newest < 2) {
        *out = both[*newest];
    }
    alloc_put(alloc, memory, bytes);
    return 0;
}

int store_superblock_create(const struct disk *disk, struct store_superblock *sb,
                            struct err_info *why)
{
    static const char *const doing = "cannot write superblock";
    struct disk_file *file = NULL;
    uint8_t page[STORE_SUPERBLOCK_BYTES];
    for (unsigned slot = 0; slot < 2; slot++) {
        int err = disk->open(disk->ctx, sb_names[slot], DISK_OPEN_READ, &file);
        if (err == 0) {
            disk->close(disk->ctx, file);
            return err_set(why, ERR_EXISTS, "data directory has a superblock already");
        }
        if (err != ERR_NOT_FOUND) {
            return err_set(why, err, "cannot look for '%s': %s", sb_names[slot], err_text(err));
        }
    }
    for (unsigned slot = 0; slot < 2; slot++) {
        sb->sequence = slot + 1;
        sb_encode(sb, page);
        int err = sb_write_new(disk, slot, page);
        if (err != 0) {
            return err_set(why, err, "%s '%s': %s", doing, sb_names[slot], err_text(err));
        }
    }
    return 0;
}

int store_superblock_open(const struct disk *disk, const struct alloc *alloc,
                          struct store_superblock *out, struct err_info *why)
{
    int errs[2] = {0, 0};
    unsigned newest = 2;
    if (sb_pick(disk, alloc, errs, out, &newest) != 0) {
        return err_set(why, ERR_NO_MEMORY, "no memory to read the superblocks");
    }
    for (unsigned slot = 0; slot < 2; slot++) {
        if (errs[slot] == ERR_LEVEL) {
            return err_set(why, ERR_LEVEL, "superblock '%s' is of a later version", sb_names[slot]);
        }
        if (errs[slot] != 0 && errs[slot] != ERR_NOT_FOUND && errs[slot] != ERR_CORRUPT) {
            return err_set(why, errs[slot], "cannot read superblock '%s': %s", sb_names[slot],
                           err_text(errs[slot]));
        }
    }
    if (newest < 2) {
        return 0;
    }
    if (errs[0] == ERR_NOT_FOUND && errs[1] == ERR_NOT_FOUND) {
        return err_set(why, ERR_NOT_FOUND, "data directory has no superblock");
    }
    return err_set(why, ERR_CORRUPT,
                   "no superblock is whole ('sb0': %s, 'sb1': %s): restore one of them, or let the "
                   "node come back with a new incarnation",
                   err_text(errs[0]), err_text(errs[1]));
}

int store_superblock_owned(const struct store_superblock *sb, const uint8_t *cluster, uint32_t node,
                           struct err_info *why)
{
    if (memcmp(sb->cluster, cluster, STORE_SUPERBLOCK_CLUSTER_BYTES) != 0) {
        return err_set(why, ERR_WRONG_CLUSTER,
                       "data directory belongs to another cluster (%02x%02x%02x%02x..., not "
                       "%02x%02x%02x%02x...)",
                       sb->cluster[0], sb->cluster[1], sb->cluster[2], sb->cluster[3], cluster[0],
                       cluster[1], cluster[2], cluster[3]);
    }
    if (sb->node != node) {
        return err_set(why, ERR_WRONG_CLUSTER, "data directory belongs to node %u, not to node %u",
                       sb->node, node);
    }
    return 0;
}

int store_superblock_boot(const struct disk *disk, const struct alloc *alloc,
                          struct store_superblock *sb, struct err_info *why)
{
    int errs[2] = {0, 0};
    unsigned newest = 2;
    uint8_t page[STORE_SUPERBLOCK_BYTES];
    struct store_superblock next;
    if (sb_pick(disk, alloc, errs, &next, &newest) != 0) {
        return err_set(why, ERR_NO_MEMORY, "no memory to read the superblocks");
    }
    if (newest == 2 || next.sequence != sb->sequence || next.boot != sb->boot) {
        return err_set(why, ERR_IN_USE, "superblocks were changed by another process");
    }
    if (next.boot == UINT64_MAX || next.sequence >= UINT64_MAX - 2) {
        return err_set(why, ERR_OVERFLOW, "boot number is used up");
    }
    next.boot++;
    for (unsigned i = 0; i < 2; i++) {
        unsigned slot = i == 0 ? 1 - newest : newest;
        next.sequence++;
        sb_encode(&next, page);
        int err = sb_write(disk, slot, page);
        if (err != 0) {
            return err_set(why, err, "cannot write superblock '%s': %s", sb_names[slot],
                           err_text(err));
        }
    }
    *sb = next;
    return 0;
}
