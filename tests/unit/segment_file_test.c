/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments as files: made ahead, written, taken away, put back, and a disk that is full.
 */
#include "kms/audit/segment.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/log_dir.h"

enum {
	THREADS = 4
};

static size_t count_files(const struct log_dir *d)
{
	DIR *stream = fdopendir(openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	size_t n = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	for (const struct dirent *e; (e = readdir(stream)) != NULL;)
		n += e->d_name[0] != '.';
	(void)closedir(stream);
	return n;
}

static void a_segment_is_made_ahead(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();

	assert_int_equal(segments_prepare(d.fd, 7, LOG_SIZE), KMS_OK);
	AUTO(image_done) struct image i = log_read(&d, 7);
	assert_int_equal(i.n, LOG_SIZE);
	assert_int_equal(image_used(&i), 0);
	assert_int_equal(count_files(&d), 1);

	/* One that is there stays as it is. */
	log_patch(&d, 7, 100, bytes_of_str("mine"));
	assert_int_equal(segments_prepare(d.fd, 7, 2 * LOG_SIZE), KMS_OK);
	AUTO(image_done) struct image again = log_read(&d, 7);
	assert_int_equal(again.n, LOG_SIZE);
	assert_memory_equal(again.p + 100, "mine", 4);
}

static void *prepare_many(void *arg)
{
	const int *fd = arg;
	size_t *failed = calloc(1, sizeof(*failed));

	for (uint32_t number = 0; number < 5; number++)
		*failed += segments_prepare(*fd, number, LOG_SIZE) != KMS_OK;
	return failed;
}

static void threads_may_make_the_same_one(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, prepare_many, &d.fd), 0);
	for (size_t i = 0; i < THREADS; i++) {
		size_t *failed = NULL;
		assert_int_equal(pthread_join(threads[i], (void **)&failed), 0);
		assert_int_equal(*failed, 0);
		free(failed);
	}
	assert_int_equal(count_files(&d), 5);
}

static void leftovers_of_a_crash_go(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	uint32_t first = 9, end = 9;

	int left = openat(d.fd, "00000004.seg.123.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	int other = openat(d.fd, "notes.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(left >= 0 && other >= 0);
	(void)close(left);
	(void)close(other);
	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(count_files(&d), 1);
	assert_int_equal(segments_range(d.fd, &first, &end), KMS_OK);
	assert_true(first == 0 && end == 0);
}

static void the_range_has_no_gaps(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	uint32_t first = 0, end = 0;

	for (uint32_t number = 3; number < 6; number++)
		assert_int_equal(segments_prepare(d.fd, number, LOG_SIZE), KMS_OK);
	int other = openat(d.fd, "0000000x.seg", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(other >= 0);
	(void)close(other);
	assert_int_equal(segments_range(d.fd, &first, &end), KMS_OK);
	assert_true(first == 3 && end == 6);
	log_remove(&d, 4);
	assert_int_equal(segments_range(d.fd, &first, &end), KMS_E_AUDIT_CORRUPT);
	assert_true(first == 3 && end == 6);
}

static struct segment_write piece(uint32_t number, uint64_t offset, const char *text)
{
	return (struct segment_write){
		.number = number, .offset = offset, .bytes = bytes_of_str(text)
	};
}

static void holds(const struct log_dir *d, uint32_t number, size_t at, const char *text)
{
	AUTO(image_done) struct image i = log_read(d, number);

	assert_memory_equal(i.p + at, text, strlen(text));
}

static void pieces_are_written(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w[] = { piece(0, 0, "head"), piece(0, 4, "more"),
		piece(1, 0, "next") };

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_prepare(d.fd, 0, LOG_SIZE), KMS_OK);
	/* Segment 1 is not there yet. The same again is right. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(segments_write(s, w, ARRAY_LEN(w)), KMS_OK);
		holds(&d, 0, 0, "headmore");
		holds(&d, 1, 0, "next");
	}
	const struct segment_write end = piece(1, LOG_SIZE - 4, "last");
	assert_int_equal(segments_write(s, &end, 1), KMS_OK);
	const struct segment_write over = piece(1, LOG_SIZE - 4, "over!");
	assert_int_equal(segments_write(s, &over, 1), KMS_E_AUDIT_CORRUPT);
	assert_int_equal(segments_write(s, NULL, 0), KMS_OK);
}

static void a_follower_of_another_size_is_made_anew(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w = piece(1, 0, "head");

	assert_int_equal(segments_prepare(d.fd, 1, 2 * LOG_SIZE), KMS_OK);
	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w, 1), KMS_OK);
	AUTO(image_done) struct image i = log_read(&d, 1);
	assert_int_equal(i.n, LOG_SIZE);
}

static void a_begun_follower_is_not_overwritten(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w = piece(1, 0, "head");

	assert_int_equal(segments_prepare(d.fd, 1, 2 * LOG_SIZE), KMS_OK);
	log_patch(&d, 1, 0, bytes_of_str("KMSA"));
	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w, 1), KMS_E_AUDIT_CORRUPT);
	AUTO(image_done) struct image i = log_read(&d, 1);
	assert_int_equal(i.n, 2 * LOG_SIZE);
}

static void move(const struct log_dir *d, const char *from, const char *to)
{
	assert_int_equal(renameat(d->fd, from, d->fd, to), 0);
}

static void a_file_taken_away_is_noticed(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w[] = { piece(0, 0, "head"), piece(0, 4, "one"),
		piece(0, 7, "two") };

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w[0], 1), KMS_OK);
	move(&d, "00000000.seg", "elsewhere");
	assert_int_equal(segments_write(s, &w[1], 1), KMS_E_AUDIT_IO);
	/* Another file in its place is not it, however long we try. */
	AUTO(image_done) struct image copy = image_of(bytes_of_str("head"));
	log_write(&d, 0, &copy);
	assert_int_equal(segments_write(s, &w[1], 1), KMS_E_AUDIT_IO);
	assert_int_equal(segments_write(s, &w[1], 1), KMS_E_AUDIT_IO);
	/* It heals when it is back. */
	move(&d, "elsewhere", "00000000.seg");
	assert_int_equal(segments_write(s, &w[1], 1), KMS_OK);
	assert_int_equal(segments_write(s, &w[2], 1), KMS_OK);
	holds(&d, 0, 0, "headonetwo");
}

static void a_file_that_was_cut_is_noticed(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w[] = { piece(0, 0, "head"), piece(0, 4, "one") };

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w[0], 1), KMS_OK);
	int fd = openat(d.fd, "00000000.seg", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), 0);
	(void)close(fd);
	assert_int_equal(segments_write(s, &w[1], 1), KMS_E_AUDIT_IO);
}

static void a_segment_with_records_is_not_made_anew(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w = piece(3, 100, "behind what was there");

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w, 1), KMS_E_AUDIT_IO);
	assert_false(log_has(&d, 3));
}

static void a_folder_moved_away_is_noticed(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	char away[LOG_PATH_MAX + 8];
	const struct segment_write w = piece(0, 0, "head");

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w, 1), KMS_OK);
	(void)snprintf(away, sizeof(away), "%s.away", d.path);
	assert_int_equal(rename(d.path, away), 0);
	assert_int_equal(segments_write(s, &w, 1), KMS_E_AUDIT_IO);
	assert_int_equal(rename(away, d.path), 0);
	assert_int_equal(segments_write(s, &w, 1), KMS_OK);
}

static void a_link_is_not_followed(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	struct segment_view *v = NULL;
	const struct segment_write w = piece(0, 4, "text");

	assert_int_equal(segments_prepare(d.fd, 1, LOG_SIZE), KMS_OK);
	assert_int_equal(symlinkat("00000001.seg", d.fd, "00000000.seg"), 0);
	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, &w, 1), KMS_E_AUDIT_IO);
	assert_int_equal(segment_view_open(d.fd, 0, &v), KMS_E_AUDIT_IO);
}

static void a_limit_on_files_counts_as_full(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w[] = { piece(0, 0, "head"), piece(1, 0, "next") };
	struct rlimit old, low;

	assert_int_equal(segments_new(d.fd, LOG_SIZE, &s), KMS_OK);
	assert_int_equal(segments_write(s, w, 1), KMS_OK);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = LOG_SIZE / 2;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(segments_prepare(d.fd, 2, LOG_SIZE), KMS_E_AUDIT_FULL);
	assert_int_equal(segments_write(s, w, 2), KMS_E_AUDIT_FULL);
	assert_int_equal(count_files(&d), 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(segments_write(s, w, 2), KMS_OK);
	holds(&d, 0, 0, "head");
	holds(&d, 1, 0, "next");
}

static void a_full_disk_is_named_and_heals(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	char name[LOG_PATH_MAX + 8];

	(void)snprintf(name, sizeof(name), "%s/small", d.path);
	assert_int_equal(mkdir(name, 0700), 0);
	if (mount("tmpfs", name, "tmpfs", 0, "size=3m") != 0) {
		print_message("skipped: only root can mount a small disk\n");
		(void)rmdir(name);
		skip();
	}
	struct log_dir small = { .fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	AUTO(segments_free) struct segments *s = NULL;
	const struct segment_write w[] = { piece(0, 0, "head"), piece(1, 0, "next"),
		piece(2, 0, "last") };

	assert_int_equal(segments_new(small.fd, LOG_SIZE + 4096, &s), KMS_OK);
	kms_err e = segments_write(s, w, ARRAY_LEN(w));
	size_t files = count_files(&small);
	log_remove(&small, 0);
	kms_err healed = segments_write(s, &w[1], 2);
	segments_free(&s);
	(void)close(small.fd);
	assert_int_equal(umount(name), 0);
	(void)rmdir(name);
	assert_int_equal(e, KMS_E_AUDIT_FULL);
	assert_int_equal(files, 2);
	assert_int_equal(healed, KMS_OK);
}

static void a_closed_folder_is_an_io_error(void **state)
{
	(void)state;
	struct segments *s = NULL;
	struct segment_view *v = NULL;
	uint32_t first, end;

	assert_int_equal(segments_new(-1, LOG_SIZE, &s), KMS_E_AUDIT_IO);
	assert_int_equal(segments_prepare(-1, 0, LOG_SIZE), KMS_E_AUDIT_IO);
	assert_int_equal(segments_range(-1, &first, &end), KMS_E_AUDIT_IO);
	assert_int_equal(segment_view_open(-1, 0, &v), KMS_E_AUDIT_IO);
	assert_null(s);
	assert_null(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_is_made_ahead),
		cmocka_unit_test(threads_may_make_the_same_one),
		cmocka_unit_test(leftovers_of_a_crash_go),
		cmocka_unit_test(the_range_has_no_gaps),
		cmocka_unit_test(pieces_are_written),
		cmocka_unit_test(a_follower_of_another_size_is_made_anew),
		cmocka_unit_test(a_begun_follower_is_not_overwritten),
		cmocka_unit_test(a_file_taken_away_is_noticed),
		cmocka_unit_test(a_file_that_was_cut_is_noticed),
		cmocka_unit_test(a_segment_with_records_is_not_made_anew),
		cmocka_unit_test(a_folder_moved_away_is_noticed),
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(a_limit_on_files_counts_as_full),
		cmocka_unit_test(a_full_disk_is_named_and_heals),
		cmocka_unit_test(a_closed_folder_is_an_io_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
