/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See turn.h. At most two groups are with the journal: one being flushed, one ready behind it.
 * Everything else gathers, so the slower the disk, the larger the groups.
 */
#include "kms/keeper/turn.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/hash.h"
#include "kms/keeper/backup.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/chores.h"
#include "kms/keeper/root.h"
#include "kms/keeper/server.h"
#include "kms/keeper/tails.h"

enum {
	GROUPS_MAX = 2,     /* with the journal at once */
	ENDS_MAX = 4,       /* and one more ahead of a change: see turn_flush */
	EARLY_RECORDS = 16, /* so many are worth a flush of their own while it is idle */
	GATHER_MAX =
	    64 << 20, /* bytes of records waiting for a dead disk; beyond, nothing is recorded */
	STUCK_AFTER_US = 1500000 /* a flush longer than this counts as failed */
};

/* A place in the log. */
struct turn_end {
	uint64_t size;
	uint8_t root[SHA256_LEN];
};

struct turn {
	struct trail *trail;
	struct mac *tags;               /* NULL while sealed */
	uint64_t group;                 /* number of the group being gathered, from 1 */
	uint64_t done;                  /* last group on disk */
	struct turn_end durable;        /* what is on disk */
	struct turn_end ends[ENDS_MAX]; /* where each group under way ends, by number */
	uint64_t news;                  /* log size behind the last record that others made */
	uint64_t time_us;               /* of the last record: the log's time never goes back */
	size_t gathered;                /* bytes of the group at hand, at most */
	uint64_t since_us;              /* when the oldest group under way was handed over */
	uint32_t prepared;              /* the last segment that was asked for ahead */
	kms_err failed;                 /* why nothing is answered now */
};

kms_err turn_new(struct keeper *k, struct turn **out)
{
	AUTO(turn_free) struct turn *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return KMS_E_NO_MEMORY;
	AUTO(trail_end_done) struct trail_end end = { 0 };
	TRY(trail_recover(k->audit_dir, &end));
	t->durable.size = end.tree.size;
	TRY(tree_root(&end.tree, t->durable.root));
	if (end.dropped > 0)
		LOG(LOG_LEVEL_WARNING, "audit-torn",
		    "The end of the log was torn by a crash and is dropped; nothing of it had been answered.",
		    log_u64("bytes", end.dropped));
	t->group = 1;
	TRY(trail_new(&end, k->instance, k->config->audit_segment, &t->trail));
	*out = MOVE(t);
	return KMS_OK;
}

void turn_free(struct turn **t)
{
	if (*t == NULL)
		return;
	trail_free(&(*t)->trail);
	mac_free(&(*t)->tags);
	free(*t);
	*t = NULL;
}

kms_err turn_record(struct keeper *k, struct record *r)
{
	struct turn *t = k->turn;
	if (t->gathered >= GATHER_MAX)
		return KMS_E_AUDIT_IO;
	t->gathered += record_room(r);
	t->time_us = k->wall_us > t->time_us ? k->wall_us : t->time_us;
	r->time_us = t->time_us;
	memcpy(r->boot, k->boot, sizeof(r->boot));
	TRY(trail_append(t->trail, r));
	if (r->op != OP_AUDIT_READ)
		t->news = r->seq + 1;
	return KMS_OK;
}

uint64_t turn_group(const struct turn *t)
{
	return t->group;
}

kms_err turn_state(const struct turn *t)
{
	return t->failed;
}

uint64_t turn_durable(const struct turn *t)
{
	return t->durable.size;
}

uint64_t turn_news(const struct turn *t)
{
	return t->news;
}

void turn_root(const struct turn *t, uint64_t *out_size, uint8_t out[static 32])
{
	*out_size = t->durable.size;
	memcpy(out, t->durable.root, SHA256_LEN);
}

kms_err turn_tag(struct turn *t, const char *label, struct bytes what, uint8_t out[static 32])
{
	if (t->tags == NULL) {
		memset(out, 0, SHA256_LEN);
		return KMS_OK;
	}
	const struct bytes parts[] = { { (const uint8_t *)label, strlen(label) + 1 }, what };
	return mac_compute(t->tags, parts, ARRAY_LEN(parts), out);
}

/* The follower of a segment in use is made while that one fills. */
static void prepare_next(struct keeper *k, uint32_t segment)
{
	struct turn *t = k->turn;
	if (t->prepared > segment)
		return;
	t->prepared = segment + 1;
	chores_prepare_segment(k->chores, segment + 1);
}

static void hand_over(struct keeper *k)
{
	struct turn *t = k->turn;
	struct trail_group *g = NULL;
	struct turn_end end;
	if (trail_root(t->trail, &end.size, end.root) != KMS_OK ||
	    trail_take(t->trail, &g) != KMS_OK)
		return;
	uint64_t number = t->group++;
	if (number - t->done == 1)
		t->since_us = k->mono_us;
	t->ends[number % ENDS_MAX] = end;
	t->gathered = 0;
	uint32_t segment = g->segment;
	/* Two groups never fill its queue; without memory we can't go on. */
	CHECK(journal_put_group(k->journal, g, number) == KMS_OK);
	prepare_next(k, segment);
}

static bool has_room(const struct turn *t)
{
	return t->group - t->done <= GROUPS_MAX;
}

void turn_push(struct keeper *k)
{
	struct turn *t = k->turn;
	if (t != NULL && t->group - t->done == 1 && trail_pending(t->trail) >= EARLY_RECORDS)
		hand_over(k);
}

void turn_end(struct keeper *k)
{
	if (k->turn != NULL && has_room(k->turn) && trail_pending(k->turn->trail) > 0)
		hand_over(k);
}

void turn_flush(struct keeper *k)
{
	/* Changes wait for each other, so there is one of these groups at most. */
	if (k->turn->group - k->turn->done < ENDS_MAX && trail_pending(k->turn->trail) > 0)
		hand_over(k);
}

void turn_close(struct keeper *k)
{
	if (k->turn != NULL && trail_pending(k->turn->trail) > 0)
		hand_over(k);
}

kms_err turn_set_key(struct keeper *k, const struct secret *audit_key)
{
	struct turn *t = k->turn;
	turn_end(k);
	mac_free(&t->tags);
	TRY(trail_set_key(t->trail, audit_key));
	return audit_key == NULL ? KMS_OK : mac_new(audit_key, &t->tags);
}

void turn_set_instance(struct keeper *k)
{
	trail_set_instance(k->turn->trail, k->instance);
}

static void fail(struct keeper *k, kms_err e)
{
	struct turn *t = k->turn;
	if (t->failed != KMS_OK)
		return;
	t->failed = e;
	LOG(LOG_LEVEL_ERROR, "audit-failed",
	    "The audit log cannot be written; nothing is answered.", log_err(e));
	server_refuse_waiting(k->server, e);
	/* Who waits for something else is told now; what was begun goes on and is recorded later. */
	server_resume_parked(k->server);
	changes_refuse(k, e);
	tails_fail(k, e);
	root_refuse(k, e);
}

static void heal(struct keeper *k)
{
	struct turn *t = k->turn;
	if (t->failed == KMS_OK)
		return;
	t->failed = KMS_OK;
	LOG(LOG_LEVEL_NOTICE, "audit-healed", "The audit log can be written again.",
	    log_u64("records", t->durable.size));
}

void turn_done(struct keeper *k, const struct journal_done *d)
{
	struct turn *t = k->turn;
	if (d->kind == JOURNAL_STUCK) {
		fail(k, d->err);
		return;
	}
	t->done = d->number;
	t->durable = t->ends[d->number % ENDS_MAX];
	t->since_us = k->mono_us;
	heal(k);
	server_release(k->server, d->number);
	tails_push(k);
}

void turn_watch(struct keeper *k)
{
	struct turn *t = k->turn;
	if (t != NULL && t->group - t->done > 1 && k->mono_us - t->since_us > STUCK_AFTER_US &&
	    !backup_is_copying(k))
		fail(k, KMS_E_AUDIT_IO);
}
