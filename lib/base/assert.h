/*
 * Assertions about our own code.  They stay on in every build: a crash in the right place is
 * kinder than a wrong answer.  Never assert on input.
 */
#ifndef MGR_BASE_ASSERT_H
#define MGR_BASE_ASSERT_H

#include <stddef.h>

#define mgr_assert(x) ((x) ? (void)0 : mgr_assert_fail(#x, __FILE__, __LINE__))

/* Writes one line to stderr and aborts. */
_Noreturn void mgr_assert_fail(const char *what, const char *file, int line);

#define MGR_CONTAINER(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MGR_N(array) (sizeof(array) / sizeof((array)[0]))

#endif
