/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a batch of writes, and its way into the store in one transaction. Nothing here
 * knows a key; a batch may be filled by one thread and applied by another.
 */
#include "kms/store/row_batch.h"

#include <stdlib.h>
#include <string.h>

enum {
	WRITES_FIRST = 8,
	BYTES_FIRST = 1024
};

kms_err row_batch_new(struct row_batch **out)
{
	struct row_batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return KMS_E_NO_MEMORY;
	*out = b;
	return KMS_OK;
}

void row_batch_free(struct row_batch **b)
{
	struct row_batch *x = MOVE(*b);

	if (x == NULL)
		return;
	buf_done(&x->bytes_of_writes);
	free(x->writes);
	free(x);
}

static kms_err room_for_write(struct row_batch *b)
{
	if (b->n < b->cap)
		return KMS_OK;
	size_t cap = b->cap == 0 ? WRITES_FIRST : b->cap * 2;
	struct store_write *more = reallocarray(b->writes, cap, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	b->writes = more;
	b->cap = cap;
	return KMS_OK;
}

/* The writes so far point to the old block: they are led to the new one while both are there. */
static kms_err room_for_bytes(struct row_batch *b, size_t n)
{
	struct buf *old = &b->bytes_of_writes;
	AUTO(buf_done) struct buf more = { 0 };

	if (old->p != NULL && old->cap - old->n >= n)
		return KMS_OK;
	TRY(buf_reserve(&more, old->cap * 2 + n + BYTES_FIRST));
	TRY(buf_put(&more, buf_bytes(old)));
	for (size_t i = 0; i < b->n; i++) {
		struct store_write *w = &b->writes[i];
		w->key.p = more.p + (w->key.p - old->p);
		if (w->value.p != NULL)
			w->value.p = more.p + (w->value.p - old->p);
	}
	struct buf emptied = *old;
	*old = more;
	more = emptied;
	return KMS_OK;
}

kms_err row_batch_add_delete(struct row_batch *b, enum store_table t, struct bytes key)
{
	if (key.n == 0 || key.n > STORE_KEY_MAX)
		return KMS_E_INTERNAL;
	TRY(room_for_write(b));
	TRY(room_for_bytes(b, key.n));
	struct buf *bytes = &b->bytes_of_writes;
	uint8_t *at = bytes->p + bytes->n;
	memcpy(at, key.p, key.n);
	bytes->n += key.n;
	b->writes[b->n++] = (struct store_write){ .table = t, .key = bytes_of(at, key.n) };
	return KMS_OK;
}

kms_err row_batch_add(struct row_batch *b, enum store_table t, struct bytes key, size_t value_len,
    uint8_t **out_value)
{
	if (value_len > STORE_VALUE_MAX)
		return KMS_E_INTERNAL;
	TRY(room_for_bytes(b, key.n + value_len));
	TRY(row_batch_add_delete(b, t, key));
	struct buf *bytes = &b->bytes_of_writes;
	*out_value = bytes->p + bytes->n;
	bytes->n += value_len;
	b->writes[b->n - 1].value = bytes_of(*out_value, value_len);
	return KMS_OK;
}

void row_batch_drop_last(struct row_batch *b)
{
	CHECK(b->n > 0);
	const struct store_write *last = &b->writes[--b->n];
	b->bytes_of_writes.n -= last->key.n + last->value.n;
}

static kms_err put_all(struct store *s, const struct row_batch *const *batches, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < batches[i]->n; j++)
			TRY(store_put(s, &batches[i]->writes[j]));
	}
	return store_commit(s);
}

kms_err row_batch_apply(struct store *s, const struct row_batch *const *batches, size_t n)
{
	bool purge = false;

	TRY(store_begin(s));
	kms_err e = put_all(s, batches, n);
	if (e != KMS_OK) {
		store_rollback(s);
		return e;
	}
	for (size_t i = 0; i < n; i++)
		purge = purge || batches[i]->purge;
	return purge ? store_purge(s) : KMS_OK;
}
