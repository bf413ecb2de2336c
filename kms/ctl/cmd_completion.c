/* SPDX-License-Identifier: Apache-2.0 */
/* kmsctl completion: prints what completion.c makes. */
#include <string.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/help.h"

kms_err cmd_completion(struct ctl *c)
{
	AUTO(buf_done) struct buf script = { .n = 0 };
	AUTO(out_done) struct out o = { .field_n = 0 };

	if (c->args.operand_n > 0 && strcmp(c->args.operands[0], "bash") != 0)
		return ctl_usage(c, "there is a script for bash only");
	TRY(help_completion(&script));
	if (!c->style.json)
		return ctl_write(c, buf_bytes(&script));
	out_str(&o, "shell", NULL, "bash");
	out_text(&o, "script", NULL, buf_bytes(&script));
	return ctl_print(c, &o);
}
