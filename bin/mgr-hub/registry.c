#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void
registry_init(struct registry *r)
{
	TAILQ_INIT(&r->workers);
	r->n = 0;
}

static int
compare(const struct worker *a, const struct worker *b)
{
	int r = strcmp(a->name, b->name);

	return r != 0 ? r : strcmp(a->id, b->id);
}

void
registry_add(struct registry *r, struct worker *w)
{
	struct worker *at = TAILQ_FIRST(&r->workers);

	while (at != NULL && compare(at, w) <= 0)
		at = TAILQ_NEXT(at, link);
	if (at != NULL)
		TAILQ_INSERT_BEFORE(at, w, link);
	else
		TAILQ_INSERT_TAIL(&r->workers, w, link);
	r->n++;
}

void
registry_del(struct registry *r, struct worker *w)
{
	TAILQ_REMOVE(&r->workers, w, link);
	r->n--;
}

static bool
is_going(const struct worker *w)
{
	return w->show == SHOW_LEAVING || w->state == WORKER_DRAINING;
}

/* Several workers may serve one name, but only as one: the same owner, the same routes. */
static int
check_name(const struct registry *r, const struct worker *w, char *why, size_t why_n)
{
	const struct worker *on;

	TAILQ_FOREACH(on, &r->workers, link) {
		if (on == w || is_going(on) || strcmp(on->name, w->name) != 0 ||
		    (w->unit != NULL && on->unit == w->unit))
			continue;
		if (on->uid != w->uid) {
			snprintf(why, why_n, "'%s' is served by a worker of another user", w->name);
			return -EEXIST;
		}
		if (!worker_same_routes(on, w)) {
			snprintf(why, why_n, "'%s' is already served with other routes", w->name);
			return -EEXIST;
		}
	}
	return 0;
}

/* Finds the pair for the sentence; the table only knows the owner. */
static void
explain(const struct route *mine, const struct worker *other, char *why, size_t why_n)
{
	for (size_t i = 0; i < other->route_n; i++) {
		const struct route *theirs = &other->route[i];
		struct mgr_routes *pair;
		uint32_t owner;
		if (mgr_routes_new(&pair) < 0)
			break;
		int r = mgr_routes_add(pair, mine->method, mine->pattern, 0, &owner);
		if (r == 0)
			r = mgr_routes_add(pair, theirs->method, theirs->pattern, 1, &owner);
		mgr_routes_free(pair);
		if (r != -EEXIST)
			continue;
		snprintf(why, why_n, "route %s%s%s matches the same requests as %s%s%s of '%s'", mine->method,
			 mine->method[0] == '\0' ? "" : " ", mine->pattern, theirs->method,
			 theirs->method[0] == '\0' ? "" : " ", theirs->pattern, other->name);
		return;
	}
	snprintf(why, why_n, "route %s matches the same requests as one of '%s'", mine->pattern, other->name);
}

static const struct worker *
worker_at(const struct registry *r, uint32_t index)
{
	const struct worker *w = TAILQ_FIRST(&r->workers);

	while (w != NULL && index-- > 0)
		w = TAILQ_NEXT(w, link);
	return w;
}

/* All routes of other names; the owner is the place in the list of the name's first worker. */
static int
add_others(const struct registry *r, const struct worker *w, struct mgr_routes *routes)
{
	const struct worker *on, *first = NULL;
	uint32_t index = 0, owner = 0, conflict;

	TAILQ_FOREACH(on, &r->workers, link) {
		if (first == NULL || strcmp(first->name, on->name) != 0) {
			first = on;
			owner = index;
		}
		index++;
		if (is_going(on) || strcmp(on->name, w->name) == 0)
			continue;
		for (size_t i = 0; i < on->route_n; i++)
			if (mgr_routes_add(routes, on->route[i].method, on->route[i].pattern, owner,
					   &conflict) == -ENOMEM)
				return -ENOMEM;
	}
	return 0;
}

static int
check_routes(const struct registry *r, const struct worker *w, struct mgr_routes *routes, char *why,
	     size_t why_n)
{
	int result = add_others(r, w, routes);

	for (size_t i = 0; i < w->route_n && result == 0; i++) {
		uint32_t owner = 0;
		result = mgr_routes_add(routes, w->route[i].method, w->route[i].pattern, UINT32_MAX, &owner);
		const struct worker *other = result == -EEXIST ? worker_at(r, owner) : NULL;
		if (other != NULL)
			explain(&w->route[i], other, why, why_n);
	}
	return result;
}

int
registry_check(const struct registry *r, const struct worker *w, bool supersedes, char *why, size_t why_n)
{
	struct mgr_routes *routes;
	int result = supersedes ? 0 : check_name(r, w, why, why_n);

	if (result < 0)
		return result;
	snprintf(why, why_n, "out of memory");
	result = mgr_routes_new(&routes);
	if (result < 0)
		return result;
	result = check_routes(r, w, routes, why, why_n);
	mgr_routes_free(routes);
	return result;
}

static bool
is_good(const struct worker *w)
{
	return w->client != NULL && (w->ready > 0 || w->state == WORKER_STARTING);
}

bool
registry_lists(const struct registry *r, const struct worker *w)
{
	const struct worker *on;

	if (w->show != SHOW_YES || w->state == WORKER_DRAINING)
		return false;
	if (is_good(w))
		return true;
	/* The last of its name stays, so that callers can tell "not now" from "no such name". */
	TAILQ_FOREACH(on, &r->workers, link)
		if (on != w && on->show == SHOW_YES && on->state != WORKER_DRAINING && is_good(on) &&
		    strcmp(on->name, w->name) == 0)
			return false;
	return true;
}
