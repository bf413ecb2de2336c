#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh: the main job on a real voice, told in plain words, and then the loss of the hardware that
# opened everything; in a temporary place; leaves nothing running and nothing behind. Ends with 0 only if every step went as told, refusals included.
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
	for dir in "$place/home" "$place/thief" "$place/second"; do
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
	local said
	said=$(ctl decrypt "$1" -o "$place/heard.wav" 2>&1) || fail "$1 does not play: $said"
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
KMS_RIG_SOCKET_MODE=0666 "$ROOT/tests/rig/up.sh" "$place/home" --slot tpm --shares 2/3 \
	2>/dev/null ||
	fail "the instance did not start"
use_dir "$place/home"
chmod 711 "$RUN"
tell "kmsd runs with a software TPM. It drew a root key and let the TPM seal it: on the disk"
tell "there is nothing that opens without this very chip."
mv "$DIR/shares" "$place/people"
tell "Three people got a line of text each, a share: any two of them open it as well, chip or not."
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

title "A backup"
backup=$(ctl backup create -q)
cp "$DIR/backup/$backup" "$place/"
tell "One file of $(size "$place/$backup") bytes, copied to another place. It is sealed like the store: it opens"
tell "with this TPM, or with two of the three shares, and with nothing else."
rehearsed=$(KMS_CONFIG=$DIR/kms.conf TMPDIR=$place ctl backup rehearse --json)
[[ $rehearsed == *'"ok":true'* ]] || fail "the rehearsal says $rehearsed"
tell "Who steals it has noise. It holds the keys and their states, not the recordings."
tell "A rehearsal restored it beside the service and compared every key: it would bring all back."

title "The fire"
kill -9 "$(pid_of "$DIR/swtpm.pid" swtpm)"
stop_kmsd
rm -rf "$DIR"
tell "The TPM is gone, and with it the folder: store, log and settings. What is left are the"
tell "recordings, the copy of the backup, and three people. With the TPM alone this would have"
tell "been the end: nobody could open a recording again, not even its maker."

title "Another host, with an HSM"
use_dir "$place/second"
make_dirs
make_token
write_config pkcs11
cp "$place/$backup" "$DIR/backup/"
start_kmsd
settled
tell "A new kmsd, with a PKCS#11 token (SoftHSM) and no TPM. It has never seen a key."
said=$(ctl backup restore "$backup" --json 2>/dev/null)
[[ $said == *"can't be known"* ]] || fail "the restore does not say that the log is lost: $said"
refused 4 sealed ctl issue rec-2026
tell "It took the backup and stays sealed. It also says what nobody can know any more: what was"
tell "destroyed after the backup, since that log burned too."

title "Two of three people"
share=$(<"$place/people/share-3-of-3")
[[ ${share:20:1} == Q ]] && slip=P || slip=Q
printf '%s\n' "${share:0:20}$slip${share:21}" >"$place/slip"
refused 5 "character 21" ctl unseal --share "$place/slip"
tell "The third person mistyped one letter: refused, and told which letter it is."
ctl unseal --share "$place/people/share-3-of-3" >/dev/null 2>&1
[[ $(state) == sealed ]] || fail "one share alone opened it"
tell "Then the right share: still sealed, and one share says nothing about the key."
refused 6 exists ctl unseal --share "$place/people/share-3-of-3"
ctl unseal --share "$place/people/share-1-of-3" >/dev/null 2>&1
[[ $(state) == unsealed ]] || fail "two shares did not open it"
tell "The same share again: refused, \`exists\`. The first person's: it is open. The second was on leave."
plays "$file"
tell "Yesterday's recording plays, byte for byte, on a machine that has nothing of the old one."

title "As before"
ctl slot add hsm >/dev/null 2>&1
ctl slot remove tpm --yes >/dev/null 2>&1
stop_kmsd
start_kmsd
ctl wait >/dev/null
plays "$file"
tell "The token seals the root key now, and the burned chip's slot is gone. Restarted: it opens by"
tell "itself again, with no person and no passphrase."

title "A person leaves"
ctl root rotate --shares-out "$place/new-people" --yes >/dev/null 2>&1
tell "The third person resigns, share in hand. A new root key is drawn, the token seals it, three"
tell "new shares are given out; no recording and no wrapped key had to be touched."
plays "$file"
ctl seal >/dev/null 2>&1
refused 5 share_foreign ctl unseal --share "$place/people/share-3-of-3"
tell "The old share: refused, \`share_foreign\`. Two old ones open old copies of backups only."
ctl unseal >/dev/null 2>&1
plays "$file"
tell "The backups here open with the new shares already. No single thing that can break, burn or"
tell "leave takes the recordings with it, and a share alone is worth nothing."
stop_kmsd
tell "Everything is stopped and removed. \`./dev up DIR\` gives you an instance of your own."
