/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#11's codes in our words, each with whether another try may help. */
#include "pkcs11/rv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pkcs11/module.h"

static void codes_have_names(void **state)
{
	(void)state;
	static const struct {
		enum rv_step step;
		CK_RV rv;
		kms_err err;
		bool retry;
	} rows[] = {
		{ RV_ANY, 0xa0, KMS_E_PIN_WRONG, false },
		{ RV_LOGIN, 0xa3, KMS_E_PIN_EXPIRED, false },
		{ RV_LOGIN, 0xa4, KMS_E_PIN_LOCKED, false },
		{ RV_LOGIN, 0x30, KMS_E_TOKEN_FAILED, false },
		{ RV_LOGIN, 0xb3, KMS_E_TOKEN_FAILED, false },
		{ RV_LOGIN, 0x32, KMS_E_TOKEN_MISSING, false },
		{ RV_LOAD, 0x05, KMS_E_TOKEN_MODULE, false },
		{ RV_LOAD, 0x30, KMS_E_TOKEN_MODULE, false },
		{ RV_DECRYPT, 0x05, KMS_E_INTEGRITY, false },
		{ RV_DECRYPT, 0x40, KMS_E_INTEGRITY, false },
		{ RV_DECRYPT, 0x41, KMS_E_INTEGRITY, false },
		{ RV_DECRYPT, 0x42, KMS_E_INTEGRITY, false },
		{ RV_DECRYPT, 0xb3, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x05, KMS_E_TOKEN_FAILED, false },
		{ RV_ANY, 0x40, KMS_E_TOKEN_FAILED, false },
		{ RV_MAKE, 0x54, KMS_E_TOKEN_KEY_MISSING, false },
		{ RV_MAKE, 0x1b, KMS_E_TOKEN_KEY_MISSING, false },
		{ RV_MAKE, 0xe2, KMS_E_TOKEN_KEY_MISSING, false },
		{ RV_MAKE, 0x101, KMS_E_TOKEN_KEY_MISSING, false },
		{ RV_MAKE, 0x30, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x54, KMS_E_TOKEN_MECHANISM, false },
		{ RV_ANY, 0x70, KMS_E_TOKEN_MECHANISM, false },
		{ RV_ANY, 0x71, KMS_E_TOKEN_MECHANISM, false },
		{ RV_ANY, 0x68, KMS_E_TOKEN_KEY_UNSUITABLE, false },
		{ RV_ANY, 0x32, KMS_E_TOKEN_MISSING, true },
		{ RV_ANY, 0xe0, KMS_E_TOKEN_MISSING, true },
		{ RV_ANY, 0xe1, KMS_E_TOKEN_MISSING, false },
		{ RV_ANY, 0xb0, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x60, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x82, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x101, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x190, KMS_E_TOKEN_FAILED, true },
		{ RV_ANY, 0x02, KMS_E_NO_MEMORY, false },
		{ RV_ANY, 0x80000001, KMS_E_TOKEN_FAILED, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rv_meaning m = rv_translate(rows[i].step, rows[i].rv);
		assert_int_equal(m.err, rows[i].err);
		assert_int_equal(m.retry, rows[i].retry);
	}
}

static void a_failure_is_noted(void **state)
{
	(void)state;
	struct sealer s = { .code = 7, .retry = true };

	assert_int_equal(rv_check(&s, RV_ANY, CKR_OK), KMS_OK);
	assert_true(s.code == 7 && s.retry);
	assert_int_equal(rv_check(&s, RV_ANY, CKR_PIN_LOCKED), KMS_E_PIN_LOCKED);
	assert_true(s.code == CKR_PIN_LOCKED && !s.retry);
	assert_int_equal(rv_check(&s, RV_ANY, CKR_SESSION_CLOSED), KMS_E_TOKEN_FAILED);
	assert_true(s.retry);
}

/* libp11 leaves its code in OpenSSL's queue; nothing of it stays there. */
static void libp11s_codes_are_taken_out(void **state)
{
	(void)state;
	struct sealer s = { .code = 0 };

	ERR_raise(ERR_get_CKR_code(), CKR_PIN_INCORRECT);
	assert_int_equal(rv_check_libp11(&s, RV_LOGIN, -1), KMS_E_PIN_WRONG);
	assert_int_equal(s.code, CKR_PIN_INCORRECT);
	assert_int_equal(ERR_peek_last_error(), 0);
	/* A failure without a code, and a complaint after a success. */
	assert_int_equal(rv_check_libp11(&s, RV_ANY, -1), KMS_E_TOKEN_FAILED);
	assert_int_equal(s.code, CKR_FUNCTION_FAILED);
	ERR_raise(ERR_get_CKR_code(), CKR_PIN_INCORRECT);
	assert_int_equal(rv_check_libp11(&s, RV_ANY, 0), KMS_OK);
	assert_int_equal(ERR_peek_last_error(), 0);
}

static void templates_are_told_from_the_rest(void **state)
{
	(void)state;
	assert_true(rv_is_template(0xd1) && rv_is_template(0x12) && rv_is_template(0x13));
	assert_false(rv_is_template(CKR_OK) || rv_is_template(0xd0) || rv_is_template(0x54));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_have_names),
		cmocka_unit_test(a_failure_is_noted),
		cmocka_unit_test(libp11s_codes_are_taken_out),
		cmocka_unit_test(templates_are_told_from_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
