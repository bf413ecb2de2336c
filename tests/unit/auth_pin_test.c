/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token's PIN, from a file or from a descriptor: what is taken, and everything that is refused. How
 * a file is judged is auth_test.c's story, and only touched here.
 */
#include "kms/seal/auth.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SECRETS = 4,
	PATH_ROOM = 96
};

struct place {
	char dir[PATH_ROOM / 2], path[PATH_ROOM], other[PATH_ROOM];
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/kmspinXXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/pin", p->dir);
	(void)snprintf(p->other, sizeof(p->other), "%s/other", p->dir);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	(void)unlink(p->path);
	(void)unlink(p->other);
	(void)rmdir(p->dir);
	assert_int_equal(secret_info().used, 0);
	free(p);
	return 0;
}

static void write_pin(const struct place *p, const char *text)
{
	int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void pin_is(const char *path, const char *wanted)
{
	AUTO(secret_free) struct secret *pin = NULL;

	assert_int_equal(auth_read_pin(path, &pin), KMS_OK);
	assert_true(secret_equal(pin, bytes_of_str(wanted)));
}

static void pin_is_refused(const char *path)
{
	struct secret *pin = NULL;

	assert_int_equal(auth_read_pin(path, &pin), KMS_E_PIN_FILE);
	assert_null(pin);
}

static void a_pin_is_taken_as_it_is(void **state)
{
	const struct place *p = *state;
	char longest[AUTH_PIN_MAX + 1];

	memset(longest, '7', AUTH_PIN_MAX);
	longest[AUTH_PIN_MAX] = '\0';
	write_pin(p, "1234");
	pin_is(p->path, "1234");
	write_pin(p, "crypto user:pass~word!\n");
	pin_is(p->path, "crypto user:pass~word!");
	write_pin(p, longest);
	pin_is(p->path, longest);
}

static void other_pins_are_refused(void **state)
{
	static const char *const bad[] = { "", "\n", "123", "123\n", "12345\n\n", "12\n34",
		"12\t34", "12345\x7f", "12345\x80", "\xc3\xa4\xc3\xa4\xc3\xa4" };
	const struct place *p = *state;
	char text[AUTH_PIN_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_pin(p, bad[i]);
		pin_is_refused(p->path);
	}
	memset(text, '7', AUTH_PIN_MAX + 1);
	text[AUTH_PIN_MAX + 1] = '\0';
	write_pin(p, text);
	pin_is_refused(p->path);
}

static void a_pins_file_is_judged_like_the_others(void **state)
{
	const struct place *p = *state;

	pin_is_refused(p->path);
	pin_is_refused(p->dir);
	write_pin(p, "1234");
	assert_int_equal(chmod(p->path, 0604), 0);
	pin_is_refused(p->path);
	assert_int_equal(chmod(p->path, 0640), 0);
	pin_is_refused(p->path);
	assert_int_equal(chmod(p->path, 0600), 0);
	assert_int_equal(symlink(p->path, p->other), 0);
	pin_is_refused(p->other);
	pin_is(p->path, "1234");
}

static void a_descriptor_is_read_again_and_again(void **state)
{
	(void)state;
	char name[PATH_ROOM];
	int fd = memfd_create("pin", 0);

	assert_int_equal(write(fd, "1234\n", 5), 5);
	(void)snprintf(name, sizeof(name), "fd:%d", fd);
	pin_is(name, "1234");
	pin_is(name, "1234");
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	(void)close(fd);
	pin_is_refused(name);
}

static void a_file_behind_a_descriptor_is_judged_too(void **state)
{
	const struct place *p = *state;
	char name[PATH_ROOM];

	write_pin(p, "1234");
	int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), "fd:%d", fd);
	pin_is(name, "1234");
	assert_int_equal(chmod(p->path, 0644), 0);
	pin_is_refused(name);
	/* Nobody finds it any more. */
	assert_int_equal(unlink(p->path), 0);
	pin_is(name, "1234");
	(void)close(fd);
}

static void other_descriptors_are_refused(void **state)
{
	static const char *const bad[] = { "fd:", "fd:x", "fd:1x", "fd:-1", "fd: 1", "fd:+1",
		"fd:99999999999999999999", "fd:65536", "FD:4" };
	(void)state;
	char name[PATH_ROOM];
	int pair[2];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		pin_is_refused(bad[i]);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "1234\n", 5), 5);
	(void)snprintf(name, sizeof(name), "fd:%d", pair[0]);
	pin_is_refused(name);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

#define PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACE(a_pin_is_taken_as_it_is),
		PLACE(other_pins_are_refused),
		PLACE(a_pins_file_is_judged_like_the_others),
		PLACE(a_descriptor_is_read_again_and_again),
		PLACE(a_file_behind_a_descriptor_is_judged_too),
		PLACE(other_descriptors_are_refused),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
