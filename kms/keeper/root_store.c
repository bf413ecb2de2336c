/* SPDX-License-Identifier: Apache-2.0 */
/* See root_store.h. Runs in the loop, while nobody else has the store. */
#include "kms/keeper/root_store.h"

#include <stdio.h>
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/keeper/restore_mark.h"
#include "kms/store/sqlite.h"

static const char meta_instance[] = "instance";
static const char meta_owner[] = "owner";
static const char meta_rehearsal[] = "rehearsal"; /* backup.c's, read with the other rows */
static const char root_keyring[] = "keyring";

void root_rows_done(struct root_rows *r)
{
	for (size_t i = 0; i < r->slot_n; i++)
		buf_done(&r->slots[i]);
	buf_done(&r->keyring);
	*r = (struct root_rows){ 0 };
}

static bool is(struct bytes key, const char *name)
{
	return bytes_equal(key, bytes_of_str(name));
}

static kms_err take_meta(struct root_rows *r, struct bytes key, struct bytes value)
{
	if (is(key, meta_instance) && value.n == INSTANCE_ID_LEN) {
		memcpy(r->instance, value.p, INSTANCE_ID_LEN);
	} else if (is(key, meta_owner) && value.n == 4) {
		r->owner_uid = load_u32(value.p);
		r->owner_known = true;
	} else if (!is(key, meta_rehearsal)) {
		return KMS_E_STORE_CORRUPT;
	}
	return KMS_OK;
}

static kms_err take(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct root_rows *r = arg;
	if (table == TABLE_META)
		return take_meta(r, key, value);
	if (table == TABLE_ROOT)
		return is(key, root_keyring) ? buf_put(&r->keyring, value) : KMS_E_STORE_CORRUPT;
	if (r->slot_n == ROOT_SLOTS_MAX)
		return KMS_E_STORE_CORRUPT;
	return buf_put(&r->slots[r->slot_n++], value);
}

static bool is_fresh(const struct root_rows *r)
{
	static const uint8_t none[INSTANCE_ID_LEN] = { 0 };
	return memcmp(r->instance, none, INSTANCE_ID_LEN) == 0;
}

static kms_err make_instance(struct store *s, struct root_rows *r)
{
	if (r->slot_n > 0 || r->keyring.n > 0 || r->owner_known)
		return KMS_E_STORE_CORRUPT;
	TRY(rand_bytes(r->instance, INSTANCE_ID_LEN));
	const struct store_write w = { .table = TABLE_META,
		.key = bytes_of_str(meta_instance),
		.value = bytes_of(r->instance, INSTANCE_ID_LEN) };
	TRY(store_begin(s));
	kms_err e = store_put(s, &w);
	if (e == KMS_OK)
		e = store_commit(s);
	if (e != KMS_OK)
		store_rollback(s);
	return e;
}

static void close_store(struct store **s)
{
	if (*s != NULL)
		store_close(s);
}

static kms_err refuse_row(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	(void)arg;
	(void)table;
	(void)key;
	(void)value;
	return KMS_E_STORE_CORRUPT;
}

/*
 * All that an instance has is written with its keyring. Where that alone is not found the file is
 * damaged, and must not pass for one that waits for its first root.
 */
static kms_err check_empty(struct store *s, const struct root_rows *r)
{
	static const enum store_table tables[] = { TABLE_SLOT, TABLE_EPOCH, TABLE_KEY,
		TABLE_VERSION, TABLE_COUNT, TABLE_REPLY };
	if (r->owner_known)
		return KMS_E_STORE_CORRUPT;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		TRY(store_scan(s, tables[i], refuse_row, NULL));
	return KMS_OK;
}

kms_err root_store_open(const struct config *c, struct store **out_store, struct root_rows *out)
{
	static const enum store_table tables[] = { TABLE_META, TABLE_SLOT, TABLE_ROOT };
	char path[CONFIG_PATH_MAX + 16];
	AUTO(close_store) struct store *s = NULL;
	AUTO(root_rows_done) struct root_rows r = { 0 };
	bool undone = false;
	(void)snprintf(path, sizeof(path), "%s/store.db", c->store);
	TRY(sqlite_store_open(path, &s));
	TRY(restore_mark_check(c->store, s, &undone));
	if (undone)
		LOG(LOG_LEVEL_WARNING, "restore-undone",
		    "A restore was broken off before its end; the store is empty again.",
		    log_str("store", c->store));
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		TRY(store_scan(s, tables[i], take, &r));
	if (r.keyring.n == 0)
		TRY(check_empty(s, &r));
	if (is_fresh(&r))
		TRY(make_instance(s, &r));
	*out = r;
	r = (struct root_rows){ 0 };
	*out_store = MOVE(s);
	return KMS_OK;
}
