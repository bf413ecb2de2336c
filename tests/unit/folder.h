/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that need files: a folder of the test's own under $TMPDIR or /tmp, gone afterwards
 * with all that is in it (no folders), and what tests ask of files.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"

enum {
	FOLDER_PATH = 256
};

struct folder {
	char path[FOLDER_PATH];
};

static inline void folder_make(struct folder *f)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(f->path, sizeof(f->path), "%s/kms-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	CHECK(mkdtemp(f->path) != NULL);
}

/* "<folder>/<name>" */
static inline void folder_file(const struct folder *f, const char *name, char out[2 * FOLDER_PATH])
{
	(void)snprintf(out, 2 * (size_t)FOLDER_PATH, "%s/%s", f->path, name);
}

static inline void file_read(const char *path, struct buf *out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	buf_clear(out);
	CHECK(buf_reserve(out, (size_t)st.st_size + 1) == KMS_OK);
	CHECK(read(fd, out->p, (size_t)st.st_size) == st.st_size);
	out->n = (size_t)st.st_size;
	(void)close(fd);
}

static inline void file_write(const char *path, struct bytes x)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, x.p, x.n) == (ssize_t)x.n);
	(void)close(fd);
}

/* Calls `each` with the path of every file. */
static inline void folder_each(
    const struct folder *f, void (*each)(const char *path, void *arg), void *arg)
{
	char path[2 * FOLDER_PATH];
	DIR *d = opendir(f->path);

	CHECK(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		folder_file(f, e->d_name, path);
		each(path, arg);
	}
	(void)closedir(d);
}

struct folder_search {
	struct bytes what;
	size_t files; /* that hold it */
};

static inline void folder_search_file(const char *path, void *arg)
{
	struct folder_search *s = arg;
	AUTO(buf_done) struct buf b = { 0 };

	file_read(path, &b);
	s->files += memmem(b.p, b.n, s->what.p, s->what.n) != NULL;
}

/* In how many files these bytes stand. */
static inline size_t folder_find(const struct folder *f, struct bytes what)
{
	struct folder_search s = { .what = what };

	folder_each(f, folder_search_file, &s);
	return s.files;
}

static inline void folder_remove_file(const char *path, void *arg)
{
	(void)arg;
	(void)unlink(path);
}

static inline void folder_done(struct folder *f)
{
	folder_each(f, folder_remove_file, NULL);
	(void)rmdir(f->path);
}
