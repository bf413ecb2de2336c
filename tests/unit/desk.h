/* SPDX-License-Identifier: Apache-2.0 */
/* For tests with whole files: a toy keeper, a connection to it, and three files in memory. */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 20000,
	SIZE = 300001
};

static const struct kms_pair pairs[] = { { "call", { (const uint8_t *)"42", 2 } },
	{ "agent", { (const uint8_t *)"seven", 5 } } };
static const struct kms_context context = { pairs, 2 };
static const struct kms_pair other_pairs[] = { { "call", { (const uint8_t *)"43", 2 } },
	{ "agent", { (const uint8_t *)"seven", 5 } } };
static const struct kms_context other_context = { other_pairs, 2 };

struct desk {
	struct fake fake;
	struct toy toy;
	struct kms *c;
	int clear, locked, back;
};

static inline int memory_fd(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static inline int desk_start(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));
	uint8_t block[1000];

	CHECK(d != NULL);
	d->toy = (struct toy){ .version = 1, .next_key = 1 };
	fake_start(&d->fake, toy_serve, &d->toy);
	d->c = fake_client(&d->fake, DEADLINE);
	d->clear = memory_fd();
	d->locked = memory_fd();
	d->back = memory_fd();
	for (size_t at = 0; at < SIZE; at += sizeof(block)) {
		size_t n = SIZE - at < sizeof(block) ? SIZE - at : sizeof(block);
		memset(block, (int)(at / sizeof(block)), sizeof(block));
		CHECK(write(d->clear, block, n) == (ssize_t)n);
	}
	CHECK(lseek(d->clear, 0, SEEK_SET) == 0);
	*state = d;
	return 0;
}

static inline int desk_stop(void **state)
{
	struct desk *d = *state;

	kms_close(&d->c);
	fake_stop(&d->fake);
	CHECK(close(d->clear) == 0 && close(d->locked) == 0 && close(d->back) == 0);
	free(d);
	return 0;
}

static inline struct bytes map(int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	void *p = mmap(NULL, (size_t)n + 1, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(n >= 0 && p != MAP_FAILED);
	return bytes_of(p, (size_t)n);
}

static inline void unmap(struct bytes b)
{
	void *p;

	memcpy(&p, &b.p, sizeof(p));
	CHECK(munmap(p, b.n + 1) == 0);
}

static inline void assert_same(int a, int b)
{
	struct bytes x = map(a), y = map(b);

	assert_int_equal(x.n, y.n);
	assert_memory_equal(x.p, y.p, x.n);
	unmap(x);
	unmap(y);
}

static inline void rewind_fd(int fd)
{
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static inline void encrypt(struct desk *d, bool hide)
{
	rewind_fd(d->clear);
	assert_int_equal(ftruncate(d->locked, 0), 0);
	rewind_fd(d->locked);
	assert_int_equal(
	    kms_encrypt_fd(d->c, "rec", &context, hide, d->clear, d->locked), KMS_CODE_OK);
	rewind_fd(d->locked);
}

static inline enum kms_code decrypt(struct desk *d, const struct kms_context *with)
{
	rewind_fd(d->locked);
	assert_int_equal(ftruncate(d->back, 0), 0);
	rewind_fd(d->back);
	return kms_decrypt_fd(d->c, with, d->locked, d->back);
}
