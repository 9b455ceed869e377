/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Model of the kv table in memory, for the simulator: the same contract as store_kv_lmdb (both pass
 * tests/unit/store/kv_contract.h), with crashes and failures on demand. What a commit returned 0
 * for survives a crash; what is in an open transaction does not.
 *
 *   sim_kv_new(&kv, limit_bytes, &alloc)     kv.close frees it
 *   sim_kv_crash(&kv)                        drops the open transaction and all readers
 *
 * threads: one thread.
 */
#ifndef HOLDFAST_SIM_MODEL_KV_H
#define HOLDFAST_SIM_MODEL_KV_H

#include "store/kv.h"

/* limit_bytes: of live keys and values; a put beyond it is ERR_DISK_FULL.
 * returns: 0 or ERR_NO_MEMORY. */
int sim_kv_new(struct store_kv *out, uint64_t limit_bytes, const struct alloc *alloc);

/* The process died: the open transaction and every reader are gone (their handles too), what was
 * committed stays, and a failed table works again. */
void sim_kv_crash(struct store_kv *kv);

/* The next commit returns code and changes nothing; every call after it answers ERR_IO until
 * sim_kv_crash (ERR_DISK_FULL as code: only that one commit fails). 0 takes it back. */
void sim_kv_fail_commit(struct store_kv *kv, int code);

/* Damages the committed value of key: it reads as ERR_CORRUPT until it is written again.
 * returns: 0 or ERR_NOT_FOUND. */
int sim_kv_rot(struct store_kv *kv, struct bytes key);

void sim_kv_limit(struct store_kv *kv, uint64_t limit_bytes);

#endif
