/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealer: each call of sealer.h is one act. An act loads the module, does what it must, and
 * unloads it again, since libp11 keeps a copy of the PIN for as long as it has the token. It is
 * done once more, from nothing, where the table of codes says that this helps, and only with
 * a PIN that the token has taken.
 */
#include "pkcs11/pkcs11.h"

#include <stdlib.h>
#include <string.h>

#include "pkcs11/describe.h"
#include "pkcs11/key.h"
#include "pkcs11/session.h"
#include "pkcs11/sign.h"
#include "pkcs11/token_blob.h"

/* What the calls are given and give; each uses its part. */
struct act {
	struct token_blob before, blob;
	const struct secret *root;
	struct object_id made_key, made_pair; /* of what is made for this act alone */
	struct bytes message;
	uint8_t *random;
	size_t n;
	struct secret *opened;
	struct buf bytes;
};

typedef kms_err act_run(struct sealer *s, struct act *a);

static void act_done(struct act *a)
{
	secret_free(&a->opened);
	buf_done(&a->bytes);
}

static kms_err once(struct sealer *s, act_run *run, struct act *a)
{
	s->code = 0;
	s->retry = false;
	kms_err e = module_open(s);
	if (e == KMS_OK)
		e = run(s, a);
	module_close(s);
	return e;
}

static kms_err attempt(struct sealer *s, act_run *run, struct act *a)
{
	kms_err e = once(s, run, a);

	if (e != KMS_OK && s->retry) {
		act_done(a);
		e = once(s, run, a);
	}
	return e;
}

static kms_err p11_open(const struct sealer_params *p, struct sealer **out)
{
	struct sealer *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->params = *p;
	*out = s;
	return KMS_OK;
}

static void p11_close(struct sealer **s)
{
	struct sealer *x = MOVE(*s);

	if (x == NULL)
		return;
	module_close(x);
	wipe(x, sizeof(*x));
	free(x);
}

/* Before the PIN is shown. The serial number may be another one: an HSM can be cloned. */
static kms_err check_token(const struct sealer *s, const struct token_blob *b)
{
	return bytes_equal(module_label(s), bytes_of_str(b->token_label)) ? KMS_OK
	                                                                  : KMS_E_TOKEN_FOREIGN;
}

static kms_err find_key(struct sealer *s, const struct token_blob *b, CK_OBJECT_HANDLE *out)
{
	struct object_id id;
	kms_err e = key_find(s, bytes_of_str(b->key_label), object_id_bytes(&b->key_id), out, &id);

	return e == KMS_E_TOKEN_KEY_MISSING ? session_judge_missing(s) : e;
}

static kms_err open_blob(
    struct sealer *s, CK_OBJECT_HANDLE key, const struct token_blob *b, struct secret **out_root)
{
	AUTO(secret_free) struct secret *root = NULL;
	uint8_t aad[SHA256_LEN], check[SHA256_LEN];

	TRY(token_blob_aad(b, s->params.instance, aad));
	TRY(seal_reopen(s, key, aad, &b->seal, &root));
	TRY(token_blob_check(b, root, s->params.instance, check));
	if (!equal_ct(check, b->check, sizeof(check)))
		return KMS_E_INTEGRITY;
	*out_root = MOVE(root);
	return KMS_OK;
}

/* Seals a->root into a->blob, whose head is complete; what was written is read and opened again. */
static kms_err close_blob(struct sealer *s, CK_OBJECT_HANDLE key, struct act *a)
{
	AUTO(secret_free) struct secret *opened = NULL;
	struct token_blob *b = &a->blob;
	struct token_blob again;
	uint8_t aad[SHA256_LEN];

	TRY(token_blob_aad(b, s->params.instance, aad));
	TRY(seal_close(s, key, aad, a->root, &b->seal));
	TRY(token_blob_check(b, a->root, s->params.instance, b->check));
	TRY(token_blob_encode(b, &a->bytes));
	TRY(token_blob_decode(buf_bytes(&a->bytes), &again));
	kms_err e = open_blob(s, key, &again, &opened);
	if (e == KMS_E_INTEGRITY || (e == KMS_OK && !secret_equal(opened, secret_bytes(a->root))))
		return KMS_E_TOKEN_FAILED;
	return e;
}

static void name_token(const struct sealer *s, struct token_blob *b)
{
	struct bytes label = module_label(s), serial = module_serial(s);

	memset(b->token_label, 0, sizeof(b->token_label));
	memset(b->token_serial, 0, sizeof(b->token_serial));
	memcpy(b->token_label, label.p, label.n);
	memcpy(b->token_serial, serial.p, serial.n);
}

/* The key of the configuration's label, which may have to be made. */
static kms_err take_key(struct sealer *s, struct act *a, CK_OBJECT_HANDLE *out)
{
	const struct sealer_token *t = &s->params.token;
	struct token_blob *b = &a->blob;

	memcpy(b->key_label, t->key, sizeof(b->key_label));
	kms_err e = key_find(s, bytes_of_str(t->key), (struct bytes){ 0 }, out, &b->key_id);
	if (e != KMS_E_TOKEN_KEY_MISSING || !t->make_key)
		return e;
	TRY(key_make(s, &a->made_key, true, out));
	return key_find(s, bytes_of_str(t->key), object_id_bytes(&a->made_key), out, &b->key_id);
}

static kms_err make_parts(struct sealer *s, struct act *a)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

	TRY(take_key(s, a, &key));
	a->blob.sign_id = a->made_pair;
	TRY(sign_make(s, &a->blob));
	return close_blob(s, key, a);
}

static void remove_parts(struct sealer *s, const struct act *a)
{
	object_remove(s, &a->made_key);
	object_remove(s, &a->made_pair);
}

/* In a new session, since an encryption may hang unfinished in the old one; best effort. */
static void unmake_parts(struct sealer *s, const struct act *a)
{
	const CK_RV code = s->code;
	const bool retry = s->retry;

	if (session_renew(s, true) == KMS_OK)
		remove_parts(s, a);
	/* What made us come here is the failure that is told. */
	s->code = code;
	s->retry = retry;
}

static kms_err run_seal(struct sealer *s, struct act *a)
{
	a->blob = (struct token_blob){ .seal.mechanism = SEALER_MECHANISM_ANY };
	name_token(s, &a->blob);
	TRY(seal_choose(s, &a->blob.seal.mechanism));
	TRY(session_open(s, true));
	/* What a first try may have left, when it could not take it away any more. */
	remove_parts(s, a);
	kms_err e = make_parts(s, a);
	if (e != KMS_OK)
		unmake_parts(s, a);
	return e;
}

/* Another root for a slot that is there: its keys go on. */
static kms_err run_reseal(struct sealer *s, struct act *a)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

	a->blob = a->before;
	TRY(check_token(s, &a->before));
	name_token(s, &a->blob);
	TRY(seal_choose(s, &a->blob.seal.mechanism));
	TRY(session_open(s, false));
	TRY(find_key(s, &a->before, &key));
	return close_blob(s, key, a);
}

static kms_err p11_seal(struct sealer *s, const struct secret *root, struct bytes before,
    struct buf *out_blob, uint64_t *out_counter)
{
	AUTO(act_done) struct act a = { .root = root };

	s->code = 0;
	if (before.n > 0)
		TRY(token_blob_decode(before, &a.before));
	TRY(object_id_make(&a.made_key));
	TRY(object_id_make(&a.made_pair));
	TRY(attempt(s, before.n > 0 ? run_reseal : run_seal, &a));
	TRY(buf_put(out_blob, buf_bytes(&a.bytes)));
	*out_counter = 0;
	return KMS_OK;
}

static kms_err run_unseal(struct sealer *s, struct act *a)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;

	TRY(check_token(s, &a->blob));
	TRY(session_open(s, false));
	TRY(find_key(s, &a->blob, &key));
	return open_blob(s, key, &a->blob, &a->opened);
}

static kms_err p11_unseal(struct sealer *s, struct bytes blob, struct secret **out_root)
{
	AUTO(act_done) struct act a = { 0 };

	s->code = 0;
	TRY(token_blob_decode(blob, &a.blob));
	TRY(attempt(s, run_unseal, &a));
	*out_root = MOVE(a.opened);
	return KMS_OK;
}

static kms_err run_sign(struct sealer *s, struct act *a)
{
	TRY(check_token(s, &a->blob));
	TRY(session_open(s, false));
	return sign_text(s, &a->blob, a->message, &a->bytes);
}

static kms_err p11_sign(
    struct sealer *s, struct bytes blob, struct bytes message, struct buf *out_sig)
{
	AUTO(act_done) struct act a = { .message = message };

	s->code = 0;
	if (message.n > SEALER_MESSAGE_MAX || message.n == 0)
		return KMS_E_BAD_REQUEST;
	TRY(token_blob_decode(blob, &a.blob));
	if (a.blob.sign_id.n == 0)
		return KMS_E_NO_SIGNING_KEY;
	TRY(attempt(s, run_sign, &a));
	return buf_put(out_sig, buf_bytes(&a.bytes));
}

/* Pure: the slot's check value vouches for the blob. */
static kms_err p11_public_key(struct sealer *s, struct bytes blob, struct buf *out_spki)
{
	struct token_blob b;

	s->code = 0;
	TRY(token_blob_decode(blob, &b));
	if (b.sign_id.n == 0)
		return KMS_E_NO_SIGNING_KEY;
	return buf_put(out_spki, bytes_of(b.spki, sizeof(b.spki)));
}

/* Logged in: some tokens give nothing to a stranger. */
static kms_err run_random(struct sealer *s, struct act *a)
{
	TRY(session_open(s, false));
	return rv_check(s, RV_ANY, s->f->C_GenerateRandom(s->session, a->random, a->n));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the act writes through it */
static kms_err p11_random(struct sealer *s, uint8_t *out, size_t n)
{
	AUTO(act_done) struct act a = { .random = out, .n = n };

	if (n > SEALER_RANDOM_MAX)
		return KMS_E_INTERNAL;
	return attempt(s, run_random, &a);
}

static kms_err run_describe(struct sealer *s, struct act *a)
{
	return describe_token(s, &a->bytes);
}

static kms_err p11_describe(struct sealer *s, struct buf *out_text)
{
	AUTO(act_done) struct act a = { 0 };

	TRY(attempt(s, run_describe, &a));
	return buf_put(out_text, buf_bytes(&a.bytes));
}

static uint32_t p11_last_code(const struct sealer *s)
{
	return (uint32_t)s->code;
}

const struct sealer_kind pkcs11_sealer = {
	.name = "pkcs11",
	.open = p11_open,
	.close = p11_close,
	.seal = p11_seal,
	.unseal = p11_unseal,
	.counter = NULL, /* no token has one that all of them have */
	.sign = p11_sign,
	.public_key = p11_public_key,
	.random = p11_random,
	.describe = p11_describe,
	.last_code = p11_last_code,
};
