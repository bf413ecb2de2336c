/* SPDX-License-Identifier: Apache-2.0 */
/* kms.conf: what it says when it is right, and that a wrong one names its option and its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/keeper/config.h"

struct files {
	char dir[32], main[64], part[96];
};

static int set_up(void **state)
{
	struct files *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kms-conf-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->main, sizeof(f->main), "%s/kms.conf", f->dir);
	(void)snprintf(f->part, sizeof(f->part), "%s/kms.conf.d", f->dir);
	assert_int_equal(mkdir(f->part, 0700), 0);
	(void)snprintf(f->part, sizeof(f->part), "%s/kms.conf.d/10-site.conf", f->dir);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)unsetenv("KMS_CONFIG");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct files *f = *state;
	char folder[64];
	(void)snprintf(folder, sizeof(folder), "%s/kms.conf.d", f->dir);
	(void)unlink(f->main);
	(void)unlink(f->part);
	(void)rmdir(folder);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Reads a configuration of this text; it must be valid. */
static struct config read_ok(const struct files *f, const char *text)
{
	struct config c = { 0 };
	char error[CONFIG_ERROR_MAX] = "";
	put(f->main, text);
	if (config_read(f->main, &c, error) != KMS_OK)
		fail_msg("%s: %s", text, error);
	return c;
}

static void test_defaults(void **state)
{
	const struct config c = read_ok(*state, "admin_group = \"\"\nsocket_group = \"\"\n");
	assert_string_equal(c.socket, "/run/kms/kms.sock");
	assert_int_equal(c.socket_mode, 0660);
	assert_false(c.socket_gid_known || c.admin_gid_known || c.allow_unlocked);
	assert_string_equal(c.store, "/var/lib/kms/store");
	assert_string_equal(c.audit, "/var/lib/kms/audit");
	assert_int_equal(c.audit_segment, 64 << 20);
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.frame_timeout_us, 10000000);
	assert_string_equal(c.slots[0].params.tcti, "device:/dev/tpmrm0");
	assert_int_equal(c.slots[0].params.pcr_mask, 1 << 7);
	assert_int_equal(c.slots[0].deadline_us, 30000000);
}

static void test_every_option(void **state)
{
	const struct config c = read_ok(*state,
	    "socket = \"/tmp/x.sock\"\nsocket_mode = \"0600\"\nsocket_group = \"root\"\n"
	    "admin_group = \"root\"\nstore = \"/s\"\naudit = \"/a\"\nhelper = \"/h\"\n"
	    "audit_segment = 1048576\nmax_versions = 16\nmax_connections = 1\n"
	    "allow_unlocked = true\nlog_level = \"debug\"\nframe_timeout = \"1min\"\n"
	    "tpm { tcti = \"swtpm:path=/x\" auth_file = \"/f\" pcrs = {} deadline = \"2s\" }\n");
	assert_string_equal(c.socket, "/tmp/x.sock");
	assert_int_equal(c.socket_mode, 0600);
	assert_true(c.socket_gid_known && c.admin_gid_known && c.allow_unlocked);
	assert_int_equal(c.socket_gid, 0);
	assert_int_equal(c.max_versions, 16);
	assert_int_equal(c.max_connections, 1);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.frame_timeout_us, 60000000);
	assert_int_equal(c.slots[0].params.pcr_mask, 0);
	assert_string_equal(c.slots[0].params.auth_file, "/f");
}

static void test_several_pcrs(void **state)
{
	const struct config c = read_ok(*state, "tpm { pcrs = {0, 7, 23} }\n");
	assert_int_equal(c.slots[0].params.pcr_mask, 1 | 1 << 7 | 1 << 23);
}

static const char two_tokens[] =
    "pkcs11 hsm { module = \"/m.so\" token = \"kms\" serial = \"0a1b\" pin_file = \"/p\"\n"
    "  key = \"k1\" mechanism = \"aes-cbc\" iv = \"token\" make_key = false\n"
    "  allow_imported = true deadline = \"3s\"\n"
    "  environment = {\"SOFTHSM2_CONF=/a b\", \"X1=\"} }\n"
    "pkcs11 spare { module = \"/m.so\" pin_file = \"fd:4\" }\n";

static void test_tokens(void **state)
{
	const struct config c = read_ok(*state, two_tokens);
	assert_int_equal(c.slot_n, 3);
	assert_string_equal(c.slots[0].name, "tpm");
	const struct config_slot *s = config_find_slot(&c, bytes_of_str("hsm"));
	assert_non_null(s);
	assert_string_equal(s->kind, "pkcs11");
	assert_int_equal(s->deadline_us, 3000000);
	const struct sealer_token *t = &s->params.token;
	assert_string_equal(t->module, "/m.so");
	assert_string_equal(t->label, "kms");
	assert_string_equal(t->serial, "0a1b");
	assert_string_equal(t->pin_file, "/p");
	assert_string_equal(t->key, "k1");
	assert_int_equal(t->mechanism, SEALER_AES_CBC);
	assert_true(t->iv_by_token && t->allow_imported && !t->make_key);
	assert_string_equal(t->environment, "SOFTHSM2_CONF=/a b\nX1=");
	t = &config_find_slot(&c, bytes_of_str("spare"))->params.token;
	assert_string_equal(t->key, "kms-root");
	assert_string_equal(t->pin_file, "fd:4");
	assert_int_equal(t->mechanism, SEALER_MECHANISM_ANY);
	assert_true(t->make_key && !t->iv_by_token && !t->allow_imported);
	assert_string_equal(t->environment, "");
	assert_null(config_find_slot(&c, bytes_of_str("shares")));
}

static void test_order_of_slots(void **state)
{
	char text[1024];
	(void)snprintf(text, sizeof(text), "%sslot_order = {\"spare\", \"tpm\"}\n", two_tokens);
	const struct config c = read_ok(*state, text);
	assert_int_equal(c.slot_n, 3);
	assert_string_equal(c.slots[0].name, "spare");
	assert_string_equal(c.slots[1].name, "tpm");
	assert_string_equal(c.slots[2].name, "hsm");
}

static void test_pins_by_credential(void **state)
{
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/c", 1), 0);
	const struct config two = read_ok(*state, two_tokens);
	assert_string_equal(two.slots[1].params.token.pin_file, "/run/c/kms.pkcs11-pin.hsm");
	/* What it was started with is said on purpose. */
	assert_string_equal(two.slots[2].params.token.pin_file, "fd:4");
	const struct config one = read_ok(*state, "pkcs11 hsm { module = \"/m.so\" }\n");
	assert_string_equal(one.slots[1].params.token.pin_file, "/run/c/kms.pkcs11-pin");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_parts_come_last(void **state)
{
	const struct files *f = *state;
	put(f->part, "max_connections = 77\n");
	const struct config c = read_ok(f, "max_connections = 5\n");
	assert_int_equal(c.max_connections, 77);
	const struct link_live live = config_live(&c);
	assert_int_equal(live.max_connections, 77);
}

static void test_path_from_environment(void **state)
{
	const struct files *f = *state;
	struct config c;
	char error[CONFIG_ERROR_MAX];
	put(f->main, "max_connections = 6\n");
	assert_int_equal(setenv("KMS_CONFIG", f->main, 1), 0);
	assert_int_equal(config_read(NULL, &c, error), KMS_OK);
	assert_int_equal(c.max_connections, 6);
	(void)unsetenv("KMS_CONFIG");
}

static void test_credential_wins(void **state)
{
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/kmsd", 1), 0);
	const struct config c = read_ok(*state, "tpm { auth_file = \"/f\" }\n");
	assert_string_equal(c.slots[0].params.auth_file, "/run/credentials/kmsd/kms.tpm-auth");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_missing_group_is_not_fatal(void **state)
{
	const struct config c = read_ok(*state, "admin_group = \"no-such-group-here\"\n");
	assert_false(c.admin_gid_known);
}

/* A wrong value: refused, its option named, and *out is as before. */
static void refused(const struct files *f, const char *text, const char *named)
{
	struct config c = { .max_versions = 4711 };
	char error[CONFIG_ERROR_MAX] = "";
	put(f->main, text);
	if (config_read(f->main, &c, error) != KMS_E_BAD_CONFIG)
		fail_msg("accepted: %s", text);
	if (strstr(error, named) == NULL)
		fail_msg("%s: \"%s\" does not name %s", text, error, named);
	assert_int_equal(c.max_versions, 4711);
}

static void test_wrong_values(void **state)
{
	static const struct {
		const char *text, *named;
	} wrong[] = {
		{ "socket = \"relative\"\n", "socket" },
		{ "store = \"\"\n", "store" },
		{ "audit = \"x\"\n", "audit" },
		{ "helper = \"x\"\n", "helper" },
		{ "socket_mode = \"rw\"\n", "socket_mode" },
		{ "socket_mode = \"08\"\n", "socket_mode" },
		{ "socket_mode = \"07777\"\n", "socket_mode" },
		{ "socket_mode = \"\"\n", "socket_mode" },
		{ "audit_segment = 5\n", "audit_segment" },
		{ "audit_segment = -1\n", "audit_segment" },
		{ "max_versions = 0\n", "max_versions" },
		{ "max_versions = 99999999\n", "max_versions" },
		{ "max_connections = 0\n", "max_connections" },
		{ "log_level = \"loud\"\n", "log_level" },
		{ "frame_timeout = \"soon\"\n", "frame_timeout" },
		{ "frame_timeout = \"0s\"\n", "frame_timeout" },
		{ "tpm { pcrs = {24} }\n", "pcrs" },
		{ "tpm { pcrs = {-1} }\n", "pcrs" },
		{ "tpm { deadline = \"x\" }\n", "deadline" },
		{ "tpm { auth_file = \"x\" }\n", "auth_file" },
		{ "slot_order = {\"hsm\"}\n", "slot_order" },
		{ "slot_order = {\"tpm\", \"tpm\"}\n", "slot_order" },
		{ "pkcs11 hsm { }\n", "module" },
		{ "pkcs11 hsm { module = \"m.so\" }\n", "module" },
		{ "pkcs11 tpm { module = \"/m\" }\n", "pkcs11" },
		{ "pkcs11 shares { module = \"/m\" }\n", "pkcs11" },
		{ "pkcs11 \"a b\" { module = \"/m\" }\n", "pkcs11" },
		{ "pkcs11 a { module = \"/m\" token = \"123456789012345678901234567890123\" }\n",
		    "token" },
		{ "pkcs11 a { module = \"/m\" serial = \"12345678901234567\" }\n", "serial" },
		{ "pkcs11 a { module = \"/m\" pin_file = \"p\" }\n", "pin_file" },
		{ "pkcs11 a { module = \"/m\" pin_file = \"fd:3\" }\n", "pin_file" },
		{ "pkcs11 a { module = \"/m\" pin_file = \"fd:9x\" }\n", "pin_file" },
		{ "pkcs11 a { module = \"/m\" pin_file = \"fd:\" }\n", "pin_file" },
		{ "pkcs11 a { module = \"/m\" mechanism = \"des\" }\n", "mechanism" },
		{ "pkcs11 a { module = \"/m\" iv = \"zero\" }\n", "iv" },
		{ "pkcs11 a { module = \"/m\" environment = {\"X\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"=x\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"x=y\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"1X=y\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"X=\\n\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"LD_PRELOAD=/x\"} }\n",
		    "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"TSS2_LOG=x\"} }\n", "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"OPENSSL_CONF=x\"} }\n",
		    "environment" },
		{ "pkcs11 a { module = \"/m\" environment = {\"A=\", \"B=\", \"C=\", \"D=\", \"E=\"} }\n",
		    "at most 4" },
		{ "pkcs11 a { module = \"/m\" deadline = \"0\" }\n", "deadline" },
	};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		refused(*state, wrong[i].text, wrong[i].named);
}

static void test_environment_has_a_limit(void **state)
{
	char value[SEALER_ENVIRONMENT_MAX], text[512];
	memset(value, 'v', sizeof(value));
	value[SEALER_ENVIRONMENT_MAX - 3] = '\0'; /* "X=", the value, an end */
	(void)snprintf(
	    text, sizeof(text), "pkcs11 a { module = \"/m\" environment = {\"X=%s\"} }\n", value);
	const struct config c = read_ok(*state, text);
	assert_int_equal(strlen(c.slots[1].params.token.environment), SEALER_ENVIRONMENT_MAX - 1);
	(void)snprintf(
	    text, sizeof(text), "pkcs11 a { module = \"/m\" environment = {\"X=%sv\"} }\n", value);
	refused(*state, text, "environment");
}

static void test_syntax_names_its_line(void **state)
{
	const struct files *f = *state;
	refused(f, "max_versions = 100\nno_such_option = 1\n", "kms.conf:2");
	refused(f, "max_connections = many\n", "kms.conf:1");
	refused(f, "pkcs11 a { module = \"/m\" }\npkcs11 a { module = \"/m\" }\n", "kms.conf:2");
}

static void test_too_long(void **state)
{
	char text[600] = "socket = \"/";
	size_t n = strlen(text);
	memset(text + n, 'x', 300);
	(void)snprintf(text + n + 300, sizeof(text) - n - 300, "\"\n");
	refused(*state, text, "socket");
}

static void test_no_file(void **state)
{
	(void)state;
	struct config c;
	char error[CONFIG_ERROR_MAX] = "";
	assert_int_equal(config_read("/no/such/kms.conf", &c, error), KMS_E_BAD_CONFIG);
	assert_non_null(strstr(error, "/no/such/kms.conf"));
	char path[400];
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(config_read(path, &c, error), KMS_E_BAD_CONFIG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_defaults), TEST(test_every_option),
		TEST(test_several_pcrs), TEST(test_tokens), TEST(test_order_of_slots),
		TEST(test_pins_by_credential), TEST(test_parts_come_last),
		TEST(test_path_from_environment), TEST(test_credential_wins),
		TEST(test_missing_group_is_not_fatal), TEST(test_wrong_values),
		TEST(test_environment_has_a_limit), TEST(test_syntax_names_its_line),
		TEST(test_too_long), TEST(test_no_file) };
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
