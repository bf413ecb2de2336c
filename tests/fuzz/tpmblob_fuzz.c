/* SPDX-License-Identifier: Apache-2.0 */
/* The blob of a TPM slot: what is read is written as the same bytes, and names a counter of ours. */
#include "tests/fuzz/fuzz.h"
#include "tpm/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct blob b;
	kms_err e = blob_decode(bytes_of(p, n), &b);

	CHECK(e == KMS_OK || e == KMS_E_INTEGRITY || e == KMS_E_NEWER_FORMAT);
	if (e != KMS_OK)
		return 0;
	CHECK(b.counter_index >= COUNTER_INDEX_FIRST && b.counter_index <= COUNTER_INDEX_LAST);
	CHECK(b.pcr_mask >> PCR_COUNT == 0);
	e = blob_encode(&b, &again);
	CHECK(e == KMS_OK || (e == KMS_E_INTERNAL && n > SEALER_BLOB_MAX));
	if (e == KMS_OK)
		CHECK(bytes_equal(buf_bytes(&again), bytes_of(p, n)));
	return 0;
}
