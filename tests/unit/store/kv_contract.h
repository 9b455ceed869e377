/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The contract of struct store_kv as tests, for every table that claims to keep it.
 *
 * threads: one thread.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_KV_CONTRACT_H
#define HOLDFAST_TESTS_UNIT_STORE_KV_CONTRACT_H

#include "store/kv.h"

#include <check.h>

struct kv_contract {
    /* An empty table that may grow to limit_bytes, with at least 4 readers. */
    void (*open)(struct store_kv *out, uint64_t limit_bytes);
    /* Ends the process as far as the table is concerned, without commit, and opens it again. No
     * reader is open. */
    void (*reopen)(struct store_kv *kv);
    /* Closes it and takes its data away. */
    void (*close)(struct store_kv *kv);
};

/* contract: static. */
void kv_contract_add(Suite *suite, const struct kv_contract *contract);

#endif
