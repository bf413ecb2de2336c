/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of PINs: what is kept for kms-seal, what is closed, and what is refused at the start. */
#include "kms/keeper/pinfd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	LOW = 40,
	HIGH = 50,
	FIRST = 20
};

static struct config *config_with(const char *a, const char *b)
{
	struct config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->slot_n = 3;
	(void)snprintf(c->slots[0].params.token.pin_file, SEALER_PATH_MAX, "%s", a);
	(void)snprintf(c->slots[2].params.token.pin_file, SEALER_PATH_MAX, "%s", b);
	return c;
}

/* A memfd as descriptor fd. */
static void put_memfd(int fd)
{
	int made = memfd_create("pin", 0);

	assert_true(made >= 0 && dup2(made, fd) == fd);
	(void)close(made);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* In a child, since it closes nearly everything. Bits: LOW, one between, HIGH, one above are open. */
static int left_open(const struct config *c)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!pinfd_close_others(c, FIRST))
			_exit(0xff);
		_exit(is_open(LOW) | is_open(LOW + 1) << 1 | is_open(HIGH) << 2 |
		      is_open(HIGH + 1) << 3 | is_open(FIRST) << 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int set_up(void **state)
{
	(void)state;
	for (int fd = LOW; fd <= LOW + 1; fd++)
		put_memfd(fd);
	for (int fd = HIGH; fd <= HIGH + 1; fd++)
		put_memfd(fd);
	put_memfd(FIRST);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close_range(FIRST, HIGH + 1, 0);
	return 0;
}

static void only_these_stay(void **state)
{
	(void)state;
	AUTO(config_free) struct config *both = config_with("fd:50", "fd:40");
	AUTO(config_free) struct config *one = config_with("/path", "fd:50");
	AUTO(config_free) struct config *twice = config_with("fd:40", "fd:40");
	AUTO(config_free) struct config *first = config_with("fd:20", "");
	AUTO(config_free) struct config *none = config_with("/fd:40", "");

	assert_int_equal(left_open(both), 1 | 4);
	assert_int_equal(left_open(one), 4);
	assert_int_equal(left_open(twice), 1);
	assert_int_equal(left_open(first), 16);
	assert_int_equal(left_open(none), 0);
}

static void the_keeper_closes_them(void **state)
{
	(void)state;
	AUTO(config_free) struct config *c = config_with("fd:40", "fd:50");

	pinfd_close(c);
	assert_false(is_open(LOW) || is_open(HIGH));
	assert_true(is_open(LOW + 1) && is_open(HIGH + 1));
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	AUTO(config_free) struct config *good = config_with("fd:40", "fd:50");
	AUTO(config_free) struct config *missing = config_with("fd:40", "fd:45");
	AUTO(config_free) struct config *none = config_with("", "/p");
	int pair[2], fd = -1;

	assert_int_equal(pinfd_check(good, &fd), KMS_OK);
	assert_int_equal(pinfd_check(none, &fd), KMS_OK);
	assert_int_equal(fd, -1);
	assert_int_equal(pinfd_check(missing, &fd), KMS_E_BAD_CONFIG);
	assert_int_equal(fd, 45);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(dup2(pair[0], LOW), LOW);
	assert_int_equal(pinfd_check(good, &fd), KMS_E_BAD_CONFIG);
	assert_int_equal(fd, LOW);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

#define WITH_FDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FDS(only_these_stay),
		WITH_FDS(the_keeper_closes_them),
		WITH_FDS(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
