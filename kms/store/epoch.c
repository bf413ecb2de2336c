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
	uint8_t *p = out + 25 + sizeof(e->audit_root);
	memcpy(p, set_hash, SET_HASH_LEN);
	p += SET_HASH_LEN;
	*p++ = e->counted;
	memcpy(p, e->counter_slot, sizeof(e->counter_slot));
}

static void read_counter(struct reader *r, uint8_t format, struct epoch *e)
{
	e->counted = true;
	if (format == 1)
		return;
	uint8_t counted = read_u8(r);
	r->failed = r->failed || counted > 1;
	e->counted = counted == 1;
	read_into(r, e->counter_slot, sizeof(e->counter_slot));
}

kms_err epoch_decode(struct bytes in, struct epoch *out, uint8_t out_set_hash[static SET_HASH_LEN])
{
	struct reader r = reader_of(in);
	struct epoch e = { 0 };
	uint8_t set_hash[SET_HASH_LEN];
	uint8_t format = read_u8(&r);

	if (format > EPOCH_FORMAT)
		return KMS_E_STORE_NEWER;
	e.number = read_u64(&r);
	e.base = read_u64(&r);
	e.audit_size = read_u64(&r);
	read_into(&r, e.audit_root, sizeof(e.audit_root));
	read_into(&r, set_hash, sizeof(set_hash));
	read_counter(&r, format, &e);
	if (!reader_done(&r) || format == 0)
		return KMS_E_STORE_CORRUPT;
	*out = e;
	memcpy(out_set_hash, set_hash, sizeof(set_hash));
	return KMS_OK;
}
