/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TRY, AUTO, MOVE and CHECK: that a failure goes up, that owners are freed once, and that a
 * broken invariant ends the process and names its place.
 */
#include "kms/base/base.h"

#include <stdarg.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/unit/trap.h"

static int freed;

static void owner_free(int **p)
{
	if (*p != NULL)
		freed += **p;
	*p = NULL;
}

static kms_err pass(kms_err e, int *out)
{
	TRY(e);
	*out = 1;
	return KMS_OK;
}

static int *make(int *of, bool keep)
{
	AUTO(owner_free) int *p = of;

	return keep ? MOVE(p) : NULL;
}

static void try_passes_success(void **state)
{
	int out = 0;

	(void)state;
	assert_int_equal(pass(KMS_OK, &out), KMS_OK);
	assert_int_equal(out, 1);
}

static void try_returns_the_failure(void **state)
{
	int out = 0;

	(void)state;
	assert_int_equal(pass(KMS_E_NOT_FOUND, &out), KMS_E_NOT_FOUND);
	assert_int_equal(out, 0);
}

static void try_evaluates_once(void **state)
{
	int calls = 0, out = 0;

	(void)state;
	assert_int_equal(pass((calls++, KMS_E_IO), &out), KMS_E_IO);
	assert_int_equal(calls, 1);
}

static void auto_frees_what_was_not_moved(void **state)
{
	int one = 1;

	(void)state;
	freed = 0;
	assert_null(make(&one, false));
	assert_int_equal(freed, 1);
}

static void move_keeps_it_from_being_freed(void **state)
{
	int one = 1;

	(void)state;
	freed = 0;
	assert_ptr_equal(make(&one, true), &one);
	assert_int_equal(freed, 0);
}

static void move_leaves_null(void **state)
{
	int one = 1, *p = &one;

	(void)state;
	assert_ptr_equal(MOVE(p), &one);
	assert_null(p);
	assert_null(MOVE(p));
}

static void check_is_silent_while_it_holds(void **state)
{
	(void)state;
	assert_false(TRAPS(SIGABRT, (CHECK(1 + 1 == 2), 0)));
}

static void check_aborts_and_names_the_place(void **state)
{
	char text[512];
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, (CHECK(sizeof(int) == 0), 0));

	(void)state;
	(void)capture_end(&c, text, sizeof(text));
	assert_true(hit);
	assert_non_null(strstr(text, "check failed: sizeof(int) == 0 ("));
	assert_non_null(strstr(text, "base_test.c:"));
}

static void check_survives_a_long_condition(void **state)
{
	char what[2000], text[512];

	(void)state;
	memset(what, 'x', sizeof(what) - 1);
	what[sizeof(what) - 1] = '\0';
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, (check_failed(what, "f.c", 1), 0));
	size_t n = capture_end(&c, text, sizeof(text));
	assert_true(hit);
	assert_int_equal(n, 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(try_passes_success),
		cmocka_unit_test(try_returns_the_failure),
		cmocka_unit_test(try_evaluates_once),
		cmocka_unit_test(auto_frees_what_was_not_moved),
		cmocka_unit_test(move_keeps_it_from_being_freed),
		cmocka_unit_test(move_leaves_null),
		cmocka_unit_test(check_is_silent_while_it_holds),
		cmocka_unit_test(check_aborts_and_names_the_place),
		cmocka_unit_test(check_survives_a_long_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
