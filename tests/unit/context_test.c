/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form of a context: known bytes, its limits, that order doesn't matter, that no two
 * maps give the same bytes, and that nothing but the canonical form is read back.
 */
#include "kms/keys/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/damage.h"
#include "tests/unit/dice.h"

#define PAIR(name, value)                                                                          \
	{                                                                                          \
		bytes_of_str(name), bytes_of_str(value)                                            \
	}

struct canon {
	uint8_t b[CONTEXT_CANON_MAX];
	size_t n;
};

static struct canon encode(const struct context_pair *pairs, size_t n)
{
	struct canon c;

	assert_int_equal(context_encode(pairs, n, c.b, &c.n), KMS_OK);
	return c;
}

static struct bytes canon_bytes(const struct canon *c)
{
	return bytes_of(c->b, c->n);
}

static void is_refused(const struct context_pair *pairs, size_t n)
{
	struct canon c;

	assert_int_equal(context_encode(pairs, n, c.b, &c.n), KMS_E_BAD_CONTEXT);
}

static void the_bytes_are_known(void **state)
{
	static const uint8_t expected[] = "\x02"
	                                  "\x04"
	                                  "call"
	                                  "\x03\x00"
	                                  "123"
	                                  "\x06"
	                                  "tenant"
	                                  "\x00\x00";
	const struct context_pair pairs[] = { PAIR("tenant", ""), PAIR("call", "123") };
	struct canon c = encode(pairs, 2);

	(void)state;
	assert_int_equal(c.n, sizeof(expected) - 1);
	assert_memory_equal(c.b, expected, c.n);
}

static void the_empty_map_is_one_zero(void **state)
{
	struct canon c = encode(NULL, 0);
	struct context_pair out[CONTEXT_MAX_PAIRS];
	size_t n = 99;

	(void)state;
	assert_int_equal(c.n, 1);
	assert_int_equal(c.b[0], 0);
	assert_int_equal(context_decode(canon_bytes(&c), out, &n), KMS_OK);
	assert_int_equal(n, 0);
}

/* The largest map there can be: 16 pairs of 64 and 256 bytes. */
static void the_largest_map_fits(void **state)
{
	static uint8_t names[CONTEXT_MAX_PAIRS][CONTEXT_NAME_MAX], value[CONTEXT_VALUE_MAX];
	struct context_pair pairs[CONTEXT_MAX_PAIRS], out[CONTEXT_MAX_PAIRS];
	size_t n;

	(void)state;
	for (size_t i = 0; i < CONTEXT_MAX_PAIRS; i++) {
		memset(names[i], 'n', CONTEXT_NAME_MAX);
		names[i][CONTEXT_NAME_MAX - 1] = (uint8_t)('a' + i);
		pairs[i].name = bytes_of(names[i], CONTEXT_NAME_MAX);
		pairs[i].value = bytes_of(value, CONTEXT_VALUE_MAX);
	}
	struct canon c = encode(pairs, CONTEXT_MAX_PAIRS);
	assert_int_equal(c.n, CONTEXT_CANON_MAX);
	assert_int_equal(context_decode(canon_bytes(&c), out, &n), KMS_OK);
	assert_int_equal(n, CONTEXT_MAX_PAIRS);
}

static void limits_are_kept(void **state)
{
	static const uint8_t letters[CONTEXT_VALUE_MAX + 1] = "x";
	static char long_name[CONTEXT_NAME_MAX + 2];
	struct context_pair many[CONTEXT_MAX_PAIRS + 1];
	char names[CONTEXT_MAX_PAIRS + 1][2] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		names[i][0] = (char)('a' + i);
		many[i] = (struct context_pair)PAIR(names[i], "v");
	}
	(void)encode(many, CONTEXT_MAX_PAIRS);
	is_refused(many, CONTEXT_MAX_PAIRS + 1);

	memset(long_name, 'n', CONTEXT_NAME_MAX + 1);
	is_refused(&(const struct context_pair)PAIR(long_name, "v"), 1);
	long_name[CONTEXT_NAME_MAX] = '\0';
	(void)encode(&(const struct context_pair)PAIR(long_name, "v"), 1);

	struct context_pair pair = { bytes_of_str("n"), bytes_of(letters, sizeof(letters)) };
	is_refused(&pair, 1);
	pair.value.n--;
	(void)encode(&pair, 1);
}

static void names_are_printable(void **state)
{
	(void)state;
	is_refused(&(const struct context_pair)PAIR("", "v"), 1);
	for (unsigned c = 0; c < 256; c++) {
		uint8_t name[] = { 'a', (uint8_t)c };
		const struct context_pair pair = { bytes_of(name, 2), bytes_of_str("v") };
		bool good = c >= ' ' && c <= '~' && c != '=' && c != ',';
		struct canon out;

		assert_int_equal(
		    context_encode(&pair, 1, out.b, &out.n), good ? KMS_OK : KMS_E_BAD_CONTEXT);
	}
}

static void a_name_twice_is_refused(void **state)
{
	const struct context_pair twice[] = { PAIR("b", "1"), PAIR("a", "2"), PAIR("b", "1") };

	(void)state;
	(void)encode(twice, 2);
	is_refused(twice, 3);
	is_refused((const struct context_pair[]){ PAIR("a", "1"), PAIR("a", "2") }, 2);
}

/* A name sorts behind its own beginning, and bytewise, not as a locale would have it. */
static void names_are_sorted_bytewise(void **state)
{
	static const char *const sorted[] = { "B", "a", "aa", "ab", "b" };
	const struct context_pair pairs[] = { PAIR("ab", ""), PAIR("b", ""), PAIR("aa", ""),
		PAIR("B", ""), PAIR("a", "") };
	struct context_pair out[CONTEXT_MAX_PAIRS];
	struct canon c = encode(pairs, ARRAY_LEN(pairs));
	size_t n;

	(void)state;
	assert_int_equal(context_decode(canon_bytes(&c), out, &n), KMS_OK);
	assert_int_equal(n, ARRAY_LEN(sorted));
	for (size_t i = 0; i < n; i++)
		assert_true(bytes_equal(out[i].name, bytes_of_str(sorted[i])));
}

/* ---- Random maps --------------------------------------------------------------------------- */

enum {
	NAME_ROOM = 3,
	VALUE_ROOM = 3,
	PAIRS_ROOM = 4
};

/* Small maps over a tiny alphabet, so that near misses are frequent. */
struct map {
	struct context_pair pairs[PAIRS_ROOM];
	size_t n;
	uint8_t names[PAIRS_ROOM][NAME_ROOM], values[PAIRS_ROOM][VALUE_ROOM];
};

static bool map_has(const struct map *m, struct bytes name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (bytes_equal(m->pairs[i].name, name))
			return true;
	}
	return false;
}

static void map_roll(struct dice *d, struct map *m)
{
	size_t want = dice_below(d, PAIRS_ROOM + 1);

	m->n = 0;
	for (size_t i = 0; i < want; i++) {
		size_t name_n = 1 + dice_below(d, NAME_ROOM),
		       value_n = dice_below(d, VALUE_ROOM + 1);
		for (size_t k = 0; k < name_n; k++)
			m->names[m->n][k] = (uint8_t)('a' + dice_below(d, 2));
		/* Values that look like lengths and counts. */
		for (size_t k = 0; k < value_n; k++)
			m->values[m->n][k] = (uint8_t)dice_below(d, 4);
		struct bytes name = bytes_of(m->names[m->n], name_n);
		if (map_has(m, name))
			continue;
		m->pairs[m->n].name = name;
		m->pairs[m->n].value = bytes_of(m->values[m->n], value_n);
		m->n++;
	}
}

static bool maps_equal(const struct map *a, const struct map *b)
{
	size_t same = 0;

	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < b->n; k++) {
			same += bytes_equal(a->pairs[i].name, b->pairs[k].name) &&
			        bytes_equal(a->pairs[i].value, b->pairs[k].value);
		}
	}
	return a->n == b->n && same == a->n;
}

static void no_two_maps_collide(void **state)
{
	struct dice d = dice_of(1);
	size_t equal = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		struct map a, b;

		map_roll(&d, &a);
		map_roll(&d, &b);
		struct canon x = encode(a.pairs, a.n), y = encode(b.pairs, b.n);
		bool same = maps_equal(&a, &b);
		assert_int_equal(bytes_equal(canon_bytes(&x), canon_bytes(&y)), same);
		equal += same;
	}
	assert_true(equal > 0);
}

static void order_does_not_matter(void **state)
{
	struct dice d = dice_of(2);

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct map m;

		map_roll(&d, &m);
		struct canon before = encode(m.pairs, m.n);
		for (size_t k = m.n; k > 1; k--) {
			size_t other = dice_below(&d, k);
			struct context_pair held = m.pairs[k - 1];
			m.pairs[k - 1] = m.pairs[other];
			m.pairs[other] = held;
		}
		struct canon after = encode(m.pairs, m.n);
		assert_true(bytes_equal(canon_bytes(&before), canon_bytes(&after)));
	}
}

/* ---- Reading back -------------------------------------------------------------------------- */

/* What is read back must be what would be written, byte for byte. */
static void reads_only_what_it_writes(struct bytes canon, size_t at, void *arg)
{
	struct context_pair out[CONTEXT_MAX_PAIRS];
	size_t n = 99;
	size_t *read = arg;

	(void)at;
	if (context_decode(canon, out, &n) != KMS_OK) {
		assert_int_equal(n, 99);
		return;
	}
	struct canon again = encode(out, n);
	assert_true(bytes_equal(canon_bytes(&again), canon));
	(*read)++;
}

static void is_not_read(struct bytes canon, size_t at, void *arg)
{
	struct context_pair out[CONTEXT_MAX_PAIRS];
	size_t n;

	(void)at;
	(void)arg;
	assert_int_equal(context_decode(canon, out, &n), KMS_E_BAD_CONTEXT);
}

static void random_maps_come_back(void **state)
{
	struct dice d = dice_of(3);
	size_t read = 0;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		struct map m;

		map_roll(&d, &m);
		struct canon c = encode(m.pairs, m.n);
		reads_only_what_it_writes(canon_bytes(&c), 0, &read);
		assert_int_equal(read, i + 1);
	}
}

static void every_cut_and_flip(void **state)
{
	const struct context_pair pairs[] = { PAIR("call", "2026-03-01"), PAIR("tenant", "acme"),
		PAIR("z", "") };
	struct canon c = encode(pairs, ARRAY_LEN(pairs));
	size_t read = 0;

	(void)state;
	damage_cuts(canon_bytes(&c), is_not_read, NULL);
	damage_longer(canon_bytes(&c), is_not_read, NULL);
	/* A flipped bit of a value or a name is another map, and is read as that one or not at all. */
	damage_flips(canon_bytes(&c), reads_only_what_it_writes, &read);
	assert_true(read > 0);
}

static void other_forms_are_refused(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} forms[] = {
		{ "\x02\x01"
		  "b\x00\x00\x01"
		  "a\x00\x00",
		    9 }, /* not in their order */
		{ "\x02\x01"
		  "a\x00\x00\x01"
		  "a\x00\x00",
		    9 },                    /* twice */
		{ "\x01\x00\x00\x00", 4 },  /* no name */
		{ "\x01\x01=\x00\x00", 5 }, /* not a name's letter */
		{ "\x11", 1 },              /* 17 pairs */
		{ "\x00\x00", 2 },          /* something behind the last */
		{ "\x01\x41", 2 },          /* a name of 65 bytes */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		uint8_t *p = damage_copy(bytes_of(forms[i].text, forms[i].n));
		is_not_read(bytes_of(p, forms[i].n), i, NULL);
		free(p);
	}
}

static void too_long_values_are_refused(void **state)
{
	uint8_t canon[5 + CONTEXT_VALUE_MAX + 1] = { 1, 1, 'a', 0x01, 0x01 };

	(void)state;
	is_not_read(bytes_of(canon, sizeof(canon)), 0, NULL);
	canon[3] = 0;
	size_t read = 0;
	reads_only_what_it_writes(bytes_of(canon, sizeof(canon) - 1), 0, &read);
	assert_int_equal(read, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_are_known),
		cmocka_unit_test(the_empty_map_is_one_zero),
		cmocka_unit_test(the_largest_map_fits),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(names_are_printable),
		cmocka_unit_test(a_name_twice_is_refused),
		cmocka_unit_test(names_are_sorted_bytewise),
		cmocka_unit_test(no_two_maps_collide),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(random_maps_come_back),
		cmocka_unit_test(every_cut_and_flip),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(too_long_values_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
