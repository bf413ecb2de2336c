#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# up.sh DIR [--slot tpm|pkcs11|shares] [--shares K/N]: a running, initialised, unsealed kmsd with a
# software TPM (the default), a software token or nothing but people's shares, all of it in DIR.
# --shares beside hardware gives people shares as well; they are in DIR/shares. On a DIR that exists
# it starts what is not running. Returns when it serves.
set -euo pipefail
# shellcheck source=tests/rig/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	say "usage: ./dev up DIR [--slot tpm|pkcs11|shares] [--shares K/N]"
	exit 2
}

dir='' slot='' shares=''
while (($#)); do
	case $1 in
	--slot) slot=${2:-} && shift ;;
	--slot=*) slot=${1#*=} ;;
	--shares) shares=${2:-} && shift ;;
	--shares=*) shares=${1#*=} ;;
	-*) usage ;;
	*)
		[[ -z $dir ]] || usage
		dir=$1
		;;
	esac
	shift
done
[[ -n $dir ]] || usage
[[ $slot == @(|tpm|pkcs11|shares) ]] ||
	fail "there is no slot \"$slot\" in this version; use --slot tpm, pkcs11 or shares"
[[ $shares =~ ^([0-9]+/[0-9]+)?$ ]] || usage
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
asked=$slot
if [[ -s $DIR/kms.conf ]]; then
	slot=$(made_with)
	[[ ${asked:-$slot} == "$slot" ]] || fail "$DIR was made with the slot $slot"
else
	slot=${asked:-tpm}
	[[ $slot != shares ]] || shares=${shares:-2/3}
	printf '%s\n' "$slot" >"$DIR/slot"
fi
[[ $slot != pkcs11 ]] || make_token
write_config "$slot"
write_env
[[ $slot == pkcs11 ]] || start_tpm 9>&- # beside shares too, so that a slot can be added
start_kmsd 9>&-
settled
if [[ $(state) == uninitialised ]]; then
	with=()
	[[ $slot == shares ]] || with+=(--slot "$slot")
	[[ -z $shares ]] || with+=(--shares "$shares" --shares-out "$DIR/shares")
	KMS_SOCKET=$SOCKET "$BUILD/kmsctl" init "${with[@]}" >/dev/null ||
		give_up "$DIR/kmsd.log" "the instance could not be initialised"
fi
[[ $(state) != sealed || ! -d $DIR/shares ]] || unseal_with_shares
KMS_SOCKET=$SOCKET timeout 60 "$BUILD/kmsctl" wait >/dev/null ||
	give_up "$DIR/kmsd.log" "kmsd runs but does not serve"
say "kmsd serves in $DIR; type: . $DIR/env"
