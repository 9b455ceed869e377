/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The disk in memory: files with two images, and a journal of the changes of names.
 */
#include "tests/unit/store/mem_disk.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX 512
#define NAME_BYTES 64
#define JOURNAL_MAX 4096

struct mem_file {
    char name[NAME_BYTES];         /* "" : none */
    char durable_name[NAME_BYTES]; /* as of the last sync of the directory */
    uint8_t *now;
    uint8_t *durable;
    uint64_t bytes;
    uint64_t durable_bytes;
    uint64_t room; /* of now and of durable */
    uint64_t durable_room;
    uint64_t changed_from; /* since the last sync: nothing where from is not below to */
    uint64_t changed_to;
    bool used;
};

/* One change of names: the file got this name ("": lost it). */
struct mem_change {
    struct mem_file *file;
    char name[NAME_BYTES];
};

struct disk_file {
    struct mem_file *file;
};

struct mem_disk {
    struct mem_file files[FILES_MAX];
    struct mem_change journal[JOURNAL_MAX];
    unsigned journal_count;
    unsigned fail_ops;
    uint64_t fail_left;
    int fail_err;
    uint64_t counts[16];
    uint64_t limit;
    uint64_t used;
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct mem_file *file_find(const struct mem_disk *d, const char *name)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (d->files[i].used && strcmp(d->files[i].name, name) == 0) {
            return (struct mem_file *)&d->files[i];
        }
    }
    return NULL;
}

static int step(struct mem_disk *d, unsigned op)
{
    d->counts[op]++;
    if ((d->fail_ops & op) != 0 && d->fail_left > 0 && --d->fail_left == 0) {
        return d->fail_err;
    }
    return 0;
}

static void name_set(char *into, const char *name)
{
    must(strlen(name) < NAME_BYTES);
    memcpy(into, name, strlen(name) + 1);
}

static void change(struct mem_disk *d, struct mem_file *file, const char *name)
{
    must(d->journal_count < JOURNAL_MAX);
    struct mem_change *c = &d->journal[d->journal_count++];
    c->file = file;
    name_set(c->name, name);
    name_set(file->name, name);
}

/* Room doubles: a file that is written piece by piece is copied a few times only. */
static void room_for(uint8_t **data, uint64_t *room, uint64_t bytes)
{
    if (bytes > *room) {
        *room = NUM_MAX(bytes, *room * 2);
        *data = realloc(*data, *room);
        must(*data != NULL);
    }
}

static void changed(struct mem_file *file, uint64_t from, uint64_t to)
{
    if (file->changed_from >= file->changed_to) {
        file->changed_from = from;
        file->changed_to = to;
    }
    file->changed_from = NUM_MIN(file->changed_from, from);
    file->changed_to = NUM_MAX(file->changed_to, to);
}

static void grow(struct mem_disk *d, struct mem_file *file, uint64_t bytes)
{
    if (bytes <= file->bytes) {
        return;
    }
    room_for(&file->now, &file->room, bytes);
    memset(file->now + file->bytes, 0, bytes - file->bytes);
    changed(file, file->bytes, bytes);
    d->used += bytes - file->bytes;
    file->bytes = bytes;
}

static int mem_open(void *ctx, const char *name, enum disk_open mode, struct disk_file **out)
{
    struct mem_disk *d = ctx;
    struct mem_file *file = file_find(d, name);
    if (mode == DISK_OPEN_CREATE) {
        TRY(step(d, MEM_DISK_NAMES));
        if (file != NULL) {
            return ERR_EXISTS;
        }
        for (unsigned i = 0; i < FILES_MAX && file == NULL; i++) {
            file = d->files[i].used ? NULL : &d->files[i];
        }
        must(file != NULL);
        file->used = true;
        change(d, file, name);
    }
    if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = malloc(sizeof(**out));
    must(*out != NULL);
    (*out)->file = file;
    return 0;
}

static void mem_close(void *ctx, struct disk_file *file)
{
    (void)ctx;
    free(file);
}

static int mem_read(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                    size_t *got)
{
    struct mem_disk *d = ctx;
    TRY(step(d, MEM_DISK_READ));
    uint64_t size = file->file->bytes;
    *got = offset >= size ? 0 : (size_t)NUM_MIN(size - offset, bytes);
    if (*got > 0) {
        memcpy(into, file->file->now + offset, *got);
    }
    return 0;
}

static int mem_write(void *ctx, struct disk_file *file, uint64_t offset,
                     const struct disk_io *parts, unsigned count)
{
    struct mem_disk *d = ctx;
    int err = step(d, MEM_DISK_WRITE);
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += parts[i].bytes;
    }
    if (offset + total > file->file->bytes &&
        d->used + (offset + total - file->file->bytes) > d->limit) {
        err = ERR_DISK_FULL;
        total = 0;
    }
    uint64_t left = err == 0 ? total : total / 2;
    grow(d, file->file, offset + left);
    changed(file->file, offset, offset + left);
    for (unsigned i = 0; i < count && left > 0; i++) {
        uint64_t piece = NUM_MIN(left, (uint64_t)parts[i].bytes);
        memcpy(file->file->now + offset, parts[i].data, piece);
        offset += piece;
        left -= piece;
    }
    return err;
}

static int mem_sync(void *ctx, struct disk_file *file)
{
    struct mem_file *f = file->file;
    TRY(step(ctx, MEM_DISK_SYNC));
    const uint64_t to = NUM_MIN(f->changed_to, f->bytes);
    room_for(&f->durable, &f->durable_room, f->bytes);
    if (f->changed_from < to) {
        memcpy(f->durable + f->changed_from, f->now + f->changed_from, to - f->changed_from);
    }
    f->durable_bytes = f->bytes;
    f->changed_to = f->changed_from;
    return 0;
}

static int mem_size(void *ctx, struct disk_file *file, uint64_t *bytes)
{
    (void)ctx;
    *bytes = file->file->bytes;
    return 0;
}

static void file_cut(struct mem_disk *d, struct mem_file *file, uint64_t bytes)
{
    if (bytes < file->bytes) {
        d->used -= file->bytes - bytes;
        file->bytes = bytes;
    }
}

static int mem_reserve(void *ctx, struct disk_file *file, uint64_t bytes)
{
    struct mem_disk *d = ctx;
    TRY(step(d, MEM_DISK_WRITE));
    if (bytes > file->file->bytes && d->used + (bytes - file->file->bytes) > d->limit) {
        return ERR_DISK_FULL;
    }
    grow(d, file->file, bytes);
    return 0;
}

static int mem_truncate(void *ctx, struct disk_file *file, uint64_t bytes)
{
    TRY(step(ctx, MEM_DISK_WRITE));
    file_cut(ctx, file->file, bytes);
    return 0;
}

static int mem_rename(void *ctx, const char *from, const char *to)
{
    struct mem_disk *d = ctx;
    struct mem_file *file = file_find(d, from);
    struct mem_file *old = file_find(d, to);
    TRY(step(d, MEM_DISK_NAMES));
    if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    if (old != NULL) {
        change(d, old, "");
    }
    change(d, file, to);
    return 0;
}

static int mem_unlink(void *ctx, const char *name)
{
    struct mem_disk *d = ctx;
    struct mem_file *file = file_find(d, name);
    TRY(step(d, MEM_DISK_NAMES));
    if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    change(d, file, "");
    d->used -= file->bytes;
    return 0;
}

static int mem_make_dir(void *ctx, const char *name)
{
    (void)name;
    return step(ctx, MEM_DISK_NAMES);
}

static int mem_list(void *ctx, const char *dir, void *list_ctx, disk_list_fn *each)
{
    const struct mem_disk *d = ctx;
    size_t skip = strlen(dir);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        const struct mem_file *f = &d->files[i];
        if (f->used && strncmp(f->name, dir, skip) == 0 && f->name[skip] == '/') {
            each(list_ctx, f->name + skip + 1, f->bytes);
        }
    }
    return 0;
}

static void file_end(struct mem_file *f)
{
    free(f->now);
    free(f->durable);
    *f = (struct mem_file){0};
}

static int mem_sync_dir(void *ctx, const char *dir)
{
    struct mem_disk *d = ctx;
    (void)dir;
    TRY(step(d, MEM_DISK_NAMES));
    for (unsigned i = 0; i < d->journal_count; i++) {
        name_set(d->journal[i].file->durable_name, d->journal[i].name);
    }
    d->journal_count = 0;
    for (unsigned i = 0; i < FILES_MAX; i++) {
        struct mem_file *f = &d->files[i];
        if (f->used && f->name[0] == '\0' && f->durable_name[0] == '\0') {
            file_end(f);
        }
    }
    return 0;
}

static int mem_free_bytes(void *ctx, uint64_t *bytes)
{
    const struct mem_disk *d = ctx;
    *bytes = d->limit > d->used ? d->limit - d->used : 0;
    return 0;
}

static struct disk table_of(struct mem_disk *d)
{
    return (struct disk){.ctx = d,
                         .open = mem_open,
                         .close = mem_close,
                         .read = mem_read,
                         .write = mem_write,
                         .sync = mem_sync,
                         .size = mem_size,
                         .reserve = mem_reserve,
                         .truncate = mem_truncate,
                         .rename = mem_rename,
                         .unlink = mem_unlink,
                         .make_dir = mem_make_dir,
                         .list = mem_list,
                         .sync_dir = mem_sync_dir,
                         .free_bytes = mem_free_bytes};
}

struct mem_disk *mem_disk_new(struct disk *table)
{
    struct mem_disk *d = calloc(1, sizeof(*d));
    must(d != NULL);
    d->limit = UINT64_MAX / 2;
    *table = table_of(d);
    return d;
}

void mem_disk_free(struct mem_disk *d)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        file_end(&d->files[i]);
    }
    free(d);
}

static uint8_t *image_copy(const uint8_t *data, uint64_t bytes)
{
    uint8_t *copy = malloc(bytes + 1);
    must(copy != NULL);
    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

struct mem_disk *mem_disk_copy(const struct mem_disk *d, struct disk *table)
{
    struct mem_disk *copy = malloc(sizeof(*copy));
    must(copy != NULL);
    memcpy(copy, d, sizeof(*copy));
    for (unsigned i = 0; i < FILES_MAX; i++) {
        struct mem_file *f = &copy->files[i];
        if (f->used) {
            f->now = image_copy(f->now, f->bytes);
            f->durable = image_copy(f->durable, f->durable_bytes);
            f->room = f->bytes;
            f->durable_room = f->durable_bytes;
        }
    }
    for (unsigned i = 0; i < copy->journal_count; i++) {
        copy->journal[i].file = &copy->files[d->journal[i].file - d->files];
    }
    *table = table_of(copy);
    return copy;
}

void mem_disk_fail(struct mem_disk *d, unsigned ops, uint64_t n, int err)
{
    d->fail_ops = ops;
    d->fail_left = n;
    d->fail_err = err;
    memset(d->counts, 0, sizeof(d->counts));
}

uint64_t mem_disk_count(const struct mem_disk *d, unsigned op)
{
    uint64_t sum = 0;
    for (unsigned bit = 1; bit < 16; bit <<= 1) {
        sum += (op & bit) != 0 ? d->counts[bit] : 0;
    }
    return sum;
}

void mem_disk_limit(struct mem_disk *d, uint64_t bytes)
{
    d->limit = bytes;
}

static void crash_file(struct mem_file *f, struct rng *r, unsigned keep_percent)
{
    uint64_t bytes = rng_chance(r, keep_percent, 100) ? f->bytes : f->durable_bytes;
    uint8_t *after = calloc(1, bytes + 1);
    must(after != NULL);
    for (uint64_t at = 0; at < bytes; at += MEM_DISK_SECTOR) {
        uint64_t piece = NUM_MIN(MEM_DISK_SECTOR, bytes - at);
        bool keep = rng_chance(r, keep_percent, 100);
        const uint8_t *from = keep ? f->now : f->durable;
        uint64_t have = keep ? f->bytes : f->durable_bytes;
        if (at < have) {
            memcpy(after + at, from + at, NUM_MIN(piece, have - at));
        }
    }
    free(f->now);
    free(f->durable);
    f->now = after;
    f->durable = image_copy(after, bytes);
    f->bytes = bytes;
    f->durable_bytes = bytes;
    f->room = bytes;
    f->durable_room = bytes;
    f->changed_to = f->changed_from;
}

void mem_disk_crash(struct mem_disk *d, struct rng *r, unsigned keep_percent)
{
    unsigned keep = (unsigned)rng_below(r, d->journal_count + 1);
    for (unsigned i = 0; i < keep; i++) {
        name_set(d->journal[i].file->durable_name, d->journal[i].name);
    }
    d->journal_count = 0;
    d->used = 0;
    d->fail_left = 0;
    for (unsigned i = 0; i < FILES_MAX; i++) {
        struct mem_file *f = &d->files[i];
        if (!f->used) {
            continue;
        }
        if (f->durable_name[0] == '\0') {
            file_end(f);
            continue;
        }
        name_set(f->name, f->durable_name);
        crash_file(f, r, keep_percent);
        d->used += f->bytes;
    }
}

void mem_disk_kill(struct mem_disk *d)
{
    d->fail_left = 0;
}

uint64_t mem_disk_bytes(const struct mem_disk *d, const char *name)
{
    const struct mem_file *f = file_find(d, name);
    return f == NULL ? 0 : f->bytes;
}

const uint8_t *mem_disk_data(const struct mem_disk *d, const char *name)
{
    const struct mem_file *f = file_find(d, name);
    return f == NULL ? NULL : f->now;
}

void mem_disk_flip(struct mem_disk *d, const char *name, uint64_t offset, uint8_t mask)
{
    struct mem_file *f = file_find(d, name);
    must(f != NULL && offset < f->bytes);
    f->now[offset] ^= mask;
    if (offset < f->durable_bytes) {
        f->durable[offset] = f->now[offset];
    }
}

void mem_disk_put(struct mem_disk *d, const char *name, uint64_t offset, const void *data,
                  uint64_t bytes)
{
    struct mem_file *f = file_find(d, name);
    must(f != NULL && offset + bytes <= f->bytes && f->durable_bytes == f->bytes);
    memcpy(f->now + offset, data, bytes);
    memcpy(f->durable + offset, data, bytes);
}

void mem_disk_cut(struct mem_disk *d, const char *name, uint64_t bytes)
{
    struct mem_file *f = file_find(d, name);
    must(f != NULL);
    file_cut(d, f, bytes);
    f->durable_bytes = NUM_MIN(f->durable_bytes, bytes);
}

const char *mem_disk_name(const struct mem_disk *d, const char *prefix, unsigned n)
{
    const char *found = NULL;
    for (unsigned turn = 0; turn <= n; turn++) {
        const char *least = NULL;
        for (unsigned i = 0; i < FILES_MAX; i++) {
            const struct mem_file *f = &d->files[i];
            if (f->used && strncmp(f->name, prefix, strlen(prefix)) == 0 &&
                (found == NULL || strcmp(f->name, found) > 0) &&
                (least == NULL || strcmp(f->name, least) < 0)) {
                least = f->name;
            }
        }
        if (least == NULL) {
            return NULL;
        }
        found = least;
    }
    return found;
}
