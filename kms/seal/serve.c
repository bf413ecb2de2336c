/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's side of call.h: task → hardware → answer, one at a time. Each task has the hardware
 * for itself and gives all of it back, so nothing of one is left when the next begins.
 */
#include "kms/seal/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "kms/seal/call.h"

/* A task and the hardware that it is for, while it is being done. */
struct job {
	const struct sealer_kind *kind;
	const struct call_task *task;
	struct sealer *sealer;
};

typedef kms_err job_run(const struct job *j, struct call_answer *out);

static kms_err run_describe(const struct job *j, struct call_answer *out)
{
	return j->kind->describe(j->sealer, &out->data);
}

static kms_err run_seal(const struct job *j, struct call_answer *out)
{
	if (j->task->root == NULL)
		return KMS_E_INTERNAL;
	return j->kind->seal(j->sealer, j->task->root, j->task->blob, &out->data, &out->counter);
}

static kms_err run_unseal(const struct job *j, struct call_answer *out)
{
	return j->kind->unseal(j->sealer, j->task->blob, &out->root);
}

static kms_err use_counter(
    const struct job *j, const struct sealer_move *move, struct call_answer *out)
{
	if (j->kind->counter == NULL)
		return KMS_E_SLOT_KIND;
	return j->kind->counter(j->sealer, j->task->blob, move, &out->counter);
}

static kms_err run_counter_read(const struct job *j, struct call_answer *out)
{
	return use_counter(j, NULL, out);
}

static kms_err run_counter_move(const struct job *j, struct call_answer *out)
{
	const struct sealer_move move = { .target = j->task->target };

	return use_counter(j, &move, out);
}

static kms_err run_sign(const struct job *j, struct call_answer *out)
{
	return j->kind->sign(j->sealer, j->task->blob, j->task->data, &out->data);
}

static kms_err run_public(const struct job *j, struct call_answer *out)
{
	return j->kind->public_key(j->sealer, j->task->blob, &out->data);
}

static kms_err run_random(const struct job *j, struct call_answer *out)
{
	uint8_t block[SEALER_RANDOM_MAX];

	if (j->task->n > sizeof(block))
		return KMS_E_INTERNAL;
	kms_err e = j->kind->random(j->sealer, block, j->task->n);
	if (e == KMS_OK)
		e = buf_put(&out->data, bytes_of(block, j->task->n));
	wipe(block, sizeof(block));
	return e;
}

static job_run *const runs[] = {
	[CALL_DESCRIBE] = run_describe,
	[CALL_SEAL] = run_seal,
	[CALL_UNSEAL] = run_unseal,
	[CALL_COUNTER_READ] = run_counter_read,
	[CALL_COUNTER_MOVE] = run_counter_move,
	[CALL_SIGN] = run_sign,
	[CALL_PUBLIC] = run_public,
	[CALL_RANDOM] = run_random,
};

static const struct sealer_kind *find_kind(
    const struct sealer_kind *const *kinds, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	return NULL;
}

/* Opens the hardware, does the task, closes. A failed answer carries a code and nothing else. */
static kms_err do_task(struct job *j, struct call_answer *out)
{
	TRY(j->kind->open(&j->task->params, &j->sealer));
	kms_err e = runs[j->task->op](j, out);
	if (e != KMS_OK) {
		call_answer_done(out);
		*out = (struct call_answer){ .code = j->kind->last_code(j->sealer) };
	}
	j->kind->close(&j->sealer);
	return e;
}

static kms_err serve_one(int fd, const struct sealer_kind *const *kinds, size_t n)
{
	AUTO(call_memory_free) struct call_memory *memory = NULL;
	AUTO(call_answer_done) struct call_answer answer = { 0 };
	struct call_task task;

	TRY(call_take(fd, &task, &memory));
	struct job j = { .kind = find_kind(kinds, n, task.kind), .task = &task };
	answer.err = j.kind != NULL ? do_task(&j, &answer) : KMS_E_SLOT_KIND;
	return call_answer_send(fd, &answer);
}

/* False when nothing came for so long. */
static bool wait_for_task(int fd, int idle_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, idle_ms);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/*
 * Nothing came. A task may be on its way all the same: from here on the keeper can't send (it sees
 * that at once and starts another helper), and what it has sent is still done.
 */
static kms_err serve_rest(int fd, const struct sealer_kind *const *kinds, size_t n)
{
	kms_err e = KMS_OK;

	if (shutdown(fd, SHUT_RD) != 0)
		return KMS_OK;
	while (e == KMS_OK)
		e = serve_one(fd, kinds, n);
	return e;
}

kms_err serve_tasks(int fd, const struct sealer_kind *const *kinds, size_t n, int idle_ms)
{
	kms_err e = KMS_OK;

	while (e == KMS_OK && wait_for_task(fd, idle_ms))
		e = serve_one(fd, kinds, n);
	if (e == KMS_OK)
		e = serve_rest(fd, kinds, n);
	return e == KMS_E_STOPPING ? KMS_OK : e;
}
