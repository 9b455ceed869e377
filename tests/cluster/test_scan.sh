#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Scans over objects print the bytes that they print over standard input, on one node, three and
# six, and once as many nodes are killed as the code bears; and those that Python computes.
#   test_scan.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3

# arrays and a text of several cells, with a sum that leaves its range near the end
"$python3" - "$work" <<'PYTHON'
import random, struct, sys
work = sys.argv[1]
r = random.Random(5)
print("seed 5")
small = [r.randrange(-2**40, 2**40) for _ in range(300_000)]
with open(work + "/i64", "wb") as f:
    f.write(struct.pack("<300000q", *small))
with open(work + "/over", "wb") as f:
    f.write(struct.pack("<300000q", *small[:290_000], 2**63 - 1, 2**62, *small[290_002:]))
with open(work + "/f64", "wb") as f:
    f.write(struct.pack("<200000d", *(r.uniform(-1, 1) * 10 ** r.randrange(-9, 9) for _ in range(200_000))))
with open(work + "/csv", "w") as f:
    for i in range(60_000):
        f.write('%s,"n ""%d""\n",%s\n' % (r.choice("abcde"), i, r.choice(["", i, i / 8, -i])))
PYTHON

# one NAME PROGRAM: the same output, sentence and exit code as over the file
one() {
    local name=$1 program=$2 want got
    checks=$((checks + 1))
    "$holdfast" run --local "$program" <"$work/$name" >"$work/want" 2>"$work/want.err"
    want=$?
    "$holdfast" run "b/$name" "$program" --timeout 60 >"$work/out" 2>"$work/err"
    got=$?
    [ $want = $got ] || failed "$nodes nodes: exit $got, not $want: $name: $program"
    cmp -s "$work/want" "$work/out" || failed "$nodes nodes: another result: $name: $program"
    [ "$(sed 's/^holdfast: //' "$work/want.err")" = "$(sed -E "s/^holdfast: ('$name': )?//" "$work/err")" ] ||
        failed "$nodes nodes: another sentence: $name: $program: $(cat "$work/err")"
}
all() {
    one i64 'i64 | scan sum'
    one i64 'i64 | scan exclusive min'
    one i64 'u16,x6 | scan or $1 from $1 % 1000 = 0'
    one i64 'i32,u32 | where $2 % 3 = 0 | scan sum $1 from $1 % 1000 = 0'
    one over 'i64 | scan sum'
    one over 'i64 | scan exclusive sum'
    one f64 'f64 | scan sum'
    one f64 'f64,f64 | select $2 scan exclusive max $1 from $2 > 9e7'
    one csv 'csv | select $2, $1 scan sum $3 from $1 = "a" and $3 > 30000'
    one csv 'csv | where $1 != "b" | scan exclusive count'
    one csv 'csv | scan sum $2'
}
# moves NAME PROGRAM LEAST MOST: bytes
moves() {
    local moved
    checks=$((checks + 1))
    moved=$("$holdfast" run "b/$1" "$2" --json --timeout 60 | sed -nE 's/.*"bytes_moved":([0-9]+).*/\1/p')
    [ "${moved:-0}" -ge "$3" ] && [ "$moved" -le "$4" ] || failed "$nodes nodes: '$moved' bytes moved: $2"
}
# with NODES CODE KILLED...
with() {
    nodes=$1
    local code=$2 name node
    shift 2
    dir=$work/cluster$nodes
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes "$nodes" --dir "$dir" --timeout 60) || die "local up"
    export HOLDFAST_ENDPOINTS
    "$holdfast" bucket create b --ec "$code" || die "bucket"
    for name in i64 over f64 csv; do
        "$holdfast" object put "b/$name" "$work/$name" --timeout 60 >/dev/null || die "put $name"
    done
    all
    moves i64 'i16,x6 | where $1 > 32000 | scan count' 1 200000
    moves i64 'i64 | scan sum' 2400000 2410000
    moves i64 'i16,x6 | scan sum' 600000 610000
    "$python3" "$(dirname "$0")/../unit/compute/scan.py" "$holdfast" "$nodes" b 10 >"$work/out" 2>&1 ||
        failed "$nodes nodes: not as Python has it"
    for node in "$@"; do
        "$holdfast" local kill "$node" --dir "$dir" || die "kill"
        all
    done
    "$holdfast" local down --dir "$dir" >/dev/null || die "down"
}

with 1 1+0
with 3 2+1 2
with 6 4+2 3 5
ended
