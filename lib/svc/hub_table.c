#include "svc/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ext/doc.h"

#define ROUTES_MAX 64
#define WORKERS_MAX 100000

struct mgr_hub_table *
mgr_hub_table_hold(struct mgr_hub_table *t)
{
	t->refs++;
	return t;
}

static void
worker_fini(struct mgr_hub_worker *w)
{
	for (size_t i = 0; i < w->route_n; i++) {
		free(w->route[i].method);
		free(w->route[i].pattern);
	}
	free(w->route);
	free(w->name);
	free(w->worker_id);
	free(w->lane);
	free(w->control);
	free(w->mode);
}

void
mgr_hub_table_drop(struct mgr_hub_table *t)
{
	if (t == NULL || --t->refs > 0)
		return;
	for (size_t i = 0; i < t->worker_n; i++)
		worker_fini(&t->worker[i]);
	free(t->worker);
	free(t);
}

static int
compare(const void *a, const void *b)
{
	const struct mgr_hub_worker *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r != 0 ? r : strcmp(x->worker_id, y->worker_id);
}

static int
copy(const struct mgr_doc *doc, const char *key, char **ret)
{
	const char *text = mgr_doc_str(doc, key, NULL);

	if (text == NULL)
		return -EINVAL;
	*ret = strdup(text);
	return *ret == NULL ? -ENOMEM : 0;
}

static int
read_routes(const struct mgr_doc *list, struct mgr_hub_worker *w)
{
	size_t n = mgr_doc_n(list);

	if (n > ROUTES_MAX)
		return -EINVAL;
	w->route = calloc(n + 1, sizeof(*w->route));
	if (w->route == NULL)
		return -ENOMEM;
	for (w->route_n = 0; w->route_n < n;) {
		const struct mgr_doc *doc = mgr_doc_at(list, w->route_n);
		struct mgr_hub_route *route = &w->route[w->route_n++];
		int r = copy(doc, "method", &route->method);

		if (r == 0)
			r = copy(doc, "pattern", &route->pattern);
		if (r < 0)
			return r;
		route->sse = mgr_doc_bool(doc, "sse", false);
	}
	return 0;
}

static int
read_worker(const struct mgr_doc *doc, struct mgr_hub_worker *w)
{
	const struct {
		const char *key;
		char **to;
	} text[] = {{"name", &w->name},       {"worker_id", &w->worker_id}, {"lane", &w->lane},
		    {"control", &w->control}, {"mode", &w->mode}};

	for (size_t i = 0; i < MGR_N(text); i++) {
		int r = copy(doc, text[i].key, text[i].to);
		if (r < 0)
			return r;
	}
	w->pid = (pid_t)mgr_doc_int(doc, "pid", 0);
	w->ready = (unsigned)mgr_doc_int(doc, "ready", 0);
	return read_routes(mgr_doc_get(doc, "routes"), w);
}

int
mgr_hub_table_parse(const char *p, size_t n, struct mgr_hub_table **ret_table)
{
	struct mgr_doc *doc = NULL;
	struct mgr_hub_table *t = calloc(1, sizeof(*t));
	int r = t == NULL ? -ENOMEM : mgr_doc_parse(p, n, &doc);

	if (r < 0)
		goto fail;
	t->refs = 1;
	t->version = (uint64_t)mgr_doc_int(doc, "version", 0);
	const struct mgr_doc *list = mgr_doc_get(doc, "workers");
	size_t count = mgr_doc_n(list);
	r = -EINVAL;
	if (!mgr_doc_is_array(list) || count > WORKERS_MAX)
		goto fail;
	r = -ENOMEM;
	t->worker = calloc(count + 1, sizeof(*t->worker));
	if (t->worker == NULL)
		goto fail;
	while (t->worker_n < count) {
		r = read_worker(mgr_doc_at(list, t->worker_n), &t->worker[t->worker_n]);
		t->worker_n++;
		if (r < 0)
			goto fail;
	}
	mgr_doc_free(doc);
	qsort(t->worker, t->worker_n, sizeof(*t->worker), compare);
	*ret_table = t;
	return 0;
fail:
	mgr_doc_free(doc);
	if (t != NULL)
		t->refs = 1;
	mgr_hub_table_drop(t);
	return r;
}

static int
compare_name(const char *name, size_t name_n, const char *with)
{
	int r = strncmp(name, with, name_n);

	return r != 0 ? r : (with[name_n] == '\0' ? 0 : -1);
}

size_t
mgr_hub_table_find(const struct mgr_hub_table *t, const char *name, size_t name_n, size_t *ret_first)
{
	size_t low = 0, high = t->worker_n, n = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare_name(name, name_n, t->worker[mid].name) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < t->worker_n && compare_name(name, name_n, t->worker[low + n].name) == 0)
		n++;
	*ret_first = low;
	return n;
}
