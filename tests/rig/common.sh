# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What up.sh, down.sh and demo.sh share: where an instance keeps its things, starting and stopping
# its software TPM or token and its kmsd. Sourced, never run. Nothing here installs or builds.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${KMS_BUILD:-$ROOT/build}
SOCKET_MAX=99 # bytes of a socket's path: 107 is the kernel's limit, `.ctrl` comes on top

say() { printf '%s\n' "$*" >&2; }

fail() {
	say "error: $*"
	exit 1
}

# there PID: the process is there and is no zombie, whatever it is called (it may be about to
# become what we started).
there() {
	local stat
	[[ $1 =~ ^[0-9]+$ ]] || return 1
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
	stat=${stat##*) }
	[[ ${stat:0:1} != Z ]]
}

# alive PID NAME: the process is there and is what we think it is.
alive() {
	local stat
	there "$1" && read -r stat 2>/dev/null <"/proc/$1/stat" && [[ $stat == "$1 ($2)"* ]]
}

# pid_of FILE NAME: prints the id that the file holds, if that process lives.
pid_of() {
	local pid
	[[ -s $1 ]] && pid=$(<"$1") && alive "$pid" "$2" && printf '%s\n' "$pid"
}

# gone PID NAME SECONDS: waits until the process has ended.
gone() {
	local pid=$1 name=$2 end=$((SECONDS + $3))
	while alive "$pid" "$name"; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

# use_dir DIR: names everything of the instance. Folders are made by make_dirs.
use_dir() {
	DIR=$1
	RUN=$DIR/run
	if ((${#DIR} + 13 > SOCKET_MAX)) && [[ -L $RUN ]]; then
		RUN=$(readlink "$RUN")
	fi
	SOCKET=$RUN/kms.sock
	TPM_SOCKET=$RUN/tpm
	TCTI=swtpm:path=$TPM_SOCKET
	TOKEN_CONF=$DIR/softhsm/softhsm2.conf
}

# make_dirs: all folders, closed to others. A path too long for a socket gets a short folder
# under /tmp, which DIR/run names.
make_dirs() {
	(umask 077 && mkdir -p "$DIR"/{store,audit,backup,tpm})
	if ((${#DIR} + 13 > SOCKET_MAX)); then
		if [[ ! -d $RUN || $RUN == "$DIR/run" ]]; then
			RUN=$(mktemp -d /tmp/kms-run-XXXXXX)
			ln -sfn "$RUN" "$DIR/run"
			[[ ! -s $DIR/kms.conf ]] || sed -i "s|/tmp/kms-run-......|$RUN|" "$DIR/kms.conf"
		fi
	else
		(umask 077 && mkdir -p "$RUN")
	fi
	use_dir "$DIR"
}

# token_module: prints the path of SoftHSM's library; distributions differ.
token_module() {
	local module
	for module in /usr/lib/softhsm /usr/lib64/softhsm /usr/lib64/pkcs11 /usr/local/lib/softhsm; do
		[[ -r $module/libsofthsm2.so ]] || continue
		printf '%s\n' "$module/libsofthsm2.so"
		return 0
	done
	fail "SoftHSM's library is missing; install softhsm2"
}

# made_with: the slot that the instance was made with.
made_with() {
	if [[ -s $DIR/slot ]]; then
		cat "$DIR/slot"
	elif [[ -d $DIR/softhsm ]]; then
		printf 'pkcs11\n'
	else
		printf 'tpm\n'
	fi
}

# make_token: a software token "kms" and its PINs, once. One whose PIN was not written down is thrown
# away.
make_token() {
	local pin so_pin
	[[ ! -s $DIR/pkcs11-pin ]] || return 0
	rm -rf "$DIR/softhsm"
	(umask 077 && mkdir -p "$DIR/softhsm/tokens")
	cat >"$TOKEN_CONF" <<CONF
directories.tokendir = $DIR/softhsm/tokens
objectstore.backend = file
log.level = ERROR
CONF
	pin=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
	so_pin=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
	SOFTHSM2_CONF=$TOKEN_CONF softhsm2-util --init-token --free --label kms \
		--pin "$pin" --so-pin "$so_pin" >>"$DIR/softhsm/log" 2>&1 ||
		give_up "$DIR/softhsm/log" "the software token could not be made (softhsm2-util)"
	(umask 077 && printf '%s\n' "$so_pin" >"$DIR/pkcs11-so-pin" &&
		printf '%s\n' "$pin" >"$DIR/pkcs11-pin")
}

# hardware_section SLOT: the part of kms.conf that says where the slot's hardware is.
hardware_section() {
	case $1 in
	tpm | shares) cat <<CONF ;;
tpm {
	tcti = "$TCTI"
	auth_file = "$DIR/tpm-auth"
	pcrs = {7}
	deadline = "${KMS_RIG_DEADLINE:-20s}"
}
CONF
	pkcs11) cat <<CONF ;;
pkcs11 hsm {
	module = "$(token_module)"
	environment = {"SOFTHSM2_CONF=$TOKEN_CONF"}
	token = "kms"
	pin_file = "$DIR/pkcs11-pin"
	deadline = "${KMS_RIG_DEADLINE:-20s}"
}
CONF
	esac
}

# write_config SLOT: the auth value of the TPM's slot and kms.conf, once. 256 MiB of locked memory are
# more than many shells may have; then the instance runs without, and kmsd says so.
write_config() {
	local unlocked=false limit
	ulimit -H -l unlimited 2>/dev/null || true # root may
	limit=$(ulimit -H -l)
	[[ $limit == unlimited ]] || ((limit >= 262144)) || unlocked=true
	if [[ ! -s $DIR/tpm-auth ]]; then
		(umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$DIR/tpm-auth")
	fi
	[[ -s $DIR/kms.conf ]] || cat >"$DIR/kms.conf" <<CONF
# Written by ./dev up. See kms.conf(5).
socket = "$SOCKET"
socket_mode = "${KMS_RIG_SOCKET_MODE:-0600}"
socket_group = ""
admin_group = ""
store = "$DIR/store"
audit = "$DIR/audit"
backup = "$DIR/backup"
audit_segment = ${KMS_RIG_SEGMENT:-16777216}
helper = "$BUILD/kms-seal"
allow_unlocked = $unlocked
$(hardware_section "$1")
CONF
}

write_env() {
	cat >"$DIR/env" <<ENV
# Source this to talk to the instance in $DIR.
export KMS_SOCKET='$SOCKET'
export KMS_CONFIG='$DIR/kms.conf'
export TPM2TOOLS_TCTI='$TCTI'
case ":\$PATH:" in
*':$BUILD:'*) ;;
*) export PATH='$BUILD':"\$PATH" ;;
esac
ENV
	[[ ! -d $DIR/softhsm ]] || printf "export SOFTHSM2_CONF='%s'\n" "$TOKEN_CONF" >>"$DIR/env"
}

start_tpm() {
	pid_of "$DIR/swtpm.pid" swtpm >/dev/null && return 0
	rm -f "$TPM_SOCKET" "$TPM_SOCKET.ctrl"
	swtpm socket --tpm2 --tpmstate "dir=$DIR/tpm" --server "type=unixio,path=$TPM_SOCKET" \
		--ctrl "type=unixio,path=$TPM_SOCKET.ctrl" --flags not-need-init,startup-clear \
		--log "file=$DIR/swtpm.log,level=1" --daemon --pid "file=$DIR/swtpm.pid" \
		>>"$DIR/swtpm.log" 2>&1 ||
		give_up "$DIR/swtpm.log" "the software TPM did not start (swtpm)"
}

# A TPM that is stopped without TPM2_Shutdown counts that as a failed try of a protected object.
stop_tpm() {
	local pid
	pid=$(pid_of "$DIR/swtpm.pid" swtpm) || return 0
	tpm2_shutdown -c -T "$TCTI" >/dev/null 2>&1 || true
	kill "$pid" 2>/dev/null || true
	gone "$pid" swtpm 5 || kill -9 "$pid" 2>/dev/null || true
	rm -f "$DIR/swtpm.pid"
}

start_kmsd() {
	pid_of "$DIR/kmsd.pid" kmsd >/dev/null && return 0
	ulimit -S -l "$(ulimit -H -l)" 2>/dev/null || true
	setsid nohup "$BUILD/kmsd" -c "$DIR/kms.conf" </dev/null >>"$DIR/kmsd.log" 2>&1 &
	echo $! >"$DIR/kmsd.pid"
	disown
	wait_answer
}

# From the start of the process to its first answer, whatever that says. A process that has ended
# is noticed at once.
wait_answer() {
	local end=$((SECONDS + 30))
	until KMS_SOCKET=$SOCKET "$BUILD/kmsctl" status --json >/dev/null 2>&1; do
		there "$(<"$DIR/kmsd.pid")" ||
			give_up "$DIR/kmsd.log" "kmsd ended while it was starting"
		((SECONDS < end)) || give_up "$DIR/kmsd.log" "kmsd did not answer within 30 s"
		sleep 0.02
	done
}

stop_kmsd() {
	local pid
	pid=$(pid_of "$DIR/kmsd.pid" kmsd) || return 0
	kill "$pid" 2>/dev/null || true
	if ! gone "$pid" kmsd 20; then
		say "kmsd did not stop within 20 s; killing it"
		kill -9 "$pid" 2>/dev/null || true
		gone "$pid" kmsd 5 || true
	fi
	rm -f "$DIR/kmsd.pid"
}

# state: what kmsd says of itself: uninitialised, sealed, opening, unsealed, store_failed.
state() {
	KMS_SOCKET=$SOCKET "$BUILD/kmsctl" status --json 2>/dev/null |
		sed -n 's/.*"state": *"\([a-z_]*\)".*/\1/p' | head -n 1
}

# settled: waits until kmsd has tried its slots.
settled() {
	local end=$((SECONDS + 30))
	while [[ $(state) == opening ]]; do
		((SECONDS < end)) || give_up "$DIR/kmsd.log" "kmsd did not try its slots within 30 s"
		sleep 0.02
	done
}

# unseal_with_shares: the people of DIR/shares come, one after the other, until it serves. Said where
# it helps nothing: the root may have been rotated since.
unseal_with_shares() {
	local share
	for share in "$DIR"/shares/*; do
		[[ $(state) == sealed ]] || break
		KMS_SOCKET=$SOCKET "$BUILD/kmsctl" unseal --share "$share" >/dev/null 2>>"$DIR/kmsd.log" ||
			say "the share $share does not help"
	done
}

# give_up LOG WHY: the end of the log, and what to do.
give_up() {
	say "error: $2"
	if [[ -s $1 ]]; then
		say "--- the end of $1"
		tail -n 15 "$1" >&2
		say "---"
	fi
	say "what to do: read the lines above; \`./dev down $DIR\` stops what still runs, and"
	say "\`./dev up $DIR\` tries again. Nothing in the folder was removed."
	exit 1
}
