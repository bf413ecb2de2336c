/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what a peer can say to libkms: the input stands on the socket as if kmsd had written it,
 * while one request of each kind is under way. Every id must come back exactly once, and
 * everything that a result shows can be read.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/base/base.h"
#include "kms/client/conn.h"
#include "kms/client/kms.h"

enum {
	INPUT_MAX = 1 << 16 /* fits into the socket's buffer */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum_bytes(struct kms_bytes b)
{
	size_t sum = b.n;

	for (size_t i = 0; i < b.n; i++)
		sum += b.p[i];
	return sum;
}

static size_t sum_slots(const struct kms_slot *s, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += sum_bytes(s[i].id) + strlen(s[i].kind) + strlen(s[i].name) +
		       strlen(s[i].last) + strlen(s[i].detail);
	return sum;
}

static size_t sum_texts(const char *const *texts, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += strlen(texts[i]);
	return sum;
}

static size_t sum_key(const struct kms_key *k)
{
	size_t sum = strlen(k->key) + sum_bytes(k->id) + strlen(k->key_class) +
	             strlen(k->algorithm) + strlen(k->state);

	for (size_t i = 0; i < k->version_n; i++)
		sum += strlen(k->versions[i].state) + strlen(k->versions[i].reason);
	return sum;
}

static size_t sum_items(const struct kms_item *item, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum +=
		    sum_bytes(item[i].wrapped) + sum_bytes(item[i].plaintext) + strlen(item[i].key);
		CHECK((item[i].code == KMS_CODE_OK) == (item[i].error == NULL));
		if (item[i].error != NULL)
			sum += strlen(item[i].error->text) + strlen(item[i].error->detail);
	}
	return sum;
}

static size_t sum_backups(const struct kms_backup *b, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += sum_bytes(b[i].id) + strlen(b[i].name) + strlen(b[i].state) +
		       strlen(b[i].detail) + sum_slots(b[i].slots, b[i].slot_n);
	return sum;
}

static size_t sum_status(const struct kms_status *s)
{
	return strlen(s->program) + strlen(s->state) + strlen(s->why) + strlen(s->audit_state) +
	       strlen(s->counter_state) + strlen(s->backup_state) + strlen(s->rehearsal_state) +
	       strlen(s->restoring) + sum_bytes(s->ceremony.nonce) + sum_bytes(s->ceremony.set) +
	       sum_bytes(s->instance) + sum_texts(s->sandbox, s->sandbox_n) +
	       sum_slots(s->slots, s->slot_n);
}

/* What only who runs kmsd gets: kms_admin.h. */
static size_t sum_admin(const struct kms_result *r)
{
	const struct kms_ceremony *ceremony = kms_result_ceremony(r);
	size_t sum = 0, n;

	if (ceremony != NULL)
		sum += sum_bytes(ceremony->nonce) + sum_bytes(ceremony->set);
	const struct kms_slot *slots = kms_result_slots(r, &n);
	sum += sum_slots(slots, n);
	const char *const *shares = kms_result_shares(r, &n);
	sum += sum_texts(shares, n);
	const struct kms_backup *backups = kms_result_backups(r, &n);
	return sum + sum_backups(backups, n);
}

static size_t sum_records(const struct kms_records *records)
{
	size_t sum = 0;

	for (size_t i = 0; i < records->n; i++)
		sum += sum_bytes(records->records[i]);
	return sum;
}

/* Reads every byte that the public structs reach. */
static size_t sum_result(const struct kms_result *r)
{
	const struct kms_status *status = kms_result_status(r);
	const struct kms_whoami *whoami = kms_result_whoami(r);
	size_t sum = sum_bytes(kms_result_bytes(r)) + sum_admin(r);
	bool more;
	size_t n;

	if (status != NULL)
		sum += sum_status(status);
	if (whoami != NULL)
		sum += strlen(whoami->identity) + sum_texts(whoami->groups, whoami->group_n);
	if (kms_result_key(r) != NULL)
		sum += sum_key(kms_result_key(r));
	if (kms_result_records(r) != NULL)
		sum += sum_records(kms_result_records(r));
	const struct kms_key *keys = kms_result_keys(r, &n, &more);
	for (size_t i = 0; i < n; i++)
		sum += sum_key(&keys[i]);
	const struct kms_item *items = kms_result_items(r, &n);
	return sum + sum_items(items, n);
}

/* One request of each kind, whose ids are always the same. */
static size_t submit_all(struct kms *c, uint64_t ids[static ANSWER_BACKUPS])
{
	size_t n = 0;

	for (unsigned kind = ANSWER_DONE; kind <= ANSWER_BACKUPS; kind++) {
		struct request r = { .op = OP_STATUS };
		const struct want want = { .kind = (enum answer_kind)kind, .items = 2 };
		CHECK(conn_submit(c, &r, &want, &ids[n]) == KMS_OK);
		n++;
	}
	return n;
}

static void take_all(struct kms *c, const uint64_t *ids, size_t n)
{
	unsigned seen[ANSWER_BACKUPS] = { 0 };
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		AUTO(kms_result_free) struct kms_result *r = NULL;
		uint64_t id = 0;
		enum kms_code code = kms_wait(c, -1, &id, &r);
		CHECK((code == KMS_CODE_OK) == (r != NULL));
		for (size_t k = 0; k < n; k++)
			seen[k] += ids[k] == id;
		sum += r != NULL ? sum_result(r) : strlen(kms_last_error(c)->text);
	}
	for (size_t k = 0; k < n; k++)
		CHECK(seen[k] == 1);
	/* So that the reading above is not optimised away. */
	CHECK(sum < SIZE_MAX && kms_in_flight(c) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t ids[ANSWER_BACKUPS];
	AUTO(kms_close) struct kms *c = NULL;
	int ends[2];

	if (size > INPUT_MAX)
		return 0;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	CHECK(conn_open("/nonexistent/kms.sock", ends[0], &c) == KMS_OK);
	size_t n = submit_all(c, ids);
	CHECK(size == 0 || send(ends[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
	CHECK(shutdown(ends[1], SHUT_WR) == 0);
	take_all(c, ids, n);
	CHECK(close(ends[1]) == 0);
	return 0;
}
