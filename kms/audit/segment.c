/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments as files of a folder: their names, making one ahead, which ones there are. A segment
 * appears under its name whole and flushed, and never in place of another one.
 */
#include "kms/audit/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kms/audit/segment_private.h"

enum {
	DIGITS = 8,
	NUMBER_END = 100000000, /* names of 8 digits */
	ZEROS_LEN = 65536,      /* of one write */
	FILE_MODE = 0600,
	PIECE_LEN = 256 * 1024, /* of a segment that is made without hurry */
	PAUSE_NS = 1000 * 1000  /* after each */
};

static const char suffix[] = ".seg", temporary[] = ".tmp";

void segment_name(uint32_t number, char out[static SEGMENT_NAME_MAX])
{
	CHECK(number < NUMBER_END);
	(void)snprintf(out, SEGMENT_NAME_MAX, "%08u%s", number, suffix);
}

kms_err segment_errno(void)
{
	/* EFBIG is what a limit on file sizes says. */
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

	return full ? KMS_E_AUDIT_FULL : KMS_E_AUDIT_IO;
}

kms_err segment_put(int fd, struct bytes x, uint64_t at)
{
	while (x.n > 0) {
		ssize_t n = pwrite(fd, x.p, x.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? KMS_E_AUDIT_IO : segment_errno();
		x = bytes_of(x.p + n, x.n - (size_t)n);
		at += (uint64_t)n;
	}
	return KMS_OK;
}

kms_err segment_put_zeros(int fd, uint64_t at, uint64_t n)
{
	static const uint8_t zeros[ZEROS_LEN];

	while (n > 0) {
		size_t part = n < sizeof(zeros) ? n : sizeof(zeros);
		TRY(segment_put(fd, bytes_of(zeros, part), at));
		at += part;
		n -= part;
	}
	return KMS_OK;
}

void segment_fd_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* In pieces with pauses: what is flushed meanwhile waits for one piece, not for all of them. */
static kms_err put_zeros_calmly(int fd, uint32_t size)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };

	for (uint32_t at = 0; at < size; at += PIECE_LEN) {
		TRY(segment_put_zeros(fd, at, size - at < PIECE_LEN ? size - at : PIECE_LEN));
		if (fdatasync(fd) != 0)
			return segment_errno();
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return KMS_OK;
}

/* Written, not only reserved: else each later flush would have to record the file's extents. */
static kms_err fill(int dir_fd, const char *name, uint32_t size, bool calm)
{
	AUTO(segment_fd_close)
	int fd =
	    openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

	if (fd < 0)
		return segment_errno();
	/* In one piece where the filesystem can; without it nothing is lost but speed. */
	(void)fallocate(fd, 0, 0, size);
	TRY(calm ? put_zeros_calmly(fd, size) : segment_put_zeros(fd, 0, size));
	return fsync(fd) == 0 ? KMS_OK : segment_errno();
}

static kms_err publish(int dir_fd, const char *from, const char *to)
{
	/* The journal and who prepares ahead may both have made it; the first one stays. */
	if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0)
		return fsync(dir_fd) == 0 ? KMS_OK : segment_errno();
	if (errno != EEXIST)
		return segment_errno();
	return unlinkat(dir_fd, from, 0) == 0 ? KMS_OK : segment_errno();
}

static kms_err prepare(int dir_fd, uint32_t number, uint32_t size, bool calm)
{
	char name[SEGMENT_NAME_MAX], temp[SEGMENT_NAME_MAX];
	struct stat st;

	segment_name(number, name);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return KMS_OK;
	if (errno != ENOENT)
		return segment_errno();
	/* Each thread writes a file of its own. */
	(void)snprintf(temp, sizeof(temp), "%08u%s.%d%s", number, suffix, gettid(), temporary);
	kms_err e = fill(dir_fd, temp, size, calm);
	if (e == KMS_OK)
		return publish(dir_fd, temp, name);
	/* What was filled so far may be all the space there is. */
	(void)unlinkat(dir_fd, temp, 0);
	return e;
}

kms_err segments_prepare(int dir_fd, uint32_t number, uint32_t size)
{
	return prepare(dir_fd, number, size, false);
}

kms_err segments_prepare_calmly(int dir_fd, uint32_t number, uint32_t size)
{
	return prepare(dir_fd, number, size, true);
}

static void dir_close(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

/* A stream of its own: reading moves the offset that a descriptor and its copies share. */
static kms_err open_dir(int dir_fd, DIR **out)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return KMS_E_AUDIT_IO;
	*out = fdopendir(fd);
	if (*out != NULL)
		return KMS_OK;
	(void)close(fd);
	return KMS_E_NO_MEMORY;
}

/* NULL in *out at the end. */
static kms_err next_entry(DIR *d, const struct dirent **out)
{
	errno = 0;
	*out = readdir(d); /* the stream is this thread's alone: NOLINT(concurrency-mt-unsafe) */
	return *out == NULL && errno != 0 ? KMS_E_AUDIT_IO : KMS_OK;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

/* "00000007.seg" → 7. */
static bool number_of(const char *name, uint32_t *out)
{
	uint32_t number = 0;

	if (strlen(name) != DIGITS + strlen(suffix) || !ends_with(name, suffix))
		return false;
	for (int i = 0; i < DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		number = number * 10 + (uint32_t)(name[i] - '0');
	}
	*out = number;
	return true;
}

kms_err segments_clean(int dir_fd)
{
	AUTO(dir_close) DIR *d = NULL;
	const struct dirent *entry;

	TRY(open_dir(dir_fd, &d));
	for (;;) {
		TRY(next_entry(d, &entry));
		if (entry == NULL)
			return KMS_OK;
		bool ours = strstr(entry->d_name, suffix) != NULL;
		if (ours && ends_with(entry->d_name, temporary) &&
		    unlinkat(dir_fd, entry->d_name, 0) != 0)
			return KMS_E_AUDIT_IO;
	}
}

kms_err segments_range(int dir_fd, uint32_t *out_first, uint32_t *out_end)
{
	AUTO(dir_close) DIR *d = NULL;
	const struct dirent *entry;
	uint32_t first = UINT32_MAX, end = 0, count = 0, number = 0;

	TRY(open_dir(dir_fd, &d));
	for (;;) {
		TRY(next_entry(d, &entry));
		if (entry == NULL)
			break;
		if (!number_of(entry->d_name, &number))
			continue;
		first = number < first ? number : first;
		end = number >= end ? number + 1 : end;
		count++;
	}
	if (count == 0)
		first = 0;
	if (end - first != count)
		return KMS_E_AUDIT_CORRUPT;
	*out_first = first;
	*out_end = end;
	return KMS_OK;
}
