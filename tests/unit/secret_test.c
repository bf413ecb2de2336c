/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region of key bytes: slots and their wiping, guards, what a child sees, what happens
 * where memory can't be locked, and what 40,000 slots cost.
 */
#include "kms/base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/trap.h"

#ifdef __has_feature
#define TEST_HAS_FEATURE(x) __has_feature(x)
#else
#define TEST_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer)
enum {
	UNDER_ASAN = 1, /* there are no guards */
	HAS_SHADOW = 1  /* figures of memory mean nothing */
};
#elif defined(__SANITIZE_THREAD__) || TEST_HAS_FEATURE(thread_sanitizer)
enum {
	UNDER_ASAN = 0,
	HAS_SHADOW = 1
};
#else
enum {
	UNDER_ASAN = 0,
	HAS_SHADOW = 0
};
#endif

enum {
	SLOTS = 100,
	MANY = 40000
};

static const uint8_t key[KEY_BITS_LEN] = "0123456789abcdef0123456789abcde";

static int set_up(void **state)
{
	(void)state;
	return secret_init(SLOTS, true) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	secret_done();
	return 0;
}

/* Makes memfd_secret fail, so that the region is made of private pages. */
static kms_err init_private(size_t slots, bool allow_unlocked)
{
	struct rlimit before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	kms_err e = secret_init(slots, allow_unlocked);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	return e;
}

static int set_up_private(void **state)
{
	(void)state;
	return init_private(SLOTS, true) == KMS_OK ? 0 : -1;
}

static bool aborts_on_free(struct secret *s)
{
	char text[256];
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, (secret_free(&s), 0));

	(void)capture_end(&c, text, sizeof(text));
	return hit;
}

static bool all_zero(struct bytes x)
{
	for (size_t i = 0; i < x.n; i++) {
		if (x.p[i] != 0)
			return false;
	}
	return true;
}

static void a_new_secret_is_zero(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(SECRET_MAX, &s), KMS_OK);
	assert_int_equal(secret_len(s), SECRET_MAX);
	assert_true(all_zero(secret_bytes(s)));
}

static void a_secret_holds_what_it_was_given(void **state)
{
	AUTO(secret_free) struct secret *a = NULL;
	AUTO(secret_free) struct secret *b = NULL;

	(void)state;
	assert_int_equal(secret_from(bytes_of(key, sizeof(key)), &a), KMS_OK);
	assert_int_equal(secret_new(sizeof(key), &b), KMS_OK);
	memset(secret_fill(b), 0x55, sizeof(key));
	assert_true(secret_equal(a, bytes_of(key, sizeof(key))));
	assert_int_equal(secret_bytes(b).p[31], 0x55);
	assert_int_equal(secret_info().used, 2);
}

static void secrets_of_no_bytes_are_possible(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_from(bytes_of(NULL, 0), &s), KMS_OK);
	assert_int_equal(secret_len(s), 0);
	assert_true(secret_equal(s, bytes_of(NULL, 0)));
}

static void equality_sees_each_byte_and_the_length(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;
	uint8_t other[sizeof(key) + 1] = { 0 };

	(void)state;
	memcpy(other, key, sizeof(key));
	assert_int_equal(secret_from(bytes_of(key, sizeof(key)), &s), KMS_OK);
	assert_false(secret_equal(s, bytes_of(other, sizeof(key) - 1)));
	assert_false(secret_equal(s, bytes_of(other, sizeof(key) + 1)));
	assert_false(secret_equal(s, bytes_of(NULL, 0)));
	for (size_t i = 0; i < sizeof(key) * 8; i++) {
		other[i / 8] ^= (uint8_t)(1U << i % 8);
		assert_false(secret_equal(s, bytes_of(other, sizeof(key))));
		assert_false(equal_ct(other, key, sizeof(key)));
		other[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	assert_true(equal_ct(other, key, sizeof(key)));
	assert_true(equal_ct(other, key, 0));
}

static void free_wipes_and_the_slot_is_used_again(void **state)
{
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_from(bytes_of(key, sizeof(key)), &s), KMS_OK);
	const uint8_t *place = secret_bytes(s).p;
	secret_free(&s);
	assert_null(s);
	/* The page is ours still: what lies there is what a thief would find. */
	assert_true(all_zero(bytes_of(place, SECRET_MAX)));
	assert_int_equal(secret_info().used, 0);
	assert_int_equal(secret_new(8, &s), KMS_OK);
	assert_ptr_equal(secret_bytes(s).p, place);
	assert_int_equal(secret_len(s), 8);
	secret_free(&s);
	secret_free(&s);
}

static void bytes_past_the_length_are_wiped_too(void **state)
{
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(1, &s), KMS_OK);
	uint8_t *place = secret_fill(s);
	memset(place, 0xaa, SECRET_MAX);
	secret_free(&s);
	assert_true(all_zero(bytes_of(place, SECRET_MAX)));
}

static void too_long_is_refused(void **state)
{
	struct secret *s = NULL;
	uint8_t long_one[SECRET_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(secret_new(SECRET_MAX + 1, &s), KMS_E_INTERNAL);
	assert_int_equal(secret_from(bytes_of(long_one, sizeof(long_one)), &s), KMS_E_INTERNAL);
	assert_null(s);
	assert_int_equal(secret_info().used, 0);
}

static void a_full_region_says_so(void **state)
{
	struct secret *all[SLOTS], *one_more = NULL;

	(void)state;
	for (size_t i = 0; i < SLOTS; i++) {
		assert_int_equal(secret_new(KEY_BITS_LEN, &all[i]), KMS_OK);
		memset(secret_fill(all[i]), (int)i, KEY_BITS_LEN);
	}
	assert_int_equal(secret_new(1, &one_more), KMS_E_KEYS_FULL);
	assert_null(one_more);
	assert_int_equal(secret_info().used, SLOTS);

	/* Freed in a strange order, all slots come back, and no two lie upon each other. */
	for (size_t i = 0; i < SLOTS; i++)
		assert_int_equal(secret_bytes(all[i]).p[KEY_BITS_LEN - 1], i);
	for (size_t i = 0; i < SLOTS; i++)
		secret_free(&all[i * 37 % SLOTS]);
	assert_int_equal(secret_info().used, 0);
	for (size_t i = 0; i < SLOTS; i++)
		assert_int_equal(secret_new(SECRET_MAX, &all[i]), KMS_OK);
	assert_int_equal(secret_new(1, &one_more), KMS_E_KEYS_FULL);
	for (size_t i = 0; i < SLOTS; i++) {
		assert_true(all_zero(secret_bytes(all[i])));
		secret_free(&all[i]);
	}
}

static void a_double_free_aborts(void **state)
{
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(1, &s), KMS_OK);
	struct secret *stale = s;
	secret_free(&s);
	assert_true(aborts_on_free(stale));
}

static void a_foreign_handle_aborts(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;
	long foreign[8] = { 0 };

	(void)state;
	assert_int_equal(secret_new(1, &s), KMS_OK);
	assert_true(aborts_on_free((struct secret *)(void *)foreign));
	assert_true(aborts_on_free((struct secret *)(void *)((char *)s + 1)));
}

static void guards_lie_on_both_sides(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t len = ((size_t)SLOTS * SECRET_MAX + page - 1) / page * page;

	(void)state;
	if (UNDER_ASAN)
		skip();
	assert_int_equal(secret_new(1, &s), KMS_OK);
	volatile uint8_t *p = secret_fill(s);
	assert_int_equal((uintptr_t)p % page, 0);
	assert_true(TRAPS(SIGSEGV, p[-1]));
	assert_true(TRAPS(SIGSEGV, p[len]));
	assert_false(TRAPS(SIGSEGV, p[len - 1]));
}

/* How a child that looks at the bytes ends: 0 if it saw zeros, 1 if the key, else a signal. */
static int child_sees(const uint8_t *p)
{
	(void)fflush(NULL);
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		_exit(*(const volatile uint8_t *)p == 0 ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_child_sees_nothing(void **state)
{
	AUTO(secret_free) struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_from(bytes_of(key, sizeof(key)), &s), KMS_OK);
	int status = child_sees(secret_bytes(s).p);
	/* Hidden pages are not there in a child, private ones are wiped. */
	if (secret_info().hidden)
		assert_true(!WIFEXITED(status) || WEXITSTATUS(status) > 1);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(secret_equal(s, bytes_of(key, sizeof(key))));
}

static void private_pages_are_not_hidden(void **state)
{
	(void)state;
	assert_false(secret_info().hidden);
	assert_int_equal(secret_info().slots, SLOTS);
}

static void init_twice_aborts(void **state)
{
	char text[256];
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, secret_init(1, true));

	(void)state;
	(void)capture_end(&c, text, sizeof(text));
	assert_true(hit);
}

static void nothing_works_before_init(void **state)
{
	struct secret *s = NULL;

	(void)state;
	secret_done();
	assert_int_equal(secret_info().slots, 0);
	assert_int_equal(secret_new(1, &s), KMS_E_KEYS_FULL);
	assert_null(s);
}

static void absurd_regions_are_refused(void **state)
{
	(void)state;
	assert_int_equal(secret_init(0, true), KMS_E_NO_MEMORY);
	assert_int_equal(secret_init(SIZE_MAX, true), KMS_E_NO_MEMORY);
	assert_int_equal(secret_init(SIZE_MAX / SECRET_MAX + 2, true), KMS_E_NO_MEMORY);
	assert_int_equal(secret_info().slots, 0);
}

static void without_address_space_there_is_no_region(void **state)
{
	struct rlimit before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	kms_err e = secret_init(MANY, true);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(e, KMS_E_NO_MEMORY);
	assert_int_equal(secret_info().slots, 0);
	assert_int_equal(secret_init(1, true), KMS_OK);
	secret_done();
}

/* In a child of its own: a limit that was lowered without privilege can't be raised again. */
static int without_lockable_memory(void)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	struct secret *s = NULL;

	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0)
		return 10;
	/* Root may lock whatever the limit is. */
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
		return 11;
	if (secret_init(SLOTS, false) != KMS_E_LOCKED_MEMORY || secret_info().slots != 0)
		return 12;
	if (secret_init(SLOTS, true) != KMS_OK || secret_info().locked || secret_info().hidden)
		return 13;
	if (secret_from(bytes_of(key, sizeof(key)), &s) != KMS_OK)
		return 14;
	if (!secret_equal(s, bytes_of(key, sizeof(key))))
		return 15;
	secret_free(&s);
	secret_done();
	return 0;
}

static void memory_that_cannot_be_locked(void **state)
{
	int status = 0;

	(void)state;
	(void)fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		exit(without_lockable_memory());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* From the page tables: VmRSS of status is an estimate on several processors. */
static size_t resident_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	size_t kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Rss:", 4) == 0)
			kib = strtoul(line + 4, NULL, 10);
	}
	(void)fclose(f);
	return kib;
}

static void many_slots_cost_little(void **state)
{
	static struct secret *all[MANY];

	(void)state;
	memset(all, 0xff, sizeof(all));
	/* Once for the memory that measuring itself takes. */
	(void)resident_kib();
	size_t before = resident_kib();
	assert_int_equal(secret_init(MANY, true), KMS_OK);
	size_t empty = resident_kib();
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(secret_new(KEY_BITS_LEN, &all[i]), KMS_OK);
		secret_fill(all[i])[0] = 1;
	}
	size_t full = resident_kib();
	for (size_t i = 0; i < MANY; i++)
		secret_free(&all[i]);
	secret_done();
	if (HAS_SHADOW)
		skip();
	assert_true(empty - before < 100);
	assert_true(full - before < 3584);
}

static void wiping(void **state)
{
	struct key256 k;
	char text[] = "text";

	(void)state;
	memset(&k, 0xaa, sizeof(k));
	key_wipe(&k);
	assert_true(all_zero(bytes_of(k.b, sizeof(k.b))));
	wipe(text, 2);
	assert_memory_equal(text, "\0\0xt", 4);
	wipe(text, 0);
}

int main(void)
{
	const struct CMUnitTest region[] = {
		cmocka_unit_test(a_new_secret_is_zero),
		cmocka_unit_test(a_secret_holds_what_it_was_given),
		cmocka_unit_test(secrets_of_no_bytes_are_possible),
		cmocka_unit_test(equality_sees_each_byte_and_the_length),
		cmocka_unit_test(free_wipes_and_the_slot_is_used_again),
		cmocka_unit_test(bytes_past_the_length_are_wiped_too),
		cmocka_unit_test(too_long_is_refused),
		cmocka_unit_test(a_full_region_says_so),
		cmocka_unit_test(a_double_free_aborts),
		cmocka_unit_test(a_foreign_handle_aborts),
		cmocka_unit_test(guards_lie_on_both_sides),
		cmocka_unit_test(a_child_sees_nothing),
		cmocka_unit_test(init_twice_aborts),
	};
	const struct CMUnitTest private_pages[] = {
		cmocka_unit_test(private_pages_are_not_hidden),
		cmocka_unit_test(free_wipes_and_the_slot_is_used_again),
		cmocka_unit_test(a_full_region_says_so),
		cmocka_unit_test(guards_lie_on_both_sides),
		cmocka_unit_test(a_child_sees_nothing),
	};
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(nothing_works_before_init),
		cmocka_unit_test(absurd_regions_are_refused),
		cmocka_unit_test(without_address_space_there_is_no_region),
		cmocka_unit_test(memory_that_cannot_be_locked),
		cmocka_unit_test(many_slots_cost_little),
		cmocka_unit_test(wiping),
	};
	int failed = cmocka_run_group_tests(region, set_up, tear_down);

	failed += cmocka_run_group_tests(private_pages, set_up_private, tear_down);
	failed += cmocka_run_group_tests(alone, NULL, NULL);
	return failed;
}
