/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Regions that lost records here. What their contexts had been made again from is what is left:
 * the dots that were replaced or removed are not in it, while those that replaced them are. Joined
 * with a peer that has the former and not yet the latter, both would live, for good: neither ever
 * meets a context that has one and not the other again. So until it is mended
 *
 *   no page is taken    but from a peer that has seen all that is left, and with it what that
 *                       replaced; then all records, whatever the contexts say
 *   no page is given    its context would take nothing away that it should
 *
 * Pushes are, as they name what must have been seen before them. Peers that lack something of it
 * get it from others, or by these pushes. If all other owners are there and none has all that is
 * left after a while, nobody will, and the region is exchanged as it is; so it is in the end if one
 * of them is away for long.
 *
 * Which regions are mended EV_SELF says, from the transaction that found the loss to the command
 * EV_MENDED, so a start goes on with it (docs/adr/0018). What is left is the region's context when
 * it is first looked at. More than what was left may be in it, which asks more of a peer than need
 * be, but for
 *
 *   on its way     what the log held when records went was judged by what had been seen before, and
 *                  is applied to what is left: it brings dots without those before them. So nothing
 *                  is looked at before all of it is applied
 *   written here   dots made since replaced only what is here, and perhaps nobody has them: they
 *                  are asked of nobody
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"

/* From when all other owners are there and one asks or is asked; and, while one is away who may
 * have it, from when the first peer does. */
#define NODE_EV_MEND_US 10000000u
#define NODE_EV_MEND_AWAY_US 600000000u
#define NODE_EV_MEND_RETRY_US 1000000u

static bool node_ev_mending(const struct node *n, uint8_t region)
{
    return (node_ev_of(n)->mend.regions >> region & 1u) != 0;
}

/* ---- what is recorded ----------------------------------------------------------------------- */

/* returns: regions that are whole, and of which the own group's state says that they are not. */
static uint64_t node_ev_mend_over(const struct node *n)
{
    return node_ev_self_now(n)->mending & ~node_ev_of(n)->mend.regions;
}

static void node_ev_mend_recorded(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    (void)ctx;
    (void)code;
    (void)reply;
    m->asking = false;
    if (!n->closing && node_ev_mend_over(n) != 0) {
        node_timer_set(n, &m->run, node_now(n) + NODE_EV_MEND_RETRY_US);
    }
}

static void node_ev_mend_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_mend *m = t->ctx;
    uint64_t over = node_ev_mend_over(n);
    uint8_t body[NODE_EV_MENDED_BYTES];
    if (n->failed || n->closing || m->asking || over == 0) {
        return;
    }
    if (!node_ev_ready(n)) {
        node_timer_set(n, t, node_now(n) + NODE_EV_MEND_RETRY_US);
        return;
    }
    num_put_u64(body, over);
    num_put_u64(body + 8, node_ev_self_now(n)->mark);
    const struct node_cmd cmd = {.op = NODE_OP_EV_MENDED, .body = bytes_of(body, sizeof body)};
    m->asking = true;
    node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, NULL,
                 node_ev_mend_recorded);
}

/* ---- begin and end -------------------------------------------------------------------------- */

void node_ev_mend_init(struct node *n)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    m->run = (struct node_timer){.ctx = m, .fire = node_ev_mend_fire};
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_init(&m->left[r], node_alloc(n));
    }
}

void node_ev_mend_release(struct node *n)
{
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        crdt_context_release(&node_ev_of(n)->mend.left[r]);
    }
}

/* returns: the last index of the own group's log, with what goes into it in this turn. */
static uint64_t node_ev_mend_log(struct node *n)
{
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    struct raft_status s = {.last_index = 0};
    (void)raft_status_get(n->raft, g->id, node_now(n), &s);
    return s.last_index + g->staged_count;
}

static void node_ev_mend_forget(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    m->regions &= ~(UINT64_C(1) << region);
    m->known &= ~(UINT64_C(1) << region);
    crdt_context_release(&m->left[region]);
    crdt_context_init(&m->left[region], node_alloc(n));
}

static void node_ev_mend_note(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    node_ev_mend_forget(n, region);
    m->regions |= UINT64_C(1) << region;
    m->since_us[region] = 0;
    m->all_us[region] = 0;
}

void node_ev_mend_begin(struct node *n, uint8_t region)
{
    if (node_ev_of(n)->peers_count == 0) {
        return; /* nobody could contradict what is left */
    }
    node_ev_mend_note(n, region);
    node_ev_of(n)->mend.until = node_ev_mend_log(n);
}

/* Nobody asks before the log has been applied. */
void node_ev_mend_recover(struct node *n)
{
    uint64_t regions = node_ev_self_now(n)->mending;
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if ((regions >> r & 1u) != 0) {
            node_ev_mend_note(n, (uint8_t)r);
        }
    }
}

void node_ev_mend_end(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    node_ev_mend_forget(n, region);
    if (node_ev_mend_over(n) != 0 && !m->asking && m->run.at_us == 0) {
        node_timer_set(n, &m->run, node_now(n));
    }
}

void node_ev_mended(struct node *n, uint64_t regions)
{
    for (unsigned r = 0; r < NODE_EV_REGIONS; r++) {
        if ((regions >> r & 1u) != 0) {
            node_ev_mend_forget(n, (uint8_t)r);
        }
    }
}

/* ---- what is left --------------------------------------------------------------------------- */

/* returns: whether the dots were made here since records went. */
static bool node_ev_mend_own(const struct node *n, const struct crdt_range *r)
{
    return r->actor.node == node_self(n) && r->actor.epoch != CRDT_FOLDED &&
           r->actor.epoch >= node_ev_self_now(n)->since;
}

static int node_ev_mend_look(struct node *n, uint8_t region)
{
    const struct crdt_context *seen = node_ev_seen(n, region);
    struct crdt_context *left = &node_ev_of(n)->mend.left[region];
    for (size_t i = 0; i < seen->count; i++) {
        if (!node_ev_mend_own(n, &seen->ranges[i])) {
            TRY(crdt_context_add(left, &seen->ranges[i]));
        }
    }
    return 0;
}

/* returns: whether it is known what was left. */
static bool node_ev_mend_known(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    if ((m->known >> region & 1u) != 0) {
        return true;
    }
    if (g->now.index < NUM_MIN(m->until, node_ev_mend_log(n)) ||
        node_ev_mend_look(n, region) != 0) {
        return false; /* later; also without memory */
    }
    m->known |= UINT64_C(1) << region;
    return true;
}

/* ---- who there is --------------------------------------------------------------------------- */

void node_ev_mend_peer(struct node *n)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    memset(m->all_us, 0, sizeof m->all_us);
}

/* returns: whether all other owners are there, and have told what they have. */
static bool node_ev_mend_all(const struct node *n, uint8_t region)
{
    struct node_ev_list list;
    node_ev_list_get(n, region, &list);
    for (unsigned i = 0; i < list.count; i++) {
        const struct node_ev_peer *p = node_ev_peer_of(n, list.nodes[i]);
        if (p != NULL && (!node_peer_is_up(n, p->id) || !p->told)) {
            return false;
        }
    }
    return true;
}

/* returns: whether there is nobody to wait for any more. Who comes has the whole time to be asked,
 * however long it was away. */
static bool node_ev_mend_late(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    uint64_t now = node_now(n);
    uint64_t *since = &m->since_us[region];
    uint64_t *all = &m->all_us[region];
    *since = *since == 0 ? now : *since;
    *all = !node_ev_mend_all(n, region) ? 0 : *all == 0 ? now : *all;
    return *all != 0 ? now - *all >= NODE_EV_MEND_US : now - *since >= NODE_EV_MEND_AWAY_US;
}

/* returns: whether the region is being mended still. */
static bool node_ev_mend_goes_on(struct node *n, uint8_t region)
{
    const struct node_ev_mend *m = &node_ev_of(n)->mend;
    if (!node_ev_mending(n, region)) {
        return false;
    }
    bool known = node_ev_mend_known(n, region);
    bool nothing = known && m->left[region].count == 0; /* that could be contradicted */
    if (!nothing && !node_ev_mend_late(n, region)) {
        return true;
    }
    if (!nothing) {
        log_line(node_log(n), LOG_WARN, "region_not_mended", "node=%u region=%u", node_self(n),
                 region);
    }
    node_ev_mend_end(n, region);
    return false;
}

bool node_ev_mend_gives(struct node *n, uint8_t region)
{
    return !node_ev_mend_goes_on(n, region);
}

bool node_ev_mend_takes(struct node *n, uint8_t region, const struct crdt_context *theirs)
{
    const struct node_ev_mend *m = &node_ev_of(n)->mend;
    return !node_ev_mend_goes_on(n, region) ||
           ((m->known >> region & 1u) != 0 && crdt_context_leq(&m->left[region], theirs));
}
