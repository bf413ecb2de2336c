/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy answers, as a table (kms/policy/rules.c and kms/policy/rules_time.c are tested
 * through it); and what check.h and diff.h find in small policies.
 */
#include "kms/policy/decide.h"

#include "kms/policy/check.h"
#include "kms/policy/diff.h"
#include "tests/unit/rules_help.h"

static const char text[] =
    "holidays = { 1970-01-08 }\n"
    "class rec { purposes = { court } separate = yes }\n"
    "role in { operations = { issue } keys = { \"rec-*\" } classes = { rec } }\n"
    "role out { operations = { unwrap } classes = { rec } hours = { \"thu 08:00-09:00\" } }\n"
    "role see { operations = { audit-read } }\n"
    "role named { operations = { unwrap } reads_per_subject = 5 }\n"
    "grant \"unix:a\" { roles = { in } }\n"
    "grant \"unix:b\" { roles = { out, see } }\n"
    "grant \"unix:d\" { roles = { named } }\n";

struct row {
	const char *who;
	enum op op;
	const char *key, *key_class, *purpose;
	uint64_t hour; /* of 1970-01-01, a Thursday */
	enum lack lack;
};

static const struct row rows[] = {
	{ "unix:a", OP_ISSUE, "rec-1", "rec", "", 0, LACK_NOTHING },
	{ "unix:b", OP_UNWRAP, "x", "rec", "court", 8, LACK_NOTHING },
	{ "unix:b", OP_AUDIT_READ, "", "", "", 0, LACK_NOTHING },
	{ "unix:c", OP_ISSUE, "rec-1", "rec", "", 0, LACK_GRANT },
	{ "unix:a", OP_UNWRAP, "rec-1", "rec", "court", 8, LACK_RIGHT },
	{ "unix:a", OP_STATUS, "", "", "", 0, LACK_RIGHT },
	{ "unix:a", OP_COUNT, "", "", "", 0, LACK_RIGHT },
	{ "unix:a", OP_ISSUE, "crm", "rec", "", 0, LACK_KEY },
	{ "unix:a", OP_ISSUE, "", "rec", "", 0, LACK_KEY },
	{ "unix:a", OP_ISSUE, "rec-1", "", "", 0, LACK_CLASS },
	{ "unix:b", OP_UNWRAP, "x", "rec", "court", 9, LACK_HOURS },
	{ "unix:b", OP_UNWRAP, "x", "rec", "court", 32, LACK_HOURS },
	{ "unix:b", OP_UNWRAP, "x", "rec", "court", 8 + 7 * 24, LACK_HOURS },
	{ "unix:b", OP_UNWRAP, "x", "rec", "court", 8 + 14 * 24, LACK_NOTHING },
	{ "unix:b", OP_UNWRAP, "x", "rec", "fun", 8, LACK_PURPOSE },
	{ "unix:d", OP_UNWRAP, "x", "rec", "court", 0, LACK_SUBJECT },
};

static void the_table(void **state)
{
	struct rules *r = rules_of(text);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *w = &rows[i];
		const struct question q = { .who = bytes_of_str(w->who),
			.op = w->op,
			.key = bytes_of_str(w->key),
			.key_class = bytes_of_str(w->key_class),
			.purpose = bytes_of_str(w->purpose),
			.time_us = w->hour * 3600000000 };
		const struct decision d = rules_decide(r, &q);
		if (d.lack != w->lack)
			fail_msg("row %zu: %s", i, lack_text(d.lack));
		assert_true((d.grant == NULL) == (w->lack == LACK_GRANT));
	}
	assert_string_equal(lack_word(LACK_HOURS), "hours");
	rules_free(&r);
}

static void finds(const char *policy, const char *what, size_t errors)
{
	struct rules *r = rules_of(policy);
	struct findings f = { .n = 0 };

	assert_int_equal(policy_check(r, &f), KMS_OK);
	assert_int_equal(f.errors, errors);
	assert_true(f.n > 0);
	assert_non_null(strstr(f.p[0].text, what));
	findings_done(&f);
	rules_free(&r);
}

static void what_cannot_be_meant(void **state)
{
	(void)state;
	finds("role a { operations = { issue } }", "granted to nobody", 0);
	finds("class c { separate = yes }\nrole a { operations = { issue, unwrap } }\n"
	      "grant \"unix:u\" { roles = { a } }",
	    "both issues and unwraps", 1);
	finds("role a { operations = { issue } }\nrole b { operations = { issue, wrap } }\n"
	      "grant \"unix:u\" { roles = { a, b } }",
	    "never reached", 0);
}

static void who_gains_and_who_loses(void **state)
{
	struct rules *old = rules_of("role a { operations = { issue } }\n"
	                             "grant \"unix:u\" { roles = { a } }");
	struct rules *fresh = rules_of("role a { operations = { issue } }\n"
	                               "grant \"unix:v\" { roles = { a } }");
	struct policy_diff d = { .n = 0 };

	(void)state;
	assert_int_equal(policy_diff(old, fresh, &d), KMS_OK);
	assert_int_equal(d.n, 2);
	assert_true(d.p[0].gains);
	assert_string_equal(d.p[0].who, "unix:v");
	assert_false(d.p[1].gains);
	assert_string_equal(d.p[1].who, "unix:u");
	policy_diff_done(&d);
	assert_int_equal(policy_diff(old, old, &d), KMS_OK);
	assert_int_equal(d.n, 0);
	rules_free(&old);
	rules_free(&fresh);
}

static void what_a_class_loosens(void **state)
{
	struct rules *old = rules_of("class c { separate = yes batch = 8 usage_limit = 9 }");
	struct rules *fresh = rules_of("class c { batch = 4 }");
	struct policy_diff d = { .n = 0 };

	(void)state;
	assert_int_equal(policy_diff(old, fresh, &d), KMS_OK);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.p[0].rule, "batch");
	assert_false(d.p[0].gains);
	assert_string_equal(d.p[1].rule, "usage_limit");
	assert_true(d.p[1].gains);
	assert_string_equal(d.p[2].rule, "separate");
	assert_true(d.p[2].gains);
	policy_diff_done(&d);
	rules_free(&old);
	rules_free(&fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(what_cannot_be_meant),
		cmocka_unit_test(who_gains_and_who_loses),
		cmocka_unit_test(what_a_class_loosens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
