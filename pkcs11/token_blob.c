/* SPDX-License-Identifier: Apache-2.0 */
/* See token_blob.h. */
#include "pkcs11/token_blob.h"

#include <string.h>

#include "kms/crypto/kdf.h"

static const char aad_label[] = "kms pkcs11 head v1";
static const char check_label[] = "kms pkcs11 check v1";

static kms_err put_head(const struct token_blob *b, struct buf *out)
{
	const size_t spki_n = b->sign_id.n > 0 ? sizeof(b->spki) : 0;

	TRY(buf_put_u8(out, TOKEN_BLOB_VERSION));
	TRY(buf_put_u8(out, (uint8_t)b->seal.mechanism));
	TRY(buf_put_var(out, bytes_of_str(b->token_label)));
	TRY(buf_put_var(out, bytes_of_str(b->token_serial)));
	TRY(buf_put_var(out, bytes_of_str(b->key_label)));
	TRY(buf_put_var(out, object_id_bytes(&b->key_id)));
	TRY(buf_put_var(out, object_id_bytes(&b->sign_id)));
	return buf_put_var(out, bytes_of(b->spki, spki_n));
}

static kms_err put_body(const struct token_blob *b, struct buf *out)
{
	const enum sealer_mechanism m = b->seal.mechanism;

	TRY(put_head(b, out));
	TRY(buf_put_var(out, bytes_of(b->seal.iv, seal_iv_len(m))));
	return buf_put_var(out, bytes_of(b->seal.data, seal_data_len(m)));
}

kms_err token_blob_aad(const struct token_blob *b, const uint8_t instance[static INSTANCE_ID_LEN],
    uint8_t out[static SHA256_LEN])
{
	AUTO(buf_done) struct buf head = { 0 };

	TRY(put_head(b, &head));
	const struct bytes parts[] = { bytes_of(aad_label, sizeof(aad_label)),
		bytes_of(instance, INSTANCE_ID_LEN), buf_bytes(&head) };
	return hash_sha256(parts, ARRAY_LEN(parts), out);
}

kms_err token_blob_check(const struct token_blob *b, const struct secret *root,
    const uint8_t instance[static INSTANCE_ID_LEN], uint8_t out[static SHA256_LEN])
{
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(mac_free) struct mac *m = NULL;
	AUTO(buf_done) struct buf body = { 0 };

	TRY(put_body(b, &body));
	TRY(kdf_label(root, check_label, &key));
	TRY(mac_new(key, &m));
	const struct bytes parts[] = { bytes_of(instance, INSTANCE_ID_LEN), buf_bytes(&body) };
	return mac_compute(m, parts, ARRAY_LEN(parts), out);
}

kms_err token_blob_encode(const struct token_blob *b, struct buf *out)
{
	AUTO(buf_done) struct buf whole = { 0 };

	TRY(put_body(b, &whole));
	TRY(buf_put(&whole, bytes_of(b->check, sizeof(b->check))));
	return buf_put(out, buf_bytes(&whole));
}

/* Into room for n bytes and its end. */
static void read_text(struct reader *r, char *out, size_t n)
{
	struct bytes x = read_var(r);

	if (x.n > n || (x.n > 0 && memchr(x.p, '\0', x.n) != NULL)) {
		r->failed = true;
		return;
	}
	if (x.n > 0)
		memcpy(out, x.p, x.n);
	out[x.n] = '\0';
}

static void read_id(struct reader *r, struct object_id *out)
{
	struct bytes x = read_var(r);

	if (x.n > sizeof(out->b)) {
		r->failed = true;
		return;
	}
	if (x.n > 0)
		memcpy(out->b, x.p, x.n);
	out->n = x.n;
}

/* Exactly n bytes. */
static void read_exact(struct reader *r, uint8_t *out, size_t n)
{
	struct bytes x = read_var(r);

	if (x.n != n)
		r->failed = true;
	else if (n > 0)
		memcpy(out, x.p, n);
}

static void read_fields(struct reader *r, struct token_blob *b)
{
	const enum sealer_mechanism m = b->seal.mechanism;

	read_text(r, b->token_label, SEALER_LABEL_MAX);
	read_text(r, b->token_serial, SEALER_SERIAL_MAX);
	read_text(r, b->key_label, NAME_MAX_LEN);
	read_id(r, &b->key_id);
	read_id(r, &b->sign_id);
	read_exact(r, b->spki, b->sign_id.n > 0 ? sizeof(b->spki) : 0);
	read_exact(r, b->seal.iv, seal_iv_len(m));
	read_exact(r, b->seal.data, seal_data_len(m));
	read_into(r, b->check, sizeof(b->check));
}

kms_err token_blob_decode(struct bytes in, struct token_blob *out)
{
	struct reader r = reader_of(in);
	const uint8_t version = read_u8(&r);
	const uint8_t mechanism = read_u8(&r);
	struct token_blob b = { .seal.mechanism = (enum sealer_mechanism)mechanism };

	if (r.failed || version == 0 || mechanism == SEALER_MECHANISM_ANY)
		return KMS_E_INTEGRITY;
	if (version != TOKEN_BLOB_VERSION || mechanism > SEALER_AES_CBC)
		return KMS_E_NEWER_FORMAT;
	read_fields(&r, &b);
	if (!reader_done(&r) || b.key_label[0] == '\0')
		return KMS_E_INTEGRITY;
	*out = b;
	return KMS_OK;
}
