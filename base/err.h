/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Errors: one table for the whole product. The numbers travel on the wire and on disk and never
 * change; the thousand they lie in says what became of the request:
 *
 *   -1xxx  not done, try again         -3xxx  outcome unknown
 *   -2xxx  not done, do not try again  -4xxx  done, but the answer is not to be had
 *   -5xxx  damaged data
 *
 * Functions return 0 or an ERR_ code. Cold calls (open, configure, start) also fill a
 * struct err_info with a sentence that names the object.
 *
 * threads: every function may be called from any thread; an err_info has one owner.
 */
#ifndef HOLDFAST_BASE_ERR_H
#define HOLDFAST_BASE_ERR_H

#include "base/attr.h"

#define ERR_MAP(X)                                                \
    X(BUSY, -1001, "queue is full")                               \
    X(NO_MEMORY, -1002, "out of memory")                          \
    X(NO_LEADER, -1003, "group has no leader")                    \
    X(NOT_LEADER, -1004, "this node does not lead the group")     \
    X(DISK_FULL, -1005, "disk is full")                           \
    X(UNAVAILABLE, -1006, "too few nodes are up")                 \
    X(MOVED, -1007, "group does not own the slot")                \
    X(STARTING, -1008, "node is starting")                        \
    X(UNREACHABLE, -1009, "no node can be reached")               \
    X(BEHIND, -1010, "replica is behind")                         \
    X(NO_RIGHTS, -1011, "too few rights are held here")           \
    X(BAD_NAME, -2001, "name is not allowed")                     \
    X(INVALID, -2002, "argument is not valid")                    \
    X(TOO_LARGE, -2003, "value is too large")                     \
    X(NOT_FOUND, -2004, "not found")                              \
    X(EXISTS, -2005, "exists already")                            \
    X(CONFLICT, -2006, "value is not the expected one")           \
    X(RANGE, -2007, "range lies beyond the end")                  \
    X(SESSION_EXPIRED, -2008, "session has expired")              \
    X(VERSION_GONE, -2009, "version has been replaced and freed") \
    X(UNKNOWN_METHOD, -2010, "method is not known")               \
    X(PROTOCOL, -2011, "bytes do not follow the protocol")        \
    X(BAD_CONFIG, -2012, "configuration is not valid")            \
    X(NOT_EMPTY, -2013, "not empty")                              \
    X(SCHEME, -2014, "nodes cannot hold this erasure code")       \
    X(WRONG_CLUSTER, -2015, "belongs to another cluster")         \
    X(FENCED, -2016, "node is fenced")                            \
    X(OVERFLOW, -2017, "number would overflow")                   \
    X(WRONG_TYPE, -2018, "value has another type")                \
    X(IN_USE, -2019, "in use by another process")                 \
    X(CANCELLED, -2020, "upload was cancelled")                   \
    X(COMPACTED, -2021, "history is no longer kept")              \
    X(LEVEL, -2022, "format level is not supported")              \
    X(PERMISSION, -2023, "permission denied")                     \
    X(REPLAYED, -2024, "packet was seen before")                  \
    X(TIMEOUT, -3001, "no answer in time")                        \
    X(CONNECTION, -3002, "connection was lost")                   \
    X(IO, -3003, "input or output failed")                        \
    X(FORGOTTEN, -3004, "whether it was done is not known here")  \
    X(DONE, -4001, "done already")                                \
    X(CORRUPT, -5001, "bytes do not match checksum")              \
    X(LOST, -5002, "too few intact copies are left")

enum err {
#define ERR_ENUM(name, number, text) ERR_##name = (number),
    ERR_MAP(ERR_ENUM)
#undef ERR_ENUM
};

enum err_outcome {
    ERR_OUTCOME_OK = 0,
    ERR_OUTCOME_RETRY,
    ERR_OUTCOME_REFUSED,
    ERR_OUTCOME_UNKNOWN,
    ERR_OUTCOME_DONE,
    ERR_OUTCOME_DAMAGED,
};

/* Where a cold call failed and a sentence that names the object. */
struct err_info {
    int code;
    const char *file;
    int line;
    char text[240];
};

/* returns: "BUSY" and so on; "OK" for 0, "UNKNOWN" for a number outside the table. Static. */
const char *err_name(int code);

/* returns: the short sentence of the table. Static. */
const char *err_text(int code);

/* returns: what became of a request that ended with code, by its thousand. */
enum err_outcome err_outcome_of(int code);

/* Fills why (may be NULL) and returns code, so that a failing call ends with `return err_set(...)`.
 */
#define err_set(why, code, ...) err_set_at((why), (code), __FILE__, __LINE__, __VA_ARGS__)
int err_set_at(struct err_info *why, int code, const char *file, int line, const char *format, ...)
    ATTR_PRINTF(5, 6);

/* The only macro that hides a return. */
#define TRY(expr)              \
    do {                       \
        int try_err_ = (expr); \
        if (try_err_ != 0) {   \
            return try_err_;   \
        }                      \
    } while (0)

/* States what only a bug can break. Stays on in release and kills the process. */
#define ASSERT(cond) ((cond) ? (void)0 : err_assert_fail(__FILE__, __LINE__, #cond))
ATTR_NORETURN void err_assert_fail(const char *file, int line, const char *condition);

/* Costly checks, in debug builds only. */
#ifdef HOLDFAST_DEBUG
#define DASSERT(cond) ASSERT(cond)
#else
#define DASSERT(cond) ((void)sizeof(!(cond)))
#endif

#endif
