/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the command line: what they become, and what each wrong one is told. */
#include "kms/ctl/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	WORDS_MAX = 24
};

#define ALL (OPT_BIT(OPT_TOTAL) - 1)

/* Parses a line of words, which are cut at spaces in place. */
static kms_err parse(char *line, uint64_t allowed, struct args *out)
{
	static char program[] = "kmsctl";
	char *words[WORDS_MAX] = { program }, *rest = NULL;
	int n = 1;

	*out = (struct args){ .operand_n = 0 };
	for (char *w = strtok_r(line, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
		words[n++] = w;
	return args_parse(n, words, allowed, false, out, NULL);
}

/* `line` must be an array: it is cut in place. */
static void parse_all(char *line, struct args *out)
{
	assert_int_equal(parse(line, ALL, out), KMS_OK);
}

static void assert_refused(const char *line, uint64_t allowed, const char *says)
{
	char words[256];
	struct args a;

	(void)strncpy(words, line, sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(parse(words, allowed, &a), KMS_E_BAD_REQUEST);
	if (strstr(a.error, says) == NULL)
		fail_msg("\"%s\" was told \"%s\"", line, a.error);
}

static void options_and_words_mix(void **state)
{
	char line[] = "rec --json file -q --count 3";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_true(a.given[OPT_JSON] && a.given[OPT_QUIET]);
	assert_int_equal(a.number[OPT_ISSUE_COUNT], 3);
	assert_int_equal(a.operand_n, 2);
	assert_string_equal(a.operands[0], "rec");
	assert_string_equal(a.operands[1], "file");
}

static void values_come_in_both_forms(void **state)
{
	char line[] = "--output=a --subject b -o c";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_string_equal(a.text[OPT_OUTPUT], "c");
	assert_string_equal(a.text[OPT_SUBJECT], "b");
}

static void a_dash_is_a_word(void **state)
{
	char line[] = "- -o -";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_int_equal(a.operand_n, 1);
	assert_string_equal(a.operands[0], "-");
	assert_string_equal(a.text[OPT_OUTPUT], "-");
}

static void two_dashes_end_the_options(void **state)
{
	char line[] = "-- --json";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_false(a.given[OPT_JSON]);
	assert_string_equal(a.operands[0], "--json");
}

static void spans_become_seconds(void **state)
{
	char line[] = "--rotate-every 90d --timeout=2min";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_int_equal(a.number[OPT_ROTATE_EVERY], 90 * 86400);
	assert_int_equal(a.number[OPT_TIMEOUT], 120);
}

static void pairs_gather(void **state)
{
	char line[] = "--context call=1 -c tenant=a=b -c empty= --new-context x=y";
	struct args a;

	(void)state;
	parse_all(line, &a);
	struct kms_context context = args_context_of(&a.context);

	assert_int_equal(context.n, 3);
	assert_string_equal(context.pairs[0].name, "call");
	assert_memory_equal(context.pairs[1].value.p, "a=b", 3);
	assert_int_equal(context.pairs[1].value.n, 3);
	assert_int_equal(context.pairs[2].value.n, 0);
	assert_int_equal(args_context_of(&a.new_context).n, 1);
}

static void shares_are_k_of_n(void **state)
{
	static const struct {
		const char *text;
		uint32_t k, n;
	} good[] = { { "2/2", 2, 2 }, { "2/3", 2, 3 }, { "16/16", 16, 16 }, { "3/05", 3, 5 } };
	char error[ARGS_ERROR_MAX];
	uint32_t k, n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(args_k_of_n(good[i].text, &k, &n, error), KMS_OK);
		assert_int_equal(k, good[i].k);
		assert_int_equal(n, good[i].n);
	}
}

static void lists_gather(void **state)
{
	char line[] = "--leave-out tpm --share a --share - --leave-out=hsm --store --shares 2/3";
	struct args a;

	(void)state;
	parse_all(line, &a);
	assert_int_equal(a.leave_out.n, 2);
	assert_string_equal(a.leave_out.p[1], "hsm");
	assert_int_equal(a.share.n, 2);
	assert_string_equal(a.share.p[0], "a");
	assert_string_equal(a.share.p[1], "-");
	assert_true(a.given[OPT_STORE] && a.given[OPT_SHARES]);
	assert_int_equal(a.shares_needed * 10 + a.shares_total, 23);
}

/* Masks are wider than an int: the last options are as good as the first. */
static void the_last_option_is_allowed_by_its_bit_alone(void **state)
{
	char line[] = "--kmsd x";
	struct args a;

	(void)state;
	assert_true(OPT_KMSD > 31);
	assert_int_equal(parse(line, OPT_BIT(OPT_KMSD), &a), KMS_OK);
	assert_string_equal(a.text[OPT_KMSD], "x");
}

static void the_first_word_stops_it(void **state)
{
	char program[] = "kmsctl", json[] = "--json", verb[] = "status", other[] = "--nonsense";
	char *words[] = { program, json, verb, other, NULL };
	struct args a = { .operand_n = 0 };
	int next = 0;

	(void)state;
	assert_int_equal(args_parse(4, words, OPT_COMMON, true, &a, &next), KMS_OK);
	assert_true(a.given[OPT_JSON]);
	assert_int_equal(next, 2);
}

static void numbers_are_decimal(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(args_number("0", &n), KMS_OK);
	assert_int_equal(n, 0);
	assert_int_equal(args_number("18446744073709551615", &n), KMS_OK);
	assert_true(n == UINT64_MAX);
}

static void other_numbers_are_refused(void **state)
{
	static const char *const wrong[] = { "", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.0",
		"18446744073709551616", "99999999999999999999999" };
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(args_number(wrong[i], &n), KMS_E_BAD_REQUEST);
		assert_int_equal(n, 7);
	}
}

static void unknown_options_are_named(void **state)
{
	(void)state;
	assert_refused("--frobnicate", ALL, "--frobnicate");
	assert_refused("--frobnicate=1", ALL, "--frobnicate here");
	assert_refused("-Z", ALL, "-Z");
	assert_refused("--contxt a=b", ALL, "did you mean --context?");
	assert_refused("--dryrun", ALL, "did you mean --dry-run?");
}

/* What begins like an option that is allowed here is not that option. */
static void beginnings_are_refused(void **state)
{
	(void)state;
	assert_refused("--shares 2/3", OPT_BIT(OPT_SHARES_OUT), "no option --shares here");
	assert_refused("--shares=2/3", OPT_BIT(OPT_SHARES_OUT), "no option --shares here");
	assert_refused("--js", ALL, "no option --js here");
	assert_refused("a --dry b", ALL, "no option --dry here");
}

/* Known elsewhere, unknown here: nothing that the command would ignore. */
static void options_of_other_commands_are_refused(void **state)
{
	(void)state;
	assert_refused("--rm", OPT_COMMON, "--rm");
	assert_refused("-o x", OPT_COMMON, "-o");
	assert_refused("--yes", OPT_COMMON | OPT_BIT(OPT_DRY_RUN), "--yes");
}

static void missing_values_are_refused(void **state)
{
	(void)state;
	assert_refused("--count", ALL, "--count wants a value");
	assert_refused("-o", ALL, "-o wants a value");
	assert_refused("--json=yes", ALL, "--json takes no value");
}

static void wrong_values_are_refused(void **state)
{
	(void)state;
	assert_refused("--count 0", ALL, "from 1 to 1024");
	assert_refused("--count 1025", ALL, "from 1 to 1024");
	assert_refused("--count ten", ALL, "\"ten\"");
	assert_refused("--version 0", ALL, "--version");
	assert_refused("--version 4294967296", ALL, "--version");
	assert_refused("--timeout soon", ALL, "--timeout takes a time");
	assert_refused("--output=", ALL, "may not be empty");
	assert_refused("--reason 01234567890123456789012345678901234567890123456789012345678901234",
	    ALL, "at most 64 bytes");
}

static void other_shares_are_refused(void **state)
{
	static const char *const wrong[] = { "", "/", "3", "2/", "/3", "1/3", "0/0", "4/3", "2/17",
		"2/3/4", "-2/3", "2/ 3", "2/x", "18446744073709551618/3", "2of3" };
	char error[ARGS_ERROR_MAX];
	uint32_t k = 7, n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(args_k_of_n(wrong[i], &k, &n, error), KMS_E_BAD_REQUEST);
		assert_int_equal(k + n, 14);
	}
	assert_refused("--shares 2of3", ALL, "as 2/3");
	assert_refused("--shares 1/3", ALL, "K 2 at least");
	assert_refused("--ceremony 00", ALL, "takes 32 characters");
	assert_refused("--share=", ALL, "may not be empty");
}

static void too_many_of_a_list_are_refused(void **state)
{
	char program[] = "kmsctl", option[] = "--share=a";
	char *words[ARGS_LIST_MAX + 2] = { program };
	struct args a = { .operand_n = 0 };

	(void)state;
	for (int i = 1; i < ARGS_LIST_MAX + 2; i++)
		words[i] = option;
	assert_int_equal(
	    args_parse(ARGS_LIST_MAX + 2, words, ALL, false, &a, NULL), KMS_E_BAD_REQUEST);
	assert_non_null(strstr(a.error, "16 times at most"));
}

static void wrong_pairs_are_refused(void **state)
{
	(void)state;
	assert_refused("-c call", ALL, "name=value");
	assert_refused("-c =1", ALL, "name=value");
	assert_refused("-c a=1 -c a=2", ALL, "twice");
	assert_refused("-c a,b=1", ALL, "printable");
	assert_refused("-c a\xc3\xa4=1", ALL, "printable");
	assert_refused("-c 01234567890123456789012345678901234567890123456789012345678901234=1",
	    ALL, "64 bytes");
}

static void too_many_pairs_are_refused(void **state)
{
	struct args_context c = { .n = 0 };
	char error[ARGS_ERROR_MAX], pair[] = "a=1";

	(void)state;
	for (int i = 0; i < ARGS_PAIRS; i++) {
		pair[0] = (char)('a' + i);
		assert_int_equal(args_add_pair(&c, pair, error), KMS_OK);
	}
	assert_int_equal(args_add_pair(&c, "z=1", error), KMS_E_BAD_REQUEST);
	assert_non_null(strstr(error, "16 pairs"));
	assert_int_equal(c.n, ARGS_PAIRS);
}

static void a_long_value_is_refused(void **state)
{
	struct args_context c = { .n = 0 };
	char error[ARGS_ERROR_MAX], pair[2 + 257 + 1] = "a=";

	(void)state;
	memset(pair + 2, 'x', 257);
	assert_int_equal(args_add_pair(&c, pair, error), KMS_E_BAD_REQUEST);
	pair[2 + 256] = '\0';
	assert_int_equal(args_add_pair(&c, pair, error), KMS_OK);
	assert_int_equal(c.pairs[0].value.n, 256);
}

static void too_many_words_are_refused(void **state)
{
	(void)state;
	assert_refused("a b c d e f", ALL, "\"f\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_words_mix),
		cmocka_unit_test(values_come_in_both_forms),
		cmocka_unit_test(a_dash_is_a_word),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(spans_become_seconds),
		cmocka_unit_test(pairs_gather),
		cmocka_unit_test(shares_are_k_of_n),
		cmocka_unit_test(lists_gather),
		cmocka_unit_test(the_last_option_is_allowed_by_its_bit_alone),
		cmocka_unit_test(the_first_word_stops_it),
		cmocka_unit_test(numbers_are_decimal),
		cmocka_unit_test(other_numbers_are_refused),
		cmocka_unit_test(unknown_options_are_named),
		cmocka_unit_test(beginnings_are_refused),
		cmocka_unit_test(options_of_other_commands_are_refused),
		cmocka_unit_test(missing_values_are_refused),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(other_shares_are_refused),
		cmocka_unit_test(too_many_of_a_list_are_refused),
		cmocka_unit_test(wrong_pairs_are_refused),
		cmocka_unit_test(too_many_pairs_are_refused),
		cmocka_unit_test(a_long_value_is_refused),
		cmocka_unit_test(too_many_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
