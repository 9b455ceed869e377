#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Programs over objects of five real daemons print what they print over the same bytes on standard
# input: all well, with a node killed, and with another one paused. So do those that look into tables,
# which are objects there.
#   test_run.sh HOLDFAST HOLDFASTD PYTHON3
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
python3=$3

# text, csv with quotes, arrays; nothing, less than a cell, cells of both sizes
"$python3" - "$work" <<'PYTHON' || die "content"
import random, struct, sys
work = sys.argv[1]
rng = random.Random(7)
words = ["holdfast", "raft", "gossip", "merkle", "cell", "stripe", "a", "of", "the"]
with open(work + "/text", "w") as f:
    while f.tell() < 3_000_000:
        f.write(" ".join(rng.choice(words) + str(rng.randrange(20)) for _ in range(rng.randrange(12))) + "\n")
with open(work + "/csv", "w", newline="") as f:
    f.write("id,name,value,state\r\n")
    i = 0
    while f.tell() < 9_500_000:
        i += 1
        f.write('%d,"name ""%d"", with\na comma",%s,%d\r\n' % (i, i % 1000, rng.choice(["1.25", "-7e3", "", "12"]), rng.choice([200, 404, 500, 503])))
with open(work + "/f64", "wb") as f:
    f.write(b"".join(struct.pack("<d", rng.uniform(-1e30, 1e30)) for _ in range(200_001)))
with open(work + "/i64", "wb") as f:
    f.write(b"".join(struct.pack("<q", rng.randrange(-2**63, 2**63)) for _ in range(150_000)))
open(work + "/empty", "wb").close()
open(work + "/small", "w").write("one line\nand 2 more\n3\n" * 5)
open(work + "/cell", "w").write("a line of a file that is smaller than a cell\n" * 800)
with open(work + "/wordtable", "w", newline="") as f:  # several cells
    for w in words:
        for n in range(20):
            f.write('%s%d,"%s, it is",%d,%s\r\n' % (w, n, w, n * 7 - 30, "x" * 900))
open(work + "/states", "w").write('code,name\n200,fine\n404,"not ""there"" "\n500,wrong\n')
open(work + "/twice", "w").write("a,1\nb,2\na,3\n")
open(work + "/lines", "w").write("\n" * 700_000)
PYTHON

HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 5 --dir "$dir" --timeout 60) || die "local up"
export HOLDFAST_ENDPOINTS
"$holdfast" bucket create b --ec 3+2 || die "bucket"
for name in text csv f64 i64 empty small cell lines; do
    "$holdfast" object put "b/$name" "$work/$name" >/dev/null || die "put $name"
done

# one NAME PROGRAM: the same output, sentence and exit code as over the file
one() {
    local name=$1 program=$2
    checks=$((checks + 1))
    "$holdfast" run --local "$program" <"$work/$name" >"$work/want" 2>"$work/want.err"
    local want=$?
    "$holdfast" run "b/$name" "$program" --timeout 60 >"$work/got" 2>"$work/got.err"
    local got=$?
    [ $want = $got ] || failed "exit $got, not $want: $name: $program: $(cat "$work/got.err")"
    cmp -s "$work/want" "$work/got" || failed "another result: $name: $program"
    [ "$(sed 's/^holdfast: //' "$work/want.err")" = "$(sed -E "s/^holdfast: ('$name': )?//" "$work/got.err")" ] ||
        failed "another sentence: $name: $program: $(cat "$work/want.err" "$work/got.err")"
}
all() {
    one text 'lines | count'
    one text 'words | by $0 count | top 10'
    one text 'lines | where $2 = "raft3" | select $1, $3, $0'
    one csv 'csv header | by $4 count, sum $3, mean $3'
    one csv 'csv | where $4 >= 500 | by $4 count | top 10'
    one csv 'csv header | distinct $2'
    one csv 'csv header | sample 0.1 $2 | by $4 count, sum $1'
    one csv 'csv header id, name, value | where $value > 0 | by $4 count, sum $value, max $id'
    one csv 'csv header id, name, value | where $4 = 404 | by $value argmin $id, argmax $id'
    one csv 'csv header id, name, value | sample 0.1 $name | by $4 estimate count, mean $value'
    one text 'words | sample 0.5 | estimate count'
    one text 'words | where $0 > "merkle" | by $0 argmax 1, argmin 1 | top 7'
    one f64 'f64 | sum'
    one f64 'f64 | quantile 0.99'
    one f64 'f64,x4 | var $1'
    one i64 'i64 | min'
    one i64 'i64 | sum'
    one i64 'i32,u32 | where $1 > 0 | count, max $2'
    one i64 'i64 | scan max'
    one i64 'i32,u32 | scan exclusive sum $1'
    one i64 'i32,u32 | where $1 > 0 | scan sum $2 from $2 % 1000 = 0'
    one f64 'f64 | scan sum'
    one csv 'csv header | select $1, $4 scan sum $3 from $4 = 500'
    one csv 'csv header | where $4 = 404 | scan count'
    one text 'words | select $0 scan count from $0 > "merkle"'
    one empty 'u64 | scan sum'
    one small 'words | select $0 scan count'
    one empty 'lines | count'
    one empty 'f64 | min'
    one small 'words | by $0 count'
    one cell 'lines | by $0 count'
    one csv 'csv header id, name, value | where $4 != 404 | sort $value down, $4 | select $id, $value, $4'
    one csv 'csv header | sort $1 / $3'
    one text 'words | sort $0 down'
    one i64 'i64 | sort $1'
}
# joined NAME PROGRAM: the same, with the tables t/words, t/states and "w", which is t/words
joined() {
    local name=$1 program=$2 given=() objects=()
    checks=$((checks + 1))
    case $program in *'"t/words"'*) given+=(--lookup "t/words=$work/wordtable") ;; esac
    case $program in *'"t/states"'*) given+=(--lookup "t/states=$work/states") ;; esac
    case $program in *'"w"'*) given+=(--lookup "w=$work/wordtable") objects+=(--lookup w=t/words) ;; esac
    "$holdfast" run --local "$program" "${given[@]}" <"$work/$name" >"$work/want" 2>"$work/err" ||
        failed "no result here: $program"
    "$holdfast" run "b/$name" "$program" "${objects[@]}" --timeout 60 >"$work/got" 2>"$work/err" ||
        failed "no result: $name: $program"
    cmp -s "$work/want" "$work/got" || failed "another result: $name: $program"
    [ -s "$work/got" ] || failed "no output: $name: $program"
}
# joined_all SEED
joined_all() {
    joined text 'words | lookup "t/words" $0 as w | by $w.2 count, sum $w.3'
    joined text 'words | lookup left "w" $0 as w | lookup "t/words" $w.1 as v | sample 0.5 $v.1 | by $w.2 count, argmax $v.3'
    joined csv 'csv header | lookup left "t/states" header $4 as s | by $s.2 count, argmin $1'
    joined csv 'csv header | lookup "t/states" header $4 as s | where $1 % 1000 = 0 | select $2, $s.2, $s.0'
    joined small 'lines | lookup left "t/words" $1 as w | count, distinct $w.2'
    checks=$((checks + 1))
    "$python3" "$(dirname "$0")/../unit/compute/lookup.py" "$holdfast" "$1" joins 12 >"$work/out" 2>&1 ||
        failed "not as Python has it: seed $1"
}
# many PATTERN FILES PROGRAM: over several objects as over these files in a row
many() {
    local pattern=$1 files=$2 program=$3
    checks=$((checks + 1))
    # shellcheck disable=SC2086
    (cd "$work" && cat $files) | "$holdfast" run --local "$program" >"$work/want" 2>&1
    "$holdfast" run "$pattern" "$program" --timeout 60 >"$work/got" 2>&1 ||
        failed "no result: $pattern: $program: $(cat "$work/got")"
    cmp -s "$work/want" "$work/got" || failed "another result: $pattern: $program"
}
many_all() {
    many 'm/x*' 'text small empty cell' 'lines | count'
    many 'm/x*' 'text small empty cell' 'words | by $0 count | top 10'
    many 'm/x*' 'text small empty cell' 'words | scan count from $0 = "raft3"'
    many 'm/*' 'text small empty cell lines' 'lines | where $0 != "" | by $1 count'
    many 'm/x2*' small 'lines'
    many 'b/f64*' f64 'f64 | sum'
}
# costs NAME PROGRAM FIELD [OPTION...]: a number of its JSON
costs() {
    "$holdfast" run "b/$1" "$2" --json --timeout 60 "${@:4}" | sed -nE "s/.*\"$3\":([0-9]+).*/\1/p"
}

"$holdfast" bucket create m --ec 3+2 || die "bucket"
for pair in x1=text x2=small x3=empty x4=cell y=lines; do
    "$holdfast" object put "m/${pair%=*}" "$work/${pair#*=}" >/dev/null || die "put $pair"
done
"$holdfast" bucket create pages --ec 3+2 || die "bucket"
echo record >"$work/record"
for i in $(seq 300); do
    "$holdfast" object put "pages/$i" "$work/record" >/dev/null || die "put pages/$i"
done

for bucket in t joins; do
    "$holdfast" bucket create $bucket --ec 3+2 || die "bucket"
done
for pair in words=wordtable states=states twice=twice; do
    "$holdfast" object put "t/${pair%=*}" "$work/${pair#*=}" >/dev/null || die "put $pair"
done

all
many_all
joined_all 1
code 1 run b/csv 'csv | lookup "t/none" $1 as t | count'
grep -q "'csv': table 't/none': object 'none': there is no such object" "$work/err" || failed "no sentence on an absent table"
code 1 run b/csv 'csv | lookup "t/twice" $1 as t | count'
grep -q "'csv': table 't/twice': record 3: key 'a' is in record 1 too" "$work/err" || failed "no sentence on a key that is there twice"
code 2 run b/csv 'csv | lookup "t" $1 as t | count' --lookup t=states
grep -q "a table is an object, BUCKET/NAME; files are for --local" "$work/err" || failed "no sentence on a file"
code 2 run b/csv 'csv | lookup "t" $1 as t | count'
code 2 run b/csv 'csv | count' --lookup t=t/states
code 0 run b/text 'words | lookup "t/words" $0 as w | count' --explain
size=$(stat -c %s "$work/wordtable")
grep -qx "table: 't/words' is t/words, $size bytes, 180 records" "$work/err" || failed "no line on the table"
"$holdfast" object put t/words "$work/small" >/dev/null || die "put t/words"
code 1 run b/text 'words | lookup "t/words" $0 as w | count'
"$holdfast" object put t/words "$work/wordtable" >/dev/null || die "put t/words"
run run 'pages/*' 'lines | count' --json
has '^\{"object":"pages/\*","result":"300\\n","size":2100,"cells":0,.*,"objects":300\}$'
code 1 run 'm/z*' 'lines | count'
grep -q "'z\*': there is no such object" "$work/err" || failed "no sentence on no objects: $(cat "$work/err")"
code 1 run 'm/x*' 'lines | sum $1'
grep -q "'x1': record 1: " "$work/err" || failed "the object is not named: $(cat "$work/err")"
code 1 run 'b/f64*' 'f64 | argmax'
grep -q "argmax says where in one object" "$work/err" || failed "no sentence on argmax: $(cat "$work/err")"
code 1 run 'm/x*' 'lines | count, argmin 1'
grep -q "argmin says where in one object" "$work/err" || failed "no sentence on argmin: $(cat "$work/err")"

one text 'lines | sum $1'                  # no number
one csv 'csv | sum $3'                     # the header is none
one csv 'csv header id, value | count'     # it is another
one small 'csv | where $1 / 0 > 1 | count' # by zero
one small 'f64 | sum'                      # a number is cut
one f64 'csv | count'                      # quotes
one text 'words | by $0 count | top 3 | count'
one lines "lines | select \"$(printf 'x%.0s' $(seq 60))\""
one text 'words | by $0, $0, $0 count, sum 1, mean 1'

checks=$((checks + 4))
moved=$(costs csv 'csv header | by $4 count, sum $3' bytes_moved --no-backups)
[ "${moved:-0}" -gt 0 ] && [ "$moved" -lt 20000 ] || failed "'$moved' bytes moved for 10 cells"
[ "$(costs csv 'csv header | count' bytes_read --no-backups)" = "$(stat -c %s "$work/csv")" ] || failed "not all bytes were read"
[ "$(costs csv 'csv header | count' cells_decoded --no-backups)" = 0 ] || failed "a cell was decoded and nobody had died"
"$holdfast" run b/small 'lines | count' --json | grep -qxF '{"object":"b/small","result":"15\n","size":110,"cells":0,"cells_decoded":0,"bytes_read":110,"bytes_moved":110,"objects":1}' ||
    failed "the line of JSON"
checks=$((checks + 6))
"$holdfast" run b/csv 'csv header|where $4>=500|by $4 count' --explain --no-backups >"$work/got" 2>"$work/err" || failed "no explanation"
"$holdfast" run b/csv 'csv header|where $4>=500|by $4 count' | cmp -s - "$work/got" || failed "explained, it gives another result"
head -3 "$work/err" | cmp -s - <(printf 'plan: csv header\nplan: where $4 >= 500\nplan: by $4 count\n') ||
    failed "another plan: $(cat "$work/err")"
size=$(stat -c %s "$work/csv")
[ "$(sed -nE 's/^placed: node [1-5] holds [0-9]+ cells, ([0-9]+) bytes$/\1/p' "$work/err" | awk '{ sum += $1 } END { print sum }')" = "$size" ] ||
    failed "the cells that are placed are not the object: $(cat "$work/err")"
grep -qx "read: $size bytes, $size of them by the nodes that hold them" "$work/err" || failed "what was read: $(cat "$work/err")"
"$holdfast" run b/f64 'f64 | sum' --explain --json --no-backups | grep -qE '"explain":\{"plan":\["f64","sum \$1"\],"pass":"[^"]+","kernel":"(plain|avx2|avx512)","nodes":\[\{"node":[1-5],"cells":[0-9]+,"bytes":[0-9]+\}.*\],"bytes_local":1600008,"backups":[0-9]+\}\}$' ||
    failed "no explanation as JSON"
checks=$((checks + 6))
"$holdfast" run b/absent 'lines | count' 2>"$work/err" && failed "an absent object"
grep -q "'absent': there is no such object" "$work/err" || failed "no sentence on an absent object"
"$holdfast" run b/text 'lines | cuont' 2>"$work/err"
[ $? = 2 ] || failed "a program that is none"
grep -q "column 9: 'cuont'" "$work/err" || failed "no sentence on a program that is none"
"$holdfast" run 'lines | count' 2>/dev/null
[ $? = 2 ] || failed "a program without an object"
"$holdfast" run b/text 'words | by $0 count' --memory 1000 2>"$work/err"
grep -q "groups take more than the limit of 1000 bytes" "$work/err" || failed "no sentence on groups beyond the limit"
code 1 run b/lines "lines | select \"$(printf 'x%.0s' $(seq 100))\"" --json --timeout 60
grep -qxF '{"error":"TOO_LARGE","code":-2003,"message":"'"'lines': the result has more than the 67108864 bytes of a line of JSON"'"}' "$work/err" ||
    failed "no sentence on a result that is no line of JSON: $(cat "$work/err")"

# groups beyond the memory go to a directory, and nothing stays there
mkdir "$work/spill"
spilled() {
    local name=$1 program=$2 memory=$3
    checks=$((checks + 1))
    "$holdfast" run --local "$program" <"$work/$name" >"$work/want" || failed "$name: $program"
    "$holdfast" run "b/$name" "$program" --memory "$memory" --spill "$work/spill" >"$work/got" 2>"$work/got.err" ||
        failed "with --spill: $name: $program: $(cat "$work/got.err")"
    cmp -s "$work/want" "$work/got" || failed "another result with --spill: $name: $program"
    [ -z "$(ls "$work/spill")" ] || failed "files are left of --spill: $name: $program"
}
spilled text 'words | by $0 count' 1000
spilled text 'lines | by $1, $2 count, distinct $0' 100000
spilled csv 'csv header | by $2, $4 count, sum $3, mean $3 | top 7' 20000
spilled csv 'csv header | by $1 var $3, distinct $2' 3000000
"$holdfast" run b/text 'words | by $0 count' --memory 1000 --spill "$work/absent" 2>"$work/err"
[ $? = 1 ] || failed "--spill without a directory"
grep -q "cannot keep what is beyond memory in '$work/absent': No such file or directory" "$work/err" ||
    failed "no sentence on --spill without a directory: $(cat "$work/err")"

"$holdfast" local kill 2 --dir "$dir" || die "kill"
all
many_all
joined_all 2
paused=$("$holdfast" local status --json --dir "$dir" | sed -nE 's/^\{"node":4,.*"pid":([0-9]+),.*/\1/p')
kill -STOP "$paused" || die "pause"
all
joined_all 3
checks=$((checks + 1))
decoded=0 # of several objects: of one, the two may hold no data
for name in text csv f64 i64; do
    decoded=$((decoded + $(costs $name 'lines | count' cells_decoded)))
done
[ $decoded -gt 0 ] || failed "two nodes are gone and no cell was decoded"
kill -CONT "$paused" || die "resume"
paused=

ended
