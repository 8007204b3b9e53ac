#include "worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/log.h"
#include "wire/json.h"
#include "wire/route.h"

#define GATHER_NS (5 * MGR_MS)

static void
add_string(struct mgr_buf *b, const char *text)
{
	mgr_json_add_string(b, text, strlen(text));
}

static int
add_route(struct worker *w, const char *text, size_t n)
{
	char method[MGR_ROUTE_METHOD_MAX], pattern[MGR_ROUTE_PATTERN_MAX + 1];
	const char *why;

	int r = mgr_route_parse(text, n, method, pattern, &why);
	if (r < 0)
		return r;
	mgr_buf_adds(&w->routes, mgr_buf_n(&w->routes) == 0 ? "{\"method\":" : ",{\"method\":");
	add_string(&w->routes, method);
	mgr_buf_adds(&w->routes, ",\"pattern\":");
	add_string(&w->routes, pattern);
	mgr_buf_adds(&w->routes, ",\"sse\":false}");
	return mgr_buf_addf(&w->route_lines, "%s %s\n", method[0] == '\0' ? "*" : method, pattern);
}

/* Without --route the handler is served under its name (mgr-worker(8), ROUTES). */
static int
add_default_route(struct worker *w)
{
	enum mgr_pool_mode mode = mgr_regopt_mode(&w->options->reg);
	bool any = mode == MGR_POOL_EXEC || mode == MGR_POOL_CGI;
	char text[80];
	int n = snprintf(text, sizeof(text), "%s/%s", any ? "" : "POST ", w->options->name);

	return add_route(w, text, (size_t)n);
}

static int
add_routes(struct worker *w)
{
	const struct mgr_opt_list *list = &w->options->reg.routes;
	int r = list->n == 0 ? add_default_route(w) : 0;

	for (size_t i = 0; i < list->n && r == 0; i++)
		r = add_route(w, list->item[i], strlen(list->item[i]));
	return r;
}

static void
add_command(struct worker *w, struct mgr_buf *b)
{
	mgr_buf_adds(b, ",\"cmd\":[");
	for (char **word = w->argv; *word != NULL; word++) {
		if (word != w->argv)
			mgr_buf_addc(b, ',');
		add_string(b, *word);
	}
	mgr_buf_addc(b, ']');
}

/* What the hub is told of us: the members of its verbs "join" and "update". */
static void
members(struct worker *w, struct mgr_buf *b)
{
	struct mgr_pool_stats stats = {.state = MGR_POOL_STARTING,
				       .want = (unsigned)w->options->reg.replicas};

	if (w->pool != NULL)
		mgr_pool_get_stats(w->pool, &stats);
	mgr_buf_addf(b, ",\"name\":\"%s\",\"mode\":\"%s\",\"pid\":%d,\"want\":%u,\"ready\":%u", w->options->name,
		     w->options->reg.mode, (int)getpid(), stats.want, stats.ready);
	mgr_buf_addf(b, ",\"state\":\"%s\",\"why\":",
		     mgr_pool_state_name[w->leaving ? MGR_POOL_DRAINING : stats.state]);
	add_string(b, stats.why);
	mgr_buf_adds(b, ",\"lane\":");
	add_string(b, w->lane_path);
	mgr_buf_adds(b, ",\"control\":");
	add_string(b, w->control_path);
	add_command(w, b);
	mgr_buf_addf(b, ",\"routes\":[%s]", mgr_buf_str(&w->routes));
}

static void
send_update(struct worker *w)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};

	members(w, &b);
	mgr_hub_update(&w->hub, mgr_buf_str(&b));
}

static void
update_due(struct mgr_timer *t)
{
	send_update(MGR_CONTAINER(t, struct worker, update));
}

void
join_changed(struct worker *w)
{
	if (!mgr_timer_is_on(&w->update))
		mgr_timer_start(&w->update, w->prog->loop, mgr_now_ns() + GATHER_NS, update_due);
}

/* Routes that the handler announced in READY are added to those of the registration. */
void
join_ready(struct worker *w, const char *routes)
{
	while (*routes != '\0') {
		size_t n = strcspn(routes, "\n");
		if (n > 0 && add_route(w, routes, n) < 0)
			mgr_log(MGR_WARN, "route-refused", "handler=%s route=%s", w->options->name,
				mgr_log_text(routes, n));
		routes += n + (routes[n] == '\n');
	}
	join_changed(w);
}

static void
joined(struct mgr_hub *hub, const char *worker_id, const char *error)
{
	struct worker *w = MGR_CONTAINER(hub, struct worker, hub);

	if (error == NULL) {
		mgr_log(MGR_INFO, "joined", "handler=%s worker_id=%s", w->options->name, worker_id);
		mgr_prog_notify("READY=1");
		return;
	}
	mgr_log(MGR_ERR, "refused", "handler=%s why=%s", w->options->name, mgr_log_str(error));
	mgr_prog_quit(w->prog, MGR_EXIT_CONFLICT);
}

static void
table_changed(struct mgr_hub *hub)
{
	mgr_caller_table_changed(&MGR_CONTAINER(hub, struct worker, hub)->caller);
}

int
join_open(struct worker *w)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	int r = add_routes(w);

	if (r == 0)
		r = mgr_hub_init(&w->hub, w->prog->loop, table_changed);
	if (r < 0)
		return r;
	members(w, &b);
	return mgr_hub_join(&w->hub, mgr_buf_str(&b), joined);
}

void
join_leave(struct worker *w)
{
	w->leaving = true;
	mgr_timer_stop(&w->update);
	send_update(w);
}

void
join_close(struct worker *w)
{
	mgr_timer_stop(&w->update);
	mgr_hub_fini(&w->hub);
	mgr_buf_fini(&w->routes);
}
