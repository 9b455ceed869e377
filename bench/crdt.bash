# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# The part crdt of bench/run, which reads this file: eventual mode next to strong puts.

crdt_load() { build/release/bench/bench_crdt_load --endpoints "$HOLDFAST_ENDPOINTS" "$@"; }

# crdt_settle: servers do what the last load left: sending, joining, flushing
crdt_settle() { sleep "$settle"; }
# crdt_idle: sets $idle to the processor time of servers that have nothing to do, while they settle
crdt_idle() {
    local before pids
    mapfile -t pids < <(node_pids)
    crdt_settle
    before=$(ticks "${pids[@]}")
    crdt_settle
    idle=$(($(ticks "${pids[@]}") - before))
}
# crdt_stolen FROM: of the time of all cores since then, the share that other machines had, in
# percent; FROM is what crdt_stolen_at said
crdt_stolen_at() { awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $9}' /proc/stat; }
crdt_stolen() {
    { echo "$1" && crdt_stolen_at; } | awk '{all = $1 - all; part = $2 - part} END {printf "%.1f", (all > 0 ? 100 * part / all : 0)}'
}
# crdt_quiet WHAT CLIENTS: how many of its runs other machines had at most 5 % of the time of
crdt_quiet() {
    awk -v s="$1" -v c="$2" '$1 == s && $2 == c && $8 <= 5 {n++} END {print n + 0}' "$work/rows"
}
# crdt_one WHAT CLIENTS COMMAND...: one run, to which belongs what it leaves to do; adds a line to
# $work/rows: what clients per_second p50 p99 failed servers_us stolen. None, if there are quiet runs
# enough.
crdt_one() {
    local what=$1 clients=$2 before after line pids stolen
    shift 2
    [ "$(crdt_quiet "$what" "$clients")" -lt "$rounds" ] || return 0
    mapfile -t pids < <(node_pids)
    before=$(ticks "${pids[@]}")
    stolen=$(crdt_stolen_at)
    line=$("$@")
    stolen=$(crdt_stolen "$stolen")
    crdt_settle
    after=$(($(ticks "${pids[@]}") - idle))
    awk -v row="$what $clients $(field per_second "$line") $(field p50_us "$line") $(field p99_us "$line") $(field failed "$line")" \
        -v n="$(field done "$line")" -v us=$((after - before)) -v stolen="$stolen" \
        'BEGIN {printf "%s %.2f %s\n", row, (n > 0 ? us / n : 0), stolen}' >>"$work/rows"
    echo "$(tail -1 "$work/rows" | awk '{printf "%s, %s clients: %.0f/s, servers %s us, %s %% stolen", $1, $2, $3, $7, $8}')" >&2
}
crdt_of() { # WHAT CLIENTS COLUMN: the median of the quiet runs, or of all where there is none
    awk -v s="$1" -v c="$2" -v f="$3" -v q="$(crdt_quiet "$1" "$2")" \
        '$1 == s && $2 == c && (q == 0 || $8 <= 5) {print $f}' "$work/rows" | median
}
ms() { awk -v v="$1" 'BEGIN {printf "%.2f", v / 1000}'; }
is() { awk "BEGIN {print ($1) ? \"yes\" : \"NO\"}"; }

# counter_sum NAME: of a number under "eventual", over all nodes
counter_sum() {
    holdfast status --json | grep -oE "\"eventual\":\{.*" | grep -oE "\"$1\":[0-9]+" | cut -d: -f2 |
        awk '{sum += $1} END {print sum + 0}'
}
shipped() { echo $(($(counter_sum pushed_bytes) + $(counter_sum page_bytes))); }
# lo_bytes: that went over loopback, to and from clients too
lo_bytes() { sed -nE 's/^ *lo: *([0-9]+).*/\1/p' /proc/net/dev; }
# crdt_same NODES: whether all nodes say the same hash of all regions
crdt_same() {
    holdfast status --json 2>/dev/null | grep -oE '"hash":[0-9]+' | sort | uniq -c | awk -v n="$1" '
        {lines++; same = $1} END {exit !(lines == 1 && same == n)}'
}

# crdt_rates CLIENTS: 50, with one call open each; or 4x64, with 64
crdt_rates() {
    local who=$1 clients=${1%x*} calls=1 copies
    [[ $who != *x* ]] || calls=${who#*x}
    crdt_one put "$who" build/release/bench/bench_kv_load --endpoints "$HOLDFAST_ENDPOINTS" \
        --op put --clients "$clients" --outstanding "$calls" --seconds "$seconds" --keys 10000 --bytes 100
    for copies in 1 2; do
        crdt_one "add$copies" "$who" crdt_load --op counter --clients "$clients" \
            --outstanding "$calls" --copies $copies --seconds "$seconds" --keys 10000
    done
    crdt_one hot1 "$who" crdt_load --op counter --clients "$clients" --outstanding "$calls" \
        --copies 1 --seconds "$seconds" --keys 100
}
# crdt_open CLIENTS: of 50 or 4x64, as text
crdt_open() {
    case $1 in
        *x*) echo "${1%x*} clients, ${1#*x} calls open each" ;;
        *) echo "$1 clients, one call open each" ;;
    esac
}

crdt_rates_report() {
    local clients what rate cpu to part
    printf '| clients | what | per second | p50 ms | p99 ms | servers, CPU us a call | rate to put | CPU to put | stolen, %% |\n'
    printf '|---|---|---|---|---|---|---|---|---|\n'
    for clients in "${counts[@]}"; do
        for what in put add1 add2 hot1; do
            rate=$(crdt_of $what "$clients" 3)
            cpu=$(crdt_of $what "$clients" 7)
            to=$(ratio "$rate" "$(crdt_of put "$clients" 3)")
            part=$(ratio "$cpu" "$(crdt_of put "$clients" 7)")
            printf '| %s | %s | %.0f | %s | %s | %.0f | %s | %s | %s |\n' "$(crdt_open "$clients")" \
                "$(crdt_name $what)" "$rate" "$(ms "$(crdt_of $what "$clients" 4)")" \
                "$(ms "$(crdt_of $what "$clients" 5)")" "$cpu" "$to" "$part" "$(crdt_of $what "$clients" 8)"
        done
    done
    printf '\n'
    for clients in "${counts[@]}"; do
        to=$(ratio "$(crdt_of add1 "$clients" 3)" "$(crdt_of put "$clients" 3)")
        rate="$(crdt_of add1 "$clients" 3) >= $(crdt_of put "$clients" 3)"
        cpu="3 * $(crdt_of add1 "$clients" 7) <= $(crdt_of put "$clients" 7)"
        part=$(ratio "$(crdt_of add1 "$clients" 7)" "$(crdt_of put "$clients" 7)")
        printf -- '- %s, durable on one node when acknowledged: %s times the rate of puts (at least 1: %s) with %s of the CPU (at most a third: %s)\n' \
            "$(crdt_open "$clients")" "$to" "$(is "$rate")" "$part" "$(is "$cpu")"
    done
}
crdt_name() {
    case $1 in
        put) echo 'strong put, 100 bytes' ;;
        add1) echo 'increment, 1 copy, 10,000 counters' ;;
        add2) echo 'increment, 2 copies, 10,000 counters' ;;
        hot1) echo 'increment, 1 copy, 100 counters' ;;
        *) echo "$1" ;;
    esac
}

# A set of many elements: what one more costs.
crdt_set() {
    local elements=$1 adds=$2 rounds=$3 before single round
    crdt_one set_empty 50 crdt_load --op set --clients 50 --count "$adds" --first 10000000
    crdt_load --op set --clients 8 --batch 256 --count "$elements" >/dev/null
    for round in $(seq $((2 * rounds))); do
        until_good crdt_same 3
        crdt_one set_full 50 crdt_load --op set --clients 50 --count "$adds" --first $((20000000 + round * 1000000))
    done
    until_good crdt_same 3
    crdt_one set_batch 8 crdt_load --op set --clients 8 --batch 256 --count "$elements" --first 30000000
    until_good crdt_same 3
    before=$(counter_sum pushed_bytes)
    single=200
    crdt_one set_one 1 crdt_load --op set --clients 1 --count $single --first 40000000
    until_good crdt_same 3
    delta=$((($(counter_sum pushed_bytes) - before) / (2 * (single + 1))))
}
crdt_set_report() {
    local each batch
    each=$(awk -v v="$(crdt_of set_full 50 7)" 'BEGIN {printf "%.1f", v / 3}')
    batch=$(awk -v v="$(crdt_of set_batch 8 7)" 'BEGIN {printf "%.1f", v / 3}')
    printf '| additions to a set | per second | CPU us of each node an addition | stolen, %% |\n|---|---|---|---|\n'
    printf '| an empty one, 50 clients, one a request | %.0f | %.1f | %s |\n' "$(crdt_of set_empty 50 3)" \
        "$(awk -v v="$(crdt_of set_empty 50 7)" 'BEGIN {print v / 3}')" "$(crdt_of set_empty 50 8)"
    printf '| of %s elements or more, 50 clients, one a request | %.0f | %s | %s |\n' "$1" "$(crdt_of set_full 50 3)" "$each" "$(crdt_of set_full 50 8)"
    printf '| of %s elements or more, 8 clients, 256 a request | %.0f | %s | %s |\n\n' "$1" "$(crdt_of set_batch 8 3)" "$batch" "$(crdt_of set_batch 8 8)"
    printf -- '- of one a request to the set that is not empty, the median of %s quiet rounds\n' "$2"
    printf -- '- each addition is worked on once by each of the three nodes: the one that takes it, and two that join it; all of the CPU of their processes is counted, requests, log and network included\n'
    printf -- '- CPU of a node for one addition, %s us (under 20: %s); in requests of 256, %s us (under 20: %s)\n' \
        "$each" "$(is "$each < 20")" "$batch" "$(is "$batch < 20")"
    printf -- '- the delta of one addition, sent alone to one other node: %s bytes (under 200: %s)\n' "$delta" "$(is "$delta < 200")"
}

# crdt_apart COUNT STEP: node 3 is away while so many keys are written; the others start again, so
# that they remember of nobody what he lacks. Sets $bytes and $wire of what it took to catch up.
crdt_apart() {
    local i
    until_good crdt_same 3
    holdfast local kill 3 --dir "$cluster" >/dev/null
    crdt_load --endpoints "$(cut -d, -f1-2 <<<"$HOLDFAST_ENDPOINTS")" --op key --clients 4 \
        --batch 256 --count "$1" --step "$2" >/dev/null
    for i in 1 2; do holdfast local kill $i --dir "$cluster" >/dev/null; done
    for i in 1 2; do holdfast local start $i --dir "$cluster" >/dev/null; done
    until_good crdt_same 2
    bytes=$(shipped)
    wire=$(lo_bytes)
    holdfast local start 3 --dir "$cluster" >/dev/null
    until_good crdt_same 3
    wire=$(($(lo_bytes) - wire))
    bytes=$(($(shipped) - bytes))
}
crdt_merge() {
    local keys=$1 wait
    crdt_apart "$keys" 1
    whole=$bytes whole_wire=$wire
    crdt_apart $((keys / 100)) 100
    part=$bytes part_wire=$wire
}
crdt_merge_report() {
    local share
    share=$(awk -v a="$part" -v b="$whole" 'BEGIN {printf "%.2f", 100 * a / b}')
    printf '| a node that was away catches up | records, bytes | all of loopback meanwhile, bytes |\n|---|---|---|\n'
    printf '| with a state of %s keys | %s | %s |\n| with the 1 %% of them that changed | %s | %s |\n\n' \
        "$1" "$whole" "$whole_wire" "$part" "$part_wire"
    printf -- '- two states of which 1 %% differs ship %s %% of the bytes (under 5: %s); loopback also carries heartbeats, gossip and the questions of this program\n' \
        "$share" "$(is "$share < 5")"
}

bench_crdt() {
    local rounds=3 seconds=4 settle=5 idle=0 counts=(50 256 4x64) elements=100000 adds=20000 keys=100000 lag=10 round clients line delta bytes wire whole whole_wire part part_wire stolen
    [ "$quick" = 0 ] || { rounds=1 seconds=1 settle=1 counts=(50 4x64) elements=5000 adds=1000 keys=5000 lag=2; }
    cmake --build build/release --target bench_crdt_load >/dev/null
    head_of "Replicated data types next to strong puts" "bench/run crdt" >"$work/report"
    HOLDFAST_ENDPOINTS=$(holdfast local up --nodes 3 --dir "$cluster")
    export HOLDFAST_ENDPOINTS
    : >"$work/rows"
    until_good crdt_load --op counter --clients 3 --count 3 >"$work/said"
    crdt_idle
    for clients in "${counts[@]}"; do
        for round in $(seq $((2 * rounds))); do crdt_rates "$clients"; done
    done
    crdt_set "$elements" "$adds" "$rounds"
    down
    HOLDFAST_ENDPOINTS=$(holdfast local up --nodes 3 --dir "$cluster")
    until_good crdt_load --op counter --clients 3 --count 3 >"$work/said"
    crdt_merge "$keys"
    down
    HOLDFAST_ENDPOINTS=$(holdfast local up --nodes 5 --dir "$cluster")
    until_good crdt_load --op counter --clients 5 --count 5 >"$work/said"
    for round in $(seq "$rounds"); do
        stolen=$(crdt_stolen_at)
        line=$(crdt_load --op lag --rate 5000 --seconds "$lag")
        echo "lag 5 $(field per_second "$line") $(field p50_us "$line") $(field p99_us "$line") $(field failed "$line") $(field heard "$line") $(crdt_stolen "$stolen") $(field probes "$line")" >>"$work/rows"
        echo "lag: $line" >&2
    done
    down
    {
        printf -- '- 3 nodes on loopback and one disk, synced; rounds of %s s, puts and increments in turn: until %s of each were quiet, at most %s; medians of the quiet ones, if there are any\n' "$seconds" "$rounds" $((2 * rounds))
        printf -- '- one call open a client: each is a request of its own. Several: increments that a client has open at once share requests, as the library does by itself; puts never do, and at most 64 of a client are on their way\n'
        printf -- '- puts and increments in sessions (a retry counts once); puts go to the leader, increments to all nodes; an increment with 2 copies is acknowledged when two nodes have synced it\n'
        printf -- '- CPU of the servers until %s s after the load, less what they take in that time when idle (%s us)\n' "$settle" "$idle"
        printf -- '- the load program shares the cores with the servers; stolen: what other machines on the same host had of the cores meanwhile, which slows what is left too; a round is quiet with at most 5 %% of that\n\n'
        crdt_rates_report
        printf '\n'
        crdt_set_report "$elements" "$rounds"
        printf '\n'
        crdt_merge_report "$keys"
        printf '\nFive nodes, %s s at 5,000 increments a second over all of them; every 5 ms one more at node 1, of which watches at the other four tell; increments of a client that are open at once share requests. From sending it to hearing of it:\n\n' "$lag"
        printf '| increments a second | p50 ms | p99 ms | failed | heard, of 4 times | stolen, %% |\n|---|---|---|---|---|---|\n'
        awk '$1 == "lag" {printf "| %.0f | %.1f | %.1f | %s | %s of %s | %s |\n", $3, $4 / 1000, $5 / 1000, $6, $7, $9, $8}' "$work/rows"
    } >>"$work/report"
    keep crdt
}
