/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of commands. Order: that of the manual; commands of a noun stand together. */
#include "kms/ctl/command.h"

#include <string.h>

#include "kms/ctl/text.h"
#include "kms/ctl/texts.h"

enum {
	DISTANCE_MAX = 3 /* edits that still count as a slip */
};

#define O(name) OPT_BIT(OPT_##name)

enum {
	CHANGE = O(DRY_RUN),
	CHANGE_VERSION = O(DRY_RUN) | O(VERSION) | O(REASON),
	FINAL = CHANGE_VERSION | O(YES), /* can't be undone */
	HAND_OUT = O(SHARES_OUT) | O(QR) | O(PNG)
};

/* clang-format off */
const struct command commands[] = {
	/* noun   verb              words                 operand           min max options */
	{ NULL,   "init",           "",                   OPERAND_NONE,      0, 0, 
	  CHANGE | O(SLOT) | O(SHARES) | HAND_OUT,
	  cmd_init, "make the root key, once in an instance's life", text_init },
	{ NULL,   "status",         "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_status, "how kmsd is, at a glance", text_status },
	{ NULL,   "wait",           "",                   OPERAND_NONE,      0, 0, O(TIMEOUT),
	  cmd_wait, "wait until kmsd is unsealed", text_wait },
	{ NULL,   "seal",           "",                   OPERAND_NONE,      0, 0, CHANGE,
	  cmd_seal, "make kmsd forget every key in its memory", text_seal },
	{ NULL,   "unseal",         "",                   OPERAND_NONE,      0, 0, 
	  CHANGE | O(SLOT) | O(SHARE) | O(CEREMONY) | O(CANCEL) | O(ACCEPT_RESTORE),
	  cmd_unseal, "open the root key with a slot", text_unseal },
	{ NULL,   "whoami",         "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_whoami, "who kmsd takes you for", text_whoami },
	{ NULL,   "doctor",         "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_doctor, "check everything, and say what to do", text_doctor },
	{ NULL,   "metrics",        "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_metrics, "counters and gauges for Prometheus", text_metrics },
	{ NULL,   "completion",     "[bash]",             OPERAND_NONE,      0, 1, 0,
	  cmd_completion, "print the completion script for bash", text_completion },
	{ NULL,   "version",        "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_version, "the version of kmsctl", text_version },
	{ "slot", "list",           "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_slot_list, "the slots that open the root key", text_slot_list },
	{ "slot", "check",          "[SLOT]",             OPERAND_SLOT,      0, 1, 0,
	  cmd_slot_check, "ask the hardware whether it will do", text_slot_check },
	{ "slot", "add",            "[SLOT]",             OPERAND_OTHER,     0, 1,
	  CHANGE | O(SHARES) | HAND_OUT,
	  cmd_slot_add, "one more way to open the root key", text_slot_add },
	{ "slot", "remove",         "NAME",               OPERAND_SLOT,      1, 1,
	  CHANGE | O(RELY_ON_SHARES) | O(YES),
	  cmd_slot_remove, "take a slot away for good", text_slot_remove },
	{ "root", "rotate",         "",                   OPERAND_NONE,      0, 0,
	  CHANGE | O(STORE) | O(LEAVE_OUT) | HAND_OUT | O(YES),
	  cmd_root_rotate, "make a new root key under every slot", text_root_rotate },
	{ "key",  "create",         "NAME",               OPERAND_OTHER,     1, 1,
	  CHANGE | O(CLASS) | O(ALGORITHM) | O(ROTATE_EVERY),
	  cmd_key_create, "make a master key", text_key_create },
	{ "key",  "list",           "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_key_list, "all master keys", text_key_list },
	{ "key",  "show",           "NAME",               OPERAND_KEY,       1, 1, O(VERSION),
	  cmd_key_show, "one master key and its versions", text_key_show },
	{ "key",  "rotate",         "NAME",               OPERAND_KEY,       1, 1, CHANGE | O(REASON),
	  cmd_key_change, "make a new active version", text_key_rotate },
	{ "key",  "suspend",        "NAME",               OPERAND_KEY,       1, 1, CHANGE_VERSION,
	  cmd_key_change, "stop all use of a version, for now", text_key_suspend },
	{ "key",  "resume",         "NAME",               OPERAND_KEY,       1, 1, CHANGE_VERSION,
	  cmd_key_change, "take a suspended version into use again", text_key_resume },
	{ "key",  "deactivate",     "NAME",               OPERAND_KEY,       1, 1, FINAL,
	  cmd_key_change, "let a version unwrap only, for ever", text_key_deactivate },
	{ "key",  "compromise",     "NAME",               OPERAND_KEY,       1, 1, FINAL,
	  cmd_key_change, "mark a version as known to others", text_key_compromise },
	{ "key",  "destroy",        "NAME",               OPERAND_KEY,       1, 1, FINAL,
	  cmd_key_change, "destroy a version, or the whole key", text_key_destroy },
	{ "key",  "cancel-destroy", "NAME",               OPERAND_KEY,       1, 1, CHANGE_VERSION,
	  cmd_key_change, "take back a destruction that waits", text_key_cancel_destroy },
	{ NULL,   "issue",          "NAME",               OPERAND_KEY,       1, 1,
	  O(CONTEXT) | O(ISSUE_COUNT) | O(WRAPPED_ONLY) | O(KEY_OUT),
	  cmd_issue, "a fresh data key, wrapped", text_issue },
	{ NULL,   "wrap",           "NAME [FILE|-]",      OPERAND_KEY_FILE,  1, 2,
	  O(CONTEXT) | O(OUTPUT),
	  cmd_wrap, "wrap bytes of your own", text_wrap },
	{ NULL,   "unwrap",         "[FILE|-]",           OPERAND_FILE,      0, 1,
	  O(CONTEXT) | O(OUTPUT),
	  cmd_unwrap, "the clear key of a wrapped one", text_unwrap },
	{ NULL,   "rewrap",         "[FILE|-]",           OPERAND_FILE,      0, 1,
	  O(CONTEXT) | O(NEW_CONTEXT) | O(OUTPUT),
	  cmd_rewrap, "move wrapped keys to the active version", text_rewrap },
	{ NULL,   "mac",            "NAME [FILE|-]",      OPERAND_KEY_FILE,  1, 2,
	  O(CONTEXT) | O(OUTPUT),
	  cmd_mac, "HMAC-SHA-256 of bytes, for blind indexes", text_mac },
	{ NULL,   "random",         "[BYTES]",            OPERAND_OTHER,     0, 1,
	  O(OUTPUT) | O(BASE64),
	  cmd_random, "random bytes", text_random },
	{ NULL,   "encrypt",        "NAME FILE|-",        OPERAND_KEY_FILE,  2, 2,
	  O(CONTEXT) | O(HIDE_CONTEXT) | O(OUTPUT) | O(REMOVE) | O(DRY_RUN),
	  cmd_encrypt, "encrypt a file under a data key of its own", text_encrypt },
	{ NULL,   "decrypt",        "FILE|-",             OPERAND_FILE,      1, 1,
	  O(CONTEXT) | O(OUTPUT),
	  cmd_decrypt, "decrypt what encrypt wrote", text_decrypt },
	{ NULL,   "inspect",        "FILE|-",             OPERAND_FILE,      1, 1, 0,
	  cmd_inspect, "what a wrapped key or a file says of itself", text_inspect },
	{ "audit", "tail",          "",                   OPERAND_NONE,      0, 0,
	  O(FOLLOW) | O(LINES),
	  cmd_audit_tail, "the newest records of the audit log", text_audit_tail },
	{ "audit", "show",          "SEQ",                OPERAND_OTHER,     1, 1, 0,
	  cmd_audit_show, "one record with all its fields", text_audit_show },
	{ "policy", "check",        "FILE",               OPERAND_FILE,      1, 1, 0,
	  cmd_policy_check, "what can't be meant in a policy", text_policy_check },
	{ "policy", "explain",      "FILE WHO OPERATION [KEY]", OPERAND_FILE, 3, 4, O(CLASS),
	  cmd_policy_explain, "what a policy says to one question", text_policy_explain },
	{ "policy", "diff",         "OLD NEW",            OPERAND_FILE,      2, 2, 0,
	  cmd_policy_diff, "who gains and who loses by another policy", text_policy_diff },
	{ "backup", "create",       "",                   OPERAND_NONE,      0, 0, CHANGE,
	  cmd_backup_create, "write a backup now", text_backup_create },
	{ "backup", "list",         "",                   OPERAND_NONE,      0, 0, 0,
	  cmd_backup_list, "the backups that there are", text_backup_list },
	{ "backup", "verify",       "NAME",               OPERAND_BACKUP,    1, 1, 0,
	  cmd_backup_verify, "read a backup to its end", text_backup_verify },
	{ "backup", "restore",      "NAME",               OPERAND_BACKUP,    1, 1, CHANGE,
	  cmd_backup_restore, "make a new instance of a backup", text_backup_restore },
	{ "backup", "rehearse",     "[NAME]",             OPERAND_BACKUP,    0, 1,
	  CHANGE | O(SHARE) | O(CONFIG) | O(KMSD),
	  cmd_backup_rehearse, "prove that a backup would bring all back", text_backup_rehearse },
	{ .verb = NULL },
};
/* clang-format on */

static bool same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

const struct command *command_find(const char *noun, const char *verb, int *out_words)
{
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (c->noun == NULL && same(c->verb, noun)) {
			*out_words = 1;
			return c;
		}
		if (same(c->noun, noun) && same(c->verb, verb)) {
			*out_words = 2;
			return c;
		}
	}
	return NULL;
}

bool command_is_noun(const char *word)
{
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (same(c->noun, word))
			return true;
	}
	return false;
}

const char *command_guess(const char *word)
{
	size_t best = DISTANCE_MAX + 1;
	const char *found = NULL;

	for (const struct command *c = commands; c->verb != NULL; c++) {
		const char *first = c->noun != NULL ? c->noun : c->verb;
		size_t distance = text_distance(word, first);

		if (distance < best && distance < strlen(word)) {
			best = distance;
			found = first;
		}
	}
	return found;
}
