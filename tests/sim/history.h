/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Histories of client operations, as JSON lines in time order, and the check that one is
 * linearizable. A line is
 *   {"process":int,"type":"invoke|ok|fail|info","f":"get|put|cas|delete","key":str,"value":any,
 *    "time":ns}
 * cas carries [old,new]; absent is null; fail: certainly not done; info: unknown, and the process
 * number is not used again.
 *
 * The checker is the one of Wing and Gong with Lowe's memory of visited configurations ("Testing
 * for linearizability", 2017), key by key.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_TESTS_SIM_HISTORY_H
#define HOLDFAST_TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum history_f { HISTORY_GET = 0, HISTORY_PUT, HISTORY_CAS, HISTORY_DELETE };
enum history_end { HISTORY_OPEN = 0, HISTORY_OK, HISTORY_FAIL, HISTORY_INFO };

#define HISTORY_ABSENT 0u          /* values are numbers above 0; on paper "v<number>" */
#define HISTORY_FOREIGN UINT32_MAX /* a value nobody wrote */

struct history_op {
    uint32_t process;
    uint32_t key;
    enum history_f f;
    enum history_end end;
    uint32_t old;   /* cas */
    uint32_t value; /* put, cas: new; get: what was read */
    uint64_t invoke_ns;
    uint64_t end_ns;
};

struct history {
    struct history_op *ops;
    uint32_t count;
    uint32_t cap;
};

void history_init(struct history *h);
void history_release(struct history *h);
/* returns: the number of the operation. */
uint32_t history_invoke(struct history *h, const struct history_op *op);
void history_end(struct history *h, uint32_t op, enum history_end end, uint32_t value,
                 uint64_t now_ns);
/* Writes it in time order. returns: whether all was written. */
bool history_write(const struct history *h, FILE *to);
/* Reads what history_write or another program wrote; values are any strings or null.
 * returns: false with a sentence in why (at least 200 bytes). */
bool history_read(struct history *h, FILE *from, char *why);

/* returns: whether the history is linearizable; else *key is a key whose operations are not.
 * steps_max bounds the search of one key; a search beyond it
 * counts as not linearizable, with *gave_up. */
bool history_check(const struct history *h, uint64_t steps_max, uint32_t *key, bool *gave_up);

#endif
