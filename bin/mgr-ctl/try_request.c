#include <errno.h>
#include <string.h>

#include "base/rand.h"
#include "ctl.h"
#include "wire/meta.h"
#include "wire/route.h"

static int
fail(char *err, size_t err_n, const char *text)
{
	snprintf(err, err_n, "%s", text);
	return -EINVAL;
}

static bool
has_member(const struct mgr_buf *object, const char *key)
{
	MGR_AUTO_BUF struct mgr_buf whole = {0};
	struct mgr_json root, value;

	mgr_buf_add(&whole, mgr_buf_p(object), mgr_buf_n(object));
	mgr_buf_addc(&whole, '}');
	if (mgr_json_check(mgr_buf_p(&whole), mgr_buf_n(&whole)) < 0)
		return false;
	root = mgr_json_root(mgr_buf_p(&whole), mgr_buf_n(&whole));
	return mgr_json_get(&root, key, &value);
}

/* Adds "key":"value" of percent-encoded parts to an object that is still open; the first of equal keys stays. */
static int
add_pair(struct mgr_buf *object, const char *key, size_t key_n, const char *value, size_t value_n, bool plus)
{
	MGR_AUTO_BUF struct mgr_buf k = {0}, v = {0};

	/* What cannot be decoded stays as it came. */
	if (mgr_route_decode(key, key_n, plus, &k) < 0) {
		mgr_buf_clear(&k, 0);
		mgr_buf_add(&k, key, key_n);
	}
	if (mgr_route_decode(value, value_n, plus, &v) < 0) {
		mgr_buf_clear(&v, 0);
		mgr_buf_add(&v, value, value_n);
	}
	if (has_member(object, mgr_buf_str(&k)))
		return 0;
	int r = mgr_buf_n(object) > 1 ? mgr_buf_addc(object, ',') : 0;
	if (r == 0)
		r = mgr_json_add_bytes(object, mgr_buf_p(&k), mgr_buf_n(&k), true);
	if (r == 0)
		r = mgr_buf_addc(object, ':');
	return r < 0 ? r : mgr_json_add_bytes(object, mgr_buf_p(&v), mgr_buf_n(&v), true);
}

static int
add_query(struct mgr_buf *meta, const char *qs)
{
	MGR_AUTO_BUF struct mgr_buf object = {0};
	int r = mgr_buf_addc(&object, '{');

	for (const char *p = qs; *p != '\0' && r == 0;) {
		size_t n = strcspn(p, "&"), key_n = n;
		const char *equals = memchr(p, '=', n);
		if (equals != NULL)
			key_n = (size_t)(equals - p);
		const char *value = equals != NULL ? equals + 1 : p + n;
		if (n > 0)
			r = add_pair(&object, p, key_n, value, (size_t)(p + n - value), true);
		p += n + (p[n] == '&' ? 1 : 0);
	}
	if (r == 0)
		r = mgr_buf_addc(&object, '}');
	return r < 0 ? r : mgr_meta_add_raw(meta, "query", mgr_buf_p(&object), mgr_buf_n(&object));
}

static int
add_params(struct mgr_buf *meta, const struct mgr_route_match *match)
{
	MGR_AUTO_BUF struct mgr_buf object = {0};
	int r = mgr_buf_addc(&object, '{');

	for (size_t i = 0; i < match->param_n && r == 0; i++) {
		const struct mgr_route_param *p = &match->param[i];
		r = add_pair(&object, p->name, p->name_n, p->value, p->value_n, false);
	}
	if (r == 0)
		r = mgr_buf_addc(&object, '}');
	return r < 0 ? r : mgr_meta_add_raw(meta, "params", mgr_buf_p(&object), mgr_buf_n(&object));
}

/* Adds route and params as --route says; without it the path is its own pattern. */
static int
add_route(const struct try_options *o, const char *method, const char *path, size_t path_n, struct mgr_buf *meta,
	  char *err, size_t err_n)
{
	char route_method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
	struct mgr_route_match match = {0};
	struct mgr_routes *routes;
	uint32_t other;
	const char *why;

	if (o->route == NULL) {
		int r = mgr_meta_add(meta, "route", path, path_n);
		return r < 0 ? r : add_params(meta, &match);
	}
	if (mgr_route_parse(o->route, strlen(o->route), route_method, pattern, &why) < 0)
		return fail(err, err_n, why);
	if (mgr_routes_new(&routes) < 0)
		return fail(err, err_n, "out of memory");
	int r = mgr_routes_add(routes, route_method, pattern, 0, &other);
	if (r == 0)
		r = mgr_routes_find(routes, method, path, path_n, &match, NULL);
	if (r == 0)
		r = mgr_meta_adds(meta, "route", pattern);
	if (r == 0)
		r = add_params(meta, &match);
	mgr_routes_free(routes);
	return r == -ENOENT || r == -EPERM ? fail(err, err_n, "METHOD and PATH do not match --route") : r;
}

int
try_request(const struct try_options *o, const char *method, const char *target, uint64_t body_n,
	    struct mgr_buf *meta, char *err, size_t err_n)
{
	MGR_AUTO_BUF struct mgr_buf headers = {0};
	size_t path_n = strcspn(target, "?");
	const char *qs = target[path_n] == '?' ? target + path_n + 1 : "";
	char uuid[37];
	int r = head_add(&o->head, &headers, err, err_n);

	if (r < 0)
		return r;
	mgr_rand_uuid(uuid);
	mgr_meta_begin(meta, o->timeout_ns);
	mgr_meta_adds(meta, "kind", "http");
	mgr_meta_adds(meta, "src", "http");
	mgr_meta_adds(meta, "method", method);
	mgr_meta_add(meta, "path", target, path_n);
	r = add_route(o, method, target, path_n, meta, err, err_n);
	if (r == 0)
		r = add_query(meta, qs);
	if (r == -ENOMEM)
		fail(err, err_n, "out of memory");
	if (r < 0)
		return r;
	mgr_meta_adds(meta, "qs", qs);
	mgr_meta_add_raw(meta, "headers", mgr_buf_p(&headers), mgr_buf_n(&headers));
	mgr_meta_adds(meta, "remote", "127.0.0.1");
	if (body_n != UINT64_MAX)
		mgr_meta_addu(meta, "len", body_n);
	mgr_meta_addu(meta, "hops", 0);
	mgr_meta_adds(meta, "trace", uuid);
	return mgr_meta_end(meta);
}
