/* SPDX-License-Identifier: Apache-2.0 */
/* Help of what opens the root key, and of backups. */
#include "kms/ctl/texts.h"

const char text_init[] =
    "Draws a root key and lets a slot seal it. With hardware (--slot, tpm if nothing is said) kmsd\n"
    "opens itself from then on when it starts. With --shares it is divided among N people, any K\n"
    "of whom open it together; with --shares alone no hardware is used. Works once: an instance\n"
    "that has a root key refuses. --dry-run asks the hardware whether it will do.\n"
    "\n"
    "Shares are shown once: on a terminal one at a time, so that each person sees only their own;\n"
    "or as a file each in --shares-out DIR; or with --json all in one object. --qr shows a QR code\n"
    "under each text, --png writes one beside each file: as secret as the text.\n"
    "\n"
    "Examples:\n"
    "  kmsctl init --slot tpm --dry-run\n"
    "  kmsctl init --slot tpm --shares 2/3 --qr\n"
    "  kmsctl init --shares 3/5\n";

const char text_unseal[] =
    "Tries the slots in their order, or only the one that --slot names, until one opens the\n"
    "root key. kmsd does so by itself when it starts; this is for after a repair.\n"
    "\n"
    "With shares it is a ceremony: each person runs it with --share -, at any terminal, types\n"
    "their share unseen, and is told how many are here. The first one begins the ceremony, whose\n"
    "time is limited; --ceremony joins that one only, --cancel ends it and forgets the shares.\n"
    "A share is never an argument.\n"
    "\n"
    "--accept-restore opens a store that is older than the hardware counter, or whose counter is\n"
    "gone: say so only where you put it there yourself. It is written into the audit log.\n"
    "\n"
    "Examples:\n"
    "  kmsctl unseal\n"
    "  kmsctl unseal --slot tpm\n"
    "  kmsctl unseal --share -\n"
    "  kmsctl unseal --share /media/stick/share-1-of-3\n";

const char text_slot_list[] = "A slot is one way to open the root key; any one of them is enough.\n"
                              "\n"
                              "Examples:\n"
                              "  kmsctl slot list\n"
                              "  kmsctl slot list --json | jq -r '.slots[].last'\n";

const char text_slot_check[] =
    "Asks the hardware of a slot (tpm if none is named) what it is and whether it has what kmsd\n"
    "needs. Changes nothing, so it may be asked before `kmsctl init`.\n"
    "\n"
    "Examples:\n"
    "  kmsctl slot check tpm\n";

const char text_slot_add[] =
    "One slot is one loss from nothing: with a second one, or with shares, a broken chip costs\n"
    "no key. SLOT is tpm, pkcs11, pkcs11:token=LABEL, or the name of a section of kms.conf.\n"
    "--shares K/N makes shares for N people, any K of whom open the root together. A slot counts\n"
    "only after it has opened the root in a fresh process. kmsd must be unsealed.\n"
    "\n"
    "Shares are shown once, as `kmsctl init --help` says.\n"
    "\n"
    "Examples:\n"
    "  kmsctl slot add --shares 2/3\n"
    "  kmsctl slot add pkcs11:token=office\n"
    "  kmsctl slot add tpm --dry-run\n";

const char text_slot_remove[] =
    "The slot opens the root key no more, for good; backups that were made before still open\n"
    "with it, so rotate the root as well where it may be in wrong hands. Refused unless another\n"
    "slot opens the root now; where only people's shares are left, say --rely-on-shares. Asks for\n"
    "the name to be typed; without a terminal it wants --yes.\n"
    "\n"
    "Examples:\n"
    "  kmsctl slot remove tpm --dry-run\n"
    "  kmsctl slot remove tpm --rely-on-shares\n";

const char text_root_rotate[] =
    "Draws a new root key, lets every slot seal it, and lets each prove that it opens; then the\n"
    "old one is forgotten. Data keys and what they protect stay as they are. People get new\n"
    "shares, and their old ones open old backups only. A slot that can't be reached stops it\n"
    "unless --leave-out names it; then it is removed. --store renews the store's key too, and\n"
    "seals every row anew. Asks for the word root to be typed; without a terminal it wants --yes.\n"
    "\n"
    "Examples:\n"
    "  kmsctl root rotate --dry-run\n"
    "  kmsctl root rotate --leave-out tpm --shares-out /media/stick/new --png\n";

const char text_backup_create[] =
    "Writes all keys, sealed, into one file of kmsd's backup folder, and reads it back. kmsd does\n"
    "so by itself on the days that kms.conf says. Copy the file to another host: it opens with\n"
    "any slot of this root, with shares too, and with nothing else.\n"
    "\n"
    "Examples:\n"
    "  kmsctl backup create\n"
    "  kmsctl backup create -q\n";

const char text_backup_list[] =
    "The files of kmsd's backup folder: when they were made, until when they are kept, and what\n"
    "opens them. The state old-root says that the root was rotated since: slots and shares of\n"
    "that time open it.\n"
    "\n"
    "Examples:\n"
    "  kmsctl backup list\n"
    "  kmsctl backup list --json | jq -r '.backups[] | select(.state == \"ok\") | .backup'\n";

const char text_backup_verify[] =
    "Reads a backup to its end and checks every byte. It proves that the file is whole; that it\n"
    "brings all keys back, only `kmsctl backup rehearse` proves.\n"
    "\n"
    "Examples:\n"
    "  kmsctl backup verify kms-2026-11-25.kmsb\n";

const char text_backup_restore[] =
    "Only on a new kmsd, one without a root key: put the file into its backup folder first. It\n"
    "says what opens the backup; the next `kmsctl unseal`, or as many people with their shares\n"
    "as are needed, makes it this instance's store. Add this host's slot afterwards.\n"
    "\n"
    "Examples:\n"
    "  kmsctl backup restore kms-2026-11-25.kmsb --dry-run\n"
    "  kmsctl backup restore kms-2026-11-25.kmsb\n"
    "  kmsctl unseal --share -\n";

const char text_backup_rehearse[] =
    "Restores a backup (the newest good one if none is named) into a kmsd that is thrown away, in\n"
    "a folder of its own under $TMPDIR or /run, opens it with the slots of this host or with the\n"
    "shares that --share gives, and holds every key version against the live kmsd: both must give\n"
    "the same answer to a random challenge. Up to 100 keys are issued here and unwrapped there.\n"
    "No key leaves either; the live one only notes the outcome. What was made after the backup is\n"
    "named, and is no failure. Ends with 0 only if everything matched.\n"
    "\n"
    "Run it on kmsd's host as root or as its user: it reads the backup and kms.conf itself.\n"
    "\n"
    "Examples:\n"
    "  kmsctl backup rehearse\n"
    "  kmsctl backup rehearse --share /media/a/share-1-of-3 --share /media/b/share-2-of-3\n"
    "  kmsctl backup rehearse --json | jq .ok\n";

const char text_policy_check[] =
    "Reads a policy and says with line and column what is wrong with it. Needs no kmsd, and kmsd\n"
    "does not apply a policy yet. Ends with 0 if there is no error.\n"
    "\n"
    "Examples:\n"
    "  kmsctl policy check policy.conf\n";

const char text_policy_explain[] =
    "Whether the policy would allow it now, and by which lines. Needs no kmsd, which does not\n"
    "apply a policy yet. --class names the key's class.\n"
    "\n"
    "Examples:\n"
    "  kmsctl policy explain policy.conf unix:asterisk issue rec-2026 --class recording\n";

const char text_policy_diff[] =
    "Who could do more and who less with the second policy. Needs no kmsd, which does not apply\n"
    "a policy yet. What can't be shown to be covered is told as gained and as lost.\n"
    "\n"
    "Examples:\n"
    "  kmsctl policy diff old.conf new.conf\n";
