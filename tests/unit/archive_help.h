/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of backups: a small instance (rows_help.h), a backup of it in the same folder, and a
 * look into files that somebody else has changed.
 */
#pragma once

#include <sys/mman.h>

#include "kms/store/archive.h"
#include "tests/unit/rows_help.h"

/* Whoever includes this writes `AUTO(shelf_done) struct shelf s = shelf_new(t);`. */
struct shelf {
	struct tried *t;
	int dir_fd;
	struct archive_keys keys;
	struct rows *rows; /* made ahead: a child after fork has no secrets */
};

static const char backup_name[] = "first.kmsb";

static inline struct archive_keys backup_keys(uint8_t fill)
{
	struct secret *backup_key = key_of(fill);
	struct archive_keys k;

	assert_int_equal(archive_keys_derive(backup_key, &k), KMS_OK);
	secret_free(&backup_key);
	return k;
}

static inline struct shelf shelf_new(struct tried *t)
{
	struct shelf s = { .t = t, .keys = backup_keys(0x62), .rows = rows_of(t->key) };

	s.dir_fd = open(t->bench.folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s.dir_fd >= 0);
	return s;
}

static inline void shelf_done(struct shelf *s)
{
	(void)close(s->dir_fd);
	archive_keys_wipe(&s->keys);
	rows_free(&s->rows);
}

/* Of the store as it stands. */
static inline kms_err back_up(const struct shelf *s, const char *name, struct archive_about *out)
{
	AUTO(store_close) struct store *snapshot = NULL;

	TRY(sqlite_store_snapshot(s->t->bench.store, &snapshot));
	const struct archive_making m = { .store = snapshot,
		.rows = s->rows,
		.keys = &s->keys,
		.created_us = 1000,
		.expires_us = 9000 };
	return archive_write(&m, s->dir_fd, name, out);
}

static inline struct buf file_of(const struct shelf *s, const char *name)
{
	char path[2 * FOLDER_PATH];
	struct buf b = { .p = NULL };

	folder_file(&s->t->bench.folder, name, path);
	file_read(path, &b);
	return b;
}

static inline bool file_there(const struct shelf *s, const char *name)
{
	return faccessat(s->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline size_t count_temps(const struct shelf *s)
{
	DIR *d = opendir(s->t->bench.folder.path);
	size_t n = 0;

	CHECK(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strstr(e->d_name, ".tmp") != NULL;
	(void)closedir(d);
	return n;
}

/* Borrowed, until the next call. */
static inline int memory_file(struct bytes x)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("backup", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	CHECK(pwrite(fd, x.p, x.n, 0) == (ssize_t)x.n);
	return fd;
}

/* Opens a file and goes through all of it; its rows as tell() says them. */
static inline kms_err check_file(
    const struct shelf *s, int fd, const struct archive_keys *keys, struct buf *out)
{
	AUTO(rows_free) struct rows *r = rows_of(s->t->key);
	AUTO(archive_close) struct archive *a = NULL;

	TRY(archive_open(fd, keys, &a));
	return archive_verify(a, r, tell, out);
}

static inline kms_err check_name(const struct shelf *s, const char *name, struct buf *out)
{
	int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	kms_err e = check_file(s, fd, &s->keys, out);
	(void)close(fd);
	return e;
}

static inline kms_err check_bytes(const struct shelf *s, struct bytes x)
{
	AUTO(buf_done) struct buf told = { .p = NULL };

	return check_file(s, memory_file(x), &s->keys, &told);
}
