#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Replicated data types by the holdfast command, against three real daemons: every verb, tokens from
# command to command, and the loss of nodes down to a last one that still takes writes.
#   test_crdt.sh HOLDFAST HOLDFASTD
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
# is TEXT: the last output is exactly this, but for a newline at its end
is() {
    checks=$((checks + 1))
    [ "$(cat "$work/out")" = "$1" ] || failed "the output is not '$1'"
}
# crdt EXPECTED WORDS...: holdfast crdt WORDS ends with this exit code
crdt() { code "$1" crdt "${@:2}"; }
# says PATTERN: the last command's stderr has a line like this
says() {
    checks=$((checks + 1))
    grep -qE -- "$1" "$work/err" || failed "it does not say '$1'"
}
# wrong PATTERN WORDS...: refused with this sentence, and nothing is printed
wrong() {
    local text=$1
    shift
    crdt 1 "$@"
    says "$text"
    is ''
}
# gives TEXT WORDS...: holdfast crdt WORDS prints this
gives() {
    local text=$1
    shift
    crdt 0 "$@"
    is "$text"
}
at() { echo "--endpoints=$(echo "$HOLDFAST_ENDPOINTS" | cut -d, -f"$1")"; }
# reads NODE TEXT WORDS...
reads() { [ "$("$holdfast" crdt "${@:3}" "$(at "$1")" 2>/dev/null)" = "$2" ]; }

HOLDFAST_ENDPOINTS=$("$holdfast" local up --nodes 3 --dir "$dir" --timeout 60) || die "local up"
export HOLDFAST_ENDPOINTS
first() { "$holdfast" crdt counter add ready >/dev/null 2>&1; }
await "a node takes writes" first

# Without a token nobody sees what another node has just written, so one node is asked.
all=$HOLDFAST_ENDPOINTS
HOLDFAST_ENDPOINTS=${all%%,*}

# --- every type and verb
crdt 0 counter add visits 5
crdt 0 counter add visits
crdt 0 counter add visits -2
gives 4 counter get visits
crdt 0 counter add ever 3 --grow-only
gives 3 counter get ever
crdt 1 counter add ever -1 --grow-only
gives 0 counter get nothing
crdt 0 register set colour red
gives red register get colour
crdt 0 register set colour blue
gives blue register get colour
crdt 1 register get nothing
crdt 0 mvreg set shape round
gives round mvreg get shape
crdt 0 set add tags a b c
crdt 0 set add tags b
gives $'a\nb\nc' set members tags
crdt 0 set has tags b
crdt 1 set has tags z
crdt 0 set remove tags b
crdt 1 set remove tags b
gives $'a\nc' set members tags
crdt 0 set add strict x --remove-wins
crdt 0 set remove strict x --remove-wins
gives '' set members strict
crdt 0 flag enable on
gives true flag get on
crdt 0 flag disable on
gives false flag get on
crdt 0 flag enable careful --disable-wins
gives true flag get careful
crdt 0 max add high 5
crdt 0 max add high 3
gives 5 max get high
crdt 0 min add low -5
crdt 0 min add low 3
gives -5 min get low
crdt 0 hll add users a b c a
gives 3 hll get users
crdt 0 map set card name Ann
crdt 0 map set card address.city Rome
crdt 0 map set card seen 2 --type counter
crdt 0 map set card tags x --type set
crdt 0 map set card ok true --type flag
gives Ann map get card name
gives Rome map get card address.city
gives 2 map get card seen
gives x map get card tags
crdt 0 map get card
has $'^name\tregister\tAnn$'
has $'^address\tmap\t$'
crdt 0 map remove card address
crdt 1 map remove card address
crdt 1 map get card address.city
crdt 0 bounded create stock 10
crdt 0 bounded create stock 10
crdt 1 bounded create stock 11
crdt 0 bounded add stock -10
gives 0 bounded get stock
crdt 75 bounded add stock -1
crdt 0 bounded add stock 2
gives 2 bounded get stock
wrong "'stock': node 9 is not of this cluster" bounded transfer stock 1 9

# --- what is refused, and how
crdt 1 counter add colour 1
crdt 1 counter add visits 9223372036854775807
gives 4 counter get visits
crdt 2 counter add visits much
crdt 2 list insert essay 0 word # scenario C38
says 'there is no list or text type'
crdt 2 table add-column people age # scenario C44: there is no schema to change
crdt 2 map set card a.b.c.d.e.f.g.h.i deep
long=$(printf 'x%.0s' {1..40000})
wrong "VALUE has 40000 bytes: at most 32768" register set colour "$long"
wrong "VALUE has 40000 bytes: at most 32768" map set card name "$long"
wrong "ELEMENT 2 is empty: 1 to 512 bytes" set add tags ok ""
wrong "ELEMENT 1 has 513 bytes: 1 to 512" set remove tags "${long:0:513}"
wrong "ELEMENT is empty: 1 to 512 bytes" set has tags ""
wrong "a field has 513 bytes: at most 512" map get card "${long:0:513}"
wrong "KEY is empty: 1 to 1024 bytes" counter get ""
wrong "KEY has 1025 bytes: 1 to 1024" counter add "${long:0:1025}"
wrong '"error":"INVALID".*"message":".*ELEMENT 1 is empty' set add tags "" --json
gives $'a\nc' set members tags

# --- what has another type is not read as if it were empty
wrong "'visits' has type counter \(pn\), not set" set members visits
wrong "'visits' has type counter \(pn\), not set" set has visits a
wrong "'tags' has type set \(add-wins\), not counter" counter get tags
wrong "'tags' has type set \(add-wins\), not set \(grow-only\)" set members tags --grow-only
wrong '"error":"WRONG_TYPE","code":-2018,"message":".*not register' register get high --json
wrong "'visits' has type counter \(pn\), not map" map get visits
wrong "'visits' has type counter \(pn\), not map" map get visits name
wrong "field 'name' of 'card' has type register \(lww\), not map" map get card name.first
wrong "field 'name' of 'card' has type register \(lww\), not counter" map get card name --type counter
crdt 2 map get card name --type couter
says "'couter' is no type of a field"
crdt 2 map get card name --type bounded
says "'bounded' is no type of a field"
crdt 2 map get card --type counter
says "--type is for a FIELD"
gives '' set members nowhere
crdt 1 map get card none.such
crdt 1 map get nowhere

# --- what --json shows
crdt 0 register get colour --json
has '"siblings":\[\{"value":"blue","node":[0-9]+,"epoch":[0-9]+,"counter":[0-9]+,"time_us":[0-9]+\}'
has '"clock":\[\{"node":[0-9]+,"epoch":[0-9]+,"from":1,"to":[0-9]+\}'
has '"consistency":"eventual"'
crdt 0 counter add visits 1 --copies 3 --json
has '"copies":3'
has '"changed":true'
has '"clock":\[\{"node":[0-9]+,"epoch":[0-9]+,"from":1,"to":[0-9]+\}.*\],"node":[123],"consistency":"eventual"\}$'
crdt 0 set members tags --json
has '^\{"element":"a"\}$'
page='"clock":\[\{"node":.*\],"node":[123],"time_us":[0-9]+,"consistency"'
has '^\{"key":"tags","count":2,'"$page"':"eventual"\}$'
crdt 0 set members nowhere --json
has '^\{"key":"nowhere","count":0,"clock":.*"consistency":"eventual"\}$'
crdt 0 set members tags --json --token "$work/listed"
has '^\{"key":"tags","count":2,'"$page"':"session","token":"[A-Za-z0-9_-]+"\}$'
crdt 0 set has tags a --json
has '"has":true,"clock":.*"consistency":"eventual"'
crdt 0 map get card --json
has '^\{"field":"name","type":"register","kind":"lww","value":"Ann","siblings":\[\{"value":"Ann","node":[123],.*\}\]\}$'
has '^\{"key":"card","count":[0-9]+,'"$page"':"eventual"\}$'

HOLDFAST_ENDPOINTS=$all

# --- a session that goes from node to node (scenarios C12, C39, C50)
token=$work/token
for i in 1 2 3 1 2 3; do
    crdt 0 register set turn "v$i" --token "$token" "$(at $i)"
    gives "v$i" register get turn --token "$token" "$(at $((i % 3 + 1)))"
done
crdt 0 register get turn --token "$token" --json
has '"consistency":"session"'
checks=$((checks + 1))
"$holdfast" kv put strong yes --token "$token" || failed "kv put with a token"
"$holdfast" kv get strong --stale --token "$token" --json "$(at 2)" >"$work/out"
has '"value":"yes".*"consistency":"session"'
gives v3 register get turn --token "$(cat "$token")" # as text
crdt 1 register get turn --token "$work/cluster/node1/log"

# --- a node dies; then only one is left: it still takes writes and answers
await "three copies" reads 3 5 counter get visits
"$holdfast" local kill 1 --dir "$dir" >/dev/null 2>&1
crdt 0 counter add visits 10 "$(at 2)"
gives 15 counter get visits "$(at 2)"
"$holdfast" local kill 2 --dir "$dir" >/dev/null 2>&1
await "the last node has it" reads 3 15 counter get visits
crdt 0 counter add visits 100 --json "$(at 3)"
has '"copies":1'
crdt 0 set add tags alone "$(at 3)"
crdt 0 flag enable on "$(at 3)"
crdt 0 set add two x "$(at 3)"
crdt 0 map set card both x --type set "$(at 3)"
crdt 0 set add kinds lasting --grow-only "$(at 3)"
gives 115 counter get visits "$(at 3)"
crdt 0 counter add visits 1 --token "$token" "$(at 3)"
"$holdfast" local kill 3 --dir "$dir" >/dev/null 2>&1
"$holdfast" local start 1 --dir "$dir" >/dev/null 2>&1
"$holdfast" local start 2 --dir "$dir" >/dev/null 2>&1
# what node 3 alone has is not denied and not made up: behind, until it is back
behind() {
    "$holdfast" crdt counter get visits --token "$token" --budget 0.2 --timeout 5 "$(at 1)" >"$work/out" 2>"$work/err"
    [ $? = 75 ]
}
await "a node without what the token names says so" behind
await "the others go on without it" reads 1 15 counter get visits
crdt 0 counter add two 4 "$(at 1)" # while node 3 made it a set
crdt 0 map set card both 4 --type counter "$(at 1)"
crdt 0 set add kinds passing "$(at 1)"
"$holdfast" local start 3 --dir "$dir" >/dev/null 2>&1
for i in 1 2 3; do
    await "node $i has all" reads $i 116 counter get visits
    await "node $i has all" reads $i true flag get on
    await "node $i has all" reads $i $'a\nalone\nc' set members tags
    await "node $i has both types" reads $i x set members two
    await "node $i has both types" reads $i 4 counter get two
    await "node $i has both types of a field" reads $i x map get card both --type set
    await "node $i has both types of a field" reads $i 4 map get card both --type counter
    await "node $i has both kinds" reads $i passing set members kinds
    await "node $i has both kinds" reads $i lasting set members kinds --grow-only
done
crdt 0 counter get visits --token "$token" "$(at 1)"
is 116

# --- a key that was made with two types at the same time: each answers, and names the other
gives 4 counter get two
says "'two' also has type set"
gives x set members two
says "'two' also has type counter"
crdt 0 set has two x
says "'two' also has type counter"
crdt 0 counter get two --json
has '"values":\[\{"type":"counter","kind":"pn","value":4\},\{"type":"set","kind":"add-wins","value":null\}\]'
crdt 0 set members two --json
has '"count":1,"also":\["counter"\],"clock"'
wrong "'two' has types counter \(pn\) and set \(add-wins\), not map" map get two
wrong "'two' has types counter \(pn\) and set \(add-wins\), not flag" flag get two
gives $'counter (exact)\t4\nset (add-wins)\t' map get card both
gives 4 map get card both --type counter
says "'both' of 'card' also has type set"
gives x map get card both --type set
gives passing set members kinds
says "'kinds' also has type set .grow-only."
gives lasting set members kinds --grow-only
says "'kinds' also has type set .add-wins."
crdt 1 set has kinds lasting
says "'kinds' also has type set .grow-only."
crdt 0 set has kinds lasting --grow-only
crdt 0 set members kinds --json
has '"count":1,"also":\["set"\],"clock"'

# --- a token of the caller's own: whoever tries again, it counts once (scenario C28)
crdt 0 once new
has '^once\.[123]\.'
once=$(cat "$work/out")
keeper=$(echo "$once" | cut -d. -f2)
crdt 0 once new --json paid
has '^\{"once":"once\.[^"]*","node":[123],"lifetime_us":86400000000\}$'
"$holdfast" local kill "$keeper" --dir "$dir" >/dev/null 2>&1
crdt 4 counter add paid 5 --once "$once" --timeout 3
"$holdfast" local start "$keeper" --dir "$dir" >/dev/null 2>&1
paid() { "$holdfast" crdt counter add paid 5 --once "$once" >/dev/null 2>&1; }
await "what was tried in vain is done" paid
crdt 0 counter add paid 5 --once "$once"
"$holdfast" local kill "$keeper" --dir "$dir" >/dev/null 2>&1
"$holdfast" local start "$keeper" --dir "$dir" >/dev/null 2>&1
await "a start later it is known" paid
gives 5 counter get paid "$(at "$keeper")"
wrong "was used for another write" counter add paid 6 --once "$once"
crdt 4 counter add paid 5 --once once.9.1.1.0000000000000001
says 'node 9, which the token names'
crdt 4 counter add paid 5 --once "once.$keeper.1.1.0000000000000001"
says 'has lost what it knew when it gave the token'
crdt 1 once new ''
says 'KEY'
crdt 2 counter add paid 5 --once nonsense
crdt 2 counter get paid --once "$once"

# --- watch
"$holdfast" crdt watch --prefix seen/ --limit 2 "$(at 1)" >"$work/watch" 2>&1 &
watch=$!
told() {
    "$holdfast" crdt counter add seen/1 "$(at 2)" >/dev/null 2>&1
    ! kill -0 $watch 2>/dev/null
}
await "a watch hears of changes elsewhere" told
checks=$((checks + 1))
grep -qE $'^change\tseen/1$' "$work/watch" || failed "the watch told something else"

ended
