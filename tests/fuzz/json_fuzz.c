/*
 * The JSON codec: the checker against a second, slow one; the compact form and the writers always
 * pass the checker and keep the meaning; the cursor stays inside the document.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/auto.h"
#include "base/text.h"
#include "fuzz.h"
#include "wire/json.h"

/* The grammar of RFC 8259 again, as plainly as it can be said: the place behind, or NULL. */
static const char *slow_value(const char *p, const char *end, int depth);

static const char *
slow_space(const char *p, const char *end)
{
	while (p < end && memchr(" \t\r\n", *p, 4) != NULL)
		p++;
	return p;
}

static long
slow_hex(const char *p, const char *end)
{
	char text[5] = {0};

	if (end - p < 4)
		return -1;
	memcpy(text, p, 4);
	return strspn(text, "0123456789abcdefABCDEF") == 4 ? strtol(text, NULL, 16) : -1;
}

static const char *
slow_escape(const char *p, const char *end)
{
	if (p < end && *p != '\0' && strchr("\"\\/bfnrt", *p) != NULL)
		return p + 1;
	if (p == end || *p != 'u')
		return NULL;
	long code = slow_hex(p + 1, end);
	if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
		return NULL;
	if (code < 0xd800 || code > 0xdfff)
		return p + 5;
	if (end - p < 11 || p[5] != '\\' || p[6] != 'u')
		return NULL;
	code = slow_hex(p + 7, end);
	return code >= 0xdc00 && code <= 0xdfff ? p + 11 : NULL;
}

static const char *
slow_string(const char *p, const char *end)
{
	if (p == end || *p++ != '"')
		return NULL;
	while (p != NULL && p < end && *p != '"') {
		size_t len = mgr_text_utf8(p, (size_t)(end - p));

		if ((unsigned char)*p < 0x20 || len == 0)
			return NULL;
		p = *p == '\\' ? slow_escape(p + 1, end) : p + len;
	}
	return p != NULL && p < end ? p + 1 : NULL;
}

static const char *
slow_number(const char *p, const char *end)
{
	char text[400] = {0};
	size_t n = (size_t)(end - p) < sizeof(text) - 1 ? (size_t)(end - p) : sizeof(text) - 1, i = 0, k;

	memcpy(text, p, n);
	i += text[i] == '-';
	k = strspn(text + i, "0123456789");
	if (k == 0)
		return NULL;
	i += text[i] == '0' ? 1 : k;
	if (text[i] == '.') {
		k = strspn(text + i + 1, "0123456789");
		if (k == 0)
			return NULL;
		i += 1 + k;
	}
	if (text[i] == 'e' || text[i] == 'E') {
		i++;
		i += text[i] == '+' || text[i] == '-';
		k = strspn(text + i, "0123456789");
		if (k == 0)
			return NULL;
		i += k;
	}
	return p + i;
}

static const char *
slow_list(const char *p, const char *end, int depth, char close)
{
	if (depth > MGR_JSON_DEPTH_MAX)
		return NULL;
	p = slow_space(p, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		p = slow_space(p, end);
		if (close == '}') {
			p = slow_string(p, end);
			p = p != NULL ? slow_space(p, end) : NULL;
			if (p == NULL || p == end || *p++ != ':')
				return NULL;
			p = slow_space(p, end);
		}
		p = slow_value(p, end, depth);
		p = p != NULL ? slow_space(p, end) : NULL;
		if (p == NULL || p == end || (*p != ',' && *p != close))
			return NULL;
		if (*p++ == close)
			return p;
	}
}

static const char *
slow_value(const char *p, const char *end, int depth)
{
	static const char *const words[] = {"true", "false", "null"};

	if (p == end)
		return NULL;
	if (*p == '{' || *p == '[')
		return slow_list(p + 1, end, depth + 1, *p == '{' ? '}' : ']');
	if (*p == '"')
		return slow_string(p, end);
	for (size_t i = 0; i < MGR_N(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
			return p + n;
	}
	return slow_number(p, end);
}

static int
slow_check(const char *p, size_t n)
{
	const char *end = p + n;

	p = slow_value(slow_space(p, end), end, 0);
	return p != NULL && slow_space(p, end) == end ? 0 : -EINVAL;
}

/* Visits each value; adds the decoded strings to text; gives the number of values. */
static size_t
walk(const struct mgr_json *value, const char *p, const char *end, struct mgr_buf *text)
{
	struct mgr_json_iter it;
	struct mgr_json key, member, found;
	int64_t number;
	size_t n = 1;
	bool flag;

	mgr_assert(value->n > 0 && value->p >= p && value->n <= (size_t)(end - value->p));
	mgr_assert((mgr_json_text(value, text) == 0) == (value->type == MGR_JSON_STRING));
	mgr_assert((mgr_json_bool(value, &flag) == 0) == (value->type == MGR_JSON_BOOL));
	if (mgr_json_int(value, INT64_MIN, INT64_MAX, &number) == 0)
		mgr_buf_addf(text, "%lld", (long long)number);
	mgr_json_iter_init(&it, value);
	while (mgr_json_next(&it, &key, &member)) {
		mgr_assert((key.n > 0) == (value->type == MGR_JSON_OBJECT));
		if (key.n > 0)
			mgr_assert(mgr_json_text(&key, text) == 0);
		n += walk(&member, value->p, value->p + value->n, text);
	}
	if (mgr_json_get(value, "a", &found))
		mgr_assert(value->type == MGR_JSON_OBJECT && found.p >= value->p);
	return n;
}

static void
check_document(const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf compact = {0}, twice = {0}, text = {0}, compact_text = {0};

	mgr_assert(mgr_json_add_compact(&compact, in, n) == 0);
	const char *p = mgr_buf_p(&compact);
	size_t compact_n = mgr_buf_n(&compact);
	mgr_assert(compact_n > 0 && compact_n <= n && memchr(p, '\n', compact_n) == NULL);
	mgr_assert(mgr_json_check(p, compact_n) == 0);
	mgr_assert(mgr_json_add_compact(&twice, p, compact_n) == 0);
	mgr_assert(mgr_buf_n(&twice) == compact_n && memcmp(mgr_buf_p(&twice), p, compact_n) == 0);

	struct mgr_json root = mgr_json_root(in, n), compact_root = mgr_json_root(p, compact_n);
	mgr_assert(walk(&root, in, in + n, &text) == walk(&compact_root, p, p + compact_n, &compact_text));
	mgr_assert(mgr_buf_n(&text) == mgr_buf_n(&compact_text));
	if (mgr_buf_n(&text) > 0) {
		mgr_assert(memcmp(mgr_buf_p(&text), mgr_buf_p(&compact_text), mgr_buf_n(&text)) == 0);
		mgr_assert(mgr_text_is_utf8(mgr_buf_p(&text), mgr_buf_n(&text)));
	}
}

/* A written string is one JSON string, and gives the same text when that was UTF-8. */
static void
check_string(struct mgr_buf *quoted, const char *in, size_t n, bool same)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	mgr_assert(mgr_json_check(mgr_buf_p(quoted), mgr_buf_n(quoted)) == 0);
	struct mgr_json root = mgr_json_root(mgr_buf_p(quoted), mgr_buf_n(quoted));
	mgr_assert(root.type == MGR_JSON_STRING && root.n == mgr_buf_n(quoted));
	mgr_assert(mgr_json_text(&root, &text) == 0);
	if (same)
		mgr_assert(mgr_buf_n(&text) == n && (n == 0 || memcmp(mgr_buf_p(&text), in, n) == 0));
	mgr_buf_fini(quoted);
}

static void
check_writers(const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	bool utf8 = mgr_text_is_utf8(in, n), ascii = true;

	for (size_t i = 0; i < n; i++)
		ascii &= (unsigned char)in[i] < 0x80;
	mgr_assert(mgr_json_add_string(&b, in, n) == 0);
	check_string(&b, in, n, utf8);
	mgr_assert(mgr_json_add_bytes(&b, in, n, true) == 0);
	check_string(&b, in, n, utf8);
	mgr_assert(mgr_json_add_bytes(&b, in, n, false) == 0);
	check_string(&b, in, n, ascii);
}

/* A document that was not checked may give nonsense, but nothing outside of it and not for ever. */
static void
check_unchecked(const char *in, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};
	struct mgr_json root = mgr_json_root(in, n), key, value;
	struct mgr_json_iter it;
	size_t count = 0;

	mgr_json_iter_init(&it, &root);
	while (mgr_json_next(&it, &key, &value)) {
		mgr_json_text(&value, &text);
		mgr_json_is(&key, "key");
		mgr_assert(count++ <= n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *in = fuzz_copy((const char *)data, n);
	int r = mgr_json_check(in, n);

	if (n < 300)
		mgr_assert(r == slow_check(in, n));
	if (r == 0) {
		check_document(in, n);
	} else {
		struct mgr_buf b = {0};
		mgr_assert(mgr_json_add_compact(&b, in, n) == -EINVAL && b.data == NULL);
		check_unchecked(in, n);
	}
	check_writers(in, n);
	free(in);
	return 0;
}
