# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# The part compute of bench/run, which reads this file: kernels on one core, then programs over
# objects of six nodes, code 4+2: all well, with nodes killed, with one stopped, next to pulling
# the object through a pipe, and what a scan does to keys and values meanwhile. BYTES= is the size
# of each object.

# cc_now: seconds. cc_since FROM: seconds from then on
cc_since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.3f", b - a}'; }
# cc_number NAME: of the JSON that the last run has printed
cc_number() { grep -oE "\"$1\":[0-9]+" "$work/out" | head -1 | cut -d: -f2; }
cc_mib() { awk -v b="$1" 'BEGIN {printf "%.2f", b / 1048576}'; }
cc_rate() { awk -v b="$bytes" -v s="$1" 'BEGIN {printf "%.0f", b / 1048576 / s}'; }
# cc_result: what the last run gave
cc_result() { sed -E 's/^\{"object":"[^"]*","result":"([^"]*)".*/\1/; s/\\n/\n/g' "$work/out" | grep .; }
# cc_of WHAT COLUMN: the median of a column over the rounds. cc_worst: the greatest
cc_of() { awk -v w="$1" -v c="$2" '$1 == w {print $c}' "$work/rows" | median; }
cc_worst() { awk -v w="$1" -v c="$2" '$1 == w {print $c}' "$work/rows" | sort -g | tail -1; }

# cc_run WHAT OBJECT PROGRAM [OPTION...]: adds a line to $work/rows:
# what seconds bytes_read bytes_local bytes_moved cells cells_decoded backups
cc_run() {
    local what=$1 object=$2 from
    shift 2
    from=$(now)
    holdfast run "cc/$object" "$@" --json --explain --timeout 120 >"$work/out" 2>"$work/said" </dev/null
    cc_row "$what" "$(cc_since "$from")"
}
cc_row() {
    echo "$1 $2 $(cc_number bytes_read) $(cc_number bytes_local) $(cc_number bytes_moved) $(cc_number cells) $(cc_number cells_decoded) $(cc_number backups)" >>"$work/rows"
    tail -1 "$work/rows" | awk '{printf "%s: %s s, %s of %s bytes local, %s moved, %s of %s cells decoded, %s backups\n", $1, $2, $4, $3, $5, $7, $6, $8}' >&2
}

# cc_exact NAME: whether the counts of the last run are those of awk
cc_exact() {
    cc_result >"$work/got"
    cmp -s "$work/want" "$work/got" || wrong="$wrong $1"
}

# cc_level COUNT: so many nodes are up, and follow with all there is
cc_level() {
    local status
    status=$(holdfast status 2>/dev/null) || return 1
    grep -q "^$1 of 6 nodes are up" <<<"$status" && ! grep -qE 'behind|no leader' <<<"$status"
}
# cc_terms: of each group, the latest that a node knows: it grows with each election
cc_terms() {
    holdfast status --json | grep -oE '"group":[0-9]+,"state":"[a-z]+","leader":[0-9]+,"role":"[a-z]+","term":[0-9]+' |
        sed -E 's/"group":([0-9]+),.*"term":([0-9]+)/\1 \2/' | sort -k1,1n -k2,2nr | sort -su -k1,1n | tr '\n' ' '
}
cc_runs() { holdfast status --json | grep -oE '"runs":[0-9]+' | awk -F: '{sum += $2} END {print sum + 0}'; }
cc_pid() { cut -d' ' -f1 "$cluster/node$1/pid"; }
# cc_holders OBJECT: nodes, those that hold most of its data first
cc_holders() {
    holdfast run "cc/$1" 'lines | count' --json --explain 2>/dev/null | grep -oE '\{"node":[0-9]+,"cells":[0-9]+' |
        tr -c '0-9\n' ' ' | sort -k2,2nr -k1,1n | awk '{print $1}'
}
cc_kill() { holdfast local kill "$1" --dir "$cluster"; }
cc_start() { holdfast local start "$1" --dir "$cluster" >/dev/null; }

# cc_begin OBJECT PROGRAM [OPTION...]: a run in the background, which $job is, once nodes are at work
cc_begin() {
    local object=$1 before
    shift
    before=$(cc_runs)
    began=$(now)
    holdfast run "cc/$object" "$@" --json --explain --timeout 120 >"$work/out" 2>"$work/said" </dev/null &
    job=$!
    helper_pids=("$job")
    until [ "$(cc_runs)" -gt "$before" ] || ! kill -0 "$job" 2>/dev/null; do :; done
}
cc_end() { # WHAT
    wait "$job"
    helper_pids=()
    cc_row "$1" "$(cc_since "$began")"
}

# ---- counting words -----------------------------------------------------------------------------

# cc_leader: of group 1. A node that was stopped a moment ago may not know it yet.
cc_leader() {
    local leader until=$((SECONDS + 120))
    until leader=$(holdfast_leader) && [ "${leader:-0}" -gt 0 ]; do
        [ $SECONDS -lt $until ] || { echo 'bench: no leader within two minutes' >&2; exit 1; }
        sleep 0.1
    done
    echo "$leader"
}
# One that holds much of the text, and the leader of group 1 or another one, die while it is counted.
cc_killed() {
    local a=$1 b
    b=$(cc_leader)
    [ "$b" != "$a" ] || b=$2
    cc_begin text "$words"
    cc_kill "$a"
    cc_kill "$b"
    cc_end killed
    cc_exact killed
    cc_start "$a"
    cc_start "$b"
    until_good cc_level 6
}
# cc_stopped WHAT NODE SECONDS [OPTION...]: the node stops as a run begins, for the whole of it or
# so many seconds
cc_stopped() {
    local what=$1 pid wait=$3 waker=
    pid=$(cc_pid "$2")
    shift 3
    cc_begin text "$words" "$@"
    kill -STOP "$pid"
    if [ "$wait" != 0 ]; then
        (sleep "$wait" && kill -CONT "$pid") &
        waker=$!
        helper_pids+=("$waker")
    fi
    cc_end "$what"
    [ -z "$waker" ] || { helper_pids=("$waker"); wait "$waker"; helper_pids=(); }
    kill -CONT "$pid"
    cc_exact "$what"
    until_good cc_level 6
}
# cc_follower NODE...: the first that does not lead group 1
cc_follower() {
    local leader node
    leader=$(cc_leader)
    for node in "$@"; do
        [ "$node" = "$leader" ] || { echo "$node"; return; }
    done
}
cc_words() {
    local holders i pause=10
    cc_run warm text "$words"
    cc_exact warm
    mapfile -t holders < <(cc_holders text)
    for i in $(seq "$rounds"); do
        cc_run healthy text "$words"
        cc_exact healthy
        cc_stopped stopped "$(cc_follower "${holders[@]}")" 0
        cc_killed "${holders[0]}" "${holders[1]}"
    done
    cc_stopped waited "$(cc_follower "${holders[@]}")" "$pause" --no-backups
}
cc_words_report() {
    local what times local_share
    printf '## Counting words: `%s`\n\n' "$words"
    printf '| | runs | median s | worst s | MiB/s | moved MiB | cells decoded | backups | to healthy |\n|---|---|---|---|---|---|---|---|---|\n'
    for what in healthy killed stopped waited; do
        printf '| %s | %s | %.2f | %.2f | %s | %s | %s of %s | %s | %s |\n' "$(cc_name $what)" \
            "$(grep -c "^$what " "$work/rows")" "$(cc_of $what 2)" "$(cc_worst $what 2)" "$(cc_rate "$(cc_of $what 2)")" \
            "$(cc_mib "$(cc_of $what 5)")" "$(cc_of $what 7)" "$(cc_of $what 6)" "$(cc_of $what 8)" \
            "$(ratio "$(cc_of $what 2)" "$(cc_of healthy 2)")"
    done
    local_share=$(awk '$1 == "healthy" {s = 100 * $4 / $3; if (n++ == 0 || s < least) least = s} END {printf "%.2f", least}' "$work/rows")
    times=$(ratio "$(cc_of stopped 2)" "$(cc_of healthy 2)")
    printf '\n- counts as those of awk, of each run: %s\n' "$([ -z "$wrong" ] && echo yes || echo "NO:$wrong")"
    printf -- '- all well, read by the nodes that hold it: %s %% of the bytes (at least 95: %s)\n' "$local_share" "$(is "$local_share >= 95")"
    printf -- '- one node stopped: %s times the time of all well (at most 1.25: %s); without backups it ends when the node goes on\n\n' "$times" "$(is "$times <= 1.25")"
}
cc_name() {
    case $1 in
        healthy) echo 'all well' ;;
        killed) echo 'two nodes killed meanwhile, of which one led' ;;
        stopped) echo 'one node stopped meanwhile (SIGSTOP)' ;;
        waited) echo 'the same for 10 s, without backups' ;;
        well_*) echo "all well: $(cc_kind "${1#well_}")" ;;
        less1_*) echo "a node dead: $(cc_kind "${1#less1_}")" ;;
        less2_*) echo "two nodes dead: $(cc_kind "${1#less2_}")" ;;
        most_*) echo "the node dead that holds most of it: $(cc_kind "${1#most_}")" ;;
        *) echo "$1" ;;
    esac
}

# ---- sums ---------------------------------------------------------------------------------------

cc_kind() { # f64, i64, or cold
    case $1 in
        cold) echo '`f64 \| sum`, none of it in memory' ;;
        *) echo "\`$1 \\| sum\`" ;;
    esac
}
# cc_forget: what the system keeps in memory of the nodes' shards
cc_forget() {
    local file
    sync
    find "$cluster" -type f -size +1M | while read -r file; do
        dd if="$file" iflag=nocache count=0 status=none
    done
}
cc_sums() { # PREFIX: of all kinds, in turn
    local i kind program
    for i in $(seq $((rounds + 1))); do
        for kind in f64 i64 cold; do
            program="$kind | sum"
            [ $kind != cold ] || { program='f64 | sum' && cc_forget; }
            if [ "$i" = 1 ]; then # brings connections about, and what is read into memory
                cc_run "first_$1_$kind" numbers "$program"
            else
                cc_run "$1_$kind" numbers "$program"
            fi
            cc_result >>"$work/sums_$kind"
        done
    done
}
# A few large extents are not spread evenly: the nodes in the middle hold about a sixth of the data.
cc_reduce() {
    local holders
    mapfile -t holders < <(cc_holders numbers)
    cc_sums well
    cc_kill "${holders[2]}"
    until_good cc_level 5
    cc_sums less1
    cc_kill "${holders[3]}"
    until_good cc_level 4
    cc_sums less2
    cc_start "${holders[2]}"
    cc_start "${holders[3]}"
    until_good cc_level 6
    cc_kill "${holders[0]}"
    until_good cc_level 5
    cc_sums most
    cc_start "${holders[0]}"
    until_good cc_level 6
}
cc_reduce_report() {
    local what kind same=yes part moved
    printf '## Sums\n\n| | median s | worst s | MiB/s | moved MiB | cells decoded | to all well |\n|---|---|---|---|---|---|---|\n'
    for kind in f64 i64 cold; do
        [ "$(sort -u "$work/sums_$kind" | wc -l)" = 1 ] || same=NO
        for what in well less1 less2 most; do
            printf '| %s | %.2f | %.2f | %s | %s | %s of %s | %s |\n' "$(cc_name ${what}_$kind)" \
                "$(cc_of ${what}_$kind 2)" "$(cc_worst ${what}_$kind 2)" "$(cc_rate "$(cc_of ${what}_$kind 2)")" \
                "$(cc_mib "$(cc_of ${what}_$kind 5)")" "$(cc_of ${what}_$kind 7)" "$(cc_of ${what}_$kind 6)" \
                "$(ratio "$(cc_of well_$kind 2)" "$(cc_of ${what}_$kind 2)")"
        done
    done
    printf '\n- the same sum, all well and with nodes dead: %s\n' $same
    for kind in f64 i64 cold; do
        moved=$(cc_worst well_$kind 5)
        printf -- '- %s: %s bytes moved, all of them states on their way to the client; from node to node at most that (under 1 MiB: %s)\n' \
            "$(cc_name well_$kind)" "$moved" "$(is "$moved < 1048576")"
        for what in less1 less2 most; do
            part=$(ratio "$(cc_of well_$kind 2)" "$(cc_of ${what}_$kind 2)")
            printf -- '- %s: %s of the rate of all well (at least 0.5: %s)\n' "$(cc_name ${what}_$kind)" "$part" "$(is "$part >= 0.5")"
        done
    done
    printf '\n'
}

# ---- next to pulling it -------------------------------------------------------------------------

# cc_pull WHAT PROGRAM COMMAND: seconds of a run, and of the object through a pipe
cc_pull() {
    local what=$1 program=$2 command=$3 from took pulled same
    from=$(now)
    holdfast run cc/text "$program" --timeout 120 >"$work/got" 2>"$work/said"
    took=$(cc_since "$from")
    from=$(now)
    holdfast object get cc/text 2>"$work/said" | bash -c "$command" >"$work/pulled"
    pulled=$(cc_since "$from")
    same=$(cmp -s "$work/got" "$work/pulled" && echo yes || echo NO)
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$what" "$program" "$took" "$pulled" "$same" "$command" >>"$work/pulls"
    echo "$what: $took s, pulled $pulled s, the same: $same" >&2
}
cc_pulls() {
    local i
    # shellcheck disable=SC2016
    for i in $(seq "$rounds"); do
        cc_pull wc-l 'lines | count' 'wc -l'
        cc_pull wc-w 'words | count' 'wc -w'
        cc_pull awk-where 'lines | where $2 = "baba" | count' 'awk '\''$2 == "baba" {n++} END {print n + 0}'\'
        cc_pull awk-words "$words" 'awk '\''{for (i = 1; i <= NF; i++) n[$i]++} END {for (w in n) print w "," n[w]}'\'' | sort -t, -k1,1'
    done
    # shellcheck disable=SC2016
    cc_pull sort-uniq "$words" 'tr -s " \n" "\n\n" | sort -T "'"$work"'" | uniq -c | awk '\''{print $2 "," $1}'\'
}
cc_pulls_report() {
    printf '## Next to pulling the object\n\n`holdfast object get` into the command, and the program over the same object; the same output is asked for.\n\n'
    printf '| program | command | program, median s | command, median s | times | the same |\n|---|---|---|---|---|---|\n'
    local what program command took pulled same
    for what in wc-l wc-w awk-where awk-words sort-uniq; do
        took=$(awk -F'\t' -v w=$what '$1 == w {print $3}' "$work/pulls" | median)
        pulled=$(awk -F'\t' -v w=$what '$1 == w {print $4}' "$work/pulls" | median)
        same=$(awk -F'\t' -v w=$what '$1 == w && $5 != "yes" {bad = 1} END {print bad ? "NO" : "yes"}' "$work/pulls")
        program=$(awk -F'\t' -v w=$what '$1 == w {print $2; exit}' "$work/pulls")
        command=$(awk -F'\t' -v w=$what '$1 == w {print $6; exit}' "$work/pulls" | sed "s|$work|DIR|")
        printf '| `%s` | `%s` | %.2f | %.2f | %s | %s |\n' "${program//|/\\|}" "${command//|/\\|}" "$took" "$pulled" "$(ratio "$pulled" "$took")" $same
    done
    printf '\n'
    for what in wc-l wc-w awk-where awk-words sort-uniq; do
        took=$(awk -F'\t' -v w=$what '$1 == w {print $3}' "$work/pulls" | median)
        pulled=$(awk -F'\t' -v w=$what '$1 == w {print $4}' "$work/pulls" | median)
        printf -- '- %s: %s times as fast (at least 10: %s)\n' $what "$(ratio "$pulled" "$took")" "$(is "$pulled >= 10 * $took")"
    done
    printf '\n'
}

# ---- keys and values meanwhile ------------------------------------------------------------------

# cc_kv WHAT OP: adds a line to $work/kv: what op per_second p50_us p99_us failed. The program that
# measures is at once on a core where it may be: what it waits for one is no time of the nodes.
cc_kv() {
    local line
    line=$("${kv_prompt[@]}" build/release/bench/bench_kv_load --endpoints "$HOLDFAST_ENDPOINTS" --op "$2" --clients 8 \
        --rate 400 --seconds "$kv_seconds" --keys 10000 --bytes 100)
    echo "$1 $2 $(field per_second "$line") $(field p50_us "$line") $(field p99_us "$line") $(field failed "$line")" >>"$work/kv"
    echo "$1 $line" >&2
}
# cc_scans: one after the other, until $work/scan is gone; adds a line each to $work/scans. Joining
# states is the work of a client, which is on a machine of its own elsewhere: here it has what is left.
cc_scans() {
    local program
    while [ -e "$work/scan" ]; do
        # shellcheck disable=SC2016
        for program in 'words | by $0 count' 'lines | where $2 = "baba" | count'; do
            nice -n 19 holdfast run cc/text "$program" --timeout 120 >/dev/null 2>>"$work/scan_said" || echo failed >>"$work/scans"
            echo done >>"$work/scans"
        done
    done
}
# Whether sessions are apart is looked at when a process begins.
cc_restart() {
    local node
    for node in 1 2 3 4 5 6; do
        cc_kill "$node"
        cc_start "$node"
        until_good cc_level 6
    done
}
cc_foreground() {
    local op i scanner later
    kv_prompt=()
    chrt -f 1 true 2>/dev/null && kv_prompt=(chrt -f 1)
    sessions_apart 0
    foreground_apart=$apart
    cc_restart
    for i in $(seq "$rounds"); do
        for op in put get; do
            cc_kv idle $op
        done
        terms=$(cc_terms)
        : >"$work/scan"
        cc_scans &
        scanner=$!
        helper_pids=("$scanner")
        for op in put get; do
            cc_kv scan $op
        done
        rm -f "$work/scan"
        wait "$scanner"
        helper_pids=()
        later=$(cc_terms)
        [ "$later" = "$terms" ] || changed=yes
        echo "groups and terms: $terms, after the scan $later" >&2
    done
    sessions_apart 1
    cc_restart
}
cc_kv_of() { awk -v w="$1" -v o="$2" -v c="$3" '$1 == w && $2 == o {print $c}' "$work/kv" | median; }
cc_foreground_report() {
    local op what times
    printf '## Keys and values while programs run\n\n'
    printf '400 requests a second of 8 clients, each at its time, with the latency from that time on; values of 100 bytes. The scans are `%s` and a filter of lines, one run after the other: %s ended meanwhile, %s failed. The client that joins what they give has a nice value of 19, as it shares the cores with the nodes here alone. The program that measures %s.\n\n' \
        "$words" "$(grep -c done "$work/scans" || true)" "$(grep -c failed "$work/scans" || true)" \
        "$([ ${#kv_prompt[@]} -gt 0 ] && echo 'goes before all others (SCHED_FIFO): what it waits for a core is no time of the nodes' ||
            echo 'waits for a core like any other')"
    printf 'Threads of programs give way to others of their node%s.\n\n' \
        "$([ "$foreground_apart" = 0 ] && echo ', and here to those of the other nodes too (`kernel.sched_autogroup_enabled` = 0 meanwhile), as six nodes share this machine' ||
            echo ' alone, not to those of the other nodes: each is a session, and the kernel shares the cores among sessions first')"
    printf '| | | per second | p50 ms | p99 ms | failed | p99 to idle |\n|---|---|---|---|---|---|---|\n'
    for op in put get; do
        for what in idle scan; do
            printf '| %s | %s | %.0f | %s | %s | %s | %s |\n' $op $what "$(cc_kv_of $what $op 3)" \
                "$(ms "$(cc_kv_of $what $op 4)")" "$(ms "$(cc_kv_of $what $op 5)")" "$(cc_kv_of $what $op 6)" \
                "$(ratio "$(cc_kv_of $what $op 5)" "$(cc_kv_of idle $op 5)")"
        done
    done
    printf '\n'
    for op in put get; do
        times=$(ratio "$(cc_kv_of scan $op 5)" "$(cc_kv_of idle $op 5)")
        printf -- '- %s, p99 under a scan: %s times idle (at most 1.5: %s)\n' $op "$times" "$(is "$times <= 1.5")"
    done
    printf -- '- no election under scans: %s\n\n' "$([ $changed = no ] && echo yes || echo NO)"
}

# ---- all ----------------------------------------------------------------------------------------

bench_compute() {
    # shellcheck disable=SC2016
    local bytes=${BYTES:-$((1 << 30))} rounds=3 kernel_rounds=30 kv_seconds=10 seed=1 words='words | by $0 count'
    local foreground_apart="" wrong="" changed=no terms="" began="" job=""
    [ "$quick" = 0 ] || { bytes=${BYTES:-$((64 << 20))} rounds=1 kernel_rounds=3 kv_seconds=3; }
    cmake --build build/release --target bench_compute bench_data bench_kv_load >/dev/null
    head_of "Programs: kernels, and over six nodes" "bench/run compute" >"$work/report"
    build/release/bench/bench_data text "$bytes" $seed >"$work/text"
    build/release/bench/bench_data f64 "$bytes" $seed >"$work/numbers"
    awk '{for (i = 1; i <= NF; i++) n[$i]++} END {for (w in n) print w "," n[w]}' "$work/text" | sort -t, -k1,1 >"$work/want"
    HOLDFAST_ENDPOINTS=$(holdfast local up --nodes 6 --dir "$cluster")
    export HOLDFAST_ENDPOINTS
    until_good cc_level 6
    holdfast bucket create cc --ec 4+2 >/dev/null
    holdfast object put cc/text "$work/text" >/dev/null
    holdfast object put cc/numbers "$work/numbers" >/dev/null
    rm -f "$work/text" "$work/numbers"
    : >"$work/rows"
    : >"$work/pulls"
    : >"$work/kv"
    : >"$work/scans"
    cc_words
    cc_reduce
    cc_pulls
    cc_foreground
    down
    {
        printf -- '- 6 nodes on loopback and one disk, code 4+2; objects of %d MiB: text of 10,000 words that are as frequent as in natural text, and doubles; seed %s; %s rounds, medians\n' $((bytes >> 20)) $seed "$rounds"
        printf -- '- all six nodes, the client and the commands share the %s cores of this machine: rates are of the machine, not of six, and a node that is dead or stopped leaves its share of the cores to the others\n' "$(nproc)"
        printf -- '- what is read was written just before: reads come from memory as far as it reaches\n'
        printf -- '- load average at the end: %s\n\n' "$(load)"
        cc_words_report
        cc_reduce_report
        cc_pulls_report
        cc_foreground_report
        printf '## Kernels, one core: `bench_compute %s`\n\n```\n' $kernel_rounds
        build/release/bench/bench_compute $kernel_rounds
        printf '```\n'
    } >>"$work/report"
    keep compute
}
