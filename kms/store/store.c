/* SPDX-License-Identifier: Apache-2.0 */
/* Hands each call to the backend. The limits are checked here once, so that no backend needs to. */
#include "kms/store/store.h"

static bool row_ok(enum store_table t, struct bytes key)
{
	return t >= TABLE_META && t < TABLE_COUNT_OF && key.n > 0 && key.n <= STORE_KEY_MAX;
}

kms_err store_begin(struct store *s)
{
	return s->backend->begin(s);
}

kms_err store_put(struct store *s, const struct store_write *w)
{
	if (!row_ok(w->table, w->key) || w->value.n > STORE_VALUE_MAX)
		return KMS_E_INTERNAL;
	return s->backend->put(s, w);
}

kms_err store_commit(struct store *s)
{
	return s->backend->commit(s);
}

void store_rollback(struct store *s)
{
	s->backend->rollback(s);
}

kms_err store_get(
    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg)
{
	if (!row_ok(t, key))
		return KMS_E_INTERNAL;
	return s->backend->get(s, t, key, visit, arg);
}

kms_err store_scan(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	if (t < TABLE_META || t >= TABLE_COUNT_OF)
		return KMS_E_INTERNAL;
	return s->backend->scan(s, t, visit, arg);
}

kms_err store_purge(struct store *s)
{
	return s->backend->purge(s);
}

void store_close(struct store **s)
{
	struct store *x = MOVE(*s);

	if (x != NULL)
		x->backend->close(x);
}
