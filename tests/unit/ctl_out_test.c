/* SPDX-License-Identifier: Apache-2.0 */
/* One object in its three forms: text, JSON, names. */
#include "kms/ctl/out.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct style as_text = { .json = false }, as_json = { .json = true },
                          as_names = { .quiet = true }, in_color = { .color = true };

/* The printed form, terminated; lives in `to`. */
static const char *print(struct out *o, const struct style *style, struct buf *to)
{
	assert_int_equal(out_print(o, style, to), KMS_OK);
	assert_int_equal(buf_put_u8(to, '\0'), KMS_OK);
	return (const char *)to->p;
}

static void fill(struct out *o)
{
	out_str(o, "key", "key", "rec");
	out_u64(o, "version", "active version", 2);
	out_bool(o, "sealed", NULL, false);
	out_str(o, NULL, "remark", "x");
	out_name(o, "rec");
}

static void text_is_aligned(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	fill(&o);
	assert_string_equal(print(&o, &as_text, &to),
	    "key             rec\nactive version  2\nremark          x\n");
}

static void json_is_one_line(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	fill(&o);
	assert_string_equal(
	    print(&o, &as_json, &to), "{\"key\":\"rec\",\"version\":2,\"sealed\":false}\n");
}

static void quiet_is_the_name(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	fill(&o);
	assert_string_equal(print(&o, &as_names, &to), "rec\n");
}

static void rows_make_a_table(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	out_table(&o, "keys");
	struct out *a = out_row(&o);
	out_str(a, "key", "KEY", "recordings");
	out_u64(a, "version", "VERSION", 12);
	struct out *b = out_row(&o);
	out_str(b, "key", "KEY", "");
	out_u64(b, "version", "VERSION", 1);
	assert_string_equal(
	    print(&o, &as_text, &to), "KEY         VERSION\nrecordings  12\n-           1\n");
}

static void rows_are_a_list(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	out_table(&o, "keys");
	out_str(out_row(&o), "key", "KEY", "a");
	out_str(out_row(&o), "key", "KEY", "b");
	assert_string_equal(
	    print(&o, &as_json, &to), "{\"keys\":[{\"key\":\"a\"},{\"key\":\"b\"}]}\n");
}

static void an_empty_table_is_an_empty_list(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 }, text = { .n = 0 };

	(void)state;
	out_table(&o, "keys");
	assert_string_equal(print(&o, &as_json, &json), "{\"keys\":[]}\n");
	assert_string_equal(print(&o, &as_text, &text), "");
}

static void secrets_stand_in_json_alone(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 }, text = { .n = 0 };

	(void)state;
	out_str(&o, "key", "key", "rec");
	out_secret(&o, "plaintext", bytes_of_str("foobar"));
	assert_string_equal(
	    print(&o, &as_json, &json), "{\"key\":\"rec\",\"plaintext\":\"Zm9vYmFy\"}\n");
	assert_string_equal(print(&o, &as_text, &text), "key  rec\n");
}

static void a_secret_alone_is_an_object(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 };

	(void)state;
	out_secret(&o, "random", bytes_of_str("foo"));
	assert_string_equal(print(&o, &as_json, &json), "{\"random\":\"Zm9v\"}\n");
}

static void secret_words_stand_in_json_alone(void **state)
{
	static const char *const words[] = { "KMS1QQ", "KMS1PP" };
	AUTO(out_done) struct out o = { .field_n = 0 }, none = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 }, text = { .n = 0 }, empty = { .n = 0 };

	(void)state;
	out_str(&o, "key", "key", "rec");
	out_secret_words(&o, "shares", words, 2);
	assert_string_equal(
	    print(&o, &as_json, &json), "{\"key\":\"rec\",\"shares\":[\"KMS1QQ\",\"KMS1PP\"]}\n");
	assert_string_equal(print(&o, &as_text, &text), "key  rec\n");
	out_secret_words(&none, "shares", NULL, 0);
	assert_string_equal(print(&none, &as_json, &empty), "{\"shares\":[]}\n");
}

static void words_that_need_escapes_are_refused(void **state)
{
	static const char *const wrong[] = { "", "a\"b", "a b", "a\n", "\xc3\xa4" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		AUTO(out_done) struct out o = { .field_n = 0 };
		AUTO(buf_done) struct buf to = { .n = 0 };

		out_secret_words(&o, "shares", &wrong[i], 1);
		assert_int_equal(out_print(&o, &as_json, &to), KMS_E_BAD_ANSWER);
		assert_int_equal(to.n, 0);
	}
}

static void a_child_is_an_object(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 };

	(void)state;
	out_str(out_child(&o, "error"), "code", NULL, "sealed");
	assert_string_equal(print(&o, &as_json, &json), "{\"error\":{\"code\":\"sealed\"}}\n");
}

static void bare_lines_are_all_of_the_text(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };

	(void)state;
	out_str(&o, "key", "key", "rec");
	out_bare_base64(&o, bytes_of_str("foo"));
	assert_string_equal(print(&o, &as_text, &text), "Zm9v\n");
}

static void colors_only_where_they_are_wanted(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf plain = { .n = 0 }, painted = { .n = 0 };

	(void)state;
	out_str(&o, "state", "state", "active");
	out_paint(&o, OUT_GREEN);
	assert_string_equal(print(&o, &as_text, &plain), "state  active\n");
	assert_string_equal(print(&o, &in_color, &painted), "state  \x1b[32mactive\x1b[0m\n");
}

static void contexts_are_maps(void **state)
{
	const struct kms_pair pairs[] = { kms_pair_of("call", "1"), kms_pair_of("who", "a b") };
	const struct kms_context context = { .pairs = pairs, .n = 2 };
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 }, text = { .n = 0 };

	(void)state;
	out_context(&o, "context", "context", &context);
	assert_string_equal(
	    print(&o, &as_json, &json), "{\"context\":{\"call\":\"1\",\"who\":\"a b\"}}\n");
	assert_string_equal(print(&o, &as_text, &text), "context  call=1 who=a b\n");
}

static void harmful_values_are_escaped(void **state)
{
	static const char evil[] = "\x1b]0;x\a\n\xe2\x80\xae\xff\"\\";
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 }, text = { .n = 0 };

	(void)state;
	out_str(&o, "subject", "subject", evil);
	out_name(&o, evil);
	const char *shown = print(&o, &as_text, &text);
	assert_null(strpbrk(shown, "\x1b\a"));
	assert_null(strstr(shown, "\xe2\x80\xae"));
	assert_ptr_equal(strchr(shown, '\n'), shown + strlen(shown) - 1);

	const char *line = print(&o, &as_json, &json);
	assert_null(strpbrk(line, "\x1b\a"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	struct json_object *back = json_tokener_parse(line);
	assert_non_null(back);
	assert_string_equal(json_object_get_string(json_object_object_get(back, "subject")),
	    "\x1b]0;x\a\n\xe2\x80\xae\xef\xbf\xbd\"\\");
	(void)json_object_put(back);
}

static void a_harmful_name_is_escaped(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };

	(void)state;
	out_name(&o, "a\nb");
	assert_string_equal(print(&o, &as_names, &text), "a\\u{a}b\n");
}

static void harmful_pairs_are_escaped(void **state)
{
	const struct kms_pair pair = kms_pair_of("a\x1b", "b\n");
	const struct kms_context context = { .pairs = &pair, .n = 1 };
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };

	(void)state;
	out_context(&o, "context", "context", &context);
	assert_string_equal(print(&o, &as_text, &text), "context  a\\u{1b}=b\\u{a}\n");
}

static void large_numbers_stay_exact(void **state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf json = { .n = 0 };

	(void)state;
	out_u64(&o, "n", NULL, UINT64_MAX);
	assert_string_equal(print(&o, &as_json, &json), "{\"n\":18446744073709551615}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_aligned),
		cmocka_unit_test(json_is_one_line),
		cmocka_unit_test(quiet_is_the_name),
		cmocka_unit_test(rows_make_a_table),
		cmocka_unit_test(rows_are_a_list),
		cmocka_unit_test(an_empty_table_is_an_empty_list),
		cmocka_unit_test(secrets_stand_in_json_alone),
		cmocka_unit_test(a_secret_alone_is_an_object),
		cmocka_unit_test(secret_words_stand_in_json_alone),
		cmocka_unit_test(words_that_need_escapes_are_refused),
		cmocka_unit_test(a_child_is_an_object),
		cmocka_unit_test(bare_lines_are_all_of_the_text),
		cmocka_unit_test(colors_only_where_they_are_wanted),
		cmocka_unit_test(contexts_are_maps),
		cmocka_unit_test(harmful_values_are_escaped),
		cmocka_unit_test(a_harmful_name_is_escaped),
		cmocka_unit_test(harmful_pairs_are_escaped),
		cmocka_unit_test(large_numbers_stay_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
