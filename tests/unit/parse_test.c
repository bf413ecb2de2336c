/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a policy: what each form of value means, that the shipped policy is read, and that
 * whatever is wrong is told with its line and column. kms/policy/parse_values.c,
 * kms/policy/parse_sections.c and kms/policy/parse_zone.c are tested through parse.h as well.
 */
#include "kms/policy/parse.h"

#include "kms/policy/check.h"
#include "kms/policy/parse_private.h"
#include "tests/unit/rules_help.h"

static void the_shipped_policy_is_good(void **state)
{
	char *text = read_source("packaging/policy.conf");
	struct rules *r = rules_of(text);
	struct findings f = { .n = 0 };

	(void)state;
	assert_int_equal(r->class_n, 4);
	assert_int_equal(r->role_n, 8);
	assert_int_equal(r->grant_n, 8);
	assert_string_equal(r->zone, "Asia/Tokyo");
	assert_int_equal(r->step_n, 1);
	assert_int_equal(r->steps[0].ahead_s, 9 * 3600);
	const struct rules_role *q = rules_find_role(r, bytes_of_str("quality-review"));
	assert_int_equal(q->reads_day, 40);
	assert_int_equal(q->hours_n, 1);
	assert_int_equal(q->hours[0].days, 0x1f);
	assert_false(q->holidays);
	assert_true(rules_role_has(q, OP_UNWRAP));
	assert_false(rules_role_has(q, OP_ISSUE));
	assert_int_equal(policy_check(r, &f), KMS_OK);
	for (size_t i = 0; i < f.n; i++)
		if (strstr(f.p[i].text, "class staff") == NULL &&
		    strstr(f.p[i].text, "class card-speech") == NULL)
			fail_msg("%s", f.p[i].text);
	assert_int_equal(f.errors, 0);
	findings_done(&f);
	rules_free(&r);
	free(text);
}

static void lines_are_those_of_the_text(void **state)
{
	struct rules *r = rules_of("# class \"a\" {\n"
	                           "class \"a\" {\n}\n\n"
	                           "class a2\n{ separate = yes }\n"
	                           "role \"b\" { operations = { \"issue\",\n \"wrap\" }\n}\n"
	                           "grant 'unix:c' {\n roles = { b } }\n");

	(void)state;
	assert_int_equal(r->classes[0].line, 2);
	assert_int_equal(r->classes[1].line, 5);
	assert_true(r->classes[1].separate);
	assert_int_equal(r->roles[0].line, 7);
	assert_int_equal(r->grants[0].line, 10);
	assert_string_equal(r->grants[0].who, "unix:c");
	rules_free(&r);
}

/* The text has '@' where the error is. */
static void refused(const char *marked, const char *why)
{
	char text[2048];
	struct rules *r = NULL;
	struct parse_error error;
	const char *at = strchr(marked, '@');
	uint32_t line = 1, column = 1;

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s", (int)(at - marked), marked, at + 1);
	for (const char *p = marked; p < at; p++) {
		line += *p == '\n';
		column = *p == '\n' ? 1 : column + 1;
	}
	assert_int_equal(rules_parse(bytes_of_str(text), &r, &error), KMS_E_BAD_POLICY);
	if (error.line != line || error.column != column || strstr(error.text, why) == NULL)
		fail_msg("%s\n%u:%u: %s, not %u:%u: %s", text, error.line, error.column, error.text,
		    line, column, why);
	assert_null(r);
}

static void errors_have_a_place(void **state)
{
	(void)state;
	refused(
	    "role \"a\" {\n\toperations = { \"issue\", \"@unwarp\" }\n}\n", "no such operation");
	refused("role a { operations = { issue, @issue } }", "twice");
	refused("role a { operations = { @status } }", "no such operation");
	refused("role a { operations = { @start } }", "no such operation");
	refused("zone = \"UTC\"\n@zone = \"UTC\"\n", "");
	refused("class a {\n\n  algorithm = \"@des\" }", "xaes-256-gcm");
	refused("class a { batch = @0 }", "0 is not possible");
	refused("class a { batch = @1025 }", "too large");
	refused("class a { usage_limit = @18446744073709551616 }", "too large");
	refused("class a { rotate_every = \"@soon\" }", "90d");
	refused("class a { separate = @maybe }", "yes or no");
	refused("class a { context = { \"x\", \"@a b\" } }", "no spaces");
	refused("class a { @colour = red }", "colour");
	refused("class \"@a b\" { }", "Use 1 to 64");
	refused("role a { keys = { \"ok-*\", \"@no/way\" } }", "pattern");
	refused("role a { classes = { \"@none\" } }", "no such class");
	refused("role a { rate = \"@5/h\" }", "500/s");
	refused("role a { rate = \"@/s\" }", "number");
	refused("role a { hours = { \"@mon 8-9\" } }", "hours are written");
	refused("role a { hours = { \"@mon 09:00-08:00\" } }", "two spans");
	refused("role a { hours = { \"@xyz 09:00-10:00\" } }", "hours are written");
	refused("role a { hours = { \"@mon 09:00-24:01\" } }", "hours are written");
	refused("holidays = { \"2026-02-28\", \"@2026-02-29\" }", "no such day");
	refused("holidays = { \"2026-02-28\", \"2026-03-01\", \"@2026-02-28\" }", "");
	refused("grant \"@root\" { roles = { a } }", "unix:USER");
	refused("grant \"unix:a\" { roles = { \"@b\" } }", "no such role");
	refused("role b { operations = { issue } }\n grant \"@unix:a\" { }", "no roles");
	refused("class a { }\nclass @a { }", "");
	refused("\n zone = \"@Mars/Base\"", "no such zone");
	refused("zone = \"@${HOME}\"", "variables");
	refused("zone = \"UTC\"\n@\x01", "no text");
}

static void what_is_no_policy(void **state)
{
	static const char *const texts[] = { "class", "class a {", "class a { batch = }", "}",
		"= 1", "role a { operations = { issue }", "role a { operations = issue, wrap }",
		"include(\"/etc/passwd\")", "grant { roles = { a } }", "\"", "/*",
		"class a { batch = \"1" };
	struct rules *r = NULL;
	struct parse_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (rules_parse(bytes_of_str(texts[i]), &r, &error) != KMS_E_BAD_POLICY)
			fail_msg("%s", texts[i]);
		assert_true(error.line >= 1 && error.column >= 1 && error.text[0] != '\0');
	}
	char *big = malloc(RULES_TEXT_MAX + 1);
	assert_non_null(big);
	memset(big, '\n', RULES_TEXT_MAX + 1);
	assert_int_equal(
	    rules_parse(bytes_of(big, RULES_TEXT_MAX + 1), &r, &error), KMS_E_BAD_POLICY);
	assert_int_equal(rules_parse(bytes_of(big, RULES_TEXT_MAX), &r, &error), KMS_OK);
	rules_free(&r);
	assert_int_equal(rules_parse(bytes_of("\0", 1), &r, &error), KMS_E_BAD_POLICY);
	free(big);
}

static void forms_of_values(void **state)
{
	struct rules_role role = { .hours_n = 0 };
	uint64_t n = 0;
	uint32_t day = 0;
	bool flag = false;

	(void)state;
	assert_null(parse_number("18446744073709551615", UINT64_MAX, &n));
	assert_true(n == UINT64_MAX);
	assert_non_null(parse_number("-1", 10, &n));
	assert_non_null(parse_number("", 10, &n));
	assert_null(parse_flag("no", &flag));
	assert_false(flag);
	assert_null(parse_rate("30/min", &role));
	assert_int_equal(role.rate, 30);
	assert_int_equal(role.rate_us, 60000000);
	assert_null(parse_hours("fri-mon,wed 22:00-24:00", &role));
	assert_int_equal(role.hours[0].days, 0x75);
	assert_int_equal(role.hours[0].from, 22 * 60);
	assert_int_equal(role.hours[0].to, 1440);
	assert_null(parse_hours("00:00-06:00", &role));
	assert_int_equal(role.hours[1].days, 0x7f);
	assert_null(parse_date("1970-01-01", &day));
	assert_int_equal(day, 0);
	assert_null(parse_date("2000-03-01", &day));
	assert_int_equal(day, 11017);
	assert_non_null(parse_date("2026-13-01", &day));
	assert_non_null(parse_glob(""));
	assert_non_null(parse_word("a\"b"));
}

static void zones(void **state)
{
	struct rules *r = rules_of("zone = \"Europe/Berlin\"");
	struct rules *bad = NULL;
	struct parse_error error;

	(void)state;
	/* Two changes a year. */
	assert_in_range(r->step_n, 80, 82);
	/* 2026-03-29 01:00 UTC is the beginning of summer there. */
	assert_int_equal(rules_local(r, 1774745999000000).minute, 119);
	assert_int_equal(rules_local(r, 1774746000000000).minute, 180);
	rules_free(&r);
	static const char *const none[] = { "zone = \"Mars/Base\"", "zone = \"../../etc/passwd\"",
		"zone = \"/etc/localtime\"" };
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_int_equal(
		    rules_parse(bytes_of_str(none[i]), &bad, &error), KMS_E_BAD_POLICY);
		assert_int_equal(error.column, 9);
		assert_null(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shipped_policy_is_good),
		cmocka_unit_test(lines_are_those_of_the_text),
		cmocka_unit_test(errors_have_a_place),
		cmocka_unit_test(what_is_no_policy),
		cmocka_unit_test(forms_of_values),
		cmocka_unit_test(zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
