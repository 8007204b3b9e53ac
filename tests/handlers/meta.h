/*
 * Looks up members in the META line of a frame without a JSON library.  A value is given
 * as it stands in the line, a string without its quotes and with its escapes, so that it
 * can be put into another JSON text unchanged.  Only well-formed JSON is promised to work.
 */
#ifndef MGR_HANDLERS_META_H
#define MGR_HANDLERS_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct meta_view {
	const char *p;
	size_t n;
};

static inline const char *
meta_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == ':' || *p == ','))
		p++;
	return p;
}

/* P is at the opening quote; gives the place behind the closing one. */
static inline const char *
meta_string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

static inline const char *
meta_value_end(const char *p, const char *end)
{
	int depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = meta_string_end(p, end);
			if (depth == 0)
				return p;
			continue;
		}
		if (depth == 0 && (*p == ',' || *p == '}' || *p == ']' || *p == '\n'))
			return p;
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		p++;
		if (depth == 0 && (p[-1] == '}' || p[-1] == ']'))
			return p;
	}
	return end;
}

/* Finds member KEY of the object OBJECT; false leaves *ret empty. */
static inline bool
meta_member(struct meta_view object, const char *key, struct meta_view *ret)
{
	const char *p = object.p, *end = object.p + object.n;
	size_t key_n = strlen(key);

	*ret = (struct meta_view){ "", 0 };
	if (object.n == 0 || *p != '{')
		return false;
	for (p = meta_space(p + 1, end); p < end && *p == '"'; p = meta_space(p, end)) {
		const char *name = p + 1, *name_end = meta_string_end(p, end) - 1, *value;

		value = meta_space(name_end + 1, end);
		p = meta_value_end(value, end);
		if ((size_t)(name_end - name) != key_n || memcmp(name, key, key_n) != 0)
			continue;
		if (value < end && *value == '"')
			*ret = (struct meta_view){ value + 1, (size_t)(p - value) - 2 };
		else
			*ret = (struct meta_view){ value, (size_t)(p - value) };
		return true;
	}
	return false;
}

/* Member KEY of the map MAP ("query", "headers", ...), or of META itself when MAP is NULL. */
static inline struct meta_view
meta_get(const char *meta, size_t meta_n, const char *map, const char *key)
{
	struct meta_view object = { meta, meta_n }, value = { "", 0 };

	if (map == NULL || meta_member(object, map, &object))
		meta_member(object, key, &value);
	return value;
}

static inline bool
meta_is(struct meta_view value, const char *text)
{
	return value.n == strlen(text) && memcmp(value.p, text, value.n) == 0;
}

static inline unsigned long
meta_number(struct meta_view value, unsigned long otherwise)
{
	char digits[21];

	if (value.n == 0 || value.n >= sizeof digits)
		return otherwise;
	memcpy(digits, value.p, value.n);
	digits[value.n] = '\0';
	return strtoul(digits, NULL, 10);
}

#endif
