/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The completion script for bash, written from the table of commands so that it is never stale:
 * a function with one case for each command, and names of keys asked from kmsd.
 */
#include <string.h>

#include "kms/ctl/help.h"

static const char head[] =
    "# bash completion for kmsctl; made by `kmsctl completion`.\n"
    "_kmsctl()\n"
    "{\n"
    "\tlocal cur prev words=() w i options='' operand='' verbs=''\n"
    "\tcur=${COMP_WORDS[COMP_CWORD]}\n"
    "\tprev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\tw=${COMP_WORDS[i]}\n"
    "\t\t[[ $w == -* ]] || words+=(\"$w\")\n"
    "\tdone\n"
    "\tcase $prev in\n"
    "\t-o | --output | --key-out | --socket | --share | --shares-out | --config | --kmsd)\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\t\treturn\n"
    "\t\t;;\n"
    "\t--slot)\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W 'tpm pkcs11' -- \"$cur\")\n"
    "\t\treturn\n"
    "\t\t;;\n"
    "\t--algorithm)\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W 'xaes-256-gcm aes-256-gcm aes-256-kwp' -- \"$cur\")\n"
    "\t\treturn\n"
    "\t\t;;\n"
    "\tesac\n"
    "\tcase ${words[0]-} in\n";

static const char tail[] =
    "\tesac\n"
    "\tcase $cur,$operand in\n"
    "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\") ;;\n"
    "\t*,key) mapfile -t COMPREPLY < <(compgen -W \"$(kmsctl key list -q 2>/dev/null)\" -- \"$cur\") ;;\n"
    "\t*,slot) mapfile -t COMPREPLY < <(compgen -W \"$(kmsctl slot list -q 2>/dev/null)\" -- \"$cur\") ;;\n"
    "\t*,backup) mapfile -t COMPREPLY < <(compgen -W \"$(kmsctl backup list -q 2>/dev/null)\" -- \"$cur\") ;;\n"
    "\t*,file) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "\t*) mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$cur\") ;;\n"
    "\tesac\n"
    "}\n"
    "complete -o filenames -F _kmsctl kmsctl\n";

static kms_err put(struct buf *out, const char *text)
{
	return buf_put(out, bytes_of_str(text));
}

static kms_err put_option_names(uint64_t mask, struct buf *out)
{
	TRY(put(out, "options='"));
	for (int i = 0; i < OPT_TOTAL; i++) {
		if ((mask & OPT_BIT(i)) == 0)
			continue;
		TRY(put(out, " --"));
		TRY(put(out, opt_specs[i].name));
	}
	return put(out, "'\n");
}

/* A key comes first and a file after it; which of them is next depends on how many words there are. */
static kms_err put_operand(const struct command *c, const char *indent, struct buf *out)
{
	const char *count = c->noun != NULL ? "2" : "1";

	TRY(put(out, indent));
	switch (c->operand) {
	case OPERAND_KEY: return put(out, "operand=key\n");
	case OPERAND_FILE: return put(out, "operand=file\n");
	case OPERAND_SLOT: return put(out, "operand=slot\n");
	case OPERAND_BACKUP: return put(out, "operand=backup\n");
	case OPERAND_KEY_FILE:
		TRY(put(out, "operand=file; ((${#words[@]} > "));
		TRY(put(out, count));
		return put(out, ")) || operand=key\n");
	case OPERAND_NONE:
	case OPERAND_OTHER: break;
	}
	return put(out, "operand=''\n");
}

static kms_err put_command(const struct command *c, const char *indent, struct buf *out)
{
	TRY(put(out, indent));
	TRY(put(out, c->verb));
	TRY(put(out, ")\n\t"));
	TRY(put(out, indent));
	TRY(put_option_names(c->options | OPT_COMMON, out));
	TRY(put(out, "\t"));
	TRY(put_operand(c, indent, out));
	TRY(put(out, "\t"));
	TRY(put(out, indent));
	return put(out, ";;\n");
}

static bool same_noun(const struct command *a, const char *noun)
{
	return a->noun != NULL && strcmp(a->noun, noun) == 0;
}

static kms_err put_verbs(const char *noun, struct buf *out)
{
	TRY(put(out, "\t\tverbs='"));
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (!same_noun(c, noun))
			continue;
		TRY(put(out, " "));
		TRY(put(out, c->verb));
	}
	return put(out, "'\n");
}

/* `first` is the noun's first row; a noun's rows stand together. */
static kms_err put_noun(const struct command *first, struct buf *out)
{
	TRY(put(out, "\t"));
	TRY(put(out, first->noun));
	TRY(put(out, ")\n"));
	TRY(put_verbs(first->noun, out));
	TRY(put(out, "\t\tcase ${words[1]-} in\n"));
	for (const struct command *c = first; c->verb != NULL && same_noun(c, first->noun); c++)
		TRY(put_command(c, "\t\t", out));
	return put(out, "\t\tesac\n\t\t((${#words[@]} == 1)) || verbs=''\n\t\t;;\n");
}

static bool begins_noun(const struct command *c)
{
	return c->noun != NULL && (c == commands || !same_noun(c - 1, c->noun));
}

/* Nothing typed yet: every first word. */
static kms_err put_first_words(struct buf *out)
{
	TRY(put(out, "\t'')\n\t\tverbs='help"));
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (c->noun != NULL && !begins_noun(c))
			continue;
		TRY(put(out, " "));
		TRY(put(out, c->noun != NULL ? c->noun : c->verb));
	}
	TRY(put(out, "'\n\t\t"));
	TRY(put_option_names(OPT_COMMON, out));
	return put(out, "\t\t;;\n");
}

kms_err help_completion(struct buf *out)
{
	TRY(put(out, head));
	TRY(put_first_words(out));
	for (const struct command *c = commands; c->verb != NULL; c++) {
		if (begins_noun(c))
			TRY(put_noun(c, out));
		else if (c->noun == NULL)
			TRY(put_command(c, "\t", out));
	}
	return put(out, tail);
}
