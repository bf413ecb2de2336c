/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See module.h. The order of the calls is law: load, list the slots once, choose; libp11 loses
 * sessions, or memory, when it is asked to list, open or release again in between.
 */
#include "pkcs11/module.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void setting_use(const char *name, const char *value);

static void put_setting(const char *name, const char *value)
{
	(void)setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void drop_setting(const char *name, const char *value)
{
	(void)value;
	(void)unsetenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
}

/* Each NAME=VALUE of the configuration, which has checked them. */
static void each_setting(const struct sealer *s, setting_use *use)
{
	char text[SEALER_ENVIRONMENT_MAX + 1];
	char *rest = text;

	memcpy(text, s->params.token.environment, sizeof(text));
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		const char *name = strsep(&line, "=");
		if (line != NULL)
			use(name, line);
	}
}

/* All that we call but the making of keys, which a token may leave to its administrator. */
static bool list_complete(const CK_FUNCTION_LIST *f)
{
	return f->C_GetTokenInfo != NULL && f->C_GetMechanismInfo != NULL &&
	       f->C_OpenSession != NULL && f->C_CloseSession != NULL &&
	       f->C_GetSessionInfo != NULL && f->C_FindObjectsInit != NULL &&
	       f->C_FindObjects != NULL && f->C_FindObjectsFinal != NULL &&
	       f->C_GetAttributeValue != NULL && f->C_DestroyObject != NULL &&
	       f->C_EncryptInit != NULL && f->C_Encrypt != NULL && f->C_DecryptInit != NULL &&
	       f->C_Decrypt != NULL && f->C_SignInit != NULL && f->C_Sign != NULL &&
	       f->C_GenerateRandom != NULL;
}

/* The list of the library that libp11 has loaded, not of a second copy of it. */
static kms_err take_list(struct sealer *s)
{
	CK_C_GetFunctionList get = NULL;

	s->library = dlopen(s->params.token.module, RTLD_NOW | RTLD_NOLOAD);
	if (s->library == NULL)
		return KMS_E_TOKEN_MODULE;
	void *found = dlsym(s->library, "C_GetFunctionList");
	if (found == NULL)
		return KMS_E_TOKEN_MODULE;
	memcpy(&get, &found, sizeof(get));
	TRY(rv_check(s, RV_LOAD, get(&s->f)));
	return s->f != NULL && list_complete(s->f) ? KMS_OK : KMS_E_TOKEN_MODULE;
}

static kms_err load(struct sealer *s)
{
	const char *module = s->params.token.module;

	/* libp11 tells stderr of a file that is not there. */
	if (access(module, R_OK) != 0)
		return KMS_E_TOKEN_MODULE;
	each_setting(s, put_setting);
	s->ctx = PKCS11_CTX_new();
	if (s->ctx == NULL)
		return KMS_E_NO_MEMORY;
	TRY(rv_check_libp11(s, RV_LOAD, PKCS11_CTX_load(s->ctx, module)));
	s->loaded = true;
	return take_list(s);
}

/* An empty wish fits all. */
static bool text_fits(const char *wanted, const char *found)
{
	return wanted[0] == '\0' || (found != NULL && strcmp(wanted, found) == 0);
}

/* By label and serial number, never by the slot's number, which may be another one each time. */
static bool token_fits(const struct sealer_token *t, const PKCS11_TOKEN *token)
{
	return token != NULL && token->initialized && text_fits(t->label, token->label) &&
	       text_fits(t->serial, token->serialnr);
}

static kms_err choose(struct sealer *s)
{
	for (unsigned i = 0; i < s->slot_n; i++) {
		if (!token_fits(&s->params.token, s->slots[i].token))
			continue;
		if (s->slot != NULL)
			return KMS_E_TOKEN_AMBIGUOUS;
		s->slot = &s->slots[i];
	}
	return s->slot != NULL ? KMS_OK : KMS_E_TOKEN_MISSING;
}

kms_err module_open(struct sealer *s)
{
	TRY(load(s));
	TRY(rv_check_libp11(s, RV_ANY, PKCS11_enumerate_slots(s->ctx, &s->slots, &s->slot_n)));
	return choose(s);
}

void module_close(struct sealer *s)
{
	if (s->session != CK_INVALID_HANDLE)
		(void)s->f->C_CloseSession(s->session);
	/* With the slots goes libp11's copy of the PIN. */
	if (s->slots != NULL)
		PKCS11_release_all_slots(s->ctx, s->slots, s->slot_n);
	if (s->loaded)
		PKCS11_CTX_unload(s->ctx);
	if (s->ctx != NULL) {
		PKCS11_CTX_free(s->ctx);
		each_setting(s, drop_setting);
	}
	if (s->library != NULL)
		(void)dlclose(s->library);
	ERR_clear_error();
	const struct sealer_params params = s->params;
	*s = (struct sealer){ .params = params, .code = s->code, .retry = s->retry };
}

static struct bytes limited(const char *text, size_t most)
{
	size_t n = text != NULL ? strnlen(text, most) : 0;

	return bytes_of(n > 0 ? text : "", n);
}

struct bytes module_label(const struct sealer *s)
{
	return limited(s->slot->token->label, SEALER_LABEL_MAX);
}

struct bytes module_serial(const struct sealer *s)
{
	return limited(s->slot->token->serialnr, SEALER_SERIAL_MAX);
}
