/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two readers that share no code must agree: a log of ours, sealed and unsealed, over several
 * segments, read by tests/rig/audit.py. It prints size and root last.
 */
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/log_story.h"

enum {
	PYTHON_MISSING = 127,
	LINE_LEN = 300
};

/* What the script prints goes to a file; its exit status. */
static int run_reader(const char *folder, const char *into)
{
	static const char script[] = KMS_SOURCE_DIR "/tests/rig/audit.py";
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (freopen(into, "w", stdout) != NULL && freopen("/dev/null", "w", stderr) != NULL)
			(void)execlp("python3", "python3", "-B", script, folder, (char *)NULL);
		_exit(PYTHON_MISSING);
	}
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) == PYTHON_MISSING) {
		print_message("skipped: there is no python3\n");
		skip();
	}
	return WEXITSTATUS(status);
}

static void last_line(const char *path, char out[static LINE_LEN], size_t *lines)
{
	char line[LINE_LEN * 400]; /* a batch's items are long */
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	*lines = 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strchr(line, '\n') != NULL)
			(*lines)++;
		(void)snprintf(out, LINE_LEN, "%.*s", LINE_LEN - 1, line);
	}
	(void)fclose(f);
}

static void both_readers_agree(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open(&d);
	char out[LOG_PATH_MAX + 8], got[LINE_LEN] = "", want[LINE_LEN];
	uint8_t root[SHA256_LEN];
	uint64_t n = 0;
	size_t lines = 0;

	story_group(&s, 3);
	story_unseal(&s);
	story_group(&s, 4);
	story_append_large(&s, 40);
	story_group(&s, 1);
	assert_int_equal(trail_root(s.trail, &n, root), KMS_OK);
	assert_int_equal(n, 48);

	(void)snprintf(out, sizeof(out), "%s/out", d.path);
	assert_int_equal(run_reader(d.path, out), 0);
	last_line(out, got, &lines);
	int at = snprintf(want, sizeof(want), "{\"size\": 48, \"root\": \"");
	for (size_t i = 0; i < sizeof(root); i++)
		at += snprintf(want + at, sizeof(want) - (size_t)at, "%02x", root[i]);
	(void)snprintf(want + at, sizeof(want) - (size_t)at, "\"}\n");
	assert_string_equal(got, want);
	assert_true(lines >= n + 1);
}

static void both_readers_see_a_change(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	char out[LOG_PATH_MAX + 8];

	(void)snprintf(out, sizeof(out), "%s/out", d.path);
	story_group(&s, 3);
	story_group(&s, 3);
	AUTO(image_done) struct image i = log_read(&d, 0);
	for (size_t at = 0; at < image_used(&i) - 100; at += 83) {
		uint8_t x = i.p[at] ^ 1;
		log_patch(&d, 0, at, bytes_of(&x, 1));
		assert_int_not_equal(story_recover(&d), KMS_OK);
		assert_int_not_equal(run_reader(d.path, out), 0);
		log_patch(&d, 0, at, bytes_of(&i.p[at], 1));
	}
	assert_int_equal(run_reader(d.path, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_readers_agree),
		cmocka_unit_test(both_readers_see_a_change),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
