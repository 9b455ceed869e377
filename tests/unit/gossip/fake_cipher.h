/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cipher for tests: its tags tell every change of key, nonce, additional data and text apart, and
 * hide nothing from anybody.
 *
 * threads: any; it has no state but its counts.
 */
#ifndef HOLDFAST_TESTS_UNIT_GOSSIP_FAKE_CIPHER_H
#define HOLDFAST_TESTS_UNIT_GOSSIP_FAKE_CIPHER_H

#include "gossip/gossip.h"

struct fake_cipher {
    uint64_t derived, sealed, opened; /* calls */
    int fail;                         /* what derive and seal return, if not 0 */
    bool believes;                    /* opens whatever comes */
    bool refuses; /* opens nothing: a fuzzer sees through tags that are compared */
};

/* fake: lives as long as what is returned. */
struct gossip_cipher fake_cipher(struct fake_cipher *fake);

#endif
