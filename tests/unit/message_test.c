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

enum {
	TURNS = 50,
	ARENA_LIMIT = 1 << 20
};

#define SAME_TEXT(ours, theirs) assert_true(bytes_equal((ours), bytes_of_str(theirs)))
#define SAME_BYTES(ours, theirs)                                                                   \
	assert_true(bytes_equal((ours), bytes_of((theirs).data, (theirs).len)))
#define SAME(ours, theirs) assert_int_equal((ours), (theirs))

/* ---- Requests ------------------------------------------------------------------------------ */

static void same_pairs(struct pairs ours, Kms__Pair *const *theirs, size_t n)
{
	SAME(ours.n, n);
	for (size_t i = 0; i < n; i++) {
		SAME_TEXT(ours.p[i].name, theirs[i]->name);
		SAME_BYTES(ours.p[i].value, theirs[i]->value);
	}
}

static void same_create(const struct request *r, const Kms__CreateKey *p)
{
	SAME_TEXT(r->key, p->key);
	SAME_TEXT(r->key_class, p->class_);
	SAME_TEXT(r->algorithm, p->algorithm);
	SAME(r->rotate_every_s, p->rotate_every_s);
	SAME(r->dry_run, p->dry_run);
}

static void same_ref(const struct request *r, const Kms__KeyRef *p)
{
	SAME_TEXT(r->key, p->key);
	SAME(r->version, p->version);
	SAME_TEXT(r->reason, p->reason);
	SAME(r->dry_run, p->dry_run);
}

static void same_issue(const struct request *r, const Kms__Issue *p)
{
	SAME_TEXT(r->key, p->key);
	same_pairs(r->context, p->context, p->n_context);
	SAME(r->count, p->count);
	SAME(r->wrapped_only, p->wrapped_only);
}

static void same_batch(const struct request *r, const Kms__Batch *p)
{
	SAME_TEXT(r->key, p->key);
	SAME(r->item_count, p->n_items);
	for (size_t i = 0; i < p->n_items; i++) {
		SAME_BYTES(r->items[i].data, p->items[i]->data);
		same_pairs(r->items[i].context, p->items[i]->context, p->items[i]->n_context);
		same_pairs(
		    r->items[i].new_context, p->items[i]->new_context, p->items[i]->n_new_context);
		SAME(r->items[i].change_context, p->items[i]->change_context);
	}
}

/* The members of the oneof, by what they hold. */
static void same_operation(const struct request *r, const Kms__Request *p)
{
	switch (r->op) {
	case OP_INIT:
	case OP_SLOT_CHECK: SAME_TEXT(r->slot, p->init->slot); break;
	case OP_UNSEAL: SAME_TEXT(r->slot, p->unseal->slot); break;
	case OP_KEY_CREATE: same_create(r, p->key_create); break;
	case OP_KEY_LIST:
		SAME_TEXT(r->key, p->key_list->after);
		SAME(r->count, p->key_list->limit);
		break;
	case OP_ISSUE: same_issue(r, p->issue); break;
	case OP_WRAP:
	case OP_UNWRAP:
	case OP_REWRAP:
	case OP_MAC: same_batch(r, p->wrap); break;
	case OP_RANDOM: SAME(r->count, p->random->n); break;
	case OP_AUDIT_READ:
		SAME(r->from, p->audit_read->from);
		SAME(r->count, p->audit_read->limit);
		SAME(r->wait, p->audit_read->wait);
		break;
	default:
		if (r->op >= OP_KEY_SHOW && r->op <= OP_KEY_CANCEL_DESTROY)
			same_ref(r, p->key_show);
		break;
	}
}

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

static void same_error(const struct answer_error *e, const Kms__Error *p)
{
	CHECK(p != NULL);
	SAME_TEXT(e->code, p->code);
	SAME_TEXT(e->name, p->name);
	SAME_TEXT(e->text, p->text);
	SAME_TEXT(e->hint, p->hint);
	SAME_TEXT(e->detail, p->detail);
	assert_string_equal(err_name(e->err), p->name);
	assert_string_equal(err_wire_name(e->wire), p->code);
}

static void same_texts(const struct bytes *ours, size_t ours_n, char *const *theirs, size_t n)
{
	SAME(ours_n, n);
	for (size_t i = 0; i < n; i++)
		SAME_TEXT(ours[i], theirs[i]);
}

static void same_slots(
    const struct slot_info *ours, size_t ours_n, Kms__SlotInfo *const *theirs, size_t n)
{
	SAME(ours_n, n);
	for (size_t i = 0; i < n; i++) {
		SAME_BYTES(ours[i].id, theirs[i]->id);
		SAME_TEXT(ours[i].kind, theirs[i]->kind);
		SAME_TEXT(ours[i].name, theirs[i]->name);
		SAME(ours[i].created_us, theirs[i]->created_us);
		SAME_TEXT(ours[i].last, theirs[i]->last);
		SAME_TEXT(ours[i].detail, theirs[i]->detail);
	}
}

static void same_status(const struct status_info *s, const Kms__Status *p)
{
	SAME_TEXT(s->program, p->program);
	SAME(s->protocol, p->protocol);
	SAME(s->wrapped_format, p->wrapped_format);
	SAME(s->store_schema, p->store_schema);
	SAME_TEXT(s->state, p->state);
	SAME_BYTES(s->instance, p->instance);
	SAME_TEXT(s->why, p->why);
	SAME(s->epoch, p->epoch);
	SAME(s->counter, p->counter);
	SAME(s->counter_behind, p->counter_behind);
	SAME(s->counter_moves, p->counter_moves);
	SAME(s->keys, p->keys);
	SAME(s->versions, p->versions);
	SAME(s->audit_records, p->audit_records);
	SAME_TEXT(s->audit_state, p->audit_state);
	SAME(s->memory_locked, p->memory_locked);
	SAME(s->memory_hidden, p->memory_hidden);
	SAME(s->connections, p->connections);
	SAME(s->started_us, p->started_us);
	SAME(s->keeper_starts, p->keeper_starts);
	same_texts(s->sandbox, s->sandbox_n, p->sandbox, p->n_sandbox);
	same_slots(s->slots, s->slot_n, p->slots, p->n_slots);
}

static void same_version(const struct version_info *v, const Kms__Version *p)
{
	SAME(v->version, p->version);
	SAME_TEXT(v->state, p->state);
	SAME_TEXT(v->reason, p->reason);
	SAME(v->created_us, p->created_us);
	SAME(v->since_us, p->since_us);
	SAME(v->issued, p->counts->issued);
	SAME(v->wrapped, p->counts->wrapped);
	SAME(v->unwrapped, p->counts->unwrapped);
	SAME(v->above_floor, p->above_floor);
}

static void same_key(const struct key_info *k, const Kms__Key *p)
{
	SAME_TEXT(k->key, p->key);
	SAME_BYTES(k->id, p->id);
	SAME_TEXT(k->key_class, p->class_);
	SAME_TEXT(k->algorithm, p->algorithm);
	SAME(k->version, p->version);
	SAME_TEXT(k->state, p->state);
	SAME(k->floor, p->floor);
	SAME(k->created_us, p->created_us);
	SAME(k->rotate_every_s, p->rotate_every_s);
	SAME(k->version_n, p->n_versions);
	for (size_t i = 0; i < p->n_versions; i++)
		same_version(&k->versions[i], p->versions[i]);
	SAME(k->version_count, p->version_count);
}

static void same_items(const struct answer *a, const Kms__Items *p)
{
	SAME(a->u.items.n, p->n_items);
	for (size_t i = 0; i < p->n_items; i++) {
		const struct item_result *r = &a->u.items.p[i];
		const Kms__ItemResult *t = p->items[i];

		same_error(&r->error, t->error);
		SAME_BYTES(r->wrapped, t->wrapped);
		SAME_BYTES(r->plaintext, t->plaintext);
		SAME_TEXT(r->key, t->key);
		SAME(r->version, t->version);
		SAME(r->rewrap_advised, t->rewrap_advised);
		SAME(r->compromised, t->compromised);
	}
}

static void same_records(const struct answer *a, const Kms__Records *p)
{
	SAME(a->u.records.n, p->n_records);
	for (size_t i = 0; i < p->n_records; i++)
		SAME_BYTES(a->u.records.p[i], p->records[i]);
	SAME(a->u.records.first, p->first);
	SAME(a->u.records.size, p->size);
}

static void same_keys(const struct answer *a, const Kms__KeyList *p)
{
	SAME(a->u.keys.n, p->n_keys);
	for (size_t i = 0; i < p->n_keys; i++)
		same_key(&a->u.keys.p[i], p->keys[i]);
	SAME(a->u.keys.more, p->more);
}

static void same_result(const struct answer *a, const Kms__Answer *p)
{
	switch (a->kind) {
	case ANSWER_ERROR: same_error(&a->error, p->error); break;
	case ANSWER_DONE: break;
	case ANSWER_STATUS: same_status(&a->u.status, p->status); break;
	case ANSWER_WHOAMI:
		SAME_TEXT(a->u.whoami.identity, p->whoami->identity);
		SAME(a->u.whoami.admin, p->whoami->admin);
		same_texts(a->u.whoami.groups, a->u.whoami.group_n, p->whoami->groups,
		    p->whoami->n_groups);
		break;
	case ANSWER_METRICS:
	case ANSWER_RANDOM: SAME_BYTES(a->u.text, p->metrics->data); break;
	case ANSWER_SLOTS:
		same_slots(a->u.slots.p, a->u.slots.n, p->slots->slots, p->slots->n_slots);
		break;
	case ANSWER_KEY: same_key(&a->u.key, p->key); break;
	case ANSWER_KEYS: same_keys(a, p->keys); break;
	case ANSWER_ITEMS: same_items(a, p->items); break;
	case ANSWER_RECORDS: same_records(a, p->records); break;
	}
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
