/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words that several floors share and must not fetch from each other: borrowed bytes, key ids,
 * algorithms, states, operations, and the limits of names, contexts and batches.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes, by value. The owner outlives them. */
struct bytes {
	const uint8_t *p;
	size_t n;
};

enum {
	KEY_ID_LEN = 16,
	KEY_BITS_LEN = 32, /* master keys and data keys alike: AES-256 */
	INSTANCE_ID_LEN = 16,
	IDEMPOTENCY_LEN = 16,
	NAME_MAX_LEN = 64,
	CONTEXT_MAX_PAIRS = 16,
	CONTEXT_NAME_MAX = 64,
	CONTEXT_VALUE_MAX = 256,
	SUBJECT_MAX = 128,     /* subject and purpose of a request, bytes */
	BATCH_MAX = 1024,      /* items in one request */
	PLAINTEXT_MAX = 65536, /* bytes of one item */
	FRAME_MAX = 1048576,   /* bytes of one message */
	INFLIGHT_MAX = 1024,   /* requests of one connection that have no answer yet */
	RANDOM_MAX = 65536,    /* bytes of one `random` */
};

/* 128 random bits that name a master key for ever. */
struct key_id {
	uint8_t b[KEY_ID_LEN];
};

/* On the wire, in wrapped keys and in the store: only append. */
enum algorithm {
	ALG_NONE = 0,
	ALG_XAES_256_GCM = 1,
	ALG_AES_256_GCM = 2,
	ALG_AES_256_KWP = 3,
	ALG_COUNT
};

/* SP 800-57 Part 1, section 7. On the wire and in the store: only append. */
enum key_state {
	STATE_NONE = 0,
	STATE_PRE_ACTIVE = 1,
	STATE_ACTIVE = 2,
	STATE_SUSPENDED = 3,
	STATE_DEACTIVATED = 4,
	STATE_COMPROMISED = 5,
	STATE_DESTROYED = 6,
	STATE_COUNT
};

/* Every operation of the protocol and every act of the keeper that leaves a record. Only append. */
enum op {
	OP_NONE = 0,
	OP_STATUS = 1,
	OP_WHOAMI = 2,
	OP_METRICS = 3,
	OP_INIT = 4,
	OP_UNSEAL = 5,
	OP_SEAL = 6,
	OP_SLOT_LIST = 7,
	OP_SLOT_CHECK = 8,
	OP_KEY_CREATE = 10,
	OP_KEY_LIST = 11,
	OP_KEY_SHOW = 12,
	OP_KEY_ROTATE = 13,
	OP_KEY_SUSPEND = 14,
	OP_KEY_RESUME = 15,
	OP_KEY_DEACTIVATE = 16,
	OP_KEY_COMPROMISE = 17,
	OP_KEY_DESTROY = 18,
	OP_KEY_CANCEL_DESTROY = 19,
	OP_ISSUE = 20,
	OP_WRAP = 21,
	OP_UNWRAP = 22,
	OP_REWRAP = 23,
	OP_MAC = 24,
	OP_RANDOM = 25,
	OP_AUDIT_READ = 30,
	OP_START = 40, /* the keeper's own acts: start, stop, a frame that it could not read */
	OP_STOP = 41,
	OP_MALFORMED = 42,
	OP_CONNECT = 43, /* a connection that was refused before its first frame */
	OP_SLOT_ADD = 44,
	OP_SLOT_REMOVE = 45,
	OP_ROOT_ROTATE = 46,
	OP_BACKUP_CREATE = 47,
	OP_BACKUP_LIST = 48,
	OP_BACKUP_VERIFY = 49,
	OP_BACKUP_RESTORE = 50,
	OP_BACKUP_REHEARSED = 51,
	OP_KEY_PROVE = 52,
	OP_COUNT = 53
};

static inline struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){ .p = p, .n = n };
}

/* Borrow of a terminated string, without its end. */
struct bytes bytes_of_str(const char *s);
/* Plain equality of public bytes; never for secrets. */
bool bytes_equal(struct bytes a, struct bytes b);

/* "xaes-256-gcm"…; "unknown" for what we don't know. */
const char *algorithm_name(enum algorithm a);
/* ALG_NONE if there is none of that name. */
enum algorithm algorithm_from_name(struct bytes name);
/* "pre-active", "active"…; "unknown" for what we don't know. */
const char *state_name(enum key_state s);
enum key_state state_from_name(struct bytes name);
/* "issue", "key-create"…; "unknown" for what we don't know. */
const char *op_name(enum op op);
enum op op_from_name(struct bytes name);
/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}, compared byte for byte, never normalised. */
bool name_valid(struct bytes name);
/* Of a pair of a context: 1 to 64 bytes of printable ASCII, neither '=' nor ','. */
bool context_name_valid(struct bytes name);
