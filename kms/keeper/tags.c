/* SPDX-License-Identifier: Apache-2.0 */
/* Digest and tag of a context; on the path of every issue and unwrap. */
#include "kms/keeper/tags.h"

#include <string.h>

#include "kms/crypto/hash.h"
#include "kms/keeper/turn.h"

/* Names that say which record it is, the most telling first. Without one the whole context is. */
static const char *const record_names[] = { "record", "call", "recording" };

static struct bytes name_of_record(struct pairs pairs, struct bytes canon)
{
	for (size_t n = 0; n < ARRAY_LEN(record_names); n++) {
		struct bytes name = bytes_of_str(record_names[n]);
		for (size_t i = 0; i < pairs.n; i++)
			if (bytes_equal(pairs.p[i].name, name))
				return pairs.p[i].value;
	}
	return canon;
}

kms_err tags_item(
    struct keeper *k, struct pairs pairs, struct bytes canon, uint8_t out[static RECORD_TAG_LEN])
{
	uint8_t mac[SHA256_LEN];
	if (pairs.n == 0)
		return KMS_OK;
	TRY(turn_tag(k->turn, "record", name_of_record(pairs, canon), mac));
	memcpy(out, mac, RECORD_TAG_LEN);
	return KMS_OK;
}

kms_err tags_fill(struct keeper *k, struct pairs pairs, struct bytes canon, struct record *r)
{
	if (pairs.n == 0)
		return KMS_OK;
	TRY(turn_tag(k->turn, "context", canon, r->context_digest));
	return tags_item(k, pairs, canon, r->tag);
}
