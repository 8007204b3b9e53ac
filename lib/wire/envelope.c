#include "wire/envelope.h"

#include <string.h>

/* The envelope's member of that name, or NULL. */
static struct mgr_json *
member(struct mgr_envelope *env, const struct mgr_json *key)
{
	if (mgr_json_is(key, "data"))
		return &env->data;
	if (mgr_json_is(key, "type"))
		return &env->type;
	return mgr_json_is(key, "src") ? &env->src : NULL;
}

static void
keep_string(struct mgr_json *value)
{
	if (value->type != MGR_JSON_STRING)
		*value = (struct mgr_json){0};
}

bool
mgr_envelope_read(const char *body, size_t n, struct mgr_envelope *ret)
{
	struct mgr_envelope env = {0};
	struct mgr_json_iter it;
	struct mgr_json key, value;
	size_t start = 0;

	/* Most bodies that are no envelope are no object either: look before the whole is checked. */
	while (start < n && strchr(" \t\r\n", body[start]) != NULL && body[start] != '\0')
		start++;
	if (start == n || body[start] != '{' || mgr_json_check(body, n) < 0)
		return false;
	struct mgr_json root = mgr_json_root(body, n);
	mgr_json_iter_init(&it, &root);
	while (mgr_json_next(&it, &key, &value)) {
		struct mgr_json *to = member(&env, &key);
		if (to != NULL)
			*to = value;
	}
	keep_string(&env.type);
	keep_string(&env.src);
	if (env.data.n == 0 || (env.type.n == 0 && env.src.n == 0))
		return false;
	*ret = env;
	return true;
}

int
mgr_envelope_body(const struct mgr_envelope *env, struct mgr_buf *b)
{
	if (env->data.type == MGR_JSON_STRING)
		return mgr_json_text(&env->data, b);
	return mgr_buf_add(b, env->data.p, env->data.n);
}

int
mgr_envelope_answer(struct mgr_buf *b, bool ok, const char *text, size_t n)
{
	static const char head_ok[] = "{\"status\":\"ok\",\"message\":";
	static const char head_error[] = "{\"status\":\"error\",\"message\":";
	size_t had = mgr_buf_n(b), head_n = (ok ? sizeof(head_ok) : sizeof(head_error)) - 1;

	/* The quotes and the brace too: a plain text is one reservation. */
	int r = mgr_buf_reserve(b, head_n + n + 3);
	if (r == 0)
		r = mgr_buf_add(b, ok ? head_ok : head_error, head_n);
	if (r == 0)
		r = mgr_json_add_string(b, text, n);
	if (r == 0)
		r = mgr_buf_addc(b, '}');
	if (r < 0)
		mgr_buf_cut(b, mgr_buf_n(b) - had);
	return r;
}
