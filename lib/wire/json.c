#include "wire/json.h"

#include <errno.h>

#include "base/text.h"
#include "wire/json_priv.h"

/*
 * The checker and the cursor.  The scanners take the place p and the end, and give the place behind
 * what they read, or NULL when it is not there.
 */

static bool
hex4(const char *p, uint32_t *ret_code)
{
	uint32_t code = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i], low = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			code = code << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			code = code << 4 | (uint32_t)(low - 'a' + 10);
		else
			return false;
	}
	*ret_code = code;
	return true;
}

size_t
mgr_json_escape(const char *p, size_t n, uint32_t *ret_code)
{
	static const char letters[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
	uint32_t high, low;

	if (n < 2 || p[0] != '\\' || p[1] == '\0')
		return 0;
	const char *letter = strchr(letters, p[1]);
	if (letter != NULL) {
		*ret_code = (uint32_t)codes[letter - letters];
		return 2;
	}
	if (p[1] != 'u' || n < 6 || !hex4(p + 2, &high) || (high >= 0xdc00 && high <= 0xdfff))
		return 0;
	if (high < 0xd800 || high > 0xdfff) {
		*ret_code = high;
		return 6;
	}
	if (n < 12 || p[6] != '\\' || p[7] != 'u' || !hex4(p + 8, &low) || low < 0xdc00 || low > 0xdfff)
		return 0;
	*ret_code = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
	return 12;
}

static const char *
space(const char *p, const char *end)
{
	while (p < end && mgr_json_is_space(*p))
		p++;
	return p;
}

static const char *
string(const char *p, const char *end)
{
	if (p == end || *p != '"')
		return NULL;
	for (p++;;) {
		size_t len;
		uint32_t code;

		p += mgr_json_plain_n(p, (size_t)(end - p));
		if (p == end)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p == '\\')
			len = mgr_json_escape(p, (size_t)(end - p), &code);
		else
			len = (unsigned char)*p < 0x20 ? 0 : mgr_text_utf8(p, (size_t)(end - p));
		if (len == 0)
			return NULL;
		p += len;
	}
}

static const char *
digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > start ? p : NULL;
}

static const char *
number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if ((p = digits(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = digits(p + 1, end)) == NULL)
		return NULL;
	if (p == end || (*p != 'e' && *p != 'E'))
		return p;
	p++;
	if (p < end && (*p == '+' || *p == '-'))
		p++;
	return digits(p, end);
}

static const char *
word(const char *p, const char *end, const char *text, size_t n)
{
	return (size_t)(end - p) >= n && memcmp(p, text, n) == 0 ? p + n : NULL;
}

static const char *
scalar(const char *p, const char *end)
{
	if (p == end)
		return NULL;
	switch (*p) {
	case '"':
		return string(p, end);
	case 't':
		return word(p, end, "true", 4);
	case 'f':
		return word(p, end, "false", 5);
	case 'n':
		return word(p, end, "null", 4);
	default:
		return number(p, end);
	}
}

/* A member's key with its colon. */
static const char *
key(const char *p, const char *end)
{
	p = string(p, end);
	if (p == NULL)
		return NULL;
	p = space(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

/* The containers that are open: the lowest bit is the innermost, 1 for an object. */
struct open {
	uint64_t is_object;
	unsigned depth;
};

_Static_assert(MGR_JSON_DEPTH_MAX <= 64, "one bit per open container");

/*
 * Goes from the start of a value to the start of the next one, at most one scalar or opening
 * bracket further; *ret_done when the outermost value has ended.
 */
static const char *
next_value(const char *p, const char *end, struct open *open, bool *ret_done)
{
	bool entered = p < end && (*p == '{' || *p == '[');

	if (entered) {
		if (open->depth == MGR_JSON_DEPTH_MAX)
			return NULL;
		open->depth++;
		open->is_object = open->is_object << 1 | (*p == '{');
		p++;
	} else if ((p = scalar(p, end)) == NULL) {
		return NULL;
	}
	while (open->depth > 0) {
		bool is_object = open->is_object & 1;

		p = space(p, end);
		if (p == end)
			return NULL;
		if (*p == (is_object ? '}' : ']')) {
			open->depth--;
			open->is_object >>= 1;
			entered = false;
			p++;
			continue;
		}
		if (!entered && *p++ != ',')
			return NULL;
		p = space(p, end);
		return is_object ? key(p, end) : p;
	}
	*ret_done = true;
	return p;
}

int
mgr_json_check(const char *p, size_t n)
{
	struct open open = {0};
	bool done = false;

	if (n == 0)
		return -EINVAL;
	const char *end = p + n;
	while (!done) {
		p = next_value(space(p, end), end, &open, &done);
		if (p == NULL)
			return -EINVAL;
	}
	return space(p, end) == end ? 0 : -EINVAL;
}

static enum mgr_json_type
type_of(char c)
{
	switch (c) {
	case '{':
		return MGR_JSON_OBJECT;
	case '[':
		return MGR_JSON_ARRAY;
	case '"':
		return MGR_JSON_STRING;
	case 't':
	case 'f':
		return MGR_JSON_BOOL;
	case 'n':
		return MGR_JSON_NULL;
	default:
		return MGR_JSON_NUMBER;
	}
}

struct mgr_json
mgr_json_root(const char *p, size_t n)
{
	if (n == 0)
		return (struct mgr_json){0};
	const char *end = p + n;
	p = space(p, end);
	while (end > p && mgr_json_is_space(end[-1]))
		end--;
	if (p == end)
		return (struct mgr_json){0};
	return (struct mgr_json){type_of(*p), p, (size_t)(end - p)};
}

/* The skippers trust the grammar, which was checked, but never the end. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end;) {
		p += mgr_json_plain_n(p, (size_t)(end - p));
		if (p == end)
			break;
		if (*p == '"')
			return p + 1;
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	}
	return end;
}

static const char *
skip_container(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = skip_string(p, end);
			continue;
		}
		p++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
	}
	return p;
}

static const char *
skip_value(const char *p, const char *end)
{
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_container(p, end);
	while (p < end && *p != ',' && !mgr_json_is_space(*p))
		p++;
	return p;
}

/* The value behind white space and the one separator that may stand before it. */
static bool
take_value(struct mgr_json_iter *it, char separator, struct mgr_json *ret_value)
{
	const char *p = space(it->p, it->end);

	if (p < it->end && *p == separator)
		p = space(p + 1, it->end);
	if (p >= it->end)
		return false;
	it->p = skip_value(p, it->end);
	*ret_value = (struct mgr_json){type_of(*p), p, (size_t)(it->p - p)};
	return true;
}

void
mgr_json_iter_init(struct mgr_json_iter *it, const struct mgr_json *of)
{
	*it = (struct mgr_json_iter){0};
	if ((of->type != MGR_JSON_OBJECT && of->type != MGR_JSON_ARRAY) || of->n < 2)
		return;
	it->p = of->p + 1;
	it->end = of->p + of->n - 1;
}

bool
mgr_json_next(struct mgr_json_iter *it, struct mgr_json *ret_key, struct mgr_json *ret_value)
{
	struct mgr_json name = {0}, value;

	if (it->p == it->end)
		return false;
	/* The end is the closing bracket, and tells what it closes. */
	if (*it->end == '}' && !take_value(it, ',', &name))
		return false;
	if (!take_value(it, *it->end == '}' ? ':' : ',', &value))
		return false;
	if (ret_key != NULL)
		*ret_key = name;
	*ret_value = value;
	return true;
}

bool
mgr_json_get(const struct mgr_json *object, const char *name, struct mgr_json *ret_value)
{
	struct mgr_json_iter it;
	struct mgr_json member, value;
	bool found = false;

	if (object->type != MGR_JSON_OBJECT)
		return false;
	mgr_json_iter_init(&it, object);
	while (mgr_json_next(&it, &member, &value)) {
		if (!mgr_json_is(&member, name))
			continue;
		*ret_value = value;
		found = true;
	}
	return found;
}
