/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes and the connection together: whole files, and data keys that kmsd unwraps or rewraps.
 * A clear data key lives in its result only, which is freed before the first byte is read.
 */
#include <errno.h>
#include <string.h>

#include "kms/client/calls.h"
#include "kms/client/envelope.h"
#include "kms/client/error.h"
#include "kms/client/fd.h"

enum {
	PIECE = 128 * 1024 /* bytes read and written at once; whole chunks */
};

static enum kms_code fail_io(struct kms *c, int error)
{
	return error_set(&c->error, KMS_E_IO, strerrordesc_np(error));
}

/* The only item of an answer that has one, or its error. */
static enum kms_code only_item(
    struct kms *c, const struct kms_result *r, const struct kms_item **out)
{
	size_t n;
	const struct kms_item *item = kms_result_items(r, &n);

	if (item->code == KMS_CODE_OK)
		*out = item;
	else
		c->error = *item->error;
	return item->code;
}

/* ---- Encrypting --------------------------------------------------------------------------- */

static enum kms_code encrypt_all(struct kms *c, struct kms_writer *w, int in_fd)
{
	AUTO(buf_done) struct buf piece = { .p = NULL };
	const struct kms_source from = fd_stream(&in_fd);
	size_t n = 1;

	enum kms_code code = call_fail(c, buf_reserve(&piece, PIECE));
	while (code == KMS_CODE_OK && n > 0) {
		int error = from.read_at(from.user, 0, piece.p, PIECE, &n);
		if (error != 0)
			return fail_io(c, error);
		code = kms_writer_write(w, piece.p, n, &c->error);
	}
	return code == KMS_CODE_OK ? kms_writer_finish(w, &c->error) : code;
}

enum kms_code kms_encrypt_fd(struct kms *c, const char *key, const struct kms_context *context,
    bool hide_values, int in_fd, int out_fd)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(kms_writer_free) struct kms_writer *w = NULL;
	const struct kms_sink to = kms_sink_fd(&out_fd);
	const struct kms_item *item;

	enum kms_code code = kms_issue(c, key, context, 1, false, &r);
	if (code == KMS_CODE_OK)
		code = only_item(c, r, &item);
	if (code != KMS_CODE_OK)
		return code;

	const struct kms_envelope_key with = { .key = key,
		.wrapped = item->wrapped,
		.plaintext = item->plaintext,
		.context = context,
		.hide_values = hide_values };
	code = kms_writer_open(&with, &to, &w, &c->error);
	kms_result_free(&r);
	return code == KMS_CODE_OK ? encrypt_all(c, w, in_fd) : code;
}

/* ---- Decrypting --------------------------------------------------------------------------- */

/* What kmsd checks the wrapped key against: the caller's word, or the header's if it is whole. */
static enum kms_code choose_context(struct kms *c, const struct kms_envelope *e,
    const struct kms_context *given, const struct kms_context **out)
{
	const struct kms_envelope_info *info = kms_envelope_info(e);

	if (given == NULL && info->values_hidden && info->context.n > 0)
		return error_set(&c->error, KMS_E_BAD_CONTEXT,
		    "the file hides the values of its context: they must be given");
	*out = given != NULL ? given : &info->context;
	return KMS_CODE_OK;
}

static void note(struct kms_envelope_info *info, const struct kms_item *item)
{
	info->version = item->version;
	info->rewrap_advised = item->rewrap_advised;
	info->compromised = item->compromised;
}

enum kms_code kms_envelope_unwrap(
    struct kms_envelope *e, struct kms *c, const struct kms_context *context)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_context *bound = NULL;
	const struct kms_item *item;

	/* The blob says which key it is of; the header's name is not authentic yet. */
	enum kms_code code = choose_context(c, e, context, &bound);
	if (code == KMS_CODE_OK)
		code = kms_unwrap(c, NULL, kms_envelope_info(e)->wrapped, bound, &r);
	if (code == KMS_CODE_OK)
		code = only_item(c, r, &item);
	if (code != KMS_CODE_OK)
		return code;

	if (item->plaintext.n != KEY_BITS_LEN)
		return error_set(&c->error, KMS_E_INTEGRITY, "what is wrapped is not a data key");
	code = kms_envelope_unlock(e, item->plaintext, &c->error);
	if (code == KMS_CODE_OK)
		note(&envelope_header(e)->info, item);
	return code;
}

enum kms_code kms_envelope_read_all(
    struct kms_envelope *e, const struct kms_sink *to, struct kms_error *err)
{
	AUTO(buf_done) struct buf piece = { .p = NULL };
	size_t n = 1;

	if (buf_reserve(&piece, PIECE) != KMS_OK)
		return error_set(err, KMS_E_NO_MEMORY, NULL);
	while (n > 0) {
		enum kms_code code = kms_envelope_read(e, piece.p, PIECE, &n, err);
		if (code != KMS_CODE_OK)
			return code;
		int error = to->write(to->user, piece.p, n);
		if (error != 0)
			return error_set(err, KMS_E_IO, strerrordesc_np(error));
	}
	return KMS_CODE_OK;
}

enum kms_code kms_decrypt_fd(
    struct kms *c, const struct kms_context *context, int in_fd, int out_fd)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = fd_stream(&in_fd);
	const struct kms_sink to = kms_sink_fd(&out_fd);

	enum kms_code code = kms_envelope_open(&from, &e, &c->error);
	if (code == KMS_CODE_OK)
		code = kms_envelope_unwrap(e, c, context);
	return code == KMS_CODE_OK ? kms_envelope_read_all(e, &to, &c->error) : code;
}

/* ---- Rewrapping --------------------------------------------------------------------------- */

static enum kms_code replace(
    struct kms *c, struct kms_envelope *e, int fd, const struct kms_item *item)
{
	struct header *h = envelope_header(e);
	int error = 0;
	size_t at;

	if (header_replace(h, bytes_of(item->wrapped.p, item->wrapped.n), &at) != KMS_OK)
		return error_set(&c->error, KMS_E_BAD_REQUEST,
		    "the header has no room for the new wrapped key: encrypt the file anew");
	kms_err why = fd_write_at(fd, at, bytes_of(h->raw.p + at, h->raw.n - at), &error);
	return why == KMS_OK ? KMS_CODE_OK : fail_io(c, error);
}

enum kms_code kms_envelope_rewrap_fd(
    struct kms *c, const struct kms_context *context, int fd, uint32_t *out_version)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_source from = kms_source_fd(&fd);
	const struct kms_context *bound = NULL;
	const struct kms_item *item;

	if (fd_is_stream(&from))
		return fail_io(c, ESPIPE);
	enum kms_code code = kms_envelope_open(&from, &e, &c->error);
	if (code == KMS_CODE_OK)
		code = choose_context(c, e, context, &bound);
	if (code == KMS_CODE_OK)
		code = kms_rewrap(c, NULL, kms_envelope_info(e)->wrapped, bound, NULL, &r);
	if (code == KMS_CODE_OK)
		code = only_item(c, r, &item);
	if (code == KMS_CODE_OK)
		code = replace(c, e, fd, item);
	if (code == KMS_CODE_OK && out_version != NULL)
		*out_version = item->version;
	return code;
}
