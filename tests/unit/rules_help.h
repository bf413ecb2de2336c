/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of policies: rules made of text, the line of a grant or role, files of the tree. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kms/policy/parse.h"

static inline struct rules *rules_of(const char *text)
{
	struct rules *r = NULL;
	struct parse_error error;

	kms_err e = rules_parse(bytes_of_str(text), &r, &error);
	if (e != KMS_OK)
		print_error("%u:%u: %s\n", error.line, error.column, error.text);
	assert_int_equal(e, KMS_OK);
	return r;
}

/* A file of the source tree, terminated; to be freed. */
static inline char *read_source(const char *path)
{
	char full[512];
	(void)snprintf(full, sizeof(full), "%s/%s", KMS_SOURCE_DIR, path);
	FILE *f = fopen(full, "r");
	assert_non_null(f);
	char *text = calloc(1, RULES_TEXT_MAX + 1);
	assert_non_null(text);
	assert_true(fread(text, 1, RULES_TEXT_MAX, f) > 0);
	assert_int_equal(fclose(f), 0);
	return text;
}
