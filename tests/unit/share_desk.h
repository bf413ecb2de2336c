/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what kmsctl does with shares: stdin and stdout of the test's own, put back after it,
 * and a terminal with a person at it.
 */
#pragma once

#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/folder.h"
#include "tests/unit/shares_vector.h"

enum {
	LINE_LEN = 2 * FOLDER_PATH + 32
};

struct desk {
	struct folder folder;
	int in, out; /* the real ones */
};

static inline void redirect(const char *path, int flags, int to)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && dup2(fd, to) == to);
	(void)close(fd);
}

static inline int set_up(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));
	char path[2 * FOLDER_PATH];

	CHECK(d != NULL);
	folder_make(&d->folder);
	d->in = dup(STDIN_FILENO);
	(void)fflush(stdout);
	d->out = dup(STDOUT_FILENO);
	folder_file(&d->folder, "stdout", path);
	redirect("/dev/null", O_RDONLY, STDIN_FILENO);
	redirect(path, O_RDWR | O_CREAT, STDOUT_FILENO);
	*state = d;
	return 0;
}

static inline int tear_down(void **state)
{
	struct desk *d = *state;

	CHECK(dup2(d->in, STDIN_FILENO) == STDIN_FILENO);
	CHECK(dup2(d->out, STDOUT_FILENO) == STDOUT_FILENO);
	(void)close(d->in);
	(void)close(d->out);
	folder_done(&d->folder);
	free(d);
	return 0;
}

/* What has been written to stdout. */
static inline size_t written(const struct desk *d)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	char path[2 * FOLDER_PATH];

	folder_file(&d->folder, "stdout", path);
	file_read(path, &text);
	return text.n;
}

static inline void assert_share_file(const char folder[2 * FOLDER_PATH], int i)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	char path[LINE_LEN];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/share-%d-of-3", folder, i + 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	file_read(path, &text);
	assert_int_equal(text.n, strlen(vector_texts[i]) + 1);
	assert_memory_equal(text.p, vector_texts[i], text.n - 1);
	assert_int_equal(unlink(path), 0);
}

/* Gives the terminal what a person types whenever `question` has come, and keeps all it shows. */
static inline void play(int fd, const char *question, const char *typed, char *out, size_t size)
{
	size_t n = 0, answered = 0;

	for (;;) {
		ssize_t got = read(fd, out + n, size - n - 1);

		if (got <= 0)
			break;
		n += (size_t)got;
		out[n] = '\0';
		const char *asked = strstr(out + answered, question);
		if (asked == NULL)
			continue;
		answered = (size_t)(asked - out) + strlen(question);
		CHECK(write(fd, typed, strlen(typed)) == (ssize_t)strlen(typed));
	}
	out[n] = '\0';
}

/* Runs `act` at a terminal of its own; its exit status. */
static inline int at_terminal(
    int (*act)(void), const char *question, const char *typed, char *out, size_t size)
{
	int fd, status;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(act());
	play(fd, question, typed, out, size);
	CHECK(waitpid(pid, &status, 0) == pid);
	(void)close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define AT_DESK(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
