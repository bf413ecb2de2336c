/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms.proto as tables, and the four calls that use them. Reads a peer's bytes first of all
 * floors above the frame, so it may neither trust a length nor allocate outside the arena.
 * tests/unit/message_test.c holds the tables against the code that protoc-c makes of kms.proto.
 */
#include "proto/message.h"

#include "proto/frame.h"
#include "proto/shape.h"

/* clang-format off */
#define FIELD(no, what, type, member) \
	.number = (no), .kind = (what), .offset = offsetof(type, member)
#define U64(no, type, member)       { FIELD(no, FIELD_U64, type, member) }
#define U32(no, type, member)       { FIELD(no, FIELD_U32, type, member) }
#define FLAG(no, type, member)      { FIELD(no, FIELD_BOOL, type, member) }
#define BYTES(no, type, member)     { FIELD(no, FIELD_BYTES, type, member) }
#define MESSAGE(no, type, member, s) { FIELD(no, FIELD_MESSAGE, type, member), .sub = &(s) }
#define LIST(no, type, member, n, s) \
	{ FIELD(no, FIELD_LIST, type, member), .count = offsetof(type, n), .sub = &(s) }
#define LIST_UP_TO(no, type, member, n, s, max, err) \
	{ FIELD(no, FIELD_LIST, type, member), .count = offsetof(type, n), .sub = &(s), \
	  .limit = (max), .over = (err) }
#define BYTES_LIST(no, type, member, n) \
	{ FIELD(no, FIELD_BYTES_LIST, type, member), .count = offsetof(type, n) }
/* A member of a oneof: its fields are spread over the outer struct, or one part of it. */
#define CHOICE(no, value, s)        { .number = (no), .kind = FIELD_MESSAGE, .choice = (value), .sub = &(s) }
#define CHOICE_AT(no, value, type, member, s) \
	{ FIELD(no, FIELD_MESSAGE, type, member), .choice = (value), .sub = &(s) }

#define SHAPE(name, type, ...)                                                                     \
	static const struct field name##_fields[] = { __VA_ARGS__ };                               \
	static const struct shape name##_shape = { .fields = name##_fields,                        \
		.n = ARRAY_LEN(name##_fields), .size = sizeof(type) };                             \
	static_assert(ARRAY_LEN(name##_fields) <= 64, "more fields than bits to tell a second")

/* ---- Request ------------------------------------------------------------------------------ */

#define PAIRS(no, type, member) \
	/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */ \
	LIST_UP_TO(no, type, member.p, member.n, pair_shape, CONTEXT_MAX_PAIRS, KMS_E_BAD_CONTEXT)

static const struct shape empty_shape = { .n = 0 };

SHAPE(pair, struct pair,
	BYTES(1, struct pair, name),
	BYTES(2, struct pair, value));

SHAPE(item, struct item,
	BYTES(1, struct item, data),
	PAIRS(2, struct item, context),
	PAIRS(3, struct item, new_context),
	FLAG(4, struct item, change_context));

SHAPE(init, struct request,
	BYTES(1, struct request, slot),
	U32(2, struct request, shares_needed),
	U32(3, struct request, shares_total),
	FLAG(4, struct request, dry_run),
	BYTES(5, struct request, confirm));

SHAPE(slot_ref, struct request,
	BYTES(1, struct request, slot),
	FLAG(2, struct request, rely_on_shares),
	FLAG(3, struct request, dry_run));

SHAPE(unseal, struct request,
	BYTES(1, struct request, slot),
	BYTES(2, struct request, share),
	BYTES(3, struct request, ceremony),
	FLAG(4, struct request, accept_restore),
	FLAG(5, struct request, cancel));

SHAPE(rotate_root, struct request,
	BYTES_LIST(1, struct request, leave_out, leave_out_n),
	FLAG(2, struct request, renew_store),
	FLAG(3, struct request, dry_run),
	BYTES(4, struct request, confirm));

SHAPE(backup_ref, struct request,
	BYTES(1, struct request, key),
	FLAG(2, struct request, failed),
	U32(3, struct request, count),
	FLAG(4, struct request, dry_run));

SHAPE(prove, struct request,
	BYTES(1, struct request, key),
	U32(2, struct request, version),
	BYTES(3, struct request, challenge));

SHAPE(create, struct request,
	BYTES(1, struct request, key),
	BYTES(2, struct request, key_class),
	BYTES(3, struct request, algorithm),
	U64(4, struct request, rotate_every_s),
	FLAG(5, struct request, dry_run));

SHAPE(page, struct request,
	BYTES(1, struct request, key),
	U32(2, struct request, count));

SHAPE(ref, struct request,
	BYTES(1, struct request, key),
	U32(2, struct request, version),
	BYTES(3, struct request, reason),
	FLAG(4, struct request, dry_run));

SHAPE(issue, struct request,
	BYTES(1, struct request, key),
	PAIRS(2, struct request, context),
	U32(3, struct request, count),
	FLAG(4, struct request, wrapped_only));

SHAPE(batch, struct request,
	BYTES(1, struct request, key),
	LIST_UP_TO(2, struct request, items, item_count, item_shape, BATCH_MAX,
	    KMS_E_BATCH_TOO_BIG));

SHAPE(random, struct request,
	U32(1, struct request, count));

SHAPE(audit, struct request,
	U64(1, struct request, from),
	U32(2, struct request, count),
	FLAG(3, struct request, wait));

static const struct field request_fields[] = {
	U64(1, struct request, id),
	BYTES(2, struct request, idempotency_key),
	BYTES(3, struct request, asserted),
	BYTES(4, struct request, subject),
	BYTES(5, struct request, purpose),
	CHOICE(10, OP_STATUS, empty_shape),
	CHOICE(11, OP_WHOAMI, empty_shape),
	CHOICE(12, OP_METRICS, empty_shape),
	CHOICE(13, OP_INIT, init_shape),
	CHOICE(14, OP_UNSEAL, unseal_shape),
	CHOICE(15, OP_SEAL, empty_shape),
	CHOICE(16, OP_SLOT_LIST, empty_shape),
	CHOICE(17, OP_SLOT_CHECK, slot_ref_shape),
	CHOICE(18, OP_SLOT_ADD, init_shape),
	CHOICE(19, OP_SLOT_REMOVE, slot_ref_shape),
	CHOICE(20, OP_KEY_CREATE, create_shape),
	CHOICE(21, OP_KEY_LIST, page_shape),
	CHOICE(22, OP_KEY_SHOW, ref_shape),
	CHOICE(23, OP_KEY_ROTATE, ref_shape),
	CHOICE(24, OP_KEY_SUSPEND, ref_shape),
	CHOICE(25, OP_KEY_RESUME, ref_shape),
	CHOICE(26, OP_KEY_DEACTIVATE, ref_shape),
	CHOICE(27, OP_KEY_COMPROMISE, ref_shape),
	CHOICE(28, OP_KEY_DESTROY, ref_shape),
	CHOICE(29, OP_KEY_CANCEL_DESTROY, ref_shape),
	CHOICE(30, OP_ISSUE, issue_shape),
	CHOICE(31, OP_WRAP, batch_shape),
	CHOICE(32, OP_UNWRAP, batch_shape),
	CHOICE(33, OP_REWRAP, batch_shape),
	CHOICE(34, OP_MAC, batch_shape),
	CHOICE(35, OP_RANDOM, random_shape),
	CHOICE(36, OP_KEY_PROVE, prove_shape),
	CHOICE(40, OP_AUDIT_READ, audit_shape),
	CHOICE(41, OP_ROOT_ROTATE, rotate_root_shape),
	CHOICE(42, OP_BACKUP_CREATE, empty_shape),
	CHOICE(43, OP_BACKUP_LIST, empty_shape),
	CHOICE(44, OP_BACKUP_VERIFY, backup_ref_shape),
	CHOICE(45, OP_BACKUP_RESTORE, backup_ref_shape),
	CHOICE(46, OP_BACKUP_REHEARSED, backup_ref_shape),
};

static const struct shape request_shape = { .fields = request_fields,
	.n = ARRAY_LEN(request_fields), .size = sizeof(struct request),
	.choice = offsetof(struct request, op) };

static_assert(sizeof(enum op) == sizeof(uint32_t), "a choice has 32 bits");

/* ---- Answer ------------------------------------------------------------------------------- */

SHAPE(error, struct answer_error,
	BYTES(1, struct answer_error, code),
	BYTES(2, struct answer_error, name),
	BYTES(3, struct answer_error, text),
	BYTES(4, struct answer_error, hint),
	BYTES(5, struct answer_error, detail));

SHAPE(slot_info, struct slot_info,
	BYTES(1, struct slot_info, id),
	BYTES(2, struct slot_info, kind),
	BYTES(3, struct slot_info, name),
	U64(4, struct slot_info, created_us),
	BYTES(5, struct slot_info, last),
	BYTES(6, struct slot_info, detail));

SHAPE(ceremony, struct ceremony_info,
	BYTES(1, struct ceremony_info, nonce),
	U32(2, struct ceremony_info, needed),
	U32(3, struct ceremony_info, have),
	U64(4, struct ceremony_info, expires_us),
	BYTES(5, struct ceremony_info, set));

SHAPE(backup, struct backup_info,
	BYTES(1, struct backup_info, name),
	BYTES(2, struct backup_info, id),
	U64(3, struct backup_info, created_us),
	U64(4, struct backup_info, expires_us),
	U64(5, struct backup_info, size),
	U64(6, struct backup_info, epoch),
	U64(7, struct backup_info, audit_records),
	U64(8, struct backup_info, rows),
	BYTES(9, struct backup_info, state),
	LIST(10, struct backup_info, slots, slot_n, slot_info_shape),
	BYTES(11, struct backup_info, detail));

SHAPE(status, struct status_info,
	BYTES(1, struct status_info, program),
	U32(2, struct status_info, protocol),
	U32(3, struct status_info, wrapped_format),
	U32(4, struct status_info, store_schema),
	BYTES(5, struct status_info, state),
	BYTES(6, struct status_info, instance),
	BYTES(7, struct status_info, why),
	U64(8, struct status_info, epoch),
	U64(9, struct status_info, counter),
	FLAG(10, struct status_info, counter_behind),
	U64(11, struct status_info, counter_moves),
	U64(12, struct status_info, keys),
	U64(13, struct status_info, versions),
	U64(14, struct status_info, audit_records),
	BYTES(15, struct status_info, audit_state),
	FLAG(16, struct status_info, memory_locked),
	FLAG(17, struct status_info, memory_hidden),
	U32(18, struct status_info, connections),
	U64(19, struct status_info, started_us),
	U32(20, struct status_info, keeper_starts),
	BYTES_LIST(21, struct status_info, sandbox, sandbox_n),
	LIST(22, struct status_info, slots, slot_n, slot_info_shape),
	BYTES(23, struct status_info, counter_state),
	MESSAGE(24, struct status_info, ceremony, ceremony_shape),
	U64(25, struct status_info, backup_us),
	U64(26, struct status_info, rehearsal_us),
	BYTES(27, struct status_info, backup_state),
	BYTES(28, struct status_info, rehearsal_state),
	BYTES(29, struct status_info, restoring));

SHAPE(whoami, struct answer,
	BYTES(1, struct answer, u.whoami.identity),
	FLAG(2, struct answer, u.whoami.admin),
	BYTES_LIST(3, struct answer, u.whoami.groups, u.whoami.group_n));

SHAPE(text, struct answer,
	BYTES(1, struct answer, u.text));

SHAPE(slots, struct answer,
	LIST(1, struct answer, u.slots.p, u.slots.n, slot_info_shape),
	BYTES_LIST(2, struct answer, u.slots.shares, u.slots.share_n),
	BYTES(3, struct answer, u.slots.confirm));

SHAPE(backups, struct answer,
	LIST(1, struct answer, u.backups.p, u.backups.n, backup_shape));

SHAPE(counts, struct version_info,
	U64(1, struct version_info, issued),
	U64(2, struct version_info, wrapped),
	U64(3, struct version_info, unwrapped));

SHAPE(version, struct version_info,
	U32(1, struct version_info, version),
	BYTES(2, struct version_info, state),
	BYTES(3, struct version_info, reason),
	U64(4, struct version_info, created_us),
	U64(5, struct version_info, since_us),
	{ .number = 6, .kind = FIELD_MESSAGE, .sub = &counts_shape },
	FLAG(7, struct version_info, above_floor));

SHAPE(key, struct key_info,
	BYTES(1, struct key_info, key),
	BYTES(2, struct key_info, id),
	BYTES(3, struct key_info, key_class),
	BYTES(4, struct key_info, algorithm),
	U32(5, struct key_info, version),
	BYTES(6, struct key_info, state),
	U32(7, struct key_info, floor),
	U64(8, struct key_info, created_us),
	U64(9, struct key_info, rotate_every_s),
	LIST(10, struct key_info, versions, version_n, version_shape),
	U32(11, struct key_info, version_count),
	U64(12, struct key_info, backed_up_until_us));

SHAPE(keys, struct answer,
	LIST(1, struct answer, u.keys.p, u.keys.n, key_shape),
	FLAG(2, struct answer, u.keys.more));

SHAPE(item_result, struct item_result,
	{ FIELD(1, FIELD_ERROR, struct item_result, error), .sub = &error_shape },
	BYTES(2, struct item_result, wrapped),
	BYTES(3, struct item_result, plaintext),
	BYTES(4, struct item_result, key),
	U32(5, struct item_result, version),
	FLAG(6, struct item_result, rewrap_advised),
	FLAG(7, struct item_result, compromised));

SHAPE(items, struct answer,
	LIST(1, struct answer, u.items.p, u.items.n, item_result_shape));

SHAPE(records, struct answer,
	BYTES_LIST(1, struct answer, u.records.p, u.records.n),
	U64(2, struct answer, u.records.first),
	U64(3, struct answer, u.records.size));

static const struct field answer_fields[] = {
	U64(1, struct answer, id),
	{ FIELD(2, FIELD_ERROR, struct answer, error), .choice = CHOICE_NONE, .sub = &error_shape },
	CHOICE_AT(10, ANSWER_STATUS, struct answer, u.status, status_shape),
	CHOICE(11, ANSWER_WHOAMI, whoami_shape),
	CHOICE(12, ANSWER_METRICS, text_shape),
	CHOICE(13, ANSWER_SLOTS, slots_shape),
	CHOICE_AT(14, ANSWER_CEREMONY, struct answer, u.ceremony, ceremony_shape),
	CHOICE_AT(20, ANSWER_KEY, struct answer, u.key, key_shape),
	CHOICE(21, ANSWER_KEYS, keys_shape),
	CHOICE(30, ANSWER_ITEMS, items_shape),
	CHOICE(35, ANSWER_RANDOM, text_shape),
	CHOICE(36, ANSWER_PROOF, text_shape),
	CHOICE(40, ANSWER_RECORDS, records_shape),
	CHOICE(41, ANSWER_BACKUPS, backups_shape),
	CHOICE(50, ANSWER_DONE, empty_shape),
};

static const struct shape answer_shape = { .fields = answer_fields,
	.n = ARRAY_LEN(answer_fields), .size = sizeof(struct answer),
	.choice = offsetof(struct answer, kind) };

static_assert(sizeof(enum answer_kind) == sizeof(uint32_t), "a choice has 32 bits");
static_assert(ANSWER_ERROR == 0, "without a result an answer is an error");
static_assert(sizeof(struct answer) < UINT16_MAX, "offsets have 16 bits");
/* clang-format on */

/* ---- The four calls ----------------------------------------------------------------------- */

static kms_err encode(const struct shape *s, const void *from, kms_err over, struct buf *out)
{
	size_t n = shape_size(s, from);

	if (n > FRAME_MAX)
		return over;
	TRY(buf_reserve(out, FRAME_HEAD + n));

	uint8_t *head = out->p + out->n;
	store_u32(head, (uint32_t)n);
	uint8_t *end = shape_encode(s, from, head + FRAME_HEAD);
	CHECK(end == head + FRAME_HEAD + n);
	out->n += FRAME_HEAD + n;
	return KMS_OK;
}

kms_err request_decode(struct bytes message, struct arena *a, struct request *out)
{
	*out = (struct request){ .op = OP_NONE };
	return shape_decode(&request_shape, message, a, out);
}

kms_err request_encode(const struct request *r, struct buf *out)
{
	return encode(&request_shape, r, KMS_E_FRAME_TOO_BIG, out);
}

kms_err answer_encode(const struct answer *ans, struct arena *a, struct buf *out)
{
	(void)a;
	return encode(&answer_shape, ans, KMS_E_ANSWER_TOO_BIG, out);
}

kms_err answer_decode(struct bytes message, struct arena *a, struct answer *out)
{
	*out = (struct answer){ .kind = ANSWER_ERROR };
	TRY(shape_decode(&answer_shape, message, a, out));

	/* A result or an error, never both, never neither. */
	bool failed = out->error.err != KMS_OK;
	return failed == (out->kind == ANSWER_ERROR) ? KMS_OK : KMS_E_BAD_FRAME;
}
