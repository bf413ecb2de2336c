/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log folder that a crash or a stranger left. The first byte says what the rest is: the segment as
 * it stands, or steps that lay out a head, records, groups, holes and rubbish with right CRCs, so
 * that the fuzzer gets past them. Whatever recovery takes, it must take again unchanged, and go on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/segment.h"
#include "kms/audit/trail.h"

enum {
	FILE_LEN = 16384,
	STEP_MAX = 600
};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static char folder_path[] = "/dev/shm/segment-fuzz-XXXXXX";

static void remove_folder(void)
{
	char file[sizeof(folder_path) + 16];

	(void)snprintf(file, sizeof(file), "%s/00000000.seg", folder_path);
	(void)unlink(file);
	(void)rmdir(folder_path);
}

/* Made once for the whole run. */
static int folder(void)
{
	static int fd = -1;

	if (fd < 0 && mkdtemp(folder_path) != NULL && atexit(remove_folder) == 0)
		fd = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static void put_file(const char *name, struct bytes x)
{
	int fd = openat(folder(), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && pwrite(fd, x.p, x.n, 0) == (ssize_t)x.n);
	CHECK(ftruncate(fd, FILE_LEN) == 0 && close(fd) == 0);
}

static void put_frame(struct buf *b, uint8_t type, struct bytes payload)
{
	uint8_t frame[SEGMENT_FRAME_HEAD + STEP_MAX];

	store_u32(frame, (uint32_t)payload.n);
	frame[8] = type;
	if (payload.n > 0)
		memcpy(frame + SEGMENT_FRAME_HEAD, payload.p, payload.n);
	store_u32(frame + 4, crc32c(0, bytes_of(frame + 8, 1 + payload.n)));
	CHECK(buf_put(b, bytes_of(frame, SEGMENT_FRAME_HEAD + payload.n)) == KMS_OK);
}

static void put_record(struct buf *b, uint64_t seq, struct bytes text)
{
	AUTO(buf_done) struct buf encoded = { 0 };
	const struct record r = { .seq = seq, .subject = text };

	CHECK(record_encode(&r, &encoded) == KMS_OK);
	if (encoded.n <= STEP_MAX)
		put_frame(b, SEGMENT_RECORD, buf_bytes(&encoded));
}

static void put_group(struct buf *b, uint64_t size)
{
	uint8_t payload[SEGMENT_GROUP_LEN] = { 0 };

	store_u64(payload, size);
	put_frame(b, SEGMENT_GROUP, bytes_of(payload, sizeof(payload)));
}

/* Each step: what 1, how much 1, then so many bytes. */
static void lay_out(struct reader *in, struct buf *b)
{
	static const uint8_t zeros[1024];
	struct segment_head h = { .number = 0, .size = FILE_LEN };
	uint64_t seq = 0;

	CHECK(segment_head_encode(&h, b) == KMS_OK);
	while (!reader_done(in) && b->n < FILE_LEN) {
		uint8_t what = read_u8(in), much = read_u8(in);
		struct bytes x = read_bytes(in, much);
		switch (what % 6) {
		case 0:
		case 1: put_record(b, seq++, x); break;
		case 2: put_group(b, seq); break;
		case 3: CHECK(buf_put(b, x) == KMS_OK); break;
		case 4: CHECK(buf_put(b, bytes_of(zeros, 4U * much)) == KMS_OK); break;
		case 5: put_frame(b, what / 6 % 3, x); break;
		}
		if (in->failed)
			break;
	}
}

static void go_on(struct trail_end *end, uint64_t size)
{
	static const uint8_t instance[INSTANCE_ID_LEN];
	AUTO(trail_free) struct trail *t = NULL;
	AUTO(trail_group_free) struct trail_group *g = NULL;
	AUTO(segments_free) struct segments *s = NULL;
	struct record r = { .op = OP_START };
	struct trail_end again;

	CHECK(trail_new(end, instance, SEGMENT_SIZE_MIN, &t) == KMS_OK);
	CHECK(trail_append(t, &r) == KMS_OK && r.seq == size);
	CHECK(trail_take(t, &g) == KMS_OK);
	CHECK(segments_new(folder(), SEGMENT_SIZE_MIN, &s) == KMS_OK);
	/* A whole new segment each time would be all that we do. */
	if (g->n == 1 && g->writes[0].offset > 0) {
		CHECK(segments_write(s, g->writes, g->n) == KMS_OK);
		CHECK(trail_recover(folder(), &again) == KMS_OK);
		CHECK(again.tree.size == size + 1 && again.dropped == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct trail_end end, again;
	uint8_t root[SHA256_LEN];

	if (n == 0 || n > FILE_LEN)
		return 0;
	struct reader in = reader_of(bytes_of(p + 1, n - 1));
	if (p[0] % 2 == 0)
		lay_out(&in, &b);
	else
		CHECK(buf_put(&b, in.in) == KMS_OK);
	put_file("00000000.seg", bytes_of(b.p, b.n < FILE_LEN ? b.n : FILE_LEN));

	if (trail_recover(folder(), &end) != KMS_OK)
		return 0;
	CHECK(trail_recover(folder(), &again) == KMS_OK);
	CHECK(again.dropped == 0 && again.offset == end.offset);
	CHECK(again.tree.size == end.tree.size && again.fresh == end.fresh);
	uint64_t size = end.tree.size;
	CHECK(trail_root_at(folder(), size, root) == KMS_OK);
	CHECK(trail_root_at(folder(), size + 1, root) == KMS_E_AUDIT_CORRUPT);
	go_on(&end, size);
	return 0;
}
