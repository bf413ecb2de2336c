/* SPDX-License-Identifier: Apache-2.0 */
/* Failing, talking and asking: what every command does in the same way. */
#include "kms/ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/ctl/file.h"

enum {
	ANSWER_MAX = 128 /* what is typed to confirm */
};

kms_err ctl_connect(struct ctl *c)
{
	const struct kms_options options = {
		.socket = c->args.text[OPT_SOCKET],
		.subject = c->args.text[OPT_SUBJECT],
		.purpose = c->args.text[OPT_PURPOSE],
	};

	if (c->kms != NULL)
		return KMS_OK;
	return ctl_ask(c, kms_connect(&options, &c->kms));
}

kms_err ctl_keep(struct ctl *c, const struct kms_error *error)
{
	c->error = *error;
	/* A newer kmsd may know a finer name than we do; the code is what counts. */
	kms_err e = err_from_name(error->name, strlen(error->name));
	return e != KMS_OK ? e : KMS_E_INTERNAL;
}

kms_err ctl_ask(struct ctl *c, enum kms_code code)
{
	return code == KMS_CODE_OK ? KMS_OK : ctl_keep(c, kms_last_error(c->kms));
}

static void put_error(struct ctl *c, kms_err e)
{
	c->error = (struct kms_error){ .number = (enum kms_code)err_wire(e) };
	(void)snprintf(c->error.code, sizeof(c->error.code), "%s", kms_code_name(c->error.number));
	(void)snprintf(c->error.name, sizeof(c->error.name), "%s", err_name(e));
	(void)snprintf(c->error.text, sizeof(c->error.text), "%s", err_text(e));
	(void)snprintf(c->error.hint, sizeof(c->error.hint), "%s", err_hint(e));
}

kms_err ctl_refuse(struct ctl *c, kms_err e, const char *format, ...)
{
	va_list args;

	put_error(c, e);
	va_start(args, format);
	(void)vsnprintf(c->error.detail, sizeof(c->error.detail), format, args);
	va_end(args);
	return e;
}

kms_err ctl_usage(struct ctl *c, const char *format, ...)
{
	const struct command *command = c->command;
	va_list args;

	put_error(c, KMS_E_BAD_REQUEST);
	c->is_usage = true;
	(void)snprintf(c->error.name, sizeof(c->error.name), "usage");
	va_start(args, format);
	(void)vsnprintf(c->error.text, sizeof(c->error.text), format, args);
	va_end(args);
	if (command == NULL)
		ctl_hint(c, "`kmsctl --help` lists the commands.");
	else
		(void)snprintf(c->error.hint, sizeof(c->error.hint),
		    "`kmsctl %s%s%s --help` explains the command.",
		    command->noun != NULL ? command->noun : "", command->noun != NULL ? " " : "",
		    command->verb);
	return KMS_E_BAD_REQUEST;
}

void ctl_hint(struct ctl *c, const char *hint)
{
	(void)snprintf(c->error.hint, sizeof(c->error.hint), "%s", hint);
}

void ctl_talk(const struct ctl *c, const char *format, ...)
{
	va_list args;

	if (c->style.quiet)
		return;
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

kms_err ctl_write(struct ctl *c, struct bytes x)
{
	int error = file_write_all(STDOUT_FILENO, x);

	if (error != 0)
		return ctl_refuse(c, KMS_E_IO, "stdout: %s", strerrordesc_np(error));
	return KMS_OK;
}

kms_err ctl_print(struct ctl *c, struct out *o)
{
	AUTO(buf_done) struct buf text = { .n = 0 };

	TRY(out_print(o, &c->style, &text));
	return ctl_write(c, buf_bytes(&text));
}

kms_err ctl_check_no_terminal(struct ctl *c, const char *what, const char *instead)
{
	if (isatty(STDOUT_FILENO) == 0)
		return KMS_OK;
	return ctl_usage(c, "%s is not shown on a terminal; %s", what, instead);
}

bool ctl_is_dry_run(const struct ctl *c)
{
	return c->args.given[OPT_DRY_RUN];
}

static void read_answer(char answer[static ANSWER_MAX])
{
	answer[0] = '\0';
	if (fgets(answer, ANSWER_MAX, stdin) == NULL)
		answer[0] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
}

kms_err ctl_confirm(struct ctl *c, const char *name)
{
	char answer[ANSWER_MAX];

	if (c->args.given[OPT_YES])
		return KMS_OK;
	if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
		return ctl_usage(c, "this can't be undone; without a terminal it wants --yes");

	(void)fprintf(stderr, "Type %s to go on: ", name);
	(void)fflush(stderr);
	read_answer(answer);
	if (strcmp(answer, name) != 0)
		return ctl_refuse(c, KMS_E_CANCELLED, "%s was not typed", name);
	return KMS_OK;
}
