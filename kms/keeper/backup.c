/* SPDX-License-Identifier: Apache-2.0 */
/* Starting backups and hearing how they ended; see backup.h. What is done is backup_job.c's. */
#include "kms/keeper/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kms/keeper/backup_job.h"
#include "kms/keeper/chores.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/root.h"

enum {
	RETRY_S = 600,      /* after a backup that failed */
	CHECK_S = 60,       /* between two looks at the clock, which may be set */
	REHEARSAL_LEN = 13, /* time 8, good? 1, versions checked 4 */
	COPY_S = 10,        /* the longest that copying a store may take */
	FIRST_S = 1         /* from the opening of the root to the first backup */
};

static const char rehearsal_row[] = "rehearsal";

struct backup {
	struct keeper *k;
	struct event *timer;
	struct backup_job *waits; /* for its copy of the store */
	bool busy;                /* one is being made */
	uint64_t last_us;         /* when the newest one in the folder was made; 0: none */
	uint64_t until_us;        /* when the last of them expires; UINT64_MAX: never */
	uint64_t tried_us;        /* when one was begun last, by the clock that never jumps */
	uint64_t made_us;         /* when one succeeded last, likewise; 0: not in this process */
	kms_err last_error;       /* of the last one */
	uint64_t rehearsal_us;
	bool rehearsal_good;
	uint32_t rehearsal_checked;
	uint64_t opened_us; /* when we began to count */
};

static void on_timer(evutil_socket_t fd, short what, void *arg);

kms_err backup_new(struct keeper *k, struct backup **out)
{
	AUTO(backup_free) struct backup *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return KMS_E_NO_MEMORY;
	b->k = k;
	b->timer = event_new(k->base, -1, EV_PERSIST, on_timer, b);
	if (b->timer == NULL)
		return KMS_E_NO_MEMORY;
	*out = MOVE(b);
	return KMS_OK;
}

void backup_free(struct backup **b)
{
	if (*b == NULL)
		return;
	if ((*b)->timer != NULL)
		event_free((*b)->timer);
	backup_job_free(&(*b)->waits);
	free(*b);
	*b = NULL;
}

bool backup_is_copying(const struct keeper *k)
{
	const struct backup *b = k->backup;
	return b != NULL && b->waits != NULL &&
	       k->mono_us - b->tried_us < (uint64_t)COPY_S * 1000000;
}

/* What the folder holds now. */
static void take_look(struct backup *b, const struct backup_job *j)
{
	b->last_us = 0;
	b->until_us = 0;
	for (size_t i = 0; i < j->file_n; i++) {
		const struct archive_about *a = &j->files[i].head.about;
		if (!backup_file_is_ours(j, &j->files[i]))
			continue;
		uint64_t until = a->expires_us == 0 ? UINT64_MAX : a->expires_us;
		/* One that is dated ahead, by a clock that was wrong, must not stop the schedule. */
		if (a->created_us <= j->now_us && a->created_us > b->last_us)
			b->last_us = a->created_us;
		b->until_us = until > b->until_us ? until : b->until_us;
	}
	if (j->renewed + j->removed > 0)
		LOG(LOG_LEVEL_NOTICE, "backups-renewed",
		    "Backups were given the present slots, or had expired.",
		    log_u64("renewed", j->renewed), log_u64("removed", j->removed));
}

static void describe_file(const struct backup_job *j, const struct backup_file *f,
    struct slot_info *slots, struct backup_info *out)
{
	const struct archive_head *h = &f->head;
	const char *state = f->e != KMS_OK ? err_name(f->e) : "ok";
	if (f->e == KMS_OK && !backup_file_is_ours(j, f))
		state = "foreign";
	else if (f->e == KMS_OK && !backup_file_is_current(j, f))
		state = "old-root";
	*out = (struct backup_info){
		.name = bytes_of_str(f->name), .size = f->size, .state = bytes_of_str(state)
	};
	if (f->e != KMS_OK)
		return;
	out->id = bytes_of(h->about.id, ARCHIVE_ID_LEN);
	out->created_us = h->about.created_us;
	out->expires_us = h->about.expires_us;
	out->epoch = h->about.epoch.number;
	out->audit_records = h->about.epoch.audit_size;
	out->rows = h->about.rows;
	for (size_t i = 0; i < h->doors.slot_n; i++)
		describe_slot_row(h->doors.slots[i], &slots[i]);
	out->slots = slots;
	out->slot_n = h->doors.slot_n;
}

/* The files of the job, or the one of this name. */
static kms_err answer_files(
    struct keeper *k, const struct backup_job *j, const char *only, struct answer *out)
{
	struct backup_info *list = NULL;
	size_t n = 0;
	TRY(arena_alloc(&k->arena, (j->file_n + 1) * sizeof(*list), &list));
	for (size_t i = 0; i < j->file_n; i++) {
		struct slot_info *slots = NULL;
		if (only != NULL && strcmp(j->files[i].name, only) != 0)
			continue;
		TRY(arena_alloc(&k->arena, ARCHIVE_SLOTS_MAX * sizeof(*slots), &slots));
		describe_file(j, &j->files[i], slots, &list[n++]);
	}
	out->kind = ANSWER_BACKUPS;
	out->u.backups.p = list;
	out->u.backups.n = n;
	return KMS_OK;
}

static void finish(struct keeper *k, struct backup_job *j, kms_err e, const char *only)
{
	struct task own = { .arrived_us = k->mono_us,
		.record = { .op = OP_BACKUP_CREATE, .identity = bytes_of_str("kmsd") } };
	struct task *t = j->task != NULL ? j->task : &own;
	struct answer ans = { .kind = ANSWER_BACKUPS };
	t->record.detail = bytes_of_str(j->name);
	if (e == KMS_OK && j->task != NULL)
		e = answer_files(k, j, only, &ans);
	request_finish(k, t, e, &ans);
	arena_reset(&k->arena);
	backup_job_free(&j);
}

/* ---- Making one --------------------------------------------------------------------------- */

static void on_written(struct keeper *k, void *arg, kms_err e)
{
	struct backup *b = k->backup;
	struct backup_job *j = arg;
	b->busy = false;
	b->last_error = e;
	if (e == KMS_OK) {
		b->made_us = k->mono_us;
		take_look(b, j);
		LOG(LOG_LEVEL_NOTICE, "backup", "A backup was made.", log_str("name", j->name),
		    log_u64("rows", j->about.rows), log_u64("epoch", j->about.epoch.number));
	} else {
		LOG(LOG_LEVEL_ERROR, "backup-failed",
		    "The backup failed; older ones are still there.", log_str("name", j->name),
		    log_err(e));
	}
	finish(k, j, e, j->name);
}

void backup_copied(struct keeper *k, struct journal_done *d)
{
	struct backup *b = k->backup;
	struct backup_job *j = MOVE(b->waits);
	if (j == NULL)
		return;
	j->copy = MOVE(d->copy);
	kms_err e = d->err;
	/* Not before: slots may have changed since it was asked for. */
	if (e == KMS_OK)
		e = backup_job_take_keys(k, j);
	if (e == KMS_OK)
		e = chores_run(k->chores, backup_job_write, on_written, backup_job_drop, j);
	if (e != KMS_OK)
		on_written(k, j, e);
}

/* kms-20261125T023000Z.kmsb */
static void name_now(struct backup_job *j)
{
	struct tm tm;
	time_t s = (time_t)(j->now_us / 1000000);
	(void)gmtime_r(&s, &tm);
	(void)strftime(j->name, sizeof(j->name), "kms-%Y%m%dT%H%M%SZ.kmsb", &tm);
}

static kms_err start(struct keeper *k, struct task *t)
{
	struct backup *b = k->backup;
	AUTO(backup_job_free) struct backup_job *j = NULL;
	if (k->backup_dir < 0)
		return KMS_E_BACKUP_OFF;
	if (b->busy)
		return KMS_E_BACKUP_WORK;
	TRY(backup_job_new(k, &j));
	j->renew = true;
	j->expires_us = k->config->backup_keep_us == 0 ? 0 : j->now_us + k->config->backup_keep_us;
	name_now(j);
	TRY(journal_copy_store(k->journal));
	b->busy = true;
	b->tried_us = k->mono_us;
	b->waits = MOVE(j);
	if (t == NULL)
		return KMS_OK;
	kms_err e = task_detach(t, &b->waits->task);
	if (e == KMS_OK)
		t->fate = TASK_LATER;
	return e;
}

kms_err op_backup_create(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)r;
	(void)out;
	return start(k, t);
}

/* ---- The schedule ------------------------------------------------------------------------- */

static bool is_due(const struct backup *b)
{
	const struct config *c = b->k->config;
	if (c->backup_every_us == 0 || b->k->backup_dir < 0 || b->busy)
		return false;
	bool rests =
	    b->last_error != KMS_OK && b->k->mono_us - b->tried_us < (uint64_t)RETRY_S * 1000000;
	/* A clock that was set back must not stop backups. */
	bool fresh = b->last_us <= b->k->wall_us && b->k->wall_us - b->last_us < c->backup_every_us;
	bool made = b->made_us != 0 && b->k->mono_us - b->made_us < c->backup_every_us;
	return !rests && !fresh && !made;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct backup *b = arg;
	keeper_tick(b->k);
	const struct timeval next = { .tv_sec = CHECK_S };
	(void)event_add(b->timer, &next);
	if (root_state(b->k->root) != ROOT_UNSEALED || !is_due(b))
		return;
	kms_err e = start(b->k, NULL);
	if (e == KMS_OK)
		return;
	b->last_error = e;
	b->tried_us = b->k->mono_us;
	LOG(LOG_LEVEL_ERROR, "backup-failed", "The backup could not be begun.", log_err(e));
}

static void on_looked(struct keeper *k, void *arg, kms_err e)
{
	struct backup *b = k->backup;
	AUTO(backup_job_free) struct backup_job *j = arg;
	const struct timeval soon = { .tv_sec = FIRST_S };
	if (e == KMS_OK)
		take_look(b, j);
	else
		LOG(LOG_LEVEL_WARNING, "backup-folder", "The backup folder can't be read.",
		    log_err(e));
	if (root_state(k->root) == ROOT_UNSEALED)
		(void)event_add(b->timer, &soon);
}

void backup_look(struct keeper *k)
{
	struct backup *b = k->backup;
	AUTO(backup_job_free) struct backup_job *j = NULL;
	if (b->opened_us == 0)
		b->opened_us = k->wall_us;
	if (k->backup_dir < 0)
		return;
	kms_err e = backup_job_new(k, &j);
	if (e == KMS_OK)
		e = backup_job_take_keys(k, j);
	if (e == KMS_OK) {
		j->renew = true;
		e = chores_run(k->chores, backup_job_look, on_looked, backup_job_drop, j);
	}
	if (e == KMS_OK)
		j = NULL; /* on_looked's */
	else
		LOG(LOG_LEVEL_WARNING, "backup-folder", "The backup folder can't be read.",
		    log_err(e));
}

void backup_seal(struct keeper *k, kms_err e)
{
	struct backup *b = k->backup;
	(void)event_del(b->timer);
	if (b->waits != NULL) {
		b->busy = false;
		finish(k, MOVE(b->waits), e, NULL);
	}
}

/* ---- Looking at them ---------------------------------------------------------------------- */

static void on_listed(struct keeper *k, void *arg, kms_err e)
{
	finish(k, arg, e, NULL);
}

static kms_err start_read(struct keeper *k, struct task *t, chore_work *work, struct bytes name)
{
	AUTO(backup_job_free) struct backup_job *j = NULL;
	if (k->backup_dir < 0)
		return KMS_E_BACKUP_OFF;
	TRY(backup_job_new(k, &j));
	TRY(backup_job_take_keys(k, j));
	if (name.n > 0) {
		memcpy(j->name, name.p, name.n);
		TRY(backup_job_take_rows_of(k, j, j->name));
	}
	TRY(task_detach(t, &j->task));
	TRY(chores_run(k->chores, work, on_listed, backup_job_drop, j));
	j = NULL; /* on_listed's */
	t->fate = TASK_LATER;
	return KMS_OK;
}

kms_err op_backup_list(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)r;
	(void)out;
	return start_read(k, t, backup_job_look, (struct bytes){ 0 });
}

kms_err op_backup_verify(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	return name_valid(r->key) ? start_read(k, t, backup_job_verify, r->key) : KMS_E_BAD_NAME;
}

/* ---- Rehearsals --------------------------------------------------------------------------- */

kms_err backup_load(struct backup *b, struct bytes row)
{
	struct reader in = reader_of(row);
	b->rehearsal_us = read_u64(&in);
	b->rehearsal_good = read_u8(&in) != 0;
	b->rehearsal_checked = read_u32(&in);
	return reader_done(&in) ? KMS_OK : KMS_E_STORE_CORRUPT;
}

kms_err backup_put_row(struct keeper *k, struct row_batch *b)
{
	const struct backup *x = k->backup;
	uint8_t row[REHEARSAL_LEN];
	if (x->rehearsal_us == 0)
		return KMS_OK;
	store_u64(row, x->rehearsal_us);
	row[8] = x->rehearsal_good;
	store_u32(row + 9, x->rehearsal_checked);
	return rows_put(
	    k->rows, b, TABLE_META, bytes_of_str(rehearsal_row), bytes_of(row, sizeof(row)));
}

static kms_err store_rehearsal(struct keeper *k, struct bytes row)
{
	AUTO(row_batch_free) struct row_batch *batch = NULL;
	TRY(row_batch_new(&batch));
	kms_err e = rows_put(k->rows, batch, TABLE_META, bytes_of_str(rehearsal_row), row);
	if (e == KMS_OK)
		e = counts_finish_batch(k, batch);
	if (e == KMS_OK)
		e = journal_put_rows(k->journal, MOVE(batch), ++k->rows_number);
	if (e != KMS_OK)
		root_store_failed(k, e);
	return e;
}

kms_err op_backup_rehearsed(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct backup *b = k->backup;
	uint8_t row[REHEARSAL_LEN];
	if (!name_valid(r->key))
		return KMS_E_BAD_NAME;
	store_u64(row, k->wall_us);
	row[8] = !r->failed;
	store_u32(row + 9, r->count);
	TRY(store_rehearsal(k, bytes_of(row, sizeof(row))));
	TRY(backup_load(b, bytes_of(row, sizeof(row))));
	t->record.batch = r->count;
	t->record.detail = bytes_of_str(r->failed ? "failed" : "good");
	out->kind = ANSWER_DONE;
	return KMS_OK;
}

/* ---- What is said of it all --------------------------------------------------------------- */

static bool is_late(const struct backup *b, uint64_t last_us, uint64_t every_us)
{
	uint64_t since = last_us != 0 ? last_us : b->opened_us;
	return every_us != 0 && b->k->wall_us > since + every_us + every_us / 2;
}

static const char *backup_state(const struct backup *b)
{
	if (b->k->backup_dir < 0)
		return "off";
	if (b->last_error != KMS_OK)
		return err_name(b->last_error);
	return is_late(b, b->last_us, b->k->config->backup_every_us) ? "late" : "ok";
}

static const char *rehearsal_state(const struct backup *b)
{
	if (b->k->backup_dir < 0 || b->k->config->rehearse_us == 0)
		return "off";
	if (b->rehearsal_us != 0 && !b->rehearsal_good)
		return "failed";
	return is_late(b, b->rehearsal_us, b->k->config->rehearse_us) ? "late" : "ok";
}

void backup_describe(const struct keeper *k, struct status_info *out)
{
	const struct backup *b = k->backup;
	out->backup_us = b->last_us;
	out->backup_state = bytes_of_str(backup_state(b));
	out->rehearsal_us = b->rehearsal_us;
	out->rehearsal_state = bytes_of_str(rehearsal_state(b));
}

uint64_t backup_holds_until(const struct keeper *k)
{
	const struct backup *b = k->backup;
	/* The one that is being made may have been copied already. */
	uint64_t keep = k->config->backup_keep_us;
	uint64_t next = !b->busy ? 0 : keep == 0 ? UINT64_MAX : k->wall_us + keep;
	return next > b->until_us ? next : b->until_us;
}
