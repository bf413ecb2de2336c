/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests against a TPM: a software TPM of the test's own in a short folder under /tmp, its auth
 * file, and what a test does to it from outside (restart, kill, clear, extend). The chip dies with
 * the test. Not for anything that holds real keys.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "kms/base/base.h"
#include "kms/base/clock.h"
#include "kms/seal/sealer.h"

/* The library's names for these shift a bit out of an int. */
#define CHIP_SESSIONS   0x02000000U
#define CHIP_TRANSIENT  0x80000000U
#define CHIP_PERSISTENT 0x81000000U

enum {
	CHIP_PATH = 64,
	CHIP_START_US = 30000000 /* a chip that isn't there by then never will be */
};

struct chip {
	char dir[CHIP_PATH];
	pid_t pid;
	struct sealer_params params;
};

static inline bool chip_possible(void)
{
	return access("/usr/bin/swtpm", X_OK) == 0 || access("/usr/local/bin/swtpm", X_OK) == 0;
}

static inline void chip_write(const char *dir, const char *name, const char *text)
{
	char path[2 * CHIP_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static inline _Noreturn void chip_exec(const char *dir)
{
	char state[2 * CHIP_PATH], server[2 * CHIP_PATH], ctrl[2 * CHIP_PATH];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)snprintf(state, sizeof(state), "dir=%s", dir);
	(void)snprintf(server, sizeof(server), "type=unixio,path=%s/s", dir);
	(void)snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s/s.ctrl", dir);
	(void)execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server,
	    "--ctrl", ctrl, "--flags", "not-need-init,startup-clear", (char *)NULL);
	_exit(127);
}

/* Until a socket of the chip's takes connections. */
static inline void chip_wait(const struct chip *c, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const uint64_t end = clock_mono_us() + CHIP_START_US;
	bool up = false;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", c->dir, name);
	while (!up) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		up = connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
		(void)close(fd);
		CHECK(up || clock_mono_us() < end);
		CHECK(up || waitpid(c->pid, NULL, WNOHANG) == 0);
		(void)sched_yield();
	}
}

static inline void chip_start(struct chip *c)
{
	char path[2 * CHIP_PATH];

	(void)snprintf(path, sizeof(path), "%s/s.ctrl", c->dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/s", c->dir);
	(void)unlink(path);
	c->pid = fork();
	CHECK(c->pid >= 0);
	if (c->pid == 0)
		chip_exec(c->dir);
	/* The control socket is there first, and says nothing about the other. */
	chip_wait(c, "s.ctrl");
	chip_wait(c, "s");
}

/* As a power cut: no word to the chip. */
static inline void chip_kill(struct chip *c)
{
	CHECK(kill(c->pid, SIGKILL) == 0 && waitpid(c->pid, NULL, 0) == c->pid);
	c->pid = 0;
}

/* tcti: how to reach it, before the path of its socket. */
static inline void chip_new_as(struct chip *c, const char *tcti)
{
	*c = (struct chip){ .dir = "/tmp/kmsXXXXXX" };
	CHECK(mkdtemp(c->dir) != NULL);
	(void)snprintf(c->params.tcti, sizeof(c->params.tcti), "%s:path=%s/s", tcti, c->dir);
	(void)snprintf(c->params.auth_file, sizeof(c->params.auth_file), "%s/auth", c->dir);
	memset(c->params.instance, 0x5a, INSTANCE_ID_LEN);
	chip_write(c->dir, "auth", "0123456789abcdef0123456789abcdef\n");
	chip_start(c);
}

static inline void chip_new(struct chip *c)
{
	chip_new_as(c, "swtpm");
}

static inline int chip_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void chip_done(struct chip *c)
{
	if (c->pid > 0)
		chip_kill(c);
	if (c->dir[0] != '\0')
		(void)nftw(c->dir, chip_remove, 8, FTW_DEPTH | FTW_PHYS);
	c->dir[0] = '\0';
}

/* A context of the test's own, beside the one that is tested. */
struct probe {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
};

static inline struct probe probe_open(const struct chip *c)
{
	struct probe p = { .tcti = NULL };
	char tcti[2 * CHIP_PATH];

	(void)snprintf(tcti, sizeof(tcti), "swtpm:path=%s/s", c->dir);
	CHECK(Tss2_TctiLdr_Initialize(tcti, &p.tcti) == TSS2_RC_SUCCESS);
	CHECK(Esys_Initialize(&p.esys, p.tcti, NULL) == TSS2_RC_SUCCESS);
	return p;
}

static inline void probe_close(struct probe *p)
{
	Esys_Finalize(&p->esys);
	Tss2_TctiLdr_Finalize(&p->tcti);
}

static inline void chip_extend(const struct chip *c, ESYS_TR pcr)
{
	struct probe p = probe_open(c);
	TPML_DIGEST_VALUES v = { .count = 1 };

	v.digests[0].hashAlg = TPM2_ALG_SHA256;
	v.digests[0].digest.sha256[0] = 1;
	CHECK(Esys_PCR_Extend(p.esys, pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &v) ==
	      TSS2_RC_SUCCESS);
	probe_close(&p);
}

static inline void chip_clear(const struct chip *c)
{
	struct probe p = probe_open(c);

	CHECK(Esys_Clear(p.esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD, ESYS_TR_NONE,
	          ESYS_TR_NONE) == TSS2_RC_SUCCESS);
	probe_close(&p);
}

/* How many handles of a kind there are. */
static inline uint32_t chip_handles(const struct chip *c, TPM2_HANDLE first)
{
	struct probe p = probe_open(c);
	TPMS_CAPABILITY_DATA *data = NULL;

	CHECK(Esys_GetCapability(p.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
	          first, 64, NULL, &data) == TSS2_RC_SUCCESS);
	uint32_t n = data->data.handles.count;
	Esys_Free(data);
	probe_close(&p);
	return n;
}

static inline uint32_t chip_property(const struct chip *c, uint32_t property)
{
	struct probe p = probe_open(c);
	TPMS_CAPABILITY_DATA *data = NULL;

	CHECK(Esys_GetCapability(p.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	          TPM2_CAP_TPM_PROPERTIES, property, 1, NULL, &data) == TSS2_RC_SUCCESS);
	uint32_t x = data->data.tpmProperties.tpmProperty[0].value;
	Esys_Free(data);
	probe_close(&p);
	return x;
}
