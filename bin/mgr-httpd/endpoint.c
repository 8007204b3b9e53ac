#include "httpd.h"

#include <string.h>

#include "base/assert.h"
#include "wire/json.h"

static int
add_worker(struct mgr_buf *b, const struct mgr_hub_worker *w, bool first)
{
	mgr_buf_adds(b, first ? "{\"name\":" : ",{\"name\":");
	mgr_json_add_string(b, w->name, strlen(w->name));
	mgr_buf_adds(b, ",\"worker_id\":");
	mgr_json_add_string(b, w->worker_id, strlen(w->worker_id));
	return mgr_buf_addf(b, ",\"route_count\":%zu,\"transport\":\"lane\"}", w->route_n);
}

/* Also 200 without any worker: it speaks for mgr-httpd. */
static int
health(struct conn *conn, struct mgr_buf *b)
{
	const struct mgr_hub_table *table = conn->httpd->hub.table;
	int r = mgr_buf_adds(b, "{\"ok\":true,\"workers\":[");

	for (size_t i = 0; r == 0 && i < table->worker_n; i++)
		r = add_worker(b, &table->worker[i], i == 0);
	return r < 0 ? r : mgr_buf_adds(b, "]}");
}

static int
ping(struct conn *conn, struct mgr_buf *b)
{
	(void)conn;
	return mgr_buf_adds(b, "{}");
}

static const struct endpoint {
	const char *path;
	int (*fn)(struct conn *, struct mgr_buf *);
} endpoints[] = {
	{"/health", health},
	{"/__ping__", ping},
};

static const struct endpoint *
find(const struct exchange *x)
{
	for (size_t i = 0; i < MGR_N(endpoints); i++)
		if (strlen(endpoints[i].path) == x->path_n &&
		    memcmp(endpoints[i].path, x->target, x->path_n) == 0)
			return &endpoints[i];
	return NULL;
}

bool
endpoint_answer(struct conn *conn)
{
	struct exchange *x = &conn->x;
	const struct endpoint *e = find(x);

	if (e == NULL)
		return false;
	if (strcmp(x->method, "GET") != 0 && !x->is_head) {
		reply_errors(conn, MGR_OUT_NOT_FOUND, 405, "Method not allowed");
		reply_field(&x->answer, "Allow", "GET, HEAD");
	} else if (e->fn(conn, &x->answer.body) < 0) {
		mgr_buf_clear(&x->answer.body, 0);
		reply_errors(conn, MGR_OUT_BUSY, 503, "out of memory");
	} else {
		reply_text(conn, 200, "application/json");
	}
	return true;
}
