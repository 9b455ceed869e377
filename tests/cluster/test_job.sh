#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Jobs on six real daemons: a client that is killed in the midst of a program, again and again, is
# followed by one that computes the rest only and prints the bytes that --local prints; so do two at
# once, and clients with two nodes killed meanwhile. The moment is chosen by what was committed.
#   test_job.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3

"$python3" - "$work" <<'PYTHON' || die "content"
import array, random, sys
work = sys.argv[1]
rng = random.Random(11)
print("seed 11")
with open(work + "/f64", "wb") as f:
    array.array("d", (rng.uniform(-1, 1) * 10.0 ** rng.randrange(-20, 20) for _ in range(5_000_003))).tofile(f)
words = ["holdfast", "raft", "gossip", "merkle", "cell", "stripe", "a", "of", "the"]
with open(work + "/text", "w") as f:
    while f.tell() < 32_000_000:
        f.write("".join(" ".join(rng.choice(words) + str(rng.randrange(30)) for _ in range(rng.randrange(12))) + "\n" for _ in range(500)))
with open(work + "/csv", "w", newline="") as f:
    f.write("id,name,value,state\r\n")
    i = 0
    while f.tell() < 32_000_000:
        i += 1
        f.write('%d,"name ""%d"", with\na comma, %s",%s,%d\r\n' % (i, i % 1000, "\n" * rng.randrange(40), rng.choice(["1.25", "-7e3", "", "12"]), rng.choice([200, 404, 500, 503])))
PYTHON

HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 6 --dir "$dir" --timeout 60) || die "local up"
export HOLDFAST_ENDPOINTS
"$holdfast" bucket create b --ec 4+2 || die "bucket"
for name in f64 text csv; do
    "$holdfast" object put "b/$name" "$work/$name" --timeout 60 >/dev/null || die "put $name"
done

job=0  # the number of the last one
hits=0 # clients that were killed

# field NAME: a number of the last JSON of --explain
field() {
    sed -nE 's/.*"'"$1"'":([0-9]+).*/\1/p' "$work/json"
}
# begins NAME PROGRAM [OPTION]: a client of the job in the background; pid
begins() {
    "$holdfast" run "b/$1" "$2" --job "job$job" --timeout 60 "${@:3}" >"$work/part" 2>"$work/err" &
    pid=$!
}
# killed NAME PROGRAM COUNT [OPTION]: a client that is killed once it has changed so many keys: has committed
# them, or, if there were no more, has begun to remove them
killed() {
    local revision
    revision=$("$holdfast" kv put mark "" --json | sed -nE 's/.*"revision":([0-9]+).*/\1/p')
    begins "$1" "$2" "${@:4}"
    "$holdfast" kv watch --prefix "job$job/" --from $((revision + 1)) --limit "$3" >/dev/null || die "watch"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ $? = 137 ] && hits=$((hits + 1))
}
# is_done: whether the job's head says so, or is gone: what a client that was killed has sent is done yet
is_done() {
    [ "$("$holdfast" kv get "job$job" 2>/dev/null | od -An -tu1 -j5 -N1 2>/dev/null | tr -d ' ')" != 0 ]
}
# kept: how many keys the job has
kept() {
    "$holdfast" kv scan --prefix "job$job" | wc -l
}
# ends NAME PROGRAM: a client that goes on to the end, and what it printed; nothing is left of the job
ends() {
    checks=$((checks + 3))
    "$holdfast" run "b/$1" "$2" --job "job$job" --explain --json --timeout 60 >"$work/json" 2>"$work/err" ||
        failed "no result: $1: $2"
    "$python3" -c 'import base64, json, sys
r = json.load(open(sys.argv[1]))["result"]
sys.stdout.buffer.write(r.encode() if isinstance(r, str) else base64.b64decode(r["base64"]))' "$work/json" >"$work/got"
    cmp -s "$work/want" "$work/got" || failed "another result: $1: $2"
    [ "$(kept)" = 0 ] || failed "$(kept) keys are left: $1: $2"
}
# one NAME PROGRAM: killed three times, then to the end
one() {
    local before resumed
    job=$((job + 1))
    "$holdfast" run --local "$2" <"$work/$1" >"$work/want" || failed "--local: $2"
    killed "$1" "$2" 3
    killed "$1" "$2" 4
    killed "$1" "$2" 5
    before=$(kept)
    is_done && before=0
    ends "$1" "$2"
    resumed=$(field tasks_resumed)
    checks=$((checks + 1))
    [ "$before" = 0 ] || [ "${resumed:-0}" = $((before - 2)) ] || # but for the head and the record
        failed "$resumed of $before keys were used: $1: $2"
    echo "$1: $2: $before keys, $resumed cells found and $(field tasks_committed) computed"
}
all() {
    one f64 'f64 | sum'
    one text 'words | by $0 count'
    one text 'lines | where $1 = "raft7" | sort $2 down | select $2, $0'
    one csv 'csv header id, name, value | by $4 count, sum $value, argmax $id'
    one text 'words | where $0 = "raft3" | scan count'
    one csv 'csv header | where $1 % 1000 = 7 | select $1, $2, $4'
}
# both NAME PROGRAM: two clients at once
both() {
    local other
    job=$((job + 1))
    checks=$((checks + 2))
    "$holdfast" run --local "$2" <"$work/$1" >"$work/want" || failed "--local: $2"
    "$holdfast" run "b/$1" "$2" --job "job$job" --timeout 60 >"$work/other" 2>"$work/err" &
    other=$!
    begins "$1" "$2"
    wait "$other" || failed "one of two clients: $1: $2"
    wait "$pid" || failed "the other of two clients: $1: $2"
    cmp -s "$work/want" "$work/other" || failed "another result of two clients: $1: $2"
    cmp -s "$work/want" "$work/part" || failed "another result of two clients: $1: $2"
    rm -f "$work/other" "$work/part"
    code 1 run --job "job$job" --forget # nothing
    [ "$(kept)" = 0 ] || failed "$(kept) keys are left of two clients: $1: $2"
}

all
both f64 'f64 | sum'
both text 'words | by $0 count'

# the head of another program, of another object, and what is no job's
job=$((job + 1))
killed text 'words | by $0 count' 3
if [ "$(kept)" -gt 0 ]; then
    code 1 run b/text 'words | count' --job "job$job"
    grep -q "job key 'job$job': the job is of another program, 'words | by \$0 count'" "$work/err" ||
        failed "no sentence on another program"
    code 1 run b/csv 'words | by $0 count' --job "job$job"
    grep -q "the job is over 'b/text'" "$work/err" || failed "no sentence on another object"
    code 0 object put b/text "$work/text" --timeout 60
    code 1 run b/text 'words | by $0 count' --job "job$job"
    grep -qE "the job is over version [0-9]+, the object has [0-9]+ now" "$work/err" ||
        failed "no sentence on another version"
    code 0 run --job "job$job" --forget --json
    has "^\{\"job\":\"job$job\",\"forgotten\":true\}$"
fi
[ "$(kept)" = 0 ] || failed "keys are left of a job that was forgotten"
code 0 kv put own value
code 1 run b/text 'words | count' --job own
grep -q "job key 'own': its value is no job's" "$work/err" || failed "no sentence on a key of others"
code 1 run --job own --forget
code 2 run --forget
code 2 run --local 'words | count' --job own
code 0 run 'b/*' 'lines | count' --job many
code 0 run b/f64 'f64 | scan sum' --job own2 --into b/sums --timeout 60
"$holdfast" run --local 'f64 | scan sum' <"$work/f64" | cmp -s - <("$holdfast" object get b/sums --timeout 60) ||
    failed "a scan with a job, into an object"

# checked NAME PROGRAM: each cell by two nodes, with a job and without, and nobody is outvoted
checked() {
    checks=$((checks + 2))
    "$holdfast" run --local "$2" <"$work/$1" >"$work/want" || failed "--local: $2"
    "$holdfast" run "b/$1" "$2" --check --timeout 60 >"$work/got" 2>"$work/err" || failed "not checked: $1: $2"
    cmp -s "$work/want" "$work/got" || failed "another result with --check: $1: $2"
    [ -s "$work/err" ] && failed "somebody disagrees: $1: $2"
    job=$((job + 1))
    killed "$1" "$2 " 3 --check
    "$holdfast" run "b/$1" "$2 " --job "job$job" --check --timeout 60 >"$work/got" 2>"$work/err" ||
        failed "not checked, with a job: $1: $2"
    cmp -s "$work/want" "$work/got" || failed "another result with --check and a job: $1: $2"
}
checked f64 'f64 | sum'
checked csv 'csv header id, name, value | by $4 count, sum $value, argmax $id'
checked text 'lines | where $1 = "raft7" | sort $2 down | select $2, $0'
code 0 bucket create single --ec 1+0
code 0 object put single/f64 "$work/f64" --timeout 60
code 1 run single/f64 'f64 | sum' --check
grep -q "its bucket has no parity: nobody but a cell's holder can compute over it" "$work/err" ||
    failed "no sentence on a bucket without parity"
code 2 run --local 'f64 | sum' --check

# a table belongs to the job as well
printf 'raft1,one\nraft2,two\nof3,three\n' >"$work/table"
code 0 object put b/table "$work/table"
job=$((job + 1))
joins='words | lookup "b/table" $0 as t | by $t.2 count'
"$holdfast" run --local "$joins" --lookup "b/table=$work/table" <"$work/text" >"$work/want" || failed "--local: $joins"
killed text "$joins" 3
if ! is_done && [ "$(kept)" -gt 0 ]; then
    printf 'raft1,another\n' >"$work/other"
    code 0 object put b/table "$work/other"
    code 1 run b/text "$joins" --job "job$job"
    grep -qE "job key 'job$job': the job has version [0-9]+ of 'b/table' as its table 'b/table'" "$work/err" ||
        failed "no sentence on another table"
    code 0 run --job "job$job" --forget
    code 0 object put b/table "$work/table"
fi
ends text "$joins"

# two nodes are killed while a client is at work, and the client after that
job=$((job + 1))
"$holdfast" run --local 'words | by $0 count' <"$work/text" >"$work/want"
begins text 'words | by $0 count'
"$holdfast" local kill 2 --dir "$dir" || die "kill"
wait "$pid"
checks=$((checks + 1))
cmp -s "$work/want" "$work/part" || failed "a node was killed meanwhile"
killed text 'words | by $0 count' 4
"$holdfast" local kill 5 --dir "$dir" || die "kill"
ends text 'words | by $0 count'
one f64 'f64 | sum'
one csv 'csv header id, name, value | by $4 count, sum $value, argmax $id'
# of cells whose holder is there, only three others are: who checks reads the holder's
code 0 run b/f64 'f64 | sum' --check --timeout 60
"$holdfast" run --local 'f64 | sum' <"$work/f64" | cmp -s - "$work/out" || failed "checked with two nodes lost"

checks=$((checks + 1))
echo "$hits clients were killed"
[ "$hits" -ge 8 ] || failed "only $hits clients were killed in the midst"
ended
