#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Until its worker joins, a registration is known by its ghost: nobody else may take its routes. */
static void
add_ghost(struct unit *u, struct worker *ghost)
{
	ghost->unit = u;
	ghost->show = u->role == UNIT_TRIAL ? SHOW_TRIAL : SHOW_YES;
	u->worker = ghost;
	registry_add(&u->hub->registry, ghost);
	table_touch(u->hub);
}

struct unit *
unit_new(struct hub *h, const char *name, struct mgr_doc *doc, enum unit_role role)
{
	struct unit *u = calloc(1, sizeof(*u));
	struct worker *ghost = doc == NULL ? NULL : worker_from_doc(doc);

	if (u == NULL || (doc != NULL && ghost == NULL)) {
		worker_free(ghost);
		free(u);
		mgr_doc_free(doc);
		return NULL;
	}
	u->hub = h;
	u->doc = doc;
	u->role = role;
	snprintf(u->name, sizeof(u->name), "%s", name);
	TAILQ_INSERT_TAIL(&h->units, u, link);
	if (ghost != NULL)
		add_ghost(u, ghost);
	return u;
}

static void
drop_worker(struct unit *u)
{
	struct worker *w = u->worker;

	u->worker = NULL;
	if (w == NULL)
		return;
	w->unit = NULL;
	if (w->client == NULL) {
		registry_del(&u->hub->registry, w);
		worker_free(w);
	}
	table_touch(u->hub);
}

void
unit_free(struct unit *u)
{
	struct hub *h = u->hub;

	mgr_assert(u->pid == 0);
	mgr_timer_stop(&u->timer);
	drop_worker(u);
	TAILQ_REMOVE(&h->units, u, link);
	asks_forget_unit(h, u);
	mgr_doc_free(u->doc);
	free(u);
	hub_wake(h);
}

struct unit *
unit_find(struct hub *h, const char *name, enum unit_role role)
{
	struct unit *u;

	TAILQ_FOREACH(u, &h->units, link)
		if (u->role == role && strcmp(u->name, name) == 0)
			return u;
	return NULL;
}

struct unit *
unit_by_pid(struct hub *h, pid_t pid)
{
	struct unit *u;

	TAILQ_FOREACH(u, &h->units, link)
		if (u->pid == pid && pid > 0)
			return u;
	return NULL;
}

bool
unit_is_joined(const struct unit *u)
{
	return u->worker != NULL && u->worker->client != NULL;
}

void
unit_say(struct unit *u, const char *why)
{
	snprintf(u->why, sizeof(u->why), "%s", why);
}

void
unit_bind(struct unit *u, struct worker *w)
{
	drop_worker(u);
	if (u->name[0] == '\0')
		snprintf(u->name, sizeof(u->name), "%s", w->name);
	w->unit = u;
	w->show = u->role == UNIT_TRIAL ? SHOW_TRIAL : u->role == UNIT_LEAVING ? SHOW_LEAVING : SHOW_YES;
	u->worker = w;
	u->awaited = false;
	if (u->evicted)
		mgr_timer_stop(&u->timer);
	u->evicted = false;
}

void
unit_unbind(struct unit *u)
{
	struct worker *w = u->worker;

	w->client = NULL;
	w->ready = 0;
	if (w->why[0] != '\0')
		unit_say(u, w->why);
	/* The routes stay known while somebody is expected to serve them again. */
	if (u->role == UNIT_LEAVING || u->doc == NULL) {
		drop_worker(u);
		return;
	}
	registry_del(&u->hub->registry, w);
	w->id[0] = '\0';
	w->pid = 0;
	w->state = WORKER_BACKOFF;
	registry_add(&u->hub->registry, w);
	table_touch(u->hub);
}

enum worker_state
unit_state(const struct unit *u)
{
	if (u->role == UNIT_LEAVING)
		return WORKER_DRAINING;
	if (u->pid != 0 && !u->evicted)
		return WORKER_STARTING;
	return u->failed ? WORKER_FAILED : WORKER_BACKOFF;
}
