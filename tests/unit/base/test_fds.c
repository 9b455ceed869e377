/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Standard files that a process was started without.
 */
#include "base/fds.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What is found with some of the three closed; the test's own are back then. */
struct found {
    int err;
    int next;    /* the number of the next file */
    int written; /* errno of a write to output, or 0 */
    int read;    /* errno of a read from input, or 0 */
};

static struct found with_closed(unsigned closed)
{
    struct found found = {.err = 0};
    int kept[3];
    char byte = 0;
    for (int fd = 0; fd < 3; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD, 10);
        ck_assert_int_ge(kept[fd], 10);
    }
    for (int fd = 0; fd < 3; fd++) {
        if ((closed >> fd & 1u) != 0) {
            (void)close(fd);
        }
    }
    found.err = fds_keep_standard();
    found.next = open("/dev/null", O_RDONLY);
    (void)close(found.next);
    if ((closed & 2u) != 0) {
        found.written = write(1, &byte, 1) < 0 ? errno : 0;
    }
    if ((closed & 1u) != 0) {
        found.read = read(0, &byte, 1) < 0 ? errno : 0;
    }
    for (int fd = 0; fd < 3; fd++) {
        (void)dup2(kept[fd], fd);
        (void)close(kept[fd]);
    }
    return found;
}

START_TEST(no_file_gets_the_number_of_a_standard_one)
{
    for (unsigned closed = 0; closed < 8; closed++) {
        const struct found found = with_closed(closed);
        ck_assert_int_eq(found.err, 0);
        ck_assert_int_ge(found.next, 3);
        ck_assert_int_eq(found.written, (closed & 2u) != 0 ? EBADF : 0);
        ck_assert_int_eq(found.read, (closed & 1u) != 0 ? EBADF : 0);
    }
}
END_TEST

UNIT_MAIN("base_fds", no_file_gets_the_number_of_a_standard_one)
