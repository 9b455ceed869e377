#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# `sort` over objects of one, three and six real daemons prints what Python's sorted() has: all well,
# with a node killed, and with as many as the code bears. With --into it becomes an object, or nothing
# does.
#   test_sort.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3
seed=${HOLDFAST_SEED:-1}

# sorts put|run WHAT: the objects of this cluster, and what comes of them
sorts() {
    checks=$((checks + 1))
    "$python3" "$(dirname "$0")/../unit/compute/sort.py" "$holdfast" "$seed" b 6 "$1" >"$work/out" 2>"$work/err" ||
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

# is NAME FILE WHAT: the object has these bytes
is() {
    checks=$((checks + 1))
    "$holdfast" object get "b/$1" "$work/got" --timeout 60 >/dev/null 2>"$work/err" || failed "$3: get b/$1"
    cmp -s "$2" "$work/got" || failed "$3: b/$1 is something else"
}
# into WHAT: results as objects, of memory and of more than it keeps; names that are there already
into() {
    local program='csv | where $3 > 0.1 | sort $2 down, $3' wide='csv | select $1, $4, $4, $4, $4' name
    code 0 run b/large "$program" --into b/sorted --timeout 60
    has "^b/sorted: $(stat -c %s "$work/want") bytes, root [0-9a-f]{64}$"
    is sorted "$work/want" "$1"
    "$holdfast" run --local "$wide" <"$work/large" >"$work/wide" || die "wide"
    code 0 run b/large "$wide" --into b/wide --json --spill "$work/spill" --timeout 60
    has "^\{\"object\":\"b/large\",\"into\":\{\"object\":\"b/wide\",\"size\":$(stat -c %s "$work/wide"),\"version\":[0-9]+,\"root\":\"[0-9a-f]{64}\"\},\"size\":"
    is wide "$work/wide" "$1"
    for name in one two; do # the object that it is made of
        code 0 run b/wide 'csv | where $1 > 10 | sort $1 down' --into b/wide --timeout 60
        "$holdfast" run --local 'csv | where $1 > 10 | sort $1 down' <"$work/wide" >"$work/wide.$name" || die "wide"
        is wide "$work/wide.$name" "$1, $name"
    done
    code 0 run b/large 'csv | where $1 < 0' --into b/nothing
    is nothing /dev/null "$1"
}
# refused: what fails leaves nothing under the name, and says why
refused() {
    code 1 run b/large 'csv | select 1 / ($1 - 150000)' --into b/absent --timeout 60
    grep -q "'large': record 150001: division by zero" "$work/err" || failed "no sentence on the record"
    code 1 run b/large 'csv | sort $1' --into b/absent --memory 1000
    grep -q "'large': what is to be sorted takes more than the limit of 1000 bytes" "$work/err" || failed "no sentence on the limit"
    code 1 run b/large 'csv | select $1, $4, $4, $4, $4' --into b/absent --spill "$work/none"
    grep -q "cannot keep what is beyond memory in '$work/none': No such file" "$work/err" || failed "no sentence on the directory"
    code 1 run b/large 'csv | count' --into none/absent
    grep -qF -- "--into: there is no bucket 'none'" "$work/err" || failed "no sentence on the bucket"
    code 1 run b/large 'csv | count' --into "b/$(printf '%01025d' 0)"
    grep -qF -- "--into: a name is longer than 1,024 bytes" "$work/err" || failed "no sentence on the long name"
    code 1 run "b/$(printf '%01025d' 0)" 'csv | count'
    grep -qF "run: a name is longer than 1,024 bytes" "$work/err" || failed "no sentence on the program's long name"
    code 2 run b/large 'csv | count' --into absent
    grep -q "an object is BUCKET/NAME, not 'absent'" "$work/err" || failed "no sentence on the name"
    code 2 run --local 'csv | count' --into b/absent
    grep -q -- "--into is of programs over objects" "$work/err" || failed "no sentence on --local"
    code 1 object stat b/absent
}
# killed: a command that is ended at any time has made all of the object or nothing
killed() {
    local i pid
    for i in 1 3 5 7; do
        "$holdfast" run b/large 'csv | where $3 > 0.1 | sort $2 down, $3' --into "b/killed$i" --timeout 60 >/dev/null 2>&1 &
        pid=$!
        sleep "0.$((i * 12 / 10))$((i * 12 % 10))"
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        checks=$((checks + 1))
        if run object stat "b/killed$i"; then
            is "killed$i" "$work/want" "killed"
        else
            grep -q "there is no such object" "$work/err" || failed "killed: another error"
        fi
    done
}

mkdir "$work/spill"
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
    into "$nodes nodes"
    refused
    killed
    for kill in "${kills[@]}"; do
        "$holdfast" local kill "$kill" --dir "$dir" || die "kill"
        sorts run "$nodes nodes, $kill killed"
        large "$nodes nodes, $kill killed"
        [ "$nodes $kill" != "6 3" ] || into "6 nodes, 3 killed"
    done
    checks=$((checks + 1))
    [ $nodes != 6 ] || [ "$(decoded)" -gt 0 ] || failed "two nodes are gone and no cell was decoded"
    checks=$((checks + 1))
    [ -z "$(ls "$work/spill")" ] || failed "files are left of --spill"
    "$holdfast" local down --dir "$dir" >/dev/null || die "down"
    echo "ok: $nodes nodes"
done

ended
