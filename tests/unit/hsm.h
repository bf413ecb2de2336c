/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the PKCS#11 slot share: a SoftHSM of the test's own in a short folder under
 * /tmp, a token "kms" in it, the shim in front of it, and each call of the sealer with a connection
 * of its own, as kms-seal makes it. A probe speaks to SoftHSM itself, as an administrator would.
 */
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <p11-kit/pkcs11.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "pkcs11/pkcs11.h"
#include "tests/fault/p11_shim.h"

enum {
	HSM_PATH = 64,
	HSM_SECRETS = 16,
	HSM_SKIPPED = 77,
	HSM_OBJECTS = 32
};

static const char hsm_pin[] = "user:1234";
static const uint8_t hsm_root[SEALER_ROOT_LEN] = "KMS-TEST-ROOT-0123456789abcdefgh";

struct hsm {
	char dir[HSM_PATH];
	struct sealer_params params;
	struct p11_state *faults;
	struct buf blob; /* of the slot that is made in it */
};

/* Where distributions put it; NULL: not installed. */
static inline const char *hsm_module(void)
{
	static const char *const places[] = { "/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

static inline const char *hsm_possible(void)
{
	if (hsm_module() == NULL)
		return "SoftHSM is not installed";
	if (access("/usr/bin/softhsm2-util", X_OK) != 0)
		return "softhsm2-util is not installed";
	return NULL;
}

static inline void hsm_write(const char *dir, const char *name, const char *text)
{
	char path[2 * HSM_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static inline _Noreturn void hsm_exec_util(const char *dir, const char *label)
{
	char conf[2 * HSM_PATH];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)snprintf(conf, sizeof(conf), "%s/c", dir);
	(void)setenv("SOFTHSM2_CONF", conf, 1);
	(void)execl("/usr/bin/softhsm2-util", "softhsm2-util", "--init-token", "--free", "--label",
	    label, "--pin", hsm_pin, "--so-pin", "12345678", (char *)NULL);
	_exit(127);
}

/* One more token. */
static inline void hsm_add_token(const char *dir, const char *label)
{
	int status = -1;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		hsm_exec_util(dir, label);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static inline void hsm_map_faults(struct hsm *h)
{
	char path[2 * HSM_PATH];

	(void)snprintf(path, sizeof(path), "%s/f", h->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, sizeof(*h->faults)) == 0);
	void *p = mmap(NULL, sizeof(*h->faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED && close(fd) == 0);
	h->faults = p;
}

/* SoftHSM as it is, without the shim. */
static inline void hsm_direct(struct hsm *h)
{
	struct sealer_token *t = &h->params.token;

	(void)snprintf(t->module, sizeof(t->module), "%s", hsm_module());
	(void)snprintf(t->environment, sizeof(t->environment), "SOFTHSM2_CONF=%s/c", h->dir);
}

static inline void hsm_new(struct hsm *h)
{
	struct sealer_token *t = &h->params.token;
	char text[4 * HSM_PATH], tokens[2 * HSM_PATH];

	*h = (struct hsm){ .dir = "/tmp/kmsXXXXXX" };
	CHECK(mkdtemp(h->dir) != NULL);
	(void)snprintf(tokens, sizeof(tokens), "%s/t", h->dir);
	CHECK(mkdir(tokens, 0700) == 0);
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens);
	hsm_write(h->dir, "c", text);
	hsm_write(h->dir, "p", hsm_pin);
	hsm_add_token(h->dir, "kms");
	hsm_map_faults(h);
	(void)snprintf(t->module, sizeof(t->module), "%s/tests/p11_shim.so", KMS_BUILD_DIR);
	(void)snprintf(t->environment, sizeof(t->environment),
	    "SOFTHSM2_CONF=%s/c\nKMS_P11_REAL=%s\nKMS_P11_STATE=%s/f", h->dir, hsm_module(),
	    h->dir);
	(void)snprintf(t->label, sizeof(t->label), "kms");
	(void)snprintf(t->pin_file, sizeof(t->pin_file), "%s/p", h->dir);
	(void)snprintf(t->key, sizeof(t->key), "kms-root");
	t->make_key = true;
	memset(h->params.instance, 0x5a, INSTANCE_ID_LEN);
}

static inline int hsm_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

/* The tokens' files, as if the device were gone. */
static inline void hsm_destroy_tokens(const struct hsm *h)
{
	char path[2 * HSM_PATH];

	(void)snprintf(path, sizeof(path), "%s/t", h->dir);
	(void)nftw(path, hsm_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void hsm_done(struct hsm *h)
{
	(void)munmap(h->faults, sizeof(*h->faults));
	(void)nftw(h->dir, hsm_remove, 8, FTW_DEPTH | FTW_PHYS);
	buf_done(&h->blob);
}

/* ---- What the shim does --------------------------------------------------------------------- */

/* The calls from first to last of a function, of those that follow, meet an action. */
static inline void hsm_arm(struct hsm *h, enum p11_action action, enum p11_function f,
    const uint64_t calls[static 2], uint64_t rv)
{
	struct p11_state *s = h->faults;

	for (size_t i = 0; i < P11_FUNCTION_COUNT; i++)
		s->calls[i] = 0;
	s->fired = 0;
	s->function = (uint32_t)f;
	s->first = calls[0];
	s->last = calls[1];
	s->rv = rv;
	s->action = (uint32_t)action;
}

static inline void hsm_disarm(struct hsm *h)
{
	hsm_arm(h, P11_NOTHING, P11_Login, (const uint64_t[]){ 0, 0 }, 0);
}

/* The first call fails, the others don't. */
static inline void hsm_fail_once(struct hsm *h, enum p11_function f, uint64_t rv)
{
	hsm_arm(h, P11_FAIL, f, (const uint64_t[]){ 1, 1 }, rv);
}

static inline void hsm_fail_always(struct hsm *h, enum p11_function f, uint64_t rv)
{
	hsm_arm(h, P11_FAIL, f, (const uint64_t[]){ 1, UINT64_MAX }, rv);
}

/* ---- The sealer's calls --------------------------------------------------------------------- */

static inline struct sealer *hsm_open(const struct hsm *h)
{
	struct sealer *s = NULL;

	assert_int_equal(pkcs11_sealer.open(&h->params, &s), KMS_OK);
	return s;
}

static inline kms_err hsm_seal(const struct hsm *h, struct bytes before, struct buf *out)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = hsm_open(h);
	uint64_t counter = 7;
	const size_t n = out->n;

	assert_int_equal(secret_from(bytes_of(hsm_root, sizeof(hsm_root)), &root), KMS_OK);
	kms_err e = pkcs11_sealer.seal(s, root, before, out, &counter);
	pkcs11_sealer.close(&s);
	assert_true((e == KMS_OK) == (out->n > n) && (e == KMS_OK) == (counter == 0));
	return e;
}

static inline kms_err hsm_seal_new(const struct hsm *h, struct buf *out)
{
	return hsm_seal(h, (struct bytes){ 0 }, out);
}

/* Opens; what comes out must be the root. *out_code: the module's own. */
static inline kms_err hsm_unseal_code(const struct hsm *h, struct bytes blob, uint32_t *out_code)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct sealer *s = hsm_open(h);
	kms_err e = pkcs11_sealer.unseal(s, blob, &root);

	*out_code = pkcs11_sealer.last_code(s);
	pkcs11_sealer.close(&s);
	assert_true((e == KMS_OK) == (root != NULL));
	if (e == KMS_OK)
		assert_true(secret_equal(root, bytes_of(hsm_root, sizeof(hsm_root))));
	return e;
}

static inline kms_err hsm_unseal(const struct hsm *h)
{
	uint32_t code;

	return hsm_unseal_code(h, buf_bytes(&h->blob), &code);
}

static inline kms_err hsm_describe(const struct hsm *h, struct buf *out)
{
	struct sealer *s = hsm_open(h);
	kms_err e = pkcs11_sealer.describe(s, out);

	pkcs11_sealer.close(&s);
	return e;
}

static inline kms_err hsm_sign(const struct hsm *h, struct bytes text, struct buf *out)
{
	struct sealer *s = hsm_open(h);
	kms_err e = pkcs11_sealer.sign(s, buf_bytes(&h->blob), text, out);

	pkcs11_sealer.close(&s);
	return e;
}

static inline kms_err hsm_public(const struct hsm *h, struct buf *out)
{
	struct sealer *s = hsm_open(h);
	kms_err e = pkcs11_sealer.public_key(s, buf_bytes(&h->blob), out);

	pkcs11_sealer.close(&s);
	return e;
}

/* ---- An administrator, without our code ---------------------------------------------------- */

struct probe {
	void *library;
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
};

/* Logs into the first initialised token. */
static inline struct probe probe_open(const struct hsm *h)
{
	struct probe p = { .library = dlopen(hsm_module(), RTLD_NOW | RTLD_LOCAL) };
	char conf[2 * HSM_PATH], pin[sizeof(hsm_pin)];
	CK_C_GetFunctionList get;
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8;

	CHECK(p.library != NULL);
	void *found = dlsym(p.library, "C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	(void)snprintf(conf, sizeof(conf), "%s/c", h->dir);
	memcpy(pin, hsm_pin, sizeof(pin));
	CHECK(setenv("SOFTHSM2_CONF", conf, 1) == 0);
	CHECK(get(&p.f) == CKR_OK && p.f->C_Initialize(NULL) == CKR_OK);
	CHECK(unsetenv("SOFTHSM2_CONF") == 0);
	CHECK(p.f->C_GetSlotList(CK_TRUE, slots, &n) == CKR_OK && n > 0);
	CHECK(p.f->C_OpenSession(
	          slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &p.session) == CKR_OK);
	CHECK(p.f->C_Login(p.session, CKU_USER, (CK_BYTE *)pin, strlen(pin)) == CKR_OK);
	return p;
}

static inline void probe_close(struct probe *p)
{
	CHECK(p->f->C_Finalize(NULL) == CKR_OK);
	CHECK(dlclose(p->library) == 0);
}

/* How many objects are in the token. */
static inline size_t hsm_objects(const struct hsm *h)
{
	struct probe p = probe_open(h);
	CK_OBJECT_HANDLE found[HSM_OBJECTS];
	CK_ULONG n = 0;

	CHECK(p.f->C_FindObjectsInit(p.session, NULL, 0) == CKR_OK);
	CHECK(p.f->C_FindObjects(p.session, found, HSM_OBJECTS, &n) == CKR_OK);
	CHECK(p.f->C_FindObjectsFinal(p.session) == CKR_OK);
	probe_close(&p);
	return n;
}

/* An AES key "kms-root" as an administrator makes it: `bits`, extractable or not. */
static inline void hsm_admin_key(const struct hsm *h, CK_ULONG length, bool extractable)
{
	struct probe p = probe_open(h);
	CK_MECHANISM m = { .mechanism = CKM_AES_KEY_GEN };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	char label[] = "kms-root";
	CK_OBJECT_HANDLE o;
	CK_ATTRIBUTE t[] = { { CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &yes, 1 },
		{ CKA_SENSITIVE, extractable ? &no : &yes, 1 },
		{ CKA_EXTRACTABLE, extractable ? &yes : &no, 1 }, { CKA_ENCRYPT, &yes, 1 },
		{ CKA_DECRYPT, &yes, 1 }, { CKA_LABEL, label, sizeof(label) - 1 },
		{ CKA_VALUE_LEN, &length, sizeof(length) } };

	CHECK(p.f->C_GenerateKey(p.session, &m, t, ARRAY_LEN(t), &o) == CKR_OK);
	probe_close(&p);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* A token without a slot. */
static inline int hsm_set_up(void **state)
{
	struct hsm *h = calloc(1, sizeof(*h));

	hsm_new(h);
	*state = h;
	return 0;
}

/* With a slot. */
static inline int hsm_set_up_slot(void **state)
{
	(void)hsm_set_up(state);
	struct hsm *h = *state;
	assert_int_equal(hsm_seal_new(h, &h->blob), KMS_OK);
	hsm_disarm(h);
	return 0;
}

static inline int hsm_tear_down(void **state)
{
	struct hsm *h = *state;

	hsm_done(h);
	assert_int_equal(secret_info().used, 0);
	free(h);
	return 0;
}

#define WITH_TOKEN(f) cmocka_unit_test_setup_teardown(f, hsm_set_up, hsm_tear_down)
#define WITH_SLOT(f)  cmocka_unit_test_setup_teardown(f, hsm_set_up_slot, hsm_tear_down)

/* Runs them, or says why not. */
#define RUN_WITH_HSM(tests)                                                                        \
	__extension__({                                                                            \
		int failed_ = HSM_SKIPPED;                                                         \
		const char *why_ = hsm_possible();                                                 \
		if (why_ == NULL) {                                                                \
			CHECK(secret_init(HSM_SECRETS, true) == KMS_OK);                           \
			failed_ = cmocka_run_group_tests(tests, NULL, NULL);                       \
			secret_done();                                                             \
		} else {                                                                           \
			(void)printf("skipped: %s\n", why_);                                       \
		}                                                                                  \
		failed_;                                                                           \
	})
