/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's echo, off for one line and on again whatever happens. */
#include "kms/ctl/unseen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "kms/base/secret.h"

/* A handler can leave word in no other way. */
static volatile sig_atomic_t caught;

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static void on_signal(int number)
{
	caught = number;
}

struct signals_kept {
	struct sigaction actions[ARRAY_LEN(signals)];
	sigset_t mask;
};

/* Blocked but while we wait, so that none slips in between looking and waiting. */
static void catch_signals(struct signals_kept *old)
{
	struct sigaction catcher;
	sigset_t ours;

	memset(&catcher, 0, sizeof(catcher));
	catcher.sa_handler = on_signal;
	caught = 0;
	(void)sigemptyset(&ours);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaddset(&ours, signals[i]);
	(void)pthread_sigmask(SIG_BLOCK, &ours, &old->mask);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &catcher, &old->actions[i]);
}

static void release_signals(const struct signals_kept *old)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &old->actions[i], NULL);
	if (caught != 0)
		(void)raise((int)caught);
	(void)pthread_sigmask(SIG_SETMASK, &old->mask, NULL);
}

/* One byte, once there is one. False at the end, or when a signal came first. */
static bool read_byte(int fd, const sigset_t *usual, uint8_t *out)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (ppoll(&p, 1, NULL, usual) < 0) {
		if (errno != EINTR || caught != 0)
			return false;
	}
	return read(fd, out, 1) == 1;
}

/* Byte by byte: stdio would keep a copy. */
static kms_err read_line(int fd, const sigset_t *usual, size_t max, struct buf *out)
{
	size_t from = out->n;
	uint8_t x = 0;

	/* Room for all of it first, so that no copy is made. */
	TRY(buf_reserve(out, max));
	while (read_byte(fd, usual, &x)) {
		if (x == '\n')
			return KMS_OK;
		if (out->n - from < max)
			TRY(buf_put_u8(out, x));
		wipe(&x, sizeof(x));
	}
	return KMS_E_IO;
}

kms_err unseen_read(int fd, const char *question, size_t max, struct buf *out)
{
	struct termios usual, hidden;
	struct signals_kept old;

	if (tcgetattr(fd, &usual) != 0)
		return KMS_E_IO;
	hidden = usual;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	/* The line's end is still shown, so that people see that it was taken. */
	hidden.c_lflag |= ECHONL;
	catch_signals(&old);
	kms_err e = KMS_E_IO;
	if (tcsetattr(fd, TCSAFLUSH, &hidden) == 0) {
		(void)fputs(question, stderr);
		(void)fflush(stderr);
		e = read_line(fd, &old.mask, max, out);
		(void)tcsetattr(fd, TCSAFLUSH, &usual);
	}
	release_signals(&old);
	return e;
}
