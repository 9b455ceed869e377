/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The client interface: names and contract of every method, shared by node and client. The one
 * place of these strings; a string that has been released never changes its meaning.
 *
 * Every method takes its parameters in order, then a map of options (see wire/rpc.h):
 *   deadline_ms  u64  give up after this; the answer is then ERR_TIMEOUT, outcome unknown
 *   session      [id, seq, ack]  makes a write exactly-once: the same (id, seq) is applied once and
 *                answered the same; ack: replies up to this seq have arrived
 *   level        "linearizable" (default) or "stale", for reads
 *   principal    str  "root" until users exist
 * Names and values are str or bin alike on the way in and bin on the way out. Fields are only ever
 * added to maps; readers ignore those they do not know. Errors carry hints: NOT_LEADER {leader u32,
 * endpoint str, group u32}, MOVED {group u32}, BUSY {retry_ms u64}.
 *
 * threads: constants and pure functions.
 */
#ifndef HOLDFAST_WIRE_API_H
#define HOLDFAST_WIRE_API_H

#include "base/bytes.h"

#define WIRE_API_LEVEL 1u

#define WIRE_NAME_BYTES_MAX 1024u /* key, space, bucket, object */
#define WIRE_VALUE_BYTES_MAX (1024u * 1024u)
#define WIRE_PART_BYTES_MAX (1024u * 1024u) /* one object.part or object.read */
#define WIRE_INLINE_BYTES_MAX 16384u        /* objects up to this travel with their stat */
#define WIRE_SCAN_ITEMS_MAX 1000u           /* one kv.scan or object.list */
#define WIRE_EXTENTS_MAX 64u                /* one object.extents */
#define WIRE_SHARDS_MAX 32u                 /* k + m */
#define WIRE_ROOT_BYTES 32u
#define WIRE_SLOTS 16384u
#define WIRE_SPACE_DEFAULT "default" /* ordered, in one group */

/* --- the cluster ------------------------------------------------------------------------------ */

/* [] -> {product "holdfast", version str, level u64, node u32, cluster bin16} */
#define WIRE_METHOD_HELLO "hello"
/* [] -> {cluster bin16,
 *        nodes:  [{id u32, host str, client_port u64, state str "up"|"down"}],
 *        groups: [{group u32, leader u32 (0: none known), members [u32]}],
 *        slots:  [[first u64, last u64, group u32]]} */
#define WIRE_METHOD_TOPOLOGY "topology"
/* [] -> {node, cluster, version, uptime_us, nodes, groups, buckets, disk, counters}: what one node
 * knows, for people */
#define WIRE_METHOD_STATUS "status"

/* [] -> {node u32, members: [{id, state str, confidence (hundredths), since_us (ago), rtt_us,
 * health, zone, address str, epoch, incarnation, capacity_bytes, out bool, connected bool, unwell
 * [str]}]}: what one node holds of all members */
#define WIRE_METHOD_MEMBER_LIST "member.list"
/* [] -> {revision, keys: [{number, state str}], members: [{id, revision, used}]}: gossip's keys */
#define WIRE_METHOD_MEMBER_KEYS "member.keys"
/* [] -> {number, revision}: a new key that everybody can open with */
#define WIRE_METHOD_MEMBER_KEY_INSTALL "member.key.install"
/* [number] -> {number, revision}: everybody seals with it */
#define WIRE_METHOD_MEMBER_KEY_USE "member.key.use"
/* [number] -> {number, revision}: nobody opens with it any more */
#define WIRE_METHOD_MEMBER_KEY_RETIRE "member.key.retire"

/* [group u32] -> {session u64}. A session ends after log time without use. */
#define WIRE_METHOD_SESSION_OPEN "session.open"
#define WIRE_METHOD_SESSION_CLOSE "session.close"

/* --- key and value ---------------------------------------------------------------------------- */

/* [space, key, value] -> {revision u64} */
#define WIRE_METHOD_KV_PUT "kv.put"
/* [space, key] -> nil, or {value bin, create_revision, mod_revision, version u64} */
#define WIRE_METHOD_KV_GET "kv.get"
/* [space, key] -> {deleted bool, revision} */
#define WIRE_METHOD_KV_DELETE "kv.delete"
/* [space, key, old|nil, new|nil] -> {revision}; nil is absent. ERR_CONFLICT: old is not the value
 */
#define WIRE_METHOD_KV_CAS "kv.cas"
/* [space, key, by i64] -> {value i64, revision}. An absent key counts from 0. ERR_WRONG_TYPE: the
 * value is no decimal number; ERR_OVERFLOW: nothing changed */
#define WIRE_METHOD_KV_INCR "kv.incr"
/* [space, prefix, after|nil, limit u64 (0: the most)] ->
 *   {items [[key bin, value bin, mod_revision u64]], more bool, revision}
 * Keys in byte order, those after `after` only. */
#define WIRE_METHOD_KV_SCAN "kv.scan"
/* [space, prefix, from_revision u64 (0: from now)] -> {watch u64, revision}. Then notifications
 * WIRE_EVENT_KV. ERR_COMPACTED: from_revision is no longer kept */
#define WIRE_METHOD_KV_WATCH "kv.watch"
/* [watch u64] -> {} */
#define WIRE_METHOD_KV_UNWATCH "kv.unwatch"
/* notification [watch u64, revision u64, [[type u64, key bin, value bin|nil]...]]; type is a
 * WIRE_CHANGE_. An empty list whose revision is 0: the watch ended, the client was too slow. */
#define WIRE_EVENT_KV "kv.event"

enum wire_change { WIRE_CHANGE_PUT = 0, WIRE_CHANGE_DELETE = 1 };

/* --- buckets ---------------------------------------------------------------------------------- */

/* [name, k u32, m u32] -> {}. ERR_SCHEME: the nodes cannot hold k+m; ERR_EXISTS */
#define WIRE_METHOD_BUCKET_CREATE "bucket.create"
/* [] -> [{name bin, k u32, m u32, survives u32}]; survives: node losses */
#define WIRE_METHOD_BUCKET_LIST "bucket.list"
/* [name] -> {}. ERR_NOT_EMPTY */
#define WIRE_METHOD_BUCKET_REMOVE "bucket.remove"

/* --- objects ---------------------------------------------------------------------------------- */

/* [bucket, name, size u64|nil] -> {upload u64, part_bytes u64, cell_bytes u64}. Uploads live on the
 * node that answered; parts go there. */
#define WIRE_METHOD_OBJECT_PUT "object.put"
/* [upload, offset u64, data bin, crc32c u32] -> {received u64}. Parts in order; a part that was
 * received before is answered again. ERR_CORRUPT: CRC; ERR_RANGE: not the next offset, the hint
 * {received} says which; ERR_BUSY: later */
#define WIRE_METHOD_OBJECT_PART "object.part"
/* [upload, size u64, root bin32] -> the map of object.stat. ERR_CORRUPT: size or root differ from
 * what has arrived */
#define WIRE_METHOD_OBJECT_COMMIT "object.commit"
/* [upload] -> {} */
#define WIRE_METHOD_OBJECT_ABORT "object.abort"
/* [bucket, name] -> nil, or {size u64, root bin32, k u32, m u32, cell_bytes u64, extents u64,
 *   version u64, created_us u64, shards_missing u64, survives u32, inline bin (if small)} */
#define WIRE_METHOD_OBJECT_STAT "object.stat"
/* [bucket, name, version, from u64, count u64] ->
 *   [{extent u64, cells u64, roots bin (32 bytes a data cell), holders [u32], missing u64 bitmap}]
 */
#define WIRE_METHOD_OBJECT_EXTENTS "object.extents"
/* [bucket, name, version, offset u64, length u64] -> {offset u64, data bin, crc32c u32, proof bin}.
 * The range lies within one cell of cell_bytes; data is the range widened to whole 16 KiB leaves of
 * it (or to the cell's end) and begins at offset. proof: range proof of those leaves in the tree of
 * the cell's leaves, whose root is the cell's root; empty for a whole cell. ERR_VERSION_GONE;
 * ERR_RANGE: beyond the end, or over a cell's end */
#define WIRE_METHOD_OBJECT_READ "object.read"
/* [bucket, prefix, after|nil, limit u64] -> {items [{name bin, size, version, ...}], more bool} */
#define WIRE_METHOD_OBJECT_LIST "object.list"
/* [bucket, name] -> {}. ERR_NOT_FOUND */
#define WIRE_METHOD_OBJECT_REMOVE "object.remove"
/* [bucket, name, cursor u64 (0: start)] -> {checked, missing, damaged u64, next u64|nil}. Each
 * shard is read again and its checksums compared */
#define WIRE_METHOD_OBJECT_VERIFY "object.verify"

/* --- options ---------------------------------------------------------------------------------- */

#define WIRE_OPTION_DEADLINE_MS "deadline_ms"
#define WIRE_OPTION_SESSION "session"
#define WIRE_OPTION_LEVEL "level"
#define WIRE_OPTION_PRINCIPAL "principal"
#define WIRE_LEVEL_LINEARIZABLE "linearizable"
#define WIRE_LEVEL_STALE "stale"

/* --- fields of maps --------------------------------------------------------------------------- */

#define WIRE_FIELD_AFTER "after"
#define WIRE_FIELD_BUCKETS "buckets"
#define WIRE_FIELD_CELL_BYTES "cell_bytes"
#define WIRE_FIELD_CELLS "cells"
#define WIRE_FIELD_CHECKED "checked"
#define WIRE_FIELD_CLIENT_PORT "client_port"
#define WIRE_FIELD_CLUSTER "cluster"
#define WIRE_FIELD_COUNTERS "counters"
#define WIRE_FIELD_CRC32C "crc32c"
#define WIRE_FIELD_CREATE_REVISION "create_revision"
#define WIRE_FIELD_CREATED_US "created_us"
#define WIRE_FIELD_DAMAGED "damaged"
#define WIRE_FIELD_DATA "data"
#define WIRE_FIELD_DELETED "deleted"
#define WIRE_FIELD_DISK "disk"
#define WIRE_FIELD_ENDPOINT "endpoint"
#define WIRE_FIELD_EXTENT "extent"
#define WIRE_FIELD_EXTENTS "extents"
#define WIRE_FIELD_GROUP "group"
#define WIRE_FIELD_GROUPS "groups"
#define WIRE_FIELD_HOLDERS "holders"
#define WIRE_FIELD_HOST "host"
#define WIRE_FIELD_ID "id"
#define WIRE_FIELD_INLINE "inline"
#define WIRE_FIELD_ITEMS "items"
#define WIRE_FIELD_K "k"
#define WIRE_FIELD_LEADER "leader"
#define WIRE_FIELD_LEVEL "level"
#define WIRE_FIELD_M "m"
#define WIRE_FIELD_MEMBERS "members"
#define WIRE_FIELD_MISSING "missing"
#define WIRE_FIELD_MOD_REVISION "mod_revision"
#define WIRE_FIELD_MORE "more"
#define WIRE_FIELD_NAME "name"
#define WIRE_FIELD_NEXT "next"
#define WIRE_FIELD_NODE "node"
#define WIRE_FIELD_NODES "nodes"
#define WIRE_FIELD_OFFSET "offset"
#define WIRE_FIELD_PART_BYTES "part_bytes"
#define WIRE_FIELD_PRODUCT "product"
#define WIRE_FIELD_PROOF "proof"
#define WIRE_FIELD_RECEIVED "received"
#define WIRE_FIELD_RETRY_MS "retry_ms"
#define WIRE_FIELD_REVISION "revision"
#define WIRE_FIELD_ROOT "root"
#define WIRE_FIELD_ROOTS "roots"
#define WIRE_FIELD_SESSION "session"
#define WIRE_FIELD_SHARDS_MISSING "shards_missing"
#define WIRE_FIELD_SIZE "size"
#define WIRE_FIELD_SLOTS "slots"
#define WIRE_FIELD_STATE "state"
#define WIRE_FIELD_SURVIVES "survives"
#define WIRE_FIELD_UPLOAD "upload"
#define WIRE_FIELD_UPTIME_US "uptime_us"
#define WIRE_FIELD_VALUE "value"
#define WIRE_FIELD_VERSION "version"
#define WIRE_FIELD_WATCH "watch"

/* --- names ------------------------------------------------------------------------------------ */

/* Bytes of any value, 1 to WIRE_NAME_BYTES_MAX of them: key, space and object.
 * returns: 0, ERR_BAD_NAME (empty) or ERR_TOO_LARGE. */
int wire_name_check(struct bytes name);
/* As above and without '/', which parts BUCKET/NAME on command lines; else ERR_BAD_NAME. */
int wire_bucket_check(struct bytes name);

/* returns: slot 0 to WIRE_SLOTS - 1, as Redis Cluster: CRC16 of the name, or of its {tag}: what
 * lies between the first '{' and the first '}' after it, if that is not empty. */
uint32_t wire_slot_of(struct bytes name);

#endif
