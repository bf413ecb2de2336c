/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written to disks of others must open for ever: one wrapped key of each algorithm and one
 * MAC, made by another implementation (Python's cryptography) from the description of the format.
 * Whoever breaks this test breaks every recording there is.
 */
#include "kms/keys/ring.h"

#include "kms/keys/context.h"
#include "tests/unit/hex.h"
#include "tests/unit/master.h"
#include "tests/unit/wrapped_blobs.h"

static const char mac_text[] = "+81 3 1234 5678";
static const char mac_value[] = "1042f26db3b939e80adc8adb82785a8bf7cd6a2a529fcf52033cc6876fd422ea";

static struct key *make_key(enum algorithm a)
{
	struct key *k = NULL;
	struct key_version *v;

	assert_int_equal(key_new(&k), KMS_OK);
	k->algorithm = a;
	assert_int_equal(key_add_version(k, &v), KMS_OK);
	v->number = 3;
	v->state = STATE_DEACTIVATED;
	assert_int_equal(secret_new(KEY_BITS_LEN, &v->bits), KMS_OK);
	for (size_t i = 0; i < KEY_BITS_LEN; i++)
		secret_fill(v->bits)[i] = (uint8_t)i;
	for (size_t i = 0; i < KEY_ID_LEN; i++)
		k->id.b[i] = (uint8_t)(0x10 + i);
	(void)snprintf(k->name, sizeof(k->name), "k");
	return k;
}

static struct bytes canon_of(enum algorithm a, uint8_t out[static CONTEXT_CANON_MAX])
{
	const struct context_pair pair = { bytes_of_str("call"), bytes_of_str("123") };
	size_t n;

	assert_int_equal(context_encode(&pair, a != ALG_AES_256_KWP, out, &n), KMS_OK);
	return bytes_of(out, n);
}

static void opens(struct ring *r, enum algorithm a)
{
	struct key *k = make_key(a);
	struct hex blob = hex_of(wrapped_blobs[a]);
	uint8_t canon[CONTEXT_CANON_MAX];
	struct hex room = hex_room(blob.n);
	struct wrapped w;
	size_t n = 0;

	assert_int_equal(wrapped_decode(hex_bytes(blob), &w), KMS_OK);
	assert_memory_equal(w.key.b, k->id.b, KEY_ID_LEN);
	assert_int_equal(w.version, 3);
	const struct unwrap_input in = { .canon = canon_of(a, canon), .w = &w };
	assert_int_equal(ring_unwrap(r, k, &k->versions[0], &in, room.p, &n), KMS_OK);
	assert_int_equal(n, 32);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(room.p[i], 0x40 + i);
	ring_touch(r, k);
	key_free(&k);
	hex_done(&blob);
	hex_done(&room);
}

static void old_wrapped_keys_open(void **state)
{
	(void)state;
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		AUTO(ring_free) struct ring *r = NULL;

		assert_int_equal(ring_new(4, &r), KMS_OK);
		opens(r, (enum algorithm)a);
	}
}

static void old_macs_are_the_same(void **state)
{
	AUTO(ring_free) struct ring *r = NULL;
	AUTO(key_free) struct key *k = make_key(ALG_AES_256_GCM);
	uint8_t canon[CONTEXT_CANON_MAX], out[32];
	struct hex expected = hex_of(mac_value);

	(void)state;
	assert_int_equal(ring_new(4, &r), KMS_OK);
	assert_int_equal(ring_mac(r, k, &k->versions[0], bytes_of_str(mac_text),
	                     canon_of(ALG_AES_256_GCM, canon), out),
	    KMS_OK);
	assert_memory_equal(out, expected.p, sizeof(out));
	ring_touch(r, k);
	hex_done(&expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_wrapped_keys_open),
		cmocka_unit_test(old_macs_are_the_same),
	};

	CHECK(secret_init(16, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
