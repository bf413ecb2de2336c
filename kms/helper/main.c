/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms-seal: the only program that talks to hardware. kmsd's parent starts it with one socket as
 * descriptor 3; it does the tasks that come there and leaves when none come. It may be killed at
 * any moment, since a hung TPM blocks for ever. It takes no arguments and never logs: each
 * answer carries its error, and kmsd logs it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/base/version.h"
#include "kms/seal/serve.h"
#include "pkcs11/pkcs11.h"
#include "tpm/tpm.h"

enum {
	TASK_FD = 3,
	SECRETS = 16, /* a task has a root, an auth value and a proof at once, rarely more */
	IDLE_MS =
	    2000, /* calls come in bunches (unseal, counter, random); then the chip is left alone */
	LOCK_ROOM = 256 << 20, /* locked memory for any module and its threads: 8 MiB of stack and
	                          64 MiB of heap each count as soon as they are reserved */
	EXIT_USAGE = 2
};

static const char about[] =
    "kms-seal " KMS_VERSION "\n"
    "\n"
    "Talks to the TPM and to PKCS#11 tokens for kmsd, which starts it when there is something\n"
    "to seal, unseal, count or sign. It is not for use by hand; to see what the hardware says, use\n"
    "`kmsctl slot check` and `kmsctl status`.\n"
    "\n"
    "  --help       this text\n"
    "  --version    the version\n";

static const struct sealer_kind *const kinds[] = { &tpm_sealer, &pkcs11_sealer };

/* No core, no tracing, no life after the parent's. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Copies of the root pass through the TSS's own buffers, so the whole process is locked if it may be. */
static void lock_memory(void)
{
	struct rlimit l;

	(void)mlockall(MCL_CURRENT | MCL_ONFAULT);
	/* With a small limit, locking what is mapped later would make loading a library fail. */
	if (getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur >= LOCK_ROOM)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static bool is_task_socket(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_SEQPACKET)
		return false;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static int serve(void)
{
	/* The TSS writes to stderr on its own otherwise; read once, before its first call. */
	if (setenv("TSS2_LOG", "all+none", 1) != 0) /* NOLINT(concurrency-mt-unsafe): one thread */
		return EXIT_FAILURE;
	/* kmsd has decided already whether unlocked memory will do; it would not have started. */
	if (secret_init(SECRETS, true) != KMS_OK)
		return EXIT_FAILURE;

	kms_err e = serve_tasks(TASK_FD, kinds, ARRAY_LEN(kinds), IDLE_MS);
	secret_done();
	return e == KMS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	harden();
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(about, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("kms-seal " KMS_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (argc > 1 || !is_task_socket(TASK_FD)) {
		(void)fputs(about, stderr);
		return EXIT_USAGE;
	}
	lock_memory();
	return serve();
}
