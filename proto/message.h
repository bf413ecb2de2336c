/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers as plain C. message.c holds kms.proto as tables; it decodes without
 * copying, refuses fields given twice, and encodes without allocating. Strings are borrowed
 * bytes, neither terminated nor checked for their alphabet: that is the operation's task.
 */
#pragma once

#include "kms/base/arena.h"
#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"

enum {
	PROTOCOL_VERSION = 1
};

struct pair {
	struct bytes name, value;
};

struct pairs {
	const struct pair *p;
	size_t n;
};

struct item {
	struct bytes data;
	struct pairs context, new_context;
	bool change_context;
};

struct request {
	uint64_t id;
	struct bytes idempotency_key, asserted, subject, purpose;
	enum op op; /* OP_NONE: an operation that we don't know */
	/* The operation's fields; those it doesn't have are empty or 0. */
	struct bytes key;  /* create, show, moves, issue, wrap…; list: after; backup_*: name */
	struct bytes slot; /* init, unseal, slot_* */
	struct bytes share, ceremony;  /* unseal; share is secret */
	struct bytes confirm;          /* slot_add, root_rotate */
	struct bytes challenge;        /* key_prove */
	const struct bytes *leave_out; /* root_rotate */
	size_t leave_out_n;
	uint32_t shares_needed, shares_total;
	struct bytes key_class, algorithm, reason;
	uint64_t rotate_every_s;
	uint64_t from; /* audit_read */
	uint32_t version;
	uint32_t count; /* issue: count; random: n; list, audit_read: limit; rehearsed: checked */
	bool dry_run, wrapped_only, wait;
	bool accept_restore, cancel, rely_on_shares, renew_store, failed;
	struct pairs context;     /* issue */
	const struct item *items; /* wrap, unwrap, rewrap, mac */
	size_t item_count;
};

/*
 * Decodes one message; everything in *out lives in the arena or borrows `message`.
 * KMS_E_BAD_FRAME if it is not a well-formed Request (or has a singular field twice),
 * KMS_E_NO_MEMORY over the arena's limit, KMS_E_BATCH_TOO_BIG for more than BATCH_MAX items and
 * KMS_E_BAD_CONTEXT for more than CONTEXT_MAX_PAIRS pairs. After any of these but BAD_FRAME,
 * out->id and out->op are set, so that it can be answered.
 */
MUST_USE kms_err request_decode(struct bytes message, struct arena *a, struct request *out);
/* Appends a whole frame. KMS_E_NO_MEMORY, KMS_E_FRAME_TOO_BIG. */
MUST_USE kms_err request_encode(const struct request *r, struct buf *out);

struct answer_error {
	kms_err err; /* KMS_OK: no error. When decoding, found by its name. */
	enum err_wire wire;
	struct bytes code, name, text, hint; /* as received; encoding takes them from err */
	struct bytes detail;
};

struct item_result {
	struct answer_error error;
	struct bytes wrapped, plaintext, key;
	uint32_t version;
	bool rewrap_advised, compromised;
};

struct slot_info {
	struct bytes id, kind, name, last, detail;
	uint64_t created_us;
};

struct ceremony_info {
	struct bytes nonce, set;
	uint32_t needed, have;
	uint64_t expires_us;
};

struct backup_info {
	struct bytes name, id, state, detail;
	uint64_t created_us, expires_us, size, epoch, audit_records, rows;
	const struct slot_info *slots;
	size_t slot_n;
};

struct version_info {
	uint32_t version;
	struct bytes state, reason;
	uint64_t created_us, since_us, issued, wrapped, unwrapped;
	bool above_floor;
};

struct key_info {
	struct bytes key, id, key_class, algorithm, state;
	uint32_t version, floor, version_count;
	uint64_t created_us, rotate_every_s;
	uint64_t backed_up_until_us; /* of a destruction; UINT64_MAX: for ever */
	const struct version_info *versions;
	size_t version_n;
};

struct status_info {
	struct bytes program, state, instance, why, audit_state;
	uint32_t protocol, wrapped_format, store_schema, connections, keeper_starts;
	uint64_t epoch, counter, counter_moves, keys, versions, audit_records, started_us;
	bool counter_behind, memory_locked, memory_hidden;
	const struct bytes *sandbox;
	size_t sandbox_n;
	const struct slot_info *slots;
	size_t slot_n;
	struct bytes counter_state, backup_state, rehearsal_state, restoring;
	struct ceremony_info ceremony;
	uint64_t backup_us, rehearsal_us;
};

enum answer_kind {
	ANSWER_ERROR,
	ANSWER_DONE,
	ANSWER_STATUS,
	ANSWER_WHOAMI,
	ANSWER_METRICS,
	ANSWER_SLOTS,
	ANSWER_KEY,
	ANSWER_KEYS,
	ANSWER_ITEMS,
	ANSWER_RANDOM,
	ANSWER_RECORDS,
	ANSWER_CEREMONY,
	ANSWER_PROOF,
	ANSWER_BACKUPS
};

struct answer {
	uint64_t id;
	enum answer_kind kind;
	struct answer_error error;
	union {
		struct status_info status;
		struct {
			struct bytes identity;
			bool admin;
			const struct bytes *groups;
			size_t group_n;
		} whoami;
		struct bytes text; /* metrics, random, proof */
		struct {
			const struct slot_info *p;
			size_t n;
			const struct bytes *shares; /* secret */
			size_t share_n;
			struct bytes confirm;
		} slots;
		struct ceremony_info ceremony;
		struct {
			const struct backup_info *p;
			size_t n;
		} backups;
		struct key_info key;
		struct {
			const struct key_info *p;
			size_t n;
			bool more;
		} keys;
		struct {
			const struct item_result *p;
			size_t n;
		} items;
		struct {
			const struct bytes *p;
			size_t n;
			uint64_t first, size;
		} records;
	} u;
};

/*
 * Appends a whole frame. `a` may be NULL: nothing needs scratch today. The error's code, name,
 * text and hint are those of error.err. KMS_E_NO_MEMORY, KMS_E_ANSWER_TOO_BIG over FRAME_MAX; then out is
 * unchanged. `out` may come to hold a clear data key: its owner wipes it (buf_done, buf_drop).
 */
MUST_USE kms_err answer_encode(const struct answer *ans, struct arena *a, struct buf *out);
/* As request_decode. Borrowed parts live in the arena or borrow `message`. */
MUST_USE kms_err answer_decode(struct bytes message, struct arena *a, struct answer *out);
