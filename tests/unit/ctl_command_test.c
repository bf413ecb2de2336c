/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and what is made of it: lookup, help, completion. */
#include "kms/ctl/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kms/ctl/help.h"

static const struct command *find(const char *noun, const char *verb)
{
	int words = 0;
	const struct command *c = command_find(noun, verb, &words);

	if (c != NULL)
		assert_int_equal(words, c->noun != NULL ? 2 : 1);
	return c;
}

static const char *terminated(struct buf *b)
{
	assert_int_equal(buf_put_u8(b, '\0'), KMS_OK);
	return (const char *)b->p;
}

static void every_command_is_found(void **state)
{
	size_t n = 0;

	(void)state;
	for (const struct command *c = commands; c->verb != NULL; c++, n++) {
		const char *first = c->noun != NULL ? c->noun : c->verb;
		assert_ptr_equal(find(first, c->noun != NULL ? c->verb : NULL), c);
		assert_ptr_equal(find(first, c->noun != NULL ? c->verb : "word"), c);
	}
	assert_true(n >= 30);
}

static void every_row_is_whole(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->verb != NULL; c++) {
		assert_non_null(c->run);
		assert_non_null(c->usage);
		assert_true(strlen(c->about) > 0);
		assert_non_null(strstr(c->help, "Examples:\n  "));
		assert_non_null(strstr(c->help, "kmsctl"));
		assert_true(c->min <= c->max && c->max < ARGS_OPERANDS);
		assert_int_equal(c->options & OPT_COMMON, 0);
	}
}

/* A noun's rows stand together: completion relies on it. */
static void nouns_are_not_scattered(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->verb != NULL; c++) {
		const struct command *end = c;

		while (end->verb != NULL && end->noun != NULL && c->noun != NULL &&
		       strcmp(end->noun, c->noun) == 0)
			end++;
		for (; c->noun != NULL && end->verb != NULL; end++)
			assert_true(end->noun == NULL || strcmp(end->noun, c->noun) != 0);
	}
}

/* What changes something can be tried; what can't be undone asks. */
static void changes_have_a_dry_run(void **state)
{
	static const char *const changes[][2] = { { "init", NULL }, { "seal", NULL },
		{ "unseal", NULL }, { "key", "create" }, { "key", "rotate" }, { "key", "suspend" },
		{ "key", "resume" }, { "key", "deactivate" }, { "key", "compromise" },
		{ "key", "destroy" }, { "key", "cancel-destroy" }, { "encrypt", NULL },
		{ "slot", "add" }, { "slot", "remove" }, { "root", "rotate" },
		{ "backup", "create" }, { "backup", "restore" }, { "backup", "rehearse" } };
	static const char *const final[] = { "deactivate", "compromise", "destroy" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		assert_true(find(changes[i][0], changes[i][1])->options & OPT_BIT(OPT_DRY_RUN));
	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		assert_true(find("key", final[i])->options & OPT_BIT(OPT_YES));
	assert_true(find("slot", "remove")->options & OPT_BIT(OPT_YES));
	assert_true(find("root", "rotate")->options & OPT_BIT(OPT_YES));
}

static void help_names_every_option(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->verb != NULL; c++) {
		AUTO(buf_done) struct buf text = { .n = 0 };
		char option[64];

		assert_int_equal(help_command(c, &text), KMS_OK);
		const char *help = terminated(&text);
		assert_non_null(strstr(help, c->help));
		for (int i = 0; i < OPT_TOTAL; i++) {
			(void)snprintf(option, sizeof(option), " --%s ", opt_specs[i].name);
			bool has = ((c->options | OPT_COMMON) & OPT_BIT(i)) != 0;
			const char *options = strstr(help, "\nOptions");
			assert_int_equal(strstr(options, option) != NULL, has);
		}
	}
}

static void the_list_names_every_command(void **state)
{
	AUTO(buf_done) struct buf all = { .n = 0 }, keys = { .n = 0 };

	(void)state;
	assert_int_equal(help_list(NULL, &all), KMS_OK);
	assert_int_equal(help_list("key", &keys), KMS_OK);
	const char *text = terminated(&all);
	for (const struct command *c = commands; c->verb != NULL; c++)
		assert_non_null(strstr(text, c->about));
	const char *short_text = terminated(&keys);
	assert_non_null(strstr(short_text, "key destroy"));
	assert_null(strstr(short_text, "audit tail"));
}

static void completion_names_everything(void **state)
{
	AUTO(buf_done) struct buf text = { .n = 0 };

	(void)state;
	assert_int_equal(help_completion(&text), KMS_OK);
	const char *script = terminated(&text);
	for (const struct command *c = commands; c->verb != NULL; c++)
		assert_non_null(strstr(script, c->verb));
	for (int i = 0; i < OPT_TOTAL; i++)
		assert_non_null(strstr(script, opt_specs[i].name));
}

static void options_have_one_name_and_letter(void **state)
{
	(void)state;
	for (int i = 0; i < OPT_TOTAL; i++) {
		assert_non_null(opt_specs[i].name);
		assert_non_null(opt_specs[i].help);
		assert_int_equal(opt_specs[i].kind != OPT_IS_FLAG, opt_specs[i].arg != NULL);
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(opt_specs[i].name, opt_specs[k].name);
			assert_true(
			    opt_specs[i].letter == 0 || opt_specs[i].letter != opt_specs[k].letter);
		}
	}
}

static void other_words_are_not_found(void **state)
{
	int words = 7;

	(void)state;
	assert_null(command_find("", NULL, &words));
	assert_null(command_find("key", NULL, &words));
	assert_null(command_find("key", "", &words));
	assert_null(command_find("key", "tail", &words));
	assert_null(command_find("create", NULL, &words));
	assert_null(command_find("Status", NULL, &words));
	assert_null(command_find("stat", NULL, &words));
	assert_int_equal(words, 7);
	assert_true(command_is_noun("key"));
	assert_false(command_is_noun("status"));
	assert_false(command_is_noun(""));
}

static void slips_are_guessed(void **state)
{
	(void)state;
	assert_string_equal(command_guess("stauts"), "status");
	assert_string_equal(command_guess("keys"), "key");
	assert_null(command_guess("frobnicate"));
	assert_null(command_guess(""));
	assert_null(command_guess("x"));
}

/* No way to give a secret in an argument. */
static void no_option_takes_a_secret(void **state)
{
	static const char *const words[] = { "pass", "pin", "secret", "token", "key-value" };

	(void)state;
	for (int i = 0; i < OPT_TOTAL; i++) {
		for (size_t k = 0; k < ARRAY_LEN(words); k++)
			assert_null(strstr(opt_specs[i].name, words[k]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_found),
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(nouns_are_not_scattered),
		cmocka_unit_test(changes_have_a_dry_run),
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(the_list_names_every_command),
		cmocka_unit_test(completion_names_everything),
		cmocka_unit_test(options_have_one_name_and_letter),
		cmocka_unit_test(other_words_are_not_found),
		cmocka_unit_test(slips_are_guessed),
		cmocka_unit_test(no_option_takes_a_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
