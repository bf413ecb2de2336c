/* SPDX-License-Identifier: Apache-2.0 */
/* The words of kms-verify's command line. */
#include <string.h>

#include "kms/base/version.h"
#include "kms/verify/verify.h"

static const char about[] =
    "usage: kms-verify [--key FILE] FOLDER|PROOF\n"
    "\n"
    "Checks a folder of kmsd's audit log, or the proof of one record. Needs no kmsd and no secret.\n"
    "\n"
    "  --key FILE   public keys that must have signed it, one on a line\n"
    "  --help       this text\n"
    "  --version    the version\n"
    "\n"
    "Exit status: 0 right, 1 wrong, 2 usage, 3 can't be read, 4 a key was given and nothing is\n"
    "signed.\n";

static enum verify_status say(FILE *to, const char *text)
{
	return fputs(text, to) < 0 ? VERIFY_NO_READ : VERIFY_HELP;
}

enum verify_status verify_args(int argc, char **argv, FILE *to, struct verify_args *out)
{
	struct verify_args a = { .key = NULL };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return say(to, about);
		if (strcmp(argv[i], "--version") == 0)
			return say(to, "kms-verify " KMS_VERSION "\n");
		if (strcmp(argv[i], "--key") == 0 && a.key == NULL && i + 1 < argc)
			a.key = argv[++i];
		else if (argv[i][0] != '-' && a.what == NULL)
			a.what = argv[i];
		else
			return VERIFY_USAGE;
	}
	if (a.what == NULL)
		return VERIFY_USAGE;
	*out = a;
	return VERIFY_RIGHT;
}
