/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of docs/examples, built and run as their readers would, with a toy keeper. */
#include <sys/wait.h>

#include "tests/unit/desk.h"

static int run(const struct desk *d, const char *program, const char *const *args)
{
	int status;

	pid_t child = fork();
	if (child == 0) {
		(void)setenv("KMS_SOCKET", d->fake.path, 1);
		(void)execl(program, program, args[0], args[1], args[2], args[3], (char *)NULL);
		_exit(99);
	}
	CHECK(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void save(const char *path, int from)
{
	struct bytes b = map(from);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n && close(fd) == 0);
	unmap(b);
}

static void the_examples_do_what_they_say(void **state)
{
	struct desk *d = *state;
	char wav[128], locked[128], part[128];
	const char *const record[] = { "rec", "1763", wav, locked, NULL };
	const char *const again[] = { "rec", "1763", wav, locked, NULL };
	const char *const play[] = { locked, "2", part, NULL };

	if (access(KMS_BUILD_DIR "/examples/recorder", X_OK) != 0)
		skip();
	(void)snprintf(wav, sizeof(wav), "%s/call.wav", d->fake.dir);
	(void)snprintf(locked, sizeof(locked), "%s/call.kms", d->fake.dir);
	(void)snprintf(part, sizeof(part), "%s/part.raw", d->fake.dir);
	save(wav, d->clear);
	kms_close(&d->c); /* the fake serves one at a time */
	assert_int_equal(run(d, KMS_BUILD_DIR "/examples/recorder", record), 0);
	/* It never writes over a recording. */
	assert_int_not_equal(run(d, KMS_BUILD_DIR "/examples/recorder", again), 0);
	assert_int_equal(run(d, KMS_BUILD_DIR "/examples/playback", play), 0);

	/* Two seconds of 8,000 samples of 2 bytes, behind a header of 44. */
	int fd = open(part, O_RDONLY | O_CLOEXEC);
	struct bytes got = map(fd), all = map(d->clear);
	size_t at = 44 + 2 * 16000;
	assert_int_equal(got.n, SIZE - at);
	assert_memory_equal(got.p, all.p + at, got.n);
	unmap(got);
	unmap(all);
	assert_int_equal(close(fd) + unlink(wav) + unlink(locked) + unlink(part), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_examples_do_what_they_say, desk_start, desk_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
