#include "hub.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "wire/json.h"

static char *
make_line(const char *event, const char *name, const char *detail)
{
	MGR_AUTO_BUF struct mgr_buf b = {0};
	char when[MGR_CLOCK_TEXT_MAX];

	mgr_clock_text(when, mgr_wall_ns());
	if (mgr_buf_addf(&b, "{\"ts\":\"%s\",\"event\":\"%s\",\"name\":", when, event) < 0 ||
	    mgr_json_add_string(&b, name, strlen(name)) < 0 || mgr_buf_adds(&b, ",\"detail\":") < 0 ||
	    mgr_json_add_string(&b, detail, strlen(detail)) < 0 || mgr_buf_adds(&b, "}\n") < 0)
		return NULL;
	return strdup(mgr_buf_str(&b));
}

static void
keep(struct hub *h, char *line)
{
	char **slot = &h->events.line[h->events.n++ % HUB_EVENT_MAX];
	struct client *c;

	free(*slot);
	*slot = line;
	LIST_FOREACH(c, &h->clients, link)
		if (c->events_id != 0)
			mgr_ctl_push(c->conn, c->events_id, false, false, line, strlen(line));
}

void
event_add(struct hub *h, enum mgr_log_level level, const char *event, const char *name, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	mgr_log(level, event, "name=%s%s%s", name[0] == '\0' ? "-" : name, detail[0] == '\0' ? "" : " ", detail);
	char *line = make_line(event, name, detail);
	if (line != NULL)
		keep(h, line);
}

void
events_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct hub *h = c->server->user;
	struct client *cl = client_of(c, req->id);
	MGR_AUTO_BUF struct mgr_buf b = {0};
	struct mgr_json value;
	bool follow = false;

	if (cl == NULL)
		return;
	if (mgr_json_get(&req->args, "follow", &value))
		mgr_json_bool(&value, &follow);
	if (follow && cl->events_id != 0) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "this connection follows already");
		return;
	}
	uint64_t n = h->events.n;
	for (uint64_t i = n < HUB_EVENT_MAX ? 0 : n - HUB_EVENT_MAX; i < n; i++)
		mgr_buf_adds(&b, h->events.line[i % HUB_EVENT_MAX]);
	if (follow)
		cl->events_id = req->id;
	mgr_ctl_push(c, req->id, true, !follow, mgr_buf_p(&b), mgr_buf_n(&b));
}

void
events_fini(struct events *e)
{
	for (size_t i = 0; i < HUB_EVENT_MAX; i++)
		free(e->line[i]);
	*e = (struct events){0};
}
