/* SPDX-License-Identifier: Apache-2.0 */
/* kms.h is for C++ as well: everything it defines is used once, against the shared library. */
#include <kms.h>

#include <cstdio>
#include <cstring>

static int count(void *user, const void *, size_t n)
{
	*static_cast<size_t *>(user) += n;
	return 0;
}

int main()
{
	const uint8_t key[32] = {}, wrapped[92] = { 1 };
	const kms_pair pair = kms_pair_of("call", "42");
	const kms_context context = { &pair, 1 };
	kms_options options = {};
	kms *c = nullptr;

	options.socket = "/nonexistent/kms.sock";
	if (pair.value.n != 2 || kms_connect(&options, &c) != KMS_CODE_UNAVAILABLE)
		return 1;
	if (std::strcmp(kms_last_error(c)->code, kms_code_name(KMS_CODE_UNAVAILABLE)) != 0)
		return 2;
	kms_opener opener = {};
	kms_result *r = nullptr;
	size_t n = 1;
	opener.shares_needed = 2;
	opener.shares_total = 3;
	if (kms_init(c, &opener, &r) != KMS_CODE_UNAVAILABLE)
		return 6;
	if (kms_result_shares(r, &n) != nullptr || n != 0)
		return 7;
	kms_close(&c);

	size_t written = 0;
	kms_envelope_key with = {};
	with.key = "rec";
	with.wrapped = kms_bytes_of(wrapped, sizeof(wrapped));
	with.plaintext = kms_bytes_of(key, sizeof(key));
	with.context = &context;
	const kms_sink sink = { count, &written };
	kms_writer *w = nullptr;
	kms_error error;
	if (kms_writer_open(&with, &sink, &w, &error) != KMS_CODE_OK)
		return 3;
	if (kms_writer_finish(w, &error) != KMS_CODE_OK)
		return 4;
	kms_writer_free(&w);
	return written > 0 && w == nullptr && c == nullptr ? 0 : 5;
}
