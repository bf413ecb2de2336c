/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth file: what is taken, and everything that is refused: its kind, its mode, its owner, its
 * access list, its length, its letters.
 */
#include "kms/seal/auth.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "kms/crypto/hash.h"

enum {
	SECRETS = 4,
	PATH_ROOM = 96,
	STRANGER = 54321,
	TAKEN = 10, /* exit status of the other user */
	REFUSED = 11
};

static const char line[] = "0123456789abcdef0123456789abcdef";
static const char acl_name[] = "system.posix_acl_access";

/* An access list as no kernel gives it, instead of the file's. */
static struct bytes acl_instead;

__attribute__((visibility("hidden"))) ssize_t fgetxattr(
    int fd, const char *name, void *value, size_t n)
{
	if (acl_instead.p == NULL)
		return syscall(SYS_fgetxattr, fd, name, value, n);
	memcpy(value, acl_instead.p, acl_instead.n);
	return (ssize_t)acl_instead.n;
}

struct place {
	char dir[PATH_ROOM / 2], path[PATH_ROOM], other[PATH_ROOM];
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/kmsauthXXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/auth", p->dir);
	(void)snprintf(p->other, sizeof(p->other), "%s/other", p->dir);
	*state = p;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	(void)nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void put_file(const char *path, const void *content, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, n), n);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(close(fd), 0);
}

static void put_line(const struct place *p)
{
	put_file(p->path, line, strlen(line));
}

static void is_refused(const char *path)
{
	struct secret *s = NULL;

	assert_int_equal(auth_read(path, &s), KMS_E_AUTH_FILE);
	assert_null(s);
	assert_int_equal(secret_info().used, 0);
}

static void is_taken_as(const char *path, const char *text, size_t n)
{
	AUTO(secret_free) struct secret *s = NULL;
	const struct bytes part = bytes_of(text, n);
	uint8_t expected[SHA256_LEN];

	assert_int_equal(auth_read(path, &s), KMS_OK);
	assert_int_equal(hash_sha256(&part, 1, expected), KMS_OK);
	assert_true(secret_equal(s, bytes_of(expected, sizeof(expected))));
}

/* ---- Content ------------------------------------------------------------------------------- */

static void a_line_is_taken(void **state)
{
	const struct place *p = *state;
	char with_end[sizeof(line) + 1];

	put_line(p);
	is_taken_as(p->path, line, strlen(line));
	/* Its end is no part of it. */
	(void)snprintf(with_end, sizeof(with_end), "%s\n", line);
	put_file(p->path, with_end, strlen(with_end));
	is_taken_as(p->path, line, strlen(line));
}

static void lengths_have_limits(void **state)
{
	const struct place *p = *state;
	char text[1100];

	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n <= 1030; n += n < 40 || n > 1000 ? 1 : 25) {
		put_file(p->path, text, n);
		if (n >= 32 && n <= 1024)
			is_taken_as(p->path, text, n);
		else
			is_refused(p->path);
	}
	/* The end of the line counts for nothing. */
	text[1024] = '\n';
	put_file(p->path, text, 1025);
	is_taken_as(p->path, text, 1024);
	text[31] = '\n';
	put_file(p->path, text, 32);
	is_refused(p->path);
	put_file(p->path, "\n", 1);
	is_refused(p->path);
}

static void control_characters_are_refused(void **state)
{
	const struct place *p = *state;

	for (unsigned c = 0; c < 256; c++) {
		char text[sizeof(line)];
		bool good = c >= ' ' && c != 0x7f;

		memcpy(text, line, sizeof(text));
		text[5] = (char)c;
		put_file(p->path, text, strlen(line));
		if (good)
			is_taken_as(p->path, text, strlen(line));
		else
			is_refused(p->path);
	}
}

/* A file from Windows would give another value than the same line from here. */
static void other_ends_are_refused(void **state)
{
	static const char *const ends[] = { "\r\n", "\r", "\n\n", "\n\r", "\nmore", "\n " };
	const struct place *p = *state;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char text[sizeof(line) + 8];
		(void)snprintf(text, sizeof(text), "%s%s", line, ends[i]);
		put_file(p->path, text, strlen(text));
		is_refused(p->path);
	}
}

/* ---- Kind ---------------------------------------------------------------------------------- */

static void what_is_no_file_is_refused(void **state)
{
	const struct place *p = *state;

	is_refused(p->path);
	is_refused(p->dir);
	is_refused("");
	is_refused("/dev/zero");
	/* Ours, regular and closed to others; but its first byte can't be read. */
	is_refused("/proc/self/mem");
	/* And this one says that it has no bytes, and gives many. */
	is_refused("/proc/self/mountstats");
	put_line(p);
	assert_int_equal(symlink(p->path, p->other), 0);
	is_refused(p->other);
}

/* A pipe in its place must not hold us up. */
static void a_pipe_is_refused_at_once(void **state)
{
	const struct place *p = *state;

	assert_int_equal(mkfifo(p->path, 0600), 0);
	is_refused(p->path);
}

/* ---- Mode, owner, access list -------------------------------------------------------------- */

static void modes_are_judged(void **state)
{
	const struct place *p = *state;

	put_line(p);
	for (mode_t mode = 0; mode <= 0777; mode++) {
		if ((mode & 0400) == 0)
			continue;
		assert_int_equal(chmod(p->path, mode), 0);
		if ((mode & 0077) == 0)
			is_taken_as(p->path, line, strlen(line));
		else
			is_refused(p->path);
	}
}

static void another_owner_is_refused(void **state)
{
	const struct place *p = *state;

	if (geteuid() != 0)
		skip();
	put_line(p);
	assert_int_equal(chown(p->path, STRANGER, STRANGER), 0);
	is_refused(p->path);
}

/* This program again, because a child of a fork has no secrets: reads the file as another user. */
static int as_stranger(const char *path)
{
	AUTO(secret_free) struct secret *s = NULL;

	if (setgid(STRANGER) != 0 || setuid(STRANGER) != 0)
		return EXIT_FAILURE;
	kms_err e = auth_read(path, &s);
	return e == KMS_OK ? TAKEN : e == KMS_E_AUTH_FILE ? REFUSED : EXIT_FAILURE;
}

static int tried_as_stranger(const char *path)
{
	char self[] = "/proc/self/exe";
	char *copy = strdup(path);
	char *argv[] = { self, copy, NULL };
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)execv(self, argv);
		_exit(EXIT_FAILURE);
	}
	free(copy);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* linux/posix_acl_xattr.h: version 4 bytes, then for each entry tag 2, rights 2, id 4. */
struct entry {
	uint16_t tag, rights;
	uint32_t id;
};

enum {
	OWNER = 0x01,
	USER = 0x02,
	OWNING_GROUP = 0x04,
	GROUP = 0x08,
	MASK = 0x10,
	OTHERS = 0x20,
	NO_ID = -1
};

/* False where the file system has no access lists. */
static bool set_acl(const char *path, const struct entry *entries, size_t n)
{
	AUTO(buf_done) struct buf b = { 0 };

	assert_int_equal(buf_put_u32(&b, 2), KMS_OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(buf_put_u16(&b, entries[i].tag), KMS_OK);
		assert_int_equal(buf_put_u16(&b, entries[i].rights), KMS_OK);
		assert_int_equal(buf_put_u32(&b, entries[i].id), KMS_OK);
	}
	return setxattr(path, acl_name, b.p, b.n, 0) == 0;
}

/* As systemd opens a credential to the user of a service. */
static void a_credential_is_taken(void **state)
{
	const struct place *p = *state;
	const struct entry credential[] = {
		{ OWNER, 4, (uint32_t)NO_ID },
		{ USER, 4, STRANGER },
		{ OWNING_GROUP, 0, (uint32_t)NO_ID },
		{ MASK, 4, (uint32_t)NO_ID },
		{ OTHERS, 0, (uint32_t)NO_ID },
	};

	put_line(p);
	if (geteuid() != 0 || !set_acl(p->path, credential, ARRAY_LEN(credential)))
		skip();
	assert_int_equal(chmod(p->dir, 0711), 0);
	assert_int_equal(tried_as_stranger(p->path), TAKEN);
	/* For us it is somebody else's too. */
	is_refused(p->path);
}

static void roots_closed_file_is_not_a_strangers(void **state)
{
	const struct place *p = *state;

	if (geteuid() != 0)
		skip();
	put_line(p);
	assert_int_equal(chmod(p->dir, 0711), 0);
	assert_int_equal(tried_as_stranger(p->path), REFUSED);
}

static void open_access_lists_are_refused(void **state)
{
	static const struct entry lists[][6] = {
		/* a user, a group, the owning group */
		{ { OWNER, 6, (uint32_t)NO_ID }, { USER, 4, STRANGER },
		    { OWNING_GROUP, 0, (uint32_t)NO_ID }, { MASK, 4, (uint32_t)NO_ID },
		    { OTHERS, 0, (uint32_t)NO_ID } },
		{ { OWNER, 6, (uint32_t)NO_ID }, { OWNING_GROUP, 0, (uint32_t)NO_ID },
		    { GROUP, 4, STRANGER }, { MASK, 4, (uint32_t)NO_ID },
		    { OTHERS, 0, (uint32_t)NO_ID } },
		{ { OWNER, 6, (uint32_t)NO_ID }, { USER, 4, 0 },
		    { OWNING_GROUP, 4, (uint32_t)NO_ID }, { MASK, 4, (uint32_t)NO_ID },
		    { OTHERS, 0, (uint32_t)NO_ID } },
	};
	const struct place *p = *state;

	put_line(p);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (!set_acl(p->path, lists[i], 5))
			skip();
		is_refused(p->path);
	}
}

static void closed_access_lists_are_taken(void **state)
{
	const struct place *p = *state;
	const struct entry closed[] = {
		{ OWNER, 6, (uint32_t)NO_ID },
		{ USER, 4, 0 },
		{ USER, 0, STRANGER },
		{ OWNING_GROUP, 0, (uint32_t)NO_ID },
		{ GROUP, 0, STRANGER },
		{ MASK, 6, (uint32_t)NO_ID },
		{ OTHERS, 0, (uint32_t)NO_ID },
	};

	put_line(p);
	if (!set_acl(p->path, closed, ARRAY_LEN(closed)))
		skip();
	is_taken_as(p->path, line, strlen(line));
}

/* A list too long to be read at once is not one that we can judge. */
static void long_access_lists_are_refused(void **state)
{
	const struct place *p = *state;
	struct entry long_list[140] = { { OWNER, 6, (uint32_t)NO_ID } };
	size_t n = 1;

	for (; n < ARRAY_LEN(long_list) - 3; n++)
		long_list[n] = (struct entry){ USER, 0, (uint32_t)(STRANGER + n) };
	long_list[n++] = (struct entry){ OWNING_GROUP, 0, (uint32_t)NO_ID };
	long_list[n++] = (struct entry){ MASK, 4, (uint32_t)NO_ID };
	long_list[n++] = (struct entry){ OTHERS, 0, (uint32_t)NO_ID };
	put_line(p);
	if (!set_acl(p->path, long_list, n))
		skip();
	is_refused(p->path);
}

static void unknown_access_lists_are_refused(void **state)
{
	static const struct {
		const char *list;
		size_t n;
		bool good;
	} lists[] = {
		{ "\x02\0\0\0"
		  "\x01\0\x06\0\xff\xff\xff\xff",
		    12, true },
		{ "\x02\0\0\0", 4, true },
		{ "\x01\0\0\0"
		  "\x01\0\x06\0\xff\xff\xff\xff",
		    12, false }, /* a version */
		{ "\x03\0\0\0"
		  "\x01\0\x06\0\xff\xff\xff\xff",
		    12, false },
		{ "\x02\0\0\0"
		  "\x40\0\x06\0\xff\xff\xff\xff",
		    12, false }, /* a tag */
		{ "\x02\0\0\0"
		  "\x40\0\0\0\xff\xff\xff\xff",
		    12, false },
		{ "\x02\0\0\0"
		  "\x01\0\x06\0\xff\xff\xff",
		    11, false }, /* cut */
		{ "\x02\0\0\0"
		  "\x01",
		    5, false },
		{ "\x02\0\0", 3, false },
	};
	const struct place *p = *state;

	put_line(p);
	assert_int_equal(chmod(p->path, 0640), 0);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		acl_instead = bytes_of(lists[i].list, lists[i].n);
		if (lists[i].good)
			is_taken_as(p->path, line, strlen(line));
		else
			is_refused(p->path);
	}
	acl_instead = bytes_of(NULL, 0);
}

#define PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PLACE(a_line_is_taken),
		PLACE(lengths_have_limits),
		PLACE(control_characters_are_refused),
		PLACE(other_ends_are_refused),
		PLACE(what_is_no_file_is_refused),
		PLACE(a_pipe_is_refused_at_once),
		PLACE(modes_are_judged),
		PLACE(another_owner_is_refused),
		PLACE(a_credential_is_taken),
		PLACE(roots_closed_file_is_not_a_strangers),
		PLACE(open_access_lists_are_refused),
		PLACE(closed_access_lists_are_taken),
		PLACE(long_access_lists_are_refused),
		PLACE(unknown_access_lists_are_refused),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	if (argc > 1)
		return as_stranger(argv[1]);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
