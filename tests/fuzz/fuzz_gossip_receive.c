/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer entry: arbitrary bytes as messages, with time and events between them.
 */
#include "tests/fuzz/fuzz_gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_gossip_receive(bytes_of(data, size));
    return 0;
}
