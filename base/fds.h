/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Standard input, output and error. A process that was started without one of them gives its number
 * to the next file or socket that it opens, and what it prints or logs goes there.
 *
 * threads: at the start of a program, before there are any.
 */
#ifndef HOLDFAST_BASE_FDS_H
#define HOLDFAST_BASE_FDS_H

/* Takes the numbers of those that are closed. To read or write them is an error as before.
 * returns: 0, or ERR_IO: a number is free still. */
int fds_keep_standard(void);

#endif
