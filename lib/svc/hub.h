/*
 * The client of mgr-hub that every daemon holds: one connection that comes back by itself (backoff
 * 1..30 s with jitter; at once for the first second after a loss), the routing table, and for a worker
 * its registration.  While the hub is away the last table stays in use.
 *
 * The table as the hub pushes it (BODY of the answer to the verb "subscribe", one JSON document per push):
 *
 *   {"version":7,"workers":[{"name":"hello","worker_id":"UUID","pid":12,"lane":"/run/mgr/worker-12.lane",
 *     "control":"/run/mgr/worker-12.sock","mode":"frame","ready":3,"uid":0,
 *     "routes":[{"method":"POST","pattern":"/hello","sse":false}]}]}
 *
 * Only workers with at least one ready replica or a start still going on ("cold") are listed.
 * method "" = any.  A subscriber answers each push with the verb "ack" {"version":N}.
 */
#ifndef MGR_SVC_HUB_H
#define MGR_SVC_HUB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/ctl.h"

struct mgr_hub_route {
	char *method; /* "" = any */
	char *pattern;
	bool sse;
};

struct mgr_hub_worker {
	char *name, *worker_id, *lane, *control, *mode;
	pid_t pid;
	unsigned ready;
	struct mgr_hub_route *route;
	size_t route_n;
};

/* One version of the table; immutable, counted, freed when nobody holds it. */
struct mgr_hub_table {
	uint64_t version;
	unsigned refs;
	struct mgr_hub_worker *worker; /* sorted by name, then worker_id */
	size_t worker_n;
};

struct mgr_hub {
	void *user;
	struct mgr_hub_table *table; /* the last one, never NULL after init */
	bool connected;

	/* private */
	struct mgr_loop *loop;
	struct mgr_ctl_client client;
	struct mgr_timer retry, stable;
	unsigned tries;
	uint32_t join_id, subscribe_id;
	struct mgr_buf join; /* members of the verb "join", empty = no worker */
	bool want_table;
	void (*changed)(struct mgr_hub *);                           /* a new table; NULL = not wanted */
	void (*joined)(struct mgr_hub *, const char *worker_id, const char *error); /* worker only */
};

/* Connects in the background.  changed NULL = no table wanted. */
int mgr_hub_init(struct mgr_hub *h, struct mgr_loop *loop, void (*changed)(struct mgr_hub *));
void mgr_hub_fini(struct mgr_hub *h);

/* Registers this process as a worker (again after every reconnect): members are those of the verb
 * "join" as ,"name":"hello",... text, copied.  joined gets the worker_id, or the hub's refusal. */
int mgr_hub_join(struct mgr_hub *h, const char *members,
		 void (*joined)(struct mgr_hub *, const char *worker_id, const char *error));

/* Replaces the members and tells the hub (verb "update" with the same members) when connected. */
int mgr_hub_update(struct mgr_hub *h, const char *members);

/* A hub is there now: connects at once if it is not connected, with the short delays again. */
void mgr_hub_retry(struct mgr_hub *h);

struct mgr_hub_table *mgr_hub_table_hold(struct mgr_hub_table *t);
void mgr_hub_table_drop(struct mgr_hub_table *t);

/* The workers of a name: first index and count inside the table. */
size_t mgr_hub_table_find(const struct mgr_hub_table *t, const char *name, size_t name_n, size_t *ret_first);

/* Reads one pushed document: 0 with a new table, -EINVAL, -ENOMEM. */
int mgr_hub_table_parse(const char *p, size_t n, struct mgr_hub_table **ret_table);

#endif
