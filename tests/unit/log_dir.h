/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the audit log: a folder of its own that goes when the test does, files in it read,
 * written and damaged, and a log with groups in it.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/segment.h"
#include "kms/audit/trail.h"

enum {
	LOG_SIZE = SEGMENT_SIZE_MIN,
	LOG_PATH_MAX = 300
};

struct log_dir {
	char path[LOG_PATH_MAX];
	int fd;
};

/* In memory where that is possible: thousands of flushes that nobody needs. */
static inline struct log_dir log_dir_new(void)
{
	static const char memory[] = "/dev/shm";
	struct log_dir d = { .fd = -1 };
	bool fast = access(memory, W_OK | X_OK) == 0;

	(void)snprintf(d.path, sizeof(d.path), "%s/audit-XXXXXX", fast ? memory : P_tmpdir);
	CHECK(mkdtemp(d.path) != NULL);
	d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(d.fd >= 0);
	return d;
}

static inline void log_dir_clear(const struct log_dir *d)
{
	DIR *stream = fdopendir(openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	CHECK(stream != NULL);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	for (const struct dirent *e; (e = readdir(stream)) != NULL;)
		(void)unlinkat(d->fd, e->d_name, 0);
	(void)closedir(stream);
}

static inline void log_dir_done(struct log_dir *d)
{
	log_dir_clear(d);
	(void)close(d->fd);
	(void)rmdir(d->path);
}

static inline void log_name(uint32_t number, char out[static LOG_PATH_MAX])
{
	(void)snprintf(out, LOG_PATH_MAX, "%08u.seg", number);
}

/* A file's bytes. */
struct image {
	uint8_t *p;
	size_t n;
};

static inline void image_done(struct image *i)
{
	free(i->p);
	*i = (struct image){ .p = NULL };
}

static inline struct image image_of(struct bytes x)
{
	struct image i = { .p = malloc(x.n), .n = x.n };

	CHECK(i.p != NULL);
	memcpy(i.p, x.p, x.n);
	return i;
}

static inline struct image log_read(const struct log_dir *d, uint32_t number)
{
	char name[LOG_PATH_MAX];
	struct stat st;

	log_name(number, name);
	int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	struct image i = { .p = malloc((size_t)st.st_size), .n = (size_t)st.st_size };
	CHECK(i.p != NULL && read(fd, i.p, i.n) == (ssize_t)i.n);
	(void)close(fd);
	return i;
}

/* Over what is there, so that a small change of a large file is quick. */
static inline void log_patch(const struct log_dir *d, uint32_t number, size_t at, struct bytes x)
{
	char name[LOG_PATH_MAX];

	log_name(number, name);
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && pwrite(fd, x.p, x.n, (off_t)at) == (ssize_t)x.n);
	(void)close(fd);
}

static inline void log_write(const struct log_dir *d, uint32_t number, const struct image *i)
{
	log_patch(d, number, 0, bytes_of(i->p, i->n));
}

static inline void log_remove(const struct log_dir *d, uint32_t number)
{
	char name[LOG_PATH_MAX];

	log_name(number, name);
	CHECK(unlinkat(d->fd, name, 0) == 0);
}

static inline bool log_has(const struct log_dir *d, uint32_t number)
{
	char name[LOG_PATH_MAX];

	log_name(number, name);
	return faccessat(d->fd, name, F_OK, 0) == 0;
}

/* One past the last byte that is not zero. */
static inline size_t image_used(const struct image *i)
{
	size_t n = i->n;

	while (n > 0 && i->p[n - 1] == 0)
		n--;
	return n;
}

/* A record as an issue leaves one. */
static inline struct record log_record(void)
{
	struct record r = {
		.time_us = 1772323200000000,
		.identity = bytes_of_str("unix:1000"),
		.source = bytes_of_str("unix"),
		.subject = bytes_of_str("agent-17"),
		.op = OP_ISSUE,
		.key_class = bytes_of_str("default"),
		.version = 1,
		.batch = 1,
		.latency_us = 170,
	};

	memset(r.boot, 0x11, sizeof(r.boot));
	memset(r.key.b, 0x22, sizeof(r.key.b));
	return r;
}
