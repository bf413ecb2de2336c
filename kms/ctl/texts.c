/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help that teaches: what the command does, what it does not, and examples that work as they
 * stand. Kept apart from the table, which a reader wants to see whole. Slots and
 * backups: texts_admin.c; data: texts_data.c.
 */
#include "kms/ctl/texts.h"

const char text_status[] =
    "Says whether kmsd serves, and if not, why and what to do. Anybody who may open the socket\n"
    "may ask. Ends with 0 whatever the state is: to act on it, use `kmsctl wait` or the field\n"
    "`sealed` of the JSON.\n"
    "\n"
    "Examples:\n"
    "  kmsctl status\n"
    "  kmsctl status --json | jq .sealed\n"
    "  kmsctl status -q        # one word: unsealed, sealed, uninitialised …\n";

const char text_wait[] =
    "Returns when kmsd answers and is unsealed. Without --timeout it waits for ever; after the\n"
    "timeout it ends with 4 if kmsd is sealed, with 8 if it does not answer.\n"
    "\n"
    "Examples:\n"
    "  kmsctl wait --timeout 30s && start-recorder\n";

const char text_seal[] =
    "Every key leaves kmsd's memory; until `kmsctl unseal` or a restart all requests but status\n"
    "and unseal are refused with `sealed`. Nothing is lost.\n"
    "\n"
    "Examples:\n"
    "  kmsctl seal --dry-run\n"
    "  kmsctl seal\n";

const char text_whoami[] =
    "The identity that kmsd derives from the socket, your groups as it sees them, and whether\n"
    "you may do everything. A new group counts after you have logged in again.\n"
    "\n"
    "Examples:\n"
    "  kmsctl whoami\n"
    "  kmsctl whoami -q\n";

const char text_doctor[] =
    "Checks the socket, your rights, the state, locked memory, the audit log, the hardware\n"
    "counter, each slot, restarts, versions and the clock. Each line says ok, warn or fail, and\n"
    "what to do. Ends with 0 if nothing failed, else with the status of the first failure.\n"
    "\n"
    "Examples:\n"
    "  kmsctl doctor\n"
    "  kmsctl doctor --json | jq '.checks[] | select(.result != \"ok\")'\n";

const char text_metrics[] = "Prometheus text; with --json one object of names and values.\n"
                            "\n"
                            "Examples:\n"
                            "  kmsctl metrics > /var/lib/node_exporter/kms.prom\n";

const char text_completion[] =
    "Made from the same table as the commands themselves. Packages install it.\n"
    "\n"
    "Examples:\n"
    "  . <(kmsctl completion)\n";

const char text_version[] = "Needs no kmsd; `kmsctl status` names the version of the service.\n"
                            "\n"
                            "Examples:\n"
                            "  kmsctl version\n";

const char text_key_create[] =
    "A name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or a digit. The first\n"
    "version is active at once. aes-256-kwp is for interchange and binds no context.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key create rec-2026 --rotate-every 90d\n"
    "  kmsctl key create crm --class crm --algorithm aes-256-gcm\n";

const char text_key_list[] =
    "All of them, in the order of their names.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key list\n"
    "  kmsctl key list -q | while read -r key; do kmsctl key rotate \"$key\"; done\n";

const char text_key_show[] =
    "The key, its versions with their states, and how often each was used. Counts may\n"
    "be too high after a crash, never too low.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key show rec-2026\n"
    "  kmsctl key show rec-2026 --version 1 --json | jq '.versions[0].issued'\n";

const char text_key_rotate[] =
    "The new version wraps from now on; the old one is deactivated and still unwraps. Wrapped\n"
    "keys that you hold stay valid; `kmsctl rewrap` moves them when you like.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key rotate rec-2026 --reason \"yearly\"\n";

const char text_key_suspend[] =
    "A suspended version neither wraps nor unwraps until it is resumed. Without --version the\n"
    "active one; then nothing is issued under the key.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key suspend rec-2026 --reason \"incident 12\"\n";

const char text_key_resume[] =
    "The version becomes active again, or, where another one is active meanwhile, unwraps only.\n"
    "Without --version the newest suspended one.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key resume rec-2026\n";

const char text_key_deactivate[] =
    "It unwraps what it has wrapped and wraps no more; that can't be undone. Without --version\n"
    "the active one: then the key issues nothing until it is rotated.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key deactivate rec-2025\n"
    "  kmsctl key deactivate rec-2025 --version 3 --yes\n";

const char text_key_compromise[] =
    "It unwraps, so that data can be moved, and each answer says that it is compromised. That\n"
    "can't be undone. Without --version the active one: rotate the key at once.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key compromise rec-2026 --version 1 --reason \"copied in March\"\n"
    "  kmsctl key rotate rec-2026\n";

const char text_key_destroy[] =
    "The bits are gone; what is wrapped under them can never be opened again, by anybody.\n"
    "Without --version every version of the key is destroyed. It says before how many that are\n"
    "and how often they were used, and asks for the name to be typed; without a terminal it\n"
    "wants --yes. --reason is kept with the version.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key destroy rec-2019 --dry-run\n"
    "  kmsctl key destroy rec-2019 --reason \"retention ended\"\n"
    "  kmsctl key destroy rec-2026 --version 1 --yes\n";

const char text_key_cancel_destroy[] =
    "Takes back a destruction that has been asked for and still waits. This version of kmsd\n"
    "destroys at once, so there is never one to take back.\n"
    "\n"
    "Examples:\n"
    "  kmsctl key cancel-destroy rec-2019\n";
