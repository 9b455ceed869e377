/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Putting an object: its bytes go in parts, in order, to the node where the upload lives, several
 * on their way at once; the root grows with them and is named in the commit.
 *
 *   READING -> OPENING -> STREAMING -> COMMITTING -> ended
 *      ^________|____________|            | outcome unknown
 *        the node is lost: again       CHECKING: does the name hold this root now?
 *
 * A part that is refused as not the next one (an earlier one was refused or lost) is sent again
 * when it is the first of those that are unanswered.
 */
#include "client/object_internal.h"

#include "base/crc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUT_WINDOW 6u
#define PUT_PREFIX_BYTES ((size_t)8 << 20) /* read before the upload to learn a small size */
#define PUT_RESTARTS_MAX 3u
#define PUT_COMMITS_MAX 3u

enum put_state { PUT_OPENING = 0, PUT_STREAMING, PUT_COMMITTING, PUT_CHECKING };

struct put_part {
    struct hf_put *put;
    uint8_t *data;
    size_t bytes;
    uint64_t offset;
    uint32_t crc;
    bool received;
    struct hf_call *call; /* NULL: not on its way */
};

struct hf_put {
    struct hf_transfer transfer; /* first */
    struct buf bucket;
    struct buf name;
    struct buf prefix;
    size_t prefix_at;
    struct hf_source source;
    struct compute *compute;
    struct hf_hasher hasher;
    uint8_t root[MERKLE_HASH_BYTES];
    enum put_state state;
    struct hf_call *call; /* of anything but parts */
    struct put_part parts[PUT_WINDOW];
    unsigned first;
    unsigned count;
    size_t part_bytes;
    uint64_t upload;
    bool uploading;
    uint32_t node;
    uint32_t lost; /* node that is not tried again */
    bool ended;    /* the source */
    bool size_known;
    uint64_t size;
    uint64_t received;
    unsigned restarts;
    unsigned commits;
    uint64_t timeout_ms;
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

/* ---- end ------------------------------------------------------------------------------------ */

static void put_release(struct hf_put *p)
{
    for (unsigned i = 0; i < PUT_WINDOW; i++) {
        free(p->parts[i].data);
    }
    compute_free(p->compute);
    buf_release(&p->bucket);
    buf_release(&p->name);
    buf_release(&p->prefix);
    free(p);
}

static void put_drop_calls(struct hf_put *p)
{
    for (unsigned i = 0; i < PUT_WINDOW; i++) {
        if (p->parts[i].call != NULL) {
            hf_call_drop(p->parts[i].call);
            p->parts[i].call = NULL;
        }
    }
    if (p->call != NULL) {
        hf_call_drop(p->call);
        p->call = NULL;
    }
}

/* Lets the node forget the upload; nobody waits for the answer. */
static void put_abort(struct hf_put *p)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_ABORT,
                                      .class = HF_ONCE,
                                      .params = 1,
                                      .pin = p->node,
                                      .no_retry = true,
                                      .timeout_ms = 2000};
    struct hf_call *call = NULL;
    if (!p->uploading || hf_call_new(p->transfer.client, &spec, &call) != 0) {
        return;
    }
    (void)wire_pack_u64(&call->head, p->upload);
    (void)hf_call_start(call, NULL, NULL);
    p->uploading = false;
}

static void put_end(struct hf_put *p, int code, const char *text, const struct hf_object_info *info)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {.code = code, .text = "", .objects = info, .count = info != NULL};
    hf_op_subject(subject, sizeof(subject), buf_view(&p->name));
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    }
    hf_transfer_remove(&p->transfer);
    put_drop_calls(p);
    if (code != 0 && p->state == PUT_STREAMING) {
        put_abort(p);
    }
    p->done(p->ctx, &result);
    put_release(p);
}

static void put_cancel(struct hf_transfer *t, int code, const char *text)
{
    struct hf_put *p = (struct hf_put *)t;
    bool unknown = p->state == PUT_COMMITTING || p->state == PUT_CHECKING;
    put_end(p, unknown ? ERR_CONNECTION : code, text, NULL);
}

/* ---- the source ----------------------------------------------------------------------------- */

/* Fills into as far as the source goes. returns: 0 or its error. */
static int put_read_source(struct hf_put *p, uint8_t *into, size_t bytes, size_t *filled)
{
    *filled = 0;
    while (*filled < bytes && !p->ended) {
        size_t got = 0;
        TRY(p->source.read(p->source.ctx, into + *filled, bytes - *filled, &got));
        *filled += got;
        p->ended = got == 0;
    }
    return 0;
}

/* From what was read before the upload, then from the source. */
static int put_read(struct hf_put *p, uint8_t *into, size_t bytes, size_t *filled)
{
    size_t ready = NUM_MIN(bytes, p->prefix.size - p->prefix_at);
    if (ready > 0) {
        memcpy(into, p->prefix.data + p->prefix_at, ready);
        p->prefix_at += ready;
    }
    *filled = ready;
    if (ready < bytes) {
        size_t more = 0;
        TRY(put_read_source(p, into + ready, bytes - ready, &more));
        *filled += more;
    }
    return 0;
}

static int put_learn_size(struct hf_put *p)
{
    size_t got = 0;
    if (p->size_known) {
        return 0;
    }
    TRY(buf_reserve(&p->prefix, PUT_PREFIX_BYTES));
    TRY(put_read_source(p, p->prefix.data, PUT_PREFIX_BYTES, &got));
    p->prefix.size = got;
    p->prefix_at = 0;
    if (p->ended) {
        p->size_known = true;
        p->size = got;
    }
    return 0;
}

/* ---- again ---------------------------------------------------------------------------------- */

static int put_open(struct hf_put *p);

static void put_lost(struct hf_put *p, const char *why)
{
    char name[HF_NAME_BYTES];
    char text[HF_TEXT_BYTES];
    hf_node_name(p->transfer.client, p->node, name);
    put_drop_calls(p);
    (void)snprintf(text, sizeof(text), "node '%.100s' was lost during the upload: %.80s", name,
                   why);
    int err = ERR_UNAVAILABLE;
    if (p->source.rewind != NULL && p->restarts < PUT_RESTARTS_MAX) {
        p->restarts++;
        p->lost = p->node;
        p->prefix.size = 0;
        p->prefix_at = 0;
        p->ended = false;
        p->size_known = p->source.size_known;
        p->size = p->source.size;
        err = p->source.rewind(p->source.ctx);
        err = err == 0 ? put_open(p) : err;
    }
    if (err != 0) {
        p->state = PUT_OPENING;
        put_end(p, err, text, NULL);
    }
}

/* What a failure that may be the node's death leads to. */
static bool put_is_loss(int code)
{
    return code == ERR_UNREACHABLE || code == ERR_CONNECTION || code == ERR_TIMEOUT ||
           code == ERR_NOT_FOUND || code == ERR_CANCELLED || code == ERR_UNAVAILABLE;
}

/* ---- commit --------------------------------------------------------------------------------- */

static void put_check(struct hf_put *p);
static int put_commit(struct hf_put *p);

static void put_committed(void *ctx, const struct hf_reply *reply)
{
    struct hf_put *p = ctx;
    struct hf_object_info info;
    p->call = NULL;
    if (reply->code == 0) {
        int err = hf_object_read_info(reply->result, &info);
        if (err == 0 && memcmp(info.root, p->root, sizeof(info.root)) != 0) {
            err = ERR_CORRUPT;
        }
        put_end(p, err, err_text(err), &info);
        return;
    }
    bool gone = reply->code == ERR_NOT_FOUND || reply->code == ERR_CANCELLED;
    bool again = err_outcome_of(reply->code) == ERR_OUTCOME_RETRY; /* of this commit, not of all */
    if (err_outcome_of(reply->code) == ERR_OUTCOME_UNKNOWN || (p->commits > 1 && (gone || again))) {
        put_check(p);
        return;
    }
    if (gone || reply->code == ERR_UNREACHABLE) {
        put_lost(p, reply->text);
        return;
    }
    p->state = PUT_STREAMING; /* certainly not done: the upload can be forgotten */
    put_end(p, reply->code, reply->text, NULL);
}

static int put_commit(struct hf_put *p)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_COMMIT,
                                      .class = HF_ONCE,
                                      .params = 3,
                                      .pin = p->node,
                                      .timeout_ms = p->timeout_ms};
    p->state = PUT_COMMITTING;
    p->commits++;
    TRY(hf_call_new(p->transfer.client, &spec, &p->call));
    (void)wire_pack_u64(&p->call->head, p->upload);
    (void)wire_pack_u64(&p->call->head, p->size);
    (void)wire_pack_bin(&p->call->head, bytes_of(p->root, sizeof(p->root)));
    int err = hf_call_start(p->call, p, put_committed);
    if (err != 0) {
        p->call = NULL;
    }
    return err;
}

/* The answer to a commit was lost: the name tells what became of it. */
static void put_checked(void *ctx, const struct hf_reply *reply)
{
    struct hf_put *p = ctx;
    struct hf_object_info info;
    p->call = NULL;
    if (reply->code == 0 && !wire_node_is_nil(reply->result) &&
        hf_object_read_info(reply->result, &info) == 0 && info.size == p->size &&
        memcmp(info.root, p->root, sizeof(info.root)) == 0) {
        put_end(p, 0, "", &info);
        return;
    }
    if (p->commits < PUT_COMMITS_MAX && put_commit(p) == 0) {
        return;
    }
    put_end(p, ERR_CONNECTION, "the node was lost during the commit: it may or may not be stored",
            NULL);
}

static void put_check(struct hf_put *p)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&p->bucket)),
                                .timeout_ms = p->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_STAT, HF_READ, 2);
    p->state = PUT_CHECKING;
    int err = hf_call_new(p->transfer.client, &spec, &p->call);
    if (err == 0) {
        (void)wire_pack_bin(&p->call->head, buf_view(&p->bucket));
        (void)wire_pack_bin(&p->call->head, buf_view(&p->name));
        err = hf_call_start(p->call, p, put_checked);
    }
    if (err != 0) {
        p->call = NULL;
        put_end(p, ERR_CONNECTION, "the outcome of the commit is not known", NULL);
    }
}

/* ---- parts ---------------------------------------------------------------------------------- */

static void put_pump(struct hf_put *p);

static void put_part_done(void *ctx, const struct hf_reply *reply);

static int put_part_send(struct put_part *part)
{
    struct hf_put *p = part->put;
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_PART,
                                      .class = HF_READ,
                                      .params = 4,
                                      .pin = p->node,
                                      .timeout_ms = p->timeout_ms,
                                      .body = bytes_of(part->data, part->bytes)};
    TRY(hf_call_new(p->transfer.client, &spec, &part->call));
    (void)wire_pack_u64(&part->call->head, p->upload);
    (void)wire_pack_u64(&part->call->head, part->offset);
    (void)wire_pack_bin_head(&part->call->head, (uint32_t)part->bytes);
    (void)wire_pack_u64(&part->call->tail, part->crc);
    int err = hf_call_start(part->call, part, put_part_done);
    if (err != 0) {
        part->call = NULL;
    }
    return err;
}

static void put_part_done(void *ctx, const struct hf_reply *reply)
{
    struct put_part *part = ctx;
    struct hf_put *p = part->put;
    part->call = NULL;
    if (reply->code == ERR_RANGE) {
        uint64_t received = hf_field(reply->hint, WIRE_FIELD_RECEIVED);
        part->received = received >= part->offset + part->bytes;
        if (received < p->received) {
            put_lost(p, "it has forgotten what it had");
            return;
        }
    } else if (reply->code != 0 && put_is_loss(reply->code)) {
        put_lost(p, reply->text);
        return;
    } else if (reply->code != 0) {
        put_end(p, reply->code, reply->text, NULL);
        return;
    } else {
        part->received = true;
    }
    while (p->count > 0 && p->parts[p->first].received) {
        p->received += p->parts[p->first].bytes;
        p->first = (p->first + 1) % PUT_WINDOW;
        p->count--;
    }
    if (p->progress != NULL && part->received) {
        p->progress(p->progress_ctx, p->received, p->size_known ? p->size : 0);
    }
    put_pump(p);
}

/* Reads, hashes and sends the next part. returns: 0 or why the put ends. */
static int put_next(struct hf_put *p)
{
    struct put_part *part = &p->parts[(p->first + p->count) % PUT_WINDOW];
    if (part->data == NULL) {
        part->data = malloc(p->part_bytes);
        if (part->data == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    part->put = p;
    part->offset = p->hasher.bytes;
    TRY(put_read(p, part->data, p->part_bytes, &part->bytes));
    if (part->bytes == 0) {
        return 0;
    }
    hf_hasher_push(&p->hasher, part->data, part->bytes);
    part->crc = crc_of(part->data, part->bytes);
    part->received = false;
    p->count++;
    return put_part_send(part);
}

static bool put_has_more(const struct hf_put *p)
{
    return !p->ended || p->prefix_at < p->prefix.size;
}

static int put_advance(struct hf_put *p)
{
    struct put_part *first = &p->parts[p->first];
    if (p->count > 0 && first->call == NULL && !first->received) {
        TRY(put_part_send(first));
    }
    while (p->count < PUT_WINDOW && put_has_more(p)) {
        TRY(put_next(p));
    }
    if (p->count > 0 || put_has_more(p)) {
        return 0;
    }
    if (p->size_known && p->hasher.bytes != p->size) {
        return ERR_INVALID;
    }
    p->size = p->hasher.bytes;
    hf_hasher_root(&p->hasher, p->root);
    return put_commit(p);
}

static void put_pump(struct hf_put *p)
{
    int err = put_advance(p);
    if (err == ERR_INVALID) {
        put_end(p, err, "the source has another size than it said", NULL);
    } else if (err != 0) {
        put_end(p, err, err_text(err), NULL);
    }
}

/* ---- begin ---------------------------------------------------------------------------------- */

static void put_opened(void *ctx, const struct hf_reply *reply)
{
    struct hf_put *p = ctx;
    p->call = NULL;
    if (reply->code != 0) {
        put_end(p, reply->code, reply->text, NULL);
        return;
    }
    uint64_t part_bytes = hf_field(reply->result, WIRE_FIELD_PART_BYTES);
    part_bytes = NUM_MIN(part_bytes, (uint64_t)WIRE_PART_BYTES_MAX);
    if (part_bytes == 0) {
        put_end(p, ERR_PROTOCOL, err_text(ERR_PROTOCOL), NULL);
        return;
    }
    if (part_bytes != p->part_bytes) {
        for (unsigned i = 0; i < PUT_WINDOW; i++) {
            free(p->parts[i].data);
            p->parts[i].data = NULL;
        }
    }
    p->part_bytes = (size_t)part_bytes;
    p->upload = hf_field(reply->result, WIRE_FIELD_UPLOAD);
    p->uploading = true;
    p->node = reply->node;
    p->state = PUT_STREAMING;
    p->first = 0;
    p->count = 0;
    p->received = 0;
    p->commits = 0;
    hf_hasher_init(&p->hasher, p->compute);
    put_pump(p);
}

static int put_open(struct hf_put *p)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_PUT,
                                      .class = HF_READ,
                                      .params = 3,
                                      .pin = HF_NOWHERE,
                                      .timeout_ms = p->timeout_ms};
    p->state = PUT_OPENING;
    p->uploading = false;
    TRY(put_learn_size(p));
    TRY(hf_call_new(p->transfer.client, &spec, &p->call));
    p->call->avoid = p->lost;
    (void)wire_pack_bin(&p->call->head, buf_view(&p->bucket));
    (void)wire_pack_bin(&p->call->head, buf_view(&p->name));
    if (p->size_known) {
        (void)wire_pack_u64(&p->call->head, p->size);
    } else {
        (void)wire_pack_nil(&p->call->head);
    }
    int err = hf_call_start(p->call, p, put_opened);
    if (err != 0) {
        p->call = NULL;
    }
    return err;
}

static int put_init(struct hf_put *p, struct hf_client *c, const struct hf_object *o)
{
    buf_init(&p->bucket, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&p->name, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&p->prefix, &c->heap, PUT_PREFIX_BYTES);
    TRY(buf_append(&p->bucket, o->bucket.data, o->bucket.size));
    TRY(buf_append(&p->name, o->name.data, o->name.size));
    p->timeout_ms = o->timeout_ms;
    p->progress = o->progress;
    p->progress_ctx = o->progress_ctx;
    p->node = HF_NOWHERE;
    p->lost = HF_NOWHERE;
    p->transfer.end = put_cancel;
    return compute_new(&p->compute, &c->heap, NULL);
}

int hf_object_put(struct hf_client *c, const struct hf_object *o, const struct hf_source *source,
                  void *ctx, hf_done_fn *done)
{
    TRY(hf_object_check(o, true));
    struct hf_put *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    p->source = *source;
    p->size_known = source->size_known;
    p->size = source->size;
    p->ctx = ctx;
    p->done = done;
    int err = put_init(p, c, o);
    hf_transfer_add(c, &p->transfer);
    if (err == 0) {
        err = put_open(p);
    }
    if (err != 0) {
        hf_transfer_remove(&p->transfer);
        put_release(p);
    }
    return err;
}
