#include "svc/pool_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

#define VALUE_MAX (128u * 1024) /* one variable: the kernel takes no longer one */

/* A member of META as bytes.  Text that came as bytes was mapped to U+0080..FF and is mapped back. */
static int
get_text(const struct mgr_json *object, const char *key, bool bytes, struct mgr_buf *value)
{
	struct mgr_json member;

	mgr_buf_clear(value, VALUE_MAX);
	if (!mgr_json_get(object, key, &member) || member.type != MGR_JSON_STRING)
		return -ENOENT;
	int r = mgr_json_text(&member, value);
	if (r < 0 || !bytes)
		return r;
	char *p = mgr_buf_p(value), *to = p;
	size_t n = mgr_buf_n(value);
	for (size_t i = 0; i < n; i++, to++) {
		unsigned char c = (unsigned char)p[i];
		if ((c == 0xc2 || c == 0xc3) && i + 1 < n)
			*to = (char)(((c & 3) << 6) | ((unsigned char)p[++i] & 0x3f));
		else
			*to = (char)c;
	}
	mgr_buf_cut(value, n - (size_t)(to - p));
	return 0;
}

/* Adds NAME=value with its NUL; a value that no variable can hold is left out. */
static int
add_var(struct mgr_buf *vars, const char *name, const char *p, size_t n)
{
	if (n > VALUE_MAX || (n > 0 && memchr(p, '\0', n) != NULL))
		return 0;
	mgr_buf_adds(vars, name);
	mgr_buf_addc(vars, '=');
	mgr_buf_add(vars, p, n);
	return mgr_buf_addc(vars, '\0');
}

static int
add_vars(struct mgr_buf *vars, const char *name, const char *value)
{
	return add_var(vars, name, value, strlen(value));
}

static const struct {
	const char *key, *name;
	bool bytes, always;
} members[] = {
	{"method", "REQUEST_METHOD", false, true}, {"path", "SCRIPT_NAME", true, true},
	{"path", "REQUEST_PATH", true, false},     {"qs", "QUERY_STRING", true, true},
	{"user", "REMOTE_USER", false, false},     {"kind", "MGR_KIND", false, false},
	{"src", "MGR_SRC", false, false},          {"trace", "MGR_TRACE", false, false},
	{"route", "MGR_ROUTE", false, false},      {"trace", "MGR_ID", false, false},
};

static int
add_members(struct mgr_buf *vars, const struct mgr_json *root)
{
	MGR_AUTO_BUF struct mgr_buf value = {0};
	int r = 0;

	for (size_t i = 0; i < MGR_N(members) && r == 0; i++) {
		bool found = get_text(root, members[i].key, members[i].bytes, &value) == 0;
		if (found || members[i].always)
			r = add_var(vars, members[i].name, mgr_buf_n(&value) > 0 ? mgr_buf_p(&value) : "",
				    mgr_buf_n(&value));
	}
	return r;
}

/* "192.0.2.1:80", "[2001:db8::1]:80" or an address alone. */
static int
add_remote(struct mgr_buf *vars, const struct mgr_json *root)
{
	MGR_AUTO_BUF struct mgr_buf value = {0};

	if (get_text(root, "remote", false, &value) < 0)
		return 0;
	const char *text = mgr_buf_str(&value), *colon = strrchr(text, ':');
	size_t n = strlen(text);
	if (text[0] == '[' && strchr(text, ']') != NULL) {
		const char *end = strchr(text, ']');
		if (end[1] == ':')
			add_vars(vars, "REMOTE_PORT", end + 2);
		return add_var(vars, "REMOTE_ADDR", text + 1, (size_t)(end - text) - 1);
	}
	if (colon != NULL && strchr(text, ':') == colon) {
		add_vars(vars, "REMOTE_PORT", colon + 1);
		n = (size_t)(colon - text);
	}
	return add_var(vars, "REMOTE_ADDR", text, n);
}

/* HTTP_NAME for a header; "" for one that must not become a variable. */
static void
header_name(const char *key, size_t n, char name[static 80])
{
	static const char *const never[] = {"proxy", "content-type", "content-length"};
	size_t at = 5;

	name[0] = '\0';
	for (size_t i = 0; i < MGR_N(never); i++)
		if (strlen(never[i]) == n && strncasecmp(never[i], key, n) == 0)
			return;
	if (n > 70)
		return;
	memcpy(name, "HTTP_", 5);
	for (size_t i = 0; i < n; i++) {
		char c = key[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		/* A name with '_' would look like another one with '-'. */
		if (c != '-' && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')) {
			name[0] = '\0';
			return;
		}
		name[at++] = c == '-' ? '_' : c;
	}
	name[at] = '\0';
}

static int
add_headers(struct mgr_buf *vars, const struct mgr_json *root)
{
	MGR_AUTO_BUF struct mgr_buf value = {0};
	struct mgr_json headers, key, item;
	struct mgr_json_iter it;
	char word[72], name[80];
	int r = 0;

	if (!mgr_json_get(root, "headers", &headers) || headers.type != MGR_JSON_OBJECT)
		return 0;
	if (get_text(&headers, "content-type", true, &value) == 0)
		add_var(vars, "CONTENT_TYPE", mgr_buf_p(&value), mgr_buf_n(&value));
	if (get_text(&headers, "host", true, &value) == 0) {
		const char *host = mgr_buf_str(&value), *colon = strrchr(host, ':');
		bool port = colon != NULL && strchr(colon, ']') == NULL;
		add_var(vars, "SERVER_NAME", host, port ? (size_t)(colon - host) : strlen(host));
		add_vars(vars, "SERVER_PORT", port ? colon + 1 : "80");
	}
	mgr_json_iter_init(&it, &headers);
	while (r == 0 && mgr_json_next(&it, &key, &item)) {
		if (mgr_json_copy(&key, word, sizeof(word)) < 0)
			continue;
		header_name(word, strlen(word), name);
		if (name[0] != '\0' && get_text(&headers, word, true, &value) == 0)
			r = add_var(vars, name, mgr_buf_n(&value) > 0 ? mgr_buf_p(&value) : "", mgr_buf_n(&value));
	}
	return r;
}

static bool
is_word(const char *p)
{
	for (; *p != '\0'; p++)
		if (*p != '_' && !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9'))
			return false;
	return true;
}

static int
add_params(struct mgr_buf *vars, const struct mgr_json *root)
{
	MGR_AUTO_BUF struct mgr_buf value = {0};
	struct mgr_json params, key, item;
	struct mgr_json_iter it;
	char word[64], name[80];
	int r = 0;

	if (!mgr_json_get(root, "params", &params) || params.type != MGR_JSON_OBJECT)
		return 0;
	mgr_json_iter_init(&it, &params);
	while (r == 0 && mgr_json_next(&it, &key, &item)) {
		if (mgr_json_copy(&key, word, sizeof(word)) < 0 || !is_word(word))
			continue;
		snprintf(name, sizeof(name), "PARAM_%s", word);
		if (get_text(&params, word, false, &value) == 0)
			r = add_var(vars, name, mgr_buf_n(&value) > 0 ? mgr_buf_p(&value) : "", mgr_buf_n(&value));
	}
	return r;
}

static int
make_vars(struct mgr_pool *pool, const struct mgr_task *task, const struct mgr_json *root, struct mgr_buf *vars)
{
	char number[32];

	add_vars(vars, "GATEWAY_INTERFACE", "CGI/1.1");
	add_vars(vars, "SERVER_SOFTWARE", "mgr");
	add_vars(vars, "SERVER_PROTOCOL", "HTTP/1.1");
	add_vars(vars, "PATH_INFO", "");
	snprintf(number, sizeof(number), "%lld",
		 (long long)((task->deadline_ns - mgr_loop_now(pool->loop)) / MGR_MS));
	add_vars(vars, "MGR_DEADLINE_MS", number);
	if (task->body_n != MGR_POOL_UNKNOWN) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)task->body_n);
		add_vars(vars, "CONTENT_LENGTH", number);
	}
	int r = add_members(vars, root);
	if (r == 0)
		r = add_remote(vars, root);
	if (r == 0)
		r = add_headers(vars, root);
	return r == 0 ? add_params(vars, root) : r;
}

/* "{name}" alone is replaced by the parameter; no other text of the request ever gets into argv. */
static int
add_arg(struct mgr_buf *args, const char *arg, const struct mgr_json *params, const char **ret_why)
{
	MGR_AUTO_BUF struct mgr_buf value = {0};
	size_t n = strlen(arg);
	char name[64];

	if (n < 3 || n - 2 >= sizeof(name) || arg[0] != '{' || arg[n - 1] != '}')
		return mgr_buf_add(args, arg, n + 1);
	memcpy(name, arg + 1, n - 2);
	name[n - 2] = '\0';
	if (!is_word(name))
		return mgr_buf_add(args, arg, n + 1);
	*ret_why = "a parameter that the handler needs is not there";
	if (params->type != MGR_JSON_OBJECT || get_text(params, name, false, &value) < 0)
		return -EINVAL;
	const char *p = mgr_buf_n(&value) > 0 ? mgr_buf_p(&value) : "";
	*ret_why = "a parameter begins with \"-\" or holds a NUL";
	if (p[0] == '-' || memchr(p, '\0', mgr_buf_n(&value)) != NULL)
		return -EINVAL;
	mgr_buf_add(args, p, mgr_buf_n(&value));
	return mgr_buf_addc(args, '\0');
}

static size_t
count_strings(const struct mgr_buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < mgr_buf_n(b); i++)
		n += mgr_buf_p(b)[i] == '\0' ? 1 : 0;
	return n;
}

/* A list of the strings in b behind fixed_n given ones. */
static char **
make_list(const struct mgr_buf *b, char *const *fixed, size_t fixed_n)
{
	size_t n = count_strings(b);
	char **list = calloc(fixed_n + n + 1, sizeof(*list)), *at = n > 0 ? mgr_buf_p(b) : NULL;

	for (size_t i = 0; list != NULL && i < fixed_n; i++)
		list[i] = fixed[i];
	for (size_t i = 0; list != NULL && i < n; i++) {
		list[fixed_n + i] = at;
		at += strlen(at) + 1;
	}
	return list;
}

int
mgr_cgi_start_make(struct mgr_pool *pool, const struct mgr_task *task, struct mgr_cgi_start *s,
		   const char **ret_why)
{
	struct mgr_json params = {0};
	size_t fixed_n = 0;
	int r = 0;

	*ret_why = "the metadata of the request is not usable";
	if (task->meta_n == 0 || mgr_json_check(task->meta, task->meta_n) < 0)
		return -EINVAL;
	struct mgr_json root = mgr_json_root(task->meta, task->meta_n);
	if (root.type != MGR_JSON_OBJECT)
		return -EINVAL;
	if (!mgr_json_get(&root, "params", &params))
		params = (struct mgr_json){.type = MGR_JSON_NULL};
	for (size_t i = 0; pool->conf.argv[i] != NULL && r == 0; i++)
		r = add_arg(&s->args, pool->conf.argv[i], &params, ret_why);
	if (r < 0)
		return r;
	*ret_why = "";
	r = make_vars(pool, task, &root, &s->vars);
	if (r < 0)
		return r;
	while (pool->envp[fixed_n] != NULL)
		fixed_n++;
	s->argv = make_list(&s->args, NULL, 0);
	s->envp = make_list(&s->vars, pool->envp, fixed_n);
	return s->argv == NULL || s->envp == NULL ? -ENOMEM : 0;
}

void
mgr_cgi_start_fini(struct mgr_cgi_start *s)
{
	free(s->argv);
	free(s->envp);
	mgr_buf_fini(&s->args);
	mgr_buf_fini(&s->vars);
}
