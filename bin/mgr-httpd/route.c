#include "httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/log.h"

/* One version of the routing table; requests hold the one that they were routed by. */
struct router {
	unsigned refs;
	struct mgr_hub_table *table;
	struct mgr_routes *routes; /* owner = index of a worker in table */
};

void
route_drop(struct router *router)
{
	if (router == NULL || --router->refs > 0)
		return;
	mgr_routes_free(router->routes);
	mgr_hub_table_drop(router->table);
	free(router);
}

/* Workers of one name bring the same routes: they must have one owner. */
static uint32_t
owner_of(const struct mgr_hub_table *table, uint32_t i)
{
	while (i > 0 && strcmp(table->worker[i - 1].name, table->worker[i].name) == 0)
		i--;
	return i;
}

static int
add_routes(struct router *router, uint32_t i)
{
	const struct mgr_hub_worker *w = &router->table->worker[i];
	uint32_t conflict;

	for (size_t k = 0; k < w->route_n; k++) {
		const struct mgr_hub_route *route = &w->route[k];
		int r = mgr_routes_add(router->routes, route->method, route->pattern,
				       owner_of(router->table, i), &conflict);
		if (r == -ENOMEM)
			return r;
		if (r < 0) /* the hub refuses such; whoever came first keeps it */
			mgr_log(MGR_WARN, "route-conflict", "name=%s method=%s pattern=%s why=\"%s\"",
				mgr_log_str(w->name), mgr_log_str(route->method),
				mgr_log_str(route->pattern), mgr_log_errno(r));
	}
	return 0;
}

int
route_rebuild(struct httpd *h)
{
	struct router *router = calloc(1, sizeof(*router));
	int r = router == NULL ? -ENOMEM : mgr_routes_new(&router->routes);

	if (r < 0) {
		free(router);
		return r;
	}
	router->refs = 1;
	router->table = mgr_hub_table_hold(h->hub.table);
	for (uint32_t i = 0; r == 0 && i < router->table->worker_n; i++)
		r = add_routes(router, i);
	if (r < 0) {
		route_drop(router);
		return r;
	}
	route_drop(h->router);
	h->router = router;
	return 0;
}

static int
not_found(struct conn *conn)
{
	struct exchange *x = &conn->x;
	MGR_AUTO_BUF struct mgr_buf text = {0};

	mgr_buf_adds(&text, "Handler not found: ");
	mgr_buf_add(&text, x->target + 1, x->path_n - 1);
	reply_error(conn, MGR_OUT_NOT_FOUND, 404, mgr_buf_p(&text), mgr_buf_n(&text));
	return -ENOENT;
}

static int
wrong_method(struct conn *conn, struct mgr_buf *allow)
{
	reply_errors(conn, MGR_OUT_NOT_FOUND, 405, "Method not allowed");
	reply_field(&conn->x.answer, "Allow", mgr_buf_str(allow));
	return -EPERM;
}

/* `POST /NAME`, the way to a named handler that also takes envelopes. */
static bool
is_named_handler(const struct exchange *x)
{
	return strcmp(x->method, "POST") == 0 && x->match.pattern[0] == '/' &&
	       strcmp(x->match.pattern + 1, x->name) == 0;
}

int
route_find(struct conn *conn)
{
	struct exchange *x = &conn->x;
	struct router *router = conn->httpd->router;
	MGR_AUTO_BUF struct mgr_buf allow = {0}, text = {0};
	const char *slash = memchr(x->target + 1, '/', x->path_n - 1);
	size_t first_n = slash == NULL ? x->path_n - 1 : (size_t)(slash - x->target) - 1;

	if (router == NULL || mgr_route_is_reserved(x->target + 1, first_n))
		return not_found(conn);
	int r = mgr_routes_find(router->routes, x->method, x->target, x->path_n, &x->match, &allow);
	if (r == -EPERM)
		return wrong_method(conn, &allow);
	if (r < 0)
		return not_found(conn);
	for (size_t i = 0; i < x->match.param_n; i++) {
		mgr_buf_clear(&text, 4096);
		if (mgr_route_decode(x->match.param[i].value, x->match.param[i].value_n, false, &text) < 0) {
			reply_errors(conn, MGR_OUT_BAD_REQUEST, 400, "the path has a bad escape");
			return -EINVAL;
		}
	}
	const char *name = router->table->worker[x->match.owner].name;
	size_t n = strnlen(name, MGR_CALL_NAME_MAX);
	memcpy(x->name, name, n);
	x->name[n] = '\0';
	x->may_envelope = x->is_json && is_named_handler(x);
	x->router = router;
	router->refs++;
	return 0;
}
