#include "wire/json.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "wire/json_priv.h"

/* What becomes of bytes >= 0x80. */
enum high {
	HIGH_REPLACE, /* UTF-8 stays, anything else is U+FFFD */
	HIGH_KEEP,    /* UTF-8 stays, anything else is the character of its value */
	HIGH_BYTES    /* each byte is the character of its value */
};

/* How many bytes at p go into the string as they are. */
static size_t
run(const char *p, size_t n, enum high high)
{
	size_t i = mgr_json_plain_n(p, n);

	while (high != HIGH_BYTES && i < n && (unsigned char)p[i] >= 0x80) {
		size_t len = mgr_text_utf8(p + i, n - i);
		if (len == 0)
			break;
		i += len;
		i += mgr_json_plain_n(p + i, n - i);
	}
	return i;
}

/* Writes what stands for a byte that cannot go as it is; gives its length. */
static size_t
escape(char to[static 6], unsigned char c, enum high high)
{
	static const char letter[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	static const char hex[] = "0123456789abcdef";

	if (c >= 0x80 && high == HIGH_REPLACE) {
		memcpy(to, "\xef\xbf\xbd", 3);
		return 3;
	}
	if (c >= 0x80) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = '\\';
	to[1] = c < 0x20 ? letter[c] : (char)c;
	if (to[1] != '\0')
		return 2;
	memcpy(to + 1, "u00", 3);
	to[4] = hex[c >> 4];
	to[5] = hex[c & 0xf];
	return 6;
}

static int
add_inside(struct mgr_buf *b, const char *p, size_t n, enum high high)
{
	char to[6];

	while (n > 0) {
		size_t plain_n = run(p, n, high);
		int r = mgr_buf_add(b, p, plain_n);
		if (r < 0)
			return r;
		p += plain_n;
		n -= plain_n;
		if (n == 0)
			break;
		r = mgr_buf_add(b, to, escape(to, (unsigned char)*p, high));
		if (r < 0)
			return r;
		p++;
		n--;
	}
	return 0;
}

static int
add_quoted(struct mgr_buf *b, const char *p, size_t n, enum high high)
{
	size_t had = mgr_buf_n(b);
	int r = mgr_buf_reserve(b, n + 2);

	if (r == 0)
		r = mgr_buf_addc(b, '"');
	if (r == 0)
		r = add_inside(b, p, n, high);
	if (r == 0)
		r = mgr_buf_addc(b, '"');
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - had);
	return r;
}

int
mgr_json_add_string(struct mgr_buf *b, const char *p, size_t n)
{
	return add_quoted(b, p, n, HIGH_REPLACE);
}

int
mgr_json_add_bytes(struct mgr_buf *b, const char *p, size_t n, bool keep_utf8)
{
	return add_quoted(b, p, n, keep_utf8 ? HIGH_KEEP : HIGH_BYTES);
}

/* The place behind the string or the run without white space at p, in a checked document. */
static const char *
token(const char *p, const char *end)
{
	if (*p != '"') {
		while (p < end && *p != '"' && !mgr_json_is_space(*p))
			p++;
		return p;
	}
	for (p++; *p != '"';) {
		size_t plain_n = mgr_json_plain_n(p, (size_t)(end - p));
		p += plain_n > 0 ? plain_n : *p == '\\' ? 2 : 1;
	}
	return p + 1;
}

int
mgr_json_add_compact(struct mgr_buf *b, const char *p, size_t n)
{
	size_t had = mgr_buf_n(b);
	int r = mgr_json_check(p, n);

	if (r < 0)
		return r;
	const char *end = p + n;
	while (r == 0 && p < end) {
		if (mgr_json_is_space(*p)) {
			p++;
			continue;
		}
		const char *start = p;
		p = token(p, end);
		r = mgr_buf_add(b, start, (size_t)(p - start));
	}
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - had);
	return r;
}
