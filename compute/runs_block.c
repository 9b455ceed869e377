/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs as blocks, whatever is in them.
 */
#include "base/crc.h"
#include "base/num.h"
#include "compute/runs_internal.h"

#define BLOCK_BYTES (64u << 10) /* a block ends with what passes this */
#define BLOCK_HEAD 8u

bool compute_runs_is_full(const struct compute_runs *r)
{
    return r->count >= COMPUTE_RUNS_MERGED &&
           r->run[r->count - COMPUTE_RUNS_MERGED].level == r->run[r->count - 1].level;
}

void compute_runs_release(struct compute_runs *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        r->spill->remove(r->spill->ctx, r->run[i].run);
    }
    r->count = 0;
}

/* --- writing --- */

int compute_run_writer_start(struct compute_run_writer *w, const struct compute_spill *spill,
                             const struct alloc *alloc, unsigned level)
{
    *w = (struct compute_run_writer){.spill = spill, .run = {.level = level}};
    buf_init(&w->block, alloc, SIZE_MAX);
    return spill->create(spill->ctx, &w->run.run);
}

static int writer_flush(struct compute_run_writer *w)
{
    const size_t bytes = w->block.size;
    if (bytes <= BLOCK_HEAD) {
        return 0;
    }
    if (bytes - BLOCK_HEAD > UINT32_MAX) {
        return ERR_TOO_LARGE;
    }
    num_put_u32(w->block.data, (uint32_t)(bytes - BLOCK_HEAD));
    num_put_u32(w->block.data + 4, crc_of(w->block.data + BLOCK_HEAD, bytes - BLOCK_HEAD));
    TRY(w->spill->append(w->spill->ctx, w->run.run, buf_view(&w->block)));
    w->run.bytes += bytes;
    buf_clear(&w->block);
    return 0;
}

struct buf *compute_run_writer_block(struct compute_run_writer *w)
{
    if (w->block.size == 0) {
        (void)buf_put_u64(&w->block, 0); /* the head */
    }
    return &w->block;
}

int compute_run_writer_keep(struct compute_run_writer *w)
{
    TRY(w->block.err);
    return w->block.size >= BLOCK_BYTES ? writer_flush(w) : 0;
}

int compute_run_writer_end(struct compute_run_writer *w, int err, struct compute_run *out)
{
    err = err == 0 ? writer_flush(w) : err;
    buf_release(&w->block);
    if (err != 0 && w->run.run != NULL) {
        w->spill->remove(w->spill->ctx, w->run.run);
    }
    *out = w->run;
    return err;
}

/* --- reading --- */

void compute_run_reader_init(struct compute_run_reader *r, const struct compute_spill *spill,
                             const struct compute_run *run, const struct alloc *alloc)
{
    *r = (struct compute_run_reader){.spill = spill, .run = run};
    buf_init(&r->block, alloc, SIZE_MAX);
}

void compute_run_reader_release(struct compute_run_reader *r)
{
    buf_release(&r->block);
}

int compute_run_reader_next(struct compute_run_reader *r)
{
    uint8_t head[BLOCK_HEAD];
    const uint64_t left = r->run->bytes - r->at;
    if (r->rest.left > 0) {
        return 0;
    }
    r->ended = left == 0;
    buf_clear(&r->block);
    if (r->ended) {
        return 0;
    }
    if (left < BLOCK_HEAD) {
        return ERR_CORRUPT;
    }
    TRY(r->spill->read(r->spill->ctx, r->run->run, r->at, head, sizeof(head)));
    const size_t bytes = num_get_u32(head);
    if (bytes == 0 || bytes > left - BLOCK_HEAD) {
        return ERR_CORRUPT;
    }
    TRY(buf_reserve(&r->block, bytes));
    TRY(r->spill->read(r->spill->ctx, r->run->run, r->at + BLOCK_HEAD, r->block.data, bytes));
    r->block.size = bytes;
    r->at += BLOCK_HEAD + bytes;
    r->rest = bytes_reader_of(buf_view(&r->block));
    return crc_of(r->block.data, bytes) == num_get_u32(head + 4) ? 0 : ERR_CORRUPT;
}
