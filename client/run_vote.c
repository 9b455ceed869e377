/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Parts that are computed by two nodes: by the cell's holder, and by one that decodes the cell from
 * others. Of both the states are compared; where they differ a third node, which decodes too,
 * decides. Each node counts once, the holder for all that was not decoded, whoever passed it on.
 */
#include "client/job_internal.h"
#include "client/run_internal.h"

#include <stdio.h>
#include <string.h>

#define VOTE_TRIES_MAX 48u /* nodes without memory for it now leave it to the holder */

/* A node that has something of the stripe moves less than others: each stripe has another one in
 * turn, and each vote of it. */
static void vote_prefer(const struct run_slot *slot, struct hf_call *call)
{
    const struct hf_cells_extent *e = hf_cells_extent_of(&slot->run->cells, slot->cell);
    const uint64_t stripe = (slot->cell - e->first_cell) / NUM_MAX(slot->run->info.k, 1u);
    const bool second = slot->first.call != NULL && slot->first.call != call;
    call->spec.prefer = 0;
    for (uint32_t i = 0; i < e->holders_count && call->spec.prefer == 0; i++) {
        const uint64_t turn = stripe + 1 + second + slot->votes_count + slot->vote_tries + i;
        const uint32_t id = e->holders[turn % e->holders_count];
        const uint32_t node = hf_node_by_id(call->client, id);
        if (node != HF_NOWHERE && !call->refused[node] && hf_node_is_well(call->client, node)) {
            call->spec.prefer = id;
        }
    }
}

void hf_vote_avoid(const struct run_slot *slot, struct hf_call *call)
{
    const struct hf_run *r = slot->run;
    const uint32_t holder =
        hf_node_by_id(call->client, hf_cells_holder(&r->cells, &r->info, slot->cell));
    if (holder != HF_NOWHERE) {
        call->refused[holder] = true;
    }
    for (unsigned i = 0; i < slot->votes_count; i++) {
        const uint32_t node = hf_node_by_id(call->client, slot->votes[i].node);
        if (node != HF_NOWHERE) {
            call->refused[node] = true;
        }
    }
    if (slot->first.call != NULL && slot->first.call != call &&
        slot->first.call->node < call->client->nodes_count) {
        call->refused[slot->first.call->node] = true;
    }
    vote_prefer(slot, call);
}

/* returns: the votes that are as the last one. */
static unsigned votes_like_the_last(const struct run_slot *slot)
{
    const struct run_vote *last = &slot->votes[slot->votes_count - 1];
    unsigned like = 0;
    for (unsigned i = 0; i < slot->votes_count; i++) {
        like += memcmp(slot->votes[i].digest, last->digest, sizeof(last->digest)) == 0;
    }
    return like;
}

void hf_vote_tell(struct hf_run *r, uint64_t cell, uint32_t node)
{
    r->cost.disagreed++;
    if (r->disagreed_fn != NULL) {
        const struct hf_run_disagreed d = {
            .name = hf_out(buf_view(&r->name)), .cell = cell, .node = node};
        r->disagreed_fn(r->nodes_ctx, &d);
    }
}

static void vote_split(struct run_slot *slot)
{
    char text[HF_TEXT_BYTES];
    const struct run_vote *v = slot->votes;
    (void)snprintf(text, sizeof(text),
                   "cell %llu: nodes %u, %u and %u have computed three different states",
                   (unsigned long long)slot->cell, v[0].node, v[1].node, v[2].node);
    hf_run_end(slot->run, ERR_CORRUPT, text);
}

/* Another node is asked, if nothing is under way. */
static void vote_more(struct run_slot *slot)
{
    struct hf_run *r = slot->run;
    char text[HF_TEXT_BYTES];
    if (slot->first.call != NULL || slot->backup.call != NULL) {
        return;
    }
    if (++slot->vote_tries < VOTE_TRIES_MAX) {
        hf_run_settle(r, hf_run_ask_apart(slot));
        return;
    }
    if (slot->votes_count < 2) {
        (void)snprintf(text, sizeof(text), "cell %llu cannot be checked: no other node can have it",
                       (unsigned long long)slot->cell);
    } else {
        (void)snprintf(text, sizeof(text),
                       "cell %llu: nodes %u and %u have computed different states, and there is no "
                       "third one to decide",
                       (unsigned long long)slot->cell, slot->votes[0].node, slot->votes[1].node);
    }
    hf_run_end(r, slot->votes_count < 2 ? ERR_UNAVAILABLE : ERR_CORRUPT, text);
}

/* returns: whether it counts. */
static bool vote_add(struct run_slot *slot, const struct hf_reply *reply, bool apart, int *err)
{
    const struct hf_run *r = slot->run;
    const struct hf_client *c = r->transfer.client;
    struct run_vote *vote = &slot->votes[slot->votes_count];
    bool decoded = false;
    (void)wire_node_bool(wire_node_find(reply->result, WIRE_FIELD_DECODED), &decoded);
    vote->node = decoded && reply->node < c->nodes_count
                     ? c->nodes[reply->node].id
                     : hf_cells_holder(&r->cells, &r->info, slot->cell);
    bool counts = decoded || !apart;
    for (unsigned i = 0; i < slot->votes_count; i++) {
        counts = counts && slot->votes[i].node != vote->node;
    }
    *err = counts ? hf_job_digest(hf_field_bytes(reply->result, WIRE_FIELD_DATA), vote->digest) : 0;
    slot->votes_count += counts && *err == 0;
    return counts;
}

bool hf_vote_take(struct run_slot *slot, struct compute_task *part, const struct hf_reply *reply,
                  bool apart)
{
    struct hf_run *r = slot->run;
    int err = 0;
    ASSERT(slot->votes_count < RUN_VOTES_MAX);
    const bool counts = vote_add(slot, reply, apart, &err);
    const bool wins = err == 0 && counts && votes_like_the_last(slot) > 1;
    if (!wins) {
        compute_task_free(part); /* before the run, whose program it is of, may end */
    }
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
        return false;
    }
    if (!wins) {
        r->cost.bytes_moved += hf_field_bytes(reply->result, WIRE_FIELD_DATA).size +
                               hf_field(reply->result, WIRE_FIELD_MOVED);
        if (slot->votes_count == RUN_VOTES_MAX) {
            vote_split(slot);
        } else {
            vote_more(slot);
        }
        return false;
    }
    const struct run_vote *last = &slot->votes[slot->votes_count - 1];
    for (unsigned i = 0; i + 1 < slot->votes_count; i++) {
        if (memcmp(slot->votes[i].digest, last->digest, sizeof(last->digest)) != 0) {
            hf_vote_tell(r, slot->cell, slot->votes[i].node);
        }
    }
    return true;
}

bool hf_vote_failed(struct run_slot *slot)
{
    if (!slot->voted || slot->votes_count == 0) {
        return false;
    }
    vote_more(slot);
    return true;
}
