/* SPDX-License-Identifier: Apache-2.0 */
/* See epoch.h. Knows nothing of the seal around these bytes. */
#include "kms/store/epoch.h"

#include <string.h>

void epoch_encode(const struct epoch *e, const uint8_t set_hash[static SET_HASH_LEN],
    uint8_t out[static EPOCH_LEN])
{
	out[0] = EPOCH_FORMAT;
	store_u64(out + 1, e->number);
	store_u64(out + 9, e->base);
	store_u64(out + 17, e->audit_size);
	memcpy(out + 25, e->audit_root, sizeof(e->audit_root));
	memcpy(out + 25 + sizeof(e->audit_root), set_hash, SET_HASH_LEN);
}

kms_err epoch_decode(struct bytes in, struct epoch *out, uint8_t out_set_hash[static SET_HASH_LEN])
{
	struct reader r = reader_of(in);
	struct epoch e;
	uint8_t set_hash[SET_HASH_LEN];
	uint8_t format = read_u8(&r);

	if (format > EPOCH_FORMAT)
		return KMS_E_STORE_NEWER;
	e.number = read_u64(&r);
	e.base = read_u64(&r);
	e.audit_size = read_u64(&r);
	read_into(&r, e.audit_root, sizeof(e.audit_root));
	read_into(&r, set_hash, sizeof(set_hash));
	if (!reader_done(&r) || format != EPOCH_FORMAT)
		return KMS_E_STORE_CORRUPT;
	*out = e;
	memcpy(out_set_hash, set_hash, sizeof(set_hash));
	return KMS_OK;
}
