/* SPDX-License-Identifier: Apache-2.0 */
/* In the chores thread, but for making and freeing a job; see backup_job.h. */
#include "kms/keeper/backup_job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/keeper/root_private.h"
#include "kms/keys/key.h"

enum {
	STAMP_LEN = 20, /* "kms-20261125T023000Z" */
	SAME_SECOND_MAX = 99
};

static void files_free(struct backup_job *j)
{
	for (size_t i = 0; i < j->file_n; i++)
		archive_head_done(&j->files[i].head);
	free(j->files);
	j->files = NULL;
	j->file_n = 0;
}

void backup_job_free(struct backup_job **j)
{
	struct backup_job *x = MOVE(*j);
	if (x == NULL)
		return;
	files_free(x);
	for (size_t i = 0; i < x->slot_n; i++)
		buf_done(&x->slots[i]);
	buf_done(&x->keyring);
	if (x->copy != NULL)
		store_close(&x->copy);
	rows_free(&x->rows);
	archive_keys_wipe(&x->keys);
	task_free(&x->task);
	free(x);
}

void backup_job_drop(void *arg)
{
	struct backup_job *j = arg;
	backup_job_free(&j);
}

static kms_err take_doors(const struct root_rows *rows, struct backup_job *j)
{
	for (size_t i = 0; i < rows->slot_n; i++) {
		j->slot_n = i + 1;
		TRY(buf_put(&j->slots[i], buf_bytes(&rows->slots[i])));
	}
	return buf_put(&j->keyring, buf_bytes(&rows->keyring));
}

static kms_err open_keyring(const struct keeper *k, struct keyring *out)
{
	const struct root *r = k->root;
	return keyring_decode(
	    buf_bytes(&r->rows.keyring), r->key, bytes_of(k->instance, INSTANCE_ID_LEN), out);
}

kms_err backup_job_new(struct keeper *k, struct backup_job **out)
{
	struct backup_job *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return KMS_E_NO_MEMORY;
	j->dir_fd = k->backup_dir;
	j->now_us = k->wall_us;
	memcpy(j->instance, k->instance, sizeof(j->instance));
	*out = j;
	return KMS_OK;
}

kms_err backup_job_take_keys(struct keeper *k, struct backup_job *j)
{
	AUTO(keyring_done) struct keyring keys = { 0 };
	TRY(open_keyring(k, &keys));
	TRY(archive_keys_derive(keys.backup_key, &j->keys));
	TRY(rows_new(keys.store_key, &j->rows));
	TRY(keyring_seal_store_key(&keys, bytes_of(k->instance, INSTANCE_ID_LEN), j->store_key));
	return take_doors(&k->root->rows, j);
}

bool backup_file_is_ours(const struct backup_job *j, const struct backup_file *f)
{
	return f->e == KMS_OK &&
	       memcmp(f->head.about.instance, j->instance, sizeof(j->instance)) == 0;
}

bool backup_file_is_current(const struct backup_job *j, const struct backup_file *f)
{
	const struct archive_doors *d = &f->head.doors;
	bool same = d->slot_n == j->slot_n && bytes_equal(d->keyring, buf_bytes(&j->keyring));
	for (size_t i = 0; i < j->slot_n && same; i++) {
		bool found = false;
		for (size_t n = 0; n < d->slot_n; n++)
			found = found || bytes_equal(d->slots[n], buf_bytes(&j->slots[i]));
		same = found;
	}
	return same;
}

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* KMS_E_NOT_FOUND, KMS_E_BACKUP_IO. Never through a link: what is named there is a file. */
static kms_err open_file(const struct backup_job *j, const char *name, int *out)
{
	int fd = openat(j->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? KMS_E_NOT_FOUND : KMS_E_BACKUP_IO;
	*out = fd;
	return KMS_OK;
}

static void read_file(const struct backup_job *j, struct backup_file *f)
{
	AUTO(close_fd) int fd = -1;
	struct stat st;
	f->e = open_file(j, f->name, &fd);
	if (f->e != KMS_OK)
		return;
	f->size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	f->e = archive_read_head(fd, &f->head);
	/* What it says of dates decides what is made and removed: only the key's word counts. */
	if (backup_file_is_ours(j, f))
		f->e = archive_head_prove(&f->head, &j->keys);
}

kms_err backup_job_take_rows_of(struct keeper *k, struct backup_job *j, const char *name)
{
	AUTO(keyring_done) struct keyring keys = { 0 };
	AUTO(archive_head_done) struct archive_head h = { 0 };
	AUTO(secret_free) struct secret *store_key = NULL;
	AUTO(close_fd) int fd = -1;
	TRY(open_file(j, name, &fd));
	TRY(archive_read_head(fd, &h));
	TRY(open_keyring(k, &keys));
	TRY(keyring_open_store_key(
	    &keys, bytes_of(h.about.instance, INSTANCE_ID_LEN), h.about.store_key, &store_key));
	rows_free(&j->rows);
	return rows_new(store_key, &j->rows);
}

static int by_name(const void *a, const void *b)
{
	const struct backup_file *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static void dir_close(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
	*d = NULL;
}

/* Files that begin like backups, or whose names say so; others in the folder are nobody's business. */
static bool is_shown(const struct backup_file *f)
{
	size_t n = strlen(f->name);
	bool named = n > 5 && strcmp(f->name + n - 5, ".kmsb") == 0;
	return named || (f->e != KMS_E_NOT_A_BACKUP && f->e != KMS_E_BACKUP_IO);
}

static kms_err add_file(struct backup_job *j, const char *name)
{
	struct bytes n = bytes_of_str(name);
	if (!name_valid(n) || j->file_n == BACKUPS_MAX)
		return KMS_OK;
	struct backup_file *more = reallocarray(j->files, j->file_n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	j->files = more;
	struct backup_file *f = &more[j->file_n];
	*f = (struct backup_file){ .size = 0 };
	memcpy(f->name, name, n.n + 1);
	read_file(j, f);
	if (is_shown(f))
		j->file_n++;
	else
		archive_head_done(&f->head);
	return KMS_OK;
}

static kms_err list(struct backup_job *j)
{
	int fd = openat(j->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		close_fd(&fd);
		return KMS_E_BACKUP_IO;
	}
	/* A stream of our own, and no other thread has it. */
	for (const struct dirent *e; (e = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe) */
		TRY(add_file(j, e->d_name));
	if (j->file_n > 0)
		qsort(j->files, j->file_n, sizeof(j->files[0]), by_name);
	return KMS_OK;
}

/* The ways to open the root now also open this one. */
static void renew_doors(struct backup_job *j, struct backup_file *f)
{
	struct archive_doors d = { .slot_n = j->slot_n, .keyring = buf_bytes(&j->keyring) };
	for (size_t i = 0; i < j->slot_n; i++)
		d.slots[i] = buf_bytes(&j->slots[i]);
	f->e = archive_reseal(j->dir_fd, f->name, &j->keys, &d);
	if (f->e != KMS_OK)
		return;
	j->renewed++;
	archive_head_done(&f->head);
	read_file(j, f);
}

/* The newest one stays, however old it is. */
static bool may_go(const struct backup_job *j, size_t i)
{
	uint64_t newest = 0;
	for (size_t n = 0; n < j->file_n; n++)
		if (backup_file_is_ours(j, &j->files[n]) &&
		    j->files[n].head.about.created_us <= j->now_us &&
		    j->files[n].head.about.created_us > newest)
			newest = j->files[n].head.about.created_us;
	const struct archive_about *a = &j->files[i].head.about;
	return a->expires_us != 0 && a->expires_us < j->now_us && a->created_us < newest;
}

static void remove_file(struct backup_job *j, size_t i)
{
	if (unlinkat(j->dir_fd, j->files[i].name, 0) != 0)
		return;
	j->removed++;
	archive_head_done(&j->files[i].head);
	j->file_n--;
	memmove(&j->files[i], &j->files[i + 1], (j->file_n - i) * sizeof(j->files[0]));
}

kms_err backup_job_look(void *arg)
{
	struct backup_job *j = arg;
	if (j->renew)
		TRY(archive_clean(j->dir_fd));
	TRY(list(j));
	for (size_t i = j->file_n; i-- > 0 && j->renew;) {
		struct backup_file *f = &j->files[i];
		if (!backup_file_is_ours(j, f))
			continue;
		if (may_go(j, i))
			remove_file(j, i);
		else if (!backup_file_is_current(j, f))
			renew_doors(j, f);
	}
	return KMS_OK;
}

kms_err backup_job_write(void *arg)
{
	struct backup_job *j = arg;
	struct archive_making m = { .store = j->copy,
		.rows = j->rows,
		.keys = &j->keys,
		.created_us = j->now_us,
		.expires_us = j->expires_us };
	memcpy(m.store_key, j->store_key, sizeof(m.store_key));
	TRY(archive_clean(j->dir_fd));
	kms_err e = archive_write(&m, j->dir_fd, j->name, &j->about);
	/* Two in one second: the name is ours to choose, and sorts behind the first. */
	for (unsigned n = 2; n <= SAME_SECOND_MAX && e == KMS_E_EXISTS; n++) {
		(void)snprintf(j->name + STAMP_LEN, sizeof(j->name) - STAMP_LEN, "_%02u.kmsb", n);
		e = archive_write(&m, j->dir_fd, j->name, &j->about);
	}
	TRY(e);
	return backup_job_look(j);
}

static kms_err check_row(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct backup_job *j = arg;
	struct key_version v = { 0 };
	struct bytes bits;
	if (table != TABLE_VERSION)
		return KMS_OK;
	TRY(version_decode(value, &v, &bits));
	return bits.n > 0 ? rows_check_bits(j->rows, key, bits) : KMS_OK;
}

/* What the store would call damage is damage of the backup. */
static kms_err as_backup(kms_err e)
{
	return e == KMS_E_STORE_CORRUPT || e == KMS_E_ROW_ROLLBACK ? KMS_E_BACKUP_DAMAGED : e;
}

kms_err backup_job_verify(void *arg)
{
	struct backup_job *j = arg;
	AUTO(close_fd) int fd = -1;
	AUTO(archive_close) struct archive *a = NULL;
	TRY(open_file(j, j->name, &fd));
	TRY(archive_open(fd, &j->keys, &a));
	TRY(as_backup(archive_verify(a, j->rows, check_row, j)));
	return add_file(j, j->name);
}
