/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a backup, and giving one other doors. The store is read twice: once to prove all of it and
 * to know what the head must say, once to write it.
 */
#include "kms/store/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kms/crypto/rand.h"
#include "kms/store/archive_private.h"

enum {
	COPY_LEN = 65536 /* bytes of a body that are copied at once */
};

static const char meta_instance[] = "instance";
static const char root_keyring[] = "keyring";

/* What the first reading finds. */
struct survey {
	struct archive_about about;
	bool has_instance;
	struct buf slots[ARCHIVE_SLOTS_MAX];
	size_t slot_n;
	struct buf keyring;
};

static void survey_done(struct survey *s)
{
	for (size_t i = 0; i < s->slot_n; i++)
		buf_done(&s->slots[i]);
	buf_done(&s->keyring);
}

static kms_err see_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	struct survey *s = arg;

	s->about.rows++;
	if (t == TABLE_SLOT) {
		if (s->slot_n == ARCHIVE_SLOTS_MAX || value.n == 0 || value.n > ARCHIVE_DOOR_MAX)
			return KMS_E_STORE_CORRUPT;
		return buf_put(&s->slots[s->slot_n++], value);
	}
	if (t == TABLE_ROOT && bytes_equal(key, bytes_of_str(root_keyring))) {
		if (value.n > ARCHIVE_DOOR_MAX)
			return KMS_E_STORE_CORRUPT;
		return buf_put(&s->keyring, value);
	}
	if (t == TABLE_META && bytes_equal(key, bytes_of_str(meta_instance))) {
		if (value.n != INSTANCE_ID_LEN)
			return KMS_E_STORE_CORRUPT;
		memcpy(s->about.instance, value.p, INSTANCE_ID_LEN);
		s->has_instance = true;
	}
	return KMS_OK;
}

static kms_err survey(const struct archive_making *m, struct survey *s)
{
	s->about.schema = STORE_SCHEMA;
	s->about.created_us = m->created_us;
	s->about.expires_us = m->expires_us;
	memcpy(s->about.store_key, m->store_key, sizeof(s->about.store_key));
	TRY(rand_bytes(s->about.id, sizeof(s->about.id)));
	TRY(rows_load(m->rows, m->store, see_row, s, &s->about.epoch));
	s->about.rows++; /* the epoch's, which is not shown */
	rows_digest(m->rows, s->about.set_digest);
	return s->has_instance && s->keyring.n > 0 ? KMS_OK : KMS_E_NOT_INITIALISED;
}

/* The second reading. */
struct copying {
	struct archive_body *body;
	uint64_t rows;
};

static kms_err copy_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	struct copying *c = arg;
	const uint8_t head[ROW_HEAD] = { (uint8_t)t, (uint8_t)key.n };
	uint8_t length[4];

	c->rows++;
	store_u32(length, (uint32_t)value.n);
	TRY(archive_body_put(c->body, bytes_of(head, sizeof(head))));
	TRY(archive_body_put(c->body, key));
	TRY(archive_body_put(c->body, bytes_of(length, sizeof(length))));
	return archive_body_put(c->body, value);
}

static kms_err write_body(const struct archive_making *m, int fd, struct bytes head, uint64_t rows)
{
	AUTO(archive_body_free) struct archive_body *body = NULL;
	uint8_t end[1 + 8] = { BODY_END };

	TRY(archive_body_new(fd, m->keys, head, &body));
	struct copying c = { .body = body };
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		TRY(store_scan(m->store, (enum store_table)t, copy_row, &c));
	/* A store that is not a snapshot: what was proved is not what was written. */
	if (c.rows != rows)
		return KMS_E_INTERNAL;
	store_u64(end + 1, rows);
	TRY(archive_body_put(body, bytes_of(end, sizeof(end))));
	return archive_body_finish(body);
}

static kms_err write_all(const struct archive_making *m, const struct survey *s, int fd)
{
	AUTO(buf_done) struct buf head = { .p = NULL };
	struct archive_doors doors = { .slot_n = s->slot_n, .keyring = buf_bytes(&s->keyring) };

	for (size_t i = 0; i < s->slot_n; i++)
		doors.slots[i] = buf_bytes(&s->slots[i]);
	TRY(archive_head_encode(&s->about, &doors, m->keys, &head));
	TRY(archive_file_put(fd, buf_bytes(&head)));
	return write_body(m, fd, buf_bytes(&head), s->about.rows);
}

kms_err archive_write(
    const struct archive_making *m, int dir_fd, const char *name, struct archive_about *out)
{
	AUTO(survey_done) struct survey s = { .slot_n = 0 };
	AUTO(archive_file_done) struct archive_file f = { .fd = -1 };

	if (!name_valid(bytes_of_str(name)))
		return KMS_E_BAD_NAME;
	TRY(survey(m, &s));
	TRY(archive_file_new(dir_fd, &f));
	TRY(write_all(m, &s, f.fd));
	TRY(archive_file_publish(&f, name, false));
	*out = s.about;
	return KMS_OK;
}

/* ---- Other doors -------------------------------------------------------------------------- */

static kms_err copy_from(int from, uint64_t at, int to)
{
	AUTO(buf_done) struct buf piece = { .p = NULL };
	size_t n = 1;

	TRY(buf_reserve(&piece, COPY_LEN));
	while (n > 0) {
		TRY(archive_file_get(from, at, piece.p, COPY_LEN, &n));
		TRY(archive_file_put(to, bytes_of(piece.p, n)));
		at += n;
	}
	return KMS_OK;
}

kms_err archive_reseal(int dir_fd, const char *name, const struct archive_keys *keys,
    const struct archive_doors *doors)
{
	AUTO(archive_fd_close) int old = -1;
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };
	AUTO(buf_done) struct buf head = { .p = NULL };
	AUTO(archive_file_done) struct archive_file f = { .fd = -1 };

	if (!name_valid(bytes_of_str(name)))
		return KMS_E_BAD_NAME;
	old = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (old < 0)
		return errno == ENOENT ? KMS_E_NOT_FOUND : KMS_E_BACKUP_IO;
	TRY(archive_read_head(old, &h));
	TRY(archive_head_prove(&h, keys));
	TRY(archive_head_encode(&h.about, doors, keys, &head));
	TRY(archive_file_new(dir_fd, &f));
	TRY(archive_file_put(f.fd, buf_bytes(&head)));
	TRY(copy_from(old, h.raw.n, f.fd));
	return archive_file_publish(&f, name, true);
}
