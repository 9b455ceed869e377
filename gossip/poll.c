/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Actions out. What is to be sent waits as a few words and becomes bytes when it is asked for, with
 * the newest of everything that fits.
 */
#include "gossip/gossip_internal.h"

struct gossip_out *gossip_out_add(struct gossip *g, uint32_t peer, enum gossip_type type,
                                  enum gossip_channel channel)
{
    if (g->out_count == GOSSIP_OUTS_MAX) {
        g->counters.queue_dropped++;
        return NULL;
    }
    struct gossip_out *o = &g->outs[(g->out_head + g->out_count++) % GOSSIP_OUTS_MAX];
    *o = (struct gossip_out){.peer = peer, .type = (uint8_t)type, .channel = (uint8_t)channel};
    if (channel == GOSSIP_STREAM) {
        g->token += 256; /* the low byte is the sync's place */
        o->token = g->token;
    }
    return o;
}

void gossip_out_tell(struct gossip *g, uint32_t peer, uint32_t subject)
{
    struct gossip_out *o = gossip_out_add(g, peer, GOSSIP_TYPE_MEMBER, GOSSIP_DATAGRAM);
    if (o != NULL) {
        o->target = subject;
    }
}

static void member_of(const struct gossip *g, const struct gossip_entry *e,
                      struct gossip_member *out)
{
    bool self = e == gossip_self(g);
    *out = (struct gossip_member){.id = e->id,
                                  .zone = gossip_contact_of(g, e)->zone,
                                  .state = e->state,
                                  .unwell = e->unwell,
                                  .epoch = e->epoch,
                                  .incarnation = e->incarnation,
                                  .since_us = e->since_us,
                                  .heard_us = self ? g->now_us : gossip_contact_of(g, e)->heard_us,
                                  .rtt_us = gossip_contact_of(g, e)->rtt_us,
                                  .confidence = gossip_health_sure(g, e),
                                  .health = self ? g->health : e->health,
                                  .address = e->address};
}

void gossip_member_at(const struct gossip *g, uint32_t i, struct gossip_member *out)
{
    ASSERT(i < g->count);
    member_of(g, &g->entries[i], out);
}

int gossip_member_of(const struct gossip *g, uint32_t id, struct gossip_member *out)
{
    const struct gossip_entry *e = gossip_entry_of(g, id);
    if (e == NULL) {
        return ERR_NOT_FOUND;
    }
    member_of(g, e, out);
    return 0;
}

/* ---- changes -------------------------------------------------------------------------------- */

static bool change_give(struct gossip *g, struct gossip_entry *e, struct gossip_action *out)
{
    enum gossip_state was = e->was;
    e->was = 0;
    if (was == 0 || (was == e->state && was != GOSSIP_DEGRADED)) {
        return false;
    }
    *out = (struct gossip_action){.kind = GOSSIP_CHANGE, .peer = e->id, .was = was};
    member_of(g, e, &out->member);
    out->accusers = e->suspicion != 0 ? g->suspicions[e->suspicion - 1].accuser_count : e->fails;
    return true;
}

static bool changes_poll(struct gossip *g, struct gossip_action *out)
{
    while (g->told_count > 0) {
        struct gossip_entry *e = gossip_entry_of(g, g->told[g->told_head]);
        g->told_head = (g->told_head + 1) % GOSSIP_TOLD_MAX;
        g->told_count--;
        if (e != NULL && change_give(g, e, out)) {
            return true;
        }
    }
    while (g->sweep < g->count) {
        if (change_give(g, &g->entries[g->sweep++], out)) {
            return true;
        }
    }
    g->sweep = UINT32_MAX;
    return false;
}

/* ---- sends ---------------------------------------------------------------------------------- */

static void write_numbers(struct gossip_writer *w, enum gossip_type type, uint32_t first,
                          uint32_t second, size_t bytes)
{
    uint8_t *at = gossip_write_part(w, type, bytes);
    ASSERT(at != NULL); /* first of its packet */
    num_put_u32(at, first);
    if (bytes == 8) {
        num_put_u32(at + 4, second);
    }
}

/* Who is doubted hears it from whoever speaks to it, so that it can refute. */
static void write_buddy(struct gossip *g, const struct gossip_out *o, struct gossip_writer *w)
{
    const struct gossip_entry *e = gossip_entry_of(g, o->peer);
    bool doubted = e->state == GOSSIP_SUSPECT ||
                   (g->rules.demand && (e->state == GOSSIP_DEAD || e->state == GOSSIP_LEFT));
    doubted = doubted && (e->flags & GOSSIP_FLAG_CUT) == 0;
    if (doubted && (o->type == GOSSIP_TYPE_PING || g->rules.demand)) {
        struct gossip_record record;
        gossip_record_of(g, e, g->options.self, &record);
        (void)gossip_write_record(w, &record);
    }
}

/* Facts are told a few times, at a bounded rate: with a probe none is spent on who has not answered
 * just now. */
static bool hears(const struct gossip *g, const struct gossip_out *o)
{
    const struct gossip_entry *e = gossip_entry_of(g, o->peer);
    return o->arg == 0 && e != NULL && e->state <= GOSSIP_DEGRADED;
}

static void write_datagram(struct gossip *g, const struct gossip_out *o, struct gossip_writer *w)
{
    const struct gossip_entry *subject = NULL;
    struct gossip_record record;
    switch (o->type) {
    case GOSSIP_TYPE_PING:
    case GOSSIP_TYPE_RELAY: write_numbers(w, o->type, o->seq, o->target, 8); break;
    case GOSSIP_TYPE_ACK:
    case GOSSIP_TYPE_NACK: write_numbers(w, o->type, o->seq, 0, 4); break;
    case GOSSIP_TYPE_WATCH: write_numbers(w, o->type, o->target, 0, 4); break;
    case GOSSIP_TYPE_MEMBER:
        subject = gossip_entry_of(g, o->target);
        if (subject != NULL) {
            gossip_record_of(g, subject, 0, &record);
            (void)gossip_write_record(w, &record);
        }
        break;
    default: break;
    }
    if (o->channel == GOSSIP_STREAM) {
        return;
    }
    if (o->type != GOSSIP_TYPE_RUMORS) {
        write_buddy(g, o, w);
    }
    gossip_rumors_fill(g, w, o->peer);
    if (o->type == GOSSIP_TYPE_ACK || (o->type == GOSSIP_TYPE_PING && hears(g, o))) {
        gossip_facts_fill(g, w, true);
    } else if (o->type == GOSSIP_TYPE_RUMORS) {
        gossip_facts_fill(g, w, false);
    }
}

static void send_count(struct gossip *g, const struct gossip_action *out)
{
    if (out->channel == GOSSIP_DATAGRAM) {
        g->counters.packets_out++;
        g->counters.bytes_out += out->data.size;
    } else {
        g->counters.streams_out++;
        g->counters.stream_bytes_out += out->data.size;
    }
}

static void conflict_give(struct gossip *g, const struct gossip_out *o, struct gossip_action *out)
{
    *out = (struct gossip_action){.kind = GOSSIP_CONFLICT, .peer = o->peer, .address = o->address};
    const struct gossip_entry *e = gossip_entry_of(g, o->peer);
    if (e != NULL) {
        member_of(g, e, &out->member);
    }
}

static bool out_is_sync(const struct gossip_out *o)
{
    return o->type >= GOSSIP_TYPE_SYNC_ASK && o->type <= GOSSIP_TYPE_SYNC_END;
}

/* returns: whether out was filled; sets *more if this send is not done with. */
static bool send_give(struct gossip *g, struct gossip_out *o, struct gossip_action *out, bool *more)
{
    static const struct gossip_address nowhere;
    const struct gossip_entry *e = gossip_entry_of(g, o->peer);
    if (e == NULL || e->state == GOSSIP_REMOVED) {
        return false;
    }
    struct gossip_writer w;
    gossip_write_begin(g, &w, o->channel);
    if (out_is_sync(o)) {
        *more = gossip_sync_write(g, o, &w);
    } else {
        write_datagram(g, o, &w);
    }
    if (w.parts == 0) {
        return false;
    }
    bool given = memcmp(o->address.ip, nowhere.ip, sizeof(nowhere.ip)) != 0;
    bool marked = out_is_sync(o) && o->type != GOSSIP_TYPE_SYNC_ANSWER;
    *out = (struct gossip_action){
        .kind = GOSSIP_SEND,
        .peer = o->peer,
        .channel = o->channel,
        .token = marked ? o->token + o->arg + 1u : o->token,
        .address = given ? o->address : e->address,
        .data = gossip_write_end(&w),
    };
    send_count(g, out);
    return true;
}

static bool sends_poll(struct gossip *g, struct gossip_action *out)
{
    while (g->out_count > 0) {
        struct gossip_out *o = &g->outs[g->out_head];
        bool more = false;
        bool given = false;
        if (o->type == GOSSIP_TYPE_CONFLICT) {
            conflict_give(g, o, out);
            given = true;
        } else {
            given = send_give(g, o, out, &more);
        }
        if (more) {
            g->token += 256;
            o->token = g->token;
        } else {
            g->out_head = (g->out_head + 1) % GOSSIP_OUTS_MAX;
            g->out_count--;
        }
        if (given) {
            return true;
        }
    }
    return false;
}

static bool cut_poll(struct gossip *g, struct gossip_action *out)
{
    if (g->cut_count == 0) {
        return false;
    }
    *out = (struct gossip_action){.kind = GOSSIP_CUT, .cut_count = g->cut_count};
    memcpy(out->cut, g->cut, sizeof(g->cut[0]) * g->cut_count);
    g->cut_count = 0;
    return true;
}

bool gossip_poll(struct gossip *g, struct gossip_action *out)
{
    if (changes_poll(g, out) || cut_poll(g, out) || gossip_facts_poll(g, out) ||
        sends_poll(g, out)) {
        return true;
    }
    if (g->leaving && !g->left_done && (gossip_self(g)->rumor == 0 || g->leave_us <= g->now_us)) {
        g->left_done = true;
        g->leave_us = GOSSIP_NEVER;
        *out = (struct gossip_action){.kind = GOSSIP_LEFT_DONE};
        return true;
    }
    return false;
}
