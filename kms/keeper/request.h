/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spine: one request from its message to its answer. Decode, identity, decision, operation,
 * audit record, answer: request.c holds these steps in this order, every other file answers one
 * call from it.
 */
#pragma once

#include "kms/audit/record.h"
#include "kms/base/base.h"
#include "kms/keeper/conn.h"
#include "kms/keeper/keeper.h"
#include "proto/message.h"

/* What becomes of a request after its operation has returned. */
enum task_fate {
	TASK_ANSWER, /* the answer is complete */
	TASK_LATER,  /* the operation kept a detached copy and will call request_finish */
	TASK_DONE,   /* the operation has called request_finish already */
	TASK_PARK    /* nothing was done: the connection rests and the frame comes again */
};

/* A request under way, and the record that it will leave. */
struct task {
	struct conn *conn; /* NULL: the keeper's own act */
	uint64_t id;
	uint64_t arrived_us;
	enum task_fate fate;
	struct record record;
	struct bytes idempotency_key;
	struct bytes detail; /* goes into an error answer; static or in the arena, never a secret */
	bool dry_run;
};

enum request_outcome {
	REQUEST_TAKEN,
	REQUEST_PARK
};

/* Handles one message. The answer is queued on c, or follows later, or c is closed. */
enum request_outcome request_handle(struct keeper *k, struct conn *c, struct bytes message);
/* What came is not a frame: recorded, answered by name, and the connection closes. */
void request_refuse_frame(struct keeper *k, struct conn *c, kms_err e);
/* A connection that gets no place: recorded, answered by name, and closed. */
void request_refuse_connection(struct keeper *k, struct conn *c, kms_err e);

/* A copy that outlives the request, with its strings and a reference to its connection. */
MUST_USE kms_err task_detach(const struct task *t, struct task **out);
/* Answers now with e, unrecorded; what the task does goes on, and request_finish will record it. */
void task_refuse(struct task *t, kms_err e);
/* Drops the reference and frees. Takes NULL. For detached ones only. */
void task_free(struct task **t);

/*
 * Ends a request: writes its record and queues `ans` behind it, or the error. Once for each. With
 * an error ans may be NULL.
 */
void request_finish(struct keeper *k, struct task *t, kms_err e, struct answer *ans);
