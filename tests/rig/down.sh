#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# down.sh DIR: stops what up.sh started there, in order, and leaves the data. Nothing running is
# fine.
set -euo pipefail
# shellcheck source=tests/rig/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

(($# == 1)) || {
	say "usage: ./dev down DIR"
	exit 2
}
[[ -d $1 ]] || fail "there is no folder $1"
use_dir "$(cd "$1" && pwd)"
exec 9>"$DIR/lock"
flock -w 60 9 || fail "another ./dev works on $DIR"
stop_kmsd
stop_tpm
rm -f "$SOCKET" "$TPM_SOCKET" "$TPM_SOCKET.ctrl"
if [[ -L $DIR/run ]]; then
	rm -rf "$RUN" "$DIR/run"
fi
say "nothing of $DIR is running"
