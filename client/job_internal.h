/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: what a program over objects has found so far, in keys of the strong keyspace, so that it
 * can go on where it ended (docs/adr/0038).
 *
 *   KEY                     the head: program, objects' name, tables
 *   KEY/OBJECT              an object, as it was when its turn came; from 00000000
 *   KEY/OBJECT/CELL         the state of the program over a cell of it; likewise
 *
 * The run decides what is committed and what is found (run_job.c); here are names and values
 * (job_code.c; docs/formats.md) and the end of a job (job_forget.c).
 *
 * threads: the loop's.
 */
#ifndef HOLDFAST_CLIENT_JOB_INTERNAL_H
#define HOLDFAST_CLIENT_JOB_INTERNAL_H

#include "client/object_internal.h"

#define JOB_FORMAT 1u
#define JOB_NUMBER_MAX 99999999u                /* of an object or a cell */
#define JOB_SUFFIX_BYTES 18u                    /* of the longest key, behind KEY */
#define JOB_STATE_BYTES_MAX ((size_t)256 << 10) /* of larger ones only the digest is kept */
#define JOB_TASK_HEAD_BYTES 90u                 /* of a task, before its state */
#define JOB_VALUE_BYTES_MAX ((size_t)WIRE_VALUE_BYTES_MAX)

enum job_value { JOB_VALUE_OTHER, JOB_VALUE_HEAD, JOB_VALUE_OBJECT, JOB_VALUE_TASK };

/* returns: of what a value is, by its first bytes. */
enum job_value hf_job_value_of(struct bytes value);
/* returns: whether a key that begins with prefix has the form of an object's or a task's. */
bool hf_job_key_is(struct bytes key, size_t prefix_bytes);
/* KEY/OBJECT, or KEY/OBJECT/CELL where cell is not NULL. returns: 0 or what the buffer returns. */
int hf_job_key_put(struct buf *out, struct bytes key, uint64_t object, const uint64_t *cell);

/* --- the head --- */

struct job_table {
    struct bytes table;
    struct bytes bucket;
    struct bytes name;
    uint64_t version;
    struct bytes root;
};
struct job_head {
    bool done;
    struct bytes text;
    struct bytes bucket;
    struct bytes name; /* or, with many, the prefix */
    bool many;
    uint32_t tables_count;
    struct job_table tables[WIRE_LOOKUPS_MAX];
};
int hf_job_head_put(struct buf *out, const struct job_head *head);
/* returns: 0; ERR_LEVEL (a later format), ERR_PROTOCOL. Views into the value. */
int hf_job_head_take(struct bytes value, struct job_head *out);
/* returns: 0; ERR_CONFLICT: they are of different jobs, and why says in what. */
int hf_job_head_compare(const struct job_head *mine, const struct job_head *there,
                        struct err_info *why);

/* --- objects --- */

struct job_object {
    struct bytes name;
    uint64_t version;
    struct bytes root;
    uint64_t size;
    uint64_t cell_bytes; /* 0: it has no cells */
};
int hf_job_object_put(struct buf *out, const struct job_object *object);
int hf_job_object_take(struct bytes value, struct job_object *out);
/* As job_head_compare. */
int hf_job_object_compare(const struct job_object *mine, const struct job_object *there,
                          struct err_info *why);

/* --- tasks --- */

struct job_task {
    bool decoded;
    bool whole;    /* has its state, not the digest alone */
    bool checked;  /* two nodes have computed it */
    uint32_t node; /* where the last part of it was computed */
    uint64_t from;
    uint64_t to;
    struct bytes origin; /* what program, tables and object it is of: 32 bytes */
    struct bytes digest; /* of the state: the root that an object of these bytes has */
    struct bytes state;
};
int hf_job_task_put(struct buf *out, const struct job_task *task);
int hf_job_task_take(struct bytes value, struct job_task *out);
/* The root that an object of these bytes has. returns: 0 or ERR_NO_MEMORY. */
int hf_job_digest(struct bytes data, uint8_t out[MERKLE_HASH_BYTES]);

#endif
