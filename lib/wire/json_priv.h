/*
 * What the files of the JSON codec share: the fast look for the end of a plain run, and the reader of
 * one escape.
 */
#ifndef MGR_WIRE_JSON_PRIV_H
#define MGR_WIRE_JSON_PRIV_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool
mgr_json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool
mgr_json_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/*
 * The top bit of each byte that is a control, a quote, a backslash or not ASCII.  A borrow can mark
 * a byte wrongly, but only one above a byte that is marked rightly: the lowest mark is exact.
 */
static inline uint64_t
mgr_json_marks(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t control = word - ones * 0x20;
	uint64_t quote = (word ^ ones * '"') - ones;
	uint64_t slash = (word ^ ones * '\\') - ones;

	return (word | control | quote | slash) & ones * 0x80;
}

/* How many bytes at p stand for themselves in a JSON string and are ASCII. */
static inline size_t
mgr_json_plain_n(const char *p, size_t n)
{
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		uint64_t word;
		memcpy(&word, p + i, sizeof(word));
		word = mgr_json_marks(le64toh(word));
		if (word != 0)
			return i + (size_t)__builtin_ctzll(word) / 8;
	}
	while (i < n && mgr_json_is_plain((unsigned char)p[i]))
		i++;
	return i;
}

/* Reads the escape at p ('\\' first; a surrogate pair is one): its length and code, or 0. */
size_t mgr_json_escape(const char *p, size_t n, uint32_t *ret_code);

#endif
