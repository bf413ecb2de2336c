/* SPDX-License-Identifier: Apache-2.0 */
/* The blob of a PKCS#11 slot: what is read is written as the same bytes. */
#include "pkcs11/token_blob.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct token_blob b;
	kms_err e = token_blob_decode(bytes_of(p, n), &b);

	CHECK(e == KMS_OK || e == KMS_E_INTEGRITY || e == KMS_E_NEWER_FORMAT);
	if (e != KMS_OK)
		return 0;
	CHECK(n <= SEALER_BLOB_MAX);
	CHECK(token_blob_encode(&b, &again) == KMS_OK);
	CHECK(bytes_equal(buf_bytes(&again), bytes_of(p, n)));
	return 0;
}
