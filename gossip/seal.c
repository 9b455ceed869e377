/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The envelope: who sealed a packet, and whether it is new. No cipher is here, and nothing that a
 * packet says is kept before the cipher has found it authentic.
 *
 *   packet -> shape, sender, key, epoch, window --no--> counted, dropped; nothing was decrypted
 *          -> open                              --no--> forged
 *          -> for this start of the node?       --no--> stale: the sender is greeted
 *          -> epoch and window move, text goes up
 */
#include "gossip/seal_internal.h"

#include "base/num.h"

#include <string.h>

struct seal_head {
    uint8_t channel;
    uint16_t key;
    uint32_t sender;
    uint64_t epoch;
    uint64_t counter;
    uint64_t destination_epoch;
};

/* ---- windows -------------------------------------------------------------------------------- */

bool gossip_seal_window_seen(const struct seal_window *w, uint64_t counter)
{
    _Static_assert(GOSSIP_REPLAY_PACKETS == 64, "a window is one word");
    if (w->bits == 0 || counter > w->top) {
        return false;
    }
    uint64_t back = w->top - counter;
    return back >= GOSSIP_REPLAY_PACKETS || ((w->bits >> back) & 1) != 0;
}

void gossip_seal_window_add(struct seal_window *w, uint64_t counter)
{
    ASSERT(!gossip_seal_window_seen(w, counter));
    if (w->bits == 0) {
        w->top = counter;
        w->bits = 1;
    } else if (counter > w->top) {
        uint64_t ahead = counter - w->top;
        w->bits = ahead >= GOSSIP_REPLAY_PACKETS ? 1 : (w->bits << ahead) | 1;
        w->top = counter;
    } else {
        w->bits |= UINT64_C(1) << (w->top - counter);
    }
    ASSERT(gossip_seal_window_seen(w, counter));
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* A plain memset of memory that is not read again may be left out by a compiler. */
static void seal_wipe(void *memory, size_t bytes)
{
    volatile uint8_t *at = memory;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = 0;
    }
}

static void seal_put_head(const struct seal_head *head, uint8_t at[GOSSIP_SEAL_HEADER_BYTES])
{
    at[0] = SEAL_VERSION;
    at[1] = head->channel;
    num_put_u16(at + 2, head->key);
    num_put_u32(at + 4, head->sender);
    num_put_u64(at + 8, head->epoch);
    num_put_u64(at + 16, head->counter);
    num_put_u64(at + 24, head->destination_epoch);
}

static int seal_take_head(struct bytes packet, enum gossip_channel channel, struct seal_head *head)
{
    if (packet.size < GOSSIP_SEAL_BYTES || packet.data[0] != SEAL_VERSION ||
        packet.data[1] != channel) {
        return ERR_PROTOCOL;
    }
    head->channel = packet.data[1];
    head->key = num_get_u16(packet.data + 2);
    head->sender = num_get_u32(packet.data + 4);
    head->epoch = num_get_u64(packet.data + 8);
    head->counter = num_get_u64(packet.data + 16);
    head->destination_epoch = num_get_u64(packet.data + 24);
    /* no start has epoch 0, and the last counter is never used */
    return head->epoch != 0 && head->counter != UINT64_MAX ? 0 : ERR_PROTOCOL;
}

static void seal_put_aad(const struct gossip_seal *s, const uint8_t *header, uint32_t destination,
                         uint8_t at[SEAL_AAD_BYTES])
{
    memcpy(at, header, GOSSIP_SEAL_HEADER_BYTES);
    at += GOSSIP_SEAL_HEADER_BYTES;
    memcpy(at, s->options.cluster, GOSSIP_CLUSTER_BYTES);
    at += GOSSIP_CLUSTER_BYTES;
    memcpy(at, SEAL_LABEL, SEAL_LABEL_BYTES);
    num_put_u32(at + SEAL_LABEL_BYTES, destination);
}

static void seal_put_nonce(const struct seal_head *head, uint8_t at[SEAL_NONCE_BYTES])
{
    num_put_u32(at, head->channel);
    num_put_u64(at + 4, head->counter);
}

static int seal_derive(const struct gossip_seal *s, const struct gossip_key *key, uint32_t id,
                       uint64_t incarnation, uint64_t epoch, uint8_t out[GOSSIP_KEY_BYTES])
{
    uint8_t info[SEAL_INFO_BYTES];
    uint8_t *at = info;
    memcpy(at, SEAL_LABEL, SEAL_LABEL_BYTES);
    at += SEAL_LABEL_BYTES;
    memcpy(at, s->options.cluster, GOSSIP_CLUSTER_BYTES);
    at += GOSSIP_CLUSTER_BYTES;
    num_put_u32(at, id);
    num_put_u64(at + 4, incarnation);
    num_put_u64(at + 12, epoch);
    return s->options.cipher.derive(s->options.cipher.ctx, key->bytes, bytes_of(info, sizeof(info)),
                                    out);
}

/* ---- life ----------------------------------------------------------------------------------- */

int gossip_seal_new(struct gossip_seal **out, const struct gossip_seal_options *options,
                    const struct alloc *alloc)
{
    const struct gossip_cipher *cipher = &options->cipher;
    if (options->self == 0 || options->incarnation == 0 || options->epoch == 0 ||
        options->senders_max == 0 || cipher->derive == NULL || cipher->seal == NULL ||
        cipher->open == NULL) {
        return ERR_INVALID;
    }
    struct gossip_seal *s = alloc_get_zeroed(alloc, 1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->senders = alloc_get_zeroed(alloc, options->senders_max, sizeof(*s->senders));
    if (s->senders == NULL) {
        alloc_put(alloc, s, sizeof(*s));
        return ERR_NO_MEMORY;
    }
    s->options = *options;
    s->alloc = *alloc;
    *out = s;
    return 0;
}

void gossip_seal_free(struct gossip_seal *s)
{
    if (s == NULL) {
        return;
    }
    struct alloc alloc = s->alloc;
    size_t bytes = s->options.senders_max * sizeof(*s->senders);
    seal_wipe(s->senders, bytes);
    alloc_put(&alloc, s->senders, bytes);
    seal_wipe(s, sizeof(*s));
    alloc_put(&alloc, s, sizeof(*s));
}

static bool seal_keys_ok(const struct gossip_key *keys, unsigned count)
{
    unsigned used = 0;
    if (count > GOSSIP_KEYS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (keys[i].number == 0 || keys[i].state < GOSSIP_KEY_INSTALLED ||
            keys[i].state > GOSSIP_KEY_OLD) {
            return false;
        }
        used += keys[i].state == GOSSIP_KEY_USED;
        for (unsigned j = 0; j < i; j++) {
            if (keys[j].number == keys[i].number) {
                return false;
            }
        }
    }
    return used == 1;
}

int gossip_seal_keys(struct gossip_seal *s, const struct gossip_key *keys, unsigned count)
{
    if (!seal_keys_ok(keys, count)) {
        return ERR_INVALID;
    }
    seal_wipe(s->keys, sizeof(s->keys));
    memcpy(s->keys, keys, count * sizeof(*keys));
    s->keys_count = count;
    s->used = NULL;
    for (unsigned i = 0; i < count; i++) {
        s->used = s->keys[i].state == GOSSIP_KEY_USED ? &s->keys[i] : s->used;
    }
    ASSERT(s->used != NULL);
    /* what was derived is derived again when it is needed */
    s->own_ready = false;
    seal_wipe(s->own, sizeof(s->own));
    for (uint32_t i = 0; i < s->senders_count; i++) {
        seal_wipe(s->senders[i].derived, sizeof(s->senders[i].derived));
    }
    return 0;
}

/* ---- senders -------------------------------------------------------------------------------- */

/* returns: where id is, or where it would be put in. */
static uint32_t seal_place(const struct gossip_seal *s, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = s->senders_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->senders[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct seal_sender *seal_find(const struct gossip_seal *s, uint32_t id)
{
    uint32_t at = seal_place(s, id);
    return at < s->senders_count && s->senders[at].id == id ? &s->senders[at] : NULL;
}

/* Everything that counts within one epoch only. */
static void seal_epoch_set(struct seal_sender *from, uint64_t epoch)
{
    ASSERT(epoch > from->epoch || from->epoch == 0);
    from->epoch = epoch;
    memset(from->window, 0, sizeof(from->window));
    seal_wipe(from->derived, sizeof(from->derived));
}

int gossip_seal_sender(struct gossip_seal *s, uint32_t id, uint64_t incarnation,
                       uint64_t epoch_least)
{
    struct seal_sender *from = seal_find(s, id);
    if (id == 0) {
        return ERR_INVALID;
    }
    if (from == NULL) {
        if (s->senders_count == s->options.senders_max) {
            return ERR_BUSY;
        }
        uint32_t at = seal_place(s, id);
        from = &s->senders[at];
        memmove(from + 1, from, (s->senders_count - at) * sizeof(*from));
        s->senders_count++;
        memset(from, 0, sizeof(*from));
        from->id = id;
        from->incarnation = incarnation;
        seal_epoch_set(from, epoch_least);
        return 0;
    }
    if (incarnation > from->incarnation) {
        seal_wipe(from, sizeof(*from));
        from->id = id;
        from->incarnation = incarnation;
        seal_epoch_set(from, epoch_least);
    } else if (incarnation == from->incarnation && epoch_least > from->epoch) {
        seal_epoch_set(from, epoch_least);
    }
    return 0;
}

void gossip_seal_forget(struct gossip_seal *s, uint32_t id)
{
    struct seal_sender *from = seal_find(s, id);
    if (from == NULL) {
        return;
    }
    size_t after = (size_t)(s->senders + s->senders_count - (from + 1));
    memmove(from, from + 1, after * sizeof(*from));
    s->senders_count--;
    seal_wipe(&s->senders[s->senders_count], sizeof(*from));
}

/* ---- out ------------------------------------------------------------------------------------ */

static int seal_own_key(struct gossip_seal *s)
{
    if (s->used == NULL) {
        return ERR_STARTING;
    }
    if (!s->own_ready) {
        TRY(seal_derive(s, s->used, s->options.self, s->options.incarnation, s->options.epoch,
                        s->own));
        s->own_ready = true;
    }
    return 0;
}

/* The only place that gives out a nonce of this node. The counters of a channel ascend without a
 * gap for the whole start, whatever keys come and go. */
static int seal_counter_take(struct gossip_seal *s, enum gossip_channel channel, uint64_t *out)
{
    uint64_t *next = &s->counter[channel - 1];
    if (*next == UINT64_MAX) {
        return ERR_OVERFLOW;
    }
    *out = *next;
    *next = *out + 1;
    return 0;
}

int gossip_seal_close(struct gossip_seal *s, enum gossip_channel channel, uint32_t destination,
                      struct bytes text, struct buf *out)
{
    uint8_t aad[SEAL_AAD_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    ASSERT(channel == GOSSIP_DATAGRAM || channel == GOSSIP_STREAM);
    TRY(seal_own_key(s));
    TRY(buf_reserve(out, GOSSIP_SEAL_BYTES + text.size));
    const struct seal_sender *to = seal_find(s, destination);
    struct seal_head head = {
        .channel = (uint8_t)channel,
        .key = s->used->number,
        .sender = s->options.self,
        .epoch = s->options.epoch,
        .destination_epoch = to == NULL ? 0 : NUM_MAX(to->epoch, to->told),
    };
    TRY(seal_counter_take(s, channel, &head.counter));
    uint8_t *at = out->data + out->size;
    seal_put_head(&head, at);
    seal_put_aad(s, at, destination, aad);
    seal_put_nonce(&head, nonce);
    TRY(s->options.cipher.seal(s->options.cipher.ctx, s->own, nonce, bytes_of(aad, sizeof(aad)),
                               text, at + GOSSIP_SEAL_HEADER_BYTES));
    out->size += GOSSIP_SEAL_BYTES + text.size;
    s->counters.sealed++;
    return 0;
}

/* ---- in ------------------------------------------------------------------------------------- */

struct seal_arrival {
    struct seal_head head;
    struct seal_sender *from;
    const struct gossip_key *key;
    bool stale; /* for another start of this node */
};

static const struct gossip_key *seal_key_find(const struct gossip_seal *s, uint16_t number)
{
    for (unsigned i = 0; i < s->keys_count; i++) {
        if (s->keys[i].number == number) {
            return &s->keys[i];
        }
    }
    return NULL;
}

static bool seal_greeted(const struct seal_mark *mark, const struct seal_head *head)
{
    return head->epoch < mark->epoch ||
           (head->epoch == mark->epoch && head->counter <= mark->counter);
}

/* What can be said against a packet without opening it. */
static int seal_screen(struct gossip_seal *s, enum gossip_channel channel, struct bytes packet,
                       struct seal_arrival *a)
{
    int err = seal_take_head(packet, channel, &a->head);
    if (err != 0) {
        s->counters.malformed++;
        return err;
    }
    const struct seal_head *head = &a->head;
    a->from = head->sender == s->options.self ? NULL : seal_find(s, head->sender);
    if (a->from == NULL) {
        s->counters.unknown_sender++;
        return ERR_NOT_FOUND;
    }
    a->key = seal_key_find(s, head->key);
    if (a->key == NULL) {
        s->counters.unknown_key++;
        return ERR_PERMISSION;
    }
    if (head->epoch < a->from->epoch) {
        s->counters.old_epoch++;
        return ERR_FENCED;
    }
    a->stale = head->destination_epoch != s->options.epoch;
    bool seen = a->stale
                    ? seal_greeted(&a->from->greeted[channel - 1], head)
                    : head->epoch == a->from->epoch &&
                          gossip_seal_window_seen(&a->from->window[channel - 1], head->counter);
    if (seen) {
        s->counters.replayed++;
        return ERR_REPLAYED;
    }
    return 0;
}

static void seal_remember(struct gossip_seal *s, const struct seal_arrival *a, const uint8_t *key)
{
    ASSERT(a->head.epoch == a->from->epoch);
    struct seal_derived *slot = &a->from->derived[a->key - s->keys];
    slot->number = a->key->number;
    slot->epoch = a->head.epoch;
    memcpy(slot->bytes, key, sizeof(slot->bytes));
}

/* The key of the packet. One of the believed epoch is kept, whatever becomes of the packet: it does
 * not depend on it. One of a newer epoch is only a claim. */
static int seal_packet_key(struct gossip_seal *s, const struct seal_arrival *a,
                           uint8_t out[GOSSIP_KEY_BYTES])
{
    const struct seal_derived *slot = &a->from->derived[a->key - s->keys];
    if (slot->number == a->key->number && slot->epoch == a->head.epoch) {
        memcpy(out, slot->bytes, sizeof(slot->bytes));
        return 0;
    }
    TRY(seal_derive(s, a->key, a->from->id, a->from->incarnation, a->head.epoch, out));
    if (a->head.epoch == a->from->epoch) {
        seal_remember(s, a, out);
    }
    return 0;
}

static int seal_decrypt(struct gossip_seal *s, const struct seal_arrival *a, struct bytes packet,
                        const uint8_t *key, uint8_t *into)
{
    uint8_t aad[SEAL_AAD_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    struct bytes text =
        bytes_of(packet.data + GOSSIP_SEAL_HEADER_BYTES, packet.size - GOSSIP_SEAL_HEADER_BYTES);
    seal_put_aad(s, packet.data, s->options.self, aad);
    seal_put_nonce(&a->head, nonce);
    return s->options.cipher.open(s->options.cipher.ctx, key, nonce, bytes_of(aad, sizeof(aad)),
                                  text, into);
}

/* Authentic, and for this start: from here on it is believed. */
static void seal_believe(struct gossip_seal *s, const struct seal_arrival *a, const uint8_t *key)
{
    struct seal_sender *from = a->from;
    if (a->head.epoch > from->epoch) {
        seal_epoch_set(from, a->head.epoch);
        seal_remember(s, a, key);
    }
    gossip_seal_window_add(&from->window[a->head.channel - 1], a->head.counter);
    from->key_last = a->head.key;
    s->counters.opened++;
}

int gossip_seal_open(struct gossip_seal *s, enum gossip_channel channel, struct bytes packet,
                     uint8_t *into, struct gossip_opened *out)
{
    struct seal_arrival a;
    uint8_t key[GOSSIP_KEY_BYTES];
    ASSERT(channel == GOSSIP_DATAGRAM || channel == GOSSIP_STREAM);
    TRY(seal_screen(s, channel, packet, &a));
    TRY(seal_packet_key(s, &a, key));
    int err = seal_decrypt(s, &a, packet, key, into);
    s->counters.forged += err == ERR_CORRUPT;
    if (err == 0) {
        a.from->told = NUM_MAX(a.from->told, a.head.epoch);
        *out = (struct gossip_opened){
            .sender = a.head.sender, .epoch = a.head.epoch, .key = a.head.key};
    }
    if (err == 0 && a.stale) {
        a.from->greeted[channel - 1] =
            (struct seal_mark){.epoch = a.head.epoch, .counter = a.head.counter};
        s->counters.stale++;
        err = ERR_BEHIND;
    } else if (err == 0) {
        seal_believe(s, &a, key);
        out->text = bytes_of(into, packet.size - GOSSIP_SEAL_BYTES);
    }
    seal_wipe(key, sizeof(key));
    return err;
}

void gossip_seal_counters_get(const struct gossip_seal *s, struct gossip_seal_counters *out)
{
    *out = s->counters;
}

uint16_t gossip_seal_key_of(const struct gossip_seal *s, uint32_t sender)
{
    const struct seal_sender *from = seal_find(s, sender);
    return from == NULL ? 0 : from->key_last;
}
