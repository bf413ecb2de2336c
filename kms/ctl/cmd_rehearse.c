/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup rehearse: a kmsd that is thrown away restores the backup, is opened as the real one would
 * be, and is held against the live one, which notes how it ended. Nothing of the live one changes
 * but its log and its counts of issued keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kms/ctl/backupview.h"
#include "kms/ctl/compare.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/look.h"
#include "kms/ctl/rehearse_conf.h"
#include "kms/ctl/share_read.h"
#include "kms/ctl/throwaway.h"

enum {
	COPY_STEP = 8192
};

struct rehearsal {
	char backup[256]; /* its name */
	uint64_t made_us;
	char program[PATH_MAX];
	const char *conf;
	struct buf shares[ARGS_LIST_MAX];
	struct throwaway copy;
	struct comparison sum;
};

static void rehearsal_done(struct rehearsal *r)
{
	throwaway_done(&r->copy);
	for (size_t i = 0; i < ARGS_LIST_MAX; i++)
		buf_done(&r->shares[i]);
}

static kms_err choose(struct ctl *c, struct rehearsal *r)
{
	AUTO(kms_result_free) struct kms_result *list = NULL;
	const char *name = c->args.operand_n > 0 ? c->args.operands[0] : NULL;
	size_t n;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_backup_list(c->kms, &list)));
	const struct kms_backup *all = kms_result_backups(list, &n);
	const struct kms_backup *b = backupview_find(all, n, name);
	if (b == NULL) {
		kms_err e = ctl_refuse(c, KMS_E_NOT_FOUND, "%s", name != NULL ? name : "a backup");
		ctl_hint(c, "`kmsctl backup list` shows those there are; `kmsctl backup create` "
		            "makes one.");
		return e;
	}
	if (strlen(b->name) >= sizeof(r->backup) || strchr(b->name, '/') != NULL)
		return ctl_refuse(c, KMS_E_BAD_ANSWER, "the name of the backup");
	memcpy(r->backup, b->name, strlen(b->name) + 1);
	r->made_us = b->created_us;
	return KMS_OK;
}

/* All that needs a person comes before anything is started. */
static kms_err gather(struct ctl *c, struct rehearsal *r)
{
	AUTO(kms_result_free) struct kms_result *status = NULL;

	r->conf = conf_choose(c);
	TRY(throwaway_program(c, r->program, sizeof(r->program)));
	TRY(choose(c, r));
	TRY(look_status(c, &status));
	if (!look_is_unsealed(kms_result_status(status)))
		return ctl_refuse(c, KMS_E_SEALED, "%s", kms_result_status(status)->state);
	for (size_t i = 0; i < c->args.share.n && !ctl_is_dry_run(c); i++)
		TRY(share_read(c, c->args.share.p[i], &r->shares[i]));
	return KMS_OK;
}

static int copy_all(int from, int to)
{
	uint8_t step[COPY_STEP];

	for (;;) {
		ssize_t n = read(from, step, sizeof(step));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : 0;
		int error = file_write_all(to, bytes_of(step, (size_t)n));
		if (error != 0)
			return error;
	}
}

/* A copy: a keeper that looks after its own backups must not look after the live one's. */
static kms_err copy_backup(struct ctl *c, const struct rehearsal *r)
{
	char folder[CONF_PATH_MAX], path[2 * CONF_PATH_MAX];
	AUTO(file_close) int from = -1, to = -1;

	TRY(conf_backup_folder(c, r->conf, folder));
	(void)snprintf(path, sizeof(path), "%s/backup/%s", r->copy.dir, r->backup);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(errno));
	(void)snprintf(path, sizeof(path), "%s/%s", folder, r->backup);
	from = open(path, O_RDONLY | O_CLOEXEC);
	int error = from < 0 ? errno : copy_all(from, to);
	if (error == 0)
		return KMS_OK;
	kms_err e = ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(error));
	ctl_hint(c, "A rehearsal reads the backup itself: run it as root or as kmsd's user, on its "
	            "host; --config names its configuration.");
	return e;
}

static kms_err prepare(struct ctl *c, struct rehearsal *r)
{
	TRY(throwaway_make(c, &r->copy));
	TRY(conf_write(c, r->conf, r->copy.dir));
	TRY(copy_backup(c, r));
	return throwaway_start(c, &r->copy, r->program);
}

static kms_err open_with_shares(struct ctl *c, const struct rehearsal *r)
{
	for (size_t i = 0; i < c->args.share.n; i++) {
		AUTO(kms_result_free) struct kms_result *answer = NULL;
		const struct kms_unseal_with with = { .share = kms_bytes_of(
			                                  r->shares[i].p, r->shares[i].n) };

		TRY(throwaway_ask(c, &r->copy, kms_unseal(r->copy.kms, &with, &answer)));
		const struct kms_ceremony *x = kms_result_ceremony(answer);
		if (x == NULL)
			return KMS_OK;
		if (i + 1 == c->args.share.n)
			return ctl_refuse(c, KMS_E_SHARES_FEW, "%u of %u", (unsigned)x->have,
			    (unsigned)x->needed);
	}
	return KMS_OK;
}

static kms_err restore(struct ctl *c, const struct rehearsal *r)
{
	AUTO(kms_result_free) struct kms_result *restored = NULL;

	TRY(throwaway_ask(
	    c, &r->copy, kms_backup_restore(r->copy.kms, r->backup, false, &restored)));
	if (c->args.share.n > 0)
		return open_with_shares(c, r);
	return throwaway_ask(c, &r->copy, kms_unseal(r->copy.kms, NULL, NULL));
}

/* Once the backup itself is tried, the live kmsd is told how it ended, whatever that is. */
static kms_err rehearse(struct ctl *c, struct rehearsal *r, struct out *o)
{
	TRY(prepare(c, r));
	kms_err e = restore(c, r);
	if (e == KMS_OK)
		e = compare_all(c, &r->copy, r->made_us, o, &r->sum);
	if (e == KMS_E_CANCELLED)
		return e;
	const struct kms_error why = c->error;
	bool failed = e != KMS_OK || r->sum.failed > 0;
	kms_err noted = ctl_ask(c, kms_backup_rehearsed(c->kms, r->backup, failed, r->sum.checked));
	/* The first failure is the one to be told. */
	if (e != KMS_OK)
		c->error = why;
	return e != KMS_OK ? e : noted;
}

static void put_result(struct out *o, const struct rehearsal *r)
{
	const struct comparison *sum = &r->sum;
	bool good = sum->failed == 0;

	out_title(o, good ? "%s brings everything back." : "%s does NOT bring everything back.",
	    r->backup);
	out_str(o, "backup", NULL, r->backup);
	out_time(o, "created", "made", r->made_us);
	out_bool(o, "ok", NULL, good);
	out_u64(o, "checked", "versions compared", sum->checked);
	out_u64(o, "failed", "failed", sum->failed);
	out_paint(o, good ? OUT_GREEN : OUT_RED);
	out_u64(o, "newer", "newer than it", sum->newer);
	out_u64(o, "destroyed", "destroyed since", sum->destroyed);
	out_u64(o, "samples", "keys unwrapped", sum->samples);
	out_name(o, good ? "" : r->backup);
}

static kms_err plan(struct ctl *c, const struct rehearsal *r)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	char folder[CONF_PATH_MAX];

	TRY(conf_backup_folder(c, r->conf, folder));
	ctl_talk(c, "%s would be restored from %s by %s, with the slots of %s; nothing was done.",
	    r->backup, folder, r->program, r->conf);
	out_bool(&o, "dry_run", NULL, true);
	out_str(&o, "backup", NULL, r->backup);
	out_str(&o, "folder", NULL, folder);
	out_str(&o, "kmsd", NULL, r->program);
	out_str(&o, "config", NULL, r->conf);
	return ctl_print(c, &o);
}

kms_err cmd_backup_rehearse(struct ctl *c)
{
	AUTO(rehearsal_done) struct rehearsal r = { .made_us = 0 };
	AUTO(out_done) struct out o = { .field_n = 0 };

	TRY(gather(c, &r));
	if (ctl_is_dry_run(c))
		return plan(c, &r);
	out_table(&o, "differences");
	TRY(rehearse(c, &r, &o));
	put_result(&o, &r);
	TRY(ctl_print(c, &o));
	c->status = r.sum.failed > 0 ? kms_exit_status(KMS_CODE_INTEGRITY) : 0;
	return KMS_OK;
}
