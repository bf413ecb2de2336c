/* SPDX-License-Identifier: Apache-2.0 */
/* See blocks.h. One aligned buffer: the beginning of the first block, then what is written. */
#include "kms/audit/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/segment_private.h"

enum {
	ROOM = 64 * BLOCK_LEN /* bytes of one write */
};

struct blocks {
	uint8_t *p;    /* ROOM bytes, aligned; p[0, known) is what stands in the file at `base` */
	uint64_t base; /* a multiple of BLOCK_LEN */
	size_t known;
};

kms_err blocks_new(struct blocks **out)
{
	AUTO(blocks_free) struct blocks *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return KMS_E_NO_MEMORY;
	b->p = aligned_alloc(BLOCK_LEN, ROOM);
	if (b->p == NULL)
		return KMS_E_NO_MEMORY;
	*out = MOVE(b);
	return KMS_OK;
}

void blocks_free(struct blocks **b)
{
	if (*b == NULL)
		return;
	/* Nothing secret: the same bytes stand in the log. */
	free((*b)->p);
	free(*b);
	*b = NULL;
}

void blocks_forget(struct blocks *b)
{
	b->known = 0;
}

static bool has_whole_blocks(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size % BLOCK_LEN == 0;
}

int blocks_open(int dir_fd, const char *name)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir_fd, name, flags | O_DIRECT);

	if (fd >= 0 && has_whole_blocks(fd))
		return fd;
	if (fd < 0 && errno != EINVAL)
		return -1;
	if (fd >= 0)
		(void)close(fd);
	return openat(dir_fd, name, flags);
}

static kms_err read_block(struct blocks *b, int fd, uint64_t base)
{
	ssize_t n = pread(fd, b->p, BLOCK_LEN, (off_t)base);

	b->known = 0;
	if (n < 0)
		return KMS_E_AUDIT_IO;
	b->base = base;
	b->known = (size_t)n;
	return KMS_OK;
}

kms_err blocks_first(struct blocks *b, int fd, struct bytes *out)
{
	TRY(read_block(b, fd, 0));
	*out = bytes_of(b->p, b->known);
	return KMS_OK;
}

/* The n bytes at the start of the buffer, whole blocks of them, at b->base. */
static kms_err put(const struct blocks *b, int fd, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pwrite(fd, b->p + done, n - done, (off_t)(b->base + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return segment_errno();
		/* A part of a block is written again with its whole. */
		size_t whole =
		    (size_t)r == n - done ? (size_t)r : (size_t)r / BLOCK_LEN * BLOCK_LEN;
		if (whole == 0)
			return KMS_E_AUDIT_IO;
		done += whole;
	}
	return KMS_OK;
}

/* The last block that was begun moves to the front: the next write may go on in it. */
static void keep_last(struct blocks *b, size_t n)
{
	size_t before = n / BLOCK_LEN * BLOCK_LEN;

	b->base += before;
	b->known = n - before;
	memmove(b->p, b->p + before, b->known);
}

/* As much of x as fits into the buffer; *out_n says how much that is. */
static kms_err write_part(struct blocks *b, int fd, struct bytes x, uint64_t at, size_t *out_n)
{
	uint64_t base = at / BLOCK_LEN * BLOCK_LEN;
	size_t begun = (size_t)(at - base);

	if (begun > 0 && (b->base != base || b->known < begun))
		TRY(read_block(b, fd, base));
	if (begun > 0 && b->known < begun)
		return KMS_E_AUDIT_CORRUPT; /* somebody cut the file */
	size_t n = x.n < ROOM - begun ? x.n : ROOM - begun;
	size_t end = begun + n;
	size_t padded = (end + BLOCK_LEN - 1) / BLOCK_LEN * BLOCK_LEN;

	b->base = base;
	b->known = 0; /* until it is written */
	memcpy(b->p + begun, x.p, n);
	memset(b->p + end, 0, padded - end);
	TRY(put(b, fd, padded));
	keep_last(b, end);
	*out_n = n;
	return KMS_OK;
}

kms_err blocks_write(struct blocks *b, int fd, struct bytes x, uint64_t at)
{
	while (x.n > 0) {
		size_t n = 0;
		TRY(write_part(b, fd, x, at, &n));
		x = bytes_of(x.p + n, x.n - n);
		at += n;
	}
	return KMS_OK;
}
