/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DRBG and the block that the hot path draws from. The count of what is left lies in the page
 * itself: the kernel zeroes the page in a child (MADV_WIPEONFORK), and zero left means "refill".
 * So no draw needs to ask for its process id.
 */
#include "kms/crypto/rand.h"

#include <openssl/rand.h>
#include <string.h>
#include <sys/mman.h>

#include "kms/base/secret.h"
#include "kms/crypto/ossl.h"

enum {
	BLOCK_LEN = 4096
};

struct rand_block {
	size_t left; /* at the end of bytes */
	uint8_t bytes[BLOCK_LEN - sizeof(size_t)];
};

kms_err rand_bytes(uint8_t *out, size_t n)
{
	if (n > RAND_ONCE_MAX)
		return KMS_E_CRYPTO;
	/* The private DRBG of each thread: what others see of the public one tells nothing. */
	kms_err e = ossl_check(RAND_priv_bytes(out, (int)n));
	if (e != KMS_OK)
		wipe(out, n);
	return e;
}

void rand_feed(struct bytes extra)
{
	size_t n = extra.n < RAND_ONCE_MAX ? extra.n : RAND_ONCE_MAX;

	RAND_add(extra.p, (int)n, 0.0);
}

kms_err rand_block_new(struct rand_block **out)
{
	struct rand_block *r =
	    mmap(NULL, BLOCK_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (r == MAP_FAILED)
		return KMS_E_NO_MEMORY;
	/* Whether memory must be locked is secret_init's to decide; this page follows if it can. */
	(void)mlock(r, BLOCK_LEN);
	if (madvise(r, BLOCK_LEN, MADV_WIPEONFORK) != 0 ||
	    madvise(r, BLOCK_LEN, MADV_DONTDUMP) != 0) {
		(void)munmap(r, BLOCK_LEN);
		return KMS_E_NO_MEMORY;
	}
	*out = r;
	return KMS_OK;
}

void rand_block_free(struct rand_block **r)
{
	struct rand_block *x = MOVE(*r);

	if (x == NULL)
		return;
	wipe(x, BLOCK_LEN);
	(void)munmap(x, BLOCK_LEN);
}

static kms_err refill(struct rand_block *r)
{
	r->left = 0;
	TRY(rand_bytes(r->bytes, sizeof(r->bytes)));
	r->left = sizeof(r->bytes);
	return KMS_OK;
}

kms_err rand_draw(struct rand_block *r, uint8_t *out, size_t n)
{
	if (n > sizeof(r->bytes))
		return rand_bytes(out, n);
	/* The few bytes that are left are overwritten; nothing is drawn in two pieces. */
	if (n > r->left)
		TRY(refill(r));

	uint8_t *from = r->bytes + sizeof(r->bytes) - r->left;
	memcpy(out, from, n);
	wipe(from, n);
	r->left -= n;
	return KMS_OK;
}
