/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Strong keys on nodes of the test: get, compare-and-set, delete, scan, in one sorted list.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CLIENT_KV_FAKE_H
#define HOLDFAST_TESTS_UNIT_CLIENT_KV_FAKE_H

#include "../unit.h"
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#define KV_KEYS_MAX 128u
#define KV_PAGE 5u /* keys of one answer */

struct kv_key {
    char name[256];
    uint8_t *value;
    size_t bytes;
};
struct kv {
    struct kv_key keys[KV_KEYS_MAX];
    unsigned count;
    unsigned cas;   /* that were asked for */
    unsigned lost;  /* CAS of tasks whose answers do not come */
    int refuses;    /* code that CAS of tasks get, or 0 */
    unsigned reads; /* gets that were asked for */
    /* Before a CAS of a key: as if another client came first; may be NULL. */
    void (*first)(const char *name, struct bytes value);
};
static struct kv kv;

static inline struct kv_key *kv_find(const char *name)
{
    for (unsigned i = 0; i < kv.count; i++) {
        if (strcmp(kv.keys[i].name, name) == 0) {
            return &kv.keys[i];
        }
    }
    return NULL;
}

static inline void kv_drop(const char *name)
{
    struct kv_key *k = kv_find(name);
    if (k != NULL) {
        free(k->value);
        memmove(k, k + 1, (size_t)(&kv.keys[kv.count] - (k + 1)) * sizeof(*k));
        kv.count--;
    }
}

static inline void kv_set(const char *name, const void *value, size_t bytes)
{
    unsigned at = 0;
    uint8_t *copy = malloc(bytes + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, value, bytes);
    kv_drop(name);
    ck_assert_uint_lt(kv.count, KV_KEYS_MAX);
    while (at < kv.count && strcmp(kv.keys[at].name, name) < 0) {
        at++;
    }
    memmove(&kv.keys[at + 1], &kv.keys[at], (kv.count - at) * sizeof(kv.keys[0]));
    (void)snprintf(kv.keys[at].name, sizeof(kv.keys[at].name), "%s", name);
    kv.keys[at].value = copy;
    kv.keys[at].bytes = bytes;
    kv.count++;
}

static inline void kv_clear(void)
{
    while (kv.count > 0) {
        kv_drop(kv.keys[0].name);
    }
    memset(&kv, 0, sizeof(kv));
}

/* returns: how many keys begin so. */
static inline unsigned kv_with(const char *prefix)
{
    unsigned count = 0;
    for (unsigned i = 0; i < kv.count; i++) {
        count += strncmp(kv.keys[i].name, prefix, strlen(prefix)) == 0;
    }
    return count;
}

static inline struct bytes kv_param(const struct wire_rpc *m, uint32_t i)
{
    struct bytes v;
    ck_assert_int_eq(wire_param_bytes(m, i, WIRE_VALUE_BYTES_MAX, &v), 0);
    return v;
}

static inline void kv_name(const struct wire_rpc *m, uint32_t i, char name[256])
{
    const struct bytes v = kv_param(m, i);
    ck_assert_uint_lt(v.size, 256);
    memcpy(name, v.data, v.size);
    name[v.size] = '\0';
}

static inline void kv_say_cas(struct fake_conn *conn, const struct wire_rpc *m)
{
    const bool absent = wire_node_is_nil(wire_node_at(m->params, 2));
    const bool removes = wire_node_is_nil(wire_node_at(m->params, 3));
    char name[256];
    kv_name(m, 1, name);
    kv.cas++;
    const bool task =
        strlen(name) > 18 && strlen(strrchr(name, '/')) == 9 && name[strlen(name) - 18] == '/';
    if (kv.first != NULL && !removes) {
        kv.first(name, kv_param(m, 3));
    }
    struct kv_key *k = kv_find(name);
    bool same = absent == (k == NULL);
    if (task && kv.refuses != 0) {
        fake_say_error(conn, m, kv.refuses);
        return;
    }
    if (same && !absent) {
        same = bytes_equal(kv_param(m, 2), bytes_of(k->value, k->bytes));
    }
    if (!same) {
        fake_say_error(conn, m, ERR_CONFLICT);
        return;
    }
    if (removes) {
        kv_drop(name);
    } else {
        kv_set(name, kv_param(m, 3).data, kv_param(m, 3).size);
    }
    if (task && kv.lost > 0) {
        kv.lost--;
        fake_drop(conn);
        return;
    }
    fake_say_revision(conn, m, 7);
}

static inline void kv_say_get(struct fake_conn *conn, const struct wire_rpc *m)
{
    char name[256];
    kv_name(m, 1, name);
    kv.reads++;
    const struct kv_key *k = kv_find(name);
    struct buf *out = fake_begin(conn, m);
    if (k == NULL) {
        (void)wire_pack_nil(out);
    } else {
        (void)wire_pack_map(out, 2);
        (void)wire_pack_text(out, WIRE_FIELD_VALUE);
        (void)wire_pack_bin(out, bytes_of(k->value, k->bytes));
        (void)wire_pack_text(out, WIRE_FIELD_VERSION);
        (void)wire_pack_u64(out, 1);
    }
    fake_end(conn, out);
}

static inline void kv_say_delete(struct fake_conn *conn, const struct wire_rpc *m)
{
    char name[256];
    kv_name(m, 1, name);
    const bool there = kv_find(name) != NULL;
    kv_drop(name);
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_REVISION);
    (void)wire_pack_u64(out, 8);
    (void)wire_pack_text(out, WIRE_FIELD_DELETED);
    (void)wire_pack_bool(out, there);
    fake_end(conn, out);
}

static inline void kv_say_scan(struct fake_conn *conn, const struct wire_rpc *m)
{
    char prefix[256];
    char after[256] = "";
    unsigned from = 0;
    unsigned to = 0;
    kv_name(m, 1, prefix);
    if (!wire_node_is_nil(wire_node_at(m->params, 2))) {
        kv_name(m, 2, after);
    }
    while (from < kv.count && (strncmp(kv.keys[from].name, prefix, strlen(prefix)) != 0 ||
                               strcmp(kv.keys[from].name, after) <= 0)) {
        from++;
    }
    to = from;
    while (to < kv.count && to < from + KV_PAGE &&
           strncmp(kv.keys[to].name, prefix, strlen(prefix)) == 0) {
        to++;
    }
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, to - from);
    for (unsigned i = from; i < to; i++) {
        (void)wire_pack_array(out, 3);
        (void)wire_pack_bin(out, bytes_of_text(kv.keys[i].name));
        (void)wire_pack_bin(out, bytes_of(kv.keys[i].value, kv.keys[i].bytes));
        (void)wire_pack_u64(out, 1);
    }
    (void)wire_pack_text(out, WIRE_FIELD_MORE);
    (void)wire_pack_bool(out, to == from + KV_PAGE);
    (void)wire_pack_text(out, WIRE_FIELD_REVISION);
    (void)wire_pack_u64(out, 9);
    fake_end(conn, out);
}

/* returns: whether the request was one of keys, and is answered. */
static inline bool kv_serve(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (wire_rpc_is(m, WIRE_METHOD_KV_CAS)) {
        kv_say_cas(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_KV_GET)) {
        kv_say_get(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_KV_DELETE)) {
        kv_say_delete(conn, m);
    } else if (wire_rpc_is(m, WIRE_METHOD_KV_SCAN)) {
        kv_say_scan(conn, m);
    } else {
        return false;
    }
    return true;
}

#endif
