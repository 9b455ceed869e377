/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cipher that hides nothing and costs little: text as it is, then a hash over key, nonce, text
 * and additional data for a tag. What the envelope refuses, it refuses with this one too.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_TESTS_SIM_SIM_CIPHER_H
#define HOLDFAST_TESTS_SIM_SIM_CIPHER_H

#include "gossip/gossip.h"

struct gossip_cipher sim_cipher(void);

#endif
