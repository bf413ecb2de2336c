/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed rows where the N-th call for memory or cryptography fails: each failure is told, and what
 * failed has left no trace in the batch or in the sum over the rows.
 */
#include "kms/store/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/ossl_fault.h"
#include "tests/unit/rows_help.h"

/* The sum's table of parts grows within so many rows. */
enum {
	ROWS = 120
};

static kms_err use_everything(void)
{
	static const char bind[] = "bind";
	uint8_t sealed[ROWS_BITS_OVERHEAD + KEY_BITS_LEN];
	const struct epoch e = { .number = 1 };
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(secret_free) struct secret *bits = NULL;
	AUTO(rows_free) struct rows *r = NULL;
	AUTO(row_batch_free) struct row_batch *b = NULL;

	TRY(secret_new(KEY_BITS_LEN, &key));
	TRY(rows_new(key, &r));
	TRY(row_batch_new(&b));
	TRY(rows_put(r, b, TABLE_KEY, bytes_of_str("key"), bytes_of_str("value")));
	TRY(rows_delete(r, b, TABLE_KEY, bytes_of_str("key")));
	TRY(rows_finish(r, b, &e));
	TRY(rows_seal_bits(r, bytes_of_str(bind), key, sealed));
	kms_err opened =
	    rows_open_bits(r, bytes_of_str(bind), bytes_of(sealed, sizeof(sealed)), &bits);
	/* OpenSSL's last step fails as it does for damage: nobody can tell them apart. */
	return opened == KMS_E_STORE_CORRUPT ? KMS_E_INTEGRITY : opened;
}

static void every_failure_is_told(void **state)
{
	(void)state;
	assert_true(fault_tell(use_everything) > 20);
}

/* Fails in every way that it can, then succeeds. */
static size_t put_in_the_end(struct tried *t, struct row_batch *b, const char *key)
{
	for (size_t n = 1;; n++) {
		size_t before = b->n;
		fault_in = n;
		kms_err e =
		    rows_put(t->rows, b, TABLE_KEY, bytes_of_str(key), bytes_of_str("a value"));
		fault_in = 0;
		if (e == KMS_OK)
			return n - 1;
		assert_int_equal(b->n, before);
	}
}

static size_t delete_in_the_end(struct tried *t, struct row_batch *b, const char *key)
{
	for (size_t n = 1;; n++) {
		size_t before = b->n;
		fault_in = n;
		kms_err e = rows_delete(t->rows, b, TABLE_KEY, bytes_of_str(key));
		fault_in = 0;
		if (e == KMS_OK)
			return n - 1;
		assert_int_equal(b->n, before);
	}
}

static void what_failed_left_no_trace(void **state)
{
	struct tried *t = *state;
	struct row_batch *b = batch_of();
	size_t failures = 0;
	char key[16];

	for (unsigned i = 0; i < ROWS; i++) {
		(void)snprintf(key, sizeof(key), "key-%u", i);
		failures += put_in_the_end(t, b, key);
		if (i % 3 == 0)
			failures += delete_in_the_end(t, b, key);
	}
	assert_true(failures > ROWS);
	apply(t, &b);
	assert_int_equal(load_error(t), KMS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_failure_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_failed_left_no_trace, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
