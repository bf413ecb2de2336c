/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations. An operation without a row here does not exist. */
#include "kms/keeper/ops.h"

#include "kms/keeper/root.h"
#include "kms/keeper/turn.h"

/* clang-format off */
const struct op_entry ops[OP_COUNT] = {
	/*                         function               needs keys */
	[OP_STATUS]             = { op_status,             false },
	[OP_WHOAMI]             = { op_whoami,             false },
	[OP_METRICS]            = { op_metrics,            false },
	[OP_INIT]               = { op_init,               false },
	[OP_UNSEAL]             = { op_unseal,             false },
	[OP_SEAL]               = { op_seal,               false },
	[OP_SLOT_LIST]          = { op_slot_list,          false },
	[OP_SLOT_CHECK]         = { op_slot_check,         false },
	[OP_SLOT_ADD]           = { op_slot_add,           true  },
	[OP_SLOT_REMOVE]        = { op_slot_remove,        true  },
	[OP_ROOT_ROTATE]        = { op_root_rotate,        true  },
	[OP_BACKUP_CREATE]      = { op_backup_create,      true  },
	[OP_BACKUP_LIST]        = { op_backup_list,        true  },
	[OP_BACKUP_VERIFY]      = { op_backup_verify,      true  },
	[OP_BACKUP_RESTORE]     = { op_backup_restore,     false },
	[OP_BACKUP_REHEARSED]   = { op_backup_rehearsed,   true  },
	[OP_KEY_CREATE]         = { op_key_create,         true  },
	[OP_KEY_LIST]           = { op_key_list,           true  },
	[OP_KEY_SHOW]           = { op_key_show,           true  },
	[OP_KEY_ROTATE]         = { op_key_rotate,         true  },
	[OP_KEY_SUSPEND]        = { op_key_move,           true  },
	[OP_KEY_RESUME]         = { op_key_move,           true  },
	[OP_KEY_DEACTIVATE]     = { op_key_move,           true  },
	[OP_KEY_COMPROMISE]     = { op_key_move,           true  },
	[OP_KEY_DESTROY]        = { op_key_destroy,        true  },
	[OP_KEY_CANCEL_DESTROY] = { op_key_cancel_destroy, true  },
	[OP_ISSUE]              = { op_issue,              true  },
	[OP_WRAP]               = { op_wrap,               true  },
	[OP_UNWRAP]             = { op_unwrap,             true  },
	[OP_REWRAP]             = { op_rewrap,             true  },
	[OP_MAC]                = { op_mac,                true  },
	[OP_RANDOM]             = { op_random,             true  },
	[OP_KEY_PROVE]          = { op_key_prove,          true  },
	[OP_AUDIT_READ]         = { op_audit_read,         true  },
};
/* clang-format on */

kms_err ops_check_open(const struct keeper *k)
{
	return root_state(k->root) == ROOT_UNSEALED ? KMS_OK : root_why(k->root);
}

kms_err ops_check_log(const struct keeper *k, enum op op)
{
	/* Without a log only these: to see why there is none, and to try again. */
	if (k->turn == NULL && (op == OP_STATUS || op == OP_UNSEAL))
		return KMS_OK;
	return k->turn == NULL ? root_why(k->root) : turn_state(k->turn);
}
