#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh BUILD SECONDS TARGET…: runs each target for so long, as many at once as there are cores,
# from its saved corpus, which is only read; what is new goes to BUILD/corpus. Ends with one line
# `N passed, N failed, N skipped` and with 1 if one has crashed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$1 seconds=$2
shift 2

# fuzz TARGET: its output goes into a log; the crashing input beside it.
fuzz() {
	local target=$1 saved=$ROOT/tests/fuzz/corpus/$1 dictionary=()
	local found=$build/corpus/$1 crash=$build/crash/$1
	mkdir -p "$found" "$crash"
	rm -f "$crash"/*
	[[ ! -f $ROOT/tests/fuzz/$1.dict ]] || dictionary=("-dict=$ROOT/tests/fuzz/$1.dict")
	[[ -d $saved ]] || saved=$found
	"$build/tests/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$crash/" "${dictionary[@]}" "$found" "$saved" \
		>"$crash.log" 2>&1
}

# report TARGET STATUS
report() {
	local crash=$build/crash/$1 runs
	if (($2 == 0)); then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$crash.log")
		printf 'ok      %-20s %s runs\n' "$1" "${runs:-?}"
		return
	fi
	printf 'FAILED  %-20s\n' "$1"
	grep -m 5 -E 'ERROR|SUMMARY|runtime error|check failed' "$crash.log" || tail -n 5 "$crash.log"
	printf '        log:   %s\n' "$crash.log"
	for input in "$crash"/*; do
		[[ ! -e $input ]] || printf '        again: %s %s\n' "$build/tests/$1" "$input"
	done
}

declare -A running=()
passed=0 failed=0

# Waits for whichever ends first.
collect() {
	local pid status=0 target
	wait -n -p pid "${!running[@]}" || status=$?
	target=${running[$pid]}
	unset "running[$pid]"
	report "$target" "$status"
	if ((status == 0)); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
}

trap 'kill "${!running[@]}" 2>/dev/null || true' INT TERM
for target in "$@"; do
	((${#running[@]} < $(nproc))) || collect
	fuzz "$target" &
	running[$!]=$target
done
while ((${#running[@]})); do
	collect
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
((failed == 0))
