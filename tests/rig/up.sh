#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# up.sh DIR [--slot tpm|pkcs11]: a running, initialised, unsealed kmsd with a software TPM or a
# software token, all of it in DIR. On a DIR that exists it starts what is not running. Returns when
# it serves.
set -euo pipefail
# shellcheck source=tests/rig/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	say "usage: ./dev up DIR [--slot tpm|pkcs11]"
	exit 2
}

dir='' slot=''
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
[[ $slot == @(|tpm|pkcs11) ]] ||
	fail "there is no slot \"$slot\" in this version; use --slot tpm or --slot pkcs11"
for program in kmsd kmsctl kms-seal; do
	[[ -x $BUILD/$program ]] || fail "$BUILD/$program is missing; run \`./dev build\` first"
done
for tool in swtpm tpm2_shutdown softhsm2-util; do
	command -v "$tool" >/dev/null ||
		fail "$tool is missing; install swtpm, tpm2-tools and softhsm2"
done

mkdir -p "$dir" || fail "$dir can't be made"
[[ -e $dir/kms.conf || -z $(ls -A "$dir") ]] ||
	fail "$dir holds other things; name an empty folder, or one that does not exist"
dir=$(cd "$dir" && pwd)
use_dir "$dir"
make_dirs
exec 9>"$DIR/lock"
flock -w 60 9 || fail "another ./dev works on $DIR"
if [[ -s $DIR/kms.conf ]]; then
	made=tpm
	[[ ! -d $DIR/softhsm ]] || made=pkcs11
	[[ ${slot:-$made} == "$made" ]] || fail "$DIR was made with the slot $made"
	slot=$made
fi
slot=${slot:-tpm}
[[ $slot == tpm ]] || make_token
write_config "$slot"
write_env
[[ $slot != tpm ]] || start_tpm 9>&-
start_kmsd 9>&-
if [[ $(state) == uninitialised ]]; then
	KMS_SOCKET=$SOCKET "$BUILD/kmsctl" init --slot "$slot" >/dev/null ||
		give_up "$DIR/kmsd.log" "the instance could not be initialised"
fi
KMS_SOCKET=$SOCKET timeout 60 "$BUILD/kmsctl" wait >/dev/null ||
	give_up "$DIR/kmsd.log" "kmsd runs but does not serve"
say "kmsd serves in $DIR; type: . $DIR/env"
