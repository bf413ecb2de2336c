/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer may send that no good writer does: fields twice, of the wrong type, unknown, cut,
 * too many, too wide. Whatever two readers could understand in two ways is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/message.h"
#include "tests/unit/damage.h"
#include "tests/unit/message_fill.h"
#include "tests/unit/wire.h"

enum {
	ARENA_LIMIT = 1 << 20,
	REF_FIELD = 22, /* key_show, a KeyRef */
	ID = 77
};

static kms_err decode_request(const struct buf *b, size_t limit, struct request *out)
{
	AUTO(arena_done) struct arena a;
	uint8_t *p = damage_copy(buf_bytes(b));

	arena_init(&a, limit);
	kms_err e = request_decode(bytes_of(p, b->n), &a, out);
	free(p);
	return e;
}

static kms_err decode_answer(const struct buf *b, struct answer *out)
{
	AUTO(arena_done) struct arena a;
	uint8_t *p = damage_copy(buf_bytes(b));

	arena_init(&a, ARENA_LIMIT);
	kms_err e = answer_decode(bytes_of(p, b->n), &a, out);
	free(p);
	return e;
}

static void request_is(const struct buf *b, kms_err expected)
{
	struct request r;

	assert_int_equal(decode_request(b, ARENA_LIMIT, &r), expected);
}

static void answer_is(const struct buf *b, kms_err expected)
{
	struct answer a;

	assert_int_equal(decode_answer(b, &a), expected);
}

/* A message with every field filled, as protoc-c writes it. */
static void put_filled(
    struct buf *b, const ProtobufCMessageDescriptor *what, uint32_t choice, uint64_t seed)
{
	struct dice d = dice_of(seed);
	ProtobufCMessage *m = fill_new(&d, what, choice);
	size_t n = protobuf_c_message_get_packed_size(m);

	assert_int_equal(buf_reserve(b, n), KMS_OK);
	b->n += protobuf_c_message_pack(m, b->p + b->n);
	protobuf_c_message_free_unpacked(m, NULL);
}

typedef void with_message(const struct buf *b, const ProtobufCMessageDescriptor *what);

/* Of an answer only the result: no error beside it. */
static void drop_head(struct buf *b)
{
	buf_drop(b, wire_field_len(buf_bytes(b)));
	buf_drop(b, wire_field_len(buf_bytes(b)));
}

/* Every operation, or every result, that there is. */
static void for_each_of(const ProtobufCMessageDescriptor *what, with_message *f)
{
	for (unsigned i = 0; i < what->n_fields; i++) {
		AUTO(buf_done) struct buf b = { 0 };

		if ((what->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
			continue;
		put_filled(&b, what, what->fields[i].id, i);
		if (what == &kms__answer__descriptor)
			drop_head(&b);
		f(&b, what);
	}
}

static void for_each_message(with_message *f)
{
	for_each_of(&kms__request__descriptor, f);
	for_each_of(&kms__answer__descriptor, f);
}

static kms_err decode(const struct buf *b, const ProtobufCMessageDescriptor *what)
{
	struct request r;
	struct answer a;

	return what == &kms__request__descriptor ? decode_request(b, ARENA_LIMIT, &r)
	                                         : decode_answer(b, &a);
}

/* ---- Twice --------------------------------------------------------------------------------- */

static void again_is_refused(const struct buf *b, const ProtobufCMessageDescriptor *what)
{
	assert_int_equal(decode(b, what), KMS_OK);
	for (size_t at = 0, n; at < b->n; at += n) {
		AUTO(buf_done) struct buf twice = { 0 };

		n = wire_field_len(bytes_of(b->p + at, b->n - at));
		wire_raw(&twice, b->p, b->n);
		wire_raw(&twice, b->p + at, n);
		assert_int_equal(decode(&twice, what), KMS_E_BAD_FRAME);
	}
}

static void no_field_twice(void **state)
{
	(void)state;
	for_each_message(again_is_refused);
}

/* Inside of an operation too, but for lists. */
static void no_inner_field_twice(void **state)
{
	(void)state;
	for (uint32_t number = 1; number <= 4; number++) {
		AUTO(buf_done) struct buf inner = { 0 }, outer = { 0 };

		put_filled(&inner, &kms__key_ref__descriptor, 0, 1);
		wire_any(&inner, number, number == 1 || number == 3 ? 2 : 0);
		wire_bytes(&outer, REF_FIELD, buf_bytes(&inner));
		request_is(&outer, KMS_E_BAD_FRAME);
	}
}

static void no_two_operations(void **state)
{
	(void)state;
	for (uint32_t other = 10; other <= 46; other++) {
		AUTO(buf_done) struct buf b = { 0 };
		struct request r;
		bool known = other <= 19 || (other >= 20 && other <= 36) || other >= 40;

		wire_bytes(&b, other, bytes_of(NULL, 0));
		wire_bytes(&b, 15, bytes_of(NULL, 0));
		kms_err e = decode_request(&b, ARENA_LIMIT, &r);
		assert_int_equal(e, known ? KMS_E_BAD_FRAME : KMS_OK);
		assert_true(known || r.op == OP_SEAL);
	}
}

static void no_two_results(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	wire_bytes(&b, 50, bytes_of(NULL, 0));
	answer_is(&b, KMS_OK);
	wire_bytes(&b, 12, bytes_of(NULL, 0));
	answer_is(&b, KMS_E_BAD_FRAME);
}

static void a_result_or_an_error(void **state)
{
	AUTO(buf_done) struct buf none = { 0 }, both = { 0 };

	(void)state;
	wire_number(&none, 1, ID);
	answer_is(&none, KMS_E_BAD_FRAME);
	wire_bytes(&both, 2, bytes_of(NULL, 0));
	answer_is(&both, KMS_OK);
	wire_bytes(&both, 50, bytes_of(NULL, 0));
	answer_is(&both, KMS_E_BAD_FRAME);
}

/* ---- Unknown ------------------------------------------------------------------------------- */

/* Unknown fields, before every field that there is and at the end, change nothing. */
static void unknown_is_skipped(const struct buf *b, const ProtobufCMessageDescriptor *what)
{
	static const uint32_t numbers[] = { 6, 100, 199, 256 + 1, 2047, (1U << 29) - 1 };
	AUTO(buf_done) struct buf more = { 0 };
	size_t n;

	for (size_t at = 0; at <= b->n; at += n) {
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
			wire_any(&more, numbers[i], 0);
			wire_any(&more, numbers[i], 1);
			wire_any(&more, numbers[i], 2);
			wire_any(&more, numbers[i], 5);
		}
		n = at < b->n ? wire_field_len(bytes_of(b->p + at, b->n - at)) : 1;
		if (at < b->n)
			wire_raw(&more, b->p + at, n);
	}
	assert_int_equal(decode(&more, what), KMS_OK);
}

static void unknown_fields_are_skipped(void **state)
{
	(void)state;
	for_each_message(unknown_is_skipped);
}

static void an_unknown_operation_is_none(void **state)
{
	(void)state;
	for (uint32_t number = 47; number < 100; number++) {
		AUTO(buf_done) struct buf b = { 0 };
		struct request r;

		wire_number(&b, 1, ID);
		wire_bytes(&b, number, bytes_of(NULL, 0));
		assert_int_equal(decode_request(&b, ARENA_LIMIT, &r), KMS_OK);
		assert_int_equal(r.op, OP_NONE);
		assert_int_equal(r.id, ID);
	}
}

/* A newer keeper may know errors that we don't. */
static void an_unknown_error_keeps_its_code(void **state)
{
	static const struct {
		const char *code, *name;
		enum err_wire wire;
		kms_err err;
	} errors[] = {
		{ "denied", "denied_by_the_moon", WIRE_DENIED, KMS_E_INTERNAL },
		{ "moon", "moon", WIRE_INTERNAL, KMS_E_INTERNAL },
		{ "limit", "too_many", WIRE_LIMIT, KMS_E_TOO_MANY },
		{ "ok", "ok", WIRE_INTERNAL, KMS_E_INTERNAL },
		{ "", "", WIRE_INTERNAL, KMS_E_INTERNAL },
		{ "a code that is longer than any there will ever be", "denied", WIRE_INTERNAL,
		    KMS_E_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
		struct answer a;

		wire_text(&inner, 1, errors[i].code);
		wire_text(&inner, 2, errors[i].name);
		wire_bytes(&b, 2, buf_bytes(&inner));
		assert_int_equal(decode_answer(&b, &a), KMS_OK);
		assert_int_equal(a.kind, ANSWER_ERROR);
		assert_int_equal(a.error.wire, errors[i].wire);
		assert_int_equal(a.error.err, errors[i].err);
	}
}

/* ---- Wrong --------------------------------------------------------------------------------- */

static void wrong_types_are_refused(void **state)
{
	static const ProtobufCMessageDescriptor *const both[] = { &kms__request__descriptor,
		&kms__answer__descriptor };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		for (unsigned i = 0; i < both[k]->n_fields; i++) {
			const ProtobufCFieldDescriptor *f = &both[k]->fields[i];
			unsigned right = f->type == PROTOBUF_C_TYPE_UINT64 ? 0 : 2;
			for (unsigned type = 0; type < WIRE_TYPES; type++) {
				AUTO(buf_done) struct buf b = { 0 };
				wire_any(&b, f->id, type);
				if (type != right)
					assert_int_equal(decode(&b, both[k]), KMS_E_BAD_FRAME);
			}
		}
	}
}

/* Groups could nest without end; 6 and 7 don't exist. */
static void unknown_types_are_refused(void **state)
{
	static const unsigned types[] = { 3, 4, 6, 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		AUTO(buf_done) struct buf b = { 0 };

		for (unsigned depth = 0; depth < 1000; depth++)
			wire_any(&b, 100, types[i]);
		request_is(&b, KMS_E_BAD_FRAME);
		answer_is(&b, KMS_E_BAD_FRAME);
	}
}

static void bad_varints_are_refused(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		kms_err err;
	} messages[] = {
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, KMS_OK },
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, KMS_E_BAD_FRAME },
		{ "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12, KMS_E_BAD_FRAME },
		{ "\x08\x80\x00", 3, KMS_OK }, /* longer than needed: other writers do that */
		{ "\x08\x80", 2, KMS_E_BAD_FRAME },
		{ "\x08", 1, KMS_E_BAD_FRAME },
		{ "\x80", 1, KMS_E_BAD_FRAME },
		{ "\x00\x00", 2, KMS_E_BAD_FRAME }, /* field 0 */
		{ "\x07\x00", 2, KMS_E_BAD_FRAME },
		{ "\xf8\xff\xff\xff\x0f\x01", 6, KMS_OK },          /* field 2^29 - 1 */
		{ "\x80\x80\x80\x80\x10\x01", 6, KMS_E_BAD_FRAME }, /* 2^29 */
		{ "\x12\x05"
		  "abcd",
		    6, KMS_E_BAD_FRAME },
		{ "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, KMS_E_BAD_FRAME },
		{ "\x09\x01\x02\x03\x04\x05\x06\x07", 8, KMS_E_BAD_FRAME },
		{ "\xa1\x06\x01\x02\x03\x04\x05\x06\x07", 9, KMS_E_BAD_FRAME },
		{ "\xa5\x06\x01\x02\x03", 5, KMS_E_BAD_FRAME },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		AUTO(buf_done) struct buf b = { 0 };

		wire_raw(&b, messages[i].text, messages[i].n);
		request_is(&b, messages[i].err);
	}
}

/* Cut down to 32 bits it would be another version. */
static void too_wide_numbers_are_refused(void **state)
{
	static const struct {
		uint64_t x;
		kms_err err;
	} numbers[] = { { UINT32_MAX, KMS_OK }, { UINT64_C(1) << 32, KMS_E_BAD_FRAME },
		{ (UINT64_C(1) << 32) + 1, KMS_E_BAD_FRAME }, { UINT64_MAX, KMS_E_BAD_FRAME } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };

		wire_number(&inner, 2, numbers[i].x);
		wire_bytes(&b, REF_FIELD, buf_bytes(&inner));
		request_is(&b, numbers[i].err);
	}
}

static void any_flag_is_true(void **state)
{
	AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
	struct request r;

	(void)state;
	wire_number(&inner, 4, UINT64_C(1) << 40);
	wire_bytes(&b, REF_FIELD, buf_bytes(&inner));
	assert_int_equal(decode_request(&b, ARENA_LIMIT, &r), KMS_OK);
	assert_true(r.dry_run);
}

/* What a damaged message is one of. */
struct damaged {
	const ProtobufCMessageDescriptor *what;
};

static void cut_or_flipped(struct bytes damaged, size_t at, void *arg)
{
	const struct damaged *x = arg;
	AUTO(buf_done) struct buf b = { 0 };

	(void)at;
	wire_raw(&b, damaged.p, damaged.n);
	kms_err e = decode(&b, x->what);
	assert_true(e == KMS_OK || e == KMS_E_BAD_FRAME);
}

static void damage_of(const struct buf *b, const ProtobufCMessageDescriptor *what)
{
	struct damaged x = { what };

	damage_cuts(buf_bytes(b), cut_or_flipped, &x);
	damage_flips(buf_bytes(b), cut_or_flipped, &x);
}

static void damage_never_harms(void **state)
{
	(void)state;
	for_each_message(damage_of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_field_twice),
		cmocka_unit_test(no_inner_field_twice),
		cmocka_unit_test(no_two_operations),
		cmocka_unit_test(no_two_results),
		cmocka_unit_test(a_result_or_an_error),
		cmocka_unit_test(unknown_fields_are_skipped),
		cmocka_unit_test(an_unknown_operation_is_none),
		cmocka_unit_test(an_unknown_error_keeps_its_code),
		cmocka_unit_test(wrong_types_are_refused),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(bad_varints_are_refused),
		cmocka_unit_test(too_wide_numbers_are_refused),
		cmocka_unit_test(any_flag_is_true),
		cmocka_unit_test(damage_never_harms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
