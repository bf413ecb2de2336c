/* SPDX-License-Identifier: Apache-2.0 */
/* The TSS's codes in our words: those that were seen from a chip, each with what is done about it. */
#include "tpm/rc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tpm/device.h"

static void codes_have_names(void **state)
{
	(void)state;
	static const struct {
		enum rc_step step;
		TSS2_RC rc;
		kms_err err;
		enum rc_retry retry;
	} rows[] = {
		{ RC_ANY, 0x98e, KMS_E_TPM_AUTH, RC_GIVE_UP },
		{ RC_ANY, 0x9a2, KMS_E_TPM_AUTH, RC_GIVE_UP },
		{ RC_OWNER, 0x9a2, KMS_E_TPM_OWNER, RC_GIVE_UP },
		{ RC_ANY, 0x921, KMS_E_TPM_LOCKOUT, RC_GIVE_UP },
		{ RC_ANY, 0x99d, KMS_E_TPM_PCR, RC_GIVE_UP },
		{ RC_ANY, 0x128, KMS_E_TPM_PCR, RC_AGAIN },
		{ RC_LOAD, 0x1df, KMS_E_INTEGRITY, RC_GIVE_UP },
		{ RC_LOAD, 0x1d5, KMS_E_INTEGRITY, RC_GIVE_UP },
		{ RC_ANY, 0x1df, KMS_E_TPM_FOREIGN, RC_GIVE_UP },
		{ RC_NV, 0x18b, KMS_E_COUNTER_GONE, RC_GIVE_UP },
		{ RC_NV, 0x14a, KMS_E_COUNTER_GONE, RC_GIVE_UP },
		{ RC_ANY, 0x14c, KMS_E_EXISTS, RC_GIVE_UP },
		{ RC_ANY, 0x902, KMS_E_TPM_BUSY, RC_GIVE_UP },
		{ RC_ANY, 0x903, KMS_E_TPM_BUSY, RC_GIVE_UP },
		{ RC_ANY, 0xc0903, KMS_E_TPM_BUSY, RC_GIVE_UP },
		{ RC_ANY, 0x922, KMS_E_TPM_BUSY, RC_GIVE_UP },
		{ RC_ANY, 0x143, KMS_E_TPM_UNSUITABLE, RC_GIVE_UP },
		{ RC_ANY, 0x101, KMS_E_TPM_FAILED, RC_GIVE_UP },
		{ RC_ANY, 0x910, KMS_E_TPM_FAILED, RC_AGAIN },
		{ RC_ANY, 0x918, KMS_E_TPM_FAILED, RC_AGAIN },
		{ RC_ANY, 0x100, KMS_E_TPM_FAILED, RC_REOPEN },
		{ RC_ANY, 0x000a000a, KMS_E_TPM_UNREACHABLE, RC_REOPEN },
		{ RC_ANY, 0x00070007, KMS_E_TPM_UNREACHABLE, RC_REOPEN },
		{ RC_ANY, 0x000a0005, KMS_E_TPM_UNREACHABLE, RC_GIVE_UP },
		{ RC_ANY, 0x00070017, KMS_E_NO_MEMORY, RC_GIVE_UP },
		{ RC_ANY, 0x0007001b, KMS_E_TPM_FAILED, RC_GIVE_UP },
		{ RC_ANY, 0x00080001, KMS_E_TPM_FAILED, RC_GIVE_UP },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rc_meaning m = rc_translate(rows[i].step, rows[i].rc);
		assert_int_equal(m.err, rows[i].err);
		assert_int_equal(m.retry, rows[i].retry);
	}
}

static void a_missing_handle_is_told_from_a_missing_chip(void **state)
{
	(void)state;
	assert_true(rc_is_no_handle(0x18b));
	assert_true(rc_is_no_handle(0xc018b));
	assert_false(rc_is_no_handle(0) || rc_is_no_handle(0xa000a) || rc_is_no_handle(0xa018b));
}

static void a_failure_is_noted(void **state)
{
	(void)state;
	struct sealer s = { .code = 7 };

	assert_int_equal(rc_check(&s, RC_ANY, TSS2_RC_SUCCESS), KMS_OK);
	assert_int_equal(s.code, 7);
	assert_int_equal(rc_check(&s, RC_ANY, 0x000a000a), KMS_E_TPM_UNREACHABLE);
	assert_int_equal(s.code, 0x000a000a);
	assert_int_equal(s.retry, RC_REOPEN);
	assert_int_equal(rc_check(&s, RC_ANY, 0x98e), KMS_E_TPM_AUTH);
	assert_int_equal(s.retry, RC_GIVE_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_have_names),
		cmocka_unit_test(a_missing_handle_is_told_from_a_missing_chip),
		cmocka_unit_test(a_failure_is_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
