# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of real clusters share; each sources it with its arguments, HOLDFAST HOLDFASTD ...
# They wait on states, never on time; a bound only ends a test that hangs.
set -uo pipefail
holdfast=$1
export HOLDFASTD=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cluster.XXXXXX")
dir=$work/cluster
checks=0
bad=0
paused= # a process that is

finish() {
    local made
    [ -n "$paused" ] && kill -CONT "$paused" 2>/dev/null
    for made in "$work"/*/holdfast-local; do
        [ -f "$made" ] && "$holdfast" local down --dir "$(dirname "$made")" >/dev/null 2>&1
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# failed WHAT: the test goes on
failed() {
    bad=$((bad + 1))
    echo "not ok: $1"
    sed 's/^/    out: /' "$work/out" 2>/dev/null | head -5
    sed 's/^/    err: /' "$work/err" 2>/dev/null | head -5
}
# die WHAT: it does not
die() {
    echo "not ok: $1"
    exit 1
}
# run WORDS...: the command, its output kept
run() {
    "$holdfast" "$@" >"$work/out" 2>"$work/err" </dev/null
}
# code EXPECTED WORDS...: ends with this exit code
code() {
    local want=$1
    shift
    checks=$((checks + 1))
    run "$@"
    local got=$?
    [ $got = "$want" ] || failed "exit $got, not $want: holdfast $*"
    [ "$want" = 0 ] || [ "$want" = 1 ] || [ -s "$work/err" ] || failed "no sentence: holdfast $*"
}
# has PATTERN: the last output has a line like this
has() {
    checks=$((checks + 1))
    grep -qE -- "$1" "$work/out" || failed "the output has no '$1'"
}
# await WHAT COMMAND...: until the command succeeds
await() {
    local what=$1
    shift
    checks=$((checks + 1))
    for _ in $(seq 900); do
        if "$@"; then
            echo "ok: $what"
            return
        fi
        sleep 0.2
    done
    die "$what"
}
# ended: the last words of a test, and its exit code
ended() {
    echo "$checks checks, $bad failed"
    [ $bad = 0 ]
}
