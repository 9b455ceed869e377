/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * From opinion to decision, on the leader of group 0 alone. A member that has been dead, or in a
 * cut, without a break for repair_delay_us is proposed to be out; one that is alive again for a
 * while to be a member. The proposal names the start it is about; what may not happen however often
 * leaders change (flapping, a minority left) is refused where it is applied (roster.c). No
 * configuration of consensus is ever changed from here.
 */
#include "server/node/member_internal.h"

#define NODE_DECIDE_US 1000000u
#define NODE_DECIDE_BACK_US 30000000u   /* alive for so long: a member again */
#define NODE_DECIDE_PAUSE_US 600000000u /* between two OUT of one node, in log time */

static uint32_t node_decide_place(const struct node *n, uint32_t id)
{
    uint32_t i = 0;
    while (i < n->control->nodes_count && n->control->peers[i].id != id) {
        i++;
    }
    return i;
}

void node_member_decide_cut(struct node *n, uint32_t id)
{
    uint32_t place = node_decide_place(n, id);
    struct node_member_decide *d = &n->member->decide;
    if (place < n->control->nodes_count && d->cut_us[place] == 0) {
        d->cut_us[place] = n->now;
    }
}

static bool node_decide_lives(const struct gossip_member *m)
{
    return m->state == GOSSIP_ALIVE || m->state == GOSSIP_DEGRADED;
}

/* returns: for how long the member has been gone by all signs; 0: it is not. */
static uint64_t node_decide_gone(struct node *n, uint32_t place, const struct gossip_member *m)
{
    struct node_member_decide *d = &n->member->decide;
    if (node_decide_lives(m)) {
        d->cut_us[place] = 0;
        return 0;
    }
    uint64_t since = d->cut_us[place];
    if (m->state == GOSSIP_DEAD || m->state == GOSSIP_LEFT) {
        since = since == 0 ? m->since_us : NUM_MIN(since, m->since_us);
    }
    return since == 0 ? 0 : n->now - NUM_MIN(n->now, since);
}

static void node_decide_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)ctx;
    (void)reply;
    if (n->closing) {
        return;
    }
    n->member->decide.busy = false;
    if (code != 0 && code != ERR_BUSY) {
        log_line(n->options.log, LOG_WARN, "member_decision_refused", "node=%u code=%s", n->self,
                 err_name(code));
    }
}

static void node_decide_propose(struct node *n, const struct node_control_peer *p,
                                enum node_member_state state)
{
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    struct node_roster_change c = {.node = p->id,
                                   .incarnation = p->incarnation,
                                   .boot = p->boot,
                                   .state = state,
                                   .pause_us = NODE_DECIDE_PAUSE_US};
    node_roster_change_encode(&c, body);
    struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    n->member->decide.busy = true;
    log_line(n->options.log, LOG_WARN, "member_proposed", "node=%u by=%u state=%s boot=%llu", p->id,
             n->self, state == NODE_MEMBER_OUT ? "out" : "in", (unsigned long long)p->boot);
    node_propose(n, 0, &cmd, n->now + 10 * n->options.election_us, NULL, node_decide_done);
}

/* A leader that sees no majority may itself be what is cut off. */
static bool node_decide_majority(const struct node *n)
{
    struct gossip_member m;
    uint32_t alive = 0;
    for (uint32_t i = 0; i < n->control->nodes_count; i++) {
        alive += gossip_member_of(n->member->gossip, n->control->peers[i].id, &m) == 0 &&
                 node_decide_lives(&m);
    }
    return alive > n->control->nodes_count / 2;
}

/* Whether the node went out so lately that the command would be refused anyway. Log time and this
 * node's clock run alike, so this spares the log a line a second, no more. */
static bool node_decide_again(const struct node *n, const struct node_control_peer *p)
{
    const struct node_group *g = node_group_find(n, 0);
    return p->out_us != 0 && g != NULL &&
           g->now.log_time_us - NUM_MIN(g->now.log_time_us, p->out_us) < NODE_DECIDE_PAUSE_US;
}

static bool node_decide_allowed(const struct node *n)
{
    uint32_t out = 1;
    for (uint32_t i = 0; i < n->control->nodes_count; i++) {
        out += n->control->peers[i].state == NODE_MEMBER_OUT;
    }
    return out <= (n->control->nodes_count - 1) / 2 && node_decide_majority(n);
}

static void node_decide_look(struct node *n, uint32_t place)
{
    const struct node_control_peer *p = &n->control->peers[place];
    struct gossip_member m;
    if (p->id == n->self || gossip_member_of(n->member->gossip, p->id, &m) != 0) {
        return;
    }
    uint64_t gone = node_decide_gone(n, place, &m);
    if (p->state == NODE_MEMBER_OUT) {
        if (node_decide_lives(&m) && n->now - NUM_MIN(n->now, m.since_us) >= NODE_DECIDE_BACK_US) {
            node_decide_propose(n, p, NODE_MEMBER_IN);
        }
        return;
    }
    if (gone >= n->options.repair_delay_us && gone > 0 && !node_decide_again(n, p) &&
        node_decide_allowed(n)) {
        node_decide_propose(n, p, NODE_MEMBER_OUT);
    }
}

static void node_decide_fire(struct node *n, struct node_timer *t)
{
    struct node_member_decide *d = &n->member->decide;
    for (uint32_t i = 0; i < n->control->nodes_count && node_leads(n, 0) && !d->busy; i++) {
        node_decide_look(n, i);
    }
    node_timer_set(n, t, n->now + NODE_DECIDE_US);
}

void node_member_decide_start(struct node *n)
{
    struct node_timer *t = &n->member->decide.timer;
    t->fire = node_decide_fire;
    node_timer_set(n, t, n->now + NODE_DECIDE_US);
}
