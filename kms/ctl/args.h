/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of every command in one table, and the reading of one command's words. What is
 * wrong with them is told in a sentence; nothing here asks kmsd.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/client/kms.h"

enum opt {
	OPT_JSON,
	OPT_QUIET,
	OPT_SOCKET,
	OPT_SUBJECT,
	OPT_PURPOSE,
	OPT_HELP,
	OPT_DRY_RUN,
	OPT_YES,
	OPT_OUTPUT,
	OPT_CONTEXT,
	OPT_NEW_CONTEXT,
	OPT_BASE64,
	OPT_SLOT,
	OPT_TIMEOUT,
	OPT_CLASS,
	OPT_ALGORITHM,
	OPT_ROTATE_EVERY,
	OPT_VERSION,
	OPT_REASON,
	OPT_ISSUE_COUNT,
	OPT_WRAPPED_ONLY,
	OPT_KEY_OUT,
	OPT_HIDE_CONTEXT,
	OPT_REMOVE,
	OPT_FOLLOW,
	OPT_LINES,
	OPT_SHARES,
	OPT_SHARES_OUT,
	OPT_QR,
	OPT_PNG,
	OPT_RELY_ON_SHARES,
	OPT_SHARE,
	OPT_CEREMONY,
	OPT_CANCEL,
	OPT_ACCEPT_RESTORE,
	OPT_STORE,
	OPT_LEAVE_OUT,
	OPT_CONFIG,
	OPT_KMSD,
	OPT_TOTAL
};

#define OPT_BIT(o) (UINT64_C(1) << (o))
/* Every command takes these. */
#define OPT_COMMON (OPT_BIT(OPT_HELP + 1) - 1)

enum opt_kind {
	OPT_IS_FLAG,
	OPT_IS_TEXT,
	OPT_IS_NUMBER,
	OPT_IS_SPAN,
	OPT_IS_PAIR, /* may be given several times */
	OPT_IS_LIST, /* texts; so may this */
	OPT_IS_K_OF_N
};

struct opt_spec {
	const char *name;
	char letter; /* 0: none */
	enum opt_kind kind;
	const char *arg; /* how help calls its value */
	const char *help;
	uint64_t min, max; /* of a number; of a text: bytes */
};
extern const struct opt_spec opt_specs[OPT_TOTAL];

enum {
	ARGS_PAIRS = 16,
	ARGS_NAME_MAX = 64,
	ARGS_LIST_MAX = 16,
	ARGS_OPERANDS = 5,
	ARGS_ERROR_MAX = 256
};

/* The pairs of a context; they point into it, so it must not be copied. */
struct args_context {
	struct kms_pair pairs[ARGS_PAIRS];
	char names[ARGS_PAIRS][ARGS_NAME_MAX + 1];
	size_t n;
};

struct args_list {
	const char *p[ARGS_LIST_MAX];
	size_t n;
};

struct args {
	bool given[OPT_TOTAL];
	const char *text[OPT_TOTAL]; /* borrowed from argv; NULL: not given */
	uint64_t number[OPT_TOTAL];  /* of numbers, and of spans in seconds */
	struct args_context context, new_context;
	struct args_list share, leave_out;
	uint32_t shares_needed, shares_total; /* K/N */
	const char *operands[ARGS_OPERANDS];
	size_t operand_n;
	char error[ARGS_ERROR_MAX]; /* what is wrong, for people */
};

/*
 * Reads argv[1] to argv[argc - 1], whose order getopt may change; argv[0] is ignored. `allowed`:
 * bits of options. stop_early: ends at the first word that is no option; *out_next is its place.
 * KMS_E_BAD_REQUEST with out->error filled.
 */
MUST_USE kms_err args_parse(
    int argc, char **argv, uint64_t allowed, bool stop_early, struct args *out, int *out_next);
/* The context that was given, borrowed from a. */
struct kms_context args_context_of(const struct args_context *a);
/* k=v. KMS_E_BAD_REQUEST with a sentence in error. */
MUST_USE kms_err args_add_pair(
    struct args_context *c, const char *text, char error[static ARGS_ERROR_MAX]);
/* K/N: K of N shares, K from 2, N at most 16. KMS_E_BAD_REQUEST with a sentence in error. */
MUST_USE kms_err args_k_of_n(
    const char *text, uint32_t *out_k, uint32_t *out_n, char error[static ARGS_ERROR_MAX]);
/* A decimal number without sign or spaces. KMS_E_BAD_REQUEST. */
MUST_USE kms_err args_number(const char *text, uint64_t *out);
