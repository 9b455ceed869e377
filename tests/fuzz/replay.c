/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs everywhere what the fuzz programs run under clang: each file of a corpus, every example cut
 * at every byte, and random mutations of both.
 *   replay KIND CORPUS [ROUNDS]      HOLDFAST_SEED=N replays a run.
 */
#include "tests/fuzz/fuzz_compute.h"
#include "tests/fuzz/fuzz_crdt.h"
#include "tests/fuzz/fuzz_eventual.h"
#include "tests/fuzz/fuzz_extent.h"
#include "tests/fuzz/fuzz_gossip.h"
#include "tests/fuzz/fuzz_program.h"
#include "tests/fuzz/fuzz_run.h"
#include "tests/fuzz/fuzz_wire.h"

#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 512u

struct inputs {
    struct buf all[INPUTS_MAX];
    unsigned count;
};

static struct inputs inputs;

static struct buf *inputs_more(void)
{
    struct alloc heap = alloc_heap();
    ASSERT(inputs.count < INPUTS_MAX);
    struct buf *b = &inputs.all[inputs.count++];
    buf_init(b, &heap, 2 * FUZZ_MESSAGE_BYTES_MAX);
    return b;
}

static int read_corpus(const char *path)
{
    char name[1024];
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return ERR_NOT_FOUND;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        uint8_t block[4096];
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "rb");
        if (file == NULL) {
            continue;
        }
        struct buf *b = inputs_more();
        for (size_t got = 1; got > 0;) {
            got = fread(block, 1, sizeof(block), file);
            (void)buf_append(b, block, got);
        }
        (void)fclose(file);
    }
    (void)closedir(folder);
    return 0;
}

static void frame_example(struct buf *b, unsigned i)
{
    struct wire_frame_expect expect = fuzz_expect();
    struct wire_frame_header h = {.level = 1, .kind = (uint16_t)i, .sender = 1};
    h.destination = expect.self;
    memcpy(h.cluster, expect.cluster, sizeof(h.cluster));
    (void)wire_frame_begin(b);
    for (unsigned j = 0; j < i * i; j++) {
        (void)buf_put_u64(b, j);
    }
    ASSERT(wire_frame_end(b, 0, &h) == 0);
}

struct kind {
    const char *name;
    void (*body)(struct bytes input);
    void (*example)(struct buf *out, unsigned i);
    unsigned examples;
};

static const struct kind kinds[] = {
    {"message", fuzz_message, fuzz_example, FUZZ_EXAMPLES},
    {"frame", fuzz_frame, frame_example, 8},
    {"gossip_seal", fuzz_gossip_seal, fuzz_gossip_seal_example, FUZZ_GOSSIP_EXAMPLES},
    {"gossip_keyring", fuzz_gossip_keyring, fuzz_gossip_keyring_example, FUZZ_GOSSIP_EXAMPLES},
    {"gossip_receive", fuzz_gossip_receive, fuzz_gossip_receive_example, FUZZ_GOSSIP_EXAMPLES},
    {"crdt", fuzz_crdt, fuzz_crdt_example, FUZZ_CRDT_EXAMPLES},
    {"compute", fuzz_compute, fuzz_compute_example, FUZZ_COMPUTE_EXAMPLES},
    {"program", fuzz_program, fuzz_program_example, FUZZ_PROGRAM_EXAMPLES},
    {"task", fuzz_task, fuzz_task_example, 2 * FUZZ_PROGRAM_EXAMPLES},
    {"eventual", fuzz_eventual, fuzz_eventual_example, FUZZ_EVENTUAL_EXAMPLES},
    {"run", fuzz_run, fuzz_run_example, FUZZ_RUN_EXAMPLES},
    {"extent", fuzz_extent, fuzz_extent_example, FUZZ_EXTENT_EXAMPLES},
};

static const struct kind *kind_of(const char *name)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* A few changes of the kinds that decoders trip over. */
static void mutate(struct rng *rng, struct buf *b)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                      0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8,
                                      0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xfe, 0xff};
    unsigned changes = 1 + (unsigned)rng_below(rng, 4);
    for (unsigned i = 0; i < changes && b->size > 0; i++) {
        size_t at = rng_below(rng, b->size);
        switch (rng_below(rng, 5)) {
        case 0: b->data[at] ^= (uint8_t)(1u << rng_below(rng, 8)); break;
        case 1: b->data[at] = telling[rng_below(rng, sizeof(telling))]; break;
        case 2: b->size = at; break;
        case 3:
            memmove(b->data + at, b->data + at + 1, b->size - at - 1);
            b->size--;
            break;
        default: rng_fill(rng, b->data + at, NUM_MIN(b->size - at, 4)); break;
        }
    }
}

/* Bytes in memory of exactly their size, so that a sanitizer sees one byte too far. */
static void run(const struct kind *kind, struct bytes v)
{
    struct alloc heap = alloc_heap();
    uint8_t *copy = alloc_get(&heap, NUM_MAX(v.size, 1));
    ASSERT(copy != NULL);
    if (v.size > 0) {
        memcpy(copy, v.data, v.size);
    }
    kind->body(bytes_of(copy, v.size));
    alloc_put(&heap, copy, NUM_MAX(v.size, 1));
}

int main(int argc, char **argv)
{
    struct rng rng;
    struct alloc heap = alloc_heap();
    struct buf work;
    const struct kind *kind = argc < 3 ? NULL : kind_of(argv[1]);
    if (kind == NULL || read_corpus(argv[2]) != 0) {
        (void)fprintf(stderr, "usage: replay KIND CORPUS [ROUNDS]\n");
        return 2;
    }
    unsigned long rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000;
    const char *given = getenv("HOLDFAST_SEED");
    unsigned long long seed = given != NULL ? strtoull(given, NULL, 0) : 1;
    printf("replay %s: seed=%llu corpus=%u\n", argv[1], seed, inputs.count);
    for (unsigned i = 0; i < kind->examples; i++) {
        kind->example(inputs_more(), i);
    }
    for (unsigned i = 0; i < inputs.count; i++) {
        for (size_t cut = 0; cut <= NUM_MIN(inputs.all[i].size, 2000); cut++) {
            run(kind, bytes_of(inputs.all[i].data, cut)); /* attack 5 */
        }
        run(kind, buf_view(&inputs.all[i]));
    }
    rng_init(&rng, seed);
    buf_init(&work, &heap, 2 * FUZZ_MESSAGE_BYTES_MAX);
    for (unsigned long i = 0; i < rounds; i++) {
        struct bytes from = buf_view(&inputs.all[rng_below(&rng, inputs.count)]);
        buf_clear(&work);
        (void)buf_append(&work, from.data, NUM_MIN(from.size, 4096));
        mutate(&rng, &work);
        run(kind, buf_view(&work));
    }
    buf_release(&work);
    for (unsigned i = 0; i < inputs.count; i++) {
        buf_release(&inputs.all[i]);
    }
    printf("replay %s: ok inputs=%u mutations=%lu\n", argv[1], inputs.count, rounds);
    return 0;
}
