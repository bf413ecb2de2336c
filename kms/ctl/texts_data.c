/* SPDX-License-Identifier: Apache-2.0 */
/* As texts.c, for the commands that handle data, and for the audit log. */
#include "kms/ctl/texts.h"

const char text_issue[] =
    "Prints the wrapped key in base64, one a line; keep it with the data. The clear key, 32\n"
    "bytes, goes only where you say: to --key-out, or with --json into `plaintext`; it is never\n"
    "shown on a terminal. The context is bound to the wrapped key: without the very same pairs\n"
    "it does not open.\n"
    "\n"
    "Examples:\n"
    "  kmsctl issue rec-2026 --context call=0001 --key-out call.key > call.wrapped\n"
    "  kmsctl issue rec-2026 --context call=0001 --wrapped-only\n"
    "  kmsctl issue rec-2026 --count 100 --json > keys.jsonl\n"
    "  kmsctl issue rec-2026 --key-out fd:3 3> >(recorder --key-from-stdin)\n";

const char text_wrap[] =
    "Reads 1 byte to 64 KiB from a file or stdin and prints the wrapped form in base64. For\n"
    "more, use `kmsctl encrypt`.\n"
    "\n"
    "Examples:\n"
    "  printf %s \"$card\" | kmsctl wrap crm --context record=4711 --context field=card\n"
    "  kmsctl wrap crm note.txt -o note.wrapped\n";

const char text_unwrap[] =
    "Reads one wrapped key, base64 or binary, from a file or stdin and writes the clear bytes as\n"
    "they are: to -o, to a pipe, or with --json in base64; never to a terminal. The context must\n"
    "be the one it was wrapped with.\n"
    "\n"
    "Examples:\n"
    "  kmsctl unwrap call.wrapped --context call=0001 -o call.key\n"
    "  kmsctl unwrap --context call=0001 --json < call.wrapped\n";

const char text_rewrap[] =
    "Wraps the same data key under the active version, without showing it to anybody; prints\n"
    "base64. Reads one wrapped key, base64 or binary, or one base64 line for each of many: then\n"
    "each line gives one line, in order. --new-context binds to other pairs. A file that\n"
    "kmsctl encrypt made is rewrapped in place.\n"
    "\n"
    "Examples:\n"
    "  kmsctl rewrap call.wrapped --context call=0001 -o call.wrapped\n"
    "  kmsctl rewrap all.wrapped > new.wrapped\n"
    "  kmsctl rewrap call.kms\n"
    "  kmsctl rewrap call.wrapped --context call=1 --new-context call=1 --new-context site=b\n";

const char text_mac[] =
    "The 32 bytes in base64. The same bytes, key version and context always give the same value,\n"
    "so that a record can be found by it and not be read from it. Rotating the key changes it.\n"
    "\n"
    "Examples:\n"
    "  printf %s \"$phone\" | kmsctl mac crm-index\n";

const char text_random[] =
    "From kmsd's generator, which the hardware feeds; 32 bytes if no number is given, 65,536 at\n"
    "most. Binary goes to a file or a pipe, --base64 text anywhere.\n"
    "\n"
    "Examples:\n"
    "  kmsctl random 16 --base64\n"
    "  kmsctl random 32 -o seed.bin\n";

const char text_encrypt[] =
    "Issues a data key and encrypts a stream of any size. The file names its key and holds the\n"
    "wrapped data key and the context, so it alone can be decrypted; with --hide-context it\n"
    "holds the context's names only, and decrypt must be told the values.\n"
    "The new file appears under its name when it is whole, on the disk, and has been read back.\n"
    "Only then does --rm remove the clear file; with it the data key is asked from kmsd once\n"
    "more for the proof, where that is allowed.\n"
    "\n"
    "Examples:\n"
    "  kmsctl encrypt rec-2026 call.wav -o call.kms --context call=0001 --rm\n"
    "  pg_dump crm | kmsctl encrypt backups - -o crm.kms\n";

const char text_decrypt[] =
    "Writes the clear file, or to stdout as it goes with `-o -`. A file that was changed or cut\n"
    "is refused, and nothing is left of it; a stream ends with a failure then, so look at the\n"
    "exit status before you use what came.\n"
    "If the version that wraps the file's key is compromised, the file is decrypted and stderr (or\n"
    "\"compromised\" in --json) says so.\n"
    "\n"
    "Examples:\n"
    "  kmsctl decrypt call.kms -o call.wav\n"
    "  kmsctl decrypt call.kms -o - | aplay\n"
    "  kmsctl decrypt hidden.kms --context call=0001 -o call.wav\n";

const char text_inspect[] =
    "Reads a wrapped key (base64 or binary) or an encrypted file, and tells which key and version\n"
    "opens it and which context it names. Needs no kmsd and no key; therefore nothing of it is\n"
    "proven: only unwrap and decrypt prove.\n"
    "\n"
    "Examples:\n"
    "  kmsctl inspect call.kms\n"
    "  kmsctl issue rec-2026 --wrapped-only | kmsctl inspect - --json\n";

const char text_audit_tail[] =
    "One line for each record: its number, when, who, what, on which key, and how it went. With\n"
    "--json one object a line. -f goes on until it is stopped. Reading leaves a record itself, and\n"
    "so does asking for the names of keys: records hold ids alone.\n"
    "\n"
    "Examples:\n"
    "  kmsctl audit tail --lines 20\n"
    "  kmsctl audit tail -f --json | jq -c 'select(.result == \"denied\")'\n";

const char text_audit_show[] =
    "Everything that the record holds, and its exact bytes in base64. Digests and tags can be\n"
    "confirmed by whoever has the audit key, and say nothing to others.\n"
    "\n"
    "Examples:\n"
    "  kmsctl audit show 17\n"
    "  kmsctl audit show 17 --json\n";
