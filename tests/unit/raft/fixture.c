/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cluster for tests and its judge. See fixture.h.
 */
#include "tests/unit/raft/fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Check's own macros write a file at each success; the judge asserts millions of times. */
#define FX_CHECK(cond)                                            \
    do {                                                          \
        if (!(cond)) {                                            \
            ck_abort_msg("%s:%d: %s", __FILE__, __LINE__, #cond); \
        }                                                         \
    } while (0)
#define FX_CHECK_MSG(cond, ...)        \
    do {                               \
        if (!(cond)) {                 \
            ck_abort_msg(__VA_ARGS__); \
        }                              \
    } while (0)

/* ---- life cycle ---------------------------------------------------------------------------------
 */

struct fx *fx_new(unsigned nodes, uint64_t seed)
{
    struct fx *f = calloc(1, sizeof(*f));
    FX_CHECK(f != NULL);
    f->nodes = nodes;
    f->groups = 1;
    f->now_us = 1000000;
    f->options = raft_options_default(1, seed);
    f->options.groups_max = FX_GROUPS_MAX;
    f->options.peers_max = FX_NODES_MAX;
    f->options.entries_max = 1024;
    f->options.reads_max = 64;
    rng_init(&f->rng, seed);
    return f;
}

static void fx_message_release(struct fx_message *m)
{
    free(m->entries);
    free(m->beats);
    *m = (struct fx_message){0};
}

static void fx_node_release(struct fx *f, unsigned node)
{
    struct fx_node *n = &f->node[node];
    raft_host_free(n->host);
    n->host = NULL;
    for (unsigned i = 0; i < n->pending_count; i++) {
        free(n->pending[i].entries);
    }
    for (unsigned i = 0; i < n->held_count; i++) {
        fx_message_release(&n->held[i]);
    }
    n->pending_count = 0;
    n->held_count = 0;
    n->up = false;
}

void fx_free(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_node_release(f, i);
    }
    for (unsigned i = 0; i < f->net_count; i++) {
        fx_message_release(&f->net[i]);
    }
    free(f->text);
    free(f);
}

static void fx_boot_group(struct fx *f, unsigned node, uint32_t group)
{
    struct fx_node *n = &f->node[node];
    struct fx_disk *d = &n->disk[group - 1];
    struct raft_group_options o = {
        .group = group,
        .voters_count = f->nodes,
        .term = d->term,
        .vote = d->vote,
        .commit = d->commit,
        .base_index = d->base_index,
        .base_term = d->base_term,
        .applied_index = d->applied,
        .applied_term = f->committed[group - 1][d->applied].term,
        .applied_time_us = f->committed[group - 1][d->applied].time_us,
        .hard_lost = d->hard_lost,
        .tail_ambiguous = d->tail_ambiguous,
        .base_time_us = f->committed[group - 1][d->base_index].time_us,
    };
    for (unsigned i = 0; i < f->nodes; i++) {
        o.voters[i] = i + 1;
    }
    FX_CHECK(raft_group_add(n->host, &o) == 0);
    for (uint64_t i = d->base_index + 1; i <= d->last_index; i++) {
        FX_CHECK(raft_group_recover(n->host, group, &d->log[i]) == 0);
    }
    FX_CHECK(raft_group_start(n->host, group, f->now_us) == 0);
    struct fx_group_view *v = &n->view[group - 1];
    unsigned fenced = v->fenced;
    *v = (struct fx_group_view){.applied = d->applied, .fenced = fenced};
}

void fx_boot(struct fx *f, unsigned node)
{
    struct fx_node *n = &f->node[node];
    struct alloc heap = alloc_heap();
    struct raft_options o = f->options;
    o.node = node;
    o.seed = f->options.seed * 131 + n->boots++;
    FX_CHECK(raft_host_new(&n->host, &o, &heap) == 0);
    n->up = true;
    n->durable_seq = 0;
    n->reads_count = 0;
    for (uint32_t g = 1; g <= f->groups; g++) {
        fx_boot_group(f, node, g);
    }
    fx_tick(f, node);
}

void fx_start(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_boot(f, i);
    }
}

/* ---- disk ---------------------------------------------------------------------------------------
 */

static void fx_disk_write(struct fx_disk *d, const struct fx_pending *p)
{
    const struct raft_action *a = &p->action;
    if (a->hard) {
        FX_CHECK(a->hard_term >= d->term);
        d->term = a->hard_term;
        d->vote = a->hard_vote;
        d->commit = a->hard_commit;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        FX_CHECK(a->index + i < FX_LOG_MAX);
        d->log[a->index + i] = p->entries[i];
    }
    if (a->count > 0 && !a->fill) {
        FX_CHECK(a->index <= d->last_index + 1);
        d->last_index = a->index + a->count - 1;
        d->tail_ambiguous = false;
    }
    if (a->cut_from != 0) {
        if (a->cut_from <= d->last_index) {
            d->last_index = a->cut_from - 1;
        }
        d->tail_ambiguous = false;
    }
    if (a->base_index != 0) {
        FX_CHECK(a->base_index > d->base_index);
        d->base_index = a->base_index;
        d->base_term = a->base_term;
        if (a->cut_from != 0 || d->last_index < a->base_index) {
            d->last_index = a->base_index;
        }
    }
}

/* What a message promises must be on the disk of its sender. */
static void fx_judge_promise(const struct fx *f, const struct fx_message *x)
{
    const struct raft_message *m = &x->m;
    const struct fx_node *n = &f->node[m->from];
    if (m->kind == RAFT_MSG_HEARTBEAT_REPLY) {
        for (uint32_t i = 0; i < m->count; i++) {
            const struct fx_disk *d = &n->disk[x->beats[i].group - 1];
            FX_CHECK(d->term >= x->beats[i].term);
            FX_CHECK(d->last_index > d->applied ? d->last_index : d->applied >= x->beats[i].commit);
        }
        return;
    }
    if (m->kind == RAFT_MSG_HEARTBEAT || m->kind == RAFT_MSG_PRE_VOTE ||
        m->kind == RAFT_MSG_PRE_VOTE_REPLY) {
        return;
    }
    const struct fx_disk *d = &n->disk[m->group - 1];
    FX_CHECK(d->term >= m->term);
    if (m->kind == RAFT_MSG_VOTE_REPLY && m->code == 0 && d->term == m->term) {
        FX_CHECK(d->vote == m->to);
    }
    if (m->kind == RAFT_MSG_APPEND_REPLY && m->code == 0 && d->term == m->term) {
        FX_CHECK(d->last_index >= m->index);
        for (uint64_t i = d->applied + 1; i <= m->index; i++) {
            FX_CHECK(i <= d->base_index || d->log[i].state == RAFT_ENTRY_OK);
        }
    }
}

static void fx_net_add(struct fx *f, struct fx_message *x)
{
    fx_judge_promise(f, x);
    FX_CHECK(f->net_count < FX_NET_MAX);
    f->net[f->net_count++] = *x;
}

static void fx_release_held(struct fx *f, struct fx_node *n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n->held_count; i++) {
        if (n->held[i].after_seq <= n->durable_seq) {
            fx_net_add(f, &n->held[i]);
        } else {
            n->held[kept++] = n->held[i];
        }
    }
    n->held_count = kept;
}

void fx_sync(struct fx *f, unsigned node, unsigned count)
{
    struct fx_node *n = &f->node[node];
    if (!n->up || n->pending_count == 0 || count == 0) {
        return;
    }
    if (count > n->pending_count) {
        count = n->pending_count;
    }
    for (unsigned i = 0; i < count; i++) {
        fx_disk_write(&n->disk[n->pending[i].action.group - 1], &n->pending[i]);
        n->durable_seq = n->pending[i].action.seq;
        free(n->pending[i].entries);
    }
    n->pending_count -= count;
    memmove(n->pending, n->pending + count, n->pending_count * sizeof(n->pending[0]));
    fx_step(f, node, (struct raft_event){.kind = RAFT_DURABLE, .seq = n->durable_seq});
    fx_release_held(f, n);
}

void fx_sync_all(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_sync(f, i, FX_PENDING_MAX);
    }
}

void fx_crash(struct fx *f, unsigned node, unsigned keep)
{
    struct fx_node *n = &f->node[node];
    for (unsigned i = 0; i < keep && i < n->pending_count; i++) {
        fx_disk_write(&n->disk[n->pending[i].action.group - 1], &n->pending[i]);
    }
    fx_node_release(f, node);
    fx_note(f, "crash %u\n", node);
}

void fx_restart(struct fx *f, unsigned node)
{
    FX_CHECK(!f->node[node].up);
    fx_note(f, "restart %u\n", node);
    fx_boot(f, node);
}

void fx_disk_log(struct fx *f, unsigned node, uint32_t group, const uint64_t *terms, unsigned count)
{
    struct fx_disk *d = &f->node[node].disk[group - 1];
    d->base_index = 0;
    d->last_index = count;
    for (unsigned i = 0; i < count; i++) {
        d->log[i + 1] = (struct raft_entry){
            .term = terms[i],
            .type = RAFT_ENTRY_COMMAND,
            .bytes = 10,
            .ref = terms[i] * 1000000 + i + 1,
        };
        d->term = terms[i] > d->term ? terms[i] : d->term;
    }
}

/* ---- judge --------------------------------------------------------------------------------------
 */

static void fx_judge_commit(struct fx *f, unsigned node, uint32_t group)
{
    struct fx_node *n = &f->node[node];
    struct fx_group_view *v = &n->view[group - 1];
    struct raft_status s = fx_status(f, node, group);
    FX_CHECK(s.commit_index >= v->commit);
    FX_CHECK(s.commit_index <= s.last_index);
    FX_CHECK(s.durable_index <= s.last_index);
    uint64_t from = v->commit > s.base_index ? v->commit : s.base_index;
    for (uint64_t i = from + 1; i <= s.commit_index; i++) {
        struct raft_entry e;
        struct fx_committed *c = &f->committed[group - 1][i];
        FX_CHECK(raft_entry_get(n->host, group, i, &e) == 0);
        if (e.state != RAFT_ENTRY_OK) {
            continue;
        }
        if (c->term == 0) {
            *c = (struct fx_committed){.term = e.term, .ref = e.ref, .time_us = e.time_us};
        }
        FX_CHECK_MSG(c->term == e.term && c->ref == e.ref,
                     "node %u group %u index %lu: committed term %lu, here %lu", node, group,
                     (unsigned long)i, (unsigned long)c->term, (unsigned long)e.term);
        if (i > f->committed_max[group - 1]) {
            f->committed_max[group - 1] = i;
        }
    }
    v->commit = s.commit_index;
}

static void fx_judge_leader(struct fx *f, unsigned node, const struct raft_action *a)
{
    uint32_t *who = &f->leader_of[a->group - 1][a->term % 4096];
    if (*who != 0 && *who != node && a->term < 4096) {
        ck_abort_msg("term %lu has leaders %u and %u", (unsigned long)a->term, *who, node);
    }
    *who = node;
    struct raft_status s = fx_status(f, node, a->group);
    FX_CHECK(s.last_index >= f->committed_max[a->group - 1]);
    for (uint64_t i = s.base_index + 1; i <= f->committed_max[a->group - 1]; i++) {
        struct raft_entry e;
        FX_CHECK(raft_entry_get(f->node[node].host, a->group, i, &e) == 0);
        FX_CHECK_MSG(e.term == 0 || f->committed[a->group - 1][i].term == 0 ||
                         e.term == f->committed[a->group - 1][i].term,
                     "leader %u of term %lu lacks committed entry %lu", node,
                     (unsigned long)a->term, (unsigned long)i);
    }
}

static void fx_apply(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_node *n = &f->node[node];
    struct fx_group_view *v = &n->view[a->group - 1];
    FX_CHECK(a->index == v->applied + 1);
    for (uint64_t i = a->index; i < a->index + a->count; i++) {
        struct raft_entry e;
        struct fx_committed *c = &f->committed[a->group - 1][i];
        FX_CHECK(raft_entry_get(n->host, a->group, i, &e) == 0);
        FX_CHECK(e.state == RAFT_ENTRY_OK);
        if (c->term == 0) {
            *c = (struct fx_committed){.term = e.term, .ref = e.ref, .time_us = e.time_us};
        }
        FX_CHECK(c->term == e.term);
        FX_CHECK(c->ref == e.ref);
        FX_CHECK(e.time_us >= f->committed[a->group - 1][i - 1].time_us);
    }
    v->applied = a->index + a->count - 1;
}

static void fx_read_end(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_node *n = &f->node[node];
    for (unsigned i = 0; i < n->reads_count; i++) {
        struct fx_read *r = &n->reads[i];
        if (r->ctx != a->ctx) {
            continue;
        }
        FX_CHECK(!r->ended);
        r->ended = true;
        r->ok = a->kind == RAFT_READ_OK;
        r->index = a->index;
        r->code = a->code;
        FX_CHECK_MSG(!r->ok || r->index >= r->least, "stale read at node %u: %lu < %lu", node,
                     (unsigned long)r->index, (unsigned long)r->least);
        return;
    }
    ck_abort_msg("answer to an unknown read");
}

/* ---- actions ------------------------------------------------------------------------------------
 */

static void fx_send(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_node *n = &f->node[node];
    struct fx_message x = {.m = a->message, .after_seq = a->after_seq};
    const struct raft_message *m = &a->message;
    n->sends++;
    FX_CHECK(m->from == node);
    FX_CHECK(m->to == a->peer);
    if (m->heartbeats != NULL) {
        x.beats = calloc(m->count, sizeof(*x.beats));
        memcpy(x.beats, m->heartbeats, m->count * sizeof(*x.beats));
    } else if (m->kind != RAFT_MSG_FETCH && m->count > 0) {
        x.entries = calloc(m->count, sizeof(*x.entries));
        for (uint32_t i = 0; i < m->count; i++) {
            FX_CHECK(raft_entry_get(n->host, m->group, m->index + 1 + i, &x.entries[i]) == 0);
            FX_CHECK(x.entries[i].state == RAFT_ENTRY_OK);
        }
    }
    if (x.after_seq > n->durable_seq) {
        FX_CHECK(n->held_count < FX_PENDING_MAX);
        n->held[n->held_count++] = x;
        return;
    }
    fx_net_add(f, &x);
}

static void fx_persist(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_node *n = &f->node[node];
    FX_CHECK(n->pending_count < FX_PENDING_MAX);
    struct fx_pending *p = &n->pending[n->pending_count++];
    n->persists++;
    p->action = *a;
    p->entries = NULL;
    if (a->count > 0) {
        p->entries = calloc(a->count, sizeof(*p->entries));
        for (uint32_t i = 0; i < a->count; i++) {
            FX_CHECK(raft_entry_get(n->host, a->group, a->index + i, &p->entries[i]) == 0);
        }
    }
}

static void fx_role(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_group_view *v = &f->node[node].view[a->group - 1];
    v->role = a->role;
    v->term = a->term;
    v->leader = a->peer;
    if (a->role == RAFT_LEADER) {
        fx_judge_leader(f, node, a);
    }
}

static void fx_action(struct fx *f, unsigned node, const struct raft_action *a)
{
    struct fx_group_view *v = &f->node[node].view[a->group == 0 ? 0 : a->group - 1];
    f->trace = f->trace * 1099511628211ull ^ ((uint64_t)a->kind << 56) ^ (a->seq << 40) ^
               (a->index << 20) ^ a->count ^ (a->after_seq << 8) ^ a->message.index ^
               ((uint64_t)a->message.kind << 48) ^ ((uint64_t)node << 60) ^ a->message.term;
    fx_note_action(f, node, a);
    switch (a->kind) {
    case RAFT_PERSIST: fx_persist(f, node, a); break;
    case RAFT_SEND: fx_send(f, node, a); break;
    case RAFT_APPLY: fx_apply(f, node, a); break;
    case RAFT_ROLE: fx_role(f, node, a); break;
    case RAFT_READ_OK:
    case RAFT_READ_FAIL: fx_read_end(f, node, a); break;
    case RAFT_SNAPSHOT_SEND:
        v->snapshot_wanted[a->peer] = 1;
        v->snapshot_sends++;
        break;
    case RAFT_SNAPSHOT_INSTALL:
        v->install_index = a->index;
        v->install_term = a->term;
        v->install_from = a->peer;
        v->installs++;
        break;
    case RAFT_FENCED: v->fenced++; break;
    }
}

static bool fx_after(struct fx *f, unsigned node, uint32_t g, struct raft_event *ev)
{
    struct fx_node *n = &f->node[node];
    struct fx_group_view *v = &n->view[g - 1];
    struct raft_status s = fx_status(f, node, g);
    if (s.fenced) {
        return false;
    }
    for (uint32_t peer = 1; peer <= f->nodes; peer++) {
        if (v->snapshot_wanted[peer] != 0 && v->applied > 0) {
            v->snapshot_wanted[peer] = 0;
            (void)raft_snapshot_offer(n->host, g, peer, v->applied, v->applied,
                                      f->committed[g - 1][v->applied].term);
            *ev = (struct raft_event){.kind = RAFT_PEER_UP, .peer = peer};
            return true;
        }
    }
    if (s.applied_index < v->applied) {
        *ev = (struct raft_event){.kind = RAFT_APPLIED, .group = g, .index = v->applied};
        return true;
    }
    return false;
}

static void fx_drain(struct fx *f, unsigned node)
{
    struct raft_action a[7];
    unsigned count;
    while ((count = raft_poll(f->node[node].host, a, 7)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            fx_action(f, node, &a[i]);
        }
    }
}

int fx_step(struct fx *f, unsigned node, struct raft_event ev)
{
    struct fx_node *n = &f->node[node];
    FX_CHECK(n->up);
    ev.now_us = f->now_us;
    int err = raft_step(n->host, &ev);
    fx_drain(f, node);
    for (uint32_t g = 1; g <= f->groups; g++) {
        struct raft_event more;
        while (fx_after(f, node, g, &more)) {
            more.now_us = f->now_us;
            (void)raft_step(n->host, &more);
            fx_drain(f, node);
        }
        fx_judge_commit(f, node, g);
        if (!f->manual_install) {
            fx_install(f, node, g);
        }
    }
    return err;
}

void fx_install(struct fx *f, unsigned node, uint32_t group)
{
    struct fx_node *n = &f->node[node];
    struct fx_group_view *v = &n->view[group - 1];
    uint64_t index = v->install_index;
    if (index == 0 || !n->up) {
        return;
    }
    v->install_index = 0;
    if (index <= v->applied) {
        return;
    }
    FX_CHECK(f->committed[group - 1][index].term == v->install_term);
    v->applied = index;
    n->disk[group - 1].applied = index;
    fx_step(f, node,
            (struct raft_event){
                .kind = RAFT_SNAPSHOT_INSTALLED,
                .group = group,
                .index = index,
                .term = v->install_term,
                .time_us = f->committed[group - 1][index].time_us,
            });
}

void fx_tick(struct fx *f, unsigned node)
{
    (void)fx_step(f, node, (struct raft_event){.kind = RAFT_TICK});
}

/* ---- network ------------------------------------------------------------------------------------
 */

static struct fx_message fx_take(struct fx *f, unsigned at)
{
    FX_CHECK(at < f->net_count);
    struct fx_message x = f->net[at];
    f->net_count--;
    memmove(&f->net[at], &f->net[at + 1], (f->net_count - at) * sizeof(f->net[0]));
    return x;
}

static int fx_receive(struct fx *f, struct fx_message *x)
{
    x->m.entries = x->entries;
    x->m.heartbeats = x->beats;
    return fx_step(f, x->m.to, (struct raft_event){.kind = RAFT_MESSAGE, .message = &x->m});
}

int fx_deliver(struct fx *f, unsigned at)
{
    struct fx_message x = fx_take(f, at);
    int err = 0;
    if (!f->cut[x.m.from][x.m.to] && f->node[x.m.to].up) {
        err = fx_receive(f, &x);
    }
    fx_message_release(&x);
    return err;
}

void fx_drop(struct fx *f, unsigned at)
{
    struct fx_message x = fx_take(f, at);
    fx_message_release(&x);
}

void fx_copy(struct fx *f, unsigned at)
{
    struct fx_message x = f->net[at];
    if (x.entries != NULL) {
        struct raft_entry *entries = calloc(x.m.count, sizeof(*entries));
        memcpy(entries, x.entries, x.m.count * sizeof(*entries));
        x.entries = entries;
    }
    if (x.beats != NULL) {
        struct raft_heartbeat *beats = calloc(x.m.count, sizeof(*beats));
        memcpy(beats, x.beats, x.m.count * sizeof(*beats));
        x.beats = beats;
    }
    FX_CHECK(f->net_count < FX_NET_MAX);
    f->net[f->net_count++] = x;
}

void fx_inject(struct fx *f, const struct raft_message *m)
{
    struct fx_message x = {.m = *m};
    if (m->entries != NULL) {
        x.entries = calloc(m->count, sizeof(*x.entries));
        memcpy(x.entries, m->entries, m->count * sizeof(*x.entries));
    }
    FX_CHECK(f->net_count < FX_NET_MAX);
    f->net[f->net_count++] = x;
}

void fx_isolate(struct fx *f, unsigned node, bool cut)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        f->cut[node][i] = cut;
        f->cut[i][node] = cut;
    }
    fx_note(f, "%s %u\n", cut ? "isolate" : "join", node);
}

void fx_settle(struct fx *f)
{
    for (unsigned rounds = 0; rounds < 100000; rounds++) {
        if (!f->manual_sync) {
            fx_sync_all(f);
        }
        if (f->net_count == 0) {
            return;
        }
        (void)fx_deliver(f, 0);
    }
    ck_abort_msg("the cluster does not come to rest");
}

void fx_run(struct fx *f, uint64_t us)
{
    uint64_t end_us = f->now_us + us;
    fx_settle(f);
    while (f->now_us < end_us) {
        uint64_t next_us = end_us;
        for (unsigned i = 1; i <= f->nodes; i++) {
            uint64_t at_us = f->node[i].up ? raft_deadline(f->node[i].host) : end_us;
            next_us = at_us < next_us ? at_us : next_us;
        }
        f->now_us = next_us > f->now_us ? next_us : f->now_us;
        for (unsigned i = 1; i <= f->nodes; i++) {
            if (f->node[i].up && raft_deadline(f->node[i].host) <= f->now_us) {
                fx_tick(f, i);
            }
        }
        fx_settle(f);
    }
}

/* ---- use ----------------------------------------------------------------------------------------
 */

int fx_propose(struct fx *f, unsigned node, uint32_t group, unsigned count)
{
    struct raft_entry e[64];
    FX_CHECK(count <= 64);
    for (unsigned i = 0; i < count; i++) {
        e[i] = (struct raft_entry){.type = RAFT_ENTRY_COMMAND, .bytes = 10, .ref = ++f->next_ref};
    }
    return fx_step(
        f, node,
        (struct raft_event){.kind = RAFT_PROPOSE, .group = group, .entries = e, .count = count});
}

uint64_t fx_read(struct fx *f, unsigned node, uint32_t group)
{
    struct fx_node *n = &f->node[node];
    FX_CHECK(n->reads_count < FX_READS_MAX);
    uint64_t ctx = ++f->next_ctx;
    n->reads[n->reads_count++] =
        (struct fx_read){.ctx = ctx, .group = group, .least = f->committed_max[group - 1]};
    int err = fx_step(f, node, (struct raft_event){.kind = RAFT_READ, .group = group, .ctx = ctx});
    if (err != 0) {
        n->reads_count--;
        return 0;
    }
    return ctx;
}

const struct fx_read *fx_read_get(const struct fx *f, unsigned node, uint64_t ctx)
{
    for (unsigned i = 0; i < f->node[node].reads_count; i++) {
        if (f->node[node].reads[i].ctx == ctx) {
            return &f->node[node].reads[i];
        }
    }
    ck_abort_msg("no such read");
    return NULL;
}

void fx_compact(struct fx *f, unsigned node, uint32_t group, uint64_t index)
{
    struct fx_node *n = &f->node[node];
    FX_CHECK(index <= n->view[group - 1].applied);
    if (index > n->disk[group - 1].applied) {
        n->disk[group - 1].applied = index;
    }
    FX_CHECK(fx_step(f, node,
                     (struct raft_event){.kind = RAFT_COMPACT, .group = group, .index = index}) ==
             0);
}

struct raft_status fx_status(const struct fx *f, unsigned node, uint32_t group)
{
    struct raft_status s;
    FX_CHECK(raft_status_get(f->node[node].host, group, f->now_us, &s) == 0);
    return s;
}

unsigned fx_leader(const struct fx *f, uint32_t group)
{
    unsigned leader = 0;
    uint64_t term = 0;
    for (unsigned i = 1; i <= f->nodes; i++) {
        if (!f->node[i].up) {
            continue;
        }
        struct raft_status s = fx_status(f, i, group);
        if (s.leading && s.term > term) {
            leader = i;
            term = s.term;
        }
    }
    return leader;
}

unsigned fx_elect(struct fx *f, uint32_t group, uint64_t us)
{
    uint64_t end_us = f->now_us + us;
    while (fx_leader(f, group) == 0) {
        FX_CHECK_MSG(f->now_us < end_us, "no leader");
        fx_run(f, 10000);
    }
    return fx_leader(f, group);
}

bool fx_equal(const struct fx *f, uint32_t group)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        if (f->node[i].up && f->node[i].view[group - 1].applied != f->committed_max[group - 1]) {
            return false;
        }
    }
    return true;
}
