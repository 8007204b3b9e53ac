#include "svc/pool_priv.h"

#include <errno.h>

#include "base/assert.h"
#include "wire/route.h"

#define ROUTES_MAX (64u * 1024)

/* READY is checked as strictly as anything else a handler writes, but keys that are not known are its own business. */
static int
read_number(const struct mgr_json *root, const char *key, unsigned max, unsigned *ret_value)
{
	struct mgr_json value;
	int64_t n;

	if (!mgr_json_get(root, key, &value))
		return 0;
	if (mgr_json_int(&value, 1, INT32_MAX, &n) < 0)
		return -EINVAL;
	*ret_value = n > max ? max : (unsigned)n;
	return 0;
}

static int
read_bool(const struct mgr_json *root, const char *key, bool *ret_value)
{
	struct mgr_json value;

	return mgr_json_get(root, key, &value) ? mgr_json_bool(&value, ret_value) : 0;
}

static int
read_version(const struct mgr_json *root)
{
	struct mgr_json value;
	int64_t v;

	if (!mgr_json_get(root, "v", &value))
		return 0;
	return mgr_json_int(&value, 1, 1, &v);
}

static int
read_routes(const struct mgr_json *root, struct mgr_buf *lines)
{
	char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
	struct mgr_json routes, key, item;
	struct mgr_json_iter it;
	const char *why;

	if (!mgr_json_get(root, "routes", &routes))
		return 0;
	if (routes.type != MGR_JSON_ARRAY)
		return -EINVAL;
	mgr_json_iter_init(&it, &routes);
	while (mgr_json_next(&it, &key, &item)) {
		MGR_AUTO_BUF struct mgr_buf text = {.limit = MGR_ROUTE_PATTERN_MAX + MGR_ROUTE_METHOD_MAX};
		if (mgr_json_text(&item, &text) < 0 || mgr_buf_n(&text) == 0 ||
		    mgr_route_parse(mgr_buf_p(&text), mgr_buf_n(&text), method, pattern, &why) < 0)
			return -EINVAL;
		if (mgr_buf_add(lines, mgr_buf_p(&text), mgr_buf_n(&text)) < 0 || mgr_buf_addc(lines, '\n') < 0)
			return -EINVAL;
	}
	return 0;
}

static int
read_caps(const struct mgr_pool *pool, const struct mgr_json *root, struct mgr_caps *caps, const char **ret_why)
{
	const struct {
		int r;
		const char *why;
	} check[] = {
		{read_version(root), "and this version of the protocol is not known here"},
		{read_number(root, "concurrency", pool->conf.concurrency_max, &caps->concurrency),
		 "and \"concurrency\" is not a whole number from 1"},
		{read_number(root, "pipeline", pool->conf.pipeline_max, &caps->pipeline),
		 "and \"pipeline\" is not a whole number from 1"},
		{read_bool(root, "stream_in", &caps->stream_in), "and \"stream_in\" is not a boolean"},
		{read_bool(root, "cancel", &caps->cancel), "and \"cancel\" is not a boolean"},
		{read_bool(root, "ping", &caps->ping), "and \"ping\" is not a boolean"},
	};

	for (size_t i = 0; i < MGR_N(check); i++) {
		if (check[i].r < 0) {
			*ret_why = check[i].why;
			return check[i].r;
		}
	}
	return 0;
}

int
mgr_frame_ready_read(struct mgr_replica *r, const char *meta, size_t meta_n, const char **ret_why)
{
	MGR_AUTO_BUF struct mgr_buf routes = {.limit = ROUTES_MAX};
	struct mgr_pool *pool = r->pool;
	struct mgr_caps caps = {.concurrency = 1, .pipeline = 1};
	int err;

	if (meta_n > 0) {
		*ret_why = "and its META is not a JSON object";
		if (mgr_json_check(meta, meta_n) < 0)
			return -EINVAL;
		struct mgr_json root = mgr_json_root(meta, meta_n);
		if (root.type != MGR_JSON_OBJECT)
			return -EINVAL;
		err = read_caps(pool, &root, &caps, ret_why);
		if (err < 0)
			return err;
		*ret_why = "and \"routes\" is not a list of \"METHOD PATTERN\"";
		if (read_routes(&root, &routes) < 0)
			return -EINVAL;
	}
	*ret_why = "and there is no memory for its requests";
	err = mgr_slots_init(r, caps.concurrency > caps.pipeline ? caps.concurrency : caps.pipeline);
	if (err < 0)
		return err;
	r->caps = pool->caps = caps;
	pool->caps_known = true;
	if (!pool->said_ready && pool->ops->ready != NULL) {
		pool->said_ready = true;
		pool->ops->ready(pool, mgr_buf_str(&routes));
	}
	return 0;
}
