/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a backup: its chunks in any order, its rows one after the other. Holds one chunk and one
 * row. Nothing leaves a chunk before it has been authenticated, and all of them have been opened
 * once, up to the end that says so itself, before the first row is shown.
 */
#include "kms/store/archive_read.h"

#include <stdlib.h>
#include <string.h>

#include "kms/store/archive_private.h"

/* No chunk has this number. */
#define NONE UINT64_MAX

struct archive {
	int fd;
	struct archive_head head;
	struct chunk *chunk;
	uint64_t held; /* number of the chunk in `plain`, or NONE */
	size_t held_n;
	uint64_t at; /* in the clear body */
	bool indexed;
	uint64_t begin[TABLE_COUNT_OF]; /* where the rows of a table and those behind it begin */
	uint8_t sealed[CHUNK_SEALED];
	uint8_t plain[CHUNK_PLAIN];
	uint8_t key[STORE_KEY_MAX];
	uint8_t value[STORE_VALUE_MAX];
};

void archive_close(struct archive **a)
{
	struct archive *x = MOVE(*a);

	if (x == NULL)
		return;
	chunk_free(&x->chunk);
	archive_head_done(&x->head);
	wipe(x, sizeof(*x));
	free(x);
}

const struct archive_head *archive_head(const struct archive *a)
{
	return &a->head;
}

static kms_err open_body(struct archive *a, const struct archive_keys *keys)
{
	uint8_t head[CHUNK_HEAD_LEN];
	size_t n;

	TRY(archive_file_get(a->fd, a->head.raw.n, head, sizeof(head), &n));
	if (n < sizeof(head))
		return KMS_E_BACKUP_DAMAGED;
	TRY(archive_body_key(keys, buf_bytes(&a->head.raw), head, &a->chunk));
	bool ours =
	    equal_ct(chunk_commitment(a->chunk), head + CHUNK_SALT_LEN, CHUNK_COMMITMENT_LEN);
	return ours ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

kms_err archive_open(int fd, const struct archive_keys *keys, struct archive **out)
{
	AUTO(archive_close) struct archive *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return KMS_E_NO_MEMORY;
	a->fd = fd;
	a->held = NONE;
	TRY(archive_read_head(fd, &a->head));
	TRY(archive_head_prove(&a->head, keys));
	TRY(open_body(a, keys));
	*out = MOVE(a);
	return KMS_OK;
}

/* ---- Clear bytes -------------------------------------------------------------------------- */

static kms_err hold_chunk(struct archive *a, uint64_t i)
{
	size_t n;

	if (a->held == i)
		return KMS_OK;
	if (i >= CHUNK_COUNT_MAX)
		return KMS_E_BACKUP_DAMAGED;
	uint64_t place = a->head.raw.n + CHUNK_HEAD_LEN + i * CHUNK_SEALED;
	TRY(archive_file_get(a->fd, place, a->sealed, sizeof(a->sealed), &n));
	a->held = NONE;
	kms_err e = chunk_open(a->chunk, i, bytes_of(a->sealed, n), a->plain);
	if (e == KMS_E_INTEGRITY)
		return KMS_E_BACKUP_DAMAGED;
	TRY(e);
	a->held = i;
	a->held_n = n - CHUNK_TAG;
	return KMS_OK;
}

/* Exactly n bytes; there are as many, unless who wrote it had the keys and wrote nonsense. */
static kms_err read_on(struct archive *a, uint8_t *out, size_t n)
{
	while (n > 0) {
		size_t skip = (size_t)(a->at % CHUNK_PLAIN);
		TRY(hold_chunk(a, a->at / CHUNK_PLAIN));
		if (a->held_n <= skip)
			return KMS_E_BACKUP_DAMAGED;
		size_t part = a->held_n - skip < n ? a->held_n - skip : n;
		memcpy(out, a->plain + skip, part);
		out += part;
		n -= part;
		a->at += part;
	}
	return KMS_OK;
}

/* Nothing is left, and the last chunk is there to say so. */
static kms_err check_end(struct archive *a)
{
	TRY(hold_chunk(a, a->at / CHUNK_PLAIN));
	return a->held_n == a->at % CHUNK_PLAIN ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

/* ---- Rows --------------------------------------------------------------------------------- */

static kms_err read_end(struct archive *a, struct archive_row *out)
{
	uint8_t count[8];

	TRY(read_on(a, count, sizeof(count)));
	*out = (struct archive_row){ .table = BODY_END, .rows = load_u64(count) };
	return KMS_OK;
}

kms_err archive_next(struct archive *a, struct archive_row *out)
{
	uint8_t table, key_n, length[4];

	TRY(read_on(a, &table, 1));
	if (table == BODY_END)
		return read_end(a, out);
	/* Proved to be ours: so it was written by a version that knows more tables. */
	if (table >= TABLE_COUNT_OF)
		return KMS_E_NEWER_FORMAT;
	TRY(read_on(a, &key_n, 1));
	if (key_n == 0 || key_n > STORE_KEY_MAX)
		return KMS_E_BACKUP_DAMAGED;
	TRY(read_on(a, a->key, key_n));
	TRY(read_on(a, length, sizeof(length)));
	uint32_t n = load_u32(length);
	if (n > STORE_VALUE_MAX)
		return KMS_E_BACKUP_DAMAGED;
	TRY(read_on(a, a->value, n));
	*out = (struct archive_row){
		.table = table, .key = bytes_of(a->key, key_n), .value = bytes_of(a->value, n)
	};
	return KMS_OK;
}

/* The place of a row among the others. */
struct place {
	uint8_t table;
	uint8_t key[STORE_KEY_MAX];
	size_t key_n;
};

/* Tables rise, and keys in them: so no row is there twice. */
static bool comes_after(const struct archive_row *row, const struct place *p)
{
	if (row->table != p->table)
		return row->table > p->table;
	size_t n = row->key.n < p->key_n ? row->key.n : p->key_n;
	int order = memcmp(row->key.p, p->key, n);
	return order > 0 || (order == 0 && row->key.n > p->key_n);
}

static void go_to(struct archive *a, const struct archive_row *row, uint64_t at, struct place *p)
{
	for (int t = p->table + 1; t <= row->table; t++)
		a->begin[t] = at;
	p->table = row->table;
	p->key_n = row->key.n;
	memcpy(p->key, row->key.p, row->key.n);
}

static kms_err end_index(struct archive *a, uint64_t rows, uint64_t said, int table)
{
	if (rows != said || rows != a->head.about.rows)
		return KMS_E_BACKUP_DAMAGED;
	TRY(check_end(a));
	/* Tables that have no rows begin where the end stands. */
	for (int t = table + 1; t < TABLE_COUNT_OF; t++)
		a->begin[t] = a->at - (1 + sizeof(uint64_t));
	a->indexed = true;
	return KMS_OK;
}

kms_err archive_index(struct archive *a)
{
	struct place p = { .table = BODY_END };
	struct archive_row row;

	if (a->indexed)
		return KMS_OK;
	a->at = 0;
	for (uint64_t rows = 0;; rows++) {
		uint64_t at = a->at;
		TRY(archive_next(a, &row));
		if (row.table == BODY_END)
			return end_index(a, rows, row.rows, p.table);
		if (!comes_after(&row, &p))
			return KMS_E_BACKUP_DAMAGED;
		go_to(a, &row, at, &p);
	}
}

void archive_seek(struct archive *a, enum store_table t)
{
	CHECK(a->indexed);
	a->at = a->begin[t];
}
