#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Nodes without a plug-in for GPUs, with a path that is none, with the real one (which may find no
# driver), and with one over an emulated device that works or fails: the same roots, the same bytes
# with nodes killed, one line in each log, and counters that say where the coding was done.
#   test_gpu.sh HOLDFAST HOLDFASTD EMULATED_PLUGIN [PLUGIN]
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
emulated=$3
plugin=${4-}
names="small odd large"
head -c 70000 /dev/urandom >"$work/small"
head -c 1234567 /dev/urandom >"$work/odd"
head -c 9500001 /dev/urandom >"$work/large"

# sum_of FIELD: of the devices of all nodes that answer
sum_of() {
    "$holdfast" status --json | grep -oE '"gpu":\{[^}]*\}' | grep -oE "\"$1\":[0-9]+" | cut -d: -f2 |
        awk '{ n += $1 } END { print n + 0 }'
}
# lines PATTERN: in the logs of all nodes
lines() { cat "$dir"/node*/log | grep -cE "$1"; }
# first_lines PATTERN: of the first lines about devices, one in each log
first_lines() {
    local log
    for log in "$dir"/node*/log; do
        grep -m 1 'event=gpu_' "$log"
    done | grep -cE "$1"
}
all_said() { [ "$(lines 'event=gpu_(used|not_used)')" = 5 ]; }
state_of() { "$holdfast" status --json | grep -cE "\"gpu\":\{\"state\":\"$1\""; }
roots() {
    local name
    for name in $names; do
        "$holdfast" object stat "b/$name" --json | grep -oE '"root":"[^"]+"'
    done
}
equal() {
    local name
    for name in $names; do
        checks=$((checks + 1))
        "$holdfast" object get "b/$name" --timeout 60 2>"$work/err" | cmp -s - "$work/$name" || failed "$1: b/$name differs"
    done
}
# cluster NAME SETTINGS...: puts, kills two nodes, reads; leaves three of five running
cluster() {
    local name=$1 object
    shift
    dir=$work/$name
    HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 5 --dir "$dir" --timeout 60 "$@") || die "local up of $name"
    export HOLDFAST_ENDPOINTS
    "$holdfast" bucket create b --ec 3+2 || die "bucket"
    await "$name: every node has said whether it uses a device" all_said
    for object in $names; do
        code 0 object put "b/$object" "$work/$object"
    done
    roots >"$work/$name.roots"
    [ "$(wc -l <"$work/$name.roots")" = 3 ] || die "$name: no roots"
    cmp -s "$work/$name.roots" "$work/none.roots" || failed "$name: other roots than without a plug-in"
    puts=$(sum_of jobs)
    code 0 local kill 1 --dir "$dir"
    code 0 local kill 2 --dir "$dir"
    equal "$name"
    gets=$(sum_of jobs)
    [ "$(lines 'coding_wrong')" = 0 ] || failed "$name: wrong codings"
}
down() { code 0 local down --dir "$dir"; }
# quiet NAME TEXT: one line about devices in each log, with this text, and nothing was done there
quiet() {
    checks=$((checks + 3))
    [ "$(lines 'event=gpu_')" = 5 ] || failed "$1: $(lines 'event=gpu_') lines"
    [ "$(lines "event=gpu_not_used cause=\"$2")" = 5 ] || failed "$1: not the line '$2'"
    [ "$gets" = 0 ] || failed "$1: $gets jobs on a device that is not there"
    [ "$(state_of none)" -gt 0 ] || failed "$1: status does not say that there is none"
    down
}

cluster none --set gpu.use=always
quiet none "no plug-in 'holdfast-gpu.so' in '"

echo "this is no shared object" >"$work/text.so"
cluster text --set gpu.use=always --set "gpu.plugin=$work/text.so"
quiet text "cannot load the plug-in: $work/text.so"

if [ -n "$plugin" ]; then
    cluster real --set "gpu.plugin=$plugin"
    checks=$((checks + 1))
    [ "$(lines 'event=gpu_')" = 5 ] || failed "real: $(lines 'event=gpu_') lines"
    down
fi

# puts and degraded reads there, after the one line
cluster emulated --set gpu.use=always --set "gpu.plugin=$emulated"
checks=$((checks + 4))
[ "$(lines 'event=gpu_used device="Emulated 1"')" = 5 ] || failed "emulated: not used"
[ "$puts" -gt 0 ] || failed "emulated: nothing was encoded there"
[ "$gets" -gt 0 ] || failed "emulated: nothing was decoded there"
[ "$(sum_of wrong)" = 0 ] || failed "emulated: wrong bits"
"$holdfast" status >"$work/out"
has 'gpu: Emulated 1 codes jobs from '
echo "ok: $puts jobs of puts on devices, $gets on the three nodes that are left, after reads"
# repair there: what a node lost is made again on it
code 0 local start 1 --dir "$dir"
code 0 local start 2 --dir "$dir"
rebuilt() { "$holdfast" object verify b/large >/dev/null 2>&1; }
await "emulated: every shard is whole" rebuilt
down

# measured to be slower; by far, so that it is even if something else has the processor
EMULATED_SLOW_MS=20
export EMULATED_SLOW_MS
cluster slower --set "gpu.plugin=$emulated"
unset EMULATED_SLOW_MS
checks=$((checks + 3))
[ "$(lines 'event=gpu_not_used device="Emulated 1" cause="measured in ')" = 5 ] || failed "slower: not the line"
[ "$(lines 'event=gpu_')" = 5 ] || failed "slower: $(lines 'event=gpu_') lines"
[ "$gets" = 0 ] || failed "slower: $gets jobs"
down

# fails at one of its first jobs, once its opening is over
EMULATED_FAIL_AT=100
export EMULATED_FAIL_AT
cluster fails --set gpu.use=always --set "gpu.plugin=$emulated"
unset EMULATED_FAIL_AT
checks=$((checks + 2))
[ "$(first_lines 'event=gpu_used')" = 5 ] || failed "fails: not only behind the opening"
[ "$(lines 'event=gpu_suspect cause="[^"]*719, emulated" errors=1 wait_ms=1000')" -gt 0 ] || failed "fails: no device failed"
back() {
    "$holdfast" object put b/more "$work/odd" >/dev/null 2>&1
    [ "$(lines 'event=gpu_healthy')" -gt 0 ]
}
code 0 local start 1 --dir "$dir"
code 0 local start 2 --dir "$dir"
await "fails: a device is used again" back
equal fails
down
ended
