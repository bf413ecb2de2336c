/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what must end the process or speak to stderr: catches the signal of one
 * expression, and collects what was written to stderr meanwhile. One thread only.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf trap_place;

static inline void trap_jump(int signal_number)
{
	siglongjmp(trap_place, signal_number);
}

/* True if `expression` raised `signal_number`. Owners inside of it are not freed then. */
#define TRAPS(signal_number, expression)                                                           \
	__extension__({                                                                            \
		struct sigaction trap_new_ = { .sa_handler = trap_jump };                          \
		struct sigaction trap_old_;                                                        \
		volatile bool trap_hit_ = true;                                                    \
		(void)sigaction((signal_number), &trap_new_, &trap_old_);                          \
		if (sigsetjmp(trap_place, 1) == 0) {                                               \
			__typeof__(expression) trap_value_ = (expression);                         \
			(void)trap_value_;                                                         \
			trap_hit_ = false;                                                         \
		}                                                                                  \
		(void)sigaction((signal_number), &trap_old_, NULL);                                \
		trap_hit_;                                                                         \
	})

/* stderr goes to a file in memory from start to end. */
struct capture {
	int file, stderr_copy;
};

static inline struct capture capture_start(void)
{
	struct capture c = { .file = memfd_create("stderr", 0), .stderr_copy = dup(STDERR_FILENO) };

	(void)dup2(c.file, STDERR_FILENO);
	return c;
}

/* Puts stderr back. Up to n - 1 bytes of what was written, terminated. */
static inline size_t capture_end(struct capture *c, char *out, size_t n)
{
	(void)dup2(c->stderr_copy, STDERR_FILENO);
	ssize_t got = pread(c->file, out, n - 1, 0);

	(void)close(c->file);
	(void)close(c->stderr_copy);
	out[got < 0 ? 0 : got] = '\0';
	return got < 0 ? 0 : (size_t)got;
}
