/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The history of the eventual load, and the verdict on it: each read lies between what its session
 * covered as acknowledged and what was begun until it ended; at the end all nodes hold the same,
 * and that is what was acknowledged, give or take what got no answer.
 */
#include "base/err.h"
#include "base/num.h"
#include "tests/lab/eventual.h"

#include <inttypes.h>
#include <stdlib.h>

#define EV_SAID_MAX 20u

/* What one node holds. */
struct ev_view {
    bool found[EV_KEYS];
    int64_t number[EV_KEYS];
    int64_t siblings[EV_KEYS][EV_SIBLINGS];
    size_t siblings_count[EV_KEYS];
    int64_t *elements[EV_KEYS];
    size_t elements_count[EV_KEYS];
};

struct ev_verdict {
    const struct ev_load *l;
    uint32_t *removal[EV_CLIENTS]; /* of the element that an operation added: which + 1; 0: none */
    struct ev_op **ops[EV_KEYS];
    uint32_t counts[EV_KEYS];
    uint32_t reads;
    uint32_t bounded; /* reads that had to show something */
    unsigned faults;
};

static void ev_fault(struct ev_verdict *v, unsigned key, int64_t value, const char *what)
{
    if (v->faults++ < EV_SAID_MAX) {
        (void)printf("WRONG %s, %" PRId64 ": %s\n", ev_keys[key].label, value, what);
    }
}

/* ---- what is known of operations ------------------------------------------------------------- */

static const struct ev_client *ev_client_of(const struct ev_load *l, const struct ev_op *op)
{
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        const struct ev_client *c = &l->clients[i];
        if (op >= c->ops && op < c->ops + c->count) {
            return c;
        }
    }
    return NULL;
}

/* Whether the session of `by` knew of `op`, acknowledged, when it began. */
static bool ev_covered(const struct ev_load *l, const struct ev_op *op, const struct ev_op *by)
{
    const struct ev_client *c = ev_client_of(l, op);
    const struct ev_client *reader = ev_client_of(l, by);
    if (op->end != EV_OK || !reader->session) {
        return false;
    }
    const struct ev_cover *cover = &reader->covers[by->cover];
    uint32_t at = (uint32_t)(op - c->ops);
    return at >= cover->from[c->number] && at < cover->to[c->number];
}

/* The operation that wrote a unique value or added an element. */
static const struct ev_op *ev_origin(const struct ev_load *l, unsigned key, int64_t value)
{
    if (value < 0 || value / EV_OPS_MAX >= EV_CLIENTS) {
        return NULL;
    }
    const struct ev_client *c = &l->clients[value / EV_OPS_MAX];
    uint64_t at = (uint64_t)value % EV_OPS_MAX;
    const struct ev_op *op = at < c->count ? &c->ops[at] : NULL;
    bool made = op != NULL && op->key == key && op->value == value && op->end != EV_FAIL;
    return made && (op->f == EV_ADD || op->f == EV_WRITE) ? op : NULL;
}

static const struct ev_op *ev_removal(const struct ev_verdict *v, const struct ev_op *add)
{
    const struct ev_client *c = ev_client_of(v->l, add);
    uint32_t at = v->removal[c->number][add - c->ops];
    return at > 0 ? &c->ops[at - 1] : NULL;
}

/* By the time `at_ns` an element may be gone; must be gone once the removal is known. An add-wins
 * removal that changed nothing had not seen the element, and leaves it. */
static bool ev_may_lack(const struct ev_op *removal, uint64_t at_ns)
{
    bool missed = removal != NULL && removal->end == EV_OK && !removal->flag &&
                  ev_keys[removal->key].type == HF_CRDT_AW_SET;
    return removal != NULL && removal->end != EV_FAIL && removal->invoke_ns <= at_ns && !missed;
}

static bool ev_must_lack(const struct ev_op *removal)
{
    return removal != NULL && removal->end == EV_OK &&
           (removal->flag || ev_keys[removal->key].type == HF_CRDT_RW_SET);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void ev_read_counter(struct ev_verdict *v, unsigned key, const struct ev_op *read)
{
    int64_t low = 0;
    int64_t high = 0;
    bool any = false;
    bool dropped = ev_keys[key].kind == EV_DROPPED;
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *op = v->ops[key][i];
        if (op->f != EV_ADD || op->end == EV_FAIL || op->invoke_ns > read->end_ns) {
            continue;
        }
        bool covered = !dropped && ev_covered(v->l, op, read);
        low += covered || op->value < 0 ? op->value : 0;
        high += covered || op->value > 0 ? op->value : 0;
        any = any || covered;
    }
    if (read->value < low || read->value > high) {
        (void)printf("read of %s: %" PRId64 ", not from %" PRId64 " to %" PRId64 "\n",
                     ev_keys[key].label, read->value, low, high);
        ev_fault(v, key, read->value, "a read beyond what was acknowledged and begun");
    }
    v->bounded += any;
}

/* Whether the writer of another value knew of this one, and the reader (NULL: at the end) knows of
 * that. */
static bool ev_superseded(const struct ev_verdict *v, const struct ev_op *w,
                          const struct ev_op *read)
{
    for (uint32_t i = 0; i < v->counts[w->key]; i++) {
        const struct ev_op *other = v->ops[w->key][i];
        if (other->f == EV_WRITE && other->end == EV_OK && ev_covered(v->l, w, other) &&
            (read == NULL || ev_covered(v->l, other, read))) {
            return true;
        }
    }
    return false;
}

static void ev_read_register(struct ev_verdict *v, unsigned key, const struct ev_op *read)
{
    bool any = false;
    for (uint32_t i = 0; i < v->counts[key] && !any; i++) {
        any = v->ops[key][i]->f == EV_WRITE && ev_covered(v->l, v->ops[key][i], read);
    }
    v->bounded += any;
    const struct ev_op *w = read->flag ? ev_origin(v->l, key, read->value) : NULL;
    if (!read->flag) {
        if (any) {
            ev_fault(v, key, 0, "empty, though the session knew of a write");
        }
        return;
    }
    if (w == NULL || w->invoke_ns > read->end_ns) {
        ev_fault(v, key, read->value, "a value that nobody had written");
    } else if (ev_superseded(v, w, read)) {
        ev_fault(v, key, read->value, "an older value than the session knew of");
    }
}

static void ev_read_max(struct ev_verdict *v, unsigned key, const struct ev_op *read)
{
    bool written = !read->flag;
    int64_t low = 0;
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *op = v->ops[key][i];
        if (op->f != EV_WRITE || op->end == EV_FAIL || op->invoke_ns > read->end_ns) {
            continue;
        }
        written = written || op->value == read->value;
        low = ev_covered(v->l, op, read) ? NUM_MAX(low, op->value) : low;
    }
    v->bounded += low > 0;
    if (!written || (read->flag ? read->value : 0) < low) {
        ev_fault(v, key, read->value, "a maximum that nobody set, or below what the session knew");
    }
}

static void ev_read_has(struct ev_verdict *v, unsigned key, const struct ev_op *read)
{
    const struct ev_op *add = ev_origin(v->l, key, read->value);
    if (add == NULL) {
        ev_fault(v, key, read->value, "asked for what nobody added");
        return;
    }
    const struct ev_op *removal = ev_removal(v, add);
    bool covered = ev_covered(v->l, add, read);
    v->bounded += covered;
    if (!read->flag && covered && !ev_may_lack(removal, read->end_ns)) {
        ev_fault(v, key, read->value, "an element is missing that the session had added");
    }
    if (read->flag && ev_must_lack(removal) && ev_covered(v->l, removal, read)) {
        ev_fault(v, key, read->value, "an element is there that the session had removed");
    }
}

/* What a write found: its own session's element. */
static void ev_write_set(struct ev_verdict *v, unsigned key, const struct ev_op *op)
{
    if (op->f == EV_ADD && !op->flag) {
        ev_fault(v, key, op->value, "a new element changed nothing");
    }
    const struct ev_op *add = op->f == EV_REMOVE ? ev_origin(v->l, key, op->value) : NULL;
    if (add != NULL && ev_covered(v->l, add, op) && !op->flag) {
        ev_fault(v, key, op->value, "the removal of what the session had added changed nothing");
    }
}

static void ev_check_op(struct ev_verdict *v, unsigned key, const struct ev_op *op)
{
    enum ev_kind kind = ev_keys[key].kind;
    if (op->end != EV_OK) {
        return;
    }
    v->reads += op->f == EV_READ || op->f == EV_HAS;
    if (op->f == EV_HAS) {
        ev_read_has(v, key, op);
    } else if (kind == EV_SET) {
        ev_write_set(v, key, op);
    } else if (op->f == EV_READ && (kind == EV_COUNTER || kind == EV_DROPPED)) {
        ev_read_counter(v, key, op);
    } else if (op->f == EV_READ && kind == EV_REGISTER) {
        ev_read_register(v, key, op);
    } else if (op->f == EV_READ && kind == EV_MAX) {
        ev_read_max(v, key, op);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void ev_end_counter(struct ev_verdict *v, unsigned key, const struct ev_view *view)
{
    int64_t acked = 0;
    int64_t low = 0;
    int64_t high = 0;
    unsigned unknown = 0;
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *op = v->ops[key][i];
        if (op->f == EV_ADD && op->end == EV_OK) {
            acked += op->value;
        } else if (op->f == EV_ADD && op->end == EV_INFO) {
            unknown++;
            low += NUM_MIN(op->value, 0);
            high += NUM_MAX(op->value, 0);
        }
    }
    int64_t is = view->number[key];
    bool dropped = ev_keys[key].kind == EV_DROPPED;
    (void)printf("%s: %" PRId64 ", acknowledged %" PRId64 ", unknown %u (%" PRId64 " to %" PRId64
                 ")%s\n",
                 ev_keys[key].label, is, acked, unknown, low, high,
                 dropped        ? ", dropped at times"
                 : unknown == 0 ? ", exact"
                                : "");
    if (is > acked + high || is < (dropped ? 0 : acked + low) ||
        (acked > 0 && !dropped && is == 0)) {
        ev_fault(v, key, is, "not the sum of what was acknowledged");
    }
}

static int ev_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void ev_end_set(struct ev_verdict *v, unsigned key, const struct ev_view *view)
{
    unsigned acked = 0;
    unsigned lost = 0;
    unsigned back = 0;
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *add = v->ops[key][i];
        if (add->f != EV_ADD || add->end == EV_FAIL) {
            continue;
        }
        const struct ev_op *removal = ev_removal(v, add);
        bool in = bsearch(&add->value, view->elements[key], view->elements_count[key],
                          sizeof(int64_t), ev_compare) != NULL;
        acked += add->end == EV_OK;
        lost += !in && add->end == EV_OK && !ev_may_lack(removal, UINT64_MAX);
        back += in && ev_must_lack(removal) && removal->flag;
    }
    for (size_t i = 0; i < view->elements_count[key]; i++) {
        if (ev_origin(v->l, key, view->elements[key][i]) == NULL) {
            ev_fault(v, key, view->elements[key][i], "an element that nobody added");
        }
    }
    (void)printf("%s: %zu elements, %u additions acknowledged, %u of them lost, %u removed ones "
                 "there again\n",
                 ev_keys[key].label, view->elements_count[key], acked, lost, back);
    if (lost + back > 0 || acked == 0) {
        ev_fault(v, key, lost + back, "elements are not what was acknowledged");
    }
}

/* Somebody may have seen the write, and have written over it. */
static bool ev_may_be_over(const struct ev_verdict *v, const struct ev_op *w)
{
    for (uint32_t i = 0; i < v->counts[w->key]; i++) {
        const struct ev_op *other = v->ops[w->key][i];
        bool unknown = other->end == EV_INFO;
        if (other != w && other->f == EV_WRITE && other->end != EV_FAIL &&
            (unknown || other->end_ns >= w->invoke_ns)) {
            return true;
        }
    }
    return false;
}

static void ev_end_register(struct ev_verdict *v, unsigned key, const struct ev_view *view)
{
    unsigned acked = 0;
    size_t count = ev_keys[key].kind == EV_MV ? view->siblings_count[key] : view->found[key];
    for (size_t i = 0; i < count; i++) {
        int64_t value = ev_keys[key].kind == EV_MV ? view->siblings[key][i] : view->number[key];
        const struct ev_op *w = ev_origin(v->l, key, value);
        if (w == NULL) {
            ev_fault(v, key, value, "a value that nobody wrote");
        } else if (ev_superseded(v, w, NULL)) {
            ev_fault(v, key, value, "a value that was written over knowingly");
        }
    }
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *w = v->ops[key][i];
        bool kept = false;
        if (w->f != EV_WRITE || w->end != EV_OK) {
            continue;
        }
        acked++;
        for (size_t s = 0; s < count; s++) {
            kept = kept || w->value == (ev_keys[key].kind == EV_MV ? view->siblings[key][s]
                                                                   : view->number[key]);
        }
        if (!kept && !ev_may_be_over(v, w)) {
            ev_fault(v, key, w->value, "the last write is lost");
        }
    }
    (void)printf("%s: %u writes acknowledged, %zu value%s\n", ev_keys[key].label, acked, count,
                 count == 1 ? "" : "s");
    if (acked == 0 || count == 0) {
        ev_fault(v, key, acked, "nothing was written, or it is lost");
    }
}

static void ev_end_max(struct ev_verdict *v, unsigned key, const struct ev_view *view)
{
    int64_t low = 0;
    bool written = false;
    for (uint32_t i = 0; i < v->counts[key]; i++) {
        const struct ev_op *op = v->ops[key][i];
        if (op->f == EV_WRITE && op->end != EV_FAIL) {
            written = written || op->value == view->number[key];
            low = op->end == EV_OK ? NUM_MAX(low, op->value) : low;
        }
    }
    (void)printf("%s: %" PRId64 ", acknowledged %" PRId64 "\n", ev_keys[key].label,
                 view->number[key], low);
    if (!written || view->number[key] < low) {
        ev_fault(v, key, view->number[key], "not the greatest that was acknowledged");
    }
}

/* ---- views ----------------------------------------------------------------------------------- */

static int64_t ev_number_of(struct hf_bytes text, char first)
{
    char copy[32] = "";
    if (text.size < 2 || text.size >= sizeof(copy)) {
        return -1;
    }
    memcpy(copy, text.data, text.size);
    return copy[0] == first ? (int64_t)strtoull(copy + 1, NULL, 10) : -1;
}

static void ev_view_value(struct ev_view *view, unsigned key, const struct hf_result *r)
{
    const struct hf_crdt_value *value = &r->values[0];
    view->found[key] = r->count == 1 && value->found;
    if (!view->found[key]) {
        return;
    }
    view->number[key] =
        value->kind == HF_CRDT_BYTES ? ev_number_of(value->bytes, 'w') : value->number;
    view->siblings_count[key] = NUM_MIN(value->siblings_count, (size_t)EV_SIBLINGS);
    for (size_t i = 0; i < view->siblings_count[key]; i++) {
        view->siblings[key][i] = ev_number_of(value->siblings[i].value, 'w');
    }
}

static int ev_view_set(struct hf_client *client, struct ev_view *view, unsigned key, uint32_t node)
{
    char after[64];
    struct hf_crdt crdt = {.name = hf_text(ev_keys[key].name), .timeout_ms = 30000};
    bool more = true;
    view->elements[key] = calloc(EV_ELEMENTS, sizeof(int64_t));
    ASSERT(view->elements[key] != NULL);
    ev_path(&ev_keys[key], &crdt.path);
    while (more) {
        struct hf_answer answer = {0};
        int err = hf_crdt_members(client, &crdt, &answer, hf_answer_done);
        err = err == 0 ? hf_wait(client, &answer) : err;
        err = err == 0 && answer.result.node != node ? ERR_UNAVAILABLE : err;
        for (size_t i = 0; err == 0 && i < answer.result.count; i++) {
            ASSERT(view->elements_count[key] < EV_ELEMENTS);
            view->elements[key][view->elements_count[key]++] =
                ev_number_of(answer.result.values[i].name, 'e');
        }
        more = err == 0 && answer.result.more && answer.result.next.size <= sizeof(after);
        if (more) {
            memcpy(after, answer.result.next.data, answer.result.next.size);
            crdt.after = (struct hf_bytes){.data = after, .size = answer.result.next.size};
        }
        hf_answer_release(&answer);
        if (err != 0) {
            return err;
        }
    }
    qsort(view->elements[key], view->elements_count[key], sizeof(int64_t), ev_compare);
    return 0;
}

static int ev_view_key(struct hf_client *client, struct ev_view *view, unsigned key, uint32_t node)
{
    if (ev_keys[key].kind == EV_SET) {
        return ev_view_set(client, view, key, node);
    }
    struct hf_answer answer = {0};
    struct hf_crdt crdt = {.name = hf_text(ev_keys[key].name), .timeout_ms = 30000};
    ev_path(&ev_keys[key], &crdt.path);
    int err = hf_crdt_read(client, &crdt, &answer, hf_answer_done);
    err = err == 0 ? hf_wait(client, &answer) : err;
    err = err == 0 && answer.result.node != node ? ERR_UNAVAILABLE : err;
    if (err == 0) {
        ev_view_value(view, key, &answer.result);
    }
    hf_answer_release(&answer);
    return err;
}

static bool ev_view_same(const struct ev_view *a, const struct ev_view *b, unsigned key)
{
    return a->found[key] == b->found[key] && a->number[key] == b->number[key] &&
           a->siblings_count[key] == b->siblings_count[key] &&
           memcmp(a->siblings[key], b->siblings[key], sizeof(a->siblings[key])) == 0 &&
           a->elements_count[key] == b->elements_count[key] &&
           (a->elements_count[key] == 0 || memcmp(a->elements[key], b->elements[key],
                                                  a->elements_count[key] * sizeof(int64_t)) == 0);
}

static void ev_views(struct ev_verdict *v, struct ev_view views[EV_HOSTS])
{
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        struct hf_client *client = ev_connect(host);
        for (unsigned key = 0; key < EV_KEYS; key++) {
            int err = ev_view_key(client, &views[host - 1], key, host);
            if (err != 0) {
                (void)printf("node %u, %s: %s\n", host, ev_keys[key].label, hf_error_name(err));
                ev_fault(v, key, host, "cannot be read");
            } else if (!ev_view_same(&views[0], &views[host - 1], key)) {
                ev_fault(v, key, host, "this node holds something else than node 1");
            }
        }
        hf_client_free(client);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static void ev_gather(struct ev_verdict *v)
{
    const struct ev_load *l = v->l;
    uint32_t all = 1;
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        all += l->clients[i].count;
    }
    for (unsigned key = 0; key < EV_KEYS; key++) {
        v->ops[key] = calloc(all, sizeof(struct ev_op *));
        ASSERT(v->ops[key] != NULL);
    }
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        const struct ev_client *c = &l->clients[i];
        v->removal[i] = calloc((size_t)c->count + 1, sizeof(uint32_t));
        ASSERT(v->removal[i] != NULL);
        for (uint32_t at = 0; at < c->count; at++) {
            struct ev_op *op = &c->ops[at];
            v->ops[op->key][v->counts[op->key]++] = op;
            if (op->f == EV_REMOVE) {
                v->removal[i][(uint64_t)op->value % EV_OPS_MAX] = at + 1;
            }
        }
    }
}

static void ev_end_key(struct ev_verdict *v, unsigned key, const struct ev_view *view)
{
    switch (ev_keys[key].kind) {
    case EV_COUNTER:
    case EV_DROPPED: ev_end_counter(v, key, view); break;
    case EV_SET: ev_end_set(v, key, view); break;
    case EV_MAX: ev_end_max(v, key, view); break;
    default: ev_end_register(v, key, view); break;
    }
}

bool ev_check(struct ev_load *l)
{
    struct ev_view *views = calloc(EV_HOSTS, sizeof(*views));
    struct ev_verdict v = {.l = l};
    ASSERT(views != NULL);
    ev_gather(&v);
    ev_views(&v, views);
    for (unsigned key = 0; key < EV_KEYS; key++) {
        for (uint32_t i = 0; i < v.counts[key]; i++) {
            ev_check_op(&v, key, v.ops[key][i]);
        }
        ev_end_key(&v, key, &views[0]);
    }
    (void)printf("reads: %u, of which %u had to show what their session knew of\n", v.reads,
                 v.bounded);
    if (v.bounded == 0) {
        ev_fault(&v, 0, 0, "no read was bound by a session");
    }
    for (unsigned i = 0; i < EV_HOSTS * EV_KEYS; i++) {
        free(views[i / EV_KEYS].elements[i % EV_KEYS]);
    }
    for (unsigned key = 0; key < EV_KEYS; key++) {
        free(v.ops[key]);
    }
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        free(v.removal[i]);
    }
    free(views);
    return v.faults == 0;
}

/* ---- the history ----------------------------------------------------------------------------- */

struct ev_moment {
    uint64_t time_ns;
    const struct ev_op *op;
    uint32_t process;
    bool invoke;
};

static int ev_moment_compare(const void *a, const void *b)
{
    const struct ev_moment *x = a;
    const struct ev_moment *y = b;
    if (x->time_ns != y->time_ns) {
        return x->time_ns < y->time_ns ? -1 : 1;
    }
    return (int)x->invoke - (int)y->invoke;
}

static void ev_line(const struct ev_load *l, const struct ev_moment *m, FILE *to)
{
    static const char *const fs[] = {"add", "remove", "has", "write", "drop", "read"};
    static const char *const ends[] = {"invoke", "ok", "fail", "info"};
    const struct ev_op *op = m->op;
    (void)fprintf(to, "{\"process\":%u,\"type\":\"%s\",\"f\":\"%s\",\"key\":\"%s\"", m->process,
                  ends[m->invoke ? 0 : op->end], fs[op->f], ev_keys[op->key].label);
    if (op->f == EV_READ && (m->invoke || op->end != EV_OK || !op->flag)) {
        (void)fputs(",\"value\":null", to);
    } else {
        (void)fprintf(to, ",\"value\":%" PRId64, op->value);
    }
    if (!m->invoke && op->end == EV_OK && ev_keys[op->key].kind == EV_SET) {
        (void)fprintf(to, ",\"%s\":%s", op->f == EV_HAS ? "found" : "changed",
                      op->flag ? "true" : "false");
    }
    if (!m->invoke && op->code != 0) {
        (void)fprintf(to, ",\"error\":\"%s\"", hf_error_name(op->code));
    }
    (void)fprintf(to, ",\"time\":%" PRIu64 "}\n", m->time_ns - l->from_ns);
}

bool ev_history(const struct ev_load *l, FILE *to)
{
    size_t count = 0;
    size_t at = 0;
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        count += 2 * (size_t)l->clients[i].count;
    }
    struct ev_moment *moments = calloc(count + 1, sizeof(*moments));
    ASSERT(moments != NULL);
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        uint32_t process = i; /* one whose operation got no answer is not heard of again */
        for (uint32_t o = 0; o < l->clients[i].count; o++) {
            const struct ev_op *op = &l->clients[i].ops[o];
            moments[at++] = (struct ev_moment){op->invoke_ns, op, process, true};
            moments[at++] = (struct ev_moment){op->end_ns, op, process, false};
            process += op->end == EV_INFO ? EV_CLIENTS : 0;
        }
    }
    qsort(moments, count, sizeof(*moments), ev_moment_compare);
    for (size_t i = 0; i < count; i++) {
        ev_line(l, &moments[i], to);
    }
    free(moments);
    return fflush(to) == 0 && ferror(to) == 0;
}
