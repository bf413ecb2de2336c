/* SPDX-License-Identifier: Apache-2.0 */
/* getopt_long over the options that a command takes, with checked values and own words. */
#include "kms/ctl/args.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/base/types.h"
#include "kms/ctl/text.h"

enum {
	LONG_ONLY = 256,  /* getopt's value of an option: this and its number */
	DISTANCE_MAX = 3, /* edits that still count as a slip */
	REASON_LEN = 64,
	SLOT_LEN = 128, /* "pkcs11:token=" and a label */
	SHARES_LEAST = 2,
	SHARES_MOST = 16
};

/* clang-format off */
const struct opt_spec opt_specs[OPT_TOTAL] = {
	[OPT_JSON]         = { "json", 0, OPT_IS_FLAG, NULL, "print JSON (also KMS_FORMAT=json)", 0, 0 },
	[OPT_QUIET]        = { "quiet", 'q', OPT_IS_FLAG, NULL, "print names only, and no remarks", 0, 0 },
	[OPT_SOCKET]       = { "socket", 0, OPT_IS_TEXT, "PATH", "kmsd's socket (default: $KMS_SOCKET, /run/kms/kms.sock)", 1, 4096 },
	[OPT_SUBJECT]      = { "subject", 0, OPT_IS_TEXT, "WHO", "the person behind this request, for the audit log", 0, SUBJECT_MAX },
	[OPT_PURPOSE]      = { "purpose", 0, OPT_IS_TEXT, "WHY", "why, for the audit log", 0, SUBJECT_MAX },
	[OPT_HELP]         = { "help", 'h', OPT_IS_FLAG, NULL, "explain the command", 0, 0 },
	[OPT_DRY_RUN]      = { "dry-run", 'n', OPT_IS_FLAG, NULL, "say what would happen, change nothing", 0, 0 },
	[OPT_YES]          = { "yes", 'y', OPT_IS_FLAG, NULL, "don't ask; needed without a terminal", 0, 0 },
	[OPT_OUTPUT]       = { "output", 'o', OPT_IS_TEXT, "OUT", "write to this file (default: - for stdout)", 1, 4096 },
	[OPT_CONTEXT]      = { "context", 'c', OPT_IS_PAIR, "NAME=VALUE", "a pair of the context; repeat it for more", 0, 0 },
	[OPT_NEW_CONTEXT]  = { "new-context", 0, OPT_IS_PAIR, "NAME=VALUE", "bind to this context from now on", 0, 0 },
	[OPT_BASE64]       = { "base64", 0, OPT_IS_FLAG, NULL, "write base64 text instead of binary", 0, 0 },
	[OPT_SLOT]         = { "slot", 0, OPT_IS_TEXT, "SLOT", "tpm, pkcs11, pkcs11:token=LABEL, or a section of kms.conf", 1, SLOT_LEN },
	[OPT_TIMEOUT]      = { "timeout", 0, OPT_IS_SPAN, "TIME", "give up after this time, as 30s or 2min", 0, 0 },
	[OPT_CLASS]        = { "class", 0, OPT_IS_TEXT, "CLASS", "the kind of data it protects (default: default)", 1, NAME_MAX_LEN },
	[OPT_ALGORITHM]    = { "algorithm", 0, OPT_IS_TEXT, "NAME", "xaes-256-gcm (default), aes-256-gcm, aes-256-kwp", 1, NAME_MAX_LEN },
	[OPT_ROTATE_EVERY] = { "rotate-every", 0, OPT_IS_SPAN, "TIME", "how often it is to be rotated, as 90d or 2w: noted and shown; rotating is yours (default: on demand)", 0, 0 },
	[OPT_VERSION]      = { "version", 0, OPT_IS_NUMBER, "N", "this version of the key", 1, UINT32_MAX },
	[OPT_REASON]       = { "reason", 0, OPT_IS_TEXT, "TEXT", "why, kept with the version", 1, REASON_LEN },
	[OPT_ISSUE_COUNT]  = { "count", 0, OPT_IS_NUMBER, "N", "how many data keys (1 to 1024)", 1, BATCH_MAX },
	[OPT_WRAPPED_ONLY] = { "wrapped-only", 0, OPT_IS_FLAG, NULL, "give no clear key", 0, 0 },
	[OPT_KEY_OUT]      = { "key-out", 0, OPT_IS_TEXT, "FILE|fd:N", "write the clear key there, 32 bytes each", 1, 4096 },
	[OPT_HIDE_CONTEXT] = { "hide-context", 0, OPT_IS_FLAG, NULL, "keep the context's values out of the file", 0, 0 },
	[OPT_REMOVE]       = { "rm", 0, OPT_IS_FLAG, NULL, "remove the clear file once the new one is proven", 0, 0 },
	[OPT_FOLLOW]       = { "follow", 'f', OPT_IS_FLAG, NULL, "go on with new records as they come", 0, 0 },
	[OPT_LINES]        = { "lines", 0, OPT_IS_NUMBER, "N", "how many records (default: 50)", 0, 1000000 },
	[OPT_SHARES]       = { "shares", 0, OPT_IS_K_OF_N, "K/N", "recovery shares for N people, of whom any K open", 0, 0 },
	[OPT_SHARES_OUT]   = { "shares-out", 0, OPT_IS_TEXT, "DIR", "write the shares into this empty folder, a file each", 1, 4096 },
	[OPT_QR]           = { "qr", 0, OPT_IS_FLAG, NULL, "show each share as a QR code too, under its text", 0, 0 },
	[OPT_PNG]          = { "png", 0, OPT_IS_FLAG, NULL, "with --shares-out: a QR code beside each file, as PNG", 0, 0 },
	[OPT_RELY_ON_SHARES] = { "rely-on-shares", 0, OPT_IS_FLAG, NULL, "although only shares are left to open the root", 0, 0 },
	[OPT_SHARE]        = { "share", 0, OPT_IS_LIST, "-|FILE", "a share: a file, or - to type it unseen", 1, 4096 },
	[OPT_CEREMONY]     = { "ceremony", 0, OPT_IS_TEXT, "NONCE", "only this ceremony, as the first person was told", 32, 32 },
	[OPT_CANCEL]       = { "cancel", 0, OPT_IS_FLAG, NULL, "end the ceremony and forget its shares", 0, 0 },
	[OPT_ACCEPT_RESTORE] = { "accept-restore", 0, OPT_IS_FLAG, NULL, "an older store, or a lost counter, is what we want", 0, 0 },
	[OPT_STORE]        = { "store", 0, OPT_IS_FLAG, NULL, "renew the store's key too: seal every row anew", 0, 0 },
	[OPT_LEAVE_OUT]    = { "leave-out", 0, OPT_IS_LIST, "NAME", "a slot that can't be reached; it is removed", 1, SLOT_LEN },
	[OPT_CONFIG]       = { "config", 0, OPT_IS_TEXT, "FILE", "kmsd's configuration (default: $KMS_CONFIG, /etc/kms/kms.conf)", 1, 255 },
	[OPT_KMSD]         = { "kmsd", 0, OPT_IS_TEXT, "PROGRAM", "this kmsd (default: beside kmsctl, then in PATH)", 1, 4096 },
};
/* clang-format on */

static_assert(OPT_TOTAL <= 64, "a mask has 64 bits");

struct table {
	struct option names[OPT_TOTAL + 1];
	char letters[2 * OPT_TOTAL + 4];
};

__attribute__((format(printf, 2, 3))) static kms_err refuse(
    char error[static ARGS_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error, ARGS_ERROR_MAX, format, args);
	va_end(args);
	return KMS_E_BAD_REQUEST;
}

/* '+' stops at the first word that is no option; ':' tells a missing value from an unknown one. */
static void make_table(uint64_t allowed, bool stop_early, struct table *t)
{
	size_t n = 0;
	char *p = t->letters;

	if (stop_early)
		*p++ = '+';
	*p++ = ':';
	for (int i = 0; i < OPT_TOTAL; i++) {
		const struct opt_spec *spec = &opt_specs[i];
		bool value = spec->kind != OPT_IS_FLAG;

		if ((allowed & OPT_BIT(i)) == 0)
			continue;
		t->names[n++] = (struct option){ .name = spec->name,
			.has_arg = value ? required_argument : no_argument,
			.val = LONG_ONLY + i };
		if (spec->letter != 0)
			*p++ = spec->letter;
		if (spec->letter != 0 && value)
			*p++ = ':';
	}
	*p = '\0';
	t->names[n] = (struct option){ .name = NULL };
}

static int option_of(int found)
{
	if (found >= LONG_ONLY)
		return found - LONG_ONLY;
	for (int i = 0; i < OPT_TOTAL; i++) {
		if (opt_specs[i].letter != 0 && opt_specs[i].letter == found)
			return i;
	}
	return OPT_TOTAL;
}

/* The allowed option that was most likely meant, or NULL. */
static const char *guess(const char *word, uint64_t allowed)
{
	size_t best = DISTANCE_MAX + 1;
	const char *found = NULL;

	for (int i = 0; i < OPT_TOTAL; i++) {
		if ((allowed & OPT_BIT(i)) == 0)
			continue;
		size_t distance = text_distance(word, opt_specs[i].name);
		if (distance < best && distance < strlen(word)) {
			best = distance;
			found = opt_specs[i].name;
		}
	}
	return found;
}

static kms_err refuse_unknown(const char *word, uint64_t allowed, char error[static ARGS_ERROR_MAX])
{
	char name[NAME_MAX_LEN + 1];
	size_t n = strcspn(word, "=");

	if (strncmp(word, "--", 2) != 0)
		return refuse(error, "there is no option %.32s here", word);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(n - 2), word + 2);
	const char *meant = guess(name, allowed);
	if (meant == NULL)
		return refuse(error, "there is no option --%s here", name);
	return refuse(error, "there is no option --%s here; did you mean --%s?", name, meant);
}

kms_err args_number(const char *text, uint64_t *out)
{
	uint64_t x = 0;

	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return KMS_E_BAD_REQUEST;
	for (const char *p = text; *p != '\0'; p++) {
		if (__builtin_mul_overflow(x, (uint64_t)10, &x) ||
		    __builtin_add_overflow(x, (uint64_t)(*p - '0'), &x))
			return KMS_E_BAD_REQUEST;
	}
	*out = x;
	return KMS_OK;
}

kms_err args_k_of_n(
    const char *text, uint32_t *out_k, uint32_t *out_n, char error[static ARGS_ERROR_MAX])
{
	char first[8];
	uint64_t k, n;
	size_t slash = strcspn(text, "/");

	(void)snprintf(first, sizeof(first), "%.*s", slash < sizeof(first) ? (int)slash : 0, text);
	if (text[slash] != '/' || args_number(first, &k) != KMS_OK ||
	    args_number(text + slash + 1, &n) != KMS_OK)
		return refuse(error, "--shares takes K/N, as 2/3, not \"%.32s\"", text);
	if (k < SHARES_LEAST || n > SHARES_MOST || k > n)
		return refuse(error,
		    "--shares takes K/N with K %d at least, N %d at most and not below K",
		    SHARES_LEAST, SHARES_MOST);
	*out_k = (uint32_t)k;
	*out_n = (uint32_t)n;
	return KMS_OK;
}

kms_err args_add_pair(struct args_context *c, const char *text, char error[static ARGS_ERROR_MAX])
{
	const char *equals = strchr(text, '=');
	size_t n = equals != NULL ? (size_t)(equals - text) : 0;

	if (n == 0)
		return refuse(error, "a context is written name=value, not \"%.64s\"", text);
	if (n > ARGS_NAME_MAX)
		return refuse(error, "the name of a context has at most %d bytes", ARGS_NAME_MAX);
	if (c->n == ARGS_PAIRS)
		return refuse(error, "a context has at most %d pairs", ARGS_PAIRS);
	if (strlen(equals + 1) > CONTEXT_VALUE_MAX)
		return refuse(
		    error, "the value of a context has at most %d bytes", CONTEXT_VALUE_MAX);

	char *name = c->names[c->n];
	memcpy(name, text, n);
	name[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ',')
			return refuse(error, "the name of a context is printable ASCII without "
			                     "spaces and commas");
	}
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->names[i], name) == 0)
			return refuse(error, "the context has \"%s\" twice", name);
	}
	c->pairs[c->n++] = kms_pair_of(name, equals + 1);
	return KMS_OK;
}

struct kms_context args_context_of(const struct args_context *a)
{
	return (struct kms_context){ .pairs = a->pairs, .n = a->n };
}

static kms_err take_number(const struct opt_spec *spec, const char *text, struct args *a, int i)
{
	if (args_number(text, &a->number[i]) != KMS_OK || a->number[i] < spec->min ||
	    a->number[i] > spec->max)
		return refuse(a->error, "--%s takes a number from %ju to %ju, not \"%.32s\"",
		    spec->name, (uintmax_t)spec->min, (uintmax_t)spec->max, text);
	return KMS_OK;
}

static kms_err take_text(const struct opt_spec *spec, const char *text, struct args *a)
{
	if (strlen(text) < spec->min && spec->min == spec->max)
		return refuse(
		    a->error, "--%s takes %ju characters", spec->name, (uintmax_t)spec->min);
	if (strlen(text) < spec->min)
		return refuse(a->error, "--%s may not be empty", spec->name);
	if (strlen(text) > spec->max)
		return refuse(
		    a->error, "--%s has at most %ju bytes", spec->name, (uintmax_t)spec->max);
	return KMS_OK;
}

static kms_err take_list(
    const struct opt_spec *spec, const char *text, struct args_list *list, struct args *a)
{
	TRY(take_text(spec, text, a));
	if (list->n == ARGS_LIST_MAX)
		return refuse(
		    a->error, "--%s may be given %d times at most", spec->name, ARGS_LIST_MAX);
	list->p[list->n++] = text;
	return KMS_OK;
}

static kms_err take(struct args *a, int i, const char *text)
{
	const struct opt_spec *spec = &opt_specs[i];

	a->given[i] = true;
	a->text[i] = text;
	switch (spec->kind) {
	case OPT_IS_FLAG: return KMS_OK;
	case OPT_IS_TEXT: return take_text(spec, text, a);
	case OPT_IS_NUMBER: return take_number(spec, text, a, i);
	case OPT_IS_SPAN:
		if (clock_parse_span(text, &a->number[i]) == KMS_OK)
			return KMS_OK;
		return refuse(a->error, "--%s takes a time such as 30s, 12h or 90d, not \"%.32s\"",
		    spec->name, text);
	case OPT_IS_K_OF_N: return args_k_of_n(text, &a->shares_needed, &a->shares_total, a->error);
	case OPT_IS_LIST:
		return take_list(spec, text, i == OPT_SHARE ? &a->share : &a->leave_out, a);
	case OPT_IS_PAIR:
		return args_add_pair(
		    i == OPT_CONTEXT ? &a->context : &a->new_context, text, a->error);
	}
	return KMS_E_INTERNAL;
}

static kms_err take_operands(int argc, char **argv, int from, struct args *a)
{
	if (argc - from > ARGS_OPERANDS)
		return refuse(
		    a->error, "\"%.64s\" is one word too many", argv[from + ARGS_OPERANDS]);
	for (int i = from; i < argc; i++)
		a->operands[a->operand_n++] = argv[i];
	return KMS_OK;
}

/*
 * getopt takes a beginning for the whole; but the beginning of one option is the name of another
 * that is not allowed here (--shares, --shares-out). `words` are up to and with the option's.
 */
static bool is_shortened(char *const *words, int n, int found, const char *value)
{
	if (found < LONG_ONLY)
		return false;
	const char *name = opt_specs[found - LONG_ONLY].name, *word = words[n - 1];

	if (value != NULL && value == word && n > 1)
		word = words[n - 2];
	word += strspn(word, "-");
	return strcspn(word, "=") != strlen(name);
}

kms_err args_parse(
    int argc, char **argv, uint64_t allowed, bool stop_early, struct args *out, int *out_next)
{
	struct table t;
	int found;

	make_table(allowed, stop_early, &t);
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	/* One thread: the tool reads its words before anything else. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((found = getopt_long(argc, argv, t.letters, t.names, NULL)) != -1) {
		const char *word = argv[optind - 1];
		char letter[3] = { '-', (char)optopt, '\0' };

		if (found == ':')
			return refuse(out->error, "%s wants a value", word);
		if (found == '?' && optopt >= LONG_ONLY)
			return refuse(
			    out->error, "--%s takes no value", opt_specs[optopt - LONG_ONLY].name);
		if (found == '?')
			return refuse_unknown(optopt != 0 ? letter : word, allowed, out->error);
		if (is_shortened(argv, optind, found, optarg))
			return refuse_unknown(
			    optarg == word ? argv[optind - 2] : word, allowed, out->error);
		TRY(take(out, option_of(found), optarg));
	}
	if (out_next != NULL)
		*out_next = optind;
	return stop_early ? KMS_OK : take_operands(argc, argv, optind, out);
}
