/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a record about a member changes. Records are ordered by epoch, incarnation and then by what
 * they say; only a newer one counts. This node answers what is said of itself with a higher
 * incarnation.
 */
#include "gossip/gossip_internal.h"

static unsigned record_rank(uint8_t state)
{
    static const uint8_t ranks[] = {
        [GOSSIP_ALIVE] = 1, [GOSSIP_DEGRADED] = 1, [GOSSIP_SUSPECT] = 2,
        [GOSSIP_DEAD] = 3,  [GOSSIP_LEFT] = 4,     [GOSSIP_REMOVED] = 5};
    return ranks[state];
}

static bool record_newer(const struct gossip_record *r, const struct gossip_entry *e)
{
    if (r->epoch != e->epoch) {
        return r->epoch > e->epoch;
    }
    if (r->incarnation != e->incarnation) {
        return r->incarnation > e->incarnation;
    }
    return record_rank(r->state) > record_rank(e->state);
}

struct bytes gossip_record_text(const struct gossip_record *r, uint8_t *text)
{
    static const char label[] = "holdfast gossip member 1";
    size_t at = sizeof(label) - 1;
    memcpy(text, label, at);
    num_put_u32(text + at, r->id);
    text[at + 4] = r->state;
    text[at + 5] = r->unwell;
    num_put_u64(text + at + 6, r->epoch);
    num_put_u64(text + at + 14, r->incarnation);
    memcpy(text + at + 22, r->address.ip, 16);
    num_put_u16(text + at + 38, r->address.port);
    return bytes_of(text, at + 40);
}

/* Suspicions name who accuses: all that are known, or, in memberlist's way, the one. */
static void record_accusers(const struct gossip *g, const struct gossip_entry *e, uint32_t accuser,
                            struct gossip_record *out)
{
    if (accuser != 0) {
        out->accusers[out->accuser_count++] = accuser;
    }
    if (e->suspicion == 0 || (!g->rules.demand && accuser != 0)) {
        return;
    }
    const struct gossip_suspicion *s = &g->suspicions[e->suspicion - 1];
    for (unsigned i = 0; i < s->accuser_count && out->accuser_count < GOSSIP_ACCUSERS_MAX; i++) {
        if (s->accusers[i] != accuser) {
            out->accusers[out->accuser_count++] = s->accusers[i];
        }
    }
}

void gossip_record_of(const struct gossip *g, const struct gossip_entry *e, uint32_t accuser,
                      struct gossip_record *out)
{
    memset(out, 0, GOSSIP_RECORD_HEAD_BYTES);
    out->epoch = e->epoch;
    out->incarnation = e->incarnation;
    out->id = e->id;
    out->state = e->state;
    out->unwell = e->unwell;
    out->address = e->address;
    out->has_address = gossip_entry_lives(e);
    if (e->state == GOSSIP_SUSPECT || e->state == GOSSIP_DEAD) {
        record_accusers(g, e, accuser, out);
        out->unwell = 0;
        return;
    }
    if (e == gossip_self(g)) {
        out->is_signed = g->own_signed;
        memcpy(out->signature, g->own_signature, GOSSIP_SIGNATURE_BYTES);
    } else if (g->proofs != NULL && g->proofs[e - g->entries].is_signed) {
        out->is_signed = true;
        memcpy(out->signature, g->proofs[e - g->entries].signature, GOSSIP_SIGNATURE_BYTES);
    }
}

void gossip_record_changed(struct gossip *g, struct gossip_entry *e, enum gossip_state was)
{
    if (e->was != 0) {
        return; /* still to be told; it will be as it is then */
    }
    e->was = (uint8_t)was;
    if (g->told_count < GOSSIP_TOLD_MAX) {
        g->told[(g->told_head + g->told_count) % GOSSIP_TOLD_MAX] = e->id;
        g->told_count++;
    } else {
        g->sweep = 0;
    }
}

void gossip_record_state(struct gossip *g, struct gossip_entry *e, enum gossip_state state)
{
    enum gossip_state was = e->state;
    gossip_members_unhash(g, e);
    e->state = (uint8_t)state;
    gossip_members_hash(g, e);
    e->flags &= (uint8_t)~GOSSIP_FLAG_CONFLICT;
    if (was != state) {
        e->since_us = g->now_us;
        gossip_record_changed(g, e, was);
    }
}

/* ---- this node ------------------------------------------------------------------------------ */

static void record_own_sign(struct gossip *g)
{
    const struct gossip_signer *signer = &g->options.signer;
    g->own_signed = false;
    if (signer->sign == NULL) {
        return;
    }
    struct gossip_record record;
    uint8_t text[GOSSIP_MEMBER_RECORD_BYTES_MAX];
    gossip_record_of(g, gossip_self(g), 0, &record);
    signer->sign(signer->ctx, gossip_record_text(&record, text), g->own_signature);
    g->own_signed = true;
}

void gossip_record_own(struct gossip *g, enum gossip_state state)
{
    struct gossip_entry *self = gossip_self(g);
    gossip_members_unhash(g, self);
    self->unwell = (uint8_t)(g->unwell | (g->starved ? GOSSIP_UNWELL_STARVED : 0));
    if (state == GOSSIP_ALIVE && self->unwell != 0) {
        state = GOSSIP_DEGRADED;
    }
    gossip_members_hash(g, self);
    gossip_record_state(g, self, state);
    record_own_sign(g);
    gossip_rumors_member(g, self, 0, 0);
}

/* Raises the own incarnation above what was heard, never around its end: a claim that cannot be
 * passed is answered by telling the own record again. */
static void record_own_raise(struct gossip *g, uint64_t heard)
{
    struct gossip_entry *self = gossip_self(g);
    uint64_t next = NUM_MAX(heard, self->incarnation);
    if (next - self->incarnation > g->options.epoch_jump_max || next == UINT64_MAX) {
        g->counters.jumps_refused++;
        next = self->incarnation; /* others refuse such a claim too */
    }
    gossip_members_unhash(g, self);
    self->incarnation = next == UINT64_MAX ? next : next + 1;
    gossip_members_hash(g, self);
}

static void conflict_tell(struct gossip *g, struct gossip_entry *e, const struct gossip_record *r)
{
    g->counters.conflicts++;
    if ((e->flags & GOSSIP_FLAG_CONFLICT) != 0) {
        return;
    }
    e->flags |= GOSSIP_FLAG_CONFLICT;
    struct gossip_out *o = gossip_out_add(g, e->id, GOSSIP_TYPE_CONFLICT, GOSSIP_DATAGRAM);
    if (o != NULL) {
        o->address = r->address;
    }
}

static bool address_equal(const struct gossip_address *a, const struct gossip_address *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static void record_own_take(struct gossip *g, const struct gossip_record *r, uint32_t sender)
{
    struct gossip_entry *self = gossip_self(g);
    if (r->epoch > self->epoch) {
        conflict_tell(g, self, r); /* another start of this node is said to run */
        return;
    }
    bool other_address = r->has_address && !address_equal(&r->address, &self->address);
    bool accuses = record_rank(r->state) > record_rank(GOSSIP_ALIVE);
    if (r->epoch < self->epoch || r->incarnation < self->incarnation) {
        /* the refutation went by whoever still says this: nobody sends it a second time */
        bool missed = r->epoch < self->epoch || (g->rules.demand && accuses);
        if (missed && sender != self->id) {
            gossip_out_tell(g, sender, self->id);
        }
        return;
    }
    bool echo = !accuses && r->incarnation == self->incarnation &&
                (r->state == self->state || g->leaving) && !other_address;
    if (echo || g->leaving) {
        return;
    }
    if (accuses) {
        g->counters.refuted++;
        gossip_health_add(g, 1);
    }
    record_own_raise(g, r->incarnation);
    gossip_record_own(g, GOSSIP_ALIVE);
    gossip_out_tell(g, sender, self->id);
}

/* ---- others --------------------------------------------------------------------------------- */

/* returns: whether the member itself signed the record. */
static bool record_proven(const struct gossip *g, const struct gossip_entry *e,
                          const struct gossip_record *r)
{
    const struct gossip_signer *signer = &g->options.signer;
    bool own_word =
        r->state == GOSSIP_ALIVE || r->state == GOSSIP_DEGRADED || r->state == GOSSIP_LEFT;
    if (!r->is_signed || g->proofs == NULL || signer->verify == NULL || !own_word) {
        return false;
    }
    const struct gossip_proof *proof = &g->proofs[e - g->entries];
    struct gossip_record full = *r;
    if (!r->has_address) {
        full.address = e->address; /* a leave names no address: it is the known one */
    }
    uint8_t text[GOSSIP_MEMBER_RECORD_BYTES_MAX];
    return proof->has_key &&
           signer->verify(signer->ctx, proof->key, gossip_record_text(&full, text), r->signature);
}

/* returns: whether r leaps further than anything but the member's own word may. */
static bool record_leaps(const struct gossip *g, const struct gossip_entry *e,
                         const struct gossip_record *r)
{
    uint64_t most = g->options.epoch_jump_max;
    if (r->epoch > e->epoch) {
        return r->epoch - e->epoch > most || r->incarnation > most;
    }
    return r->incarnation > e->incarnation && r->incarnation - e->incarnation > most;
}

/* returns: whether an alive record may bring its address. */
static bool record_address_fits(struct gossip *g, struct gossip_entry *e,
                                const struct gossip_record *r, bool proven)
{
    if (!r->has_address || address_equal(&r->address, &e->address)) {
        return true;
    }
    bool recorded =
        (e->flags & GOSSIP_FLAG_ROSTER_AHEAD) != 0 && r->epoch == e->epoch && e->epoch != 0;
    bool over = e->state == GOSSIP_DEAD || e->state == GOSSIP_LEFT;
    if (proven || recorded || over) {
        return true;
    }
    conflict_tell(g, e, r);
    return false;
}

static void record_keep_signature(struct gossip *g, const struct gossip_entry *e,
                                  const struct gossip_record *r, bool proven)
{
    if (g->proofs == NULL) {
        return;
    }
    struct gossip_proof *proof = &g->proofs[e - g->entries];
    proof->is_signed = proven;
    if (proven) {
        memcpy(proof->signature, r->signature, GOSSIP_SIGNATURE_BYTES);
    }
}

static void record_number(struct gossip *g, struct gossip_entry *e, const struct gossip_record *r)
{
    gossip_members_unhash(g, e);
    if (r->epoch != e->epoch) {
        gossip_contact_of(g, e)->heard_us = 0; /* of an older start */
        e->answered_ms = 0;
    }
    e->epoch = r->epoch;
    e->incarnation = r->incarnation;
    gossip_members_hash(g, e);
}

static void record_take_alive(struct gossip *g, struct gossip_entry *e,
                              const struct gossip_record *r, bool proven)
{
    gossip_suspicion_end(g, e);
    record_number(g, e, r);
    e->unwell = r->unwell;
    e->fails = 0;
    e->flags &= (uint8_t) ~(GOSSIP_FLAG_ROSTER_AHEAD | GOSSIP_FLAG_DOUBTED);
    if (r->has_address) {
        e->address = r->address;
    }
    gossip_record_state(g, e, r->state);
    record_keep_signature(g, e, r, proven);
    gossip_rumors_member(g, e, 0, 0);
}

static void record_take_left(struct gossip *g, struct gossip_entry *e,
                             const struct gossip_record *r, bool proven)
{
    gossip_suspicion_end(g, e);
    record_number(g, e, r);
    e->unwell = 0;
    gossip_record_state(g, e, GOSSIP_LEFT);
    record_keep_signature(g, e, r, proven);
    gossip_rumors_member(g, e, 0, 0);
}

static void record_take_suspect(struct gossip *g, struct gossip_entry *e,
                                const struct gossip_record *r, uint32_t sender)
{
    if (e->state == GOSSIP_DEAD || e->state == GOSSIP_LEFT || e->state == GOSSIP_REMOVED) {
        return;
    }
    if (r->epoch != e->epoch || r->incarnation != e->incarnation) {
        gossip_suspicion_end(g, e);
        record_number(g, e, r);
    }
    if (r->accuser_count == 0) {
        (void)gossip_suspicion_accuse(g, e, sender);
    }
    for (unsigned i = 0; i < r->accuser_count; i++) {
        (void)gossip_suspicion_accuse(g, e, r->accusers[i]);
    }
}

/* Who heard the member itself a moment ago takes another's word for an accusation only, unless
 * enough agree: it will be told again after this node's own timer. */
static bool record_death_doubted(const struct gossip *g, const struct gossip_entry *e,
                                 const struct gossip_record *r, enum gossip_way way)
{
    if (!g->rules.demand) {
        return way == GOSSIP_WAY_SYNC;
    }
    uint64_t heard_us = gossip_contact_of(g, e)->heard_us;
    if (way == GOSSIP_WAY_SYNC && heard_us != 0) {
        return true;
    }
    bool heard = heard_us != 0 && g->now_us - heard_us < 2 * g->rules.probe_interval_us;
    return heard && r->agreed <= g->rules.confirmations;
}

static void record_take_dead(struct gossip *g, struct gossip_entry *e,
                             const struct gossip_record *r, uint32_t sender)
{
    uint32_t accuser = r->accuser_count > 0 ? r->accusers[0] : sender;
    gossip_suspicion_end(g, e);
    record_number(g, e, r);
    e->fails = (uint8_t)NUM_MAX(e->fails, r->agreed);
    gossip_record_state(g, e, GOSSIP_DEAD);
    gossip_rumors_member(g, e, accuser, r->agreed);
    gossip_cut_doubt(g, e);
}

static void record_take_newer(struct gossip *g, struct gossip_entry *e,
                              const struct gossip_record *r, uint32_t sender, enum gossip_way way)
{
    bool proven = record_proven(g, e, r);
    if (record_leaps(g, e, r) && !proven) {
        g->counters.jumps_refused++;
        return;
    }
    switch (r->state) {
    case GOSSIP_ALIVE:
    case GOSSIP_DEGRADED:
        if (record_address_fits(g, e, r, proven)) {
            record_take_alive(g, e, r, proven);
        }
        return;
    case GOSSIP_LEFT: record_take_left(g, e, r, proven); return;
    case GOSSIP_SUSPECT: record_take_suspect(g, e, r, sender); return;
    default: break;
    }
    if (record_death_doubted(g, e, r, way)) {
        struct gossip_record accusation = *r;
        accusation.accuser_count = 0;
        uint32_t accuser = r->accuser_count > 0 ? r->accusers[0] : sender;
        record_take_suspect(g, e, &accusation, way == GOSSIP_WAY_SYNC ? sender : accuser);
        return;
    }
    record_take_dead(g, e, r, sender);
}

void gossip_record_take(struct gossip *g, const struct gossip_record *r, uint32_t sender,
                        enum gossip_way way)
{
    struct gossip_entry *e = gossip_entry_of(g, r->id);
    if (e == NULL || e->state == GOSSIP_REMOVED) {
        g->counters.unknown_sender += e == NULL;
        return;
    }
    if (e == gossip_self(g)) {
        record_own_take(g, r, sender);
        return;
    }
    if ((e->flags & GOSSIP_FLAG_CUT) != 0 && r->state != GOSSIP_LEFT) {
        if (r->epoch <= e->epoch) {
            if (gossip_state_lives(r->state) && r->incarnation > e->incarnation) {
                gossip_cut_refuted(g, e);
            }
            return;
        }
        gossip_cut_release(g, e);
    }
    bool accuses = r->state == GOSSIP_SUSPECT && e->state == GOSSIP_SUSPECT &&
                   r->epoch == e->epoch && r->incarnation == e->incarnation;
    bool first = (e->flags & GOSSIP_FLAG_ROSTER_AHEAD) != 0 && gossip_state_lives(r->state) &&
                 r->epoch == e->epoch && r->incarnation == e->incarnation && r->has_address;
    if (record_newer(r, e)) {
        record_take_newer(g, e, r, sender, way);
    } else if (accuses) {
        record_take_suspect(g, e, r, sender);
    } else if (first && record_address_fits(g, e, r, false)) {
        bool moved = !address_equal(&r->address, &e->address) || e->unwell != r->unwell;
        e->flags &= (uint8_t)~GOSSIP_FLAG_ROSTER_AHEAD;
        e->address = r->address;
        e->unwell = r->unwell;
        if (moved && gossip_entry_lives(e)) {
            gossip_record_state(g, e, r->state);
            gossip_rumors_member(g, e, 0, 0);
        }
    }
}
