#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# valgrind.sh PROGRAM: runs a unit test under valgrind; nothing may be lost, no byte read that was
# not written. 77, with the reason, where that can't be done.
set -u

skip() {
	echo "skipped: $1"
	exit 77
}

command -v valgrind >/dev/null || skip "valgrind is not installed"
nm "$1" 2>/dev/null | grep -qE '__(asan|tsan|gcov)_init' && skip "the build has a sanitizer or counts coverage"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--error-exitcode=9 --log-file="$log" "$1"
status=$?
cat "$log"
[ "$status" -ne 0 ] || echo "valgrind: no errors, definitely lost: 0"
exit "$status"
