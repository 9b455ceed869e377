/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which actor this node is: the EV_SELF record of the own group, the commands that change it, and
 * what asks for them. What is in memory follows the applied state, so that a command that is
 * applied again after a crash finds the actor it found the first time.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_START_BYTES 33u

struct node_ev_self {
    struct node_ev_self_record now;
    bool asking;      /* a command is out */
    bool leaving;     /* no more dots in this life */
    unsigned owing;   /* ends that NODE_FX_LEFT waits for */
    uint64_t doubted; /* this epoch is to be left */
    uint64_t first;   /* of a block granted to this start and not yet told; 0: none */
    uint64_t end;
    bool may_go_on; /* when the block was asked for, the epoch was one that may go on */
    bool goes_on;   /* and no other start had been granted a block since */
    bool alone;     /* that, whatever became of the epoch */
    struct node_timer run;
};

/* ---- the record ----------------------------------------------------------------------------- */

struct bytes node_ev_self_name(void)
{
    static const uint8_t name[1] = {NODE_KEY_EV_SELF};
    return bytes_of(name, sizeof name);
}

struct bytes node_ev_self_encode(const struct node_ev_self_record *s,
                                 uint8_t into[NODE_EV_SELF_BYTES])
{
    static const uint8_t sizes[NODE_EV_SELF_FORMAT] = {50, 66, 74, 90, NODE_EV_SELF_BYTES};
    bool more = s->ended_us != 0 || s->sessions != 0;
    into[0] = s->knows != 0 ? 5 : more ? 4 : s->mending != 0 ? 3 : s->mark != 0 ? 2 : 1;
    num_put_u64(into + 1, s->boot);
    num_put_u64(into + 9, s->nonce);
    num_put_u64(into + 17, s->epoch);
    num_put_u64(into + 25, s->next);
    num_put_u64(into + 33, s->end);
    into[41] = s->clean;
    num_put_u64(into + 42, s->since);
    num_put_u64(into + 50, s->mark);
    num_put_u64(into + 58, s->told);
    num_put_u64(into + 66, s->mending);
    num_put_u64(into + 74, s->ended_us);
    num_put_u64(into + 82, s->sessions);
    num_put_u64(into + 90, s->knows);
    return bytes_of(into, sizes[into[0] - 1]);
}

int node_ev_self_decode(struct bytes raw, struct node_ev_self_record *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    struct node_ev_self_record s = {0};
    if (raw.size > 0) {
        uint8_t format = bytes_take_u8(&r);
        if (format > NODE_EV_SELF_FORMAT) {
            return ERR_LEVEL;
        }
        s.boot = bytes_take_u64(&r);
        s.nonce = bytes_take_u64(&r);
        s.epoch = bytes_take_u64(&r);
        s.next = bytes_take_u64(&r);
        s.end = bytes_take_u64(&r);
        s.clean = bytes_take_u8(&r) != 0;
        s.since = bytes_take_u64(&r);
        s.mark = format > 1 ? bytes_take_u64(&r) : 0;
        s.told = format > 1 ? bytes_take_u64(&r) : 0;
        s.mending = format > 2 ? bytes_take_u64(&r) : 0;
        s.ended_us = format > 3 ? bytes_take_u64(&r) : 0;
        s.sessions = format > 3 ? bytes_take_u64(&r) : 0;
        s.knows = format > 4 ? bytes_take_u64(&r) : 0;
        if (!bytes_reader_ended(&r) || format == 0 || s.next > s.end) {
            return ERR_CORRUPT;
        }
    }
    *out = s;
    return 0;
}

/* ---- what is known -------------------------------------------------------------------------- */

const struct node_ev_self_record *node_ev_self_now(const struct node *n)
{
    return &n->ev_self->now;
}

static bool node_ev_self_mine(const struct node *n)
{
    const struct node_ev_self_record *now = &n->ev_self->now;
    return now->boot == n->options.boot && now->nonce == n->options.boot_nonce;
}

bool node_ev_actor(const struct node *n, struct crdt_actor *actor)
{
    const struct node_ev_self *s = n->ev_self;
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    if (!node_ev_self_mine(n) || s->now.epoch == 0 || s->now.clean || s->leaving ||
        s->doubted == s->now.epoch || g->broken || g->fenced || !g->led) {
        return false;
    }
    *actor = (struct crdt_actor){.node = n->self, .epoch = s->now.epoch};
    return true;
}

bool node_ev_session_valid(const struct node *n, uint64_t session)
{
    uint64_t epoch = (session & NODE_EV_SESSION_FLAG) != 0
                         ? (session & ~NODE_EV_SESSION_FLAG) >> NODE_EV_SESSION_NTH_BITS
                         : session >> NODE_EV_SESSION_INDEX_BITS;
    return epoch >= n->ev_self->now.since;
}

static void node_ev_self_soon(struct node *n)
{
    node_timer_set(n, &n->ev_self->run, n->now);
}

void node_ev_self_changed(struct node *n, bool present, struct bytes raw)
{
    struct node_ev_self *s = n->ev_self;
    const struct node_ev_self_record before = s->now;
    int err = node_ev_self_decode(present ? raw : bytes_of(NULL, 0), &s->now);
    ASSERT(err == 0); /* written by the commands below, or checked by recovery */
    if (s->now.epoch == 0 && !n->closing) {
        node_ev_self_soon(n);
    }
    if (before.boot != s->now.boot || before.nonce != s->now.nonce ||
        before.epoch != s->now.epoch || before.clean != s->now.clean) {
        node_ev_retire_soon(n, NODE_EV_RETIRE_US);
    }
}

void node_ev_doubt(struct node *n, const char *why)
{
    struct node_ev_self *s = n->ev_self;
    if (!node_ev_self_mine(n) || s->now.epoch == 0 || s->doubted == s->now.epoch) {
        return; /* there is no epoch to doubt, or it is on its way out */
    }
    log_line(n->options.log, LOG_WARN, "epoch_doubted", "node=%u epoch=%llu reason=\"%s\"", n->self,
             (unsigned long long)s->now.epoch, why);
    s->doubted = s->now.epoch;
    node_ev_self_soon(n);
}

/* ---- commands ------------------------------------------------------------------------------- */

static int node_ev_self_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    (void)cmd;
    return node_keys_add(out, node_ev_self_name());
}

static int node_ev_self_load(struct node_sm *sm, struct node_ev_self_record *out)
{
    struct bytes raw = {0};
    if (node_sm_group(sm) != NODE_GROUP_OWN) {
        return ERR_INVALID;
    }
    int err = node_sm_get(sm, node_ev_self_name(), &raw);
    return err == ERR_NOT_FOUND ? node_ev_self_decode(bytes_of(NULL, 0), out)
                                : node_ev_self_decode(raw, out);
}

static int node_ev_self_store(struct node_sm *sm, const struct node_ev_self_record *s)
{
    uint8_t raw[NODE_EV_SELF_BYTES];
    return node_sm_put(sm, node_ev_self_name(), node_ev_self_encode(s, raw));
}

int node_ev_self_lost(struct node_sm *sm)
{
    struct node_ev_self_record s = *node_ev_self_now(sm->n);
    uint64_t knows = s.epoch != 0 ? s.epoch : UINT64_MAX;
    if (s.knows >= knows) {
        return 0;
    }
    s.knows = knows;
    return node_ev_self_store(sm, &s);
}

/* Body: boot u64, nonce u64, first u64, end u64, says u8 (enum node_ev_start_says). Another block
 * for the start that already is the actor leaves its epoch as it is. */
static int node_ev_start_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    struct node_ev_self_record s;
    uint64_t boot = bytes_take_u64(&r);
    uint64_t nonce = bytes_take_u64(&r);
    uint64_t first = bytes_take_u64(&r);
    uint64_t end = bytes_take_u64(&r);
    uint8_t says = bytes_take_u8(&r);
    (void)reply;
    if (!bytes_reader_ended(&r)) {
        return ERR_INVALID;
    }
    TRY(node_ev_self_load(sm, &s));
    if (first == 0 || end <= first || first < s.end) {
        return ERR_INVALID; /* blocks only rise */
    }
    bool same = s.boot == boot && s.nonce == nonce;
    bool goes_on = (says & NODE_EV_START_GOES_ON) != 0;
    bool alone = (says & NODE_EV_START_ALONE) != 0;
    bool keeps = s.epoch != 0 && (same ? !s.clean : goes_on && s.clean);
    /* nothing was here before; or another start than this disk's last one was granted the last
     * block, and may have made something of which this disk knows nothing. The former format does
     * not tell, and no token had been given under it */
    bool lost = (says & NODE_EV_START_BOTH) != 0 && (s.end == 0 || (!same && !alone));
    s.boot = boot;
    s.nonce = nonce;
    s.epoch = keeps ? s.epoch : first;
    s.sessions = keeps ? s.sessions : 0;
    s.knows = lost ? first : NUM_MIN(s.knows, s.epoch);
    s.next = keeps ? first : first + 1;
    s.end = end;
    s.clean = false;
    s.ended_us = 0;
    s.since = NUM_MIN(s.since, s.epoch);
    return node_ev_self_store(sm, &s);
}

/* Body: boot u64, nonce u64, wall time u64 (µs; the former format names none). Only the start that
 * is the actor ends it. */
static int node_ev_stop_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    struct node_ev_self_record s;
    uint64_t boot = bytes_take_u64(&r);
    uint64_t nonce = bytes_take_u64(&r);
    uint64_t wall_us = r.left > 0 ? bytes_take_u64(&r) : 0;
    (void)reply;
    if (!bytes_reader_ended(&r)) {
        return ERR_INVALID;
    }
    TRY(node_ev_self_load(sm, &s));
    if (s.boot != boot || s.nonce != nonce || s.epoch == 0) {
        return ERR_CONFLICT;
    }
    s.clean = sm->index > s.told; /* else dots of it may not be known here any more */
    s.ended_us = s.clean ? wall_us : 0;
    return node_ev_self_store(sm, &s);
}

/* Body: epoch u64. */
static int node_ev_doubt_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_self_record s;
    (void)reply;
    if (cmd->body.size != 8) {
        return ERR_INVALID;
    }
    TRY(node_ev_self_load(sm, &s));
    if (s.epoch == 0 || s.epoch != num_get_u64(cmd->body.data)) {
        return 0;
    }
    s.epoch = s.next < s.end ? s.next++ : 0;
    s.since = s.epoch != 0 ? s.epoch : UINT64_MAX;
    s.sessions = 0;
    s.clean = false;
    s.ended_us = 0;
    return node_ev_self_store(sm, &s);
}

/* What the log held from here on is lost: sessions that were open then are void, for a command that
 * is tried again may have been applied. What stands behind this is new to who cut it: body: the
 * mark u64 of then. Under another mark records have gone since, and what was told was told of a log
 * that had this in it. */
static int node_ev_lost_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_self_record s;
    (void)reply;
    if (cmd->body.size != 0 && cmd->body.size != NODE_EV_LOST_BYTES) {
        return ERR_INVALID;
    }
    TRY(node_ev_self_load(sm, &s));
    s.since = UINT64_MAX; /* the next epoch's are good */
    if (cmd->body.size > 0 && num_get_u64(cmd->body.data) == s.mark) {
        s.told = NUM_MIN(s.told, sm->index);
    }
    s.clean = false;
    s.ended_us = 0;
    return node_ev_self_store(sm, &s);
}

/* Body: regions u64, mark u64. Under another mark records may have gone again since they were found
 * to be whole. */
static int node_ev_mended_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_self_record s;
    (void)reply;
    if (cmd->body.size != NODE_EV_MENDED_BYTES) {
        return ERR_INVALID;
    }
    uint64_t regions = num_get_u64(cmd->body.data);
    TRY(node_ev_self_load(sm, &s));
    if (s.mark != num_get_u64(cmd->body.data + 8)) {
        return ERR_CONFLICT;
    }
    s.mending &= ~regions;
    TRY(node_ev_self_store(sm, &s));
    node_ev_mended(sm->n, regions);
    return 0;
}

/* The index of an entry is no number of its own where the log may lose its end. */
int node_ev_session_number(struct node_sm *sm, uint64_t *session)
{
    struct node_ev_self_record s;
    TRY(node_ev_self_load(sm, &s));
    if (s.epoch == 0 || s.epoch >= NODE_EV_SESSION_LARGE) {
        return ERR_UNAVAILABLE;
    }
    if (s.epoch < NODE_EV_SESSION_SMALL) {
        *session = s.epoch << NODE_EV_SESSION_INDEX_BITS | sm->index;
        return 0;
    }
    if (s.sessions >> NODE_EV_SESSION_NTH_BITS != 0) {
        node_ev_doubt(sm->n, "no number is left for a session");
        return ERR_UNAVAILABLE;
    }
    *session = NODE_EV_SESSION_FLAG | s.epoch << NODE_EV_SESSION_NTH_BITS | s.sessions;
    s.sessions++;
    return node_ev_self_store(sm, &s);
}

const struct node_op node_ev_self_ops[] = {
    {NODE_OP_EV_START, "ev_start", node_ev_self_keys, node_ev_start_apply},
    {NODE_OP_EV_STOP, "ev_stop", node_ev_self_keys, node_ev_stop_apply},
    {NODE_OP_EV_DOUBT, "ev_doubt", node_ev_self_keys, node_ev_doubt_apply},
    {NODE_OP_EV_LOST, "ev_lost", node_ev_self_keys, node_ev_lost_apply},
    {NODE_OP_EV_MENDED, "ev_mended", node_ev_self_keys, node_ev_mended_apply},
    {0, NULL, NULL, NULL},
};

/* ---- asking for them ------------------------------------------------------------------------ */

static uint64_t node_ev_self_deadline(const struct node *n)
{
    return n->now + 10 * n->options.election_us;
}

static void node_ev_self_again(struct node *n, int code)
{
    struct node_ev_self *s = n->ev_self;
    s->asking = false;
    node_timer_set(n, &s->run, code == 0 ? n->now : n->now + n->options.election_us);
}

static void node_ev_epochs_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_self *s = n->ev_self;
    struct bytes_reader r = bytes_reader_of(reply);
    (void)ctx;
    if (n->closing) {
        return;
    }
    if (code == ERR_FENCED) {
        node_fail(n, code, "another_process_has_started_with_this_identity");
        return;
    }
    if (code == 0) {
        s->first = bytes_take_u64(&r);
        s->end = bytes_take_u64(&r);
        /* nobody else has been granted any since it was first said: that would be refused */
        bool alone = bytes_take_u8(&r) != 0;
        s->alone = alone || s->alone;
        s->goes_on = (alone && s->may_go_on) || s->goes_on;
        code = r.failed ? ERR_PROTOCOL : 0;
        s->first = r.failed ? 0 : s->first;
    }
    node_ev_self_again(n, code);
}

static void node_ev_epochs_ask(struct node *n)
{
    uint8_t body[NODE_EV_EPOCHS_BYTES];
    n->ev_self->may_go_on = node_ev_epoch_may_go_on(n, &n->ev_self->now);
    node_ev_epochs_encode(n, &n->ev_self->now, body);
    struct node_cmd cmd = {.op = NODE_OP_EPOCHS, .body = bytes_of(body, sizeof body)};
    node_propose(n, 0, &cmd, node_ev_self_deadline(n), NULL, node_ev_epochs_done);
}

/* A block whose command may have been lost is given up: group 0 has enough of them. */
static void node_ev_start_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_self *s = n->ev_self;
    struct crdt_actor actor;
    (void)ctx;
    (void)reply;
    if (n->closing) {
        return;
    }
    if (err_outcome_of(code) != ERR_OUTCOME_RETRY) {
        s->first = 0;
    }
    node_ev_self_again(n, code);
    if (code == 0 && node_ev_actor(n, &actor)) {
        log_line(n->options.log, LOG_INFO, "actor", "node=%u epoch=%llu", n->self,
                 (unsigned long long)actor.epoch);
    }
}

static void node_ev_start_propose(struct node *n)
{
    const struct node_ev_self *s = n->ev_self;
    uint8_t body[NODE_EV_START_BYTES];
    num_put_u64(body, n->options.boot);
    num_put_u64(body + 8, n->options.boot_nonce);
    num_put_u64(body + 16, s->first);
    num_put_u64(body + 24, s->end);
    body[32] = (uint8_t)(NODE_EV_START_BOTH | (s->alone ? NODE_EV_START_ALONE : 0) |
                         (s->goes_on ? NODE_EV_START_GOES_ON : 0));
    struct node_cmd cmd = {.op = NODE_OP_EV_START, .body = bytes_of(body, sizeof body)};
    node_propose(n, NODE_GROUP_OWN, &cmd, node_ev_self_deadline(n), NULL, node_ev_start_done);
}

static void node_ev_doubt_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)ctx;
    (void)reply;
    if (!n->closing) {
        node_ev_self_again(n, code);
    }
}

static void node_ev_doubt_propose(struct node *n)
{
    uint8_t body[8];
    num_put_u64(body, n->ev_self->doubted);
    struct node_cmd cmd = {.op = NODE_OP_EV_DOUBT, .body = bytes_of(body, sizeof body)};
    node_propose(n, NODE_GROUP_OWN, &cmd, node_ev_self_deadline(n), NULL, node_ev_doubt_done);
}

/* The one place that decides what is missing next. Nothing is made before it is known which regions
 * are held: it would be one more thing in them that no peer has. */
static void node_ev_self_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_self *s = n->ev_self;
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    (void)t;
    if (s->asking || s->leaving || !n->control->booted || !g->led) {
        return;
    }
    if (!node_ev_hold_known(n)) {
        node_ev_self_again(n, ERR_UNAVAILABLE);
        return;
    }
    bool mine = node_ev_self_mine(n);
    s->asking = true;
    if (mine && s->now.epoch != 0 && s->doubted == s->now.epoch) {
        node_ev_doubt_propose(n);
    } else if (mine && s->now.epoch != 0 && s->now.next < s->now.end) {
        s->asking = false;
    } else if (s->first == 0) {
        node_ev_epochs_ask(n);
    } else {
        node_ev_start_propose(n);
    }
}

void node_ev_self_wake(struct node *n)
{
    node_ev_self_soon(n);
}

int node_ev_self_init(struct node *n)
{
    n->ev_self = alloc_get_zeroed(&n->alloc, 1, sizeof *n->ev_self);
    if (n->ev_self == NULL) {
        return ERR_NO_MEMORY;
    }
    n->ev_self->run.fire = node_ev_self_fire;
    return 0;
}

void node_ev_self_release(struct node *n)
{
    alloc_put(&n->alloc, n->ev_self, sizeof *n->ev_self);
    n->ev_self = NULL;
}

/* ---- an orderly end ------------------------------------------------------------------------- */

/* One thing that the end waits for is done. */
void node_ev_left(struct node *n)
{
    struct node_fx fx = {.kind = NODE_FX_LEFT};
    ASSERT(n->ev_self->owing > 0);
    n->ev_self->owing--;
    if (n->ev_self->owing == 0 && !node_fx_push(n, &fx)) {
        node_fail(n, ERR_NO_MEMORY, "leave");
    }
}

static void node_ev_stop_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)ctx;
    (void)reply;
    if (!n->closing) {
        log_line(n->options.log, LOG_INFO, "actor_ended", "node=%u epoch=%llu clean=%s", n->self,
                 (unsigned long long)n->ev_self->now.epoch, code == 0 ? "yes" : "no");
        node_ev_left(n);
    }
}

void node_ev_leave(struct node *n)
{
    struct crdt_actor actor;
    uint8_t body[24];
    if (n->ev_self->leaving) {
        return;
    }
    bool has = node_ev_actor(n, &actor);
    n->ev_self->leaving = true;
    n->ev_self->owing = 1 + node_member_leave(n);
    if (!has) {
        node_ev_left(n);
        return;
    }
    num_put_u64(body, n->options.boot);
    num_put_u64(body + 8, n->options.boot_nonce);
    num_put_u64(body + 16, n->wall);
    struct node_cmd cmd = {.op = NODE_OP_EV_STOP, .body = bytes_of(body, sizeof body)};
    node_propose(n, NODE_GROUP_OWN, &cmd, node_ev_self_deadline(n), NULL, node_ev_stop_done);
}
