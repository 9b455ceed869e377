#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Hostile programs against three real daemons, one after the other and many at once, while others put,
# get and count: each ends with its error, named, and within its time; nobody else notices; nodes keep
# to their memory and their leaders; afterwards programs give what they gave.
#   test_hostile.sh HOLDFAST HOLDFASTD PYTHON3 [sanitized]
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3
sanitized=${4:-}
hostile_py=$(dirname "$0")/hostile.py
trap 'stop_all; finish' EXIT

# A run gives up after RUN_TIMEOUT without progress. What is hostile has not much to do, so all of it,
# the way to the node, the error and the end, is to take less than three of these, whatever the
# machine.
RUN_TIMEOUT=10
[ -z "$sanitized" ] || RUN_TIMEOUT=40
RUN_LIMIT=$((3 * RUN_TIMEOUT))
# KiB that a node may take more than before. What programs have of it: 32 at once with 16 MiB and an
# answer of 1 MiB each, and 64 MiB of decoded cells (server/node/objects_internal.h). Beside them:
# 128 MiB for memtable, log and replies of all the others.
NODE_GROWTH_KIB=$(((32 * (16 + 1) + 64 + 128) * 1024))
TABLES_KIB=$((256 * 1024))
# ... and for the command, beside its --memory: states that wait for their turn, cells and buffers.
COMMAND_KIB=$((256 * 1024))

others=()
background=()
stop_all() {
    [ ${#others[@]} -eq 0 ] || kill "${others[@]}" 2>/dev/null
    [ ${#background[@]} -eq 0 ] || kill -KILL "${background[@]}" 2>/dev/null
    wait 2>/dev/null
}

# ---- what nodes say of themselves ------------------------------------------------------------------

pids() { "$holdfast" local status --json --dir "$dir" | sed -nE 's/.*"pid":([0-9]+).*/\1/p'; }
# kib PID FIELD: of /proc/PID/status
kib() { sed -nE "s/^$2:[[:space:]]+([0-9]+) kB/\1/p" "/proc/$1/status"; }
# terms: node, group, term and leader of all
terms() {
    "$holdfast" status --json | "$python3" -c '
import json, sys
for node in json.load(sys.stdin)["nodes"]:
    for group in node["detail"]["groups"]:
        print(node["node"], group["group"], group["term"], group["leader"])'
}
led() { terms 2>/dev/null | awk '$4 == 0 { none++ } END { exit NR < 6 || none > 0 }'; }
begin_memory() {
    local pid
    for pid in $(pids); do
        echo 5 >"/proc/$pid/clear_refs" || die "the peak of memory cannot be set back"
        before[pid]=$(kib "$pid" VmRSS)
    done
}
# within_memory KIB WHAT
within_memory() {
    local pid grown
    for pid in $(pids); do
        checks=$((checks + 1))
        grown=$(($(kib "$pid" VmHWM) - ${before[pid]:?}))
        echo "$2: a node grew by $grown of $1 KiB"
        [ -n "$sanitized" ] || [ $grown -le "$1" ] || failed "$2: a node grew by $grown KiB"
    done
}

# ---- the others ----------------------------------------------------------------------------------

# other WORDS...: one operation of the others, that must not fail
other() {
    local from=${EPOCHREALTIME/./} to mine=$work/$BASHPID
    "$holdfast" "$@" --timeout 10 >"$mine.out" 2>"$mine.err" || echo "exit $?: $*: $(cat "$mine.err")" >>"$work/harm"
    to=${EPOCHREALTIME/./}
    echo "$(((to - from) / 1000)) ms: $1 $2" >>"$work/took"
    cat "$mine.out"
    rm -f "$mine.out" "$mine.err"
}
# Each writes how often it has gone round, after each round. They end at the end of a round.
keys() {
    local i=0
    while [ ! -e "$work/enough" ]; do
        i=$((i + 1))
        other kv put "key-$((i % 50))" "value-$i" >/dev/null
        [ "$(other kv get "key-$((i % 50))")" = "value-$i" ] || echo "key-$((i % 50)) is not value-$i" >>"$work/harm"
        other kv incr total >/dev/null
        echo $i >"$work/rounds.keys"
    done
}
counts() {
    local i=0
    while [ ! -e "$work/enough" ]; do
        i=$((i + 1))
        other crdt counter add clicks 3 >/dev/null
        other object get b/cut >"$work/counts.cut"
        cmp -s "$work/cut" "$work/counts.cut" || echo "another object" >>"$work/harm"
        echo $i >"$work/rounds.counts"
    done
}
# went_on WHAT: they have gone round since they were asked last
went_on() {
    local who
    for who in keys counts; do
        local was=${seen[$who]:-0}
        await "$1: $who go on" further $who "$was"
        seen[$who]=$(cat "$work/rounds.$who")
    done
}
further() { [ "$(cat "$work/rounds.$1" 2>/dev/null || echo 0)" -gt $(($2 + 1)) ]; }
declare -A seen=()
declare -A before=()

# ---- hostile -------------------------------------------------------------------------------------

# ends ERROR EXIT PATTERN OBJECT PROGRAM WORDS...: with this error, which says so, in its time
ends() {
    local error=$1 exit=$2 pattern=$3 object=$4 program=$5 got out=$work/${BASHPID}
    shift 5
    timeout -k 1 $RUN_LIMIT "$holdfast" run "$object" "$program" --json --timeout $RUN_TIMEOUT "$@" >"$out.run" 2>"$out.run.err"
    got=$?
    if [ $got != "$exit" ] || [ -s "$out.run" ] || ! grep -qE "^\{\"error\":\"$error\",\"code\":-[0-9]+,\"message\":\"$pattern\"\}$" "$out.run.err"; then
        echo "$object: ${program:0:80}: exit $got: $(head -c 500 "$out.run.err")" >>"$work/wrong"
    fi
}
one() {
    checks=$((checks + 1))
    ends "$@"
}
times() { printf "%.0s$1" $(seq "$2"); }
deep="lines | where $(times '(' 100)1$(times ')' 100) = 1 | count"
often="csv | lookup \"b/row\" \$1 as t | where 1 = 1$(times " and \$t.0 = \$t.0" 250) | count"
minus="csv | sum $(times - 8000)\$1"
heavy="lines | where 0 = 1$(times %%3.5 255) | count"
flood="lines | select \"$(times x 8000)\""

# Programs that are none: said before any node is asked, with the place.
not_programs() {
    one TOO_LARGE 2 'column 79: the expression nests deeper than 64' b/nums "$deep"
    one TOO_LARGE 2 'column 75: the expression nests deeper than 64' b/nums "$minus"
    one TOO_LARGE 2 'the program is longer than 16384 bytes' b/nums "lines | where \$0 = \"$(times x 20000)\" | count"
    one TOO_LARGE 2 'column [0-9]+: expressions have more than 1024 numbers, fields and operators' b/nums "csv | sum 1$(times ' + 1' 3000)"
    one TOO_LARGE 2 'column [0-9]+: more than 64 conditions' b/nums "csv$(times ' | where 1 = 1' 1000) | count"
    one TOO_LARGE 2 'column [0-9]+: more than 64 expressions' b/nums "csv | by $(times "\$1, " 4000)1 count"
    one TOO_LARGE 2 'column [0-9]+: more than 8 tables' b/nums "csv$(for i in $(seq 400); do printf " | lookup \"b/row\" \$1 as t%d" "$i"; done) | count"
    one INVALID 2 "column 17: '4294967295' stands where a whole number from 1 to 65536 should" b/f64 'f64 | histogram 4294967295 0 1'
    one INVALID 2 "column 7: the bins of 'histogram' go from a number to a greater one" b/f64 'f64 | histogram 10 1 0'
    one INVALID 2 "column 11: '99999999999999999999' stands where a whole number from 0 to 8 should" b/f64 'f64 | log 99999999999999999999'
    one INVALID 2 'column 7: a quantile is from 0 to 1' b/f64 'f64 | quantile 1e308'
    one INVALID 2 'column 7: a quantile is from 0 to 1' b/f64 'f64 | quantile -1'
    one INVALID 2 "column 11: '4294967295' stands where a whole number from 1 to 1024 should" b/f64 'f64 | top 4294967295'
    one INVALID 2 "column 25: '0' stands where a whole number from 1 to 18446744073709551615 should" b/nums 'csv | by $1 count | top 0'
    one INVALID 2 "column 25: '99999999999999999999' stands where a whole number .*" b/nums 'csv | by $1 count | top 99999999999999999999'
    one INVALID 2 'column 14: a share of the records is above 0 and at most 1' b/nums 'csv | sample 2 | count'
    one INVALID 2 'column 14: a share of the records is above 0 and at most 1' b/nums 'csv | sample -1e308 | count'
    one INVALID 2 "column 14: 'nan' stands where a number should" b/nums 'csv | sample nan | count'
    one INVALID 2 "column 11: '.99999' is beyond the last field, .1024" b/nums 'csv | sum $99999'
    one TOO_LARGE 2 'column 1: a record is longer than 65536 bytes' b/f64 'x4294967295 | count'
    one TOO_LARGE 2 'column 8: a record is longer than 65536 bytes' b/f64 "$(times x65536, 2000)f64 | count"
    one INVALID 2 "column 1: the end is no source of records" b/nums ''
    one INVALID 2 "column 1: '.' is no source of records" b/nums "$(times '|' 16000)"
}
# What goes wrong where the cells lie: the object and the record are named.
faults() {
    one TOO_LARGE 1 "'groups': groups take more than the limit of 3000000 bytes" b/groups 'csv | by $1 count' --memory 3000000
    one TOO_LARGE 1 "'groups': groups take more than the limit of 268435456 bytes" b/groups "csv | by \$0, \$1 $(times "distinct \$0, " 63)var \$2"
    one TOO_LARGE 1 "'groups': groups take more than the limit of 8000000 bytes" b/groups 'lines | sample 1 | by $0 estimate count' --memory 8000000
    one TOO_LARGE 1 "'lines': the result has more than the 67108864 bytes of a line of JSON" b/lines "$flood"
    one INVALID 1 "'nums': record 5: division by zero by '/'" b/nums 'csv | sum $1 / ($2 - 5)'
    one INVALID 1 "'nums': record 199999: division by zero by '%'" b/nums 'csv | sum 1 % ($1 - 199999)'
    one OVERFLOW 1 "'nums': record 3: '\*' leaves the whole numbers of 64 bits" b/nums "csv | sum 9223372036854775807 * \$1"
    one OVERFLOW 1 "'most': record 1: '\*' leaves the whole numbers of 64 bits" b/most "i64 | max \$1 * \$1"
    one WRONG_TYPE 1 "'groups': record 1: .1 is no number: 'k0'" b/groups 'csv | sum $1'
    one TOO_LARGE 1 "'over': record 1001 is longer than 1048576 bytes" b/over 'lines | count'
    one TOO_LARGE 1 "'big': record 1 is longer than 1048576 bytes" b/big 'lines | count'
    one TOO_LARGE 1 "'big': record 1 is longer than 1048576 bytes" b/big 'words | by $0 count'
    one TOO_LARGE 1 "'big': record 1 is longer than 1048576 bytes" b/big 'csv | count'
    one TOO_LARGE 1 "'quote': record 2 is longer than 1048576 bytes" b/quote 'csv | count'
    one PROTOCOL 1 "'quotes': record 2: a quote is not closed" b/quotes 'csv | count'
    one RANGE 1 "'cut': the last record is cut" b/cut 'f64 | sum'
    one TOO_LARGE 1 "'nums': table 'b/big': it has more than 67108864 bytes" b/nums "csv | lookup \"b/big\" \$1 as t | count"
    one TOO_LARGE 1 "'nums': what the program does with one byte is more than a node allows" b/nums "$often"
    one EXISTS 1 "'nums': table 'b/twice': record 3: key 'a' is in record 1 too" b/nums "csv | lookup \"b/twice\" \$1 as t | count"
    one PROTOCOL 1 "'nums': table 'b/quotes': record 2: .*" b/nums "csv | lookup \"b/quotes\" \$1 as t | count"
}
all() {
    not_programs
    faults
    : >"$work/all.$BASHPID" # not cut short
}
# nothing_wrong WHAT
nothing_wrong() {
    checks=$((checks + 1))
    [ ! -s "$work/wrong" ] || {
        failed "$1"
        sed 's/^/    /' "$work/wrong"
        : >"$work/wrong"
    }
}
# usual: programs give what they give over the files
usual() {
    local pair
    for pair in 'nums=csv | by $2 count, sum $1' 'groups=csv | count, distinct $1, max $2' 'lines=lines | count' \
        'f64=f64 | sum' 'f64=f64 | quantile 0.5' 'most=i64 | sum' 'cut=u8 | histogram 4 0 256' 'big=u8 | max'; do
        checks=$((checks + 1))
        "$holdfast" run --local "${pair#*=}" <"$work/${pair%%=*}" >"$work/want" 2>"$work/err"
        "$holdfast" run "b/${pair%%=*}" "${pair#*=}" --timeout 30 >"$work/out" 2>"$work/err"
        cmp -s "$work/want" "$work/out" || failed "another result: $pair"
    done
}

"$python3" "$hostile_py" content "$work" || die "content"
HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 3 --dir "$dir" --timeout 60) || die "local up"
export HOLDFAST_ENDPOINTS
"$holdfast" bucket create b --ec 2+1 || die "bucket"
for name in nums groups lines over quote quotes f64 cut most big row twice; do
    "$holdfast" object put "b/$name" "$work/$name" --timeout 30 >/dev/null || die "put $name"
done
version=$("$holdfast" object stat b/nums --json | sed -nE 's/.*"version":([0-9]+).*/\1/p')
size=$(stat -c %s "$work/nums")
usual
await "all groups are led" led
terms >"$work/terms.before"
begin_memory
: >"$work/harm"
: >"$work/wrong"
keys &
others+=($!)
counts &
others+=($!)
went_on "at first"

# --- one after the other
all
nothing_wrong "one after the other"
went_on "programs one after the other"

# --- by who does not use the command, at every node
for endpoint in ${HOLDFAST_ENDPOINTS//,/ }; do
    checks=$((checks + 1))
    "$python3" "$hostile_py" ask "$endpoint" "$version" "$size" >"$work/out" 2>"$work/err" || failed "asked of $endpoint"
    checks=$((checks + 1))
    "$python3" "$hostile_py" flood "$endpoint" "$version" 200 >"$work/out" 2>"$work/err" || failed "a flood to $endpoint"
done
went_on "a flood of questions"

# --- all at once: programs that go on for long, one that prints for nobody, and all of the above
for _ in 1 2 3 4; do
    "$holdfast" run b/lines "$heavy" --timeout $RUN_TIMEOUT >/dev/null 2>&1 </dev/null &
    background+=($!)
done
mkfifo "$work/nobody"
exec 9<>"$work/nobody"
"$holdfast" run b/lines "$flood" --timeout $RUN_TIMEOUT >"$work/nobody" 2>/dev/null &
background+=($!)
blocked=$!
several=()
for _ in 1 2 3; do
    all &
    several+=($!)
done
for pid in "${several[@]}"; do
    wait "$pid"
    checks=$((checks + 1))
    [ -e "$work/all.$pid" ] || failed "one of several did not end as it should"
done
nothing_wrong "several at once"
went_on "programs at once"
checks=$((checks + 2))
kill -0 "$blocked" 2>/dev/null || failed "who prints for nobody has ended"
grown=$(kib "$blocked" VmHWM)
echo "who prints for nobody took ${grown:-?} KiB"
[ -n "$sanitized" ] || [ "${grown:-$COMMAND_KIB}" -lt $COMMAND_KIB ] || failed "who prints for nobody took '$grown' KiB"
# They are gone in the middle of it: nodes have their places again.
{
    kill -KILL "${background[@]}"
    wait "${background[@]}"
} 2>/dev/null
background=()
exec 9>&-
usual
went_on "after that"
within_memory $NODE_GROWTH_KIB "programs"

# --- a table with a long row, which every record finds, or none
"$holdfast" run --local 'lines | lookup "t" $0 as t | by $t.2 count' --lookup t="$work/row" <"$work/lines" >"$work/want"
checks=$((checks + 1))
timeout -k 1 $RUN_LIMIT "$holdfast" run b/lines 'lines | lookup "b/row" $0 as t | by $t.2 count' --timeout $RUN_TIMEOUT >"$work/out" 2>"$work/err"
cmp -s "$work/want" "$work/out" || failed "a table with a long row that is found"
checks=$((checks + 1))
[ "$(timeout -k 1 $RUN_LIMIT "$holdfast" run b/nums 'csv | lookup left "b/row" $1 as t | by $t.2 count' --timeout $RUN_TIMEOUT)" = ,200000 ] ||
    failed "a table with a long row that is not found"
went_on "a long row"
within_memory $((NODE_GROWTH_KIB + TABLES_KIB)) "programs and tables"

# --- and nobody has noticed
: >"$work/enough"
wait "${others[@]}"
others=()
checks=$((checks + 4))
rounds=$(cat "$work/rounds.keys")
[ "$("$holdfast" kv get total)" = "$rounds" ] || failed "the number that was counted up $rounds times is $("$holdfast" kv get total)"
counted() { [ "$("$holdfast" crdt counter get clicks)" = $((3 * $(cat "$work/rounds.counts"))) ]; }
await "all has been counted" counted
[ ! -s "$work/harm" ] || {
    failed "others were harmed"
    sed 's/^/    /' "$work/harm" | head -20
}
terms >"$work/terms.after"
cmp -s "$work/terms.before" "$work/terms.after" || failed "leaders changed: $(diff "$work/terms.before" "$work/terms.after")"
[ "$(pids | wc -l)" = 3 ] || failed "a node has ended"
echo "the others: $(wc -l <"$work/took") operations, the slowest $(sort -n "$work/took" | tail -1)"
usual

ended
