/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of errors: every entry is complete and unique, names go both ways, and the
 * codes of the protocol have the numbers that they must keep.
 */
#include "kms/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_error_is_complete(void **state)
{
	(void)state;
	for (unsigned i = 1; i < KMS_ERR_COUNT; i++) {
		kms_err e = (kms_err)i;

		assert_true(strlen(err_name(e)) > 0);
		assert_true(strlen(err_text(e)) > 0);
		assert_true(strlen(err_hint(e)) > 0);
		assert_true(err_wire(e) > WIRE_OK && err_wire(e) < ERR_WIRE_COUNT);
		assert_int_equal(err_text(e)[strlen(err_text(e)) - 1], '.');
		assert_int_equal(err_hint(e)[strlen(err_hint(e)) - 1], '.');
	}
}

static void names_go_both_ways(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KMS_ERR_COUNT; i++) {
		const char *name = err_name((kms_err)i);

		assert_int_equal(err_from_name(name, strlen(name)), i);
		assert_int_equal(
		    strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(name));
	}
}

static void wire_names_go_both_ways(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ERR_WIRE_COUNT; i++)
		assert_int_equal(err_wire_from_name(err_wire_name((enum err_wire)i)), i);
}

/* Clients hold these numbers: a failure here means that the protocol was broken. */
static void wire_numbers_are_stable(void **state)
{
	static const char *const names[] = { "ok", "bad_request", "too_big", "not_found", "exists",
		"denied", "limit", "sealed", "wrong_state", "integrity", "needs_approval",
		"needs_login", "conflict", "store_failed", "audit_failed", "hardware", "rollback",
		"unavailable", "internal" };

	(void)state;
	assert_int_equal(sizeof(names) / sizeof(names[0]), ERR_WIRE_COUNT);
	for (unsigned i = 0; i < ERR_WIRE_COUNT; i++)
		assert_string_equal(err_wire_name((enum err_wire)i), names[i]);
}

static void some_errors_have_the_wire_code_they_must(void **state)
{
	(void)state;
	assert_int_equal(err_wire(KMS_OK), WIRE_OK);
	assert_int_equal(err_wire(KMS_E_INTEGRITY), WIRE_INTEGRITY);
	assert_int_equal(err_wire(KMS_E_TPM_LOCKOUT), WIRE_HARDWARE);
	assert_int_equal(err_wire(KMS_E_ROW_ROLLBACK), WIRE_ROLLBACK);
	assert_int_equal(err_wire(KMS_E_NO_MEMORY), WIRE_INTERNAL);
	assert_string_equal(err_name(KMS_OK), "ok");
	assert_string_equal(err_hint(KMS_OK), "");
	assert_string_equal(err_name(KMS_E_TPM_LOCKOUT), "tpm_lockout");
}

static void unknown_numbers_read_as_internal(void **state)
{
	(void)state;
	assert_string_equal(err_name(KMS_ERR_COUNT), "internal");
	assert_string_equal(err_name((kms_err)-1), "internal");
	assert_string_equal(err_text((kms_err)100000), err_text(KMS_E_INTERNAL));
	assert_string_equal(err_hint((kms_err)100000), err_hint(KMS_E_INTERNAL));
	assert_int_equal(err_wire(KMS_ERR_COUNT), WIRE_INTERNAL);
	assert_string_equal(err_wire_name(ERR_WIRE_COUNT), "internal");
	assert_string_equal(err_wire_name((enum err_wire) - 1), "internal");
}

static void unknown_names_read_as_internal(void **state)
{
	(void)state;
	assert_int_equal(err_wire_from_name(""), WIRE_INTERNAL);
	assert_int_equal(err_wire_from_name("INTEGRITY"), WIRE_INTERNAL);
	assert_int_equal(err_wire_from_name("integrity "), WIRE_INTERNAL);
	assert_int_equal(err_from_name("", 0), KMS_E_INTERNAL);
	assert_int_equal(err_from_name("no_such_error", 13), KMS_E_INTERNAL);
	assert_int_equal(err_from_name("TPM_LOCKOUT", 11), KMS_E_INTERNAL);
}

static void a_name_is_compared_to_its_length(void **state)
{
	(void)state;
	assert_int_equal(err_from_name("deniedX", 6), KMS_E_DENIED);
	assert_int_equal(err_from_name("deniedX", 7), KMS_E_INTERNAL);
	assert_int_equal(err_from_name("denied", 5), KMS_E_INTERNAL);
	assert_int_equal(err_from_name("denied", 7), KMS_E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_is_complete),
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(wire_names_go_both_ways),
		cmocka_unit_test(wire_numbers_are_stable),
		cmocka_unit_test(some_errors_have_the_wire_code_they_must),
		cmocka_unit_test(unknown_numbers_read_as_internal),
		cmocka_unit_test(unknown_names_read_as_internal),
		cmocka_unit_test(a_name_is_compared_to_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
