/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of kmsd that do not open: what an operator meets first must say what is wrong. And the
 * words that stand for codes (kms/client/error.c).
 */
#include "kms/client/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	SHORT = 60 /* ms; the test waits for it */
};

static void a_missing_socket_is_named(void **state)
{
	const struct kms_options o = { .socket = "/tmp/kms-no-such-folder/sock" };
	AUTO(kms_close) struct kms *c = NULL;

	(void)state;
	assert_int_equal(kms_connect(&o, &c), KMS_CODE_UNAVAILABLE);
	assert_non_null(c);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_UNAVAILABLE));
	assert_non_null(strstr(kms_last_error(c)->detail, o.socket));
	assert_int_equal(kms_seal(c), KMS_CODE_UNAVAILABLE);
	assert_int_equal(kms_fd(c), -1);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char path[200];
	const struct kms_options o = { .socket = path };
	AUTO(kms_close) struct kms *c = NULL;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(kms_connect(&o, &c), KMS_CODE_UNAVAILABLE);
}

/* In a child that is nobody: root may open every socket. */
static int try_as_nobody(const char *path, const char *says)
{
	const struct kms_options o = { .socket = path };
	AUTO(kms_close) struct kms *c = NULL;

	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 1;
	if (kms_connect(&o, &c) != KMS_CODE_UNAVAILABLE)
		return 2;
	if (strcmp(kms_last_error(c)->name, err_name(KMS_E_SOCKET_DENIED)) != 0)
		return 3;
	return strstr(kms_last_error(c)->detail, says) != NULL ? 0 : 4;
}

static void assert_denied(const char *path, const char *says)
{
	int status;

	pid_t child = fork();
	if (child == 0)
		_exit(try_as_nobody(path, says));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_closed_socket_names_its_group(void **state)
{
	struct fake f;

	(void)state;
	fake_listen(&f, 4);
	assert_int_equal(chmod(f.path, 0), 0);
	assert_int_equal(chmod(f.dir, 0755), 0);
	assert_denied(f.path, "open to its owner alone");
	/* Nor can the socket itself be seen here: the folder's group is named. */
	assert_int_equal(chmod(f.dir, 0), 0);
	assert_denied(f.path, "belongs to the group");
	assert_int_equal(chmod(f.dir, 0700), 0);
	fake_stop(&f);
}

/* Only root can give a socket to another group. */
static void the_group_to_join_is_named(void **state)
{
	struct fake f;
	struct group *first = getgrgid(1);
	char says[64];

	(void)state;
	if (geteuid() != 0 || first == NULL) {
		skip();
		return;
	}
	fake_listen(&f, 4);
	(void)snprintf(says, sizeof(says), "belongs to the group %s", first->gr_name);
	assert_int_equal(chmod(f.dir, 0755), 0);
	assert_int_equal(chown(f.path, 0, 1) + chmod(f.path, 0660), 0);
	assert_denied(f.path, says);
	/* A group without a name is told by its number. */
	assert_int_equal(chown(f.path, 0, 424242), 0);
	assert_denied(f.path, "belongs to the group 424242");
	/* Whoever is in no group that may write has nothing to join. */
	assert_int_equal(chmod(f.path, 0640), 0);
	assert_denied(f.path, "open to its owner alone");
	fake_stop(&f);
}

static void nobody_listening_is_told_from_a_closed_door(void **state)
{
	char detail[SOCKET_DETAIL_MAX] = "";
	struct fake f;
	int fd = -1;

	(void)state;
	fake_listen(&f, 4);
	assert_int_equal(socket_open(f.path, SHORT, detail, &fd), KMS_OK);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_string_equal(detail, "");
	assert_int_equal(close(fd) + close(f.listening), 0);
	fd = -1;
	assert_int_equal(socket_open(f.path, SHORT, detail, &fd), KMS_E_UNAVAILABLE);
	assert_non_null(strstr(detail, f.path));
	assert_non_null(strstr(detail, strerrordesc_np(ECONNREFUSED)));
	assert_int_equal(socket_open(f.dir, SHORT, detail, &fd), KMS_E_UNAVAILABLE);
	assert_int_equal(fd, -1);
	f.listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fake_stop(&f);
}

static void the_path_is_the_nearest_that_was_given(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("KMS_SOCKET"), 0);
	assert_string_equal(socket_choose(NULL), "/run/kms/kms.sock");
	assert_string_equal(socket_choose(""), "/run/kms/kms.sock");
	assert_int_equal(setenv("KMS_SOCKET", "", 1), 0);
	assert_string_equal(socket_choose(NULL), "/run/kms/kms.sock");
	assert_int_equal(setenv("KMS_SOCKET", "/tmp/a", 1), 0);
	assert_string_equal(socket_choose(NULL), "/tmp/a");
	assert_string_equal(socket_choose(""), "/tmp/a");
	assert_string_equal(socket_choose("/tmp/b"), "/tmp/b");
	assert_int_equal(unsetenv("KMS_SOCKET"), 0);
}

static void a_full_backlog_ends_at_the_deadline(void **state)
{
	struct fake f;

	(void)state;
	fake_listen(&f, 0);
	const struct kms_options o = { .socket = f.path, .deadline_ms = SHORT };
	AUTO(kms_close) struct kms *first = fake_client(&f, SHORT);
	AUTO(kms_close) struct kms *c = NULL;
	assert_true(kms_fd(first) >= 0);
	assert_int_equal(kms_connect(&o, &c), KMS_CODE_UNAVAILABLE);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_TIMED_OUT));
	fake_stop(&f);
}

static void words_for_people_are_never_missing(void **state)
{
	(void)state;
	assert_string_equal(kms_last_error(NULL)->name, err_name(KMS_E_NO_MEMORY));
	assert_string_equal(kms_code_name(KMS_CODE_INTEGRITY), "integrity");
	assert_string_equal(kms_code_name((enum kms_code)99), "internal");
	assert_int_equal(kms_exit_status(KMS_CODE_OK), 0);
	assert_int_equal(kms_exit_status(KMS_CODE_DENIED), 1);
	assert_int_equal(kms_exit_status(KMS_CODE_INTEGRITY), 5);
	assert_int_equal(kms_exit_status((enum kms_code)99), 7);
	for (int i = 1; i <= KMS_CODE_INTERNAL; i++)
		assert_in_range(kms_exit_status((enum kms_code)i), 1, 8);
	assert_true(kms_version()[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_socket_is_named),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(a_closed_socket_names_its_group),
		cmocka_unit_test(the_group_to_join_is_named),
		cmocka_unit_test(nobody_listening_is_told_from_a_closed_door),
		cmocka_unit_test(the_path_is_the_nearest_that_was_given),
		cmocka_unit_test(words_for_people_are_never_missing),
		cmocka_unit_test(a_full_backlog_ends_at_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
