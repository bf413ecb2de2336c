/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a key, a version and its counters: they come back as they were, nothing is written
 * that can't be read, and a damaged row is refused and leaves what was there before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/keys/key.h"
#include "tests/unit/damage.h"

/* Where the fields of a row lie: docs/formats.md. */
enum {
	KEY_ALGORITHM_AT = 1 + 16,
	KEY_NAME_AT = KEY_ALGORITHM_AT + 1 + 4 + 8 + 8,
	VERSION_NUMBER_AT = 1,
	VERSION_STATE_AT = 5,
	VERSION_REASON_AT = 22
};

static struct key some_key(void)
{
	return (struct key){
		.id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
		.name = "recordings",
		.key_class = "calls",
		.algorithm = ALG_AES_256_GCM,
		.floor = 0x01020304,
		.created_us = 0x1112131415161718,
		.rotate_every_s = 0x2122232425262728,
	};
}

static struct key_version some_version(void)
{
	return (struct key_version){
		.number = 7,
		.state = STATE_COMPROMISED,
		.created_us = 0x1112131415161718,
		.since_us = 0x2122232425262728,
		.reason = "found in a dump",
	};
}

static const uint8_t sealed[KEY_SEALED_BITS_MAX + 1] = { 0xee };

static struct bytes sealed_bits(void)
{
	return bytes_of(sealed, KEY_SEALED_BITS_MAX);
}

/* ---- Keys ---------------------------------------------------------------------------------- */

static void keys_equal(const struct key *a, const struct key *b)
{
	assert_memory_equal(a->id.b, b->id.b, KEY_ID_LEN);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->key_class, b->key_class);
	assert_int_equal(a->algorithm, b->algorithm);
	assert_int_equal(a->floor, b->floor);
	assert_int_equal(a->created_us, b->created_us);
	assert_int_equal(a->rotate_every_s, b->rotate_every_s);
}

static void key_goes_and_comes(const struct key *k)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key back = { 0 };

	assert_int_equal(key_encode(k, &row), KMS_OK);
	assert_int_equal(key_decode(buf_bytes(&row), &back), KMS_OK);
	keys_equal(k, &back);
}

static void keys_come_back(void **state)
{
	struct key k = some_key();

	(void)state;
	key_goes_and_comes(&k);
	k.key_class[0] = '\0';
	key_goes_and_comes(&k);
	memset(k.name, 'n', NAME_MAX_LEN);
	memset(k.key_class, 'c', NAME_MAX_LEN);
	k.floor = UINT32_MAX;
	k.created_us = k.rotate_every_s = UINT64_MAX;
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		k.algorithm = (enum algorithm)a;
		key_goes_and_comes(&k);
	}
}

static void a_keys_row_is_known(void **state)
{
	static const uint8_t expected[] = "\x01"
	                                  "\x01\x02\x03\x04\x05\x06\x07\x08"
	                                  "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	                                  "\x02"
	                                  "\x04\x03\x02\x01"
	                                  "\x18\x17\x16\x15\x14\x13\x12\x11"
	                                  "\x28\x27\x26\x25\x24\x23\x22\x21"
	                                  "\x0a\x00recordings"
	                                  "\x05\x00"
	                                  "calls";
	AUTO(buf_done) struct buf row = { 0 };
	struct key k = some_key();

	(void)state;
	assert_int_equal(key_encode(&k, &row), KMS_OK);
	assert_int_equal(row.n, sizeof(expected) - 1);
	assert_memory_equal(row.p, expected, row.n);
}

/* What the ring knows of a key stays while its row is read. */
static void versions_outlive_a_row(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key k = some_key(), back = { .n = 3, .changing = true };
	struct key_version v = { .number = 1 };

	(void)state;
	back.versions = &v;
	assert_int_equal(key_encode(&k, &row), KMS_OK);
	assert_int_equal(key_decode(buf_bytes(&row), &back), KMS_OK);
	assert_ptr_equal(back.versions, &v);
	assert_int_equal(back.n, 3);
	assert_true(back.changing);
}

static void key_is_not_written(const struct key *k)
{
	AUTO(buf_done) struct buf row = { 0 };

	assert_int_equal(buf_put_u8(&row, 0x55), KMS_OK);
	assert_int_equal(key_encode(k, &row), KMS_E_INTERNAL);
	assert_int_equal(row.n, 1);
}

static void bad_keys_are_not_written(void **state)
{
	struct key k = some_key();

	(void)state;
	k.algorithm = ALG_NONE;
	key_is_not_written(&k);
	k.algorithm = ALG_COUNT;
	key_is_not_written(&k);
	k = some_key();
	k.name[0] = '\0';
	key_is_not_written(&k);
	k = some_key();
	k.name[2] = ' ';
	key_is_not_written(&k);
	k = some_key();
	k.key_class[0] = '-';
	key_is_not_written(&k);
}

static void key_is_not_read(struct bytes row, size_t at, void *arg)
{
	struct key before, out;
	const kms_err *expected = arg;

	(void)at;
	memset(&before, 0x77, sizeof(before));
	out = before;
	assert_int_equal(key_decode(row, &out), *expected);
	assert_memory_equal(&out, &before, sizeof(out));
}

static kms_err corrupt = KMS_E_STORE_CORRUPT, newer = KMS_E_STORE_NEWER;

static void damaged_keys_are_refused(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key k = some_key();

	(void)state;
	assert_int_equal(key_encode(&k, &row), KMS_OK);
	damage_cuts(buf_bytes(&row), key_is_not_read, &corrupt);
	damage_longer(buf_bytes(&row), key_is_not_read, &corrupt);

	row.p[KEY_ALGORITHM_AT] = ALG_NONE;
	key_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[KEY_ALGORITHM_AT] = ALG_COUNT;
	key_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[KEY_ALGORITHM_AT] = ALG_AES_256_KWP;
	row.p[KEY_NAME_AT + 2 + 3] = '\0';
	key_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[KEY_NAME_AT + 2 + 3] = '/';
	key_is_not_read(buf_bytes(&row), 0, &corrupt);
}

static void too_long_names_are_refused(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key k = some_key();

	(void)state;
	assert_int_equal(key_encode(&k, &row), KMS_OK);
	row.n = KEY_NAME_AT;
	assert_int_equal(buf_put_u16(&row, NAME_MAX_LEN + 1), KMS_OK);
	for (size_t i = 0; i < NAME_MAX_LEN + 1; i++)
		assert_int_equal(buf_put_u8(&row, 'n'), KMS_OK);
	assert_int_equal(buf_put_u16(&row, 0), KMS_OK);
	key_is_not_read(buf_bytes(&row), 0, &corrupt);

	row.n = KEY_NAME_AT;
	assert_int_equal(buf_put_var(&row, bytes_of_str("name")), KMS_OK);
	assert_int_equal(buf_put_var(&row, bytes_of(sealed, NAME_MAX_LEN + 1)), KMS_OK);
	key_is_not_read(buf_bytes(&row), 0, &corrupt);
}

/* ---- Versions ------------------------------------------------------------------------------ */

static void version_goes_and_comes(const struct key_version *v, struct bytes bits)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key_version back = { 0 };
	struct bytes bits_back;

	assert_int_equal(version_encode(v, bits, &row), KMS_OK);
	assert_int_equal(version_decode(buf_bytes(&row), &back, &bits_back), KMS_OK);
	assert_int_equal(back.number, v->number);
	assert_int_equal(back.state, v->state);
	assert_int_equal(back.created_us, v->created_us);
	assert_int_equal(back.since_us, v->since_us);
	assert_string_equal(back.reason, v->reason);
	assert_true(bytes_equal(bits_back, bits));
	assert_null(back.bits);
	assert_null(back.cached);
	assert_int_equal(back.used.issued + back.reserved.issued + back.block, 0);
}

static void versions_come_back(void **state)
{
	struct key_version v = some_version();

	(void)state;
	for (unsigned s = STATE_PRE_ACTIVE; s < STATE_DESTROYED; s++) {
		v.state = (enum key_state)s;
		version_goes_and_comes(&v, sealed_bits());
	}
	v.state = STATE_DESTROYED;
	version_goes_and_comes(&v, bytes_of(NULL, 0));
	v = some_version();
	v.number = UINT32_MAX;
	v.since_us = v.created_us = UINT64_MAX;
	memset(v.reason, '~', REASON_MAX);
	version_goes_and_comes(&v, bytes_of(sealed, 1));
	v.reason[0] = '\0';
	version_goes_and_comes(&v, sealed_bits());
}

static void version_is_not_written(const struct key_version *v, struct bytes bits)
{
	AUTO(buf_done) struct buf row = { 0 };

	assert_int_equal(version_encode(v, bits, &row), KMS_E_INTERNAL);
	assert_int_equal(row.n, 0);
}

static void bad_versions_are_not_written(void **state)
{
	struct key_version v = some_version();

	(void)state;
	version_is_not_written(&v, bytes_of(NULL, 0));
	version_is_not_written(&v, bytes_of(sealed, sizeof(sealed)));
	v.state = STATE_DESTROYED;
	version_is_not_written(&v, sealed_bits());
	v.state = STATE_NONE;
	version_is_not_written(&v, sealed_bits());
	v.state = STATE_COUNT;
	version_is_not_written(&v, sealed_bits());
	v = some_version();
	v.number = 0;
	version_is_not_written(&v, sealed_bits());
	v = some_version();
	v.reason[1] = '\n';
	version_is_not_written(&v, sealed_bits());
	v.reason[1] = '\x7f';
	version_is_not_written(&v, sealed_bits());
}

static void version_is_not_read(struct bytes row, size_t at, void *arg)
{
	struct key_version before, out;
	struct bytes bits = bytes_of(sealed, 5);
	const kms_err *expected = arg;

	(void)at;
	memset(&before, 0x77, sizeof(before));
	out = before;
	assert_int_equal(version_decode(row, &out, &bits), *expected);
	assert_memory_equal(&out, &before, sizeof(out));
	assert_true(bits.p == sealed && bits.n == 5);
}

static void damaged_versions_are_refused(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key_version v = some_version();

	(void)state;
	assert_int_equal(version_encode(&v, sealed_bits(), &row), KMS_OK);
	damage_cuts(buf_bytes(&row), version_is_not_read, &corrupt);
	damage_longer(buf_bytes(&row), version_is_not_read, &corrupt);

	row.p[VERSION_NUMBER_AT] = 0;
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[VERSION_NUMBER_AT] = 7;
	row.p[VERSION_STATE_AT] = STATE_NONE;
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[VERSION_STATE_AT] = STATE_COUNT;
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[VERSION_STATE_AT] = STATE_DESTROYED;
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[VERSION_STATE_AT] = STATE_ACTIVE;
	row.p[VERSION_REASON_AT + 2] = '\0';
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
	row.p[VERSION_REASON_AT + 2] = 0xc3;
	version_is_not_read(buf_bytes(&row), 0, &corrupt);
}

/* ---- Counters ------------------------------------------------------------------------------ */

static void counters_come_back(void **state)
{
	static const struct key_counts all[] = { { 0, 0, 0 }, { 1, 2, 3 },
		{ UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		AUTO(buf_done) struct buf row = { 0 };
		struct key_counts back;

		assert_int_equal(counts_encode(&all[i], &row), KMS_OK);
		assert_int_equal(row.n, 25);
		assert_int_equal(counts_decode(buf_bytes(&row), &back), KMS_OK);
		assert_memory_equal(&back, &all[i], sizeof(back));
	}
}

static void counters_are_not_read(struct bytes row, size_t at, void *arg)
{
	const struct key_counts before = { 1, 2, 3 };
	struct key_counts out = before;
	const kms_err *expected = arg;

	(void)at;
	assert_int_equal(counts_decode(row, &out), *expected);
	assert_memory_equal(&out, &before, sizeof(out));
}

static void damaged_counters_are_refused(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	const struct key_counts c = { 1, 2, 3 };

	(void)state;
	assert_int_equal(counts_encode(&c, &row), KMS_OK);
	damage_cuts(buf_bytes(&row), counters_are_not_read, &corrupt);
	damage_longer(buf_bytes(&row), counters_are_not_read, &corrupt);
}

/* ---- All three ----------------------------------------------------------------------------- */

/* Whatever stands behind the format: a newer one may be laid out in any way. */
static void newer_rows_are_refused_by_name(void **state)
{
	uint8_t row[200] = { 0 };

	(void)state;
	for (unsigned format = 2; format < 256; format++) {
		row[0] = (uint8_t)format;
		for (size_t n = 1; n < sizeof(row); n += 7) {
			key_is_not_read(bytes_of(row, n), 0, &newer);
			version_is_not_read(bytes_of(row, n), 0, &newer);
			counters_are_not_read(bytes_of(row, n), 0, &newer);
		}
	}
	row[0] = 0;
	key_is_not_read(bytes_of(row, sizeof(row)), 0, &corrupt);
	version_is_not_read(bytes_of(row, sizeof(row)), 0, &corrupt);
	counters_are_not_read(bytes_of(row, sizeof(row)), 0, &corrupt);
}

/* What is read can be written, and gives the same bytes: no row has two forms. */
static void reads_only_what_it_writes(struct bytes row, size_t at, void *arg)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct key k = { 0 };
	struct key_version v;
	struct bytes bits;

	(void)at;
	(void)arg;
	if (key_decode(row, &k) == KMS_OK) {
		assert_int_equal(key_encode(&k, &again), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&again), row));
	}
	buf_clear(&again);
	if (version_decode(row, &v, &bits) == KMS_OK) {
		assert_int_equal(version_encode(&v, bits, &again), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&again), row));
	}
}

static void no_row_has_two_forms(void **state)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct key k = some_key();
	struct key_version v = some_version();

	(void)state;
	assert_int_equal(key_encode(&k, &row), KMS_OK);
	damage_flips(buf_bytes(&row), reads_only_what_it_writes, NULL);
	buf_clear(&row);
	assert_int_equal(version_encode(&v, sealed_bits(), &row), KMS_OK);
	damage_flips(buf_bytes(&row), reads_only_what_it_writes, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_back),
		cmocka_unit_test(a_keys_row_is_known),
		cmocka_unit_test(versions_outlive_a_row),
		cmocka_unit_test(bad_keys_are_not_written),
		cmocka_unit_test(damaged_keys_are_refused),
		cmocka_unit_test(too_long_names_are_refused),
		cmocka_unit_test(versions_come_back),
		cmocka_unit_test(bad_versions_are_not_written),
		cmocka_unit_test(damaged_versions_are_refused),
		cmocka_unit_test(counters_come_back),
		cmocka_unit_test(damaged_counters_are_refused),
		cmocka_unit_test(newer_rows_are_refused_by_name),
		cmocka_unit_test(no_row_has_two_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
