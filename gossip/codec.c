/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of messages. A packet is a header (version, health of the sender, number of messages) and
 * messages of type, length and body. Every length is checked against the bytes that are there, and
 * nothing is compressed, so no packet makes its reader hold more than came.
 */
#include "gossip/gossip_internal.h"

enum record_flag {
    RECORD_ADDRESS = 1u << 0,
    RECORD_IPV4 = 1u << 1,
    RECORD_SIGNED = 1u << 2,
};

#define RECORD_FIXED_BYTES \
    25u /* id 4, state, unwell, flags, agreed, epoch 8, incarnation 8, count */

static const uint8_t ipv4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void gossip_write_begin(const struct gossip *g, struct gossip_writer *w,
                        enum gossip_channel channel)
{
    bool datagram = channel == GOSSIP_DATAGRAM;
    *w = (struct gossip_writer){
        .data = datagram ? g->datagram : g->stream,
        .size = GOSSIP_HEADER_BYTES,
        .cap = datagram ? g->options.datagram_bytes : g->options.stream_bytes,
        .parts_max = datagram ? GOSSIP_PACKET_PARTS_MAX : UINT16_MAX,
    };
    w->data[0] = GOSSIP_VERSION;
    w->data[1] = (uint8_t)g->health;
}

struct bytes gossip_write_end(struct gossip_writer *w)
{
    ASSERT(w->size <= w->cap);
    ASSERT(w->parts <= w->parts_max);
    num_put_u16(w->data + 2, (uint16_t)w->parts);
    return bytes_of(w->data, w->size);
}

uint8_t *gossip_write_part(struct gossip_writer *w, enum gossip_type type, size_t bytes)
{
    if (w->parts == w->parts_max || w->cap - w->size < GOSSIP_PART_BYTES + bytes ||
        bytes > UINT16_MAX) {
        return NULL;
    }
    uint8_t *at = w->data + w->size;
    at[0] = (uint8_t)type;
    num_put_u16(at + 1, (uint16_t)bytes);
    w->size += GOSSIP_PART_BYTES + bytes;
    w->parts++;
    return at + GOSSIP_PART_BYTES;
}

static bool record_is_ipv4(const struct gossip_record *r)
{
    return memcmp(r->address.ip, ipv4_prefix, sizeof(ipv4_prefix)) == 0;
}

size_t gossip_record_bytes(const struct gossip_record *r)
{
    size_t bytes = RECORD_FIXED_BYTES + 4u * r->accuser_count;
    if (r->has_address) {
        bytes += (record_is_ipv4(r) ? 4u : 16u) + 2u;
    }
    return bytes + (r->is_signed ? GOSSIP_SIGNATURE_BYTES : 0);
}

static uint8_t *record_address_put(uint8_t *at, const struct gossip_record *r)
{
    if (record_is_ipv4(r)) {
        memcpy(at, r->address.ip + 12, 4);
        at += 4;
    } else {
        memcpy(at, r->address.ip, 16);
        at += 16;
    }
    num_put_u16(at, r->address.port);
    return at + 2;
}

bool gossip_write_record(struct gossip_writer *w, const struct gossip_record *r)
{
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_MEMBER, gossip_record_bytes(r));
    if (at == NULL) {
        return false;
    }
    unsigned flags = r->is_signed ? RECORD_SIGNED : 0;
    if (r->has_address) {
        flags |= RECORD_ADDRESS | (record_is_ipv4(r) ? RECORD_IPV4 : 0);
    }
    num_put_u32(at, r->id);
    at[4] = r->state;
    at[5] = r->unwell;
    at[6] = (uint8_t)flags;
    at[7] = r->agreed;
    num_put_u64(at + 8, r->epoch);
    num_put_u64(at + 16, r->incarnation);
    at[24] = r->accuser_count;
    at += RECORD_FIXED_BYTES;
    for (unsigned i = 0; i < r->accuser_count; i++) {
        num_put_u32(at, r->accusers[i]);
        at += 4;
    }
    if (r->has_address) {
        at = record_address_put(at, r);
    }
    if (r->is_signed) {
        memcpy(at, r->signature, GOSSIP_SIGNATURE_BYTES);
    }
    return true;
}

static void record_address_take(struct bytes_reader *in, unsigned flags, struct gossip_record *out)
{
    size_t bytes = (flags & RECORD_IPV4) != 0 ? 4 : 16;
    struct bytes ip = bytes_take(in, bytes);
    out->address.port = bytes_take_u16(in);
    if (bytes == 4) {
        memcpy(out->address.ip, ipv4_prefix, sizeof(ipv4_prefix));
    }
    memcpy(out->address.ip + 16 - bytes, ip.data, bytes);
}

/* What follows the known fields is a later version's. */
static bool record_check(struct bytes body)
{
    if (body.size < RECORD_FIXED_BYTES) {
        return false;
    }
    unsigned state = body.data[4];
    unsigned flags = body.data[6];
    unsigned accusers = body.data[24];
    size_t address = (flags & RECORD_IPV4) != 0 ? 4 + 2 : 16 + 2;
    size_t bytes = RECORD_FIXED_BYTES + 4u * accusers +
                   ((flags & RECORD_ADDRESS) != 0 ? address : 0) +
                   ((flags & RECORD_SIGNED) != 0 ? GOSSIP_SIGNATURE_BYTES : 0);
    return num_get_u32(body.data) != 0 && state >= GOSSIP_ALIVE && state <= GOSSIP_LEFT &&
           accusers <= GOSSIP_ACCUSERS_MAX && body.size >= bytes;
}

bool gossip_read_record(struct bytes body, struct gossip_record *out)
{
    struct bytes_reader in = bytes_reader_of(body);
    if (!record_check(body)) {
        return false;
    }
    memset(out, 0, GOSSIP_RECORD_HEAD_BYTES);
    out->id = bytes_take_u32(&in);
    out->state = bytes_take_u8(&in);
    out->unwell = bytes_take_u8(&in);
    unsigned flags = bytes_take_u8(&in);
    out->agreed = bytes_take_u8(&in);
    out->epoch = bytes_take_u64(&in);
    out->incarnation = bytes_take_u64(&in);
    out->accuser_count = bytes_take_u8(&in);
    for (unsigned i = 0; i < out->accuser_count; i++) {
        out->accusers[i] = bytes_take_u32(&in);
    }
    out->has_address = (flags & RECORD_ADDRESS) != 0;
    if (out->has_address) {
        record_address_take(&in, flags, out);
    }
    out->is_signed = (flags & RECORD_SIGNED) != 0;
    if (out->is_signed) {
        struct bytes signature = bytes_take(&in, GOSSIP_SIGNATURE_BYTES);
        memcpy(out->signature, signature.data, GOSSIP_SIGNATURE_BYTES);
    }
    ASSERT(!in.failed);
    return true;
}

void gossip_read_prefetch(const struct gossip *g, struct bytes body)
{
    ASSERT(body.size >= RECORD_FIXED_BYTES);
    gossip_entry_prefetch(g, num_get_u32(body.data));
    if (body.size >= RECORD_FIXED_BYTES + 4) {
        gossip_entry_prefetch(g, num_get_u32(body.data + RECORD_FIXED_BYTES)); /* an accuser */
    }
}

bool gossip_read_check(uint8_t type, struct bytes body)
{
    switch (type) {
    case GOSSIP_TYPE_PING: return body.size >= 8;
    case GOSSIP_TYPE_ACK:
    case GOSSIP_TYPE_NACK:
    case GOSSIP_TYPE_WATCH: return body.size >= 4;
    case GOSSIP_TYPE_RELAY: return body.size >= 8;
    case GOSSIP_TYPE_MEMBER: return record_check(body);
    case GOSSIP_TYPE_FACT: return body.size >= 13 && body.size - 13 <= GOSSIP_FACT_BYTES_MAX;
    case GOSSIP_TYPE_ALERT: return body.size >= 18 && body.data[12] < GOSSIP_RINGS_MAX;
    case GOSSIP_TYPE_SYNC_ASK: return body.size >= 13;
    case GOSSIP_TYPE_SYNC_ANSWER: return body.size >= 5;
    case GOSSIP_TYPE_SYNC_BUCKETS:
        return body.size >= 5 && body.data[4] <= GOSSIP_BUCKET_BITS_MAX &&
               body.size >= 5 + (8ul << body.data[4]);
    case GOSSIP_TYPE_SYNC_WANT:
        return body.size >= 5 && body.data[4] <= GOSSIP_BUCKET_BITS_MAX &&
               body.size >= 5 + ((1ul << body.data[4]) + 7) / 8;
    case GOSSIP_TYPE_SYNC_END: return body.size >= 5;
    default: return true; /* a later version's: skipped */
    }
}
