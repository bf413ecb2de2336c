/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading kms.conf with libconfuse. Values are checked here and copied into a flat struct; a
 * wrong one names its file and option, and kmsd does not start.
 */
#include "kms/keeper/config.h"

#include <confuse.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit/segment.h"
#include "kms/base/clock.h"
#include "kms/keeper/config_private.h"

enum {
	VERSIONS_MIN = 16,
	VERSIONS_MAX = 1000000,
	CONNECTIONS_MAX = 100000,
	SEGMENT_MAX = 1 << 30
};

static const char default_path[] = "/etc/kms/kms.conf";

/* libconfuse reports through a callback without an argument of ours; start-up has one thread. */
static char *error_text;

__attribute__((format(printf, 2, 0))) static void on_error(
    cfg_t *cfg, const char *format, va_list args)
{
	int n = snprintf(error_text, CONFIG_ERROR_MAX,
	    "%s:%d: ", cfg != NULL && cfg->filename != NULL ? cfg->filename : "kms.conf",
	    cfg != NULL ? cfg->line : 0);
	if (n > 0 && n < CONFIG_ERROR_MAX)
		(void)vsnprintf(error_text + n, CONFIG_ERROR_MAX - (size_t)n, format, args);
}

kms_err config_refuse(char *error, const char *option, const char *why)
{
	(void)snprintf(error, CONFIG_ERROR_MAX, "option %s: %s", option, why);
	return KMS_E_BAD_CONFIG;
}

kms_err config_take_text(cfg_t *cfg, const char *option, size_t max, char *out, char *error)
{
	const char *text = cfg_getstr(cfg, option);
	if (text == NULL || strlen(text) > max)
		return config_refuse(error, option, "missing or too long");
	memcpy(out, text, strlen(text) + 1);
	return KMS_OK;
}

kms_err config_take_path(cfg_t *cfg, const char *option, size_t max, char *out, char *error)
{
	TRY(config_take_text(cfg, option, max, out, error));
	if (out[0] != '/')
		return config_refuse(error, option, "must be an absolute path");
	return KMS_OK;
}

static kms_err take_number(
    cfg_t *cfg, const char *option, const long bounds[static 2], uint32_t *out, char *error)
{
	long n = cfg_getint(cfg, option);
	if (n < bounds[0] || n > bounds[1])
		return config_refuse(error, option, "out of range");
	*out = (uint32_t)n;
	return KMS_OK;
}

kms_err config_take_span(cfg_t *cfg, const char *option, uint64_t *out_us, char *error)
{
	uint64_t seconds = 0;
	if (clock_parse_span(cfg_getstr(cfg, option), &seconds) != KMS_OK || seconds == 0)
		return config_refuse(error, option, "not a span of time such as 10s or 2min");
	*out_us = seconds * 1000000;
	return KMS_OK;
}

static kms_err take_group(
    cfg_t *cfg, const char *option, bool *out_known, gid_t *out_gid, char *error)
{
	const char *name = cfg_getstr(cfg, option);
	if (name == NULL)
		return config_refuse(error, option, "missing");
	/* Start-up: one thread, before the sandbox. */
	const struct group *g = getgrnam(name); /* NOLINT(concurrency-mt-unsafe) */
	*out_known = g != NULL;
	if (g != NULL)
		*out_gid = g->gr_gid;
	else if (name[0] != '\0')
		LOG(LOG_LEVEL_WARNING, "group-missing",
		    "The group of the configuration does not exist.", log_str("option", option),
		    log_str("group", name));
	return KMS_OK;
}

static kms_err take_mode(cfg_t *cfg, mode_t *out, char *error)
{
	const char *text = cfg_getstr(cfg, "socket_mode");
	char *end = NULL;
	errno = 0;
	unsigned long mode = strtoul(text, &end, 8);
	if (errno != 0 || end == text || *end != '\0' || mode > 0777)
		return config_refuse(error, "socket_mode", "not an octal mode such as 0660");
	*out = (mode_t)mode;
	return KMS_OK;
}

static kms_err take_level(cfg_t *cfg, enum log_level *out, char *error)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = { { "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING },
		{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG } };
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(cfg_getstr(cfg, "log_level"), levels[i].name) == 0) {
			*out = levels[i].level;
			return KMS_OK;
		}
	}
	return config_refuse(error, "log_level", "use error, warning, notice, info or debug");
}

/* Likewise; "off" is 0. */
static kms_err take_span_or_off(cfg_t *cfg, const char *option, uint64_t *out_us, char *error)
{
	*out_us = 0;
	if (strcmp(cfg_getstr(cfg, option), "off") == 0)
		return KMS_OK;
	return config_take_span(cfg, option, out_us, error);
}

static kms_err take_backup(cfg_t *cfg, struct config *c, char *error)
{
	if (cfg_getstr(cfg, "backup")[0] != '\0')
		TRY(config_take_path(cfg, "backup", CONFIG_PATH_MAX, c->backup, error));
	TRY(take_span_or_off(cfg, "backup_every", &c->backup_every_us, error));
	TRY(take_span_or_off(cfg, "backup_keep", &c->backup_keep_us, error));
	return take_span_or_off(cfg, "rehearse_every", &c->rehearse_us, error);
}

static kms_err take_all(cfg_t *cfg, struct config *c, char *error)
{
	TRY(config_take_path(cfg, "socket", CONFIG_SOCKET_MAX, c->socket, error));
	TRY(take_mode(cfg, &c->socket_mode, error));
	TRY(take_group(cfg, "socket_group", &c->socket_gid_known, &c->socket_gid, error));
	TRY(take_group(cfg, "admin_group", &c->admin_gid_known, &c->admin_gid, error));
	TRY(config_take_path(cfg, "store", CONFIG_PATH_MAX - 16, c->store, error));
	TRY(config_take_path(cfg, "audit", CONFIG_PATH_MAX, c->audit, error));
	TRY(take_backup(cfg, c, error));
	TRY(config_take_path(cfg, "helper", CONFIG_PATH_MAX, c->helper, error));
	TRY(take_number(cfg, "audit_segment", (const long[]){ SEGMENT_SIZE_MIN, SEGMENT_MAX },
	    &c->audit_segment, error));
	TRY(take_number(cfg, "max_versions", (const long[]){ VERSIONS_MIN, VERSIONS_MAX },
	    &c->max_versions, error));
	TRY(take_number(cfg, "max_connections", (const long[]){ 1, CONNECTIONS_MAX },
	    &c->max_connections, error));
	c->allow_unlocked = cfg_getbool(cfg, "allow_unlocked") != cfg_false;
	TRY(take_level(cfg, &c->log_level, error));
	TRY(config_take_span(cfg, "frame_timeout", &c->frame_timeout_us, error));
	TRY(take_span_or_off(cfg, "slot_check_every", &c->slot_check_us, error));
	return config_take_slots(cfg, c, error);
}

static void cfg_done(cfg_t **cfg)
{
	if (*cfg != NULL)
		cfg_free(*cfg);
	*cfg = NULL;
}

static kms_err parse_file(cfg_t *cfg, const char *path, char *error)
{
	int r = cfg_parse(cfg, path);
	if (r == CFG_FILE_ERROR)
		(void)snprintf(error, CONFIG_ERROR_MAX, "%s: %s", path,
		    strerror(errno)); /* NOLINT(concurrency-mt-unsafe) */
	return r == CFG_SUCCESS ? KMS_OK : KMS_E_BAD_CONFIG;
}

/* kms.conf.d/<name>.conf beside the main file, in the order of their names. */
static kms_err parse_parts(cfg_t *cfg, const char *path, char *error)
{
	char pattern[CONFIG_PATH_MAX + 16];
	int n = snprintf(pattern, sizeof(pattern), "%s.d/*.conf", path);
	if (n < 0 || (size_t)n >= sizeof(pattern))
		return config_refuse(error, "-c", "the path is too long");
	glob_t found = { 0 };
	if (glob(pattern, 0, NULL, &found) != 0) /* NOLINT(concurrency-mt-unsafe): one thread */
		return KMS_OK;
	kms_err e = KMS_OK;
	for (size_t i = 0; i < found.gl_pathc && e == KMS_OK; i++)
		e = parse_file(cfg, found.gl_pathv[i], error);
	globfree(&found);
	return e;
}

struct link_live config_live(const struct config *c)
{
	return (struct link_live){ .log_level = c->log_level,
		.max_connections = c->max_connections,
		.frame_timeout_us = c->frame_timeout_us };
}

static const char *choose_path(const char *path)
{
	if (path != NULL)
		return path;
	const char *env = getenv("KMS_CONFIG"); /* NOLINT(concurrency-mt-unsafe) */
	return env != NULL ? env : default_path;
}

/* Every option there is, with its default; libconfuse keeps a copy. */
static cfg_t *make_parser(void)
{
	/* libconfuse wants these writable. */
	char pcrs[] = "{7}", order[] = "{}", environment[] = "{}";
	cfg_opt_t tpm[] = { CFG_STR("tcti", "device:/dev/tpmrm0", CFGF_NONE),
		CFG_STR("auth_file", "/etc/kms/tpm-auth", CFGF_NONE),
		CFG_INT_LIST("pcrs", pcrs, CFGF_NONE), CFG_STR("deadline", "30s", CFGF_NONE),
		CFG_END() };
	cfg_opt_t pkcs11[] = { CFG_STR("module", "", CFGF_NONE), CFG_STR("token", "", CFGF_NONE),
		CFG_STR("serial", "", CFGF_NONE),
		CFG_STR("pin_file", "/etc/kms/pkcs11-pin", CFGF_NONE),
		CFG_STR("key", "kms-root", CFGF_NONE), CFG_STR("mechanism", "any", CFGF_NONE),
		CFG_STR("iv", "host", CFGF_NONE), CFG_BOOL("make_key", cfg_true, CFGF_NONE),
		CFG_BOOL("allow_imported", cfg_false, CFGF_NONE),
		CFG_STR_LIST("environment", environment, CFGF_NONE),
		CFG_STR("deadline", "10s", CFGF_NONE), CFG_END() };
	cfg_opt_t options[] = { CFG_STR("socket", "/run/kms/kms.sock", CFGF_NONE),
		CFG_STR("socket_group", "kms", CFGF_NONE),
		CFG_STR("socket_mode", "0660", CFGF_NONE),
		CFG_STR("admin_group", "kms-admin", CFGF_NONE),
		CFG_STR("store", "/var/lib/kms/store", CFGF_NONE),
		CFG_STR("audit", "/var/lib/kms/audit", CFGF_NONE),
		CFG_STR("backup", "/var/lib/kms/backup", CFGF_NONE),
		CFG_STR("backup_every", "1d", CFGF_NONE), CFG_STR("backup_keep", "90d", CFGF_NONE),
		CFG_STR("rehearse_every", "30d", CFGF_NONE),
		CFG_STR("helper", "/usr/libexec/kms/kms-seal", CFGF_NONE),
		CFG_INT("audit_segment", SEGMENT_SIZE_DEFAULT, CFGF_NONE),
		CFG_INT("max_versions", 40000, CFGF_NONE),
		CFG_INT("max_connections", 16384, CFGF_NONE),
		CFG_BOOL("allow_unlocked", cfg_false, CFGF_NONE),
		CFG_STR("log_level", "info", CFGF_NONE), CFG_STR("frame_timeout", "10s", CFGF_NONE),
		CFG_STR_LIST("slot_order", order, CFGF_NONE),
		CFG_STR("slot_check_every", "8s", CFGF_NONE), CFG_SEC("tpm", tpm, CFGF_NONE),
		CFG_SEC("pkcs11", pkcs11, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_END() };
	return cfg_init(options, CFGF_NONE);
}

void config_free(struct config **c)
{
	free(*c);
	*c = NULL;
}

kms_err config_read(const char *path, struct config *out, char out_error[static CONFIG_ERROR_MAX])
{
	/* Too large for a stack that others use as well. */
	AUTO(config_free) struct config *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	path = choose_path(path);
	if (strlen(path) > CONFIG_PATH_MAX)
		return config_refuse(out_error, "-c", "the path is too long");
	memcpy(c->file, path, strlen(path) + 1);
	AUTO(cfg_done) cfg_t *cfg = make_parser();
	if (cfg == NULL)
		return KMS_E_NO_MEMORY;
	out_error[0] = '\0';
	error_text = out_error;
	(void)cfg_set_error_function(cfg, on_error);
	TRY(parse_file(cfg, path, out_error));
	TRY(parse_parts(cfg, path, out_error));
	TRY(take_all(cfg, c, out_error));
	*out = *c;
	return KMS_OK;
}
