/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One packet in: all of it is checked before any of it is taken.
 */
#include "gossip/gossip_internal.h"

struct receive_from {
    uint32_t sender;
    enum gossip_channel channel;
    const struct gossip_address *address;
};

/* returns: whether the header and every message of the packet are whole. The members that records
 * are about are on their way to the cache then: tables of thousands are larger than it. */
static bool receive_check(const struct gossip *g, enum gossip_channel channel, struct bytes data)
{
    struct bytes_reader in = bytes_reader_of(data);
    uint8_t version = bytes_take_u8(&in);
    (void)bytes_take_u8(&in);
    uint32_t parts = bytes_take_u16(&in);
    bool many = channel == GOSSIP_DATAGRAM && parts > GOSSIP_PACKET_PARTS_MAX;
    if (in.failed || version != GOSSIP_VERSION || parts == 0 || many) {
        return false;
    }
    for (uint32_t i = 0; i < parts; i++) {
        uint8_t type = bytes_take_u8(&in);
        struct bytes body = bytes_take(&in, bytes_take_u16(&in));
        if (in.failed || !gossip_read_check(type, body)) {
            return false;
        }
        if (type == GOSSIP_TYPE_MEMBER) {
            gossip_read_prefetch(g, body);
        }
    }
    return bytes_reader_ended(&in);
}

/* What the entries point to follows them: the suspicion, and the place in the queue. */
static void receive_prefetch(const struct gossip *g, struct bytes_reader in, uint32_t parts)
{
    for (; parts > 0; parts--) {
        uint8_t type = bytes_take_u8(&in);
        struct bytes body = bytes_take(&in, bytes_take_u16(&in));
        if (type == GOSSIP_TYPE_MEMBER) {
            gossip_entry_prefetch_more(g, num_get_u32(body.data));
        }
    }
}

static void receive_ping(struct gossip *g, const struct receive_from *from, struct bytes body)
{
    if (num_get_u32(body.data + 4) != g->options.self) {
        return; /* for who had this address before */
    }
    struct gossip_out *o = gossip_out_add(g, from->sender, GOSSIP_TYPE_ACK, from->channel);
    if (o != NULL) {
        o->seq = num_get_u32(body.data);
        if (from->channel == GOSSIP_DATAGRAM && from->address != NULL) {
            o->address = *from->address;
        }
    }
}

static void receive_record(struct gossip *g, const struct receive_from *from, struct bytes body)
{
    struct gossip_record record;
    bool whole = gossip_read_record(body, &record);
    ASSERT(whole);
    gossip_record_take(g, &record, from->sender,
                       from->channel == GOSSIP_STREAM ? GOSSIP_WAY_SYNC : GOSSIP_WAY_RUMOR);
}

static void receive_watch(struct gossip *g, struct bytes body)
{
    struct gossip_entry *e = gossip_entry_of(g, num_get_u32(body.data));
    if (e != NULL) {
        gossip_cut_doubt(g, e);
    }
}

static void receive_part(struct gossip *g, const struct receive_from *from, uint8_t type,
                         struct bytes body)
{
    uint32_t sender = from->sender;
    switch (type) {
    case GOSSIP_TYPE_PING: receive_ping(g, from, body); return;
    case GOSSIP_TYPE_ACK:
        gossip_probe_ack(g, sender, num_get_u32(body.data), from->channel);
        return;
    case GOSSIP_TYPE_NACK: gossip_probe_nack(g, sender, num_get_u32(body.data)); return;
    case GOSSIP_TYPE_RELAY:
        gossip_probe_relay(g, sender, num_get_u32(body.data), num_get_u32(body.data + 4));
        return;
    case GOSSIP_TYPE_MEMBER: receive_record(g, from, body); return;
    case GOSSIP_TYPE_FACT: gossip_facts_take(g, sender, body); return;
    case GOSSIP_TYPE_WATCH: receive_watch(g, body); return;
    case GOSSIP_TYPE_ALERT: gossip_cut_alert(g, body); return;
    case GOSSIP_TYPE_SYNC_ASK: gossip_sync_asked(g, sender, body); return;
    case GOSSIP_TYPE_SYNC_ANSWER: gossip_sync_answered(g, sender, body); return;
    case GOSSIP_TYPE_SYNC_BUCKETS: gossip_sync_buckets(g, sender, body); return;
    case GOSSIP_TYPE_SYNC_WANT: gossip_sync_wanted(g, sender, body); return;
    case GOSSIP_TYPE_SYNC_END: gossip_sync_ended(g, sender, body); return;
    default: g->counters.skipped++; return;
    }
}

static void receive_count(struct gossip *g, enum gossip_channel channel, size_t bytes)
{
    if (channel == GOSSIP_DATAGRAM) {
        g->counters.packets_in++;
        g->counters.bytes_in += bytes;
    } else {
        g->counters.streams_in++;
        g->counters.stream_bytes_in += bytes;
    }
}

int gossip_receive(struct gossip *g, enum gossip_channel channel, uint32_t sender,
                   uint64_t sender_epoch, const struct gossip_address *from, struct bytes data,
                   uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    gossip_health_late(g);
    receive_count(g, channel, data.size);
    struct gossip_entry *e = gossip_entry_of(g, sender);
    if (e == NULL || e->state == GOSSIP_REMOVED) {
        g->counters.unknown_sender++;
        return ERR_NOT_FOUND;
    }
    if (e == gossip_self(g) || !receive_check(g, channel, data)) {
        g->counters.malformed++;
        return ERR_PROTOCOL;
    }
    static const struct gossip_address nowhere;
    bool known = from != NULL && memcmp(from->ip, nowhere.ip, sizeof(nowhere.ip)) != 0;
    struct receive_from source = {
        .sender = sender, .channel = channel, .address = known ? from : NULL};
    if (sender_epoch >= e->epoch) {
        gossip_contact_of(g, e)->heard_us = g->now_us;
        e->health = data.data[1];
    }
    struct bytes_reader in = bytes_reader_of(data);
    (void)bytes_take(&in, 2);
    uint32_t parts = bytes_take_u16(&in);
    if (channel == GOSSIP_DATAGRAM) { /* of a whole table the first would have left again */
        receive_prefetch(g, in, parts);
    }
    for (; parts > 0; parts--) {
        uint8_t type = bytes_take_u8(&in);
        receive_part(g, &source, type, bytes_take(&in, bytes_take_u16(&in)));
    }
    return 0;
}
