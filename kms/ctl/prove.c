/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an encrypted file back through the same code that will one day decrypt it. */
#include "kms/ctl/prove.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/base/secret.h"

enum {
	STEP = 256 * 1024
};

/* A recorder may issue and not unwrap: then the key that was issued must do. */
static kms_err open_key(struct ctl *c, struct kms_envelope *e, const struct proof *p)
{
	struct kms_error error;
	const struct kms_context *context = kms_envelope_info(e)->values_hidden ? p->context : NULL;

	if (p->ask) {
		enum kms_code code = kms_envelope_unwrap(e, c->kms, context);
		if (code != KMS_CODE_DENIED)
			return ctl_ask(c, code);
	}
	if (kms_envelope_unlock(e, p->plaintext, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	return KMS_OK;
}

static kms_err refuse_changed(struct ctl *c, const struct proof *p)
{
	kms_err e = ctl_refuse(c, KMS_E_INTEGRITY, "%s", p->from);

	ctl_hint(c,
	    "The file changed while it was encrypted; wait until it is complete. Nothing was "
	    "written or removed.");
	return e;
}

/* The same n bytes at this place of the clear file. */
static kms_err compare(
    struct ctl *c, const struct proof *p, uint64_t at, struct bytes got, struct buf *room)
{
	size_t have = 0;

	while (have < got.n) {
		ssize_t n = pread(p->clear_fd, room->p + have, got.n - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ctl_refuse(c, KMS_E_IO, "%s: %s", p->from, strerrordesc_np(errno));
		if (n == 0)
			return refuse_changed(c, p);
		have += (size_t)n;
		room->n = have;
	}
	return equal_ct(room->p, got.p, got.n) ? KMS_OK : refuse_changed(c, p);
}

static kms_err read_back(
    struct ctl *c, const struct proof *p, struct kms_envelope *e, bool can_compare)
{
	AUTO(buf_done) struct buf back = { .n = 0 }, clear = { .n = 0 };
	struct kms_error error;
	uint64_t at = 0;

	TRY(buf_reserve(&back, STEP));
	TRY(buf_reserve(&clear, STEP));
	for (;;) {
		if (kms_envelope_read(e, back.p, STEP, &back.n, &error) != KMS_CODE_OK)
			return ctl_keep(c, &error);
		if (back.n == 0)
			break;
		if (can_compare)
			TRY(compare(c, p, at, buf_bytes(&back), &clear));
		at += back.n;
	}
	return at == p->size ? KMS_OK : ctl_refuse(c, KMS_E_INTEGRITY, "%s", p->from);
}

kms_err prove_envelope(struct ctl *c, const struct proof *p)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source source = kms_source_fd(&p->fd);
	struct kms_error error;
	struct stat st;

	bool can_compare = fstat(p->clear_fd, &st) == 0 && S_ISREG(st.st_mode);
	if (can_compare && (uint64_t)st.st_size != p->size)
		return refuse_changed(c, p);
	if (kms_envelope_open(&source, &e, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	TRY(open_key(c, e, p));
	return read_back(c, p, e, can_compare);
}
