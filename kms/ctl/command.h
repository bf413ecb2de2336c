/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command as data: its words, its options, its help and the function that does it. The one
 * table of all commands is in commands.c; help and completion are made from it.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/ctl/args.h"

struct ctl;

/* What the words after the command stand for; shells complete by it. */
enum operand {
	OPERAND_NONE,
	OPERAND_KEY,
	OPERAND_FILE,
	OPERAND_KEY_FILE, /* a key, then a file */
	OPERAND_SLOT,
	OPERAND_BACKUP,
	OPERAND_OTHER
};

struct command {
	const char *noun; /* NULL: the verb alone is the command */
	const char *verb;
	const char *usage; /* the words after it: "NAME [FILE|-]" */
	enum operand operand;
	uint8_t min, max; /* how many words */
	uint64_t options; /* besides the common ones */
	kms_err (*run)(struct ctl *c);
	const char *about; /* one line */
	const char *help;  /* paragraphs, then examples */
};

/* Every command, in the order of the manual; ends with a row without a verb. */
extern const struct command commands[];

/* The command of these words; verb may be NULL. *out_words: how many of them it took. NULL: none. */
const struct command *command_find(const char *noun, const char *verb, int *out_words);
/* Whether there are commands with this noun. */
bool command_is_noun(const char *word);
/* The command or noun that is written most alike, or NULL. */
const char *command_guess(const char *word);

/* cmd_service.c */
kms_err cmd_wait(struct ctl *c);
kms_err cmd_seal(struct ctl *c);
/* cmd_unseal.c */
kms_err cmd_unseal(struct ctl *c);
/* cmd_slot.c */
kms_err cmd_init(struct ctl *c);
kms_err cmd_slot_list(struct ctl *c);
kms_err cmd_slot_check(struct ctl *c);
kms_err cmd_slot_add(struct ctl *c);
kms_err cmd_slot_remove(struct ctl *c);
/* cmd_root.c */
kms_err cmd_root_rotate(struct ctl *c);
/* cmd_look.c */
kms_err cmd_status(struct ctl *c);
kms_err cmd_whoami(struct ctl *c);
kms_err cmd_metrics(struct ctl *c);
kms_err cmd_version(struct ctl *c);
/* cmd_doctor.c */
kms_err cmd_doctor(struct ctl *c);
/* cmd_completion.c */
kms_err cmd_completion(struct ctl *c);
/* cmd_key.c */
kms_err cmd_key_create(struct ctl *c);
kms_err cmd_key_list(struct ctl *c);
kms_err cmd_key_show(struct ctl *c);
/* cmd_change.c: all changes of a key's versions; the verb tells which. */
kms_err cmd_key_change(struct ctl *c);
/* cmd_issue.c */
kms_err cmd_issue(struct ctl *c);
/* cmd_data.c */
kms_err cmd_wrap(struct ctl *c);
kms_err cmd_unwrap(struct ctl *c);
kms_err cmd_rewrap(struct ctl *c);
kms_err cmd_mac(struct ctl *c);
kms_err cmd_random(struct ctl *c);
/* cmd_file.c */
kms_err cmd_encrypt(struct ctl *c);
kms_err cmd_decrypt(struct ctl *c);
/* cmd_inspect.c */
kms_err cmd_inspect(struct ctl *c);
/* cmd_backup.c */
kms_err cmd_backup_create(struct ctl *c);
kms_err cmd_backup_list(struct ctl *c);
kms_err cmd_backup_verify(struct ctl *c);
kms_err cmd_backup_restore(struct ctl *c);
/* cmd_rehearse.c */
kms_err cmd_backup_rehearse(struct ctl *c);
/* cmd_policy.c */
kms_err cmd_policy_check(struct ctl *c);
kms_err cmd_policy_explain(struct ctl *c);
kms_err cmd_policy_diff(struct ctl *c);
/* cmd_audit.c */
kms_err cmd_audit_tail(struct ctl *c);
kms_err cmd_audit_show(struct ctl *c);
