/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/gpu/emulated.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 64u
#define QUEUE_MAX 64u
#define JUNK 0xc3

enum step_kind {
    STEP_IN,
    STEP_OUT,
    STEP_WITHIN,
    STEP_RS,
    STEP_XOR,
    STEP_LEAVES,
    STEP_SUM,
    STEP_FINGERS,
    STEP_REDUCE,
    STEP_SCAN,
    STEP_SCAN_LOOK,
    STEP_SORT,
    STEP_GROUPS,
};
struct step {
    enum step_kind kind;
    size_t at;
    size_t bytes;
    struct gpu_rs_pass rs;
    struct gpu_xor_pass by_xor;
    struct gpu_sha_pass leaves;
    struct gpu_sum_pass sum;
    struct gpu_finger_pass fingers;
    struct gpu_reduce_pass reduce;
    struct gpu_scan_pass scan; /* and the look at it */
    struct gpu_sort_pass sort;
    struct gpu_groups_pass groups;
};
struct queue {
    unsigned device;
    bool is_busy; /* nobody has waited since something was put into it */
    struct step step[QUEUE_MAX];
    unsigned count;
};

struct emulated emulated;
static unsigned busy; /* lanes */

void emulated_reset(void)
{
    busy = 0;
    emulated = (struct emulated){.is_eager = EMULATED_IS_EAGER,
                                 .devices = 1,
                                 .capability = {9, 9},
                                 .current = EMULATED_NO_DEVICE};
}

/* returns: what this call answers. */
static int call(void)
{
    return ++emulated.calls == emulated.fail_at ? emulated.error : 0;
}

static int count(unsigned *out)
{
    *out = emulated.devices;
    return emulated.count_error != 0 ? emulated.count_error : call();
}

static int describe(unsigned device, struct gpu_device *out)
{
    ASSERT(device < emulated.devices && device < EMULATED_DEVICES_MAX);
    (void)snprintf(out->name, sizeof(out->name), "Emulated %u", device);
    out->memory_bytes = 4 * GPU_LANE_BYTES_MIN;
    out->major = emulated.capability[device];
    return call();
}

static int use(unsigned device)
{
    ASSERT(device < emulated.devices);
    const int error = call();
    emulated.current = error == 0 ? device : EMULATED_NO_DEVICE;
    return error;
}

/* returns: the lane's queue. */
static struct queue *queue_of(const struct gpu_lane *lane)
{
    struct queue *q = lane->queue;
    ASSERT(q->device == emulated.current);
    return q;
}

static uint8_t *guarded(size_t bytes)
{
    uint8_t *memory = aligned_alloc(64, (bytes + 63) / 64 * 64 + 2 * GUARD_BYTES);
    ASSERT(memory != NULL && bytes % 32 == 0);
    memset(memory, JUNK, bytes + 2 * GUARD_BYTES);
    return memory + GUARD_BYTES;
}

static void check_guards(const uint8_t *memory, size_t bytes)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        ASSERT(memory[bytes + i] == JUNK);
        ASSERT(*(memory - 1 - i) == JUNK);
    }
}

static int lane_open(struct gpu_lane *lane)
{
    ASSERT(emulated.current != EMULATED_NO_DEVICE);
    int error = call();
    if (error != 0) {
        return error;
    }
    emulated.lanes_open++;
    lane->host = guarded(lane->bytes);
    error = call();
    if (error != 0) {
        return error;
    }
    lane->device = guarded((lane->bytes + 31) / 32 * 32);
    struct queue *q = calloc(1, sizeof(*q));
    ASSERT(q != NULL);
    q->device = emulated.current;
    lane->queue = q;
    emulated.lanes_of[q->device]++;
    return 0;
}

static void lane_close(struct gpu_lane *lane)
{
    if (lane->queue != NULL) {
        /* a device that cannot be chosen any more is closed all the same */
        const struct queue *q = lane->queue;
        ASSERT(emulated.current == EMULATED_NO_DEVICE || emulated.current == q->device);
        emulated.lanes_of[q->device]--;
    }
    if (lane->host != NULL) {
        check_guards(lane->host, lane->bytes);
        free(lane->host - GUARD_BYTES);
        emulated.lanes_open--;
    }
    if (lane->device != NULL) {
        check_guards(lane->device, lane->bytes);
        free(lane->device - GUARD_BYTES);
    }
    free(lane->queue);
}

static struct step *put(struct gpu_lane *lane, enum step_kind kind)
{
    struct queue *q = queue_of(lane);
    ASSERT(q->count < QUEUE_MAX);
    busy += !q->is_busy;
    q->is_busy = true;
    emulated.busy_most = busy > emulated.busy_most ? busy : emulated.busy_most;
    struct step *s = &q->step[q->count++];
    s->kind = kind;
    return s;
}

static uint64_t threads_of(const struct step *s)
{
    switch (s->kind) {
    case STEP_RS: return gpu_rs_threads(&s->rs);
    case STEP_XOR: return gpu_xor_threads(&s->by_xor);
    case STEP_LEAVES: return gpu_sha_threads(&s->leaves);
    case STEP_SUM: return gpu_sum_threads(&s->sum);
    case STEP_SCAN_LOOK: return gpu_scan_threads(&s->scan);
    default: return 0;
    }
}

static void run_thread(const struct step *s, uint64_t thread)
{
    switch (s->kind) {
    case STEP_RS: gpu_rs_thread(&s->rs, s->rs.rows, thread); break;
    case STEP_XOR: gpu_xor_thread(&s->by_xor, s->by_xor.k, s->by_xor.rows, thread); break;
    case STEP_LEAVES: gpu_sha_thread(&s->leaves, thread); break;
    case STEP_SUM: gpu_sum_thread(&s->sum, thread); break;
    case STEP_SCAN_LOOK: gpu_scan_thread(&s->scan, thread); break;
    default: break;
    }
}

/* Two kernels, one behind the other. */
static void run_fingers_pass(const struct gpu_finger_pass *p)
{
    for (uint64_t i = gpu_finger_threads(p); i-- > 0;) {
        gpu_finger_thread(p, i);
    }
    for (uint64_t i = gpu_finger_end_threads(p); i-- > 0;) {
        gpu_finger_end_thread(p, i);
    }
}

/* Threads in an order of its own: a kernel may rely on none. */
static void run_pass(const struct step *s)
{
    for (uint64_t i = threads_of(s); i-- > 0;) {
        run_thread(s, i);
    }
}

/* Scratch memory holds junk before and after whatever is done in it. */
static void spoil(uint8_t *scratch, uint64_t bytes)
{
    memset(scratch, JUNK, (size_t)bytes);
}

static void put_word(uint8_t *at, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(word >> 8 * i);
    }
}

static void run_reduce_pass(const struct gpu_reduce_pass *p)
{
    struct gpu_pair sum = gpu_reduce_none(p->fold);
    spoil(p->scratch, p->scratch_bytes);
    for (uint32_t i = p->count; i-- > 0;) {
        sum = gpu_reduce_join(p->fold, sum,
                              gpu_reduce_of(p->fold, p->of, gpu_word_load(p->values, i), i));
    }
    put_word(p->result, sum.first);
    put_word(p->result + 8, sum.second);
}

static void run_scan_pass(const struct gpu_scan_pass *p)
{
    uint64_t sum = p->carry;
    spoil(p->scratch, p->scratch_bytes);
    for (uint32_t i = 0; i < p->count; i++) {
        sum = gpu_scan_join(p->fold, p->of, sum, gpu_word_load(p->values, i));
        put_word(p->results + (size_t)i * 8, sum);
    }
}

struct sorted {
    uint64_t key;
    uint32_t place;
};

static int by_key(const void *a, const void *b)
{
    const struct sorted *x = a;
    const struct sorted *y = b;
    const int keys = (x->key > y->key) - (x->key < y->key);
    return keys != 0 ? keys : (x->place > y->place) - (x->place < y->place);
}

/* Places rise, so that the order by key and place is the stable one. */
static void run_sort_pass(const struct gpu_sort_pass *p)
{
    struct sorted *list = malloc(p->count * sizeof(*list));
    ASSERT(list != NULL);
    for (uint64_t i = gpu_sort_threads(p); i-- > 0;) {
        gpu_sort_thread(p, i);
    }
    spoil(p->scratch, p->scratch_bytes);
    for (uint32_t i = 0; i < p->count; i++) {
        list[i].key = gpu_word_load(p->keys, i);
        memcpy(&list[i].place, p->places + (size_t)i * GPU_SORT_PLACE_BYTES, GPU_SORT_PLACE_BYTES);
    }
    qsort(list, p->count, sizeof(*list), by_key);
    for (uint32_t i = 0; i < p->count; i++) {
        put_word(p->sorted + (size_t)i * 8, list[i].key);
        memcpy(p->order + (size_t)i * GPU_SORT_PLACE_BYTES, &list[i].place, GPU_SORT_PLACE_BYTES);
    }
    free(list);
}

static void put_group(const struct gpu_groups_pass *p, uint32_t i, uint64_t key,
                      const struct gpu_group_sum *sum)
{
    uint8_t *at = p->sums + (size_t)i * GPU_GROUP_SUM_BYTES;
    put_word(p->group_keys + (size_t)i * 8, key);
    put_word(at, sum->count);
    put_word(at + 8, sum->high);
    put_word(at + 16, sum->low);
}

static void run_groups_pass(const struct gpu_groups_pass *p)
{
    uint64_t key = gpu_word_load(p->keys, 0);
    struct gpu_group_sum sum = gpu_group_of(p->values, p->of, 0);
    uint32_t found = 0;
    spoil(p->scratch, p->scratch_bytes);
    for (uint32_t i = 1; i < p->count; i++) {
        const struct gpu_group_sum one = gpu_group_of(p->values, p->of, i);
        const uint64_t next = gpu_word_load(p->keys, i);
        if (next == key) {
            sum = gpu_group_join(sum, one);
        } else {
            put_group(p, found++, key, &sum);
            sum = one;
        }
        key = next;
    }
    put_group(p, found++, key, &sum);
    found = emulated.groups_found != 0 ? emulated.groups_found : found;
    memcpy(p->found, &found, sizeof(found));
}

static void run_queue(struct gpu_lane *lane)
{
    struct queue *q = queue_of(lane);
    for (unsigned i = 0; i < q->count; i++) {
        const struct step *s = &q->step[i];
        switch (s->kind) {
        case STEP_IN: memcpy(lane->device, lane->host, s->bytes); break;
        case STEP_OUT: memcpy(lane->host + s->at, lane->device + s->at, s->bytes); break;
        case STEP_WITHIN: memcpy(lane->device + s->bytes, lane->device, s->bytes); break;
        case STEP_FINGERS: run_fingers_pass(&s->fingers); break;
        case STEP_REDUCE: run_reduce_pass(&s->reduce); break;
        case STEP_SCAN: run_scan_pass(&s->scan); break;
        case STEP_SORT: run_sort_pass(&s->sort); break;
        case STEP_GROUPS: run_groups_pass(&s->groups); break;
        default: run_pass(s); break;
        }
    }
    q->count = 0;
}

/* Something has been put into the lane's queue. */
static int put_done(struct gpu_lane *lane)
{
    if (emulated.is_eager) {
        run_queue(lane);
    }
    return call();
}

static int copy_in(struct gpu_lane *lane, size_t bytes)
{
    ASSERT(bytes <= lane->bytes);
    put(lane, STEP_IN)->bytes = bytes;
    return put_done(lane);
}

static int copy_out(struct gpu_lane *lane, size_t at, size_t bytes)
{
    ASSERT(at <= lane->bytes && bytes <= lane->bytes - at);
    struct step *s = put(lane, STEP_OUT);
    s->at = at;
    s->bytes = bytes;
    return put_done(lane);
}

static int copy_within(struct gpu_lane *lane, size_t bytes)
{
    ASSERT(2 * bytes <= lane->bytes);
    put(lane, STEP_WITHIN)->bytes = bytes;
    return put_done(lane);
}

static bool is_within(const struct gpu_lane *lane, const uint8_t *at, uint64_t bytes)
{
    return at >= lane->device && at + bytes <= lane->device + lane->bytes &&
           (uintptr_t)at % GPU_UNIT_BYTES == 0;
}

static int run_rs(struct gpu_lane *lane, const struct gpu_rs_pass *pass)
{
    ASSERT(pass->stride_bytes % GPU_RS_COLUMN_BYTES == 0);
    ASSERT(pass->rows <= 4 || pass->rows == GPU_RS_PASS_ROWS);
    ASSERT(is_within(lane, pass->data, pass->k * pass->stride_bytes));
    ASSERT(is_within(lane, pass->coded, pass->rows * pass->stride_bytes));
    put(lane, STEP_RS)->rs = *pass;
    emulated.by_rows[pass->rows]++;
    return put_done(lane);
}

static int run_xor(struct gpu_lane *lane, const struct gpu_xor_pass *pass)
{
    ASSERT(pass->stride_bytes % GPU_UNIT_BYTES == 0);
    ASSERT(pass->k <= GPU_XOR_K_MAX && pass->rows <= GPU_XOR_ROWS_MAX);
    ASSERT(is_within(lane, pass->data, pass->k * pass->stride_bytes));
    ASSERT(is_within(lane, pass->coded, pass->rows * pass->stride_bytes));
    put(lane, STEP_XOR)->by_xor = *pass;
    emulated.by_code[pass->k][pass->rows]++;
    emulated.by_xor++;
    return put_done(lane);
}

static int run_leaves(struct gpu_lane *lane, const struct gpu_sha_pass *pass)
{
    ASSERT(is_within(lane, pass->data, pass->bytes));
    ASSERT(is_within(lane, pass->hashes, gpu_sha_threads(pass) * GPU_HASH_BYTES));
    put(lane, STEP_LEAVES)->leaves = *pass;
    return put_done(lane);
}

static int run_sum(struct gpu_lane *lane, const struct gpu_sum_pass *pass)
{
    ASSERT(is_within(lane, pass->values, pass->tiles * GPU_SUM_TILE_BYTES));
    ASSERT(is_within(lane, pass->sums, pass->tiles * GPU_SUM_RESULT_BYTES));
    put(lane, STEP_SUM)->sum = *pass;
    return put_done(lane);
}

static int run_fingers(struct gpu_lane *lane, const struct gpu_finger_pass *pass)
{
    const uint64_t tiles = pass->count * gpu_finger_tiles(pass);
    ASSERT(pass->stride_bytes > 0 && pass->stride_bytes % GPU_FINGER_BYTES == 0);
    ASSERT(is_within(lane, pass->columns, pass->count * pass->stride_bytes));
    ASSERT(is_within(lane, pass->parts, tiles * GPU_FINGER_PART_BYTES));
    ASSERT(is_within(lane, pass->sums, tiles * GPU_FINGER_BYTES));
    put(lane, STEP_FINGERS)->fingers = *pass;
    emulated.by_fingers++;
    return put_done(lane);
}

/* As much as the tests say for a record, and something. */
static int room(enum gpu_array array, uint32_t count, size_t *bytes)
{
    ASSERT((unsigned)array < EMULATED_ARRAYS && count > 0 && count <= GPU_ARRAY_MAX);
    ASSERT(emulated.current != EMULATED_NO_DEVICE);
    *bytes = 300 + (size_t)count * emulated.scratch_bytes_each;
    return call();
}

/* What all passes over arrays have. */
static void check_array(const struct gpu_lane *lane, enum gpu_array array, uint32_t count,
                        const uint8_t *scratch, uint64_t scratch_bytes)
{
    ASSERT(count > 0 && scratch_bytes >= 300 + (uint64_t)count * emulated.scratch_bytes_each);
    ASSERT(is_within(lane, scratch, scratch_bytes));
    emulated.by_array[array]++;
}

static int run_reduce(struct gpu_lane *lane, const struct gpu_reduce_pass *pass)
{
    check_array(lane, GPU_ARRAY_REDUCE, pass->count, pass->scratch, pass->scratch_bytes);
    ASSERT(is_within(lane, pass->values, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->result, sizeof(struct gpu_pair)));
    put(lane, STEP_REDUCE)->reduce = *pass;
    return put_done(lane);
}

static int run_scan(struct gpu_lane *lane, const struct gpu_scan_pass *pass)
{
    check_array(lane, GPU_ARRAY_SCAN, pass->count, pass->scratch, pass->scratch_bytes);
    ASSERT(is_within(lane, pass->values, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->results, (uint64_t)pass->count * 8));
    put(lane, STEP_SCAN)->scan = *pass;
    return put_done(lane);
}

static int run_scan_look(struct gpu_lane *lane, const struct gpu_scan_pass *pass)
{
    ASSERT(is_within(lane, pass->results, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->left, gpu_scan_threads(pass)));
    put(lane, STEP_SCAN_LOOK)->scan = *pass;
    return put_done(lane);
}

static int run_sort(struct gpu_lane *lane, const struct gpu_sort_pass *pass)
{
    check_array(lane, GPU_ARRAY_SORT, pass->count, pass->scratch, pass->scratch_bytes);
    ASSERT(is_within(lane, pass->keys, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->sorted, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->order, (uint64_t)pass->count * GPU_SORT_PLACE_BYTES));
    ASSERT(is_within(lane, pass->places, gpu_sort_threads(pass) * GPU_UNIT_BYTES));
    put(lane, STEP_SORT)->sort = *pass;
    return put_done(lane);
}

static int run_groups(struct gpu_lane *lane, const struct gpu_groups_pass *pass)
{
    check_array(lane, GPU_ARRAY_GROUPS, pass->count, pass->scratch, pass->scratch_bytes);
    ASSERT(is_within(lane, pass->keys, (uint64_t)pass->count * 8));
    ASSERT(pass->values == NULL || is_within(lane, pass->values, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->found, GPU_GROUPS_FOUND_BYTES));
    ASSERT(is_within(lane, pass->group_keys, (uint64_t)pass->count * 8));
    ASSERT(is_within(lane, pass->sums, (uint64_t)pass->count * GPU_GROUP_SUM_BYTES));
    put(lane, STEP_GROUPS)->groups = *pass;
    return put_done(lane);
}

static int wait_for(struct gpu_lane *lane)
{
    struct queue *q = queue_of(lane);
    const int error = call();
    if (error == 0) {
        run_queue(lane);
        busy -= q->is_busy;
        q->is_busy = false;
    }
    return error;
}

static int clock_start(struct gpu_lane *lane)
{
    (void)queue_of(lane);
    return call();
}

/* Every measurement takes a second. */
static int clock_stop(struct gpu_lane *lane, double *seconds)
{
    *seconds = 1.0;
    return wait_for(lane);
}

static bool is_memory(int error)
{
    return error == EMULATED_NO_MEMORY;
}

static void text(int error, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%d, emulated", error);
}

const struct gpu_driver emulated_driver = {
    .count_call = "emulated count",
    .count = count,
    .describe = describe,
    .use = use,
    .lane_open = lane_open,
    .lane_close = lane_close,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .copy_within = copy_within,
    .run_rs = run_rs,
    .run_xor = run_xor,
    .run_leaves = run_leaves,
    .run_sum = run_sum,
    .run_fingers = run_fingers,
    .room = room,
    .run_reduce = run_reduce,
    .run_scan = run_scan,
    .run_scan_look = run_scan_look,
    .run_sort = run_sort,
    .run_groups = run_groups,
    .wait = wait_for,
    .clock_start = clock_start,
    .clock_stop = clock_stop,
    .is_memory = is_memory,
    .text = text,
};
