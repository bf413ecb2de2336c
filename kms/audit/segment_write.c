/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups on their way to disk. What is written into a file that nobody can find by its name is
 * no record, so after each flush the name must still lead to the file that was written.
 */
#include "kms/audit/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/blocks.h"
#include "kms/audit/segment_private.h"

enum {
	FD_PATH_MAX = 40 /* "/proc/self/fd/…" */
};

struct segments {
	int dir_fd;
	uint32_t size;
	char *path;      /* the folder's; NULL where it can't be told */
	struct stat dir; /* the folder */
	int fd;          /* the segment in use, -1: none */
	uint32_t number;
	struct stat file; /* the segment, when it was opened */
	struct blocks *blocks;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A folder that is moved away stays open all the same; its path tells. */
static kms_err remember_dir(struct segments *s)
{
	char link[FD_PATH_MAX], path[PATH_MAX];
	struct stat st;

	if (fstat(s->dir_fd, &s->dir) != 0)
		return KMS_E_AUDIT_IO;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", s->dir_fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return KMS_OK;
	path[n] = '\0';
	/* Without a /proc, or where we may not look: then only the files are watched. */
	if (stat(path, &st) != 0 || !is_same(&st, &s->dir))
		return KMS_OK;
	s->path = strdup(path);
	return s->path == NULL ? KMS_E_NO_MEMORY : KMS_OK;
}

kms_err segments_new(int dir_fd, uint32_t size, struct segments **out)
{
	CHECK(size >= SEGMENT_SIZE_MIN);
	AUTO(segments_free) struct segments *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->dir_fd = dir_fd;
	s->size = size;
	s->fd = -1;
	TRY(blocks_new(&s->blocks));
	TRY(remember_dir(s));
	TRY(segments_clean(dir_fd));
	*out = MOVE(s);
	return KMS_OK;
}

static void close_file(struct segments *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

void segments_free(struct segments **s)
{
	if (*s == NULL)
		return;
	close_file(*s);
	blocks_free(&(*s)->blocks);
	free((*s)->path);
	free(*s);
	*s = NULL;
}

static kms_err open_name(struct segments *s, uint32_t number)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(number, name);
	close_file(s);
	blocks_forget(s->blocks);
	s->fd = blocks_open(s->dir_fd, name);
	if (s->fd < 0)
		return errno == ENOENT ? KMS_E_NOT_FOUND : segment_errno();
	s->number = number;
	if (fstat(s->fd, &s->file) == 0 && S_ISREG(s->file.st_mode))
		return KMS_OK;
	close_file(s);
	return KMS_E_AUDIT_IO;
}

static kms_err make_and_open(struct segments *s, uint32_t number)
{
	TRY(segments_prepare(s->dir_fd, number, s->size));
	kms_err e = open_name(s, number);
	return e == KMS_E_NOT_FOUND ? KMS_E_AUDIT_IO : e;
}

/* A follower that was made before the configured size changed, and never begun, is made anew. */
static kms_err fix_size(struct segments *s)
{
	char name[SEGMENT_NAME_MAX];
	struct bytes begin;

	if (s->file.st_size == s->size)
		return KMS_OK;
	uint32_t number = s->number;
	kms_err e = blocks_first(s->blocks, s->fd, &begin);
	close_file(s);
	TRY(e);
	if (bytes_used(begin, 0) > 0)
		return KMS_E_AUDIT_CORRUPT;
	segment_name(number, name);
	if (unlinkat(s->dir_fd, name, 0) != 0)
		return KMS_E_AUDIT_IO;
	return make_and_open(s, number);
}

static kms_err open_begin(struct segments *s, uint32_t number)
{
	kms_err e = open_name(s, number);

	if (e == KMS_E_NOT_FOUND)
		e = make_and_open(s, number);
	TRY(e);
	TRY(fix_size(s));
	/* Who made it may have got no further than the name. */
	return fsync(s->dir_fd) == 0 ? KMS_OK : segment_errno();
}

static kms_err open_segment(struct segments *s, const struct segment_write *w)
{
	if (s->fd >= 0 && s->number == w->number)
		return KMS_OK;
	if (w->offset == 0)
		return open_begin(s, w->number);
	/* One that holds records already must be there. */
	kms_err e = open_name(s, w->number);
	return e == KMS_E_NOT_FOUND ? KMS_E_AUDIT_IO : e;
}

static kms_err check_still_there(const struct segments *s)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;

	segment_name(s->number, name);
	if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !is_same(&st, &s->file) ||
	    st.st_size != s->file.st_size)
		return KMS_E_AUDIT_IO;
	if (s->path != NULL && (stat(s->path, &st) != 0 || !is_same(&st, &s->dir)))
		return KMS_E_AUDIT_IO;
	return KMS_OK;
}

static kms_err write_piece(struct segments *s, const struct segment_write *w)
{
	TRY(open_segment(s, w));
	/* Never longer than it was made: that would be a hole in a file that somebody cut. */
	if (w->offset + w->bytes.n > (uint64_t)s->file.st_size)
		return KMS_E_AUDIT_CORRUPT;
	return blocks_write(s->blocks, s->fd, w->bytes, w->offset);
}

static kms_err flush(const struct segments *s)
{
	if (fdatasync(s->fd) != 0)
		return segment_errno();
	return check_still_there(s);
}

kms_err segments_write(struct segments *s, const struct segment_write *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		TRY(write_piece(s, &w[i]));
		/* A later segment on disk says that the earlier one is whole. */
		if (i + 1 == n || w[i + 1].number != w[i].number)
			TRY(flush(s));
	}
	return KMS_OK;
}
