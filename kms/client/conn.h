/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: buffers, the requests under way, deadlines. Connects when something is submitted
 * and drops itself on the first fault; then all that was under way is lost, and said so.
 */
#pragma once

#include "kms/base/arena.h"
#include "kms/base/buf.h"
#include "kms/client/flight.h"
#include "kms/client/kms.h"
#include "kms/client/socket.h"

enum {
	DEADLINE_MS = 30000
};

struct kms {
	char *path;
	int fd; /* -1: not connected */
	uint32_t deadline_ms;
	char subject[SUBJECT_MAX + 1], purpose[SUBJECT_MAX + 1], asserted[SUBJECT_MAX + 1];
	uint8_t change_key[IDEMPOTENCY_LEN]; /* for the next change, if has_change_key */
	bool has_change_key;
	struct buf in, out;
	size_t sent;          /* bytes of `out` that have left */
	uint64_t wake_us;     /* no deadline of a flight is before this */
	struct arena scratch; /* of the request that is being made */
	struct flights flights;
	struct kms_error error;         /* of the last call that failed */
	char detail[SOCKET_DETAIL_MAX]; /* of the last fault inside; "" if there is none */
};

/* What must come back. */
struct want {
	enum answer_kind kind;
	enum answer_kind also; /* or this; ANSWER_ERROR, which always may, stands for no other */
	size_t items;
	uint32_t extra_ms; /* over the deadline */
	bool awaited;      /* by conn_await */
};

/* `fd` may be a connected socket (tests) or -1. Takes it. KMS_E_NO_MEMORY. */
MUST_USE kms_err conn_open(const char *path, int fd, struct kms **out);
/*
 * Puts a request into the buffer; sets r->id. Connects if need be: KMS_E_UNAVAILABLE and its
 * kin. KMS_E_TOO_MANY when INFLIGHT_MAX are under way.
 */
MUST_USE kms_err conn_submit(
    struct kms *c, struct request *r, const struct want *want, uint64_t *out_id);
/* Waits for an awaited request. KMS_E_CONNECTION_LOST, KMS_E_TIMED_OUT: what it was lost with. */
MUST_USE kms_err conn_await(struct kms *c, uint64_t id, struct kms_result **out);
/* Sends all that is in the buffer. On a fault, what is under way comes back as lost. */
MUST_USE kms_err conn_send(struct kms *c);
/*
 * The next request that came back, waiting timeout_ms at most (below 0: until its deadline).
 * *out_id 0: none. Returns what it was lost with; else KMS_OK and *out, which may be an error's.
 */
MUST_USE kms_err conn_next(
    struct kms *c, int timeout_ms, uint64_t *out_id, struct kms_result **out);
