#include "svc/pool_priv.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "wire/json.h"

#define HEADERS_MAX 100

/* The end of the header lines: behind the first empty line; 0 = not here yet. */
static size_t
find_end(const char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		const char *lf = memchr(p + at, '\n', n - at);
		if (lf == NULL)
			return 0;
		size_t line_n = (size_t)(lf - p) - at;
		if (line_n == 0 || (line_n == 1 && p[at] == '\r'))
			return (size_t)(lf - p) + 1;
		at = (size_t)(lf - p) + 1;
	}
	return 0;
}

struct line {
	const char *name, *value;
	size_t name_n, value_n;
};

static int
split(const char *p, size_t n, struct line *ret)
{
	const char *colon = memchr(p, ':', n);

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (colon == NULL || !mgr_text_is_token(p, (size_t)(colon - p)))
		return -EPROTO;
	const char *value = colon + 1, *end = p + n;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret = (struct line){p, value, (size_t)(colon - p), (size_t)(end - value)};
	return 0;
}

static bool
is(const struct line *l, const char *name)
{
	return strlen(name) == l->name_n && strncasecmp(name, l->name, l->name_n) == 0;
}

static int
read_status(const struct line *l, unsigned *ret_status)
{
	uint64_t status;

	if (l->value_n < 3 || mgr_num_parse(l->value, 3, 599, &status) < 0 || status < 200)
		return -EPROTO;
	if (l->value_n > 3 && l->value[3] != ' ')
		return -EPROTO;
	*ret_status = (unsigned)status;
	return 0;
}

/* Headers of the same name become a list, in the place of the first. */
static int
add_headers(struct mgr_buf *meta, const struct line *line, size_t n)
{
	const char *comma = "";

	for (size_t i = 0; i < n; i++) {
		size_t same = 0, first = i;
		for (size_t j = 0; j < n; j++) {
			if (line[j].name_n != line[i].name_n ||
			    strncasecmp(line[j].name, line[i].name, line[i].name_n) != 0)
				continue;
			first = j < first ? j : first;
			same++;
		}
		if (first != i)
			continue;
		mgr_buf_adds(meta, comma);
		comma = ",";
		mgr_json_add_string(meta, line[i].name, line[i].name_n);
		mgr_buf_adds(meta, same > 1 ? ":[" : ":");
		const char *between = "";
		for (size_t j = i; j < n; j++) {
			if (line[j].name_n != line[i].name_n ||
			    strncasecmp(line[j].name, line[i].name, line[i].name_n) != 0)
				continue;
			mgr_buf_adds(meta, between);
			between = ",";
			mgr_json_add_bytes(meta, line[j].value, line[j].value_n, false);
		}
		if (same > 1)
			mgr_buf_addc(meta, ']');
	}
	return mgr_buf_adds(meta, "}}\n");
}

ssize_t
mgr_cgi_head(const char *p, size_t n, unsigned *ret_status, struct mgr_buf *meta)
{
	struct line line[HEADERS_MAX], l;
	size_t end = find_end(p, n), line_n = 0;
	unsigned status = 200;
	bool has_status = false;

	if (end == 0)
		return 0;
	for (size_t at = 0; at < end;) {
		size_t len = (size_t)((const char *)memchr(p + at, '\n', end - at) - (p + at));
		if (len == 0 || (len == 1 && p[at] == '\r'))
			break;
		if (split(p + at, len, &l) < 0 || line_n == HEADERS_MAX)
			return -EPROTO;
		at += len + 1;
		if (is(&l, "status")) {
			if (read_status(&l, &status) < 0)
				return -EPROTO;
			has_status = true;
			continue;
		}
		/* The length is what comes until the end. */
		if (is(&l, "content-length"))
			continue;
		/* RFC 3875 6.2.4: a redirect need not name its status. */
		if (is(&l, "location") && !has_status)
			status = 302;
		line[line_n++] = l;
	}
	mgr_buf_clear(meta, 4096);
	mgr_buf_addf(meta, "{\"status\":%u,\"headers\":{", status);
	if (add_headers(meta, line, line_n) < 0)
		return -ENOMEM;
	*ret_status = status;
	return (ssize_t)end;
}
