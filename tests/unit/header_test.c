/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of encrypted files: its exact bytes, what comes back, the place of another wrapped
 * key, and every way of being damaged.
 */
#include "kms/client/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/hex.h"

static const uint8_t wrapped_bytes[200] = { 1, 2, 3 };
static const struct kms_pair pairs[] = { { "call", { (const uint8_t *)"42", 2 } },
	{ "agent", { (const uint8_t *)"", 0 } } };
static const struct kms_context context = { pairs, 2 };

static struct kms_envelope_key key_of(size_t wrapped)
{
	return (struct kms_envelope_key){
		.key = "rec", .wrapped = kms_bytes_of(wrapped_bytes, wrapped), .context = &context
	};
}

/* As docs/envelope.md describes it, byte by byte. */
static void the_bytes_are_those_of_the_document(void **state)
{
	static const char start[] = "4b4d5346" /* KMSF */
	                            "0100"     /* format, flags */
	                            "a200"     /* 162 bytes in all */
	                            "03726563" /* rec */
	                            "02"       /* two pairs */
	                            "0463616c6c"
	                            "02003432"
	                            "056167656e74"
	                            "0000"
	                            "8000" /* room */
	                            "0300"
	                            "010203";
	AUTO(buf_done) struct buf out = { .p = NULL };
	AUTO(hex_done) struct hex want = hex_of(start);
	struct kms_envelope_key key = key_of(3);

	(void)state;
	assert_int_equal(header_encode(&key, &out), KMS_OK);
	assert_int_equal(out.n, 162);
	assert_memory_equal(out.p, want.p, want.n);
	for (size_t i = want.n; i < out.n; i++)
		assert_int_equal(out.p[i], 0);
}

static void what_was_written_comes_back(void **state)
{
	struct kms_envelope_key key = key_of(100);
	AUTO(buf_done) struct buf raw = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 };
	size_t length;

	(void)state;
	assert_int_equal(header_encode(&key, &raw), KMS_OK);
	assert_int_equal(header_length(bytes_of(raw.p, HEADER_START), &length), KMS_OK);
	assert_int_equal(length, raw.n);
	assert_int_equal(header_decode(&raw, &h), KMS_OK);
	assert_null(raw.p);
	assert_string_equal(h.info.key, "rec");
	assert_int_equal(h.info.format, 1);
	assert_int_equal(h.info.header_size, length);
	assert_false(h.info.values_hidden);
	assert_int_equal(h.info.wrapped.n, 100);
	assert_memory_equal(h.info.wrapped.p, wrapped_bytes, 100);
	assert_int_equal(h.info.context.n, 2);
	assert_string_equal(h.info.context.pairs[0].name, "call");
	assert_memory_equal(h.info.context.pairs[0].value.p, "42", 2);
	assert_string_equal(h.info.context.pairs[1].name, "agent");
	assert_int_equal(h.info.context.pairs[1].value.n, 0);
	/* Two bytes of length and the room stand behind what is bound. */
	assert_int_equal(h.bound + 2 + h.room, length);
}

static void hidden_values_are_not_there(void **state)
{
	struct kms_envelope_key key = key_of(100);
	AUTO(buf_done) struct buf raw = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 };

	(void)state;
	key.hide_values = true;
	assert_int_equal(header_encode(&key, &raw), KMS_OK);
	assert_null(memmem(raw.p, raw.n, "42", 2));
	assert_int_equal(header_decode(&raw, &h), KMS_OK);
	assert_true(h.info.values_hidden);
	assert_string_equal(h.info.context.pairs[0].name, "call");
	assert_int_equal(h.info.context.pairs[0].value.n, 0);
}

static void another_wrapped_key_takes_the_same_room(void **state)
{
	struct kms_envelope_key key = key_of(92);
	AUTO(buf_done) struct buf raw = { .p = NULL }, copy = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 }, again = { .room = 0 };
	size_t at;

	(void)state;
	assert_int_equal(header_encode(&key, &raw), KMS_OK);
	assert_int_equal(buf_put(&copy, buf_bytes(&raw)), KMS_OK);
	assert_int_equal(header_decode(&raw, &h), KMS_OK);
	assert_int_equal(header_replace(&h, bytes_of(wrapped_bytes + 1, 128), &at), KMS_OK);
	assert_int_equal(at, h.bound);
	assert_memory_equal(h.info.wrapped.p, wrapped_bytes + 1, 128);
	/* Nothing that the file depends on has changed. */
	assert_memory_equal(h.raw.p, copy.p, h.bound);
	assert_int_equal(h.raw.n, copy.n);

	assert_int_equal(header_replace(&h, bytes_of(wrapped_bytes, 5), &at), KMS_OK);
	assert_int_equal(header_decode(&h.raw, &again), KMS_OK);
	assert_int_equal(again.info.wrapped.n, 5);
}

static void a_key_without_room_is_refused(void **state)
{
	struct kms_envelope_key key = key_of(100);
	AUTO(buf_done) struct buf raw = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 };
	size_t at;

	(void)state;
	assert_int_equal(header_encode(&key, &raw), KMS_OK);
	assert_int_equal(header_decode(&raw, &h), KMS_OK);
	assert_int_equal(header_replace(&h, bytes_of(wrapped_bytes, 129), &at), KMS_E_BAD_REQUEST);
	assert_int_equal(header_replace(&h, bytes_of(NULL, 0), &at), KMS_E_BAD_REQUEST);
	assert_int_equal(h.info.wrapped.n, 100);
}

static kms_err encode_with(const char *name, const char *pair, size_t value, size_t n)
{
	AUTO(buf_done) struct buf out = { .p = NULL };
	struct kms_pair list[CONTEXT_MAX_PAIRS + 1] = { { pair, { wrapped_bytes, value } } };
	const struct kms_context c = { list, n };
	struct kms_envelope_key key = key_of(100);
	uint8_t big[300] = { 0 };

	for (size_t i = 1; i < ARRAY_LEN(list); i++)
		list[i].name = "x";
	list[0].value.p = big;
	key.key = name;
	key.context = &c;
	return header_encode(&key, &out);
}

static void what_no_header_can_hold_is_refused(void **state)
{
	char long_name[CONTEXT_NAME_MAX + 2];
	AUTO(buf_done) struct buf out = { .p = NULL };
	struct kms_envelope_key none = key_of(0);
	static const uint8_t huge[HEADER_WRAPPED_MAX + 1];
	struct kms_envelope_key wide = key_of(0);

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	long_name[CONTEXT_NAME_MAX + 1] = '\0';
	assert_int_equal(encode_with("rec", "call", 256, 16), KMS_OK);
	assert_int_equal(encode_with("rec", long_name + 1, 0, 1), KMS_OK);
	assert_int_equal(encode_with("", "call", 1, 1), KMS_E_BAD_NAME);
	assert_int_equal(encode_with("../rec", "call", 1, 1), KMS_E_BAD_NAME);
	assert_int_equal(encode_with(long_name, "call", 1, 1), KMS_E_BAD_NAME);
	assert_int_equal(encode_with("rec", "", 1, 1), KMS_E_BAD_CONTEXT);
	assert_int_equal(encode_with("rec", long_name, 1, 1), KMS_E_BAD_CONTEXT);
	assert_int_equal(encode_with("rec", "a=b", 1, 1), KMS_E_BAD_CONTEXT);
	assert_int_equal(encode_with("rec", "a\x1b", 1, 1), KMS_E_BAD_CONTEXT);
	assert_int_equal(encode_with("rec", "call", 257, 1), KMS_E_BAD_CONTEXT);
	assert_int_equal(encode_with("rec", "call", 1, 17), KMS_E_BAD_CONTEXT);
	assert_int_equal(header_encode(&none, &out), KMS_E_BAD_REQUEST);
	wide.wrapped = kms_bytes_of(huge, sizeof(huge));
	assert_int_equal(header_encode(&wide, &out), KMS_E_BAD_REQUEST);
	wide.wrapped.n--;
	assert_int_equal(header_encode(&wide, &out), KMS_OK);
}

/* Decodes a copy whose byte at `at` is `value`, cut to n bytes. */
static kms_err decode_damaged(const struct buf *good, size_t n, size_t at, uint8_t value)
{
	AUTO(buf_done) struct buf raw = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 };

	TRY(buf_put(&raw, bytes_of(good->p, n)));
	if (at < n)
		raw.p[at] = value;
	return header_decode(&raw, &h);
}

static void other_files_and_newer_ones_are_told_apart(void **state)
{
	AUTO(buf_done) struct buf good = { .p = NULL };
	struct kms_envelope_key key = key_of(100);
	size_t length;

	(void)state;
	assert_int_equal(header_encode(&key, &good), KMS_OK);
	assert_int_equal(decode_damaged(&good, good.n, 0, 'X'), KMS_E_NOT_AN_ENVELOPE);
	assert_int_equal(decode_damaged(&good, good.n, 3, 'X'), KMS_E_NOT_AN_ENVELOPE);
	assert_int_equal(decode_damaged(&good, good.n, 4, 2), KMS_E_NEWER_FORMAT);
	assert_int_equal(decode_damaged(&good, good.n, 4, 0), KMS_E_NEWER_FORMAT);
	assert_int_equal(decode_damaged(&good, good.n, 5, 2), KMS_E_NEWER_FORMAT);
	assert_int_equal(header_length(bytes_of("RIFF", 4), &length), KMS_E_NOT_AN_ENVELOPE);
	assert_int_equal(header_length(bytes_of("R", 1), &length), KMS_E_NOT_AN_ENVELOPE);
	assert_int_equal(header_length(bytes_of("KMSF\1", 5), &length), KMS_E_CUT_OFF);
	assert_int_equal(header_length(bytes_of(NULL, 0), &length), KMS_E_CUT_OFF);
	assert_int_equal(header_length(bytes_of("KMSF\1\0\7\0", 8), &length), KMS_E_INTEGRITY);
}

static void every_cut_is_refused(void **state)
{
	AUTO(buf_done) struct buf good = { .p = NULL };
	struct kms_envelope_key key = key_of(100);

	(void)state;
	assert_int_equal(header_encode(&key, &good), KMS_OK);
	for (size_t n = 0; n < good.n; n++) {
		kms_err e = decode_damaged(&good, n, SIZE_MAX, 0);
		assert_int_equal(err_wire(e), WIRE_INTEGRITY);
	}
	assert_int_equal(decode_damaged(&good, good.n, SIZE_MAX, 0), KMS_OK);
}

/* Wherever a length is wrong, the rest no longer adds up; what is left is a valid header. */
static void no_byte_can_break_the_reader(void **state)
{
	AUTO(buf_done) struct buf good = { .p = NULL };
	struct kms_envelope_key key = key_of(100);

	(void)state;
	assert_int_equal(header_encode(&key, &good), KMS_OK);
	for (size_t at = 0; at < good.n; at++) {
		for (unsigned value = 0; value < 256; value++) {
			kms_err e = decode_damaged(&good, good.n, at, (uint8_t)value);
			assert_true(e == KMS_OK || e == KMS_E_INTEGRITY ||
			            e == KMS_E_NOT_AN_ENVELOPE || e == KMS_E_NEWER_FORMAT);
		}
	}
	/* Zeros stay zeros: nothing can hide behind the wrapped key. */
	assert_int_equal(decode_damaged(&good, good.n, good.n - 1, 1), KMS_E_INTEGRITY);
	/* Values where they are said to be hidden. */
	assert_int_equal(decode_damaged(&good, good.n, 5, 1), KMS_E_INTEGRITY);
	/* A name that is not one. */
	assert_int_equal(decode_damaged(&good, good.n, 9, '/'), KMS_E_INTEGRITY);
	assert_int_equal(decode_damaged(&good, good.n, 14, '\n'), KMS_E_INTEGRITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_are_those_of_the_document),
		cmocka_unit_test(what_was_written_comes_back),
		cmocka_unit_test(hidden_values_are_not_there),
		cmocka_unit_test(another_wrapped_key_takes_the_same_room),
		cmocka_unit_test(a_key_without_room_is_refused),
		cmocka_unit_test(what_no_header_can_hold_is_refused),
		cmocka_unit_test(other_files_and_newer_ones_are_told_apart),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(no_byte_can_break_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
