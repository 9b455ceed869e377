#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Scans into objects, written by the nodes that hold the input's cells: the bytes that --local
# prints, whole and proven, on one node, three and six, with nodes killed before and meanwhile; and
# no more is moved than parity costs. What has no such way goes the other one, with its sentences.
#   test_scan_into.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3

# arrays of several cells; large has cells of 1 MiB, and a last one that is short
"$python3" - "$work" <<'PYTHON'
import random, struct, sys
work = sys.argv[1]
r = random.Random(7)
print("seed 7")
def put(name, code, numbers):
    with open(work + "/" + name, "wb") as f:
        f.write(struct.pack("<%d%s" % (len(numbers), code), *numbers))
put("i64", "q", [r.randrange(-2**40, 2**40) for _ in range(300_000)])
put("u64", "Q", [r.randrange(2**30) for _ in range(100_001)])
put("f64", "d", [r.uniform(-1, 1) * 10 ** r.randrange(-9, 9) for _ in range(200_000)])
put("large", "q", [r.randrange(-2**40, 2**40) for _ in range(1_572_860)])
put("over", "q", [2**62] * 3 + [0] * 100_000)
put("small", "q", [1, 2, 3])
PYTHON

# field NAME: of the last JSON
field() {
    sed -nE 's/.*"'"$1"'":([0-9]+).*/\1/p' "$work/out"
}
# same NAME PROGRAM: b/out has the bytes that --local prints
same() {
    checks=$((checks + 1))
    "$holdfast" run --local "$2" <"$work/$1" >"$work/want" || failed "$nodes nodes: --local $2"
    "$holdfast" object get b/out "$work/back" --timeout 60 >"$work/out" 2>"$work/err" ||
        failed "$nodes nodes: get: $1: $2"
    cmp -s "$work/want" "$work/back" || failed "$nodes nodes: another result: $1: $2"
    rm -f "$work/back"
}
# one NAME PROGRAM WAY: into b/out. WAY: lies or any
one() {
    code 0 run "b/$1" "$2" --into b/out --json --explain --timeout 60
    written=$(field cells_written)
    moved=$(field bytes_moved)
    [ "$3" = any ] || [ "${written:-0}" -gt 0 ] || failed "$nodes nodes: not where it lies: $1: $2"
    same "$1" "$2"
    [ "${4:-}" = degraded ] || code 0 object verify b/out --timeout 60
}
# all [degraded]
all() {
    one i64 'i64 | scan sum' lies "${1:-}"
    one i64 'i64 | scan exclusive min' lies "${1:-}"
    one i64 'i64 | scan exclusive count' lies "${1:-}"
    one u64 'u64 | scan max' lies "${1:-}"
    one u64 'u64 | scan exclusive or' lies "${1:-}"
    one f64 'f64 | scan sum' lies "${1:-}"
    one f64 'f64 | scan exclusive max' lies "${1:-}"
    one large 'i64 | scan exclusive sum' lies "${1:-}"
    one i64 'i64 | where $1 > 0 | scan sum' any "${1:-}"
    one u64 'u64 | scan sum from $1 % 1000 = 0' lies "${1:-}"
    one f64 'f64 | scan exclusive sum from $1 < -900' lies "${1:-}"
    one i64 'i64 | scan min from $1 % 70001 = 5' lies "${1:-}"
}
# moves NAME PROGRAM SHARE: at most so many hundredths of the bytes, and states
moves() {
    local size
    size=$(stat -c %s "$work/$1")
    one "$1" "$2" lies
    checks=$((checks + 1))
    [ "${moved:-0}" -gt 0 ] && [ "$moved" -le $((size * $3 / 100 + size / 50 + 4096)) ] ||
        failed "$nodes nodes: $moved bytes moved of $size: $2"
    echo "$nodes nodes: $moved bytes moved of $size: $1: $2"
}
# with NODES CODE SHARE KILLED...
with() {
    nodes=$1
    local code=$2 share=$3 name node
    shift 3
    dir=$work/cluster$nodes
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes "$nodes" --dir "$dir" --timeout 60) || die "local up"
    export HOLDFAST_ENDPOINTS
    "$holdfast" bucket create b --ec "$code" || die "bucket"
    for name in i64 u64 f64 large over small; do
        "$holdfast" object put "b/$name" "$work/$name" --timeout 60 >/dev/null || die "put $name"
    done
    all
    moves large 'i64 | scan sum' "$share"
    moves f64 'f64 | scan sum' "$share"
    code 1 run b/over 'i64 | scan sum' --into b/out --timeout 60
    one small 'i64 | scan sum' any
    # over itself
    code 0 run b/u64 'u64 | scan sum' --into b/u64 --timeout 60
    "$holdfast" run --local 'u64 | scan sum' <"$work/u64" >"$work/u64.sums"
    code 0 object get b/u64 "$work/back" --timeout 60
    cmp -s "$work/u64.sums" "$work/back" || failed "$nodes nodes: over itself"
    mv "$work/u64.sums" "$work/u64.now"
    code 0 object put b/u64 "$work/u64" --timeout 60
    # another code: the other way
    if [ "$nodes" -gt 1 ]; then
        "$holdfast" bucket create c --ec 1+1 || die "bucket c"
        code 0 run b/u64 'u64 | scan sum' --into c/out --json --explain --timeout 60
        [ -z "$(field cells_written)" ] || failed "into another code"
        code 0 object get c/out "$work/back" --timeout 60
        cmp -s "$work/u64.now" "$work/back" || failed "into another code: bytes"
    fi
    for node in "$@"; do
        "$holdfast" local kill "$node" --dir "$dir" || die "kill"
        all degraded
    done
    "$holdfast" local down --dir "$dir" >/dev/null || die "down"
}
# a node is killed while cells are written
meanwhile() {
    local pid
    nodes=6
    dir=$work/cluster-meanwhile
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 6 --dir "$dir" --timeout 60) || die "local up"
    export HOLDFAST_ENDPOINTS
    "$holdfast" bucket create b --ec 4+2 || die "bucket"
    "$holdfast" object put b/large "$work/large" --timeout 60 >/dev/null || die "put"
    "$holdfast" run b/large 'i64 | scan sum' --into b/out --timeout 60 >"$work/out" 2>"$work/err" &
    pid=$!
    "$holdfast" local kill 4 --dir "$dir" || die "kill"
    checks=$((checks + 1))
    wait "$pid" || failed "a node was killed meanwhile"
    same large 'i64 | scan sum'
    "$holdfast" local down --dir "$dir" >/dev/null || die "down"
}

with 1 1+0 0
with 3 2+1 100
with 6 4+2 125 3 5
meanwhile
ended
