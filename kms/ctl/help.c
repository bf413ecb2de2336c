/* SPDX-License-Identifier: Apache-2.0 */
/* How the table of commands reads to people. */
#include "kms/ctl/help.h"

#include <stdio.h>
#include <string.h>

enum {
	LINE_MAX_LEN = 256,
	NAME_WIDTH = 24 /* of a command or an option, before its explanation */
};

static const char head[] = "Usage: kmsctl [NOUN] VERB [WORD]... [OPTION]...\n"
                           "Runs kmsd, the key-management service.\n";

static const char tail[] =
    "\n"
    "`kmsctl help NOUN VERB` and `kmsctl NOUN VERB --help` explain a command, with examples.\n"
    "\n"
    "Exit status: 0 done; 1 refused by policy; 2 wrong usage; 3 not found; 4 sealed; 5 bad data;\n"
    "6 wrong state, exists, conflict; 7 store, log or hardware failed; 8 try again.\n"
    "Environment: KMS_SOCKET, KMS_CONFIG, KMS_FORMAT (json or text), NO_COLOR.\n"
    "See kmsctl(1), kmsctl-slot(1), kmsctl-key(1), kmsctl-data(1), kmsctl-backup(1).\n";

static kms_err put(struct buf *out, const char *text)
{
	return buf_put(out, bytes_of_str(text));
}

static void full_name(const struct command *c, char out[static LINE_MAX_LEN])
{
	(void)snprintf(out, LINE_MAX_LEN, "%s%s%s", c->noun != NULL ? c->noun : "",
	    c->noun != NULL ? " " : "", c->verb);
}

static kms_err put_option(const struct opt_spec *spec, struct buf *out)
{
	char left[LINE_MAX_LEN], line[2 * LINE_MAX_LEN];
	char letter[] = { '-', spec->letter, ',', ' ', '\0' };

	(void)snprintf(left, sizeof(left), "%s--%s%s%s", spec->letter != 0 ? letter : "    ",
	    spec->name, spec->arg != NULL ? " " : "", spec->arg != NULL ? spec->arg : "");
	(void)snprintf(line, sizeof(line), "  %-*s  %s\n", NAME_WIDTH, left, spec->help);
	return put(out, line);
}

static kms_err put_options(const char *title, uint64_t mask, struct buf *out)
{
	if (mask == 0)
		return KMS_OK;
	TRY(put(out, title));
	for (int i = 0; i < OPT_TOTAL; i++) {
		if ((mask & OPT_BIT(i)) != 0)
			TRY(put_option(&opt_specs[i], out));
	}
	return KMS_OK;
}

kms_err help_command(const struct command *command, struct buf *out)
{
	char name[LINE_MAX_LEN], line[2 * LINE_MAX_LEN];

	full_name(command, name);
	(void)snprintf(line, sizeof(line), "Usage: kmsctl %s%s%s [OPTION]...\n%s\n\n", name,
	    command->usage[0] != '\0' ? " " : "", command->usage, command->about);
	TRY(put(out, line));
	TRY(put(out, command->help));
	TRY(put_options("\nOptions:\n", command->options, out));
	return put_options("\nOptions of every command:\n", OPT_COMMON, out);
}

kms_err help_list(const char *noun, struct buf *out)
{
	char name[LINE_MAX_LEN], line[2 * LINE_MAX_LEN];

	if (noun == NULL)
		TRY(put(out, head));
	TRY(put(out, noun == NULL ? "\nCommands:\n" : "Commands:\n"));
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (noun != NULL && (c->noun == NULL || strcmp(c->noun, noun) != 0))
			continue;
		full_name(c, name);
		(void)snprintf(line, sizeof(line), "  %-*s  %s\n", NAME_WIDTH, name, c->about);
		TRY(put(out, line));
	}
	TRY(put_options("\nOptions of every command:\n", OPT_COMMON, out));
	return put(out, tail);
}
