/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a slot: they come back as they were, and whoever changes one in the store is found
 * out, at once or as soon as the root is open.
 */
#include "kms/seal/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/damage.h"

enum {
	SECRETS = 16,
	FORMAT_AT = 4,
	FLAGS_AT = 5,
	KIND_AT = 48 /* its length */
};

static uint8_t blob[SEALER_BLOB_MAX + 1] = "what the hardware needs";

static struct slot some_slot(void)
{
	return (struct slot){
		.id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
		.instance = { 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36 },
		.created_us = 0x1112131415161718,
		.kind = bytes_of_str("tpm"),
		.name = bytes_of_str("tpm-2"),
		.blob = bytes_of(blob, 23),
	};
}

static struct secret *root_of(uint8_t value)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &s), KMS_OK);
	memset(secret_fill(s), value, SEALER_ROOT_LEN);
	return s;
}

static void goes_and_comes(struct slot *s, const struct secret *root)
{
	AUTO(buf_done) struct buf out = { 0 };
	struct slot back;

	assert_int_equal(slot_encode(s, root, &out), KMS_OK);
	assert_int_equal(slot_decode(buf_bytes(&out), &back), KMS_OK);
	assert_memory_equal(back.id, s->id, sizeof(s->id));
	assert_memory_equal(back.instance, s->instance, INSTANCE_ID_LEN);
	assert_int_equal(back.created_us, s->created_us);
	assert_true(bytes_equal(back.kind, s->kind));
	assert_true(bytes_equal(back.name, s->name));
	assert_true(bytes_equal(back.blob, s->blob));
	assert_memory_equal(back.check, s->check, SLOT_CHECK_LEN);
	assert_int_equal(slot_prove(buf_bytes(&out), root), KMS_OK);
}

static void slots_come_back(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	struct slot s = some_slot();
	char name[NAME_MAX_LEN + 1] = { 0 };

	(void)state;
	goes_and_comes(&s, root);
	memset(name, 'n', NAME_MAX_LEN);
	s.name = bytes_of_str(name);
	s.kind = bytes_of_str("fifteen-letters");
	s.blob = bytes_of(blob, SEALER_BLOB_MAX);
	s.created_us = UINT64_MAX;
	goes_and_comes(&s, root);
	s.blob.n = 1;
	goes_and_comes(&s, root);
}

static void the_layout_is_known(void **state)
{
	static const uint8_t expected[] = "KMSL\x01\x00\x00\x00"
	                                  "\x01\x02\x03\x04\x05\x06\x07\x08"
	                                  "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	                                  "\x15\x16\x17\x18\x19\x1a\x1b\x1c"
	                                  "\x1d\x1e\x1f\x20\x21\x22\x23\x24"
	                                  "\x18\x17\x16\x15\x14\x13\x12\x11"
	                                  "\x03\x00tpm\x05\x00tpm-2\x17\x00what the hardware needs";
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	assert_int_equal(out.n, sizeof(expected) - 1 + SLOT_CHECK_LEN);
	assert_memory_equal(out.p, expected, sizeof(expected) - 1);
}

static void slots_are_appended(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(buf_put_u8(&out, 0x55), KMS_OK);
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	assert_int_equal(slot_prove(bytes_of(out.p + 1, out.n - 1), root), KMS_OK);
}

/* ---- What is not written ------------------------------------------------------------------- */

static void is_not_written(struct slot s)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };

	assert_int_equal(slot_encode(&s, root, &out), KMS_E_INTERNAL);
	assert_int_equal(out.n, 0);
}

static void bad_slots_are_not_written(void **state)
{
	struct slot s = some_slot();

	(void)state;
	s.kind = bytes_of_str("");
	is_not_written(s);
	s.kind = bytes_of_str("sixteen-letters.");
	is_not_written(s);
	s.kind = bytes_of_str("t/m");
	is_not_written(s);
	s = some_slot();
	s.name = bytes_of_str("");
	is_not_written(s);
	s.name = bytes_of_str("two words");
	is_not_written(s);
	s = some_slot();
	s.blob.n = 0;
	is_not_written(s);
	s.blob.n = SEALER_BLOB_MAX + 1;
	is_not_written(s);
}

/* ---- What is not read ---------------------------------------------------------------------- */

static void is_corrupt(struct bytes in, size_t at, void *arg)
{
	struct slot s = { .created_us = 5 };

	(void)at;
	assert_int_equal(slot_decode(in, &s), KMS_E_STORE_CORRUPT);
	assert_int_equal(slot_prove(in, arg), KMS_E_STORE_CORRUPT);
	assert_int_equal(s.created_us, 5);
}

static void every_cut_is_corrupt(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	damage_cuts(buf_bytes(&out), is_corrupt, root);
	damage_longer(buf_bytes(&out), is_corrupt, root);
}

static void does_not_prove(struct bytes in, size_t at, void *arg)
{
	kms_err e = slot_prove(in, arg);
	bool head = at / 8 >= FORMAT_AT && at / 8 < FLAGS_AT + 3;

	assert_true(
	    e == KMS_E_INTEGRITY || e == KMS_E_STORE_CORRUPT || (e == KMS_E_NEWER_FORMAT && head));
}

static void every_bit_is_under_the_check(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	damage_flips(buf_bytes(&out), does_not_prove, root);
	assert_int_equal(slot_prove(buf_bytes(&out), root), KMS_OK);
}

static void another_root_proves_nothing(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(secret_free) struct secret *other = root_of(8);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	assert_int_equal(slot_prove(buf_bytes(&out), other), KMS_E_INTEGRITY);
}

static void newer_slots_are_named(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	out.p[FORMAT_AT] = SLOT_FORMAT + 1;
	assert_int_equal(slot_decode(buf_bytes(&out), &s), KMS_E_NEWER_FORMAT);
	/* Whatever stands behind it. */
	assert_int_equal(slot_decode(bytes_of(out.p, 8), &s), KMS_E_NEWER_FORMAT);
	out.p[FORMAT_AT] = 0;
	is_corrupt(buf_bytes(&out), 0, root);
	out.p[FORMAT_AT] = SLOT_FORMAT;
	for (size_t i = FLAGS_AT; i < FLAGS_AT + 3; i++) {
		out.p[i] = 0x80;
		assert_int_equal(slot_decode(buf_bytes(&out), &s), KMS_E_NEWER_FORMAT);
		out.p[i] = 0;
	}
	out.p[0] = 'k';
	is_corrupt(buf_bytes(&out), 0, root);
}

static void bad_parts_are_corrupt(void **state)
{
	AUTO(secret_free) struct secret *root = root_of(7);
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = some_slot();

	(void)state;
	assert_int_equal(slot_encode(&s, root, &out), KMS_OK);
	out.p[KIND_AT + 2] = '/';
	is_corrupt(buf_bytes(&out), 0, root);
	out.p[KIND_AT + 2] = 't';
	out.p[KIND_AT + 2 + 3 + 2] = '\0';
	is_corrupt(buf_bytes(&out), 0, root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_come_back),
		cmocka_unit_test(the_layout_is_known),
		cmocka_unit_test(slots_are_appended),
		cmocka_unit_test(bad_slots_are_not_written),
		cmocka_unit_test(every_cut_is_corrupt),
		cmocka_unit_test(every_bit_is_under_the_check),
		cmocka_unit_test(another_root_proves_nothing),
		cmocka_unit_test(newer_slots_are_named),
		cmocka_unit_test(bad_parts_are_corrupt),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
