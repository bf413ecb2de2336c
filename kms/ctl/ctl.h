/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of kmsctl: what was asked, how to print, the connection, and what went wrong. Data
 * goes to stdout, talk to stderr; every failure ends in `error`, which main prints once.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/client/kms.h"
#include "kms/ctl/args.h"
#include "kms/ctl/command.h"
#include "kms/ctl/out.h"

enum {
	EXIT_USAGE = 2
};

struct ctl {
	const struct command *command; /* NULL until it is known */
	struct args args;
	struct style style;
	struct kms *kms; /* NULL until something is asked */
	struct kms_error error;
	bool is_usage; /* the error is in how kmsctl was called */
	int status;    /* to end with when the command itself did not fail */
};

/* Reads the words and does the command. Returns the exit status, with everything said. */
int ctl_run(int argc, char **argv);

/* Connects if need be. What libkms fails with. */
MUST_USE kms_err ctl_connect(struct ctl *c);
/* For calls on c->kms: keeps its error if there is one. */
MUST_USE kms_err ctl_ask(struct ctl *c, enum kms_code code);
/* For calls of libkms that fill an error of their own. */
MUST_USE kms_err ctl_keep(struct ctl *c, const struct kms_error *error);
/* Fails with one of our own errors; format: what exactly. */
MUST_USE kms_err ctl_refuse(struct ctl *c, kms_err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Fails with exit status 2: one sentence without its end. */
MUST_USE kms_err ctl_usage(struct ctl *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replaces what to do about the error that is kept. */
void ctl_hint(struct ctl *c, const char *hint);

/* A remark for people, on stderr; none with -q. */
void ctl_talk(const struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the object on stdout. */
MUST_USE kms_err ctl_print(struct ctl *c, struct out *o);
/* Writes bytes to stdout as they are. */
MUST_USE kms_err ctl_write(struct ctl *c, struct bytes x);
/* Clear keys and binary never go to a terminal: usage error if stdout is one. */
MUST_USE kms_err ctl_check_no_terminal(struct ctl *c, const char *what, const char *instead);
/* Whether a change is only to be described. */
bool ctl_is_dry_run(const struct ctl *c);
/*
 * Before what can't be undone: the name must be typed; --yes answers for it, and without a
 * terminal it must. KMS_E_CANCELLED, or a usage error.
 */
MUST_USE kms_err ctl_confirm(struct ctl *c, const char *name);
