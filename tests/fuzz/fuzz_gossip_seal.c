/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer entry: arbitrary bytes as packets, and changes between them.
 */
#include "tests/fuzz/fuzz_gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_gossip_seal(bytes_of(data, size));
    return 0;
}
