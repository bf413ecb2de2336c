/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening against a software TPM: it opens where and when it should, and in every other
 * case says why not.
 */
#include "tpm/tpm.h"

#include "tests/unit/tpm_bench.h"
#include "tpm/blob.h"

enum {
	FLIP_STEP = 7 /* each seventh byte: every field is met */
};

static void a_root_comes_back(void **state)
{
	struct bench *b = *state;

	assert_true(b->blob.n > 0 && b->blob.n <= SEALER_BLOB_MAX);
	assert_true(b->counter > 0);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
}

static void without_pcrs_none_are_asked_for(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf blob = { 0 };
	uint64_t counter;

	b->chip.params.pcr_mask = 0;
	assert_int_equal(seal(&b->chip, &blob, &counter), KMS_OK);
	chip_extend(&b->chip, ESYS_TR_PCR8);
	assert_int_equal(unseal(&b->chip, buf_bytes(&blob)), KMS_OK);
}

static void the_chip_may_lose_power(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
		chip_kill(&b->chip);
		chip_start(&b->chip);
	}
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
	assert_int_equal(chip_property(&b->chip, TPM2_PT_LOCKOUT_COUNTER), 0);
}

/* A storage key at the usual place: ours if `first` is 0, else another program's. */
static void keep_storage_key(struct probe *p, uint8_t first, const struct blob *b)
{
	static const TPM2B_SENSITIVE_CREATE no_secret;
	static const TPM2B_DATA no_data;
	static const TPML_PCR_SELECTION no_pcrs;
	const TPM2B_PUBLIC template = {
		.publicArea = { .type = TPM2_ALG_ECC,
		    .nameAlg = TPM2_ALG_SHA256,
		    .objectAttributes = 0x30472,
		    .parameters.eccDetail = { .symmetric = { .algorithm = TPM2_ALG_AES,
		                                  .keyBits.aes = 128,
		                                  .mode.aes = TPM2_ALG_CFB },
		        .scheme.scheme = TPM2_ALG_NULL,
		        .curveID = TPM2_ECC_NIST_P256,
		        .kdf.scheme = TPM2_ALG_NULL },
		    .unique.ecc = { .x = { .size = 32, .buffer = { first } }, .y.size = 32 } },
	};
	ESYS_TR key, kept;
	TPM2B_NAME *name = NULL;

	assert_int_equal(Esys_CreatePrimary(p->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
	                     ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &template, &no_data, &no_pcrs,
	                     &key, NULL, NULL, NULL, NULL),
	    TSS2_RC_SUCCESS);
	assert_int_equal(Esys_EvictControl(p->esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD,
	                     ESYS_TR_NONE, ESYS_TR_NONE, 0x81000001, &kept),
	    TSS2_RC_SUCCESS);
	assert_int_equal(Esys_FlushContext(p->esys, key), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_TR_GetName(p->esys, kept, &name), TSS2_RC_SUCCESS);
	assert_int_equal(memcmp(name->name, b->srk_name.name, b->srk_name.size) == 0, first == 0);
	Esys_Free(name);
}

static void a_persistent_storage_key_of_ours_is_used(void **state)
{
	struct bench *b = *state;
	struct probe p = probe_open(&b->chip);
	struct blob d;

	assert_int_equal(blob_decode(buf_bytes(&b->blob), &d), KMS_OK);
	keep_storage_key(&p, 0, &d);
	probe_close(&p);
	assert_true(all_work(&b->chip, buf_bytes(&b->blob)));
}

static void a_persistent_storage_key_of_others_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct probe p = probe_open(&b->chip);
	struct blob d;

	assert_int_equal(blob_decode(buf_bytes(&b->blob), &d), KMS_OK);
	keep_storage_key(&p, 1, &d);
	probe_close(&p);
	assert_true(all_work(&b->chip, buf_bytes(&b->blob)));
	assert_int_equal(chip_handles(&b->chip, CHIP_PERSISTENT), 1);
}

static void another_chip_is_foreign(void **state)
{
	struct bench *b = *state;
	struct chip other;

	chip_new(&other);
	assert_int_equal(unseal(&other, buf_bytes(&b->blob)), KMS_E_TPM_FOREIGN);
	chip_done(&other);
}

static void a_cleared_chip_says_so(void **state)
{
	struct bench *b = *state;
	uint64_t value;

	chip_clear(&b->chip);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_E_TPM_FOREIGN);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_E_COUNTER_GONE);
}

static void a_wrong_auth_value_is_tried_once(void **state)
{
	struct bench *b = *state;
	const struct sealer_move move = { 0 };
	uint64_t value;
	uint32_t code;

	chip_write(b->chip.dir, "auth", "another value of thirty-two characters\n");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(unseal_code(&b->chip, buf_bytes(&b->blob), &code), KMS_E_TPM_AUTH);
	assert_int_equal(code & 0xbf, TPM2_RC_BAD_AUTH);
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), &move, &value), KMS_E_TPM_AUTH);
	assert_int_equal(chip_property(&b->chip, TPM2_PT_LOCKOUT_COUNTER), 0);

	chip_write(b->chip.dir, "auth", "0123456789abcdef0123456789abcdef\n");
	assert_int_equal(count(&b->chip, buf_bytes(&b->blob), NULL, &value), KMS_OK);
	assert_int_equal(value, b->counter);
}

static void an_unreadable_auth_file_is_named(void **state)
{
	struct bench *b = *state;

	(void)snprintf(
	    b->chip.params.auth_file, sizeof(b->chip.params.auth_file), "%s/none", b->chip.dir);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_E_AUTH_FILE);
}

static void changed_pcrs_refuse(void **state)
{
	struct bench *b = *state;

	chip_extend(&b->chip, ESYS_TR_PCR9);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
	chip_extend(&b->chip, ESYS_TR_PCR8);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_E_TPM_PCR);
	chip_kill(&b->chip);
	chip_start(&b->chip);
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_OK);
}

static void another_instance_is_refused(void **state)
{
	struct bench *b = *state;

	b->chip.params.instance[15] ^= 1;
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_E_INTEGRITY);
}

static void an_owner_with_a_password_is_named(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf blob = { 0 };
	const TPM2B_AUTH password = { .size = 4, .buffer = "pass" };
	struct sealer *s = sealer_of(&b->chip);
	uint64_t counter;

	struct probe p = probe_open(&b->chip);
	assert_int_equal(Esys_HierarchyChangeAuth(p.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
	                     ESYS_TR_NONE, ESYS_TR_NONE, &password),
	    TSS2_RC_SUCCESS);
	probe_close(&p);
	assert_int_equal(seal(&b->chip, &blob, &counter), KMS_E_TPM_OWNER);
	assert_int_equal(tpm_sealer.describe(s, &blob), KMS_E_TPM_OWNER);
	tpm_sealer.close(&s);
	assert_int_equal(blob.n, 0);
}

static void no_changed_blob_works(void **state)
{
	struct bench *b = *state;
	const struct bytes blob = buf_bytes(&b->blob);

	for (size_t i = 0; i < blob.n; i += FLIP_STEP) {
		const uint8_t bit = (uint8_t)(1U << (i % 8));
		b->blob.p[i] ^= bit;
		assert_false(all_work(&b->chip, blob));
		b->blob.p[i] ^= bit;
	}
	assert_true(all_work(&b->chip, blob));
}

static void no_cut_blob_is_taken(void **state)
{
	struct bench *b = *state;
	struct sealer *s = sealer_of(&b->chip);
	AUTO(secret_free) struct secret *root = NULL;
	AUTO(buf_done) struct buf spki = { 0 };

	for (size_t n = 0; n < b->blob.n; n++) {
		const struct bytes cut = bytes_of(b->blob.p, n);
		assert_int_equal(tpm_sealer.unseal(s, cut, &root), KMS_E_INTEGRITY);
		assert_int_equal(tpm_sealer.public_key(s, cut, &spki), KMS_E_INTEGRITY);
	}
	b->blob.p[0]++;
	assert_int_equal(tpm_sealer.unseal(s, buf_bytes(&b->blob), &root), KMS_E_NEWER_FORMAT);
	tpm_sealer.close(&s);
}

static void a_dead_chip_is_unreachable(void **state)
{
	struct bench *b = *state;
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = sealer_of(&b->chip);
	uint64_t value;

	chip_kill(&b->chip);
	assert_int_equal(tpm_sealer.unseal(s, buf_bytes(&b->blob), &root), KMS_E_TPM_UNREACHABLE);
	assert_int_equal(tpm_sealer.last_code(s), TSS2_TCTI_RC_IO_ERROR);
	assert_int_equal(
	    tpm_sealer.counter(s, buf_bytes(&b->blob), NULL, &value), KMS_E_TPM_UNREACHABLE);
	chip_start(&b->chip);
	assert_int_equal(tpm_sealer.counter(s, buf_bytes(&b->blob), NULL, &value), KMS_OK);
	/* It dies while we are connected, and is back before the next act. */
	chip_kill(&b->chip);
	chip_start(&b->chip);
	assert_int_equal(tpm_sealer.unseal(s, buf_bytes(&b->blob), &root), KMS_OK);
	tpm_sealer.close(&s);

	(void)snprintf(b->chip.params.tcti, sizeof(b->chip.params.tcti), "nonsense:x");
	assert_int_equal(unseal(&b->chip, buf_bytes(&b->blob)), KMS_E_TPM_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CHIP(a_root_comes_back),
		WITH_CHIP(without_pcrs_none_are_asked_for),
		WITH_CHIP(the_chip_may_lose_power),
		WITH_CHIP(a_persistent_storage_key_of_ours_is_used),
		WITH_CHIP(a_persistent_storage_key_of_others_is_left_alone),
		WITH_CHIP(another_chip_is_foreign),
		WITH_CHIP(a_cleared_chip_says_so),
		WITH_CHIP(a_wrong_auth_value_is_tried_once),
		WITH_CHIP(an_unreadable_auth_file_is_named),
		WITH_CHIP(changed_pcrs_refuse),
		WITH_CHIP(another_instance_is_refused),
		WITH_CHIP(an_owner_with_a_password_is_named),
		WITH_CHIP(no_changed_blob_works),
		WITH_CHIP(no_cut_blob_is_taken),
		WITH_CHIP(a_dead_chip_is_unreachable),
	};

	return RUN_WITH_CHIP(tests);
}
