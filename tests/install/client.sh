#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# client.sh CMAKE BUILD SOURCE CC: libkms as a packager installs it and a reader of the guide
# uses it. The examples must build from the installed files alone, and the library must export
# kms_* and nothing else.
set -eu
cmake=$1 build=$2 source=$3 cc=$4

# A library built for a sanitizer needs that sanitizer's flags in every program.
if grep -q '^KMS_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then
	exit 77
fi

at=$(mktemp -d /tmp/kms-install-XXXXXX)
trap 'rm -rf "$at"' EXIT
"$cmake" --install "$build" --prefix "$at" --component client >"$at/log"

pc=$(dirname "$(find "$at" -name kms.pc)")
export PKG_CONFIG_PATH="$pc"
for example in recorder playback; do
	# shellcheck disable=SC2046
	"$cc" -std=c99 -D_GNU_SOURCE -Wall -Wextra -Werror "$source/docs/examples/$example.c" \
		$(pkg-config --cflags --libs kms) -o "$at/$example"
done
lib=$(pkg-config --variable=libdir kms)
status=0
LD_LIBRARY_PATH="$lib" "$at/recorder" 2>"$at/usage" || status=$?
[ "$status" = 2 ] && grep -q '^usage: recorder' "$at/usage"

other=$(nm -D --defined-only "$lib/libkms.so" | awk '$3 !~ /^kms_/ {print $3}')
[ -z "$other" ] || { echo "exported: $other"; exit 1; }
