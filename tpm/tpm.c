/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealer: each call of sealer.h is one act, and an act is tried once more where the table of
 * codes says that this helps. An act begins by opening what it needs and ends by giving
 * everything back, so a second try starts from nothing.
 */
#include "tpm/tpm.h"

#include <stdlib.h>
#include <string.h>

#include "tpm/blob.h"
#include "tpm/counter.h"
#include "tpm/describe.h"
#include "tpm/device.h"
#include "tpm/pcr.h"
#include "tpm/seal.h"
#include "tpm/sign.h"
#include "tpm/srk.h"

/* What the calls are given and give; each uses its part. */
struct act {
	struct blob blob;
	const struct secret *root;
	struct sealer_move *move;
	struct bytes message;
	uint8_t *random;
	size_t n;
	uint64_t value;
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
	s->retry = RC_GIVE_UP;
	TRY(device_open(s));
	return run(s, a);
}

/* `most`: what may be done for a second try. */
static kms_err attempt(struct sealer *s, act_run *run, struct act *a, enum rc_retry most)
{
	kms_err e = once(s, run, a);

	if (e == KMS_OK || s->retry == RC_GIVE_UP || s->retry > most)
		return e;
	if (s->retry == RC_REOPEN)
		device_close(s);
	act_done(a);
	return once(s, run, a);
}

static kms_err tpm_open(const struct sealer_params *p, struct sealer **out)
{
	struct sealer *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->params = *p;
	*out = s;
	return KMS_OK;
}

static void tpm_close(struct sealer **s)
{
	struct sealer *x = MOVE(*s);

	if (x == NULL)
		return;
	device_close(x);
	wipe(x, sizeof(*x));
	free(x);
}

/* Everything that a slot needs, the counter last: it alone leaves something in the chip. */
static kms_err make_parts(struct sealer *s, struct act *a)
{
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	struct blob *b = &a->blob;

	*b = (struct blob){ .srk_template = SRK_TEMPLATE_P256, .pcr_mask = s->params.pcr_mask };
	TRY(pcr_policy_agreed(s, b->pcr_mask, &b->policy));
	TRY(srk_create(s, &srk, &b->srk_name));
	TRY(seal_object(s, &srk, a->root, &b->policy, &b->sealed));
	TRY(sign_key_make(s, &srk, &b->signing));
	return counter_make(s, &srk, &b->counter_index, &a->value);
}

/* What was written is read again and opened in sessions of its own. */
static kms_err prove_parts(struct sealer *s, struct act *a)
{
	AUTO(secret_free) struct secret *opened = NULL;
	struct blob again;

	TRY(blob_encode(&a->blob, &a->bytes));
	TRY(blob_decode(buf_bytes(&a->bytes), &again));
	TRY(seal_open(s, &again, &opened));
	return secret_equal(opened, secret_bytes(a->root)) ? KMS_OK : KMS_E_TPM_FAILED;
}

static kms_err run_seal(struct sealer *s, struct act *a)
{
	TRY(make_parts(s, a));
	kms_err e = prove_parts(s, a);
	if (e != KMS_OK)
		counter_unmake(s, &a->blob);
	return e;
}

/* Another root for a slot that is there: its counter and its signing key go on. */
static kms_err run_reseal(struct sealer *s, struct act *a)
{
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	struct blob *b = &a->blob;

	TRY(srk_open(s, &b->srk_name, &srk));
	b->pcr_mask = s->params.pcr_mask;
	TRY(pcr_policy_agreed(s, b->pcr_mask, &b->policy));
	TRY(seal_object(s, &srk, a->root, &b->policy, &b->sealed));
	TRY(counter_use(s, b, NULL, &a->value));
	return prove_parts(s, a);
}

static kms_err tpm_seal(struct sealer *s, const struct secret *root, struct bytes before,
    struct buf *out_blob, uint64_t *out_counter)
{
	AUTO(act_done) struct act a = { .root = root };

	s->code = 0;
	if (before.n > 0)
		TRY(blob_decode(before, &a.blob));
	/* Not with a new connection: what became of a counter on the old one can't be known. */
	TRY(attempt(s, before.n > 0 ? run_reseal : run_seal, &a, RC_AGAIN));
	TRY(buf_put(out_blob, buf_bytes(&a.bytes)));
	*out_counter = a.value;
	return KMS_OK;
}

static kms_err run_unseal(struct sealer *s, struct act *a)
{
	return seal_open(s, &a->blob, &a->opened);
}

static kms_err tpm_unseal(struct sealer *s, struct bytes blob, struct secret **out_root)
{
	AUTO(act_done) struct act a = { 0 };

	TRY(blob_decode(blob, &a.blob));
	TRY(attempt(s, run_unseal, &a, RC_REOPEN));
	*out_root = MOVE(a.opened);
	return KMS_OK;
}

static kms_err run_counter(struct sealer *s, struct act *a)
{
	return counter_use(s, &a->blob, a->move, &a->value);
}

static kms_err tpm_counter(
    struct sealer *s, struct bytes blob, const struct sealer_move *move, uint64_t *out_value)
{
	/* Ours to change: the first try notes where the second has to stop. */
	struct sealer_move mine = { .target = move != NULL ? move->target : 0 };
	AUTO(act_done) struct act a = { .move = move != NULL ? &mine : NULL };

	TRY(blob_decode(blob, &a.blob));
	TRY(attempt(s, run_counter, &a, RC_REOPEN));
	*out_value = a.value;
	return KMS_OK;
}

static kms_err run_sign(struct sealer *s, struct act *a)
{
	return sign_message(s, &a->blob, a->message, &a->bytes);
}

static kms_err tpm_sign(
    struct sealer *s, struct bytes blob, struct bytes message, struct buf *out_sig)
{
	AUTO(act_done) struct act a = { .message = message };

	TRY(blob_decode(blob, &a.blob));
	TRY(attempt(s, run_sign, &a, RC_REOPEN));
	return buf_put(out_sig, buf_bytes(&a.bytes));
}

static kms_err tpm_public_key(struct sealer *s, struct bytes blob, struct buf *out_spki)
{
	struct blob b;

	s->code = 0;
	TRY(blob_decode(blob, &b));
	return sign_public_key(&b, out_spki);
}

/* A chip gives as many bytes at once as its longest digest has, or fewer. */
static kms_err random_part(struct sealer *s, uint8_t *out, size_t n, size_t *out_n)
{
	TPM2B_DIGEST *got = NULL;

	TRY(rc_check(s, RC_ANY,
	    Esys_GetRandom(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)n, &got)));
	size_t taken = got->size < n ? got->size : n;
	memcpy(out, got->buffer, taken);
	wipe(got, sizeof(*got));
	Esys_Free(got);
	*out_n = taken;
	return taken > 0 ? KMS_OK : KMS_E_TPM_FAILED;
}

static kms_err run_random(struct sealer *s, struct act *a)
{
	size_t part = 0;

	for (size_t done = 0; done < a->n; done += part)
		TRY(random_part(s, a->random + done, a->n - done, &part));
	return KMS_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the act writes through it */
static kms_err tpm_random(struct sealer *s, uint8_t *out, size_t n)
{
	AUTO(act_done) struct act a = { .random = out, .n = n };

	if (n > SEALER_RANDOM_MAX)
		return KMS_E_INTERNAL;
	return attempt(s, run_random, &a, RC_REOPEN);
}

static kms_err run_describe(struct sealer *s, struct act *a)
{
	return describe_device(s, &a->bytes);
}

static kms_err tpm_describe(struct sealer *s, struct buf *out_text)
{
	AUTO(act_done) struct act a = { 0 };

	TRY(attempt(s, run_describe, &a, RC_REOPEN));
	return buf_put(out_text, buf_bytes(&a.bytes));
}

static uint32_t tpm_last_code(const struct sealer *s)
{
	return s->code;
}

const struct sealer_kind tpm_sealer = {
	.name = "tpm",
	.open = tpm_open,
	.close = tpm_close,
	.seal = tpm_seal,
	.unseal = tpm_unseal,
	.counter = tpm_counter,
	.sign = tpm_sign,
	.public_key = tpm_public_key,
	.random = tpm_random,
	.describe = tpm_describe,
	.last_code = tpm_last_code,
};
