/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer entry: arbitrary bytes as the record of an extent.
 */
#include "tests/fuzz/fuzz_extent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_extent(bytes_of(data, size));
    return 0;
}
