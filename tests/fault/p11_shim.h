/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a test steers p11_shim.c: a file that both map, named by KMS_P11_STATE in the module's
 * environment; KMS_P11_REAL names the module behind it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* The functions that are counted and may be made to fail. */
#define P11_FUNCTIONS(X)                                                                           \
	X(Initialize)                                                                              \
	X(OpenSession)                                                                             \
	X(GetSessionInfo)                                                                          \
	X(Login)                                                                                   \
	X(FindObjectsInit)                                                                         \
	X(FindObjects)                                                                             \
	X(GetAttributeValue)                                                                       \
	X(DestroyObject)                                                                           \
	X(GenerateKey)                                                                             \
	X(GenerateKeyPair)                                                                         \
	X(EncryptInit)                                                                             \
	X(Encrypt)                                                                                 \
	X(DecryptInit)                                                                             \
	X(Decrypt)                                                                                 \
	X(SignInit)                                                                                \
	X(Sign)                                                                                    \
	X(GenerateRandom)                                                                          \
	X(GetMechanismInfo)                                                                        \
	X(GetTokenInfo)

enum p11_function {
#define P11_NAME(name) P11_##name,
	P11_FUNCTIONS(P11_NAME)
#undef P11_NAME
	P11_FUNCTION_COUNT
};

enum p11_action {
	P11_NOTHING = 0,
	P11_FAIL = 1, /* returns rv instead */
	P11_LOSE =
	    2, /* closes every session of the token first, as another program or a reset might */
	P11_HANG = 3,  /* never comes back */
	P11_CRASH = 4, /* aborts */
	P11_DIE = 5,   /* finalises the module first */
	P11_VANISH = 6 /* takes the folder of the tokens away first: `from` becomes `to` */
};

/* Bits of `traits`: tokens of other kinds. */
enum p11_trait {
	P11_NO_GCM = 1,
	P11_NO_CBC = 2,
	P11_NO_EC = 4,
	P11_OWN_IV = 8,         /* GCM's IV is the token's, whatever it was given */
	P11_ZERO_IV = 16,       /* and it wants to be given zeros */
	P11_MODIFIABLE = 32,    /* takes no template with MODIFIABLE = false */
	P11_SILENT_IV = 64,     /* uses an IV of its own and does not tell */
	P11_NO_GENERATE = 128,  /* has no C_GenerateKey at all */
	P11_BARE_POINT = 256,   /* gives EC points without their OCTET STRING */
	P11_PIN_IS_LOCKED = 512 /* says so in the token's flags */
};

enum {
	P11_PATH_MAX = 128
};

struct p11_state {
	_Atomic uint32_t traits;
	_Atomic uint32_t action, function; /* which happens to … */
	_Atomic uint64_t first, last;      /* … these calls of that function, counted from 1 */
	_Atomic uint64_t rv;
	_Atomic uint64_t calls[P11_FUNCTION_COUNT];
	_Atomic uint64_t fired;
	char from[P11_PATH_MAX], to[P11_PATH_MAX];
};
