#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# up.sh DIR [--slot tpm]: a running, initialised, unsealed kmsd with a software TPM, all of it in
# DIR. On a DIR that exists it starts what is not running. Returns when it serves.
set -euo pipefail
# shellcheck source=tests/rig/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	say "usage: ./dev up DIR [--slot tpm]"
	exit 2
}

dir='' slot=tpm
while (($#)); do
	case $1 in
	--slot) slot=${2:-} && shift ;;
	--slot=*) slot=${1#*=} ;;
	-*) usage ;;
	*)
		[[ -z $dir ]] || usage
		dir=$1
		;;
	esac
	shift
done
[[ -n $dir ]] || usage
[[ $slot == tpm ]] || fail "there is no slot \"$slot\" in this version; use --slot tpm"
for program in kmsd kmsctl kms-seal; do
	[[ -x $BUILD/$program ]] || fail "$BUILD/$program is missing; run \`./dev build\` first"
done
for tool in swtpm tpm2_shutdown; do
	command -v "$tool" >/dev/null || fail "$tool is missing; install swtpm and tpm2-tools"
done

mkdir -p "$dir" || fail "$dir can't be made"
[[ -e $dir/kms.conf || -z $(ls -A "$dir") ]] ||
	fail "$dir holds other things; name an empty folder, or one that does not exist"
dir=$(cd "$dir" && pwd)
use_dir "$dir"
make_dirs
exec 9>"$DIR/lock"
flock -w 60 9 || fail "another ./dev works on $DIR"
write_config
write_env
start_tpm 9>&-
start_kmsd 9>&-
if [[ $(state) == uninitialised ]]; then
	KMS_SOCKET=$SOCKET "$BUILD/kmsctl" init --slot "$slot" >/dev/null ||
		give_up "$DIR/kmsd.log" "the instance could not be initialised"
fi
KMS_SOCKET=$SOCKET timeout 60 "$BUILD/kmsctl" wait >/dev/null ||
	give_up "$DIR/kmsd.log" "kmsd runs but does not serve"
say "kmsd serves in $DIR; type: . $DIR/env"
