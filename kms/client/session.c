/* SPDX-License-Identifier: Apache-2.0 */
/* Making a connection for the caller, and what stays the same over its requests. */
#include <string.h>

#include "kms/client/calls.h"
#include "kms/client/error.h"

/* For callers that have no connection to ask. */
static const struct kms_error no_memory = { .code = "internal",
	.name = "no_memory",
	.text = "There is not enough memory.",
	.hint = "Give the program more memory.",
	.number = KMS_CODE_INTERNAL };

static enum kms_code set_text(
    struct kms *c, const char *what, const char *text, char out[static SUBJECT_MAX + 1])
{
	size_t n = text != NULL ? strlen(text) : 0;

	if (n > SUBJECT_MAX)
		return error_set(&c->error, KMS_E_BAD_REQUEST, what);
	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
	return KMS_CODE_OK;
}

enum kms_code kms_set_subject(struct kms *c, const char *subject)
{
	return set_text(c, "the subject is over 128 bytes", subject, c->subject);
}

enum kms_code kms_set_purpose(struct kms *c, const char *purpose)
{
	return set_text(c, "the purpose is over 128 bytes", purpose, c->purpose);
}

enum kms_code kms_set_asserted(struct kms *c, const char *asserted)
{
	return set_text(c, "the asserted peer is over 128 bytes", asserted, c->asserted);
}

void kms_set_deadline(struct kms *c, uint32_t milliseconds)
{
	/* Twenty times this must stay a number of 32 bits. */
	uint32_t most = UINT32_MAX / 32;

	c->deadline_ms = milliseconds == 0 ? DEADLINE_MS : milliseconds;
	if (c->deadline_ms > most)
		c->deadline_ms = most;
}

void kms_set_idempotency_key(struct kms *c, const uint8_t key[16])
{
	memcpy(c->change_key, key, sizeof(c->change_key));
	c->has_change_key = true;
}

const struct kms_error *kms_last_error(const struct kms *c)
{
	return c != NULL ? &c->error : &no_memory;
}

const char *kms_socket_path(const struct kms *c)
{
	return c->path;
}

size_t kms_in_flight(const struct kms *c)
{
	return c->flights.under_way + c->flights.done_n;
}

int kms_fd(const struct kms *c)
{
	return c->fd;
}

static enum kms_code apply(struct kms *c, const struct kms_options *o)
{
	kms_set_deadline(c, o->deadline_ms);
	enum kms_code code = kms_set_subject(c, o->subject);
	if (code == KMS_CODE_OK)
		code = kms_set_purpose(c, o->purpose);
	if (code == KMS_CODE_OK)
		code = kms_set_asserted(c, o->asserted);
	return code;
}

enum kms_code kms_connect(const struct kms_options *options, struct kms **out)
{
	static const struct kms_options usual;
	const struct kms_options *o = options != NULL ? options : &usual;

	*out = NULL;
	kms_err e = conn_open(socket_choose(o->socket), -1, out);
	if (e != KMS_OK)
		return error_set(NULL, e, NULL);

	struct kms *c = *out;
	enum kms_code code = apply(c, o);
	if (code != KMS_CODE_OK)
		return code;
	return call_fail(c, socket_open(c->path, c->deadline_ms, c->detail, &c->fd));
}
