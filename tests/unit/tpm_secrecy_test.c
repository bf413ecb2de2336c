/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thief of the wire or of our memory finds: everything that went between us and a software
 * TPM, and every writable page of this process after the hardware was closed, is searched for
 * the root. The needle is kept masked, or it would find itself.
 */
#include "tpm/tpm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/crypto/rand.h"
#include "tests/unit/chip.h"

enum {
	SLOTS = 16,
	SKIPPED = 77,
	MASK = 0xff,
	PIECE = 16, /* bytes of the root that are enough to give it away */
	WINDOW = 65536
};

struct needle {
	uint8_t masked[PIECE];
};

/* The middle of the root: allocators write over both ends of what they are given back. */
static struct needle needle_of(const struct secret *root)
{
	struct needle n;
	const uint8_t *p = secret_bytes(root).p + (SEALER_ROOT_LEN - PIECE) / 2;

	for (size_t i = 0; i < PIECE; i++)
		n.masked[i] = p[i] ^ MASK;
	return n;
}

static bool is_at(const uint8_t *p, const struct needle *what)
{
	for (size_t i = 0; i < PIECE; i++) {
		const uint8_t clear = what->masked[i] ^ MASK;
		if (p[i] != clear)
			return false;
	}
	return true;
}

static size_t hits_in(const uint8_t *p, size_t n, const struct needle *what)
{
	size_t hits = 0;

	for (size_t at = 0; at + PIECE <= n; at++)
		hits += is_at(p + at, what);
	return hits;
}

/* In one file, or in [from, to) of a process's memory; what can't be read is passed over. */
static size_t hits_between(int fd, off_t from, off_t to, const struct needle *what)
{
	static uint8_t window[WINDOW];
	size_t hits = 0;

	for (off_t at = from; at < to; at += WINDOW - PIECE) {
		size_t want = to - at < WINDOW ? (size_t)(to - at) : WINDOW;
		ssize_t got = pread(fd, window, want, at);
		if (got > 0)
			hits += hits_in(window, (size_t)got, what);
	}
	memset(window, 0, sizeof(window));
	return hits;
}

#define SHADOW_MIN (1UL << 32) /* bytes of a mapping that is no memory of ours */

static size_t hits_in_memory(const struct needle *what)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char line[512];
	size_t hits = 0;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		char rights[5];
		/* A sanitizer's shadow is terabytes of nothing. */
		if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && rights[1] == 'w' &&
		    to - from < SHADOW_MIN)
			hits += hits_between(mem, (off_t)from, (off_t)to, what);
	}
	(void)fclose(maps);
	(void)close(mem);
	return hits;
}

static struct secret *random_root(void)
{
	struct secret *root = NULL;

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &root), KMS_OK);
	assert_int_equal(rand_bytes(secret_fill(root), SEALER_ROOT_LEN), KMS_OK);
	return root;
}

/* Seals and opens once, each with a connection of its own. */
static void seal_and_open(const struct chip *c, const struct secret *root)
{
	AUTO(buf_done) struct buf blob = { 0 };
	AUTO(secret_free) struct secret *again = NULL;
	struct sealer *s = NULL;
	uint64_t counter;

	assert_int_equal(tpm_sealer.open(&c->params, &s), KMS_OK);
	assert_int_equal(tpm_sealer.seal(s, root, (struct bytes){ 0 }, &blob, &counter), KMS_OK);
	tpm_sealer.close(&s);
	assert_int_equal(tpm_sealer.open(&c->params, &s), KMS_OK);
	assert_int_equal(tpm_sealer.unseal(s, buf_bytes(&blob), &again), KMS_OK);
	tpm_sealer.close(&s);
	assert_true(secret_equal(again, secret_bytes(root)));
}

static void the_search_finds_what_is_there(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *root = random_root();
	const struct needle what = needle_of(root);
	uint8_t *copy = malloc(SEALER_ROOT_LEN);

	memcpy(copy, secret_bytes(root).p, SEALER_ROOT_LEN);
	assert_true(hits_in_memory(&what) > 0);
	wipe(copy, SEALER_ROOT_LEN);
	free(copy);
}

static void nothing_stays_in_memory(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *root = random_root();
	const struct needle what = needle_of(root);
	struct chip c;

	chip_new(&c);
	seal_and_open(&c, root);
	chip_done(&c);
	secret_free(&root);
	assert_int_equal(hits_in_memory(&what), 0);
}

static void nothing_is_on_the_wire(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *root = random_root();
	const struct needle what = needle_of(root);
	char pcap[2 * CHIP_PATH];
	struct chip c;
	struct stat st;

	chip_new_as(&c, "pcap:swtpm");
	(void)snprintf(pcap, sizeof(pcap), "%s/pcap", c.dir);
	CHECK(setenv("TCTI_PCAP_FILE", pcap, 1) == 0);
	seal_and_open(&c, root);
	int fd = open(pcap, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size > 1000);
	assert_int_equal(hits_between(fd, 0, st.st_size, &what), 0);
	(void)close(fd);
	chip_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_search_finds_what_is_there),
		cmocka_unit_test(nothing_stays_in_memory),
		cmocka_unit_test(nothing_is_on_the_wire),
	};

	if (!chip_possible()) {
		(void)puts("skipped: swtpm is not installed");
		return SKIPPED;
	}
	CHECK(setenv("TSS2_LOG", "all+none", 1) == 0);
	CHECK(secret_init(SLOTS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
