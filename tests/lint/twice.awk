# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# NUM_MIN and NUM_MAX evaluate what they are given once to compare it and once more as the result.
# So nothing may happen there: no ++, no --, no assignment, and no call that draws or takes.
# Prints each place; exit 1 if there is one.
function look(    line, at, i, depth, c, inside, skipped) {
    line = 1
    while (match(text, /NUM_(MIN|MAX)\(/)) {
        at = RSTART + RLENGTH
        skipped = substr(text, 1, at - 1)
        line += gsub(/\n/, "\n", skipped)
        text = substr(text, at)
        depth = 1
        for (i = 1; depth > 0 && i <= length(text); i++) {
            c = substr(text, i, 1)
            depth += c == "(" ? 1 : c == ")" ? -1 : 0
        }
        inside = substr(text, 1, i - 2)
        if (inside ~ /\+\+|--|[^=!<>]=[^=]/ ||
            inside ~ /(^|[^a-z0-9_])(rng_[a-z0-9_]+|[a-z0-9_]*_take[a-z0-9_]*)\(/) {
            gsub(/[ \n]+/, " ", inside)
            printf "%s:%d: %s\n", name, line, inside
            bad = 1
        }
    }
}
FNR == 1 { look(); text = ""; name = FILENAME }
!/^#define NUM_M/ { text = text $0 "\n" }
/^#define NUM_M/ { text = text "\n" }
END { look(); exit bad }
