/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files (kms/client/files.c, kms/client/fd.c) with a toy keeper behind them: there and back
 * through files and pipes, contexts that are shown, hidden or wrong, rewrapping in place, another
 * file's key, descriptors that fail.
 */
#include "kms/client/kms.h"

#include <errno.h>

#include "tests/unit/desk.h"

static void a_file_comes_back(void **state)
{
	struct desk *d = *state;

	encrypt(d, false);
	assert_int_equal(decrypt(d, NULL), KMS_CODE_OK);
	assert_same(d->clear, d->back);
	/* The caller may say what the file must be of. */
	assert_int_equal(decrypt(d, &context), KMS_CODE_OK);
	assert_int_equal(decrypt(d, &other_context), KMS_CODE_INTEGRITY);
	assert_int_equal(lseek(d->back, 0, SEEK_END), 0);
}

static void hidden_values_must_be_given(void **state)
{
	struct desk *d = *state;

	encrypt(d, true);
	struct bytes file = map(d->locked);
	assert_null(memmem(file.p, file.n, "seven", 5));
	unmap(file);
	assert_int_equal(decrypt(d, NULL), KMS_CODE_BAD_REQUEST);
	assert_non_null(strstr(kms_last_error(d->c)->detail, "hides"));
	assert_int_equal(decrypt(d, &other_context), KMS_CODE_INTEGRITY);
	assert_int_equal(decrypt(d, &context), KMS_CODE_OK);
	assert_same(d->clear, d->back);
}

struct pump {
	int from, to;
	pthread_t thread;
};

static void *pump_run(void *arg)
{
	struct pump *p = arg;
	uint8_t b[999];
	ssize_t n;

	while ((n = read(p->from, b, sizeof(b))) > 0)
		CHECK(write(p->to, b, (size_t)n) == n);
	CHECK(close(p->to) == 0);
	return NULL;
}

/* A pipe that a thread fills from `from`; its other end does not block. */
static int pump_start(struct pump *p, int from)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	*p = (struct pump){ .from = from, .to = ends[1] };
	CHECK(pthread_create(&p->thread, NULL, pump_run, p) == 0);
	return ends[0];
}

static void pump_stop(struct pump *p, int end)
{
	CHECK(pthread_join(p->thread, NULL) == 0 && close(end) == 0);
}

static void pipes_will_do(void **state)
{
	struct desk *d = *state;
	struct pump pump;

	int end = pump_start(&pump, d->clear);
	assert_int_equal(kms_encrypt_fd(d->c, "rec", &context, false, end, d->locked), KMS_CODE_OK);
	pump_stop(&pump, end);
	rewind_fd(d->locked);
	end = pump_start(&pump, d->locked);
	assert_int_equal(kms_decrypt_fd(d->c, NULL, end, d->back), KMS_CODE_OK);
	pump_stop(&pump, end);
	assert_same(d->clear, d->back);
}

static void a_pipe_reads_forward_only(void **state)
{
	struct desk *d = *state;
	struct pump pump;
	uint8_t p[100];
	struct kms_error err;
	size_t n;

	encrypt(d, false);
	int end = pump_start(&pump, d->locked);
	const struct kms_source from = kms_source_fd(&end);
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	assert_int_equal(kms_envelope_open(&from, &e, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, &err), KMS_CODE_OK);
	assert_int_equal(n, sizeof(p));
	/* Inside of the chunk that is held there is no need to go back. */
	assert_int_equal(kms_envelope_read_at(e, 5, p, sizeof(p), &n, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read_at(e, 200000, p, 1, &n, &err), KMS_CODE_INTERNAL);
	assert_string_equal(err.detail, strerrordesc_np(ESPIPE));
	while (n > 0)
		assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, &err), KMS_CODE_OK);
	pump_stop(&pump, end);
	assert_int_equal(kms_envelope_rewrap_fd(d->c, NULL, d->fake.stop, NULL), KMS_CODE_INTERNAL);
}

static void a_source_reads_from_anywhere(void **state)
{
	struct desk *d = *state;
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = kms_source_fd(&d->locked);
	uint8_t p[1000];
	size_t n;

	encrypt(d, false);
	assert_int_equal(kms_envelope_open(&from, &e, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_info(e)->context.n, 2);
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	for (size_t at = 299000; at < 300000; at -= 13000) {
		assert_int_equal(kms_envelope_read_at(e, at, p, 1000, &n, NULL), KMS_CODE_OK);
		assert_int_equal(n, 1000);
		assert_int_equal(p[0], (uint8_t)(at / 1000));
	}
}

static void an_envelope_tells_of_its_version(void **state)
{
	struct desk *d = *state;
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = kms_source_fd(&d->locked);
	const struct kms_envelope_info *info;

	encrypt(d, false);
	d->toy.version = 3;
	assert_int_equal(kms_envelope_open(&from, &e, NULL), KMS_CODE_OK);
	info = kms_envelope_info(e);
	/* Nothing is claimed that kmsd has not said. */
	d->toy.compromised = true;
	assert_int_equal(kms_envelope_unwrap(e, d->c, &other_context), KMS_CODE_INTEGRITY);
	assert_true(info->version == 0 && !info->compromised && !info->rewrap_advised);
	d->toy.compromised = false;
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	assert_true(info->version == 3 && !info->compromised && !info->rewrap_advised);
	d->toy.compromised = true;
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	assert_true(info->version == 3 && info->compromised && info->rewrap_advised);
}

static void what_is_left_goes_to_a_sink(void **state)
{
	struct desk *d = *state;
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = kms_source_fd(&d->locked);
	const struct kms_sink to = kms_sink_fd(&d->back);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	const struct kms_sink nowhere = kms_sink_fd(&full);
	struct kms_error err;
	uint8_t first[1000];
	size_t n;

	encrypt(d, false);
	assert_int_equal(kms_envelope_open(&from, &e, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read_all(e, &to, &err), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, first, sizeof(first), &n, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read_all(e, &to, &err), KMS_CODE_OK);
	assert_int_equal(lseek(d->back, 0, SEEK_END), SIZE - sizeof(first));
	/* At the end there is nothing left, also for a sink that takes nothing. */
	assert_int_equal(kms_envelope_read_all(e, &nowhere, &err), KMS_CODE_OK);
	kms_envelope_free(&e);
	assert_int_equal(kms_envelope_open(&from, &e, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_unwrap(e, d->c, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read_all(e, &nowhere, &err), KMS_CODE_INTERNAL);
	assert_string_equal(err.detail, strerrordesc_np(ENOSPC));
	assert_int_equal(close(full), 0);
}

static void rewrapping_leaves_the_rest_alone(void **state)
{
	struct desk *d = *state;
	uint32_t version = 0;

	encrypt(d, false);
	struct bytes before = map(d->locked);
	uint8_t *copy = malloc(before.n);
	memcpy(copy, before.p, before.n);
	d->toy.version = 2;
	d->toy.padding = 20;
	assert_int_equal(kms_envelope_rewrap_fd(d->c, NULL, d->locked, &version), KMS_CODE_OK);
	assert_int_equal(version, 2);

	size_t head = load_u16(copy + 6), bound = head - 130;
	assert_memory_equal(before.p, copy, bound);
	assert_memory_not_equal(before.p + bound, copy + bound, 130);
	assert_memory_equal(before.p + head, copy + head, before.n - head);
	assert_int_equal(decrypt(d, NULL), KMS_CODE_OK);
	assert_same(d->clear, d->back);
	free(copy);
	unmap(before);
}

static void a_failed_rewrap_changes_nothing(void **state)
{
	struct desk *d = *state;
	uint32_t version = 77;

	encrypt(d, true);
	assert_int_equal(
	    kms_envelope_rewrap_fd(d->c, NULL, d->locked, &version), KMS_CODE_BAD_REQUEST);
	assert_int_equal(
	    kms_envelope_rewrap_fd(d->c, &other_context, d->locked, &version), KMS_CODE_INTEGRITY);
	d->toy.padding = 200;
	assert_int_equal(
	    kms_envelope_rewrap_fd(d->c, &context, d->locked, &version), KMS_CODE_BAD_REQUEST);
	assert_non_null(strstr(kms_last_error(d->c)->detail, "no room"));
	assert_int_equal(version, 77);
	assert_int_equal(decrypt(d, &context), KMS_CODE_OK);

	d->toy.padding = 0;
	assert_int_equal(kms_envelope_rewrap_fd(d->c, &context, d->locked, NULL), KMS_CODE_OK);
	assert_int_equal(decrypt(d, &context), KMS_CODE_OK);
}

/* Another file's wrapped key opens at kmsd, and still does not open this file. */
static void another_files_key_does_not_open(void **state)
{
	struct desk *d = *state;
	uint8_t tail[130];

	encrypt(d, false);
	struct bytes first = map(d->locked);
	off_t bound = load_u16(first.p + 6) - 130;
	memcpy(tail, first.p + bound, sizeof(tail));
	unmap(first);
	encrypt(d, false);
	assert_int_equal(pwrite(d->locked, tail, sizeof(tail), bound), sizeof(tail));
	assert_int_equal(decrypt(d, NULL), KMS_CODE_INTEGRITY);
	assert_non_null(strstr(kms_last_error(d->c)->detail, "data key"));
	assert_int_equal(lseek(d->back, 0, SEEK_END), 0);
}

static void a_cut_file_says_so(void **state)
{
	struct desk *d = *state;

	encrypt(d, false);
	off_t cut = load_u16(map(d->locked).p + 6) + 56 + 2 * 16400;
	assert_int_equal(ftruncate(d->locked, cut), 0);
	assert_int_equal(decrypt(d, NULL), KMS_CODE_INTEGRITY);
	assert_string_equal(kms_last_error(d->c)->name, err_name(KMS_E_CUT_OFF));
	assert_int_equal(ftruncate(d->locked, 0), 0);
	assert_int_equal(decrypt(d, NULL), KMS_CODE_INTEGRITY);
	rewind_fd(d->clear);
	assert_int_equal(kms_decrypt_fd(d->c, NULL, d->clear, d->back), KMS_CODE_BAD_REQUEST);
	assert_string_equal(kms_last_error(d->c)->name, err_name(KMS_E_NOT_AN_ENVELOPE));
}

static void descriptors_that_fail_are_told(void **state)
{
	struct desk *d = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int closed = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_int_equal(
	    kms_encrypt_fd(d->c, "rec", NULL, false, d->clear, full), KMS_CODE_INTERNAL);
	assert_string_equal(kms_last_error(d->c)->detail, strerrordesc_np(ENOSPC));
	assert_int_equal(
	    kms_encrypt_fd(d->c, "rec", NULL, false, closed, d->back), KMS_CODE_INTERNAL);
	assert_string_equal(kms_last_error(d->c)->detail, strerrordesc_np(EBADF));
	encrypt(d, false);
	assert_int_equal(kms_decrypt_fd(d->c, NULL, d->locked, full), KMS_CODE_INTERNAL);
	assert_int_equal(
	    kms_encrypt_fd(d->c, "../x", NULL, false, d->clear, d->back), KMS_CODE_BAD_REQUEST);
	assert_int_equal(close(full) + close(closed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_DESK(f) cmocka_unit_test_setup_teardown(f, desk_start, desk_stop)
		ON_DESK(a_file_comes_back),
		ON_DESK(hidden_values_must_be_given),
		ON_DESK(pipes_will_do),
		ON_DESK(a_pipe_reads_forward_only),
		ON_DESK(a_source_reads_from_anywhere),
		ON_DESK(an_envelope_tells_of_its_version),
		ON_DESK(what_is_left_goes_to_a_sink),
		ON_DESK(rewrapping_leaves_the_rest_alone),
		ON_DESK(a_failed_rewrap_changes_nothing),
		ON_DESK(another_files_key_does_not_open),
		ON_DESK(a_cut_file_says_so),
		ON_DESK(descriptors_that_fail_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
