/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, watching and clearing away the kmsd of a rehearsal. */
#include "kms/ctl/throwaway.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kms/base/clock.h"
#include "kms/ctl/file.h"
#include "kms/ctl/rehearse_conf.h"

enum {
	START_US = 30 * 1000000, /* until it must answer */
	STOP_US = 15 * 1000000,  /* until it is killed */
	PAUSE_NS = 10 * 1000000,
	LOG_MAX = 1 << 20,
	FOLDERS = 16 /* that nftw may have open */
};

/* A handler can leave word in no other way. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

/* The folder must be cleared away first. */
static void catch_signals(void)
{
	struct sigaction catcher;

	memset(&catcher, 0, sizeof(catcher));
	catcher.sa_handler = on_signal;
	catcher.sa_flags = SA_RESTART;
	interrupted = 0;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &catcher, NULL);
}

kms_err throwaway_go_on(struct ctl *c)
{
	if (interrupted == 0)
		return KMS_OK;
	kms_err e = ctl_refuse(c, KMS_E_CANCELLED, "signal %d", (int)interrupted);
	ctl_hint(c, "The rehearsal was broken off; nothing of it is left.");
	return e;
}

static const char *environment(const char *name)
{
	/* One thread, and nobody changes the environment. */
	const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return value != NULL ? value : "";
}

kms_err throwaway_make(struct ctl *c, struct throwaway *out)
{
	const char *places[] = { environment("TMPDIR"), "/run", "/tmp" };
	char path[THROWAWAY_DIR_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (places[i][0] != '/' || access(places[i], W_OK | X_OK) != 0)
			continue;
		int n = snprintf(path, sizeof(path), "%s/kms-rehearsal-XXXXXX", places[i]);
		/* The socket's name comes behind it. */
		if (n < 0 || (size_t)n + 16 >= sizeof(path) || mkdtemp(path) == NULL)
			continue;
		catch_signals();
		*out = (struct throwaway){ .pid = 0 };
		memcpy(out->dir, path, sizeof(path));
		return KMS_OK;
	}
	return ctl_refuse(c, KMS_E_IO, "no folder for the rehearsal; set TMPDIR");
}

/* ---- Finding the program ------------------------------------------------------------------ */

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool find_beside(char *out, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	(void)snprintf(out, size, "%.*s/kmsd", (int)(slash - self), self);
	if (is_program(out))
		return true;
	(void)snprintf(out, size, "%.*s/../sbin/kmsd", (int)(slash - self), self);
	return is_program(out);
}

static bool find_in_path(char *out, size_t size)
{
	const char *path = environment("PATH");

	while (path[0] != '\0') {
		size_t n = strcspn(path, ":");

		(void)snprintf(out, size, "%.*s/kmsd", (int)(n < PATH_MAX ? n : 0), path);
		if (path[0] == '/' && is_program(out))
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

kms_err throwaway_program(struct ctl *c, char *out, size_t size)
{
	if (c->args.given[OPT_KMSD]) {
		(void)snprintf(out, size, "%s", c->args.text[OPT_KMSD]);
		return is_program(out) ? KMS_OK : ctl_usage(c, "--kmsd %.64s is no program", out);
	}
	if (find_beside(out, size) || find_in_path(out, size))
		return KMS_OK;
	return ctl_usage(c, "there is no kmsd beside kmsctl or in PATH; name it with --kmsd");
}

/* ---- Running it --------------------------------------------------------------------------- */

/*
 * Signals wait until the child has put its handlers back: one of ours would swallow the SIGTERM of
 * a stop that comes before the new program is there.
 */
static pid_t fork_clean(void)
{
	sigset_t all, usual;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &usual);
	pid_t pid = fork();
	for (size_t i = 0; pid == 0 && i < ARRAY_LEN(signals); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)pthread_sigmask(SIG_SETMASK, &usual, NULL);
	return pid;
}

/* The child's half. Its own session: an interrupt at the terminal is ours to pass on. */
static _Noreturn void become_kmsd(const char *program, const char *conf, int log, pid_t parent)
{
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", flag[] = "-c", name[] = "kmsd";
	char *const none[] = { path, NULL };
	char file[CONF_PATH_MAX];

	(void)snprintf(file, sizeof(file), "%s", conf);
	char *const args[] = { name, flag, file, NULL };
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	int null = open("/dev/null", O_RDONLY);
	if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	if (close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		(void)execve(program, args, none);
	_exit(127);
}

static void pause_shortly(void)
{
	const struct timespec t = { .tv_nsec = PAUSE_NS };

	(void)nanosleep(&t, NULL);
}

/* True once it has ended; then it is reaped. */
static bool has_ended(struct throwaway *t)
{
	if (t->pid > 0 && waitpid(t->pid, NULL, WNOHANG) == t->pid)
		t->pid = 0;
	return t->pid == 0;
}

/* Why it did not start stands in its last line. */
static kms_err refuse_dead(struct ctl *c, const struct throwaway *t)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	char path[CONF_PATH_MAX];
	size_t from;

	(void)snprintf(path, sizeof(path), "%s/kmsd.log", t->dir);
	if (file_read(c, path, LOG_MAX, &text) != KMS_OK)
		text.n = 0;
	while (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	for (from = text.n; from > 0 && text.p[from - 1] != '\n';)
		from--;
	kms_err e = ctl_refuse(c, KMS_E_UNAVAILABLE, "the rehearsal's kmsd: %.*s",
	    (int)(text.n - from), text.n > 0 ? (const char *)text.p + from : "");
	ctl_hint(c,
	    "Its configuration is the live one's with other paths; run this as the user who "
	    "may read what that names.");
	return e;
}

static bool answers(struct throwaway *t, const char *socket)
{
	const struct kms_options options = { .socket = socket };
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(kms_close) struct kms *kms = NULL;

	if (kms_connect(&options, &kms) != KMS_CODE_OK || kms_status(kms, &r) != KMS_CODE_OK)
		return false;
	t->kms = MOVE(kms);
	return true;
}

kms_err throwaway_start(struct ctl *c, struct throwaway *t, const char *program)
{
	char path[CONF_PATH_MAX], socket[CONF_PATH_MAX];
	pid_t self = getpid();

	(void)snprintf(path, sizeof(path), "%s/kmsd.log", t->dir);
	(void)snprintf(socket, sizeof(socket), "%s/kms.sock", t->dir);
	int log = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(errno));
	(void)snprintf(path, sizeof(path), "%s/kms.conf", t->dir);
	pid_t pid = fork_clean();
	if (pid == 0)
		become_kmsd(program, path, log, self);
	(void)close(log);
	if (pid < 0)
		return ctl_refuse(c, KMS_E_IO, "kmsd: %s", strerrordesc_np(errno));
	t->pid = pid;
	for (uint64_t start = clock_mono_us(); !answers(t, socket); pause_shortly()) {
		TRY(throwaway_go_on(c));
		if (has_ended(t) || clock_mono_us() - start > START_US)
			return refuse_dead(c, t);
	}
	return KMS_OK;
}

kms_err throwaway_ask(struct ctl *c, const struct throwaway *t, enum kms_code code)
{
	return code == KMS_CODE_OK ? KMS_OK : ctl_keep(c, kms_last_error(t->kms));
}

/* ---- Clearing away ------------------------------------------------------------------------ */

static void overwrite(const char *path, off_t size)
{
	static const uint8_t zeros[65536];
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	while (fd >= 0 && size > 0) {
		size_t n = size < (off_t)sizeof(zeros) ? (size_t)size : sizeof(zeros);
		if (file_write_all(fd, bytes_of(zeros, n)) != 0)
			break;
		size -= (off_t)n;
	}
	if (fd >= 0)
		(void)close(fd);
}

static int clear_away(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	if (kind == FTW_F && S_ISREG(st->st_mode))
		overwrite(path, st->st_size);
	(void)remove(path);
	return 0;
}

static void stop(struct throwaway *t)
{
	if (t->pid <= 0)
		return;
	(void)kill(t->pid, SIGTERM);
	for (uint64_t start = clock_mono_us(); !has_ended(t); pause_shortly()) {
		if (clock_mono_us() - start < STOP_US)
			continue;
		(void)kill(t->pid, SIGKILL);
		(void)waitpid(t->pid, NULL, 0);
		t->pid = 0;
	}
}

void throwaway_done(struct throwaway *t)
{
	kms_close(&t->kms);
	stop(t);
	/* One thread. */
	if (t->dir[0] != '\0') /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
		(void)nftw(t->dir, clear_away, FOLDERS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	*t = (struct throwaway){ .pid = 0 };
}
