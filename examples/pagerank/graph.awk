# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Writes 100,000 different links between pages, a line FROM,TO each: the same ones for the same
# seed, with any awk.
#
#   awk -v seed=7 -f graph.awk
#
# Drawn by R-MAT (Chakrabarti, Zhan and Faloutsos, "R-MAT: A Recursive Model for Graph Mining",
# SIAM Data Mining 2004) with the probabilities of the Graph 500 benchmark: each link goes down a
# matrix of 2^14 by 2^14, of whose quarters it takes one with 0.57, 0.19, 0.19 and 0.05. So how many
# links a page has follows a power law; there are pages without links, and pages that link to
# themselves. A link that was drawn before is drawn anew. Not every number becomes a page: a page
# is what some link names.
#
# The numbers are x = 48271 x mod (2^31 - 1) (Park, Miller and Stockmeyer, Communications of the ACM
# 36(7), 1993), which doubles hold exactly.
BEGIN {
    x = seed % 2147483646 + 1
    while (links < 100000) {
        from = to = 0
        for (level = 0; level < 14; level++) {
            x = x * 48271 % 2147483647
            from = 2 * from + (x >= 0.76 * 2147483647)
            to = 2 * to + (x >= 0.57 * 2147483647 && x < 0.76 * 2147483647 || x >= 0.95 * 2147483647)
        }
        if (!((from, to) in drawn)) {
            drawn[from, to] = 1
            links++
            print from "," to
        }
    }
}
