/* SPDX-License-Identifier: Apache-2.0 */
/* See restore.h. Runs in the loop: nobody is served before it has ended. */
#include "kms/keeper/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/trail.h"
#include "kms/keeper/ceremony.h"
#include "kms/keeper/change_plan.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/replies.h"
#include "kms/keeper/restore_mark.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/turn.h"
#include "kms/store/archive.h"

/* A version that the log says was destroyed, or was made after the backup. */
struct lost {
	struct key *key;
	uint32_t version;
};

struct restore {
	char name[NAME_MAX_LEN + 1]; /* empty: an older store is accepted, and no backup restored */
	int fd;
	uint32_t uid; /* who restores, and owns the instance from then on */
	struct archive_head head;
	struct lost *lost;
	size_t lost_n;
	uint64_t numbers; /* of versions that it doesn't hold, and that nobody shall get again */
	uint64_t used;    /* uses that the log holds beyond it */
	struct buf stale; /* keys of rows that go: length, key … */
};

void restore_free(struct restore **r)
{
	struct restore *x = MOVE(*r);
	if (x == NULL)
		return;
	if (x->fd >= 0)
		(void)close(x->fd);
	archive_head_done(&x->head);
	buf_done(&x->stale);
	free(x->lost);
	free(x);
}

static kms_err restore_new(struct restore **out)
{
	struct restore *x = calloc(1, sizeof(*x));
	if (x == NULL)
		return KMS_E_NO_MEMORY;
	x->fd = -1;
	*out = x;
	return KMS_OK;
}

struct bytes restore_name(const struct root *r)
{
	return bytes_of_str(r->restore != NULL ? r->restore->name : "");
}

kms_err restore_take_doors(struct keeper *k)
{
	struct root_rows *rows = &k->root->rows;
	const struct archive_head *h = &k->root->restore->head;
	if (rows->keyring.n > 0 || rows->slot_n > 0)
		return KMS_E_STORE_NOT_EMPTY;
	if (h->doors.slot_n > ROOT_SLOTS_MAX)
		return KMS_E_SLOTS_FULL;
	for (size_t i = 0; i < h->doors.slot_n; i++) {
		rows->slot_n = i + 1;
		TRY(buf_put(&rows->slots[i], h->doors.slots[i]));
	}
	memcpy(rows->instance, h->about.instance, INSTANCE_ID_LEN);
	return buf_put(&rows->keyring, h->doors.keyring);
}

static void close_store(struct store **s)
{
	if (*s != NULL)
		store_close(s);
}

/* Its rows may be of a store key that was renewed since: the keyring gets theirs. */
static kms_err take_store_key(struct keeper *k, const struct archive_head *h)
{
	struct root *r = k->root;
	struct bytes instance = bytes_of(h->about.instance, INSTANCE_ID_LEN);
	AUTO(buf_done) struct buf ring = { 0 };
	secret_free(&r->keys.store_key);
	TRY(keyring_open_store_key(&r->keys, instance, h->about.store_key, &r->keys.store_key));
	TRY(keyring_encode(&r->keys, r->key, instance, &ring));
	buf_clear(&r->rows.keyring);
	return buf_put(&r->rows.keyring, buf_bytes(&ring));
}

/* So that a crash before the end is known for what it is. */
static kms_err mark(struct keeper *k, struct archive *a)
{
	AUTO(close_store) struct store *rows = NULL;
	TRY(archive_store_open(a, &rows));
	return restore_mark_put(k->config->store, rows);
}

kms_err restore_fill_store(struct keeper *k)
{
	struct root *r = k->root;
	AUTO(archive_keys_wipe) struct archive_keys keys;
	AUTO(archive_close) struct archive *a = NULL;
	TRY(archive_keys_derive(r->keys.backup_key, &keys));
	TRY(archive_open(r->restore->fd, &keys, &a));
	TRY(take_store_key(k, archive_head(a)));
	if (!bytes_equal(buf_bytes(&archive_head(a)->raw), buf_bytes(&r->restore->head.raw)))
		return KMS_E_BACKUP_DAMAGED; /* another file than the one whose slots opened it */
	TRY(mark(k, a));
	TRY(archive_restore(a, r->store));
	r->rows.owner_known = true;
	r->rows.owner_uid = r->restore->uid;
	LOG(LOG_LEVEL_NOTICE, "restored", "The rows of a backup were put back.",
	    log_str("name", r->restore->name), log_u64("rows", r->restore->head.about.rows));
	return KMS_OK;
}

/* ---- What the log holds beyond it --------------------------------------------------------- */

static kms_err note_lost(struct restore *x, struct key *key, struct key_version *v)
{
	if (v->state == STATE_DESTROYED)
		return KMS_OK;
	struct lost *more = reallocarray(x->lost, x->lost_n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	x->lost = more;
	x->lost[x->lost_n++] = (struct lost){ .key = key, .version = v->number };
	v->state = STATE_DESTROYED;
	secret_free(&v->bits);
	return KMS_OK;
}

/* Version 0 of a record: every version that there was. */
static kms_err destroy_again(struct restore *x, struct key *key, const struct record *rec)
{
	for (size_t i = 0; i < key->n; i++) {
		struct key_version *v = &key->versions[i];
		if (rec->version != 0 && rec->version != v->number)
			continue;
		/* Made after it: the record stands in the log behind its own change. */
		if (v->created_us >= rec->time_us || v->state == STATE_DESTROYED)
			continue;
		TRY(note_lost(x, key, v));
		v->since_us = rec->time_us;
		(void)snprintf(
		    v->reason, sizeof(v->reason), "destroyed, says record %" PRIu64, rec->seq);
	}
	return KMS_OK;
}

/* Counted too high rather than too low: a limit of an algorithm depends on it. */
static void use_again(struct restore *x, struct key *key, const struct record *rec)
{
	struct key_version *v =
	    rec->version != 0 ? key_find_version(key, rec->version) : key_active(key);
	uint64_t n = rec->batch > 0 ? rec->batch : 1;
	if (v == NULL)
		return;
	x->used += n;
	if (rec->op == OP_ISSUE)
		v->used.issued += n;
	else
		v->used.wrapped += n;
}

static kms_err note_lost_number(struct restore *x, struct key *key, const struct record *rec)
{
	struct lost *more = reallocarray(x->lost, x->lost_n + 1, sizeof(*more));
	struct key_version *v = NULL;
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	x->lost = more;
	TRY(key_add_version(key, &v));
	v->state = STATE_DESTROYED;
	v->created_us = rec->time_us;
	v->since_us = rec->time_us;
	(void)snprintf(v->reason, sizeof(v->reason),
	    "lost: not in the backup, made before record %" PRIu64, rec->seq);
	x->lost[x->lost_n++] = (struct lost){ .key = key, .version = v->number };
	x->numbers++;
	return KMS_OK;
}

/*
 * Versions that the backup doesn't hold are lost, but their numbers stay theirs: with a number that
 * means two versions, what the log says of one would be done to the other at the next restore.
 */
static kms_err keep_numbers(struct restore *x, struct key *key, const struct record *rec)
{
	while (key->n > 0 && key->versions[key->n - 1].number < rec->version)
		TRY(note_lost_number(x, key, rec));
	return KMS_OK;
}

static kms_err visit_record(void *arg, const struct record *rec)
{
	struct keeper *k = arg;
	struct restore *x = k->root->restore;
	struct key *key = ring_find_id(k->ring, rec->key);
	bool undone = bytes_equal(rec->detail, bytes_of_str(RECORD_BEGUN)) ||
	              bytes_equal(rec->detail, bytes_of_str(RECORD_DRY_RUN));
	if (key == NULL || rec->result != KMS_OK || undone)
		return KMS_OK;
	if (rec->op == OP_KEY_ROTATE || rec->op == OP_ISSUE || rec->op == OP_WRAP)
		TRY(keep_numbers(x, key, rec));
	if (rec->op == OP_KEY_DESTROY)
		return destroy_again(x, key, rec);
	if (rec->op == OP_ISSUE || rec->op == OP_WRAP || rec->op == OP_REWRAP)
		use_again(x, key, rec);
	return KMS_OK;
}

kms_err restore_apply_log(struct keeper *k)
{
	struct root *r = k->root;
	if (r->restore == NULL)
		TRY(restore_new(&r->restore));
	TRY(trail_read_since(k->audit_dir, r->epoch.audit_size, visit_record, k));
	LOG(LOG_LEVEL_NOTICE, "restore-log",
	    "What the audit log holds beyond the store was applied.",
	    log_u64("destroyed", r->restore->lost_n - r->restore->numbers),
	    log_u64("lost", r->restore->numbers), log_u64("uses", r->restore->used));
	return KMS_OK;
}

/* ---- The rows that differ ----------------------------------------------------------------- */

static kms_err note_key(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct restore *x = arg;
	(void)value;
	TRY(buf_put_u8(&x->stale, (uint8_t)table));
	return buf_put_var(&x->stale, key);
}

/* Slots of the backup's day, and changes that were asked for before it. */
static kms_err delete_stale(struct keeper *k, struct row_batch *b)
{
	struct root *r = k->root;
	TRY(store_scan(r->store, TABLE_REPLY, note_key, r->restore));
	if (r->restore->name[0] != '\0')
		TRY(store_scan(r->store, TABLE_SLOT, note_key, r->restore));
	struct reader in = reader_of(buf_bytes(&r->restore->stale));
	while (in.in.n > 0) {
		enum store_table table = (enum store_table)read_u8(&in);
		struct bytes key = read_var(&in);
		CHECK(!in.failed);
		TRY(rows_delete(k->rows, b, table, key));
	}
	replies_forget(k->replies);
	return KMS_OK;
}

/* The head's slots and keyring, and whoever restores as the owner: old numbers of users mean nothing. */
static kms_err put_doors(struct keeper *k, struct row_batch *b)
{
	const struct root_rows *rows = &k->root->rows;
	uint8_t owner[4];
	store_u32(owner, rows->owner_uid);
	TRY(rows_put(
	    k->rows, b, TABLE_META, bytes_of_str("owner"), bytes_of(owner, sizeof(owner))));
	for (size_t i = 0; i < rows->slot_n; i++) {
		struct bytes row = buf_bytes(&rows->slots[i]);
		struct slot s;
		TRY(slot_decode(row, &s));
		TRY(rows_put(k->rows, b, TABLE_SLOT, bytes_of(s.id, sizeof(s.id)), row));
	}
	return rows_put(k->rows, b, TABLE_ROOT, bytes_of_str("keyring"), buf_bytes(&rows->keyring));
}

static kms_err put_counts(struct keeper *k, struct key *key, struct row_batch *b)
{
	for (size_t i = 0; i < key->n; i++) {
		struct key_version *v = &key->versions[i];
		if (memcmp(&v->used, &v->reserved, sizeof(v->used)) == 0)
			continue;
		v->reserved = v->used;
		TRY(counts_put_row(k, b, key, v->number, &v->reserved));
	}
	return KMS_OK;
}

kms_err restore_stage(struct keeper *k, struct row_batch *b)
{
	const struct restore *x = k->root->restore;
	struct bytes after = { 0 };
	TRY(delete_stale(k, b));
	if (x->name[0] != '\0')
		TRY(put_doors(k, b));
	for (size_t i = 0; i < x->lost_n; i++)
		TRY(change_stage_version(
		    k, x->lost[i].key, key_find_version(x->lost[i].key, x->lost[i].version), b));
	for (struct key *key; (key = ring_next(k->ring, after)) != NULL;
	     after = bytes_of_str(key->name))
		TRY(put_counts(k, key, b));
	/* A backup's rows shall not be in the WAL alone either. */
	b->purge = x->lost_n > 0 || x->name[0] != '\0';
	return KMS_OK;
}

bool restore_knows_log(const struct keeper *k, const struct epoch *e)
{
	uint8_t hash[SHA256_LEN];
	return e->audit_size == 0 || (trail_root_at(k->audit_dir, e->audit_size, hash) == KMS_OK &&
	                                 memcmp(hash, e->audit_root, sizeof(hash)) == 0);
}

/* ---- The operation ------------------------------------------------------------------------ */

/* What nobody can know any more, for the person who restores. */
static struct bytes tell_log(struct keeper *k, const struct archive_about *a)
{
	enum {
		TEXT_MAX = 200
	};
	char *text = NULL;
	uint64_t here = turn_durable(k->turn);
	if (arena_alloc(&k->arena, TEXT_MAX, &text) != KMS_OK)
		return (struct bytes){ 0 };
	int n =
	    restore_knows_log(k, &a->epoch)
	        ? snprintf(text, TEXT_MAX,
	              "The log here has %" PRIu64
	              " records beyond the backup; what they destroyed stays destroyed.",
	              here - a->epoch.audit_size)
	        : snprintf(text, TEXT_MAX,
	              "The log that this backup knew is not here: what was destroyed, suspended "
	              "or used after the backup can't be known.");
	return bytes_of(text, (size_t)n);
}

/* Nothing of it may point into the restore: a dry run is answered when that is gone. */
static kms_err describe_doors(
    struct keeper *k, const struct archive_head *h, struct slot_info *slots)
{
	for (size_t i = 0; i < h->doors.slot_n; i++) {
		struct bytes row;
		TRY(arena_copy(&k->arena, h->doors.slots[i], &row));
		describe_slot_row(row, &slots[i]);
	}
	return KMS_OK;
}

static kms_err describe(
    struct keeper *k, const struct restore *x, struct bytes name, struct answer *out)
{
	const struct archive_about *a = &x->head.about;
	struct backup_info *info = NULL;
	struct slot_info *slots = NULL;
	struct stat st;
	TRY(arena_alloc(&k->arena, sizeof(*info), &info));
	TRY(arena_alloc(&k->arena, ARCHIVE_SLOTS_MAX * sizeof(*slots), &slots));
	TRY(describe_doors(k, &x->head, slots));
	*info = (struct backup_info){ .name = name,
		.size = fstat(x->fd, &st) == 0 ? (uint64_t)st.st_size : 0,
		.state = bytes_of_str("ok"),
		.created_us = a->created_us,
		.expires_us = a->expires_us,
		.epoch = a->epoch.number,
		.audit_records = a->epoch.audit_size,
		.rows = a->rows,
		.slots = slots,
		.slot_n = x->head.doors.slot_n,
		.detail = tell_log(k, a) };
	out->kind = ANSWER_BACKUPS;
	out->u.backups.p = info;
	out->u.backups.n = 1;
	return arena_copy(&k->arena, bytes_of(a->id, sizeof(a->id)), &info->id);
}

static kms_err open_backup(struct keeper *k, struct bytes name, struct restore **out)
{
	AUTO(restore_free) struct restore *x = NULL;
	TRY(restore_new(&x));
	memcpy(x->name, name.p, name.n);
	x->fd = openat(k->backup_dir, x->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (x->fd < 0)
		return errno == ENOENT ? KMS_E_NOT_FOUND : KMS_E_BACKUP_IO;
	TRY(archive_read_head(x->fd, &x->head));
	if (x->head.doors.slot_n > ROOT_SLOTS_MAX)
		return KMS_E_SLOTS_FULL;
	*out = MOVE(x);
	return KMS_OK;
}

kms_err op_backup_restore(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct root *root = k->root;
	AUTO(restore_free) struct restore *x = NULL;
	bool again =
	    root->state == ROOT_SEALED && root->restore != NULL && root->restore->name[0] != '\0';
	if (!name_valid(r->key))
		return KMS_E_BAD_NAME;
	if (k->backup_dir < 0)
		return KMS_E_BACKUP_OFF;
	if (!again)
		TRY(root_may_init(root));
	TRY(open_backup(k, r->key, &x));
	TRY(describe(k, x, r->key, out));
	if (t->dry_run)
		return KMS_OK;
	ceremony_free(&root->ceremony); /* its shares are another root's */
	restore_free(&root->restore);
	root->restore = MOVE(x);
	t->record.detail = bytes_of_str(root->restore->name);
	root->restore->uid = t->conn->who.uid;
	root_rows_done(&root->rows);
	TRY(restore_take_doors(k));
	root_sort_slots(k, &root->rows);
	root_begin_restore(k);
	return KMS_OK;
}
