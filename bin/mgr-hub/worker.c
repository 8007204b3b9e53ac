#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"

#define REPLICA_MAX 4096

const char *const worker_state_name[WORKER_STATE_N] = {
	[WORKER_STARTING] = "starting", [WORKER_READY] = "ready",       [WORKER_BACKOFF] = "backoff",
	[WORKER_FAILED] = "failed",     [WORKER_DRAINING] = "draining",
};

static const char *const modes[] = {"frame", "packet", "line", "filter", "exec", "cgi"};

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	mgr_doc_free(w->cmd);
	free(w->route);
	free(w);
}

static int
refuse(char *why, size_t why_n, const char *what)
{
	snprintf(why, why_n, "%s", what);
	return -EINVAL;
}

static bool
is_mode(const char *text)
{
	for (size_t i = 0; i < MGR_N(modes); i++)
		if (strcmp(modes[i], text) == 0)
			return true;
	return false;
}

static int
read_state(const char *text, enum worker_state *ret_state)
{
	if (strcmp(text, "stopped") == 0) {
		*ret_state = WORKER_DRAINING;
		return 0;
	}
	for (int i = 0; i < WORKER_STATE_N; i++) {
		if (strcmp(worker_state_name[i], text) == 0) {
			*ret_state = (enum worker_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* An absolute path that fits into sun_path: callers will connect to it. */
static int
read_socket(const struct mgr_doc *members, const char *key, char to[static HUB_SOCKET_MAX])
{
	const char *path = mgr_doc_str(members, key, "");
	size_t n = strlen(path);

	if (path[0] != '/' || n >= HUB_SOCKET_MAX || !mgr_text_is_utf8(path, n))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)path[i] < 0x20)
			return -EINVAL;
	memcpy(to, path, n + 1);
	return 0;
}

static int
read_route(const struct mgr_doc *item, struct route *route, const char **ret_why)
{
	char text[MGR_ROUTE_METHOD_MAX + MGR_ROUTE_PATTERN_MAX + 2];
	const char *method = mgr_doc_str(item, "method", NULL), *pattern = mgr_doc_str(item, "pattern", NULL);

	*ret_why = "method and pattern must be texts";
	if (!mgr_doc_is_object(item) || method == NULL || pattern == NULL)
		return -EINVAL;
	if (strcmp(method, "*") == 0)
		method = "";
	int n = snprintf(text, sizeof(text), "%s%s%s", method, method[0] == '\0' ? "" : " ", pattern);
	*ret_why = "too long";
	if (n < 0 || n >= (int)sizeof(text))
		return -EINVAL;
	route->sse = mgr_doc_bool(item, "sse", false);
	return mgr_route_parse(text, (size_t)n, route->method, route->pattern, ret_why);
}

static int
read_routes(const struct mgr_doc *list, struct worker *w, char *why, size_t why_n)
{
	size_t n = mgr_doc_n(list);

	if (!mgr_doc_is_array(list))
		return refuse(why, why_n, "routes must be a list");
	if (n > HUB_ROUTE_MAX)
		return refuse(why, why_n, "more than 64 routes");
	w->route = calloc(n == 0 ? 1 : n, sizeof(*w->route));
	if (w->route == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *what = NULL;
		if (read_route(mgr_doc_at(list, i), &w->route[i], &what) < 0) {
			snprintf(why, why_n, "route %zu: %s", i + 1, what != NULL ? what : "bad");
			return -EINVAL;
		}
	}
	w->route_n = n;
	return 0;
}

static int
read_cmd(const struct mgr_doc *list, struct worker *w, char *why, size_t why_n)
{
	if (list == NULL)
		return 0;
	if (!mgr_doc_is_array(list) || mgr_doc_n(list) > HUB_ARG_MAX)
		return refuse(why, why_n, "cmd must be a list of at most 1024 texts");
	for (size_t i = 0; i < mgr_doc_n(list); i++)
		if (mgr_doc_text(mgr_doc_at(list, i)) == NULL)
			return refuse(why, why_n, "cmd must be a list of at most 1024 texts");
	w->cmd = mgr_doc_copy(list);
	return w->cmd == NULL ? -ENOMEM : 0;
}

static int
read_count(const struct mgr_doc *members, const char *key, unsigned *ret_n)
{
	int64_t n = mgr_doc_int(members, key, 0);

	if (n < 0 || n > REPLICA_MAX)
		return -EINVAL;
	*ret_n = (unsigned)n;
	return 0;
}

static int
read_members(const struct mgr_doc *m, struct worker *w, char *why, size_t why_n)
{
	const char *name = mgr_doc_str(m, "name", ""), *mode = mgr_doc_str(m, "mode", "frame");

	if (!mgr_text_is_name(name, strlen(name)))
		return refuse(why, why_n, "name must be 1-64 of A-Z a-z 0-9 _ . - and begin with a letter or digit");
	if (mgr_route_is_reserved(name, strlen(name)))
		return refuse(why, why_n, "this name is reserved");
	if (!is_mode(mode))
		return refuse(why, why_n, "unknown mode");
	if (read_socket(m, "lane", w->lane) < 0 || read_socket(m, "control", w->control) < 0)
		return refuse(why, why_n, "lane and control must be absolute paths of at most 107 bytes");
	if (read_count(m, "want", &w->want) < 0 || read_count(m, "ready", &w->ready) < 0)
		return refuse(why, why_n, "want and ready must be numbers up to 4096");
	if (read_state(mgr_doc_str(m, "state", "starting"), &w->state) < 0)
		return refuse(why, why_n, "unknown state");
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(w->mode, sizeof(w->mode), "%s", mode);
	snprintf(w->why, sizeof(w->why), "%s", mgr_doc_str(m, "why", ""));
	int r = read_routes(mgr_doc_get(m, "routes"), w, why, why_n);
	return r < 0 ? r : read_cmd(mgr_doc_get(m, "cmd"), w, why, why_n);
}

int
worker_read(const struct mgr_doc *members, struct worker **ret_worker, char *why, size_t why_n)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r = w == NULL ? -ENOMEM : read_members(members, w, why, why_n);

	if (r < 0) {
		worker_free(w);
		return r;
	}
	*ret_worker = w;
	return 0;
}

/* The n-th value of --route, or NULL. */
static const char *
route_option(const struct mgr_doc *args, size_t *at)
{
	for (size_t i = *at; i < mgr_doc_n(args); i++) {
		const char *text = mgr_doc_text(mgr_doc_at(args, i));
		*at = i + 1;
		if (strncmp(text, "--route=", 8) == 0)
			return text + 8;
		if (strcmp(text, "--route") == 0 && i + 1 < mgr_doc_n(args)) {
			*at = i + 2;
			return mgr_doc_text(mgr_doc_at(args, i + 1));
		}
	}
	return NULL;
}

/* Without --route mgr-worker takes POST /NAME, or any method in the modes that see one. */
static void
default_route(struct worker *w)
{
	bool any = strcmp(w->mode, "exec") == 0 || strcmp(w->mode, "cgi") == 0;

	snprintf(w->route[0].method, sizeof(w->route[0].method), "%s", any ? "" : "POST");
	snprintf(w->route[0].pattern, sizeof(w->route[0].pattern), "/%s", w->name);
	w->route_n = 1;
}

struct worker *
worker_from_doc(const struct mgr_doc *doc)
{
	struct worker *w = calloc(1, sizeof(*w));
	const struct mgr_doc *args = mgr_doc_get(doc, "args");
	uint64_t want = 1;
	size_t at = 0;

	if (w == NULL)
		return NULL;
	w->uid = geteuid();
	w->cmd = mgr_doc_copy(mgr_doc_get(doc, "cmd"));
	w->route = calloc(HUB_ROUTE_MAX, sizeof(*w->route));
	if (w->cmd == NULL || w->route == NULL) {
		worker_free(w);
		return NULL;
	}
	const char *replicas = regdoc_option(doc, "replicas", "1");
	mgr_num_parse(replicas, strlen(replicas), REPLICA_MAX, &want);
	w->want = (unsigned)want;
	snprintf(w->name, sizeof(w->name), "%s", regdoc_name(doc));
	snprintf(w->mode, sizeof(w->mode), "%s", regdoc_option(doc, "mode", "frame"));
	for (const char *text = route_option(args, &at); text != NULL; text = route_option(args, &at)) {
		struct route *route = &w->route[w->route_n];
		const char *why;
		if (w->route_n < HUB_ROUTE_MAX &&
		    mgr_route_parse(text, strlen(text), route->method, route->pattern, &why) == 0)
			w->route_n++;
	}
	if (w->route_n == 0)
		default_route(w);
	return w;
}

bool
worker_same_routes(const struct worker *a, const struct worker *b)
{
	if (a->route_n != b->route_n)
		return false;
	for (size_t i = 0; i < a->route_n; i++)
		if (strcmp(a->route[i].method, b->route[i].method) != 0 ||
		    strcmp(a->route[i].pattern, b->route[i].pattern) != 0 || a->route[i].sse != b->route[i].sse)
			return false;
	return true;
}

void
worker_take(struct worker *w, struct worker *news, bool with_routes)
{
	w->state = news->state;
	w->want = news->want;
	w->ready = news->ready;
	memcpy(w->why, news->why, sizeof(w->why));
	if (!with_routes)
		return;
	struct route *route = w->route;
	w->route = news->route;
	w->route_n = news->route_n;
	news->route = route;
}
