/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kms/keys does when OpenSSL or memory fails, at each call in turn: the failure is told, no
 * clear byte is left in an output, and what was there before still works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kms/keys/index.h"
#include "kms/keys/ring.h"
#include "tests/unit/master.h"
#include "tests/unit/ossl_fault.h"

enum {
	SECRETS = 64,
	KEYS = 100, /* two growths of the index */
	DATA_KEY = 32,
	ROOM = WRAPPED_OVERHEAD_MAX + DATA_KEY + 8
};

static const uint8_t plain[DATA_KEY] = "clear data key, all 32 bytes it";
static const uint8_t canon[] = { 0 };

/* Made before anything fails. */
static struct ring *ring;
static struct rand_block *block;
static struct key *keys[ALG_COUNT];
static struct key *many[KEYS]; /* names and ids alone */

static void shows_nothing(const uint8_t *out, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i++)
		assert_memory_not_equal(out + i, plain, 8);
}

/* A ring that was cold: everything is derived. */
static kms_err wrap_and_unwrap(enum algorithm a)
{
	struct key *k = keys[a];
	struct key_version *v = &k->versions[0];
	const struct wrap_input in = { bytes_of(canon, sizeof(canon)), bytes_of(plain, DATA_KEY),
		block };
	uint8_t blob[ROOM] = { 0 }, out[ROOM] = { 0 };
	struct wrapped w;
	size_t n;

	ring_touch(ring, k);
	kms_err e = ring_wrap(ring, k, v, &in, blob);
	shows_nothing(blob, sizeof(blob));
	TRY(e);
	assert_int_equal(wrapped_decode(bytes_of(blob, wrapped_len(a, DATA_KEY)), &w), KMS_OK);
	const struct unwrap_input back = { bytes_of(canon, sizeof(canon)), &w };
	ring_touch(ring, k);
	e = ring_unwrap(ring, k, v, &back, out, &n);
	if (e != KMS_OK)
		shows_nothing(out, sizeof(out));
	return e;
}

static kms_err story_xaes(void)
{
	return wrap_and_unwrap(ALG_XAES_256_GCM);
}

static kms_err story_gcm(void)
{
	return wrap_and_unwrap(ALG_AES_256_GCM);
}

static kms_err story_kwp(void)
{
	return wrap_and_unwrap(ALG_AES_256_KWP);
}

static kms_err story_mac(void)
{
	struct key *k = keys[ALG_XAES_256_GCM];
	uint8_t out[32];

	ring_touch(ring, k);
	return ring_mac(
	    ring, k, &k->versions[0], bytes_of_str("data"), bytes_of(canon, sizeof(canon)), out);
}

/* A failure after the entry was made leaves an entry that the next try fills. */
static kms_err story_second_try(void)
{
	kms_err e = story_xaes();

	if (e != KMS_OK && fault_in == 0)
		assert_int_equal(story_xaes(), KMS_OK);
	return e;
}

static kms_err story_new_ring(void)
{
	AUTO(ring_free) struct ring *r = NULL;

	TRY(ring_new(4, &r));
	assert_int_equal(ring_count(r), 0);
	return KMS_OK;
}

static kms_err story_new_key(void)
{
	AUTO(key_free) struct key *k = NULL;
	struct key_version *v;

	TRY(key_new(&k));
	for (uint32_t i = 1; i <= 9; i++) {
		size_t before = k->n;
		kms_err e = key_add_version(k, &v);
		assert_int_equal(k->n, before + (e == KMS_OK));
		TRY(e);
		assert_int_equal(v->number, i);
	}
	return KMS_OK;
}

static kms_err story_rows(void)
{
	AUTO(buf_done) struct buf out = { 0 };
	const struct key_version *v = &keys[ALG_AES_256_GCM]->versions[0];

	TRY(key_encode(keys[ALG_AES_256_GCM], &out));
	TRY(version_encode(v, bytes_of(plain, 1), &out));
	return counts_encode(&v->used, &out);
}

static void all_there(const struct index *x, size_t n)
{
	assert_int_equal(x->n, n);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(index_find(x, bytes_of_str(many[i]->name)), many[i]);
}

/* What can't be added is not half there. */
static kms_err story_index(void)
{
	AUTO(index_done) struct index x = { .n = 0 };

	TRY(index_init(&x));
	for (uint32_t i = 0; i < KEYS; i++) {
		kms_err e = index_add(&x, many[i]);
		if (e != KMS_OK)
			all_there(&x, i);
		TRY(e);
	}
	all_there(&x, KEYS);
	return KMS_OK;
}

static void every_call_may_fail(void **state)
{
	(void)state;
	assert_in_range(fault_tell(story_xaes), 30, 200);
	assert_in_range(fault_tell(story_gcm), 24, 200);
	assert_in_range(fault_tell(story_kwp), 8, 200);
	assert_in_range(fault_tell(story_mac), 10, 200);
	assert_in_range(fault_tell(story_second_try), 30, 200);
}

/* Under a sanitizer memory never fails. */
static void memory_may_fail(void **state)
{
	(void)state;
	assert_in_range(fault_tell(story_new_ring), 1, 20);
	assert_in_range(fault_tell(story_new_key), 0, 20);
	assert_in_range(fault_tell(story_rows), 0, 20);
	assert_in_range(fault_tell(story_index), 1, 50);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(ring_new(4, &ring), KMS_OK);
	assert_int_equal(rand_block_new(&block), KMS_OK);
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		static const char *const names[ALG_COUNT] = { NULL, "xaes", "gcm", "kwp" };
		keys[a] = master_new(names[a], a, (enum algorithm)a);
		assert_int_equal(ring_add(ring, keys[a]), KMS_OK);
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		assert_int_equal(key_new(&many[i]), KMS_OK);
		(void)snprintf(many[i]->name, sizeof(many[i]->name), "k%u", i);
		many[i]->id = master_id(i);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		key_free(&many[i]);
	ring_free(&ring);
	rand_block_free(&block);
	assert_int_equal(secret_info().used, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(memory_may_fail),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, set_up, tear_down);
	secret_done();
	return failed;
}
