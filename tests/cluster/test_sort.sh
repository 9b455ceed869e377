#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# `sort` over objects of one, three and six real daemons prints what Python's sorted() has: all well,
# with a node killed, and with as many as the code bears.
#   test_sort.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3
seed=${HOLDFAST_SEED:-1}

# sorts put|run WHAT: the objects of this cluster, and what comes of them
sorts() {
    checks=$((checks + 1))
    "$python3" "$(dirname "$0")/../unit/compute/sort.py" "$holdfast" "$seed" b 12 "$1" >"$work/out" 2>"$work/err" ||
        failed "seed $seed, $2: $(tail -c 2000 "$work/err")"
}
# cells of the large object that had to be decoded
decoded() {
    "$holdfast" run b/large 'csv | sort $2 | select $1' --timeout 60 --json | sed -nE 's/.*"cells_decoded":([0-9]+).*/\1/p'
}
# large WHAT: an object of some large cells, in memory and not
large() {
    checks=$((checks + 2))
    "$holdfast" run b/large 'csv | where $3 > 0.1 | sort $2 down, $3' --timeout 60 >"$work/got" 2>"$work/err" || failed "$1"
    cmp -s "$work/want" "$work/got" || failed "another order: $1"
    "$holdfast" run b/large 'csv | where $3 > 0.1 | sort $2 down, $3' --memory 500000 --spill "$work" --timeout 60 >"$work/got" 2>"$work/err" ||
        failed "--spill: $1"
    cmp -s "$work/want" "$work/got" || failed "another order with --spill: $1"
}

"$python3" - "$work" <<'PYTHON' || die "content"
import random, sys
rng = random.Random(5)
rows = [(i, rng.randrange(50), rng.random(), '"a\nb"' * rng.randrange(9)) for i in range(200_000)]
with open(sys.argv[1] + "/large", "w") as f:
    f.writelines("%d,%d,%.6f,%s\n" % row for row in rows)
with open(sys.argv[1] + "/want", "w") as f:
    rows = [(i, n, "%.6f" % v, t) for i, n, v, t in rows]
    rows = [row for row in rows if float(row[2]) > 0.1]
    f.writelines("%d,%d,%s,%s\n" % row for row in sorted(rows, key=lambda row: (-row[1], float(row[2]))))
PYTHON

for nodes in 1 3 6; do
    dir=$work/cluster$nodes
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes $nodes --dir "$dir" --timeout 60) || die "local up"
    export HOLDFAST_ENDPOINTS
    case $nodes in 1) code=1+0 kills=() ;; 3) code=2+1 kills=(2) ;; 6) code=4+2 kills=(3 5) ;; esac
    "$holdfast" bucket create b --ec $code || die "bucket"
    sorts put "$nodes nodes"
    "$holdfast" object put b/large "$work/large" >/dev/null || die "put"
    sorts run "$nodes nodes"
    large "$nodes nodes"
    for kill in "${kills[@]}"; do
        "$holdfast" local kill "$kill" --dir "$dir" || die "kill"
        sorts run "$nodes nodes, $kill killed"
        large "$nodes nodes, $kill killed"
    done
    checks=$((checks + 1))
    [ $nodes != 6 ] || [ "$(decoded)" -gt 0 ] || failed "two nodes are gone and no cell was decoded"
    "$holdfast" local down --dir "$dir" >/dev/null || die "down"
    echo "ok: $nodes nodes"
done

ended
