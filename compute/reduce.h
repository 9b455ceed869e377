/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reduce operators over raw arrays: records of a fixed size that lie without gaps from the first
 * byte of an object on, with a little-endian number at a fixed place in each. A state covers a span
 * of the object's bytes, which may begin and end inside records: the pieces of these are kept, and
 * joined when the states of spans that touch are merged. The state of a span is the same bytes
 * whatever it was put together from, so a repeated or moved task can be held against the first.
 *
 *   compute_reduce_new(&r, &heap, &spec, cell_offset, &why);
 *   compute_reduce_update(r, bytes);    the bytes that follow, in pieces of any size
 *   compute_reduce_merge(r, next);      next begins where r ends
 *   compute_reduce_finish(r, &value);   r covers the object from 0 to its end
 *   compute_reduce_free(r);
 *
 * Results:
 *
 * count: records.
 *
 * sum, dot: whole numbers of 128 bits, or ERR_OVERFLOW; of floats the exact value rounded to the
 * nearest double; of nothing 0.
 *
 * min, max: -0 is below +0; NaN if there is one. argmin, argmax: number of the record, from 0, the
 * first of equals; of a NaN, if there is one.
 *
 * mean: the exact mean rounded to the nearest double. var, varp: the exact variance, over n - 1
 * and over n, rounded likewise.
 *
 * histogram: how many records are in each of `count` bins from `low` to `high`: bin i has those
 * from low + (high - low) * i / count, in doubles, to below the next. log: how many are in each
 * 2^count-th part of a power of two, where there are any.
 *
 * quantile: the number of rank floor(low * (n - 1)), within a part of a power of two, as log: off
 * by at most 1 / (2^(count + 1) + 1) of it, if it is no subnormal; NaN if there is one (Masson,
 * Rim, Lee, "DDSketch", 2019, with parts of powers of two for its logarithms, and no limit on
 * buckets).
 *
 * distinct: an estimate of how many different numbers there are, standard error 0.8 % (Flajolet
 * and others, "HyperLogLog", 2007; estimator: Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches", 2017, algorithm 6); -0 is 0, and all NaN are one.
 *
 * top: the `count` greatest numbers, NaN first, then by record.
 *
 * min, max, argmin, argmax, mean, varp and quantile of nothing, and var of one record, are
 * ERR_NOT_FOUND. Whole numbers are rounded to doubles for histogram, log and quantile.
 *
 * Limits: records of up to COMPUTE_RECORD_MAX bytes; objects of less than 2^63 bytes. Nothing is
 * allocated after compute_reduce_new and compute_reduce_decode.
 *
 * threads: one owner of a state at a time.
 */
#ifndef HOLDFAST_COMPUTE_REDUCE_H
#define HOLDFAST_COMPUTE_REDUCE_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "compute/value.h"
#include "compute/whole.h"

#define COMPUTE_RECORD_MAX 65536u
#define COMPUTE_REDUCE_FORMAT 1u
#define COMPUTE_BINS_MAX 65536u
#define COMPUTE_PARTS_MAX 8u /* of log and quantile: 2^8 parts of each power of two */
#define COMPUTE_TOP_MAX 1024u

/* The numbers are part of encodings and never change. */
enum compute_op {
    COMPUTE_OP_COUNT,
    COMPUTE_OP_SUM,
    COMPUTE_OP_MIN,
    COMPUTE_OP_MAX,
    COMPUTE_OP_MEAN,
    COMPUTE_OP_VAR,
    COMPUTE_OP_VARP,
    COMPUTE_OP_DOT,
    COMPUTE_OP_ARGMIN,
    COMPUTE_OP_ARGMAX,
    COMPUTE_OP_HISTOGRAM,
    COMPUTE_OP_LOG,
    COMPUTE_OP_QUANTILE,
    COMPUTE_OP_DISTINCT,
    COMPUTE_OP_TOP,
    COMPUTE_OPS,
    COMPUTE_OP_OR = COMPUTE_OPS, /* of the bits of whole numbers: of scans alone */
};

enum compute_type {
    COMPUTE_I8,
    COMPUTE_U8,
    COMPUTE_I16,
    COMPUTE_U16,
    COMPUTE_I32,
    COMPUTE_U32,
    COMPUTE_I64,
    COMPUTE_U64,
    COMPUTE_F32,
    COMPUTE_F64,
    COMPUTE_TYPES,
};

struct compute_reduce_spec {
    enum compute_op op;
    enum compute_type type;
    uint32_t record_bytes;
    uint32_t field; /* first byte of the number in a record */
    uint32_t other; /* of the second factor; 0 but for dot */
    /* 0 but where told */
    uint32_t count; /* histogram: bins; log, quantile: 0 to COMPUTE_PARTS_MAX; top: numbers */
    double low;     /* histogram: least number; quantile: from 0 to 1 */
    double high;    /* histogram: end of the last bin */
};

struct compute_reduce;

/* returns: "count", "sum" and so on; "i8" and so on. Static. */
const char *compute_op_name(enum compute_op op);
const char *compute_type_name(enum compute_type type);
/* returns: bytes of a number. */
unsigned compute_type_bytes(enum compute_type type);

/* The state of an empty span at offset `from` of the object.
 * returns: 0, ERR_INVALID (spec), ERR_RANGE (from), ERR_NO_MEMORY. */
int compute_reduce_new(struct compute_reduce **out, const struct alloc *alloc,
                       const struct compute_reduce_spec *spec, uint64_t from, struct err_info *why);
void compute_reduce_free(struct compute_reduce *r);
/* Offers arrays that lie without gaps to what the host has. whole: borrowed; may be NULL. */
void compute_reduce_use(struct compute_reduce *r, const struct compute_whole *whole);

/* Takes in the bytes that follow. returns: 0, or ERR_RANGE (beyond 2^63) and nothing is taken. */
int compute_reduce_update(struct compute_reduce *r, struct bytes data);
/* Takes in the span of `next`, which stays as it is.
 * returns: 0, or ERR_INVALID: another operator, or it does not begin where `into` ends. */
int compute_reduce_merge(struct compute_reduce *into, const struct compute_reduce *next);

/* returns: bytes that a state takes: up to 8.2 MiB for log and quantile, else under 1.2 MiB. */
size_t compute_reduce_bytes(const struct compute_reduce_spec *spec);

/* Ends the object from 0 on: what is merged or updated next is of another object, from its 0.
 * returns: 0; ERR_RANGE: r does not begin at 0, or its last record is cut; ERR_INVALID: the
 * operator says where in an object something is (argmin, argmax, top). */
int compute_reduce_next(struct compute_reduce *r);
/* The result, if it is one value, for an object that is just the span.
 * returns: 0; ERR_RANGE (the span does not begin at 0 or ends inside a record); ERR_OVERFLOW;
 * ERR_NOT_FOUND (too few records); ERR_CORRUPT (decoded from what no records give); ERR_INVALID
 * (histogram, log or top). */
int compute_reduce_finish(const struct compute_reduce *r, struct compute_value *out);
/* The result as lines. histogram and log: from,to,records for each bin, of histogram also for what
 * lies below and above, and of both for NaN, if there are any. top: number,record. Else the value.
 * returns: as compute_reduce_finish; and what buf_append returns. */
int compute_reduce_text(const struct compute_reduce *r, struct buf *into);

/* Appends the canonical encoding of the state (docs/formats.md).
 * returns: 0, what buf_append returns, or ERR_OVERFLOW: no records give such a state. */
int compute_reduce_encode(const struct compute_reduce *r, struct buf *into);
/* A state from all of its encoding.
 * returns: 0; ERR_LEVEL (a later format); ERR_PROTOCOL (not an encoding); ERR_NO_MEMORY. */
int compute_reduce_decode(struct compute_reduce **out, const struct alloc *alloc,
                          struct bytes encoded);

#endif
