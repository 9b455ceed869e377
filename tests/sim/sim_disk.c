/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Files hold their visible bytes; the first write to a 4 KiB block after a sync saves what was
 * durable there. A crash walks the saved blocks and puts back the old content sector by sector, as
 * the generator decides. Directory changes are a journal of which a crash keeps a prefix.
 */
#include "tests/sim/sim_disk.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_BLOCK 4096u
#define SIM_SECTOR 512u
#define SIM_NAME 96u
#define SIM_DOOMED 2u /* a block whose sync failed */

static const uint8_t sim_zeros[SIM_BLOCK];

struct sim_saved {
    uint64_t block;
    uint8_t *content; /* NULL: zeros, as of most blocks that are written for the first time */
};

struct sim_inode {
    uint8_t *data;
    uint64_t size;
    uint64_t cap;
    uint64_t durable_size;
    uint64_t write_end;    /* of the last write */
    uint64_t write_number; /* its place among the disk's writes; 0: none */
    uint8_t *dirty;        /* one byte a block: saved since the last sync */
    struct sim_saved *saved;
    size_t saved_count;
    size_t saved_cap;
    unsigned refs; /* names, handles and journal entries */
};

struct sim_name {
    char name[SIM_NAME];
    struct sim_inode *inode;
};

enum sim_change_kind { SIM_CHANGE_CREATE, SIM_CHANGE_RENAME, SIM_CHANGE_UNLINK };

struct sim_change {
    enum sim_change_kind kind;
    char name[SIM_NAME];
    char from[SIM_NAME];
    struct sim_inode *inode; /* RENAME, UNLINK: what the name held before (may be NULL) */
};

struct disk_file {
    struct sim_inode *inode;
    uint64_t life; /* of the disk when opened */
    bool writable;
};

struct sim_disk {
    struct sim_name *names;
    unsigned names_count;
    unsigned names_cap;
    struct sim_change *changes;
    unsigned changes_count;
    unsigned changes_cap;
    uint64_t life;
    uint64_t writes;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t off_after;
    bool off;
    bool full;
    bool fail_sync;
    uint64_t failed_syncs;
};

static void *sim_disk_grow(void *memory, size_t count, size_t bytes)
{
    void *grown = realloc(memory, count * bytes);
    ASSERT(grown != NULL);
    return grown;
}

struct sim_disk *sim_disk_new(uint64_t limit_bytes)
{
    struct sim_disk *d = calloc(1, sizeof(*d));
    ASSERT(d != NULL);
    d->limit_bytes = limit_bytes;
    return d;
}

static void sim_inode_drop(struct sim_disk *d, struct sim_inode *inode)
{
    if (inode == NULL || --inode->refs > 0) {
        return;
    }
    d->used_bytes -= inode->size;
    for (size_t i = 0; i < inode->saved_count; i++) {
        free(inode->saved[i].content);
    }
    free(inode->data);
    free(inode->dirty);
    free(inode->saved);
    free(inode);
}

void sim_disk_free(struct sim_disk *d)
{
    for (unsigned i = 0; i < d->changes_count; i++) {
        sim_inode_drop(d, d->changes[i].inode);
    }
    for (unsigned i = 0; i < d->names_count; i++) {
        sim_inode_drop(d, d->names[i].inode);
    }
    free(d->changes);
    free(d->names);
    free(d);
}

/* One operation of the countdown. returns: whether power is gone. */
static bool sim_disk_gone(struct sim_disk *d)
{
    if (d->off_after > 0 && --d->off_after == 0) {
        d->off = true;
    }
    return d->off;
}

static struct sim_name *sim_disk_find(struct sim_disk *d, const char *name)
{
    for (unsigned i = 0; i < d->names_count; i++) {
        if (strcmp(d->names[i].name, name) == 0) {
            return &d->names[i];
        }
    }
    return NULL;
}

static void sim_disk_name(struct sim_disk *d, const char *name, struct sim_inode *inode)
{
    ASSERT(strlen(name) < SIM_NAME);
    if (d->names_count == d->names_cap) {
        d->names_cap = NUM_MAX(16, d->names_cap * 2);
        d->names = sim_disk_grow(d->names, d->names_cap, sizeof(*d->names));
    }
    struct sim_name *entry = &d->names[d->names_count++];
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->inode = inode;
    inode->refs++;
}

/* Takes the name away and returns its inode, whose reference passes to the caller. */
static struct sim_inode *sim_disk_unname(struct sim_disk *d, const char *name)
{
    struct sim_name *entry = sim_disk_find(d, name);
    if (entry == NULL) {
        return NULL;
    }
    struct sim_inode *inode = entry->inode;
    *entry = d->names[--d->names_count];
    return inode;
}

static struct sim_change *sim_disk_change(struct sim_disk *d, enum sim_change_kind kind,
                                          const char *name)
{
    if (d->changes_count == d->changes_cap) {
        d->changes_cap = NUM_MAX(16, d->changes_cap * 2);
        d->changes = sim_disk_grow(d->changes, d->changes_cap, sizeof(*d->changes));
    }
    struct sim_change *change = &d->changes[d->changes_count++];
    memset(change, 0, sizeof(*change));
    change->kind = kind;
    (void)snprintf(change->name, sizeof(change->name), "%s", name);
    return change;
}

static int sim_open(void *ctx, const char *name, enum disk_open mode, struct disk_file **out)
{
    struct sim_disk *d = ctx;
    struct sim_name *entry = sim_disk_find(d, name);
    if (sim_disk_gone(d)) {
        return ERR_IO;
    }
    if (mode == DISK_OPEN_CREATE) {
        if (entry != NULL) {
            return ERR_EXISTS;
        }
        struct sim_inode *inode = calloc(1, sizeof(*inode));
        ASSERT(inode != NULL);
        sim_disk_name(d, name, inode);
        (void)sim_disk_change(d, SIM_CHANGE_CREATE, name);
        entry = sim_disk_find(d, name);
    } else if (entry == NULL) {
        return ERR_NOT_FOUND;
    }
    struct disk_file *file = calloc(1, sizeof(*file));
    ASSERT(file != NULL);
    file->inode = entry->inode;
    file->inode->refs++;
    file->life = d->life;
    file->writable = mode != DISK_OPEN_READ;
    *out = file;
    return 0;
}

static void sim_close(void *ctx, struct disk_file *file)
{
    struct sim_disk *d = ctx;
    sim_inode_drop(d, file->inode);
    free(file);
}

static int sim_read(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                    size_t *got_bytes)
{
    struct sim_disk *d = ctx;
    if (d->off || file->life != d->life) {
        return ERR_IO;
    }
    uint64_t left = offset < file->inode->size ? file->inode->size - offset : 0;
    size_t got = (size_t)NUM_MIN((uint64_t)bytes, left);
    if (got > 0) {
        memcpy(into, file->inode->data + offset, got);
    }
    *got_bytes = got;
    return 0;
}

static void sim_inode_room(struct sim_inode *inode, uint64_t size)
{
    if (size <= inode->cap) {
        return;
    }
    uint64_t cap = NUM_MAX(num_round_up(size, SIM_BLOCK), 2 * inode->cap);
    cap = num_round_up(cap, SIM_BLOCK);
    inode->data = sim_disk_grow(inode->data, (size_t)cap, 1);
    memset(inode->data + inode->cap, 0, (size_t)(cap - inode->cap));
    inode->dirty = sim_disk_grow(inode->dirty, (size_t)(cap / SIM_BLOCK), 1);
    memset(inode->dirty + inode->cap / SIM_BLOCK, 0, (size_t)((cap - inode->cap) / SIM_BLOCK));
    inode->cap = cap;
}

/* Keeps what is durable in the blocks of [offset, offset + bytes) before they change. */
static void sim_inode_save(struct sim_inode *inode, uint64_t offset, uint64_t bytes)
{
    for (uint64_t b = offset / SIM_BLOCK; b * SIM_BLOCK < offset + bytes; b++) {
        if (inode->dirty[b] != 0) {
            inode->dirty[b] = 1; /* written anew: a later sync will take it along */
            continue;
        }
        if (inode->saved_count == inode->saved_cap) {
            inode->saved_cap = NUM_MAX(4, inode->saved_cap * 2);
            inode->saved = sim_disk_grow(inode->saved, inode->saved_cap, sizeof(*inode->saved));
        }
        const uint8_t *content = inode->data + b * SIM_BLOCK;
        struct sim_saved *saved = &inode->saved[inode->saved_count++];
        *saved = (struct sim_saved){.block = b};
        if (memcmp(content, sim_zeros, SIM_BLOCK) != 0) {
            saved->content = sim_disk_grow(NULL, SIM_BLOCK, 1);
            memcpy(saved->content, content, SIM_BLOCK);
        }
        inode->dirty[b] = 1;
    }
}

static int sim_resize(struct sim_disk *d, struct sim_inode *inode, uint64_t size)
{
    if (size > inode->size) {
        if (d->full || size - inode->size > d->limit_bytes - d->used_bytes) {
            return ERR_DISK_FULL;
        }
        sim_inode_room(inode, size);
    } else {
        sim_inode_save(inode, size, inode->size - size);
        memset(inode->data + size, 0, (size_t)(inode->size - size));
    }
    d->used_bytes = d->used_bytes - inode->size + size;
    inode->size = size;
    return 0;
}

static int sim_write(void *ctx, struct disk_file *file, uint64_t offset,
                     const struct disk_io *parts, unsigned parts_count)
{
    struct sim_disk *d = ctx;
    uint64_t bytes = 0;
    if (sim_disk_gone(d) || file->life != d->life || !file->writable) {
        return ERR_IO;
    }
    for (unsigned i = 0; i < parts_count; i++) {
        bytes += parts[i].bytes;
    }
    if (offset + bytes > file->inode->size) {
        TRY(sim_resize(d, file->inode, offset + bytes));
    }
    sim_inode_save(file->inode, offset, bytes);
    for (unsigned i = 0; i < parts_count; i++) {
        if (parts[i].bytes > 0) {
            memcpy(file->inode->data + offset, parts[i].data, parts[i].bytes);
        }
        offset += parts[i].bytes;
    }
    file->inode->write_end = offset;
    file->inode->write_number = ++d->writes;
    return 0;
}

static int sim_sync(void *ctx, struct disk_file *file)
{
    struct sim_disk *d = ctx;
    struct sim_inode *inode = file->inode;
    if (sim_disk_gone(d) || file->life != d->life) {
        return ERR_IO;
    }
    bool fails = d->fail_sync && inode->saved_count > 0;
    size_t kept = 0;
    for (size_t i = 0; i < inode->saved_count; i++) {
        uint8_t *dirty = &inode->dirty[inode->saved[i].block];
        /* as Linux does: after a failure the pages count as clean although they never reached the
         * disk, so no later sync writes them */
        *dirty = fails || *dirty == SIM_DOOMED ? SIM_DOOMED : 0;
        if (*dirty == SIM_DOOMED) {
            inode->saved[kept++] = inode->saved[i];
        } else {
            free(inode->saved[i].content);
        }
    }
    inode->saved_count = kept;
    if (fails) {
        d->fail_sync = false;
        d->failed_syncs++;
        return ERR_IO;
    }
    inode->durable_size = inode->size;
    return 0;
}

static int sim_size(void *ctx, struct disk_file *file, uint64_t *bytes)
{
    struct sim_disk *d = ctx;
    if (d->off || file->life != d->life) {
        return ERR_IO;
    }
    *bytes = file->inode->size;
    return 0;
}

static int sim_reserve(void *ctx, struct disk_file *file, uint64_t bytes)
{
    struct sim_disk *d = ctx;
    if (sim_disk_gone(d) || file->life != d->life) {
        return ERR_IO;
    }
    return bytes > file->inode->size ? sim_resize(d, file->inode, bytes) : 0;
}

static int sim_truncate(void *ctx, struct disk_file *file, uint64_t bytes)
{
    struct sim_disk *d = ctx;
    if (sim_disk_gone(d) || file->life != d->life) {
        return ERR_IO;
    }
    return sim_resize(d, file->inode, bytes);
}

static int sim_rename(void *ctx, const char *from, const char *to)
{
    struct sim_disk *d = ctx;
    if (sim_disk_gone(d)) {
        return ERR_IO;
    }
    if (sim_disk_find(d, from) == NULL) {
        return ERR_NOT_FOUND;
    }
    struct sim_change *change = sim_disk_change(d, SIM_CHANGE_RENAME, to);
    (void)snprintf(change->from, sizeof(change->from), "%s", from);
    change->inode = sim_disk_unname(d, to);
    struct sim_inode *inode = sim_disk_unname(d, from);
    sim_disk_name(d, to, inode);
    sim_inode_drop(d, inode);
    return 0;
}

static int sim_unlink(void *ctx, const char *name)
{
    struct sim_disk *d = ctx;
    if (sim_disk_gone(d)) {
        return ERR_IO;
    }
    if (sim_disk_find(d, name) == NULL) {
        return ERR_NOT_FOUND;
    }
    struct sim_change *change = sim_disk_change(d, SIM_CHANGE_UNLINK, name);
    change->inode = sim_disk_unname(d, name);
    return 0;
}

static int sim_make_dir(void *ctx, const char *name)
{
    (void)name;
    return sim_disk_gone(ctx) ? ERR_IO : 0;
}

static int sim_list(void *ctx, const char *dir, void *list_ctx, disk_list_fn *each)
{
    struct sim_disk *d = ctx;
    size_t length = strlen(dir);
    if (d->off) {
        return ERR_IO;
    }
    for (unsigned i = 0; i < d->names_count; i++) {
        const char *name = d->names[i].name;
        if (strcmp(dir, ".") == 0 && strchr(name, '/') == NULL) {
            each(list_ctx, name, d->names[i].inode->size);
        } else if (strncmp(name, dir, length) == 0 && name[length] == '/') {
            each(list_ctx, name + length + 1, d->names[i].inode->size);
        }
    }
    return 0;
}

static bool sim_in_dir(const char *name, const char *dir)
{
    size_t length = strlen(dir);
    if (strcmp(dir, ".") == 0 || length == 0) {
        return strchr(name, '/') == NULL;
    }
    return strncmp(name, dir, length) == 0 && name[length] == '/';
}

static int sim_sync_dir(void *ctx, const char *dir)
{
    struct sim_disk *d = ctx;
    unsigned kept = 0;
    if (sim_disk_gone(d)) {
        return ERR_IO;
    }
    for (unsigned i = 0; i < d->changes_count; i++) {
        if (sim_in_dir(d->changes[i].name, dir)) {
            sim_inode_drop(d, d->changes[i].inode);
        } else {
            d->changes[kept++] = d->changes[i];
        }
    }
    d->changes_count = kept;
    return 0;
}

static int sim_free_bytes(void *ctx, uint64_t *bytes)
{
    struct sim_disk *d = ctx;
    *bytes = d->full ? 0 : d->limit_bytes - d->used_bytes;
    return d->off ? ERR_IO : 0;
}

struct disk sim_disk_table(struct sim_disk *d)
{
    return (struct disk){.ctx = d,
                         .open = sim_open,
                         .close = sim_close,
                         .read = sim_read,
                         .write = sim_write,
                         .sync = sim_sync,
                         .size = sim_size,
                         .reserve = sim_reserve,
                         .truncate = sim_truncate,
                         .rename = sim_rename,
                         .unlink = sim_unlink,
                         .make_dir = sim_make_dir,
                         .list = sim_list,
                         .sync_dir = sim_sync_dir,
                         .free_bytes = sim_free_bytes};
}

/* Takes back the directory changes from the last to number `kept`. */
static void sim_disk_undo(struct sim_disk *d, unsigned kept)
{
    while (d->changes_count > kept) {
        struct sim_change *change = &d->changes[--d->changes_count];
        struct sim_inode *now = sim_disk_unname(d, change->name);
        if (change->kind == SIM_CHANGE_RENAME && now != NULL) {
            sim_disk_name(d, change->from, now);
        }
        sim_inode_drop(d, now);
        if (change->inode != NULL) {
            sim_disk_name(d, change->name, change->inode);
            sim_inode_drop(d, change->inode);
        }
    }
}

static void sim_inode_crash(struct sim_disk *d, struct sim_inode *inode, struct rng *rng)
{
    /* all lost, all kept, or sector by sector */
    uint64_t mood = rng_below(rng, 4);
    for (size_t i = 0; i < inode->saved_count; i++) {
        struct sim_saved *saved = &inode->saved[i];
        for (unsigned s = 0; s < SIM_BLOCK / SIM_SECTOR; s++) {
            bool lost = inode->dirty[saved->block] == SIM_DOOMED || mood == 0 ||
                        (mood >= 2 && rng_chance(rng, 1, 2));
            size_t at = s * SIM_SECTOR;
            size_t bytes = SIM_SECTOR;
            uint8_t *now = inode->data + saved->block * SIM_BLOCK + at;
            if (!lost) {
                continue;
            }
            if (mood == 3 && rng_chance(rng, 1, 16)) {
                bytes = (size_t)rng_below(rng, SIM_SECTOR); /* torn: the end is the new content */
            }
            memcpy(now, saved->content == NULL ? sim_zeros : saved->content + at, bytes);
        }
        free(saved->content);
        inode->dirty[saved->block] = 0;
    }
    inode->saved_count = 0;
    if (inode->size != inode->durable_size && mood == 0) {
        d->used_bytes = d->used_bytes - inode->size + inode->durable_size;
        sim_inode_room(inode, inode->durable_size);
        inode->size = inode->durable_size;
    }
    inode->durable_size = inode->size;
}

void sim_disk_crash(struct sim_disk *d, struct rng *rng)
{
    unsigned kept = (unsigned)rng_below(rng, (uint64_t)d->changes_count + 1);
    sim_disk_undo(d, kept);
    for (unsigned i = 0; i < d->changes_count; i++) {
        sim_inode_drop(d, d->changes[i].inode);
    }
    d->changes_count = 0;
    for (unsigned i = 0; i < d->names_count; i++) {
        sim_inode_crash(d, d->names[i].inode, rng);
    }
    d->life++;
    d->off = false;
    d->off_after = 0;
    d->fail_sync = false;
}

void sim_disk_power_off_after(struct sim_disk *d, uint64_t operations)
{
    d->off_after = operations;
    d->off = false;
}

void sim_disk_fail_sync(struct sim_disk *d)
{
    d->fail_sync = true;
}

uint64_t sim_disk_failed_syncs(const struct sim_disk *d)
{
    return d->failed_syncs;
}

void sim_disk_set_full(struct sim_disk *d, bool full)
{
    d->full = full;
}

static bool sim_rots(const struct sim_name *entry, const char *prefix, bool recent)
{
    return strncmp(entry->name, prefix, strlen(prefix)) == 0 && entry->inode->size > 0 &&
           (!recent ||
            (entry->inode->write_number > 0 && entry->inode->write_end <= entry->inode->size));
}

/* Blocks are often used at their beginning only: a place that is not zeros behind the data. */
static uint64_t sim_rot_used(const struct sim_inode *inode, uint64_t offset, struct rng *rng)
{
    uint64_t start = offset - offset % SIM_BLOCK;
    uint64_t end = NUM_MIN(start + SIM_BLOCK, inode->size);
    while (end > start + 1 && inode->data[end - 1] == 0) {
        end--;
    }
    return rng_between(rng, start, end - 1);
}

bool sim_disk_rot(struct sim_disk *d, struct rng *rng, const char *prefix, uint64_t recent_bytes,
                  struct sim_spot *spot)
{
    bool recent = recent_bytes > 0;
    unsigned matches = 0;
    struct sim_name *chosen = NULL;
    for (unsigned i = 0; i < d->names_count; i++) {
        struct sim_name *entry = &d->names[i];
        if (!sim_rots(entry, prefix, recent)) {
            continue;
        }
        matches++;
        if (recent ? chosen == NULL || entry->inode->write_number > chosen->inode->write_number
                   : rng_chance(rng, 1, matches)) {
            chosen = entry;
        }
    }
    if (chosen == NULL) {
        return false;
    }
    uint64_t end = recent ? chosen->inode->write_end : chosen->inode->size;
    spot->name = chosen->name;
    spot->offset = end - 1 - rng_below(rng, recent ? NUM_MIN(recent_bytes, end) : end);
    spot->offset = sim_rot_used(chosen->inode, spot->offset, rng);
    spot->bytes = rng_chance(rng, 1, 2) ? 1 : SIM_SECTOR - spot->offset % SIM_SECTOR;
    spot->bytes = NUM_MIN(spot->bytes, chosen->inode->size - spot->offset);
    for (uint64_t i = 0; i < spot->bytes; i++) {
        chosen->inode->data[spot->offset + i] ^= (uint8_t)rng_between(rng, 1, 255);
    }
    return true;
}

bool sim_disk_flip(struct sim_disk *d, const char *name, uint64_t offset, uint8_t mask)
{
    struct sim_name *entry = sim_disk_find(d, name);
    if (entry == NULL || offset >= entry->inode->size) {
        return false;
    }
    entry->inode->data[offset] ^= mask;
    return true;
}

uint64_t sim_disk_file_bytes(struct sim_disk *d, const char *name)
{
    struct sim_name *entry = sim_disk_find(d, name);
    return entry == NULL ? 0 : entry->inode->size;
}

bool sim_disk_find_text(struct sim_disk *d, const char *name, const char *text, uint64_t *offset)
{
    struct sim_name *entry = sim_disk_find(d, name);
    size_t bytes = strlen(text);
    for (uint64_t at = 0; entry != NULL && at + bytes <= entry->inode->size; at++) {
        if (memcmp(entry->inode->data + at, text, bytes) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

unsigned sim_disk_files(struct sim_disk *d)
{
    return d->names_count;
}

const char *sim_disk_file_name(struct sim_disk *d, unsigned i)
{
    ASSERT(i < d->names_count);
    return d->names[i].name;
}
