/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the segment store until it is there: nothing is kept in it.
 */
#include "base/err.h"
#include "store/segments.h"

int store_segments_sync(struct store_segments *s)
{
    (void)s;
    return 0;
}

void store_segments_stats_get(struct store_segments *s, struct store_segments_stats *out)
{
    (void)s;
    *out = (struct store_segments_stats){0};
}
