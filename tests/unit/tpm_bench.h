/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the TPM slot share: a software TPM with one slot in it for each test, and each
 * call of the sealer with a connection of its own, as kms-seal makes it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "tests/unit/chip.h"
#include "tpm/tpm.h"

enum {
	SLOTS = 16,
	PCR_8 = 1 << 8,
	SKIPPED = 77
};

static const uint8_t root_bytes[SEALER_ROOT_LEN] = "KMS-TEST-ROOT-0123456789abcdefgh";

/* A chip and a slot in it. */
struct bench {
	struct chip chip;
	struct buf blob;
	uint64_t counter;
};

static inline struct sealer *sealer_of(const struct chip *c)
{
	struct sealer *s = NULL;

	assert_int_equal(tpm_sealer.open(&c->params, &s), KMS_OK);
	return s;
}

static inline kms_err seal(const struct chip *c, struct buf *out_blob, uint64_t *out_counter)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = sealer_of(c);

	assert_int_equal(secret_from(bytes_of(root_bytes, sizeof(root_bytes)), &root), KMS_OK);
	kms_err e = tpm_sealer.seal(s, root, (struct bytes){ 0 }, out_blob, out_counter);
	tpm_sealer.close(&s);
	return e;
}

/* Opens; what comes out must be the root. *out_code: the library's own. */
static inline kms_err unseal_code(const struct chip *c, struct bytes blob, uint32_t *out_code)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = sealer_of(c);
	kms_err e = tpm_sealer.unseal(s, blob, &root);

	*out_code = tpm_sealer.last_code(s);
	tpm_sealer.close(&s);
	assert_true((e == KMS_OK) == (root != NULL));
	if (e == KMS_OK)
		assert_true(secret_equal(root, bytes_of(root_bytes, sizeof(root_bytes))));
	return e;
}

static inline kms_err unseal(const struct chip *c, struct bytes blob)
{
	uint32_t code;

	return unseal_code(c, blob, &code);
}

static inline kms_err count(
    const struct chip *c, struct bytes blob, const struct sealer_move *move, uint64_t *out)
{
	struct sealer *s = sealer_of(c);
	kms_err e = tpm_sealer.counter(s, blob, move, out);

	tpm_sealer.close(&s);
	return e;
}

/* Each field is used by one of the three. */
static inline bool all_work(const struct chip *c, struct bytes blob)
{
	AUTO(buf_done) struct buf sig = { 0 };
	struct sealer *s = sealer_of(c);
	uint64_t value;
	kms_err signed_ok = tpm_sealer.sign(s, blob, bytes_of_str("text"), &sig);

	tpm_sealer.close(&s);
	return unseal(c, blob) == KMS_OK && count(c, blob, NULL, &value) == KMS_OK &&
	       signed_ok == KMS_OK;
}

static inline int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	chip_new(&b->chip);
	b->chip.params.pcr_mask = PCR_8;
	assert_int_equal(seal(&b->chip, &b->blob, &b->counter), KMS_OK);
	*state = b;
	return 0;
}

static inline int teardown(void **state)
{
	struct bench *b = *state;

	chip_done(&b->chip);
	buf_done(&b->blob);
	free(b);
	return 0;
}

#define WITH_CHIP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Runs them, or says why not. */
#define RUN_WITH_CHIP(tests)                                                                       \
	__extension__({                                                                            \
		int failed_ = SKIPPED;                                                             \
		if (chip_possible()) {                                                             \
			CHECK(setenv("TSS2_LOG", "all+none", 1) == 0);                             \
			CHECK(secret_init(SLOTS, true) == KMS_OK);                                 \
			failed_ = cmocka_run_group_tests(tests, NULL, NULL);                       \
			secret_done();                                                             \
		} else {                                                                           \
			(void)puts("skipped: swtpm is not installed");                             \
		}                                                                                  \
		failed_;                                                                           \
	})
