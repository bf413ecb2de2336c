/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three macros that every file uses, the invariant check, and the one error type.
 * TRY passes a failure up, AUTO frees an owner when its scope ends, MOVE hands an owner on.
 * Floor 0: libc only.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/base/err.h"

#define MUST_USE     __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Declares an owner: `AUTO(buf_free) struct buf *b = NULL;`. `f` takes a pointer to the variable. */
#define AUTO(f) __attribute__((cleanup(f)))

/* Returns the failure of `call` to our caller. Only a kms_err is accepted, by both compilers. */
#define TRY(call)                                                                                  \
	do {                                                                                       \
		__typeof__(call) try_e_ = (call);                                                  \
		static_assert(__builtin_types_compatible_p(__typeof__(try_e_), kms_err),           \
		    "TRY takes a kms_err");                                                        \
		if (try_e_ != KMS_OK)                                                              \
			return try_e_;                                                             \
	} while (0)

/* Takes the pointer out of an owner and leaves NULL there. */
#define MOVE(p)                                                                                    \
	__extension__({                                                                            \
		__typeof__(p) *move_p_ = &(p);                                                     \
		__typeof__(p) move_v_ = *move_p_;                                                  \
		*move_p_ = NULL;                                                                   \
		move_v_;                                                                           \
	})

/* An invariant of our own. Nothing that a peer sends can reach a failing CHECK. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

/* Prints the place to stderr, without any data, and aborts. */
_Noreturn void check_failed(const char *what, const char *file, int line);
