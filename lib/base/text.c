#include "base/text.h"

#include <stdint.h>
#include <string.h>

size_t
mgr_text_utf8(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	uint32_t code;
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf) {
		len = 2;
		code = u[0] & 0x1fu;
	} else if ((u[0] & 0xf0) == 0xe0) {
		len = 3;
		code = u[0] & 0x0fu;
	} else if (u[0] >= 0xf0 && u[0] <= 0xf4) {
		len = 4;
		code = u[0] & 0x07u;
	} else {
		return 0;
	}
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (u[i] & 0x3fu);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	if (code >= 0xd800 && code <= 0xdfff)
		return 0;
	return len;
}

bool
mgr_text_is_utf8(const char *p, size_t n)
{
	while (n > 0) {
		size_t len = mgr_text_utf8(p, n);
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

/* How many bytes at p stay as they are: the usual case, taken in one piece. */
static size_t
plain_n(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\' && p[i] != '"')
		i++;
	return i;
}

int
mgr_text_escape(struct mgr_buf *b, const char *p, size_t n, size_t max)
{
	size_t start = mgr_buf_n(b);
	int r = 0;

	while (n > 0 && r == 0) {
		size_t used = mgr_buf_n(b) - start;
		if (used >= max)
			return mgr_buf_adds(b, "...");
		size_t plain = plain_n(p, n < max - used ? n : max - used);
		if (plain > 0) {
			r = mgr_buf_add(b, p, plain);
			p += plain;
			n -= plain;
			continue;
		}
		size_t len = mgr_text_utf8(p, n);
		unsigned char c = (unsigned char)p[0];

		if (len == 0 || c < 0x20 || c == 0x7f || c == '\\' || c == '"') {
			r = mgr_buf_addf(b, "\\x%02x", c);
			len = 1;
		} else {
			r = mgr_buf_add(b, p, len);
		}
		p += len;
		n -= len;
	}
	return r;
}

static bool
is_alnum(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
mgr_text_is_name(const char *p, size_t n)
{
	if (n == 0 || n > 64 || !is_alnum(p[0]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(p[i]) && p[i] != '_' && p[i] != '.' && p[i] != '-')
			return false;
	return true;
}

bool
mgr_text_is_token(const char *p, size_t n)
{
	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(p[i]) && (p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", p[i]) == NULL))
			return false;
	return true;
}
