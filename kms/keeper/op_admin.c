/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on the instance itself: how it is, who asks, init, seal, unseal, slots. */
#include <stdio.h>
#include <string.h>

#include "kms/base/secret.h"
#include "kms/base/version.h"
#include "kms/keeper/backup.h"
#include "kms/keeper/ceremony.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/metrics.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/restore.h"
#include "kms/keeper/root.h"
#include "kms/keeper/server.h"
#include "kms/keeper/turn.h"
#include "kms/keys/wrapped.h"

static const char *counter_state(const struct keeper *k, const struct changes_counter *c)
{
	if (root_state(k->root) != ROOT_UNSEALED)
		return "";
	if (!k->epoch.counted)
		return "none";
	if (c->unchecked)
		return "unchecked";
	return c->behind ? "behind" : "ok";
}

static kms_err list_notes(struct keeper *k, struct status_info *s)
{
	struct bytes *notes = NULL;
	TRY(arena_alloc(&k->arena, SANDBOX_NOTES_MAX * sizeof(*notes), &notes));
	for (size_t i = 0; i < k->sandbox_n; i++)
		notes[i] = bytes_of_str(k->sandbox[i]);
	s->sandbox = notes;
	s->sandbox_n = k->sandbox_n;
	return KMS_OK;
}

static void fill_log(const struct keeper *k, struct status_info *s)
{
	kms_err e = k->turn == NULL ? root_last(k->root) : turn_state(k->turn);
	s->audit_records = k->turn == NULL ? 0 : turn_durable(k->turn);
	s->audit_state = bytes_of_str(e == KMS_OK ? "ok" : err_name(e));
}

kms_err op_status(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)r;
	const struct changes_counter counter = changes_counter(k->changes);
	const struct secret_info memory = secret_info();
	bool open = root_state(k->root) == ROOT_UNSEALED;
	/* Of an opening the outcome is not known yet. */
	bool opening = root_state(k->root) == ROOT_OPENING;
	kms_err why = opening ? KMS_OK : root_last(k->root);
	struct status_info *s = &out->u.status;
	*s = (struct status_info){ .program = bytes_of_str("kmsd " KMS_VERSION),
		.protocol = PROTOCOL_VERSION,
		.wrapped_format = WRAPPED_FORMAT,
		.store_schema = STORE_SCHEMA,
		.state = bytes_of_str(root_state_text(k->root)),
		.instance = bytes_of(k->instance, INSTANCE_ID_LEN),
		.why = bytes_of_str(why == KMS_OK ? "" : err_name(why)),
		.epoch = open ? k->epoch.number : 0,
		.counter = counter.value,
		.counter_behind = counter.behind,
		.counter_state = bytes_of_str(counter_state(k, &counter)),
		.ceremony = ceremony_describe(k),
		.restoring = restore_name(k->root),
		.counter_moves = counter.moves,
		.keys = open ? ring_count(k->ring) : 0,
		.versions = open ? ring_version_count(k->ring) : 0,
		.memory_locked = memory.locked && k->memory_locked,
		.memory_hidden = memory.hidden,
		.connections = server_count(k->server),
		.started_us = k->started_us,
		.keeper_starts = k->start->starts };
	/* Who may not open the root need not know who is about to. */
	if (!policy_is_admin(&k->policy, &t->conn->who))
		s->ceremony.nonce = (struct bytes){ 0 };
	fill_log(k, s);
	backup_describe(k, s);
	TRY(list_notes(k, s));
	out->kind = ANSWER_STATUS;
	return describe_slots(k, &s->slots, &s->slot_n);
}

kms_err op_whoami(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)r;
	enum {
		GID_TEXT = 12
	};
	const struct identity *who = &t->conn->who;
	struct bytes *groups = NULL;
	char *text = NULL;
	TRY(arena_alloc(&k->arena, (who->gid_n + 1) * sizeof(*groups), &groups));
	TRY(arena_alloc(&k->arena, (who->gid_n + 1) * GID_TEXT, &text));
	for (size_t i = 0; i <= who->gid_n; i++) {
		uint32_t gid = i == 0 ? who->gid : who->gids[i - 1];
		int n = snprintf(text + i * GID_TEXT, GID_TEXT, "%u", gid);
		groups[i] = bytes_of(text + i * GID_TEXT, (size_t)n);
	}
	out->kind = ANSWER_WHOAMI;
	out->u.whoami.identity = bytes_of_str(t->conn->who_text);
	out->u.whoami.admin = policy_is_admin(&k->policy, who);
	out->u.whoami.groups = groups;
	out->u.whoami.group_n = who->gid_n + 1;
	return KMS_OK;
}

kms_err op_metrics(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)t;
	(void)r;
	AUTO(buf_done) struct buf text = { 0 };
	TRY(metrics_text(k, &text));
	out->kind = ANSWER_METRICS;
	return arena_copy(&k->arena, buf_bytes(&text), &out->u.text);
}

kms_err op_seal(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)r;
	enum root_state state = root_state(k->root);
	if (state == ROOT_UNINITIALISED || state == ROOT_BROKEN)
		return root_why(k->root);
	out->kind = ANSWER_DONE;
	/* Recorded first, so that its group still gets the MAC of the key that is forgotten here. */
	t->fate = TASK_DONE;
	request_finish(k, t, KMS_OK, out);
	root_seal(k, KMS_OK);
	return KMS_OK;
}
