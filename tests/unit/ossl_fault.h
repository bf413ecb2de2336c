/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the N-th call into OpenSSL, or for memory, fail. Include it in one file of a test: its
 * definitions stand before those of the shared libraries, hidden from these, so for our own code
 * alone: what OpenSSL does inside is its own affair. A story is told again with N = 1, 2, 3…
 * until it passes untouched; so every way out on a failure is taken.
 */
#pragma once

/* hash_sha256 uses the plain SHA256_* calls. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kms/base/base.h"

#ifdef __has_feature
#define FAULT_HAS_FEATURE(x) __has_feature(x)
#else
#define FAULT_HAS_FEATURE(x) 0
#endif

/* 0: nothing fails. 1: the next call does. */
static size_t fault_in;

static inline bool fault_now(void)
{
	return fault_in > 0 && --fault_in == 0;
}

static inline void *fault_real(const char *name)
{
	void *real = dlsym(RTLD_NEXT, name);

	CHECK(real != NULL);
	return real;
}

/* Defines `name`, which gives `failure` when its turn has come. Parameters and arguments come in
 * parentheses. */
#define FAULTY(type, name, params, args, failure)                                                  \
	__attribute__((visibility("hidden"))) type name params                                     \
	{                                                                                          \
		/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration */                    \
		static type(*real) params;                                                         \
                                                                                                   \
		if (fault_now())                                                                   \
			return failure;                                                            \
		if (real == NULL) {                                                                \
			void *found = fault_real(#name);                                           \
			memcpy(&real, &found, sizeof(real));                                       \
		}                                                                                  \
		return real args;                                                                  \
	}

/* clang-format off */
FAULTY(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL)
FAULTY(EVP_CIPHER *, EVP_CIPHER_fetch,
    (OSSL_LIB_CTX *c, const char *name, const char *properties), (c, name, properties), NULL)
FAULTY(int, EVP_CipherInit_ex,
    (EVP_CIPHER_CTX *c, const EVP_CIPHER *cipher, ENGINE *e, const unsigned char *key,
	const unsigned char *iv, int enc), (c, cipher, e, key, iv, enc), 0)
FAULTY(int, EVP_CIPHER_CTX_set_padding, (EVP_CIPHER_CTX *c, int on), (c, on), 0)
FAULTY(int, EVP_EncryptUpdate,
    (EVP_CIPHER_CTX *c, unsigned char *out, int *n, const unsigned char *in, int in_n),
    (c, out, n, in, in_n), 0)
FAULTY(int, EVP_CipherUpdate,
    (EVP_CIPHER_CTX *c, unsigned char *out, int *n, const unsigned char *in, int in_n),
    (c, out, n, in, in_n), 0)
FAULTY(int, EVP_CipherFinal_ex, (EVP_CIPHER_CTX *c, unsigned char *out, int *n), (c, out, n), 0)
FAULTY(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX *c, int type, int n, void *p), (c, type, n, p), 0)
FAULTY(int, SHA256_Init, (SHA256_CTX *c), (c), 0)
FAULTY(int, SHA256_Update, (SHA256_CTX *c, const void *p, size_t n), (c, p, n), 0)
FAULTY(int, SHA256_Final, (unsigned char *out, SHA256_CTX *c), (out, c), 0)
FAULTY(EVP_MAC *, EVP_MAC_fetch,
    (OSSL_LIB_CTX *c, const char *name, const char *properties), (c, name, properties), NULL)
FAULTY(EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC *m), (m), NULL)
FAULTY(int, EVP_MAC_init,
    (EVP_MAC_CTX *c, const unsigned char *key, size_t n, const OSSL_PARAM params[]),
    (c, key, n, params), 0)
FAULTY(int, EVP_MAC_update, (EVP_MAC_CTX *c, const unsigned char *p, size_t n), (c, p, n), 0)
FAULTY(int, EVP_MAC_final,
    (EVP_MAC_CTX *c, unsigned char *out, size_t *n, size_t room), (c, out, n, room), 0)
FAULTY(int, RAND_priv_bytes, (unsigned char *out, int n), (out, n), 0)
/* glibc's headers carry attributes that a definition of ours must repeat. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                             \
    !FAULT_HAS_FEATURE(address_sanitizer) && !FAULT_HAS_FEATURE(thread_sanitizer)
FAULTY(void *, malloc, (size_t n), (n), NULL)
FAULTY(void *, calloc, (size_t n, size_t size), (n, size), NULL)
FAULTY(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL)
FAULTY(int, madvise, (void *p, size_t n, int advice), (p, n, advice), -1)
#endif
/* clang-format on */

/* What a story is: it returns the first failure that it meets. */
typedef kms_err fault_story(void);

/*
 * Tells the story until it passes untouched. A failure must surface as one of these, and leave
 * OpenSSL's queue empty. The number of failures tried.
 */
static inline size_t fault_tell(fault_story *story)
{
	for (size_t n = 1;; n++) {
		fault_in = n;
		kms_err e = story();
		bool untouched = fault_in > 0;
		fault_in = 0;
		if (untouched) {
			assert_int_equal(e, KMS_OK);
			return n - 1;
		}
		if (e != KMS_E_CRYPTO && e != KMS_E_NO_MEMORY && e != KMS_E_INTEGRITY)
			fail_msg("failure %zu surfaced as %s", n, err_name(e));
		assert_int_equal(ERR_peek_error(), 0);
	}
}
