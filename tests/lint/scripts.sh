#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shell scripts pass shellcheck, Python compiles, manual pages and systemd units are well formed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
bad() {
	echo "$1"
	status=1
}

mapfile -t scripts < <(find tests packaging .ci docs -name '*.sh' 2>/dev/null | sort)
for script in dev .ci/run packaging/completion/kmsctl; do
	[[ ! -e $script ]] || scripts+=("$script")
done
shellcheck "${scripts[@]}" || bad 'what to do: mend it, or say why beside a "shellcheck disable"'

mapfile -t python < <(find tests docs -name '*.py' 2>/dev/null | sort)
for file in "${python[@]}"; do
	/usr/bin/python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file" ||
		bad "$file does not compile"
done

for page in docs/man/*.[1-9]; do
	[[ ! -e $page ]] || mandoc -T lint -W warning "$page" ||
		bad "what to do: mend $page; mandoc -W warning says where"
done
exit "$status"
