/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of shares (kms/seal/shares.c, kms/seal/shares_make.c): every k and n opens, the set that the
 * first version made opens for ever; and whatever is too few, foreign, wrong, doubled or damaged is
 * refused by its name.
 */
#include "kms/seal/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/seal/share_text.h"
#include "tests/unit/damage.h"
#include "tests/unit/hex.h"
#include "tests/unit/shares_vector.h"

enum {
	SECRETS = 64,
	HEAD_LEN = 7,
	COMMITMENT_AT = HEAD_LEN + 24 + 48,
	CHECKS_AT = COMMITMENT_AT + 32
};

/* A set and what it was made of. */
struct world {
	struct secret *root;
	struct share shares[SHARES_MAX];
	struct buf blob;
};

static void world_done(struct world *w)
{
	for (size_t i = 0; i < SHARES_MAX; i++)
		share_done(&w->shares[i]);
	secret_free(&w->root);
	buf_done(&w->blob);
}

static struct world world_of(size_t k, size_t n)
{
	struct world w = { .root = NULL };

	assert_int_equal(secret_from(bytes_of(vector_root, sizeof(vector_root)), &w.root), KMS_OK);
	assert_int_equal(shares_make(w.root, k, n, vector_instance, w.shares, &w.blob), KMS_OK);
	return w;
}

static struct share as(struct share s, uint8_t k, uint8_t n, uint8_t x)
{
	s.k = k;
	s.n = n;
	s.x = x;
	return s;
}

static void assert_opens(struct bytes blob, const struct share *shares, size_t n)
{
	AUTO(secret_free) struct secret *root = NULL;

	assert_int_equal(shares_open(blob, vector_instance, shares, n, &root), KMS_OK);
	assert_true(secret_equal(root, bytes_of(vector_root, sizeof(vector_root))));
}

static void assert_refused(struct bytes blob, const struct share *shares, size_t n, kms_err e)
{
	struct secret *root = NULL;

	assert_int_equal(shares_open(blob, vector_instance, shares, n, &root), e);
	assert_null(root);
}

/* ---- What opens ---------------------------------------------------------------------------- */

static void every_k_and_n_opens(void **state)
{
	(void)state;
	for (size_t n = 2; n <= SHARES_MAX; n++) {
		for (size_t k = 2; k <= n; k++) {
			AUTO(world_done) struct world w = world_of(k, n);
			struct bytes blob = buf_bytes(&w.blob);
			struct shares_info info;

			assert_int_equal(shares_info(blob, &info), KMS_OK);
			assert_int_equal(info.k, k);
			assert_int_equal(info.n, n);
			assert_int_equal(blob.n, CHECKS_AT + n * SHARE_CHECK_LEN);
			for (size_t i = 0; i < n; i++) {
				const struct share *s = &w.shares[i];

				assert_int_equal(shares_check(blob, s), KMS_OK);
				assert_memory_equal(s->set, info.set, SHARE_SET_LEN);
				assert_true(s->k == k && s->n == n && s->x == i + 1);
			}
			assert_opens(blob, w.shares, k);
			assert_opens(blob, w.shares, n);
			assert_opens(blob, w.shares + n - k, k);
			assert_refused(blob, w.shares, k - 1, KMS_E_SHARES_FEW);
		}
	}
}

static void the_order_does_not_matter(void **state)
{
	AUTO(world_done) struct world w = world_of(3, 5);
	const struct share some[] = { w.shares[4], w.shares[0], w.shares[2] };

	(void)state;
	assert_opens(buf_bytes(&w.blob), some, 3);
}

static void the_first_version_opens(void **state)
{
	struct hex blob = hex_of(vector_blob);
	struct share shares[VECTOR_N];
	struct share_slip slip;

	(void)state;
	for (size_t i = 0; i < VECTOR_N; i++) {
		assert_int_equal(
		    share_text_decode(bytes_of_str(vector_texts[i]), &shares[i], &slip), KMS_OK);
		assert_int_equal(shares_check(hex_bytes(blob), &shares[i]), KMS_OK);
	}
	for (size_t left_out = 0; left_out < VECTOR_N; left_out++) {
		const struct share two[] = { shares[(left_out + 1) % 3],
			shares[(left_out + 2) % 3] };
		assert_opens(hex_bytes(blob), two, 2);
	}
	for (size_t i = 0; i < VECTOR_N; i++)
		share_done(&shares[i]);
	hex_done(&blob);
}

static void the_blob_is_appended(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 2);
	AUTO(buf_done) struct buf out = { 0 };
	struct share again[2];

	(void)state;
	assert_int_equal(buf_put_u8(&out, 0x55), KMS_OK);
	assert_int_equal(shares_make(w.root, 2, 2, vector_instance, again, &out), KMS_OK);
	assert_opens(bytes_of(out.p + 1, out.n - 1), again, 2);
	share_done(&again[0]);
	share_done(&again[1]);
	assert_null(again[0].value);
}

static void two_sets_share_nothing(void **state)
{
	AUTO(world_done) struct world one = world_of(2, 2);
	AUTO(world_done) struct world other = world_of(2, 2);

	(void)state;
	assert_memory_not_equal(one.blob.p + 3, other.blob.p + 3, SHARE_SET_LEN);
	assert_memory_not_equal(one.blob.p + HEAD_LEN, other.blob.p + HEAD_LEN, 24);
	assert_memory_not_equal(one.blob.p + COMMITMENT_AT, other.blob.p + COMMITMENT_AT, 32);
	assert_false(secret_equal(one.shares[0].value, secret_bytes(other.shares[0].value)));
}

/* ---- What is refused ----------------------------------------------------------------------- */

static void bad_numbers_are_refused(void **state)
{
	static const size_t bad[][2] = { { 0, 0 }, { 1, 1 }, { 1, 3 }, { 3, 2 }, { 2, 17 },
		{ 17, 17 }, { 258, 259 }, { SIZE_MAX, SIZE_MAX } };
	AUTO(secret_free) struct secret *root = NULL;
	AUTO(secret_free) struct secret *small = NULL;
	AUTO(buf_done) struct buf out = { 0 };
	struct share shares[2] = { { .value = NULL } };

	(void)state;
	assert_int_equal(secret_new(32, &root), KMS_OK);
	assert_int_equal(secret_new(31, &small), KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    shares_make(root, bad[i][0], bad[i][1], vector_instance, shares, &out),
		    KMS_E_SHARE_NUMBERS);
	assert_int_equal(shares_make(small, 2, 2, vector_instance, shares, &out), KMS_E_INTERNAL);
	assert_int_equal(out.n, 0);
	assert_null(shares[0].value);
}

static void a_foreign_share_is_named(void **state)
{
	AUTO(world_done) struct world ours = world_of(2, 3);
	AUTO(world_done) struct world theirs = world_of(2, 3);
	struct bytes blob = buf_bytes(&ours.blob);
	const struct share mixed[] = { ours.shares[0], theirs.shares[1] };

	(void)state;
	assert_int_equal(shares_check(blob, &theirs.shares[0]), KMS_E_SHARE_FOREIGN);
	assert_refused(blob, mixed, 2, KMS_E_SHARE_FOREIGN);
	/* The same set id by chance, but another set. */
	struct share s = as(ours.shares[0], 3, 3, 1);
	assert_int_equal(shares_check(blob, &s), KMS_E_SHARE_FOREIGN);
	s = as(ours.shares[0], 2, 4, 1);
	assert_int_equal(shares_check(blob, &s), KMS_E_SHARE_FOREIGN);
}

static void a_wrong_share_is_named(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 3);
	struct bytes blob = buf_bytes(&w.blob);
	uint8_t *value = secret_fill(w.shares[1].value);

	(void)state;
	for (size_t bit = 0; bit < SHARE_VALUE_LEN * 8; bit++) {
		value[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(shares_check(blob, &w.shares[1]), KMS_E_SHARE_WRONG);
		assert_refused(blob, w.shares, 2, KMS_E_SHARE_WRONG);
		/* One that isn't needed does not go unnoticed either. */
		const struct share three[] = { w.shares[0], w.shares[2], w.shares[1] };
		assert_refused(blob, three, 3, KMS_E_SHARE_WRONG);
		value[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_int_equal(shares_check(blob, &w.shares[1]), KMS_OK);
}

static void another_number_is_wrong(void **state)
{
	static const uint8_t others[] = { 0, 1, 3, 4, 255 };
	AUTO(world_done) struct world w = world_of(2, 3);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct share s = as(w.shares[1], 2, 3, others[i]);
		assert_int_equal(shares_check(buf_bytes(&w.blob), &s), KMS_E_SHARE_WRONG);
	}
}

static void a_short_value_is_wrong(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 2);
	AUTO(secret_free) struct secret *small = NULL;
	struct share s = w.shares[0];

	(void)state;
	assert_int_equal(secret_new(SHARE_VALUE_LEN - 1, &small), KMS_OK);
	s.value = small;
	assert_int_equal(shares_check(buf_bytes(&w.blob), &s), KMS_E_SHARE_WRONG);
}

static void doubles_do_not_count(void **state)
{
	AUTO(world_done) struct world w = world_of(3, 5);
	const struct share doubled[] = { w.shares[0], w.shares[1], w.shares[0], w.shares[2] };

	(void)state;
	assert_refused(buf_bytes(&w.blob), doubled, 3, KMS_E_SHARE_TWICE);
	assert_refused(buf_bytes(&w.blob), doubled, 4, KMS_E_SHARE_TWICE);
	assert_refused(buf_bytes(&w.blob), doubled, 2, KMS_E_SHARES_FEW);
	assert_refused(buf_bytes(&w.blob), doubled, 0, KMS_E_SHARES_FEW);
}

static void another_instance_does_not_open(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 2);
	uint8_t instance[INSTANCE_ID_LEN];
	struct secret *root = NULL;

	(void)state;
	memcpy(instance, vector_instance, sizeof(instance));
	for (size_t i = 0; i < sizeof(instance); i++) {
		instance[i] ^= 1;
		assert_int_equal(
		    shares_open(buf_bytes(&w.blob), instance, w.shares, 2, &root), KMS_E_INTEGRITY);
		assert_null(root);
		instance[i] ^= 1;
	}
}

/* ---- What is damaged ----------------------------------------------------------------------- */

static void is_corrupt(struct bytes in, size_t at, void *arg)
{
	const struct world *w = arg;
	struct shares_info info = { .k = 9 };

	(void)at;
	assert_int_equal(shares_info(in, &info), KMS_E_STORE_CORRUPT);
	assert_int_equal(info.k, 9);
	assert_int_equal(shares_check(in, &w->shares[0]), KMS_E_STORE_CORRUPT);
	assert_refused(in, w->shares, 2, KMS_E_STORE_CORRUPT);
}

static void every_cut_is_corrupt(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 3);

	(void)state;
	damage_cuts(buf_bytes(&w.blob), is_corrupt, &w);
	damage_longer(buf_bytes(&w.blob), is_corrupt, &w);
}

/* Also in a check value that is not used: the commitment is over all of the blob. */
static void does_not_open(struct bytes in, size_t bit, void *arg)
{
	const struct world *w = arg;
	size_t at = bit / 8;
	struct secret *root = NULL;
	kms_err e = shares_open(in, vector_instance, w->shares, 2, &root);

	assert_null(root);
	if (at == 0)
		assert_true(e == KMS_E_NEWER_FORMAT || e == KMS_E_STORE_CORRUPT);
	else if (at < 3)
		assert_true(e == KMS_E_STORE_CORRUPT || e == KMS_E_SHARE_FOREIGN);
	else if (at < HEAD_LEN)
		assert_int_equal(e, KMS_E_SHARE_FOREIGN);
	else if (at < CHECKS_AT || at >= CHECKS_AT + 2 * SHARE_CHECK_LEN)
		assert_int_equal(e, KMS_E_INTEGRITY);
	else
		assert_int_equal(e, KMS_E_SHARE_WRONG);
}

static void every_bit_counts(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 3);

	(void)state;
	damage_flips(buf_bytes(&w.blob), does_not_open, &w);
	assert_opens(buf_bytes(&w.blob), w.shares, 2);
}

static void newer_blobs_are_named(void **state)
{
	AUTO(world_done) struct world w = world_of(2, 2);
	struct shares_info info;

	(void)state;
	w.blob.p[0] = SHARES_VERSION + 1;
	assert_int_equal(shares_info(buf_bytes(&w.blob), &info), KMS_E_NEWER_FORMAT);
	/* Whatever stands behind it. */
	assert_int_equal(shares_info(bytes_of(w.blob.p, 1), &info), KMS_E_NEWER_FORMAT);
	w.blob.p[0] = 0;
	is_corrupt(buf_bytes(&w.blob), 0, &w);
}

/* A set whose parts come from two others: neither's shares open it. */
static void a_patched_blob_does_not_open(void **state)
{
	AUTO(world_done) struct world one = world_of(2, 2);
	AUTO(world_done) struct world other = world_of(2, 2);

	(void)state;
	memcpy(one.blob.p + HEAD_LEN, other.blob.p + HEAD_LEN, COMMITMENT_AT - HEAD_LEN);
	assert_refused(buf_bytes(&one.blob), one.shares, 2, KMS_E_INTEGRITY);
	memcpy(one.blob.p + COMMITMENT_AT, other.blob.p + COMMITMENT_AT, 32);
	assert_refused(buf_bytes(&one.blob), one.shares, 2, KMS_E_INTEGRITY);
}

static void without_room_nothing_is_handed_out(void **state)
{
	AUTO(secret_free) struct secret *root = NULL;
	AUTO(buf_done) struct buf out = { 0 };
	struct secret *filler[SECRETS] = { NULL };
	struct share shares[4] = { { .value = NULL } };
	size_t n = 0;
	kms_err e;

	(void)state;
	assert_int_equal(secret_new(32, &root), KMS_OK);
	while (secret_info().used < SECRETS)
		assert_int_equal(secret_new(1, &filler[n++]), KMS_OK);
	/* One more free secret each time, until it passes: within what the header promises. */
	for (size_t left = 0;; left++) {
		e = shares_make(root, 3, 4, vector_instance, shares, &out);
		if (e == KMS_OK)
			break;
		assert_int_equal(e, KMS_E_KEYS_FULL);
		assert_int_equal(secret_info().used, SECRETS - left);
		assert_int_equal(out.n, 0);
		assert_true(left < 2 * 4 + 4);
		secret_free(&filler[--n]);
	}
	for (size_t i = 0; i < 4; i++)
		share_done(&shares[i]);
	while (n > 0)
		secret_free(&filler[--n]);
}

static int nothing_left(void **state)
{
	(void)state;
	return secret_info().used == 0 ? 0 : -1;
}

#define STORY(f) cmocka_unit_test_teardown(f, nothing_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(every_k_and_n_opens),
		STORY(the_order_does_not_matter),
		STORY(the_first_version_opens),
		STORY(the_blob_is_appended),
		STORY(two_sets_share_nothing),
		STORY(bad_numbers_are_refused),
		STORY(a_foreign_share_is_named),
		STORY(a_wrong_share_is_named),
		STORY(another_number_is_wrong),
		STORY(a_short_value_is_wrong),
		STORY(doubles_do_not_count),
		STORY(another_instance_does_not_open),
		STORY(every_cut_is_corrupt),
		STORY(every_bit_counts),
		STORY(newer_blobs_are_named),
		STORY(a_patched_blob_does_not_open),
		STORY(without_room_nothing_is_handed_out),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
