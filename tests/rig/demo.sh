#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh: the main job on a real voice, told in plain words, in a temporary place; leaves nothing
# running and nothing behind. Ends with 0 only if every step went as told, refusals included.
set -euo pipefail
# shellcheck source=tests/rig/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

VOICES=/usr/share/sounds/alsa
VOICE=$VOICES/Front_Center.wav
NOBODY=65534
place=$(mktemp -d /tmp/kms-demo-XXXXXX)
step=0

tell() { printf '   %s\n' "$*"; }

title() {
	step=$((step + 1))
	printf '%2d %s\n' "$step" "$*"
}

clean_up() {
	local status=$?
	set +e
	for dir in "$place/home" "$place/thief"; do
		[[ -d $dir ]] || continue
		use_dir "$dir"
		stop_kmsd
		stop_tpm
	done
	if ((status != 0)); then
		say "the demo stopped at step $step; the end of the log:"
		tail -n 15 "$place"/*/kmsd.log >&2
	fi
	rm -rf "$place"
	exit "$status"
}
trap clean_up EXIT

ctl() { KMS_SOCKET=$SOCKET "$BUILD/kmsctl" "$@"; }

# refused STATUS CODE COMMAND…: it must fail with this exit status and error code.
refused() {
	local want=$1 code=$2 got=0 said
	shift 2
	said=$("$@" --json 2>&1) || got=$?
	((got == want)) || fail "\`${*:2}\` ended with $got instead of $want: $said"
	[[ $said == *"\"$code\""* ]] || fail "the refusal does not say $code: $said"
}

# number NAME: the number of that name in the JSON on stdin.
number() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
# text NAME: likewise the string.
text() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

size() { stat -c %s "$1"; }

plays() {
	ctl decrypt "$1" -o "$place/heard.wav" >/dev/null
	cmp -s "$VOICE" "$place/heard.wav" || fail "$1 does not play as it was recorded"
	rm -f "$place/heard.wav"
}

[[ -r $VOICE ]] || fail "$VOICE is missing; install alsa-utils"
for program in kmsd kmsctl kms-seal; do
	[[ -x $BUILD/$program ]] || fail "$BUILD/$program is missing; run \`./dev build\` first"
done
chmod 711 "$place"

title "A key service with a TPM"
mkdir "$place/home"
chmod 711 "$place/home"
KMS_RIG_SOCKET_MODE=0666 "$ROOT/tests/rig/up.sh" "$place/home" 2>/dev/null ||
	fail "the instance did not start"
use_dir "$place/home"
chmod 711 "$RUN"
tell "kmsd runs with a software TPM. It drew a root key and let the TPM seal it: on the disk"
tell "there is nothing that opens without this very chip."
ctl key create rec-2026 >/dev/null
tell "The master key rec-2026 protects this year's recordings."

title "A recorder"
file=$place/call-0001.kms
ctl encrypt rec-2026 "$VOICE" -o "$file" --context call=0001 --context tenant=north >/dev/null
[[ $(ctl inspect "$file" --json | text key) == rec-2026 ]] || fail "inspect names another key"
! grep -qaF "$(dd if="$VOICE" bs=1 skip=4096 count=24 status=none | tr -d '\0')" "$file" ||
	fail "the voice can be read in the encrypted file"
tell "It asked for a data key for call 0001 and encrypted the voice: $(size "$VOICE") bytes became"
tell "$(size "$file"). The file's head holds the data key, wrapped by rec-2026 and bound to call and tenant."
issued=$(ctl issue rec-2026 --context call=0002 --json)
wrapped=$place/wrapped.bin
text wrapped <<<"$issued" | base64 -d >"$wrapped"
(($(size "$wrapped") < 120)) || fail "the wrapped key has $(size "$wrapped") bytes"
tell "A wrapped key alone is $(size "$wrapped") bytes; a recorder that keeps its own format stores that."

title "A playback"
plays "$file"
tell "It sent the wrapped key back, got the data key, and heard the same voice, byte for byte."

title "Restarts"
stop_kmsd
start_kmsd
ctl wait >/dev/null
plays "$file"
pid=$(pid_of "$DIR/kmsd.pid" kmsd)
kill -9 "$pid"
gone "$pid" kmsd 10 || fail "kmsd survived kill -9"
start_kmsd
ctl wait >/dev/null
plays "$file"
tell "Stopped in order, then killed with -9: both times kmsd opened itself from the TPM, with no"
tell "person and no passphrase, and the recording still plays."

title "Rotation"
[[ $(ctl key rotate rec-2026 --json | number version) == 2 ]] || fail "no version 2"
plays "$file"
tell "rec-2026 has version 2 now. The old recording still plays: version 1 opens, but wraps no more."
before=$(sha256sum <"$wrapped")
ctl rewrap "$wrapped" --context call=0002 -o "$place/rewrapped.bin" >/dev/null
[[ $(sha256sum <"$place/rewrapped.bin") != "$before" ]] || fail "rewrap changed nothing"
[[ $(ctl unwrap "$place/rewrapped.bin" --context call=0002 --json | number version) == 2 ]] ||
	fail "the rewrapped key is not under version 2"
tell "Rewrap moved a wrapped key to version 2 without showing it to anybody."

title "Attempts that must fail"
refused 5 integrity ctl unwrap "$wrapped" --context call=9999
tell "The right wrapped key with another call's context: refused, \`integrity\`. Keys can't be swapped."
cp "$file" "$place/flipped.kms"
at=$(($(size "$file") - 1000))
byte=$(od -An -tu1 -j "$at" -N 1 "$file")
printf '%b' "\\x$(printf %02x $((byte ^ 1)))" |
	dd of="$place/flipped.kms" bs=1 seek="$at" conv=notrunc status=none
refused 5 integrity ctl decrypt "$place/flipped.kms" -o "$place/flipped.wav"
[[ ! -e $place/flipped.wav ]] || fail "a damaged recording left a file"
tell "One bit of the recording flipped: refused, \`integrity\`, and no half file is left."
cp "$BUILD/kmsctl" "$place/kmsctl"
chmod 755 "$place/kmsctl"
stranger=()
if ((EUID == 0)); then
	stranger=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups)
elif sudo -n -u "#$NOBODY" true 2>/dev/null; then
	stranger=(sudo -n -u "#$NOBODY")
fi
if ((${#stranger[@]})); then
	refused 1 denied "${stranger[@]}" env KMS_SOCKET="$SOCKET" "$place/kmsctl" issue rec-2026
	tell "Another Unix user asks for a key: refused, \`denied\`. The socket says who asks, nobody else."
else
	tell "(Another Unix user: skipped, it needs root or sudo.)"
fi

title "A stolen disk"
mkdir "$place/thief"
stop_kmsd
cp -a "$DIR/store" "$DIR/audit" "$DIR/tpm-auth" "$place/thief/"
start_kmsd
ctl wait >/dev/null
use_dir "$place/thief"
make_dirs
write_config tpm
start_tpm
start_kmsd
settled
why=$(KMS_SOCKET=$SOCKET "$BUILD/kmsctl" status --json | text why)
[[ $why == tpm_foreign ]] || fail "the stolen copy says \"$why\" instead of tpm_foreign"
refused 4 sealed ctl issue rec-2026
stop_kmsd
stop_tpm
tell "The whole folder, secrets and all, started beside another TPM: it stays sealed, \`$why\`."
use_dir "$place/home"
plays "$file"

title "The log"
count=$(ctl status --json | number audit_records)
denials=$(ctl audit tail --json | grep -c '"integrity"\|"denied"') || true
((denials >= 1)) || fail "the refusals are not in the log"
tell "Each of these acts left a record before its answer left kmsd, refusals too: $count so far."
stop_kmsd
stop_tpm
tell "Everything is stopped and removed. \`./dev up DIR\` gives you an instance of your own."
