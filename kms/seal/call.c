/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and helper: 32 bytes of root (zeros where there is none), then a body.
 * Both sides scatter and gather, so the root goes from secret to secret through the kernel alone.
 *   task:   op 1 | kind var | tcti var | auth file var | pcrs 4 | token | instance 16 | root? 1
 *           | blob var | data var | n 4 | target 8
 *   token:  module var | label var | serial var | PIN file var | key var | environment var
 *           | mechanism 4 | IV by token? 1 | make key? 1 | imported? 1
 *   answer: error 2 | code 4 | counter 8 | root? 1 | data var
 */
#include "kms/seal/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	BODY_MAX = CALL_MESSAGE_MAX - SEALER_ROOT_LEN
};

static const uint8_t no_root[SEALER_ROOT_LEN];

struct call_memory {
	struct secret *root; /* NULL once it is known that there is none */
	size_t n;
	uint8_t body[BODY_MAX];
};

static kms_err memory_new(struct call_memory **out)
{
	AUTO(call_memory_free) struct call_memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return KMS_E_NO_MEMORY;
	TRY(secret_new(SEALER_ROOT_LEN, &m->root));
	*out = MOVE(m);
	return KMS_OK;
}

void call_memory_free(struct call_memory **m)
{
	struct call_memory *x = MOVE(*m);

	if (x == NULL)
		return;
	secret_free(&x->root);
	wipe(x, sizeof(*x));
	free(x);
}

void call_answer_done(struct call_answer *a)
{
	secret_free(&a->root);
	buf_done(&a->data);
}

/* sendmsg only reads what struct iovec wants to be writable. */
static struct iovec iovec_of(struct bytes x)
{
	struct iovec v = { .iov_len = x.n };

	memcpy(&v.iov_base, &x.p, sizeof(v.iov_base));
	return v;
}

static kms_err send_message(int fd, const struct secret *root, struct bytes body)
{
	struct bytes first = root != NULL ? secret_bytes(root) : bytes_of(no_root, sizeof(no_root));
	struct iovec parts[] = { iovec_of(first), iovec_of(body) };
	const struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts) };
	ssize_t sent;

	if (first.n != SEALER_ROOT_LEN || body.n > BODY_MAX)
		return KMS_E_INTERNAL;
	do {
		sent = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)(first.n + body.n) ? KMS_OK : KMS_E_HARDWARE_HELPER;
}

/* KMS_E_STOPPING at the end of the stream, KMS_E_UNAVAILABLE if nothing is there, KMS_E_BAD_FRAME. */
static kms_err receive_message(int fd, int flags, struct call_memory *m)
{
	struct iovec parts[] = {
		{ .iov_base = secret_fill(m->root), .iov_len = SEALER_ROOT_LEN },
		{ .iov_base = m->body, .iov_len = sizeof(m->body) },
	};
	struct msghdr h = { .msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts) };
	ssize_t got;

	do {
		got = recvmsg(fd, &h, flags | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? KMS_E_UNAVAILABLE : KMS_E_STOPPING;
	if (got == 0)
		return KMS_E_STOPPING;
	if (got <= SEALER_ROOT_LEN || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return KMS_E_BAD_FRAME;
	m->n = (size_t)got - SEALER_ROOT_LEN;
	return KMS_OK;
}

/* A flag that is neither 0 nor 1 makes the message nonsense. */
static bool read_flag(struct reader *r)
{
	uint8_t x = read_u8(r);

	r->failed = r->failed || x > 1;
	return x == 1;
}

/* Text into room for n bytes and its end. */
static void read_text(struct reader *r, char *out, size_t n)
{
	struct bytes x = read_var(r);

	if (x.n > n || (x.n > 0 && memchr(x.p, '\0', x.n) != NULL)) {
		r->failed = true;
		x.n = 0;
	}
	if (x.n > 0)
		memcpy(out, x.p, x.n);
	out[x.n] = '\0';
}

static kms_err put_token(const struct sealer_token *t, struct buf *out)
{
	TRY(buf_put_var(out, bytes_of_str(t->module)));
	TRY(buf_put_var(out, bytes_of_str(t->label)));
	TRY(buf_put_var(out, bytes_of_str(t->serial)));
	TRY(buf_put_var(out, bytes_of_str(t->pin_file)));
	TRY(buf_put_var(out, bytes_of_str(t->key)));
	TRY(buf_put_var(out, bytes_of_str(t->environment)));
	TRY(buf_put_u32(out, t->mechanism));
	TRY(buf_put_u8(out, t->iv_by_token));
	TRY(buf_put_u8(out, t->make_key));
	return buf_put_u8(out, t->allow_imported);
}

static void read_token(struct reader *r, struct sealer_token *out)
{
	read_text(r, out->module, SEALER_PATH_MAX);
	read_text(r, out->label, SEALER_LABEL_MAX);
	read_text(r, out->serial, SEALER_SERIAL_MAX);
	read_text(r, out->pin_file, SEALER_PATH_MAX);
	read_text(r, out->key, NAME_MAX_LEN);
	read_text(r, out->environment, SEALER_ENVIRONMENT_MAX);
	out->mechanism = read_u32(r);
	out->iv_by_token = read_flag(r);
	out->make_key = read_flag(r);
	out->allow_imported = read_flag(r);
	r->failed = r->failed || out->mechanism > SEALER_AES_CBC;
}

static kms_err put_params(const struct sealer_params *p, struct buf *out)
{
	TRY(buf_put_var(out, bytes_of_str(p->tcti)));
	TRY(buf_put_var(out, bytes_of_str(p->auth_file)));
	TRY(buf_put_u32(out, p->pcr_mask));
	TRY(put_token(&p->token, out));
	return buf_put(out, bytes_of(p->instance, INSTANCE_ID_LEN));
}

static void read_params(struct reader *r, struct sealer_params *out)
{
	read_text(r, out->tcti, SEALER_PATH_MAX);
	read_text(r, out->auth_file, SEALER_PATH_MAX);
	out->pcr_mask = read_u32(r);
	read_token(r, &out->token);
	read_into(r, out->instance, INSTANCE_ID_LEN);
}

kms_err call_send(int fd, const struct call_task *t)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (t->blob.n > SEALER_BLOB_MAX || t->data.n > CALL_MESSAGE_DATA_MAX)
		return KMS_E_INTERNAL;
	TRY(buf_put_u8(&body, (uint8_t)t->op));
	TRY(buf_put_var(&body, bytes_of_str(t->kind)));
	TRY(put_params(&t->params, &body));
	TRY(buf_put_u8(&body, t->root != NULL));
	TRY(buf_put_var(&body, t->blob));
	TRY(buf_put_var(&body, t->data));
	TRY(buf_put_u32(&body, t->n));
	TRY(buf_put_u64(&body, t->target));
	return send_message(fd, t->root, buf_bytes(&body));
}

static kms_err decode_task(struct call_memory *m, struct call_task *out)
{
	struct reader r = reader_of(bytes_of(m->body, m->n));
	struct call_task t = { .op = (enum call_op)read_u8(&r) };

	read_text(&r, t.kind, SEALER_KIND_MAX);
	read_params(&r, &t.params);
	if (!read_flag(&r))
		secret_free(&m->root);
	t.root = m->root;
	t.blob = read_var(&r);
	t.data = read_var(&r);
	t.n = read_u32(&r);
	t.target = read_u64(&r);
	bool sizes = t.blob.n <= SEALER_BLOB_MAX && t.data.n <= CALL_MESSAGE_DATA_MAX;
	if (!reader_done(&r) || !sizes || t.op < CALL_DESCRIBE || t.op > CALL_RANDOM)
		return KMS_E_BAD_FRAME;
	*out = t;
	return KMS_OK;
}

kms_err call_take(int fd, struct call_task *out, struct call_memory **out_memory)
{
	AUTO(call_memory_free) struct call_memory *m = NULL;

	TRY(memory_new(&m));
	TRY(receive_message(fd, 0, m));
	TRY(decode_task(m, out));
	*out_memory = MOVE(m);
	return KMS_OK;
}

kms_err call_answer_send(int fd, const struct call_answer *a)
{
	AUTO(buf_done) struct buf body = { 0 };

	TRY(buf_put_u16(&body, (uint16_t)a->err));
	TRY(buf_put_u32(&body, a->code));
	TRY(buf_put_u64(&body, a->counter));
	TRY(buf_put_u8(&body, a->root != NULL));
	TRY(buf_put_var(&body, buf_bytes(&a->data)));
	return send_message(fd, a->root, buf_bytes(&body));
}

static kms_err decode_answer(struct call_memory *m, struct call_answer *out)
{
	struct reader r = reader_of(bytes_of(m->body, m->n));
	struct call_answer a = { .err = (kms_err)read_u16(&r) };

	a.code = read_u32(&r);
	a.counter = read_u64(&r);
	bool has_root = read_flag(&r);
	struct bytes data = read_var(&r);
	if (!reader_done(&r) || a.err >= KMS_ERR_COUNT)
		return KMS_E_BAD_FRAME;
	TRY(buf_put(&a.data, data));
	a.root = has_root ? MOVE(m->root) : NULL;
	*out = a;
	return KMS_OK;
}

kms_err call_receive(int fd, struct call_answer *out)
{
	AUTO(call_memory_free) struct call_memory *m = NULL;

	TRY(memory_new(&m));
	kms_err e = receive_message(fd, MSG_DONTWAIT, m);
	if (e == KMS_OK)
		e = decode_answer(m, out);
	return e == KMS_E_BAD_FRAME || e == KMS_E_STOPPING ? KMS_E_HARDWARE_HELPER : e;
}
