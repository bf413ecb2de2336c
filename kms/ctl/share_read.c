/* SPDX-License-Identifier: Apache-2.0 */
/* What was typed or read becomes the one line that kmsd is sent. */
#include "kms/ctl/share_read.h"

#include <ctype.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/ctl/file.h"
#include "kms/ctl/unseen.h"
#include "kms/seal/share_text.h"

enum {
	SECRETS = 2 /* as many as reading a share takes */
};

static kms_err take_typed(struct ctl *c, const char *path, struct buf *out)
{
	if (!file_is_standard(path) || isatty(STDIN_FILENO) == 0)
		return file_read(c, path, SHARE_TYPED_MAX, out);
	kms_err e = unseen_read(
	    STDIN_FILENO, "Type your share and Enter; it is not shown: ", SHARE_TYPED_MAX, out);
	return e == KMS_E_IO ? ctl_refuse(c, e, "the terminal") : e;
}

static kms_err refuse(struct ctl *c, kms_err e, const struct share_slip *slip)
{
	if (slip->at != 0)
		return ctl_refuse(c, e, "character %zu", slip->at);
	if (slip->typed != SHARE_TEXT_LEN)
		return ctl_refuse(
		    c, e, "%zu characters instead of %d", slip->typed, SHARE_TEXT_LEN);
	return ctl_refuse(c, e, "%s", "");
}

static kms_err decode(struct bytes typed, struct share_slip *out_slip)
{
	AUTO(share_done) struct share share = { .value = NULL };

	return share_text_decode(typed, &share, out_slip);
}

/* One that does not read is not worth a round of everybody's. */
static kms_err check(struct ctl *c, struct bytes typed)
{
	struct share_slip slip = { .at = 0 };

	TRY(secret_init(SECRETS, true));
	kms_err e = decode(typed, &slip);
	secret_done();
	return e == KMS_OK ? KMS_OK : refuse(c, e, &slip);
}

kms_err share_read(struct ctl *c, const char *path, struct buf *out)
{
	AUTO(buf_done) struct buf typed = { .n = 0 };

	TRY(buf_reserve(&typed, 2 * (size_t)SHARE_TYPED_MAX));
	TRY(take_typed(c, path, &typed));
	TRY(check(c, buf_bytes(&typed)));
	TRY(buf_reserve(out, typed.n));
	for (size_t i = 0; i < typed.n; i++) {
		if (isspace(typed.p[i]) == 0 && typed.p[i] != '-')
			TRY(buf_put_u8(out, typed.p[i]));
	}
	return KMS_OK;
}
