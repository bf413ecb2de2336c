/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a backup's head:
 *   "KMSB" | format 1 | flags 3 | length 2, fixed part | length 4, variable part | MAC 32
 * The fixed part is bound to the body. The variable one, the doors, is not: it can be replaced
 * without the body being sealed anew.
 */
#include "kms/store/archive_head.h"

#include <string.h>

#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"
#include "kms/store/archive_private.h"

static const uint8_t magic[4] = { 'K', 'M', 'S', 'B' };
static const char head_label[] = "kmsd backup head v1";
static const char body_label[] = "kmsd backup body v1";
static const char file_label[] = "kmsd backup file v1";

enum {
	FORMAT_AT = 4, /* where they stand */
	FLAGS_AT = 5,
	FIXED_LENGTH_AT = 8,
	SCHEMA_AT = HEAD_START + 2 * 16,
	VARIABLE_LENGTH_AT = HEAD_START + HEAD_FIXED
};

static_assert(HEAD_START == FIXED_LENGTH_AT + 2, "as the layout has it");

void archive_head_done(struct archive_head *h)
{
	buf_done(&h->raw);
	*h = (struct archive_head){ .doors = { .slot_n = 0 } };
}

void archive_keys_wipe(struct archive_keys *k)
{
	wipe(k, sizeof(*k));
}

kms_err archive_keys_derive(const struct secret *backup_key, struct archive_keys *out)
{
	AUTO(archive_keys_wipe) struct archive_keys k;

	TRY(kdf_label_clear(backup_key, head_label, &k.head));
	TRY(kdf_label_clear(backup_key, body_label, &k.body));
	*out = k;
	return KMS_OK;
}

/* A key for each file, so that no body opens behind another one's head. */
kms_err archive_body_key(const struct archive_keys *keys, struct bytes head,
    const uint8_t salt[static CHUNK_SALT_LEN], struct chunk **out)
{
	AUTO(key_wipe) struct key256 k;
	const struct bytes fixed = bytes_of(head.p + HEAD_START, HEAD_FIXED);
	const struct bytes id = bytes_of(fixed.p, ARCHIVE_ID_LEN);

	TRY(kdf_sha256(bytes_of(keys->body.b, sizeof(keys->body.b)), id, bytes_of_str(file_label),
	    sizeof(k.b), k.b));
	return chunk_new(k.b, salt, fixed, out);
}

/* ---- Writing ------------------------------------------------------------------------------ */

static kms_err put_fixed(struct buf *b, const struct archive_about *a)
{
	TRY(buf_put(b, bytes_of(a->id, sizeof(a->id))));
	TRY(buf_put(b, bytes_of(a->instance, sizeof(a->instance))));
	TRY(buf_put_u32(b, a->schema));
	TRY(buf_put_u64(b, a->created_us));
	TRY(buf_put_u64(b, a->expires_us));
	TRY(buf_put_u64(b, a->epoch.number));
	TRY(buf_put_u64(b, a->epoch.base));
	TRY(buf_put_u64(b, a->epoch.audit_size));
	TRY(buf_put(b, bytes_of(a->epoch.audit_root, sizeof(a->epoch.audit_root))));
	TRY(buf_put(b, bytes_of(a->set_digest, sizeof(a->set_digest))));
	TRY(buf_put_u64(b, a->rows));
	return buf_put(b, bytes_of(a->store_key, sizeof(a->store_key)));
}

static bool door_ok(struct bytes door)
{
	return door.n > 0 && door.n <= ARCHIVE_DOOR_MAX;
}

static kms_err put_doors(struct buf *b, const struct archive_doors *d)
{
	if (d->slot_n > ARCHIVE_SLOTS_MAX || !door_ok(d->keyring))
		return KMS_E_BAD_REQUEST;
	TRY(buf_put_u8(b, (uint8_t)d->slot_n));
	for (size_t i = 0; i < d->slot_n; i++) {
		if (!door_ok(d->slots[i]))
			return KMS_E_BAD_REQUEST;
		TRY(buf_put_var(b, d->slots[i]));
	}
	return buf_put_var(b, d->keyring);
}

static kms_err compute_mac(
    struct bytes head, const struct archive_keys *keys, uint8_t out[static HEAD_MAC_LEN])
{
	struct mac *m = NULL;

	TRY(mac_new_clear(bytes_of(keys->head.b, sizeof(keys->head.b)), &m));
	kms_err e = mac_compute(m, &head, 1, out);
	mac_free(&m);
	return e;
}

kms_err archive_head_encode(const struct archive_about *about, const struct archive_doors *doors,
    const struct archive_keys *keys, struct buf *out)
{
	AUTO(buf_done) struct buf b = { .p = NULL };
	uint8_t mac[HEAD_MAC_LEN];

	TRY(buf_put(&b, bytes_of(magic, sizeof(magic))));
	TRY(buf_put_u32(&b, ARCHIVE_FORMAT)); /* one byte, then flags of three that are zero */
	TRY(buf_put_u16(&b, HEAD_FIXED));
	TRY(put_fixed(&b, about));
	CHECK(b.n == VARIABLE_LENGTH_AT);
	TRY(buf_put_u32(&b, 0));
	TRY(put_doors(&b, doors));
	store_u32(b.p + VARIABLE_LENGTH_AT, (uint32_t)(b.n - HEAD_FIRST));
	TRY(compute_mac(buf_bytes(&b), keys, mac));
	TRY(buf_put(&b, bytes_of(mac, sizeof(mac))));
	return buf_put(out, buf_bytes(&b));
}

/* ---- Reading ------------------------------------------------------------------------------ */

kms_err archive_head_length(struct bytes start, size_t *out)
{
	if (start.n < sizeof(magic) || memcmp(start.p, magic, sizeof(magic)) != 0)
		return KMS_E_NOT_A_BACKUP;
	if (start.n < HEAD_FIRST)
		return KMS_E_BACKUP_DAMAGED;
	uint32_t flags = load_u32(start.p + FORMAT_AT) >> 8;
	if (start.p[FORMAT_AT] > ARCHIVE_FORMAT || flags != 0)
		return KMS_E_NEWER_FORMAT;
	if (start.p[FORMAT_AT] != ARCHIVE_FORMAT ||
	    load_u16(start.p + FIXED_LENGTH_AT) != HEAD_FIXED)
		return KMS_E_BACKUP_DAMAGED;
	/* Its rows may have formats that we don't know. */
	if (load_u32(start.p + SCHEMA_AT) > STORE_SCHEMA)
		return KMS_E_NEWER_FORMAT;
	uint32_t variable = load_u32(start.p + VARIABLE_LENGTH_AT);
	if (variable > HEAD_VARIABLE_MAX)
		return KMS_E_BACKUP_DAMAGED;
	*out = HEAD_FIRST + variable + HEAD_MAC_LEN;
	return KMS_OK;
}

static void read_fixed(struct reader *r, struct archive_about *out)
{
	read_into(r, out->id, sizeof(out->id));
	read_into(r, out->instance, sizeof(out->instance));
	out->schema = read_u32(r);
	out->created_us = read_u64(r);
	out->expires_us = read_u64(r);
	out->epoch.number = read_u64(r);
	out->epoch.base = read_u64(r);
	out->epoch.audit_size = read_u64(r);
	read_into(r, out->epoch.audit_root, sizeof(out->epoch.audit_root));
	read_into(r, out->set_digest, sizeof(out->set_digest));
	out->rows = read_u64(r);
	read_into(r, out->store_key, sizeof(out->store_key));
}

static kms_err read_doors(struct reader *r, struct archive_doors *out)
{
	size_t n = read_u8(r);

	if (n > ARCHIVE_SLOTS_MAX)
		return KMS_E_BACKUP_DAMAGED;
	for (size_t i = 0; i < n; i++) {
		out->slots[i] = read_var(r);
		if (!door_ok(out->slots[i]))
			return KMS_E_BACKUP_DAMAGED;
	}
	out->slot_n = n;
	out->keyring = read_var(r);
	return door_ok(out->keyring) ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

static kms_err decode(struct archive_head *h)
{
	struct reader r = reader_of(buf_bytes(&h->raw));
	size_t length;

	TRY(archive_head_length(buf_bytes(&h->raw), &length));
	if (length != h->raw.n)
		return KMS_E_BACKUP_DAMAGED;
	(void)read_bytes(&r, HEAD_START);
	read_fixed(&r, &h->about);
	(void)read_u32(&r);
	TRY(read_doors(&r, &h->doors));
	(void)read_bytes(&r, HEAD_MAC_LEN);
	return reader_done(&r) ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

kms_err archive_head_decode(struct buf *raw, struct archive_head *out)
{
	AUTO(archive_head_done) struct archive_head h = { .raw = *raw };

	*raw = (struct buf){ .p = NULL };
	TRY(decode(&h));
	*out = h;
	h = (struct archive_head){ .doors = { .slot_n = 0 } };
	return KMS_OK;
}

kms_err archive_head_prove(const struct archive_head *h, const struct archive_keys *keys)
{
	const size_t n = h->raw.n - HEAD_MAC_LEN;
	uint8_t mac[HEAD_MAC_LEN];

	TRY(compute_mac(bytes_of(h->raw.p, n), keys, mac));
	return equal_ct(mac, h->raw.p + n, sizeof(mac)) ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

kms_err archive_read_head(int fd, struct archive_head *out)
{
	AUTO(buf_done) struct buf raw = { .p = NULL };
	uint8_t start[HEAD_FIRST];
	size_t got, length;

	TRY(archive_file_get(fd, 0, start, sizeof(start), &got));
	TRY(archive_head_length(bytes_of(start, got), &length));
	TRY(buf_reserve(&raw, length));
	TRY(archive_file_get(fd, 0, raw.p, length, &raw.n));
	return archive_head_decode(&raw, out);
}
