/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task for kms-seal and its answer, each one message on a SOCK_SEQPACKET socket pair. Both
 * sides use this file: the keeper sends a task and, told by its loop that the socket is readable,
 * takes the answer; it never waits. The root stands apart in a message, so that the kernel copies
 * it from one process's secret into the other's; no buffer of ours ever holds it.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/seal/sealer.h"

enum {
	CALL_MESSAGE_MAX = 8192,
	CALL_MESSAGE_DATA_MAX = SEALER_MESSAGE_MAX /* bytes to sign */
};

/* In the protocol between keeper and helper, same build: renumber freely. */
enum call_op {
	CALL_DESCRIBE = 1,
	CALL_SEAL,
	CALL_UNSEAL,
	CALL_COUNTER_READ,
	CALL_COUNTER_MOVE,
	CALL_SIGN,
	CALL_PUBLIC,
	CALL_RANDOM
};

struct call_task {
	enum call_op op;
	char kind[SEALER_KIND_MAX + 1];
	char slot[NAME_MAX_LEN + 1]; /* the keeper's own: whose back-off it is; not sent */
	struct sealer_params params;
	const struct secret *root; /* CALL_SEAL */
	struct bytes blob;         /* the slot's; empty for DESCRIBE, RANDOM and a new SEAL */
	struct bytes data;         /* CALL_SIGN */
	uint32_t n;                /* CALL_RANDOM */
	uint64_t target;           /* CALL_COUNTER_MOVE: the value to reach; see sealer_move */
	uint64_t deadline_us; /* the keeper's own: how long it waits for the answer; not sent */
};

struct call_answer {
	kms_err err;
	uint32_t code;       /* the library's own code, for the log */
	uint64_t counter;    /* SEAL, COUNTER_* */
	struct secret *root; /* UNSEAL; owned */
	struct buf
	    data; /* SEAL: blob; SIGN: signature; PUBLIC: SPKI; RANDOM; DESCRIBE: text; owned */
};
/* Wipes and frees what it owns. Takes an empty one. */
void call_answer_done(struct call_answer *a);

/* Sends one task. KMS_E_HARDWARE_HELPER if the other side is gone; KMS_E_INTERNAL for one that
 * breaks a limit above. */
MUST_USE kms_err call_send(int fd, const struct call_task *t);
/* Takes the answer that has arrived. KMS_E_HARDWARE_HELPER at the end of the stream or for
 * nonsense; KMS_E_UNAVAILABLE if there is none yet: it never waits, whatever fd's mode. */
MUST_USE kms_err call_receive(int fd, struct call_answer *out);

/* The helper's side: waits for a task. *out_memory holds what *out borrows. KMS_E_STOPPING at the
 * end of the stream, KMS_E_BAD_FRAME for nonsense. */
struct call_memory;
MUST_USE kms_err call_take(int fd, struct call_task *out, struct call_memory **out_memory);
/* Wipes and frees, the task's root included. Takes NULL. */
void call_memory_free(struct call_memory **m);
/* As call_send. */
MUST_USE kms_err call_answer_send(int fd, const struct call_answer *a);
