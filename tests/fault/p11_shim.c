/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module for tests that stands in front of a real one: fails the Nth call of a function,
 * loses sessions, hangs, crashes, or plays a token of another make. See p11_shim.h. Without
 * KMS_P11_STATE it only passes everything on.
 */
#include "tests/fault/p11_shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

enum {
	IV_LEN = 12,
	OCTETS = 0x04,
	POINT_LEN = 65
};

static struct p11_state nothing;
static struct p11_state *state = &nothing;
static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;
static CK_SLOT_ID token; /* of the session opened last */
static CK_BYTE_PTR iv_place;
static CK_BYTE own_iv[IV_LEN];

static bool trait(enum p11_trait t)
{
	return (state->traits & (uint32_t)t) != 0;
}

static _Noreturn void hang(void)
{
	for (;;)
		(void)pause();
}

/* Counts this call. True if *out_rv is to be returned at once. */
static bool meets(enum p11_function f, CK_RV *out_rv)
{
	uint64_t n = ++state->calls[f];

	if (state->function != (uint32_t)f || n < state->first || n > state->last)
		return false;
	enum p11_action action = (enum p11_action)state->action;
	state->fired += action != P11_NOTHING;
	if (action == P11_CRASH)
		abort();
	if (action == P11_HANG)
		hang();
	if (action == P11_LOSE)
		(void)real->C_CloseAllSessions(token);
	if (action == P11_VANISH)
		(void)rename(state->from, state->to);
	if (action == P11_DIE)
		(void)real->C_Finalize(NULL);
	*out_rv = (CK_RV)state->rv;
	return action == P11_FAIL;
}

/* A function that only counts and fails; params and args as in its declaration. */
#define PASS(name, params, args)                                                                   \
	static CK_RV our_##name params                                                             \
	{                                                                                          \
		CK_RV rv = CKR_OK;                                                                 \
		return meets(P11_##name, &rv) ? rv : real->C_##name args;                          \
	}

PASS(Initialize, (void *a), (a))
PASS(GetSessionInfo, (CK_SESSION_HANDLE s, CK_SESSION_INFO *i), (s, i))
PASS(Login, (CK_SESSION_HANDLE s, CK_USER_TYPE u, CK_BYTE *p, CK_ULONG n), (s, u, p, n))
PASS(FindObjectsInit, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n), (s, t, n))
PASS(FindObjects, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *o, CK_ULONG most, CK_ULONG *n),
    (s, o, most, n))
PASS(DestroyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o))
PASS(DecryptInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
PASS(Decrypt, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *n),
    (s, in, in_n, out, n))
PASS(SignInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
PASS(Sign, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *n),
    (s, in, in_n, out, n))
PASS(GenerateRandom, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG n), (s, out, n))
/* NOLINTNEXTLINE(readability-function-size): the standard's own parameters */
PASS(GenerateKeyPair,
    (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n, CK_ATTRIBUTE *pri,
        CK_ULONG pri_n, CK_OBJECT_HANDLE *out_pub, CK_OBJECT_HANDLE *out_pri),
    (s, m, pub, pub_n, pri, pri_n, out_pub, out_pri))

static CK_RV our_OpenSession(
    CK_SLOT_ID id, CK_FLAGS flags, void *a, CK_NOTIFY n, CK_SESSION_HANDLE *out)
{
	CK_RV rv = CKR_OK;

	token = id;
	return meets(P11_OpenSession, &rv) ? rv : real->C_OpenSession(id, flags, a, n, out);
}

static CK_RV our_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
	CK_RV rv = CKR_OK;

	if (meets(P11_GetTokenInfo, &rv))
		return rv;
	rv = real->C_GetTokenInfo(id, info);
	if (rv == CKR_OK && trait(P11_PIN_IS_LOCKED))
		info->flags |= CKF_USER_PIN_LOCKED;
	return rv;
}

static CK_RV our_GetMechanismInfo(CK_SLOT_ID id, CK_MECHANISM_TYPE m, CK_MECHANISM_INFO *info)
{
	CK_RV rv = CKR_OK;
	bool hidden = (m == CKM_AES_GCM && trait(P11_NO_GCM)) ||
	              (m == CKM_AES_CBC && trait(P11_NO_CBC)) ||
	              (m == CKM_EC_KEY_PAIR_GEN && trait(P11_NO_EC));

	if (meets(P11_GetMechanismInfo, &rv))
		return rv;
	return hidden ? CKR_MECHANISM_INVALID : real->C_GetMechanismInfo(id, m, info);
}

static CK_RV our_GetAttributeValue(
    CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_RV rv = CKR_OK;

	if (meets(P11_GetAttributeValue, &rv))
		return rv;
	rv = real->C_GetAttributeValue(s, o, t, n);
	if (rv == CKR_OK && n == 1 && t->type == CKA_EC_POINT && trait(P11_BARE_POINT) &&
	    t->ulValueLen == POINT_LEN + 2) {
		CK_BYTE *p = t->pValue;
		memmove(p, p + 2, POINT_LEN);
		t->ulValueLen = POINT_LEN;
	}
	return rv;
}

static CK_RV our_GenerateKey(
    CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_RV rv = CKR_OK;

	if (meets(P11_GenerateKey, &rv))
		return rv;
	for (CK_ULONG i = 0; i < n && trait(P11_MODIFIABLE); i++)
		if (t[i].type == CKA_MODIFIABLE)
			return CKR_TEMPLATE_INCONSISTENT;
	return real->C_GenerateKey(s, m, t, n, out);
}

static bool is_zero(const CK_BYTE *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* The real module gets the token's own IV; the caller's place for it is filled after C_Encrypt. */
static CK_RV init_with_own_iv(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
	CK_GCM_PARAMS p;

	memcpy(&p, m->pParameter, sizeof(p));
	if (trait(P11_ZERO_IV) && !is_zero(p.pIv, p.ulIvLen))
		return CKR_MECHANISM_PARAM_INVALID;
	iv_place = p.pIv;
	(void)real->C_GenerateRandom(s, own_iv, IV_LEN);
	p.pIv = own_iv;
	CK_MECHANISM mine = { CKM_AES_GCM, &p, sizeof(p) };
	return real->C_EncryptInit(s, &mine, k);
}

static CK_RV our_EncryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
	CK_RV rv = CKR_OK;

	if (meets(P11_EncryptInit, &rv))
		return rv;
	iv_place = NULL;
	if (m->mechanism == CKM_AES_GCM && (trait(P11_OWN_IV) || trait(P11_SILENT_IV)))
		return init_with_own_iv(s, m, k);
	return real->C_EncryptInit(s, m, k);
}

static CK_RV our_Encrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *n)
{
	CK_RV rv = CKR_OK;

	if (meets(P11_Encrypt, &rv))
		return rv;
	rv = real->C_Encrypt(s, in, in_n, out, n);
	if (rv == CKR_OK && iv_place != NULL && trait(P11_OWN_IV))
		memcpy(iv_place, own_iv, IV_LEN);
	return rv;
}

static void map_state(void)
{
	const char *path = getenv("KMS_P11_STATE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p != MAP_FAILED)
		state = p;
}

__attribute__((destructor)) static void unmap_state(void)
{
	if (state != &nothing)
		(void)munmap(state, sizeof(*state));
}

static bool load_real(void)
{
	const char *path = getenv("KMS_P11_REAL");
	void *library = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	CK_C_GetFunctionList get;

	if (library == NULL)
		return false;
	void *found = dlsym(library, "C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	return get != NULL && get(&real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out)
{
	if (real == NULL) {
		if (!load_real())
			return CKR_GENERAL_ERROR;
		map_state();
	}
	ours = *real;
#define OVERRIDE(name) ours.C_##name = our_##name;
	P11_FUNCTIONS(OVERRIDE)
#undef OVERRIDE
	if (trait(P11_NO_GENERATE))
		ours.C_GenerateKey = NULL;
	*out = &ours;
	return CKR_OK;
}
