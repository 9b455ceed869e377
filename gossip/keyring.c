/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cluster's keys and the three steps of a rotation. Values only: group 0 keeps them and gives
 * the steps their order.
 */
#include "gossip/gossip.h"

#include <string.h>

#define KEYRING_FORMAT 1u

static bool keyring_given(const uint8_t bytes[GOSSIP_KEY_BYTES])
{
    uint8_t any = 0;
    for (unsigned i = 0; i < GOSSIP_KEY_BYTES; i++) {
        any |= bytes[i];
    }
    return any != 0;
}

static uint32_t keyring_place(const struct gossip_keyring *r, uint16_t number)
{
    ASSERT(r->count <= GOSSIP_KEYS_MAX);
    uint32_t at = 0;
    while (at < r->count && r->rows[at].key.number != number) {
        at++;
    }
    return at;
}

static const struct gossip_keyring_row *keyring_used_row(const struct gossip_keyring *r)
{
    uint32_t at = 0;
    while (at + 1 < r->count && r->rows[at].key.state != GOSSIP_KEY_USED) {
        at++;
    }
    ASSERT(r->rows[at].key.state == GOSSIP_KEY_USED);
    return &r->rows[at];
}

uint16_t gossip_keyring_used(const struct gossip_keyring *r)
{
    return keyring_used_row(r)->key.number;
}

unsigned gossip_keyring_keys(const struct gossip_keyring *r, struct gossip_key out[GOSSIP_KEYS_MAX])
{
    for (uint32_t i = 0; i < r->count; i++) {
        out[i] = r->rows[i].key;
    }
    return r->count;
}

/* ---- steps ---------------------------------------------------------------------------------- */

int gossip_keyring_begin(struct gossip_keyring *r, const uint8_t bytes[GOSSIP_KEY_BYTES])
{
    if (!keyring_given(bytes)) {
        return ERR_INVALID;
    }
    memset(r, 0, sizeof(*r));
    r->revision = 1;
    r->last = 1;
    r->count = 1;
    r->rows[0].key.number = 1;
    r->rows[0].key.state = GOSSIP_KEY_USED;
    memcpy(r->rows[0].key.bytes, bytes, GOSSIP_KEY_BYTES);
    r->rows[0].installed = 1;
    r->rows[0].used = 1;
    return 0;
}

static int keyring_check_install(const struct gossip_keyring *r,
                                 const struct gossip_keyring_change *change)
{
    if (change->number == 0 || !keyring_given(change->bytes)) {
        return ERR_INVALID;
    }
    if (change->number <= r->last) {
        return ERR_EXISTS;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if (memcmp(r->rows[i].key.bytes, change->bytes, GOSSIP_KEY_BYTES) == 0) {
            return ERR_EXISTS;
        }
    }
    return r->count < GOSSIP_KEYS_MAX ? 0 : ERR_TOO_LARGE;
}

/* at: the row of the change's number; count if there is none. */
static int keyring_check(const struct gossip_keyring *r, const struct gossip_keyring_change *change,
                         uint32_t at)
{
    if (change->revision != r->revision || r->revision == UINT64_MAX) {
        return ERR_CONFLICT;
    }
    if (change->step == GOSSIP_KEYRING_INSTALL) {
        return keyring_check_install(r, change);
    }
    if (at == r->count) {
        return ERR_NOT_FOUND;
    }
    bool used = r->rows[at].key.state == GOSSIP_KEY_USED;
    if (change->step == GOSSIP_KEYRING_USE) {
        return used ? ERR_DONE : 0;
    }
    if (change->step == GOSSIP_KEYRING_RETIRE) {
        return used ? ERR_IN_USE : 0;
    }
    return ERR_INVALID;
}

static void keyring_install(struct gossip_keyring *r, const struct gossip_keyring_change *change)
{
    struct gossip_keyring_row *row = &r->rows[r->count++];
    memset(row, 0, sizeof(*row));
    row->key.number = change->number;
    row->key.state = GOSSIP_KEY_INSTALLED;
    memcpy(row->key.bytes, change->bytes, GOSSIP_KEY_BYTES);
    row->installed = r->revision;
    r->last = change->number;
}

static void keyring_use(struct gossip_keyring *r, uint32_t at)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->rows[i].key.state == GOSSIP_KEY_USED) {
            r->rows[i].key.state = GOSSIP_KEY_OLD;
        }
    }
    r->rows[at].key.state = GOSSIP_KEY_USED;
    r->rows[at].used = r->revision;
}

static void keyring_retire(struct gossip_keyring *r, uint32_t at)
{
    memmove(&r->rows[at], &r->rows[at + 1], (r->count - at - 1) * sizeof(r->rows[0]));
    r->count--;
    memset(&r->rows[r->count], 0, sizeof(r->rows[0]));
}

int gossip_keyring_apply(struct gossip_keyring *r, const struct gossip_keyring_change *change)
{
    uint32_t at = keyring_place(r, change->number);
    TRY(keyring_check(r, change, at));
    r->revision++;
    switch (change->step) {
    case GOSSIP_KEYRING_INSTALL: keyring_install(r, change); break;
    case GOSSIP_KEYRING_USE: keyring_use(r, at); break;
    case GOSSIP_KEYRING_RETIRE: keyring_retire(r, at); break;
    }
    ASSERT(keyring_used_row(r)->used <= r->revision);
    return 0;
}

int gossip_keyring_ready(const struct gossip_keyring *r, const struct gossip_keyring_change *change,
                         const struct gossip_keyring_member *members, uint32_t count,
                         uint32_t *blocker)
{
    uint32_t at = keyring_place(r, change->number);
    TRY(keyring_check(r, change, at));
    for (uint32_t i = 0; i < count; i++) {
        const struct gossip_keyring_member *m = &members[i];
        bool ready = true;
        if (change->step == GOSSIP_KEYRING_USE) {
            ready = m->revision >= r->rows[at].installed;
        } else if (change->step == GOSSIP_KEYRING_RETIRE && r->rows[at].used > 0) {
            ready =
                m->revision >= keyring_used_row(r)->used && m->key != 0 && m->key != change->number;
        }
        if (!ready) {
            *blocker = m->id;
            return ERR_BEHIND;
        }
    }
    return 0;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

int gossip_keyring_encode(const struct gossip_keyring *r, struct buf *out)
{
    ASSERT(r->count > 0 && r->count <= GOSSIP_KEYS_MAX);
    (void)buf_put_u8(out, KEYRING_FORMAT);
    (void)buf_put_u8(out, (uint8_t)r->count);
    (void)buf_put_u16(out, r->last);
    (void)buf_put_u64(out, r->revision);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct gossip_keyring_row *row = &r->rows[i];
        (void)buf_put_u16(out, row->key.number);
        (void)buf_put_u8(out, row->key.state);
        (void)buf_put_u8(out, 0);
        (void)buf_put_u64(out, row->installed);
        (void)buf_put_u64(out, row->used);
        (void)buf_append(out, row->key.bytes, GOSSIP_KEY_BYTES);
    }
    return out->err;
}

/* A row that the steps could have made, after those before it. */
static bool keyring_row_ok(const struct gossip_keyring *r, uint32_t at)
{
    const struct gossip_keyring_row *row = &r->rows[at];
    uint16_t before = at == 0 ? 0 : r->rows[at - 1].key.number;
    if (row->key.number <= before || row->key.number > r->last ||
        row->key.state < GOSSIP_KEY_INSTALLED || row->key.state > GOSSIP_KEY_OLD) {
        return false;
    }
    if (row->installed == 0 || row->installed > r->revision || row->used > r->revision) {
        return false;
    }
    bool was_used = row->used >= row->installed;
    bool never = row->used == 0;
    bool wanted = row->key.state == GOSSIP_KEY_INSTALLED ? never : was_used;
    return wanted && keyring_given(row->key.bytes);
}

/* One key is in use, and it came into use last. */
static bool keyring_ok(const struct gossip_keyring *r)
{
    uint32_t used = 0;
    uint64_t newest = 0;
    uint64_t current = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if (!keyring_row_ok(r, i)) {
            return false;
        }
        newest = r->rows[i].used > newest ? r->rows[i].used : newest;
        if (r->rows[i].key.state == GOSSIP_KEY_USED) {
            used++;
            current = r->rows[i].used;
        }
    }
    return used == 1 && current == newest;
}

int gossip_keyring_decode(struct bytes data, struct gossip_keyring *out)
{
    struct gossip_keyring read;
    struct bytes_reader r = bytes_reader_of(data);
    uint8_t format = bytes_take_u8(&r);
    if (!r.failed && format > KEYRING_FORMAT) {
        return ERR_LEVEL;
    }
    memset(&read, 0, sizeof(read));
    read.count = bytes_take_u8(&r);
    read.last = bytes_take_u16(&r);
    read.revision = bytes_take_u64(&r);
    if (format != KEYRING_FORMAT || read.count == 0 || read.count > GOSSIP_KEYS_MAX) {
        return ERR_CORRUPT;
    }
    uint8_t reserved = 0;
    for (uint32_t i = 0; i < read.count; i++) {
        struct gossip_keyring_row *row = &read.rows[i];
        row->key.number = bytes_take_u16(&r);
        row->key.state = bytes_take_u8(&r);
        reserved |= bytes_take_u8(&r);
        row->installed = bytes_take_u64(&r);
        row->used = bytes_take_u64(&r);
        struct bytes key = bytes_take(&r, GOSSIP_KEY_BYTES);
        if (key.size == GOSSIP_KEY_BYTES) {
            memcpy(row->key.bytes, key.data, key.size);
        }
    }
    if (!bytes_reader_ended(&r) || reserved != 0 || !keyring_ok(&read)) {
        return ERR_CORRUPT;
    }
    *out = read;
    return 0;
}
