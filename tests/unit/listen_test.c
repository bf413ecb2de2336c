/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms/keeper/listen.c: a socket of kmsd's own, with its rights from the first moment, and only one
 * kmsd behind it; or the one that systemd hands over, if it is one that can be served.
 */
#include "kms/keeper/listen.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

enum {
	GROUP = 4242, /* nobody's */
	FIRST_FD = 3  /* what systemd hands over begins there */
};

/* ---- Waiting, as the test wants it --------------------------------------------------------- */

/* How often it was waited, and the lock that is let go at which of them. */
static unsigned waits, let_go_at;
static int held = -1;

/* By another name, because some headers define the real one in place. */
__attribute__((visibility("hidden"))) int poll_faked(
    struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");

int poll_faked(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)fds;
	(void)n;
	(void)timeout;
	if (++waits == let_go_at)
		CHECK(close(held) == 0);
	return 0;
}

/* ---- A place ------------------------------------------------------------------------------- */

struct place {
	struct folder folder;
	char lock[2 * FOLDER_PATH];
	struct config config;
};

static void name_socket(struct config *c, const struct folder *f, const char *name)
{
	int n = snprintf(c->socket, sizeof(c->socket), "%s/%s", f->path, name);

	CHECK(n > 0 && (size_t)n < sizeof(c->socket));
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	CHECK(p != NULL);
	folder_make(&p->folder);
	folder_file(&p->folder, "s.lock", p->lock);
	name_socket(&p->config, &p->folder, "s");
	p->config.socket_mode = 0660;
	waits = let_go_at = 0;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	folder_done(&p->folder);
	free(p);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && strlen(path) < sizeof(to.sun_path));
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	CHECK(close(fd) == 0);
	return -1;
}

static void refuses(const struct place *p, kms_err why)
{
	int fd = -1;

	assert_string_equal(err_name(listen_open(&p->config, &fd)), err_name(why));
	assert_int_equal(fd, -1);
}

/* ---- A socket of its own ------------------------------------------------------------------- */

static void it_listens_with_the_rights_that_were_asked(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0666 };
	mode_t old = umask(0077);

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct place *p = *state;
		struct stat st;
		int fd = -1;

		/* Each has a name of its own: the lock of the one before is kept. */
		name_socket(&p->config, &p->folder, (const char[]){ (char)('a' + i), '\0' });
		p->config.socket_mode = modes[i];
		assert_int_equal(listen_open(&p->config, &fd), KMS_OK);
		assert_int_equal(stat(p->config.socket, &st), 0);
		assert_true(S_ISSOCK(st.st_mode));
		assert_int_equal(st.st_mode & 07777, modes[i]);
		/* Nothing has come yet, and it does not wait for it. */
		assert_int_equal(accept(fd, NULL, NULL), -1);
		assert_int_equal(errno, EAGAIN);
		int other = connect_to(p->config.socket);
		int got = accept(fd, NULL, NULL);
		assert_true(other >= 0 && got >= 0);
		assert_int_equal(close(other) + close(got) + close(fd), 0);
	}
	/* The mask of everything else is as it was. */
	assert_int_equal(umask(old), 0077);
}

static void the_group_is_the_configured_one(void **state)
{
	struct place *p = *state;
	struct stat st;
	int fd = -1;

	if (geteuid() != 0)
		skip();
	p->config.socket_gid = GROUP;
	p->config.socket_gid_known = true;
	assert_int_equal(listen_open(&p->config, &fd), KMS_OK);
	assert_int_equal(stat(p->config.socket, &st), 0);
	assert_int_equal(st.st_gid, GROUP);
	assert_int_equal(close(fd), 0);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct place *p = *state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = -1;

	memcpy(at.sun_path, p->config.socket, strlen(p->config.socket) + 1);
	assert_int_equal(bind(stale, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(close(stale), 0);
	assert_int_equal(connect_to(p->config.socket), -1);
	assert_int_equal(listen_open(&p->config, &fd), KMS_OK);
	int other = connect_to(p->config.socket);
	assert_true(other >= 0);
	assert_int_equal(close(other) + close(fd), 0);
}

static void two_do_not_share_a_socket(void **state)
{
	struct place *p = *state;
	int fd = -1;

	assert_int_equal(listen_open(&p->config, &fd), KMS_OK);
	refuses(p, KMS_E_STORE_LOCKED);
	/* It had patience, and the first one's socket is as it was. */
	assert_true(waits > 100);
	int other = connect_to(p->config.socket);
	assert_true(other >= 0);
	assert_int_equal(close(other) + close(fd), 0);
}

static void one_that_is_about_to_end_is_waited_for(void **state)
{
	struct place *p = *state;
	int fd = -1;

	held = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
	let_go_at = 3;
	assert_int_equal(listen_open(&p->config, &fd), KMS_OK);
	assert_int_equal(waits, 3);
	assert_int_equal(close(fd), 0);
}

static void places_that_will_not_do(void **state)
{
	struct place *p = *state;

	/* A link where the lock should be: it would be taken somewhere else. */
	assert_int_equal(symlink("elsewhere", p->lock), 0);
	refuses(p, KMS_E_IO);
	assert_int_equal(unlink(p->lock), 0);

	/* A folder in the socket's place is nobody's stale socket. */
	assert_int_equal(mkdir(p->config.socket, 0700), 0);
	refuses(p, KMS_E_IO);
	assert_int_equal(rmdir(p->config.socket), 0);

	name_socket(&p->config, &p->folder, "none/s");
	refuses(p, KMS_E_IO);
}

/* ---- The one that systemd hands over ------------------------------------------------------- */

/* In a child: the descriptors and the environment of a service. 0: as it should be. */
static int hand_over(const struct place *p, int given, const char *count, kms_err want)
{
	char pid[16];
	int fd = -1;

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (dup2(given, FIRST_FD) != FIRST_FD || dup2(given, FIRST_FD + 1) != FIRST_FD + 1 ||
	    setenv("LISTEN_PID", pid, 1) != 0 || setenv("LISTEN_FDS", count, 1) != 0)
		return 1;
	if (listen_open(&p->config, &fd) != want)
		return 2;
	if (want != KMS_OK)
		return fd == -1 ? 0 : 3;
	if (fd != FIRST_FD || (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0)
		return 4;
	/* Who starts later must not take them for its own. */
	return getenv("LISTEN_FDS") == NULL ? 0 : 5;
}

static void assert_handed_over(const struct place *p, int given, const char *count, kms_err want)
{
	int status;

	pid_t child = fork();
	if (child == 0)
		_exit(hand_over(p, given, count, want));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* Nothing of its own was made. */
	assert_int_equal(access(p->config.socket, F_OK), -1);
	assert_int_equal(access(p->lock, F_OK), -1);
}

/* Bound to no name that anybody could meet. */
static int some_socket(int type, bool listening)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at.sun_family)) == 0);
	CHECK(!listening || listen(fd, 4) == 0);
	return fd;
}

static void systemds_socket_is_taken(void **state)
{
	int fd = some_socket(SOCK_STREAM, true);

	assert_handed_over(*state, fd, "1", KMS_OK);
	assert_int_equal(close(fd), 0);
}

static void what_systemd_should_not_hand_over(void **state)
{
	int good = some_socket(SOCK_STREAM, true), silent = some_socket(SOCK_STREAM, false);
	int datagram = some_socket(SOCK_DGRAM, false), file = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_handed_over(*state, good, "2", KMS_E_BAD_CONFIG);
	assert_handed_over(*state, silent, "1", KMS_E_BAD_CONFIG);
	assert_handed_over(*state, datagram, "1", KMS_E_BAD_CONFIG);
	assert_handed_over(*state, file, "1", KMS_E_BAD_CONFIG);
	assert_int_equal(close(good) + close(silent) + close(datagram) + close(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		IN_PLACE(it_listens_with_the_rights_that_were_asked),
		IN_PLACE(the_group_is_the_configured_one),
		IN_PLACE(a_stale_socket_is_replaced),
		IN_PLACE(two_do_not_share_a_socket),
		IN_PLACE(one_that_is_about_to_end_is_waited_for),
		IN_PLACE(places_that_will_not_do),
		IN_PLACE(systemds_socket_is_taken),
		IN_PLACE(what_systemd_should_not_hand_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
