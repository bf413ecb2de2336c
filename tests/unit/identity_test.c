/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the kernel says is at the other end: ourselves over a Unix socket, with all our groups; and
 * nobody over anything else. The real connect(), not a made-up answer.
 */
#include "kms/policy/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ossl_fault.h"

FAULTY(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *n),
    (fd, level, name, value, n), (errno = ENOBUFS, -1))

enum {
	GROUPS_ROOM = 65536,
	SKIPPED = 77
};

static void close_pair(int (*fd)[2])
{
	(void)close((*fd)[0]);
	(void)close((*fd)[1]);
}

/* Nothing may be left of a refused peer. */
static void is_refused(int fd)
{
	struct identity who = { .kind = IDENTITY_NONE, .uid = 12345 };

	assert_int_equal(identity_of_peer(fd, &who), KMS_E_IO);
	assert_int_equal(who.kind, IDENTITY_NONE);
	assert_int_equal(who.uid, 12345);
	assert_null(who.gids);
}

static void is_ourselves(int fd)
{
	AUTO(identity_done) struct identity who = { .kind = IDENTITY_NONE };
	gid_t *groups = calloc(GROUPS_ROOM, sizeof(*groups));
	int n = getgroups(GROUPS_ROOM, groups);

	assert_true(n >= 0);
	assert_int_equal(identity_of_peer(fd, &who), KMS_OK);
	assert_int_equal(who.kind, IDENTITY_UNIX);
	assert_int_equal(who.uid, geteuid());
	assert_int_equal(who.gid, getegid());
	assert_int_equal(who.gid_n, n);
	assert_true(identity_in_group(&who, getegid()));
	for (int i = 0; i < n; i++)
		assert_true(identity_in_group(&who, groups[i]));
	assert_false(identity_in_group(&who, UINT32_MAX - 1));
	free(groups);
}

static void a_pair_is_ourselves(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		AUTO(close_pair) int fd[2];

		assert_int_equal(socketpair(AF_UNIX, types[i], 0, fd), 0);
		is_ourselves(fd[0]);
		is_ourselves(fd[1]);
	}
}

/* A listening Unix socket without a name of ours: the kernel gives it one (autobind). */
static int listen_unix(struct sockaddr_un *at, socklen_t *n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*n = sizeof(*at);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, n), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void a_connection_is_ourselves(void **state)
{
	struct sockaddr_un at;
	socklen_t n;
	int listener = listen_unix(&at, &n);
	AUTO(close_pair) int fd[2];

	(void)state;
	fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (const struct sockaddr *)&at, n), 0);
	fd[1] = accept(listener, NULL, NULL);
	assert_true(fd[1] >= 0);
	is_ourselves(fd[1]);
	/* As it was at connect(): a peer that has gone is still known. */
	assert_int_equal(shutdown(fd[0], SHUT_RDWR), 0);
	is_ourselves(fd[1]);
	(void)close(listener);
}

static void a_socket_without_a_peer_is_refused(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	is_refused(fd);
	(void)close(fd);
}

static void tcp_is_refused(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO(close_pair) int fd[2];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(listen(listener, 1), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&at, sizeof(at)), 0);
	fd[1] = accept(listener, NULL, NULL);
	assert_true(fd[1] >= 0);
	is_refused(fd[1]);
	is_refused(fd[0]);
	(void)close(listener);
}

static void what_is_no_socket_is_refused(void **state)
{
	AUTO(close_pair) int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	is_refused(fd[0]);
	is_refused(fd[1]);
	is_refused(-1);
	is_refused(1 << 20);
}

/* A pair that is made while this process has so many groups. */
static void pair_with_groups(size_t n, int fd[static 2])
{
	gid_t *mine = calloc(GROUPS_ROOM, sizeof(*mine)), *groups = calloc(n + 1, sizeof(*groups));
	int mine_n = getgroups(GROUPS_ROOM, mine);

	for (size_t i = 0; i < n; i++)
		groups[i] = (gid_t)(100 + i);
	CHECK(mine_n >= 0 && setgroups(n, groups) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	CHECK(setgroups((size_t)mine_n, mine) == 0);
	free(mine);
	free(groups);
}

static kms_err with_groups(size_t n, struct identity *out)
{
	AUTO(close_pair) int fd[2];

	pair_with_groups(n, fd);
	return identity_of_peer(fd[0], out);
}

static void groups_are_read(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 31, IDENTITY_GROUPS_MAX };

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		AUTO(identity_done) struct identity who = { .kind = IDENTITY_NONE };
		size_t n = counts[i];

		assert_int_equal(with_groups(n, &who), KMS_OK);
		assert_int_equal(who.gid_n, n);
		assert_int_equal(identity_in_group(&who, (uint32_t)(99 + n)), n > 0);
		assert_false(identity_in_group(&who, (uint32_t)(100 + n)));
	}
}

static void too_many_groups_are_refused(void **state)
{
	struct identity who = { .kind = IDENTITY_NONE };

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(with_groups(IDENTITY_GROUPS_MAX + 1, &who), KMS_E_TOO_MANY);
	assert_int_equal(who.kind, IDENTITY_NONE);
	assert_null(who.gids);
}

/* Each question to the kernel and each allocation fails in turn. */
static void every_question_may_fail(void **state)
{
	AUTO(close_pair) int fd[2];
	size_t n = 1;
	bool untouched = false;

	(void)state;
	if (geteuid() != 0)
		skip();
	pair_with_groups(3, fd);
	for (; !untouched; n++) {
		AUTO(identity_done) struct identity who = { .kind = IDENTITY_NONE };

		fault_in = n;
		kms_err e = identity_of_peer(fd[0], &who);
		untouched = fault_in > 0;
		fault_in = 0;
		if (untouched) {
			assert_int_equal(e, KMS_OK);
			continue;
		}
		assert_true(e == KMS_E_IO || e == KMS_E_NO_MEMORY);
		assert_int_equal(who.kind, IDENTITY_NONE);
		assert_null(who.gids);
	}
	/* Under a sanitizer memory never fails. */
	assert_in_range(n - 2, 4, 5);
}

/* ---- In a child, because it changes what the process is ------------------------------------ */

/* A client in another container has no pid that we could see, but it has a user. */
static int story_other_pids(int fd)
{
	struct identity who = { .kind = IDENTITY_NONE };
	int status;

	if (unshare(CLONE_NEWPID) != 0)
		return SKIPPED;
	pid_t child = fork();
	if (child == 0) {
		struct ucred cred = { .pid = 1 };
		socklen_t n = sizeof(cred);
		bool hidden =
		    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 && cred.pid == 0;
		if (!hidden)
			_exit(1);
		if (identity_of_peer(fd, &who) != KMS_OK || who.uid != geteuid())
			_exit(2);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status)
	           ? WEXITSTATUS(status)
	           : 3;
}

static void a_peer_in_another_container_is_known(void **state)
{
	AUTO(close_pair) int fd[2];
	int status;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(story_other_pids(fd[0]));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Words --------------------------------------------------------------------------------- */

static void the_text_is_the_number(void **state)
{
	struct identity who = { .kind = IDENTITY_UNIX, .uid = UINT32_MAX };
	char text[IDENTITY_TEXT_MAX];

	(void)state;
	identity_text(&who, text);
	assert_string_equal(text, "unix:4294967295");
	who.uid = 0;
	identity_text(&who, text);
	assert_string_equal(text, "unix:0");
	who.kind = IDENTITY_NONE;
	identity_text(&who, text);
	assert_string_equal(text, "none");
}

static void nobody_is_in_no_group(void **state)
{
	uint32_t gids[] = { 5 };
	const struct identity who = { .kind = IDENTITY_NONE, .gid = 5, .gids = gids, .gid_n = 1 };

	(void)state;
	assert_false(identity_in_group(&who, 5));
}

static void an_empty_one_can_be_done(void **state)
{
	struct identity who = { .kind = IDENTITY_NONE };

	(void)state;
	identity_done(&who);
	who = (struct identity){ .kind = IDENTITY_UNIX, .gids = malloc(4), .gid_n = 1 };
	identity_done(&who);
	assert_int_equal(who.kind, IDENTITY_NONE);
	assert_null(who.gids);
	assert_int_equal(who.gid_n, 0);
	identity_done(&who);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_is_ourselves),
		cmocka_unit_test(a_connection_is_ourselves),
		cmocka_unit_test(a_socket_without_a_peer_is_refused),
		cmocka_unit_test(tcp_is_refused),
		cmocka_unit_test(what_is_no_socket_is_refused),
		cmocka_unit_test(groups_are_read),
		cmocka_unit_test(too_many_groups_are_refused),
		cmocka_unit_test(every_question_may_fail),
		cmocka_unit_test(a_peer_in_another_container_is_known),
		cmocka_unit_test(the_text_is_the_number),
		cmocka_unit_test(nobody_is_in_no_group),
		cmocka_unit_test(an_empty_one_can_be_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
