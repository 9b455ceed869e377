/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The disk table over POSIX calls. Every name is opened below the data directory, one component
 * after the other, and a symbolic link anywhere is refused.
 */
#include "base/num.h"
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAME_BYTES_MAX 256

struct disk_posix {
    struct alloc alloc;
    int dir;
};

struct disk_file {
    int fd;
};

static int posix_err(int number)
{
    switch (number) {
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT: return ERR_DISK_FULL;
    case ENOMEM: return ERR_NO_MEMORY;
    case ELOOP:
    case EACCES:
    case EPERM:
    case EROFS: return ERR_PERMISSION;
    default: return ERR_IO;
    }
}

static bool name_is_allowed(const char *name)
{
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes >= NAME_BYTES_MAX || name[0] == '/' || strstr(name, "..") != NULL) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._/-") == bytes;
}

static int open_retry(int dir, const char *name, int flags)
{
    int fd = -1;
    do {
        fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens the directory that name lies in and points *last at the last component.
 * returns: 0 with *dir to close, or an error. copy: NAME_BYTES_MAX bytes. */
static int parent_open(const struct disk_posix *p, const char *name, char *copy, int *dir,
                       const char **last)
{
    if (!name_is_allowed(name)) {
        return ERR_BAD_NAME;
    }
    memcpy(copy, name, strlen(name) + 1);
    char *at = copy;
    int fd = open_retry(p->dir, ".", O_RDONLY | O_DIRECTORY);
    for (char *slash = strchr(at, '/'); fd >= 0 && slash != NULL; slash = strchr(at, '/')) {
        *slash = '\0';
        int next = open_retry(fd, at, O_RDONLY | O_DIRECTORY);
        int number = errno;
        (void)close(fd);
        errno = number;
        fd = next;
        at = slash + 1;
    }
    if (fd < 0) {
        return errno == ENOTDIR ? ERR_PERMISSION : posix_err(errno);
    }
    *dir = fd;
    *last = at;
    return 0;
}

static int disk_open_file(void *ctx, const char *name, enum disk_open mode, struct disk_file **out)
{
    struct disk_posix *p = ctx;
    static const int flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_CREAT | O_EXCL};
    char copy[NAME_BYTES_MAX];
    const char *last = NULL;
    int dir = -1;
    ASSERT(mode <= DISK_OPEN_CREATE);
    struct disk_file *file = alloc_get(&p->alloc, sizeof(*file));
    if (file == NULL) {
        return ERR_NO_MEMORY;
    }
    int err = parent_open(p, name, copy, &dir, &last);
    if (err == 0) {
        file->fd = open_retry(dir, last, flags[mode]);
        err = file->fd < 0 ? posix_err(errno) : 0;
        (void)close(dir);
    }
    if (err != 0) {
        alloc_put(&p->alloc, file, sizeof(*file));
        return err;
    }
    *out = file;
    return 0;
}

static void disk_close_file(void *ctx, struct disk_file *file)
{
    struct disk_posix *p = ctx;
    (void)close(file->fd);
    alloc_put(&p->alloc, file, sizeof(*file));
}

static int disk_read(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                     size_t *got_bytes)
{
    uint8_t *at = into;
    size_t done = 0;
    (void)ctx;
    while (done < bytes) {
        ssize_t got = pread(file->fd, at + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return posix_err(errno);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *got_bytes = done;
    return 0;
}

static int write_all(struct disk_file *file, uint64_t offset, const uint8_t *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pwrite(file->fd, data + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? posix_err(errno) : ERR_IO;
        }
        done += (size_t)got;
    }
    return 0;
}

/* One call a part: pwritev is no POSIX call, and hot writes have one part. */
static int disk_write(void *ctx, struct disk_file *file, uint64_t offset,
                      const struct disk_io *parts, unsigned parts_count)
{
    (void)ctx;
    for (unsigned i = 0; i < parts_count; i++) {
        TRY(write_all(file, offset, parts[i].data, parts[i].bytes));
        offset += parts[i].bytes;
    }
    return 0;
}

static int disk_sync(void *ctx, struct disk_file *file)
{
    (void)ctx;
    /* never again after a failure: the system may have dropped what it could not write */
    return fdatasync(file->fd) == 0 ? 0 : posix_err(errno);
}

static int disk_size(void *ctx, struct disk_file *file, uint64_t *bytes)
{
    struct stat st;
    (void)ctx;
    if (fstat(file->fd, &st) != 0) {
        return posix_err(errno);
    }
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static int disk_reserve(void *ctx, struct disk_file *file, uint64_t bytes)
{
    (void)ctx;
    int number = 0;
    do {
        number = posix_fallocate(file->fd, 0, (off_t)bytes);
    } while (number == EINTR);
    return number == 0 ? 0 : posix_err(number);
}

static int disk_truncate(void *ctx, struct disk_file *file, uint64_t bytes)
{
    (void)ctx;
    return ftruncate(file->fd, (off_t)bytes) == 0 ? 0 : posix_err(errno);
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    struct disk_posix *p = ctx;
    char from_copy[NAME_BYTES_MAX];
    char to_copy[NAME_BYTES_MAX];
    const char *from_last = NULL;
    const char *to_last = NULL;
    int from_dir = -1;
    int to_dir = -1;
    TRY(parent_open(p, from, from_copy, &from_dir, &from_last));
    int err = parent_open(p, to, to_copy, &to_dir, &to_last);
    if (err == 0) {
        err = renameat(from_dir, from_last, to_dir, to_last) == 0 ? 0 : posix_err(errno);
        (void)close(to_dir);
    }
    (void)close(from_dir);
    return err;
}

static int disk_unlink(void *ctx, const char *name)
{
    char copy[NAME_BYTES_MAX];
    const char *last = NULL;
    int dir = -1;
    TRY(parent_open(ctx, name, copy, &dir, &last));
    int err = unlinkat(dir, last, 0) == 0 ? 0 : posix_err(errno);
    (void)close(dir);
    return err;
}

static int disk_make_dir(void *ctx, const char *name)
{
    char copy[NAME_BYTES_MAX];
    const char *last = NULL;
    int dir = -1;
    TRY(parent_open(ctx, name, copy, &dir, &last));
    int err = mkdirat(dir, last, 0700) == 0 ? 0 : posix_err(errno);
    (void)close(dir);
    return err;
}

static int dir_open(struct disk_posix *p, const char *name, int *out)
{
    char copy[NAME_BYTES_MAX];
    const char *last = NULL;
    int dir = -1;
    TRY(parent_open(p, name, copy, &dir, &last));
    int fd = open_retry(dir, last, O_RDONLY | O_DIRECTORY);
    int number = errno;
    (void)close(dir);
    if (fd < 0) {
        return number == ENOTDIR ? ERR_PERMISSION : posix_err(number);
    }
    *out = fd;
    return 0;
}

static int disk_list(void *ctx, const char *dir, void *list_ctx, disk_list_fn *each)
{
    int fd = -1;
    TRY(dir_open(ctx, dir, &fd));
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        int err = posix_err(errno);
        (void)close(fd);
        return err;
    }
    errno = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        struct stat st;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            each(list_ctx, e->d_name, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
        }
        errno = 0;
    }
    int err = errno == 0 ? 0 : posix_err(errno);
    (void)closedir(d);
    return err;
}

static int disk_sync_dir(void *ctx, const char *dir)
{
    int fd = -1;
    TRY(dir_open(ctx, dir, &fd));
    int err = fsync(fd) == 0 ? 0 : posix_err(errno);
    (void)close(fd);
    return err;
}

static int disk_free_bytes(void *ctx, uint64_t *bytes)
{
    struct disk_posix *p = ctx;
    struct statvfs st;
    if (fstatvfs(p->dir, &st) != 0) {
        return posix_err(errno);
    }
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int store_disk_posix_open(struct disk *out, const char *path, const struct alloc *alloc,
                          struct err_info *why)
{
    struct disk_posix *p = alloc_get(alloc, sizeof(*p));
    if (p == NULL) {
        return err_set(why, ERR_NO_MEMORY, "cannot open '%s': out of memory", path);
    }
    p->alloc = *alloc;
    p->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0) {
        int err = posix_err(errno);
        (void)err_set(why, err, "cannot open '%s': %s", path, strerror(errno));
        alloc_put(alloc, p, sizeof(*p));
        return err;
    }
    *out = (struct disk){.ctx = p,
                         .open = disk_open_file,
                         .close = disk_close_file,
                         .read = disk_read,
                         .write = disk_write,
                         .sync = disk_sync,
                         .size = disk_size,
                         .reserve = disk_reserve,
                         .truncate = disk_truncate,
                         .rename = disk_rename,
                         .unlink = disk_unlink,
                         .make_dir = disk_make_dir,
                         .list = disk_list,
                         .sync_dir = disk_sync_dir,
                         .free_bytes = disk_free_bytes};
    return 0;
}

void store_disk_posix_close(struct disk *d)
{
    struct disk_posix *p = d->ctx;
    struct alloc alloc = p->alloc;
    (void)close(p->dir);
    alloc_put(&alloc, p, sizeof(*p));
    d->ctx = NULL;
}
