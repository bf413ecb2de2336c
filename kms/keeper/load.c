/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: tables come in the order of their numbers, so a key is there before its versions and a
 * version before its counters. Every row is checked against what it belongs to.
 */
#include "kms/keeper/load.h"

#include <string.h>

#include "kms/base/buf.h"
#include "kms/keeper/backup.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/replies.h"

static kms_err load_key(struct keeper *k, struct bytes row_key, struct bytes row)
{
	AUTO(key_free) struct key *key = NULL;
	TRY(key_new(&key));
	TRY(key_decode(row, key));
	if (!bytes_equal(row_key, bytes_of(key->id.b, KEY_ID_LEN)))
		return KMS_E_STORE_CORRUPT;
	kms_err e = ring_add(k->ring, key);
	if (e == KMS_OK)
		key = NULL; /* the ring's */
	return e == KMS_E_EXISTS ? KMS_E_STORE_CORRUPT : e;
}

/* The key and the version number that a row's key names. */
static kms_err split(
    struct keeper *k, struct bytes row_key, struct key **out_key, uint32_t *out_version)
{
	struct key_id id;
	if (row_key.n != VERSION_ROW_KEY_LEN)
		return KMS_E_STORE_CORRUPT;
	memcpy(id.b, row_key.p, KEY_ID_LEN);
	struct key *key = ring_find_id(k->ring, id);
	if (key == NULL)
		return KMS_E_STORE_CORRUPT;
	uint32_t version = 0;
	for (int i = 0; i < 4; i++)
		version = version << 8 | row_key.p[KEY_ID_LEN + i];
	*out_key = key;
	*out_version = version;
	return KMS_OK;
}

static kms_err load_version(struct keeper *k, struct bytes row_key, struct bytes row)
{
	struct key *key = NULL;
	uint32_t number = 0;
	struct key_version v = { 0 };
	struct bytes sealed_bits;
	AUTO(secret_free) struct secret *bits = NULL;
	TRY(split(k, row_key, &key, &number));
	TRY(version_decode(row, &v, &sealed_bits));
	if ((v.state == STATE_DESTROYED) != (sealed_bits.n == 0))
		return KMS_E_STORE_CORRUPT;
	if (sealed_bits.n > 0)
		TRY(rows_open_bits(k->rows, row_key, sealed_bits, &bits));
	struct key_version *to = NULL;
	TRY(key_add_version(key, &to));
	if (to->number != number || v.number != number)
		return KMS_E_STORE_CORRUPT;
	*to = v;
	to->bits = MOVE(bits);
	return KMS_OK;
}

/* What is durable counts as used: a crash over-counts. */
static kms_err load_counts(struct keeper *k, struct bytes row_key, struct bytes row)
{
	struct key *key = NULL;
	uint32_t number = 0;
	TRY(split(k, row_key, &key, &number));
	struct key_version *v = key_find_version(key, number);
	if (v == NULL)
		return KMS_E_STORE_CORRUPT;
	TRY(counts_decode(row, &v->reserved));
	v->used = v->reserved;
	return KMS_OK;
}

static kms_err visit(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct keeper *k = arg;
	switch (table) {
	case TABLE_KEY: return load_key(k, key, value);
	case TABLE_VERSION: return load_version(k, key, value);
	case TABLE_COUNT: return load_counts(k, key, value);
	case TABLE_REPLY: return replies_load(k->replies, key, value);
	case TABLE_META:
		return bytes_equal(key, bytes_of_str("rehearsal")) ? backup_load(k->backup, value)
		                                                   : KMS_OK;
	case TABLE_SLOT:
	case TABLE_ROOT:
	case TABLE_EPOCH:
	case TABLE_COUNT_OF: break;
	}
	return KMS_OK;
}

/* A key without a version would have nothing to show: there is always one. */
static kms_err check_all(struct keeper *k)
{
	struct bytes after = { 0 };
	for (const struct key *key; (key = ring_next(k->ring, after)) != NULL;
	     after = bytes_of_str(key->name))
		if (key->n == 0)
			return KMS_E_STORE_CORRUPT;
	return KMS_OK;
}

kms_err load_keys(struct keeper *k, struct store *s, struct epoch *out)
{
	TRY(rows_load(k->rows, s, visit, k, out));
	return check_all(k);
}
