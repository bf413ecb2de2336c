#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [CHECK…]: all checks of the source, quick ones first, or those named. A check is a file
# here that prints what is wrong and what to do, and ends with 1 if anything is. Expects the
# preset dev to be built. Ends with one line `N passed, N failed, 0 skipped`.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/../.."

CHECKS=(floors.py words.py sizes.py tested.py errors.py documents.py scripts.sh format.sh
	linkage.py clang.sh tidy.py)

chosen=()
for name in "$@"; do
	found=
	for check in "${CHECKS[@]}"; do
		[[ ${check%.*} != "${name%.*}" ]] || found=$check
	done
	if [[ -z $found ]]; then
		echo "there is no check $name; there are: ${CHECKS[*]%.*}" >&2
		exit 2
	fi
	chosen+=("$found")
done
((${#chosen[@]})) || chosen=("${CHECKS[@]}")

passed=0 failed=0
for check in "${chosen[@]}"; do
	begun=$SECONDS
	if "$HERE/$check"; then
		passed=$((passed + 1))
		printf 'ok      %-10s %3d s\n' "${check%.*}" $((SECONDS - begun))
	else
		failed=$((failed + 1))
		printf 'FAILED  %-10s %3d s\n' "${check%.*}" $((SECONDS - begun))
	fi
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
((failed == 0))
