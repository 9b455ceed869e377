/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Owns gossip in this node. It begins when group 0 has recorded this start's boot number, which is
 * its epoch: a number that stands in group 0 before the first packet is never used by two starts,
 * not even where a disk was set back. Until then, and without a cipher, a node is what its
 * connection is.
 *
 * What gossip finds are opinions. They choose where new things go, make consensus look around
 * sooner, and after a long while become proposals (member_decide.c); they change no membership.
 */
#include "server/node/eventual_self_internal.h"
#include "server/node/member_internal.h"

#define NODE_MEMBER_TOLD_US 60000000u /* bad packets: one line a minute at most */

static const struct node_member *node_member_of(const struct node *n)
{
    return n->member;
}

const char *node_member_state_name(enum gossip_state state)
{
    switch (state) {
    case GOSSIP_ALIVE: return "alive";
    case GOSSIP_DEGRADED: return "degraded";
    case GOSSIP_SUSPECT: return "suspect";
    case GOSSIP_DEAD: return "dead";
    case GOSSIP_LEFT: return "left";
    case GOSSIP_REMOVED: return "removed";
    }
    return "unknown";
}

/* ---- the roster as gossip wants it ---------------------------------------------------------- */

/* "10.0.0.7" into an IPv6 address. Names are the host's business: zeros. */
static bool node_address_v4(const char *text, uint8_t ip[16])
{
    uint8_t parts[4] = {0};
    unsigned part = 0;
    unsigned digits = 0;
    unsigned value = 0;
    for (const char *at = text; part < 4; at++) {
        if (*at >= '0' && *at <= '9' && digits < 3) {
            value = value * 10 + (unsigned)(*at - '0');
            digits++;
        } else if ((*at == '.' || *at == '\0') && digits > 0 && value <= 255) {
            parts[part++] = (uint8_t)value;
            digits = 0;
            value = 0;
            if (*at == '\0') {
                break;
            }
        } else {
            return false;
        }
    }
    if (part != 4) {
        return false;
    }
    memset(ip, 0, 16);
    ip[10] = 0xff;
    ip[11] = 0xff;
    memcpy(ip + 12, parts, 4);
    return true;
}

static unsigned node_member_seats(const struct node *n, struct gossip_seat *out)
{
    const struct wire_identity *id = &n->identity;
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        const struct wire_identity_node *from = &id->nodes[i];
        struct gossip_seat *seat = &out[i];
        *seat = (struct gossip_seat){.id = from->id,
                                     .zone = from->zone,
                                     .epoch_least = n->control->peers[i].boot,
                                     .address = {.port = from->peer_port}};
        if (!node_address_v4(from->host, seat->address.ip)) {
            seat->address = (struct gossip_address){.port = from->peer_port};
        }
        memcpy(seat->public_key, n->control->peers[i].public_key, sizeof seat->public_key);
    }
    return id->nodes_count;
}

static void node_member_senders(struct node *n)
{
    const struct node_control *c = n->control;
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        (void)gossip_seal_sender(n->member->seal, c->peers[i].id, c->peers[i].incarnation,
                                 c->peers[i].boot);
    }
}

static void node_member_follow(struct node *n)
{
    struct gossip_seat seats[WIRE_IDENTITY_NODES_MAX];
    unsigned count = node_member_seats(n, seats);
    n->member->roster_stale = false;
    node_member_senders(n);
    if (gossip_roster_set(n->member->gossip, seats, count, n->now) != 0) {
        log_line(n->options.log, LOG_ERROR, "member_roster_refused", "node=%u", n->self);
    }
}

void node_member_roster(struct node *n)
{
    if (n->member != NULL) {
        n->member->roster_stale = true;
    }
}

static int node_member_seal_keys(struct node *n)
{
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    unsigned count = gossip_keyring_keys(&n->control->ring, keys);
    return gossip_seal_keys(n->member->seal, keys, count);
}

void node_member_keys(struct node *n)
{
    const struct gossip_keyring *ring = &n->control->ring;
    if (n->member == NULL || n->member->seal == NULL) {
        return;
    }
    int err = node_member_seal_keys(n);
    log_line(n->options.log, err == 0 ? LOG_INFO : LOG_ERROR, "member_keys",
             "node=%u revision=%llu keys=%u used=%u code=%s", n->self,
             (unsigned long long)ring->revision, ring->count, (unsigned)gossip_keyring_used(ring),
             err_name(err));
    node_member_facts_keys(n);
}

/* ---- begin and end -------------------------------------------------------------------------- */

int node_member_init(struct node *n)
{
    n->member = alloc_get_zeroed(&n->alloc, 1, sizeof *n->member);
    if (n->member == NULL) {
        return ERR_NO_MEMORY;
    }
    buf_init(&n->member->packet, &n->alloc, 1u << 20);
    return 0;
}

void node_member_release(struct node *n)
{
    struct node_member *m = n->member;
    if (m == NULL) {
        return;
    }
    gossip_free(m->gossip);
    gossip_seal_free(m->seal);
    buf_release(&m->packet);
    alloc_put(&n->alloc, m, sizeof *m);
    n->member = NULL;
}

static int node_member_open(struct node *n)
{
    struct node_member *m = n->member;
    const struct node_gossip_options *o = &n->options.gossip;
    struct gossip_seat seats[WIRE_IDENTITY_NODES_MAX];
    unsigned count = node_member_seats(n, seats);
    struct gossip_options options = {
        .self = n->self,
        .epoch = n->options.boot,
        .seed = rng_next(&n->rng),
        .rules = o->rules.probe_interval_us != 0 ? o->rules : gossip_rules_default(),
        .members_max = WIRE_IDENTITY_NODES_MAX,
        .signer = o->signer};
    struct gossip_seal_options seal = {.self = n->self,
                                       .incarnation = n->identity.incarnation,
                                       .epoch = n->options.boot,
                                       .senders_max = WIRE_IDENTITY_NODES_MAX,
                                       .cipher = o->cipher};
    memcpy(seal.cluster, n->identity.cluster, sizeof seal.cluster);
    TRY(gossip_seal_new(&m->seal, &seal, &n->alloc));
    TRY(node_member_seal_keys(n));
    node_member_senders(n);
    return gossip_new(&m->gossip, &options, seats, count, &n->alloc, n->now);
}

void node_member_start(struct node *n)
{
    if (n->member->gossip != NULL || n->options.gossip.cipher.seal == NULL ||
        n->control->ring.count == 0) {
        return;
    }
    int err = node_member_open(n);
    if (err != 0) {
        gossip_seal_free(n->member->seal);
        n->member->seal = NULL;
        log_line(n->options.log, LOG_ERROR, "member_not_started", "node=%u code=%s", n->self,
                 err_name(err));
        return;
    }
    log_line(n->options.log, LOG_INFO, "member_started", "node=%u epoch=%llu", n->self,
             (unsigned long long)n->options.boot);
    for (unsigned i = 0; i < n->peers_count; i++) {
        if (n->peers[i].up) {
            gossip_evidence(n->member->gossip, n->peers[i].id, GOSSIP_CONNECTED, 0, n->now);
        }
    }
    node_member_health_start(n);
    node_member_decide_start(n);
}

/* ---- packets -------------------------------------------------------------------------------- */

static void node_member_send_datagram(struct node *n, uint32_t peer,
                                      const struct gossip_address *to, struct bytes text)
{
    struct node_fx fx = {.kind = NODE_FX_GOSSIP, .peer = peer, .address = *to};
    buf_init(&fx.head, &n->alloc, 1u << 17);
    int err = gossip_seal_close(n->member->seal, GOSSIP_DATAGRAM, peer, text, &fx.head);
    if (err != 0 || n->failed || !node_fx_push(n, &fx)) {
        n->counters.dropped_messages++;
        buf_release(&fx.head);
    }
}

static void node_member_send_stream(struct node *n, const struct gossip_action *a)
{
    struct node_member *m = n->member;
    struct buf frame;
    uint64_t token = a->token;
    int err = node_peer_is_up(n, a->peer) ? 0 : ERR_UNREACHABLE;
    if (err == 0) {
        buf_init(&frame, &n->alloc, n->options.limits.peer_body_bytes);
        err = gossip_seal_close(m->seal, GOSSIP_STREAM, a->peer, a->data, &frame);
        if (err == 0) {
            node_send(n, a->peer, NODE_FRAME_GOSSIP, &frame, NULL);
        } else {
            buf_release(&frame);
        }
    }
    gossip_stream_done(m->gossip, token, err, n->now);
}

static void node_member_tell_forged(struct node *n)
{
    struct gossip_seal_counters c;
    struct node_member *m = n->member;
    gossip_seal_counters_get(m->seal, &c);
    uint64_t bad = c.malformed + c.unknown_sender + c.unknown_key + c.forged;
    if (bad == m->forged_told ||
        (m->forged_told_us != 0 && n->now - m->forged_told_us < NODE_MEMBER_TOLD_US)) {
        return;
    }
    log_line(n->options.log, LOG_WARN, "gossip_refused",
             "node=%u malformed=%llu unknown_sender=%llu unknown_key=%llu forged=%llu", n->self,
             (unsigned long long)c.malformed, (unsigned long long)c.unknown_sender,
             (unsigned long long)c.unknown_key, (unsigned long long)c.forged);
    m->forged_told = bad;
    m->forged_told_us = n->now;
}

/* Opens a packet. returns: 0 with *out, or an error: nothing of it counts. */
static int node_member_unseal(struct node *n, enum gossip_channel channel, struct bytes data,
                              struct gossip_opened *out)
{
    struct node_member *m = n->member;
    buf_clear(&m->packet);
    TRY(buf_reserve(&m->packet, data.size));
    int err = gossip_seal_open(m->seal, channel, data, m->packet.data, out);
    if (err != 0 && err != ERR_BEHIND) {
        node_member_tell_forged(n);
    }
    return err;
}

void node_member_packet(struct node *n, const struct node_event *ev)
{
    struct gossip_opened opened = {0};
    if (n->member->gossip == NULL) {
        return;
    }
    int err = node_member_unseal(n, GOSSIP_DATAGRAM, ev->data, &opened);
    if (err == ERR_BEHIND) { /* authentic, for an earlier start of this node */
        node_member_send_datagram(n, opened.sender, &ev->from, bytes_of(NULL, 0));
    } else if (err == 0 && opened.text.size == 0) { /* a greeting: it lives */
        gossip_evidence(n->member->gossip, opened.sender, GOSSIP_ANSWERED, 0, n->now);
    } else if (err == 0) {
        (void)gossip_receive(n->member->gossip, GOSSIP_DATAGRAM, opened.sender, opened.epoch,
                             &ev->from, opened.text, n->now);
    }
}

void node_member_stream(struct node *n, uint32_t peer, struct bytes data)
{
    struct gossip_opened opened = {0};
    const struct gossip_address nowhere = {.port = 0};
    if (n->member->gossip == NULL) {
        return;
    }
    int err = node_member_unseal(n, GOSSIP_STREAM, data, &opened);
    if ((err == 0 || err == ERR_BEHIND) && opened.sender != peer) {
        n->counters.bad_frames++;
    } else if (err == ERR_BEHIND) {
        struct buf frame;
        buf_init(&frame, &n->alloc, n->options.limits.peer_body_bytes);
        if (gossip_seal_close(n->member->seal, GOSSIP_STREAM, peer, bytes_of(NULL, 0), &frame) ==
            0) {
            node_send(n, peer, NODE_FRAME_GOSSIP, &frame, NULL);
        }
        buf_release(&frame);
    } else if (err == 0 && opened.text.size == 0) {
        gossip_evidence(n->member->gossip, opened.sender, GOSSIP_ANSWERED, 0, n->now);
    } else if (err == 0) {
        (void)gossip_receive(n->member->gossip, GOSSIP_STREAM, opened.sender, opened.epoch,
                             &nowhere, opened.text, n->now);
    }
}

/* ---- evidence ------------------------------------------------------------------------------- */

/* Once a heartbeat is enough: it stands for a probe, and probes are rarer than that. */
void node_member_answered(struct node *n, uint32_t peer)
{
    struct node_member *m = n->member;
    for (unsigned i = 0; m->gossip != NULL && i < n->peers_count; i++) {
        if (n->peers[i].id == peer && n->now - m->evidence_us[i] >= n->options.heartbeat_us) {
            m->evidence_us[i] = n->now;
            gossip_evidence(m->gossip, peer, GOSSIP_ANSWERED, 0, n->now);
        }
    }
}

void node_member_connection(struct node *n, uint32_t peer, bool up)
{
    if (n->member->gossip != NULL) {
        gossip_evidence(n->member->gossip, peer, up ? GOSSIP_CONNECTED : GOSSIP_RESET, 0, n->now);
    }
}

/* ---- opinions ------------------------------------------------------------------------------- */

static bool node_member_view(const struct node *n, uint32_t peer, struct gossip_member *out)
{
    const struct node_member *m = node_member_of(n);
    return m->gossip != NULL && gossip_member_of(m->gossip, peer, out) == 0;
}

bool node_peer_fit(const struct node *n, uint32_t peer)
{
    struct gossip_member member;
    if (!node_peer_is_up(n, peer) || node_member_out(n, peer)) {
        return false;
    }
    return !node_member_view(n, peer, &member) || member.state == GOSSIP_ALIVE;
}

bool node_peer_sure(const struct node *n, uint32_t peer)
{
    struct gossip_member member;
    if (!node_peer_is_up(n, peer)) {
        return false;
    }
    return peer == n->self || !node_member_view(n, peer, &member) ||
           ((member.state == GOSSIP_ALIVE || member.state == GOSSIP_DEGRADED) &&
            member.confidence < GOSSIP_SURE_READ);
}

static void node_member_changed(struct node *n, const struct gossip_action *a)
{
    static const char *const events[] = {"",
                                         "member_alive",
                                         "member_degraded",
                                         "member_suspect",
                                         "member_dead",
                                         "member_left",
                                         "member_removed"};
    const struct gossip_member *member = &a->member;
    bool bad = member->state == GOSSIP_SUSPECT || member->state == GOSSIP_DEAD;
    log_line(n->options.log, bad ? LOG_WARN : LOG_INFO, events[member->state],
             "node=%u by=%u was=%s confidence=%u accusers=%u epoch=%llu incarnation=%llu "
             "unwell=%u",
             member->id, n->self, node_member_state_name(a->was), member->confidence, a->accusers,
             (unsigned long long)member->epoch, (unsigned long long)member->incarnation,
             member->unwell);
    if (member->id == n->self) {
        return;
    }
    if (member->state == GOSSIP_DEAD || member->state == GOSSIP_LEFT) {
        struct raft_event ev = {.kind = RAFT_PEER_DOWN, .peer = member->id};
        (void)node_raft(n, &ev);
    }
}

static void node_member_cut(struct node *n, const struct gossip_action *a)
{
    for (uint32_t i = 0; i < a->cut_count; i++) {
        log_line(n->options.log, LOG_WARN, "member_cut", "node=%u by=%u of=%u", a->cut[i], n->self,
                 a->cut_count);
        node_member_decide_cut(n, a->cut[i]);
    }
}

static void node_member_act(struct node *n, const struct gossip_action *a)
{
    switch (a->kind) {
    case GOSSIP_SEND:
        if (a->channel == GOSSIP_STREAM) {
            node_member_send_stream(n, a);
        } else {
            node_member_send_datagram(n, a->peer, &a->address, a->data);
        }
        break;
    case GOSSIP_CHANGE: node_member_changed(n, a); break;
    case GOSSIP_CONFLICT:
        log_line(n->options.log, LOG_ERROR, "member_conflict", "node=%u by=%u epoch=%llu",
                 a->member.id, n->self, (unsigned long long)a->member.epoch);
        break;
    case GOSSIP_CUT: node_member_cut(n, a); break;
    case GOSSIP_FACT: break;
    case GOSSIP_LEFT_DONE: node_ev_left(n); break;
    }
}

bool node_member_leave(struct node *n)
{
    if (n->member->gossip == NULL) {
        return false;
    }
    gossip_leave(n->member->gossip, n->now);
    return true;
}

#define NODE_MEMBER_ACTIONS_MAX 4096u /* a turn: the rest goes in the next */

void node_member_turn(struct node *n)
{
    struct gossip_action action;
    struct node_member *m = n->member;
    if (m->gossip == NULL || n->failed || n->closing) {
        return;
    }
    if (m->roster_stale) {
        node_member_follow(n);
    }
    if (n->now >= gossip_deadline(m->gossip)) {
        gossip_tick(m->gossip, n->now);
    }
    for (unsigned i = 0; i < NODE_MEMBER_ACTIONS_MAX && gossip_poll(m->gossip, &action); i++) {
        node_member_act(n, &action);
    }
}

uint64_t node_member_deadline(const struct node *n)
{
    const struct node_member *m = node_member_of(n);
    return m->gossip == NULL ? UINT64_MAX : gossip_deadline(m->gossip);
}
