/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a slot. Everything before the check value is under it, so a slot whose name, id or
 * blob was changed in the store is noticed as soon as something has opened the root.
 */
#include "kms/seal/slots.h"

#include <string.h>

#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"

enum {
	MAGIC_LEN = 4,
	FLAGS_LEN = 3
};

const char slot_shares[] = "shares";

static const uint8_t magic[MAGIC_LEN] = { 'K', 'M', 'S', 'L' };
static const uint8_t no_flags[FLAGS_LEN];
static const char check_label[] = "kms slot check v1";

/* HMAC-SHA-256 under a key of its own, derived from the root. */
static kms_err compute_check(
    struct bytes body, const struct secret *root, uint8_t out[static SLOT_CHECK_LEN])
{
	static_assert((int)SLOT_CHECK_LEN == (int)SHA256_LEN, "the check is one HMAC");
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(mac_free) struct mac *m = NULL;

	TRY(kdf_label(root, check_label, &key));
	TRY(mac_new(key, &m));
	return mac_compute(m, &body, 1, out);
}

static bool kind_valid(struct bytes kind)
{
	return kind.n <= SEALER_KIND_MAX && name_valid(kind);
}

static bool parts_valid(const struct slot *s)
{
	bool blob = s->blob.n > 0 && s->blob.n <= SEALER_BLOB_MAX;

	return kind_valid(s->kind) && name_valid(s->name) && blob;
}

static kms_err put_body(const struct slot *s, struct buf *out)
{
	TRY(buf_put(out, bytes_of(magic, MAGIC_LEN)));
	TRY(buf_put_u8(out, SLOT_FORMAT));
	TRY(buf_put(out, bytes_of(no_flags, FLAGS_LEN)));
	TRY(buf_put(out, bytes_of(s->id, sizeof(s->id))));
	TRY(buf_put(out, bytes_of(s->instance, INSTANCE_ID_LEN)));
	TRY(buf_put_u64(out, s->created_us));
	TRY(buf_put_var(out, s->kind));
	TRY(buf_put_var(out, s->name));
	return buf_put_var(out, s->blob);
}

kms_err slot_encode(struct slot *s, const struct secret *root, struct buf *out)
{
	AUTO(buf_done) struct buf whole = { 0 };
	uint8_t check[SLOT_CHECK_LEN];

	if (!parts_valid(s))
		return KMS_E_INTERNAL;
	TRY(put_body(s, &whole));
	TRY(compute_check(buf_bytes(&whole), root, check));
	TRY(buf_put(&whole, bytes_of(check, sizeof(check))));
	TRY(buf_put(out, buf_bytes(&whole)));
	memcpy(s->check, check, sizeof(check));
	return KMS_OK;
}

static kms_err read_head(struct reader *r)
{
	struct bytes m = read_bytes(r, MAGIC_LEN);
	uint8_t format = read_u8(r);
	struct bytes flags = read_bytes(r, FLAGS_LEN);

	if (r->failed || !bytes_equal(m, bytes_of(magic, MAGIC_LEN)) || format == 0)
		return KMS_E_STORE_CORRUPT;
	if (format > SLOT_FORMAT || !bytes_equal(flags, bytes_of(no_flags, FLAGS_LEN)))
		return KMS_E_NEWER_FORMAT;
	return KMS_OK;
}

kms_err slot_decode(struct bytes in, struct slot *out)
{
	struct reader r = reader_of(in);
	struct slot s;

	TRY(read_head(&r));
	read_into(&r, s.id, sizeof(s.id));
	read_into(&r, s.instance, sizeof(s.instance));
	s.created_us = read_u64(&r);
	s.kind = read_var(&r);
	s.name = read_var(&r);
	s.blob = read_var(&r);
	read_into(&r, s.check, sizeof(s.check));
	if (!reader_done(&r) || !parts_valid(&s))
		return KMS_E_STORE_CORRUPT;
	*out = s;
	return KMS_OK;
}

kms_err slot_prove(struct bytes in, const struct secret *root)
{
	struct slot s;
	uint8_t check[SLOT_CHECK_LEN];

	TRY(slot_decode(in, &s));
	TRY(compute_check(bytes_of(in.p, in.n - SLOT_CHECK_LEN), root, check));
	return equal_ct(check, s.check, sizeof(check)) ? KMS_OK : KMS_E_INTEGRITY;
}
