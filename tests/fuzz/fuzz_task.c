/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer entry: arbitrary bytes as the state of a task.
 */
#include "tests/fuzz/fuzz_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_task(bytes_of(data, size));
    return 0;
}
