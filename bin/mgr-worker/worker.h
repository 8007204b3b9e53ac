/*
 * mgr-worker: one handler behind lanes.  A call walks through the files in this order:
 *
 *   lanes.c    accept a caller's lane, see its slots
 *   job.c      one call: claim it from its slot, give it to the pool
 *   job_task.c what the pool asks of it, and the answer back into the slot
 *   (svc/pool) queue, replica, handler
 *   bus.c      what a handler calls in turn
 *
 * and beside it: join.c (the hub), control.c (verbs), files.c (names in the runtime folder), main.c.
 */
#ifndef MGR_WORKER_H
#define MGR_WORKER_H

#include "ipc/ctl.h"
#include "ipc/link.h"
#include "svc/caller.h"
#include "svc/hub.h"
#include "svc/pool.h"
#include "svc/prog.h"
#include "svc/regopt.h"

struct worker_options {
	struct mgr_prog_common common;
	const char *name;
	struct mgr_regopt reg;
};

struct worker {
	struct mgr_prog *prog;
	const struct worker_options *options;
	char **argv; /* of the handler, argv[0] absolute */
	char **env;  /* "K=V" of the registration */
	char handler_path[MGR_PATH_MAX], lane_path[MGR_PATH_MAX], control_path[MGR_PATH_MAX];
	char lock_path[MGR_PATH_MAX];
	char spool_dir[MGR_PATH_MAX];
	int lock_fd;

	struct mgr_pool *pool;
	struct mgr_hub hub;
	struct mgr_links links;
	struct mgr_caller caller;
	struct mgr_ctl_server control;
	int64_t since_ns; /* wall clock */

	struct mgr_hook turn; /* lanes, pool, lanes */
	int lane_fd;
	struct mgr_watch lane_watch;
	LIST_HEAD(, lane) lanes;
	unsigned lane_n;

	struct mgr_buf routes;       /* JSON array of the registration */
	struct mgr_buf route_lines;  /* MGR_ROUTES */
	struct mgr_timer update;     /* several changes make one message */
	struct mgr_timer linger;     /* between leaving the table and draining */
	bool leaving;

	LIST_HEAD(, job) free_jobs;
	unsigned free_job_n;
	LIST_HEAD(, bus_call) bus_calls;
	unsigned bus_call_n;
};

/* files.c: lock, socket paths, spool folder. 0 or -errno, logged. */
int files_open(struct worker *w);
void files_close(struct worker *w);

/* lanes.c */
struct lane {
	struct mgr_link link;
	struct worker *worker;
	uint64_t number; /* the source of its calls: callers take turns */
	LIST_ENTRY(lane) entry;
};
int lanes_open(struct worker *w);
void lanes_close(struct worker *w);

/* job.c */
void job_look(struct lane *lane, uint32_t slot, unsigned events);
/* The lane is gone: nobody waits for its calls any more. */
void job_lane_down(struct lane *lane);
void job_fini(struct worker *w);

/* bus.c */
void bus_call(struct mgr_pool *pool, const struct mgr_pool_call *call);
void bus_fini(struct worker *w);

/* join.c */
int join_open(struct worker *w);
void join_changed(struct worker *w);
void join_ready(struct worker *w, const char *routes);
void join_leave(struct worker *w); /* out of the routing table, the connection stays */
void join_close(struct worker *w);

/* control.c */
int control_open(struct worker *w);
void control_close(struct worker *w);

#endif
