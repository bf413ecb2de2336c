/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent: waits for signals and for its keeper's wishes. Everything it does for the keeper is
 * in answer_keeper; everything it does when a child ends is in reap.
 */
#include "kms/keeper/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "kms/base/clock.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/link.h"
#include "kms/keeper/listen.h"
#include "kms/keeper/pinfd.h"
#include "kms/keeper/sandbox.h"

enum {
	RESTARTS_MAX = 5,                 /* keepers that may die … */
	RESTART_WINDOW_US = 60 * 1000000, /* … within this time, before we give up */
	HELPER_FD = 3                     /* where kms-seal finds its socket */
};

struct parent {
	struct config config; /* as read last, in what may change */
	int listen_fd, signal_fd, link_fd;
	pid_t keeper, helper;
	unsigned starts;
	uint64_t deaths[RESTARTS_MAX]; /* when the last ones died, a ring */
	bool stopping, ended;
	int status;
};

static kms_err block_signals(int *out_fd)
{
	sigset_t set;
	(void)sigemptyset(&set);
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaddset(&set, signals[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return KMS_E_IO;
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return KMS_E_IO;
	*out_fd = fd;
	return KMS_OK;
}

static void unblock_signals(void)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* The child's half of start_keeper. */
static _Noreturn void become_keeper(struct parent *p, int link_fd, pid_t parent_pid)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent_pid)
		_exit(EXIT_FAILURE);
	(void)close(p->signal_fd);
	pinfd_close(&p->config);
	unblock_signals();
	const struct keeper_start start = { .config = &p->config,
		.listen_fd = p->listen_fd,
		.link_fd = link_fd,
		.starts = p->starts };
	exit(keeper_run(&start)); /* NOLINT(concurrency-mt-unsafe) */
}

static kms_err start_keeper(struct parent *p)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return KMS_E_IO;
	p->starts++;
	pid_t self = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		become_keeper(p, pair[1], self);
	}
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return KMS_E_IO;
	}
	p->keeper = pid;
	p->link_fd = pair[0];
	return KMS_OK;
}

static void close_link(struct parent *p)
{
	if (p->link_fd >= 0)
		(void)close(p->link_fd);
	p->link_fd = -1;
}

static void kill_helper(struct parent *p)
{
	if (p->helper > 0)
		(void)kill(p->helper, SIGKILL);
}

/* The child's half of start_helper: nothing but one socket, stderr and PINs on descriptors goes along. */
static _Noreturn void become_helper(const struct parent *p, int fd)
{
	const char *path = p->config.helper;
	char *const none[] = { NULL }; /* no LD_, no TSS2_, no way to talk to systemd */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	unblock_signals();
	if (fd == HELPER_FD)
		(void)fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, HELPER_FD) < 0)
		_exit(EXIT_FAILURE);
	if (pinfd_close_others(&p->config, HELPER_FD + 1))
		(void)execle(path, path, (char *)NULL, none);
	_exit(127);
}

static kms_err start_helper(struct parent *p, int *out_fd)
{
	int pair[2];
	/* One that hangs in a device may take long to die: it is reaped whenever it does. */
	kill_helper(p);
	p->helper = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return KMS_E_IO;
	pid_t pid = fork();
	if (pid == 0)
		become_helper(p, pair[1]);
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return KMS_E_HARDWARE_HELPER;
	}
	p->helper = pid;
	*out_fd = pair[0];
	return KMS_OK;
}

static void give_helper(struct parent *p, uint64_t number)
{
	int fd = -1;
	struct link_message m = { .word = LINK_HELPER_FAILED, .number = number };
	if (start_helper(p, &fd) == KMS_OK)
		m.word = LINK_HELPER_STARTED;
	if (link_send(p->link_fd, &m, fd) != KMS_OK)
		kill_helper(p);
	if (fd >= 0)
		(void)close(fd);
}

static void answer_keeper(struct parent *p)
{
	struct link_message m;
	int attached = -1;
	kms_err e = link_receive(p->link_fd, &m, &attached);
	if (attached >= 0)
		(void)close(attached);
	if (e == KMS_E_CONNECTION_LOST)
		close_link(p);
	if (e != KMS_OK)
		return;
	switch ((enum link_word)m.word) {
	case LINK_HELPER_START: give_helper(p, m.number); break;
	case LINK_HELPER_KILL: kill_helper(p); break;
	case LINK_STATE:
		(void)sd_notifyf(0, "READY=1\nSTATUS=%s\nMAINPID=%ld", m.text, (long)getpid());
		break;
	case LINK_HELPER_STARTED:
	case LINK_HELPER_FAILED:
	case LINK_CONFIG: break;
	}
}

/* True while the keeper has not died too often lately. */
static bool may_restart(struct parent *p)
{
	uint64_t now = clock_mono_us();
	uint64_t *oldest = &p->deaths[p->starts % RESTARTS_MAX];
	bool too_often = *oldest != 0 && now - *oldest < RESTART_WINDOW_US;
	*oldest = now;
	return !too_often;
}

static void end(struct parent *p, int status)
{
	p->ended = true;
	p->status = status;
}

static void keeper_ended(struct parent *p, int status)
{
	p->keeper = 0;
	close_link(p);
	kill_helper(p);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	if (p->stopping || (WIFEXITED(status) && code == 0)) {
		end(p, code);
		return;
	}
	LOG(LOG_LEVEL_ERROR, "keeper-died", "The keeper ended unexpectedly.",
	    log_i64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	    log_i64("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
	if (code == EXIT_KEEPER_CONFIG || !may_restart(p) || start_keeper(p) != KMS_OK)
		end(p, code == 0 ? EXIT_FAILURE : code);
}

static void reap(struct parent *p)
{
	for (;;) {
		int status = 0;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		if (pid == p->helper)
			p->helper = 0;
		if (pid == p->keeper)
			keeper_ended(p, status);
	}
}

/* A configuration that is not valid changes nothing. Most of it needs a restart. */
static void reload(struct parent *p)
{
	AUTO(config_free) struct config *fresh = calloc(1, sizeof(*fresh));
	char error[CONFIG_ERROR_MAX] = "";
	kms_err e = fresh == NULL ? KMS_E_NO_MEMORY : config_read(p->config.file, fresh, error);
	if (e != KMS_OK) {
		LOG(LOG_LEVEL_ERROR, "config-invalid", "The configuration was not read again.",
		    log_str("reason", error), log_err(e));
		return;
	}
	const struct link_message m = { .word = LINK_CONFIG, .live = config_live(fresh) };
	p->config.log_level = fresh->log_level;
	p->config.max_connections = fresh->max_connections;
	p->config.frame_timeout_us = fresh->frame_timeout_us;
	log_set_level(fresh->log_level);
	if (p->link_fd < 0 || link_send(p->link_fd, &m, -1) != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "link", "The keeper can't be told of the configuration.",
		    log_str("file", fresh->file));
}

static void stop_keeper(struct parent *p)
{
	p->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	if (p->keeper > 0)
		(void)kill(p->keeper, SIGTERM);
	else
		end(p, EXIT_SUCCESS);
}

static void take_signal(struct parent *p)
{
	struct signalfd_siginfo s;
	while (read(p->signal_fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		switch (s.ssi_signo) {
		case SIGCHLD: reap(p); break;
		case SIGHUP: reload(p); break;
		default: stop_keeper(p); break;
		}
	}
}

static int serve(struct parent *p)
{
	kms_err e = start_keeper(p);
	if (e != KMS_OK)
		return EXIT_FAILURE;
	while (!p->ended) {
		struct pollfd fds[] = { { .fd = p->signal_fd, .events = POLLIN },
			{ .fd = p->link_fd, .events = POLLIN } };
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if ((fds[1].revents & POLLIN) != 0)
			answer_keeper(p);
		if ((fds[0].revents & POLLIN) != 0)
			take_signal(p);
	}
	return p->status;
}

int parent_run(const struct config *config)
{
	/* It brings what the keeper gives up; nobody of its user may look into it. */
	sandbox_no_traces();
	int fd = -1;
	if (pinfd_check(config, &fd) != KMS_OK) {
		LOG(LOG_LEVEL_ERROR, "pin-missing",
		    "A PIN's descriptor is not there or is no file.", log_i64("fd", fd));
		return EXIT_FAILURE;
	}
	struct parent p = { .config = *config, .listen_fd = -1, .signal_fd = -1, .link_fd = -1 };
	if (listen_open(config, &p.listen_fd) != KMS_OK)
		return EXIT_FAILURE;
	if (block_signals(&p.signal_fd) != KMS_OK)
		return EXIT_FAILURE;
	return serve(&p);
}
