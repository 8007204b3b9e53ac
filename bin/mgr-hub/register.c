#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MARGIN_NS (2 * MGR_S) /* beyond the worker's own limit for the start of a replica */

enum phase { PHASE_START, PHASE_ACK };

/* A registration that did not come up leaves nothing behind; one that stood before stays. */
static void
fail(struct ask *a, enum mgr_outcome outcome, const char *text)
{
	char why[HUB_WHY_MAX];
	struct unit *u = a->unit;

	snprintf(why, sizeof(why), "%s", text);
	event_add(a->hub, MGR_WARN, "register-failed", a->name, "why=%s", mgr_log_str(why));
	ask_fail(a, outcome, why);
	if (u != NULL && u->role == UNIT_TRIAL)
		unit_end(u, false);
}

/* Makes a tried worker the one that serves; its predecessor gets no new calls from here on. */
static void
promote(struct ask *a)
{
	struct unit *u = a->unit, *old = unit_find(a->hub, a->name, UNIT_KEPT);

	u->role = UNIT_KEPT;
	u->worker->show = SHOW_YES;
	if (old != NULL)
		unit_leave(old);
	a->old = old;
	event_add(a->hub, MGR_INFO, old != NULL ? "replaced" : "registered", a->name, "pid=%d", (int)u->pid);
	table_touch(a->hub);
}

static void
accept(struct ask *a)
{
	struct unit *u = a->unit;
	bool save = !a->keep_files && (u->role == UNIT_TRIAL || a->store);
	int r = save ? store_save(a->hub, u->doc, a->store) : 0;
	char why[HUB_WHY_MAX];

	if (r < 0) {
		snprintf(why, sizeof(why), "cannot store the registration: %s", mgr_log_errno(r));
		fail(a, MGR_OUT_ERROR, why);
		return;
	}
	if (u->role == UNIT_TRIAL)
		promote(a);
	a->version = table_publish(a->hub);
	a->phase = PHASE_ACK;
	ask_wait(a, a->hub->opt->ack_ns);
	hub_wake(a->hub);
}

/* Why it will not become ready, or NULL: on trial one ended replica is enough. */
static const char *
why_not(const struct unit *u)
{
	const struct worker *w = u->worker;

	if (u->refusal != MGR_OUT_OK)
		return u->why;
	if (!unit_is_joined(u))
		return u->pid == 0 ? u->why : NULL;
	if (u->role == UNIT_TRIAL && w->why[0] != '\0')
		return w->why;
	if (w->state == WORKER_FAILED || w->state == WORKER_BACKOFF)
		return w->why[0] != '\0' ? w->why : "no replica is ready";
	return w->state == WORKER_DRAINING ? "the worker is stopping" : NULL;
}

static void
step_start(struct ask *a)
{
	const struct unit *u = a->unit;

	if (u == NULL || u->role == UNIT_LEAVING) {
		fail(a, MGR_OUT_CONFLICT, u != NULL && u->why[0] != '\0' ? u->why : "it was unregistered meanwhile");
		return;
	}
	const char *why = why_not(u);
	if (why != NULL)
		fail(a, u->refusal != MGR_OUT_OK ? u->refusal : MGR_OUT_ERROR, why[0] != '\0' ? why : "it ended");
	else if (unit_is_joined(u) && u->worker->state == WORKER_READY && u->worker->ready >= u->worker->want)
		accept(a);
	else if (ask_is_late(a))
		fail(a, MGR_OUT_ERROR, unit_is_joined(u) ? "not all replicas became ready in time"
							 : "mgr-worker did not join in time");
}

static void
step_ack(struct ask *a)
{
	char meta[128];

	if (!table_is_acked(a->hub, a->version) && !ask_is_late(a))
		return;
	if (a->old != NULL)
		unit_end(a->old, false);
	if (a->unit == NULL || a->unit->worker == NULL) {
		fail(a, MGR_OUT_CONFLICT, "it was unregistered meanwhile");
		return;
	}
	snprintf(meta, sizeof(meta), "{\"worker_id\":\"%s\",\"ready\":%u}", a->unit->worker->id,
		 a->unit->worker->ready);
	ask_done(a, meta);
}

static void
step(struct ask *a)
{
	if (a->phase == PHASE_START)
		step_start(a);
	else
		step_ack(a);
}

static struct ask *
wait_for(struct hub *h, struct client *c, uint32_t id, struct unit *u)
{
	struct ask *a = ask_new(h, c, id, u->name, step);

	if (a == NULL)
		return NULL;
	a->unit = u;
	ask_wait(a, regdoc_duration(u->doc, "start-time", h->opt->start_ns) + MARGIN_NS);
	return a;
}

/* The document is the same: a success as soon as it runs, so one that rests is started now. */
static struct unit *
again(struct unit *u)
{
	if (u->pid != 0)
		return u;
	u->failed = false;
	u->death_n = 0;
	u->tries = 0;
	unit_start(u);
	return u;
}

static int
check(struct hub *h, const struct mgr_doc *doc, bool supersedes, char *why, size_t why_n)
{
	struct worker *w = worker_from_doc(doc);

	snprintf(why, why_n, "out of memory");
	if (w == NULL)
		return -ENOMEM;
	int r = registry_check(&h->registry, w, supersedes, why, why_n);
	worker_free(w);
	return r;
}

/* The unit that is to serve doc, which is taken; NULL with a sentence. */
static struct unit *
choose(struct hub *h, struct mgr_doc *doc, bool replace, char *why, size_t why_n)
{
	const char *name = regdoc_name(doc);
	struct unit *trial = unit_find(h, name, UNIT_TRIAL), *kept = unit_find(h, name, UNIT_KEPT);
	struct unit *same = trial != NULL ? trial : kept;

	if (same != NULL && mgr_doc_equal(same->doc, doc)) {
		mgr_doc_free(doc);
		return again(same);
	}
	if (trial != NULL)
		snprintf(why, why_n, "'%s' is being registered with another command line", name);
	else if (kept != NULL && !replace)
		snprintf(why, why_n, "'%s' is registered with another command line; --replace takes its place", name);
	else if (check(h, doc, kept != NULL, why, why_n) == 0) {
		struct unit *u = unit_new(h, name, doc, UNIT_TRIAL);
		if (u != NULL)
			unit_start(u);
		return u;
	}
	mgr_doc_free(doc);
	return NULL;
}

static bool
flag(const struct mgr_ctl_request *req, const char *key, bool fallback)
{
	struct mgr_json value;
	bool set;

	return mgr_json_get(&req->args, key, &value) && mgr_json_bool(&value, &set) == 0 ? set : fallback;
}

void
register_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct hub *h = c->server->user;
	struct client *cl = client_of(c, req->id);
	char why[HUB_WHY_MAX] = "out of memory";
	struct mgr_doc *doc;

	if (cl == NULL)
		return;
	if (h->stopping) {
		mgr_ctl_fail(c, req->id, MGR_OUT_UNAVAILABLE, "the hub is stopping");
		return;
	}
	if (h->ask_n >= HUB_ASK_MAX) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BUSY, "too many requests are waiting");
		return;
	}
	int r = regdoc_read(req->body, req->body_n, &doc, why, sizeof(why));
	if (r < 0) {
		mgr_ctl_fail(c, req->id, r == -ENOMEM ? MGR_OUT_BUSY : MGR_OUT_BAD_REQUEST, "%s", why);
		return;
	}
	struct unit *u = choose(h, doc, flag(req, "replace", false), why, sizeof(why));
	if (u == NULL) {
		mgr_ctl_fail(c, req->id, MGR_OUT_CONFLICT, "%s", why);
		return;
	}
	struct ask *a = wait_for(h, cl, req->id, u);
	if (a != NULL)
		a->store = flag(req, "store", true);
	else if (u->role == UNIT_TRIAL)
		unit_end(u, false);
}

void
register_again(struct unit *old)
{
	struct hub *h = old->hub;
	struct unit *u = unit_new(h, old->name, mgr_doc_copy(old->doc), UNIT_TRIAL);

	if (u == NULL)
		return;
	unit_start(u);
	struct ask *a = wait_for(h, NULL, 0, u);
	if (a != NULL)
		a->keep_files = true;
	else
		unit_end(u, false);
}
