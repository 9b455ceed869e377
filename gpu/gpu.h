/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plug-in's table: what `holdfast-gpu.so` offers, as plain C. The shared object exports the
 * table under GPU_TABLE_SYMBOL and nothing else; gpu/load.h opens it.
 *
 *   table->probe(&count, why, sizeof(why));           count 0: `why` says why
 *   table->describe(device, &about, why, sizeof(why));
 *   table->open(&gpu, device, &settings, why, sizeof(why));
 *   table->rs(gpu, &job);                             as compute_rs_encode, to the last bit, and
 *                                                     fingerprints as compute/finger.h has them
 *   table->leaf_hashes(gpu, data, bytes, hashes);     as compute_leaf_hashes
 *   table->sum_f64s(gpu, values, count, &sink);       for gpu/sum.h: exact sums
 *   table->reduce(gpu, &job, &reduced);               sums, least, greatest of an array
 *   table->scan(gpu, &job, &scanned);                 running sums and the like, inclusive
 *   table->sort(gpu, &job, &run);                     sorted runs; the caller merges them
 *   table->groups(gpu, &job);                         counts and sums by keys that are sorted
 *   table->failure(gpu)                               after an error: what the device said
 *   table->close(gpu);
 *
 * A job of any size is cut into pieces. While one piece is computed, the next is on its way to the
 * device and the one before on its way back: each has a lane of its own, with page-locked memory,
 * device memory and a queue.
 *
 * Sizes are in bytes. All memory in arguments is the caller's, any alignment, borrowed for the
 * call.
 *
 * Errors: calls return 0 or a number of base/err.h.
 *   ERR_INVALID      an argument is beyond the limits; nothing was done
 *   ERR_NOT_FOUND    there is no such device
 *   ERR_NO_MEMORY    memory for the lanes is not to be had, here or there; or a lane has too little
 *                    for what a job over an array wants: nothing was done
 *   ERR_UNAVAILABLE  the device or its driver failed. Results are then of no use: do the job on the
 *                    processor, and close the device. Every later call on the same `struct gpu`
 *                    answers this without a try. It may be opened again after a while; after an
 *                    error of a kernel CUDA mostly refuses that until the process has ended.
 *
 * Limits: k and rows at most GPU_RS_MAX; devices of compute capability 8.0 and later.
 *
 * threads: probe and describe from any thread. A struct gpu has one owner at a time. Every call may
 * block for as long as a driver pleases: none belongs on a loop thread.
 */
#ifndef HOLDFAST_GPU_GPU_H
#define HOLDFAST_GPU_GPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A change of anything in this header is another version. */
#define GPU_TABLE_VERSION 7u
#define GPU_TABLE_SYMBOL "gpu_table"
#define GPU_RS_MAX 32u
#define GPU_LEAF_BYTES 16384u
#define GPU_HASH_BYTES 32u
#define GPU_FINGER_BYTES 32u
#define GPU_WHY_BYTES 240u /* room for any text of this table */
#define GPU_LANES_MAX 8u
#define GPU_LANE_BYTES_MIN (256u << 10) /* a leaf and 2 * GPU_RS_MAX columns fit */

struct gpu;

struct gpu_device {
    char name[96];
    uint64_t memory_bytes;
    uint32_t major; /* compute capability */
    uint32_t minor;
};

struct gpu_settings {
    size_t lane_bytes; /* of page-locked memory, and as much on the device; 0: 32 MiB */
    unsigned lanes;    /* pieces under way at once, at most GPU_LANES_MAX; 0: 3 */
};

/* coded[i] = sum over j of coefficients[i * k + j] * data[j], byte by byte, over GF(2^8) modulo
 * 0x11d. The matrix may be any: parity rows encode, rows of an inverse decode. */
struct gpu_rs_job {
    unsigned k;
    unsigned rows;
    const uint8_t *coefficients; /* rows * k */
    const uint8_t *const *data;  /* k sources of bytes each */
    uint8_t *const *coded;       /* rows results of bytes each, apart from all sources */
    size_t bytes;
    /* NULL, or room for the fingerprints of all sources and then of all results, GPU_FINGER_BYTES
     * each, as they are on the device. With rows 0 those of the sources are all there is to do. */
    uint8_t *fingers;
};

/* A part of an exact sum: (high1 * 2^32 + low1) * unit1 + (high2 * 2^32 + low2) * unit2. The four
 * numbers are less than 2^53 either way, so doubles hold them; units are powers of two. There is a
 * value among those it stands for that is no zero. */
struct gpu_sum_part {
    int64_t high1;
    int64_t low1;
    int64_t high2;
    int64_t low2;
    double unit1;
    double unit2;
};

/* Takes a sum: each value is in one part, or in one range that the caller adds itself. Called by
 * the thread that called sum_f64s, before that returns; also in calls that then fail. */
struct gpu_sum_sink {
    void *ctx;
    void (*part)(void *ctx, const struct gpu_sum_part *part);
    void (*rest)(void *ctx, size_t from, size_t count); /* numbers of values */
};

/* How the 64 bits of a number are read, as enum compute_class (compute/range.h). */
enum gpu_class {
    GPU_SIGNED,
    GPU_UNSIGNED,
    GPU_REAL,
};

enum gpu_fold {
    GPU_FOLD_SUM,
    GPU_FOLD_LEAST,
    GPU_FOLD_MOST,
    GPU_FOLD_OR, /* of the bits of whole numbers: of scans alone */
};

/* A whole number of 128 bits, two's complement. */
struct gpu_whole {
    uint64_t low;
    int64_t high;
};

/* Not the sum of doubles, which is sum_f64s. */
struct gpu_reduce_job {
    enum gpu_fold fold;
    enum gpu_class of;
    const void *values; /* count numbers of 64 bits without gaps, any alignment, little-endian */
    size_t count;
};

/* sum: of GPU_FOLD_SUM, exact. key, place: of the others, as compute_range_of has the least and the
 * greatest key, and the number of the first value that has it, from 0; of a NaN, if there is one.
 * Of no values: the sum 0, the key UINT64_MAX of the least and 0 of the greatest, no place. */
struct gpu_reduced {
    struct gpu_whole sum;
    uint64_t key;
    uint64_t place;
};

/* result[i] is what carry and value[0] to value[i] come to; of whole numbers. */
struct gpu_scan_job {
    enum gpu_fold fold;
    enum gpu_class of;
    const void *values; /* as those of struct gpu_reduce_job */
    void *results;      /* count numbers likewise, apart from the values */
    size_t count;
    /* what all values before come to. Before there are some: 0 of sums and GPU_FOLD_OR, the
     * greatest number of GPU_FOLD_LEAST and the least one of GPU_FOLD_MOST */
    uint64_t carry;
};

/* As compute_scan_sums has it, of which this is the inclusive kind: done counts the values that can
 * be added before the sum of all so far leaves its range. Sums behind such a one are modulo 2^64.
 * Of other operators done is the count. */
struct gpu_scanned {
    uint64_t carry; /* what all values up to the end come to */
    size_t done;
};

/* Sorts keys, equal ones as they came. A piece of the keys becomes a sorted run; all runs but the
 * last have the same number of keys. */
struct gpu_sort_job {
    const void *keys; /* count numbers of 64 bits without sign, as the values of a reduction */
    void *sorted;     /* the keys, run by run, likewise, apart from `keys`; NULL: not asked for */
    void *order;      /* of each the place among all keys, from 0: 32 bits, little-endian */
    size_t count;     /* at most UINT32_MAX */
};

/* Records of one key, one behind the other. */
struct gpu_group {
    uint64_t key;
    uint64_t count;
    struct gpu_whole sum; /* of their values, exact */
};

/* Takes records whose keys are sorted, or lie beside their equals, and gives each group in its
 * order. group is called by the thread that called, before that returns; also in calls that then
 * fail. */
struct gpu_groups_job {
    enum gpu_class of;  /* of the values, which are whole numbers */
    const void *keys;   /* count numbers of 64 bits, as the values of a reduction */
    const void *values; /* likewise; NULL: zeros */
    size_t count;
    void *ctx;
    void (*group)(void *ctx, const struct gpu_group *group);
};

enum gpu_kernel {
    GPU_KERNEL_COPY, /* one half of a lane to the other: the device's own memory rate */
    GPU_KERNEL_RS,
    GPU_KERNEL_LEAVES,
    GPU_KERNEL_SUM,
    GPU_KERNEL_FINGERS, /* of one column */
    GPU_KERNEL_REDUCE,  /* a sum of whole numbers */
    GPU_KERNEL_SCAN,    /* likewise, running */
    GPU_KERNEL_SORT,
    GPU_KERNEL_GROUPS, /* its bytes are those of the records alone */
    GPU_KERNELS,
};

/* What to time in device memory, without the way there and back. */
struct gpu_rate_job {
    enum gpu_kernel kernel;
    unsigned rounds; /* from 1 */
    unsigned k;      /* these three: GPU_KERNEL_RS */
    unsigned rows;
    const uint8_t *coefficients; /* rows * k */
    /* what the lane holds at first, again and again, fill_bytes of it; NULL: whatever it does */
    const void *fill;
    size_t fill_bytes;
};

struct gpu_rate {
    uint64_t bytes; /* read and written by all rounds: sources and results, each once */
    double seconds; /* by the device's clock */
};

struct gpu_table {
    uint32_t version; /* GPU_TABLE_VERSION; the first two stay what they are in every version */
    uint32_t bytes;   /* of this struct */

    /* Counts devices. Any error of the driver means that there is none: then count is 0, and why
     * (why_bytes of room) says what the driver answered. why is empty if there are some. */
    void (*probe)(unsigned *count, char *why, size_t why_bytes);
    /* returns: 0; ERR_NOT_FOUND; ERR_UNAVAILABLE. why: as for probe, on an error. */
    int (*describe)(unsigned device, struct gpu_device *out, char *why, size_t why_bytes);

    /* Takes a device and memory for the lanes. settings: may be NULL.
     * returns: 0; ERR_NOT_FOUND (no such device, or too old a one); ERR_INVALID (settings);
     * ERR_NO_MEMORY; ERR_UNAVAILABLE. why: as for probe, on an error. */
    int (*open)(struct gpu **out, unsigned device, const struct gpu_settings *settings, char *why,
                size_t why_bytes);
    /* gpu: may be NULL; may have failed. */
    void (*close)(struct gpu *gpu);
    /* returns: what the device said when a call failed; "" if none has. Ends with gpu. */
    const char *(*failure)(const struct gpu *gpu);

    /* returns: 0; ERR_INVALID; ERR_UNAVAILABLE. bytes 0 or rows 0: nothing is coded; fingerprints
     * of no bytes are zeros. */
    int (*rs)(struct gpu *gpu, const struct gpu_rs_job *job);
    /* SHA-256(0x00 || leaf) of consecutive leaves of GPU_LEAF_BYTES, the last one possibly shorter
     * (RFC 6962, section 2.1). hashes: GPU_HASH_BYTES a leaf. bytes 0 writes nothing.
     * returns: 0; ERR_UNAVAILABLE. */
    int (*leaf_hashes)(struct gpu *gpu, const uint8_t *data, size_t bytes, uint8_t *hashes);
    /* Adds up count doubles that lie without gaps, any alignment, little-endian, without rounding.
     * returns: 0; ERR_UNAVAILABLE. */
    int (*sum_f64s)(struct gpu *gpu, const void *values, size_t count,
                    const struct gpu_sum_sink *sink);
    /* returns: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_UNAVAILABLE. out: untouched on an error. */
    int (*reduce)(struct gpu *gpu, const struct gpu_reduce_job *job, struct gpu_reduced *out);
    /* returns: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_UNAVAILABLE. out: untouched on an error. */
    int (*scan)(struct gpu *gpu, const struct gpu_scan_job *job, struct gpu_scanned *out);
    /* run: keys of a run, from 1; if they are all, all are sorted. Untouched on an error.
     * returns: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_UNAVAILABLE. */
    int (*sort)(struct gpu *gpu, const struct gpu_sort_job *job, size_t *run);
    /* returns: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_UNAVAILABLE. */
    int (*groups)(struct gpu *gpu, const struct gpu_groups_job *job);
    /* Runs a kernel over a lane's memory. For programs that measure.
     * returns: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_UNAVAILABLE. */
    int (*rate)(struct gpu *gpu, const struct gpu_rate_job *job, struct gpu_rate *out);
};

#ifdef __cplusplus
}
#endif

#endif
