/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region of key bytes. Slots lie side by side between two guard pages; what is known about
 * them (length, free list) lies in ordinary memory, so that locked pages hold key bytes alone.
 * Pages of both are touched as slots come into use, so an empty region costs next to nothing.
 */
#include "kms/base/secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

/* AddressSanitizer must see the pages: no guards there, and they stay in a dump. */
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
enum {
	SHOWN_TO_TOOLS = 1
};
#else
enum {
	SHOWN_TO_TOOLS = 0
};
#endif

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* Linux 5.14; the same number on every architecture */
#endif

enum {
	SLOTS_MAX = 1 << 24 /* far above any use; keeps every size below well inside of size_t */
};

/* One for each slot. `next` is a slot's number plus one, so that zero pages are a valid start. */
struct secret {
	uint32_t next; /* in the free list; 0 ends it */
	uint8_t len;
	bool used;
};

static struct region {
	uint8_t *map; /* guard page, slots, guard page */
	size_t map_len;
	uint8_t *slots;
	struct secret *metas;
	size_t metas_len;
	size_t fresh;  /* slots from here on were never used */
	uint32_t free; /* first of the free list, plus one */
	struct secret_info info;
} region;

void wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void key_wipe(struct key256 *k)
{
	wipe(k, sizeof(*k));
}

bool equal_ct(const uint8_t *a, const uint8_t *b, size_t n)
{
	unsigned differ = 0;

	for (size_t i = 0; i < n; i++) {
		differ |= (unsigned)(a[i] ^ b[i]);
		/* The compiler must not know the value, or it may leave early. */
		__asm__ volatile("" : "+r"(differ));
	}
	return differ == 0;
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t n)
{
	size_t page = page_size();

	return (n + page - 1) / page * page;
}

/* Pages that not even the kernel maps elsewhere. They are locked and never dumped by nature. */
static bool map_hidden(uint8_t *at, size_t len)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		return false;
	bool ok =
	    ftruncate(fd, (off_t)len) == 0 &&
	    mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
	(void)close(fd);
	/* Shared pages would be a child's as well. */
	return ok && madvise(at, len, MADV_DONTFORK) == 0;
}

static kms_err map_private(uint8_t *at, size_t len, bool allow_unlocked)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
		return KMS_E_NO_MEMORY;
	if (madvise(at, len, MADV_WIPEONFORK) != 0)
		return KMS_E_NO_MEMORY;
	if (!SHOWN_TO_TOOLS && madvise(at, len, MADV_DONTDUMP) != 0)
		return KMS_E_NO_MEMORY;

	region.info.locked = mlock2(at, len, MLOCK_ONFAULT) == 0;
	return region.info.locked || allow_unlocked ? KMS_OK : KMS_E_LOCKED_MEMORY;
}

static size_t guard_len(void)
{
	return SHOWN_TO_TOOLS ? 0 : page_size();
}

/* Reserves guards and room in one piece, then puts real pages into the middle. */
static kms_err map_region(size_t slots, bool allow_unlocked)
{
	size_t len = whole_pages(slots * SECRET_MAX);
	size_t map_len = len + 2 * guard_len();
	uint8_t *map = mmap(NULL, map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return KMS_E_NO_MEMORY;
	region.map = map;
	region.map_len = map_len;
	region.slots = map + guard_len();
	region.info.hidden = map_hidden(region.slots, len);
	if (!region.info.hidden)
		return map_private(region.slots, len, allow_unlocked);
	region.info.locked = true;
	return KMS_OK;
}

static kms_err map_metas(size_t slots)
{
	size_t len = whole_pages(slots * sizeof(struct secret));
	struct secret *metas =
	    mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (metas == MAP_FAILED)
		return KMS_E_NO_MEMORY;
	region.metas = metas;
	region.metas_len = len;
	return KMS_OK;
}

kms_err secret_init(size_t slots, bool allow_unlocked)
{
	CHECK(region.map == NULL);
	if (slots == 0 || slots > SLOTS_MAX)
		return KMS_E_NO_MEMORY;

	kms_err e = map_region(slots, allow_unlocked);
	if (e == KMS_OK)
		e = map_metas(slots);
	if (e == KMS_OK)
		region.info.slots = slots;
	else
		secret_done();
	return e;
}

void secret_done(void)
{
	/* Slots beyond `fresh` were never touched; wiping them would only fault pages in. */
	if (region.fresh > 0)
		wipe(region.slots, region.fresh * SECRET_MAX);
	if (region.metas != NULL)
		(void)munmap(region.metas, region.metas_len);
	if (region.map != NULL)
		(void)munmap(region.map, region.map_len);
	region = (struct region){ .map = NULL };
}

struct secret_info secret_info(void)
{
	return region.info;
}

/* The slot's number. A stale or foreign handle is a fault of our own and ends the process. */
static size_t slot_of(const struct secret *s)
{
	uintptr_t offset = (uintptr_t)s - (uintptr_t)region.metas;
	size_t i = offset / sizeof(struct secret);

	CHECK(i < region.fresh && offset % sizeof(struct secret) == 0);
	CHECK(region.metas[i].used);
	return i;
}

static uint8_t *bytes_at(size_t slot)
{
	return region.slots + slot * SECRET_MAX;
}

kms_err secret_new(size_t n, struct secret **out)
{
	if (n > SECRET_MAX)
		return KMS_E_INTERNAL;
	if (region.info.used == region.info.slots)
		return KMS_E_KEYS_FULL;

	struct secret *s;
	if (region.free != 0) {
		s = &region.metas[region.free - 1];
		region.free = s->next;
	} else {
		s = &region.metas[region.fresh++];
	}
	*s = (struct secret){ .len = (uint8_t)n, .used = true };
	region.info.used++;
	*out = s;
	return KMS_OK;
}

kms_err secret_from(struct bytes clear, struct secret **out)
{
	struct secret *s;

	TRY(secret_new(clear.n, &s));
	if (clear.n > 0)
		memcpy(secret_fill(s), clear.p, clear.n);
	*out = s;
	return KMS_OK;
}

void secret_free(struct secret **s)
{
	struct secret *x = MOVE(*s);

	if (x == NULL)
		return;
	size_t i = slot_of(x);
	wipe(bytes_at(i), SECRET_MAX);
	*x = (struct secret){ .next = region.free };
	region.free = (uint32_t)i + 1;
	region.info.used--;
}

struct bytes secret_bytes(const struct secret *s)
{
	return bytes_of(bytes_at(slot_of(s)), s->len);
}

uint8_t *secret_fill(struct secret *s)
{
	return bytes_at(slot_of(s));
}

size_t secret_len(const struct secret *s)
{
	(void)slot_of(s);
	return s->len;
}

bool secret_equal(const struct secret *a, struct bytes b)
{
	struct bytes x = secret_bytes(a);

	return x.n == b.n && equal_ct(x.p, b.p, x.n);
}
