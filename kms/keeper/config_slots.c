/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hardware of kms.conf: one section for each slot that kmsd may have. A slot of the store
 * finds its section by its name; what a section says never comes from a client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/keeper/config_private.h"

enum {
	PCR_COUNT = 24,
	SETTINGS_MAX = 4 /* variables of a module's environment */
};

static const char name_tpm[] = "tpm";
static const char name_pkcs11[] = "pkcs11";
static const char name_shares[] = "shares";
static const char of_descriptor[] = "fd:";

/* A systemd credential wins over the file that the configuration names, where there is one. */
static kms_err take_credential(const char *credential, char *out, char *error, bool *out_found)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe) */
	*out_found = folder != NULL;
	if (folder == NULL)
		return KMS_OK;
	int n = snprintf(out, SEALER_PATH_MAX + 1, "%s/%s", folder, credential);
	if (n < 0 || n > SEALER_PATH_MAX)
		return config_refuse(error, "CREDENTIALS_DIRECTORY", "too long");
	return KMS_OK;
}

static kms_err take_auth_file(cfg_t *tpm, char *out, char *error)
{
	bool found = false;
	TRY(take_credential("kms.tpm-auth", out, error, &found));
	return found ? KMS_OK : config_take_path(tpm, "auth_file", SEALER_PATH_MAX, out, error);
}

static kms_err take_tpm(cfg_t *tpm, struct config_slot *out, char *error)
{
	struct sealer_params *p = &out->params;
	TRY(config_take_text(tpm, "tcti", SEALER_PATH_MAX, p->tcti, error));
	TRY(take_auth_file(tpm, p->auth_file, error));
	for (unsigned i = 0; i < cfg_size(tpm, "pcrs"); i++) {
		long pcr = cfg_getnint(tpm, "pcrs", i);
		if (pcr < 0 || pcr >= PCR_COUNT)
			return config_refuse(error, "tpm pcrs", "a PCR is a number from 0 to 23");
		p->pcr_mask |= (uint32_t)1 << (unsigned)pcr;
	}
	memcpy(out->name, name_tpm, sizeof(name_tpm));
	memcpy(out->kind, name_tpm, sizeof(name_tpm));
	return config_take_span(tpm, "deadline", &out->deadline_us, error);
}

/* "/path", "fd:N" for a descriptor that kmsd was started with, or the credential's path. */
static kms_err take_pin_file(cfg_t *sec, const char *credential, char *out, char *error)
{
	bool found = false;
	TRY(config_take_text(sec, "pin_file", SEALER_PATH_MAX, out, error));
	if (strncmp(out, of_descriptor, strlen(of_descriptor)) == 0) {
		char *end = NULL;
		const char *digits = out + strlen(of_descriptor);
		unsigned long fd = strtoul(digits, &end, 10);
		bool number = *digits >= '0' && *digits <= '9' && *end == '\0';
		return number && fd > 3 && fd < CONFIG_FD_MAX
		           ? KMS_OK
		           : config_refuse(error, "pkcs11 pin_file", "fd:N with N from 4 to 1023");
	}
	TRY(take_credential(credential, out, error, &found));
	return found ? KMS_OK : config_take_path(sec, "pin_file", SEALER_PATH_MAX, out, error);
}

/* The number of a word in a list. */
static kms_err take_word(
    cfg_t *sec, const char *option, const char *const words[3], uint32_t *out, char *error)
{
	for (uint32_t i = 0; i < 3 && words[i] != NULL; i++) {
		if (strcmp(cfg_getstr(sec, option), words[i]) == 0) {
			*out = i;
			return KMS_OK;
		}
	}
	return config_refuse(error, option, "see kms.conf(5) for its words");
}

/* What says to the loader or to a library of ours where its code or its keys are. */
static bool setting_reserved(const char *setting)
{
	static const char *const beginnings[] = { "LD_", "TSS2_", "OPENSSL_", "MALLOC_", "GLIBC_",
		"GCONV_", "PATH=" };
	for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
		if (strncmp(setting, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/* NAME=VALUE: capitals, digits and _; then printable ASCII. */
static bool setting_valid(const char *setting)
{
	size_t name = strspn(setting, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (name == 0 || setting[name] != '=' || (setting[0] >= '0' && setting[0] <= '9'))
		return false;
	for (const char *p = setting + name; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return !setting_reserved(setting);
}

/* One line for each variable. */
static kms_err take_environment(cfg_t *sec, char *out, char *error)
{
	unsigned n = cfg_size(sec, "environment");
	size_t used = 0;
	if (n > SETTINGS_MAX)
		return config_refuse(error, "environment", "at most 4 variables");
	for (unsigned i = 0; i < n; i++) {
		const char *setting = cfg_getnstr(sec, "environment", i);
		if (!setting_valid(setting))
			return config_refuse(error, "environment",
			    "NAME=VALUE in capitals and printable ASCII, and not of the system's");
		if (used + strlen(setting) + 1 > SEALER_ENVIRONMENT_MAX)
			return config_refuse(error, "environment", "too long");
		if (i > 0)
			out[used++] = '\n';
		memcpy(out + used, setting, strlen(setting) + 1);
		used += strlen(setting);
	}
	return KMS_OK;
}

static kms_err take_token(cfg_t *sec, const char *credential, struct sealer_token *t, char *error)
{
	static const char *const mechanisms[3] = { [SEALER_MECHANISM_ANY] = "any",
		[SEALER_AES_GCM] = "aes-gcm",
		[SEALER_AES_CBC] = "aes-cbc" };
	static const char *const ivs[3] = { "host", "token" };
	uint32_t iv = 0;
	TRY(config_take_path(sec, "module", SEALER_PATH_MAX, t->module, error));
	TRY(config_take_text(sec, "token", SEALER_LABEL_MAX, t->label, error));
	TRY(config_take_text(sec, "serial", SEALER_SERIAL_MAX, t->serial, error));
	TRY(config_take_text(sec, "key", NAME_MAX_LEN, t->key, error));
	TRY(take_pin_file(sec, credential, t->pin_file, error));
	TRY(take_environment(sec, t->environment, error));
	TRY(take_word(sec, "mechanism", mechanisms, &t->mechanism, error));
	TRY(take_word(sec, "iv", ivs, &iv, error));
	t->iv_by_token = iv == 1;
	t->make_key = cfg_getbool(sec, "make_key") != cfg_false;
	t->allow_imported = cfg_getbool(sec, "allow_imported") != cfg_false;
	return KMS_OK;
}

/* The PIN of the only token is "kms.pkcs11-pin"; where there are several, "kms.pkcs11-pin.NAME". */
static kms_err take_pkcs11(cfg_t *sec, bool only, struct config_slot *out, char *error)
{
	char credential[NAME_MAX_LEN + 32];
	const char *title = cfg_title(sec);
	struct bytes name = bytes_of_str(title);
	if (!name_valid(name) || strcmp(title, name_tpm) == 0 || strcmp(title, name_shares) == 0 ||
	    strcmp(title, name_pkcs11) == 0)
		return config_refuse(error, "pkcs11",
		    "its title is the slot's name: letters, "
		    "digits, . _ -, and none of tpm, pkcs11, shares");
	memcpy(out->name, title, name.n + 1);
	memcpy(out->kind, name_pkcs11, sizeof(name_pkcs11));
	(void)snprintf(credential, sizeof(credential), "kms.pkcs11-pin%s%s", only ? "" : ".",
	    only ? "" : title);
	TRY(take_token(sec, credential, &out->params.token, error));
	return config_take_span(sec, "deadline", &out->deadline_us, error);
}

const struct config_slot *config_find_slot(const struct config *c, struct bytes name)
{
	for (size_t i = 0; i < c->slot_n; i++)
		if (bytes_equal(bytes_of_str(c->slots[i].name), name))
			return &c->slots[i];
	return NULL;
}

/* What follows `prefix` in `spec`; p is NULL if it does not begin so. */
static struct bytes behind(struct bytes spec, const char *prefix)
{
	size_t n = strlen(prefix);
	bool begins = spec.n >= n && memcmp(spec.p, prefix, n) == 0;
	return begins ? bytes_of(spec.p + n, spec.n - n) : (struct bytes){ 0 };
}

static bool is_meant(const struct config_slot *s, struct bytes spec)
{
	struct bytes label = behind(spec, "pkcs11:token=");
	bool labelled = label.n > 0 && bytes_equal(label, bytes_of_str(s->params.token.label));
	return labelled || bytes_equal(spec, bytes_of_str(s->kind));
}

kms_err config_choose_slot(
    const struct config *c, struct bytes spec, const struct config_slot **out)
{
	const struct config_slot *found = config_find_slot(c, spec);
	bool named = found != NULL;
	for (size_t i = 0; i < c->slot_n && !named; i++) {
		if (!is_meant(&c->slots[i], spec))
			continue;
		if (found != NULL)
			return KMS_E_SLOT_CONFIG;
		found = &c->slots[i];
	}
	if (found == NULL)
		return KMS_E_SLOT_CONFIG;
	*out = found;
	return KMS_OK;
}

/* Those of slot_order go to the front, in its order. */
static kms_err put_in_order(cfg_t *cfg, struct config *c, char *error)
{
	unsigned n = cfg_size(cfg, "slot_order");
	for (unsigned i = 0; i < n; i++) {
		const char *name = cfg_getnstr(cfg, "slot_order", i);
		const struct config_slot *found = config_find_slot(c, bytes_of_str(name));
		if (found == NULL || (size_t)(found - c->slots) < i)
			return config_refuse(
			    error, "slot_order", "names each section tpm or pkcs11 once at most");
		struct config_slot first = *found;
		size_t before = (size_t)(found - c->slots) - i;
		memmove(&c->slots[i + 1], &c->slots[i], before * sizeof(first));
		c->slots[i] = first;
	}
	return KMS_OK;
}

kms_err config_take_slots(cfg_t *cfg, struct config *c, char *error)
{
	unsigned n = cfg_size(cfg, name_pkcs11);
	if (n >= CONFIG_SLOTS_MAX)
		return config_refuse(error, "pkcs11", "too many sections");
	TRY(take_tpm(cfg_getsec(cfg, name_tpm), &c->slots[c->slot_n++], error));
	for (unsigned i = 0; i < n; i++)
		TRY(take_pkcs11(
		    cfg_getnsec(cfg, name_pkcs11, i), n == 1, &c->slots[c->slot_n++], error));
	return put_in_order(cfg, c, error);
}
