/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: every operation against every kind of asker, written down a second time as a
 * table, and that whatever isn't in it is denied.
 */
#include "kms/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	OWNER = 1000,
	ADMIN_GID = 500,
	SELF = 990,
	STRANGER = 2000,
	OP_ROOM = 64 /* numbers that are tried, known or not */
};

static uint32_t admin_groups[] = { 7, ADMIN_GID }, other_groups[] = { 7, 8 };

static const struct identity nobody = { .kind = IDENTITY_NONE, .uid = OWNER, .gid = ADMIN_GID };
static const struct identity owner = { .kind = IDENTITY_UNIX, .uid = OWNER, .gid = OWNER };
static const struct identity primary = { .kind = IDENTITY_UNIX, .uid = STRANGER, .gid = ADMIN_GID };
static const struct identity member = {
	.kind = IDENTITY_UNIX, .uid = STRANGER, .gid = STRANGER, .gids = admin_groups, .gid_n = 2
};
static const struct identity stranger = {
	.kind = IDENTITY_UNIX, .uid = STRANGER, .gid = STRANGER, .gids = other_groups, .gid_n = 2
};
static const struct identity super = { .kind = IDENTITY_UNIX, .uid = 0, .gid = 0 };
static const struct identity self = { .kind = IDENTITY_UNIX, .uid = SELF, .gid = SELF };

static const struct policy usual = {
	.owner_uid = OWNER,
	.admin_gid = ADMIN_GID,
	.self_uid = SELF,
	.owner_known = true,
	.admin_known = true,
	.initialised = true,
};
/* Before `init`: no owner yet. */
static const struct policy fresh = {
	.admin_gid = ADMIN_GID, .self_uid = SELF, .admin_known = true
};

/*
 * What each operation takes: '.' nobody, 'a' anybody we know, 'm' an administrator or, before
 * init, root and the service's own user. Each has its place by number.
 */
static const char takes[OP_ROOM + 1] =
    ".aammmmmm."      /* 0: none status whoami metrics init unseal seal slot_list slot_check */
    "mmmmmmmmmm"      /* 10: the ten of keys */
    "mmmmmm...."      /* 20: issue wrap unwrap rewrap mac random */
    "m........."      /* 30: audit_read */
    "....mmmmmm"      /* 40: the keeper's own acts; slots, the root, backups */
    "mmm..........."; /* 50: backups, key_prove; and what nobody knows */

static struct verdict decide(const struct policy *p, const struct identity *who, unsigned op)
{
	const struct ask ask = { .identity = who, .op = (enum op)op };

	return policy_decide(p, &ask);
}

static void expect(struct verdict v, const char *missing)
{
	assert_int_equal(v.allowed, missing[0] == '\0');
	assert_string_equal(v.missing, missing);
}

static void administrators_may_what_the_table_says(void **state)
{
	static const struct identity *const admins[] = { &owner, &primary, &member };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(admins); i++) {
		for (unsigned op = 0; op < OP_ROOM; op++)
			expect(decide(&usual, admins[i], op), takes[op] == '.' ? "operation" : "");
	}
}

static void others_may_only_look(void **state)
{
	static const struct identity *const others[] = { &stranger, &super, &self };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		for (unsigned op = 0; op < OP_ROOM; op++) {
			const char *missing = takes[op] == '.'   ? "operation"
			                      : takes[op] == 'a' ? ""
			                                         : "admin";
			expect(decide(&usual, others[i], op), missing);
		}
	}
}

static void before_init_root_and_the_service_may_begin(void **state)
{
	static const struct identity *const beginners[] = { &super, &self };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(beginners); i++) {
		for (unsigned op = 0; op < OP_ROOM; op++)
			expect(
			    decide(&fresh, beginners[i], op), takes[op] == '.' ? "operation" : "");
	}
	expect(decide(&fresh, &member, OP_INIT), "");
	expect(decide(&fresh, &stranger, OP_INIT), "admin");
	expect(decide(&fresh, &owner, OP_INIT), "admin");
}

static void nobody_may_nothing(void **state)
{
	(void)state;
	for (unsigned op = 0; op < OP_ROOM; op++) {
		expect(decide(&usual, &nobody, op), "identity");
		expect(decide(&fresh, &nobody, op), "identity");
	}
}

/* Whoever speaks for somebody else is refused, administrator or not, whatever it is. */
static void speaking_for_others_is_refused(void **state)
{
	static const struct identity *const all[] = { &owner, &member, &stranger, &super, &self };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (unsigned op = 0; op < OP_ROOM; op++) {
			struct ask ask = { .identity = all[i], .op = (enum op)op };
			ask.asserted = bytes_of_str("unix:0");
			expect(policy_decide(&usual, &ask), "assert");
			expect(policy_decide(&fresh, &ask), "assert");
		}
	}
}

static void unknown_operations_are_nobodys(void **state)
{
	static const int numbers[] = { -1, OP_COUNT, OP_COUNT + 1, 1 << 16, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		expect(decide(&usual, &owner, (unsigned)numbers[i]), "operation");
}

/* Zeros in the rules are not root's and not the first group's. */
static void unknown_rules_grant_nothing(void **state)
{
	const struct policy none = { .initialised = true };

	(void)state;
	assert_false(policy_is_admin(&none, &super));
	for (unsigned op = 0; op < OP_ROOM; op++) {
		const char *missing = takes[op] == '.'   ? "operation"
		                      : takes[op] == 'a' ? ""
		                                         : "admin";
		expect(decide(&none, &super, op), missing);
	}
}

static void who_is_an_administrator(void **state)
{
	struct policy p = usual;

	(void)state;
	assert_true(policy_is_admin(&p, &owner));
	assert_true(policy_is_admin(&p, &primary));
	assert_true(policy_is_admin(&p, &member));
	assert_false(policy_is_admin(&p, &stranger));
	assert_false(policy_is_admin(&p, &super));
	assert_false(policy_is_admin(&p, &self));
	assert_false(policy_is_admin(&p, &nobody));
	p.admin_known = false;
	assert_true(policy_is_admin(&p, &owner));
	assert_false(policy_is_admin(&p, &member));
	p = usual;
	p.owner_known = false;
	assert_false(policy_is_admin(&p, &owner));
	assert_true(policy_is_admin(&p, &member));
}

/* Today's rule looks at none of these; they must not open anything either. */
static void nothing_else_opens_a_door(void **state)
{
	struct ask ask = { .identity = &stranger,
		.op = OP_UNWRAP,
		.key = bytes_of_str("k"),
		.key_class = bytes_of_str("calls"),
		.subject = bytes_of_str("unix:1000"),
		.purpose = bytes_of_str("admin"),
		.time_us = 1 };

	(void)state;
	expect(policy_decide(&usual, &ask), "admin");
	ask.identity = &owner;
	expect(policy_decide(&usual, &ask), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(administrators_may_what_the_table_says),
		cmocka_unit_test(others_may_only_look),
		cmocka_unit_test(before_init_root_and_the_service_may_begin),
		cmocka_unit_test(nobody_may_nothing),
		cmocka_unit_test(speaking_for_others_is_refused),
		cmocka_unit_test(unknown_operations_are_nobodys),
		cmocka_unit_test(unknown_rules_grant_nothing),
		cmocka_unit_test(who_is_an_administrator),
		cmocka_unit_test(nothing_else_opens_a_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
