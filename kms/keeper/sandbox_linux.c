/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox on Linux. Landlock's structures are declared here: the headers of Debian 12 know
 * less of it than the kernels that kmsd runs on. A call that is not on the list ends the process.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kms/base/log.h"
#include "kms/keeper/sandbox.h"

/* linux/landlock.h, ABI 1 to 6. */
enum {
	LANDLOCK_VERSION = 1,      /* flag: ask for the ABI's number */
	LANDLOCK_PATH_BENEATH = 1, /* kind of rule */
	ABI_NET = 4,
	ABI_SCOPE = 6
};

enum {
	LOCK_ROOM = 64 << 20 /* locked memory that covers the keeper at its defaults */
};

struct landlock_attr {
	uint64_t files, net, scoped;
};

struct landlock_path {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* Rights on files by ABI: 13 with the first, renaming across folders, truncating, device ioctls. */
static const uint64_t rights_of_abi[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };

/* In our own folders: write, read, list, remove files, make regular ones, truncate, rename. */
static const uint64_t rights_ours = 1U << 1 | 1U << 2 | 1U << 3 | 1U << 5 | 1U << 8 | 1U << 14;

static const int calls_allowed[] = { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv),
	SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv),
	SCMP_SYS(pwritev), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(close),
	SCMP_SYS(getsockopt), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
	SCMP_SYS(poll), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(mmap), SCMP_SYS(munmap),
	SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mprotect),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
	SCMP_SYS(geteuid), SCMP_SYS(getuid), SCMP_SYS(getegid),
	/* The first steps of a thread, which may come after the list is in force. */
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_setattr), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(restart_syscall),
	/* Files of the store and the log; Landlock says which. */
	SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat),
	SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(lseek), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(getdents64),
	SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(fstatfs) };

void sandbox_no_traces(void)
{
	const struct rlimit none = { 0, 0 };
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

/* Up to the hard limit; a privileged start takes that away too. */
static void raise_limit(__rlimit_resource_t what)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit l;
	if (what == RLIMIT_MEMLOCK && setrlimit(what, &all) == 0)
		return;
	if (getrlimit(what, &l) != 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(what, &l);
}

/* What this thread may do. */
static uint32_t capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	return syscall(SYS_capget, &head, have) == 0 ? have[0].effective : 0;
}

/*
 * Under a small limit, locking what is mapped later would make the next allocation fail, unless we
 * have the right to pass over it, which is the only one that we keep.
 */
bool sandbox_lock_memory(const struct config *c)
{
	struct rlimit l;
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_MEMLOCK);
	/* One segment is mapped at unseal and one by each of two threads, at most. */
	rlim_t need = (rlim_t)LOCK_ROOM + 2 * (rlim_t)c->audit_segment;
	bool room = getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur >= need;
	if (!room && (capabilities() & CAP_TO_MASK(CAP_IPC_LOCK)) == 0)
		return false;
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

static void drop_capabilities(void)
{
	uint32_t keep = capabilities() & CAP_TO_MASK(CAP_IPC_LOCK);
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3] = { { .effective = keep,
	    .permitted = keep } };
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)syscall(SYS_capset, &head, all);
}

static kms_err allow_folder(int ruleset, int fd, uint64_t handled)
{
	const struct landlock_path rule = { .allowed = rights_ours & handled, .fd = fd };
	long r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0U);
	return r == 0 ? KMS_OK : KMS_E_INTERNAL;
}

static kms_err restrict_with(const struct keeper *k, int ruleset, uint64_t handled)
{
	TRY(allow_folder(ruleset, k->store_dir, handled));
	TRY(allow_folder(ruleset, k->audit_dir, handled));
	if (k->backup_dir >= 0)
		TRY(allow_folder(ruleset, k->backup_dir, handled));
	return syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0 ? KMS_OK : KMS_E_INTERNAL;
}

static kms_err restrict_landlock(const struct keeper *k, long abi)
{
	size_t known =
	    (size_t)abi < ARRAY_LEN(rights_of_abi) ? (size_t)abi : ARRAY_LEN(rights_of_abi) - 1;
	/* TCP bind and connect; abstract sockets and signals of other domains. */
	const struct landlock_attr attr = { .files = rights_of_abi[known],
		.net = abi >= ABI_NET ? 3 : 0,
		.scoped = abi >= ABI_SCOPE ? 3 : 0 };
	size_t size = sizeof(uint64_t) * (abi >= ABI_SCOPE ? 3 : abi >= ABI_NET ? 2 : 1);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
	if (ruleset < 0)
		return KMS_E_INTERNAL;
	kms_err e = restrict_with(k, ruleset, attr.files);
	(void)close(ruleset);
	return e;
}

static char *next_note(struct keeper *k)
{
	CHECK(k->sandbox_n < SANDBOX_NOTES_MAX);
	return k->sandbox[k->sandbox_n++];
}

kms_err sandbox_restrict_files(struct keeper *k)
{
	drop_capabilities();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return KMS_E_INTERNAL;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0U, (unsigned)LANDLOCK_VERSION);
	if (abi < 1) {
		(void)snprintf(next_note(k), SANDBOX_NOTE_LEN, "no landlock in this kernel");
		LOG(LOG_LEVEL_WARNING, "no-landlock",
		    "This kernel has no Landlock; seccomp alone closes the sandbox.",
		    log_str("reason", strerrorname_np(errno)));
		return KMS_OK;
	}
	TRY(restrict_landlock(k, abi));
	(void)snprintf(next_note(k), SANDBOX_NOTE_LEN, "landlock abi %ld", abi);
	return KMS_OK;
}

static kms_err fill_filter(scmp_filter_ctx f)
{
	/* All threads at once, and the kernel's own log line says what was tried. */
	if (seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
	    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
		return KMS_E_INTERNAL;
	for (size_t i = 0; i < ARRAY_LEN(calls_allowed); i++)
		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, calls_allowed[i], 0) != 0)
			return KMS_E_INTERNAL;
	/* What libraries try and can do without. */
	if (seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 0) != 0)
		return KMS_E_INTERNAL;
	return seccomp_load(f) == 0 ? KMS_OK : KMS_E_INTERNAL;
}

kms_err sandbox_restrict_calls(struct keeper *k)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (f == NULL)
		return KMS_E_NO_MEMORY;
	kms_err e = fill_filter(f);
	seccomp_release(f);
	TRY(e);
	(void)snprintf(
	    next_note(k), SANDBOX_NOTE_LEN, "seccomp, %zu calls", ARRAY_LEN(calls_allowed));
	return KMS_OK;
}
