/* SPDX-License-Identifier: Apache-2.0 */
/* A record from anywhere: read without trust; what was read is written and read back the same. */
#include <string.h>

#include "kms/audit/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_same(const struct record *a, const struct record *b)
{
	CHECK(a->seq == b->seq && a->time_us == b->time_us && a->op == b->op);
	CHECK(a->result == b->result && a->item_n == b->item_n && a->counter == b->counter);
	CHECK(bytes_equal(a->subject, b->subject) && bytes_equal(a->detail, b->detail));
	CHECK(memcmp(a->set_digest, b->set_digest, sizeof(a->set_digest)) == 0);
	CHECK(memcmp(a->tag, b->tag, sizeof(a->tag)) == 0);
	for (size_t i = 0; i < a->item_n; i++) {
		CHECK(a->items[i].version == b->items[i].version);
		CHECK(a->items[i].result == b->items[i].result);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct record_item items[BATCH_MAX], again[BATCH_MAX];
	AUTO(buf_done) struct buf b = { 0 };
	struct record r, back;
	uint64_t seq = 0;

	if (record_decode(bytes_of(p, n), items, &r) != KMS_OK)
		return 0;
	CHECK(record_seq(bytes_of(p, n), &seq) == KMS_OK && seq == r.seq);
	/* Names that we don't know read as a longer one of ours, so it may grow over the limit. */
	if (record_encode(&r, &b) != KMS_OK)
		return 0;
	CHECK(b.n <= record_room(&r));
	CHECK(record_decode(buf_bytes(&b), again, &back) == KMS_OK);
	check_same(&r, &back);
	return 0;
}
