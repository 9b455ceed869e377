/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fds.h"

#include "base/err.h"

#include <fcntl.h>
#include <unistd.h>

int fds_keep_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        const int way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY; /* the one that is of no use */
        if (open("/dev/null", way) != fd) {                       /* the least that is free */
            return ERR_IO;
        }
    }
    return 0;
}
