/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See describe.h. A chip's own word for what it can do is not believed: a key is made, something is
 * sealed and opened again. Only the counter is asked for by its command, since an index would
 * wear the chip and would have to be taken back.
 */
#include "tpm/describe.h"

#include <stdio.h>

#include "kms/base/secret.h"
#include "tpm/pcr.h"
#include "tpm/seal.h"
#include "tpm/srk.h"

enum {
	PROPERTIES_MAX = 127, /* more than there are in a group */
	WORD_LEN = 4,         /* characters in one property */
	WORDS = 5,            /* maker and four strings of the vendor */
	PIECE_MAX = 96        /* of the text */
};

/* What the text is made of. */
struct facts {
	char names[WORDS][WORD_LEN + 1];
	uint32_t firmware[2];
	uint32_t permanent;
	uint32_t tries, tries_max, interval_s;
	uint32_t counters;
};

static void take_word(char out[static WORD_LEN + 1], uint32_t x)
{
	for (unsigned i = 0; i < WORD_LEN; i++) {
		uint8_t c = (uint8_t)(x >> (8 * (WORD_LEN - 1 - i)));
		out[i] = (char)(c >= ' ' && c <= '~' ? c : '\0');
	}
	out[WORD_LEN] = '\0';
}

static void take_property(struct facts *f, const TPMS_TAGGED_PROPERTY *p)
{
	switch (p->property) {
	case TPM2_PT_MANUFACTURER: take_word(f->names[0], p->value); break;
	case TPM2_PT_VENDOR_STRING_1: take_word(f->names[1], p->value); break;
	case TPM2_PT_VENDOR_STRING_2: take_word(f->names[2], p->value); break;
	case TPM2_PT_VENDOR_STRING_3: take_word(f->names[3], p->value); break;
	case TPM2_PT_VENDOR_STRING_4: take_word(f->names[4], p->value); break;
	case TPM2_PT_FIRMWARE_VERSION_1: f->firmware[0] = p->value; break;
	case TPM2_PT_FIRMWARE_VERSION_2: f->firmware[1] = p->value; break;
	case TPM2_PT_PERMANENT: f->permanent = p->value; break;
	case TPM2_PT_LOCKOUT_COUNTER: f->tries = p->value; break;
	case TPM2_PT_MAX_AUTH_FAIL: f->tries_max = p->value; break;
	case TPM2_PT_LOCKOUT_INTERVAL: f->interval_s = p->value; break;
	case TPM2_PT_NV_COUNTERS: f->counters = p->value; break;
	default: break;
	}
}

static kms_err read_group(struct sealer *s, uint32_t first, struct facts *f)
{
	TPMS_CAPABILITY_DATA *data = NULL;

	TRY(rc_check(s, RC_ANY,
	    Esys_GetCapability(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	        TPM2_CAP_TPM_PROPERTIES, first, PROPERTIES_MAX, NULL, &data)));
	const TPML_TAGGED_TPM_PROPERTY *list = &data->data.tpmProperties;
	for (UINT32 i = 0; i < list->count; i++)
		take_property(f, &list->tpmProperty[i]);
	Esys_Free(data);
	return KMS_OK;
}

static kms_err check_command(struct sealer *s, TPM2_CC code)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	bool there;

	TRY(rc_check(s, RC_ANY,
	    Esys_GetCapability(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_COMMANDS,
	        code, 1, NULL, &data)));
	const TPML_CCA *list = &data->data.command;
	there =
	    list->count == 1 && (list->commandAttributes[0] & TPMA_CC_COMMANDINDEX_MASK) == code;
	Esys_Free(data);
	return there ? KMS_OK : KMS_E_TPM_UNSUITABLE;
}

/* Seals 32 zeros, opens them, forgets them; *out_policy stands for the PCRs in the text. */
static kms_err rehearse(struct sealer *s, TPM2B_DIGEST *out_policy)
{
	AUTO(secret_free) struct secret *zeros = NULL;
	AUTO(secret_free) struct secret *opened = NULL;
	struct blob b = { .pcr_mask = s->params.pcr_mask };
	struct handle srk = HANDLE_NONE;

	TRY(secret_new(SEALER_ROOT_LEN, &zeros));
	TRY(pcr_policy_agreed(s, b.pcr_mask, &b.policy));
	TRY(srk_create(s, &srk, &b.srk_name));
	kms_err e = seal_object(s, &srk, zeros, &b.policy, &b.sealed);
	handle_done(&srk);
	if (e == KMS_OK)
		e = seal_open(s, &b, &opened);
	if (e == KMS_OK && !secret_equal(opened, secret_bytes(zeros)))
		e = KMS_E_TPM_FAILED;
	if (e == KMS_OK)
		*out_policy = b.policy;
	return e;
}

/* One piece of the text; the whole is cut to its limit piece by piece. */
static kms_err put(struct buf *out, const char *piece)
{
	struct bytes x = bytes_of_str(piece);

	return out->n + x.n <= SEALER_TEXT_MAX ? buf_put(out, x) : KMS_OK;
}

static kms_err put_maker(struct buf *out, const struct facts *f)
{
	char piece[PIECE_MAX];

	(void)snprintf(piece, sizeof(piece), "TPM 2.0 of %s (%s%s%s%s), firmware %u.%u.%u.%u",
	    f->names[0], f->names[1], f->names[2], f->names[3], f->names[4], f->firmware[0] >> 16,
	    f->firmware[0] & 0xffff, f->firmware[1] >> 16, f->firmware[1] & 0xffff);
	return put(out, piece);
}

static kms_err put_lockout(struct buf *out, const struct facts *f)
{
	char piece[PIECE_MAX];

	(void)snprintf(piece, sizeof(piece), "; failed tries %u of %u, one forgiven every %u s%s",
	    f->tries, f->tries_max, f->interval_s,
	    (f->permanent & TPMA_PERMANENT_INLOCKOUT) != 0 ? ", locked out" : "");
	TRY(put(out, piece));
	(void)snprintf(piece, sizeof(piece), "; counters %u", f->counters);
	return put(out, piece);
}

/* "; PCRs 0 7 (policy 3a1f…)": two hosts, or two boots, can be compared by it. */
static kms_err put_pcrs(struct buf *out, uint32_t mask, const TPM2B_DIGEST *policy)
{
	char piece[PIECE_MAX];

	if (mask == 0)
		return put(out, "; no PCRs");
	TRY(put(out, "; PCRs"));
	for (unsigned i = 0; i < PCR_COUNT; i++) {
		if ((mask >> i & 1) == 0)
			continue;
		(void)snprintf(piece, sizeof(piece), " %u", i);
		TRY(put(out, piece));
	}
	(void)snprintf(piece, sizeof(piece), " (policy %02x%02x%02x%02x)", policy->buffer[0],
	    policy->buffer[1], policy->buffer[2], policy->buffer[3]);
	return put(out, piece);
}

static kms_err put_text(
    struct buf *out, const struct sealer *s, const struct facts *f, const TPM2B_DIGEST *policy)
{
	TRY(put_maker(out, f));
	TRY(put_lockout(out, f));
	TRY(put_pcrs(out, s->params.pcr_mask, policy));
	return put(out, "; sealing and opening work");
}

kms_err describe_device(struct sealer *s, struct buf *out)
{
	AUTO(buf_done) struct buf text = { 0 };
	struct facts f = { 0 };
	TPM2B_DIGEST policy;

	TRY(read_group(s, TPM2_PT_FIXED, &f));
	TRY(read_group(s, TPM2_PT_VAR, &f));
	if ((f.permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0)
		return KMS_E_TPM_OWNER;
	TRY(check_command(s, TPM2_CC_NV_DefineSpace));
	TRY(check_command(s, TPM2_CC_NV_Increment));
	TRY(check_command(s, TPM2_CC_Sign));
	TRY(rehearse(s, &policy));
	TRY(put_text(&text, s, &f, &policy));
	return buf_put(out, buf_bytes(&text));
}
