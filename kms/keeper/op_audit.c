/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the log, which is on record itself. */
#include "kms/keeper/ops.h"
#include "kms/keeper/tails.h"
#include "kms/keeper/turn.h"

enum {
	RECORDS_MAX = 1000,
	RECORDS_DEFAULT = 100
};

kms_err op_audit_read(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	uint32_t limit = r->count == 0 ? RECORDS_DEFAULT : r->count;
	if (limit > RECORDS_MAX)
		return KMS_E_BATCH_TOO_BIG;
	uint64_t size = turn_durable(k->turn), from = r->from;
	if (from == UINT64_MAX)
		from = size > limit ? size - limit : 0;
	return tails_read(k, t, from, limit, r->wait);
}
