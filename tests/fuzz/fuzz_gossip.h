/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is done with arbitrary bytes in the name of gossip, by libFuzzer and by the replay program
 * alike. Each aborts if a promise is broken; sanitizers see the rest.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_FUZZ_FUZZ_GOSSIP_H
#define HOLDFAST_TESTS_FUZZ_FUZZ_GOSSIP_H

#include "base/bytes.h"

#define FUZZ_GOSSIP_EXAMPLES 12u

/* The input is a list of packets and of changes of roster and keyring. They go to an envelope whose
 * cipher believes everything, and to one whose cipher believes nothing. */
void fuzz_gossip_seal(struct bytes input);
/* The bytes of a keyring; every step is tried on one that is whole. */
void fuzz_gossip_keyring(struct bytes input);

/* Messages of other members, with time passing and other events between them, to the core. */
void fuzz_gossip_receive(struct bytes input);

/* Good inputs to mutate. i: below FUZZ_GOSSIP_EXAMPLES. */
void fuzz_gossip_seal_example(struct buf *out, unsigned i);
void fuzz_gossip_keyring_example(struct buf *out, unsigned i);
void fuzz_gossip_receive_example(struct buf *out, unsigned i);

#endif
