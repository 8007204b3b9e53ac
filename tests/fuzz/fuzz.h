/*
 * What the fuzz targets share: the entry that libFuzzer (or fuzz_main.c) calls, and choices that
 * depend on the input alone, so that each finding can be repeated.
 */
#ifndef MGR_TESTS_FUZZ_H
#define MGR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* FNV-1a, never 0. */
static inline uint64_t
fuzz_seed(const uint8_t *data, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ data[i]) * UINT64_C(0x100000001b3);
	return h | 1;
}

/* xorshift64 */
static inline uint64_t
fuzz_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A copy in memory of exactly that size; the caller frees it. */
static inline char *
fuzz_copy(const char *p, size_t n)
{
	char *copy = calloc(n > 0 ? n : 1, 1);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

#endif
