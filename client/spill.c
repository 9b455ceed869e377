/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs of groups as files.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* O_TMPFILE */
#endif

#include "client/spill_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spill_run {
    int fd;
    uint64_t bytes;
};

static int spill_code(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return ERR_DISK_FULL;
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENAMETOOLONG: return ERR_INVALID; /* the directory */
    default: return ERR_IO;
    }
}

/* returns: the error of errno, said with what failed. */
static int spill_fail(struct hf_spill *s, const char *what)
{
    const int code = spill_code(errno);
    return err_set(&s->why, code, "cannot %s what is beyond memory in '%s': %s", what, s->dir,
                   strerror(errno));
}

/* A new file that had a name for a moment. returns: -1: errno says why. */
static int spill_file_named(const char *dir)
{
    static const char name[] = "/holdfast.XXXXXX";
    const size_t bytes = strlen(dir) + sizeof(name);
    char *path = malloc(bytes);
    if (path == NULL) {
        return -1;
    }
    (void)snprintf(path, bytes, "%s%s", dir, name);
    int fd = mkstemp(path);
    if (fd >= 0 && (unlink(path) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)) {
        const int kept = errno;
        (void)close(fd);
        fd = -1;
        errno = kept;
    }
    free(path);
    return fd;
}

/* A new file in the directory without a name. returns: -1: errno says why. */
static int spill_file(const char *dir)
{
#ifdef O_TMPFILE
    const int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
#endif
    return spill_file_named(dir); /* a file system that cannot do without */
}

static int spill_create(void *ctx, void **out)
{
    struct hf_spill *s = ctx;
    struct spill_run *run = malloc(sizeof(*run));
    if (run == NULL) {
        return ERR_NO_MEMORY;
    }
    *run = (struct spill_run){.fd = spill_file(s->dir)};
    if (run->fd < 0) {
        const int err = spill_fail(s, "keep");
        free(run);
        return err;
    }
    *out = run;
    return 0;
}

static int spill_append(void *ctx, void *at, struct bytes data)
{
    struct spill_run *run = at;
    while (data.size > 0) {
        const ssize_t wrote = pwrite(run->fd, data.data, data.size, (off_t)run->bytes);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return spill_fail(ctx, "keep");
        }
        run->bytes += (uint64_t)wrote;
        data = bytes_of(data.data + wrote, data.size - (size_t)wrote);
    }
    return 0;
}

static int spill_read(void *ctx, void *at, uint64_t from, void *into, size_t bytes)
{
    const struct spill_run *run = at;
    uint8_t *to = into;
    while (bytes > 0) {
        const ssize_t got = pread(run->fd, to, bytes, (off_t)from);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EIO : errno; /* shorter than what was written */
            return spill_fail(ctx, "read");
        }
        to += got;
        from += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return 0;
}

static void spill_remove(void *ctx, void *at)
{
    struct spill_run *run = at;
    (void)ctx;
    (void)close(run->fd);
    free(run);
}

void hf_spill_init(struct hf_spill *s, const char *dir)
{
    *s = (struct hf_spill){.spill = {.ctx = s,
                                     .create = spill_create,
                                     .append = spill_append,
                                     .read = spill_read,
                                     .remove = spill_remove},
                           .dir = dir};
}
