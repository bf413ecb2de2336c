/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing, opening, signing and describing with a SoftHSM: it does what it should, leaves nothing
 * behind that it shouldn't, and in every other case says why not.
 */
#include "pkcs11/pkcs11.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pkcs11/token_blob.h"
#include "tests/unit/hsm.h"

enum {
	KEY_AND_PAIR = 3 /* objects of a slot */
};

/* ---- What works ----------------------------------------------------------------------------- */

static void a_root_comes_back(void **state)
{
	struct hsm *h = *state;
	struct token_blob b;

	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &b), KMS_OK);
	assert_int_equal(b.seal.mechanism, SEALER_AES_GCM);
	assert_string_equal(b.token_label, "kms");
	assert_string_equal(b.key_label, "kms-root");
	assert_int_equal(hsm_objects(h), KEY_AND_PAIR);
}

static void the_module_itself_will_do(void **state)
{
	struct hsm *h = *state;

	hsm_direct(h);
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_null(getenv("SOFTHSM2_CONF"));
}

static void cbc_opens_too(void **state)
{
	struct hsm *h = *state;
	struct token_blob b;

	h->params.token.mechanism = SEALER_AES_CBC;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &b), KMS_OK);
	assert_int_equal(b.seal.mechanism, SEALER_AES_CBC);
	/* The blob says how it was made, whatever is configured now. */
	h->params.token.mechanism = SEALER_AES_GCM;
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

static void a_second_slot_takes_the_same_key(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf second = { 0 };
	struct token_blob a, b;

	assert_int_equal(hsm_seal_new(h, &second), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &a), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&second), &b), KMS_OK);
	assert_memory_equal(a.key_id.b, b.key_id.b, OBJECT_ID_LEN);
	assert_memory_not_equal(a.spki, b.spki, sizeof(a.spki));
}

static void sealing_again_keeps_the_keys(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf after = { 0 };
	struct token_blob a, b;

	assert_int_equal(hsm_seal(h, buf_bytes(&h->blob), &after), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &a), KMS_OK);
	assert_int_equal(token_blob_decode(buf_bytes(&after), &b), KMS_OK);
	assert_memory_equal(a.key_id.b, b.key_id.b, OBJECT_ID_LEN);
	assert_memory_equal(a.spki, b.spki, sizeof(a.spki));
	assert_memory_not_equal(a.seal.data, b.seal.data, sizeof(a.seal.data));
	assert_memory_not_equal(a.seal.iv, b.seal.iv, SEAL_GCM_IV);
	assert_int_equal(hsm_objects(h), KEY_AND_PAIR);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

/* As anyone verifies: SHA-256, ECDSA, the key from its SPKI. */
static bool verifies(const struct buf *spki, const struct buf *sig, const char *text)
{
	const unsigned char *p = spki->p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki->n);
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	assert_non_null(key);
	assert_ptr_equal(p, spki->p + spki->n);
	assert_int_equal(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key), 1);
	int good = EVP_DigestVerify(c, sig->p, sig->n, (const unsigned char *)text, strlen(text));
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(key);
	return good == 1;
}

static void signatures_verify(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf spki = { 0 };

	assert_int_equal(hsm_public(h, &spki), KMS_OK);
	/* Often enough for numbers that begin with a zero, or with a bit that is a sign. */
	for (unsigned i = 0; i < 40; i++) {
		AUTO(buf_done) struct buf sig = { 0 };
		assert_int_equal(hsm_sign(h, bytes_of_str("checkpoint"), &sig), KMS_OK);
		assert_true(verifies(&spki, &sig, "checkpoint"));
		assert_false(verifies(&spki, &sig, "Checkpoint"));
	}
}

static void bare_points_are_understood(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf spki = { 0 };
	AUTO(buf_done) struct buf sig = { 0 };

	h->faults->traits = P11_BARE_POINT;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_public(h, &spki), KMS_OK);
	assert_int_equal(hsm_sign(h, bytes_of_str("text"), &sig), KMS_OK);
	assert_true(verifies(&spki, &sig, "text"));
}

static void random_bytes_come(void **state)
{
	struct hsm *h = *state;
	struct sealer *s = hsm_open(h);
	uint8_t a[SEALER_RANDOM_MAX] = { 0 }, b[SEALER_RANDOM_MAX] = { 0 };

	assert_int_equal(pkcs11_sealer.random(s, a, sizeof(a)), KMS_OK);
	assert_int_equal(pkcs11_sealer.random(s, b, sizeof(b)), KMS_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(pkcs11_sealer.random(s, a, SEALER_RANDOM_MAX + 1), KMS_E_INTERNAL);
	pkcs11_sealer.close(&s);
	pkcs11_sealer.close(&s);
	assert_null(pkcs11_sealer.counter);
}

static bool says(const struct buf *text, const char *what)
{
	return text->n > 0 && memmem(text->p, text->n, what, strlen(what)) != NULL;
}

static void a_description_leaves_nothing(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf text = { 0 };

	assert_int_equal(hsm_describe(h, &text), KMS_OK);
	assert_true(says(&text, "SoftHSM") && says(&text, "label kms,"));
	assert_true(says(&text, "key kms-root will be made") && says(&text, "AES-GCM"));
	assert_true(says(&text, "can sign") && says(&text, "sealing and opening work"));
	assert_true(text.n <= SEALER_TEXT_MAX);
	assert_int_equal(hsm_objects(h), 0);
}

static void a_description_of_what_is_there(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf text = { 0 };

	h->params.token.make_key = false;
	h->params.token.mechanism = SEALER_AES_CBC;
	h->faults->traits = P11_NO_EC;
	assert_int_equal(hsm_describe(h, &text), KMS_OK);
	assert_true(says(&text, "key kms-root is there") && says(&text, "AES-CBC"));
	assert_true(says(&text, "can't sign"));
	assert_int_equal(hsm_objects(h), KEY_AND_PAIR);
}

static void an_administrators_key_will_do(void **state)
{
	struct hsm *h = *state;

	hsm_admin_key(h, 32, false);
	h->params.token.make_key = false;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(hsm_objects(h), KEY_AND_PAIR);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void every_changed_byte_is_refused(struct hsm *h, const char *how)
{
	unsigned tried = 0;
	uint32_t code;

	for (size_t i = 0; i < h->blob.n; i++) {
		const uint8_t flip = (uint8_t)(1U << i % 8);
		h->blob.p[i] ^= flip;
		kms_err e = hsm_unseal_code(h, buf_bytes(&h->blob), &code);
		assert_true(
		    e == KMS_E_INTEGRITY || e == KMS_E_NEWER_FORMAT || e == KMS_E_TOKEN_FOREIGN);
		h->blob.p[i] ^= flip;
		tried++;
	}
	(void)printf("%s: %u changed bytes of %zu refused\n", how, tried, h->blob.n);
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

static void no_changed_blob_opens(void **state)
{
	every_changed_byte_is_refused(*state, "AES-GCM");
}

static void no_changed_blob_opens_with_cbc(void **state)
{
	struct hsm *h = *state;

	h->params.token.mechanism = SEALER_AES_CBC;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	every_changed_byte_is_refused(h, "AES-CBC");
}

static void no_cut_blob_is_taken(void **state)
{
	struct hsm *h = *state;
	uint32_t code;

	for (size_t n = 0; n < h->blob.n; n++)
		assert_int_equal(
		    hsm_unseal_code(h, bytes_of(h->blob.p, n), &code), KMS_E_INTEGRITY);
	assert_int_equal(buf_put_u8(&h->blob, 0), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_E_INTEGRITY);
}

static void another_instance_is_refused(void **state)
{
	struct hsm *h = *state;

	h->params.instance[15] ^= 1;
	assert_int_equal(hsm_unseal(h), KMS_E_INTEGRITY);
}

static void another_instance_is_refused_with_cbc(void **state)
{
	struct hsm *h = *state;

	h->params.token.mechanism = SEALER_AES_CBC;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	h->params.instance[0] ^= 0x80;
	assert_int_equal(hsm_unseal(h), KMS_E_INTEGRITY);
}

static void another_token_is_foreign(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };
	struct hsm other;

	hsm_new(&other);
	assert_int_equal(buf_put(&other.blob, buf_bytes(&h->blob)), KMS_OK);
	assert_int_equal(hsm_unseal(&other), KMS_E_TOKEN_FOREIGN);
	assert_int_equal(hsm_sign(&other, bytes_of_str("text"), &out), KMS_E_TOKEN_FOREIGN);
	assert_int_equal(hsm_seal(&other, buf_bytes(&h->blob), &out), KMS_E_TOKEN_FOREIGN);
	hsm_done(&other);
}

/* A token of another label is not even shown the PIN. */
static void another_label_is_foreign_before_the_pin(void **state)
{
	struct hsm *h = *state;

	hsm_destroy_tokens(h);
	char path[2 * HSM_PATH];
	(void)snprintf(path, sizeof(path), "%s/t", h->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	hsm_add_token(h->dir, "other");
	h->params.token.label[0] = '\0';
	hsm_disarm(h);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_FOREIGN);
	assert_int_equal(h->faults->calls[P11_Login], 0);
}

static void a_missing_token_is_named(void **state)
{
	struct hsm *h = *state;

	(void)snprintf(h->params.token.label, sizeof(h->params.token.label), "none");
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MISSING);
	(void)snprintf(h->params.token.label, sizeof(h->params.token.label), "kms");
	(void)snprintf(h->params.token.serial, sizeof(h->params.token.serial), "0000");
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MISSING);
}

/* SoftHSM always shows one slot more, whose token is not initialised. */
static void an_uninitialised_token_is_passed_over(void **state)
{
	struct hsm *h = *state;

	h->params.token.label[0] = '\0';
	assert_int_equal(hsm_unseal(h), KMS_OK);
	hsm_destroy_tokens(h);
	char path[2 * HSM_PATH];
	(void)snprintf(path, sizeof(path), "%s/t", h->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MISSING);
}

static void twins_are_told_apart_by_serial(void **state)
{
	struct hsm *h = *state;
	struct token_blob b;

	hsm_add_token(h->dir, "kms");
	hsm_disarm(h);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_AMBIGUOUS);
	assert_int_equal(h->faults->calls[P11_Login], 0);
	assert_int_equal(token_blob_decode(buf_bytes(&h->blob), &b), KMS_OK);
	memcpy(h->params.token.serial, b.token_serial, sizeof(b.token_serial));
	assert_int_equal(hsm_unseal(h), KMS_OK);
}

static void two_keys_of_one_label_are_refused(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	hsm_admin_key(h, 32, false);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_AMBIGUOUS);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_KEY_AMBIGUOUS);
	/* The slot that there is knows its key by its id. */
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(hsm_objects(h), KEY_AND_PAIR + 1);
}

static void unsuitable_keys_are_refused(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	hsm_admin_key(h, 16, false);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_UNSUITABLE);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_KEY_UNSUITABLE);
	assert_int_equal(hsm_objects(h), 1);
}

static void extractable_keys_are_refused_even_if_imported_ones_pass(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	hsm_admin_key(h, 32, true);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_UNSUITABLE);
	h->params.token.allow_imported = true;
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_UNSUITABLE);
}

/* Not extractable any more, but it was. */
static void imported_keys_pass_where_allowed(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };
	struct probe p = probe_open(h);
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_BYTE value[32] = "an imported key of 32 bytes here";
	char label[] = "kms-root";
	CK_OBJECT_HANDLE o;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) }, { CKA_TOKEN, &yes, 1 },
		{ CKA_PRIVATE, &yes, 1 }, { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 },
		{ CKA_ENCRYPT, &yes, 1 }, { CKA_DECRYPT, &yes, 1 },
		{ CKA_LABEL, label, sizeof(label) - 1 }, { CKA_VALUE, value, sizeof(value) } };

	assert_int_equal(p.f->C_CreateObject(p.session, t, ARRAY_LEN(t), &o), CKR_OK);
	probe_close(&p);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_UNSUITABLE);
	h->params.token.allow_imported = true;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	assert_int_equal(hsm_unseal(h), KMS_OK);
	/* And what was sealed is not opened once that is forbidden. */
	h->params.token.allow_imported = false;
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_KEY_UNSUITABLE);
}

static void a_key_must_be_there_if_none_may_be_made(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };

	h->params.token.make_key = false;
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_TOKEN_KEY_MISSING);
	assert_int_equal(hsm_describe(h, &out), KMS_E_TOKEN_KEY_MISSING);
	assert_int_equal(hsm_objects(h), 0);
}

static void a_wrong_pin_is_shown_once(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };
	uint32_t code;

	hsm_write(h->dir, "p", "user:9999\n");
	hsm_disarm(h);
	assert_int_equal(hsm_unseal_code(h, buf_bytes(&h->blob), &code), KMS_E_PIN_WRONG);
	assert_int_equal(code, CKR_PIN_INCORRECT);
	assert_int_equal(h->faults->calls[P11_Login], 1);
	assert_int_equal(hsm_seal_new(h, &out), KMS_E_PIN_WRONG);
	assert_int_equal(hsm_sign(h, bytes_of_str("text"), &out), KMS_E_PIN_WRONG);
	assert_int_equal(hsm_describe(h, &out), KMS_E_PIN_WRONG);
	assert_int_equal(h->faults->calls[P11_Login], 4);
	hsm_write(h->dir, "p", "user:1234\n");
	assert_int_equal(hsm_unseal(h), KMS_OK);
	assert_int_equal(hsm_describe(h, &out), KMS_OK);
	assert_false(says(&out, "wrong PIN"));
}

static void a_pin_file_that_cant_be_read_is_named(void **state)
{
	struct hsm *h = *state;

	hsm_disarm(h);
	(void)snprintf(h->params.token.pin_file, sizeof(h->params.token.pin_file), "%s/q", h->dir);
	assert_int_equal(hsm_unseal(h), KMS_E_PIN_FILE);
	hsm_write(h->dir, "q", "123");
	assert_int_equal(hsm_unseal(h), KMS_E_PIN_FILE);
	assert_int_equal(h->faults->calls[P11_Login], 0);
}

static void a_module_that_cant_be_loaded_is_named(void **state)
{
	struct hsm *h = *state;
	char *module = h->params.token.module;

	(void)snprintf(module, sizeof(h->params.token.module), "%s/none.so", h->dir);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MODULE);
	/* No library, and a library that is no module. */
	(void)snprintf(
	    module, sizeof(h->params.token.module), "%s/tests/fault_shim.so", KMS_BUILD_DIR);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MODULE);
	hsm_direct(h);
	(void)snprintf(h->params.token.environment, sizeof(h->params.token.environment),
	    "SOFTHSM2_CONF=%s/none", h->dir);
	assert_int_equal(hsm_unseal(h), KMS_E_TOKEN_MODULE);
}

static void messages_have_limits(void **state)
{
	struct hsm *h = *state;
	AUTO(buf_done) struct buf out = { 0 };
	static const uint8_t text[SEALER_MESSAGE_MAX + 1];

	assert_int_equal(hsm_sign(h, bytes_of(text, 0), &out), KMS_E_BAD_REQUEST);
	assert_int_equal(hsm_sign(h, bytes_of(text, sizeof(text)), &out), KMS_E_BAD_REQUEST);
	assert_int_equal(hsm_sign(h, bytes_of(text, SEALER_MESSAGE_MAX), &out), KMS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SLOT(a_root_comes_back),
		WITH_TOKEN(the_module_itself_will_do),
		WITH_TOKEN(cbc_opens_too),
		WITH_SLOT(a_second_slot_takes_the_same_key),
		WITH_SLOT(sealing_again_keeps_the_keys),
		WITH_SLOT(signatures_verify),
		WITH_TOKEN(bare_points_are_understood),
		WITH_TOKEN(random_bytes_come),
		WITH_TOKEN(a_description_leaves_nothing),
		WITH_SLOT(a_description_of_what_is_there),
		WITH_TOKEN(an_administrators_key_will_do),
		WITH_SLOT(no_changed_blob_opens),
		WITH_TOKEN(no_changed_blob_opens_with_cbc),
		WITH_SLOT(no_cut_blob_is_taken),
		WITH_SLOT(another_instance_is_refused),
		WITH_TOKEN(another_instance_is_refused_with_cbc),
		WITH_SLOT(another_token_is_foreign),
		WITH_SLOT(another_label_is_foreign_before_the_pin),
		WITH_SLOT(a_missing_token_is_named),
		WITH_SLOT(an_uninitialised_token_is_passed_over),
		WITH_SLOT(twins_are_told_apart_by_serial),
		WITH_SLOT(two_keys_of_one_label_are_refused),
		WITH_TOKEN(unsuitable_keys_are_refused),
		WITH_TOKEN(extractable_keys_are_refused_even_if_imported_ones_pass),
		WITH_TOKEN(imported_keys_pass_where_allowed),
		WITH_TOKEN(a_key_must_be_there_if_none_may_be_made),
		WITH_SLOT(a_wrong_pin_is_shown_once),
		WITH_SLOT(a_pin_file_that_cant_be_read_is_named),
		WITH_SLOT(a_module_that_cant_be_loaded_is_named),
		WITH_SLOT(messages_have_limits),
	};

	return RUN_WITH_HSM(tests);
}
