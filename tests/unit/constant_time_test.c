/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That time and addresses do not depend on a share's bytes (kms/crypto/shamir.c, kms/seal/shares.c,
 * kms/seal/share_text.c). Each story is run by this program under valgrind, with the secret bytes
 * marked as undefined: memcheck follows every bit and reports a branch or an address that hangs on
 * one. Two controls leak on purpose, to show that it would.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/crypto/shamir.h"
#include "kms/seal/share_text.h"
#include "kms/seal/shares_private.h"
#include "tests/unit/shares_vector.h"

enum {
	SKIPPED = 77
};

#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)

int main(void)
{
	print_message("valgrind can't run what a sanitizer was built into\n");
	return SKIPPED;
}

#elif !defined(KMS_VALGRIND)

int main(void)
{
	print_message("built without valgrind's headers (valgrind)\n");
	return SKIPPED;
}

#else

#include <openssl/rand.h>
#include <valgrind/memcheck.h>

enum {
	SECRETS = 64,
	FOUND = 99,   /* valgrind's exit status where it has found something */
	ABSENT = 127, /* execvp's where there is no valgrind */
	TRACE_MAX = 1 << 16
};

/* Whether random bytes are secret from now on: those of split are. */
static bool random_is_secret;

/* In OpenSSL's place, for our own code alone. */
__attribute__((visibility("hidden"))) int RAND_priv_bytes(unsigned char *out, int n)
{
	static uint8_t next = 1;

	for (int i = 0; i < n; i++)
		out[i] = next = (uint8_t)(next * 5 + 3);
	if (random_is_secret)
		VALGRIND_MAKE_MEM_UNDEFINED(out, (size_t)n);
	return 1;
}

/* The outcome of a comparison is what everybody may know; the linker puts this in its place. */
bool __real_equal_ct(const uint8_t *a, const uint8_t *b, size_t n);
bool __wrap_equal_ct(const uint8_t *a, const uint8_t *b, size_t n)
{
	volatile bool equal = __real_equal_ct(a, b, n);

	VALGRIND_MAKE_MEM_DEFINED(&equal, sizeof(equal));
	return equal;
}

static void hide(struct secret *s)
{
	VALGRIND_MAKE_MEM_UNDEFINED(secret_fill(s), secret_len(s));
}

/* What was computed from hidden bytes is hidden itself; else a story would show nothing. */
static void check_hidden(const void *p, size_t n)
{
	uint8_t bits[64] = { 0 };
	unsigned any = 0;

	CHECK(n <= sizeof(bits) && VALGRIND_GET_VBITS(p, bits, n) == 1);
	for (size_t i = 0; i < n; i++)
		any |= bits[i];
	CHECK(any != 0);
}

static void check_secret_hidden(const struct secret *s)
{
	check_hidden(secret_bytes(s).p, secret_len(s));
}

static struct secret *some_secret(void)
{
	struct secret *s = NULL;

	CHECK(secret_new(SHAMIR_LEN, &s) == KMS_OK);
	memset(secret_fill(s), 0x5a, SHAMIR_LEN);
	return s;
}

/* ---- The stories --------------------------------------------------------------------------- */

static void split(void)
{
	struct secret *secret = some_secret();
	struct secret *shares[5];

	hide(secret);
	random_is_secret = true;
	CHECK(shamir_split(secret, 3, 5, shares) == KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		check_secret_hidden(shares[i]);
}

static void combine(void)
{
	struct secret *secret = some_secret();
	struct secret *shares[5];
	struct secret *out;

	CHECK(shamir_split(secret, 3, 5, shares) == KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		hide(shares[i]);
	const struct shamir_point points[] = { { 5, shares[4] }, { 1, shares[0] },
		{ 3, shares[2] } };
	CHECK(shamir_combine(points, ARRAY_LEN(points), &out) == KMS_OK);
	check_secret_hidden(out);
}

static void make_set(struct share shares[static 3], struct buf *blob)
{
	struct secret *root = some_secret();

	CHECK(shares_make(root, 2, 3, vector_instance, shares, blob) == KMS_OK);
}

/* A good share and a wrong one. */
static void check(void)
{
	struct share shares[3];
	struct buf blob = { 0 };

	make_set(shares, &blob);
	secret_fill(shares[1].value)[7] ^= 1;
	hide(shares[0].value);
	hide(shares[1].value);
	CHECK(shares_check(buf_bytes(&blob), &shares[0]) == KMS_OK);
	CHECK(shares_check(buf_bytes(&blob), &shares[1]) == KMS_E_SHARE_WRONG);
	buf_done(&blob);
}

static void commit(void)
{
	static const uint8_t parts[SHARES_HEAD_LEN] = { 1, 2, 3 };
	const struct shares_parts p = { .head = bytes_of(parts, sizeof(parts)) };
	struct secret *shared = some_secret();
	uint8_t out[SHARES_COMMITMENT_LEN];

	hide(shared);
	CHECK(shares_commit(shared, &p, vector_instance, out) == KMS_OK);
	check_hidden(out, sizeof(out));
}

static void encode(void)
{
	struct share shares[3];
	struct buf blob = { 0 };
	struct share_text out;

	make_set(shares, &blob);
	hide(shares[0].value);
	CHECK(share_text_encode(&shares[0], &out) == KMS_OK);
	check_hidden(out.s + SHARE_TEXT_LEN - 32, 32);
	buf_done(&blob);
}

/* ---- The controls: each leaks one bit, as a careless multiplication would ------------------- */

static volatile unsigned sink;

static void leak_by_branch(void)
{
	struct secret *s = some_secret();

	hide(s);
	if (secret_bytes(s).p[3] & 1)
		sink++;
}

static void leak_by_address(void)
{
	static const volatile uint8_t table[256] = { 1, 2, 3 };
	struct secret *s = some_secret();

	hide(s);
	sink = table[secret_bytes(s).p[3]];
}

static const struct story {
	const char *name;
	void (*tell)(void);
	const char *report; /* what memcheck says of it; NULL: nothing */
} stories[] = {
	{ "split", split, NULL },
	{ "combine", combine, NULL },
	{ "check", check, NULL },
	{ "commit", commit, NULL },
	{ "encode", encode, NULL },
	{ "leak_by_branch", leak_by_branch, "Conditional jump or move depends on uninitialised" },
	{ "leak_by_address", leak_by_address, "Use of uninitialised value" },
};

/* ---- This program again, under valgrind ---------------------------------------------------- */

static char trace[TRACE_MAX];

static void read_trace(int fd)
{
	size_t n = 0;

	for (ssize_t r = 1; r > 0; n += (size_t)r) {
		r = read(fd, trace + n, sizeof(trace) - 1 - n);
		assert_true(r >= 0);
	}
	trace[n] = '\0';
}

/* The exit status; what it says goes into trace. */
static int run_under_valgrind(const char *name)
{
	int ends[2], status;
	char self[PATH_MAX] = { 0 };

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)close(ends[0]);
		(void)execlp("valgrind", "valgrind", "-q", "--error-exitcode=99", "--leak-check=no",
		    self, name, NULL);
		_exit(ABSENT);
	}
	(void)close(ends[1]);
	read_trace(ends[0]);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void one_story(void **state)
{
	const struct story *s = *state;
	int status = run_under_valgrind(s->name);

	if (status == ABSENT) {
		print_message("there is no valgrind here (valgrind)\n");
		skip();
	}
	int expected = s->report == NULL ? 0 : FOUND;
	if (status != expected)
		fail_msg("%s ended with %d:\n%s", s->name, status, trace);
	if (s->report != NULL)
		assert_non_null(strstr(trace, s->report));
}

static int tell(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		if (strcmp(stories[i].name, name) != 0)
			continue;
		CHECK(secret_init(SECRETS, true) == KMS_OK);
		stories[i].tell();
		return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_LEN(stories)];

	if (argc == 2)
		return tell(argv[1]);
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		struct story *s = (struct story *)(uintptr_t)&stories[i];

		tests[i] = (struct CMUnitTest){ stories[i].name, one_story, NULL, NULL, s };
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
