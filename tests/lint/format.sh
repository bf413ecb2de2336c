#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every .c and .h is as clang-format would leave it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t files < <(find kms proto tpm pkcs11 tests -name '*.[ch]' 2>/dev/null | sort)
status=0
clang-format-14 --dry-run --Werror --ferror-limit=3 "${files[@]}" || status=1
((status == 0)) || echo 'what to do: clang-format-14 -i FILE, and read what it did'
exit "$status"
