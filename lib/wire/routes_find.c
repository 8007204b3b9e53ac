#include "wire/routes_priv.h"

#include <errno.h>
#include <string.h>

#define ENCODED_MAX (3 * MGR_ROUTE_PATTERN_MAX) /* of a path segment that can equal a literal */

struct walk {
	const struct mgr_routes *routes;
	const char *method, *end;
	const struct mgr_routes_route *found;
	bool known;             /* the path matched, with another method */
	struct mgr_buf *allow;  /* set in the second walk, which gathers the methods */
	size_t allow_at;
	int error;
	size_t param_n;
	struct mgr_route_param param[MGR_ROUTE_PARAM_MAX];
};

/* The child that equals the segment, which is decoded first when it has escapes. */
static uint32_t
find_child(const struct mgr_routes *routes, uint32_t parent, const char *p, size_t n)
{
	char memory[ENCODED_MAX];
	/* As large as what goes in, so that it never grows. */
	struct mgr_buf plain = {.data = memory, .cap = sizeof(memory)};

	if (n > sizeof(memory))
		return 0;
	if (memchr(p, '%', n) == NULL)
		return mgr_routes_literal(routes, parent, p, n);
	if (mgr_route_decode(p, n, false, &plain) < 0)
		return 0;
	return mgr_routes_literal(routes, parent, mgr_buf_p(&plain), mgr_buf_n(&plain));
}

/* The method itself, else GET for HEAD, else any. */
static const struct mgr_routes_route *
pick(const struct mgr_routes_route *route, const char *method)
{
	const struct mgr_routes_route *any = NULL, *get = NULL;
	bool head = strcmp(method, "HEAD") == 0;

	for (; route != NULL; route = route->next) {
		if (route->method[0] == '\0')
			any = route;
		else if (strcmp(route->method, method) == 0)
			return route;
		else if (head && strcmp(route->method, "GET") == 0)
			get = route;
	}
	return get != NULL ? get : any;
}

static void
allow_method(struct walk *w, const char *method)
{
	size_t list_n = mgr_buf_n(w->allow) - w->allow_at, n = strlen(method);
	const char *list = list_n > 0 ? mgr_buf_p(w->allow) + w->allow_at : "";

	for (size_t i = 0, end; i < list_n; i = end + 2) {
		const char *comma = memchr(list + i, ',', list_n - i);

		end = comma != NULL ? (size_t)(comma - list) : list_n;
		if (end - i == n && memcmp(list + i, method, n) == 0)
			return;
	}
	if (w->error == 0 && list_n > 0)
		w->error = mgr_buf_adds(w->allow, ", ");
	if (w->error == 0)
		w->error = mgr_buf_adds(w->allow, method);
}

/* At the end of the path: true when this ends the walk. */
static bool
arrive(struct walk *w, const struct mgr_routes_node *node, size_t param_n)
{
	if (w->allow != NULL) {
		for (const struct mgr_routes_route *route = node->route; route != NULL; route = route->next) {
			allow_method(w, route->method);
			if (strcmp(route->method, "GET") == 0)
				allow_method(w, "HEAD");
		}
		return w->error != 0;
	}
	w->found = pick(node->route, w->method);
	w->known |= node->route != NULL;
	w->param_n = param_n;
	return w->found != NULL;
}

/* p is at the '/' of the next segment or at the end.  Not deeper than the longest pattern. */
static bool
visit(struct walk *w, uint32_t at, const char *p, size_t param_n)
{
	const struct mgr_routes_node *node = w->routes->node[at];

	if (p == w->end)
		return arrive(w, node, param_n);
	const char *segment = p + 1;
	const char *slash = segment < w->end ? memchr(segment, '/', (size_t)(w->end - segment)) : NULL;
	const char *next = slash != NULL ? slash : w->end;
	if (next == segment)
		return false;
	uint32_t child = find_child(w->routes, at, segment, (size_t)(next - segment));
	if (child != 0 && visit(w, child, next, param_n))
		return true;
	if (node->param == 0)
		return false;
	w->param[param_n].value = segment;
	w->param[param_n].value_n = (size_t)(next - segment);
	return visit(w, node->param, next, param_n + 1);
}

static void
give(const struct walk *w, struct mgr_route_match *ret_match)
{
	const char *p = w->found->pattern;

	ret_match->owner = w->found->owner;
	ret_match->pattern = w->found->pattern;
	ret_match->method = w->found->method;
	ret_match->param_n = w->param_n;
	for (size_t i = 0; i < w->param_n; i++) {
		const char *name = strchr(p, '{') + 1;

		p = strchr(name, '}');
		ret_match->param[i] = w->param[i];
		ret_match->param[i].name = name;
		ret_match->param[i].name_n = (size_t)(p - name);
	}
}

int
mgr_routes_find(const struct mgr_routes *routes, const char *method, const char *path, size_t path_n,
		struct mgr_route_match *ret_match, struct mgr_buf *allow)
{
	struct walk w; /* param is written before it is read, and too large to clear each time */

	if (path_n == 0 || path[0] != '/')
		return -ENOENT;
	w.routes = routes;
	w.method = method;
	w.end = path + path_n;
	w.found = NULL;
	w.known = false;
	w.allow = NULL;
	w.error = 0;
	const char *first = path_n == 1 ? w.end : path; /* the root has no segment */
	if (visit(&w, 0, first, 0)) {
		give(&w, ret_match);
		return 0;
	}
	if (!w.known)
		return -ENOENT;
	if (allow != NULL) {
		w.allow = allow;
		w.allow_at = mgr_buf_n(allow);
		visit(&w, 0, first, 0);
	}
	return w.error < 0 ? w.error : -EPERM;
}
