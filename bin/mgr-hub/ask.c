#include "hub.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "os/clock.h"

struct ask *
ask_new(struct hub *h, struct client *client, uint32_t id, const char *name, void (*step)(struct ask *))
{
	struct ask *a = h->ask_n >= HUB_ASK_MAX ? NULL : calloc(1, sizeof(*a));

	if (a == NULL) {
		if (client != NULL)
			mgr_ctl_fail(client->conn, id, MGR_OUT_BUSY, "too many requests are waiting");
		return NULL;
	}
	a->hub = h;
	a->client = client;
	a->id = id;
	a->step = step;
	snprintf(a->name, sizeof(a->name), "%s", name);
	TAILQ_INSERT_TAIL(&h->asks, a, link);
	h->ask_n++;
	hub_wake(h);
	return a;
}

static void
ask_free(struct ask *a)
{
	mgr_timer_stop(&a->timer);
	TAILQ_REMOVE(&a->hub->asks, a, link);
	a->hub->ask_n--;
	free(a);
}

static void
on_late(struct mgr_timer *t)
{
	hub_wake(MGR_CONTAINER(t, struct ask, timer)->hub);
}

void
ask_wait(struct ask *a, int64_t ns)
{
	mgr_timer_start(&a->timer, a->hub->loop, mgr_now_ns() + ns, on_late);
}

bool
ask_is_late(const struct ask *a)
{
	return !mgr_timer_is_on(&a->timer);
}

void
ask_done(struct ask *a, const char *meta)
{
	if (a->client != NULL)
		mgr_ctl_reply(a->client->conn, a->id, meta, NULL, 0);
	ask_free(a);
}

void
ask_fail(struct ask *a, enum mgr_outcome outcome, const char *why)
{
	if (a->client != NULL)
		mgr_ctl_fail(a->client->conn, a->id, outcome, "%s", why);
	ask_free(a);
}

/* A step ends at most its own ask, so the next one stays valid. */
void
asks_step(struct hub *h)
{
	struct ask *a, *next;

	for (a = TAILQ_FIRST(&h->asks); a != NULL; a = next) {
		next = TAILQ_NEXT(a, link);
		a->step(a);
	}
}

void
asks_forget_unit(struct hub *h, const struct unit *u)
{
	struct ask *a;

	TAILQ_FOREACH(a, &h->asks, link) {
		if (a->unit == u)
			a->unit = NULL;
		if (a->old == u)
			a->old = NULL;
	}
}

void
asks_forget_client(struct hub *h, const struct client *c)
{
	struct ask *a;

	TAILQ_FOREACH(a, &h->asks, link)
		if (a->client == c)
			a->client = NULL;
}

void
asks_fini(struct hub *h, const char *why)
{
	while (!TAILQ_EMPTY(&h->asks))
		ask_fail(TAILQ_FIRST(&h->asks), MGR_OUT_UNAVAILABLE, why);
}
