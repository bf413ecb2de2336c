/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots as they stand in the store. What is read can be written again under a root and proves with
 * it alone; what somebody else made up never proves.
 */
#include "kms/seal/slots.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct secret *root = fuzz_secret();
	AUTO(buf_done) struct buf again = { 0 };
	struct slot s;
	kms_err e = slot_decode(bytes_of(p, n), &s);

	CHECK(e == KMS_OK || e == KMS_E_STORE_CORRUPT || e == KMS_E_NEWER_FORMAT);
	kms_err proved = slot_prove(bytes_of(p, n), root);
	if (e != KMS_OK) {
		CHECK(proved == e);
		return 0;
	}
	CHECK(slot_encode(&s, root, &again) == KMS_OK);
	CHECK(slot_prove(buf_bytes(&again), root) == KMS_OK);
	/* All but the check value is the same, and it proves where all is. */
	CHECK(again.n == n && memcmp(again.p, p, n - SLOT_CHECK_LEN) == 0);
	bool same = bytes_equal(buf_bytes(&again), bytes_of(p, n));
	CHECK(proved == (same ? KMS_OK : KMS_E_INTEGRITY));
	return 0;
}
