#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# A node of five dies and stays dead: once it is out of the cluster, its shards are made again on
# the other four, so that the loss of one more loses nothing. Both come back, and the copies that
# are then too many go.
#   test_repair.sh HOLDFAST HOLDFASTD
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
objects="two/a two/b two/c two/d three/a three/b three/c three/d"
die() {
    echo "not ok: $1"
    "$holdfast" status 2>&1 | sed 's/^/    /'
    for log in "$dir"/node*/log; do
        echo "    $log"
        grep -E 'member|repair|surplus|shard' "$log" | tail -20 | sed 's/^/    /'
    done
    exit 1
}
# every shard of every object is read again and found whole
whole() {
    local o
    for o in $objects; do
        "$holdfast" object verify "$o" >/dev/null 2>&1 || return 1
    done
}
# cells of shards on the nodes that answer
cells() {
    "$holdfast" status --json 2>/dev/null | grep -oE '"shard_cells":[0-9]+' | cut -d: -f2 | awk '{ n += $1 } END { print n + 0 }'
}
cells_are() { [ "$(cells)" = "$1" ]; }
read_all() {
    local o
    for o in $objects; do
        "$holdfast" object get "$o" --timeout 30 2>/dev/null | cmp -s - "$work/${o#*/}" || return 1
    done
}
# starts NODE: how often repair of the node's shards has begun, by the logs of all
starts() { cat "$dir"/node*/log | grep -c "event=repair_started node=$1\b"; }

HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 5 --dir "$dir" --timeout 60 \
    --set repair.delay=3s --set repair.audit_interval=200ms) || die "local up"
export HOLDFAST_ENDPOINTS
"$holdfast" bucket create two --ec 2+1 || die "bucket"
"$holdfast" bucket create three --ec 3+1 || die "bucket"
for name in a b c d; do
    head -c $((1000000 + RANDOM * 100)) /dev/urandom >"$work/$name"
    "$holdfast" object put "two/$name" "$work/$name" >/dev/null || die "put two/$name"
    "$holdfast" object put "three/$name" "$work/$name" >/dev/null || die "put three/$name"
done
await "every shard is there" whole
all=$(cells)
[ "$all" -gt 0 ] || die "no cells"
[ "$(starts 3)" = 0 ] || die "a repair began and nobody had died"

"$holdfast" local kill 3 --dir "$dir" || die "kill"
left=$(cells)
[ "$left" -lt "$all" ] || die "node 3 held nothing"
await "without node 3 every shard is whole again" whole
await "all cells are on four nodes" cells_are "$all"
[ "$(starts 3)" = 1 ] || die "repair began $(starts 3) times"

"$holdfast" local kill 5 --dir "$dir" || die "kill"
read_all || die "an object is lost with a second node"
echo "ok: everything is read without nodes 3 and 5"

"$holdfast" local start 5 --dir "$dir" || die "start"
"$holdfast" local start 3 --dir "$dir" || die "start"
await "every shard is there with both back" whole
await "no copy is left over" cells_are "$all"
await "every shard is still there" whole
read_all || die "an object is lost after the clean-up"
echo "ok: everything is read"
[ "$(starts 3)" = 1 ] || die "repair of node 3 began $(starts 3) times"
