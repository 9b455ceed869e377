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
 *   token        bin, may be empty: what the caller has seen or written so far (wire/token.h). The
 *                answer is not older than that, and carries a token of what it has seen: a field
 *                `token`, with `consistency` beside it
 *   budget_ms    u64  how long a node may take to get what the token names (500); then it asks
 *                another that has it, or answers BEHIND
 *   copies       u64  crdt.update: on how many nodes it is to be durable (2)
 *   once         str  crdt.update: the write is done once under this token (wire/once.h), which
 *                crdt.once gave; instead of a session
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
#define WIRE_PROGRAM_BYTES_MAX 16384u
#define WIRE_LOOKUPS_MAX 8u                          /* tables of a program */
#define WIRE_LOOKUP_BYTES_MAX (UINT32_C(64) << 20)   /* of one */
#define WIRE_LOOKUPS_BYTES_MAX (UINT64_C(256) << 20) /* of all on a node, with indexes */
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

/* --- key and value ----------------------------------------------------------------------------
 * With the option token every answer of these is a map and has {token bin, consistency str}; kv.get
 * of an absent key is {value nil, ...} then. */

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

/* Where object.run has a program run over a cell. */
enum wire_run_where {
    WIRE_RUN_HOLDER = 0,
    WIRE_RUN_APART = 1,  /* from the holder: it is decoded */
    WIRE_RUN_STRIPE = 2, /* by who decodes others of its stripe: it is read for that */
};

/* --- eventual mode ----------------------------------------------------------------------------
 * Replicated data types (crdt/crdt.h): every node takes writes and answers reads during any
 * partition. A path is [type, field, type, field, type ...]: the type of the key itself, then what
 * lies in its maps; types and verbs are WIRE_CRDT_ numbers. A session of these is one of the node
 * that answers, opened there with the group WIRE_GROUP_OWN; a retry goes to the same node. */

/* [space, [operation]] -> {node u32, copies u32, changed [bool], consistency str, token bin}; all
 * or none are applied. An operation is a map {name, path, verb, value (element, value or field),
 * amount i64, to u32 (node)}. node: which took it. copies: nodes on which it is durable.
 * WRONG_TYPE: the name, or a field of the path, has another type; OVERFLOW, NO_RIGHTS, NOT_EMPTY,
 * TOO_LARGE, BEHIND (token): nothing was done. UNAVAILABLE: the node has not reached group 0 since
 * its start. WIRE_CRDT_CREATE stands alone; EXISTS: it was created with another amount. NOT_FOUND
 * {node}: there is no node `to`. NOT_LEADER {leader}: another node owns the first key; without a
 * session it is handed over. Keys of one batch share a {tag}, or what it removes of the others may
 * not be seen where it is applied. A refusal of several operations has the hint {operation}: which
 * of them it is about, from 0, if one is. With apart they are of several callers: NOT_LEADER unless
 * the node owns all of the keys, and the hint has {regions} too, bit i: region i (slot modulo 64)
 * is the node's */
#define WIRE_METHOD_CRDT_UPDATE "crdt.update"
/* [] or [[name]] -> {once str, node u32, lifetime_us u64}: a token for one crdt.update. All
 * attempts of it, of whatever client, go to the node that the token names: the first that is done
 * is the only one, and the others get its answer, for 24 hours of that node's log time from when
 * the token was given. NOT_LEADER {leader}: the node that was asked does not keep one of the names.
 * To crdt.update a token adds: NOT_LEADER {leader}: another node is named; INVALID: that does not
 * keep the key; CONFLICT: other operations were done under the token; FORGOTTEN: it is too old, or
 * the node has lost what it knew then, so it is not done, and was perhaps before; BUSY: too many
 * are remembered; UNAVAILABLE: the node does not know yet what it knows, as after a start */
#define WIRE_METHOD_CRDT_ONCE "crdt.once"
/* [space, name, path (its last type 0: whatever is there), element|nil] ->
 *   {items [{type, found bool, value, siblings [[value bin, node u32, epoch u64, counter u64,
 *    time_us u64]], rights [[node, epoch, rights i64]]}], clock [[node, epoch, from, to]],
 *    time_us u64, node u32, consistency str, token bin}
 * One item a type. value: of counters i64, flags bool, max and min i64 or nil, hll u64, lww bin or
 * nil, mv [bin], bounded i64; of sets whether element is in it, or nil; of maps nil. siblings: lww
 * (the winner first, then what lost within a day) and mv. rights: bounded. */
#define WIRE_METHOD_CRDT_READ "crdt.read"
/* [space, name, path, after bin|nil, limit u64 (0: the most)] -> {items, next bin|nil, clock,
 *   time_us, node, consistency, token}
 * A page: of a set, items are its elements in byte order; of a map [field bin, type, value, of lww
 * and mv some siblings], by length and bytes. next: to be given as after; a page may be empty. */
#define WIRE_METHOD_CRDT_MEMBERS "crdt.members"
/* [space, prefix, from_revision u64 (0: from now)] -> {watch u64, revision}, then notifications
 * WIRE_EVENT_CRDT about keys that changed at this node, by a write here or one that arrived.
 * Revisions are the node's own. Ended with kv.unwatch */
#define WIRE_METHOD_CRDT_WATCH "crdt.watch"
/* [] -> {epoch, regions (written to), hash (of all regions: equal on nodes that hold the same),
 * fragments, pushes, pushed_bytes, joined, behind, pages, page_bytes, restored, dropped u64, peers
 * [{node, waiting, regions_behind, compared}]}: eventual mode as one node sees it; in "status" too
 */
#define WIRE_METHOD_CRDT_STATUS "crdt.status"
/* notification [watch u64, revision u64, [[type u64, name bin, nil]...]], as WIRE_EVENT_KV: what a
 * key holds now is asked for. */
#define WIRE_EVENT_CRDT "crdt.event"

#define WIRE_GROUP_OWN 64u               /* the number of every node's own group */
#define WIRE_CRDT_OPS_MAX 256u           /* one crdt.update */
#define WIRE_CRDT_REGIONS 64u            /* a key's: its slot modulo this */
#define WIRE_CRDT_VALUE_BYTES_MAX 32768u /* of a register */
#define WIRE_CRDT_ELEMENT_BYTES_MAX 512u /* of a set; of a field */
#define WIRE_CRDT_DEPTH_MAX 8u           /* names in a path */
#define WIRE_CRDT_BUDGET_MS 500u         /* the default */

enum wire_crdt_type {
    WIRE_CRDT_G_COUNTER = 1,
    WIRE_CRDT_PN_COUNTER,
    WIRE_CRDT_COUNTER, /* for maps: removing it is exact */
    WIRE_CRDT_LWW,
    WIRE_CRDT_MV,
    WIRE_CRDT_EW_FLAG,
    WIRE_CRDT_DW_FLAG,
    WIRE_CRDT_AW_SET,
    WIRE_CRDT_RW_SET,
    WIRE_CRDT_G_SET,
    WIRE_CRDT_MAX,
    WIRE_CRDT_MIN,
    WIRE_CRDT_HLL,
    WIRE_CRDT_MAP,
    WIRE_CRDT_BOUNDED,
};
enum wire_crdt_verb {
    WIRE_CRDT_ADD = 1, /* value, or amount */
    WIRE_CRDT_SET,     /* value, or amount */
    WIRE_CRDT_REMOVE,  /* value: an element; of a map, a field */
    WIRE_CRDT_ENABLE,
    WIRE_CRDT_DISABLE,
    WIRE_CRDT_TRANSFER,    /* bounded: amount, to */
    WIRE_CRDT_CREATE = 64, /* bounded: amount, once for the key */
};

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
/* [bucket, name, version, offset u64, length u64, program, quotes u64, apart u64, lookups array] ->
 *   {data bin, crc32c u32, decoded bool, moved u64; with lookups also node u32, fetched u64}. The
 *   last ones may be left out: quotes, apart, and of a program without `lookup`, lookups.
 * A program over a range of one cell, run where the cell lies. data: the state of its task over the
 * range (compute/task.h); states of ranges that touch can be merged. decoded: the cell was not to
 * be had and was decoded from others. moved: bytes that went from node to node for it.
 * lookups: a table for each `lookup` of the program, {bucket, name, version u64, root, size u64,
 * cell_bytes u32, data}: what object.stat told, and of at most WIRE_INLINE_BYTES_MAX its data. They
 * are read by the node that computes, unless it has them. fetched: bytes of tables that were, by
 * node. Of a table, its name in the error's text: ERR_CONFLICT, it was replaced or removed, and is
 * freed; ERR_PROTOCOL, it is none; ERR_LOST, ERR_UNAVAILABLE; ERR_BUSY, others are in use.
 * ERR_TOO_LARGE: work, memory or the state pass the budget; a shorter range may not. ERR_INVALID:
 * the program is none; ERR_VERSION_GONE, ERR_RANGE as object.read */
#define WIRE_METHOD_OBJECT_RUN "object.run"
/* [bucket, name, version u64, bucket and name of the new object, program] ->
 *   {upload u64, part_bytes, cell_bytes}. Begins an upload whose cells follow from those of a
 * version: a scan of raw records of one field of 8 bytes (compute/carry.h). It has the layout of
 * that version, and its holders. object.commit ends it, with the root of the cells' roots, and says
 * what was moved, too; object.abort gives it up. ERR_SCHEME: the bucket has another code;
 * ERR_INVALID: the version has no cells; ERR_VERSION_GONE */
#define WIRE_METHOD_OBJECT_DERIVE "object.derive"
/* [upload u64, cell u64, carry bin] -> {root bin, data bin, decoded bool, moved u64}. A cell of the
 * upload, durable; asked for in their order, by extents: ERR_BUSY where one before is not begun.
 * data: the carry behind it. ERR_OVERFLOW: a result leaves its range; ERR_PROTOCOL: no carry;
 * ERR_CONFLICT: the version lies on nodes that are out; ERR_CANCELLED: there is no such upload (any
 * more), as when a holder was lost before its cells had parity */
#define WIRE_METHOD_OBJECT_DERIVE_CELL "object.derive.cell"
/* [message u64, stop u64] -> {steps u64}. How far an object.run is that this connection asked for
 * under this message id: steps grow as long as it goes on. stop 1: it ends with ERR_CANCELLED.
 * ERR_NOT_FOUND: there is none */
#define WIRE_METHOD_OBJECT_RUN_LOOK "object.run.look"

/* --- options ---------------------------------------------------------------------------------- */

#define WIRE_OPTION_APART "apart"
#define WIRE_OPTION_BUDGET_MS "budget_ms"
#define WIRE_OPTION_COPIES "copies"
#define WIRE_OPTION_DEADLINE_MS "deadline_ms"
#define WIRE_OPTION_ONCE "once"
#define WIRE_OPTION_SESSION "session"
#define WIRE_OPTION_LEVEL "level"
#define WIRE_OPTION_PRINCIPAL "principal"
#define WIRE_OPTION_TOKEN "token"
#define WIRE_LEVEL_LINEARIZABLE "linearizable"
#define WIRE_LEVEL_STALE "stale"
#define WIRE_CONSISTENCY_EVENTUAL "eventual" /* what the node had */
#define WIRE_CONSISTENCY_SESSION "session"   /* and not older than the token */

/* --- fields of maps --------------------------------------------------------------------------- */

#define WIRE_FIELD_AFTER "after"
#define WIRE_FIELD_AMOUNT "amount"
#define WIRE_FIELD_BUCKET "bucket"
#define WIRE_FIELD_BUCKETS "buckets"
#define WIRE_FIELD_CELL_BYTES "cell_bytes"
#define WIRE_FIELD_CELLS "cells"
#define WIRE_FIELD_CHANGED "changed"
#define WIRE_FIELD_CHECKED "checked"
#define WIRE_FIELD_CLIENT_PORT "client_port"
#define WIRE_FIELD_CLOCK "clock"
#define WIRE_FIELD_CLUSTER "cluster"
#define WIRE_FIELD_CONSISTENCY "consistency"
#define WIRE_FIELD_COPIES "copies"
#define WIRE_FIELD_COUNTERS "counters"
#define WIRE_FIELD_CRC32C "crc32c"
#define WIRE_FIELD_CREATE_REVISION "create_revision"
#define WIRE_FIELD_CREATED_US "created_us"
#define WIRE_FIELD_DAMAGED "damaged"
#define WIRE_FIELD_DATA "data"
#define WIRE_FIELD_DECODED "decoded"
#define WIRE_FIELD_DELETED "deleted"
#define WIRE_FIELD_DISK "disk"
#define WIRE_FIELD_GPU "gpu"
#define WIRE_FIELD_ENDPOINT "endpoint"
#define WIRE_FIELD_EXTENT "extent"
#define WIRE_FIELD_EXTENTS "extents"
#define WIRE_FIELD_FETCHED "fetched"
#define WIRE_FIELD_FOUND "found"
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
#define WIRE_FIELD_MOVED "moved"
#define WIRE_FIELD_NAME "name"
#define WIRE_FIELD_NEXT "next"
#define WIRE_FIELD_NODE "node"
#define WIRE_FIELD_ONCE "once"
#define WIRE_FIELD_LIFETIME_US "lifetime_us"
#define WIRE_FIELD_NODES "nodes"
#define WIRE_FIELD_OFFSET "offset"
#define WIRE_FIELD_OPERATION "operation"
#define WIRE_FIELD_PART_BYTES "part_bytes"
#define WIRE_FIELD_PATH "path"
#define WIRE_FIELD_PRODUCT "product"
#define WIRE_FIELD_PROOF "proof"
#define WIRE_FIELD_RECEIVED "received"
#define WIRE_FIELD_RETRY_MS "retry_ms"
#define WIRE_FIELD_REGIONS "regions"
#define WIRE_FIELD_REVISION "revision"
#define WIRE_FIELD_RIGHTS "rights"
#define WIRE_FIELD_ROOT "root"
#define WIRE_FIELD_ROOTS "roots"
#define WIRE_FIELD_SESSION "session"
#define WIRE_FIELD_SHARDS_MISSING "shards_missing"
#define WIRE_FIELD_SIBLINGS "siblings"
#define WIRE_FIELD_SIZE "size"
#define WIRE_FIELD_SLOTS "slots"
#define WIRE_FIELD_STATE "state"
#define WIRE_FIELD_STEPS "steps"
#define WIRE_FIELD_SURVIVES "survives"
#define WIRE_FIELD_TIME_US "time_us"
#define WIRE_FIELD_TO "to"
#define WIRE_FIELD_TOKEN "token"
#define WIRE_FIELD_TYPE "type"
#define WIRE_FIELD_UPLOAD "upload"
#define WIRE_FIELD_UPTIME_US "uptime_us"
#define WIRE_FIELD_VALUE "value"
#define WIRE_FIELD_VERB "verb"
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
