/* SPDX-License-Identifier: Apache-2.0 */
/* See blob.h. The TPM's own structures stand in it as the TPM writes them (Part 2). */
#include "tpm/blob.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/srk.h"

enum tag {
	TAG_SRK_TEMPLATE = 1,
	TAG_SRK_NAME,
	TAG_PCR_MASK,
	TAG_POLICY,
	TAG_SEALED_PUBLIC,
	TAG_SEALED_PRIVATE,
	TAG_SIGNING_PUBLIC,
	TAG_SIGNING_PRIVATE,
	TAG_COUNTER_INDEX,
	TAG_END
};

static kms_err put_field(struct buf *out, enum tag tag, struct bytes value)
{
	TRY(buf_put_u8(out, (uint8_t)tag));
	return buf_put_var(out, value);
}

static kms_err put_number(struct buf *out, enum tag tag, uint32_t x)
{
	uint8_t b[sizeof(x)];

	store_u32(b, x);
	return put_field(out, tag, bytes_of(b, sizeof(b)));
}

static kms_err put_public(struct buf *out, enum tag tag, const TPM2B_PUBLIC *x)
{
	uint8_t b[sizeof(*x)];
	size_t n = 0;

	if (Tss2_MU_TPM2B_PUBLIC_Marshal(x, b, sizeof(b), &n) != TSS2_RC_SUCCESS)
		return KMS_E_INTERNAL;
	return put_field(out, tag, bytes_of(b, n));
}

static kms_err put_private(struct buf *out, enum tag tag, const TPM2B_PRIVATE *x)
{
	return put_field(out, tag, bytes_of(x->buffer, x->size));
}

static kms_err put_fields(const struct blob *b, struct buf *out)
{
	TRY(buf_put_u8(out, BLOB_VERSION));
	TRY(put_field(out, TAG_SRK_TEMPLATE, bytes_of(&b->srk_template, 1)));
	TRY(put_field(out, TAG_SRK_NAME, bytes_of(b->srk_name.name, b->srk_name.size)));
	TRY(put_number(out, TAG_PCR_MASK, b->pcr_mask));
	TRY(put_field(out, TAG_POLICY, bytes_of(b->policy.buffer, b->policy.size)));
	TRY(put_public(out, TAG_SEALED_PUBLIC, &b->sealed.public));
	TRY(put_private(out, TAG_SEALED_PRIVATE, &b->sealed.private));
	TRY(put_public(out, TAG_SIGNING_PUBLIC, &b->signing.public));
	TRY(put_private(out, TAG_SIGNING_PRIVATE, &b->signing.private));
	return put_number(out, TAG_COUNTER_INDEX, b->counter_index);
}

kms_err blob_encode(const struct blob *b, struct buf *out)
{
	AUTO(buf_done) struct buf whole = { 0 };

	TRY(put_fields(b, &whole));
	if (whole.n > SEALER_BLOB_MAX)
		return KMS_E_INTERNAL;
	return buf_put(out, buf_bytes(&whole));
}

/* The value of the field that must come now; empty and failed for any other. */
static struct bytes read_field(struct reader *r, enum tag tag)
{
	uint8_t found = read_u8(r);
	struct bytes value = read_var(r);

	if (found == tag)
		return value;
	r->failed = true;
	return (struct bytes){ 0 };
}

static uint32_t read_number(struct reader *r, enum tag tag)
{
	struct bytes value = read_field(r, tag);

	if (value.n == sizeof(uint32_t))
		return load_u32(value.p);
	r->failed = true;
	return 0;
}

/* Exactly n bytes. */
static void read_exact(struct reader *r, enum tag tag, uint8_t *out, size_t n)
{
	struct bytes value = read_field(r, tag);

	if (value.n == n)
		memcpy(out, value.p, n);
	else
		r->failed = true;
}

/* The library passes over the length that stands in front, big-endian. It has read it: there are 2. */
static bool length_right(struct bytes value)
{
	return (size_t)(value.p[0] << 8 | value.p[1]) + 2 == value.n;
}

static void read_public(struct reader *r, enum tag tag, TPM2B_PUBLIC *out)
{
	struct bytes value = read_field(r, tag);
	size_t used = 0;
	TSS2_RC rc;

	/* The library takes a structure that isn't zero for one that is in use. */
	*out = (TPM2B_PUBLIC){ 0 };
	if (r->failed)
		return;
	rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal(value.p, value.n, &used, out);
	if (rc != TSS2_RC_SUCCESS || used != value.n || !length_right(value))
		r->failed = true;
}

static void read_private(struct reader *r, enum tag tag, TPM2B_PRIVATE *out)
{
	struct bytes value = read_field(r, tag);

	if (value.n > sizeof(out->buffer)) {
		r->failed = true;
		return;
	}
	out->size = (UINT16)value.n;
	if (value.n > 0)
		memcpy(out->buffer, value.p, value.n);
}

static void read_fields(struct reader *r, struct blob *b)
{
	read_exact(r, TAG_SRK_TEMPLATE, &b->srk_template, 1);
	b->srk_name.size = SRK_NAME_LEN;
	read_exact(r, TAG_SRK_NAME, b->srk_name.name, SRK_NAME_LEN);
	b->pcr_mask = read_number(r, TAG_PCR_MASK);
	b->policy.size = TPM2_SHA256_DIGEST_SIZE;
	read_exact(r, TAG_POLICY, b->policy.buffer, TPM2_SHA256_DIGEST_SIZE);
	read_public(r, TAG_SEALED_PUBLIC, &b->sealed.public);
	read_private(r, TAG_SEALED_PRIVATE, &b->sealed.private);
	read_public(r, TAG_SIGNING_PUBLIC, &b->signing.public);
	read_private(r, TAG_SIGNING_PRIVATE, &b->signing.private);
	b->counter_index = read_number(r, TAG_COUNTER_INDEX);
}

/* The blob names the index that is written to: it must be one of ours. */
static bool fields_valid(const struct blob *b)
{
	const TPM2B_DIGEST *policy = &b->sealed.public.publicArea.authPolicy;

	if (b->counter_index < COUNTER_INDEX_FIRST || b->counter_index > COUNTER_INDEX_LAST)
		return false;
	if (b->pcr_mask >> PCR_COUNT != 0 || b->sealed.public.publicArea.type != TPM2_ALG_KEYEDHASH)
		return false;
	if (b->signing.public.publicArea.type != TPM2_ALG_ECC)
		return false;
	return bytes_equal(
	    bytes_of(b->policy.buffer, b->policy.size), bytes_of(policy->buffer, policy->size));
}

kms_err blob_decode(struct bytes in, struct blob *out)
{
	struct reader r = reader_of(in);
	uint8_t version = read_u8(&r);

	if (!r.failed && version > BLOB_VERSION)
		return KMS_E_NEWER_FORMAT;
	*out = (struct blob){ 0 };
	read_fields(&r, out);
	if (!reader_done(&r) || version != BLOB_VERSION || !fields_valid(out))
		return KMS_E_INTEGRITY;
	return out->srk_template == SRK_TEMPLATE_P256 ? KMS_OK : KMS_E_NEWER_FORMAT;
}
