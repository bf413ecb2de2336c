/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint.h. https://c2sp.org/tlog-checkpoint is the text that this follows. */
#include "kms/audit/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kms/base/base64.h"

enum {
	SIZE_DIGITS = 20 /* of 64 bits */
};

static const char log_path[] = "kms/log/";

static_assert(sizeof(log_path) - 1 + 2 * (size_t)INSTANCE_ID_LEN == CHECKPOINT_ORIGIN_LEN,
    "an origin's length");

void checkpoint_origin(
    const uint8_t instance[static INSTANCE_ID_LEN], char out[static CHECKPOINT_ORIGIN_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *at = out + sizeof(log_path) - 1;

	memcpy(out, log_path, sizeof(log_path));
	for (size_t i = 0; i < INSTANCE_ID_LEN; i++) {
		*at++ = digits[instance[i] >> 4];
		*at++ = digits[instance[i] & 15];
	}
	*at = '\0';
}

kms_err checkpoint_encode(const struct checkpoint *c, struct buf *out)
{
	char size[SIZE_DIGITS + 2];
	AUTO(buf_done) struct buf text = { 0 };

	int n = snprintf(size, sizeof(size), "%" PRIu64 "\n", c->size);
	TRY(buf_put(&text, bytes_of_str(c->origin)));
	TRY(buf_put_u8(&text, '\n'));
	TRY(buf_put(&text, bytes_of(size, (size_t)n)));
	TRY(base64_encode(bytes_of(c->root, sizeof(c->root)), &text));
	TRY(buf_put_u8(&text, '\n'));
	return buf_put(out, buf_bytes(&text));
}

static bool take_line(struct bytes *text, struct bytes *out)
{
	const uint8_t *end = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);

	if (end == NULL)
		return false;
	size_t n = (size_t)(end - text->p);
	*out = bytes_of(text->p, n);
	*text = bytes_of(end + 1, text->n - n - 1);
	return true;
}

static uint64_t read_size(struct bytes line)
{
	uint64_t x = 0;

	for (size_t i = 0; i < line.n && line.n <= SIZE_DIGITS; i++)
		x = x * 10 + (uint64_t)(line.p[i] - '0');
	return x;
}

kms_err checkpoint_decode(struct bytes text, struct checkpoint *out)
{
	AUTO(buf_done) struct buf root = { 0 };
	AUTO(buf_done) struct buf again = { 0 };
	struct bytes rest = text, origin, size, value;
	struct checkpoint c = { .size = 0 };

	if (!take_line(&rest, &origin) || !take_line(&rest, &size) || !take_line(&rest, &value) ||
	    origin.n != CHECKPOINT_ORIGIN_LEN)
		return KMS_E_BAD_REQUEST;
	memcpy(c.origin, origin.p, origin.n);
	c.size = read_size(size);
	TRY(base64_decode(value, &root));
	if (root.n != sizeof(c.root) || memcmp(c.origin, log_path, sizeof(log_path) - 1) != 0)
		return KMS_E_BAD_REQUEST;
	memcpy(c.root, root.p, root.n);
	/* Whatever could be written in another way, a zero in front or a sign, is found by this. */
	TRY(checkpoint_encode(&c, &again));
	if (!bytes_equal(buf_bytes(&again), text))
		return KMS_E_BAD_REQUEST;
	*out = c;
	return KMS_OK;
}
