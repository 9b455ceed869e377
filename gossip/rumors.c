/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is to be told, and how often it was. An item names its subject only: its bytes are written
 * from the table as it stands when it is sent, so that the newest always replaces the older. What
 * was sent least goes first; of equals, what was put in last.
 */
#include "gossip/gossip_internal.h"

static struct gossip_rumor *rumor_at(const struct gossip *g, uint16_t place)
{
    ASSERT(place > 0 && place <= g->rumors.cap);
    return &g->rumors.items[place - 1];
}

static void rumor_unlink(struct gossip *g, uint16_t place)
{
    struct gossip_rumors *q = &g->rumors;
    struct gossip_rumor *item = rumor_at(g, place);
    if (item->prev != 0) {
        rumor_at(g, item->prev)->next = item->next;
    } else {
        q->head[item->sent] = item->next;
    }
    if (item->next != 0) {
        rumor_at(g, item->next)->prev = item->prev;
    } else {
        q->tail[item->sent] = item->prev;
    }
    item->next = 0;
    item->prev = 0;
}

static void rumor_push_front(struct gossip *g, uint16_t place)
{
    struct gossip_rumors *q = &g->rumors;
    struct gossip_rumor *item = rumor_at(g, place);
    item->prev = 0;
    item->next = q->head[item->sent];
    if (item->next != 0) {
        rumor_at(g, item->next)->prev = place;
    } else {
        q->tail[item->sent] = place;
    }
    q->head[item->sent] = place;
}

static void rumor_push_back(struct gossip *g, uint16_t place)
{
    struct gossip_rumors *q = &g->rumors;
    struct gossip_rumor *item = rumor_at(g, place);
    item->next = 0;
    item->prev = q->tail[item->sent];
    if (item->prev != 0) {
        rumor_at(g, item->prev)->next = place;
    } else {
        q->head[item->sent] = place;
    }
    q->tail[item->sent] = place;
}

/* The subject forgets its place; the item, already unlinked, is free. */
static void rumor_free(struct gossip *g, uint16_t place)
{
    struct gossip_rumor *item = rumor_at(g, place);
    if (item->kind == GOSSIP_RUMOR_MEMBER) {
        struct gossip_entry *e = gossip_entry_of(g, item->subject);
        if (e != NULL) {
            e->rumor = 0;
        }
    } else {
        g->reports[item->subject].rumors[item->ring] = 0;
    }
    item->kind = 0;
    item->next = g->rumors.free_head;
    g->rumors.free_head = place;
    g->rumors.count--;
}

void gossip_rumors_drop(struct gossip *g, uint16_t place)
{
    rumor_unlink(g, place);
    rumor_free(g, place);
}

/* What was sent most, and of that what waits longest, makes room. */
static void rumors_make_room(struct gossip *g)
{
    for (unsigned sent = GOSSIP_SENT_MAX + 1; sent > 0; sent--) {
        if (g->rumors.tail[sent - 1] != 0) {
            gossip_rumors_drop(g, g->rumors.tail[sent - 1]);
            g->counters.queue_dropped++;
            return;
        }
    }
}

static uint16_t rumor_new(struct gossip *g)
{
    struct gossip_rumors *q = &g->rumors;
    if (q->count == q->cap) {
        rumors_make_room(g);
    }
    uint16_t place = q->free_head;
    if (place != 0) {
        q->free_head = rumor_at(g, place)->next;
        if (q->free_head != 0) {
            __builtin_prefetch(rumor_at(g, q->free_head)); /* many are taken one after another */
        }
    } else {
        ASSERT(q->fresh < q->cap);
        place = ++q->fresh;
    }
    q->count++;
    return place;
}

void gossip_round_wake(struct gossip *g)
{
    if (g->gossip_us == GOSSIP_NEVER) {
        uint64_t interval = g->rules.gossip_interval_us;
        uint64_t beats = (g->now_us - g->gossiped_us) / interval + 1;
        g->gossip_us = g->gossiped_us + beats * interval;
    }
}

void gossip_rumors_member(struct gossip *g, struct gossip_entry *e, uint32_t accuser,
                          uint8_t agreed)
{
    if (e->rumor != 0) {
        rumor_unlink(g, e->rumor);
    } else {
        e->rumor = rumor_new(g);
    }
    *rumor_at(g, e->rumor) = (struct gossip_rumor){
        .subject = e->id, .accuser = accuser, .kind = GOSSIP_RUMOR_MEMBER, .agreed = agreed};
    rumor_push_front(g, e->rumor);
    gossip_round_wake(g);
}

void gossip_rumors_alert(struct gossip *g, struct gossip_report *report, uint8_t ring)
{
    uint16_t *place = &report->rumors[ring];
    if (*place != 0) {
        rumor_unlink(g, *place);
    } else {
        *place = rumor_new(g);
    }
    *rumor_at(g, *place) = (struct gossip_rumor){
        .subject = (uint32_t)(report - g->reports), .kind = GOSSIP_RUMOR_ALERT, .ring = ring};
    rumor_push_front(g, *place);
    gossip_round_wake(g);
}

static bool rumor_write(struct gossip *g, struct gossip_writer *w, const struct gossip_rumor *item)
{
    if (item->kind == GOSSIP_RUMOR_ALERT) {
        size_t before = w->size;
        gossip_cut_write(g, w, item);
        return w->size != before;
    }
    const struct gossip_entry *e = gossip_entry_of(g, item->subject);
    ASSERT(e != NULL);
    struct gossip_record record;
    gossip_record_of(g, e, item->accuser, &record);
    record.agreed = item->agreed;
    return gossip_write_record(w, &record);
}

/* The members of those that will be told next: their lines are fetched side by side. */
static void rumors_prefetch(const struct gossip *g)
{
    unsigned left = 32;
    for (unsigned sent = 0; sent < g->retransmit_limit && left > 0; sent++) {
        for (uint16_t at = g->rumors.head[sent]; at != 0 && left > 0; left--) {
            const struct gossip_rumor *item = rumor_at(g, at);
            if (item->kind == GOSSIP_RUMOR_MEMBER) {
                gossip_entry_prefetch(g, item->subject);
            }
            at = item->next;
        }
    }
}

void gossip_rumors_fill(struct gossip *g, struct gossip_writer *w, uint32_t peer)
{
    struct gossip_rumors *q = &g->rumors;
    uint16_t taken[GOSSIP_PACKET_PARTS_MAX];
    unsigned count = 0;
    const struct gossip_entry *to = gossip_entry_of(g, peer);
    if (g->rules.demand && (to == NULL || !gossip_entry_lives(to))) {
        return; /* told a few times only: none is spent on who may not hear it */
    }
    bool full = q->count == 0;
    rumors_prefetch(g);
    for (unsigned sent = 0; sent < g->retransmit_limit && !full; sent++) {
        uint16_t place = q->head[sent];
        while (place != 0 && !full) {
            uint16_t next = rumor_at(g, place)->next;
            full = count == GOSSIP_PACKET_PARTS_MAX || !rumor_write(g, w, rumor_at(g, place));
            if (!full) {
                rumor_unlink(g, place);
                taken[count++] = place;
            }
            place = next;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        struct gossip_rumor *item = rumor_at(g, taken[i]);
        item->sent++;
        if (item->sent >= g->retransmit_limit) {
            rumor_free(g, taken[i]);
        } else {
            rumor_push_back(g, taken[i]);
        }
    }
}

uint32_t gossip_rumors_count(const struct gossip *g)
{
    return g->rumors.count;
}
