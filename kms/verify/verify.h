/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms-verify: checks a folder of the audit log, or a proof of one record, off-line and without a
 * secret. It reads files and writes two streams; nothing else.
 */
#pragma once

#include <stdio.h>

#include "kms/base/base.h"

/* Exit statuses; stable, kms-verify(1). */
enum verify_status {
	VERIFY_RIGHT = 0,
	VERIFY_WRONG = 1,    /* something was changed, or proves nothing */
	VERIFY_USAGE = 2,    /* the command line, or a key that is none */
	VERIFY_NO_READ = 3,  /* it could not be read, or is of a newer version */
	VERIFY_UNSIGNED = 4, /* keys were given, and nothing there is signed */
	VERIFY_HELP = 5      /* of verify_args alone: it has said what was asked for */
};

struct verify_args {
	const char *key;  /* a file; NULL: none */
	const char *what; /* a folder or a proof */
};
/* VERIFY_RIGHT, VERIFY_USAGE, VERIFY_HELP; VERIFY_NO_READ where `to` can't be written. */
enum verify_status verify_args(int argc, char **argv, FILE *to, struct verify_args *out);
/* Findings go to `to`, what kept it from looking to `remarks`. Never VERIFY_HELP. */
enum verify_status verify_run(const struct verify_args *a, FILE *to, FILE *remarks);
