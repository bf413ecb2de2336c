/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the words of the command line to a command's function, and from its failure to an exit
 * status and a message, in text or JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/help.h"

static const char *environment(const char *name)
{
	/* One thread, and nobody changes the environment. */
	const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return value != NULL ? value : "";
}

static bool may_color(void)
{
	return environment("NO_COLOR")[0] == '\0' && isatty(STDOUT_FILENO) != 0 &&
	       strcmp(environment("TERM"), "dumb") != 0;
}

/* Looked for before the words are read: what is wrong with them should come as JSON too. */
static bool has_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			return true;
	}
	return false;
}

static kms_err set_style(struct ctl *c)
{
	const char *format = environment("KMS_FORMAT");

	c->style.color = may_color();
	c->style.quiet = c->args.given[OPT_QUIET];
	if (c->args.given[OPT_JSON] || strcmp(format, "json") == 0)
		c->style.json = true;
	if (format[0] != '\0' && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
		return ctl_usage(c, "KMS_FORMAT is json or text, not \"%.32s\"", format);
	return KMS_OK;
}

static kms_err parse(struct ctl *c, int argc, char **argv, int *out_next)
{
	bool early = c->command == NULL;
	uint64_t allowed = OPT_COMMON | (early ? 0 : c->command->options);

	kms_err e = args_parse(argc, argv, allowed, early, &c->args, out_next);
	/* Also where reading stopped half-way: the message should come as it was asked for. */
	TRY(set_style(c));
	return e == KMS_OK ? KMS_OK : ctl_usage(c, "%s", c->args.error);
}

/* "help" in front, or nothing but a noun behind: what is to be explained. */
static kms_err explain(struct ctl *c, const char *noun, const char *verb)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	int words;

	const struct command *command = noun != NULL ? command_find(noun, verb, &words) : NULL;
	if (command != NULL)
		TRY(help_command(command, &text));
	else if (noun == NULL || command_is_noun(noun))
		TRY(help_list(noun, &text));
	else
		return ctl_usage(c, "there is no command \"%.32s\"", noun);
	return ctl_write(c, buf_bytes(&text));
}

static kms_err refuse_command(struct ctl *c, const char *noun, const char *verb)
{
	if (noun == NULL)
		return ctl_usage(c, "a command is missing");
	if (command_is_noun(noun) && verb == NULL)
		return ctl_usage(c, "what about the %s? `kmsctl %s --help` lists it", noun, noun);
	if (command_is_noun(noun))
		return ctl_usage(c, "there is no command \"%s %.32s\"", noun, verb);
	const char *meant = command_guess(noun);
	if (meant == NULL)
		return ctl_usage(c, "there is no command \"%.32s\"", noun);
	return ctl_usage(c, "there is no command \"%.32s\"; did you mean \"%s\"?", noun, meant);
}

static kms_err check_operands(struct ctl *c)
{
	const struct command *command = c->command;
	size_t n = c->args.operand_n;

	if (n < command->min)
		return ctl_usage(c, "it wants %s", command->usage);
	if (n > command->max)
		return ctl_usage(
		    c, "\"%.64s\" is one word too many", c->args.operands[command->max]);
	return KMS_OK;
}

static const char *word_at(int argc, char **argv, int i)
{
	return i < argc && argv[i][0] != '-' ? argv[i] : NULL;
}

/* Options of the command itself are read a second time, with those in front kept. */
static kms_err run_command(struct ctl *c, int argc, char **argv, int first)
{
	int words = 0;

	const char *noun = word_at(argc, argv, first), *verb = word_at(argc, argv, first + 1);
	if (noun != NULL && strcmp(noun, "help") == 0)
		return explain(c, verb, word_at(argc, argv, first + 2));
	c->command = noun != NULL ? command_find(noun, verb, &words) : NULL;
	if (c->args.given[OPT_HELP] ||
	    (c->command == NULL && noun != NULL && verb == NULL && first + 1 < argc &&
	        strcmp(argv[first + 1], "--help") == 0))
		return explain(c, noun, verb);
	if (c->command == NULL)
		return refuse_command(c, noun, verb);

	int from = first + words - 1;
	TRY(parse(c, argc - from, argv + from, NULL));
	if (c->args.given[OPT_HELP])
		return explain(c, c->command->noun != NULL ? c->command->noun : c->command->verb,
		    c->command->noun != NULL ? c->command->verb : NULL);
	TRY(check_operands(c));
	return c->command->run(c);
}

static kms_err run_words(struct ctl *c, int argc, char **argv)
{
	int first = argc;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return cmd_version(c);
	TRY(parse(c, argc, argv, &first));
	return run_command(c, argc, argv, first);
}

static void print_error(struct ctl *c)
{
	const struct kms_error *e = &c->error;
	bool detail = e->detail[0] != '\0', hint = e->hint[0] != '\0';

	(void)fprintf(stderr, "kmsctl: %s%s%s%s\n", e->text, detail ? " (" : "", e->detail,
	    detail ? ")" : "");
	if (hint)
		(void)fprintf(stderr, "  what to do: %s\n", e->hint);
}

static void print_error_json(struct ctl *c)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };
	const struct kms_error *e = &c->error;
	struct out *error = out_child(&o, "error");

	out_str(error, "code", NULL, e->code);
	out_str(error, "name", NULL, e->name);
	out_str(error, "message", NULL, e->text);
	out_str(error, "hint", NULL, e->hint);
	if (e->detail[0] != '\0')
		out_str(error, "detail", NULL, e->detail);
	if (out_print(&o, &c->style, &text) != KMS_OK ||
	    file_write_all(STDOUT_FILENO, buf_bytes(&text)) != 0)
		print_error(c);
}

static int finish(struct ctl *c, kms_err e)
{
	if (e == KMS_OK)
		return c->status;
	/* A floor below us failed without words: its own are good enough. */
	if (c->error.number == KMS_CODE_OK && ctl_refuse(c, e, "%s", "") == KMS_OK)
		return EXIT_FAILURE;
	if (c->style.json)
		print_error_json(c);
	else
		print_error(c);
	return c->is_usage ? EXIT_USAGE : kms_exit_status(c->error.number);
}

int ctl_run(int argc, char **argv)
{
	struct ctl c = { .style = { .json = has_json(argc, argv) } };

	int status = finish(&c, run_words(&c, argc, argv));
	kms_close(&c.kms);
	return status;
}
