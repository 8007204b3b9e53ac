/*
 * mgr-hub: who serves which name and route, and who is alive.  This is the floor plan.
 *
 * Everything lives in struct hub and on one loop.  Events (a verb, a death, a timer) only change
 * what is known and call hub_wake; hub_work then walks the rooms in one fixed order and draws the
 * conclusions: settle, answer who waits, push the table, say READY, end.
 *
 * A worker is what joined over a connection, or the memory of one that is away (a ghost: no client).
 * A unit is a mgr-worker process that the hub started or adopted, with its registration.
 */
#ifndef MGR_HUB_HUB_H
#define MGR_HUB_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/outcome.h"
#include "ext/doc.h"
#include "ipc/ctl.h"
#include "os/child.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/paths.h"
#include "svc/caller.h"
#include "svc/prog.h"
#include "wire/route.h"

#define HUB_NAME_MAX 64
#define HUB_ROUTE_MAX 64
#define HUB_ARG_MAX 1024          /* items of args and of cmd */
#define HUB_DOC_MAX (256u * 1024) /* bytes of a registration */
#define HUB_WORKER_MAX 1000
#define HUB_ASK_MAX 256
#define HUB_EVENT_MAX 256
#define HUB_WHY_MAX 512
#define HUB_SOCKET_MAX 108
#define HUB_DEATH_MAX 5 /* deaths within HUB_DEATH_NS make a unit failed */
#define HUB_DEATH_NS (10 * MGR_S)

struct hub;
struct client;
struct unit;

/* worker.c: what a worker says of itself, checked */

enum worker_state {
	WORKER_STARTING,
	WORKER_READY,
	WORKER_BACKOFF,
	WORKER_FAILED,
	WORKER_DRAINING,
	WORKER_STATE_N
};
extern const char *const worker_state_name[WORKER_STATE_N];

enum worker_show {
	SHOW_YES,
	SHOW_TRIAL,   /* its registration is not accepted yet */
	SHOW_LEAVING, /* no new calls for it */
};

struct route {
	char method[MGR_ROUTE_METHOD_MAX]; /* "" = any */
	char pattern[MGR_ROUTE_PATTERN_MAX + 1];
	bool sse;
};

struct ping {
	struct hub *hub;
	struct mgr_call call;
	struct mgr_timer timer;
	int64_t asked_ns; /* when the last one was sent */
	unsigned miss_n;
};

struct worker {
	TAILQ_ENTRY(worker) link;
	struct client *client; /* NULL = a ghost */
	struct unit *unit;     /* NULL = started by somebody else */
	enum worker_show show;
	enum worker_state state;
	pid_t pid;
	uid_t uid;
	unsigned want, ready;
	char name[HUB_NAME_MAX + 1];
	char id[37];
	char mode[16];
	char lane[HUB_SOCKET_MAX], control[HUB_SOCKET_MAX];
	char why[HUB_WHY_MAX];
	struct mgr_doc *cmd;
	struct route *route;
	size_t route_n;
	struct ping ping;
};

/* Reads the members of "join" and "update": 0, -EINVAL with a sentence in why, -ENOMEM. */
int worker_read(const struct mgr_doc *members, struct worker **ret_worker, char *why, size_t why_n);
/* A ghost with the name, routes and command of a registration that regdoc_read has checked; NULL
 * when memory is out. */
struct worker *worker_from_doc(const struct mgr_doc *doc);
void worker_free(struct worker *w); /* accepts NULL; must not be in a registry */
bool worker_same_routes(const struct worker *a, const struct worker *b);
/* Takes over what an update may change; the routes only when with_routes. */
void worker_take(struct worker *w, struct worker *news, bool with_routes);

/* registry.c: all workers, sorted by name and id */

struct registry {
	TAILQ_HEAD(, worker) workers;
	size_t n;
};

void registry_init(struct registry *r);
void registry_add(struct registry *r, struct worker *w);
void registry_del(struct registry *r, struct worker *w);
/*
 * Whether w (which need not be in it) may serve: 0, or -EEXIST with a sentence.  supersedes: it is the
 * next version of its name, so that older workers of the name may differ.
 */
int registry_check(const struct registry *r, const struct worker *w, bool supersedes, char *why,
		   size_t why_n);
/* True when callers are told of w: see the table's rule in mgr-hub(8). */
bool registry_lists(const struct registry *r, const struct worker *w);

/* client.c: what is known of a connection */

struct client {
	LIST_ENTRY(client) link;
	struct hub *hub;
	struct mgr_ctl_conn *conn;
	struct worker *worker;
	uint32_t table_id; /* of its "subscribe", 0 = none */
	bool greeted;      /* the first table was sent */
	bool is_httpd;
	uint64_t acked;
	uint32_t events_id; /* of its "events" with follow, 0 = none */
};

LIST_HEAD(clients, client);

/* The record of a connection, made on first use; NULL when memory is out (the request was answered). */
struct client *client_of(struct mgr_ctl_conn *c, uint32_t request_id);
void clients_free(struct hub *h);

/* table.c: the routing table of the callers */

struct table {
	struct mgr_buf text; /* the document of the last version */
	struct mgr_buf work; /* its part without the version number */
	uint64_t version;
	bool dirty;
};

void table_init(struct table *t);
void table_fini(struct table *t);
void table_touch(struct hub *h); /* something that callers see may have changed */
/* Makes and pushes a new version if the content changed: the version that is valid now. */
uint64_t table_publish(struct hub *h);
/* Sends the first table to a subscriber, once the hub has settled. */
void table_greet(struct client *c);
/* True when every mgr-httpd that subscribed has acknowledged this version. */
bool table_is_acked(const struct hub *h, uint64_t version);

/* regdoc.c: registration documents */

/* Reads and checks one: 0 with a copy of the known members, -EINVAL with a sentence, -ENOMEM. */
int regdoc_read(const char *p, size_t n, struct mgr_doc **ret_doc, char *why, size_t why_n);
const char *regdoc_name(const struct mgr_doc *doc);
/* The value of an option in args ("grace" finds --grace V and --grace=V) or the fallback. */
const char *regdoc_option(const struct mgr_doc *doc, const char *name, const char *fallback);
int64_t regdoc_duration(const struct mgr_doc *doc, const char *name, int64_t fallback_ns);

/* store.c: registrations on disk */

/* Loads the stored registrations, and those of living workers that were not to be stored. */
int store_load(struct hub *h);
int store_save(struct hub *h, const struct mgr_doc *doc, bool stored);
/* Forgets a name: true when a stored registration was there. */
bool store_remove(struct hub *h, const char *name);
/* After an orderly stop nothing is left in the runtime folder. */
void store_fini(struct hub *h);

/* unit.c: processes and their registrations */

enum unit_role {
	UNIT_TRIAL,   /* being registered */
	UNIT_KEPT,    /* registered: comes back when it dies */
	UNIT_GUEST,   /* adopted without a registration: stopped with us, not brought back */
	UNIT_LEAVING, /* freed when its process has ended */
};

struct unit {
	TAILQ_ENTRY(unit) link;
	struct hub *hub;
	char name[HUB_NAME_MAX + 1]; /* "" = not known yet */
	struct mgr_doc *doc;         /* NULL of a guest */
	enum unit_role role;
	struct worker *worker; /* what joined, or its ghost; NULL of guests that did not join yet */
	struct mgr_child child;
	pid_t pid; /* 0 = no process */
	int64_t started_ns;
	unsigned tries;
	int64_t death_ns[HUB_DEATH_MAX];
	unsigned death_n;
	bool failed;
	bool was_ready; /* since its start */
	bool awaited;   /* adopted, did not join yet */
	bool evicted;   /* hung: killed when it does not come back */
	bool ending;    /* its process was told to finish */
	enum mgr_outcome refusal; /* OK, or the kind of a start that failed for good */
	char why[HUB_WHY_MAX];
	struct mgr_timer timer; /* next start, or the kill of a leaving or hung one */
};

TAILQ_HEAD(units, unit);

/* Takes the document (also on failure; may be NULL): NULL when memory is out. */
struct unit *unit_new(struct hub *h, const char *name, struct mgr_doc *doc, enum unit_role role);
/* Forgets it, its process must have ended; waiting requests learn it. */
void unit_free(struct unit *u);
struct unit *unit_find(struct hub *h, const char *name, enum unit_role role);
struct unit *unit_by_pid(struct hub *h, pid_t pid);
bool unit_is_joined(const struct unit *u);
void unit_say(struct unit *u, const char *why); /* remembers why, for people */
/* Links a worker that joined (the ghost goes), or brings the ghost back when it left. */
void unit_bind(struct unit *u, struct worker *w);
void unit_unbind(struct unit *u);
enum worker_state unit_state(const struct unit *u); /* without a joined worker */

/* supervise.c: start, death, backoff, stop */

void unit_start(struct unit *u);
int unit_adopt(struct unit *u, pid_t pid);
/* No new calls for it, and it is not brought back. */
void unit_leave(struct unit *u);
/* The same, and its process is told to finish; the unit may be freed at once. */
void unit_end(struct unit *u, bool urgent);
void unit_evict(struct unit *u);

/* adopt.c: workers that outlived the last hub */

int adopt_scan(struct hub *h);
void adopt_poke(struct hub *h); /* tells daemons that a hub is here again */
void adopt_step(struct hub *h); /* the hub settles when all have come back, or too late */
void adopt_fini(struct hub *h);

/* ping.c: is a worker alive that says nothing? */

void ping_start(struct worker *w);
void ping_stop(struct worker *w);

/* join.c: a worker comes, changes, goes */

void join_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
void update_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
void join_lost(struct worker *w, const char *event); /* its connection is gone or given up */

/* ask.c: requests that are answered later */

struct ask {
	TAILQ_ENTRY(ask) link;
	struct hub *hub;
	struct client *client; /* NULL = nobody waits for the answer */
	uint32_t id;
	void (*step)(struct ask *); /* looks whether it can go on; may free the ask */
	unsigned phase;
	char name[HUB_NAME_MAX + 1];
	struct unit *unit, *old;
	bool store;
	bool keep_files; /* what is on disk is right already */
	uint64_t version;
	struct mgr_timer timer;
};

TAILQ_HEAD(asks, ask);

/* NULL when there are too many (the request was answered); the first step comes with hub_work. */
struct ask *ask_new(struct hub *h, struct client *client, uint32_t id, const char *name,
		    void (*step)(struct ask *));
void ask_wait(struct ask *a, int64_t ns); /* the longest time of this phase */
bool ask_is_late(const struct ask *a);
void ask_done(struct ask *a, const char *meta); /* answers and frees */
void ask_fail(struct ask *a, enum mgr_outcome outcome, const char *why);
void asks_step(struct hub *h);
void asks_forget_unit(struct hub *h, const struct unit *u);
void asks_forget_client(struct hub *h, const struct client *c);
void asks_fini(struct hub *h, const char *why);

/* register.c, unregister.c */

void register_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
/* A new worker for the registration of one that does not answer; nobody waits. */
void register_again(struct unit *old);
void unregister_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);

/* events.c: what happened, for the log and for those who ask */

struct events {
	char *line[HUB_EVENT_MAX]; /* JSON with LF */
	uint64_t n;                /* ever added */
};

/* One event: a log line and a JSON line.  event is a literal, detail "key=value ..." or "". */
void event_add(struct hub *h, enum mgr_log_level level, const char *event, const char *name,
	       const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void events_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
void events_fini(struct events *e);

/* listing.c */

void ls_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
void routes_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);
void status_verb(struct mgr_ctl_conn *c, const struct mgr_ctl_request *req);

/* verbs.c */

extern const struct mgr_ctl_verb hub_verbs[];

/* options.c */

struct hub_options {
	struct mgr_prog_common common;
	int64_t drain_ns, grace_ns, start_ns;
	int64_t ping_interval_ns, ping_limit_ns, hung_ns;
	uint64_t ping_misses;
	int64_t adopt_ns, ready_ns, ack_ns;
	int64_t backoff_min_ns, backoff_max_ns, stable_ns, failed_retry_ns;
};

extern const struct mgr_opt hub_options[];
extern struct hub_options hub_values;

/* stop.c */

void stop_begin(struct mgr_prog *p, bool urgent);
void stop_step(struct hub *h);
void stop_reexec(struct mgr_prog *p); /* HUP */

/* hub.c: the house itself */

struct hub {
	struct mgr_prog *prog;
	struct mgr_loop *loop;
	const struct hub_options *opt;
	int lock_fd;
	int64_t started_ns, since_wall_ns;
	bool stopping;
	bool settled;  /* who outlived the last hub has come back */
	bool is_ready; /* READY was said */
	struct mgr_ctl_server server;
	struct clients clients;
	struct registry registry;
	struct table table;
	struct units units;
	struct asks asks;
	unsigned ask_n;
	struct events events;
	struct mgr_links links;
	struct mgr_caller caller;
	struct mgr_timer work;   /* hub_work is due */
	struct mgr_timer clock;  /* hub_wake_in */
	LIST_HEAD(, poke) pokes;
};

extern struct hub the_hub; /* one per process */

int hub_open(struct mgr_prog *p, int argc, char **argv);
void hub_fini(struct mgr_prog *p);
void hub_wake(struct hub *h);
/* Asks to be woken in so many ns at the latest. */
void hub_wake_in(struct hub *h, int64_t ns);

#endif
