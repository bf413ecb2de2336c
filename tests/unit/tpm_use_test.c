/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a slot is used for once it is made, against a software TPM: its counter, its signing key,
 * randomness, the description; and that the chip is left as it was found.
 */
#include "tpm/tpm.h"

#include "tests/unit/tpm_bench.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tpm/blob.h"

enum {
	CYCLES = 10
};

static void the_counter_moves_by_one(void **state)
{
	struct bench *b = *state;
	const struct sealer_move by_one = { 0 };
	uint64_t value = 0;

	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_OK);
	assert_int_equal(value, b->counter);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), &by_one, &value), KMS_OK);
	assert_int_equal(value, b->counter + 1);
	chip_kill(&b->chip);
	chip_start(&b->chip);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_OK);
	assert_int_equal(value, b->counter + 1);
}

static void asking_twice_moves_the_counter_once(void **state)
{
	struct bench *b = *state;
	const struct sealer_move next = { .target = b->counter + 1 };
	const struct sealer_move far = { .target = b->counter + 3 };
	uint64_t value = 0;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(count(&b->chip, buf_bytes(&b->blob), &next, &value), KMS_OK);
		assert_int_equal(value, b->counter + 1);
	}
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), &far, &value), KMS_OK);
	assert_int_equal(value, b->counter + 1);
}

static void each_slot_has_a_counter_of_its_own(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf blob = { 0 };
	const struct sealer_move by_one = { 0 };
	uint64_t other, value;

	assert_int_equal(seal(&b->chip, &blob, &other), KMS_OK);
	assert_true(other > 0);
	assert_int_equal(chip_handles(&b->chip, COUNTER_INDEX_FIRST), 2);
	assert_int_equal(count(&b->chip, buf_bytes(&blob), &by_one, &value), KMS_OK);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_OK);
	assert_int_equal(value, b->counter);
}

/* Seals another root for the slot that there is. */
static kms_err reseal(const struct chip *c, struct bytes before, struct buf *out, uint64_t *value)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = sealer_of(c);

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &root), KMS_OK);
	memset(secret_fill(root), 0x77, SEALER_ROOT_LEN);
	kms_err e = tpm_sealer.seal(s, root, before, out, value);
	tpm_sealer.close(&s);
	return e;
}

static void another_root_keeps_counter_and_signing_key(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf blob = { 0 };
	AUTO(secret_free) struct secret *root = NULL;
	struct blob before, after;
	uint64_t value = 0;
	struct sealer *s = sealer_of(&b->chip);

	assert_int_equal(reseal(&b->chip, buf_bytes(&b->blob), &blob, &value), KMS_OK);
	assert_int_equal(value, b->counter);
	assert_int_equal(chip_handles(&b->chip, COUNTER_INDEX_FIRST), 1);
	assert_int_equal(tpm_sealer.unseal(s, buf_bytes(&blob), &root), KMS_OK);
	assert_int_equal(secret_bytes(root).p[0], 0x77);
	tpm_sealer.close(&s);
	assert_int_equal(blob_decode(buf_bytes(&b->blob), &before), KMS_OK);
	assert_int_equal(blob_decode(buf_bytes(&blob), &after), KMS_OK);
	assert_int_equal(before.counter_index, after.counter_index);
	assert_memory_equal(
	    &before.signing.public, &after.signing.public, sizeof(before.signing.public));
	/* Until the new blob is in the store, the old one opens as before. */
	assert_true(all_work(&b->chip, buf_bytes(&b->blob)));
}

static void another_root_for_a_foreign_slot_is_refused(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf blob = { 0 };
	struct chip other;
	uint64_t value = 0;

	chip_new(&other);
	assert_int_equal(reseal(&other, buf_bytes(&b->blob), &blob, &value), KMS_E_TPM_FOREIGN);
	assert_int_equal(
	    reseal(&b->chip, bytes_of(b->blob.p, b->blob.n - 1), &blob, &value), KMS_E_INTEGRITY);
	assert_int_equal(blob.n, 0);
	assert_int_equal(value, 0);
	assert_int_equal(chip_handles(&other, COUNTER_INDEX_FIRST), 0);
	chip_done(&other);
}

/* Puts something of the test's own at the index of the counter. */
static void replace_counter(const struct chip *c, TPMA_NV attributes)
{
	const TPM2B_AUTH auth = { .size = 1, .buffer = "x" };
	const TPM2B_NV_PUBLIC public = {
		.nvPublic = { .nvIndex = COUNTER_INDEX_FIRST,
		    .nameAlg = TPM2_ALG_SHA256,
		    .attributes = attributes,
		    .dataSize = 8 },
	};
	struct probe p = probe_open(c);
	ESYS_TR nv;

	assert_int_equal(Esys_TR_FromTPMPublic(p.esys, COUNTER_INDEX_FIRST, ESYS_TR_NONE,
	                     ESYS_TR_NONE, ESYS_TR_NONE, &nv),
	    TSS2_RC_SUCCESS);
	assert_int_equal(Esys_NV_UndefineSpace(p.esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
	                     ESYS_TR_NONE, ESYS_TR_NONE),
	    TSS2_RC_SUCCESS);
	if (attributes != 0)
		assert_int_equal(Esys_NV_DefineSpace(p.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
		                     ESYS_TR_NONE, ESYS_TR_NONE, &auth, &public, &nv),
		    TSS2_RC_SUCCESS);
	probe_close(&p);
}

static void a_replaced_counter_is_gone(void **state)
{
	struct bench *b = *state;
	uint64_t value;

	replace_counter(&b->chip, TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_E_COUNTER_GONE);
	/* As ours, but never moved. */
	replace_counter(&b->chip, (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_AUTHREAD |
	                              TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_E_COUNTER_GONE);
	replace_counter(&b->chip, 0);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_E_COUNTER_GONE);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
}

static void sign_once(const struct chip *c, struct bytes blob, struct bytes message, bool same)
{
	AUTO(buf_done) struct buf sig = { 0 };
	AUTO(buf_done) struct buf spki = { 0 };
	struct sealer *s = sealer_of(c);

	assert_int_equal(tpm_sealer.sign(s, blob, message, &sig), KMS_OK);
	assert_int_equal(tpm_sealer.public_key(s, blob, &spki), KMS_OK);
	tpm_sealer.close(&s);

	const uint8_t *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	assert_non_null(key);
	assert_ptr_equal(p, spki.p + spki.n);
	assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key), 1);
	size_t n = same ? message.n : message.n - 1;
	assert_int_equal(EVP_DigestVerify(md, sig.p, sig.n, message.p, n), same);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
}

static void a_signature_verifies(void **state)
{
	struct bench *b = *state;
	uint8_t message[SEALER_MESSAGE_MAX];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	sign_once(&b->chip, buf_bytes(&b->blob), bytes_of(message, sizeof(message)), true);
	sign_once(&b->chip, buf_bytes(&b->blob), bytes_of(message, sizeof(message)), false);
	for (size_t n = 1; n < 24; n++)
		sign_once(&b->chip, buf_bytes(&b->blob), bytes_of(message, n), true);
}

static void what_must_not_be_signed_is_not(void **state)
{
	struct bench *b = *state;
	static const uint8_t forged[] = "\xff"
	                                "TCG a statement of the chip";
	static const uint8_t big[SEALER_MESSAGE_MAX + 1];
	AUTO(buf_done) struct buf sig = { 0 };
	struct sealer *s = sealer_of(&b->chip);
	struct bytes blob = buf_bytes(&b->blob);

	assert_int_equal(
	    tpm_sealer.sign(s, blob, bytes_of(forged, sizeof(forged)), &sig), KMS_E_BAD_REQUEST);
	assert_int_equal(
	    tpm_sealer.sign(s, blob, bytes_of(big, sizeof(big)), &sig), KMS_E_BAD_REQUEST);
	assert_int_equal(tpm_sealer.sign(s, blob, bytes_of(big, 0), &sig), KMS_E_BAD_REQUEST);
	chip_write(b->chip.dir, "auth", "another value of thirty-two characters\n");
	assert_int_equal(tpm_sealer.sign(s, blob, bytes_of(big, 5), &sig), KMS_E_TPM_AUTH);
	tpm_sealer.close(&s);
	assert_int_equal(sig.n, 0);
}

static void randomness_fills_its_room(void **state)
{
	struct bench *b = *state;
	uint8_t x[SEALER_RANDOM_MAX] = { 0 }, y[SEALER_RANDOM_MAX] = { 0 };
	struct sealer *s = sealer_of(&b->chip);

	assert_int_equal(tpm_sealer.random(s, x, sizeof(x)), KMS_OK);
	assert_int_equal(tpm_sealer.random(s, y, sizeof(y)), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
	assert_memory_not_equal(x + 48, y + 48, 16);
	assert_int_equal(tpm_sealer.random(s, x, sizeof(x) + 1), KMS_E_INTERNAL);
	tpm_sealer.close(&s);
}

static void the_description_is_one_line(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf text = { 0 };
	struct sealer *s = sealer_of(&b->chip);

	b->chip.params.pcr_mask = 0xffffff;
	assert_int_equal(tpm_sealer.describe(s, &text), KMS_OK);
	tpm_sealer.close(&s);
	assert_true(text.n > 0 && text.n <= SEALER_TEXT_MAX);
	for (size_t i = 0; i < text.n; i++)
		assert_true(text.p[i] >= ' ' && text.p[i] <= '~');
	assert_non_null(memmem(text.p, text.n, "PCRs 8 ", 7));
	assert_int_equal(chip_handles(&b->chip, COUNTER_INDEX_FIRST), 1);
	assert_int_equal(chip_handles(&b->chip, CHIP_TRANSIENT), 0);
}

/* The sweep of each opening would hide a leak, so one connection does everything. */
static void handles_do_not_leak(void **state)
{
	struct bench *b = *state;
	const struct sealer_move by_one = { 0 };
	const struct bytes blob = buf_bytes(&b->blob);
	struct sealer *s = sealer_of(&b->chip);

	for (unsigned i = 0; i < CYCLES; i++) {
		AUTO(secret_free) struct secret *root = NULL;
		AUTO(buf_done) struct buf out = { 0 };
		uint64_t value;
		assert_int_equal(tpm_sealer.unseal(s, blob, &root), KMS_OK);
		assert_int_equal(tpm_sealer.counter(s, blob, &by_one, &value), KMS_OK);
		assert_int_equal(tpm_sealer.sign(s, blob, bytes_of_str("text"), &out), KMS_OK);
		assert_int_equal(tpm_sealer.describe(s, &out), KMS_OK);
		chip_extend(&b->chip, ESYS_TR_PCR8);
		assert_int_equal(tpm_sealer.unseal(s, blob, &root), KMS_E_TPM_PCR);
		assert_int_equal(chip_handles(&b->chip, CHIP_TRANSIENT), 0);
		assert_int_equal(chip_handles(&b->chip, CHIP_SESSIONS), 0);
		chip_kill(&b->chip);
		chip_start(&b->chip);
	}
	tpm_sealer.close(&s);
}

static void what_a_killed_helper_left_is_swept(void **state)
{
	struct bench *b = *state;
	const TPMT_SYM_DEF none = { .algorithm = TPM2_ALG_NULL };

	for (unsigned i = 0; i < 3; i++) {
		struct probe p = probe_open(&b->chip);
		ESYS_TR session;
		assert_int_equal(Esys_StartAuthSession(p.esys, ESYS_TR_NONE, ESYS_TR_NONE,
		                     ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC,
		                     &none, TPM2_ALG_SHA256, &session),
		    TSS2_RC_SUCCESS);
		probe_close(&p);
	}
	assert_int_equal(chip_handles(&b->chip, CHIP_SESSIONS), 3);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
	assert_int_equal(chip_handles(&b->chip, CHIP_SESSIONS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CHIP(the_counter_moves_by_one),
		WITH_CHIP(asking_twice_moves_the_counter_once),
		WITH_CHIP(each_slot_has_a_counter_of_its_own),
		WITH_CHIP(another_root_keeps_counter_and_signing_key),
		WITH_CHIP(another_root_for_a_foreign_slot_is_refused),
		WITH_CHIP(a_replaced_counter_is_gone),
		WITH_CHIP(a_signature_verifies),
		WITH_CHIP(what_must_not_be_signed_is_not),
		WITH_CHIP(randomness_fills_its_room),
		WITH_CHIP(the_description_is_one_line),
		WITH_CHIP(handles_do_not_leak),
		WITH_CHIP(what_a_killed_helper_left_is_swept),
	};

	return RUN_WITH_CHIP(tests);
}
