/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether there is anything left to do between this node and its peers. Owners that hold the same
 * and know it of each other compare nothing more, until something is written, a connection begins
 * or the owners are others.
 *
 * Two nodes that differ do not both rest: that they agreed is noted with the hash at which they
 * did, so whoever has changed since is the one who goes on. Of peers that are not connected nothing
 * is expected; what they lack is looked at when they come.
 */
#include "server/node/eventual_peers_internal.h"

_Static_assert(WIRE_IDENTITY_NODES_MAX <= 64, "peers are bits of one word");

void node_ev_agree(struct node *n, struct node_ev_peer *p, uint8_t region, bool agreed)
{
    uint64_t bit = UINT64_C(1) << region;
    p->agreed = agreed ? p->agreed | bit : p->agreed & ~bit;
    p->agreed_hash[region] = agreed ? node_ev_hash(n, region) : 0;
}

/* What one region leaves to do with a peer. hash: of the region here. */
static bool node_ev_region_open(const struct node *n, const struct node_ev_peer *p, uint8_t region,
                                const struct node_ev_list *list, uint64_t hash)
{
    const struct crdt_context *own = node_ev_seen(n, region);
    bool here = node_ev_list_has(list, node_self(n));
    bool there = node_ev_list_has(list, p->id);
    if (here && there) {
        return (p->agreed >> region & 1u) == 0 || p->agreed_hash[region] != hash;
    }
    return (here && !crdt_context_leq(&p->known[region], own)) ||
           (there && !crdt_context_leq(own, &p->known[region]));
}

/* What is on its way to a peer or from it. */
static bool node_ev_peer_open(const struct node *n, const struct node_ev_peer *p)
{
    return !p->told || p->pushing || p->unsure || p->asked || p->tell != 0 || p->in.busy ||
           p->cursor < node_ev_of(n)->ring.next;
}

uint64_t node_ev_open_peers(const struct node *n)
{
    const struct node_eventual *ev = node_ev_of(n);
    uint64_t up = 0;
    uint64_t open = 0;
    for (unsigned i = 0; i < ev->peers_count; i++) {
        const struct node_ev_peer *p = &ev->peers[i];
        uint64_t bit = UINT64_C(1) << i;
        up |= node_peer_is_up(n, p->id) ? bit : 0;
        open |= (up & bit) != 0 && node_ev_peer_open(n, p) ? bit : 0;
    }
    for (unsigned r = 0; r < NODE_EV_REGIONS && open != up; r++) {
        struct node_ev_list list;
        uint64_t hash = node_ev_hash(n, (uint8_t)r);
        node_ev_list_get(n, (uint8_t)r, &list);
        for (unsigned i = 0; i < ev->peers_count; i++) {
            bool look = (up & ~open & UINT64_C(1) << i) != 0;
            if (look && node_ev_region_open(n, &ev->peers[i], (uint8_t)r, &list, hash)) {
                open |= UINT64_C(1) << i;
            }
        }
    }
    return open;
}

bool node_ev_at_rest(const struct node *n)
{
    const struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < NODE_EV_PULLS_MAX; i++) {
        if (ev->pulls[i] != NULL) {
            return false;
        }
    }
    return ev->descent == NULL && ev->writes_count == 0 && node_ev_open_peers(n) == 0 &&
           !node_ev_sweep_owes(n);
}
