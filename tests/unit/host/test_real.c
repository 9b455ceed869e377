/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Hosts with the real node, several in one process: what the thread sanitizer is to see at work.
 */
#include "tests/unit/host/host_fixture.h"
#include "tests/unit/unit.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 1500
#define TRY_PAUSE_MS 20

static const char quick[] = "[raft]\nheartbeat = 50ms\nelection = 500ms\n"
                            "[state]\nflush_interval = 50ms\n";
static const struct wire_scan_limits answer_limits = {
    .bytes_max = 1u << 20, .items_max = 4096, .depth_max = WIRE_DEPTH_MAX};

static struct fixture f;
static struct err_info why;

/* Stand before those of the C library in this program: from one batch of the log on, all syncs of
 * that file but the batch's own are refused. */
enum syncs {
    SYNCS_GOOD,
    SYNCS_UNTIL_WRITTEN, /* good until last_words are written */
    SYNCS_ONE_MORE,      /* they are; their own sync is next */
    SYNCS_REFUSED,
};

static const char last_words[] = "the last words";
static atomic_int syncs = SYNCS_GOOD;
static atomic_int last_words_fd = -1;

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    if (atomic_load(&syncs) == SYNCS_UNTIL_WRITTEN &&
        memmem(data, bytes, last_words, strlen(last_words)) != NULL) {
        atomic_store(&last_words_fd, fd);
        atomic_store(&syncs, SYNCS_ONE_MORE);
    }
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

int fdatasync(int fd)
{
    if (atomic_load(&last_words_fd) == fd) {
        int one_more = SYNCS_ONE_MORE;
        if (atomic_load(&syncs) == SYNCS_REFUSED) {
            errno = EIO;
            return -1;
        }
        (void)atomic_compare_exchange_strong(&syncs, &one_more, SYNCS_REFUSED);
    }
    return fsync(fd);
}

/* Takes one whole answer. returns: 0 or ERR_CONNECTION. */
static int receive(int fd, struct buf *in)
{
    size_t bytes = 0;
    int err = WIRE_MORE;
    buf_clear(in);
    while (err == WIRE_MORE) {
        uint8_t byte = 0;
        if (!fixture_receive(fd, &byte, 1)) {
            return ERR_CONNECTION;
        }
        ck_assert_int_eq(buf_put_u8(in, byte), 0);
        err = wire_scan(buf_view(in), &answer_limits, &bytes);
    }
    return err;
}

/* value NULL: the value is written into got, of 64. */
static int call(unsigned i, const char *key, const char *value, char *got)
{
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct wire_node root;
    struct wire_rpc rpc;
    struct wire_error error = {.code = 0};
    struct buf io;
    int fd = fixture_connect(&f, i, false);
    if (fd < 0) {
        return ERR_CONNECTION;
    }
    buf_init(&io, &heap, answer_limits.bytes_max);
    ck_assert_int_eq(wire_decoder_new(&heap, &answer_limits, &decoder), 0);
    (void)wire_pack_request(&io, 7, value == NULL ? WIRE_METHOD_KV_GET : WIRE_METHOD_KV_PUT,
                            value == NULL ? 2 : 3);
    (void)wire_pack_text(&io, WIRE_SPACE_DEFAULT);
    (void)wire_pack_text(&io, key);
    if (value != NULL) {
        (void)wire_pack_text(&io, value);
    }
    int err = fixture_send(fd, io.data, io.size) ? receive(fd, &io) : ERR_CONNECTION;
    if (err == 0) {
        ck_assert_int_eq(wire_decode(decoder, buf_view(&io), &root), 0);
        ck_assert_int_eq(wire_rpc_of(root, &rpc), 0);
        ck_assert_uint_eq(rpc.msgid, 7);
        if (!wire_node_is_nil(rpc.error)) {
            wire_error_of(rpc.error, &error);
        } else if (value == NULL) {
            struct bytes data = bytes_of("", 0);
            (void)wire_node_bytes(wire_node_find(rpc.result, WIRE_FIELD_VALUE), 63, &data);
            (void)snprintf(got, 64, "%.*s", (int)data.size, (const char *)data.data);
        }
        err = error.code;
    }
    (void)close(fd);
    wire_decoder_free(decoder);
    buf_release(&io);
    return err;
}

/* Until a node says yes. */
static void insist(const char *key, const char *value, char *got)
{
    int err = ERR_CONNECTION;
    for (unsigned t = 0; t < TRIES; t++) {
        for (unsigned i = 0; i < f.count && err != 0; i++) {
            err = f.nodes[i].runs ? call(i, key, value, got) : err;
        }
        if (err == 0) {
            return;
        }
        fixture_pause_ms(TRY_PAUSE_MS);
    }
    ck_abort_msg("%s: %s", key, err_name(err));
}

static void put_many(unsigned round)
{
    char key[32];
    char value[32];
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        (void)snprintf(value, sizeof(value), "v%u.%u", i, round);
        insist(key, value, NULL);
    }
}

static void check_many(unsigned round)
{
    char key[32];
    char value[32];
    char got[64];
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        (void)snprintf(value, sizeof(value), "v%u.%u", i, round);
        insist(key, NULL, got);
        ck_assert_str_eq(got, value);
    }
}

static void start(unsigned i)
{
    int err = fixture_start(&f, i, &why);
    ck_assert_msg(err == 0, "%s", why.text);
}

START_TEST(one_node_keeps_values_over_restarts)
{
    fixture_begin(&f, 1, quick);
    for (unsigned round = 0; round < 4; round++) {
        start(0);
        if (round > 0) {
            check_many(round - 1);
        }
        put_many(round);
        ck_assert_int_eq(fixture_stop(&f, 0), 0);
    }
    fixture_end(&f);
}
END_TEST

START_TEST(three_nodes_go_on_while_each_restarts_in_turn)
{
    fixture_begin(&f, 3, quick);
    for (unsigned i = 0; i < 3; i++) {
        start(i);
    }
    put_many(0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(fixture_stop(&f, i), 0);
        check_many(i);
        put_many(i + 1);
        start(i);
    }
    check_many(3);
    fixture_end(&f);
}
END_TEST

/* The empty frame behind the last batch is synced when nobody waits for it. So may be that behind
 * the batch before, at any time: the last batch is known by what it writes. */
START_TEST(a_log_that_fails_while_idle_ends_the_node)
{
    fixture_begin(&f, 1, "[state]\nflush_interval = 60s\n");
    start(0);
    insist("k", "before", NULL);
    ck_assert(fixture_await_lines(&f, 0, "event=actor ", 1)); /* no other batch follows */
    atomic_store(&syncs, SYNCS_UNTIL_WRITTEN);
    ck_assert_int_eq(call(0, "k", last_words, NULL), 0);
    ck_assert(fixture_await_lines(&f, 0, "log_failed", 1));
    ck_assert_int_eq(fixture_stop(&f, 0), ERR_IO);
    atomic_store(&last_words_fd, -1);
    atomic_store(&syncs, SYNCS_GOOD);
    start(0);
    char got[64];
    insist("k", NULL, got);
    ck_assert_str_eq(got, last_words);
    fixture_end(&f);
}
END_TEST

#define SLICE_NS 500000u

/* As sched_setattr(2) has it; the C library does not know it, and the kernel's header not the C
 * library. */
struct slice_attr {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* of a slice */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

/* returns: how long the kernel lets a thread run before it looks at others; 0: it does not tell. */
static uint64_t slice_of(id_t thread)
{
    struct slice_attr shape = {.size = sizeof(shape)};
    ck_assert_int_eq(syscall(SYS_sched_getattr, thread, &shape, sizeof(shape), 0), 0);
    return shape.runtime_ns;
}

/* returns: threads of this process that have this nice value. *prompt: those of them with short
 * slices. */
static unsigned threads_of_nice(int nice, unsigned *prompt)
{
    unsigned count = 0;
    *prompt = 0;
    DIR *tasks = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(tasks);
    for (struct dirent *e = readdir(tasks); e != NULL; e = readdir(tasks)) {
        const id_t id = (id_t)strtoul(e->d_name, NULL, 10);
        if (id != 0 && getpriority(PRIO_PROCESS, id) == nice) {
            *prompt += slice_of(id) == SLICE_NS;
            count++;
        }
    }
    (void)closedir(tasks);
    return count;
}

/* Programs have what is left, however many of them there are. */
START_TEST(threads_of_programs_give_way_to_all_others)
{
    const int own = getpriority(PRIO_PROCESS, 0);
    const int behind = own + 10 < 19 ? own + 10 : 19;
    ck_assert_int_lt(own, behind); /* or there is nothing to be seen */
    fixture_begin(&f, 1, "[limits]\nworkers = 5\n");
    start(0);
    unsigned prompt = 0;
    for (unsigned i = 0; i < TRIES && threads_of_nice(behind, &prompt) < 4; i++) {
        fixture_pause_ms(TRY_PAUSE_MS);
    }
    ck_assert_uint_eq(threads_of_nice(behind, &prompt), 4);
    ck_assert_uint_eq(prompt, 0);
    ck_assert_uint_ge(threads_of_nice(own, &prompt), 5 + 1); /* workers, the loop, and more */
    if (slice_of(0) != 0) {                                  /* a kernel that has slices */
        for (unsigned i = 0; i < TRIES && prompt < 5 + 1; i++) {
            fixture_pause_ms(TRY_PAUSE_MS);
            (void)threads_of_nice(own, &prompt);
        }
        ck_assert_uint_ge(prompt, 5 + 1);
    }
    insist("k", "still there", NULL);
    ck_assert_int_eq(fixture_stop(&f, 0), 0);
    fixture_end(&f);
}
END_TEST

UNIT_MAIN("host_real", a_log_that_fails_while_idle_ends_the_node,
          one_node_keeps_values_over_restarts, threads_of_programs_give_way_to_all_others,
          three_nodes_go_on_while_each_restarts_in_turn)
