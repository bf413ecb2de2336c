/* SPDX-License-Identifier: Apache-2.0 */
/* The only place where a share leaves kmsctl's memory. */
#include "kms/ctl/share_show.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/ctl/file.h"
#include "kms/ctl/look.h"
#include "kms/ctl/qr.h"
#include "kms/seal/share_text.h"

enum {
	FOLDER_MODE = 0700,
	PATH_LEN = 4096 + 64,
	NAME_LEN = 64
};

/* The screen, and what has scrolled out of it. */
static const char clear[] = "\x1b[H\x1b[2J\x1b[3J";

static bool at_terminal(void)
{
	return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
}

static kms_err fail(struct ctl *c, const char *path)
{
	return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(errno));
}

static size_t entries_of(DIR *folder)
{
	size_t n = 0;

	/* One thread, and a stream of its own. */
	for (const struct dirent *d;
	     (d = readdir(folder)) != NULL;) /* NOLINT(concurrency-mt-unsafe) */
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	return n;
}

/* Empty, so that nothing is replaced and no share of another set is mistaken for one of this. */
static kms_err check_folder(struct ctl *c, const char *path)
{
	DIR *folder = opendir(path);

	if (folder == NULL && errno == ENOENT) {
		if (ctl_is_dry_run(c) || mkdir(path, FOLDER_MODE) == 0)
			return KMS_OK;
		return fail(c, path);
	}
	if (folder == NULL)
		return fail(c, path);
	size_t n = entries_of(folder);
	(void)closedir(folder);
	if (n > 0)
		return ctl_usage(c, "--shares-out %.64s: the folder is not empty", path);
	return access(path, W_OK | X_OK) == 0 ? KMS_OK : fail(c, path);
}

bool share_show_is_said(const struct ctl *c)
{
	const bool *given = c->args.given;

	return given[OPT_SHARES_OUT] || given[OPT_QR] || given[OPT_PNG];
}

static kms_err check_codes(struct ctl *c)
{
	const bool *given = c->args.given;

	if (given[OPT_PNG] && !given[OPT_SHARES_OUT])
		return ctl_usage(c, "--png goes with --shares-out");
	if (given[OPT_QR] && given[OPT_SHARES_OUT])
		return ctl_usage(c, "--qr is for a terminal; into files --png draws");
	if (given[OPT_QR] && c->style.json)
		return ctl_usage(c, "--qr is for a terminal, where --json shows no shares");
	return KMS_OK;
}

kms_err share_show_check(struct ctl *c)
{
	TRY(check_codes(c));
	if (c->args.given[OPT_SHARES_OUT])
		return check_folder(c, c->args.text[OPT_SHARES_OUT]);
	if (ctl_is_dry_run(c))
		return KMS_OK;
	if (c->style.json)
		return ctl_check_no_terminal(c, "a set of shares", "use --shares-out DIR");
	if (at_terminal())
		return KMS_OK;
	return ctl_usage(c, "shares are shown on a terminal, each to its person alone; without one "
	                    "they want --shares-out DIR, or --json");
}

/* False at the end of the input. */
static bool wait_for_enter(void)
{
	char x = 0;

	while (x != '\n') {
		ssize_t n = read(STDIN_FILENO, &x, 1);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
	}
	return true;
}

static kms_err put(struct ctl *c, const char *text)
{
	return ctl_write(c, bytes_of_str(text));
}

static kms_err ask_enter(struct ctl *c, const char *question)
{
	TRY(put(c, question));
	return wait_for_enter() ? KMS_OK : ctl_refuse(c, KMS_E_IO, "the terminal was closed");
}

/* Black on white whatever the terminal's colours are, NO_COLOR too: a phone has to read it. */
static kms_err put_code(struct ctl *c, const char *share)
{
	AUTO(qr_wipe) struct qr code;
	AUTO(qr_picture_wipe) struct qr_picture picture;

	TRY(qr_encode(share, &code));
	qr_draw(&code, QR_COLOUR, &picture);
	return ctl_write(c, bytes_of(picture.s, picture.n));
}

/* With a code the text begins a new screen: both and the question just fit into 24 lines. */
static kms_err put_share(struct ctl *c, const char *share)
{
	bool code = c->args.given[OPT_QR];

	TRY(put(c, code ? clear : "\n"));
	TRY(put(c, share));
	TRY(put(c, code ? "\n" : "\n\n"));
	return code ? put_code(c, share) : KMS_OK;
}

static kms_err show_one(struct ctl *c, const char *share, size_t i, size_t n)
{
	char line[NAME_LEN];

	(void)snprintf(line, sizeof(line), "Share %zu of %zu. ", i + 1, n);
	TRY(put(c, clear));
	TRY(put(c, line));
	TRY(ask_enter(c, "Only its person should look now; then press Enter. "));
	TRY(put_share(c, share));
	TRY(ask_enter(
	    c, "Write it down and compare it, then press Enter: it is not shown again. "));
	return put(c, clear);
}

/* share-1-of-3 and share-1-of-3.png */
static void path_of(
    const struct ctl *c, size_t i, size_t n, const char *suffix, char out[static PATH_LEN])
{
	(void)snprintf(
	    out, PATH_LEN, "%s/share-%zu-of-%zu%s", c->args.text[OPT_SHARES_OUT], i + 1, n, suffix);
}

static kms_err write_code(struct ctl *c, const char *share, const char *path)
{
	AUTO(qr_wipe) struct qr code;

	TRY(qr_encode(share, &code));
	return qr_write_png(c, &code, path);
}

static kms_err write_one(struct ctl *c, const char *share, size_t i, size_t n)
{
	AUTO(buf_done) struct buf line = { .n = 0 };
	char path[PATH_LEN];

	path_of(c, i, n, "", path);
	TRY(buf_reserve(&line, strlen(share) + 1));
	TRY(buf_put(&line, bytes_of_str(share)));
	TRY(buf_put_u8(&line, '\n'));
	TRY(file_put(c, path, buf_bytes(&line)));
	if (!c->args.given[OPT_PNG])
		return KMS_OK;
	path_of(c, i, n, ".png", path);
	return write_code(c, share, path);
}

/* The keeper's own letters and digits, and nothing that a terminal would obey. */
static kms_err check_share(struct ctl *c, const char *share)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	if (share[0] != '\0' && share[strspn(share, letters)] == '\0' &&
	    strlen(share) <= SHARE_TYPED_MAX)
		return KMS_OK;
	return ctl_refuse(c, KMS_E_BAD_ANSWER, "a share");
}

static kms_err show_all(struct ctl *c, const char *const *shares, size_t n)
{
	bool files = c->args.given[OPT_SHARES_OUT];

	/* Nobody may have asked: then a pipe must not get them. */
	if (!files && !at_terminal())
		return ctl_refuse(c, KMS_E_IO, "there is no terminal");
	for (size_t i = 0; i < n; i++) {
		TRY(check_share(c, shares[i]));
		TRY(files ? write_one(c, shares[i], i, n) : show_one(c, shares[i], i, n));
	}
	if (files)
		ctl_talk(c,
		    "The shares (%zu) are in %s. Give each to its person and remove the file%s.", n,
		    c->args.text[OPT_SHARES_OUT], c->args.given[OPT_PNG] ? "s" : "");
	return KMS_OK;
}

kms_err share_show(struct ctl *c, struct out *o, const char *const *shares, size_t n)
{
	if (n == 0)
		return KMS_OK;
	if (c->style.json && !c->args.given[OPT_SHARES_OUT]) {
		out_secret_words(o, "shares", shares, n);
		return KMS_OK;
	}
	return show_all(c, shares, n);
}

/* Shares first: nobody gets them a second time. */
kms_err share_give(struct ctl *c, const struct kms_result *r)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	size_t n;

	const char *const *shares = kms_result_shares(r, &n);
	kms_err e = share_show(c, &o, shares, n);
	if (e != KMS_OK) {
		ctl_hint(c, kms_result_confirm(r).n > 0
		                ? "Nothing was changed; ask again."
		                : "The set is in force, but not all of it was handed out. `kmsctl "
		                  "root rotate` makes a new one, while the root is open.");
		return e;
	}
	if (ctl_is_dry_run(c))
		out_bool(&o, "dry_run", NULL, true);
	const struct kms_slot *slots = kms_result_slots(r, &n);
	look_put_slots(&o, slots, n);
	return ctl_print(c, &o);
}

kms_err share_give_and_confirm(struct ctl *c, const struct kms_result *r, share_confirm *confirm)
{
	AUTO(kms_result_free) struct kms_result *done = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct kms_bytes nonce = kms_result_confirm(r);
	bool in_object = c->style.json && !c->args.given[OPT_SHARES_OUT];
	size_t n;

	if (nonce.n == 0 || in_object)
		TRY(share_give(c, r));
	if (nonce.n == 0)
		return KMS_OK;
	const char *const *shares = kms_result_shares(r, &n);
	if (!in_object && share_show(c, &o, shares, n) != KMS_OK) {
		ctl_hint(c, "Nothing was changed; ask again.");
		return KMS_E_IO;
	}
	TRY(ctl_ask(c, confirm(c, nonce, &done)));
	ctl_talk(c, "The shares are in force.");
	return in_object ? KMS_OK : share_give(c, done);
}
