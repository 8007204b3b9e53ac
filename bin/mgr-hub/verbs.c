#include "hub.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static void
subscribe_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct client *cl = client_of(c, req->id);
	struct mgr_json program;

	if (cl == NULL)
		return;
	if (cl->table_id != 0 || req->id == 0) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "%s",
			     req->id == 0 ? "id 0 cannot be answered" : "this connection has subscribed already");
		return;
	}
	cl->table_id = req->id;
	cl->is_httpd = mgr_json_get(&req->args, "program", &program) && mgr_json_is(&program, "mgr-httpd");
	table_greet(cl);
}

static void
ack_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	struct client *cl = client_of(c, req->id);
	struct mgr_json value;
	int64_t version;

	if (cl == NULL)
		return;
	if (!mgr_json_get(&req->args, "version", &value) ||
	    mgr_json_int(&value, 0, (int64_t)cl->hub->table.version, &version) < 0) {
		mgr_ctl_fail(c, req->id, MGR_OUT_BAD_REQUEST, "no such version");
		return;
	}
	cl->acked = (uint64_t)version;
	hub_wake(cl->hub);
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
}

/* Through the signal, so that there is one way to stop and one to reload. */
static void
signal_self(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req, int signo)
{
	mgr_ctl_reply(c, req->id, NULL, NULL, 0);
	kill(getpid(), signo);
}

static void
shutdown_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	signal_self(c, req, SIGTERM);
}

static void
reload_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req)
{
	signal_self(c, req, SIGHUP);
}

const struct mgr_ctl_verb hub_verbs[] = {
	{"status", status_verb, "state of the hub"},
	{"ls", ls_verb, "all workers and registrations"},
	{"routes", routes_verb, "all routes"},
	{"register", register_verb, "start and keep the handler of a registration (BODY)"},
	{"unregister", unregister_verb, "stop a handler and forget its registration"},
	{"events", events_verb, "the last 256 events; follow = true for those to come"},
	{"join", join_verb, "a worker says what it serves"},
	{"update", update_verb, "a worker says what changed"},
	{"subscribe", subscribe_verb, "the routing table, now and at each change"},
	{"ack", ack_verb, "a subscriber has this version of the table"},
	{"shutdown", shutdown_verb, "stop the workers, then the hub"},
	{"reload", reload_verb, "re-execute the hub, leave the workers"},
	{NULL, NULL, NULL},
};
