#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "os/sock.h"

static struct worker *
read_members(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	char why[HUB_WHY_MAX] = "out of memory";
	struct worker *w = NULL;
	struct mgr_doc *doc;
	int r = mgr_doc_parse(req->args.p, req->args.n, &doc);

	if (r == 0) {
		r = worker_read(doc, &w, why, sizeof(why));
		mgr_doc_free(doc);
	}
	if (r < 0)
		mgr_ctl_fail(c, req->id, r == -ENOMEM ? MGR_OUT_BUSY : MGR_OUT_BAD_REQUEST, "%s", why);
	return r < 0 ? NULL : w;
}

/* A registration that was being made learns why its worker may not serve. */
static void
tell_unit(struct unit *u, const char *why)
{
	if (u == NULL)
		return;
	u->refusal = MGR_OUT_CONFLICT;
	u->awaited = false;
	unit_say(u, why);
	/* Left over from a replacement that its hub did not live to finish. */
	if (u->role == UNIT_GUEST && unit_find(u->hub, u->name, UNIT_KEPT) != NULL)
		unit_end(u, false);
	hub_wake(u->hub);
}

/* Fills in what the kernel and we know of it: 0, or the request was refused. */
static int
admit(struct client *cl, const struct mgr_ctl_request *req, struct worker *w)
{
	struct hub *h = cl->hub;
	char why[HUB_WHY_MAX];
	pid_t pid;

	w->pid = cl->conn->pid;
	w->unit = unit_by_pid(h, w->pid);
	int r = mgr_sock_peer(cl->conn->peer.fd, &pid, &w->uid);
	if (r == 0 && w->unit != NULL && w->unit->name[0] != '\0' && strcmp(w->unit->name, w->name) != 0) {
		r = -EEXIST;
		snprintf(why, sizeof(why), "this worker was started as '%s'", w->unit->name);
	} else if (r == 0) {
		bool supersedes = w->unit != NULL && w->unit->role != UNIT_KEPT && w->unit->role != UNIT_GUEST;
		r = registry_check(&h->registry, w, supersedes, why, sizeof(why));
	} else {
		snprintf(why, sizeof(why), "%s", mgr_log_errno(r));
	}
	if (r == 0)
		return 0;
	event_add(h, MGR_WARN, "join-refused", w->name, "pid=%d why=%s", (int)w->pid, mgr_log_str(why));
	mgr_ctl_fail(cl->conn, req->id, r == -EEXIST ? MGR_OUT_CONFLICT : MGR_OUT_BUSY, "%s", why);
	tell_unit(r == -EEXIST ? w->unit : NULL, why);
	return r;
}

static void
note_ready(struct worker *w)
{
	if (w->unit == NULL || w->ready == 0)
		return;
	w->unit->was_ready = true;
	w->unit->failed = false;
}

static void
enter(struct client *cl, const struct mgr_ctl_request *req, struct worker *w)
{
	struct hub *h = cl->hub;
	struct unit *u = w->unit;
	char meta[64];

	mgr_rand_uuid(w->id);
	/* Its older connection, of which the end was not seen yet. */
	if (u != NULL && unit_is_joined(u))
		join_lost(u->worker, "worker-left");
	w->client = cl;
	cl->worker = w;
	w->unit = NULL;
	if (u != NULL)
		unit_bind(u, w);
	registry_add(&h->registry, w);
	w->ping.hub = h;
	ping_start(w);
	note_ready(w);
	event_add(h, MGR_INFO, "worker-joined", w->name, "pid=%d worker_id=%s state=%s ready=%u/%u", (int)w->pid,
		  w->id, worker_state_name[w->state], w->ready, w->want);
	table_touch(h);
	snprintf(meta, sizeof(meta), "{\"worker_id\":\"%s\"}", w->id);
	mgr_ctl_reply(cl->conn, req->id, meta, NULL, 0);
}

void
join_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct client *cl = client_of(c, req->id);

	if (cl == NULL)
		return;
	if (cl->worker != NULL || cl->hub->registry.n >= HUB_WORKER_MAX) {
		mgr_ctl_fail(c, req->id, cl->worker != NULL ? MGR_OUT_BAD_REQUEST : MGR_OUT_BUSY, "%s",
			     cl->worker != NULL ? "this connection has joined already" : "too many workers");
		return;
	}
	struct worker *w = read_members(c, req);
	if (w == NULL)
		return;
	if (admit(cl, req, w) < 0)
		worker_free(w);
	else
		enter(cl, req, w);
}

static void
note_change(struct worker *w, enum worker_state before)
{
	note_ready(w);
	if (w->state != before)
		event_add(w->ping.hub, w->state == WORKER_FAILED ? MGR_ERR : MGR_INFO, "worker-state", w->name,
			  "pid=%d state=%s ready=%u/%u%s%s", (int)w->pid, worker_state_name[w->state], w->ready,
			  w->want, w->why[0] != '\0' ? " why=" : "",
			  w->why[0] != '\0' ? mgr_log_str(w->why) : "");
	table_touch(w->ping.hub);
}

void
update_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct client *cl = client_of(c, req->id);
	char why[HUB_WHY_MAX];

	if (cl == NULL)
		return;
	struct worker *w = cl->worker;
	if (w == NULL) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "this connection has not joined");
		return;
	}
	struct worker *news = read_members(c, req);
	if (news == NULL)
		return;
	enum worker_state before = w->state;
	news->uid = w->uid;
	news->unit = w->unit;
	int r = strcmp(news->name, w->name) != 0 ? -EINVAL : 0;
	snprintf(why, sizeof(why), "the name must stay '%s'", w->name);
	/* Workers of one name learn their routes one after the other. */
	if (r == 0 && !worker_same_routes(news, w))
		r = registry_check(&cl->hub->registry, news, true, why, sizeof(why));
	if (r != -EINVAL) {
		worker_take(w, news, r == 0);
		note_change(w, before);
	}
	worker_free(news);
	if (r == 0)
		mgr_ctl_reply(c, req->id, NULL, NULL, 0);
	else
		mgr_ctl_fail(c, req->id, r == -EEXIST ? MGR_OUT_CONFLICT : MGR_OUT_BAD_REQUEST, "%s", why);
}

void
join_lost(struct worker *w, const char *event)
{
	struct hub *h = w->ping.hub;

	ping_stop(w);
	w->client->worker = NULL;
	event_add(h, MGR_INFO, event, w->name, "pid=%d worker_id=%s", (int)w->pid, w->id);
	if (w->unit != NULL) {
		unit_unbind(w->unit);
	} else {
		registry_del(&h->registry, w);
		worker_free(w);
	}
	table_touch(h);
}
