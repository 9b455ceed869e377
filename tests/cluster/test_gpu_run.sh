#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# All operators over objects of one node, three and six that use an emulated device for all they can give
# what Python computes, and the bytes that the processor gives over standard input; what was put has
# the same root and is read as it was, with as many nodes killed as the code bears. `status` counts
# what was done there. So it is with devices that fail or have wrong results, which are found.
#   test_gpu_run.sh HOLDFAST HOLDFASTD EMULATED_PLUGIN PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
emulated=$3
python3=$4
names="f64 wide odd i64 text csv"

# doubles in cells of both sizes, some with sums that cancel, some not finite; whole numbers
"$python3" - "$work" <<'PYTHON' || die "content"
import math, random, struct, sys
from fractions import Fraction
work = sys.argv[1]
r = random.Random(11)
print("seed 11")
def keep(name, values):
    with open(work + "/" + name, "wb") as f:
        f.write(struct.pack("<%dd" % len(values), *values))
    if all(math.isfinite(v) for v in values):
        exact = sum((Fraction(v) for v in values), Fraction(0))
        assert float(exact) == math.fsum(values)
        with open(work + "/" + name + ".due", "w") as f:
            f.write("%s\n%s\n" % (float(exact).hex(), float(exact / len(values)).hex()))
keep("f64", [r.uniform(-1, 1) * 10 ** r.randrange(-9, 9) for _ in range(200_000)])
big = [r.uniform(-1e30, 1e30) for _ in range(600_000)]
keep("wide", big + [r.gauss(0, 1) for _ in range(1234)] + [-v for v in reversed(big)])
keep("odd", [math.inf if i == 77_777 else r.random() for i in range(150_000)])
with open(work + "/i64", "wb") as f:
    f.write(struct.pack("<300000q", *(r.randrange(-2**40, 2**40) for _ in range(300_000))))
words = ["".join(r.choice("abcde") for _ in range(r.randrange(1, 4))) for _ in range(150)]
with open(work + "/text", "w") as f:
    for _ in range(60_000):
        f.write("%s %s %d\n" % (r.choice(words), r.choice(words), r.randrange(-10**6, 10**6)))
with open(work + "/csv", "w", newline="") as f:  # with quotes and ends of lines in fields
    f.write("id,v,t\r\n")
    for i in range(30_000):
        t = r.choice(words)
        f.write("%d,%s,%s\r\n" % (i, "" if i % 50 == 0 else repr(r.uniform(-1e6, 1e6)),
                                  '"%s, ""%s""\n%s"' % (t, t, t) if i % 3 == 0 else t))
PYTHON

# sum_of FIELD: of the devices of all nodes that answer
sum_of() {
    "$holdfast" status --json | grep -oE '"gpu":\{[^}]*\}' | grep -oE "\"$1\":[0-9]+" | cut -d: -f2 |
        awk '{ n += $1 } END { print n + 0 }'
}
lines() { cat "$dir"/node*/log | grep -cE "$1"; }
all_said() { [ "$(lines 'event=gpu_used')" = "$nodes" ]; }
# one NAME PROGRAM: the same output as over the file, where no device is used
one() {
    checks=$((checks + 1))
    wanted "$1" "$2"
    "$holdfast" run "b/$1" "$2" --timeout 60 >"$work/out" 2>"$work/err" || failed "$what: no result: $1: $2"
    cmp -s "$want" "$work/out" || failed "$what: another result: $1: $2"
}
wanted() {
    want=$work/want-$1-${2//[^a-z0-9]/_}
    [ -f "$want" ] || "$holdfast" run --local "$2" <"$work/$1" >"$want" 2>"$work/err" || failed "no result here: $2"
}
# into NAME PROGRAM: the same as an object
into() {
    checks=$((checks + 2))
    wanted "$1" "$2"
    "$holdfast" run "b/$1" "$2" --into b/made --timeout 60 >/dev/null 2>"$work/err" || failed "$what: no object of: $1: $2"
    "$holdfast" object get b/made --timeout 60 2>"$work/err" | cmp -s - "$want" || failed "$what: another object of: $1: $2"
}
# python NAME PROGRAM LINE: Python's number
python() {
    one "$1" "$2"
    checks=$((checks + 1))
    "$python3" -c 'import sys; sys.exit(float(sys.argv[1]).hex() != sys.argv[2])' \
        "$(cat "$work/out")" "$(sed -n "$3p" "$work/$1.due")" || failed "$what: not as Python has it: $1: $2"
}
all() {
    local name
    for name in f64 wide; do
        python $name 'f64 | sum' 1
        python $name 'f64 | mean' 2
        one $name 'f64 | var'
    done
    one odd 'f64 | sum'
    one odd 'f64 | mean'
    one f64 'f64 | scan sum'
    one f64 'f64,f64 | sum $2'
    one f64 'f64 | quantile 0.5'
    for name in sum min max argmin argmax mean var 'scan sum' 'scan min'; do
        one i64 "i64 | $name"
    done
    one i64 'u64 | mean'
    one i64 'u64 | argmax'
    one i64 'u64 | scan or'
    one i64 'i64 | sort $1 down'
    for name in min max argmin argmax; do
        one f64 "f64 | $name"
        one odd "f64 | $name"
    done
    one i64 'i32,u32 | where $2 % 3 = 0 | sum $1, mean $1'
}
# what no device is offered, and of a variance the squares
others() {
    local program
    for program in 'f64 | histogram 100 -10 10' 'f64 | log 4' 'f64 | top 5' 'f64 | varp' 'f64 | distinct' \
        'f64,f64 | dot $1, $2' 'f64 | sample 0.1 | count' 'f64 | scan max' 'f64 | scan exclusive min'; do
        one f64 "$program"
    done
    for program in 'i64 | scan exclusive sum' 'i64 | scan sum from $1 % 97 = 0' 'i64 | scan count' 'i8 | sum' \
        'u16 | max' 'i64 | histogram 50 -1e12 1e12' 'i64 | by $1 % 10 count, sum $1'; do
        one i64 "$program"
    done
    for program in 'words | by $0 count' 'words | by $0 count | top 7' 'words | count, distinct $0' 'lines | count' \
        'lines | where $2 = "ab" | select $1, $3' 'lines | by $1 count, sum $3, min $3, max $3, argmin $3, argmax $3' \
        'lines | sort $2, $3 down' 'lines | scan sum $3 from $1 = "ab"' 'lines | select $2 scan exclusive count' \
        'lines | sample 0.2 $2 | by $2 estimate count, sum $3' 'lines | sample 0.3 | estimate count, sum $3, mean $3'; do
        one text "$program"
    done
    for program in 'csv header id, v, t | by $t count, sum $v, mean $v, var $v, varp $v, dot $v, $id | top 5' \
        'csv header | where $2 > 0 and $1 % 7 != 3 | select $3, $2 * 2' 'csv header | sort $2 down | select $1, $3' \
        'csv header | distinct $3, argmin $2, argmax $2'; do
        one csv "$program"
    done
}
# scans that are written by the nodes that hold their input
written() {
    into i64 'i64 | scan sum'
    into i64 'i64 | scan max'
}
equal() {
    local name
    for name in $names; do
        checks=$((checks + 1))
        "$holdfast" object get "b/$name" --timeout 60 2>"$work/err" | cmp -s - "$work/$name" || failed "$what: b/$name differs"
    done
}
# up WHAT NODES CODE [SETTINGS...]: with the objects
up() {
    what=$1
    nodes=$2
    local code=$3 name
    shift 3
    dir=$work/cluster-$what
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes "$nodes" --dir "$dir" --timeout 60 "$@") || die "local up"
    export HOLDFAST_ENDPOINTS
    "$holdfast" bucket create b --ec "$code" || die "bucket"
    if [ $# -gt 0 ]; then
        await "$what: every node uses its device" all_said
    fi
    for name in $names; do
        "$holdfast" object put "b/$name" "$work/$name" --timeout 60 >/dev/null || die "$what: put $name"
        "$holdfast" object stat "b/$name" --json | grep -oE '"root":"[^"]+"'
    done >"$work/$what.roots"
    checks=$((checks + 1))
    [ "$(wc -l <"$work/$what.roots")" = "$(wc -w <<<"$names")" ] || failed "$what: no roots"
    cmp -s "$work/$what.roots" "$work/none.roots" || [ "$what" = none ] || failed "$what: other roots than without a device"
}
down() { code 0 local down --dir "$dir"; }
# done_there KIND FIELD: some jobs of a kind were
done_there() {
    checks=$((checks + 1))
    [ "$(sum_of "$2")" -gt 0 ] || failed "$what: no $1 on a device"
}
# with NODES CODE KILLED...
with() {
    local code=$2 node hashed up=$1
    up "$1" "$1" "$code" --set gpu.use=always --set "gpu.plugin=$emulated"
    shift 2
    done_there "leaf hashes of puts" leaf_jobs
    hashed=$(sum_of leaf_jobs)
    equal
    checks=$((checks + 1))
    [ "$(sum_of leaf_jobs)" -gt "$hashed" ] || failed "$what: no leaf hashes of gets on a device"
    all
    others
    written
    done_there sums sum_jobs
    done_there reductions reduce_jobs
    done_there scans scan_jobs
    [ "$nodes" = 1 ] || done_there codes jobs
    "$python3" "$(dirname "$0")/../unit/compute/scan.py" "$holdfast" "$nodes" b 5 >"$work/out" 2>&1 ||
        failed "$what: not as Python has it"
    for node in "$@"; do
        code 0 local kill "$node" --dir "$dir"
        up=$((up - 1))
        all
        others
        equal
        [ "$up" -le "${code%+*}" ] || written # an object that fewer nodes hold is none
    done
    checks=$((checks + 2))
    [ "$(sum_of wrong)" = 0 ] || failed "$what: wrong results"
    [ "$(lines 'event=gpu_')" = "$nodes" ] || failed "$what: $(lines 'event=gpu_') lines of $nodes devices"
    echo "ok: $what nodes: $(sum_of jobs) codes, $(sum_of sum_jobs) sums, $(sum_of leaf_jobs) hashes, $(sum_of reduce_jobs) reductions, $(sum_of scan_jobs) scans"
    down
}

up none 3 2+1
all
written
checks=$((checks + 1))
[ "$(sum_of sum_jobs)$(sum_of leaf_jobs)$(sum_of reduce_jobs)$(sum_of scan_jobs)" = 0000 ] || failed "none: jobs on a device that is not there"
down
with 1 1+0
with 3 2+1 2
with 6 4+2 3 5

# again NAME=VALUE: new processes, in whose environment this is
again() {
    down
    HOLDFAST_ENDPOINTS=$(env "$1" "$holdfast" local up --nodes "$nodes" --dir "$dir" --timeout 60) || die "$what: local up"
    await "$what: every node uses its device again" all_said_again
}
all_said_again() { [ "$(lines 'event=gpu_used')" = $((2 * nodes)) ]; }
# errs LINE FIELD: devices that have just come to err are found, and change nothing
errs() {
    all
    written
    equal
    checks=$((checks + 3))
    [ "$(sum_of "$2")" -gt 0 ] || failed "$what: no job of $2"
    [ "$(lines "event=gpu_suspect cause=\"$1")" -gt 0 ] || failed "$what: not the line '$1'"
    [ "$(lines "event=gpu_suspect cause=\"$1")" -le "$nodes" ] || failed "$what: the line '$1' again"
    code 0 local kill 2 --dir "$dir"
    all
    equal
    down
}
# each process's three sums that look at an opening's bits are right, no others
up sums 3 2+1 --set gpu.use=always --set "gpu.plugin=$emulated"
again EMULATED_WRONG_SUMS=4
errs 'wrong sums"' wrong
# likewise
up reduces 3 2+1 --set gpu.use=always --set "gpu.plugin=$emulated"
again EMULATED_WRONG_REDUCES=4
errs 'wrong reductions"' wrong
up scans 3 2+1 --set gpu.use=always --set "gpu.plugin=$emulated"
again EMULATED_WRONG_SCANS=2
errs 'wrong scans"' wrong

# the same of two hashings and an encoding of puts: every one is committed with its root
export EMULATED_WRONG_LEAVES=3 EMULATED_WRONG_CODES=2
up puts 3 2+1 --set gpu.use=always --set "gpu.plugin=$emulated"
unset EMULATED_WRONG_LEAVES EMULATED_WRONG_CODES
errs 'wrong hashes"' wrong

up fails 3 2+1 --set gpu.use=always --set "gpu.plugin=$emulated"
again EMULATED_FAIL_AT=100
errs '[^"]*719, emulated" errors=1' failed
ended
