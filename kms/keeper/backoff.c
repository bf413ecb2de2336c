/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. The file has, for each slot that rests: name var | tries 1 | until when 8. */
#include "kms/keeper/backoff.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/buf.h"

enum {
	TRIES_MAX = 13, /* counted: 2^12 s are more than an hour */
	REST_MAX_S = 3600,
	FILE_MAX = CONFIG_SLOTS_MAX * 128
};

static const char file_name[] = "pin-tries";
static const char new_name[] = "pin-tries.new";

struct rest {
	char slot[NAME_MAX_LEN + 1]; /* empty: a free place */
	uint8_t tries;
	uint64_t until_us; /* wall clock: it outlives us */
};

struct backoff {
	struct rest rests[CONFIG_SLOTS_MAX];
};

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static void take(struct backoff *b, struct reader *in)
{
	for (size_t i = 0; i < ARRAY_LEN(b->rests) && in->in.n > 0; i++) {
		struct bytes name = read_var(in);
		uint8_t tries = read_u8(in);
		uint64_t until = read_u64(in);
		if (in->failed || !name_valid(name) || tries > TRIES_MAX)
			return;
		memcpy(b->rests[i].slot, name.p, name.n);
		b->rests[i].tries = tries;
		b->rests[i].until_us = until;
	}
}

static void load(const struct keeper *k, struct backoff *b)
{
	uint8_t bytes[FILE_MAX];
	AUTO(close_fd)
	int fd = openat(k->store_dir, file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));
	struct reader in = reader_of(bytes_of(bytes, n > 0 ? (size_t)n : 0));
	take(b, &in);
}

kms_err backoff_new(const struct keeper *k, struct backoff **out)
{
	struct backoff *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return KMS_E_NO_MEMORY;
	load(k, b);
	*out = b;
	return KMS_OK;
}

void backoff_free(struct backoff **b)
{
	free(*b);
	*b = NULL;
}

static kms_err write_file(const struct keeper *k, struct bytes x)
{
	AUTO(close_fd)
	int fd = openat(k->store_dir, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, x.p, x.n) != (ssize_t)x.n || fdatasync(fd) != 0)
		return KMS_E_IO;
	if (renameat(k->store_dir, new_name, k->store_dir, file_name) != 0 ||
	    fsync(k->store_dir) != 0)
		return KMS_E_IO;
	return KMS_OK;
}

static kms_err save_all(const struct keeper *k)
{
	AUTO(buf_done) struct buf b = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(k->backoff->rests); i++) {
		const struct rest *r = &k->backoff->rests[i];
		if (r->slot[0] == '\0')
			continue;
		TRY(buf_put_var(&b, bytes_of_str(r->slot)));
		TRY(buf_put_u8(&b, r->tries));
		TRY(buf_put_u64(&b, r->until_us));
	}
	return write_file(k, buf_bytes(&b));
}

static void save(const struct keeper *k)
{
	kms_err e = save_all(k);
	if (e != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "pin-tries",
		    "Wrong PINs could not be noted on disk; a restart would forget them.",
		    log_err(e));
}

static struct rest *find(struct backoff *b, const char *slot)
{
	for (size_t i = 0; i < ARRAY_LEN(b->rests); i++)
		if (strcmp(b->rests[i].slot, slot) == 0)
			return &b->rests[i];
	return NULL;
}

kms_err backoff_check(const struct keeper *k, const char *slot)
{
	const struct rest *r = find(k->backoff, slot);
	/* A clock that was set back must not make it rest for years. */
	if (slot[0] == '\0' || r == NULL || k->wall_us >= r->until_us ||
	    r->until_us - k->wall_us > (uint64_t)REST_MAX_S * 1000000)
		return KMS_OK;
	return KMS_E_PIN_WAIT;
}

static void count(struct keeper *k, struct rest *r, const char *slot)
{
	(void)snprintf(r->slot, sizeof(r->slot), "%s", slot);
	if (r->tries < TRIES_MAX)
		r->tries++;
	uint64_t s = (uint64_t)1 << (r->tries - 1);
	s = s < REST_MAX_S ? s : REST_MAX_S;
	r->until_us = k->wall_us + s * 1000000;
	LOG(LOG_LEVEL_ERROR, "pin-wrong", "A token refused its PIN; its slot rests for a while.",
	    log_str("slot", slot), log_u64("seconds", s));
	save(k);
}

void backoff_note(struct keeper *k, const char *slot, kms_err e)
{
	bool wrong = e == KMS_E_PIN_WRONG || e == KMS_E_PIN_LOCKED || e == KMS_E_PIN_EXPIRED;
	struct rest *r = find(k->backoff, slot);
	if (slot[0] == '\0')
		return;
	if (wrong && r == NULL)
		r = find(k->backoff, "");
	if (wrong && r != NULL) {
		count(k, r, slot);
	} else if (e == KMS_OK && r != NULL) {
		*r = (struct rest){ .tries = 0 };
		save(k);
	}
}
