/*
 * TAP for unit tests in C: one header, one process, one line per check.  A main ends with
 * return done_testing(); which gives the exit code, 0 only if every check passed.
 */
#ifndef MGR_TESTS_TAP_H
#define MGR_TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned = -1;
static int tap_n;
static int tap_failed;

/* Says before the first check how many there will be; else done_testing counts them. */
static inline void
plan(int n)
{
	tap_planned = n;
	printf("1..%d\n", n);
	fflush(stdout);
}

/* The whole file is skipped, for this reason. */
_Noreturn static inline void
plan_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

__attribute__((format(printf, 2, 0))) static inline bool
tap_line(bool good, const char *format, va_list args)
{
	printf("%sok %d - ", good ? "" : "not ", ++tap_n);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	tap_failed += good ? 0 : 1;
	return good;
}

__attribute__((format(printf, 4, 5))) static inline bool
tap_ok(bool good, const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_line(good, format, args);
	va_end(args);
	if (!good)
		printf("# failed at %s:%d\n", file, line);
	return good;
}

__attribute__((format(printf, 5, 6))) static inline bool
tap_is_int(intmax_t got, intmax_t want, const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_line(got == want, format, args);
	va_end(args);
	if (got != want)
		printf("# failed at %s:%d: got %" PRIdMAX ", want %" PRIdMAX "\n", file, line,
			got, want);
	return got == want;
}

__attribute__((format(printf, 5, 6))) static inline bool
tap_is_str(const char *got, const char *want, const char *file, int line,
	const char *format, ...)
{
	bool same = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;
	va_list args;

	va_start(args, format);
	tap_line(same, format, args);
	va_end(args);
	if (!same)
		printf("# failed at %s:%d: got \"%s\", want \"%s\"\n", file, line,
			got != NULL ? got : "(null)", want != NULL ? want : "(null)");
	return same;
}

/* ok(condition, format, ...), is_int(got, want, format, ...), is_str(got, want, ...): each
 * gives whether it passed. */
#define ok(good, ...) tap_ok((good), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
	tap_is_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) \
	tap_is_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)

/* A check that cannot be made here. */
static inline void
skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_n, what, why);
	fflush(stdout);
}

/* Text for people. */
__attribute__((format(printf, 1, 2))) static inline void
diag(const char *format, ...)
{
	va_list args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* Nothing after this makes sense: the harness stops. */
_Noreturn static inline void
bail_out(const char *why)
{
	printf("Bail out! %s\n", why);
	fflush(stdout);
	exit(1);
}

/* How many times as long as usual the loops run: MGR_TEST_SCALE, 1 by default. */
static inline unsigned
test_scale(void)
{
	const char *text = getenv("MGR_TEST_SCALE");
	unsigned long n = text != NULL ? strtoul(text, NULL, 10) : 1;

	return n < 1 ? 1 : n > 100000 ? 100000 : (unsigned)n;
}

static inline int
done_testing(void)
{
	if (tap_planned < 0)
		printf("1..%d\n", tap_n);
	else if (tap_planned != tap_n)
		printf("# planned %d, ran %d\n", tap_planned, tap_n);
	fflush(stdout);
	return tap_failed != 0 || (tap_planned >= 0 && tap_planned != tap_n);
}

#endif
