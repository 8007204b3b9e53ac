#include "hub.h"

#include <string.h>

#include "base/text.h"

enum phase { PHASE_ACK, PHASE_GONE };

/* A worker that somebody else started is stopped like one of ours. */
static void
take_over(struct hub *h, struct worker *w)
{
	struct unit *u = unit_new(h, w->name, NULL, UNIT_GUEST);

	if (u == NULL)
		return;
	if (unit_adopt(u, w->pid) < 0)
		unit_free(u);
	else
		unit_bind(u, w);
}

static void
take_over_all(struct hub *h, const char *name)
{
	struct worker *w;

	TAILQ_FOREACH(w, &h->registry.workers, link)
		if (w->unit == NULL && w->client != NULL && strcmp(w->name, name) == 0)
			take_over(h, w);
}

/* No new calls for any of them: how many. */
static unsigned
leave_all(struct hub *h, const char *name)
{
	struct unit *u;
	unsigned n = 0;

	TAILQ_FOREACH(u, &h->units, link) {
		if (strcmp(u->name, name) != 0)
			continue;
		n++;
		if (u->role != UNIT_LEAVING)
			unit_leave(u);
	}
	return n;
}

static unsigned
end_all(struct hub *h, const char *name)
{
	struct unit *u, *next;
	unsigned n = 0;

	for (u = TAILQ_FIRST(&h->units); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		if (u->role != UNIT_LEAVING || strcmp(u->name, name) != 0)
			continue;
		n += u->pid != 0;
		unit_end(u, false);
	}
	return n;
}

static void
step(struct ask *a)
{
	if (a->phase == PHASE_ACK) {
		if (!table_is_acked(a->hub, a->version) && !ask_is_late(a))
			return;
		a->phase = PHASE_GONE;
	}
	if (end_all(a->hub, a->name) == 0)
		ask_done(a, NULL);
}

void
unregister_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct hub *h = c->server->user;
	struct client *cl = client_of(c, req->id);
	char name[HUB_NAME_MAX + 1];
	struct mgr_json value;

	if (cl == NULL)
		return;
	if (!mgr_json_get(&req->args, "name", &value) || mgr_json_copy(&value, name, sizeof(name)) < 0) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "no name");
		return;
	}
	struct ask *a = ask_new(h, cl, req->id, name, step);
	if (a == NULL)
		return;
	/* The file goes first: a crash from here on must not bring it back. */
	bool was_stored = mgr_text_is_name(name, strlen(name)) && store_remove(h, name);
	take_over_all(h, name);
	if (leave_all(h, name) == 0 && !was_stored) {
		ask_fail(a, MGR_OUT_NOT_FOUND, "no such registration");
		return;
	}
	event_add(h, MGR_INFO, "unregistered", name, "%s", "");
	a->version = table_publish(h);
	ask_wait(a, h->opt->ack_ns);
}
