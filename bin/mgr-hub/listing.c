#include "hub.h"

#include <string.h>
#include <unistd.h>

#include "config.h"
#include "os/clock.h"
#include "wire/json.h"

static void
add_text(struct mgr_buf *b, const char *before, const char *value)
{
	mgr_buf_adds(b, before);
	mgr_json_add_string(b, value, strlen(value));
}

static const char *
shown_method(const struct route *route)
{
	return route->method[0] == '\0' ? "*" : route->method;
}

static void
add_routes(struct mgr_buf *b, const struct worker *w)
{
	MGR_AUTO_BUF struct mgr_buf text = {0};

	for (size_t i = 0; i < w->route_n; i++) {
		mgr_buf_clear(&text, SIZE_MAX);
		mgr_buf_addf(&text, "%s %s", shown_method(&w->route[i]), w->route[i].pattern);
		add_text(b, i == 0 ? "" : ",", mgr_buf_str(&text));
	}
}

static void
add_live(struct mgr_buf *b, const struct worker *w)
{
	mgr_buf_addf(b, ",\"state\":\"%s\",\"worker_id\":\"%s\",\"pid\":%d",
		     worker_state_name[w->show == SHOW_LEAVING ? WORKER_DRAINING : w->state], w->id, (int)w->pid);
	add_text(b, ",\"control\":", w->control);
	add_text(b, ",\"why\":", w->why);
}

/* A registration whose worker is not there. */
static void
add_ghost(struct mgr_buf *b, const struct worker *w)
{
	const struct unit *u = w->unit;

	mgr_buf_addf(b, ",\"state\":\"%s\",\"worker_id\":null,\"pid\":null,\"control\":null",
		     worker_state_name[u == NULL ? WORKER_BACKOFF : unit_state(u)]);
	add_text(b, ",\"why\":", u == NULL ? "" : u->why);
}

static void
add_worker(struct mgr_buf *b, const struct worker *w)
{
	add_text(b, "{\"name\":", w->name);
	add_text(b, ",\"mode\":", w->mode);
	mgr_buf_adds(b, ",\"cmd\":");
	if (w->cmd == NULL || mgr_doc_print(w->cmd, false, b) < 0)
		mgr_buf_adds(b, "[]");
	mgr_buf_adds(b, ",\"routes\":[");
	add_routes(b, w);
	mgr_buf_addf(b, "],\"replicas\":{\"want\":%u,\"ready\":%u}", w->want, w->ready);
	if (w->client != NULL)
		add_live(b, w);
	else
		add_ghost(b, w);
	mgr_buf_addc(b, '}');
}

/* A listing that memory cut short is an error, not an answer. */
static void
answer(struct mgr_ctl_conn *c, uint32_t id, const char *meta, const struct mgr_buf *b)
{
	if (mgr_json_check(mgr_buf_p(b), mgr_buf_n(b)) < 0)
		mgr_ctl_fail(c, id, MGR_OUT_BUSY, "out of memory");
	else
		mgr_ctl_reply(c, id, meta, mgr_buf_p(b), mgr_buf_n(b));
}

void
ls_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	const struct hub *h = c->server->user;
	MGR_AUTO_BUF struct mgr_buf b = {0};
	const struct worker *w;

	mgr_buf_addc(&b, '[');
	TAILQ_FOREACH(w, &h->registry.workers, link) {
		if (mgr_buf_n(&b) > 1)
			mgr_buf_addc(&b, ',');
		add_worker(&b, w);
	}
	mgr_buf_addc(&b, ']');
	answer(c, req->id, NULL, &b);
}

/* Workers of one name have the same routes: the first one shows them. */
void
routes_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	const struct hub *h = c->server->user;
	MGR_AUTO_BUF struct mgr_buf b = {0};
	const struct worker *w;
	const char *last = "";

	mgr_buf_addc(&b, '[');
	TAILQ_FOREACH(w, &h->registry.workers, link) {
		if (w->show != SHOW_YES || w->state == WORKER_DRAINING || strcmp(w->name, last) == 0)
			continue;
		last = w->name;
		for (size_t i = 0; i < w->route_n; i++) {
			add_text(&b, mgr_buf_n(&b) > 1 ? ",{\"method\":" : "{\"method\":", shown_method(&w->route[i]));
			add_text(&b, ",\"pattern\":", w->route[i].pattern);
			add_text(&b, ",\"name\":", w->name);
			mgr_buf_addf(&b, ",\"sse\":%s}", w->route[i].sse ? "true" : "false");
		}
	}
	mgr_buf_addc(&b, ']');
	answer(c, req->id, NULL, &b);
}

void
status_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	const struct hub *h = c->server->user;
	MGR_AUTO_BUF struct mgr_buf meta = {0}, body = {0};
	char since[MGR_CLOCK_TEXT_MAX];
	const struct client *cl;
	const struct unit *u;
	unsigned subscriber_n = 0, unit_n = 0;

	LIST_FOREACH(cl, &h->clients, link)
		subscriber_n += cl->table_id != 0;
	TAILQ_FOREACH(u, &h->units, link)
		unit_n += u->role == UNIT_KEPT;
	mgr_clock_text(since, h->since_wall_ns);
	mgr_buf_addf(&meta, "{\"name\":\"mgr-hub\",\"pid\":%d,\"state\":\"%s\",\"since\":\"%s\",\"version\":\"%s\"}",
		     (int)getpid(), h->stopping ? "draining" : h->is_ready ? "ready" : "starting", since,
		     PACKAGE_VERSION);
	mgr_buf_addf(&body, "{\"workers\":%zu,\"registrations\":%u,\"subscribers\":%u,\"table\":%llu,\"events\":%llu}",
		     h->registry.n, unit_n, subscriber_n, (unsigned long long)h->table.version,
		     (unsigned long long)h->events.n);
	answer(c, req->id, mgr_buf_str(&meta), &body);
}
