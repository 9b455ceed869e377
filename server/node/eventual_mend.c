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
 */
#include "server/node/eventual_peers_internal.h"

/* From when all other owners are there and one asks or is asked; and, while one is away who may
 * have it, from when the first peer does. */
#define NODE_EV_MEND_US 10000000u
#define NODE_EV_MEND_AWAY_US 600000000u

static bool node_ev_mending(const struct node *n, uint8_t region)
{
    return (node_ev_of(n)->mend.regions >> region & 1u) != 0;
}

void node_ev_mend_begin(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    if (node_ev_seen(n, region)->count == 0 || node_ev_of(n)->peers_count == 0) {
        node_ev_mend_end(n, region); /* nothing is left that could be contradicted, or by nobody */
        return;
    }
    m->regions |= UINT64_C(1) << region;
    m->since_us[region] = 0;
    m->all_us[region] = 0;
    /* Without memory less is asked of a peer, and still all of it is taken. */
    (void)node_ev_context_set(&m->left[region], node_ev_seen(n, region));
}

void node_ev_mend_end(struct node *n, uint8_t region)
{
    struct node_ev_mend *m = &node_ev_of(n)->mend;
    m->regions &= ~(UINT64_C(1) << region);
    crdt_context_release(&m->left[region]);
    crdt_context_init(&m->left[region], node_alloc(n));
}

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
    if (!node_ev_mending(n, region)) {
        return false;
    }
    if (!node_ev_mend_late(n, region)) {
        return true;
    }
    log_line(node_log(n), LOG_WARN, "region_not_mended", "node=%u region=%u", node_self(n), region);
    node_ev_mend_end(n, region);
    return false;
}

bool node_ev_mend_gives(struct node *n, uint8_t region)
{
    return !node_ev_mend_goes_on(n, region);
}

bool node_ev_mend_takes(struct node *n, uint8_t region, const struct crdt_context *theirs)
{
    return !node_ev_mend_goes_on(n, region) ||
           crdt_context_leq(&node_ev_of(n)->mend.left[region], theirs);
}
