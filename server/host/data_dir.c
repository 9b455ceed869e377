/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Refuses every directory that is not this node's own before it writes a byte into it.
 */
#include "server/host/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_ENTRIES_MAX 64 /* a node's directory has fewer; more are foreign */

static const char *const dir_parts[] = {"wal", "seg", "state", "segidx"};
static const char *const dir_files[] = {"LOCK",    "identity", "identity.new", "sb0",
                                        "sb0.new", "sb1",      "sb1.new",      "lost+found"};

struct dir_seen {
    bool identity;
    bool superblock;
    bool part;
    bool foreign;
    char foreign_name[64];
};

static bool dir_named(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void dir_look_at(struct dir_seen *seen, const char *name)
{
    seen->identity = seen->identity || strcmp(name, "identity") == 0;
    seen->superblock = seen->superblock || strcmp(name, "sb0") == 0 || strcmp(name, "sb1") == 0;
    if (dir_named(dir_parts, sizeof(dir_parts) / sizeof(dir_parts[0]), name)) {
        seen->part = true;
    } else if (!dir_named(dir_files, sizeof(dir_files) / sizeof(dir_files[0]), name)) {
        seen->foreign = true;
        (void)snprintf(seen->foreign_name, sizeof(seen->foreign_name), "%.60s", name);
    }
}

static int dir_look(int fd, const char *path, struct dir_seen *seen, struct err_info *why)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (dir == NULL) {
        int err = err_set(why, ERR_IO, "cannot list '%s': %s", path, strerror(errno));
        if (copy >= 0) {
            (void)close(copy);
        }
        return err;
    }
    memset(seen, 0, sizeof(*seen));
    struct dirent *entry = readdir(dir);
    for (unsigned i = 0; entry != NULL && i < DIR_ENTRIES_MAX; i++) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            dir_look_at(seen, entry->d_name);
        }
        entry = readdir(dir);
    }
    (void)closedir(dir);
    return 0;
}

/* Owner, mode and kind of the directory, or of a part of it. */
static int dir_check_stat(const struct stat *st, const char *what, struct err_info *why)
{
    if (S_ISLNK(st->st_mode)) {
        return err_set(why, ERR_PERMISSION, "'%s' is a symbolic link", what);
    }
    if (!S_ISDIR(st->st_mode)) {
        return err_set(why, ERR_PERMISSION, "'%s' is not a directory", what);
    }
    if (st->st_uid != geteuid()) {
        return err_set(why, ERR_PERMISSION, "'%s' belongs to user %u, not to this one", what,
                       (unsigned)st->st_uid);
    }
    if ((st->st_mode & S_IWOTH) != 0) {
        return err_set(why, ERR_PERMISSION, "'%s' is writable by everyone: chmod o-w it", what);
    }
    return 0;
}

static int dir_open_checked(const char *path, enum host_data_dir_mode mode, int *out,
                            struct err_info *why)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT || mode != HOST_DATA_DIR_CREATE) {
            int err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
            return err_set(why, err, "data directory '%s': %s", path, strerror(errno));
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return err_set(why, ERR_IO, "cannot make '%s': %s", path, strerror(errno));
        }
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int err = errno == ELOOP || errno == ENOTDIR || errno == EACCES ? ERR_PERMISSION : ERR_IO;
        const char *text = errno == ELOOP || errno == ENOTDIR ? "is a symbolic link or no directory"
                                                              : strerror(errno);
        return err_set(why, err, "data directory '%s': %s", path, text);
    }
    int err = fstat(fd, &st) == 0 ? dir_check_stat(&st, path, why)
                                  : err_set(why, ERR_IO, "cannot look at '%s'", path);
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

static int dir_check_parts(int fd, const char *path, struct err_info *why)
{
    for (size_t i = 0; i < sizeof(dir_parts) / sizeof(dir_parts[0]); i++) {
        struct stat st;
        char what[160];
        (void)snprintf(what, sizeof(what), "%.100s/%s", path, dir_parts[i]);
        if (fstatat(fd, dir_parts[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
            TRY(dir_check_stat(&st, what, why));
        } else if (errno != ENOENT) {
            return err_set(why, ERR_IO, "cannot look at '%s': %s", what, strerror(errno));
        }
    }
    return 0;
}

static int dir_lock(struct host_data_dir *d, struct err_info *why)
{
    d->lock_fd = openat(d->fd, "LOCK", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (d->lock_fd < 0) {
        return err_set(why, ERR_IO, "cannot open '%s/LOCK': %s", d->path, strerror(errno));
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return err_set(why, ERR_IN_USE, "data directory '%s' is in use by another process",
                           d->path);
        }
        return err_set(why, ERR_IO, "cannot lock '%s': %s", d->path, strerror(errno));
    }
    return 0;
}

static int dir_classify(struct host_data_dir *d, struct err_info *why)
{
    struct dir_seen seen;
    TRY(dir_look(d->fd, d->path, &seen, why));
    if (seen.superblock) {
        d->content = HOST_DATA_DIR_USED;
        return dir_check_parts(d->fd, d->path, why);
    }
    if (seen.foreign) {
        return err_set(why, ERR_NOT_EMPTY,
                       "'%s' is not empty and no data directory (it has '%.60s')", d->path,
                       seen.foreign_name);
    }
    if (seen.part) {
        return err_set(why, ERR_CORRUPT,
                       "'%s' has a node's data but no superblock: restore 'sb0' or 'sb1'", d->path);
    }
    d->content = seen.identity ? HOST_DATA_DIR_NEW : HOST_DATA_DIR_EMPTY;
    return 0;
}

int host_data_dir_open(struct host_data_dir *out, const char *path, enum host_data_dir_mode mode,
                       const struct alloc *alloc, struct err_info *why)
{
    memset(out, 0, sizeof(*out));
    out->fd = -1;
    out->lock_fd = -1;
    out->alloc = *alloc;
    if (strlen(path) >= sizeof(out->path)) {
        return err_set(why, ERR_TOO_LARGE, "path of the data directory is too long");
    }
    (void)snprintf(out->path, sizeof(out->path), "%s", path);
    TRY(dir_open_checked(path, mode, &out->fd, why));
    int err = dir_classify(out, why);
    if (err == 0) {
        err = dir_lock(out, why);
    }
    if (err == 0) {
        err = dir_classify(out, why); /* it may have been founded while the lock was another's */
    }
    if (err == 0) {
        err = store_disk_posix_open(&out->disk, path, alloc, why);
    }
    if (err != 0) {
        host_data_dir_close(out);
    }
    return err;
}

void host_data_dir_close(struct host_data_dir *d)
{
    if (d->disk.ctx != NULL) {
        store_disk_posix_close(&d->disk);
        d->disk.ctx = NULL;
    }
    if (d->lock_fd >= 0) {
        (void)close(d->lock_fd);
        d->lock_fd = -1;
    }
    if (d->fd >= 0) {
        (void)close(d->fd);
        d->fd = -1;
    }
}

/* A file under its own name is whole: it is written under another and renamed. */
static int dir_write_whole(struct host_data_dir *d, struct bytes data)
{
    const struct disk *disk = &d->disk;
    struct disk_file *file = NULL;
    struct disk_io part = {.data = data.data, .bytes = data.size};
    int err = disk->unlink(disk->ctx, "identity.new");
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    TRY(disk->open(disk->ctx, "identity.new", DISK_OPEN_CREATE, &file));
    err = disk->write(disk->ctx, file, 0, &part, 1);
    if (err == 0) {
        err = disk->sync(disk->ctx, file);
    }
    disk->close(disk->ctx, file);
    TRY(err);
    TRY(disk->rename(disk->ctx, "identity.new", "identity"));
    return disk->sync_dir(disk->ctx, ".");
}

int host_data_dir_found(struct host_data_dir *d, const struct wire_identity *identity,
                        struct err_info *why)
{
    struct buf out;
    ASSERT(d->content == HOST_DATA_DIR_EMPTY);
    buf_init(&out, &d->alloc, WIRE_IDENTITY_BYTES_MAX);
    int err = wire_identity_encode(identity, &out);
    if (err == 0) {
        err = dir_write_whole(d, buf_view(&out));
    }
    buf_release(&out);
    if (err != 0) {
        return err_set(why, err, "cannot write '%s/identity': %s", d->path, err_text(err));
    }
    d->content = HOST_DATA_DIR_NEW;
    return 0;
}

/* returns: 0, ERR_NOT_FOUND without words, or an error with why. */
static int dir_read_bundle(struct host_data_dir *d, struct wire_identity *identity,
                           struct err_info *why)
{
    const struct disk *disk = &d->disk;
    struct disk_file *file = NULL;
    uint8_t bytes[WIRE_IDENTITY_BYTES_MAX + 1];
    size_t got = 0;
    int err = disk->open(disk->ctx, "identity", DISK_OPEN_READ, &file);
    if (err == ERR_NOT_FOUND) {
        return err;
    }
    if (err == 0) {
        err = disk->read(disk->ctx, file, 0, bytes, sizeof(bytes), &got);
        disk->close(disk->ctx, file);
    }
    if (err != 0) {
        return err_set(why, err, "cannot read '%s/identity': %s", d->path, err_text(err));
    }
    TRY(wire_identity_decode(bytes_of(bytes, got), identity, why));
    if (identity->node == 0) {
        return err_set(why, ERR_INVALID, "'%s/identity' is the plan of a cluster, not of a node",
                       d->path);
    }
    return 0;
}

static int dir_first_start(struct host_data_dir *d, uint64_t store_id,
                           const struct wire_identity *identity, struct store_superblock *sb,
                           struct err_info *why)
{
    struct buf out;
    memset(sb, 0, sizeof(*sb));
    buf_init(&out, &d->alloc, STORE_SUPERBLOCK_IDENTITY_BYTES_MAX);
    int err = wire_identity_encode(identity, &out);
    if (err == 0) {
        memcpy(sb->cluster, identity->cluster, sizeof(sb->cluster));
        sb->node = identity->node;
        sb->incarnation = identity->incarnation;
        sb->level = STORE_SUPERBLOCK_LEVEL;
        sb->store_id = store_id;
        sb->identity_bytes = (uint32_t)out.size;
        memcpy(sb->identity, out.data, out.size);
    }
    buf_release(&out);
    if (err != 0) {
        return err_set(why, err, "cannot keep the identity: %s", err_text(err));
    }
    return store_superblock_create(&d->disk, sb, why);
}

static int dir_make_parts(struct host_data_dir *d, struct err_info *why)
{
    for (size_t i = 0; i < sizeof(dir_parts) / sizeof(dir_parts[0]); i++) {
        int err = d->disk.make_dir(d->disk.ctx, dir_parts[i]);
        if (err != 0 && err != ERR_EXISTS) {
            return err_set(why, err, "cannot make '%s/%s': %s", d->path, dir_parts[i],
                           err_text(err));
        }
    }
    int err = d->disk.sync_dir(d->disk.ctx, ".");
    return err == 0 ? 0 : err_set(why, err, "cannot sync '%s': %s", d->path, err_text(err));
}

int host_data_dir_start(struct host_data_dir *d, uint64_t store_id, struct wire_identity *identity,
                        struct store_superblock *sb, struct err_info *why)
{
    struct wire_identity bundle;
    int err = dir_read_bundle(d, &bundle, why);
    if (err == ERR_NOT_FOUND && d->content != HOST_DATA_DIR_USED) {
        return err_set(why, err, "'%s' has no identity: make one with 'holdfast init'", d->path);
    }
    if (err != 0 && err != ERR_NOT_FOUND) {
        return err;
    }
    if (d->content == HOST_DATA_DIR_NEW) {
        TRY(dir_first_start(d, store_id, &bundle, sb, why));
        d->content = HOST_DATA_DIR_USED;
    }
    TRY(store_superblock_open(&d->disk, &d->alloc, sb, why));
    if (err == 0) {
        TRY(store_superblock_owned(sb, bundle.cluster, bundle.node, why));
    }
    TRY(wire_identity_decode(bytes_of(sb->identity, sb->identity_bytes), identity, why));
    TRY(store_superblock_owned(sb, identity->cluster, identity->node, why));
    identity->incarnation = sb->incarnation;
    TRY(dir_make_parts(d, why));
    return store_superblock_boot(&d->disk, &d->alloc, sb, why);
}
