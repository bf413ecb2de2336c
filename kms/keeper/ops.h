/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations: what each is called by and what it needs. */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

/*
 * One operation. Fills *out, or sets t->fate and keeps a detached copy; fills what t->record
 * says of keys and contexts. What it returns as an error is recorded and answered.
 */
typedef kms_err op_run(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out);

struct op_entry {
	op_run *run;
	bool needs_keys; /* only while unsealed */
};

extern const struct op_entry ops[OP_COUNT];

/* KMS_OK while unsealed; else why not: sealed, not initialised, the store's error. */
MUST_USE kms_err ops_check_open(const struct keeper *k);
/* KMS_OK if the log can be written, or the operation is one that needs no log (status). */
MUST_USE kms_err ops_check_log(const struct keeper *k, enum op op);

/* op_use.c */
op_run op_issue, op_wrap, op_unwrap, op_rewrap, op_mac, op_random;
/* op_key.c */
op_run op_key_create, op_key_list, op_key_show, op_key_rotate, op_key_move, op_key_destroy,
    op_key_cancel_destroy;
/* op_admin.c */
op_run op_status, op_whoami, op_metrics, op_seal;
/* op_slot.c */
op_run op_init, op_unseal, op_slot_list, op_slot_check, op_slot_add, op_slot_remove, op_root_rotate;
/* backup.c */
op_run op_backup_create, op_backup_list, op_backup_verify, op_backup_rehearsed;
/* restore.c */
op_run op_backup_restore;
/* op_prove.c */
op_run op_key_prove;
/* op_audit.c */
op_run op_audit_read;
