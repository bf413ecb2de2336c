/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PKCS#11 slot with a token that fails, through the shim in front of SoftHSM: what is done once
 * more and what never, tokens of other makes. The PIN's tries are counted in every story.
 */
#include "pkcs11/pkcs11.h"

#include "pkcs11/token_blob.h"
#include "tests/unit/hsm.h"

enum {
	KEY_AND_PAIR = 3,  /* objects of a slot */
	CALLS_AT_MOST = 64 /* of one function in one act */
};

static uint64_t logins(const struct hsm *h)
{
	return h->faults->calls[P11_Login];
}

/* ---- The PIN -------------------------------------------------------------------------------- */

static void a_failed_login_is_never_repeated(void **state)
{
	static const struct {
		CK_RV rv;
		kms_err err;
	} rows[] = {
		{ CKR_PIN_INCORRECT, KMS_E_PIN_WRONG },
		{ CKR_PIN_INVALID, KMS_E_PIN_WRONG },
		{ CKR_PIN_LEN_RANGE, KMS_E_PIN_WRONG },
		{ CKR_USER_PIN_NOT_INITIALIZED, KMS_E_PIN_WRONG },
		{ CKR_PIN_LOCKED, KMS_E_PIN_LOCKED },
		{ CKR_PIN_EXPIRED, KMS_E_PIN_EXPIRED },
		{ CKR_DEVICE_ERROR, KMS_E_TOKEN_FAILED },
		{ CKR_DEVICE_REMOVED, KMS_E_TOKEN_MISSING },
		{ CKR_TOKEN_NOT_PRESENT, KMS_E_TOKEN_MISSING },
		{ CKR_SESSION_HANDLE_INVALID, KMS_E_TOKEN_FAILED },
		{ CKR_CRYPTOKI_NOT_INITIALIZED, KMS_E_TOKEN_FAILED },
		{ CKR_GENERAL_ERROR, KMS_E_TOKEN_FAILED },
	};
	struct hsm *h = *state;
	uint32_t code;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hsm_fail_always(h, P11_Login, rows[i].rv);
		assert_int_equal(hsm_unseal_code(h, buf_bytes(&h->blob), &code), rows[i].err);
		assert_int_equal(code, rows[i].rv);
		assert_int_equal(logins(h), 1);
	}
	hsm_disarm(h);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

/* The token says so itself: then the PIN is not shown at all. */
static void a_locked_token_is_not_asked(void **state)
{
	struct hsm *h = *state;
	uint32_t code;

	h->faults->traits = P11_PIN_IS_LOCKED;
	hsm_disarm(h);
	assert_int_equal(hsm_unseal_code(h, buf_bytes(&h->blob), &code), KMS_E_PIN_LOCKED);
	assert_int_equal(code, CKR_PIN_LOCKED);
	assert_int_equal(logins(h), 0);
}

/* ---- What is lost and found again ----------------------------------------------------------- */

/* Wherever in an act the sessions are lost, once, it comes to its end. */
static void lose_at(struct hsm *h, enum p11_action action, enum p11_function f, uint64_t call)
{
	hsm_arm(h, action, f, (const uint64_t[]){ call, call }, 0);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_true(h->faults->fired == 1 && logins(h) == 2);
}

static void lost_sessions_are_opened_again_once(void **state)
{
	static const enum p11_function places[] = { P11_GetSessionInfo, P11_FindObjectsInit,
		P11_FindObjects, P11_GetAttributeValue, P11_DecryptInit, P11_Decrypt };
	struct hsm *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		lose_at(h, P11_LOSE, places[i], 1);
		lose_at(h, P11_DIE, places[i], 1);
	}
}

static void recoverable_codes_are_tried_once_more(void **state)
{
	static const struct {
		CK_RV rv;
		kms_err err;
	} rows[] = {
		{ CKR_SESSION_HANDLE_INVALID, KMS_E_TOKEN_FAILED },
		{ CKR_SESSION_CLOSED, KMS_E_TOKEN_FAILED },
		{ CKR_DEVICE_ERROR, KMS_E_TOKEN_FAILED },
		{ CKR_DEVICE_REMOVED, KMS_E_TOKEN_MISSING },
		{ CKR_TOKEN_NOT_PRESENT, KMS_E_TOKEN_MISSING },
		{ CKR_USER_NOT_LOGGED_IN, KMS_E_TOKEN_FAILED },
		{ CKR_KEY_HANDLE_INVALID, KMS_E_TOKEN_FAILED },
		{ CKR_OBJECT_HANDLE_INVALID, KMS_E_TOKEN_FAILED },
		{ CKR_CRYPTOKI_NOT_INITIALIZED, KMS_E_TOKEN_FAILED },
	};
	struct hsm *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hsm_fail_once(h, P11_DecryptInit, rows[i].rv);
		assert_int_equal(hsm_unseal(h), KMS_OK);
		assert_int_equal(h->faults->calls[P11_DecryptInit], 2);
		hsm_fail_always(h, P11_DecryptInit, rows[i].rv);
		assert_int_equal(hsm_unseal(h), rows[i].err);
		assert_int_equal(h->faults->calls[P11_DecryptInit], 2);
	}
}

static void other_codes_are_not(void **state)
{
	static const CK_RV codes[] = { CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_MEMORY,
		CKR_ARGUMENTS_BAD, CKR_SESSION_COUNT, CKR_OPERATION_ACTIVE, 0x80000001 };
	struct hsm *h = *state;
	uint32_t code;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		hsm_fail_once(h, P11_DecryptInit, codes[i]);
		assert_int_equal(
		    hsm_unseal_code(h, buf_bytes(&h->blob), &code), KMS_E_TOKEN_FAILED);
		assert_int_equal(code, codes[i]);
		assert_int_equal(h->faults->calls[P11_DecryptInit], 1);
	}
}

/* What a token says of changed bytes; but one whose session is gone may say anything. */
static void failed_opening_is_judged_by_the_session(void **state)
{
	static const CK_RV codes[] = { CKR_GENERAL_ERROR, CKR_ENCRYPTED_DATA_INVALID,
		CKR_ENCRYPTED_DATA_LEN_RANGE, 0x42 };
	struct hsm *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		hsm_fail_always(h, P11_Decrypt, codes[i]);
		assert_int_equal(hsm_unseal(h), KMS_E_INTEGRITY);
		assert_int_equal(logins(h), 1);
	}
	lose_at(h, P11_LOSE, P11_Decrypt, 1);
}

static void a_token_that_vanishes_is_missed(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	hsm_destroy_tokens(h);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MODULE);
	char path[2 * HSM_PATH];
	(void)snprintf(path, sizeof(path), "%s/t", h->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MISSING);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_MISSING);
}

/* Taken away in the middle of an act; back again, it opens as before. */
static void a_token_that_vanishes_on_the_way_is_missed(void **state)
{
	static const enum p11_function places[] = { P11_OpenSession, P11_FindObjectsInit,
		P11_GetAttributeValue, P11_DecryptInit, P11_Decrypt };
	struct hsm *h = *state;

	(void)snprintf(h->faults->from, sizeof(h->faults->from), "%s/t", h->dir);
	(void)snprintf(h->faults->to, sizeof(h->faults->to), "%s/away", h->dir);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		hsm_arm(h, P11_VANISH, places[i], (const uint64_t[]){ 1, 1 }, 0);
		kms_err e = hsm_unseal(h);
		assert_int_equal(h->faults->fired, 1);
		/* Whatever SoftHSM still knows of it, it is not called another token. */
		assert_true(e == KMS_OK || e == KMS_E_TOKEN_MODULE || e == KMS_E_TOKEN_FAILED);
		assert_true(logins(h) <= 1);
		(void)printf("vanished at %zu: %s\n", i, err_name(e));
		hsm_disarm(h);
		assert_int_equal(rename(h->faults->to, h->faults->from), 0);
		assert_int_equal(hsm_unseal(h), KMS_OK);
	}
}

/* ---- Nothing stays of what failed ----------------------------------------------------------- */

/* A seal that fails at each call of each function: nothing of it remains, or all of it. */
static unsigned fail_everywhere(struct hsm *h, enum p11_function f, CK_RV rv)
{
	unsigned failures = 0;

	for (uint64_t call = 1; call < CALLS_AT_MOST; call++) {
		AUTO(buf_done) struct buf out = { 0 };
		hsm_arm(h, P11_FAIL, f, (const uint64_t[]){ call, UINT64_MAX }, rv);
		kms_err e = hsm_seal_new(h, &out);
		bool fired = h->faults->fired > 0;
		hsm_disarm(h);
		assert_int_equal(hsm_objects(h), e == KMS_OK ? KEY_AND_PAIR : 0);
		if (e == KMS_OK || !fired)
			break;
		failures++;
	}
	return failures;
}

static void a_failed_seal_leaves_nothing(void **state)
{
	static const enum p11_function places[] = { P11_GenerateKey, P11_EncryptInit, P11_Encrypt,
		P11_DecryptInit, P11_Decrypt };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct hsm fresh;
		hsm_new(&fresh);
		assert_true(fail_everywhere(&fresh, places[i], CKR_FUNCTION_FAILED) > 0);
		hsm_done(&fresh);
	}
	(void)state;
}

/* The first try could not take its keys away any more; the second does. */
static void a_seal_that_lost_its_session_leaves_one_set_of_keys(void **state)
{
	static const enum p11_function places[] = { P11_GenerateKeyPair, P11_EncryptInit,
		P11_Encrypt, P11_DecryptInit, P11_Decrypt };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct hsm h;
		hsm_new(&h);
		hsm_arm(&h, P11_LOSE, places[i], (const uint64_t[]){ 1, 1 }, 0);
		assert_int_equal(hsm_seal_new(&h, &h.blob), KMS_OK);
		assert_int_equal(h.faults->fired, 1);
		assert_int_equal(hsm_objects(&h), KEY_AND_PAIR);
		assert_int_equal(hsm_unseal(&h), KMS_OK);
		hsm_done(&h);
	}
	(void)state;
}

static void a_failed_description_leaves_nothing(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	hsm_fail_always(h, P11_Decrypt, CKR_FUNCTION_FAILED);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_FAILED);
	/* Ours is the call after those for the two slots, where libp11 0.4.12 would lose memory. */
	hsm_arm(h, P11_FAIL, P11_GetTokenInfo, (const uint64_t[]){ 3, 3 }, CKR_FUNCTION_FAILED);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_FAILED);
	assert_int_equal(h->faults->fired, 1);
	hsm_disarm(h);
	assert_int_equal(out.n, 0);
	assert_int_equal(hsm_objects(h), 0);
}

/* ---- Tokens of other makes ------------------------------------------------------------------ */

static void tokens_that_make_the_iv(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf text = { 0 };
	struct token_blob b;

	h->faults->traits = P11_OWN_IV | P11_ZERO_IV;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_E_TOKEN_MECHANISM);
	assert_int_equal(hsm_objects(h), 0);
	h->params.token.iv_by_token = true;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &b), KMS_OK);
	assert_memory_not_equal(b.seal.iv, ((const uint8_t[SEAL_IV_MAX]){ 0 }), SEAL_GCM_IV);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(hsm_describe(h, &text), KMS_OK);
}

/* A token that takes its own although it was given one. */
static void an_iv_that_was_replaced_is_noticed(void **state)
{
	struct hsm *h = *state;

	h->faults->traits = P11_OWN_IV;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

/* One that does not tell its own: nothing could ever be opened. */
static void an_iv_that_is_not_told_is_refused(void **state)
{
	struct hsm *h = *state;

	h->faults->traits = P11_SILENT_IV;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_E_TOKEN_FAILED);
	h->params.token.iv_by_token = true;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_E_TOKEN_MECHANISM);
	assert_int_equal(hsm_objects(h), 0);
}

static void tokens_without_gcm(void **state)
{
	struct hsm *h = *state;
	struct token_blob b;

	h->faults->traits = P11_NO_GCM;
	h->params.token.mechanism = SEALER_AES_GCM;
	hsm_disarm(h);
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_E_TOKEN_MECHANISM);
	assert_int_equal(logins(h), 0);
	h->params.token.mechanism = SEALER_MECHANISM_ANY;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &b), KMS_OK);
	assert_int_equal(b.seal.mechanism, SEALER_AES_CBC);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	h->faults->traits = P11_NO_GCM | P11_NO_CBC;
	AUTO(buf_done) struct buf out = { 0 };
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_MECHANISM);
}

static void tokens_that_refuse_a_template(void **state)
{
	struct hsm *h = *state;

	h->faults->traits = P11_MODIFIABLE;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

static void tokens_that_make_no_keys(void **state)
{
	static const CK_RV codes[] = { CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID,
		CKR_ACTION_PROHIBITED, CKR_USER_NOT_LOGGED_IN, CKR_TEMPLATE_INCONSISTENT };
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		hsm_fail_always(h, P11_GenerateKey, codes[i]);
		assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_MISSING);
		assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_KEY_MISSING);
	}
	h->faults->traits = P11_NO_GENERATE;
	hsm_disarm(h);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_MISSING);
	hsm_admin_key(h, SEALER_ROOT_LEN, false);
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

static void cannot_sign(struct hsm *h)
{
	AUTO(buf_done) struct buf out = { 0 };

	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_objects(h), 1);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(hsm_sign(h, bytes_of_str("text"), &out), KMS_E_NO_SIGNING_KEY);
	assert_int_equal(hsm_public(h, &out), KMS_E_NO_SIGNING_KEY);
}

static void tokens_without_elliptic_curves(void **state)
{
	struct hsm *h = *state;

	h->faults->traits = P11_NO_EC;
	cannot_sign(h);
}

static void tokens_that_make_no_pairs(void **state)
{
	struct hsm *h = *state;

	hsm_fail_always(h, P11_GenerateKeyPair, CKR_ACTION_PROHIBITED);
	cannot_sign(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SLOT(a_failed_login_is_never_repeated),
		WITH_SLOT(a_locked_token_is_not_asked),
		WITH_SLOT(lost_sessions_are_opened_again_once),
		WITH_SLOT(recoverable_codes_are_tried_once_more),
		WITH_SLOT(other_codes_are_not),
		WITH_SLOT(failed_opening_is_judged_by_the_session),
		WITH_SLOT(a_token_that_vanishes_is_missed),
		WITH_SLOT(a_token_that_vanishes_on_the_way_is_missed),
		WITH_TOKEN(a_failed_seal_leaves_nothing),
		WITH_TOKEN(a_seal_that_lost_its_session_leaves_one_set_of_keys),
		WITH_TOKEN(a_failed_description_leaves_nothing),
		WITH_TOKEN(tokens_that_make_the_iv),
		WITH_TOKEN(an_iv_that_was_replaced_is_noticed),
		WITH_TOKEN(an_iv_that_is_not_told_is_refused),
		WITH_TOKEN(tokens_without_gcm),
		WITH_TOKEN(tokens_that_refuse_a_template),
		WITH_TOKEN(tokens_that_make_no_keys),
		WITH_TOKEN(tokens_without_elliptic_curves),
		WITH_TOKEN(tokens_that_make_no_pairs),
	};

	return RUN_WITH_HSM(tests);
}
