/*
 * The route table against a list: lines of the input that begin with '?' are requests ("?METHOD
 * PATH"), all others are routes to add.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/auto.h"
#include "fuzz.h"
#include "wire/route.h"

#define LIST_MAX 64

struct entry {
	char method[MGR_ROUTE_METHOD_MAX];
	char pattern[MGR_ROUTE_PATTERN_MAX + 1];
	uint32_t owner;
};

struct list {
	struct entry entry[LIST_MAX];
	uint32_t n;
	struct mgr_routes *routes;
};

static size_t
segment_n(const char *p, const char *end)
{
	const char *slash = memchr(p, '/', (size_t)(end - p));

	return (size_t)((slash != NULL ? slash : end) - p);
}

static bool
segment_is(const char *pattern, size_t pattern_n, const char *p, size_t n)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	if (n == 0)
		return pattern_n == 0;
	if (pattern[0] == '{')
		return true;
	return mgr_route_decode(p, n, false, &b) == 0 && mgr_buf_n(&b) == pattern_n
	       && memcmp(mgr_buf_str(&b), pattern, pattern_n) == 0;
}

/* Whether the path matches; shape gets 'a' for each literal and 'b' for each parameter, to compare by. */
static bool
matches(const char *pattern, const char *path, size_t path_n, char shape[static 200])
{
	const char *pattern_end = pattern + strlen(pattern), *path_end = path + path_n;

	while (path < path_end && pattern < pattern_end && *path == '/') {
		size_t a = segment_n(++pattern, pattern_end), b = segment_n(++path, path_end);

		if (!segment_is(pattern, a, path, b))
			return false;
		*shape++ = *pattern == '{' ? 'b' : 'a';
		pattern += a;
		path += b;
	}
	*shape = '\0';
	return path == path_end && pattern == pattern_end;
}

static int
method_rank(const char *have, const char *want)
{
	if (have[0] == '\0')
		return 2;
	if (strcmp(have, want) == 0)
		return 0;
	return strcmp(want, "HEAD") == 0 && strcmp(have, "GET") == 0 ? 1 : -1;
}

/* The best by comparison of all: 0 with the entry, -ENOENT, -EPERM. */
static int
slow_find(const struct list *list, const char *method, const char *path, size_t n, const struct entry **ret)
{
	char best[200] = "", shape[200];
	int best_rank = 0, r = -ENOENT;

	if (n == 0 || path[0] != '/')
		return -ENOENT;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct entry *e = &list->entry[i];
		int rank = method_rank(e->method, method);

		if (!matches(e->pattern, path, n, shape))
			continue;
		if (rank < 0) {
			r = r == 0 ? 0 : -EPERM;
			continue;
		}
		int order = strcmp(shape, best);
		if (r != 0 || order < 0 || (order == 0 && rank < best_rank)) {
			r = 0;
			memcpy(best, shape, sizeof(best));
			best_rank = rank;
			*ret = e;
		}
	}
	return r;
}

static void
check_match(const struct mgr_route_match *m, const char *path, size_t n)
{
	size_t param_n = 0;

	for (const char *p = m->pattern; (p = strchr(p, '{')) != NULL; p++)
		param_n++;
	mgr_assert(m->param_n == param_n);
	for (size_t i = 0; i < m->param_n; i++) {
		const struct mgr_route_param *param = &m->param[i];

		mgr_assert(param->name_n > 0 && param->name[-1] == '{' && param->name[param->name_n] == '}');
		mgr_assert(param->value_n > 0 && param->value > path && param->value_n <= (size_t)(path + n - param->value));
		mgr_assert(param->value[-1] == '/' && memchr(param->value, '/', param->value_n) == NULL);
	}
}

static void
request(const struct list *list, const char *line, size_t n)
{
	const char *space = memchr(line, ' ', n);
	char method[32];
	MGR_AUTO_BUF struct mgr_buf allow = {0};
	struct mgr_route_match m;
	const struct entry *want = NULL;

	if (space == NULL || space - line >= 32)
		return;
	snprintf(method, sizeof(method), "%.*s", (int)(space - line), line);
	size_t path_n = n - (size_t)(space + 1 - line);
	char *path = fuzz_copy(space + 1, path_n);
	int r = mgr_routes_find(list->routes, method, path, path_n, &m, &allow);
	mgr_assert(r == slow_find(list, method, path, path_n, &want));
	mgr_assert((mgr_buf_n(&allow) > 0) == (r == -EPERM));
	if (r == 0) {
		mgr_assert(m.owner == want->owner && strcmp(m.pattern, want->pattern) == 0);
		mgr_assert(strcmp(m.method, want->method) == 0);
		check_match(&m, path, path_n);
	}
	free(path);
}

static void
add(struct list *list, const char *line, size_t n)
{
	struct entry e = {.owner = list->n};
	const char *why = NULL;
	uint32_t other = UINT32_MAX;

	if (list->n == LIST_MAX)
		return;
	char *text = fuzz_copy(line, n);
	int r = mgr_route_parse(text, n, e.method, e.pattern, &why);
	free(text);
	mgr_assert((r == 0) == (why == NULL));
	if (r < 0)
		return;
	r = mgr_routes_add(list->routes, e.method, e.pattern, e.owner, &other);
	mgr_assert(r == 0 || (r == -EEXIST && other < list->n));
	if (r == 0)
		list->entry[list->n++] = e;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct list *list = calloc(1, sizeof(*list));
	const char *p = (const char *)data, *end = p + n;

	if (list == NULL || mgr_routes_new(&list->routes) < 0)
		abort();
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *next = lf != NULL ? lf : end;

		if (*p == '?')
			request(list, p + 1, (size_t)(next - p - 1));
		else
			add(list, p, (size_t)(next - p));
		p = next + (next < end);
	}
	mgr_routes_free(list->routes);
	free(list);
	return 0;
}
