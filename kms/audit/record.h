/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One audit record: who did what to which key when, with which result. A closed schema: no free
 * text of a request but subject and purpose, no secret, no name of a customer. Encoded in
 * protobuf's wire format so that any reader can decode it and skips what it doesn't know;
 * docs/audit.md holds the schema.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"

enum {
	RECORD_VERSION = 1,
	RECORD_TAG_LEN = 16, /* HMAC of what the record is about, truncated */
	RECORD_MAX = 65535   /* bytes of one encoded record: 1,024 items fit */
};

/* The detail of a record that was made before its change was: what was done has one of its own. */
#define RECORD_BEGUN "begun"
/* The detail of a change that was only asked about: nothing was done. */
#define RECORD_DRY_RUN "dry-run"

/* One item of a batch: which record, which key version, how it went. */
struct record_item {
	uint8_t tag[RECORD_TAG_LEN];
	uint32_t version;
	kms_err result;
};

struct record {
	uint64_t seq, time_us;
	uint8_t boot[16];      /* random, one for each start of the keeper */
	struct bytes identity; /* "unix:1000"; the keeper's own acts: "kmsd" */
	struct bytes source;   /* "unix", later "tls:…"; the asserting gate */
	struct bytes asserted, subject, purpose;
	enum op op;
	struct key_id key; /* zeros: none */
	struct bytes key_class;
	uint32_t version;
	uint32_t batch; /* items asked; 0 where the operation has none */
	kms_err result;
	uint32_t latency_us; /* from the frame's arrival to the record */
	uint8_t
	    context_digest[32]; /* HMAC under the audit key of the canonical context; zeros: none */
	uint8_t tag
	    [RECORD_TAG_LEN]; /* HMAC under the audit key of the record's name alone; zeros: none */
	enum key_state new_state; /* of a change of state */
	uint64_t epoch;           /* of a change; 0: none */
	uint8_t set_digest[32];   /* of a change: the store's rows after it; zeros: none */
	uint64_t counter;         /* hardware counter, where it was read */
	struct bytes
	    detail; /* a fixed word of ours: slot name, missing right; never a request's text */
	const struct record_item *items; /* decoding: in an array of the caller */
	size_t item_n;
};

/*
 * Appends the encoded record, without frame. KMS_E_NO_MEMORY; KMS_E_INTERNAL over RECORD_MAX or
 * over BATCH_MAX items. Then out is unchanged.
 */
MUST_USE kms_err record_encode(const struct record *r, struct buf *out);
/* Bytes that surely hold the encoded record; a few more than it takes. */
size_t record_room(const struct record *r);
/*
 * Reads a record; borrows in. Items go to `items` (room for BATCH_MAX). Unknown fields are skipped,
 * an unknown result reads as KMS_E_INTERNAL. KMS_E_AUDIT_CORRUPT where it is not a record.
 */
MUST_USE kms_err record_decode(
    struct bytes in, struct record_item items[static BATCH_MAX], struct record *out);
/* The sequence number alone, which stands at the front in every version. KMS_E_AUDIT_CORRUPT. */
MUST_USE kms_err record_seq(struct bytes in, uint64_t *out);
