/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of message.c against the code that protoc-c makes of kms.proto: a message that it has
 * filled and written is read field by field, and what we write of it again is the same bytes. So
 * each direction is held against the other implementation, for each operation and result.
 */
#include "proto/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "tests/unit/hex.h"
#include "tests/unit/message_fill.h"
#include "tests/unit/message_same.h"

enum {
	TURNS = 50,
	ARENA_LIMIT = 1 << 20
};

static const struct {
	enum op op;
	uint32_t number;
} operations[] = {
	{ OP_STATUS, KMS__REQUEST__OP_STATUS },
	{ OP_WHOAMI, KMS__REQUEST__OP_WHOAMI },
	{ OP_METRICS, KMS__REQUEST__OP_METRICS },
	{ OP_INIT, KMS__REQUEST__OP_INIT },
	{ OP_UNSEAL, KMS__REQUEST__OP_UNSEAL },
	{ OP_SEAL, KMS__REQUEST__OP_SEAL },
	{ OP_SLOT_LIST, KMS__REQUEST__OP_SLOT_LIST },
	{ OP_SLOT_CHECK, KMS__REQUEST__OP_SLOT_CHECK },
	{ OP_SLOT_ADD, KMS__REQUEST__OP_SLOT_ADD },
	{ OP_SLOT_REMOVE, KMS__REQUEST__OP_SLOT_REMOVE },
	{ OP_ROOT_ROTATE, KMS__REQUEST__OP_ROOT_ROTATE },
	{ OP_BACKUP_CREATE, KMS__REQUEST__OP_BACKUP_CREATE },
	{ OP_BACKUP_LIST, KMS__REQUEST__OP_BACKUP_LIST },
	{ OP_BACKUP_VERIFY, KMS__REQUEST__OP_BACKUP_VERIFY },
	{ OP_BACKUP_RESTORE, KMS__REQUEST__OP_BACKUP_RESTORE },
	{ OP_BACKUP_REHEARSED, KMS__REQUEST__OP_BACKUP_REHEARSED },
	{ OP_KEY_PROVE, KMS__REQUEST__OP_KEY_PROVE },
	{ OP_KEY_CREATE, KMS__REQUEST__OP_KEY_CREATE },
	{ OP_KEY_LIST, KMS__REQUEST__OP_KEY_LIST },
	{ OP_KEY_SHOW, KMS__REQUEST__OP_KEY_SHOW },
	{ OP_KEY_ROTATE, KMS__REQUEST__OP_KEY_ROTATE },
	{ OP_KEY_SUSPEND, KMS__REQUEST__OP_KEY_SUSPEND },
	{ OP_KEY_RESUME, KMS__REQUEST__OP_KEY_RESUME },
	{ OP_KEY_DEACTIVATE, KMS__REQUEST__OP_KEY_DEACTIVATE },
	{ OP_KEY_COMPROMISE, KMS__REQUEST__OP_KEY_COMPROMISE },
	{ OP_KEY_DESTROY, KMS__REQUEST__OP_KEY_DESTROY },
	{ OP_KEY_CANCEL_DESTROY, KMS__REQUEST__OP_KEY_CANCEL_DESTROY },
	{ OP_ISSUE, KMS__REQUEST__OP_ISSUE },
	{ OP_WRAP, KMS__REQUEST__OP_WRAP },
	{ OP_UNWRAP, KMS__REQUEST__OP_UNWRAP },
	{ OP_REWRAP, KMS__REQUEST__OP_REWRAP },
	{ OP_MAC, KMS__REQUEST__OP_MAC },
	{ OP_RANDOM, KMS__REQUEST__OP_RANDOM },
	{ OP_AUDIT_READ, KMS__REQUEST__OP_AUDIT_READ },
};

/* As protoc-c writes it, in memory of exactly its size. */
static struct hex pack(const ProtobufCMessage *m)
{
	struct hex packed = hex_room(protobuf_c_message_get_packed_size(m));

	assert_int_equal(protobuf_c_message_pack(m, packed.p), packed.n);
	return packed;
}

static void is_frame_of(const struct buf *frame, struct bytes message)
{
	assert_int_equal(frame->n, FRAME_HEAD + message.n);
	assert_int_equal(load_u32(frame->p), message.n);
	assert_true(bytes_equal(bytes_of(frame->p + FRAME_HEAD, message.n), message));
}

static void request_agrees(const Kms__Request *p, enum op op, struct arena *a)
{
	struct hex packed = pack(&p->base);
	struct bytes message = hex_bytes(packed);
	AUTO(buf_done) struct buf again = { 0 };
	struct request r;

	assert_int_equal(request_decode(message, a, &r), KMS_OK);
	SAME(r.id, p->id);
	SAME_BYTES(r.idempotency_key, p->idempotency_key);
	SAME_TEXT(r.asserted, p->asserted);
	SAME_TEXT(r.subject, p->subject);
	SAME_TEXT(r.purpose, p->purpose);
	SAME(r.op, op);
	same_operation(&r, p);
	assert_int_equal(request_encode(&r, &again), KMS_OK);
	is_frame_of(&again, message);
	hex_done(&packed);
	arena_reset(a);
}

static void every_request_agrees(void **state)
{
	AUTO(arena_done) struct arena a;
	struct dice d = dice_of(6);

	(void)state;
	arena_init(&a, ARENA_LIMIT);
	for (size_t i = 0; i < TURNS * ARRAY_LEN(operations); i++) {
		size_t k = i % ARRAY_LEN(operations);
		ProtobufCMessage *m = fill_new(&d, &kms__request__descriptor, operations[k].number);
		request_agrees((const Kms__Request *)m, operations[k].op, &a);
		protobuf_c_message_free_unpacked(m, NULL);
	}
}

/* Every member of the oneof has its row above. */
static void no_operation_is_forgotten(void **state)
{
	size_t members = 0;

	(void)state;
	for (unsigned i = 0; i < kms__request__descriptor.n_fields; i++)
		members +=
		    (kms__request__descriptor.fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
	assert_int_equal(members, ARRAY_LEN(operations));
}

static void empty_requests_agree(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, ARENA_LIMIT);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		AUTO(buf_done) struct buf b = { 0 };
		const struct request r = { .op = operations[i].op };
		struct request back;

		assert_int_equal(request_encode(&r, &b), KMS_OK);
		Kms__Request *p = kms__request__unpack(NULL, b.n - FRAME_HEAD, b.p + FRAME_HEAD);
		assert_non_null(p);
		SAME(p->op_case, operations[i].number);
		kms__request__free_unpacked(p, NULL);
		assert_int_equal(
		    request_decode(bytes_of(b.p + FRAME_HEAD, b.n - FRAME_HEAD), &a, &back),
		    KMS_OK);
		SAME(back.op, operations[i].op);
	}
}

/* ---- Answers ------------------------------------------------------------------------------- */

/* An error as we would write it; protoc-c's filling has made up its words. */
static void set_text(char **to, const char *text)
{
	free(*to);
	*to = strdup(text);
	assert_non_null(*to);
}

static void set_error(struct dice *d, Kms__Error *p)
{
	CHECK(p != NULL);
	kms_err e = (kms_err)(1 + dice_below(d, KMS_ERR_COUNT - 1));

	set_text(&p->code, err_wire_name(err_wire(e)));
	set_text(&p->name, err_name(e));
	set_text(&p->text, err_text(e));
	set_text(&p->hint, err_hint(e));
}

static const struct {
	enum answer_kind kind;
	uint32_t number;
} results[] = {
	{ ANSWER_ERROR, 0 },
	{ ANSWER_DONE, KMS__ANSWER__RESULT_DONE },
	{ ANSWER_STATUS, KMS__ANSWER__RESULT_STATUS },
	{ ANSWER_WHOAMI, KMS__ANSWER__RESULT_WHOAMI },
	{ ANSWER_METRICS, KMS__ANSWER__RESULT_METRICS },
	{ ANSWER_SLOTS, KMS__ANSWER__RESULT_SLOTS },
	{ ANSWER_KEY, KMS__ANSWER__RESULT_KEY },
	{ ANSWER_KEYS, KMS__ANSWER__RESULT_KEYS },
	{ ANSWER_ITEMS, KMS__ANSWER__RESULT_ITEMS },
	{ ANSWER_RANDOM, KMS__ANSWER__RESULT_RANDOM },
	{ ANSWER_RECORDS, KMS__ANSWER__RESULT_RECORDS },
	{ ANSWER_CEREMONY, KMS__ANSWER__RESULT_CEREMONY },
	{ ANSWER_PROOF, KMS__ANSWER__RESULT_PROOF },
	{ ANSWER_BACKUPS, KMS__ANSWER__RESULT_BACKUPS },
};

/* protoc-c's filling, with errors as there may be: instead of a result, and in some items. */
static Kms__Answer *new_answer(struct dice *d, uint32_t number)
{
	Kms__Answer *p = (Kms__Answer *)fill_new(d, &kms__answer__descriptor, number);

	if (number == 0) {
		set_error(d, p->error);
	} else {
		kms__error__free_unpacked(p->error, NULL);
		p->error = NULL;
	}
	for (size_t i = 0; number == KMS__ANSWER__RESULT_ITEMS && i < p->items->n_items; i++)
		set_error(d, p->items->items[i]->error);
	return p;
}

static void answer_agrees(const Kms__Answer *p, enum answer_kind kind, struct arena *a)
{
	struct hex packed = pack(&p->base);
	struct bytes message = hex_bytes(packed);
	AUTO(buf_done) struct buf again = { 0 };
	struct answer ans;

	assert_int_equal(answer_decode(message, a, &ans), KMS_OK);
	SAME(ans.id, p->id);
	SAME(ans.kind, kind);
	same_result(&ans, p);
	assert_int_equal(answer_encode(&ans, NULL, &again), KMS_OK);
	is_frame_of(&again, message);
	hex_done(&packed);
	arena_reset(a);
}

static void every_answer_agrees(void **state)
{
	AUTO(arena_done) struct arena a;
	struct dice d = dice_of(7);

	(void)state;
	arena_init(&a, ARENA_LIMIT);
	for (size_t i = 0; i < TURNS * ARRAY_LEN(results); i++) {
		size_t k = i % ARRAY_LEN(results);
		Kms__Answer *p = new_answer(&d, results[k].number);
		answer_agrees(p, results[k].kind, &a);
		kms__answer__free_unpacked(p, NULL);
	}
}

static void no_result_is_forgotten(void **state)
{
	size_t members = 0;

	(void)state;
	for (unsigned i = 0; i < kms__answer__descriptor.n_fields; i++)
		members +=
		    (kms__answer__descriptor.fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
	assert_int_equal(members + 1, ARRAY_LEN(results));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_agrees),
		cmocka_unit_test(no_operation_is_forgotten),
		cmocka_unit_test(empty_requests_agree),
		cmocka_unit_test(every_answer_agrees),
		cmocka_unit_test(no_result_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
