#include "wire/route.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

const char *const mgr_route_reserved[] = {
	"shutdown", "stream", "ws", "health", "ready", "metrics", "events", "internal", "state", "jobs", NULL,
};

bool
mgr_route_is_reserved(const char *segment, size_t n)
{
	if (n > 0 && segment[0] == '_')
		return true;
	for (const char *const *name = mgr_route_reserved; *name != NULL; name++)
		if (strlen(*name) == n && memcmp(*name, segment, n) == 0)
			return true;
	return false;
}

/* The checks give what is wrong as a sentence, or NULL. */
static const char *
check_method(const char *p, size_t n)
{
	if (!mgr_text_is_token(p, n))
		return "the method is not a token";
	if (n >= MGR_ROUTE_METHOD_MAX)
		return "the method is longer than 15 characters";
	for (size_t i = 0; i < n; i++)
		if (p[i] >= 'a' && p[i] <= 'z')
			return "the method must be in capital letters";
	return NULL;
}

struct name {
	const char *p;
	size_t n;
};

struct names {
	struct name name[MGR_ROUTE_PARAM_MAX];
	size_t n;
};

static bool
is_param_name(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char low = (char)(p[i] | 0x20);
		bool digit = p[i] >= '0' && p[i] <= '9';

		if (p[i] != '_' && !(low >= 'a' && low <= 'z') && !(digit && i > 0))
			return false;
	}
	return n > 0;
}

static const char *
check_param(const char *p, size_t n, struct names *seen)
{
	if (n < 2 || p[0] != '{' || p[n - 1] != '}' || !is_param_name(p + 1, n - 2))
		return "a parameter is a whole segment {name} of letters, digits and '_'";
	struct name name = {p + 1, n - 2};
	for (size_t i = 0; i < seen->n; i++)
		if (seen->name[i].n == name.n && memcmp(seen->name[i].p, name.p, name.n) == 0)
			return "two parameters have the same name";
	if (seen->n == MGR_ROUTE_PARAM_MAX)
		return "more than 16 parameters";
	seen->name[seen->n++] = name;
	return NULL;
}

static const char *
check_segment(const char *p, size_t n, struct names *seen)
{
	if (n == 0)
		return "the pattern has an empty segment";
	for (size_t i = 0; i < n; i++)
		if (p[i] == '{' || p[i] == '}')
			return check_param(p, n, seen);
	return NULL;
}

static const char *
check_pattern(const char *p, size_t n)
{
	struct names seen = {0};

	if (n == 0 || p[0] != '/')
		return "the pattern does not begin with '/'";
	if (n > MGR_ROUTE_PATTERN_MAX)
		return "the pattern is longer than 256 bytes";
	if (!mgr_text_is_utf8(p, n))
		return "the pattern is not UTF-8";
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '%' || p[i] == '?' || p[i] == '#')
			return "the pattern has a '%', '?', '#' or control character";
	if (n == 1)
		return NULL; /* the root has no segment */
	for (size_t at = 1, end; at <= n; at = end + 1) {
		const char *slash = memchr(p + at, '/', n - at);

		end = slash != NULL ? (size_t)(slash - p) : n;
		if (at == 1 && mgr_route_is_reserved(p + at, end - at))
			return "the first segment is reserved";
		const char *why = check_segment(p + at, end - at, &seen);
		if (why != NULL)
			return why;
	}
	return NULL;
}

int
mgr_route_parse(const char *text, size_t n, char method[static MGR_ROUTE_METHOD_MAX],
		char pattern[static MGR_ROUTE_PATTERN_MAX + 1], const char **ret_why)
{
	if (n == 0)
		text = "";
	const char *space = n > 0 && text[0] != '/' ? memchr(text, ' ', n) : NULL;
	size_t method_n = space != NULL ? (size_t)(space - text) : 0;
	const char *path = space != NULL ? space + 1 : text;
	size_t path_n = n - (size_t)(path - text);

	const char *why = space != NULL ? check_method(text, method_n) : NULL;
	if (why == NULL)
		why = check_pattern(path, path_n);
	if (why != NULL) {
		*ret_why = why;
		return -EINVAL;
	}
	memcpy(method, text, method_n);
	method[method_n] = '\0';
	memcpy(pattern, path, path_n);
	pattern[path_n] = '\0';
	return 0;
}

static int
hex(char c)
{
	char low = (char)(c | 0x20);

	if (c >= '0' && c <= '9')
		return c - '0';
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Decodes n bytes into to, which has room for n: the length, or -EINVAL. */
static int
decode(const char *p, size_t n, bool plus, char *to, size_t *ret_n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			int high = n - i > 2 ? hex(p[i + 1]) : -1;
			int low = n - i > 2 ? hex(p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return -EINVAL;
		to[out++] = c;
	}
	*ret_n = out;
	return 0;
}

int
mgr_route_decode(const char *p, size_t n, bool plus, struct mgr_buf *b)
{
	size_t out;
	int r;

	if (n == 0)
		return 0;
	if (memchr(p, '%', n) == NULL && memchr(p, '\0', n) == NULL && !(plus && memchr(p, '+', n) != NULL))
		return mgr_buf_add(b, p, n);
	r = mgr_buf_reserve(b, n);
	if (r < 0)
		return r;
	r = decode(p, n, plus, mgr_buf_tail(b), &out);
	if (r == 0)
		mgr_buf_commit(b, out);
	return r;
}
