#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# The contract of the holdfast command, line by line, against five real daemons.
#   test_command.sh HOLDFAST HOLDFASTD
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
# says TEXT: the last output is exactly this
says() {
    checks=$((checks + 1))
    [ "$(cat "$work/out"; echo .)" = "$1." ] || failed "the output is not '$1'"
}
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || failed "$1 and $2 differ"
}

# --- no cluster yet
code 2
code 2 kv
code 2 kv nonsense
code 2 kv get
code 2 kv get a b
code 2 kv get a --bogus
code 2 kv get a --timeout soon
code 2 kv get a --endpoints nowhere
code 2 bucket create b
code 2 object get noslash
code 0 --version
has '^holdfast [0-9]'
code 0 help
has 'kv put KEY'
code 0 help local
has 'local kill I'
code 0 kv --help
code 69 kv get a --endpoints 127.0.0.1:1 --timeout 1

# --- local up: only into a missing or empty directory
mkdir "$work/full"
touch "$work/full/mine"
code 1 local up --nodes 1 --dir "$work/full"
[ "$(ls "$work/full")" = mine ] || failed "a foreign directory was touched"
code 1 local status --dir "$work/full"
code 2 local up --dir "$dir"
rmdir "$dir" 2>/dev/null

run local up --nodes 5 --dir "$dir" --timeout 60 || failed "local up"
HOLDFAST_ENDPOINTS=$(cat "$work/out")
export HOLDFAST_ENDPOINTS
has '^127\.0\.0\.1:[0-9]+(,127\.0\.0\.1:[0-9]+){4}$'
code 0 local status --json --dir "$dir"
has '^\{"node":1,"endpoint":"127\.0\.0\.1:[0-9]+","pid":[0-9]+,"state":"running","data":"/'
[ "$(wc -l <"$work/out")" = 5 ] || failed "five nodes are five lines"
base=$(sed -nE 's/^base_port //p' "$dir/holdfast-local")
code 1 local up --nodes 1 --dir "$work/busy" --base-port "$base"
code 0 status
has '^5 of 5 nodes are up'
has '^Group 0 .*led by node'
code 0 status --json
checks=$((checks + 1)) # started without a standard output
"$holdfast" status 2>"$work/err" >&-
[ $? = 4 ] && grep -q 'cannot write to stdout' "$work/err" || failed "no output to write to: no exit 4"
has '"group":0,"leader":[1-5]'

# --- members
code 2 member
code 2 member key
code 2 member key use
code 2 member key use x
tries=0
until run member list && [ "$(grep -cE '^[1-5] +alive +member ' "$work/out")" = 5 ]; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { failed "five members are not alive"; break; }
    sleep 0.2
done
has '^node +state +roster +doubt +since +round trip +health +zone +address +epoch$'
code 0 member list --json
has '^\{"id":1,"state":"alive","confidence":[0-9]+,"since_us":[0-9]+,"rtt_us":[0-9]+,"health":0,"zone":[0-9]+,"epoch":1,"incarnation":[0-9]+,"address":"127\.0\.0\.1:[0-9]+","out":false,"connected":true,"unwell":\[\]\}$'
[ "$(wc -l <"$work/out")" = 5 ] || failed "five members are five lines"
code 0 member key ls
has '^key 1 is used, '
code 0 member key install
says 'key 2, keyring revision 2
'
code 1 member key retire 1
code 0 member key use 2
code 0 member key retire 1
code 1 member key use 1
code 0 member key ls --json
has '^\{"key":2,"state":"used","nodes":[1-5]\}$'

# --- kv
code 1 kv get absent
says ''
code 0 kv put key 'a value'
says ''
code 0 kv get key
says 'a value'
code 0 kv put key 'b' --json
has '^\{"key":"key","revision":[0-9]+,"consistency":"linearizable"\}$'
code 0 kv get key --json
has '^\{"key":"key","value":"b","revision":[0-9]+,"create_revision":[0-9]+,"version":2,"consistency":"linearizable"\}$'
code 1 kv get absent --json
has '^\{"key":"absent","value":null,"consistency":"linearizable"\}$'
code 0 kv get key --stale
code 0 kv get key --stale --json
has '"consistency":"stale"\}$'
code 1 kv get key --space other
printf 'nul \0 tab \t end' >"$work/bytes"
"$holdfast" kv put bytes - <"$work/bytes" || failed "put from stdin"
code 0 kv get bytes
same "$work/out" "$work/bytes"
code 0 kv put empty ''
code 0 kv get empty
says ''
code 0 kv cas lock --absent me
code 1 kv cas lock --absent you
code 1 kv cas lock you they
code 0 kv cas lock me they
code 0 kv get lock
says they
code 0 kv incr n
says "1
"
code 0 kv incr n 41 --json
has '^\{"key":"n","value":42,"revision":[0-9]+,"consistency":"linearizable"\}$'
code 0 kv incr n -50
says "-8
"
code 1 kv incr lock
code 1 kv incr n -9223372036854775808
code 2 kv incr n 9223372036854775808
code 2 kv incr n lots
code 0 kv del lock
code 1 kv del lock
code 1 kv get "$(printf 'k%.0s' {1..1025})"
code 0 kv put "$(printf 'k%.0s' {1..1024})" long
code 0 kv del "$(printf 'k%.0s' {1..1024})"
head -c 1048577 /dev/zero >"$work/large"
"$holdfast" kv put large <"$work/large" 2>/dev/null && failed "a value over 1 MiB was taken"
head -c 1048576 /dev/zero | "$holdfast" kv put large - || failed "a value of 1 MiB was refused"
code 0 kv del large
printf 's/tab\\tkey\tline\\nback\\\\ \\xff\ns/two\tplain\n' >"$work/load"
code 0 kv load "$work/load"
code 0 kv scan --prefix s/
same "$work/out" "$work/load"
code 0 kv scan --prefix s/ --limit 1
[ "$(wc -l <"$work/out")" = 1 ] || failed "--limit 1 is one line"
code 0 kv scan --prefix s/ --json
has '^\{"key":"s/tab\\tkey","value":\{"base64":"bGluZQpiYWNrXCD/"\},"revision":[0-9]+\}$'
has '^\{"count":2,"revision":[0-9]+,"consistency":"linearizable"\}$'
code 1 kv load "$work/absent"
for i in $(seq 2500); do printf 'many/%05d\t%s\n' "$i" "$i"; done >"$work/many"
code 0 kv load "$work/many"
code 0 kv scan --prefix many/
same "$work/out" "$work/many"
# a line without an end is refused before it fills the memory
(ulimit -v 262144 && head -c 300M /dev/zero | "$holdfast" kv load - >/dev/null 2>"$work/err") &&
    failed "a line of 300 MiB was taken"
grep -q '^holdfast: .*line 1: ' "$work/err" || failed "a line of 300 MiB: $(cat "$work/err")"

# --- watch: streams, from a revision on
revision=$("$holdfast" kv put w/1 one --json | sed -nE 's/.*"revision":([0-9]+).*/\1/p')
code 0 kv put other 1
code 0 kv del w/1
code 0 kv put w/2 two
"$holdfast" kv watch --prefix w/ --from "$revision" --limit 3 >"$work/out" 2>"$work/err"
says "put	w/1	one
delete	w/1
put	w/2	two
"

# --- buckets
code 0 bucket create b --ec 3+2
code 1 bucket create b --ec 3+2
code 1 bucket create zero --ec 0+1
code 1 bucket create wide --ec 31+2
code 1 bucket create many --ec 8+1
code 2 bucket create odd --ec 3
code 0 bucket ls
has '^b	3\+2	survives the loss of 2 nodes$'
code 0 bucket ls --json
has '^\{"name":"b","k":3,"m":2,"survives":2\}$'
code 0 bucket create gone --ec 1+1
code 0 bucket rm gone
code 1 bucket rm gone

# --- objects
head -c 5000000 /dev/urandom >"$work/file"
code 0 object put b/dir/file "$work/file"
code 1 bucket rm b
code 0 object get b/dir/file
same "$work/out" "$work/file"
code 0 object get b/dir/file "$work/back"
same "$work/back" "$work/file"
code 0 object stat b/dir/file --json
has '^\{"object":"b/dir/file","size":5000000,.*"root":"[0-9a-f]{64}","k":3,"m":2'
code 0 object ls b
says "dir/file	5000000
"
"$holdfast" object put b/stream - <"$work/file" >/dev/null || failed "put from stdin"
code 0 object get b/stream
same "$work/out" "$work/file"
code 0 object put b/empty /dev/null
code 0 object get b/empty
says ''
printf small >"$work/small"
code 0 object put b/small "$work/small"
code 0 object get b/small --range 1-3
says mal
for range in 0-0 65535-65536 4999999-4999999 1234567-3456789; do
    code 0 object get b/dir/file --range $range
    tail -c +$((${range%-*} + 1)) "$work/file" | head -c $((${range#*-} - ${range%-*} + 1)) >"$work/part"
    same "$work/out" "$work/part"
done
code 1 object get b/dir/file --range 0-5000000
says ''
code 1 object get b/dir/file --range 5000000-5000000
code 1 object get b/dir/file --range 3-2
code 2 object get b/dir/file --range 3
code 1 object get b/absent "$work/never"
code 1 object get b/dir/file "$work/never" --range 0-9999999
[ -z "$(ls "$work" | grep never)" ] || failed "a failed get left something behind"
code 1 object stat b/absent
code 1 object put b/x "$work/absent"
code 1 object put absent/x "$work/small"
code 0 object verify b/dir/file
has ' cells read again, 0 missing, 0 damaged$'
code 0 object verify b/dir/file --json
has '^\{"object":"b/dir/file","checked":[1-9][0-9]*,"missing":0,"damaged":0\}$'
code 0 object rm b/small
code 1 object rm b/small
code 1 object get b/small

# --- two nodes die: one of them leads
code 0 status --json
leader=$(sed -nE 's/.*"group":0,"leader":([0-9]+).*/\1/p' "$work/out" | head -1)
other=$((leader % 5 + 1))
code 0 local kill "$leader" --dir "$dir"
code 0 local kill "$other" --dir "$dir"
code 1 local kill "$other" --dir "$dir"
code 1 local kill 6 --dir "$dir"
code 0 kv put failover done --timeout 60
code 0 kv get failover
says done
code 0 object get b/dir/file --timeout 60
same "$work/out" "$work/file"
code 0 local status --json --dir "$dir"
has "^\{\"node\":$leader,.*\"pid\":null,\"state\":\"down\""
code 0 local start "$leader" --dir "$dir" --timeout 60
code 0 local start "$other" --dir "$dir" --timeout 60
code 1 local start "$other" --dir "$dir"
tries=0
until run object verify b/dir/file; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { failed "shards were not repaired"; break; }
    sleep 0.2
done

# --- a pid file of a process that is another now is never used
code 0 local stop 1 --dir "$dir"
sleep 300 &
stranger=$!
echo "$stranger 1" >"$dir/node1/pid"
code 1 local kill 1 --dir "$dir"
kill -0 $stranger || failed "a stranger was killed"
kill $stranger
wait $stranger 2>/dev/null
code 0 local start 1 --dir "$dir" --timeout 60

# --- a paused node is stopped all the same
pid=$(sed -nE 's/^([0-9]+) .*/\1/p' "$dir/node2/pid")
kill -STOP "$pid"
until grep -q '^State:.*stopped' "/proc/$pid/status"; do sleep 0.01; done # it takes its time
code 0 local status --json --dir "$dir"
has '^\{"node":2,.*"state":"paused"'
code 0 local stop 2 --dir "$dir" --timeout 60

# --- down keeps the data, up starts the same cluster again
code 0 local down --dir "$dir"
code 69 kv get key --timeout 1
code 1 local up --nodes 4 --dir "$dir"
code 0 local up --dir "$dir" --timeout 60
says "$HOLDFAST_ENDPOINTS
"
code 0 kv get key
says b
code 0 object get b/dir/file
same "$work/out" "$work/file"

# --- more nodes than a group has members: who has no replica need not know the leader
code 0 local up --nodes 7 --dir "$work/seven" --timeout 60
code 0 kv put key c --endpoints "$(cut -d, -f1 "$work/out")"
code 0 local down --dir "$work/seven"

# --- init: identities for nodes that are started by hand
code 0 init --dir "$work/made" --node 127.0.0.1:1001:1002 --node 127.0.0.1:1003:1004 --json
has '^\{"cluster":"[0-9a-f]{32}","nodes":2,"groups":2\}$'
[ -s "$work/made/node2/identity" ] || failed "init made no identity"
[ "$(stat -c %a "$work/made/node2/identity")" = 600 ] || failed "others can read the keys"
cmp -s -i 40 -n 32 "$work/made/node1/identity" "$work/made/node2/identity" || failed "not the same gossip key"
cmp -s -i 72 -n 32 "$work/made/node1/identity" "$work/made/node2/identity" && failed "the same private key twice"
code 1 init --dir "$work/made" --node 127.0.0.1:1001:1002
code 2 init --dir "$work/made" --node 127.0.0.1

ended
