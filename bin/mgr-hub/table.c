#include "hub.h"

#include <string.h>

#include "os/clock.h"
#include "wire/json.h"

void
table_init(struct table *t)
{
	/* Versions go on rising over restarts of the hub, so that a late word about an old one is harmless. */
	*t = (struct table){.version = (uint64_t)(mgr_wall_ns() / MGR_MS), .dirty = true};
}

void
table_fini(struct table *t)
{
	mgr_buf_fini(&t->text);
	mgr_buf_fini(&t->work);
}

void
table_touch(struct hub *h)
{
	h->table.dirty = true;
	hub_wake(h);
}

static void
add_text(struct mgr_buf *b, const char *key, const char *value)
{
	mgr_buf_addf(b, "\"%s\":", key);
	mgr_json_add_string(b, value, strlen(value));
	mgr_buf_addc(b, ',');
}

static void
add_routes(struct mgr_buf *b, const struct worker *w)
{
	mgr_buf_adds(b, "\"routes\":[");
	for (size_t i = 0; i < w->route_n; i++) {
		const struct route *route = &w->route[i];
		mgr_buf_adds(b, i == 0 ? "{" : ",{");
		add_text(b, "method", route->method);
		add_text(b, "pattern", route->pattern);
		mgr_buf_addf(b, "\"sse\":%s}", route->sse ? "true" : "false");
	}
	mgr_buf_addc(b, ']');
}

/* A ghost has no lane: callers keep its routes and answer "unavailable". */
static void
add_worker(struct mgr_buf *b, const struct worker *w)
{
	bool ghost = w->client == NULL;

	mgr_buf_addc(b, '{');
	add_text(b, "name", w->name);
	add_text(b, "worker_id", w->id);
	mgr_buf_addf(b, "\"pid\":%d,", ghost ? 0 : (int)w->pid);
	add_text(b, "lane", ghost ? "" : w->lane);
	add_text(b, "control", ghost ? "" : w->control);
	add_text(b, "mode", w->mode);
	mgr_buf_addf(b, "\"ready\":%u,\"uid\":%u,", ghost ? 0 : w->ready, (unsigned)w->uid);
	add_routes(b, w);
	mgr_buf_addc(b, '}');
}

/* A text that memory cut short must not go out: the buffer's end tells. */
static bool
make(struct hub *h, struct mgr_buf *b)
{
	const struct worker *w;
	bool first = true;

	mgr_buf_adds(b, "\"workers\":[");
	TAILQ_FOREACH(w, &h->registry.workers, link) {
		if (!registry_lists(&h->registry, w))
			continue;
		if (!first)
			mgr_buf_addc(b, ',');
		first = false;
		add_worker(b, w);
	}
	mgr_buf_adds(b, "]}");
	return mgr_json_check(mgr_buf_p(b) + 10, mgr_buf_n(b) - 11) == 0;
}

static void
send_to(struct client *c)
{
	const struct table *t = &c->hub->table;

	/* A client that does not read is closed by its peer; its end comes from the loop. */
	mgr_ctl_push(c->conn, c->table_id, !c->greeted, false, mgr_buf_p(&t->text), mgr_buf_n(&t->text));
	c->greeted = true;
}

static void
push(struct hub *h)
{
	struct client *c;

	LIST_FOREACH(c, &h->clients, link)
		if (c->table_id != 0 && c->greeted)
			send_to(c);
}

uint64_t
table_publish(struct hub *h)
{
	struct table *t = &h->table;
	MGR_AUTO_BUF struct mgr_buf work = {0}, text = {0};

	if (!t->dirty)
		return t->version;
	if (!make(h, &work) || mgr_buf_addf(&text, "{\"version\":%llu,", (unsigned long long)t->version + 1) < 0 ||
	    mgr_buf_add(&text, mgr_buf_p(&work), mgr_buf_n(&work)) < 0) {
		mgr_log(MGR_ERR, "table-failed", "why=\"out of memory\" version=%llu", (unsigned long long)t->version);
		return t->version;
	}
	t->dirty = false;
	if (mgr_buf_n(&work) == mgr_buf_n(&t->work) &&
	    memcmp(mgr_buf_p(&work), mgr_buf_p(&t->work), mgr_buf_n(&work)) == 0)
		return t->version;
	struct mgr_buf old = t->work, old_text = t->text;
	t->work = work;
	t->text = text;
	work = old;
	text = old_text;
	t->version++;
	push(h);
	return t->version;
}

void
table_greet(struct client *c)
{
	if (c->table_id == 0 || c->greeted || !c->hub->settled)
		return;
	table_publish(c->hub);
	send_to(c);
}

bool
table_is_acked(const struct hub *h, uint64_t version)
{
	const struct client *c;

	LIST_FOREACH(c, &h->clients, link)
		if (c->table_id != 0 && c->is_httpd && c->acked < version)
			return false;
	return true;
}
