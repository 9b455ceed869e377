/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens at a node: what a request wants to have been seen, and what its answer has seen.
 */
#include "base/num.h"
#include "server/node/eventual_api_internal.h"

void node_ev_causal_release(struct node_ev_causal *c)
{
    wire_token_release(&c->token);
}

/* Whether the actors of its dots ever were is seen when they are waited for (node_ev_wait). */
static int ev_token_check(const struct node *n, const struct wire_token *t)
{
    for (uint32_t i = 0; i < t->ranges_count; i++) {
        if (t->ranges[i].region >= NODE_EV_REGIONS) {
            return ERR_INVALID;
        }
    }
    for (uint32_t i = 0; i < t->groups_count; i++) {
        if (wire_identity_group_of(&n->identity, t->groups[i].group) == NULL) {
            return ERR_INVALID;
        }
    }
    return 0;
}

int node_ev_causal_of(struct node *n, const struct wire_options *o, struct node_ev_causal *c)
{
    *c = (struct node_ev_causal){.budget_us = NODE_EV_BUDGET_US};
    wire_token_init(&c->token, &n->alloc);
    c->session = o->has_token;
    if (o->has_budget) {
        c->budget_us = NUM_MIN(o->budget_ms, (uint64_t)60000) * 1000;
    }
    TRY(wire_token_decode(&c->token, o->token));
    return ev_token_check(n, &c->token);
}

int node_ev_causal_context(const struct node_ev_causal *c, uint8_t region, struct crdt_context *out)
{
    for (uint32_t i = 0; i < c->token.ranges_count; i++) {
        const struct wire_token_range *r = &c->token.ranges[i];
        struct crdt_range range = {
            .actor = {.node = r->node, .epoch = r->epoch}, .from = r->from, .to = r->to};
        if (r->region == region) {
            TRY(crdt_context_add(out, &range));
        }
    }
    return 0;
}

bool node_ev_causal_met(const struct node *n, uint8_t region, const struct crdt_context *wanted)
{
    return wanted->count == 0 || node_ev_region_met(n, region, wanted);
}

int node_ev_token_add(struct wire_token *t, uint8_t region, const struct crdt_context *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct crdt_range *r = &seen->ranges[i];
        struct wire_token_range range = {.region = region,
                                         .node = r->actor.node,
                                         .epoch = r->actor.epoch,
                                         .from = r->from,
                                         .to = r->to};
        TRY(wire_token_add_range(t, &range));
    }
    return 0;
}

void node_ev_token_fold(const struct node *n, struct wire_token *t)
{
    for (uint32_t i = t->ranges_count; i-- > 0;) {
        const struct wire_token_range r = t->ranges[i];
        const struct crdt_context *seen = &node_ev_region_get(n, r.region)->seen;
        const struct crdt_actor actor = {.node = r.node, .epoch = r.epoch};
        for (size_t k = 0; r.epoch != CRDT_FOLDED && k < seen->count; k++) {
            const struct crdt_range *s = &seen->ranges[k];
            if (s->actor.node == r.node && s->actor.epoch == CRDT_FOLDED && s->from <= r.epoch &&
                r.epoch <= s->to) {
                ASSERT(crdt_context_folds(seen, actor));
                const struct wire_token_range fold = {
                    .region = r.region, .node = r.node, .from = s->from, .to = s->to};
                (void)wire_token_add_range(t, &fold); /* takes that range's place */
                i = NUM_MIN(i + 1, t->ranges_count);
                break;
            }
        }
    }
}

int node_ev_pack_causal(struct buf *out, const struct wire_token *token, const char *consistency)
{
    struct buf raw;
    buf_init(&raw, &out->alloc, WIRE_TOKEN_BYTES_MAX);
    int err = wire_token_encode(token, &raw);
    (void)wire_pack_text(out, WIRE_FIELD_CONSISTENCY);
    (void)wire_pack_text(out, consistency);
    (void)wire_pack_text(out, WIRE_FIELD_TOKEN);
    (void)wire_pack_bin(out, buf_view(&raw));
    buf_release(&raw);
    return err != 0 ? err : out->err;
}
